"""Stored trials as Runs: what scoring, judging and drawing read."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

from optwise.core.errors import BadFolder
from optwise.core.method import Recorded
from optwise.core.protocol import Protocol
from optwise.core.run import Execution, Measurement, Run
from optwise.store.folder import Folder
from optwise.store.records import Curves, Trial


def recall(folder: Folder, keys: Collection[str] | None = None) -> list[Run]:
    """The stored runs, in the order of their addresses; only those of ``keys`` where given."""
    return [run_of(trial) for trial in folder.trials(keys=keys)]


def run_of(trial: Trial) -> Run:
    """A stored trial as a Run; its method is a record."""
    return Run(
        problem=trial.name.problem,
        method=Recorded(name=trial.name.method, description=trial.method),
        seed=trial.seed,
        status=trial.status,
        counts=trial.counts,
        measurements=measurements(trial.curves),
        execution=Execution(**trial.execution) if trial.execution else None,
        seconds=trial.seconds,
        evaluation_seconds=trial.evaluation_seconds,
        findings=trial.findings,
        certificate=trial.certificate,
        traceback=trial.traceback,
        infeasible=trial.infeasible,
        name=trial.name,
        point=trial.point,
        key=trial.key,
        spending=trial.spending,
        best_step=trial.best_step,
    )


def measurements(curves: Curves) -> tuple[Measurement, ...]:
    """Curves as one long table, metric by metric."""
    rows = []
    for name, (steps, values) in curves.items():
        split, _, metric = name.rpartition("/")
        rows += [Measurement(int(k), split, metric, float(v)) for k, v in zip(steps, values, strict=True)]
    return tuple(rows)


def latest_protocol(folder: Folder) -> tuple[Protocol, dict[str, Any]]:
    """The protocol answered last in a folder, and the notes that were recorded with it."""
    document = _latest(folder)[1]
    return Protocol.read(document["folder"], document["question"]), document["notes"]


def latest_keys(folder: Folder) -> tuple[set[str], str]:
    """Keys of the runs that the protocol answered last lists, and that protocol's hash."""
    asked, document = _latest(folder)
    return set(document["notes"]["keys"]), asked


def kind_of(folder: Folder) -> str:
    """What kind of comparison was answered last: empty for tuned methods."""
    return str(_latest(folder)[1]["folder"].get("kind", ""))


def _latest(folder: Folder) -> tuple[str, dict[str, Any]]:
    recorded = folder.protocols()
    if not recorded:
        raise BadFolder(f"{folder.path} holds no finished comparison; run its `optwise compare` again, it resumes.")
    return list(recorded.items())[-1]


def revealed(folder: Folder, protocol: Protocol, runs: Sequence[Run]) -> list[Run]:
    """The runs with their test curves, which this puts on record as looked at."""
    sealed = folder.reveal(protocol.hash)
    return [replace(run, measurements=run.measurements + measurements(sealed.get(run.key, {}))) for run in runs]
