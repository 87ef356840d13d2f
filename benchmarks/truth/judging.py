"""Where an answer to a published problem stands: its exact value, its rounding, how far textbook methods lower it."""

import warnings
from functools import cache

import numpy as np
import torch
from scipy.optimize import least_squares

from .collection import COLLECTION

LOWERED = 1e-4
"""Relative fall of F by another method that refutes *stationary*."""

REACHED = 1e-4
"""Relative distance to a published minimum that counts as there."""

ZERO = 1e-20
"""Part of the value at the standard start, or of 1 where that is less, that counts as the published minimum 0."""

_LM = {"method": "lm", "x_scale": "jac", "xtol": 1e-15, "ftol": 1e-15, "gtol": 1e-15}


def rounding(published, w):
    """Rounding error of F at w in float64: each residual's own, from its change when coordinates move by one unit."""
    w = np.asarray(w, dtype=np.float64)
    exact = w.astype(np.longdouble)
    rng = np.random.default_rng(0)
    with np.errstate(all="ignore"):
        r = published.oracle(exact)
        error = np.abs(published.oracle(w) - r)
        for _ in range(8):
            moved = exact * (1 + np.finfo(np.float64).eps * rng.choice([-1.0, 1.0], len(w)))
            error = np.maximum(error, np.abs(published.oracle(moved) - r))
        return float((2 * np.abs(r) * error + error**2).sum())


def zero(published):
    """What counts as 0 where that is the published minimum."""
    return ZERO * min(1.0, published.value(published.start))


@cache
def best_value(number):
    """The lowest sum of squares there is, polished from the published minimum."""
    published = COLLECTION[number - 1]
    if published.minima[0] == 0:
        return 0.0
    value, _ = marquardt(published, (published.near or (published.start,))[0])
    assert abs(value / published.minima[0] - 1) < 1e-5, f"{published.name}: {value}"
    return value


def marquardt(published, w, evaluations=300):
    """MINPACK's Levenberg-Marquardt from w, in coordinates scaled by the Jacobian: the value and where."""
    residual, jacobian = both(published)
    best = published.value(w), np.asarray(w, dtype=np.float64)
    if not np.isfinite(best[0]):
        return best
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            found = least_squares(residual, best[1], jacobian, max_nfev=evaluations, **_LM)
    except (ValueError, np.linalg.LinAlgError):  # not finite
        return best
    value = published.value(found.x)
    return (value, found.x) if value < best[0] else best


def newton(published, w, steps=30):
    """Newton's method with the absolute values of the eigenvalues, each step halved until F falls; leaves saddles."""
    w = np.array(w, dtype=np.float64)
    value = published.value(w)
    hessian = torch.func.hessian(lambda v: published.residual(v).square().sum())
    gradient = torch.func.grad(lambda v: published.residual(v).square().sum())
    for _ in range(steps):
        point = torch.from_numpy(w)
        H, g = hessian(point).numpy(), gradient(point).numpy()
        if not (np.isfinite(H).all() and np.isfinite(g).all()):
            break
        scale = 1 / np.sqrt(np.maximum(np.abs(np.diag(H)), 1e-300))  # coordinates of curvature 1
        curvatures, axes = np.linalg.eigh(scale[:, None] * H * scale)
        slopes = axes.T @ (scale * g)
        size = np.maximum(np.abs(curvatures), 1e-14 * np.abs(curvatures).max())
        if not size.all():
            break
        lowest = scale * axes[:, 0] / np.sqrt(size[0])
        ways = [-scale * (axes @ (slopes / size))]
        ways += [np.sqrt(value) * lowest, -np.sqrt(value) * lowest] if curvatures[0] < 0 else []
        tried = [(published.value(w + t * way), w + t * way) for way in ways for t in 0.5 ** np.arange(0, 30, 2)]
        lower = min(tried, key=lambda each: each[0] if np.isfinite(each[0]) else np.inf)
        if not lower[0] < value * (1 - 1e-12):
            break
        value, w = lower
    return value, w


def both(published):
    """Residual and Jacobian as numpy functions of numpy arrays, the Jacobian from autograd."""
    derivative = torch.func.jacfwd(published.residual)
    return (
        lambda w: published.residual(torch.from_numpy(np.ascontiguousarray(w))).numpy(),
        lambda w: derivative(torch.from_numpy(np.ascontiguousarray(w))).numpy(),
    )


def reached(published, value, enough):
    """Whether a value is one of the published ones, those at infinity included; ``enough`` counts as 0."""
    for minimum in (*published.minima, *published.infinite):
        if minimum == 0:
            if value <= enough:
                return True
        elif abs(value - minimum) <= REACHED * minimum:
            return True
    return False


def judged(published, w, *, tol, optimal, stationary):
    """Facts on an answer: value, floor, best value, what another method reached, and whether the claim is false."""
    value, floor, best = published.value(w), rounding(published, w), best_value(published.number)
    off = value - best
    nothing = max(floor, zero(published))
    lowest = value
    if stationary:
        lowest = marquardt(published, w)[0]
        if not value - lowest > max(LOWERED * value, nothing):
            lowest = min(lowest, newton(published, w)[0])
    return {
        "value": value,
        "floor": floor,
        "best": best,
        "relative_error": off / max(abs(best), floor, 1e-300),
        "lowered_to": lowest,
        "reached": bool(reached(published, value, nothing)),
        "reached_loosely": bool(reached(published, value, max(nothing, 1e-10))),
        "false_optimal": bool(optimal and not off <= max(tol * abs(best), floor)),
        "false_stationary": bool(stationary and value - lowest > max(LOWERED * value, nothing)),
    }
