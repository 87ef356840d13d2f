"""ADMM against other solvers, and against the optimality conditions of problems that few solvers take."""

import numpy as np
import pytest
import scipy.optimize
import torch
from sklearn.linear_model import Lasso

from optwise.core.composite import Composite
from optwise.core.loss import LinearModel
from optwise.core.smooth import Smooth
from optwise.methods.solvers.admm import ADMM
from optwise.problems.terms.functions import FunctionTerm, SquaredDistance
from optwise.problems.terms.linear_models import LinearModelTerm
from optwise.problems.terms.operators import FirstDifference, MatrixOperator
from optwise.problems.terms.penalties import L1, HingeSum, NonnegativeL1
from optwise.problems.terms.predictions import LogisticLoss, SquaredError
from optwise.problems.terms.sets import Box, Nonnegative, Simplex

MOST = 6000


def model(n, p, loss, *, l2=0.0, dtype=torch.float64):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, p))
    y = X[:, :3] @ np.array([2.0, -1.0, 0.5]) + 0.5 * rng.normal(size=n)
    y = np.sign(y) if isinstance(loss, LogisticLoss) else y
    design = MatrixOperator(torch.tensor(X, dtype=dtype))
    return LinearModelTerm(LinearModel(design, torch.tensor(y, dtype=dtype), loss, scale=1 / n, l2=l2)), X, y


def run(problem, w, solver=None, most=MOST):
    found = []
    for iterate in (solver or ADMM()).solve(problem, w):
        found.append(iterate)
        if len(found) == most:
            break
    return found


def kkt(problem, w, u, weight):
    """What is left of grad f + D^T u, of |u| <= weight and of u D w = weight |D w|, for first differences D."""
    D = np.diff(np.eye(len(w)), axis=0)
    _, gradient = problem.smooth.value_and_gradient(w)
    rest, z, u = gradient.numpy() + D.T @ u.numpy(), D @ w.numpy(), u.numpy()
    return rest, np.abs(u).max() - weight, np.abs(u @ z - weight * np.abs(z).sum())


def test_a_step_is_drawn_in_by_the_weight_over_its_length():
    y = torch.tensor([0.0] * 3 + [9.0] * 6, dtype=torch.float64)
    found = run(Composite(SquaredDistance(y), L1(1.5), FirstDifference(9)), torch.zeros_like(y))
    assert torch.allclose(found[-1].w, torch.tensor([0.5] * 3 + [8.75] * 6, dtype=torch.float64), atol=1e-12)
    assert len(found) < MOST


@pytest.mark.parametrize("weight", [0.3, 40.0], ids=["light", "so heavy that the answer is constant"])
def test_total_variation_ends_at_the_answer_of_bounded_least_squares(weight):
    y = np.random.default_rng(0).normal(size=60)
    D = np.diff(np.eye(60), axis=0)
    u = scipy.optimize.lsq_linear(D.T, y, (-weight, weight), method="bvls", tol=1e-15, max_iter=10_000).x
    found = run(Composite(SquaredDistance(torch.tensor(y)), L1(weight), FirstDifference(60)), torch.zeros(60).double())
    assert np.allclose(found[-1].w, y - D.T @ u, atol=1e-9)


@pytest.mark.parametrize("loss", [SquaredError(), LogisticLoss()], ids=lambda loss: type(loss).__name__)
def test_a_fused_regression_ends_where_its_dual_point_proves_it(loss):
    f, _, _ = model(80, 12, loss)
    problem = Composite(f, L1(0.05), FirstDifference(12))
    found = run(problem, torch.zeros(12).double())[-1]
    rest, outside, slack = kkt(problem, found.w, found.dual, 0.05)
    assert np.abs(rest).max() < 1e-9
    assert outside < 1e-12
    assert slack < 1e-9


def test_penalty_operator_and_set_may_stand_together():
    y = torch.tensor(np.random.default_rng(1).normal(size=40))
    box = Box(torch.full((40,), -0.4, dtype=torch.float64), torch.full((40,), 0.6, dtype=torch.float64))
    problem = Composite(SquaredDistance(y), L1(0.4), FirstDifference(40), box)
    found = run(problem, torch.zeros(40).double())[-1]
    rest, outside, slack = kkt(problem, found.w, found.dual, 0.4)
    w = found.w.numpy()
    assert w.min() >= -0.4
    assert w.max() <= 0.6
    # minus the rest is normal to the box: nothing inside, outward at a bound
    inside = (w > -0.4) & (w < 0.6)
    assert np.abs(rest[inside]).max() < 1e-9
    assert np.all(rest[w == 0.6] <= 1e-9)
    assert np.all(rest[w == -0.4] >= -1e-9)
    assert outside < 1e-12
    assert slack < 1e-8


