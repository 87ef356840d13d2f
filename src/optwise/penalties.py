"""Penalties as everybody types them: ``ow.penalties.L1(0.1)``, ``from optwise.penalties import NuclearNorm``."""

from optwise.problems.terms.penalties import (
    L0,
    L1,
    MCP,
    SCAD,
    ElasticNetPenalty,
    GroupL2,
    HingeSum,
    HuberNorm,
    L2Norm,
    LInf,
    NonnegativeL1,
    NuclearNorm,
    SortedL1,
    SquaredL2,
    TotalVariation1D,
    WeightedL1,
)

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
