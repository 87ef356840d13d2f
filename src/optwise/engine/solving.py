"""A solver on its clock: it ends when a recomputed certificate says so, and the best point outlives any end."""

from __future__ import annotations

import math
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from optwise.core.answer import TraceRow
from optwise.core.certificate import Certificate, CertificateKind
from optwise.core.composite import Composite, TimeIsUp
from optwise.core.oracles import Oracle
from optwise.core.solver import Iterate, Solver
from optwise.core.status import Status
from optwise.engine.chunks import failure_status
from optwise.engine.watching import FIRST_RAY, Certify, Watch, is_ours
from optwise.numerics.finiteness import all_finite

FAR = 1e10
"""A value this many times the start's below it makes an unbounded problem worth looking for."""
PROMISING = 1e3
"""Times ``tol`` that a start's slope may promise of its value for its certificate to be looked at before any step."""
SHORT = 1e-4
"""Length of the step by which a start is judged, in units of its largest entry or 1."""

FindRay = Callable[[Tensor, Tensor], Certificate | None]
TurnOver = Callable[[int, Mapping[str, float]], bool]
"""Whether so many iterations and questions, counted from the start of the run, are all that it is given."""

_ENDS = {
    CertificateKind.OPTIMALITY: Status.OPTIMAL,
    CertificateKind.STATIONARITY: Status.STATIONARY,
    CertificateKind.INFEASIBILITY: Status.INFEASIBLE,
    CertificateKind.UNBOUNDEDNESS: Status.UNBOUNDED,
}


@dataclass(frozen=True, eq=False)
class Course:
    """How a solver went.

    Args:
        status: How it ended.
        best: The point to answer: the one with the best certificate.
        certificate: Of that point.
        rows: Iteration by iteration, the start included.
        seconds: On the solver's clock, which stops while certificates are computed.
        certificate_seconds: Spent on those.
        traceback: Of what the solver or the problem raised.
    """

    status: Status
    best: Iterate
    certificate: Certificate
    rows: tuple[TraceRow, ...]
    seconds: float
    certificate_seconds: float
    traceback: str = ""


@dataclass(frozen=True)
class _Limits:
    """When a run has had enough: by the caller's clock, or by what was booked since its start."""

    deadline: float
    over: TurnOver | None
    before: Mapping[str, float]

    @property
    def late(self) -> bool:
        return time.perf_counter() > self.deadline

    def turn_is_over(self, iterations: int, counts: Mapping[str, float]) -> bool:
        if self.over is None:
            return False
        return self.over(iterations, {name: amount - self.before[name] for name, amount in counts.items()})


def run_solver(
    problem: Composite,
    solver: Solver,
    w: Tensor,
    *,
    certify: Certify,
    find_ray: FindRay,
    tol: float,
    max_seconds: float | None = None,
    turn_over: TurnOver | None = None,
    look_first: bool = False,
) -> Course:
    """Run a solver from ``w`` [p] until its certificate is met, it can do no better, or its time is up.

    Args:
        problem: What is solved, in the dtype of ``w``.
        solver: The closed method.
        w: Where it starts.
        certify: The certificate of a point and a dual point, recomputed in float64.
        find_ray: A certificate that the problem is unbounded from a point along a direction, if it is.
        tol: What the certificate must reach.
        max_seconds: Wall-clock limit; the question during which it passes is the last one.
        turn_over: Ends the run by what was counted, after the iteration in which it says so.
        look_first: Whether a start that promises little is looked at before any step, since it may be the answer.
    """
    deadline = math.inf if max_seconds is None else time.perf_counter() + max_seconds
    start = Iterate(w, problem.start_value if w is problem.start else problem.value(w))
    watch = Watch(certify, tol, start)
    rows = [TraceRow(0, 0.0, start.value, math.nan, math.nan, dict(problem.counts))]
    limits = _Limits(deadline, turn_over, rows[0].counts)
    limited, failure = replace(problem, deadline=deadline), ""
    try:
        limited, near = _nearly_solved(limited, start) if look_first else (limited, False)
        if near and watch.look(start).meets(tol):
            status = _ENDS[watch.proof.kind]
        else:
            status = _followed(limited, solver.solve(limited, w), watch, rows, limits=limits, find_ray=find_ray)
    except TimeIsUp:
        status = Status.BUDGET_SPENT
    except KeyboardInterrupt:
        status = Status.INTERRUPTED
    except Exception as error:  # noqa: BLE001 - a user's function may raise anything, and that is this run's end
        status, failure = _failed(error)
    candidates = [point for point in (watch.last, watch.lowest, start) if point is not None]
    if time.perf_counter() > deadline:
        candidates = _hurried(watch, candidates)
    status, failure = _settle(watch, status, failure, candidates)
    if rows[-1].value == watch.best.value:
        rows[-1] = rows[-1]._replace(certificate=watch.proof.value)
    return Course(status, watch.best, watch.proof, tuple(rows), rows[-1].seconds, watch.seconds, failure)


