"""All check rules that a comparison is judged by: those of one method, and those across the methods of one problem."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from optwise.analyses.boundary_check import boundary
from optwise.analyses.curve_checks import late_variance, misses, overfitting, still_improving, target_hair, too_long
from optwise.analyses.fairness_checks import equal_budget, inclusion, winner_stability
from optwise.analyses.prediction_check import prediction
from optwise.analyses.predictions import Predictions
from optwise.analyses.ranking import BETTER, FASTER
from optwise.analyses.search_checks import density, feasible, infeasible_share, space_borrowed
from optwise.analyses.subject import Subject
from optwise.core.finding import Finding
from optwise.core.metric import Direction, Target
from optwise.core.run import Run
from optwise.core.space import Space

MARGIN = 0.02
"""Relative margin of equivalence, where the protocol names no other. Source: optwise, own choice."""


def method_checks(
    subject: Subject,
    *,
    space: Space,
    search: Sequence[Run],
    confirm: Sequence[Run],
    evaluation_steps: Sequence[int],
    needs_horizon: bool = False,
    borrowed: bool = False,
    margin: float = MARGIN,
    gap: float | None = None,
    predictions: Predictions | None = None,
) -> list[Finding]:
    """Every rule that concerns one method on one problem, passes included.

    Args:
        subject: The method, its metric and its target.
        space: Its open fields; empty for a closed method, whose search is then empty too.
        search: Explore trials of all its studies, with names and points.
        confirm: Confirmations of its selected points; runs at library defaults are no part of them.
        evaluation_steps: When whole runs were measured, the end last.
        needs_horizon: Whether its schedule decays towards the end of the run.
        borrowed: Whether its space was made for another method.
        margin: Relative margin of equivalence.
        gap: Distance to the next method in the metric, where it is known.
        predictions: What theory says of its confirmations, where it says anything.
    """
    is_open, steps = bool(space.fields), evaluation_steps[-1]
    found = [
        feasible(subject, search if is_open else confirm),
        space_borrowed(subject, borrowed=borrowed) if is_open else None,
        infeasible_share(subject, search),
        *boundary(subject, space, search, confirm),
        density(subject, space, search, confirm),
        late_variance(subject, confirm, steps, margin=margin, gap=gap),
        still_improving(subject, confirm, steps, needs_horizon=needs_horizon),
        too_long(subject, confirm, steps),
        overfitting(subject, confirm, steps, margin=margin),
        misses(subject, confirm),
        target_hair(subject, confirm),
        prediction(subject, confirm, predictions),
    ]
    return [finding for finding in found if finding is not None]


def problem_checks(
    problem: str,
    *,
    metric: str,
    direction: Direction,
    target: Target | None,
    classes: Mapping[str, str],
    search: Mapping[str, Sequence[Run]],
    verdicts: Sequence[Mapping[str, Any]],
    winner_shares: Mapping[str, float],
    spent: Callable[[Run, float], float] | None = None,
) -> list[Finding]:
    """Every rule that concerns several methods on one problem, passes included.

    Args:
        problem: Name.
        metric: The metric that selects.
        direction: Which way it is better.
        target: Where time counts, the value to reach: searches are then compared by time too.
        classes: Method to the name of its class.
        search: Method to its explore trials.
        verdicts: As in the results document.
        winner_shares: Method to the share of resampled sets of studies that it wins.
        spent: What a run had spent on the axis after some steps.
    """
    subjects = {name: Subject(problem, name, metric, direction, target) for name in search}
    claims = [v for v in verdicts if v["words"] in (FASTER, BETTER) and {v["a"], v["b"]} <= set(subjects)]
    found = [
        *inclusion(problem, classes, verdicts),
        *(equal_budget(subjects[v["a"]], subjects[v["b"]], search, spent=spent) for v in claims),
        winner_stability(problem, winner_shares),
    ]
    return [finding for finding in found if finding is not None]
