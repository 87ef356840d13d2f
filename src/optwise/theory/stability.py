"""Where constant steps lead: the rate in each direction, the floor under the risk, the largest stable step size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from optwise.core.errors import BadMethod
from optwise.core.method import Method
from optwise.core.problem import Problem
from optwise.core.quadratic import Noise
from optwise.theory.design_noise import Coordinates, stationary
from optwise.theory.linear_rules import LinearRule, Step
from optwise.theory.matrices import Floats, form, outer, spectral_radius, stacked_last
from optwise.theory.models import batch_of, closed, drawn_once, factors_of, quadratic_of
from optwise.theory.walks import constant_from

LOOKED_AT = 4096
"""Steps over which a rule must stay constant to have a rate and a floor."""

SPREAD = 512
"""Curvatures, evenly spread on a log scale, that stand for all where a direction's stability is its own affair."""

ROUNDING = 1e-13
"""By how much the factor of a direction that stands still may be computed as above 1."""

TOGETHER = 2**16
"""Settings times curvatures whose matrices are looked at together."""

SCANNED = (1e-6, 1e6, 241)
"""Ends and number of the step sizes, times 1 / h_max, among which the first unstable one is looked for."""


def constant_step(methods: Sequence[Method], curvatures: Floats) -> Step | None:
    """The step that constant hyperparameters settle on, at T settings; ``None`` where it keeps changing.

    A schedule that is constant counts as none.
    """
    if any(factors_of(method, LOOKED_AT) is not None for method in methods):
        return None
    constant = constant_from(LinearRule(methods, curvatures), LOOKED_AT)
    return None if constant is None else constant[1]


def rates(problem: Problem, method: Method) -> Floats | None:
    r"""Asymptotic factor per step on the error of each coordinate with curvature: the spectral radius of A(h).

    .. math:: \rho(A(h_i)), \qquad A(h) = M + h v e_1^\top

    The risk falls with its square. Above 1 the coordinate diverges. Coordinates without curvature, which no gradient
    moves, are left out.

    Returns:
        One number per coordinate with h above 0; ``None`` where the step keeps changing.

    Example:
        >>> from optwise.problems import nqm
        >>> from optwise.methods import SGD
        >>> rates(nqm(h=[1.0, 0.1]), SGD(lr=0.5)).round(12)
        array([0.5 , 0.95])
    """
    found = rates_of_each(problem, [method])
    return None if found is None else found[0]


def rates_of_each(problem: Problem, methods: Sequence[Method]) -> Floats | None:
    """The :func:`rates` of T settings of one linear rule [T, coordinates with h above 0].

    Example:
        >>> from optwise.problems import nqm
        >>> from optwise.methods import SGD
        >>> rates_of_each(nqm(h=[1.0, 0.1]), [SGD(lr=0.5), SGD(lr=3.0)]).round(12)
        array([[0.5 , 0.95],
               [2.  , 0.7 ]])
    """
    quadratic = quadratic_of(problem)
    h, places = np.unique(quadratic.h[quadratic.h > 0], return_inverse=True)
    parts = []
    for few in _few(methods, h.size):
        step = constant_step(few, h)
        if step is None:
            return None
        parts.append(spectral_radius(step.transition(h))[:, places])
    return np.concatenate(parts)


