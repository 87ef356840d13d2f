"""What proximal gradient steps promise beyond their answers: rates, steps that grow, restarts, bounds, counts."""

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor

from optwise.core.composite import Composite
from optwise.core.loss import LinearModel
from optwise.core.penalty import Penalty
from optwise.core.smooth import Smooth
from optwise.methods.solvers.lower_bounds import LowerBound
from optwise.methods.solvers.proximal import FISTA, ProximalGradient
from optwise.methods.solvers.proximal_newton import ProximalNewton
from optwise.problems.terms.functions import FunctionTerm, QuadraticTerm
from optwise.problems.terms.linear_models import LinearModelTerm
from optwise.problems.terms.operators import MatrixOperator
from optwise.problems.terms.penalties import L1, GroupL2, NonnegativeL1, SquaredL2
from optwise.problems.terms.predictions import HuberLoss, LogisticLoss, SquaredError
from optwise.problems.terms.sets import Box, Nonnegative, Simplex

EITHER = pytest.mark.parametrize("solver", [ProximalGradient(), FISTA()], ids=lambda solver: solver.label)


def regression(n=40, p=60, kappa=30.0, *, loss=None, l2=0.0, dtype=torch.float64):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, p)) * np.geomspace(1, 1 / kappa, p) ** 0.5
    y = X[:, :5].sum(1) + 0.2 * rng.standard_normal(n)
    y = np.sign(y) if isinstance(loss, LogisticLoss) else y
    X, y = torch.tensor(X, dtype=dtype), torch.tensor(y, dtype=dtype)
    return LinearModelTerm(LinearModel(MatrixOperator(X), y, loss or SquaredError(), 1 / n, l2))


def composite(f, penalty=None, constraint=None, *, tol=1e-9):
    return Composite(f, penalty, None, constraint, tol=tol)


def run(solver, problem, w=None, *, most=5000, measure=1e-9):
    found = []
    for iterate in solver.solve(problem, torch.zeros(problem.dimension).double() if w is None else w):
        found.append(iterate)
        if iterate.measure <= measure or len(found) == most:
            break
    return found


def optimum(f, penalty):
    *_, best = ProximalNewton().solve(composite(f, penalty, tol=1e-14), torch.zeros(f.dimension).double())
    return best


def bowl(eigenvalues, center=1.0):
    h = torch.tensor(eigenvalues, dtype=torch.float64)
    return QuadraticTerm(torch.diag(h), -center * h)


def test_on_a_quadratic_every_error_contracts_by_what_theory_says():
    h = np.array([1.0, 3.0, 10.0])
    found = run(ProximalGradient(), composite(bowl(h)), most=60, measure=0.0)
    error = np.full(3, -1.0)
    for iterate in found:
        error = (1 - iterate.step * h) * error
        assert np.allclose(iterate.w.numpy() - 1, error, atol=1e-14)
        assert iterate.step >= 1 / 10 / 4.0001  # a step is shortened by 4 at most, and 1/10 is short enough


def test_steps_that_never_grow_contract_at_the_rate_of_the_condition_number():
    h = np.array([1.0, 3.0, 10.0])
    found = run(ProximalGradient(growth=1.0), composite(bowl(h)), most=40, measure=0.0)
    for before, after in pairwise(found):
        shrunk = float((after.w - 1).norm() / (before.w - 1).norm())
        assert shrunk <= 1 - after.step + 1e-12  # 1 - mu t
    assert all(after.step <= before.step for before, after in pairwise(found))


@pytest.mark.parametrize("growth", [1.0, 1.1, 2.0])
@pytest.mark.parametrize("restart", [True, False])
def test_fista_keeps_to_its_bound_whatever_its_steps_do(growth, restart):
    f, penalty = regression(), L1(0.01)
    best = optimum(f, penalty)
    found = run(FISTA(growth=growth, restart=restart), composite(f, penalty), most=400, measure=0.0)
    distance = float(best.w @ best.w)
    shortest = np.minimum.accumulate([iterate.step for iterate in found])
    if restart:  # the bound is one of a run between restarts
        found = found[:10]
    for k, (iterate, step) in enumerate(zip(found, shortest, strict=False), 1):
        assert iterate.value - best.value <= 2 / step * distance / (k + 1) ** 2 + 1e-14


