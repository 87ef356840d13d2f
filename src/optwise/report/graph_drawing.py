"""A graph as a drawing of its own: values as boxes, the way forward solid, the way back dashed with its Jacobians."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise

from torch import Tensor

from optwise.core.graph import LEAF, Edge, Graph, Node
from optwise.report.drawing import FONT, INK, PALETTE, RULE
from optwise.report.graph_layout import LINE, Band, Box, Point, Route, Size, bands
from optwise.report.typography import typeset
from optwise.report.words import escape

WIDTH = 720.0
"""Of a drawing: that of the page's charts."""
BACK = PALETTE[0]
"""Colour of everything that belongs to the way back."""
SMALL = 3
"""Rows and columns up to which a Jacobian is written out."""
TEXT, NOTE = 13.0, 11.0
"""Sizes of type."""
MARGIN, GAP = 16.0, 44.0
ROW = 14.0
"""Height of a line of numbers."""
LONGEST = 18
"""Letters of a name that are shown; the whole name is in the box's tooltip."""
MINUS, TIMES = "\N{MINUS SIGN}", "\N{MULTIPLICATION SIGN}"
_WIDTHS = {**dict.fromkeys("0123456789", 0.57), **dict.fromkeys("il.,:;'|!()[] ", 0.34), **dict.fromkeys("mwMW@", 0.9)}


def graph_svg(
    graph: Graph,
    *,
    formulas: Mapping[str, str] | None = None,
    symbols: Mapping[tuple[str, str], str] | None = None,
    conclusions: Sequence[str] = (),
    described: str = "",
    width: float = WIDTH,
) -> str:
    """Draw a graph from left to right, 720 wide, as one SVG element without outer references.

    Solid lines are the computation, dashed ones the way back, each with its local Jacobian: written out up to 3 x 3,
    else by its shape. A long graph is folded: a band repeats, with a dashed frame, what it takes from the bands above.

    Args:
        graph: What to draw.
        formulas: What each value is, by its name; else its operation and shape.
        symbols: What each local Jacobian is, by the names of its source and target.
        conclusions: Lines of a box below the drawing.
        described: What a reader who cannot see it is told.
        width: Of the drawing; one value with its label may need more.
    """
    formulas, symbols = formulas or {}, symbols or {}
    names = {node.name: _box_lines(node, formulas.get(node.name, "")) for node in graph.nodes}
    boxes = {name: _box_size(*lines) for name, lines in names.items()}
    texts = {edge: symbols.get((edge.source, edge.target), "") for edge in graph.edges}
    labels = {edge: _label_size(edge, texts[edge]) for edge in graph.edges}
    placed = bands(graph, boxes, labels, width=width - 2 * MARGIN, gap=GAP)
    width = max([width, *(band.width + 2 * MARGIN for band in placed)])
    told, top = _legend(width)
    drawn = [told]
    for band in placed:
        left = (width - band.width) / 2
        drawn.append(f'<g transform="translate({left:.1f} {top:.1f})">{_band(band, graph, names, texts)}</g>')
        top += band.height + 30.0
    if conclusions:
        lines = [line for text in conclusions for line in wrapped(text, width - 2 * MARGIN - 24.0, TEXT)]
        drawn.append(_conclusions(lines, top, width))
        top += ROW * 1.5 * len(lines) + 34.0
    height = math.ceil(top)
    title = f"<title>{escape(described)}</title>" if described else ""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" viewBox="0 0 {width:g} {height}" width="{width:g}" '
        f'height="{height}" font-family="{escape(FONT)}" font-size="{TEXT:g}" fill="{INK}">{title}'
        f'<rect width="100%" height="100%" fill="white"/>{"".join(drawn)}</svg>'
    )


def number_text(value: float) -> str:
    """A whole number as it is, any other to three digits, with a true minus sign.

    Example:
        >>> [number_text(value) for value in (1234.0, -0.5, 1 / 3, -0.0)]
        ['1234', '−0.5', '0.333', '0']
    """
    whole = value == round(value) and abs(value) < 1e5 if math.isfinite(value) else False
    return (f"{round(value)}" if whole else f"{value:.3g}").replace("-", MINUS)


