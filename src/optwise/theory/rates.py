"""How fast constant steps go where they go: the factor per step in each direction, and of the risk."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from optwise.core.errors import BadMethod
from optwise.core.method import Method
from optwise.core.problem import Problem
from optwise.theory.matrices import Floats
from optwise.theory.models import all_closed, as_drawn, batch_of, closed, quadratic_of, refuse_shuffled_rows
from optwise.theory.outlooks import outlook
from optwise.theory.roots import roots_of
from optwise.theory.settled_steps import constant_step, few_at_once
from optwise.theory.whole_runs import hold_in_a_run


def rates(problem: Problem, method: Method) -> Floats | None:
    r"""Asymptotic factor per step on the error of each coordinate with curvature: the spectral radius of A(h).

    .. math:: \rho(A(h_i)), \qquad A(h) = M + h v e_1^\top

    The error is the distance of a coordinate's mean to where it settles: the optimum, unless weight decay pulls
    elsewhere. The risk falls with the square, where noise does not multiply. Above 1 the coordinate diverges, and 1 is
    the edge. Coordinates without curvature, which no gradient moves, are left out.

    Returns:
        One number per coordinate with h above 0; ``None`` where the step keeps changing.

    Raises:
        BadProblem: Rows of a data set that are drawn without replacement, whose products have no factor per step.

    Example:
        >>> from optwise.problems import nqm
        >>> from optwise.methods import SGD
        >>> rates(nqm(h=[1.0, 0.1]), SGD(lr=0.5)).round(12)
        array([0.5 , 0.95])
    """
    found = rates_of_each(problem, [method])
    return None if found is None else found[0]


def rates_of_each(problem: Problem, methods: Sequence[Method]) -> Floats | None:
    """The :func:`rates` of T settings of one linear rule [T, coordinates with h above 0].

    Example:
        >>> from optwise.problems import nqm
        >>> from optwise.methods import SGD
        >>> rates_of_each(nqm(h=[1.0, 0.1]), [SGD(lr=0.5), SGD(lr=3.0)]).round(12)
        array([[0.5 , 0.95],
               [2.  , 0.7 ]])
    """
    quadratic, methods = quadratic_of(problem), all_closed(methods)
    refuse_shuffled_rows(problem)
    hold_in_a_run(methods, quadratic)
    h, places = np.unique(quadratic.h[quadratic.h > 0], return_inverse=True)
    parts = []
    for few in few_at_once(methods, h.size):
        step = constant_step(few, h)
        if step is None:
            return None
        parts.append(roots_of(step, h).radius[:, places])
    return np.concatenate(parts)


def rate(problem: Problem, method: Method, batch_size: float | None = None) -> float:
    r"""Asymptotic factor per step in the slowest direction; above 1 the method diverges, and 1 is the edge.

    Where noise is additive it is the factor on the error, the largest of :func:`rates`, and the risk falls with its
    square. Where noise multiplies, as on ``least_squares_sgd``, it is the factor on the risk's distance to its floor:
    the largest root of the second moments, which depends on the batch size, or the factor on the mean where second
    moments hang on it, as on rows whose labels no weights fit, and where weight decay pulls from the optimum.

    Args:
        problem: One that declares its quadratic.
        method: A closed linear rule.
        batch_size: B, which matters where noise multiplies; ``None`` takes the problem's own.

    Raises:
        BadMethod: The step keeps changing (a schedule, Polyak's average), so that there is no one factor.
        BadProblem: Rows of a data set that are drawn without replacement, in batches of less than all.

    Example:
        >>> from optwise.problems import least_squares_sgd, nqm
        >>> from optwise.methods import SGD, Momentum
        >>> round(rate(nqm(h=[1.0, 0.1]), Momentum(lr=0.5, momentum=0.9)), 12) == round(0.9**0.5, 12)
        True
        >>> round(rate(least_squares_sgd(h=[1.0]), SGD(lr=0.5), batch_size=1), 12)  # (1 - lr)^2 + 2 lr^2
        0.75
    """
    batch = batch_of(problem, batch_size)
    problem = as_drawn(problem, batch)
    refuse_shuffled_rows(problem)
    found = outlook(problem, closed(method), batch)
    if found is None:
        raise BadMethod(
            f"{method.label} changes its step as it goes, so there is no one rate; read the risk of a forecast instead."
        )
    return found.rate
