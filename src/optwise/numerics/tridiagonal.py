"""Symmetric positive definite tridiagonal systems, by LAPACK: torch has no kernel for banded matrices."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


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
    from scipy.linalg import solveh_banded  # it takes longer to load than most solves

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
    except np.linalg.LinAlgError as error:
        raise ValueError(
            f"The tridiagonal matrix is not positive definite ({error}); add to its diagonal, the least entry of which "
            f"is {float(diagonal.min()):.3g}."
        ) from error
    return torch.from_numpy(found).to(rhs)
