"""Drawings of graphs: nothing overlaps, every edge goes both ways, numbers are those of the graph, text is escaped."""

import itertools
import random
import xml.etree.ElementTree as ET

import pytest
import torch
import vl_convert

from optwise.core.graph import Edge, Graph, Node
from optwise.report.graph_drawing import TIMES, graph_svg, number_text, text_width
from optwise.report.graph_layout import bands, ranks

SVG = "{http://www.w3.org/2000/svg}"
PAGE = 688.0


def made(seed):
    """A connected graph with 3 to 16 values, some used often, some joined by more than one edge."""
    chance = random.Random(seed)
    count = 3 + seed % 14
    names = [f"v{i}" for i in range(count)]
    edges = []
    for i in range(1, count):
        if i == count - 1 or chance.random() > 0.25:
            for _ in range(chance.choice([1, 1, 2, 2, 3])):
                source = names[chance.randrange(max(0, i - 5), i)]
                edges.append(Edge(source, names[i], (chance.randint(1, 4), chance.randint(1, 4))))
    used = {edge.source for edge in edges}
    edges += [Edge(name, names[-1], (1, 2)) for name in names[:-1] if name not in used]
    boxes = {name: (chance.uniform(40, 110), 42.0) for name in names}
    labels = {edge: (chance.uniform(15, 110), chance.choice([14.0, 17.0, 31.0, 59.0])) for edge in edges}
    return Graph(tuple(Node(name, "add", (2,)) for name in names), tuple(edges)), boxes, labels


def rectangles(band, labels):
    boxes = [(b.x - b.width / 2, b.y - b.height / 2, b.x + b.width / 2, b.y + b.height / 2) for b in band.boxes]
    texts = [
        (
            r.label[0] - labels[r.edge][0] / 2,
            r.label[1],
            r.label[0] + labels[r.edge][0] / 2,
            r.label[1] + labels[r.edge][1],
        )
        for r in band.routes
    ]
    return [*boxes, *texts]


def overlap(one, other):
    slack = 0.2  # rows are rounded to a tenth
    return all(one[k] < other[k + 2] - slack and other[k] < one[k + 2] - slack for k in (0, 1))


@pytest.mark.parametrize("seed", range(60))
def test_boxes_and_labels_never_overlap_and_bands_fit_the_page(seed):
    graph, boxes, labels = made(seed)
    for band in bands(graph, boxes, labels, width=PAGE, gap=44):
        assert band.width <= PAGE + 1e-6
        taken = rectangles(band, labels)
        assert not [pair for pair in itertools.combinations(taken, 2) if overlap(*pair)]
        assert all(r[0] >= -8.1 and r[2] <= band.width + 8.1 and r[3] <= band.height + 0.2 for r in taken)


@pytest.mark.parametrize("seed", range(60))
def test_every_value_and_every_edge_is_laid_out_once_and_lines_go_to_the_right(seed):
    graph, boxes, labels = made(seed)
    found = bands(graph, boxes, labels, width=PAGE, gap=44)
    assert sorted(box.name for band in found for box in band.boxes if not box.ghost) == sorted(boxes)
    routes = [route for band in found for route in band.routes]
    assert {route.edge for route in routes} == set(graph.edges)
    assert len(routes) == len(graph.edges)
    for band in found:
        placed = {box.name: box for box in band.boxes}
        for route in band.routes:
            start, end = placed[route.edge.source], placed[route.edge.target]
            assert route.points[0] == (start.x + start.width / 2, start.y)
            assert route.points[-1] == (end.x - end.width / 2, end.y)
            assert all(a[0] <= b[0] + 1e-6 for a, b in itertools.pairwise(route.points))


def test_layers_follow_the_inputs_and_leaves_stand_next_to_their_use():
    edges = (Edge("a", "c", (1, 1)), Edge("c", "d", (1, 1)), Edge("b", "d", (1, 1)))
    assert ranks(["a", "b", "c", "d"], edges) == {"a": 0, "c": 1, "b": 1, "d": 2}


def test_edges_that_join_the_same_values_have_a_layer_for_their_labels():
    twice = (Edge("a", "b", (1, 1)), Edge("a", "b", (1, 1)))
    assert ranks(["a", "b"], twice) == {"a": 0, "b": 2}


