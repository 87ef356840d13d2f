"""How long steps take: what is compared is timed in turn, on one clock, and repeated until two halves agree."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch

from optwise.core.budget import EVALUATIONS, STEPS
from optwise.core.method import Method, Rule
from optwise.core.problem import Problem
from optwise.core.run import TrialName
from optwise.engine.chunks import DTYPES, Chunk, Trial
from optwise.engine.clock import cpu_seconds, wall_seconds
from optwise.engine.loop import OneThread, run_chunk, stack_draws
from optwise.engine.program import Batch, gather, program_of
from optwise.engine.rungs import RungName, stepper_of

ROUNDS = 8
"""Turns of everything that is timed together, before the halves are compared."""
ATTEMPTS = 3
"""How often as many turns are added while the halves disagree."""
SPREAD = 0.15
"""Relative difference of the minima of two halves, above which a time is noisy."""
WAITING = 1.5
"""Wall-clock time over CPU time, above which something else had the processor."""
GROUPS = 4
"""Into how many groups of turns, one after the other, the turns are dealt to see how far a least time strays."""
CLOCK = 0.02
"""Relative error of a time that no repeats of one session show: what the same step differs by between two at rest."""
SLICE_SECONDS = 0.02
MOST_STEPS = 20
"""A turn takes as many steps as fit into a slice, this many at most, one at least."""


class Sample(NamedTuple):
    """One turn: CPU and wall-clock seconds of a step, and the evaluations that it asked for."""

    cpu: float
    wall: float
    evaluations: float = 1.0


Timer = Callable[[], Sample]


@dataclass(frozen=True)
class TimedStep:
    """One solo step of a method.

    Args:
        seconds: CPU seconds that it takes.
        timed: What was timed, in words.
        evaluations: Of the loss, with its gradient or without, that it asked for; 0 where it asked for none.
    """

    seconds: float
    timed: str
    evaluations: float = 1.0


@dataclass(frozen=True)
class Timings:
    """What was timed together, in turn.

    Args:
        samples: Label to its turns, in order.
        session: Which timing this is: times of two sessions are never compared.
    """

    samples: Mapping[str, Sequence[Sample]]
    session: str = field(default_factory=lambda: uuid.uuid4().hex[:8])

    def seconds(self, label: str, half: int | None = None) -> float:
        """Least CPU seconds of a step, over all turns or over the first (0) or second (1) half of them."""
        turns = self.samples[label]
        middle = len(turns) // 2
        chosen = turns if half is None else turns[:middle] if half == 0 else turns[middle:]
        return max(min(sample.cpu for sample in chosen), 1e-9)

    def bounds(self, label: str) -> tuple[float, float]:
        """Between what the seconds of a step lie: the least and the largest of the minima of groups of turns, widened.

        One number per method is all that seconds are made of, so that its error is the same in every study, and no test
        over studies sees it. Times whose bounds overlap may be one and the same.
        """
        turns = [sample.cpu for sample in self.samples[label]]
        size = max(1, len(turns) // GROUPS)
        least = [min(turns[i : i + size]) for i in range(0, len(turns), size)]
        return max(min(least), 1e-9) / (1 + CLOCK), max(*least, 1e-9) * (1 + CLOCK)

    def evaluations(self, label: str) -> float:
        """That the fastest step asked for."""
        return min(self.samples[label]).evaluations

    @property
    def spread(self) -> float:
        """The largest relative difference between the minima of the two halves."""
        pairs = [(self.seconds(label, 0), self.seconds(label, 1)) for label in self.samples]
        return max((max(pair) / min(pair) - 1 for pair in pairs), default=0.0)

    @property
    def waiting(self) -> float:
        """Wall-clock over CPU time of all turns together."""
        turns = [sample for own in self.samples.values() for sample in own]
        return sum(sample.wall for sample in turns) / max(sum(sample.cpu for sample in turns), 1e-9)

    @property
    def turns(self) -> int:
        """How often everything was timed."""
        return max(map(len, self.samples.values()), default=0)

    @property
    def noisy(self) -> bool:
        """Whether the halves disagree although the turns were repeated."""
        return self.spread > SPREAD

    @property
    def busy(self) -> str:
        """That the machine has other work, and how it shows; empty where it has not."""
        shown = [
            *([f"steps took {self.waiting:.1f} times their CPU time"] if self.waiting > WAITING else []),
            *([f"times differ by {self.spread:.0%} between two halves"] if self.noisy else []),
        ]
        return f"machine busy: {', and '.join(shown)}" if shown else ""


def in_turn(timers: Mapping[str, Timer], *, settled: Callable[[Timings], bool] | None = None) -> Timings:
    """Time everything in turn, more often while the halves disagree.

    Args:
        timers: Label to what takes a few steps and says how long one took.
        settled: What must hold besides for the repeats to end.
    """
    samples: dict[str, list[Sample]] = {label: [] for label in timers}
    with OneThread():
        for timer in timers.values():
            timer()  # warms up
        for _ in range(ATTEMPTS):
            for _ in range(ROUNDS):
                for label, timer in timers.items():
                    samples[label].append(timer())
            found = Timings(samples)
            if not found.noisy and (settled is None or settled(found)):
                break
    return found


def time_steps(problem: Problem, methods: Mapping[str, Method], *, dtype: str) -> tuple[dict[str, TimedStep], Timings]:
    """One solo step of each closed method, all timed together.

    Args:
        problem: In any dtype.
        methods: Name to closed method.
        dtype: Of the parameters.
    """
    cast = problem.to(dtype=DTYPES[dtype])
    timings = in_turn({name: solo_timer(cast, method, dtype) for name, method in methods.items()})
    return {name: timed_step(timings, name, method) for name, method in methods.items()}, timings


def timed_step(timings: Timings, label: str, method: Method) -> TimedStep:
    """A method's solo step as a session timed it."""
    words = "our rule in a plain loop" if isinstance(method, Rule) else f"{method.label} as its class ships"
    return TimedStep(timings.seconds(label), words, timings.evaluations(label))


