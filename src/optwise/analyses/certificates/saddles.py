"""Whether a stationary point can be left downhill, along curvature that is negative or nothing: F was seen to fall."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from optwise.analyses.certificates.evaluation import Evaluation
from optwise.core.composite import DOUBLE

RESOLVED = 1e3
"""Rounding errors of F that a decrease must have to be one."""
REACHES = 16
"""Lengths along a direction that are tried, each three times the last."""
LOWER = 1e-4
"""Part of F that a step along a soft direction must gain."""
STRETCHES, STRETCH = 12, 4.0
"""How many lengths of such a step are tried, each how many times the last."""
BEYOND = 1e3
"""Times what a Newton decrement at the tolerance may leave that a way down must gain."""
MIXTURES = 4
"""Coordinates without curvature that are moved alone, and mixtures of all; of some there are twice as many."""
SHORT, SHORTEST = 1e-3, (1e-11, 1e-10)
"""Sizes of a coordinate by which they are moved first, and over which nothing but rounding changes F."""
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


def first_length(at: Evaluation) -> float:
    """How far a direction is followed first: a coordinate of curvature 1 rises by as much as counts."""
    return math.sqrt(2 * LOWER * abs(at.value))


def way_along(at: Evaluation, soft: Tensor) -> Tensor | None:
    r"""A step along a direction of next to no curvature after which F is lower: what looks like a minimum is a terrace.

    Tried are steps t d, growing until the curvature there is promises a rise of :math:`|F|`, or to a million times what
    the first one was.

    Args:
        at: The point.
        soft: Such directions [k, p].

    Returns:
        The step [p]; ``None`` where F does not fall by a part of :data:`LOWER`.
    """
    for d in soft:
        bend = abs(float(d @ at.bend(d)))
        most = math.sqrt(2 * abs(at.value) / bend) if bend > 0 else math.inf
        t = first_length(at)
        for _ in range(STRETCHES):
            for way in (d, -d):
                step, fall = _moved(at, t * way)
                if fall >= LOWER * abs(at.value) > 0:
                    return _further(at, step, fall)[0]
            t *= STRETCH
            if t > most:
                break
    return None


def way_off(at: Evaluation, still: Tensor) -> Tensor | None:
    r"""A step of coordinates without slope or curvature after which F is lower: a saddle of higher order.

    Each of them, and mixtures of all and of some, are moved both ways, by a thousandth of their size to a thousand
    times of it. F must fall by a part of :data:`LOWER` of what it is on either end, and by far more than it changes by
    over steps so short that all of that is rounding.

    Args:
        at: The point.
        still: Those coordinates, bool [p].
    """
    signs = torch.Generator().manual_seed(0)
    mixtures = 2.0 * torch.randint(0, 2, (3 * MIXTURES, len(at.w)), generator=signs).to(at.w) - 1.0
    mixtures[MIXTURES:] *= torch.randint(0, 2, (2 * MIXTURES, len(at.w)), generator=signs)  # of about half
    axes = torch.eye(len(at.w), dtype=at.w.dtype)[still][:MIXTURES]
    ways = [sign * d * at.sizes * still for d in (*axes, *mixtures) for sign in (1.0, -1.0)]
    noise = max(abs(_moved(at, t * way)[1]) for way in ways for t in SHORTEST)
    if not math.isfinite(noise):
        return None
    t = SHORT
    while t <= 1 / SHORT:
        for way in ways:
            step, fall = _moved(at, t * way)
            if fall > RESOLVED * noise and fall >= LOWER * max(abs(at.value), abs(at.value - fall)) > 0:
                return _further(at, step, fall)[0]
        t *= STRETCH
    return None


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
