"""The one loop: rows advance together from one evaluation to the next, whatever the rung."""

from __future__ import annotations

import time
import traceback
from collections.abc import Hashable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from optwise.core.budget import EVALUATIONS, EXAMPLE_GRADIENTS, EXAMPLES, STEPS
from optwise.core.method import Procedure, Rule
from optwise.core.problem import Problem
from optwise.core.run import Execution, Run, TrialName
from optwise.core.sampler import Draws, SamplerState
from optwise.core.status import Status
from optwise.engine.allowance import Allowance, Floats
from optwise.engine.chunks import DTYPES, Chunk, ChunkResult, Trial, failure_status, held
from optwise.engine.procedures import run_procedure
from optwise.engine.program import Rows, gather, program_of, signature
from optwise.engine.recorder import Recorder
from optwise.engine.rungs import Stepper, row_of, stepper_of


class OneThread(AbstractContextManager[None]):
    """One thread while a chunk runs: one process per core is faster at this size, and numbers depend on neither."""

    def __enter__(self) -> None:
        self._threads = torch.get_num_threads()
        torch.set_num_threads(1)

    def __exit__(self, *_: object) -> None:
        torch.set_num_threads(self._threads)


@dataclass
class Pace:
    """How far T rows have come: where each stands in its data, steps and examples so far [T]."""

    samplers: list[SamplerState]
    steps: Tensor
    examples: Tensor

    def totals(self, rules: Sequence[Rule]) -> list[dict[str, float]]:
        """The counters of every row as they stand."""
        counted = zip(rules, self.steps.tolist(), self.examples.tolist(), strict=True)
        return [
            {
                STEPS: float(steps),
                EXAMPLES: float(examples),
                EXAMPLE_GRADIENTS: float(examples) * rule.gradients_per_step,
                EVALUATIONS: float(steps) * rule.gradients_per_step,
            }
            for rule, steps, examples in counted
        ]


def advance(problem: Problem, stepper: Stepper, rows: Rows, pace: Pace, factors: Tensor) -> Rows:
    """As many steps as there are ``factors`` [S, T], with fresh batches; ``pace`` is brought up to date."""
    length = 1 if problem.sampler.needs_weights else len(factors)  # steps whose draws are made at once
    for first in range(0, len(factors), length):
        taken = [problem.sampler.take(s, problem.examples, length, rows.w[t]) for t, s in enumerate(pace.samplers)]
        pace.samplers = [state for _, state in taken]
        draws = stack_draws([draw for draw, _ in taken], rows.w)
        for s in range(length):
            pace.steps += rows.alive  # the step that ends a row was taken too
            pace.examples += draws.examples[s] * rows.alive
            rows = stepper.step(rows, factors[first + s], gather(problem, draws, s))
    return rows


def run_chunk(problem: Problem, chunk: Chunk) -> ChunkResult:
    """Run every trial of a chunk; what goes wrong with one row is that row's status.

    A batched pass that fails for want of memory is split in halves; one that raises is run again row by row, and its
    rows say so.
    """
    started = time.perf_counter()
    cast = problem.to(dtype=DTYPES[chunk.dtype], device=chunk.device)
    groups: dict[Hashable, list[Trial]] = {}
    for trial in chunk.trials:  # rows that differ in a flag cannot share a pass
        group = signature(trial.method) if isinstance(trial.method, Rule) else str(trial.name)
        groups.setdefault(group, []).append(trial)
    done: dict[TrialName, Run] = {}
    seconds = 0.0
    with OneThread():
        for trials in groups.values():
            for first in range(0, len(trials), chunk.rows):
                recorder_seconds = _run_rows(
                    cast, replace(chunk, trials=tuple(trials[first : first + chunk.rows])), done
                )
                seconds += recorder_seconds
    taken = time.perf_counter() - started
    runs = tuple(_with_share(done[trial.name], taken / len(chunk.trials)) for trial in chunk.trials)
    return ChunkResult(runs, taken, seconds)


def _with_share(run: Run, seconds: float) -> Run:
    return run if run.execution is None else replace(run, execution=replace(run.execution, share_seconds=seconds))


def _run_rows(problem: Problem, chunk: Chunk, done: dict[TrialName, Run], *, retried: bool = False) -> float:
    """Run rows that can share a pass; returns the seconds spent measuring."""
    try:
        if isinstance(chunk.trials[0].method, Procedure):
            recorder, runs = run_procedure(problem, chunk.trials[0].method, chunk.trials[0].seed, chunk)
        else:
            recorder, runs = _run_rules(problem, chunk)
    except (MemoryError, RuntimeError, ValueError, TypeError, ArithmeticError, LookupError, AttributeError) as error:
        return _recover(problem, chunk, done, error)
    for trial, run in zip(chunk.trials, runs, strict=True):
        execution = Execution(
            chunk.rung, len(chunk.trials), chunk.dtype, chunk.device, chunk.id, chunk.reason, retried_solo=retried
        )
        done[trial.name] = replace(run, name=trial.name, execution=execution)
    return recorder.seconds


