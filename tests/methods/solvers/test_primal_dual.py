"""PDHG against linear programs and other solvers, and against the optimality conditions of three terms at once."""

import numpy as np
import pytest
import scipy.optimize
import torch
from sklearn.linear_model import Lasso

from optwise.core.composite import Composite
from optwise.core.loss import LinearModel
from optwise.core.penalty import Penalty
from optwise.core.smooth import Smooth
from optwise.methods.solvers.primal_dual import PDHG
from optwise.problems.terms.functions import FunctionTerm, SquaredDistance, Zero
from optwise.problems.terms.linear_models import LinearModelTerm
from optwise.problems.terms.operators import FirstDifference, MatrixOperator
from optwise.problems.terms.penalties import L1, NonnegativeL1
from optwise.problems.terms.predictions import LogisticLoss, SquaredError
from optwise.problems.terms.sets import Affine, Box, Nonnegative, Simplex

MOST = 20_000


class AbsoluteError(Penalty):
    """sum |z - y|."""

    def __init__(self, y):
        self.y = y

    def value(self, z):
        return (z - self.y).abs().sum(-1)

    def prox(self, v, step):
        r = v - self.y
        return v - r.clamp(-step, step)

    def conjugate(self, u):
        return torch.where((u.abs() <= 1).all(-1), (u * self.y).sum(-1), torch.inf)

    def dual_scale(self, u):
        return min(1.0, 1.0 / float(u.abs().max()))


def model(n, p, loss, *, dtype=torch.float64):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, p))
    y = X[:, :3] @ np.array([2.0, -1.0, 0.5]) + 0.5 * rng.normal(size=n)
    y = np.sign(y) if isinstance(loss, LogisticLoss) else y
    design = MatrixOperator(torch.tensor(X, dtype=dtype))
    return LinearModelTerm(LinearModel(design, torch.tensor(y, dtype=dtype), loss, scale=1 / n)), X, y


def run(problem, w, solver=None, most=MOST):
    found = []
    for iterate in (solver or PDHG()).solve(problem, w):
        found.append(iterate)
        if len(found) == most:
            break
    return found


def absolute_regression(n, p, *, dtype=torch.float64):
    rng = np.random.default_rng(1)
    A = rng.normal(size=(n, p))
    y = A @ rng.normal(size=p) + rng.standard_t(2, size=n)
    return (
        Composite(Zero(p), AbsoluteError(torch.tensor(y, dtype=dtype)), MatrixOperator(torch.tensor(A, dtype=dtype))),
        torch.zeros(p, dtype=dtype),
        A,
        y,
    )


def test_least_absolute_deviations_end_at_the_answer_of_a_linear_program():
    problem, w, A, y = absolute_regression(30, 4)
    found = run(problem, w)
    split = np.hstack([A, np.eye(30), -np.eye(30)])
    costs = np.concatenate([np.zeros(4), np.ones(60)])
    exact = scipy.optimize.linprog(
        costs, A_eq=split, b_eq=y, bounds=[(None, None)] * 4 + [(0, None)] * 60, method="highs"
    )
    assert found[-1].value == pytest.approx(exact.fun, rel=1e-10)
    assert np.allclose(found[-1].w, exact.x[:4], atol=1e-8)
    assert len(found) < MOST


def test_on_a_linear_program_the_rate_is_linear():
    """Restarts are what makes it so: without them the method falls as 1/k."""
    problem, w, _, _ = absolute_regression(30, 4)
    found = run(problem, w)
    best = found[-1].value
    errors = [abs(iterate.value - best) / best for iterate in found]
    first = [next(k for k, error in enumerate(errors) if error < level) for level in (1e-3, 1e-6, 1e-9)]
    assert first[2] - first[1] < 4 * first[1]  # at 1/k it would be a thousand times as many


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_basis_pursuit_ends_at_the_value_of_a_linear_program(seed):
    rng = np.random.default_rng(seed)
    A, b = rng.normal(size=(8, 20)), rng.normal(size=8)
    problem = Composite(Zero(20), L1(1.0), None, Affine(torch.tensor(A), torch.tensor(b)))
    found = run(problem, torch.zeros(20).double())[-1]
    exact = scipy.optimize.linprog(np.ones(40), A_eq=np.hstack([A, -A]), b_eq=b, method="highs").fun
    assert found.value == pytest.approx(exact, rel=1e-8)
    assert np.allclose(A @ found.w.numpy(), b, atol=1e-12)


