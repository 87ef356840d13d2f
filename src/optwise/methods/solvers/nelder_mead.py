"""The simplex method of Nelder and Mead, which asks for values only."""

from __future__ import annotations

import bisect
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar, NamedTuple, final

import torch
from torch import Tensor

from optwise.core.composite import Composite
from optwise.core.oracles import Oracle
from optwise.core.solver import Iterate, Solver
from optwise.methods.solvers.rays import POSITIVE, rounding
from optwise.numerics.decompositions import svdvals

FLAT = 1e-7
"""Smallest over largest singular value of the edges below which a simplex has lost a dimension."""
RESTART = 0.1
"""Edges of a simplex that starts from an answer, over those of the first one."""


class _Vertex(NamedTuple):
    w: Tensor
    value: float


@final
@dataclass(frozen=True, kw_only=True)
class NelderMead(Solver):
    r"""A simplex of p + 1 points that moves by its worst vertex, with coefficients that suit its dimension.

    .. math:: w_r = c + (c - w_{p+1}), \quad w_e = c + (1 + \tfrac2p)(w_r - c), \quad
              w_c = c \pm (\tfrac34 - \tfrac1{2p})(w_r - c), \quad w_i \leftarrow w_1 + (1 - \tfrac1p)(w_i - w_1)

    Reflection, expansion, contraction to either side and shrinking, with c the mean of all vertices but the worst
    :math:`w_{p+1}`. A simplex that has lost a dimension is set up anew around its best vertex. One that has shrunk to a
    point is too, until that brings nothing. One or two values an iteration, p when it shrinks. There is no rate, and no
    idea of how far the answer is away; it is for few parameters and functions without derivatives. A value that is not
    finite counts as infinite.

    Args:
        size: Edges of the first simplex, relative to the entries of the start where those are above 1.

    Example:
        >>> from optwise.core.smooth import Smooth
        >>> class Corner(Smooth):
        ...     dimension = 2
        ...
        ...     def value(self, w):
        ...         return (w[0] - 1).abs() + 2 * (w[1] + 3).abs()
        >>> *_, last = NelderMead().solve(Composite(Corner()), torch.zeros(2, dtype=torch.float64))
        >>> last.w
        tensor([ 1.0000, -3.0000], dtype=torch.float64)

    References:
        Nelder and Mead (1965), A simplex method for function minimization; Gao and Han (2012), Implementing the
        Nelder-Mead simplex algorithm with adaptive parameters; Kelley (1999), Detection and remediation of stagnation
        in the Nelder-Mead algorithm using a sufficient decrease condition (restarts).
    """

    size: float = 0.1

    needs: ClassVar[frozenset[Oracle]] = frozenset({Oracle.VALUE, Oracle.WHOLE})
    limits: ClassVar[Mapping[str, tuple[float, float]]] = {"size": POSITIVE}

    def solve(self, problem: Composite, w: Tensor) -> Iterator[Iterate]:
        best, edge, noise = _measured(problem, w), self.size, rounding(w.dtype)
        first = last = math.nan
        while True:
            found = _Simplex(problem, best, edge * best.w.abs().clamp(min=1.0))
            while not found.shrunk:
                step = found.advance()
                best = found.vertices[0]
                if math.isfinite(best.value):
                    first = best.value if math.isnan(first) else first
                    yield Iterate(best.w, best.value, step)
            # the last restart is the one that brings less than rounding, of the value or of all that was gained so far
            if not math.isfinite(best.value) or last - best.value <= noise * max(abs(best.value), first - best.value):
                return
            edge, last = RESTART * self.size, best.value


@final
class _Simplex:
    """Vertices from best to worst, and what one iteration does to them."""

    def __init__(self, problem: Composite, start: _Vertex, edges: Tensor) -> None:
        self._problem, self._first = problem, float(edges.max())
        p = len(start.w)
        adaptive = max(p, 2)  # on a line the coefficients of a plane: a shrunken simplex would be a point
        self._expand, self._contract = 1.0 + 2.0 / adaptive, 0.75 - 0.5 / adaptive
        self._shrink, self._age = 1.0 - 1.0 / adaptive, 0
        self.shrunk = False
        self._set_up(start, edges)

    def _set_up(self, start: _Vertex, edges: Tensor) -> None:
        corners = start.w + torch.diag(edges)  # [p, p]
        self._sort([start, *(_measured(self._problem, corner) for corner in corners)])

    def _sort(self, vertices: list[_Vertex]) -> None:
        self.vertices = sorted(vertices, key=_value)
        self._sum = torch.stack([vertex.w for vertex in vertices]).sum(0)

    def advance(self) -> float:
        """One iteration; the distance of the best vertex to the worst."""
        best, worst = self.vertices[0], self.vertices[-1]
        centre = (self._sum - worst.w) / (len(self.vertices) - 1)
        outwards = centre - worst.w
        found = self._reflected(centre, outwards, best.value, self.vertices[-2].value, worst.value)
        if found is None:
            kept = [_measured(self._problem, best.w + self._shrink * (v.w - best.w)) for v in self.vertices[1:]]
            self._sort([best, *kept])
        else:
            self.vertices.pop()
            self._sum = self._sum - worst.w + found.w
            bisect.insort(self.vertices, found, key=_value)
        self._age += 1
        if self._age % len(self.vertices) == 0:
            self._look_at_shape()
        return float(torch.linalg.vector_norm(self.vertices[-1].w - self.vertices[0].w))

    def _reflected(self, centre: Tensor, outwards: Tensor, best: float, second: float, worst: float) -> _Vertex | None:
        """What takes the place of the worst vertex; ``None`` where the simplex has to shrink."""
        reflected = _measured(self._problem, centre + outwards)
        if reflected.value < best:
            expanded = _measured(self._problem, centre + self._expand * outwards)
            return min(expanded, reflected, key=_value)
        if reflected.value < second:
            return reflected
        if reflected.value < worst:
            contracted = _measured(self._problem, centre + self._contract * outwards)
            return contracted if contracted.value <= reflected.value else None
        contracted = _measured(self._problem, centre - self._contract * outwards)
        return contracted if contracted.value < worst else None

    def _look_at_shape(self) -> None:
        """Whether the simplex has shrunk to a point, or to fewer dimensions; those it is given back."""
        best, worst = self.vertices[0], self.vertices[-1]
        edges = torch.stack([vertex.w for vertex in self.vertices[1:]]) - best.w  # [p, p]
        longest, scale = float(edges.abs().max()), max(float(best.w.abs().max()), self._first)
        eps, noise = torch.finfo(edges.dtype).eps, rounding(edges.dtype)
        level = worst.value - best.value <= noise * abs(best.value)
        singular = svdvals(edges)
        flat = float(singular[-1]) < FLAT * float(singular[0])
        if longest <= 4.0 * eps * scale or ((level or flat) and longest <= math.sqrt(eps) * scale):
            self.shrunk = True
        elif flat:
            self._set_up(best, torch.full_like(best.w, longest))
        else:
            self._sort(self.vertices)  # the running sum has gathered rounding


def _value(vertex: _Vertex) -> float:
    return vertex.value


def _measured(problem: Composite, w: Tensor) -> _Vertex:
    value = problem.f(w)
    return _Vertex(w, value if math.isfinite(value) else math.inf)
