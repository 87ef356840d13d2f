"""Batch sizes that change on the way: one number for every step, from milestones or a list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np

from optwise.core.errors import BadProtocol
from optwise.core.problem import Problem
from optwise.theory.matrices import Floats
from optwise.theory.models import batch_of

Batches: TypeAlias = "float | Mapping[int, float] | Sequence[float] | Floats | None"
"""One batch size; ``{0: 64, 500: 256}``, the size from each step on; or one for every step, the last one staying."""


def batch_table(problem: Problem, asked: Batches, steps: int) -> Floats:
    """The batch size of each of the first ``steps`` steps [steps].

    Args:
        problem: Whose own size holds where nothing is asked for, and before the first milestone.
        asked: One size, milestones, or one for every step.
        steps: How many.

    Raises:
        BadProtocol: A size below 1, or one that cannot be drawn from the data; milestones that are no steps; no size.

    Example:
        >>> from optwise.problems import nqm
        >>> batch_table(nqm(d=2), {0: 8, 3: 32}, 5)
        array([ 8.,  8.,  8., 32., 32.])
    """
    if asked is None or isinstance(asked, int | float | np.number):
        return np.full(steps, batch_of(problem, None if asked is None else float(asked)))
    if isinstance(asked, Mapping):
        return _from_milestones(problem, asked, steps)
    sizes = np.asarray(asked, dtype=np.float64)
    if sizes.ndim != 1 or sizes.size == 0:
        raise BadProtocol(
            f"Batch sizes of shape {sizes.shape} say nothing of each step; give one number, {{0: 64, 500: 256}} by the "
            "step from which each holds, or a list with one for every step."
        )
    for size in np.unique(sizes):
        batch_of(problem, float(size))
    return sizes[np.minimum(np.arange(steps), sizes.size - 1)]


def _from_milestones(problem: Problem, asked: Mapping[int, float], steps: int) -> Floats:
    for begin in asked:
        if isinstance(begin, bool) or not isinstance(begin, int | np.integer) or begin < 0:
            raise BadProtocol(f"A batch size holds from step {begin!r} on, which is no step; count whole steps from 0.")
    table = np.full(steps, batch_of(problem, None)) if 0 not in asked else np.empty(steps)
    for begin, size in sorted(asked.items()):
        table[begin:] = batch_of(problem, float(size))
    return table
