r"""Dense least squares by one factorisation, what each costs before it runs, and tridiagonal systems.

All solve :math:`\min_w |X w - y|^2 + \lambda |w|^2` without averaging: where a loss is a mean over n rows, its
:math:`\lambda` times n goes in here.
"""

from __future__ import annotations

import math
import os
import sys
from pathlib import Path
from typing import NamedTuple

import torch
from scipy.linalg import LinAlgError, solveh_banded
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
        factor: R with X = Q R [p, p], upper triangular.
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


def digits_lost(condition: float) -> float:
    r"""Decimal digits that a problem of this condition number may cost, :math:`\log_{10} \kappa`.

    Of the 16 digits of float64, or the 7 of float32, that many are gone from an answer computed by QR or SVD where the
    residual is small; the normal equations lose twice as many, ``digits_lost(condition**2)``.

    Example:
        >>> round(digits_lost(4002.0), 2), round(digits_lost(4002.0**2), 2)
        (3.6, 7.2)

    References:
        Higham (2002), Accuracy and Stability of Numerical Algorithms, section 1.6.
    """
    return math.log10(condition)


def flops_gram(n: int, p: int) -> float:
    """Additions and multiplications that form X^T X, half of it by symmetry: n p^2."""
    return float(n) * p * p


def flops_triangular_solve(p: int) -> float:
    """Additions and multiplications of one substitution: p^2 per right-hand side, twice that per factorised system."""
    return float(p) * p


def flops_cholesky(n: int, p: int) -> float:
    r"""Additions and multiplications of :func:`cholesky_solve_normal` for one right-hand side.

    .. math:: n p^2 + \tfrac13 p^3 + 2 n p + 2 p^2

    for :math:`X^T X` (of which a product that does not know of the symmetry does twice as many), the factor,
    :math:`X^T y` and two triangular solves.

    Example:
        >>> flops_cholesky(1000, 30)
        970800.0

    References:
        Golub and Van Loan (2013), Matrix Computations, section 5.3.2.
    """
    return flops_gram(n, p) + p**3 / 3 + 2.0 * n * p + 2 * flops_triangular_solve(p)


def flops_lu(n: int, p: int) -> float:
    r"""Additions and multiplications of the normal equations by LU, which does not use that they are symmetric.

    .. math:: n p^2 + \tfrac23 p^3 + 2 n p + 2 p^2

    Example:
        >>> flops_lu(1000, 30)
        979800.0

    References:
        Golub and Van Loan (2013), Matrix Computations, section 3.2.
    """
    return flops_cholesky(n, p) + p**3 / 3


def flops_qr(n: int, p: int) -> float:
    r"""Additions and multiplications of :func:`qr_least_squares` for one right-hand side and n >= p.

    .. math:: 2 n p^2 - \tfrac23 p^3 + 4 n p - 2 p^2 + p^2

    for the reflectors, :math:`Q^T y` and one triangular solve.

    Example:
        >>> flops_qr(1000, 30)
        1901100.0

    References:
        Golub and Van Loan (2013), Matrix Computations, sections 5.1.6, 5.2.1 and 5.3.3.
    """
    return 2.0 * n * p * p - 2 * p**3 / 3 + 4.0 * n * p - 2.0 * p * p + flops_triangular_solve(p)


def flops_svd(n: int, p: int) -> float:
    r"""Additions and multiplications of :func:`svd_least_squares`, with k the smaller and m the larger of n and p.

    .. math:: 6 m k^2 + 20 k^3 + 2 n k + 2 k p

    for U, s and V after a QR factorisation and the products with y. The iteration inside makes this an estimate:
    divide and conquer, as in LAPACK's gesdd, takes less than the 20.

    Example:
        >>> flops_svd(1000, 30)
        6001800.0

    References:
        Golub and Van Loan (2013), Matrix Computations, figure 8.6.1.
    """
    k, m = min(n, p), max(n, p)
    return 6.0 * m * k * k + 20.0 * k**3 + 2.0 * n * k + 2.0 * k * p


def peak_bytes_cholesky(n: int, p: int, itemsize: int) -> int:
    """Most bytes held at once by :func:`cholesky_solve_normal`: X, y, X^T X, its factor and two vectors.

    Example:
        >>> peak_bytes_cholesky(50_000, 50_000, 8) / 1e9
        60.0012
    """
    return itemsize * (n * p + n + 2 * p * p + 2 * p)


