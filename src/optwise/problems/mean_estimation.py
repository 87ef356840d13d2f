"""Estimating a mean by stochastic gradients: the smallest problem with noise, where everything has a closed form."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from optwise.core.data import Data, Split
from optwise.core.errors import BadProblem
from optwise.core.layout import Leaves
from optwise.core.metric import OBJECTIVE, Metric
from optwise.core.objective import Objective
from optwise.core.problem import Optimum, Problem
from optwise.core.quadratic import Noise, Quadratic
from optwise.core.sampler import Shuffled, Stream, WithReplacement
from optwise.numerics.rng import numpy_generator
from optwise.problems.numbers import one_number, real_tensor
from optwise.problems.objectives import FunctionObjective
from optwise.problems.quadratics import GradientNoise
from optwise.problems.targets import spell


@dataclass(frozen=True, eq=False)
class HalfSquaredDistance(Objective):
    r"""The loss :math:`\tfrac12 |w - x_i|^2` of each example; its gradient is w minus the mean of the batch."""

    def losses(self, w: Leaves, buffers: Leaves, x: Tensor | None, y: Tensor | None) -> tuple[Tensor, Leaves]:
        assert x is not None
        return 0.5 * (w["w"] - x).square().sum(-1), buffers

    def measure(self, w: Leaves, buffers: Leaves, x: Tensor | None, y: Tensor | None) -> dict[str, Tensor]:
        return {"loss": self.losses(w, buffers, x, y)[0]}


@dataclass(frozen=True, eq=False)
class HalfSquaredError:
    r"""The function :math:`\tfrac12 (w - \mu)^2` of the leaf ``w`` [1]."""

    mu: float

    def __call__(self, leaves: Leaves) -> Tensor:
        return 0.5 * (leaves["w"] - self.mu).square().sum()


def mean_estimation(
    x: ArrayLike | None = None,
    *,
    mu: float | None = None,
    sigma: float | None = None,
    n: int | None = None,
    w0: float = 0.0,
    batch_size: int = 1,
    replacement: bool = True,
    seed: int = 0,
) -> Problem:
    r"""Find the mean of numbers by stochastic gradients.

    .. math:: \ell_i(w) = \tfrac12 |w - x_i|^2, \qquad
        w \leftarrow w - \mathrm{lr} \, (w - \bar x_B) = (1 - \mathrm{lr}) w + \mathrm{lr} \, \bar x_B

    Over a data set, ``x`` or ``n`` draws of a normal, the mean loss has its minimum at their mean, half their
    variance (divided by n, not n - 1). With ``mu`` and ``sigma`` alone every batch is drawn afresh, and what is
    measured, ``objective``, is :math:`\tfrac12 (w - \mu)^2` itself: half the squared error.

    Args:
        x: The numbers [n], or vectors [n, d].
        mu: Mean of normal draws, instead of ``x``.
        sigma: Their standard deviation, at least 0.
        n: How many of these make a data set; ``None`` draws every batch afresh.
        w0: Start of every seed and coordinate.
        batch_size: B.
        replacement: Whether batches of a data set are independent draws; otherwise epochs in shuffled order.
        seed: Of the ``n`` draws.

    Raises:
        BadProblem: Both or neither of ``x`` and ``mu, sigma``; numbers that are not finite; an empty data set.

    Example:
        >>> problem = mean_estimation([1.0, 2.0, 6.0])
        >>> problem.optimum.w["w"], round(problem.optimum.value, 6)
        (tensor([3.], dtype=torch.float64), 2.333333)
    """
    if (x is None) == (mu is None and sigma is None):
        raise BadProblem("mean_estimation needs either the numbers `x`, or `mu` and `sigma` of a normal; give one.")
    w0 = one_number(w0, "w0 of mean_estimation")
    if not np.isfinite(w0):
        raise BadProblem(f"mean_estimation starts at w0={w0:g}; give a finite number.")
    if x is not None:
        if n is not None:
            raise BadProblem(f"mean_estimation has its numbers in x and takes no n={n}; leave it out.")
        given = real_tensor(x, "x of mean_estimation").detach().cpu().double().numpy()
        return _of_data(given, w0, batch_size, replacement=replacement, reference="")
    mu = None if mu is None else one_number(mu, "mu of mean_estimation")
    sigma = None if sigma is None else one_number(sigma, "sigma of mean_estimation")
    if mu is None or sigma is None or not (np.isfinite(mu) and 0 <= sigma < np.inf):
        raise BadProblem(
            f"mean_estimation with mu={mu} and sigma={sigma} draws nothing; give a finite mean and a standard "
            "deviation of at least 0."
        )
    written = {"mu": mu, "sigma": sigma} | ({"w0": w0} if w0 else {})
    written |= {"n": n} if n is not None else {}
    written |= {"batch_size": batch_size} if batch_size != 1 else {}
    written |= {"seed": seed} if seed and n is not None else {}
    reference = spell("mean-estimation", written) + ("" if replacement or n is None else ",replacement=false")
    if n is not None:
        if not (one_number(n, "n of mean_estimation") >= 1 and n == int(n)):
            raise BadProblem(f"mean_estimation with n={n} has no numbers; give a whole number of at least 1.")
        n = int(n)
        numbers = mu + sigma * numpy_generator(seed).standard_normal(n)
        return _of_data(numbers, w0, batch_size, replacement=replacement, reference=reference)
    variance = np.array([float(sigma) ** 2])
    return Problem(
        name=reference,
        objective=FunctionObjective(HalfSquaredError(float(mu))),
        start=_start(w0, 1),
        sampler=Stream(GradientNoise(torch.from_numpy(variance)), batch_size=batch_size, rows=1),
        metrics=(Metric(OBJECTIVE),),
        optimum=Optimum(0.0, "closed form", {"w": torch.full((1,), float(mu), dtype=torch.float64)}),
        reference=reference,
        quadratic=Quadratic(
            h=np.ones(1),
            c=variance,
            start=np.array([(w0 - mu) ** 2]),
            center=np.array([float(mu)]),
            fixed_start=True,
        ),
    )


def named_mean_estimation(
    *,
    mu: float = 5.0,
    sigma: float = 1.0,
    n: int = 0,
    w0: float = 0.0,
    batch_size: int = 1,
    replacement: bool = True,
    seed: int = 0,
) -> Problem:
    """The mean of a normal, from fresh draws or, with ``n``, from a data set of that many.

    Example:
        >>> named_mean_estimation(n=50, replacement=False).reference
        'mean-estimation:mu=5,sigma=1,n=50,replacement=false'
    """
    return mean_estimation(
        mu=mu, sigma=sigma, n=n or None, w0=w0, batch_size=batch_size, replacement=replacement, seed=seed
    )


def _of_data(x: np.ndarray, w0: float, batch_size: int, *, replacement: bool, reference: str) -> Problem:
    if x.ndim not in (1, 2) or x.size == 0 or not np.isfinite(x).all():
        raise BadProblem(f"mean_estimation needs finite numbers [n] or vectors [n, d]; got shape {x.shape}.")
    rows = torch.from_numpy(x.reshape(len(x), -1).copy())  # [n, d]
    mean, variance = rows.mean(0), rows.var(0, correction=0)
    d = rows.shape[1]
    optimum = float(0.5 * variance.sum())
    return Problem(
        name=reference or "mean-estimation",
        objective=HalfSquaredDistance(),
        start=_start(w0, d),
        data=Data(Split(rows)),
        sampler=WithReplacement(batch_size) if replacement else Shuffled(batch_size),
        metrics=(Metric("loss"),),
        optimum=Optimum(optimum, "closed form", {"w": mean}),
        reference=reference,
        quadratic=Quadratic(
            h=np.ones(d),
            c=variance.numpy(),
            start=(w0 - mean.numpy()) ** 2,
            center=mean.numpy(),
            fixed_start=True,
            noise=Noise.POPULATION,
            examples=len(x),
            optimum=optimum,
            metric="train/loss",
        ),
    )


def _start(w0: float, d: int) -> Callable[[int], tuple[Leaves, Leaves]]:
    def start(_seed: int) -> tuple[Leaves, Leaves]:
        return {"w": torch.full((d,), float(w0), dtype=torch.float64)}, {}

    return start
