"""The Lanczos process on a symmetric operator, one product at a time, with full reorthogonalisation."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Operator = Callable[[Tensor], Tensor]
Floats = NDArray[np.float64]

ASYMMETRY = 1e-3
"""Share of the norm up to which <u, A v> and <A u, v> may differ: what float32 and difference quotients leave."""

DENSE = 48
"""Order up to which a tridiagonal matrix is written out: scipy, which knows better, takes longer to load than that."""


@dataclass
class Block:
    """The tridiagonal matrix from one start.

    Args:
        alphas: Its diagonal.
        betas: What stands beside the diagonal; the last one leads out of the matrix.
    """

    alphas: list[float] = field(default_factory=list)
    betas: list[float] = field(default_factory=list)


class Process:
    r"""An orthonormal basis that grows by a vector with each product, and the tridiagonal matrix in it.

    .. math:: \beta_j v_{j+1} = A v_j - \alpha_j v_j - \beta_{j-1} v_{j-1}

    Each new vector is made orthogonal to all earlier ones twice, which keeps the basis orthonormal to rounding. Where
    the Krylov space of a start is exhausted, :meth:`begin` goes on from another start in its complement.

    Args:
        apply: v -> A v, symmetric, for vectors [n].
        dimension: n.
        dtype: Of the vectors.
        device: Of the vectors.

    Attributes:
        basis: Orthonormal rows [at least k, n], of which the first ``count`` are in use.
        blocks: One for each start.
        count: k: products so far.
        norm: The largest |A v| and Ritz value seen: |A| from below.

    Raises:
        ValueError: The dimension is below 1.

    Example:
        >>> process = Process(lambda v: 2.0 * v, 3, dtype=torch.float64, device="cpu")
        >>> process.begin(torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64))
        >>> process.advance(), process.blocks[0].alphas, process.exhausted
        (True, [2.0], True)

    References:
        Lanczos (1950), An iteration method for the solution of the eigenvalue problem; Giraud, Langou, Rozloznik and
        van den Eshof (2005), Rounding error analysis of the classical Gram-Schmidt orthogonalization process.
    """

    def __init__(self, apply: Operator, dimension: int, *, dtype: torch.dtype, device: torch.device | str) -> None:
        if dimension < 1:
            raise ValueError(f"dimension is {dimension}; it must be at least 1.")
        self.apply, self.dimension = apply, dimension
        self.basis = torch.empty(0, dimension, dtype=dtype, device=device)
        self.blocks: list[Block] = []
        self.count = 0
        self.norm = 0.0
        self._eps = float(torch.finfo(dtype).eps)
        self._next = self.basis.new_empty(dimension)

    @property
    def rounding(self) -> float:
        """What rounding makes of a product with A and of k coefficients, in norm: (sqrt(n) + k) eps |A|."""
        return (math.sqrt(self.dimension) + self.count) * self._eps * self.norm

    @property
    def exhausted(self) -> bool:
        """Whether the last product lay in the span of the basis, up to rounding."""
        return self.blocks[-1].betas[-1] <= self.rounding

    def begin(self, start: Tensor) -> None:
        """Start a block at what of ``start`` is orthogonal to the basis so far."""
        rest, _ = self._orthogonalised(start / torch.linalg.vector_norm(start))
        self._next = rest / torch.linalg.vector_norm(rest)
        self.blocks.append(Block())

    def advance(self) -> bool:
        """One product with A; False where it is not finite, and then nothing has changed.

        Raises:
            ValueError: A turns out not to be symmetric.
        """
        image, k = self.apply(self._next), self.count
        if k == len(self.basis):  # room for as many again
            self.basis = torch.cat([self.basis, self.basis.new_empty(max(k, 8), self.dimension)])
        self.basis[k] = self._next
        self.count = k + 1
        size = torch.linalg.vector_norm(image, math.inf)
        image = image / torch.where(size > 0, size, 1.0)  # squares of what is huge or minute are lost in float32
        rest, along = self._orthogonalised(image)
        block, expected = self.blocks[-1], torch.zeros_like(along[:-1])
        if block.betas:
            expected[-1] = block.betas[-1] / size
        lengths = (torch.linalg.vector_norm(part) for part in (rest, image, along[:-1] - expected))
        # one look at the device per product
        length, *parts, unit = torch.stack([*lengths, along[-1], size]).tolist()
        norm, apart, alpha = (part * unit for part in parts)
        if not math.isfinite(length + norm):
            self.count = k
            return False
        self.norm = max(self.norm, norm)
        if apart > max(ASYMMETRY, math.sqrt(self._eps)) * self.norm:
            raise ValueError(
                f"<u, A v> and <A u, v> differ by {apart:.2g} where |A v| is up to {self.norm:.2g}; Lanczos needs a "
                f"symmetric operator, for example A^T A or (A + A^T) / 2."
            )
        block.alphas.append(alpha)
        block.betas.append(length * unit)
        if length > 0.0:
            self._next = rest / length
        return True

    def ritz_values(self) -> list[Floats]:
        """Eigenvalues of the tridiagonal matrix of each block, increasing."""
        values = [_eigenvalues(block.alphas, block.betas[:-1]) for block in self.blocks]
        self.norm = max(self.norm, *(float(np.abs(some).max()) for some in values))  # none of them passes |A|
        return values

    def _orthogonalised(self, vector: Tensor) -> tuple[Tensor, Tensor]:
        """What of a vector is orthogonal to the basis, and its coefficients along the basis [k]."""
        V = self.basis[: self.count]
        total = V.new_zeros(self.count)
        for _ in range(2):  # once more against what rounding leaves of the first time
            along = V @ vector
            vector, total = vector - V.T @ along, total + along
        return vector, total


def _eigenvalues(diagonal: list[float], beside: list[float]) -> Floats:
    """Of a symmetric tridiagonal matrix, increasing."""
    if len(diagonal) <= DENSE:
        found: Floats = np.linalg.eigvalsh(np.diag(diagonal) + np.diag(beside, 1) + np.diag(beside, -1))
        return found
    from scipy.linalg import eigvalsh_tridiagonal

    return np.asarray(eigvalsh_tridiagonal(diagonal, beside))
