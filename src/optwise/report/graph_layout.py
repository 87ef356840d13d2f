"""Where the boxes and lines of a graph go: layers from left to right, rows without overlap, bands where it is long."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

from optwise.core.graph import Edge, Graph

Size: TypeAlias = tuple[float, float]
Point: TypeAlias = tuple[float, float]

BEND = 34.0
"""Room in which a line changes its row."""
LINE = 6.0
"""The forward line runs so much above the middle of a row, the backward line so much below."""
HANG = LINE + 5.0
"""From the middle of a row down to the label that hangs below its lines."""
ROOM = 14.0
"""Between what belongs to one row and what belongs to the next."""
SWEEPS = 8
"""Passes that put the rows of each layer in order and move them towards their neighbours."""


@dataclass(frozen=True)
class Box:
    """A value's box: its middle and size; a ghost repeats a value of an earlier band."""

    name: str
    x: float
    y: float
    width: float
    height: float
    ghost: bool = False


@dataclass(frozen=True)
class Route:
    """The way of an edge.

    Args:
        edge: Which one.
        points: Corners from the right side of one box to the left side of the other; rows change by a smooth bend.
        label: Middle of the top of its label, just below the backward line.
    """

    edge: Edge
    points: tuple[Point, ...]
    label: Point


@dataclass(frozen=True)
class Band:
    """One row of layers, as wide as the page allows."""

    boxes: tuple[Box, ...]
    routes: tuple[Route, ...]
    width: float
    height: float
    layers: int


@dataclass(frozen=True)
class _Span:
    """An edge and the layers of its ends; ``alone`` where it is the only one that leaves its source."""

    edge: Edge
    first: int
    last: int
    alone: bool

    @property
    def between(self) -> range:
        """Layers it passes through."""
        return range(self.first + 1, self.last)

    @property
    def long(self) -> bool:
        """Whether it passes through one."""
        return self.last - self.first > 1


@dataclass(frozen=True)
class _Item:
    """What takes a row in a layer: a box, or a line that passes through with its label."""

    key: tuple[str, int]
    layer: int
    width: float
    above: float
    below: float


def ranks(names: Sequence[str], edges: Sequence[Edge]) -> dict[str, int]:
    """Layer of each value: after its last input, with a layer between where an edge needs a row for its label alone.

    That is where its source has other uses and its target other inputs, and where several edges join the same two
    values. Leaves stand next to their first use.

    Args:
        names: Every value after its inputs.
        edges: Between them.
    """
    out, into = Counter(edge.source for edge in edges), Counter(edge.target for edge in edges)

    def length(edge: Edge) -> int:
        return 2 if out[edge.source] > 1 and into[edge.target] > 1 else 1

    rank = dict.fromkeys(names, 0)
    for name in names:
        rank[name] = max((rank[edge.source] + length(edge) for edge in edges if edge.target == name), default=0)
    for name in names:
        uses = [rank[edge.target] - length(edge) for edge in edges if edge.source == name]
        if not into[name] and uses:
            rank[name] = min(uses)
    return rank


def bands(
    graph: Graph, boxes: Mapping[str, Size], labels: Mapping[Edge, Size], *, width: float, gap: float
) -> list[Band]:
    """Lay a graph out in as few bands as fit into ``width``; a later band repeats what it takes from earlier ones.

    Args:
        graph: What to lay out.
        boxes: Size of each value's box.
        labels: Size of each edge's label.
        width: Of the page.
        gap: Least room between two layers; up to three times as much where the page has it.
    """
    rank = ranks([node.name for node in graph.nodes], graph.edges)
    computed = {edge.target for edge in graph.edges}
    layers = sorted({rank[name] for name in computed}) or [0]
    drawn: set[str] = set()
    found = []
    while layers:
        for count in range(len(layers), 0, -1):
            own = {name for name in rank if name in computed and rank[name] in layers[:count]}
            band = _band(graph, own, drawn, boxes, labels, gap=gap)
            if band.width <= width:
                break
        room = (width - band.width) / max(band.layers - 1, 1)
        wider = _band(graph, own, drawn, boxes, labels, gap=gap, more=min(room, 2 * gap)) if room > 0 else band
        found.append(wider)
        drawn |= {box.name for box in wider.boxes}
        layers = layers[count:]
    return found


def _band(
    graph: Graph,
    own: Collection[str],
    drawn: Collection[str],
    boxes: Mapping[str, Size],
    labels: Mapping[Edge, Size],
    *,
    gap: float,
    more: float = 0.0,
) -> Band:
    """Lay out the values ``own`` and what they take: leaves, and ghosts of what was drawn before."""
    edges = [edge for edge in graph.edges if edge.target in own]
    shown = {*own, *(edge.source for edge in edges)} or {graph.output.name}
    names = [node.name for node in graph.nodes if node.name in shown]
    rank = ranks(names, edges)
    out = Counter(edge.source for edge in edges)
    span = [_Span(edge, rank[edge.source], rank[edge.target], alone=out[edge.source] == 1) for edge in edges]
    items = _items(names, span, rank, boxes, labels)
    rows = _rows(items, names, span)
    lefts, rights = _columns(items, span, rows, labels, gap=gap, more=more)
    placed = {
        name: Box(name, (lefts[rank[name]] + rights[rank[name]]) / 2, rows[name, -1], *boxes[name], name in drawn)
        for name in names
    }
    ends = {layer: (lefts[layer], rights[layer]) for layer in rights}
    routes = [_route(i, one, placed, rows, ends) for i, one in enumerate(span)]
    bottom = max(item.below + rows[item.key] for item in items)
    return Band(tuple(placed.values()), tuple(routes), max(rights.values()), bottom, len(rights))


