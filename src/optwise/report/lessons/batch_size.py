"""Steps to a target against the batch size: perfect scaling, the critical size, and where the grid ends."""

from __future__ import annotations

import math
from collections.abc import Mapping

import altair as alt
import numpy as np
import pandas as pd

from optwise.report.drawing import INK, RULE, Chart, Figure, inline
from optwise.report.lessons.channels import decades, heading, log_axis, log_scale, shade, signs
from optwise.report.words import listed, number, on_its_side

REFERENCE = "sgd"


def batch_size_figure(
    rows: pd.DataFrame,
    *,
    dimension: int,
    target: float,
    max_steps: int,
    points: int,
    tuned: Mapping[str, tuple[float, int]],
) -> Figure:
    """The figure ``nqm-batch-size``.

    Args:
        rows: Columns method, batch_size, steps, lr, share, edge, last, tuned, value, noiseless, critical.
        dimension: Of the quadratic.
        target: Expected loss that counts as met.
        max_steps: Where a setting is given up.
        points: Step sizes in the grid that the search of each method begins with.
        tuned: What else is tuned to its last value and how many values there are.
    """
    said = " and ".join(f"{name} from 0 to {last:.4g} ({count} values)" for name, (last, count) in tuned.items())
    return Figure(
        anchor="nqm-batch-size",
        question="Which methods gain from larger batches, and up to which size?",
        answer=signs(
            " ".join(
                part
                for part in (_missing(rows, max_steps), _critical(rows), _gains(rows), _choices(rows), _flagged(rows))
                if part
            )
        ),
        key=signs(
            f"Fewest steps to an expected loss of {target:g}. Exact: the steps of every setting that was looked at, by "
            "the whole recursion; nothing is sampled. Searched, to about a percent: step sizes up to the largest "
            f"stable one, at each batch size, and where it says tuned {said}: from {points} step sizes for each value "
            "and a scan between them ever closer to the best, until steps no longer fall. At most "
            f"{max_steps:,} steps, nothing is drawn where all miss. Noisy quadratic, h = c = 1/i, d = {dimension}, "
            "starts of second moment 1. Steps: ring at the critical batch size, where twice the steps of noiseless "
            "gradients are needed; dotted: perfect scaling. Best step size: dotted lines are the largest stable ones "
            "without averaging or momentum and with momentum 0.9, 2 and 3.8. Triangle: the best step size is next to "
            "the end of the range."
        ),
        panels=_panels(rows, target, max_steps),
    )


def _panels(rows: pd.DataFrame, target: float, max_steps: int) -> dict[str, Chart]:
    """The charts that have something to show; in place of all of them one that says why there is nothing."""
    hits = rows[np.isfinite(rows["steps"])]
    if not len(hits):
        return {"steps": missed_chart(rows, target, max_steps)}
    charts = {"steps": steps_chart(rows), "step size": lr_chart(rows)}
    return {**charts, "averaging": value_chart(rows)} if (hits["tuned"] != "").any() else charts


def gain(rows: pd.DataFrame, method: str, batch_size: float) -> float:
    """How many times fewer steps than SGD a method needs at a batch size."""
    there = rows[rows["batch_size"] == batch_size]
    own, reference = (float(there["steps"][there["method"] == name].iloc[0]) for name in (method, REFERENCE))
    return reference / own


def _missing(rows: pd.DataFrame, max_steps: int) -> str:
    """Which methods meet the target at no batch size, and what would help."""
    least = rows.groupby("method", sort=False)["steps"].min()
    missing = [str(name) for name in least[np.isinf(least)].index]
    if not missing:
        return ""
    whose = "any method" if len(missing) == len(least) else listed(missing)
    steps, largest = f"{max_steps:,} steps", f"{rows['batch_size'].max():,.0f}"
    return f"Within {steps} no setting of {whose} meets the target, at any batch size up to {largest}."


def _critical(rows: pd.DataFrame) -> str:
    """Up to where each method gains that meets the target at all."""
    met = rows[np.isfinite(rows.groupby("method")["steps"].transform("min"))]
    critical = met.groupby("method", sort=False)["critical"].first().sort_values()
    known = critical[np.isfinite(critical) & (critical > 0)]
    at_once = [str(name) for name in critical[critical == 0].index]
    beyond = [str(name) for name in critical[np.isinf(critical)].index]
    parts = []
    if len(known):
        parts.append(
            f"{_first(rows)}Each method stops gaining near its critical batch size: "
            f"{listed(f'{number(b, digits=2)} ({m})' for m, b in known.items())}."
        )
    smallest, largest = rows["batch_size"].min(), rows["batch_size"].max()
    if at_once:
        parts.append(f"Batches of {smallest:,.0f} are already beyond it for {listed(at_once)}.")
    if beyond:
        parts.append(f"The critical batch size is not reached by B = {largest:,.0f} for {listed(beyond)}.")
    return " ".join(parts)


