"""Penalties that are linear but for one kink per entry, recognised by what their proximal map does."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from optwise.core.penalty import Penalty
from optwise.methods.solvers.bidiagonal import probe
from optwise.numerics.finiteness import all_finite

STEP = 2.0**30
"""A proximal step so long that it ends in the kink, wherever that is."""
STEEPEST = 2.0**30
"""A slope that no penalty exceeds."""
PASSES = 4
"""Looks at slopes and kinks; each starts nearer and keeps more digits of them, the last one all."""
FACTOR = 64.0
"""Units in the last place by which value and map of a sum of kinks may be off."""


@dataclass(frozen=True, eq=False)
class Kinks:
    r"""A sum of kinks, whose conjugate is linear on a box.

    .. math:: g(z) = g(k) + \sum_i \max\{l_i (z_i - k_i), h_i (z_i - k_i)\}, \qquad
        g^*(u) = \langle k, u \rangle - g(k) \text{ for } l \le u \le h

    The l1 norm, the hinge, the absolute and the quantile loss are such sums.

    Args:
        low: Slopes l on the left [m].
        high: Slopes h on the right [m].
        kink: Where they meet, k [m].
    """

    low: Tensor
    high: Tensor
    kink: Tensor

    @classmethod
    def of(cls, penalty: Penalty, *, like: Tensor) -> Kinks | None:
        r"""The kinks of ``penalty`` on vectors of the shape of ``like`` [m]; ``None`` where it is of another kind.

        Moreau's :math:`(v - \operatorname{prox}_{s g}(v)) / s` is a subgradient: far out on either side, a slope. A
        long step from between them ends in the kink. What was found is then held against value and map.
        """
        eps, steepest = torch.finfo(like.dtype).eps, torch.full_like(like, STEEPEST)
        low = high = steepest
        for _ in range(PASSES):
            reach = STEP * steepest
            low, high = ((v - penalty.prox(v, STEP)) / STEP for v in (-reach, reach))
            # a slope below what rounding hides out there is looked for further in
            steepest = 4.0 * torch.maximum(torch.maximum(low.abs(), high.abs()), 2.0 * eps * steepest)
        if not all_finite(steepest) or not bool((low < high).any()):
            return None
        middle, width = 0.5 * (low + high), (high - low)[low < high].min()
        kink, step = torch.zeros_like(like), STEP
        for _ in range(PASSES):  # each step is as short as the rounding of the last one's answer allows
            kink = penalty.prox(kink + step * middle, step)
            rounded = FACTOR * eps * float((kink.abs() + step * middle.abs()).max())
            step = min(step, max(2.0 * rounded / float(width), 1.0 / STEP))
        found = cls(low, high, kink)
        z = kink + (1 + kink.abs()) * (probe(like, 1.0) - 1)  # some on either side
        v = kink + 4.0 * torch.maximum(low.abs(), high.abs()) * (probe(like, 2.0) - 1)
        at, at_kink, moved = float(penalty.value(z)), float(penalty.value(kink)), penalty.prox(v, 1.0)
        rounding = FACTOR * eps
        size = abs(at) + abs(at_kink)
        right_value = abs(at - at_kink - found.value(z - kink)) <= rounding * math.sqrt(like.numel()) * size
        right_map = (moved - (v - (v - kink).clamp(low, high))).abs() <= rounding * (1 + v.abs())
        return found if right_value and bool(right_map.all()) else None

    def value(self, z: Tensor) -> float:
        """``g(z + k) - g(k)``."""
        return float(torch.maximum(self.low * z, self.high * z).sum())

    def fenchel_gap(self, z: Tensor, u: Tensor) -> float:
        """``g(z + k) + g*(u) - <z + k, u>``, at least 0, for u within the box: nothing cancels."""
        return float((z.clamp(min=0) * (self.high - u) + z.clamp(max=0) * (self.low - u)).sum())
