"""Intervals in which hyperparameters must lie, and the default ranges that several methods share."""

from __future__ import annotations

import math

from optwise.core.space import LogUniform, OneMinus

NONNEGATIVE = (0.0, math.inf)
BELOW_ONE = (0.0, math.nextafter(1.0, 0.0))
"""[0, 1) as a closed interval."""

ADAPTIVE_LR = LogUniform(1e-4, 1e-1)
BETA1 = OneMinus(LogUniform(4e-3, 0.3))
DECOUPLED_DECAY = LogUniform(1e-4, 1.0)
