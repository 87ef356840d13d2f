"""Axis plots: is the best setting inside the range that was searched, and how sharp is the optimum."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import pandas as pd

from optwise.core.metric import Direction
from optwise.core.run import Run
from optwise.core.space import Distribution, LogUniform, OneMinus, Space, When
from optwise.report.drawing import CROSS, INK, RULE, Chart, inline, value_scale
from optwise.report.readings import address, feasible_value, spans_decades

EDGE = 0.1  # share of the range at each end in which a best setting asks for a wider one


def axis_name(path: str, distribution: Distribution) -> str:
    """What the axis of a field shows: ``1 - betas[0]`` where one minus it was drawn."""
    return f"1 - {path}" if isinstance(_inner(distribution), OneMinus) else path


def drawn_value(distribution: Distribution, value: Any) -> Any:
    """A field's value on its own scale; choices as text."""
    inner = _inner(distribution)
    if not inner.numeric:
        return str(value)
    return 1.0 - float(value) if isinstance(inner, OneMinus) else float(value)


def is_log(distribution: Distribution) -> bool:
    """Whether the range was drawn on a log scale."""
    inner = _inner(distribution)
    return isinstance(inner.of if isinstance(inner, OneMinus) else inner, LogUniform)


def edges(distribution: Distribution) -> list[tuple[float, float]]:
    """The outer tenths of a numeric range, on the axis that is drawn, low one first; none of a choice."""
    if not distribution.numeric:
        return []
    low, inner_low, inner_high, high = (
        drawn_value(distribution, distribution.at(u)) for u in (0.0, EDGE, 1 - EDGE, 1.0)
    )
    return [(low, inner_low), (inner_high, high)]


def axis_rows(
    runs: Sequence[Run], space: Space, *, path: str, metric: str, direction: Direction, selected: Mapping[int, int]
) -> pd.DataFrame:
    """One row a trial in which the field exists: trial, setting, value, selected.

    Args:
        runs: Search trials of one method.
        space: Its open fields.
        path: The field.
        metric: The selection metric; its best value is what the plot shows, NaN for an infeasible trial.
        direction: Which way it is better.
        selected: Study to the index of the point it selected.
    """
    distribution = space.fields[path]
    rows = []
    for run in runs:
        if path in run.point and space.active(path, run.point):
            name, value = address(run), feasible_value(run, metric, direction)
            rows.append(
                {
                    "trial": str(name),
                    "setting": drawn_value(distribution, run.point[path]),
                    "value": value if math.isfinite(value) else math.nan,
                    "selected": selected.get(name.study) == name.index,
                }
            )
    return pd.DataFrame(rows, columns=["trial", "setting", "value", "selected"])


def axis_chart(
    rows: pd.DataFrame,
    distribution: Distribution,
    *,
    path: str,
    metric: str,
    direction: Direction,
    colour: str,
    domain: tuple[float, float] | None,
) -> Chart | None:
    """Draw one field; ``None`` without trials.

    Args:
        rows: From :func:`axis_rows`.
        distribution: Of the field.
        path: Its name.
        metric: What the vertical axis shows.
        direction: Which way it is better: crosses of infeasible trials stand at the worse end.
        colour: Of the method.
        domain: Range of values, shared by the fields of a method; ``None`` where every trial was infeasible.
    """
    if rows.empty:
        return None
    low, high = domain or (0.0, 1.0)
    worst = high if direction is Direction.MIN else low
    y_axis = alt.Axis(title=f"best {metric}", format="~g", tickCount=5)
    y_scale = value_scale([low, high], domain=[low, high])
    numeric = distribution.numeric
    title = axis_name(path, distribution)
    x_axis = alt.Axis(title=title, tickCount=5, format="~g") if numeric else alt.Axis(title=title, labelAngle=0)
    zones = edges(distribution)
    x_scale = (
        alt.Scale(type="log" if is_log(distribution) else "linear", domain=[zones[0][0], zones[-1][1]], nice=False)
        if numeric
        else alt.Undefined
    )
    x = alt.X(f"setting:{'Q' if numeric else 'N'}", scale=x_scale, axis=x_axis)
    y = alt.Y("shown:Q", scale=y_scale, axis=y_axis)
    shown = rows.assign(shown=rows["value"].fillna(worst), infeasible=rows["value"].isna())
    form = {"format": ".5~g"} if numeric else {}
    tips = [
        {"field": "trial", "type": "nominal"},
        {"field": "setting", "type": "quantitative" if numeric else "nominal", "title": title, **form},
        {"field": "value", "type": "quantitative", "title": metric, "format": ".5g"},
    ]
    layers: list[alt.Chart] = []
    if zones:
        ends = pd.DataFrame(zones, columns=["from", "to"])
        layers.append(
            alt.Chart(inline(ends))
            .mark_rect(color=RULE, opacity=0.12)
            .encode(x=alt.X("from:Q", scale=x_scale, axis=x_axis), x2="to:Q")
        )
    feasible, infeasible = shown[~shown["infeasible"]], shown[shown["infeasible"]]
    if len(infeasible):
        layers.append(
            alt.Chart(inline(infeasible.drop(columns="infeasible")))
            .mark_point(shape=CROSS, size=30, strokeWidth=1.3, filled=False, color=RULE)
            .encode(x=x, y=y, tooltip=tips)
        )
    if len(feasible):
        layers.append(
            alt.Chart(inline(feasible.drop(columns="infeasible")))
            .mark_circle(size=34, opacity=0.65, color=colour)
            .encode(x=x, y=y, tooltip=tips)
        )
    picked = shown[shown["selected"]]
    if len(picked):
        layers.append(
            alt.Chart(inline(picked.drop(columns="infeasible")))
            .mark_point(shape="circle", size=120, strokeWidth=1.6, filled=False, color=INK)
            .encode(x=x, y=y)
        )
    return alt.layer(*layers).properties(width="container", height=190)


def shared_domain(rows: Sequence[pd.DataFrame]) -> tuple[float, float] | None:
    """Range of the feasible values with a little room, so that crosses at the worse end stay apart."""
    values = [float(value) for frame in rows for value in frame["value"] if math.isfinite(value)]
    if not values:
        return None
    low, high = min(values), max(values)
    if spans_decades(values):
        room = (high / low) ** 0.06
        return low / room, high * room
    room = 0.06 * (high - low) or 0.5
    return low - room, high + room


def _inner(distribution: Distribution) -> Distribution:
    return distribution.then if isinstance(distribution, When) else distribution
