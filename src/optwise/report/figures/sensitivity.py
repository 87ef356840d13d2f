"""Target sensitivity: does the answer hang on the target that was chosen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import altair as alt
import pandas as pd

from optwise.core.budget import SECONDS
from optwise.core.metric import Direction, Target
from optwise.report.drawing import NO_PREFIX_ON_ZERO, RULE, Chart, dimmed, held, inline, method_colour, value_scale
from optwise.report.words import axis_title

_DASH, _DOT = 8.0, 42.0
"""Length of a dash, and size of a point, of the first line that lies on another one."""


def sensitivity_rows(sweep: Sequence[Mapping[str, Any]], methods: Sequence[str]) -> pd.DataFrame:
    """One row a target and method: target, method, time; NaN where over half of the runs miss."""
    rows = [(entry["target"], method, entry[method]) for method in methods for entry in sweep if method in entry]
    frame = pd.DataFrame(rows, columns=["target", "method", "time"])
    return frame.astype({"target": "float64", "time": "float64"})


def ties(rows: pd.DataFrame) -> dict[str, int]:
    """Method to how deep a line of others it would hide: 0 where it lies on none that was drawn before it.

    Lines that only cross hide nothing; a line lies on another where both go the same way from one target to the next.

    Example:
        >>> ties(pd.DataFrame({"target": [1.0, 2.0] * 2, "method": ["a", "a", "b", "b"], "time": [5.0, 3.0, 5.0, 3.0]}))
        {'a': 0, 'b': 1}
    """
    depth: dict[str, int] = {}
    top: dict[tuple[tuple[float, float], ...], int] = {}
    for name, line in rows.dropna(subset=["time"]).groupby("method", sort=False):
        points = sorted(zip(line["target"].tolist(), line["time"].tolist(), strict=True))
        pieces = list(pairwise(points)) if len(points) > 1 else [tuple(points)]
        depth[str(name)] = max((top[piece] + 1 for piece in pieces if piece in top), default=0)
        top.update(dict.fromkeys(pieces, depth[str(name)]))
    return depth


def fastest(rows: pd.DataFrame, direction: Direction) -> list[tuple[float, str | None]]:
    """The method with the earliest median at each target, easiest target first; ``None`` for a tie."""
    found: list[tuple[float, str | None]] = []
    for target, block in rows.groupby("target"):
        best = block[block["time"] == block["time"].min()]
        found.append((float(str(target)), str(best["method"].iloc[0]) if len(best) == 1 else None))
    return sorted(found, key=lambda pair: -pair[0] * direction.sign)


def sensitivity_chart(rows: pd.DataFrame, *, target: Target, methods: Sequence[str], axis: str) -> Chart | None:
    """Draw median times as the target sweeps, harder to the right; ``None`` where no target was ever reached."""
    times = rows["time"].dropna().tolist()
    if not times:
        return None
    present = [method for method in methods if method in set(rows.loc[rows["time"].notna(), "method"])]
    shades = method_colour(present, methods)
    x = alt.X(
        "target:Q",
        scale=alt.Scale(reverse=target.direction is Direction.MIN, zero=False, nice=False),
        axis=alt.Axis(title=f"target {target.metric}, harder to the right", format="~g", tickCount=6),
    )
    y = alt.Y(
        "time:Q",
        scale=value_scale(times),
        axis=alt.Axis(
            title=f"median {axis_title(axis)}",
            format="~g" if axis == SECONDS else "~s",
            tickCount=5,
            labelExpr=NO_PREFIX_ON_ZERO,
        ),
    )
    tips = [
        alt.Tooltip("method:N"),
        alt.Tooltip("target:Q", format=".5~g"),
        alt.Tooltip("time:Q", title=axis, format=".6~g"),
    ]
    met = ties(rows)
    drawn = rows[rows["method"].isin(present)]
    chart = alt.Chart(inline(drawn.assign(beside=drawn["method"].map(met)), "median times"))
    deepest = list(range(max(met.values()) + 1))
    dash = alt.StrokeDash(
        "beside:O",
        scale=alt.Scale(type="ordinal", domain=deepest, range=[[1, 0], *([_DASH / i, _DASH] for i in deepest[1:])]),
        legend=None,
    )
    size = alt.Size(
        "beside:O",
        scale=alt.Scale(type="ordinal", domain=deepest, range=[_DOT / (i + 1) for i in deepest]),
        legend=None,
    )
    rule = alt.Chart(alt.InlineData(values=[{"target": target.value, "text": "target"}]))
    return (
        alt.layer(
            rule.mark_rule(color=RULE, strokeDash=[2, 2]).encode(x=x),
            rule.mark_text(align="left", baseline="top", dx=4, color=RULE, fontSize=11).encode(
                x=x, y=alt.value(2), text="text:N"
            ),
            chart.mark_line(strokeWidth=2, invalid="break-paths-show-domains").encode(
                x=x, y=y, color=shades, opacity=dimmed(1.0), strokeDash=dash
            ),
            chart.transform_filter("isValid(datum.time)")
            .mark_point(filled=True)
            .encode(x=x, y=y, color=shades, opacity=dimmed(1.0), size=size, tooltip=tips),
        )
        .add_params(held())
        .properties(width="container", height=240)
    )
