"""Where constant steps lead under additive noise: to a limit, away without end, or along the edge between the two."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from optwise.theory.coordinates import Coordinates
from optwise.theory.matrices import Floats, applied, form, inner, outer, stacked_last
from optwise.theory.moments import pull, seen_beside, with_center
from optwise.theory.roots import roots_of, solutions, solved
from optwise.theory.steps import Step

LATE = 18
"""Logarithm of the step at which a response at the edge is looked at: later, rounding of its root would show."""

RANK = 1e-10
"""Part of a response that must be new for it to reach another direction."""

Truths = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Limits:
    """Where the risk goes, at T settings.

    Args:
        noise: Limit of the part that noise of batches of one adds [T]; infinite where it grows without end.
        bias: Limit of what the start and the optimum's place leave [T]; infinite where it grows without end, and not a
            number where it keeps going up and down.
        edge: Whether something that is excited stays on the edge of stability [T].
    """

    noise: Floats
    bias: Floats
    edge: Truths

    def floors(self, sizes: Floats) -> Floats:
        """Limits of the risk at batch sizes [T, B]."""
        grows = np.isposinf(self.noise)[:, None]
        return np.where(grows, np.inf, self.bias[:, None] + self.noise[:, None] / sizes)

    @property
    def grows(self) -> Truths:
        """Whether the risk grows without end [T]."""
        return np.isposinf(self.noise) | np.isposinf(self.bias)


def limits(step: Step, start: Floats, at: Coordinates) -> Limits:
    """Limits under additive noise.

    Args:
        step: The one step that constant hyperparameters settle on.
        start: What a unit start makes of the state [m, T, N].
        at: Curvatures.
    """
    roots, E, A = roots_of(step, at.h), step.departure(at.h), step.transition(at.h)
    m, T, N = E.shape[1:]
    v, u, zeta = (np.broadcast_to(each, (m, T, N)) for each in (step.v, step.u, start))
    half, weights = 0.5 * at.h * at.count, 0.5 * at.h * at.count * at.c
    reached = reached_by_gradients(A, v, u)
    with np.errstate(invalid="ignore", over="ignore"):
        gains = _gains(E, v, u, roots.inside & reached & ~roots.still)  # variance of unit noise
        for t, n in np.argwhere(roots.inside & reached & roots.still):
            gains[t, n] = _gain_beside_what_stays(E[:, :, t, n], v[:, t, n], u[:, t, n])
        added = np.where(reached & ~roots.inside, np.inf, gains)
        noise = np.where(weights > 0, added * weights, 0.0).sum(1)
        settled = _settled(E, step, start, roots.inside)  # distance to an optimum of 1 [T, N]
        bias = np.where(at.square > 0, settled**2 * half * at.square, 0.0)
        excited = (at.start > 0) | (at.square > 0)
        for t, n in np.argwhere((~roots.inside | roots.still) & excited):
            own, one = at.some(np.array([n])), step.some(slice(t, t + 1)).near(n)
            bias[t, n] = _late(one, zeta[:, t, n], own, outside=not (roots.inside | roots.edge)[t, n])
    at_edge = roots.edge & (excited | ((weights > 0) & reached))
    # what grows outweighs what goes up and down
    whole = np.where(np.isposinf(bias).any(1), np.inf, bias.sum(1))
    return Limits(noise, whole, np.asarray(at_edge.any(1)))


def reached_by_gradients(A: Floats, v: Floats, u: Floats) -> Truths:
    """Whether a gradient ever moves the point that is measured [T, N]: one of the first m responses is not 0."""
    found, x = np.zeros(v.shape[1:], dtype=bool), v
    with np.errstate(invalid="ignore", over="ignore"):
        for _ in range(len(v)):
            found |= inner(u, x) != 0
            x = applied(A, x)
    return found


def _gains(E: Floats, v: Floats, u: Floats, wanted: Truths) -> Floats:
    """``u^T P u`` [T, N] for the P with ``P = A P A^T + v v^T``, written in ``E = I - A``."""
    m = len(v)
    own = np.where(wanted, E, np.eye(m)[:, :, None, None])
    P = solved(own, outer(v, v))
    return np.where(wanted, np.maximum(form(P, u), 0.0), 0.0)


def _gain_beside_what_stays(E: Floats, v: Floats, u: Floats) -> float:
    """The same at one setting and curvature where a part of the state stays as it is: over what gradients reach."""
    reached, x = list[Floats](), v
    for _ in range(len(v)):
        x = x - sum((q @ x) * q for q in reached)
        if not np.linalg.norm(x) > RANK * np.linalg.norm(v):
            break
        reached.append(x / np.linalg.norm(x))
        x = reached[-1] - E @ reached[-1]
    Q = np.stack(reached, axis=1)  # [m, reached]
    small = (Q.T @ E @ Q)[:, :, None, None]
    P = solved(small, outer((Q.T @ v)[:, None, None], (Q.T @ v)[:, None, None]))
    return float(max(form(P, (Q.T @ u)[:, None, None])[0, 0], 0.0))


def _settled(E: Floats, step: Step, start: Floats, inside: Truths) -> Floats:
    """Where the measured distance to an optimum of 1 settles [T, N]: ``<u, E^-1 (M zeta - zeta)> + <u, zeta> - 1``."""
    m, rest = len(E), E.shape[2:]
    pulled = np.broadcast_to(pull(step.M, start), E.shape[1:])
    u, beside = np.broadcast_to(step.u, E.shape[1:]), np.broadcast_to(seen_beside(step.u, start), rest)
    needed = inside & np.any(pulled != 0, axis=0)
    own = np.where(needed, E, np.eye(m)[:, :, None, None])
    place = solutions(stacked_last(own), np.moveaxis(pulled, 0, -1)[..., None])[..., 0]
    found: Floats = np.where(needed, inner(u, np.moveaxis(place, -1, 0)), 0.0) + beside
    return found


def _late(step: Step, zeta: Floats, at: Coordinates, *, outside: bool) -> float:
    """The weighted squared response of one coordinate after 2^18 steps; not a number where it goes up and down."""
    start = zeta[:, None, None]
    whole = with_center(step, start)
    A = whole.transition(at.h)[:, :, 0, 0]
    weights = _square_root(float(at.start[0]), float(at.cross[0]), float(at.square[0]))
    half = 0.5 * float(at.h[0] * at.count[0])
    m = len(zeta)
    columns = np.zeros((m + 1, 2))
    columns[:m], columns[m] = zeta[:, None] * weights[0], weights[1]
    seen = []
    with np.errstate(over="ignore", invalid="ignore"):
        powers = A
        for _ in range(LATE):
            powers = powers @ powers
            if not np.isfinite(powers).all() or np.abs(powers).max() > 1e150:
                break
        earlier = _of(whole.u[:, 0, 0], A, columns)
        for k in range(4):
            columns_k = powers @ np.linalg.matrix_power(A, k) @ columns
            seen.append(float(half * np.sum((whole.u[:, 0, 0] @ columns_k) ** 2)))
    if outside or not np.isfinite(seen).all() or max(seen) > 1e8 * max(earlier, 1e-300) * half:
        return float("inf") if max(np.nan_to_num(seen, nan=np.inf)) > 0 else 0.0
    if max(seen) - min(seen) > 1e-6 * max(seen):
        return float("nan")
    return seen[0]


def _of(u: Floats, A: Floats, columns: Floats) -> float:
    return float(max(np.sum((u @ np.linalg.matrix_power(A, k) @ columns) ** 2) for k in range(8)))


def _square_root(a: float, b: float, c: float) -> Floats:
    """Columns [2, 2] whose outer products add up to [[a, b], [b, c]]."""
    if c <= 0:
        return np.array([[a**0.5, 0.0], [0.0, 0.0]])
    return np.array([[b / c**0.5, max(a - b * b / c, 0.0) ** 0.5], [c**0.5, 0.0]])
