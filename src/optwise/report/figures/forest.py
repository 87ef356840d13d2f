"""Forest plot: how large each pairwise difference is, with its interval and the margin of equivalence."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import pandas as pd

from optwise.report.drawing import INK, RULE, Chart, inline, legend

WORDS = {
    "faster": "#0072B2",
    "better": "#0072B2",
    "equivalent within margin": "#009E73",
    "not separated": "#6f7882",
    "not comparable": "#D55E00",
}


def forest_rows(verdicts: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """One row a pair: pair, words, ratio, low, high; NaN where the data leave an end open."""
    labels = [f"{_short(v['a'])} / {_short(v['b'])}" for v in verdicts]
    if len(set(labels)) < len(labels):
        labels = [f"{i}. {label}" for i, label in enumerate(labels, 1)]
    rows = [
        {
            "pair": label,
            "words": v["words"],
            **{
                name: _positive(v.get(key))
                for name, key in (("ratio", "ratio"), ("low", "ratio_low"), ("high", "ratio_high"))
            },
        }
        for label, v in zip(labels, verdicts, strict=True)
    ]
    frame = pd.DataFrame(rows, columns=["pair", "words", "ratio", "low", "high"])
    return frame.astype(dict.fromkeys(("ratio", "low", "high"), "float64"))


def ratio_domain(rows: pd.DataFrame, margin: float) -> tuple[float, float]:
    """Range of ratios that holds every known end and the margin, with room for the arrows of open ends."""
    known = [float(v) for name in ("ratio", "low", "high") for v in rows[name].dropna()]
    low, high = min([*known, 1 / (1 + margin)]), max([*known, 1 + margin])
    room = max((high / low) ** 0.12, 1.05)
    return low / room, high * room


def forest_chart(rows: pd.DataFrame, *, margin: float, what: str) -> Chart | None:
    """Draw the intervals; ``None`` where no pair has a ratio.

    Args:
        rows: From :func:`forest_rows`.
        margin: Of equivalence, as a share.
        what: What the ratio is of: example-gradients, values.
    """
    known = rows.dropna(subset=["ratio"])
    if known.empty:
        return None
    low, high = ratio_domain(known, margin)
    scale = alt.Scale(type="log", domain=[low, high], nice=False)
    title = alt.Axis(title=f"ratio of {what}", format="~g", tickCount=6)
    x = alt.X("ratio:Q", scale=scale, axis=title)
    y = alt.Y(
        "pair:N",
        sort=known["pair"].tolist(),
        axis=alt.Axis(title=None, ticks=False, domain=False, labelPadding=8, labelLimit=165),
    )
    words = [word for word in WORDS if word in set(known["words"])]
    colour = alt.Color(
        "words:N",
        scale=alt.Scale(domain=words, range=[WORDS[word] for word in words]),
        legend=legend(words, "circle"),
    )
    tips = [
        alt.Tooltip("pair:N"),
        alt.Tooltip("words:N", title="verdict"),
        *(alt.Tooltip(f"{name}:Q", format=".4~g") for name in ("ratio", "low", "high")),
    ]
    drawn = known.assign(start=known["low"].fillna(low), end=known["high"].fillna(high))
    chart = alt.Chart(inline(drawn))
    arrows = [
        alt.Chart(inline(open_ended))
        .mark_point(shape=shape, size=60, filled=True)
        .encode(x=alt.X(f"{end}:Q", scale=scale, axis=title), y=y, color=colour)
        for end, shape, open_ended in (
            ("start", "triangle-left", drawn[drawn["low"].isna()]),
            ("end", "triangle-right", drawn[drawn["high"].isna()]),
        )
        if len(open_ended)
    ]
    band = alt.Chart(alt.InlineData(values=[{"from": 1 / (1 + margin), "to": 1 + margin, "one": 1}]))
    return alt.layer(
        band.mark_rect(color="#009E73", opacity=0.18).encode(x=alt.X("from:Q", scale=scale, axis=title), x2="to:Q"),
        band.mark_rule(color=RULE).encode(x=alt.X("one:Q", scale=scale, axis=title)),
        chart.mark_rule(strokeWidth=2).encode(
            x=alt.X("start:Q", scale=scale, axis=title), x2="end:Q", y=y, color=colour
        ),
        *arrows,
        chart.mark_point(filled=True, size=70, stroke=INK, strokeWidth=0.5, opacity=1).encode(
            x=x, y=y, color=colour, tooltip=tips
        ),
    ).properties(width="container", height=24 * len(known))


def _short(name: str, *, length: int = 11) -> str:
    return name if len(name) <= length else f"{name[: length - 1]}…"


def _positive(value: float | None) -> float:
    return float(value) if value is not None and math.isfinite(value) and value > 0 else math.nan
