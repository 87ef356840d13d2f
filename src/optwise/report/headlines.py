"""The verdict in at most fifteen words, and the one line under it: the document's own, else read off its verdicts."""

from __future__ import annotations

from optwise.report.check_list import open_checks, open_kinds
from optwise.report.readings import CLAIMS, Document, leading
from optwise.report.words import listed, plural, probability

FEW = 3
"""Names that a headline lists; more are counted."""


def headline(document: Document) -> str:
    """The verdict in at most fifteen words."""
    told: str | None = document.get("headline")
    if told:
        return told
    said = [problem_headline(document, problem) for problem in document["problems"]]
    if len(said) == 1:
        return said[0]
    leaders = {leading(document, problem) for problem in document["problems"]}
    if len(leaders) == 1 and None not in leaders:
        return f"{leaders.pop()} is ahead on all of {len(said)} problems."
    settled = sum(leading(document, problem) is not None for problem in document["problems"])
    if not settled:
        return f"On none of {len(said)} problems is a method ahead."
    return f"On {settled} of {len(said)} problems a method is ahead, and not the same everywhere."


def problem_headline(document: Document, problem: str) -> str:
    """The verdict on one problem."""
    result = document["problems"][problem]
    if result.get("headline"):
        return str(result["headline"])
    if not result["verdicts"]:
        return f"On {problem} one method was run, so nothing is compared."
    first = leading(document, problem)
    if first is None:
        alike = all(v["words"] == "equivalent within margin" for v in result["verdicts"])
        return f"On {problem} the methods are {'equivalent' if alike else 'not separated'}."
    won = [v for v in result["verdicts"] if v["a"] == first and v["words"] in CLAIMS]
    others = [v for v in result["verdicts"] if first in (v["a"], v["b"]) and v not in won]
    behind = (
        listed(v["b"] for v in won) if len(won) <= FEW else f"{len(won)} of {plural(len(won) + len(others), 'method')}"
    )
    rest = [v["b"] if v["a"] == first else v["a"] for v in others]
    tail = f", not separated from {rest[0] if len(rest) == 1 else f'{len(rest)} others'}" if rest else ""
    return f"{first} is {won[0]['words']} than {behind}{tail}."


def lines(document: Document) -> dict[str, str]:
    """What stands under the verdict, one line a problem: certainty, split, open checks."""
    return {
        problem: str(result.get("line") or _line(document, problem)) for problem, result in document["problems"].items()
    }


def _line(document: Document, problem: str) -> str:
    about = document["protocol"]
    certainty = f"{certainty_of(document, problem)}, " if leading(document, problem) is not None else ""
    found = open_checks(document, problem)
    checks = f"open checks: {open_kinds(found)}" if found else "no check is open"
    where = "on this split" if about["problems"][problem].get("splits") else "on this problem"
    tuned = f"{plural(about['studies'], 'study')} of {plural(about['trials'], 'trial')} each, {where}"
    return (
        f"{certainty}{tuned}; {checks}.".capitalize()
        if not certainty
        else f"{certainty.capitalize()}{tuned}; {checks}."
    )


def certainty_of(document: Document, problem: str) -> str:
    """How sure the claims of the leader are, or how far from one the clearest pair is; nothing without a test."""
    first, verdicts = leading(document, problem), document["problems"][problem]["verdicts"]
    won = [v for v in verdicts if v["a"] == first and v["words"] in CLAIMS]
    known = [v["p_adjusted"] for v in won or verdicts if v["p_adjusted"] is not None]
    if not known:
        return ""
    return f"adjusted p at {'most' if won else 'least'} {probability(max(known) if won else min(known))}"
