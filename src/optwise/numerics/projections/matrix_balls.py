"""Balls of matrix norms: nuclear (the sum of the singular values) and spectral (the largest of them)."""

from __future__ import annotations

import torch
from torch import Tensor

from optwise.numerics.projections.instances import Numbers, finite_matrices, lifted, size
from optwise.numerics.projections.simplices import nearest_of_weighted_sum


def project_nuclear_ball(v: Tensor, radius: Numbers = 1.0) -> Tensor:
    r"""Nearest matrix of the ball of the nuclear norm, in the Frobenius norm.

    .. math:: \operatorname*{argmin}_{\sum_i \sigma_i(X) \le r} \tfrac12 |X - V|_F^2 = U \operatorname{diag}(\tau) W^T,
        \qquad V = U \operatorname{diag}(\sigma) W^T

    where :math:`\tau` is the nearest point to :math:`\sigma` of the l1 ball of radius r.

    Args:
        v: Matrices [..., m, n].
        radius: r, for all matrices or each [...].

    Raises:
        ValueError: The radius is negative or not finite.

    Example:
        >>> project_nuclear_ball(torch.diag(torch.tensor([1.0, 0.5])))
        tensor([[0.7500, 0.0000],
                [0.0000, 0.2500]])

    References:
        Lewis (1995), The Convex Analysis of Unitarily Invariant Matrix Functions; Cai, Candès and Shen (2010), A
        Singular Value Thresholding Algorithm for Matrix Completion.
    """
    r, (left, sigma, right) = size(radius, "radius", like=v), _svd(v)
    inside = (sigma.sum(-1, keepdim=True) <= r).unsqueeze(-1)
    tau = nearest_of_weighted_sum(sigma, torch.ones_like(sigma), r)
    return torch.where(inside, lifted(v), left * tau.unsqueeze(-2) @ right).to(v.dtype)


def vertex_nuclear_ball(g: Tensor, radius: Numbers = 1.0) -> Tensor:
    r"""Matrix of rank 1 in the ball of the nuclear norm at which a linear function is least.

    .. math:: \operatorname*{argmin}_{\sum_i \sigma_i(X) \le r} \langle G, X \rangle = -r u_1 w_1^T

    with the first singular vectors of G.

    Args:
        g: Matrices [..., m, n].
        radius: r, for all matrices or each [...].

    Raises:
        ValueError: The radius is negative or not finite.

    Example:
        >>> vertex_nuclear_ball(torch.diag(torch.tensor([1.0, -4.0])), 3.0)
        tensor([[0., 0.],
                [0., 3.]])

    References:
        Jaggi and Sulovský (2010), A Simple Algorithm for Nuclear Norm Regularized Problems.
    """
    r, (left, _, right) = size(radius, "radius", like=g), _svd(g)
    return (0.0 - r.unsqueeze(-1) * left[..., :1] @ right[..., :1, :]).to(g.dtype)


def support_nuclear_ball(u: Tensor, radius: Numbers = 1.0) -> Tensor:
    r"""Support function of the ball of the nuclear norm: the spectral norm is its dual.

    .. math:: \sup_{\sum_i \sigma_i(X) \le r} \langle U, X \rangle = r \sigma_1(U)

    Args:
        u: Matrices [..., m, n].
        radius: r, for all matrices or each [...].

    Returns:
        One number for each matrix [...].

    Raises:
        ValueError: The radius is negative or not finite.

    Example:
        >>> support_nuclear_ball(torch.diag(torch.tensor([1.0, -4.0])), 3.0)
        tensor(12.)

    References:
        Lewis (1995), The Convex Analysis of Unitarily Invariant Matrix Functions.
    """
    _, sigma, _ = _svd(u)
    return (size(radius, "radius", like=u) * sigma[..., :1]).squeeze(-1).to(u.dtype)


def project_spectral_ball(v: Tensor, radius: Numbers = 1.0) -> Tensor:
    r"""Nearest matrix of the ball of the spectral norm, in the Frobenius norm: singular values are capped.

    .. math:: \operatorname*{argmin}_{\sigma_1(X) \le r} \tfrac12 |X - V|_F^2
        = U \operatorname{diag}(\min(\sigma, r)) W^T, \qquad V = U \operatorname{diag}(\sigma) W^T

    Args:
        v: Matrices [..., m, n].
        radius: r, for all matrices or each [...].

    Raises:
        ValueError: The radius is negative or not finite.

    Example:
        >>> project_spectral_ball(torch.diag(torch.tensor([2.0, 0.5])))
        tensor([[1.0000, 0.0000],
                [0.0000, 0.5000]])

    References:
        Parikh and Boyd (2014), Proximal Algorithms, section 6.7.
    """
    r, (left, sigma, right) = size(radius, "radius", like=v), _svd(v)
    inside = (sigma[..., :1] <= r).unsqueeze(-1)
    return torch.where(inside, lifted(v), left * sigma.minimum(r).unsqueeze(-2) @ right).to(v.dtype)


def vertex_spectral_ball(g: Tensor, radius: Numbers = 1.0) -> Tensor:
    r"""Matrix in the ball of the spectral norm at which a linear function is least: all singular values equal r.

    .. math:: \operatorname*{argmin}_{\sigma_1(X) \le r} \langle G, X \rangle = -r U W^T, \qquad
        G = U \operatorname{diag}(\sigma) W^T

    Args:
        g: Matrices [..., m, n].
        radius: r, for all matrices or each [...].

    Raises:
        ValueError: The radius is negative or not finite.

    Example:
        >>> vertex_spectral_ball(torch.diag(torch.tensor([1.0, -4.0])), 3.0)
        tensor([[-3.,  0.],
                [ 0.,  3.]])

    References:
        Jaggi (2013), Revisiting Frank-Wolfe: Projection-Free Sparse Convex Optimization.
    """
    r, (left, _, right) = size(radius, "radius", like=g), _svd(g)
    return (0.0 - r.unsqueeze(-1) * left @ right).to(g.dtype)


def support_spectral_ball(u: Tensor, radius: Numbers = 1.0) -> Tensor:
    r"""Support function of the ball of the spectral norm: the nuclear norm is its dual.

    .. math:: \sup_{\sigma_1(X) \le r} \langle U, X \rangle = r \sum_i \sigma_i(U)

    Args:
        u: Matrices [..., m, n].
        radius: r, for all matrices or each [...].

    Returns:
        One number for each matrix [...].

    Raises:
        ValueError: The radius is negative or not finite.

    Example:
        >>> support_spectral_ball(torch.diag(torch.tensor([1.0, -4.0])), 3.0)
        tensor(15.)

    References:
        Lewis (1995), The Convex Analysis of Unitarily Invariant Matrix Functions.
    """
    _, sigma, _ = _svd(u)
    return (size(radius, "radius", like=u) * sigma.sum(-1, keepdim=True)).squeeze(-1).to(u.dtype)


def _svd(v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Singular vectors and values of a matrix, the vectors completed to orthonormal ones where its rank is low."""
    matrices, whole = finite_matrices(v)
    left, sigma, right = torch.linalg.svd(matrices, full_matrices=False)
    return left, torch.where(whole, sigma, torch.nan), right
