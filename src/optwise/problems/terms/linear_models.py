"""Losses of linear predictions as smooth terms: one prediction per example, or one per example and class."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor

from optwise.core.loss import ClassModel, LinearModel
from optwise.core.operator import LinearOperator
from optwise.core.smooth import Precisely, Smooth
from optwise.numerics.twice_precise import product_less
from optwise.problems.terms.operators import norm_bound


class Predictions:
    """Keeps the predictions at the last point, so that a Hessian-vector product there does not repeat them."""

    def __init__(self) -> None:
        self._last: tuple[LinearOperator, Tensor, int, Tensor] | None = None

    def at(self, w: Tensor, X: LinearOperator, predict: Callable[[Tensor], Tensor]) -> Tensor:
        """``predict(w)``, which is a product with ``X``."""
        # a tensor that was written to since is another point; autograd tells by the same counter
        version = None if w.is_inference() else w._version  # noqa: SLF001
        if self._last is not None:
            last_X, last_w, last_version, z = self._last
            if last_X is X and last_w is w and last_version == version:
                return z
        z = predict(w)
        if version is not None and not z.requires_grad:
            self._last = (X, w, version, z)
        return z


@dataclass(frozen=True, eq=False)
class LinearModelTerm(Smooth):
    r"""The loss of a linear model, its derivatives in closed form.

    .. math:: f(w) = s \sum_{i=1}^n \ell(z_i, y_i) + \tfrac{\lambda_2}{2} \|w\|^2, \qquad z = X w

        \nabla f(w) = s X^\top \ell'(z) + \lambda_2 w, \qquad
        \nabla^2 f(w) = s X^\top \operatorname{diag}(\ell''(z)) X + \lambda_2 I

    A gradient is two products with the design, and so is a Hessian-vector product at the same point. The Lipschitz
    constant, :math:`s \max \ell'' \cdot \|X\|^2 + \lambda_2`, is computed when it is first asked for.

    Args:
        linear: X, y, the loss, s and :math:`\lambda_2`.

    Example:
        >>> from optwise.problems.terms.operators import MatrixOperator
        >>> from optwise.problems.terms.predictions import SquaredError
        >>> X, y = torch.tensor([[1.0, 0.0], [0.0, 2.0]]), torch.tensor([1.0, 2.0])
        >>> f = LinearModelTerm(LinearModel(MatrixOperator(X), y, SquaredError(), scale=0.5))
        >>> f.value_and_gradient(torch.zeros(2))
        (tensor(1.2500), tensor([-0.5000, -2.0000]))
    """

    linear: LinearModel
    _predictions: Predictions = field(default_factory=Predictions, init=False, repr=False)

    @property
    def dimension(self) -> int:
        return self.linear.X.shape[1]

    def predictions(self, w: Tensor) -> Tensor:
        return self._predictions.at(w, self.linear.X, self.linear.X.forward)

    def value(self, w: Tensor) -> Tensor:
        return self.linear.value(w, self.predictions(w))

    def value_and_gradient(self, w: Tensor) -> tuple[Tensor, Tensor]:
        model = self.linear
        with torch.no_grad():
            z = self.predictions(w)  # [n]
            return model.value(w, z), model.gradient(w, z)

    def hvp(self, w: Tensor, v: Tensor) -> Tensor:
        model = self.linear
        with torch.no_grad():
            z = self.predictions(w)
            curvature = model.scale * model.loss.curvature(z, model.y)  # [n]
            return _plus(model.X.adjoint(curvature * model.X.forward(v)), model.l2, v)

    @property
    def convex(self) -> bool:
        return True

    @property
    def lower_bound(self) -> float:
        return self.linear.lower_bound

    @cached_property
    def lipschitz(self) -> float:
        model = self.linear
        return model.scale * model.loss.smoothness * norm_bound(model.X, like=model.y) ** 2 + model.l2

    @property
    def strong_convexity(self) -> float:
        return self.linear.l2

    def recedes(self, w: Tensor) -> bool:
        model = self.linear
        z = self.predictions(w)
        return model.l2 == 0 and bool(model.loss.recedes(z, model.y).all())

    @property
    def model(self) -> LinearModel:
        return self.linear

    def rounding(self, w: Tensor, value: float, *, enough: float = 0.0) -> float:
        model = self.linear
        # a loss whose slope is steep is far above its least value: l'(z)^2 <= 2 L (l(z) - min l)
        steep = math.sqrt(2 * model.scale * model.loss.smoothness * max(0.0, value - model.lower_bound))
        unit, labels = torch.finfo(w.dtype).eps, float(torch.linalg.vector_norm(model.y))
        for length in self._reaches(w):
            lost = unit * (labels + length)  # of a prediction, by what is summed for it
            found = steep * lost + 0.5 * model.scale * model.loss.smoothness * lost * lost
            if found <= enough:
                break
        return found

    def precisely(self, w: Tensor) -> Precisely | None:
        model, matrix = self.linear, self.linear.X.matrix
        if matrix is None or w.dtype != matrix.dtype:
            return None
        alone = model.loss.of_difference
        z, _ = product_less(matrix, w, model.y if alone else None)
        model = replace(model, y=torch.zeros_like(model.y)) if alone else model
        return Precisely(float(model.value(w, z)), model.gradient(w, z), z, model)

    def _reaches(self, w: Tensor) -> Iterator[float]:
        """Upper bounds of the length of ``|X| |w|``, the quick one first."""
        if self.linear.X.matrix is not None:
            yield self._length * float(torch.linalg.vector_norm(w))
        yield _reach(self._lengths, w, self.predictions)

    @cached_property
    def _length(self) -> float:
        matrix = self.linear.X.matrix
        return math.inf if matrix is None else float(torch.linalg.vector_norm(matrix))

    @cached_property
    def _lengths(self) -> Tensor | None:
        return self.linear.X.column_lengths


@dataclass(frozen=True, eq=False)
class SoftmaxTerm(Smooth):
    r"""Multinomial logistic regression: minus the log-likelihood of classes whose log-odds are linear.

    .. math:: f(w) = s \sum_{i=1}^n \Big( \log \sum_c e^{z_{ic}} - z_{i y_i} \Big) + \tfrac{\lambda_2}{2} \|W\|_F^2,
        \qquad Z = X W

    The vector w holds W [p, C] row by row. The Hessian of log-sum-exp has no eigenvalue above 1/2, so that the
    Lipschitz constant is at most :math:`\tfrac{s}{2} \|X\|^2 + \lambda_2`.

    Args:
        X: The design [n, p].
        y: Class of each example, int64 [n], from 0 to ``classes`` - 1.
        classes: C.
        scale: s, 1/n for the mean, as in ``torch.nn.functional.cross_entropy``, and 1 for the sum.
        l2: :math:`\lambda_2`, at least 0; never averaged.
        origin: A number of the dtype of the products, where X has no entries that would tell.

    Example:
        >>> from optwise.problems.terms.operators import MatrixOperator
        >>> f = SoftmaxTerm(MatrixOperator(torch.eye(2)), torch.tensor([0, 2]), classes=3, scale=0.5)
        >>> f.dimension, f.value(torch.zeros(6))  # ln 3
        (6, tensor(1.0986))

    References:
        Böhning (1992), Multinomial logistic regression algorithm, for the bound 1/2.
    """

    X: LinearOperator
    y: Tensor
    classes: int
    scale: float
    l2: float = 0.0
    origin: Tensor = field(default_factory=lambda: torch.zeros((), dtype=torch.float64), repr=False)
    _predictions: Predictions = field(default_factory=Predictions, init=False, repr=False)

    @property
    def dimension(self) -> int:
        return self.X.shape[1] * self.classes

    def value(self, w: Tensor) -> Tensor:
        return self._value(w, self._log_odds(w))

    def value_and_gradient(self, w: Tensor) -> tuple[Tensor, Tensor]:
        with torch.no_grad():
            z = self._log_odds(w)  # [C, n]
            excess = z.softmax(0)
            excess[self.y, torch.arange(self.y.numel(), device=self.y.device)] -= 1
            return self._value(w, z), _plus(self._adjoint(self.scale * excess), self.l2, w)

    def hvp(self, w: Tensor, v: Tensor) -> Tensor:
        with torch.no_grad():
            share = self._log_odds(w).softmax(0)  # [C, n]
            weighted = share * self._forward(v)
            return _plus(self._adjoint(self.scale * (weighted - share * weighted.sum(0))), self.l2, v)

    @property
    def convex(self) -> bool:
        return True

    @property
    def lower_bound(self) -> float:
        return 0.0

    @cached_property
    def lipschitz(self) -> float:
        like = self.origin if self.X.matrix is None else self.X.matrix
        return 0.5 * self.scale * norm_bound(self.X, like=like) ** 2 + self.l2

    @property
    def strong_convexity(self) -> float:
        return self.l2

    def recedes(self, w: Tensor) -> bool:
        if self.l2 > 0:
            return False
        z, own = self._log_odds(w), self.y[None]  # [C, n]
        others = z.scatter(0, own, -torch.inf)
        return bool((z.gather(0, own)[0] > others.amax(0)).all())

    @property
    def classes_of(self) -> ClassModel:
        return ClassModel(self.X, self.y, self.classes, self.scale, self.l2)

    def rounding(self, w: Tensor, value: float, *, enough: float = 0.0) -> float:
        z = self._log_odds(w)  # [C, n]
        apart = z.softmax(0)
        apart[self.y, torch.arange(self.y.numel(), device=self.y.device)] -= 1
        rows = w.reshape(-1, self.classes).norm(dim=1)
        lost = torch.finfo(w.dtype).eps * _reach(self._lengths, rows, lambda _: z)
        return self.scale * (float(apart.norm()) * lost + 0.25 * lost * lost)

    @cached_property
    def _lengths(self) -> Tensor | None:
        return self.X.column_lengths

    def _forward(self, w: Tensor) -> Tensor:
        return self.X.forward(w.reshape(-1, self.classes).mT)  # [C, n]

    def _adjoint(self, by_class: Tensor) -> Tensor:
        return self.X.adjoint(by_class).mT.reshape(-1)

    def _log_odds(self, w: Tensor) -> Tensor:
        return self._predictions.at(w, self.X, self._forward)

    def _value(self, w: Tensor, z: Tensor) -> Tensor:
        losses = F.cross_entropy(z.mT, self.y, reduction="sum")
        return _with_ridge(self.scale * losses, self.l2, w)


def _reach(lengths: Tensor | None, w: Tensor, predict: Callable[[Tensor], Tensor]) -> float:
    """At least the length of ``|X| |w|``; where the entries are not at hand that of ``X w``, which is less."""
    return float(predict(w).norm()) if lengths is None else float(lengths.to(w) @ w.abs())


def _plus(gradient: Tensor, l2: float, w: Tensor) -> Tensor:
    return torch.add(gradient, w, alpha=l2) if l2 else gradient


def _with_ridge(loss: Tensor, l2: float, w: Tensor) -> Tensor:
    return loss + 0.5 * l2 * (w @ w) if l2 else loss
