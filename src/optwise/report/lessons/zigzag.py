"""Paths on contours: a panel for each condition number and step size."""

from __future__ import annotations

import altair as alt
import numpy as np
import pandas as pd

from optwise.report.drawing import INK, PALETTE, RULE, Chart, Figure, inline
from optwise.report.lessons.channels import heading, signs
from optwise.report.words import listed, number

LEVELS = 20
REACH = 2.0
SIDE = 300


def zigzag_figure(rows: pd.DataFrame) -> Figure:
    """The figure ``zigzag``.

    Args:
        rows: Columns kappa, lr, step, w1, w2, steep, flat, gap; the largest curvature is 1.
    """
    pairs = rows[["kappa", "lr"]].drop_duplicates().to_numpy(float).tolist()
    groups = [(kappa, lr, rows[(rows["kappa"] == kappa) & (rows["lr"] == lr)]) for kappa, lr in pairs]
    steps = int(rows["step"].max())
    start = rows.iloc[0]
    ends = [f"{number(_end(own, 'gap'))} (κ = {kappa:g}, η = {lr:g})" for kappa, lr, own in groups]
    worst = max(kappa for kappa, _, _ in groups)
    flat = [
        f"{number(abs(_end(own, 'flat') / own['flat'].iloc[0]))} at η = {lr:g}"
        for kappa, lr, own in groups
        if kappa == worst
    ]
    counted = listed(str(turns(own)) for _, _, own in groups)
    return Figure(
        anchor="zigzag",
        question="When does gradient descent zigzag, and is that what makes it slow?",
        answer=signs(
            f"It changes sides where η λmax > 1: {counted} times in {steps} steps. The zigzag is not the slow part: "
            f"the steep direction shrinks by |1 - η λmax| a step whatever κ is. What is left at κ(H) = {worst:g} is "
            f"the flat direction, which shrinks by 1 - η λmax/κ: to {listed(flat)} of its start. Of the loss, "
            f"{listed(ends)} is left."
        ),
        key=signs(
            f"f(w) = w^T H w / 2, λmax = 1 along (1, 1) and λmin = 1/κ along (-1, 1); κ is κ(H), of the Hessian. "
            f"{steps} steps from ({start['w1']:g}, {start['w2']:g}), one dot a step, exact gradients. Dashed: the two "
            f"eigenvectors. {LEVELS} contours at equal distances of f, up to its largest value on the square."
        ),
        panels={f"κ(H) = {kappa:g}, η λmax = {lr:g}": path_chart(own) for kappa, lr, own in groups},
        together=True,
    )


def turns(path: pd.DataFrame) -> int:
    """How often the steep coordinate changes its sign from one step to the next."""
    steep = path["steep"].to_numpy()
    return int((steep[1:] * steep[:-1] < 0).sum())


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
    x = alt.X("w1:Q", scale=scale, axis=alt.Axis(title="w1", values=[-2, -1, 0, 1, 2], grid=False, format="d"))
    y = alt.Y("w2:Q", scale=scale, axis=alt.Axis(title="w2", values=[-2, -1, 0, 1, 2], grid=False, format="d"))
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
        title=heading(f"κ(H) = {kappa:g}, η λmax = {lr:g}: {turns(path)} changes of side"),
    )


def _end(path: pd.DataFrame, column: str) -> float:
    return float(path[column].iloc[-1])
