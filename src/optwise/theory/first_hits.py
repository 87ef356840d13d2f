r"""The first step at which the risk meets a target, for thousands of settings and every batch size at once.

Noise only ever grows, so a batch size whose noise alone exceeds the target is given up for good. The bias may
oscillate, so bisection would be wrong. Instead blocks of steps, ten to every doubling of k, are passed over only where
a lower bound says that no step inside can meet the target; the others are cut into smaller blocks, down to single
steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from optwise.theory.doubling import Powers
from optwise.theory.matrices import Floats, applied, inner, turning_angle
from optwise.theory.moments import Nodes, part
from optwise.theory.steps import Step

PER_OCTAVE = 10
"""Blocks between k and 2 k."""

FINER = 2
"""Doublings by which blocks shrink where the inside of one must be looked at: four pieces."""

TOGETHER = 2**14
"""Entries times curvatures that are looked into together: their arrays stay in the cache."""

NOTHING = 1e-30
"""Share of the target, or of the noise so far, that a curvature's squared state may still have when it is left out."""

Whole = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Search:
    """What is looked for, over T settings that share a constant step.

    Args:
        start: What a unit start makes of the state [m, T, N].
        first: Where the rule is measured before its first step [m, T, N].
        step: The one step.
        nodes: Curvatures, those of the bias and of the noise.
        target: Excess over the optimum that counts as met.
        batch_sizes: [B].
        max_steps: Last step that counts.
    """

    start: Floats
    first: Floats
    step: Step
    nodes: Nodes
    target: float
    batch_sizes: Floats
    max_steps: int


@dataclass(frozen=True, eq=False)
class _State:
    """Where E entries stand, each a setting after some steps.

    ``rows`` names their settings and ``k`` their steps [E]. ``z`` and ``x`` are the states left by the start and by a
    unit of noise at step 1 [m, E, N], ``noise`` [E] is that so far, ``y`` and ``dy`` [E, N] the response to the start
    and its change in the next step.
    """

    rows: Whole
    k: Whole
    z: Floats
    x: Floats
    noise: Floats
    y: Floats
    dy: Floats

    def some(self, chosen: Whole | slice) -> _State:
        """Those of some of the entries."""
        z, x = self.z[:, chosen], self.x[:, chosen]
        return _State(self.rows[chosen], self.k[chosen], z, x, self.noise[chosen], self.y[chosen], self.dy[chosen])


def _together(states: Sequence[_State]) -> _State:
    parts = {name: [getattr(state, name) for state in states] for name in _State.__dataclass_fields__}
    return _State(**{name: np.concatenate(part, axis=1 if part[0].ndim == 3 else 0) for name, part in parts.items()})


