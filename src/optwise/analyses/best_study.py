"""Which of the settings that a method's studies selected is the one to use."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from optwise.core.metric import Direction, Target
from optwise.core.outcomes import best_value, steps_to_target
from optwise.core.run import Run
from optwise.core.standing import spent_to_rank


def deciding_rule(confirm: Sequence[Run], *, target: Target | None) -> str:
    """What decided between the studies, in words.

    Args:
        confirm: Confirmations of one method on one problem.
        target: What is timed, or ``None``.
    """
    if target is None:
        return "the study whose confirmations have the best median value"
    if all(steps_to_target(run, target) is None for run in confirm):
        return "the study whose confirmations have the best median value, for none arrived"
    return "the study whose confirmations missed least and, of these, arrived earliest"


def best_study(
    confirm: Sequence[Run], *, metric: str, direction: Direction, target: Target | None, axis: str
) -> int | None:
    """The study whose setting did best on its fresh seeds; ``None`` without a confirmation.

    A setting that was run is recommended, never an average of several, which nobody has run. With a target, the fewest
    misses decide, then the mean log time of the hits, then the median best value; without one that median. The number
    it wins with is the best of several and no estimate of anything.

    Args:
        confirm: Confirmations of one method on one problem.
        metric: The metric that selects.
        direction: Which way it is better.
        target: What is timed, or ``None``.
        axis: In what.
    """

    def place(study: int) -> tuple[float, float, float, int]:
        runs = [run for run in confirm if run.name is not None and run.name.study == study]
        middle = float(np.median([best_value(run, metric, direction) * direction.sign for run in runs]))
        middle = math.inf if math.isnan(middle) else middle
        if target is None:
            return 0.0, 0.0, middle, study
        steps = [steps_to_target(run, target) for run in runs]
        spent = [spent_to_rank(run, axis, max(k, 1)) for run, k in zip(runs, steps, strict=True) if k is not None]
        hits = [math.log(max(amount, 1.0)) for amount in spent]
        return float(len(steps) - len(hits)), float(np.mean(hits)) if hits else 0.0, middle, study

    return min({run.name.study for run in confirm if run.name is not None}, key=place, default=None)