def test_total_variation_ends_at_the_answer_of_bounded_least_squares():
    y = np.random.default_rng(0).normal(size=40)
    D = np.diff(np.eye(40), axis=0)
    u = scipy.optimize.lsq_linear(D.T, y, (-0.4, 0.4), method="bvls", tol=1e-15, max_iter=10_000).x
    found = run(Composite(SquaredDistance(torch.tensor(y)), L1(0.4), FirstDifference(40)), torch.zeros(40).double())
    assert np.allclose(found[-1].w, y - D.T @ u, atol=1e-9)


@pytest.mark.parametrize("loss", [SquaredError(), LogisticLoss()], ids=lambda loss: type(loss).__name__)
def test_three_terms_end_where_the_optimality_conditions_hold(loss):
    f, _, _ = model(80, 12, loss)
    box = Box(torch.full((12,), -0.1, dtype=torch.float64), torch.full((12,), 0.2, dtype=torch.float64))
    problem = Composite(f, L1(0.02), FirstDifference(12), box)
    found = run(problem, torch.zeros(12).double())[-1]
    w, u, D = found.w.numpy(), found.dual.numpy(), np.diff(np.eye(12), axis=0)
    rest = f.value_and_gradient(found.w)[1].numpy() + D.T @ u
    assert w.min() >= -0.1
    assert w.max() <= 0.2
    # minus the rest is normal to the box: nothing inside, outward at a bound
    assert np.abs(rest[(w > -0.1) & (w < 0.2)]).max(initial=0) < 1e-8
    assert np.all(rest[w == 0.2] <= 1e-8)
    assert np.all(rest[w == -0.1] >= -1e-8)
    assert np.abs(u).max() <= 0.02 + 1e-12
    assert u @ D @ w == pytest.approx(0.02 * np.abs(D @ w).sum(), abs=1e-9)


def test_without_an_operator_it_solves_the_lasso():
    f, X, y = model(60, 15, SquaredError())
    found = run(Composite(f, L1(0.05)), torch.zeros(15).double())
    other = Lasso(alpha=0.05, fit_intercept=False, tol=1e-14, max_iter=100_000).fit(X, y).coef_
    assert np.allclose(found[-1].w, other, atol=1e-9)


def test_the_measure_bounds_the_error_at_every_look():
    y = torch.tensor(np.random.default_rng(0).normal(size=40))
    problem = Composite(SquaredDistance(y), L1(0.4), FirstDifference(40))
    found = run(problem, torch.zeros(40).double())
    best = min(iterate.value for iterate in found)
    for iterate in found[9::10]:
        assert iterate.value - best <= iterate.measure * abs(iterate.value) + 1e-13


@pytest.mark.parametrize("weight", [1e-3, 1.0, 1e3])
def test_a_bad_first_weight_is_balanced(weight):
    y = torch.tensor(np.random.default_rng(0).normal(size=40))
    problem = Composite(SquaredDistance(y), L1(0.4), FirstDifference(40))
    exact = run(problem, torch.zeros(40).double())[-1].w
    found = run(problem, torch.zeros(40).double(), PDHG(weight=weight))[-1].w
    assert torch.allclose(found, exact, atol=1e-8)


