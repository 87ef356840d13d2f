"""Averages of the iterates of another rule, which are measured in their place."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, final

import torch
from torch import Tensor

from optwise.core.errors import BadMethod
from optwise.core.method import UNSET, Hyper, Rule, State
from optwise.core.space import LogUniform, OneMinus
from optwise.core.wrapper import Wrapper
from optwise.methods.descent import SGD
from optwise.methods.one_pass import blend, coefficient, counter
from optwise.methods.ranges import NONNEGATIVE


@final
@dataclass(frozen=True)
class EMA(Wrapper):
    r"""An exponential average of the iterates of another rule; the steps are that rule's, the average is measured.

    .. math:: a_0 = w_0, \qquad a_k = \beta a_{k-1} + (1 - \beta) w_k

    ``torch.optim.swa_utils.AveragedModel`` copies the weights at its first update, so that there the average starts at
    the :math:`w` of that moment, mostly :math:`w_1`. Here it starts at :math:`w_0`, where the run does.

    Args:
        inner: The rule whose iterates are averaged; of one that averages itself, the points it is measured at.
        decay: :math:`\beta` in [0, 1]; at 0 the average is the iterate. It remembers about 1 / (1 - decay) steps. The
            default 0.99 is our own choice: a tenth of the default budget of 1000 steps.

    Example:
        >>> rule, w = EMA(SGD(lr=0.5), decay=0.75), torch.tensor([4.0])
        >>> w, state = rule.step(w, torch.tensor([4.0]), rule.init(w))
        >>> w, rule.evaluation_weights(w, state)
        (tensor([2.]), tensor([3.5000]))

    References:
        torch.optim.swa_utils.get_ema_avg_fn.
    """

    inner: Rule = field(default=SGD())
    decay: Hyper = UNSET

    defaults: ClassVar[Mapping[str, Any]] = {"decay": 0.99}
    default_space: ClassVar[Mapping[str, Any]] = {"decay": OneMinus(LogUniform(1e-3, 1.0))}
    limits: ClassVar[Mapping[str, tuple[float, float]]] = {"decay": (0.0, 1.0)}

    def start(self, w: Tensor, curvature: Tensor | None) -> State:
        return _average_of(self.inner, w, curvature)

    def step(self, w: Tensor, g: Tensor, state: State) -> tuple[Tensor, State]:
        w, inner = self.inner.step(w, g, state["inner"])
        point = self.inner.evaluation_weights(w, inner)
        return w, {"inner": inner, "average": blend(state["average"], 1 - self.decay, point)}

    def evaluation_weights(self, w: Tensor, state: State) -> Tensor:
        average: Tensor = state["average"]
        return average


@final
@dataclass(frozen=True)
class Polyak(Wrapper):
    r"""The mean of the iterates of another rule, from some step on; the steps are that rule's, the mean is measured.

    .. math:: a_k = w_k \quad (k \le s), \qquad a_k = \frac{1}{k - s} \sum_{i = s + 1}^{k} w_i \quad (k > s)

    Args:
        inner: The rule whose iterates are averaged; of one that averages itself, the points it is measured at.
        after: :math:`s`, a whole number: the mean is over the steps after this one, so that what is left of the start
            does not weigh on it.

    Raises:
        BadMethod: ``after`` is no whole number.

    Example:
        >>> rule, w = Polyak(SGD(lr=0.5)), torch.tensor([4.0])
        >>> state = rule.init(w)
        >>> for _ in range(2):
        ...     w, state = rule.step(w, w, state)
        >>> w, rule.evaluation_weights(w, state)
        (tensor([1.]), tensor([1.5000]))

    References:
        Polyak and Juditsky (1992), Acceleration of Stochastic Approximation by Averaging; torch.optim.swa_utils, whose
        mean starts at its first update.
    """

    inner: Rule = field(default=SGD())
    after: Hyper = UNSET

    defaults: ClassVar[Mapping[str, Any]] = {"after": 0}
    limits: ClassVar[Mapping[str, tuple[float, float]]] = {"after": NONNEGATIVE}

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.after, int | float) and not (math.isfinite(self.after) and self.after == int(self.after)):
            raise BadMethod(f"Polyak.after is {self.after}; it must be a whole number of steps.")

    def start(self, w: Tensor, curvature: Tensor | None) -> State:
        return {**_average_of(self.inner, w, curvature), "step": counter(w)}

    def step(self, w: Tensor, g: Tensor, state: State) -> tuple[Tensor, State]:
        w, inner = self.inner.step(w, g, state["inner"])
        point = self.inner.evaluation_weights(w, inner)
        k = state["step"] + 1
        averaged = torch.clamp(k - coefficient(self.after, k), min=1)  # up to step s the share is 1: the iterate itself
        return w, {"inner": inner, "average": blend(state["average"], 1 / averaged, point), "step": k}

    def evaluation_weights(self, w: Tensor, state: State) -> Tensor:
        average: Tensor = state["average"]
        return average


def _average_of(inner: Rule, w: Tensor, curvature: Tensor | None) -> State:
    own = inner.start(w, curvature)
    return {"inner": own, "average": inner.evaluation_weights(w, own).clone()}
