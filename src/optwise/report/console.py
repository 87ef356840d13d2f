"""The report in the terminal: verdict, results, pairs, warnings."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from optwise.core.race import KIND
from optwise.report.readings import Document
from optwise.report.words import NOTHING, duration, number, percent, probability

_STYLES = {"faster": "bold green", "better": "bold green", "equivalent within margin": "cyan", "not comparable": "red"}


def terminal(document: Document) -> RenderableType:
    """The results document as a renderable of ``rich``, readable at 80 columns.

    Args:
        document: The results document.

    Example:
        ``rich.print(terminal(document))``
    """
    return Group(*_parts(document))


def _parts(document: Document) -> Iterator[RenderableType]:
    if document.get("kind") == KIND:
        yield from _race_parts(document)
        return
    about = document["protocol"]
    how = (
        f"{about['studies']} studies x {about['trials']} trials, {about['seeds']} seeds, {about['budget']}, "
        f"axis {about['axis']}, level {percent(about['level'])}"
    )
    yield Panel(Text(document["verdict"], style="bold"), title="verdict", title_align="left")
    yield Text(how, style="dim")
    for problem, result in document["problems"].items():
        yield Text(f"\n{problem}", style="bold underline")
        target = about["target"].get(problem)
        yield Text(f"target {target}" if target else f"no target: best {about['metric'][problem]}", style="dim")
        yield _results(document, problem)
        if result["verdicts"]:
            yield Text()
            yield _pairs(document, problem)
        yield from _warnings(document, problem)


def _race_parts(document: Document) -> Iterator[RenderableType]:
    about = document["protocol"]
    yield Panel(Text(document["verdict"], style="bold"), title="verdict", title_align="left")
    yield Text(f"certificate {about['tol']:g}, at most {about['max_seconds']:g} s a run", style="dim")
    for problem, result in document["problems"].items():
        yield Text(f"\n{problem}", style="bold underline")
        yield Text(f"best value {number(result['best']['value'], digits=8)}: {result['best']['source']}", style="dim")
        table = Table(box=None, pad_edge=False, header_style="bold")
        table.add_column("method", overflow="fold")
        table.add_column("ended", overflow="fold")
        for head in ("certificate", "iterations", "gradient eq.", "seconds"):
            table.add_column(head, justify="right")
        for name, method in result["methods"].items():
            if method["status"] == "not eligible":
                table.add_row(Text(name), Text("not eligible"), *[NOTHING] * 4)
                continue
            proof = method["certificate"]
            table.add_row(
                Text(name),
                Text(method["status"]),
                NOTHING if proof is None else number(proof["value"], digits=2),
                number(method["iterations"]),
                number(method["gradient_equivalents"]),
                duration(method["seconds"]["median"]),
            )
        yield table
        for method in result["methods"].values():
            if method["status"] == "not eligible":
                yield Text(method["refusal"], style="dim")
        yield from _warnings(document, problem)


def _results(document: Document, problem: str) -> Table:
    methods = document["problems"][problem]["methods"]
    timed = document["protocol"]["target"].get(problem) is not None
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("method", overflow="fold")
    if timed:
        axis = next(
            (m["confirm"]["time_to_target"]["axis"] for m in methods.values() if m["confirm"]["time_to_target"]), ""
        )
        for head in (f"{axis}", "misses", "restr. mean"):
            table.add_column(head, justify="right")
    table.add_column(f"best {document['protocol']['metric'][problem]}", justify="right")
    table.add_column("at defaults", justify="right")
    for name, method in sorted(methods.items(), key=lambda item: _order(item[1]["confirm"].get("time_to_target"))):
        time, value = method["confirm"].get("time_to_target"), method["confirm"]["value"]
        default = method.get("default") or {}
        cells = [Text(name)]
        if timed:
            cells += [
                Text(
                    NOTHING if time is None else _stacked(time["median"], time["low"], time["high"], none="not reached")
                ),
                Text(NOTHING if time is None else f"{time['misses']}/{time['n']}"),
                Text(NOTHING if time is None else number(time["restricted_mean"])),
            ]
        cells.append(Text(_stacked(value["median"], value["low"], value["high"])))
        reference = default.get("time_to_target") if timed else default.get("value")
        cells.append(Text(NOTHING if reference is None else number(reference["median"])))
        table.add_row(*cells)
    return table


def _pairs(document: Document, problem: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("pair", overflow="fold")
    table.add_column("verdict", overflow="fold")
    table.add_column("ratio", justify="right")
    table.add_column("p, Holm", justify="right")
    table.add_column("warnings", overflow="fold")
    for v in document["problems"][problem]["verdicts"]:
        words = v["words"] + (f", because {v['because']}" if v.get("because") else "")
        needed = f" ({v['studies_needed']} studies could tell)" if v.get("studies_needed") else ""
        table.add_row(
            Text(f"{v['a']} / {v['b']}"),
            Text(f"{words}{needed}", style=_STYLES.get(v["words"], "")),
            Text(_stacked(v["ratio"], v["ratio_low"], v["ratio_high"])),
            Text(probability(v["p_adjusted"])),
            Text(", ".join(v.get("warnings") or []) or NOTHING),
        )
    return table


def _warnings(document: Document, problem: str) -> Iterator[Text]:
    found = [c for c in document["problems"][problem]["checks"] if c["status"] != "pass"]
    for check in sorted(found, key=lambda c: c["status"] != "fail"):
        style = "bold red" if check["status"] == "fail" else "yellow"
        line = Text()
        line.append(f"\n{check['status']} ", style=style)
        who = "" if check.get("head") else f"{check['method'] or problem}, "
        line.append(f"{who}{check['check']}: {check['evidence']}")
        if check.get("advice"):
            line.append(f" {check['advice']}", style="dim")
        yield line


def _stacked(value: float | None, low: float | None, high: float | None, *, none: str = NOTHING) -> str:
    """A number over its interval: two short lines keep five columns within 80."""
    first = none if value is None else number(value)
    return first if low is None and high is None else f"{first}\n[{number(low)}, {number(high)}]"


def _order(time: dict[str, float | None] | None) -> tuple[float, float]:
    if time is None:
        return (0.0, 0.0)
    median, mean = time["median"], time["restricted_mean"]
    return (float("inf") if median is None else median, float("inf") if mean is None else mean)
