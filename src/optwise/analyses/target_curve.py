"""The whole target curve tested once: times to every target from easy to hard, averaged, beside the one target."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from optwise.analyses.observations import Observations
from optwise.analyses.observing import Scorer
from optwise.core.metric import Direction, Target
from optwise.core.outcomes import held_value
from optwise.core.run import Phase
from optwise.numerics.permutation import LATE

TARGETS = 25
"""How many targets stand for the curve."""
REACHED_BY = 0.5
"""Share of all confirmations together that reach the hardest of them."""


def curve_targets(scorer: Scorer, problem: str, target: Target) -> tuple[Target, ...]:
    """Targets evenly spaced from the start's value to what half of all confirmations reach within the common limit.

    On a log scale where all are positive and lower is better. The ends belong to the pool of all methods' runs, so that
    no method has a say of its own. Empty where half of the runs get no better than the start.

    Args:
        scorer: The runs.
        problem: Name.
        target: Whose metric and direction are taken.
    """
    runs = [run for method in scorer.protocol.methods for run in scorer.of(problem, method, Phase.CONFIRM)]
    if not runs:
        return ()
    sign = target.direction.sign
    reached = sorted(
        held_value(run, target.metric, target.direction, until=scorer.last_step(run)) * sign for run in runs
    )
    hard = reached[math.ceil(REACHED_BY * len(reached)) - 1]
    starts = [curve[0][1] * sign for run in runs if (curve := run.curve(target.metric)) and math.isfinite(curve[0][1])]
    easy = float(np.median(starts)) if starts else math.nan
    if not (math.isfinite(hard) and hard < easy):
        return ()
    positive = target.direction is Direction.MIN and hard > 0
    scale = np.geomspace(easy, hard, TARGETS + 1) if positive else np.linspace(easy, hard, TARGETS + 1)
    values = [*scale[1:-1].tolist(), hard]  # the last one is reached exactly by some run
    return tuple(replace(target, value=value * sign) for value in values)


def curve_observations(scorer: Scorer, problem: str, targets: Sequence[Target]) -> dict[str, Observations]:
    r"""For each method and seed the geometric mean of its times to all targets.

    .. math:: \exp \frac1m \sum_{j=1}^m \log \min(t(\tau_j), L)

    It is the area under the curve of log times over targets. A miss counts as a little more than the limit L, the same
    for all, so that a run which misses every target still has a number.
    """
    found: dict[str, Observations] = {}
    for method in scorer.protocol.methods:
        parts = [scorer.observations(problem, method, target) for target in targets]
        late = parts[0].limit * math.exp(LATE) if parts else math.inf
        if not parts or not parts[0].usable or not math.isfinite(late):
            found[method] = Observations((), feasible=False)
            continue
        highs = _mean([part.studies for part in parts], late)
        lows = _mean([part.lows or part.studies for part in parts], late)
        found[method] = replace(parts[0], studies=highs, lows=lows, limit=math.inf)
    return found


def _mean(studies: Sequence[Sequence[Sequence[float]]], late: float) -> tuple[tuple[float, ...], ...]:
    def mean(times: Sequence[float]) -> float:
        return math.exp(float(np.mean([math.log(min(t, late)) for t in times])))

    return tuple(tuple(mean(seed) for seed in zip(*study, strict=True)) for study in zip(*studies, strict=True))


def moved_targets(target: Target, factors: Sequence[float]) -> Mapping[float, Target]:
    """The target moved by each factor, a larger one easier.

    A loss is multiplied; the distance of an accuracy to 1 likewise, where the target lies below 1, else it is divided.
    """
    value = target.value

    def easier(factor: float) -> float:
        if target.direction is Direction.MIN:
            return value * factor if value > 0 else value + (factor - 1) * abs(value)
        if 0 < value < 1:
            return 1 - (1 - value) * factor
        return value / factor if value > 0 else value * factor

    return {factor: replace(target, value=easier(factor)) for factor in factors}