def text_width(text: str, size: float) -> float:
    """About how wide a text is; fonts differ, so on the generous side."""
    return size * sum(_WIDTHS.get(letter, 0.6) for letter in text)


def wrapped(text: str, width: float, size: float) -> list[str]:
    """A text in lines that are about as long as there is room.

    Example:
        >>> wrapped("one two three", 60.0, 13.0)
        ['one two', 'three']
    """
    lines: list[str] = []
    for word in text.split(" "):
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and text_width(longer, size) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def _box_lines(node: Node, formula: str) -> tuple[str, str]:
    shape = str(list(node.shape)) if node.shape else ""
    kind = "" if node.operation in (LEAF, node.name.partition(" ")[0]) else node.operation
    return _short(node.name), formula or " ".join(part for part in (kind, shape) if part) or "scalar"


def _box_size(name: str, note: str) -> Size:
    width = max(text_width(name, TEXT), text_width(note, NOTE)) + 18.0
    return max(width, 46.0), 42.0


def _label_size(edge: Edge, symbol: str) -> Size:
    """Room for the symbol's line and what stands below it."""
    width, height = (text_width(symbol, TEXT), ROW + 3.0) if symbol else (0.0, 0.0)
    if _written(edge):
        inner, lines = _matrix_size(edge)
        return max(width, inner), height + lines
    return max(width, text_width(_shape(edge), NOTE)), height + ROW


def _matrix_size(edge: Edge) -> Size:
    assert edge.jacobian is not None
    entries = _entries(edge.jacobian)
    widths = _column_widths(entries)
    return sum(widths) + 10.0 * (len(widths) - 1) + 14.0, ROW * len(entries) + 2.0


def _entries(matrix: Tensor) -> list[list[str]]:
    return [[number_text(value) for value in row] for row in matrix.tolist()]


def _column_widths(entries: Sequence[Sequence[str]]) -> list[float]:
    return [max(text_width(row[k], NOTE) for row in entries) for k in range(len(entries[0]))]


def _written(edge: Edge) -> bool:
    return edge.jacobian is not None and max(edge.size) <= SMALL


def _shape(edge: Edge) -> str:
    return f"{edge.size[0]}{TIMES}{edge.size[1]}"


def _short(name: str) -> str:
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…"


def _legend(width: float) -> tuple[str, float]:
    """What the two kinds of lines mean, and where the drawing below it starts."""
    forward = _line(MARGIN, 14, MARGIN + 30, 14, back=False) + _text("forward", MARGIN + 38, 18, size=NOTE)
    back = _line(MARGIN + 100, 14, MARGIN + 130, 14, back=True)
    words = "backward: what arrives, a row, is multiplied by the local Jacobian"
    lines = wrapped(words, width - 2 * MARGIN - 138, NOTE)
    said = [_text(line, MARGIN + 138, 18 + ROW * i, size=NOTE, colour=BACK) for i, line in enumerate(lines)]
    return forward + back + "".join(said), 44.0 + ROW * (len(lines) - 1)


def _line(x0: float, y0: float, x1: float, y1: float, *, back: bool) -> str:
    ends = ((x1, y1), (x0, y0)) if back else ((x0, y0), (x1, y1))
    return _arrow([*ends], back=back)


def _band(band: Band, graph: Graph, names: Mapping[str, tuple[str, str]], texts: Mapping[Edge, str]) -> str:
    lines = "".join(_way(route) for route in band.routes)
    labels = "".join(_label(route, texts[route.edge]) for route in band.routes)
    boxes = "".join(_box(box, *names[box.name], graph=graph) for box in band.boxes)
    return lines + labels + boxes


def _way(route: Route) -> str:
    forward = [(x, y - LINE) for x, y in route.points]
    back = [(x, y + LINE) for x, y in reversed(route.points)]
    return _arrow(forward, back=False) + _arrow(back, back=True)


