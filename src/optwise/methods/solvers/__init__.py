"""Methods for problems without noise, by family, and the names under which a user may type them."""

from __future__ import annotations

from collections.abc import Mapping

from optwise.core.solver import Solver
from optwise.methods.solvers.direct import QR, SVD, Cholesky
from optwise.methods.solvers.krylov import LSMR, LSQR, ConjugateGradient
from optwise.methods.solvers.nonlinear_least_squares import GaussNewton, LevenbergMarquardt

_CLASSES: tuple[type[Solver], ...] = (
    Cholesky,
    QR,
    SVD,
    ConjugateGradient,
    LSQR,
    LSMR,
    GaussNewton,
    LevenbergMarquardt,
)

SOLVERS: Mapping[str, type[Solver]] = {cls().label: cls for cls in _CLASSES}
"""Solvers by the name a command line takes: the name of the class with hyphens between its words."""

__all__ = [
    "LSMR",
    "LSQR",
    "QR",
    "SOLVERS",
    "SVD",
    "Cholesky",
    "ConjugateGradient",
    "GaussNewton",
    "LevenbergMarquardt",
]
