"""Verdicts about pairs of methods: words that the studies allow, and never a bare ranking."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil, comb

import numpy as np

from optwise.analyses.observations import Observations, Studies, in_order
from optwise.analyses.verdict import (
    BETTER,
    EQUIVALENT,
    FASTER,
    NOBODY,
    NOT_COMPARABLE,
    NOT_SEPARATED,
    Asked,
    Pair,
    Verdict,
    asked_pairs,
)
from optwise.numerics.permutation import Difference, StudyComparison, study_difference
from optwise.numerics.power import smallest_ratio
from optwise.numerics.sequential import overall_p
from optwise.numerics.statistics import compare_studies, fewest_for, holm, reaches_level


def verdicts(observations: Mapping[str, Observations], asked: Asked) -> list[Verdict]:
    """A verdict for every pair that is asked about, in the order of ``observations``.

    Words, in this order: *not comparable* where a method has no feasible trial, or was timed apart; *equivalent within
    margin* where the interval lies inside it; *faster* or *better* where the adjusted p-value allows; else *not
    separated*. Where even a clean sweep could not reach the level, or no run of either arrived, the only word is *not
    separated*, with what could change it.

    Interval and word agree: the intervals of all pairs hold together at the level (each at that of its share), those of
    *not separated* pairs hold 1, and where Holm's steps claim more than equal shares would, the end stops at 1.

    Args:
        observations: Method to its studies.
        asked: The question.
    """
    pairs = asked_pairs(observations, asked.against)
    reasons = {pair: _unusable(observations, *pair) or (asked.apart or {}).get(pair, "") for pair in pairs}
    usable = [pair for pair in pairs if not reasons[pair]]
    tested = [pair for pair in usable if not _certain(observations, pair)]
    looked = {pair: _look(observations, pair, asked, len(tested) + asked.dropped) for pair in tested}
    adjusted = holm([*(looked[pair].worth for pair in tested), *[1.0] * asked.dropped])[: len(tested)] if tested else ()
    claimed = dict(zip(tested, map(float, adjusted), strict=True))
    found = []
    for pair in pairs:
        if reasons[pair]:
            found.append(Verdict(*pair, NOT_COMPARABLE, reasons[pair]))
        elif pair in looked:
            x, y = (observations[name] for name in pair)
            found.append(_judged(x, y, looked[pair], claimed[pair], asked))
        else:
            found.append(_without_test(observations, pair, asked))
    return found


def order(observations: Mapping[str, Observations], found: Sequence[Verdict]) -> list[str]:
    """The one order of a problem's methods; see :func:`~optwise.analyses.observations.in_order`."""
    won = {name: sum(v.a == name and v.claims for v in found) for name in observations}
    lost = {name: sum(v.b == name and v.claims for v in found) for name in observations}
    return in_order(observations, won, lost)


def leader(observations: Mapping[str, Observations], found: Sequence[Verdict]) -> str | None:
    """The method to speak of first: the first in order, if it is ahead of any; ``None`` where nothing is separated."""
    first = next(iter(order(observations, found)), None)
    return first if any(v.a == first and v.claims for v in found) else None


@dataclass(frozen=True)
class _Look:
    """A pair tested at every look so far.

    Args:
        pair: Who is tested.
        pairs: How many share the level.
        share: What one p-value must reach of it.
        clearest: The test at the look with the smallest p-value: it says who is ahead, whatever came later.
        worth: The p-value that Holm is given.
        at: Studies at that look.
    """

    pair: Pair
    pairs: int
    share: float
    clearest: Difference
    worth: float
    at: int


def _look(observations: Mapping[str, Observations], pair: Pair, asked: Asked, pairs: int) -> _Look:
    x, y = observations[pair[0]], observations[pair[1]]
    last = max(len(x.studies), len(y.studies))
    stops = [n for n in asked.looks if n < last] + [last]
    looks = sorted({*asked.looks, *stops}) if asked.looks else []  # one that was not planned counts as well
    share = asked.share(pairs, looks)
    seen = {n: _difference(x.first(n), y.first(n), asked) for n in stops}
    at = min(seen, key=lambda n: seen[n].p)
    worth = overall_p(seen[at].p, looks) if looks else seen[at].p
    return _Look(pair, pairs, share, seen[at], worth, at)


