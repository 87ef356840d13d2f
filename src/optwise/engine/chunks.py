"""The unit of commit: trials of one method on one problem that share passes, and what came of them."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from optwise.core.budget import Budget
from optwise.core.layout import Leaves
from optwise.core.method import Method
from optwise.core.run import HeldWeights, Run, TrialName
from optwise.core.status import Status
from optwise.engine.rungs import RungName

KEPT_BYTES = 2**24
"""Weights larger than this are not kept with a run; a rerun makes them again."""

DTYPES = {"float32": torch.float32, "float64": torch.float64}


@dataclass(frozen=True)
class Trial:
    """One trial to be run: its address, content key, closed method and seed."""

    name: TrialName
    key: str
    method: Method
    seed: int


@dataclass(frozen=True)
class Chunk:
    """Trials of one method on one problem that share passes; the unit of commit.

    Args:
        id: Unique in its folder.
        rung: How the rows are stepped.
        rows: Most rows that share a pass.
        steps: Of every trial.
        evaluation_steps: When rows are measured; of a trial with a ``budget``, as often and as evenly spaced in what
            has been spent.
        dtype: Of the parameters.
        device: Where they live.
        trials: The rows.
        splits: What is measured.
        keep_weights: Whether final weights are kept.
        reason: Why this rung.
        budget: What ends each trial, where it is counted in another unit than steps; ``steps`` are then those that
            are expected to spend it.
        keep_best: Metric by full name; the weights of the evaluation with its best value are kept beside the final
            ones.
    """

    id: str
    rung: RungName
    rows: int
    steps: int
    evaluation_steps: tuple[int, ...]
    dtype: str
    device: str
    trials: tuple[Trial, ...]
    splits: tuple[str, ...] = ("train", "valid")
    keep_weights: bool = False
    reason: str = ""
    budget: Budget | None = None
    keep_best: str | None = None


@dataclass(frozen=True)
class ChunkResult:
    """The runs of a chunk in order, and the seconds it took."""

    runs: tuple[Run, ...]
    seconds: float
    evaluation_seconds: float


def failure_status(error: BaseException) -> Status:
    """Out of memory, or crashed."""
    memory = isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in str(error)
    return Status.OUT_OF_MEMORY if memory else Status.CRASHED


def held(leaves: Leaves, *, keep: bool) -> HeldWeights | None:
    """A handle to copies of ``leaves`` where they are wanted and small enough."""
    size = sum(leaf.numel() * leaf.element_size() for leaf in leaves.values())
    if not keep or size > KEPT_BYTES:
        return None
    return HeldWeights({name: leaf.detach().cpu().clone() for name, leaf in leaves.items()})