def _followed(
    problem: Composite,
    iterates: Iterator[Iterate],
    watch: Watch,
    rows: list[TraceRow],
    *,
    limits: _Limits,
    find_ray: FindRay,
) -> Status:
    """Follow the iterates to an end, a row for each."""
    clock, start = 0.0, watch.best
    while True:
        started = time.perf_counter()
        found = next(iterates, None)
        clock += time.perf_counter() - started
        if found is None:
            return Status.STALLED
        if not _finite(found):
            return Status.NOT_FINITE
        k, shown, late = len(rows), found.measure, limits.late
        watch.last, met, hopeless = found, False, False
        if not late and watch.worth_a_look(found, k):
            certificate = watch.look(found)
            shown, met, hopeless = certificate.value, certificate.meets(watch.tol), certificate.hopeless
        rows.append(TraceRow(k, clock, found.value, shown, found.step, dict(problem.counts)))
        if met:
            return _ENDS[watch.proof.kind]
        if hopeless or watch.stands_still(found, k):
            return Status.STALLED
        if late or limits.turn_is_over(k, problem.counts):
            return Status.BUDGET_SPENT
        far = found.value < start.value - FAR * max(1.0, abs(start.value))
        if far or (k >= FIRST_RAY and k.bit_count() == 1):
            ray = find_ray(found.w, found.w - start.w)
            if ray is not None:
                watch.keep(found, ray)
                return Status.UNBOUNDED


def _failed(error: Exception) -> tuple[Status, str]:
    """The status and the traceback of an exception; the end of the numbers inside a solver is no crash."""
    if isinstance(error, ArithmeticError) and is_ours(error):
        return Status.NOT_FINITE, ""
    return failure_status(error), "".join(traceback.format_exception(error))


def _hurried(watch: Watch, candidates: list[Iterate]) -> list[Iterate]:
    """The one point that is certified although the time is up; none where the best one is certified already."""
    lowest = min(candidates, key=lambda point: point.value)
    known = watch.certificate is not None and not lowest.value < watch.best.value
    return [] if known else [lowest]


def _settle(watch: Watch, status: Status, failure: str, candidates: list[Iterate]) -> tuple[Status, str]:
    """Certify what a run that was not certified leaves; its best point may hold all the same."""
    if status in _ENDS.values() or watch.proof.hopeless:
        return status, failure
    for n, candidate in enumerate(candidates):
        seen = candidates[:n] if watch.certificate is None else [*candidates[:n], watch.best]
        if any(candidate is other for other in seen):
            continue
        try:
            watch.look(candidate)
        except TimeIsUp:
            break
        except Exception as error:  # noqa: BLE001 - the function that has failed already, asked once more
            failure = failure or "".join(traceback.format_exception(error))
    met = watch.proof.meets(watch.tol) and status is not Status.INTERRUPTED
    return (_ENDS[watch.proof.kind] if met else status), failure


def _nearly_solved(problem: Composite, start: Iterate) -> tuple[Composite, bool]:
    """Whether a short step from the start promises next to nothing, so that it may be the answer already.

    With it goes the problem, which knows by then what it was asked.
    """
    penalty, constraint, w = problem.penalty, problem.constraint, start.w
    if problem.operator is not None or (penalty is not None and constraint is not None):
        return problem, w is not problem.start and bool(w.any())  # no step is as simple as that
    if penalty is not None and Oracle.PROX not in penalty.oracles:
        return problem, False
    if constraint is not None and Oracle.PROJECTION not in constraint.oracles:
        return problem, False
    bare = penalty is None and constraint is None
    if bare and problem.smooth.model is not None and not w.any():
        return problem, False  # the first step ends there as well
    problem = problem.knowing(w)
    _, gradient = problem.f_and_gradient(w)
    largest, steepest = torch.stack([w, gradient]).abs().amax(1).tolist()
    reach, slope = max(1.0, largest), steepest
    if not bare:
        step = SHORT * reach / steepest if steepest > 0.0 else SHORT * reach
        if not 0.0 < step < math.inf:
            return problem, False
        slope = float((problem.prox(w - step * gradient, step) - w).abs().max()) / step
    promised: float = slope * reach
    return problem, problem.gap_measure(promised, start.value) <= PROMISING * problem.tol


def _finite(found: Iterate) -> bool:
    return math.isfinite(found.value) and all_finite(found.w)
