"""Terms with a proximal map, by family; those that are not convex have a file of their own."""

from optwise.problems.terms.penalties.l1 import L1, ElasticNetPenalty, NonnegativeL1, WeightedL1
from optwise.problems.terms.penalties.nonconvex import L0, MCP, SCAD
from optwise.problems.terms.penalties.norms import HuberNorm, L2Norm, LInf, NuclearNorm
from optwise.problems.terms.penalties.separable import HingeSum, SquaredL2
from optwise.problems.terms.penalties.structured import GroupL2, SortedL1, TotalVariation1D

__all__ = [
    "L0",
    "L1",
    "MCP",
    "SCAD",
    "ElasticNetPenalty",
    "GroupL2",
    "HingeSum",
    "HuberNorm",
    "L2Norm",
    "LInf",
    "NonnegativeL1",
    "NuclearNorm",
    "SortedL1",
    "SquaredL2",
    "TotalVariation1D",
    "WeightedL1",
]