class _Scan:
    def __init__(self, search: Search) -> None:
        self.search, nodes = search, search.nodes
        own, noisy = part(search.step, nodes, search.start)
        A, An = own.transition(nodes.bias.h), noisy.transition(nodes.noise.h)
        self.u = np.broadcast_to(own.u, A.shape[1:])
        self.slope = np.einsum("ji...,j...->i...", A, self.u) - self.u  # (A - I)^T u
        self.bias, self.noise = Powers(A, own.u), Powers(An, noisy.u)
        self.weights, self.noise_weights = nodes.bias.weights, nodes.noise.weights
        self.inverse = 1.0 / search.batch_sizes
        # most rules are measured at the parameters themselves, the first part of the state
        self.first, self.noise_first = _is_first(own.u), _is_first(noisy.u)
        self.angle: Floats | None = None
        self.found = np.full((A.shape[2], search.batch_sizes.size), np.inf)
        self.hopeless = np.zeros_like(self.found, dtype=bool)

    def run(self) -> Floats:
        """First steps [T, B], infinite for a miss."""
        search, nodes = self.search, self.search.nodes
        with np.errstate(over="ignore", invalid="ignore", under="ignore"):
            T = len(self.found)
            z = np.broadcast_to(nodes.begin(search.start), self.u.shape).copy()
            x = np.broadcast_to(part(search.step, nodes, search.start)[1].v, self.noise.A.shape[1:]).copy()
            first = np.broadcast_to(nodes.looked(search.first, search.start), z.shape)
            at_start = inner(first, z) ** 2 @ nodes.bias.weights
            self.found[at_start <= search.target] = 0.0
            y, dy = inner(self.u, z), inner(self.slope, z)
            state = _State(np.arange(T), np.zeros(T, np.intp), z, x, np.zeros(T), y, dy)
            level, count = 0, 2 * PER_OCTAVE
            while state.rows.size and state.k[0] < search.max_steps:
                state = self._blocks(state, level, count, whole=True)
                is_open = np.isinf(self.found[state.rows]) & ~self.hopeless[state.rows]
                state = self._without_the_dead(state.some(np.flatnonzero(is_open.any(1))))
                level, count = level + 1, PER_OCTAVE
        return np.where(self.found <= search.max_steps, self.found, np.inf)

    def _without_the_dead(self, state: _State) -> _State:
        """Without curvatures whose response has died out at every setting that is left."""
        if not state.rows.size:
            return state
        left = (state.z**2).sum(0).max(0) * self.weights
        alive = np.flatnonzero(~(left <= NOTHING * self.search.target))
        added = (state.x**2).sum(0).max(0) * self.noise_weights
        noisy = np.flatnonzero(~(added <= NOTHING * max(float(state.noise.min()), 1e-300)))
        z, x, y, dy = state.z, state.x, state.y, state.dy
        if alive.size < 0.9 * left.size:
            z, y, dy = z[..., alive], y[:, alive], dy[:, alive]
            self.bias, self.u, self.slope = self.bias.at(alive), self.u[..., alive], self.slope[..., alive]
            self.weights, self.angle = self.weights[alive], None if self.angle is None else self.angle[:, alive]
        if noisy.size < 0.9 * added.size:
            x = x[..., noisy]
            self.noise, self.noise_weights = self.noise.at(noisy), self.noise_weights[noisy]
        return _State(state.rows, state.k, z, x, state.noise, y, dy)

    def _blocks(self, state: _State, level: int, count: int, *, whole: bool) -> _State:
        """``count`` blocks of 2^level steps from ``state`` on; hits inside them are looked up afterwards.

        Args:
            state: Entries; each setting at most once where the search is ``whole``, else several at different steps.
            level: Logarithm of a block's length.
            count: Blocks.
            whole: Whether nothing before ``state`` is still looked for, so that a setting may be given up.

        Returns:
            The last state.
        """
        rows, weights, noise_weights = state.rows, self.weights, self.noise_weights
        every = whole and rows.size == len(self.found)  # nothing to pick out
        powers = self.bias.power(level), self.noise.power(level), self.noise.gramian(level)
        A, An, Q, u, slope = (each if every else each[..., rows, :] for each in (*powers, self.u, self.slope))
        turns = None if level == 0 else self._turning()[rows] * 2**level >= np.pi
        inside: list[_State] = []
        for _ in range(count):
            before, z, x = state, applied(A, state.z), applied(An, state.x)
            single = level == 0 and self.noise_first
            gained = state.x[0] ** 2 @ noise_weights if single else _weighed(Q, state.x, noise_weights)
            noise, y = state.noise + gained, z[0] if self.first else inner(u, z)
            state = _State(rows, state.k + 2**level, z, x, noise, y, state.dy if turns is None else inner(slope, z))
            bias, limit = y**2 @ weights, self.search.target
            added = noise[:, None] * self.inverse
            wanted = self.found[rows] > before.k[:, None]
            if whole:
                wanted &= ~self.hopeless[rows]
                self.hopeless[rows] |= ~(added <= limit) | ~np.isfinite(bias)[:, None]
            met = (bias[:, None] + added <= limit) & wanted
            if turns is not None:
                falls = (before.y * y > 0) & (before.y * before.dy <= 0) & (y * state.dy <= 0) & ~turns
                least = np.where(falls, y, 0.0) ** 2 @ weights
                may = wanted & (least[:, None] + before.noise[:, None] * self.inverse <= limit)
                chosen = np.flatnonzero((met | may).any(1))
                if chosen.size:
                    inside.append(before.some(chosen))
            if met.any():
                hits, at = np.flatnonzero(met.any(1)), state.k[:, None].astype(np.float64)
                np.minimum.at(self.found, rows[hits], np.where(met, at, np.inf)[hits])
        if inside:
            finer, entries = max(level - FINER, 0), _together(inside)
            length = max(1, TOGETHER // max(weights.size, noise_weights.size, 1))
            for few in range(0, entries.rows.size, length):
                own = entries if entries.rows.size <= length else entries.some(slice(few, few + length))
                self._blocks(own, finer, 2 ** (level - finer), whole=False)
        return state if level else _State(rows, state.k, state.z, state.x, state.noise, state.y, inner(slope, state.z))

    def _turning(self) -> Floats:
        """The largest angle by which the response of each node turns in a step [T, N]."""
        if self.angle is None:
            self.angle = turning_angle(self.bias.A)
        return self.angle


def _is_first(u: Floats) -> bool:
    return bool(np.all(u[0] == 1) and not np.any(u[1:]))


def _weighed(Q: Floats, x: Floats, weights: Floats) -> Floats:
    """Sums of ``x^T Q x`` over the curvatures [E], without the stacks in between; Q is symmetric."""
    total = np.zeros(x.shape[1])
    for i in range(len(x)):
        row = Q[i, i] * x[i]
        for j in range(i):
            row += 2.0 * Q[i, j] * x[j]
        row *= x[i]
        total += row @ weights
    return total


def first_hits(search: Search) -> Floats:
    """First steps whose risk is at most the target [T, B], infinite for a miss.

    Within a block a response counts as falling where it falls at both ends without a change of sign, and turns by less
    than half a circle; for two state variables that proves it. Any other counts as 0 in the lower bound.
    """
    return _Scan(search).run()
