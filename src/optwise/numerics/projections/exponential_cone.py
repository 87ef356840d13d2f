"""The exponential cone, whose nearest point is the root of one increasing function."""

from __future__ import annotations

import torch
from torch import Tensor

from optwise.numerics.projections.instances import lifted, rounding

_FARTHEST = 750.0  # from 0, or from the end of the bracket beyond it, to the root: farther out exp() leaves float64
_HALVINGS = 64  # of a bracket of that width, down to 1e-17


def project_exponential_cone(v: Tensor) -> Tensor:
    r"""Nearest point of the exponential cone.

    .. math:: \operatorname*{argmin}_{x \in K} \tfrac12 |x - v|^2, \qquad
        K = \operatorname{cl} \{ (x, y, z) : y > 0, \; y e^{x / y} \le z \}

    Outside the cone, its polar and the quadrant :math:`x, y \le 0` the difference splits into two orthogonal rays,

    .. math:: v = \alpha (\rho, 1, e^\rho) + \beta (1, 1 - \rho, -e^{-\rho}), \qquad \alpha, \beta \ge 0,

    the first of them in K and the second in its polar. The first two coordinates give :math:`\alpha` and
    :math:`\beta`, and the third one gives :math:`\rho`, by bisection.

    Args:
        v: Points (x, y, z) [..., 3].

    Raises:
        ValueError: The last dimension is not 3.

    Example:
        >>> project_exponential_cone(torch.tensor([[0.0, 1.0, 3.0], [-1.0, -2.0, 3.0], [1.0, 0.0, 0.0]]))
        tensor([[ 0.0000,  1.0000,  3.0000],
                [-1.0000,  0.0000,  3.0000],
                [ 0.1077,  0.0971,  0.2944]])

    References:
        Friberg (2023), Projection onto the exponential cone: a univariate root-finding problem.
    """
    point = _triples(v)
    largest = point.abs().amax(-1, keepdim=True)
    x, y, z = (point / torch.where(largest > 0, largest, 1.0)).unbind(-1)
    quadrant = torch.stack([x, torch.zeros_like(y), z.clamp(min=0)], dim=-1)
    answer = torch.where(((x <= 0) & (y <= 0)).unsqueeze(-1), quadrant, _surface(x, y, z))
    in_polar = (x > 0) & (x * torch.exp(y / torch.where(x > 0, x, 1.0) - 1) <= -z)
    answer = torch.where(in_polar.unsqueeze(-1), 0.0, answer * largest)
    inside = (y > 0) & (y * torch.exp(x / torch.where(y > 0, y, 1.0)) <= z)
    return torch.where(inside.unsqueeze(-1), point, answer).to(v.dtype)


def support_exponential_cone(u: Tensor) -> Tensor:
    r"""Support function of the exponential cone.

    .. math:: \sup_{x \in K} \langle u, x \rangle = 0 \text{ where } u_1 > 0, \; u_1 e^{u_2 / u_1} \le -e u_3
        \text{ or } u_1 = 0, \; u_2, u_3 \le 0, \quad \infty \text{ elsewhere}

    Args:
        u: Directions [..., 3]; they may lie outside the polar cone by the rounding of u.

    Returns:
        One number for each direction [...].

    Raises:
        ValueError: The last dimension is not 3.

    Example:
        >>> support_exponential_cone(torch.tensor([[1.0, 1.0, -1.0], [1.0, 1.0, -0.9], [0.0, -1.0, -1.0]]))
        tensor([0., inf, 0.])

    References:
        Chares (2009), Cones and Interior-Point Algorithms for Structured Convex Optimization involving Powers and
        Exponentials, section 4.2.
    """
    direction = _triples(u)
    # the distance to the polar is the length of the nearest point of the cone
    distance = torch.linalg.vector_norm(project_exponential_cone(direction), dim=-1)
    finite = distance <= rounding(u) * torch.linalg.vector_norm(direction, dim=-1)
    return torch.where(finite, 0.0, torch.inf).to(u.dtype)


def _surface(x: Tensor, y: Tensor, z: Tensor) -> Tensor:
    """The ray of K in the splitting of points with ``x > 0`` or ``y > 0``, entries of at most 1; else anything."""
    first_alpha = torch.where(x > 0, 1 - y / torch.where(x > 0, x, 1.0), -torch.inf)  # alpha is 0 there
    last_beta = torch.where(y > 0, x / torch.where(y > 0, y, 1.0), torch.inf)  # beta is 0 there
    low = first_alpha.maximum(last_beta.clamp(max=0) - _FARTHEST)
    high = last_beta.minimum(first_alpha.clamp(min=0) + _FARTHEST)
    low, high = torch.where(torch.isfinite(low), low, 0.0), torch.where(torch.isfinite(high), high, 0.0)
    for _ in range(_HALVINGS):
        rho = (low + high) / 2
        alpha, beta = _lengths(x, y, rho)
        under = alpha * torch.exp(rho) - beta * torch.exp(-rho) < z
        low, high = torch.where(under, rho, low), torch.where(under, high, rho)
    rho = (low + high) / 2
    alpha, beta = _lengths(x, y, rho)
    # of the two sides of the equation, the one without the large factor
    third = torch.where(rho > 0, (z + beta * torch.exp(-rho)).clamp(min=0), alpha * torch.exp(rho))
    return torch.stack([alpha * rho, alpha, third], dim=-1)


def _lengths(x: Tensor, y: Tensor, rho: Tensor) -> tuple[Tensor, Tensor]:
    square = rho * rho - rho + 1
    return ((y + (rho - 1) * x) / square).clamp(min=0), ((x - rho * y) / square).clamp(min=0)


def _triples(v: Tensor) -> Tensor:
    if v.dim() == 0 or v.shape[-1] != 3:
        raise ValueError(f"The shape is {list(v.shape)}; points of the exponential cone are triples, [..., 3].")
    return lifted(v)
