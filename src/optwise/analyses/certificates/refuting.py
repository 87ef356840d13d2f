"""Whether the parts of a problem are what they say: a gradient of its value, a proximal map of its penalty.

A certificate is computed from these parts. One that contradicts itself proves nothing, and the culprit is named. What
the library itself defines is held against its laws by tests; only what somebody else wrote is looked at here.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from optwise.core.casting import ours
from optwise.core.certificate import Certificate, CertificateKind
from optwise.core.composite import DOUBLE, Composite
from optwise.core.constraint import ConstraintSet
from optwise.core.operator import LinearOperator
from optwise.core.oracles import Oracle
from optwise.core.penalty import Penalty
from optwise.core.smooth import Smooth

STRIDE = DOUBLE ** (1 / 3)
"""Length of a difference, in sizes of the point. Source: what balances rounding and curvature of central ones."""
NOISE = 1e3
"""Rounding errors of a value that a difference of values may be off by."""
AGREEMENT = 1e-3
"""Part by which a slope may differ from a difference quotient that is as good as it looks."""
EXACT = 1e-6
"""Part by which two ways to compute one derivative may differ: inner iterations, not other formulas."""
SLACK = 1e-9
"""Part of the sizes of its terms by which an inequality may fail."""
FAR = (1.0, 30.0)
"""How many sizes of the answer away from it a projection is looked at."""
NUDGES = (1.0, 0.3, 0.03, -0.03, -0.3)
"""Where between a proximal point and what was mapped to it a lower point is looked for."""


def refuted(said: str) -> Certificate:
    """The certificate of a point of a problem that contradicts itself."""
    return Certificate(CertificateKind.STATIONARITY, "refuted", math.inf, remark=said, hopeless=True)


def refutation(problem: Composite, w: Tensor) -> str:
    r"""Name a part that is not what it says, as a sentence; empty where none is found.

    At the start and at the answer, the gradient is held against autograd or against differences of f, which it must not
    leave on both sides of a kink; f against what it claims to be,

    .. math:: f(w_0) \ge f(w) + \langle \nabla f(w), w_0 - w \rangle + \tfrac{\mu}{2} \|w_0 - w\|^2

    where it claims to be convex; the proximal map against its definition, no point x having a lower
    :math:`t g(x) + \tfrac12 \|x - v\|^2`; a conjugate against Young's inequality; a projection against nearer points;
    an adjoint against the product. Each test is a handful of values, so that it can always be made.

    Args:
        problem: In float64.
        w: The answer [p], where F is finite.
    """
    tests: list[Iterator[str]] = []
    if not ours(problem.smooth):
        tests += [_smooth(problem, w)]
    if problem.penalty is not None and not ours(problem.penalty):
        tests += [_penalty(problem, problem.penalty, w)]
    if problem.constraint is not None and not ours(problem.constraint):
        tests += [_set(problem, problem.constraint, w)]
    if problem.operator is not None and not ours(problem.operator):
        tests += [_adjoint(problem.operator, w, "A")]
    return next((said for test in tests for said in test if said), "")


def _smooth(problem: Composite, w: Tensor) -> Iterator[str]:
    smooth, start = problem.smooth, problem.start
    if smooth.model is not None and not ours(smooth.model.X):
        yield _first(_adjoint(smooth.model.X, w, "the design"))
    yield _kink(smooth, w)
    for point in (w, *(() if start is None or torch.equal(start, w) else (start,))):
        yield _gradient(smooth, point, w if start is None else start)
    if "hvp" in smooth.stated:
        yield _curvature(smooth, w)
    if start is not None and not torch.equal(start, w):
        yield _shape(smooth, w, start)
        yield _shape(smooth, start, w)
    f = float(smooth.value(w))
    if f < smooth.lower_bound - SLACK * abs(smooth.lower_bound):
        yield f"f says that it is never below {smooth.lower_bound:g}, and is {f:g} at the answer; mend its lower_bound."


def _gradient(smooth: Smooth, w: Tensor, other: Tensor) -> str:
    value, slope = smooth.value_and_gradient(w)
    if not bool(torch.isfinite(slope).all()) or not math.isfinite(float(value)):
        return ""
    exact = _by_autograd(smooth, w) if "gradient" in smooth.stated else None
    if exact is not None:
        apart, size = float((slope - exact).norm()), float(exact.norm() + slope.norm())
        if math.isfinite(size) and apart > EXACT * size:
            return _not_the_gradient(
                w, f"it has length {float(slope.norm()):.3g}, autograd's {float(exact.norm()):.3g}"
            )
        return ""
    for n in (0, 1):
        d = _direction(w, other, seed=n)
        told = float(slope @ d)
        if _between(smooth, w, d, float(value), told):
            return ""
        low, high = _slopes(smooth, w, d, float(value))
        if low <= told <= high or abs(told - 0.5 * (low + high)) <= AGREEMENT * max(abs(told), abs(low), abs(high)):
            return ""
        found = f"along one direction it says {told:.4g}, and f changes by {0.5 * (low + high):.4g}"
    return _not_the_gradient(w, found)


def _kink(smooth: Smooth, w: Tensor) -> str:
    """Whether f falls in proportion to the step on one side of the point, faster than its gradient there says.

    A derivative that autograd gives at a kink is one of several; where f bends down it hides a descent.
    """
    value, slope = smooth.value_and_gradient(w)
    here = float(value)
    noise = NOISE * DOUBLE * abs(here)
    for n in (0, 1):
        d = _direction(w, w, seed=10 + n)
        told = STRIDE * abs(float(slope @ d))
        with torch.no_grad():
            falls = {t: here - float(smooth.value(w + t * STRIDE * d)) for t in (1.0, -1.0, 0.5, -0.5)}
            again = float(smooth.value(w))
        if again != here and not math.isclose(again, here, rel_tol=NOISE * DOUBLE):
            return ""  # a function that is not the same twice cannot be held against itself
        # of a smooth f both sides cancel to second order, and a half step has a quarter of that
        both, halves, most = falls[1.0] + falls[-1.0], falls[0.5] + falls[-0.5], max(falls.values())
        if most > noise + 10 * told and both > 0.2 * most and halves > 0.4 * both:
            return (
                f"f has a kink at w = {_few(w)}: it falls by {most / STRIDE:.3g} a unit on one side, where the gradient "
                "says next to nothing; start elsewhere, or give the part with the kink as a penalty."
            )
    return ""


def _not_the_gradient(w: Tensor, found: str) -> str:
    return (
        f"The gradient is not that of f at w = {_few(w)}: {found}; mend it or leave it to autograd, and see "
        "ow.check_gradient."
    )


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
    if again != here and not math.isclose(again, here, rel_tol=NOISE * DOUBLE):
        return -math.inf, math.inf  # a function that is not the same twice cannot be held against itself
    if not all(math.isfinite(v) for v in around.values()):
        return -math.inf, math.inf
    sided = [(v - here) / t for t, v in around.items()]
    centred = [(around[h] - around[-h]) / (2 * h) for h in (STRIDE, 2 * STRIDE)]
    noise = abs(centred[0] - centred[1]) + NOISE * DOUBLE * max(abs(v) for v in (here, *around.values())) / STRIDE
    return min(sided) - noise, max(sided) + noise


def _curvature(smooth: Smooth, w: Tensor) -> str:
    d = _direction(w, w, seed=2)
    told = smooth.hvp(w, d)
    ahead, behind = (smooth.value_and_gradient(w + t * d)[1] for t in (STRIDE, -STRIDE))
    found = (ahead - behind) / (2 * STRIDE)
    noise = NOISE * DOUBLE * float(ahead.norm() + behind.norm()) / STRIDE
    apart, size = float((told - found).norm()), float(told.norm() + found.norm())
    if math.isfinite(size) and apart > 0.1 * size + noise:
        here = smooth.value_and_gradient(w)[1]
        halves = [(ahead - here) / STRIDE, (here - behind) / STRIDE]  # they differ where the curvature jumps
        if min(float((told - half).norm()) for half in halves) > 0.1 * size + 2 * noise:
            return (
                f"The Hessian product is not that of the gradient at w = {_few(w)}: it has length "
                f"{float(told.norm()):.3g}, the gradient changes by {float(found.norm()):.3g}; mend hvp or leave it to "
                "autograd."
            )
    return ""


def _shape(smooth: Smooth, a: Tensor, b: Tensor) -> str:
    """What convexity, a modulus and a Lipschitz constant say of f at b from its tangent at a."""
    f, slope = smooth.value_and_gradient(a)
    there, d = float(smooth.value(b)), b - a
    tangent, square = float(f + slope @ d), float(d @ d)
    size = SLACK * (abs(float(f)) + abs(there) + float((slope * d).abs().sum()))
    if not math.isfinite(there + tangent + size):
        return ""
    modulus, lipschitz = smooth.strong_convexity, smooth.lipschitz
    if (smooth.convex or modulus > 0) and there < tangent - size:
        return (
            f"f says that it is convex, and at w = {_few(b)} it is {there:.4g}, below its tangent from w = {_few(a)}, "
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


def _penalty(problem: Composite, penalty: Penalty, w: Tensor) -> Iterator[str]:
    image = w if problem.operator is None else problem.operator.forward(w)
    size = float(image.abs().max()) or 1.0
    mixed = _direction(image, image, seed=3)
    name = type(penalty).__name__
    g = float(penalty.value(image))
    if g < penalty.lower_bound - SLACK * abs(penalty.lower_bound):
        yield f"{name} says that it is never below {penalty.lower_bound:g}, and is {g:g} at the answer."
    if Oracle.PROX not in penalty.oracles:
        return
    steps = [_natural_step(problem, w, size)]
    steps += [size]
    for t, v in ((steps[0], _mapped(problem, w, image, steps[0])), (steps[1], size * mixed / mixed.abs().max())):
        x = penalty.prox(v, t)
        if not bool(torch.isfinite(x).all()):
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
            yield _young(penalty, (v - x) / t, [x, image, *others[:2]])


def _young(penalty: Penalty, u: Tensor, points: list[Tensor]) -> str:
    dual = float(penalty.conjugate(u))
    for x in points:
        value, product = float(penalty.value(x)), float(u @ x)
        if value + dual < product - SLACK * (abs(value) + abs(dual) + abs(product)):
            return (
                f"The conjugate of {type(penalty).__name__} is too small: g(x) + g*(u) is {value + dual:.6g} where "
                f"<u, x> is {product:.6g}; see ow.check_prox."
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


def _set(problem: Composite, constraint: ConstraintSet, w: Tensor) -> Iterator[str]:
    name = type(constraint).__name__
    size = float(w.abs().max()) or 1.0
    d = _direction(w, w, seed=4)
    outside = [w + far * size * d / d.abs().max() for far in FAR]
    outside.append(w - problem.smooth.value_and_gradient(w)[1])
    longest = outside[0].abs() == outside[0].abs().max()
    inside = [constraint.project(v) for v in (w, -w, torch.zeros_like(w), FAR[-1] * outside[0] * longest)]
    for v in outside:
        x = constraint.project(v)
        away = float((x - v).norm())
        for other in inside:
            # seen from the nearest point of a convex set, no other lies towards v
            ahead = float((v - x) @ (other - x)) if constraint.convex else 0.0
            towards = ahead > SLACK * (away + float(v.norm())) * (float((other - x).norm()) + float(x.norm()))
            if towards or float((other - v).norm()) < away - SLACK * (away + float(v.norm())):
                yield f"The projection of {name} is not the nearest point: there is a nearer one in the set."
                return
        if Oracle.SUPPORT in constraint.oracles:
            c = v - x
            most, reached = float(constraint.support(c)), max(float(c @ other) for other in (x, *inside))
            if most < reached - SLACK * (abs(most) + abs(reached)):
                yield f"The support of {name} is {most:.6g} where a point of the set has <c, x> = {reached:.6g}."
                return
    for x in inside:
        again = float((constraint.project(x) - x).norm())
        if again > SLACK * (1 + float(x.norm())):
            yield f"The projection of {name} moves a point it gave itself, by {again:.3g}."
            return


def _adjoint(operator: LinearOperator, w: Tensor, name: str) -> Iterator[str]:
    d = _direction(w, w, seed=5)
    image = operator.forward(d)
    u = _direction(image, image, seed=6)
    along, back = float(u @ image), float(operator.adjoint(u) @ d)
    size = float((u * image).abs().sum()) + float((operator.adjoint(u) * d).abs().sum())
    if abs(along - back) > EXACT * size:
        yield (
            f"The adjoint of {name} is not that of its forward product: <u, A w> is {along:.6g} and <A^T u, w> is "
            f"{back:.6g}."
        )


def _first(found: Iterator[str]) -> str:
    return next(found, "")


def _direction(w: Tensor, other: Tensor, *, seed: int) -> Tensor:
    """A direction with every coordinate as long as the point is there, or where it is 0 as another point is."""
    signs = torch.Generator().manual_seed(seed)
    pattern = (torch.rand(w.shape, generator=signs, dtype=torch.float64) - 0.5).to(w) * 2
    size = torch.maximum(w.abs(), other.abs())
    return pattern.sign() * (0.5 + 0.5 * pattern.abs()) * size.where(size > 0, 1.0)


def _few(w: Tensor) -> str:
    shown = ", ".join(f"{x:.4g}" for x in w[:3].tolist())
    return f"[{shown}{', ...' if w.numel() > 3 else ''}]"
