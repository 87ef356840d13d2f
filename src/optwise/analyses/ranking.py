"""Verdicts about pairs of methods: words that the studies allow, and never a bare ranking."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import ceil, comb

import numpy as np

from optwise.numerics.statistics import compare_studies, holm, reaches_level

FASTER = "faster"
BETTER = "better"
EQUIVALENT = "equivalent within margin"
NOT_SEPARATED = "not separated"
NOT_COMPARABLE = "not comparable"


@dataclass(frozen=True)
class Observations:
    """What a comparison infers from: one number per study of one method, lower is better.

    Args:
        values: Mean over the confirmation seeds of each study: time on the axis, a miss counting the full budget; or
            the selection metric, turned so that lower is better.
        censored: Studies whose number is only a bound: no seed reached the target.
        feasible: Whether any study found a feasible trial.
        certain: Whether chance has no part in the one number: a closed method on a deterministic problem.
    """

    values: tuple[float, ...]
    censored: tuple[bool, ...]
    feasible: bool = True
    certain: bool = False

    @property
    def median(self) -> float:
        """Over the studies."""
        return float(np.median(self.values)) if self.values else math.inf


@dataclass(frozen=True)
class Verdict:
    """What may be said about two methods. Where one is faster or better, it is ``a``.

    Args:
        a: Name.
        b: Name.
        words: One of five.
        because: Why the methods are not comparable; empty elsewhere.
        ratio: a's number over b's by Hodges and Lehmann; ``None`` where numbers are differences or there are none.
        low: End of its interval, ``None`` where misses or few studies leave it open.
        high: Likewise.
        difference: a's number minus b's, where numbers are differences.
        p: Of the permutation test, ``None`` without one.
        p_adjusted: After Holm over the pairs of this problem.
        p_a_better: Share of pairs of studies that a wins.
        n: Studies of each method, the smaller count.
        studies_needed: The fewest studies with which any pair could reach the level; ``None`` where these suffice.
    """

    a: str
    b: str
    words: str
    because: str = ""
    ratio: float | None = None
    low: float | None = None
    high: float | None = None
    difference: float | None = None
    p: float | None = None
    p_adjusted: float | None = None
    p_a_better: float | None = None
    n: int = 0
    studies_needed: int | None = None


def verdicts(
    observations: Mapping[str, Observations], *, level: float, margin: float, timed: bool, log: bool = True
) -> list[Verdict]:
    """A verdict for every pair, in the order of ``observations``.

    Words, in this order: *not comparable* where a method has no feasible trial; *equivalent within margin* where the
    interval lies inside it; *faster* or *better* where the adjusted p-value allows; else *not separated*. Where even a
    clean sweep could not reach the level, the only word is *not separated*, with the number of studies that could.

    Args:
        observations: Method to its studies.
        level: Claims need an adjusted p-value of at most ``1 - level``.
        margin: Relative; ratios inside ``[1 / (1 + margin), 1 + margin]`` are equivalent.
        timed: Whether numbers are times (the word is *faster*) or values (*better*).
        log: Whether ratios make sense; differences otherwise, which have no margin.
    """
    pairs = list(combinations(observations, 2))
    usable = [(a, b) for a, b in pairs if _unusable(observations, a, b) == ""]
    tested = {pair: _compare(observations, *pair, level=level, log=log) for pair in usable}
    with_test = [pair for pair in usable if tested[pair].p is not None]
    adjusted = (
        dict(zip(with_test, holm([tested[pair].p or 0.0 for pair in with_test]), strict=True)) if with_test else {}
    )
    found = []
    for a, b in pairs:
        because = _unusable(observations, a, b)
        if because:
            found.append(Verdict(a, b, NOT_COMPARABLE, because))
        else:
            adjusted_p = None if (a, b) not in adjusted else float(adjusted[a, b])
            needed = None if adjusted_p is None else _needed(observations[a], observations[b], len(with_test), level)
            found.append(_word(tested[a, b], adjusted_p, needed, level=level, margin=margin, timed=timed))
    return found


def leader(observations: Mapping[str, Observations], found: Sequence[Verdict]) -> str | None:
    """The method to speak of first: most claims won, then fewest lost, then the best median; ``None`` without any.

    A method without a feasible trial never leads.
    """
    observations = {name: o for name, o in observations.items() if o.feasible and o.values}
    if not observations:
        return None
    won = {name: sum(v.a == name and v.words in (FASTER, BETTER) for v in found) for name in observations}
    lost = {name: sum(v.b == name and v.words in (FASTER, BETTER) for v in found) for name in observations}
    return min(observations, key=lambda name: (-won[name], lost[name], observations[name].median))


def _unusable(observations: Mapping[str, Observations], a: str, b: str) -> str:
    idle = [name for name in (a, b) if not observations[name].feasible or not observations[name].values]
    return f"{' and '.join(idle)} found no feasible trial" if idle else ""


def _compare(observations: Mapping[str, Observations], a: str, b: str, *, level: float, log: bool) -> Verdict:
    x, y = observations[a], observations[b]
    n = min(len(x.values), len(y.values))
    if x.certain and y.certain:  # a comparison without a test
        size = x.values[0] / y.values[0] if log else x.values[0] - y.values[0]
        better = 0.5 if x.values[0] == y.values[0] else float(x.values[0] < y.values[0])
        return Verdict(
            a,
            b,
            "",
            ratio=size if log else None,
            low=None if y.censored[0] else size,  # a censored number is only a bound
            high=None if x.censored[0] else size,
            difference=None if log else size,
            p_a_better=better,
            n=1,
        )
    test = compare_studies(x.values, y.values, level=level, censored_a=x.censored, censored_b=y.censored, log=log)
    return Verdict(
        a,
        b,
        "",
        ratio=test.ratio if log else None,
        low=test.low,
        high=test.high,
        difference=None if log else test.ratio,
        p=test.p,
        p_a_better=test.p_a_better,
        n=n,
    )


def _needed(x: Observations, y: Observations, pairs: int, level: float) -> int | None:
    """The fewest studies with which Holm over so many pairs can reach the level; ``None`` where these suffice."""
    share = (1 - level) / pairs
    if reaches_level(2 / comb(len(x.values) + len(y.values), len(x.values)), 1 - share):
        return None
    if x.certain or y.certain:  # a certain number stays one number, however often it is run: 2 / (n + 1) must do
        return ceil(2 / share - 1e-9) - 1
    n = 2
    while not reaches_level(2 / comb(2 * n, n), 1 - share):
        n += 1
    return n


def _word(
    v: Verdict, p_adjusted: float | None, needed: int | None, *, level: float, margin: float, timed: bool
) -> Verdict:
    certain = v.p is None
    enough = needed is None
    inside = v.ratio is not None and v.low is not None and v.high is not None
    claim = FASTER if timed else BETTER
    if enough and inside and 1 / (1 + margin) <= (v.low or 0) and (v.high or math.inf) <= 1 + margin:
        words = EQUIVALENT
    elif enough and (
        (p_adjusted is not None and reaches_level(p_adjusted, level)) or (certain and v.p_a_better != 0.5)
    ):
        words = claim
    else:
        words = NOT_SEPARATED
    a_first = words != claim or (v.p_a_better or 0) > 0.5
    turned = v if a_first else _turn(v)
    return Verdict(
        **{
            **vars(turned),
            "words": words,
            "p_adjusted": p_adjusted,
            "studies_needed": needed,
        }
    )


def _turn(v: Verdict) -> Verdict:
    flip = v.ratio is not None

    def inverse(x: float | None) -> float | None:
        return None if x is None else (1 / x if x else None) if flip else -x

    return Verdict(
        **{
            **vars(v),
            "a": v.b,
            "b": v.a,
            "ratio": inverse(v.ratio),
            "low": inverse(v.high),
            "high": inverse(v.low),
            "difference": None if v.difference is None else -v.difference,
            "p_a_better": None if v.p_a_better is None else 1 - v.p_a_better,
        }
    )
