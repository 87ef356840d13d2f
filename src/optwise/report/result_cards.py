"""What a finished comparison says of itself at a prompt and in a notebook: the verdict, one row a method, what next."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from optwise.core.errors import UnknownName
from optwise.core.showing import Card, one_line
from optwise.report.readings import Document
from optwise.report.words import NOTHING, duration, number, plural, with_interval

NEXT = ('.plot("curves")', ".best", ".trials()", ".frame()", ".report()")
"""What a finished comparison can be asked."""
FEW = 6
"""Names that are written out; of more, the number is told."""


def comparison_card(document: Document, folder: Path) -> Card:
    """The card of a comparison of tuned methods.

    Args:
        document: The results.
        folder: Where they lie.
    """
    several = len(document["problems"]) > 1
    lines = _lines(document)
    timed = any(document["protocol"]["target"].get(problem) for problem in document["problems"])
    rows = []
    for problem, result in document["problems"].items():
        for method in order_of(result):
            found = result["methods"][method]["confirm"]
            named = map(one_line, [*([problem] if several else []), method])
            rows.append((*named, *(_time(found) if timed else ()), _value(found)))
    goals = {problem: document["protocol"]["target"].get(problem) for problem in document["problems"]}
    goal = next((str(target) for target in goals.values() if target), "")
    axis = document["protocol"]["axis"]
    metrics = sorted(set(document["protocol"]["metric"].values()))
    heads = [
        *(["problem"] if several else []),
        "method",
        *([f"{axis} to {'target' if several else one_line(goal)}", "misses"] if timed else []),
        f"best {one_line(metrics[0]) if len(metrics) == 1 else 'value'}",
    ]
    return _card("Comparison", document, (tuple(heads), tuple(rows)), lines, folder)


def _lines(document: Document) -> list[str]:
    """How certain the verdict is and what is open, one line a problem; of several, each with its name."""
    problems = document["problems"]
    if len(problems) == 1:
        return [*(str(result["line"]) for result in problems.values() if result.get("line")), _checks(problems)]
    told = [f"{one_line(name)}: {result.get('line') or _checks({name: result})}" for name, result in problems.items()]
    hidden = len(told) - FEW
    return [*told[:FEW], *([f"{plural(hidden, 'more problem')} on the page"] if hidden > 0 else [])]


def race_card(document: Document, folder: Path) -> Card:
    """The card of a comparison of solvers."""
    several = len(document["problems"]) > 1
    rows = []
    for problem, result in document["problems"].items():
        for method, told in result["methods"].items():
            proof, seconds = told.get("certificate"), told.get("seconds") or {}
            rows.append(
                (
                    *map(one_line, [*([problem] if several else []), method]),
                    told["status"],
                    NOTHING if proof is None else number(proof["value"], digits=2),
                    number(told.get("gradient_equivalents")),
                    duration(seconds.get("median")),
                )
            )
    heads = (*(("problem",) if several else ()), "method", "ended", "certificate", "gradient eq.", "seconds")
    return _card("Comparison of solvers", document, (heads, tuple(rows)), [_checks(document["problems"])], folder)


def order_of(result: Mapping[str, Any]) -> list[str]:
    """Methods in the one order of a problem's results; documents that name none lead with their leader."""
    known = list(result["methods"])
    order = [name for name in result.get("order") or [result.get("leader")] if name in result["methods"]]
    return [*order, *(name for name in known if name not in order)]


def known(kind: str, name: str | None, names: Iterable[str]) -> str:
    """The name, the first one where none was given.

    Raises:
        UnknownName: With the nearest.
    """
    listed = list(names)
    if name is not None and name not in listed:
        raise UnknownName(kind, name, listed)
    return listed[0] if name is None else name


def names_in_words(names: Sequence[str]) -> str:
    """Names, or how many there are.

    Example:
        >>> names_in_words(["sgd", "adam"]), names_in_words(["a", "b", "c", "d", "e", "f", "g"])
        ('sgd, adam', '7 of them')
    """
    return ", ".join(map(one_line, names)) if len(names) <= FEW else f"{len(names)} of them"


Table = tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]
"""Heads and rows."""


def _card(kind: str, document: Document, table: Table, notes: Sequence[str], folder: Path) -> Card:
    said = str(document.get("headline") or document["verdict"])
    problems = list(document["problems"])
    methods = dict.fromkeys(name for result in document["problems"].values() for name in result["methods"])
    title = f"{kind} on {names_in_words(problems)}: {names_in_words(list(methods))}"
    kept = [*(note for note in notes if note), f"page: {one_line(folder / 'report.html', 200)}"]
    return Card((title, said, *kept, f"next: {' '.join(NEXT)}"), title, said, *table, tuple(kept), NEXT)


def _time(found: Mapping[str, Any]) -> tuple[str, str]:
    time = found.get("time_to_target")
    if time is None:
        return NOTHING, NOTHING
    if time["median"] is None:
        return "not reached", f"{time['misses']} of {time['n']}"
    return with_interval(time["median"], time["low"], time["high"]), f"{time['misses']} of {time['n']}"


def _value(found: Mapping[str, Any]) -> str:
    value = found["value"]
    return with_interval(value["median"], value["low"], value["high"])


def _checks(problems: Mapping[str, Any]) -> str:
    """How many checks are open, and of what kind."""
    found = [check for result in problems.values() for check in result["checks"]]
    kinds = dict.fromkeys(one_line(check["check"], 30) for check in found if check["status"] != "pass")
    failed = sum(check["status"] == "fail" for check in found)
    opened = sum(check["status"] == "warn" for check in found)
    parts = [*([plural(failed, "failed check")] if failed else []), *([plural(opened, "warning")] if opened else [])]
    return f"{' and '.join(parts)}: {', '.join(list(kinds)[:FEW])}" if parts else ""
