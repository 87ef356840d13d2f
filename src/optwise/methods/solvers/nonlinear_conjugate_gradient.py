"""Conjugate gradients for functions that are not quadratic."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from optwise.core.composite import Composite
from optwise.core.solver import Iterate, Solver
from optwise.methods.solvers.incumbent import Incumbent
from optwise.methods.solvers.rays import SHARE, Point, first_reach, point_at, ray_from, searched

PATIENCE = 50
"""Iterations without progress before it stalls: gradients of conjugate directions do not fall one by one."""
FLOOR = 0.01
"""eta of Hager and Zhang: how negative beta may be."""


@final
@dataclass(frozen=True, kw_only=True)
class NonlinearCG(Solver):
    r"""Nonlinear conjugate gradients with the directions of Hager and Zhang.

    .. math:: d \leftarrow -g + \beta^+ d, \qquad
              \beta = \frac{1}{d^T y} \Bigl(y - 2 d \frac{\|y\|^2}{d^T y}\Bigr)^T g, \qquad
              \beta^+ = \max\Bigl(\beta, \frac{-1}{\|d\| \min(\eta, \|g_{k-1}\|)}\Bigr)

    with y the last change of the gradient. The step meets the strong Wolfe conditions, but
    :math:`g^T d \le -\tfrac78 \|g\|^2` whatever it is. Where rounding spoils a direction the method restarts from the
    gradient. One iteration costs about two values and gradients, or two products for a linear model, and four vectors
    of memory. On a quadratic with exact steps it is the method of conjugate gradients.

    Args:
        curvature: c2 of the line search: the share of the slope that may be left. Directions are conjugate only as far
            as steps are exact: on quadratics of condition 1e4, 0.01 needs a tenth of the iterations of 0.1.

    Example:
        >>> from optwise.core.smooth import Smooth
        >>> class Valley(Smooth):
        ...     dimension = 2
        ...
        ...     def value(self, w):
        ...         return 100 * (w[1] - w[0] ** 2) ** 2 + (1 - w[0]) ** 2
        >>> start = torch.tensor([-1.2, 1.0], dtype=torch.float64)
        >>> *_, last = NonlinearCG().solve(Composite(Valley()), start)
        >>> last.w.round(decimals=6)
        tensor([1., 1.], dtype=torch.float64)

    References:
        Hager and Zhang (2005), A new conjugate gradient method with guaranteed descent and an efficient line search.
    """

    curvature: float = 0.01

    limits: ClassVar[Mapping[str, tuple[float, float]]] = {"curvature": SHARE}

    def solve(self, problem: Composite, w: Tensor) -> Iterator[Iterate]:
        point = point_at(problem, w)
        best = Incumbent(problem, point, patience=PATIENCE)
        d, plain = -point.gradient, True
        step = first_reach(point) / point.norm if point.norm > 0.0 else 0.0
        while point.finite and point.norm > 0.0 and not best.stalled:
            ray = ray_from(problem, point, d)
            new, taken = searched(ray, point, step=step, curvature=self.curvature)
            if new is None:
                if plain:
                    return
                length = float(torch.linalg.vector_norm(d))
                d, plain, step = -point.gradient, True, step * length / point.norm
                continue
            following = _direction(point, new, d)
            # to first order the next step brings the same decrease
            slope = float(new.gradient @ following)
            step = taken * min(max(ray.slope / slope, 1e-3), 1e3) if slope != 0.0 else taken
            point, d, plain = new, following, False
            best.offer(point)
            yield best.iterate(taken)


def _direction(old: Point, new: Point, d: Tensor) -> Tensor:
    y = new.gradient - old.gradient
    bend, change, along, cross, square = torch.stack([d @ y, y @ y, d @ new.gradient, y @ new.gradient, d @ d]).tolist()
    if not bend > 0.0:
        return -new.gradient
    beta = (cross - 2.0 * change * along / bend) / bend
    least = math.sqrt(square) * min(FLOOR, old.norm)
    beta = max(beta, -1.0 / least) if least > 0.0 else beta
    return torch.add(-new.gradient, d, alpha=beta) if math.isfinite(beta) else -new.gradient
