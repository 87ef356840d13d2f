"""All check rules that a comparison is judged by: those of one method, and those across the methods of one problem."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from optwise.analyses.boundary_check import BOUNDARY, asks_for_larger, boundary
from optwise.analyses.diagnosis import (
    COURSE,
    NOISE_FLOOR,
    OVERFITTING,
    STILL_IMPROVING,
    TOO_LARGE,
    TOO_SMALL,
    diagnosis,
)
from optwise.analyses.fairness_checks import (
    EQUAL_BUDGET,
    INCLUSION,
    STABILITY,
    equal_budget,
    inclusion,
    winner_stability,
)
from optwise.analyses.prediction_check import PREDICTION, prediction
from optwise.analyses.predictions import Predictions
from optwise.analyses.question_checks import LEFT_OUT, LOOKS, NAMED_LATE
from optwise.analyses.search_checks import (
    BORROWED,
    DENSITY,
    FEASIBLE,
    INFEASIBLE,
    density,
    feasible,
    infeasible_share,
    space_borrowed,
)
from optwise.analyses.spending_check import SPENDING
from optwise.analyses.subject import Subject
from optwise.analyses.target_checks import HAIR, MISSES, misses, target_hair
from optwise.analyses.training import Elsewhere, Training, reached
from optwise.analyses.verdict import BETTER, FASTER
from optwise.core.check import Check
from optwise.core.finding import Finding, Grade
from optwise.core.metric import Direction, Target
from optwise.core.run import Run
from optwise.core.space import Space

MARGIN = 0.02
"""Relative margin of equivalence, where the protocol names no other. Source: optwise, own choice."""

CHECKS: tuple[Check, ...] = (
    *(SPENDING, FEASIBLE, NAMED_LATE, LEFT_OUT, LOOKS, PREDICTION, INCLUSION, EQUAL_BUDGET, STABILITY),
    *(BORROWED, INFEASIBLE, BOUNDARY, DENSITY, TOO_LARGE, TOO_SMALL, NOISE_FLOOR, STILL_IMPROVING, COURSE),
    *(MISSES, HAIR, OVERFITTING),
)
"""Every rule, in the order of what it puts at risk."""


def method_checks(
    subject: Subject,
    *,
    space: Space,
    search: Sequence[Run],
    confirm: Sequence[Run],
    needs_horizon: bool = False,
    paid: Sequence[tuple[int, float]] | None = None,
    borrowed: bool = False,
    margin: float = MARGIN,
    elsewhere: Elsewhere | None = None,
    predictions: Predictions | None = None,
) -> list[Finding]:
    """Every rule that concerns one method on one problem, passes included.

    Args:
        subject: The method, its metric and its target.
        space: Its open fields; empty for a closed method, whose search is then empty too.
        search: Explore trials of all its studies, with names and points.
        confirm: Confirmations of its selected points; runs at library defaults are no part of them.
        needs_horizon: Whether its schedule decays towards the end of the run.
        paid: ``(step, learning rate used up)`` at the evaluations, in any unit, where it was noted.
        borrowed: Whether its space was made for another method.
        margin: Relative margin of equivalence.
        elsewhere: The lowest training loss that others reached, where there are others.
        predictions: What theory says of its confirmations, where it says anything.
    """
    is_open = bool(space.fields)
    edges = boundary(subject, space, search)
    training = Training(
        subject,
        confirm,
        space,
        margin=margin,
        paid=paid,
        decays=needs_horizon and paid is None,
        elsewhere=elsewhere,
        raise_rate=asks_for_larger(edges, "lr"),
    )
    found = diagnosis(training)
    why = _why(found)
    late = why if found is not None and found.check in (TOO_LARGE.name, NOISE_FLOOR.name) else ""
    missing = misses(subject, confirm, explained=why)
    few = missing is not None and missing.grade is not Grade.PASS
    everything = [
        feasible(subject, search if is_open else confirm, explained=why),
        space_borrowed(subject, borrowed=borrowed) if is_open else None,
        infeasible_share(subject, search),
        *edges,
        density(subject, search, confirm),
        found,
        missing,
        target_hair(subject, confirm, explained=late or ("most runs miss it" if few else "")),
        prediction(subject, confirm, predictions),
    ]
    return [finding for finding in everything if finding is not None]


def elsewhere(problem: str, runs: Sequence[Run], loss: str) -> dict[str, Elsewhere]:
    """For each method, the lowest training loss that another one of the problem reached, or its library defaults.

    Args:
        problem: Name.
        runs: All runs, with names.
        loss: What is minimised, by full name.
    """
    groups: dict[tuple[str, bool], list[Run]] = {}
    for run in runs:
        if run.name is not None and run.name.problem == problem:
            groups.setdefault((run.name.method, run.name.study < 0), []).append(run)
    lowest = {key: reached(own, loss) for key, own in groups.items()}
    found = {}
    for method in dict.fromkeys(name for name, _ in lowest):
        others = {
            value: f"{name} at its library defaults" if default else name
            for (name, default), value in lowest.items()
            if (name, default) != (method, False) and value < float("inf")
        }
        if others:
            found[method] = Elsewhere(min(others), others[min(others)])
    return found


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
        winner_shares: Method to the share of resampled sets of studies in which it comes first.
        spent: What a run had spent on the axis after some steps.
    """
    subjects = {name: Subject(problem, name, metric, direction, target) for name in search}
    claims = [v for v in verdicts if v["words"] in (FASTER, BETTER) and {v["a"], v["b"]} <= set(subjects)]
    found = [
        *inclusion(problem, classes, verdicts),
        *(equal_budget(subjects[v["a"]], subjects[v["b"]], search, spent=spent) for v in claims),
        winner_stability(problem, winner_shares, verdicts),
    ]
    return [finding for finding in found if finding is not None]


def _why(found: Finding | None) -> str:
    """The head of an open diagnosis, as a clause."""
    if found is None or found.grade is Grade.PASS or found.check == OVERFITTING.name:
        return ""
    return found.head[0].lower() + found.head[1:]
