"""Heavy-ball momentum by direction: the rate against curvature, the noise floor, the map of regimes."""

from __future__ import annotations

from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from optwise.report.drawing import INK, RULE, Chart, Figure, inline, legend
from optwise.report.lessons.channels import heading, log_axis, log_scale, shade, signs
from optwise.report.words import listed, number, told_apart

SAME_LR, SAME_PACE, PUBLISHED = "same lr", signs("same lr / (1 - β)"), "lecture 8, same lr"
REGIMES = {
    "creeps": "#56B4E9",
    "oscillates": "#009E73",
    "alternates": "#E69F00",
    "diverges": "#D55E00",
}
OTHERS = 7
"""Place in the palette of the noise floors' first colour: the ones before it are momenta."""


def momentum_figure(speed: pd.DataFrame, noise: pd.DataFrame, limit: pd.DataFrame, *, lr: float, beta: float) -> Figure:
    """The figure ``momentum-regimes``.

    Args:
        speed: Columns beta, lr_h, rate.
        noise: Columns beta, floor, same_pace.
        limit: Columns beta, max_lr_h.
        lr: Step size times curvature of the noise floors.
        beta: The momentum whose floor is quoted.
    """
    sgd = float(noise.loc[noise["beta"] == 0, "floor"].iloc[0])
    return Figure(
        anchor="momentum-regimes",
        question="What does momentum do to each direction, and to the noise?",
        answer=signs(f"{_speed(speed)} {_noise(noise[noise['beta'] == beta].iloc[0], sgd=sgd, lr=lr, beta=beta)}"),
        key=signs(
            "Heavy ball, b ← β b + g, w ← w - lr b, on one direction of curvature h; all computed from its linear map, "
            "nothing is run. Speed: 1 minus the rate, the asymptotic factor per step on the error; rings: β is "
            "critical, β = (1 - √(lr h))²; dotted: the best β for each lr h. Noise floor: expected loss for ever, for "
            f"h = c = B = 1, lr = {lr:g}. Regimes: what the error does; dots: the largest stable lr h found by search, "
            "the line is 2 (1 + β)."
        ),
        panels={
            "rate": rate_chart(speed),
            "floor": floor_chart(noise, lr=lr, sgd=sgd),
            "stability": regime_chart(limit),
        },
        together=True,
    )


def _speed(speed: pd.DataFrame) -> str:
    """How much faster flat directions get, and from which curvature on it ends."""
    corners = [
        f"{number((1 - beta**0.5) ** 2, digits=2)} (β = {beta:g})" for beta in sorted(set(speed["beta"])) if beta > 0
    ]
    told = f", {listed(corners)}," if corners else ""
    return (
        f"It speeds up flat directions 1/(1 - β) times, up to a limit: from lr h = (1 - √β)² on{told} the rate is √β "
        "whatever the curvature, up to (1 + √β)²."
    )


def _noise(at: pd.Series[Any], *, sgd: float, lr: float, beta: float) -> str:
    """What it does to the noise floor, at the same step size and at the same pace."""
    factor, published = float(at["floor"]) / sgd, (1 + beta) / (1 - beta)
    same = abs(factor - 1) < 5e-4
    alike = np.isclose(factor, published, rtol=5e-3)
    beside = "" if alike else f" and not (1 + β)/(1 - β) = {number(published)} times"
    verb = "leaves" if same else "raises" if factor > 1 else "lowers"
    pace = float(at["same_pace"])
    way = "leaves" if pace == sgd else "lowers" if pace < sgd else "raises"
    told = told_apart(sgd, pace, digits=4)
    return (
        f"At the same lr it {verb} the noise floor{' as it is' if same else ''}, {factor:.3f} times for β = {beta:g} "
        f"at lr h = {lr:g}{beside}; at the same lr / (1 - β) it {way} it, from {told[0]} "
        f"to {told[1]}."
    )


def rate_chart(speed: pd.DataFrame) -> Chart:
    """Draw what a step removes of the error, against curvature, by momentum."""
    drawn = (0.001, 1.0)
    named = speed.assign(momentum=speed["beta"].map("β = {:g}".format), removed=1 - speed["rate"])
    named = named[named["removed"] > 1e-9]
    betas = list(dict.fromkeys(named["momentum"]))
    ends = (float(speed["lr_h"].min()), float(speed["lr_h"].max()))
    x = alt.X(
        "lr_h:Q", scale=log_scale(*ends), axis=log_axis("lr h: step size times curvature of the direction", *ends)
    )
    y = alt.Y(
        "removed:Q", scale=log_scale(*drawn), axis=log_axis("1 - rate: share of the error removed a step", *drawn)
    )
    shades = shade("momentum", betas)
    best = pd.DataFrame({"lr_h": np.geomspace(*ends, 200)})
    best = best[best["lr_h"] < 1].assign(removed=lambda f: np.sqrt(f["lr_h"]))
    critical = named[(named["beta"] > 0) & np.isclose(named["lr_h"], (1 - np.sqrt(named["beta"])) ** 2, rtol=1e-12)]
    tips = [
        alt.Tooltip("momentum:N"),
        alt.Tooltip("lr_h:Q", title="lr h", format=".4~g"),
        alt.Tooltip("rate:Q", format=".6~g"),
    ]
    columns = ["momentum", "lr_h", "removed", "rate"]
    return alt.layer(
        alt.Chart(inline(best)).mark_line(strokeWidth=1.4, strokeDash=[2, 3], color=INK, clip=True).encode(x=x, y=y),
        alt.Chart(inline(named[columns])).mark_line(strokeWidth=2.3, clip=True).encode(x=x, y=y, color=shades),
        alt.Chart(inline(critical[columns]))
        .mark_point(filled=False, fill="white", size=60, strokeWidth=2, opacity=1)
        .encode(x=x, y=y, color=shades),
        alt.Chart(inline(named[columns]))
        .mark_point(filled=True, size=40, opacity=0, clip=True)
        .encode(x=x, y=y, tooltip=tips),
    ).properties(width="container", height=280, title=heading("Speed: flat directions gain, steep ones are held at √β"))


