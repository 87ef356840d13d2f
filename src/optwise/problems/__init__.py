"""Problems by family: functions that return a Problem, and the names under which a user may type them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from optwise.core.problem import Problem
from optwise.problems.classics import more_garbow_hillstrom
from optwise.problems.classification import digits_cnn, digits_mlp, digits_softmax, digits_units
from optwise.problems.formulations import (
    FORMULATIONS,
    basis_pursuit,
    basis_pursuit_denoising,
    composite,
    elastic_net,
    group_lasso,
    huber,
    lasso,
    least_squares,
    logistic,
    nnls,
    nonlinear_least_squares,
    quadratic,
    ridge,
    smooth,
    softmax,
    svm,
    total_variation,
)
from optwise.problems.linear import breast_cancer_logistic, diabetes_least_squares, synthetic_least_squares
from optwise.problems.losses import half_squared_error
from optwise.problems.mean_estimation import mean_estimation, named_mean_estimation
from optwise.problems.modules import from_module
from optwise.problems.quadratics import harmonic_nqm, nqm
from optwise.problems.sampled_least_squares import named_sampled_least_squares, sampled_least_squares
from optwise.problems.streamed_least_squares import harmonic_least_squares_sgd, least_squares_sgd
from optwise.problems.valleys import rosenbrock

PROBLEMS: Mapping[str, Callable[..., Problem]] = {
    "digits-softmax": digits_softmax,
    "digits-units": digits_units,
    "digits-mlp": digits_mlp,
    "digits-cnn": digits_cnn,
    "breast-cancer-logistic": breast_cancer_logistic,
    "diabetes-least-squares": diabetes_least_squares,
    "least-squares": synthetic_least_squares,
    "nqm": harmonic_nqm,
    "mean-estimation": named_mean_estimation,
    "least-squares-sgd": harmonic_least_squares_sgd,
    "sampled-least-squares": named_sampled_least_squares,
    "rosenbrock": rosenbrock,
    **FORMULATIONS,
    "more-garbow-hillstrom": more_garbow_hillstrom,
}
"""Catalogue name to function; its parameters are what may follow the name, as in ``nqm:d=100``."""

__all__ = [
    "PROBLEMS",
    "basis_pursuit",
    "basis_pursuit_denoising",
    "breast_cancer_logistic",
    "composite",
    "diabetes_least_squares",
    "digits_cnn",
    "digits_mlp",
    "digits_softmax",
    "digits_units",
    "elastic_net",
    "from_module",
    "group_lasso",
    "half_squared_error",
    "huber",
    "lasso",
    "least_squares",
    "least_squares_sgd",
    "logistic",
    "mean_estimation",
    "more_garbow_hillstrom",
    "nnls",
    "nonlinear_least_squares",
    "nqm",
    "quadratic",
    "ridge",
    "rosenbrock",
    "sampled_least_squares",
    "smooth",
    "softmax",
    "svm",
    "synthetic_least_squares",
    "total_variation",
]
