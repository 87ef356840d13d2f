"""What contradicts itself in a penalty, a set or an operator: its map, its conjugate, its adjoint."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import pairwise

import torch
from torch import Tensor

from optwise.analyses.certificates.doubted_points import direction
from optwise.core.composite import DOUBLE, Composite
from optwise.core.constraint import ConstraintSet
from optwise.core.operator import LinearOperator
from optwise.core.oracles import Oracle
from optwise.core.penalty import Penalty
from optwise.numerics.finiteness import all_finite

EXACT = 1e-6
"""Part by which two ways to compute one product may differ: inner iterations, not other formulas."""
NOISE = 1e3 * DOUBLE
"""Part of the sizes of its terms by which a difference may be off."""
SLACK = 1e-9
"""Part of the sizes of its terms by which an inequality may fail."""
BEYOND = (1.0, 1 + 1e-6, 1.001, 1.5, 10.0)
"""Times a subgradient at which a conjugate is asked: it lies in the domain, and most of these outside."""
WIDE = (1e-3, 1.0, 30.0, 1e4)
"""How many sizes of the answer apart the ends of a chord are."""
BACK = (1e-6, 1e-4, 1e-3, 1e-2, 0.1)
"""Parts of the way back from a projection to what was projected where a nearer point of the set is looked for."""
FAR = (1.0, 30.0)
"""How many sizes of the answer away from it a projection is looked at."""
NUDGES = (1.0, 0.3, 0.03, -0.03, -0.3)
"""Where between a proximal point and what was mapped to it a lower point is looked for."""


def penalty_faults(problem: Composite, penalty: Penalty, w: Tensor) -> Iterator[str]:
    """What contradicts itself in a penalty near the answer, a sentence each."""
    image = w if problem.operator is None else problem.operator.forward(w)
    size = float(image.abs().max()) or 1.0
    mixed = direction(image, image, seed=3)
    name = type(penalty).__name__
    g = float(penalty.value(image))
    if g < penalty.lower_bound - SLACK * abs(penalty.lower_bound):
        yield f"{name} says that it is never below {penalty.lower_bound:g}, and is {g:g} at the answer."
    if penalty.convex:
        yield _bends_down(penalty, [image, *(far * size * mixed / mixed.abs().max() for far in WIDE)])
    if Oracle.PROX not in penalty.oracles:
        return
    steps = [_natural_step(problem, w, size)]
    steps += [size]
    for t, v in ((steps[0], _mapped(problem, w, image, steps[0])), (steps[1], size * mixed / mixed.abs().max())):
        x = penalty.prox(v.clone(), t)
        if not all_finite(x):
            continue
        level, scale = _proximal_value(penalty, x, v, t)
        others = [x + nudge * (v - x) for nudge in NUDGES] + [image, torch.zeros_like(x), 0.5 * x]
        for other in others:
            there, reach = _proximal_value(penalty, other, v, t)
            if there < level - SLACK * (scale + reach):
                yield (
                    f"The prox of {name} is not that of its value: of a step {t:.3g} it gives a point where "
                    f"t g(x) + |x - v|^2 / 2 is {level:.6g}, and {there:.6g} was found; see ow.check_prox."
                )
                return
        if Oracle.CONJUGATE in penalty.oracles:
            for factor in BEYOND:
                u = factor * (v - x) / t
                length = float(u.abs().max())
                along = [r * size / length * u for r in FAR] if length > 0 else []
                yield young_fault(penalty.value, penalty.conjugate, u, [x, image, *others[:2], *along], name)


def young_fault(
    value: Callable[[Tensor], Tensor], conjugate: Callable[[Tensor], Tensor], u: Tensor, points: list[Tensor], name: str
) -> str:
    """Whether a conjugate is below what a point makes of it, as a sentence; outside of its domain too."""
    dual = float(conjugate(u))
    for x in points if math.isfinite(dual) else []:
        primal, product = float(value(x)), float(u @ x)
        if primal + dual < product - SLACK * (abs(primal) + abs(dual) + float(u.abs() @ x.abs())):
            return (
                f"The conjugate of {name} is too small: the value at x and the conjugate at u make {primal + dual:.6g} "
                f"where <u, x> is {product:.6g}; mend its formula, or leave it out."
            )
    return ""


def _bends_down(penalty: Penalty, points: list[Tensor]) -> str:
    """Whether a penalty that says it is convex lies above one of its chords, as a sentence."""
    zero = torch.zeros_like(points[0])
    for a, b in [*((zero, x) for x in points), *((-x, x) for x in points), *pairwise(points)]:
        ends, middle = 0.5 * (float(penalty.value(a)) + float(penalty.value(b))), float(penalty.value(0.5 * (a + b)))
        if middle > ends + SLACK * (abs(ends) + abs(middle)):
            return (
                f"{type(penalty).__name__} says that it is convex, and halfway between two points it is {middle:.4g}, "
                f"above their mean {ends:.4g}; set convex = False in its class."
            )
    return ""


def _proximal_value(penalty: Penalty, x: Tensor, v: Tensor, t: float) -> tuple[float, float]:
    """``t g(x) + |x - v|^2 / 2``, and the size of its terms."""
    g, square = t * float(penalty.value(x)), 0.5 * float((x - v).square().sum())
    return g + square, abs(g) + square


def _natural_step(problem: Composite, w: Tensor, size: float) -> float:
    """The step after which a gradient step has moved as far as w is large."""
    slope = float(problem.smooth.value_and_gradient(w)[1].abs().max())
    t = size / slope if slope > 0 else size
    return t if 0 < t < math.inf else 1.0


def _mapped(problem: Composite, w: Tensor, image: Tensor, t: float) -> Tensor:
    return w - t * problem.smooth.value_and_gradient(w)[1] if problem.operator is None else 2.0 * image


def set_faults(problem: Composite, constraint: ConstraintSet, w: Tensor) -> Iterator[str]:
    """What contradicts itself in a set near the answer, a sentence each."""
    name = type(constraint).__name__
    size = float(w.abs().max()) or 1.0
    d = direction(w, w, seed=4)
    outside = [w + far * size * d / d.abs().max() for far in FAR]
    outside.append(w - problem.smooth.value_and_gradient(w)[1])
    longest = outside[0].abs() == outside[0].abs().max()
    inside = [constraint.project(v) for v in (w, -w, torch.zeros_like(w), FAR[-1] * outside[0] * longest)]
    for v in outside:
        x = constraint.project(v.clone())
        away = float((x - v).norm())
        for other in inside:
            # seen from the nearest point of a convex set, no other lies towards v
            ahead = float((v - x) @ (other - x)) if constraint.convex else 0.0
            towards = ahead > SLACK * (away + float(v.norm())) * (float((other - x).norm()) + float(x.norm()))
            if towards or float((other - v).norm()) < away - SLACK * (away + float(v.norm())):
                yield f"The projection of {name} is not the nearest point: there is a nearer one in the set."
                return
        for share in BACK if constraint.convex else ():
            nearer = x + share * (v - x)
            if away > 0 and float((constraint.project(nearer) - nearer).norm()) <= 1e-3 * share * away:
                yield f"The projection of {name} is not the nearest point: it leaves one alone that is nearer."
                return
        if Oracle.BOUNDS in constraint.oracles:
            low, high = constraint.bounds()
            if float((x - v.clamp(low, high)).abs().max()) > SLACK * (float(x.abs().max()) + away):
                yield f"The bounds of {name} are not those that its projection keeps; mend one of the two."
                return
        if Oracle.SUPPORT in constraint.oracles:
            c = v - x
            most, lost = float(constraint.support(c)), NOISE * float(v.norm() + x.norm())  # of c, by rounding
            for other in (x, *inside):
                reached, size = float(c @ other), float(c.abs() @ other.abs()) + abs(most)
                if most < reached - SLACK * size - lost * float(other.norm()):
                    yield f"The support of {name} is {most:.6g} where a point of the set has <c, x> = {reached:.6g}."
                    return
    for x in inside:
        again = float((constraint.project(x) - x).norm())
        if again > SLACK * (1 + float(x.norm())):
            yield f"The projection of {name} moves a point it gave itself, by {again:.3g}."
            return


def adjoint_faults(operator: LinearOperator, w: Tensor, name: str) -> Iterator[str]:
    """Whether an adjoint is not that of its forward product, as a sentence."""
    d = direction(w, w, seed=5)
    image = operator.forward(d)
    u = direction(image, image, seed=6)
    along, back = float(u @ image), float(operator.adjoint(u) @ d)
    size = float((u * image).abs().sum()) + float((operator.adjoint(u) * d).abs().sum())
    if abs(along - back) > EXACT * size:
        yield (
            f"The adjoint of {name} is not that of its forward product: <u, A w> is {along:.6g} and <A^T u, w> is "
            f"{back:.6g}."
        )
