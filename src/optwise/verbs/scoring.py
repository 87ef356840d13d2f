"""From a folder's trials to the results document: scored, judged, said in words; nothing is run."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any

import numpy as np

from optwise.analyses.checks import method_checks, problem_checks
from optwise.analyses.ranking import Observations, Verdict, leader, verdicts
from optwise.analyses.selecting import select
from optwise.analyses.sentences import effort_sentence, pair_sentence, verdict_sentence
from optwise.analyses.subject import Subject
from optwise.core.budget import EXAMPLE_GRADIENTS, SECONDS, STEPS
from optwise.core.finding import Finding
from optwise.core.metric import Direction, Target
from optwise.core.outcomes import best_value, resolution, steps_to_target
from optwise.core.protocol import Protocol
from optwise.core.run import Phase, Run
from optwise.core.status import Status
from optwise.numerics.rng import derive_seed, numpy_generator
from optwise.numerics.statistics import (
    performance_profile,
    quantile_or_none,
    restricted_mean,
    two_level_bootstrap,
    winner_stability,
)

SENSITIVITY = (0.9, 0.95, 1.0, 1.05, 1.1, 1.25, 1.5)
"""Factors on the target at which the ranking is looked at again."""
HORIZON = "needs_horizon"
RAN = "ran"
"""In a shortened plan, the steps that were run."""


class Scorer:
    """One protocol's view of the runs of a folder.

    Args:
        protocol: What was asked.
        notes: What was recorded with it: plans, spaces' sources, commands that set targets.
        runs: Of this protocol.
    """

    def __init__(self, protocol: Protocol, notes: Mapping[str, Any], runs: Sequence[Run]) -> None:
        self.protocol = protocol
        self.notes = notes
        self.runs = runs
        self._by: dict[tuple[str, str, Phase], list[Run]] = {}
        for run in runs:
            assert run.name is not None
            self._by.setdefault((run.name.problem, run.name.method, run.name.phase), []).append(run)

    def of(self, problem: str, method: str, phase: Phase) -> list[Run]:
        """The runs of one phase, in the order of their addresses."""
        return self._by.get((problem, method, phase), [])

    def plan(self, problem: str, method: str) -> Mapping[str, Any]:
        """How the trials of a method were executed."""
        plan: Mapping[str, Any] = self.notes["plans"][f"{problem}/{method}"]
        return plan

    def direction(self, problem: str) -> Direction:
        """Of the selection metric."""
        metric = self.protocol.metrics[problem].rpartition("/")[2]
        return Direction(self.protocol.problems[problem]["metrics"][metric])

    def per_step(self, problem: str, method: str, axis: str | None = None) -> float:
        """Units of the axis that one step costs: a constant of the method, so that batching cannot change it."""
        plan, axis = self.plan(problem, method), axis or self.protocol.axis
        if axis == SECONDS:
            return float(plan["step_seconds"])
        if axis == STEPS:
            return 1.0
        batch = float(self.protocol.problems[problem]["batch_size"])
        gradients = float(plan["gradients_per_step"]) if axis == EXAMPLE_GRADIENTS else 1.0
        measured = [
            r.counts[axis] / r.counts["steps"]
            for r in self.of(problem, method, Phase.DEFAULT)
            if r.status is Status.BUDGET_SPENT and r.counts.get("steps")
        ]
        return float(np.median(measured)) if measured else batch * gradients

    def times(self, problem: str, method: str, runs: Sequence[Run], target: Target) -> list[float]:
        """Time of each run on the axis; a miss is infinite. A target met at the start counts one step."""
        unit = self.per_step(problem, method)
        steps = [steps_to_target(run, target) for run in runs]
        return [math.inf if k is None else max(k, 1) * unit for k in steps]

    def evaluation_steps(self, problem: str, method: str) -> tuple[int, ...]:
        """When whole runs were measured; under a shortened budget, as far as that reaches."""
        plan = self.plan(problem, method)
        ran = self.protocol.evaluation_steps(int(plan.get(RAN, plan["steps"])))
        return tuple(k for k in ran if k <= int(plan["steps"]))

    def observations(self, problem: str, method: str) -> Observations:
        """One number per study, lower is better. A study without a feasible trial misses; none at all is no number."""
        protocol, target = self.protocol, self.protocol.targets[problem]
        confirmations, is_open = self.of(problem, method, Phase.CONFIRM), protocol.methods[method].is_open
        if all(run.infeasible for run in confirmations) and not (is_open and confirmations):
            return Observations((), (), feasible=False)
        groups = {study: _by_study(confirmations).get(study, []) for study in range(protocol.studies)}
        certain = protocol.problems[problem]["deterministic"] and not is_open
        if certain:
            groups = {0: groups[0]}  # a certain number is one observation, however often it is run
        limit = self.plan(problem, method)["steps"] * self.per_step(problem, method)
        sign = self.direction(problem).sign
        values, censored = [], []
        for runs in groups.values():
            if not runs:
                values.append(math.inf if target is None else limit)
                censored.append(True)
            elif target is None:
                scores = [best_value(r, protocol.metrics[problem], self.direction(problem)) * sign for r in runs]
                values.append(float(np.mean(scores)))
                censored.append(not math.isfinite(values[-1]))
            else:
                times = self.times(problem, method, runs, target)
                values.append(restricted_mean(times, limit))
                censored.append(not any(map(math.isfinite, times)))
        return Observations(tuple(values), tuple(censored), certain=certain)


def score(protocol: Protocol, notes: Mapping[str, Any], runs: Sequence[Run]) -> dict[str, Any]:
    """The results document, its environment apart.

    Args:
        protocol: What was asked.
        notes: What was recorded with it.
        runs: The folder's runs of this protocol.
    """
    scorer = Scorer(protocol, notes, runs)
    problems = {name: _problem(scorer, name) for name in protocol.problems}
    sentences = [problems[name].pop("sentence") for name in problems]
    profile = _profile(scorer) if len(problems) > 1 else None
    return {
        "schema": 1,
        "verdict": " ".join(sentences),
        "protocol": _protocol(protocol, notes),
        "environment": {},
        "problems": problems,
        "profile": profile,
    }


def _problem(scorer: Scorer, problem: str) -> dict[str, Any]:
    protocol = scorer.protocol
    target = protocol.targets[problem]
    observed = _finite({name: scorer.observations(problem, name) for name in protocol.methods})
    log = all(v > 0 for o in observed.values() for v in o.values) and (
        target is not None or scorer.direction(problem) is Direction.MIN
    )
    found = verdicts(observed, level=protocol.level, margin=protocol.margin, timed=target is not None, log=log)
    methods = {name: _method(scorer, problem, name, observed[name]) for name in protocol.methods}
    rng = numpy_generator(derive_seed(protocol.seed, problem, "stability"))
    stable = {name: o.values for name, o in observed.items() if o.values}
    stability = winner_stability(stable, rng=rng, resamples=protocol.resamples) if stable else {}
    pairs = [_pair(scorer, problem, v) for v in found]
    checks = _checks(scorer, problem, pairs, stability)
    for pair in pairs:
        pair["warnings"] = _warnings(checks, problem, pair)
    first = leader(observed, found)
    return {
        "methods": methods,
        "verdicts": pairs,
        "leader": first,
        "winner_stability": stability,
        "sensitivity": [] if target is None else _sensitivity(scorer, problem, target),
        "checks": [_check(finding) for finding in checks],
        "sentence": verdict_sentence(
            problem,
            methods=tuple(protocol.methods),
            leader=first,
            found=found,
            target=target,
            metric=protocol.metrics[problem],
            axis=protocol.axis,
            effort=_effort(protocol, problem),
        ),
    }


def _effort(protocol: Protocol, problem: str) -> str:
    as_given = [name for name, method in protocol.methods.items() if not method.is_open]
    return effort_sentence(
        studies=protocol.studies,
        trials=protocol.trials,
        seeds=protocol.seeds,
        as_given=as_given,
        tuned=len(protocol.methods) - len(as_given),
        split=bool(protocol.problems[problem]["splits"]),
    )


def _finite(observed: Mapping[str, Observations]) -> dict[str, Observations]:
    """A study with a confirmation that diverged is worse than any number: twice the worst, censored."""
    numbers = [abs(v) for o in observed.values() for v in o.values if math.isfinite(v)]
    worst = 2 * max(numbers, default=1.0)
    return {
        name: replace(o, values=tuple(v if math.isfinite(v) else worst for v in o.values))
        for name, o in observed.items()
    }


def _method(scorer: Scorer, problem: str, method: str, observed: Observations) -> dict[str, Any]:
    protocol, target = scorer.protocol, scorer.protocol.targets[problem]
    search, confirm = scorer.of(problem, method, Phase.EXPLORE), scorer.of(problem, method, Phase.CONFIRM)
    default, plan = scorer.of(problem, method, Phase.DEFAULT), scorer.plan(problem, method)
    space, notes = protocol.methods[method].space, scorer.notes["methods"][method]
    everything, direction = [*search, *confirm, *default], scorer.direction(problem)
    return {
        "search": {
            "studies": protocol.studies if space.fields else 0,
            "trials": len(search),
            "dimensions": space.dimensions,
            "log_volume": space.log_volume,
            "statuses": _statuses(search),
            "infeasible": sum(run.infeasible for run in search),
            "seconds": sum(r.execution.share_seconds or 0.0 for r in search if r.execution),
            "budget": {STEPS: plan["steps"], protocol.axis: plan["steps"] * scorer.per_step(problem, method)},
            "borrowed_space": notes["borrowed_space"],
            "source": notes["source"],
        },
        "selected": _selected(scorer, problem, method),
        "confirm": {
            "n": len(confirm),
            "studies": len(observed.values),
            "statuses": _statuses(confirm),
            "value": _value(scorer, problem, method, confirm),
            "per_study": [v if target is not None else v * direction.sign for v in observed.values],
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
        "execution": {
            "rung": plan["choice"]["rung"],
            "rows": plan["choice"]["rows"],
            "reason": plan["choice"]["reason"],
            "microseconds": plan["choice"]["microseconds"],
            "step_seconds": plan["step_seconds"],
            "step_timed": plan["step_timed"],
            "retried_solo": sum(bool(r.execution and r.execution.retried_solo) for r in everything),
        },
    }


def _statuses(runs: Sequence[Run]) -> dict[str, int]:
    return dict(sorted(Counter(run.status.value for run in runs).items()))


def _selected(scorer: Scorer, problem: str, method: str) -> list[dict[str, Any] | None]:
    protocol, target = scorer.protocol, scorer.protocol.targets[problem]
    metric, direction = protocol.metrics[problem], scorer.direction(problem)
    chosen: list[dict[str, Any] | None] = []
    for study, runs in _by_study(scorer.of(problem, method, Phase.EXPLORE)).items():
        index = select(runs, metric=metric, direction=direction, target=target)
        run = next((r for r in runs if r.name is not None and r.name.index == index), None)
        if run is None:
            chosen.append(None)
            continue
        time = None if target is None else scorer.times(problem, method, [run], target)[0]
        chosen.append(
            {
                "study": study,
                "index": index,
                "point": dict(run.point),
                "value": _null(best_value(run, metric, direction)),
                "time": None if time is None else _null(time),
            }
        )
    return chosen


def _value(scorer: Scorer, problem: str, method: str, runs: Sequence[Run]) -> dict[str, Any]:
    metric, direction = scorer.protocol.metrics[problem], scorer.direction(problem)
    values = [best_value(run, metric, direction) * direction.sign for run in runs]
    band = _band(scorer, f"{problem}/{method}/value", runs, values)
    if direction is Direction.MAX:  # a quantile of what is minimised is the mirror image
        median, low, high = (None if band[end] is None else -(band[end] or 0.0) for end in ("median", "high", "low"))
        band = {"median": median, "low": low, "high": high}
    return {"metric": metric, **band}


def _time(scorer: Scorer, problem: str, method: str, runs: Sequence[Run], target: Target) -> dict[str, Any]:
    times = scorer.times(problem, method, runs, target)
    unit, steps = scorer.per_step(problem, method), int(scorer.plan(problem, method)["steps"])
    return {
        "axis": scorer.protocol.axis,
        **_band(scorer, f"{problem}/{method}/time", runs, times),
        "restricted_mean": restricted_mean(times, steps * unit) if times else None,
        "misses": sum(not math.isfinite(t) for t in times),
        "n": len(times),
        "resolution": resolution(scorer.evaluation_steps(problem, method), unit),
    }


def _band(scorer: Scorer, what: str, runs: Sequence[Run], numbers: Sequence[float]) -> dict[str, float | None]:
    """Median over all seeds with a two-level bootstrap band; null where a quantile is never reached."""
    if not numbers:
        return {"median": None, "low": None, "high": None}
    groups: dict[int, list[float]] = {}
    for run, number in zip(runs, numbers, strict=True):
        groups.setdefault(run.name.study if run.name else 0, []).append(number)
    median = quantile_or_none([v for group in groups.values() for v in group], 0.5)
    rng = numpy_generator(derive_seed(scorer.protocol.seed, what, "band"))
    band = two_level_bootstrap(
        list(groups.values()), rng=rng, level=scorer.protocol.level, resamples=scorer.protocol.resamples
    )
    return {"median": median, "low": _null(float(band.low)), "high": _null(float(band.high))}


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


def _pair(scorer: Scorer, problem: str, v: Verdict) -> dict[str, Any]:
    protocol, target = scorer.protocol, scorer.protocol.targets[problem]
    axis = None if target is None else protocol.axis
    if v.difference is not None:  # observations are turned so that lower is better; what is told is not
        v = _as_measured(v, scorer.direction(problem) if target is None else Direction.MIN)
    return {
        "a": v.a,
        "b": v.b,
        "words": v.words,
        "because": v.because,
        "ratio": v.ratio,
        "ratio_low": v.low if v.ratio is not None else None,
        "ratio_high": v.high if v.ratio is not None else None,
        "difference": v.difference,
        "p": v.p,
        "p_adjusted": v.p_adjusted,
        "p_a_better": v.p_a_better,
        "n": v.n,
        "studies_needed": v.studies_needed,
        "metric": protocol.metrics[problem] if target is None else target.metric,
        "axis": axis,
        "sentence": pair_sentence(v, axis=axis, metric=protocol.metrics[problem]),
    }


def _as_measured(v: Verdict, direction: Direction) -> Verdict:
    if direction is Direction.MIN or v.difference is None:
        return v
    low, high = (None if end is None else -end for end in (v.high, v.low))
    return replace(v, difference=-v.difference, low=low, high=high)


def _sensitivity(scorer: Scorer, problem: str, target: Target) -> list[dict[str, Any]]:
    """Median times as the target moves; single targets are fragile."""
    rows = []
    for factor in SENSITIVITY:
        # away from the start is harder: a smaller loss, or a larger accuracy's distance to its value
        value = target.value * factor if target.direction is Direction.MIN else target.value / factor
        moved = replace(target, value=value)
        row: dict[str, Any] = {"target": value}
        for method in scorer.protocol.methods:
            times = scorer.times(problem, method, scorer.of(problem, method, Phase.CONFIRM), moved)
            row[method] = quantile_or_none(times, 0.5) if times else None
        rows.append(row)
    return rows


def _checks(
    scorer: Scorer, problem: str, pairs: Sequence[Mapping[str, Any]], stability: Mapping[str, float]
) -> list[Finding]:
    protocol, notes = scorer.protocol, scorer.notes["methods"]
    metric, direction, target = protocol.metrics[problem], scorer.direction(problem), protocol.targets[problem]
    per_method = [
        method_checks(
            Subject(problem, name, metric, direction, target),
            space=method.space,
            search=scorer.of(problem, name, Phase.EXPLORE),
            confirm=scorer.of(problem, name, Phase.CONFIRM),
            evaluation_steps=scorer.evaluation_steps(problem, name),
            needs_horizon=notes[name][HORIZON],
            borrowed=notes[name]["borrowed_space"],
            margin=protocol.margin,
        )
        for name, method in protocol.methods.items()
    ]
    across = problem_checks(
        problem,
        metric=metric,
        direction=direction,
        target=target,
        classes={name: notes[name]["class"] for name in protocol.methods},
        search={name: scorer.of(problem, name, Phase.EXPLORE) for name in protocol.methods},
        verdicts=pairs,
        winner_shares=stability,
        per_step={name: scorer.per_step(problem, name) for name in protocol.methods},
    )
    return [*chain.from_iterable(per_method), *across]


def _check(finding: Finding) -> dict[str, Any]:
    return {
        "method": finding.subject.partition("/")[2],
        "check": finding.check,
        "status": finding.grade.value,
        "evidence": finding.evidence,
        "advice": finding.advice,
        "value": _null(finding.value),
        "low": _null(finding.interval.low) if finding.interval else None,
        "high": _null(finding.interval.high) if finding.interval else None,
        "source": finding.source,
        "link": finding.link,
    }


def _warnings(checks: Sequence[Finding], problem: str, pair: Mapping[str, Any]) -> list[str]:
    subjects = {f"{problem}/{pair['a']}", f"{problem}/{pair['b']}"}
    return sorted({f.check for f in checks if f.subject in subjects and f.grade.value != "pass"})


def _profile(scorer: Scorer) -> dict[str, Any] | None:
    """Performance profile over the problems that have a target: median observation of each method."""
    protocol = scorer.protocol
    problems = [name for name, target in protocol.targets.items() if target is not None]
    if len(problems) < 2:
        return None
    table = []
    for method in protocol.methods:
        row = []
        for problem in problems:
            runs = scorer.of(problem, method, Phase.CONFIRM)
            median = (
                quantile_or_none(scorer.times(problem, method, runs, _required(protocol, problem)), 0.5)
                if runs
                else None
            )
            row.append(math.inf if median is None else median)
        table.append(row)
    profile = performance_profile(table)
    return {
        "problems": problems,
        "score": dict(zip(protocol.methods, map(float, profile.score), strict=True)),
        "tau": [float(t) for t in profile.tau],
        "rho": {name: [float(v) for v in rho] for name, rho in zip(protocol.methods, profile.rho, strict=True)},
    }


def _required(protocol: Protocol, problem: str) -> Target:
    target = protocol.targets[problem]
    assert target is not None
    return target


def _protocol(protocol: Protocol, notes: Mapping[str, Any]) -> dict[str, Any]:
    question, folder = protocol.question_part, protocol.folder_part
    commands = notes["target_commands"]
    return {
        "hash": protocol.hash,
        "folder_hash": protocol.folder_hash,
        "methods": question["methods"],
        "studies": protocol.studies,
        "trials": protocol.trials,
        "seeds": protocol.seeds,
        "budget": str(protocol.budget),
        "evaluations": protocol.evaluations,
        "target": question["targets"],
        "metric": dict(protocol.metrics),
        "axis": protocol.axis,
        "level": protocol.level,
        "margin": protocol.margin,
        "resamples": protocol.resamples,
        "dtype": protocol.dtype,
        "device": protocol.device,
        "seed": protocol.seed,
        "problems": {n: {**p, "target_command": commands[n]} for n, p in folder["problems"].items()},
    }


def _by_study(runs: Sequence[Run]) -> dict[int, list[Run]]:
    groups: dict[int, list[Run]] = {}
    for run in runs:
        assert run.name is not None
        groups.setdefault(run.name.study, []).append(run)
    return groups


def _null(number: float | None) -> float | None:
    return number if number is not None and math.isfinite(number) else None
