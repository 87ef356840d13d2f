"""Derivatives without autograd: limits of difference quotients, each with an error bar."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

EPS = torch.finfo(torch.float64).eps
FIRST_STEP, RATIO, LEVELS = 2.0**-3, 4.0, 18
"""The ladder of steps: 0.125, 0.03125, ... 7e-12, so that no scale of f between these ends is missed."""
COLUMNS = 4
"""Columns of Neville's table: how many terms of the error are cancelled, plus one."""
NOISE_STEP = 1e-9
"""Below this step a second difference shows the rounding noise of f, whatever its curvature."""
QUANTUM = 2e-6
"""Share of the value up to which a smallest move is rounding; a flat piece beside a kink moves by more."""


@dataclass(frozen=True)
class Limit:
    """Limits of quotients as the step goes to zero, one per direction [R].

    Args:
        value: The limits; NaN where fewer than four steps gave a finite number.
        error: Error bars: by how much neighbours in Neville's table differ, rounding included; infinite beside a NaN.
            They are estimates: the error stays within a few of them.
        noise: The part of the error that is rounding.
        step: The step at which each value was read.
    """

    value: Tensor
    error: Tensor
    noise: Tensor
    step: Tensor

    def first(self, count: int) -> Limit:
        """The limits along the first ``count`` directions."""
        return Limit(*(part[:count] for part in (self.value, self.error, self.noise, self.step)))

    def without_first(self, count: int) -> Limit:
        """The limits along all directions but the first ``count``."""
        return Limit(*(part[count:] for part in (self.value, self.error, self.noise, self.step)))


@dataclass(frozen=True)
class Differences:
    """Values of a function on a ladder of steps to both sides of a point, along R directions.

    Args:
        steps: From the longest to the shortest [K].
        center: The value at the point itself.
        ahead: Values at ``w + h d`` [K, R].
        behind: Values at ``w - h d`` [K, R].
    """

    steps: Tensor
    center: float
    ahead: Tensor
    behind: Tensor

    @property
    def noise(self) -> Tensor:
        """Rounding error of a value of f, per step [K, R].

        Four units in the last place, or what f shows of itself: its second difference over steps too short for
        curvature, and its smallest move where it does not move at all over the shortest steps (a float32 inside).
        """
        size = torch.maximum(self.ahead.abs(), self.behind.abs()).nan_to_num(0.0, 0.0, 0.0).clamp(min=abs(self.center))
        short = self.steps < NOISE_STEP
        second = (self.ahead + self.behind - 2 * self.center)[short].abs().nan_to_num(0.0, 0.0, 0.0).amax(0)
        moves = torch.stack([self.ahead, self.behind]).sub(self.center).abs().nan_to_num(0.0, 0.0, 0.0)  # [2, K, R]
        smallest = torch.where(moves > 0, moves, math.inf).amin((0, 1))
        still = (moves[:, -2:] == 0).all(1).all(0) & (smallest < QUANTUM * size[-1])
        return torch.maximum(4 * EPS * size, torch.where(still, torch.maximum(smallest, second), second))

    def central(self) -> Limit:
        """Two-sided derivatives along the directions: the mean of the slopes to both sides."""
        quotients = (self.ahead - self.behind) / (2 * self.steps[:, None])
        return _limit(quotients, self.noise / self.steps[:, None], order=2)

    def forward(self) -> Limit:
        """One-sided derivatives along the directions ``d``."""
        return _limit((self.ahead - self.center) / self.steps[:, None], self.noise / self.steps[:, None], order=1)

    def backward(self) -> Limit:
        """One-sided derivatives along ``-d``; where f is differentiable they are minus the forward ones."""
        return _limit((self.behind - self.center) / self.steps[:, None], self.noise / self.steps[:, None], order=1)


def differences(f: Callable[[Tensor], Tensor], w: Tensor, directions: Iterable[Tensor]) -> Differences:
    """Evaluate ``f`` on a ladder of 18 steps to both sides of ``w``, in float64.

    Args:
        f: From tensors of the shape of ``w`` to one number.
        w: Where, any shape.
        directions: R tensors of the shape of ``w``; their length is the unit of the steps.

    Example:
        >>> steps = differences(lambda w: w.abs().sum(), torch.zeros(1), [torch.ones(1)])
        >>> [round(float(side.value), 9) for side in (steps.forward(), steps.backward(), steps.central())]
        [1.0, 1.0, 0.0]
    """
    w = w.detach().double()
    steps = FIRST_STEP * RATIO ** -torch.arange(LEVELS, dtype=torch.float64)
    center = _number(f, w)
    ahead, behind = [], []
    for direction in directions:
        d = direction.to(w)
        ahead.append([_number(f, w + float(h) * d) for h in steps])
        behind.append([_number(f, w - float(h) * d) for h in steps])
    return Differences(
        steps=steps,
        center=center,
        ahead=torch.tensor(ahead, dtype=torch.float64).reshape(-1, LEVELS).T,
        behind=torch.tensor(behind, dtype=torch.float64).reshape(-1, LEVELS).T,
    )


