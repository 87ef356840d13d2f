"""Equal samples: one error against steps, against samples, and the ratio of the two ways to spend them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from optwise.report.drawing import INK, RULE, Chart, Figure, inline, legend
from optwise.report.lessons.channels import heading, log_axis, log_scale, shade, signs
from optwise.report.words import listed, number, told_apart

LECTURE = (20, 200)
"""Steps of the large batch at which the lecture compares."""
SIDES: Mapping[str, Mapping[str, Any]] = {
    "above": {"align": "center", "dy": -13},
    "below": {"align": "center", "dy": 17},
    "upper left": {"align": "right", "dx": -3, "dy": -11},
    "upper right": {"align": "left", "dx": 3, "dy": -11},
    "lower left": {"align": "right", "dx": -3, "dy": 15},
    "lower right": {"align": "left", "dx": 3, "dy": 15},
}
"""Where a number may stand beside its point."""
ROOM = 0.14
"""What is left above and below the curve of ratios, as a share of its height."""
BOX, GAP = (0.13, 0.09), 0.02
"""Width and height of a number, and how far it stands off, in shares of a narrow chart."""
ALIKE = 0.01
"""Share by which two errors may differ that are called equal."""


def equal_samples_figure(rows: pd.DataFrame, *, lr: float, batch_size: int, distance: float, sigma: float) -> Figure:
    """The figure ``sgd-equal-samples``.

    Args:
        rows: Columns large_steps, samples, large, small, ratio.
        lr: Step size of the large batch.
        batch_size: B.
        distance: Of the start from the mean.
        sigma: Standard deviation of one example.
    """
    quoted = [rows[rows["large_steps"] == k].iloc[0] for k in quoted_steps(int(rows["large_steps"].max()))]
    said = [
        f"{number(at['large'], digits=4)} against {number(at['small'], digits=4)}, "
        f"{_apart(float(at['ratio']))} apart, after {int(at['samples']):,} samples"
        for at in quoted
    ]
    names = _names(lr, batch_size)
    return Figure(
        anchor="sgd-equal-samples",
        question="Are B single steps of η / B as good as one step of η on a batch of B?",
        answer=signs(
            f"{_whether(rows)} The mean squared errors are {listed(said)}; {_worst(rows)}. {_why(rows, lr, batch_size)}"
        ),
        key=signs(
            f"Mean squared error, computed exactly: {distance:g}² (1 - η)^(2k) + η σ² / (B (2 - η)) * "
            "(1 - (1 - η)^(2k)). Ring: what is quoted. "
            f"Mean estimation, distance {distance:g} at the start, sigma = {sigma:g}; "
            f"η = {lr:g}, B = {batch_size:,}, up to {int(rows['samples'].max()):,} samples. Nothing is sampled."
        ),
        panels={
            "against steps": error_chart(rows, names, against="steps"),
            "against samples": error_chart(rows, names, against="samples"),
            "ratio": ratio_chart(rows),
        },
        together=True,
    )


def quoted_steps(steps: int) -> tuple[int, int]:
    """Steps of the large batch that are quoted: the lecture's where the run is long enough.

    Example:
        >>> quoted_steps(300), quoted_steps(30)
        ((20, 200), (2, 20))
    """
    return LECTURE if steps >= LECTURE[1] else (max(1, steps // 15), 2 * steps // 3)


def _whether(rows: pd.DataFrame) -> str:
    if float((rows["ratio"] - 1).abs().max()) <= ALIKE:
        return f"Yes, to {100 * ALIKE:g} % all along."
    return "To first order in η only."


def _worst(rows: pd.DataFrame) -> str:
    worst = rows.iloc[int(np.abs(np.log(rows["ratio"].to_numpy(float))).argmax())]
    return f"the largest gap is {_apart(float(worst['ratio']))}, after {int(worst['samples']):,}"


def _apart(ratio: float) -> str:
    """How far apart two errors are: in percent of the large batch's, as a factor where that says more."""
    if 0.5 < ratio < 2:
        percent = 100 * abs(ratio - 1)
        return f"{percent:.1f} %" if percent >= 0.1 else f"{number(percent, digits=2)} %"
    return f"{number(max(ratio, 1 / ratio))} times"


def _why(rows: pd.DataFrame, lr: float, batch_size: int) -> str:
    """Why they differ: what a large step and B small ones keep of the start, and where each ends."""
    large, small = abs(1 - lr), (1 - lr / batch_size) ** batch_size
    end = rows.iloc[-1]
    ends = "Single steps end lower, since 2 - η < 2 - η/B."
    if rows["large"].iloc[0] <= end["large_floor"]:
        return f"The start is no further away than where they end. {ends}"
    first, sign = ("lag", ">") if small > large else ("lead", "<")
    told = told_apart(small, large)
    kept = f"(1 - η/B)^B = {told[0]} {sign} |1 - η| = {told[1]}"
    return f"Single steps {first} while the start is forgotten, since {kept}. {ends.replace('Single steps', 'They')}"


