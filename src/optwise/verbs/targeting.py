"""A target from reference runs of their own: what nine reruns in ten of the weaker of two references reach."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Unpack

import numpy as np

from optwise.core.budget import STEPS
from optwise.core.errors import BadProtocol, RunFailed
from optwise.core.method import Rule
from optwise.core.metric import Direction, Target
from optwise.core.outcomes import held_value
from optwise.core.problem import Problem
from optwise.core.run import Run, TrialName
from optwise.core.showing import Card, Shown
from optwise.design.sobol import sobol_points
from optwise.engine.allowance import planned_steps
from optwise.engine.calibration import PROCEDURES, choose_rung, closed_at, even_split
from optwise.engine.chunks import Chunk, Trial
from optwise.engine.executors import Executor, executor_of
from optwise.methods import METHODS
from optwise.numerics.rng import derive_seed
from optwise.problems.targets import REFERENCE_BUDGET
from optwise.verbs.asking import Asked, Question, Settings, ask
from optwise.verbs.checking import inspect
from optwise.verbs.progress import Progress, Silent

TAG = "target"
"""Part of every reference seed, so that a target never comes from the runs that are compared with it."""

REFERENCES = ("momentum", "adamw")
"""One method that scales every coordinate by its own gradients, and one that does not."""

REFERENCE_STUDIES, REFERENCE_TRIALS, REFERENCE_RERUNS = 8, 16, 5
"""As a comparison searches: a target set by one lucky search is one that most searches miss."""

REACHED_BY = 0.9
"""Share of the reruns that must reach the target. AlgoPerf takes the median, of the best reference: then most runs of
the other methods miss, and there is nothing to time."""


@dataclass(frozen=True)
class TargetReport(Shown):
    """A target and where it comes from.

    Args:
        target: Rounded to three significant digits towards the easier side.
        document: Problem, references, which of them decides, the points of their studies and what their reruns reached.
    """

    target: Target
    document: dict[str, Any]

    @property
    def sentence(self) -> str:
        """In words."""
        d = self.document
        names, reached = list(d["references"]), {n: r["reached"] for n, r in d["references"].items()}
        values = ", ".join(f"{name} {'none' if v is None else f'{v:.4g}'}" for name, v in reached.items())
        weaker = f", the weaker of {' and '.join(d['deciding'])}" if len(names) > 1 else ""
        return (
            f"{d['problem']}: {self.target}, reached and held by {REACHED_BY:.0%} of the {d['studies'] * d['reruns']} "
            f"reruns of {d['method']}{weaker} ({values}; {d['studies']} studies of {d['trials']} trials, "
            f"{d['reruns']} reruns each, {d['budget']})."
        )

    def card(self) -> Card:
        return Card((self.sentence,), "Target", str(self.target), notes=(self.sentence,), then=(".target", ".document"))


def set_target(
    problem: Problem,
    methods: Asked = None,
    *,
    reruns: int = REFERENCE_RERUNS,
    progress: Progress | None = None,
    **settings: Unpack[Settings],
) -> TargetReport:
    """Set a target by reference runs: studies of each reference, what each selects rerun on fresh seeds.

    What a run reaches is the best value that it holds for two evaluations; by that a study selects, and a reference
    reaches what 90 % of its reruns reach, over all its studies. Of the two best references the weaker one decides,
    rounded to three digits towards the easier side.

    Args:
        problem: One problem.
        methods: References; ``None`` takes momentum and AdamW. One alone decides alone.
        reruns: Fresh seeds of what each study selects.
        progress: Who is told how far the work is.
        settings: See :class:`~optwise.verbs.asking.Settings`; by default 8 studies of 16 trials of 750 steps.

    Raises:
        CallerError: As in ``compare``.
        RunFailed: Too few reruns of the references hold any value.
    """
    if reruns < 1:
        raise BadProtocol(f"reruns is {reruns}; a target needs at least 1.")
    filled: Settings = {
        "studies": REFERENCE_STUDIES,
        "trials": REFERENCE_TRIALS,
        "budget": REFERENCE_BUDGET,
        **settings,
        "target": None,
    }
    question = ask(problem, [METHODS[name] for name in REFERENCES] if methods is None else methods, **filled)
    inspect(question)
    told = progress or Silent()
    protocol, (name, own) = question.protocol, next(iter(question.problems.items()))
    metric = protocol.metrics[name]
    direction = own.direction(metric)
    executor = executor_of(question.executor, question.problems, question.workers)
    try:
        searches = {label: _searches(question, own, label) for label in protocol.methods}
        searched = sum(len(chunk.trials) for chunks in searches.values() for chunk in chunks)
        told.plan(searched + protocol.studies * reruns * len(protocol.methods), 0)
        found = _run(executor, name, searches, told, "reference")
        selected = {label: _selected(runs, metric, direction) for label, runs in found.items()}
        reruns_of = {
            label: _reruns(question, name, selected[label], searches[label][0], reruns) for label in protocol.methods
        }
        again = _run(executor, name, reruns_of, told, "rerun")
    finally:
        executor.close()
        told.done()
    values = {
        # a study that found nothing feasible reaches nothing, as often as the others are rerun
        label: [held_value(run, metric, direction) for run in again[label]]
        + [math.inf * direction.sign] * (protocol.studies * reruns - len(again[label]))
        for label in protocol.methods
    }
    reached = {label: _reached(own_values, direction) for label, own_values in values.items()}
    deciding = sorted(reached, key=lambda label: reached[label] * direction.sign)[:2]
    label = deciding[-1]
    if not math.isfinite(reached[label]):
        raise RunFailed(
            f"More than one in ten reruns of {label} hold no value of {metric}, or its searches found no feasible "
            "trial; look at the problem, widen the spaces, or name other references."
        )
    target = Target(metric, _easier(reached[label], direction), direction)
    document = {
        "problem": own.reference or name,
        "target": str(target),
        "method": label,
        "deciding": deciding,
        "references": {
            label: {
                "reached": _finite(reached[label]),
                "values": [_finite(value) for value in sorted(values[label])],
                "points": [
                    {path: run.method.values()[path] for path in method.space.fields} for run in selected[label]
                ],
            }
            for label, method in protocol.methods.items()
        },
        "studies": protocol.studies,
        "trials": protocol.trials,
        "reruns": reruns,
        "budget": str(protocol.budget),
        "seed": protocol.seed,
    }
    return TargetReport(target, document)


def _run(
    executor: Executor, problem: str, chunks: Mapping[str, Sequence[Chunk]], told: Progress, phase: str
) -> dict[str, list[Run]]:
    found: dict[str, list[Run]] = {label: [] for label in chunks}
    for _, chunk, result in executor.run([(problem, chunk) for part in chunks.values() for chunk in part]):
        label = chunk.trials[0].name.method
        found[label] += result.runs
        told.advance(problem, label, phase, len(result.runs), None)
    return found


def _selected(runs: Sequence[Run], metric: str, direction: Direction) -> list[Run]:
    """Of each study of one reference the run that holds the best value; a study without a feasible trial has none.

    The best single value would prefer trials that jump, whose reruns hold much less.
    """
    best: dict[int, tuple[float, int, Run]] = {}
    for run in runs:
        assert run.name is not None
        held = held_value(run, metric, direction) * direction.sign
        if run.infeasible or not run.status.ok or not math.isfinite(held):
            continue
        candidate = (held, run.name.index, run)
        if run.name.study not in best or candidate[:2] < best[run.name.study][:2]:
            best[run.name.study] = candidate
    return [best[study][2] for study in sorted(best)]


def _searches(question: Question, problem: Problem, label: str) -> list[Chunk]:
    """The trials of all studies; of a closed method one each, since there is nothing to search."""
    protocol, method = question.protocol, question.protocol.methods[label]
    points = {
        study: sobol_points(
            method.space, protocol.trials, derive_seed(protocol.seed, TAG, problem.name, label, study, "scramble")
        )
        if method.is_open
        else ({},)
        for study in range(protocol.studies)
    }
    trials = [
        Trial(
            TrialName(problem.name, label, study, i),
            "",
            method.close(point),
            derive_seed(protocol.seed, TAG, problem.name, label, study, i),
        )
        for study, of_study in points.items()
        for i, point in enumerate(of_study)
    ]
    rules = [probe for probe in closed_at(method, points[0][:3]) if isinstance(probe, Rule)]
    choice = (
        choose_rung(problem, rules, most_rows=16, dtype=protocol.dtype, workers=question.workers)
        if rules
        else PROCEDURES
    )
    steps = planned_steps(protocol.budget, problem, gradients_per_step=method.gradients_per_step)
    return _chunked(
        Chunk(
            id=f"{TAG}/{label}/search",
            rung=choice.rung,
            rows=choice.rows,
            steps=steps,
            evaluation_steps=protocol.evaluation_steps(steps),
            dtype=protocol.dtype,
            device=protocol.device,
            trials=tuple(trials),
            reason=choice.reason,
            budget=None if protocol.budget.unit == STEPS else protocol.budget,
        )
    )


def _reruns(question: Question, problem: str, selected: Sequence[Run], like: Chunk, reruns: int) -> list[Chunk]:
    """What each study selected, on fresh seeds, executed as the searches were."""
    trials = [
        Trial(
            TrialName(problem, run.name.method, run.name.study, i, confirm=True),
            "",
            run.method,
            derive_seed(question.protocol.seed, TAG, problem, run.name.method, run.name.study, "rerun", i),
        )
        for run in selected
        if run.name is not None
        for i in range(reruns)
    ]
    return _chunked(replace(like, id=f"{like.id.rpartition('/')[0]}/rerun", trials=tuple(trials))) if trials else []


def _chunked(whole: Chunk) -> list[Chunk]:
    """Parts whose rows share a pass."""
    return [
        replace(whole, id=f"{whole.id}/{part.start}", trials=whole.trials[part.start : part.stop])
        for part in even_split(len(whole.trials), max(whole.rows, 4))
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


def _finite(value: float) -> float | None:
    """A number as JSON has it."""
    return value if math.isfinite(value) else None
