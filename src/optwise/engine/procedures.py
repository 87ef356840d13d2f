"""Procedures run one by one: metered oracles, a clock that stops between yields, a status for whatever they raise."""

from __future__ import annotations

import time
import traceback

import torch
from torch import Tensor

from optwise.core.composite import Composite
from optwise.core.layout import Layout, Leaves
from optwise.core.method import Oracles, Procedure
from optwise.core.problem import Problem
from optwise.core.run import Run
from optwise.core.status import Status
from optwise.engine.chunks import Chunk, failure_status, held
from optwise.engine.program import Batch, Rows, gather, unpadded
from optwise.engine.recorder import Recorder
from optwise.engine.rungs import Stepper, stack_trees


class Metered(Oracles):
    """The oracles of one trial, counting what is asked of them."""

    def __init__(self, problem: Problem, buffers: Leaves) -> None:
        self.problem = problem
        self.buffers = buffers
        self.batch = Batch(None, None, torch.ones(1), torch.ones(()))
        self.examples = 0
        self.counts = {"examples": 0.0, "example-gradients": 0.0, "evaluations": 0.0}
        self.composite: Composite | None = None

    def totals(self) -> dict[str, float]:
        """Everything counted so far; what was asked of the whole problem is paid for by all its examples."""
        asked = {} if self.composite is None else self.composite.counts
        found = {
            "examples": self.counts["examples"],
            "example-gradients": self.counts["example-gradients"]
            # a Hessian-vector product costs about what a gradient does
            + self.problem.examples * (asked.get("gradients", 0.0) + asked.get("hvps", 0.0)),
            "evaluations": self.counts["evaluations"] + asked.get("evaluations", 0.0),
        }
        return found | {name: count for name, count in asked.items() if name not in found}

    def whole(self) -> Composite:
        self.composite = Composite.of(self.problem)
        return self.composite

    def value(self, w: Leaves) -> Tensor:
        self.counts["evaluations"] += 1
        return self._loss(w)

    def value_and_gradient(self, w: Leaves) -> tuple[Tensor, Leaves]:
        self.counts["evaluations"] += 1
        self.counts["example-gradients"] += self.examples
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

    def place(self, leaves: Leaves, buffers: Leaves) -> Rows:
        """The point to measure, as rows of one."""
        self.leaves, self.buffers = leaves, buffers
        w = Layout.of(leaves).pack(leaves)[None]
        return Rows(w, {}, stack_trees([buffers]), torch.ones(1, dtype=torch.bool), torch.zeros(1))


def run_procedure(problem: Problem, method: Procedure, seed: int, chunk: Chunk) -> tuple[Recorder, list[Run]]:
    """Run one trial of a procedure; the exception it raises becomes its status, with the traceback kept."""
    w, buffers = problem.start(seed)
    oracles, recorder, place = Metered(problem, buffers), Recorder(problem, chunk.splits, 1), _OneRow(problem)
    factors = None if method.schedule is None else method.schedule.factors(chunk.steps)
    measured_at = set(chunk.evaluation_steps)
    sampler = problem.sampler.init(seed)
    status, failure, taken, seconds = Status.BUDGET_SPENT, "", 0, 0.0
    recorder.record(0, place, place.place(w, buffers), [0])
    last = w  # the last finite point
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        iterates = method.iterate(oracles, w)
        for k in range(chunk.steps):
            packed = Layout.of(last).pack(last)
            draws, sampler = problem.sampler.take(sampler, problem.examples, 1, packed)
            batch = unpadded(gather(problem, draws, 0))
            oracles.batch = Batch(batch.x, batch.y, batch.weights.to(packed), batch.normaliser.to(packed))
            oracles.examples = int(draws.examples[0])
            oracles.factor = 1.0 if factors is None else float(factors[k])
            started = time.perf_counter()
            try:
                point, info = next(iterates)
            except StopIteration:
                status = Status.STALLED
                break
            except Exception as error:  # noqa: BLE001 - a user's code may raise anything, and that is this trial's end
                status, failure = failure_status(error), "".join(traceback.format_exception(error))
                break
            finally:
                seconds += time.perf_counter() - started
            taken = k + 1
            oracles.counts["examples"] += oracles.examples
            if not _finite(point) or not torch.isfinite(torch.tensor(info.get("loss", 0.0))):
                status = Status.NOT_FINITE
                break
            last = point
            if taken in measured_at:
                rows = recorder.record(taken, place, place.place(point, oracles.buffers), [0])
                if not bool(rows.alive[0]):
                    status = Status.NOT_FINITE
                    break
    run = Run(
        problem=problem.name,
        method=method,
        seed=seed,
        status=status,
        counts={"steps": float(taken), **oracles.totals()},
        measurements=tuple(recorder.measurements[0]),
        weights=held({**last, **oracles.buffers}, keep=chunk.keep_weights),
        seconds=seconds,
        evaluation_seconds=recorder.seconds,
        traceback=failure,
        infeasible=not status.ok or recorder.infeasible(0),
    )
    return recorder, [run]


def _finite(leaves: Leaves) -> bool:
    return all(bool(torch.isfinite(leaf).all()) for leaf in leaves.values())
