"""What dense factorisations cost, known before they run: operations, bytes, and digits lost to rounding."""

from __future__ import annotations

import math


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
