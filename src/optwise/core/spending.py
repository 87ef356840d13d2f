"""What a run had paid at each of its evaluations: its own counters, never those of another configuration."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from optwise.core.budget import EVALUATIONS, STEPS
from optwise.core.errors import UnknownName
from optwise.core.showing import Terse


@dataclass(frozen=True)
class Spending(Terse):
    """Counters of one run at its evaluations.

    Args:
        steps: Steps taken at each evaluation, the start's 0 first, and at the end of the run.
        amounts: Unit to what had been spent of it there, in the order of ``steps``.
        exact: Whether it was counted along the way; else it was spread evenly over the steps afterwards, as for runs
            that were stored before counters were kept.

    Example:
        >>> paid = Spending((0, 10, 20), {"examples": (0.0, 640.0, 1000.0)})
        >>> paid.at("examples", 10), paid.at("examples", 15), paid.at("steps", 15)
        (640.0, 820.0, 15.0)
    """

    steps: tuple[int, ...] = ()
    amounts: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    exact: bool = True

    @classmethod
    def of(cls, counted: Sequence[Mapping[str, float]]) -> Self:
        """From the counters as they stood, one after the other; each holds its ``steps``."""
        units = [unit for unit in (counted[-1] if counted else {}) if unit != STEPS]
        return cls(
            tuple(int(totals[STEPS]) for totals in counted),
            {unit: tuple(float(totals.get(unit, 0.0)) for totals in counted) for unit in units},
        )

    @classmethod
    def spread(cls, steps: Sequence[int], counts: Mapping[str, float]) -> Self:
        """From the counters at the end alone: each step paid the same."""
        taken = counts.get(STEPS, 0.0)
        places = tuple(sorted({*steps, int(taken)})) if taken else (0,)
        return cls(
            places,
            {
                unit: tuple(total * k / taken if taken else 0.0 for k in places)
                for unit, total in counts.items()
                if unit != STEPS
            },
            exact=False,
        )

    def at(self, axis: str, step: float) -> float:
        """What had been spent of ``axis`` after ``step`` steps: exact at evaluations, straight lines between them.

        Raises:
            UnknownName: Nobody counted the axis in this run.
        """
        if axis == STEPS:
            return float(step)
        if axis not in self.amounts:
            raise UnknownName("counter of this run", axis, [STEPS, *self.amounts])
        steps, amounts = self.steps, self.amounts[axis]
        i = bisect_left(steps, step)
        if i < len(steps) and steps[i] == step:
            return amounts[i]
        if i in (0, len(steps)):
            return amounts[min(i, len(steps) - 1)]  # before the first or after the last there is nothing to know
        share = (step - steps[i - 1]) / (steps[i] - steps[i - 1])
        return amounts[i - 1] + share * (amounts[i] - amounts[i - 1])

    def dearest_step(self, axis: str) -> float:
        """The most that a step paid, on average between two evaluations; 0 for a run without steps."""
        spent = [self.at(axis, step) for step in self.steps]
        pairs = zip(self.steps, self.steps[1:], spent, spent[1:], strict=False)
        return max(((b - a) / (k - j) for j, k, a, b in pairs), default=0.0)


@dataclass(frozen=True)
class StepTime:
    """How long the steps of a method take, timed alone.

    Seconds are charged by a run's own counters: each evaluation of the loss, with its gradient or without, takes as
    long as one of the steps that were timed. Where every step asks the same, that is steps times the time of one.

    Args:
        seconds: Of one solo step.
        evaluations: Evaluations that each timed step asked for; 0 where it asked for none, and steps are charged.
        session: Which timing it comes from: times of two sessions are never compared; empty where nobody noted it.
        low, high: Between what the seconds lie by their repeats; 0 where nobody noted it.
    """

    seconds: float
    evaluations: float = 1.0
    session: str = ""
    low: float = 0.0
    high: float = 0.0

    @property
    def strays(self) -> tuple[float, float]:
        """By which factors the time may be smaller and larger than it was measured."""
        if not (self.low and self.high):
            return 1.0, 1.0
        return min(self.low / self.seconds, 1.0), max(self.high / self.seconds, 1.0)

    @classmethod
    def read(cls, plan: Mapping[str, Any]) -> Self:
        """From the notes of a method's plan; one that names no session was timed nobody knows with what."""
        evaluations = plan.get("step_evaluations", plan.get("gradients_per_step", 1.0))
        low, high = (float(plan.get(f"step_seconds_{end}") or 0.0) for end in ("low", "high"))
        return cls(float(plan["step_seconds"]), float(evaluations), str(plan.get("timing", "")), low, high)

    def of(self, spending: Spending, step: float) -> float:
        """Seconds of the first ``step`` steps of a run."""
        if not self.evaluations or EVALUATIONS not in spending.amounts:
            return self.seconds * step
        return self.seconds * spending.at(EVALUATIONS, step) / self.evaluations
