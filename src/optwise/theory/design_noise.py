r"""Least squares on fresh Gaussian rows: gradient noise that grows with the distance, so that B bounds the step size.

For rows :math:`x \sim N(0, H)` and label noise of variance :math:`\sigma^2`, the mean gradient of B of them has, with
:math:`s_i = \mathbb E w_i^2`,

.. math:: \operatorname{Var} g_i = \frac1B \Bigl( h_i^2 s_i + h_i \sum_j h_j s_j + \sigma^2 h_i \Bigr)

All coordinates are coupled through one number, the risk at the iterate, so that a step costs O(d).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from optwise.core.quadratic import Quadratic
from optwise.theory.linear_rules import Step
from optwise.theory.matrices import Floats, congruence, form, outer


@dataclass(frozen=True, eq=False)
class Coordinates:
    """Curvatures above 0, equal ones merged.

    Args:
        h: Increasing [N].
        count: How many coordinates have it [N].
        start: Their mean second moment at the start [N].
        c: Their noise variance at the optimum, for one example [N].
    """

    h: Floats
    count: Floats
    start: Floats
    c: Floats

    def some(self, chosen: NDArray[np.intp]) -> Coordinates:
        """Some of the curvatures."""
        return Coordinates(self.h[chosen], self.count[chosen], self.start[chosen], self.c[chosen])

    @classmethod
    def of(cls, quadratic: Quadratic) -> Coordinates:
        """Those of a quadratic."""
        kept = quadratic.h > 0
        h, places, count = np.unique(quadratic.h[kept], return_inverse=True, return_counts=True)
        start, c = (np.bincount(places, part[kept], h.size) / count for part in (quadratic.start, quadratic.c))
        return cls(h, count.astype(np.float64), start, c)


def total_risk(start: Floats, first: Floats, steps: Iterable[Step], at: Coordinates, batch: float) -> Iterator[float]:
    """Expected excess risk at every step from 0, at one setting.

    Args:
        start: What a unit start makes of the state [m, 1, N].
        first: Where the rule is measured before its first step [m, 1, N].
        steps: Its steps.
        at: Curvatures.
        batch: B.
    """
    zeta = np.broadcast_to(start, (start.shape[0], 1, at.h.size))
    P = outer(zeta, zeta) * at.start
    half = 0.5 * at.h * at.count
    yield float((form(P, np.broadcast_to(first, zeta.shape)) @ half)[0])
    last: Step | None = None
    with np.errstate(over="ignore", invalid="ignore"):
        for step in steps:
            if step is not last:
                last, A = step, step.transition(at.h)
                v, u = np.broadcast_to(step.v, zeta.shape), np.broadcast_to(step.u, zeta.shape)
                added = outer(v, v)
            s = P[0, 0]  # the gradient is taken at the parameters themselves
            spread = (at.h**2 * s + at.h * (s @ (at.h * at.count)) + at.c) / batch
            P = congruence(A, P) + added * spread
            yield float((form(P, u) @ half)[0])


@dataclass(frozen=True, eq=False)
class Stationary:
    """What constant steps lead to in mean square, at T settings.

    Args:
        gain: Loop gain of the coupling [T]; the second moments are bounded where it is below 1.
        floor: Limit of the risk [T], infinite where there is none.
    """

    gain: Floats
    floor: Floats


def stationary(step: Step, at: Coordinates, batch: float) -> Stationary:
    """Mean-square stability and floor: each coordinate alone, then the coupling of all as one number.

    A coordinate alone obeys a positive linear map; where its spectral radius is at least 1 the gain is infinite.
    """
    A, m = step.transition(at.h), step.M.shape[0]
    T, N = A.shape[2:]
    v, u = np.broadcast_to(step.v, (m, T, N)), np.broadcast_to(step.u, (m, T, N))
    kron = np.einsum("ijtn,kltn->tnikjl", A, A)
    kron[..., 0, 0] += np.einsum("itn,ktn->tnik", v, v) * (at.h**2 / batch)[:, None, None]
    maps = kron.reshape(T, N, m * m, m * m)
    stable = np.abs(np.linalg.eigvals(np.nan_to_num(maps, nan=1e300, posinf=1e300))).max(-1) < 1
    source = np.einsum("itn,ktn->tnik", v, v).reshape(T, N, m * m, 1)
    systems = np.where(stable[..., None, None], np.eye(m * m) - maps, np.eye(m * m))
    G = np.moveaxis(np.linalg.solve(systems, source).reshape(T, N, m, m), (2, 3), (0, 1))
    own = np.where(stable, G[0, 0], np.inf)
    gain = own @ (at.h**2 * at.count) / batch
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        coupled = (own @ (at.h * at.count * at.c) / batch) / (1 - gain)  # sum of h s
        measured = form(G, u)
        risk = 0.5 * (measured * (at.h * coupled[:, None] + at.c)) @ (at.h * at.count) / batch
    bounded = stable.all(1) & (gain < 1)
    return Stationary(np.where(stable.all(1), gain, np.inf), np.where(bounded, risk, np.inf))