def peak_bytes_qr(n: int, p: int, itemsize: int) -> int:
    """Most bytes held at once by :func:`qr_least_squares`: X, y, their reflected copies, R and two vectors.

    Example:
        >>> peak_bytes_qr(100_000, 1_000, 8) / 1e9
        1.609616
    """
    return itemsize * (2 * n * p + 2 * n + p * p + 2 * p)


def peak_bytes_svd(n: int, p: int, itemsize: int) -> int:
    """Most bytes held at once by :func:`svd_least_squares`: X, a copy, U, V, y, and the workspace of gesdd.

    Example:
        >>> peak_bytes_svd(100_000, 1_000, 8) / 1e9
        2.466416
    """
    k = min(n, p)
    return itemsize * (2 * n * p + n + n * k + k * p + 7 * k * k + 2 * (n + p))


def solve_tridiagonal(diagonal: Tensor, offdiagonal: Tensor, rhs: Tensor) -> Tensor:
    r"""Solve a symmetric positive definite tridiagonal system in O(n).

    .. math:: b_{i-1} x_{i-1} + a_i x_i + b_i x_{i+1} = r_i

    Torch has no solver for banded matrices. The system goes to LAPACK through scipy, in float64 on the CPU, and the
    answer comes back in the dtype and on the device of ``rhs``; autograd does not follow.

    Args:
        diagonal: a [n].
        offdiagonal: b [n - 1].
        rhs: r, [n] or [n, m].

    Returns:
        x, of the shape of ``rhs``.

    Raises:
        ValueError: Shapes that do not fit, an entry that is not finite, or a matrix that is not positive definite.

    Example:
        >>> solve_tridiagonal(torch.tensor([2.0, 2.0, 2.0]), torch.tensor([-1.0, -1.0]), torch.tensor([1.0, 0.0, 1.0]))
        tensor([1., 1., 1.])

    References:
        Golub and Van Loan (2013), Matrix Computations, section 4.3.6.
    """
    n = len(diagonal)
    if n < 1 or offdiagonal.shape != (n - 1,) or rhs.ndim not in {1, 2} or len(rhs) != n:
        raise ValueError(
            f"diagonal, offdiagonal and rhs have shapes {tuple(diagonal.shape)}, {tuple(offdiagonal.shape)} and "
            f"{tuple(rhs.shape)}; they must be [n], [n - 1] and [n] or [n, m]."
        )
    bands = torch.zeros(2, n, dtype=torch.float64)
    bands[0], bands[1, :-1] = diagonal.detach(), offdiagonal.detach()
    right = rhs.detach().to("cpu", torch.float64)
    if not bool(torch.isfinite(bands).all() & torch.isfinite(right).all()):
        raise ValueError("diagonal, offdiagonal or rhs holds NaN or infinity; solve_tridiagonal needs finite numbers.")
    try:
        found = solveh_banded(bands[: min(n, 2)].numpy(), right.numpy(), lower=True, check_finite=False)
    except LinAlgError as error:
        raise ValueError(
            f"The tridiagonal matrix is not positive definite ({error}); add to its diagonal, the least entry of which "
            f"is {float(diagonal.min()):.3g}."
        ) from error
    return torch.from_numpy(found).to(rhs)


def available_bytes(root: Path = Path("/")) -> int:
    """Memory that this process and all others together may use: that of the machine, or less by its control group.

    What is already in use is not subtracted. Control groups of both versions are read, with those around them.
    Where the system does not tell (Windows), the answer is ``sys.maxsize``, so that nothing is refused.

    Args:
        root: Where ``proc`` and ``sys`` lie.

    Example:
        >>> available_bytes() >= 2**28
        True

    References:
        Linux kernel documentation, Control Group v2, section Memory: memory.max.
    """
    try:
        physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        physical = sys.maxsize
    return min([physical, *_group_limits(root)])


def _group_limits(root: Path) -> list[int]:
    try:
        lines = (root / "proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    limits = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        mount, name = ("memory", "memory.limit_in_bytes") if controllers else ("", "memory.max")
        group = Path(path.lstrip("/"))
        for folder in (group, *group.parents):  # a limit of an outer group holds inside
            try:
                written = (root / "sys/fs/cgroup" / mount / folder / name).read_text(encoding="ascii").strip()
            except OSError:
                continue
            if written.isdecimal():  # "max" is no limit
                limits.append(int(written))
    return limits


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
