"""A smooth function through its tangents, and how it curves away from them; linear models pay few products for that."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import NamedTuple, final

import torch
from torch import Tensor

from optwise.core.composite import Composite
from optwise.core.loss import LinearModel
from optwise.numerics.finiteness import all_finite

NOISE = 4.0
"""Rounding units of a value."""
STANDS = 8.0
"""Rounding units of a point within which another counts as the same."""


class Place(NamedTuple):
    """A point.

    Args:
        w: The point [p].
        image: The predictions there [n] of a linear model, the point itself of any other f; affine in w.
        f: The value; NaN where it was not asked for.
    """

    w: Tensor
    image: Tensor
    f: float


class Tangent(NamedTuple):
    """The first-order model of f at a place.

    Args:
        at: The place, its value known.
        gradient: The gradient [p].
        slopes: The derivatives in the predictions [n] of a linear model; ``None`` of any other f.
    """

    at: Place
    gradient: Tensor
    slopes: Tensor | None

    @property
    def finite(self) -> bool:
        """Whether value and gradient are finite."""
        return math.isfinite(self.at.f) and all_finite(self.gradient)


class Tangents(ABC):
    """Where a first-order method asks f: at points it reaches, and on lines through them."""

    def __init__(self, problem: Composite) -> None:
        self._problem = problem

    @abstractmethod
    def place(self, w: Tensor) -> Place:
        """The place ``w`` [p] with its value."""

    @abstractmethod
    def beyond(self, a: Place, b: Place, share: float) -> Place:
        """The place ``b + share (b - a)``; no product is needed for it."""

    @abstractmethod
    def tangent(self, at: Place) -> Tangent:
        """The tangent at a place."""

    @abstractmethod
    def curvature(self, y: Tangent, to: Place) -> float:
        r"""The least L for which f does not rise above its model at ``to``.

        .. math:: f(x) \le f(y) + \langle \nabla f(y), x - y \rangle + \tfrac{L}{2} \|x - y\|^2

        NaN where rounding hides it, infinite where f is not finite at x.
        """

    def first_curvature(self, y: Tangent) -> float:
        """How f curves along its gradient, close to a place; above 0."""
        length = float(torch.linalg.vector_norm(y.gradient))
        reach = 1e-4 * max(1.0, float(torch.linalg.vector_norm(y.at.w)))
        while length > 0.0 and reach > 0.0:
            found = self.curvature(y, self.place(torch.add(y.at.w, y.gradient, alpha=-reach / length)))
            if 0.0 < found < math.inf:
                return found
            if math.isnan(found):  # f is flat: a step of length 1 cannot be far too long
                return length
            reach *= 0.1
        return 1.0


def tangents_of(problem: Composite) -> Tangents:
    """The tangents of f, by what is known of it.

    Example:
        >>> from optwise.core.smooth import Smooth
        >>> class Bowl(Smooth):
        ...     dimension = 1
        ...
        ...     def value(self, w):
        ...         return 1.5 * w @ w
        >>> tangents = tangents_of(Composite(Bowl()))
        >>> tangents.curvature(tangents.tangent(tangents.place(torch.ones(1))), tangents.place(torch.zeros(1)))
        3.0
    """
    model = problem.smooth.model
    return _PlainTangents(problem) if model is None else _ModelTangents(problem, model)


@final
class _PlainTangents(Tangents):
    def place(self, w: Tensor) -> Place:
        return Place(w, w, self._problem.f(w))

    def beyond(self, a: Place, b: Place, share: float) -> Place:
        w = b.w + share * (b.w - a.w)
        return Place(w, w, math.nan)

    def tangent(self, at: Place) -> Tangent:
        f, gradient = self._problem.f_and_gradient(at.w)
        return Tangent(Place(at.w, at.w, f), gradient, None)

    def curvature(self, y: Tangent, to: Place) -> float:
        d = to.w - y.at.w
        if not math.isfinite(to.f):
            return math.inf
        square = float(d @ d)
        return _bend(y, to, d) / square if square > 0.0 else math.nan


@final
class _ModelTangents(Tangents):
    """Predictions are affine in w, so that a place on a line costs nothing, and a tangent one product."""

    def __init__(self, problem: Composite, model: LinearModel) -> None:
        super().__init__(problem)
        self._model = model

    def place(self, w: Tensor) -> Place:
        self._problem.count("products")
        return self._valued(w, self._model.X.forward(w))

    def beyond(self, a: Place, b: Place, share: float) -> Place:
        return self._valued(b.w + share * (b.w - a.w), b.image + share * (b.image - a.image))

    def tangent(self, at: Place) -> Tangent:
        self._problem.count("products")
        self._problem.count("gradients")
        slopes = self._slopes(at)
        gradient = self._model.X.adjoint(slopes)
        if self._model.l2:
            gradient = torch.add(gradient, at.w, alpha=self._model.l2)
        return Tangent(at, gradient, slopes)

    def curvature(self, y: Tangent, to: Place) -> float:
        """As for any f; where values cannot tell, from the change of the gradient, of which rounding hides less."""
        if not math.isfinite(to.f):
            return math.inf
        assert y.slopes is not None
        d = to.w - y.at.w
        square, eps = float(d @ d), torch.finfo(d.dtype).eps
        if square <= (STANDS * eps) ** 2 * float(to.w @ to.w):
            return math.nan
        change = float((self._slopes(to) - y.slopes) @ (to.image - y.at.image)) + self._model.l2 * square
        bend = 0.0 if self._model.loss.quadratic else _bend(y, to, d)
        # of a quadratic both numbers are the same; of another loss the change is the larger or the smaller one
        return max(change, 0.0 if math.isnan(bend) else bend) / square

    def _valued(self, w: Tensor, image: Tensor) -> Place:
        self._problem.count("evaluations")
        model = self._model
        ridge = 0.5 * model.l2 * float(w @ w) if model.l2 else 0.0
        return Place(w, image, model.scale * float(model.loss.values(image, model.y).sum()) + ridge)

    def _slopes(self, at: Place) -> Tensor:
        return self._model.scale * self._model.loss.derivative(at.image, self._model.y)


def _bend(y: Tangent, to: Place, d: Tensor) -> float:
    """Twice the height of f at ``to`` over its tangent; NaN where that is rounding."""
    height = to.f - y.at.f - float(y.gradient @ d)
    noise = NOISE * torch.finfo(d.dtype).eps * (abs(to.f) + abs(y.at.f))
    return 2.0 * height if abs(height) > noise else math.nan
