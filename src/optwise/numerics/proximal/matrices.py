"""Functions of the singular values or eigenvalues of a matrix: nuclear, spectral and Frobenius norm, trace, log det."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from optwise.numerics.decompositions import eigh, eigvalsh, svd, svdvals
from optwise.numerics.proximal.conventions import indicator, per_instance, positive_step
from optwise.numerics.proximal.l1 import soft_threshold
from optwise.numerics.proximal.logarithmic import prox_negative_log
from optwise.numerics.proximal.norms import prox_linf_norm


def nuclear_norm(X: Tensor, *, weight: Tensor | float = 1.0) -> Tensor:
    r"""Sum of the singular values, which favours low rank.

    .. math:: g(X) = w \sum_i \sigma_i(X)

    Example:
        >>> nuclear_norm(torch.diag(torch.tensor([3.0, -1.0])))
        tensor(4.)
    """
    return _weight(weight, X) * _singular_values(X).sum(-1)


def prox_nuclear_norm(V: Tensor, step: Tensor | float, *, weight: Tensor | float = 1.0) -> Tensor:
    r"""Proximal map of :func:`nuclear_norm`: soft thresholding of the singular values at :math:`s w`.

    Args:
        V: Point [..., m, n].
        step: s above 0, a number or one for each instance.
        weight: w at least 0, a number or one for each instance.

    Example:
        >>> prox_nuclear_norm(torch.diag(torch.tensor([3.0, 0.5])), 1.0)
        tensor([[2., 0.],
                [0., 0.]])

    References:
        Cai, Candès and Shen (2010), A singular value thresholding algorithm for matrix completion.
    """
    U, sigma, Vh = svd(V)
    kept = soft_threshold(sigma, _level(V, step, weight)[..., None])
    shrunk: Tensor = (U * kept[..., None, :]) @ Vh
    return shrunk


def conjugate_nuclear_norm(U: Tensor, *, weight: Tensor | float = 1.0, slack: float = 0.0) -> Tensor:
    r"""Conjugate of :func:`nuclear_norm`: 0 if no singular value is above w, infinite elsewhere.

    Example:
        >>> conjugate_nuclear_norm(torch.diag(torch.tensor([1.0, -0.5])))
        tensor(0.)
    """
    return indicator(_singular_values(U).amax(-1) <= _weight(weight, U) * (1 + slack), U)


def spectral_norm(X: Tensor, *, weight: Tensor | float = 1.0) -> Tensor:
    r"""The largest singular value.

    .. math:: g(X) = w \, \sigma_1(X)

    Example:
        >>> spectral_norm(torch.diag(torch.tensor([3.0, -1.0])))
        tensor(3.)
    """
    return _weight(weight, X) * _singular_values(X).amax(-1)


def prox_spectral_norm(V: Tensor, step: Tensor | float, *, weight: Tensor | float = 1.0) -> Tensor:
    r"""Proximal map of :func:`spectral_norm`: clip the singular values at the level above which they have :math:`s w`.

    Args:
        V: Point [..., m, n].
        step: s above 0, a number or one for each instance.
        weight: w at least 0, a number or one for each instance.

    Example:
        >>> prox_spectral_norm(torch.diag(torch.tensor([3.0, 1.0])), 1.0)
        tensor([[2., 0.],
                [0., 1.]])

    References:
        Parikh and Boyd (2014), Proximal Algorithms, section 6.7.
    """
    U, sigma, Vh = svd(V)
    clipped = prox_linf_norm(sigma, _level(V, step, weight))
    shrunk: Tensor = (U * clipped[..., None, :]) @ Vh
    return shrunk


def conjugate_spectral_norm(U: Tensor, *, weight: Tensor | float = 1.0, slack: float = 0.0) -> Tensor:
    r"""Conjugate of :func:`spectral_norm`: 0 if the singular values sum to at most w, infinite elsewhere.

    Example:
        >>> conjugate_spectral_norm(torch.diag(torch.tensor([1.0, -0.5])))
        tensor(inf)
    """
    return indicator(_singular_values(U).sum(-1) <= _weight(weight, U) * (1 + slack), U)


def frobenius_norm(X: Tensor, *, weight: Tensor | float = 1.0) -> Tensor:
    r"""Euclidean norm of all entries, not squared.

    .. math:: g(X) = w \sqrt{\textstyle\sum_{i, j} X_{i j}^2}

    Example:
        >>> frobenius_norm(torch.tensor([[3.0, 0.0], [0.0, 4.0]]))
        tensor(5.)
    """
    return _weight(weight, X) * _frobenius(X)


def prox_frobenius_norm(V: Tensor, step: Tensor | float, *, weight: Tensor | float = 1.0) -> Tensor:
    r"""Proximal map of :func:`frobenius_norm`: :math:`(1 - s w / \|V\|_F)_+ V`.

    Args:
        V: Point [..., m, n].
        step: s above 0, a number or one for each instance.
        weight: w at least 0, a number or one for each instance.

    Example:
        >>> prox_frobenius_norm(torch.tensor([[3.0, 0.0], [0.0, 4.0]]), 2.5)
        tensor([[1.5000, 0.0000],
                [0.0000, 2.0000]])

    References:
        Parikh and Boyd (2014), Proximal Algorithms, section 6.5.1.
    """
    norm, level = _frobenius(V), _level(V, step, weight)
    return V * torch.where(norm > level, (norm - level) / norm, torch.zeros_like(norm))[..., None, None]


def conjugate_frobenius_norm(U: Tensor, *, weight: Tensor | float = 1.0, slack: float = 0.0) -> Tensor:
    r"""Conjugate of :func:`frobenius_norm`: 0 for :math:`\|U\|_F \le w`, infinite elsewhere.

    Example:
        >>> conjugate_frobenius_norm(torch.eye(2))
        tensor(inf)
    """
    return indicator(_frobenius(U) <= _weight(weight, U) * (1 + slack), U)


def psd_trace(X: Tensor, *, weight: Tensor | float = 1.0, slack: float = 0.0) -> Tensor:
    r"""The trace of a symmetric positive semidefinite matrix, the nuclear norm there.

    .. math:: g(X) = w \operatorname{tr} X \text{ for } X = X^T \succeq 0, \quad \infty \text{ elsewhere}

    Args:
        X: Point [..., n, n]; of a matrix that is not symmetric the value is infinite.
        weight: w, a number or one for each instance.
        slack: How far eigenvalues may lie below 0 and the matrix may be from symmetric, relative to its norm: a matrix
            of low rank has eigenvalues of about ``-1e-16`` times its norm.

    Example:
        >>> psd_trace(torch.tensor([[2.0, 1.0], [1.0, 2.0]]))
        tensor(4.)
    """
    allowed = slack * _frobenius(X)
    symmetric = _frobenius(X - X.mT) <= allowed
    inside = symmetric & (eigvalsh(_symmetric_part(X)).amin(-1) >= -allowed)
    trace = X.diagonal(dim1=-2, dim2=-1).sum(-1)
    return torch.where(inside, _weight(weight, X) * trace, math.inf)


def prox_psd_trace(V: Tensor, step: Tensor | float, *, weight: Tensor | float = 1.0) -> Tensor:
    r"""Proximal map of :func:`psd_trace`: eigenvalues less :math:`s w`, cut at 0.

    With w = 0 this is the projection on the positive semidefinite matrices. A point that is not symmetric is mapped as
    its symmetric part is.

    Args:
        V: Point [..., n, n].
        step: s above 0, a number or one for each instance.
        weight: w, a number or one for each instance.

    Example:
        >>> prox_psd_trace(torch.diag(torch.tensor([3.0, -2.0])), 1.0)
        tensor([[2., 0.],
                [0., 0.]])

    References:
        Parikh and Boyd (2014), Proximal Algorithms, section 6.7.
    """
    eigenvalues, Q = eigh(_symmetric_part(V))
    kept = (eigenvalues - _level(V, step, weight)[..., None]).clamp(min=0)
    return _symmetric_part((Q * kept[..., None, :]) @ Q.mT)


def conjugate_psd_trace(U: Tensor, *, weight: Tensor | float = 1.0, slack: float = 0.0) -> Tensor:
    r"""Conjugate of :func:`psd_trace`: 0 if no eigenvalue of U (its symmetric part) is above w, infinite elsewhere.

    Example:
        >>> conjugate_psd_trace(torch.diag(torch.tensor([1.0, -7.0])))
        tensor(0.)
    """
    w = _weight(weight, U)
    return indicator(eigvalsh(_symmetric_part(U)).amax(-1) <= w + slack * w.abs(), U)


def negative_log_determinant(X: Tensor, *, weight: Tensor | float = 1.0) -> Tensor:
    r"""The barrier of the symmetric positive definite matrices, as in the likelihood of an inverse covariance.

    .. math:: g(X) = -w \log \det X \text{ for } X = X^T \succ 0, \quad \infty \text{ elsewhere}

    Example:
        >>> negative_log_determinant(torch.diag(torch.tensor([1.0, 2.0])))
        tensor(-0.6931)
    """
    eigenvalues = eigvalsh(_symmetric_part(X))
    inside = ((X - X.mT) == 0).flatten(-2).all(-1) & (eigenvalues.amin(-1) > 0)
    return torch.where(inside, -_weight(weight, X) * eigenvalues.log().sum(-1), math.inf)


def prox_negative_log_determinant(V: Tensor, step: Tensor | float, *, weight: Tensor | float = 1.0) -> Tensor:
    r"""Proximal map of :func:`negative_log_determinant`: that of the logarithm, on every eigenvalue.

    .. math:: \lambda \mapsto \tfrac12 \left(\lambda + \sqrt{\lambda^2 + 4 s w}\right)

    A point that is not symmetric is mapped as its symmetric part is.

    Args:
        V: Point [..., n, n].
        step: s above 0, a number or one for each instance.
        weight: w above 0, a number or one for each instance.

    Example:
        >>> prox_negative_log_determinant(torch.diag(torch.tensor([0.0, 3.0])), 4.0)
        tensor([[2., 0.],
                [0., 4.]])

    References:
        Parikh and Boyd (2014), Proximal Algorithms, section 6.7.
    """
    eigenvalues, Q = eigh(_symmetric_part(V))
    raised = prox_negative_log(eigenvalues, _level(V, step, weight))
    return _symmetric_part((Q * raised[..., None, :]) @ Q.mT)


def conjugate_negative_log_determinant(U: Tensor, *, weight: Tensor | float = 1.0) -> Tensor:
    r"""Conjugate of :func:`negative_log_determinant`, infinite unless U (its symmetric part) is negative definite.

    .. math:: g^*(U) = -w \log \det(-U) + n w (\log w - 1)

    Example:
        >>> conjugate_negative_log_determinant(-torch.eye(2))
        tensor(-2.)
    """
    eigenvalues = eigvalsh(-_symmetric_part(U))
    w = _weight(weight, U)
    value = w * (U.shape[-1] * (w.log() - 1) - eigenvalues.log().sum(-1))
    return torch.where(eigenvalues.amin(-1) > 0, value, math.inf)


def _weight(weight: Tensor | float, X: Tensor) -> Tensor:
    return _per_matrix(per_instance(weight, X, dimensions=2))


def _level(V: Tensor, step: Tensor | float, weight: Tensor | float) -> Tensor:
    """``step * weight``, a single number or [...], one per matrix."""
    return _per_matrix(positive_step(step, V, dimensions=2)) * _weight(weight, V)


def _per_matrix(value: Tensor) -> Tensor:
    return value.squeeze(-1).squeeze(-1) if value.ndim else value


def _singular_values(X: Tensor) -> Tensor:
    return svdvals(X)  # [..., min(m, n)]


def _frobenius(X: Tensor) -> Tensor:
    norm: Tensor = torch.linalg.vector_norm(X, dim=(-2, -1))
    return norm


def _symmetric_part(X: Tensor) -> Tensor:
    return 0.5 * (X + X.mT)
