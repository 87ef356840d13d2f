"""From a folder's trials to the results document: scored, judged, said in words; nothing is run."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any

import numpy as np

from optwise.analyses.checks import CHECKS, elsewhere, method_checks, problem_checks
from optwise.analyses.headlines import headline, line, overall_headline
from optwise.analyses.judging import DROPPED, LOOKS, PLEDGED, Judged, judge, power, question
from optwise.analyses.merging import merged
from optwise.analyses.observations import Observations, mean_ranks
from optwise.analyses.observing import HORIZON, Scorer, finite_or_none
from optwise.analyses.predictions import predictions
from optwise.analyses.question_checks import left_out, looks, named_late
from optwise.analyses.sentences import Told, effort_sentence, pair_sentence, verdict_sentence
from optwise.analyses.spending_check import equal_spending
from optwise.analyses.subject import Subject
from optwise.analyses.summaries import method_summary
from optwise.analyses.sweeping import hangs_on_target, sensitivity, whole_curve
from optwise.analyses.target_curve import curve_targets
from optwise.analyses.verdict import Verdict
from optwise.core.finding import Finding, Grade
from optwise.core.metric import Direction, Target
from optwise.core.protocol import Protocol
from optwise.core.run import Phase, Run
from optwise.numerics.rng import derive_seed, numpy_generator
from optwise.numerics.statistics import (
    median_or_none,
    performance_profile,
    winner_stability,
)


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
        "headline": overall_headline(
            [p["headline"] for p in problems.values()], [p["leader"] for p in problems.values()]
        ),
        "verdict": " ".join(sentences),
        "protocol": _protocol(protocol, notes),
        "environment": {},
        "problems": problems,
        "profile": profile,
    }


def _problem(scorer: Scorer, problem: str) -> dict[str, Any]:
    protocol = scorer.protocol
    target, metric = protocol.targets[problem], protocol.metrics[problem]
    asked = question(scorer, problem)
    observed = {name: scorer.observations(problem, name, target) for name in protocol.methods}
    judged = judge(observed, asked)
    methods = {name: method_summary(scorer, problem, name, observed[name]) for name in protocol.methods}
    stability = _stability(scorer, problem, observed)
    pairs = [_pair(scorer, problem, v) for v in judged.found]
    checks = _checks(scorer, problem, pairs, stability)
    for pair in pairs:
        pair["warnings"] = _warnings(checks, pair)
    sweep = [] if target is None else sensitivity(scorer, problem, target, asked)
    hangs = hangs_on_target(target, sweep)
    told = Told(
        problem,
        order=judged.order,
        leader=judged.leader,
        idle=[name for name, o in observed.items() if not o.usable],
        found=judged.found,
        target=target,
        metric=metric,
        axis=protocol.axis,
    )
    effort = _effort(protocol, problem)
    limit = scorer.limit(problem)
    gap = scorer.resolution(problem)
    return {
        "headline": headline(told),
        "line": line(
            leader=judged.leader,
            found=judged.found,
            effort=effort,
            checks=checks,
            hangs=hangs["sentence"] if hangs["answer"] else "",
        ),
        "order": judged.order,
        "mean_ranks": {name: float(np.mean(ranks)) for name, ranks in mean_ranks(observed).items()},
        "methods": methods,
        "verdicts": pairs,
        "leader": judged.leader,
        "limit": {"axis": protocol.axis, "amount": finite_or_none(limit)},
        "resolution": {"axis": protocol.axis, "amount": gap, "share": finite_or_none(gap / limit)},
        "target_curve": None if target is None else whole_curve(scorer, problem, target, asked),
        "winner_stability": stability,
        "sensitivity": sweep,
        "hangs_on_target": hangs,
        "power": power(judged, protocol),
        "checks": [_check(finding) for finding in checks],
        "sentence": verdict_sentence(told, effort) + _nobody_arrived(scorer, problem, target, judged),
    }


def _stability(scorer: Scorer, problem: str, observed: Mapping[str, Observations]) -> dict[str, float]:
    """The share of resampled sets of studies in which each method comes first in the one order's ranks."""
    ranks = mean_ranks(observed)
    rng = numpy_generator(derive_seed(scorer.protocol.seed, problem, "stability"))
    resamples = scorer.protocol.resamples
    return winner_stability(ranks, rng=rng, resamples=resamples, average=np.mean) if ranks else {}


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


