r"""A spectrum as a measure, and quadrature that stands for ten thousand curvatures with a hundred.

A risk is an integral over the spectrum of a function that each step of a linear rule makes one degree higher in h.
On blocks that span a factor of two that function is smooth, so Gauss quadrature needs few nodes. What it misses is
bounded by the function's Chebyshev coefficients beyond the degree that the quadrature integrates exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dct

from optwise.theory.matrices import Floats

ORDER = 8
"""Nodes of a block that is compressed: polynomials up to degree 15 are integrated exactly."""

CHECKED_DEGREE = 63
"""Degree up to which Chebyshev coefficients are looked at."""


ROUNDING = 1e-13
"""What is left of a vector of length 1 where it is spanned by those before it."""


@dataclass(frozen=True, eq=False)
class Measure:
    r"""Curvatures and their weights: :math:`\int F \, d\mu = \sum_i \text{weights}_i F(h_i)`.

    Args:
        h: Increasing, above 0 [N].
        weights: At least 0 [N].
    """

    h: Floats
    weights: Floats

    @property
    def size(self) -> int:
        """N: how many curvatures."""
        return int(self.h.size)

    def nothing(self) -> Measure:
        """The measure without mass."""
        return Measure(np.empty(0), np.empty(0))


def measure(h: Floats, weights: Floats) -> Measure:
    """Equal curvatures merged; what carries no weight, and flat directions, left out.

    Example:
        >>> found = measure(np.array([1.0, 0.5, 1.0, 0.0]), np.array([1.0, 2.0, 3.0, 4.0]))
        >>> found.h, found.weights
        (array([0.5, 1. ]), array([2., 4.]))
    """
    kept = (h > 0) & (weights > 0)
    nodes, places = np.unique(h[kept], return_inverse=True)
    return Measure(nodes, sums(places, weights[kept], nodes.size))


def sums(places: NDArray[np.intp], parts: Floats, size: int) -> Floats:
    """Sums of the ``parts`` at each of ``size`` places."""
    return np.bincount(places, parts, minlength=size).astype(np.float64)


Order: TypeAlias = "int | Callable[[Floats], int]"
"""Nodes of a block: one number for all, or one for a block's curvatures."""


def order_of(order: Order, block: Floats) -> int:
    """Nodes of the block with the curvatures ``block``."""
    return order if isinstance(order, int) else order(block)


def compressed(full: Measure, order: Order = ORDER) -> Measure:
    """Gauss quadrature of ``full`` on blocks that span a factor of two; blocks of no more than ``order`` stay as is.

    Args:
        full: Any measure.
        order: Nodes of a block; the quadrature is exact for polynomials of degree 2 order - 1 on each block.

    Example:
        >>> full = measure(1 / np.arange(1, 10001), np.ones(10000))
        >>> small = compressed(full)
        >>> error = small.weights @ np.log(small.h) / (full.weights @ np.log(full.h)) - 1
        >>> small.size, bool(abs(error) < 1e-13)
        (96, True)

    References:
        Golub and Welsch (1969), Calculation of Gauss quadrature rules.
    """
    nodes, weights = [np.empty(0)], [np.empty(0)]
    for block in blocks(full):
        h, w = full.h[block], full.weights[block]
        nodes_here = order_of(order, h)
        if h.size > nodes_here and w.sum() > 0:
            h, w = _gauss(h, w, nodes_here)
        nodes.append(h)
        weights.append(w)
    return Measure(np.concatenate(nodes), np.concatenate(weights))


def blocks(full: Measure) -> Iterator[slice]:
    """Runs of curvatures that span at most a factor of two, counted down from the largest."""
    if not full.size:
        return
    octave = np.floor(np.log2(full.h[-1] / full.h) * (1 - 1e-12))
    edges = [0, *(np.flatnonzero(np.diff(octave)) + 1).tolist(), full.size]
    yield from (slice(a, b) for a, b in pairwise(edges))


