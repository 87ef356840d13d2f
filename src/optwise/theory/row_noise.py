r"""Least squares on a finite data set: noise that multiplies and looks at every row, in full second moments.

With rows :math:`x_i`, residuals :math:`r_i` at the optimum, and e the distance to it, the gradient of row i is
:math:`x_i (x_i^\top e - r_i)`, so that the mean gradient of B independent draws has the covariance

.. math:: \frac1B \Bigl( \frac1n \sum_i x_i x_i^\top \, \mathbb E (x_i^\top e - r_i)^2
    - H \, \mathbb E e e^\top H \Bigr), \qquad
    \mathbb E (x_i^\top e - r_i)^2 = x_i^\top S x_i - 2 r_i x_i^\top m + r_i^2 .

A step costs :math:`O(n d^2)`. Batches of a shuffled epoch are independent of the past only given the rows that are
used up, so that their moments are followed for every such set of rows: exact, for as many sets as there is time for.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from math import comb

import numpy as np

from optwise.core.errors import BadProtocol
from optwise.core.method import Method
from optwise.core.problem import Problem
from optwise.core.quadratic import Quadratic
from optwise.core.sampler import Shuffled
from optwise.theory.linear_rules import LinearRule
from optwise.theory.matrices import Floats
from optwise.theory.models import drawn_once, factors_of, offset_of, quadratic_of
from optwise.theory.moments import with_center
from optwise.theory.steps import Step
from optwise.theory.walks import steps_of
from optwise.theory.without_replacement import batches_of_epochs

MOST_OPERATIONS = 2.0**37
"""Steps times rows times squared dimension of the longest forecast: about a minute."""

MOST_NUMBERS = 2.0**26
"""The same pairs times the squared dimension: half a gigabyte."""

MOST_MAPS = 40_000
"""Pairs of a set of used rows and a next batch in an epoch up to which shuffled epochs are followed."""


@dataclass(frozen=True, eq=False)
class Seen:
    """After some steps, of the measured point's distance to the optimum: its mean [d] and second moments [d, d]."""

    mean: Floats
    second: Floats

    def risk(self, h: Floats) -> float:
        """Expected excess over the optimum."""
        return 0.5 * float(h @ np.diag(self.second))


def row_moments(problem: Problem, method: Method, steps: int, sizes: Floats) -> Iterator[Seen]:
    """The moments of the measured point after every step from 0.

    Args:
        problem: Least squares on a finite data set.
        method: A closed linear rule.
        steps: How many.
        sizes: Batch size of each step [steps].

    Raises:
        BadProtocol: Rows, coordinates and steps that would take too long; shuffled epochs of too many orders.
    """
    quadratic = quadratic_of(problem)
    rows = quadratic.rows
    assert rows is not None
    rule = LinearRule([method], quadratic.h)
    walk = _Walk(quadratic, offset_of(problem), rule, steps_of(rule, steps, [factors_of(method, steps)]))
    if drawn_once(problem):
        drawn = np.minimum(sizes, quadratic.examples).astype(int).tolist()
        dropped = isinstance(problem.sampler, Shuffled) and problem.sampler.drop_last
        batches = list(batches_of_epochs(quadratic.examples, drawn, drop_last=dropped))
        _refuse_many_orders(problem, batches)
        return walk.shuffled(batches)
    refuse_minutes(quadratic, steps)
    return walk.independent(sizes)


def refuse_minutes(quadratic: Quadratic, steps: int) -> None:
    """Refuse more steps on a finite data set than take about a minute.

    Raises:
        BadProtocol: Rows, coordinates and steps that would take too long.
    """
    if steps * quadratic.examples * quadratic.dimension**2 > MOST_OPERATIONS:
        raise BadProtocol(
            f"{steps} steps of {quadratic.examples} rows in {quadratic.dimension} dimensions would take minutes to "
            "predict; give fewer steps, or model the problem by its curvatures, ow.problems.least_squares_sgd(h)."
        )


def _refuse_many_orders(problem: Problem, batches: list[tuple[int, bool]]) -> None:
    """Refuse epochs of more sets of used rows than can be followed."""
    examples, used, maps, most = quadratic_of(problem).examples, 0, 0.0, 0.0
    for size, begins in batches:
        used, maps = (0, 0.0) if begins else (used, maps)
        maps += float(comb(examples, used)) * comb(examples - used, size)
        used, most = used + size, max(most, maps)
    if most > MOST_MAPS or most * quadratic_of(problem).dimension ** 2 > MOST_NUMBERS:
        raise BadProtocol(
            f"{problem.name} draws {examples} rows without replacement: what the matrices of an epoch do depends on "
            f"their order, and an epoch has {most:.2g} pairs of rows already used and a next batch, beyond {MOST_MAPS} "
            "that are followed; draw with replacement, which is exact for any size, or run the method with compare."
        )


