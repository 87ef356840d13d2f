"""The order of work in a folder: plan, explore, select, confirm; what is committed is never run again."""

from __future__ import annotations

import platform
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from typing import Any

from optwise.analyses.selecting import select, selection_rule
from optwise.core.budget import SECONDS, STEPS, Budget, Evaluations, Steps
from optwise.core.method import Method, Procedure, Rule
from optwise.core.metric import Direction
from optwise.core.outcomes import best_value
from optwise.core.plain import digest
from optwise.core.problem import Problem
from optwise.core.protocol import trial_key
from optwise.core.run import Phase, TrialName
from optwise.design.seeds import scramble_seed, trial_seed
from optwise.design.sobol import sobol_points
from optwise.engine.allowance import planned_steps
from optwise.engine.calibration import (
    PROCEDURES,
    RungChoice,
    TimedStep,
    admission_error,
    choose_rung,
    closed_at,
    even_split,
    step_seconds,
)
from optwise.engine.chunks import Chunk, Trial
from optwise.engine.executors import Executor, executor_of
from optwise.store.folder import Folder
from optwise.store.records import Chunk as PlannedChunk
from optwise.store.records import StoredRun
from optwise.verbs.asking import Question
from optwise.verbs.progress import Progress
from optwise.verbs.recalling import recall

SOLO_CHUNK = 8
"""Trials of a chunk that runs row by row: what a kill may cost."""
PROBE_POINTS = 3
MOST_ROWS = 64

Pair = tuple[str, str]


@dataclass(frozen=True)
class Planned:
    """How the trials of one method on one problem are executed; committed before trial 1 and kept for good.

    Args:
        choice: Rung and rows.
        step_seconds: Of a solo step.
        step_timed: What was timed.
        steps: That spend the budget; of a procedure, at the price its class declares.
        allowance: The budget in a unit that each run counts itself: that of the protocol, or what seconds were frozen
            into.
        step_evaluations: Evaluations that the timed step asked for.
    """

    choice: RungChoice
    step_seconds: float
    step_timed: str
    steps: int
    allowance: str
    step_evaluations: float

    @property
    def budget(self) -> Budget | None:
        """What ends each trial, ``None`` where that is its steps."""
        budget = Budget.parse(self.allowance)
        return None if budget.unit == STEPS else budget


@dataclass
class Work:
    """A question being worked on in its folder.

    Attributes:
        question: What is asked.
        folder: Where it is answered.
        progress: Who is told how far it is.
        plans: Execution plan of each (problem, method).
        trials: Every trial of the protocol so far, by key.
        points: The chosen values of each of them, by key.
    """

    question: Question
    folder: Folder
    progress: Progress
    plans: dict[Pair, Planned] = field(default_factory=dict)
    trials: dict[str, Trial] = field(default_factory=dict)
    points: dict[str, Mapping[str, Any]] = field(default_factory=dict)


def versions() -> dict[str, str]:
    """Versions of what makes the numbers."""
    return {name: version(name) for name in ("optwise", "torch", "numpy")} | {"python": platform.python_version()}


def work(question: Question, folder: Folder, progress: Progress) -> Work:
    """Do everything the protocol asks for that the folder does not hold yet."""
    state = Work(question, folder, progress)
    progress.note("measuring step times and batching")
    plan(state)
    protocol = question.protocol
    searches, fixed = _searches(state), _fixed(state)
    confirmations = sum(len(protocol.names(p, m)[1]) for p, m in _pairs(question)) - len(fixed)
    wanted = {t.key for t in [*searches, *fixed]}
    done = folder.done_keys()
    later = _confirmations(state, _selected(state, wanted & done))  # of the studies that have searched already
    progress.plan(len(wanted) + confirmations, len((wanted | {t.key for t in later}) & done))
    executor = executor_of(question.executor, question.problems, question.workers)
    try:
        _run(state, executor, [*searches, *fixed])
        _run(state, executor, _confirmations(state, _selected(state, wanted)))
    finally:
        executor.close()
        progress.done()
    return state


