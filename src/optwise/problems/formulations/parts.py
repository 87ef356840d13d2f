"""A penalty and a set of the caller's, put beside what a formulation has of its own."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeAlias

import torch
from torch import Tensor

from optwise.core.casting import ours
from optwise.core.constraint import ConstraintSet
from optwise.core.errors import BadProblem
from optwise.core.oracles import Oracle
from optwise.core.penalty import Penalty
from optwise.core.problem import Problem
from optwise.core.showing import brief
from optwise.problems.formulations.assembling import start_at
from optwise.problems.formulations.bounds import looks_like_bounds, read_bounds
from optwise.problems.formulations.reading import in_words
from optwise.problems.gradients import part_without_gradients
from optwise.problems.terms.penalties.adding import added
from optwise.problems.terms.penalties.l1 import L1, NonnegativeL1
from optwise.problems.terms.sets import Box, Budget, CappedSimplex, LInfBall, Nonnegative, Simplex
from optwise.problems.terms.stacking import Identity, PenaltySum, Stacked

Within: TypeAlias = Any
"""A ``ConstraintSet``, or bounds: ``(low, high)``, a pair for each coordinate, ``scipy.optimize.Bounds``."""


def with_parts(problem: Problem, *, penalty: Penalty | None = None, constraint: Within = None) -> Problem:
    """The problem with a further term and a set, its start moved into the set.

    A sum of two penalties becomes one where weights add up. Others stand one below the other behind an operator that
    repeats w, which the methods for a penalty behind a matrix solve.

    Args:
        problem: With one leaf, from one start for all seeds.
        penalty: The caller's g.
        constraint: The caller's C, or bounds.

    Raises:
        BadProblem: Something that is no penalty or no set, one of another dimension, or two sets at once.
    """
    if penalty is None and constraint is None:
        return problem
    w0 = problem.start(0)[0]["w"]
    row = w0.reshape(-1)
    if penalty is not None:
        problem = _beside(problem, read_penalty(penalty, row, problem.name, w0.shape), row)
    if constraint is not None:
        given = read_constraint(constraint, row, problem.name, w0.shape)
        apart = _orthant_apart(problem, row)
        problem = _narrowed(apart, given, "" if apart is problem else ", that of its NonnegativeL1,")
    elif problem.constraint is not None:
        problem = _orthant_apart(problem, row)
    problem = _orthant_inside(problem)
    within = problem.constraint
    return problem if within is None else replace(problem, start=start_at(within.project(row).reshape(w0.shape)))


def read_penalty(
    penalty: Any, row: Tensor, owner: str, shape: torch.Size | None = None, name: str = "penalty"
) -> Penalty:
    """A penalty that takes vectors like ``row``, in their dtype.

    Args:
        penalty: The caller's.
        row: A point [p].
        owner: Name of the problem.
        shape: Of the answer, where that is no vector.
        name: What the caller calls it.
    """
    if isinstance(penalty, type) and issubclass(penalty, Penalty):
        raise BadProblem(f"{name} is the class {penalty.__name__}; make one, as in ow.penalties.L1(0.1).")
    if isinstance(penalty, ConstraintSet):
        raise BadProblem(
            f"{name} is the set {type(penalty).__name__}; give it as constraint={type(penalty).__name__}(...)."
        )
    if not isinstance(penalty, Penalty):
        raise BadProblem(f"{name} is of type {type(penalty).__name__}; give a Penalty, such as ow.penalties.L1(0.1).")
    _refuse_other_dimension(penalty.dimension, penalty, row, owner, shape)
    moved: Penalty = part_without_gradients(penalty, name).to(dtype=row.dtype, device=str(row.device))
    value = _asked(moved.value, row, f"The value of {type(penalty).__name__}")
    if value.ndim > 0:
        raise BadProblem(
            f"{type(penalty).__name__} gives shape {tuple(value.shape)} for one point; let its value be one number."
        )
    if Oracle.PROX in moved.oracles and not ours(moved):
        mapped = _asked(lambda v: moved.prox(v, 1.0), row.clone(), f"The prox of {type(penalty).__name__}")
        if mapped.shape != row.shape or mapped.dtype != row.dtype:
            given, got = (f"{str(v.dtype).removeprefix('torch.')} of shape {tuple(v.shape)}" for v in (row, mapped))
            raise BadProblem(
                f"The prox of {type(penalty).__name__} gives {got} for {given}; return a tensor like the one it gets."
            )
    return moved


def read_constraint(constraint: Any, row: Tensor, owner: str, shape: torch.Size | None = None) -> ConstraintSet:
    """A set of vectors like ``row``, in their dtype; bounds become a box."""
    if isinstance(constraint, type) and issubclass(constraint, ConstraintSet):
        raise BadProblem(f"constraint is the class {constraint.__name__}; make one, as in ow.sets.Simplex().")
    if isinstance(constraint, Penalty):
        kind = type(constraint).__name__
        raise BadProblem(f"constraint is the penalty {kind}; give it as penalty={kind}(...).")
    if looks_like_bounds(constraint):
        return read_bounds(constraint, row, name="constraint")
    if not isinstance(constraint, ConstraintSet):
        raise BadProblem(
            f"constraint is {brief(constraint)}; give a set such as ow.sets.Simplex(), or bounds (low, high)."
        )
    _refuse_other_dimension(constraint.dimension, constraint, row, owner, shape)
    whole = part_without_gradients(constraint, "constraint").sized(row.numel())
    moved = whole.to(dtype=row.dtype, device=str(row.device))
    nearest = _asked(moved.project, row, f"The projection onto {type(constraint).__name__}")
    if nearest.shape != row.shape:
        raise BadProblem(
            f"{type(constraint).__name__} holds points of shape {tuple(nearest.shape)} and {owner} has {row.numel()} "
            "parameters; give a set of as many."
        )
    return moved


def _refuse_other_dimension(
    dimension: int | None, part: object, row: Tensor, owner: str, shape: torch.Size | None
) -> None:
    if dimension is not None and dimension != row.numel():
        matrix = f" ({' x '.join(map(str, shape))}, row by row)" if shape is not None and len(shape) > 1 else ""
        raise BadProblem(
            f"{type(part).__name__} takes {dimension} numbers and {owner} has {row.numel()} parameters{matrix}; make "
            "them equal."
        )


def _asked(question: Callable[[Tensor], Tensor], row: Tensor, name: str) -> Tensor:
    try:
        found = question(row)
    except Exception as error:
        raise BadProblem(f"{name} fails at a point of {row.numel()} numbers: {in_words(error)}") from error
    if not isinstance(found, Tensor):
        raise BadProblem(f"{name} is of type {type(found).__name__}; return a tensor, computed with torch.")
    return found


def _beside(problem: Problem, penalty: Penalty, row: Tensor) -> Problem:
    """The problem with a further penalty of w itself."""
    own, operator = problem.penalty, problem.operator
    if own is None:
        return replace(problem, penalty=penalty)
    together = added(own, penalty) if operator is None else None
    if together is not None:
        return replace(problem, penalty=together.to(dtype=row.dtype, device=str(row.device)))
    # a penalty that is infinite somewhere keeps methods out that take it as a finite one over a set
    given = _orthant_apart(replace(problem, penalty=penalty, operator=None), row)
    split = _orthant_apart(replace(problem, constraint=given.constraint), row)
    assert split.penalty is not None
    assert given.penalty is not None
    first = Identity(row.numel()) if operator is None else operator
    return replace(
        split,
        penalty=PenaltySum((split.penalty, given.penalty), (first.shape[0], row.numel())),
        operator=Stacked((first, Identity(row.numel()))),
    )


def _orthant_apart(problem: Problem, row: Tensor) -> Problem:
    """A nonnegative l1 norm as the norm and the set that it is made of."""
    penalty = problem.penalty
    if not isinstance(penalty, NonnegativeL1) or problem.operator is not None:
        return problem
    orthant = Nonnegative(row.numel(), dtype=row.dtype, device=str(row.device))
    return _narrowed(replace(problem, penalty=L1(penalty.weight)), orthant)


def _orthant_inside(problem: Problem) -> Problem:
    """The reverse, where nothing else is in the way: the norm and the set have one proximal map."""
    if isinstance(problem.penalty, L1) and isinstance(problem.constraint, Nonnegative) and problem.operator is None:
        return replace(problem, penalty=NonnegativeL1(problem.penalty.weight), constraint=None)
    return problem


def _narrowed(problem: Problem, given: ConstraintSet, whose: str = "") -> Problem:
    """The problem over that part of its own set which lies in another as well.

    Args:
        problem: With a set or without.
        given: The other.
        whose: Where its own comes from, for a sentence.
    """
    own = problem.constraint
    common = given if own is None else _common(own, given)
    if common is None:
        raise BadProblem(
            f"{problem.name} has the set {type(own).__name__} already{whose or ','} and the projection onto what it "
            f"has in common with {type(given).__name__} is not known; keep one of the two."
        )
    return replace(problem, constraint=common)


def _common(one: ConstraintSet, other: ConstraintSet) -> ConstraintSet | None:
    """The intersection, where it is a set of ours."""
    return _within_bounds(one, other) or _within_bounds(other, one)


def _within_bounds(one: ConstraintSet, other: ConstraintSet) -> ConstraintSet | None:
    """The intersection with a set that has bounds."""
    if isinstance(one, Nonnegative) and isinstance(other, Nonnegative | Simplex | CappedSimplex):
        return other  # it has no negative entry anyway
    if isinstance(other, Nonnegative) and isinstance(one, Simplex | CappedSimplex):
        return one
    if Oracle.BOUNDS in one.oracles:
        low, high = one.bounds()
        if Oracle.BOUNDS in other.oracles:
            lower, higher = other.bounds()
            return Box(torch.maximum(low, lower), torch.minimum(high, higher))
        if isinstance(other, LInfBall):
            return Box(low.clamp(min=-other.radius), high.clamp(max=other.radius))
        if isinstance(other, Budget):
            return Budget(other.a, other.b, torch.maximum(low, other.low), torch.minimum(high, other.high))
        if isinstance(other, Simplex | CappedSimplex):
            cap = other.cap if isinstance(other, CappedSimplex) else math.inf
            return Budget(torch.ones_like(low), other.total, low.clamp(min=0), high.clamp(max=cap))
    return None
