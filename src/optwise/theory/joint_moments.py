r"""Mean and covariance of the measured point itself, step by step: what a run looks like, not only what it costs.

With e the distance to the optimum, :math:`\mathbb E z` obeys the noiseless recursion and

.. math:: \operatorname{Cov}_{k+1}(z_i, z_j) = A_{k,i} \operatorname{Cov}_k(z_i, z_j) A_{k,j}^\top
    + \frac{C_{ij}}{B_k} v_{k,i} v_{k,j}^\top .

Where noise is independent between coordinates, only i = j is followed. On fresh Gaussian rows the noise of a step
depends on the second moments so far, and batches of shuffled epochs on each other.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from optwise.core.method import Method
from optwise.core.problem import Problem
from optwise.core.quadratic import Noise, Quadratic
from optwise.core.sampler import Shuffled
from optwise.theory.linear_rules import LinearRule
from optwise.theory.matrices import Floats, applied, congruence, form, inner, outer
from optwise.theory.models import drawn_once, factors_of, offset_of, quadratic_of
from optwise.theory.moments import Nodes, with_center
from optwise.theory.row_noise import row_moments
from optwise.theory.spectrum import Measure
from optwise.theory.steps import Step
from optwise.theory.walks import steps_of
from optwise.theory.without_replacement import epoch_noise

MOST_NUMBERS = 2**31
"""Steps times covariances of a run whose variance is still worth computing: some seconds."""


@dataclass(frozen=True, eq=False)
class Joint:
    """After some steps: the mean of the distance to the optimum [d], and its covariance, [d, d] or its diagonal [d]."""

    mean: Floats
    covariance: Floats


def joint_moments(problem: Problem, method: Method, steps: int, sizes: Floats) -> Iterator[Joint]:
    """The moments of the measured point after every step from 0.

    Args:
        problem: One that declares its quadratic.
        method: A closed linear rule.
        steps: How many.
        sizes: Batch size of each step [steps].
    """
    quadratic, h = quadratic_of(problem), quadratic_of(problem).h
    if quadratic.noise is Noise.ROWS:
        seen = row_moments(problem, method, steps, sizes)
        return (Joint(each.mean, each.second - np.outer(each.mean, each.mean)) for each in seen)
    rule, again = LinearRule([method], h), LinearRule([method], h)
    factors = factors_of(method, steps)
    start, first = rule.start, rule.measured_at()
    walk = steps_of(rule, steps, [factors])
    if drawn_once(problem):
        added = _epochs(problem, again, factors, steps, sizes)
        return (Joint(mean, cov) for (mean, _, _), cov in zip(_means(problem, start, first, walk), added, strict=True))
    if quadratic.covariance is not None:
        return _full(problem, start, first, walk, sizes)
    return _diagonal(problem, start, first, walk, sizes)


def correlated_variance(problem: Problem, method: Method, steps: int, sizes: Floats) -> Floats | None:
    r"""The variance of the risk where noise is correlated [steps + 1]; ``None`` where that would take too long.

    .. math:: \operatorname{Var} \tfrac12 e^\top H e = \tfrac12 \operatorname{tr}(H C H C) + m^\top H C H m
    """
    h = quadratic_of(problem).h
    if steps * LinearRule([method], h).m ** 2 * h.size**2 > MOST_NUMBERS:
        return None
    found = np.empty(steps + 1)
    with np.errstate(over="ignore", invalid="ignore"):
        for k, joint in enumerate(joint_moments(problem, method, steps, sizes)):
            pulled = joint.covariance @ (h * joint.mean)
            found[k] = 0.5 * h @ (joint.covariance**2 @ h) + (h * joint.mean) @ pulled
    return found


def _means(
    problem: Problem, start: Floats, first: Floats, walk: Iterator[Step]
) -> Iterator[tuple[Floats, Floats, Step | None]]:
    """The mean at the measured point [d] and of the parameters [d], both as distances, and the step before them."""
    quadratic = quadratic_of(problem)
    m, d = len(start), quadratic.dimension
    z = np.concatenate([offset_of(problem) * np.broadcast_to(start[:, 0], (m, d)), quadratic.center[None]])[:, None]
    begin = with_center(Step(np.zeros((m, *first.shape)), first, first), start)
    yield inner(np.broadcast_to(begin.u, z.shape), z)[0], z[0, 0], None
    last: Step | None = None
    with np.errstate(over="ignore", invalid="ignore"):
        for step in walk:
            if step is not last:
                last, whole = step, with_center(step, start)
                A, u = whole.transition(quadratic.h), np.broadcast_to(whole.u, z.shape)
            z = applied(A, z)
            yield inner(u, z)[0], z[0, 0], step


def _diagonal(problem: Problem, start: Floats, first: Floats, walk: Iterator[Step], sizes: Floats) -> Iterator[Joint]:
    """Where coordinates are independent, or coupled through their second moments only."""
    quadratic = quadratic_of(problem)
    h, shape = quadratic.h, (len(start), 1, quadratic.dimension)
    zeta = np.broadcast_to(start, shape)
    P = outer(zeta, zeta) * _drawn(quadratic)
    before = np.zeros(quadratic.dimension)
    with np.errstate(over="ignore", invalid="ignore"):
        for k, (mean, parameters, step) in enumerate(_means(problem, start, first, walk)):
            if step is not None:
                noise = quadratic.c
                if quadratic.noise is Noise.DESIGN:
                    second = P[0, 0, 0] + before**2
                    noise = h**2 * second + h * float(h @ second) + quadratic.c
                v = np.broadcast_to(step.v, shape)
                P = congruence(step.transition(h), P) + outer(v, v) * (noise / sizes[k - 1])
            before = parameters
            yield Joint(mean, form(P, np.broadcast_to(first if step is None else step.u, shape))[0])


def _full(problem: Problem, start: Floats, first: Floats, walk: Iterator[Step], sizes: Floats) -> Iterator[Joint]:
    """Where noise is correlated between coordinates: all covariances [m, m, d, d]."""
    quadratic = quadratic_of(problem)
    m, d, noise = len(start), quadratic.dimension, quadratic.covariance
    zeta = np.broadcast_to(start[:, 0], (m, d))
    C = np.einsum("ip,jp,pq->ijpq", zeta, zeta, np.diag(_drawn(quadratic)))
    with np.errstate(over="ignore", invalid="ignore"):
        for k, (mean, _, step) in enumerate(_means(problem, start, first, walk)):
            u = np.broadcast_to((first if step is None else step.u)[:, 0], (m, d))
            if step is not None:
                A, v = step.transition(quadratic.h)[:, :, 0], np.broadcast_to(step.v[:, 0], (m, d))
                half = np.einsum("abp,bcpq->acpq", A, C)
                C = np.einsum("acpq,ecq->aepq", half, A) + np.einsum("ap,eq,pq->aepq", v, v, noise / sizes[k - 1])
            yield Joint(mean, np.einsum("ap,aepq,eq->pq", u, C, u))


def _epochs(problem: Problem, rule: LinearRule, factors: Floats | None, steps: int, sizes: Floats) -> Iterator[Floats]:
    """The variances of a data set's batches drawn without replacement [d]."""
    quadratic = quadratic_of(problem)
    every = Measure(quadratic.h, quadratic.c)
    nodes = Nodes(Measure(quadratic.h[:0], quadratic.c[:0]), every)
    dropped = isinstance(problem.sampler, Shuffled) and problem.sampler.drop_last
    drawn = np.minimum(sizes, quadratic.examples).astype(int).tolist()
    yield np.zeros(quadratic.dimension)
    walk = steps_of(rule, steps, [factors])
    for G in epoch_noise(walk, nodes, rule.start, quadratic.examples, drawn, drop_last=dropped):
        yield quadratic.c * G[0]


def _drawn(quadratic: Quadratic) -> Floats:
    """The variance of the start [d]."""
    return np.zeros(quadratic.dimension) if quadratic.fixed_start else quadratic.start
