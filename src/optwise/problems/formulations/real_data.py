"""Formulations on the small data sets that ship with scikit-learn, all of their examples, standardised."""

from __future__ import annotations

import numpy as np

from optwise.core.problem import Problem
from optwise.problems.formulations.classifiers import logistic, softmax
from optwise.problems.formulations.recipes import Floats, named, refuse_outside
from optwise.problems.formulations.sparse import lasso


def diabetes_lasso(ratio: float = 0.1) -> Problem:
    r"""A lasso on 442 patients: 10 columns and the label standardised, so that no intercept is missing.

    .. math:: \frac{1}{2n} \|X w - y\|^2 + \lambda \|w\|_1, \qquad \lambda = \text{ratio} \cdot
        \max_j |X_j^\top y| / n

    Args:
        ratio: Of the weight to the smallest one at which the answer is 0.

    Raises:
        BadProblem: A ratio that is not from 0 to 1.

    Example:
        >>> round(diabetes_lasso(ratio=1.0).penalty.weight, 4)
        0.5865

    References:
        Efron, Hastie, Johnstone and Tibshirani (2004), Least angle regression.
    """
    from sklearn.datasets import load_diabetes

    refuse_outside("diabetes-lasso", "ratio", ratio, low=0, high=1)
    X, y = (_standardised(part) for part in load_diabetes(return_X_y=True))
    weight = ratio * np.abs(X.T @ y).max() / len(y)
    return named(lasso(X, y, weight), "diabetes-lasso", diabetes_lasso, {"ratio": ratio})


def breast_cancer_l1(ratio: float = 0.1) -> Problem:
    r"""Sparse logistic regression on 569 tumours: 30 standardised columns, no intercept, benign ones labelled 1.

    .. math:: \frac1n \sum_i \log(1 + e^{-y_i \langle x_i, w \rangle}) + \lambda_1 \|w\|_1, \qquad
        \lambda_1 = \text{ratio} \cdot \max_j |X_j^\top y| / (2 n)

    Args:
        ratio: Of the weight to the smallest one at which the answer is 0.

    Raises:
        BadProblem: A ratio that is not from 0 to 1.

    Example:
        >>> breast_cancer_l1().smooth.dimension
        30
    """
    from sklearn.datasets import load_breast_cancer

    refuse_outside("breast-cancer-l1", "ratio", ratio, low=0, high=1)
    columns, benign = load_breast_cancer(return_X_y=True)
    X, y = _standardised(columns), 2.0 * benign - 1.0
    weight = ratio * np.abs(X.T @ y).max() / (2 * len(y))
    return named(logistic(X, y, l1=weight), "breast-cancer-l1", breast_cancer_l1, {"ratio": ratio})


def softmax_digits(l2: float = 1e-3) -> Problem:
    r"""Multinomial logistic regression on 1797 digits of 64 grey values from 0 to 1, ten classes, no intercept.

    .. math:: -\frac1n \sum_i \log \operatorname{softmax}(W^\top x_i)_{y_i} + \tfrac{\lambda_2}{2} \|W\|_F^2

    Args:
        l2: :math:`\lambda_2`.

    Raises:
        BadProblem: A negative weight.

    Example:
        >>> softmax_digits().smooth.dimension
        640
    """
    from sklearn.datasets import load_digits

    X, y = load_digits(return_X_y=True)
    return named(softmax(X / 16.0, y, l2=l2), "softmax-digits", softmax_digits, {"l2": l2})


def _standardised(part: Floats) -> Floats:
    """Columns with mean 0 and standard deviation 1."""
    standard: Floats = (part - part.mean(0)) / part.std(0)
    return standard
