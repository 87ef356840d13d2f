"""Whether a stationary point can be left downhill, along curvature that is negative or nothing: F was seen to fall."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from optwise.analyses.certificates.evaluation import Evaluation
from optwise.analyses.certificates.flat_directions import RESOLVED, FlatDirections
from optwise.core.composite import DOUBLE
from optwise.numerics.finiteness import all_finite

REACHES = 16
"""Lengths along a direction that are tried, each three times the last."""
LOWER = 1e-4
"""Part of F that a step along a direction without curvature must gain."""
BEYOND = 1e3
"""Times what a Newton decrement at the tolerance may leave that a way down must gain."""
AXES, MIXTURES, SPARSE, CORRECTED = 4, 4, 4, 4
"""Directions without curvature that are followed alone, mixed all together and by halves, and with Newton's steps."""
STRIDE, CLOSEST, FURTHEST = 8.0, -13, 7
"""How many times longer each step along one is than the last, and the powers of that between which steps lie."""
BETWEEN = 6
"""Into how many parts, of one ratio, a stride is divided where F falls."""
NEARBY, STEADY = (0.998, 0.999, 1.001, 1.002), 0.3
"""Multiples of a step that F must fall alike over, and the part of the fall by which it may differ there."""
JITTER, DROWNED = 1e-7, 30.0
"""Part of its coordinates by which a point is moved to see rounding, which a fall must be so many times larger than."""
DOUBLINGS = 40
"""How often a step that has found lower ground is drawn out."""
CLOSE = 5
"""The same where there is a penalty."""
SHARE = 0.25
"""Part of what the curvature promises that F must have fallen by."""


def way_down(at: Evaluation, bent: Tensor) -> Tensor | None:
    r"""A step along a direction of negative curvature after which F is lower, by what the curvature promises.

    .. math:: F(w + t d) \le F(w) - \tfrac14 \cdot \tfrac12 \, t^2 \, |d^\top H d|

    A curvature that is negative by rounding alone, or that turns upwards at once, keeps no such promise.

    Args:
        at: The point.
        bent: The direction d [p].

    Returns:
        The step [p], as long as F goes on falling; ``None`` where it does not fall.
    """
    problem = at.problem
    curvature = -float(bent @ at.bend(bent))
    if not 0 < curvature < math.inf:
        return None
    slope = float(at.gradient @ bent)
    bent = bent if slope <= 0 else -bent
    size = abs(at.f) + abs(at.g)
    t = math.sqrt(2 * RESOLVED * DOUBLE * size / curvature) if size > 0 else 1e-4
    # a penalty's kink outweighs any curvature close by, and none far off
    for _ in range(REACHES if problem.penalty is None else CLOSE):
        for way in (bent, -bent):
            step, fall = _moved(at, t * way)
            if fall >= SHARE * 0.5 * t * t * curvature:
                step, fall = _further(at, step, fall)
                # on a ring of minima, or beside a minimum, what is left to gain is what the tolerance leaves
                return step if fall > BEYOND * problem.tol**2 * size else None
        t *= 3
    return None


def way_off(at: Evaluation, flat: FlatDirections) -> Tensor | None:
    r"""A step along directions without curvature after which F is lower: a saddle of higher order, or a terrace.

    Each of them and some mixtures d are followed both ways, by steps from 1e-12 to 1e6 of the sizes of their
    coordinates, straight and with Newton's step of all other directions, since F may only fall along a curve:

    .. math:: F(w + t d) \quad\text{and}\quad F\big(w + t d - H^+ \nabla f(w + t d)\big)

    F must fall by a part of :data:`LOWER` of what it is on either end, by far more than rounding, and nowhere rise on
    the way to there: behind a hump is another valley, and w may lie at the bottom of its own.

    Args:
        at: The point.
        flat: The directions.
    """
    ways = _mixed(at, flat.ways)
    paths = [_Path(at, flat, sign * d) for d in ways for sign in (1.0, -1.0)]
    if flat.newton is not None and at.smooth_only:
        paths += [_Path(at, flat, sign * d, flat.newton) for d in ways[:CORRECTED] for sign in (1.0, -1.0)]
    return next((step for path in paths if (step := path.downhill()) is not None), None)


