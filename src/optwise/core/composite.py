"""A problem as deterministic solvers see it: f(w) + g(A w) over a simple set, every question counted."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from optwise.core.constraint import ConstraintSet
from optwise.core.layout import Layout
from optwise.core.operator import LinearOperator
from optwise.core.penalty import Penalty
from optwise.core.problem import Problem
from optwise.core.showing import Terse
from optwise.core.smooth import Smooth

DOUBLE = torch.finfo(torch.float64).eps
"""The rounding unit of float64."""

COUNTED = ("evaluations", "gradients", "hvps", "proxes", "projections", "products", "factorizations")


class TimeIsUp(Exception):
    """The caller's time has passed: raised by the first question after it, for whoever runs the solver to catch."""


@dataclass(frozen=True, eq=False)
class Composite(Terse):
    r"""A sum of a smooth and a simple term, minimised over a simple set.

    .. math:: \min_{w \in C} F(w) = f(w) + g(A w)

    for a packed vector w [p]. Numbers come back as Python floats, vectors as tensors. What is not finite comes back as
    it is: a solver shrinks its step then.

    Args:
        smooth: f; of dimension p.
        penalty: g; ``None`` where there is none.
        operator: A; ``None`` where it is the identity.
        constraint: C; ``None`` where it is the whole space.
        start: The problem's own start, moved into C [p]; ``None`` where nobody looked.
        start_value: F there.
        unit: Rounding unit of the dtype that data and answer have: no value is known better.
        tol: What a certificate must reach, so that inner iterations need not be more exact.
        counts: Questions asked so far, by name; a product is one matrix-vector product with the design or A.
        deadline: When the caller's time is up, on the clock of ``time.perf_counter``; nothing is asked after it.
        known: A point [p], f and its gradient [p] there, which are not asked again.
    """

    smooth: Smooth
    penalty: Penalty | None = None
    operator: LinearOperator | None = None
    constraint: ConstraintSet | None = None
    start: Tensor | None = None
    start_value: float = math.nan
    unit: float = DOUBLE
    tol: float = 1e-6
    counts: dict[str, float] = field(default_factory=lambda: dict.fromkeys(COUNTED, 0.0))
    deadline: float = math.inf
    known: tuple[Tensor, float, Tensor] | None = None

    @classmethod
    def of(cls, problem: Problem, *, tol: float = 1e-6, unit: float | None = None) -> Composite:
        """The problem over all its examples; that costs one value, at its own start.

        Args:
            problem: Any.
            tol: What a certificate must reach.
            unit: Rounding unit of the data, where the problem was cast from another dtype; by default its own.
        """
        w = start_row(problem)
        if problem.constraint is not None:
            w = problem.constraint.project(w)
        unit = torch.finfo(w.dtype).eps if unit is None else unit
        bare = cls(
            problem.function(), problem.penalty, problem.operator, problem.constraint, start=w, unit=unit, tol=tol
        )
        return replace(bare, start_value=bare.value(w), counts=dict.fromkeys(COUNTED, 0.0))

    @property
    def dimension(self) -> int:
        """Length p of the packed vector."""
        return self.smooth.dimension

    def count(self, name: str, amount: float = 1.0) -> None:
        """Book a question or work on the parts.

        Raises:
            TimeIsUp: The deadline has passed, so that no run outlives it by more than one question.
        """
        if time.perf_counter() > self.deadline:
            raise TimeIsUp
        self.counts[name] += amount

    def value(self, w: Tensor) -> float:
        """The value F at ``w``; whether w lies in C is not looked at."""
        return self.f(w) + self.g(w)

    def f(self, w: Tensor) -> float:
        """The value of f at ``w``."""
        self.count("evaluations")
        with torch.no_grad():
            return float(self.smooth.value(w))

    def g(self, w: Tensor) -> float:
        """The value of g at ``A w``; 0 where there is no penalty."""
        if self.penalty is None:
            return 0.0
        return float(self.penalty.value(w if self.operator is None else self.operator.forward(w)))

    def f_and_gradient(self, w: Tensor) -> tuple[float, Tensor]:
        """The value of f and its gradient [p] at ``w``; what is known of that very tensor is not asked again."""
        if self.known is not None and self.known[0] is w:
            return self.known[1:]
        self.count("evaluations")
        self.count("gradients")
        value, gradient = self.smooth.value_and_gradient(w)
        return float(value), gradient

    def knowing(self, w: Tensor) -> Composite:
        """The same problem, which has been asked for f and its gradient at ``w``, a point that nobody changes."""
        return replace(self, known=(w, *self.f_and_gradient(w)))

    def hvp(self, w: Tensor, v: Tensor) -> Tensor:
        """Hessian of f at ``w`` times ``v`` [p]."""
        self.count("hvps")
        return self.smooth.hvp(w, v)

    def prox(self, v: Tensor, step: float) -> Tensor:
        """Proximal map of the one part that is not smooth: g without an operator, or the projection onto C."""
        if self.penalty is not None:
            assert self.operator is None
            assert self.constraint is None
            self.count("proxes")
            return self.penalty.prox(v, step)
        return self.project(v)

    def project(self, v: Tensor) -> Tensor:
        """The nearest point of C."""
        if self.constraint is None:
            return v
        self.count("projections")
        return self.constraint.project(v)

    def gap_measure(self, gap: float, value: float) -> float:
        """A gap, or a decrease that a model predicts, relative to the value F: the scale of certificates."""
        if gap <= 0:
            return 0.0
        return gap / abs(value) if value != 0 else math.inf

    def decrement_measure(self, decrease: float, value: float) -> float:
        """The root of a relative decrease: of a sum of squares the cosine between residuals and what can be reached."""
        return math.sqrt(self.gap_measure(decrease, value))


def start_row(problem: Problem) -> Tensor:
    """The start of seed 0 as one vector [p]."""
    w, _ = problem.start(0)
    return Layout.of(w).pack(w)
