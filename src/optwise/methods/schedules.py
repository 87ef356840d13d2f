"""Learning-rate schedules as closed forms of the step.

Conventions: ``k`` counts steps already taken. Shares are of the horizon and round to whole steps. A warm-up over W
steps gives (k + 1) / W, so that no step is wasted at 0 and its last one is at 1. A decay over the remaining D steps
starts at 1 and would reach ``final`` one step after the run, as torch's schedulers do: no step is wasted at the end.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

import numpy as np

from optwise.core.hyperparameters import admitted, within
from optwise.core.method import Hyper
from optwise.core.schedule import Floats, Schedule
from optwise.methods.ranges import BELOW_ONE, NONNEGATIVE


@final
@dataclass(frozen=True)
class Constant(Schedule):
    """Factor 1 throughout."""

    def factor(self, k: Floats, horizon: int) -> Floats:
        return np.ones(k.shape)

    def expression(self, horizon: int) -> str:
        return "1.0"

    @property
    def needs_horizon(self) -> bool:
        return False


@final
@dataclass(frozen=True)
class WarmupCosine(Schedule):
    r"""Linear warm-up, then half a cosine from 1 to ``final``.

    .. math:: f + (1 - f) \, \tfrac12 (1 + \cos(\pi j / D)), \qquad j = k - W

    Args:
        warmup: W as a share of the horizon, in [0, 1).
        final: :math:`f`, the factor at the end.

    Example:
        >>> WarmupCosine(warmup=0.2).factors(10).round(3).tolist()
        [0.5, 1.0, 1.0, 0.962, 0.854, 0.691, 0.5, 0.309, 0.146, 0.038]

    References:
        torch.optim.lr_scheduler.CosineAnnealingLR(T_max=D) after LinearLR(1 / W, total_iters=W - 1).
    """

    warmup: Hyper = 0.05
    final: Hyper = 0.0

    def __post_init__(self) -> None:
        _require(self, "warmup", BELOW_ONE)
        _require(self, "final", NONNEGATIVE)

    def factor(self, k: Floats, horizon: int) -> Floats:
        decayed = _decayed(k, self.warmup, horizon)
        cosine: Floats = self.final + (1 - self.final) * (1 + np.cos(np.pi * decayed)) / 2
        return _ramp(k, self.warmup, horizon) * cosine

    def expression(self, horizon: int) -> str:
        begin, span = _decay(self.warmup, horizon)
        cosine = f"(1 + math.cos(math.pi * {begin} / {span})) / 2"
        shape = cosine if self.final == 0 else f"({self.final!r} + {1 - self.final!r} * {cosine})"
        return f"{_ramp_expression(self.warmup, horizon)}{shape}"


@final
@dataclass(frozen=True)
class WarmupLinear(Schedule):
    r"""Linear warm-up, then a straight line from 1 to ``final``.

    .. math:: 1 - (1 - f) \, j / D, \qquad j = k - W

    Args:
        warmup: W as a share of the horizon, in [0, 1).
        final: :math:`f`, the factor at the end.

    Example:
        >>> WarmupLinear(warmup=0.2).factors(10).round(3).tolist()
        [0.5, 1.0, 1.0, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125]

    References:
        torch.optim.lr_scheduler.LinearLR(1, f, total_iters=D) after LinearLR(1 / W, total_iters=W - 1).
    """

    warmup: Hyper = 0.05
    final: Hyper = 0.0

    def __post_init__(self) -> None:
        _require(self, "warmup", BELOW_ONE)
        _require(self, "final", NONNEGATIVE)

    def factor(self, k: Floats, horizon: int) -> Floats:
        line: Floats = 1 - (1 - self.final) * _decayed(k, self.warmup, horizon)
        return _ramp(k, self.warmup, horizon) * line

    def expression(self, horizon: int) -> str:
        begin, span = _decay(self.warmup, horizon)
        return f"{_ramp_expression(self.warmup, horizon)}(1 - {1 - self.final!r} * {begin} / {span})"


@final
@dataclass(frozen=True)
class WarmupStableDecay(Schedule):
    """Linear warm-up, a plateau at 1, and a straight line to ``final`` over the last share of the run.

    Where warm-up and decay overlap, the smaller factor holds.

    Args:
        warmup: Share of the horizon that warms up, in [0, 1).
        decay: Share of the horizon that decays, in [0, 1].
        final: The factor at the end.

    Example:
        >>> WarmupStableDecay(warmup=0.2, decay=0.4).factors(10).round(3).tolist()
        [0.5, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.75, 0.5, 0.25]

    References:
        Hu et al. (2024), MiniCPM, section 4.
    """

    warmup: Hyper = 0.05
    decay: Hyper = 0.2
    final: Hyper = 0.0

    def __post_init__(self) -> None:
        _require(self, "warmup", BELOW_ONE)
        _require(self, "decay", (0.0, 1.0))
        _require(self, "final", NONNEGATIVE)

    def factor(self, k: Floats, horizon: int) -> Floats:
        line: Floats = 1 - (1 - self.final) * _decayed(k, 1 - self.decay, horizon)
        return np.minimum(_ramp(k, self.warmup, horizon), line)

    def expression(self, horizon: int) -> str:
        begin, span = _decay(1 - self.decay, horizon)
        ramp = max(_steps(self.warmup, horizon), 1)
        return f"min((k + 1) / {ramp}, 1, 1 - {1 - self.final!r} * {begin} / {span})"


@final
@dataclass(frozen=True)
class InverseSqrt(Schedule):
    r"""Linear warm-up, then :math:`\sqrt{W / (k + 1)}`, which never ends.

    Without warm-up it is :math:`1 / \sqrt{k + 1}` and needs no horizon; with warm-up it does, since W is a share of it.

    Args:
        warmup: W as a share of the horizon, in [0, 1).

    Example:
        >>> InverseSqrt(warmup=0.2).factors(10).round(3).tolist()
        [0.5, 1.0, 0.816, 0.707, 0.632, 0.577, 0.535, 0.5, 0.471, 0.447]

    References:
        Vaswani et al. (2017), Attention Is All You Need, equation 3, scaled to a peak of 1.
    """

    warmup: Hyper = 0.05

    def __post_init__(self) -> None:
        _require(self, "warmup", BELOW_ONE)

    def factor(self, k: Floats, horizon: int) -> Floats:
        peak = max(_steps(self.warmup, horizon), 1)
        return np.minimum(_ramp(k, self.warmup, horizon), np.sqrt(peak / (k + 1)))

    def expression(self, horizon: int) -> str:
        peak = max(_steps(self.warmup, horizon), 1)
        return f"min((k + 1) / {peak}, 1, math.sqrt({peak} / (k + 1)))"

    @property
    def needs_horizon(self) -> bool:
        return bool(self.warmup != 0)


@final
@dataclass(frozen=True)
class StepDecay(Schedule):
    """Multiplied by ``gamma`` after every ``every`` steps.

    Args:
        every: Steps between two drops, at least 1.
        gamma: Factor of a drop.

    Example:
        >>> StepDecay(2, 0.5).factors(5).tolist()
        [1.0, 1.0, 0.5, 0.5, 0.25]

    References:
        torch.optim.lr_scheduler.StepLR.
    """

    every: Hyper
    gamma: Hyper = 0.1

    def __post_init__(self) -> None:
        _require(self, "every", (1, math.inf))
        _require(self, "gamma", NONNEGATIVE)

    def factor(self, k: Floats, horizon: int) -> Floats:
        return np.asarray(self.gamma ** (k // self.every))

    def expression(self, horizon: int) -> str:
        return f"{self.gamma!r} ** (k // {self.every})"

    @property
    def needs_horizon(self) -> bool:
        return False


@final
@dataclass(frozen=True)
class Exponential(Schedule):
    """Multiplied by ``gamma`` after every step; above 1 it grows, as a learning-rate range test wants.

    Args:
        gamma: Factor of one step.

    Example:
        >>> Exponential(0.5).factors(3).tolist()
        [1.0, 0.5, 0.25]

    References:
        torch.optim.lr_scheduler.ExponentialLR.
    """

    gamma: Hyper

    def __post_init__(self) -> None:
        _require(self, "gamma", NONNEGATIVE)

    def factor(self, k: Floats, horizon: int) -> Floats:
        return np.asarray(self.gamma**k)

    def expression(self, horizon: int) -> str:
        return f"{self.gamma!r}**k"

    @property
    def needs_horizon(self) -> bool:
        return False


@final
@dataclass(frozen=True)
class InverseTime(Schedule):
    r"""The factor :math:`1 / (1 + \gamma k)`, which never ends.

    Step sizes of this kind add up to infinity while their squares do not, as stochastic approximation asks for. At
    ``decay=1``, gradient descent with ``lr=1`` on the mean of :math:`\tfrac12 (w - x_i)^2` is the running mean of the
    examples seen.

    Args:
        decay: :math:`\gamma`, at least 0.

    Example:
        >>> InverseTime(1.0).factors(4).round(3).tolist()
        [1.0, 0.5, 0.333, 0.25]

    References:
        Robbins and Monro (1951), A Stochastic Approximation Method, equation 6.
    """

    decay: Hyper = 1.0

    def __post_init__(self) -> None:
        _require(self, "decay", NONNEGATIVE)

    def factor(self, k: Floats, horizon: int) -> Floats:
        return np.asarray(1 / (1 + self.decay * k))

    def expression(self, horizon: int) -> str:
        return f"1 / (1 + {self.decay!r} * k)"

    @property
    def needs_horizon(self) -> bool:
        return False


def _steps(share: float, horizon: int) -> int:
    return min(round(share * horizon), horizon - 1)


def _ramp(k: Floats, warmup: float, horizon: int) -> Floats:
    """The warm-up, 1 from its last step on."""
    return np.minimum((k + 1) / max(_steps(warmup, horizon), 1), 1.0)


def _decay(before: float, horizon: int) -> tuple[str, int]:
    """The steps of a decay that begins after the share ``before``, as Python of ``k``, and how many there are."""
    begin = _steps(before, horizon)
    return f"max(k - {begin}, 0)" if begin else "k", horizon - begin


def _ramp_expression(warmup: float, horizon: int) -> str:
    steps = _steps(warmup, horizon)
    return f"min((k + 1) / {steps}, 1) * " if steps > 1 else ""


def _decayed(k: Floats, before: float, horizon: int) -> Floats:
    """How much of a decay is over that begins after the share ``before``: 0 at its first step, below 1 at the last."""
    begin = _steps(before, horizon)
    return np.maximum(k - begin, 0.0) / (horizon - begin)


def _require(schedule: Schedule, field: str, limit: tuple[float, float]) -> None:
    where = f"{type(schedule).__name__}.{field}"
    value = admitted(where, getattr(schedule, field), limit[0])
    within(where, value, limit)
    object.__setattr__(schedule, field, value)


DEFAULT_SCHEDULE = WarmupCosine(warmup=0.05)