def _nobody_arrived(scorer: Scorer, problem: str, target: Target | None, judged: Judged) -> str:
    """Where no run arrived: what was reached, and a target that half of the runs reach."""
    usable = [o for o in judged.observed.values() if o.usable]
    if target is None or not usable or any(o.misses < o.seeds for o in usable):
        return ""
    reachable = curve_targets(scorer, problem, target)
    if not reachable:
        return " Half of the runs get no better than the start."
    return f" Half of the runs reach and hold {_rounded(reachable[-1])}: score with such a target."


def _rounded(target: Target) -> Target:
    """Three digits, towards the easier side."""
    if target.value == 0:
        return target
    digits = 2 - math.floor(math.log10(abs(target.value)))
    scaled = target.value * 10.0**digits
    away = math.ceil(scaled) if target.direction is Direction.MIN else math.floor(scaled)
    return replace(target, value=float(f"{away / 10.0**digits:.3g}"))


def _pair(scorer: Scorer, problem: str, v: Verdict) -> dict[str, Any]:
    protocol, target = scorer.protocol, scorer.protocol.targets[problem]
    axis = None if target is None else protocol.axis
    if v.difference is not None:  # observations are turned so that lower is better; what is told is not
        v = _as_measured(v, scorer.direction(problem) if target is None else Direction.MIN)
    return {
        "a": v.a,
        "b": v.b,
        "asked": True,
        "words": v.words,
        "because": v.because,
        "ratio": v.ratio,
        "ratio_low": v.low,
        "ratio_high": v.high,
        "bound": v.bound,
        "difference": v.difference,
        "p": v.p,
        "p_adjusted": v.p_adjusted,
        "p_a_better": v.share,
        "share_of_pairs": v.share,
        "n": v.n,
        "misses_a": v.misses_a,
        "misses_b": v.misses_b,
        "studies_needed": v.studies_needed,
        "evaluations_needed": v.evaluations_needed,
        "separated_at": v.separated_at,
        "smallest_ratio": v.smallest,
        "metric": protocol.metrics[problem] if target is None else target.metric,
        "axis": axis,
        "sentence": pair_sentence(v, axis=axis, metric=protocol.metrics[problem]),
    }


def _as_measured(v: Verdict, direction: Direction) -> Verdict:
    if direction is Direction.MIN or v.difference is None:
        return v
    low, high = (None if end is None else -end for end in (v.high, v.low))
    return replace(v, difference=-v.difference, low=low, high=high)


