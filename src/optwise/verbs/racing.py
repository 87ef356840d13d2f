"""Solvers compared: each solves each problem to the same certificate, and each run is stored as it ends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from optwise.analyses.certificates.precision import reachable
from optwise.core.composite import Composite, start_row
from optwise.core.errors import BadProtocol, UnmetNeed
from optwise.core.matching import mismatch
from optwise.core.method import Method
from optwise.core.plain import digest
from optwise.core.problem import Problem
from optwise.core.race import Race
from optwise.core.run import HeldWeights, Measurement, Run, TrialName
from optwise.core.sampler import Full
from optwise.core.solver import Solver
from optwise.engine.loop import OneThread
from optwise.store.folder import Folder
from optwise.store.records import StoredRun
from optwise.verbs.executing import versions
from optwise.verbs.progress import Progress
from optwise.verbs.recalling import recall
from optwise.verbs.solutions import certified
from optwise.verbs.solving import solve

if TYPE_CHECKING:
    import pandas as pd

ANSWER = "answer"
"""The metric under which the value of the answer is stored, recomputed in float64."""
MOST_ROWS = 2000
"""Rows of a stored trace; longer ones are thinned geometrically, both ends kept."""


@dataclass(frozen=True, eq=False)
class Field:
    """A race with the objects it speaks of, ready to be run.

    Args:
        race: What is compared, and how.
        problems: By name, over all their examples.
        solvers: By name, closed.
        refusals: Why a solver cannot work on a problem, by both names.
    """

    race: Race
    problems: Mapping[str, Problem]
    solvers: Mapping[str, Solver]
    refusals: Mapping[tuple[str, str], str]


def line_up(
    problems: Mapping[str, Problem],
    methods: Mapping[str, Method],
    *,
    tol: float = 1e-6,
    max_seconds: float = 60.0,
    repeats: int = 5,
) -> Field:
    """Freeze the race, or refuse it.

    Args:
        problems: By name.
        methods: Closed solvers by name.
        tol: What each certificate must reach.
        max_seconds: After which a run is ended.
        repeats: Of each run, for its seconds.

    Raises:
        CallerError: A tolerance that a problem's dtype cannot reach, a solver that fits none of the problems.
    """
    whole = {
        name: problem if isinstance(problem.sampler, Full) else problem.with_sampler(Full())
        for name, problem in problems.items()
    }
    solvers = {name: method for name, method in methods.items() if isinstance(method, Solver)}
    refusals = {
        (problem, name): refusal
        for problem in whole
        for name, solver in solvers.items()
        if (refusal := _refusal(whole[problem], solver, tol))
    }
    for name, solver in solvers.items():
        solver.require_closed()
        if all((problem, name) in refusals for problem in whole):
            raise UnmetNeed(f"{refusals[next(iter(whole)), name]}; leave {name} out.")
    for name, problem in whole.items():
        dtype = start_row(problem).dtype
        if tol < reachable(dtype):
            raise BadProtocol(
                f"tol is {tol:g}, but {name} is in {str(dtype).removeprefix('torch.')}, where nothing below "
                f"{reachable(dtype):.2g} can be certified; give a larger tol."
            )
    described = {name: _description(problem) for name, problem in whole.items()}
    race = Race(described, dict(solvers), tol=tol, max_seconds=max_seconds, repeats=repeats)
    return Field(race, whole, solvers, refusals)


def run_race(field: Field, folder: Folder, progress: Progress) -> list[Run]:
    """Run what the folder does not hold yet, each run committed as it ends; all runs of the race."""
    race = field.race
    pairs = [(p, m) for p in field.problems for m in field.solvers if (p, m) not in field.refusals]
    keys = {(p, m, name.index): _key(field, p, m, name) for p, m in pairs for name in race.names(p, m)}
    done = folder.done_keys()
    progress.plan(len(keys), len(done & set(keys.values())))
    told = {run.key: run for run in recall(folder, done & set(keys.values()))}
    try:
        for repeat in range(race.repeats):
            for problem, method in pairs:
                key, earlier = keys[problem, method, repeat], _runs(told, keys, problem, method)
                if key in told or _enough(race, earlier, repeat):
                    continue
                run = solved(field, TrialName(problem, method, 0, repeat, confirm=True))
                folder.commit_chunk(f"{problem}/{method}/{repeat}", [StoredRun(key, replace(run, key=key))])
                told[key] = recall(folder, {key})[0]
                progress.advance(problem, method, "solve", 1, run.certificate.value if run.certificate else None)
    finally:
        progress.done()
    return [run for run in recall(folder, set(keys.values())) if run.name is not None]


def _runs(told: Mapping[str, Run], keys: Mapping[Any, str], problem: str, method: str) -> list[Run]:
    wanted = [key for (p, m, _), key in keys.items() if (p, m) == (problem, method)]
    return [told[key] for key in wanted if key in told]


def _enough(race: Race, earlier: Sequence[Run], repeat: int) -> bool:
    """Whether another repeat says nothing new: the first proved nothing, or they have used a run's time already."""
    if repeat == 0:
        return False
    spent = sum((run.seconds or 0.0) + (run.evaluation_seconds or 0.0) for run in earlier)
    return not any(certified(run) for run in earlier) or spent > race.max_seconds


