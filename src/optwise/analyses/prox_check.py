"""Check a penalty: its proximal map, its conjugate and what else it says of itself against its value alone."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from optwise.analyses.laws import Law, drawn, refuse_other_kind
from optwise.core.errors import BadProblem
from optwise.core.finding import Findings
from optwise.core.oracles import Oracle
from optwise.core.penalty import Penalty
from optwise.numerics.rng import torch_generator

STEPS = (0.1, 1.0, 7.0)
"""Steps of the proximal maps; 1 alone would not tell a step that is left out."""
RADII = (1.0, 0.1, 1e-2, 1e-4)
"""Of the random changes that are tried around a proximal point, relative to the way it went."""
DESCENTS = 3
"""Proximal points from which a numerical descent is started."""


def check_prox(penalty: Penalty, dimension: int, *, seed: int = 0, points: int = 20) -> Findings:
    r"""Check what a penalty says of itself, in float64 at drawn points.

    1. *prox*: nothing near :math:`x = \operatorname{prox}_{tg}(v)`, and nothing that a numerical descent finds, has a
       lower :math:`t g(x) + \tfrac12 \|x - v\|^2`.
    2. *lower-bound*: g is nowhere below its ``lower_bound``.
    3. *chords* of a convex g, and *firm-nonexpansiveness* of its map:
       :math:`\|p - q\|^2 \le \langle p - q, u - v \rangle` for p, q the maps of u, v.
    4. *step*: with :math:`u = (v - x) / t`, the map of :math:`x + s u` with any other step s is x again. That finds a
       step that is left out or put in the wrong place.
    5. *fenchel-young*, of one that has a conjugate: :math:`g(x) + g^*(u) \ge \langle x, u \rangle`, and *moreau*:
       equality for the x and u of 4; *dual-scale*: it is the largest multiple in the domain.
    6. *subdifferential*, of one that says it: ``violation`` is 0 for the x and u of 4, and ``restricted`` and
       ``prox_derivative`` agree with the map.

    Args:
        penalty: The penalty; checked in float64.
        dimension: Length of the points.
        seed: Of the points.
        points: How many, at least 10.

    Returns:
        One finding a law. What passes has met no counterexample, which is no proof.

    Raises:
        BadProblem: It has no prox, its prox gives another shape or dtype, or there are too few points.

    Example:
        >>> class Forgetful(Penalty):
        ...     def value(self, w):
        ...         return w.abs().sum(-1)
        ...
        ...     def prox(self, v, step):
        ...         return v.sign() * (v.abs() - 1).clamp(min=0)  # the step is missing
        >>> [finding.check for finding in check_prox(Forgetful(), 3) if finding.advice]
        ['prox', 'step']

    References:
        Moreau (1965), Proximité et dualité dans un espace hilbertien; Bauschke and Combettes (2017), Convex Analysis
        and Monotone Operator Theory, propositions 4.4 and 12.26.
    """
    if Oracle.PROX not in penalty.oracles:
        raise BadProblem(f"{type(penalty).__name__} has no prox to check; add `prox(v, step)` to it.")
    if points < 10 or dimension < 1:
        raise BadProblem(f"A check was asked for at {points} points of length {dimension}; give at least 10, and 1.")
    penalty = penalty.to(dtype=torch.float64)
    generator = torch_generator(seed)
    places = drawn(points, dimension, generator)  # [N, p]
    mapped = [(v, t, penalty.prox(v, t)) for i, v in enumerate(places) for t in (STEPS[i % 3], STEPS[(i + 1) % 3])]
    refuse_other_kind(f"{type(penalty).__name__}.prox", mapped[0][0], mapped[0][2])
    # values may be infinite at all drawn points
    within = [*places, *(x for _, _, x in mapped[::2])]
    laws = [_prox(penalty, mapped, generator), _lower_bound(penalty, within)]
    if penalty.convex:
        laws += [_chords(penalty, within), _firm(mapped), _step(penalty, mapped)]
        if Oracle.CONJUGATE in penalty.oracles:
            laws += [_fenchel_young(penalty, within, mapped), _moreau(penalty, mapped), _dual_scale(penalty, places)]
    if Oracle.SUBDIFFERENTIAL in penalty.oracles:
        laws.append(_subdifferential(penalty, mapped))
    return Findings(law.finding(type(penalty).__name__) for law in laws)


Mapped = list[tuple[Tensor, float, Tensor]]


def _prox(penalty: Penalty, mapped: Mapped, generator: torch.Generator) -> Law:
    law = Law(
        "prox",
        "the prox minimises step * value(x) + |x - v|^2 / 2",
        "definition of the proximal map",
        "Derive prox(v, step) from value again: the step multiplies the value, and the square has the factor 1/2.",
    )
    for i, (v, t, x) in enumerate(mapped):
        own = _objective(penalty, x, v=v, t=t)
        best, z = own, x
        for candidate in _candidates(penalty, mapped[i], generator, descend=i < DESCENTS):
            value = _objective(penalty, candidate, v=v, t=t)
            if value < best or not math.isfinite(own):
                best, z = value, candidate
        size = abs(own) + 0.5 * float(v @ v)
        violation = own - best if math.isfinite(own) else math.inf
        law.tried(violation, size, "step {} and v = {}: {} has {}, {} has {}", t, v, x, own, z, best)
    return law


def _objective(penalty: Penalty, x: Tensor, *, v: Tensor, t: float) -> float:
    return t * float(penalty.value(x)) + 0.5 * float((x - v) @ (x - v))


def _candidates(
    penalty: Penalty, mapped: tuple[Tensor, float, Tensor], generator: torch.Generator, *, descend: bool
) -> Iterator[Tensor]:
    """Points that may be better than a proximal point: around it, on the way, by coordinates, by descent."""
    v, _, x = mapped
    yield from (v, torch.zeros_like(v), 0.5 * (v + x))
    length = float((v - x).norm()) or float(v.norm()) or 1.0
    for radius in RADII:
        for direction in torch.randn(4, v.numel(), generator=generator, dtype=v.dtype):
            yield x + radius * length * direction / direction.norm()
        for axis in torch.eye(v.numel(), dtype=v.dtype)[:16]:
            yield x + radius * length * axis
            yield x - radius * length * axis
        yield x + radius * (v - x)
        yield x - radius * (v - x)
    if descend:
        yield _descended(penalty, mapped)


def _descended(penalty: Penalty, mapped: tuple[Tensor, float, Tensor]) -> Tensor:
    """What Powell's method, which needs no derivative, makes of a proximal point."""
    from scipy.optimize import minimize

    v, t, x = mapped
    wall = 1e6 * (1 + float(v @ v))  # it cannot reckon with infinite values

    def height(z: NDArray[np.float64]) -> float:
        value = _objective(penalty, torch.from_numpy(z), v=v, t=t)
        return min(wall, value)

    found = minimize(height, x.numpy(), method="Powell", options={"maxiter": 5})
    return torch.from_numpy(found.x)


