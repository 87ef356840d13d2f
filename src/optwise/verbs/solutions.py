"""A solved run as words and as plain JSON."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from typing import Any

from torch import Tensor

from optwise.core.answer import TraceRow
from optwise.core.cards import classes_words, counted, nonzeros_words
from optwise.core.certificate import CertificateKind
from optwise.core.run import Run
from optwise.core.showing import numbers_in_brief
from optwise.core.status import Status

COLUMNS = 80
"""Of a terminal that nobody has widened."""


def certified(run: Run) -> bool:
    """Whether an answer was proved."""
    return run.status in (Status.OPTIMAL, Status.STATIONARY)


def solution_message(run: Run) -> str:
    """How it ended and what that rests on, in one line."""
    assert run.certificate is not None
    proof = run.certificate
    unproved = "" if certified(run) else ", which proves nothing at this tolerance"
    if proof.kind is CertificateKind.UNBOUNDEDNESS:
        unproved = ", there is no best value"
    said = f"{proof.name} {proof.value:.2e} ({proof.kind.value}, scale {proof.scale:.2e}){unproved}"
    return f"{run.status.value}: {said}"


def solution_document(run: Run) -> dict[str, Any]:
    """A solved run as plain JSON, its weights with it; what is not finite is null."""
    assert run.answer is not None
    assert run.certificate is not None
    w = run.w
    return {
        "problem": run.problem,
        "method": run.method.label,
        "hyperparameters": {path: _number(value) for path, value in run.method.values().items()},
        "why": run.why,
        "status": run.status.value,
        "message": solution_message(run),
        "certified": certified(run),
        "certificate": {
            "kind": run.certificate.kind.value,
            "name": run.certificate.name,
            "value": _number(run.certificate.value),
            "scale": run.certificate.scale,
        },
        "value": _number(run.value),
        "w": _plain(w),
        "nonzeros": int((w != 0).sum()),
        "classes": [each if isinstance(each, str | int | float) else str(each) for each in run.answer.classes],
        "evaluations": run.counts.get("evaluations", 0.0),
        "counts": dict(run.counts),
        "seconds": run.seconds,
        "certificate_seconds": run.evaluation_seconds,
        "dtype": "" if run.execution is None else run.execution.dtype,
        "trace": _columns(run.answer.rows),
    }


def solution_text(run: Run) -> str:
    """A solved run in lines for a terminal of 80 columns."""
    assert run.certificate is not None
    assert run.answer is not None
    zeros = nonzeros_words(run.w)
    lines = [
        f"{run.problem}: {run.status.value}",
        f"value {run.value:.12g}",
        f"w {numbers_in_brief(run.w)}",
        f"not 0: {zeros}" if zeros else "",
        f"labels: {classes_words(run.answer.classes)}" if run.answer.classes else "",
        f"certificate: {solution_message(run).partition(': ')[2]}",
        f"why {run.why}",
        f"{counted(run.counts)}; {run.seconds:.3g} s, certificates {run.evaluation_seconds or 0.0:.3g} s apart",
    ]
    return "\n".join(textwrap.fill(line, COLUMNS, subsequent_indent="  ") for line in lines if line)


def _columns(rows: Sequence[TraceRow]) -> dict[str, list[Any]]:
    """The course by columns, as ``run.trace`` has it."""
    counted = dict.fromkeys(name for row in rows for name in row.counts)
    own = [name for name in TraceRow._fields if name != "counts"]
    columns = {name: [_number(getattr(row, name)) for row in rows] for name in own}
    return columns | {name: [row.counts.get(name) for row in rows] for name in counted}


def _plain(w: Tensor) -> Any:
    """Numbers in lists of the shape of ``w``; those that are not finite are null."""
    flat = [_number(each) for each in w.detach().reshape(-1).tolist()]
    for size in reversed(w.shape[1:]):
        flat = [flat[i : i + size] for i in range(0, len(flat), size)]
    return flat if w.ndim else flat[0]


def _number(value: Any) -> Any:
    return value if not isinstance(value, float) or math.isfinite(value) else None
