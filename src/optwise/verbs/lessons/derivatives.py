"""The lessons on derivatives: the best linear approximation, the graph of least squares, the loss of one answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor

from optwise.analyses.autograd_graph import read_graph
from optwise.core.errors import BadProblem
from optwise.numerics.derivatives import vjp
from optwise.numerics.difference_quotients import one_sided_derivatives
from optwise.numerics.remainders import remainders
from optwise.report.lessons import cross_entropy as entropy
from optwise.report.lessons import least_squares_graph as squares
from optwise.report.lessons import linear_approximation as lines
from optwise.verbs.lessons.declared import CrossEntropy, SquaresGraph, Tangent
from optwise.verbs.lessons.lesson import Lesson

REACH, POINTS = 2.0, 161
"""How far to both sides of the point the function is drawn, and on how many points."""
COMPETITORS = ((1.0, 0.0), (-1.0, 0.0), (0.5, 0.25), (-0.5, 0.25))
"""Other lines, as slope beyond the tangent's and height above the point: those of the lecture's figure, x² near 0."""
PUBLISHED = CrossEntropy()
STEPS = 10.0 ** -np.arange(0.0, 4.01, 0.25)
FUNCTIONS: Mapping[str, tuple[Callable[[Tensor], Tensor], str]] = {
    "square": (torch.square, "x²"),
    "cube": (lambda x: x**3, "x³"),
    "exp": (torch.exp, "exp(x)"),
    "sin": (torch.sin, "sin(x)"),
    "cos": (torch.cos, "cos(x)"),
    "tanh": (torch.tanh, "tanh(x)"),
    "softplus": (F.softplus, "ln(1 + exp(x))"),
    "abs": (torch.abs, "|x|"),
}
"""Functions that have a name on the command line, and how they are written."""


def tangent(asked: Tangent) -> Lesson:
    """Why the tangent is the best line, and |x| has none at 0 (recap figure 2.1, for any smooth f and any a)."""
    f, formula = FUNCTIONS[asked.f]
    return replace(best_linear_approximation(f, asked.a, formula=formula), parameters=asked)


def squares_graph(asked: SquaresGraph) -> Lesson:
    """The local Jacobians of least squares on torch's own graph, and their product (recap figure 2.2, any n x p)."""
    X, y, w = (torch.tensor(values, dtype=torch.float64) for values in (asked.X, asked.y, asked.w))
    return replace(least_squares_graph(X, y, w), parameters=asked)


def best_linear_approximation(
    f: Callable[[Tensor], Tensor] = torch.square, a: float = 0.0, *, formula: str = "x²"
) -> Lesson:
    """Why the tangent is the best line, and |x| has none at 0 (recap figure 2.1, for any smooth f and any a).

    Args:
        f: Of one number, elementwise on tensors, differentiable at ``a``.
        a: Where.
        formula: How f is written on the figure.

    Raises:
        BadProblem: f is not differentiable at ``a``: its one-sided slopes differ.

    Example:
        >>> best_linear_approximation(torch.exp, 0.0, formula="exp(x)").figure.question
        'Which line is the best approximation of exp(x) near 0?'
    """
    at = torch.tensor(a, dtype=torch.float64)
    value, slope = float(f(at)), float(vjp(f, at, torch.ones_like(at)))
    left, right = _sides(f, at)
    if abs(right - left) > 1e-6 * max(1.0, abs(right)):
        raise BadProblem(
            f"{formula} is not differentiable at {a:g}: its slope is {left:g} on the left and {right:g} on the right; "
            "choose another point."
        )
    x = np.linspace(a - REACH, a + REACH, POINTS)
    unit = _unit(float(np.abs(_values(f, x) - value).max()))
    others = [(slope + unit * steeper, unit * offset) for steeper, offset in COMPETITORS]
    drawn = lines.line_rows(x, _values(f, x), at=(a, value), slope=slope, others=others)
    ahead, behind = _values(f, a + STEPS), _values(f, a - STEPS)
    ratios = lines.ratio_rows(STEPS, ahead, behind, value=value, slope=slope, others=others)
    every = np.linspace(-REACH, REACH, POINTS)
    # |x| leaves 1 of a slope of 0: both curves end at one height
    own = lines.limit_rows(f"{formula} at {a:g}", slope + every * (1 + REACH) / REACH, sides=(left, right))
    kinked = lines.limit_rows("|x| at 0", every, sides=_sides(torch.abs, torch.zeros_like(at)))
    limits = pd.concat([own, kinked], ignore_index=True)
    exponent = remainders(f, at, torch.ones_like(at)).slope
    figure = lines.linear_approximation_figure(drawn, ratios, limits, formula=formula, at=a, exponent=exponent)
    panels = {"lines": drawn, "ratios": ratios, "limits": limits}
    data = pd.concat([rows.assign(panel=name) for name, rows in panels.items()], ignore_index=True)
    return Lesson(figure.anchor, figure, data)


