"""Predicted against measured risk, and how far the published noise is off."""

from __future__ import annotations

from collections.abc import Mapping

import altair as alt
import numpy as np
import pandas as pd

from optwise.report.drawing import RULE, Chart, Figure, inline
from optwise.report.lessons.channels import heading, log_axis, log_scale, shade
from optwise.report.words import listed, number

QUOTED = (10, 100, 1000)


def risk_figure(
    rows: pd.DataFrame, *, replicas: int, dimension: int, batch_size: int, settings: Mapping[str, str]
) -> Figure:
    """The figure ``nqm-risk``.

    Args:
        rows: Columns method, step, predicted, noise, published, measured, se.
        replicas: Runs behind each measured mean.
        dimension: Of the quadratic.
        batch_size: B.
        settings: Method to its hyperparameters, as text.
    """
    seen = rows.dropna(subset=["measured"])
    inside = int((z_scores(rows).abs() <= 2).sum())
    worst = float((seen["measured"] / seen["predicted"] - 1).abs().max())
    bounded = rows[rows["published"].notna() & (rows["step"] > 0)]
    too_much = ((bounded["published"] - bounded["noise"]) / bounded["predicted"]).groupby(bounded["method"], sort=False)
    names = list(dict.fromkeys(bounded["method"]))
    factors = [f"{listed(number(f, digits=3) for f in overstated(rows, name))} times for {name}" for name in names]
    shares = [f"{100 * share:.0f} % for {name}" for name, share in too_much.max().items()]
    chosen = "; ".join(f"{name} {said}" for name, said in settings.items())
    return Figure(
        anchor="nqm-risk",
        question="Is the predicted risk what happens, and how far off is the published one?",
        answer=(
            f"{inside} of {len(seen)} measured means lie within two standard errors of the prediction, none more than "
            f"{100 * worst:.1f} % away. The published formulas of momentum and of averaging take the noise of k → ∞ "
            f"for that of step k. At steps {listed(f'{k:,}' for k in QUOTED)} their noise is too large "
            f"{'; '.join(factors)}; the whole risk is too large by up to {listed(shares)}."
        ),
        key=(
            f"Top: expected loss, lines computed, dots means over {replicas:,} runs of the engine's own methods. Left: "
            "measured over predicted, bars of two standard errors. Right: the part that noise has in the risk, and as "
            "a thin dashed line what the published formula has in its place at every step. Noisy quadratic, "
            f"h = c = 1/i, d = {dimension}, starts of second moment 1, "
            f"batches of {batch_size}, {int(rows['step'].max()):,} steps; "
            f"{chosen}."
        ),
        panels={
            "risk": risk_chart(rows),
            "measured over predicted": ratio_chart(rows),
            "noise": noise_chart(rows),
        },
        together=True,
    )


def z_scores(rows: pd.DataFrame) -> pd.Series:
    """Measured minus predicted, in standard errors, where there was a measurement."""
    seen = rows.dropna(subset=["measured"])
    return (seen["measured"] - seen["predicted"]) / seen["se"]


def overstated(rows: pd.DataFrame, method: str) -> list[float]:
    """How many times too large the published noise of a method is at the quoted steps."""
    own = rows[(rows["method"] == method) & rows["step"].isin(QUOTED)]
    return (own["published"] / own["noise"]).tolist()


def risk_chart(rows: pd.DataFrame) -> Chart:
    """Draw predicted risks and measured means, on log axes."""
    methods, after = _methods(rows), _thinned(rows)
    x, shades = _steps(rows), shade("method", methods)
    drawn = (0.7 * float(after["predicted"].min()), 1.4 * float(after["predicted"].max()))

    def y(field: str) -> alt.Y:
        return alt.Y(f"{field}:Q", scale=log_scale(*drawn), axis=log_axis("risk: expected loss", *drawn))

    seen = rows.dropna(subset=["measured"])
    tips = [
        alt.Tooltip("method:N"),
        alt.Tooltip("step:Q"),
        alt.Tooltip("measured:Q", format=".4~g"),
        alt.Tooltip("predicted:Q", format=".4~g"),
        alt.Tooltip("se:Q", title="standard error", format=".2~g"),
    ]
    return alt.layer(
        alt.Chart(inline(after[["method", "step", "predicted"]]))
        .mark_line(strokeWidth=2)
        .encode(x=x, y=y("predicted"), color=shades),
        alt.Chart(inline(seen[["method", "step", "measured", "predicted", "se"]]))
        .mark_point(filled=True, size=30, opacity=1)
        .encode(x=x, y=y("measured"), color=shades, tooltip=tips),
    ).properties(width="container", height=320, title=heading("Risk"))


