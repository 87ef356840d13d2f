"""From a problem and a method to a Forecast: which route computes it, on how many curvatures, with what error."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from optwise.core.counts import whole_number
from optwise.core.errors import BadProtocol
from optwise.core.forecast import Forecast
from optwise.core.method import Method
from optwise.core.problem import Problem
from optwise.core.quadratic import Noise
from optwise.core.sampler import Shuffled
from optwise.theory.batches_in_time import Batches, batch_table
from optwise.theory.changing_batches import changing_totals
from optwise.theory.compression import small_enough
from optwise.theory.coordinates import Coordinates
from optwise.theory.courses import Course, course
from optwise.theory.design_noise import total_risk
from optwise.theory.joint_moments import correlated_variance
from optwise.theory.matrices import Floats
from optwise.theory.models import as_drawn, closed, drawn_once, nodes_of, offset_of, quadratic_of
from optwise.theory.moments import Nodes
from optwise.theory.outlooks import outlook
from optwise.theory.row_noise import refuse_minutes, row_moments
from optwise.theory.searches import MOST_STEPS
from optwise.theory.spreads import Spread, by_coordinate, spread_of
from optwise.theory.whole_runs import hold_in_a_run
from optwise.theory.without_replacement import epoch_noise

FULL_CURVATURES = 4096
"""Up to this many distinct curvatures nothing is compressed."""


def forecast(problem: Problem, method: Method, steps: int, batch_size: Batches = None) -> Forecast:
    r"""Exact expected risk of a linear rule on a quadratic with gradient noise.

    Args:
        problem: One that declares its quadratic.
        method: A closed rule; its schedule's horizon is ``steps`` unless it has its own.
        steps: How many, at least 1.
        batch_size: B; ``{0: 64, 500: 256}`` where it changes, by the step from which each holds, or one for every step;
            ``None`` takes the problem's own. Floor and rate are then those of the last one.

    Raises:
        CallerError: A problem that is no quadratic, a method that is not linear or still open, a batch size below 1.

    Example:
        >>> from optwise.methods import SGD
        >>> from optwise.problems import nqm
        >>> found = forecast(nqm(h=[1.0], w0=[0.0]), SGD(lr=0.5), 4, {0: 1, 2: 4})
        >>> found.risk.round(4).tolist(), found.batch_size
        ([0.0, 0.125, 0.1562, 0.0703, 0.0488], 2.5)
    """
    method, quadratic = closed(method), quadratic_of(problem)
    steps = whole_number(steps, "steps")
    if not 1 <= steps <= MOST_STEPS:
        raise BadProtocol(
            f"A forecast over {steps} steps cannot be given: it holds every step, from 1 to {MOST_STEPS} of them; ask "
            "theory.floor for the limit, or give fewer."
        )
    sizes = batch_table(problem, batch_size, steps)
    batch = float(sizes.mean())
    hold_in_a_run([method], quadratic)
    if quadratic.noise is Noise.ROWS and not drawn_once(problem):
        refuse_minutes(quadratic, steps)
    ahead = outlook(as_drawn(problem, float(sizes[-1])), method, float(sizes[-1]), checked=True)
    parts = ROUTES.get(quadratic.noise) or (_drawn_once if drawn_once(problem) else _independent)
    found = parts(problem, method, steps, sizes)
    return Forecast(
        bias=_finite_or_inf(found.bias),
        noise=_finite_or_inf(found.noise),
        batch_size=batch,
        deviation=None if found.variance is None else np.sqrt(np.maximum(_finite_or_inf(found.variance), 0.0)),
        floor=None if ahead is None else ahead.floor,
        rates=None if ahead is None else ahead.rates,
        risk_rate=None if ahead is None else ahead.risk_rate,
        grows=None if ahead is None else ahead.grows,
        edge=ahead is not None and ahead.edge,
        elsewhere=0.0 if ahead is None else ahead.elsewhere,
        nodes=found.nodes,
        bound=found.bound,
        share=found.share,
        metric=quadratic.metric,
        optimum=quadratic.optimum,
        batch_sizes=sizes if np.any(sizes != sizes[0]) else None,
        epochs=quadratic.noise is Noise.ROWS and drawn_once(problem) and sizes[-1] < quadratic.examples,
    )


@dataclass(frozen=True, eq=False)
class _Parts:
    """Bias, noise and variance of one run over steps 0 to k, the curvatures they were computed at, and their error."""

    bias: Floats
    noise: Floats
    variance: Floats | None
    nodes: int
    bound: float = 0.0
    share: float = 0.0


def _independent(problem: Problem, method: Method, steps: int, sizes: Floats) -> _Parts:
    """Where each step's noise is independent of the others."""
    quadratic, offset, batch = quadratic_of(problem), offset_of(problem), float(sizes.mean())
    nodes = nodes_of(quadratic, offset)
    distinct = np.union1d(nodes.bias.h, nodes.noise.h).size
    on_way, spread, bound, share = course(method, nodes, steps), None, 0.0, 0.0
    changing = bool(np.any(sizes != sizes[0]))
    if distinct > FULL_CURVATURES and not changing:
        nodes, bound, share = small_enough(on_way, method, steps, batch)
        whole = bound == 0.0
        on_way = on_way if whole else course(method, nodes, steps)
    elif distinct <= FULL_CURVATURES and quadratic.noise is Noise.ADDITIVE and quadratic.covariance is None:
        on_way, spread = _with_spread(on_way, problem, method, steps)
    found = changing_totals(on_way, spread, sizes) if changing else on_way.totals(spread, batch)
    at = on_way.nodes
    return _Parts(
        found.bias,
        found.noise,
        correlated_variance(problem, method, steps, sizes) if quadratic.covariance is not None else found.variance,
        distinct if bound == 0.0 else at.bias.size + at.noise.size,
        bound,
        share,
    )


