"""The same numbers wherever chunks run, and a process that dies takes neither results nor workers along."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
import torch

from optwise.core.status import Status
from optwise.engine.executors import Local, Processes, executor_of
from optwise.methods import SGD, AdamW, Torch

PATIENCE = 60  # seconds until a test gives up; none of them measures time


@pytest.fixture
def processes(problem):
    pool = Processes({"small": problem}, workers=2)
    yield pool
    pool.close()


def killing(flag, always=False):
    """An optimizer whose process is killed at its third step: once, or whenever it is run."""

    class Killing(torch.optim.SGD):  # local, so that it travels to the workers by value
        count = 0

        def step(self, closure=None):
            self.count += 1
            if self.count == 3 and (always or not Path(flag).exists()):
                Path(flag).touch()
                os.kill(os.getpid(), signal.SIGKILL)
            return super().step(closure)

    return Killing


def tasks_of(chunk_of, *method_lists, rung="traced"):
    return [
        ("small", chunk_of(methods, rung, chunk_id=f"chunk {i}", dtype="float32"))
        for i, methods in enumerate(method_lists)
    ]


def by_chunk(results):
    return {chunk.id: result.runs for _, chunk, result in results}


def test_processes_and_this_process_compute_the_same_bits(problem, processes, chunk_of):
    tasks = tasks_of(
        chunk_of, [SGD(lr=0.1 * t) for t in range(1, 5)], [AdamW(lr=0.01), AdamW(lr=1e30)], [Torch(torch.optim.SGD)]
    )
    here, there = by_chunk(Local({"small": problem}).run(tasks)), by_chunk(processes.run(tasks))
    assert here.keys() == there.keys()
    for name, runs in here.items():
        for run, other in zip(runs, there[name], strict=True):
            assert (run.name, run.status, run.counts) == (other.name, other.status, other.counts)
            assert repr(run.measurements) == repr(other.measurements)  # a NaN equals nothing, not even itself
            assert all(torch.equal(leaf, other.state_dict()[n]) for n, leaf in run.state_dict().items())


def test_one_worker_needs_no_pool(problem):
    assert isinstance(executor_of("processes", {"small": problem}, 1), Local)
    assert isinstance(executor_of("local", {"small": problem}, 4), Local)
    assert isinstance(executor_of("processes", {"small": problem}, 2), Processes)


def test_results_still_arrive_when_a_worker_is_killed_once(tmp_path, processes, chunk_of):
    once = Torch(killing(str(tmp_path / "flag")), lr=0.1)
    tasks = tasks_of(chunk_of, [SGD(lr=0.1)], [once], [SGD(lr=0.2)], [SGD(lr=0.3)])
    results = by_chunk(processes.run(tasks))
    assert results.keys() == {chunk.id for _, chunk in tasks}
    assert {run.status for runs in results.values() for run in runs} == {Status.BUDGET_SPENT}
    assert (tmp_path / "flag").exists()


@pytest.mark.slow
def test_a_chunk_that_kills_every_worker_is_interrupted_and_the_others_arrive(tmp_path, processes, chunk_of):
    always = Torch(killing(str(tmp_path / "flag"), always=True), lr=0.1)
    tasks = tasks_of(chunk_of, [SGD(lr=0.1)], [always], [SGD(lr=0.2)])
    results = by_chunk(processes.run(tasks))
    assert results.keys() == {chunk.id for _, chunk in tasks}
    (killed,) = results["chunk 1"]
    assert killed.status is Status.INTERRUPTED
    assert killed.status.retried
    assert killed.name == tasks[1][1].trials[0].name
    assert {runs[0].status for name, runs in results.items() if name != "chunk 1"} == {Status.BUDGET_SPENT}


PARENT = """
import os, sys, time
from pathlib import Path
import torch
from torch import nn
from optwise.core.run import TrialName
from optwise.engine.chunks import Chunk, Trial
from optwise.engine.executors import Processes
from optwise.methods import Torch
from optwise.problems import from_module

folder = sys.argv[1]

class Waiting(torch.optim.SGD):
    def step(self, closure=None):
        (Path(folder) / str(os.getpid())).touch()
        time.sleep(0.05)
        return super().step(closure)

x = torch.randn(20, 4)
problem = from_module(lambda: nn.Linear(4, 3), nn.functional.cross_entropy, (x, torch.arange(20) % 3), name="p")
method = Torch(Waiting, lr=0.1)
chunks = [
    Chunk(f"c{i}", "solo", 1, 10**6, (0, 10**6), "float32", "cpu", (Trial(TrialName("p", "m", 0, i), "k", method, i),))
    for i in range(2)
]
for _ in Processes({"p": problem}, 2).run([("p", chunk) for chunk in chunks]):
    pass
"""


def alive(pid):
    stat = Path(f"/proc/{pid}/stat")
    try:
        return stat.read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at processes through /proc")
def test_workers_end_when_their_parent_is_killed(tmp_path):
    script = tmp_path / "parent.py"
    script.write_text(textwrap.dedent(PARENT))
    (tmp_path / "pids").mkdir()
    parent = subprocess.Popen([sys.executable, str(script), str(tmp_path / "pids")], env=dict(os.environ))
    try:
        deadline = time.monotonic() + PATIENCE
        while len(list((tmp_path / "pids").iterdir())) < 2 and time.monotonic() < deadline:
            assert parent.poll() is None
            time.sleep(0.1)
        workers = [int(path.name) for path in (tmp_path / "pids").iterdir()]
        assert len(workers) == 2
    finally:
        parent.kill()
        parent.wait()
    deadline = time.monotonic() + PATIENCE
    while any(alive(pid) for pid in workers) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(alive(pid) for pid in workers)
