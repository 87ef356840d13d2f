"""What proves an answer."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


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

    .. math:: \text{value} = \frac{\text{gap}}{\max(|\text{primal}|, |\text{dual}|)}

    Args:
        kind: What it proves.
        name: How: ``duality gap``, ``Newton decrement``, ``known optimum``...
        value: The relative number, compared with a solver's ``tol``.
        scale: What rounding makes of F at the answer, where F is so small that it was asked: a gap and an F below it
            count as 0, since optima can be 0.
        leaving: A step from a stationary point along negative curvature, after which F is lower [p].
        remark: What else there is to say of the point, as a sentence.
        hopeless: Whether the remark says why nothing can be proved here, however long a solver goes on.
        objective: F at the answer as well as it is known; NaN where nobody looked.
        violation: How far the answer lies outside of its set, as ``value`` counts it.
    """

    kind: CertificateKind
    name: str
    value: float
    scale: float = 0.0
    leaving: Tensor | None = field(default=None, repr=False, compare=False)
    remark: str = ""
    hopeless: bool = False
    objective: float = field(default=math.nan, repr=False, compare=False)
    violation: float = field(default=0.0, repr=False, compare=False)

    @property
    def saddle(self) -> bool:
        """Whether negative curvature leads down from a stationary point: it is no minimum."""
        return self.leaving is not None

    def meets(self, tol: float) -> bool:
        """Whether the proof holds at ``tol``; a NaN never does."""
        return self.value <= tol
