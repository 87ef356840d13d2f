"""What one run achieved: its best value, and when it reached a target on an axis."""

from __future__ import annotations

import math

from optwise.core.metric import Direction, Target
from optwise.core.run import Run


def best_value(run: Run, metric: str, direction: Direction) -> float:
    """Best finite value of ``metric`` over the evaluations after the start: the retrospective checkpoint.

    Worst possible (``inf`` to minimise, ``-inf`` to maximise) where there is none: a diverged run is never dropped.
    """
    worst = math.inf * direction.sign
    values = [value for step, value in run.curve(metric) if step > 0 and math.isfinite(value)]
    return (min if direction is Direction.MIN else max)(values, default=worst)


def held_value(run: Run, metric: str, direction: Direction, *, until: float = math.inf) -> float:
    """Best value that held for two evaluations after the start: the hardest target that the run reaches.

    The worse one of each two neighbours counts, and the last value alone where the run came to its end. Worst possible
    where there is none.

    Args:
        run: Any run.
        metric: By full name.
        direction: Which way it is better.
        until: The step by which a value must have been reached; that it held may show later.
    """
    curve = [(step, value) for step, value in run.curve(metric) if step > 0]
    values = [value for _, value in curve]
    after = [*values[1:], values[-1] if values and run.ended_whole else math.nan]
    worse = max if direction is Direction.MIN else min
    held = [
        worse(value, later)
        for (step, value), later in zip(curve, after, strict=True)
        if step <= until and math.isfinite(value) and math.isfinite(later)
    ]
    return (min if direction is Direction.MIN else max)(held, default=math.inf * direction.sign)


def steps_to_target(run: Run, target: Target) -> int | None:
    """Step of the first evaluation whose hit holds; ``None`` for a miss. A NaN never reaches anything."""
    return run.steps_to(target)
