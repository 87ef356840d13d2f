"""A solver run on a formulated problem, and the Run that is made of what was tried."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from optwise.core.answer import Answer
from optwise.core.certificate import Certificate
from optwise.core.composite import Composite, TimeIsUp
from optwise.core.layout import Layout
from optwise.core.run import Execution, HeldWeights, Measurement, Run
from optwise.core.solver import Solver
from optwise.engine.solving import Course, FindRay, TurnOver, run_solver
from optwise.engine.watching import NOTHING, Certify
from optwise.problems.terms.column_units import ColumnUnits
from optwise.verbs.formulating import Formulated

DROWNED = 0.1
"""Part of what the tolerance allows that the rounding of F may be before it is named."""


def run_of(
    formulated: Formulated,
    solver: Solver,
    w: Tensor,
    tol: float,
    *,
    turn_over: TurnOver | None = None,
    look_first: bool = False,
    random: bool = False,
    units: ColumnUnits | None = None,
) -> Course:
    """The course of a solver, in other units where there are any; of a random loss nothing is proved."""
    left = formulated.deadline - time.perf_counter()
    problem = formulated.composite
    certify: Certify = (lambda _w, _dual: NOTHING) if random else formulated.certify
    find_ray: FindRay = (lambda _w, _direction: None) if random else formulated.find_ray
    if units is not None:
        problem, w = units.problem, units.there(w)
        certify, find_ray = units.certify_back(certify), units.ray_back(find_ray)
    course = run_solver(
        problem,
        solver,
        w,
        certify=certify,
        find_ray=find_ray,
        tol=tol,
        max_seconds=left if left < math.inf else None,
        turn_over=turn_over,
        look_first=look_first,
    )
    return course if units is None else replace(course, best=units.iterate_back(course.best))


def random_loss(composite: Composite, again: float | None) -> list[str]:
    """The sentence on a loss that was another one when it was asked again; none where it was not."""
    if again is None:
        return []
    values = f"{composite.start_value:.6g} and, asked again, {again:.6g}"
    noise = f"The loss is random, {values} at the start, so that nothing can be proved of it"
    return [f"{noise}; give one without noise, or train it with `compare`."]


def answer_of(
    formulated: Formulated,
    tried: Sequence[tuple[Solver, Course]],
    chosen: tuple[Solver, Course],
    said: list[str],
    tol: float,
    *,
    ending: Course | None = None,
    random: bool = False,
) -> Run:
    """A Run of all that was tried: the answer is the best point of ``chosen``, the status that of ``ending``.

    Of a loss that is known to be random nothing more is asked.
    """
    solver, course = chosen
    problem, w, end = formulated.problem, course.best.w, ending or course
    leaves, buffers = problem.start(0)
    rows = [row for _, each in tried for row in each.rows]
    proof = course.certificate
    said += [proof.remark] if proof.remark else []
    short = not proof.meets(tol)
    if proof.saddle:
        with suppress(TimeIsUp):
            said.append(_saddle(formulated, w, proof))
    if short and not proof.remark and not random and (culprit := _culprit(formulated, w)):
        said.append(culprit)
    elif short and not proof.hopeless and proof.value < math.inf and (limit := _limit(course, w.dtype, tol)):
        said.append(limit)
    return Run(
        problem=problem.name,
        method=solver,
        seed=0,
        status=end.status,
        counts={"iterations": float(len(rows) - len(tried)), **rows[-1].counts},
        measurements=tuple(Measurement(row.iteration, "", "objective", row.value) for row in course.rows),
        execution=Execution("solo", 1, str(w.dtype).removeprefix("torch."), str(w.device), reason="solvers run alone"),
        weights=HeldWeights({**Layout.of(leaves).unpack(w.detach()), **buffers}),
        seconds=sum(each.seconds for _, each in tried),
        evaluation_seconds=sum(each.certificate_seconds for _, each in tried),
        certificate=course.certificate,
        traceback=end.traceback,
        answer=Answer(
            _exact_value(formulated, course),
            " ".join(said),
            _joined(tried),
            None if course.best.dual is None else course.best.dual.detach(),
            problem.classes,
        ),
    )


def _limit(course: Course, dtype: torch.dtype, tol: float) -> str:
    """What the dtype has to do with a certificate that was not met: in float32 always, else where F drowns."""
    proof, name = course.certificate, str(dtype).removeprefix("torch.")
    if dtype == torch.float32:
        return f"In float32 the certificate ended at {proof.value:.2g}; give float64 data for {tol:g}."
    if proof.scale > DROWNED * tol * abs(course.best.value):
        return (
            f"In {name} F is known to {proof.scale:.2g} here, by the size of the numbers it is computed from, so that "
            f"none can be proved within {tol:g}; center and scale the columns, or ask for a larger tol."
        )
    return ""


def _culprit(formulated: Formulated, w: Tensor) -> str:
    """A part of the problem that is not what it says, unless the time is up or the function fails now."""
    if time.perf_counter() > formulated.deadline:
        return ""
    with suppress(Exception):  # the status and the traceback tell
        return formulated.refuted(w)
    return ""


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


def _exact_value(formulated: Formulated, course: Course) -> float:
    """F at the answer as its certificate knows it, or recomputed in float64.

    As the solver found it where the time is up or the function fails now.
    """
    w = course.best.w.detach()
    if math.isfinite(course.certificate.objective):
        return course.certificate.objective
    if time.perf_counter() > formulated.deadline and w.dtype == torch.float64:
        return course.best.value
    try:
        return formulated.exact.value(w.double())
    except Exception:  # noqa: BLE001 - the status and the traceback tell
        return course.best.value


def _joined(tried: Sequence[tuple[Solver, Course]]) -> tuple[Any, ...]:
    """The rows of several methods, one course after the other."""
    joined: list[Any] = []
    for _, course in tried:
        first, seconds = len(joined), joined[-1].seconds if joined else 0.0
        joined += [row._replace(iteration=first + row.iteration, seconds=seconds + row.seconds) for row in course.rows]
    return tuple(joined)
