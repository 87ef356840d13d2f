"""One step of a linear rule, at many settings and curvatures at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from optwise.theory.matrices import Floats


@dataclass(frozen=True, eq=False)
class Step:
    """One step at T settings and N curvatures, N = 1 where the rule does not look at them.

    Args:
        M: What the state becomes without a gradient [m, m, T, N].
        v: What a unit gradient adds [m, T, N].
        u: Where the rule is measured after the step [m, T, N].
    """

    M: Floats
    v: Floats
    u: Floats

    def transition(self, h: Floats) -> Floats:
        """``A(h) = M + h v e_1^T`` [m, m, T, N] for curvatures ``h`` [N]: the gradient is ``h w`` plus noise."""
        T, N = self.M.shape[2], h.size
        A = np.broadcast_to(self.M, (*self.M.shape[:2], T, N)).copy()
        with np.errstate(over="ignore", invalid="ignore"):
            A[:, 0] += self.v * h
        return A

    def departure(self, h: Floats) -> Floats:
        """``I - A(h)`` [m, m, T, N], in which a small ``h`` is not lost beside 1."""
        m, T, N = len(self.v), self.M.shape[2], h.size
        E = np.broadcast_to(np.eye(m)[:, :, None, None] - self.M, (m, m, T, N)).copy()
        with np.errstate(over="ignore", invalid="ignore"):
            E[:, 0] -= self.v * h
        return E

    def same_as(self, other: Step) -> bool:
        """Whether two steps are one up to rounding."""
        pairs = ((self.M, other.M), (self.v, other.v), (self.u, other.u))
        return all(np.allclose(a, b, rtol=1e-14, atol=0.0) for a, b in pairs)

    def some(self, rows: Any) -> Step:
        """The step at some of the settings."""
        return Step(self.M[:, :, rows], self.v[:, rows], self.u[:, rows])

    def near(self, n: int) -> Step:
        """The step at one of the curvatures."""
        return Step(*(each if each.shape[-1] == 1 else each[..., n : n + 1] for each in (self.M, self.v, self.u)))