def solved(field: Field, name: TrialName) -> Run:
    """One run of the race, on one thread, as it is stored."""
    race = field.race
    with OneThread():
        run = solve(field.problems[name.problem], field.solvers[name.method], race.tol, race.max_seconds)
    assert run.execution is not None
    return replace(
        run,
        problem=name.problem,
        name=name,
        measurements=(*_measurements(run.trace), Measurement(len(run.trace) - 1, "", ANSWER, run.value)),
        execution=replace(run.execution, reason=run.why),
        weights=HeldWeights(run.state_dict()) if name.index == 0 else None,
    )


def work_of(counts: Mapping[str, float]) -> float:
    """Gradient equivalents: gradients, Hessian-vector products, and half a one for each product with the design."""
    return counts.get("gradients", 0.0) + counts.get("hvps", 0.0) + 0.5 * counts.get("products", 0.0)


def _measurements(trace: pd.DataFrame) -> tuple[Measurement, ...]:
    """The trace as a long table; not finite certificates are left out."""
    last = len(trace) - 1
    kept = np.unique(np.append(0, np.rint(np.geomspace(1, max(last, 1), MOST_ROWS)).astype(int)))
    found = []
    for row in trace.iloc[kept[kept <= last]].to_dict("records"):
        counts = {str(name): float(value) for name, value in row.items()}
        k = int(row["iteration"])
        found.append(Measurement(k, "", "objective", counts["value"]))
        found.append(Measurement(k, "", "seconds", counts["seconds"]))
        found.append(Measurement(k, "", "gradient equivalents", work_of(counts)))
        if np.isfinite(counts["certificate"]):
            found.append(Measurement(k, "", "certificate", counts["certificate"]))
    return tuple(found)


def _refusal(problem: Problem, solver: Solver, tol: float) -> str:
    refusal = mismatch(problem, solver)
    if refusal:
        return refusal
    reason = solver.refusal(Composite.of(problem, tol=tol))
    return f"{solver.label} {reason}" if reason else ""


def _description(problem: Problem) -> dict[str, Any]:
    row = start_row(problem)
    return {
        "reference": problem.reference,
        "fingerprint": problem.fingerprint(),
        "parameters": row.numel(),
        "examples": problem.examples if problem.data is not None else 0,
        "dtype": str(row.dtype).removeprefix("torch."),
        "optimum": None if problem.optimum is None else problem.optimum.value,
        "optimum_source": "" if problem.optimum is None else problem.optimum.source,
    }


def _key(field: Field, problem: str, method: str, name: TrialName) -> str:
    race = field.race
    return digest(
        {
            "fingerprint": race.problems[problem]["fingerprint"],
            "dtype": race.problems[problem]["dtype"],
            "method": race.methods[method].describe(),
            "tol": race.tol,
            "max_seconds": race.max_seconds,
            "repeat": name.index,
            "versions": versions(),
        }
    )[:32]
