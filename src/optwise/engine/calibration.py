"""Which rung, how many rows, and how long one solo step takes: measured once, before the first trial."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import torch
from torch import Tensor
from torch.fx import GraphModule, Node
from torch.utils import _pytree as pytree

from optwise.core.budget import EVALUATIONS, STEPS
from optwise.core.method import Method, Procedure, Rule
from optwise.core.problem import Problem
from optwise.core.run import TrialName
from optwise.core.sampler import Poisson
from optwise.engine.chunks import DTYPES, Chunk, Trial
from optwise.engine.loop import OneThread, run_chunk, stack_draws
from optwise.engine.program import Batch, Program, Rows, gather, program_of
from optwise.engine.rungs import RungName, Stepper, TracedReplay, stepper_of
from optwise.numerics.memory import free_bytes

ADMISSION_STEPS = 12
"""Float64 steps along which a batched step must equal the solo one; some rules change their formula after step 5."""

ADMISSION_TOLERANCE = 1e-10
"""Norm-relative; rounding alone stays below 1e-12, a wrong formula is far above."""

GAIN = 1.05
"""A rung must be this much faster than solo, and more rows this much faster than fewer, to be chosen."""

ROW_COUNTS = (16, 32, 64)
MEMORY_SHARE = 0.5
PATIENCE_SECONDS = 0.25
"""Time one candidate may take."""


@dataclass(frozen=True)
class RungChoice:
    """How the trials of one method on one problem are stepped.

    Args:
        rung: Of the ladder.
        rows: Most rows that share a pass.
        reason: One sentence with its numbers.
        microseconds: Candidate to microseconds per trial-step, one thread.
        row_bytes: Estimated memory of one row during a step; 0 where it was not estimated.
    """

    rung: RungName
    rows: int
    reason: str
    microseconds: Mapping[str, float]
    row_bytes: int = 0


PROCEDURES = RungChoice("solo", 1, "solo: a procedure keeps its own host-side state", {})
"""The one way in which procedures run."""


def choose_rung(problem: Problem, rules: Sequence[Rule], *, most_rows: int, dtype: str, workers: int = 1) -> RungChoice:
    """Measure the candidates and take the fastest that computes the right numbers.

    Args:
        problem: In any dtype.
        rules: At least one closed rule, different points of one method.
        most_rows: More rows than this are never wanted.
        dtype: Of the trials.
        workers: Processes that will run at once and share the memory.
    """
    blocked = unbatchable(problem)
    if blocked:
        return RungChoice("solo", 1, f"solo: {blocked}", {})
    cast = problem.to(dtype=DTYPES[dtype])
    with OneThread():
        try:
            refusal = admission_error(problem, rules)
            if refusal:
                return RungChoice("solo", 1, f"solo: {refusal}", {})
            timings = {"solo": _time_steps(cast, "solo", rules, 1)}
            row_bytes, best = 0, ("solo", 1)
            for rows in [r for r in ROW_COUNTS if r < most_rows] + ([most_rows] if most_rows > 1 else []):
                if row_bytes and rows * row_bytes * workers > MEMORY_SHARE * free_bytes():
                    break
                for rung in ("traced", "vmap"):
                    timings[f"{rung} {rows}"] = _time_steps(cast, rung, rules, rows)
                row_bytes = row_bytes or _row_bytes(cast, rules, rows)
                fastest = min(("traced", "vmap"), key=lambda r: timings[f"{r} {rows}"])
                if timings[f"{fastest} {rows}"] * GAIN < timings[_label(best)]:
                    best = (fastest, rows)
                elif rows > ROW_COUNTS[0]:
                    break  # more rows have stopped paying
        except Exception as error:  # noqa: BLE001 - whatever a module raises under vmap means: not batchable
            return RungChoice("solo", 1, f"solo: batching raised {type(error).__name__}: {_first_line(error)}", {})
    rung, rows = best
    label = _label(best)
    reason = (
        f"{rung} with {rows} rows: {timings[label]:.0f} us a trial-step against {timings['solo']:.0f} us solo"
        if rung != "solo"
        else f"solo: batching did not pay ({', '.join(f'{k} {v:.0f} us' for k, v in timings.items())})"
    )
    name: RungName = "solo" if rung == "solo" else "traced" if rung == "traced" else "vmap"
    return RungChoice(name, rows, reason, timings, row_bytes)


def unbatchable(problem: Problem) -> str:
    """Why trials of this problem cannot share a pass, as far as its parts know; empty where they know of no reason."""
    if problem.objective.unbatchable:
        return f"the module {problem.objective.unbatchable}"
    width = problem.sampler.cap(problem.examples)
    padded = isinstance(problem.sampler, Poisson) or problem.examples % width != 0
    if problem.objective.coupled and problem.data is not None and padded:
        return "examples of a batch see each other, and batches of unequal size would be padded"
    return ""


def admission_error(problem: Problem, rules: Sequence[Rule], rung: RungName = "traced") -> str:
    """Why a batched step is refused: empty where it equals the solo step along a float64 run.

    At each state of a solo run, one batched step from that very state is compared with the solo step, so that chaos
    cannot hide an error or feign one.
    """
    cast = problem.to(dtype=torch.float64)
    rules = [rules[t % len(rules)] for t in range(max(2, min(3, len(rules))))]
    solo, batched = _stepper(cast, "solo", rules), _stepper(cast, rung, rules)
    rows = solo.start(range(len(rules)))
    factors = torch.ones(len(rules), dtype=torch.float64)
    for k, batch in enumerate(_batches(cast, len(rules), ADMISSION_STEPS)):
        expected, got = solo.step(rows, factors, batch), batched.step(rows, factors, batch)
        if not torch.equal(expected.alive, got.alive):
            return f"the batched step {k + 1} ends another row than the solo step"
        for part, given, wanted in zip(("parameters", "state", "buffers"), got[:3], expected[:3], strict=True):
            pairs = zip(pytree.tree_leaves(given), pytree.tree_leaves(wanted), strict=True)
            error = max((_relative(a, b) for a, b in pairs), default=0.0)
            if not error <= ADMISSION_TOLERANCE:
                return f"the {part} after batched step {k + 1} differ from the solo step's by {error:.1e} in float64"
        rows = expected
    return misdeclared(solo.program)


def misdeclared(program: Program) -> str:
    """Why a rule is not elementwise although it says so; empty where it is, or where it does not say so."""
    rule = program.rule
    if not rule.elementwise:
        return ""
    leaves, _ = program.problem.start(0)
    flat = program.layout.pack(leaves)
    states, state = program.state_by_leaf(rule, flat), program.whole_state(rule, flat)
    generator = torch.Generator().manual_seed(0)
    for _ in range(2):
        g = torch.randn(flat.shape, generator=generator, dtype=flat.dtype)
        flat, state = rule.step(flat, g, state)
        stepped = {n: rule.step(leaves[n], part, states[n]) for n, part in program.layout.unpack(g).items()}
        leaves, states = {n: s[0] for n, s in stepped.items()}, {n: s[1] for n, s in stepped.items()}
    error = _relative(program.layout.pack(leaves)[None], flat[None])
    if error <= ADMISSION_TOLERANCE:
        return ""
    name = rule.kinds[-1].__name__  # what wraps it steps as it does
    return f"{name} on all parameters at once differs from leaf by leaf by {error:.1e}; set {name}.elementwise = False"


def _relative(a: Tensor, b: Tensor) -> float:
    """Largest norm-relative difference of rows [T, ...]."""
    a, b = (part.reshape(len(part), -1).double() for part in (a, b))
    size = torch.linalg.vector_norm(b, dim=1)
    return float((torch.linalg.vector_norm(a - b, dim=1) / size.clamp(min=1e-300)).max())


@dataclass(frozen=True)
class TimedStep:
    """One solo step of a method.

    Args:
        seconds: That it takes.
        timed: What was timed, in words.
        evaluations: Of the loss, with its gradient or without, that it asked for; 0 where it asked for none.
    """

    seconds: float
    timed: str
    evaluations: float = 1.0


def step_seconds(
    problem: Problem, methods: Mapping[str, Method], *, dtype: str, steps: int = 20, repeats: int = 5
) -> dict[str, TimedStep]:
    """One solo step of each closed method; methods are timed in turn, medians.

    Args:
        problem: In any dtype.
        methods: Name to closed method.
        dtype: Of the parameters.
        steps: Steps of one repeat.
        repeats: How many repeats the median is over.
    """
    cast = problem.to(dtype=DTYPES[dtype])
    timers = {name: _solo_timer(cast, method, steps, dtype) for name, method in methods.items()}
    seen: dict[str, list[tuple[float, float]]] = {name: [] for name in methods}
    with OneThread():
        for _ in range(repeats + 1):
            for name, timer in timers.items():
                seen[name].append(next(timer))
    return {
        name: TimedStep(
            statistics.median(seconds for seconds, _ in seen[name][1:]),  # the first repeat warms up
            f"{method.label} as its class ships" if isinstance(method, Procedure) else "our rule in a plain loop",
            statistics.median(evaluations for _, evaluations in seen[name][1:]),
        )
        for name, method in methods.items()
    }


def _solo_timer(problem: Problem, method: Method, steps: int, dtype: str) -> Iterator[tuple[float, float]]:
    """Seconds of a step, and evaluations that it asked for, again and again."""
    if isinstance(method, Rule):
        solo = _stepper(problem, "solo", [method])
        rows, factors = solo.start([0]), torch.ones(1, dtype=torch.float64)
        batches = list(_batches(problem, 1, steps))
        while True:
            started = time.perf_counter()
            for batch in batches:
                rows = solo.step(rows, factors, batch)
            yield (time.perf_counter() - started) / steps, method.gradients_per_step
            rows = solo.start([0])  # a diverged row would take no steps and look fast
    name = TrialName(problem.name, method.label, 0, 0)
    chunk = Chunk("timing", "solo", 1, steps, (0, steps), dtype, "cpu", (Trial(name, "", method, 0),), splits=())
    while True:
        run = run_chunk(problem, chunk).runs[0]
        taken = max(1.0, run.counts.get(STEPS, 1.0))
        yield (run.seconds or 0.0) / taken, run.counts.get(EVALUATIONS, 0.0) / taken


def _time_steps(problem: Problem, rung: RungName, rules: Sequence[Rule], rows: int) -> float:
    """Microseconds of one trial-step: the median of a few timed steps after two that warm up."""
    chosen = [rules[t % len(rules)] for t in range(rows)]
    stepper = _stepper(problem, rung, chosen)
    at, factors = stepper.start([0] * rows), torch.ones(rows, dtype=torch.float64)
    batches = list(_batches(problem, rows, 4))
    times: list[float] = []
    start = time.perf_counter()
    while len(times) < 5 or (time.perf_counter() - start < PATIENCE_SECONDS and len(times) < 40):
        started = time.perf_counter()
        at = stepper.step(at, factors, batches[len(times) % len(batches)])
        times.append(time.perf_counter() - started)
        if time.perf_counter() - start > 10 * PATIENCE_SECONDS and len(times) >= 3:
            break
    return statistics.median(times[2:]) / rows * 1e6


def _stepper(problem: Problem, rung: RungName, rules: Sequence[Rule]) -> Stepper:
    return stepper_of(rung, program_of(problem, rules[0]), rules)


def _batches(problem: Problem, rows: int, steps: int) -> Iterator[Batch]:
    w, _ = problem.start(0)
    like = next(iter(w.values()))
    row = torch.cat([leaf.reshape(-1) for leaf in w.values()])
    draws = [problem.sampler.take(problem.sampler.init(t), problem.examples, steps, row)[0] for t in range(rows)]
    stacked = stack_draws(draws, like)
    return (gather(problem, stacked, k) for k in range(steps))


def _row_bytes(problem: Problem, rules: Sequence[Rule], rows: int) -> int:
    """Peak bytes of one row in the traced step, by walking the graph's lifetimes."""
    chosen = [rules[t % len(rules)] for t in range(rows)]
    stepper = _stepper(problem, "traced", chosen)
    assert isinstance(stepper, TracedReplay)
    at: Rows = stepper.start([0] * rows)
    stepper.step(at, torch.ones(rows, dtype=torch.float64), next(_batches(problem, rows, 1)))
    assert stepper.graph is not None
    return peak_bytes(stepper.graph) // rows


