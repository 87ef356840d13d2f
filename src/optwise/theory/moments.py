r"""Second moments step by step: exact for every linear rule, whatever changes from step to step.

With :math:`A_k = M_k + h v_k e_1^\top`, the part of a coordinate that its start leaves behind is a vector, and the part
that noise adds has a covariance:

.. math:: z_{k+1} = A_k z_k, \qquad P_{k+1} = A_k P_k A_k^\top + v_k v_k^\top
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import repeat

import numpy as np

from optwise.theory.matrices import Floats, applied, congruence, form, inner, outer
from optwise.theory.spectrum import Measure
from optwise.theory.steps import Step


@dataclass(frozen=True, eq=False)
class Nodes:
    r"""Where moments are computed: curvatures for the bias first, then those for the noise.

    With an optimum :math:`w^\star` that is not 0, a rule may be pulled elsewhere, as weight decay pulls to 0. A
    coordinate's distance to it then obeys an affine recursion, :math:`e' = A e + (M \zeta - \zeta) w^\star` with
    :math:`z = e + \zeta w^\star`, where :math:`\zeta` is the state that a unit parameter starts with. It is linear in
    :math:`(e, w^\star)`, one state more, and a node of the bias says in which direction of these two it starts.

    Args:
        bias: :math:`\tfrac12 h_i \, \mathbb E w_{0,i}^2` at its curvatures, the distance being that to the optimum.
        noise: :math:`\tfrac12 h_i c_i` at its curvatures.
        lean: The direction of each node of the bias, along the start's distance and along the optimum itself [2, Nb];
            ``None`` where the optimum is 0, or nothing pulls elsewhere.
        plain: The bias where nothing pulls elsewhere; ``None`` where that is ``bias``.
    """

    bias: Measure
    noise: Measure
    lean: Floats | None = None
    plain: Measure | None = None

    @property
    def h(self) -> Floats:
        """All curvatures [N], those of the bias first."""
        return np.concatenate([self.bias.h, self.noise.h])

    def upright(self) -> Nodes:
        """The same where nothing pulls elsewhere."""
        return self if self.plain is None else Nodes(self.plain, self.noise)

    def split(self, stack: Floats) -> tuple[Floats, Floats]:
        """The two parts of a stack [..., N]; both are the whole where it does not look at curvature, N = 1."""
        if stack.shape[-1] == 1 != self.h.size:
            return stack, stack
        return stack[..., : self.bias.size], stack[..., self.bias.size :]

    def begin(self, start: Floats) -> Floats:
        """The states of the bias at the start [m, T, Nb], or with the optimum as their last part."""
        m, T = start.shape[:2]
        zeta = np.broadcast_to(self.split(start)[0], (m, T, self.bias.size))
        if self.lean is None:
            return zeta.copy()
        return np.concatenate([self.lean[0] * zeta, np.broadcast_to(self.lean[1], (1, T, self.bias.size))])

    def looked(self, u: Floats, start: Floats) -> Floats:
        """Where the bias is measured, for a rule that is measured at ``u`` [m, T, N]."""
        own, zeta = self.split(u)[0], self.split(start)[0]
        return own if self.lean is None else with_center(Step(np.zeros((len(own), *own.shape)), own, own), zeta).u


def pull(M: Floats, start: Floats) -> Floats:
    """``M zeta - zeta``: by how much a rule moves from an optimum of 1 without a gradient; 0 is exactly 0."""
    moved = applied(M, np.broadcast_to(start, np.broadcast_shapes(start.shape, M.shape[1:]))) - start
    size = applied(np.abs(M), np.abs(np.broadcast_to(start, moved.shape))) + np.abs(start)
    return np.where(np.abs(moved) <= 1e-15 * size, 0.0, moved)


def seen_beside(u: Floats, zeta: Floats) -> Floats:
    """``<u, zeta> - 1``: how far from an optimum of 1 a rule is measured that stands there."""
    seen = inner(*np.broadcast_arrays(u, zeta)) - 1.0
    return np.where(np.abs(seen) <= 1e-15 * (inner(*np.broadcast_arrays(np.abs(u), np.abs(zeta))) + 1.0), 0.0, seen)


def pulls(step: Step, start: Floats) -> bool:
    """Whether a rule leaves an optimum that is not 0, or is measured elsewhere, though there is no gradient."""
    return bool(np.any(pull(step.M, start)) or np.any(seen_beside(step.u, start)))


def with_center(step: Step, start: Floats) -> Step:
    """The step of the distance to the optimum and of the optimum, which stays [m + 1, m + 1, T, N]."""
    m, T, N = len(step.v), step.M.shape[2], max(step.M.shape[3], start.shape[2])
    M = np.zeros((m + 1, m + 1, T, N))
    M[:m, :m], M[:m, m], M[m, m] = step.M, pull(step.M, start), 1.0
    v, u = np.zeros((m + 1, T, N)), np.zeros((m + 1, T, N))
    v[:m], u[:m], u[m] = step.v, step.u, seen_beside(step.u, start)
    return Step(M, v, u)


def part(step: Step, nodes: Nodes, start: Floats) -> tuple[Step, Step]:
    """The step at the curvatures of the bias, with the optimum where that matters, and at those of the noise."""
    (Mb, Mn), (vb, vn), (ub, un) = (nodes.split(stack) for stack in (step.M, step.v, step.u))
    own = Step(Mb, vb, ub)
    return own if nodes.lean is None else with_center(own, nodes.split(start)[0]), Step(Mn, vn, un)


def moments(
    start: Floats, first: Floats, steps: Iterable[Step], nodes: Nodes, shares: Iterable[float] | None = None
) -> Iterator[tuple[Floats, Floats, Floats, Floats]]:
    """At every step from 0: responses of the start [T, Nb], of unit noise [T, Nn], and the states behind them.

    The responses are squared distances: ``bias = F @ nodes.bias.weights``, ``noise = G @ nodes.noise.weights``.

    Args:
        start: What a unit start makes of the state [m, T, N].
        first: Where the rule is measured before its first step [m, T, N].
        steps: Its steps.
        nodes: Curvatures.
        shares: Variance of the noise of each step, where it is not 1 in all of them.

    Yields:
        ``F, G, z, P``; z [m, T, Nb] and P [m, m, T, Nn].
    """
    m, T = start.shape[:2]
    z = nodes.begin(start)
    P = np.zeros((m, m, T, nodes.noise.size))
    u = nodes.looked(first, start)
    yield inner(u, z) ** 2, np.zeros((T, nodes.noise.size)), z, P
    last: Step | None = None
    with np.errstate(over="ignore", invalid="ignore"):
        for step, share in zip(steps, repeat(1.0) if shares is None else shares, strict=False):
            if step is not last:
                last = step
                own, noisy = part(step, nodes, start)
                A, An, added = own.transition(nodes.bias.h), noisy.transition(nodes.noise.h), outer(noisy.v, noisy.v)
                u, un = own.u, noisy.u
            z, P = applied(A, z), congruence(An, P) + (added if share == 1.0 else share * added)
            yield inner(u, z) ** 2, form(P, un), z, P
