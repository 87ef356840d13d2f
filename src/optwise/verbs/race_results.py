"""From the runs of solvers to the results document: values against the best, counts, seconds with their range."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from optwise.core.plain import plain
from optwise.core.race import KIND, Race, suboptimality
from optwise.core.run import Run
from optwise.numerics.profiles import performance_profile
from optwise.report.race_words import race_verdict
from optwise.verbs.racing import ANSWER, work_of
from optwise.verbs.solutions import certified

MARKS = ("1e-2", "1e-4", "1e-6", "1e-8", "1e-10")
"""Relative suboptimalities at which times are told."""
TAU = 16.0
"""Largest factor of the fastest that a profile shows."""


def race_document(
    race: Race, runs: Sequence[Run], refusals: Mapping[tuple[str, str], str], environment: Mapping[str, Any]
) -> dict[str, Any]:
    """The results of a comparison of solvers as plain JSON.

    Args:
        race: What was compared.
        runs: Every run of it.
        refusals: Why a method was not run on a problem, by both names.
        environment: Where it ran.
    """
    problems = {name: _problem(race, name, runs, refusals) for name in race.problems}
    document: dict[str, Any] = {
        "schema": 1,
        "kind": KIND,
        "verdict": "",
        "protocol": {
            "hash": race.hash,
            "methods": list(race.methods),
            "tol": race.tol,
            "max_seconds": race.max_seconds,
            "repeats": race.repeats,
        },
        "environment": dict(environment),
        "problems": problems,
        "profiles": _profiles(race, problems),
        "runs": sorted(run.key for run in runs),
    }
    document["verdict"] = race_verdict(document)
    found: dict[str, Any] = plain(document)
    return found


def _problem(race: Race, problem: str, runs: Sequence[Run], refusals: Mapping[tuple[str, str], str]) -> dict[str, Any]:
    own = {method: _of(runs, problem, method) for method in race.methods}
    best = _best(race, problem, own)
    methods = {
        method: (
            {"status": "not eligible", "certified": False, "refusal": refusals[problem, method]}
            if (problem, method) in refusals
            else _method(own[method], best)
        )
        for method in race.methods
    }
    return {**race.problems[problem], "best": best, "methods": methods, "checks": _checks(race, problem, own, methods)}


ROOM = 1e-8
"""Part of the value at the start that a drawn suboptimality is relative to at least: an optimum can be 0."""


def _of(runs: Sequence[Run], problem: str, method: str) -> list[Run]:
    return [run for run in runs if run.name is not None and (run.name.problem, run.name.method) == (problem, method)]


def _value(run: Run) -> float:
    """The objective at the answer, as the certificate's float64 has it."""
    return next((value for _, value in run.curve(ANSWER)), math.nan)


def _best(race: Race, problem: str, own: Mapping[str, Sequence[Run]]) -> dict[str, Any]:
    """The value that others are held against, and who knows it."""
    described = race.problems[problem]
    first = (value for runs in own.values() for run in runs for _, value in run.curve("objective")[:1])
    scale = ROOM * max((abs(value) for value in first if math.isfinite(value)), default=1.0)
    if described["optimum"] is not None:
        return {"value": described["optimum"], "source": f"known: {described['optimum_source']}", "scale": scale}
    proved = [(m, r) for m, rs in own.items() for r in rs[:1] if certified(r)]
    if proved:
        method, run = min(proved, key=lambda pair: pair[1].certificate.value if pair[1].certificate else math.inf)
        lowest = min(proved, key=lambda pair: _value(pair[1]))
        assert run.certificate is not None
        return {
            "value": _value(lowest[1]),
            "source": f"the lowest certified value, of {lowest[0]}; {method} proves {run.certificate.value:.1e}",
            "scale": scale,
        }
    values = [(m, _value(r)) for m, rs in own.items() for r in rs[:1] if math.isfinite(_value(r))]
    if not values:
        return {"value": None, "source": "no method found a finite value", "scale": scale}
    method, value = min(values, key=lambda pair: pair[1])
    return {"value": value, "source": f"the lowest value found, of {method}; nothing was proved", "scale": scale}


