"""What goes into a folder and what comes out: stored runs, trials, chunks, and their rows."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from optwise.core.certificate import Certificate, CertificateKind
from optwise.core.finding import Finding, Grade, Interval, Risk
from optwise.core.plain import plain
from optwise.core.run import Measurement, Run, TrialName
from optwise.core.spending import Spending
from optwise.core.status import Status

TEST = "test"

Curve: TypeAlias = tuple[NDArray[np.int64], NDArray[np.float64]]
"""Steps and values of one metric, both [measurements], read-only."""
Curves: TypeAlias = dict[str, Curve]


@dataclass(frozen=True, eq=False)
class StoredRun:
    """A run on its way into a folder.

    Args:
        key: Its content key.
        run: The run, with its ``name``; its weights are stored where it holds a handle to them.
        point: The values of the fields that were open, by path; empty for a closed method.
    """

    key: str
    run: Run
    point: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Trial:
    """A run as a folder knows it: everything that scoring needs, the test split apart.

    Args:
        key: Content key.
        name: Address; two trials share one where their point or the versions of the packages differ.
        seed, status, counts, seconds, evaluation_seconds, infeasible, traceback, findings, certificate: As in
            :class:`~optwise.core.run.Run`.
        point: Values of the open fields, by path, as JSON: a tuple comes back as a list.
        method: Description of the closed method.
        curves: Metric to steps and values; never one of the test split.
        execution: Fields of :class:`~optwise.core.run.Execution`; empty where there was none.
        chunk: The unit in which it was committed.
        spending: The counters at each evaluation; spread over the steps where the folder is older than they are.
        best_step: The evaluation whose weights are kept beside the final ones.
    """

    key: str
    name: TrialName
    seed: int
    status: Status
    point: dict[str, Any]
    method: dict[str, Any]
    counts: dict[str, float]
    curves: Curves
    execution: dict[str, Any]
    chunk: str
    seconds: float | None
    evaluation_seconds: float | None
    infeasible: bool
    traceback: str
    findings: tuple[Finding, ...]
    certificate: Certificate | None
    spending: Spending
    best_step: int | None


@dataclass(frozen=True)
class Chunk:
    """A unit of commit, planned before it runs: the trials that share one pass.

    Args:
        id: Name of the chunk, unique in its folder.
        names: Addresses of its trials.
        keys: Their content keys, in the same order.
    """

    id: str
    names: tuple[TrialName, ...]
    keys: tuple[str, ...]

    def to_json(self) -> str:
        """The members as JSON text."""
        rows = [[*asdict(name).values(), key] for name, key in zip(self.names, self.keys, strict=True)]
        return to_json(rows)

    @classmethod
    def from_json(cls, chunk_id: str, text: str) -> Chunk:
        """Read the members back."""
        rows = json.loads(text)
        return cls(chunk_id, tuple(TrialName(*row[:-1]) for row in rows), tuple(row[-1] for row in rows))


def to_json(value: Any) -> str:
    """JSON text of a plain value, keys in their own order."""
    return json.dumps(plain(value), separators=(",", ":"), allow_nan=False, ensure_ascii=False)


def from_json(text: str) -> Any:
    """Read :func:`to_json`'s text; floats that are not finite come back as floats.

    Example:
        >>> from_json(to_json({"lr": float("inf")}))
        {'lr': inf}
    """
    return json.loads(text, object_hook=_restore_float)


def _restore_float(item: dict[str, Any]) -> Any:
    return float(item["value"]) if item.get("class") == "float" else item


def trial_row(stored: StoredRun, chunk: str) -> dict[str, Any]:
    """The columns of ``trials`` for one run."""
    run, name = stored.run, stored.run.name
    if name is None:
        raise ValueError(f"run {stored.key} has no name; a folder stores trials by their address")
    return {
        "key": stored.key,
        "name": str(name),
        "problem": name.problem,
        "method": name.method,
        "study": name.study,
        "idx": name.index,
        "confirm": int(name.confirm),
        "phase": name.phase.value,
        "seed": run.seed,
        "status": run.status.name,
        "point_json": to_json(stored.point),
        "method_json": to_json(run.method.describe()),
        "counts_json": to_json(run.counts),
        "execution_json": to_json({} if run.execution is None else asdict(run.execution)),
        "findings_json": to_json(run.findings),
        "certificate_json": to_json(run.certificate),
        "seconds": run.seconds,
        "evaluation_seconds": run.evaluation_seconds,
        "infeasible": int(run.infeasible),
        "traceback": run.traceback,
        "chunk": chunk,
    }


def read_trial(row: Mapping[str, Any], curves: Curves, spending: Spending | None) -> Trial:
    """A trial from its columns, its curves and its counters."""
    counts = from_json(row["counts_json"])
    if spending is None:
        spending = Spending.spread([int(k) for steps, _ in curves.values() for k in steps], counts)
    return Trial(
        key=row["key"],
        name=TrialName(row["problem"], row["method"], row["study"], row["idx"], bool(row["confirm"])),
        seed=row["seed"],
        status=Status[row["status"]],
        point=from_json(row["point_json"]),
        method=from_json(row["method_json"]),
        counts=counts,
        curves=curves,
        execution=from_json(row["execution_json"]),
        chunk=row["chunk"],
        seconds=row["seconds"],
        evaluation_seconds=row["evaluation_seconds"],
        infeasible=bool(row["infeasible"]),
        traceback=row["traceback"],
        findings=tuple(_read_finding(item) for item in from_json(row["findings_json"])),
        certificate=_read_certificate(from_json(row["certificate_json"])),
        spending=spending,
        best_step=row["best_step"],
    )


def _read_finding(item: dict[str, Any]) -> Finding:
    fields = {name: value for name, value in item.items() if name != "class"}
    interval = fields["interval"] and Interval(fields["interval"]["low"], fields["interval"]["high"])
    risk = Risk(fields["risk"]) if fields.get("risk") else None
    parts = tuple(map(_read_finding, fields.get("parts") or ()))
    return Finding(**{**fields, "grade": Grade(fields["grade"]), "interval": interval, "risk": risk, "parts": parts})


def _read_certificate(item: dict[str, Any] | None) -> Certificate | None:
    if item is None:
        return None
    return Certificate(CertificateKind(item["kind"]), item["name"], item["value"], item["scale"])


def curve_rows(measurements: tuple[Measurement, ...]) -> Iterator[tuple[bool, str, bytes, bytes]]:
    """``(sealed, metric, steps, values)`` of each metric, in order of first appearance."""
    curves: dict[str, list[Measurement]] = {}
    for measurement in measurements:
        curves.setdefault(measurement.name, []).append(measurement)
    for metric, points in curves.items():
        steps = np.array([p.step for p in points], dtype="<i8")
        values = np.array([p.value for p in points], dtype="<f8")
        yield points[0].split == TEST, metric, steps.tobytes(), values.tobytes()


def read_curve(steps: bytes, values: bytes) -> Curve:
    """A curve from its two BLOBs."""
    return np.frombuffer(steps, "<i8"), np.frombuffer(values, "<f8")


def spending_row(spending: Spending) -> tuple[str, bytes, bytes]:
    """Units, steps and amounts as they are stored."""
    amounts = np.array([spending.amounts[unit] for unit in spending.amounts], dtype="<f8")
    return to_json(list(spending.amounts)), np.array(spending.steps, dtype="<i8").tobytes(), amounts.tobytes()


def read_spending(units: str, steps: bytes, amounts: bytes) -> Spending:
    """Read :func:`spending_row`."""
    names, places = from_json(units), np.frombuffer(steps, "<i8")
    rows = np.frombuffer(amounts, "<f8").reshape(len(names), len(places))
    return Spending(tuple(places.tolist()), {n: tuple(row.tolist()) for n, row in zip(names, rows, strict=True)})