def plan(state: Work) -> None:
    """Choose rung and rows of every method, and time its solo step; what is committed is taken as it is."""
    question, folder = state.question, state.folder
    known = folder.plans()
    for problem_name, problem in question.problems.items():
        fresh = {
            name: method
            for name, method in question.protocol.methods.items()
            if (problem_name, _method_id(name, method)) not in known
        }
        made = _measure(state, problem, fresh)
        folder.commit_plan({(problem_name, _method_id(n, fresh[n])): _plan_document(p) for n, p in made.items()})
        stored = folder.plans()
        for name, method in question.protocol.methods.items():
            document = stored[problem_name, _method_id(name, method)]
            state.plans[problem_name, name] = _read_plan(document, question.protocol.budget, problem, method)


def _measure(state: Work, problem: Problem, methods: Mapping[str, Method]) -> dict[str, Planned]:
    if not methods:
        return {}
    protocol = state.question.protocol
    probes = {name: _probe(state, problem.name, name) for name in methods}
    seconds = step_seconds(problem, {name: probe[0] for name, probe in probes.items()}, dtype=protocol.dtype)
    made: dict[str, Planned] = {}
    shared: RungChoice | None = None
    for name, method in methods.items():
        if isinstance(method, Procedure):
            choice = PROCEDURES
        else:
            rules = [probe for probe in probes[name] if isinstance(probe, Rule)]
            choice = _shared_choice(problem, rules, shared) or choose_rung(
                problem, rules, most_rows=MOST_ROWS, dtype=protocol.dtype, workers=state.question.workers
            )
            shared = shared or choice
        timed = seconds[name]
        steps, allowance = _allowance(protocol.budget, problem, method, timed)
        made[name] = Planned(choice, timed.seconds, timed.timed, steps, allowance, timed.evaluations)
    return made


def _allowance(budget: Budget, problem: Problem, method: Method, timed: TimedStep) -> tuple[int, str]:
    """Steps that spend a budget, and the budget in a unit that a run counts itself.

    Seconds buy steps of a rule, which all cost the same, and evaluations of a procedure, which may take many in a step.
    """
    price = method.gradients_per_step
    if budget.unit == SECONDS:
        steps = budget.steps(batch=problem.batch_size, step_seconds=timed.seconds)
        asks = isinstance(method, Procedure) and timed.evaluations > 0
        budget = Evaluations(max(1, round(steps * timed.evaluations))) if asks else Steps(steps)
    return planned_steps(budget, problem, gradients_per_step=price), str(budget)


def _shared_choice(problem: Problem, rules: Sequence[Rule], shared: RungChoice | None) -> RungChoice | None:
    """The rung that another method of this problem has measured, if this method's numbers come out right on it."""
    if shared is None or shared.rung == "solo":
        return shared
    try:
        refusal = admission_error(problem, rules, shared.rung)
    except Exception as error:  # noqa: BLE001 - whatever a rule raises under vmap means: not batchable
        refusal = f"batching raised {type(error).__name__}"
    return RungChoice("solo", 1, f"solo: {refusal}", {}) if refusal else shared


def _probe(state: Work, problem: str, method: str) -> list[Method]:
    """A few closed points of a method, as its first study has them."""
    asked = state.question.protocol.methods[method]
    return closed_at(asked, _design(state, problem, method, 0)[:PROBE_POINTS])


def _design(state: Work, problem: str, method: str, study: int) -> tuple[dict[str, Any], ...]:
    protocol = state.question.protocol
    space = protocol.methods[method].space
    if not space.fields:
        return ({},)
    return sobol_points(space, protocol.trials, scramble_seed(protocol.seed, problem, method, study))


