"""What theory takes from a Problem and a Method: the quadratic, its batches, its curvatures, the schedule's factors."""

from __future__ import annotations

import numpy as np

from optwise.core.errors import BadMethod, BadProblem, BadProtocol
from optwise.core.method import Method
from optwise.core.problem import Problem
from optwise.core.quadratic import Noise, Quadratic
from optwise.core.sampler import Full, Shuffled, WithReplacement
from optwise.theory.matrices import Floats
from optwise.theory.moments import Nodes
from optwise.theory.spectrum import Measure, measure, sums


def quadratic_of(problem: Problem) -> Quadratic:
    """The quadratic that the problem declares.

    Raises:
        BadProblem: It declares none, with what would make it one.
    """
    if problem.quadratic is None:
        raise BadProblem(
            f"{problem.name} is no quadratic with known noise, so nothing can be predicted; model it by its "
            "curvatures, ow.problems.nqm(h, c), h being the Hessian's eigenvalues and c the gradient variances along "
            "them, or use mean_estimation or least_squares_sgd."
        )
    return problem.quadratic


def batch_of(problem: Problem, asked: float | None) -> float:
    """The batch size that is asked for, or else the problem's own.

    Raises:
        BadProtocol: Below 1; not whole or more than the data hold, where they are drawn without replacement.
    """
    size = problem.batch_size if asked is None else asked
    if not 1 <= size < np.inf:
        raise BadProtocol(f"Batch size {size:g} draws nothing that can be counted; give a number of at least 1.")
    quadratic = quadratic_of(problem)
    whole = size == int(size) and size <= quadratic.examples
    if quadratic.noise is Noise.POPULATION and isinstance(problem.sampler, Shuffled) and not whole:
        raise BadProtocol(
            f"Batch size {size:g} is no share of the {quadratic.examples} examples of {problem.name}, which are drawn "
            "without replacement; give a whole number of at most that."
        )
    return float(size)


def drawn_once(problem: Problem) -> bool:
    """Whether batches come from a data set without replacement, so that their noise is not independent.

    Raises:
        BadProblem: The sampler's noise is not known.
    """
    quadratic = quadratic_of(problem)
    if quadratic.noise is not Noise.POPULATION:
        return False
    if isinstance(problem.sampler, Shuffled | Full):
        return True
    if not isinstance(problem.sampler, WithReplacement):
        raise BadProblem(
            f"{problem.name} is sampled by {type(problem.sampler).__name__}, whose noise depends on the parameters in "
            "a way that is not modelled; use Shuffled, WithReplacement or Full."
        )
    return False


def nodes_of(quadratic: Quadratic) -> Nodes:
    """Every curvature above 0, equal ones merged, the same list for the bias and for the noise."""
    bias, noise = 0.5 * quadratic.h * quadratic.start, 0.5 * quadratic.h * quadratic.c
    both = measure(quadratic.h, bias + noise)
    kept = (quadratic.h > 0) & (bias + noise > 0)
    places = np.searchsorted(both.h, quadratic.h[kept])
    own, noisy = (Measure(both.h, sums(places, part[kept], both.size)) for part in (bias, noise))
    return Nodes(own, noisy)


def factors_of(method: Method, steps: int) -> Floats | None:
    """The schedule's factors [steps]; ``None`` where they are all 1."""
    if method.schedule is None:
        return None
    factors = method.schedule.factors(steps)
    return None if np.all(factors == 1.0) else factors


def closed(method: Method | type) -> Method:
    """A method with every field closed; a class is refused with what to do.

    Raises:
        BadMethod: Something is still open.
    """
    if isinstance(method, type):
        raise BadMethod(f"{method.__name__} is a class; give it its numbers, as in {method.__name__}(lr=0.1).")
    method.require_closed()
    return method
