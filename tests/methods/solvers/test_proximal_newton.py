"""Proximal Newton against scikit-learn and scipy, and against optimality conditions worked out here."""

from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np
import pytest
import scipy.optimize
import torch
from sklearn.linear_model import ElasticNet, Lasso, LogisticRegression
from torch import Tensor

from optwise.core.composite import Composite
from optwise.core.loss import LinearModel, Loss
from optwise.core.matching import mismatch
from optwise.core.penalty import Penalty
from optwise.methods.solvers.proximal_newton import ProximalNewton
from optwise.problems.formulations import lasso as lasso_problem
from optwise.problems.terms.linear_models import LinearModelTerm
from optwise.problems.terms.operators import FirstDifference, MatrixOperator
from optwise.problems.terms.penalties import L1, ElasticNetPenalty, NonnegativeL1, SquaredL2, WeightedL1
from optwise.problems.terms.predictions import HuberLoss, LogisticLoss, SquaredError, SquaredHinge
from optwise.problems.terms.sets import Nonnegative

SHAPES = [(50, 120, 0.5), (200, 40, 0.5), (60, 60, 0.9), (40, 150, 0.99), (40, 1, 0.0), (1, 30, 0.0)]


def data(n, p, rho=0.5, seed=0, noise=0.3):
    """Columns that follow each other with correlation rho, ten true coefficients."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, p))
    for j in range(1, p):
        X[:, j] = rho * X[:, j - 1] + np.sqrt(1 - rho**2) * X[:, j]
    w = np.zeros(p)
    w[rng.permutation(p)[:10]] = rng.standard_normal(min(p, 10))
    return X, X @ w + noise * rng.standard_normal(n)


def composite(X, y, penalty, *, loss=None, l2=0.0, dtype=torch.float64, tol=1e-13):
    # columns lie together, as in numpy.asfortranarray
    X, y = torch.tensor(np.ascontiguousarray(X.T), dtype=dtype).mT, torch.tensor(y, dtype=dtype)
    f = LinearModelTerm(LinearModel(MatrixOperator(X), y, loss or SquaredError(), 1 / len(y), l2))
    return Composite(f, penalty, tol=tol)


def run(problem, w=None, *, solver=None, most=60):
    """All iterates until the solver says that it can do no better, which it must."""
    w = torch.zeros(problem.dimension, dtype=problem.smooth.model.y.dtype) if w is None else w
    found = []
    for iterate in (solver or ProximalNewton()).solve(problem, w):
        found.append(iterate)
        assert len(found) < most
    return found


def largest_weight(X, y, loss=None):
    """The weight from which the lasso, or its logistic kin, answers 0."""
    return np.abs(X.T @ y).max() / len(y) * (0.5 if isinstance(loss, LogisticLoss) else 1.0)


def slopes(loss, z, y):
    """Derivatives of the losses in z, in formulas of our own."""
    margin = 1 - y * z
    return {
        SquaredError: z - y,
        HuberLoss: np.clip(z - y, -getattr(loss, "delta", 1.0), getattr(loss, "delta", 1.0)),
        LogisticLoss: -y / (1 + np.exp(y * z)),
        SquaredHinge: -y * np.maximum(margin, 0),
    }[type(loss)]


def off_l1(X, y, w, weight, *, loss=None, l2=0.0):
    """How far the optimality conditions of an l1 penalty are from holding, relative to the largest gradient."""
    loss = loss or SquaredError()
    gradient = X.T @ slopes(loss, X @ w, y) / len(y) + l2 * w
    off = np.where(w == 0, np.maximum(np.abs(gradient) - weight, 0), np.abs(gradient + weight * np.sign(w)))
    return off.max() / np.abs(X.T @ slopes(loss, 0 * y, y) / len(y)).max()


def gap(X, y, w, weight, theta=None):
    """The relative duality gap of a lasso, at the scaled residual or at a dual point offered."""
    n, r = len(y), y - X @ w
    primal = r @ r / (2 * n) + weight * np.abs(w).sum()
    theta = -r / n if theta is None else theta
    theta = theta * min(1.0, weight / np.abs(X.T @ theta).max())
    return (primal - (-theta @ y - n / 2 * theta @ theta)) / primal


@pytest.mark.parametrize("share", [0.5, 0.05, 0.005])
@pytest.mark.parametrize(("n", "p", "rho"), SHAPES)
def test_a_lasso_ends_where_scikit_learn_ends(n, p, rho, share):
    X, y = data(n, p, rho)
    weight = share * largest_weight(X, y)
    found = run(composite(X, y, L1(weight)))
    w = found[-1].w.numpy()
    theirs = Lasso(alpha=weight, fit_intercept=False, tol=1e-14, max_iter=1_000_000).fit(X, y).coef_
    assert np.allclose(w, theirs, atol=1e-6 * np.abs(theirs).max())  # coordinate descent stops on its gap, not on w
    assert off_l1(X, y, w, weight) < 1e-14
    # a gap is rounding over the weight: the residual has the rounding of y
    assert gap(X, y, w, weight) < 1e-14 / share
    assert found[-1].measure < 1e-14 / share


@pytest.mark.parametrize("share", [1.0, 1.5])
def test_a_weight_that_kills_all_coefficients_gives_zero_at_once(share):
    X, y = data(60, 200)
    found = run(composite(X, y, L1(share * largest_weight(X, y) * (1 + 1e-14))))
    assert not found[0].w.any()
    assert found[0].measure < 1e-13


def test_no_weight_leaves_least_squares():
    X, y = data(200, 30, 0.9)
    w = run(composite(X, y, L1(0.0)))[-1].w.numpy()
    assert np.allclose(w, np.linalg.lstsq(X, y, rcond=None)[0], atol=1e-10)


def test_no_weight_and_few_examples_leave_no_residual():
    X, y = data(30, 200)
    found = run(composite(X, y, L1(0.0)))
    assert np.abs(X @ found[-1].w.numpy() - y).max() < 1e-12
    assert found[-1].value < 1e-28  # rounding is all that is left of F


@pytest.mark.parametrize("penalty", ["in the model", "in the penalty"])
@pytest.mark.parametrize(("n", "p", "rho"), SHAPES)
def test_an_elastic_net_ends_where_scikit_learn_ends(n, p, rho, penalty):
    X, y = data(n, p, rho)
    l1, l2 = 0.05 * largest_weight(X, y), 0.1
    g, own = (L1(l1), l2) if penalty == "in the model" else (ElasticNetPenalty(l1, l2), 0.0)
    found = run(composite(X, y, g, l2=own))
    net = ElasticNet(alpha=l1 + l2, l1_ratio=l1 / (l1 + l2), fit_intercept=False, tol=1e-15, max_iter=1_000_000)
    assert np.allclose(found[-1].w.numpy(), net.fit(X, y).coef_, atol=1e-7)
    assert off_l1(X, y, found[-1].w.numpy(), l1, l2=l2) < 1e-14
    assert found[-1].measure < 1e-13


def test_a_squared_penalty_is_ridge_regression():
    X, y = data(40, 100)
    w = run(composite(X, y, SquaredL2(0.3)))[-1].w.numpy()
    assert np.allclose(w, np.linalg.solve(X.T @ X / 40 + 0.3 * np.eye(100), X.T @ y / 40), atol=1e-11)


@pytest.mark.parametrize("share", [0.3, 0.01, 1e-4])
def test_duplicate_opposite_and_empty_columns_do_no_harm(share):
    X, y = data(50, 40)
    X = np.hstack([X, X, -X[:, :20], np.zeros((50, 5))])
    weight = share * largest_weight(X, y)
    found = run(composite(X, y, L1(weight)))
    w = found[-1].w.numpy()
    assert off_l1(X, y, w, weight) < 1e-13
    alone = run(composite(X[:, :40], y, L1(weight)))[-1]
    assert found[-1].value == pytest.approx(alone.value, rel=1e-12)
    assert not w[-5:].any()


@pytest.mark.parametrize("share", [0.05, 1e-3, 1e-5])
def test_weights_near_nothing_with_few_examples_are_followed_to_the_end(share):
    """More columns move than there are examples, so that the small systems are singular on the way."""
    X, y = data(30, 150, 0.9)
    weight = share * largest_weight(X, y)
    assert off_l1(X, y, run(composite(X, y, L1(weight)))[-1].w.numpy(), weight) < 1e-14


@pytest.mark.parametrize("share", [0.1, 0.0])
@pytest.mark.parametrize(("n", "p", "rho"), SHAPES[:4])
def test_coefficients_may_have_to_be_nonnegative(n, p, rho, share):
    X, y = data(n, p, rho)
    weight = share * largest_weight(X, y)
    found = run(composite(X, y, NonnegativeL1(weight)))
    w = found[-1].w.numpy()
    gradient = X.T @ (X @ w - y) / n + weight
    assert w.min() >= 0
    assert np.abs(gradient[w > 0]).max(initial=0.0) < 1e-13
    assert gradient.min() > -1e-13
    if share:
        theirs = Lasso(alpha=weight, positive=True, fit_intercept=False, tol=1e-14, max_iter=1_000_000).fit(X, y)
        assert np.allclose(w, theirs.coef_, atol=1e-6 * np.abs(theirs.coef_).max())
    elif n > p:
        assert np.allclose(w, scipy.optimize.nnls(X, y)[0], atol=1e-11)


def test_each_coefficient_may_have_its_own_weight():
    X, y = data(60, 100)
    weights = 0.2 * largest_weight(X, y) * np.random.default_rng(1).random(100)
    own = run(composite(X, y, WeightedL1(torch.from_numpy(weights))))[-1].w.numpy()
    theirs = run(composite(X / weights, y, L1(1.0)))[-1].w.numpy() / weights  # weights as scales of columns
    assert np.allclose(own, theirs, atol=1e-11)
    weights[::5] = 0.0
    w = run(composite(X, y, WeightedL1(torch.from_numpy(weights))))[-1].w.numpy()
    assert off_l1(X, y, w, weights) < 1e-13


@dataclass(frozen=True, eq=False)
class BoxL1(Penalty):
    """weight |w| between two bounds, 0 in between: a penalty with kinks in three places."""

    weight: float
    low: float
    high: float

    def value(self, w: Tensor) -> Tensor:
        inside = ((w >= self.low) & (w <= self.high)).all(-1)
        return torch.where(inside, self.weight * w.abs().sum(-1), torch.inf)

    def prox(self, v: Tensor, step: float) -> Tensor:
        return (v.sign() * (v.abs() - step * self.weight).clamp(min=0)).clamp(self.low, self.high)

    def violation(self, w: Tensor, g: Tensor) -> Tensor:
        slope = g + self.weight * w.sign()
        slope = torch.where(w == 0, g.sign() * (g.abs() - self.weight).clamp(min=0), slope)
        outward = ((w == self.low) & (slope > 0)) | ((w == self.high) & (slope < 0))
        return torch.where(outward, 0.0, slope.abs())

    def prox_derivative(self, v: Tensor, step: float) -> Tensor:
        x = self.prox(v, step)
        return ((x != 0) & (x > self.low) & (x < self.high)).to(v.dtype)

    def restricted(self, index: Tensor) -> Penalty:
        return self


@pytest.mark.parametrize("weight", [0.0, 0.05])
@pytest.mark.parametrize(("n", "p"), [(100, 30), (30, 100)])
def test_kinks_need_not_lie_at_zero(n, p, weight):
    X, y = data(n, p)
    w = run(composite(X, y, BoxL1(weight, -0.1, 0.2)))[-1].w.numpy()
    # halves that may not be negative make the l1 norm linear: a box problem of twice the size
    H, b = X.T @ X / n, X.T @ y / n
    double = np.block([[H, -H], [-H, H]])
    slope = np.concatenate([weight - b, weight + b])
    theirs = scipy.optimize.minimize(
        lambda v: (0.5 * v @ double @ v + slope @ v, double @ v + slope),
        np.zeros(2 * p),
        jac=True,
        bounds=[(0, 0.2)] * p + [(0, 0.1)] * p,
        options={"ftol": 1e-15, "gtol": 1e-12, "maxiter": 10_000},
    )
    own = 0.5 * w @ H @ w - b @ w + weight * np.abs(w).sum()
    assert own <= theirs.fun + 1e-9
    assert (w >= -0.1).all()
    assert (w <= 0.2).all()
    if n > p and not weight:
        assert np.allclose(w, scipy.optimize.lsq_linear(X, y, (-0.1, 0.2), tol=1e-15).x, atol=1e-7)


@pytest.mark.parametrize("share", [0.3, 0.03])
@pytest.mark.parametrize(("n", "p", "rho"), SHAPES[:4])
def test_sparse_logistic_regression_is_solved_to_rounding(n, p, rho, share):
    X, y = data(n, p, rho)
    y = np.sign(y)
    weight = share * largest_weight(X, y, LogisticLoss())
    found = run(composite(X, y, L1(weight), loss=LogisticLoss()))
    w = found[-1].w.numpy()
    assert off_l1(X, y, w, weight, loss=LogisticLoss()) < 1e-14
    assert found[-1].measure < 1e-13
    theirs = LogisticRegression(
        C=1 / (n * weight), l1_ratio=1, solver="liblinear", fit_intercept=False, tol=1e-8, max_iter=10_000
    ).fit(X, y)
    assert np.allclose(w, theirs.coef_[0], atol=1e-3 * np.abs(w).max())  # as far as liblinear goes in reasonable time


def test_logistic_regression_with_a_ridge_alone_is_newtons_method():
    X, y = data(150, 20)
    y = np.sign(y)
    found = run(composite(X, y, L1(0.0), loss=LogisticLoss(), l2=0.05))
    theirs = LogisticRegression(C=1 / (150 * 0.05), fit_intercept=False, tol=1e-12, max_iter=10_000).fit(X, y)
    assert np.allclose(found[-1].w.numpy(), theirs.coef_[0], atol=1e-7)
    assert off_l1(X, y, found[-1].w.numpy(), 0.0, loss=LogisticLoss(), l2=0.05) < 1e-14


@pytest.mark.parametrize("share", [0.3, 0.03, 0.003])
@pytest.mark.parametrize(("n", "p", "rho"), [(200, 50, 0.5), (60, 120, 0.5), (80, 80, 0.9)])
@pytest.mark.parametrize("loss", [HuberLoss(0.4), SquaredHinge()], ids=["huber", "squared hinge"])
def test_losses_whose_curvature_jumps_to_nothing_are_solved_to_rounding(n, p, rho, share, loss):
    X, y = data(n, p, rho)
    y = np.sign(y) if isinstance(loss, SquaredHinge) else y
    weight = share * np.abs(X.T @ slopes(loss, 0 * y, y)).max() / n
    w = run(composite(X, y, L1(weight), loss=loss))[-1].w.numpy()
    assert off_l1(X, y, w, weight, loss=loss) < 1e-13


@dataclass(frozen=True)
class LogBarrier(Loss):
    """z - y log z, which has no value for z <= 0."""

    walls: list[int] = field(default_factory=list)

    @property
    def smoothness(self) -> float:
        return float("inf")

    def values(self, z: Tensor, y: Tensor) -> Tensor:
        self.walls.append(int((z <= 0).sum()))
        return z - y * torch.log(z)

    def derivative(self, z: Tensor, y: Tensor) -> Tensor:
        return 1 - y / z

    def curvature(self, z: Tensor, y: Tensor) -> Tensor:
        return y / z**2


def test_a_wall_of_nan_shortens_the_step():
    rng = np.random.default_rng(0)
    X, y = rng.random((50, 8)) + 0.1, rng.random(50) + 0.5
    problem = composite(X, y, L1(0.01), loss=SquaredError())
    barrier = LogBarrier()
    model = replace(problem.smooth.model, loss=barrier)
    problem = Composite(LinearModelTerm(model), L1(0.01))
    found = run(problem, torch.full((8,), 3.0, dtype=torch.float64))
    w = found[-1].w.numpy()
    z = X @ w
    gradient = X.T @ (1 - y / z) / 50
    assert max(barrier.walls) > 0  # some trial did hit it
    assert all(np.isfinite(iterate.value) for iterate in found)
    assert z.min() > 0
    assert np.where(w == 0, np.maximum(np.abs(gradient) - 0.01, 0), np.abs(gradient + 0.01 * np.sign(w))).max() < 1e-13


@pytest.mark.parametrize("factor", [1e-8, 1e-3, 1e3, 1e8])
def test_units_do_not_matter(factor):
    X, y = data(60, 100)
    weight = 0.05 * largest_weight(X, y)
    plain = run(composite(X, y, L1(weight)))[-1].w
    for scaled, back in (
        (composite(factor * X, y, L1(factor * weight)), factor),
        (composite(X, factor * y, L1(factor * weight)), 1 / factor),
    ):
        assert torch.allclose(back * run(scaled)[-1].w, plain, atol=1e-11)


def test_columns_may_have_units_of_their_own():
    X, y = data(60, 100)
    X = X * np.geomspace(1e-3, 1e3, 100)
    weight = 0.01 * largest_weight(X, y)
    assert off_l1(X, y, run(composite(X, y, L1(weight)))[-1].w.numpy(), weight) < 1e-14


def test_float32_stays_float32_and_ends_at_its_rounding():
    X, y = data(100, 150)
    weight = float(np.float32(0.05 * largest_weight(X, y)))
    X, y = X.astype(np.float32), y.astype(np.float32)
    found = run(composite(X, y, L1(weight), dtype=torch.float32))
    assert found[-1].w.dtype == torch.float32
    assert found[-1].measure < 2e-6  # 16 rounding units over a share of 0.05
    exact = run(composite(X.astype(np.float64), y.astype(np.float64), L1(weight)))[-1].w
    assert torch.allclose(found[-1].w.double(), exact, atol=1e-5)


def test_the_order_of_memory_changes_no_answer():
    X, y = data(60, 200)
    problem = composite(X, y, L1(0.05))
    model = problem.smooth.model
    rows = replace(model, X=MatrixOperator(model.X.matrix.contiguous()))
    by_rows = replace(problem, smooth=LinearModelTerm(rows), counts=dict(problem.counts))
    assert torch.allclose(run(by_rows)[-1].w, run(problem)[-1].w, atol=1e-12)


@pytest.mark.parametrize(("gathered", "moving"), [(1, 1), (5, 2), (1000, 1000)])
def test_the_sizes_of_working_sets_change_no_answer(gathered, moving):
    X, y = data(60, 120)
    weight = 0.05 * largest_weight(X, y)
    found = run(composite(X, y, L1(weight)), solver=ProximalNewton(gathered=gathered, moving=moving), most=150)
    assert off_l1(X, y, found[-1].w.numpy(), weight) < 1e-14


@pytest.mark.parametrize("penalty", [L1(0.05), NonnegativeL1(0.05)], ids=["l1", "nonnegative"])
def test_it_may_start_anywhere(penalty):
    X, y = data(60, 100)
    from_zero = run(composite(X, y, penalty))[-1]
    far = torch.from_numpy(10 * np.random.default_rng(1).standard_normal(100))
    from_far = run(composite(X, y, penalty), far)
    assert torch.allclose(from_far[-1].w, from_zero.w, atol=1e-11)
    assert all(np.isfinite(iterate.value) for iterate in from_far)


def test_a_start_at_the_optimum_is_seen_at_once():
    X, y = data(60, 100)
    best = run(composite(X, y, L1(0.05)))[-1]
    again = run(composite(X, y, L1(0.05)), best.w)
    assert len(again) <= 3
    assert again[0].measure < 1e-13
    assert torch.allclose(again[0].w, best.w, atol=1e-13)


def test_nothing_to_explain_leaves_nothing():
    X, y = data(20, 30)
    found = run(replace(composite(X, 0 * y + 1e-300, L1(0.1))))
    assert not found[-1].w.any()
    assert not run(composite(0 * X, y, L1(0.1)))[-1].w.any()


def test_values_fall_and_the_measure_is_the_gap():
    X, y = data(100, 400)
    weight = 0.05 * largest_weight(X, y)
    found = run(composite(X, y, L1(weight)), solver=ProximalNewton(gathered=10, moving=5))
    assert len(found) > 4
    assert all(later.value <= earlier.value * (1 + 1e-15) for earlier, later in pairwise(found))
    for iterate in found:
        w = iterate.w.numpy()
        offered = [] if iterate.dual is None else [gap(X, y, w, weight, iterate.dual.numpy())]
        assert iterate.measure == pytest.approx(min([gap(X, y, w, weight), *offered]), rel=1e-6, abs=1e-13)


def test_a_dual_point_that_was_better_before_is_kept():
    X, y = data(100, 400)
    weight = 0.02 * largest_weight(X, y)
    found = run(composite(X, y, L1(weight)), solver=ProximalNewton(gathered=10, moving=5))
    kept = [iterate for iterate in found if iterate.dual is not None]
    assert kept
    for iterate in kept:
        w = iterate.w.numpy()
        assert gap(X, y, w, weight, iterate.dual.numpy()) <= gap(X, y, w, weight) * (1 + 1e-9) + 1e-14


def test_few_passes_over_the_design_are_made_and_all_are_counted():
    X, y = data(200, 4000)
    problem = composite(X, y, L1(0.2 * largest_weight(X, y)))
    found = []
    for iterate in ProximalNewton().solve(problem, torch.zeros(4000, dtype=torch.float64)):
        found.append(iterate)
        if iterate.measure < 1e-12:
            break
    assert len(found) <= 4
    assert problem.counts["gradients"] == len(found) + 1
    assert problem.counts["evaluations"] == len(found)
    # each full gradient is one product; passes over the block and its columns cost their share of one
    assert len(found) + 1 < problem.counts["products"] < len(found) + 4


def test_the_same_start_gives_the_same_bits():
    X, y = data(60, 200)
    first, second = (run(composite(X, y, L1(0.02))) for _ in range(2))
    assert len(first) == len(second)
    assert all(torch.equal(one.w, other.w) for one, other in zip(first, second, strict=True))


@pytest.mark.parametrize("part", [{"constraint": Nonnegative(10)}, {"operator": FirstDifference(10)}], ids="-".join)
def test_what_it_cannot_look_at_it_refuses(part):
    X, y = data(20, 10)
    assert "would ignore it" in mismatch(replace(lasso_problem(X, y, 0.1), **part), ProximalNewton())
