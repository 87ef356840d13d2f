"""Check a gradient: autograd, finite differences and a formula against each other, and differentiability itself."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Generator, Tensor

from optwise.analyses.differentiability import Lines, smoothness, tidy
from optwise.analyses.gradient_agreement import Disagreement, agree_along, entry_by_halving, share, worst_entry
from optwise.analyses.gradient_findings import (
    about_autograd,
    about_differentiability,
    about_formula,
    about_precision,
    about_remainder,
    no_gradient,
)
from optwise.analyses.points import Point
from optwise.core.errors import BadProtocol
from optwise.core.finding import Findings, Grade
from optwise.core.layout import Leaves
from optwise.core.showing import Card, Shown
from optwise.numerics.difference_quotients import coordinate_scales, differences
from optwise.numerics.remainders import remainders
from optwise.numerics.rng import torch_generator

ALL_ENTRIES = 128
"""Up to so many parameters every entry is differenced. Source: optwise, own choice."""
SOME_ENTRIES = 32
"""Of more parameters so many are, drawn by the seed; the directions see all the others."""
STEPS = tuple(10.0 ** (-1 - i / 4) for i in range(25))
"""Steps of the remainder: 0.1 down to 1e-7, four a decade."""


@dataclass(frozen=True)
class GradientCheck(Shown):
    """What :func:`check_gradient` found; ``print`` shows the verdict and every finding.

    Args:
        ok: Whether f is differentiable at w and all gradients agree.
        verdict: One sentence.
        findings: Each check with its number.
        value: f(w).
        autograd: Autograd's gradient, as w: a tensor, or tensors by name; float64.
        numeric: The gradient by finite differences; NaN in entries that were not differenced.
        analytic: The gradient by the caller's formula; None where none was given.
        differentiable: Whether f is, as far as straight lines through w tell.
        error: Largest difference between autograd and finite differences, as a share of the largest entry.
        slope: Exponent of the remainder, median over the directions: 2 where f has a second derivative, infinite where
            f is affine around w, NaN where autograd's gradient is not finite. Where f is not differentiable, the
            smallest over the directions, NaN where none can be fitted.
        worst: The entry where autograd and finite differences are furthest apart.
        entries: How many entries were differenced, of ``size``.
        size: Numbers in w.
        directions: Random directions.
        seed: Of the directions and of the entries that were drawn.
    """

    ok: bool
    verdict: str
    findings: Findings
    value: float
    autograd: Tensor | Leaves
    numeric: Tensor | Leaves
    analytic: Tensor | Leaves | None
    differentiable: bool
    error: float
    slope: float
    worst: Disagreement
    entries: int
    size: int
    directions: int
    seed: int

    def __str__(self) -> str:
        lines = [f"  {one.grade.value:4}  {one.check}: {one.evidence}" for one in self.findings]
        return "\n".join([self.verdict, *lines])

    def card(self) -> Card:
        found = self.findings.card()
        return Card((self.verdict, *found.prompt[1:]), "Gradient check", self.verdict, found.heads, found.rows)


def check_gradient(
    f: Callable[[Any], Tensor],
    w: Tensor | Mapping[str, Tensor],
    gradient: Callable[[Any], Any] | None = None,
    *,
    directions: int = 32,
    seed: int = 0,
    tol: float = 1e-6,
) -> GradientCheck:
    r"""Check the gradient of ``f`` at ``w`` and whether there is one.

    Four questions, all in float64:

    1. Is f differentiable at w? One-sided slopes along axes and random directions must have limits, agree to both sides
       and be linear in the direction.
    2. Does autograd agree with finite differences, entry by entry and along the directions? Each finite difference
       brings an error bar of its own, so that neither noise nor curvature is mistaken for a wrong gradient.
    3. Does the formula ``gradient`` agree with both?
    4. Does :math:`|f(w + hd) - f(w) - h f'(w)[d]|` fall as :math:`h^2`, as it must where f has a second derivative?

    Up to 128 numbers in w every entry is differenced; of more, 32 drawn entries and all directions, and an error seen
    along a direction is traced to an entry by halving. A check costs about 36 evaluations of f per entry and 63 per
    direction.

    Args:
        f: From w to one number; a function of a tensor, or of a dictionary of named tensors such as
            ``dict(net.named_parameters())``. What it closes over must be float64 too.
        w: Where; a tensor of any shape or named tensors. Copied to float64, never changed.
        gradient: A formula to check: from w to tensors of the shape of w.
        directions: Random directions, at least 3, rounded up to a multiple of three: d, e and d + e in turn.
        seed: Of the directions.
        tol: Relative difference that counts as none, beyond the error bars.

    Raises:
        BadProblem: f does not give one finite number, draws random numbers, does not depend on w through autograd, or
            fails; w is not floating point; ``gradient`` gives another shape.
        BadProtocol: ``directions`` or ``tol`` is out of range.

    Example:
        >>> import optwise as ow
        >>> X, y = torch.tensor([[1.0, 2.0], [0.0, 1.0], [1.0, -1.0]]).double(), torch.ones(3).double()
        >>> check = ow.check_gradient(lambda w: 0.5 * (X @ w - y).square().sum(), torch.zeros(2))
        >>> check.ok, check.autograd
        (True, tensor([-2., -2.], dtype=torch.float64))
        >>> print(ow.check_gradient(lambda w: w.abs(), torch.tensor(0.0)).verdict)
        Not differentiable here: along w the slope is -1 on the left and 1 on the right; autograd gives 0.

    References:
        Nocedal and Wright (2006), Numerical Optimization, section 8.1; Ridders (1982), Accurate computation of F'(x)
        and F'(x)F''(x).
    """
    if directions < 3:
        raise BadProtocol(f"directions is {directions}; linearity in the direction needs at least 3.")
    if not 0.0 < tol < 1.0:
        raise BadProtocol(f"tol is {tol}; it is a relative difference between 0 and 1, for example 1e-6.")
    point = Point.of(f, w)
    value, autograd = point.value_and_gradient()
    analytic = None if gradient is None else point.formula(gradient)

    generator = torch_generator(seed)
    places = _places(point.size, generator)  # [n]
    scales = coordinate_scales(point.row).cpu()  # [P]
    random = _threes(point.size, directions, generator) * scales  # [R, P]
    measured = differences(point.f, point.row, [*_axes(places, scales), *random])
    names = [*(point.entry(int(i)) for i in places), *(f"direction {i}" for i in range(len(random)))]
    units = torch.cat([scales[places], torch.ones(len(random), dtype=torch.float64)])
    smooth = smoothness(Lines(measured, names, units, axes=len(places)), tol=tol)

    slopes = measured.central()
    on_axes, along = slopes.first(len(places)), slopes.without_first(len(places))
    numeric, bars = on_axes.value / scales[places], on_axes.error / scales[places]  # [n]
    worst = worst_entry(autograd[places], numeric, bars=bars, places=places, point=point, tol=tol)
    if worst.ok and smooth.ok and not agree_along(autograd, random, along, tol=tol):
        worst = entry_by_halving(point, autograd, scales=scales, generator=generator, tol=tol)
    noise = measured.noise[-1, len(places) :] if smooth.ok else torch.zeros(len(random))  # a kink is not noise
    exponents = _exponents(point, autograd, random, noise)
    slope = float(exponents.nanmedian() if smooth.ok else _least(exponents))

    findings = [about_differentiability(smooth)]
    if smooth.ok:
        findings.append(about_autograd(worst, autograd[places], numeric, size=point.size))
    else:
        findings.append(no_gradient(worst))
    if analytic is not None:
        everywhere = torch.arange(point.size)
        apart = worst_entry(analytic, autograd, bars=0 * autograd, places=everywhere, point=point, tol=tol)
        seen = {point.entry(int(i)): float(value) for i, value in zip(places, numeric, strict=True)}
        findings.append(about_formula(apart, analytic, autograd, differenced=seen.get(apart.entry)))
    findings += [
        about_remainder(slope, len(random), differentiable=smooth.ok),
        about_precision(point.cast, numeric, bars),
    ]
    failed = next((one for one in findings if one.grade is Grade.FAIL), None)
    if failed is None:
        agreeing = "autograd and finite differences" if analytic is None else "autograd, finite differences and formula"
        falls = "f is affine around w" if math.isinf(slope) else f"the remainder falls as h^{slope:.2f}"
        verdict = f"The gradient is right: {agreeing} agree, and {falls}."
    elif smooth.ok:
        verdict = failed.evidence
    else:
        on_axis = 0 <= smooth.line < len(places)
        gives = f"; autograd gives {tidy(float(autograd[places[smooth.line]]))}" if on_axis else ""
        verdict = f"Not differentiable here: {smooth.sentence}{gives}."
    partials = torch.full((point.size,), math.nan, dtype=torch.float64)
    partials[places] = numeric
    return GradientCheck(
        ok=failed is None,
        verdict=verdict,
        findings=Findings(findings),
        value=value,
        autograd=point.shaped(autograd),
        numeric=point.shaped(partials),
        analytic=None if analytic is None else point.shaped(analytic),
        differentiable=smooth.ok,
        error=share(autograd[places], numeric),
        slope=slope,
        worst=worst,
        entries=len(places),
        size=point.size,
        directions=len(random),
        seed=seed,
    )


def _places(size: int, generator: Generator) -> Tensor:
    if size <= ALL_ENTRIES:
        return torch.arange(size)
    return torch.randperm(size, generator=generator)[:SOME_ENTRIES].sort().values


def _axes(places: Tensor, scales: Tensor) -> Iterator[Tensor]:
    for i in places:
        axis = torch.zeros_like(scales)
        axis[i] = scales[i]
        yield axis


def _threes(size: int, directions: int, generator: Generator) -> Tensor:
    """Unit directions d, e and their sum, in turn [R, P] with R the next multiple of three."""
    pairs = torch.randn(math.ceil(directions / 3), 2, size, generator=generator, dtype=torch.float64)
    pairs = pairs / torch.linalg.vector_norm(pairs, dim=2, keepdim=True)
    return torch.cat([pairs, pairs.sum(1, keepdim=True)], dim=1).flatten(0, 1)


def _exponents(point: Point, gradient: Tensor, directions: Tensor, noise: Tensor) -> Tensor:
    """Exponent of the remainder along each direction [R]; NaN without a finite gradient or value around w."""
    found = [
        remainders(point.f, point.row, d, STEPS, derivative=(gradient @ d).reshape(()), noise=float(n)).finest_slope()
        for d, n in zip(directions, noise, strict=True)
    ]
    return torch.tensor(found, dtype=torch.float64)


def _least(exponents: Tensor) -> Tensor:
    finite = exponents[torch.isfinite(exponents)]
    return finite.min() if len(finite) else torch.tensor(math.nan)
