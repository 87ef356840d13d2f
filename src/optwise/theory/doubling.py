r"""Constant rules at any step without the steps before it: powers and Gramians by doubling.

.. math:: A^{2s} = A^s A^s, \qquad Q_{2s} = Q_s + (A^s)^\top Q_s A^s, \qquad Q_s = \sum_{j<s} (A^j)^\top u u^\top A^j

No eigenvectors, hence no singular case where roots coincide.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from optwise.theory.matrices import Floats, applied, form, inner, outer, product
from optwise.theory.moments import Nodes, part
from optwise.theory.steps import Step


@dataclass(eq=False)
class Powers:
    """``A^(2^j)`` and ``Q_(2^j)`` at T settings, made when they are asked for.

    Args:
        A: One step [m, m, T, N].
        u: Where it is measured [m, T, N].
    """

    A: Floats
    u: Floats
    _powers: list[Floats] = field(init=False)
    _gramians: list[Floats] = field(init=False)

    def __post_init__(self) -> None:
        self._powers = [self.A]
        u = np.broadcast_to(self.u, self.A.shape[1:])
        self._gramians = [outer(u, u)]

    def _grow(self, j: int) -> None:
        with np.errstate(over="ignore", invalid="ignore", under="ignore"):
            while len(self._powers) <= j:
                A, Q = self._powers[-1], self._gramians[-1]
                half = np.einsum("ij...,jk...->ik...", Q, A)
                self._gramians.append(Q + np.einsum("ji...,jk...->ik...", A, half))
                self._powers.append(product(A, A))

    def power(self, j: int) -> Floats:
        """``A^(2^j)``."""
        self._grow(j)
        return self._powers[j]

    def gramian(self, j: int) -> Floats:
        """``Q_(2^j)``."""
        self._grow(j)
        return self._gramians[j]

    def at(self, columns: NDArray[np.intp]) -> Powers:
        """The same at some of the curvatures; what was made is kept."""
        chosen = Powers(self.A[..., columns], np.broadcast_to(self.u, self.A.shape[1:])[..., columns])
        chosen._powers = [A[..., columns] for A in self._powers]
        chosen._gramians = [Q[..., columns] for Q in self._gramians]
        return chosen


def responses_at(start: Floats, step: Step, nodes: Nodes, k: int) -> tuple[Floats, Floats]:
    """Squared responses of the start [T, Nb] and of unit noise [T, Nn] after exactly ``k`` steps, k at least 1.

    Args:
        start: What a unit start makes of the state [m, T, N].
        step: The one step.
        nodes: Curvatures.
        k: Steps.
    """
    own, noisy = part(step, nodes, start)
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        A, An = own.transition(nodes.bias.h), noisy.transition(nodes.noise.h)
        z = np.broadcast_to(nodes.begin(start), A.shape[1:])
        x = np.broadcast_to(noisy.v, An.shape[1:])
        powers, noise_powers = Powers(A, own.u), Powers(An, noisy.u)
        noise = np.zeros(An.shape[2:])
        for j in range(k.bit_length()):
            if k >> j & 1:
                noise = noise + form(noise_powers.gramian(j), x)
                x, z = applied(noise_powers.power(j), x), applied(powers.power(j), z)
        return inner(np.broadcast_to(own.u, z.shape), z) ** 2, noise
