r"""What constant steps on the rows of a finite data set lead to: the factor on the risk, its limit, the largest rate.

With rows :math:`x_i` and batches of B independent draws, the covariance C of the state obeys

.. math:: C'_{pq} = A_p C_{pq} A_q^\top + \frac1B v_p v_q^\top N(C^{00})_{pq} + \text{source}, \qquad
    N(S) = \frac1n \sum_i x_i x_i^\top \, (x_i^\top S x_i) - H S H .

Noise sees the parameters' own second moments S alone, so that a factor :math:`\lambda` on the risk, above what every
pair of coordinates has by itself, is one at which S comes back as itself:

.. math:: S = \frac1B R(\lambda) \circ N(S), \qquad
    R(\lambda)_{pq} = \bigl[(\lambda - A_p \otimes A_q)^{-1} (v_p \otimes v_q)\bigr]_{00}

R is positive semidefinite and N maps such matrices to such, so that the gain, the largest root of
:math:`S \mapsto R(\lambda) \circ N(S) / B`, is that of a positive map: below 1 at :math:`\lambda = 1` the second
moments are bounded, whatever the size of the state. Lengths are counted so that the largest curvature is 1.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.sparse.linalg import LinearOperator, eigs, gmres

from optwise.core.errors import BadProblem
from optwise.core.quadratic import Quadratic
from optwise.theory.matrices import Floats, inner, spectral_radius, stacked_last
from optwise.theory.moments import pull, seen_beside
from optwise.theory.roots import solutions
from optwise.theory.row_maps import RowMap
from optwise.theory.steps import Step

DENSE = 30
"""Numbers of a symmetric matrix up to which a map of them is written out."""

EDGE = 1e-9
"""How far from 1 the factor of the risk counts as 1."""

MOST_OPERATIONS = 2.0**41
"""Operations that take about a minute where nearly all are products of large matrices."""

USES = 500
"""Covariances that one setting's limits ask for, about."""


def noise_of(problem: str, quadratic: Quadratic, settings: int = 1) -> RowMap:
    """What limits on a data set need to know of its rows, counted so that the largest curvature is 1.

    Args:
        problem: Name.
        quadratic: Of a finite data set.
        settings: How many are asked about.

    Raises:
        BadProblem: It takes more than about a minute's work, by counted operations.
    """
    noise = RowMap(quadratic, USES * settings, unit=float(np.sqrt(quadratic.h.max())))
    work = noise.making + USES * settings * noise.operations
    if work > MOST_OPERATIONS:
        raise BadProblem(
            f"Where {settings} setting{'s' if settings > 1 else ''} would lead {problem}, {noise.n} rows in {noise.d} "
            f"dimensions, takes about {work / MOST_OPERATIONS:.2g} minutes to work out, beyond 1; take fewer rows or "
            "settings, or model the problem by its curvatures, ow.problems.least_squares_sgd(h)."
        )
    return noise


