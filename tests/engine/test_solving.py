"""A solver ends when the recomputed certificate says so, and whatever happens leaves the best point it found."""

import math
from dataclasses import dataclass

import pytest
import torch

from optwise.core.certificate import Certificate, CertificateKind
from optwise.core.composite import Composite
from optwise.core.smooth import Smooth
from optwise.core.solver import Iterate, Solver
from optwise.core.status import Status
from optwise.engine.solving import run_solver
from optwise.engine.watching import PATIENCE


@dataclass(frozen=True)
class Bowl(Smooth):
    """Half the squared norm in two variables."""

    dimension = 2

    def value(self, w):
        return 0.5 * (w @ w)


@dataclass(frozen=True)
class Raised(Smooth):
    """The same, raised by 1."""

    dimension = 2

    def value(self, w):
        return 1 + 0.5 * (w @ w)


@dataclass(frozen=True, kw_only=True)
class Halving(Solver):
    """Halves the point at every step; ``says`` is its measure, as a function of the point."""

    says: object = staticmethod(lambda w: float("nan"))
    steps: int = 10_000

    def solve(self, problem, w):
        for _ in range(self.steps):
            _, g = problem.f_and_gradient(w)
            w = w - 0.5 * g
            yield Iterate(w, problem.value(w), 0.5, self.says(w))


@dataclass(frozen=True, kw_only=True)
class Script(Solver):
    """Yields what it was told; an exception among it is raised."""

    points: tuple = ()

    def solve(self, problem, w):
        for point in self.points:
            if isinstance(point, BaseException):
                raise point
            yield point


def true_gap(w, dual):
    return Certificate(CertificateKind.OPTIMALITY, "known optimum", float(0.5 * w @ w))


def run(solver, certify=true_gap, *, tol=1e-6, find_ray=lambda w, d: None, **more):
    w = torch.tensor([3.0, 4.0], dtype=torch.float64)
    return run_solver(Composite(Bowl()), solver, w, certify=certify, find_ray=find_ray, tol=tol, **more)


def at(x, measure=math.nan):
    w = torch.tensor([float(x), 0.0], dtype=torch.float64)
    return Iterate(w, float(0.5 * w @ w), measure=measure)


def test_it_ends_at_the_first_point_whose_certificate_is_met_where_the_solver_can_tell():
    course = run(Halving(says=lambda w: float(0.5 * w @ w)))
    assert course.status is Status.OPTIMAL
    assert course.rows[-1].iteration == math.ceil(math.log(12.5 / 1e-6) / math.log(4))
    assert course.certificate.value <= 1e-6 < course.rows[-2].value


def test_a_solver_that_has_no_measure_is_looked_at_ever_more_rarely():
    looks = []

    def counted(w, dual):
        looks.append(w)
        return Certificate(CertificateKind.OPTIMALITY, "never", 1.0)

    course = run(Halving(steps=200), counted)
    assert course.status is Status.STALLED
    assert 15 <= len(looks) <= 30


def test_a_measure_is_never_believed():
    """The solver says it is done at every step; the certificate, looked at, says when it is."""
    course = run(Halving(says=lambda w: 1e-9 * float(w @ w)))
    assert course.status is Status.OPTIMAL
    assert 0.5 * float(course.best.w @ course.best.w) <= 1e-6


def test_a_certificate_is_not_computed_at_every_step_of_a_solver_that_boasts():
    looks = []

    def counted(w, dual):
        looks.append(w)
        return Certificate(CertificateKind.OPTIMALITY, "never", 1.0)

    run(Script(points=tuple(at(1, measure=1e-7) for _ in range(100))), counted)
    assert len(looks) <= 6  # two of them since nobody had looked for long


def test_the_kind_of_the_certificate_is_the_status():
    def stationary(w, dual):
        return Certificate(CertificateKind.STATIONARITY, "gradient norm", 0.0)

    assert run(Halving(), stationary).status is Status.STATIONARY


def test_what_stands_still_is_stalled_with_its_best_point():
    course = run(Script(points=(at(1), *(at(2) for _ in range(10 * PATIENCE)))))
    assert course.status is Status.STALLED
    assert len(course.rows) <= 2 * PATIENCE
    assert float(course.best.w[0]) == 1.0


