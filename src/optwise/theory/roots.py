r"""Roots of constant steps inside, on and outside the unit circle, and the systems that settle what lies inside.

With :math:`E = I - A` an eigenvalue :math:`1 - \mu` of A lies inside the unit circle where
:math:`2 \operatorname{Re} \mu > |\mu|^2`. Written in E, neither a curvature of 1e-12 nor one at the edge is rounded
away.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from optwise.theory.matrices import Floats, departures, spectral_radius, stacked_last
from optwise.theory.steps import Step

EDGE = 2e-14
"""Relative distance of a root to the unit circle that counts as none: rounding of a step and of its root."""

NEAR_ONE = 1e-14
"""Roots this close to 1, relative to the size of the step, are those of a direction that hardly moves."""

FAR = 1e100
"""Roots beyond this lie outside without a look at their squares."""

Truths = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Roots:
    """Where the roots of every setting and curvature lie [T, N].

    Args:
        radius: Largest modulus; exactly 1 at the edge.
        inside: Whether all lie inside the unit circle, or so close to 1 that the direction stands still.
        edge: Whether one lies on the circle, and none outside.
        still: Whether one is 1 itself, so that a part of the state stays as it is.
    """

    radius: Floats
    inside: Truths
    edge: Truths
    still: Truths


@np.errstate(over="ignore", invalid="ignore")  # beyond the numbers a root lies outside
def roots_of(step: Step, h: Floats) -> Roots:
    """The roots of a step at curvatures ``h``."""
    E, A = step.departure(h), step.transition(h)
    finite = np.isfinite(E).all((0, 1))
    mu = departures(E)  # [T, N, m]
    # the largest root of the moduli: in whatever units each part of the state is, it is the same
    size = spectral_radius(np.abs(E))[..., None]
    far = ~(np.abs(mu) < FAR)  # so far out that its square may be no number
    near = np.where(far, 0.0, mu)
    gap, scale = 2 * near.real - np.abs(near) ** 2, 2 * np.abs(near.real) + np.abs(near) ** 2
    still = ~far & (np.abs(mu) <= NEAR_ONE * np.where(np.isfinite(size), size, 1.0))
    # of larger matrices the roots are known to a few more roundings
    tolerance = EDGE * (scale if mu.shape[-1] <= 2 else 10 * np.maximum(scale, 1.0))
    outside = ~finite | (far | ((gap < -tolerance) & ~still)).any(-1)
    edge = ~outside & ((np.abs(gap) <= tolerance) & ~still).any(-1)
    radius = spectral_radius(A)
    radius = np.where(outside, radius, np.where(edge, 1.0, np.minimum(radius, 1.0)))
    nothing = ~far & (np.abs(mu) <= (1e-15 * size if mu.shape[-1] > 2 else 0.0))
    return Roots(radius, ~outside & ~edge, edge, np.asarray(nothing.any(-1)))


def solved(E: Floats, Q: Floats) -> Floats:
    """The P with ``E P + P E^T - E P E^T = Q`` for stacks [m, m, ...], by one linear system each."""
    m, eye, rest = len(E), np.eye(len(E)), E.shape[2:]
    system = (
        np.einsum("ij...,kl->...ikjl", E, eye)
        + np.einsum("ij,kl...->...ikjl", eye, E)
        - np.einsum("ij...,kl...->...ikjl", E, E)
    ).reshape(*rest, m * m, m * m)
    found = solutions(system, stacked_last(Q).reshape(*rest, m * m, 1))
    return np.moveaxis(found.reshape(*rest, m, m), (-2, -1), (0, 1))


def solutions(systems: Floats, right: Floats) -> Floats:
    """Solutions of many small systems; infinite where one has none."""
    try:
        return np.asarray(np.linalg.solve(systems, right), dtype=np.float64)
    except np.linalg.LinAlgError:
        found = np.full(np.broadcast_shapes(systems.shape[:-1], right.shape[:-1]), np.inf)[..., None]
        for place in np.ndindex(systems.shape[:-2]):
            with contextlib.suppress(np.linalg.LinAlgError):
                found[place] = np.linalg.solve(systems[place], right[place])
        return found
