"""What a trial-step costs on one core, rung by rung, against the loop that everybody writes in torch.

CPU time (`time.process_time`) of one thread, in microseconds per trial-step, drawing and gathering batches included;
tracing is apart, in a column of its own. All candidates of a problem and method take turns, and the table holds medians
over the turns with their quartiles. The batch is the problem's own, 64.

    python benchmarks/engine.py                 # both problems, both methods
    python benchmarks/engine.py digits-mlp      # one problem
"""

from __future__ import annotations

import platform
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from rich.console import Console
from rich.table import Table
from torch import nn

from optwise.core.method import Rule
from optwise.core.problem import Problem
from optwise.engine.loop import OneThread, Pace, advance
from optwise.engine.program import program_of
from optwise.engine.rungs import RungName, stepper_of
from optwise.methods import SGD, AdamW
from optwise.problems import digits_mlp, digits_softmax

PROBLEMS: dict[str, tuple[Callable[[], Problem], Callable[[], nn.Module], float]] = {
    "digits-softmax": (digits_softmax, lambda: nn.Linear(64, 10), 10.0),
    "digits-mlp": (digits_mlp, lambda: nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10)), 3.0),
}
"""Problem, its network, and the bar: how many times cheaper than torch's default loop the best rung is to be."""
METHODS: dict[str, tuple[Rule, type[torch.optim.Optimizer]]] = {
    "sgd": (SGD(lr=0.1), torch.optim.SGD),
    "adamw": (AdamW(lr=1e-3), torch.optim.AdamW),
}
RUNGS: tuple[tuple[RungName, int], ...] = (
    ("solo", 1),
    ("vmap", 16),
    ("vmap", 64),
    ("traced", 8),
    ("traced", 16),
    ("traced", 32),
    ("traced", 64),
    ("traced", 128),
)
TURNS = 9
SEGMENT = 50  # steps between two evaluations of the default protocol


@dataclass
class Candidate:
    """One way to take steps: ``turn`` takes ``steps`` of each of ``rows`` trials."""

    name: str
    rows: int
    steps: int
    turn: Callable[[int], None]
    tracing_seconds: float = 0.0


def torch_loop(problem: Problem, make_net: Callable[[], nn.Module], cls: type, **arguments) -> Callable[[int], None]:
    """Index, zero_grad, forward, backward, step: nothing else, one trial."""
    x, y = problem.data.train.x, problem.data.train.y
    net = make_net()
    optimizer = cls(net.parameters(), **arguments)
    batches = iter(())

    def run(steps: int) -> None:
        nonlocal batches
        for _ in range(steps):
            index = next(batches, None)
            if index is None:
                batches = iter(torch.randperm(len(x)).split(problem.batch_size))
                index = next(batches)
            optimizer.zero_grad()
            loss = F.cross_entropy(net(x[index]), y[index])
            loss.backward()
            optimizer.step()

    return run


def engine_loop(problem: Problem, rule: Rule, rung: RungName, rows: int) -> Callable[[int], None]:
    """The engine's own loop from one evaluation to the next, evaluations apart."""
    stepper = stepper_of(rung, program_of(problem, rule), [rule] * rows)
    at = stepper.start(range(rows))
    counts = torch.zeros(rows, dtype=torch.int64)
    pace = Pace([problem.sampler.init(seed) for seed in range(rows)], counts, counts.clone())

    def run(steps: int) -> None:
        nonlocal at
        at = advance(problem, stepper, at, pace, torch.ones(steps, rows, dtype=torch.float64))

    return run


def candidates(name: str, method: str) -> list[Candidate]:
    """Torch's two loops and every rung, each warmed up."""
    make, make_net, _ = PROBLEMS[name]
    problem = make().to(dtype=torch.float32)
    rule, cls = METHODS[method]
    lr = rule.values()["lr"]
    found = [
        Candidate("torch, default", 1, 4 * SEGMENT, torch_loop(problem, make_net, cls, lr=lr)),
        Candidate("torch, fused", 1, 4 * SEGMENT, torch_loop(problem, make_net, cls, lr=lr, fused=True)),
    ]
    for rung, rows in RUNGS:
        steps = 4 * SEGMENT if rows == 1 else SEGMENT
        found.append(Candidate(f"{rung} {rows}", rows, steps, engine_loop(problem, rule, rung, rows)))
    for candidate in found:
        started = time.process_time()
        candidate.turn(1)
        candidate.tracing_seconds = time.process_time() - started if candidate.name.startswith("traced") else 0.0
        candidate.turn(candidate.steps)
    return found


def measure(chosen: list[Candidate], turns: int = TURNS) -> dict[str, list[float]]:
    """Microseconds per trial-step of every turn, the candidates in turn."""
    seen: dict[str, list[float]] = {candidate.name: [] for candidate in chosen}
    for _ in range(turns):
        for candidate in chosen:
            started = time.process_time()
            candidate.turn(candidate.steps)
            seconds = time.process_time() - started
            seen[candidate.name].append(seconds / candidate.steps / candidate.rows * 1e6)
    return seen


def processor() -> str:
    """Its name as the kernel gives it."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor() or platform.machine()


def main(names: list[str]) -> None:
    console = Console(width=110)
    console.print(
        f"torch {torch.__version__}, Python {platform.python_version()}, {processor()}, "
        f"{torch.backends.cpu.get_cpu_capability()}, one thread, float32, batch 64"
    )
    for name in names:
        bar = PROBLEMS[name][2]
        for method in METHODS:
            with OneThread():
                chosen = candidates(name, method)
                seen = measure(chosen)
            table = Table(title=f"{name}, {method}: microseconds of CPU per trial-step, median of {TURNS} turns")
            for column in ("", "median", "quartiles", "x torch's default loop", "tracing, s a chunk"):
                table.add_column(column, justify="left" if column == "" else "right")
            middle = {key: statistics.median(values) for key, values in seen.items()}
            base = middle["torch, default"]
            for candidate in chosen:
                low, _, high = statistics.quantiles(seen[candidate.name], n=4)
                tracing = f"{candidate.tracing_seconds:.2f}" if candidate.tracing_seconds else ""
                row = (f"{middle[candidate.name]:.1f}", f"{low:.1f} to {high:.1f}")
                table.add_row(candidate.name, *row, f"{base / middle[candidate.name]:.1f}", tracing)
            console.print(table)
            best = min((key for key in middle if not key.startswith("torch")), key=middle.__getitem__)
            ratio = base / middle[best]
            verdict = "met" if ratio >= bar else "missed"
            console.print(f"best rung: {best}, {ratio:.1f} times torch's default loop; bar {bar:g}: {verdict}\n")


if __name__ == "__main__":
    main(sys.argv[1:] or list(PROBLEMS))
