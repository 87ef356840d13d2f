"""Check rules across methods: special cases that win, margins at an equal budget, and how stable the winner is."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from optwise.analyses.ranking import BETTER, FASTER
from optwise.analyses.subject import OWN, Subject, anchor
from optwise.core.finding import Finding, Grade, Interval
from optwise.core.outcomes import steps_to_target
from optwise.core.run import Run
from optwise.numerics.statistics import probability_best_of_k

SURVIVES = 0.5
"""The winner's chance to win a study of the smaller budget, above which its margin survives.
Source: optwise, own choice."""
STABLE = 0.8
"""Share of sets of studies that must name the same winner. Source: optwise, own choice."""


@dataclass(frozen=True)
class Inclusion:
    """A method that another reproduces at one end of a hyperparameter: the general one cannot lose, tuned well enough.

    Args:
        special: Class of the special case.
        general: Class that includes it.
        limit: Where the general method becomes the special one.
        source: Who says so.
    """

    special: str
    general: str
    limit: str
    source: str


_CHOI = "Choi et al. (2019), On Empirical Comparisons of Optimizers for Deep Learning"
LATTICE = (
    Inclusion("sgd", "momentum", "momentum = 0", _CHOI),
    Inclusion("sgd", "nesterov", "momentum = 0", _CHOI),
)
"""Special cases that a default space reaches; limits in fields that are not open, as weight decay is, are left out."""


def inclusion(problem: str, classes: Mapping[str, str], verdicts: Sequence[Mapping[str, Any]]) -> list[Finding]:
    """Does a special case beat its generalisation? Then the general method was under-tuned, and no more is known.

    Args:
        problem: Name.
        classes: Method name to the name of its class.
        verdicts: As in the results document; ``a`` is the better one of a claim.
    """
    named = {name: kind.lower() for name, kind in classes.items()}
    claims = {(v["a"], v["b"]): v for v in verdicts if v["words"] in (FASTER, BETTER)}
    return [
        _included(problem, case, special, general, claims.get((special, general)))
        for case in LATTICE
        for special in named
        for general in named
        if (named[special], named[general]) == (case.special, case.general)
    ]


def _included(problem: str, case: Inclusion, special: str, general: str, claim: Mapping[str, Any] | None) -> Finding:
    inside = f"{special} is {general} at {case.limit}"
    lost = claim is not None
    ratio, low, high = (claim.get(key) for key in ("ratio", "ratio_low", "ratio_high")) if claim else (None,) * 3
    return Finding(
        check="inclusion",
        grade=Grade.WARN if lost else Grade.PASS,
        evidence=f"{inside}, and {special} came out {claim['words']}: {general} was under-tuned."
        if claim
        else f"{inside}, and {special} does not beat it.",
        subject=f"{problem}/{general}",
        value=ratio,
        interval=Interval(low, high) if lost else None,
        source=case.source,
        advice=f"Let the space of {general} reach {case.limit}, or give it more trials." if lost else "",
        link=anchor("budget-curves"),
    )


def equal_budget(
    winner: Subject,
    loser: Subject,
    search: Mapping[str, Sequence[Run]],
    *,
    spent: Callable[[Run, float], float] | None = None,
) -> Finding | None:
    """Does the winner still win when both methods search with the smaller number of trials?

    Both are cut to the smaller number of trials a study had: k random ones of all points of one method against k of
    the other, in closed form. The interval is the range when any one study is left out.

    Args:
        winner: The better method of a claim.
        loser: The other.
        search: Method to its explore trials.
        spent: What a run had spent on the axis after some steps; the steps themselves where not given.
    """
    studies = [_studies(s, search[s.method], spent or _steps) for s in (winner, loser)]
    if not all(studies):
        return None
    k = min(min(map(len, of_one)) for of_one in studies)
    chance = _chance(studies[0], studies[1], k)
    left_out = [
        _chance([s for s in studies[0] if s is not a], [s for s in studies[1] if s is not b], k)
        for a in (None, *studies[0])
        for b in (None, *studies[1])
        if (a is None) != (b is None) and len(studies[0 if b is None else 1]) > 1
    ]
    warn = chance <= SURVIVES
    return Finding(
        check="equal-budget",
        grade=Grade.WARN if warn else Grade.PASS,
        evidence=f"With {k} random trials each, the best of {winner.method} beats the best of {loser.method} with "
        f"probability {chance:.2f}: its margin {'does not survive' if warn else 'survives'} an equal search.",
        subject=str(winner),
        value=chance,
        interval=Interval(min(left_out), max(left_out)) if left_out else Interval(None, None),
        source=OWN,
        advice=f"Give {winner.method} and {loser.method} more trials or studies before you prefer one." if warn else "",
        link=anchor("budget-curves"),
    )


def winner_stability(problem: str, shares: Mapping[str, float]) -> Finding | None:
    """Would another set of studies name the same winner?

    Args:
        problem: Name.
        shares: Method to the share of resampled sets of studies that it wins.
    """
    if len(shares) < 2:
        return None
    leader, second = sorted(shares, key=lambda name: -shares[name])[:2]
    return Finding(
        check="winner-stability",
        grade=Grade.PASS if shares[leader] >= STABLE else Grade.WARN,
        evidence=f"Another set of studies would name {leader} the winner with probability {shares[leader]:.2f}, "
        f"{second} with {shares[second]:.2f}.",
        subject=f"{problem}/{leader}",
        value=shares[leader],
        source=OWN,
        link=anchor("budget-curves"),
    )


def _studies(subject: Subject, search: Sequence[Run], spent: Callable[[Run, float], float]) -> list[list[float]]:
    """Per study, what each trial was worth to the rule that selects: time where there is a target, else cost."""
    studies: dict[int, list[float]] = {}
    for run in search:
        if run.name is not None:
            studies.setdefault(run.name.study, []).append(_worth(subject, run, spent))
    return list(studies.values())


def _worth(subject: Subject, run: Run, spent: Callable[[Run, float], float]) -> float:
    if not subject.feasible(run):
        return math.inf
    if subject.target is None:
        return subject.cost(run)
    step = steps_to_target(run, subject.target)
    return math.inf if step is None else spent(run, step)


def _steps(_: Run, step: float) -> float:
    return step


def _chance(a: Sequence[Sequence[float]], b: Sequence[Sequence[float]], k: int) -> float:
    return probability_best_of_k([x for study in a for x in study], [x for study in b for x in study], k)
