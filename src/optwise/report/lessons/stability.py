"""Relative errors of least squares against the condition number, beside their two bounds."""

from __future__ import annotations

import math
from collections.abc import Mapping

import altair as alt
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from optwise.report.drawing import CROSS, INK, RULE, Chart, Figure, inline
from optwise.report.lessons.channels import heading, log_axis, log_scale, shade, signs
from optwise.report.words import listed, number, plural

LU, CHOLESKY, QR, SVD = "LU of XᵀX", "Cholesky of XᵀX", "QR", "singular values"
METHODS = (LU, CHOLESKY, QR, SVD)
SQUARED, PLAIN = "eps κ²", "eps κ"
CEILING = 100.0  # of the axis; what broke down is marked there
QUOTED = 1e3
"""The condition number at which digits are quoted, unless asked otherwise."""


def stability_figure(rows: pd.DataFrame, *, design: Mapping[str, int], quoted: float = QUOTED) -> Figure:
    """The figure ``qr-against-normal-equations``.

    Args:
        rows: Columns data, dtype, asked, kappa, method, error, broke, area, eps.
        design: ``rows`` and ``columns`` of each design, and ``seeds``: designs for each condition number.
        quoted: The condition number at which digits are quoted, the nearest one that was tried.
    """
    sweep, houses = rows[rows["data"] == "sweep"], rows[rows["data"] == "houses"]
    area = {
        (row["dtype"], row["method"]): "nothing" if row["broke"] else f"{row['area']:.2f}"
        for row in houses.to_dict("records")
    }
    told = " ".join(_digits(sweep[sweep["dtype"] == dtype], quoted) for dtype in dict.fromkeys(sweep["dtype"]))
    return Figure(
        anchor="qr-against-normal-equations",
        question="How many digits do the normal equations lose that QR keeps?",
        answer=signs(
            f"About as many as κ(X) has, since κ(XᵀX) = κ(X)², until none is left. {told} For the houses, of κ(X) = "
            f"{number(houses['kappa'].iloc[0], digits=6)}, a square foot costs {area['float64', QR]}; float32 says "
            f"{area['float32', QR]} by QR, {area['float32', LU]} by LU and {area['float32', CHOLESKY]} by "
            "Cholesky of XᵀX."
        ),
        key=signs(
            "Relative error |w - w*|/|w*|, where w* solves the rounded system without any rounding, in whole numbers. "
            f"Dots: {plural(design['seeds'], 'design')} of {design['rows']} rows and {design['columns']} columns for "
            "each κ(X), y = X w, singular values logarithmically spaced; lines through their medians. Diamonds: 10,000 "
            "houses, 4 columns. Crosses at the top: not positive definite in this precision, no answer. Grey: the "
            "bounds without their constants, eps = 1.19e-7 in float32 and 2.22e-16 in float64."
        ),
        panels={f"in {dtype}": error_chart(rows[rows["dtype"] == dtype]) for dtype in dict.fromkeys(rows["dtype"])},
        together=True,
    )


def digits_lost(rows: pd.DataFrame, quoted: float = QUOTED) -> dict[str, float]:
    """Decimal digits lost by each method at the quoted condition number: log10 of the median error over eps.

    Infinite where the median broke down.
    """
    asked = rows["asked"].to_numpy(float)
    near = nearest(asked, quoted)
    lost = {}
    for method in METHODS:
        own = rows[(rows["method"] == method) & (rows["asked"] == near)]
        median = float(own["error"].fillna(np.inf).median())
        lost[method] = math.log10(max(median / float(own["eps"].iloc[0]), 1.0)) if math.isfinite(median) else math.inf
    return lost


def nearest(asked: NDArray[np.float64], quoted: float) -> float:
    """The condition number that was tried and is nearest, on a log scale."""
    return float(asked[np.abs(np.log10(asked / quoted)).argmin()])


def breakdown(rows: pd.DataFrame, method: str) -> float:
    """The least condition number asked for at which a method gave no answer; infinite where it always did.

    Example:
        >>> breakdown(pd.DataFrame({"method": ["QR"] * 2, "asked": [10.0, 100.0], "broke": [False, True]}), "QR")
        100.0
    """
    broke = rows[(rows["method"] == method) & rows["broke"].astype(bool)]
    return float(broke["asked"].min()) if len(broke) else math.inf


