"""One protocol's view of the runs of a folder: times, values, and the one number of each study."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from optwise.analyses.ranking import Observations
from optwise.core.budget import EXAMPLE_GRADIENTS, SECONDS, STEPS
from optwise.core.metric import Direction, Target
from optwise.core.outcomes import best_value, steps_to_target
from optwise.core.protocol import Protocol
from optwise.core.run import Phase, Run
from optwise.core.status import Status
from optwise.numerics.statistics import restricted_mean

HORIZON = "needs_horizon"
RAN = "ran"
"""In a shortened plan, the steps that were run."""


class Scorer:
    """One protocol's view of the runs of a folder.

    Args:
        protocol: What was asked.
        notes: What was recorded with it: plans, spaces' sources, commands that set targets.
        runs: Of this protocol.
    """

    def __init__(self, protocol: Protocol, notes: Mapping[str, Any], runs: Sequence[Run]) -> None:
        self.protocol = protocol
        self.notes = notes
        self.runs = runs
        self._by: dict[tuple[str, str, Phase], list[Run]] = {}
        for run in runs:
            assert run.name is not None
            self._by.setdefault((run.name.problem, run.name.method, run.name.phase), []).append(run)

    def of(self, problem: str, method: str, phase: Phase) -> list[Run]:
        """The runs of one phase, in the order of their addresses."""
        return self._by.get((problem, method, phase), [])

    def plan(self, problem: str, method: str) -> Mapping[str, Any]:
        """How the trials of a method were executed."""
        plan: Mapping[str, Any] = self.notes["plans"][f"{problem}/{method}"]
        return plan

    def direction(self, problem: str) -> Direction:
        """Of the selection metric."""
        metric = self.protocol.metrics[problem].rpartition("/")[2]
        return Direction(self.protocol.problems[problem]["metrics"][metric])

    def per_step(self, problem: str, method: str, axis: str | None = None) -> float:
        """Units of the axis that one step costs: a constant of the method, so that batching cannot change it."""
        plan, axis = self.plan(problem, method), axis or self.protocol.axis
        if axis == SECONDS:
            return float(plan["step_seconds"])
        if axis == STEPS:
            return 1.0
        batch = float(self.protocol.problems[problem]["batch_size"])
        gradients = float(plan["gradients_per_step"]) if axis == EXAMPLE_GRADIENTS else 1.0
        measured = [
            r.counts[axis] / r.counts["steps"]
            for r in self.of(problem, method, Phase.DEFAULT)
            if r.status is Status.BUDGET_SPENT and r.counts.get("steps")
        ]
        return float(np.median(measured)) if measured else batch * gradients

    def times(self, problem: str, method: str, runs: Sequence[Run], target: Target) -> list[float]:
        """Time of each run on the axis; a miss is infinite. A target met at the start counts one step."""
        unit = self.per_step(problem, method)
        steps = [steps_to_target(run, target) for run in runs]
        return [math.inf if k is None else max(k, 1) * unit for k in steps]

    def evaluation_steps(self, problem: str, method: str) -> tuple[int, ...]:
        """When whole runs were measured; under a shortened budget, as far as that reaches."""
        plan = self.plan(problem, method)
        ran = self.protocol.evaluation_steps(int(plan.get(RAN, plan["steps"])))
        return tuple(k for k in ran if k <= int(plan["steps"]))

    def observations(self, problem: str, method: str) -> Observations:
        """One number per study, lower is better. A study without a feasible trial misses; none at all is no number."""
        protocol, target = self.protocol, self.protocol.targets[problem]
        confirmations, is_open = self.of(problem, method, Phase.CONFIRM), protocol.methods[method].is_open
        if all(run.infeasible for run in confirmations) and not (is_open and confirmations):
            return Observations((), (), feasible=False)
        groups = {study: by_study(confirmations).get(study, []) for study in range(protocol.studies)}
        certain = protocol.problems[problem]["deterministic"] and not is_open
        if certain:
            groups = {0: groups[0]}  # a certain number is one observation, however often it is run
        limit = self.plan(problem, method)["steps"] * self.per_step(problem, method)
        sign = self.direction(problem).sign
        values, censored = [], []
        for runs in groups.values():
            if not runs:
                values.append(math.inf if target is None else limit)
                censored.append(True)
            elif target is None:
                scores = [best_value(r, protocol.metrics[problem], self.direction(problem)) * sign for r in runs]
                values.append(float(np.mean(scores)))
                censored.append(not math.isfinite(values[-1]))
            else:
                times = self.times(problem, method, runs, target)
                values.append(restricted_mean(times, limit))
                censored.append(not any(map(math.isfinite, times)))
        return Observations(tuple(values), tuple(censored), certain=certain)


def by_study(runs: Sequence[Run]) -> dict[int, list[Run]]:
    """The runs of each study, by its number."""
    groups: dict[int, list[Run]] = {}
    for run in runs:
        assert run.name is not None
        groups.setdefault(run.name.study, []).append(run)
    return groups


def finite_or_none(number: float | None) -> float | None:
    """A number as JSON holds it: ``None`` where it is missing or not finite."""
    return number if number is not None and math.isfinite(number) else None