def _lower_bound(penalty: Penalty, places: list[Tensor]) -> Law:
    law = Law(
        "lower-bound",
        f"the value is nowhere below lower_bound = {penalty.lower_bound:g}",
        "contract of Penalty",
        "Lower lower_bound, or leave it at -inf: certificates of optimality rely on it.",
    )
    for x in places:
        value = float(penalty.value(x))
        below = penalty.lower_bound - value if math.isfinite(penalty.lower_bound) else -1.0
        law.tried(below, abs(value) + abs(below), "{} at {}", value, x)
    return law


def _chords(penalty: Penalty, places: list[Tensor]) -> Law:
    law = Law(
        "chords",
        "the value lies below its chords",
        "definition of convexity",
        "Set convex = False on the class, or mend value: solvers and certificates rely on convexity.",
    )
    for x, y in pairwise(places):
        ends, middle = (float(penalty.value(x)), float(penalty.value(y))), float(penalty.value(0.5 * (x + y)))
        if all(math.isfinite(end) for end in ends):
            size = abs(ends[0]) + abs(ends[1])
            law.tried(
                middle - 0.5 * sum(ends), size, "{} in the middle of {} and {} with {} and {}", middle, x, y, *ends
            )
    return law


def _firm(mapped: Mapped) -> Law:
    law = Law(
        "firm-nonexpansiveness",
        "|p - q|^2 <= <p - q, u - v> for the maps p, q of u, v",
        "Bauschke and Combettes (2017), proposition 12.28",
        "No convex value has this map: compare prox with value, entry by entry.",
    )
    for i, (v, t, x) in enumerate(mapped):
        for u, s, y in mapped[i + 1 :]:
            if s == t:
                apart, before = x - y, v - u
                violation, size = float(apart @ apart - apart @ before), float(before @ before + x @ x + y @ y)
                law.tried(violation, size, "step {}, {} to {}, {} to {}", t, v, x, u, y)
    return law


