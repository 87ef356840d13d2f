"""What theory takes from a Problem and a Method: the quadratic, its batches, its curvatures, the schedule's factors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from optwise.core.counts import listed, real_number, real_numbers
from optwise.core.errors import BadMethod, BadProblem, BadProtocol
from optwise.core.layout import Layout
from optwise.core.method import Method
from optwise.core.problem import Problem
from optwise.core.quadratic import Noise, Quadratic
from optwise.core.sampler import Full, Shuffled, WithReplacement
from optwise.core.showing import brief
from optwise.theory.matrices import Floats
from optwise.theory.moments import Nodes
from optwise.theory.spectrum import Measure, measure, sums

UNITS = (1e-100, 1e100)
"""Between which the largest curvature must lie where squares of curvatures and of step sizes are computed with."""

FINITE = (Noise.POPULATION, Noise.ROWS)
"""Noise of batches that come from a data set."""


def quadratic_of(problem: Problem) -> Quadratic:
    """The quadratic that the problem declares.

    Raises:
        BadProblem: It declares none, with what would make it one; it has a penalty or a set besides.
    """
    if not isinstance(problem, Problem):
        raise BadProblem(f"{brief(problem)} is no problem; give one, as ow.problems.nqm(d=100).")
    if problem.penalty is not None or problem.constraint is not None:
        raise BadProblem(
            f"{problem.name} has a {'set' if problem.penalty is None else 'penalty'} besides its quadratic, and what "
            "that does to a run cannot be predicted; take it away, or run the method with compare."
        )
    if problem.quadratic is None:
        raise BadProblem(
            f"{problem.name} is no quadratic with known noise, so nothing can be predicted; model it by its "
            "curvatures, ow.problems.nqm(h, c), h being the Hessian's eigenvalues and c the gradient variances along "
            "them, or use mean_estimation or least_squares_sgd."
        )
    if problem.quadratic.noise is Noise.DESIGN:
        refuse_far_units(problem.name, problem.quadratic)
    return problem.quadratic


def refuse_far_units(name: str, quadratic: Quadratic) -> None:
    """Refuse curvatures whose squares, or those of step sizes for them, are beyond the numbers there are.

    Args:
        name: Of the problem.
        quadratic: With its curvatures.

    Raises:
        BadProblem: With the largest curvature.
    """
    largest, (low, high) = float(quadratic.h.max(initial=0.0)), UNITS
    if largest and not low <= largest <= high:
        raise BadProblem(
            f"The largest curvature of {name} is {largest:g}, whose squares and those of its step sizes are beyond the "
            f"numbers there are; measure the parameters in other units, so that it lies between {low:g} and {high:g}."
        )


def batch_of(problem: Problem, asked: float | None) -> float:
    """The batch size that is asked for, or else the problem's own.

    Raises:
        BadProtocol: No number; below 1; not whole or more than the data hold, where they are drawn without replacement.
    """
    size = problem.batch_size if asked is None else real_number(asked, "Batch size", "give one number of at least 1")
    if not 1 <= size < np.inf:
        raise BadProtocol(f"Batch size {size:g} draws nothing that can be counted; give a number of at least 1.")
    quadratic = quadratic_of(problem)
    whole = size == int(size) and size <= quadratic.examples
    if quadratic.noise in FINITE and isinstance(problem.sampler, Shuffled) and not whole:
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
    if quadratic.noise not in FINITE:
        return False
    if isinstance(problem.sampler, Shuffled | Full):
        return True
    if not isinstance(problem.sampler, WithReplacement):
        raise BadProblem(
            f"{problem.name} is sampled by {type(problem.sampler).__name__}, whose noise depends on the parameters in "
            "a way that is not modelled; use Shuffled, WithReplacement or Full."
        )
    return False


def as_drawn(problem: Problem, batch: float) -> Problem:
    """The problem, or one without noise where each batch is the whole data set, drawn without replacement."""
    quadratic = quadratic_of(problem)
    if not drawn_once(problem) or batch < quadratic.examples:
        return problem
    still = replace(
        quadratic, c=np.zeros_like(quadratic.c), noise=Noise.ADDITIVE, examples=0, rows=None, residuals=None
    )
    return replace(problem, quadratic=still)


def refuse_shuffled_rows(problem: Problem) -> None:
    """Refuse rows of a data set drawn without replacement, where a factor per step is asked for.

    Raises:
        BadProblem: With what to do.
    """
    if quadratic_of(problem).noise is Noise.ROWS and drawn_once(problem):
        raise BadProblem(
            f"{problem.name} draws its rows without replacement, and no factor per step is known for their products; "
            "draw with replacement, take the whole data set as a batch, or read the risk of a forecast."
        )


def offset_of(problem: Problem) -> Floats:
    """Mean of the start's distance to the optimum [d]; 0 where starts are drawn around it.

    Raises:
        BadProblem: The problem starts somewhere else than its quadratic says.
    """
    quadratic = quadratic_of(problem)
    if not quadratic.fixed_start:
        return np.zeros(quadratic.dimension)
    leaves, _ = problem.start(0)
    offset = Layout.of(leaves).pack(leaves).detach().to("cpu", torch.float64).numpy() - quadratic.center
    # as exact as numbers of half the precision are
    if offset.shape != quadratic.start.shape or not np.allclose(
        offset**2, quadratic.start, rtol=1e-3, atol=1e-6 * float(np.max(quadratic.center**2, initial=0.0))
    ):
        raise BadProblem(
            f"{problem.name} does not start where its quadratic says, which has `start` as the squared distance of the "
            "start to `center`; make the two agree."
        )
    return np.copysign(np.sqrt(quadratic.start), offset)


def nodes_of(quadratic: Quadratic, offset: Floats | None = None) -> Nodes:
    """Every curvature above 0 that carries weight, equal ones merged, for the bias and for the noise.

    Args:
        quadratic: With its curvatures.
        offset: Mean of the start's distance to the optimum [d], as :func:`offset_of` has it; ``None`` for 0.
    """
    half, mean = 0.5 * quadratic.h, np.zeros(quadratic.dimension) if offset is None else offset
    center = quadratic.center
    for name, own in (("c", quadratic.c), ("the square of the start's distance", quadratic.start)):
        _refuse_overflow(half, own, name)
    _refuse_overflow(half, center, "the square of the optimum", squared=True)
    noise = measure(quadratic.h, half * quadratic.c)
    plain = measure(quadratic.h, half * quadratic.start)
    kept = (quadratic.h > 0) & (center != 0)
    if not kept.any():
        return Nodes(plain, noise)
    h, places = np.unique(quadratic.h[kept], return_inverse=True)
    own, far = half[kept], center[kept]
    squares, products = sums(places, own * far**2, h.size), sums(places, own * far * mean[kept], h.size)
    lean = np.divide(products, squares, out=np.zeros_like(products), where=squares > 0)
    # what a multiple of the center leaves of the start in each direction, and all of it where there is no center
    spread = np.maximum(quadratic.start - mean**2, 0.0)
    left = mean.copy()
    left[kept] -= lean[places] * far
    # rounding of what is nothing
    left[np.abs(left) <= 1e-14 * np.abs(mean)] = 0.0
    rest = measure(quadratic.h, half * (left**2 + spread))
    along, away = np.stack([lean, np.ones(h.size)]), np.stack([np.ones(rest.size), np.zeros(rest.size)])
    both = Measure(np.concatenate([h, rest.h]), np.concatenate([squares, rest.weights]))
    return Nodes(both, noise, np.concatenate([along, away], axis=1), plain)


def _refuse_overflow(half: Floats, own: Floats, name: str, *, squared: bool = False) -> None:
    """Refuse a quadratic whose objective, or what noise adds to it, is beyond the numbers there are."""
    with np.errstate(over="ignore"):
        lost = np.flatnonzero(~np.isfinite(half * own * (own if squared else 1.0)))
    if lost.size:
        i = int(lost[0])
        raise BadProblem(
            f"Half of h times {name} is beyond the largest number, about 1.8e308, in coordinate {i}, where h is "
            f"{2 * half[i]:g}; measure the objective or the parameters in other units."
        )


def factors_of(method: Method, steps: int) -> Floats | None:
    """The schedule's factors [steps]; ``None`` where they are all 1."""
    if method.schedule is None:
        return None
    factors = np.asarray(method.schedule.factors(steps), dtype=np.float64)
    wrong = np.flatnonzero(~np.isfinite(factors) | (factors < 0))
    if wrong.size:
        k = int(wrong[0])
        raise BadMethod(
            f"The schedule {type(method.schedule).__name__} of {method.label} gives {factors[k]:g} at step {k}; a "
            "factor on the learning rate must be a finite number, at least 0."
        )
    return None if np.all(factors == 1.0) else factors