def _recover(problem: Problem, chunk: Chunk, done: dict[TrialName, Run], error: Exception) -> float:
    rows = len(chunk.trials)
    if rows > 1 and failure_status(error) is Status.OUT_OF_MEMORY:
        halves = (chunk.trials[: rows // 2], chunk.trials[rows // 2 :])
        return sum(_run_rows(problem, replace(chunk, trials=half), done) for half in halves)
    if chunk.rung != "solo":
        solo = [replace(chunk, rung="solo", trials=(trial,)) for trial in chunk.trials]
        return sum(_run_rows(problem, alone, done, retried=True) for alone in solo)
    trial = chunk.trials[0]
    done[trial.name] = Run(
        problem=problem.name,
        method=trial.method,
        seed=trial.seed,
        status=failure_status(error),
        counts={},
        measurements=(),
        execution=Execution(chunk.rung, 1, chunk.dtype, chunk.device, chunk.id, chunk.reason),
        traceback="".join(traceback.format_exception(error)),
        infeasible=True,
        name=trial.name,
    )
    return 0.0


def _run_rules(problem: Problem, chunk: Chunk) -> tuple[Recorder, list[Run]]:
    rules = [trial.method for trial in chunk.trials if isinstance(trial.method, Rule)]
    seeds = [trial.seed for trial in chunk.trials]
    program = program_of(problem, rules[0])
    stepper = stepper_of(chunk.rung, program, rules)
    ends, factors = _course(problem, chunk, rules, seeds)
    recorder = Recorder(problem, chunk.splits, len(rules), chunk.keep_best)

    rows = stepper.start(seeds)
    pace = Pace(
        samplers=[problem.sampler.init(seed) for seed in seeds],
        steps=torch.zeros(len(rules), dtype=torch.int64, device=rows.w.device),
        examples=torch.zeros(len(rules), dtype=torch.int64, device=rows.w.device),
    )
    rows = recorder.record(0, stepper, rows, range(len(rules)), pace.totals(rules))
    whole: set[int] = set()  # rows that have spent their budget
    for first, last in pairwise(sorted({0, *ends, *(k for k in chunk.evaluation_steps if k < max(ends))})):
        rows = advance(problem, stepper, rows, pace, factors[first:last])
        live = torch.nonzero(rows.alive).flatten().tolist()
        if not live:
            break
        measured = [t for t in live if ends[t] == last or last in chunk.evaluation_steps]
        rows = recorder.record(last, stepper, rows, measured, pace.totals(rules))
        whole |= {t for t in live if ends[t] == last and bool(rows.alive[t])}
        if whole and len(set(ends)) > 1:
            rows.alive[sorted(whole)] = False  # a row that has ended is stepped no more, like one that is not finite
    points, totals = {**stepper.measured(rows), **rows.buffers}, pace.totals(rules)
    return recorder, [
        Run(
            problem=problem.name,
            method=rule,
            seed=seeds[t],
            status=Status.BUDGET_SPENT if t in whole else Status.NOT_FINITE,
            counts=totals[t],
            measurements=tuple(recorder.measurements[t]),
            spending=recorder.spending(t, totals[t]),
            weights=held(row_of(points, t), keep=chunk.keep_weights),
            infeasible=t not in whole or recorder.infeasible(t),
            best_weights=None if (best := recorder.best[t]) is None else best.weights,
            best_step=None if best is None else best.step,
        )
        for t, rule in enumerate(rules)
    ]


def _course(problem: Problem, chunk: Chunk, rules: Sequence[Rule], seeds: Sequence[int]) -> tuple[list[int], Tensor]:
    """At which step each row has spent its budget, and the schedules' factors of every step and row [S, T].

    What a rule pays is known before it is drawn, so that rows that share a pass end where each would end alone.
    """
    ends, positions = [], []
    for rule, seed in zip(rules, seeds, strict=True):
        allowance = Allowance.of(
            chunk.budget, problem, rule, steps=chunk.steps, evaluation_steps=chunk.evaluation_steps
        )
        spent = allowance.planned
        if not problem.sampler.even and allowance.unit in (EXAMPLES, EXAMPLE_GRADIENTS):
            spent = _drawn(problem, allowance, rule, seed)
        ends.append(int(np.flatnonzero(allowance.reached(spent))[0]))
        positions.append(allowance.position(spent[: ends[-1]]))
    longest = max(ends)
    factors = torch.ones(longest, len(rules), dtype=torch.float64)
    for t, (rule, place) in enumerate(zip(rules, positions, strict=True)):
        if rule.schedule is not None:
            factors[: ends[t], t] = torch.from_numpy(rule.schedule.factors(chunk.steps)[place])
    return ends, factors


def _drawn(problem: Problem, allowance: Allowance, rule: Rule, seed: int) -> Floats:
    """What a rule will have spent after each step, where chance says how many examples a batch has; [steps + 1]."""
    price = rule.gradients_per_step if allowance.unit == EXAMPLE_GRADIENTS else 1.0
    steps = len(allowance.planned)
    while True:
        steps = 2 * steps
        spent = price * np.cumsum([0.0, *problem.sampler.sizes(seed, problem.examples, steps).tolist()])
        if allowance.reached(spent[-1]):
            return spent


def stack_draws(draws: Sequence[Draws], like: Tensor) -> Draws:
    """The tables of T trials with a row axis after the step axis; weights are cast as ``like``."""
    indices = [d.indices for d in draws if d.indices is not None]
    fresh = [d.fresh for d in draws if d.fresh is not None]
    return Draws(
        indices=torch.stack(indices, dim=1).to(like.device) if indices else None,
        weights=torch.stack([d.weights for d in draws], dim=1).to(like),
        normaliser=torch.stack([d.normaliser for d in draws], dim=1).to(like),
        examples=torch.stack([d.examples for d in draws], dim=1).to(like.device),
        fresh=torch.stack(fresh, dim=1).to(like) if fresh else None,
    )