def error_chart(rows: pd.DataFrame) -> Chart:
    """Draw the errors in one precision."""
    eps, dtype = float(rows["eps"].iloc[0]), str(rows["dtype"].iloc[0])
    sweep, houses = rows[rows["data"] == "sweep"], rows[rows["data"] == "houses"]
    low, ends = eps / 10, (float(sweep["asked"].min()) / 1.5, 1.5 * float(sweep["asked"].max()))
    x = alt.X("kappa:Q", scale=log_scale(*ends), axis=log_axis("κ(X)", *ends))
    y = alt.Y("error:Q", scale=log_scale(low, CEILING), axis=log_axis("relative error of w", low, CEILING))
    y["axis"]["values"] = y["axis"]["values"][:: 1 if eps > 1e-8 else 2]
    shades = shade("method", METHODS)
    shades["legend"]["labelLimit"] = 200
    kappa = np.geomspace(*ends, 60)
    bounds = pd.concat(
        [
            pd.DataFrame({"bound": name, "kappa": kappa, "error": eps * kappa**power})
            for name, power in ((SQUARED, 2), (PLAIN, 1))
        ]
    )
    # named above the line, to the left of a point on it
    labels = pd.DataFrame(
        [
            {"bound": name, "kappa": (top / eps) ** (1 / power), "error": top}
            for name, power, top in ((SQUARED, 2, 0.1), (PLAIN, 1, eps * ends[1] ** 0.8))
        ]
    )
    answered = sweep[~sweep["broke"].astype(bool)]
    medians = answered.groupby(["method", "asked"])["error"].median().reset_index().rename(columns={"asked": "kappa"})
    crosses = sweep[sweep["broke"].astype(bool)].assign(error=CEILING / 2)
    tips = [
        alt.Tooltip("method:N"),
        alt.Tooltip("kappa:Q", title="κ(X)", format=".4~g"),
        alt.Tooltip("error:Q", title="relative error", format=".3~g"),
    ]
    broken = [alt.Tooltip("method:N", title="not positive definite"), tips[1]]

    def chart(frame: pd.DataFrame) -> alt.Chart:
        return alt.Chart(inline(frame[["method", "kappa", "error"]])).encode(x=x, y=y, color=shades)

    return alt.layer(
        alt.Chart(inline(bounds))
        .mark_line(color=RULE, strokeWidth=1.2, strokeDash=[4, 3], clip=True)
        .encode(x=x, y=y, detail="bound:N"),
        alt.Chart(inline(labels))
        .mark_text(align="right", dx=-7, dy=-4, fontSize=11.5, color=RULE)
        .encode(x=x, y=y, text="bound:N"),
        chart(medians).mark_line(strokeWidth=1.6, clip=True),
        chart(answered).mark_point(filled=True, size=22, opacity=0.75, clip=True).encode(tooltip=tips),
        chart(crosses).mark_point(shape=CROSS, size=70, strokeWidth=2, opacity=1).encode(tooltip=broken),
        chart(houses[~houses["broke"].astype(bool)])
        .mark_point(shape="diamond", size=110, filled=True, stroke=INK, strokeWidth=1, opacity=1, clip=True)
        .encode(tooltip=tips),
    ).properties(width="container", height=320, title=heading(f"In {dtype}"))


def _digits(sweep: pd.DataFrame, quoted: float) -> str:
    lost = digits_lost(sweep, quoted)
    has = -math.log10(float(sweep["eps"].iloc[0]))
    first = breakdown(sweep, CHOLESKY)
    gone = f"; Cholesky breaks down from κ(X) = {number(first)} on" if math.isfinite(first) else ""
    words = [f"{_loss(lost[method], has)} by {method}" for method in (QR, LU, CHOLESKY)]
    at = nearest(sweep["asked"].to_numpy(float), quoted)
    return (
        f"Of the {has:.1f} digits of {sweep['dtype'].iloc[0]}, at κ(X) = {number(at)} the answer loses "
        f"{listed(words)}{gone}."
    )


def _loss(digits: float, has: float) -> str:
    """An answer that is off by its own size has no digit left."""
    return f"{digits:.1f}" if digits < has else "all"