def _searches(state: Work) -> list[Trial]:
    found = []
    for problem, method in _pairs(state.question):
        designs: dict[int, tuple[dict[str, Any], ...]] = {}
        for name in state.question.protocol.names(problem, method)[0]:
            if name.study not in designs:
                designs[name.study] = _design(state, problem, method, name.study)
            found.append(_trial(state, name, designs[name.study][name.index]))
    return found


def _fixed(state: Work) -> list[Trial]:
    """Confirmations that wait for no search: library defaults, and the studies of closed methods."""
    protocol = state.question.protocol
    return [
        _trial(state, name, {})
        for problem, method in _pairs(state.question)
        for name in protocol.names(problem, method)[1]
        if name.phase is Phase.DEFAULT or not protocol.methods[method].is_open
    ]


def _confirmations(state: Work, selected: Mapping[tuple[str, str, int], int | None]) -> list[Trial]:
    found = []
    for problem, method in _pairs(state.question):
        if not state.question.protocol.methods[method].is_open:
            continue
        for name in state.question.protocol.names(problem, method)[1]:
            index = selected.get((problem, method, name.study))
            if name.phase is Phase.CONFIRM and index is not None:
                found.append(_trial(state, name, _design(state, problem, method, name.study)[index]))
    return found


def _selected(state: Work, keys: Collection[str]) -> dict[tuple[str, str, int], int | None]:
    """The selection of every study whose search is whole among ``keys``, noted in the folder under its rule."""
    protocol = state.question.protocol
    searches: dict[tuple[str, str, int], list[Any]] = {}
    for run in recall(state.folder, keys):
        if run.name is not None and run.name.phase is Phase.EXPLORE:
            searches.setdefault((run.name.problem, run.name.method, run.name.study), []).append(run)
    chosen: dict[tuple[str, str, int], int | None] = {}
    for study, runs in searches.items():
        if len(runs) < protocol.trials:
            continue
        metric, target = protocol.metrics[study[0]], protocol.targets[study[0]]
        direction = Direction(protocol.problems[study[0]]["metrics"][metric.rpartition("/")[2]])
        chosen[study] = select(runs, metric=metric, direction=direction, target=target)
        state.folder.select(selection_rule(metric, target), {study: chosen[study]})
    return chosen


def _trial(state: Work, name: TrialName, point: Mapping[str, Any]) -> Trial:
    protocol = state.question.protocol
    asked = protocol.methods[name.method]
    method = asked.at_defaults() if name.phase is Phase.DEFAULT else asked.close(point)
    seed = trial_seed(protocol.seed, name.problem, name)
    own = state.plans[name.problem, name.method]
    key = trial_key(
        fingerprint=protocol.problems[name.problem]["fingerprint"],
        sampler=protocol.problems[name.problem]["sampler"],
        method=method,
        seed=seed,
        steps=own.steps,
        evaluation_steps=protocol.evaluation_steps(own.steps),
        dtype=protocol.dtype,
        device=protocol.device,
        versions=versions(),
        budget=own.budget,
    )
    trial = Trial(name, key, method, seed)
    state.trials[key] = trial
    state.points[key] = point
    return trial


def _run(state: Work, executor: Executor, trials: Sequence[Trial]) -> None:
    """Run what is not done, chunk by chunk, each committed as it ends."""
    _plan_chunks(state, trials)
    done = state.folder.done_keys()
    asked = {trial.key for trial in trials}
    tasks = [
        task
        for planned in state.folder.chunks()
        if (task := _task(state, planned, done)) is not None and asked & {t.key for t in task[1].trials}
    ]
    tasks.sort(key=lambda task: -len(task[1].trials))  # the longest first, so that workers end together
    for problem, chunk, result in executor.run(tasks):
        stored = [
            StoredRun(t.key, replace(run, key=t.key, point=state.points[t.key]), state.points[t.key])
            for t, run in zip(chunk.trials, result.runs, strict=True)
        ]
        state.folder.commit_chunk(chunk.id, stored)
        metric = state.question.protocol.metrics[problem]
        direction = state.question.problems[problem].direction(metric)
        values = [best_value(run, metric, direction) for run in result.runs if not run.infeasible]
        best = (min if direction is Direction.MIN else max)(values, default=None)
        first = chunk.trials[0].name
        state.progress.advance(problem, first.method, first.phase.value, len(stored), best)