def _gauss(h: Floats, w: Floats, order: int) -> tuple[Floats, Floats]:
    """Lanczos on diag(h) from sqrt(w), in coordinates scaled to [-1, 1] and fully reorthogonalised."""
    middle, radius = (h[-1] + h[0]) / 2, (h[-1] - h[0]) / 2
    x, total = (h - middle) / radius, w.sum()
    basis = np.empty((order, h.size))
    basis[0] = np.sqrt(w / total)
    diagonal, beside = np.empty(order), np.empty(order - 1)
    for j in range(order):
        diagonal[j] = basis[j] @ (x * basis[j])
        if j + 1 < order:
            rest = x * basis[j]
            for _ in range(2):  # once more against what rounding leaves of the earlier ones
                rest = rest - basis[: j + 1].T @ (basis[: j + 1] @ rest)
            beside[j] = np.linalg.norm(rest)
            if beside[j] <= ROUNDING:  # fewer points than nodes carry all that counts
                order = j + 1
                break
            basis[j + 1] = rest / beside[j]
    diagonal, beside = diagonal[:order], beside[: order - 1]
    values, vectors = np.linalg.eigh(np.diag(diagonal) + np.diag(beside, 1) + np.diag(beside, -1))
    return middle + radius * values, total * vectors[0] ** 2


def krylov(h: Floats, columns: Floats, order: int) -> tuple[Floats, Floats]:
    """Gauss quadrature of a block for a matrix of measures: nodes [r] and columns [r, p], r at most p times ``order``.

    The sum of ``f(h) c c^T`` over the rows c of ``columns`` [N, p] is that over the rows returned, for polynomials f of
    degree 2 order - 1.

    Args:
        h: Curvatures of the block [N].
        columns: Roots of the weights, in p directions [N, p].
        order: Powers of h that the subspace is made of.
    """
    middle, radius = (h[-1] + h[0]) / 2, (h[-1] - h[0]) / 2
    x = (h - middle) / radius
    scaled = columns / np.maximum(np.linalg.norm(columns, axis=0), 1e-300)
    powers = [scaled, x[:, None] * scaled]
    while len(powers) < order:  # Chebyshev polynomials of x, times each column
        powers.append(2 * x[:, None] * powers[-1] - powers[-2])
    left, sizes, _ = np.linalg.svd(np.concatenate(powers[:order], axis=1), full_matrices=False)
    basis = left[:, sizes > ROUNDING * sizes[0]]
    values, vectors = np.linalg.eigh(basis.T @ (x[:, None] * basis))
    return middle + radius * values, vectors.T @ (basis.T @ columns)


def tails(values: Floats, orders: tuple[int, ...]) -> Floats:
    r"""What Gauss quadrature of each order misses of a function on a block of mass 1, at most [orders, ...].

    A function with Chebyshev coefficients :math:`a_j` is missed by at most :math:`2 \sum_{j \ge 2n} |a_j|`, since
    quadrature of n nodes is exact below degree 2n. Coefficients beyond those computed are covered by as much again as
    the last eighth of them, times what of their decay is seen; where they do not decay, the bound is as large as the
    function.

    Args:
        values: At the Chebyshev points of the block [..., CHECKED_DEGREE + 1].
        orders: n.
    """
    count = CHECKED_DEGREE + 1
    coefficients = np.abs(dct(values, type=2, axis=-1)) / count
    beyond = 8 * coefficients[..., -count // 8 :].sum(-1)
    return np.stack([2 * (coefficients[..., 2 * order :].sum(-1) + beyond) for order in orders])


def chebyshev_points(block: Floats) -> Floats:
    """The points of a block at which :func:`tails` looks at a function [CHECKED_DEGREE + 1]."""
    angles = (np.arange(CHECKED_DEGREE + 1) + 0.5) * np.pi / (CHECKED_DEGREE + 1)
    return np.asarray((block[-1] + block[0]) / 2 + (block[-1] - block[0]) / 2 * np.cos(angles))
