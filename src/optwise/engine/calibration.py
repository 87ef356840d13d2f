"""Which rung and how many rows, and how long one solo step takes: measured before the first trial."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import torch
from torch.fx import GraphModule, Node

from optwise.core.method import Method, Rule
from optwise.core.problem import Problem
from optwise.engine.admission import admission_error, unbatchable
from optwise.engine.chunks import DTYPES
from optwise.engine.loop import OneThread
from optwise.engine.program import Rows, program_of
from optwise.engine.rungs import RungName, TracedReplay, stepper_of
from optwise.engine.timing import TimedStep, Timer, Timings, in_turn, rung_timer, solo_timer, some_batches, timed_step
from optwise.numerics.memory import free_bytes

GAIN = 1.2
"""A rung must be this much cheaper in each half of the turns than the one that size predicts, to be taken instead."""

SIZES = ((2**21, 64), (2**23, 16))
"""Bytes of a row, and how many such rows to a pass; larger rows are stepped alone. Where a row fits beside others into
the cache, 64 cost no more than 16 and down to a third of it; at 4 to 7 MB they cost up to 2.5 times as much."""

SLOW_SECONDS = 0.02
"""A solo step so long is arithmetic; sharing passes saves dispatching, some tenths of a millisecond."""

ROW_COUNTS = (64, 32, 16)
MEMORY_SHARE = 0.5


@dataclass(frozen=True)
class RungChoice:
    """How the trials of one method on one problem are stepped.

    Args:
        rung: Of the ladder.
        rows: Most rows that share a pass.
        reason: One sentence with its numbers.
        microseconds: Candidate to CPU microseconds per trial-step, one thread.
        row_bytes: Estimated memory of one row during a step; 0 where it was not estimated.
        noisy: Whether times disagreed however often they were repeated, so that the size of a row decided.
    """

    rung: RungName
    rows: int
    reason: str
    microseconds: Mapping[str, float]
    row_bytes: int = 0
    noisy: bool = False


PROCEDURES = RungChoice("solo", 1, "solo: a procedure keeps its own host-side state", {})
"""The one way in which procedures run."""


@dataclass(frozen=True)
class Calibration:
    """What was measured of the methods of one problem, together.

    Args:
        choices: How the trials of each method are stepped, where it was asked.
        steps: One solo step of each method.
        timings: The session that timed them.
    """

    choices: Mapping[str, RungChoice]
    steps: Mapping[str, TimedStep]
    timings: Timings


@dataclass(frozen=True)
class _Candidates:
    """The rungs that one method of a problem is timed on, for itself and for the others.

    Args:
        name: Of the method.
        rules: Points of it.
        rows: Of a shared pass, by the size of a row.
        row_bytes: Size of a row.
        default: The rung that size predicts.
    """

    name: str
    rules: Sequence[Rule]
    rows: int
    row_bytes: int
    default: RungName

    def labels(self) -> dict[RungName, str]:
        """What each rung is called among the timers; solo is the method's own solo step."""
        return {"solo": self.name, "traced": f"traced {self.rows}", "vmap": f"vmap {self.rows}"}

    def timers(self, problem: Problem) -> dict[str, Timer]:
        """Of the rungs beside solo."""
        chosen = [self.rules[t % len(self.rules)] for t in range(self.rows)]
        shared: tuple[RungName, ...] = ("traced", "vmap")
        return {self.labels()[rung]: rung_timer(problem, rung, chosen) for rung in shared}

    def winner(self, timings: Timings, half: int) -> RungName:
        """The rung that is clearly cheaper than the predicted one in a half of the turns, else that one."""
        price = {rung: timings.seconds(label, half) for rung, label in self.labels().items()}
        best: RungName = min(price, key=lambda rung: price[rung])
        return best if price[best] * GAIN < price[self.default] else self.default

    def settled(self, timings: Timings) -> bool:
        """Whether both halves say the same."""
        return self.winner(timings, 0) == self.winner(timings, 1)


def calibrate(
    problem: Problem,
    probes: Mapping[str, Sequence[Method]],
    *,
    choose: Collection[str],
    known: RungChoice | None = None,
    most_rows: int,
    dtype: str,
    workers: int = 1,
) -> Calibration:
    """Time the solo steps of all methods of a problem together, and choose how the trials of some are stepped.

    One method is timed on every rung, in turn with everything else; the others take its rung where their numbers come
    out right on it.

    Args:
        problem: In any dtype.
        probes: Method to closed points of it, at least one; the first is timed.
        choose: Methods that need a choice.
        known: What another method of this problem was found to do best; ``None`` times it now.
        most_rows: More rows than this are never wanted.
        dtype: Of the trials.
        workers: Processes that will run at once and share the memory.
    """
    cast = problem.to(dtype=DTYPES[dtype])
    rules = {name: [m for m in probes[name] if isinstance(m, Rule)] for name in choose}
    timers = {name: solo_timer(cast, own[0], dtype) for name, own in probes.items()}
    with OneThread():
        refused = {name: _refusal(problem, own, known) for name, own in rules.items() if own}
        first = next((name for name, why in refused.items() if not why), None)
        led = None
        if first is not None and known is None:
            led, why = _candidates(cast, first, rules[first], timers[first], most_rows=most_rows, workers=workers)
            refused |= {name: own or why for name, own in refused.items()}
        if led is not None:
            timers |= led.timers(cast)
        timings = in_turn(timers, settled=None if led is None else led.settled)
    shared = known if led is None else _choice(led, timings)
    choices = dict.fromkeys(choose, PROCEDURES)
    for name, why in refused.items():
        if why or shared is None:
            choices[name] = RungChoice("solo", 1, f"solo: {why}", {})
        elif led is not None and name != led.name:
            choices[name] = replace(shared, reason=f"{shared.reason}, timed with {led.name}")
        else:
            choices[name] = shared
    return Calibration(choices, {n: timed_step(timings, n, own[0]) for n, own in probes.items()}, timings)


