"""How a question's trials are executed: rung, rows and budget once and for good, step times together and anew."""

from __future__ import annotations

import math
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from optwise.core.budget import SECONDS, STEPS, Budget, Evaluations, Steps
from optwise.core.method import Method, Procedure
from optwise.core.plain import digest
from optwise.core.problem import Problem
from optwise.core.protocol import Protocol
from optwise.design.seeds import scramble_seed
from optwise.design.sobol import sobol_points
from optwise.engine.allowance import planned_steps
from optwise.engine.calibration import Calibration, RungChoice, calibrate, closed_at
from optwise.engine.timing import TimedStep
from optwise.store.folder import Folder
from optwise.verbs.asking import Question

PROBE_POINTS = 3
MOST_ROWS = 64

Pair = tuple[str, str]


@dataclass(frozen=True)
class Timing:
    """A solo step of a method, and where that was measured.

    Args:
        seconds: CPU seconds of the step.
        timed: What was timed, in words.
        evaluations: Evaluations that the step asked for.
        session: Which timing this is: only times of one session are compared.
        machine: On which it was measured.
        noisy: Whether its repeats disagreed to the end.
        busy: That the machine had other work, and how it showed; empty where it had not.
        low, high: Between what the seconds lie by their repeats; 0 where nobody noted it.
    """

    seconds: float
    timed: str
    evaluations: float
    session: str
    machine: str
    noisy: bool
    busy: str = ""
    low: float = 0.0
    high: float = 0.0

    def alike(self, other: Timing) -> bool:
        """Whether the repeats cannot tell the two apart."""
        return self.low <= other.high and other.low <= self.high


@dataclass(frozen=True)
class Planned:
    """How the trials of one method on one problem are executed.

    All but the timing is committed before trial 1 and kept for good; that is measured anew when a method is added.

    Args:
        choice: Rung and rows.
        steps: That spend the budget; of a procedure, at the price its class declares.
        allowance: The budget in a unit that each run counts itself: that of the protocol, or what seconds were frozen
            into.
        timing: Of a solo step.
    """

    choice: RungChoice
    steps: int
    allowance: str
    timing: Timing

    @property
    def budget(self) -> Budget | None:
        """What ends each trial, ``None`` where that is its steps."""
        budget = Budget.parse(self.allowance)
        return None if budget.unit == STEPS else budget

    def notes(self) -> dict[str, Any]:
        """What a score or a page needs to know of it, as plain JSON."""
        return {
            "choice": dict(vars(self.choice)),
            "steps": self.steps,
            "allowance": self.allowance,
            "step_seconds": self.timing.seconds,
            "step_seconds_low": self.timing.low,
            "step_seconds_high": self.timing.high,
            "step_timed": self.timing.timed,
            "step_evaluations": self.timing.evaluations,
            "timing": self.timing.session,
            "timed_on": self.timing.machine,
            "timing_noisy": self.timing.noisy,
        }


def plan(question: Question, folder: Folder, tell: Callable[[str], None]) -> dict[Pair, Planned]:
    """Choose rung and rows of every method that has none, and time all methods together where they were not.

    What is committed is taken as it is. Step times are compared only within one session: when a method is added, or
    when the repeats of the last session disagreed, all methods of the problem are timed again, in turn.

    Args:
        question: With its problems and methods.
        folder: Where plans are kept.
        tell: Is told when the machine turns out to be busy.
    """
    plans: dict[Pair, Planned] = {}
    for name, problem in question.problems.items():
        methods = question.protocol.methods
        known, timed = folder.plans(), folder.timings()
        ids = {m: method_id(m, method) for m, method in methods.items()}
        fresh = [m for m in methods if (name, ids[m]) not in known]
        timings = {m: Timing(**timed[name, ids[m]]) for m in methods if (name, ids[m]) in timed}
        if fresh or not _together(timings, methods):
            done = _measured(question, problem, fresh, _shared(known, name))
            timings = {m: _timing(done, m) for m in methods}
            if done.timings.busy:
                noisy = "; times are marked as noisy" if done.timings.noisy else ""
                tell(f"{name}: {done.timings.busy}, so they were measured {done.timings.turns} times{noisy}")
            drift = _drift([(known[name, ids[m]], timings[m]) for m in methods if m not in fresh])
            budget, documents = question.protocol.budget, {}
            frozen = {m: float(known[name, ids[m]]["step_seconds"]) for m in methods if m not in fresh}
            bought = _bought(timings, frozen, drift)
            for m in fresh:
                step = replace(done.steps[m], seconds=bought[m])
                documents[name, ids[m]] = _document(done.choices[m], step, budget, problem, methods[m])
            folder.commit_plan(documents)
            folder.record_timings({(name, ids[m]): vars(timing) for m, timing in timings.items()})
            known = folder.plans()
        for m, method in methods.items():
            plans[name, m] = _planned(known[name, ids[m]], timings[m], question.protocol.budget, problem, method)
    return plans


def probes(protocol: Protocol, problem: str, method: str) -> list[Method]:
    """A few closed points of a method, as its first study has them, without its schedule."""
    return closed_at(protocol.methods[method], design(protocol, problem, method, 0)[:PROBE_POINTS])


def design(protocol: Protocol, problem: str, method: str, study: int) -> tuple[dict[str, Any], ...]:
    """The points of one study of a method, in their order; one empty point where it is closed."""
    space = protocol.methods[method].space
    if not space.fields:
        return ({},)
    return sobol_points(space, protocol.trials, scramble_seed(protocol.seed, problem, method, study))


