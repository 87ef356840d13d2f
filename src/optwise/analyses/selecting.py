"""Which point a study selects, by a named rule."""

from __future__ import annotations

from collections.abc import Sequence

from optwise.core.metric import Direction, Target
from optwise.core.run import Run
from optwise.core.standing import ranked


def selection_rule(metric: str, target: Target | None, axis: str) -> str:
    """The rule in words: it is printed in every table and kept with every selection."""
    if target is None:
        return f"best {metric} over the evaluations of a trial"
    return f"fewest {axis} to an evaluation with {target} that holds at the next, misses by best {metric}"


def select(search: Sequence[Run], *, metric: str, direction: Direction, target: Target | None, axis: str) -> int | None:
    """Index of the point a study selects; ``None`` where no trial was feasible.

    With a target, the trial that reached it for the least on the axis, by its own counters; where several spent the
    same, or none reached it, the one with the best value of ``metric``. Infeasible trials are never selected; what
    remains tied goes to the lower index.

    Args:
        search: The trials of one study of one method, each with its name.
        metric: Full name, on the validation split where there is one.
        direction: Which way it is better.
        target: A metric value, or ``None``.
        axis: What the time to it is counted in.
    """
    named = sorted((run for run in search if run.name is not None), key=_index)
    best = next(iter(ranked(named, metric=metric, direction=direction, target=target, axis=axis)), None)
    return None if best is None else _index(best)


def _index(run: Run) -> int:
    assert run.name is not None
    return run.name.index
