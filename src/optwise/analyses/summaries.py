"""What the results document says of one method: its search, what it selected, how that was confirmed."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from optwise.analyses.observations import Observations
from optwise.analyses.observing import Scorer, by_study, finite_or_none
from optwise.analyses.predictions import predictions
from optwise.analyses.selecting import select
from optwise.core.budget import SECONDS, STEPS
from optwise.core.metric import Direction, Target
from optwise.core.outcomes import best_value
from optwise.core.run import Phase, Run
from optwise.numerics.rng import derive_seed, numpy_generator
from optwise.numerics.statistics import median_or_none, restricted_mean, two_level_bootstrap


def method_summary(scorer: Scorer, problem: str, method: str, observed: Observations) -> dict[str, Any]:
    """The part of the results document about one method on one problem, as plain JSON."""
    protocol, target = scorer.protocol, scorer.protocol.targets[problem]
    search, confirm = scorer.of(problem, method, Phase.EXPLORE), scorer.of(problem, method, Phase.CONFIRM)
    default, plan = scorer.of(problem, method, Phase.DEFAULT), scorer.plan(problem, method)
    space, notes = protocol.methods[method].space, scorer.notes["methods"][method]
    everything, direction = [*search, *confirm, *default], scorer.direction(problem)
    predicted = predictions(scorer, problem, method)
    return {
        "search": {
            "studies": protocol.studies if space.fields else 0,
            "trials": len(search),
            "dimensions": space.dimensions,
            "log_volume": space.log_volume,
            "statuses": _statuses(search),
            "infeasible": sum(run.infeasible for run in search),
            "seconds": sum(r.execution.share_seconds or 0.0 for r in search if r.execution),
            "budget": {STEPS: plan["steps"], protocol.axis: _most_spent(scorer, everything)},
            "spent": _spent(everything, protocol.budget.unit),
            "borrowed_space": notes["borrowed_space"],
            "source": notes["source"],
        },
        "selected": _selected(scorer, problem, method),
        "confirm": {
            "n": len(confirm),
            "studies": len(observed.studies),
            "statuses": _statuses(confirm),
            "value": _value(scorer, problem, method, confirm),
            "per_study": _per_study(observed, timed=target is not None, sign=direction.sign),
            "missed_per_study": [sum(not observed.hit(v) for v in study) for study in observed.studies],
            "time_to_target": None if target is None else _time(scorer, problem, method, confirm, target),
        },
        "default": {
            "n": len(default),
            "statuses": _statuses(default),
            "value": _value(scorer, problem, method, default),
            "time_to_target": None if target is None else _time(scorer, problem, method, default, target),
            "point": notes["defaults"],
        },
        "test": _test(scorer, problem, method, confirm),
        "forecast": None if predicted is None else predicted.document(),
        "execution": {
            "rung": plan["choice"]["rung"],
            "rows": plan["choice"]["rows"],
            "reason": plan["choice"]["reason"],
            "microseconds": plan["choice"]["microseconds"],
            "step_seconds": plan["step_seconds"],
            "step_seconds_low": plan.get("step_seconds_low"),
            "step_seconds_high": plan.get("step_seconds_high"),
            "step_timed": plan["step_timed"],
            "step_evaluations": plan.get("step_evaluations", plan.get("gradients_per_step", 1.0)),
            "timing": plan.get("timing", ""),
            "timing_noisy": plan.get("timing_noisy", False),
            "retried_solo": sum(bool(r.execution and r.execution.retried_solo) for r in everything),
        },
    }


def _statuses(runs: Sequence[Run]) -> dict[str, int]:
    return dict(sorted(Counter(run.status.value for run in runs).items()))


def _selected(scorer: Scorer, problem: str, method: str) -> list[dict[str, Any] | None]:
    protocol, target = scorer.protocol, scorer.protocol.targets[problem]
    metric, direction = protocol.metrics[problem], scorer.direction(problem)
    confirmed = by_study(scorer.of(problem, method, Phase.CONFIRM))
    chosen: list[dict[str, Any] | None] = []
    for study, runs in by_study(scorer.of(problem, method, Phase.EXPLORE)).items():
        run = _confirmed(runs, confirmed.get(study, []))
        if run is None:
            index = select(runs, metric=metric, direction=direction, target=target, axis=protocol.axis)
            run = next((r for r in runs if r.name is not None and r.name.index == index), None)
        if run is None or run.name is None:
            chosen.append(None)
            continue
        time = None if target is None else scorer.times([run], target)[0]
        chosen.append(
            {
                "study": study,
                "index": run.name.index,
                "point": dict(run.point),
                "value": finite_or_none(best_value(run, metric, direction)),
                "time": None if time is None else finite_or_none(time),
            }
        )
    return chosen


def _confirmed(search: Sequence[Run], confirmations: Sequence[Run]) -> Run | None:
    """The trial whose setting the confirmations of its study ran: another question does not choose another one."""
    points = [dict(run.point) for run in confirmations]
    return next((run for run in search if dict(run.point) == points[0]), None) if points else None


def _value(scorer: Scorer, problem: str, method: str, runs: Sequence[Run]) -> dict[str, Any]:
    metric, direction = scorer.protocol.metrics[problem], scorer.direction(problem)
    values = [best_value(run, metric, direction) * direction.sign for run in runs]
    band = _band(scorer, f"{problem}/{method}/value", runs, values)
    if direction is Direction.MAX:  # a quantile of what is minimised is the mirror image
        median, low, high = (None if band[end] is None else -(band[end] or 0.0) for end in ("median", "high", "low"))
        band = {"median": median, "low": low, "high": high}
    return {"metric": metric, **band}


def _time(scorer: Scorer, problem: str, method: str, runs: Sequence[Run], target: Target) -> dict[str, Any]:
    times, limit = scorer.times(runs, target), scorer.limit(problem)
    return {
        "axis": scorer.protocol.axis,
        **_band(scorer, f"{problem}/{method}/time", runs, times),
        "restricted_mean": restricted_mean(times, limit) if times and math.isfinite(limit) else None,
        "misses": sum(not math.isfinite(t) for t in times),
        "n": len(times),
        "resolution": scorer.resolution(problem, [method]),
    }


def _most_spent(scorer: Scorer, runs: Sequence[Run]) -> float | None:
    """What the whole runs of a method spent on the axis, the median; ``None`` where none came to its end."""
    ended = [scorer.spent(r, r.evaluations_at()[-1]) for r in runs if r.ended_whole and r.evaluations_at()]
    return float(np.median(ended)) if ended else None


def _spent(runs: Sequence[Run], unit: str) -> dict[str, Any]:
    """What whole runs spent of the budget's unit, by their own counters; seconds are bought as steps."""
    unit = STEPS if unit == SECONDS else unit
    ended = [run.counts[unit] for run in runs if run.ended_whole and unit in run.counts]
    numbers = {"median": float(np.median(ended)), "low": min(ended), "high": max(ended)} if ended else {}
    return {"unit": unit, "n": len(ended), "median": None, "low": None, "high": None, **numbers}


