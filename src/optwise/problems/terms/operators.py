"""Linear maps by what is known of them: their entries, few of them, their pattern, or nothing but two functions."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Self

import torch
import torch.nn.functional as F
from torch import Tensor

from optwise.core.errors import BadProblem
from optwise.core.operator import LinearOperator
from optwise.numerics.spectra import operator_norm


@dataclass(frozen=True, eq=False)
class MatrixOperator(LinearOperator):
    """A dense matrix, kept in the order of memory it came in.

    A product reads memory in a row or in jumps: of a column-major matrix (``numpy.asfortranarray``, or the transpose of
    a row-major one) the adjoint is the fast product, and so are single columns.

    Args:
        entries: The matrix [m, p].

    Example:
        >>> A = MatrixOperator(torch.tensor([[1.0, 2.0], [0.0, 1.0], [1.0, 0.0]]))
        >>> A.shape, A.forward(torch.tensor([1.0, 1.0])), A.adjoint(torch.tensor([1.0, 0.0, 1.0]))
        ((3, 2), tensor([3., 1., 1.]), tensor([2., 2.]))
    """

    entries: Tensor

    @property
    def shape(self) -> tuple[int, int]:
        m, p = self.entries.shape
        return m, p

    def forward(self, w: Tensor) -> Tensor:
        return w @ self.entries.mT

    def adjoint(self, v: Tensor) -> Tensor:
        return v @ self.entries

    @property
    def matrix(self) -> Tensor:
        return self.entries


@dataclass(frozen=True, eq=False)
class SparseOperator(LinearOperator):
    """A matrix that is mostly zero, kept by rows twice: itself and its transpose, so that both products are fast.

    Args:
        rows: The matrix [m, p], sparse CSR.
        columns: Its transpose [p, m], sparse CSR.

    Example:
        >>> import scipy.sparse
        >>> A = SparseOperator.of(scipy.sparse.csr_array([[0.0, 2.0, 0.0], [1.0, 0.0, 0.0]]))
        >>> A.forward(torch.tensor([1.0, 1.0, 1.0], dtype=torch.float64))
        tensor([2., 1.], dtype=torch.float64)
    """

    rows: Tensor
    columns: Tensor

    @classmethod
    def of(cls, matrix: Any) -> SparseOperator:
        """The operator of a ``scipy.sparse`` matrix or array, or of a sparse tensor of torch.

        Args:
            matrix: Of a floating type; entries that come twice are added.

        Raises:
            BadProblem: It has other than two dimensions.
        """
        import scipy.sparse

        if isinstance(matrix, Tensor):
            if matrix.ndim != 2:
                raise BadProblem(f"A sparse tensor of shape {tuple(matrix.shape)} is no matrix; give two dimensions.")
            device, (m, p) = matrix.device, matrix.shape
            with warnings.catch_warnings(action="ignore"):  # torch says that sparse CSR is in beta
                entries = matrix.detach().cpu().to_sparse_coo().coalesce()
            matrix = scipy.sparse.coo_array((entries.values().numpy(), entries.indices().numpy()), shape=(m, p))
        else:
            device = torch.device("cpu")
        rows = scipy.sparse.csr_array(matrix, copy=True)  # what follows works in place
        rows.sum_duplicates()
        return cls(*(_csr(part).to(device) for part in (rows, rows.T.tocsr())))

    def __reduce__(self) -> tuple[Any, ...]:
        # by its parts: a sparse tensor that is unpickled as a whole warns in the process that reads it
        parts = [(t.crow_indices(), t.col_indices(), t.values(), list(t.shape)) for t in (self.rows, self.columns)]
        return _restored, tuple(parts)

    @property
    def shape(self) -> tuple[int, int]:
        m, p = self.rows.shape
        return m, p

    def forward(self, w: Tensor) -> Tensor:
        return _product(_SparsePair(self.rows, self.columns), w)

    def adjoint(self, v: Tensor) -> Tensor:
        return _product(_SparsePair(self.columns, self.rows), v)

    @property
    def column_lengths(self) -> Tensor:
        squares = self.rows.values().square()
        return squares.new_zeros(self.shape[1]).index_add_(0, self.rows.col_indices(), squares).sqrt()


@dataclass(frozen=True, eq=False)
class _SparsePair:
    """A sparse matrix and its transpose, out of sight of torch.func, which wraps dense tensors only."""

    matrix: Tensor
    transpose: Tensor


class _SparseProduct(torch.autograd.Function):
    """A product with a sparse matrix that every transform of torch.func can take; torch's own cannot."""

    @staticmethod
    def forward(pair: _SparsePair, w: Tensor) -> Tensor:
        if w.ndim == 1:
            return pair.matrix @ w
        flat = w.reshape(-1, w.shape[-1])  # [B, p]
        return (pair.matrix @ flat.mT).mT.reshape(*w.shape[:-1], pair.matrix.shape[0])

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[_SparsePair, Tensor], _output: Tensor) -> None:
        ctx.pair = inputs[0]

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[None, Tensor]:
        return None, _product(_SparsePair(ctx.pair.transpose, ctx.pair.matrix), gradient)

    @staticmethod
    def jvp(ctx: Any, _pair: None, tangent: Tensor) -> Tensor:
        return _product(ctx.pair, tangent)

    @staticmethod
    def vmap(_info: Any, in_dims: tuple[None, int], pair: _SparsePair, w: Tensor) -> tuple[Tensor, int]:
        return _product(pair, w.movedim(in_dims[1], 0)), 0


def _product(pair: _SparsePair, w: Tensor) -> Tensor:
    product: Tensor = _SparseProduct.apply(pair, w)  # type: ignore[no-untyped-call]
    return product