def test_a_curvature_that_nobody_knows_is_learned():
    f = FunctionTerm(lambda w: (w - torch.arange(4).double()).exp().sum() + (w**4).sum(), 4, is_convex=True)
    problem = Composite(f, L1(0.3), FirstDifference(4), Simplex())
    found = run(problem, torch.zeros(4).double())[-1]
    other = scipy.optimize.minimize(
        lambda w: float(f.value(torch.tensor(w[:4]))) + 0.3 * w[4:].sum(),
        np.concatenate([np.full(4, 0.25), np.zeros(3)]),
        method="SLSQP",
        bounds=[(0, 1)] * 4 + [(0, None)] * 3,
        constraints=[
            {"type": "eq", "fun": lambda w: w[:4].sum() - 1},
            {"type": "ineq", "fun": lambda w: w[4:] - np.diff(w[:4])},
            {"type": "ineq", "fun": lambda w: w[4:] + np.diff(w[:4])},
        ],
        options={"ftol": 1e-14, "maxiter": 1000},
    )
    assert found.value == pytest.approx(other.fun, abs=1e-8)


def test_steps_into_a_region_without_values_are_cut_short():
    class Walled(Smooth):
        dimension, convex = 4, True

        def value(self, w):
            return (w - w.log()).sum()  # not a number left of 0, least at 1

    problem = Composite(Walled(), L1(0.5), FirstDifference(4))
    found = run(problem, torch.tensor([0.05, 3.0, 0.1, 8.0], dtype=torch.float64))
    assert all(np.isfinite(iterate.value) for iterate in found)
    assert torch.allclose(found[-1].w, torch.ones(4).double(), atol=1e-7)


def test_a_start_at_the_answer_ends_there_too():
    y = torch.tensor([0.0] * 3 + [9.0] * 6, dtype=torch.float64)
    answer = torch.tensor([0.5] * 3 + [8.75] * 6, dtype=torch.float64)
    found = run(Composite(SquaredDistance(y), L1(1.5), FirstDifference(9)), answer)
    assert torch.allclose(found[-1].w, answer, atol=1e-11)


def test_one_dimension_is_enough():
    found = run(Composite(SquaredDistance(torch.tensor([3.0]).double()), L1(1.0)), torch.zeros(1).double())
    assert found[-1].w.item() == pytest.approx(2.0, abs=1e-12)


def test_float32_stays_float32_and_ends_by_itself():
    problem, w, _, _ = absolute_regression(30, 4, dtype=torch.float32)
    exact = run(*absolute_regression(30, 4)[:2])[-1].w
    found = run(problem, w)
    assert found[-1].w.dtype == torch.float32
    assert torch.allclose(found[-1].w.double(), exact, atol=1e-3)
    assert len(found) < MOST


def test_it_does_the_same_twice():
    f, _, _ = model(40, 6, LogisticLoss())
    problem = Composite(f, L1(0.05), None, Nonnegative(6))
    first, second = (run(problem, torch.zeros(6).double()) for _ in range(2))
    assert all(torch.equal(a.w, b.w) for a, b in zip(first, second, strict=True))


def test_gradients_and_products_are_booked():
    class Counting(MatrixOperator):
        calls = 0

        def forward(self, w):
            Counting.calls += 1
            return super().forward(w)

        def adjoint(self, v):
            Counting.calls += 1
            return super().adjoint(v)

    problem, w, _, _ = absolute_regression(30, 4)
    counted = Composite(problem.smooth, problem.penalty, Counting(problem.operator.entries))
    found = run(counted, w, most=9)  # up to the first look
    # values of F are no products of the method: it has the image at hand
    assert counted.counts["products"] == Counting.calls
    assert counted.counts["gradients"] == len(found) + 1


def test_a_penalty_that_iterates_are_outside_of_is_refused():
    problem = Composite(SquaredDistance(torch.zeros(3)), NonnegativeL1(1.0), FirstDifference(3))
    assert "NonnegativeL1 that is infinite outside a set" in PDHG().refusal(problem)
    assert PDHG().refusal(Composite(SquaredDistance(torch.zeros(3)), L1(1.0), FirstDifference(3))) == ""
