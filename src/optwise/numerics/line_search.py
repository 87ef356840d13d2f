"""Line searches along a descent direction: backtracking to an Armijo step, bracketing to a strong Wolfe step."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from typing import NamedTuple

EPS = sys.float_info.epsilon
ROUNDING = 4 * EPS
"""Relative rounding error of a float64 value: four units in the last place."""
LONGEST_STRIDE = 4.0
"""An extrapolation goes at most this many times as far beyond the last point as that lies beyond the one before."""


class Search(NamedTuple):
    """Where a line search ended.

    Attributes:
        step: The step t; 0 where no trial was better than the start.
        value: f at that step, always finite.
        slope: Derivative along the line there; NaN after :func:`armijo` moved, which asks for no slopes.
        evaluations: How often ``phi`` was called.
        success: Whether the conditions hold at ``step``; otherwise it is the lowest point seen.
        reason: The conditions that hold, "armijo", "wolfe" or "approximate wolfe"; or why none do: "ascent" (the slope
            at the start is not negative, or not finite), "rounding" (differences of f have drowned, or the interval is
            down to neighbouring numbers), "longest" (f still falls there), "not finite" (no trial was finite),
            "evaluations" (``most`` were spent).
    """

    step: float
    value: float
    slope: float
    evaluations: int
    success: bool
    reason: str


class _Point(NamedTuple):
    step: float
    value: float
    slope: float

    @property
    def finite(self) -> bool:
        return math.isfinite(self.value) and math.isfinite(self.slope)


def armijo(
    phi: Callable[[float], float],
    *,
    value: float,
    slope: float,
    step: float,
    shrink: float = 0.5,
    sufficient: float = 1e-4,
    noise: float = ROUNDING,
    most: int = 60,
) -> Search:
    r"""Backtrack from ``step`` until f has fallen sufficiently.

    .. math:: \varphi(t) \le \varphi(0) + c_1 t \varphi'(0)

    A trial that fails is followed by the minimiser of the parabola, later of the cubic, through what is known, kept
    between a fifth of ``shrink`` and ``shrink`` times the trial. A trial that is NaN or infinite is followed by
    ``shrink`` times itself.

    Args:
        phi: f along the line as a function of the step.
        value: f at step 0, finite.
        slope: Derivative at step 0; nothing is tried unless it is negative.
        step: First trial, above 0.
        shrink: Longest share of a failed trial that is tried next, between 0 and 1.
        sufficient: c1, between 0 and 1.
        noise: Relative rounding error of a value: 4 eps of the dtype f is computed in.
        most: Trials allowed.

    Raises:
        ValueError: A parameter outside these ranges.

    Example:
        >>> armijo(lambda t: (1 - t) ** 2, value=1.0, slope=-2.0, step=4.0)[:4]
        (1.0, 0.0, nan, 2)

    References:
        Armijo (1966), Minimization of functions having Lipschitz continuous first partial derivatives; Dennis and
        Schnabel (1983), Numerical Methods for Unconstrained Optimization, section 6.3.2.
    """
    _require("shrink", shrink, holds=0.0 < shrink < 1.0, needed="strictly between 0 and 1, for example 0.5")
    _refuse_bad_start(value, step, sufficient, most)
    start = best = _Point(0.0, value, slope)
    if not -math.inf < slope < 0.0:
        return Search(*start, 0, success=False, reason="ascent")
    t, failed, reason = step, start, "not finite"
    for evaluations in range(1, most + 1):
        trial = _Point(t, phi(t), math.nan)
        if math.isfinite(trial.value):
            # the difference is exact where both values are close; a sum would round a small decrease away
            if trial.value - value <= sufficient * t * slope:
                return Search(*trial, evaluations, success=True, reason="armijo")
            reason = "evaluations"
            best = min(best, trial, key=lambda point: point.value)
            guess = _decrease_minimiser(start, trial, failed)
            failed = trial
        else:
            guess = math.nan
        if t * -slope <= noise * abs(value):
            return Search(*best, evaluations, success=False, reason="rounding")
        t = min(max(guess, 0.2 * shrink * t), shrink * t) if math.isfinite(guess) else shrink * t
    return Search(*best, most, success=False, reason=reason)


def strong_wolfe(
    phi: Callable[[float], tuple[float, float]],
    *,
    value: float,
    slope: float,
    step: float,
    sufficient: float = 1e-4,
    curvature: float = 0.9,
    longest: float = math.inf,
    noise: float = ROUNDING,
    most: int = 40,
) -> Search:
    r"""Find a step after which f has fallen sufficiently and its slope has flattened.

    .. math:: \varphi(t) \le \varphi(0) + c_1 t \varphi'(0), \qquad |\varphi'(t)| \le c_2 |\varphi'(0)|

    The first trial that satisfies both ends the search. Until an interval is known to hold such a step, trials grow;
    then the interval shrinks around it, by cubics, secants and, where two trials have not taken a third off it,
    halving. A trial whose value or slope is not finite bounds the interval from above and is never returned.

    Near a minimum differences of f drown in rounding. There the first condition is read from slopes: by up to the
    rounding error of a value f may miss it, provided that

    .. math:: \varphi'(t) \le (2 c_1 - 1) \varphi'(0),

    which for a parabola is the same condition.

    Args:
        phi: f along the line and its derivative there, as functions of the step.
        value: f at step 0, finite.
        slope: Derivative at step 0; nothing is tried unless it is negative.
        step: First trial, above 0.
        sufficient: c1, between 0 and 1; below 1/2, or the minimiser of a parabola is refused.
        curvature: c2, from c1 to 1: 0.9 for quasi-Newton directions, 0.1 for conjugate gradients.
        longest: No trial is longer than this.
        noise: Relative rounding error of a value: 4 eps of the dtype f is computed in.
        most: Trials allowed.

    Raises:
        ValueError: A parameter outside these ranges.

    Example:
        >>> strong_wolfe(lambda t: ((1 - t) ** 2, 2 * t - 2), value=1.0, slope=-2.0, step=4.0)[:4]
        (1.0, 0.0, 0.0, 2)

    References:
        Moré and Thuente (1994), Line search algorithms with guaranteed sufficient decrease; Nocedal and Wright (2006),
        Numerical Optimization, algorithms 3.5 and 3.6; Hager and Zhang (2005), A new conjugate gradient method with
        guaranteed descent and an efficient line search (the approximate conditions).
    """
    _refuse_bad_start(value, step, sufficient, most)
    _require("curvature", curvature, holds=sufficient <= curvature < 1.0, needed=f"from {sufficient}, c1, to below 1")
    _require("longest", longest, holds=longest > 0.0, needed="above 0")
    start = best = low = _Point(0.0, value, slope)
    if not -math.inf < slope < 0.0:
        return Search(*start, 0, success=False, reason="ascent")
    rounding = noise * abs(value)
    high: _Point | None = None  # a strong Wolfe step lies between low and high, once there is a high
    widths, walls = (math.inf, math.inf), 0
    t, reason = min(step, longest), "not finite"
    for evaluations in range(1, most + 1):
        trial, before = _Point(t, *phi(t)), low
        walls = 0 if trial.finite else walls + 1
        if trial.finite:
            reason = "evaluations"
            best = min(best, trial, key=lambda point: point.value)
            excess = trial.value - value - sufficient * t * slope
            enough = excess <= (rounding if trial.slope <= (2 * sufficient - 1) * slope else 0.0)
            if enough and abs(trial.slope) <= curvature * -slope:
                reason = "wolfe" if excess <= 0.0 else "approximate wolfe"
                return Search(*trial, evaluations, success=True, reason=reason)
            if enough and high is None and t >= longest and trial.slope < 0.0:
                return Search(*best, evaluations, success=False, reason="longest")
            low, high = _narrowed(low, high, trial, enough=enough, rounding=rounding)
        else:
            high = trial
        if high is None:
            t = min(_beyond(before, low, rounding), longest)
        elif not high.finite:
            guess = _beyond(before, low, rounding) if before.step < low.step else math.nan
            t = _short_of(low, high.step, guess, share=0.5 if walls == 1 else 0.1)
        else:
            t = _between(before, low, high, rounding)
            if abs(high.step - low.step) > 0.66 * widths[0]:
                t = low.step + 0.5 * (high.step - low.step)
            widths = (widths[1], abs(high.step - low.step))
        if high is not None and abs(high.step - low.step) <= 0.5 * noise * max(high.step, low.step):
            return Search(*best, evaluations, success=False, reason="rounding")
    return Search(*best, most, success=False, reason=reason)


def _narrowed(
    low: _Point, high: _Point | None, trial: _Point, *, enough: bool, rounding: float
) -> tuple[_Point, _Point | None]:
    """The interval after a trial: low has fallen sufficiently, and most so; its slope points at high."""
    if not enough or trial.value > low.value + rounding:
        return low, trial
    ahead = 1.0 if high is None else high.step - low.step
    return (trial, low) if trial.slope * ahead >= 0.0 else (trial, high)


def _beyond(before: _Point, low: _Point, rounding: float) -> float:
    """A longer step, while f falls and falls: the minimiser of the cubic through the last two points."""
    stride = low.step - before.step
    drowned = abs(low.value - before.value) <= rounding
    guess = _secant(before, low) if drowned else _cubic_minimiser(before, low)
    least, most = low.step + 1.1 * stride, low.step + LONGEST_STRIDE * stride
    return min(max(guess, least), most) if guess > low.step else most  # also where guess is NaN


def _short_of(low: _Point, wall: float, guess: float, *, share: float) -> float:
    """A step between low and a wall where f is not finite, which takes no more than half of what is between them."""
    width = wall - low.step
    if math.isnan(guess):
        return low.step + share * width
    return min(max(guess, low.step + 0.1 * width), low.step + 0.5 * width)


def _between(before: _Point, low: _Point, high: _Point, rounding: float) -> float:
    """A step between low and high from values and slopes; ``before`` is what low was before the latest trial."""
    middle = 0.5 * (low.step + high.step)
    secant = _secant(low, high)
    if abs(high.value - low.value) <= rounding:
        return secant if _inside(secant, low, high) else middle  # values say nothing any more
    cubic = _cubic_minimiser(low, high)
    if before.step == low.step:  # the trial became high
        parabola = _parabola_minimiser(low, high)
        near = abs(cubic - low.step) < abs(parabola - low.step)
        guess = cubic if near else 0.5 * (cubic + parabola)
    elif before.step == high.step:  # the trial became low, and the minimum lies behind it
        guess = cubic if abs(cubic - low.step) > abs(secant - low.step) else secant
    elif abs(low.slope) < abs(before.slope):  # the trial became low, and the minimum lies further on
        guess, other = _cubic_minimiser(before, low), _secant(before, low)
        if not _inside(guess, low, high) or abs(other - low.step) < abs(guess - low.step):
            guess = other
        reach = low.step + 0.66 * (high.step - low.step)
        guess = min(guess, reach) if high.step > low.step else max(guess, reach)
    else:
        guess = cubic
    return guess if _inside(guess, low, high) else middle


def _inside(t: float, low: _Point, high: _Point) -> bool:
    return min(low.step, high.step) < t < max(low.step, high.step)


def _cubic_minimiser(a: _Point, b: _Point) -> float:
    """The local minimiser of the cubic with the values and slopes of both points; NaN where it has none."""
    width = b.step - a.step
    theta = a.slope + b.slope - 3.0 * _divided(b.value - a.value, width)
    scale = max(abs(theta), abs(a.slope), abs(b.slope))
    if not 0.0 < scale < math.inf:
        return math.nan
    discriminant = (theta / scale) * (theta / scale) - (a.slope / scale) * (b.slope / scale)
    if discriminant < 0.0:
        return math.nan
    root = math.copysign(scale * math.sqrt(discriminant), width)
    return b.step - width * _divided(b.slope + root - theta, b.slope - a.slope + 2.0 * root)


def _parabola_minimiser(a: _Point, b: _Point) -> float:
    """The stationary point of the parabola with the value and slope of a and the value of b."""
    width = b.step - a.step
    return a.step + 0.5 * width * _divided(a.slope, a.slope - _divided(b.value - a.value, width))


def _secant(a: _Point, b: _Point) -> float:
    """Where the line through both slopes is zero."""
    return b.step - (b.step - a.step) * _divided(b.slope, b.slope - a.slope)


def _decrease_minimiser(start: _Point, trial: _Point, failed: _Point) -> float:
    """The minimiser of the polynomial with value and slope of the start and the values of one or two failed trials."""
    if failed.step == 0.0:
        return _parabola_minimiser(start, trial)
    first, second = (
        _divided(_divided(p.value - start.value, p.step) - start.slope, p.step) for p in (trial, failed)
    )  # f = value + slope t + b t^2 + a t^3: b + a t at both steps
    a = _divided(first - second, trial.step - failed.step)
    b = first - a * trial.step
    discriminant = b * b - 3.0 * a * start.slope
    return _divided(-start.slope, b + math.sqrt(discriminant)) if discriminant >= 0.0 else math.nan


def _divided(a: float, b: float) -> float:
    return a / b if b != 0.0 else math.nan


def _refuse_bad_start(value: float, step: float, sufficient: float, most: int) -> None:
    _require("value", value, holds=math.isfinite(value), needed="finite: start the search where f is")
    _require("step", step, holds=0.0 < step < math.inf, needed="above 0 and finite")
    _require("sufficient", sufficient, holds=0.0 < sufficient < 1.0, needed="strictly between 0 and 1")
    _require("most", most, holds=most >= 1, needed="at least 1")


def _require(name: str, found: float, *, holds: bool, needed: str) -> None:
    if not holds:
        raise ValueError(f"{name} is {found}; it must be {needed}.")
