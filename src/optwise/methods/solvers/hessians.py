"""Second derivatives of a smooth problem at a point: as products, as a dense matrix, and whether one fits."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import final

import torch
from torch import Tensor

from optwise.core.composite import Composite
from optwise.core.loss import LinearModel
from optwise.core.smooth import Smooth
from optwise.methods.solvers.rays import Point
from optwise.numerics.memory import total_bytes

BLOCK = 64
"""Columns of a Gram matrix below which halving the arithmetic is not worth a second product."""
LOOKED_AT = 1e8
"""Bytes below which nobody asks how many there are."""
COLUMNS = 32
"""Columns of a Hessian that autograd computes at once."""


class Hessian(ABC):
    """The Hessian of f at one point; it holds what its products share."""

    @abstractmethod
    def product(self, v: Tensor) -> Tensor:
        """The Hessian times ``v`` [p]."""

    @abstractmethod
    def matrix(self) -> Tensor:
        """All its entries [p, p], symmetric."""


def hessian_at(problem: Composite, point: Point) -> Hessian:
    r"""The Hessian of f at ``point``.

    Of a linear model it is :math:`s X^T D X + \lambda_2 I` with the curvatures D of the losses; a term with its own
    ``hvp`` is asked column by column; else one graph of the gradient serves all products.

    Example:
        >>> from optwise.methods.solvers.rays import point_at
        >>> class Cubic(Smooth):
        ...     dimension = 2
        ...
        ...     def value(self, w):
        ...         return w[0] ** 3 + w[0] * w[1]
        >>> problem = Composite(Cubic())
        >>> hessian_at(problem, point_at(problem, torch.tensor([2.0, 1.0]))).matrix()
        tensor([[12.,  1.],
                [ 1.,  0.]])
    """
    smooth = problem.smooth
    if smooth.model is not None:
        return _ModelHessian(problem, smooth.model, point)
    if type(smooth).hvp is not Smooth.hvp:
        return _AskedHessian(problem, point)
    return _GraphHessian(problem, point)


def too_large(problem: Composite, order: int, matrix: str, instead: str) -> str:
    """Why a dense matrix cannot be had, as the rest of a sentence; empty where it takes at most half the memory.

    Example:
        >>> class Long(Smooth):
        ...     dimension = 10**9
        ...
        ...     def value(self, w):
        ...         return w @ w
        >>> too_large(Composite(Long()), 10**9, "an inverse Hessian", "lbfgs").split(";")[0]
        'keeps an inverse Hessian of 1000000000 x 1000000000 numbers, which take 8e+09 GB'
    """
    model = problem.smooth.model
    itemsize = 8 if model is None else model.y.dtype.itemsize
    needed = order * order * itemsize
    if needed <= LOOKED_AT or needed <= (memory := total_bytes()) // 2:
        return ""
    return (
        f"keeps {matrix} of {order} x {order} numbers, which take {needed / 1e9:.3g} GB; more than half of the "
        f"{memory / 1e9:.3g} GB of memory here, so choose {instead}"
    )


@final
class _ModelHessian(Hessian):
    def __init__(self, problem: Composite, model: LinearModel, point: Point) -> None:
        assert point.predictions is not None
        self._problem, self._model = problem, model
        self._weights = model.scale * model.loss.curvature(point.predictions, model.y)  # [n]

    def product(self, v: Tensor) -> Tensor:
        X = self._model.X
        self._problem.count("products", 2)
        self._problem.count("hvps")
        image = X.adjoint(self._weights * X.forward(v))
        return torch.add(image, v, alpha=self._model.l2) if self._model.l2 > 0.0 else image

    def matrix(self) -> Tensor:
        found = gram(self._weights.sqrt()[:, None] * design(self._problem, self._model, self._weights))
        self._problem.count("hvps", len(found))
        found.diagonal().add_(self._model.l2)
        return found


@final
class _AskedHessian(Hessian):
    def __init__(self, problem: Composite, point: Point) -> None:
        self._problem, self._w = problem, point.w

    def product(self, v: Tensor) -> Tensor:
        return self._problem.hvp(self._w, v)

    def matrix(self) -> Tensor:
        unit = torch.eye(len(self._w), dtype=self._w.dtype, device=self._w.device)
        return _symmetric(torch.stack([self.product(column) for column in unit]))


@final
class _GraphHessian(Hessian):
    def __init__(self, problem: Composite, point: Point) -> None:
        self._problem = problem
        with torch.enable_grad():
            self._w = point.w.detach().requires_grad_()
            (self._gradient,) = torch.autograd.grad(
                problem.smooth.value(self._w), self._w, create_graph=True, allow_unused=True, materialize_grads=True
            )

    def product(self, v: Tensor) -> Tensor:
        self._problem.count("hvps")
        return self._backward(v, batched=False)

    def matrix(self) -> Tensor:
        p = len(self._w)
        self._problem.count("hvps", p)
        unit = torch.eye(p, dtype=self._w.dtype, device=self._w.device)
        try:
            blocks = [self._backward(columns, batched=True) for columns in unit.split(COLUMNS)]
        except RuntimeError:  # an operation without a batched derivative
            blocks = [self._backward(column, batched=False)[None] for column in unit]
        return _symmetric(torch.cat(blocks))

    def _backward(self, v: Tensor, *, batched: bool) -> Tensor:
        if not self._gradient.requires_grad:  # an affine function
            return torch.zeros_like(v)
        (image,) = torch.autograd.grad(
            self._gradient,
            self._w,
            v,
            retain_graph=True,
            allow_unused=True,
            materialize_grads=True,
            is_grads_batched=batched,
        )
        return image


def design(problem: Composite, model: LinearModel, like: Tensor) -> Tensor:
    """The entries of X [n, p], from p products where they are not at hand."""
    if model.X.matrix is not None:
        return model.X.matrix
    p = model.X.shape[1]
    problem.count("products", p)
    return model.X.forward(torch.eye(p, dtype=like.dtype, device=like.device)).mT


def gram(A: Tensor) -> Tensor:
    """``A^T A`` [p, p] of a matrix [n, p]; where p is large at two thirds of the price of the product.

    Example:
        >>> gram(torch.tensor([[1.0, 2.0], [0.0, 1.0]]))
        tensor([[1., 2.],
                [2., 5.]])
    """
    p = A.shape[1]
    if p <= BLOCK:
        return A.mT @ A
    found = A.new_empty(p, p)
    stride = max(BLOCK, -(-p // 4))
    for start in range(0, p, stride):  # the blocks on and below the diagonal; the others are their mirror image
        stop = min(start + stride, p)
        found[start:stop, :stop] = A[:, start:stop].mT @ A[:, :stop]
    return found.tril() + found.tril(-1).mT


def _symmetric(matrix: Tensor) -> Tensor:
    return 0.5 * (matrix + matrix.mT)
