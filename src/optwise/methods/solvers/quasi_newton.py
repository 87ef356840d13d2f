"""Quasi-Newton methods: the inverse Hessian learnt from changes of the gradient, dense or of limited memory."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar, Protocol, final

import torch
from torch import Tensor

from optwise.core.composite import Composite
from optwise.core.solver import Iterate, Solver
from optwise.methods.solvers.curvature_pairs import TwoLoopInverse, curves_upwards
from optwise.methods.solvers.hessians import too_large
from optwise.methods.solvers.incumbent import Incumbent
from optwise.methods.solvers.rays import SHARE, Point, first_reach, point_at, ray_from, searched

PATIENCE = 20
"""Iterations without progress before a method stalls: by then gradients at rounding level have been at their least."""


class _InverseHessian(Protocol):
    def direction(self, g: Tensor) -> Tensor:
        """``-H g`` [p]; ``-g`` where nothing is learnt yet."""

    def learn(self, old: Point, new: Point) -> bool:
        """Take in how the gradient changed between two points, where f curves upwards; say whether it does."""

    def forget(self) -> None:
        """Start again from the identity."""

    def __len__(self) -> int:
        """0 where nothing is learnt yet."""


@final
@dataclass(frozen=True, kw_only=True)
class BFGS(Solver):
    r"""Broyden, Fletcher, Goldfarb and Shanno's method with a dense inverse Hessian H.

    .. math:: w \leftarrow w - t H g, \qquad H \leftarrow V^T H V + \rho s s^T, \qquad V = I - \rho y s^T

    with the step s, the change y of the gradient along it, :math:`\rho = 1 / s^T y` and t from a strong Wolfe search;
    before the first update H is scaled to :math:`s^T y / y^T y`. One iteration costs about one value and gradient and
    :math:`8 p^2` operations. On strongly convex functions it converges superlinearly.

    Args:
        curvature: c2 of the line search: the share of the slope that may be left.

    Example:
        >>> from optwise.core.smooth import Smooth
        >>> class Valley(Smooth):
        ...     dimension = 2
        ...
        ...     def value(self, w):
        ...         return 100 * (w[1] - w[0] ** 2) ** 2 + (1 - w[0]) ** 2
        >>> start = torch.tensor([-1.2, 1.0], dtype=torch.float64)
        >>> *_, last = BFGS().solve(Composite(Valley()), start)
        >>> last.w
        tensor([1., 1.], dtype=torch.float64)

    References:
        Nocedal and Wright (2006), Numerical Optimization, algorithm 6.1 and equation 6.20.
    """

    curvature: float = 0.9

    limits: ClassVar[Mapping[str, tuple[float, float]]] = {"curvature": SHARE}

    def refusal(self, problem: Composite) -> str:
        return too_large(problem, problem.dimension, "an inverse Hessian", "choose lbfgs")

    def solve(self, problem: Composite, w: Tensor) -> Iterator[Iterate]:
        return _descend(problem, w, _DenseInverse(w), self.curvature)


@final
@dataclass(frozen=True, kw_only=True)
class LBFGS(Solver):
    r"""BFGS of limited memory: H is made anew from the last ``history_size`` pairs (s, y).

    .. math:: w \leftarrow w - t H g, \qquad H = (V_1 \cdots V_m)^T \gamma (V_1 \cdots V_m) + \dots + \rho_m s_m s_m^T,
              \qquad V_i = I - \rho_i y_i s_i^T

    with :math:`\rho = 1 / s^T y` and t from a strong Wolfe search. One iteration costs about one value and gradient and
    :math:`12 m p` operations, in few and large products (see
    :class:`~optwise.methods.solvers.curvature_pairs.TwoLoopInverse`). A loss of a linear model pays two products with
    the design an iteration, however many steps the search tries. On strongly convex functions it converges linearly.

    Args:
        history_size: m, pairs kept.
        curvature: c2 of the line search: the share of the slope that may be left.

    Example:
        >>> from optwise.core.smooth import Smooth
        >>> class Bowl(Smooth):
        ...     dimension = 3
        ...
        ...     def value(self, w):
        ...         return (torch.arange(1.0, 4.0) * (w - 1) ** 2).sum()
        >>> *_, last = LBFGS().solve(Composite(Bowl()), torch.zeros(3))
        >>> last.w
        tensor([1., 1., 1.])

    References:
        Nocedal (1980), Updating quasi-Newton matrices with limited storage; Liu and Nocedal (1989), On the limited
        memory BFGS method for large scale optimization.
    """

    history_size: int = 10
    curvature: float = 0.9

    limits: ClassVar[Mapping[str, tuple[float, float]]] = {"history_size": (1, math.inf), "curvature": SHARE}

    def solve(self, problem: Composite, w: Tensor) -> Iterator[Iterate]:
        return _descend(problem, w, TwoLoopInverse(self.history_size, w), self.curvature)


@final
class _DenseInverse:
    def __init__(self, like: Tensor) -> None:
        self._matrix = torch.empty(0, 0, dtype=like.dtype, device=like.device)

    def __len__(self) -> int:
        return len(self._matrix)

    def forget(self) -> None:
        self._matrix = self._matrix.new_empty(0, 0)

    def direction(self, g: Tensor) -> Tensor:
        return -(self._matrix @ g) if len(self) else -g

    def learn(self, old: Point, new: Point) -> bool:
        s, y = new.w - old.w, new.gradient - old.gradient
        fit, square, length = torch.stack([s @ y, y @ y, s @ s]).tolist()
        if not curves_upwards(fit, length, square, y.dtype):
            return False
        if len(self) == 0:
            self._matrix = torch.diag(torch.full_like(y, fit / square))
        image = self._matrix @ y
        share = 0.5 * (1.0 + float(y @ image) / fit) / fit
        if not abs(share) < torch.finfo(y.dtype).max:  # the numbers of the dtype have ended: start again
            self.forget()
            return False
        v = torch.add(image / -fit, s, alpha=share)
        # both products of the update at once: H + s v^T + v s^T
        self._matrix.addmm_(torch.stack([s, v], dim=1), torch.stack([v, s]))
        return True


def _descend(problem: Composite, w: Tensor, inverse: _InverseHessian, curvature: float) -> Iterator[Iterate]:
    point = point_at(problem, w)
    best = Incumbent(problem, point, patience=PATIENCE)
    before, reach = w, first_reach(point)
    while point.finite and point.norm > 0.0 and not best.stalled:
        ray = ray_from(problem, point, inverse.direction(point.gradient))
        new, step = searched(ray, point, step=1.0 if len(inverse) else reach / point.norm, curvature=curvature)
        if new is None:
            if len(inverse) == 0:
                return
            inverse.forget()  # rounding may have spoilt the direction: the gradient itself comes next
            reach = float(torch.linalg.vector_norm(point.w - before)) or reach
            continue
        if not inverse.learn(point, new):
            reach = float(torch.linalg.vector_norm(new.w - point.w)) or reach
        before, point = point.w, new
        best.offer(point)
        yield best.iterate(step)