def _first(rows: pd.DataFrame) -> str:
    """What twice the batch does to the reference at first."""
    own = rows[(rows["method"] == REFERENCE) & np.isfinite(rows["steps"]) & (rows["steps"] > 0)]
    if len(own) < 2:
        return ""
    first, second = own.iloc[0], own.iloc[1]
    left = float(second["steps"] / first["steps"])
    between = f"from B = {first['batch_size']:,.0f} to {second['batch_size']:,.0f}"
    return f"At first twice the batch leaves {number(left, digits=2)} of the steps ({REFERENCE}, {between}). "


def _gains(rows: pd.DataFrame) -> str:
    """Steps of the reference over those of each other method, where both meet the target."""
    small, large = 16.0, 4096.0
    said = []
    for name in dict.fromkeys(rows["method"]):
        both = [gain(rows, name, size) for size in (small, large)]
        if name != REFERENCE and np.isfinite(both).all() and min(both) > 0:
            said.append(f"{number(both[0])} and {number(both[1])} ({name})")
    if not said:
        return ""
    return f"Steps of {REFERENCE} over those of each at B = {small:,.0f} and at B = {large:,.0f}: {'; '.join(said)}."


def _choices(rows: pd.DataFrame) -> str:
    """What is best of what was tuned beside the step size, with small and with large batches."""
    said = []
    for name, own in rows[(rows["tuned"] != "") & np.isfinite(rows["steps"])].groupby("method", sort=False):
        first, last = own.iloc[0], own.iloc[-1]
        said.append(
            f"{first['tuned']} from {on_its_side(first['value'], 1.0)} at B = {first['batch_size']:,.0f} to "
            f"{on_its_side(last['value'], 1.0)} at B = {last['batch_size']:,.0f} ({name})"
        )
    return f"The best averaging goes with the batch: {'; '.join(said)}." if said else ""


def _flagged(rows: pd.DataFrame) -> str:
    """A sentence on the best values that are an end of what was tried, where a wider range might do better."""
    said = [
        f"the step size of {method} at B = {_sizes_of(own)}, which is the smallest tried"
        for method, own in rows[rows["edge"] == "low"].groupby("method", sort=False)
    ]
    said += [
        f"the step size of {method} at B = {_sizes_of(own)}, which is next to the largest stable one"
        for method, own in rows[rows["edge"] == "high"].groupby("method", sort=False)
    ]
    said += [
        f"the {own['tuned'].iloc[0]} of {method} at B = {_sizes_of(own)}, which is the largest tried"
        for method, own in rows[rows["last"].astype(bool)].groupby("method", sort=False)
    ]
    return f"At the end of what was tried: {'; '.join(said)}." if said else ""


def _sizes_of(rows: pd.DataFrame) -> str:
    sizes = rows["batch_size"].tolist()
    return listed(f"{b:,.0f}" for b in sizes) if len(sizes) < 4 else f"{sizes[0]:,.0f} to {sizes[-1]:,.0f}"


def steps_chart(rows: pd.DataFrame) -> Chart:
    """Draw the fewest steps on log axes."""
    methods = list(dict.fromkeys(rows["method"]))
    hits = rows[np.isfinite(rows["steps"])].assign(steps=lambda f: f["steps"].clip(lower=1))
    ends = (float(hits["steps"].min()), float(hits["steps"].max())) if len(hits) else (1.0, 100.0)
    drawn = (0.7 * ends[0], 1.3 * ends[1])
    x, shades = _sizes(rows), shade("method", methods)

    def y(field: str = "steps") -> alt.Y:
        return alt.Y(f"{field}:Q", scale=log_scale(*drawn), axis=log_axis("steps to the target", *drawn))

    perfect = _perfect(rows, hits)
    known = rows[np.isfinite(rows["critical"]) & (rows["critical"] > 0)].drop_duplicates("method")
    rings = known[["method"]].assign(batch_size=known["critical"], steps=2 * known["noiseless"])
    return alt.layer(
        alt.Chart(inline(perfect))
        .mark_line(strokeWidth=1.3, strokeDash=[2, 3], color=RULE, clip=True)
        .encode(x=x, y=y()),
        alt.Chart(inline(hits[["method", "batch_size", "steps"]]))
        .mark_line(strokeWidth=2.2)
        .encode(x=x, y=y(), color=shades),
        *_marks(hits, x, y(), shades),
        alt.Chart(inline(rings))
        .mark_point(filled=False, size=170, strokeWidth=2, opacity=1)
        .encode(x=x, y=y(), color=shades),
    ).properties(width="container", height=330, title=heading("Steps"))


