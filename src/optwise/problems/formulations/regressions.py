r"""Regressions without a penalty that sets entries to 0: least squares, ridge, nonnegative least squares, Huber.

None has an intercept: centre X and y first, or give X a column of ones, which a penalty then shrinks as well.
"""

from __future__ import annotations

from dataclasses import replace

from optwise.core.penalty import Penalty
from optwise.core.problem import Problem
from optwise.problems.formulations.assembling import of_linear_model
from optwise.problems.formulations.parts import Within, with_parts
from optwise.problems.formulations.reading import Matrix, Numbers, nonnegative, positive, read_examples
from optwise.problems.gradients import without_gradients
from optwise.problems.terms.predictions import HuberLoss, SquaredError
from optwise.problems.terms.sets import Nonnegative


@without_gradients
def least_squares(
    X: Matrix,
    y: Numbers,
    *,
    reduction: str = "mean",
    penalty: Penalty | None = None,
    constraint: Within = None,
) -> Problem:
    r"""Least squares.

    .. math:: \min_w \frac{1}{2n} \|X w - y\|^2, \qquad \text{with reduction="sum": } \tfrac12 \|X w - y\|^2

    Note the half: ``torch.nn.functional.mse_loss`` and ``cvxpy.sum_squares`` have none. The minimisers are those of
    ``numpy.linalg.lstsq`` and scikit-learn's ``LinearRegression(fit_intercept=False)``.

    Args:
        X: The design [n, p]: its float32 or float64 is the problem's dtype, anything else becomes float64. Held as it
            is, so do not write to it afterwards.
        y: One number for each row [n].
        reduction: ``"mean"`` or ``"sum"`` of the squared errors.
        penalty: A further term, such as ``ow.penalties.L2Norm(0.1)``, its weight inside; never averaged.
        constraint: A set, such as ``ow.sets.Simplex()``, or bounds ``(low, high)``.

    Raises:
        BadProblem: Shapes that disagree, numbers that are complex, not finite or none, an unknown reduction.

    Example:
        >>> problem = least_squares([[1.0], [2.0]], [1.0, 1.0])
        >>> problem.smooth.value_and_gradient(problem.start(0)[0]["w"])
        (tensor(0.5000, dtype=torch.float64), tensor([-1.5000], dtype=torch.float64))

    References:
        Legendre (1805), Nouvelles méthodes pour la détermination des orbites des comètes.
    """
    design, labels = read_examples(X, y)
    problem = of_linear_model("least-squares", design, labels, SquaredError(), reduction=reduction)
    return with_parts(problem, penalty=penalty, constraint=constraint)


@without_gradients
def ridge(
    X: Matrix,
    y: Numbers,
    l2: float,
    *,
    reduction: str = "mean",
    penalty: Penalty | None = None,
    constraint: Within = None,
) -> Problem:
    r"""Least squares with a squared norm.

    .. math:: \min_w \frac{1}{2n} \|X w - y\|^2 + \tfrac{\lambda_2}{2} \|w\|^2

    The norm is never averaged. scikit-learn's ``Ridge(alpha)`` minimises :math:`\|X w - y\|^2 + \alpha \|w\|^2`: its
    alpha is n l2, and l2 itself under ``reduction="sum"``.

    Args:
        X: The design [n, p]: its float32 or float64 is the problem's dtype, anything else becomes float64. Held as it
            is, so do not write to it afterwards.
        y: One number for each row [n].
        l2: :math:`\lambda_2`, at least 0.
        reduction: ``"mean"`` or ``"sum"`` of the squared errors.
        penalty: A further term, such as ``ow.penalties.L2Norm(0.1)``, its weight inside; never averaged.
        constraint: A set, such as ``ow.sets.Simplex()``, or bounds ``(low, high)``.

    Raises:
        BadProblem: Shapes that disagree, numbers that are complex, not finite or none, a negative weight, an
            unknown reduction.

    Example:
        >>> ridge([[1.0], [2.0]], [1.0, 2.0], l2=2.5).smooth.strong_convexity
        2.5

    References:
        Hoerl and Kennard (1970), Ridge regression: biased estimation for nonorthogonal problems.
    """
    design, labels = read_examples(X, y)
    l2 = nonnegative(l2, "l2")
    problem = of_linear_model("ridge", design, labels, SquaredError(), reduction=reduction, l2=l2)
    return with_parts(problem, penalty=penalty, constraint=constraint)


