"""Predictions: the mean of the runs on top of what theory says of them, and one divided by the other."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from optwise.core.run import Run
from optwise.report.drawing import Chart, Figure, colours, inline, value_scale
from optwise.report.figures.prediction_ratios import ALL, CLOSE, STEPS, ratio_chart, ratio_rows
from optwise.report.readings import address, spans_decades
from optwise.report.words import listed, number, percent

COLUMNS = ["method", "study", "step", "predicted", "mean", "low", "high", "n"]
APART = 1.05
"""Predictions of two studies that differ by less than this factor are drawn as one line."""
FAR = 100.0
"""Studies whose predictions differ by more than this factor get points of their own: one of them is most of a mean."""
SPAN = (1e-12, 1e6)
"""The widest range of values that is drawn, in starts."""


def prediction_figures(
    anchor: str,
    forecasts: Mapping[str, Mapping[str, Any]],
    runs: Sequence[Run],
    *,
    checks: Sequence[Mapping[str, Any]],
    methods: Sequence[str],
) -> Iterator[Figure]:
    """The figures that hold runs against theory; none where no method is predicted.

    Args:
        anchor: Where they stand on the page.
        forecasts: Method to what the results document says of it, of those that it says anything of.
        runs: Confirmation runs.
        checks: Those called ``prediction``.
        methods: All methods of the comparison, for their colours.
    """
    frames = {name: prediction_rows(runs, forecast, name) for name, forecast in forecasts.items()}
    frames = {name: frame for name, frame in frames.items() if frame["mean"].notna().any()}
    if not frames:
        return
    rows = pd.concat(list(frames.values()), ignore_index=True)
    domain, metric = prediction_domain(rows), forecasts[next(iter(frames))]["metric"]
    wrong = [c["evidence"] for c in checks if c["status"] != "pass"]
    fine = [c["method"] for c in checks if c["status"] == "pass"]
    short = "Not all of them." if wrong and fine else "No." if wrong else "Yes." if fine else "The runs cannot tell."
    agree = [f"{listed(fine)} {'agree' if len(fine) > 1 else 'agrees'} with the prediction."]
    reasons = [f"Not predicted: {forecast['reason']}" for forecast in forecasts.values() if forecast["reason"]]
    yield Figure(
        anchor=anchor,
        question="Do the runs do what theory predicts?",
        answer=" ".join([short, *wrong, *(agree if fine else [])]),
        key=" ".join([*_key(rows, forecasts), *reasons]),
        panels={
            name: prediction_chart(frame, method=name, methods=methods, metric=metric, domain=domain)
            for name, frame in frames.items()
        },
        together=True,
    )
    ratios = ratio_rows(rows)
    chart = ratio_chart(ratios, methods=methods)
    if chart is not None:
        least, most = float(ratios["ratio"].min()), float(ratios["ratio"].max())
        off = max(abs(least - 1), abs(most - 1))
        close = f"Measured means are what is predicted to within {percent(off)}."
        yield Figure(
            anchor=f"{anchor}-ratios",
            question="How closely does theory predict the runs?",
            answer=close
            if off < CLOSE
            else f"Measured means are {number(least)} to {number(most)} times what is predicted.",
            key="Points: mean of the confirmation runs over what is predicted, with two standard errors to each side; "
            "by chance a bar misses 1 about once in twenty steps.",
            panels={"measured / predicted": chart},
        )


def _key(rows: pd.DataFrame, forecasts: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    yield "Dashed: expectation, from the curvatures, noise and start that the problem declares."
    yield "Points: mean of the confirmation runs, with two standard errors to each side."
    apart_by = [max_ratio(own[own["study"] != ALL]) for _, own in rows.groupby("method")]
    if max(apart_by) > FAR:
        yield "Faint: the same, study by study."
    elif max(apart_by) > APART:
        yield "Faint: the expectation in each study."
    if any(each["heavy"] for forecast in forecasts.values() for each in forecast["studies"]):
        yield "Studies whose expectation is made by rare runs are no part of the mean."


def prediction_rows(runs: Sequence[Run], forecast: Mapping[str, Any], method: str) -> pd.DataFrame:
    """Prediction and measured mean at each step: of every study, and of all of them together.

    A mean is over runs that all have a number there, and its ``low`` and ``high`` lie two standard errors away: as
    theory knows them, or else from the spread of the runs within their studies.

    Studies whose expectation is made by rare runs at some step are no part of the whole.

    Args:
        runs: Confirmation runs, perhaps of other methods too.
        forecast: What the results document says of it.
        method: Its name.

    Returns:
        Columns: method, study (its number, or ``all``), step, predicted, mean, low, high, n; NaN where there is none.
    """
    own = [run for run in runs if address(run).method == method]
    blocks = [_study(own, forecast["metric"], each) for each in forecast["studies"]]
    blocks = [block for block in blocks if len(block)]
    if not blocks:
        return pd.DataFrame(columns=COLUMNS)
    steady = [block for block in blocks if not block["heavy"].any()]
    together = pd.concat([*blocks, *([_together(steady)] if steady else [])], ignore_index=True)
    bars = 2 * together["variance"] ** 0.5
    found = together.assign(method=method, low=together["mean"] - bars, high=together["mean"] + bars)
    return found[COLUMNS]


def _study(runs: Sequence[Run], metric: str, each: Mapping[str, Any]) -> pd.DataFrame:
    curves = [dict(run.curve(metric)) for run in runs if address(run).study == each["study"]]
    n, rows = len(curves), []
    for i, step in enumerate(each["steps"]):
        values = np.array([curve.get(step, math.nan) for curve in curves])
        whole = n > 0 and bool(np.isfinite(values).all())
        known = None if each["deviation"] is None else each["deviation"][i]
        variance = known**2 if known is not None else float(values.var(ddof=1)) if whole and n > 1 else math.nan
        risk = each["risk"][i]
        rows.append(
            {
                "study": str(each["study"]),
                "step": step,
                "predicted": math.nan if risk is None else risk,
                "mean": float(values.mean()) if whole else math.nan,
                "variance": variance / n if whole else math.nan,
                "heavy": step in each["heavy"],
                "n": n,
            }
        )
    return pd.DataFrame(rows) if n else pd.DataFrame()


def _together(blocks: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """The mean over all runs at steps where every study has one."""
    counts = [int(block["n"].iloc[0]) for block in blocks]
    shares = np.array(counts) / sum(counts)
    parts = {name: sum(w * b[name] for w, b in zip(shares, blocks, strict=True)) for name in ("predicted", "mean")}
    variance = sum(w**2 * block["variance"] for w, block in zip(shares, blocks, strict=True))
    return pd.DataFrame({"study": ALL, "step": blocks[0]["step"], **parts, "variance": variance, "n": sum(counts)})


def prediction_domain(rows: pd.DataFrame) -> tuple[float, float]:
    """Range that holds every mean and prediction, and the bars that fit in.

    What is a million times the largest start is cut off, and on a log scale what is 1e-12 of it.

    A bar may end below 0, which a log scale has no place for: where one is drawn, bars set no lower end that is less
    than half of their mean.

    Args:
        rows: From :func:`prediction_rows`, with at least one mean.
    """
    seen = rows[np.isfinite(rows["mean"])]
    start = float(rows.loc[rows["step"] == rows["step"].min(), ["predicted", "mean"]].max().max())
    ends = rows["predicted"][np.isfinite(rows["predicted"])]
    high = min(max(ends.max(), seen["high"].max(), seen["mean"].max()), SPAN[1] * start)
    low = min(ends.min(), seen["mean"].min())
    if spans_decades([float(low), float(high)]):
        low = max(min(low, seen.loc[seen["low"] > seen["mean"] / 2, "low"].min()), SPAN[0] * start)
    else:
        low = min(low, seen["low"].min())
    return (float(low), float(high)) if low < high else (float(low) - 0.5, float(high) + 0.5)


def prediction_chart(
    rows: pd.DataFrame, *, method: str, methods: Sequence[str], metric: str, domain: tuple[float, float]
) -> Chart:
    """Draw one method: predictions dashed, the means of its runs as points with bars.

    Args:
        rows: From :func:`prediction_rows`.
        method: Its name.
        methods: All methods of the comparison, for the colour.
        metric: Full name of what is predicted.
        domain: Range of values, shared by the methods.
    """
    colour, scale = colours(methods)[method], value_scale(domain, domain=domain)
    vertical = alt.Axis(title=metric, tickCount=3, format="~g")
    x = alt.X("step:Q", scale=alt.Scale(nice=False, padding=6), axis=STEPS)

    def y(name: str) -> alt.Y:
        return alt.Y(f"{name}:Q", scale=scale, axis=vertical)

    own, pooled = rows[rows["study"] != ALL], rows[rows["study"] == ALL]
    layers: list[alt.Chart] = []
    if max_ratio(own) > APART or pooled.empty:
        layers.append(
            alt.Chart(inline(own[["study", "step", "predicted"]].dropna()))
            .mark_line(clip=True, strokeWidth=1, color=colour, opacity=0.4)
            .encode(x=x, y=y("predicted"), detail="study:N")
        )
    if max_ratio(own) > FAR or pooled.empty:
        layers.append(
            alt.Chart(inline(own[["study", "step", "mean"]].dropna()))
            .mark_point(clip=True, filled=True, size=9, color=colour, opacity=0.55)
            .encode(x=x, y=y("mean"))
        )
    layers.append(
        alt.Chart(inline(pooled[["step", "predicted"]].dropna(), "predicted"))
        .mark_line(clip=True, strokeWidth=1.8, strokeDash=[5, 3], color=colour)
        .encode(x=x, y=y("predicted"))
    )
    seen = pooled.dropna(subset=["mean"]).assign(low=pooled["low"].clip(lower=domain[0]))
    tips = [
        alt.Tooltip("step:Q"),
        *(alt.Tooltip(f"{name}:Q", format=".5g") for name in ("predicted", "mean", "low", "high")),
        alt.Tooltip("n:Q", title="runs"),
    ]
    points = alt.Chart(inline(seen.drop(columns=["method", "study"]), "measured"))
    layers.append(points.mark_rule(clip=True, strokeWidth=1.4, color=colour).encode(x=x, y=y("low"), y2="high:Q"))
    layers.append(
        points.mark_point(clip=True, filled=True, size=30, color=colour, opacity=1).encode(
            x=x, y=y("mean"), tooltip=tips
        )
    )
    title = alt.Title(method, anchor="start", frame="group", fontWeight="bold")
    return alt.layer(*layers).properties(width="container", height=200, title=title)


def max_ratio(own: pd.DataFrame) -> float:
    """The largest factor by which the predictions of studies differ at some step.

    Args:
        own: Rows of one method, study by study.
    """
    spread = own[own["predicted"] > 0].groupby("step")["predicted"].agg(["min", "max"])
    return float((spread["max"] / spread["min"]).max()) if len(spread) else 1.0