def peak_bytes(graph: GraphModule) -> int:
    """Largest sum of tensors alive at one time when ``graph`` is replayed; views count as copies, so it errs upward."""
    nodes = list(graph.graph.nodes)
    last_use: dict[Node, int] = {}
    for i, node in enumerate(nodes):
        for used in node.all_input_nodes:
            last_use[used] = i
    alive: dict[Node, int] = {}
    peak = 0
    for i, node in enumerate(nodes):
        value = node.meta.get("val")
        if isinstance(value, torch.Tensor):
            alive[node] = value.numel() * value.element_size()
        peak = max(peak, sum(alive.values()))
        for used in node.all_input_nodes:
            if last_use[used] == i:
                alive.pop(used, None)
    return peak


def even_split(count: int, rows: int) -> list[range]:
    """``count`` trials in the fewest chunks of at most ``rows``, as equal as can be.

    Example:
        >>> [len(part) for part in even_split(28, 16)]
        [14, 14]
    """
    if count == 0:
        return []
    chunks = -(-count // rows)
    ends = [round(i * count / chunks) for i in range(chunks + 1)]
    return [range(a, b) for a, b in pairwise(ends)]


def _label(choice: tuple[str, int]) -> str:
    return "solo" if choice[0] == "solo" else f"{choice[0]} {choice[1]}"


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [""])[0][:160]


def closed_at(method: Method, points: Sequence[Mapping[str, object]]) -> list[Method]:
    """The method closed at each point, without its schedule: what a probe steps."""
    return [replace(method.close(point), schedule=None) for point in points]