def _per_study(observed: Observations, *, timed: bool, sign: float) -> list[float | None]:
    """One number per study: the geometric mean of its times, a miss counting the limit, or the mean of its values."""
    return [finite_or_none(v if timed else v * sign) for v in observed.per_study(log=timed)]


def _band(scorer: Scorer, what: str, runs: Sequence[Run], numbers: Sequence[float]) -> dict[str, float | None]:
    """Median over all seeds with a two-level bootstrap band; null where a quantile is never reached."""
    if not numbers:
        return {"median": None, "low": None, "high": None}
    groups: dict[int, list[float]] = {}
    for run, number in zip(runs, numbers, strict=True):
        groups.setdefault(run.name.study if run.name else 0, []).append(number)
    median = median_or_none([v for group in groups.values() for v in group])
    rng = numpy_generator(derive_seed(scorer.protocol.seed, what, "band"))
    band = two_level_bootstrap(
        list(groups.values()), rng=rng, level=scorer.protocol.level, resamples=scorer.protocol.resamples
    )
    return {"median": median, "low": finite_or_none(float(band.low)), "high": finite_or_none(float(band.high))}


def _test(scorer: Scorer, problem: str, method: str, confirm: Sequence[Run]) -> dict[str, Any] | None:
    """The test split at the end of each confirmation, where it was revealed; it never selects anything."""
    metrics = [
        m for m in scorer.protocol.problems[problem]["metrics"] if any(run.curve(f"test/{m}") for run in confirm)
    ]
    if not metrics:
        return None
    shown: dict[str, Any] = {}
    for metric in metrics:
        curves = [(run, run.curve(f"test/{metric}")) for run in confirm]
        ended = [(run, curve[-1][1]) for run, curve in curves if curve]
        shown[f"test/{metric}"] = {
            **_band(scorer, f"{problem}/{method}/test/{metric}", [r for r, _ in ended], [v for _, v in ended]),
            "n": len(ended),
        }
    return shown
