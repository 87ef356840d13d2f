"""A figure by itself: a page that opens offline, and images that carry the question, the answer and the key."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import vl_convert

from optwise.core.errors import BadFolder
from optwise.report.drawing import INK, RULE, SCHEMA, Figure, Spec, spec_of
from optwise.report.figure_elements import charts_element
from optwise.report.self_contained import html_file
from optwise.report.words import escape

SUFFIXES = ("html", "png", "svg", "csv")
WIDTH = 720  # of a panel that has a row for itself
HALF = 322  # of one of two: what is left when both have an axis
LINE = 124  # characters of a line of the caption
SCALE = 2.0  # pixels of a PNG for each unit of length

_OWN = {"scale": dict.fromkeys(("color", "strokeDash", "shape"), "independent")}  # panels share no legend
_CLIPS = re.compile(r"\bclip\d+\b")
_COLUMNS = re.compile(r"max\(1, floor\(width / ([\d.]+)\)\)")


def write_figure(figure: Figure, data: pd.DataFrame, folder: Path) -> dict[str, Path]:
    """Write a figure as a page, as PNG and SVG, and its rows as CSV.

    Args:
        figure: Its anchor names the files.
        data: Every number that is drawn.
        folder: Where; it exists.

    Returns:
        The files by suffix: html, png, svg, csv.

    Raises:
        BadFolder: A file cannot be written.
    """
    paths = {suffix: folder / f"{figure.anchor}.{suffix}" for suffix in SUFFIXES}
    svg = figure_svg(figure)
    try:
        paths["html"].write_text(figure_page(figure), encoding="utf-8")
        paths["svg"].write_text(svg, encoding="utf-8")
        paths["png"].write_bytes(vl_convert.svg_to_png(svg, scale=SCALE))
        data.to_csv(paths["csv"], index=False, float_format="%.10g", lineterminator="\n")
    except OSError as error:
        raise BadFolder(
            f"{figure.anchor} cannot be written to {folder} ({error.strerror}); choose another folder."
        ) from error
    return paths


def figure_page(figure: Figure) -> str:
    """One figure as an HTML file that makes no request; all its text is escaped."""
    side_by_side = "panels lead" if len(figure.panels) % 2 else "panels pairs"
    return html_file(
        f"optwise: {figure.question}",
        f'<header><p class="eyebrow">optwise figures · {escape(figure.anchor)}</p>\n'
        f"<h1>{escape(figure.question)}</h1>\n"
        f'<p id="{escape(figure.anchor)}-answer">{escape(figure.answer)}</p></header>\n'
        f"<noscript><p>The charts need JavaScript; {escape(figure.anchor)}.svg beside this page needs none."
        "</p></noscript>\n"
        f'<figure id="{figure.anchor}">{charts_element(figure, frame=side_by_side if figure.together else "stack")}'
        f"<figcaption>{escape(figure.key)}</figcaption></figure>\n"
        '<section><h2>Provenance</h2><p class="how">Made by <code>optwise figures '
        f"{escape(figure.anchor)}</code>; the numbers stand in {escape(figure.anchor)}.csv.</p></section>\n",
    )


def figure_svg(figure: Figure) -> str:
    """A figure as one SVG: its panels under the question and the answer, the key below; a diagram as it is."""
    if figure.diagram:
        return figure.diagram
    svg: str = vl_convert.vegalite_to_svg(image_spec(figure), vl_version=SCHEMA)
    # the renderer numbers them through its life: the same figure is to have the same bytes, whatever came before
    found = list(dict.fromkeys(_CLIPS.findall(svg)))
    return _CLIPS.sub(lambda clip: f"{figure.anchor}-clip{found.index(clip[0])}", svg)


def image_spec(figure: Figure) -> Spec:
    """All panels of a figure as one chart of fixed width, in rows of two after a first one where the number is odd."""
    panels = [spec_of(chart) for chart in figure.panels.values()]
    first = len(panels) % 2 if figure.together else len(panels)
    rows = [[panel] for panel in panels[:first]] + [panels[i : i + 2] for i in range(first, len(panels), 2)]
    datasets = {name: values for panel in panels for name, values in panel.pop("datasets", {}).items()}
    stacked: list[Spec] = []
    for row in rows:
        width = WIDTH if len(row) == 1 else HALF
        sized = [_sized(panel, width) for panel in row]
        stacked.append(sized[0] if len(sized) == 1 else {"hconcat": sized, "spacing": 26, "resolve": _OWN})
    return {
        "title": {
            "text": _lines(figure.question, LINE - 40),
            "subtitle": _lines(figure.answer, LINE),
            "anchor": "start",
            "frame": "group",
            "fontSize": 16,
            "fontWeight": 600,
            "lineHeight": 20,
            "subtitleFontSize": 12,
            "subtitleColor": INK,
            "subtitleLineHeight": 16,
            "subtitlePadding": 6,
            "offset": 16,
        },
        "vconcat": [*stacked, _footer(figure.key)],
        "datasets": datasets,
        "spacing": 22,
        "padding": 14,
        "resolve": _OWN,
        "config": panels[0]["config"],
    }


def _sized(panel: Spec, width: int) -> Spec:
    own: Spec = _fixed(panel, width)
    own.pop("config")
    own["width"] = width
    return own


def _fixed(part: Any, width: int) -> Any:
    """The same specification with every number of legend columns worked out, since joined charts have no width."""
    if isinstance(part, Mapping):
        columns = _COLUMNS.fullmatch(str(part.get("expr", "")))
        if columns:
            return max(1, int(width / float(columns[1])))
        return {key: _fixed(value, width) for key, value in part.items()}
    return [_fixed(item, width) for item in part] if isinstance(part, list) else part


def _footer(key: str) -> Spec:
    lines = _lines(key, LINE)
    mark = {"type": "text", "text": lines, "align": "left", "baseline": "top", "fontSize": 11.5, "lineHeight": 16}
    return {
        "data": {"values": [{}]},
        "mark": {**mark, "color": RULE, "x": 0, "y": 0},
        "width": WIDTH,
        "height": 16 * len(lines),
    }


def _lines(text: str, length: int) -> list[str]:
    return textwrap.wrap(text, length, break_long_words=False, break_on_hyphens=False)
