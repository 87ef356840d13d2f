r"""Second moments step by step: exact for every linear rule, whatever changes from step to step.

With :math:`A_k = M_k + h v_k e_1^\top`, the part of a coordinate that its start leaves behind is a vector, and the part
that noise adds has a covariance:

.. math:: z_{k+1} = A_k z_k, \qquad P_{k+1} = A_k P_k A_k^\top + v_k v_k^\top
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from optwise.theory.linear_rules import Step
from optwise.theory.matrices import Floats, applied, congruence, form, inner, outer
from optwise.theory.spectrum import Measure


@dataclass(frozen=True, eq=False)
class Nodes:
    r"""Where moments are computed: curvatures for the bias first, then those for the noise.

    Args:
        bias: :math:`\tfrac12 h_i \, \mathbb E w_{0,i}^2` at its curvatures.
        noise: :math:`\tfrac12 h_i c_i` at its curvatures.
    """

    bias: Measure
    noise: Measure

    @property
    def h(self) -> Floats:
        """All curvatures [N], those of the bias first."""
        return np.concatenate([self.bias.h, self.noise.h])

    def split(self, stack: Floats) -> tuple[Floats, Floats]:
        """The two parts of a stack [..., N]; both are the whole where it does not look at curvature, N = 1."""
        if stack.shape[-1] == 1 != self.h.size:
            return stack, stack
        return stack[..., : self.bias.size], stack[..., self.bias.size :]


def part(step: Step, nodes: Nodes) -> tuple[Step, Step]:
    """The step at the curvatures of the bias, and at those of the noise."""
    (Mb, Mn), (vb, vn), (ub, un) = (nodes.split(stack) for stack in (step.M, step.v, step.u))
    return Step(Mb, vb, ub), Step(Mn, vn, un)


def moments(
    start: Floats, first: Floats, steps: Iterable[Step], nodes: Nodes
) -> Iterator[tuple[Floats, Floats, Floats, Floats]]:
    """At every step from 0: responses of the start [T, Nb], of unit noise [T, Nn], and the states behind them.

    The responses are squared distances: ``bias = F @ nodes.bias.weights``, ``noise = G @ nodes.noise.weights``.

    Args:
        start: What a unit start makes of the state [m, T, N].
        first: Where the rule is measured before its first step [m, T, N].
        steps: Its steps.
        nodes: Curvatures.

    Yields:
        ``F, G, z, P``; z [m, T, Nb] and P [m, m, T, Nn].
    """
    m, T = start.shape[:2]
    z = np.broadcast_to(nodes.split(start)[0], (m, T, nodes.bias.size)).copy()
    P = np.zeros((m, m, T, nodes.noise.size))
    u, un = nodes.split(first)
    yield inner(u, z) ** 2, np.zeros((T, nodes.noise.size)), z, P
    last: Step | None = None
    with np.errstate(over="ignore", invalid="ignore"):
        for step in steps:
            if step is not last:
                last = step
                own, noisy = part(step, nodes)
                A, An, added = own.transition(nodes.bias.h), noisy.transition(nodes.noise.h), outer(noisy.v, noisy.v)
                u, un = own.u, noisy.u
            z, P = applied(A, z), congruence(An, P) + added
            yield inner(u, z) ** 2, form(P, un), z, P
