"""Formulations put together from their terms: what all of them start from and how they are measured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from optwise.core.data import Data, Split
from optwise.core.layout import Leaves
from optwise.core.loss import LinearModel, Loss
from optwise.core.metric import Metric
from optwise.core.penalty import Penalty
from optwise.core.problem import Problem
from optwise.core.sampler import Full
from optwise.core.smooth import Smooth
from optwise.problems.formulations.reading import Design, scale_of
from optwise.problems.terms.linear_models import LinearModelTerm
from optwise.problems.terms.objectives import LinearModelObjective, term_objective
from optwise.problems.terms.penalties import L1


def of_linear_model(
    name: str, design: Design, y: Tensor, loss: Loss, *, reduction: str, l2: float = 0.0, penalty: Penalty | None = None
) -> Problem:
    """A loss of linear predictions plus a penalty, from zeros; over examples where the design is dense.

    Args:
        name: Of the problem.
        design: X [n, p].
        y: Labels [n].
        loss: Of one prediction and one label.
        reduction: Of the losses.
        l2: Inside the model.
        penalty: g.
    """
    n, p = design.shape
    scale = scale_of(reduction, n)
    term = LinearModelTerm(LinearModel(design.operator, y, loss, scale=scale, l2=l2))
    problem = of_term(name, term, torch.zeros(p, dtype=y.dtype, device=y.device), penalty=penalty)
    if design.entries is None:
        return problem
    return replace(
        problem,
        objective=LinearModelObjective(loss, factor=n * scale, l2=l2),
        data=Data(train=Split(design.entries, y)),
        metrics=(Metric("loss"),),
    )


def of_term(name: str, term: Smooth, w0: Tensor, *, penalty: Penalty | None = None) -> Problem:
    """A smooth term plus a penalty, without examples.

    Args:
        name: Of the problem.
        term: f, of the packed leaf ``w``.
        w0: The start, of the shape of the leaf.
        penalty: g.
    """
    return Problem(
        name=name,
        objective=term_objective(term),
        start=start_at(w0),
        sampler=Full(),
        penalty=penalty,
        smooth=term,
    )


def l1_penalty(weight: float) -> L1 | None:
    """The l1 norm; none for a weight of 0, so that methods for smooth problems remain open."""
    return L1(weight) if weight > 0 else None


def start_at(w0: Tensor) -> Callable[[int], tuple[Leaves, Leaves]]:
    """The same start for every seed, as the leaf ``w``."""

    def start(_seed: int) -> tuple[Leaves, Leaves]:
        return {"w": w0.clone()}, {}

    return start
