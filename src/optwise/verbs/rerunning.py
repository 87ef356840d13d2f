"""One stored trial run again, alone, and held against its record."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from optwise.core.budget import STEPS, Budget
from optwise.core.errors import BadFolder, UnknownName
from optwise.core.method import Method
from optwise.core.problem import Problem
from optwise.core.protocol import Protocol
from optwise.core.race import KIND
from optwise.core.run import Run, TrialName
from optwise.core.sampler import Full, Poisson, Sampler, Shuffled, Stream, WithReplacement, describe
from optwise.engine.chunks import Chunk, Trial
from optwise.engine.loop import run_chunk
from optwise.engine.rungs import RungName
from optwise.store.folder import Folder
from optwise.verbs.comparing_solvers import recalled_race
from optwise.verbs.racing import line_up, solved
from optwise.verbs.recalling import kind_of, latest_protocol, recall

TOLERANCE = 1e-4
"""Relative; float32 trajectories that are not chaotic agree this well between rungs."""


@dataclass(frozen=True)
class RerunReport:
    """A trial beside its record.

    Args:
        same: Whether every stored number came out within tolerance.
        document: Both curves and the largest relative difference.
        run: The new run, weights included.
    """

    same: bool
    document: dict[str, Any]
    run: Run

    @property
    def sentence(self) -> str:
        """In words."""
        d = self.document
        if d["largest_difference"] is None:
            return f"{d['trial']} ran again ({d['status']}); the record holds no curve to compare with."
        verdict = "the same as its record" if self.same else "different from its record"
        exact = (
            " bit for bit"
            if d["largest_difference"] == 0
            else f" (largest relative difference {d['largest_difference']:.1e})"
        )
        chaos = (
            "" if self.same else "; at high learning rates rounding alone is amplified, see the step where they part"
        )
        return f"{d['trial']} is {verdict}{exact}, run as {d['rung']} against {d['stored_rung']}{chaos}."


def rerun(
    folder: Path | str,
    trial: str,
    *,
    load_problem: Callable[[str], Problem],
    load_method: Callable[[Mapping[str, Any]], Method],
) -> RerunReport:
    """Run a stored trial again in the company it had, and compare the curves.

    Args:
        folder: Of the comparison.
        trial: Its address, ``problem/method/study/index``.
        load_problem: Builds a problem from its reference.
        load_method: Builds a closed method from its description.

    Raises:
        BadFolder: The problem cannot be built from the record, or is another one now.
        UnknownName: No such trial.
    """
    name = TrialName.parse(trial)
    with Folder.existing(folder) as opened:
        if kind_of(opened) == KIND:
            return _solved_again(opened, name, load_problem, load_method)
        protocol, notes = latest_protocol(opened)
        runs = {run.key: run for run in recall(opened)}  # a chunk may hold trials that the latest protocol left out
        chunks = opened.chunks()
    asked = [runs[key] for key in notes["keys"] if key in runs]
    stored = next((run for run in asked if run.name == name), None)
    if stored is None:
        raise UnknownName("trial", trial, sorted(str(run.name) for run in asked)[:8])
    problem = _problem(protocol, name.problem, load_problem)
    company = next((c.keys for c in chunks if stored.key in c.keys), (stored.key,))
    batched = stored.execution is not None and stored.execution.rows > 1
    own = [runs[key] for key in company if key in runs] if batched else [stored]
    plan = notes["plans"][f"{name.problem}/{name.method}"]
    solo = stored.execution is None or stored.execution.rung == "solo"
    rung: RungName = "solo" if solo else plan["choice"]["rung"]
    again = _run(protocol, problem, own, plan, load_method, rung=rung)
    run = again[[r.key for r in own].index(stored.key)]
    return _report(stored, run)


def _solved_again(
    folder: Folder,
    name: TrialName,
    load_problem: Callable[[str], Problem],
    load_method: Callable[[Mapping[str, Any]], Method],
) -> RerunReport:
    """A run of a solver once more; everything but its seconds is held against the record."""
    race, runs = recalled_race(folder)
    stored = next((run for run in runs if run.name == name), None)
    if stored is None:
        raise UnknownName("trial", str(name), sorted(str(run.name) for run in runs)[:8])
    described = race.problems[name.problem]
    if not described["reference"]:
        raise BadFolder(f"{name.problem} was built in a script and cannot be built from the record; run it from there.")
    problem = load_problem(described["reference"])
    if problem.fingerprint() != described["fingerprint"]:
        raise BadFolder(f"{name.problem} is not what the folder ran: its data or terms were edited since.")
    solver = load_method(race.methods[name.method].describe())
    field = line_up({name.problem: problem}, {name.method: solver}, tol=race.tol, max_seconds=race.max_seconds)
    timeless = tuple(m for m in stored.measurements if m.metric != "seconds")
    return _report(replace(stored, measurements=timeless), solved(field, name))


def _problem(protocol: Protocol, name: str, load_problem: Callable[[str], Problem]) -> Problem:
    described = protocol.problems[name]
    if not described["reference"]:
        raise BadFolder(f"{name} was built in a script and cannot be built from the record; run the trial from Python.")
    problem = load_problem(described["reference"])
    if describe(problem.sampler) != described["sampler"]:
        problem = problem.with_sampler(_sampler(problem.sampler, described["sampler"]))
    if problem.fingerprint() != described["fingerprint"]:
        raise BadFolder(f"{name} is not what the folder ran: its data, network, loss or sampler was edited since.")
    return problem


def _sampler(shipped: Sampler, described: Mapping[str, Any]) -> Sampler:
    """The sampler of the record; a stream keeps its source and takes the numbers."""
    numbers = {field: value for field, value in described.items() if field != "class"}
    if described["class"] == type(shipped).__name__ and isinstance(shipped, Stream):
        return replace(shipped, **numbers)
    kinds = {kind.__name__: kind for kind in (Full, Shuffled, WithReplacement, Poisson)}
    return kinds[described["class"]](**numbers) if described["class"] in kinds else shipped


def _run(
    protocol: Protocol,
    problem: Problem,
    runs: list[Run],
    plan: Mapping[str, Any],
    load_method: Callable[[Mapping[str, Any]], Method],
    *,
    rung: RungName,
) -> tuple[Run, ...]:
    trials = []
    for run in runs:
        assert run.name is not None
        trials.append(Trial(run.name, run.key, load_method(run.method.describe()), run.seed))
    steps = int(plan["steps"])
    budget = Budget.parse(plan.get("allowance", f"{steps}steps"))
    chunk = Chunk(
        id="rerun",
        rung=rung,
        rows=1 if rung == "solo" else int(plan["choice"]["rows"]),
        steps=steps,
        evaluation_steps=protocol.evaluation_steps(steps),
        dtype=protocol.dtype,
        device=protocol.device,
        trials=tuple(trials),
        keep_weights=True,
        reason="rerun",
        budget=None if budget.unit == STEPS else budget,
        keep_best=protocol.metrics[problem.name],
    )
    return run_chunk(problem, chunk).runs


def _report(stored: Run, run: Run) -> RerunReport:
    curves = {m.name: stored.curve(m.name) for m in stored.measurements}
    largest: float | None = None
    parted: int | None = None
    for metric, curve in curves.items():
        new = dict(run.curve(metric))
        for step, value in curve:
            other = new.get(step, np.nan)
            if value == other or (np.isnan(value) and np.isnan(other)):
                difference = 0.0
            else:
                difference = abs(value - other) / max(abs(value), 1e-12)
            difference = float("inf") if np.isnan(difference) else float(difference)
            largest = difference if largest is None else max(largest, difference)
            if difference > TOLERANCE and (parted is None or step < parted):
                parted = step
    same = largest is None or (largest <= TOLERANCE and run.status is stored.status)
    document = {
        "trial": str(stored.name),
        "same": same,
        "largest_difference": None if largest is None or np.isinf(largest) else largest,
        "parted_at_step": parted,
        "status": run.status.value,
        "stored_status": stored.status.value,
        "rung": run.execution.rung if run.execution else None,
        "stored_rung": stored.execution.rung if stored.execution else None,
        "seed": stored.seed,
        "point": dict(stored.point),
        "curves": {
            metric: {
                "steps": [k for k, _ in curve],
                "stored": [_plain(v) for _, v in curve],
                "again": [_plain(v) for _, v in run.curve(metric)],
            }
            for metric, curve in curves.items()
        },
    }
    return RerunReport(same, document, run)


def _plain(value: float) -> float | None:
    return value if np.isfinite(value) else None
