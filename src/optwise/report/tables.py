"""The tables of the page, as HTML: results, fairness ledger, selected settings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from optwise.core.budget import EXAMPLE_GRADIENTS, STEPS
from optwise.core.protocol import Protocol
from optwise.report.drawing import colours
from optwise.report.glossary import TERMS, term
from optwise.report.readings import Document, ordered
from optwise.report.themes import swatch
from optwise.report.words import (
    NOTHING,
    TIMES,
    duration,
    escape,
    goal_words,
    number,
    plural,
    with_interval,
)
from optwise.report.worth import share_words

_LONG = 20
"""Letters of a name that still stand on one line."""
_OWN = "own choice"
_CRASHES = ("crashed", "out of memory", "interrupted")


def grid(
    caption: str, heads: Sequence[str], rows: Iterable[Sequence[str]], *, text: Sequence[int] = (0,), name: int = 0
) -> str:
    """A table in a container of its own that scrolls; cells are HTML.

    Args:
        caption: What the table shows, as HTML.
        heads: Of the columns.
        rows: Cells.
        text: Columns that are words; the others are numbers.
        name: The column that names the row.
    """

    def cells(row: Sequence[str], *, head: bool) -> str:
        found = []
        for i, cell in enumerate(row):
            tag = "th" if head or i == name else "td"
            scope = "" if tag == "td" else ' scope="col"' if head else ' scope="row"'
            kind = "" if i in text else ' class="num"'
            found.append(f"<{tag}{kind}{scope}>{cell}</{tag}>")
        return "".join(found)

    body = "\n".join(f"<tr>{cells(row, head=False)}</tr>" for row in rows)
    return (
        f'<div class="scroll" tabindex="0"><table><caption>{caption}</caption><thead>'
        f"<tr>{cells(heads, head=True)}</tr></thead><tbody>\n{body}\n</tbody></table></div>"
    )


def method_name(method: str, palette: Mapping[str, str]) -> str:
    """A method's name beside its colour."""
    kind = "method" if len(method) <= _LONG else "method long"
    return f'<span class="{kind}">{swatch(palette.get(method, "#000000"))}{escape(method)}</span>'


def results_rows(document: Document, problem: str) -> list[dict[str, Any]]:
    """What the results table says, in the order of the page: one mapping a method, ready to format."""
    methods = document["problems"][problem]["methods"]
    rows = []
    for name in ordered(document, problem):
        confirm, default = methods[name]["confirm"], methods[name].get("default") or {}
        rows.append(
            {
                "method": name,
                "time": confirm.get("time_to_target"),
                "value": confirm["value"],
                "default_time": default.get("time_to_target"),
                "default_value": default.get("value"),
                "test": methods[name].get("test"),
            }
        )
    return rows


def results_table(
    document: Document,
    protocol: Protocol,
    problem: str,
    *,
    other: str | None = None,
    checkpoints: Mapping[str, float | None] | None = None,
) -> str:
    """Median and interval per method: time to target, misses, best value, library defaults, test where revealed.

    Args:
        document: The results document.
        protocol: Its protocol.
        problem: Name.
        other: A metric that is read where the best value was.
        checkpoints: Method to its median there.
    """
    rows, palette = results_rows(document, problem), colours(list(protocol.methods))
    target, metric = protocol.targets.get(problem), document["protocol"]["metric"][problem]
    axis = next((row["time"]["axis"] for row in rows if row["time"] is not None), protocol.axis)
    tests = list(dict.fromkeys(name for row in rows for name in row["test"] or {}))
    heads = ["method"]
    if target is not None:
        spent = term(axis) if axis in TERMS else escape(axis)
        heads += [f"{spent} to {escape(goal_words(target))}", term("miss", shown="misses")]
    heads.append(f"best {escape(metric)}")
    heads += [f"{escape(other)} {term('at its checkpoint')}"] if other is not None else []
    heads.append(f"at {term('library defaults')}")
    body = []
    for row in rows:
        cells = [method_name(row["method"], palette)]
        if target is not None:
            cells += _time_cells(row["time"])
        cells.append(_interval(row["value"]))
        if other is not None:
            cells.append(share_words(other, (checkpoints or {}).get(row["method"])))
        default = row["default_time"] if target is not None else row["default_value"]
        late = target is not None and default and default["median"] is None
        cells.append("not reached" if late else _interval(default))
        cells += [_interval((row["test"] or {}).get(name)) for name in tests]
        body.append(cells)
    caption = (
        f"Medians over the {term('confirmation', shown='confirmations')} with bootstrap intervals, for orientation."
    )
    return grid(caption, [*heads, *(escape(name) for name in tests)], body)


