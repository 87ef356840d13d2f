"""The answer to a formulated problem: the method chosen and why, and a certificate that was recomputed."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from optwise.analyses.solver_costs import features
from optwise.analyses.solver_reasons import reason_for
from optwise.core.answer import Answer
from optwise.core.certificate import Certificate
from optwise.core.composite import Composite
from optwise.core.errors import BadMethod, UnknownName, UnmetNeed
from optwise.core.layout import Layout
from optwise.core.matching import mismatch
from optwise.core.method import Method
from optwise.core.problem import Problem
from optwise.core.run import Execution, HeldWeights, Measurement, Run
from optwise.core.solver import Solver, kind_label
from optwise.core.status import Status
from optwise.engine.solving import Course, how_close, run_solver
from optwise.methods.solvers import SOLVERS
from optwise.verbs.explaining import Choice, explain_composite
from optwise.verbs.formulating import TOL, Formulated, prepared
from optwise.verbs.turns import Turns

AUTO = "auto"


def solve(
    problem: Problem,
    method: Method | str = AUTO,
    tol: float = TOL,
    max_seconds: float | None = None,
    w0: Any = None,
) -> Run:
    r"""Solve a problem and prove what is claimed.

    .. math:: \min_{w \in C} f(w) + g(A w)

    All examples are looked at in every step, whatever the problem's sampler. ``tol`` always means the certificate,
    which is recomputed in float64 by code of its own: *optimal* says that the value is proved to lie within
    ``tol * max(|primal|, |dual|, scale)`` of the best one, *stationary* that the relative residual of the first-order
    conditions is at most ``tol``.

    Args:
        problem: Any, such as ``ow.problems.lasso(X, y, weight=0.1)``.
        method: A solver, its name, or ``"auto"``, which chooses by structure, size and conditioning, says why, and goes
            on with the next method where one stalls.
        tol: What the certificate must reach, in the problem's dtype at least 4 of its rounding units.
        max_seconds: Wall-clock limit.
        w0: Where to start, an array or tensor of the shape of the answer; by default the problem's own start.

    Returns:
        A Run with ``.w .value .status .certificate .method .why .counts .seconds .trace``. A failure is a status, with
        the best point found.

    Raises:
        CallerError: Before any work: a method that does not fit, a tolerance that the dtype cannot reach.

    Example:
        >>> import optwise as ow
        >>> run = solve(ow.problems.ridge([[1.0], [2.0]], [1.0, 2.0], l2=2.5))
        >>> run.status.value, round(float(run.w), 9), run.certificate.kind.value
        ('optimal, certified', 0.5, 'optimality')
    """
    formulated, w = prepared(problem, tol, max_seconds, w0)
    if method == AUTO:
        return _automatic(formulated, w, tol, max_seconds)
    chosen = _solver(method)
    refusal = mismatch(formulated.problem, chosen) or _refused(chosen, formulated.composite)
    if refusal:
        raise UnmetNeed(f"{refusal}; choose another method, or `auto`.")
    course = _run(formulated, chosen, w, tol, max_seconds)
    reason = reason_for(kind_label(type(chosen)), features(formulated.composite, w, 0.0))
    found, why = (chosen, course), f"{chosen.label} was asked for: {reason}."
    return _answer(formulated, [found], why, tol, chosen=found, status=course.status)


def _solver(method: Method | str) -> Solver:
    if isinstance(method, str):
        if method not in SOLVERS:
            raise UnknownName("solver", method, [AUTO, *SOLVERS])
        return SOLVERS[method]()
    if not isinstance(method, Solver):
        label = method.label if isinstance(method, Method) else repr(method)
        raise BadMethod(f"{label} is no solver; choose one of {', '.join(SOLVERS)}, or run it with `compare`.")
    method.require_closed()
    return method


def _refused(solver: Solver, composite: Composite) -> str:
    reason = solver.refusal(composite)
    return f"{solver.label} {reason}" if reason else ""


def _run(formulated: Formulated, solver: Solver, w: Tensor, tol: float, max_seconds: float | None) -> Course:
    return run_solver(
        formulated.composite,
        solver,
        w,
        certify=formulated.certify,
        find_ray=formulated.find_ray,
        tol=tol,
        max_seconds=max_seconds,
    )


def _automatic(formulated: Formulated, w: Tensor, tol: float, max_seconds: float | None) -> Run:
    """Give the methods their turns, each from the best point so far, until one has proved its answer."""
    began = time.perf_counter()
    turns = Turns(formulated.problem, formulated.composite)
    tried: list[tuple[Choice, Solver, Course]] = []
    while (choice := turns.next()) is not None:
        left = math.inf if max_seconds is None else max_seconds - (time.perf_counter() - began)
        if left <= 0 and tried:
            break
        limit = min(left, math.inf if turns.alone else turns.seconds(choice))
        solver = SOLVERS[choice.method]()
        course = _run(formulated, solver, w, tol, limit if limit < math.inf else None)
        tried.append((choice, solver, course))
        if course.status is Status.BUDGET_SPENT:
            turns.unfinished(choice, course.seconds)
        elif course.certificate.hopeless:
            break
        elif course.status in (Status.STALLED, Status.NOT_FINITE):
            turns.stalled(choice)
        else:
            break
        w = _closest(formulated, tried, tol)[2].best.w
    if not tried:
        raise UnmetNeed(f"{explain_composite(formulated.problem, formulated.composite).nearest}.")
    return _best_of(formulated, tried, tol)


def _closest(
    formulated: Formulated, tried: Sequence[tuple[Choice, Solver, Course]], tol: float
) -> tuple[Choice, Solver, Course]:
    """Who came closest."""
    constrained = formulated.problem.constraint is not None
    return min(tried, key=lambda each: how_close(each[2].certificate, each[2].best, tol, constrained=constrained))


def _best_of(formulated: Formulated, tried: Sequence[tuple[Choice, Solver, Course]], tol: float) -> Run:
    """The answer of the last method, or where that failed, of the one that came closest."""
    last = tried[-1]
    failed = last[2].status in (Status.STALLED, Status.NOT_FINITE, Status.BUDGET_SPENT)
    chosen = _closest(formulated, tried, tol) if failed else last
    choice, solver, course = chosen
    said = [f"{solver.label}: {choice.reason}."]
    for _, other, before in (each for each in tried if each is not chosen):
        if before.status is Status.BUDGET_SPENT:
            said.append(f"{other.label} had not proved it after {before.seconds:.2g} s.")
        else:
            said.append(f"{other.label} ended {before.status.value!r} first.")
    courses = [(other, before) for _, other, before in tried]
    return _answer(formulated, courses, " ".join(said), tol, chosen=(solver, course), status=last[2].status)


def _answer(
    formulated: Formulated,
    tried: Sequence[tuple[Solver, Course]],
    why: str,
    tol: float,
    *,
    chosen: tuple[Solver, Course],
    status: Status,
) -> Run:
    """A Run of all that was tried, with the best point of the course ``chosen`` as its answer."""
    solver, course = chosen
    problem, w = formulated.problem, course.best.w
    leaves, buffers = problem.start(0)
    rows = [row for _, each in tried for row in each.rows]
    proof = course.certificate
    said = [why, *([proof.remark] if proof.remark else [])]
    short = not proof.meets(tol)
    if proof.saddle:
        said.append(_saddle(formulated, w, proof))
    if short and not proof.remark and (culprit := formulated.refuted(w)):
        said.append(culprit)
    elif short and not proof.hopeless and w.dtype == torch.float32:
        said.append(
            f"In float32 the certificate ended at {course.certificate.value:.2g}; give float64 data for {tol:g}."
        )
    return Run(
        problem=problem.name,
        method=solver,
        seed=0,
        status=status,
        counts={"iterations": float(len(rows) - len(tried)), **rows[-1].counts},
        measurements=tuple(Measurement(row.iteration, "", "objective", row.value) for row in course.rows),
        execution=Execution("solo", 1, str(w.dtype).removeprefix("torch."), str(w.device), reason="solvers run alone"),
        weights=HeldWeights({**Layout.of(leaves).unpack(w.detach()), **buffers}),
        seconds=sum(each.seconds for _, each in tried),
        evaluation_seconds=sum(each.certificate_seconds for _, each in tried),
        certificate=course.certificate,
        traceback=course.traceback,
        answer=Answer(
            formulated.exact.value(w.detach().double()),
            " ".join(said),
            _joined(tried),
            None if course.best.dual is None else course.best.dual.detach(),
            problem.classes,
        ),
    )


def _saddle(formulated: Formulated, w: Tensor, proof: Certificate) -> str:
    """What there is to say of a stationary point that negative curvature leaves."""
    assert proof.leaving is not None
    step = proof.leaving
    lower, here = formulated.exact.value(w.detach().double() + step), formulated.exact.value(w.detach().double())
    place = int(step.abs().argmax())
    way = f"mostly along w[{place}]" if step.numel() > 1 else "along w[0]"
    return (
        f"It is stationary (saddle): a step {way} leads down from {here:.6g} to {lower:.6g}; go on with "
        "w0=answer.w + answer.certificate.leaving."
    )


def _joined(tried: Sequence[tuple[Solver, Course]]) -> tuple[Any, ...]:
    """The rows of several methods, one course after the other."""
    joined: list[Any] = []
    for _, course in tried:
        first, seconds = len(joined), joined[-1].seconds if joined else 0.0
        joined += [row._replace(iteration=first + row.iteration, seconds=seconds + row.seconds) for row in course.rows]
    return tuple(joined)
