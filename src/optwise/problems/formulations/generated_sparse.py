r"""Sparse recovery on generated data: rows of correlated normal columns, a truth with few nonzeros, some noise.

Weights are given as a ``ratio`` of the smallest weight at which the answer is 0.
"""

from __future__ import annotations

import numpy as np

from optwise.core.problem import Problem
from optwise.numerics.rng import numpy_generator
from optwise.problems.formulations.recipes import (
    Floats,
    correlated_rows,
    named,
    noisy,
    refuse_bad_sizes,
    refuse_outside,
    sparse_truth,
)
from optwise.problems.formulations.sparse import (
    basis_pursuit,
    basis_pursuit_denoising,
    elastic_net,
    group_lasso,
    lasso,
)

SIGNAL_TO_NOISE = 5.0
"""Length of the noiseless labels over that of the noise, in all regressions of this file."""


def generated_lasso(
    n: int = 200, p: int = 500, *, nonzeros: int = 10, ratio: float = 0.1, rho: float = 0.5, seed: int = 0
) -> Problem:
    r"""A lasso on normal rows with neighbouring columns correlated, from zero, in float64.

    .. math:: \frac{1}{2n} \|X w - y\|^2 + \lambda \|w\|_1, \qquad \lambda = \text{ratio} \cdot
        \max_j |X_j^\top y| / n, \qquad y = X w^\circ + \text{noise}

    The truth :math:`w^\circ` has entries -1 and 1; noise is normal and a fifth as long as :math:`X w^\circ`.

    Args:
        n: Examples.
        p: Parameters.
        nonzeros: Of the truth.
        ratio: Of the weight to the smallest one at which the answer is 0.
        rho: Correlation of neighbouring columns, :math:`\rho^{|i - j|}` in all.
        seed: Of the data.

    Raises:
        BadProblem: Numbers that make no such problem.

    Example:
        >>> problem = generated_lasso(n=50, p=100)
        >>> problem.name, problem.smooth.model.X.matrix.mT.is_contiguous()
        ('lasso:n=50,p=100', True)
    """
    X, y = _regression("lasso", n, p, nonzeros=nonzeros, rho=rho, seed=seed)
    weight = _ratio("lasso", ratio) * np.abs(X.T @ y).max() / n
    given = {"n": n, "p": p, "nonzeros": nonzeros, "ratio": ratio, "rho": rho, "seed": seed}
    return named(lasso(X, y, weight), "lasso", generated_lasso, given)


def generated_elastic_net(
    n: int = 200,
    p: int = 500,
    *,
    nonzeros: int = 10,
    ratio: float = 0.1,
    l2: float = 0.1,
    rho: float = 0.5,
    seed: int = 0,
) -> Problem:
    r"""An elastic net on the data of `lasso`.

    .. math:: \frac{1}{2n} \|X w - y\|^2 + \lambda_1 \|w\|_1 + \tfrac{\lambda_2}{2} \|w\|^2, \qquad
        \lambda_1 = \text{ratio} \cdot \max_j |X_j^\top y| / n

    Args:
        n: Examples.
        p: Parameters.
        nonzeros: Of the truth.
        ratio: Of the weight of the l1 norm to the smallest one at which the answer is 0.
        l2: :math:`\lambda_2`.
        rho: Correlation of neighbouring columns.
        seed: Of the data.

    Raises:
        BadProblem: Numbers that make no such problem.

    Example:
        >>> generated_elastic_net(n=50, p=100, l2=0.5).smooth.strong_convexity
        0.5
    """
    X, y = _regression("elastic-net", n, p, nonzeros=nonzeros, rho=rho, seed=seed)
    l1 = _ratio("elastic-net", ratio) * np.abs(X.T @ y).max() / n
    given = {"n": n, "p": p, "nonzeros": nonzeros, "ratio": ratio, "l2": l2, "rho": rho, "seed": seed}
    return named(elastic_net(X, y, l1, l2), "elastic-net", generated_elastic_net, given)


