"""The two smooth parts: a network on labelled examples, and a function of the parameters alone."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import InitVar, dataclass, field

import torch
from torch import Tensor, nn
from torch.func import functional_call

from optwise.core.layout import Layout, Leaves
from optwise.core.metric import OBJECTIVE
from optwise.core.objective import Objective

PerExample = Callable[[Tensor, Tensor], Tensor]
"""A function of outputs [B, ...] and labels [B, ...] that gives one number per example [B]."""


@dataclass(frozen=True, eq=False)
class ModuleObjective(Objective):
    """A network and a loss of its outputs, without state: parameters and buffers come in and go out.

    Gradients are taken in training mode, numbers are measured in evaluation mode; each mode has its own copy of the
    network, because switching one copy back and forth cannot be done inside a batched pass.

    Args:
        template: The network whose structure is used; its own numbers are never looked at.
        loss: Loss of each example.
        metrics: Further numbers of each example, by name.
        reason: Why trials cannot share a pass; empty where there is no reason.
        sees_batch: Whether an example's output depends on the others of its training batch.

    Example:
        >>> from optwise.problems.losses import half_squared_error
        >>> objective = ModuleObjective(nn.Linear(2, 1, bias=False), lambda o, y: half_squared_error(o, y)[:, 0])
        >>> w = {"weight": torch.tensor([[1.0, 2.0]])}
        >>> objective.losses(w, {}, torch.eye(2), torch.zeros(2, 1))
        (tensor([0.5000, 2.0000]), {})
    """

    template: InitVar[nn.Module]
    loss: PerExample
    metrics: Mapping[str, PerExample] = field(default_factory=dict)
    reason: str = ""
    sees_batch: bool = False
    _training: nn.Module = field(init=False, repr=False)
    _evaluation: nn.Module = field(init=False, repr=False)

    def __post_init__(self, template: nn.Module) -> None:
        object.__setattr__(self, "_training", copy.deepcopy(template).train())
        object.__setattr__(self, "_evaluation", copy.deepcopy(template).eval())

    def forward(self, w: Leaves, buffers: Leaves, x: Tensor) -> tuple[Tensor, Leaves]:
        """Outputs in training mode [B, ...], and the buffers afterwards; those handed in are not touched."""
        state = {**w, **{name: buffer.clone() for name, buffer in buffers.items()}}
        outputs = functional_call(self._training, state, (x,))
        # layers update running statistics in place, or put a new tensor in their place: functional_call writes it back
        return outputs, {name: state[name].detach() for name in buffers}

    def predict(self, w: Leaves, buffers: Leaves, x: Tensor) -> Tensor:
        """Outputs in evaluation mode [N, ...]."""
        outputs: Tensor = functional_call(self._evaluation, {**w, **buffers}, (x,))
        return outputs

    def losses(self, w: Leaves, buffers: Leaves, x: Tensor | None, y: Tensor | None) -> tuple[Tensor, Leaves]:
        assert x is not None
        assert y is not None
        outputs, buffers = self.forward(w, buffers, x)
        return self.loss(outputs, y), buffers

    def measure(self, w: Leaves, buffers: Leaves, x: Tensor | None, y: Tensor | None) -> dict[str, Tensor]:
        assert x is not None
        assert y is not None
        outputs = self.predict(w, buffers, x)
        return {"loss": self.loss(outputs, y), **{name: metric(outputs, y) for name, metric in self.metrics.items()}}

    @property
    def unbatchable(self) -> str:
        return self.reason

    @property
    def coupled(self) -> bool:
        return self.sees_batch


@dataclass(frozen=True, eq=False)
class FunctionObjective(Objective):
    r"""A function of the parameters alone, with linear noise where the sampler streams it.

    .. math:: \ell(w) = f(w) + \langle \xi, w \rangle, \qquad \nabla \ell(w) = \nabla f(w) + \xi

    A stream's rows ``x`` [R, P] are the noise :math:`\xi`, parameters in the order of the leaves; without a stream
    there is none. What is measured, under the name ``objective``, is :math:`f` itself.

    Args:
        value: :math:`f`, from leaves to a tensor without dimensions.

    Example:
        >>> objective = FunctionObjective(lambda w: w["w"].square().sum())
        >>> w = {"w": torch.tensor([1.0, 2.0])}
        >>> objective.measure(w, {}, None, None)
        {'objective': tensor([5.])}
        >>> objective.losses(w, {}, torch.tensor([[10.0, 0.0]]), None)
        (tensor([15.]), {})
    """

    value: Callable[[Leaves], Tensor]

    def losses(self, w: Leaves, buffers: Leaves, x: Tensor | None, y: Tensor | None) -> tuple[Tensor, Leaves]:
        value = self.value(w).reshape(1)
        if x is None:
            return value, buffers
        row = Layout.of(w).pack(w)  # [P]
        return value + x.to(dtype=row.dtype, device=row.device) @ row, buffers

    def measure(self, w: Leaves, buffers: Leaves, x: Tensor | None, y: Tensor | None) -> dict[str, Tensor]:
        return {OBJECTIVE: self.value(w).reshape(1)}


def class_accuracy(outputs: Tensor, y: Tensor) -> Tensor:
    """Whether the largest of the outputs [N, C] is the labelled class [N], as 0 or 1."""
    return (outputs.argmax(1) == y).to(outputs.dtype)


def sign_accuracy(outputs: Tensor, y: Tensor) -> Tensor:
    """Whether a logit, [N] or [N, 1], lies on the side of its label 0 or 1, as 0 or 1; a logit of 0 says 0."""
    return ((outputs.flatten() > 0) == (y.flatten() > 0.5)).to(outputs.dtype)


def draws_randomly(objective: ModuleObjective, w: Leaves, buffers: Leaves, x: Tensor) -> bool:
    """Whether two forward passes in training mode differ, or move torch's random state."""
    outputs = []
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        for seed in (1, 2):
            torch.manual_seed(seed)
            before = torch.get_rng_state()
            outputs.append(objective.forward(w, buffers, x)[0])
            if not torch.equal(before, torch.get_rng_state()):
                return True
    return not torch.equal(*outputs)


def sees_batch(objective: ModuleObjective, w: Leaves, buffers: Leaves, x: Tensor) -> bool:
    """Whether the first output in training mode changes with another example of the batch, as under BatchNorm."""
    if x.shape[0] < 3:
        return bool(buffers)  # too few examples to tell; statistics of a batch live in buffers
    with torch.no_grad():
        as_given = objective.forward(w, buffers, x[:3])[0][0]
        other = objective.forward(w, buffers, torch.stack([x[0], x[1], x[1]]))[0][0]
    # batched kernels may round differently, statistics of a batch differ in the first digits
    return not torch.allclose(as_given, other, rtol=1e-4, atol=1e-6)
