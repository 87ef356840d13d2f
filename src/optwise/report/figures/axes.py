"""Axis plots: is the best setting inside the range that was searched, and how sharp is the optimum."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import altair as alt
import pandas as pd

from optwise.core.metric import Direction, Target
from optwise.core.run import Run
from optwise.core.space import Distribution, LogUniform, OneMinus, Space, When
from optwise.core.standing import eligible, rank_unit, ranked, spent_to_rank, standing
from optwise.report.drawing import CROSS, INK, NO_PREFIX_ON_ZERO, RULE, Chart, inline
from optwise.report.figures.heights import Heights, heights
from optwise.report.readings import address
from optwise.report.words import goal_words

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
    runs: Sequence[Run],
    space: Space,
    *,
    path: str,
    metric: str,
    direction: Direction,
    target: Target | None,
    axis: str,
    selected: Mapping[int, int],
) -> pd.DataFrame:
    """One row a trial in which the field exists: trial, setting, value, spent, best, selected.

    Args:
        runs: Search trials of one method.
        space: Its open fields.
        path: The field.
        metric: The selection metric; ``value`` is a trial's best, NaN of an infeasible one.
        direction: Which way it is better.
        target: Where there is one, what was ``spent`` to reach it ranks trials; NaN for a miss.
        axis: What that is counted in.
        selected: Study to the index of the point it selected.
    """
    distribution = space.fields[path]
    shown = [run for run in runs if path in run.point and space.active(path, run.point)]
    first = next(iter(ranked(shown, metric=metric, direction=direction, target=target, axis=axis)), None)
    rows = []
    for run in shown:
        name, counts = address(run), eligible(run, metric, direction)
        worth = standing(run, metric=metric, direction=direction, target=target, axis=axis)
        rows.append(
            {
                "trial": str(name),
                "setting": drawn_value(distribution, run.point[path]),
                "value": worth.cost * direction.sign if counts else math.nan,
                "spent": worth.spent if counts and math.isfinite(worth.spent) else math.nan,
                "best": run is first,
                "selected": selected.get(name.study) == name.index,
            }
        )
    return pd.DataFrame(rows, columns=["trial", "setting", "value", "spent", "best", "selected"])


def axis_key(trials: int, *, direction: Direction, target: Target | None, heights: Heights) -> str:
    """How to read the plots of a method.

    Args:
        trials: Its search trials.
        direction: Which way the metric is better.
        target: What is timed, or ``None``.
        heights: From :func:`heights`.
    """
    lowest = "lowest" if direction is Direction.MIN else "highest"
    timed = target is not None and heights.missed is not None
    best = f"the earliest at {goal_words(target)}" if target is not None and timed else f"the {lowest} value"
    missed = "" if not timed else " Above the line: misses, in the order of their best values."
    return (
        f"{trials} search {'trial' if trials == 1 else 'trials'}, one seed each, so that the best of them are lucky. "
        f"Diamond: the best one, {best}. Ring: selected by a study. Cross: infeasible.{missed} "
        "Grey: the outer tenth of the range at each end."
    )


def axis_panels(
    runs: Sequence[Run],
    space: Space,
    *,
    metric: str,
    direction: Direction,
    target: Target | None,
    axis: str,
    selected: Mapping[int, int],
    colour: str,
) -> tuple[dict[str, Chart], str]:
    """The plots of a method by field, and how to read them; none without trials.

    Args:
        runs: Its search trials.
        space: Its open fields.
        metric: The selection metric.
        direction: Which way it is better.
        target: What is timed, or ``None``.
        axis: What that is counted in.
        selected: Study to the index of the point it selected.
        colour: Of the method.
    """
    asked: dict[str, Any] = {"metric": metric, "direction": direction, "target": target}
    rows = {path: axis_rows(runs, space, path=path, selected=selected, axis=axis, **asked) for path in space.fields}
    last = max((spent_to_rank(run, axis, step) for run in runs for step, _ in run.curve(metric)), default=1.0)
    unit = rank_unit(runs[0], axis) if runs else axis
    shared = heights(list(rows.values()), last=last, unit=unit, **asked)
    charts = {
        path: axis_chart(frame, space.fields[path], path=path, metric=metric, heights=shared, colour=colour)
        for path, frame in rows.items()
    }
    panels = {path: chart for path, chart in charts.items() if chart is not None}
    return panels, axis_key(len(runs), direction=direction, target=target, heights=shared)


def axis_chart(
    rows: pd.DataFrame, distribution: Distribution, *, path: str, metric: str, heights: Heights, colour: str
) -> Chart | None:
    """Draw one field; ``None`` without trials.

    Args:
        rows: From :func:`axis_rows`.
        distribution: Of the field.
        path: Its name.
        metric: What values are of.
        heights: The vertical axis.
        colour: Of the method.
    """
    if rows.empty:
        return None
    numeric, title = distribution.numeric, axis_name(path, distribution)
    x_axis = alt.Axis(title=title, tickCount=5, format="~g") if numeric else alt.Axis(title=title, labelAngle=0)
    zones = edges(distribution)
    x_scale = (
        alt.Scale(type="log" if is_log(distribution) else "linear", domain=[zones[0][0], zones[-1][1]], nice=False)
        if numeric
        else alt.Undefined
    )
    x = alt.X(f"setting:{'Q' if numeric else 'N'}", scale=x_scale, axis=x_axis)
    y = _vertical(heights)
    shown = rows.assign(shown=heights.of(rows))
    feasible, infeasible = shown[shown["value"].notna()], shown[shown["value"].isna()]
    form = {"format": ".5~g"} if numeric else {}
    tips = [
        {"field": "trial", "type": "nominal"},
        {"field": "setting", "type": "quantitative" if numeric else "nominal", "title": title, **form},
        {"field": "value", "type": "quantitative", "title": f"{metric}, search value", "format": ".5g"},
        {"field": "spent", "type": "quantitative", "title": f"{heights.unit} to target", "format": ".6~g"},
    ]
    marks: list[tuple[pd.DataFrame, str, dict[str, Any]]] = [
        (
            infeasible,
            "infeasible trials",
            {"shape": CROSS, "size": 30, "strokeWidth": 1.3, "filled": False, "color": RULE},
        ),
        (feasible, "trials", {"shape": "circle", "size": 34, "opacity": 0.65, "filled": True, "color": colour}),
        (
            shown[shown["selected"]],
            "",
            {"shape": "circle", "size": 120, "strokeWidth": 1.6, "filled": False, "color": INK},
        ),
        (shown[shown["best"]], "", {"shape": "diamond", "size": 90, "filled": True, "opacity": 1, "color": INK}),
    ]
    layers = [*_zones(zones, x_scale, x_axis), *_line(heights, y)]
    layers += [
        alt.Chart(inline(part, name)).mark_point(**mark).encode(x=x, y=y, tooltip=tips)
        for part, name, mark in marks
        if len(part)
    ]
    return alt.layer(*layers).properties(width="container", height=190)


def _vertical(heights: Heights) -> alt.Y:
    if heights.missed is None:
        axis = alt.Axis(title=heights.title, format="~g", tickCount=5)
    else:  # a label above the line would name what nobody spent
        label = f"datum.value <= {heights.missed:.6g} ? ({NO_PREFIX_ON_ZERO}) : ''"
        axis = alt.Axis(title=heights.title, format="~s", tickCount=5, labelExpr=label)
    kind: Literal["log", "linear"] = "log" if heights.log else "linear"
    return alt.Y("shown:Q", scale=alt.Scale(type=kind, domain=[heights.low, heights.high], nice=False), axis=axis)


def _zones(zones: Sequence[tuple[float, float]], scale: Any, axis: alt.Axis) -> list[alt.Chart]:
    if not zones:
        return []
    ends = alt.Chart(inline(pd.DataFrame(zones, columns=["from", "to"]))).mark_rect(color=RULE, opacity=0.12)
    return [ends.encode(x=alt.X("from:Q", scale=scale, axis=axis), x2="to:Q")]


def _line(heights: Heights, y: alt.Y) -> list[alt.Chart]:
    if heights.missed is None:
        return []
    rule = alt.Chart(inline(pd.DataFrame({"shown": [heights.missed]})))
    return [rule.mark_rule(color=RULE, strokeDash=[4, 3]).encode(y=y)]


def _inner(distribution: Distribution) -> Distribution:
    return distribution.then if isinstance(distribution, When) else distribution
