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
    "cholesky": (0.00164, 1.17),
    "qr": (0.00215, 0.639),
    "svd": (0.00202, 0.614),
    "conjugate-gradient": (0.00274, 0.155),
    "lsqr": (0.00262, 0.146),
    "lsmr": (0.00257, 0.15),
    "gradient-descent": (0.00887, 0.00191),
    "armijo-descent": (0.00285, 0.00174),
    "wolfe-descent": (0.00385, 0.00116),
    "barzilai-borwein": (0.00222, 0.0113),
    "accelerated-gradient": (0.00167, 0.0516),
    "nonlinear-cg": (0.00222, 0.0101),
    "bfgs": (0.00351, 0.181),
    "lbfgs": (0.00285, 0.0298),
    "lbfgsb": (0.00376, 0.0546),
    "newton": (0.00217, 0.252),
    "newton-cg": (0.00184, 0.153),
    "trust-region": (0.00224, 0.117),
    "gauss-newton": (0.00283, 0.387),
    "levenberg-marquardt": (0.0029, 0.72),
    "projected-gradient": (0.0032, 0.0092),
    "proximal-gradient": (0.00511, 0.00085),
    "fista": (0.00259, 0.03),
    "proximal-newton": (0.00296, 0.481),
    "douglas-rachford": (0.00237, 0.0798),
    "admm": (0.022, 0.115),
    "pdhg": (0.00696, 0.0257),
    "semismooth-augmented-lagrangian": (0.00824, 0.368),
    "dual-interior-point": (0.00626, 0.0905),
    "taut-string": (0.00231, 0.448),
    "nelder-mead": (0.00851, 0.0104),
}
"""Seconds that a solver takes whatever the problem, and what seconds by theory and counting are multiplied with."""
