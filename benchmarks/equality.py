"""Batching changes no number: the largest differences between batched and solo steps, and between solo and torch.optim.

A small network on a part of the digits, in float64, 64 trials of each method of torch.optim that differ in every open
hyperparameter, with learning rates from 1e-4 to 10, and in seed and data order; batches of 32 whose last one is short.

- one step: at each state along the solo run, one batched step from that very state against the solo step;
- trajectory: the batched run from the start against the solo run, on the rows that are calm, that is, where a solo run
  from a start moved by 2e-16 stays within 1e-12 (elsewhere rounding itself is amplified, in torch as much as here);
- torch: the solo run against torch.optim alone on the module itself, on calm rows.

All numbers are largest norm-relative differences over rows and steps.

    python benchmarks/equality.py        # 200 states, a few minutes
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from optwise.core.method import Rule
from optwise.core.problem import Problem
from optwise.engine.loop import OneThread, stack_draws
from optwise.engine.program import Batch, Rows, gather, program_of
from optwise.engine.rungs import RungName, Stepper, row_of, stack_trees, stepper_of
from optwise.methods import METHODS
from optwise.problems import from_module
from optwise.problems.datasets import digits

EXAMPLES, BATCH, HIDDEN = 200, 32, 16
ROWS = 64
ROW_COUNTS = (1, 4, 16, 64)
RUNGS: tuple[RungName, ...] = ("vmap", "traced")
STATES = 200
NUDGE = 2.3e-16
CALM = 1e-12
TORCH_ROWS = 8
TORCH: dict[str, tuple[type[torch.optim.Optimizer], dict[str, bool]]] = {
    "sgd": (torch.optim.SGD, {}),
    "momentum": (torch.optim.SGD, {}),
    "nesterov": (torch.optim.SGD, {"nesterov": True}),
    "adagrad": (torch.optim.Adagrad, {}),
    "rmsprop": (torch.optim.RMSprop, {}),
    "adam": (torch.optim.Adam, {}),
    "adamw": (torch.optim.AdamW, {}),
    "nadamw": (torch.optim.NAdam, {"decoupled_weight_decay": True}),
}


@dataclass(frozen=True)
class Difference:
    """The largest differences of one rung at one number of rows, and how many rows' trajectories were calm."""

    rung: str
    rows: int
    one_step: float
    trajectory: float
    calm: int


def make_net() -> nn.Module:
    """A smaller digits-mlp."""
    return nn.Sequential(nn.Linear(64, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 10))


def small_digits() -> Problem:
    """``make_net`` on the first examples, in float64; 200 = 6 * 32 + 8."""
    x, y = (part[:EXAMPLES] for part in digits()[0])
    problem = from_module(make_net, F.cross_entropy, (x, y), batch_size=BATCH, name="small-digits")
    return problem.to(dtype=torch.float64)


def rules_of(method: str, rows: int = ROWS) -> list[Rule]:
    """Closed rules spread over the method's default space, learning rates over 1e-4 to 10 whatever that space says."""
    question = METHODS[method]()
    space = question.space
    golden = [(0.618034 * (i + 1), 0.754878 * (i + 1), 0.569840 * (i + 1)) for i in range(rows)]
    points = [space.point(tuple(v % 1 for v in place[: space.dimensions])) for place in golden]
    rates = torch.logspace(-4, 1, rows, dtype=torch.float64).tolist()
    return [question.close({**point, "lr": lr}) for point, lr in zip(points, rates, strict=True)]


def batches_of(problem: Problem, rows: int, steps: int) -> list[Batch]:
    """The first batches of trials with seeds 0 to ``rows`` - 1."""
    w, _ = problem.start(0)
    draws = [problem.sampler.take(problem.sampler.init(t), problem.examples, steps)[0] for t in range(rows)]
    stacked = stack_draws(draws, next(iter(w.values())))
    return [gather(problem, stacked, k) for k in range(steps)]


def run(stepper: Stepper, rows: Rows, batches: Sequence[Batch]) -> Iterator[Rows]:
    """The rows after each step."""
    ones = torch.ones(len(rows.w), dtype=torch.float64)
    for batch in batches:
        rows = stepper.step(rows, ones, batch)
        yield rows


