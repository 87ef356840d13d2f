"""Batch sizes that change on the way: one number for every step, from milestones or a list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias, TypeGuard

import numpy as np

from optwise.core.budget import Budget
from optwise.core.counts import real_number, real_numbers
from optwise.core.errors import BadProtocol
from optwise.core.problem import Problem
from optwise.theory.matrices import Floats
from optwise.theory.models import batch_of

Batches: TypeAlias = "float | Mapping[int, float] | Sequence[float] | Floats | None"
"""One batch size; ``{0: 64, 500: 256}``, the size from each step on; or one for every step."""

WAYS = "give one number, {0: 64, 500: 256} by the step from which each holds, or a list with one for every step"
"""How batch sizes are said."""


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
    if isinstance(asked, Mapping):
        return _from_milestones(problem, asked, steps)
    if asked is None or not _several(asked):
        return np.full(steps, batch_of(problem, None if asked is None else real_number(asked, "Batch size", WAYS)))
    sizes = _each(problem, asked)
    if sizes.size != steps:
        raise BadProtocol(
            f"{sizes.size} batch sizes were given for {steps} steps; give one for every step, or {{0: 64, 500: 256}}: "
            "64, and 256 from step 500 on."
        )
    return sizes


def _several(asked: Batches) -> TypeGuard[Sequence[float] | Floats]:
    """Whether sizes were given step by step."""
    return not isinstance(asked, str | bytes | Mapping | None) and np.ndim(asked) != 0


def _each(problem: Problem, asked: Sequence[float] | Floats) -> Floats:
    """Sizes that were given step by step."""
    if np.ndim(asked) != 1:
        raise BadProtocol(f"Batch sizes are an array of {np.ndim(asked)} axes; {WAYS}.")
    sizes = real_numbers(asked, "Batch sizes", WAYS)
    for size in np.unique(sizes):
        batch_of(problem, float(size))
    return sizes


def _from_milestones(problem: Problem, asked: Mapping[int, float], steps: int) -> Floats:
    if not asked:
        raise BadProtocol(f"Batch sizes {{}} say nothing of any step; {WAYS}.")
    for begin in asked:
        if isinstance(begin, bool) or not isinstance(begin, int | np.integer) or begin < 0:
            raise BadProtocol(f"A batch size holds from step {begin!r} on, which is no step; count whole steps from 0.")
    table = np.full(steps, batch_of(problem, None)) if 0 not in asked else np.empty(steps)
    for begin, size in sorted(asked.items()):
        table[begin:] = batch_of(problem, real_number(size, "Batch size", WAYS))
    return table


def steps_within(budget: Budget, problem: Problem, asked: Batches, gradients_per_step: float) -> int:
    """How many steps spend a budget: the step in which it is reached is finished.

    Args:
        budget: Steps, or what amounts to steps.
        problem: Whose own size holds where nothing else is asked for.
        asked: Batch sizes.
        gradients_per_step: Of the method.

    Example:
        >>> from optwise.problems import nqm
        >>> steps_within(Budget.parse("100examples"), nqm(d=2), {0: 8, 5: 32}, 1.0)
        7
    """

    def of_size(batch: float) -> int:
        return budget.steps(batch=max(1, round(batch)), gradients_per_step=gradients_per_step)

    several = _several(asked)
    given = _each(problem, asked) if _several(asked) else batch_table(problem, asked, 1)
    if not given.size:
        raise BadProtocol(f"Batch sizes [] say nothing of any step; {WAYS}.")
    first = float(given[0])
    if not (several or isinstance(asked, Mapping)) or of_size(first) == of_size(1e6 * first):
        return of_size(first)
    # in examples, of which every step looks at its own number
    wanted = budget.steps(batch=1, gradients_per_step=gradients_per_step)
    if several:
        spent = np.cumsum(np.rint(given))
        if spent[-1] < wanted:
            raise BadProtocol(
                f"The {given.size} batch sizes have {spent[-1]:g} examples, and the budget is {wanted}; give one size "
                "for every step of it, or {0: 64, 500: 256}: 64, and 256 from step 500 on."
            )
        return int(np.searchsorted(spent, wanted)) + 1
    steps = 1
    while np.rint(batch_table(problem, asked, steps)).sum() < wanted:
        steps *= 2
    spent = np.cumsum(np.rint(batch_table(problem, asked, steps)))
    return int(np.searchsorted(spent, wanted)) + 1


def parsed_batches(text: str) -> float | dict[int, float]:
    """What a command line says of batch sizes: ``64``, or ``64,500:256`` for 64 and, from step 500 on, 256.

    Raises:
        BadProtocol: What is no number.

    Example:
        >>> parsed_batches("64"), parsed_batches("64,500:256,800:1024")
        (64.0, {0: 64.0, 500: 256.0, 800: 1024.0})
    """
    found: dict[int, float] = {}
    try:
        for i, piece in enumerate(text.split(",")):
            begin, colon, size = piece.rpartition(":")
            step = int(begin) if colon or i else 0
            if step in found:
                raise BadProtocol(
                    f"Batch size {text!r} names two for step {step}; give one for each step from which it changes."
                )
            found[step] = float(size)
    except ValueError as error:
        raise BadProtocol(
            f"Batch size {text!r} is no number; give one, as 64, or where it changes on the way 64,500:256: 64, and "
            "256 from step 500 on."
        ) from error
    return found[0] if list(found) == [0] else found
