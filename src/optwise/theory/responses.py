r"""Rules whose step does not change: the risk as a sum of squared responses, thousands of steps at a time.

A constant rule answers its start with :math:`y_k = u^\top A^k z_0` and a unit of noise, j steps later, with
:math:`r_j = u^\top A^j v`. The bias is :math:`y_k^2`, and the noise :math:`\sum_{j<k} r_j^2`: no second moments.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from optwise.theory.linear_rules import Step
from optwise.theory.matrices import Floats, applied, product
from optwise.theory.moments import Nodes, part

BLOCK_NUMBERS = 2**22
"""Numbers that the states of one block may hold."""


def responses(z: Floats, P: Floats, step: Step, nodes: Nodes, count: int) -> Iterator[tuple[Floats, Floats]]:
    """Responses after 1 to ``count`` further steps, in blocks: of the start [L, Nb], and of noise so far [L, Nn].

    Args:
        z: State that the start has left [m, 1, Nb].
        P: Covariance that unit noise has left [m, m, 1, Nn].
        step: The one step, at one setting.
        nodes: Curvatures.
        count: How many steps.

    Yields:
        Squared responses, as :func:`~optwise.theory.moments.moments` has them.
    """
    own, noisy = part(step, nodes)
    A, An = own.transition(nodes.bias.h)[:, :, 0], noisy.transition(nodes.noise.h)[:, :, 0]  # [m, m, N]
    m, widest = A.shape[0], max(nodes.bias.size, nodes.noise.size, 1)
    length = int(np.clip(BLOCK_NUMBERS // (m * widest), 1, count))
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        states = _states(A, applied(A, z[:, 0]), length)  # [m, L, Nb], from one step on
        impulses = _states(An, np.broadcast_to(noisy.v[:, 0], (m, nodes.noise.size)).copy(), length)  # from the first
        leap, leap_noise = _power(A, length), _power(An, length)
        row = np.broadcast_to(own.u[:, 0], (m, nodes.bias.size)).copy()
        row_noise = np.broadcast_to(noisy.u[:, 0], (m, nodes.noise.size)).copy()
        so_far = np.zeros(nodes.noise.size)
        past = _factors(P[:, :, 0])  # noise of the steps before, as vectors [m, m, Nn]
        pasts = [_states(An, applied(An, past[:, i]), length) for i in range(m)] if np.any(P) else []
        for begin in range(0, count, length):
            own_part = np.einsum("mn,mln->ln", row, states) ** 2
            grown = so_far + np.cumsum(np.einsum("mn,mln->ln", row_noise, impulses) ** 2, axis=0)
            so_far = grown[-1]
            old = sum((np.einsum("mn,mln->ln", row_noise, each) ** 2 for each in pasts), np.zeros(()))
            kept = min(length, count - begin)
            yield own_part[:kept], (grown + old)[:kept]
            row, row_noise = np.einsum("mn,mjn->jn", row, leap), np.einsum("mn,mjn->jn", row_noise, leap_noise)


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
