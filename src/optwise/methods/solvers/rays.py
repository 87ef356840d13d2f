"""A point of a smooth problem and the function along a line through it, cheap for losses of linear predictions."""

from __future__ import annotations

import math
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import cache
from typing import NamedTuple, final

import torch
from torch import Tensor

from optwise.core.composite import Composite
from optwise.core.loss import LinearModel
from optwise.numerics.line_search import strong_wolfe

TRIALS = 25
"""Points of one line search: a first step can be wrong by a factor of 1e12, and what fails after that is rounding."""
SHARE = (1e-3, 0.999)
"""Shares of the first slope that a line search may be asked to leave."""
POSITIVE = (sys.float_info.min, math.inf)
"""What a length of a step may be."""
MOST_DRIFT = 30.0
"""Rounding errors that predictions gather before they are computed anew."""


class Point(NamedTuple):
    """A point with what is known there.

    Args:
        w: The point [p].
        value: f there.
        gradient: Its gradient [p].
        norm: Length of the gradient; NaN or infinite where anything in it is.
        predictions: ``X w`` of a linear model [n]; ``None`` where there is none.
        drift: Error of the predictions in units of the rounding error of ``X w``; each move along a ray adds to it.
    """

    w: Tensor
    value: float
    gradient: Tensor
    norm: float
    predictions: Tensor | None = None
    drift: float = 1.0

    @property
    def finite(self) -> bool:
        """Whether value and gradient are finite."""
        return math.isfinite(self.value) and math.isfinite(self.norm)


class Ray(ABC):
    """The function t -> f(w + t d); line searches call it, and :meth:`point` is where they end."""

    slope: float
    """Derivative at t = 0."""

    @abstractmethod
    def value(self, t: float) -> float:
        """The value at t."""

    @abstractmethod
    def __call__(self, t: float) -> tuple[float, float]:
        """The value at t and the derivative in t."""

    @abstractmethod
    def point(self, t: float) -> Point:
        """The point at t; nothing is asked anew where the ray was called with this t last."""


def point_at(problem: Composite, w: Tensor) -> Point:
    """The point ``w`` [p]: one value and one gradient.

    Example:
        >>> from optwise.core.smooth import Smooth
        >>> class Bowl(Smooth):
        ...     dimension = 2
        ...
        ...     def value(self, w):
        ...         return w @ w
        >>> point_at(Composite(Bowl()), torch.tensor([3.0, 4.0])).norm
        10.0
    """
    model = problem.smooth.model
    if model is None:
        return _measured(w, *problem.f_and_gradient(w))
    problem.count("products")
    problem.count("evaluations")
    z = model.X.forward(w)  # [n]
    value = _total_loss(model, z) + (0.5 * model.l2 * float(w @ w) if model.l2 > 0.0 else 0.0)
    return _model_point(problem, model, w, (value, z, None), drift=1.0)


@cache
def rounding(dtype: torch.dtype) -> float:
    """Relative rounding error of a value computed in ``dtype``: four units in the last place.

    Example:
        >>> rounding(torch.float64)
        8.881784197001252e-16
    """
    return 4.0 * torch.finfo(dtype).eps


def same(old: Point, new: Point) -> bool:
    """Whether a step was so short that rounding has undone it."""
    return new.value == old.value and new.norm == old.norm and torch.equal(new.w, old.w)


def first_reach(point: Point) -> float:
    """Length of a first step along the gradient: that of the gradient, but at most 1."""
    return min(point.norm, 1.0)


def ray_from(problem: Composite, point: Point, d: Tensor, *, at: Callable[[float], Tensor] | None = None) -> Ray:
    """The ray from ``point`` along ``d`` [p]; a linear model pays one product for it and none for its trials.

    Args:
        problem: Whose f it is.
        point: Where it starts.
        d: Its direction.
        at: The point at t where that has to be exact, on a bound say; it may differ from w + t d by rounding.
    """
    model = problem.smooth.model
    place = at or (lambda t: torch.add(point.w, d, alpha=t))
    if model is None:
        return _PlainRay(problem, point, d, place)
    assert point.predictions is not None
    return _ModelRay(problem, model, point, point.predictions, (d, place))


