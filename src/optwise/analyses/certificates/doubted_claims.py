"""What a smooth term says of its shape, held against its curvatures, its values and its residuals."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from optwise.analyses.certificates.doubted_points import AGREEMENT, EXACT, NOISE, SLACK, STRIDE, direction, few
from optwise.core.smooth import Residuals, Smooth
from optwise.numerics.finiteness import all_finite

LENGTHS = (1e-2, 1e-4)
"""Sizes of the point over which slopes are held against a curvature before anything is said of it."""
CURVED = 1e-5
"""Part of the largest curvature by which a claim may be off: derivatives may be computed in float32."""
LOOSE = 1e-2
"""Part by which a Lipschitz constant may be too small: it is a step length, and nothing is proved by it."""
DOWN = (0.1, 1.0, 10.0)
"""Times a gradient step that would end at the lower bound if f were linear."""


def claim_faults(smooth: Smooth, w: Tensor, value: Tensor, slope: Tensor) -> Iterator[str]:
    """What curvatures seen at a point, and values downhill of it, contradict, a sentence each."""
    if not all_finite(slope):
        return
    if smooth.convex or smooth.strong_convexity > 0 or smooth.lipschitz is not None:
        yield _curves_otherwise(smooth, w, slope)
    yield _below_its_bound(smooth, w, float(value), slope)
    if smooth.residuals is not None and smooth.residuals.stated:
        yield _wrong_rows(smooth.residuals, w)


def _curves_otherwise(smooth: Smooth, w: Tensor, slope: Tensor) -> str:
    seen = _seen_curvatures(smooth, w, slope)
    if not seen:
        return ""
    (low, down), (high, up) = min(seen, key=lambda each: each[0]), max(seen, key=lambda each: each[0])
    off, modulus, lipschitz = CURVED * max(abs(low), abs(high)), smooth.strong_convexity, smooth.lipschitz
    if low < modulus - CURVED * modulus - off and (modulus > 0 or smooth.convex):
        # a gradient that is differentiated may lose what its own derivative is made of: differences must agree
        if not any(least < modulus for least, _ in _steepenings(smooth, w, down)):
            return ""
        if modulus > 0:
            return (
                f"f says that its modulus of strong convexity is {modulus:g}, and curves by {low:.3g} in a direction "
                f"at w = {few(w)}; give a smaller one."
            )
        return (
            f"f says that it is convex, and curves down by {-low:.3g} in a direction at w = {few(w)}; take convex=True "
            "away."
        )
    if lipschitz is None or high <= lipschitz * (1 + LOOSE) + off:
        return ""
    if not any(most > lipschitz for _, most in _steepenings(smooth, w, up)):
        return ""
    return (
        f"f says that its gradient has the Lipschitz constant {lipschitz:g}, and curves by {high:.3g} in a direction "
        f"at w = {few(w)}; give a larger one, or none."
    )


def _steepenings(smooth: Smooth, w: Tensor, v: Tensor) -> Iterator[tuple[float, float]]:
    """By how much at least and at most the slope along a unit vector changes over a unit, as differences tell."""
    size = float(w.abs().max()) or 1.0
    for t in LENGTHS:
        ahead, behind = (smooth.value_and_gradient(w + side * t * size * v)[1] for side in (1.0, -1.0))
        noise = EXACT * float(ahead.norm() + behind.norm())
        change = float((ahead - behind) @ v)
        if math.isfinite(change + noise):
            yield (change + noise) / (2 * t * size), (change - noise) / (2 * t * size)


def _seen_curvatures(smooth: Smooth, w: Tensor, slope: Tensor) -> list[tuple[float, Tensor]]:
    """Curvatures of f and unit vectors that have them, in two of Krylov's planes; none where autograd sees none."""
    with torch.enable_grad():
        point = w.detach().requires_grad_()
        try:
            (gradient,) = torch.autograd.grad(
                smooth.value(point), point, create_graph=True, allow_unused=True, materialize_grads=True
            )
        except RuntimeError:
            return []
    if not gradient.requires_grad:
        return []

    def product(v: Tensor) -> Tensor:
        (found,) = torch.autograd.grad(gradient, point, v, retain_graph=True, allow_unused=True, materialize_grads=True)
        image: Tensor = found
        return image

    found: list[tuple[float, Tensor]] = []
    for start in (slope, direction(torch.ones_like(w), w, seed=12)):
        length = float(start.norm())
        if 0 < length < math.inf:
            try:
                found += _in_a_plane(product, start / length)
            except RuntimeError:  # a backward that has no derivative of its own
                return []
    return found if all(math.isfinite(curvature) for curvature, _ in found) else []


def _in_a_plane(product: Callable[[Tensor], Tensor], v: Tensor) -> list[tuple[float, Tensor]]:
    """The least and the largest curvature in the plane of a unit vector and its image."""
    image = product(v)
    own = float(v @ image)
    rest = image - own * v
    beside = float(rest.norm())
    if not SLACK * abs(own) < beside < math.inf:
        return [(own, v)]
    u = rest / beside
    other = float(u @ product(u))
    half = math.atan2(2 * beside, own - other) / 2  # the angle of the largest
    middle, spread = 0.5 * (own + other), math.hypot(0.5 * (own - other), beside)
    c, s = math.cos(half), math.sin(half)
    return [(middle + spread, c * v + s * u), (middle - spread, c * u - s * v)]


def _below_its_bound(smooth: Smooth, w: Tensor, value: float, slope: Tensor) -> str:
    least, steep = smooth.lower_bound, float(slope @ slope)
    points = [w]
    if math.isfinite(least) and 0 < steep < math.inf and value > least:
        points += [w - share * (value - least) / steep * slope for share in DOWN]
    for point in points if math.isfinite(least) else ():
        with torch.no_grad():
            f = float(smooth.value(point))
        if f < least - SLACK * max(abs(least), abs(value)):
            return f"f says that it is never below {least:g}, and is {f:g} at w = {few(point)}; mend its lower_bound."
    return ""


def _wrong_rows(residuals: Residuals, w: Tensor) -> str:
    """Whether a row of a Jacobian is not the derivative of its residual, held against differences on both sides."""
    J = residuals.jacobian(w)
    for seed in (13, 14):
        d = direction(w, w, seed=seed)
        with torch.no_grad():
            here, *sides = (residuals.value(w + t * d) for t in (0.0, STRIDE, -STRIDE, 2 * STRIDE, -2 * STRIDE))
        if not all(all_finite(side) for side in sides):
            return ""
        told, short, long = J @ d, (sides[0] - sides[1]) / (2 * STRIDE), (sides[2] - sides[3]) / (4 * STRIDE)
        halves = ((sides[0] - here) / STRIDE, (here - sides[1]) / STRIDE)  # they differ at a kink
        room = 2 * (short - long).abs() + (halves[0] - halves[1]).abs() + NOISE * here.abs() / STRIDE
        wrong = (told - short).abs() > room + AGREEMENT * torch.maximum(told.abs(), short.abs())
        for k in torch.nonzero(wrong)[:1, 0].tolist():
            return (
                f"The Jacobian is not that of the residuals at w = {few(w)}: along one direction its row {k} says "
                f"{float(told[k]):.4g}, and the residual changes by {float(short[k]):.4g}; mend it or leave it to "
                "autograd."
            )
    return ""
