"""The verdict on a comparison of solvers: certificates and counts are facts, seconds differ where their ranges do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from optwise.report.words import duration, listed, number

FEW = 3
"""Names that the headline lists; more are counted."""


def race_headline(document: Mapping[str, Any]) -> str:
    """The verdict in at most fifteen words.

    Args:
        document: The results document.
    """
    problems = document["problems"]
    if len(problems) > 1:
        profile = document["profiles"]["seconds"]
        leader = max(profile["score"], key=lambda m: profile["score"][m])
        return f"{leader} leads in seconds over {len(problems)} problems."
    ((name, problem),) = problems.items()
    solved = {m: told for m, told in problem["methods"].items() if told["certified"]}
    if not solved:
        return f"No solver proves its answer on {name}."
    first = min(solved, key=lambda m: solved[m]["seconds"]["median"])
    level = [m for m in solved if m == first or _overlap(solved[first], solved[m])]
    if len(solved) == 1:
        return f"Only {first} proves its answer on {name}, after {_time(solved[first])}."
    if len(level) == 1:
        return f"{first} proves its answer on {name} first, after {_time(solved[first])}."
    who = listed(level) if len(level) <= FEW else f"{len(level)} solvers"
    return f"{who} prove their answers on {name} first, equally fast."


def race_verdict(document: Mapping[str, Any]) -> str:
    """One or two sentences: who proves what, with the least work, in which time.

    Args:
        document: The results document, its problems and profiles.
    """
    problems = document["problems"]
    if len(problems) == 1:
        ((name, problem),) = problems.items()
        return _single(name, problem, document["protocol"])
    return _several(document)


def _single(name: str, problem: Mapping[str, Any], protocol: Mapping[str, Any]) -> str:
    solved = {m: told for m, told in problem["methods"].items() if told["certified"]}
    failed = [m for m in problem["methods"] if m not in solved]
    if not solved:
        return f"On {name}, no method reaches a certificate of {protocol['tol']:g}; {_failures(problem, failed)}."
    kinds = {told["certificate"]["kind"] for told in solved.values()}
    proved = "is proved optimal" if kinds == {"optimality"} else "is certified"
    order = sorted(solved, key=lambda m: solved[m]["seconds"]["median"])
    fastest = order[0]
    head = f"On {name}, the answer of {fastest} {proved} to {protocol['tol']:g} after {_time(solved[fastest])}"
    rest = [m for m in order[1:] if not _overlap(solved[fastest], solved[m])]
    close = [m for m in order[1:] if _overlap(solved[fastest], solved[m])]
    parts = []
    if rest:
        parts.append(f"faster than {listed([f'{m} ({_time(solved[m])})' for m in rest])}")
    if close:
        parts.append(f"not separated in seconds from {listed([f'{m} ({_time(solved[m])})' for m in close])}")
    sentence = f"{head}{', ' if parts else ''}{'; '.join(parts)}."
    least = min(solved, key=lambda m: solved[m]["gradient_equivalents"])
    work = f" The least work takes {least}, {number(solved[least]['gradient_equivalents'])} gradient equivalents."
    tail = f" {_failures(problem, failed)}." if failed else ""
    return sentence + (work if len(solved) > 1 else "") + tail


def _several(document: Mapping[str, Any]) -> str:
    profile, problems = document["profiles"]["seconds"], document["problems"]
    order = sorted(profile["score"], key=lambda m: -profile["score"][m])
    leader = order[0]
    first = sum(_fastest(problem) == leader for problem in problems.values())
    said = [f"{m} {profile['solved'][m]:.0%}" for m in order]
    return (
        f"On {len(problems)} problems to a certificate of {document['protocol']['tol']:g}, {leader} leads the profile "
        f"of seconds: fastest on {first}, and it proves {profile['solved'][leader]:.0%} of its answers "
        f"(all methods: {', '.join(said)})."
    )


def _fastest(problem: Mapping[str, Any]) -> str | None:
    solved = {m: t["seconds"]["median"] for m, t in problem["methods"].items() if t["certified"]}
    return min(solved, key=lambda m: solved[m]) if solved else None


def _overlap(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether the ranges of seconds over repeats meet."""
    a, b = one["seconds"], other["seconds"]
    return bool(a["low"] <= b["high"] and b["low"] <= a["high"])


def _failures(problem: Mapping[str, Any], failed: list[str]) -> str:
    said = []
    for method in failed:
        told = problem["methods"][method]
        said.append(f"{method} is not eligible" if told["status"] == "not eligible" else f"{method}: {told['status']}")
    return "; ".join(said)


def _time(told: Mapping[str, Any]) -> str:
    return duration(told["seconds"]["median"])
