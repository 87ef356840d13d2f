"""Ratios: the mean of the runs divided by what theory says of it, step by step."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import altair as alt
import pandas as pd

from optwise.report.drawing import NO_PREFIX_ON_ZERO, RULE, Chart, inline, method_colour

ALL = "all"
"""The study that stands for all of them together."""
RATIOS = (0.25, 4.0)
"""The widest range of ratios that is drawn."""
CLOSE = 0.01
"""A difference from the prediction that is told in percent; also half the narrowest range of ratios."""
STEPS = alt.Axis(title="steps", format="~s", tickCount=5, labelExpr=NO_PREFIX_ON_ZERO)


def ratio_rows(rows: pd.DataFrame) -> pd.DataFrame:
    """Measured over predicted at each step, studies together: method, step, ratio, low, high, n.

    Args:
        rows: From :func:`~optwise.report.figures.predictions.prediction_rows`, of several methods.
    """
    pooled = rows[(rows["study"] == ALL) & (rows["predicted"] > 0)].dropna(subset=["mean"])
    divided = pooled[["mean", "low", "high"]].div(pooled["predicted"], axis=0).rename(columns={"mean": "ratio"})
    return pd.concat([pooled[["method", "step"]], divided, pooled["n"]], axis=1).reset_index(drop=True)


def ratio_chart(rows: pd.DataFrame, *, methods: Sequence[str]) -> Chart | None:
    """Draw measured over predicted, all methods side by side at each step; ``None`` without a positive prediction.

    Args:
        rows: From :func:`ratio_rows`.
        methods: All methods of the comparison, for their colours.
    """
    if rows.empty:
        return None
    present = [method for method in methods if method in set(rows["method"])]
    steps = sorted(set(rows["step"]))
    gap = min((b - a for a, b in itertools.pairwise(steps)), default=1)
    places = {method: 0.7 * gap * ((i + 1) / (len(present) + 1) - 0.5) for i, method in enumerate(present)}
    drawn = rows.assign(place=rows["step"] + rows["method"].map(places))
    low, high = max(float(rows["low"].min()), RATIOS[0]), min(float(rows["high"].max()), RATIOS[1])
    low, high = min(low, 1 - CLOSE, float(rows["ratio"].min())), max(high, 1 + CLOSE, float(rows["ratio"].max()))
    room = 0.05 * (high - low)
    scale = alt.Scale(domain=[low - room, high + room], nice=False, zero=False)
    vertical = alt.Axis(title="measured / predicted", tickCount=5, format="~g")
    x = alt.X("place:Q", scale=alt.Scale(nice=False, padding=6), axis=STEPS)
    shades = method_colour(present, methods, symbol="circle")
    tips = [
        alt.Tooltip("method:N"),
        alt.Tooltip("step:Q"),
        *(alt.Tooltip(f"{name}:Q", format=".4g") for name in ("ratio", "low", "high")),
        alt.Tooltip("n:Q", title="runs"),
    ]
    chart, one = alt.Chart(inline(drawn, "measured over predicted")), alt.Chart(alt.InlineData(values=[{"one": 1}]))
    return alt.layer(
        one.mark_rule(color=RULE, strokeDash=[5, 3]).encode(y=alt.Y("one:Q", scale=scale, axis=vertical)),
        chart.mark_rule(clip=True, strokeWidth=1.4).encode(
            x=x, y=alt.Y("low:Q", scale=scale, axis=vertical), y2="high:Q", color=shades
        ),
        chart.mark_point(clip=True, filled=True, size=36, opacity=1).encode(
            x=x, y=alt.Y("ratio:Q", scale=scale, axis=vertical), color=shades, tooltip=tips
        ),
    ).properties(width="container", height=220)
