"""`auto`: the methods for a problem in turns, until one has proved its answer."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor

from optwise.core.certificate import CertificateKind
from optwise.core.errors import UnmetNeed
from optwise.core.oracles import Oracle
from optwise.core.run import Run
from optwise.core.solver import CONVEX, Solver
from optwise.core.status import Status
from optwise.engine.solving import Course, TurnOver
from optwise.engine.watching import how_close
from optwise.methods.solvers import SOLVERS
from optwise.problems.terms.column_units import column_units
from optwise.verbs.answering import answer_of, random_loss, run_of
from optwise.verbs.explaining import Choice, explain_composite
from optwise.verbs.formulating import Formulated
from optwise.verbs.turns import Turns

LOWER = 1e-4
"""How far below a stationary point, relative to its value, an unproved one must lie for another method to be asked."""


class _Turn(NamedTuple):
    """What came of one turn, with the work spent on it in gradient equivalents."""

    choice: Choice
    solver: Solver
    course: Course
    gradients: float


def automatic(formulated: Formulated, w: Tensor, tol: float) -> Run:
    """Give the methods their turns until one has proved its answer.

    A family, methods that ask for the same, starts at the caller's point when its first turn comes, not in the basin
    that another one has chosen; whoever comes after it, and everybody on a convex problem, goes on from the best point.
    """
    turns = Turns(formulated.problem, formulated.composite, timed=formulated.deadline < math.inf)
    tried, families = list[_Turn](), set[frozenset[Oracle]]()
    units = column_units(formulated.composite)
    convex, random = formulated.problem.oracles >= CONVEX, turns.again is not None
    while (choice := turns.next()) is not None:
        if tried and time.perf_counter() > formulated.deadline:
            break
        solver = SOLVERS[choice.method]()
        goes_on = bool(tried) and (convex or solver.needs in families)
        families.add(solver.needs)
        start = _furthest(tried, tol).course.best.w if goes_on else w
        over = _turn_over(turns, choice)
        course = run_of(
            formulated, solver, start, tol, turn_over=over, look_first=not tried, random=random, units=units
        )
        first, last = course.rows[0].counts, course.rows[-1].counts
        booked = {name: amount - first[name] for name, amount in last.items()}
        work = turns.work(choice.method, len(course.rows) - 1, booked)
        tried.append(_Turn(choice, solver, course, turns.gradients(work)))
        if course.certificate.hopeless and course.status is Status.STALLED:
            break
        if course.status in _FAILED or (course.status is Status.STATIONARY and _lower(tried, tried[-1], tol)):
            turns.stalled(choice)
        elif course.status is Status.BUDGET_SPENT:
            turns.unfinished(choice, work)
        else:
            break
        if random:
            break
    if not tried:
        raise UnmetNeed(f"{explain_composite(formulated.problem, formulated.composite).nearest}.")
    best = _best(tried, tol)
    said = [*_told(tried, best, tol), *_all_spent(turns), *random_loss(formulated.composite, turns.again)]
    ending = best if best.course.certificate.meets(tol) else _ending(formulated, tried)
    courses = [(turn.solver, turn.course) for turn in tried]
    return answer_of(formulated, courses, (best.solver, best.course), said, tol, ending=ending.course, random=random)


_FAILED = (Status.STALLED, Status.NOT_FINITE, Status.OUT_OF_MEMORY, Status.CRASHED)
"""Ends that are one method's own, the best word first: another may do better."""


def _all_spent(turns: Turns) -> list[str]:
    """What there is to say where all the work is done that is done unasked."""
    if turns.left > 0:
        return []
    spent = turns.gradients(turns.spent)
    return [f"Nothing was proved after {spent:.3g} gradient equivalents; give max_seconds to go on, or a larger tol."]


def _turn_over(turns: Turns, choice: Choice) -> TurnOver | None:
    given = turns.given(choice)
    if given == math.inf:
        return None
    return lambda iterations, counts: turns.work(choice.method, iterations, counts) >= given


def _best(tried: Sequence[_Turn], tol: float) -> _Turn:
    """Who came closest: optimal, then stationary with the lowest value, then what is not proved."""

    def closeness(turn: _Turn) -> tuple[float, ...]:
        certificate, found = turn.course.certificate, turn.course.best
        if certificate.kind is CertificateKind.STATIONARITY and certificate.meets(tol):
            return 1, found.value
        rank, within = how_close(certificate, found, tol)
        return (0, within) if certificate.meets(tol) else (2, rank, within)

    return min(tried, key=closeness)


def _furthest(tried: Sequence[_Turn], tol: float) -> _Turn:
    """From whose point others go on: the best one's, or an unproved one that lies clearly lower."""
    best = _best(tried, tol)
    return _lower(tried, best, tol) or best


def _lower(tried: Sequence[_Turn], stationary: _Turn, tol: float) -> _Turn | None:
    """Who found a value clearly below that of a stationary point, within the set."""
    value = stationary.course.best.value
    within = [turn for turn in tried if turn.course.certificate.violation <= tol]
    lowest = min(within, key=lambda turn: turn.course.best.value, default=stationary)
    return lowest if lowest.course.best.value < value - LOWER * abs(value) else None


def _ending(formulated: Formulated, tried: Sequence[_Turn]) -> _Turn:
    """The turn whose status ends an answer that nobody has proved: the last one if it was cut off, else the best."""
    last = tried[-1]
    if last.course.status not in _FAILED:
        return last
    if time.perf_counter() > formulated.deadline:
        cut = [turn for turn in tried if turn.course.status is Status.BUDGET_SPENT]
        if cut:
            return cut[-1]
    return min((turn for turn in tried if turn.course.status in _FAILED), key=lambda t: _FAILED.index(t.course.status))


def _told(tried: Sequence[_Turn], best: _Turn, tol: float) -> list[str]:
    """Why this method, and what came of the others."""
    said = [f"{best.solver.label}: {best.choice.reason}."]
    when = "first"
    for turn in tried:
        course, label = turn.course, turn.solver.label
        if turn is best:
            when = "after it"
        elif course.status is Status.BUDGET_SPENT:
            said.append(f"{label} had not proved it after {turn.gradients:.3g} gradient equivalents.")
        else:
            cause = course.traceback.strip().splitlines()[-1:] if course.status is Status.CRASHED else []
            said.append(f"{label} ended {course.status.value!r} {when}{''.join(f' ({line})' for line in cause)}.")
    lower = _lower(tried, best, tol)
    if best.course.status is Status.STATIONARY and lower is not None:
        said.append(f"{lower.solver.label} found a lower value, {lower.course.best.value:.6g}, which is not proved.")
    return said
