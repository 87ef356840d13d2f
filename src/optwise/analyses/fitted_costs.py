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

FITTED: Mapping[str, tuple[float, float]] = {}
"""Seconds that a solver takes whatever the problem, and what seconds by theory and counting are multiplied with."""