def method_id(name: str, method: Method) -> str:
    """A method in a folder's plan: its name, and what it is."""
    return f"{name}@{digest(method.describe())[:8]}"


def allowance(budget: Budget, problem: Problem, method: Method, timed: TimedStep) -> tuple[int, str]:
    """Steps that spend a budget, and the budget in a unit that a run counts itself.

    Seconds buy steps of a rule, which all cost the same, and evaluations of a procedure, which may take many in a step.
    """
    if budget.unit == SECONDS:
        steps = budget.steps(batch=problem.batch_size, step_seconds=timed.seconds)
        asks = isinstance(method, Procedure) and timed.evaluations > 0
        budget = Evaluations(max(1, round(steps * timed.evaluations))) if asks else Steps(steps)
    return planned_steps(budget, problem, gradients_per_step=method.gradients_per_step), str(budget)


def machine() -> str:
    """The processor and the system, in words."""
    return f"{processor()}, {os.cpu_count()} cores, {platform.platform()}"


def processor() -> str:
    """The name of the processor."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        models = [line.partition(":")[2].strip() for line in info.read_text().splitlines() if "model name" in line]
        if models:
            return models[0]
    return platform.processor() or platform.machine()


def _together(timings: Mapping[str, Timing], methods: Mapping[str, Method]) -> bool:
    """Whether all methods were timed in one session whose repeats agreed."""
    sessions = {timing.session for timing in timings.values()}
    settled = all(timing.high and not timing.noisy for timing in timings.values())
    return timings.keys() == methods.keys() and len(sessions) == 1 and settled


def _measured(question: Question, problem: Problem, fresh: list[str], known: RungChoice | None) -> Calibration:
    protocol = question.protocol
    return calibrate(
        problem,
        {name: probes(protocol, problem.name, name) for name in protocol.methods},
        choose=fresh,
        known=known,
        most_rows=MOST_ROWS,
        dtype=protocol.dtype,
        workers=question.workers,
    )


def _shared(known: Mapping[Pair, Mapping[str, Any]], problem: str) -> RungChoice | None:
    """What another method of the problem was found to do best, where one was timed on every rung."""
    choices = (RungChoice(**plan["choice"]) for (name, _), plan in known.items() if name == problem)
    return next((choice for choice in choices if choice.microseconds), None)


def _timing(done: Calibration, method: str) -> Timing:
    step, session = done.steps[method], done.timings
    low, high = session.bounds(method)
    return Timing(
        seconds=step.seconds,
        timed=step.timed,
        evaluations=step.evaluations,
        session=session.session,
        machine=machine(),
        noisy=session.noisy,
        busy=session.busy,
        low=low,
        high=high,
    )


def _drift(pairs: list[tuple[Mapping[str, Any], Timing]]) -> float:
    """How much longer a step took when seconds were frozen than it takes now, by the methods timed both times."""
    return statistics.median(float(plan["step_seconds"]) / timing.seconds for plan, timing in pairs) if pairs else 1.0


def _bought(timings: Mapping[str, Timing], frozen: Mapping[str, float], drift: float) -> dict[str, float]:
    """What a step of each method is charged where seconds buy steps.

    Times that cannot be told apart are one time, so that no method has more steps for having been timed at a lucky
    moment: that of the closest method whose seconds are frozen, else the mean of their logs.

    Args:
        timings: Of all methods, in one session.
        frozen: Method to what its step was charged when the folder's seconds were frozen.
        drift: How much longer a step took then than now.
    """
    found = dict(frozen)
    fresh = sorted((m for m in timings if m not in frozen), key=lambda m: timings[m].seconds)
    while fresh:
        first = timings[fresh[0]]
        alike = [m for m in fresh if timings[m].alike(first)]
        known = [m for m in frozen if timings[m].alike(first)]
        if known:
            closest = min(known, key=lambda m: abs(math.log(timings[m].seconds / first.seconds)))
            charged = frozen[closest]
        else:
            charged = statistics.geometric_mean([timings[m].seconds for m in alike]) * drift
        found |= dict.fromkeys(alike, charged)
        fresh = [m for m in fresh if m not in alike]
    return found


def _document(choice: RungChoice, step: TimedStep, budget: Budget, problem: Problem, method: Method) -> dict[str, Any]:
    """A plan to be committed; ``step`` is timed as when the seconds of the folder were frozen."""
    steps, text = allowance(budget, problem, method, step)
    return {
        "choice": dict(vars(choice)),
        "steps": steps,
        "allowance": text,
        "step_seconds": step.seconds,
        "step_timed": step.timed,
        "measured": time.strftime("%Y-%m-%d"),
    }


def _planned(document: Mapping[str, Any], timing: Timing, budget: Budget, problem: Problem, method: Method) -> Planned:
    """A committed plan. Only seconds are frozen in it; what is counted buys the same steps whenever it is asked."""
    steps = int(document["steps"])
    text = document.get("allowance", f"{steps}steps")  # a plan older than this field ran so many steps
    if budget.unit != SECONDS:
        steps, text = planned_steps(budget, problem, gradients_per_step=method.gradients_per_step), str(budget)
    return Planned(RungChoice(**document["choice"]), steps, text, timing)
