"""A solver on its clock: it ends when a recomputed certificate says so, and the best point outlives any end."""

from __future__ import annotations

import math
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from optwise.core.answer import TraceRow
from optwise.core.certificate import Certificate, CertificateKind
from optwise.core.composite import Composite
from optwise.core.solver import Iterate, Solver
from optwise.core.status import Status
from optwise.engine.chunks import failure_status

PATIENCE = 300
"""Iterations without any progress, in value or measure, after which a solver counts as stalled; more on long runs."""
PROGRESS = 0.99
"""Factor on its best measure that counts as progress."""
RELOOK = 0.5
"""A measure must fall by this factor after a certificate that was not met before it is looked at again."""
SPACING = 1.3
"""Growth of the distance between looks at the certificate of a solver that has no measure."""
FAR = 1e10
"""A value this many times the start's below it makes an unbounded problem worth looking for."""
FIRST_RAY = 32
"""Iteration at which a certificate is looked at whatever the measure, and the way gone so far is followed on, in case
it falls for ever; then at twice that, and so on."""

Certify = Callable[[Tensor, Tensor | None], Certificate]
FindRay = Callable[[Tensor, Tensor], Certificate | None]

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


def how_close(certificate: Certificate, found: Iterate, tol: float, *, constrained: bool) -> tuple[int, float]:
    """By what points are compared, smaller is better: those that are proved first, then by bound, then by objective.

    A gradient that is small but not small enough says less than a lower objective; where there is a set, the objective
    may be low outside of it, and the residual of the conditions decides.

    Args:
        certificate: Of the point.
        found: The point.
        tol: What a certificate must reach.
        constrained: Whether there is a set.
    """
    value = math.inf if math.isnan(certificate.value) else certificate.value
    if certificate.meets(tol):
        return 0, value
    if certificate.hopeless:
        return 1, -math.inf
    if certificate.kind is CertificateKind.OPTIMALITY:
        return 1, value
    return 2, value if constrained else found.value


