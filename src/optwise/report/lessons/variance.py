"""Variance against mean squared error: the same noise, with and without what is left of the start."""

from __future__ import annotations

from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from optwise.report.drawing import Chart, Figure, inline
from optwise.report.lessons.channels import dashes, log_axis, log_scale, shade, signs
from optwise.report.words import listed, number

VARIANCE, ERROR = "variance", "mean squared error"
ALIKE = 0.01
"""Share of the variance below which what is left of the start no longer matters."""


def variance_figure(rows: pd.DataFrame, *, replicas: int, mu: float, start: float, sigma: float) -> Figure:
    """The figure ``sgd-variance``.

    Args:
        rows: Columns lr, step, variance, error, floor, and measured_variance, variance_se, measured_error, error_se
            where many runs were made.
        replicas: How many.
        mu: The mean.
        start: Where runs start.
        sigma: Standard deviation of one example.
    """
    measured = rows.dropna(subset=["measured_error"])
    agreement = alike(rows)
    return Figure(
        anchor="sgd-variance",
        question="How large is the variance of SGD, and is it the error?",
        answer=signs(f"{_whether(rows, measured)} {_floors(rows)}"),
        key=signs(
            "Solid: variance, σ² η / (2 - η) * (1 - (1 - η)^(2k)). Dashed: mean squared error, which adds "
            "(1 - η)^(2k) (w0 - μ)². "
            f"Filled and hollow: the same two over {replicas:,} runs of the engine, bars of two standard errors; "
            f"{agreement} of {2 * len(measured)} lie within them. Mean estimation, μ = {mu:g}, w0 = {start:g}, "
            f"sigma = {sigma:g}, batches of one, {int(rows['step'].max()):,} steps."
        ),
        panels={"variance and error": variance_chart(rows)},
    )


def _whether(rows: pd.DataFrame, measured: pd.DataFrame) -> str:
    """Whether the two are the same, and from where on."""
    if (rows["error"] <= (1 + ALIKE) * rows["variance"]).all():
        return f"It is the error from the start: they agree within {100 * ALIKE:g} % at every step that was looked at."
    first = measured.iloc[int((measured["error"] / measured["variance"]).to_numpy().argmax())]
    factor = float(first["error"] / first["variance"])
    near = rows[rows["error"] <= (1 + ALIKE) * rows["variance"]].groupby("lr")["step"].min()
    never = [lr for lr in dict.fromkeys(rows["lr"]) if lr not in near.index]
    agree, parts = f"within {100 * ALIKE:g} %", []
    if len(near):
        parts.append(f"they agree {agree} from {_steps(near)} on")
    if never:
        last, which = int(rows["step"].max()), listed(f"η = {lr:g}" for lr in never)
        parts.append(f"{last:,} steps are not enough to agree {agree} for {which}")
    return (
        f"Only once the start is forgotten. At step {int(first['step'])} with η = {first['lr']:g} the mean squared "
        f"error is {number(factor, digits=2)} times the variance; {'; '.join(parts)}. The lecture's figure draws "
        "measured variances against the formula of the error, which early on lies above them by that factor."
    )


def _steps(near: pd.Series[Any]) -> str:
    if len(near) == 1:
        return f"step {near.iloc[0]:,} (η = {near.index[0]:g})"
    return f"steps {listed(f'{k:,}' for k in near)} (η = {listed(f'{lr:g}' for lr in near.index)})"


def _floors(rows: pd.DataFrame) -> str:
    floors = rows.groupby("lr", sort=False)["floor"].first()
    ends = "Both end at" if len(floors) == 1 else "Both end at floors of"
    return f"{ends} {listed(f'{number(floor)} (η = {lr:g})' for lr, floor in floors.items())}."


def alike(rows: pd.DataFrame) -> int:
    """How many measured numbers lie within two standard errors of what was computed."""
    pairs = (("measured_variance", "variance", "variance_se"), ("measured_error", "error", "error_se"))
    return sum(int(((rows[m] - rows[c]).abs() <= 2 * rows[se]).sum()) for m, c, se in pairs)


def variance_chart(rows: pd.DataFrame) -> Chart:
    """Draw both kinds of curves and what was measured, on log axes."""
    named = rows.assign(size=rows["lr"].map(lambda lr: signs(f"η = {lr:g}")))
    ends = (1.0, 1.3 * float(rows["step"].max()))
    # whatever is counted is seen
    values = rows[["variance", "error", "measured_variance", "measured_error"]].to_numpy(float)
    shown = (0.4 * float(np.nanmin(values)), 2.4 * float(np.nanmax(values)))
    sizes = list(dict.fromkeys(named["size"]))
    x = alt.X("step:Q", scale=log_scale(*ends), axis=log_axis("step k", *ends))

    def y(field: str) -> alt.Y:
        axis = log_axis("variance or mean squared error, in units of w²", *shown)
        return alt.Y(f"{field}:Q", scale=log_scale(*shown), axis=axis)

    shades = shade("size", sizes)
    curves = named.melt(["size", "step"], ["variance", "error"], "kind", "value").replace(
        {"kind": {"variance": VARIANCE, "error": ERROR}}
    )
    layers: list[alt.Chart] = [
        alt.Chart(inline(curves))
        .mark_line(clip=True, strokeWidth=2)
        .encode(x=x, y=y("value"), color=shades, strokeDash=dashes("kind", {VARIANCE: (1, 0), ERROR: (5, 4)}))
    ]
    for column, se, filled in (("measured_error", "error_se", False), ("measured_variance", "variance_se", True)):
        seen = named.dropna(subset=[column])
        seen = seen.assign(
            value=seen[column], low=(seen[column] - 2 * seen[se]).clip(lower=shown[0]), high=seen[column] + 2 * seen[se]
        )
        chart = alt.Chart(inline(seen[["size", "step", "value", "low", "high"]]))
        tips = [
            alt.Tooltip("size:N", title="step size"),
            alt.Tooltip("step:Q"),
            *(alt.Tooltip(f"{name}:Q", format=".4~g") for name in ("value", "low", "high")),
        ]
        paint = {"filled": True} if filled else {"filled": False, "fill": "white"}
        layers += [
            chart.mark_rule(clip=True, strokeWidth=1.4).encode(x=x, y=y("low"), y2="high:Q", color=shades),
            chart.mark_point(clip=True, size=46, strokeWidth=1.5, opacity=1, **paint).encode(
                x=x, y=y("value"), color=shades, tooltip=tips
            ),
        ]
    return alt.layer(*layers).properties(width="container", height=380)
