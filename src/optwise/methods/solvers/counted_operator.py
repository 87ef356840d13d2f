"""The operator before the penalty, the identity where there is none, its products counted."""

from __future__ import annotations

from typing import final

from torch import Tensor

from optwise.core.composite import Composite
from optwise.numerics.spectra import operator_norm


@final
class CountedOperator:
    """A of g(A w) with every product booked.

    Args:
        problem: Whose operator it is.
    """

    def __init__(self, problem: Composite) -> None:
        self._problem, self._operator = problem, problem.operator

    @property
    def rows(self) -> int:
        """Length m of ``A w``."""
        return self._problem.dimension if self._operator is None else self._operator.shape[0]

    def forward(self, w: Tensor) -> Tensor:
        """``A w`` [m]."""
        if self._operator is None:
            return w
        self._problem.count("products")
        return self._operator.forward(w)

    def adjoint(self, v: Tensor) -> Tensor:
        """``A^T v`` [p]."""
        if self._operator is None:
            return v
        self._problem.count("products")
        return self._operator.adjoint(v)

    def norm(self, like: Tensor) -> float:
        """An upper bound of the largest singular value, within a percent where nobody knows one.

        Args:
            like: A tensor of the dtype and on the device of ``w``.
        """
        operator = self._operator
        if operator is None:
            return 1.0
        if operator.norm_bound is not None:
            return operator.norm_bound
        found = operator_norm(
            operator.forward, operator.adjoint, operator.shape, dtype=like.dtype, device=like.device, tol=0.01
        )
        self._problem.count("products", 2 * found.iterations)
        return found.upper
