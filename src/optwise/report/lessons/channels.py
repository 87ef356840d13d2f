"""What the charts of the lessons share: decades on axes, colours with a legend, kinds of lines, titles of panels."""

from __future__ import annotations

import json
import math
import textwrap
from collections.abc import Mapping, Sequence

import altair as alt

from optwise.report.drawing import PALETTE, legend
from optwise.report.typography import power_of_ten, signs

__all__ = ["DECADES", "dashes", "decades", "heading", "log_axis", "log_scale", "shade", "signs"]

# plain from a ten-thousandth to 100,000, 1e-5 and 1e6 beyond, where ticks need not be powers of ten
DECADES = (
    "datum.value >= 1e-4 && datum.value <= 1e5 ? format(datum.value, ',~g') : "
    "replace(format(datum.value, '~e'), '+', '')"
)
PLAIN = (-4, 5)
"""Powers of ten that are written out on an axis, from 0.0001 to 100,000."""
NARROW = 42
"""Letters of a panel's title that fit into a page of 400 pixels."""
MOST_TICKS = 9


def decades(low: float, high: float) -> list[float]:
    """Powers of ten between two positive numbers, ends included.

    Example:
        >>> decades(0.02, 100.0)
        [0.1, 1.0, 10.0, 100.0]
    """
    first, last = math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(high) + 1e-9)
    return [10.0**i for i in range(first, last + 1)]


def log_axis(title: str | None, low: float, high: float) -> alt.Axis:
    """An axis with one tick a decade, every second or third of them where there are many."""
    found = decades(low, high)
    values = found[:: math.ceil(len(found) / MOST_TICKS)] if found else [low, high]
    exponents = [round(math.log10(value)) for value in values]
    named = {str(i): f"{10.0**i:,.10g}" if PLAIN[0] <= i <= PLAIN[1] else power_of_ten(i) for i in exponents}
    expression = f"({json.dumps(named, ensure_ascii=False)})[round(log(datum.value) / LN10)]"
    if not found:
        expression = "format(datum.value, '.2~g')"
    return alt.Axis(title=title and signs(title), values=values, labelExpr=expression)


def log_scale(low: float, high: float) -> alt.Scale:
    """A logarithmic scale with exactly these ends."""
    return alt.Scale(type="log", domain=[low, high], nice=False)


def shade(
    field: str,
    entries: Sequence[str],
    *,
    symbol: str = "stroke",
    first: int = 0,
    colours: Mapping[str, str] | None = None,
    shown: bool = True,
) -> alt.Color:
    """The colour channel of a field whose entries are named in order.

    Args:
        field: Name of the column, of text.
        entries: What it holds.
        symbol: Shape of the legend's symbols.
        first: Place of the first entry's colour in the palette.
        colours: Entry to colour, where other panels have given them one.
        shown: Whether there is a legend.
    """
    palette = colours or {entry: PALETTE[(first + i) % len(PALETTE)] for i, entry in enumerate(entries)}
    scale = alt.Scale(domain=list(entries), range=[palette[entry] for entry in entries])
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
    """The title of a panel: bold, at its left, in lines that a narrow page holds."""
    lines = textwrap.wrap(signs(text), NARROW, break_long_words=False, break_on_hyphens=False)
    said = lines[0] if len(lines) == 1 else lines
    return alt.Title(said, anchor="start", frame="group", fontWeight=600, offset=6)
