"""Curves of the confirmation runs: which method gets there first, and what its runs look like on the way."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from optwise.core.budget import EXAMPLE_GRADIENTS, SECONDS, STEPS
from optwise.core.metric import Direction
from optwise.core.run import Run
from optwise.report.drawing import CROSS, RULE, Chart, inline, method_colour, value_scale
from optwise.report.readings import address, diverged, quantiles
from optwise.report.words import axis_title

# d3 would write 0k for none and 10m for ten milliseconds
_LABELS = "datum.value == 0 ? '0' : axis == 'seconds' ? format(datum.value, '~g') : datum.label"
QUARTILES = (0.5, 0.25, 0.75)


def run_rows(runs: Sequence[Run], metric: str) -> pd.DataFrame:
    """One row a finite measurement: method, trial, step, value."""
    rows = [
        (address(run).method, str(address(run)), step, value)
        for run in runs
        for step, value in run.curve(metric)
        if math.isfinite(value)
    ]
    return pd.DataFrame(rows, columns=["method", "trial", "step", "value"])


def band_rows(runs: Sequence[Run], metric: str, direction: Direction) -> pd.DataFrame:
    """Median and quartiles of each method at each step, a run that has ended counting as the worst.

    Columns: method, step, median, low, high; NaN where that share of the runs has ended.
    """
    blocks = []
    for method in dict.fromkeys(address(run).method for run in runs):
        curves = [dict(run.curve(metric)) for run in runs if address(run).method == method]
        steps = sorted({step for curve in curves for step in curve})
        if not steps:
            continue
        table = np.array([[curve.get(step, np.nan) for step in steps] for curve in curves], dtype=np.float64)
        median, low, high = quantiles(np.where(np.isfinite(table), table, np.nan), direction, QUARTILES)
        blocks.append(pd.DataFrame({"method": method, "step": steps, "median": median, "low": low, "high": high}))
    columns = ["method", "step", "median", "low", "high"]
    return pd.concat(blocks, ignore_index=True)[columns] if blocks else pd.DataFrame(columns=columns)


def end_rows(runs: Sequence[Run], metric: str) -> pd.DataFrame:
    """Last finite point of each run that did not end well: method, trial, step, value, status."""
    rows = []
    for run in runs:
        finite = [(step, value) for step, value in run.curve(metric) if math.isfinite(value)]
        if diverged(run) and finite:
            rows.append((address(run).method, str(address(run)), *finite[-1], run.status.value))
    return pd.DataFrame(rows, columns=["method", "trial", "step", "value", "status"])


def value_domain(rows: pd.DataFrame, target: float | None, direction: Direction) -> tuple[float, float] | None:
    """Range of values to draw: what is worse than every start is off the chart, so that one explosion hides nothing.

    A target is within it unless it is further away than the values span. ``None`` without a finite value.
    """
    values = [float(v) for v in rows["value"] if math.isfinite(v)]
    if not values:
        return None
    starts = [float(v) for v in rows.loc[rows["step"] == rows["step"].min(), "value"]]
    low, high = (min(values), max(starts)) if direction is Direction.MIN else (min(starts), max(values))
    if low >= high:  # nothing got better than the starts: all there is
        low, high = min(values), max(values)
    if target is not None and _near(target, low, high):
        low, high = min(low, target), max(high, target)
    return (low, high) if low < high else (low - 0.5, high + 0.5)


def _near(target: float, low: float, high: float) -> bool:
    """Whether the target lies within one more span of the values: a factor where all are positive."""
    if low > 0:
        factor = max(high / low, 5.0)
        return low / factor <= target <= high * factor
    return low - (high - low) <= target <= high + (high - low)


def curve_chart(
    runs: Sequence[Run],
    defaults: Sequence[Run],
    *,
    metric: str,
    direction: Direction,
    methods: Sequence[str],
    costs: Mapping[str, Mapping[str, float | None]],
    axis: str,
    target: float | None,
) -> Chart | None:
    """Draw one metric; ``None`` where nothing finite was measured.

    Args:
        runs: Confirmation runs.
        defaults: The same at library defaults.
        metric: Full name.
        direction: Which way it is better.
        methods: All methods of the comparison, for their colours.
        costs: Method to what one step costs on each axis.
        axis: The axis shown first.
        target: Value to mark, where the target is on this metric.
    """
    rows, ends = run_rows(runs, metric), end_rows(runs, metric)
    reference = band_rows(defaults, metric, direction)
    everything = pd.concat([rows, run_rows(defaults, metric)], ignore_index=True)
    domain = value_domain(everything, target, direction)
    if domain is None:
        return None
    target = target if target is not None and domain[0] <= target <= domain[1] else None
    present = [method for method in methods if method in set(everything["method"])]
    axes = [a for a in (EXAMPLE_GRADIENTS, STEPS, SECONDS) if all(costs[m].get(a) is not None for m in present)]
    shown = axis if axis in axes else STEPS

    pick = alt.param(name="axis", value=shown, bind=alt.binding_select(options=axes, name="horizontal axis "))
    held = alt.selection_point(name="method", fields=["method"], bind="legend", toggle="true")
    near = alt.selection_point(name="near", on="pointerover", clear="pointerout", fields=["trial", "step"])
    shades = method_colour(present, methods)
    x = alt.X(
        "x:Q",
        axis=alt.Axis(title=None, format="~s", tickCount=6, labelExpr=_LABELS),
        scale=alt.Scale(nice=False),
    )
    drawn = [*domain, min(everything["value"])]  # one value that is not positive rules a log scale out
    scale = value_scale(drawn, domain=domain)
    vertical = alt.Axis(title=metric, tickCount=6, format="~g")

    def y(name: str) -> alt.Y:
        return alt.Y(f"{name}:Q", scale=scale, axis=vertical)

    def dimmed(full: float) -> Any:
        return alt.when(held).then(alt.value(full)).otherwise(alt.value(full / 12))

    def placed(frame: pd.DataFrame, fields: Sequence[str]) -> alt.Chart:
        """Pack each line into one row; the browser unpacks it and puts it on the axis chosen."""
        return (
            alt.Chart(inline(packed(frame, fields, costs, axes)))
            .transform_flatten(["step", *fields])
            .transform_calculate(x="datum.step * datum[axis]")
        )

    layers: list[alt.Chart] = []
    bands = band_rows(runs, metric, direction)
    if len(bands):
        layers.append(
            placed(bands, ("low", "high"))
            .transform_filter("isValid(datum.low) && isValid(datum.high)")
            .mark_area(clip=True, interpolate="linear")
            .encode(x=x, y=y("low"), y2="high:Q", color=shades, opacity=dimmed(0.16))
        )
    if len(reference):
        layers.append(
            placed(reference, ("median",))
            .mark_line(clip=True, strokeWidth=1.4, strokeDash=[5, 4], invalid="break-paths-show-domains")
            .encode(x=x, y=y("median"), color=shades, opacity=dimmed(0.85))
        )
    if len(bands):
        layers.append(
            placed(bands, ("median",))
            .mark_line(clip=True, strokeWidth=2.4, invalid="break-paths-show-domains")
            .encode(x=x, y=y("median"), color=shades, opacity=dimmed(1.0))
        )
    if target is not None:
        layers.append(
            alt.Chart(alt.InlineData(values=[{"target": target}]))
            .mark_rule(color=RULE, strokeWidth=1.2, strokeDash=[2, 2])
            .encode(y=alt.Y("target:Q", scale=scale, axis=vertical))
        )
        layers.append(
            alt.Chart(alt.InlineData(values=[{"target": target, "text": "target"}]))
            .mark_text(align="right", baseline="bottom", dy=-3, dx=-2, color=RULE, fontSize=11)
            .encode(y=alt.Y("target:Q", scale=scale, axis=vertical), x=alt.value("width"), text="text:N")
        )
    if len(ends):
        ends = ends.assign(value=ends["value"].clip(*domain))
        layers.append(
            placed(ends, ("value",))
            .mark_point(shape=CROSS, size=42, strokeWidth=1.6, filled=False)
            .encode(
                x=x,
                y=y("value"),
                color=shades,
                opacity=dimmed(0.95),
            )
        )
    tips = [
        alt.Tooltip("trial:N", title="trial"),
        alt.Tooltip("value:Q", title=metric, format=".5g"),
        alt.Tooltip("step:Q", title="step"),
        alt.Tooltip("x:Q", title="on the axis", format=".6~g"),
    ]
    if len(rows):
        layers.append(
            placed(rows, ("value",))
            .transform_filter(f"datum.value >= {float(domain[0])!r} && datum.value <= {float(domain[1])!r}")
            .mark_point(filled=True, size=60, stroke="white", strokeWidth=1)
            .encode(
                x=x,
                y=y("value"),
                color=shades,
                opacity=alt.when(near, empty=False).then(alt.value(1)).otherwise(alt.value(0)),
                tooltip=tips,
            )
            .properties(name="runs")
            .add_params(near)
        )
    layers[0] = layers[0].properties(name="first").add_params(held)
    titles = "{" + ", ".join(f"'{a}': '{axis_title(a)}'" for a in axes) + "}[axis]"
    return (
        alt.layer(*layers)
        .add_params(pick)
        .properties(
            width="container",
            height=360,
            title=alt.Title(alt.ExprRef(titles), orient="bottom", anchor="middle", offset=8),
        )
    )


def packed(
    frame: pd.DataFrame,
    fields: Sequence[str],
    costs: Mapping[str, Mapping[str, float | None]],
    axes: Sequence[str],
) -> pd.DataFrame:
    """One row a line: its steps and values as lists, and what one step costs on each axis."""
    keys = ["method", "trial"] if "trial" in frame else ["method"]
    rows = []
    for key, block in frame.groupby(keys, sort=False):
        own: dict[str, Any] = dict(zip(keys, key, strict=True))
        lists = {name: block[name].tolist() for name in ("step", *fields)}
        rows.append({**own, **lists, **{axis: costs[own["method"]][axis] for axis in axes}})
    return pd.DataFrame(rows)
