"""The floor under the risk that constant steps end at: what noise, and a pull elsewhere, hold it up at."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from optwise.core.method import Method
from optwise.core.problem import Problem
from optwise.core.quadratic import Noise
from optwise.theory.coordinates import Coordinates
from optwise.theory.limits import limits
from optwise.theory.matrices import Floats
from optwise.theory.models import all_closed, as_drawn, batch_of, batches_of, drawn_once, offset_of, quadratic_of
from optwise.theory.outlooks import design_floors, outlook
from optwise.theory.row_limits import noise_of
from optwise.theory.settled_steps import few_at_once, settled
from optwise.theory.whole_runs import hold_in_a_run


def floor(problem: Problem, method: Method, batch_size: float | None = None) -> float | None:
    r"""Limit of the expected risk under constant hyperparameters: what noise, and a pull elsewhere, hold it up at.

    .. math:: \tfrac12 \sum_i h_i \, \bigl( u^\top P_i u + (\langle u, e_i \rangle + \langle u, \zeta \rangle - 1)^2
        w_i^{\star 2} \bigr), \qquad P_i = A(h_i) P_i A(h_i)^\top + \tfrac{c_i}{B} v v^\top, \qquad
        e_i = A(h_i) e_i + M \zeta - \zeta

    The second part is there where the rule is pulled elsewhere than to the optimum, as by weight decay: the squared
    distance at which its mean comes to rest. At the edge of stability, without noise, it is what is left of the start.

    Args:
        problem: One that declares its quadratic.
        method: A closed linear rule.
        batch_size: B; ``None`` takes the problem's own.

    Returns:
        Infinity where the risk grows without end; ``None`` where the step keeps changing, batches of less than the
        data set are drawn without replacement, or the risk goes up and down for ever.

    Example:
        >>> from optwise.problems import nqm
        >>> from optwise.methods import SGD
        >>> round(floor(nqm(h=[1.0]), SGD(lr=0.1), batch_size=1), 9)  # lr c / (2 (2 - lr h))
        0.026315789
        >>> pulled = nqm(h=[1.0], c=[0.0], w_star=[3.0])
        >>> round(floor(pulled, SGD(lr=0.1, weight_decay=0.5)), 9)  # it rests 3 / 1.5 from 0, at (3 - 2)^2 / 2
        0.5
    """
    batch = batch_of(problem, batch_size)
    found = floors(as_drawn(problem, batch), [method], [batch])
    return None if found is None or np.isnan(found[0, 0]) else float(found[0, 0])


def floors(problem: Problem, methods: Sequence[Method], batch_sizes: Sequence[float]) -> Floats | None:
    """The :func:`floor` of T settings of one linear rule at each batch size [T, B].

    Args:
        problem: One that declares its quadratic.
        methods: T closed settings.
        batch_sizes: B of them, at least 1 each.

    Returns:
        Infinity where the risk grows without end, not a number where it goes up and down for ever; ``None`` where the
        step keeps changing, or batches of less than the data set are drawn without replacement.

    Example:
        >>> from optwise.problems import nqm
        >>> from optwise.methods import SGD
        >>> floors(nqm(h=[1.0]), [SGD(lr=0.1), SGD(lr=1.0), SGD(lr=2.0)], [1, 4]).round(5)
        array([[0.02632, 0.00658],
               [0.5    , 0.125  ],
               [    inf,     inf]])
    """
    quadratic, sizes, methods = quadratic_of(problem), batches_of(problem, batch_sizes), all_closed(methods)
    hold_in_a_run(methods, quadratic)
    if drawn_once(problem):
        whole = [as_drawn(problem, float(size)) for size in sizes]
        if any(drawn_once(each) for each in whole):
            return None
        return floors(whole[0], methods, sizes.tolist())
    if quadratic.noise is Noise.ROWS:
        noise = noise_of(problem.name, quadratic, len(methods) * sizes.size) if np.any(quadratic.h) else None
        found = [
            [outlook(problem, method, float(size), checked=True, noise=noise) for size in sizes] for method in methods
        ]
        if any(own is None for row in found for own in row):
            return None
        return np.array([[np.nan if own is None or own.floor is None else own.floor for own in row] for row in found])
    at = Coordinates.of(quadratic, offset_of(problem))
    parts = []
    for few in few_at_once(methods, at.h.size):
        constant = settled(few, at.h)
        if constant is None:
            return None
        step, start = constant
        if quadratic.noise is Noise.DESIGN:
            parts.append(np.stack([design_floors(step, start, at, float(size)) for size in sizes], axis=1))
        else:
            parts.append(limits(step, start, at).floors(sizes))
    return np.concatenate(parts)
