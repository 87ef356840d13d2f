r"""Linear classifiers: logistic regression for two classes and for many, and support vector machines.

None has an intercept: give X a column of ones, which the penalties then shrink as well.
"""

from __future__ import annotations

from dataclasses import replace

from optwise.core.data import Data, Split
from optwise.core.errors import BadProblem
from optwise.core.metric import Metric
from optwise.core.problem import Problem
from optwise.core.smooth import Smooth
from optwise.problems.formulations.assembling import l1_penalty, of_linear_model, of_term
from optwise.problems.formulations.reading import (
    Matrix,
    Numbers,
    nonnegative,
    read_classes,
    read_signs,
    scale_of,
)
from optwise.problems.terms.functions import SquaredDistance, Zero
from optwise.problems.terms.linear_models import SoftmaxTerm
from optwise.problems.terms.objectives import SoftmaxObjective
from optwise.problems.terms.operators import MatrixOperator, RowScaled
from optwise.problems.terms.penalties import HingeSum
from optwise.problems.terms.predictions import LogisticLoss, SquaredHinge


def logistic(X: Matrix, y: Numbers, *, l1: float = 0.0, l2: float = 0.0, reduction: str = "mean") -> Problem:
    r"""Logistic regression of two classes.

    .. math:: \min_w \frac1n \sum_i \log(1 + e^{-y_i \langle x_i, w \rangle}) + \lambda_1 \|w\|_1
        + \tfrac{\lambda_2}{2} \|w\|^2

    scikit-learn's ``LogisticRegression(C)`` weighs the losses instead: its C is :math:`1 / (n \lambda_2)` for an l2
    penalty and :math:`1 / (n \lambda_1)` for an l1 penalty, and :math:`1 / \lambda` under ``reduction="sum"``. With
    labels 0 and 1 the loss is ``torch.nn.functional.binary_cross_entropy_with_logits``, a mean as well.

    Args:
        X: The design [n, p], in the dtype the problem will have; held as it is, so do not write to it afterwards.
        y: Labels -1 and 1, or 0 and 1 [n].
        l1: :math:`\lambda_1`, at least 0; never averaged.
        l2: :math:`\lambda_2`, at least 0; never averaged.
        reduction: ``"mean"`` or ``"sum"`` of the losses.

    Raises:
        BadProblem: Other labels, labels of one class, shapes that disagree, a design of complex, whole, not finite or
            no numbers, a negative weight, an unknown reduction.

    Example:
        >>> problem = logistic([[1.0], [2.0]], [0, 1], l2=0.1)
        >>> problem.smooth.model.y, problem.smooth.value(problem.start(0)[0]["w"])  # ln 2
        (tensor([-1.,  1.], dtype=torch.float64), tensor(0.6931, dtype=torch.float64))

    References:
        Cox (1958), The regression analysis of binary sequences.
    """
    design, signs = read_signs(X, y)
    return of_linear_model(
        "logistic",
        design,
        signs,
        LogisticLoss(),
        reduction=reduction,
        l2=nonnegative(l2, "l2"),
        penalty=l1_penalty(nonnegative(l1, "l1")),
    )


