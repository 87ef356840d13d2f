"""Linear classifiers on generated data, with labels drawn from a logistic model."""

from __future__ import annotations

import numpy as np

from optwise.core.problem import Problem
from optwise.numerics.rng import numpy_generator
from optwise.problems.formulations.classifiers import logistic, svm
from optwise.problems.formulations.recipes import (
    Floats,
    correlated_rows,
    named,
    refuse_bad_sizes,
    refuse_outside,
)


def generated_logistic(
    n: int = 1000, p: int = 50, *, l1: float = 0.0, l2: float = 1e-3, rho: float = 0.5, seed: int = 0
) -> Problem:
    r"""Logistic regression on labels of the very model it fits, from zero, in float64.

    .. math:: \frac1n \sum_i \log(1 + e^{-y_i \langle x_i, w \rangle}) + \lambda_1 \|w\|_1
        + \tfrac{\lambda_2}{2} \|w\|^2, \qquad P(y_i = 1) = \sigma(\langle x_i, w^\circ \rangle), \quad
        w^\circ \sim N(0, \tfrac{9}{p} I)

    Log-odds of the truth have a standard deviation of about 3, so that classes overlap and the answer is finite.

    Args:
        n: Examples.
        p: Parameters.
        l1: :math:`\lambda_1`.
        l2: :math:`\lambda_2`.
        rho: Correlation of neighbouring columns.
        seed: Of the data.

    Raises:
        BadProblem: Numbers that make no such problem.

    Example:
        >>> generated_logistic(n=40, p=4).reference
        'logistic:n=40,p=4'
    """
    X, y = _labelled("logistic", n, p, rho=rho, seed=seed)
    given = {"n": n, "p": p, "l1": l1, "l2": l2, "rho": rho, "seed": seed}
    return named(logistic(X, y, l1=l1, l2=l2), "logistic", generated_logistic, given)


def generated_svm(n: int = 1000, p: int = 50, *, l2: float = 1e-2, rho: float = 0.5, seed: int = 0) -> Problem:
    r"""A smooth support vector machine on the data of `logistic`.

    .. math:: \frac{1}{2n} \sum_i \max(0, 1 - y_i \langle x_i, w \rangle)^2 + \tfrac{\lambda_2}{2} \|w\|^2

    Args:
        n: Examples.
        p: Parameters.
        l2: :math:`\lambda_2`.
        rho: Correlation of neighbouring columns.
        seed: Of the data.

    Raises:
        BadProblem: Numbers that make no such problem.

    Example:
        >>> generated_svm(n=40, p=4).smooth.model.loss
        SquaredHinge()
    """
    X, y = _labelled("svm", n, p, rho=rho, seed=seed)
    given = {"n": n, "p": p, "l2": l2, "rho": rho, "seed": seed}
    return named(svm(X, y, l2=l2), "svm", generated_svm, given)


def generated_hinge_svm(n: int = 200, p: int = 20, *, l2: float = 1e-2, rho: float = 0.5, seed: int = 0) -> Problem:
    r"""A support vector machine with the hinge loss itself on the data of `logistic`.

    .. math:: \frac1n \sum_i \max(0, 1 - y_i \langle x_i, w \rangle) + \tfrac{\lambda_2}{2} \|w\|^2

    Args:
        n: Examples.
        p: Parameters.
        l2: :math:`\lambda_2`.
        rho: Correlation of neighbouring columns.
        seed: Of the data.

    Raises:
        BadProblem: Numbers that make no such problem.

    Example:
        >>> generated_hinge_svm(n=40, p=4).operator.shape
        (40, 4)
    """
    X, y = _labelled("hinge-svm", n, p, rho=rho, seed=seed)
    given = {"n": n, "p": p, "l2": l2, "rho": rho, "seed": seed}
    return named(svm(X, y, l2=l2, loss="hinge"), "hinge-svm", generated_hinge_svm, given)


def _labelled(name: str, n: int, p: int, *, rho: float, seed: int) -> tuple[Floats, Floats]:
    refuse_bad_sizes(name, {"n": n, "p": p})
    refuse_outside(name, "rho", rho, low=0, high=1)
    rng = numpy_generator(seed)
    X = correlated_rows(rng, n, p, rho)
    odds = X @ (3.0 / np.sqrt(p) * rng.standard_normal(p))
    return X, np.where(rng.random(n) < 1 / (1 + np.exp(-odds)), 1.0, -1.0)
