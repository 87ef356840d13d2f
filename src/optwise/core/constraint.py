"""A set that answers must lie in."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

from torch import Tensor

from optwise.core.casting import Part
from optwise.core.errors import BadProblem
from optwise.core.oracles import Oracle


class ConstraintSet(Part):
    r"""A closed set C one can project onto.

    ``support`` gives a duality gap, ``vertex`` opens Frank-Wolfe (a bounded set has one), ``bounds`` the methods for
    boxes. Points are vectors [p]; what is written for the last dimension serves leading ones too.
    """

    convex: ClassVar[bool] = True
    """Whether C is convex."""

    @property
    def dimension(self) -> int | None:
        """Length p of its points; ``None`` where any will do."""
        return None

    def sized(self, dimension: int) -> ConstraintSet:
        """The same set of vectors [dimension], for a set that was made without saying how long they are."""
        return self

    @abstractmethod
    def project(self, v: Tensor) -> Tensor:
        """The nearest point of the set."""

    def violation(self, w: Tensor) -> Tensor:
        """Distance of ``w`` [..., p] to the set: [...]."""
        distance: Tensor = (w - self.project(w)).norm(dim=-1)
        return distance

    def contains(self, w: Tensor, tol: float) -> bool:
        """Whether ``w`` lies within ``tol`` of the set, relative to its own length where that is above 1."""
        return bool((self.violation(w) <= tol * w.norm(dim=-1).clamp(min=1.0)).all())

    def support(self, u: Tensor) -> Tensor:
        """``sup_{x in C} <u, x>``: [...]; infinite where the set is unbounded along ``u``."""
        raise BadProblem(f"{type(self).__name__} has no support function; a method that needs one cannot use it.")

    def dual_scale(self, u: Tensor) -> float:
        """The largest t in [0, 1] with a finite ``support(t u)``; 1 for a bounded set."""
        return 1.0

    def vertex(self, g: Tensor) -> Tensor:
        """``argmin_{x in C} <g, x>``, an extreme point of the set."""
        raise BadProblem(f"{type(self).__name__} has no linear minimisation; a method that needs one cannot use it.")

    def bounds(self) -> tuple[Tensor, Tensor]:
        """Lower and upper bounds, [p] each, infinite ones included; of a box only."""
        raise BadProblem(f"{type(self).__name__} is no box; a method for bounds cannot use it.")

    @property
    def oracles(self) -> frozenset[Oracle]:
        """What the set can answer: what its class overrides."""
        found = {oracle for name, oracle in _ANSWERS.items() if _overrides(type(self), name)}
        return frozenset(found | {Oracle.PROJECTION} | ({Oracle.CONVEX_SET} if self.convex else set()))


_ANSWERS: dict[str, Oracle] = {"support": Oracle.SUPPORT, "vertex": Oracle.VERTEX, "bounds": Oracle.BOUNDS}


def _overrides(kind: type[Any], name: str) -> bool:
    return getattr(kind, name) is not getattr(ConstraintSet, name)
