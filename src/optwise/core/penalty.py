"""A term that is not differentiable but has a proximal map."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Any, ClassVar

from torch import Tensor

from optwise.core.casting import Part
from optwise.core.errors import BadProblem
from optwise.core.oracles import Oracle


class Penalty(Part):
    r"""A term g; its weight is already inside.

    Only ``value`` must be given. Whatever else is overridden is what the problem can answer: ``prox`` opens the
    proximal methods, ``conjugate`` (with ``dual_scale`` where its domain is bounded) a duality gap, ``violation``,
    ``prox_derivative`` and ``restricted`` together the working sets. Points are vectors [p]; what is written for the
    last dimension serves leading ones too.

    Example:
        >>> import torch
        >>> class L1(Penalty):
        ...     def value(self, w):
        ...         return w.abs().sum(-1)
        ...
        ...     def prox(self, v, step):
        ...         return v.sign() * (v.abs() - step).clamp(min=0)
        >>> sorted(oracle.value for oracle in L1().oracles), L1().prox(torch.tensor([3.0, -0.5]), 1.0)
        (['convexity of the penalty', 'prox'], tensor([2., -0.]))
    """

    convex: ClassVar[bool] = True
    """Whether g is convex."""
    lower_bound: ClassVar[float] = -math.inf
    """A number that g never falls below: 0 for a norm."""

    @property
    def dimension(self) -> int | None:
        """Length p of the vectors it takes; ``None`` where any will do."""
        return None

    @abstractmethod
    def value(self, w: Tensor) -> Tensor:
        """The term at ``w`` [..., p]: [...]."""

    def prox(self, v: Tensor, step: float) -> Tensor:
        """``argmin_x step * value(x) + 1/2 |x - v|^2``, of the shape of ``v``."""
        raise BadProblem(f"{type(self).__name__} has no prox; add `prox(v, step)` to it, or choose a method without.")

    def conjugate(self, u: Tensor) -> Tensor:
        """``sup_x <u, x> - value(x)``: [...]; infinite outside its domain."""
        raise BadProblem(f"{type(self).__name__} has no conjugate; a method that needs one cannot use it.")

    def dual_scale(self, u: Tensor) -> float:
        """The largest t in [0, 1] with a finite ``conjugate(t u)``; 1 where the conjugate is finite everywhere."""
        return 1.0

    def violation(self, w: Tensor, g: Tensor) -> Tensor:
        """Distance of ``-g`` to the subdifferential at ``w``, each coordinate [p]; of a separable term only."""
        raise BadProblem(f"{type(self).__name__} does not say its subdifferential; choose another method.")

    def prox_derivative(self, v: Tensor, step: float) -> Tensor:
        """Diagonal of a generalised Jacobian of ``prox`` at ``v`` [p]; of a separable term only."""
        raise BadProblem(f"{type(self).__name__} does not say how its prox changes; choose another method.")

    def restricted(self, index: Tensor) -> Penalty:
        """The same separable term on the coordinates ``index`` [k] alone."""
        raise BadProblem(f"{type(self).__name__} is not separable; choose another method.")

    @property
    def oracles(self) -> frozenset[Oracle]:
        """What the term can answer: what its class overrides."""
        found = {oracle for name, oracle in _ANSWERS.items() if _overrides(type(self), name)}
        if all(_overrides(type(self), name) for name in ("violation", "prox_derivative", "restricted")):
            found.add(Oracle.SUBDIFFERENTIAL)
        return frozenset(found | ({Oracle.CONVEX_PENALTY} if self.convex else set()))


_ANSWERS: dict[str, Oracle] = {"prox": Oracle.PROX, "conjugate": Oracle.CONJUGATE}


def _overrides(kind: type[Any], name: str) -> bool:
    return getattr(kind, name) is not getattr(Penalty, name)
