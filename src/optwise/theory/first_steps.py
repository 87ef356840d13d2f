"""The first step of each setting whose expected risk meets a target, whatever kind the noise is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from optwise.core.errors import BadProtocol
from optwise.core.method import Method
from optwise.core.problem import Problem
from optwise.theory.forecasting import forecast
from optwise.theory.matrices import Floats
from optwise.theory.models import (
    all_closed,
    batches_of,
    drawn_once,
    factors_of,
    nodes_of,
    offset_of,
    quadratic_of,
)
from optwise.theory.moments import Nodes
from optwise.theory.row_noise import MOST_OPERATIONS
from optwise.theory.searches import Asked, Found, searched
from optwise.theory.side_by_side import Side
from optwise.theory.whole_runs import hold_in_a_run

FIRST, LONGER = 128, 8
"""Steps of the first forecast of a setting that is followed by itself, and how many times longer the next one is."""

OVERHEAD = 2.0**18
"""Rows times squared dimension whose step takes as long as what a forecast does besides in each step."""


def found_steps(problem: Problem, methods: Sequence[Method], asked: Asked) -> Found:
    """First steps, and the bound on what compressing the spectrum missed.

    Raises:
        CallerError: As :func:`optwise.theory.steps_to`.
    """
    methods, sizes = checked(problem, methods, asked)
    asked = Asked(asked.target, sizes, asked.most)
    if additive(problem):
        return searched(methods, nodes_of(quadratic_of(problem), offset_of(problem)), asked)
    if not drawn_once(problem) and (side := Side.of(problem, methods, asked.most)) is not None:
        return Found(_side_by_side(problem, methods, side, asked))
    return Found(_one_by_one(problem, methods, asked))


def checked(problem: Problem, methods: Sequence[Method], asked: Asked) -> tuple[list[Method], Floats]:
    """Closed linear methods and batch sizes that the problem has; a target and steps that mean something."""
    quadratic, closed_ones, sizes = quadratic_of(problem), all_closed(methods), batches_of(problem, asked.sizes)
    if not asked.target > 0:
        raise BadProtocol(f"A risk of {asked.target:g} is never met; give a target above the optimum, as in 0.01.")
    hold_in_a_run(closed_ones, quadratic)
    return closed_ones, sizes


def additive(problem: Problem) -> bool:
    """Whether noise adds to the risk in inverse proportion to the batch size."""
    return not quadratic_of(problem).noise.multiplies and not drawn_once(problem)


def noiseless_steps(problem: Problem, methods: Sequence[Method], target: float, most: int) -> Floats:
    """First steps [T] of the settings without noise, which independent noise can only delay."""
    plain = nodes_of(quadratic_of(problem), offset_of(problem))
    nodes = Nodes(plain.bias, plain.noise.nothing(), plain.lean, plain.plain)
    return searched(methods, nodes, Asked(target, np.ones(1), most)).steps[:, 0]


def _side_by_side(problem: Problem, methods: Sequence[Method], side: Side, asked: Asked) -> Floats:
    """First steps [T, B], the largest batches first: what misses the target misses it with smaller ones, too."""
    noiseless = noiseless_steps(problem, methods, asked.target, asked.most)
    able = np.flatnonzero(np.isfinite(noiseless))
    question = f"Steps to the target of {len(methods)} settings at {asked.sizes.size} batch sizes"
    side.hold(float(noiseless[able].sum()), question)
    found = np.full((len(methods), asked.sizes.size), np.inf)
    for j in np.argsort(-asked.sizes):
        side.hold(float(noiseless[able].sum()), question)
        found[able, j] = side.first_hits(able, np.full(able.size, asked.sizes[j]), asked.target, asked.most)
        able = able[np.isfinite(found[able, j])]
    return found


def _one_by_one(problem: Problem, methods: Sequence[Method], asked: Asked) -> Floats:
    """First steps [T, B] of forecasts that grow until they meet the target or leave the numbers.

    Raises:
        BadProtocol: More work than about a minute's, counted in steps, rows and coordinates.
    """
    quadratic = quadratic_of(problem)
    each = (1 if quadratic.rows is None else len(quadratic.rows)) * quadratic.dimension**2 + OVERHEAD
    found, spent = np.full((len(methods), asked.sizes.size), np.inf), 0.0
    for i, method in enumerate(methods):
        # a schedule is that of the whole run
        steps = min(FIRST, asked.most) if factors_of(method, asked.most) is None else asked.most
        if found.size * steps * each > MOST_OPERATIONS:
            raise BadProtocol(
                f"{found.size} settings and batch sizes over {steps} steps and more on {problem.name} take more than a "
                "minute, each by itself; give fewer points, batch sizes or max_steps, or a smaller data set."
            )
        for j, size in enumerate(asked.sizes):
            length = steps
            while True:
                spent += length * each
                if spent > MOST_OPERATIONS:
                    raise BadProtocol(
                        f"{found.size} settings and batch sizes over up to {asked.most} steps on {problem.name} take "
                        f"more than a minute, {i} settings of {len(methods)} done; give fewer points, batch sizes or "
                        "max_steps, or a smaller data set."
                    )
                own = forecast(problem, method, length, size)
                hit = own.steps_to(asked.target)
                if hit is not None or length == asked.most or not np.isfinite(own.risk[-1]):
                    found[i, j] = np.inf if hit is None else hit
                    break
                length = min(LONGER * length, asked.most)
    return found
