"""Steps scaled coordinate by coordinate: Adagrad, RMSProp, and the Adam family."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, final

import torch
from torch import Tensor

from optwise.core.method import UNSET, Hyper, Rule, State
from optwise.methods.one_pass import blend, coefficient, counter, plus, times
from optwise.methods.ranges import ADAPTIVE_LR, BELOW_ONE, LR, MEMORY, NONNEGATIVE

_ADAM_LIMITS = {"lr": NONNEGATIVE, "betas": BELOW_ONE, "eps": NONNEGATIVE, "weight_decay": NONNEGATIVE}


@final
@dataclass(frozen=True)
class Adagrad(Rule):
    r"""Steps divided by the root of the sum of all squared gradients.

    .. math::
        s \leftarrow s + g'^2, \qquad
        w \leftarrow w - \frac{\mathrm{lr}}{1 + k \, \mathrm{lr\_decay}} \frac{g'}{\sqrt{s} + \epsilon}, \qquad
        g' = g + \lambda w

    Args:
        lr: Step size, at least 0.
        lr_decay: Decay of the step size in the number ``k`` of steps taken.
        weight_decay: :math:`\lambda`, added to the gradient.
        initial_accumulator_value: Where :math:`s` starts.
        eps: Added outside the root; a course that writes :math:`\sqrt{s + \epsilon}` has another method near 0.

    Example:
        >>> rule, w = Adagrad(lr=0.1), torch.tensor([1.0, 1.0])
        >>> w, _ = rule.step(w, torch.tensor([1.0, 100.0]), rule.init(w))
        >>> w
        tensor([0.9000, 0.9000])

    References:
        torch.optim.Adagrad.
    """

    lr: Hyper = UNSET
    lr_decay: Hyper = UNSET
    weight_decay: Hyper = UNSET
    initial_accumulator_value: Hyper = UNSET
    eps: Hyper = UNSET

    torch_class: ClassVar[str] = "Adagrad"
    defaults: ClassVar[Mapping[str, Any]] = {
        "lr": 1e-2,
        "lr_decay": 0.0,
        "weight_decay": 0.0,
        "initial_accumulator_value": 0.0,
        "eps": 1e-10,
    }
    default_space: ClassVar[Mapping[str, Any]] = {"lr": LR}
    limits: ClassVar[Mapping[str, tuple[float, float]]] = dict.fromkeys(defaults, NONNEGATIVE)

    def init(self, w: Tensor) -> State:
        return {"sum": torch.zeros_like(w) + coefficient(self.initial_accumulator_value, w), "step": counter(w)}

    def step(self, w: Tensor, g: Tensor, state: State) -> tuple[Tensor, State]:
        lr = self.lr / (1 + state["step"] * self.lr_decay)
        g = plus(g, self.weight_decay, w)
        total = torch.addcmul(state["sum"], g, g)
        return _minus_quotient(w, times(lr, g), total, self.eps), {"sum": total, "step": state["step"] + 1}


@final
@dataclass(frozen=True)
class RMSProp(Rule):
    r"""Steps divided by the root of an average of squared gradients, with optional momentum on the quotient.

    .. math::
        v \leftarrow \alpha v + (1 - \alpha) g'^2, \qquad
        b \leftarrow \mu b + \frac{g'}{\sqrt{v} + \epsilon}, \qquad
        w \leftarrow w - \mathrm{lr} \, b, \qquad g' = g + \lambda w

    Args:
        lr: Step size, at least 0.
        alpha: Memory of the average, in [0, 1).
        eps: Added outside the root.
        weight_decay: :math:`\lambda`, added to the gradient.
        momentum: :math:`\mu` in [0, 1).

    Example:
        >>> rule, w = RMSProp(lr=0.1, alpha=0.75), torch.tensor([1.0])
        >>> w, _ = rule.step(w, torch.tensor([3.0]), rule.init(w))
        >>> w
        tensor([0.8000])

    References:
        torch.optim.RMSprop, not centered.
    """

    lr: Hyper = UNSET
    alpha: Hyper = UNSET
    eps: Hyper = UNSET
    weight_decay: Hyper = UNSET
    momentum: Hyper = UNSET

    torch_class: ClassVar[str] = "RMSprop"
    defaults: ClassVar[Mapping[str, Any]] = {
        "lr": 1e-2,
        "alpha": 0.99,
        "eps": 1e-8,
        "weight_decay": 0.0,
        "momentum": 0.0,
    }
    default_space: ClassVar[Mapping[str, Any]] = {"lr": ADAPTIVE_LR, "alpha": MEMORY}
    limits: ClassVar[Mapping[str, tuple[float, float]]] = {
        "lr": NONNEGATIVE,
        "alpha": BELOW_ONE,
        "eps": NONNEGATIVE,
        "weight_decay": NONNEGATIVE,
        "momentum": BELOW_ONE,
    }

    def init(self, w: Tensor) -> State:
        return {"square_avg": torch.zeros_like(w), "momentum_buffer": torch.zeros_like(w)}

    def step(self, w: Tensor, g: Tensor, state: State) -> tuple[Tensor, State]:
        g = plus(g, self.weight_decay, w)
        square = _square_average(state["square_avg"], self.alpha, g)
        scale = square.sqrt() + coefficient(self.eps, w)
        buffer = torch.addcdiv(times(self.momentum, state["momentum_buffer"]), g, scale)
        return plus(w, -self.lr, buffer), {"square_avg": square, "momentum_buffer": buffer}


@final
@dataclass(frozen=True)
class Adam(Rule):
    r"""Averages of gradients and of their squares, each divided by its bias; weight decay is part of the gradient.

    .. math::
        m \leftarrow \beta_1 m + (1 - \beta_1) g', \qquad v \leftarrow \beta_2 v + (1 - \beta_2) g'^2, \qquad
        w \leftarrow w - \mathrm{lr} \, \frac{m / (1 - \beta_1^t)}{\sqrt{v / (1 - \beta_2^t)} + \epsilon}, \qquad
        g' = g + \lambda w

    Args:
        lr: Step size, at least 0.
        betas: :math:`(\beta_1, \beta_2)`, each in [0, 1).
        eps: Added outside the root, after the bias correction.
        weight_decay: :math:`\lambda`, coupled: it passes through both averages. :class:`AdamW` decouples it.

    Example:
        >>> rule, w = Adam(lr=0.1), torch.tensor([1.0, 1.0])
        >>> w, _ = rule.step(w, torch.tensor([5.0, -0.01]), rule.init(w))
        >>> w
        tensor([0.9000, 1.1000])

    References:
        torch.optim.Adam; Kingma and Ba (2015), Adam, algorithm 1.
    """

    lr: Hyper = UNSET
    betas: Hyper = UNSET
    eps: Hyper = UNSET
    weight_decay: Hyper = UNSET

    torch_class: ClassVar[str] = "Adam"
    defaults: ClassVar[Mapping[str, Any]] = {"lr": 1e-3, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0.0}
    default_space: ClassVar[Mapping[str, Any]] = {"lr": ADAPTIVE_LR, "betas": (MEMORY, 0.999)}
    limits: ClassVar[Mapping[str, tuple[float, float]]] = _ADAM_LIMITS

    def init(self, w: Tensor) -> State:
        return _no_moments(w)

    def step(self, w: Tensor, g: Tensor, state: State) -> tuple[Tensor, State]:
        g = plus(g, self.weight_decay, w)
        return _adam_step(w, g, state, lr=self.lr, betas=self.betas, eps=self.eps)


@final
@dataclass(frozen=True)
class AdamW(Rule):
    r"""Adam whose weight decay shrinks the parameters themselves.

    .. math::
        w \leftarrow (1 - \mathrm{lr} \, \lambda) w
            - \mathrm{lr} \, \frac{m / (1 - \beta_1^t)}{\sqrt{v / (1 - \beta_2^t)} + \epsilon}

    with the averages :math:`m, v` of :class:`Adam`, made of ``g`` alone.

    Args:
        lr: Step size, at least 0.
        betas: :math:`(\beta_1, \beta_2)`, each in [0, 1).
        eps: Added outside the root, after the bias correction.
        weight_decay: :math:`\lambda`, decoupled from the gradient, multiplied by ``lr`` and its schedule as in torch.

    Example:
        >>> rule, w = AdamW(lr=0.1, weight_decay=0.5), torch.tensor([1.0])
        >>> w, _ = rule.step(w, torch.tensor([5.0]), rule.init(w))
        >>> w
        tensor([0.8500])

    References:
        torch.optim.AdamW; Loshchilov and Hutter (2019), Decoupled Weight Decay Regularization.
    """

    lr: Hyper = UNSET
    betas: Hyper = UNSET
    eps: Hyper = UNSET
    weight_decay: Hyper = UNSET

    torch_class: ClassVar[str] = "AdamW"
    defaults: ClassVar[Mapping[str, Any]] = {"lr": 1e-3, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 1e-2}
    default_space: ClassVar[Mapping[str, Any]] = {"lr": ADAPTIVE_LR, "betas": (MEMORY, 0.999)}
    limits: ClassVar[Mapping[str, tuple[float, float]]] = _ADAM_LIMITS

    def init(self, w: Tensor) -> State:
        return _no_moments(w)

    def step(self, w: Tensor, g: Tensor, state: State) -> tuple[Tensor, State]:
        w = times(1 - self.lr * self.weight_decay, w)
        return _adam_step(w, g, state, lr=self.lr, betas=self.betas, eps=self.eps)


@final
@dataclass(frozen=True)
class NAdamW(Rule):
    r"""AdamW with Nesterov's look-ahead in the first average, whose coefficient warms up.

    .. math::
        \mu_t = \beta_1 (1 - \tfrac12 \, 0.96^{t \psi}), \qquad
        w \leftarrow (1 - \mathrm{lr} \, \lambda) w - \frac{\mathrm{lr}}{\sqrt{v / (1 - \beta_2^t)} + \epsilon}
        \Big( \frac{1 - \mu_t}{1 - \prod_{i \le t} \mu_i} g + \frac{\mu_{t+1}}{1 - \prod_{i \le t + 1} \mu_i} m \Big)

    with the averages :math:`m, v` of :class:`Adam`, made of ``g`` alone. The product is kept in float64; torch keeps it
    in its default dtype, so that under the usual float32 its coefficients carry a rounding of about 1e-7.

    Args:
        lr: Step size, at least 0.
        betas: :math:`(\beta_1, \beta_2)`, each in [0, 1).
        eps: Added outside the root, after the bias correction.
        weight_decay: :math:`\lambda`, decoupled from the gradient, multiplied by ``lr`` and its schedule.
        momentum_decay: :math:`\psi`, how fast the coefficient warms up.

    Example:
        >>> rule, w = NAdamW(lr=0.1, betas=(0.0, 0.999)), torch.tensor([1.0])
        >>> w, _ = rule.step(w, torch.tensor([5.0]), rule.init(w))
        >>> w
        tensor([0.9000])

    References:
        torch.optim.NAdam(decoupled_weight_decay=True); Dozat (2016), Incorporating Nesterov Momentum into Adam.
    """

    lr: Hyper = UNSET
    betas: Hyper = UNSET
    eps: Hyper = UNSET
    weight_decay: Hyper = UNSET
    momentum_decay: Hyper = UNSET

    torch_class: ClassVar[str] = "NAdam"
    torch_arguments: ClassVar[Mapping[str, Any]] = {"decoupled_weight_decay": True}
    defaults: ClassVar[Mapping[str, Any]] = {
        "lr": 2e-3,
        "betas": (0.9, 0.999),
        "eps": 1e-8,
        "weight_decay": 0.0,
        "momentum_decay": 4e-3,
    }
    default_space: ClassVar[Mapping[str, Any]] = {"lr": ADAPTIVE_LR, "betas": (MEMORY, 0.999)}
    limits: ClassVar[Mapping[str, tuple[float, float]]] = {**_ADAM_LIMITS, "momentum_decay": NONNEGATIVE}

    def init(self, w: Tensor) -> State:
        return {**_no_moments(w), "mu_product": counter(w) + 1}

    def step(self, w: Tensor, g: Tensor, state: State) -> tuple[Tensor, State]:
        beta1, beta2 = self.betas
        t = state["step"] + 1
        mu = beta1 * (1 - 0.5 * 0.96 ** (t * self.momentum_decay))
        mu_next = beta1 * (1 - 0.5 * 0.96 ** ((t + 1) * self.momentum_decay))
        product = state["mu_product"] * mu
        m = blend(state["exp_avg"], 1 - beta1, g)
        v = _square_average(state["exp_avg_sq"], beta2, g)

        root = (1 - beta2**t).sqrt()  # multiplies numerator and denominator, which saves a pass
        of_gradient = self.lr * root * (1 - mu) / (1 - product)
        of_average = self.lr * root * mu_next / (1 - product * mu_next)
        ahead = plus(times(of_gradient, g), of_average, m)
        w = _minus_quotient(times(1 - self.lr * self.weight_decay, w), ahead, v, self.eps * root)
        return w, {"exp_avg": m, "exp_avg_sq": v, "step": t, "mu_product": product}


def _no_moments(w: Tensor) -> State:
    return {"exp_avg": torch.zeros_like(w), "exp_avg_sq": torch.zeros_like(w), "step": counter(w)}


def _adam_step(w: Tensor, g: Tensor, state: State, *, lr: Hyper, betas: Hyper, eps: Hyper) -> tuple[Tensor, State]:
    beta1, beta2 = betas
    t = state["step"] + 1
    m = blend(state["exp_avg"], 1 - beta1, g)
    v = _square_average(state["exp_avg_sq"], beta2, g)
    root = (1 - beta2**t).sqrt()  # multiplies numerator and denominator, which saves a pass
    w = _minus_quotient(w, times(lr * root / (1 - beta1**t), m), v, eps * root)
    return w, {"exp_avg": m, "exp_avg_sq": v, "step": t}


def _square_average(v: Tensor, memory: Hyper, g: Tensor) -> Tensor:
    # no lerp here: where g^2 overflows, torch's average stays infinite and that coordinate rests; a lerp makes it NaN
    return torch.addcmul(times(memory, v), times(1 - memory, g), g)


def _minus_quotient(w: Tensor, a: Tensor, v: Tensor, eps: Hyper) -> Tensor:
    """``w - a / (sqrt(v) + eps)``."""
    return torch.addcdiv(w, a, v.sqrt() + coefficient(eps, v), value=-1)