def _difference(x: Observations, y: Observations, asked: Asked) -> Difference:
    """The test; where runs were measured at different amounts, the largest p-value that these allow."""

    def difference(a: Studies, b: Studies) -> Difference:
        return study_difference(a, b, limit=min(x.limit, y.limit), log=asked.log)

    found = difference(x.studies, y.studies)
    if x.lows is None or y.lows is None or (x.grid is not None and x.grid == y.grid):
        return found
    ends = [difference(x.lows, y.studies), difference(x.studies, y.lows)]
    agree = all(np.sign(end.lead) == np.sign(found.lead) for end in ends)
    return found._replace(p=max(found.p, *(end.p for end in ends)) if agree else 1.0)


def _sized(x: Observations, y: Observations, share: float, asked: Asked) -> StudyComparison:
    return compare_studies(
        x.studies,
        y.studies,
        level=1 - share,
        limit=min(x.limit, y.limit),
        low_a=x.lows,
        low_b=y.lows,
        log=asked.log,
    )


def _judged(x: Observations, y: Observations, look: _Look, p_adjusted: float, asked: Asked) -> Verdict:
    """The verdict on all studies, or a claim of an earlier look with the numbers of that look."""
    found = _on(x, y, look, p_adjusted, asked)
    if asked.looks and found.claims and look.at < found.n:
        found = _on(x.first(look.at), y.first(look.at), look, p_adjusted, asked)
    return found


def _on(x: Observations, y: Observations, look: _Look, p_adjusted: float, asked: Asked) -> Verdict:
    pair, share, pairs = look.pair, look.share, look.pairs
    test = _sized(x, y, share, asked)
    v = Verdict(
        *pair,
        NOT_SEPARATED,
        ratio=test.ratio if asked.log else None,
        low=test.low,
        high=test.high,
        difference=None if asked.log else test.ratio,
        p=look.clearest.p,
        p_adjusted=p_adjusted,
        share=test.share,
        n=min(len(x.studies), len(y.studies)),
        studies_needed=_needed(x, y, share),
        misses_a=x.misses,
        misses_b=y.misses,
        smallest=_smallest(x, y, asked, pairs),
    )
    if x.misses == x.seeds and y.misses == y.seeds:
        return replace(v, because=NOBODY, ratio=None, low=None, high=None, difference=None)
    if v.studies_needed is None:
        if _inside(v, asked.margin):
            return replace(v, words=EQUIVALENT)
        if reaches_level(p_adjusted, asked.level):
            claimed = replace(v, separated_at=look.at if asked.looks else None)
            return _claim(claimed, a_ahead=look.clearest.lead < 0, asked=asked)
    needed = _evaluations_needed(v, x, y, asked)
    if needed is not None and not _alike_if_known(x, y, share, asked):
        needed = None  # it is the studies that scatter, and finer evaluations are no cure
    return replace(v, evaluations_needed=needed)


def _alike_if_known(x: Observations, y: Observations, share: float, asked: Asked) -> bool:
    """Whether the two were equivalent if each time were known exactly, at the end of its interval."""
    exact = _sized(replace(x, lows=None), replace(y, lows=None), share, asked)
    if exact.low is None or exact.high is None:
        return False
    return 1 / (1 + asked.margin) <= exact.low and exact.high <= 1 + asked.margin


