"""Convex cones: second-order, positive semidefinite and monotone."""

from __future__ import annotations

import torch
from torch import Tensor

from optwise.numerics.projections.instances import finite_matrices, lifted, rounding
from optwise.numerics.proximal.sorted_l1 import non_increasing


def project_second_order_cone(v: Tensor) -> Tensor:
    r"""Nearest point of the second-order cone; the last coordinate is its axis.

    .. math:: \operatorname*{argmin}_{|x| \le t} \tfrac12 |(x, t) - (y, s)|^2 = \begin{cases}
        (y, s) & |y| \le s \\ 0 & |y| \le -s \\ \frac{|y| + s}{2} (y / |y|, 1) & \text{elsewhere} \end{cases}

    Args:
        v: Points (y, s) [..., p].

    Example:
        >>> project_second_order_cone(torch.tensor([[3.0, 4.0, 0.0], [3.0, 4.0, -6.0]]))
        tensor([[1.5000, 2.0000, 2.5000],
                [0.0000, 0.0000, 0.0000]])

    References:
        Fukushima, Luo and Tseng (2002), Smoothing Functions for Second-Order-Cone Complementarity Problems.
    """
    point = lifted(v)
    y, s = point[..., :-1], point[..., -1:]
    length = torch.linalg.vector_norm(y, dim=-1, keepdim=True)
    height = ((length + s) / 2).clamp(min=0)
    surface = torch.cat([y * (height / torch.where(length > 0, length, 1.0)), height], dim=-1)
    return torch.where(length <= s, point, surface).to(v.dtype)


def support_second_order_cone(u: Tensor) -> Tensor:
    r"""Support function of the second-order cone; the last coordinate is its axis.

    .. math:: \sup_{|x| \le t} \langle u, x \rangle + s t = 0 \text{ where } |u| \le -s, \quad
        \infty \text{ elsewhere}

    Args:
        u: Directions (u, s) [..., p]; a length may exceed ``-s`` by the rounding of u.

    Returns:
        One number for each direction [...].

    Example:
        >>> support_second_order_cone(torch.tensor([[3.0, 4.0, -5.0], [3.0, 4.0, -4.9]]))
        tensor([0., inf])

    References:
        Rockafellar (1970), Convex Analysis, section 14; Boyd and Vandenberghe (2004), Convex Optimization, section
        2.6.
    """
    direction = lifted(u)
    length = torch.linalg.vector_norm(direction[..., :-1], dim=-1)
    return _zero_where(length <= -direction[..., -1] * (1 + rounding(u)), u)


def project_positive_semidefinite(v: Tensor) -> Tensor:
    r"""Nearest positive semidefinite matrix in the Frobenius norm.

    .. math:: \operatorname*{argmin}_{X = X^T \succeq 0} \tfrac12 |X - V|_F^2
        = Q \operatorname{diag}(\max(\lambda, 0)) Q^T, \qquad \tfrac12 (V + V^T) = Q \operatorname{diag}(\lambda) Q^T

    Args:
        v: Matrices [..., n, n]; a matrix that is not symmetric first loses its skew part.

    Raises:
        ValueError: The matrices are not square.

    Example:
        >>> project_positive_semidefinite(torch.tensor([[0.0, 2.0], [0.0, 0.0]]))
        tensor([[0.5000, 0.5000],
                [0.5000, 0.5000]])

    References:
        Higham (1988), Computing a Nearest Symmetric Positive Semidefinite Matrix.
    """
    symmetric, whole = _symmetric(v)
    values, vectors = torch.linalg.eigh(symmetric)
    values = torch.where(whole, values, torch.nan)
    root = vectors * values.clamp(min=0).sqrt().unsqueeze(-2)
    inside = (values[..., :1] >= 0).unsqueeze(-1)
    return torch.where(inside, symmetric, root @ root.mT).to(v.dtype)


