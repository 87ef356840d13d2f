"""What the figures of a comparison say: one sentence each, read off the numbers that are drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from optwise.core.metric import Direction
from optwise.core.protocol import Protocol
from optwise.numerics.critical_difference import AverageRanks
from optwise.report.figures.budget_curves import Goal
from optwise.report.figures.sensitivity import fastest
from optwise.report.readings import CLAIMS, Document, direction_of
from optwise.report.words import goal_words, listed, number, plural, with_interval


def separated_pairs(verdicts: Sequence[Mapping[str, Any]], level: str) -> str:
    """How many pairs are separated, of those that were asked about."""
    asked = [v for v in verdicts if v.get("asked", True)]
    claims = sum(v["words"] in CLAIMS for v in asked)
    if len(asked) == 1:
        return f"The one pair is {'' if claims else 'not '}separated at level {level}."
    count = f"{claims} of {plural(len(asked), 'pair')} are"
    return f"{count} separated at level {level}, all of them together."


def curves_question(protocol: Protocol, problem: str, metric: str) -> str:
    """What the curves are looked at for."""
    if protocol.targets.get(problem) is not None:
        return "Which method reaches the target first?"
    lowest = direction_of(protocol, problem, metric) is Direction.MIN
    return f"Which method comes to the {'lowest' if lowest else 'highest'} {metric}?"


def first_to_arrive(document: Document, protocol: Protocol, problem: str) -> str:
    """The earliest median, or the best one where there is no target."""
    target, methods = protocol.targets.get(problem), document["problems"][problem]["methods"]
    if target is None:
        return _best_value(document, protocol, problem)
    times = _times(methods)
    if not times:
        return f"No method reaches {goal_words(target)} in more than half of its runs."
    time = next(iter(times.values()))
    tied = [name for name in times if times[name]["median"] == time["median"]]
    first, rest = listed(tied), list(times)[len(tied) :]
    second = f"; next is {rest[0]} at {number(times[rest[0]]['median'])}" if rest else ""
    return (
        f"{first} at the median: {goal_words(target)} after {with_interval(time['median'], time['low'], time['high'])} "
        f"{time['axis']}{second}. Only the pairs say what is separated."
    )


def _times(methods: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Time to target by method, fastest median first, of the methods that have one."""
    known = {name: m["confirm"].get("time_to_target") for name, m in methods.items()}
    reached = {name: time for name, time in known.items() if time is not None and time.get("median") is not None}
    return dict(sorted(reached.items(), key=lambda pair: pair[1]["median"]))


def _best_value(document: Document, protocol: Protocol, problem: str) -> str:
    values = {name: m["confirm"]["value"] for name, m in document["problems"][problem]["methods"].items()}
    known = {name: value for name, value in values.items() if value["median"] is not None}
    if not known:
        return "No method has a finite value."
    sign = direction_of(protocol, problem, document["protocol"]["metric"][problem]).sign
    best = min(known, key=lambda name: sign * known[name]["median"])
    value = known[best]
    interval = with_interval(value["median"], value["low"], value["high"])
    return (
        f"Of the best {value['metric']} over a run, which is what is compared, {best} has the best median: {interval}. "
        "Only the pairs say what is separated."
    )


def small_budgets(rows: pd.DataFrame, goal: Goal, *, trials: int) -> str:
    """Which method has the best median with a few trials, and with those of one study.

    Args:
        rows: Of the budget curves.
        goal: What ranks.
        trials: Of one study.
    """
    answers = []
    for k in sorted({min(4, trials), trials}):
        at = rows[(rows["k"] == k) & rows["median"].notna()]
        if len(at):
            best = at.iloc[int((at["median"] * goal.direction.sign).to_numpy().argmin())]
            answers.append(f"with {plural(k, 'trial')} {best['method']} ({number(float(best['median']))})")
    return f"By median best {goal.words} in search: {listed(answers)}." if answers else "No search of so few found one."


def hangs_on_target(document: Document, problem: str, rows: pd.DataFrame, direction: Direction) -> str:
    """Whether another target would change the verdict: the document's own words, else those of the medians alone.

    Args:
        document: The results document.
        problem: Its name.
        rows: Median times as the target moves.
        direction: Of the target.
    """
    told = document["problems"][problem].get("hangs_on_target")
    if told:
        return f"{'Yes' if told['answer'] else 'No'}. {told['sentence']}"
    winners = [(value, name) for value, name in fastest(rows, direction) if name is not None]
    changes = [pair for i, pair in enumerate(winners) if i == 0 or pair[1] != winners[i - 1][1]]
    if not changes:
        return "No target has a single earliest median; verdicts were not asked at other targets."
    said = listed(f"{name} from {number(value)}" for value, name in changes)
    named = f"is {changes[0][1]}'s throughout" if len(changes) == 1 else f"belongs to {said}"
    return f"The earliest median {named}; verdicts were not asked at other targets."


def ranks_answer(found: AverageRanks, methods: Sequence[str]) -> str:
    """Who ranks first on average, and whom the problems cannot tell from it."""
    best = min(found.ranks)
    first = [name for name, rank in zip(methods, found.ranks, strict=True) if rank == best]
    near = [
        name for name, rank in zip(methods, found.ranks, strict=True) if rank != best and rank - best < found.difference
    ]
    whom = "it" if len(first) == 1 else "them"
    cannot = f"{plural(found.problems, 'problem')} cannot tell {whom} from {listed(near)}"
    return f"{listed(first)} at {number(best)}; {cannot if near else 'all others differ'}."
