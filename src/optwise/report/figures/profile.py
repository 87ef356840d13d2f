"""Performance profile: on which share of the problems is a method within a factor of the fastest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import pandas as pd

from optwise.report.drawing import Chart, dimmed, held, inline, method_colour


def profile_rows(profile: Mapping[str, Any], methods: Sequence[str]) -> pd.DataFrame:
    """One row a factor and method: method, tau, rho."""
    rows = [
        (method, tau, rho)
        for method in methods
        if method in profile["rho"]
        for tau, rho in zip(profile["tau"], profile["rho"][method], strict=True)
    ]
    return pd.DataFrame(rows, columns=["method", "tau", "rho"])


def profile_chart(rows: pd.DataFrame, *, methods: Sequence[str]) -> Chart | None:
    """Draw the profile as steps; ``None`` without rows."""
    if rows.empty:
        return None
    present = [method for method in methods if method in set(rows["method"])]
    x = alt.X(
        "tau:Q",
        scale=alt.Scale(zero=False, nice=False),
        axis=alt.Axis(title="factor of the fastest method's time", format="~g"),
    )
    y = alt.Y(
        "rho:Q", scale=alt.Scale(domain=[0, 1]), axis=alt.Axis(title="share of problems", format="%", tickCount=5)
    )
    tips = [
        alt.Tooltip("method:N"),
        alt.Tooltip("tau:Q", title="factor", format=".4~g"),
        alt.Tooltip("rho:Q", title="share", format=".1%"),
    ]
    chart = alt.Chart(inline(rows, "profile"))
    shades = method_colour(present, methods)
    return (
        alt.layer(
            chart.mark_line(interpolate="step-after", strokeWidth=2.2).encode(
                x=x, y=y, color=shades, opacity=dimmed(1.0)
            ),
            chart.mark_point(filled=True, size=26).encode(x=x, y=y, color=shades, opacity=dimmed(1.0), tooltip=tips),
        )
        .add_params(held())
        .properties(width="container", height=280)
    )