def _plan_chunks(state: Work, trials: Sequence[Trial]) -> None:
    """Commit which trials share passes, before any of them runs; planned trials keep their company."""
    chunks = state.folder.chunks()
    known = {key for chunk in chunks for key in chunk.keys}
    counts: dict[str, int] = {}
    for chunk in chunks:
        counts[chunk.id.rpartition("/")[0]] = counts.get(chunk.id.rpartition("/")[0], 0) + 1
    families: dict[tuple[str, str, str], list[Trial]] = {}
    for trial in trials:
        if trial.key not in known:
            families.setdefault((trial.name.problem, trial.name.method, trial.name.phase.value), []).append(trial)
    fresh = []
    for (problem, method, phase), members in families.items():
        choice = state.plans[problem, method].choice
        prefix = f"{problem}/{method}/{phase}"
        for part in even_split(len(members), SOLO_CHUNK if choice.rung == "solo" else choice.rows):
            own = [members[i] for i in part]
            number = counts[prefix] = counts.get(prefix, 0) + 1
            fresh.append(PlannedChunk(f"{prefix}/{number}", tuple(t.name for t in own), tuple(t.key for t in own)))
    state.folder.commit_plan({}, fresh)


def _task(state: Work, planned: PlannedChunk, done: set[str]) -> tuple[str, Chunk] | None:
    """What is left of a planned chunk; a part of one was retried, and runs solo."""
    left = [state.trials[key] for key in planned.keys if key not in done and key in state.trials]
    if not left:
        return None
    protocol, name = state.question.protocol, left[0].name
    own = state.plans[name.problem, name.method]
    whole = len(left) == len(planned.keys)
    confirming = name.phase is not Phase.EXPLORE
    chunk = Chunk(
        id=planned.id,
        rung=own.choice.rung if whole else "solo",
        rows=own.choice.rows if whole else 1,
        steps=own.steps,
        evaluation_steps=protocol.evaluation_steps(own.steps),
        dtype=protocol.dtype,
        device=protocol.device,
        trials=tuple(left),
        splits=("train", "valid", "test") if confirming else ("train", "valid"),
        keep_weights=confirming,
        reason=own.choice.reason if whole else "solo: run again after its chunk was left unfinished",
        budget=own.budget,
        keep_best=protocol.metrics[name.problem] if confirming else None,
    )
    return name.problem, chunk


def _pairs(question: Question) -> Iterator[Pair]:
    return ((problem, method) for problem in question.problems for method in question.protocol.methods)


def _method_id(name: str, method: Method) -> str:
    return f"{name}@{digest(method.describe())[:8]}"


def _plan_document(planned: Planned) -> dict[str, Any]:
    return {**vars(planned), "choice": dict(vars(planned.choice)), "measured": time.strftime("%Y-%m-%d")}


def _read_plan(document: Mapping[str, Any], budget: Budget, problem: Problem, method: Method) -> Planned:
    """A committed plan. Only seconds are frozen in it; what is counted buys the same steps whenever it is asked."""
    parts = {name: value for name, value in document.items() if name != "measured"}
    parts.setdefault("step_evaluations", method.gradients_per_step)  # a plan older than this field
    parts.setdefault("allowance", f"{parts['steps']}steps")
    if budget.unit != SECONDS:
        steps = planned_steps(budget, problem, gradients_per_step=method.gradients_per_step)
        parts |= {"steps": steps, "allowance": str(budget)}
    return Planned(**{**parts, "choice": RungChoice(**parts["choice"])})
