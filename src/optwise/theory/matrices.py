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
    if A.shape[0] == 2:
        half, discriminant = (A[0, 0] + A[1, 1]) / 2, ((A[0, 0] - A[1, 1]) / 2) ** 2 + A[0, 1] * A[1, 0]
        least = half - np.sqrt(np.maximum(discriminant, 0.0))
        turned = np.arctan2(np.sqrt(np.maximum(-discriminant, 0.0)), half)
        return np.asarray(np.where(discriminant < 0, turned, np.where(least < -1e-12, np.pi, 0.0)))
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
        overflowed = ~np.isfinite(found) & np.isfinite(A).all((0, 1))
        if overflowed.any():  # squares of numbers beyond 1e154
            size = np.abs(A).max((0, 1)) + 1e-300
            scaled = stacked_last(np.where(overflowed, A / size, 0.0))
            found = np.where(overflowed, size * np.abs(np.linalg.eigvals(scaled)).max(-1), found)
    return np.asarray(np.nan_to_num(found, nan=np.inf, posinf=np.inf))


def departures(E: Floats) -> NDArray[np.complex128]:
    """Eigenvalues of ``E = I - A`` [..., m], which say how far those of A are from 1 without a digit lost.

    Args:
        E: [m, m, ...]; what is not finite counts as 0.
    """
    ordered = np.where(np.isfinite(stacked_last(E)), stacked_last(E), 0.0)
    if E.shape[0] == 1:
        return np.asarray(ordered[..., 0].astype(np.complex128))
    if E.shape[0] == 2:
        return _departures_of_two(ordered)
    return np.asarray(np.linalg.eigvals(ordered).astype(np.complex128))


def _departures_of_two(E: Floats) -> NDArray[np.complex128]:
    a, b, c, d = E[..., 0, 0], E[..., 0, 1], E[..., 1, 0], E[..., 1, 1]
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        half, apart, beside = (a + d) / 2, ((a - d) / 2) ** 2, b * c
        discriminant = apart + beside
        # a double root is one up to rounding: its square root would be 1e-8
        size = apart + np.abs(beside) + np.finfo(np.float64).eps * half**2
        root = np.sqrt(np.where(np.abs(discriminant) <= 8e-16 * size, 0.0, discriminant).astype(np.complex128))
        large = np.where(half >= 0, half + root, half - root)
        small = np.where(large != 0, (a * d - beside) / large, 0.0)
        other = np.where(half >= 0, half - root, half + root)
    return np.stack([large, np.where(discriminant > 0, small, other)], axis=-1)
