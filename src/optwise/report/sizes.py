"""How far apart two methods are: which one is first, its number over or minus the other's, and how that is printed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from optwise.report.readings import CLAIMS
from optwise.report.words import MINUS, TIMES, on_its_side, open_end, outwards

UNKNOWN = "size not known"


@dataclass(frozen=True)
class Size:
    """A pair's ratio or difference, the first method's number over or minus the second's; NaN is what is not known.

    Args:
        first: Method.
        second: Method.
        value: Its size, in the metric's own unit where it is a difference.
        low: End of its interval, NaN where misses leave it open.
        high: Likewise.
        ratio: Whether it is a ratio; otherwise a difference.
        claim: Whether one of the two is said to be ahead.
    """

    first: str
    second: str
    value: float
    low: float
    high: float
    ratio: bool
    claim: bool

    @property
    def even(self) -> float:
        """The size of methods that are alike."""
        return 1.0 if self.ratio else 0.0

    @property
    def words(self) -> str:
        """The size with its interval, in which a reader sees whether even belongs to it; a bound where an end is open.

        Example:
            >>> Size("a", "b", 0.667, 0.456, 0.99968, ratio=True, claim=True).words
            '0.667 [0.456, 0.9997]'
            >>> Size("a", "b", 0.667, 0.456, 1.0, ratio=True, claim=True).words  # 1 itself is ruled out
            '0.667 [0.456, 1)'
            >>> Size("a", "b", 0.667, 0.456, 1.0004, ratio=True, claim=False).words
            '0.667 [0.456, 1.01]'
            >>> Size("a", "b", 0.43, math.nan, 0.556, ratio=True, claim=True).words
            '≤ 0.430 [–, 0.556]'
        """
        if math.isnan(self.value):
            return UNKNOWN
        value = on_its_side(self.value, self.even)
        if math.isnan(self.low) and math.isnan(self.high):
            return value
        opens, closes = ("(" if self._at(self.low) else "["), (")" if self._at(self.high) else "]")
        ends = f"{opens}{self._end(self.low)}, {self._end(self.high)}{closes}"
        return f"{open_end(self.low, self.high)}{value} {ends}"

    @property
    def brief(self) -> str:
        """The size alone, to two digits."""
        if math.isnan(self.value):
            return UNKNOWN
        value = on_its_side(self.value, self.even, digits=2)
        return f"{open_end(self.low, self.high)}{value}{TIMES if self.ratio else ''}"

    def _at(self, end: float) -> bool:
        """Whether a claim ends where the methods would be alike, which it rules out."""
        return self.claim and end == self.even

    def _end(self, end: float) -> str:
        return on_its_side(end, self.even) if self.claim else outwards(end, self.even)


def sign_of(*, ratio: bool) -> str:
    """What stands between the two names."""
    return "/" if ratio else MINUS


def in_ratios(verdicts: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a problem's pairs are told in ratios; otherwise in differences."""
    return all(v.get("difference") is None for v in verdicts)


def size_of(v: Mapping[str, Any], first: str | None = None) -> Size:
    """The size of a verdict with ``first`` as its first method, its own where none is named.

    Args:
        v: As in the results document, whose numbers are a's over or minus b's.
        first: One of its two methods.
    """
    ratio, claim = v.get("difference") is None, v["words"] in CLAIMS
    own = first in (None, v["a"])
    names = (v["a"], v["b"]) if own else (v["b"], v["a"])
    if ratio:
        value, low, high = (_positive(v.get(key)) for key in ("ratio", "ratio_low", "ratio_high"))
        if math.isnan(low) and math.isnan(high):  # the interval is the whole axis: nothing is known of the size
            value = math.nan
        ends = (value, low, high) if own else (1 / value, 1 / high, 1 / low)
    else:
        value, low, high = (_finite(v.get(key)) for key in ("difference", "ratio_low", "ratio_high"))
        ends = (value, low, high) if own else (0.0 - value, 0.0 - high, 0.0 - low)
    if math.isnan(ends[0]):
        ends = (math.nan, math.nan, math.nan)
    return Size(*names, *ends, ratio=ratio, claim=claim)


def by_order(order: Sequence[str], leader: str | None = None) -> dict[str, int]:
    """Method to its place: the leader, then the one order of the page."""
    names = [name for name in (leader,) if name is not None] + [name for name in order if name != leader]
    return {name: i for i, name in enumerate(names)}


def turned(v: Mapping[str, Any], places: Mapping[str, int]) -> Size:
    """The size of a verdict with the method first that comes first on the page."""
    first = min((v["a"], v["b"]), key=lambda name: places.get(name, len(places)))
    return size_of(v, first)


def word_of(v: Mapping[str, Any], first: str) -> str:
    """The word of a verdict as ``first`` reads it: the one that is behind is slower, or worse."""
    word = str(v["words"])
    return word if word not in CLAIMS or v["a"] == first else _OPPOSITE[word]


_OPPOSITE = {"faster": "slower", "better": "worse"}


def _positive(value: float | None) -> float:
    return float(value) if value is not None and math.isfinite(value) and value > 0 else math.nan


def _finite(value: float | None) -> float:
    return float(value) if value is not None and math.isfinite(value) else math.nan
