"""Frank-Wolfe: linear minimisation over the set instead of projections, with steps away from corners."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple, final

import torch
from torch import Tensor

from optwise.core.composite import Composite
from optwise.core.errors import BadMethod
from optwise.core.oracles import Oracle
from optwise.core.solver import SMOOTH, Iterate, Solver
from optwise.methods.solvers.newton_systems import quadratic

DIRECTIONS = ("pairwise", "away", "plain")
REFRESH = 50
"""Iterations after which value and gradient of a quadratic are computed anew: until then each adds its rounding."""
RAISE, LOWER = 2.0, 0.9
"""Factors on the estimate of the curvature: after a trial that rose above its bound, and before each search."""
HIDDEN = 100.0
"""Times the rounding error of a value that a step must promise for values to be looked at."""
TRIALS = 60
"""Of one search."""
PATIENCE = 200
"""Iterations in a row without a smaller gap after which nothing more is to come."""


class _Direction(NamedTuple):
    """Where to go, how far one may, and whose weight that changes."""

    d: Tensor  # [p]
    longest: float
    gains: Tensor | None = None  # the corner that weight moves to
    loses: int | None = None  # the row of the corner that weight moves from


class _Place(NamedTuple):
    """A point with what is known there, and the corner that a linear function likes best."""

    w: Tensor
    f: float
    gradient: Tensor
    corner: Tensor
    gap: float
    rounding: float  # of the gap


@final
@dataclass(frozen=True, kw_only=True)
class FrankWolfe(Solver):
    r"""Frank-Wolfe, whose answer is a convex combination of few corners.

    .. math:: s = \operatorname*{argmin}_{x \in C} \langle \nabla f(w), x \rangle, \qquad
        a = \operatorname*{argmax}_{v \in \text{corners in use}} \langle \nabla f(w), v \rangle

    A *plain* step goes along s - w. An *away* step goes along w - a where that descends faster; a *pairwise* step
    goes along s - a and shifts weight from a to s. A corner whose weight falls to 0 is dropped. The step is the exact
    minimiser along the line for a quadratic f, else it comes from a bound on the curvature that is raised until f obeys
    it. An iteration costs a linear minimisation and a gradient or a Hessian product.

    The Frank-Wolfe gap :math:`\langle \nabla f(w), w - s \rangle`, which for a convex f bounds
    :math:`f(w) - f^\star`, comes for free. Plain steps make it fall as 1/k; on a polytope the others make it fall
    linearly where f is strongly convex.

    Args:
        direction: ``"pairwise"``, ``"away"`` or ``"plain"``.

    Raises:
        BadMethod: Another direction.

    Example:
        >>> from optwise.problems.terms.functions import SquaredDistance
        >>> from optwise.problems.terms.sets import Simplex
        >>> f = SquaredDistance(torch.tensor([1.0, 0.5, -1.0], dtype=torch.float64))
        >>> *_, last = FrankWolfe().solve(Composite(f, None, None, Simplex()), torch.zeros_like(f.y))
        >>> last.w
        tensor([0.7500, 0.2500, 0.0000], dtype=torch.float64)

    References:
        Frank and Wolfe (1956), An algorithm for quadratic programming; Lacoste-Julien and Jaggi (2015), On the global
        linear convergence of Frank-Wolfe optimization variants; Pedregosa, Negiar, Askari and Jaggi (2020), Linearly
        convergent Frank-Wolfe with backtracking line-search.
    """

    direction: Literal["pairwise", "away", "plain"] = "pairwise"

    needs: ClassVar[frozenset[Oracle]] = SMOOTH | {Oracle.VERTEX, Oracle.CONVEX_SET}
    accepts: ClassVar[frozenset[Oracle]] = frozenset({Oracle.PROJECTION})

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.direction not in DIRECTIONS:
            raise BadMethod(
                f"FrankWolfe.direction is {self.direction!r}; choose one of {', '.join(map(repr, DIRECTIONS))}."
            )

    def solve(self, problem: Composite, w: Tensor) -> Iterator[Iterate]:
        eps, exact, curvature = torch.finfo(w.dtype).eps, quadratic(problem), math.nan
        # the start is a point of the set and so may stand among the corners until it is dropped
        corners = _Corners(problem.project(w))
        place = _at(problem, corners.point(), *problem.f_and_gradient(corners.point()))
        least, lowest, idle, k = place.gap, place.f, 0, 0
        while place.gap > place.rounding and idle < PATIENCE and math.isfinite(place.f):
            direction = self._direction(corners, place)
            slope = float(place.gradient @ direction.d)
            if not slope < 0.0:
                return
            k += 1
            if exact:
                step, f, gradient = _exact(problem, place, direction, slope)
            else:
                step, f, gradient, curvature = _bounded(problem, place, direction, slope, curvature)
            if not step > 0.0:
                return
            corners.move(direction, step, keep=self.direction != "plain")
            if exact and k % REFRESH == 0:
                f, gradient = problem.f_and_gradient(corners.point())
            place = _at(problem, corners.point(), f, gradient)
            better = place.gap < least or place.f < lowest - 4 * eps * abs(lowest)
            least, lowest, idle = min(least, place.gap), min(lowest, place.f), 0 if better else idle + 1
            measure = problem.gap_measure(place.gap, place.f) if problem.smooth.convex else math.nan
            yield Iterate(place.w, place.f, step, measure)

    def _direction(self, corners: _Corners, place: _Place) -> _Direction:
        towards = _Direction(place.corner - place.w, 1.0, gains=place.corner)
        if self.direction == "plain":
            return towards
        row, steepest = corners.steepest(place.gradient)
        weight = corners.weight(row)
        if self.direction == "pairwise":
            return _Direction(place.corner - corners.corner(row), weight, gains=place.corner, loses=row)
        if place.gap >= steepest - float(place.gradient @ place.w) or weight >= 1.0:
            return towards
        return _Direction(place.w - corners.corner(row), weight / (1.0 - weight), loses=row)


@final
class _Corners:
    """The corners in use, as rows with weights; their weighted sum is the point."""

    def __init__(self, w: Tensor) -> None:
        self._rows, self._weights, self._keys = w[None].clone(), [1.0], [_key(w)]
        self._point = w

    def point(self) -> Tensor:
        """The point [p]; of the corners in use it has the zeros, exactly."""
        return self._point

    def corner(self, row: int) -> Tensor:
        """One corner [p]."""
        return self._rows[row]

    def weight(self, row: int) -> float:
        """Its weight."""
        return self._weights[row]

    def steepest(self, gradient: Tensor) -> tuple[int, float]:
        """The row of the corner with the largest product with the gradient, and that product."""
        products = self._rows[: len(self._weights)] @ gradient
        row = int(products.argmax())
        return row, float(products[row])

    def move(self, direction: _Direction, step: float, *, keep: bool) -> None:
        """Shift weight as a step along ``direction`` does; without ``keep`` the sum alone is remembered."""
        if not keep:
            self._point = torch.add(self._point, direction.d, alpha=step)
            return
        if direction.loses is None or direction.gains is None:
            kept = 1.0 - step if direction.loses is None else 1.0 + step
            self._weights = [kept * weight for weight in self._weights]
        if direction.loses is not None:
            self._weights[direction.loses] -= step
        if direction.gains is not None:
            self._weights[self._row_of(direction.gains)] += step
        loses = direction.loses
        gone = [
            row
            for row, weight in enumerate(self._weights)
            if weight <= 0.0 or (row == loses and step == direction.longest)
        ]
        for row in reversed(gone):
            self._drop(row)
        total = sum(self._weights)
        self._weights = [weight / total for weight in self._weights]
        weights = torch.tensor(self._weights, dtype=self._rows.dtype, device=self._rows.device)
        self._point = weights @ self._rows[: len(weights)]

    def _row_of(self, corner: Tensor) -> int:
        key, count = _key(corner), len(self._weights)
        if key in self._keys:
            return self._keys.index(key)
        if count == len(self._rows):
            self._rows = torch.cat([self._rows, torch.empty_like(self._rows)])
        self._rows[count] = corner
        self._weights.append(0.0)
        self._keys.append(key)
        return count

    def _drop(self, row: int) -> None:
        last = len(self._weights) - 1
        self._rows[row], self._weights[row], self._keys[row] = (
            self._rows[last].clone(),
            self._weights[last],
            self._keys[last],
        )
        del self._weights[last], self._keys[last]


def _key(corner: Tensor) -> bytes:
    return (corner + 0.0).cpu().numpy().tobytes()  # without the sign of zeros


def _at(problem: Composite, w: Tensor, f: float, gradient: Tensor) -> _Place:
    assert problem.constraint is not None
    corner = problem.constraint.vertex(gradient)
    here, there = torch.stack([gradient @ w, gradient @ corner]).tolist()
    return _Place(w, f, gradient, corner, here - there, 4 * torch.finfo(w.dtype).eps * (abs(here) + abs(there)))


def _exact(problem: Composite, place: _Place, direction: _Direction, slope: float) -> tuple[float, float, Tensor]:
    """The step to the minimum of a quadratic along the line, within reach, with f and its gradient there."""
    image = problem.hvp(place.w, direction.d)
    bend = float(direction.d @ image)
    step = min(-slope / bend, direction.longest) if bend > 0.0 else direction.longest
    return step, place.f + step * (slope + 0.5 * step * bend), torch.add(place.gradient, image, alpha=step)


def _bounded(
    problem: Composite, place: _Place, direction: _Direction, slope: float, curvature: float
) -> tuple[float, float, Tensor, float]:
    """The step that a bound of the curvature allows, the bound raised until f obeys it."""
    square, noise = float(direction.d @ direction.d), 4 * torch.finfo(place.w.dtype).eps * abs(place.f)
    if math.isnan(curvature):
        curvature = abs(float(direction.d @ problem.hvp(place.w, direction.d))) / square
    curvature *= LOWER
    for _ in range(TRIALS):
        step = min(-slope / (curvature * square), direction.longest) if curvature > 0.0 else direction.longest
        f, gradient = problem.f_and_gradient(torch.add(place.w, direction.d, alpha=step))
        if -step * slope > HIDDEN * noise:
            obeys = f <= place.f + step * (slope + 0.5 * step * curvature * square)
        else:  # rounding hides how f changes, not how it inclines
            obeys = f <= place.f + HIDDEN * noise and float(gradient @ direction.d) <= -0.5 * slope
        if obeys:
            return step, f, gradient, curvature
        curvature = RAISE * curvature if curvature > 0.0 else -slope / (square * direction.longest)
    return 0.0, place.f, place.gradient, curvature
