"""Seconds and bytes against the number of columns, with the size from which a machine refuses."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from optwise.report.drawing import INK, PALETTE, RULE, Chart, Figure, inline
from optwise.report.lessons.channels import heading, log_axis, log_scale, shade, signs
from optwise.report.words import TIMES, duration, number, plural

NORMAL, DESCENT, SMALL = "direct, XᵀX", "gradient descent", "direct, XXᵀ"
HELD: Mapping[str, str] = {
    "peak": "all of the direct solve",
    "gram": "XᵀX",
    "design": "X",
    "vectors": "vectors of a step",
    "small gram": "XXᵀ",
}
COLOURS: Mapping[str, str] = {
    **dict(zip((NORMAL, DESCENT, SMALL), PALETTE, strict=False)),
    # what a route holds has the route's colour; X belongs to all of them
    HELD["peak"]: PALETTE[0],
    HELD["gram"]: PALETTE[5],
    HELD["design"]: PALETTE[10],
    HELD["vectors"]: PALETTE[1],
    HELD["small gram"]: PALETTE[2],
}
QUOTED = 50_000
LARGE = 1000  # columns from which the slope is fitted
GIB = 2.0**30


def scaling_figure(
    rows: pd.DataFrame, memory: pd.DataFrame, machines: pd.DataFrame, *, n: int, steps: int, l2: float
) -> Figure:
    """The figure ``scaling-direct-vs-gd``.

    Args:
        rows: Columns route, p, seconds, measured, gap.
        memory: Columns what, p, bytes.
        machines: Columns machine, limit, p, bytes, seconds: where the direct solve is refused; this machine first.
        n: Rows of X.
        steps: Of gradient descent.
        l2: Weight of the ridge.
    """
    measured = rows[rows["measured"].astype(bool)]
    direct, descent, small = (measured[measured["route"] == route] for route in (NORMAL, DESCENT, SMALL))
    gram, design = (_held(memory, what, QUOTED) for what in ("gram", "design"))
    here, lecture = (row for _, row in machines.iterrows())
    at_most = int(measured["p"].max())
    answer = (
        f"Seconds of the direct solve grow with exponent {slope(direct):.1f} in p from p = {LARGE:,} to "
        f"{direct['p'].max():,.0f}, where operations grow with 2 to 3; those of {plural(steps, 'gradient step')} with "
        f"{slope(descent):.1f}. {_crossing(direct, descent)} "
        f"{_refusal(here)} At p = {QUOTED:,} XᵀX takes {gram / 1e9:.1f} GB ({gram / GIB:.1f} GiB) and X "
        f"{design / 1e6:.0f} MB, at 8 bytes an entry; torch's default float32 takes half. With fewer rows than columns "
        f"the direct route to take is through XXᵀ, {n} {TIMES} {n}: "
        f"{duration(_seconds(small, at_most))} at p = {at_most:,}."
    )
    return Figure(
        anchor="scaling-direct-vs-gd",
        question="When is it too late to solve least squares directly?",
        answer=signs(answer),
        key=signs(
            f"Ridge regression of weight {l2:g}, {n} rows, p columns, float64, on one thread of this machine; filled: "
            "medians of repeats, dashed: predicted from operations. Rings: the first p that is refused before it "
            f"starts, where the direct solve holds more than the memory of this machine ({_gb(here['limit'])}) or of "
            f"one like the lecture's ({_gb(lecture['limit'])}); horizontal lines: these memories. Memory has the "
            f"colours of the routes that need it. Gradient descent starts at 0 and takes {plural(steps, 'step')} of "
            f"1.8/L; it leaves {number(descent['gap'].max())} of the loss at most. What a step "
            "itself holds is O(p), but X is O(n p)."
        ),
        panels={"seconds": seconds_chart(rows, machines), "memory": bytes_chart(memory, machines)},
        together=True,
    )


def slope(rows: pd.DataFrame) -> float:
    """The exponent of p in the seconds of large sizes, by least squares on logarithms."""
    own = rows[rows["p"] >= LARGE]
    return float(np.polyfit(np.log(own["p"].to_numpy(float)), np.log(own["seconds"].to_numpy(float)), 1)[0])


def crossing(direct: pd.DataFrame, descent: pd.DataFrame) -> float | None:
    """The p at which both take the same seconds, between two sizes that were measured; ``None`` where they never do.

    Where noise makes them cross several times it is the last crossing.
    """
    pair = direct.merge(descent, on="p", suffixes=("", "_other")).sort_values("p")
    p = np.log(pair["p"].to_numpy(float))
    ahead = np.log(pair["seconds"].to_numpy(float) / pair["seconds_other"].to_numpy(float))
    for i in reversed(range(len(p) - 1)):
        if ahead[i] <= 0 < ahead[i + 1]:
            return float(np.exp(p[i] - ahead[i] * (p[i + 1] - p[i]) / (ahead[i + 1] - ahead[i])))
    return None


def seconds_chart(rows: pd.DataFrame, machines: pd.DataFrame) -> Chart:
    """Draw the seconds of each route, and where the direct one is refused."""
    end = float(rows["p"].max())
    direct_end = min(end, float(machines["p"].max()))
    own = rows[(rows["route"] != NORMAL) | (rows["p"] <= direct_end)]
    solid = own["measured"].astype(bool)
    last = own[solid & (own["route"] == NORMAL)].nlargest(1, "p")
    refused = machines[machines["p"] <= end]
    ahead = pd.concat([last, own[~solid], refused.assign(route=NORMAL)]).sort_values("p")
    low, high = float(own["seconds"].min()) / 1.5, 1.5 * float(max(ahead["seconds"].max(), own["seconds"].max()))
    x, y = _columns(rows), alt.Y("seconds:Q", scale=log_scale(low, high), axis=log_axis("seconds", low, high))
    shades = shade("route", [NORMAL, DESCENT, SMALL], colours=COLOURS)
    tips = [alt.Tooltip("route:N"), alt.Tooltip("p:Q", format=","), alt.Tooltip("seconds:Q", format=".3~g")]
    chart = {
        name: alt.Chart(inline(frame[["route", "p", "seconds"]])).encode(x=x, y=y, color=shades, tooltip=tips)
        for name, frame in (("measured", own[solid]), ("ahead", ahead), ("refused", refused.assign(route=NORMAL)))
    }
    return alt.layer(
        chart["measured"].mark_line(strokeWidth=2.2),
        chart["measured"].mark_point(filled=True, size=36, opacity=1),
        chart["ahead"].mark_line(strokeWidth=1.6, strokeDash=[5, 4], clip=True),
        chart["refused"].mark_point(filled=False, fill="white", size=90, strokeWidth=2, opacity=1),
        _named_marks(refused, "seconds", x, y),
    ).properties(width="container", height=300, title=heading("Seconds, on a log axis"))


def bytes_chart(memory: pd.DataFrame, machines: pd.DataFrame) -> Chart:
    """Draw what is held, the memories of the machines, and where the direct solve is refused."""
    end = float(memory["p"].max())
    low, high = min(1e3, 0.6 * float(memory["bytes"].min())), max(1e12, float(memory["bytes"].max()))
    named = memory.assign(held=memory["what"].map(HELD))
    axis = alt.Axis(
        title="bytes",
        values=[1e3, 1e6, 1e9, 1e12],
        labelExpr="{3: '1 kB', 6: '1 MB', 9: '1 GB', 12: '1 TB'}[round(log(datum.value) / LN10)]",
    )
    x, y = _columns(memory), alt.Y("bytes:Q", scale=log_scale(low, high), axis=axis)
    shades = shade("held", list(HELD.values()), colours=COLOURS)
    tips = [alt.Tooltip("held:N"), alt.Tooltip("p:Q", format=","), alt.Tooltip("bytes:Q", format=".4~s")]
    chart = alt.Chart(inline(named[["held", "p", "bytes"]])).encode(x=x, y=y, color=shades)
    shown = machines[machines["limit"] <= high]
    limits = shown.assign(bytes=shown["limit"], text=shown["limit"].map(_gb), p=float(memory["p"].min()))
    refused = machines[machines["p"] <= end]
    return alt.layer(
        alt.Chart(inline(limits[["bytes"]])).mark_rule(color=RULE, strokeWidth=1, strokeDash=[2, 3]).encode(y=y),
        alt.Chart(inline(limits[["p", "bytes", "text"]]))
        .mark_text(align="left", dx=5, dy=-6, fontSize=11, color=INK)
        .encode(x=x, y=y, text="text:N"),
        chart.mark_line(strokeWidth=2.2),
        chart.mark_point(filled=True, size=40, opacity=0).encode(tooltip=tips),
        alt.Chart(inline(refused[["p", "bytes"]]))
        .mark_point(filled=False, fill="white", size=90, strokeWidth=2, opacity=1, color=INK)
        .encode(x=x, y=y),
    ).properties(width="container", height=300, title=heading("Memory, in float64"))


def _columns(rows: pd.DataFrame) -> alt.X:
    ends = float(rows["p"].min()), float(rows["p"].max())
    return alt.X("p:Q", scale=log_scale(*ends), axis=log_axis("columns p", *ends))


def _named_marks(refused: pd.DataFrame, field: str, x: alt.X, y: alt.Y) -> alt.Chart:
    text = refused.assign(text=refused["machine"] + " refuses")
    chart = alt.Chart(inline(text[["text", "p", field]]))
    marks: alt.Chart = chart.mark_text(align="right", dx=-9, dy=-3, fontSize=11, color=INK)
    return marks.encode(x=x, y=y, text="text:N")


def _crossing(direct: pd.DataFrame, descent: pd.DataFrame) -> str:
    p = crossing(direct, descent)
    ends = f"{direct['p'].min():,.0f} and {direct['p'].max():,.0f}"
    return f"They cross near p = {number(p, digits=2)}." if p else f"They do not cross between p = {ends}."


def _refusal(machine: pd.Series[Any]) -> str:
    if machine["limit"] >= sys.maxsize:
        return "This machine does not tell its memory, so that none is refused."
    return (
        f"This machine, with {_gb(machine['limit'])}, refuses from p = {machine['p']:,.0f} on, before it starts; there "
        f"it would take {duration(machine['seconds'])}."
    )


def _gb(limit: float) -> str:
    return f"{limit / 1e9:.1f} GB".replace(".0 ", " ")


def _held(memory: pd.DataFrame, what: str, p: int) -> float:
    return float(memory.loc[(memory["what"] == what) & (memory["p"] == p), "bytes"].iloc[0])


def _seconds(rows: pd.DataFrame, p: int) -> float:
    return float(rows.loc[rows["p"] == p, "seconds"].iloc[0])