def test_steps_that_grow_and_momentum_that_restarts_save_iterations():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((50, 150))
    for j in range(1, 150):  # columns that follow each other: the largest curvature is far from sparse directions
        X[:, j] = 0.95 * X[:, j - 1] + np.sqrt(1 - 0.95**2) * X[:, j]
    X, y = torch.from_numpy(X), torch.from_numpy(X[:, :5].sum(1) + rng.standard_normal(50))
    f = LinearModelTerm(LinearModel(MatrixOperator(X), y, SquaredError(), 1 / 50))
    solvers = FISTA(), FISTA(growth=1.0), FISTA(restart=False), ProximalGradient()
    both, *others = (len(run(solver, composite(f, L1(0.3)), measure=1e-8)) for solver in solvers)
    assert 2 * both < min(others)


@EITHER
@pytest.mark.parametrize("loss", [SquaredError(), LogisticLoss(), HuberLoss(0.3)], ids=["squared", "logistic", "huber"])
@pytest.mark.parametrize("l2", [0.0, 0.05])
def test_they_end_where_proximal_newton_ends(solver, loss, l2):
    f = regression(kappa=5.0, loss=loss, l2=l2)
    found = run(solver, composite(f, L1(0.03)), most=20_000, measure=1e-10)
    best = optimum(f, L1(0.03))
    assert found[-1].value - best.value <= 1e-10 * best.value * (1 + 1e-3)
    assert found[-1].value >= best.value * (1 - 1e-14)


@EITHER
@pytest.mark.parametrize("l2", [0.0, 0.05])
def test_the_measure_bounds_the_distance_to_the_optimum_and_closes(solver, l2):
    f, penalty = regression(kappa=5.0, l2=l2), L1(0.03)
    best = optimum(f, penalty).value
    found = run(solver, composite(f, penalty), most=20_000, measure=1e-9)
    for iterate in found:
        assert (iterate.value - best) / iterate.value <= iterate.measure * (1 + 1e-9) + 1e-14
    assert found[-1].measure <= 1e-9


def test_a_group_penalty_is_certified_by_its_own_conjugate():
    f, groups = regression(kappa=3.0), torch.arange(60) // 5
    found = run(FISTA(), composite(f, GroupL2(0.1, groups)), measure=1e-10)
    w = found[-1].w.reshape(12, 5)
    gradient = f.value_and_gradient(found[-1].w)[1].reshape(12, 5)
    off = torch.where(
        w.norm(dim=1) > 0,
        (gradient + 0.1 * w / w.norm(dim=1, keepdim=True).clamp(min=1e-300)).norm(dim=1),
        (gradient.norm(dim=1) - 0.1).clamp(min=0),
    )
    assert 0 < int((w.norm(dim=1) == 0).sum()) < 12
    assert float(off.max()) < 1e-5  # a gap of 1e-10 is a violation of its root
    assert found[-1].measure <= 1e-10


@EITHER
@pytest.mark.parametrize(
    "constraint", [Nonnegative(6), Box(torch.full((6,), -0.2), torch.full((6,), 0.3)), Simplex()], ids=repr
)
def test_over_a_set_the_gradient_map_vanishes(solver, constraint):
    f = bowl(np.geomspace(1.0, 10.0, 6), center=0.5)
    constraint = constraint.to(dtype=torch.float64)
    problem = composite(f, constraint=constraint, tol=1e-12)
    found = run(solver, problem, torch.linspace(-3, 3, 6).double(), measure=1e-12)
    w = found[-1].w
    assert constraint.contains(w, 1e-14)
    gradient = f.value_and_gradient(w)[1]
    assert float((w - constraint.project(w - 0.1 * gradient)).norm()) < 1e-6


def test_an_iteration_of_fista_is_two_products_and_one_more_for_a_step_that_was_too_long():
    problem = composite(regression(), L1(0.02))
    found = run(FISTA(), problem, most=50, measure=0.0)
    retried = problem.counts["gradients"] - len(found)
    assert retried < 0.3 * len(found)
    # at first one for the start and some for the first curvature; a retry costs a new tangent and a new place
    assert problem.counts["products"] <= 2 * (len(found) + retried) + 4
    assert problem.counts["proxes"] == len(found) + retried


def test_without_structure_an_iteration_is_a_gradient_and_a_value():
    problem = composite(bowl([1.0, 3.0, 10.0]), L1(0.1))
    found = run(FISTA(growth=1.0), problem, most=30, measure=0.0)
    assert problem.counts["gradients"] <= len(found) + 3
    assert problem.counts["evaluations"] <= 2 * len(found) + 8


@EITHER
def test_a_start_outside_the_domain_is_moved_into_it(solver):
    found = run(solver, composite(bowl([1.0, 2.0]), NonnegativeL1(0.1)), torch.tensor([-3.0, 5.0]).double())
    assert found[0].w.min() >= 0
    assert torch.allclose(found[-1].w, torch.tensor([0.9, 0.95]).double(), atol=1e-4)


