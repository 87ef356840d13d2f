"""The derivative as the best linear approximation: what each line leaves of f, and where no line will do."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import altair as alt
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from optwise.report.drawing import INK, PALETTE, RULE, Chart, Figure, inline, legend
from optwise.report.lessons.channels import heading, log_axis, log_scale, shade, signs
from optwise.report.words import number

FUNCTION, TANGENT, THROUGH, BESIDE = "f", "tangent", "other lines through the point", "lines beside the point"
_SHADES = {FUNCTION: INK, TANGENT: "#D55E00", THROUGH: "#6f7882", BESIDE: "#56B4E9"}
_ROLES = list(_SHADES)
MINUS = "\N{MINUS SIGN}"

Floats = NDArray[np.float64]


def line_rows(
    x: Floats, f: Floats, *, at: tuple[float, float], slope: float, others: Sequence[tuple[float, float]]
) -> pd.DataFrame:
    """The function and the lines: columns role, line, slope, offset, x, y.

    Args:
        x: Where [n].
        f: The function there [n].
        at: The point, a and f(a).
        slope: Of the tangent.
        others: Competitors as (slope, offset): how steep, and how far above the point.
    """
    a, value = at
    curve = pd.DataFrame({"role": FUNCTION, "line": FUNCTION, "slope": np.nan, "offset": np.nan, "x": x, "y": f})
    lines = [
        pd.DataFrame(
            {
                "role": role,
                "line": _named(steep, offset),
                "slope": steep,
                "offset": offset,
                "x": x,
                "y": value + offset + steep * (x - a),
            }
        )
        for role, steep, offset in _lines(slope, others)
    ]
    return pd.concat([curve, *lines], ignore_index=True)


def ratio_rows(
    h: Floats, ahead: Floats, behind: Floats, *, value: float, slope: float, others: Sequence[tuple[float, float]]
) -> pd.DataFrame:
    r"""What each line leaves, against the distance: columns role, line, slope, offset, h, ratio.

    .. math:: \max_{\pm} \frac{|f(a \pm h) - L(a \pm h)|}{h}

    Differences below the rounding of f are left out.

    Args:
        h: Distances, above 0 [n].
        ahead: f(a + h) [n].
        behind: f(a - h) [n].
        value: f(a).
        slope: Of the tangent.
        others: Competitors as (slope, offset).
    """
    rounding = 10 * np.finfo(np.float64).eps * np.maximum(np.maximum(abs(ahead), abs(behind)), abs(value))
    blocks = []
    for role, steep, offset in _lines(slope, others):
        left = np.maximum(abs(ahead - value - offset - steep * h), abs(behind - value - offset + steep * h))
        seen = left > rounding
        block = {"role": role, "line": _named(steep, offset), "slope": steep, "offset": offset}
        blocks.append(pd.DataFrame({**block, "h": h[seen], "ratio": (left / h)[seen]}))
    return pd.concat(blocks, ignore_index=True)


def limit_rows(function: str, slopes: Floats, *, sides: tuple[float, float]) -> pd.DataFrame:
    """The limit of that ratio for lines through the point, by their slope: columns function, slope, limit.

    With slopes l to the left and r to the right of the point it is the larger of |c - l| and |c - r|: zero for one c
    where the two agree, and above zero for every c where they do not.

    Args:
        function: Its name.
        slopes: Slopes c of the lines [n].
        sides: Its slope to the left and to the right of the point.
    """
    left, right = sides
    limit = np.maximum(abs(slopes - left), abs(slopes - right))
    return pd.DataFrame({"function": function, "slope": slopes, "limit": limit})


def linear_approximation_figure(
    lines: pd.DataFrame, ratios: pd.DataFrame, limits: pd.DataFrame, *, formula: str, at: float, exponent: float
) -> Figure:
    """The figure ``best-linear-approximation``.

    Args:
        lines: From :func:`line_rows`.
        ratios: From :func:`ratio_rows`.
        limits: From :func:`limit_rows`: of the function, then of a counterexample.
        formula: The function, as it is written.
        at: The point a.
        exponent: Of the tangent's remainder, as a power of h.
    """
    tangent = ratios[ratios["role"] == TANGENT]
    through = ratios[ratios["role"] == THROUGH]
    other = _least(through[through["slope"] == through["slope"].max()], "h")
    best = _least(limits[limits["function"] == limits["function"].iloc[-1]], "limit")
    return Figure(
        anchor="best-linear-approximation",
        question=f"Which line is the best approximation of {formula} near {at:g}?",
        answer=signs(
            f"The tangent, of slope {number(_tangent_slope(lines))} by autograd, and no other: what it leaves, over "
            f"the distance, {_falls(tangent, float(other['h']))}, while the line of slope {number(other['slope'])} "
            f"still leaves {number(other['ratio'])}. {_remainder(exponent)} "
            f"For {best['function']} no slope c leaves less than {number(best['limit'])}."
        ),
        key=(
            f"Lines: f, its tangent, and lines that compete. What each line leaves: |f(a ± h) {MINUS} L(a ± h)| / |h|, "
            "the larger of both sides. A tangent's falls to 0, that of another slope c through the point stays at "
            f"|c {MINUS} f'(a)|, that of a line beside the point grows. What every slope leaves: where that ratio "
            "ends, for every slope c; a function is differentiable where its curve touches 0."
        ),
        panels={
            "lines": line_chart(lines, at=at, formula=formula),
            "what is left": ratio_chart(ratios),
            "every slope": limit_chart(limits),
        },
        together=True,
    )


def _tangent_slope(lines: pd.DataFrame) -> float:
    return float(lines.loc[lines["role"] == TANGENT, "slope"].iloc[0])


def _falls(tangent: pd.DataFrame, smallest: float) -> str:
    """To what the tangent's share falls at the smallest distance; what lies below rounding is not among the rows."""
    near = tangent[tangent["h"] == smallest]
    if len(near):
        return f"falls to {number(near['ratio'].iloc[0])} at |h| = {number(smallest)}"
    return f"falls below rounding before |h| = {number(smallest)}"


