"""Interior points on the dual box against bounded least squares, linear programs, other machines and the lasso."""

import numpy as np
import pytest
import scipy.optimize
import torch
from sklearn.linear_model import Lasso
from sklearn.svm import LinearSVC

from optwise.core.composite import Composite
from optwise.core.loss import LinearModel
from optwise.core.penalty import Penalty
from optwise.methods.solvers.interior_point import DualInteriorPoint
from optwise.methods.solvers.kinks import Kinks
from optwise.problems.terms.functions import FunctionTerm, QuadraticTerm, SquaredDistance, Zero
from optwise.problems.terms.linear_models import LinearModelTerm
from optwise.problems.terms.operators import FirstDifference, MatrixOperator
from optwise.problems.terms.penalties import L1, MCP, ElasticNetPenalty, HingeSum, LInf, NonnegativeL1, WeightedL1
from optwise.problems.terms.predictions import SquaredError

MOST = 60


class AbsoluteError(Penalty):
    """The sum of q max(r, 0) + (1 - q) max(-r, 0) over r = z - y: a quantile loss, 1/2 |r| for q = 1/2."""

    def __init__(self, y, q=0.5):
        self.y, self.q = y, q

    def value(self, z):
        r = z - self.y
        return (r.clamp(min=0) * self.q - r.clamp(max=0) * (1 - self.q)).sum(-1)

    def prox(self, v, step):
        r = v - self.y
        return self.y + r - r.clamp(-step * (1 - self.q), step * self.q)


def run(problem, w, most=MOST):
    found = []
    for iterate in DualInteriorPoint().solve(problem, w):
        found.append(iterate)
        if len(found) == most:
            break
    return found


