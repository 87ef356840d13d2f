"""The limited-memory quasi-Newton method for bounds: a path along the projected gradient, then a free subspace."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar, NamedTuple, final

import numpy as np
import torch
from torch import Tensor

from optwise.core.composite import Composite
from optwise.core.oracles import Oracle
from optwise.core.solver import SMOOTH, Iterate, Solver
from optwise.methods.solvers.curvature_pairs import CompactHessian
from optwise.methods.solvers.incumbent import Incumbent
from optwise.methods.solvers.rays import SHARE, Point, first_reach, point_at, ray_from, rounding, same
from optwise.numerics.line_search import strong_wolfe

PATIENCE = 20
"""Iterations without progress before the method stalls."""


class _Box(NamedTuple):
    """Bounds, [p] each, infinite ones included."""

    lower: Tensor
    upper: Tensor

    def clamp(self, w: Tensor) -> Tensor:
        return w.clamp(self.lower, self.upper)


class _CauchyPoint(NamedTuple):
    """The first minimiser of the model along the projected gradient, and ``W^T`` times the way there [2 k]."""

    w: Tensor
    shift: Tensor


@final
@dataclass(frozen=True, kw_only=True)
class LBFGSB(Solver):
    r"""L-BFGS for :math:`\ell \le w \le u`.

    .. math:: m(x) = g^T (x - w) + \tfrac12 (x - w)^T B (x - w)

    with the limited-memory matrix B of the last ``history_size`` pairs. The generalised Cauchy point is the first local
    minimiser of m on the path :math:`P(w - t g)`; entries at a bound there stay, and over all others m is minimised.
    What leaves the box is projected onto it or, where that is no descent, cut short. A strong Wolfe search from w towards
    this point follows. All iterates lie within the bounds, entries at a bound exactly.

    One iteration costs about one value and gradient and :math:`O(m p)` operations. The path is followed in one pass of
    sums over the sorted breakpoints rather than from one to the next. On strongly convex functions it converges linearly
    once the active bounds are found.

    Args:
        history_size: m, pairs kept.
        curvature: c2 of the line search: the share of the slope that may be left.

    Example:
        >>> from optwise.core.constraint import ConstraintSet
        >>> from optwise.core.smooth import Smooth
        >>> class Bowl(Smooth):
        ...     dimension = 2
        ...
        ...     def value(self, w):
        ...         return (w[0] - 2) ** 2 + (w[1] + w[0]) ** 2
        >>> class Unit(ConstraintSet):
        ...     def project(self, v):
        ...         return v.clamp(0, 1)
        ...
        ...     def bounds(self):
        ...         return torch.zeros(2), torch.ones(2)
        >>> *_, last = LBFGSB().solve(Composite(Bowl(), constraint=Unit()), torch.zeros(2))
        >>> last.w
        tensor([1., 0.])

    References:
        Byrd, Lu, Nocedal and Zhu (1995), A limited memory algorithm for bound constrained optimization; Morales and
        Nocedal (2011), Remark on Algorithm 778: L-BFGS-B.
    """

    history_size: int = 10
    curvature: float = 0.9

    needs: ClassVar[frozenset[Oracle]] = SMOOTH | {Oracle.BOUNDS}
    accepts: ClassVar[frozenset[Oracle]] = frozenset({Oracle.PROJECTION})
    limits: ClassVar[Mapping[str, tuple[float, float]]] = {"history_size": (1, math.inf), "curvature": SHARE}

    def solve(self, problem: Composite, w: Tensor) -> Iterator[Iterate]:
        assert problem.constraint is not None
        box = _Box(*(bound.to(w) for bound in problem.constraint.bounds()))
        bounded = bool((box.lower.isfinite() | box.upper.isfinite()).any())
        hessian = CompactHessian(self.history_size, w)
        point = _measured(point_at(problem, box.clamp(w)), box)
        best, noise = Incumbent(problem, point, patience=PATIENCE), rounding(w.dtype)
        reach = first_reach(point)
        while point.finite and not best.stalled:
            target = _target(point, box, hessian, bounded=bounded)
            found, new = self._searched(problem, point, target, box, 1.0 if len(hessian) else reach / point.norm, noise)
            if not new.finite or same(point, new):
                if len(hessian) == 0:
                    return
                hessian.forget()  # rounding may have spoilt the model: the projected gradient itself comes next
                reach = min(first_reach(point), reach)
                continue
            hessian.learn(point, new)
            point = new
            best.offer(point)
            yield Iterate(best.point.w, best.point.value, found, _measure(problem, best.point))
