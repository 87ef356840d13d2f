"""The order of work in a folder: plan, explore, select, confirm; what is committed is never run again."""

from __future__ import annotations

import platform
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from typing import Any

from optwise.analyses.selecting import select, selection_rule
from optwise.core.metric import Direction
from optwise.core.outcomes import best_value
from optwise.core.protocol import trial_key
from optwise.core.run import Phase, TrialName
from optwise.design.seeds import trial_seed
from optwise.engine.calibration import even_split
from optwise.engine.chunks import Chunk, Trial
from optwise.engine.executors import Executor, executor_of
from optwise.store.folder import Folder
from optwise.store.records import Chunk as PlannedChunk
from optwise.store.records import StoredRun
from optwise.verbs.asking import Question
from optwise.verbs.planning import Pair, Planned, design, plan
from optwise.verbs.progress import Progress
from optwise.verbs.recalling import recall

SOLO_CHUNK = 8
"""Trials of a chunk that runs row by row: what a kill may cost."""


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
    state.plans |= plan(question, folder, progress.note)
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


def _searches(state: Work) -> list[Trial]:
    found = []
    for problem, method in _pairs(state.question):
        designs: dict[int, tuple[dict[str, Any], ...]] = {}
        for name in state.question.protocol.names(problem, method)[0]:
            if name.study not in designs:
                designs[name.study] = design(state.question.protocol, problem, method, name.study)
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
                found.append(_trial(state, name, design(state.question.protocol, problem, method, name.study)[index]))
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
        chosen[study] = select(runs, metric=metric, direction=direction, target=target, axis=protocol.axis)
        state.folder.select(selection_rule(metric, target, protocol.axis), {study: chosen[study]})
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
