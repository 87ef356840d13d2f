"""Which examples a step looks at: samplers turn a key into tables of indices, weights and normalisers."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from optwise.core.errors import BadProtocol
from optwise.core.showing import Terse

Counts: TypeAlias = NDArray[np.float64] | np.float64

SLACK = 1e-6
"""Examples by which sums of expected batches may round."""


@dataclass(frozen=True, eq=False)
class Draws(Terse):
    """The batches of several steps of one trial.

    The loss of step ``s`` is ``sum_b weights[s, b] * loss_b / normaliser[s]``, so that short last batches, empty
    Poisson batches and full passes need no special case.

    Args:
        indices: Rows of the training split [S, B]; ``None`` where examples are drawn afresh.
        weights: 0 or 1 [S, B]; 0 pads.
        normaliser: Divisor [S].
        examples: How many examples each step looked at [S].
        fresh: Examples that come from no data set [S, B, ...]; ``None`` where they are indexed.
    """

    indices: Tensor | None
    weights: Tensor
    normaliser: Tensor
    examples: Tensor
    fresh: Tensor | None = None


@dataclass
class SamplerState:
    """Where a trial stands in its own order of examples.

    Args:
        generator: Of every draw to come.
        rest: Batches drawn and not yet taken [S, B].
    """

    generator: torch.Generator
    rest: Tensor = field(default_factory=lambda: torch.empty(0, 0, dtype=torch.int64))


class Sampler(Terse, ABC):
    """Maps (state, weights, key) to the next batches and the new state."""

    needs_weights: ClassVar[bool] = False
    """Whether a draw looks at the current ``w`` (policies, denoisers); such draws are made one step at a time."""

    even: ClassVar[bool] = True
    """Whether how many examples a step looks at is known before it is drawn."""

    @abstractmethod
    def cap(self, examples: int) -> int:
        """Width B of a table over a training split of ``examples``."""

    def examples_after(self, steps: Counts, examples: int) -> Counts:
        """How many examples have been looked at after ``steps`` steps (any shape); expected where chance decides."""
        return steps * float(batch_size(self, examples))

    def steps_for(self, amount: float, examples: int) -> int:
        """The fewest steps, at least 1, after which ``amount`` examples have been looked at, or are expected to be.

        Example:
            >>> Shuffled(4).steps_for(10, examples=6), Shuffled(4).steps_for(11, examples=6)
            (3, 4)
        """
        most = 1
        while self.examples_after(np.float64(most), examples) < amount - SLACK:
            most *= 2
        return (
            bisect_left(
                range(1, most), amount - SLACK, key=lambda k: float(self.examples_after(np.float64(k), examples))
            )
            + 1
        )

    def sizes(self, seed: int, examples: int, steps: int) -> Tensor:
        """Examples in each of the first ``steps`` batches [steps] of the trial with a data seed."""
        after = self.examples_after(np.arange(steps + 1, dtype=np.float64), examples)
        return torch.from_numpy(np.diff(after)).long()

    def least(self, examples: int) -> int:
        """Fewest examples of a batch that a long run is sure to meet; 0 where there is no batch at all."""
        return self.cap(examples)

    def padded(self, examples: int) -> bool:
        """Whether a table has batches of unequal size, so that some rows of it are padding."""
        return self.least(examples) < self.cap(examples)

    @abstractmethod
    def take(
        self, state: SamplerState, examples: int, steps: int, w: Tensor | None = None
    ) -> tuple[Draws, SamplerState]:
        """The next ``steps`` batches."""

    def init(self, seed: int) -> SamplerState:
        """The state before step 1 of the trial whose data seed is ``seed``."""
        return SamplerState(torch.Generator().manual_seed(seed))


def _positive(name: str, batch_size: int) -> None:
    if isinstance(batch_size, bool) or not isinstance(batch_size, int):
        raise BadProtocol(f"{name} with batch size {batch_size!r}: give a whole number, at least 1.")
    if batch_size < 1:
        raise BadProtocol(f"{name} with batch size {batch_size} draws nothing; give at least 1.")


@dataclass(frozen=True)
class Full(Sampler):
    """Every example at every step."""

    def cap(self, examples: int) -> int:
        return examples

    def take(
        self, state: SamplerState, examples: int, steps: int, w: Tensor | None = None
    ) -> tuple[Draws, SamplerState]:
        indices = torch.arange(examples).expand(steps, examples)
        return _whole(indices), state


@dataclass(frozen=True)
class Shuffled(Sampler):
    """Epochs in a fresh random order, in batches of ``batch_size``.

    Args:
        batch_size: Examples of a batch.
        drop_last: Whether the short last batch of an epoch is left out, so that its examples wait for another epoch.

    Example:
        >>> draws, _ = Shuffled(4).take(Shuffled(4).init(0), examples=6, steps=2)
        >>> draws.weights.sum(1).tolist(), draws.normaliser.tolist()
        ([4.0, 2.0], [4.0, 2.0])
    """

    batch_size: int = 64
    drop_last: bool = False

    def __post_init__(self) -> None:
        _positive("Shuffled", self.batch_size)

    def cap(self, examples: int) -> int:
        return min(self.batch_size, examples)

    def least(self, examples: int) -> int:
        if self.drop_last:
            return self.batch_size if self.batch_size <= examples else 0
        return examples % self.cap(examples) or self.cap(examples)

    def take(
        self, state: SamplerState, examples: int, steps: int, w: Tensor | None = None
    ) -> tuple[Draws, SamplerState]:
        width, batches = self._epoch(examples)
        rest = state.rest
        while rest.shape[0] < steps:
            order = torch.full((batches * width,), -1, dtype=torch.int64)  # -1 pads
            drawn = torch.randperm(examples, generator=state.generator)[: batches * width]
            order[: len(drawn)] = drawn
            rest = torch.cat([rest.reshape(-1, width), order.reshape(batches, width)])
        indices, rest = rest[:steps], rest[steps:]
        weights = (indices >= 0).to(torch.float64)
        normaliser = weights.sum(1)
        return Draws(indices.clamp(min=0), weights, normaliser, normaliser.long()), SamplerState(state.generator, rest)

    def examples_after(self, steps: Counts, examples: int) -> Counts:
        width, batches = self._epoch(examples)
        epochs, within = np.divmod(steps, float(batches))
        epoch = batches * width if self.drop_last else examples
        after: Counts = epochs * epoch + np.minimum(within * width, examples)
        return after

    def _epoch(self, examples: int) -> tuple[int, int]:
        """Width of its batches and their number, the last one perhaps short."""
        width = self.cap(examples)
        return width, examples // width if self.drop_last else -(-examples // width)


@dataclass(frozen=True)
class WithReplacement(Sampler):
    """``batch_size`` independent uniform draws at every step."""

    batch_size: int = 64

    def __post_init__(self) -> None:
        _positive("WithReplacement", self.batch_size)

    def cap(self, examples: int) -> int:
        return self.batch_size

    def take(
        self, state: SamplerState, examples: int, steps: int, w: Tensor | None = None
    ) -> tuple[Draws, SamplerState]:
        return _whole(torch.randint(examples, (steps, self.batch_size), generator=state.generator)), state


@dataclass(frozen=True)
class Poisson(Sampler):
    """Each example joins a step independently with probability ``rate``; the normaliser is the expected size.

    A batch may be empty. The table is as wide as the mean plus nine standard deviations (a draw beyond it has
    probability below 1e-15 and raises).
    """

    rate: float

    even: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if not 0 < self.rate <= 1:
            raise BadProtocol(f"Poisson(rate={self.rate:g}) is no probability; give a rate in (0, 1].")

    def cap(self, examples: int) -> int:
        mean = self.rate * examples
        return min(examples, math.ceil(mean + 9 * math.sqrt(mean) + 9))

    def least(self, examples: int) -> int:
        return max(1, round(self.rate * examples))  # smaller ones are a matter of chance

    def padded(self, examples: int) -> bool:
        return True

    def take(
        self, state: SamplerState, examples: int, steps: int, w: Tensor | None = None
    ) -> tuple[Draws, SamplerState]:
        width = self.cap(examples)
        joins = self._joins(state.generator, examples, steps)
        counts = joins.sum(1)
        if int(counts.max()) > width:
            raise OverflowError(f"A Poisson batch of {int(counts.max())} examples is wider than its table of {width}.")
        indices = torch.argsort(joins.to(torch.int8), dim=1, descending=True, stable=True)[:, :width]
        weights = (torch.arange(width) < counts[:, None]).to(torch.float64)
        normaliser = torch.full((steps,), self.rate * examples, dtype=torch.float64)
        return Draws(indices, weights, normaliser, counts), state

    def examples_after(self, steps: Counts, examples: int) -> Counts:
        return steps * (self.rate * examples)

    def sizes(self, seed: int, examples: int, steps: int) -> Tensor:
        generator = self.init(seed).generator
        parts = [min(256, steps - first) for first in range(0, steps, 256)]  # one table could be larger than the data
        return torch.cat([self._joins(generator, examples, part).sum(1) for part in parts])

    def _joins(self, generator: torch.Generator, examples: int, steps: int) -> Tensor:
        return torch.rand(steps, examples, generator=generator, dtype=torch.float64) < self.rate


@dataclass(frozen=True)
class Stream(Sampler):
    """Examples drawn afresh from a source that never repeats: noise, environments, denoising targets.

    Args:
        draw: ``draw(generator, steps, batch_size, w)`` gives [S, R, ...]: R rows stand for a batch of
            ``batch_size`` (R = 1 where the source can draw the mean of a batch directly).
        batch_size: Examples a step pays for.
        rows: R; ``None`` draws each example, R being the batch size.
        weighted: Whether ``draw`` looks at ``w``.
    """

    draw: Callable[[torch.Generator, int, int, Tensor | None], Tensor] = field(compare=False, repr=False)
    batch_size: int = 64
    rows: int | None = 1

    def __post_init__(self) -> None:
        _positive("Stream", self.batch_size)

    def cap(self, examples: int) -> int:
        return self.batch_size if self.rows is None else self.rows

    def take(
        self, state: SamplerState, examples: int, steps: int, w: Tensor | None = None
    ) -> tuple[Draws, SamplerState]:
        fresh = self.draw(state.generator, steps, self.batch_size, w)
        ones = torch.ones(steps, self.cap(examples), dtype=torch.float64)
        counts = torch.full((steps,), self.batch_size)
        return Draws(None, ones, ones.sum(1), counts, fresh), state


def _whole(indices: Tensor) -> Draws:
    steps, width = indices.shape
    counts = torch.full((steps,), width)
    return Draws(indices, torch.ones(steps, width, dtype=torch.float64), counts.to(torch.float64), counts)


def describe(sampler: Sampler) -> dict[str, Any]:
    """Name and numbers of a sampler, for records and keys; a stream is named by its batch size alone.

    A flag that is off is left out: what could not be asked for once is not in the records of that time.
    """
    public = {k: v for k, v in vars(sampler).items() if not callable(v) and v is not False}
    return {"class": type(sampler).__name__, **public}


def batch_size(sampler: Sampler, examples: int) -> int:
    """Examples a step of ``sampler`` pays for over a split of ``examples``: the expected number for Poisson."""
    if isinstance(sampler, Poisson):
        return max(1, round(sampler.rate * examples))
    return int(getattr(sampler, "batch_size", examples)) if isinstance(sampler, Stream) else sampler.cap(examples)
