"""The taut string: total variation on a line, exactly and in one pass."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, NamedTuple, final

import torch
from torch import Tensor

from optwise.core.composite import Composite
from optwise.core.oracles import Oracle
from optwise.core.solver import SMOOTH, Iterate, Solver
from optwise.methods.solvers.bidiagonal import Bidiagonal
from optwise.methods.solvers.kinks import Kinks
from optwise.methods.solvers.newton_systems import diagonal_hessian, in_float64

_Corner = tuple[int, float, float, float]
"""Index, time and height of a corner, and the slope of the way into it."""
_Side = deque[_Corner]


class _Tube(NamedTuple):
    """What the string is drawn through, for k = 0, ..., p; both ends are points."""

    times: list[float]  # sums of the first k curvatures, increasing
    low: list[float]
    high: list[float]


@final
@dataclass(frozen=True, kw_only=True)
class TautString(Solver):
    r"""The taut string, for a signal y with weights e whose jumps cost something.

    .. math:: \min_w \sum_i \tfrac{e_i}{2} (w_i - y_i)^2 + \sum_i \max\{l_i (w_{i+1} - w_i), h_i (w_{i+1} - w_i)\}

    With :math:`R_k = \sum_{i \le k} e_i y_i`, the optimality conditions say that :math:`S_k = \sum_{i \le k} e_i w_i`
    begins and ends on R, lies within :math:`[R_k + l_k, R_k + h_k]` in between, and bends upwards only where it touches
    the upper bound, downwards only at the lower one. Drawn against the time :math:`\sum_{i \le k} e_i` it is the
    shortest path through that tube, and w are its slopes. The path is found in one pass of O(p), by keeping the funnel
    of shortest paths to both ends of the current gate; in plain Python, since each step waits for the one before. The
    only iterate is the answer, to rounding.

    Example:
        >>> from optwise.problems.terms.functions import SquaredDistance
        >>> from optwise.problems.terms.operators import FirstDifference
        >>> from optwise.problems.terms.penalties import L1
        >>> f = SquaredDistance(torch.tensor([0.0, 0.0, 6.0, 6.0]))
        >>> found = next(TautString().solve(Composite(f, L1(2.0), FirstDifference(4)), torch.zeros(4)))
        >>> found.w, found.dual
        (tensor([1., 1., 5., 5.]), tensor([1., 2., 1.]))

    References:
        Davies and Kovac (2001), Local extremes, runs, strings and multiresolution; Lee and Preparata (1984), Euclidean
        shortest paths in the presence of rectilinear barriers (the funnel).
    """

    needs: ClassVar[frozenset[Oracle]] = SMOOTH | {
        Oracle.QUADRATIC,
        Oracle.CONVEX,
        Oracle.CONVEX_PENALTY,
        Oracle.PROX,
        Oracle.OPERATOR,
        Oracle.BANDS,
    }

    def refusal(self, problem: Composite) -> str:
        exact, origin = in_float64(problem)
        if exact.operator is None or exact.penalty is None:
            return "has no penalty behind an operator"
        bidiagonal, hessian = Bidiagonal.of(exact.operator, like=origin), diagonal_hessian(exact, origin)
        if bidiagonal is None or not bidiagonal.is_difference:
            return "has an operator that does not take the differences of neighbours"
        if hessian is None or not bool((hessian > 0).all()):
            return "has a Hessian that is no positive diagonal"
        kinks = Kinks.of(exact.penalty, like=origin[1:])
        if kinks is None or bool((kinks.kink != 0).any()):
            return f"has a {type(exact.penalty).__name__}, which is not linear but for a kink at 0"
        return ""

    def solve(self, problem: Composite, w: Tensor) -> Iterator[Iterate]:
        penalty, operator, hessian = problem.penalty, problem.operator, diagonal_hessian(problem, w)
        assert penalty is not None
        kinks = Kinks.of(penalty, like=w[1:])
        assert operator is not None
        assert hessian is not None
        assert kinks is not None  # what `refusal` is for
        _, gradient = problem.f_and_gradient(torch.zeros_like(w))
        e, b = hessian.double(), -gradient.double()  # f is the sum of e w^2 / 2 - b w
        level = b.sum() / e.sum()
        b = b - level * e  # the sums of what is left stay small
        times, sums = (torch.cat([v.new_zeros(1), v.cumsum(0)]) for v in (e, b))
        sums[-1] = 0.0
        if not math.isfinite(float(sums.sum())):
            return
        low, high = sums.clone(), sums.clone()
        low[1:-1] += kinks.low
        high[1:-1] += kinks.high
        knots, heights = _shortest_path(_Tube(times.tolist(), low.tolist(), high.tolist()))
        at = torch.tensor(knots, device=w.device)
        slopes = torch.tensor(heights, dtype=torch.float64, device=w.device).diff() / times[at].diff()
        signal = torch.repeat_interleave(slopes, at.diff())  # [p]
        u = torch.minimum(torch.maximum(((e * signal).cumsum(0) - sums[1:])[:-1].to(w), kinks.low), kinks.high)
        answer = (signal + level).to(w)
        problem.count("products")
        gap = kinks.fenchel_gap(operator.forward(answer), u)
        value = problem.value(answer)
        yield Iterate(answer, value, 1.0, problem.gap_measure(gap, value), u)


def _shortest_path(tube: _Tube) -> tuple[list[int], list[float]]:
    """Where the shortest path through the tube bends, its ends included, and how high it is there."""
    path: list[_Corner] = [(0, 0.0, tube.low[0], 0.0)]
    upper: _Side = deque()  # the way from the end of the path to the high end of the gate: its slopes rise
    lower: _Side = deque()  # the way to the low end: its slopes fall
    for k in range(1, len(tube.times)):
        _extend(path, lower, upper, (k, tube.times[k], tube.low[k]), 1.0)
        _extend(path, upper, lower, (k, tube.times[k], tube.high[k]), -1.0)
    path += lower
    return [corner[0] for corner in path], [corner[2] for corner in path]


def _extend(path: list[_Corner], side: _Side, other: _Side, end: tuple[int, float, float], sign: float) -> None:
    """Lead one side of the funnel to a new end: past corners that it now cuts off, round those of the other side."""
    k, time, height = end
    while side:
        _, before, level, steepness = side[-1]
        slope = (height - level) / (time - before)
        if sign * slope < sign * steepness:
            side.append((k, time, height, slope))
            return
        side.pop()
    slope = (height - path[-1][2]) / (time - path[-1][1])
    while other and sign * slope > sign * other[0][3]:
        path.append(other.popleft())
        slope = (height - path[-1][2]) / (time - path[-1][1])
    side.append((k, time, height, slope))
