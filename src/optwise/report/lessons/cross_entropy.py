"""Cross-entropy of one yes-or-no answer: what a predicted probability costs under each label."""

from __future__ import annotations

from typing import Any, Literal

import altair as alt
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from optwise.report.drawing import INK, Chart, Figure, inline, legend
from optwise.report.lessons.channels import heading, signs
from optwise.report.words import listed, number

MINUS = "\N{MINUS SIGN}"
ZERO, ONE = f"label 0: {MINUS}ln(1 {MINUS} q)", f"label 1: {MINUS}ln q"
_SHADES = {ZERO: "#009E73", ONE: "#D55E00"}
TOP = 4.0
"""Loss up to which the curves are drawn, unless a mark lies above it."""
RIGHT = 0.84
"""Predictions up to which there is room for a number to the right of the mark."""
NEAR_AXIS = 0.25
"""Loss below which there is no room for a number under a mark."""
APART, ABOVE = 0.16, 0.06
"""Marks that are nearer to one before, in predictions and in shares of the axis of losses, have no number."""
EDGE = 0.06
"""Predictions this near to 0 or 1 have their number on the inner side."""

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
        marks: The same of the predictions that are marked, under one label.
        crossing: The prediction that costs the same under both labels, and what it costs.
    """
    told = listed(f"{_loss(loss)} for q = {q:g}" for q, loss in zip(marks["q"], marks["loss"], strict=True))
    label = int(marks["label"].iloc[0])
    dearest, cheapest = (marks.iloc[int(pick(marks["loss"].to_numpy()))] for pick in (np.argmax, np.argmin))
    ratio = (
        f", so q = {dearest['q']:g} costs {number(dearest['loss'] / cheapest['loss'])} times as much as "
        f"{cheapest['q']:g}"
        if len(marks) > 1
        else ""
    )
    return Figure(
        anchor="cross-entropy",
        question="What does a predicted probability cost, right or wrong?",
        answer=signs(
            f"Under label {label}: {told}{ratio}. Both labels cost the same, "
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
    """Draw both curves up to a loss of 4 or the highest mark, with the marked predictions and the crossing."""
    top = max(TOP, 1.15 * float(marks["loss"].max()))
    x = alt.X(
        "q:Q",
        scale=alt.Scale(domain=[0, 1], nice=False),
        axis=alt.Axis(title="predicted probability q of label 1", tickCount=10),
    )
    y = alt.Y("loss:Q", scale=alt.Scale(domain=[0, top], nice=False), axis=alt.Axis(title="loss, nats"))
    scale = alt.Scale(domain=list(_SHADES), range=list(_SHADES.values()))
    shades = alt.Color("curve:N", scale=scale, legend=legend(list(_SHADES), "stroke"))
    drawn = curves[curves["loss"] <= 1.1 * top]
    tips = [alt.Tooltip("label:N"), alt.Tooltip("q:Q", format=".3~g"), alt.Tooltip("loss:Q", format=".5f")]
    spots = marks.assign(text=[_loss(loss) for loss in marks["loss"]])
    meeting = pd.DataFrame([{"q": crossing[0], "loss": crossing[1], "text": f"({crossing[0]:g}, {crossing[1]:.5f})"}])
    base = alt.Chart(inline(spots))
    label = int(marks["label"].iloc[0])
    said = _apart(spots, crossing, top)
    low = said["loss"] < NEAR_AXIS * top / TOP  # above the mark, since the axis is below
    beside = ~low & (said["q"] <= RIGHT)
    # on the side of the curve where it has not been: below where it rises, above where it falls
    down = 6 if label == 0 else -6
    cross = alt.Chart(inline(meeting))
    return alt.layer(
        alt.Chart(inline(drawn)).mark_line(strokeWidth=2.4, clip=True).encode(x=x, y=y, color=shades),
        base.mark_point(filled=True, size=75, opacity=1).encode(x=x, y=y, color=shades, tooltip=tips),
        alt.Chart(inline(said[beside]))
        .mark_text(align="left", dx=9, dy=down, color=INK, fontSize=11.5)
        .encode(x=x, y=y, text="text:N"),
        *(
            alt.Chart(inline(said[low & at]))
            .mark_text(align=align, dy=-14, color=INK, fontSize=11.5)
            .encode(x=x, y=y, text="text:N")
            for align, at in _aligned(said["q"])
            if (low & at).any()
        ),
        alt.Chart(inline(said[~beside & ~low]))
        .mark_text(align="right", dx=-9, dy=-8, color=INK, fontSize=11.5)
        .encode(x=x, y=y, text="text:N"),
        cross.mark_point(filled=True, size=45, color=INK, opacity=1).encode(x=x, y=y),
        cross.mark_text(align="center", dy=-28, color=INK, fontSize=11.5).encode(x=x, y=y, text="text:N"),
    ).properties(width="container", height=300, title=heading("Cross-entropy of one example"))


def _loss(loss: float) -> str:
    return f"{loss:.5f}" if loss >= 1e-3 else number(loss)


def _aligned(q: pd.Series[Any]) -> list[tuple[Literal["left", "center", "right"], pd.Series[Any]]]:
    """How a number above a mark is aligned so that it stays within the chart: at its ends, on the inner side."""
    first, last = q < EDGE, q > 1 - EDGE
    return [("left", first), ("center", ~first & ~last), ("right", last)]


def _apart(spots: pd.DataFrame, crossing: tuple[float, float], top: float) -> pd.DataFrame:
    """The marks that have room for a number: not too near to one before nor to the crossing, across and along."""
    taken = [crossing]
    kept: list[int] = []
    for i, (q, loss) in enumerate(zip(spots["q"], spots["loss"], strict=True)):
        if all(abs(q - other) >= APART or abs(loss - height) >= ABOVE * top for other, height in taken):
            kept.append(i)
            taken.append((q, loss))
    return spots.iloc[kept]
