"""Procedures run one by one: metered oracles, a clock that stops between yields, a status for whatever they raise."""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Mapping
from dataclasses import replace

import torch
from torch import Tensor

from optwise.core.budget import EVALUATIONS, EXAMPLE_GRADIENTS, EXAMPLES, STEPS
from optwise.core.composite import Composite
from optwise.core.layout import Layout, Leaves
from optwise.core.method import Oracles, Procedure
from optwise.core.problem import Problem
from optwise.core.run import Run
from optwise.core.status import Status
from optwise.engine.allowance import Allowance
from optwise.engine.chunks import Chunk, failure_status, held
from optwise.engine.clock import cpu_seconds
from optwise.engine.program import Batch, Rows, gather, unpadded
from optwise.engine.recorder import Recorder
from optwise.engine.rungs import Stepper, stack_trees
from optwise.numerics.finiteness import all_finite


class Metered(Oracles):
    """The oracles of one trial, counting what is asked of them."""

    def __init__(self, problem: Problem, buffers: Leaves) -> None:
        self.problem = problem
        self.buffers = buffers
        self.batch = Batch(None, None, torch.ones(1), torch.ones(()))
        self.examples = 0
        self.steps = 0
        self.counts = {EXAMPLES: 0.0, EXAMPLE_GRADIENTS: 0.0, EVALUATIONS: 0.0}
        self.composite: Composite | None = None

    def totals(self) -> dict[str, float]:
        """Everything counted so far; what was asked of the whole problem is paid for by all its examples."""
        asked = {} if self.composite is None else self.composite.counts
        found = {
            STEPS: float(self.steps),
            EXAMPLES: self.counts[EXAMPLES],
            EXAMPLE_GRADIENTS: self.counts[EXAMPLE_GRADIENTS]
            # a Hessian-vector product costs about what a gradient does
            + self.problem.examples * (asked.get("gradients", 0.0) + asked.get("hvps", 0.0)),
            EVALUATIONS: self.counts[EVALUATIONS] + asked.get("evaluations", 0.0) + asked.get("hvps", 0.0),
        }
        return found | {name: count for name, count in asked.items() if name not in found}

    def step_taken(self) -> dict[str, float]:
        """Count a step and the examples of its batch; everything counted so far."""
        self.steps += 1
        self.counts[EXAMPLES] += self.examples
        return self.totals()

    def whole(self) -> Composite:
        if self.composite is None:  # asked once more it counts on
            self.composite = Composite.of(self.problem)
        return self.composite

    def value(self, w: Leaves) -> Tensor:
        self.counts[EVALUATIONS] += 1
        return self._loss(w)

    def value_and_gradient(self, w: Leaves) -> tuple[Tensor, Leaves]:
        self.counts[EVALUATIONS] += 1
        self.counts[EXAMPLE_GRADIENTS] += self.examples
        leaves = {name: leaf.detach().requires_grad_() for name, leaf in w.items()}
        with torch.enable_grad():
            loss = self._loss(leaves)
            gradients = torch.autograd.grad(loss, list(leaves.values()), allow_unused=True, materialize_grads=True)
        return loss.detach(), dict(zip(leaves, gradients, strict=True))

    def _loss(self, w: Leaves) -> Tensor:
        losses, buffers = self.problem.objective.losses(w, self.buffers, self.batch.x, self.batch.y)
        self.buffers = {name: buffer.detach() for name, buffer in buffers.items()}
        return (losses * self.batch.weights).sum() / self.batch.normaliser


