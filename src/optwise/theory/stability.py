"""Where constant steps lead: the rate in each direction, the floor under the risk, the largest stable step size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from optwise.core.errors import BadMethod
from optwise.core.method import Method
from optwise.core.problem import Problem
from optwise.core.quadratic import Noise, Quadratic
from optwise.theory.coordinates import Coordinates
from optwise.theory.design_noise import EDGE, risk_rate, stationary
from optwise.theory.limits import limits, reached_by_gradients
from optwise.theory.linear_rules import LinearRule
from optwise.theory.matrices import Floats
from optwise.theory.models import batch_of, closed, drawn_once, factors_of, offset_of, quadratic_of
from optwise.theory.roots import roots_of
from optwise.theory.row_limits import EDGE as ROW_EDGE
from optwise.theory.row_limits import RowLimits
from optwise.theory.steps import Step
from optwise.theory.walks import constant_from
from optwise.theory.whole_runs import hold_in_a_run

LOOKED_AT = 2**15
"""Steps over which a rule must stay constant to have a rate and a floor; the powers of 2 beyond are looked at, too."""

TOGETHER = 2**16
"""Settings times curvatures whose matrices are looked at together."""


def constant_step(methods: Sequence[Method], curvatures: Floats) -> Step | None:
    """The step that constant hyperparameters settle on, at T settings; ``None`` where it keeps changing.

    A schedule that is constant counts as none.
    """
    found = settled(methods, curvatures)
    return None if found is None else found[0]


def settled(methods: Sequence[Method], curvatures: Floats) -> tuple[Step, Floats] | None:
    """The step that T settings settle on, and the state that a unit parameter starts with [m, T, N]."""
    if any(factors_of(method, LOOKED_AT) is not None for method in methods):
        return None
    rule = LinearRule(methods, curvatures)
    constant = constant_from(rule, LOOKED_AT)
    return None if constant is None else (constant[1], rule.start)


def rates(problem: Problem, method: Method) -> Floats | None:
    r"""Asymptotic factor per step on the error of each coordinate with curvature: the spectral radius of A(h).

    .. math:: \rho(A(h_i)), \qquad A(h) = M + h v e_1^\top

    The error is the distance of a coordinate's mean to where it settles: the optimum, unless weight decay pulls
    elsewhere. The risk falls with the square, where noise does not multiply. Above 1 the coordinate diverges, and 1 is
    the edge. Coordinates without curvature, which no gradient moves, are left out.

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
    quadratic, methods = quadratic_of(problem), [closed(method) for method in methods]
    hold_in_a_run(methods, quadratic)
    h, places = np.unique(quadratic.h[quadratic.h > 0], return_inverse=True)
    parts = []
    for few in few_at_once(methods, h.size):
        step = constant_step(few, h)
        if step is None:
            return None
        parts.append(roots_of(step, h).radius[:, places])
    return np.concatenate(parts)


