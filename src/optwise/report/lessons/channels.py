"""What the charts of the lessons share: decades on axes, colours with a legend, kinds of lines, signs of formulas."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

import altair as alt

from optwise.report.drawing import PALETTE, legend

# plain from a ten-thousandth to 100,000, 1e-5 and 1e6 beyond: d3 alone would write 0.00001 and 1000000
DECADES = (
    "datum.value >= 1e-4 && datum.value <= 1e5 ? format(datum.value, ',~g') : "
    "replace(format(datum.value, '~e'), '+', '')"
)
_SIGNS = {" - ": " \N{MINUS SIGN} ", " * ": " \N{MULTIPLICATION SIGN} "}


def signs(text: str) -> str:
    """A sentence with formulas as they are typed, set in mathematical signs.

    Example:
        >>> print(signs("sigma^2 * (1 - η)"))
        σ^2 × (1 − η)
    """
    text = re.sub(r"\bsigma\b", "\N{GREEK SMALL LETTER SIGMA}", text)
    for typed, sign in _SIGNS.items():
        text = text.replace(typed, sign)
    return text


def decades(low: float, high: float) -> list[float]:
    """Powers of ten between two positive numbers, ends included.

    Example:
        >>> decades(0.02, 100.0)
        [0.1, 1.0, 10.0, 100.0]
    """
    first, last = math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(high) + 1e-9)
    return [10.0**i for i in range(first, last + 1)]


def log_axis(title: str | None, low: float, high: float) -> alt.Axis:
    """An axis with one tick a decade."""
    return alt.Axis(title=title and signs(title), values=decades(low, high), labelExpr=DECADES)


def log_scale(low: float, high: float) -> alt.Scale:
    """A logarithmic scale with exactly these ends."""
    return alt.Scale(type="log", domain=[low, high], nice=False)


def shade(
    field: str, entries: Sequence[str], *, symbol: str = "stroke", first: int = 0, shown: bool = True
) -> alt.Color:
    """The colour channel of a field whose entries are named in order.

    Args:
        field: Name of the column, of text.
        entries: What it holds.
        symbol: Shape of the legend's symbols.
        first: Place of the first entry's colour in the palette.
        shown: Whether there is a legend.
    """
    scale = alt.Scale(domain=list(entries), range=[PALETTE[first + i] for i in range(len(entries))])
    return alt.Color(f"{field}:N", scale=scale, legend=legend(entries, symbol) if shown else None)


def dashes(field: str, kinds: Mapping[str, Sequence[int]]) -> alt.StrokeDash:
    """The dashing of lines by kind, with a legend.

    Args:
        field: Name of the column, of text.
        kinds: Kind to lengths of dash and gap.
    """
    scale = alt.Scale(domain=list(kinds), range=[list(dash) for dash in kinds.values()])
    return alt.StrokeDash(f"{field}:N", scale=scale, legend=legend(list(kinds), "stroke"))


def heading(text: str) -> alt.Title:
    """The title of a panel: bold, at its left."""
    return alt.Title(signs(text), anchor="start", frame="group", fontWeight=600, offset=6)
