"""Budget curves: what a search of k trials would have found, in closed form over the pooled trials."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import altair as alt
import numpy as np
import pandas as pd

from optwise.core.budget import STEPS
from optwise.core.metric import Direction, Target
from optwise.core.run import Run
from optwise.core.standing import rank_unit, spent_to_rank
from optwise.numerics.statistics import best_of_k
from optwise.report.drawing import RULE, Chart, dimmed, held, inline, method_colour, metric_scale
from optwise.report.readings import address, feasible_value
from optwise.report.words import goal_words

POINTS = 60  # k drawn per method at most


@dataclass(frozen=True)
class Goal:
    """By what the trials of a search are ranked, as a study's own rule does.

    Args:
        metric: The selection metric.
        direction: Which way it is better.
        target: What is timed, where any trial reached it; else best values rank.
        unit: In what that time is counted.
    """

    metric: str
    direction: Direction
    target: Target | None = None
    unit: str = STEPS

    @classmethod
    def of(cls, runs: Sequence[Run], *, metric: str, direction: Direction, target: Target | None, axis: str) -> Self:
        """Time where one of the runs reached the target, else values."""
        reached = [run for run in runs if target is not None and run.steps_to(target) is not None]
        if not reached:
            return cls(metric, direction)
        return cls(metric, Direction.MIN, target, rank_unit(reached[0], axis))

    @property
    def words(self) -> str:
        """What is the better the lower or higher it is."""
        return self.metric if self.target is None else f"{self.unit} to {goal_words(self.target)}"

    def of_run(self, run: Run) -> float:
        """What ranks a trial; the worst infinity where it is infeasible or missed."""
        if self.target is None:
            return feasible_value(run, self.metric, self.direction)
        step = None if run.infeasible or not run.status.ok else run.steps_to(self.target)
        return math.inf if step is None else spent_to_rank(run, self.unit, step)


def budget_rows(runs: Sequence[Run], goal: Goal) -> pd.DataFrame:
    """Best of k random ones of a method's trials, for k from 1 to all: method, k, median, low, high (quartiles).

    Infeasible trials, those that diverged and misses count as the worst; NaN where that share found nothing better.
    """
    direction = goal.direction
    columns = ["method", "k", "median", "low", "high"]
    blocks = []
    for method in dict.fromkeys(address(run).method for run in runs):
        values = [goal.of_run(run) for run in runs if address(run).method == method]
        curve = best_of_k(np.array(values) * direction.sign)
        quartiles = np.stack([curve.median, curve.q25, curve.q75]) * direction.sign
        median, low, high = np.where(np.isfinite(quartiles), quartiles, np.nan)
        blocks.append(pd.DataFrame({"method": method, "k": curve.k, "median": median, "low": low, "high": high}))
    return pd.concat(blocks, ignore_index=True)[columns] if blocks else pd.DataFrame(columns=columns)


def drawn_points(trials: int) -> list[int]:
    """The k that are drawn: all of a few, evenly spaced on a log scale of many.

    Example:
        >>> drawn_points(4), len(drawn_points(5000)) <= POINTS
        ([1, 2, 3, 4], True)
    """
    return [int(k) for k in np.unique(np.rint(np.geomspace(1, trials, POINTS)))]


def budget_chart(rows: pd.DataFrame, goal: Goal, *, methods: Sequence[str], trials: int) -> Chart | None:
    """Draw the budget curves; ``None`` where no trial was feasible. ``trials``: what one study of the protocol ran."""
    found = rows.dropna(subset=["median"])
    if found.empty:
        return None
    kept = pd.concat(
        [
            block[block["k"].isin(drawn_points(int(block["k"].max())))]
            for _, block in found.groupby("method", sort=False)
        ]
    )
    present = [method for method in methods if method in set(kept["method"])]
    shades = method_colour(present, methods)
    values = [*kept["median"], *kept["low"].dropna(), *kept["high"].dropna()]
    domain = (min(values), max(values)) if min(values) < max(values) else None
    vertical = metric_scale(values, goal.direction, domain=domain)
    x = alt.X(
        "k:Q",
        scale=alt.Scale(type="log", nice=False),
        axis=alt.Axis(title="trials k (random ones of all studies)", format="d"),
    )
    title = alt.Axis(title=f"best {goal.words} of k trials", format="~g", tickCount=6)
    chart = alt.Chart(inline(kept, "best of k"))
    band = chart.transform_filter("isValid(datum.low) && isValid(datum.high)").mark_area()
    line = chart.mark_line(strokeWidth=2.4)
    rule = alt.Chart(alt.InlineData(values=[{"k": trials, "text": f"one study: {trials}"}]))
    tips = [
        alt.Tooltip("method:N"),
        alt.Tooltip("k:Q", title="trials"),
        *(alt.Tooltip(f"{name}:Q", format=".5g") for name in ("median", "low", "high")),
    ]
    return (
        alt.layer(
            rule.mark_rule(color=RULE, strokeDash=[2, 2]).encode(x=x),
            rule.mark_text(align="left", baseline="top", dx=4, color=RULE, fontSize=11).encode(
                x=x, y=alt.value(2), text="text:N"
            ),
            band.encode(
                x=x, y=alt.Y("low:Q", scale=vertical, axis=title), y2="high:Q", color=shades, opacity=dimmed(0.14)
            ),
            line.encode(x=x, y=alt.Y("median:Q", scale=vertical, axis=title), color=shades, opacity=dimmed(1.0)),
            chart.mark_point(filled=True, size=60, opacity=0).encode(
                x=x, y=alt.Y("median:Q", scale=vertical, axis=title), tooltip=tips
            ),
        )
        .add_params(held())
        .properties(width="container", height=260)
    )
