"""Paths on contours: a panel for each condition number and step size."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from optwise.report.drawing import INK, PALETTE, RULE, Chart, Figure, inline
from optwise.report.lessons.channels import heading, signs
from optwise.report.words import listed, number, plural

LEVELS = 20
REACH = 2.0
SIDE = 300
ROUNDING = 1e-13
"""Share of a point below which a coordinate of it is rounding: some hundred units of float64."""


def zigzag_figure(rows: pd.DataFrame) -> Figure:
    """The figure ``zigzag``.

    Args:
        rows: Columns kappa, lr, step, w1, w2, steep, flat, gap; the largest curvature is 1.
    """
    pairs = rows[["kappa", "lr"]].drop_duplicates().to_numpy(float).tolist()
    groups = {(kappa, lr): rows[(rows["kappa"] == kappa) & (rows["lr"] == lr)] for kappa, lr in pairs}
    steps = int(rows["step"].max())
    start = rows.iloc[0]
    counts = listed(str(turns(own)) for own in groups.values())
    left = listed(f"{number(_end(own, 'gap'))} ({_pair(*pair)})" for pair, own in groups.items())
    return Figure(
        anchor="zigzag",
        question="When does gradient descent zigzag, and is that what makes it slow?",
        answer=signs(
            f"It changes sides where η λmax > 1: {counts} {'time' if counts == '1' else 'times'} in "
            f"{plural(steps, 'step')}{_lost(groups)}. {_aligned(start)}The steep direction "
            "shrinks by |1 - η λmax| a step whatever κ is, the flat one by 1 - η λmax/κ, and the larger of "
            f"the two is what takes long: {_slow(groups)}. Of the loss, {left} {'is' if len(groups) == 1 else 'are'} "
            "left."
        ),
        key=signs(
            f"f(w) = w^T H w / 2, λmax = 1 along (1, 1) and λmin = 1/κ along (-1, 1); κ is κ(H), of the Hessian. "
            f"{plural(steps, 'step')} from ({start['w1']:g}, {start['w2']:g}), one dot a step, exact gradients. "
            f"Dashed: the two eigenvectors. {LEVELS} contours at equal distances of f, up to its largest value on the "
            "square."
        ),
        panels={
            signs(f"κ(H) = {kappa:.10g}, η λmax = {lr:.10g}"): path_chart(own) for (kappa, lr), own in groups.items()
        },
        together=True,
    )


def turns(path: pd.DataFrame) -> int:
    """How often the steep coordinate changes its sign from one step to the next, as far as its rounding lets it tell.

    A coordinate below the rounding of the whole point has a sign that means nothing.
    """
    steep = path["steep"].to_numpy()
    size = np.hypot(path["w1"].to_numpy(), path["w2"].to_numpy())
    told = np.abs(steep) > ROUNDING * size
    return int(((steep[1:] * steep[:-1] < 0) & told[1:] & told[:-1]).sum())


def _slow(groups: Mapping[tuple[float, float], pd.DataFrame]) -> str:
    """Which direction is the slower one where; one that the start has no part in counts for nothing."""
    where: dict[str, list[str]] = {}
    for (kappa, lr), own in groups.items():
        steep, flat = (abs(float(own[name].iloc[0])) > ROUNDING * REACH for name in ("steep", "flat"))
        factors = (abs(1 - lr) if steep else 0.0, abs(1 - lr / kappa) if flat else 0.0)
        if factors[0] == factors[1]:
            said = "both alike"
        elif factors[0] > factors[1]:
            said = "the steep one, by its zigzag," if lr > 1 else "the steep one"
        else:
            said = "the flat one"
        where.setdefault(said, []).append(_pair(kappa, lr))
    if len(where) == 1:
        return f"{next(iter(where))} {'everywhere' if len(groups) > 1 else 'here'}"
    return "; ".join(f"{said} at {' and at '.join(pairs)}" for said, pairs in where.items())


def _lost(groups: Mapping[tuple[float, float], pd.DataFrame]) -> str:
    """Where sides would be changed at every step and rounding hides some."""
    hidden = [
        _pair(kappa, lr)
        for (kappa, lr), own in groups.items()
        if lr > 1 and 0 < turns(own) < len(own) - 1 and abs(float(own["steep"].iloc[0])) > ROUNDING * REACH
    ]
    return f", after which what is left to its sides is below rounding at {' and at '.join(hidden)}" if hidden else ""


def _aligned(start: pd.Series[Any]) -> str:
    """A sentence on a start that lies on one of the two directions."""
    if abs(start["steep"]) <= ROUNDING * REACH:
        return "The start lies on the flat direction, and so has no sides to change. "
    return ""


def _pair(kappa: float, lr: float) -> str:
    return f"κ = {kappa:.10g}, η = {lr:.10g}"


def contours(kappa: float) -> pd.DataFrame:
    """Points of the contours of 1/2 (steep^2 + flat^2 / kappa): columns level, value, branch, place, w1, w2.

    Each is drawn as two branches over the flat coordinate, along which it is long.
    """
    corner = REACH * np.sqrt(2.0)  # of the square, along either eigenvector
    blocks = []
    for level in range(1, LEVELS + 1):
        value = 0.5 * corner**2 * level / LEVELS  # at the corner of the steep direction f is largest
        tip = min(np.sqrt(2 * value * kappa), corner)
        flat = tip * np.sin(np.linspace(-np.pi / 2, np.pi / 2, 25))
        steep = np.sqrt(np.maximum(2 * value - flat**2 / kappa, 0.0))
        for branch in (1, -1):
            w1, w2 = (branch * steep - flat) / np.sqrt(2), (branch * steep + flat) / np.sqrt(2)
            own = {"level": level, "value": value, "branch": branch, "place": range(len(flat)), "w1": w1, "w2": w2}
            blocks.append(pd.DataFrame(own))
    return pd.concat(blocks, ignore_index=True)


def path_chart(path: pd.DataFrame) -> Chart:
    """Draw one path on the contours of its quadratic; the chart is square, so that angles are true."""
    kappa, lr = float(path["kappa"].iloc[0]), float(path["lr"].iloc[0])
    lines = contours(kappa).assign(line=lambda f: f["level"].astype(str) + f["branch"].map({1: "+", -1: "-"}))
    axes = pd.DataFrame({"w1": [-REACH, REACH] * 2, "w2": [-REACH, REACH, REACH, -REACH], "line": [*"aabb"]})

    scale = alt.Scale(domain=[-REACH, REACH], nice=False)
    x = alt.X("w1:Q", scale=scale, axis=alt.Axis(title="w₁", values=[-2, -1, 0, 1, 2], grid=False, format="d"))
    y = alt.Y("w2:Q", scale=scale, axis=alt.Axis(title="w₂", values=[-2, -1, 0, 1, 2], grid=False, format="d"))
    tips = [
        alt.Tooltip("step:Q"),
        alt.Tooltip("w1:Q", format=".4~g"),
        alt.Tooltip("w2:Q", format=".4~g"),
        alt.Tooltip("gap:Q", title="loss over that of the start", format=".3~g"),
    ]
    points = alt.Chart(inline(path[["step", "w1", "w2", "gap"]])).encode(x=x, y=y)
    return alt.layer(
        alt.Chart(inline(lines[["line", "place", "w1", "w2"]]))
        .mark_line(clip=True, strokeWidth=0.8, color="#b4bcc6")
        .encode(x=x, y=y, detail="line:N", order="place:Q"),
        alt.Chart(inline(axes))
        .mark_line(clip=True, strokeWidth=1, strokeDash=[4, 4], color=RULE)
        .encode(x=x, y=y, detail="line:N"),
        points.mark_line(strokeWidth=1.3, color=PALETTE[0]).encode(order="step:Q"),
        points.mark_point(filled=True, size=22, color=PALETTE[1], opacity=1).encode(tooltip=tips),
        alt.Chart(alt.InlineData(values=[{"w1": 0, "w2": 0}]))
        .mark_point(shape="cross", filled=True, size=70, color=INK, opacity=1)
        .encode(x=x, y=y),
    ).properties(
        width=SIDE,
        height=SIDE,
        title=heading(f"κ = {kappa:.10g}, η λmax = {lr:.10g}: {plural(turns(path), 'change')} of side"),
    )


def _end(path: pd.DataFrame, column: str) -> float:
    return float(path[column].iloc[-1])