def _arrow(points: Sequence[Point], *, back: bool) -> str:
    """A line with smooth bends where its row changes, and a head at its end."""
    colour = BACK if back else INK
    (x0, y0), (x, y) = points[0], points[-1]
    step = -6.0 if back else 6.0
    points = [*points[:-1], (x - step * 0.6, y)]
    path = [f"M{x0:.1f} {y0:.1f}"]
    for (xa, ya), (xb, yb) in pairwise(points):
        middle = (xa + xb) / 2
        path.append(f"H{xb:.1f}" if ya == yb else f"C{middle:.1f} {ya:.1f} {middle:.1f} {yb:.1f} {xb:.1f} {yb:.1f}")
    dashes = ' stroke-dasharray="4 3"' if back else ""
    head = f"M{x:.1f} {y:.1f}l{-step:.1f} -3.2v6.4z"
    return (
        f'<path d="{"".join(path)}" fill="none" stroke="{colour}" stroke-width="1.3"{dashes}/>'
        f'<path d="{head}" fill="{colour}"/>'
    )


def _label(route: Route, symbol: str) -> str:
    """The symbol of a local Jacobian and its numbers, or its shape, on a ground that lines do not cross."""
    edge, (x, top) = route.edge, route.label
    width, height = _label_size(edge, symbol)
    place = f'x="{x - width / 2 - 3:.1f}" y="{top - 1:.1f}" width="{width + 6:.1f}" height="{height + 2:.1f}"'
    parts = [f'<rect {place} fill="white" fill-opacity="0.85"/>']
    if symbol:
        parts.append(_text(symbol, x, top + 11.5, anchor="middle", colour=BACK, weight=600))
        top += ROW + 3.0
    if not _written(edge):
        return "".join([*parts, _text(_shape(edge), x, top + 11, anchor="middle", size=NOTE, colour=RULE)])
    assert edge.jacobian is not None
    entries = _entries(edge.jacobian)
    width, height = _matrix_size(edge)
    left, right = x - width / 2 + 2, x + width / 2 - 2
    if edge.size != (1, 1):
        for side, inward in ((left, 3.5), (right, -3.5)):
            bracket = f"M{side + inward:.1f} {top:.1f}H{side:.1f}V{top + height:.1f}H{side + inward:.1f}"
            parts.append(f'<path d="{bracket}" fill="none" stroke="{INK}" stroke-width="0.9"/>')
    for i, row in enumerate(entries):
        end = left + 5.0
        for column, entry in zip(_column_widths(entries), row, strict=True):
            end += column
            parts.append(_text(entry, end, top + 11.5 + ROW * i, anchor="end", size=NOTE))
            end += 10.0
    return "".join(parts)


def _box(box: Box, name: str, note: str, *, graph: Graph) -> str:
    leaf = graph.node(box.name).operation == LEAF
    ground = "#eaf2f9" if leaf else "#fdf3e3" if box.name == graph.output.name else "white"
    frame = ' stroke-dasharray="3 3"' if box.ghost else ""
    x, y = box.x - box.width / 2, box.y - box.height / 2
    return (
        f"<g><title>{escape(box.name)}</title>"
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{box.width:.1f}" height="{box.height:.1f}" rx="7" fill="{ground}" '
        f'stroke="{RULE}" stroke-width="1.1"{frame}/>'
        + _text(name, box.x, box.y - 2.5, anchor="middle", weight=600)
        + _text(note, box.x, box.y + 13, anchor="middle", size=NOTE, colour=RULE)
        + "</g>"
    )


def _conclusions(lines: Sequence[str], top: float, width: float) -> str:
    height = ROW * 1.5 * len(lines) + 14.0
    frame = (
        f'<rect x="{MARGIN:g}" y="{top:.1f}" width="{width - 2 * MARGIN:g}" height="{height:.1f}" rx="7" '
        f'fill="#f6f8fa" stroke="{RULE}" stroke-width="0.8"/>'
    )
    texts = [_text(line, MARGIN + 12, top + 21 + 1.5 * ROW * i) for i, line in enumerate(lines)]
    return frame + "".join(texts)


def _text(
    text: str,
    x: float,
    y: float,
    *,
    anchor: str = "start",
    size: float = TEXT,
    colour: str = INK,
    weight: int = 400,
) -> str:
    bold = f' font-weight="{weight}"' if weight != 400 else ""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size:g}" fill="{colour}"{bold}>'
        f"{typeset(text)}</text>"
    )
