"""``predict`` as everybody calls it."""

from __future__ import annotations

from optwise.catalog.resolving import MethodAsked, ProblemAsked, resolve_method, resolve_problem
from optwise.core.budget import Budget
from optwise.core.run import Run
from optwise.public.documents import documented_as
from optwise.theory.batches_in_time import Batches
from optwise.verbs import predicting


@documented_as(predicting.predict)
def predict(
    problem: ProblemAsked,
    method: MethodAsked,
    budget: Budget | str | int = "1000steps",
    batch_size: Batches = None,
    *,
    evaluations: int = predicting.EVALUATIONS,
) -> Run:
    r"""Predict a run: the expected risk of a linear rule on a quadratic whose gradients are noisy."""
    return predicting.predict(
        resolve_problem(problem), resolve_method(method), budget, batch_size, evaluations=evaluations
    )
