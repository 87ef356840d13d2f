"""The numbers of the cost model of solvers: what the machine does a second, and a factor for each solver.

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

FACTORS: Mapping[str, float] = {}
"""Seconds taken over seconds computed, the median over problems; 1 where nothing was fitted."""
