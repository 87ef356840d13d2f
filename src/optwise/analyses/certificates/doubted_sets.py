"""What contradicts itself in a set: its projection, its bounds, its support function, its vertices."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import torch
from torch import Tensor

from optwise.analyses.certificates.doubted_points import NOISE, SLACK, direction
from optwise.core.composite import Composite
from optwise.core.constraint import ConstraintSet
from optwise.core.oracles import Oracle
from optwise.numerics.finiteness import all_finite

ALONG = (1e-6, 0.3, 2.0)
"""Parts of the way from a projection to what was projected from where one comes back to it."""
STRAYED = 1e-3
"""Part of such a way by which one may come back elsewhere."""
FAR = (1.0, -1.0, 30.0, -30.0)
"""How many sizes of the answer away from it a projection is looked at."""
PAIRS = 6
"""Pairs of points of the set whose middle is looked at."""


def set_faults(problem: Composite, constraint: ConstraintSet, w: Tensor) -> Iterator[str]:
    """What contradicts itself in a set near the answer, a sentence each."""
    size = float(w.abs().max()) or 1.0
    d = direction(w, w, seed=4)
    d = size * d / d.abs().max()
    slope = problem.smooth.value_and_gradient(w)[1]
    outside = [*(w + far * d for far in FAR), w - slope]
    longest = outside[0].abs() == outside[0].abs().max()
    within = [w, -w, torch.zeros_like(w), abs(FAR[-1]) * outside[0] * longest]
    found = [(v, constraint.project(v.clone())) for v in [*outside, *within]]
    # a projection that is no point has its own end
    found = [(v, x) for v, x in found if all_finite(v + x)]
    if not found:
        return
    pairs = [(v, x) for v, x in found if any(v is each for each in outside)]
    inside = torch.stack([x for _, x in found])  # [k, p]
    yield _unsteady(constraint, *found[0])
    yield _moves(constraint, inside, size)
    if constraint.convex:
        yield _parted(constraint, inside)
    for v, x in pairs:
        yield _nearer(constraint, v, x, inside)
        if constraint.convex:
            yield _comes_back(constraint, v, x)
        yield _wrong_bounds(constraint, v, x)
        yield _wrong_support(constraint, v, x, inside)
    if Oracle.VERTEX in constraint.oracles:
        for g in (slope, d):
            yield _wrong_vertex(constraint, g, inside)


def _unsteady(constraint: ConstraintSet, v: Tensor, x: Tensor) -> str:
    again = float((constraint.project(v.clone()) - x).norm())
    if again > SLACK * float(x.norm() + (v - x).norm()):
        return f"The projection of {type(constraint).__name__} is not the same twice: it differs by {again:.3g}."
    return ""


def _moves(constraint: ConstraintSet, inside: Tensor, size: float) -> str:
    again = torch.stack([constraint.project(x.clone()) for x in inside])
    moved = (again - inside).norm(dim=1)  # [k]
    if bool((moved > SLACK * (size + inside.norm(dim=1))).any()):
        far = float(moved.max())
        return f"The projection of {type(constraint).__name__} moves a point it gave itself, by {far:.3g}."
    return ""


def _parted(constraint: ConstraintSet, inside: Tensor) -> str:
    """Whether the middle between two points lies outside, as it never does in a convex set."""
    pairs = list(combinations(range(len(inside)), 2))
    for i, j in pairs[:: max(1, len(pairs) // PAIRS)]:
        middle = 0.5 * (inside[i] + inside[j])
        away = float((constraint.project(middle.clone()) - middle).norm())
        if away > SLACK * float(inside[i].norm() + inside[j].norm()):
            return (
                f"{type(constraint).__name__} says that it is convex, and the middle between two of its points lies "
                f"{away:.3g} outside; set convex = False in its class."
            )
    return ""


def _nearer(constraint: ConstraintSet, v: Tensor, x: Tensor, inside: Tensor) -> str:
    """Whether a point of the set is nearer, or lies towards v as seen from x, as none does in a convex set."""
    away, size, ways = float((x - v).norm()), float(v.norm()), inside - x
    nearer = (inside - v).norm(dim=1) < away - SLACK * (away + size)
    if constraint.convex:
        nearer |= ways @ (v - x) > SLACK * (away + size) * (ways.norm(dim=1) + x.norm())
    if bool(nearer.any()):
        name = type(constraint).__name__
        return f"The projection of {name} is not the nearest point: there is a nearer one in the set."
    return ""


def _comes_back(constraint: ConstraintSet, v: Tensor, x: Tensor) -> str:
    """Whether what lies between a projection and what was projected is projected to elsewhere."""
    away, size = float((v - x).norm()), float(v.norm() + x.norm())
    for share in ALONG if away > SLACK * size else ():
        strayed = float((constraint.project(x + share * (v - x)) - x).norm())
        if strayed > STRAYED * share * away + SLACK * size:
            return (
                f"The projection of {type(constraint).__name__} is not the nearest point: what lies on the way to one "
                f"is projected {strayed:.3g} away from it."
            )
    return ""


def _wrong_bounds(constraint: ConstraintSet, v: Tensor, x: Tensor) -> str:
    if Oracle.BOUNDS not in constraint.oracles:
        return ""
    low, high = constraint.bounds()
    if float((x - v.clamp(low, high)).abs().max()) > SLACK * float(x.abs().max() + (v - x).norm()):
        name = type(constraint).__name__
        return f"The bounds of {name} are not those that its projection keeps; mend one of the two."
    return ""


def _wrong_support(constraint: ConstraintSet, v: Tensor, x: Tensor, inside: Tensor) -> str:
    if Oracle.SUPPORT not in constraint.oracles:
        return ""
    c = v - x
    most, lost = float(constraint.support(c)), NOISE * float(v.norm() + x.norm())  # of c, by rounding
    reached = inside @ c  # [k]
    size = SLACK * (inside.abs() @ c.abs() + abs(most)) + lost * inside.norm(dim=1)
    if bool((most < reached - size).any()):
        return (
            f"The support of {type(constraint).__name__} is {most:.6g} where a point of the set has <c, x> = "
            f"{float(reached.max()):.6g}."
        )
    return ""


def _wrong_vertex(constraint: ConstraintSet, g: Tensor, inside: Tensor) -> str:
    """Whether a vertex lies outside of the set, or is not where a linear function is least."""
    s, name = constraint.vertex(g.clone()), type(constraint).__name__
    away = float((constraint.project(s.clone()) - s).norm())
    if away > SLACK * max(float(s.norm()), float(inside.norm(dim=1).max())):
        return f"The vertex of {name} lies {away:.3g} outside of it."
    least, values = float(g @ s), inside @ g
    if bool((values < least - SLACK * (inside.abs() + s.abs()) @ g.abs()).any()):
        other = float(values.min())
        return f"The vertex of {name} is not where <g, x> is least: it is {least:.6g}, and {other:.6g} elsewhere."
    return ""
