"""What the check of a gradient says: one finding a question, with its number."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from optwise.analyses.differentiability import Smoothness
from optwise.analyses.gradient_agreement import Disagreement, share
from optwise.core.finding import Finding, Grade

SUBJECT = "f at w"
SMOOTH_SLOPE = 1.9
"""Exponent of the remainder from which f counts as twice differentiable: 2, less what a fit may scatter."""
COARSE = 1e-3
"""Error bar of a finite difference, as a share of the largest entry, from which it says little."""


def about_differentiability(smooth: Smoothness) -> Finding:
    """Whether f is differentiable, with what was seen."""
    return _finding("differentiable", f"{smooth.sentence[0].upper()}{smooth.sentence[1:]}.", smooth.gap, ok=smooth.ok)


def about_autograd(worst: Disagreement, autograd: Tensor, numeric: Tensor, *, size: int) -> Finding:
    """Whether autograd [n] agrees with finite differences [n] in n of ``size`` entries."""
    if worst.ok:
        counted = _all(size) if len(numeric) == size else f"{len(numeric)} of {size} entries and all directions"
        evidence = (
            f"Autograd and finite differences agree in {counted}; the largest difference is "
            f"{share(autograd, numeric):.1e} of the largest entry."
        )
    else:
        gives = f"it gives {worst.first:.9g}, finite differences give {worst.second:.9g}"
        evidence = f"Autograd is wrong at {worst.entry}: {gives}."
    return _finding("autograd", evidence, abs(worst.first - worst.second), ok=worst.ok)


def no_gradient(worst: Disagreement) -> Finding:
    """What autograd gives where there is no gradient to compare with."""
    return Finding(
        check="autograd",
        grade=Grade.WARN,
        evidence=f"There is no gradient to compare with; at {worst.entry} autograd gives {worst.first:.6g}, and the "
        f"mean of the slopes to both sides is {worst.second:.6g}.",
        subject=SUBJECT,
    )


def about_formula(worst: Disagreement, analytic: Tensor, autograd: Tensor, *, differenced: float | None) -> Finding:
    """Whether the caller's formula [P] agrees with autograd [P].

    Args:
        worst: The entry where they are furthest apart.
        analytic: The formula's gradient.
        autograd: Autograd's.
        differenced: The finite difference of that entry, where it was taken.
    """
    if worst.ok:
        evidence = (
            f"The formula agrees with autograd in {_all(len(autograd))}; the largest difference is "
            f"{share(analytic, autograd):.1e} of the largest entry."
        )
    else:
        third = "" if differenced is None else f", finite differences give {differenced:.9g}"
        gives = f"it gives {worst.first:.9g}, autograd gives {worst.second:.9g}{third}"
        evidence = f"The formula differs at {worst.entry}: {gives}."
    return _finding("analytic", evidence, abs(worst.first - worst.second), ok=worst.ok)


def about_remainder(slope: float, directions: int, *, differentiable: bool) -> Finding:
    """How fast the remainder of the linear model falls."""
    if not differentiable:
        fall = (
            "does not fall faster than h" if math.isnan(slope) else f"falls as h^{slope:.2f} along the worst direction"
        )
        evidence = f"The remainder of autograd's linear model {fall}: it is no approximation of first order."
    elif math.isinf(slope):
        evidence = "No remainder of the linear model stands above rounding close to w: f is affine there."
    elif math.isnan(slope):
        evidence = "The remainder has no exponent: autograd's gradient, or f around w, is not finite."
    else:
        doubt = (
            "" if slope >= SMOOTH_SLOPE else ", not as h^2: f has no second derivative here, or its gradient is wrong"
        )
        evidence = (
            f"The remainder of the linear model falls as h^{slope:.2f}, median over {directions} directions{doubt}."
        )
    return Finding(
        check="remainder",
        grade=Grade.PASS if differentiable and slope >= SMOOTH_SLOPE else Grade.WARN,
        evidence=evidence,
        subject=SUBJECT,
        value=slope if math.isfinite(slope) else None,
        source="Taylor's theorem: order 2 where f has a second derivative",
    )


def about_precision(cast: Sequence[str], numeric: Tensor, bars: Tensor) -> Finding:
    """How far the finite differences [n] can be trusted by their error bars [n], and that all is done in float64."""
    finite = bars[torch.isfinite(bars)]
    bar = float(finite.max()) if len(finite) else math.inf
    largest = float(numeric.nan_to_num(0.0).abs().max())
    # at a stationary point any bar is a large share of nothing
    coarse = bar > COARSE * max(largest, COARSE)
    casts = f" Checked in float64, while {', '.join(cast)}." if cast else ""
    return Finding(
        check="precision",
        grade=Grade.WARN if coarse else Grade.PASS,
        evidence=f"Finite differences are good to {bar:.1e}; the largest entry is {largest:.3g}"
        f"{', so rounding inside f may hide errors.' if coarse else '.'}{casts}",
        subject=SUBJECT,
        value=bar if math.isfinite(bar) else None,
    )


def _all(entries: int) -> str:
    return "the one entry" if entries == 1 else f"all {entries} entries"


def _finding(check: str, evidence: str, value: float, *, ok: bool) -> Finding:
    return Finding(
        check=check,
        grade=Grade.PASS if ok else Grade.FAIL,
        evidence=evidence,
        subject=SUBJECT,
        value=value if math.isfinite(value) else None,
    )