def _time_cells(time: Mapping[str, Any] | None) -> list[str]:
    if time is None:
        return [NOTHING] * 2
    median = _interval(time)
    if time["median"] is None:
        median = "not reached" if time["low"] is None else f"not reached [{number(time['low'])}, {NOTHING}]"
    return [median, f"{time['misses']} of {time['n']}"]


def ledger_table(document: Document, protocol: Protocol, problem: str) -> str:
    """What each method was given, and what it spent."""
    palette, methods = colours(list(protocol.methods)), document["problems"][problem]["methods"]
    body = []
    for name in ordered(document, problem):
        method = methods[name]
        search, execution = method["search"], method.get("execution") or {}
        ended, spent = search["statuses"], search.get("budget") or {}
        timed, reason = escape(execution.get("step_timed") or ""), escape(execution.get("reason") or "")
        rung = f"{execution['rung']}, {plural(execution['rows'], 'row')}" if execution.get("rung") else NOTHING
        source = escape(search.get("source") or NOTHING).replace(_OWN, term(_OWN))
        body.append(
            [
                method_name(name, palette),
                str(search["dimensions"]),
                number(search["log_volume"]),
                f"{search['studies']} {TIMES} {search['trials'] // max(search['studies'], 1)}"
                if search["trials"]
                else "closed",
                str(ended.get("not finite", 0)),
                str(sum(ended.get(word, 0) for word in _CRASHES)),
                str(search["infeasible"]),
                *(number(spent.get(unit)) for unit in (STEPS, EXAMPLE_GRADIENTS)),
                duration(search.get("seconds")),
                f'<span title="{timed}">{duration(execution.get("step_seconds"))}</span>',
                f'<span title="{reason}">{escape(rung)}</span>',
                f"<b>borrowed</b>; {source}" if search.get("borrowed_space") else source,
            ]
        )
    heads = [
        *("method", "open fields", term("log volume"), f"studies {TIMES} trials", "diverged", "crashed"),
        *(term("infeasible"), "steps", term("example-gradients"), "search took", "one step, solo", term("ran as")),
        "search space",
    ]
    caption = "What each method was given, and what it spent: per run where not said otherwise."
    return grid(caption, heads, body, text=(0, 12))


def selected_table(document: Document, protocol: Protocol, problem: str) -> str:
    """The settings each study selected."""
    palette, methods = colours(list(protocol.methods)), document["problems"][problem]["methods"]
    body = []
    for name in ordered(document, problem):
        method = methods[name]
        for study, pick in enumerate(method.get("selected") or []):
            if pick is None:
                body.append([method_name(name, palette), str(study), "no feasible trial", NOTHING, NOTHING])
                continue
            point = ", ".join(f"{path} = {_setting(value)}" for path, value in pick["point"].items())
            body.append(
                [
                    method_name(name, palette),
                    f"{pick['study']} / {pick['index']}",
                    escape(point),
                    number(pick["value"]),
                    number(pick["time"]),
                ]
            )
    heads = ["method", "study / trial", "settings", term("search value"), "search time"]
    return grid("What each study selected, with its values in the search.", heads, body, text=(0, 1, 2))


def _interval(value: Mapping[str, Any] | None) -> str:
    return NOTHING if value is None else with_interval(value["median"], value["low"], value["high"])


def _setting(value: Any) -> str:
    return number(value) if isinstance(value, float) else str(value)