def solo_timer(problem: Problem, method: Method, dtype: str) -> Timer:
    """Times the solo steps of a closed method, from its start in each turn."""
    if isinstance(method, Rule):
        return rung_timer(problem, "solo", [method])
    name = TrialName(problem.name, method.label, 0, 0)

    def turn(steps: int) -> tuple[float, float]:
        chunk = Chunk("timing", "solo", 1, steps, (0, steps), dtype, "cpu", (Trial(name, "", method, 0),), splits=())
        run = run_chunk(problem, chunk).runs[0]
        taken = max(1.0, run.counts.get(STEPS, 1.0))
        return (run.seconds or 0.0) / taken, run.counts.get(EVALUATIONS, 0.0) / taken

    return _Paced(turn)


def rung_timer(problem: Problem, rung: RungName, rules: Sequence[Rule]) -> Timer:
    """Times the trial-steps of one pass of closed rules on a rung, from their starts in each turn."""
    rows = len(rules)
    stepper = stepper_of(rung, program_of(problem, rules[0]), rules)
    factors = torch.ones(rows, dtype=torch.float64)
    batches = list(some_batches(problem, rows, 4))
    start = stepper.start([0] * rows)

    def turn(steps: int) -> tuple[float, float]:
        at, taken = start, 0
        began = cpu_seconds()
        while taken < steps and (taken == 0 or bool(at.alive.any())):  # rows that have ended cost nothing and look fast
            at = stepper.step(at, factors, batches[taken % len(batches)])
            taken += 1
        return (cpu_seconds() - began) / (taken * rows), rules[0].gradients_per_step

    return _Paced(turn)


class _Paced:
    """A timer whose turns take as many steps as fit into a slice, known after its first call."""

    def __init__(self, turn: Callable[[int], tuple[float, float]]) -> None:
        self._turn = turn
        self._steps = 0

    def __call__(self) -> Sample:
        if not self._steps:
            self._turn(1)  # imports, traces and caches
            began = cpu_seconds()
            self._turn(2)
            self._steps = min(max(int(2 * SLICE_SECONDS / max(cpu_seconds() - began, 1e-9)), 1), MOST_STEPS)
        began, here = wall_seconds(), cpu_seconds()
        seconds, evaluations = self._turn(self._steps)
        waited = (wall_seconds() - began) / max(cpu_seconds() - here, 1e-9)
        return Sample(seconds, seconds * waited, evaluations)


def some_batches(problem: Problem, rows: int, steps: int) -> Iterator[Batch]:
    """The first batches of so many trials, stacked."""
    w, _ = problem.start(0)
    like = next(iter(w.values()))
    row = torch.cat([leaf.reshape(-1) for leaf in w.values()])
    draws = [problem.sampler.take(problem.sampler.init(t), problem.examples, steps, row)[0] for t in range(rows)]
    stacked = stack_draws(draws, like)
    return (gather(problem, stacked, k) for k in range(steps))