class _Walk:
    """A rule on its way, the optimum being the last part of the state."""

    def __init__(self, quadratic: Quadratic, offset: Floats, rule: LinearRule, steps: Iterator[Step]) -> None:
        self.h, self.steps, self.d = quadratic.h, steps, quadratic.dimension
        assert quadratic.rows is not None
        assert quadratic.residuals is not None
        self.rows, self.residuals = quadratic.rows, quadratic.residuals
        self.start, first, self.m = rule.start, rule.measured_at(), rule.m + 1
        zeta = np.concatenate([np.broadcast_to(self.start[:, 0], (rule.m, self.d)), np.zeros((1, self.d))])
        self.mean = zeta * offset
        self.mean[-1] = quadratic.center
        spread = np.zeros(self.d) if quadratic.fixed_start else quadratic.start
        self.second = np.einsum("ap,bq->abpq", self.mean, self.mean)
        self.second += np.einsum("ap,bp,pq->abpq", zeta, zeta, np.diag(spread))
        begin = with_center(Step(np.zeros((rule.m, *first.shape)), first, first), self.start)
        self.u = np.broadcast_to(begin.u[:, 0], (self.m, self.d))

    def _parts(self, step: Step) -> tuple[Floats, Floats]:
        """M [m, m, d] and v [m, d]; where the rule is measured is kept."""
        whole = with_center(step, self.start)
        self.u = np.broadcast_to(whole.u[:, 0], (self.m, self.d))
        shape = (self.m, self.m, self.d)
        return np.broadcast_to(whole.M[:, :, 0], shape), np.broadcast_to(whole.v[:, 0], (self.m, self.d))

    def _seen(self, mean: Floats, second: Floats) -> Seen:
        point = np.einsum("ap,ap->p", self.u, mean)
        return Seen(point, np.einsum("ap,abpq,bq->pq", self.u, second, self.u))

    def independent(self, sizes: Floats) -> Iterator[Seen]:
        """Batches drawn with replacement."""
        mean, second, h = self.mean, self.second, self.h
        yield self._seen(mean, second)
        with np.errstate(over="ignore", invalid="ignore"):
            for step, size in zip(self.steps, sizes.tolist(), strict=True):
                M, v = self._parts(step)
                noise = gradient_covariance(self.rows, self.residuals, h, mean[0], second[0, 0]) / size
                A = M.copy()
                A[:, 0] += v * h
                mean = np.einsum("abp,bp->ap", A, mean)
                half = np.einsum("abp,bcpq->acpq", A, second)
                second = np.einsum("acpq,ecq->aepq", half, A) + np.einsum("ap,eq,pq->aepq", v, v, noise)
                yield self._seen(mean, second)

    def shuffled(self, batches: list[tuple[int, bool]]) -> Iterator[Seen]:
        """Batches of shuffled epochs, for every set of rows that may have been used."""
        D, n = self.m * self.d, len(self.rows)
        masks = [0]
        means, seconds = self.mean.reshape(1, D), np.moveaxis(self.second, 2, 1).reshape(1, D, D)
        yield self._seen(self.mean, self.second)
        with np.errstate(over="ignore", invalid="ignore"):
            for step, (size, begins) in zip(self.steps, batches, strict=True):
                if begins:
                    masks, means, seconds = [0], means.mean(0, keepdims=True), seconds.mean(0, keepdims=True)
                chosen = list(combinations(range(n), size))
                maps, pushes = self._maps(step, chosen)
                bits = np.array([sum(1 << i for i in own) for own in chosen], dtype=np.int64)
                places: dict[int, int] = {}
                sums: list[Floats] = []
                totals: list[Floats] = []
                for mask, mean, second in zip(masks, means, seconds, strict=True):
                    free = np.flatnonzero((bits & mask) == 0)
                    T, q = maps[free], pushes[free]
                    moved = T @ mean
                    new_means = moved - q
                    cross = moved[:, :, None] * q[:, None]
                    new = T @ second @ np.swapaxes(T, 1, 2) - cross - np.swapaxes(cross, 1, 2)
                    new += q[:, :, None] * q[:, None]
                    for after, own, square in zip((bits[free] | mask).tolist(), new_means, new, strict=True):
                        if after not in places:
                            places[after] = len(sums)
                            sums.append(np.zeros(D))
                            totals.append(np.zeros((D, D)))
                        sums[places[after]] += own
                        totals[places[after]] += square
                used = int(masks[0]).bit_count() + size
                count = comb(used, size)  # every set is reached from as many
                masks, means, seconds = list(places), np.stack(sums) / count, np.stack(totals) / count
                whole = seconds.mean(0).reshape(self.m, self.d, self.m, self.d)
                yield self._seen(means.mean(0).reshape(self.m, self.d), np.moveaxis(whole, 2, 1))

    def _maps(self, step: Step, chosen: list[tuple[int, ...]]) -> tuple[Floats, Floats]:
        """What a step makes of the state with each batch [b, D, D], and what the residuals take away from it [b, D]."""
        M, v = self._parts(step)
        m, d, picked = self.m, self.d, np.array(chosen)
        X, r = self.rows[picked], self.residuals[picked]  # [b, B, d], [b, B]
        hessians = np.einsum("bip,biq->bpq", X, X) / picked.shape[1]
        pulled = np.einsum("bip,bi->bp", X, r) / picked.shape[1]
        maps = np.zeros((len(chosen), m, d, m, d))
        for i in range(m):
            for j in range(m):
                maps[:, i, range(d), j, range(d)] = M[i, j]
            maps[:, i, :, 0] += v[i][:, None] * hessians
        pushes = v[None] * pulled[:, None]
        return maps.reshape(len(chosen), m * d, m * d), pushes.reshape(len(chosen), m * d)


def gradient_covariance(rows: Floats, residuals: Floats, h: Floats, mean: Floats, second: Floats) -> Floats:
    """Covariance of one row's gradient [d, d], rows drawn uniformly, at a point of these moments.

    Args:
        rows: [n, d], along the Hessian's eigenvectors.
        residuals: At the optimum [n].
        h: The Hessian's eigenvalues [d].
        mean: Of the distance to the optimum [d].
        second: Its second moments [d, d].
    """
    squares = np.einsum("ip,ip->i", rows @ second, rows) - 2 * residuals * (rows @ mean) + residuals**2
    return np.asarray((rows * (squares / len(rows))[:, None]).T @ rows - np.outer(h, h) * second)