def differences(
    method: str,
    *,
    states: int = STATES,
    rungs: Sequence[RungName] = RUNGS,
    row_counts: Sequence[int] = ROW_COUNTS,
) -> list[Difference]:
    """Every rung and number of rows against the solo run of the same trials."""
    problem, rules = small_digits(), rules_of(method)
    program = program_of(problem, rules[0])
    solo = stepper_of("solo", program, rules)
    batches = batches_of(problem, ROWS, states)
    start = solo.start(range(ROWS))
    path = [start, *run(solo, start, batches)]
    nudged = run(solo, start._replace(w=start.w * (1 + NUDGE)), batches)
    spread = torch.stack([relative(other.w, rows.w) for other, rows in zip(nudged, path[1:], strict=True)])  # [S, T]
    calm = spread.amax(0) < CALM

    found = []
    for rung in rungs:
        for count in row_counts:
            # any rows in any order, so that every place of a batch is taken by some trial
            chosen = torch.randperm(ROWS, generator=torch.Generator().manual_seed(count))[:count]
            stepper = stepper_of(rung, program, [rules[t] for t in chosen.tolist()])
            ones = torch.ones(count, dtype=torch.float64)
            own = [take(batch, chosen) for batch in batches]
            one_step = torch.zeros(())
            for before, after, batch in zip(path, path[1:], own, strict=False):
                stepped = stepper.step(pick(before, chosen), ones, batch)
                expected = pick(after, chosen)
                assert torch.equal(stepped.alive, expected.alive)
                one_step = torch.maximum(one_step, relative(stepped.w, expected.w).max())
            apart = [
                relative(stepped.w, pick(after, chosen).w)
                for stepped, after in zip(run(stepper, pick(start, chosen), own), path[1:], strict=True)
            ]
            quiet = torch.stack(apart)[:, calm[chosen]]
            trajectory = float(quiet.max()) if quiet.numel() else 0.0
            found.append(Difference(rung, count, float(one_step), trajectory, int(calm[chosen].sum())))
    return found


def torch_difference(method: str, *, states: int = STATES, rows: int = TORCH_ROWS) -> tuple[float, int]:
    """The solo run against torch.optim alone on the module: largest difference on calm rows, and how many they are."""
    problem, rules = small_digits(), rules_of(method, rows)
    solo = stepper_of("solo", program_of(problem, rules[0]), rules)
    batches = batches_of(problem, rows, states)
    start = solo.start(range(rows))
    path, nudged = (
        torch.stack([reached.w for reached in run(solo, begin, batches)])  # [S, T, P]
        for begin in (start, start._replace(w=start.w * (1 + NUDGE)))
    )
    calm = [t for t in range(rows) if float(relative(nudged[:, t], path[:, t]).max()) < CALM]
    worst = 0.0
    for t in calm:
        cls, flags = TORCH[method]
        arguments = {name: getattr(rules[t], name) for name in rules[t].hyperparameter_names()} | flags
        theirs = torch_run(problem, t, lambda p, made=cls, given=arguments: made(p, **given), batches)
        worst = max(worst, float(relative(path[:, t], theirs).max()))
    return worst, len(calm)


def torch_run(
    problem: Problem, t: int, optimizer_of: Callable[[Sequence[nn.Parameter]], torch.optim.Optimizer], batches
) -> Tensor:
    """Trial ``t`` as everybody writes it: the parameters after each step [S, P]."""
    net = make_net().double()
    net.load_state_dict(problem.start(t)[0])
    parameters = list(net.parameters())
    default = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)  # NAdam keeps a product of coefficients in the default dtype
    try:
        optimizer = optimizer_of(parameters)
        taken = []
        for batch in batches:
            examples = int(batch.normaliser[t])
            optimizer.zero_grad()
            F.cross_entropy(net(batch.x[t, :examples]), batch.y[t, :examples]).backward()
            optimizer.step()
            taken.append(torch.cat([p.detach().reshape(-1) for p in parameters]))
    finally:
        torch.set_default_dtype(default)
    return torch.stack(taken)


def pick(rows: Rows, chosen: Tensor) -> Rows:
    """Some of the rows, in the order of ``chosen``."""
    places = chosen.tolist()
    state, buffers = (stack_trees([row_of(tree, t) for t in places]) for tree in (rows.state, rows.buffers))
    return Rows(rows.w[chosen], state, buffers, rows.alive[chosen], rows.loss[chosen])


def take(batch: Batch, chosen: Tensor) -> Batch:
    """The batches of some rows."""
    return Batch(*(None if part is None else part[chosen] for part in batch))


def relative(a: Tensor, b: Tensor) -> Tensor:
    """Norm-relative difference along the last dimension."""
    return torch.linalg.vector_norm(a - b, dim=-1) / torch.linalg.vector_norm(b, dim=-1).clamp(min=1e-300)


def main(states: int = STATES) -> None:
    table = Table(title=f"Largest norm-relative difference, float64, {states} states, rows differ in lr 1e-4 to 10")
    for column in ("method", "T", "one step, vmap", "traced", "trajectory, vmap", "traced", "calm rows", "torch"):
        table.add_column(column, justify="left" if column == "method" else "right")
    with OneThread():
        for method in TORCH:
            found = {(d.rung, d.rows): d for d in differences(method, states=states)}
            against, calm = torch_difference(method, states=states)
            for count in ROW_COUNTS:
                vmap, traced = found["vmap", count], found["traced", count]
                numbers = (vmap.one_step, traced.one_step, vmap.trajectory, traced.trajectory)
                torch_cell = f"{against:.1e} ({calm} of {TORCH_ROWS})" if count == 1 else ""
                table.add_row(
                    method if count == 1 else "",
                    str(count),
                    *(f"{number:.1e}" for number in numbers),
                    f"{vmap.calm} of {count}",
                    torch_cell,
                )
            table.add_section()
    Console(width=120).print(table)


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:]))