def _with_spread(on_way: Course, problem: Problem, method: Method, steps: int) -> tuple[Course, Spread | None]:
    """A course whose responses make up the variance, too, where the squares of the objective are numbers."""
    quadratic, own = quadratic_of(problem), on_way
    with np.errstate(over="ignore"):
        if on_way.nodes.lean is None:
            spread = spread_of(quadratic, on_way.nodes)
        else:
            nodes, spread = by_coordinate(quadratic, offset_of(problem))
            own = course(method, nodes, steps)
    return (own, spread) if spread.finite else (on_way, None)


def _drawn_once(problem: Problem, method: Method, steps: int, sizes: Floats) -> _Parts:
    """Where batches are drawn from a data set without replacement."""
    quadratic = quadratic_of(problem)
    nodes, batch = nodes_of(quadratic, offset_of(problem)), float(sizes.mean())
    drawn = np.minimum(sizes, quadratic.examples).astype(int).tolist()
    dropped = isinstance(problem.sampler, Shuffled) and problem.sampler.drop_last
    bias = course(method, nodes, steps).totals(None, batch).bias
    again = course(method, nodes, steps)
    epochs = epoch_noise(again.walk(), again.nodes, again.rule.start, quadratic.examples, drawn, drop_last=dropped)
    noise = np.concatenate([np.zeros(1), *(batch * (G @ nodes.noise.weights) for G in epochs)])
    return _Parts(bias, noise, None, np.union1d(nodes.bias.h, nodes.noise.h).size)


def _design(problem: Problem, method: Method, steps: int, sizes: Floats) -> _Parts:
    """Where noise multiplies: least squares on fresh rows."""
    batch = float(sizes.mean())
    quadratic, offset = quadratic_of(problem), offset_of(problem)
    at, plain = Coordinates.of(quadratic, offset), nodes_of(quadratic, offset)
    nodes = Nodes(plain.bias, plain.noise.nothing(), plain.lean, plain.plain)
    bias = course(method, nodes, steps).totals(None, batch).bias
    again = course(method, nodes, steps, curvatures=at.h)
    risks: Iterator[float] = total_risk(again.rule.start, again.first, again.walk(), at, sizes.tolist())
    with np.errstate(over="ignore", invalid="ignore"):
        risk = np.fromiter(risks, np.float64, steps + 1)
        noise = np.maximum((risk - bias) * batch, 0.0)
    return _Parts(bias, noise, None, at.h.size)


def _rows(problem: Problem, method: Method, steps: int, sizes: Floats) -> _Parts:
    """Where batches are rows of a finite data set."""
    quadratic, batch = quadratic_of(problem), float(sizes.mean())
    plain = nodes_of(quadratic, offset_of(problem))
    bias = course(method, Nodes(plain.bias, plain.noise.nothing(), plain.lean, plain.plain), steps)
    with np.errstate(over="ignore", invalid="ignore"):
        risk = np.array([seen.risk(quadratic.h) for seen in row_moments(problem, method, steps, sizes)])
        own = bias.totals(None, batch).bias
        # the mean of shuffled epochs is not that of the noiseless run: what they are better at is less bias
        bias_left = np.minimum(own, risk) if drawn_once(problem) else own
        noise = np.maximum((risk - bias_left) * batch, 0.0)
    return _Parts(bias_left, noise, None, quadratic.dimension)


ROUTES = {Noise.DESIGN: _design, Noise.ROWS: _rows}
"""Noise that has a route of its own, however batches are drawn."""


def _finite_or_inf(values: Floats) -> Floats:
    """What overflowed, or came out of an overflow, is infinite."""
    return np.where(np.isnan(values), np.inf, values)
