"""How few curvatures stand for all of them, judged at every step against the risk that there is at that step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from optwise.core.method import Method
from optwise.theory.courses import Course, course
from optwise.theory.doubling import responses_at
from optwise.theory.matrices import Floats
from optwise.theory.moments import Nodes
from optwise.theory.spectrum import (
    CHECKED_DEGREE,
    Measure,
    Order,
    blocks,
    chebyshev_points,
    compressed,
    krylov,
    order_of,
    tails,
)
from optwise.theory.steps import Step

ConstantRule: TypeAlias = "Callable[[Nodes], tuple[Floats, Step]]"
"""What a unit start makes of the state, and the one step, at the curvatures of some nodes."""

FULL_NUMBERS = 2**26
"""Numbers of second moments that may be held at once; a larger spectrum is compressed whatever the bound."""

ACCEPTED = 1e-10
"""Bound on the error of compressing, relative to the risk of the same step, up to which a few nodes stand for all."""

ORDERS = (8, 16, 24)

EVERY = 256
"""Steps up to which the bound is looked at in every one of them."""

PER_OCTAVE = 64
"""Later steps at which it is looked at, to a doubling: in between, degrees change by a hundredth."""


def compressed_nodes(nodes: Nodes, order: Order) -> Nodes:
    """Gauss quadrature of both measures on blocks that span a factor of two.

    Args:
        nodes: With the optimum, or without.
        order: Nodes of a block.
    """
    noise = compressed(nodes.noise, order)
    if nodes.lean is None:
        return Nodes(compressed(nodes.bias, order), noise)
    h, weights, lean = [np.empty(0)], [np.empty(0)], [np.empty((2, 0))]
    for places in _sorted_parts(nodes.lean, nodes.bias):
        own = Measure(nodes.bias.h[places], nodes.bias.weights[places])
        directions = nodes.lean[:, places]
        for block in blocks(own):
            values, columns = own.h[block], (np.sqrt(own.weights[block]) * directions[:, block]).T
            if values.size > 2 * (here := order_of(order, values)):
                values, columns = krylov(values, columns, here)
            h.append(values)
            weights.append(np.ones(values.size))
            lean.append(columns.T)
    plain = None if nodes.plain is None else compressed(nodes.plain, order)
    return Nodes(Measure(np.concatenate(h), np.concatenate(weights)), noise, np.concatenate(lean, axis=1), plain)


def _sorted_parts(lean: Floats, bias: Measure) -> list[NDArray[np.intp]]:
    """Places of the nodes along the optimum, and of the others, each in increasing order of curvature."""
    along = lean[1] != 0
    parts = (np.flatnonzero(along), np.flatnonzero(~along))
    return [places[np.argsort(bias.h[places], kind="stable")] for places in parts if places.size]


@dataclass(frozen=True, eq=False)
class _Points:
    """Where the responses of one measure are looked at: three directions a block where the optimum matters.

    ``sizes``, ``masses`` and ``orders`` [blocks] belong to the compressed ones.
    """

    h: Floats
    lean: Floats | None
    sizes: NDArray[np.intp]
    masses: Floats
    orders: tuple[int, ...]

    def _table(self, values: Floats) -> Floats:
        """Responses [L, C] by block and direction, the third being the product of the first two."""
        table = values.reshape(len(values), self.sizes.size, -1, CHECKED_DEGREE + 1)
        if self.lean is None:
            return table
        first, second, both = table[:, :, 0], table[:, :, 1], table[:, :, 2]
        return np.stack([first, second, both - first - second], axis=2)

    def bound(self, values: Floats) -> Floats:
        """What compressing each block to its own order misses [L] of responses ``values`` [L, C]."""
        table, missed = self._table(values) if self.sizes.size else np.empty(0), np.zeros(len(values))
        for i, (order, mass) in enumerate(zip(self.orders, self.masses, strict=True)):
            if 2 * order <= CHECKED_DEGREE:  # beyond, nothing is seen that quadrature could miss
                missed += mass * tails(table[:, i], (order,))[0].sum(-1)
        return missed

    def bounds(self, values: Floats) -> Floats:
        """What compressing to each order misses [orders, L] of responses ``values`` [L, C]."""
        if not self.sizes.size:
            return np.zeros((len(ORDERS), len(values)))
        table = self._table(values)
        missed = tails(table, ORDERS).sum(-1) * self.masses
        return np.stack([missed[i, :, self.sizes > order].sum(0) for i, order in enumerate(ORDERS)])


def _points(h: Floats, weights: Floats, lean: Floats | None, order: Order = ORDERS[0]) -> _Points:
    """The points of the blocks that ``order`` compresses."""
    points, sizes, masses, orders, directions = [np.empty(0)], [], [], [], [np.empty((2, 0))]
    for block in blocks(Measure(h, weights)):
        nodes_here = order_of(order, h[block])
        if h[block].size <= nodes_here or not weights[block].sum() > 0:
            continue
        at = chebyshev_points(h[block])
        sizes.append(h[block].size)
        orders.append(nodes_here)
        if lean is None:
            points.append(at)
            masses.append(weights[block].sum())
            continue
        a, b = np.sqrt((weights[block] * lean[:, block] ** 2).sum(1))
        points.append(np.tile(at, 3))
        masses.append(1.0)
        along = np.array([[a, 0.0, a], [0.0, b, b]])
        directions.append(np.repeat(along, at.size, axis=1))
    every = None if lean is None else np.concatenate(directions, axis=1)
    return _Points(np.concatenate(points), every, np.array(sizes, dtype=np.intp), np.array(masses), tuple(orders))


def _all_points(nodes: Nodes, order: Order) -> tuple[list[_Points], _Points, Nodes]:
    """Points of the measures of the bias and of the noise, and both as nodes without weights."""
    if nodes.lean is None:
        own = [_points(nodes.bias.h, nodes.bias.weights, None, order)]
    else:
        own = [
            _points(nodes.bias.h[places], nodes.bias.weights[places], nodes.lean[:, places], order)
            for places in _sorted_parts(nodes.lean, nodes.bias)
        ]
    noisy = _points(nodes.noise.h, nodes.noise.weights, None, order)
    h = np.concatenate([np.empty(0), *(each.h for each in own)])
    directions = [each.lean for each in own if each.lean is not None]
    lean = np.concatenate(directions, axis=1) if directions else None
    return own, noisy, Nodes(Measure(h, np.ones(h.size)), Measure(noisy.h, np.ones(noisy.h.size)), lean)


def bounds_at(rule: ConstantRule, nodes: Nodes, order: Order, k: int) -> tuple[Floats, Floats]:
    """What compressing misses of bias and noise [T, or 1 for all] after exactly ``k`` steps of a constant rule.

    Args:
        rule: It, at T settings.
        nodes: The whole spectrum.
        order: Nodes of each block.
        k: Steps, at least 1.
    """
    own, noisy, points = _all_points(nodes, order)
    if not points.h.size:
        return np.zeros(1), np.zeros(1)
    F, G = responses_at(*rule(points), points, k)
    cuts = np.cumsum([each.h.size for each in own])[:-1]
    with np.errstate(over="ignore", invalid="ignore"):
        bias = sum((each.bound(part) for each, part in zip(own, np.split(F, cuts, axis=1), strict=True)), np.zeros(1))
        return np.nan_to_num(bias, nan=np.inf), np.nan_to_num(noisy.bound(G), nan=np.inf)


def compression_bounds(on_way: Course, method: Method, steps: int) -> tuple[NDArray[np.intp], Floats, Floats]:
    """Steps that were looked at [K], and what compressing misses there of bias and noise [orders, K] each."""
    own, noisy, points = _all_points(on_way.nodes, ORDERS[0])
    looked, bias, noise = _looked_at(steps), [], []
    at, begin = [], 0
    with np.errstate(over="ignore", invalid="ignore"):
        for F, G in course(method, points, steps).blocks():
            here = looked[(looked >= begin) & (looked < begin + len(F))]
            rows, begin = here - begin, begin + len(F)
            if not here.size:
                continue
            at.append(here)
            cuts = np.cumsum([each.h.size for each in own])[:-1]
            parts = zip(own, np.split(F[rows], cuts, axis=1), strict=True)
            bias.append(np.nan_to_num(sum(each.bounds(values) for each, values in parts), nan=np.inf))
            noise.append(np.nan_to_num(noisy.bounds(G[rows]), nan=np.inf))
    return np.concatenate(at), np.concatenate(bias, axis=1), np.concatenate(noise, axis=1)


def _looked_at(steps: int) -> NDArray[np.intp]:
    octaves = max(0.0, np.log2(max(steps, 1) / EVERY))
    later = EVERY * 2 ** (np.arange(int(octaves * PER_OCTAVE) + 1) / PER_OCTAVE)
    every = np.arange(min(steps, EVERY) + 1)
    return np.unique(np.concatenate([every, np.rint(later[later <= steps]).astype(np.intp), [steps]]))


def small_enough(on_way: Course, method: Method, steps: int, batch: float) -> tuple[Nodes, float, float]:
    """The fewest nodes whose bound is small at every step; all of them where none is and memory holds them.

    Args:
        on_way: The course over the whole spectrum.
        method: A closed linear rule.
        steps: Its horizon.
        batch: B.

    Returns:
        The nodes, the largest bound on the error of bias plus noise, and the largest relative to the risk of its step.
    """
    at, bias, noise = compression_bounds(on_way, method, steps)
    small, bound, share = on_way.nodes, np.inf, np.inf
    for i, order in enumerate(ORDERS):
        small = compressed_nodes(on_way.nodes, order)
        found = course(method, small, steps).totals(None, batch)
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            missed = np.stack([bias[i] + noise[i] / batch, bias[i] + noise[i]])
            risk = np.stack([found.bias[at] + found.noise[at] / batch, found.bias[at] + found.noise[at]])
            least = np.where(np.isfinite(risk), np.maximum(risk - missed, 0.0), 0.0)
            shares = np.where(missed > 0, missed / least, 0.0)
        bound, share = float(missed.max()), float(np.nan_to_num(shares, nan=np.inf).max())
        if share <= ACCEPTED and bound > 0:
            return small, bound, share
    if on_way.nodes.h.size * 9 <= FULL_NUMBERS:
        return on_way.nodes, 0.0, 0.0
    return small, bound, share
