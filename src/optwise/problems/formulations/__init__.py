"""Problems by their formulas: functions that take data and weights, and generated ones under names of their own.

A dense design is a data set, from which samplers may draw. A sparse one, or an operator, is seen as a whole only: its
problem is a function of the parameters without examples.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from optwise.core.problem import Problem
from optwise.problems.formulations.classifiers import logistic, softmax, svm
from optwise.problems.formulations.general import composite, nonlinear_least_squares, smooth
from optwise.problems.formulations.generated_classifiers import generated_hinge_svm, generated_logistic, generated_svm
from optwise.problems.formulations.generated_regressions import (
    generated_huber,
    generated_nnls,
    generated_ridge,
    generated_total_variation,
)
from optwise.problems.formulations.generated_sparse import (
    generated_basis_pursuit,
    generated_bpdn,
    generated_elastic_net,
    generated_group_lasso,
    generated_lasso,
)
from optwise.problems.formulations.quadratic_programs import quadratic
from optwise.problems.formulations.real_data import breast_cancer_l1, diabetes_lasso, softmax_digits
from optwise.problems.formulations.regressions import huber, least_squares, nnls, ridge
from optwise.problems.formulations.signals import total_variation
from optwise.problems.formulations.sparse import (
    basis_pursuit,
    basis_pursuit_denoising,
    elastic_net,
    group_lasso,
    lasso,
)

FORMULATIONS: Mapping[str, Callable[..., Problem]] = {
    "ridge": generated_ridge,
    "nnls": generated_nnls,
    "huber": generated_huber,
    "lasso": generated_lasso,
    "elastic-net": generated_elastic_net,
    "group-lasso": generated_group_lasso,
    "bpdn": generated_bpdn,
    "basis-pursuit": generated_basis_pursuit,
    "logistic": generated_logistic,
    "svm": generated_svm,
    "hinge-svm": generated_hinge_svm,
    "total-variation": generated_total_variation,
    "diabetes-lasso": diabetes_lasso,
    "breast-cancer-l1": breast_cancer_l1,
    "softmax-digits": softmax_digits,
}
"""Catalogue name to function, whose parameters may follow the name: ``lasso:n=1000,ratio=0.02``."""

__all__ = [
    "FORMULATIONS",
    "basis_pursuit",
    "basis_pursuit_denoising",
    "composite",
    "elastic_net",
    "group_lasso",
    "huber",
    "lasso",
    "least_squares",
    "logistic",
    "nnls",
    "nonlinear_least_squares",
    "quadratic",
    "ridge",
    "smooth",
    "softmax",
    "svm",
    "total_variation",
]
