"""The two smooth parts: a network on labelled examples, and a function of the parameters alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from torch import Tensor, nn

from optwise.core.layout import Layout, Leaves
from optwise.core.metric import OBJECTIVE
from optwise.core.objective import Objective
from optwise.problems.kept_labels import KeptLabels
from optwise.problems.own_networks import OwnNetwork, Turn
from optwise.problems.passes import PerExample, evaluated, measured, together, trained
from optwise.problems.plain_state import PlainState
from optwise.problems.traits import Traits


@dataclass(frozen=True, eq=False)
class ModuleObjective(Objective):
    """A network and a loss of its outputs, without state: parameters and buffers come in and go out.

    Gradients are taken in training mode, numbers are measured in evaluation mode. Trials that share a pass share two
    copies of the network, one in each mode, because switching one back and forth cannot be done inside a batched pass;
    a trial that is run alone has a network of its own (:meth:`fresh`). All are built, never copied.

    Args:
        make_net: The network of a seed, built anew in each call; its own parameters are never looked at.
        loss: Loss of each example.
        metrics: Further numbers of each example, by name.
        traits: What network, loss and metrics do besides computing.
        labels: How labels count in the mean, where they do not all count the same.
        beside: Loss and metrics as the caller gave them, where they may keep a state.

    Example:
        >>> import torch
        >>> from optwise.problems.losses import half_squared_error
        >>> net = lambda seed: nn.Linear(2, 1, bias=False)
        >>> objective = ModuleObjective(net, lambda o, y: half_squared_error(o, y)[:, 0])
        >>> w = {"weight": torch.tensor([[1.0, 2.0]])}
        >>> objective.losses(w, {}, torch.eye(2), torch.zeros(2, 1))
        (tensor([0.5000, 2.0000]), {})
    """

    make_net: Callable[[int], nn.Module]
    loss: PerExample
    metrics: Mapping[str, PerExample] = field(default_factory=dict)
    traits: Traits = field(default_factory=Traits)
    labels: KeptLabels | None = None
    beside: Mapping[str, Any] = field(default_factory=dict)
    turn: Turn = field(init=False, repr=False)
    pristine: PlainState = field(init=False, repr=False)
    _training: nn.Module = field(init=False, repr=False)
    _evaluation: nn.Module = field(init=False, repr=False)

    def __post_init__(self) -> None:
        training, evaluation = self.make_net(0).train(), self.make_net(0).eval()
        pristine = PlainState(training, self.beside)
        made = {"turn": Turn(), "pristine": pristine, "_training": training, "_evaluation": evaluation}
        for name, value in made.items():
            object.__setattr__(self, name, value)

    def with_traits(self, traits: Traits) -> ModuleObjective:
        """The same objective, known to behave as ``traits`` say."""
        known = object.__new__(ModuleObjective)
        known.__dict__.update(self.__dict__ | {"traits": traits})  # the networks and the state are the same ones
        return known

    def __getstate__(self) -> dict[str, Any]:
        # another process builds its own networks, from a state that no trial has touched
        self.turn.leave()
        self.pristine.restore()
        return {f.name: getattr(self, f.name) for f in fields(self) if f.init}

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            object.__setattr__(self, name, value)
        self.__post_init__()

    def forward(self, w: Leaves, buffers: Leaves, x: Tensor) -> tuple[Tensor, Leaves]:
        """Outputs in training mode [B, ...], and the buffers afterwards; those handed in are not touched."""
        with together(self.traits, w):
            return trained(self._training, w, buffers, x.clone() if self.traits.writes else x)

    def predict(self, w: Leaves, buffers: Leaves, x: Tensor) -> Tensor:
        """Outputs in evaluation mode [N, ...]."""
        with together(self.traits, w):
            copies = self.traits.writes
            return evaluated(self._evaluation, w, buffers, x.clone() if copies else x, copies=copies)

    def losses(self, w: Leaves, buffers: Leaves, x: Tensor | None, y: Tensor | None) -> tuple[Tensor, Leaves]:
        assert x is not None
        assert y is not None
        outputs, buffers = self.forward(w, buffers, x)
        with together(self.traits, w):
            return self.loss(outputs, y.clone() if self.traits.writes else y), buffers

    def measure(self, w: Leaves, buffers: Leaves, x: Tensor | None, y: Tensor | None) -> dict[str, Tensor]:
        assert x is not None
        assert y is not None
        outputs = self.predict(w, buffers, x)
        with together(self.traits, w):
            return measured(outputs, y, self.loss, self.metrics, copies=self.traits.writes)

    def masses(self, y: Tensor | None) -> Mapping[str, Tensor]:
        if self.labels is None or y is None:
            return {}
        mass = {"loss": self.labels.mass(y)}
        return {**mass, "accuracy": self.labels.kept(y)} if self.metrics.get("accuracy") is class_accuracy else mass

    def fresh(self, seed: int) -> Objective:
        return OwnNetwork(self, seed)

    @property
    def unbatchable(self) -> str:
        return self.traits.reason

    @property
    def coupled(self) -> bool:
        return self.traits.sees_batch

    @property
    def smallest_batch(self) -> int:
        return self.traits.smallest_batch


@dataclass(frozen=True, eq=False)
class FunctionObjective(Objective):
    r"""A function of the parameters alone, with linear noise where the sampler streams it.

    .. math:: \ell(w) = f(w) + \langle \xi, w \rangle, \qquad \nabla \ell(w) = \nabla f(w) + \xi

    A stream's rows ``x`` [R, P] are the noise :math:`\xi`, parameters in the order of the leaves; without a stream
    there is none. What is measured, under the name ``objective``, is :math:`f` itself.

    Args:
        value: :math:`f`, from leaves to a tensor without dimensions.

    Example:
        >>> import torch
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
