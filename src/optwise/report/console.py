"""The report in the terminal: the verdict and where the page is, what was reached, what is open; at most 24 lines."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from optwise.core.race import KIND
from optwise.report.check_list import methods_of, open_checks, title_of
from optwise.report.headlines import certainty_of, headline, lines, problem_headline
from optwise.report.race_words import race_headline
from optwise.report.readings import Document, leading, ordered
from optwise.report.sizes import in_ratios, sign_of, size_of
from optwise.report.words import NOTHING, duration, number, plural, with_interval

MOST = 24
"""Lines printed; a command adds one of its own."""
_GAP = 2
_LEAST = 5
"""Lines in which a problem has its table: what is asked, what is open, heads and two more."""
_STYLES = {"fail": "bold red"}


def terminal(document: Document, page: Path | None = None) -> Report:
    """The results document as a renderable of ``rich``, readable at 80 columns.

    Args:
        document: The results document.
        page: Where the whole of it lies.

    Example:
        ``rich.print(terminal(document, Path("runs/demo/report.html")))``
    """
    return Report(document, page)


@dataclass(frozen=True)
class Report:
    """What :func:`terminal` gives: drawn at the width there is."""

    document: Document
    page: Path | None = None

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield from _lines(self.document, self.page, options.max_width)


def _lines(document: Document, page: Path | None, width: int) -> Iterator[Text]:
    race = document.get("kind") == KIND
    said = race_headline(document) if race else headline(document)
    head = [Text(text, style="bold") for text in _wrapped(said, width, 4)]
    head += [] if page is None else [Text(str(page), overflow="fold")]
    problems = list(document["problems"])
    told = str(document["verdict"]) if race else lines(document)[problems[0]] if len(problems) == 1 else ""
    head += [Text(part, style="dim") for part in _wrapped(told, width, 3)]
    yield from head
    left = MOST - len(head)
    if left < _LEAST * len(problems):
        yield from _one_by_one(document, width, left)
        return
    for problem in problems:
        yield from (_race_lines if race else _problem_lines)(document, problem, width, left // len(problems))


def _one_by_one(document: Document, width: int, room: int) -> Iterator[Text]:
    """The headline of each problem, with a line on what is open where there is room, and how many find none."""
    problems, race = list(document["problems"]), document.get("kind") == KIND
    shown = problems if len(problems) <= room else problems[: room - 1]
    for problem in shown:
        said = document["problems"][problem].get("verdict", "") if race else problem_headline(document, problem)
        said = said.replace(f" on {problem}", "").removeprefix(f"On {problem} ")
        yield _cut(f"{problem}: {said}", width, "")
        if not race and 2 * len(problems) <= room - 1:
            yield _cut(f"  {_standing(document, problem)}", width, "dim")
    hidden = len(problems) - len(shown)
    if hidden:
        yield _cut(f"and {plural(hidden, 'more problem')} on the page", width, "dim")
    elif room > len(problems) * (1 + (2 * len(problems) <= room - 1)):
        yield _cut("The numbers of each problem, and what to do about open checks, are on the page.", width, "dim")


def _standing(document: Document, problem: str) -> str:
    """How certain a verdict is and what is open, in one line."""
    found = [f"{_kind(check)} ({', '.join(methods_of(check)) or problem})" for check in open_checks(document, problem)]
    checks = f"open: {', '.join(found)}" if found else "no check is open"
    return "; ".join(part for part in (certainty_of(document, problem), checks) if part)


def _kind(check: Mapping[str, Any]) -> str:
    return str(check["check"]).replace("-", " ")


def _problem_lines(document: Document, problem: str, width: int, room: int) -> Iterator[Text]:
    """Its question, the table, what is open: line by line where it is the only problem, in one of several."""
    several = len(document["problems"]) > 1
    target = document["protocol"]["target"].get(problem)
    rows = [_heads(document, problem), *_rows(document, problem)]
    axis = next((v["axis"] for v in document["problems"][problem]["verdicts"] if v.get("axis")), "")
    goal = f"{axis or document['protocol']['axis']} to {target}" if target else "no target, so best values"
    parted = room > len(rows) + 1 + several
    if parted:
        yield Text("")
    yield _cut(f"{problem}: {goal}", width, "bold")
    if several:
        yield _cut(_standing(document, problem), width, "dim")
    table, hidden = _fitted(rows, room - 1 - parted - several)
    yield from _table(table, width)
    if hidden:
        yield _cut(f"and {plural(hidden, 'more method')} on the page", width, "dim")
    if several:
        return
    found, left = open_checks(document, problem), max(room - 2 - len(table) - bool(hidden), 0)
    for check in found if len(found) <= left else found[: max(left - 1, 0)]:
        about = f"{check['status']}  {_kind(check)}: {', '.join(methods_of(check)) or problem}"
        told = f"{about} ({title_of(check).lower()})"
        yield _cut(told if len(told) <= width else about, width, _STYLES.get(check["status"], "yellow"))
    if len(found) > left > 0:
        yield _cut(f"and {plural(len(found) - left + 1, 'more check')} open, on the page", width, "dim")


def _fitted(rows: Sequence[Sequence[str]], room: int) -> tuple[Sequence[Sequence[str]], int]:
    """The rows that fit, and how many do not; the line that says so has its place too."""
    kept = rows if len(rows) <= room else rows[: max(room - 1, 2)]
    return kept, len(rows) - len(kept)


def _heads(document: Document, problem: str) -> list[str]:
    metric, first = document["protocol"]["metric"][problem], leading(document, problem)
    timed = ["median [interval]", "misses"] if document["protocol"]["target"].get(problem) else []
    verdicts = document["problems"][problem]["verdicts"]
    sign = sign_of(ratio=in_ratios(verdicts))
    against = [f"{_shortened(first, 12)} {sign} method"] if verdicts and first is not None else []
    return ["method", *timed, f"best {metric}", *against]


def _rows(document: Document, problem: str) -> Iterator[list[str]]:
    result, first = document["problems"][problem], leading(document, problem)
    timed = bool(document["protocol"]["target"].get(problem))
    pairs = {frozenset((v["a"], v["b"])): v for v in result["verdicts"]}
    for name in ordered(document, problem):
        confirm = result["methods"][name]["confirm"]
        cells = [name]
        if timed:
            cells += _time(confirm.get("time_to_target"))
        cells.append(number(confirm["value"]["median"]) if timed else _value(confirm["value"]))
        if result["verdicts"] and first is not None:
            verdict = pairs.get(frozenset((first, name)))
            cells.append(NOTHING if verdict is None else _against(verdict, first))
        yield cells


def _against(v: Mapping[str, Any], first: str) -> str:
    return "not comparable" if v["words"] == "not comparable" else size_of(v, first).words


def _time(time: Mapping[str, Any] | None) -> list[str]:
    if time is None:
        return [NOTHING, NOTHING]
    none = "not reached" if time["low"] is None else f"not reached [{number(time['low'])}, {NOTHING}]"
    median = none if time["median"] is None else with_interval(time["median"], time["low"], time["high"])
    return [median, f"{time['misses']}/{time['n']}"]


def _value(value: Mapping[str, Any]) -> str:
    return with_interval(value["median"], value["low"], value["high"])


def _race_lines(document: Document, problem: str, width: int, room: int) -> Iterator[Text]:
    result = document["problems"][problem]
    rows = [["method", "ended", "certificate", "iterations", "gradient eq.", "seconds"]]
    for name, method in result["methods"].items():
        if method["status"] == "not eligible":
            rows.append([name, "not eligible", *[NOTHING] * 4])
            continue
        proof = method["certificate"]
        rows.append(
            [
                name,
                method["status"],
                NOTHING if proof is None else number(proof["value"], digits=2),
                number(method["iterations"]),
                number(method["gradient_equivalents"]),
                duration(method["seconds"]["median"]),
            ]
        )
    found = [c for c in result["checks"] if c["status"] != "pass"]
    yield Text("")
    best = result["best"]
    yield _cut(f"{problem}: best value {number(best['value'], digits=8)}, {best['source']}", width, "bold")
    table, hidden = _fitted(rows, room - 2 - bool(found))
    yield from _table(table, width)
    said = [f"and {plural(hidden, 'more method')} on the page"] if hidden else []
    said += [f"{c['method']}, {c['check']}: {c['evidence']}" for c in found]
    yield from (Text(line, style="yellow") for line in _wrapped("; ".join(said), width, 1))


def _table(rows: Sequence[Sequence[str]], width: int) -> Iterator[Text]:
    """Columns as wide as they need, the first one shortened until a row fits; text left, numbers right."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    spare = sum(widths) + _GAP * (len(widths) - 1) - width
    if spare > 0:
        widths[0] = max(widths[0] - spare, 6)
    for i, row in enumerate(rows):
        cells = [_shortened(row[0], widths[0]).ljust(widths[0])]
        cells += [cell.rjust(size) for cell, size in zip(row[1:], widths[1:], strict=True)]
        yield _cut((" " * _GAP).join(cells).rstrip(), width, "bold" if i == 0 else "")


def _shortened(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: max(length - 1, 1)]}…"


def _cut(text: str, width: int, style: str) -> Text:
    return Text(_shortened(text, width), style=style, no_wrap=True)


def _wrapped(text: str, width: int, most: int) -> list[str]:
    """At most so many lines; what does not fit ends in dots."""
    found = textwrap.wrap(text, width, max_lines=most, placeholder=" …")
    return found or ([] if not text else [_shortened(text, width)])
