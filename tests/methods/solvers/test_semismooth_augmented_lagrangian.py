"""Semismooth Newton steps on the augmented Lagrangian against other solvers and optimality conditions."""

import numpy as np
import pytest
import scipy.optimize
import torch
from sklearn.linear_model import Lasso
from sklearn.svm import LinearSVC

from optwise.core.composite import Composite
from optwise.core.loss import LinearModel
from optwise.core.smooth import Smooth
from optwise.methods.solvers.semismooth_augmented_lagrangian import SemismoothAugmentedLagrangian
from optwise.problems.terms.functions import FunctionTerm, QuadraticTerm, SquaredDistance, Zero
from optwise.problems.terms.linear_models import LinearModelTerm
from optwise.problems.terms.operators import FirstDifference, FunctionOperator, MatrixOperator
from optwise.problems.terms.penalties import L1, ElasticNetPenalty, HingeSum, LInf, NonnegativeL1
from optwise.problems.terms.predictions import LogisticLoss, SquaredError

MOST = 300


def run(problem, w, solver=None, most=MOST):
    found = []
    for iterate in (solver or SemismoothAugmentedLagrangian()).solve(problem, w):
        found.append(iterate)
        if len(found) == most:
            break
    return found


def machine(n, p, *, l2=1.0, seed=0, dtype=torch.float64):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, p))
    y = np.sign(X @ rng.normal(size=p) + 1.5 * rng.normal(size=n))
    f = SquaredDistance(torch.zeros(p, dtype=dtype), scale=l2)
    operator = MatrixOperator(torch.tensor(y[:, None] * X, dtype=dtype))
    return Composite(f, HingeSum(1.0), operator), torch.zeros(p, dtype=dtype), X, y


def model(n, p, loss):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, p))
    y = X[:, :3] @ np.array([2.0, -1.0, 0.5]) + 0.5 * rng.normal(size=n)
    y = np.sign(y) if isinstance(loss, LogisticLoss) else y
    return LinearModelTerm(LinearModel(MatrixOperator(torch.tensor(X)), torch.tensor(y), loss, scale=1 / n)), X, y


@pytest.mark.parametrize("l2", [1.0, 0.01])
@pytest.mark.parametrize(("n", "p"), [(150, 10), (15, 40)], ids=["more examples", "more features"])
def test_a_support_vector_machine_ends_with_a_proof_to_rounding(n, p, l2):
    """Weak duality, by hand: f*(-K^T u) = |K^T u|^2 / (2 l2) and g*(u) = sum u for -1 <= u <= 0."""
    problem, w, X, y = machine(n, p, l2=l2)
    found = run(problem, w)
    u, K = found[-1].dual.numpy().clip(-1, 0), y[:, None] * X
    bound = -np.sum((K.T @ u) ** 2) / (2 * l2) - u.sum()
    assert found[-1].value - bound < 1e-12 * found[-1].value
    assert len(found) < MOST


def test_a_support_vector_machine_is_no_worse_than_another_solver_says():
    problem, w, X, y = machine(150, 10)
    other = LinearSVC(loss="hinge", C=1.0, fit_intercept=False, tol=1e-7, max_iter=1_000_000).fit(X, y).coef_[0]
    value = 0.5 * other @ other + np.maximum(0, 1 - y * (X @ other)).sum()
    found = run(problem, w)[-1]
    assert found.value <= value + 1e-12
    assert found.value == pytest.approx(value, rel=1e-6)  # as far as the other one comes


def test_newton_steps_are_few():
    problem, w, _, _ = machine(500, 20)
    assert next(k for k, iterate in enumerate(run(problem, w), 1) if iterate.measure < 1e-6) <= 40


def test_the_measure_bounds_the_error_at_every_iterate():
    problem, w, _, _ = machine(150, 10)
    found = run(problem, w)
    best = found[-1].value
    for iterate in found:
        assert iterate.value - best <= iterate.measure * abs(iterate.value) + 1e-12 * best


@pytest.mark.parametrize("weight", [0.05, 0.5])
def test_total_variation_ends_at_the_answer_of_bounded_least_squares(weight):
    y = np.random.default_rng(0).normal(size=60)
    D = np.diff(np.eye(60), axis=0)
    u = scipy.optimize.lsq_linear(D.T, y, (-weight, weight), method="bvls", tol=1e-15, max_iter=10_000).x
    found = run(Composite(SquaredDistance(torch.tensor(y)), L1(weight), FirstDifference(60)), torch.zeros(60).double())
    assert np.allclose(found[-1].w, y - D.T @ u, atol=1e-9)


@pytest.mark.parametrize("loss", [SquaredError(), LogisticLoss()], ids=lambda loss: type(loss).__name__)
def test_a_fused_regression_ends_where_its_dual_point_proves_it(loss):
    f, _, _ = model(80, 12, loss)
    found = run(Composite(f, L1(0.05), FirstDifference(12)), torch.zeros(12).double())[-1]
    D, u, w = np.diff(np.eye(12), axis=0), found.dual.numpy(), found.w.numpy()
    rest = f.value_and_gradient(found.w)[1].numpy() + D.T @ u
    assert np.abs(rest).max() < 1e-9
    assert np.abs(u).max() <= 0.05 * (1 + 1e-9)
    assert u @ D @ w == pytest.approx(0.05 * np.abs(D @ w).sum(), abs=1e-10)


