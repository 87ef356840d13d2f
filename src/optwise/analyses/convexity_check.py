"""Check a claim of convexity: chords that the function lies above, and directions in which it curves down."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from optwise.analyses.laws import Law, shown
from optwise.core.errors import BadProblem
from optwise.core.finding import Finding, Findings, Grade
from optwise.core.showing import Card, Shown, Terse
from optwise.core.smooth import Smooth
from optwise.numerics.finiteness import all_finite
from optwise.numerics.rng import torch_generator
from optwise.numerics.spectra import lanczos

PLACES = 8
"""Points at which the curvature is looked at."""
PRODUCTS = 30
"""Hessian products at each."""
NOISE = 64 * torch.finfo(torch.float64).eps
"""Relative size of a violation that rounding explains. Source: optwise, own choice."""
CURVED = 1e-8
"""Part of the largest curvature at a point that counts as none, below 0 or above a claimed bound."""


@dataclass(frozen=True, eq=False)
class Counterexample(Terse):
    """Two points between which a function lies above its chord.

    Args:
        x: One end [p].
        y: The other [p].
        weight: Of y: the point between is ``x + weight * (y - x)``.
        violation: How far the function is above the chord there.
    """

    x: Tensor
    y: Tensor
    weight: float
    violation: float


@dataclass(frozen=True)
class ConvexityCheck(Shown):
    """What :func:`check_convexity` found; ``print`` shows the verdict and every finding.

    Args:
        ok: Whether no counterexample was found, to convexity or to a claimed constant.
        verdict: One sentence.
        findings: Each check with its number.
        counterexample: The worst chord; ``None`` where all of them held.
        chords: How many were tried.
        seed: Of the points.
    """

    ok: bool
    verdict: str
    findings: Findings
    counterexample: Counterexample | None
    chords: int
    seed: int

    def __str__(self) -> str:
        lines = [f"  {one.grade.value:4}  {one.check}: {one.evidence}" for one in self.findings]
        return "\n".join([self.verdict, *lines])

    def card(self) -> Card:
        found = self.findings.card()
        return Card((self.verdict, *found.prompt[1:]), "Convexity check", self.verdict, found.heads, found.rows)


def check_convexity(
    f: Smooth | Callable[[Tensor], Tensor],
    around: Tensor | int,
    *,
    radius: float = 1.0,
    chords: int = 256,
    seed: int = 0,
) -> ConvexityCheck:
    r"""Look for evidence that a function is not convex, in float64.

    - *chords*: :math:`f((1 - a) x + a y) \le (1 - a) f(x) + a f(y)` for drawn x, y from close to far, and a between.
    - *curvature*: the least curvature :math:`\lambda_{\min}(\nabla^2 f)` at some points by Lanczos steps. Where it is
      negative, its direction gives a chord.
    - *lipschitz* and *strong-convexity* of a :class:`~optwise.core.smooth.Smooth` that claims them: no curvature lies
      outside; and *lower-bound*: no value lies below.

    No number of chords shows that a function is convex; one shows that it is not.

    Args:
        f: From a vector [p] to one number, with autograd; or a smooth term, whose constants are checked too.
        around: The middle of the region [p], or p for the region around 0.
        radius: Of the region; chords reach from a thousandth of it to a hundred times it.
        chords: How many are drawn.
        seed: Of the points.

    Raises:
        BadProblem: f is not finite in the middle, or a number is out of range.

    Example:
        >>> print(check_convexity(lambda w: w.square().sum(), 2).verdict)
        No counterexample in 256 chords and 8 Hessians.
        >>> check_convexity(lambda w: w[0] * w[1], 2).counterexample is not None
        True

    References:
        Boyd and Vandenberghe (2004), Convex Optimization, sections 3.1.1 and 3.1.4.
    """
    middle = torch.zeros(around, dtype=torch.float64) if isinstance(around, int) else around.detach().double()
    if middle.ndim != 1 or middle.numel() == 0 or not 0 < radius < math.inf or chords < 1:
        raise BadProblem(
            f"Convexity was to be checked around a point of shape {tuple(middle.shape)} with radius {radius:g} and "
            f"{chords} chords; give a vector, a finite radius above 0 and at least one chord."
        )
    smooth = f.to(dtype=torch.float64) if isinstance(f, Smooth) else _Written(f, middle.numel())
    try:
        value = _value(smooth, middle)
    except (RuntimeError, TypeError, ValueError) as error:
        raise BadProblem(
            f"The function fails at a float64 point of length {middle.numel()} ({str(error).splitlines()[0]}); give "
            "one of such a vector that returns one number, its own data in float64."
        ) from error
    if not math.isfinite(value):
        raise BadProblem(f"The function is {value} at {shown(middle)}; check it where it is finite.")
    generator = torch_generator(seed)
    subject = "f" if isinstance(smooth, _Written) else type(smooth).__name__
    law, worst = _chords(smooth, middle, radius=radius, chords=chords, generator=generator)
    curvature = _curvatures(smooth, middle, radius=radius, generator=generator)
    bent = _bent(smooth, curvature)
    if bent is not None and (worst is None or worst.violation < bent.violation):
        worst = bent
    findings = [law.finding(subject), *_about_curvature(smooth, curvature, subject)]
    ok = all(finding.grade is not Grade.FAIL for finding in findings)
    if worst is not None:
        verdict = (
            f"Not convex: between {shown(worst.x)} and {shown(worst.y)}, at {worst.weight:.3g} of the way, the "
            f"function lies {worst.violation:.3g} above its chord."
        )
    elif ok:
        hessians = f" and {len(curvature)} Hessians" if curvature else ""
        verdict = f"No counterexample in {chords} chords{hessians}."
    else:
        verdict = next(finding.evidence for finding in findings if finding.grade is Grade.FAIL)
    return ConvexityCheck(ok, verdict, Findings(findings), worst, chords, seed)


@dataclass(frozen=True, eq=False)
class _Written(Smooth):
    """A function of which nothing is claimed but that it is convex."""

    function: Callable[[Tensor], Tensor]
    size: int

    @property
    def dimension(self) -> int:
        return self.size

    @property
    def convex(self) -> bool:
        return True

    def value(self, w: Tensor) -> Tensor:
        return self.function(w)


@dataclass(frozen=True, eq=False)
class _Curvature:
    """The ends of the spectrum of a Hessian at a point, as far as some products show, and the lower direction."""

    w: Tensor
    least: float
    most: float
    direction: Tensor

    @property
    def size(self) -> float:
        return max(abs(self.least), abs(self.most))


def _value(smooth: Smooth, w: Tensor) -> float:
    with torch.no_grad():
        return float(smooth.value(w))


def _chords(
    smooth: Smooth, middle: Tensor, *, radius: float, chords: int, generator: torch.Generator
) -> tuple[Law, Counterexample | None]:
    law = Law(
        "chords",
        "the function lies below its chords",
        "definition of convexity",
        "Do not claim convexity: certificates and solvers would rely on it.",
        tol=NOISE,
    )
    worst, p = None, middle.numel()
    for _ in range(chords):
        draws = torch.rand(3, generator=generator, dtype=torch.float64)
        ends = torch.randn(2, p, generator=generator, dtype=torch.float64) / math.sqrt(p)
        x = middle + radius * 10.0 ** (5 * float(draws[0]) - 3) * ends[0]
        y = x + radius * 10.0 ** (5 * float(draws[1]) - 3) * ends[1]
        found, size = _chord(smooth, x, y, weight=0.1 + 0.8 * float(draws[2]))
        if found is not None:
            law.tried(found.violation, size, "{} above, between {} and {} at {}", found.violation, x, y, found.weight)
            if not found.violation <= NOISE * size and (worst is None or found.violation > worst.violation):
                worst = found
    return law, worst


def _chord(smooth: Smooth, x: Tensor, y: Tensor, *, weight: float) -> tuple[Counterexample | None, float]:
    """A chord and the size of its numbers; ``None`` where an end is not finite, which convexity does not forbid."""
    ends = (_value(smooth, x), _value(smooth, y))
    if not all(math.isfinite(end) for end in ends):
        return None, 0.0
    between = _value(smooth, x + weight * (y - x))
    violation = between - (1 - weight) * ends[0] - weight * ends[1]
    size = abs(ends[0]) + abs(ends[1]) + (abs(between) if math.isfinite(between) else 0.0)
    return Counterexample(x, y, weight, math.inf if math.isnan(violation) else violation), size


def _curvatures(smooth: Smooth, middle: Tensor, *, radius: float, generator: torch.Generator) -> list[_Curvature]:
    found = []
    for i in range(PLACES):
        away = torch.randn(len(middle), generator=generator, dtype=torch.float64) / math.sqrt(len(middle))
        w = middle + radius * i / 3 * away
        start = torch.randn(len(middle), generator=generator, dtype=torch.float64)
        try:
            T = lanczos(partial(smooth.hvp, w), start, PRODUCTS)
        except (RuntimeError, ValueError):  # no second derivative by autograd, or no symmetric one
            continue
        matrix = T.diagonal.diag() + T.offdiagonal.diag(1) + T.offdiagonal.diag(-1)
        if matrix.numel() and all_finite(matrix):
            values, vectors = torch.linalg.eigh(matrix)
            found.append(_Curvature(w, float(values[0]), float(values[-1]), T.basis.mT @ vectors[:, 0]))
    return found


def _bent(smooth: Smooth, curvatures: list[_Curvature]) -> Counterexample | None:
    """The worst chord along a direction of negative curvature."""
    worst = None
    for at in curvatures:
        if at.least >= -CURVED * at.size:
            continue
        for k in range(6):
            h = 10.0**-k * max(1.0, float(at.w.norm())) * at.direction
            found, size = _chord(smooth, at.w - h, at.w + h, weight=0.5)
            if found is not None and found.violation > NOISE * size:
                worst = found if worst is None or found.violation > worst.violation else worst
                break
    return worst


def _about_curvature(smooth: Smooth, curvatures: list[_Curvature], subject: str) -> list[Finding]:
    return [
        law.finding(subject)
        for law in (
            _not_down(curvatures),
            _below_lipschitz(smooth.lipschitz, curvatures),
            _above_modulus(smooth.strong_convexity, curvatures),
            _above_lower_bound(smooth, curvatures),
        )
        if law.trials
    ]


def _not_down(curvatures: list[_Curvature]) -> Law:
    law = Law(
        "curvature",
        "no direction curves down",
        "Boyd and Vandenberghe (2004), section 3.1.4",
        "Do not claim convexity; if value says otherwise, mend hvp.",
        tol=CURVED,
    )
    for at in curvatures:
        law.tried(-at.least, at.size, "curvature {} at {}", at.least, at.w)
    return law


def _below_lipschitz(lipschitz: float | None, curvatures: list[_Curvature]) -> Law:
    law = Law(
        "lipschitz",
        f"no curvature lies above lipschitz = {lipschitz}",
        "contract of Smooth",
        "Raise lipschitz: steps of 1 / lipschitz are too long.",
        tol=CURVED,
    )
    for at in curvatures if lipschitz is not None else ():
        law.tried(at.size - (lipschitz or 0.0), at.size, "curvature {} at {}", at.size, at.w)
    return law


def _above_modulus(modulus: float, curvatures: list[_Curvature]) -> Law:
    law = Law(
        "strong-convexity",
        f"no curvature lies below strong_convexity = {modulus:g}",
        "contract of Smooth",
        "Lower strong_convexity: certificates of optimality rely on it.",
        tol=CURVED,
    )
    for at in curvatures if modulus > 0 else ():
        law.tried(modulus - at.least, at.size, "curvature {} at {}", at.least, at.w)
    return law


def _above_lower_bound(smooth: Smooth, curvatures: list[_Curvature]) -> Law:
    law = Law(
        "lower-bound",
        f"no value lies below lower_bound = {smooth.lower_bound:g}",
        "contract of Smooth",
        "Lower lower_bound: certificates of optimality rely on it.",
    )
    for at in curvatures if math.isfinite(smooth.lower_bound) else ():
        value = _value(smooth, at.w)
        law.tried(smooth.lower_bound - value, abs(value), "{} at {}", value, at.w)
    return law
