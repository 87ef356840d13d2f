"""Check a set: its projection, and its support function, vertices and bounds against the projection."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from optwise.analyses.laws import Law, drawn, refuse_other_kind
from optwise.core.constraint import ConstraintSet
from optwise.core.errors import BadProblem
from optwise.core.finding import Findings
from optwise.core.oracles import Oracle
from optwise.numerics.rng import torch_generator

RADII = (1.0, 0.3, 0.1, 0.03, 0.01)
"""Of the points that are drawn around a projection, relative to the way to it."""


def check_set(constraint: ConstraintSet, dimension: int, *, seed: int = 0, points: int = 40) -> Findings:
    r"""Check what a set says of itself, in float64 at drawn points; x, y are projections P(u), P(v) of such points.

    1. *idempotence*: :math:`P(P(v)) = P(v)`, and the violation there is 0.
    2. *nearest*: no x is nearer to v than P(v).
    3. Of a convex set, *variational-inequality*: :math:`\langle v - P(v), x - P(v) \rangle \le 0`, which no other point
       of the set satisfies; *firm-nonexpansiveness*: :math:`\|x - y\|^2 \le \langle x - y, u - v \rangle`.
    4. *support*, where it is given: :math:`\sigma(c) \ge \langle c, x \rangle`, and *normals*: equality at x = P(v) for
       :math:`c = v - P(v)`; *dual-scale*: a finite support at that multiple.
    5. *vertex*, where it is given: a point of the set with no larger :math:`\langle c, \cdot \rangle` than any x, and
       *bounds*, where they are given: the projection onto them is the same.

    Args:
        constraint: The set; checked in float64.
        dimension: Length of the points.
        seed: Of the points.
        points: How many, at least 10.

    Returns:
        One finding a law. What passes has met no counterexample, which is no proof.

    Raises:
        BadProblem: The projection gives another shape or dtype, or there are too few points.

    Example:
        >>> class Shell(ConstraintSet):
        ...     def project(self, v):
        ...         return v / v.norm(dim=-1, keepdim=True)  # the sphere, not the ball
        >>> [finding.check for finding in check_set(Shell(), 3) if finding.advice]
        ['variational-inequality', 'firm-nonexpansiveness']

    References:
        Bauschke and Combettes (2017), Convex Analysis and Monotone Operator Theory, theorem 3.16 and proposition 4.16.
    """
    if points < 10 or dimension < 1:
        raise BadProblem(f"A check was asked for at {points} points of length {dimension}; give at least 10, and 1.")
    constraint = constraint.to(dtype=torch.float64)
    generator = torch_generator(seed)
    places = drawn(points, dimension, generator)
    places = places[places.any(1)]  # the sphere has no point nearest to 0
    pairs = [(v, constraint.project(v)) for v in places]
    refuse_other_kind(f"{type(constraint).__name__}.project", *pairs[0])
    others = [[*_beside(constraint, v, x, generator), *(y for _, y in pairs)] for v, x in pairs]
    laws = [_idempotence(constraint, pairs), _nearest(pairs, others)]
    if constraint.convex:
        laws += [_variational(pairs, others), _firm(pairs)]
        if Oracle.SUPPORT in constraint.oracles:
            laws += [_support(constraint, pairs), _normals(constraint, pairs), _dual_scale(constraint, places)]
    if Oracle.VERTEX in constraint.oracles:
        laws.append(_vertex(constraint, pairs))
    if Oracle.BOUNDS in constraint.oracles:
        laws.append(_bounds(constraint, pairs))
    return Findings(law.finding(type(constraint).__name__) for law in laws)


Pairs = list[tuple[Tensor, Tensor]]


def _beside(constraint: ConstraintSet, v: Tensor, x: Tensor, generator: torch.Generator) -> list[Tensor]:
    """Points of the set around the projection x of v, on the scale of the way to it."""
    away = float((v - x).norm()) / math.sqrt(v.numel())
    steps = torch.randn(len(RADII), v.numel(), generator=generator, dtype=v.dtype)
    return [constraint.project(x + radius * away * step) for radius, step in zip(RADII, steps, strict=True)]


def _idempotence(constraint: ConstraintSet, pairs: Pairs) -> Law:
    law = Law(
        "idempotence",
        "a projected point is projected onto itself, and does not violate the set",
        "definition of the projection",
        "Mend project: what it gives does not lie in the set.",
    )
    for v, x in pairs:
        apart = max(float((constraint.project(x) - x).norm()), float(constraint.violation(x)))
        law.tried(apart, float(x.norm() + v.norm()), "{} to {}, which is off by {}", v, x, apart)
    return law


def _nearest(pairs: Pairs, others: list[list[Tensor]]) -> Law:
    law = Law(
        "nearest",
        "no other point of the set is nearer than the projection",
        "definition of the projection",
        "Mend project: it must give the nearest point of the set.",
    )
    for (v, x), candidates in zip(pairs, others, strict=True):
        distances = [float((v - y).norm()) for y in candidates]
        own, best = float((v - x).norm()), min(distances)
        nearest = candidates[distances.index(best)]
        law.tried(own - best, float(v.norm() + x.norm()), "{} to {}, while {} is nearer", v, x, nearest)
    return law


def _variational(pairs: Pairs, others: list[list[Tensor]]) -> Law:
    law = Law(
        "variational-inequality",
        "<v - P(v), x - P(v)> <= 0 for every x of the set",
        "Bauschke and Combettes (2017), theorem 3.16",
        "Set convex = False on the class, or mend project.",
    )
    for (v, x), candidates in zip(pairs, others, strict=True):
        for y in candidates:
            size = float((v - x).norm() * (y - x).norm() + v.norm() * (x.norm() + y.norm()))
            law.tried(float((v - x) @ (y - x)), size, "v = {}, P(v) = {}, x = {}", v, x, y)
    return law


def _firm(pairs: Pairs) -> Law:
    law = Law(
        "firm-nonexpansiveness",
        "|x - y|^2 <= <x - y, u - v> for the projections x, y of u, v",
        "Bauschke and Combettes (2017), proposition 4.16",
        "Set convex = False on the class, or mend project.",
    )
    for i, (v, x) in enumerate(pairs):
        for u, y in pairs[i + 1 :]:
            apart, before = x - y, v - u
            size = float(before @ before + x @ x + y @ y)
            law.tried(float(apart @ apart - apart @ before), size, "{} to {}, {} to {}", v, x, u, y)
    return law


def _support(constraint: ConstraintSet, pairs: Pairs) -> Law:
    law = Law(
        "support",
        "support(c) >= <c, x> for every x of the set",
        "definition of the support function",
        "Make support larger: a gap that is too small calls points optimal that are not.",
    )
    for c, _ in pairs:
        support = float(constraint.support(c))
        for _, x in pairs:
            product, size = float(c @ x), float(c.norm() * x.norm())
            below = product - support if support != math.inf else -1.0
            size += abs(support) if math.isfinite(support) else 0.0
            law.tried(below, size, "{} < {} for c = {}, x = {}", support, product, c, x)
    return law


def _normals(constraint: ConstraintSet, pairs: Pairs) -> Law:
    law = Law(
        "normals",
        "support(c) = <c, P(v)> for c = v - P(v)",
        "Bauschke and Combettes (2017), theorem 3.16",
        "Mend support, its domain included: it must be finite for every normal, up to rounding.",
    )
    for v, x in pairs:
        c = v - x
        if float(c.norm()) <= 1e-8 * float(v.norm()):
            continue  # what is left of v in the set is rounding
        support, product = float(constraint.support(c)), float(c @ x)
        size = abs(support) + float(c.norm() * (x.norm() + v.norm())) if math.isfinite(support) else 1.0
        law.tried(abs(support - product), size, "{} against {} for c = {}", support, product, c)
    return law


def _dual_scale(constraint: ConstraintSet, places: Tensor) -> Law:
    law = Law(
        "dual-scale",
        "support(t c) is finite for t = dual_scale(c), which lies in [0, 1]",
        "contract of ConstraintSet",
        "Add dual_scale to a set that is not bounded: 0 where the support is infinite.",
    )
    for c in places:
        t = constraint.dual_scale(c)
        support = float(constraint.support(t * c))
        law.tried(0.0 if 0 <= t <= 1 and math.isfinite(support) else 1.0, 1.0, "{} at {} of {}", support, t, c)
    return law


def _vertex(constraint: ConstraintSet, pairs: Pairs) -> Law:
    law = Law(
        "vertex",
        "vertex(c) lies in the set, and no x of the set has a smaller <c, x>",
        "definition of linear minimisation",
        "Mend vertex; with a support function, support(-c) is -<c, vertex(c)>.",
    )
    known = Oracle.SUPPORT in constraint.oracles
    for c, _ in pairs:
        corner = constraint.vertex(c)
        reached, size = float(c @ corner), float(c.norm() * corner.norm())
        outside = float(constraint.violation(corner)) * float(c.norm())
        best = min(float(c @ x) for _, x in pairs)
        apart = abs(reached + float(constraint.support(-c))) if known else 0.0
        violation = max(outside, reached - best, apart)
        law.tried(violation, size + abs(best), "{} with {} for c = {}", corner, reached, c)
    return law


def _bounds(constraint: ConstraintSet, pairs: Pairs) -> Law:
    law = Law(
        "bounds",
        "the projection is that onto the bounds",
        "contract of ConstraintSet",
        "Give no bounds unless the set is a box.",
    )
    low, high = constraint.bounds()
    for v, x in pairs:
        apart = float((v.clamp(low, high) - x).norm())
        law.tried(apart, float(v.norm() + x.norm()), "{} to {}", v, x)
    return law
