"""Schedule-free gradient descent: an average takes the place of a decaying step size."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, final

import torch
from torch import Tensor

from optwise.core.method import UNSET, Hyper, Rule, State
from optwise.core.schedule import Schedule
from optwise.core.space import LogUniform
from optwise.methods.one_pass import blend, coefficient, counter, plus
from optwise.methods.ranges import MOMENTUM, NONNEGATIVE
from optwise.methods.schedules import Constant


@final
@dataclass(frozen=True)
class ScheduleFreeSGD(Rule):
    r"""Gradient descent without a schedule: gradients are taken at y, between the fast z and its average x.

    .. math::
        z \leftarrow z - \mathrm{lr} \, (g(y) + \lambda y), \qquad
        x \leftarrow (1 - c) x + c z, \qquad
        y \leftarrow (1 - \beta) z + \beta x

    where :math:`c` is this step's share of the weights so far: step k (0-based) weighs
    :math:`(k + 1)^r (\max_{i \le k} \mathrm{lr}_i)^q`, and :math:`c = 0` while the sum is 0. The iterate is y, what is
    measured is x.

    Args:
        lr: Step size of z, at least 0. It is searched over ten times the range of :class:`Momentum`, own choice: the
            average does not add up steps as a buffer of memory 0.9 does.
        momentum: :math:`\beta` in [0, 1]. At 0 gradients are taken at z (averaging alone), at 1 at the average.
        weight_decay: :math:`\lambda`, taken at y.
        r: Power of the step in the weights.
        weight_lr_power: :math:`q`, power of the largest step size so far in the weights.
        schedule: Factor on ``lr``; here constant unless another one is given, also where a comparison hands out its
            own. A warm-up enters the weights through ``lr``.

    Example:
        >>> rule, w = ScheduleFreeSGD(lr=0.5), torch.tensor([4.0])
        >>> state = rule.init(w)
        >>> for _ in range(2):
        ...     w, state = rule.step(w, w, state)
        >>> w, rule.evaluation_weights(w, state)
        (tensor([1.4500]), tensor([1.5000]))

    References:
        schedulefree.SGDScheduleFree(warmup_steps=0), which keeps x only between the lines and so wants a momentum
        strictly between 0 and 1; Defazio et al. (2024), The Road Less Scheduled, equations 6 to 8.
    """

    lr: Hyper = UNSET
    momentum: Hyper = UNSET
    weight_decay: Hyper = UNSET
    r: Hyper = UNSET
    weight_lr_power: Hyper = UNSET
    schedule: Schedule | None = field(default=Constant(), kw_only=True)

    defaults: ClassVar[Mapping[str, Any]] = {
        "lr": 1.0,
        "momentum": 0.9,
        "weight_decay": 0.0,
        "r": 0.0,
        "weight_lr_power": 2.0,
    }
    default_space: ClassVar[Mapping[str, Any]] = {
        "lr": LogUniform(1e-2, 100.0),
        "momentum": MOMENTUM,
    }
    limits: ClassVar[Mapping[str, tuple[float, float]]] = {
        "lr": NONNEGATIVE,
        "momentum": (0.0, 1.0),
        "weight_decay": NONNEGATIVE,
        "r": NONNEGATIVE,
        "weight_lr_power": NONNEGATIVE,
    }

    @property
    def label(self) -> str:
        return self.name or "schedule-free-sgd"

    def init(self, w: Tensor) -> State:
        clocks = {"step": counter(w), "lr_max": counter(w), "weight_sum": counter(w)}
        return {"z": w.clone(), "x": w.clone(), **clocks}

    def step(self, w: Tensor, g: Tensor, state: State) -> tuple[Tensor, State]:
        k = state["step"] + 1
        lr_max = torch.maximum(state["lr_max"], coefficient(self.lr, k))
        weight = k**self.r * lr_max**self.weight_lr_power
        total = state["weight_sum"] + weight
        share = weight / torch.where(total > 0, total, 1.0)

        z = plus(state["z"], -self.lr, plus(g, self.weight_decay, w))
        x = blend(state["x"], share, z)
        y = blend(z, self.momentum, x)
        return y, {"z": z, "x": x, "step": k, "lr_max": lr_max, "weight_sum": total}

    def evaluation_weights(self, w: Tensor, state: State) -> Tensor:
        x: Tensor = state["x"]
        return x
