"""Signals: denoising by total variation."""

from __future__ import annotations

from dataclasses import replace

from optwise.core.penalty import Penalty
from optwise.core.problem import Problem
from optwise.problems.formulations.assembling import of_term
from optwise.problems.formulations.parts import Within, with_parts
from optwise.problems.formulations.reading import Numbers, nonnegative, read_vector, scale_of
from optwise.problems.gradients import without_gradients
from optwise.problems.terms.functions import SquaredDistance
from optwise.problems.terms.operators import FirstDifference
from optwise.problems.terms.penalties import L1


@without_gradients
def total_variation(
    y: Numbers,
    weight: float,
    *,
    reduction: str = "mean",
    penalty: Penalty | None = None,
    constraint: Within = None,
) -> Problem:
    r"""A piecewise constant signal near a noisy one: the fused lasso of one chain.

    .. math:: \min_w \frac{1}{2p} \|w - y\|^2 + \lambda \sum_{i=1}^{p-1} |w_{i+1} - w_i|, \qquad
        \text{with reduction="sum": } \tfrac12 \|w - y\|^2 + \dots

    The penalty is the l1 norm behind the operator of first differences. With the sum, the objective in CVXPY is
    ``0.5 * sum_squares(w - y) + weight * tv(w)``.

    Args:
        y: The signal [p], at least 2 numbers; it is in its dtype that the problem will be.
        weight: :math:`\lambda`, at least 0; never averaged.
        reduction: ``"mean"`` or ``"sum"`` of the squared errors.
        penalty: A further term, such as ``ow.penalties.L2Norm(0.1)``, its weight inside; never averaged.
        constraint: A set, such as ``ow.sets.Simplex()``, or bounds ``(low, high)``.

    Raises:
        BadProblem: A signal of another shape, of complex or not finite numbers, a negative weight, an unknown
            reduction.

    Example:
        >>> problem = total_variation([0.0, 0.0, 6.0, 6.0], weight=2.0, reduction="sum")  # the answer is (1, 1, 5, 5)
        >>> problem.operator.shape, problem.penalty
        ((3, 4), L1(weight=2.0))

    References:
        Rudin, Osher and Fatemi (1992), Nonlinear total variation based noise removal algorithms; Condat (2013), A
        direct algorithm for 1-D total variation denoising.
    """
    signal = read_vector(y, "y")
    differences = FirstDifference(signal.numel(), dtype=signal.dtype, device=str(signal.device))
    f = SquaredDistance(signal, scale=scale_of(reduction, signal.numel()))
    jumps = L1(nonnegative(weight, "weight"))
    problem = of_term("total-variation", f, signal.new_zeros(signal.numel()), penalty=jumps)
    return with_parts(replace(problem, operator=differences), penalty=penalty, constraint=constraint)
