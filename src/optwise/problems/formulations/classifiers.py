r"""Linear classifiers: logistic regression for two classes and for many, and support vector machines.

None has an intercept: give X a column of ones, which the penalties then shrink as well.
"""

from __future__ import annotations

from dataclasses import replace

from optwise.core.data import Data, Split
from optwise.core.errors import BadProblem
from optwise.core.metric import Metric
from optwise.core.operator import LinearOperator
from optwise.core.penalty import Penalty
from optwise.core.problem import Problem
from optwise.core.showing import brief
from optwise.core.smooth import Smooth
from optwise.problems.formulations.assembling import l1_penalty, of_linear_model, of_term
from optwise.problems.formulations.labels import read_classes, read_signs
from optwise.problems.formulations.parts import Within, with_parts
from optwise.problems.formulations.reading import (
    Matrix,
    Numbers,
    nonnegative,
    scale_of,
)
from optwise.problems.gradients import without_gradients
from optwise.problems.terms.functions import SquaredDistance, Zero
from optwise.problems.terms.linear_models import SoftmaxTerm
from optwise.problems.terms.objectives import SoftmaxObjective
from optwise.problems.terms.operators import MatrixOperator, RowScaled
from optwise.problems.terms.penalties import HingeSum
from optwise.problems.terms.predictions import LogisticLoss, SquaredHinge


@without_gradients
def logistic(
    X: Matrix,
    y: Numbers,
    *,
    l1: float = 0.0,
    l2: float = 0.0,
    reduction: str = "mean",
    penalty: Penalty | None = None,
    constraint: Within = None,
) -> Problem:
    r"""Logistic regression of two classes.

    .. math:: \min_w \frac1n \sum_i \log(1 + e^{-y_i \langle x_i, w \rangle}) + \lambda_1 \|w\|_1
        + \tfrac{\lambda_2}{2} \|w\|^2

    scikit-learn's ``LogisticRegression(C)`` weighs the losses instead: its C is :math:`1 / (n \lambda_2)` for an l2
    penalty and :math:`1 / (n \lambda_1)` for an l1 penalty, and :math:`1 / \lambda` under ``reduction="sum"``. With
    labels 0 and 1 the loss is ``torch.nn.functional.binary_cross_entropy_with_logits``, a mean as well.

    Args:
        X: The design [n, p]: its float32 or float64 is the problem's dtype, anything else becomes float64. Held as it
            is, so do not write to it afterwards.
        y: Labels of two classes [n]: numbers, words, booleans, categories. The greater one, ``problem.classes[1]``, is
            1 and the other -1.
        l1: :math:`\lambda_1`, at least 0; never averaged.
        l2: :math:`\lambda_2`, at least 0; never averaged.
        reduction: ``"mean"`` or ``"sum"`` of the losses.
        penalty: A further term, such as ``ow.penalties.L2Norm(0.1)``, its weight inside; never averaged.
        constraint: A set, such as ``ow.sets.Simplex()``, or bounds ``(low, high)``.

    Raises:
        BadProblem: Labels that name no class, labels of one class, shapes that disagree, a design of complex, not
            finite or no numbers, a negative weight, an unknown reduction.

    Example:
        >>> problem = logistic([[1.0], [2.0]], [0, 1], l2=0.1)
        >>> problem.smooth.model.y, problem.smooth.value(problem.start(0)[0]["w"])  # ln 2
        (tensor([-1.,  1.], dtype=torch.float64), tensor(0.6931, dtype=torch.float64))

    References:
        Cox (1958), The regression analysis of binary sequences.
    """
    design, signs, classes = read_signs(X, y)
    problem = of_linear_model(
        "logistic",
        design,
        signs,
        LogisticLoss(),
        reduction=reduction,
        l2=nonnegative(l2, "l2"),
        penalty=l1_penalty(nonnegative(l1, "l1")),
    )
    return with_parts(replace(problem, classes=classes), penalty=penalty, constraint=constraint)