def error_chart(rows: pd.DataFrame, names: tuple[str, str], *, against: str) -> Chart:
    """Draw the two errors against ``steps`` or ``samples``."""
    parts = []
    own = rows[rows["samples"] > 0]
    for name, column, steps in zip(names, ("large", "small"), ("large_steps", "samples"), strict=True):
        x = own[steps] if against == "steps" else own["samples"]
        parts.append(pd.DataFrame({"way": name, "error": own[column], "x": x}))
    drawn = pd.concat(parts, ignore_index=True)
    ends = (1.0 if against == "steps" else float(drawn["x"].min()), float(drawn["x"].max()))
    keyed = legend(names, "stroke") if against == "steps" else None
    shown = (0.3 * float(drawn["error"].min()), 2 * float(drawn["error"].max()))
    dash = alt.StrokeDash("way:N", scale=alt.Scale(domain=list(names), range=[[1, 0], [6, 4]]), legend=keyed)
    chart: Chart = (
        alt.Chart(inline(drawn))
        .mark_line(clip=True, strokeWidth=2.4)
        .encode(
            x=alt.X("x:Q", scale=log_scale(*ends), axis=log_axis(against, *ends)),
            y=alt.Y("error:Q", scale=log_scale(*shown), axis=log_axis("mean squared error, units of w²", *shown)),
            color=shade("way", names, shown=against == "steps"),
            strokeDash=dash,
            tooltip=[
                alt.Tooltip("way:N"),
                alt.Tooltip("x:Q", title=against, format=",d"),
                alt.Tooltip("error:Q", format=".4~g"),
            ],
        )
        .properties(width="container", height=240, title=heading(f"Against {against}"))
    )
    return chart


def ratio_chart(rows: pd.DataFrame) -> Chart:
    """Draw how much larger the error of single steps is, the quoted steps marked."""
    own = rows[rows["samples"] > 0]
    ends = (float(own["samples"].min()), float(own["samples"].max()))
    x = alt.X("samples:Q", scale=log_scale(*ends), axis=log_axis("samples", *ends))
    shown = own["ratio"].to_numpy(float)
    least, most = min(1.0, float(shown.min())), max(1.0, float(shown.max()))
    wide = most > 10 * least
    # numbers above and below have room
    room = ROOM * (math.log(most / least) if wide else most - least) or 0.05
    ends_y = (least * math.exp(-room), most * math.exp(room)) if wide else (least - room, most + room)
    y = alt.Y(
        "ratio:Q",
        scale=alt.Scale(domain=list(ends_y), nice=False, type="log" if wide else "linear"),
        axis=alt.Axis(title="error of single steps / of batches", format="~g", tickCount=6),
    )
    at = quoted_steps(int(own["large_steps"].max()))
    quoted = own[own["large_steps"].isin(at)].assign(text=lambda f: f["ratio"].map("{:.3f}".format))
    quoted = quoted.assign(side=[_clear_side(own, int(samples), wide=wide) for samples in quoted["samples"]])
    tips = [alt.Tooltip("samples:Q", format=",d"), alt.Tooltip("ratio:Q", format=".4f")]
    chart = alt.Chart(inline(quoted[["samples", "ratio", "text", "side"]]))
    text = chart.encode(x=x, y=y, text="text:N")
    return alt.layer(
        alt.Chart(alt.InlineData(values=[{"ratio": 1}])).mark_rule(color=RULE, strokeDash=[2, 2]).encode(y=y),
        alt.Chart(inline(own[["samples", "ratio"]])).mark_line(strokeWidth=2.4, color="#009E73").encode(x=x, y=y),
        chart.mark_point(filled=False, fill="white", size=60, strokeWidth=2, color="#009E73", opacity=1).encode(
            x=x, y=y, tooltip=tips
        ),
        *(
            text.transform_filter(f"datum.side == '{side}'").mark_text(fontSize=11.5, color=INK, **place)
            for side, place in SIDES.items()
            if (quoted["side"] == side).any()
        ),
    ).properties(width="container", height=240, title=heading("Ratio of the two"))


def _clear_side(own: pd.DataFrame, samples: int, *, wide: bool) -> str:
    """Where a number beside a point of the ratio is not struck through by its curve.

    Of the four corners and of above and below it is the one where the curve comes least into the number's box, all in
    shares of the chart.
    """
    x = np.log(own["samples"].to_numpy(float))
    y = own["ratio"].to_numpy(float)
    y = np.log(y) if wide else y
    one = 0.0 if wide else 1.0
    least, most = min(one, float(y.min())), max(one, float(y.max()))
    height = max((1 + 2 * ROOM) * (most - least), 1e-12)
    x, y, one = (x - x.min()) / (x.max() - x.min()), y / height, one / height
    i = int((own["samples"] == samples).to_numpy().argmax())
    across, down = x - x[i], y - y[i]
    blocked = {}
    for side, place in SIDES.items():
        align, up = str(place["align"]), float(place["dy"]) < 0
        ends = {"center": (-0.5, 0.5), "right": (-1.0, 0.05), "left": (-0.05, 1.0)}[align]
        inside = (across >= ends[0] * BOX[0]) & (across <= ends[1] * BOX[0])
        struck = GAP < (one - y[i] if up else y[i] - one) < GAP + BOX[1]  # by the line at 1
        reach = down[inside] if up else -down[inside]
        out = x[i] + ends[0] * BOX[0] < -0.05 or x[i] + ends[1] * BOX[0] > 1.03
        blocked[side] = (float((reach > GAP).mean()) if reach.size else 0.0) + 2 * out + struck
    return min(blocked, key=lambda side: blocked[side])


def _names(lr: float, batch_size: int) -> tuple[str, str]:
    return f"B = {batch_size:,}, η = {lr:g}", f"B = 1, η = {lr / batch_size:.10f}".rstrip("0")
