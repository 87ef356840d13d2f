"""Least squares on a finite data set whose rows are drawn in batches: its own spectrum, and noise that multiplies."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from optwise.core.data import Data, Split
from optwise.core.errors import BadProblem
from optwise.core.layout import Leaves
from optwise.core.metric import Metric
from optwise.core.objective import Objective
from optwise.core.problem import Optimum, Problem
from optwise.core.quadratic import Noise, Quadratic
from optwise.core.sampler import Shuffled, WithReplacement
from optwise.numerics.rng import numpy_generator
from optwise.problems.numbers import real_tensor
from optwise.problems.targets import spell


@dataclass(frozen=True, eq=False)
class HalfSquaredResidual(Objective):
    r"""The loss :math:`\tfrac12 (\langle x_i, w \rangle - y_i)^2` of each row."""

    def losses(self, w: Leaves, buffers: Leaves, x: Tensor | None, y: Tensor | None) -> tuple[Tensor, Leaves]:
        assert x is not None
        assert y is not None
        return 0.5 * (x @ w["w"] - y).square(), buffers

    def measure(self, w: Leaves, buffers: Leaves, x: Tensor | None, y: Tensor | None) -> dict[str, Tensor]:
        return {"loss": self.losses(w, buffers, x, y)[0]}


def sampled_least_squares(
    x: ArrayLike,
    y: ArrayLike,
    *,
    w0: ArrayLike | None = None,
    batch_size: int = 1,
    replacement: bool = True,
) -> Problem:
    r"""Least squares on the rows of a data set, a batch of them in every step.

    .. math:: f(w) = \frac1n \sum_i \tfrac12 (\langle x_i, w \rangle - y_i)^2

    Parameters are coordinates along the eigenvectors of :math:`X^\top X / n`, eigenvalues increasing: the rows and
    ``w0`` are rotated, which changes no loss, and no step of a rule that treats all coordinates alike. The optimum is
    that of least norm. What is measured is ``train/loss``.

    Args:
        x: Rows [n, d].
        y: Labels [n].
        w0: The start, in the coordinates of ``x`` [d]; ``None`` for 0.
        batch_size: B.
        replacement: Whether batches are independent draws, whose risk is predicted exactly; otherwise epochs in
            shuffled order, whose risk is predicted where their orders can be gone through: for few rows.

    Raises:
        BadProblem: No rows, other lengths, numbers that are not finite.

    Example:
        >>> problem = sampled_least_squares([[1.0, 0.0], [0.0, 2.0], [1.0, 0.0]], [1.0, 4.0, 3.0])
        >>> problem.quadratic.h.round(4), round(problem.optimum.value, 4)
        (array([0.6667, 1.3333]), 0.3333)
    """
    return _of_data(x, y, w0, batch_size, replacement=replacement, reference="")


def named_sampled_least_squares(
    n: int = 100,
    d: int = 10,
    *,
    decay: float = 1.0,
    noise: float = 1.0,
    batch_size: int = 1,
    replacement: bool = True,
    seed: int = 0,
) -> Problem:
    """Least squares on ``n`` Gaussian rows with variances i^-decay, labels of a random w with Gaussian noise.

    Example:
        >>> named_sampled_least_squares(n=50, d=3).reference
        'sampled-least-squares:n=50,d=3'
    """
    if n < 1 or d < 1 or not np.isfinite(decay) or not 0 <= noise < np.inf:
        raise BadProblem(
            f"sampled-least-squares with n={n}, d={d}, decay={decay:g}, noise={noise:g} makes no data; give at least "
            "one row and column, and finite numbers."
        )
    generator = numpy_generator(seed)
    rows = generator.standard_normal((n, d)) * np.arange(1.0, d + 1) ** (-decay / 2)
    labels = rows @ generator.standard_normal(d) + noise * generator.standard_normal(n)
    written: dict[str, float] = {"n": n, "d": d}
    written |= {"decay": decay} if decay != 1.0 else {}
    written |= {"noise": noise} if noise != 1.0 else {}
    written |= {"batch_size": batch_size} if batch_size != 1 else {}
    written |= {"seed": seed} if seed else {}
    reference = spell("sampled-least-squares", written) + ("" if replacement else ",replacement=false")
    return _of_data(rows, labels, None, batch_size, replacement=replacement, reference=reference)


def _of_data(
    x: ArrayLike, y: ArrayLike, w0: ArrayLike | None, batch_size: int, *, replacement: bool, reference: str
) -> Problem:
    given = (("x", x), ("y", y), ("w0", () if w0 is None else w0))
    rows, labels, start = (
        real_tensor(part, f"{key} of sampled_least_squares").detach().cpu().double().numpy() for key, part in given
    )
    if rows.ndim != 2 or rows.size == 0 or labels.shape != rows.shape[:1]:
        raise BadProblem(
            f"sampled_least_squares needs rows [n, d] and as many labels [n]; got {rows.shape} and {labels.shape}."
        )
    start = np.zeros(rows.shape[1]) if w0 is None else start
    if start.shape != rows.shape[1:]:
        raise BadProblem(
            f"sampled_least_squares has {rows.shape[1]} columns and w0 of shape {start.shape}; make them agree."
        )
    if not (np.isfinite(rows).all() and np.isfinite(labels).all() and np.isfinite(start).all()):
        raise BadProblem("sampled_least_squares needs finite numbers in x, y and w0; some are not.")
    n = len(rows)
    _, singular, right = np.linalg.svd(rows, full_matrices=n < rows.shape[1])
    Q = right[::-1].T  # curvatures increasing
    scales = np.zeros(rows.shape[1])
    scales[: singular.size] = singular
    scales[scales <= 1e-12 * scales.max(initial=0.0)] = 0.0
    h, turned = scales[::-1] ** 2 / n, rows @ Q
    turned[:, h == 0] = 0.0
    optimum = np.divide(turned.T @ labels / n, h, out=np.zeros_like(h), where=h > 0)
    residuals = labels - turned @ optimum
    begin = torch.from_numpy(Q.T @ start)
    value = float(0.5 * np.mean(residuals**2))
    return Problem(
        name=reference or "sampled-least-squares",
        objective=HalfSquaredResidual(),
        start=lambda _seed: ({"w": begin.clone()}, {}),
        data=Data(Split(torch.from_numpy(turned), torch.from_numpy(labels.copy()))),
        sampler=WithReplacement(batch_size) if replacement else Shuffled(batch_size),
        metrics=(Metric("loss"),),
        optimum=Optimum(value, "closed form", {"w": torch.from_numpy(optimum)}),
        reference=reference,
        quadratic=Quadratic(
            h=h,
            c=((turned * residuals[:, None]) ** 2).mean(0),
            start=(begin.numpy() - optimum) ** 2,
            center=optimum,
            fixed_start=True,
            noise=Noise.ROWS,
            examples=n,
            optimum=value,
            metric="train/loss",
            rows=turned,
            residuals=residuals,
        ),
    )