def softmax(X: Matrix, y: Numbers, *, l1: float = 0.0, l2: float = 0.0, reduction: str = "mean") -> Problem:
    r"""Multinomial logistic regression of C classes.

    .. math:: \min_W \frac1n \sum_i \Big( \log \sum_c e^{\langle x_i, W_c \rangle} - \langle x_i, W_{y_i} \rangle \Big)
        + \lambda_1 \sum |W| + \tfrac{\lambda_2}{2} \|W\|_F^2

    The answer has the shape [p, C]; scikit-learn's ``coef_`` is its transpose, and its C is :math:`1 / (n \lambda_2)`.
    The loss is ``torch.nn.functional.cross_entropy``, a mean as well. With two classes the difference of the columns of
    W is the answer of :func:`logistic` with half of ``l2``.

    Args:
        X: The design [n, p], in the dtype the problem will have; held as it is, so do not write to it afterwards.
        y: Classes 0, 1, ..., C - 1 [n], each with an example.
        l1: :math:`\lambda_1`, at least 0; never averaged.
        l2: :math:`\lambda_2`, at least 0; never averaged.
        reduction: ``"mean"`` or ``"sum"`` of the losses.

    Raises:
        BadProblem: Other labels, labels of one class, shapes that disagree, a design of complex, whole, not finite or
            no numbers, a negative weight, an unknown reduction.

    Example:
        >>> problem = softmax([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]], [0, 1, 2])
        >>> w = problem.start(0)[0]["w"]
        >>> w.shape, problem.smooth.value(w.reshape(-1))  # ln 3
        (torch.Size([2, 3]), tensor(1.0986, dtype=torch.float64))

    References:
        Böhning (1992), Multinomial logistic regression algorithm.
    """
    design, classes = read_classes(X, y)
    n, p = design.shape
    scale, ridge = scale_of(reduction, n), nonnegative(l2, "l2")
    count = int(classes.max()) + 1
    term = SoftmaxTerm(design.operator, classes, count, scale=scale, l2=ridge, origin=design.like)
    problem = of_term("softmax", term, design.like.new_zeros(p, count), penalty=l1_penalty(nonnegative(l1, "l1")))
    if design.entries is None:
        return problem
    return replace(
        problem,
        objective=SoftmaxObjective(factor=n * scale, l2=ridge),
        data=Data(train=Split(design.entries, classes)),
        metrics=(Metric("loss"),),
    )


def svm(X: Matrix, y: Numbers, *, l2: float, loss: str = "squared_hinge", reduction: str = "mean") -> Problem:
    r"""A linear support vector machine.

    .. math:: \min_w \frac1n \sum_i \ell(y_i \langle x_i, w \rangle) + \tfrac{\lambda_2}{2} \|w\|^2, \qquad
        \ell(m) = \tfrac12 \max(0, 1 - m)^2 \;\text{ or }\; \max(0, 1 - m)

    scikit-learn's ``LinearSVC(C, fit_intercept=False)`` weighs the losses instead, and its squared hinge has no half:
    C is :math:`1 / (n \lambda_2)` for the hinge and :math:`1 / (2 n \lambda_2)` for the squared one. The squared hinge
    is smooth. The hinge is the penalty behind the operator diag(y) X, and f is the norm alone.

    Args:
        X: The design [n, p], in the dtype the problem will have; held as it is, so do not write to it afterwards.
        y: Labels -1 and 1, or 0 and 1 [n].
        l2: :math:`\lambda_2`, at least 0; never averaged.
        loss: ``"squared_hinge"`` or ``"hinge"``.
        reduction: ``"mean"`` or ``"sum"`` of the losses.

    Raises:
        BadProblem: Other labels, labels of one class, shapes that disagree, a design of complex, whole, not finite or
            no numbers, a negative weight, an unknown loss or reduction.

    Example:
        >>> problem = svm([[1.0], [2.0]], [-1, 1], l2=0.1, loss="hinge")
        >>> problem.name, problem.penalty, problem.operator.matrix
        ('hinge-svm', HingeSum(scale=0.5), tensor([[-1.],
                [ 2.]], dtype=torch.float64))

    References:
        Cortes and Vapnik (1995), Support-vector networks.
    """
    if loss not in ("squared_hinge", "hinge"):
        raise BadProblem(f"loss is {loss!r}; give 'squared_hinge' or 'hinge'.")
    design, signs = read_signs(X, y)
    ridge = nonnegative(l2, "l2")
    if loss == "squared_hinge":
        return of_linear_model("svm", design, signs, SquaredHinge(), reduction=reduction, l2=ridge)
    n, p = design.shape
    origin = signs.new_zeros(p)
    f: Smooth = SquaredDistance(origin, scale=ridge) if ridge > 0 else Zero(p)
    problem = of_term("hinge-svm", f, origin, penalty=HingeSum(scale_of(reduction, n)))
    if design.entries is None:
        return replace(problem, operator=RowScaled(design.operator, signs))
    return replace(problem, operator=MatrixOperator(signs[:, None] * design.entries))