def missed_chart(rows: pd.DataFrame, target: float, max_steps: int) -> Chart:
    """The axes of steps and batch sizes, and in their middle that no setting meets the target."""
    drawn = (1.0, float(max_steps))
    ends = float(rows["batch_size"].min()), float(rows["batch_size"].max())
    x, y = _sizes(rows), alt.Y("steps:Q", scale=log_scale(*drawn), axis=log_axis("steps to the target", *drawn))
    middle = {"batch_size": math.sqrt(ends[0] * ends[1]), "steps": math.sqrt(drawn[1])}
    told = ["no setting meets a loss of", signs(f"{target:g} within {max_steps:,} steps")]
    chart: Chart = (
        alt.Chart(alt.InlineData(values=[middle]))
        .mark_text(text=told, fontSize=13, lineHeight=18, color=INK)
        .encode(x=x, y=y)
        .properties(width="container", height=190, title=heading("Steps"))
    )
    return chart


def _perfect(rows: pd.DataFrame, hits: pd.DataFrame) -> pd.DataFrame:
    """Steps in inverse proportion to the batch, from the first that the reference needs."""
    own = hits[hits["method"] == REFERENCE]
    sizes = sorted(set(rows["batch_size"])) if len(own) else []
    steps = [float(own["steps"].iloc[0] * own["batch_size"].iloc[0]) / size for size in sizes]
    return pd.DataFrame({"batch_size": sizes, "steps": steps})


def lr_chart(rows: pd.DataFrame) -> Chart:
    """Draw the best step sizes, with the limits of stability of a plain step and of momentum 0.9 ruled."""
    methods = list(dict.fromkeys(rows["method"]))
    hits = rows[np.isfinite(rows["steps"])]
    drawn = (0.6 * float(hits["lr"].min()) if len(hits) else 0.1, 6.0)
    x, shades = _sizes(rows), shade("method", methods, shown=False)
    y = alt.Y("lr:Q", scale=log_scale(*drawn), axis=log_axis("best step size lr", *drawn))
    limits = alt.Chart(alt.InlineData(values=[{"lr": 2.0}, {"lr": 3.8}]))
    return alt.layer(
        limits.mark_rule(color=RULE, strokeDash=[2, 2]).encode(y=y),
        alt.Chart(inline(hits[["method", "batch_size", "lr"]]))
        .mark_line(strokeWidth=1.8)
        .encode(x=x, y=y, color=shades),
        *_marks(hits, x, y, shades),
    ).properties(width="container", height=230, title=heading("Best step size"))


def value_chart(rows: pd.DataFrame) -> Chart:
    """Draw the best momentum and the best decay, by what they leave of 1."""
    methods = list(dict.fromkeys(rows["method"]))
    hits = rows[(rows["tuned"] != "") & np.isfinite(rows["steps"])]
    hits = hits.assign(left=1 - hits["value"])
    least = float(hits["left"].min()) if len(hits) else 0.01
    drawn = (1.0, 0.8 * least)  # more averaging higher up
    x, shades = _sizes(rows), shade("method", methods, shown=False)
    values = decades(least, 1.0)
    if len(values) < 3:  # between powers of ten
        values = [left for left in (1.0, 0.8, 0.6, 0.4, 0.3, 0.2, 0.1, 0.05, 0.02, 0.01) if left >= 0.8 * least]
    axis = alt.Axis(title="best β or decay", values=values, labelExpr="format(1 - datum.value, '.5~g')")
    y = alt.Y("left:Q", scale=alt.Scale(type="log", domain=list(drawn), nice=False), axis=axis)
    tips = [alt.Tooltip("method:N"), alt.Tooltip("batch_size:Q", format=",d"), alt.Tooltip("value:Q", format=".4~g")]
    chart = alt.Chart(inline(hits[["method", "batch_size", "left", "value"]])).encode(x=x, y=y, color=shades)
    return alt.layer(
        chart.mark_line(strokeWidth=1.8), chart.mark_point(filled=True, size=30, opacity=1).encode(tooltip=tips)
    ).properties(width="container", height=190, title=heading("Best momentum β and best decay of the average"))


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
