"""What a linear model leaves of a function, and how fast that falls as the step shrinks."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from optwise.numerics.derivatives import jvp

EPS = torch.finfo(torch.float64).eps
GRID = tuple(10.0 ** (-1 - i / 4) for i in range(13))
"""Steps of a remainder: 0.1 down to 1e-4, four a decade."""


@dataclass(frozen=True)
class Remainders:
    """What a linear model leaves of a function, step by step.

    Args:
        steps: Step lengths h [K].
        values: Norm of ``f(w + h d) - f(w) - h f'(w)[d]`` [K].
        floor: Rounding error of each value [K]; a remainder up to ten floors says nothing and is left out of fits.
    """

    steps: Tensor
    values: Tensor
    floor: Tensor

    @property
    def usable(self) -> Tensor:
        """Which remainders stand above the rounding floor [K]."""
        return torch.isfinite(self.values) & (self.values > 10 * self.floor)

    @property
    def slope(self) -> float:
        """Exponent p of ``values ~ h^p``: least squares in log-log over the usable steps.

        2 for a smooth f with curvature, 1 for a wrong derivative. Infinite where no remainder stands above the floor,
        as for an affine f; NaN where a single one does, or f or its derivative is not finite.
        """
        if not bool(torch.isfinite(self.values).any()):
            return math.nan
        return fitted_slope(self.steps[self.usable], self.values[self.usable])

    @property
    def vanishes(self) -> bool:
        """Whether the remainder drops to rounding within one step, as for a piecewise affine f close to w."""
        shortest = int(torch.where(self.usable, self.steps, math.inf).argmin())
        shorter = self.steps < self.steps[shortest]
        if not bool(self.usable.any()) or not bool(shorter.any()):
            return False
        following = int(torch.where(shorter, self.steps, 0.0).argmax())
        ratio = float(self.steps[shortest] / self.steps[following])
        return bool(self.values[following] * ratio**8 < self.values[shortest])

    def finest_slope(self, *, decades: float = 1.5) -> float:
        """The exponent over the shortest usable steps only, where the leading term has taken over.

        Infinite where the remainder vanishes before it, as beside the kinks of a piecewise affine f.
        """
        steps, values = self.steps[self.usable], self.values[self.usable]
        if steps.numel() == 0:
            return self.slope
        if self.vanishes:
            return math.inf
        fine = steps <= steps.min() * 10**decades * (1 + 1e-9)
        return fitted_slope(steps[fine], values[fine])


def fitted_slope(steps: Tensor, values: Tensor) -> float:
    """Slope of ``log(values)`` against ``log(steps)``; infinite without values, NaN with one.

    Example:
        >>> round(fitted_slope(torch.tensor([1e-1, 1e-2, 1e-3]), torch.tensor([3e-2, 3e-4, 3e-6])), 4)
        2.0
    """
    if steps.numel() == 0:
        return math.inf
    if steps.numel() == 1:
        return math.nan
    x, y = steps.double().log(), values.double().log()
    x = x - x.mean()
    return float((x * y).sum() / x.square().sum())


def remainders(
    f: Callable[[Tensor], Tensor],
    w: Tensor,
    direction: Tensor,
    steps: Sequence[float] = GRID,
    *,
    derivative: Tensor | None = None,
    noise: float = 0.0,
) -> Remainders:
    r"""What the best linear approximation leaves: the norm of :math:`f(w + h d) - f(w) - h f'(w)[d]` for each h.

    Differentiable means that this is o(h); where f has a second derivative it is :math:`O(h^2)`, a line of slope 2 in
    log-log. A wrong derivative leaves a term linear in h and a slope of 1.

    Args:
        f: From tensors of the shape of ``w`` to tensors of any one shape.
        w: Where; taken in float64.
        direction: d, of the shape of ``w``.
        steps: Positive step lengths h.
        derivative: :math:`f'(w)[d]`, of the shape of ``f(w)``; by default autograd's.
        noise: Rounding error of a value of f, where more of it is known than float64 and short steps show.

    Example:
        >>> found = remainders(lambda w: w.exp().sum(), torch.zeros(2), torch.tensor([0.6, 0.8]))
        >>> round(found.slope, 2)
        2.0
    """
    w, d = w.detach().double(), direction.detach().to(w.device).double()
    center = f(w).detach()
    along = (jvp(f, w, d) if derivative is None else derivative).detach().to(center)
    # rounding of w + h d and inside f, seen through steps too short for curvature; an error of the derivative leaves
    # a thousandth of what it leaves at the shortest useful step
    short = [torch.linalg.vector_norm(f(w + h * d).detach() - center - h * along) for h in (1e-10, 1e-9)]
    seen = torch.stack(short).amax().clamp(min=noise)
    values, floor = [], []
    for h in steps:
        moved = f(w + h * d).detach()
        values.append(torch.linalg.vector_norm(moved - center - h * along))
        floor.append(seen + EPS * sum(torch.linalg.vector_norm(part) for part in (moved, center, h * along)))
    return Remainders(
        steps=torch.tensor(list(steps), dtype=torch.float64),
        values=torch.stack(values).double().cpu(),
        floor=torch.stack(floor).double().cpu(),
    )