def generated_group_lasso(
    n: int = 200,
    groups: int = 100,
    *,
    size: int = 5,
    nonzeros: int = 5,
    ratio: float = 0.1,
    rho: float = 0.5,
    seed: int = 0,
) -> Problem:
    r"""A group lasso whose truth has a few groups of entries -1 and 1, the rest 0.

    .. math:: \frac{1}{2n} \|X w - y\|^2 + \lambda \sum_j \|w_{(j)}\|_2, \qquad \lambda = \text{ratio} \cdot
        \max_j \|X_{(j)}^\top y\|_2 / n

    Args:
        n: Examples.
        groups: Groups of neighbouring columns.
        size: Columns in each.
        nonzeros: Groups in the truth.
        ratio: Of the weight to the smallest one at which the answer is 0.
        rho: Correlation of neighbouring columns.
        seed: Of the data.

    Raises:
        BadProblem: Numbers that make no such problem.

    Example:
        >>> generated_group_lasso(n=50, groups=8, size=3).penalty.count
        8
    """
    name = "group-lasso"
    refuse_bad_sizes(name, {"n": n, "groups": groups, "size": size})
    refuse_outside(name, "nonzeros", nonzeros, low=1, high=groups)
    refuse_outside(name, "rho", rho, low=0, high=1)
    rng, p = numpy_generator(seed), groups * size
    X = correlated_rows(rng, n, p, rho)
    truth = rng.choice([-1.0, 1.0], size=(groups, size)) * np.abs(sparse_truth(rng, groups, nonzeros))[:, None]
    y = noisy(rng, X @ truth.reshape(-1), SIGNAL_TO_NOISE)
    weight = _ratio(name, ratio) * np.linalg.norm((X.T @ y).reshape(groups, size), axis=1).max() / n
    given = {"n": n, "groups": groups, "size": size, "nonzeros": nonzeros, "ratio": ratio, "rho": rho, "seed": seed}
    problem = group_lasso(X, y, weight, np.repeat(np.arange(groups), size))
    return named(problem, name, generated_group_lasso, given)


def generated_bpdn(m: int = 128, p: int = 512, *, nonzeros: int = 10, ratio: float = 0.1, seed: int = 0) -> Problem:
    r"""A sparse vector from noisy random measurements, with a sum of squares.

    .. math:: \tfrac12 \|A x - b\|^2 + \lambda \|x\|_1, \qquad A_{ij} \sim N(0, 1/m), \qquad \lambda = \text{ratio}
        \cdot \max_j |A_j^\top b|

    Args:
        m: Measurements.
        p: Parameters.
        nonzeros: Of the truth, -1 and 1.
        ratio: Of the weight to the smallest one at which the answer is 0.
        seed: Of the data.

    Raises:
        BadProblem: Numbers that make no such problem.

    Example:
        >>> generated_bpdn(m=20, p=50, nonzeros=3).smooth.model.scale
        1.0
    """
    A, signal, rng = _measurements("bpdn", m, p, nonzeros=nonzeros, seed=seed)
    b = noisy(rng, signal, SIGNAL_TO_NOISE)
    weight = _ratio("bpdn", ratio) * np.abs(A.T @ b).max()
    given = {"m": m, "p": p, "nonzeros": nonzeros, "ratio": ratio, "seed": seed}
    return named(basis_pursuit_denoising(A, b, weight, reduction="sum"), "bpdn", generated_bpdn, given)


def generated_basis_pursuit(m: int = 64, p: int = 256, *, nonzeros: int = 8, seed: int = 0) -> Problem:
    r"""A sparse vector from few exact random measurements.

    .. math:: \min \|x\|_1 \text{ subject to } A x = A x^\circ, \qquad A_{ij} \sim N(0, 1/m)

    With few nonzeros the answer is the truth :math:`x^\circ` itself.

    Args:
        m: Measurements.
        p: Parameters.
        nonzeros: Of the truth, -1 and 1.
        seed: Of the data.

    Raises:
        BadProblem: Numbers that make no such problem.

    Example:
        >>> generated_basis_pursuit(m=10, p=30, nonzeros=2).constraint.A.shape
        torch.Size([10, 30])

    References:
        Donoho and Tanner (2009), Counting faces of randomly projected polytopes when the projection radically lowers
        dimension, for how few.
    """
    A, signal, _ = _measurements("basis-pursuit", m, p, nonzeros=nonzeros, seed=seed)
    given = {"m": m, "p": p, "nonzeros": nonzeros, "seed": seed}
    return named(basis_pursuit(A, signal), "basis-pursuit", generated_basis_pursuit, given)


def _regression(name: str, n: int, p: int, *, nonzeros: int, rho: float, seed: int) -> tuple[Floats, Floats]:
    refuse_bad_sizes(name, {"n": n, "p": p})
    refuse_outside(name, "nonzeros", nonzeros, low=1, high=p)
    refuse_outside(name, "rho", rho, low=0, high=1)
    rng = numpy_generator(seed)
    X = correlated_rows(rng, n, p, rho)
    return X, noisy(rng, X @ sparse_truth(rng, p, nonzeros), SIGNAL_TO_NOISE)


def _measurements(name: str, m: int, p: int, *, nonzeros: int, seed: int) -> tuple[Floats, Floats, np.random.Generator]:
    refuse_bad_sizes(name, {"m": m, "p": p})
    refuse_outside(name, "nonzeros", nonzeros, low=1, high=p)
    rng = numpy_generator(seed)
    A = correlated_rows(rng, m, p, 0.0) / np.sqrt(m)
    return A, A @ sparse_truth(rng, p, nonzeros), rng


def _ratio(name: str, ratio: float) -> float:
    refuse_outside(name, "ratio", ratio, low=0, high=1)
    return ratio
