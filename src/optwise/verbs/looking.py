"""How often a comparison looks at its studies: once, or after a planned number of them until all is told apart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from optwise.analyses.verdict import NOT_SEPARATED
from optwise.core.protocol import Protocol
from optwise.store.folder import Folder

POSSIBLE = "claims_possible"
"""In the notes: whether there were studies enough for any claim."""


def planned(protocol: Protocol) -> Iterator[Protocol]:
    """The protocol at each of its looks, with the studies there are by then; once where it looks once."""
    for studies in protocol.looks or (protocol.studies,):
        yield replace(protocol, studies=studies)


def decided(document: Mapping[str, Any]) -> bool:
    """Whether more studies could change no word: no pair is *not separated*."""
    pairs = [v for problem in document["problems"].values() for v in problem["verdicts"]]
    return all(v["words"] != NOT_SEPARATED for v in pairs)


def claims_possible(document: Mapping[str, Any]) -> bool:
    """Whether there were studies enough for any claim."""
    pairs = [v for problem in document["problems"].values() for v in problem["verdicts"]]
    return any(v["p"] is not None and v["studies_needed"] is None for v in pairs)


def earlier_looks(folder: Folder, protocol: Protocol) -> list[int]:
    """Numbers of studies at which this question was answered before outside any design, fewer than now.

    Whoever adds studies until something is separated looks more than once; the p-values are corrected for what is on
    record. A look with too few studies for any claim does not count.
    """
    if protocol.looks:
        return []
    now = _question(protocol.question_part)
    seen = set()
    for recorded in folder.protocols().values():
        asked = recorded.get("question", {})
        if "studies" in asked and _question(asked) == now and not asked.get("looks"):
            seen |= {int(asked["studies"])} if recorded["notes"].get(POSSIBLE, True) else set()
    return sorted(n for n in seen if n < protocol.studies)


def dropped_methods(folder: Folder, protocol: Protocol) -> list[str]:
    """Methods about which this question was answered before and which are left out now: their pairs were looked at.

    Whoever leaves out methods until the rest is separated has asked about them all the same.
    """
    now, here = _question(protocol.question_part), protocol.question_part["methods"]
    gone: dict[str, Any] = {}
    for recorded in folder.protocols().values():
        asked = recorded.get("question", {})
        if "methods" not in asked or _without_methods(_question(asked)) != _without_methods(now):
            continue
        if recorded["notes"].get(POSSIBLE, True):
            gone |= {
                name if name not in here else f"{name} as it was": method
                for name, method in asked["methods"].items()
                if here.get(name) != method
            }
    return sorted(gone)


def _without_methods(part: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in part.items() if name not in ("methods", "looks", "against", "scientific")}


def _question(part: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in part.items() if name != "studies"}
