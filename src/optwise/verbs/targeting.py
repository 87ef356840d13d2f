"""A target from reference runs of their own: tune, rerun the best, take what nine reruns in ten reach."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Unpack

import numpy as np

from optwise.analyses.selecting import select
from optwise.core.errors import BadProtocol, RunFailed
from optwise.core.method import Method, Rule
from optwise.core.metric import Direction, Target
from optwise.core.outcomes import best_value
from optwise.core.problem import Problem
from optwise.core.run import Run, TrialName
from optwise.design.sobol import sobol_points
from optwise.engine.calibration import PROCEDURES, RungChoice, choose_rung, closed_at, even_split
from optwise.engine.chunks import Chunk, Trial
from optwise.engine.executors import executor_of
from optwise.numerics.rng import derive_seed
from optwise.verbs.asking import Asked, Question, Settings, ask
from optwise.verbs.checking import inspect
from optwise.verbs.progress import Progress, Silent

TAG = "target"
"""Part of every reference seed, so that a target never comes from the runs that are compared with it."""

REFERENCE_TRIALS = 32
REFERENCE_RERUNS = 20
REFERENCE_BUDGET = "750steps"
"""Three quarters of the default budget: a comparison has 4/3 of what its target was set with, as in AlgoPerf."""

REACHED_BY = 0.9
"""Share of the reruns that must reach the target. AlgoPerf takes the median; a target that the best reference misses
every second time leaves most studies of 16 trials without a hit, and nothing to time."""


@dataclass(frozen=True)
class TargetReport:
    """A target and where it comes from.

    Args:
        target: Rounded to three significant digits towards the easier side.
        document: Problem, best method, its point, and the values its reruns reached.
    """

    target: Target
    document: dict[str, Any]

    @property
    def sentence(self) -> str:
        """In words."""
        d = self.document
        return (
            f"{d['problem']}: {self.target}, reached by {REACHED_BY:.0%} of {d['reruns']} reruns of {d['method']} "
            f"at {_point(d['point'])} (best of {d['trials']} trials each of {', '.join(d['methods'])}, {d['budget']})."
        )


def set_target(
    problem: Problem,
    methods: Asked = None,
    *,
    reruns: int = REFERENCE_RERUNS,
    progress: Progress | None = None,
    **settings: Unpack[Settings],
) -> TargetReport:
    """Set a target by reference runs: one study of each method, the best configuration rerun on fresh seeds.

    The target is the value that 90 % of the reruns reach, rounded to three digits towards the easier side.

    Args:
        problem: One problem.
        methods: References; ``None`` takes the default five.
        reruns: Fresh seeds of the best configuration.
        progress: Who is told how far the work is.
        settings: See :class:`~optwise.verbs.asking.Settings`; by default 32 trials of 750 steps.

    Raises:
        CallerError: As in ``compare``.
        RunFailed: No reference found a feasible trial.
    """
    if reruns < 1:
        raise BadProtocol(f"reruns is {reruns}; a target needs at least 1.")
    filled: Settings = {
        "trials": REFERENCE_TRIALS,
        "budget": REFERENCE_BUDGET,
        **settings,
        "target": None,
        "studies": 1,
    }
    question = ask(problem, methods, **filled)
    inspect(question)
    told = progress or Silent()
    protocol, (name, own) = question.protocol, next(iter(question.problems.items()))
    metric = protocol.metrics[name]
    direction = own.direction(metric)
    executor = executor_of(question.executor, question.problems, question.workers)
    try:
        told.plan(len(protocol.methods) * protocol.trials + reruns, 0)
        chunks = {label: _searches(question, own, label) for label in protocol.methods}
        found: dict[str, list[Run]] = {label: [] for label in protocol.methods}
        for _, chunk, result in executor.run([(name, chunk) for part in chunks.values() for chunk in part]):
            label = chunk.trials[0].name.method
            found[label] += result.runs
            told.advance(name, label, "reference", len(result.runs), None)
        label, best = _best(found, metric, direction)
        again = _reruns(question, best, label, chunks[label][0], reruns)
        values = [
            best_value(run, metric, direction)
            for _, _, result in executor.run([(name, chunk) for chunk in again])
            for run in result.runs
        ]
        told.advance(name, label, "rerun", reruns, None)
    finally:
        executor.close()
        told.done()
    target = Target(metric, _easier(_reached(values, direction), direction), direction)
    document = {
        "problem": own.reference or name,
        "target": str(target),
        "method": label,
        "point": {path: best.method.values()[path] for path in protocol.methods[label].space.fields},
        "methods": list(protocol.methods),
        "trials": protocol.trials,
        "reruns": reruns,
        "budget": str(protocol.budget),
        "seed": protocol.seed,
        "values": sorted(values),
    }
    return TargetReport(target, document)


def _best(found: dict[str, list[Run]], metric: str, direction: Direction) -> tuple[str, Run]:
    chosen: list[tuple[float, str, Run]] = []
    for label, runs in found.items():
        index = select(runs, metric=metric, direction=direction, target=None)
        chosen += [
            (best_value(run, metric, direction) * direction.sign, label, run)
            for run in runs
            if run.name is not None and run.name.index == index
        ]
    if not chosen:
        raise RunFailed("No reference method found a feasible trial; look at the problem or widen the spaces.")
    _, label, run = min(chosen, key=lambda item: item[:2])
    return label, run


def _searches(question: Question, problem: Problem, label: str) -> list[Chunk]:
    protocol, method = question.protocol, question.protocol.methods[label]
    seed = derive_seed(protocol.seed, TAG, problem.name, label, "scramble")
    points = sobol_points(method.space, protocol.trials, seed) if method.is_open else ({},)
    trials = [
        Trial(
            TrialName(problem.name, label, 0, i),
            "",
            method.close(point),
            derive_seed(protocol.seed, TAG, problem.name, label, i),
        )
        for i, point in enumerate(points)
    ]
    probes = closed_at(method, points[:3])
    rules = [probe for probe in probes if isinstance(probe, Rule)]
    choice = (
        choose_rung(problem, rules, most_rows=16, dtype=protocol.dtype, workers=question.workers)
        if rules
        else PROCEDURES
    )
    return _chunked(question, problem, method, trials, choice)


def _chunked(
    question: Question, problem: Problem, method: Method, trials: Sequence[Trial], choice: RungChoice
) -> list[Chunk]:
    protocol = question.protocol
    steps = protocol.budget.steps(batch=problem.batch_size, gradients_per_step=method.gradients_per_step)
    return [
        Chunk(
            id=f"{TAG}/{trials[part.start].name}",
            rung=choice.rung,
            rows=choice.rows,
            steps=steps,
            evaluation_steps=protocol.evaluation_steps(steps),
            dtype=protocol.dtype,
            device=protocol.device,
            trials=tuple(trials[i] for i in part),
            reason=choice.reason,
        )
        for part in even_split(len(trials), max(choice.rows, 4))
    ]


def _reruns(question: Question, best: Run, label: str, like: Chunk, reruns: int) -> list[Chunk]:
    protocol = question.protocol
    problem = best.problem
    trials = [
        Trial(
            TrialName(problem, label, 0, i, confirm=True),
            "",
            best.method,
            derive_seed(protocol.seed, TAG, problem, label, "rerun", i),
        )
        for i in range(reruns)
    ]
    return [
        replace(like, id=f"{TAG}/{label}/rerun/{part.start}", trials=tuple(trials[i] for i in part))
        for part in even_split(reruns, max(like.rows, 4))
    ]


def _reached(values: Sequence[float], direction: Direction) -> float:
    """The value that a share of at least :data:`REACHED_BY` of the reruns reach."""
    ranked = sorted(values, key=lambda v: v * direction.sign)
    return ranked[math.ceil(REACHED_BY * len(ranked)) - 1]


def _easier(value: float, direction: Direction) -> float:
    """Three significant digits, rounded towards the value that is easier to reach."""
    if value == 0:
        return 0.0
    digits = 2 - int(np.floor(np.log10(abs(value))))
    scaled = value * 10.0**digits
    return float(round((np.ceil if direction is Direction.MIN else np.floor)(scaled) / 10.0**digits, max(digits, 0)))


def _point(point: dict[str, Any]) -> str:
    return ", ".join(
        f"{path}={value:.3g}" if isinstance(value, float) else f"{path}={value}" for path, value in point.items()
    )
