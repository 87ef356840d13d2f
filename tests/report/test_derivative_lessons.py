"""The data of the three lessons on derivatives against closed forms."""

import math
import xml.etree.ElementTree as ET

import numpy as np
import pytest
import torch

from optwise.core.errors import BadProblem
from optwise.report.drawing import images
from optwise.verbs.lessons.derivatives import best_linear_approximation, cross_entropy, least_squares_graph

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def square():
    return best_linear_approximation()


def panel(lesson, name):
    return lesson.data[lesson.data["panel"] == name].dropna(axis=1, how="all")


def test_the_tangent_of_the_square_at_0_is_the_line_y_0_among_the_four_competitors(square):
    rows = panel(square, "lines")
    curve = rows[rows["role"] == "f"]
    np.testing.assert_array_equal(curve["y"], curve["x"] ** 2)
    assert (curve["x"].min(), curve["x"].max()) == (-2.0, 2.0)
    tangent = rows[rows["role"] == "tangent"]
    assert tangent["slope"].unique().tolist() == [0.0]
    assert tangent["y"].unique().tolist() == [0.0]
    others = rows[~rows["role"].isin(["f", "tangent"])].groupby("line", sort=False)[["slope", "offset"]].first()
    assert others.to_numpy().tolist() == [[1.0, 0.0], [-1.0, 0.0], [0.5, 0.25], [-0.5, 0.25]]
    for _, line in rows[rows["role"] != "f"].iterrows():
        assert line["y"] == line["offset"] + line["slope"] * line["x"]


def test_only_the_tangent_leaves_less_and_less_over_the_distance(square):
    rows = panel(square, "ratios")
    tangent = rows[rows["role"] == "tangent"]
    np.testing.assert_allclose(tangent["ratio"], tangent["h"], rtol=1e-13)  # h^2 / h
    assert tangent["h"].min() == pytest.approx(1e-4)
    through = rows[rows["role"] == "other lines through the point"]
    np.testing.assert_allclose(through["ratio"], through["h"] + through["slope"].abs(), rtol=1e-13)
    beside = rows[rows["role"] == "lines beside the point"]
    expected = [
        max(abs(h * h - 0.25 - s * h), abs(h * h - 0.25 + s * h)) / h
        for h, s in zip(beside["h"], beside["slope"], strict=True)
    ]
    np.testing.assert_allclose(beside["ratio"], expected, rtol=1e-13)


def test_one_slope_leaves_nothing_of_the_square_and_none_less_than_1_of_the_absolute_value(square):
    rows = panel(square, "limits")
    smooth, kinked = (rows[rows["function"] == name] for name in ("x² at 0", "|x| at 0"))
    # one-sided slopes are measured: the bar beside a kink is 3e-8
    np.testing.assert_allclose(smooth["limit"], smooth["slope"].abs(), atol=1e-9)
    np.testing.assert_allclose(kinked["limit"], 1 + kinked["slope"].abs(), atol=1e-7)


def test_the_figure_of_the_square_says_its_numbers(square):
    figure = square.figure
    assert square.slug == figure.anchor == "best-linear-approximation"
    assert "slope 0 by autograd" in figure.answer
    assert "falls to 10⁻⁴ at |h| = 10⁻⁴" in figure.answer
    assert "falls with slope 2.00 on log axes, that is as h²." in figure.answer
    assert list(figure.panels) == ["lines", "what is left", "every slope"]


@pytest.mark.parametrize(
    ("f", "a", "slope"), [(torch.exp, 1.0, math.e), (torch.sin, 0.5, math.cos(0.5)), (lambda x: x**3 - 3 * x, 1.0, 0.0)]
)
def test_any_smooth_function_has_its_tangent_at_any_point(f, a, slope):
    lesson = best_linear_approximation(f, a, formula="f")
    tangent = panel(lesson, "ratios").query("role == 'tangent'")
    np.testing.assert_allclose(tangent["slope"], slope, rtol=1e-12, atol=1e-12)
    order = np.polyfit(np.log(tangent["h"][tangent["h"] < 0.05]), np.log(tangent["ratio"][tangent["h"] < 0.05]), 1)[0]
    assert order == pytest.approx(1.0, abs=0.05)  # over the distance one order less than the remainder's two
    limits = panel(lesson, "limits").query("function != '|x| at 0'")
    np.testing.assert_allclose(limits["limit"], (limits["slope"] - slope).abs(), atol=1e-8)


def test_a_point_without_a_tangent_is_refused():
    with pytest.raises(BadProblem, match=r"\|x\| is not differentiable at 0: its slope is -1 on the left and 1 on the"):
        best_linear_approximation(torch.abs, 0.0, formula="|x|")


