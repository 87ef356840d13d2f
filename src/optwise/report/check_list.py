"""Checks: what is open, the worst first, each with what it puts at risk; what passed is folded away."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from optwise.core.protocol import Protocol
from optwise.report.drawing import colours
from optwise.report.gallery import anchor
from optwise.report.readings import CLAIMS, Document, leading, ordered
from optwise.report.sizes import by_order
from optwise.report.tables import grid, method_name
from optwise.report.words import NOTHING, escape, listed, plural, prose

GRADES = ("fail", "warn", "pass")
_LAST = 99
"""Rank of the risk of a check that names none, as those of older records do."""

# which part of the page shows what a check is about; the check's own link may name one of these too
_SHOWN = {
    **dict.fromkeys(("boundary", "density", "infeasible-share", "infeasible"), "axes"),
    **dict.fromkeys(("learning-rate-too-large", "learning-rate-too-small", "noise-floor", "overfitting"), "curves"),
    **dict.fromkeys(("still-improving", "course", "misses", "target-hair", "feasible"), "curves"),
    **dict.fromkeys(("equal-budget", "equal-budget-margin"), "budget"),
    **dict.fromkeys(("borrowed-space", "equal-spending"), "ledger"),
    **dict.fromkeys(("inclusion",), "table"),
    **dict.fromkeys(("winner-stability",), "pairs"),
    **dict.fromkeys(("prediction",), "predictions"),
}
_PLACES = {
    "axes": "axis plots",
    "budget": "budget curves",
    "curves": "curves",
    "predictions": "predictions",
    "ledger": "ledger",
    "pairs": "pairs",
    "sensitivity": "other targets",
    "table": "results",
}
"""Parts of the page that show evidence, and what a link to them is called."""


def open_checks(document: Document, problem: str) -> list[Mapping[str, Any]]:
    """What is open: failures first, then what touches the headline, then what puts most at risk."""
    spoken = _spoken_of(document, problem)

    def place(check: Mapping[str, Any]) -> tuple[int, bool, int]:
        about = methods_of(check)
        return _severity(check["status"]), bool(about) and not spoken & set(about), check.get("risk") or _LAST

    return sorted((c for c in document["problems"][problem]["checks"] if c["status"] != "pass"), key=place)


def methods_of(check: Mapping[str, Any]) -> list[str]:
    """The methods that a check is about; none where it is about the problem."""
    return list(check.get("methods") or ([check["method"]] if check.get("method") else []))


def title_of(check: Mapping[str, Any]) -> str:
    """What was found, without methods and numbers; an older record has only the name of the rule."""
    return str(check.get("head") or check["check"].replace("-", " ").capitalize())


def _spoken_of(document: Document, problem: str) -> set[str]:
    """The methods of the headline: the leader and those it is ahead of; all of them where nothing is separated."""
    first = leading(document, problem)
    if first is None:
        return set(document["problems"][problem]["methods"])
    return {first} | {
        v["b"] for v in document["problems"][problem]["verdicts"] if v["a"] == first and v["words"] in CLAIMS
    }


def _severity(status: str) -> int:
    return GRADES.index(status) if status in GRADES else 0


def checks_element(document: Document, protocol: Protocol, problem: str, anchors: Iterable[str]) -> str:
    """The checks as HTML: what is open as a list, passes folded away."""
    palette, known = colours(list(protocol.methods)), set(anchors)
    places = by_order(ordered(document, problem))

    def place(check: Mapping[str, Any]) -> int:
        return min((places.get(name, len(places)) for name in methods_of(check)), default=len(places))

    passed = sorted((c for c in document["problems"][problem]["checks"] if c["status"] == "pass"), key=place)
    said = "".join(
        f'<li id="{anchor(document, problem, f"check{i}")}">{_open(check, document, problem, palette, known)}</li>'
        for i, check in enumerate(open_checks(document, problem))
    )
    parts = [f'<ul class="kinds">{said}</ul>' if said else "<p>No check is open.</p>"]
    if passed:
        rows = [_row(check, document, problem, palette, known) for check in passed]
        table = grid("Checks that passed.", ["method", "check", "evidence", "shown"], rows, text=range(4))
        count = plural(len(passed), "check")
        parts.append(f'<details><summary>{count} passed</summary><div class="checks">{table}</div></details>')
    return "\n".join(parts)


def _open(
    check: Mapping[str, Any], document: Document, problem: str, palette: Mapping[str, str], known: set[str]
) -> str:
    status = check["status"] if check["status"] in GRADES else "warn"
    title, names = prose(title_of(check)), ", ".join(_named(m, palette) for m in methods_of(check))
    evidence = str(check["evidence"]).removeprefix(f"{check.get('head')}: ")
    where = check_anchor(check, document, problem, known)
    place = f' <a href="#{where}">See the {escape(_place_words(where))}</a>.' if where else ""
    risk = f'<span class="note">At risk: {escape(check["at_risk"])}.</span>' if check.get("at_risk") else ""
    advice = f"<p><b>Do:</b> {prose(check['advice'])}</p>" if check.get("advice") else ""
    return (
        f'<span class="badge {status}">{status}</span><div><p><b>{title}</b>{f": {names}" if names else ""}.'
        f"{place} {risk}</p><p>{prose(evidence)}</p>{advice}</div>"
    )


_TOLD = re.compile(r"(?:Failed|Open) checks: [^.]*")
"""Where the line under the verdict names checks by their slugs."""


def linked(document: Document, problem: str, line: str) -> str:
    """The line under the verdict as HTML: each check that it names leads to its entry and says what it asks."""
    parts, end = [], 0
    for told in _TOLD.finditer(line):
        head, _, slugs = told[0].partition(": ")
        parts += [prose(line[end : told.start()]), f"{head}: ", check_links(document, problem, slugs.split(", "))]
        end = told.end()
    return "".join([*parts, prose(line[end:])])


def check_links(document: Document, problem: str, slugs: Iterable[str]) -> str:
    """Names of rules as HTML, each a link to the first entry of its rule that says what it asks; plain without one."""
    found: dict[str, str] = {}
    for i, check in enumerate(open_checks(document, problem)):
        slug, place = str(check["check"]), anchor(document, problem, f"check{i}")
        asks = prose(check.get("asks") or title_of(check))
        found.setdefault(slug, f'<a href="#{place}" title="{asks}">{escape(slug)}</a>')
    return ", ".join(found.get(slug, prose(slug)) for slug in slugs)


def _named(method: Any, palette: Mapping[str, str]) -> str:
    return method_name(str(method), palette) if method in palette else escape(method or NOTHING)


def _row(
    check: Mapping[str, Any], document: Document, problem: str, palette: Mapping[str, str], known: set[str]
) -> list[str]:
    where, methods = check_anchor(check, document, problem, known), methods_of(check)
    source, slug = escape(check.get("source") or ""), escape(str(check["check"]).replace("-", " "))
    about = escape(", ".join(methods) or problem)
    return [
        ", ".join(_named(method, palette) for method in methods) or NOTHING,
        f'<span title="{source}">{slug}</span>',
        prose(check["evidence"]),
        f'<a href="#{where}">{escape(_place_words(where))}<span class="aside"> on {slug}, {about}</span></a>'
        if where
        else "",
    ]


def check_anchor(check: Mapping[str, Any], document: Document, problem: str, known: set[str]) -> str | None:
    """Where the page shows the evidence of a check: its own link if that names a place, else what its kind implies."""
    link = str(check.get("link") or "").lstrip("#")
    if link in known:
        return link
    place = next((p for p in _PLACES if p in link), None) or _SHOWN.get(check["check"])
    if place is None:
        return None
    method = next(iter(methods_of(check)), None)
    per_method = place == "axes" and method in document["problems"][problem]["methods"]
    where = anchor(document, problem, place, method if per_method else None)
    return where if where in known else None


def _place_words(where: str) -> str:
    return next((words for place, words in _PLACES.items() if f"-{place}" in where), "evidence")


def summary_of_checks(document: Document, problem: str) -> str:
    """How the checks ended, as a sentence."""
    statuses = [c["status"] for c in document["problems"][problem]["checks"]]
    words = {"fail": "failed", "warn": "with a warning", "pass": "passed"}
    return f"{listed(f'{statuses.count(status)} {said}' for status, said in words.items())}."


def open_kinds(checks: Sequence[Mapping[str, Any]]) -> str:
    """What is open in one breath, for a line of text."""
    return listed(dict.fromkeys(title_of(check).lower() for check in checks))
