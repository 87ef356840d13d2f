"""From a folder's trials to the results document: scored, judged, said in words; nothing is run."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any

from optwise.analyses.checks import method_checks, problem_checks
from optwise.analyses.observing import HORIZON, Scorer, finite_or_none
from optwise.analyses.predictions import predictions
from optwise.analyses.ranking import Observations, Verdict, leader, verdicts
from optwise.analyses.sentences import effort_sentence, pair_sentence, verdict_sentence
from optwise.analyses.spending_check import equal_spending
from optwise.analyses.subject import Subject
from optwise.analyses.summaries import method_summary
from optwise.core.finding import Finding
from optwise.core.metric import Direction, Target
from optwise.core.protocol import Protocol
from optwise.core.run import Phase, Run
from optwise.numerics.rng import derive_seed, numpy_generator
from optwise.numerics.statistics import (
    performance_profile,
    quantile_or_none,
    winner_stability,
)

SENSITIVITY = (0.9, 0.95, 1.0, 1.05, 1.1, 1.25, 1.5)
"""Factors on the target at which the ranking is looked at again."""


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
    methods = {name: method_summary(scorer, problem, name, observed[name]) for name in protocol.methods}
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
            predictions=predictions(scorer, problem, name),
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
    everything = {
        name: [run for phase in Phase for run in scorer.of(problem, name, phase)] for name in protocol.methods
    }
    spending = equal_spending(problem, everything, budget=protocol.budget, axis=protocol.axis)
    return [*chain.from_iterable(per_method), *across, *spending]


def _check(finding: Finding) -> dict[str, Any]:
    return {
        "method": finding.subject.partition("/")[2],
        "check": finding.check,
        "status": finding.grade.value,
        "evidence": finding.evidence,
        "advice": finding.advice,
        "value": finite_or_none(finding.value),
        "low": finite_or_none(finding.interval.low) if finding.interval else None,
        "high": finite_or_none(finding.interval.high) if finding.interval else None,
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