@dataclass
class _Watch:
    """The looks at the certificate, and the best point they found."""

    certify: Certify
    tol: float
    best: Iterate
    constrained: bool
    certificate: Certificate | None = None
    closeness: tuple[int, float] = (3, math.inf)
    seconds: float = 0.0
    looked: float = math.inf
    due: float = 1.0
    lowest: Iterate | None = None
    measure: float = math.inf
    moved: int = 0

    def look(self, found: Iterate) -> Certificate:
        """Certify a point and keep it if it is the best so far."""
        started = time.perf_counter()
        certificate = self.certify(found.w, found.dual)
        self.seconds += time.perf_counter() - started
        closeness = how_close(certificate, found, self.tol, constrained=self.constrained)
        if closeness < self.closeness:
            self.best, self.certificate, self.closeness = found, certificate, closeness
        return certificate

    @property
    def proof(self) -> Certificate:
        """The certificate of the best point; one that proves nothing where none could be computed."""
        return self.certificate or Certificate(CertificateKind.STATIONARITY, "none", math.inf)

    def worth_a_look(self, found: Iterate, iteration: int) -> bool:
        """Whether the certificate may be met, or nobody knows and it is time to see."""
        if iteration >= FIRST_RAY and iteration.bit_count() == 1:
            return True
        if math.isnan(found.measure):
            if iteration < self.due:
                return False
            self.due = max(iteration + 1, iteration * SPACING)
            return True
        if found.measure <= self.tol and found.measure <= RELOOK * self.looked:
            self.looked = found.measure
            return True
        return False

    def stands_still(self, found: Iterate, iteration: int) -> bool:
        """Whether neither value nor measure has got better for long."""
        eps = torch.finfo(found.w.dtype).eps
        better = self.lowest is None or found.value < self.lowest.value - 4 * eps * abs(self.lowest.value)
        if better:
            self.lowest = found
        if found.measure < PROGRESS * self.measure:
            self.measure, better = found.measure, True
        self.moved = iteration if better else self.moved
        return iteration - self.moved > max(PATIENCE, iteration // 2)


def run_solver(
    problem: Composite,
    solver: Solver,
    w: Tensor,
    *,
    certify: Certify,
    find_ray: FindRay,
    tol: float,
    max_seconds: float | None = None,
) -> Course:
    """Run a solver from ``w`` [p] until its certificate is met, it can do no better, or its time is up.

    Args:
        problem: What is solved, in the dtype of ``w``.
        solver: The closed method.
        w: Where it starts.
        certify: The certificate of a point and a dual point, recomputed in float64.
        find_ray: A certificate that the problem is unbounded from a point along a direction, if it is.
        tol: What the certificate must reach.
        max_seconds: Wall-clock limit; the iteration in which it passes is finished.
    """
    began = time.perf_counter()
    start = Iterate(w, problem.start_value if w is problem.start else problem.value(w))
    watch = _Watch(certify, tol, start, constrained=problem.constraint is not None)
    rows = [TraceRow(0, 0.0, start.value, math.nan, math.nan, dict(problem.counts))]
    status, failure, clock, last = Status.STALLED, "", 0.0, start
    iterates: Iterator[Iterate] = solver.solve(problem, w)
    try:
        while True:
            started = time.perf_counter()
            found = next(iterates, None)
            clock += time.perf_counter() - started
            if found is None:
                break
            k = len(rows)
            if not _finite(found):
                status = Status.NOT_FINITE
                break
            last, shown, over = found, found.measure, False
            if watch.worth_a_look(found, k):
                certificate = watch.look(found)
                shown = certificate.value
                over = certificate.hopeless or certificate.meets(tol)
                status = _ENDS[certificate.kind] if certificate.meets(tol) else status
            rows.append(TraceRow(k, clock, found.value, shown, found.step, dict(problem.counts)))
            if over or watch.stands_still(found, k):
                break
            far = found.value < start.value - FAR * max(1.0, abs(start.value))
            if far or (k >= FIRST_RAY and k.bit_count() == 1):
                ray = find_ray(found.w, found.w - w)
                if ray is not None:
                    return Course(Status.UNBOUNDED, found, ray, tuple(rows), clock, watch.seconds)
            if max_seconds is not None and time.perf_counter() - began > max_seconds:
                status = Status.BUDGET_SPENT
                break
    except KeyboardInterrupt:
        status = Status.INTERRUPTED
    except Exception as error:  # noqa: BLE001 - a user's function may raise anything, and that is this run's end
        status, failure = failure_status(error), "".join(traceback.format_exception(error))
    status, failure = _settle(watch, status, failure, (last, watch.lowest, start))
    if rows[-1].value == watch.best.value:
        rows[-1] = rows[-1]._replace(certificate=watch.proof.value)
    return Course(status, watch.best, watch.proof, tuple(rows), clock, watch.seconds, failure)


def _settle(watch: _Watch, status: Status, failure: str, candidates: tuple[Iterate | None, ...]) -> tuple[Status, str]:
    """Certify what a run that was not certified leaves; its best point may hold all the same."""
    if status in _ENDS.values() or watch.proof.hopeless:
        return status, failure
    for n, candidate in enumerate(candidates):
        if candidate is None or any(candidate is other for other in candidates[:n]):
            continue
        try:
            watch.look(candidate)
        except Exception as error:  # noqa: BLE001 - the function that has failed already, asked once more
            failure = failure or "".join(traceback.format_exception(error))
    met = watch.proof.meets(watch.tol) and status in (Status.STALLED, Status.NOT_FINITE, Status.BUDGET_SPENT)
    return (_ENDS[watch.proof.kind] if met else status), failure


def _finite(found: Iterate) -> bool:
    return math.isfinite(found.value) and bool(torch.isfinite(found.w).all())
