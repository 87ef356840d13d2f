"""A point of a problem, evaluated once for all certificates."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from functools import cached_property

import torch
from torch import Tensor

from optwise.core.casting import ours
from optwise.core.composite import Composite
from optwise.core.errors import BadProblem
from optwise.core.loss import LinearModel
from optwise.core.oracles import Oracle
from optwise.core.smooth import Precisely
from optwise.numerics.finiteness import all_finite
from optwise.numerics.spectra import largest_eigenvalue

PRODUCTS = 20
"""Hessian products spent on the curvature at a point where no Lipschitz constant is known."""


@dataclass(frozen=True, eq=False)
class Evaluation:
    r"""The parts of :math:`F(w) = f(w) + g(A w)` at one point.

    Args:
        problem: In float64.
        w: The point [p].
        f: f there.
        gradient: Of f [p].
        image: ``A w`` [m]; w itself where there is no operator.
        g: g there, 0 where there is none.
        precise: f once more, where its sums were made in twice the precision.
        formed: The Hessian of f, for the coordinates it was formed for, once it was.
    """

    problem: Composite
    w: Tensor
    f: float
    gradient: Tensor
    image: Tensor
    g: float
    precise: Precisely | None = None
    formed: dict[str, Tensor] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, problem: Composite, w: Tensor) -> Evaluation:
        """Evaluate ``problem`` at ``w``; that costs one gradient.

        Raises:
            BadProblem: ``w`` has another shape or is not float64.
        """
        if w.shape != (problem.dimension,) or w.dtype != torch.float64:
            raise BadProblem(
                f"A certificate was asked for at a {str(w.dtype).removeprefix('torch.')} point of shape "
                f"{tuple(w.shape)}; give the {problem.dimension} packed numbers in float64, w.double()."
            )
        w = w.detach()
        f, gradient = problem.f_and_gradient(w)
        image = w if problem.operator is None else problem.operator.forward(w)
        return cls(problem, w, f, gradient, image, problem.g(w))

    @property
    def value(self) -> float:
        """F at the point."""
        return self.f + self.g

    @property
    def finite(self) -> bool:
        """Whether value and gradient are numbers."""
        return math.isfinite(self.value) and all_finite(self.gradient)

    @property
    def smooth_only(self) -> bool:
        """Whether there is neither a penalty nor a set."""
        return self.problem.penalty is None and self.problem.constraint is None

    @property
    def joint(self) -> bool:
        """Whether there are both."""
        return self.problem.penalty is not None and self.problem.constraint is not None

    @property
    def convex(self) -> bool:
        """Whether the problem is known to be convex."""
        p = self.problem
        return (
            (p.smooth.convex or p.smooth.strong_convexity > 0)
            and (p.penalty is None or p.penalty.convex)
            and (p.constraint is None or p.constraint.convex)
        )

    @property
    def has_prox(self) -> bool:
        """Whether the penalty, if there is one, has a proximal map; every set has its projection."""
        return self.problem.penalty is None or Oracle.PROX in self.problem.penalty.oracles

    @cached_property
    def sizes(self) -> Tensor:
        """How large each coordinate is at the point or at the start, 1 where it is 0 at both [p]."""
        start = self.problem.start
        size = self.w.abs() if start is None else torch.maximum(self.w.abs(), start.abs())
        return size.where(size > 0, 1.0)

    @property
    def model(self) -> LinearModel | None:
        """The linear model that f is, if it is one."""
        known = None if self.precise is None else self.precise.model
        return self.problem.smooth.model if known is None else known

    @property
    def predictions(self) -> Tensor:
        """``X w`` [n]; of a linear model only, and less the labels where those of ``model`` are 0."""
        known = None if self.precise is None else self.precise.predictions
        return self.problem.smooth.predictions(self.w) if known is None else known

    def precisely(self) -> Evaluation | None:
        """The same point with f from sums in twice the precision; ``None`` where these are not to be had."""
        self.problem.count("evaluations")
        found = self.problem.smooth.precisely(self.w)
        if found is None or not math.isfinite(found.value) or not all_finite(found.gradient):
            return None
        self.problem.count("gradients")
        return replace(self, f=found.value, gradient=found.gradient, precise=found)

    def adjoint(self, v: Tensor) -> Tensor:
        """``A^T v`` [p]."""
        return v if self.problem.operator is None else self.problem.operator.adjoint(v)

    @cached_property
    def step(self) -> float:
        r"""A step t = 1 / L that changes with the units of F and w as they do, so that no residual depends on them.

        Where no Lipschitz constant is known, L is the largest curvature at w by a few Lanczos steps. Where there is no
        curvature at all, a gradient step goes as far as w is long.
        """
        known = self.problem.smooth.lipschitz
        curvature = self._curvature() if known is None else known
        slope, length = float(self.gradient.norm()), max(float(self.w.norm()), 1.0)
        if torch.finfo(self.w.dtype).eps * slope < curvature * length < math.inf:
            return 1 / curvature
        return length / slope if slope > 0 else 1.0

    def bend(self, v: Tensor) -> Tensor:
        """Hessian of f times ``v`` [p]; one graph of the gradient serves all products at the point."""
        self.problem.count("hvps")
        if "hvp" in self.problem.smooth.stated and ours(self.problem.smooth):
            return self.problem.smooth.hvp(self.w, v)  # what a caller states is not what the caller is judged by
        if self._graph is not None:
            point, gradient = self._graph
            try:
                (found,) = torch.autograd.grad(
                    gradient, point, v, retain_graph=True, allow_unused=True, materialize_grads=True
                )
            except RuntimeError:  # a backward that has no derivative of its own
                return self._difference(v)
            product: Tensor = found
            return product
        return self._difference(v)

    @cached_property
    def _graph(self) -> tuple[Tensor, Tensor] | None:
        """The point and the gradient of f with its graph; ``None`` where autograd sees none of it."""
        with torch.enable_grad():
            point = self.w.detach().requires_grad_()
            value = self.problem.smooth.value(point)
            try:
                (gradient,) = torch.autograd.grad(
                    value, point, create_graph=True, allow_unused=True, materialize_grads=True
                )
            except RuntimeError:
                return None
        return (point, gradient) if gradient.requires_grad else None

    def _difference(self, v: Tensor) -> Tensor:
        """The same from gradients on either side, where their own graph is not to be had; 0 of an affine f."""
        length, size = float(v.norm()), max(float(self.w.norm()), 1.0)
        if not 0 < length < math.inf:
            return torch.zeros_like(v)
        h: float = torch.finfo(v.dtype).eps ** (1 / 3) * size / length
        ahead, behind = (self.problem.smooth.value_and_gradient(self.w + t * v)[1] for t in (h, -h))
        quotient: Tensor = (ahead - behind) / (2 * h)
        return quotient

    def _curvature(self) -> float:
        found = largest_eigenvalue(self._squared_curvature, self.w.numel(), dtype=self.w.dtype, most=PRODUCTS)
        return math.sqrt(max(found.estimate, 0.0))

    def _squared_curvature(self, v: Tensor) -> Tensor:
        """The Hessian twice: its eigenvalues are the squares, so that negative curvature counts too."""
        return self.bend(self.bend(v))
