"""Sets that answers must lie in, by family: boxes, balls and simplices, flat sets, cones."""

from optwise.problems.terms.sets.balls import CappedSimplex, L1Ball, L2Ball, LInfBall, NuclearBall, Simplex
from optwise.problems.terms.sets.boxes import Box, Budget, Nonnegative
from optwise.problems.terms.sets.cones import PSDCone, SecondOrderCone
from optwise.problems.terms.sets.flats import Affine, Halfspace

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
