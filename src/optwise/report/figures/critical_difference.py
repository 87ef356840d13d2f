"""Average ranks over several problems, with a bar beside methods that the problems cannot tell apart."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import pandas as pd

from optwise.core.metric import Direction
from optwise.numerics.critical_difference import AverageRanks, average_ranks
from optwise.report.drawing import INK, RULE, Chart, colours, inline

_BAR = 0.12
"""Room of a bar at the right, in ranks."""


def ranked(
    problems: Mapping[str, Mapping[str, Any]],
    methods: Sequence[str],
    directions: Mapping[str, Direction],
    *,
    level: float,
) -> AverageRanks:
    """Average ranks of the methods by the mean rank of their seeds, in which all misses tie; idle ones come last.

    A document of before holds no ranks of seeds: there medians rank, of times where a problem has a target.

    Args:
        problems: As in the results document.
        methods: All methods of the comparison.
        directions: Problem to the direction of its metric.
        level: Of the critical difference.
    """
    return average_ranks(
        [[_place(problem, m, directions[name]) for m in methods] for name, problem in problems.items()],
        level=level,
    )


def rank_rows(found: AverageRanks, methods: Sequence[str]) -> pd.DataFrame:
    """One row a method, best first: method, rank."""
    rows = sorted(zip(methods, found.ranks, strict=True), key=lambda pair: pair[1])
    return pd.DataFrame(rows, columns=["method", "rank"])


def group_rows(found: AverageRanks, methods: Sequence[str]) -> pd.DataFrame:
    """One row a bar: its number, and the first and last method it joins."""
    rows = [(i, methods[group[0]], methods[group[-1]]) for i, group in enumerate(found.groups())]
    return pd.DataFrame(rows, columns=["bar", "first", "last"])


def rank_chart(rows: pd.DataFrame, bars: pd.DataFrame, *, methods: Sequence[str]) -> Chart | None:
    """Draw average ranks, the best on the left, bars at the right; ``None`` with a single method.

    Args:
        rows: From :func:`rank_rows`.
        bars: From :func:`group_rows`.
        methods: All methods of the comparison, for their colours.
    """
    if len(rows) < 2:
        return None
    shades, order = colours(methods), rows["method"].tolist()
    last = len(methods) + 0.25 * (len(bars) > 0) + _BAR * len(bars)
    place = alt.Scale(domain=[1, last], nice=False, padding=8)
    ticks = alt.Axis(title="average rank, 1 is first", format="~g", values=list(range(1, len(methods) + 1)))
    x = alt.X("rank:Q", scale=place, axis=ticks)
    axis = alt.Axis(title=None, ticks=False, domain=False, labelPadding=8, labelLimit=165)
    y = alt.Y("method:N", sort=order, axis=axis)
    colour = alt.Color("method:N", scale=alt.Scale(domain=order, range=[shades[m] for m in order]), legend=None)
    chart = alt.Chart(inline(rows.assign(one=1), "average ranks"))
    layers = [
        chart.mark_rule(color=RULE, strokeWidth=1).encode(x=alt.X("one:Q", scale=place), x2="rank:Q", y=y),
        chart.mark_point(filled=True, size=90, opacity=1).encode(
            x=x, y=y, color=colour, tooltip=[alt.Tooltip("method:N"), alt.Tooltip("rank:Q", format=".3~g")]
        ),
    ]
    for bar, first, end in bars.itertuples(index=False):
        at = len(methods) + 0.25 + _BAR * (bar + 0.5)
        joined = alt.Chart(alt.InlineData(values=[{"method": name, "at": at} for name in (first, end)]))
        layers.append(
            joined.mark_line(color=INK, strokeWidth=4, strokeCap="round").encode(x=alt.X("at:Q", scale=place), y=y)
        )
    return alt.layer(*layers).properties(width="container", height=26 * len(rows))


def _place(problem: Mapping[str, Any], method: str, direction: Direction) -> float:
    ranks = problem.get("mean_ranks")
    if ranks is None:
        return _size(problem["methods"][method]["confirm"], direction)
    return float(ranks.get(method, math.inf))


def _size(confirm: Mapping[str, Any], direction: Direction) -> float:
    time = confirm.get("time_to_target")
    size = confirm["value"]["median"] if time is None else time["median"]
    return math.inf if size is None else size * (direction.sign if time is None else 1.0)
