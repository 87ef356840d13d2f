r"""The variance of a run's risk: that of a sum of squared normals, coordinate by coordinate.

.. math:: \operatorname{Var} \tfrac12 \sum_i h_i w_i^2 = \sum_i h_i^2 (\tfrac12 V_i^2 + m_i^2 V_i), \qquad
    w_i - w_i^\star \sim N(m_i, V_i)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from optwise.core.quadratic import Quadratic
from optwise.theory.matrices import Floats
from optwise.theory.moments import Nodes
from optwise.theory.spectrum import Measure, sums

Places = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Pairs:
    """Weights of products of two responses: the places of the one, of the other, and the weights."""

    first: Places
    second: Places
    weights: Floats

    def of(self, F: Floats, G: Floats) -> Floats:
        """The weighted sum of products of ``F`` [L, ...] and ``G`` [L, ...]: [L]."""
        first, second = self.at_first(F.shape[1]), self.at_second(G.shape[1])
        found: Floats = (F[:, first] * G[:, second]) @ self.weights
        return found

    def at_first(self, size: int) -> Places | slice:
        """The places of the one response among ``size``: a slice, which copies nothing, where they are all."""
        return _all_or_some(self.first, size)

    def at_second(self, size: int) -> Places | slice:
        """The places of the other."""
        return _all_or_some(self.second, size)


def _all_or_some(places: Places, size: int) -> Places | slice:
    whole = places.size == size and bool(np.all(places == np.arange(size)))
    return slice(None) if whole else places


@dataclass(frozen=True, eq=False)
class Spread:
    """How the responses of nodes make the variance.

    Args:
        own: Twice the weights of the squares of what the start left [Nb].
        noisy: Twice the weights of the squares of what noise added [Nn].
        across: Weights of the products of the two.
        beside: Weights of products of what a drawn start and what the optimum left.
    """

    own: Floats
    noisy: Floats
    across: Pairs
    beside: Pairs

    @property
    def finite(self) -> bool:
        """Whether all weights are numbers, and none has overflowed."""
        weights = (self.own, self.noisy, self.across.weights, self.beside.weights)
        return all(bool(np.isfinite(part).all()) for part in weights)

    def of(self, F: Floats, G: Floats) -> Floats:
        """Variance [L] for responses ``F`` [L, Nb] of the start and ``G`` [L, Nn] of noise, for the batch at hand."""
        found = (G * G) @ self.noisy / 2 + self.across.of(F, G)
        if np.any(self.own):
            found = found + (F * F) @ self.own / 2
        return found + self.beside.of(F, F) if self.beside.weights.size else found


NONE = Pairs(np.zeros(0, np.intp), np.zeros(0, np.intp), np.zeros(0))


def spread_of(quadratic: Quadratic, nodes: Nodes) -> Spread:
    """The spread on merged curvatures, where nothing pulls elsewhere than to the optimum."""
    h, c, s = quadratic.h, quadratic.c, quadratic.start
    own, noisy = (_summed(part, h, at.h) for part, at in ((h * s, nodes.bias), (h * c, nodes.noise)))
    _, first, second = np.intersect1d(nodes.bias.h, nodes.noise.h, return_indices=True)
    weights = _summed(h * np.sqrt(s * c), h, nodes.bias.h[first])
    own = np.zeros_like(own) if quadratic.fixed_start else own
    return Spread(own, noisy, Pairs(first, second, weights), NONE)


def _summed(roots: Floats, h: Floats, at: Floats) -> Floats:
    """Sums of squared ``roots`` [d] over the coordinates of each curvature ``at``, which are increasing."""
    kept = np.isin(h, at)
    with np.errstate(over="ignore"):
        return sums(np.searchsorted(at, h[kept]), roots[kept] ** 2, at.size)


def by_coordinate(quadratic: Quadratic, offset: Floats) -> tuple[Nodes, Spread]:
    """Nodes and spread where a rule pulls elsewhere than to the optimum: every coordinate by itself.

    Args:
        quadratic: Whose optimum is not 0.
        offset: Mean of the start's distance to it [d].
    """
    h, c, center = quadratic.h, quadratic.c, quadratic.center
    moved = np.sqrt(quadratic.start) if not quadratic.fixed_start else offset
    directions = np.stack([moved, center])
    own = np.flatnonzero((h > 0) & np.any(directions != 0, axis=0))
    noisy = np.flatnonzero((h > 0) & (c > 0))
    noise = Measure(h[noisy], 0.5 * h[noisy] * c[noisy])
    zeros, squares = np.zeros(own.size), (h * c)[noisy] ** 2
    _, first, second = np.intersect1d(own, noisy, return_indices=True)
    across = (h**2 * c)[own[first]]
    if quadratic.fixed_start:
        nodes = Nodes(Measure(h[own], 0.5 * h[own]), noise, directions[:, own], None)
        return nodes, Spread(zeros, squares, Pairs(first, second, across), NONE)
    # a drawn start adds to the variance, and the optimum to the mean: two nodes for a coordinate
    lean = np.concatenate([directions[:, own] * [[1.0], [0.0]], directions[:, own] * [[0.0], [1.0]]], 1)
    nodes = Nodes(Measure(np.tile(h[own], 2), 0.5 * np.tile(h[own], 2)), noise, lean, None)
    both = Pairs(np.concatenate([first, first + own.size]), np.tile(second, 2), np.tile(across, 2))
    beside = Pairs(np.arange(own.size), np.arange(own.size) + own.size, h[own] ** 2)
    return nodes, Spread(np.concatenate([h[own] ** 2, zeros]), squares, both, beside)
