"""Any function, any sum of squares, any sum of a smooth and a simple term: the caller's own formulas."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

import torch
from torch import Tensor

from optwise.core.constraint import ConstraintSet
from optwise.core.errors import BadProblem
from optwise.core.penalty import Penalty
from optwise.core.problem import Problem
from optwise.core.smooth import Smooth
from optwise.numerics.finiteness import all_finite
from optwise.problems.formulations.assembling import of_term
from optwise.problems.formulations.bounds import read_bounds
from optwise.problems.formulations.parts import Within, read_constraint, read_penalty, with_parts
from optwise.problems.formulations.reading import (
    Matrix,
    Numbers,
    in_words,
    nonnegative,
    read_design,
    read_vector,
    scale_of,
)
from optwise.problems.gradients import function_without_gradients, part_without_gradients, without_gradients
from optwise.problems.terms.functions import FunctionTerm
from optwise.problems.terms.residuals import FunctionResiduals, ResidualTerm

Function = Callable[[Tensor], Tensor]
AnyTerm = TypeVar("AnyTerm", bound=Smooth)


@without_gradients
def smooth(
    f: Function,
    w0: Numbers,
    bounds: Within = None,
    *,
    gradient: Function | None = None,
    hvp: Callable[[Tensor, Tensor], Tensor] | None = None,
    convex: bool = False,
    lipschitz: float | None = None,
    penalty: Penalty | None = None,
    constraint: Within = None,
    name: str = "smooth",
) -> Problem:
    r"""Any differentiable function, within bounds or a set, with a penalty or without.

    .. math:: \min_{w \in C} f(w) + g(w), \qquad C = \{ w : l \le w \le h \} \text{ for bounds}

    As in ``scipy.optimize.minimize``, but f takes and gives a tensor, so that autograd has its derivatives.

    Args:
        f: From a vector [p] to a tensor without dimensions, written with torch.
        w0: Where to start [p]; its dtype is the problem's. Moved within the bounds where it lies outside.
        bounds: ``(low, high)``, numbers or arrays [p], ``None`` being no bound; or as in scipy one pair (a list or
            tuple) for each coordinate, or ``scipy.optimize.Bounds``.
        gradient: The gradient [p], where it is known in closed form.
        hvp: Hessian at a point times a vector, likewise.
        convex: Whether f is convex. Solvers and certificates believe it.
        lipschitz: A bound of the Lipschitz constant of the gradient, where one is known. They believe that as well.
        penalty: A further term, such as ``ow.penalties.L1(0.1)``, its weight inside.
        constraint: A set in the place of bounds, such as ``ow.sets.Simplex()``; the start is moved into it.
        name: Printed everywhere.

    Raises:
        BadProblem: A start that is not one vector of finite floating-point numbers, a function that fails there, is not
            finite, no scalar, or out of autograd's sight, bounds that cross or do not fit.

    Example:
        >>> problem = smooth(lambda w: (w - 3).square().sum(), [0.0, 0.0], (None, 1.0), convex=True)
        >>> problem.constraint.project(torch.tensor([3.0, 0.0], dtype=torch.float64))
        tensor([1., 0.], dtype=torch.float64)
    """
    if bounds is not None and constraint is not None:
        raise BadProblem("smooth has both bounds and a constraint; give one of them, bounds as constraint=(low, high).")
    start = read_vector(w0, "w0")
    within = _set_of(bounds, constraint, start, name)
    start = start if within is None else within.project(start)
    term = FunctionTerm(
        f,
        start.numel(),
        gradient=gradient,
        product=hvp,
        is_convex=convex,
        gradient_lipschitz=None if lipschitz is None else nonnegative(lipschitz, "lipschitz"),
    )
    term = _sound(term, start)
    return with_parts(of_term(name, term, start), penalty=penalty, constraint=within)


@without_gradients
def nonlinear_least_squares(
    residual: Function,
    w0: Numbers,
    *,
    jacobian: Function | None = None,
    reduction: str = "mean",
    penalty: Penalty | None = None,
    constraint: Within = None,
    name: str = "nonlinear-least-squares",
) -> Problem:
    r"""A sum of squares of residuals that depend on the parameters in any way.

    .. math:: \min_w \frac{1}{2m} \sum_{i=1}^m r_i(w)^2, \qquad
        \text{with reduction="sum": } \tfrac12 \sum_{i=1}^m r_i(w)^2

    The sum with its half is ``scipy.optimize.least_squares``'s ``cost``; MINPACK and the collections of test problems
    give it without the half.

    Args:
        residual: r, from a vector [p] to residuals [m], written with torch.
        w0: Where to start [p]; its dtype is the problem's.
        jacobian: The Jacobian [m, p], where it is known in closed form; else it comes from autograd.
        reduction: ``"mean"`` or ``"sum"`` of the squares.
        penalty: A further term, such as ``ow.penalties.L1(0.1)``, its weight inside; never averaged.
        constraint: A set, such as ``ow.sets.Simplex()``, or bounds as :func:`smooth` takes them; the start is moved
            into it.
        name: Printed everywhere.

    Raises:
        BadProblem: A start that is not one vector of finite floating-point numbers, residuals that fail there, are not
            finite, not one vector, or out of autograd's sight, a Jacobian of another shape, an unknown reduction.

    Example:
        >>> problem = nonlinear_least_squares(lambda w: torch.stack([w[0] - 1, 10 * (w[1] - w[0] ** 2)]), [-1.2, 1.0])
        >>> round(float(problem.smooth.value(problem.start(0)[0]["w"])), 9)  # a quarter of Rosenbrock's 24.2
        6.05

    References:
        Moré (1978), The Levenberg-Marquardt algorithm: implementation and theory.
    """
    start = read_vector(w0, "w0")
    within = _set_of(None, constraint, start, name)
    start = start if within is None else within.project(start)
    point = start.clone().requires_grad_()
    found = _evaluated(residual, point, "residual")
    if found.ndim != 1 or found.numel() == 0:
        raise BadProblem(f"residual(w0) has shape {tuple(found.shape)}; return one vector, at least one residual long.")
    _refuse_not_finite(found, "residual(w0)")
    _refuse_detached(found, "residual(w0)")
    residual = function_without_gradients(residual, found, point, "residual")
    if jacobian is not None:
        matrix = _evaluated(jacobian, start, "jacobian")
        if matrix.shape != (found.numel(), start.numel()):
            raise BadProblem(
                f"jacobian(w0) has shape {tuple(matrix.shape)} for {found.numel()} residuals and {start.numel()} "
                "parameters; return a row for each residual."
            )
    residuals = FunctionResiduals(residual, weight=scale_of(reduction, found.numel()), derivative=jacobian)
    problem = of_term(name, ResidualTerm(residuals, start.numel()), start)
    return with_parts(problem, penalty=penalty, constraint=within)


@without_gradients
def composite(
    f: Smooth | Function,
    g: Penalty | None = None,
    A: Matrix | None = None,
    *,
    w0: Numbers,
    convex: bool = False,
    penalty: Penalty | None = None,
    constraint: Within = None,
    name: str = "composite",
) -> Problem:
    r"""A sum of a smooth term and one that has a proximal map, over a simple set.

    .. math:: \min_{w \in C} f(w) + g(A w)

    Args:
        f: A ``Smooth`` of dimension p, such as ``QuadraticTerm(H, b)``; or a function as :func:`smooth` takes it.
        g: A ``Penalty``, such as ``ow.penalties.L1(0.1)``, its weight inside; ``None`` is none.
        A: Matrix or ``LinearOperator`` [m, p]; ``None`` is the identity.
        w0: Where to start [p]; its dtype is the problem's.
        convex: Whether a function f is convex; a ``Smooth`` says so itself.
        penalty: A further term of w itself, beside g.
        constraint: C, such as ``ow.sets.Simplex()``, or bounds as :func:`smooth` takes them.
        name: Printed everywhere.

    Raises:
        BadProblem: Parts that are none or do not fit each other, a start or a function that :func:`smooth` refuses.

    Example:
        >>> from optwise.problems.terms.functions import QuadraticTerm
        >>> from optwise.problems.terms.penalties import L1
        >>> H, b = torch.eye(2).double(), torch.tensor([-3.0, 0.5]).double()
        >>> problem = composite(QuadraticTerm(H, b), L1(1.0), w0=[0.0, 0.0])
        >>> problem.penalty.prox(-b, 1.0)  # the answer
        tensor([2., -0.], dtype=torch.float64)
    """
    if g is None and A is not None:
        raise BadProblem("composite has an operator A and no penalty g behind it; give g, or leave A out.")
    start = read_vector(w0, "w0")
    within = _set_of(None, constraint, start, name)
    start = start if within is None else within.project(start)
    p = start.numel()
    if not isinstance(f, Smooth) and not callable(f):
        raise BadProblem(f"f is of type {type(f).__name__}; give a function of one vector, or a Smooth.")
    if isinstance(f, Smooth):
        term: Smooth = part_without_gradients(f, "f")
    else:
        term = FunctionTerm(f, p, is_convex=convex)
    if term.dimension != p:
        raise BadProblem(f"f takes {term.dimension} parameters and w0 has {p}; make them equal.")
    term = _sound(term, start)
    operator = None if A is None else read_design(A, "A", like=start).operator
    if operator is not None and operator.shape[1] != p:
        raise BadProblem(f"A has {operator.shape[1]} columns and w0 has {p} numbers; make them equal.")
    image = start if operator is None else _evaluated(operator.forward, start, "A")
    behind = None if g is None else read_penalty(g, image, "A w" if A is not None else name, name="g")
    problem = replace(of_term(name, term, start, penalty=behind), operator=operator)
    return with_parts(problem, penalty=penalty, constraint=within)


def _set_of(bounds: Within, constraint: Within, start: Tensor, name: str) -> ConstraintSet | None:
    """The set that bounds or a constraint say, for points like ``start``."""
    if isinstance(bounds, ConstraintSet):
        raise BadProblem(f"bounds is the set {type(bounds).__name__}; give it as constraint=.")
    if bounds is not None:
        return read_bounds(bounds, start)
    return None if constraint is None else read_constraint(constraint, start, name)


def _sound(term: AnyTerm, start: Tensor) -> AnyTerm:
    """The term, if it can be evaluated and differentiated at the start; a function of the caller as one of w alone."""
    point = start.clone().requires_grad_(isinstance(term, FunctionTerm))
    value = _evaluated(term.value, point, "f")
    if value.ndim > 0:
        raise BadProblem(f"f(w0) has shape {tuple(value.shape)}; return a single number, as .sum() or .mean() do.")
    _refuse_not_finite(value, "f(w0)")
    if isinstance(term, FunctionTerm):
        _refuse_detached(value, "f(w0)")
        term = replace(term, function=function_without_gradients(term.function, value, point, "f"))
    try:
        slope: object = term.value_and_gradient(start)[1]
    except Exception as error:
        raise BadProblem(f"The gradient of f fails at w0: {in_words(error)}") from error
    if not isinstance(slope, Tensor):
        raise BadProblem(f"The gradient of f is of type {type(slope).__name__}; return a tensor, computed with torch.")
    if slope.shape != start.shape:
        raise BadProblem(f"The gradient of f has shape {tuple(slope.shape)} and w0 has {start.numel()} numbers.")
    _refuse_not_finite(slope, "The gradient of f at w0")
    return term


def _evaluated(function: Function, point: Tensor, name: str) -> Tensor:
    try:
        with torch.enable_grad():
            value = function(point)
    except Exception as error:
        raise BadProblem(f"{name} fails at w0: {in_words(error)}") from error
    if not isinstance(value, Tensor):
        raise BadProblem(f"{name} gives {type(value).__name__} at w0; return a tensor, computed with torch.")
    return value


def _refuse_not_finite(values: Tensor, name: str) -> None:
    if not all_finite(values):
        shown = float(values.detach()[~torch.isfinite(values)].reshape(-1)[0])
        raise BadProblem(f"{name} is {shown:g}; start where it is finite.")


def _refuse_detached(value: Tensor, name: str) -> None:
    if not value.requires_grad:
        raise BadProblem(
            f"{name} does not depend on w in a way that autograd sees; compute it with torch alone, without numpy, "
            ".item() or .detach()."
        )