def batches_of(problem: Problem, asked: Sequence[float] | Floats) -> Floats:
    """Several batch sizes, each one that the problem has [B].

    Raises:
        BadProtocol: As :func:`batch_of`; no list, or an empty one.
    """
    sizes = real_numbers(asked, "Batch sizes", "give a list of numbers of at least 1, as [1, 8, 64]")
    if not sizes.size:
        raise BadProtocol("The list of batch sizes is empty; give at least one batch size, as [1, 8, 64].")
    return np.array([batch_of(problem, float(size)) for size in sizes])


def opened(method: Method | type[Method]) -> Method:
    """A method whose fields may be open; a class stands for that with its shipped numbers.

    Raises:
        BadMethod: What is no method.
    """
    found = method() if isinstance(method, type) and issubclass(method, Method) else method
    if not isinstance(found, Method):
        raise BadMethod(f"{brief(method)} is no method; give one, as ow.SGD(lr=0.1).")
    return found


def all_closed(methods: Sequence[Method]) -> list[Method]:
    """Settings of one rule, each closed.

    Raises:
        BadProtocol: No list, or an empty one.
        BadMethod: Something is still open.
    """
    each = [closed(method) for method in listed(methods, "Settings", "give a list of methods, as [ow.SGD(lr=0.1)]")]
    if not each:
        raise BadProtocol("No setting was given; give at least one closed method, as [ow.SGD(lr=0.1)].")
    return each


def closed(method: Method | type) -> Method:
    """A method with every field closed; a class is refused with what to do.

    Raises:
        BadMethod: Something is still open; what is no method.
    """
    if isinstance(method, type):
        raise BadMethod(f"{method.__name__} is a class; give it its numbers, as in {method.__name__}(lr=0.1).")
    found = opened(method)
    found.require_closed()
    return found