def _few(methods: Sequence[Method], curvatures: int) -> Iterator[list[Method]]:
    """Closed settings, as many at a time as memory takes easily."""
    length = max(1, TOGETHER // max(curvatures, 1))
    for first in range(0, len(methods), length):
        yield [closed(method) for method in methods[first : first + length]]


def rate(problem: Problem, method: Method) -> float:
    """Asymptotic factor per step on the error in the slowest direction; above 1 the method diverges, at this pace.

    Raises:
        BadMethod: The step keeps changing (a schedule, Polyak's average), so that there is no one factor.

    Example:
        >>> from optwise.problems import nqm
        >>> from optwise.methods import Momentum
        >>> round(rate(nqm(h=[1.0, 0.1]), Momentum(lr=0.5, momentum=0.9)), 12) == round(0.9**0.5, 12)
        True
    """
    found = rates(problem, method)
    if found is None:
        raise BadMethod(
            f"{method.label} changes its step as it goes, so there is no one rate; read the risk of a forecast instead."
        )
    return float(found.max(initial=0.0))


def floor(problem: Problem, method: Method, batch_size: float | None = None) -> float | None:
    r"""Limit of the expected risk under constant hyperparameters: what noise holds it up at.

    .. math:: \tfrac12 \sum_i h_i \, u^\top P_i u, \qquad P_i = A(h_i) P_i A(h_i)^\top + \tfrac{c_i}{B} v v^\top

    Args:
        problem: One that declares its quadratic.
        method: A closed linear rule.
        batch_size: B; ``None`` takes the problem's own.

    Returns:
        Infinity beyond stability; ``None`` where the step keeps changing, or batches are drawn without replacement.

    Example:
        >>> from optwise.problems import nqm
        >>> from optwise.methods import SGD
        >>> round(floor(nqm(h=[1.0]), SGD(lr=0.1), batch_size=1), 9)  # lr c / (2 (2 - lr h))
        0.026315789
    """
    found = floors(problem, [method], [batch_of(problem, batch_size)])
    return None if found is None else float(found[0, 0])


def floors(problem: Problem, methods: Sequence[Method], batch_sizes: Sequence[float]) -> Floats | None:
    """The :func:`floor` of T settings of one linear rule at each batch size [T, B].

    Args:
        problem: One that declares its quadratic.
        methods: T closed settings.
        batch_sizes: B of them, at least 1 each.

    Returns:
        Infinity beyond stability; ``None`` where the step keeps changing, or batches are drawn without replacement.

    Example:
        >>> from optwise.problems import nqm
        >>> from optwise.methods import SGD
        >>> floors(nqm(h=[1.0]), [SGD(lr=0.1), SGD(lr=1.0), SGD(lr=2.0)], [1, 4]).round(5)
        array([[0.02632, 0.00658],
               [0.5    , 0.125  ],
               [    inf,     inf]])
    """
    quadratic, sizes = quadratic_of(problem), np.array([batch_of(problem, size) for size in batch_sizes])
    if drawn_once(problem):
        return None
    at = Coordinates.of(quadratic)
    parts = []
    for few in _few(methods, at.h.size):
        step = constant_step(few, at.h)
        if step is None:
            return None
        if quadratic.noise is Noise.DESIGN:
            parts.append(np.stack([stationary(step, at, float(size)).floor for size in sizes], axis=1))
        else:
            parts.append(_additive_floors(step, at)[:, None] / np.where(_still(step), 1.0, sizes))
    return np.concatenate(parts)


def _still(step: Step) -> NDArray[np.bool_]:
    """Which settings take no steps, as with lr = 0: they leave the risk where it was [T, 1]."""
    return np.asarray(~np.any(step.v != 0, axis=(0, 2)))[:, None]


def _additive_floors(step: Step, at: Coordinates) -> Floats:
    """Limits of the risk for batches of one [T]; of a setting that takes no steps, the risk at the start."""
    A = step.transition(at.h)
    v, u = (np.broadcast_to(part, A.shape[1:]) for part in (step.v, step.u))
    stable = spectral_radius(A) < 1
    P = lyapunov(np.where(stable, A, 0.0), outer(v, v))
    limits = np.where(stable.all(1), form(P, u) @ (0.5 * at.h * at.count * at.c), np.inf)
    return np.where(_still(step)[:, 0], 0.5 * at.h @ (at.count * at.start), limits)


def lyapunov(A: Floats, Q: Floats) -> Floats:
    """The P with ``P = A P A^T + Q`` for stacks of stable matrices [m, m, ...], by one linear system each."""
    m = A.shape[0]
    kron = np.einsum("ij...,kl...->...ikjl", A, A).reshape(*A.shape[2:], m * m, m * m)
    right = stacked_last(Q).reshape(*Q.shape[2:], m * m, 1)
    solved = np.linalg.solve(np.eye(m * m) - kron, right)
    return np.moveaxis(solved.reshape(*A.shape[2:], m, m), (-2, -1), (0, 1))


def max_lr(problem: Problem, method: Method, batch_size: float | None = None) -> float:
    """Largest step size below which the second moments stay bounded, other hyperparameters as given.

    Additive noise leaves it at that of the noiseless method (2 / h_max for gradient descent, 2 (1 + momentum) / h_max
    for heavy ball), for which 512 curvatures from the least to the largest are looked at where there are more. For
    least squares on fresh rows it grows with the batch size.

    Args:
        problem: One that declares its quadratic.
        method: A linear rule; its ``lr`` is not looked at, and may be open.
        batch_size: B; ``None`` takes the problem's own.

    Returns:
        Infinity where no step up to a million over the largest curvature is unstable.

    Raises:
        BadMethod: The step keeps changing (a schedule, Polyak's average).

    Example:
        >>> from optwise.problems import nqm
        >>> from optwise.methods import Momentum
        >>> round(max_lr(nqm(h=[4.0, 1.0]), Momentum(lr=1.0, momentum=0.9)), 9)
        0.95
    """
    quadratic, batch = quadratic_of(problem), batch_of(problem, batch_size)
    at = Coordinates.of(quadratic)
    if at.h.size == 0:
        return float("inf")
    if quadratic.noise is not Noise.DESIGN and at.h.size > SPREAD:
        at = at.some(np.unique(np.searchsorted(at.h, np.geomspace(at.h[0], at.h[-1], SPREAD)).clip(max=at.h.size - 1)))

    def unstable(lrs: Floats) -> NDArray[np.bool_]:
        settings = [method.close({"lr": float(lr)}) for lr in lrs]
        return np.concatenate([_unstable(few, problem, at, batch) for few in _few(settings, at.h.size)])

    low, high, count = SCANNED
    scanned = np.geomspace(low, high, count) / at.h[-1]
    found = np.flatnonzero(unstable(scanned))
    if found.size == 0:
        return float("inf")
    if found[0] == 0:
        return 0.0
    below, above = scanned[found[0] - 1], scanned[found[0]]
    while above - below > 4e-16 * above:
        inside = np.linspace(below, above, 34)[1:-1]  # 32 at a time: a factor of 33 each round
        bad = np.flatnonzero(unstable(inside))
        edge = int(bad[0]) if bad.size else inside.size
        new = (below if edge == 0 else inside[edge - 1], above if edge == inside.size else inside[edge])
        if new == (below, above):
            break
        below, above = new
    return float(below)


def _unstable(methods: Sequence[Method], problem: Problem, at: Coordinates, batch: float) -> NDArray[np.bool_]:
    """Which settings let second moments grow [T]."""
    step = constant_step(methods, at.h)
    if step is None:
        raise BadMethod(
            f"{methods[0].label} changes its step as it goes, so that no one step size bounds it; take its schedule "
            "and its average away."
        )
    if quadratic_of(problem).noise is Noise.DESIGN:
        return ~(stationary(step, at, batch).gain < 1)
    # the flattest directions hardly move, and rounding may put their factor at 1 or just beyond
    return np.asarray(~(spectral_radius(step.transition(at.h)).max(-1) <= 1 + ROUNDING))
