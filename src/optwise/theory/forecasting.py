"""From a problem and a method to a Forecast: which route computes it, on how many curvatures, with what error."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from optwise.core.errors import BadProtocol
from optwise.core.forecast import Forecast
from optwise.core.method import Method
from optwise.core.problem import Problem
from optwise.core.quadratic import Noise, Quadratic
from optwise.core.sampler import Shuffled
from optwise.theory.design_noise import Coordinates, total_risk
from optwise.theory.linear_rules import LinearRule, Step
from optwise.theory.matrices import Floats
from optwise.theory.models import batch_of, closed, drawn_once, factors_of, nodes_of, quadratic_of
from optwise.theory.moments import Nodes, moments
from optwise.theory.responses import responses
from optwise.theory.spectrum import Measure, check_of, compressed, sums
from optwise.theory.stability import floor, rates
from optwise.theory.walks import constant_from, steps_of
from optwise.theory.without_replacement import epoch_noise

FULL_CURVATURES = 4096
"""Up to this many distinct curvatures nothing is compressed."""

FULL_NUMBERS = 2**26
"""Numbers of second moments that may be held at once; a larger spectrum is compressed whatever the bound."""

MOST_STEPS = 20_000_000
"""Steps of the longest forecast: its arrays then hold half a gigabyte."""

ACCEPTED = 1e-10
"""Bound on the error of compressing, relative to the risk at the start, up to which a hundred nodes stand for all."""

ORDERS = (8, 16, 24)


def forecast(problem: Problem, method: Method, steps: int, batch_size: float | None = None) -> Forecast:
    r"""Exact expected risk of a linear rule on a quadratic with gradient noise.

    Args:
        problem: One that declares its quadratic.
        method: A closed rule; its schedule's horizon is ``steps`` unless it has its own.
        steps: How many, at least 1.
        batch_size: B; ``None`` takes the problem's own.

    Raises:
        CallerError: A problem that is no quadratic, a method that is not linear or still open, a batch size below 1.
    """
    method, quadratic, batch = closed(method), quadratic_of(problem), batch_of(problem, batch_size)
    if not 1 <= steps <= MOST_STEPS:
        raise BadProtocol(
            f"A forecast over {steps} steps cannot be given: it holds every step, from 1 to {MOST_STEPS} of them; ask "
            "theory.floor for the limit, or give fewer."
        )
    if quadratic.noise is Noise.DESIGN:
        return _with_design(problem, method, steps, batch)
    nodes, bound = nodes_of(quadratic), 0.0
    full = nodes.bias.size
    if full > FULL_CURVATURES:
        nodes, bound = _small_enough(nodes, method, steps)
    whole = nodes.bias.size == full
    once = drawn_once(problem)
    if once:
        batches = int(min(batch, quadratic.examples))
        dropped = isinstance(problem.sampler, Shuffled) and problem.sampler.drop_last
        bias, noise, variance = _drawn_once(quadratic, method, steps, nodes, batches, drop_last=dropped)
    else:
        bias, noise, variance = _independent(quadratic, method, steps, nodes, batch, spread=whole)
    known = variance is not None and quadratic.noise is Noise.ADDITIVE
    return Forecast(
        bias=bias,
        noise=noise,
        batch_size=batch,
        deviation=np.sqrt(np.maximum(variance, 0.0)) if known and variance is not None else None,
        floor=None if once else floor(problem, method, batch),
        rates=rates(problem, method),
        nodes=nodes.h.size // 2 if whole else nodes.h.size,
        bound=bound,
        metric=quadratic.metric,
        optimum=quadratic.optimum,
    )


@dataclass(frozen=True, eq=False)
class Course:
    """A rule on its way: how it starts, and its squared responses in blocks of steps."""

    rule: LinearRule
    steps: int
    factors: Floats | None

    def blocks(self, nodes: Nodes) -> Iterator[tuple[Floats, Floats]]:
        """Squared responses of the start [L, Nb] and of unit noise [L, Nn], block after block from step 0."""
        constant = constant_from(self.rule, self.steps) if self.factors is None else None
        first = self.rule.measured_at()
        single = steps_of(self.rule, self.steps, [self.factors]) if constant is None else iter(constant[0])
        taken = -1
        for F, G, z, P in moments(self.rule.start, first, single, nodes):  # noqa: B007 - the last state goes on
            taken += 1
            yield F, G
        if constant is not None and taken < self.steps:
            yield from responses(z, P, constant[1], nodes, self.steps - taken)


def course(method: Method, nodes: Nodes, steps: int) -> Course:
    """The course of a closed method over ``steps`` steps."""
    return Course(LinearRule([method], nodes.h), steps, factors_of(method, steps))


def _independent(
    quadratic: Quadratic, method: Method, steps: int, nodes: Nodes, batch: float, *, spread: bool
) -> tuple[Floats, Floats, Floats | None]:
    """Bias, noise and variance of one run, where each step's noise is independent of the others."""
    squares = _squares(quadratic, nodes.bias.h) if spread else None
    bias: list[Floats] = []
    noise: list[Floats] = []
    variance: list[Floats] = []
    with np.errstate(over="ignore", invalid="ignore"):
        for F, G in course(method, nodes, steps).blocks(nodes):
            bias.append(F @ nodes.bias.weights)
            noise.append(G @ nodes.noise.weights)
            if squares is not None:
                variance.append(_variance(quadratic, squares, F, G / batch))
    own, noisy = (_finite_or_inf(np.concatenate(part)) for part in (bias, noise))
    return own, noisy, _finite_or_inf(np.concatenate(variance)) if variance else None


