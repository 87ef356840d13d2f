"""Which trial is the best one: the one order by which studies select, checks judge and plots mark."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from optwise.core.budget import EVALUATIONS, SECONDS, STEPS
from optwise.core.metric import Direction, Target
from optwise.core.outcomes import best_value, steps_to_target
from optwise.core.run import Run


class Standing(NamedTuple):
    """What a trial is worth to the rule that selects; the lower one is better.

    Args:
        spent: On the axis until the target, by the trial's own counters; infinite for a miss, and for every trial where
            there is no target.
        cost: Best value, turned so that lower is better.
    """

    spent: float
    cost: float


def eligible(run: Run, metric: str, direction: Direction) -> bool:
    """Whether a study may select the run: it ended well, is not infeasible and has a finite value."""
    return not run.infeasible and run.status.ok and math.isfinite(best_value(run, metric, direction))


def rank_unit(run: Run, axis: str) -> str:
    """In what the trials of one method are charged: the axis, but for seconds, which need no clock here.

    They are charged by the evaluation of the loss, or by the step where a run asks for none. A run that did not count
    the axis is charged its steps.
    """
    unit = EVALUATIONS if axis == SECONDS else axis
    return unit if run.counts.get(unit) else STEPS


def spent_to_rank(run: Run, axis: str, step: float) -> float:
    """What a run had spent of its :func:`rank_unit` after ``step`` steps.

    Args:
        run: Any run.
        axis: What time is counted in.
        step: Steps taken.
    """
    return run.spent(rank_unit(run, axis), step)


def standing(run: Run, *, metric: str, direction: Direction, target: Target | None, axis: str) -> Standing:
    """What a run is worth: with a target the earliest is best, and misses, like all runs without one, by best value.

    Args:
        run: Any run.
        metric: The one that selects, by full name.
        direction: Which way it is better.
        target: A metric value, or ``None``.
        axis: What the time to it is counted in.
    """
    step = None if target is None else steps_to_target(run, target)
    spent = math.inf if step is None else spent_to_rank(run, axis, step)
    return Standing(spent, best_value(run, metric, direction) * direction.sign)


def ranked(runs: Sequence[Run], *, metric: str, direction: Direction, target: Target | None, axis: str) -> list[Run]:
    """The eligible runs, best first; what remains tied keeps its order.

    Args:
        runs: Trials of a search.
        metric: The one that selects, by full name.
        direction: Which way it is better.
        target: A metric value, or ``None``.
        axis: What the time to it is counted in.
    """
    found = [run for run in runs if eligible(run, metric, direction)]
    return sorted(found, key=lambda run: standing(run, metric=metric, direction=direction, target=target, axis=axis))
