"""Steps to a target against the batch size: perfect scaling, the critical size, and where the grid ends."""

from __future__ import annotations

import altair as alt
import numpy as np
import pandas as pd

from optwise.report.drawing import INK, RULE, Chart, Figure, inline
from optwise.report.lessons.channels import heading, log_axis, log_scale, shade
from optwise.report.words import listed, number

REFERENCE = "sgd"


def batch_size_figure(
    rows: pd.DataFrame, *, dimension: int, target: float, max_steps: int, points: int, lrs: tuple[float, float]
) -> Figure:
    """The figure ``nqm-batch-size``.

    Args:
        rows: Columns method, batch_size, steps, lr, edge, max_lr, noiseless, critical.
        dimension: Of the quadratic.
        target: Expected loss that counts as met.
        max_steps: Where a setting is given up.
        points: Step sizes in the grid.
        lrs: Its ends.
    """
    critical = rows.groupby("method", sort=False)["critical"].first().sort_values()
    return Figure(
        anchor="nqm-batch-size",
        question="Which methods gain from larger batches, and up to which size?",
        answer=(
            "At first twice the batch halves the steps; each method stops gaining near its critical batch size: "
            f"{listed(f'{number(b, digits=2)} ({m})' for m, b in critical.items())}. "
            f"{_gains(rows)}{_flagged(rows, points, lrs)}"
        ),
        key=(
            f"Fewest steps to an expected loss of {target:g}, the step size tuned at each batch size over {points} "
            f"values from {number(lrs[0], digits=2)} to {number(lrs[1], digits=2)}; at most {max_steps:,} steps, "
            f"nothing is drawn where all miss. Noisy quadratic, h = c = 1/i, d = {dimension}, starts of second moment "
            "1; computed exactly, nothing is sampled. Ring: the critical batch size, where twice the steps "
            "of noiseless gradients are needed. Triangle: the best step size is an end of the grid. Dotted: perfect "
            "scaling."
        ),
        panels={"steps": steps_chart(rows), "step size": lr_chart(rows, lrs)},
    )


def gain(rows: pd.DataFrame, method: str, batch_size: float) -> float:
    """How many times fewer steps than SGD a method needs at a batch size."""
    there = rows[rows["batch_size"] == batch_size]
    own, reference = (float(there["steps"][there["method"] == name].iloc[0]) for name in (method, REFERENCE))
    return reference / own


def _gains(rows: pd.DataFrame) -> str:
    small, large = 16.0, 4096.0
    said = [
        f"{number(gain(rows, name, small))} and {number(gain(rows, name, large))} ({name})"
        for name in dict.fromkeys(rows["method"])
        if name != REFERENCE
    ]
    return f"Steps of {REFERENCE} over those of each at B = {small:,.0f} and at B = {large:,.0f}: {'; '.join(said)}."


def _flagged(rows: pd.DataFrame, points: int, lrs: tuple[float, float]) -> str:
    """A sentence on the best step sizes that are an end of the grid, and whether a wider one could help."""
    after = lrs[1] * (lrs[1] / lrs[0]) ** (1 / (points - 1))
    said = [
        f"{method} from B = {own['batch_size'].min():,.0f} on, where "
        f"{'a larger one might do better' if after < own['max_lr'].iloc[0] else 'the next one diverges'}"
        for method, own in rows[rows["edge"] == "high"].groupby("method", sort=False)
    ]
    return f" The best step size is the largest of the grid for {'; and for '.join(said)}." if said else ""


