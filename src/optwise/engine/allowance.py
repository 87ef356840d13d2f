"""What a run may spend, in the unit it is counted in: when it is measured, when it ends, where its schedule stands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from optwise.core.budget import EVALUATIONS, EXAMPLE_GRADIENTS, EXAMPLES, ROUNDING, SECONDS, STEPS, Budget
from optwise.core.method import Method
from optwise.core.problem import Problem

Floats = NDArray[np.float64]


def planned_steps(
    budget: Budget, problem: Problem, *, gradients_per_step: float = 1.0, step_seconds: float | None = None
) -> int:
    """Steps that spend a budget on a problem, short last batches counted as what they are.

    Exact for a rule; of a procedure, whose line searches and closures are known only when they are asked, what it
    would be at ``gradients_per_step``.

    Args:
        budget: In any unit.
        problem: With the sampler of the trials.
        gradients_per_step: Of the batch.
        step_seconds: Of one solo step; needed where the unit is seconds.
    """
    if budget.unit == EXAMPLES:
        return problem.sampler.steps_for(budget.amount, problem.examples)
    if budget.unit == EXAMPLE_GRADIENTS:
        return problem.sampler.steps_for(budget.amount / gradients_per_step, problem.examples)
    return budget.steps(batch=problem.batch_size, gradients_per_step=gradients_per_step, step_seconds=step_seconds)


@dataclass(frozen=True, eq=False)
class Allowance:
    """A run's budget as its own counter meets it.

    A run is measured at the end of the first step that reaches each mark, and ends at the last one: it finishes the
    step in which its budget is spent and begins none after it. Its schedule stands where a run of the planned steps
    would stand that has spent as much.

    Args:
        unit: What is counted, never seconds.
        amount: How much of it may be spent.
        marks: In that unit, from 0 to the amount.
        planned: Spent after 0, 1, .., S steps at the declared price, S being the steps that were planned.
    """

    unit: str
    amount: float
    marks: tuple[float, ...]
    planned: Floats

    @classmethod
    def of(
        cls, budget: Budget | None, problem: Problem, method: Method, *, steps: int, evaluation_steps: Sequence[int]
    ) -> Self:
        """The allowance of a trial.

        Args:
            budget: ``None`` where it is ``steps``.
            problem: With its sampler.
            method: Says the price of a step.
            steps: As :func:`planned_steps` gave them.
            evaluation_steps: When a run of the planned steps is measured.
        """
        unit, amount = (STEPS, float(steps)) if budget is None else (budget.unit, float(budget.amount))
        if unit == SECONDS:
            raise ValueError("seconds are frozen into another unit before a trial runs")
        taken = np.arange(steps + 1, dtype=np.float64)
        if unit in (EXAMPLES, EXAMPLE_GRADIENTS):
            planned = problem.sampler.examples_after(taken, problem.examples)
        else:
            planned = taken
        price = method.gradients_per_step if unit in (EXAMPLE_GRADIENTS, EVALUATIONS) else 1.0
        planned = np.asarray(planned * price)
        marks = [min(float(planned[k]), amount) for k in evaluation_steps if k < steps]
        return cls(unit, amount, (*marks, amount), planned)

    def spent(self, totals: Mapping[str, float]) -> bool:
        """Whether the counters have reached the amount."""
        return bool(self.reached(totals[self.unit]))

    def position(self, spent: float | Floats) -> NDArray[np.int64]:
        """Steps already taken by a planned run that has spent as much (any shape): at most its last one."""
        taken = np.searchsorted(self.planned, np.asarray(spent) * (1 + ROUNDING), side="right") - 1
        return np.clip(taken, 0, len(self.planned) - 2)

    def marks_at(self, spent: float) -> int:
        """How many of the marks have been reached."""
        return int(np.searchsorted(np.asarray(self.marks) * (1 - ROUNDING), spent, side="right"))

    def reached(self, spent: float | Floats) -> NDArray[np.bool_]:
        """Whether ``spent`` (any shape) is the amount, up to rounding."""
        return np.asarray(spent) >= self.amount * (1 - ROUNDING)
