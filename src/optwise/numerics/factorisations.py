r"""Dense least squares by one factorisation: Cholesky, QR, singular values.

All solve :math:`\min_w |X w - y|^2 + \lambda |w|^2` without averaging: where a loss is a mean over n rows, its
:math:`\lambda` times n goes in here.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor


class CholeskySolution(NamedTuple):
    """Least squares by the normal equations.

    Attributes:
        w: Weights, [p] or [p, m] as y is [n] or [n, m]; NaN where the factorisation broke down.
        condition: Of X (with l2, of X over sqrt(l2) I) in the 1-norm, estimated from the factor: at most the true one,
            rarely below a third of it, except that rounding hides what is above 1 / sqrt(eps). Infinite after a
            breakdown. The answer has lost ``digits_lost(condition**2)`` digits.
        factor: R with X^T X + l2 I = R^T R [p, p], upper triangular, for further right-hand sides.
        breakdown: Order of the first leading minor that rounding left not positive; 0 where there is none.
    """

    w: Tensor
    condition: float
    factor: Tensor
    breakdown: int


class QRSolution(NamedTuple):
    """Least squares by Householder QR.

    Attributes:
        w: Weights, [p] or [p, m] as y is [n] or [n, m]; not finite where R is singular.
        condition: Of X (with l2, of X over sqrt(l2) I) in the 1-norm, estimated from R: at most the true one, rarely
            below a third of it. Infinite where R is singular.
        factor: R with X^T X + l2 I = R^T R [p, p], upper triangular, from X itself and not from the product.
    """

    w: Tensor
    condition: float
    factor: Tensor


class SVDSolution(NamedTuple):
    """Least squares by the singular value decomposition.

    Attributes:
        w: Weights of least norm, [p] or [p, m] as y is [n] or [n, m].
        condition: Largest over smallest singular value of X, in the 2-norm and without l2; infinite where that is 0.
        rank: Number of singular values above the cutoff.
        singular_values: Of X, decreasing [min(n, p)].
    """

    w: Tensor
    condition: float
    rank: int
    singular_values: Tensor


def cholesky_solve_normal(X: Tensor, y: Tensor, *, l2: float = 0.0) -> CholeskySolution:
    r"""Solve the normal equations by Cholesky: the fastest way, at the square of the condition number.

    .. math:: (X^T X + \lambda I) w = X^T y, \qquad X^T X + \lambda I = R^T R

    Args:
        X: Rows [n, p].
        y: Labels [n] or [n, m].
        l2: lambda, at least 0.

    Raises:
        ValueError: Shapes or dtypes that do not fit, an entry that is not finite, a negative ``l2``.

    Example:
        >>> X = torch.tensor([[1.0, 0.0], [0.0, 2.0], [0.0, 0.0]], dtype=torch.float64)
        >>> found = cholesky_solve_normal(X, torch.tensor([1.0, 2.0, 5.0], dtype=torch.float64))
        >>> found.w, found.condition
        (tensor([1., 1.], dtype=torch.float64), 2.0)

    References:
        Golub and Van Loan (2013), Matrix Computations, section 5.3.2; Higham (2002), Accuracy and Stability of
        Numerical Algorithms, section 20.4.
    """
    _refuse_bad_system(X, y, l2)
    gram = X.T @ X
    gram.diagonal().add_(l2)
    factor, info = torch.linalg.cholesky_ex(gram, upper=True)
    breakdown = int(info)
    if breakdown:
        w = X.new_full((X.shape[1], *y.shape[1:]), math.nan)
        return CholeskySolution(w, math.inf, factor, breakdown)
    # torch.cholesky_solve would copy the factor
    half = torch.linalg.solve_triangular(factor.T, _columns(X.T @ y), upper=False)
    w = torch.linalg.solve_triangular(factor, half, upper=True).reshape(X.shape[1], *y.shape[1:])
    return CholeskySolution(w, triangular_condition(factor), factor, 0)


def qr_least_squares(X: Tensor, y: Tensor, *, l2: float = 0.0) -> QRSolution:
    r"""Solve least squares by Householder QR: twice the work of Cholesky, at the condition number itself.

    .. math:: X = Q R, \qquad R w = Q^T y

    where ``l2`` above 0 appends the rows :math:`\sqrt\lambda I` to X. Q is applied, never formed. Columns are not
    pivoted: where ``condition`` reaches 1 / eps the rank is in doubt, and :func:`svd_least_squares` decides it.

    Args:
        X: Rows [n, p], with n >= p unless ``l2`` is above 0.
        y: Labels [n] or [n, m].
        l2: lambda, at least 0.

    Raises:
        ValueError: Shapes or dtypes that do not fit, an entry that is not finite, a negative ``l2``, or more columns
            than rows without ``l2``.

    Example:
        >>> X = torch.tensor([[1.0, 1.0], [1.0, 1.001]], dtype=torch.float64)
        >>> found = qr_least_squares(X, torch.tensor([2.0, 2.001], dtype=torch.float64))
        >>> found.w.round(decimals=9), round(found.condition)
        (tensor([1., 1.], dtype=torch.float64), 4005)

    References:
        Golub (1965), Numerical methods for solving linear least squares problems; Golub and Van Loan (2013), Matrix
        Computations, section 5.3.3.
    """
    _refuse_bad_system(X, y, l2)
    n, p = X.shape
    if n < p and l2 == 0.0:
        raise ValueError(f"X has {n} rows and {p} columns; QR needs n >= p or l2 above 0: use svd_least_squares.")
    right = _columns(y)
    if l2 > 0.0:
        X = torch.cat([X, math.sqrt(l2) * torch.eye(p, dtype=X.dtype, device=X.device)])
        right = torch.cat([right, right.new_zeros(p, right.shape[1])])
    reflectors, scales = torch.geqrf(X)
    factor = reflectors[:p].triu()
    rotated = torch.ormqr(reflectors, scales, right, transpose=True)[:p]
    w = torch.linalg.solve_triangular(factor, rotated, upper=True).reshape(p, *y.shape[1:])
    return QRSolution(w, triangular_condition(factor), factor)


def svd_least_squares(X: Tensor, y: Tensor, *, l2: float = 0.0, cutoff: float | None = None) -> SVDSolution:
    r"""Solve least squares by the singular value decomposition: the dearest way, for any shape and rank.

    .. math:: w = \sum_{s_i > \text{cutoff} \cdot s_1} \frac{s_i}{s_i^2 + \lambda} \, (u_i^T y) \, v_i

    which without ``l2`` is the solution of least norm.

    Args:
        X: Rows [n, p], of any shape.
        y: Labels [n] or [n, m].
        l2: lambda, at least 0.
        cutoff: Singular values up to this share of the largest count as 0: eps max(n, p) where omitted, as in
            ``numpy.linalg.matrix_rank``.

    Raises:
        ValueError: Shapes or dtypes that do not fit, an entry that is not finite, a negative ``l2`` or ``cutoff``.

    Example:
        >>> X = torch.tensor([[1.0, 1.0], [1.0, 1.001]], dtype=torch.float64)
        >>> found = svd_least_squares(X, torch.tensor([2.0, 2.001], dtype=torch.float64))
        >>> found.w.round(decimals=9), round(found.condition), found.rank
        (tensor([1., 1.], dtype=torch.float64), 4002, 2)

    References:
        Golub and Reinsch (1970), Singular value decomposition and least squares solutions; Golub and Van Loan (2013),
        Matrix Computations, section 5.5.
    """
    _refuse_bad_system(X, y, l2)
    if cutoff is None:
        cutoff = torch.finfo(X.dtype).eps * max(X.shape)
    if not 0.0 <= cutoff < 1.0:
        raise ValueError(f"cutoff is {cutoff}; it must be a share of the largest singular value, from 0 to below 1.")
    U, s, Vh = torch.linalg.svd(X, full_matrices=False)
    kept = s > cutoff * s[0]
    nonzero = torch.where(kept, s, 1.0)
    filtered = torch.where(kept, 1.0 / (nonzero + l2 / nonzero), 0.0)
    w = Vh.T @ (filtered[:, None] * (U.T @ _columns(y)))
    largest, smallest = float(s[0]), float(s[-1])
    condition = largest / smallest if smallest > 0.0 else math.inf
    return SVDSolution(w.reshape(X.shape[1], *y.shape[1:]), condition, int(kept.sum()), s)


def triangular_condition(R: Tensor) -> float:
    r"""Estimate the condition number of an upper triangular matrix in the 1-norm from a few solves.

    .. math:: \kappa_1(R) = |R|_1 |R^{-1}|_1, \qquad \kappa_2 / p \le \kappa_1 \le p \, \kappa_2

    :math:`|R^{-1} x|_1` is convex in x; it is climbed from vertex to vertex of the unit ball, and one more vector of
    alternating signs catches where that stands still. The estimate is at most the true value.

    Args:
        R: Upper triangular [p, p].

    Returns:
        The estimate; infinite where R is singular.

    Example:
        >>> triangular_condition(torch.tensor([[1.0, 1.0], [0.0, 0.5]]))
        6.0

    References:
        Higham (1988), FORTRAN codes for estimating the one-norm of a real or complex matrix (the estimator of LAPACK).
    """
    p = len(R)
    if bool((R.diagonal() == 0.0).any()):
        return math.inf
    x, climbed = R.new_full((p,), 1.0 / p), 0.0
    for _ in range(5):
        image = torch.linalg.solve_triangular(R, x[:, None], upper=True)[:, 0]
        reached = float(image.abs().sum())
        if not reached > climbed:
            break
        climbed = reached
        signs = torch.where(image >= 0.0, 1.0, -1.0).to(R.dtype)
        slope = torch.linalg.solve_triangular(R, signs[None], upper=True, left=False)[0]  # R^-T signs
        steepest = int(slope.abs().argmax())
        if float(slope[steepest].abs()) <= float(slope @ x):
            break
        x = torch.zeros_like(x)
        x[steepest] = 1.0
    alternating = torch.linspace(1.0, 2.0, p, dtype=R.dtype, device=R.device)
    alternating[1::2] *= -1.0
    image = torch.linalg.solve_triangular(R, alternating[:, None], upper=True)
    inverse = max(climbed, float(image.abs().sum() / alternating.abs().sum()))
    found = float(torch.linalg.matrix_norm(R, 1)) * inverse
    return found if math.isfinite(found) else math.inf


def _columns(y: Tensor) -> Tensor:
    return y if y.ndim == 2 else y[:, None]


def _refuse_bad_system(X: Tensor, y: Tensor, l2: float) -> None:
    if X.ndim != 2 or 0 in X.shape or y.ndim not in {1, 2} or len(y) != len(X):
        raise ValueError(
            f"X and y have shapes {tuple(X.shape)} and {tuple(y.shape)}; they must be [n, p] and [n] or [n, m]."
        )
    if X.dtype not in {torch.float32, torch.float64} or y.dtype != X.dtype:
        raise ValueError(f"X and y are of {X.dtype} and {y.dtype}; both must be float32 or both float64.")
    if not 0.0 <= l2 < math.inf:
        raise ValueError(f"l2 is {l2}; it must be at least 0 and finite.")
    for name, tensor in (("X", X), ("y", y)):
        # the extremes take no memory, a mask takes a byte an entry
        if not all(math.isfinite(end) for end in torch.stack(torch.aminmax(tensor)).tolist()):
            raise ValueError(f"{name} holds NaN or infinity; drop those rows or fill the gaps first.")
