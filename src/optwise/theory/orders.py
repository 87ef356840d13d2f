r"""How many nodes a block of the spectrum needs for a setting, from how far its roots turn and shrink across the block.

After k steps a response is a sum of powers :math:`\lambda(h)^k`, and its square has the terms
:math:`e^{2 k \log \lambda(h)}`. Across a block on which :math:`\log \lambda` changes by :math:`2 \delta` the Chebyshev
coefficients of that term are Bessel functions of :math:`2 k \delta`, which vanish a little beyond that degree. It
counts for as long as :math:`|\lambda|^{2k}` is not nothing.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from optwise.theory.matrices import Floats, departures
from optwise.theory.steps import Step

LADDER = np.array([8, 10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 256, 320, 384, 512])
"""Numbers of nodes that are told apart."""

DIGITS = 21.0
"""Logarithm of how much smaller than the target what is missed must be: nine digits."""

WHOLE = 2**20
"""Nodes of a block that is not compressed."""

LOOKED_AT = 16
"""Steps, evenly spread on a log scale, at which a response is looked at."""


def octaves_of(h: Floats, largest: float) -> NDArray[np.intp]:
    """Which octave below the largest curvature each one lies in."""
    return np.floor(np.log2(largest / h) * (1 - 1e-12)).astype(np.intp)


def needed_orders(step: Step, ends: Floats, excess: Floats, steps: int) -> NDArray[np.intp]:
    """Nodes that each octave needs at each setting [T, O].

    Args:
        step: The one step, at T settings; at the ``ends`` where it looks at curvature.
        ends: Curvatures at the upper end, the middle and the lower end of each octave [O * 3].
        excess: Logarithm of an octave's mass over the target [O].
        steps: Horizon.
    """
    T, octaves = step.M.shape[2], len(excess)
    roots = 1 - departures(step.departure(ends)).reshape(T, octaves, 3, -1)  # [T, O, 3, m]
    with np.errstate(divide="ignore"):
        size = np.maximum(np.log(np.abs(roots)), -60.0)
    angle = np.abs(np.angle(roots))  # conjugates turn alike
    # the two roots of a pair are told apart by their size, and by nothing where that is equal
    order = np.argsort(size, axis=-1)
    size, angle = np.take_along_axis(size, order, -1), np.take_along_axis(angle, order, -1)
    shrinks, turns = np.ptp(size, axis=2), np.ptp(angle, axis=2)  # [T, O, m]
    slowest = size.max(axis=2)
    k = np.geomspace(1.0, max(steps, 2), LOOKED_AT)
    need = np.full((T, octaves), float(LADDER[0]))
    for j in range(roots.shape[-1]):
        left = np.maximum(DIGITS + np.maximum(excess, 0.0)[None, :, None] + 2 * k * slowest[:, :, j, None], 0.0)
        turned, shrunk = k * turns[:, :, j, None], k * shrinks[:, :, j, None]
        # beyond J_n(z) falls off within z^(1/3) of n = z, and I_n(z) / e^z as exp(-n^2 / 2 z)
        degree = turned + left ** (2 / 3) * turned ** (1 / 3) + np.sqrt(2 * left * shrunk)
        degree = np.where(left > 0, degree, 0.0)
        need = np.maximum(need, degree.max(-1) / 2)
    places = np.searchsorted(LADDER, need)
    return np.where(places < LADDER.size, LADDER[np.minimum(places, LADDER.size - 1)], WHOLE)


def order_by_octave(orders: NDArray[np.intp], largest: float) -> Callable[[Floats], int]:
    """Nodes of a block, from those of the octaves [O] that it touches; few enough to be worth it, or all.

    Args:
        orders: Of each octave below the largest curvature.
        largest: That curvature.
    """

    def order(block: Floats) -> int:
        touched = np.unique(octaves_of(block[[0, -1]], largest).clip(0, len(orders) - 1))
        found = int(orders[touched].max())
        return found if found < 0.8 * block.size else WHOLE

    return order
