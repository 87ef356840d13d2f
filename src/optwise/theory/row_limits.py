r"""What constant steps on the rows of a finite data set lead to: the factor on the risk, its limit, the largest rate.

The covariance C of the state obeys, with rows :math:`x_i` and batches of B independent draws,

.. math:: C' = K C + \text{source}, \qquad
    K C = A C A^\top + \frac1B v v^\top \circ \Bigl( \frac1n \sum_i x_i x_i^\top \, (x_i^\top C x_i) - H C H \Bigr),

a positive linear map. Its largest root is the factor per step on the risk, and C ends where
:math:`(I - K) C = \text{source}`, which is solved with the part of K that every pair of coordinates has by itself as
preconditioner.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.sparse.linalg import LinearOperator, eigs, gmres

from optwise.core.quadratic import Quadratic
from optwise.theory.matrices import Floats, inner, stacked_last
from optwise.theory.moments import pull, seen_beside
from optwise.theory.roots import solutions
from optwise.theory.row_noise import gradient_covariance
from optwise.theory.steps import Step

DENSE = 600
"""Numbers of a covariance up to which the map is written out as a matrix."""

EDGE = 1e-9
"""How far from 1 the factor of the risk counts as 1."""


class RowLimits:
    """One setting on one data set, over the coordinates that have curvature.

    Args:
        quadratic: Of a finite data set.
        step: The one step that is taken, at its curvatures above 0 [m, m, 1, N or 1].
        start: What a unit start makes of the state [m, 1, N or 1].
        batch: B.
    """

    def __init__(self, quadratic: Quadratic, step: Step, start: Floats, batch: float) -> None:
        assert quadratic.rows is not None
        assert quadratic.residuals is not None
        kept = quadratic.h > 0
        self.h, self.center = quadratic.h[kept], quadratic.center[kept]
        self.rows, self.residuals = quadratic.rows[:, kept], quadratic.residuals
        self.batch, self.d, self.m = batch, int(kept.sum()), len(step.v)
        self.A = step.transition(self.h)[:, :, 0]
        self.v, self.u = (np.broadcast_to(part[:, 0], (self.m, self.d)) for part in (step.v, step.u))
        self.step, self.start = step, start
        self.shape = (self.m, self.m, self.d, self.d)

    def mapped(self, C: Floats) -> Floats:
        """``K C`` [m, m, d, d]."""
        half = np.einsum("abp,bcpq->acpq", self.A, C)
        found = np.einsum("acpq,ecq->aepq", half, self.A)
        own = C[0, 0]
        noise = gradient_covariance(self.rows, np.zeros(len(self.rows)), self.h, np.zeros(self.d), own) / self.batch
        return np.asarray(found + np.einsum("ap,eq,pq->aepq", self.v, self.v, noise))

    def rate(self) -> float:
        """The factor per step on the risk of labels without noise."""
        size = int(np.prod(self.shape))
        if size == 0:
            return 0.0
        if not np.all(np.isfinite(self.A)):
            return float("inf")
        if size <= DENSE:
            return float(np.abs(np.linalg.eigvals(self._written(self.mapped))).max())
        operator = LinearOperator((size, size), matvec=lambda c: self.mapped(c.reshape(self.shape)).reshape(-1))
        first = np.einsum("ab,pq->abpq", np.eye(self.m), np.eye(self.d)).reshape(
            -1
        )  # inside the cone of its own vector
        return float(np.abs(eigs(operator, k=1, which="LM", v0=first, return_eigenvectors=False, tol=1e-12)[0]))

    def floor(self) -> float | None:
        """The limit of the risk, where the second moments contract; ``None`` where it was not found."""
        mean, beside = self.rest()
        noise = gradient_covariance(self.rows, self.residuals, self.h, mean, np.outer(mean, mean)) / self.batch
        source = np.einsum("ap,eq,pq->aepq", self.v, self.v, noise).reshape(-1)
        size = source.size

        def left(c: Floats) -> Floats:
            return np.asarray(c - self.mapped(c.reshape(self.shape)).reshape(-1))

        if size <= DENSE:
            C = np.linalg.solve(self._written(lambda c: c - self.mapped(c)), source)
        elif np.any(source):
            pairs = self._each_pair()

            def alone(c: Floats) -> Floats:
                stacked = np.moveaxis(c.reshape(self.shape), (0, 1), (2, 3)).reshape(self.d, self.d, self.m**2, 1)
                solved = (pairs @ stacked).reshape(self.d, self.d, self.m, self.m)
                return np.asarray(np.moveaxis(solved, (2, 3), (0, 1)).reshape(-1))

            near = LinearOperator((size, size), matvec=alone)
            C, _ = gmres(LinearOperator((size, size), matvec=left), source, M=near, rtol=1e-12, restart=80, maxiter=40)
            if not np.linalg.norm(left(C) - source) <= 1e-8 * np.linalg.norm(source):
                return None
        else:
            C = source
        spread = np.einsum("ap,abpp,bp->p", self.u, C.reshape(self.shape), self.u)
        return 0.5 * float(self.h @ (spread + beside**2))

    def elsewhere(self) -> float:
        """The part of the limit that is there without noise."""
        return 0.5 * float(self.h @ self.rest()[1] ** 2)

    def rest(self) -> tuple[Floats, Floats]:
        """Where the mean of the parameters comes to rest, and that of the measured point, beside the optimum [d]."""
        pulled = np.broadcast_to(pull(self.step.M, self.start)[:, 0], (self.m, self.d)) * self.center
        mean = np.zeros((self.m, self.d))
        if np.any(pulled):
            E = stacked_last(self.step.departure(self.h)[:, :, 0])
            mean = solutions(E, pulled.T[..., None])[..., 0].T
        beside = np.broadcast_to(seen_beside(self.step.u, self.start)[0], (self.d,)) * self.center
        return mean[0], inner(self.u, mean) + beside

    def _each_pair(self) -> Floats:
        """``(I - A_p A_q)^-1`` on the covariance of every two coordinates [d, d, m m, m m]."""
        both = np.einsum("acp,beq->pqabce", self.A, self.A).reshape(self.d, self.d, self.m**2, self.m**2)
        return np.asarray(np.linalg.inv(np.eye(self.m**2) - both))

    def _written(self, function: Callable[[Floats], Floats]) -> Floats:
        size = int(np.prod(self.shape))
        columns = [function(unit.reshape(self.shape)).reshape(-1) for unit in np.eye(size)]
        return np.stack(columns, axis=1)
