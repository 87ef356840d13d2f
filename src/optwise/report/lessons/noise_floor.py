"""The noise floor of constant steps: which of them reach it, and what a single run looks like."""

from __future__ import annotations

import altair as alt
import pandas as pd

from optwise.report.drawing import Chart, Figure, inline
from optwise.report.lessons.channels import log_axis, log_scale, shade, signs
from optwise.report.words import listed, number


def noise_floor_figure(rows: pd.DataFrame, *, distance: float, sigma: float) -> Figure:
    """The figure ``sgd-noise-floor``.

    Args:
        rows: Columns lr, step, measured, predicted, bias, floor, settled.
        distance: Of the start from the mean.
        sigma: Standard deviation of one example.
    """
    steps = int(rows["step"].max())
    ends = rows[rows["step"] == steps]
    inside = ends[ends["settled"] <= 0]
    there, away = ends[(ends["settled"] > 0) & (ends["settled"] <= steps)], ends[ends["settled"] > steps]
    parts = []
    if len(inside):
        lie = "the run of {} starts" if len(inside) == 1 else "the runs of {} start"
        parts.append(f"{lie.format(listed(_sizes(inside)))} no further away than that")
    if len(there):
        parts.append(
            f"within {steps:,} steps {listed(_arrivals(there))} {'reaches its' if len(there) == 1 else 'reach theirs'}"
        )
    if len(away):
        are = "is" if len(away) == 1 else "are"
        when = "" if parts else f"after {steps:,} steps "  # a sentence does not begin with a letter of a formula
        parts.append(f"{when}{listed(_arrivals(away))} {are} still on the straight line that leads there")
    told = "; ".join(parts)
    answer = f"At a floor of sigma √(η / (2 - η)). {told[0].upper()}{told[1:]}. {_price(ends)}"
    return Figure(
        anchor="sgd-noise-floor",
        question="Where does SGD with a constant step stop, and when does it get there?",
        answer=signs(answer),
        key=signs(
            "Thin: distance of one run of the engine, one seed per step size. Thick: root mean square over all runs, "
            f"computed, √(2 risk). Dashed: its limit. Ring: where what is left of the start, {distance:g} |1 - η|^k, "
            "equals the limit; noise has as much there at most, so that the curve is √2 times its limit or less. A "
            "single run lies below its root mean square two times in three, since its error is "
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
    title = "distance to the mean |w - μ|"
    drawn_y = (0.2 * float(named["floor"].min()), 2 * float(max(named["predicted"].max(), named["floor"].max())))
    y = alt.Y("value:Q", scale=log_scale(*drawn_y), axis=log_axis(title, *drawn_y))
    shades = shade("size", sizes)
    every = named[named["step"] % max(1, steps // 200) == 0]
    named = named[named["step"] % max(1, steps // 2000) == 0]
    ends = named[named["step"].isin((0, steps))]
    rings = rows.assign(size="η = " + rows["lr"].map(_size))
    rings = rings[(rings["step"] == rings["settled"].round()) & (rings["settled"] > 0)]
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
        drawn(rings, "predicted").mark_point(filled=False, fill="white", size=60, strokeWidth=2, opacity=1),
        drawn(every, "predicted").mark_point(filled=True, size=60, opacity=0).encode(tooltip=tips),
    ).properties(width="container", height=380)


def _arrivals(ends: pd.DataFrame) -> list[str]:
    return [f"η = {_size(lr)} (after {settled:,.0f})" for lr, settled in zip(ends["lr"], ends["settled"], strict=True)]


def _sizes(ends: pd.DataFrame) -> list[str]:
    return [f"η = {_size(lr)}" for lr in ends["lr"]]


def _price(ends: pd.DataFrame) -> str:
    """What smaller steps cost and give: the two that differ most, at their own numbers."""
    if len(ends) == 1:
        return f"The floor is {number(ends['floor'].iloc[0])}."
    own = ends.sort_values("lr")
    low, high = own.iloc[0], own.iloc[-1]
    floors = listed(f"{number(floor)} (η = {_size(lr)})" for lr, floor in zip(ends["lr"], ends["floor"], strict=True))
    return (
        f"From η = {_size(high['lr'])} to {_size(low['lr'])} the step shrinks {number(high['lr'] / low['lr'])} times "
        f"and the floor {number(high['floor'] / low['floor'])} times, about by the root of that: {floors}."
        if high["lr"] <= 0.5
        else f"The floors are {floors}."
    )


def _size(lr: float) -> str:
    return f"{lr:.15f}".rstrip("0").rstrip(".") if lr >= 1e-6 else signs(f"{lr:.10g}")
