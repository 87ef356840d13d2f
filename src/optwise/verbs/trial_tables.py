"""Trials as a table: a row a trial with its hyperparameters, what it reached, when, and what it spent."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from optwise.core.budget import SECONDS
from optwise.core.metric import Direction
from optwise.core.outcomes import best_value
from optwise.core.protocol import Protocol
from optwise.core.race import Race
from optwise.core.run import Run, TrialName
from optwise.core.spending import StepTime
from optwise.store.frames import hyperparameter_frame

if TYPE_CHECKING:
    import pandas as pd


def trial_frame(document: Mapping[str, Any], protocol: Protocol, runs: Sequence[Run]) -> pd.DataFrame:
    """One row a trial of tuned methods.

    Columns: the address (``trial`` and its parts ``problem``, ``method``, ``phase``, ``study``, ``index``), ``seed``,
    ``status``, ``infeasible``, ``selected`` (whether its study chose this setting), a column for each hyperparameter,
    ``metric`` with its value at the ``start`` and the ``end`` and the ``best`` one at ``best_step``, ``target`` with
    ``steps_to_target`` and ``time_to_target`` on the protocol's axis (NaN for a miss), and what was spent, a column
    for each counter.

    Args:
        document: The results.
        protocol: What was asked.
        runs: Its trials.
    """
    settings = {(name, each["study"]): each["index"] for name, each in _selected(document)}
    rows = []
    for run in runs:
        name = address(run)
        metric = protocol.metrics[name.problem]
        direction = Direction(protocol.problems[name.problem]["metrics"][metric.rpartition("/")[2]])
        chosen = settings.get(((name.problem, name.method), name.study))
        rows.append(
            {
                **_labels(run),
                "infeasible": run.infeasible,
                "selected": chosen is not None and (name.confirm or chosen == name.index),
                **_reached(run, metric, direction),
                **_arrival(run, document, protocol),
            }
        )
    return _table(rows, runs)


def race_frame(race: Race, runs: Sequence[Run]) -> pd.DataFrame:
    """One row a run of a solver.

    Columns: the address as :func:`trial_frame` has it, ``status``, a column for each hyperparameter, the ``value`` of
    the answer, the ``certificate`` with its number ``proved`` beside what was asked, ``tol``, the ``seconds``, and what
    was spent, a column for each counter.

    Args:
        race: What was asked.
        runs: All of it.
    """
    rows = []
    for run in runs:
        answers = run.curve("answer") or run.curve("objective")
        proof = run.certificate
        rows.append(
            {
                **_labels(run),
                "value": answers[-1][1] if answers else math.nan,
                "certificate": None if proof is None else proof.name,
                "proved": math.nan if proof is None else proof.value,
                "tol": race.tol,
                "seconds": math.nan if run.seconds is None else run.seconds,
            }
        )
    return _table(rows, runs)


def address(run: Run) -> TrialName:
    """The address that every run of a comparison has."""
    assert run.name is not None
    return run.name


def _labels(run: Run) -> dict[str, Any]:
    name = address(run)
    return {
        "trial": str(name),
        "problem": name.problem,
        "method": name.method,
        "phase": name.phase.value,
        "study": name.study,
        "index": name.index,
        "seed": run.seed,
        "status": run.status.value,
    }


def _reached(run: Run, metric: str, direction: Direction) -> dict[str, Any]:
    curve, best = run.curve(metric), best_value(run, metric, direction)
    at = next((step for step, value in curve if step > 0 and value == best), None)
    return {
        "metric": metric,
        "start": curve[0][1] if curve else math.nan,
        "end": curve[-1][1] if curve else math.nan,
        "best": best if at is not None else math.nan,
        "best_step": math.nan if at is None else float(at),
    }


def _arrival(run: Run, document: Mapping[str, Any], protocol: Protocol) -> dict[str, Any]:
    name = address(run)
    target = protocol.targets.get(name.problem)
    step = None if target is None else run.steps_to(target)
    timing = None
    if protocol.axis == SECONDS:
        execution = document["problems"][name.problem]["methods"][name.method].get("execution") or {}
        timing = StepTime(float(execution.get("step_seconds", math.nan)), execution.get("step_evaluations", 1.0))
    time = math.nan if step is None else run.spent(protocol.axis, step, timing=timing)
    return {
        "target": None if target is None else str(target),
        "steps_to_target": math.nan if step is None else float(step),
        "time_to_target": time,
    }


def _selected(document: Mapping[str, Any]) -> list[tuple[tuple[str, str], Mapping[str, Any]]]:
    return [
        ((problem, method), each)
        for problem, result in document["problems"].items()
        for method, told in result["methods"].items()
        for each in told.get("selected") or []
        if each is not None
    ]


def _table(rows: Sequence[Mapping[str, Any]], runs: Sequence[Run]) -> pd.DataFrame:
    """Labels, hyperparameters, results and counters, in this order."""
    import pandas as pd

    plain = pd.DataFrame(rows)
    labels = [name for name in (*_LABELS, "infeasible", "selected") if name in plain]
    rest = [name for name in plain if name not in labels]
    units = dict.fromkeys(unit for run in runs for unit in run.counts)
    counters = pd.DataFrame({unit: [run.counts.get(unit, math.nan) for run in runs] for unit in units})
    counters = counters.rename(columns={unit: f"spent {unit}" for unit in units if unit in plain})
    values = hyperparameter_frame([run.method.values() for run in runs], taken=[*plain.columns, *counters.columns])
    return pd.concat([plain[labels], values, plain[rest], counters], axis=1)


_LABELS = ("trial", "problem", "method", "phase", "study", "index", "seed", "status")
