"""A sum of squares of residuals that are a function of the parameters: nonlinear least squares."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from optwise.core.smooth import Residuals, Smooth

Function = Callable[[Tensor], Tensor]


@dataclass(frozen=True, eq=False)
class FunctionResiduals(Residuals):
    r"""A residual map written with torch.

    Where the Jacobian is not given, it comes from autograd: m passes backwards, one for each row, or p passes through
    the gradient of :math:`\langle u, r(w) \rangle`, which is linear in u, one for each column. No pass is batched, so
    that the function may branch on numbers as it likes.

    Args:
        function: r, from a vector [p] to residuals [m].
        weight: s of :math:`\tfrac{s}{2} \|r\|^2`.
        derivative: The Jacobian [m, p] as a function, where it is known.

    Example:
        >>> r = FunctionResiduals(lambda w: torch.stack([w[0] ** 2, w[0] * w[1]]))
        >>> r.jacobian(torch.tensor([3.0, 1.0]))
        tensor([[6., 0.],
                [1., 3.]])
    """

    function: Function = field(repr=False)
    weight: float = 1.0
    derivative: Function | None = field(default=None, repr=False)

    @property
    def scale(self) -> float:
        return self.weight

    def value(self, w: Tensor) -> Tensor:
        return self.function(w)

    def jacobian(self, w: Tensor) -> Tensor:
        if self.derivative is not None:
            with torch.no_grad():
                return self.derivative(w)
        with torch.enable_grad():
            point = w.detach().requires_grad_()
            residuals = self.function(point)
            # a column costs two passes, one backwards and one back through it
            tall = residuals.numel() > 2 * point.numel()
            return _columns(residuals, point) if tall else _rows(residuals, point)

    @property
    def stated(self) -> bool:
        return self.derivative is not None


@dataclass(frozen=True, eq=False)
class ResidualTerm(Smooth):
    r"""Half the scaled sum of squared residuals.

    .. math:: f(w) = \tfrac{s}{2} \|r(w)\|^2, \qquad \nabla f(w) = s J(w)^\top r(w)

    Its gradient takes one pass backwards, without the Jacobian; that is for methods which ask ``residuals`` for it.

    Args:
        map: r with its Jacobian J.
        size: p.

    Example:
        >>> f = ResidualTerm(FunctionResiduals(lambda w: w - 1), 2)
        >>> f.value_and_gradient(torch.zeros(2))
        (tensor(1.), tensor([-1., -1.]))
    """

    map: Residuals
    size: int

    @property
    def dimension(self) -> int:
        return self.size

    def value(self, w: Tensor) -> Tensor:
        return 0.5 * self.map.scale * self.map.value(w).square().sum()

    @property
    def lower_bound(self) -> float:
        return 0.0

    @property
    def residuals(self) -> Residuals:
        return self.map


def _rows(residuals: Tensor, point: Tensor) -> Tensor:
    return torch.stack([_gradient(residual, point) for residual in residuals])  # [m, p]


def _columns(residuals: Tensor, point: Tensor) -> Tensor:
    u = torch.zeros_like(residuals, requires_grad=True)
    pulled = _gradient(residuals, point, weights=u)  # J^T u, as a function of u
    return torch.stack([_gradient(entry, u) for entry in pulled], dim=1)  # [m, p]


def _gradient(value: Tensor, point: Tensor, *, weights: Tensor | None = None) -> Tensor:
    if not value.requires_grad:  # it does not depend on anything
        return torch.zeros_like(point)
    (gradient,) = torch.autograd.grad(
        value,
        point,
        weights,
        retain_graph=True,
        create_graph=weights is not None,
        allow_unused=True,
        materialize_grads=True,
    )
    return gradient
