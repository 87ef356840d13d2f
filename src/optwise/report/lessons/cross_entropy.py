"""Cross-entropy of one yes-or-no answer: what a predicted probability costs under each label."""

from __future__ import annotations

import altair as alt
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from optwise.report.drawing import INK, Chart, Figure, inline
from optwise.report.lessons.channels import heading
from optwise.report.words import listed

MINUS = "\N{MINUS SIGN}"
ZERO, ONE = f"label 0: {MINUS}ln(1 {MINUS} q)", f"label 1: {MINUS}ln q"
_SHADES = {ZERO: "#009E73", ONE: "#D55E00"}
TOP = 4.0

Floats = NDArray[np.float64]


def loss_rows(q: Floats, zero: Floats, one: Floats) -> pd.DataFrame:
    """Loss against prediction under both labels: columns label, curve, q, loss.

    Args:
        q: Predicted probabilities of label 1, between 0 and 1 [n].
        zero: Losses under label 0 [n].
        one: Losses under label 1 [n].
    """
    blocks = [
        pd.DataFrame({"label": label, "curve": curve, "q": q, "loss": loss})
        for label, curve, loss in ((0, ZERO, zero), (1, ONE, one))
    ]
    return pd.concat(blocks, ignore_index=True)


def cross_entropy_figure(curves: pd.DataFrame, marks: pd.DataFrame, crossing: tuple[float, float]) -> Figure:
    """The figure ``cross-entropy``.

    Args:
        curves: From :func:`loss_rows`.
        marks: The same of the predictions that are marked, under label 0.
        crossing: The prediction that costs the same under both labels, and what it costs.
    """
    told = listed(f"{loss:.5f} for q = {q:g}" for q, loss in zip(marks["q"], marks["loss"], strict=True))
    ratio = float(marks["loss"].iloc[-1] / marks["loss"].iloc[0])
    return Figure(
        anchor="cross-entropy",
        question="What does a predicted probability cost, right or wrong?",
        answer=(
            f"Under label 0: {told}, so the last costs {ratio:.1f} times the first. Both labels cost the same, "
            f"{crossing[1]:.5f}, at q = {crossing[0]:g}; a certain answer that is wrong costs infinitely much."
        ),
        key=(
            "q is the predicted probability of label 1. Green is the loss of an example whose label is 0, orange of "
            "one whose label is 1; neither says by itself whether the prediction was right: green below q = 0.5 is "
            "right, above it is wrong. Both curves leave the chart at their wrong end."
        ),
        panels={"loss of one example": loss_chart(curves, marks, crossing)},
    )


def loss_chart(curves: pd.DataFrame, marks: pd.DataFrame, crossing: tuple[float, float]) -> Chart:
    """Draw both curves up to a loss of 4, with the marked predictions and the crossing."""
    x = alt.X(
        "q:Q",
        scale=alt.Scale(domain=[0, 1], nice=False),
        axis=alt.Axis(title="predicted probability q of label 1", tickCount=10),
    )
    y = alt.Y("loss:Q", scale=alt.Scale(domain=[0, TOP], nice=False), axis=alt.Axis(title="loss of the example, nats"))
    scale = alt.Scale(domain=list(_SHADES), range=list(_SHADES.values()))
    shades = alt.Color("curve:N", scale=scale, legend=alt.Legend(symbolType="stroke", labelLimit=220))
    drawn = curves[curves["loss"] <= 1.1 * TOP]
    tips = [alt.Tooltip("label:N"), alt.Tooltip("q:Q", format=".3~g"), alt.Tooltip("loss:Q", format=".5f")]
    spots = marks.assign(text=[f"{loss:.5f}" for loss in marks["loss"]])
    meeting = pd.DataFrame([{"q": crossing[0], "loss": crossing[1], "text": f"({crossing[0]:g}, {crossing[1]:.5f})"}])
    base = alt.Chart(inline(spots))
    cross = alt.Chart(inline(meeting))
    return alt.layer(
        alt.Chart(inline(drawn)).mark_line(strokeWidth=2.4, clip=True).encode(x=x, y=y, color=shades),
        base.mark_point(filled=True, size=75, opacity=1).encode(x=x, y=y, color=shades, tooltip=tips),
        base.mark_text(align="right", dx=-7, dy=-9, color=INK, fontSize=11.5).encode(x=x, y=y, text="text:N"),
        cross.mark_point(filled=True, size=45, color=INK, opacity=1).encode(x=x, y=y),
        cross.mark_text(align="center", dy=-16, color=INK, fontSize=11.5).encode(x=x, y=y, text="text:N"),
    ).properties(width="container", height=300, title=heading("Cross-entropy of one example"))
