"""Smooth terms of the parameters alone: a function of the caller, a quadratic, a squared distance, nothing."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Self

import torch
from torch import Tensor

from optwise.core.errors import BadProblem
from optwise.core.oracles import Oracle
from optwise.core.smooth import Precisely, Smooth
from optwise.numerics.curvatures import Curvature
from optwise.numerics.twice_precise import dot, product_less
from optwise.problems.terms.operators import MatrixOperator, norm_bound

Function = Callable[[Tensor], Tensor]


@dataclass(frozen=True, eq=False)
class FunctionTerm(Smooth):
    """A function of one vector, written with torch; derivatives are autograd's where none are given.

    Args:
        function: From a vector [p] to a tensor without dimensions.
        size: p.
        gradient: From a vector to its gradient [p], where that is known in closed form.
        product: From a point and a vector to Hessian times vector [p], likewise.
        is_convex: Whether the function is convex; solvers and certificates rely on it.
        gradient_lipschitz: A bound of the Lipschitz constant of the gradient, where one is known.

    Example:
        >>> f = FunctionTerm(lambda w: w.square().sum() ** 2, 2)
        >>> w = torch.tensor([1.0, 2.0])
        >>> f.value_and_gradient(w), f.hvp(w, torch.tensor([1.0, 0.0]))
        ((tensor(25.), tensor([20., 40.])), tensor([28., 16.]))
    """

    function: Function = field(repr=False)
    size: int
    gradient: Function | None = field(default=None, repr=False)
    product: Callable[[Tensor, Tensor], Tensor] | None = field(default=None, repr=False)
    is_convex: bool = False
    gradient_lipschitz: float | None = None

    @property
    def dimension(self) -> int:
        return self.size

    def value(self, w: Tensor) -> Tensor:
        return self.function(w)

    def value_and_gradient(self, w: Tensor) -> tuple[Tensor, Tensor]:
        if self.gradient is None:
            return super().value_and_gradient(w)
        with torch.no_grad():
            return self.function(w), self.gradient(w)

    def hvp(self, w: Tensor, v: Tensor) -> Tensor:
        if self.product is None:
            return super().hvp(w, v)
        with torch.no_grad():
            return self.product(w, v)

    @property
    def stated(self) -> frozenset[str]:
        given = {"gradient": self.gradient, "hvp": self.product}
        return frozenset(name for name, answer in given.items() if answer is not None)

    @property
    def convex(self) -> bool:
        return self.is_convex

    @property
    def lipschitz(self) -> float | None:
        return self.gradient_lipschitz


@dataclass(frozen=True, eq=False)
class QuadraticTerm(Smooth):
    r"""A quadratic with a dense Hessian.

    .. math:: f(w) = \tfrac12 w^\top H w + b^\top w, \qquad
        f^*(u) = \tfrac12 (u - b)^\top H^+ (u - b) \text{ for } u - b \in \operatorname{range} H

    What is known of it is computed when it is first asked for, in float64: convexity and the conjugate by a Cholesky
    factorisation where H is positive definite, else from all eigenvalues, as is the modulus; the Lipschitz constant by
    products.

    Args:
        H: The Hessian [p, p], symmetric.
        b: The gradient at 0 [p].

    Raises:
        BadProblem: H is not square or not symmetric, b does not fit.

    Example:
        >>> f = QuadraticTerm(torch.tensor([[2.0, 0.0], [0.0, 1.0]]), torch.tensor([-2.0, 0.0]))
        >>> f.value(torch.tensor([1.0, 0.0])), f.convex, f.conjugate(torch.zeros(2))
        (tensor(-1.), True, tensor(1.))
    """

    H: Tensor
    b: Tensor

    def __post_init__(self) -> None:
        if self.H.ndim != 2 or self.H.shape[0] != self.H.shape[1] or self.b.shape != self.H.shape[:1]:
            raise BadProblem(
                f"A quadratic has H of shape {tuple(self.H.shape)} and b of shape {tuple(self.b.shape)}; give H [p, p] "
                "and b [p]."
            )
        skew = float((self.H - self.H.mT).abs().max())
        # what a product X^T X in another order of sums leaves, and no more
        if not skew <= 1e3 * torch.finfo(self.H.dtype).eps * float(self.H.abs().max()):
            raise BadProblem(
                f"The Hessian of a quadratic has entries that differ by {skew:g} from those of its transpose; give the "
                "symmetric matrix (H + H.T) / 2, which is the same quadratic."
            )

    @property
    def dimension(self) -> int:
        return self.b.numel()

    def to(self, *, dtype: torch.dtype, device: str = "cpu") -> Self:
        return replace(self, H=self.H.to(device=device, dtype=dtype), b=self.b.to(device=device, dtype=dtype))

    def value(self, w: Tensor) -> Tensor:
        return 0.5 * (w @ (self.H @ w)) + self.b @ w

    def value_and_gradient(self, w: Tensor) -> tuple[Tensor, Tensor]:
        with torch.no_grad():
            product = self.H @ w
            return 0.5 * (w @ product) + self.b @ w, product + self.b

    def hvp(self, w: Tensor, v: Tensor) -> Tensor:
        with torch.no_grad():
            return self.H @ v

    def conjugate(self, u: Tensor) -> Tensor:
        if not self.convex:
            return torch.full_like(u[..., 0], math.inf)
        return self._curvature.conjugate((u - self.b).double()).to(u.dtype)

    def excess(self, w: Tensor, rest: Tensor) -> float:
        if not self.convex:
            return math.inf
        size = (self.H @ w - rest).abs().double()  # of the dual point, less b
        return self._curvature.most_gained(rest.double(), w.double(), size=size)

    def rounding(self, w: Tensor, value: float, *, enough: float = 0.0) -> float:
        size = 0.5 * (w.abs() @ (self.H.abs() @ w.abs())) + self.b.abs() @ w.abs()
        return torch.finfo(w.dtype).eps * float(size)

    def precisely(self, w: Tensor) -> Precisely | None:
        if w.dtype != self.H.dtype:
            return None
        both, lost = product_less(self.H, w, -2 * self.b)  # H w + 2 b
        return Precisely(0.5 * dot(w, both) + 0.5 * dot(w, lost), product_less(self.H, w, -self.b)[0])

    @property
    def convex(self) -> bool:
        return self._curvature.convex

    @cached_property
    def lipschitz(self) -> float:
        return norm_bound(MatrixOperator(self.H), like=self.H)

    @property
    def strong_convexity(self) -> float:
        return self._curvature.modulus

    @property
    def oracles(self) -> frozenset[Oracle]:
        return super().oracles | {Oracle.QUADRATIC}

    @cached_property
    def _curvature(self) -> Curvature:
        return Curvature(self.H.double(), torch.finfo(self.H.dtype).eps)


@dataclass(frozen=True, eq=False)
class SquaredDistance(Smooth):
    r"""Half the squared distance to a point.

    .. math:: f(w) = \tfrac{s}{2} \|w - y\|^2, \qquad f^*(u) = \langle u, y \rangle + \tfrac{1}{2 s} \|u\|^2

    Args:
        y: The point [p].
        scale: s > 0.

    Raises:
        BadProblem: ``scale`` is no positive number.

    Example:
        >>> SquaredDistance(torch.tensor([1.0, 3.0]), scale=2.0).value(torch.zeros(2))
        tensor(10.)
    """

    y: Tensor
    scale: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.scale < math.inf:
            raise BadProblem(f"A squared distance has scale={self.scale:g}; give a finite number above 0.")

    @property
    def dimension(self) -> int:
        return self.y.numel()

    def value(self, w: Tensor) -> Tensor:
        return 0.5 * self.scale * (w - self.y).square().sum()

    def value_and_gradient(self, w: Tensor) -> tuple[Tensor, Tensor]:
        with torch.no_grad():
            return self.value(w), self.scale * (w - self.y)

    def hvp(self, w: Tensor, v: Tensor) -> Tensor:
        return self.scale * v

    def conjugate(self, u: Tensor) -> Tensor:
        return (u * self.y).sum(-1) + u.square().sum(-1) / (2 * self.scale)

    @property
    def convex(self) -> bool:
        return True

    @property
    def lower_bound(self) -> float:
        return 0.0

    @property
    def lipschitz(self) -> float:
        return self.scale

    @property
    def strong_convexity(self) -> float:
        return self.scale

    @property
    def oracles(self) -> frozenset[Oracle]:
        return super().oracles | {Oracle.QUADRATIC}


@dataclass(frozen=True, eq=False)
class Zero(Smooth):
    """No smooth part: 0 everywhere. Its conjugate is 0 at 0 and infinite elsewhere.

    Args:
        size: p.

    Example:
        >>> Zero(2).value_and_gradient(torch.tensor([1.0, 2.0]))
        (tensor(0.), tensor([0., 0.]))
    """

    size: int

    @property
    def dimension(self) -> int:
        return self.size

    def value(self, w: Tensor) -> Tensor:
        return (0 * w).sum()  # that autograd can go through

    def value_and_gradient(self, w: Tensor) -> tuple[Tensor, Tensor]:
        return w.new_zeros(()), torch.zeros_like(w)

    def hvp(self, w: Tensor, v: Tensor) -> Tensor:
        return torch.zeros_like(v)

    def conjugate(self, u: Tensor) -> Tensor:
        return torch.where((u == 0).all(-1), 0.0, math.inf).to(u.dtype)

    @property
    def convex(self) -> bool:
        return True

    @property
    def lower_bound(self) -> float:
        return 0.0

    @property
    def lipschitz(self) -> float:
        return 0.0