def _remainder(exponent: float) -> str:
    """How the tangent's remainder falls: the slope that was measured on log axes, and the power that it is near."""
    if not math.isfinite(exponent):
        return "The remainder itself is below rounding."
    if exponent < 1.9:
        return "No one power describes the remainder over these distances."
    power = round(exponent)
    near = f", that is as h^{power}" if abs(exponent - power) < 0.05 and 1 < power < 10 else ""
    return f"The remainder itself falls with slope {exponent:.2f} on log axes{near}."


def line_chart(rows: pd.DataFrame, *, at: float, formula: str) -> Chart:
    """Draw the function and the lines around the point."""
    curve = rows[rows["role"] == FUNCTION]
    low, high = float(curve["y"].min()), float(curve["y"].max())
    room = 0.25 * (high - low)
    x = alt.X("x:Q", scale=alt.Scale(nice=False), axis=alt.Axis(title="x", tickCount=5))
    y = alt.Y(
        "y:Q", scale=alt.Scale(domain=[low - room, high - room], nice=False), axis=alt.Axis(title=None, tickCount=5)
    )
    layers = []
    for role, width, dash in (
        (BESIDE, 1.2, [1, 0]),
        (THROUGH, 1.2, [1, 0]),
        (FUNCTION, 2.6, [1, 0]),
        (TANGENT, 2.2, [6, 4]),
    ):
        own = rows[rows["role"] == role]
        layers.append(
            alt.Chart(inline(own[["role", "line", "x", "y"]]))
            .mark_line(strokeWidth=width, strokeDash=dash, clip=True)
            .encode(x=x, y=y, detail="line:N", color=_by_role(_ROLES))
        )
    value = float(np.interp(at, curve["x"], curve["y"]))
    point = alt.Chart(alt.InlineData(values=[{"x": at, "y": value}]))
    layers.append(point.mark_point(filled=True, size=60, color=INK, opacity=1).encode(x=x, y=y))
    return alt.layer(*layers).properties(
        width="container", height=250, title=heading(f"f(x) = {formula} and lines near a = {at:g}")
    )