def finite_difference_gradient(f: Callable[[Tensor], Tensor], w: Tensor) -> Tensor:
    r"""Gradient of ``f`` at ``w`` from values of ``f`` alone, in float64.

    For each entry the central quotients

    .. math:: D_i(h) = \frac{f(w + h e_i) - f(w - h e_i)}{2h} = \partial_i f + c_1 h^2 + c_2 h^4 + \dots

    are taken on a ladder of steps and extrapolated to h = 0 (Neville's table). Truncation falls and rounding grows as
    h shrinks; each entry is read where its neighbours in the table differ least, so that each coordinate has the step
    that balances the two. Steps are in units of max(\|w_i\|, 1). 36 evaluations an entry.

    Args:
        f: From tensors of the shape of ``w`` to one number.
        w: Where, any shape.

    Returns:
        Of the shape of ``w``, float64; NaN where f is not finite around ``w``. The mean of both slopes at a kink.

    Example:
        >>> finite_difference_gradient(lambda w: w[0] ** 3 - 3 * w[0] + w[1].exp(), torch.tensor([2.0, 0.0]))
        tensor([9.0000, 1.0000], dtype=torch.float64)

    References:
        Ridders (1982), Accurate computation of F'(x) and F'(x)F''(x), Advances in Engineering Software 4.
    """
    scales = coordinate_scales(w).flatten()
    basis = (_basis_vector(w, i, float(scale)) for i, scale in enumerate(scales))
    return (differences(f, w, basis).central().value / scales.cpu()).reshape(w.shape).to(w.device)


def one_sided_derivatives(f: Callable[[Tensor], Tensor], w: Tensor, directions: Sequence[Tensor]) -> Limit:
    r"""One-sided derivatives of ``f`` at ``w`` along each direction.

    .. math:: f'(w; d) = \lim_{h \downarrow 0} \frac{f(w + h d) - f(w)}{h}

    A differentiable f has :math:`f'(w; -d) = -f'(w; d)` and :math:`f'(w; d + e) = f'(w; d) + f'(w; e)`.

    Example:
        >>> directions = [torch.tensor([1.0]), torch.tensor([-1.0])]
        >>> one_sided_derivatives(lambda w: torch.relu(w).sum(), torch.zeros(1), directions).value
        tensor([1., 0.], dtype=torch.float64)
    """
    return differences(f, w, directions).forward()


def coordinate_scales(w: Tensor) -> Tensor:
    """The unit of a step in each coordinate: max(|w_i|, 1), rounded up to a power of two so that steps are exact."""
    return torch.exp2(torch.ceil(torch.log2(w.detach().double().abs().clamp(min=1.0))))


def _limit(quotients: Tensor, noise: Tensor, *, order: int) -> Limit:
    """Limits of quotients [K, R] whose error is a series in ``h**order``, noise [K, R] on each of them."""
    directions = quotients.shape[1]
    value, step = torch.full((directions,), math.nan, dtype=torch.float64), torch.zeros(directions, dtype=torch.float64)
    error, rounding = torch.full_like(value, math.inf), torch.zeros_like(value)
    steps = FIRST_STEP * RATIO ** -torch.arange(LEVELS, dtype=torch.float64)
    column, floor = quotients, noise
    for j in range(COLUMNS):
        if j:
            factor = RATIO ** (order * j)
            column = column[1:] + (column[1:] - column[:-1]) / (factor - 1)
            floor = floor[1:] * (1 + 1 / (factor - 1)) + floor[:-1] / (factor - 1)
        change = (column[1:] - column[:-1]).abs()
        # an entry is believed as far as its coarser neighbour and the next two finer ones agree, where rounding may
        # grow by RATIO from step to step, and as far as no finer step contradicts it beyond rounding
        near, next_, after = change[:-2], change[1:-1], change[2:]
        shrink = next_ / near
        slow = (shrink < 1) & (next_ > floor[2:-1])
        tail = torch.where(slow, next_ / (1 - shrink), 0.0)  # what a geometric series leaves
        bar = torch.stack([near, next_ / RATIO, after / RATIO**2, tail, _contradiction(column, floor)[1:-2]]).amax(0)
        bar = torch.where(torch.isfinite(bar + column[1:-2]), bar + floor[1:-2], math.inf)
        best, place = bar.min(0)
        better = best < error
        value = torch.where(better, column[1:-2].gather(0, place[None])[0], value)
        rounding = torch.where(better, floor[1:-2].gather(0, place[None])[0], rounding)
        step = torch.where(better, steps[place + 1 + j], step)
        error = torch.where(better, best, error)
    return Limit(value=value, error=error, noise=rounding, step=step)


def _contradiction(column: Tensor, floor: Tensor) -> Tensor:
    """By how much any finer entry leaves the band of ten floors around each entry of a column [L, R]."""
    apart = (column[None, :] - column[:, None]).abs() - 10 * floor[None, :]  # [entry, other, R]
    finer = torch.ones(len(column), len(column), dtype=torch.bool).triu(1)[:, :, None]
    return torch.where(finer, apart, 0.0).nan_to_num(0.0).clamp(min=0.0).amax(1)


def _number(f: Callable[[Tensor], Tensor], w: Tensor) -> float:
    try:
        return float(f(w).detach())
    except torch.linalg.LinAlgError:  # type: ignore[attr-defined]
        return math.nan  # no such factorisation there: outside the domain of f


def _basis_vector(like: Tensor, i: int, length: float) -> Tensor:
    vector = torch.zeros(like.numel(), dtype=torch.float64, device=like.device)
    vector[i] = length
    return vector.reshape(like.shape)
