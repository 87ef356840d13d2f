"""What the reader of a page may do with it: settings to paste, and at most three commands, filled in."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from optwise.analyses.best_study import best_study, deciding_rule
from optwise.core.budget import STEPS
from optwise.core.metric import Direction, Target
from optwise.core.protocol import Protocol
from optwise.core.run import Phase, Run
from optwise.core.space import LogUniform, OneMinus, closed_description, space_of
from optwise.report.hints import MOST, Hints, Setting, Step
from optwise.report.readings import CLAIMS, Document, leading, ordered
from optwise.report.words import listed, plural
from optwise.verbs.asking import SEPARATED
from optwise.verbs.command_words import compare_call, compare_command
from optwise.verbs.settings_as_code import setting_code


def hints(document: Document, protocol: Protocol, runs: Sequence[Run], folder: str) -> Hints:
    """Settings to paste and steps to take.

    Args:
        document: The results document.
        protocol: Its protocol.
        runs: Every run of the comparison.
        folder: Where it lies, as the caller wrote it.
    """
    settings = [
        setting
        for problem in document["problems"]
        for method in ordered(document, problem)
        if (setting := _setting(document, protocol, runs, problem, method)) is not None
    ]
    steps = [step for step in _steps(document, protocol, folder) if step is not None]
    again = compare_command(protocol, folder) or compare_call(protocol, folder)
    return Hints(settings, steps[:MOST], again, folder)


def _setting(document: Document, protocol: Protocol, runs: Sequence[Run], problem: str, method: str) -> Setting | None:
    result, metric, target = (
        document["problems"][problem]["methods"][method],
        protocol.metrics[problem],
        protocol.targets[problem],
    )
    description = protocol.methods[method].describe()
    steps = int((result["search"].get("budget") or {}).get(STEPS) or 0)
    if not steps:
        return None
    if not protocol.methods[method].is_open:
        return Setting(problem, method, f"{method} as it was given.", setting_code(description, steps=steps))
    own = [
        r
        for r in runs
        if r.name is not None and (r.name.problem, r.name.method, r.name.phase) == (problem, method, Phase.CONFIRM)
    ]
    direction = Direction(protocol.problems[problem]["metrics"][metric.rpartition("/")[2]])
    study = best_study(own, metric=metric, direction=direction, target=target, axis=protocol.axis)
    picks = {pick["study"]: pick["point"] for pick in result.get("selected") or [] if pick is not None}
    if study not in picks:
        return None
    code = setting_code(closed_description(description, picks[study]), steps=steps)
    rule = deciding_rule(own, target=target)
    which = f"Study {study} of 0 to {len(picks) - 1}: {rule}" if len(picks) > 1 else "The one study"
    return Setting(problem, method, f"{which}. Rounded.", code)


def _steps(document: Document, protocol: Protocol, folder: str) -> Iterator[Step | None]:
    """In the order of use: enough studies for any verdict, wider spaces, a target that is reached, more studies."""
    needed = [
        v["studies_needed"] for p in document["problems"].values() for v in p["verdicts"] if v.get("studies_needed")
    ]
    if needed:
        why = f"Run the {max(needed)} studies that could separate something; those run are kept."
        yield _change(protocol, folder, why, studies=max(needed))
    yield _wider(document, protocol, folder)
    yield _other_target(document, protocol, folder)
    if not needed and not protocol.looks and _unsettled(document):
        why = "Add studies until every pair is told apart, at looks that are corrected for; those run are kept."
        yield _change(protocol, folder, why, until=SEPARATED)
    yield _reveal(document, protocol, folder)
    yield Step("Every measurement as one table.", shlex.join(["optwise", "export", folder, "--to", "csv"]))


def _unsettled(document: Document) -> bool:
    """Whether a pair that the headline speaks of is not separated."""
    return any(
        v["words"] == "not separated" and not v.get("because") and leading(document, name) in (None, v["a"], v["b"])
        for name, problem in document["problems"].items()
        for v in problem["verdicts"]
    )


def _change(protocol: Protocol, folder: str, why: str, **change: Any) -> Step:
    """The same comparison with one setting changed, on the command line or, where that has no words, in Python."""
    return Step(why, compare_command(protocol, folder, more=change) or compare_call(protocol, folder, more=change))


def _wider(document: Document, protocol: Protocol, folder: str) -> Step | None:
    """A comparison anew with the spaces widened that end where good settings lie.

    It gets a folder and a seed of its own: a space that was chosen after a result is judged by studies that had no part
    in the choice, and the page that was read stays what it was.
    """
    described = {name: method.describe() for name, method in protocol.methods.items()}
    changed: list[str] = []
    for problem in document["problems"].values():
        for check in (part for found in problem["checks"] for part in found.get("parts") or [found]):
            proposal, method = check.get("wider"), check.get("method")
            if check["status"] == "pass" or not proposal or method not in described:
                continue
            described[method] = _widened(described[method], **proposal)
            changed += [] if method in changed else [method]
    if not changed:
        return None
    fresh, place = replace(protocol, seed=protocol.seed + 1), f"{folder}-wider"
    command = compare_command(fresh, place, methods=described)
    whose = "its" if len(changed) == 1 else "their"
    why = f"Search {listed(changed)} in the wider space that {whose} best settings ask for: anew, with other seeds."
    return Step(why, command) if command is not None else None


def _widened(description: Mapping[str, Any], *, field: str, low: float, high: float) -> dict[str, Any]:
    """The description with another range at a path, on the scale it is searched on."""
    match space_of(description).fields.get(field):
        case LogUniform():
            wide: Any = {"class": "LogUniform", "low": low, "high": high}
        case OneMinus(of=LogUniform()):
            wide = {"class": "OneMinus", "of": {"class": "LogUniform", "low": low, "high": high}}
        case _:
            return dict(description)
    return closed_description(description, {field: wide})


def _other_target(document: Document, protocol: Protocol, folder: str) -> Step | None:
    """The hardest target near this one that every method reaches in over half of its runs, else that half of all do."""
    if len(protocol.problems) > 1:  # one target would be asked of all of them
        return None
    for name, problem in document["problems"].items():
        target, methods = protocol.targets[name], list(problem["methods"])
        times = [m["confirm"].get("time_to_target") for m in problem["methods"].values()]
        late = [t for t in times if t is not None and t["median"] is None]
        if target is None or not late:
            continue
        near = [
            row["target"] for row in problem.get("sensitivity") or [] if all(row.get(m) is not None for m in methods)
        ]
        anywhere = (problem.get("target_curve") or {}).get("targets") or []
        if not near and not anywhere:
            continue
        value = (min if target.direction is Direction.MIN else max)(near or anywhere)
        goal = str(Target(target.metric, easier(value, target.direction), target.direction))
        who = "all" if near else "half of the runs"
        missed = f"{plural(len(late), 'method')} missed this one in half of the runs or more"
        why = f"Ask for a target that {who} reach: {missed}."
        return Step(why, shlex.join(["optwise", "score", folder, "--target", goal]))
    return None


def easier(value: float, direction: Direction) -> float:
    """Four digits, rounded towards the easier side.

    Example:
        >>> easier(0.0625949, Direction.MIN), easier(0.977777, Direction.MAX)
        (0.0626, 0.9777)
    """
    if value == 0:
        return value
    scale = 10.0 ** (3 - math.floor(math.log10(abs(value))))
    whole = math.ceil(value * scale) if direction is Direction.MIN else math.floor(value * scale)
    return float(f"{whole / scale:.4g}")


def _reveal(document: Document, protocol: Protocol, folder: str) -> Step | None:
    """The test split, where there is one that nobody looked at, and a claim to confirm."""
    about = protocol.problems.values()
    claims = any(v["words"] in CLAIMS for p in document["problems"].values() for v in p["verdicts"])
    if (
        document["environment"].get("revealed")
        or not claims
        or not any("test" in (a.get("splits") or {}) for a in about)
    ):
        return None
    return _change(
        protocol, folder, "Look at the test split, once; the record keeps that it was done.", reveal_test=True
    )