def cross_entropy(asked: CrossEntropy = PUBLISHED) -> Lesson:
    """What a predicted probability costs under each label (recap figure 2.3)."""
    q = np.concatenate([[0.001, 0.0025], np.linspace(0.005, 0.995, 199), [0.9975, 0.999]])
    curves = entropy.loss_rows(q, _losses(q, label=0), _losses(q, label=1))
    marked = np.array(asked.marks)
    marks = entropy.loss_rows(marked, _losses(marked, label=0), _losses(marked, label=1))
    marks = marks[marks["label"] == asked.label].reset_index(drop=True)
    # equal where q and 1 - q are: the only prediction with one answer for both labels
    half = np.array([0.5])
    crossing = (0.5, float(_losses(half, label=0)[0]))
    figure = entropy.cross_entropy_figure(curves, marks, crossing)
    rows = {
        "curve": curves,
        "mark": marks,
        "crossing": entropy.loss_rows(half, _losses(half, label=0), _losses(half, label=1)),
    }
    data = pd.concat([part.assign(kind=name) for name, part in rows.items()], ignore_index=True)
    return Lesson(figure.anchor, figure, data, asked)


def least_squares_graph(X: Tensor | None = None, y: Tensor | None = None, w: Tensor | None = None) -> Lesson:
    """The local Jacobians of least squares on torch's own graph, and their product (recap figure 2.2, any n x p).

    Args:
        X: Data [n, p]; a small example by default.
        y: Targets [n].
        w: Parameters [p].

    Raises:
        BadProblem: The shapes do not fit.

    Example:
        >>> lesson = least_squares_graph()
        >>> lesson.data[["symbol", "rows", "columns", "difference"]]
           symbol  rows  columns  difference
        0       X     3        2         0.0
        1  2 z₁ᵀ     1        3         0.0
        2       ½     1        1         0.0
    """
    X = torch.tensor([[1.0, 2.0], [0.0, 1.0], [1.0, -1.0]]) if X is None else X
    y = torch.tensor([1.0, 2.0, 3.0]) if y is None else y
    w = torch.tensor([2.0, 1.0]) if w is None else w
    if X.ndim != 2 or y.shape != X.shape[:1] or w.shape != X.shape[1:]:
        raise BadProblem(
            f"X has shape {tuple(X.shape)}, y {tuple(y.shape)} and w {tuple(w.shape)}; give [n, p], [n] and [p]."
        )
    X, y = X.double(), y.double()
    w = w.detach().double().requires_grad_(True)
    z1 = X @ w - y
    z2 = z1.square().sum()
    f = z2 / 2
    named = {squares.W: w, squares.Z1: z1, squares.Z2: z2, squares.F: f}
    graph = read_graph(f, named, largest=X.numel() + len(y) ** 2).condensed(list(named))
    half = torch.full((1, 1), 0.5, dtype=torch.float64)
    rows = squares.jacobian_rows(graph, dict(zip(squares.SYMBOLS, (X, 2 * z1.detach()[None, :], half), strict=True)))
    (gradient,) = torch.autograd.grad(f, w)
    figure = squares.least_squares_graph_figure(graph, rows, gradient)
    return Lesson(figure.anchor, figure, rows)


def _unit(rise: float) -> float:
    """How much steeper competitors are than those of x², which rises by 4, where f rises by much more or less."""
    unit = rise / REACH**2
    return 1.0 if 0.5 <= unit <= 2 or unit == 0 else float(f"{unit:.0e}")


def _sides(f: Callable[[Tensor], Tensor], at: Tensor) -> tuple[float, float]:
    """Slope to the left and to the right."""
    one = torch.ones_like(at)
    ahead, behind = one_sided_derivatives(f, at, [one, -one]).value.tolist()
    return -behind, ahead


def _values(f: Callable[[Tensor], Tensor], x: lines.Floats) -> lines.Floats:
    return f(torch.from_numpy(x)).numpy()


def _losses(q: entropy.Floats, *, label: int) -> entropy.Floats:
    predicted = torch.from_numpy(q)
    return F.binary_cross_entropy(predicted, torch.full_like(predicted, label), reduction="none").numpy()
