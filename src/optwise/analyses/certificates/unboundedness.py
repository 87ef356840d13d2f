"""Evidence that a problem has no best value: a ray along which it falls for ever."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from optwise.analyses.certificates.feasibility import relative_violation
from optwise.core.certificate import Certificate, CertificateKind
from optwise.core.composite import Composite

DISTANCES = tuple(10.0**k for k in range(2, 13))
"""How far the ray is followed, in lengths of the point."""
STEADY = 0.5
"""Part of the first slope that every later one must keep: F falls linearly or faster."""


def ray_certificate(problem: Composite, w: Tensor, direction: Tensor) -> Certificate | None:
    r"""Follow F along a ray and see whether it falls linearly or faster all the way.

    .. math:: F(w + t d), \qquad t = 10^2, 10^3, \dots, 10^{12}, \qquad \|d\| = \max(1, \|w\|)

    Every slope between two of these points must be negative and at least half as steep as the first. For a convex F the
    last slope is the least steep up to there, so that F is below any value met; a function that flattens out beyond is
    not found out, which is why this is evidence and no proof. The certificate's value is the larger of the size of F(w)
    against the fall, and of the relative distance of the points to the set.

    Args:
        problem: In float64.
        w: A point of the ray [p].
        direction: Where it goes [p], of any length.

    Returns:
        The certificate; ``None`` where the ray says nothing, or the value does not meet ``problem.tol``.

    Example:
        >>> from optwise.core.smooth import Smooth
        >>> class Slope(Smooth):
        ...     dimension = 2
        ...
        ...     def value(self, w):
        ...         return w[0] - w[1].square()
        >>> w, axes = torch.zeros(2).double(), torch.eye(2).double()
        >>> ray_certificate(Composite(Slope()), w, axes[1]).kind.value, ray_certificate(Composite(Slope()), w, axes[0])
        ('unboundedness', None)
    """
    length = float(direction.norm())
    if not 0 < length < math.inf:
        return None
    d = direction * (max(1.0, float(w.norm())) / length)
    points = [w + t * d for t in DISTANCES]
    start, values = problem.value(w), [problem.value(point) for point in points]
    if not all(math.isfinite(value) for value in (start, *values)):
        return None
    slopes = torch.tensor(values, dtype=torch.float64).diff() / torch.tensor(DISTANCES, dtype=torch.float64).diff()
    fall = start - values[-1]
    if not bool((slopes < 0).all()) or not bool((slopes <= STEADY * slopes[0]).all()) or not fall > 0:
        return None
    outside = max(relative_violation(problem, point) for point in points)
    value = max(abs(start) / fall, outside)
    proof = Certificate(CertificateKind.UNBOUNDEDNESS, "falling ray", value)
    return proof if proof.meets(problem.tol) else None
