"""What a symmetric matrix says of the quadratic whose Hessian it is: convexity, conjugate, what a slope is worth."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from optwise.numerics.finiteness import all_finite

UNIT = torch.finfo(torch.float64).eps / 2
FLAT = 1e-12
"""Share of a dual point that may lie in directions without curvature as rounding in float64."""
ROUNDED = 1e-13
"""The same of a slope whose sums were made exactly where that mattered."""


@dataclass(frozen=True, eq=False)
class Curvature:
    """A Hessian, with what is known of it once somebody has asked.

    Args:
        H: Symmetric [p, p], float64.
        eps: Rounding unit of the dtype that its entries came in.
    """

    H: Tensor
    eps: float = 2 * UNIT

    @property
    def convex(self) -> bool:
        """Whether no eigenvalue is below 0, up to the rounding of the entries."""
        return self._factor is not None or bool(self._spectrum[0][0] >= -self.rounding)

    @cached_property
    def modulus(self) -> float:
        """The smallest eigenvalue less what rounding may have added to it, at least 0."""
        return max(0.0, float(torch.linalg.eigvalsh(self.H)[0]) - self.rounding)

    @cached_property
    def rounding(self) -> float:
        """What eigenvalues may be off by because the entries were rounded."""
        return 10 * self.eps * float(torch.linalg.matrix_norm(self.H))

    def conjugate(self, shift: Tensor) -> Tensor:
        r""":math:`\tfrac12 u^\top H^+ u` [...] of u [..., p] in the range of H; infinite elsewhere."""
        if self._factor is not None:
            half: Tensor = torch.linalg.solve_triangular(self._factor, shift.unsqueeze(-1), upper=False).squeeze(-1)
            return 0.5 * half.square().sum(-1)
        values, vectors = self._spectrum
        parts = shift @ vectors  # [p]
        flat = values <= self.rounding
        outside = (parts.abs() > FLAT * shift.norm(dim=-1, keepdim=True)) & flat
        squares = torch.where(flat, 0.0, parts.square() / torch.where(flat, 1.0, values))
        return torch.where(outside.any(-1), math.inf, 0.5 * squares.sum(-1))

    def most_gained(self, slope: Tensor, w: Tensor, *, size: Tensor) -> float:
        r"""An upper bound of :math:`\tfrac12 r^\top H^{-1} r`, the most that a quadratic falls whose slope is r.

        From the eigenvalues is taken what rounding may have added to them, with each coordinate in its own unit. Along
        a direction that may have no curvature a slope must be rounding, and costs its product with ``w``.

        Args:
            slope: r [p].
            w: The point where it is the slope [p].
            size: Of the numbers whose sum r is [p].

        Returns:
            The bound; infinite where a slope meets next to no curvature.
        """
        if not bool(slope.any()):
            return 0.0
        slope = slope / self._scale
        if self._lowered is not None:
            half = torch.linalg.solve_triangular(self._lowered, slope[:, None], upper=False)
            return 0.5 * float(half.square().sum())
        values, vectors = self._scaled_spectrum
        parts, steep = vectors.mT @ slope, values > 2 * self._lost
        left = parts[~steep]
        if float(left.norm()) > ROUNDED * float((size / self._scale).norm()):
            return math.inf
        gained = 0.5 * float((parts[steep].square() / (values[steep] - self._lost)).sum())
        return gained + 2 * float(left.norm()) * float((vectors.mT @ (self._scale * w))[~steep].norm())

    @cached_property
    def _factor(self) -> Tensor | None:
        factor, failed = torch.linalg.cholesky_ex(self.H)
        return None if bool(failed) else factor

    @cached_property
    def _spectrum(self) -> tuple[Tensor, Tensor]:
        values, vectors = torch.linalg.eigh(self.H)
        return values, vectors

    @cached_property
    def _scale(self) -> Tensor:
        """The root of the diagonal [p], so that no coordinate has a unit."""
        roots = self.H.diagonal().clamp(min=0).sqrt()
        return roots.where(roots > 0, 1.0)

    @cached_property
    def _scaled(self) -> Tensor:
        return self.H / self._scale / self._scale[:, None]

    @cached_property
    def _lost(self) -> float:
        """More than rounding moves an eigenvalue of the scaled matrix by, in a factorisation and a solution with it."""
        return 4 * (len(self.H) + 2) * UNIT * float(self._scaled.trace())

    @cached_property
    def _lowered(self) -> Tensor | None:
        lowered = self._scaled.clone()
        lowered.diagonal().sub_(self._lost)
        factor, failed = torch.linalg.cholesky_ex(lowered)
        return None if int(failed) or not all_finite(factor) else factor

    @cached_property
    def _scaled_spectrum(self) -> tuple[Tensor, Tensor]:
        values, vectors = torch.linalg.eigh(self._scaled)
        return values, vectors
