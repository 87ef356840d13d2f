"""Equal samples: one error against steps, against samples, and the ratio of the two ways to spend them."""

from __future__ import annotations

import altair as alt
import pandas as pd

from optwise.report.drawing import RULE, Chart, Figure, inline, legend
from optwise.report.lessons.channels import heading, log_axis, log_scale, shade, signs
from optwise.report.words import number

DRAWN = (1e-5, 200.0)
QUOTED = (20, 200)
"""Steps of the large batch at which the lecture compares."""


def equal_samples_figure(rows: pd.DataFrame, *, lr: float, batch_size: int, distance: float, sigma: float) -> Figure:
    """The figure ``sgd-equal-samples``.

    Args:
        rows: Columns large_steps, samples, large, small, ratio.
        lr: Step size of the large batch.
        batch_size: B.
        distance: Of the start from the mean.
        sigma: Standard deviation of one example.
    """
    quoted = [rows[rows["large_steps"] == k].iloc[0] for k in QUOTED]
    worst = rows.iloc[int(rows["ratio"].to_numpy().argmax())]
    said = [
        f"{number(at['large'], digits=4)} against {number(at['small'], digits=4)}, "
        f"{100 * abs(at['ratio'] - 1):.1f} % apart, after {int(at['samples']):,} samples"
        for at in quoted
    ]
    names = _names(lr, batch_size)
    return Figure(
        anchor="sgd-equal-samples",
        question="Are B single steps of η / B as good as one step of η on a batch of B?",
        answer=signs(
            f"To first order in η only. The mean squared errors are {said[0]} and {said[1]}; the largest gap is "
            f"{100 * (worst['ratio'] - 1):.0f} %, after {int(worst['samples']):,}. Single steps lag while the start is "
            "forgotten, since (1 - η/B)^B > 1 - η, and end lower, since (2 - η) < (2 - η/B)."
        ),
        key=signs(
            f"Mean squared error, computed exactly: {distance:g}² (1 - η)^(2k) + η σ² / (B (2 - η)) * "
            f"(1 - (1 - η)^(2k)). Mean estimation, distance {distance:g} at the start, sigma = {sigma:g}; "
            f"η = {lr:g}, B = {batch_size:,}, up to {int(rows['samples'].max()):,} samples. Nothing is sampled."
        ),
        panels={
            "against steps": error_chart(rows, names, against="steps"),
            "against samples": error_chart(rows, names, against="samples"),
            "ratio": ratio_chart(rows),
        },
        together=True,
    )


def error_chart(rows: pd.DataFrame, names: tuple[str, str], *, against: str) -> Chart:
    """Draw the two errors against ``steps`` or ``samples``."""
    parts = []
    own = rows[rows["samples"] > 0]
    for name, column, steps in zip(names, ("large", "small"), ("large_steps", "samples"), strict=True):
        x = own[steps] if against == "steps" else own["samples"]
        parts.append(pd.DataFrame({"way": name, "error": own[column], "x": x}))
    drawn = pd.concat(parts, ignore_index=True)
    ends = (1.0 if against == "steps" else float(drawn["x"].min()), float(drawn["x"].max()))
    shown = legend(names, "stroke") if against == "steps" else None
    dash = alt.StrokeDash("way:N", scale=alt.Scale(domain=list(names), range=[[1, 0], [6, 4]]), legend=shown)
    chart: Chart = (
        alt.Chart(inline(drawn))
        .mark_line(clip=True, strokeWidth=2.4)
        .encode(
            x=alt.X("x:Q", scale=log_scale(*ends), axis=log_axis(against, *ends)),
            y=alt.Y("error:Q", scale=log_scale(*DRAWN), axis=log_axis("mean squared error, units of w²", *DRAWN)),
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
    y = alt.Y(
        "ratio:Q",
        scale=alt.Scale(zero=False),
        axis=alt.Axis(title="error of single steps / error of batches", format="~g", tickCount=6),
    )
    quoted = own[own["large_steps"].isin(QUOTED)].assign(text=lambda f: f["ratio"].map("{:.3f}".format))
    tips = [alt.Tooltip("samples:Q", format=",d"), alt.Tooltip("ratio:Q", format=".4f")]
    chart = alt.Chart(inline(quoted[["samples", "ratio", "text"]]))
    text = chart.encode(x=x, y=y, text="text:N")
    return alt.layer(
        alt.Chart(alt.InlineData(values=[{"ratio": 1}])).mark_rule(color=RULE, strokeDash=[2, 2]).encode(y=y),
        alt.Chart(inline(own[["samples", "ratio"]])).mark_line(strokeWidth=2.4, color="#009E73").encode(x=x, y=y),
        chart.mark_point(filled=False, fill="white", size=60, strokeWidth=2, color="#009E73", opacity=1).encode(
            x=x, y=y, tooltip=tips
        ),
        text.transform_filter("datum.ratio > 1").mark_text(dx=-4, dy=-12, align="right", fontSize=11.5),
        text.transform_filter("datum.ratio < 1").mark_text(dx=-9, dy=3, align="right", fontSize=11.5),
    ).properties(width="container", height=240, title=heading("Ratio of the two"))


def _names(lr: float, batch_size: int) -> tuple[str, str]:
    return f"B = {batch_size:,}, η = {lr:g}", f"B = 1, η = {lr / batch_size:.10f}".rstrip("0")
