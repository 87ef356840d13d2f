r"""Rules whose step does not change: the risk as a sum of squared responses, thousands of steps at a time.

A constant rule answers its start with :math:`y_k = u^\top A^k z_0` and a unit of noise, j steps later, with
:math:`r_j = u^\top A^j v`. The bias is :math:`y_k^2`, and the noise :math:`\sum_{j<k} r_j^2`: no second moments.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from optwise.theory.matrices import Floats, applied, product
from optwise.theory.moments import Nodes, part
from optwise.theory.spreads import Spread
from optwise.theory.steps import Step

BLOCK_NUMBERS = 2**16
"""Numbers that the states of one block may hold, so that they stay in the cache."""

TABLE_NUMBERS = 2**20
"""Numbers of a table of powers."""


@dataclass(frozen=True, eq=False)
class Totals:
    """Sums over the spectrum after each of L further steps.

    Args:
        bias: What is left of the start [L].
        noise: What unit noise has added [L].
        variance: Of one run [L]; ``None`` where it was not asked for.
    """

    bias: Floats
    noise: Floats
    variance: Floats | None


@dataclass(frozen=True, eq=False)
class Standing:
    """Where a rule at one setting stands, which takes one and the same step from here on.

    Args:
        start: What a unit start makes of the state [m, 1, N].
        z: State that the start has left [m, 1, Nb].
        P: Covariance that unit noise has left [m, m, 1, Nn].
        step: The one step.
        nodes: Curvatures.
    """

    start: Floats
    z: Floats
    P: Floats
    step: Step
    nodes: Nodes

    def parts(self) -> tuple[Step, Step]:
        """The step at the curvatures of the bias and at those of the noise."""
        return part(self.step, self.nodes, self.start)


def totals(at: Standing, count: int, spread: Spread | None, batch: float) -> Totals:
    """Bias and noise after 1 to ``count`` further steps, and the variance of a run where ``spread`` is given.

    Args:
        at: Where the rule stands.
        count: How many steps.
        spread: How responses make the variance.
        batch: B.
    """
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        if len(at.z) == 1 and not np.any(at.P):
            return _of_powers(at, count, spread, batch)
        bias, noise, variance = [], [], []
        for F, G in responses(at, count):
            bias.append(F @ at.nodes.bias.weights)
            noise.append(G @ at.nodes.noise.weights)
            if spread is not None:
                variance.append(spread.of(F, G / batch))
        both = np.concatenate(bias), np.concatenate(noise)
        return Totals(*both, np.concatenate(variance) if spread is not None else None)


def _of_powers(standing: Standing, count: int, spread: Spread | None, batch: float) -> Totals:
    r"""One number of state: sums of :math:`\alpha^k` with :math:`k = b L + l`, as products of two tables of powers.

    All terms are positive, so that nothing cancels. With :math:`\sigma_l = \sum_{j<l} \alpha^j` the noise is
    :math:`\sigma_{bL} + \alpha^{bL} \sigma_l`.
    """
    (own, noisy), nodes, z = standing.parts(), standing.nodes, standing.z
    A, An = own.transition(nodes.bias.h)[0, 0, 0], noisy.transition(nodes.noise.h)[0, 0, 0]
    first = np.broadcast_to((own.u[0, 0] * z[0, 0]) ** 2, A.shape)
    unit = np.broadcast_to((noisy.u[0, 0] * noisy.v[0, 0]) ** 2, An.shape)
    widest = max(A.size, An.size, 1)
    L = int(np.clip(np.ceil(np.sqrt(count)), 1, max(1, TABLE_NUMBERS // widest)))
    b = np.arange(-(-count // L), dtype=np.float64)
    together = max(1, TABLE_NUMBERS // widest)
    F, unit_powers = _powers(A, np.arange(1.0, L + 1)), _powers(An, np.arange(0.0, L))  # [L, N]
    G = np.cumsum(unit_powers, axis=0)  # after l = 1 to L steps
    alike, grown = np.array_equal(A, An), np.zeros(An.size)  # of the noise, at the blocks' start
    bias, noise, variance = [], [], []
    for at in range(0, b.size, together):
        leaps = _powers(A, L * b[at : at + together])  # [b, N]
        noise_leaps = leaps if alike else _powers(An, L * b[at : at + together])
        bias.append(F @ (first * nodes.bias.weights * leaps).T)
        risen = grown + np.concatenate([np.zeros((1, An.size)), np.cumsum(noise_leaps * G[-1], axis=0)])
        grown, risen = risen[-1], risen[:-1]
        weights = unit * nodes.noise.weights
        noise.append(G @ (weights * noise_leaps).T + risen @ weights)
        if spread is not None:
            noise_unit = unit / batch
            squares = spread.noisy * noise_unit**2 / 2
            found = (G * G) @ (squares * noise_leaps**2).T + G @ (2 * squares * noise_leaps * risen).T
            found += (risen**2) @ squares
            p, q, cross = spread.across.at_first(A.size), spread.across.at_second(An.size), spread.across.weights
            both = first[p] * noise_unit[q] * cross
            found += F[:, p] @ (both * leaps[:, p] * risen[:, q]).T
            found += (F[:, p] * G[:, q]) @ (both * leaps[:, p] * noise_leaps[:, q]).T
            if np.any(spread.own):
                found += (F * F) @ (spread.own * first**2 / 2 * leaps**2).T
            variance.append(found)
    own_part, added = (np.concatenate(each, axis=1).T.reshape(-1)[:count] for each in (bias, noise))
    return Totals(own_part, added, np.concatenate(variance, axis=1).T.reshape(-1)[:count] if variance else None)


def _powers(A: Floats, k: Floats) -> Floats:
    """``A^(2 k)`` for whole k [K, N]; what hardly is a number is none."""
    found: Floats = np.abs(A) ** (2 * k[:, None])
    found[found < 1e-290] = 0.0
    return np.asarray(found)


def responses(at: Standing, count: int) -> Iterator[tuple[Floats, Floats]]:
    """Responses after 1 to ``count`` further steps, in blocks: of the start [L, Nb], and of noise so far [L, Nn].

    Args:
        at: Where the rule stands.
        count: How many steps.

    Yields:
        Squared responses, as :func:`~optwise.theory.moments.moments` has them.
    """
    (own, noisy), nodes, z, P = at.parts(), at.nodes, at.z, at.P
    A, An = own.transition(nodes.bias.h)[:, :, 0], noisy.transition(nodes.noise.h)[:, :, 0]  # [m, m, N]
    m, widest = len(A), max(nodes.bias.size, nodes.noise.size, 1)
    length = int(np.clip(BLOCK_NUMBERS // (m * widest), min(count, 8), count))
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        states = _states(A, applied(A, z[:, 0]), length)  # [m, L, Nb], from one step on
        impulses = _states(An, np.broadcast_to(noisy.v[:, 0], An.shape[1:]).copy(), length)  # from the first
        leap, leap_noise = _power(A, length), _power(An, length)
        row, row_noise = (np.broadcast_to(each.u[:, 0], a.shape[1:]).copy() for each, a in ((own, A), (noisy, An)))
        so_far = np.zeros(nodes.noise.size)
        past = _factors(P[:, :, 0])  # noise of the steps before, as vectors [m, m, Nn]
        pasts = [_states(An, applied(An, past[:, i]), length) for i in range(len(P))] if np.any(P) else []
        for begin in range(0, count, length):
            kept = min(length, count - begin)
            grown = np.cumsum(_squared(row_noise, impulses, kept), axis=0)
            grown += so_far
            so_far = grown[-1].copy()
            for each in pasts:
                grown += _squared(row_noise, each, kept)
            yield _squared(row, states, kept), grown
            row, row_noise = np.einsum("mn,mjn->jn", row, leap), np.einsum("mn,mjn->jn", row_noise, leap_noise)


def _squared(row: Floats, states: Floats, kept: int) -> Floats:
    """Squares of ``<row, state>`` for the first ``kept`` states [m, L, N]."""
    found = row[0] * states[0, :kept]
    for i in range(1, len(row)):
        found += row[i] * states[i, :kept]
    squares: Floats = found * found
    return squares


def _states(A: Floats, z: Floats, length: int) -> Floats:
    """``A^l z`` for l below ``length`` [m, length, N], doubling what there is."""
    states = z[:, None]
    power = A
    while states.shape[1] < length:
        missing = min(states.shape[1], length - states.shape[1])
        states = np.concatenate([states, np.einsum("ijn,jln->iln", power, states[:, :missing])], axis=1)
        power = product(power, power)
    return states


def _power(A: Floats, exponent: int) -> Floats:
    """``A^exponent`` by squaring."""
    found: Floats | None = None
    while exponent:
        if exponent & 1:
            found = A if found is None else product(found, A)
        exponent >>= 1
        A = product(A, A) if exponent else A
    assert found is not None
    return found


def _factors(P: Floats) -> Floats:
    """Vectors [m, m, N], the second axis counting them, whose outer products add up to ``P`` [m, m, N]."""
    values, vectors = np.linalg.eigh(np.moveaxis(P, -1, 0))
    return np.moveaxis(vectors * np.sqrt(np.maximum(values, 0.0))[:, None, :], 0, -1)
