"""Check rules across methods: special cases that win, margins at an equal budget, and how stable the winner is."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.stats import t as student

from optwise.analyses.intervals import LEVEL
from optwise.analyses.subject import Subject, anchor, studies
from optwise.analyses.verdict import BETTER, FASTER
from optwise.core.check import Check
from optwise.core.finding import Finding, Interval, Risk
from optwise.core.run import Run
from optwise.numerics.statistics import probability_best_of_k

_CHOI = "Choi et al. (2019), On Empirical Comparisons of Optimizers for Deep Learning"
INCLUSION = Check("inclusion", "Does a special case beat the method that contains it?", Risk.CLAIM, _CHOI)
EQUAL_BUDGET = Check("equal-budget", "Does the winner of a claim win equal searches too?", Risk.CLAIM)
STABILITY = Check("winner-stability", "Would another set of studies put the same method first?", Risk.CLAIM)

SURVIVES = 0.5
"""The winner's share of equal searches above which its margin survives. Source: optwise, own choice."""
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
    subject, inside = f"{problem}/{general}", f"{special} is {general} at {case.limit}"
    if claim is None:
        return replace(INCLUSION, source=case.source).passes(
            subject, f"{inside}, and {special} does not beat it.", link=anchor("budget-curves")
        )
    return replace(INCLUSION, source=case.source).opens(
        subject,
        "A method lost to a special case of itself, so that it was under-tuned",
        f"{inside}, and came out {claim['words']}",
        value=claim.get("ratio"),
        interval=Interval(claim.get("ratio_low"), claim.get("ratio_high")),
        advice=f"Let the space of {general} reach {case.limit}, or give it more trials.",
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
    the other, in closed form, by their search values. The interval is the jackknife's over studies.

    Args:
        winner: The better method of a claim.
        loser: The other.
        search: Method to its explore trials.
        spent: What a run had spent on the axis after some steps; the steps themselves where not given.
    """
    worths = [_worths(s, search[s.method], spent or _steps) for s in (winner, loser)]
    if not all(worths):
        return None
    k = min(min(map(len, of_one)) for of_one in worths)
    share, span = _share(worths[0], worths[1], k), _jackknife(worths[0], worths[1], k)
    counted = f"{share:.0%} of searches of {k} random trials each"
    if span.high is None or span.high >= SURVIVES:
        return EQUAL_BUDGET.passes(
            winner,
            f"By search values {winner.method} beats {loser.method} in {counted}.",
            value=share,
            interval=span,
            link=anchor("budget-curves"),
        )
    return EQUAL_BUDGET.opens(
        winner,
        "The winner of a claim loses most equal searches, by search values",
        f"{winner.method} wins {counted} against {loser.method}",
        value=share,
        interval=span,
        advice="Give both more trials or studies before you prefer one.",
        link=anchor("budget-curves"),
    )


def winner_stability(
    problem: str, shares: Mapping[str, float], verdicts: Sequence[Mapping[str, Any]]
) -> Finding | None:
    """Do resampled sets of studies put first the method that was found better than the next?

    Where the two that come first most often are not separated nobody is called the winner, and there is nothing to warn
    of.

    Args:
        problem: Name.
        shares: Method to the share of resampled sets of studies in which it comes first.
        verdicts: As in the results document.
    """
    if len(shares) < 2:
        return None
    first, second = sorted(shares, key=lambda name: -shares[name])[:2]
    counted = f"{first} in {shares[first]:.0%} of resampled sets of studies, {second} in {shares[second]:.0%}"
    claimed = any(v["words"] in (FASTER, BETTER) and {v["a"], v["b"]} == {first, second} for v in verdicts)
    if shares[first] >= STABLE or not claimed:
        return STABILITY.passes(problem, f"First comes {counted}.", value=shares[first], link=anchor("budget-curves"))
    return STABILITY.opens(
        problem,
        "Another set of studies could put another method first",
        counted,
        value=shares[first],
        link=anchor("budget-curves"),
    )


def _worths(subject: Subject, search: Sequence[Run], spent: Callable[[Run, float], float]) -> list[list[float]]:
    """Per study, what each trial was worth to the rule that selects: time where there is a target, else cost."""
    return [[_worth(subject, run, spent) for run in study] for study in studies(search)]


def _worth(subject: Subject, run: Run, spent: Callable[[Run, float], float]) -> float:
    if not subject.feasible(run):
        return math.inf
    if subject.target is None:
        return subject.cost(run)
    step = run.steps_to(subject.target)
    return math.inf if step is None else spent(run, step)


def _steps(_: Run, step: float) -> float:
    return step


def _share(a: Sequence[Sequence[float]], b: Sequence[Sequence[float]], k: int) -> float:
    return probability_best_of_k([x for study in a for x in study], [x for study in b for x in study], k)


def _jackknife(a: Sequence[Sequence[float]], b: Sequence[Sequence[float]], k: int) -> Interval:
    """Student's interval of the share, its variance from leaving out one study after the other."""
    if min(len(a), len(b)) < 2:
        return Interval(None, None)
    without_a = [_share([s for s in a if s is not one], b, k) for one in a]
    without_b = [_share(a, [s for s in b if s is not one], k) for one in b]
    variance = sum((len(x) - 1) * float(np.var(x)) for x in (without_a, without_b))
    half = float(student.ppf(0.5 + LEVEL / 2, min(len(a), len(b)) - 1)) * math.sqrt(variance)
    share = _share(a, b, k)
    return Interval(max(share - half, 0.0), min(share + half, 1.0))