def _step(penalty: Penalty, mapped: Mapped) -> Law:
    law = Law(
        "step",
        "prox(x + s u, s) is x for every step s where u = (v - x) / t is a subgradient at x = prox(v, t)",
        "Moreau (1965)",
        "Look at where step enters prox: as a threshold it multiplies the weight.",
    )
    for v, t, x in mapped:
        for s in STEPS:
            if s != t:
                place = x + s * (v - x) / t
                again = penalty.prox(place, s)
                size = float(x.norm() + place.norm())
                example = "{} from v = {} with step {}, but {} with step {}"
                law.tried(float((again - x).norm()), size, example, x, v, t, again, s)
    return law


def _fenchel_young(penalty: Penalty, places: list[Tensor], mapped: Mapped) -> Law:
    law = Law(
        "fenchel-young",
        "value(x) + conjugate(u) >= <x, u>",
        "Fenchel (1949), On conjugate convex functions",
        "Make conjugate larger: a gap that is too small calls points optimal that are not.",
    )
    duals = [(v - x) / t for v, t, x in mapped] + [penalty.dual_scale(u) * u for u in places]
    for i, x in enumerate(places):
        for u in duals[i % 5 :: 5]:
            value, conjugate, product = float(penalty.value(x)), float(penalty.conjugate(u)), float(x @ u)
            size = abs(value) + float(x.norm() * u.norm()) + (abs(conjugate) if math.isfinite(conjugate) else 0.0)
            if math.isfinite(value) and conjugate != math.inf:
                example = "{} + {} < {} at x = {}, u = {}"
                law.tried(product - value - conjugate, size, example, value, conjugate, product, x, u)
    return law


def _moreau(penalty: Penalty, mapped: Mapped) -> Law:
    law = Law(
        "moreau",
        "value(x) + conjugate(u) = <x, u> for x = prox(v, t), u = (v - x) / t",
        "Moreau (1965)",
        "Derive conjugate from value again, domain included: it belongs to value without any step.",
    )
    for v, t, place in mapped:
        # the same subgradient by a longer step, which divides the rounding of v - x by more
        s = 1 + float(place.norm())
        away = place + s * (v - place) / t
        x = penalty.prox(away, s)
        u = (away - x) / s
        value, product = float(penalty.value(x)), float(x @ u)
        # what is left of it may still put u just outside a domain that is bounded
        conjugate = min(float(penalty.conjugate(factor * u)) for factor in (1.0, 1 - 1e-11))
        violation, size = abs(value + conjugate - product), abs(value) + abs(product) + float(u @ u)
        law.tried(violation, size, "{} + {} against {} at x = {}, u = {}", value, conjugate, product, x, u)
    return law


def _dual_scale(penalty: Penalty, places: Tensor) -> Law:
    law = Law(
        "dual-scale",
        "dual_scale(u) is the largest t in [0, 1] with a finite conjugate(t u)",
        "contract of Penalty",
        "Add dual_scale where the conjugate has a bounded domain: without it most duality gaps are infinite.",
    )
    for u in places:
        t = penalty.dual_scale(u)
        inside = math.isfinite(float(penalty.conjugate(t * u)))
        further = min(1.0, 1.001 * t + 1e-9)
        beyond = t < 1 and math.isfinite(float(penalty.conjugate(further * u)))
        wrong = beyond or not inside or not 0 <= t <= 1
        there = "finite further out" if beyond else "infinite"
        law.tried(float(wrong), 1.0, f"t = {{}} at u = {{}}, where the conjugate is {there}", t, u)
    return law


def _subdifferential(penalty: Penalty, mapped: Mapped) -> Law:
    law = Law(
        "subdifferential",
        "violation is 0 for subgradients, prox_derivative is the slope of prox, restricted is the same on some entries",
        "contract of Penalty",
        "Compare violation, prox_derivative and restricted with prox, entry by entry.",
        tol=1e-6,  # a difference quotient has no more digits
    )
    for v, t, x in mapped:
        off = penalty.violation(x, -(v - x) / t)
        law.tried(float(off.max()), float(v.abs().max()) / t, "violation {} at x = {}", off, x)
        h = 1e-6 * (1 + v.abs())
        sides = [(penalty.prox(v + sign * h, t) - x) / (sign * h) for sign in (1.0, -1.0)]
        slope = penalty.prox_derivative(v, t)
        beside = torch.stack([side - slope for side in sides]).abs().min(0).values  # a kink has a slope to each side
        law.tried(float(beside.max()), 1.0, "prox_derivative {} at v = {} with step {}", slope, v, t)
        some = torch.arange(0, v.numel(), 2)
        apart = (penalty.restricted(some).prox(v[some], t) - x[some]).abs().max()
        law.tried(float(apart), float(v.abs().max()), "restricted to every second entry of v = {}", v)
    return law