def _mixed(at: Evaluation, ways: Tensor) -> list[Tensor]:
    """Some directions and mixtures of them: of all, of halves, and what penalties of differences do not see."""
    k = len(ways)
    if k < 2:
        return list(ways)
    signs = torch.Generator().manual_seed(0)
    patterns = 2.0 * torch.randint(0, 2, (MIXTURES + SPARSE, k), generator=signs).to(ways) - 1.0
    patterns[MIXTURES:] *= torch.randint(0, 2, (SPARSE, k), generator=signs)
    found = [*ways[:AXES], *(patterns if k > 2 else patterns.new_tensor([[1.0, 1.0], [1.0, -1.0]])) @ ways]
    if at.problem.penalty is not None or at.problem.constraint is not None:
        found.append((ways != 0).any(0).to(ways) * float(ways.abs().max()))
    return [d for d in found if bool(d.any())]


@dataclass(frozen=True, eq=False)
class _Path:
    """A straight line from a point, or a curve that begins as one and is drawn to where all else is stationary.

    Args:
        at: The point.
        flat: What has no curvature there.
        d: How the path begins [p].
        newton: Takes a gradient to the step to that place [p, p].
    """

    at: Evaluation
    flat: FlatDirections
    d: Tensor
    newton: Tensor | None = None

    def moved(self, t: float) -> tuple[Tensor, float]:
        """The step to a place on the path, and by how much F falls."""
        step = t * self.d
        if self.newton is not None:
            step = step - self.newton @ self.at.problem.f_and_gradient(self.at.w + step)[1]
            if not all_finite(step):
                return step, -math.inf
        return _moved(self.at, step)

    def downhill(self) -> Tensor | None:
        """The step to lower ground that is reached without a hump; ``None`` where there is none."""
        at, falls = self.at, dict[float, float]()

        def look(t: float) -> float:
            falls[t] = self.moved(t)[1]
            return falls[t]

        quiet = 0  # twice in a row, since a fall may be 0 on its way back
        for k in range(0, CLOSEST - 1, -1):
            quiet = quiet + 1 if abs(look(STRIDE**k)) <= DOUBLE * abs(at.value) else 0
            if quiet > 1:
                break
        k = 0
        while k < FURTHEST and not any(self._known(t, fall) and self._counts(fall) for t, fall in falls.items()):
            k += 1
            look(STRIDE**k)
        t = min((t for t, fall in falls.items() if fall > 0 and self._known(t, fall)), default=None)
        if t is None:
            return None
        while STRIDE * t in falls and falls[STRIDE * t] > falls[t]:
            t *= STRIDE
        for j in range(1 - 2 * BETWEEN, BETWEEN):
            look(t * STRIDE ** (j / BETWEEN))
        t = max((s for s in falls if s < STRIDE * t), key=lambda s: falls[s])
        left = BEYOND * at.problem.tol**2 * abs(at.value)
        humps = any(self._known(s, fall) and -fall > left for s, fall in falls.items() if s < t)
        if humps or not self._counts(falls[t]) or not self._steady(t, falls[t]):
            return None
        return _further(at, *self.moved(t))[0]

    def _counts(self, fall: float) -> bool:
        return abs(fall) >= LOWER * max(abs(self.at.value), abs(self.at.value - fall)) > 0

    def _known(self, t: float, fall: float) -> bool:
        """Whether a fall or a rise is more than what is left of curvatures that cancel along the direction."""
        left = float(self.d.square() @ self.flat.curvatures)
        return abs(fall) > RESOLVED * DOUBLE * (abs(self.at.value) + t * t * left)

    def _steady(self, t: float, fall: float) -> bool:
        """Whether a fall is one of F and not of its rounding, there or here."""
        if any(abs(self.moved(near * t)[1] - fall) > STEADY * fall for near in NEARBY):
            return False
        signs = torch.Generator().manual_seed(0)
        for _ in NEARBY:
            pattern = 2.0 * torch.rand(self.d.shape, generator=signs, dtype=torch.float64).to(self.d) - 1.0
            if abs(_moved(self.at, JITTER * pattern * self.at.w)[1]) * DROWNED > fall:
                return False
        return True


def _moved(at: Evaluation, step: Tensor) -> tuple[Tensor, float]:
    """A step, drawn into the set, and by how much F falls; minus infinity where it has no value."""
    if at.problem.constraint is not None:
        step = at.problem.constraint.project(at.w + step) - at.w
    fall = at.value - at.problem.value(at.w + step)
    return step, fall if math.isfinite(fall) else -math.inf


def _further(at: Evaluation, step: Tensor, fall: float) -> tuple[Tensor, float]:
    """The step drawn out for as long as F falls more, with its fall."""
    for _ in range(DOUBLINGS):
        longer, more = _moved(at, 2 * step)
        if more <= fall:
            break
        step, fall = longer, more
    return step, fall
