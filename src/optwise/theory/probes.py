"""What a rule is stepped from to find out whether it is linear: unit vectors, nothing, and random states of all sizes.

Every probe is a tensor of its own, as a run is, and holds several coordinates: a rule that looks at a norm, a sum or a
largest entry then sees those of one probe, and what it makes of them is no multiple of the unit vectors.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from torch import Tensor

from optwise.theory.matrices import Floats

TOLERANCE = 1e-9
"""Norm-relative; rounding of a step stays below 1e-14, and no rule is linear up to 1e-9 by chance at all scales."""

ROUNDED = 1e-4
"""Share of a state's numbers that is added to the size of a step, for what rounding leaves of them."""

SCALES = (1e-14, 1e-8, 1e-4, 1e-2, 1.0, 1.0, 1e2, 1e4, 1e8, 1e14)
"""Sizes of the random states on which linearity is checked at every step: clipping and eps show at one of them."""

DECADES = (-100.0, -60.0, *(0.5 * i for i in range(-60, 61)), 60.0, 100.0)
"""Logarithms of the sizes at which a whole run's step is checked: two to a decade, and far beyond what runs reach."""

WIDTH = 3
"""Coordinates of a probe, where they are all alike."""


@dataclass(frozen=True, eq=False)
class Probes:
    """J states of m parts in P coordinates with their gradients.

    Args:
        states: [J, m, P]: a unit vector for each part, uniform over the coordinates; twice nothing; then random ones.
        gradients: [J, P]: 1 at the first of the two that are nothing, and random ones at the end.
    """

    states: Tensor
    gradients: Tensor

    @property
    def parts(self) -> int:
        """m: how many numbers the state has in each coordinate."""
        return self.states.shape[1]


@cache
def probes(m: int, width: int, *, random: bool = True) -> Probes:
    """The probes of a rule with ``m`` numbers a coordinate, over ``width`` coordinates.

    Args:
        m: State variables, the parameter included.
        width: P.
        random: Whether random states follow the unit vectors.
    """
    basis = torch.eye(m + 1, dtype=torch.float64)[..., None].expand(-1, -1, width)
    parts = [basis, torch.zeros(1, m + 1, width, dtype=torch.float64)]
    if random:
        generator = torch.Generator().manual_seed(0)
        sizes = torch.tensor(SCALES, dtype=torch.float64)[:, None, None]
        drawn = sizes * torch.randn(len(SCALES), m + 1, width, generator=generator, dtype=torch.float64)
        alone = drawn[::2].clone()
        alone[:, :m] = 0.0  # gradients alone: a small step is not hidden behind the parameters
        parts += [drawn, alone]
    both = torch.cat(parts)
    return Probes(both[:, :m].contiguous(), both[:, m].contiguous())


@cache
def few_probes(m: int, width: int) -> Probes:
    """Three of the random ones: small, middling and large."""
    own = probes(m, width)
    chosen = [m + 2 + SCALES.index(size) for size in (1e-8, 1.0, 1e8)]
    return Probes(own.states[chosen].contiguous(), own.gradients[chosen].contiguous())


def of_all_sizes(m: int, width: int, *, shift: int) -> Iterator[tuple[Tensor, Tensor]]:
    """States [m, P] and gradients [P] of every second size of :data:`DECADES`; at last some of entries of all sizes.

    Args:
        m: State variables, the parameter included.
        width: P.
        shift: 0 or 1: which half of the sizes.
    """
    generator = torch.Generator().manual_seed(2 + shift)
    drawn = [torch.randn(m + 1, width, generator=generator, dtype=torch.float64) for _ in range(3)]
    for i, decade in enumerate(DECADES[shift::2]):
        both = 10.0**decade * drawn[i % 3]
        # in turns: both of one size, gradients alone, gradients of another size than the parameters
        if i % 3 == 1:
            both[:m] = 0.0
        both[m] *= (1.0, 1.0, 1e3)[i % 3]
        yield both[:m], both[m]
    for own in drawn:
        spread = 10.0 ** (12 * torch.rand(m + 1, width, generator=generator, dtype=torch.float64) - 6)
        both = own * spread
        yield both[:m], both[m]


def expected_of(M: Floats, v: Floats, z: Floats, g: Floats) -> tuple[Floats, Floats]:
    """What a linear step makes of states [m, ..., P] and gradients [..., P], and the size of what it may add up.

    What a step makes of a number and takes away again, as at ``lr * weight_decay = 1``, is rounded like that number.

    Args:
        M: What the state becomes without a gradient [m, m, ..., P].
        v: What a unit gradient adds [m, ..., P].
        z: States [m, ..., P].
        g: Gradients [..., P].
    """
    m = len(v)
    with np.errstate(over="ignore", invalid="ignore"):
        after = [sum(M[i, j] * z[j] for j in range(m)) + v[i] * g for i in range(m)]
        size = [sum(abs(M[i, j]) * abs(z[j]) for j in range(m)) + abs(v[i]) * abs(g) for i in range(m)]
        return np.stack(after), np.stack(size).max(0) + ROUNDED * sum(abs(z[j]) for j in range(m))


def agree(found: Floats, expected: Floats, allowed: Floats) -> bool:
    """Whether numbers are those expected; beyond the numbers there are nothing can be told."""
    with np.errstate(over="ignore", invalid="ignore"):
        close = np.abs(found - expected) <= allowed
    return bool(np.all(close | ~np.isfinite(expected) | ~np.isfinite(allowed)))
