"""One protocol's view of the runs of a folder: times, values, and what each study is compared by."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from optwise.analyses.observations import Observations, Studies
from optwise.core.budget import SECONDS
from optwise.core.metric import Direction, Target
from optwise.core.outcomes import best_value, steps_to_target
from optwise.core.protocol import Protocol
from optwise.core.run import Phase, Run
from optwise.core.spending import StepTime

ROUNDING = {"float64": 1e-12, "float32": 1e-5}
"""Relative difference that rounding may make between two values of one training: some hundred operations' worth."""
HORIZON = "needs_horizon"
RAN = "ran"
"""In a shortened plan, the steps that were run."""
PAID = "paid"
"""In the notes on a plan, the sum of the schedule's factors up to each evaluation."""


class Arrival(NamedTuple):
    """A time that is known to lie above ``low`` and at most at ``high``; both infinite for a miss."""

    low: float
    high: float


MISS = Arrival(math.inf, math.inf)


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
        self._limits: dict[str, float] = {}

    def of(self, problem: str, method: str, phase: Phase) -> list[Run]:
        """The runs of one phase, in the order of their addresses."""
        return self._by.get((problem, method, phase), [])

    def everything(self, problem: str, method: str) -> list[Run]:
        """All runs of a method on a problem."""
        return [run for phase in Phase for run in self.of(problem, method, phase)]

    def plan(self, problem: str, method: str) -> Mapping[str, Any]:
        """How the trials of a method were executed."""
        plan: Mapping[str, Any] = self.notes["plans"][f"{problem}/{method}"]
        return plan

    def direction(self, problem: str) -> Direction:
        """Of the selection metric."""
        metric = self.protocol.metrics[problem].rpartition("/")[2]
        return Direction(self.protocol.problems[problem]["metrics"][metric])

    def timing(self, problem: str, method: str) -> StepTime:
        """How long the steps of a method take, timed alone."""
        return step_time(self.plan(problem, method))

    def spent(self, run: Run, step: float) -> float:
        """What a run had spent on the axis after ``step`` steps, by its own counters."""
        assert run.name is not None
        if self.protocol.axis != SECONDS:
            return run.spent(self.protocol.axis, step)
        return run.spent(SECONDS, step, timing=self.timing(run.name.problem, run.name.method))

    def limit(self, problem: str) -> float:
        """Up to what amount on the axis every method of the problem was observed: the least that any could spend.

        A later hit counts as a miss, or a method would be ahead for a larger budget. Infinite where no run of any
        method came to its end.
        """
        if problem not in self._limits:
            most = []
            for method in self.protocol.methods:
                ended = [run for run in self.everything(problem, method) if run.ended_whole and run.evaluations_at()]
                most += [max(self.spent(run, run.evaluations_at()[-1]) for run in ended)] if ended else []
            self._limits[problem] = min((amount for amount in most if amount > 0), default=math.inf)
        return self._limits[problem]

    def last_step(self, run: Run) -> int:
        """The last evaluation of a run within the limit of its problem: what comes later counts as a miss."""
        limit = self.limit(_problem(run)) * (1 + 1e-9)
        return max((k for k in run.evaluations_at() if self.spent(run, k) <= limit), default=0)

    def arrival(self, run: Run, target: Target) -> Arrival:
        """When a run reached the target on the axis: after the evaluation before, at the latest at its own.

        A miss where that is later than the limit of the problem.
        """
        found = self._whenever(run, target)
        return found if found.high <= self.limit(_problem(run)) * (1 + 1e-9) else MISS

    def _strayed(self, run: Run, target: Target, less: float, more: float) -> Arrival:
        """The arrival where all times of a method may be off at once; a miss is later than what was spent, too."""
        found, within = self._whenever(run, target), self.arrival(run, target)
        if less == more == 1.0:
            return within
        low = found.low if math.isfinite(found.high) else self.spent(run, max(run.evaluations_at(), default=0))
        return Arrival(low * less if run.ended_whole or math.isfinite(found.high) else math.inf, within.high * more)

    def _whenever(self, run: Run, target: Target) -> Arrival:
        step = steps_to_target(run, target)
        if step is None:
            return MISS
        measured = [k for k, _ in run.curve(target.metric)]
        step = step or next((k for k in measured if k > 0), 1)  # one met at the start takes the first step
        before = max((k for k in measured if k < step), default=0)
        high, begun = self.spent(run, step), self.spent(run, before)
        return Arrival(begun + (high - begun) / max(1, step - before), high)  # a step later than the one before

    def times(self, runs: Sequence[Run], target: Target) -> list[float]:
        """Time of each run on the axis; a miss is infinite."""
        return [self.arrival(run, target).high for run in runs]

    def grid(self, problem: str, method: str) -> tuple[float, ...] | None:
        """The amounts at which every whole confirmation was measured; ``None`` where they differ."""
        limit = self.limit(problem)
        found = {
            tuple(round(self.spent(run, k) / limit, 9) for k in run.evaluations_at())
            for run in self.of(problem, method, Phase.CONFIRM)
            if run.ended_whole
        }
        return next(iter(found)) if len(found) == 1 and math.isfinite(limit) else None

    def resolution(self, problem: str, methods: Sequence[str] | None = None) -> float:
        """The widest gap between two evaluations of any whole confirmation: times are known no better than this."""
        gaps = [0.0]
        for method in self.protocol.methods if methods is None else methods:
            for run in self.of(problem, method, Phase.CONFIRM):
                if run.ended_whole:
                    spent = [self.spent(run, k) for k in run.evaluations_at()]
                    gaps += [b - a for a, b in itertools.pairwise(spent)]
        return max(gaps)

    def evaluation_steps(self, problem: str, method: str) -> tuple[int, ...]:
        """When whole runs were measured; under a shortened budget, as far as that reaches."""
        plan = self.plan(problem, method)
        ran = self.protocol.evaluation_steps(int(plan.get(RAN, plan["steps"])))
        return tuple(k for k in ran if k <= int(plan["steps"]))

    def paid(self, problem: str, method: str) -> list[tuple[int, float]] | None:
        """``(step, learning rate used up)`` at the evaluations, in units of ``lr``; ``None`` where nobody noted it."""
        used = self.plan(problem, method).get(PAID)
        return None if used is None else list(zip(self.evaluation_steps(problem, method), used, strict=False))

    def studies(self, problem: str, method: str) -> list[list[Run]] | None:
        """The confirmations of each study; ``None`` where no study found a feasible trial.

        A study without a selection has none. A closed method on a deterministic problem is one number, however often it
        is run, and all its runs are one study.
        """
        protocol = self.protocol
        confirmations, is_open = self.of(problem, method, Phase.CONFIRM), protocol.methods[method].is_open
        if all(run.infeasible for run in confirmations) and not (is_open and confirmations):
            return None
        groups = by_study(confirmations)
        if self.certain(problem, method):
            return [confirmations]
        return [groups.get(study, []) for study in range(protocol.studies)]

    def certain(self, problem: str, method: str) -> bool:
        """Whether chance has no part: a closed method on a deterministic problem."""
        return bool(self.protocol.problems[problem]["deterministic"]) and not self.protocol.methods[method].is_open

    def observations(self, problem: str, method: str, target: Target | None) -> Observations:
        """The seeds of each study: times to the target, or best values of the metric, turned so that lower is better.

        A study without a selection misses with every seed. A number without chance is an interval still: rows of one
        batch differ by rounding, so that it reaches from the least to the largest, and values by the rounding of their
        precision besides.
        """
        studies = self.studies(problem, method)
        if studies is None:
            return Observations((), feasible=False)
        certain = self.certain(problem, method)
        if target is None:
            metric, direction = self.protocol.metrics[problem], self.direction(problem)
            values = [[best_value(run, metric, direction) * direction.sign for run in runs] for runs in studies]
            if certain:
                least, largest = min(values[0]), max(values[0])
                room = ROUNDING[self.protocol.dtype] * abs(least) if math.isfinite(least) else 0.0
                return Observations(((largest,),), ((least - room,),), certain=True)
            return Observations(self._filled(values))
        less, more = self.strays(problem, method)
        arrivals = [[self._strayed(run, target, less, more) for run in runs] for runs in studies]
        if certain:
            arrivals = [[Arrival(min(a.low for a in arrivals[0]), max(a.high for a in arrivals[0]))]]
        known = less == more == 1.0
        return Observations(
            self._filled([[a.high for a in study] for study in arrivals]),
            self._filled([[a.low for a in study] for study in arrivals]),
            limit=self.limit(problem) * max(self.strays(problem, name)[1] for name in self.protocol.methods),
            grid=self.grid(problem, method) if known else None,
            certain=certain,
        )

    def strays(self, problem: str, method: str) -> tuple[float, float]:
        """By which factors all times of a method may be off at once; seconds stand on one measured step alone."""
        return self.timing(problem, method).strays if self.protocol.axis == SECONDS else (1.0, 1.0)

    def _filled(self, studies: Sequence[Sequence[float]]) -> Studies:
        nothing = (math.inf,) * self.protocol.seeds
        return tuple(tuple(study) or nothing for study in studies)

    def apart(self, problem: str) -> dict[tuple[str, str], str]:
        """Pairs whose seconds cannot be compared, because they were timed apart, with the reason."""
        if self.protocol.axis != SECONDS or self.protocol.targets[problem] is None:
            return {}
        session = {method: self.timing(problem, method).session for method in self.protocol.methods}
        return {
            (a, b): "timed apart: run the same `optwise compare` again, which times them together"
            for a, b in itertools.combinations(session, 2)
            if session[a] != session[b] or not session[a]  # a folder of before notes none
        }


def step_time(plan: Mapping[str, Any]) -> StepTime:
    """How long the steps of a plan's method take."""
    return StepTime.read(plan)


def mostly_met_at_start(runs: Sequence[Run], target: Target) -> bool:
    """Whether more than half of the runs meet the target before their first step."""
    starts = [value for run in runs for step, value in run.curve(target.metric)[:1] if step == 0]
    return 2 * sum(map(target.reached_by, starts)) > len(starts)


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


def _problem(run: Run) -> str:
    assert run.name is not None
    return run.name.problem
