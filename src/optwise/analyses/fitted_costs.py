"""The numbers of the cost model of solvers: what the machine does a second, and two for each solver.

Fitted by `benchmarks/solver_costs.py` on problems of its own, none of which the benchmark of `auto` looks at.
"""

from __future__ import annotations

from collections.abc import Mapping

FLOP_SECONDS = 1 / 2e10
"""Of a floating-point operation inside a factorisation or a matrix product."""
NUMBER_SECONDS = 1 / 1.2e9
"""Of a number of a matrix read for a matrix-vector product."""
OPERATION_SECONDS = 6e-6
"""Of a small tensor operation, whatever its size."""

FITTED: Mapping[str, tuple[float, float]] = {
    "cholesky": (0.00819, 1.91),
    "qr": (0.00708, 2.31),
    "svd": (0.00453, 1.49),
    "conjugate-gradient": (0.00926, 0.389),
    "lsqr": (0.00862, 0.35),
    "lsmr": (0.00843, 0.357),
    "gradient-descent": (0.0277, 0.00713),
    "armijo-descent": (0.0115, 0.00277),
    "wolfe-descent": (0.0147, 0.00227),
    "barzilai-borwein": (0.00417, 0.0416),
    "accelerated-gradient": (0.00299, 0.188),
    "nonlinear-cg": (0.00404, 0.0466),
    "bfgs": (0.0273, 0.366),
    "lbfgs": (0.0032, 0.183),
    "lbfgsb": (0.00392, 0.134),
    "newton": (0.00449, 0.606),
    "newton-cg": (0.0157, 0.0961),
    "trust-region": (0.0164, 0.0816),
    "gauss-newton": (0.00374, 0.665),
    "levenberg-marquardt": (0.00379, 0.724),
    "projected-gradient": (0.00365, 0.0234),
    "proximal-gradient": (0.0259, 0.00205),
    "fista": (0.0182, 0.132),
    "proximal-newton": (0.00355, 1.3),
    "douglas-rachford": (0.00375, 0.305),
    "admm": (0.00652, 0.486),
    "pdhg": (0.00453, 0.105),
    "semismooth-augmented-lagrangian": (0.00465, 1.42),
    "dual-interior-point": (0.0218, 0.254),
    "taut-string": (0.00539, 1.94),
    "nelder-mead": (0.0945, 0.0202),
}
"""Seconds that a solver takes whatever the problem, and what seconds by theory and counting are multiplied with."""
