"""Two methods compared over whole studies: the permutation test of their mean log times, and its interval."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import rankdata

from optwise.numerics.arrays import BoolArray, FloatArray, IntArray, check_level, vector_with_misses
from optwise.numerics.splits import EXACT_POOL, share_as_extreme

_NEAR = 1e-9
"""Logs of times that differ by less differ by rounding."""
LATE = float(np.log(1.025))
"""A miss counts as 2.5 % beyond the limit (in logs): worse than a hit at the limit, by one of 40 evaluations."""
_FIRST_STRIDE, _GROWTH = 0.02, 1.15
"""The search for an end of the interval strides away from the size, each stride longer than the last."""
_BISECTIONS = 26


@dataclass(frozen=True)
class StudyComparison:
    r"""What two sets of studies say about each other; lower values are better.

    Attributes:
        p: Two-sided p-value, not adjusted for other pairs.
        lead: Below 0 where a is ahead, above 0 where b is, 0 where the test sees no difference at all.
        ratio: a over b; below 1 says a is faster. With ``log=False`` a difference, a minus b. None where misses leave
            it open.
        low: Lower end of the interval of the size, None where the data leave it open.
        high: Upper end, None where the data leave it open.
        share: Share of the pairs of studies in which a has the lower value, ties counted half.
        n_a: Number of studies of a.
        n_b: Number of studies of b.
        exact: True where every split was counted, False where splits were drawn.
    """

    p: float
    lead: float
    ratio: float | None
    low: float | None
    high: float | None
    share: float
    n_a: int
    n_b: int
    exact: bool


@dataclass(frozen=True)
class _Seeds:
    """Values of all seeds, and the study of each."""

    values: FloatArray
    study: IntArray
    studies: int

    def means(self, scores: FloatArray) -> FloatArray:
        return np.bincount(self.study, weights=scores, minlength=self.studies) / np.bincount(self.study)


def compare_studies(
    a: Sequence[ArrayLike],
    b: Sequence[ArrayLike],
    *,
    level: float = 0.95,
    limit: float = np.inf,
    low_a: Sequence[ArrayLike] | None = None,
    low_b: Sequence[ArrayLike] | None = None,
    log: bool = True,
) -> StudyComparison:
    r"""Test whether two methods differ, and by how much, from the seeds of whole studies.

    The number of a study is the mean log time of its seeds. The test takes the difference of the methods' means and its
    exact permutation distribution over all choices of :math:`n_a` of the pooled studies (:func:`share_as_extreme`).

    A miss (``inf``, or a value beyond ``limit``) is worse than every hit and equal to every other miss: it counts as
    2.5 % beyond the limit, which is the same for both. Without a limit the number of a study is the mean midrank of its
    seeds in the pool of all seeds, as soon as one of them is a miss.

    The size is the factor :math:`e^\theta` that makes :math:`e^\theta b` and a alike: the ratio of geometric means
    where nothing was missed. Its interval holds every factor that the same test keeps. Of :math:`e^\theta b` no more is
    known than up to :math:`e^\theta` times the limit, so that both are cut there, and where times differ by a factor
    the test is exact at the true one. An end that no data bound is None.

    A time that is only known to lie between ``low`` and its value widens the interval: the lower end takes the lows of
    a, the upper end those of b. The size takes the middle of each, the p-value the values themselves.

    Args:
        a: For each study of the first method the values of its seeds [S]; lower is better, ``inf`` is a miss; positive
            unless ``log=False``.
        b: The same for the second method.
        level: Confidence level of the interval. Few studies cannot reach it: then both ends are None.
        limit: Largest value that counts, the same for both.
        low_a: What the values of a are known to exceed, in the same shape; None where they are known.
        low_b: The same for b.
        log: True for ratios. False for differences of means, where values may be zero or negative.

    Example:
        Every study of a beats every study of b, and 2 of the 924 splits are as extreme.

        >>> a, b = [[10], [11], [12], [13], [14], [15]], [[20], [22], [24], [26], [28], [30]]
        >>> found = compare_studies(a, b)
        >>> round(found.p * 924), round(found.ratio, 3), round(found.low, 3), round(found.high, 3)
        (2, 0.5, 0.408, 0.612)

    References:
        Lehmann and Romano (2005), Testing Statistical Hypotheses, chapter 15.2.
    """
    check_level(level)
    unit = 1.0 if log else _unit(a, b)
    first, second = _seeds(a, "a", log=log, unit=unit), _seeds(b, "b", log=log, unit=unit)
    low_first = first if low_a is None else _seeds(low_a, "low_a", log=log, unit=unit)
    low_second = second if low_b is None else _seeds(low_b, "low_b", log=log, unit=unit)
    ceiling = float(np.log(limit)) if log else float(limit) / unit
    _refuse_unfit(first, low_first, "low_a")
    _refuse_unfit(second, low_second, "low_b")
    own = _Pair(first, second, ceiling)
    lower, upper = _Pair(low_first, second, ceiling), _Pair(first, low_second, ceiling)
    known = own.balance()
    low, high = own.end(known, -1, level=level), own.end(known, +1, level=level)
    middles = _Pair(_middle(first, low_first), _middle(second, low_second), ceiling)
    size = known if low_a is None and low_b is None else middles.balance()
    if low is not None and low_a is not None:  # wider, never narrower: lows may differ less than the values do
        widened = lower.end(lower.balance(), -1, level=level)
        low = None if widened is None else min(low, widened)
    if high is not None and low_b is not None:
        widened = upper.end(upper.balance(), +1, level=level)
        high = None if widened is None else max(high, widened)
    back: Callable[[float], float] = (lambda x: float(np.exp(x))) if log else (lambda x: x * unit)
    scores_a, scores_b = own.scores(0.0)
    gaps = np.subtract.outer(scores_b, scores_a)
    return StudyComparison(
        p=own.p(0.0),
        lead=own.lead(0.0) * unit,
        ratio=None if size is None else back(size),
        low=None if low is None else back(low),
        high=None if high is None else back(high),
        share=float((np.sign(np.where(np.abs(gaps) <= _near(gaps), 0.0, gaps)) + 1).mean() / 2),
        n_a=first.studies,
        n_b=second.studies,
        exact=first.studies + second.studies <= EXACT_POOL,
    )


class Difference(NamedTuple):
    """Whether two methods differ: the p-value, and who is ahead (below 0 where a is)."""

    p: float
    lead: float


def study_difference(
    a: Sequence[ArrayLike], b: Sequence[ArrayLike], *, limit: float = np.inf, log: bool = True
) -> Difference:
    """The test of :func:`compare_studies` without its size and interval, a hundred times cheaper.

    Args:
        a: For each study of the first method the values of its seeds.
        b: The same for the second method.
        limit: Largest value that counts.
        log: As there.

    Example:
        >>> found = study_difference([[10], [11], [12], [13]], [[20], [22], [24], [26]])
        >>> round(found.p * 70), found.lead < 0
        (2, True)
    """
    unit = 1.0 if log else _unit(a, b)
    first, second = _seeds(a, "a", log=log, unit=unit), _seeds(b, "b", log=log, unit=unit)
    pair = _Pair(first, second, float(np.log(limit)) if log else float(limit) / unit)
    return Difference(pair.p(0.0), pair.lead(0.0) * unit)


def reaches_level(p: float, level: float) -> bool:
    """Whether a p-value allows a claim at a confidence level; ``1 - 0.9`` falls short of 0.1 and must not decide it.

    Example:
        >>> 0.1 <= 1 - 0.9, reaches_level(0.1, 0.9)
        (False, True)
    """
    return p <= 1.0 - level + 1e-12


def _middle(values: _Seeds, lows: _Seeds) -> _Seeds:
    """The middle of each interval, the geometric one of logs."""
    return _Seeds((values.values + lows.values) / 2, values.study, values.studies)


def _near(scores: FloatArray) -> float:
    return _NEAR * (1.0 + float(np.abs(scores).max()))


def _refuse_unfit(values: _Seeds, lows: _Seeds, name: str) -> None:
    if not np.array_equal(values.study, lows.study):
        raise ValueError(f"{name} has another shape than the values it belongs to; give one number for each seed.")
    if (lows.values > values.values + _NEAR).any():
        raise ValueError(f"{name} holds a number above the value that it is exceeded by; swap them.")


def _tied(values: FloatArray) -> FloatArray:
    """What is equal but for rounding made equal."""
    return np.asarray(np.where(np.isfinite(values), np.round(values / _NEAR) * _NEAR, values), dtype=np.float64)


def _unit(*methods: Sequence[ArrayLike]) -> float:
    """The largest finite size among all values: what differences are measured in, so that no unit matters."""
    sizes = [abs(float(v)) for studies in methods for study in studies for v in np.ravel(study) if np.isfinite(v)]
    return max(sizes, default=1.0) or 1.0


def _seeds(studies: Sequence[ArrayLike], name: str, *, log: bool, unit: float) -> _Seeds:
    parts = [vector_with_misses(np.atleast_1d(np.asarray(s, dtype=np.float64)), f"study of {name}") for s in studies]
    if not parts:
        raise ValueError(f"{name} holds no study; a comparison needs at least one of each method.")
    values = np.concatenate(parts)
    if log and values.min() <= 0.0:
        raise ValueError(
            f"The lowest value of {name} is {values.min()}, and ratios need positive values. "
            f"Pass log=False to compare differences."
        )
    study = np.repeat(np.arange(len(parts)), [part.size for part in parts])
    return _Seeds(np.log(values) if log else values / unit, study, len(parts))


@dataclass(frozen=True)
class _Pair:
    """a against b shifted by theta, both cut at the limit that is known of both."""

    a: _Seeds
    b: _Seeds
    ceiling: float

    def scores(self, theta: float) -> tuple[FloatArray, FloatArray]:
        """One number per study of each."""
        pooled = np.concatenate([self.a.values, self.b.values + theta])
        late = self._late(theta)
        if late.any():
            ceiling = self.ceiling + min(0.0, theta)
            pooled = np.where(late, ceiling + LATE, pooled) if np.isfinite(ceiling) else rankdata(_tied(pooled))
        cut = self.a.values.size
        return self.a.means(pooled[:cut]), self.b.means(pooled[cut:])

    def _late(self, theta: float) -> BoolArray:
        """Which values nothing is known of beyond that they are late."""
        pooled = np.concatenate([self.a.values, self.b.values + theta])
        return np.asarray((pooled > self.ceiling + min(0.0, theta) + _NEAR) | np.isposinf(pooled))

    def _cut(self, start: float) -> bool:
        """Whether a value is late at the shift 0 or at ``start``, so that means say nothing."""
        return bool(self._late(0.0).any() or self._late(start).any())

    def lead(self, theta: float) -> float:
        """Mean number of a less that of b; 0 where they differ by rounding alone."""
        a, b = self.scores(theta)
        found = float(a.mean() - b.mean())
        return 0.0 if abs(found) <= _near(np.concatenate([a, b])) else found

    def p(self, theta: float) -> float:
        scores = np.concatenate(self.scores(theta))
        return share_as_extreme(scores, self.a.studies, near=_near(scores))

    def balance(self) -> float | None:
        """The shift at which neither is ahead; None where misses leave none."""
        if not (np.isfinite(self.a.values).any() and np.isfinite(self.b.values).any()):
            return None
        start = self.lead(0.0)
        if start == 0.0:
            return 0.0 if self._known(0.0) else None
        if not self._cut(start):
            return start  # the difference of the means itself
        direction = 1.0 if start > 0 else -1.0  # where a is slower, b must be slowed down
        near = 0.0
        for far in self._outwards(0.0, int(direction)):
            if self.lead(far) * direction < 0.0:
                return self._bisect(near, far, lambda theta: self.lead(theta) * direction > 0.0)
            near = far
        return None

    def end(self, size: float | None, direction: int, *, level: float) -> float | None:
        """The farthest shift on one side that the test keeps; None where it keeps all."""
        begin = float(np.sign(self.lead(0.0))) * self._reach() if size is None else size
        if direction * begin < 0.0 and not reaches_level(self.p(0.0), level):
            begin = 0.0  # what the test keeps belongs to the interval
        kept: float | None = None
        lost: float | None = None
        for shift in chain([begin], self._outwards(begin, direction)):
            # the test may keep a shift again behind one that it rejects: the farthest counts
            if self._rejects(shift, direction, level=level):
                lost = shift if lost is None else lost
            else:
                kept, lost = shift, None
        if kept is None or lost is None:
            return None
        return self._bisect(kept, lost, lambda shift: not self._rejects(shift, direction, level=level))

    def _rejects(self, theta: float, direction: int, *, level: float) -> bool:
        return self.lead(theta) * direction < 0.0 and reaches_level(self.p(theta), level)

    def _outwards(self, begin: float, direction: int) -> Iterator[float]:
        distance, stride = 0.0, _FIRST_STRIDE
        while distance < self._reach() + abs(begin):
            distance, stride = distance + stride, stride * _GROWTH
            yield begin + direction * distance

    def _known(self, theta: float) -> bool:
        late, cut = self._late(theta), self.a.values.size
        return not (late[:cut].all() or late[cut:].all())

    def _reach(self) -> float:
        """Shifts beyond this one tell nothing new: every time is late there, or every value on one side."""
        values = np.concatenate([self.a.values, self.b.values])
        known = values[np.isfinite(values)]
        if known.size == 0:
            return 1.0
        if np.isfinite(self.ceiling):
            return max(self.ceiling - float(known.min()), 0.0) + 0.1
        return 4 * max(float(np.ptp(known)), 1.0)

    def _bisect(self, kept: float, lost: float, keeps: Callable[[float], bool]) -> float:
        for _ in range(_BISECTIONS):
            middle = (kept + lost) / 2
            kept, lost = (middle, lost) if keeps(middle) else (kept, middle)
        return kept
