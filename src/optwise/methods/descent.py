"""Gradient descent, with and without momentum: torch.optim.SGD as three rules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, final

import torch
from torch import Tensor

from optwise.core.method import UNSET, Hyper, Rule, State
from optwise.methods.one_pass import coefficient, counter, plus, times
from optwise.methods.ranges import BELOW_ONE, LR, MOMENTUM, NONNEGATIVE

_MOMENTUM_SPACE = {"lr": LR, "momentum": MOMENTUM}


@final
@dataclass(frozen=True)
class SGD(Rule):
    r"""Gradient descent.

    .. math:: w \leftarrow w - \mathrm{lr} \, (g + \lambda w)

    Args:
        lr: Step size, at least 0.
        weight_decay: :math:`\lambda`; here it equals a penalty :math:`\tfrac\lambda2 |w|^2` in the loss.

    Example:
        >>> w, _ = SGD(lr=0.1).step(torch.tensor([1.0]), torch.tensor([2.0]), {})
        >>> w
        tensor([0.8000])

    References:
        torch.optim.SGD.
    """

    lr: Hyper = UNSET
    weight_decay: Hyper = UNSET

    torch_class: ClassVar[str] = "SGD"
    defaults: ClassVar[Mapping[str, Any]] = {"lr": 1e-3, "weight_decay": 0.0}
    default_space: ClassVar[Mapping[str, Any]] = {"lr": LR}
    limits: ClassVar[Mapping[str, tuple[float, float]]] = {"lr": NONNEGATIVE, "weight_decay": NONNEGATIVE}

    def init(self, w: Tensor) -> State:
        return {}

    def step(self, w: Tensor, g: Tensor, state: State) -> tuple[Tensor, State]:
        return plus(w, -self.lr, plus(g, self.weight_decay, w)), state


@final
@dataclass(frozen=True)
class Momentum(Rule):
    r"""Heavy-ball momentum as torch has it: the buffer sums gradients, so ``lr / (1 - momentum)`` sets the pace.

    .. math:: b \leftarrow \mu b + (1 - \delta)(g + \lambda w), \qquad w \leftarrow w - \mathrm{lr} \, b

    In the first step, and where the momentum is 0, the gradient enters undamped.

    Args:
        lr: Step size, at least 0.
        momentum: :math:`\mu` in [0, 1). The default 0.9 is our own choice, since torch's is 0.
        dampening: :math:`\delta`; at ``dampening=momentum`` the buffer is an average.
        weight_decay: :math:`\lambda`, added to the gradient.

    Example:
        >>> rule, w = Momentum(lr=0.1), torch.tensor([1.0])
        >>> state = rule.init(w)
        >>> for _ in range(2):
        ...     w, state = rule.step(w, torch.tensor([1.0]), state)
        >>> w
        tensor([0.7100])

    References:
        torch.optim.SGD(momentum=...).
    """

    lr: Hyper = UNSET
    momentum: Hyper = UNSET
    dampening: Hyper = UNSET
    weight_decay: Hyper = UNSET

    torch_class: ClassVar[str] = "SGD"
    defaults: ClassVar[Mapping[str, Any]] = {"lr": 1e-3, "momentum": 0.9, "dampening": 0.0, "weight_decay": 0.0}
    default_space: ClassVar[Mapping[str, Any]] = _MOMENTUM_SPACE
    limits: ClassVar[Mapping[str, tuple[float, float]]] = {
        "lr": NONNEGATIVE,
        "momentum": BELOW_ONE,
        "dampening": (0.0, 1.0),
        "weight_decay": NONNEGATIVE,
    }

    def init(self, w: Tensor) -> State:
        return {"momentum_buffer": torch.zeros_like(w), "step": counter(w)}

    def step(self, w: Tensor, g: Tensor, state: State) -> tuple[Tensor, State]:
        # torch starts the buffer as the gradient itself and keeps no buffer without momentum
        k = state["step"]
        undamped = (k == 0) | (coefficient(self.momentum, k) == 0)
        entering = torch.where(undamped, 1.0, 1 - coefficient(self.dampening, k))
        g = plus(g, self.weight_decay, w)
        buffer = plus(times(self.momentum, state["momentum_buffer"]), entering, g)
        return plus(w, -self.lr, buffer), {"momentum_buffer": buffer, "step": k + 1}


@final
@dataclass(frozen=True)
class Nesterov(Rule):
    r"""Nesterov's momentum, the gradient being taken where the parameters are.

    .. math:: g' = g + \lambda w, \qquad b \leftarrow \mu b + g', \qquad w \leftarrow w - \mathrm{lr} \, (g' + \mu b)

    Args:
        lr: Step size, at least 0.
        momentum: :math:`\mu` in [0, 1). The default 0.9 is our own choice, since torch's is 0.
        weight_decay: :math:`\lambda`, added to the gradient.

    Example:
        >>> rule, w = Nesterov(lr=0.1), torch.tensor([1.0])
        >>> w, _ = rule.step(w, torch.tensor([1.0]), rule.init(w))
        >>> w
        tensor([0.8100])

    References:
        torch.optim.SGD(nesterov=True).
    """

    lr: Hyper = UNSET
    momentum: Hyper = UNSET
    weight_decay: Hyper = UNSET

    torch_class: ClassVar[str] = "SGD"
    torch_arguments: ClassVar[Mapping[str, Any]] = {"nesterov": True}
    defaults: ClassVar[Mapping[str, Any]] = {"lr": 1e-3, "momentum": 0.9, "weight_decay": 0.0}
    default_space: ClassVar[Mapping[str, Any]] = _MOMENTUM_SPACE
    limits: ClassVar[Mapping[str, tuple[float, float]]] = {
        "lr": NONNEGATIVE,
        "momentum": BELOW_ONE,
        "weight_decay": NONNEGATIVE,
    }

    def init(self, w: Tensor) -> State:
        return {"momentum_buffer": torch.zeros_like(w)}

    def step(self, w: Tensor, g: Tensor, state: State) -> tuple[Tensor, State]:
        g = plus(g, self.weight_decay, w)
        buffer = plus(g, self.momentum, state["momentum_buffer"])
        return plus(w, -self.lr, plus(g, self.momentum, buffer)), {"momentum_buffer": buffer}