def steps_chart(rows: pd.DataFrame) -> Chart:
    """Draw the fewest steps on log axes."""
    methods = list(dict.fromkeys(rows["method"]))
    hits = rows[np.isfinite(rows["steps"])]
    drawn = (0.7 * float(hits["steps"].min()), 1.3 * float(hits["steps"].max()))
    x, shades = _sizes(rows), shade("method", methods)

    def y(field: str = "steps") -> alt.Y:
        return alt.Y(f"{field}:Q", scale=log_scale(*drawn), axis=log_axis("steps to the target", *drawn))

    first = hits[hits["method"] == REFERENCE].iloc[0]
    perfect = pd.DataFrame({"batch_size": sorted(set(rows["batch_size"]))})
    perfect["steps"] = first["steps"] * first["batch_size"] / perfect["batch_size"]
    ends = rows[np.isfinite(rows["critical"]) & (rows["critical"] > 0)].drop_duplicates("method")
    rings = ends[["method"]].assign(batch_size=ends["critical"], steps=2 * ends["noiseless"])
    label = perfect[perfect["steps"] >= 4 * drawn[0]].iloc[[-1]].assign(text="perfect scaling")
    return alt.layer(
        alt.Chart(inline(perfect))
        .mark_line(strokeWidth=1.3, strokeDash=[2, 3], color=RULE, clip=True)
        .encode(x=x, y=y()),
        alt.Chart(inline(label))
        .mark_text(align="left", dx=9, dy=-2, color=RULE, fontSize=11.5)
        .encode(x=x, y=y(), text="text:N"),
        alt.Chart(inline(hits[["method", "batch_size", "steps"]]))
        .mark_line(strokeWidth=2.2)
        .encode(x=x, y=y(), color=shades),
        *_marks(hits, x, y(), shades),
        alt.Chart(inline(rings))
        .mark_point(filled=False, size=170, strokeWidth=2, opacity=1)
        .encode(x=x, y=y(), color=shades),
    ).properties(width="container", height=330, title=heading("Steps"))


def lr_chart(rows: pd.DataFrame, lrs: tuple[float, float]) -> Chart:
    """Draw the best step sizes, the ends of the grid ruled."""
    methods = list(dict.fromkeys(rows["method"]))
    hits = rows[np.isfinite(rows["steps"])]
    drawn = (0.8 * lrs[0], 1.3 * lrs[1])
    x, shades = _sizes(rows), shade("method", methods, shown=False)
    y = alt.Y("lr:Q", scale=log_scale(*drawn), axis=log_axis("best step size lr", *drawn))
    ends = alt.Chart(alt.InlineData(values=[{"lr": end} for end in lrs]))
    return alt.layer(
        ends.mark_rule(color=RULE, strokeDash=[2, 2]).encode(y=y),
        alt.Chart(inline(hits[["method", "batch_size", "lr"]]))
        .mark_line(strokeWidth=1.8)
        .encode(x=x, y=y, color=shades),
        *_marks(hits, x, y, shades),
    ).properties(width="container", height=200, title=heading("Best step size"))


def _marks(hits: pd.DataFrame, x: alt.X, y: alt.Y, shades: alt.Color) -> list[alt.Chart]:
    """A dot where the best step size lies inside the grid, a triangle where it is an end."""
    columns = ["method", "batch_size", "steps", "lr", "edge"]
    tips = [
        alt.Tooltip("method:N"),
        alt.Tooltip("batch_size:Q", title="batch size", format=",d"),
        alt.Tooltip("steps:Q", format=",d"),
        alt.Tooltip("lr:Q", format=".3~g"),
        alt.Tooltip("edge:N", title="end of the grid"),
    ]
    at_edge = hits["edge"] != ""
    inside = alt.Chart(inline(hits.loc[~at_edge, columns])).mark_point(filled=True, size=30, opacity=1)
    marks = [inside.encode(x=x, y=y, color=shades, tooltip=tips)]
    if at_edge.any():
        chart = alt.Chart(inline(hits.loc[at_edge, columns]))
        triangle = chart.mark_point(shape="triangle-up", filled=True, size=70, opacity=1, stroke=INK, strokeWidth=0.6)
        marks.append(triangle.encode(x=x, y=y, color=shades, tooltip=tips))
    return marks


def _sizes(rows: pd.DataFrame) -> alt.X:
    ends = (0.85 * float(rows["batch_size"].min()), 1.2 * float(rows["batch_size"].max()))
    return alt.X("batch_size:Q", scale=log_scale(*ends), axis=log_axis("batch size B", *ends))
