"""The objective of one trial that is run alone: a network of its own, and a state of its own for all it touches."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from optwise.core.layout import Leaves
from optwise.core.objective import Objective
from optwise.numerics.rng import Streams
from optwise.problems.passes import evaluated, measured, together, trained
from optwise.problems.plain_state import PlainState

if TYPE_CHECKING:
    from optwise.problems.objectives import ModuleObjective


class OwnNetwork(Objective):
    """A network built for one trial, as an ordinary loop builds it, and switched between its two modes.

    What the network, its loss and its metrics keep in Python starts as it was before any trial. Where it is known to
    change, measuring leaves no trace in it, and trials that take turns each find their own. Random numbers come from
    streams of the trial's own; every measurement sees the same.

    Args:
        shared: What all trials share.
        seed: Of the trial.
    """

    def __init__(self, shared: ModuleObjective, seed: int) -> None:
        self.shared = shared
        self.seed = seed
        traits = shared.traits
        shared.turn.leave()
        shared.pristine.restore()
        self.network = shared.make_net(seed)
        self._training = self.network.training
        self._streams = Streams(seed) if traits.reason else nullcontext()
        self._left: PlainState | None = None
        if traits.shared:
            self._left = self.state()

    def state(self) -> PlainState:
        """The plain state of all that the trial runs."""
        return PlainState(self.network, self.shared.beside)

    def leave(self) -> None:
        """Note the state, because another trial has its turn."""
        self._left = self.state()

    def losses(self, w: Leaves, buffers: Leaves, x: Tensor | None, y: Tensor | None) -> tuple[Tensor, Leaves]:
        assert x is not None
        assert y is not None
        self._enter(training=True)
        own_x, own_y = self._copies(x, y)
        writes = _writes(x, y)
        with together(self.shared.traits, w), self._streams:
            outputs, buffers = trained(self.network, w, buffers, own_x)
            losses = self.shared.loss(outputs, own_y)
        self._refuse_writes(writes, x, y)
        return losses, buffers

    def measure(self, w: Leaves, buffers: Leaves, x: Tensor | None, y: Tensor | None) -> dict[str, Tensor]:
        assert x is not None
        assert y is not None
        shared, traits = self.shared, self.shared.traits
        self._enter(training=False)
        before = self.state() if traits.state else None
        own_x, own_y = self._copies(x, y)
        writes = _writes(x, y)
        with together(traits, w), Streams(self.seed) if traits.reason else nullcontext():
            outputs = evaluated(self.network, w, buffers, own_x, copies=traits.writes)
            found = measured(outputs, own_y, shared.loss, shared.metrics, copies=traits.writes)
        self._refuse_writes(writes, x, y)
        if before is not None:
            before.restore()
        return found

    def masses(self, y: Tensor | None) -> Mapping[str, Tensor]:
        return self.shared.masses(y)

    def fresh(self, seed: int) -> Objective:
        return self.shared.fresh(seed)

    @property
    def coupled(self) -> bool:
        return self.shared.coupled

    @property
    def unbatchable(self) -> str:
        return self.shared.unbatchable

    @property
    def smallest_batch(self) -> int:
        return self.shared.smallest_batch

    def _enter(self, *, training: bool) -> None:
        if self.shared.traits.shared and self.shared.turn.take(self) and self._left is not None:
            self._left.restore()
        if self._training is not training:
            self.network.train(training)
            self._training = training

    def _copies(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        return (x.clone(), y.clone()) if self.shared.traits.writes else (x, y)

    def _refuse_writes(self, before: tuple[int, int], x: Tensor, y: Tensor) -> None:
        if _writes(x, y) != before and not torch._C._functorch.is_functorch_wrapped_tensor(x):  # noqa: SLF001
            raise RuntimeError(
                "The network, its loss or a metric writes into the examples it is handed, which it did not do when it "
                "was looked at; let it work on a copy, x = x.clone()."
            )


class Turn:
    """Which trial's state stands where all trials share it."""

    def __init__(self) -> None:
        self._holder: OwnNetwork | None = None

    def take(self, trial: OwnNetwork) -> bool:
        """Let ``trial`` have its turn; whether another had it before."""
        if self._holder is trial:
            return False
        self.leave()
        self._holder = trial
        return True

    def leave(self) -> None:
        """End the turn of whoever has it."""
        if self._holder is not None:
            self._holder.leave()
            self._holder = None


def _writes(x: Tensor, y: Tensor) -> tuple[int, int]:
    return x._version, y._version  # noqa: SLF001 - torch counts the writes to a tensor