def ratio_chart(rows: pd.DataFrame) -> Chart:
    """Draw measured over predicted, method beside method at each step."""
    methods = _methods(rows)
    seen = rows.dropna(subset=["measured"])
    # side by side on a log axis: a constant factor is a constant shift
    shift = {name: 1.07 ** (i - (len(methods) - 1) / 2) for i, name in enumerate(methods)}
    ratio, half = seen["measured"] / seen["predicted"], 2 * seen["se"] / seen["predicted"]
    drawn = pd.DataFrame(
        {
            "method": seen["method"],
            "step": seen["step"],
            "place": seen["step"] * seen["method"].map(shift),
            "ratio": ratio,
            "low": ratio - half,
            "high": ratio + half,
        }
    )
    room = 1.1 * float(np.abs([*(drawn["low"] - 1), *(drawn["high"] - 1)]).max())
    ends = (0.75, 1.3 * float(rows["step"].max()))
    x = alt.X("place:Q", scale=log_scale(*ends), axis=log_axis("step k", *ends))

    def y(field: str) -> alt.Y:
        axis = alt.Axis(title="measured / predicted", format=".2f", tickCount=6)
        return alt.Y(f"{field}:Q", scale=alt.Scale(domain=[1 - room, 1 + room], nice=False), axis=axis)

    shades = shade("method", methods, shown=False)
    tips = [
        alt.Tooltip("method:N"),
        alt.Tooltip("step:Q"),
        *(alt.Tooltip(f"{name}:Q", format=".4f") for name in ("ratio", "low", "high")),
    ]
    chart = alt.Chart(inline(drawn))
    return alt.layer(
        alt.Chart(alt.InlineData(values=[{"one": 1}])).mark_rule(color=RULE).encode(y=y("one")),
        chart.mark_rule(strokeWidth=1.3).encode(x=x, y=y("low"), y2="high:Q", color=shades),
        chart.mark_point(filled=True, size=14, opacity=1).encode(x=x, y=y("ratio"), color=shades, tooltip=tips),
    ).properties(width="container", height=230, title=heading("Measured over predicted"))


def noise_chart(rows: pd.DataFrame) -> Chart:
    """Draw the noise of each step and the limit that the published formulas have in its place."""
    methods, own = _methods(rows), _thinned(rows).dropna(subset=["published"])
    drawn = (0.7 * float(own["noise"].min()), 2.5 * float(own["published"].max()))
    x, shades = _steps(rows), shade("method", methods, shown=False)

    def y(field: str) -> alt.Y:
        return alt.Y(f"{field}:Q", scale=log_scale(*drawn), axis=log_axis("risk that comes from noise", *drawn))

    own = own.assign(factor=own["published"] / own["noise"])
    quoted = own[own["step"].isin(QUOTED) & (own["factor"] > 1.005)]
    quoted = quoted.assign(text=quoted["factor"].map(lambda v: f"{number(v, digits=2)} times"))
    chart = alt.Chart(inline(own[["method", "step", "noise", "published"]]))
    marks = alt.Chart(inline(quoted[["method", "step", "noise", "published", "text"]])).encode(x=x, color=shades)
    return alt.layer(
        chart.mark_line(strokeWidth=1, strokeDash=[4, 3]).encode(x=x, y=y("published"), color=shades),
        chart.mark_line(strokeWidth=2).encode(x=x, y=y("noise"), color=shades),
        marks.mark_rule(strokeWidth=1).encode(y=y("noise"), y2="published:Q"),
        marks.mark_text(dx=5, dy=12, align="left", fontSize=11.5).encode(y=y("noise"), text="text:N"),
    ).properties(width="container", height=230, title=heading("Part of noise: at step k, and as published"))


def _methods(rows: pd.DataFrame) -> list[str]:
    return list(dict.fromkeys(rows["method"]))


def _thinned(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows at steps spaced evenly on a log scale, from step 1."""
    last = int(rows["step"].max())
    kept = np.union1d(np.unique(np.rint(np.geomspace(1, last, 90)).astype(int)), QUOTED)
    return rows[rows["step"].isin(kept)]


def _steps(rows: pd.DataFrame) -> alt.X:
    ends = (0.95, 1.15 * float(rows["step"].max()))
    return alt.X("step:Q", scale=log_scale(*ends), axis=log_axis("step k", *ends))