class _OneRow(Stepper):
    """Measures the leaves that a procedure yields."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem

    def _step(self, rows: Rows, numbers: object, batch: Batch) -> Rows:
        raise AssertionError("a procedure takes its own steps")

    def measure(self, rows: Rows, x: Tensor | None, y: Tensor | None) -> dict[str, Tensor]:
        with torch.no_grad():
            measured = self.problem.objective.measure(self.leaves, self.buffers, x, y)
        return {name: values[None] for name, values in measured.items()}

    def measured(self, rows: Rows) -> Leaves:
        return {name: leaf[None] for name, leaf in self.leaves.items()}

    def place(self, leaves: Leaves, buffers: Leaves) -> Rows:
        """The point to measure, as rows of one."""
        self.leaves, self.buffers = leaves, buffers
        w = Layout.of(leaves).pack(leaves)[None]
        return Rows(w, {}, stack_trees([buffers]), torch.ones(1, dtype=torch.bool), torch.zeros(1))


IDLE_STEPS = 1000
"""Steps in a row that spend nothing of what the budget is counted in, after which a run is stalled."""


def run_procedure(problem: Problem, method: Procedure, seed: int, chunk: Chunk) -> tuple[Recorder, list[Run]]:
    """Run one trial of a procedure; the exception it raises becomes its status, with the traceback kept.

    It ends when its own counter, closures and line searches included, has reached its budget: it finishes that step
    and begins none after it.
    """
    trial = _Trial(problem, method, seed, chunk)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        status = trial.course()
    best = trial.recorder.best[0]
    run = Run(
        problem=problem.name,
        method=method,
        seed=seed,
        status=status,
        counts=trial.totals,
        measurements=tuple(trial.recorder.measurements[0]),
        spending=trial.recorder.spending(0, trial.totals),
        weights=held({**trial.last, **trial.oracles.buffers}, keep=chunk.keep_weights),
        seconds=trial.seconds,
        evaluation_seconds=trial.recorder.seconds,
        traceback=trial.failure,
        infeasible=not status.ok or trial.recorder.infeasible(0),
        best_weights=None if best is None else best.weights,
        best_step=None if best is None else best.step,
    )
    return trial.recorder, [run]


class _Trial:
    """One trial under way: where it stands, and what it has spent.

    Attributes:
        last: The last finite point.
        totals: Its counters.
        seconds: CPU seconds of its steps; the clock stops between them.
        failure: The traceback of what its method raised.
    """

    def __init__(self, problem: Problem, method: Procedure, seed: int, chunk: Chunk) -> None:
        problem = replace(problem, objective=problem.objective.fresh(seed))
        self.problem, self.method = problem, method
        self.last, buffers = problem.start(seed)
        self.oracles, self.place = Metered(problem, buffers), _OneRow(problem)
        self.recorder = Recorder(problem, chunk.splits, 1, chunk.keep_best)
        self.allowance = Allowance.of(
            chunk.budget, problem, method, steps=chunk.steps, evaluation_steps=chunk.evaluation_steps
        )
        self.totals = self.oracles.totals()
        self.seconds, self.failure = 0.0, ""
        self._factors = None if method.schedule is None else method.schedule.factors(chunk.steps)
        self._sampler = problem.sampler.init(seed)
        self._marks, self._idle = 1, 0  # marks that have been measured; steps in a row that spent nothing

    def course(self) -> Status:
        """Take steps until the budget is spent or something else ends the run, measuring on the way."""
        self._measure()
        iterates = self.method.iterate(self.oracles, self.last)
        while not self.allowance.spent(self.totals):
            status = self._step(iterates)
            if status is Status.STALLED and self.oracles.steps > self.recorder.measured_at(0):
                self._measure()  # the end of a run is measured, also of one that ends by itself
            if status is not None:
                return status
        return Status.BUDGET_SPENT

    def _step(self, iterates: Iterator[tuple[Leaves, Mapping[str, float]]]) -> Status | None:
        """One step; how the run ended, where it did."""
        self._draw()
        before = self.totals[self.allowance.unit]
        if self._factors is not None:
            self.oracles.factor = float(self._factors[self.allowance.position(before)])
        started = cpu_seconds()
        try:
            point, info = next(iterates)
        except StopIteration:
            return Status.STALLED
        except Exception as error:  # noqa: BLE001 - a user's code may raise anything, and that is this trial's end
            self.failure = "".join(traceback.format_exception(error))
            return failure_status(error)
        finally:
            self.seconds += cpu_seconds() - started
            self.totals = self.oracles.totals()
        self.totals = self.oracles.step_taken()
        if not _finite(point) or not torch.isfinite(torch.tensor(info.get("loss", 0.0))):
            return Status.NOT_FINITE
        self.last = point
        spent = self.totals[self.allowance.unit]
        marks = self.allowance.marks_at(spent)
        if marks > self._marks:
            self._marks = marks
            if not self._measure():
                return Status.NOT_FINITE
        self._idle = self._idle + 1 if spent == before else 0
        return Status.STALLED if self._idle == IDLE_STEPS else None

    def _draw(self) -> None:
        packed = Layout.of(self.last).pack(self.last)
        draws, self._sampler = self.problem.sampler.take(self._sampler, self.problem.examples, 1, packed)
        batch = unpadded(gather(self.problem, draws, 0))
        self.oracles.batch = Batch(batch.x, batch.y, batch.weights.to(packed), batch.normaliser.to(packed))
        self.oracles.examples = int(draws.examples[0])

    def _measure(self) -> bool:
        """Measure the last point; whether what was measured is finite."""
        rows = self.place.place(self.last, self.oracles.buffers)
        rows = self.recorder.record(self.oracles.steps, self.place, rows, [0], [self.totals])
        return bool(rows.alive[0])


def _finite(leaves: Leaves) -> bool:
    return all(all_finite(leaf) for leaf in leaves.values())
