"""The noise floor of constant steps: which of them reach it, and what a single run looks like."""

from __future__ import annotations

import altair as alt
import pandas as pd

from optwise.report.drawing import Chart, Figure, inline
from optwise.report.lessons.channels import log_axis, log_scale, shade, signs
from optwise.report.words import listed, number

DRAWN = (1e-3, 20.0)


def noise_floor_figure(rows: pd.DataFrame, *, distance: float, sigma: float) -> Figure:
    """The figure ``sgd-noise-floor``.

    Args:
        rows: Columns lr, step, measured, predicted, bias, floor, settled.
        distance: Of the start from the mean.
        sigma: Standard deviation of one example.
    """
    steps = int(rows["step"].max())
    ends = rows[rows["step"] == steps]
    there, away = ends[ends["settled"] <= steps], ends[ends["settled"] > steps]
    answer = (
        f"At a floor of sigma √(η / (2 - η)). Within {steps:,} steps {listed(_arrivals(there))} reach theirs; "
        f"{listed(_arrivals(away))} are still on the straight line that leads there. Ten times smaller steps lower the "
        f"floor only √10 times ({', '.join(number(floor) for floor in ends['floor'])}) and take ten times as long."
    )
    return Figure(
        anchor="sgd-noise-floor",
        question="Where does SGD with a constant step stop, and when does it get there?",
        answer=signs(answer),
        key=signs(
            "Thin: distance of one run of the engine, one seed per step size. Thick: root mean square over all runs, "
            f"computed, √(2 risk). Dashed: its limit. Ring: where what is left of the start, {distance:g} (1 - η)^k, "
            "equals the limit. A single run lies below its root mean square two times in three, since its error is "
            f"about normal. Mean estimation, distance {distance:g} at the start, sigma = {sigma:g}, batches of one, "
            f"{steps:,} steps."
        ),
        panels={"distance to the mean": noise_floor_chart(rows)},
    )


def noise_floor_chart(rows: pd.DataFrame) -> Chart:
    """Draw the three kinds of lines on a log axis."""
    named = rows.assign(size="η = " + rows["lr"].map(_size))
    steps, sizes = int(rows["step"].max()), list(dict.fromkeys(named["size"]))
    x = alt.X("step:Q", scale=alt.Scale(domain=[0, steps], nice=False), axis=alt.Axis(title="step k", tickCount=6))
    title = "distance to the mean |w - μ|, in units of sigma"
    y = alt.Y("value:Q", scale=log_scale(*DRAWN), axis=log_axis(title, *DRAWN))
    shades = shade("size", sizes)
    every = named[named["step"] % 5 == 0]
    ends = named[named["step"].isin((0, steps))]
    rings = named[named["step"] == named["settled"].round()]
    tips = [
        alt.Tooltip("size:N", title="step size"),
        alt.Tooltip("step:Q"),
        alt.Tooltip("value:Q", title="root mean square", format=".4~g"),
    ]

    def drawn(frame: pd.DataFrame, column: str) -> alt.Chart:
        rows = frame[["size", "step", column]].rename(columns={column: "value"})
        return alt.Chart(inline(rows)).encode(x=x, y=y, color=shades)

    return alt.layer(
        drawn(named, "measured").mark_line(clip=True, strokeWidth=0.8, opacity=0.45),
        drawn(ends, "floor").mark_line(clip=True, strokeWidth=1.3, strokeDash=[5, 4]),
        drawn(every, "predicted").mark_line(clip=True, strokeWidth=2.6),
        drawn(rings, "floor").mark_point(filled=False, fill="white", size=60, strokeWidth=2, opacity=1),
        drawn(every, "predicted").mark_point(filled=True, size=60, opacity=0).encode(tooltip=tips),
    ).properties(width="container", height=380)


def _arrivals(ends: pd.DataFrame) -> list[str]:
    return [f"η = {_size(lr)} (after {settled:,.0f})" for lr, settled in zip(ends["lr"], ends["settled"], strict=True)]


def _size(lr: float) -> str:
    return f"{lr:.15f}".rstrip("0")