def choose_rung(problem: Problem, rules: Sequence[Rule], *, most_rows: int, dtype: str, workers: int = 1) -> RungChoice:
    """How the trials of one method are stepped, where no other method is timed beside it.

    Args:
        problem: In any dtype.
        rules: At least one closed rule, different points of one method.
        most_rows: More rows than this are never wanted.
        dtype: Of the trials.
        workers: Processes that will run at once and share the memory.
    """
    name = rules[0].label
    found = calibrate(problem, {name: rules}, choose=[name], most_rows=most_rows, dtype=dtype, workers=workers)
    return found.choices[name]


def _refusal(problem: Problem, rules: Sequence[Rule], known: RungChoice | None) -> str:
    """Why trials of a method cannot share a pass of the rung in question; empty where they can."""
    blocked = unbatchable(problem)
    if blocked or (known is not None and known.rung == "solo"):
        return blocked
    try:
        return admission_error(problem, rules, "traced" if known is None else known.rung)
    except Exception as error:  # noqa: BLE001 - whatever a module or a rule raises under vmap means: not batchable
        return _raised(error)


def _candidates(
    cast: Problem, name: str, rules: Sequence[Rule], solo: Timer, *, most_rows: int, workers: int
) -> tuple[_Candidates | None, str]:
    """What is timed to choose a rung, or why nothing is."""
    alone = min(solo().cpu for _ in range(3))
    if alone > SLOW_SECONDS:
        return None, f"a step takes {alone * 1e3:.0f} ms alone, of which sharing passes would save next to nothing"
    try:
        row_bytes = _row_bytes(cast, rules, min(most_rows, ROW_COUNTS[-1]))
        rows = _rows(row_bytes, most_rows, workers)
        led = _Candidates(name, rules, rows, row_bytes, "traced" if row_bytes <= SIZES[-1][0] else "solo")
        for timer in led.timers(cast).values():
            timer()
    except Exception as error:  # noqa: BLE001 - as in _refusal, or no memory for so many rows
        return None, _raised(error)
    return led, ""


def _rows(row_bytes: int, most_rows: int, workers: int) -> int:
    """Rows of a pass, by the size of a row and the memory there is."""
    fitting = next((rows for size, rows in SIZES if row_bytes <= size), ROW_COUNTS[-1])
    room = MEMORY_SHARE * free_bytes() / (row_bytes * workers)
    return min(most_rows, next((rows for rows in ROW_COUNTS if rows <= min(fitting, room)), 1))


def _choice(led: _Candidates, timings: Timings) -> RungChoice:
    labels = led.labels()
    settled = led.settled(timings)
    rung = led.winner(timings, 0) if settled else led.default
    price = {r: timings.seconds(label) * 1e6 for r, label in labels.items()}
    told = ", ".join(f"{'solo' if r == 'solo' else labels[r]} {price[r]:.0f} us" for r in labels)
    if not settled:
        reason = f"{rung}, as a row of {led.row_bytes / 2**20:.1f} MiB predicts: times disagreed when repeated ({told})"
    elif rung == "solo":
        reason = f"solo: batching did not pay ({told})"
    else:
        reason = f"{rung} with {led.rows} rows: {price[rung]:.0f} us a trial-step against {price['solo']:.0f} us solo"
    return RungChoice(
        rung,
        1 if rung == "solo" else led.rows,
        reason,
        {"solo" if r == "solo" else label: price[r] for r, label in labels.items()},
        led.row_bytes,
        noisy=not settled,
    )


def _row_bytes(problem: Problem, rules: Sequence[Rule], rows: int) -> int:
    """Peak bytes of one row in the traced step, by walking the graph's lifetimes."""
    chosen = [rules[t % len(rules)] for t in range(rows)]
    stepper = stepper_of("traced", program_of(problem, rules[0]), chosen)
    assert isinstance(stepper, TracedReplay)
    at: Rows = stepper.start([0] * rows)
    stepper.step(at, torch.ones(rows, dtype=torch.float64), next(some_batches(problem, rows, 1)))
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


def _raised(error: Exception) -> str:
    return f"batching raised {type(error).__name__}: {_first_line(error)}"


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [""])[0][:160]


def closed_at(method: Method, points: Sequence[Mapping[str, object]]) -> list[Method]:
    """The method closed at each point, without its schedule: what a probe steps."""
    return [replace(method.close(point), schedule=None) for point in points]