def ratio_chart(rows: pd.DataFrame) -> Chart:
    """Draw the ratios on log axes, each line named at its left end."""
    h = (float(rows["h"].min()), float(rows["h"].max()))
    low, high = float(rows["ratio"].min()), float(rows["ratio"].max())
    x = alt.X("h:Q", scale=log_scale(*h), axis=log_axis("distance |h|", *h))
    y = alt.Y("ratio:Q", scale=log_scale(low, high), axis=log_axis("what the line leaves, over |h|", low, high))
    tips = [alt.Tooltip("line:N"), alt.Tooltip("h:Q", format=".3~g"), alt.Tooltip("ratio:Q", format=".4~g")]
    chart = alt.Chart(inline(rows[["role", "line", "h", "ratio"]]))
    shades = _by_role(_ROLES[1:])
    return alt.layer(
        chart.mark_line(strokeWidth=2, clip=True).encode(x=x, y=y, detail="line:N", color=shades),
        chart.mark_point(filled=True, size=30, opacity=0).encode(x=x, y=y, tooltip=tips),
    ).properties(width="container", height=250, title=heading("What each line leaves"))


def limit_chart(rows: pd.DataFrame) -> Chart:
    """Draw the limits against the slope; each function's best slope is ringed."""
    functions = list(dict.fromkeys(rows["function"]))
    best = pd.DataFrame([_least(rows[rows["function"] == name], "limit") for name in functions])
    x = alt.X("slope:Q", scale=alt.Scale(nice=False), axis=alt.Axis(title="slope c of the line", tickCount=5))
    y = alt.Y("limit:Q", axis=alt.Axis(title="ratio as |h| → 0", tickCount=5))
    # f as in the other panels; the counterexample is no line of theirs
    shades = shade("function", functions, colours=dict(zip(functions, (INK, PALETTE[3]), strict=True)))
    chart = alt.Chart(inline(rows))
    tips = [alt.Tooltip("function:N"), alt.Tooltip("slope:Q", format=".3~g"), alt.Tooltip("limit:Q", format=".4~g")]
    zero = alt.Chart(alt.InlineData(values=[{"limit": 0}]))
    return alt.layer(
        zero.mark_rule(color=RULE, strokeWidth=1).encode(y=y),
        chart.mark_line(strokeWidth=2.2).encode(x=x, y=y, color=shades),
        chart.mark_point(filled=True, size=30, opacity=0).encode(x=x, y=y, tooltip=tips),
        alt.Chart(inline(best))
        .mark_point(size=90, strokeWidth=2, filled=False, opacity=1)
        .encode(x=x, y=y, color=shades),
    ).properties(width="container", height=250, title=heading("What every slope leaves in the end"))


def _least(rows: pd.DataFrame, column: str) -> pd.Series[Any]:
    """The row where a column is least."""
    return rows.iloc[int(rows[column].to_numpy().argmin())]


def _lines(slope: float, others: Sequence[tuple[float, float]]) -> list[tuple[str, float, float]]:
    beside = [(BESIDE if offset else THROUGH, steep, offset) for steep, offset in others]
    return [(TANGENT, slope, 0.0), *beside]


def _named(slope: float, offset: float) -> str:
    beside = f", {offset:g} above the point" if offset else ""
    return f"slope {slope:.4g}{beside}".replace("-", MINUS)


def _by_role(roles: Sequence[str]) -> alt.Color:
    scale = alt.Scale(domain=list(roles), range=[_SHADES[role] for role in roles])
    entries = legend(roles, "stroke")
    entries["labelLimit"] = 240
    return alt.Color("role:N", scale=scale, legend=entries)
