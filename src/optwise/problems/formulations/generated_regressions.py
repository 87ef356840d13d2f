"""Regressions and a signal on generated data: ill-conditioned ridge, nonnegative truths, outliers, steps."""

from __future__ import annotations

import numpy as np

from optwise.core.problem import Problem
from optwise.numerics.rng import numpy_generator
from optwise.problems.formulations.recipes import (
    correlated_rows,
    named,
    noisy,
    refuse_bad_sizes,
    refuse_outside,
)
from optwise.problems.formulations.regressions import huber, nnls, ridge
from optwise.problems.formulations.signals import total_variation


def generated_ridge(n: int = 500, p: int = 100, *, l2: float = 1e-4, rho: float = 0.95, seed: int = 0) -> Problem:
    r"""Ridge regression on strongly correlated columns, from zero, in float64.

    .. math:: \frac{1}{2n} \|X w - y\|^2 + \tfrac{\lambda_2}{2} \|w\|^2, \qquad y = X w^\circ + \text{noise}, \quad
        w^\circ \sim N(0, I)

    The eigenvalues of the columns' covariance run from :math:`(1 + \rho) / (1 - \rho)` down to
    :math:`(1 - \rho) / (1 + \rho)`; noise is a tenth as long as :math:`X w^\circ`.

    Args:
        n: Examples.
        p: Parameters.
        l2: :math:`\lambda_2`.
        rho: Correlation of neighbouring columns, :math:`\rho^{|i - j|}` in all.
        seed: Of the data.

    Raises:
        BadProblem: Numbers that make no such problem.

    Example:
        >>> generated_ridge(n=40, p=5, l2=0.1).name
        'ridge:n=40,p=5,l2=0.1'
    """
    refuse_bad_sizes("ridge", {"n": n, "p": p})
    refuse_outside("ridge", "rho", rho, low=0, high=1)
    rng = numpy_generator(seed)
    X = correlated_rows(rng, n, p, rho)
    y = noisy(rng, X @ rng.standard_normal(p), 10.0)
    given = {"n": n, "p": p, "l2": l2, "rho": rho, "seed": seed}
    return named(ridge(X, y, l2), "ridge", generated_ridge, given)


def generated_nnls(n: int = 200, p: int = 50, *, rho: float = 0.5, seed: int = 0) -> Problem:
    r"""Nonnegative least squares whose truth is 0 in half of its entries, from zero, in float64.

    .. math:: \min_{w \ge 0} \frac{1}{2n} \|X w - y\|^2, \qquad y = X \max(z, 0) + \text{noise}, \quad z \sim N(0, I)

    Noise is a fifth as long as the noiseless labels, so that many bounds are active that are not in the truth.

    Args:
        n: Examples.
        p: Parameters.
        rho: Correlation of neighbouring columns.
        seed: Of the data.

    Raises:
        BadProblem: Numbers that make no such problem.

    Example:
        >>> generated_nnls(n=20, p=5).constraint
        Nonnegative(size=5, dtype=torch.float64, device='cpu')
    """
    refuse_bad_sizes("nnls", {"n": n, "p": p})
    refuse_outside("nnls", "rho", rho, low=0, high=1)
    rng = numpy_generator(seed)
    X = correlated_rows(rng, n, p, rho)
    y = noisy(rng, X @ np.maximum(rng.standard_normal(p), 0.0), 5.0)
    return named(nnls(X, y), "nnls", generated_nnls, {"n": n, "p": p, "rho": rho, "seed": seed})


def generated_huber(
    n: int = 200, p: int = 20, *, outliers: float = 0.1, delta: float = 1.345, rho: float = 0.5, seed: int = 0
) -> Problem:
    r"""Robust regression on labels with noise of standard deviation 1, some of them hundred times that off.

    .. math:: \frac1n \sum_i h_\delta(\langle x_i, w \rangle - y_i), \qquad y = X w^\circ + \varepsilon, \quad
        w^\circ, \varepsilon \sim N(0, I)

    The default of delta costs 5 percent of the efficiency of least squares where no label is off.

    Args:
        n: Examples.
        p: Parameters.
        outliers: Share of labels whose noise is hundredfold.
        delta: :math:`\delta`.
        rho: Correlation of neighbouring columns.
        seed: Of the data.

    Raises:
        BadProblem: Numbers that make no such problem.

    Example:
        >>> generated_huber(n=20, p=3).smooth.model.loss
        HuberLoss(delta=1.345)

    References:
        Huber (1964), Robust estimation of a location parameter.
    """
    refuse_bad_sizes("huber", {"n": n, "p": p})
    refuse_outside("huber", "rho", rho, low=0, high=1)
    refuse_outside("huber", "outliers", outliers, low=0, high=1)
    rng = numpy_generator(seed)
    X = correlated_rows(rng, n, p, rho)
    noise = rng.standard_normal(n) * np.where(rng.random(n) < outliers, 100.0, 1.0)
    given = {"n": n, "p": p, "outliers": outliers, "delta": delta, "rho": rho, "seed": seed}
    return named(huber(X, X @ rng.standard_normal(p) + noise, delta), "huber", generated_huber, given)


def generated_total_variation(
    p: int = 1000, jumps: int = 10, *, noise: float = 0.5, weight: float = 5.0, seed: int = 0
) -> Problem:
    r"""A signal of steps under noise, denoised by its total variation, from zero, in float64.

    .. math:: \tfrac12 \|w - y\|^2 + \lambda \sum_i |w_{i+1} - w_i|

    The steps have standard normal heights and begin at random places.

    Args:
        p: Length of the signal, at least 2.
        jumps: Steps after the first, fewer than ``p``.
        noise: Standard deviation of the normal noise.
        weight: :math:`\lambda`.
        seed: Of the data.

    Raises:
        BadProblem: Numbers that make no such problem.

    Example:
        >>> generated_total_variation(p=50, jumps=3).operator.shape
        (49, 50)
    """
    name = "total-variation"
    refuse_bad_sizes(name, {"p": p})
    refuse_outside(name, "jumps", jumps, low=0, high=p - 1)
    refuse_outside(name, "noise", noise, low=0, high=1e6)
    rng = numpy_generator(seed)
    starts = np.zeros(p, dtype=np.int64)
    starts[1 + rng.choice(p - 1, size=jumps, replace=False)] = 1
    y = rng.standard_normal(jumps + 1)[starts.cumsum()] + noise * rng.standard_normal(p)
    given = {"p": p, "jumps": jumps, "noise": noise, "weight": weight, "seed": seed}
    return named(total_variation(y, weight, reduction="sum"), name, generated_total_variation, given)