@pytest.fixture(scope="module")
def entropy():
    return cross_entropy()


def test_both_curves_are_the_logarithms_and_diverge_at_their_wrong_end(entropy):
    rows = entropy.data[entropy.data["kind"] == "curve"]
    zero, one = rows[rows["label"] == 0], rows[rows["label"] == 1]
    np.testing.assert_allclose(zero["loss"], -np.log1p(-zero["q"]), rtol=1e-12)
    np.testing.assert_allclose(one["loss"], -np.log(one["q"]), rtol=1e-12)
    for curve, wrong in ((zero, "idxmax"), (one, "idxmin")):
        assert curve.loc[getattr(curve["q"], wrong)(), "loss"] > 6.9  # ln 1000, beyond the chart's 4


def test_the_marks_and_the_crossing_are_those_of_the_lecture(entropy):
    marks = entropy.data[entropy.data["kind"] == "mark"]
    assert marks["label"].unique().tolist() == [0]
    assert marks["q"].tolist() == [0.1, 0.3, 0.8]
    assert [f"{loss:.5f}" for loss in marks["loss"]] == ["0.10536", "0.35667", "1.60944"]
    crossing = entropy.data[entropy.data["kind"] == "crossing"]
    assert crossing["q"].tolist() == [0.5, 0.5]
    np.testing.assert_allclose(crossing["loss"], math.log(2), rtol=1e-15)
    assert "0.10536 for q = 0.1, 0.35667 for q = 0.3 and 1.60944 for q = 0.8" in entropy.figure.answer
    assert "0.69315, at q = 0.5" in entropy.figure.answer


def test_the_graph_of_least_squares_has_conformable_jacobians_with_the_transpose():
    lesson = least_squares_graph()
    assert lesson.data["symbol"].tolist() == ["X", "2 z₁ᵀ", "½"]
    assert lesson.data[["rows", "columns"]].to_numpy().tolist() == [[3, 2], [1, 3], [1, 1]]
    # last step first, each matrix has as many rows as the one before has columns
    assert lesson.data["columns"].tolist()[1:] == lesson.data["rows"].tolist()[:-1]
    assert lesson.data["entries"].tolist() == ["1 2; 0 1; 1 -1", "6 -2 -4", "0.5"]
    assert lesson.data["flow"].tolist() == ["1 7", "3 -1 -2", "0.5"]
    assert lesson.data["difference"].tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize(("n", "p"), [(1, 1), (4, 2), (20, 7), (3, 9)])
def test_the_jacobians_of_any_least_squares_agree_with_their_formulas(n, p):
    generator = torch.Generator().manual_seed(n)
    X, y, w = (torch.randn(shape, generator=generator, dtype=torch.float64) for shape in ((n, p), (n,), (p,)))
    lesson = least_squares_graph(X, y, w)
    assert lesson.data["difference"].max() <= 1e-14  # 2 z1 is formed as a sum or as a product
    flow = [float(value) for value in lesson.data["flow"][0].split()]
    np.testing.assert_allclose(flow, X.T @ (X @ w - y), rtol=1e-12, atol=1e-13)


def test_the_diagram_shows_the_numbers_the_symbols_and_the_product():
    figure = least_squares_graph().figure
    shown = [
        "".join(text.itertext()).replace("\N{ZERO WIDTH SPACE}", "")
        for text in ET.fromstring(figure.diagram).iter(f"{SVG}text")
    ]
    assert not figure.panels
    assert {"w", "z1", "z2", "f", "X", "2 z1T", "½"} <= set(shown)
    plain = [text.replace("\N{MINUS SIGN}", "-").replace("\N{MULTIPLICATION SIGN}", "x") for text in shown]
    assert {"6", "-2", "-4", "0.5"} <= set(plain)
    assert "∂f/∂w = ½ · 2 z1T · X = [1, 7], of sizes 1x1 · 1x3 · 3x2" in plain
    assert "Without the transpose nothing fits: ½ · 2 z1 · X would be 1x1 · 3x1 · 3x2." in plain


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(BadProblem, match=r"give \[n, p\], \[n\] and \[p\]"):
        least_squares_graph(torch.ones(3, 2), torch.ones(2), torch.ones(2))


def test_every_chart_can_be_drawn(square, entropy, tmp_path):
    for lesson in (square, entropy):
        for i, chart in enumerate(lesson.figure.panels.values()):
            assert images(chart, tmp_path / f"{lesson.slug}-{i}.svg").read_text().startswith("<svg")
