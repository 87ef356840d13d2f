"""Ratios: how far apart each two methods are, with its interval; every row reads the same way, left is ahead."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import pandas as pd

from optwise.core.metric import Direction
from optwise.report.drawing import INK, RULE, Chart, inline
from optwise.report.words import brief, size_words

WORDS = {
    "faster": "#0072B2",
    "better": "#0072B2",
    "equivalent within margin": "#009E73",
    "not separated": "#6f7882",
    "not comparable": "#D55E00",
}
_SIDE_BY_SIDE = 24
"""Letters of the legend that find room in one row of a narrow chart."""
COLUMNS = ["pair", "first", "second", "words", "size", "low", "high", "text", "leads"]


def ratio_rows(
    verdicts: Sequence[Mapping[str, Any]], *, order: Sequence[str], leader: str | None, direction: Direction
) -> pd.DataFrame:
    """One row a pair, turned so that what lies left is ahead: the leader's pairs first, each group by size.

    Columns: pair (what the row is called), first, second, words, size (first over second; where there is no ratio, the
    difference, negative where the first is ahead), low, high, text (the size in words), leads (whether it is the
    leader's); NaN where the data leave an end open or nothing is known.

    Args:
        verdicts: As in the results document.
        order: Methods, best first: the first of a pair is the one that stands first here.
        leader: Whose pairs come first; ``None`` where nothing is separated.
        direction: Of the metric, for differences.
    """
    place = {name: i for i, name in enumerate(order)}

    def key(name: str) -> tuple[bool, int]:
        return name != leader, place.get(name, len(place))

    rows = []
    for v in verdicts:
        first, second = sorted((v["a"], v["b"]), key=key)
        size, low, high = turned(v, first, direction)
        rows.append(
            {
                "first": first,
                "second": second,
                "words": v["words"],
                "size": size,
                "low": low,
                "high": high,
                "text": size_words(size, low, high),
                "leads": leader in (first, second),
            }
        )
    rows.sort(key=lambda row: (not row["leads"], math.isnan(row["size"]), row["size"]))
    short = brief(order)
    labels = [f"{short[row['first']]} / {short[row['second']]}" for row in rows]
    if len(set(labels)) < len(labels):
        labels = [f"{i}. {label}" for i, label in enumerate(labels, 1)]
    frame = pd.DataFrame([{"pair": label, **row} for label, row in zip(labels, rows, strict=True)], columns=COLUMNS)
    return frame.astype(dict.fromkeys(("size", "low", "high"), "float64"))


def turned(v: Mapping[str, Any], first: str, direction: Direction) -> tuple[float, float, float]:
    """Size and ends of a verdict with ``first`` as its first method, NaN where open.

    Of a ratio, or else of a difference, which is negative where the first method is ahead.
    """
    if v.get("ratio") is not None:
        size, low, high = (_positive(v.get(key)) for key in ("ratio", "ratio_low", "ratio_high"))
        if math.isnan(low) and math.isnan(high):  # the interval is the whole axis: nothing is known of the size
            return math.nan, math.nan, math.nan
        return (size, low, high) if v["a"] == first else (1 / size, 1 / high, 1 / low)
    size, low, high = (_finite(v.get(key)) for key in ("difference", "ratio_low", "ratio_high"))
    return (size, low, high) if (v["a"] == first) == (direction is Direction.MIN) else (-size, -high, -low)


def size_domain(rows: pd.DataFrame, margin: float) -> tuple[float, float]:
    """Range of ratios that holds every known end and the margin, with room for the arrows of open ends."""
    known = [float(v) for name in ("size", "low", "high") for v in rows[name].dropna()]
    low, high = min([*known, 1 / (1 + margin)]), max([*known, 1 + margin])
    room = max((high / low) ** 0.08, 1.05)
    return low / room, high * room


def ratio_chart(rows: pd.DataFrame, *, margin: float, what: str, ahead: str, ratios: bool) -> Chart | None:
    """Draw the intervals, and a line of words where nothing is known; ``None`` where no pair has a size.

    Args:
        rows: From :func:`ratio_rows`.
        margin: Of equivalence, as a share.
        what: What is compared: example-gradients, a metric.
        ahead: What being ahead is called: faster, better.
        ratios: Whether sizes are ratios; otherwise differences.
    """
    known = rows.dropna(subset=["size"])
    if known.empty:
        return None
    low, high = size_domain(known, margin) if ratios else _difference_domain(known)
    place = alt.Scale(type="log" if ratios else "linear", domain=[low, high], nice=False)
    even = 1.0 if ratios else 0.0
    title = f"\N{LEFTWARDS ARROW} first {ahead}  \N{MIDDLE DOT}  {'ratio of' if ratios else 'difference in'} {what}"
    axis = alt.Axis(title=f"{title}  \N{MIDDLE DOT}  second {ahead} \N{RIGHTWARDS ARROW}", format="~g", tickCount=6)
    order = rows["pair"].tolist()
    names = alt.Axis(title=None, ticks=False, domain=False, labelPadding=8, labelLimit=165, labelOverlap=False)
    # the sizes stand at the right as labels of the same rows: text of ours, by place, so no name enters an expression
    texts = f"{json.dumps(rows['text'].tolist(), ensure_ascii=False)}[round(datum.index * {max(len(rows) - 1, 1)})]"
    sizes = alt.Axis(**{**names.to_dict(), "labelExpr": texts, "orient": "right", "labelPadding": 6})
    y = alt.Y("pair:N", sort=order, axis=None)
    words = [word for word in WORDS if word in set(rows["words"])]
    scale = alt.Scale(domain=words, range=[WORDS[word] for word in words])
    columns = 2 if sum(map(len, words)) <= _SIDE_BY_SIDE else 1
    colour = alt.Color("words:N", scale=scale, legend=alt.Legend(symbolType="circle", symbolOpacity=1, columns=columns))
    heads = {"first": "first", "second": "second", "words": "verdict"}
    tips = [
        *(alt.Tooltip(f"{name}:N", title=head) for name, head in heads.items()),
        *(alt.Tooltip(f"{name}:Q", format=".4~g") for name in ("size", "low", "high")),
    ]
    drawn = rows.assign(
        start=rows["low"].where(rows["low"].notna() | rows["size"].isna(), low),
        end=rows["high"].where(rows["high"].notna() | rows["size"].isna(), high),
    )
    base = alt.Chart(inline(drawn, "pairs"))
    chart = base.transform_filter("isValid(datum.size)")

    def x(field: str) -> alt.X:
        return alt.X(f"{field}:Q", scale=place, axis=axis)

    beyond = [
        chart.transform_filter(f"!isValid(datum.{known_end})")
        .mark_point(shape=shape, size=60, filled=True, opacity=1)
        .encode(x=x(end), y=y, color=colour)
        for known_end, end, shape in (("low", "start", "triangle-left"), ("high", "end", "triangle-right"))
    ]
    ends = {"from": 1 / (1 + margin), "to": 1 + margin} if ratios else {"from": even, "to": even}
    band = alt.Chart(alt.InlineData(values=[{**ends, "even": even}]))
    later = rows.loc[~rows["leads"], "pair"].tolist()[:1] if rows["leads"].any() else []
    layers = [
        band.mark_rect(color="#009E73", opacity=0.18).encode(x=x("from"), x2="to:Q"),
        band.mark_rule(color=RULE).encode(x=x("even")),
        *(
            alt.Chart(alt.InlineData(values=[{"pair": pair}]))
            .mark_rule(color=RULE, strokeDash=[1, 3])
            .encode(y=alt.Y("pair:N", sort=order, axis=None, bandPosition=0))
            for pair in later
        ),
        chart.mark_rule(strokeWidth=2).encode(
            x=x("start"), x2="end:Q", y=alt.Y("pair:N", sort=order, axis=names), color=colour
        ),
        *beyond,
        chart.mark_point(filled=True, size=70, stroke=INK, strokeWidth=0.5, opacity=1).encode(
            x=x("size"), y=y, color=colour, tooltip=tips
        ),
        base.mark_point(opacity=0).encode(y=alt.Y("pair:N", sort=order, axis=sizes)),
    ]
    drawing: alt.LayerChart = alt.layer(*layers).resolve_axis(y="independent")
    return drawing.properties(width="container", height=24 * len(rows))


def _difference_domain(rows: pd.DataFrame) -> tuple[float, float]:
    known = [0.0, *(float(v) for name in ("size", "low", "high") for v in rows[name].dropna())]
    room = 0.08 * (max(known) - min(known)) or 0.5
    return min(known) - room, max(known) + room


def _positive(value: float | None) -> float:
    return float(value) if value is not None and math.isfinite(value) and value > 0 else math.nan


def _finite(value: float | None) -> float:
    return float(value) if value is not None and math.isfinite(value) else math.nan