class RowLimits:
    """One setting on one data set, over the coordinates that have curvature.

    Args:
        quadratic: Of a finite data set.
        step: The one step that is taken, at its curvatures above 0 [m, m, 1, N or 1].
        start: What a unit start makes of the state [m, 1, N or 1].
        batch: B.
        noise: What :func:`noise_of` makes of the data set.
    """

    def __init__(self, quadratic: Quadratic, step: Step, start: Floats, batch: float, noise: RowMap) -> None:
        kept = quadratic.h > 0
        h, largest = quadratic.h[kept], float(quadratic.h.max())
        self.noise, self.h, self.center = noise, noise.h, quadratic.center[kept] * np.sqrt(largest)
        self.batch, self.d, self.m = batch, h.size, len(step.v)
        v, u = (np.broadcast_to(part[:, 0], (self.m, self.d)) for part in (step.v, step.u))
        # parts of the state are counted so that a gradient adds as much to each as to the parameters
        added = np.abs(v).max(1)
        self.sizes = np.where((added > 0) & (added[0] > 0), added / max(added[0], 1e-300), 1.0)
        change = (self.sizes / self.sizes[:, None])[:, :, None]
        self.A, self.E = (part[:, :, 0] * change for part in (step.transition(h), step.departure(h)))
        self.v, self.u = v / self.sizes[:, None] * largest, u * self.sizes[:, None]
        self.step, self.start = step, start
        self.scale = np.sqrt(self.noise.twice)

    def rate(self) -> float:
        """The factor per step on the risk of labels without noise."""
        radius = float(spectral_radius(self.A).max())
        alone = radius**2 if radius < 1e150 else float("inf")  # its square would be no number
        if not np.isfinite(alone):
            return float("inf")

        @cache
        def excess(factor: float) -> float:  # nearly a line: the gain falls as one over the distance to its pole
            gain = self.gain(factor)
            return 1.0 - 1.0 / gain if gain > 0 else -np.inf

        low = alone * (1 + 1e-13) + 1e-300
        if not excess(low) > 0:  # a coordinate outlasts all that noise does
            return alone
        rows = float((self.noise.X**2).sum(1).max())
        width = 1e-6 * max(low, rows * float((self.v**2).max()) / self.batch)
        while excess(low + width) > 0:
            low, width = low + width, 8 * width
            if not np.isfinite(width):
                return float("inf")
        return float(brentq(excess, low, low + width, xtol=1e-300, rtol=1e-14))

    def gain(self, factor: float = 1.0) -> float:
        """The largest root of what noise makes of second moments that grow by ``factor`` in a step."""
        R = self._responses(factor)
        if not np.all(np.isfinite(R)):
            return float("inf")
        if not np.any(R):
            return 0.0

        if (size := R.size) <= DENSE:
            whole = np.stack([self._returned(R, unit) for unit in np.eye(size)], axis=1)
            return float(np.abs(np.linalg.eigvals(whole)).max())
        operator = LinearOperator(
            (size, size), dtype=np.float64, matvec=lambda y: self._returned(R, np.asarray(y).reshape(-1))
        )
        # the unit matrix is inside the cone of the map's own vector
        first = np.where(self.noise.twice == 1, 1.0, 0.0)
        found = eigs(operator, k=1, which="LR", v0=first, tol=1e-13, maxiter=300, return_eigenvectors=False)
        return float(found[0].real)

    def _returned(self, R: Floats, y: Floats) -> Floats:
        """What noise makes of second moments: the upper half times ``scale``, in which the map N is symmetric."""
        return np.asarray(R * self.scale * self.noise.spread((y / self.scale)[None])[0])

    def _responses(self, factor: float) -> Floats:
        """``R(factor)`` over B, the upper half [q]."""
        return np.asarray(self._pairs(factor, self.noise.upper[0], self.noise.upper[1])[0, 0] / self.batch)

    def _pairs(self, factor: float, p: NDArray[np.intp], q: NDArray[np.intp]) -> Floats:
        """``(factor - A_p A_q)^-1 v_p v_q`` of pairs of coordinates [m, m, pairs]."""
        E, m = self.E, self.m
        eye = np.eye(m)
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            system = np.einsum("abp,ce->pacbe", E[:, :, p], eye) + np.einsum("ab,cep->pacbe", eye, E[:, :, q])
            system = system - np.einsum("abp,cep->pacbe", E[:, :, p], E[:, :, q])
            system = system.reshape(-1, m * m, m * m) + (factor - 1.0) * np.eye(m * m)
            right = np.einsum("ap,bp->pab", self.v[:, p], self.v[:, q]).reshape(-1, m * m, 1)
            found = right / system if m == 1 else solutions(system, right)
        return np.asarray(np.moveaxis(found.reshape(-1, m, m), 0, -1))

    def floor(self) -> float | None:
        """The limit of the risk, where the second moments contract; ``None`` where it was not found."""
        mean, beside = self.rest()
        source = self.noise.covariance(np.outer(mean, mean)[None], mean[None])[0][self.noise.upper]
        R = self._responses(1.0)
        right, size = self.scale * R * source, R.size

        def left(y: Floats) -> Floats:
            return np.asarray(y - self._returned(R, y))

        y = right
        if size <= DENSE:
            y = np.linalg.solve(np.stack([left(unit) for unit in np.eye(size)], axis=1), right)
        elif np.any(right):
            operator = LinearOperator((size, size), dtype=np.float64, matvec=lambda y: left(np.asarray(y).reshape(-1)))
            y, _ = gmres(operator, right, rtol=1e-13, restart=80, maxiter=40)
            if not np.linalg.norm(left(y) - right) <= 1e-8 * np.linalg.norm(right):
                return None
        each = np.arange(self.d)
        # what noise is at rest, along each coordinate
        own = (self.noise.spread((y / self.scale)[None])[0] + source)[self.noise.place[each, each]] / self.batch
        spread = np.einsum("ap,abp,bp->p", self.u, self._pairs(1.0, each, each), self.u) * np.maximum(own, 0.0)
        return 0.5 * float(self.h @ (spread + beside**2))

    def elsewhere(self) -> float:
        """The part of the limit that is there without noise."""
        return 0.5 * float(self.h @ self.rest()[1] ** 2)

    def rest(self) -> tuple[Floats, Floats]:
        """Where the mean of the parameters comes to rest, and that of the measured point, beside the optimum [d]."""
        pulled = np.broadcast_to(pull(self.step.M, self.start)[:, 0], (self.m, self.d)) * self.center
        mean = np.zeros((self.m, self.d))
        if np.any(pulled):
            mean = solutions(stacked_last(self.E), (pulled.T / self.sizes)[..., None])[..., 0].T
        beside = np.broadcast_to(seen_beside(self.step.u, self.start)[0], (self.d,)) * self.center
        return mean[0], inner(self.u, mean) + beside
