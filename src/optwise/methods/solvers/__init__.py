"""Methods for problems without noise, by family, and the names under which a user may type them."""

from __future__ import annotations

from collections.abc import Mapping

from optwise.core.solver import Solver
from optwise.methods.solvers.accelerated import AcceleratedGradient
from optwise.methods.solvers.admm import ADMM
from optwise.methods.solvers.direct import QR, SVD, Cholesky
from optwise.methods.solvers.frank_wolfe import FrankWolfe
from optwise.methods.solvers.gradient_descent import ArmijoDescent, BarzilaiBorwein, GradientDescent, WolfeDescent
from optwise.methods.solvers.interior_point import DualInteriorPoint
from optwise.methods.solvers.krylov import LSMR, LSQR, ConjugateGradient
from optwise.methods.solvers.lbfgsb import LBFGSB
from optwise.methods.solvers.nelder_mead import NelderMead
from optwise.methods.solvers.newton import Newton, NewtonCG
from optwise.methods.solvers.nonlinear_conjugate_gradient import NonlinearCG
from optwise.methods.solvers.nonlinear_least_squares import GaussNewton, LevenbergMarquardt
from optwise.methods.solvers.primal_dual import PDHG
from optwise.methods.solvers.projected import ProjectedGradient
from optwise.methods.solvers.proximal import FISTA, ProximalGradient
from optwise.methods.solvers.proximal_newton import ProximalNewton
from optwise.methods.solvers.quasi_newton import BFGS, LBFGS
from optwise.methods.solvers.semismooth_augmented_lagrangian import SemismoothAugmentedLagrangian
from optwise.methods.solvers.semismooth_newton import SemismoothNewton
from optwise.methods.solvers.splitting import DouglasRachford
from optwise.methods.solvers.taut_string import TautString
from optwise.methods.solvers.trust_region import TrustRegion

_CLASSES: tuple[type[Solver], ...] = (
    Cholesky,
    QR,
    SVD,
    ConjugateGradient,
    LSQR,
    LSMR,
    GradientDescent,
    ArmijoDescent,
    WolfeDescent,
    BarzilaiBorwein,
    AcceleratedGradient,
    NonlinearCG,
    BFGS,
    LBFGS,
    LBFGSB,
    Newton,
    NewtonCG,
    TrustRegion,
    GaussNewton,
    LevenbergMarquardt,
    ProjectedGradient,
    FrankWolfe,
    ProximalGradient,
    FISTA,
    ProximalNewton,
    SemismoothNewton,
    DouglasRachford,
    ADMM,
    PDHG,
    SemismoothAugmentedLagrangian,
    DualInteriorPoint,
    TautString,
    NelderMead,
)

SOLVERS: Mapping[str, type[Solver]] = {cls().label: cls for cls in _CLASSES}
"""Solvers by the name a command line takes: the name of the class with hyphens between its words."""

__all__ = [
    "ADMM",
    "BFGS",
    "FISTA",
    "LBFGS",
    "LBFGSB",
    "LSMR",
    "LSQR",
    "PDHG",
    "QR",
    "SOLVERS",
    "SVD",
    "AcceleratedGradient",
    "ArmijoDescent",
    "BarzilaiBorwein",
    "Cholesky",
    "ConjugateGradient",
    "DouglasRachford",
    "DualInteriorPoint",
    "FrankWolfe",
    "GaussNewton",
    "GradientDescent",
    "LevenbergMarquardt",
    "NelderMead",
    "Newton",
    "NewtonCG",
    "NonlinearCG",
    "ProjectedGradient",
    "ProximalGradient",
    "ProximalNewton",
    "SemismoothAugmentedLagrangian",
    "TautString",
    "TrustRegion",
    "WolfeDescent",
]
