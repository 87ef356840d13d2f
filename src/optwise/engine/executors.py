"""Where chunks run: in this process, or in a pool with one process per core."""

from __future__ import annotations

import os
import signal
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from typing import Any, Literal

from loky.process_executor import ProcessPoolExecutor

from optwise.core.problem import Problem
from optwise.core.run import Execution, Run
from optwise.core.status import Status
from optwise.engine.chunks import Chunk, ChunkResult
from optwise.engine.loop import run_chunk

ExecutorName = Literal["local", "processes"]
EXECUTORS: tuple[ExecutorName, ...] = ("local", "processes")


_KEEP_MEMORY = {"MALLOC_TRIM_THRESHOLD_": str(2**30), "MALLOC_MMAP_THRESHOLD_": str(2**25)}
"""glibc gives freed megabytes back after every step and faults them in again: up to a quarter of a step's time."""


class Executor(ABC):
    """Runs chunks and hands their results back as they end."""

    @abstractmethod
    def run(self, tasks: Sequence[tuple[str, Chunk]]) -> Iterator[tuple[str, Chunk, ChunkResult]]:
        """Run ``(problem name, chunk)`` tasks; results come in any order."""

    def close(self) -> None:  # noqa: B027 - an executor that starts nothing has nothing to end
        """End whatever still runs."""


class Local(Executor):
    """One chunk after the other, in this process."""

    def __init__(self, problems: Mapping[str, Problem]) -> None:
        self.problems = problems

    def run(self, tasks: Sequence[tuple[str, Chunk]]) -> Iterator[tuple[str, Chunk, ChunkResult]]:
        for problem, chunk in tasks:
            yield problem, chunk, run_chunk(self.problems[problem], chunk)


class Processes(Executor):
    """A pool of spawned processes, one thread each.

    Problems travel once, when a process starts. A process that dies takes no result with it: what is left runs again in
    new processes, and if one of these dies too, one chunk after the other; the chunk that ends its process even then is
    *interrupted*.
    """

    def __init__(self, problems: Mapping[str, Problem], workers: int) -> None:
        self.problems = dict(problems)
        self.workers = workers
        self._pool: ProcessPoolExecutor | None = None

    def run(self, tasks: Sequence[tuple[str, Chunk]]) -> Iterator[tuple[str, Chunk, ChunkResult]]:
        left = list(tasks)
        for _ in range(2):  # a process that the machine killed once is no reason to go on one by one
            try:
                for problem, chunk, result in self._run_together(list(left)):
                    left.remove((problem, chunk))
                    yield problem, chunk, result
            except BrokenProcessPool:
                self.close()
            else:
                return
        for problem, chunk in left:
            yield problem, chunk, self._run_apart(problem, chunk)

    def _run_together(self, tasks: Sequence[tuple[str, Chunk]]) -> Iterator[tuple[str, Chunk, ChunkResult]]:
        pool = self._start(self.workers)
        running: dict[Future[ChunkResult], tuple[str, Chunk]] = {
            pool.submit(_run_task, problem, chunk): (problem, chunk) for problem, chunk in tasks
        }
        while running:
            ended, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in ended:
                yield (*running.pop(future), future.result())

    def _run_apart(self, problem: str, chunk: Chunk) -> ChunkResult:
        try:
            result: ChunkResult = self._start(1).submit(_run_task, problem, chunk).result()
        except BrokenProcessPool as error:
            self.close()
            return _interrupted(problem, chunk, str(error))
        return result

    def _start(self, workers: int) -> ProcessPoolExecutor:
        if self._pool is None:
            self._pool = ProcessPoolExecutor(
                max_workers=workers,
                initializer=_set_up,
                initargs=(self.problems, os.getpid()),
                env={"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", **_KEEP_MEMORY},
            )
        return self._pool

    def close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True, kill_workers=True)
            self._pool = None


def executor_of(name: ExecutorName, problems: Mapping[str, Problem], workers: int) -> Executor:
    """The executor of a name."""
    return Processes(problems, workers) if name == "processes" and workers > 1 else Local(problems)


_PROBLEMS: dict[str, Problem] = {}


def _set_up(problems: Mapping[str, Problem], parent: int) -> None:
    _PROBLEMS.update(problems)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    threading.Thread(target=_end_with_parent, args=(parent,), daemon=True).start()


def _end_with_parent(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)  # a killed parent leaves nobody to hand results to


def _run_task(problem: str, chunk: Chunk) -> ChunkResult:
    return run_chunk(_PROBLEMS[problem], chunk)


def _interrupted(problem: str, chunk: Chunk, why: str) -> ChunkResult:
    def run_of(trial: Any) -> Run:
        return Run(
            problem=problem,
            method=trial.method,
            seed=trial.seed,
            status=Status.INTERRUPTED,
            counts={},
            measurements=(),
            execution=Execution(chunk.rung, len(chunk.trials), chunk.dtype, chunk.device, chunk.id, chunk.reason),
            traceback=f"The process that ran this chunk ended, also when it ran nothing else: {why}",
            infeasible=True,
        )

    return ChunkResult(tuple(replace(run_of(t), name=t.name) for t in chunk.trials), 0.0, 0.0)