@pytest.mark.parametrize(("n", "p"), [(60, 15), (25, 60)])
def test_without_an_operator_it_solves_the_lasso_with_exact_zeros(n, p):
    f, X, y = model(n, p, SquaredError())
    found = run(Composite(f, L1(0.05)), torch.zeros(p).double())
    other = Lasso(alpha=0.05, fit_intercept=False, tol=1e-14, max_iter=100_000).fit(X, y).coef_
    assert np.allclose(found[-1].w, other, atol=1e-9)
    assert ((found[-1].w != 0).numpy() == (other != 0)).all()


def test_without_a_penalty_it_solves_nonnegative_least_squares():
    f, X, y = model(60, 15, SquaredError())
    found = run(Composite(f, None, None, Nonnegative(15)), torch.zeros(15).double())
    assert np.allclose(found[-1].w, scipy.optimize.nnls(X, y)[0], atol=1e-10)


def test_a_function_without_structure_ends_where_no_feasible_point_is_better():
    f = FunctionTerm(lambda w: (w - torch.arange(4).double()).exp().sum() + (w**4).sum(), 4, is_convex=True)
    found = run(Composite(f, None, None, Simplex()), torch.zeros(4).double())[-1]
    gradient = f.value_and_gradient(found.w)[1]
    assert float(gradient @ found.w - gradient.min()) < 1e-9


@pytest.mark.parametrize("rho", [1e-4, 1.0, 1e4])
def test_a_bad_first_penalty_is_balanced(rho):
    f, X, y = model(60, 15, SquaredError())
    found = run(Composite(f, L1(0.05)), torch.zeros(15).double(), ADMM(rho=rho), most=1500)
    other = Lasso(alpha=0.05, fit_intercept=False, tol=1e-14, max_iter=100_000).fit(X, y).coef_
    assert np.allclose(found[-1].w, other, atol=1e-7)


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
    assert torch.allclose(found[-1].w, answer, atol=1e-12)


def test_one_dimension_is_enough():
    found = run(Composite(SquaredDistance(torch.tensor([3.0]).double()), L1(1.0)), torch.zeros(1).double())
    assert found[-1].w.item() == pytest.approx(2.0, abs=1e-14)


@pytest.mark.parametrize("loss", [SquaredError(), LogisticLoss()], ids=lambda loss: type(loss).__name__)
def test_float32_stays_float32_and_ends_by_itself(loss):
    exact = run(Composite(model(80, 12, loss)[0], L1(0.05)), torch.zeros(12).double())[-1].w
    found = run(Composite(model(80, 12, loss, dtype=torch.float32)[0], L1(0.05)), torch.zeros(12))
    assert found[-1].w.dtype == torch.float32
    assert torch.allclose(found[-1].w.double(), exact, atol=1e-4)
    assert len(found) < MOST


def test_it_does_the_same_twice():
    f, _, _ = model(80, 12, LogisticLoss())
    first, second = (run(Composite(f, L1(0.05), FirstDifference(12)), torch.zeros(12).double()) for _ in range(2))
    assert all(torch.equal(a.w, b.w) for a, b in zip(first, second, strict=True))


def test_a_quadratic_is_factorised_once_for_each_rho():
    f, _, _ = model(60, 15, SquaredError())
    problem = Composite(f, L1(0.05))
    found = run(problem, torch.zeros(15).double())
    assert problem.counts["factorizations"] == len({iterate.step for iterate in found})
    assert problem.counts["proxes"] == len(found)


def test_a_support_vector_machine_is_proved_to_a_few_digits():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(30, 3))
    K = np.sign(X @ rng.normal(size=3) + rng.normal(size=30))[:, None] * X
    problem = Composite(SquaredDistance(torch.zeros(3).double()), HingeSum(1.0), MatrixOperator(torch.tensor(K)))
    best = min(run(problem, torch.zeros(3).double(), most=400), key=lambda iterate: iterate.measure)
    u = np.clip(best.dual.numpy(), -1, 0)
    assert best.value - (-0.5 * np.sum((K.T @ u) ** 2) - u.sum()) < 1e-4 * best.value


@pytest.mark.parametrize(
    ("problem", "reason"),
    [
        (Composite(SquaredDistance(torch.zeros(3))), "smooth part alone"),
        (Composite(SquaredDistance(torch.zeros(3)), NonnegativeL1(1.0), FirstDifference(3)), "infinite outside a set"),
        (Composite(SquaredDistance(torch.zeros(3)), NonnegativeL1(1.0)), ""),
    ],
)
def test_what_it_cannot_solve_is_refused_with_the_reason(problem, reason):
    refusal = ADMM().refusal(problem)
    assert reason in refusal if reason else refusal == ""
