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
from scipy.optimize import brentq

from optwise.theory.coordinates import Coordinates
from optwise.theory.matrices import Floats, congruence, form, inner, outer, stacked_last
from optwise.theory.moments import pull, seen_beside, with_center
from optwise.theory.roots import roots_of, solutions, solved
from optwise.theory.steps import Step

EDGE = 1e-9
"""How far from 1 the factor of the risk counts as 1: it is the root of a sum over the spectrum."""


def total_risk(
    start: Floats, first: Floats, steps: Iterable[Step], at: Coordinates, batches: Iterable[float]
) -> Iterator[float]:
    """Expected excess risk at every step from 0, at one setting.

    Args:
        start: What a unit start makes of the state [m, 1, N].
        first: Where the rule is measured before its first step [m, 1, N].
        steps: Its steps.
        at: Curvatures.
        batches: B of each step.
    """
    m, N = start.shape[0], at.h.size
    zeta, far = np.zeros((m + 1, 1, N)), np.zeros((m + 1, 1, N))
    zeta[:m], far[m] = start, 1.0  # distances to the optimum, and the optimum itself as the last part of the state
    P = outer(zeta, zeta) * at.start + (outer(zeta, far) + outer(far, zeta)) * at.cross + outer(far, far) * at.square
    half = 0.5 * at.h * at.count
    begin = with_center(Step(np.zeros((m, *first.shape)), first, first), start)
    yield float((form(P, np.broadcast_to(begin.u, zeta.shape)) @ half)[0])
    last: Step | None = None
    with np.errstate(over="ignore", invalid="ignore"):
        for step, batch in zip(steps, batches, strict=False):
            if step is not last:
                last, whole = step, with_center(step, start)
                A = whole.transition(at.h)
                v, u = np.broadcast_to(whole.v, zeta.shape), np.broadcast_to(whole.u, zeta.shape)
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


def stationary(step: Step, start: Floats, at: Coordinates, batch: float) -> Stationary:
    """Mean-square stability and floor: each coordinate alone, then the coupling of all as one number.

    A coordinate alone obeys a positive linear map; where its spectral radius is at least 1 the gain is infinite. What
    pulls elsewhere than to the optimum moves the mean, whose square is noise of its own.
    """
    E, m = step.departure(at.h), step.M.shape[0]
    T, N = E.shape[2:]
    v, u = np.broadcast_to(step.v, (m, T, N)), np.broadcast_to(step.u, (m, T, N))
    inside = roots_of(step, at.h).inside & np.any(v != 0, axis=0)
    alone = solved(np.where(inside, E, np.eye(m)[:, :, None, None]), np.where(inside, outer(v, v), 0.0))
    fed = alone[0, 0] * at.h**2 / batch  # what of a coordinate's second moment comes back as its own noise
    stable = (roots_of(step, at.h).inside) & (fed < 1)
    G = alone / np.where(stable, 1 - fed, 1.0)
    own = np.where(stable, G[0, 0], np.inf)
    gain = own @ (at.h**2 * at.count) / batch
    # the mean settles where the noiseless method does
    E = np.where(stable, E, np.eye(m)[:, :, None, None])
    pulled = np.broadcast_to(pull(step.M, start), (m, T, N))
    pulled = np.where(at.square > 0, pulled, 0.0)
    mean = np.zeros((m, T, N))
    if np.any(pulled):
        mean = np.moveaxis(solutions(stacked_last(E), np.moveaxis(pulled, 0, -1)[..., None])[..., 0], -1, 0)
    near = mean[0] ** 2 * at.square  # squared distance of the parameters' mean to the optimum [T, N]
    far = (inner(u, mean) + np.broadcast_to(seen_beside(step.u, start), (T, N))) ** 2 * at.square
    mass = at.h * at.count
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        source = at.c + at.h**2 * near
        coupled = ((own * source) @ mass / batch + near @ mass) / (1 - gain)  # sum of h s
        spread = (at.h * coupled[:, None] + source) / batch
        risk = 0.5 * (form(G, u) * spread + far) @ mass
    bounded = stable.all(1) & (gain < 1)
    return Stationary(np.where(stable.all(1), gain, np.inf), np.where(bounded, risk, np.inf))


def risk_rate(step: Step, at: Coordinates, batch: float) -> float:
    r"""Factor per step on the risk of noiseless labels, at one setting: the largest root of the second moments.

    The coupling of all coordinates has the root :math:`\lambda` where their resolvents add up to B,
    :math:`\sum_i h_i^2 \, (\lambda - K_i)^{-1} = B`, above the largest root of each :math:`K_i` alone.
    """
    A = step.transition(at.h)
    v = np.broadcast_to(step.v, A.shape[1:])
    maps = _maps(A, v, at, batch)
    alone = float(_radius(maps).max())
    if not np.isfinite(alone):
        return float("inf")
    weights = at.h**2 * at.count / batch
    if not np.any(v) or alone == 0.0 == weights.sum():
        return alone

    def excess(factor: float) -> float:
        return float(_resolvent(maps, v, np.full((1, 1), factor))[0, 0, 0] @ weights) - 1.0

    low = alone * (1 + 1e-15) + 1e-300
    width = max(alone, 1.0) * 1e-15
    while not excess(low + width) < 0:
        low, width = low + width, 4 * width
        if not np.isfinite(width):
            return float("inf")
    if not excess(low) > 0:  # one coordinate outdoes all others together
        return low
    return float(brentq(excess, low, low + width, xtol=1e-300, rtol=4 * np.finfo(np.float64).eps))


def _maps(A: Floats, v: Floats, at: Coordinates, batch: float) -> Floats:
    """What a step makes of each coordinate's own second moments, without the others [T, N, m m, m m]."""
    m, T, N = v.shape
    kron = np.einsum("ijtn,kltn->tnikjl", A, A)
    kron[..., 0, 0] += np.einsum("itn,ktn->tnik", v, v) * (at.h**2 / batch)[:, None, None]
    maps: Floats = kron.reshape(T, N, m * m, m * m)
    return maps


def _radius(maps: Floats) -> Floats:
    finite = np.nan_to_num(maps, nan=1e300, posinf=1e300, neginf=-1e300)
    return np.asarray(np.abs(finite[..., 0, 0]) if maps.shape[-1] == 1 else np.abs(np.linalg.eigvals(finite)).max(-1))


def _resolvent(maps: Floats, v: Floats, factor: Floats) -> Floats:
    """``(factor - K)^-1 v v^T`` of every coordinate [m, m, T, N], for factors [T, 1]."""
    m, T, N = v.shape
    source = np.einsum("itn,ktn->tnik", v, v).reshape(T, N, m * m, 1)
    systems = np.eye(m * m) * factor[..., None, None] - maps
    solved_each: Floats = np.linalg.solve(systems, source).reshape(T, N, m, m)
    return np.asarray(np.moveaxis(solved_each, (2, 3), (0, 1)))