def floor_chart(noise: pd.DataFrame, *, lr: float, sgd: float) -> Chart:
    """Draw noise floors against momentum, at the same step size and at the same pace."""
    published = noise.assign(published=sgd * (1 + noise["beta"]) / (1 - noise["beta"]))
    names = {"floor": SAME_LR, "same_pace": SAME_PACE, "published": PUBLISHED}
    rows = published.melt(["beta"], list(names), "kind", "value").replace({"kind": names})
    rows = rows.assign(left=1 - rows["beta"])
    drawn = (0.5 * float(rows["value"].min()), 1.6 * float(rows["value"].max()))
    axis = alt.Axis(title="momentum β", values=[1, 0.5, 0.1, 0.01], labelExpr="format(1 - datum.value, '~g')")
    x = alt.X("left:Q", scale=alt.Scale(type="log", domain=[1, 0.01], nice=False), axis=axis)
    y = alt.Y("value:Q", scale=log_scale(*drawn), axis=log_axis("noise floor: expected loss", *drawn))
    kinds = list(names.values())
    dashing = alt.Scale(domain=kinds, range=[[1, 0], [1, 0], [5, 4]])
    dash = alt.StrokeDash("kind:N", scale=dashing, legend=legend(kinds, "stroke"))
    shades = shade("kind", kinds, first=OTHERS)
    lines = alt.Chart(inline(rows)).mark_line(strokeWidth=2.2).encode(x=x, y=y, color=shades, strokeDash=dash)
    tips = [
        alt.Tooltip("kind:N"),
        alt.Tooltip("beta:Q", title="β"),
        alt.Tooltip("value:Q", title="floor", format=".4~g"),
    ]
    computed = rows[rows["kind"] != PUBLISHED]
    dots = (
        alt.Chart(inline(computed))
        .mark_point(filled=True, size=36, opacity=1)
        .encode(x=x, y=y, color=shades, tooltip=tips)
    )
    return alt.layer(lines, dots).properties(
        width="container", height=230, title=heading(f"Noise floor at lr h = {lr:g}")
    )


def regimes(lr_h: np.ndarray) -> pd.DataFrame:
    """Between which momenta the error of a direction does what.

    Creeping is a real positive dominant root of z² - (1 + β - lr h) z + β, alternating a real negative one, oscillating
    a pair of complex ones.

    Args:
        lr_h: Step size times curvature, above 0.

    Returns:
        Columns regime, lr_h, low, high; no row where a regime has no room.
    """
    critical, unstable = np.minimum((1 - np.sqrt(lr_h)) ** 2, 1.0), np.clip(lr_h / 2 - 1, 0, 1)
    zero, one = np.zeros_like(lr_h), np.ones_like(lr_h)
    between = {
        "creeps": (zero, np.where(lr_h <= 1, critical, 0.0)),
        "oscillates": (critical, one),
        "alternates": (np.where(lr_h >= 1, unstable, 0.0), np.where(lr_h >= 1, critical, 0.0)),
        "diverges": (zero, unstable),
    }
    blocks = [
        pd.DataFrame({"regime": regime, "lr_h": lr_h, "low": low, "high": high})
        for regime, (low, high) in between.items()
    ]
    return pd.concat([block[block["high"] > block["low"]] for block in blocks], ignore_index=True)


def regime_chart(limit: pd.DataFrame) -> Chart:
    """Draw the map of regimes and the largest stable steps that were found."""
    rows = regimes(np.unique([*np.linspace(0.01, 2, 200) ** 2, 2.0]))

    def x(field: str) -> alt.X:
        axis = alt.Axis(title="lr h", values=[0, 1, 2, 3, 4], grid=False)
        return alt.X(f"{field}:Q", scale=alt.Scale(domain=[0, 4], nice=False), axis=axis)

    def y(field: str) -> alt.Y:
        axis = alt.Axis(title="momentum β", tickCount=5, grid=False)
        return alt.Y(f"{field}:Q", scale=alt.Scale(domain=[0, 1], nice=False), axis=axis)

    names = list(REGIMES)
    colour = alt.Color(
        "regime:N",
        scale=alt.Scale(domain=names, range=list(REGIMES.values())),
        legend=alt.Legend(symbolType="square", symbolOpacity=0.5, columns=alt.ExprRef("max(1, floor(width / 150))")),
    )
    edge = pd.DataFrame({"beta": [0.0, 1.0], "lr_h": [2.0, 4.0]})
    tips = [alt.Tooltip("beta:Q", title="β"), alt.Tooltip("max_lr_h:Q", title="largest stable lr h", format=".6~g")]
    return alt.layer(
        alt.Chart(inline(rows))
        .mark_area(opacity=0.42, line=False)
        .encode(x=x("lr_h"), y=y("low"), y2="high:Q", color=colour),
        alt.Chart(inline(edge)).mark_line(color=RULE, strokeWidth=1.6).encode(x=x("lr_h"), y=y("beta")),
        alt.Chart(inline(limit[["beta", "max_lr_h"]]))
        .mark_point(filled=True, size=42, color=INK, opacity=1)
        .encode(x=x("max_lr_h"), y=y("beta"), tooltip=tips),
    ).properties(width="container", height=230, title=heading("Regimes"))