def _squares(quadratic: Quadratic, nodes: Floats) -> tuple[Floats, Floats, Floats]:
    """Sums of (h s)^2, h s h c and (h c)^2 over the coordinates of each curvature."""
    kept = np.isin(quadratic.h, nodes)
    places = np.searchsorted(nodes, quadratic.h[kept])
    own, noisy = (quadratic.h * quadratic.start)[kept], (quadratic.h * quadratic.c)[kept]
    a, b, c = (sums(places, part, nodes.size) for part in (own * own, own * noisy, noisy * noisy))
    return a, b, c


def _variance(quadratic: Quadratic, squares: tuple[Floats, Floats, Floats], F: Floats, G: Floats) -> Floats:
    r"""Variance of :math:`\tfrac12 \sum h_i w_i^2` for independent normals w_i."""
    own, cross, noisy = squares
    # a normal of mean m and variance v has a square of variance 2 v^2 + 4 m^2 v; drawn starts have mean 0
    if quadratic.fixed_start:
        return (G * G) @ noisy / 2 + (F * G) @ cross
    return (F * F) @ own / 2 + (F * G) @ cross + (G * G) @ noisy / 2


def _drawn_once(
    quadratic: Quadratic, method: Method, steps: int, nodes: Nodes, batch: int, *, drop_last: bool
) -> tuple[Floats, Floats, None]:
    on_way = course(method, nodes, steps)
    bias = np.concatenate([F @ nodes.bias.weights for F, _ in on_way.blocks(nodes)])
    again = course(method, nodes, steps)
    noise = [np.zeros(1)]
    walk = steps_of(again.rule, steps, [again.factors])
    epochs = epoch_noise(walk, nodes, quadratic.examples, batch, drop_last=drop_last)
    noise += [batch * (G @ nodes.noise.weights) for G in epochs]
    return _finite_or_inf(bias), _finite_or_inf(np.concatenate(noise)), None


def _with_design(problem: Problem, method: Method, steps: int, batch: float) -> Forecast:
    quadratic = quadratic_of(problem)
    at = Coordinates.of(quadratic)
    nodes = Nodes(Measure(at.h, 0.5 * at.h * at.count * at.start), Measure(at.h, np.zeros(at.h.size)))
    with np.errstate(over="ignore", invalid="ignore"):
        bias = np.concatenate([F @ nodes.bias.weights for F, _ in course(method, nodes, steps).blocks(nodes)])
        rule = LinearRule([method], at.h)
        first = rule.measured_at()
        walk: Iterator[Step] = steps_of(rule, steps, [factors_of(method, steps)])
        risk = np.fromiter(total_risk(rule.start, first, walk, at, batch), np.float64, steps + 1)
        noise = (risk - bias) * batch
    return Forecast(
        bias=_finite_or_inf(bias),
        noise=_finite_or_inf(noise),
        batch_size=batch,
        floor=floor(problem, method, batch),
        rates=rates(problem, method),
        nodes=at.h.size,
        metric=quadratic.metric,
        optimum=quadratic.optimum,
    )


def _small_enough(nodes: Nodes, method: Method, steps: int) -> tuple[Nodes, float]:
    """The fewest nodes whose bound is small; all of them where none is and memory holds them."""
    accepted = ACCEPTED * float(nodes.bias.weights.sum() or nodes.noise.weights.sum())
    bound = np.inf
    for order in ORDERS:
        small = Nodes(compressed(nodes.bias, order), compressed(nodes.noise, order))
        bound = compression_bound(nodes, method, steps, order)
        if bound <= accepted:
            return small, bound
    if nodes.h.size * 9 <= FULL_NUMBERS:
        return nodes, 0.0
    return small, bound


def compression_bound(nodes: Nodes, method: Method, steps: int, order: int) -> float:
    """Bound on what compressing to ``order`` nodes a block misses of bias plus noise, at any step."""
    own, noisy = check_of(nodes.bias, order), check_of(nodes.noise, order)
    points = Nodes(Measure(own.h, np.ones(own.h.size)), Measure(noisy.h, np.ones(noisy.h.size)))
    worst = 0.0
    with np.errstate(over="ignore", invalid="ignore"):
        for F, G in course(method, points, steps).blocks(points):
            missed = own.bound(F) + noisy.bound(G)
            worst = max(worst, float(np.nan_to_num(missed, nan=np.inf).max()))
    return worst


def _finite_or_inf(values: Floats) -> Floats:
    """What overflowed, or came out of an overflow, is infinite."""
    return np.where(np.isnan(values), np.inf, values)