def test_a_point_that_is_not_finite_ends_the_run_and_is_not_the_answer():
    course = run(Script(points=(at(1), at(math.nan), at(0))))
    assert course.status is Status.NOT_FINITE
    assert float(course.best.w[0]) == 1.0
    assert math.isfinite(course.certificate.value)


@pytest.mark.parametrize(
    ("error", "status"), [(RuntimeError("no"), Status.CRASHED), (MemoryError(), Status.OUT_OF_MEMORY)]
)
def test_an_exception_is_a_status_and_keeps_what_was_found(error, status):
    course = run(Script(points=(at(2), at(1), error)))
    assert course.status is status
    assert type(error).__name__ in course.traceback
    assert float(course.best.w[0]) == 1.0


def test_an_interruption_keeps_what_was_found():
    course = run(Script(points=(at(2), at(1), KeyboardInterrupt())))
    assert (course.status, float(course.best.w[0])) == (Status.INTERRUPTED, 1.0)


def test_a_crash_at_the_first_step_answers_the_start():
    course = run(Script(points=(RuntimeError("no"),)))
    assert course.best.w.tolist() == [3.0, 4.0]
    assert course.certificate.value == 12.5


def test_the_last_point_of_a_solver_that_gives_up_may_still_be_certified():
    assert run(Script(points=(at(1e-9),))).status is Status.OPTIMAL


def test_time_that_is_up_ends_the_run():
    looks = []

    def never(w, dual):
        looks.append(w)
        return Certificate(CertificateKind.OPTIMALITY, "never", 1.0)

    course = run(Halving(), never, max_seconds=1e-9)
    assert course.status is Status.BUDGET_SPENT
    assert len(course.rows) == 1  # the first question was refused
    assert len(looks) == 1  # and one certificate computed all the same


def test_a_turn_ends_by_what_was_counted_since_its_start():
    told = []

    def over(iterations, counts):
        told.append((iterations, counts["gradients"]))
        return counts["gradients"] >= 3

    course = run(Halving(), lambda w, d: Certificate(CertificateKind.OPTIMALITY, "never", 1.0), turn_over=over)
    assert course.status is Status.BUDGET_SPENT
    assert told == [(1, 1.0), (2, 2.0), (3, 3.0)]


def test_a_start_that_promises_nothing_is_certified_before_any_step():
    """A problem built at its own solution is solved at once, whatever the solver would do first."""
    w = torch.tensor([1e-9, 0.0], dtype=torch.float64)
    more = {"certify": true_gap, "find_ray": lambda w, d: None, "tol": 1e-6, "look_first": True}
    course = run_solver(Composite(Raised()), Script(points=(RuntimeError("not even a step"),)), w, **more)
    assert course.status is Status.OPTIMAL
    assert [row.iteration for row in course.rows] == [0]


def test_a_ray_along_which_the_objective_falls_for_ever_ends_the_run():
    ray = Certificate(CertificateKind.UNBOUNDEDNESS, "ray", 0.0)
    points = tuple(Iterate(torch.full((2,), 10.0**k), -(10.0 ** (2 * k))) for k in range(3, 12))
    course = run(Script(points=points), find_ray=lambda w, d: ray)
    assert (course.status, course.certificate) == (Status.UNBOUNDED, ray)


def test_the_course_starts_at_the_start_and_counts_what_was_asked():
    course = run(Halving(steps=3))
    assert [row.iteration for row in course.rows] == [0, 1, 2, 3]
    assert course.rows[0].value == 12.5
    assert [row.counts["gradients"] for row in course.rows] == [0.0, 1.0, 2.0, 3.0]
    seconds = [row.seconds for row in course.rows]
    assert seconds == sorted(seconds)


def test_values_that_cannot_be_certified_still_leave_an_answer():
    def broken(w, dual):
        raise RuntimeError("no float64 here")

    course = run(Script(points=(at(1),)), broken)
    assert course.status is Status.CRASHED
    assert course.certificate.value == math.inf
