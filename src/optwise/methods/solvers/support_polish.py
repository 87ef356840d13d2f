"""From a guess which entries are 0 to the exact point of an affine set, with the dual point that proves it."""

from __future__ import annotations

from typing import NamedTuple, final

import torch
from torch import Tensor

from optwise.core.composite import Composite
from optwise.core.oracles import Oracle

FEASIBLE = 1e3
"""Distance to the set, in units in the last place of the point, that counts as none."""
REFINEMENTS = 2
"""Of a system of equations, each of which takes most of the digits that are still wrong."""


class Polished(NamedTuple):
    """A point that a guess led to.

    Args:
        w: In the set to rounding, its other entries exactly as guessed [p].
        dual: A subgradient of g that agrees with the guess and is normal to the set up to grad f, where it exists [p].
    """

    w: Tensor
    dual: Tensor


@final
class SupportPolish:
    r"""The equations of an affine set on the entries that a proximal map leaves free.

    With S the entries of :math:`y = \operatorname{prox}_{t g}(v)` that move with v, the others lying in a kink, and N
    the projection onto the directions across the set, :math:`N x = x - P(x) + P(0)`, the point and its dual solve

    .. math:: N_{SS} \, x_S = (P(0) - N x_{\bar S})_S, \qquad n = n_0 + N_{:S} \, q, \quad
        N_{SS} \, q = (u + \nabla f(x) - n_0)_S

    where u is the subgradient (v - y) / t and :math:`n_0` a normal nearby. Nothing but projections is asked, so that
    any affine set will do. Whether it is one shows in the answer, which is kept only where it is feasible and a step
    along the new normal is projected back to it. That costs one projection per free entry, done at once, and a
    factorisation of their number.

    Args:
        problem: With a penalty and a set, without an operator.
        w: A point, for shape and dtype.
    """

    def __init__(self, problem: Composite, w: Tensor) -> None:
        penalty, constraint = problem.penalty, problem.constraint
        assert penalty is not None
        assert constraint is not None
        self._problem, self._penalty, self._set = problem, penalty, constraint
        self._origin = problem.project(torch.zeros_like(w))  # P(0)
        self._rows, self._support = w.new_zeros(0, w.numel()), torch.zeros_like(w, dtype=torch.bool)
        self._factor = w.new_zeros(0, 0)
        self._usable = Oracle.SUBDIFFERENTIAL in penalty.oracles

    def support(self, v: Tensor, step: float) -> Tensor | None:
        """The entries that the proximal map at ``v`` leaves free, as a mask [p]; ``None`` where it does not say."""
        return self._penalty.prox_derivative(v, step) > 0 if self._usable else None

    def attempt(self, support: Tensor, y: Tensor, u: Tensor, normal: Tensor) -> Polished | None:
        """The point and dual point of a guess; ``None`` where the guess leads to none.

        Args:
            support: The free entries S, as a mask [p].
            y: Where the others stay [p].
            u: A subgradient of g whose free entries are right [p].
            normal: A normal to the set nearby, n_0 [p].
        """
        if not torch.equal(support, self._support) and not self._factorise(support):
            return None
        x = torch.where(support, 0.0, y)
        for _ in range(1 + REFINEMENTS):
            rest = self._problem.project(x) - x
            x = x.clone()
            x[support] += self._solve(rest[support])
        _, gradient = self._problem.f_and_gradient(x)
        across = normal + self._solve((u + gradient - normal)[support]) @ self._rows
        size = max(1.0, float(x.norm()))
        stride = size / max(float(across.norm()), torch.finfo(x.dtype).tiny)
        for step in (0.0, stride):  # x is in the set, and minus `across` is normal to it there
            left = float((self._problem.project(x - step * across) - x).norm())
            if not left <= FEASIBLE * torch.finfo(x.dtype).eps * size:
                return None
        return Polished(x, across - gradient)

    def _factorise(self, support: Tensor) -> bool:
        """Keep the columns N_{:S} and the factor of N_{SS}."""
        index = support.nonzero()[:, 0]
        k, p = index.numel(), support.numel()
        self._support = torch.zeros_like(support)
        if not 0 < k < p:
            return False
        unit = torch.zeros(k, p, dtype=self._origin.dtype, device=self._origin.device)
        unit[torch.arange(k, device=index.device), index] = 1.0
        self._problem.count("projections", k)
        rows = unit - self._set.project(unit) + self._origin  # [k, p]
        factor, failed = torch.linalg.cholesky_ex(rows[:, support])
        self._problem.count("factorizations")
        if bool(failed):
            return False
        self._rows, self._factor, self._support = rows, factor, support
        return True

    def _solve(self, right: Tensor) -> Tensor:
        return torch.cholesky_solve(right[:, None], self._factor)[:, 0]
