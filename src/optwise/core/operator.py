"""A matrix known by its products."""

from __future__ import annotations

from abc import abstractmethod

from torch import Tensor

from optwise.core.casting import Part


class LinearOperator(Part):
    """A linear map A of shape [m, p]; ``matrix`` where its entries are at hand."""

    @property
    @abstractmethod
    def shape(self) -> tuple[int, int]:
        """``(m, p)``."""

    @abstractmethod
    def forward(self, w: Tensor) -> Tensor:
        """``A w``: [..., p] to [..., m]."""

    @abstractmethod
    def adjoint(self, v: Tensor) -> Tensor:
        """``A^T v``: [..., m] to [..., p]."""

    @property
    def matrix(self) -> Tensor | None:
        """The entries [m, p]; ``None`` where only products are known."""
        return None

    @property
    def column_lengths(self) -> Tensor | None:
        """The length of each column [p]; ``None`` where nobody knows the entries."""
        return None if self.matrix is None else self.matrix.norm(dim=0)

    @property
    def norm_bound(self) -> float | None:
        """An upper bound of the largest singular value; ``None`` where nobody knows one in advance."""
        return None

    @property
    def gram_bands(self) -> tuple[Tensor, Tensor] | None:
        """Diagonal [m] and off-diagonal [m - 1] of ``A A^T`` where that is tridiagonal; else ``None``."""
        return None
