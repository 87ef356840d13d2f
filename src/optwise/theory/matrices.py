"""Stacks of tiny matrices with the matrix axes first: [m, m, ...], so that every entry is one contiguous array."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def product(A: Floats, B: Floats) -> Floats:
    """``A B`` for stacks [m, n, ...] and [n, q, ...]; trailing axes broadcast."""
    found: Floats = np.einsum("ij...,jk...->ik...", A, B)
    return found


def applied(A: Floats, z: Floats) -> Floats:
    """``A z`` for stacks [m, n, ...] and [n, ...]."""
    found: Floats = np.einsum("ij...,j...->i...", A, z)
    return found


def inner(u: Floats, z: Floats) -> Floats:
    """``<u, z>`` for stacks [m, ...]."""
    found: Floats = np.einsum("i...,i...->...", u, z)
    return found


def outer(a: Floats, b: Floats) -> Floats:
    """``a b^T`` for stacks [m, ...]."""
    found: Floats = np.einsum("i...,j...->ij...", a, b)
    return found


def congruence(A: Floats, P: Floats) -> Floats:
    """``A P A^T``."""
    half = product(A, P)
    found: Floats = np.einsum("ij...,kj...->ik...", half, A)
    return found


def form(P: Floats, z: Floats) -> Floats:
    """``z^T P z``."""
    return inner(applied(P, z), z)


def stacked_last(A: Floats) -> Floats:
    """The same matrices with their axes last, as numpy.linalg wants them."""
    return np.moveaxis(A, (0, 1), (-2, -1))


def spectral_radius(A: Floats) -> Floats:
    """Largest modulus of an eigenvalue [...]; infinity where an entry is not finite."""
    if A.shape[0] == 1:
        return np.asarray(np.nan_to_num(np.abs(A[0, 0]), nan=np.inf, posinf=np.inf))
    if A.shape[0] == 2:
        return _radius_of_two(A)
    ordered = stacked_last(A)
    finite = np.isfinite(ordered).all((-2, -1))
    kept = np.where(np.asarray(finite)[..., None, None], ordered, 0.0)
    return np.where(finite, np.abs(np.linalg.eigvals(kept)).max(-1), np.inf)


def turning_angle(A: Floats) -> Floats:
    """Largest angle of an eigenvalue in the complex plane [...], in [0, pi]: 0 where none turns."""
    if A.shape[0] == 1:
        return np.where(A[0, 0] < 0, np.pi, 0.0)
    ordered = stacked_last(A)
    values = np.linalg.eigvals(np.where(np.isfinite(ordered), ordered, 0.0))
    # rounding gives a double root a small angle: 1e-8 is the square root of the precision
    angles = np.where(np.abs(values) > 1e-12, np.abs(np.angle(values)), 0.0)
    return np.asarray(angles.max(-1))


def _radius_of_two(A: Floats) -> Floats:
    with np.errstate(invalid="ignore", over="ignore"):
        half, determinant = (A[0, 0] + A[1, 1]) / 2, A[0, 0] * A[1, 1] - A[0, 1] * A[1, 0]
        # the discriminant from its own terms: half^2 - determinant would cancel
        discriminant = ((A[0, 0] - A[1, 1]) / 2) ** 2 + A[0, 1] * A[1, 0]
        real = np.abs(half) + np.sqrt(np.maximum(discriminant, 0.0))
        found = np.where(discriminant >= 0, real, np.sqrt(np.maximum(determinant, 0.0)))
    return np.asarray(np.nan_to_num(found, nan=np.inf, posinf=np.inf))
