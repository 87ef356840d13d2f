"""Linear models: logistic regression and least squares on real data, and least squares of a chosen conditioning."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from optwise.core.errors import BadProblem
from optwise.core.loss import LinearModel, Loss
from optwise.core.metric import AtMost
from optwise.core.problem import Optimum, Problem
from optwise.numerics.rng import numpy_generator
from optwise.problems.datasets import breast_cancer, diabetes
from optwise.problems.losses import half_squared_error
from optwise.problems.modules import from_module
from optwise.problems.targets import spell, with_target
from optwise.problems.terms.linear_models import LinearModelTerm
from optwise.problems.terms.operators import MatrixOperator
from optwise.problems.terms.predictions import LogisticLoss, SquaredError


def breast_cancer_logistic() -> Problem:
    r"""Logistic regression on 569 tumours: 30 standardised columns and a bias, labels 0 (malignant) and 1 (benign).

    .. math:: \frac1N \sum_i \log(1 + e^{z_i}) - y_i z_i, \qquad z_i = \langle w, x_i \rangle + b

    Convex. With labels -1 and 1 other texts write the same loss as :math:`\log(1 + e^{-y_i z_i})`.

    Example:
        >>> breast_cancer_logistic().metric_names[-2:]
        ('test/loss', 'test/accuracy')
    """
    train, valid, test = breast_cancer()
    name = "breast-cancer-logistic"
    problem = from_module(
        lambda: nn.Linear(30, 1),
        F.binary_cross_entropy_with_logits,
        train,
        valid=valid,
        test=test,
        name=name,
        reference=name,
    )
    return with_target(_structured(problem, LogisticLoss(), labels=lambda y: 2 * y - 1))


def diabetes_least_squares() -> Problem:
    r"""Least squares on 442 patients: 10 standardised columns, a bias, a standardised label.

    .. math:: \frac{1}{2N} \sum_i (\langle w, x_i \rangle + b - y_i)^2

    The half is part of the loss: it is half of what ``F.mse_loss`` gives.

    Example:
        >>> diabetes_least_squares().examples
        265
    """
    train, valid, test = diabetes()
    name = "diabetes-least-squares"
    problem = from_module(
        lambda: nn.Linear(10, 1), half_squared_error, train, valid=valid, test=test, name=name, reference=name
    )
    return with_target(_structured(problem, SquaredError()))


def synthetic_least_squares(
    n: int = 200, p: int = 50, kappa: float = 100.0, noise: float = 0.1, seed: int = 0
) -> Problem:
    r"""Least squares whose Hessian has the condition number ``kappa``, from zero, in float64.

    .. math:: f(w) = \frac{1}{2n} \|X w - y\|^2, \qquad H = \tfrac1n X^\top X, \qquad
        \kappa(H) = \frac{\lambda_{\max}}{\lambda_{\min}} = \kappa(X)^2

    The eigenvalues of H run geometrically from 1 down to 1/kappa along random directions; labels are
    :math:`y = X w^\circ + \text{noise} \cdot \varepsilon` with standard normal :math:`w^\circ` and :math:`\varepsilon`.
    The validation split holds ``n`` fresh rows, normal with covariance H, labelled the same way. Note the half, and
    that ``kappa`` belongs to H: the condition number of X is its square root.

    Args:
        n: Training examples, at least ``p``.
        p: Parameters.
        kappa: Condition number of the Hessian, at least 1.
        noise: Standard deviation of the label noise.
        seed: Of the data.

    Raises:
        BadProblem: Numbers that make no such problem.

    Example:
        >>> problem = synthetic_least_squares(n=100, p=10, kappa=25.0)
        >>> problem.name, round(float(np.linalg.cond(problem.data.train.x)), 9)
        ('least-squares:n=100,p=10,kappa=25', 5.0)
    """
    if not 1 <= p <= n:
        raise BadProblem(f"least-squares with n={n} and p={p} has no condition number; choose 1 <= p <= n.")
    if not 1 <= kappa < np.inf or (p == 1 and kappa != 1):
        raise BadProblem(f"least-squares with p={p} cannot have kappa={kappa:g}; choose at least 1, and 1 where p=1.")
    if not 0 <= noise < np.inf:
        raise BadProblem(
            f"least-squares with noise={noise:g} makes no labels; choose a standard deviation, at least 0."
        )
    rng = numpy_generator(seed)
    left, _ = np.linalg.qr(rng.standard_normal((n, p)))  # [n, p]
    right, _ = np.linalg.qr(rng.standard_normal((p, p)))  # [p, p]
    root = np.geomspace(1.0, kappa**-0.5, p)[:, None] * right.T  # [p, p], root^T root = H
    truth = rng.standard_normal((p, 1))
    X, fresh = np.sqrt(n) * left @ root, rng.standard_normal((n, p)) @ root
    y, fresh_y = (rows @ truth + noise * rng.standard_normal((n, 1)) for rows in (X, fresh))

    best, *_ = np.linalg.lstsq(X, y, rcond=None)
    value = float(np.square(X @ best - y).sum() / (2 * n))
    written = {"n": n, "p": p, "kappa": kappa}
    written |= {"noise": noise} if noise != 0.1 else {}
    written |= {"seed": seed} if seed != 0 else {}
    reference = spell("least-squares", written)

    def make_net() -> nn.Module:
        net = nn.Linear(p, 1, bias=False, dtype=torch.float64)
        nn.init.zeros_(net.weight)
        return net

    problem = from_module(
        make_net, half_squared_error, (X, y), valid=(fresh, fresh_y), name=reference, reference=reference
    )
    problem = _structured(problem, SquaredError())
    optimum = Optimum(value, "numpy.linalg.lstsq in float64", {"weight": torch.from_numpy(best.T.copy())})
    if value < 1e-12:  # fitted exactly: a percentage of nothing is no target
        return replace(problem, optimum=optimum)
    target = AtMost("train/loss", float(f"{1.01 * value:.6g}"))
    return replace(problem, optimum=optimum, target=target, target_command="by definition: 1.01 times the optimum")


def _structured(problem: Problem, loss: Loss, labels: Callable[[Tensor], Tensor] = lambda y: y) -> Problem:
    """A single ``nn.Linear`` with one output as what it is, a linear model, for solvers: its bias a column of ones."""
    assert problem.data is not None
    train, (leaves, _) = problem.data.train, problem.start(0)
    assert train.y is not None
    X = torch.cat([train.x, torch.ones_like(train.x[:, :1])], 1) if "bias" in leaves else train.x
    model = LinearModel(MatrixOperator(X), labels(train.y[:, 0]), loss, 1 / train.examples)
    return replace(problem, smooth=LinearModelTerm(model))