def test_an_elastic_net_of_differences_is_a_linear_system_once_its_signs_are_known():
    """The conditions: w - y + D^T u = 0 with u = l1 sign(z) + l2 z where z = D w is not 0, |u| <= l1 where it is."""
    y = np.random.default_rng(2).normal(size=30)
    problem = Composite(SquaredDistance(torch.tensor(y)), ElasticNetPenalty(0.3, 0.8), FirstDifference(30))
    w = run(problem, torch.zeros(30).double())[-1].w.numpy()
    u, z = np.cumsum(w - y)[:-1], np.diff(w)
    kept = np.abs(z) > 1e-9
    assert np.allclose(u[kept], 0.3 * np.sign(z[kept]) + 0.8 * z[kept], atol=1e-9)
    assert np.abs(u[~kept]).max() <= 0.3 + 1e-9


def test_least_absolute_deviations_end_at_the_answer_of_a_linear_program():
    """Without any curvature of f the Newton systems are singular until enough rows are active."""
    rng = np.random.default_rng(1)
    A = rng.normal(size=(30, 4))
    y = A @ rng.normal(size=4) + rng.standard_t(2, size=30)
    # |A w - y| as an l1 norm of margins: one more coordinate, which a strong quadratic holds near 1
    strong = 1e6
    f = QuadraticTerm(
        torch.diag(torch.tensor([0.0] * 4 + [strong])).double(), torch.tensor([0.0] * 4 + [-strong]).double()
    )
    problem = Composite(f, L1(1.0), MatrixOperator(torch.tensor(np.hstack([A, -y[:, None]]))))
    found = run(problem, torch.zeros(5).double())[-1]
    costs = np.concatenate([np.zeros(4), np.ones(60)])
    split = np.hstack([A, np.eye(30), -np.eye(30)])
    bounds = [(None, None)] * 4 + [(0, None)] * 60
    exact = scipy.optimize.linprog(costs, A_eq=split, b_eq=y, bounds=bounds, method="highs")
    assert np.allclose(found.w[:4] / found.w[4], exact.x[:4], atol=1e-7)


@pytest.mark.parametrize(("n", "p"), [(60, 15), (25, 60)])
def test_without_an_operator_it_solves_the_lasso(n, p):
    f, X, y = model(n, p, SquaredError())
    found = run(Composite(f, L1(0.05)), torch.zeros(p).double())
    other = Lasso(alpha=0.05, fit_intercept=False, tol=1e-14, max_iter=100_000).fit(X, y).coef_
    assert np.allclose(found[-1].w, other, atol=1e-6)


def test_an_operator_of_products_alone_is_enough():
    problem, w, _, _ = machine(150, 10)
    A = problem.operator
    blind = Composite(problem.smooth, problem.penalty, FunctionOperator(A.shape, A.forward, A.adjoint))
    assert run(blind, w)[-1].value == pytest.approx(run(problem, w)[-1].value, rel=1e-12)


def test_steps_into_a_region_without_values_are_cut_short():
    class Walled(Smooth):
        dimension, convex = 4, True

        def value(self, w):
            return (w - w.log()).sum()  # not a number left of 0, least at 1

    found = run(Composite(Walled(), L1(0.5), FirstDifference(4)), torch.tensor([0.05, 3.0, 0.1, 8.0]).double())
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
    exact = run(*machine(150, 10)[:2])[-1].w
    found = run(*machine(150, 10, dtype=torch.float32)[:2])
    assert found[-1].w.dtype == torch.float32
    assert torch.allclose(found[-1].w.double(), exact, atol=1e-4)
    assert len(found) < MOST


def test_it_does_the_same_twice_and_books_a_factorisation_a_step():
    problem, w, _, _ = machine(150, 10)
    first = run(problem, w)
    assert problem.counts["factorizations"] == len(first)
    second = run(problem, w)
    assert all(torch.equal(a.w, b.w) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize(
    ("problem", "reason"),
    [
        (Composite(SquaredDistance(torch.zeros(3))), "no penalty"),
        (
            Composite(SquaredDistance(torch.zeros(3)), LInf(1.0)),
            "LInf, which does not say how its proximal map changes",
        ),
        (Composite(SquaredDistance(torch.zeros(3)), NonnegativeL1(1.0), FirstDifference(3)), "infinite outside a set"),
        (Composite(FunctionTerm(lambda w: w.exp().sum(), 3), L1(1.0)), ""),
        (Composite(Zero(3), HingeSum(1.0), FirstDifference(3)), ""),
    ],
)
def test_what_it_cannot_solve_is_refused_with_the_reason(problem, reason):
    refusal = SemismoothAugmentedLagrangian().refusal(problem)
    assert reason in refusal if reason else refusal == ""