def _without_test(observations: Mapping[str, Observations], pair: Pair, asked: Asked) -> Verdict:
    """Two numbers in which chance has no part: they differ, or lie too close for the evaluations to tell."""
    x, y = observations[pair[0]], observations[pair[1]]
    high_x, high_y = x.studies[0][0], y.studies[0][0]
    low_x, low_y = (o.studies[0][0] if o.lows is None else o.lows[0][0] for o in (x, y))
    v = Verdict(*pair, NOT_SEPARATED, n=1, misses_a=x.misses, misses_b=y.misses)
    hit_x, hit_y = x.hit(high_x), y.hit(high_y)
    if not hit_x and not hit_y:
        return replace(v, because=NOBODY)
    if hit_x and hit_y:
        size = _over(high_x, high_y, log=asked.log)
        v = replace(
            v,
            ratio=size if asked.log else None,
            difference=None if asked.log else size,
            low=_over(low_x, high_y, log=asked.log),
            high=_over(high_x, low_y, log=asked.log),
        )
    elif math.isfinite(x.limit):
        v = (
            replace(v, low=_over(x.limit, high_y, log=asked.log))
            if hit_y
            else replace(v, high=_over(high_x, x.limit, log=asked.log))
        )
    v = replace(v, share=0.5 if high_x == high_y else float(high_x < high_y))
    if _inside(v, asked.margin):
        return replace(v, words=EQUIVALENT)
    ahead_x, ahead_y = hit_x and high_x < low_y, hit_y and high_y < low_x
    if ahead_x or ahead_y:
        return _claim(v, a_ahead=ahead_x, asked=asked)
    return replace(v, evaluations_needed=_evaluations_needed(v, x, y, asked))


def _over(a: float, b: float, *, log: bool) -> float:
    return a / b if log else a - b


def _claim(v: Verdict, *, a_ahead: bool, asked: Asked) -> Verdict:
    none = 1.0 if asked.log else 0.0
    turned = v if a_ahead else v.turned()
    high = None if turned.high is None else min(turned.high, none)
    ratio = None if turned.ratio is None else min(turned.ratio, none)
    return replace(turned, words=FASTER if asked.timed else BETTER, high=none if high is None else high, ratio=ratio)


def _inside(v: Verdict, margin: float) -> bool:
    if v.ratio is None or v.low is None or v.high is None:
        return False
    return 1 / (1 + margin) <= v.low and v.high <= 1 + margin


def _unusable(observations: Mapping[str, Observations], a: str, b: str) -> str:
    idle = [name for name in (a, b) if not observations[name].usable]
    return f"{' and '.join(idle)} found no feasible trial" if idle else ""


def _certain(observations: Mapping[str, Observations], pair: Pair) -> bool:
    return all(observations[name].certain for name in pair)


def _needed(x: Observations, y: Observations, share: float) -> int | None:
    """The fewest studies with which so many pairs can reach the level; ``None`` where these suffice."""
    if reaches_level(2 / comb(len(x.studies) + len(y.studies), len(x.studies)), 1 - share):
        return None
    if x.certain or y.certain:  # a certain number stays one number, however often it is run: 2 / (n + 1) must do
        return ceil(2 / share - 1e-9) - 1
    return fewest_for(share)


def _evaluations_needed(v: Verdict, x: Observations, y: Observations, asked: Asked) -> int | None:
    """Evaluations that leave half of the margin to chance, where equal times are possible and today's leave nothing."""
    width, margin = max(x.resolution, y.resolution), math.log1p(asked.margin)
    if asked.evaluations is None or not asked.timed or v.ratio is None or not width > margin > 0:
        return None
    if abs(math.log(v.ratio)) > width + margin:
        return None
    return ceil((asked.evaluations - 1) * width / (margin / 2)) + 1


def _smallest(x: Observations, y: Observations, asked: Asked, pairs: int) -> float | None:
    n = min(len(x.studies), len(y.studies))
    if not asked.log or n < 2:
        return None
    spread = math.sqrt(float(np.mean([np.var(np.log(_finite(o)), ddof=1) for o in (x, y)])))
    found = smallest_ratio(n, pairs=pairs, spread=spread, level=asked.level)
    return found if math.isfinite(found) and spread > 0 else None  # equal numbers tell nothing of what others could


def _finite(o: Observations) -> list[float]:
    numbers = [v for study in o.studies for v in study if math.isfinite(v)]
    limit = o.limit if math.isfinite(o.limit) else max(numbers, default=1.0)
    return replace(o, limit=limit).per_study(log=True)
