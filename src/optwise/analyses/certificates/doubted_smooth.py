"""What contradicts itself in a smooth term: its gradient, its Hessian products, what it says of its shape."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from optwise.analyses.certificates.doubted_claims import claim_faults
from optwise.analyses.certificates.doubted_parts import adjoint_faults, loss_faults
from optwise.analyses.certificates.doubted_penalties import young_fault
from optwise.analyses.certificates.doubted_points import AGREEMENT, EXACT, LEAST, NOISE, SLACK, STRIDE, direction, few
from optwise.core.casting import ours
from optwise.core.composite import Composite
from optwise.core.smooth import Smooth
from optwise.numerics.finiteness import all_finite

SHORTER = (1e-3 * STRIDE, 1e-6 * STRIDE)
"""Lengths over which f must change alike before its gradient is accused."""
SPREADS = (1.0, -1.0, 10.0, -10.0)
"""How many sizes of the answer away from it convexity is looked at."""

RESOLVED, CLOSE = 1e3, 0.1
"""How much more than noise f must change for its slope to be seen, and the part by which they may differ there."""
Seen = tuple[Tensor, Tensor, Tensor]
"""A point [p], f there and its gradient [p]."""


def smooth_faults(problem: Composite, w: Tensor) -> Iterator[str]:
    """What contradicts itself in a smooth term at the answer and at the start, a sentence each."""
    smooth, start = problem.smooth, problem.start
    if smooth.model is not None and not ours(smooth.model.X):
        yield from adjoint_faults(smooth.model.X, w, "the design")
    if smooth.model is not None and not ours(smooth.model.loss):
        yield from loss_faults(smooth.model, w)
    yield _unsteady(problem, w)
    here = (w, *smooth.value_and_gradient(w))
    yield _kink(smooth, here)
    yield _gradient(smooth, here, w if start is None else start)
    if start is not None and not torch.equal(start, w):
        yield _gradient(smooth, (start, *smooth.value_and_gradient(start)), w)
    if "hvp" in smooth.stated:
        yield _curvature(smooth, w)
    if type(smooth).conjugate is not Smooth.conjugate:
        points = torch.stack([w, *_others(problem, w)])
        slopes = torch.stack([smooth.value_and_gradient(point)[1] for point in points])
        yield young_fault(smooth.value, smooth.conjugate, torch.cat([slopes, 0.5 * slopes]), points, "f")
    for point in _others(problem, w) if _says_something(smooth) else ():
        if not torch.equal(point, w):
            there = (point, *smooth.value_and_gradient(point))
            yield _shape(smooth, here, there)
            yield _shape(smooth, there, here)
    yield from claim_faults(smooth, *here)


def _others(problem: Composite, w: Tensor) -> list[Tensor]:
    """Points that what f says of its shape is held against: the start, and others near and far, all of the set."""
    start, smooth = problem.start, problem.smooth
    found = [] if start is None else [start]
    if smooth.convex or smooth.strong_convexity > 0:
        spread = direction(w, w if start is None else start, seed=7)
        found += [-w, torch.zeros_like(w), *(w + far * spread for far in SPREADS)]
    return found if problem.constraint is None else [problem.constraint.project(point) for point in found]


def _gradient(smooth: Smooth, at: Seen, other: Tensor) -> str:
    w, value, slope = at
    if not all_finite(slope) or not LEAST < abs(float(value)) < math.inf:
        return ""
    exact = _by_autograd(smooth, w) if "gradient" in smooth.stated else None
    if exact is not None:
        apart, size = float((slope - exact).norm()), float(exact.norm() + slope.norm())
        if math.isfinite(size) and apart > EXACT * size:
            return _not_the_gradient(
                smooth, w, f"it has length {float(slope.norm()):.3g}, autograd's {float(exact.norm()):.3g}"
            )
        return ""
    for n in (0, 1):
        d = direction(w, other, seed=n)
        told = float(slope @ d)
        if _between(smooth, w, d, float(value), told):
            return ""
        low, high = _slopes(smooth, w, d, float(value))
        if low <= told <= high or abs(told - 0.5 * (low + high)) <= AGREEMENT * max(abs(told), abs(low), abs(high)):
            return ""
        if any(not _straight(smooth, w, t * d, (t * low, t * high)) for t in SHORTER):
            return ""
        if abs(told) > max(abs(low), abs(high)) and _close_by(smooth, w, d, float(value), told):
            return ""
        by = "it" if "gradient" in smooth.stated else "autograd"
        found = f"along one direction {by} says {told:.4g}, and f changes by {0.5 * (low + high):.4g}"
    return _not_the_gradient(smooth, w, found)


def _unsteady(problem: Composite, w: Tensor) -> str:
    """Whether f is another one when it is asked again: at the answer at once, at the start after all of the solve."""
    smooth, start = problem.smooth, problem.start
    with torch.no_grad():
        seen = [(float(smooth.value(w)), float(smooth.value(w.clone())), "at the answer")]
        if start is not None and math.isfinite(problem.start_value):
            first = problem.start_value - problem.g(start)
            seen.append((first, float(smooth.value(start.clone())), "at the start"))
    for one, other, where in seen:
        size = max(abs(one), abs(other), abs(problem.start_value) if where == "at the start" else 0.0)
        if abs(one - other) > NOISE * size or math.isfinite(one) != math.isfinite(other):
            return (
                f"f is not the same twice: {where} it was {one:.6g} and, asked again, {other:.6g}, so that nothing can "
                "be proved of it; give a function of w alone."
            )
    return ""


def _kink(smooth: Smooth, at: Seen) -> str:
    """Whether f falls in proportion to the step on one side of the point, faster than its gradient there says.

    A derivative that autograd gives at a kink is one of several; where f bends down it hides a descent.
    """
    w, value, slope = at
    here = float(value)
    if not LEAST < abs(here) < math.inf:
        return ""
    noise = NOISE * abs(here)
    for n in (0, 1):
        d = direction(w, w, seed=10 + n)
        told = STRIDE * abs(float(slope @ d))
        with torch.no_grad():
            falls = {t: here - float(smooth.value(w + t * STRIDE * d)) for t in (1.0, -1.0, 0.5, -0.5)}
            again = float(smooth.value(w))
        if again != here and not math.isclose(again, here, rel_tol=NOISE):
            return ""  # a function that is not the same twice cannot be held against itself
        # of a smooth f both sides cancel to second order, and a half step has a quarter of that
        both, halves, most = falls[1.0] + falls[-1.0], falls[0.5] + falls[-0.5], max(falls.values())
        if most > noise + 10 * told and both > 0.2 * most and halves > 0.4 * both:
            return (
                f"f has a kink at w = {few(w)}: it falls by {most / STRIDE:.3g} a unit on one side, where its gradient "
                "says little; start elsewhere, or give the part with the kink as a penalty."
            )
    return ""


def _not_the_gradient(smooth: Smooth, w: Tensor, found: str) -> str:
    own = "gradient" in smooth.stated
    mend = "mend it or leave it to autograd" if own else "mend what autograd loses of it, detached or rounded"
    return f"The gradient is not that of f at w = {few(w)}: {found}; {mend}, and see ow.check_gradient."


def _by_autograd(smooth: Smooth, w: Tensor) -> Tensor | None:
    try:
        _, slope = Smooth.value_and_gradient(smooth, w)
        with torch.enable_grad():
            seen = smooth.value(w.detach().requires_grad_()).requires_grad
    except RuntimeError:
        return None
    return slope if seen else None


def _between(smooth: Smooth, w: Tensor, d: Tensor, here: float, told: float) -> bool:
    """Whether a slope lies between the one-sided ones over a short way, as at a point where f bends up it does."""
    with torch.no_grad():
        ahead, behind = (float(smooth.value(w + t * d)) for t in (STRIDE, -STRIDE))
    low, high = sorted(((ahead - here) / STRIDE, (here - behind) / STRIDE))
    return bool(low <= told <= high)


def _slopes(smooth: Smooth, w: Tensor, d: Tensor, here: float) -> tuple[float, float]:
    """The least and the largest one-sided slope along d that values at two distances leave room for."""
    with torch.no_grad():
        around = {t: float(smooth.value(w + t * d)) for h in (STRIDE, 2 * STRIDE) for t in (-h, h)}
        again = float(smooth.value(w))
    if again != here and not math.isclose(again, here, rel_tol=NOISE):
        return -math.inf, math.inf  # a function that is not the same twice cannot be held against itself
    if not all(math.isfinite(v) for v in around.values()):
        return -math.inf, math.inf
    sided = [(v - here) / t for t, v in around.items()]
    centred = [(around[h] - around[-h]) / (2 * h) for h in (STRIDE, 2 * STRIDE)]
    noise = abs(centred[0] - centred[1]) + NOISE * max(abs(v) for v in (here, *around.values())) / STRIDE
    return min(sided) - noise, max(sided) + noise


def _straight(smooth: Smooth, w: Tensor, step: Tensor, changes: tuple[float, float]) -> bool:
    """Whether f changes as told over a shorter way too: it may have bent long before the end of a longer one.

    Args:
        smooth: f.
        w: The point [p].
        step: The shorter way [p].
        changes: The least and the largest change over it that longer ones leave room for.
    """
    with torch.no_grad():
        ahead, behind = (float(smooth.value(w + side * step)) for side in (1.0, -1.0))
    noise, (low, high) = NOISE * max(abs(ahead), abs(behind)), changes
    return low - noise <= 0.5 * (ahead - behind) <= high + noise


def _close_by(smooth: Smooth, w: Tensor, d: Tensor, here: float, told: float) -> bool:
    """Whether f changes as a steep slope says over the shortest way on which rounding leaves it to be seen."""
    t = min(STRIDE, RESOLVED * NOISE * abs(here) / abs(told))
    with torch.no_grad():
        ahead, behind = (float(smooth.value(w + side * t * d)) for side in (1.0, -1.0))
    return bool(abs(0.5 * (ahead - behind) - told * t) <= CLOSE * abs(told) * t)


def _curvature(smooth: Smooth, w: Tensor) -> str:
    d = direction(w, w, seed=2)
    told = smooth.hvp(w, d)
    ahead, behind = (smooth.value_and_gradient(w + t * d)[1] for t in (STRIDE, -STRIDE))
    found = (ahead - behind) / (2 * STRIDE)
    noise = NOISE * float(ahead.norm() + behind.norm()) / STRIDE
    apart, size = float((told - found).norm()), float(told.norm() + found.norm())
    if math.isfinite(size) and apart > 0.1 * size + noise:
        here = smooth.value_and_gradient(w)[1]
        halves = [(ahead - here) / STRIDE, (here - behind) / STRIDE]  # they differ where the curvature jumps
        if min(float((told - half).norm()) for half in halves) > 0.1 * size + 2 * noise:
            return (
                f"The Hessian product is not that of the gradient at w = {few(w)}: it has length "
                f"{float(told.norm()):.3g}, the gradient changes by {float(found.norm()):.3g}; mend hvp or leave it to "
                "autograd."
            )
    return ""


def _says_something(smooth: Smooth) -> bool:
    return smooth.convex or smooth.strong_convexity > 0 or smooth.lipschitz is not None


def _shape(smooth: Smooth, at: Seen, to: Seen) -> str:
    """What convexity, a modulus and a Lipschitz constant say of f at one point from its tangent at another."""
    a, f, slope = at
    b, there, d = to[0], float(to[1]), to[0] - a
    tangent, square = float(f + slope @ d), float(d @ d)
    size = SLACK * (abs(float(f)) + abs(there) + float((slope * d).abs().sum()))
    if not math.isfinite(there + tangent + size):
        return ""
    modulus, lipschitz = smooth.strong_convexity, smooth.lipschitz
    if (smooth.convex or modulus > 0) and there < tangent - size:
        return (
            f"f says that it is convex, and at w = {few(b)} it is {there:.4g}, below its tangent from w = {few(a)}, "
            f"{tangent:.4g}; take convex=True away."
        )
    if modulus > 0 and there < tangent + 0.5 * modulus * square - size:
        return f"f says that its modulus of strong convexity is {modulus:g}, and bends less on the way to the answer."
    if lipschitz is not None and there > tangent + 0.5 * lipschitz * square + size:
        return (
            f"f says that its gradient has the Lipschitz constant {lipschitz:g}, and bends more on the way to the "
            "answer; give a larger one, or none."
        )
    return ""