def _route(
    i: int,
    span: _Span,
    placed: Mapping[str, Box],
    rows: Mapping[tuple[str, int], float],
    ends: Mapping[int, tuple[float, float]],
) -> Route:
    start, end = placed[span.edge.source], placed[span.edge.target]
    x0, x1 = start.x + start.width / 2, end.x - end.width / 2
    before, after = ends[span.first][1], ends[span.last][0]
    if span.long:
        points = [(before, start.y)]
        points += [(x, rows[_line(i), layer]) for layer in span.between for x in ends[layer]]
        points.append((after, end.y))
        label = (sum(ends[span.first + 1]) / 2, rows[_line(i), span.first + 1])
    elif start.y == end.y:
        points, label = [], ((x0 + x1) / 2, start.y)
    elif span.alone:
        points, label = [(after - BEND, start.y), (after, end.y)], ((x0 + after - BEND) / 2, start.y)
    else:
        points, label = [(before, start.y), (before + BEND, end.y)], ((before + BEND + x1) / 2, end.y)
    whole = ((x0, start.y), *points, (x1, end.y))
    return Route(span.edge, whole, (label[0], label[1] + HANG))


def _line(i: int) -> str:
    """Key of the i-th edge where it passes through a layer."""
    return f"\0{i}"


def _items(
    names: Sequence[str],
    spans: Sequence[_Span],
    rank: Mapping[str, int],
    boxes: Mapping[str, Size],
    labels: Mapping[Edge, Size],
) -> list[_Item]:
    """What takes room in each layer: boxes with the labels that hang beside them, and lines that pass through."""
    below = {name: boxes[name][1] / 2 for name in names}
    found = []
    for i, span in enumerate(spans):
        width, height = labels[span.edge]
        if not span.long:
            beside = span.edge.source if span.alone else span.edge.target
            below[beside] = max(below[beside], HANG + height)
        for layer in span.between:
            size = (width + 8, HANG + height) if layer == span.between[0] else (0.0, 2 * LINE)
            found.append(_Item((_line(i), layer), layer, size[0], 2 * LINE, size[1]))
    boxed = [_Item((name, -1), rank[name], boxes[name][0], boxes[name][1] / 2, below[name]) for name in names]
    return [*found, *boxed]


def _columns(
    items: Sequence[_Item],
    spans: Sequence[_Span],
    rows: Mapping[tuple[str, int], float],
    labels: Mapping[Edge, Size],
    *,
    gap: float,
    more: float,
) -> tuple[dict[int, float], dict[int, float]]:
    """Left and right end of every layer; between two of them is room for the widest label and for a bend."""
    lefts: dict[int, float] = {}
    rights: dict[int, float] = {}
    x = 0.0
    for layer in range(min(item.layer for item in items), max(item.layer for item in items) + 1):
        if lefts:
            beside = [span for span in spans if not span.long and span.first == layer - 1]
            bent = any(rows[span.edge.source, -1] != rows[span.edge.target, -1] for span in beside)
            widest = max((labels[span.edge][0] for span in beside), default=0.0)
            x += max(gap, widest + 16 + (BEND if bent else 0.0)) + more
        lefts[layer] = x
        x += max((item.width for item in items if item.layer == layer), default=0.0)
        rights[layer] = x
    return lefts, rights


def _rows(items: Sequence[_Item], names: Sequence[str], spans: Sequence[_Span]) -> dict[tuple[str, int], float]:
    """Middle of every item: near its neighbours, apart from the others of its layer."""
    neighbours: dict[tuple[str, int], list[tuple[str, int]]] = {item.key: [] for item in items}
    for i, span in enumerate(spans):
        way = [(_line(i), layer) for layer in span.between]
        for one, other in pairwise([(span.edge.source, -1), *way, (span.edge.target, -1)]):
            neighbours[one].append(other)
            neighbours[other].append(one)
    layers = sorted({item.layer for item in items})
    order = {name: float(i) for i, name in enumerate(names)}
    columns = {
        layer: sorted((item for item in items if item.layer == layer), key=lambda item: order.get(item.key[0], 0.0))
        for layer in layers
    }
    rows = {item.key: 0.0 for item in items}
    for column in columns.values():
        _spread(column, dict.fromkeys((item.key for item in column), 0.0), rows)
    for sweep in range(SWEEPS):
        for layer in layers if sweep % 2 == 0 else layers[::-1]:
            wanted = {}
            for item in columns[layer]:
                near = [rows[key] for key in neighbours[item.key]] or [rows[item.key]]
                wanted[item.key] = sum(near) / len(near)
            if sweep < SWEEPS // 2:
                columns[layer].sort(key=lambda item: wanted[item.key])
            _spread(columns[layer], wanted, rows)
    top = min(rows[item.key] - item.above for item in items)
    return {key: round(row - top, 1) for key, row in rows.items()}


def _spread(
    column: Sequence[_Item], wanted: Mapping[tuple[str, int], float], rows: dict[tuple[str, int], float]
) -> None:
    """Rows as near to the wanted ones as their order and sizes allow: neighbours that collide become one block."""
    blocks: list[tuple[float, list[_Item], list[float]]] = []  # top row, items, offsets from it
    for item in column:
        row, group, offsets = wanted[item.key], [item], [0.0]
        while blocks:
            above, items, places = blocks[-1]
            apart = places[-1] + items[-1].below + ROOM + group[0].above
            if above + apart <= row:
                break
            blocks.pop()
            offsets = [*places, *(apart + offset for offset in offsets)]
            group = [*items, *group]
            row = sum(wanted[one.key] - offset for one, offset in zip(group, offsets, strict=True)) / len(group)
        blocks.append((row, group, offsets))
    for row, group, offsets in blocks:
        for item, offset in zip(group, offsets, strict=True):
            rows[item.key] = row + offset