@dataclass(frozen=True, eq=False)
class RowScaled(LinearOperator):
    r"""An operator whose rows are multiplied by numbers, :math:`\operatorname{diag}(y) A`: margins of labels -1 and 1.

    Args:
        of: A [m, p].
        factors: y [m].

    Example:
        >>> A = RowScaled(MatrixOperator(torch.eye(2)), torch.tensor([1.0, -1.0]))
        >>> A.forward(torch.tensor([3.0, 4.0])), A.matrix
        (tensor([ 3., -4.]), tensor([[ 1.,  0.],
                [-0., -1.]]))
    """

    of: LinearOperator
    factors: Tensor

    @property
    def shape(self) -> tuple[int, int]:
        return self.of.shape

    def forward(self, w: Tensor) -> Tensor:
        return self.factors * self.of.forward(w)

    def adjoint(self, v: Tensor) -> Tensor:
        return self.of.adjoint(self.factors * v)

    @property
    def matrix(self) -> Tensor | None:
        entries = self.of.matrix
        return None if entries is None else self.factors[:, None] * entries


@dataclass(frozen=True, eq=False)
class FirstDifference(LinearOperator):
    r"""Differences of neighbours.

    .. math:: (A w)_i = w_{i+1} - w_i, \qquad i = 1, \dots, p - 1, \qquad \|A\| = 2 \cos \frac{\pi}{2 p} < 2

    Args:
        size: p, at least 2.
        dtype: Of the bands.
        device: Of the bands.

    Raises:
        BadProblem: ``size`` below 2.

    Example:
        >>> (
        ...     FirstDifference(3).forward(torch.tensor([1.0, 4.0, 2.0])),
        ...     FirstDifference(3).adjoint(torch.tensor([1.0, 0.0])),
        ... )
        (tensor([ 3., -2.]), tensor([-1.,  1.,  0.]))
    """

    size: int
    dtype: torch.dtype = torch.float64
    device: str = "cpu"

    def __post_init__(self) -> None:
        if self.size < 2:
            raise BadProblem(f"A signal of length {self.size} has no differences; give at least 2 numbers.")

    def to(self, *, dtype: torch.dtype, device: str = "cpu") -> Self:
        return replace(self, dtype=dtype, device=device)

    @property
    def shape(self) -> tuple[int, int]:
        return self.size - 1, self.size

    def forward(self, w: Tensor) -> Tensor:
        return w[..., 1:] - w[..., :-1]

    def adjoint(self, v: Tensor) -> Tensor:
        return F.pad(v, (1, 0)) - F.pad(v, (0, 1))

    @property
    def norm_bound(self) -> float:
        return 2.0

    @property
    def gram_bands(self) -> tuple[Tensor, Tensor]:
        m = self.size - 1
        diagonal = torch.full((m,), 2.0, dtype=self.dtype, device=self.device)
        return diagonal, torch.full((m - 1,), -1.0, dtype=self.dtype, device=self.device)


@dataclass(frozen=True, eq=False)
class FunctionOperator(LinearOperator):
    """A linear map of which nothing is known but how to apply it and its transpose.

    Args:
        dimensions: ``(m, p)``.
        apply: ``A w`` for a vector [p].
        apply_adjoint: ``A^T v`` for a vector [m].
        bound: An upper bound of the largest singular value, where one is known.

    Example:
        >>> A = FunctionOperator((3, 3), lambda w: w.flip(0), lambda v: v.flip(0), bound=1.0)
        >>> A.forward(torch.tensor([1.0, 2.0, 3.0]))
        tensor([3., 2., 1.])
    """

    dimensions: tuple[int, int]
    apply: Callable[[Tensor], Tensor] = field(repr=False)
    apply_adjoint: Callable[[Tensor], Tensor] = field(repr=False)
    bound: float | None = None

    @property
    def shape(self) -> tuple[int, int]:
        return self.dimensions

    def forward(self, w: Tensor) -> Tensor:
        return _each(self.apply, w)

    def adjoint(self, v: Tensor) -> Tensor:
        return _each(self.apply_adjoint, v)

    @property
    def norm_bound(self) -> float | None:
        return self.bound


def norm_bound(A: LinearOperator, *, like: Tensor) -> float:
    """An upper bound of the largest singular value: the known one, or one within a percent, by Lanczos.

    Args:
        A: The operator.
        like: A tensor of the dtype and on the device of its vectors.
    """
    if A.norm_bound is not None:
        return A.norm_bound
    return operator_norm(A.forward, A.adjoint, A.shape, dtype=like.dtype, device=like.device, tol=0.01).upper


def _each(function: Callable[[Tensor], Tensor], points: Tensor) -> Tensor:
    """``function`` of each vector along the last dimension."""
    if points.ndim == 1:
        return function(points)
    images = torch.stack([function(point) for point in points.reshape(-1, points.shape[-1])])
    return images.reshape(*points.shape[:-1], images.shape[-1])


def _restored(*parts: tuple[Tensor, Tensor, Tensor, list[int]]) -> SparseOperator:
    return SparseOperator(*(_csr_of(*part) for part in parts))


def _csr(matrix: Any) -> Tensor:
    starts, columns, entries = (torch.from_numpy(part) for part in (matrix.indptr, matrix.indices, matrix.data))
    return _csr_of(starts, columns, entries, list(matrix.shape))


def _csr_of(starts: Tensor, columns: Tensor, entries: Tensor, shape: list[int]) -> Tensor:
    with warnings.catch_warnings(action="ignore"):  # torch says that sparse CSR is in beta
        return torch.sparse_csr_tensor(starts, columns, entries, shape, check_invariants=False)