def _checks(
    scorer: Scorer, problem: str, pairs: Sequence[Mapping[str, Any]], stability: Mapping[str, float]
) -> list[Finding]:
    protocol, notes = scorer.protocol, scorer.notes["methods"]
    metric, direction, target = protocol.metrics[problem], scorer.direction(problem), protocol.targets[problem]

    def arrives(run: Run) -> bool:
        return target is not None and math.isfinite(scorer.arrival(run, target).high)

    subjects = {
        name: Subject(
            problem, name, metric, direction, target, tuned=method.is_open, arrives=arrives, axis=protocol.axis
        )
        for name, method in protocol.methods.items()
    }
    others = elsewhere(problem, scorer.runs, next(iter(subjects.values())).loss)
    per_method = [
        method_checks(
            subjects[name],
            space=method.space,
            search=scorer.of(problem, name, Phase.EXPLORE),
            confirm=scorer.of(problem, name, Phase.CONFIRM),
            needs_horizon=notes[name][HORIZON],
            paid=scorer.paid(problem, name),
            borrowed=notes[name]["borrowed_space"],
            margin=protocol.margin,
            elsewhere=others.get(name),
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
        spent=scorer.spent,
    )
    everything = {name: scorer.everything(problem, name) for name in protocol.methods}
    spending = equal_spending(problem, everything, budget=protocol.budget, axis=protocol.axis)
    earlier, pledged = scorer.notes.get(LOOKS) or (), scorer.notes.get(PLEDGED)
    asked = [
        named_late(problem, protocol.against, pledged),
        left_out(problem, scorer.notes.get(DROPPED) or ()),
        looks(problem, protocol.studies, earlier),
    ]
    found = [*chain.from_iterable(per_method), *across, *spending, *(f for f in asked if f is not None)]
    return merged(found, problem)


_ASKS = {check.name: check.asks for check in CHECKS}
"""Rule to the question that it answers."""


def _check(finding: Finding) -> dict[str, Any]:
    """A finding as plain JSON: ``parts`` are those that were merged into it, ``risk`` orders what is open."""
    return {
        "method": finding.subject.partition("/")[2],
        "methods": list(finding.methods),
        "check": finding.check,
        "asks": _ASKS.get(finding.check, ""),
        "status": finding.grade.value,
        "risk": None if finding.risk is None else finding.risk.rank,
        "at_risk": "" if finding.risk is None else finding.risk.value,
        "head": finding.head,
        "evidence": finding.evidence,
        "advice": finding.advice,
        "value": finite_or_none(finding.value),
        "low": finite_or_none(finding.interval.low) if finding.interval else None,
        "high": finite_or_none(finding.interval.high) if finding.interval else None,
        "source": finding.source,
        "link": finding.link,
        "parts": [_check(part) for part in finding.parts],
        "wider": vars(finding.wider) if finding.wider else None,
    }


def _warnings(checks: Sequence[Finding], pair: Mapping[str, Any]) -> list[str]:
    own = {pair["a"], pair["b"]}
    return sorted({f.check for f in checks if f.grade is not Grade.PASS and own & set(f.methods)})


def _profile(scorer: Scorer) -> dict[str, Any] | None:
    """Performance profile over the problems that have a target: median observation of each method."""
    protocol = scorer.protocol
    problems = {name: target for name, target in protocol.targets.items() if target is not None}
    if len(problems) < 2:
        return None
    table = []
    for method in protocol.methods:
        row = []
        for problem, target in problems.items():
            runs = scorer.of(problem, method, Phase.CONFIRM)
            median = median_or_none(scorer.times(runs, target)) if runs else None
            row.append(math.inf if median is None else median)
        table.append(row)
    profile = performance_profile(table)
    return {
        "problems": list(problems),
        "score": dict(zip(protocol.methods, map(float, profile.score), strict=True)),
        "tau": [float(t) for t in profile.tau],
        "rho": {name: [float(v) for v in rho] for name, rho in zip(protocol.methods, profile.rho, strict=True)},
    }


def _origin(protocol: Protocol, notes: Mapping[str, Any], problem: str) -> str:
    """Where the target comes from: what set the problem's own one, which it need not be; empty where nobody knows."""
    own, target = (notes.get("own_targets") or {}).get(problem), protocol.targets[problem]
    if target is None or own is None:
        return ""
    return str(notes["target_commands"][problem]) if str(target) == own else "given by the caller"


def _protocol(protocol: Protocol, notes: Mapping[str, Any]) -> dict[str, Any]:
    asked, folder = protocol.question_part, protocol.folder_part
    return {
        "hash": protocol.hash,
        "folder_hash": protocol.folder_hash,
        "methods": asked["methods"],
        "studies": protocol.studies,
        "trials": protocol.trials,
        "seeds": protocol.seeds,
        "budget": str(protocol.budget),
        "evaluations": protocol.evaluations,
        "target": asked["targets"],
        "metric": dict(protocol.metrics),
        "axis": protocol.axis,
        "against": protocol.against,
        "looks": list(protocol.looks),
        "level": protocol.level,
        "margin": protocol.margin,
        "resamples": protocol.resamples,
        "dtype": protocol.dtype,
        "device": protocol.device,
        "seed": protocol.seed,
        "problems": {n: {**p, "target_command": _origin(protocol, notes, n)} for n, p in folder["problems"].items()},
    }
