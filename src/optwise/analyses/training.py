"""The confirmations of one method as a training to be judged: its courses, its learning rate, what others reached."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from optwise.analyses.courses import Course, course
from optwise.analyses.subject import Share, Subject
from optwise.core.run import Run
from optwise.core.space import Space

ARRIVED = 0.25
"""Share of misses up to which a method has arrived, so that what its curve does later costs it no time.
Source: optwise, own choice."""


@dataclass(frozen=True)
class Elsewhere:
    """The lowest training loss that another run of the problem reached.

    Args:
        loss: Its value.
        who: The method, in words.
    """

    loss: float
    who: str


@dataclass(frozen=True, eq=False)
class Training:
    """The confirmation runs of one method, and what is known of how they were run.

    Args:
        subject: The method and the metric that selects.
        runs: Its confirmations.
        space: Its open fields.
        paid: ``(step, learning rate used up)`` at the evaluations, in any unit; ``None`` where nobody noted it.
        decays: Whether the schedule is known to end low.
        margin: Relative margin of equivalence.
        elsewhere: What others reached.
        raise_rate: Whether another check asks for a wider range of the learning rate already.
    """

    subject: Subject
    runs: Sequence[Run]
    space: Space
    margin: float
    paid: Sequence[tuple[int, float]] | None = None
    decays: bool = False
    elsewhere: Elsewhere | None = None
    raise_rate: bool = False

    @cached_property
    def losses(self) -> list[list[Course]]:
        """Courses of the training loss by study, whole and finite ones."""
        return self._courses(lambda run: run.curve(self.subject.loss))

    @cached_property
    def costs(self) -> list[list[Course]]:
        """Courses of the metric that selects, turned so that lower is better."""
        sign, metric = self.subject.direction.sign, self.subject.metric
        return self._courses(lambda run: [(step, value * sign) for step, value in run.curve(metric)])

    @cached_property
    def missed(self) -> Share | None:
        """How many runs missed the target, where there is one."""
        if self.subject.target is None or not self.runs:
            return None
        return self.subject.share(self.runs, self.subject.missed)

    @property
    def arrived(self) -> bool:
        """Whether there is a target and most runs reach it."""
        return self.missed is not None and self.missed.value <= ARRIVED

    @cached_property
    def rate(self) -> float | None:
        """The learning rate, where it is given as a number and the same in all runs."""
        known = {_rate(run) for run in self.runs}
        return known.pop() if len(known) == 1 and not self.rate_is_open else None

    @property
    def rate_is_open(self) -> bool:
        """Whether the search chooses the learning rate."""
        return any(path.rpartition(".")[2] == "lr" for path in self.space.fields)

    @property
    def holds(self) -> bool:
        """Whether the learning rate stays up to the end: its last third pays for half of a third at least."""
        if self.decays or not self.paid or self.paid[-1][1] <= 0:
            return not self.decays
        steps, used = np.array(self.paid, dtype=np.float64).T
        return bool(1 - np.interp(2 / 3 * steps[-1], steps, used) / used[-1] >= 1 / 6)

    def name(self) -> str:
        """The method, with its learning rate where that is given."""
        return self.subject.method + ("" if self.rate is None else f" (lr {self.rate:g})")

    def _courses(self, curve: Callable[[Run], Sequence[tuple[int, float]]]) -> list[list[Course]]:
        found = []
        for alike in self.subject.alike(self.runs):
            whole = [course(curve(run), self.paid) for run in alike if run.status.ok]
            found.append([one for one in whole if one is not None])
        return [courses for courses in found if courses]


def _rate(run: Run) -> float | None:
    """The one number called ``lr`` in a closed method, however deep it lies."""
    found = set(numbers(run, "lr"))
    return found.pop() if len(found) == 1 else None


def numbers(run: Run, name: str) -> list[float]:
    """Every number of that name: chosen for the run, or closed in its method."""
    chosen = [run.point[path] for path in run.point if path.rpartition(".")[2] == name]
    return [float(x) for x in chosen or _numbers(run.method.describe(), name)]


def _numbers(value: Any, name: str) -> list[float]:
    if isinstance(value, dict):
        own = [value[name]] if isinstance(value.get(name), int | float) else []
        return own + [x for item in value.values() for x in _numbers(item, name)]
    return [x for item in value for x in _numbers(item, name)] if isinstance(value, list) else []


def reached(runs: Sequence[Run], loss: str) -> float:
    """The lowest finite value of the training loss over some runs; infinite without one."""
    return min((value for run in runs for _, value in run.curve(loss) if math.isfinite(value)), default=math.inf)