def few_at_once(methods: Sequence[Method], curvatures: int) -> Iterator[list[Method]]:
    """Settings, as many at a time as memory takes easily."""
    length = max(1, TOGETHER // max(curvatures, 1))
    for first in range(0, len(methods), length):
        yield list(methods[first : first + length])


def rate(problem: Problem, method: Method, batch_size: float | None = None) -> float:
    r"""Asymptotic factor per step in the slowest direction; above 1 the method diverges, and 1 is the edge.

    Where noise is additive it is the factor on the error, the largest of :func:`rates`, and the risk falls with its
    square. Where noise multiplies, as on ``least_squares_sgd``, it is the factor on the risk itself, the largest root
    of the second moments, which depends on the batch size.

    Args:
        problem: One that declares its quadratic.
        method: A closed linear rule.
        batch_size: B, which matters where noise multiplies; ``None`` takes the problem's own.

    Raises:
        BadMethod: The step keeps changing (a schedule, Polyak's average), so that there is no one factor.

    Example:
        >>> from optwise.problems import least_squares_sgd, nqm
        >>> from optwise.methods import SGD, Momentum
        >>> round(rate(nqm(h=[1.0, 0.1]), Momentum(lr=0.5, momentum=0.9)), 12) == round(0.9**0.5, 12)
        True
        >>> round(rate(least_squares_sgd(h=[1.0]), SGD(lr=0.5), batch_size=1), 12)  # (1 - lr)^2 + 2 lr^2
        0.75
    """
    found = outlook(problem, closed(method), batch_of(problem, batch_size))
    if found is None:
        raise BadMethod(
            f"{method.label} changes its step as it goes, so there is no one rate; read the risk of a forecast instead."
        )
    return found.rate


def floor(problem: Problem, method: Method, batch_size: float | None = None) -> float | None:
    r"""Limit of the expected risk under constant hyperparameters: what noise, and a pull elsewhere, hold it up at.

    .. math:: \tfrac12 \sum_i h_i \, \bigl( u^\top P_i u + (\langle u, e_i \rangle + \langle u, \zeta \rangle - 1)^2
        w_i^{\star 2} \bigr), \qquad P_i = A(h_i) P_i A(h_i)^\top + \tfrac{c_i}{B} v v^\top, \qquad
        e_i = A(h_i) e_i + M \zeta - \zeta

    The second part is there where the rule is pulled elsewhere than to the optimum, as by weight decay: the squared
    distance at which its mean comes to rest. At the edge of stability, without noise, it is what is left of the start.

    Args:
        problem: One that declares its quadratic.
        method: A closed linear rule.
        batch_size: B; ``None`` takes the problem's own.

    Returns:
        Infinity where the risk grows without end; ``None`` where the step keeps changing, batches are drawn without
        replacement, or the risk goes up and down for ever.

    Example:
        >>> from optwise.problems import nqm
        >>> from optwise.methods import SGD
        >>> round(floor(nqm(h=[1.0]), SGD(lr=0.1), batch_size=1), 9)  # lr c / (2 (2 - lr h))
        0.026315789
        >>> pulled = nqm(h=[1.0], c=[0.0], w_star=[3.0])
        >>> round(floor(pulled, SGD(lr=0.1, weight_decay=0.5)), 9)  # it rests 3 / 1.5 from 0, at (3 - 2)^2 / 2
        0.5
    """
    found = floors(problem, [method], [batch_of(problem, batch_size)])
    return None if found is None or np.isnan(found[0, 0]) else float(found[0, 0])


def floors(problem: Problem, methods: Sequence[Method], batch_sizes: Sequence[float]) -> Floats | None:
    """The :func:`floor` of T settings of one linear rule at each batch size [T, B].

    Args:
        problem: One that declares its quadratic.
        methods: T closed settings.
        batch_sizes: B of them, at least 1 each.

    Returns:
        Infinity where the risk grows without end, not a number where it goes up and down for ever; ``None`` where the
        step keeps changing, or batches are drawn without replacement.

    Example:
        >>> from optwise.problems import nqm
        >>> from optwise.methods import SGD
        >>> floors(nqm(h=[1.0]), [SGD(lr=0.1), SGD(lr=1.0), SGD(lr=2.0)], [1, 4]).round(5)
        array([[0.02632, 0.00658],
               [0.5    , 0.125  ],
               [    inf,     inf]])
    """
    quadratic, sizes = quadratic_of(problem), np.array([batch_of(problem, size) for size in batch_sizes])
    methods = [closed(method) for method in methods]
    hold_in_a_run(methods, quadratic)
    if drawn_once(problem):
        return None
    if quadratic.noise is Noise.ROWS:
        found = [[outlook(problem, method, float(size), checked=True) for size in sizes] for method in methods]
        if any(own is None for row in found for own in row):
            return None
        return np.array([[np.nan if own is None or own.floor is None else own.floor for own in row] for row in found])
    at = Coordinates.of(quadratic, offset_of(problem))
    parts = []
    for few in few_at_once(methods, at.h.size):
        constant = settled(few, at.h)
        if constant is None:
            return None
        step, start = constant
        if quadratic.noise is Noise.DESIGN:
            parts.append(np.stack([_design_floors(step, start, at, float(size)) for size in sizes], axis=1))
        else:
            parts.append(limits(step, start, at).floors(sizes))
    return np.concatenate(parts)


def _design_floors(step: Step, start: Floats, at: Coordinates, batch: float) -> Floats:
    """Limits of the risk where noise multiplies [T]."""
    found, A = stationary(step, start, at, batch).floor, step.transition(at.h)
    v, u = (np.broadcast_to(each, A.shape[1:]) for each in (step.v, step.u))
    never = ~reached_by_gradients(A, v, u).any(1)
    for t in np.flatnonzero(~np.isfinite(found) | never):  # at the edge, or where nothing moves or is there to grow
        own = step.some(slice(t, t + 1))
        found[t] = _without_end(own, start[:, t : t + 1], at, batch)
    return found


def _without_end(step: Step, start: Floats, at: Coordinates, batch: float) -> float:
    """The limit at one setting whose second moments do not contract: infinite, unless nothing is there that grows."""
    noiseless, A = limits(step, start, at.noiseless()), step.transition(at.h)
    v, u = (np.broadcast_to(each, A.shape[1:]) for each in (step.v, step.u))
    nothing = not np.any(at.start) and not np.any(at.c) and not noiseless.bias.any()
    if nothing or not reached_by_gradients(A, v, u).any():
        return float(noiseless.bias[0])
    at_edge = abs(risk_rate(step, at, batch) - 1) <= EDGE
    return float("nan") if at_edge and not np.any(at.c) and not np.any(at.square) else float("inf")


@dataclass(frozen=True, eq=False)
class Outlook:
    """Where one method leads a problem under constant hyperparameters.

    Args:
        rates: Factor per step on the mean's error in each coordinate with curvature.
        floor: Limit of the risk, infinite where it grows without end; ``None`` where it has none.
        grows: Whether the risk grows without end.
        edge: Whether it stands on the edge of stability.
        elsewhere: The part of the floor that is there without noise: the mean rests beside the optimum.
        risk_rate: Factor per step on the risk itself where noise multiplies; ``None`` where it does not.
    """

    rates: Floats
    floor: float | None
    grows: bool
    edge: bool
    elsewhere: float
    risk_rate: float | None

    @property
    def rate(self) -> float:
        """The one that counts: that of the risk where noise multiplies, else the largest on the error."""
        return float(self.rates.max(initial=0.0)) if self.risk_rate is None else self.risk_rate


def outlook(problem: Problem, method: Method, batch: float, *, checked: bool = False) -> Outlook | None:
    """Where a closed method leads a problem; ``None`` where the step keeps changing.

    Args:
        problem: One that declares its quadratic.
        method: A closed linear rule.
        batch: B.
        checked: Whether the rule is known to be linear.
    """
    quadratic, once = quadratic_of(problem), drawn_once(problem)
    if not checked:
        hold_in_a_run([method], quadratic)
    at = Coordinates.of(quadratic, offset_of(problem))
    constant = settled([method], at.h)
    if constant is None:
        return None
    step, start = constant
    own = roots_of(step, at.h)
    rates = own.radius[0, np.searchsorted(at.h, quadratic.h[quadratic.h > 0])]
    found = limits(step, start, at)
    if quadratic.noise is Noise.ROWS:
        return None if once else _outlook_of_rows(quadratic, method, batch, rates)
    if quadratic.noise is Noise.DESIGN and at.h.size:
        limit, factor = float(_design_floors(step, start, at, batch)[0]), risk_rate(step, at, batch)
        elsewhere = float(limits(step, start, at.noiseless()).bias[0])
        limit_known = None if np.isnan(limit) else limit
        return Outlook(rates, limit_known, limit == np.inf, abs(factor - 1) <= EDGE, elsewhere, factor)
    limit, elsewhere = float(found.floors(np.array([batch]))[0, 0]), float(found.bias[0])
    grows = bool(found.grows[0]) if not once else bool((rates > 1).any() and found.grows[0])
    return Outlook(rates, None if once or np.isnan(limit) else limit, grows, bool(found.edge[0]), elsewhere, None)


def _outlook_of_rows(quadratic: Quadratic, method: Method, batch: float, rates: Floats) -> Outlook:
    """Where rows of a finite data set, drawn independently, lead."""
    own = rows_at(quadratic, method, batch)
    factor = 0.0 if own is None else own.rate()
    if own is None or not factor < 1 - ROW_EDGE:
        at_edge = own is not None and abs(factor - 1) <= ROW_EDGE
        limit = 0.0 if own is None else None if at_edge else float("inf")
        return Outlook(rates, limit, not at_edge and own is not None, at_edge, 0.0, factor)
    return Outlook(rates, own.floor(), False, False, own.elsewhere(), factor)


def rows_at(quadratic: Quadratic, method: Method, batch: float) -> RowLimits | None:
    """The limits of one setting; ``None`` where no coordinate has curvature.

    Raises:
        BadMethod: The step keeps changing.
    """
    h = quadratic.h[quadratic.h > 0]
    constant = settled([method], h) if h.size else None
    if h.size and constant is None:
        raise BadMethod(f"{method.label} changes its step as it goes, so that it leads nowhere in particular.")
    return None if constant is None else RowLimits(quadratic, *constant, batch)