@without_gradients
def softmax(
    X: Matrix,
    y: Numbers,
    *,
    l1: float = 0.0,
    l2: float = 0.0,
    reduction: str = "mean",
    penalty: Penalty | None = None,
    constraint: Within = None,
) -> Problem:
    r"""Multinomial logistic regression of C classes.

    .. math:: \min_W \frac1n \sum_i \Big( \log \sum_c e^{\langle x_i, W_c \rangle} - \langle x_i, W_{y_i} \rangle \Big)
        + \lambda_1 \sum |W| + \tfrac{\lambda_2}{2} \|W\|_F^2

    The answer has the shape [p, C]; scikit-learn's ``coef_`` is its transpose, and its C is :math:`1 / (n \lambda_2)`.
    The loss is ``torch.nn.functional.cross_entropy``, a mean as well. With two classes the difference of the columns of
    W is the answer of :func:`logistic` with half of ``l2``.

    Args:
        X: The design [n, p]: its float32 or float64 is the problem's dtype, anything else becomes float64. Held as it
            is, so do not write to it afterwards.
        y: Labels of C classes [n]: numbers, words, booleans, categories. In ascending order they are
            ``problem.classes``, and column c of W belongs to the one at c.
        l1: :math:`\lambda_1`, at least 0; never averaged.
        l2: :math:`\lambda_2`, at least 0; never averaged.
        reduction: ``"mean"`` or ``"sum"`` of the losses.
        penalty: A further term, such as ``ow.penalties.L2Norm(0.1)``, its weight inside; never averaged.
        constraint: A set, such as ``ow.sets.Simplex()``, or bounds ``(low, high)``.

    Raises:
        BadProblem: Labels that name no class, labels of one class, shapes that disagree, a design of complex, not
            finite or no numbers, a negative weight, an unknown reduction.

    Example:
        >>> problem = softmax([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]], [0, 1, 2])
        >>> w = problem.start(0)[0]["w"]
        >>> w.shape, problem.smooth.value(w.reshape(-1))  # ln 3
        (torch.Size([2, 3]), tensor(1.0986, dtype=torch.float64))

    References:
        Böhning (1992), Multinomial logistic regression algorithm.
    """
    design, numbered, classes = read_classes(X, y)
    n, p = design.shape
    scale, ridge = scale_of(reduction, n), nonnegative(l2, "l2")
    term = SoftmaxTerm(design.operator, numbered, len(classes), scale=scale, l2=ridge, origin=design.like)
    start, norm = design.like.new_zeros(p, len(classes)), l1_penalty(nonnegative(l1, "l1"))
    problem = replace(of_term("softmax", term, start, penalty=norm), classes=classes)
    if design.entries is not None:
        problem = replace(
            problem,
            objective=SoftmaxObjective(factor=n * scale, l2=ridge),
            data=Data(train=Split(design.entries, numbered)),
            metrics=(Metric("loss"),),
        )
    return with_parts(problem, penalty=penalty, constraint=constraint)


@without_gradients
def svm(
    X: Matrix,
    y: Numbers,
    *,
    l2: float,
    loss: str = "squared_hinge",
    reduction: str = "mean",
    penalty: Penalty | None = None,
    constraint: Within = None,
) -> Problem:
    r"""A linear support vector machine.

    .. math:: \min_w \frac1n \sum_i \ell(y_i \langle x_i, w \rangle) + \tfrac{\lambda_2}{2} \|w\|^2, \qquad
        \ell(m) = \tfrac12 \max(0, 1 - m)^2 \;\text{ or }\; \max(0, 1 - m)

    scikit-learn's ``LinearSVC(C, fit_intercept=False)`` weighs the losses instead, and its squared hinge has no half:
    C is :math:`1 / (n \lambda_2)` for the hinge and :math:`1 / (2 n \lambda_2)` for the squared one. The squared hinge
    is smooth. The hinge is the penalty behind the operator diag(y) X, and f is the norm alone.

    Args:
        X: The design [n, p]: its float32 or float64 is the problem's dtype, anything else becomes float64. Held as it
            is, so do not write to it afterwards.
        y: Labels of two classes [n]: numbers, words, booleans, categories. The greater one, ``problem.classes[1]``, is
            1 and the other -1.
        l2: :math:`\lambda_2`, at least 0; never averaged.
        loss: ``"squared_hinge"`` or ``"hinge"``.
        reduction: ``"mean"`` or ``"sum"`` of the losses.
        penalty: A further term, such as ``ow.penalties.L2Norm(0.1)``, its weight inside; never averaged.
        constraint: A set, such as ``ow.sets.Simplex()``, or bounds ``(low, high)``.

    Raises:
        BadProblem: Labels that name no class, labels of one class, shapes that disagree, a design of complex, not
            finite or no numbers, a negative weight, an unknown loss or reduction.

    Example:
        >>> problem = svm([[1.0], [2.0]], [-1, 1], l2=0.1, loss="hinge")
        >>> problem.name, problem.penalty, problem.operator.matrix
        ('hinge-svm', HingeSum(scale=0.5), tensor([[-1.],
                [ 2.]], dtype=torch.float64))

    References:
        Cortes and Vapnik (1995), Support-vector networks.
    """
    if not isinstance(loss, str) or loss not in ("squared_hinge", "hinge"):
        raise BadProblem(f"loss is {brief(loss)}; give 'squared_hinge' or 'hinge'.")
    design, signs, classes = read_signs(X, y)
    ridge = nonnegative(l2, "l2")
    if loss == "squared_hinge":
        problem = of_linear_model("svm", design, signs, SquaredHinge(), reduction=reduction, l2=ridge)
        return with_parts(replace(problem, classes=classes), penalty=penalty, constraint=constraint)
    n, p = design.shape
    origin = signs.new_zeros(p)
    f: Smooth = SquaredDistance(origin, scale=ridge) if ridge > 0 else Zero(p)
    problem = of_term("hinge-svm", f, origin, penalty=HingeSum(scale_of(reduction, n)))
    margins: LinearOperator = RowScaled(design.operator, signs)
    if design.entries is not None:
        margins = MatrixOperator(signs[:, None] * design.entries)
    return with_parts(replace(problem, operator=margins, classes=classes), penalty=penalty, constraint=constraint)