def signal(n, *, seed=0, dtype=torch.float64):
    rng = np.random.default_rng(seed)
    return torch.tensor(np.repeat(rng.normal(size=n // 10), 10) + 0.3 * rng.normal(size=n), dtype=dtype)


def total_variation(y, weight):
    """The answer by bounded least squares on the dual: min |D^T u - y|, |u| <= weight."""
    D = np.diff(np.eye(len(y)), axis=0)
    u = scipy.optimize.lsq_linear(D.T, y, (-weight, weight), method="bvls", tol=1e-15, max_iter=10_000).x
    return y - D.T @ u


def margins(n, p, *, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, p))
    y = np.sign(X @ rng.normal(size=p) + 1.5 * rng.normal(size=n))
    return X, y


@pytest.mark.parametrize("weight", [0.05, 0.6, 5.0])
def test_total_variation_ends_at_the_answer_of_bounded_least_squares(weight):
    y = signal(60)
    found = run(Composite(SquaredDistance(y), L1(weight), FirstDifference(60)), torch.zeros_like(y))
    assert np.allclose(found[-1].w, total_variation(y.numpy(), weight), atol=1e-9)
    assert len(found) < MOST


@pytest.mark.parametrize("scale", [1.0, 1 / 60, 1e4])
def test_the_scale_of_the_quadratic_is_part_of_it(scale):
    y = signal(60)
    problem = Composite(SquaredDistance(y, scale=scale), L1(0.6 * scale), FirstDifference(60))
    assert np.allclose(run(problem, torch.zeros_like(y))[-1].w, total_variation(y.numpy(), 0.6), atol=1e-9)


def test_curvatures_may_differ_from_entry_to_entry():
    y, rng = signal(40), np.random.default_rng(1)
    e = torch.tensor(rng.uniform(0.5, 4.0, 40))
    problem = Composite(QuadraticTerm(torch.diag(e), -e * y), L1(0.6), FirstDifference(40))
    found = run(problem, torch.zeros_like(y))[-1]
    D, root = np.diff(np.eye(40), axis=0), np.sqrt(e.numpy())
    # min sum e (w - y)^2 / 2 with w = y - D^T u / e
    u = scipy.optimize.lsq_linear((D / root).T, root * y.numpy(), (-0.6, 0.6), method="bvls", tol=1e-15).x
    assert np.allclose(found.w, y.numpy() - D.T @ u / e.numpy(), atol=1e-9)


@pytest.mark.parametrize(("n", "p"), [(120, 10), (15, 40)], ids=["more examples", "more features"])
def test_a_support_vector_machine_is_no_worse_than_another_solver_says(n, p):
    X, y = margins(n, p)
    problem = Composite(
        SquaredDistance(torch.zeros(p).double()), HingeSum(1.0), MatrixOperator(torch.tensor(y[:, None] * X))
    )
    found = run(problem, torch.zeros(p).double())
    other = LinearSVC(loss="hinge", C=1.0, fit_intercept=False, tol=1e-7, max_iter=1_000_000).fit(X, y).coef_[0]
    value = 0.5 * other @ other + np.maximum(0, 1 - y * (X @ other)).sum()
    assert found[-1].value <= value + 1e-12
    assert found[-1].value == pytest.approx(value, rel=1e-6)  # as far as the other one comes
    assert np.allclose(found[-1].w, other, atol=1e-3)


def test_every_dual_point_proves_a_bound():
    """Weak duality, by hand: f*(-A^T u) = |A^T u|^2 / 2 and g*(u) = sum u for -1 <= u <= 0."""
    X, y = margins(80, 6)
    K = y[:, None] * X
    problem = Composite(SquaredDistance(torch.zeros(6).double()), HingeSum(1.0), MatrixOperator(torch.tensor(K)))
    found = run(problem, torch.zeros(6).double())
    best = found[-1].value
    for iterate in found:
        u = iterate.dual.numpy()
        assert u.min() >= -1
        assert u.max() <= 0
        bound = -0.5 * np.sum((K.T @ u) ** 2) - u.sum()
        assert bound <= best * (1 + 1e-14)
        gap = iterate.measure * abs(iterate.value)
        assert gap == pytest.approx(iterate.value - bound, rel=1e-6, abs=1e-12)


@pytest.mark.parametrize("q", [0.5, 0.8])
def test_quantile_regression_ends_at_the_answer_of_a_linear_program(q):
    rng = np.random.default_rng(2)
    A = rng.normal(size=(50, 4))
    y = A @ rng.normal(size=4) + rng.standard_t(2, size=50)
    problem = Composite(Zero(4), AbsoluteError(torch.tensor(y), q), MatrixOperator(torch.tensor(A)))
    found = run(problem, torch.zeros(4).double())
    split = np.hstack([A, np.eye(50), -np.eye(50)])  # A w - y = minus - plus of the residuals
    costs = np.concatenate([np.zeros(4), np.full(50, 1 - q), np.full(50, q)])
    bounds = [(None, None)] * 4 + [(0, None)] * 100
    exact = scipy.optimize.linprog(costs, A_eq=split, b_eq=y, bounds=bounds, method="highs")
    assert found[-1].value == pytest.approx(exact.fun, rel=1e-9)
    assert np.allclose(found[-1].w, exact.x[:4], atol=1e-7)


@pytest.mark.parametrize(("n", "p"), [(60, 15), (25, 60)])
def test_without_an_operator_it_solves_the_lasso(n, p):
    rng = np.random.default_rng(3)
    X = rng.normal(size=(n, p))
    y = X[:, :3] @ np.array([2.0, -1.0, 0.5]) + 0.1 * rng.normal(size=n)
    linear = LinearModel(MatrixOperator(torch.tensor(X)), torch.tensor(y), SquaredError(), scale=1 / n)
    found = run(Composite(LinearModelTerm(linear), L1(0.05)), torch.zeros(p).double())
    other = Lasso(alpha=0.05, fit_intercept=False, tol=1e-14, max_iter=100_000).fit(X, y).coef_
    assert np.allclose(found[-1].w, other, atol=1e-7)


@pytest.mark.parametrize("seed", range(4))
def test_it_takes_few_iterations_whatever_the_size(seed):
    counts = []
    for n in (20, 200, 2000):
        y = signal(n, seed=seed)
        problem = Composite(SquaredDistance(y), L1(1.0), FirstDifference(n))
        counts.append(next(k for k, i in enumerate(run(problem, torch.zeros_like(y)), 1) if i.measure < 1e-8))
    assert max(counts) <= 20


def test_one_jump_is_enough():
    y = torch.tensor([0.0, 4.0], dtype=torch.float64)
    found = run(Composite(SquaredDistance(y), L1(1.0), FirstDifference(2)), torch.zeros_like(y))
    assert torch.allclose(found[-1].w, torch.tensor([1.0, 3.0]).double(), atol=1e-12)


def test_a_start_at_the_answer_ends_there_too():
    y = torch.tensor([0.0, 0.0, 6.0, 6.0], dtype=torch.float64)
    answer = torch.tensor([1.0, 1.0, 5.0, 5.0], dtype=torch.float64)
    found = run(Composite(SquaredDistance(y), L1(2.0), FirstDifference(4)), answer)
    assert torch.allclose(found[-1].w, answer, atol=1e-12)
    assert len(found) < MOST


def test_float32_stays_float32_and_gets_as_far_as_its_digits():
    y = signal(60, dtype=torch.float32)
    problem = Composite(SquaredDistance(y), L1(0.6), FirstDifference(60, dtype=torch.float32))
    found = run(problem, torch.zeros_like(y))
    assert found[-1].w.dtype == torch.float32
    assert np.allclose(found[-1].w, total_variation(y.double().numpy(), 0.6), atol=1e-3)
    assert len(found) < MOST


def test_it_does_the_same_twice_and_books_its_factorisations():
    y = signal(60)
    problem = Composite(SquaredDistance(y), L1(0.6), FirstDifference(60))
    first, second = (run(problem, torch.zeros_like(y), most=8) for _ in range(2))
    assert all(torch.equal(a.w, b.w) for a, b in zip(first, second, strict=True))
    assert problem.counts["factorizations"] == 16


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("weight", [1e-5, 0.3, 1e4])
def test_kinks_are_found_to_rounding_at_any_weight(weight, dtype):
    like = torch.zeros(5, dtype=dtype)
    kinks = Kinks.of(L1(weight), like=like)
    eps = torch.finfo(dtype).eps
    assert torch.allclose(kinks.high, torch.full_like(like, weight), rtol=4 * eps, atol=0)
    assert torch.allclose(kinks.low, torch.full_like(like, -weight), rtol=4 * eps, atol=0)
    assert torch.equal(kinks.kink, like)


def test_kinks_may_lie_anywhere_and_differ_from_entry_to_entry():
    y = torch.tensor([1e3, -2.0, 0.0, 1e-3], dtype=torch.float64)
    kinks = Kinks.of(AbsoluteError(y, 0.8), like=y)
    assert torch.equal(kinks.kink, y)
    assert torch.allclose(kinks.low, torch.full_like(y, -0.2), rtol=1e-14)
    weights = torch.tensor([1.0, 0.5, 2.0, 1e-3], dtype=torch.float64)
    assert torch.allclose(Kinks.of(WeightedL1(weights), like=y).high, weights, rtol=1e-14)


@pytest.mark.parametrize(
    "penalty",
    [ElasticNetPenalty(1.0, 1.0), LInf(1.0), NonnegativeL1(1.0), MCP(1.0, 3.0)],
    ids=lambda g: type(g).__name__,
)
def test_penalties_of_another_shape_are_no_kinks(penalty):
    assert Kinks.of(penalty, like=torch.zeros(6, dtype=torch.float64)) is None


@pytest.mark.parametrize(
    ("problem", "reason"),
    [
        (Composite(SquaredDistance(torch.zeros(3)), LInf(1.0)), "LInf, which is not linear but for a kink per entry"),
        (
            Composite(FunctionTerm(lambda w: w.exp().sum(), 3, is_convex=True), L1(1.0)),
            "smooth part that is no quadratic",
        ),
        (
            Composite(SquaredDistance(torch.zeros(2)), WeightedL1(torch.tensor([1.0, 0.0]))),
            "entries without a penalty",
        ),
        (Composite(SquaredDistance(torch.zeros(3))), "no penalty"),
    ],
)
def test_what_it_cannot_solve_is_refused_with_the_reason(problem, reason):
    assert reason in DualInteriorPoint().refusal(problem)


def test_what_it_can_solve_is_not_refused():
    assert DualInteriorPoint().refusal(Composite(SquaredDistance(torch.zeros(3)), L1(1.0), FirstDifference(3))) == ""
