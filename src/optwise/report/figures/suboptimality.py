"""How solvers come down: suboptimality and certificate against iterations, work and seconds, on log axes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import pandas as pd

from optwise.core.race import suboptimality
from optwise.core.run import Run
from optwise.core.status import Status
from optwise.report.drawing import CROSS, RULE, Chart, dimmed, held, inline, method_colour
from optwise.report.lessons.channels import DECADES, decades, log_scale

AXES = ("iterations", "gradient equivalents", "seconds")
FLOOR = 1e-16
"""What lies below is drawn here: rounding, and the best value itself."""
MOST = 400
"""Points drawn of a line."""
_WELL = (Status.OPTIMAL, Status.STATIONARY)


def course_rows(runs: Sequence[Run], best: Mapping[str, Any]) -> pd.DataFrame:
    """One row a stored iteration of the first run of each method.

    Columns: method, iterations, gradient equivalents, seconds, suboptimality (NaN where the best value is not known),
    certificate (NaN where nobody looked), last (the status, at the end of a run that proved nothing; else empty).

    Args:
        runs: Of one problem.
        best: The best value and the scale, as in the results document.
    """
    blocks = []
    for method in dict.fromkeys(_method(run) for run in runs):
        run = min((r for r in runs if _method(r) == method), key=lambda r: r.name.index if r.name else 0)
        table = pd.DataFrame({name: dict(run.curve(name)) for name in ("objective", "certificate", *AXES[1:])})
        table = table.rename_axis("iterations").reset_index().sort_values("iterations")
        table["suboptimality"] = [suboptimality(v, best["value"], best["scale"]) for v in table["objective"]]
        table["method"], table["last"] = method, ""
        if run.status not in _WELL:
            table.loc[table.index[-1], "last"] = run.status.value
        blocks.append(table)
    columns = ["method", *AXES, "suboptimality", "certificate", "last"]
    return pd.concat(blocks, ignore_index=True)[columns] if blocks else pd.DataFrame(columns=columns)


def course_chart(rows: pd.DataFrame, measure: str, *, methods: Sequence[str], tol: float) -> Chart | None:
    """Draw one measure of all methods; ``None`` where nothing finite is known.

    Args:
        rows: What :func:`course_rows` gave.
        measure: ``suboptimality`` or ``certificate``.
        methods: All methods of the comparison, for their colours.
        tol: What was asked for, drawn as a line.
    """
    known = rows[rows[measure].map(math.isfinite)].copy()
    if known.empty:
        return None
    known["value"] = known[measure].clip(lower=FLOOR)
    known["iterations"] = known["iterations"].clip(lower=0.5)  # the start, on a log axis
    known["gradient equivalents"] = known["gradient equivalents"].clip(lower=0.5)
    known["seconds"] = known["seconds"].clip(lower=max(float(known["seconds"][known["seconds"] > 0].min()) / 2, 1e-7))
    drawn = pd.concat([_thinned(block) for _, block in known.groupby("method", sort=False)])
    present = [method for method in methods if method in set(drawn["method"])]
    low = max(FLOOR, 10.0 ** math.floor(math.log10(min(float(drawn["value"].min()), tol))))
    high = 10.0 ** math.ceil(math.log10(max(float(drawn["value"].max()), 10 * low)))
    ticks = decades(low, high)
    y = alt.Y(
        "value:Q",
        scale=log_scale(low, high),
        axis=alt.Axis(title=_TITLES[measure], values=ticks[:: max(1, len(ticks) // 9)], labelExpr=DECADES),
    )
    x = alt.X("x:Q", scale=alt.Scale(type="log", nice=False), axis=alt.Axis(title=None, labelExpr=DECADES, tickCount=6))
    pick = alt.param(name="axis", value=AXES[0], bind=alt.binding_select(options=list(AXES), name="horizontal axis "))
    shades = method_colour(present, methods)
    base = alt.Chart(inline(drawn, measure)).transform_calculate(x="datum[axis]")
    faded = dimmed(1.0)
    tips = [
        alt.Tooltip("method:N"),
        alt.Tooltip("value:Q", title=measure, format=".2e"),
        alt.Tooltip("iterations:Q", title="iteration", format="~g"),
        alt.Tooltip("gradient equivalents:Q", format=".4~g"),
        alt.Tooltip("seconds:Q", format=".3~g"),
    ]
    layers = [
        base.mark_line(strokeWidth=2.2, clip=True).encode(x=x, y=y, color=shades, opacity=faded),
        alt.Chart(alt.InlineData(values=[{"tol": tol, "text": f"asked {tol:g}"}]))
        .mark_rule(color=RULE, strokeDash=[3, 3], strokeWidth=1.2)
        .encode(y=alt.Y("tol:Q", scale=log_scale(low, high))),
        base.mark_point(filled=True, size=70, opacity=0).encode(x=x, y=y, tooltip=tips),
    ]
    if (drawn["last"] != "").any():
        layers.append(
            base.transform_filter("datum.last != ''")
            .mark_point(shape=CROSS, size=60, strokeWidth=1.8, filled=False)
            .encode(x=x, y=y, color=shades, opacity=faded, tooltip=[*tips, alt.Tooltip("last:N", title="ended")])
        )
    titles = "{" + ", ".join(f"'{axis}': '{axis}'" for axis in AXES) + "}[axis]"
    return (
        alt.layer(*layers)
        .add_params(pick, held())
        .properties(
            width="container",
            height=360,
            title=alt.Title(alt.ExprRef(titles), orient="bottom", anchor="middle", offset=8),
        )
    )


_TITLES = {
    "suboptimality": "relative suboptimality |F \N{MINUS SIGN} F*| / max(|F*|, scale)",
    "certificate": "certificate",
}


def _thinned(block: pd.DataFrame) -> pd.DataFrame:
    if len(block) <= MOST:
        return block
    kept = sorted({round((len(block) - 1) ** (i / (MOST - 1))) for i in range(MOST)} | {0, len(block) - 1})
    return block.iloc[kept]


def _method(run: Run) -> str:
    return "" if run.name is None else run.name.method
