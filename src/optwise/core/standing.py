"""Which trial is the best one: the one order by which studies select, checks judge and plots mark."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from optwise.core.metric import Direction, Target
from optwise.core.outcomes import best_value, steps_to_target
from optwise.core.run import Run


class Standing(NamedTuple):
    """What a trial is worth to the rule that selects; the lower one is better.

    Args:
        steps: To the target, infinite for a miss; infinite for every trial where there is no target.
        cost: Best value, turned so that lower is better.
    """

    steps: float
    cost: float


def eligible(run: Run, metric: str, direction: Direction) -> bool:
    """Whether a study may select the run: it ended well, is not infeasible and has a finite value."""
    return not run.infeasible and run.status.ok and math.isfinite(best_value(run, metric, direction))


def standing(run: Run, *, metric: str, direction: Direction, target: Target | None) -> Standing:
    """What a run is worth: with a target the earliest is best, and misses, like all runs without one, by best value.

    Args:
        run: Any run.
        metric: The one that selects, by full name.
        direction: Which way it is better.
        target: A metric value, or ``None``.
    """
    steps = None if target is None else steps_to_target(run, target)
    return Standing(math.inf if steps is None else float(steps), best_value(run, metric, direction) * direction.sign)


def ranked(runs: Sequence[Run], *, metric: str, direction: Direction, target: Target | None) -> list[Run]:
    """The eligible runs, best first; what remains tied keeps its order.

    Args:
        runs: Trials of a search.
        metric: The one that selects, by full name.
        direction: Which way it is better.
        target: A metric value, or ``None``.
    """
    found = [run for run in runs if eligible(run, metric, direction)]
    return sorted(found, key=lambda run: standing(run, metric=metric, direction=direction, target=target))
