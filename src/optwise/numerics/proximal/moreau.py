"""Moreau's decomposition: the proximal map of a conjugate out of the proximal map of the function."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from optwise.numerics.proximal.conventions import positive_step

Prox = Callable[[Tensor, Tensor], Tensor]
"""``prox(v, step)`` of one function, its other parameters bound, for instance by ``functools.partial``."""


def prox_conjugate(prox: Prox, v: Tensor, step: Tensor | float, *, dimensions: int = 1) -> Tensor:
    r"""Proximal map of ``step`` times the conjugate of g, from the proximal map of g.

    .. math:: \operatorname{prox}_{s g^*}(v) = v - s \operatorname{prox}_{g / s}(v / s)

    For a norm this is the projection on the ball of its dual norm, whatever the step. The difference loses the digits
    that ``v`` has more than the result: a projection with a formula of its own (``optwise.numerics.projections``) is
    better there.

    Args:
        prox: Called as ``prox(point, step)``; the step it gets is a tensor of the shape of ``step``.
        v: Point [..., p].
        step: s above 0, a number or one for each instance.
        dimensions: How many of the last dimensions of ``v`` make one instance: 2 for matrices.

    Example:
        >>> import torch
        >>> from optwise.numerics.proximal.l1 import prox_l1
        >>> prox_conjugate(prox_l1, torch.tensor([3.0, 0.5, -2.0]), 0.1)  # onto the box of half-width 1
        tensor([ 1.0000,  0.5000, -1.0000])

    References:
        Moreau (1965), Proximité et dualité dans un espace hilbertien; Parikh and Boyd (2014), Proximal Algorithms,
        section 2.5.
    """
    s = positive_step(step, v, dimensions=dimensions)
    inverse = 1 / s.reshape(s.shape[: max(s.ndim - dimensions, 0)])
    return v - s * prox(v / s, inverse)
