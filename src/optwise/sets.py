"""Sets that answers must lie in, as everybody types them: ``ow.sets.Simplex()``, ``from optwise.sets import Box``."""

from optwise.problems.terms.sets import (
    Affine,
    Box,
    Budget,
    CappedSimplex,
    Halfspace,
    L1Ball,
    L2Ball,
    LInfBall,
    Nonnegative,
    NuclearBall,
    PSDCone,
    SecondOrderCone,
    Simplex,
)

__all__ = [
    "Affine",
    "Box",
    "Budget",
    "CappedSimplex",
    "Halfspace",
    "L1Ball",
    "L2Ball",
    "LInfBall",
    "Nonnegative",
    "NuclearBall",
    "PSDCone",
    "SecondOrderCone",
    "Simplex",
]
