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
    "cholesky": (0.0018, 0.909),
    "qr": (0.00248, 0.502),
    "svd": (0.00201, 0.527),
    "conjugate-gradient": (0.00272, 0.157),
    "lsqr": (0.00269, 0.148),
    "lsmr": (0.00247, 0.151),
    "gradient-descent": (0.0107, 0.00168),
    "armijo-descent": (0.00253, 0.00197),
    "wolfe-descent": (0.00382, 0.00119),
    "barzilai-borwein": (0.00211, 0.0108),
    "accelerated-gradient": (0.00181, 0.0513),
    "nonlinear-cg": (0.00217, 0.00902),
    "bfgs": (0.00317, 0.17),
    "lbfgs": (0.00282, 0.0295),
    "lbfgsb": (0.00373, 0.0504),
    "newton": (0.00168, 0.242),
    "newton-cg": (0.002, 0.154),
    "trust-region": (0.00199, 0.118),
    "gauss-newton": (0.00283, 0.381),
    "levenberg-marquardt": (0.00284, 0.721),
    "projected-gradient": (0.00299, 0.00685),
    "proximal-gradient": (0.00499, 0.000823),
    "fista": (0.00246, 0.0276),
    "proximal-newton": (0.0026, 0.327),
    "semismooth-newton": (0.00537, 0.26),
    "douglas-rachford": (0.00233, 0.0739),
    "admm": (0.0349, 0.0904),
    "pdhg": (0.00696, 0.0258),
    "semismooth-augmented-lagrangian": (0.00922, 0.302),
    "dual-interior-point": (0.00566, 0.0787),
    "taut-string": (0.00218, 0.498),
    "nelder-mead": (0.00839, 0.0104),
}
"""Seconds that a solver takes whatever the problem, and what seconds by theory and counting are multiplied with."""
