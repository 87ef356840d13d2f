"""Newton systems on the active columns of a working set: factors that are kept, bordered, or n x n instead."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import final

import torch
from torch import Tensor

from optwise.methods.solvers.column_blocks import gram

SHIFT = 1e5
"""Rounding units by which a diagonal grows where the matrix cannot be told from a singular one."""
PIVOT = 1e2
"""Rounding units of its square length below which what is left of a column after those before it counts as zero."""
BORDERED = 256
"""Columns from which a changed factor is bordered; below, a new one takes less time than a border."""
CHANGED = 0.125
"""Share of the columns that may enter and leave before the factor is made anew."""


class ActiveSystem(ABC):
    r"""A positive semidefinite matrix H [k, k], its products, and solutions on some of its columns."""

    factorizations: int = 0
    """Factors made so far."""

    @property
    @abstractmethod
    def size(self) -> int:
        """Number k of columns."""

    @property
    @abstractmethod
    def diagonal(self) -> Tensor:
        """The diagonal [k]."""

    @abstractmethod
    def times(self, d: Tensor) -> Tensor:
        """``H d`` [k]."""

    @abstractmethod
    def solve(self, active: Tensor, rhs: Tensor, *, extra: Tensor | None) -> Tensor:
        r"""``(H_AA + diag(extra))^{-1} rhs`` [a], or nearly so where that matrix is singular.

        Args:
            active: Positions A [a], ascending.
            rhs: The right-hand side [a].
            extra: Additions to the diagonal [a]; ``None`` where there are none.
        """


@final
class GramSystem(ActiveSystem):
    r"""H by its entries, which may be added to; the last Cholesky factor is kept.

    Where few columns have entered (N) and left (R) since the factor of :math:`H_{00}` was made, the new system is that
    one with a border,

    .. math:: \begin{pmatrix} H_{00} & H_{0N} & E_R \\ H_{N0} & H_{NN} & 0 \\ E_R^\top & 0 & 0 \end{pmatrix}
        \begin{pmatrix} x_0 \\ x_N \\ \mu \end{pmatrix} = \begin{pmatrix} r_0 \\ r_N \\ 0 \end{pmatrix}

    and takes :math:`O(a^2 (|N| + |R|))` instead of :math:`O(a^3)`.

    Args:
        entries: H [k, k].

    Example:
        >>> system = GramSystem(torch.tensor([[2.0, 1.0], [1.0, 2.0]]))
        >>> system.solve(torch.tensor([0]), torch.tensor([4.0]), extra=None)
        tensor([2.])
    """

    def __init__(self, entries: Tensor) -> None:
        self._store, self._size = entries, entries.shape[0]
        self._held = torch.zeros(0, dtype=torch.long, device=entries.device)
        self._factor = self._borders = entries.new_zeros(0, 0)
        self._slots: dict[int, int] = {}  # of borders, by position for what entered, by -1 - place for what left

    @property
    def gram(self) -> Tensor:
        """The entries [k, k]."""
        return self._store[: self._size, : self._size]

    @property
    def size(self) -> int:
        return self._size

    @property
    def diagonal(self) -> Tensor:
        return self.gram.diagonal()

    def times(self, d: Tensor) -> Tensor:
        return self.gram @ d

    def extend(self, cross: Tensor, corner: Tensor) -> None:
        """Add m columns.

        Args:
            cross: Their products with the k columns so far [k, m].
            corner: Among themselves [m, m].
        """
        k, m = cross.shape
        if k + m > self._store.shape[0]:
            wider = self._store.new_empty(2 * (k + m), 2 * (k + m))  # doubled, so that entries are seldom copied
            wider[:k, :k] = self.gram
            self._store = wider
        self._store[:k, k : k + m] = cross
        self._store[k : k + m, :k] = cross.mT
        self._store[k : k + m, k : k + m] = corner
        self._size = k + m

    def keep(self, needed: Tensor) -> Tensor:
        """Drop columns that are not ``needed`` [k], bool, save those of the factor; return which are left [k], bool."""
        left = needed | self._mask(self._held)
        positions = left.nonzero()[:, 0]
        self._held = (left.cumsum(0) - 1).index_select(0, self._held)
        self._store = self.gram.index_select(0, positions).mT.index_select(0, positions)
        self._size = positions.numel()
        self._forget_borders()  # positions have changed
        return left

    def solve(self, active: Tensor, rhs: Tensor, *, extra: Tensor | None) -> Tensor:
        if extra is not None:
            self._held = self._held[:0]
            return _solved(self._factored(active, extra), rhs)
        if self._held.numel() >= BORDERED:
            now, before = self._mask(active), self._mask(self._held)
            entered, left = (now & ~before).nonzero()[:, 0], (~now[self._held]).nonzero()[:, 0]
            if entered.numel() + left.numel() <= CHANGED * self._held.numel():
                return self._bordered(active, entered, left, rhs)
        elif self._held.shape == active.shape and torch.equal(self._held, active):
            return _solved(self._factor, rhs)
        return self.solve_anew(active, rhs)

    def solve_anew(self, active: Tensor, rhs: Tensor) -> Tensor:
        """As :meth:`solve`, from a new factor."""
        self._factor, self._held = self._factored(active, None), active
        self._forget_borders()
        return _solved(self._factor, rhs)

    def _forget_borders(self) -> None:
        self._slots, self._borders = {}, self._factor.new_zeros(self._held.numel(), 0)

    def _mask(self, positions: Tensor) -> Tensor:
        mask = torch.zeros(self._size, dtype=torch.bool, device=positions.device)
        mask[positions] = True
        return mask

    def _factored(self, active: Tensor, extra: Tensor | None) -> Tensor:
        self.factorizations += 1
        # of a symmetric matrix rows can be taken twice, which is the faster way through memory
        matrix = self.gram.index_select(0, active).mT.index_select(0, active)
        if extra is not None:
            matrix.diagonal().add_(extra)
        return _cholesky(matrix)

    def _bordered(self, active: Tensor, entered: Tensor, left: Tensor, rhs: Tensor) -> Tensor:
        m, both = entered.numel(), entered.numel() + left.numel()
        spread = rhs.new_zeros(self._size).index_copy_(0, active, rhs)
        half = _half_solved(self._factor, spread.index_select(0, self._held))
        if both > 0:
            border = self._border(entered, left)  # [h, m + |R|]
            corner = -border.mT @ border
            own = self.gram.index_select(0, entered).index_select(1, entered)
            corner[:m, :m] += own
            eps = torch.finfo(rhs.dtype).eps
            if not bool((corner.diagonal()[:m] > PIVOT * eps * own.diagonal()).all()):
                return self.solve_anew(active, rhs)  # a column that depends on the others: the new factor is shifted
            below = torch.cat([spread.index_select(0, entered), rhs.new_zeros(left.numel())]) - border.mT @ half
            multipliers, singular = torch.linalg.solve_ex(corner, below)
            if int(singular):
                return self.solve_anew(active, rhs)
            half = half - border @ multipliers
            spread[entered] = multipliers[:m]
        spread[self._held] = _back_solved(self._factor, half)
        return spread.index_select(0, active)

    def _border(self, entered: Tensor, left: Tensor) -> Tensor:
        """Columns of the border through the lower half of the factor; those from earlier systems are kept."""
        keys = entered.tolist() + [-1 - place for place in left.tolist()]
        missing = [key for key in keys if key not in self._slots]
        if missing:
            columns = self._factor.new_zeros(self._held.numel(), len(missing))
            for slot, key in enumerate(missing):
                if key >= 0:
                    columns[:, slot] = self.gram[key].index_select(0, self._held)
                else:
                    columns[-1 - key, slot] = 1.0
            self._slots |= {key: len(self._slots) + slot for slot, key in enumerate(missing)}
            self._borders = torch.cat([self._borders, _half_solved(self._factor, columns)], 1)
        slots = torch.tensor([self._slots[key] for key in keys], device=entered.device)
        return self._borders.index_select(1, slots)


@final
class DesignSystem(ActiveSystem):
    r"""H by its factors, for more columns than examples.

    .. math:: H = Y Y^\top + \lambda_2 I, \qquad
        (C + Y_A Y_A^\top)^{-1} r = C^{-1} \big(r - Y_A (I + Y_A^\top C^{-1} Y_A)^{-1} Y_A^\top C^{-1} r\big)

    with a diagonal C. On more active columns than examples the n x n system is solved, else the a x a one.

    Args:
        rows: Y [k, n]: columns of the design, each example weighted with the root of its curvature.
        l2: :math:`\lambda_2`.

    References:
        Woodbury (1950), Inverting modified matrices.
    """

    def __init__(self, rows: Tensor, *, l2: float) -> None:
        self._rows, self._l2 = rows, l2
        self._diagonal = rows.square().sum(1) + l2

    @property
    def size(self) -> int:
        return self._rows.shape[0]

    @property
    def diagonal(self) -> Tensor:
        return self._diagonal

    def times(self, d: Tensor) -> Tensor:
        return torch.add(self._rows @ (self._rows.mT @ d), d, alpha=self._l2)

    def solve(self, active: Tensor, rhs: Tensor, *, extra: Tensor | None) -> Tensor:
        self.factorizations += 1
        rows = self._rows if active.numel() == self.size else self._rows.index_select(0, active)
        a, n = rows.shape
        if a <= n:
            matrix = gram(rows)
            matrix.diagonal().add_(self._l2 if extra is None else extra + self._l2)
            return _solved(_cholesky(matrix), rhs)
        least = SHIFT * torch.finfo(rows.dtype).eps * _positive(self._diagonal.index_select(0, active))
        own = least.clamp(min=self._l2) if extra is None else torch.maximum(extra + self._l2, least)
        root = own.rsqrt()  # of C^{-1}
        scaled = root[:, None] * rows  # [a, n]
        matrix = gram(scaled.mT)
        matrix.diagonal().add_(1.0)
        half = root * rhs
        return root * (half - scaled @ _solved(_cholesky(matrix), scaled.mT @ half))


def _cholesky(matrix: Tensor) -> Tensor:
    """The factor of a positive semidefinite matrix, its diagonal raised where rounding could not tell it from one."""
    eps = torch.finfo(matrix.dtype).eps
    factor: Tensor
    factor, failed = torch.linalg.cholesky_ex(matrix)
    own = matrix.diagonal()
    if not int(failed) and bool((factor.diagonal().square() > PIVOT * eps * own).all()):
        return factor
    own, shift = _positive(own), SHIFT * eps
    while True:
        factor, failed = torch.linalg.cholesky_ex(matrix + torch.diag(shift * own))
        if not int(failed) or shift > 1.0:
            return factor
        shift *= 100.0


def _positive(diagonal: Tensor) -> Tensor:
    """A diagonal with something in place of its zeros, which belong to columns without curvature."""
    largest = float(diagonal.max())
    return torch.where(diagonal > 0, diagonal, largest if largest > 0 else 1.0)


def _half_solved(factor: Tensor, rhs: Tensor) -> Tensor:
    """``L^{-1} rhs`` of a vector [a] or a matrix [a, m]."""
    columns = rhs if rhs.ndim == 2 else rhs[:, None]
    half: Tensor = torch.linalg.solve_triangular(factor, columns, upper=False)
    return half.view(rhs.shape)


def _back_solved(factor: Tensor, half: Tensor) -> Tensor:
    """``L^{-T} half`` of a vector [a]."""
    solved: Tensor = torch.linalg.solve_triangular(factor.mT, half[:, None], upper=True)
    return solved[:, 0]


def _solved(factor: Tensor, rhs: Tensor) -> Tensor:
    """``(L L^T)^{-1} rhs`` of a vector [a]; two triangular solves take a fraction of what torch.cholesky_solve does."""
    return _back_solved(factor, _half_solved(factor, rhs))
