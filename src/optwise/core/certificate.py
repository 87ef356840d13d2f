"""What proves an answer."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class CertificateKind(Enum):
    """What a certificate proves; a guarantee (epsilon at delta) never yields *optimal*."""

    OPTIMALITY = "optimality"
    STATIONARITY = "stationarity"
    INFEASIBILITY = "infeasibility"
    UNBOUNDEDNESS = "unboundedness"
    GUARANTEE = "guarantee"


@dataclass(frozen=True)
class Certificate:
    r"""A number that proves an answer, recomputed in float64 by its own code.

    .. math:: \text{value} = \frac{\text{gap}}{\max(|\text{primal}|, |\text{dual}|, \text{scale})}

    Args:
        kind: What it proves.
        name: How: ``duality gap``, ``gradient norm``, ``known optimum``...
        value: The relative number, compared with a solver's ``tol``.
        scale: The floor of the denominator, since optima can be 0.
    """

    kind: CertificateKind
    name: str
    value: float
    scale: float = 1.0

    def meets(self, tol: float) -> bool:
        """Whether the proof holds at ``tol``; a NaN never does."""
        return self.value <= tol
