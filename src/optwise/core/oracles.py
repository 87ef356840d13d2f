"""What a problem can answer and a method may need."""

from __future__ import annotations

from enum import Enum


class Oracle(Enum):
    """A question a problem can answer. A method's ``needs`` is a set of these."""

    VALUE = "value"
    GRADIENT = "gradient"
    HVP = "hvp"
    CURVATURE = "diagonal of the Hessian"
    PER_EXAMPLE = "per-example losses"
    PROX = "prox"
    PROJECTION = "projection"
    CONJUGATE = "conjugate"
    OPERATOR = "operator and adjoint"
    CLIENTS = "client terms"
    BELLMAN = "Bellman operator"
    RESIDUALS = "residual map"
