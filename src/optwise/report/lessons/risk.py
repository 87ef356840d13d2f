"""Predicted against measured risk, and how far the published noise is off."""

from __future__ import annotations

import math
from collections.abc import Mapping

import altair as alt
import numpy as np
import pandas as pd

from optwise.report.drawing import RULE, Chart, Figure, inline
from optwise.report.lessons.channels import dashes, heading, log_axis, log_scale, shade, signs
from optwise.report.words import listed, number, probability

QUOTED = (10, 100, 1000)
WITHIN = math.erf(math.sqrt(2))
"""Share of normal errors within two standard errors: 0.954."""
DRAWS = 20_000
UNLIKELY = 0.05
NOISE_HEIGHT, LETTER = 230, 10
"""Height of the chart of noise, and how far apart the middle of a number and a line are kept, in pixels."""


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
    bounded = rows[rows["published"].notna() & (rows["step"] > 0)]
    too_much = ((bounded["published"] - bounded["noise"]) / bounded["predicted"]).groupby(bounded["method"], sort=False)
    names = list(dict.fromkeys(bounded["method"]))
    factors = [f"{listed(number(f, digits=3) for f in overstated(rows, name))} times for {name}" for name in names]
    shares = [f"{_percent(100 * share)} % for {name}" for name, share in too_much.max().items()]
    chosen = "; ".join(f"{name} {said}" for name, said in settings.items())
    return Figure(
        anchor="nqm-risk",
        question="Is the predicted risk what happens, and how far off is the published one?",
        answer=signs(
            f"{_agreement(rows)} The published formulas of momentum and of averaging take the noise of k → ∞ "
            f"for that of step k. At steps {listed(f'{k:,}' for k in QUOTED)} their noise is too large "
            f"{'; '.join(factors)}; the whole risk by up to {listed(shares)}."
        ),
        key=signs(
            f"Risk: expected loss, lines computed, dots means over {replicas:,} runs of the engine's own methods. "
            "Measured over predicted: bars of two standard errors; the methods stand beside one another at each step. "
            "Part of noise: what noise has in the risk, and as a thin dashed line what the published formula has in "
            "its place at every step. Chance: what normal errors with the measured correlation of each look with the "
            f"one before would do, {DRAWS:,} draws. Noisy quadratic, "
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


def _percent(value: float) -> str:
    return f"{value:.0f}" if value >= 1 else number(value, digits=2)


def _agreement(rows: pd.DataFrame) -> str:
    """How many means lie within two standard errors, how many would by chance, and whether that fits."""
    z = z_scores(rows)
    inside, looks = int((z.abs() <= 2).sum()), len(z)
    seen = rows.dropna(subset=["measured"])
    worst = float((seen["measured"] / seen["predicted"] - 1).abs().max())
    alone, together = chances(rows)
    runs = seen["method"].nunique()
    fits = "which chance explains" if together >= UNLIKELY else "which chance does not explain"
    return (
        f"{inside} of {looks} measured means lie within two standard errors of the prediction, {WITHIN * looks:.1f} "
        f"are expected, and none is more than {100 * worst:.1f} % away. Independent means would be as far from the "
        f"expected number with probability {probability(alone)}; but those of one method come from the same runs, and "
        f"with their measured correlation it is {probability(together)}, {fits}: {runs} independent "
        f"{'set' if runs == 1 else 'sets'} of runs say less than {looks} numbers seem to."
    )


def chances(rows: pd.DataFrame) -> tuple[float, float]:
    """Probability that a count at least as far from the expected one comes by chance.

    Returns:
        For independent means (binomial), and for means of which those of one method follow each other with their
        measured correlation: normal errors that depend on the look before, drawn from a fixed seed.
    """
    z = z_scores(rows)
    looks, expected = len(z), WITHIN * len(z)
    far = abs(int((z.abs() <= 2).sum()) - expected) - 1e-9
    alone = math.fsum(
        math.comb(looks, count) * WITHIN**count * (1 - WITHIN) ** (looks - count)
        for count in range(looks + 1)
        if abs(count - expected) >= far
    )
    generator = np.random.default_rng(0)
    inside = np.zeros(DRAWS, dtype=np.int64)
    for _, own in rows.dropna(subset=["measured"]).groupby("method", sort=False):
        last = np.zeros(DRAWS)
        for rho in own["correlation"].fillna(0.0).clip(-1, 1):
            last = rho * last + np.sqrt(1 - rho**2) * generator.standard_normal(DRAWS)
            inside += np.abs(last) <= 2
    return alone, float((abs(inside - expected) >= far).mean())


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
        .encode(x=x, y=y("predicted"), color=shades, strokeDash=_over_another(after, methods)),
        alt.Chart(inline(seen[["method", "step", "measured", "predicted", "se"]]))
        .mark_point(filled=True, size=30, opacity=1)
        .encode(x=x, y=y("measured"), color=shades, tooltip=tips),
    ).properties(width="container", height=320, title=heading("Risk"))


def _over_another(drawn: pd.DataFrame, methods: list[str]) -> alt.StrokeDash:
    """Dashes for a line that lies on one that is drawn before it, so that both are seen."""
    curves = {name: np.log(drawn.loc[drawn["method"] == name, "predicted"].to_numpy(float)) for name in methods}
    room = 0.006 * float(np.log(drawn["predicted"].max() / drawn["predicted"].min()) + 0.7)  # a line's width
    hides = [
        any(np.quantile(np.abs(curves[name] - curves[other]), 0.8) <= room for other in methods[:i])
        for i, name in enumerate(methods)
    ]
    return dashes("method", {name: (7, 6) if over else (1, 0) for name, over in zip(methods, hides, strict=True)})


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
    quoted = own[own["step"].isin(QUOTED) & (own["factor"] > 1.05)]
    quoted = quoted.assign(text=quoted["factor"].map(lambda v: f"{number(v, digits=2)} times"))
    places = _below(quoted, own["published"].unique().tolist(), drawn)
    chart = alt.Chart(inline(own[["method", "step", "noise", "published"]]))
    told = quoted.assign(place=places)[["method", "step", "noise", "published", "text", "place"]]
    marks = alt.Chart(inline(told)).encode(x=x, color=shades)
    return alt.layer(
        chart.mark_line(strokeWidth=1, strokeDash=[4, 3]).encode(x=x, y=y("published"), color=shades),
        chart.mark_line(strokeWidth=2).encode(x=x, y=y("noise"), color=shades),
        marks.mark_rule(strokeWidth=1).encode(y=y("noise"), y2="published:Q"),
        marks.mark_text(dx=5, align="left", fontSize=11.5).encode(y=y("place"), text="text:N"),
    ).properties(width="container", height=NOISE_HEIGHT, title=heading("Part of noise: at step k, and as published"))


def _below(quoted: pd.DataFrame, levels: list[float], drawn: tuple[float, float]) -> list[float]:
    """Heights of the numbers below their points, further down where a level or another number would be in the way."""
    pixel = math.log(drawn[1] / drawn[0]) / NOISE_HEIGHT
    found: list[tuple[int, float]] = []
    for step, noise in zip(quoted["step"], quoted["noise"], strict=True):
        tried = [noise * math.exp(-pixel * down) for down in (12, 16, 20, 24, 28, 32, 36, 40)]
        taken = levels + [place for other, place in found if other == step]
        clear = [at for at in tried if all(abs(math.log(at / other)) >= LETTER * pixel for other in taken)]
        found.append((step, next((at for at in clear if at > drawn[0]), tried[0])))
    return [place for _, place in found]


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