def support_positive_semidefinite(u: Tensor) -> Tensor:
    r"""Support function of the positive semidefinite matrices.

    .. math:: \sup_{X = X^T \succeq 0} \langle U, X \rangle = 0 \text{ where } U + U^T \preceq 0, \quad
        \infty \text{ elsewhere}

    Args:
        u: Matrices [..., n, n]; an eigenvalue may exceed 0 by n times the rounding of u.

    Returns:
        One number for each matrix [...].

    Raises:
        ValueError: The matrices are not square.

    Example:
        >>> support_positive_semidefinite(torch.tensor([[[-1.0, 0.0], [0.0, 0.0]], [[-1.0, 0.0], [0.0, 0.1]]]))
        tensor([0., inf])

    References:
        Rockafellar (1970), Convex Analysis, section 14; Boyd and Vandenberghe (2004), Convex Optimization, section
        2.6.
    """
    symmetric, whole = _symmetric(u)
    values = torch.where(whole, torch.linalg.eigvalsh(symmetric), torch.nan)
    return _zero_where(values[..., -1] <= rounding(u) * u.shape[-1] * -values[..., 0], u)


def project_monotone_cone(v: Tensor) -> Tensor:
    r"""Nearest nondecreasing vector: isotonic regression.

    .. math:: \operatorname*{argmin}_{x_1 \le x_2 \le \dots \le x_p} \tfrac12 |x - v|^2, \qquad
        x_i = \max_{j \le i} \min_{k \ge i} \frac{v_j + \dots + v_k}{k - j + 1}

    Neighbours in the wrong order are pooled to their mean until none are left. This runs on the host, one point after
    the other, in a time proportional to p.

    Args:
        v: Points [..., p].

    Example:
        >>> project_monotone_cone(torch.tensor([1.0, 3.0, 2.0, 4.0]))
        tensor([1.0000, 2.5000, 2.5000, 4.0000])

    References:
        Ayer, Brunk, Ewing, Reid and Silverman (1955), An Empirical Distribution Function for Sampling with Incomplete
        Information; Robertson, Wright and Dykstra (1988), Order Restricted Statistical Inference, section 1.4.
    """
    points = lifted(v)
    inside = (points.diff(dim=-1) >= 0).all(-1, keepdim=True)  # pooling equal neighbours would round them
    return torch.where(inside, points, -non_increasing(-points)).to(v.dtype)


def support_monotone_cone(u: Tensor) -> Tensor:
    r"""Support function of the nondecreasing vectors.

    .. math:: \sup_{x_1 \le \dots \le x_p} \langle u, x \rangle = 0
        \text{ where } \sum_{i \le k} u_i \ge 0 \text{ for all } k \text{ and } \sum_i u_i = 0, \quad
        \infty \text{ elsewhere}

    Args:
        u: Directions [..., p]; the sums may miss 0 by the rounding of u.

    Returns:
        One number for each direction [...].

    Example:
        >>> support_monotone_cone(torch.tensor([[1.0, 0.0, -1.0], [-1.0, 0.0, 1.0]]))
        tensor([0., inf])

    References:
        Robertson, Wright and Dykstra (1988), Order Restricted Statistical Inference, section 1.7.
    """
    direction = lifted(u)
    sums = direction.cumsum(-1)
    slack = rounding(u) * direction.abs().sum(-1)
    met = (sums.amin(-1) >= -slack) & (sums[..., -1] <= slack)
    return _zero_where(met & torch.isfinite(slack), u)


def _symmetric(v: Tensor) -> tuple[Tensor, Tensor]:
    if v.dim() < 2 or v.shape[-1] != v.shape[-2]:
        raise ValueError(f"The shape is {list(v.shape)}; positive semidefinite matrices are square, [..., n, n].")
    matrices, whole = finite_matrices(v)
    return (matrices + matrices.mT) / 2, whole


def _zero_where(finite: Tensor, u: Tensor) -> Tensor:
    return torch.where(finite, 0.0, torch.inf).to(u.dtype)