def searched(
    ray: Ray, point: Point, *, step: float, curvature: float = 0.9, longest: float = math.inf
) -> tuple[Point | None, float]:
    """Where a strong Wolfe search along the ray from ``point`` ends, and its step; ``None`` where it brings nothing.

    Args:
        ray: Along a descent direction.
        point: Its start.
        step: First trial.
        curvature: c2, the share of the slope that may be left.
        longest: No trial is longer than this.
    """
    noise, largest = rounding(point.w.dtype), torch.finfo(point.w.dtype).max
    found = strong_wolfe(
        ray,
        value=point.value,
        slope=ray.slope,
        step=min(max(step, sys.float_info.min), largest),
        curvature=curvature,
        longest=min(longest, largest),
        noise=noise,
        most=TRIALS,
    )
    if not found.success and not found.value < point.value - noise * abs(point.value):
        return None, 0.0
    new = ray.point(found.step)
    return (new, found.step) if new.finite and not same(point, new) else (None, 0.0)


@final
class _PlainRay(Ray):
    def __init__(self, problem: Composite, start: Point, d: Tensor, place: Callable[[float], Tensor]) -> None:
        self._problem, self._start, self._d, self._place = problem, start, d, place
        self._last = (0.0, start.w, start.value, start.gradient)
        self.slope = float(start.gradient @ d)

    def value(self, t: float) -> float:
        return self._problem.f(self._place(t))

    def __call__(self, t: float) -> tuple[float, float]:
        w = self._place(t)
        value, gradient = self._problem.f_and_gradient(w)
        self._last = (t, w, value, gradient)
        return value, float(gradient @ self._d)

    def point(self, t: float) -> Point:
        if t == 0.0:
            return self._start
        if t != self._last[0]:
            self(t)
        return _measured(*self._last[1:])


@final
class _ModelRay(Ray):
    """Predictions are affine along the ray: ``z + t X d``, and |w + t d|^2 is a parabola."""

    def __init__(
        self,
        problem: Composite,
        model: LinearModel,
        start: Point,
        predictions: Tensor,
        line: tuple[Tensor, Callable[[float], Tensor]],
    ) -> None:
        d, self._place = line
        self._problem, self._model, self._start, self._z = problem, model, start, predictions
        problem.count("products")
        self._turn = model.X.forward(d)  # [n]
        self._square, self._cross, self._bend = float(start.w @ start.w), float(start.w @ d), float(d @ d)
        self._last: tuple[float, float, Tensor, Tensor | None] = (0.0, start.value, predictions, None)
        self.slope = float(start.gradient @ d)

    def value(self, t: float) -> float:
        self._problem.count("evaluations")
        z = torch.add(self._z, self._turn, alpha=t)
        value = _total_loss(self._model, z) + 0.5 * self._model.l2 * self._squared_length(t)
        self._last = (t, value, z, None)
        return value

    def __call__(self, t: float) -> tuple[float, float]:
        model, value = self._model, self.value(t)
        slopes = model.loss.derivative(self._last[2], model.y)  # [n]
        self._last = (*self._last[:3], slopes)
        return value, model.scale * float(slopes @ self._turn) + model.l2 * (self._cross + t * self._bend)

    def point(self, t: float) -> Point:
        if t == 0.0:
            return self._start
        w = self._place(t)
        drift = self._drift(t)
        if not drift <= MOST_DRIFT:
            return point_at(self._problem, w)
        if t != self._last[0]:
            self.value(t)
        return _model_point(self._problem, self._model, w, self._last[1:], drift=drift)

    def _drift(self, t: float) -> float:
        """Errors are as large as the predictions they were made in: they weigh more the more w has shrunk."""
        here, move, there = self._square, t * t * self._bend, self._squared_length(t)
        gathered = self._start.drift * math.sqrt(here) + math.sqrt(max(here, move, there))
        return gathered / math.sqrt(there) if there > 0.0 else math.inf

    def _squared_length(self, t: float) -> float:
        return max(self._square + t * (2.0 * self._cross + t * self._bend), 0.0)


def _measured(w: Tensor, value: float, gradient: Tensor) -> Point:
    return Point(w, value, gradient, float(torch.linalg.vector_norm(gradient)))


def _total_loss(model: LinearModel, z: Tensor) -> float:
    return model.scale * float(model.loss.values(z, model.y).sum())


def _model_point(
    problem: Composite, model: LinearModel, w: Tensor, known: tuple[float, Tensor, Tensor | None], *, drift: float
) -> Point:
    value, z, slopes = known
    problem.count("products")
    problem.count("gradients")
    slopes = model.loss.derivative(z, model.y) if slopes is None else slopes
    gradient = model.X.adjoint(model.scale * slopes)
    if model.l2 > 0.0:
        gradient = torch.add(gradient, w, alpha=model.l2)
    return Point(w, value, gradient, float(torch.linalg.vector_norm(gradient)), z, drift)
