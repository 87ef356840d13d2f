"""What is asked of two methods and what may be said of them: the words, the question, the answer for one pair."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Self

from optwise.numerics.sequential import nominal_level

FASTER = "faster"
BETTER = "better"
EQUIVALENT = "equivalent within margin"
NOT_SEPARATED = "not separated"
NOT_COMPARABLE = "not comparable"
NOBODY = "no run reached it"

Pair = tuple[str, str]


@dataclass(frozen=True)
class Asked:
    """What is asked of the observations.

    Args:
        level: Claims need an adjusted p-value of at most ``1 - level``; the intervals hold together at this level.
        margin: Relative; ratios inside ``[1 / (1 + margin), 1 + margin]`` are equivalent.
        timed: Whether numbers are times (the word is *faster*) or values (*better*).
        log: Whether ratios make sense; differences otherwise, which have no margin.
        against: The one method whose pairs are asked about, named before any trial; ``None`` asks about all pairs.
        looks: Numbers of studies at which a sequential design looks; empty for one look at all of them.
        evaluations: Of each run, its start included.
        apart: Pairs that cannot be compared, with the reason.
        dropped: Pairs that were asked about before and left out since: they still share the level.
    """

    level: float
    margin: float
    timed: bool
    log: bool = True
    against: str | None = None
    looks: tuple[int, ...] = ()
    evaluations: int | None = None
    apart: Mapping[Pair, str] | None = None
    dropped: int = 0

    def share(self, pairs: int, looks: Sequence[int]) -> float:
        """What a p-value of one of ``looks`` must reach where ``pairs`` share the level."""
        alpha = (1 - self.level) / max(1, pairs)
        return nominal_level(alpha, looks) if looks else alpha


@dataclass(frozen=True)
class Verdict:
    """What may be said about two methods. Where one is faster or better, it is ``a``.

    Args:
        a: Name.
        b: Name.
        words: One of five.
        because: Why the methods are not comparable, or that nobody arrived; empty elsewhere.
        ratio: a's number over b's; ``None`` where numbers are differences or misses leave it open.
        low: End of its interval, ``None`` where misses or few studies leave it open.
        high: Likewise.
        difference: a's number minus b's, where numbers are differences.
        p: Of the permutation test, ``None`` without one; of several looks the smallest.
        p_adjusted: After the looks and Holm over the pairs that are asked about.
        share: Share of pairs of studies that a wins.
        n: Studies of each method, the smaller count.
        studies_needed: The fewest studies with which any pair could reach the level; ``None`` where these suffice.
        misses_a, misses_b: Seeds that did not arrive.
        evaluations_needed: How many evaluations could show equivalence, where these are too coarse for the margin.
        separated_at: Studies of the look that claims it, the clearest of a sequential design; the numbers are its own.
        smallest: The smallest true ratio that these studies find four times in five.
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
    share: float | None = None
    n: int = 0
    studies_needed: int | None = None
    misses_a: int = 0
    misses_b: int = 0
    evaluations_needed: int | None = None
    separated_at: int | None = None
    smallest: float | None = None

    @property
    def claims(self) -> bool:
        """Whether one of the two is ahead."""
        return self.words in (FASTER, BETTER)

    @property
    def bound(self) -> str | None:
        """``at least`` where misses leave one end of the interval open."""
        return "at least" if (self.low is None) != (self.high is None) else None

    def turned(self) -> Self:
        """The same verdict with the two methods in the other order."""
        flip = self.difference is None

        def inverse(x: float | None) -> float | None:
            return None if x is None else (1 / x if x else None) if flip else -x

        return replace(
            self,
            a=self.b,
            b=self.a,
            ratio=inverse(self.ratio) if flip else None,
            low=inverse(self.high),
            high=inverse(self.low),
            difference=None if self.difference is None else -self.difference,
            share=None if self.share is None else 1 - self.share,
            misses_a=self.misses_b,
            misses_b=self.misses_a,
        )


def asked_pairs(names: Collection[str], against: str | None) -> list[Pair]:
    """All pairs in the order of ``names``, or those of one method."""
    return [pair for pair in combinations(names, 2) if against is None or against in pair]
