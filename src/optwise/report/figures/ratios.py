"""How far apart each two methods are, as ratios or differences with intervals; every row reads the same way."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import pandas as pd

from optwise.core.metric import Direction
from optwise.report.drawing import INK, RULE, Chart, inline
from optwise.report.sizes import by_order, in_ratios, sign_of, turned
from optwise.report.words import brief

WORDS = {
    "faster": "#0072B2",
    "better": "#0072B2",
    "equivalent within margin": "#009E73",
    "not separated": "#6f7882",
    "not comparable": "#D55E00",
}
_SIDE_BY_SIDE = 24
"""Letters of the legend that find room in one row of a narrow chart."""
_NARROW = 520
"""Width of a chart below which sizes have no room beside the lines; a pointer and the table have them."""
_LETTER = 7.5
"""Width of a letter of theirs at most."""
COLUMNS = ["pair", "first", "second", "words", "size", "low", "high", "text", "leads"]


def ratio_rows(
    verdicts: Sequence[Mapping[str, Any]], *, order: Sequence[str], leader: str | None, direction: Direction
) -> pd.DataFrame:
    """One row a pair, the method first that comes first on the page: the leader's pairs lead, each group by size.

    Columns: pair (what the row is called), first, second, words, size (first over second; where there is no ratio,
    first minus second in the metric's own unit), low, high, text (the size in words), leads (whether it is the
    leader's); NaN where the data leave an end open or nothing is known.

    Args:
        verdicts: As in the results document.
        order: Methods, best first: the first of a pair is the one that stands first here.
        leader: Whose pairs come first; ``None`` where nothing is separated.
        direction: Of the metric: differences in which the first is furthest ahead come first.
    """
    places, ratios = by_order(order, leader), in_ratios(verdicts)
    better = direction.sign if not ratios else 1.0
    rows = []
    for v in verdicts:
        size = turned(v, places)
        rows.append(
            {
                "first": size.first,
                "second": size.second,
                "words": v["words"],
                "size": size.value,
                "low": size.low,
                "high": size.high,
                "text": size.words,
                "leads": leader in (size.first, size.second),
            }
        )
    rows.sort(key=lambda row: (not row["leads"], math.isnan(row["size"]), better * row["size"]))
    short = brief(order)
    labels = [f"{short[row['first']]} {sign_of(ratio=ratios)} {short[row['second']]}" for row in rows]
    if len(set(labels)) < len(labels):
        labels = [f"{i}. {label}" for i, label in enumerate(labels, 1)]
    frame = pd.DataFrame([{"pair": label, **row} for label, row in zip(labels, rows, strict=True)], columns=COLUMNS)
    return frame.astype(dict.fromkeys(("size", "low", "high"), "float64"))


def size_domain(rows: pd.DataFrame, margin: float) -> tuple[float, float]:
    """Range of ratios that holds every known end and the margin, with room for the arrows of open ends."""
    known = [float(v) for name in ("size", "low", "high") for v in rows[name].dropna()]
    low, high = min([*known, 1 / (1 + margin)]), max([*known, 1 + margin])
    room = max((high / low) ** 0.08, 1.05)
    return low / room, high * room


def ratio_chart(
    rows: pd.DataFrame, *, margin: float, what: str, ahead: str, ratios: bool, left: bool = True
) -> Chart | None:
    """Draw the intervals, and a line of words where nothing is known; ``None`` where no pair has a size.

    Args:
        rows: From :func:`ratio_rows`.
        margin: Of equivalence, as a share.
        what: What is compared: example-gradients, a metric.
        ahead: What being ahead is called: faster, better.
        ratios: Whether sizes are ratios; otherwise differences.
        left: Whether the first method is ahead at the left.
    """
    known = rows.dropna(subset=["size"])
    if known.empty:
        return None
    low, high = size_domain(known, margin) if ratios else _difference_domain(known)
    place = alt.Scale(type="log" if ratios else "linear", domain=[low, high], nice=False)
    even = 1.0 if ratios else 0.0
    lower, upper = ("first", "second") if left else ("second", "first")
    sides = f"\N{LEFTWARDS ARROW} {lower} {ahead}  \N{MIDDLE DOT}  {upper} {ahead} \N{RIGHTWARDS ARROW}"
    title = [sides, f"{'ratio of' if ratios else 'difference in'} {what}"]  # two lines, for a narrow screen
    axis = alt.Axis(title=title, format="~g", tickCount=6)
    order = rows["pair"].tolist()
    names = alt.Axis(title=None, ticks=False, domain=False, labelPadding=8, labelLimit=165, labelOverlap=False)
    # the sizes stand at the right as labels of the same rows: text of ours, by place, so no name enters an expression
    texts = f"{json.dumps(rows['text'].tolist(), ensure_ascii=False)}[round(datum.index * {max(len(rows) - 1, 1)})]"
    shown = f"width > 0 && containerSize()[0] < {_NARROW} ? '' : {texts}"  # a chart of fixed width has no container
    room = _LETTER * max(map(len, rows["text"]))
    sizes = alt.Axis(
        **{**names.to_dict(), "labelExpr": shown, "orient": "right", "labelPadding": 6, "labelLimit": room}
    )
    y = alt.Y("pair:N", sort=order, axis=None)
    words = [word for word in WORDS if word in set(rows["words"])]
    scale = alt.Scale(domain=words, range=[WORDS[word] for word in words])
    columns = 2 if sum(map(len, words)) <= _SIDE_BY_SIDE else 1
    colour = alt.Color("words:N", scale=scale, legend=alt.Legend(symbolType="circle", symbolOpacity=1, columns=columns))
    heads = {"first": "first", "second": "second", "words": "verdict"}
    tips = [
        *(alt.Tooltip(f"{name}:N", title=head) for name, head in heads.items()),
        alt.Tooltip("text:N", title="ratio" if ratios else "difference"),
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