@dataclass(frozen=True)
class Wall(Smooth):
    """x - log x in each entry, with nothing to the left of 0; momentum runs into it."""

    dimension: ClassVar[int] = 2
    convex: ClassVar[bool] = True

    def value(self, w: Tensor) -> Tensor:
        return (w - w.log()).sum() * torch.where((w > 0).all(), 1.0, torch.nan)


@EITHER
@pytest.mark.parametrize("start", [[1e-3, 1e-3], [100.0, 0.01]])
def test_a_wall_is_never_crossed(solver, start):
    problem = Composite(Wall(), SquaredL2(0.5))
    found = run(solver, problem, torch.tensor(start).double(), most=20_000, measure=1e-8)
    assert all(bool((iterate.w > 0).all()) and np.isfinite(iterate.value) for iterate in found)
    # 1 - 1/x + x/2 = 0
    assert torch.allclose(found[-1].w, torch.full((2,), 3**0.5 - 1).double(), atol=1e-4)  # the root of the gap


@EITHER
def test_at_the_optimum_they_stop(solver):
    problem = composite(bowl([1.0, 2.0]), L1(0.5))
    found = run(solver, problem, torch.tensor([0.5, 0.75]).double(), measure=-1.0)
    assert len(found) < 5
    assert torch.equal(found[-1].w, torch.tensor([0.5, 0.75]).double())


@EITHER
def test_a_linear_function_is_followed_until_someone_stops_it(solver):
    f = FunctionTerm(lambda w: -w.sum(), 2, is_convex=True)
    found = run(solver, composite(f), most=20, measure=-1.0)
    assert len(found) == 20
    assert found[-1].value < found[0].value < 0


@EITHER
def test_the_same_start_gives_the_same_bits(solver):
    first, second = (run(solver, composite(regression(), L1(0.02)), most=50) for _ in range(2))
    assert all(torch.equal(one.w, other.w) for one, other in zip(first, second, strict=True))


@dataclass(frozen=True)
class Quartic(Smooth):
    """(w - 2)^4."""

    dimension: ClassVar[int] = 1
    convex: ClassVar[bool] = True
    lower_bound: ClassVar[float] = 0.0

    def value(self, w: Tensor) -> Tensor:
        return (w - 2).square().square().sum()


def test_a_lower_bound_mixes_the_tangent_with_what_f_never_falls_below():
    """Without strong convexity, a model or a bounded conjugate domain, only such a mixture is a bound."""
    f = Quartic()
    problem = Composite(f, L1(1.0))
    bound, y = LowerBound(problem), torch.tensor([1.0]).double()
    value, gradient = f.value_and_gradient(y)  # 1 and -4: shrunk by a quarter
    assert bound.offer(y, float(value), gradient)
    assert bound.value == pytest.approx(0.25 * (1 + 4))
    grid = torch.linspace(-5, 5, 100_001).double()
    assert bound.value <= float(((grid - 2) ** 4 + grid.abs()).min())
    assert not bound.offer(y, float(value), gradient)


def test_nothing_is_claimed_where_f_is_not_convex():
    f = FunctionTerm(lambda w: w.square().sum(), 1)
    bound = LowerBound(Composite(f, L1(1.0)))
    assert not bound.offer(torch.ones(1), 1.0, 2 * torch.ones(1))
    assert bound.measure(1.0, 0.25) == 0.5  # the root of what a step is expected to gain


@dataclass(frozen=True)
class Shifted(Penalty):
    """A penalty that says nothing but its proximal map."""

    def value(self, w: Tensor) -> Tensor:
        return (w - 1).abs().sum(-1)

    def prox(self, v: Tensor, step: float) -> Tensor:
        return 1 + (v - 1).sign() * ((v - 1).abs() - step).clamp(min=0)


@EITHER
def test_a_proximal_map_is_enough(solver):
    found = run(solver, composite(bowl([1.0, 4.0], center=3.0), Shifted()), measure=1e-10)
    assert torch.allclose(found[-1].w, torch.tensor([2.0, 2.75]).double(), atol=1e-4)  # the root of the gap


def test_float32_goes_as_far_as_its_rounding():
    f = regression(kappa=5.0, dtype=torch.float32)
    problem = replace(composite(regression(kappa=5.0), L1(0.03)), smooth=f)
    found = run(FISTA(), problem, torch.zeros(60), measure=0.0)
    assert found[-1].w.dtype == torch.float32
    assert found[-1].measure <= 1e-5