def small(jacobian):
    rows, columns = jacobian.shape
    nodes = (Node("w", "leaf", (columns,)), Node("f", "mv", (rows,)))
    return Graph(nodes, (Edge("w", "f", (rows, columns), jacobian),))


def texts(svg):
    return [
        "".join(element.itertext()).replace("\N{ZERO WIDTH SPACE}", "")
        for element in ET.fromstring(svg).iter(f"{SVG}text")
    ]


def test_a_jacobian_up_to_three_by_three_is_written_out_and_a_larger_one_by_its_shape():
    shown = texts(graph_svg(small(torch.tensor([[1.0, -2.0, 0.5]]))))
    assert [text for text in shown if text in {"1", "\N{MINUS SIGN}2", "0.5"}] == ["1", "\N{MINUS SIGN}2", "0.5"]
    assert f"2{TIMES}4" in texts(graph_svg(small(torch.ones(2, 4))))
    unknown = Graph((Node("w", "leaf", (2,)), Node("f", "mv", (2,))), (Edge("w", "f", (2, 2)),))
    assert f"2{TIMES}2" in texts(graph_svg(unknown))


@pytest.mark.parametrize("seed", range(0, 60, 7))
def test_every_edge_has_a_solid_line_forward_and_a_dashed_line_back(seed):
    graph, _, _ = made(seed)
    lines = [path for path in ET.fromstring(graph_svg(graph)).iter(f"{SVG}path") if path.get("stroke-width") == "1.3"]
    dashed = [path for path in lines if path.get("stroke-dasharray")]
    # one of each more in the legend
    assert len(dashed) == len(lines) - len(dashed) == len(graph.edges) + 1


def test_names_symbols_and_conclusions_of_a_user_are_text_and_never_markup():
    evil = "<script>alert(\"1\")</script> & 'co'"
    nodes = (Node(evil, "leaf", ()), Node("f", "mul", ()))
    graph = Graph(nodes, (Edge(evil, "f", (1, 1), torch.ones(1, 1)),))
    svg = graph_svg(graph, formulas={"f": evil}, symbols={(evil, "f"): evil}, conclusions=[evil], described=evil)
    assert "<script" not in svg
    root = ET.fromstring(svg)
    assert not list(root.iter(f"{SVG}script"))
    shown = texts(svg)
    assert shown.count(evil) == 3  # formula, symbol, conclusion; the box shows a short form, its tooltip the whole name
    assert [title.text for title in root.iter(f"{SVG}title")] == [evil, evil, "f"]


def test_raised_and_lowered_signs_are_set_from_plain_ones():
    svg = graph_svg(small(torch.ones(1, 1)), symbols={("w", "f"): "2 z₁ᵀ"})
    assert "₁" not in svg
    assert "ᵀ" not in svg
    assert "2 z1T" in texts(svg)


def test_a_long_graph_is_folded_and_repeats_what_it_takes_from_above():
    names = [f"value {i}" for i in range(12)]
    chain = Graph(
        tuple(Node(name, "add", (3,)) for name in names),
        tuple(Edge(a, b, (3, 3), torch.eye(3)) for a, b in itertools.pairwise(names)),
    )
    svg = graph_svg(chain)
    root = ET.fromstring(svg)
    assert root.get("width") == "720"
    frames = [rect for rect in root.iter(f"{SVG}rect") if rect.get("stroke-dasharray")]
    assert len(frames) >= 1
    repeated = [name for name in names if texts(svg).count(name) > 1]
    assert len(repeated) == len(frames)


def test_a_drawing_becomes_an_image_without_a_browser():
    png = vl_convert.svg_to_png(graph_svg(small(torch.eye(2))), scale=1)
    assert png.startswith(b"\x89PNG")


def test_numbers_are_whole_where_they_are_whole_and_three_digits_elsewhere():
    assert number_text(12345.0) == "12345"
    assert number_text(1e7) == "1e+07"
    assert number_text(-2 / 3) == "\N{MINUS SIGN}0.667"
    assert number_text(float("nan")) == "nan"


def test_a_longer_text_is_wider():
    assert text_width("mmm", 10) > text_width("iii", 10)
    assert text_width("12345", 10) == pytest.approx(28.5)
