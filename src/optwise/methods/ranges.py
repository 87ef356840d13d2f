"""Intervals in which hyperparameters must lie, and the default ranges that several methods share."""

from __future__ import annotations

import math

from optwise.core.space import LogUniform, OneMinus

NONNEGATIVE = (0.0, math.inf)
BELOW_ONE = (0.0, math.nextafter(1.0, 0.0))
"""[0, 1) as a closed interval."""

LR = LogUniform(1e-3, 10.0)
ADAPTIVE_LR = LogUniform(1e-4, 1.0)
"""Four decades for every method; lower where steps keep their length. Weight decay is in no default space: open in one
method alone it would be an advantage, or a burden, that others do not have."""
MOMENTUM = OneMinus(LogUniform(5e-3, 1.0))
MEMORY = OneMinus(LogUniform(4e-3, 1.0))
"""Of an average, beta1 or alpha. It and the momentum reach 0, so that a method's space holds the method without it."""
