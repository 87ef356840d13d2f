"""The limited-memory quasi-Newton method for bounds: a path along the projected gradient, then a free subspace."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
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
from optwise.methods.solvers.lower_bounds import LowerBound
from optwise.methods.solvers.rays import SHARE, Point, point_at, ray_from, searched
from optwise.methods.solvers.units import own_units
from optwise.numerics.finiteness import all_finite

PATIENCE = 20
"""Iterations without progress before the method stalls."""


class _Box(NamedTuple):
    """Bounds, [p] each, infinite ones included."""

    lower: Tensor
    upper: Tensor

    @property
    def closed(self) -> bool:
        """Whether every entry is bounded from both sides."""
        return bool(self.lower.isfinite().all() and self.upper.isfinite().all())

    def clamp(self, w: Tensor) -> Tensor:
        return w.clamp(self.lower, self.upper)

    def measured(self, point: Point, curvature: float) -> Point:
        """The point with the length of its gradient map in place of that of the gradient.

        Args:
            point: A point in the box.
            curvature: The map's steps are its inverse: the largest one seen is what a bound of it would be.
        """
        if not point.finite:
            return point
        move = self.clamp(torch.add(point.w, point.gradient, alpha=-1.0 / curvature)) - point.w
        return point._replace(norm=curvature * float(torch.linalg.vector_norm(move)))


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
    What leaves the box is projected onto it or, where that is no descent, cut short. A strong Wolfe search from w
    towards this point follows. All iterates lie within the bounds, entries at a bound exactly.

    One iteration costs about one value and gradient and :math:`O(m p)` operations. The path is followed in one pass of
    sums over the sorted breakpoints rather than from one to the next. On strongly convex functions it converges
    linearly once the active bounds are found.

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
        units = own_units(problem, w)
        if units is None:
            return self._descend(problem, w)
        return units.back(self._descend(units.problem, units.there(w)))

    def _descend(self, problem: Composite, w: Tensor) -> Iterator[Iterate]:
        assert problem.constraint is not None
        box = _Box(*(bound.to(w) for bound in problem.constraint.bounds()))
        hessian = CompactHessian(self.history_size, w)
        curvature = hessian.theta
        point = box.measured(point_at(problem, box.clamp(w)), curvature)
        best, bound = Incumbent(problem, point, patience=PATIENCE), LowerBound(problem)
        if point.norm == 0.0 and not torch.equal(point.w, w):  # the bounds alone have found it
            yield _answer(point, (0.0, 0.0), bound)
        while point.finite and point.norm > 0.0 and not best.stalled:
            target = _target(point, box, hessian)
            if not all_finite(target):  # the squares of the dtype have ended
                if len(hessian) == 0:
                    return
                hessian.forget()
                continue
            ray = ray_from(problem, point, target - point.w, at=_towards(target, point, box))
            new, step = searched(
                ray,
                point,
                step=1.0 if len(hessian) else _first_step(point.w, target, box),
                curvature=self.curvature,
                longest=_longest(point.w, target, box),
            )
            if new is None:
                if len(hessian) == 0:
                    return
                hessian.forget()  # rounding may have spoilt the model: the projected gradient itself comes next
                continue
            promise = -0.5 * float(point.gradient @ (target - point.w))
            hessian.learn(point, new)
            curvature = max(curvature, hessian.theta)
            point = box.measured(new, curvature)
            best.offer(point)
            yield _answer(best.point, (step, promise), bound)


def _target(point: Point, box: _Box, hessian: CompactHessian) -> Tensor:
    """A point of the box in which the model is about as low as it gets there."""
    if len(hessian) == 0:
        return box.clamp(point.w - point.gradient)  # the minimiser of the model with B = I
    cauchy = _cauchy_point(point, box, hessian)
    free = (cauchy.w > box.lower) & (cauchy.w < box.upper)
    if not bool(free.any()):
        return cauchy.w
    index = None if bool(free.all()) else free.nonzero()[:, 0]
    move = _subspace_step(point, cauchy, hessian, index)
    if index is not None:
        move = torch.zeros_like(point.w).index_copy(0, index, move)
    target = box.clamp(cauchy.w + move)
    if float(point.gradient @ (target - point.w)) < 0.0:
        return target
    return box.clamp(cauchy.w + min(1.0, _longest(cauchy.w, cauchy.w + move, box)) * move)


def _cauchy_point(point: Point, box: _Box, hessian: CompactHessian) -> _CauchyPoint:
    w, g = point.w, point.gradient
    edge = torch.where(g < 0, box.upper, box.lower)
    breaks = torch.where(g == 0, math.inf, (w - edge) / g)  # [p]: when each entry meets its bound
    d = torch.where(breaks > 0, -g, 0.0)
    columns = hessian.columns  # [2 k, p]
    middle = torch.from_numpy(hessian.middle).to(w)
    along, square = columns @ d, d @ d
    bend = hessian.theta * square - along @ (middle @ along)
    moving = breaks > 0
    first = breaks[moving].min() if bool(moving.any()) else breaks.new_tensor(math.inf)
    t = square / bend
    if bool(t <= first):
        return _CauchyPoint(box.clamp(w + t * d), t * along)
    # all later pieces of the path at once: sums over the entries that still move at each breakpoint
    index = (moving & breaks.isfinite()).nonzero()[:, 0]
    order = breaks[index].argsort()
    index, times = index[order], breaks[index][order]  # [b]
    parts = columns[:, index] * d[index]  # [2 k, b]
    stays = d[moving & breaks.isinf()].square().sum()
    left = stays + _left_over(d[index].square()[None])[0]  # |d|^2 on each piece [b + 1]
    rest = (along - parts.sum(1))[:, None] + _left_over(parts)  # W^T d on each piece [2 k, b + 1]
    starts = torch.cat([times.new_zeros(1), times])  # [b + 1]
    shifts = torch.cat([parts.new_zeros(len(parts), 1), (times * parts).cumsum(1)], dim=1) + starts * rest
    turned = middle @ rest
    slopes = (hessian.theta * starts - 1.0) * left - (shifts * turned).sum(0)
    bends = (hessian.theta * left - (rest * turned).sum(0)).clamp(min=float(torch.finfo(w.dtype).eps * bend))
    lengths = torch.where((slopes >= 0) | (left == 0), 0.0, -slopes / bends)
    widths = torch.cat([times, times.new_full((1,), math.inf)]) - starts
    piece = int((lengths < widths).to(torch.uint8).argmax())  # the first one whose minimiser lies in it
    t = starts[piece] + lengths[piece]
    reached = torch.where((breaks <= starts[piece]) & (g != 0), edge, box.clamp(w + t * d))
    return _CauchyPoint(reached, shifts[:, piece] + lengths[piece] * rest[:, piece])


def _left_over(parts: Tensor) -> Tensor:
    """Sums over the columns from each on, and 0 behind the last: [r, b] to [r, b + 1]."""
    return torch.cat([parts.flip(1).cumsum(1).flip(1), parts.new_zeros(len(parts), 1)], dim=1)


def _subspace_step(point: Point, cauchy: _CauchyPoint, hessian: CompactHessian, index: Tensor | None) -> Tensor:
    """From the Cauchy point to the minimiser of the model over the entries ``index``, all of them where ``None``."""
    columns = hessian.columns if index is None else hessian.columns[:, index]
    middle, theta = hessian.middle, hessian.theta
    downhill = -(point.gradient + theta * (cauchy.w - point.w))
    downhill = downhill if index is None else downhill[index]
    downhill = downhill + columns.T @ (torch.from_numpy(middle).to(columns) @ cauchy.shift)
    gram = hessian.gram if index is None else (columns @ columns.T).double().cpu().numpy()
    right = middle @ (columns @ downhill).double().cpu().numpy()
    with np.errstate(all="ignore"):  # what is not finite is seen by its target
        try:
            inner = np.linalg.solve(np.eye(len(middle)) - middle @ gram / theta, right)
        except np.linalg.LinAlgError:  # rounding has made it singular: the Cauchy point is what there is
            return torch.zeros_like(downhill)
    return downhill / theta + columns.T @ torch.from_numpy(inner).to(columns) / (theta * theta)


def _longest(w: Tensor, target: Tensor, box: _Box) -> float:
    """The largest t for which w + t (target - w) stays within the bounds; 1 where that is the target itself."""
    d = target - w
    times = (torch.where(d > 0, box.upper, box.lower) - w) / d
    return max(float(torch.where(d == 0, math.inf, times).min()), 1.0)


def _towards(target: Tensor, point: Point, box: _Box) -> Callable[[float], Tensor]:
    """The way to ``target``, which t = 1 hits exactly, and never out of the box."""
    d = target - point.w
    return lambda t: target if t == 1.0 else box.clamp(torch.add(point.w, d, alpha=t))


def _first_step(w: Tensor, target: Tensor, box: _Box) -> float:
    """A first share of the way along the gradient: all of it across a box without open sides, else 1 in length."""
    return 1.0 if box.closed else 1.0 / max(1.0, float(torch.linalg.vector_norm(target - w)))


def _answer(point: Point, taken: tuple[float, float], bound: LowerBound) -> Iterate:
    step, promise = taken
    bound.offer(point.w, point.value, point.gradient)
    return Iterate(point.w, point.value, step, bound.measure(point.value, promise))
