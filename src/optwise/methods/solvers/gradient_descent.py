"""Steps along the gradient: of fixed length, searched for, or from the last change of the gradient."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from optwise.core.composite import Composite
from optwise.core.errors import BadMethod
from optwise.core.solver import Iterate, Solver
from optwise.methods.solvers.incumbent import Incumbent
from optwise.methods.solvers.rays import (
    POSITIVE,
    SHARE,
    Point,
    Ray,
    first_reach,
    point_at,
    ray_from,
    rounding,
    same,
    searched,
)
from optwise.numerics.line_search import armijo

PATIENCE = 100
"""Iterations without progress before a method stalls; steps that are too long for a while may make it rise."""
GROWTH = 2.0
"""How much longer than the last step the next first trial is."""
RANGE = 1e10
"""Factor by which a spectral step may leave the first one."""


@final
@dataclass(frozen=True, kw_only=True)
class GradientDescent(Solver):
    r"""Gradient descent with a fixed step.

    .. math:: w \leftarrow w - \mathrm{lr} \, \nabla f(w)

    One gradient an iteration. With lr = 1/L a convex f falls as :math:`f - f^* \le L \|w_0 - w^*\|^2 / (2 k)`; at
    lr = 2 / (L + m) a quadratic with curvatures from m to L contracts by :math:`(\kappa - 1) / (\kappa + 1)`,
    :math:`\kappa = L / m`. A step that leaves the domain of f is halved, and so are all later ones.

    Args:
        lr: Step; ``None`` takes 1/L where the problem knows L.

    Example:
        >>> from optwise.core.smooth import Smooth
        >>> class Bowl(Smooth):
        ...     dimension = 1
        ...
        ...     def value(self, w):
        ...         return w @ w
        >>> first = next(GradientDescent(lr=0.25).solve(Composite(Bowl()), torch.tensor([4.0])))
        >>> first.w, first.value
        (tensor([2.]), 4.0)

    References:
        Nesterov (2018), Lectures on Convex Optimization, theorems 2.1.14 and 2.1.15.
    """

    lr: float | None = None

    limits: ClassVar[Mapping[str, tuple[float, float]]] = {"lr": POSITIVE}

    def refusal(self, problem: Composite) -> str:
        if self.lr is not None or _known_step(problem) is not None:
            return ""
        return (
            "steps by 1/L, and nobody knows the Lipschitz constant L of this gradient; give the step, "
            "GradientDescent(lr=...), or choose bfgs or lbfgs, which search for it"
        )

    def solve(self, problem: Composite, w: Tensor) -> Iterator[Iterate]:
        lr = self.lr or _known_step(problem)
        if lr is None:
            raise BadMethod(f"{self.label} {self.refusal(problem)}.")
        return self._descend(problem, w, lr)

    def _descend(self, problem: Composite, w: Tensor, lr: float) -> Iterator[Iterate]:
        point = point_at(problem, w)
        best = Incumbent(problem, point, patience=PATIENCE)
        while point.finite and not best.stalled:
            new = point_at(problem, torch.add(point.w, point.gradient, alpha=-lr))
            if same(point, new):
                return
            if not new.finite:
                lr *= 0.5
                continue
            point = new
            best.offer(point)
            yield best.iterate(lr)


@final
@dataclass(frozen=True, kw_only=True)
class ArmijoDescent(Solver):
    r"""Gradient descent that backtracks until the value has fallen enough.

    .. math:: w \leftarrow w - t g, \qquad f(w - t g) \le f(w) - c_1 t \|g\|^2

    The first trial is twice the last step, as long as values tell a good one. One gradient and about two values an
    iteration; the rate is that of a fixed step 1/L, up to a constant, without knowing L.

    Args:
        sufficient: c1.

    Example:
        >>> from optwise.core.smooth import Smooth
        >>> class Bowl(Smooth):
        ...     dimension = 1
        ...
        ...     def value(self, w):
        ...         return w @ w
        >>> *_, last = ArmijoDescent().solve(Composite(Bowl()), torch.tensor([4.0]))
        >>> last.w
        tensor([0.])

    References:
        Armijo (1966), Minimization of functions having Lipschitz continuous first partial derivatives.
    """

    sufficient: float = 1e-4

    limits: ClassVar[Mapping[str, tuple[float, float]]] = {"sufficient": (1e-8, 0.999)}

    def solve(self, problem: Composite, w: Tensor) -> Iterator[Iterate]:
        point = point_at(problem, w)
        best = Incumbent(problem, point, patience=PATIENCE)
        step = first_reach(point) / point.norm if point.norm > 0.0 else 0.0
        while point.finite and point.norm > 0.0 and not best.stalled:
            ray = ray_from(problem, point, -point.gradient)
            new, taken = _backtracked(ray, point, point.value, step, self.sufficient)
            if new is None:
                return
            # a decrease that is all rounding does not tell a step that is too long
            told = taken * new.norm * new.norm > rounding(w.dtype) * abs(new.value)
            point, step = new, GROWTH * taken if told else taken
            best.offer(point)
            yield best.iterate(taken)


@final
@dataclass(frozen=True, kw_only=True)
class WolfeDescent(Solver):
    r"""Gradient descent whose step flattens the slope: steepest descent with a strong Wolfe search.

    .. math:: w \leftarrow w - t g, \qquad |\nabla f(w - t g)^T g| \le c_2 \|g\|^2

    The first trial promises the decrease of the last iteration. About two gradients an iteration; the rate is that of a
    fixed step 1/L, up to a constant, without knowing L.

    Args:
        curvature: c2, the share of the slope that may be left.

    Example:
        >>> from optwise.core.smooth import Smooth
        >>> class Bowl(Smooth):
        ...     dimension = 1
        ...
        ...     def value(self, w):
        ...         return w @ w
        >>> *_, last = WolfeDescent().solve(Composite(Bowl()), torch.tensor([4.0]))
        >>> last.w
        tensor([0.])

    References:
        Nocedal and Wright (2006), Numerical Optimization, sections 3.1 and 3.5.
    """

    curvature: float = 0.5

    limits: ClassVar[Mapping[str, tuple[float, float]]] = {"curvature": SHARE}

    def solve(self, problem: Composite, w: Tensor) -> Iterator[Iterate]:
        point = point_at(problem, w)
        best = Incumbent(problem, point, patience=PATIENCE)
        step = first_reach(point) / point.norm if point.norm > 0.0 else 0.0
        while point.finite and point.norm > 0.0 and not best.stalled:
            ray = ray_from(problem, point, -point.gradient)
            new, taken = searched(ray, point, step=step, curvature=self.curvature)
            if new is None:
                return
            # to first order: the same decrease as this time
            flatter = point.norm / new.norm if new.norm > 0.0 else 1.0
            step = _within(taken * flatter * flatter, taken)
            point = new
            best.offer(point)
            yield best.iterate(taken)


@final
@dataclass(frozen=True, kw_only=True)
class BarzilaiBorwein(Solver):
    r"""Gradient descent with the two spectral steps in turn.

    .. math:: w \leftarrow w - t g, \qquad t = \frac{s^T s}{s^T y} \text{ or } \frac{s^T y}{y^T y}

    with s and y the last changes of w and of the gradient. Values need not fall: a step is cut only where the value
    exceeds the largest of the last ``memory`` ones, and the best point is what is handed out. One gradient an
    iteration. On strongly convex quadratics it converges linearly, in practice far faster than with any fixed step.

    Args:
        memory: Values that the next one is held against; 1 makes every value fall.

    Example:
        >>> from optwise.core.smooth import Smooth
        >>> class Bowl(Smooth):
        ...     dimension = 3
        ...
        ...     def value(self, w):
        ...         return (torch.arange(1.0, 4.0) * (w - 1) ** 2).sum()
        >>> *_, last = BarzilaiBorwein().solve(Composite(Bowl()), torch.zeros(3))
        >>> last.w
        tensor([1., 1., 1.])

    References:
        Barzilai and Borwein (1988), Two-point step size gradient methods; Raydan (1997), The Barzilai and Borwein
        gradient method for the large scale unconstrained minimization problem; Grippo, Lampariello and Lucidi (1986),
        A nonmonotone line search technique for Newton's method; Dai and Fletcher (2005), Projected Barzilai-Borwein
        methods for large-scale box-constrained quadratic programming (steps in turn).
    """

    memory: int = 10

    limits: ClassVar[Mapping[str, tuple[float, float]]] = {"memory": (1, 10_000)}

    def solve(self, problem: Composite, w: Tensor) -> Iterator[Iterate]:
        point = point_at(problem, w)
        best = Incumbent(problem, point, patience=PATIENCE)
        values = deque([point.value], maxlen=self.memory)
        first = step = first_reach(point) / point.norm if point.norm > 0.0 else 0.0
        long = True
        while point.finite and point.norm > 0.0 and not best.stalled:
            ray = ray_from(problem, point, -point.gradient)
            new, taken = _backtracked(ray, point, max(values), step, sufficient=1e-4)
            if new is None:
                return
            step = _spectral_step(point, new, long=long) or first
            step, long = min(max(step, first / RANGE), first * RANGE), not long
            point = new
            values.append(point.value)
            best.offer(point)
            yield best.iterate(taken)


def _known_step(problem: Composite) -> float | None:
    lipschitz = problem.smooth.lipschitz
    return 1.0 / lipschitz if lipschitz and math.isfinite(lipschitz) else None


def _backtracked(ray: Ray, point: Point, ceiling: float, step: float, sufficient: float) -> tuple[Point | None, float]:
    """The first point from ``step`` on that lies enough below the ceiling, with its step; ``None`` where none does."""

    def value(t: float) -> float:
        found, slope = ray(t)
        return found if math.isfinite(slope) else math.nan

    noise = rounding(point.w.dtype)
    # close to the answer values are noise, and only the gradient tells that there is still a way to go
    ceiling += noise * abs(ceiling)
    step = min(step, torch.finfo(point.w.dtype).max)
    found = armijo(value, value=ceiling, slope=ray.slope, step=step, sufficient=sufficient, noise=noise)
    new = ray.point(found.step)
    return (None, 0.0) if not new.finite or same(point, new) else (new, found.step)


def _spectral_step(old: Point, new: Point, *, long: bool) -> float:
    """The long or the short step of Barzilai and Borwein; 0 where f does not curve upwards in between."""
    s, y = new.w - old.w, new.gradient - old.gradient
    square, fit, change = (float(v) for v in torch.stack([s @ s, s @ y, y @ y]))
    if not 0.0 < fit < math.inf or change == 0.0:
        return 0.0
    return square / fit if long else fit / change


def _within(step: float, last: float) -> float:
    """A step at most a tenth or ten times the last one, and finite."""
    return min(max(step, 0.1 * last), 10.0 * last)