def _method(runs: Sequence[Run], best: Mapping[str, Any]) -> dict[str, Any]:
    first = runs[0]
    proof, seconds = first.certificate, [run.seconds for run in runs if run.seconds is not None]
    return {
        "status": first.status.value,
        "certified": certified(first),
        "certificate": None
        if proof is None
        else {"kind": proof.kind.value, "name": proof.name, "value": _finite(proof.value), "scale": proof.scale},
        "value": _finite(_value(first)),
        "suboptimality": _finite(suboptimality(_value(first), best["value"], best["scale"])),
        "iterations": int(first.counts.get("iterations", 0)),
        "gradient_equivalents": work_of(first.counts),
        "counts": dict(first.counts),
        "seconds": {
            "median": statistics.median(seconds) if seconds else None,
            "low": min(seconds, default=None),
            "high": max(seconds, default=None),
            "n": len(seconds),
        },
        "seconds_to": {mark: _first_time(first, best, float(mark)) for mark in MARKS},
        "why": "" if first.execution is None else first.execution.reason,
        "failure": first.traceback.strip().splitlines()[-1] if first.traceback else "",
    }


def _first_time(run: Run, best: Mapping[str, Any], mark: float) -> float | None:
    """Seconds after which the suboptimality stays at or below a mark; null where it never does."""
    seconds, reached = dict(run.curve("seconds")), None
    for k, value in reversed(run.curve("objective")):
        if not suboptimality(value, best["value"], best["scale"]) <= mark:
            break
        reached = seconds.get(k)
    return reached


def _checks(
    race: Race, problem: str, own: Mapping[str, Sequence[Run]], methods: Mapping[str, Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """What a reader should know before believing a number."""
    found = []
    for method, runs in own.items():
        if not runs:
            continue
        same = all(run.counts == runs[0].counts and _value(run) == _value(runs[0]) for run in runs)
        found.append(
            _check(
                method,
                "repeats",
                same or len(runs) == 1,
                f"{len(runs)} runs with the same counts and the same value"
                if same
                else f"{len(runs)} runs differ in their counts or values: something in {problem} is not deterministic",
            )
        )
        told = methods[method]
        if not told["certified"]:
            limit = f" within {race.max_seconds:g} s" if told["status"] == "budget spent" else ""
            reached = told["certificate"]["value"] if told["certificate"] else None
            shown = "nothing" if reached is None else f"{reached:.1e}"
            found.append(
                _check(method, "certificate", False, f"{told['status']}{limit}: proves {shown}, asked {race.tol:g}")
            )
        seconds = told["seconds"]
        if seconds["n"] > 1:
            spread = seconds["high"] / max(seconds["low"], 1e-12)
            found.append(_check(method, "timing", spread <= 2, f"slowest over fastest repeat {spread:.2f}"))
    return found


def _check(method: str, check: str, passed: bool, evidence: str) -> dict[str, Any]:  # noqa: FBT001 - its outcome
    return {"method": method, "check": check, "status": "pass" if passed else "warn", "evidence": evidence}


def _profiles(race: Race, problems: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Performance profiles over the problems, by axis; none for a single problem."""
    if len(problems) < 2:
        return {}
    readings: dict[str, Callable[[Mapping[str, Any]], float]] = {
        "seconds": lambda told: float(told["seconds"]["median"]),
        "gradient equivalents": lambda told: float(told["gradient_equivalents"]),
    }
    found = {}
    for axis, reading in readings.items():
        times = np.array(
            [
                [
                    max(reading(p["methods"][m]), 1e-9) if p["methods"][m]["certified"] else math.inf
                    for p in problems.values()
                ]
                for m in race.methods
            ]
        )
        profile = performance_profile(times, tau_max=TAU)
        found[axis] = {
            "tau": profile.tau.tolist(),
            "rho": {m: profile.rho[i].tolist() for i, m in enumerate(race.methods)},
            "score": {m: float(profile.score[i]) for i, m in enumerate(race.methods)},
            "solved": {m: float(np.isfinite(times[i]).mean()) for i, m in enumerate(race.methods)},
        }
    return found


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
