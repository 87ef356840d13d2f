"""Least squares on rows that never repeat: gradient noise that grows with the distance to the optimum."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from optwise.core.errors import BadProblem
from optwise.core.layout import Leaves
from optwise.core.metric import OBJECTIVE, AtMost
from optwise.core.objective import Objective
from optwise.core.problem import Optimum, Problem
from optwise.core.quadratic import Noise, Quadratic
from optwise.core.sampler import Stream
from optwise.problems.numbers import one_number
from optwise.problems.quadratics import center_of, diagonal_of, start_of
from optwise.problems.targets import spell


@dataclass(frozen=True, eq=False)
class GaussianRows:
    """Draws rows with covariance diag(h) and, as their last entry, label noise: [S, B, d + 1]."""

    h: Tensor = field(repr=False)
    noise: float

    def __call__(self, generator: torch.Generator, steps: int, batch_size: int, w: Tensor | None) -> Tensor:
        deviation = torch.cat([self.h.sqrt(), torch.tensor([self.noise], dtype=torch.float64)])
        shape = (batch_size, deviation.numel())
        # one call a step: the numbers of one large call depend on its size, and so on how a run is cut into segments
        drawn = [torch.randn(shape, generator=generator, dtype=torch.float64) for _ in range(steps)]
        return torch.stack(drawn) * deviation


@dataclass(frozen=True, eq=False)
class StreamedLeastSquares(Objective):
    r"""The loss :math:`\tfrac12 (\langle x, w - w^\star \rangle - \varepsilon)^2` of each row; measured is its excess.

    Args:
        h: Diagonal of the rows' covariance, which is the Hessian [d].
        center: :math:`w^\star` [d]; ``None`` for 0.
    """

    h: Tensor = field(repr=False)
    center: Tensor | None = field(default=None, repr=False)

    def _away(self, w: Tensor) -> Tensor:
        return w if self.center is None else w - self.center.to(dtype=w.dtype, device=w.device)

    def losses(self, w: Leaves, buffers: Leaves, x: Tensor | None, y: Tensor | None) -> tuple[Tensor, Leaves]:
        if x is None:
            return self.measure(w, buffers, None, None)[OBJECTIVE], buffers
        return 0.5 * (x[..., :-1] @ self._away(w["w"]) - x[..., -1]).square(), buffers

    def measure(self, w: Leaves, buffers: Leaves, x: Tensor | None, y: Tensor | None) -> dict[str, Tensor]:
        h = self.h.to(dtype=w["w"].dtype, device=w["w"].device)
        return {OBJECTIVE: 0.5 * (h * self._away(w["w"]).square()).sum().reshape(1)}


def least_squares_sgd(
    h: ArrayLike | None = None,
    noise: float = 1.0,
    w0: ArrayLike | None = None,
    second_moment: float = 1.0,
    *,
    d: int | None = None,
    batch_size: int = 1,
    w_star: ArrayLike | None = None,
) -> Problem:
    r"""Least squares on fresh Gaussian rows.

    .. math:: y = \langle x, w^\star \rangle + \text{noise} \cdot \varepsilon, \quad x \sim N(0, \operatorname{diag} h),
        \quad \varepsilon \sim N(0, 1), \qquad \ell(w) = \tfrac12 (\langle x, w \rangle - y)^2

    The gradient's noise is multiplicative, so that the largest stable step depends on the batch size. What is measured,
    ``objective``, is the excess :math:`\tfrac12 \sum_i h_i (w_i - w^\star_i)^2`, without noise.

    Args:
        h: Variances of the rows' entries, which are the curvatures [d], at least 0.
        noise: Standard deviation of a label.
        w0: The start of every seed [d]; ``None`` draws normal ones around ``w_star``, of ``second_moment``.
        second_moment: Of each coordinate of a drawn start, as a distance to ``w_star``.
        d: Dimension, instead of ``h``: then h_i = 1/i.
        batch_size: B, rows of a step.
        w_star: The optimum [d]; ``None`` for 0.

    Raises:
        BadProblem: Both or neither of ``h`` and ``d``, unequal lengths, numbers that are negative or not finite.

    Example:
        >>> least_squares_sgd(h=[1.0, 0.5], w0=[1.0, 2.0]).quadratic.c
        array([1. , 0.5])
    """
    noise = one_number(noise, "noise of least_squares_sgd")
    if not 0 <= noise < np.inf:
        raise BadProblem(f"least_squares_sgd with noise={noise:g} makes no labels; give a finite number, at least 0.")
    diagonal = diagonal_of("least_squares_sgd", h, d)
    center = center_of("least_squares_sgd", diagonal, w_star)
    start, second = start_of("least_squares_sgd", diagonal, w0, second_moment, center)
    standard = d is not None and w0 is None and second_moment == 1.0 and w_star is None
    written = {"d": d or 0} | ({"noise": noise} if noise != 1.0 else {})
    written |= {"batch_size": batch_size} if batch_size != 1 else {}
    reference = spell("least-squares-sgd", written) if standard else ""
    expected = 0.5 * float(diagonal.numpy() @ second)
    return Problem(
        name=reference or "least-squares-sgd",
        objective=StreamedLeastSquares(diagonal, None if w_star is None else center),
        start=start,
        sampler=Stream(GaussianRows(diagonal, float(noise)), batch_size=batch_size, rows=None),
        optimum=Optimum(0.0, "closed form", {"w": center.clone()}),
        target=AtMost(OBJECTIVE, float(f"{0.01 * expected:.3g}")) if expected > 0 else None,
        target_command="by definition: a hundredth of the expected objective at the start" if expected > 0 else "",
        reference=reference,
        quadratic=Quadratic(
            h=diagonal.numpy(),
            c=noise**2 * diagonal.numpy(),
            start=second,
            center=center.numpy(),
            fixed_start=w0 is not None,
            noise=Noise.DESIGN,
        ),
    )


def harmonic_least_squares_sgd(d: int = 100, noise: float = 1.0, batch_size: int = 1) -> Problem:
    """Least squares on fresh Gaussian rows with h_i = 1/i.

    Example:
        >>> harmonic_least_squares_sgd(d=10).reference
        'least-squares-sgd:d=10'
    """
    return least_squares_sgd(d=d, noise=noise, batch_size=batch_size)