@without_gradients
def nnls(
    X: Matrix,
    y: Numbers,
    *,
    reduction: str = "mean",
    penalty: Penalty | None = None,
    constraint: Within = None,
) -> Problem:
    r"""Nonnegative least squares.

    .. math:: \min_{w \ge 0} \frac{1}{2n} \|X w - y\|^2

    The minimisers are those of ``scipy.optimize.nnls``, which returns the norm of the residual instead of this value.

    Args:
        X: The design [n, p]: its float32 or float64 is the problem's dtype, anything else becomes float64. Held as it
            is, so do not write to it afterwards.
        y: One number for each row [n].
        reduction: ``"mean"`` or ``"sum"`` of the squared errors.
        penalty: A further term, such as ``ow.penalties.L2Norm(0.1)``, its weight inside; never averaged.
        constraint: A set, such as ``ow.sets.Simplex()``, or bounds ``(low, high)``.

    Raises:
        BadProblem: Shapes that disagree, numbers that are complex, not finite or none, an unknown reduction.

    Example:
        >>> problem = nnls([[1.0], [2.0]], [-1.0, -1.0])
        >>> problem.constraint.bounds()
        (tensor([0.], dtype=torch.float64), tensor([inf], dtype=torch.float64))

    References:
        Lawson and Hanson (1974), Solving Least Squares Problems, chapter 23.
    """
    design, labels = read_examples(X, y)
    problem = of_linear_model("nnls", design, labels, SquaredError(), reduction=reduction)
    orthant = Nonnegative(design.shape[1], dtype=labels.dtype, device=str(labels.device))
    return with_parts(replace(problem, constraint=orthant), penalty=penalty, constraint=constraint)


@without_gradients
def huber(
    X: Matrix,
    y: Numbers,
    delta: float,
    *,
    l2: float = 0.0,
    reduction: str = "mean",
    penalty: Penalty | None = None,
    constraint: Within = None,
) -> Problem:
    r"""Robust regression: residuals beyond ``delta`` count by their size, no longer by their square.

    .. math:: \min_w \frac1n \sum_i h_\delta(\langle x_i, w \rangle - y_i) + \tfrac{\lambda_2}{2} \|w\|^2, \qquad
        h_\delta(r) = \begin{cases} \tfrac12 r^2 & |r| \le \delta \\ \delta (|r| - \tfrac12 \delta) & |r| > \delta
        \end{cases}

    The loss is ``torch.nn.functional.huber_loss``; ``cvxpy.huber(r, delta)`` is twice it. scikit-learn's
    ``HuberRegressor(epsilon)`` is another problem: it estimates a scale of the residuals, and epsilon counts in it.

    Args:
        X: The design [n, p]: its float32 or float64 is the problem's dtype, anything else becomes float64. Held as it
            is, so do not write to it afterwards.
        y: One number for each row [n].
        delta: :math:`\delta > 0`, in the units of y.
        l2: :math:`\lambda_2`, at least 0; never averaged.
        reduction: ``"mean"`` or ``"sum"`` of the losses.
        penalty: A further term, such as ``ow.penalties.L2Norm(0.1)``, its weight inside; never averaged.
        constraint: A set, such as ``ow.sets.Simplex()``, or bounds ``(low, high)``.

    Raises:
        BadProblem: Shapes that disagree, numbers that are complex, not finite or none, ``delta`` not above 0, a
            negative weight, an unknown reduction.

    Example:
        >>> problem = huber([[1.0], [1.0]], [0.5, 3.0], delta=1.0)
        >>> float(problem.smooth.value(problem.start(0)[0]["w"]))
        1.3125

    References:
        Huber (1964), Robust estimation of a location parameter.
    """
    design, labels = read_examples(X, y)
    loss, l2 = HuberLoss(positive(delta, "delta")), nonnegative(l2, "l2")
    return with_parts(
        of_linear_model("huber", design, labels, loss, reduction=reduction, l2=l2),
        penalty=penalty,
        constraint=constraint,
    )
