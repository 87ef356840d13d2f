"""A figure by itself: a page that opens offline, and images that carry the question, the answer and the key."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import vl_convert

from optwise.core.errors import BadFolder
from optwise.report.drawing import FONT, INK, RULE, SCHEMA, Figure, Spec, spec_of
from optwise.report.figure_elements import charts_element
from optwise.report.figure_provenance import Origin
from optwise.report.self_contained import html_file
from optwise.report.themes import svg_style
from optwise.report.typography import typeset, typeset_svg
from optwise.report.words import escape

SUFFIXES = ("html", "png", "svg", "csv")
WIDTH = 720  # of a panel that has a row for itself
HALF = 322  # of one of two: what is left when both have an axis
LINE = 104  # characters of a line of the caption, in the widest of the fonts that a reader may have
PADDING = 14
SCALE = 2.0  # pixels of a PNG for each unit of length

_OWN = {"scale": dict.fromkeys(("color", "strokeDash", "shape"), "independent")}  # panels share no legend
_CLIPS = re.compile(r"\bclip\d+\b")
_COLUMNS = re.compile(r"max\(1, floor\(width / ([\d.]+)\)\)")


def write_figure(figure: Figure, data: pd.DataFrame, folder: Path, origin: Origin | None = None) -> dict[str, Path]:
    """Write a figure as a page, as PNG and SVG, and its rows as CSV.

    Args:
        figure: What is shown.
        data: Every number that is drawn; the table has the parameters in a last column.
        folder: Where; it exists.
        origin: How it was made; names the files.

    Returns:
        The files by suffix: html, png, svg, csv.

    Raises:
        BadFolder: A file cannot be written.
    """
    origin = origin or Origin(figure.anchor)
    paths = {suffix: folder / f"{origin.stem}.{suffix}" for suffix in SUFFIXES}
    svg = figure_svg(figure, origin)
    try:
        paths["html"].write_text(figure_page(figure, origin), encoding="utf-8")
        paths["svg"].write_text(in_the_dark(svg), encoding="utf-8")
        paths["png"].write_bytes(vl_convert.svg_to_png(svg, scale=SCALE))
        # tables of several figures keep apart when they are put together
        table = data.assign(parameters=origin.settings) if origin.parameters else data
        table.to_csv(paths["csv"], index=False, float_format="%.10g", lineterminator="\n")
    except OSError as error:
        raise BadFolder(
            f"{figure.anchor} cannot be written to {folder} ({error.strerror}); choose another folder."
        ) from error
    return paths


def figure_page(figure: Figure, origin: Origin | None = None) -> str:
    """One figure as an HTML file that makes no request; all its text is escaped."""
    origin = origin or Origin(figure.anchor)
    side_by_side = "panels lead" if len(figure.panels) % 2 else "panels pairs"
    return html_file(
        f"optwise: {figure.question}",
        f'<header><p class="eyebrow">{escape(origin.command)}</p>\n'
        f"<h1>{escape(figure.question)}</h1>\n"
        f'<p id="{escape(figure.anchor)}-answer">{escape(figure.answer)}</p></header>\n'
        f"<noscript><p>The charts need JavaScript; {escape(origin.stem)}.svg beside this page needs none."
        "</p></noscript>\n"
        f'<figure id="{figure.anchor}">{charts_element(figure, frame=side_by_side if figure.together else "stack")}'
        f"<figcaption>{escape(figure.key)}</figcaption></figure>\n"
        f"<section><h2>Provenance</h2>{origin.element}</section>\n",
    )


def figure_svg(figure: Figure, origin: Origin | None = None) -> str:
    """A figure as one SVG: its panels or its diagram under the question and the answer, key and origin below."""
    origin = origin or Origin(figure.anchor)
    if figure.diagram:
        return _framed(figure, origin)
    svg: str = vl_convert.vegalite_to_svg(image_spec(figure, origin), vl_version=SCHEMA)
    # the renderer numbers them through its life: the same figure is to have the same bytes, whatever came before
    found = list(dict.fromkeys(_CLIPS.findall(svg)))
    return typeset_svg(_CLIPS.sub(lambda clip: f"{figure.anchor}-clip{found.index(clip[0])}", svg))


def in_the_dark(svg: str) -> str:
    """The same SVG, dark on a dark screen."""
    end = svg.index(">") + 1
    return f"{svg[:end]}{svg_style()}{svg[end:]}"


def _framed(figure: Figure, origin: Origin) -> str:
    """A diagram under its question and answer, its key and its origin below, as images of charts have them."""
    parts, y = [], float(PADDING)

    def write(text: str, size: float, line: float, *, colour: str = INK, weight: int = 400, length: int = LINE) -> None:
        nonlocal y
        for said in _lines(text, length):
            parts.append(
                f'<text x="{PADDING}" y="{y + size:.1f}" font-size="{size:g}" font-weight="{weight}" fill="{colour}">'
                f"{typeset(said)}</text>"
            )
            y += line

    write(figure.question, 16, 20, weight=600, length=LINE - 30)
    y += 6
    write(figure.answer, 12, 16)
    y += 16
    height = float(re.search(r'height="([\d.]+)"', figure.diagram)[1])  # type: ignore[index]  # of every drawing
    parts.append(figure.diagram.replace("<svg ", f'<svg x="{PADDING}" y="{y:g}" ', 1))
    y += height + 16
    write(figure.key, 11.5, 16, colour=RULE)
    y += 6
    for said in origin.lines:
        write(said, 10, 14, colour=RULE, length=LINE + 20)
    width, whole = WIDTH + 2 * PADDING, y + PADDING
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {whole:g}" width="{width}" height="{whole:g}" '
        f'font-family="{escape(FONT)}"><rect width="100%" height="100%" fill="white"/>{"".join(parts)}</svg>'
    )


def image_spec(figure: Figure, origin: Origin | None = None) -> Spec:
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
            "text": _lines(figure.question, LINE - 30),
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
        "vconcat": [*stacked, _footer(figure.key, (origin or Origin(figure.anchor)).lines)],
        "datasets": datasets,
        "spacing": 22,
        "padding": PADDING,
        "resolve": _OWN,
        "config": panels[0]["config"],
    }


def _sized(panel: Spec, width: int) -> Spec:
    own: Spec = _fixed(panel, width)
    own.pop("config")
    own["width"] = width
    title = own.get("title")
    if width == WIDTH and isinstance(title, dict) and isinstance(title.get("text"), list):
        own["title"] = {**title, "text": " ".join(title["text"])}  # broken for narrow pages
    return own


def _fixed(part: Any, width: int) -> Any:
    """The same specification with every number of legend columns worked out, since joined charts have no width."""
    if isinstance(part, Mapping):
        columns = _COLUMNS.fullmatch(str(part.get("expr", "")))
        if columns:
            return max(1, int(width / float(columns[1])))
        return {key: _fixed(value, width) for key, value in part.items()}
    return [_fixed(item, width) for item in part] if isinstance(part, list) else part


def _footer(key: str, origin: Sequence[str]) -> Spec:
    """The key and the origin: two texts of one panel."""
    lines, small = _lines(key, LINE), [line for said in origin for line in _lines(said, LINE + 20)]
    mark = {"type": "text", "align": "left", "baseline": "top", "color": RULE, "x": 0}
    height = 16 * len(lines) + 8
    return {
        "data": {"values": [{}]},
        "layer": [
            {"mark": {**mark, "text": lines, "fontSize": 11.5, "lineHeight": 16, "y": 0}},
            {"mark": {**mark, "text": small, "fontSize": 10, "lineHeight": 14, "y": height}},
        ],
        "width": WIDTH,
        "height": height + 14 * len(small),
    }


def _lines(text: str, length: int) -> list[str]:
    return textwrap.wrap(text, length, break_long_words=False, break_on_hyphens=False)
