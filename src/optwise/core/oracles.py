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
    WHOLE = "the whole objective at once (a Full sampler)"
    CONVEX = "convexity of the objective"
    CONVEX_PENALTY = "convexity of the penalty"
    CONVEX_SET = "convexity of the set"
    QUADRATIC = "a quadratic objective"
    LINEAR_MODEL = "a loss of a linear model"
    MATRIX = "the entries of the design matrix"
    SUBDIFFERENTIAL = "subdifferential by coordinate"
    SUPPORT = "support function of the set"
    VERTEX = "linear minimisation over the set"
    BOUNDS = "bounds"
    BANDS = "a banded operator"
