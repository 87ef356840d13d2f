"""A solved run as words and as plain JSON."""

from __future__ import annotations

import math
from typing import Any

from optwise.core.certificate import CertificateKind
from optwise.core.run import Run
from optwise.core.status import Status


def certified(run: Run) -> bool:
    """Whether an answer was proved."""
    return run.status in (Status.OPTIMAL, Status.STATIONARY)


def solution_document(run: Run) -> dict[str, Any]:
    """A solved run as plain JSON, its weights apart; what is not finite is null."""
    assert run.answer is not None
    assert run.certificate is not None
    frame = run.trace
    return {
        "problem": run.problem,
        "method": run.method.label,
        "hyperparameters": {path: _number(value) for path, value in run.method.values().items()},
        "why": run.why,
        "status": run.status.value,
        "certified": certified(run),
        "certificate": {
            "kind": run.certificate.kind.value,
            "name": run.certificate.name,
            "value": _number(run.certificate.value),
            "scale": run.certificate.scale,
        },
        "value": _number(run.value),
        "counts": dict(run.counts),
        "seconds": run.seconds,
        "certificate_seconds": run.evaluation_seconds,
        "dtype": "" if run.execution is None else run.execution.dtype,
        "trace": {name: [_number(value) for value in frame[name].tolist()] for name in frame},
    }


def solution_text(run: Run) -> str:
    """A solved run in lines for a terminal."""
    assert run.certificate is not None
    proof = run.certificate
    counts = ", ".join(f"{count:g} {name}" for name, count in run.counts.items() if count)
    unproved = "" if certified(run) else ", which proves nothing at this tolerance"
    if proof.kind is CertificateKind.UNBOUNDEDNESS:
        unproved = ", there is no best value"
    return "\n".join(
        [
            f"{run.problem}: {run.status.value}",
            f"value {run.value:.12g}",
            f"certificate: {proof.name} {proof.value:.2e} ({proof.kind.value}, scale {proof.scale:.2e}){unproved}",
            f"why {run.why}",
            f"{counts}; {run.seconds:.3g} s, certificates {run.evaluation_seconds or 0.0:.3g} s apart",
        ]
    )


def _number(value: Any) -> Any:
    return value if not isinstance(value, float) or math.isfinite(value) else None
