"""Curves of the confirmation runs: which method gets there first, and what its runs look like on the way."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from optwise.core.metric import Direction
from optwise.core.run import Run
from optwise.report.drawing import CROSS, RULE, Chart, dimmed, held, inline, method_colour, metric_scale
from optwise.report.readings import address, diverged, quantiles, spans_decades
from optwise.report.words import axis_title

# d3 would write 0k for none and 10m for ten milliseconds
_LABELS = "datum.value == 0 ? '0' : axis == 'seconds' ? format(datum.value, '~g') : datum.label"
QUARTILES = (0.5, 0.25, 0.75)
STRAIGHT = 2e-3
"""Share of the longest amount by which a line may stray from steps times a price, and be drawn as such."""
Spent = Callable[[Run, str, float], float]
"""What a run had spent of an axis after some steps."""
SETTLED = 0.1
"""Share of a run after which its curve sets the range of values that is drawn."""


def run_rows(runs: Sequence[Run], metric: str, spent: Spent | None = None, axes: Sequence[str] = ()) -> pd.DataFrame:
    """One row a finite measurement: method, trial, step, value, and what the run had spent of each of ``axes``."""
    rows = [
        (address(run).method, str(address(run)), step, value, *_amounts(run, step, spent, axes))
        for run in runs
        for step, value in run.curve(metric)
        if math.isfinite(value)
    ]
    return pd.DataFrame(rows, columns=["method", "trial", "step", "value", *axes])


def band_rows(
    runs: Sequence[Run], metric: str, direction: Direction, spent: Spent | None = None, axes: Sequence[str] = ()
) -> pd.DataFrame:
    """Median and quartiles of each method at each evaluation, a run that has ended counting as the worst.

    Columns: method, step, median, low, high, and each of ``axes``; NaN where that share of the runs has ended. Where
    runs paid differently for their steps, step and amounts are the medians of those that were measured that often.
    """
    blocks = []
    for method in dict.fromkeys(address(run).method for run in runs):
        own = [run for run in runs if address(run).method == method and run.curve(metric)]
        if not own:
            continue
        curves = [run.curve(metric) for run in own]
        most = max(map(len, curves))
        table = np.full((len(own), most), np.nan)
        places = np.full((len(own), most, 1 + len(axes)), np.nan)
        for i, (run, curve) in enumerate(zip(own, curves, strict=True)):
            table[i, : len(curve)] = [value for _, value in curve]
            places[i, : len(curve)] = [(step, *_amounts(run, step, spent, axes)) for step, _ in curve]
        median, low, high = quantiles(np.where(np.isfinite(table), table, np.nan), direction, QUARTILES)
        step, *amounts = np.nanmedian(places, axis=0).T
        step = step.astype(np.int64) if (step % 1 == 0).all() else step
        block = {"method": method, "step": step, "median": median, "low": low, "high": high}
        blocks.append(pd.DataFrame({**block, **dict(zip(axes, amounts, strict=True))}))
    columns = ["method", "step", "median", "low", "high"]
    return pd.concat(blocks, ignore_index=True) if blocks else pd.DataFrame(columns=[*columns, *axes])


def end_rows(runs: Sequence[Run], metric: str, spent: Spent | None = None, axes: Sequence[str] = ()) -> pd.DataFrame:
    """Last finite point of each run that did not end well: method, trial, step, value, status, and ``axes``."""
    rows = []
    for run in runs:
        finite = [(step, value) for step, value in run.curve(metric) if math.isfinite(value)]
        if diverged(run) and finite:
            amounts = _amounts(run, finite[-1][0], spent, axes)
            rows.append((address(run).method, str(address(run)), *finite[-1], run.status.value, *amounts))
    return pd.DataFrame(rows, columns=["method", "trial", "step", "value", "status", *axes])


def _amounts(run: Run, step: float, spent: Spent | None, axes: Sequence[str]) -> list[float]:
    return [] if spent is None else [spent(run, axis, step) for axis in axes]


def value_domain(bands: pd.DataFrame, target: float | None, direction: Direction) -> tuple[float, float] | None:
    """Range of values to draw: where the curves differ, so from their medians and quartiles after the first steps.

    What a method was worse than at its start is no part of it, so that an explosion hides nothing. A target is within
    it unless it is further away than the values span. ``None`` without a finite value.

    Args:
        bands: From :func:`band_rows`.
        target: Value to reach.
        direction: Which way the metric is better.
    """
    columns = ["median", "low", "high"]
    finite = bands[np.isfinite(bands["median"])] if len(bands) else bands
    if finite.empty:
        return None
    steps = finite.groupby("method")["step"]
    start, end = steps.transform("min"), steps.transform("max")  # methods may take many steps for a budget, or few
    settled = finite[finite["step"] > start + SETTLED * (end - start)]
    worst = float(np.nanmax(finite.loc[finite["step"] == start, columns].to_numpy() * direction.sign)) * direction.sign
    values = [float(v) for v in (settled if len(settled) else finite)[columns].to_numpy().ravel() if math.isfinite(v)]
    within = [v for v in values if not direction.better(worst, v)]
    values = within if len(within) > 1 else values
    if target is not None and _near(target, min(values), max(values)):
        values = [*values, target]
    low, high = min(values), max(values)
    if spans_decades([low, high]) and direction is Direction.MIN:
        room = (high / low) ** 0.03
        return low / room, high * room
    room = 0.04 * (high - low) or 0.1 * abs(low) or 0.5
    return low - room, high + room


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
    spent: Spent,
    axes: Sequence[str],
    target: float | None,
) -> Chart | None:
    """Draw one metric; ``None`` where nothing finite was measured.

    Args:
        runs: Confirmation runs.
        defaults: The same at library defaults.
        metric: Full name.
        direction: Which way it is better.
        methods: All methods of the comparison, for their colours.
        spent: What a run had spent of an axis after some steps.
        axes: What the horizontal axis may show, what it shows first at the front.
        target: Value to mark, where the target is on this metric.
    """
    rows, ends = run_rows(runs, metric, spent, axes), end_rows(runs, metric, spent, axes)
    bands, reference = (band_rows(some, metric, direction, spent, axes) for some in (runs, defaults))
    domain = value_domain(bands if len(bands) else reference, target, direction)
    if domain is None:
        return None
    target = target if target is not None and domain[0] <= target <= domain[1] else None
    present = [method for method in methods if method in {*rows["method"], *reference["method"]}]

    pick = alt.param(name="axis", value=axes[0], bind=alt.binding_select(options=list(axes), name="horizontal axis "))
    near = alt.selection_point(name="near", on="pointerover", clear="pointerout", fields=["trial", "step"])
    shades = method_colour(present, methods)
    x = alt.X(
        "x:Q",
        axis=alt.Axis(title=None, format="~s", tickCount=6, labelExpr=_LABELS),
        scale=alt.Scale(nice=False),
    )
    drawn = [*domain, *([float(rows["value"].min())] if len(rows) else [])]  # one that is not positive: no log scale
    scale = metric_scale(drawn, direction, domain=domain)
    vertical = alt.Axis(title=metric, tickCount=6, format="~g")

    def y(name: str) -> alt.Y:
        return alt.Y(f"{name}:Q", scale=scale, axis=vertical)

    def placed(frame: pd.DataFrame, fields: Sequence[str], name: str) -> alt.Chart:
        """Pack each line into one row; the browser unpacks it and puts it on the axis chosen."""
        lines, listed = packed(frame, fields, axes)
        return (
            alt.Chart(inline(lines, f"{name}, {metric}"))
            .transform_flatten(["step", *fields, *listed])
            .transform_calculate(x=f"datum[axis] * (indexof({listed!r}, axis) < 0 ? datum.step : 1)")
        )

    layers: list[alt.Chart] = []
    if len(bands):
        middle = placed(bands, ("median", "low", "high"), "median and quartiles")
        layers.append(
            middle.transform_filter("isValid(datum.low) && isValid(datum.high)")
            .mark_area(clip=True, interpolate="linear")
            .encode(x=x, y=y("low"), y2="high:Q", color=shades, opacity=dimmed(0.16))
        )
    if len(reference):
        layers.append(
            placed(reference, ("median",), "at library defaults")
            .mark_line(clip=True, strokeWidth=1.4, strokeDash=[5, 4], invalid="break-paths-show-domains")
            .encode(x=x, y=y("median"), color=shades, opacity=dimmed(0.85))
        )
    if len(bands):
        layers.append(
            middle.mark_line(clip=True, strokeWidth=2.4, invalid="break-paths-show-domains").encode(
                x=x, y=y("median"), color=shades, opacity=dimmed(1.0)
            )
        )
    if target is not None:
        goal = alt.Chart(alt.InlineData(values=[{"target": target, "text": "target"}]))
        rule = alt.Y("target:Q", scale=scale, axis=vertical)
        layers.append(goal.mark_rule(color=RULE, strokeWidth=1.2, strokeDash=[2, 2]).encode(y=rule))
        layers.append(
            goal.mark_text(align="right", baseline="bottom", dy=-3, dx=-2, color=RULE, fontSize=11).encode(
                y=rule, x=alt.value("width"), text="text:N"
            )
        )
    if len(ends):
        ends = ends.assign(value=ends["value"].clip(*domain))
        layers.append(
            placed(ends, ("value",), "ends")
            .mark_point(shape=CROSS, size=42, strokeWidth=1.6, filled=False)
            .encode(x=x, y=y("value"), color=shades, opacity=dimmed(0.95))
        )
    if len(rows):
        tips = [
            alt.Tooltip("trial:N", title="trial"),
            alt.Tooltip("value:Q", title=metric, format=".5g"),
            alt.Tooltip("step:Q", title="step"),
            alt.Tooltip("x:Q", title="on the axis", format=".6~g"),
        ]
        layers.append(
            placed(rows, ("value",), "runs")
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
    titles = "{" + ", ".join(f"'{a}': '{axis_title(a)}'" for a in axes) + "}[axis]"
    return (
        alt.layer(*layers)
        .add_params(pick, held())
        .properties(
            width="container",
            height=340,
            title=alt.Title(alt.ExprRef(titles), orient="bottom", anchor="middle", offset=8),
        )
    )


def packed(frame: pd.DataFrame, fields: Sequence[str], axes: Sequence[str]) -> tuple[pd.DataFrame, list[str]]:
    """One row a line: its steps and values as lists, and what one step costs on each axis.

    Where the steps of a line are not all worth the same, that axis holds the amounts themselves, as lists, for every
    line; such axes are named.
    """
    keys = ["method", "trial"] if "trial" in frame else ["method"]
    blocks = list(frame.groupby(keys, sort=False))
    listed = [axis for axis in axes if not all(_straight(block["step"], block[axis]) for _, block in blocks)]
    rows: list[dict[str, Any]] = []
    for key, block in blocks:
        own: dict[str, Any] = dict(zip(keys, key, strict=True))
        lists = {name: block[name].tolist() for name in ("step", *fields, *listed)}
        prices = {axis: _price(block["step"], block[axis]) for axis in axes if axis not in listed}
        rows.append({**own, **lists, **prices})
    return pd.DataFrame(rows), listed


def _price(steps: pd.Series[float], amounts: pd.Series[float]) -> float:
    """What a step cost, on average up to the last one of a line."""
    return float(amounts.iloc[-1] / steps.iloc[-1]) if len(steps) and steps.iloc[-1] else 0.0


def _straight(steps: pd.Series[float], amounts: pd.Series[float]) -> bool:
    apart = (amounts - _price(steps, amounts) * steps).abs()
    return bool((apart <= STRAIGHT * amounts.max()).all())
