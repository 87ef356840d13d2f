"""What solvers will cost before they run: iterations by theory times work by counting, scaled by fitted factors."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from optwise.analyses.fitted_costs import FITTED, FLOP_SECONDS, NUMBER_SECONDS, OPERATION_SECONDS
from optwise.analyses.prices import Prices, products_seconds
from optwise.core.composite import Composite
from optwise.core.loss import LinearModel

SAMPLED = 128
"""Rows of a design that are looked at."""
UNKNOWN_CONDITION = 1e4
"""Condition number assumed where nothing is known."""
EXACT = frozenset({"cholesky", "qr", "svd", "proximal-newton", "taut-string"})
"""Solvers that end with an exact answer or exact zeros rather than near one."""
TIE = 0.8
"""Factor on what those are predicted to take when solvers are ranked: predictions are no closer than that."""
KNOWN = 1 / 30
"""The same for a damped method that knows f to be a sum of squares: the others rarely come as far, however quickly."""
_PREFERRED: Mapping[str, float] = {**dict.fromkeys(EXACT, TIE), "levenberg-marquardt": KNOWN}
_JACOBIANS = frozenset({"gauss-newton", "levenberg-marquardt"})


@dataclass(frozen=True)
class Features:
    """What the cost of a solver depends on.

    Args:
        examples: n, rows of the design or residuals; 0 for a function without structure.
        parameters: p.
        condition: Of the Hessian, a guess where it is not known.
        gradient_seconds: Of one value and gradient.
        simple_seconds: Of what an iteration asks of the simple parts: a proximal map, a projection, the operator.
        rows: m, of the operator before the penalty.
        tol: What is asked for.
        dense: Whether the entries of the design are at hand.
        convex: Whether the smooth part is known to be convex.
        quadratic: Whether it is known to be quadratic.
        banded: Whether the operator times its transpose is tridiagonal.
    """

    examples: int
    parameters: int
    condition: float
    gradient_seconds: float
    simple_seconds: float = 0.0
    rows: int = 0
    tol: float = 1e-6
    dense: bool = True
    convex: bool = True
    quadratic: bool = False
    banded: bool = False

    @property
    def iteration_seconds(self) -> float:
        """Of one gradient and one question to each of the simple parts."""
        return self.gradient_seconds + self.simple_seconds

    @property
    def newton_steps(self) -> float:
        """Newton steps to a minimum: the last few double the digits, and what comes before is longer without a bowl."""
        return 2.0 if self.quadratic else 10.0 * self.roughness

    @property
    def roughness(self) -> float:
        """How many times as many iterations as on a convex function, whose theory is counted, are expected."""
        return 1.0 if self.convex else 4.0

    @property
    def digits(self) -> float:
        """Natural logarithm of the accuracy asked for."""
        return math.log(1 / self.tol)

    @property
    def root(self) -> float:
        """Square root of the condition number, at most the largest a method meets before rounding stops it."""
        return math.sqrt(min(self.condition, 1e16))


def features(
    problem: Composite,
    start: Tensor,
    gradient_seconds: float,
    simple_seconds: float = 0.0,
    condition: float | None = None,
) -> Features:
    """The features of a problem.

    Args:
        problem: As solvers see it.
        start: Where it starts [p].
        gradient_seconds: Of a function without structure, from :func:`~optwise.analyses.prices.prices_of`; a linear
            model's is computed from its size.
        simple_seconds: Of one question to each of the simple parts, from there as well.
        condition: An estimate of the Hessian's condition number, where somebody has one.
    """
    smooth, model = problem.smooth, problem.smooth.model
    n = 0 if model is None else model.examples
    if smooth.residuals is not None:
        n = smooth.residuals.value(start).numel()
    dense = model is not None and model.X.matrix is not None
    seconds = gradient_seconds
    if dense:
        seconds = products_seconds(n, problem.dimension)
    known = condition if condition is not None or model is None else _condition(model)
    return Features(
        examples=n,
        parameters=problem.dimension,
        condition=UNKNOWN_CONDITION if known is None else known,
        gradient_seconds=seconds,
        simple_seconds=simple_seconds,
        rows=0 if problem.operator is None else problem.operator.shape[0],
        tol=problem.tol,
        dense=dense,
        convex=smooth.convex,
        quadratic=model is not None and model.loss.quadratic,
        banded=problem.operator is not None and problem.operator.gram_bands is not None,
    )


def _condition(model: LinearModel) -> float | None:
    """A guess at the condition number under a ridge, from the length of some rows: no pass over the whole design."""
    matrix = model.X.matrix
    if matrix is None or model.l2 <= 0:
        return None
    n, p = matrix.shape
    looked_at = matrix[:SAMPLED]
    square = float(torch.linalg.vector_norm(looked_at)) ** 2 / max(len(looked_at), 1)
    trace = model.scale * n * model.loss.smoothness * square
    return 1.0 + trace / (math.sqrt(min(n, p)) * model.l2)  # the largest eigenvalue lies between trace / rank and trace


def predicted_seconds(method: str, of: Features) -> float:
    """Seconds a solver will take; infinite where it has no cost model.

    Args:
        method: Its label, as in ``fista``.
        of: The problem's features.

    Example:
        >>> small, large = Features(200, 10, 100.0, 1e-4), Features(200, 1000, 100.0, 1e-4)
        >>> predicted_seconds("cholesky", small) < predicted_seconds("cholesky", large)
        True
    """
    overhead, factor = FITTED.get(method, (0.0, 1.0))
    return overhead + factor * computed_seconds(method, of)


def rank(method: str, of: Features) -> float:
    """What solvers are ordered by: predicted seconds, less where the answer is exact or the method knows what f is.

    Args:
        method: Its label.
        of: The problem's features.
    """
    return predicted_seconds(method, of) * _PREFERRED.get(method, 1.0)


def computed_seconds(method: str, of: Features) -> float:
    """Seconds by theory and counting alone, nothing fitted; infinite where there is no model of the solver.

    Args:
        method: Its label.
        of: The problem's features.
    """
    cost = _COSTS.get(method)
    return math.inf if cost is None else cost(of)


def spent_seconds(method: str, of: Features, prices: Prices, iterations: int, counts: Mapping[str, float]) -> float:
    """What a solver has spent, in the seconds of :func:`predicted_seconds`, by counting alone.

    Args:
        method: Its label.
        of: The problem's features.
        prices: Of the problem's questions.
        iterations: Done so far.
        counts: Questions and factorisations so far, by name.
    """
    n, p = of.examples or of.parameters, of.parameters
    order = min(n, p)
    if method in _JACOBIANS:
        factorised = 8.0 * n * p**2
    else:
        used = order / 5 if method == "proximal-newton" else order
        factorised = used**3 / 3
    own = 40 * OPERATION_SECONDS + (6 * p**2 * NUMBER_SECONDS if method == "bfgs" else 0.0)
    return prices.asked(counts) + counts.get("factorizations", 0.0) * factorised * FLOP_SECONDS + iterations * own


def _gradients(count: Callable[[Features], float], *, operations: float = 20.0) -> Callable[[Features], float]:
    """So many iterations, each with a gradient, the simple parts and some small operations."""
    return lambda of: of.roughness * count(of) * (of.iteration_seconds + operations * OPERATION_SECONDS)


def _flops(count: Callable[[float, float], float]) -> Callable[[Features], float]:
    """A factorisation of a design of n rows and p columns."""
    return lambda of: count(of.examples, of.parameters) * FLOP_SECONDS + 20 * OPERATION_SECONDS


def _small(of: Features) -> float:
    return float(min(of.examples or of.parameters, of.parameters))


def _semismooth_newton(of: Features) -> float:
    """Steps with a Hessian and several factorisations of parts of it."""
    n, p = of.examples, of.parameters
    hessian = n * p**2 * FLOP_SECONDS if of.dense else 2 * p * of.gradient_seconds
    factorised = 5 * p**3 / 3 * FLOP_SECONDS
    return of.newton_steps * (hessian + factorised + of.gradient_seconds + 300 * OPERATION_SECONDS)


def _newton(of: Features) -> float:
    """Steps with a Hessian and its factorisation; of a dense design the smaller side counts."""
    p = of.parameters
    hessian, order = 2 * p * of.gradient_seconds, float(p)
    if of.dense:
        order = _small(of)
        hessian = max(of.examples, p) * order**2 * FLOP_SECONDS
    factorised = order**3 / 3 * FLOP_SECONDS
    return of.newton_steps * (hessian + factorised + of.gradient_seconds + 40 * OPERATION_SECONDS)


def _jacobians(of: Features) -> float:
    """A dozen iterations, each with a Jacobian by as many passes as it is short, and its singular values."""
    n, p = of.examples, of.parameters
    passes = (min(n, p) + 1) * of.gradient_seconds
    return 12 * (passes + 8 * n * p**2 * FLOP_SECONDS + 80 * OPERATION_SECONDS)


def _newton_cg(of: Features) -> float:
    inner = min(of.root, 2.0 * of.parameters, 200.0)
    return of.newton_steps * (1 + inner) * (of.gradient_seconds + 10 * OPERATION_SECONDS)


def _quasi_newton(of: Features) -> float:
    """A dense inverse Hessian, moved and multiplied at each step."""
    steps = of.roughness * min(2 * of.root, 2.0 * of.parameters + 20)
    return steps * (of.gradient_seconds + 6 * of.parameters**2 * NUMBER_SECONDS + 60 * OPERATION_SECONDS)


def _working_sets(of: Features) -> float:
    """Products with the whole design, and Newton steps with the columns that are in use."""
    used = min(of.examples, of.parameters) / 5
    steps = 40 * (used**3 / 3 * FLOP_SECONDS + 60 * OPERATION_SECONDS)
    return 6 * of.gradient_seconds + steps + of.examples * used**2 * FLOP_SECONDS


def _interior_point(of: Features) -> float:
    """About fifteen factorisations of a banded matrix, or of one of the smaller size."""
    if of.banded:
        return 15 * (60 * OPERATION_SECONDS + 30 * of.rows * NUMBER_SECONDS)
    size = float(of.parameters)
    return 15 * ((max(of.rows, of.examples) * size**2 + size**3 / 3) * FLOP_SECONDS + 60 * OPERATION_SECONDS)


def _dense_splitting(of: Features) -> float:
    """A factorisation, then many solves with it."""
    size = max(of.parameters, of.rows)
    start = (of.examples + size) * size**2 * FLOP_SECONDS
    return start + 400 * (2 * size**2 * NUMBER_SECONDS + of.iteration_seconds + 30 * OPERATION_SECONDS)


_COSTS: Mapping[str, Callable[[Features], float]] = {
    "cholesky": _flops(lambda n, p: max(n, p) * min(n, p) ** 2 + min(n, p) ** 3 / 3),
    "qr": _flops(lambda n, p: 2 * (n + p) * p**2 if p > n else 2 * n * p**2),  # a ridge stands below short designs
    "svd": _flops(lambda n, p: 6 * max(n, p) * min(n, p) ** 2 + 20 * min(n, p) ** 3),
    "conjugate-gradient": _gradients(lambda of: min(of.root * of.digits / 2, 3 * _small(of))),
    "lsqr": _gradients(lambda of: min(of.root * of.digits / 2, 3 * _small(of))),
    "lsmr": _gradients(lambda of: min(of.root * of.digits / 2, 3 * _small(of))),
    "gradient-descent": _gradients(lambda of: of.condition * of.digits / 2),
    "armijo-descent": _gradients(lambda of: of.condition * of.digits / 2),
    "wolfe-descent": _gradients(lambda of: of.condition * of.digits / 2, operations=40),
    "barzilai-borwein": _gradients(lambda of: 2 * of.root * of.digits),
    "accelerated-gradient": _gradients(lambda of: of.root * of.digits, operations=30),
    "nonlinear-cg": _gradients(lambda of: of.root * of.digits, operations=60),
    "bfgs": _quasi_newton,
    "lbfgs": _gradients(lambda of: of.root * of.digits / 4 + 10, operations=60),
    "lbfgsb": _gradients(lambda of: of.root * of.digits / 4 + 10, operations=200),
    "newton": _newton,
    "newton-cg": _newton_cg,
    "trust-region": lambda of: 1.2 * _newton_cg(of),
    "gauss-newton": lambda of: 1.5 * _jacobians(of),  # where it loses rank it stalls, and another goes on
    "levenberg-marquardt": _jacobians,
    "projected-gradient": _gradients(lambda of: 2 * of.root * of.digits, operations=40),
    "proximal-gradient": _gradients(lambda of: of.condition * of.digits / 2, operations=40),
    "fista": _gradients(lambda of: of.root * of.digits, operations=40),
    "proximal-newton": _working_sets,
    "semismooth-newton": _semismooth_newton,
    "douglas-rachford": _dense_splitting,
    "admm": _dense_splitting,
    "semismooth-augmented-lagrangian": lambda of: 0.5 * _dense_splitting(of),
    "pdhg": _gradients(lambda of: 4 * of.root * of.digits, operations=60),
    "frank-wolfe": _gradients(lambda of: 10 * of.condition**0.5 * of.digits, operations=60),
    "dual-interior-point": _interior_point,
    "taut-string": lambda of: 2e-6 * (of.parameters + 100),
    "nelder-mead": _gradients(lambda of: 200.0 * of.parameters**2, operations=40),
}
