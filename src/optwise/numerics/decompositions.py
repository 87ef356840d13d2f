"""Singular values, eigenvalues and shortest solutions of what is finite; of all else NaN, and LAPACK is not asked.

LAPACK takes a number that is not finite for a wrong argument: it writes to the terminal, past every handler, and the
library above raises an internal error. So nothing here hands it one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor

from optwise.numerics.finiteness import all_finite

Found = TypeVar("Found")


def svd(A: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    r"""The thin singular value decomposition :math:`A = U \operatorname{diag}(s) V^T`.

    Args:
        A: Matrices [..., m, n].

    Returns:
        U [..., m, k], s [..., k] in falling order, and V^T [..., k, n]. Where a matrix holds NaN or infinity, or LAPACK
        finds no singular values, its s is NaN.

    Example:
        >>> svd(torch.diag(torch.tensor([3.0, 4.0])))[1], svd(torch.tensor([[torch.inf, 0.0]]))[1]
        (tensor([4., 3.]), tensor([nan]))
    """
    whole, finite = _whole(A)
    left, s, right = _asked(lambda: torch.linalg.svd(whole, full_matrices=False), lambda: _no_factors(whole))
    return left, _where(finite, s), right


def svdvals(A: Tensor) -> Tensor:
    """The singular values [..., k] of matrices [..., m, n], in falling order; NaN as in :func:`svd`.

    Example:
        >>> svdvals(torch.diag(torch.tensor([3.0, 4.0])))
        tensor([4., 3.])
    """
    whole, finite = _whole(A)
    return _where(finite, _asked(lambda: torch.linalg.svdvals(whole), lambda: _no_factors(whole)[1]))


def eigh(A: Tensor) -> tuple[Tensor, Tensor]:
    r"""The eigenvalues [..., n], in rising order, and eigenvectors [..., n, n] of symmetric matrices.

    Args:
        A: Matrices [..., n, n] of which the lower triangle is looked at.

    Returns:
        Both; the eigenvalues of a matrix that holds NaN or infinity are NaN.

    Example:
        >>> eigh(torch.diag(torch.tensor([3.0, -4.0])))[0]
        tensor([-4.,  3.])
    """
    whole, finite = _whole(A)
    values, vectors = _asked(lambda: torch.linalg.eigh(whole), lambda: _no_factors(whole)[1:])
    return _where(finite, values), vectors


def eigvalsh(A: Tensor) -> Tensor:
    """The eigenvalues [..., n] of symmetric matrices, in rising order; NaN as in :func:`eigh`.

    Example:
        >>> eigvalsh(torch.diag(torch.tensor([3.0, -4.0])))
        tensor([-4.,  3.])
    """
    whole, finite = _whole(A)
    return _where(finite, _asked(lambda: torch.linalg.eigvalsh(whole), lambda: _no_factors(whole)[1]))


def shortest_solution(A: Tensor, b: Tensor) -> Tensor:
    r"""The shortest of all x that minimise :math:`\|A x - b\|`, whatever the rank of A.

    Args:
        A: A matrix [m, n].
        b: Right-hand side [m].

    Returns:
        x [n]; NaN where A or b hold NaN or infinity.

    Example:
        >>> shortest_solution(torch.tensor([[1.0, 1.0]]), torch.tensor([2.0])).round(decimals=4)
        tensor([1., 1.])
    """
    nowhere = torch.full_like(A[0], torch.nan)
    if not all_finite(A) or not all_finite(b):
        return nowhere
    found: Tensor = _asked(lambda: torch.linalg.lstsq(A, b, driver="gelsd").solution, lambda: nowhere)
    return found


def _whole(A: Tensor) -> tuple[Tensor, Tensor]:
    """The matrices with zeros for those that are not finite, and which ones are [..., 1]."""
    finite = A.isfinite().all(-1).all(-1, keepdim=True)
    return torch.where(finite[..., None], A, 0.0), finite


def _where(finite: Tensor, values: Tensor) -> Tensor:
    return torch.where(finite, values, torch.nan)


def _asked(lapack: Callable[[], Found], nothing: Callable[[], Found]) -> Found:
    """What LAPACK finds; nothing where its iteration does not end, which rounding alone can cause."""
    try:
        return lapack()
    except torch.linalg.LinAlgError:  # type: ignore[attr-defined]
        return nothing()


def _no_factors(A: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Of the shapes of a singular value decomposition, all NaN."""
    *batch, m, n = A.shape
    k = min(m, n)
    return tuple(A.new_full((*batch, *shape), torch.nan) for shape in ((m, k), (k,), (k, n)))  # type: ignore[return-value]
