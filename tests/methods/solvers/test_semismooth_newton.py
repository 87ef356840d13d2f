"""Semismooth Newton with the whole Hessian against scipy's active sets, scikit-learn, and the optimality conditions."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.optimize import lsq_linear, minimize, nnls
from sklearn.linear_model import ElasticNet

import optwise as ow
from optwise.core.composite import Composite, start_row
from optwise.core.status import Status
from optwise.methods.solvers.semismooth_newton import SemismoothNewton, _Bounds
from optwise.problems.terms.sets.boxes import Box

INF = math.inf


def data(n, p, *, seed=0, spread=0.0):
    """A design whose columns differ in length by up to ``10 ** (2 spread)``."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, p)) * 10.0 ** rng.uniform(-spread, spread, p)
    return X, rng.standard_normal(n) + X @ rng.standard_normal(p)


def solved(problem, tol=1e-10):
    run = ow.solve(problem, SemismoothNewton(), tol=tol)
    assert run.status in (Status.OPTIMAL, Status.STATIONARY), run.why
    return run


def squares(X, y, w):
    return float(((X @ w - y) ** 2).sum()) / (2 * len(y))


@pytest.mark.parametrize("spread", [0.0, 1.0, 3.0])
@pytest.mark.parametrize(("n", "p"), [(40, 12), (30, 30), (20, 50)])
def test_nonnegative_least_squares_as_scipy_solves_them_whatever_the_scales(n, p, spread):
    for seed in range(4):
        X, y = data(n, p, seed=seed, spread=spread)
        run = solved(ow.problems.nnls(X, y))
        theirs = squares(X, y, nnls(X, y, maxiter=100 * p)[0])
        ours = squares(X, y, run.w.numpy())
        assert bool((run.w >= 0).all())
        assert ours <= theirs * (1 + 1e-10) + 1e-12 * squares(X, y, np.zeros(p))
        assert run.counts["iterations"] <= (4 if ours > 1e-20 else 20)  # an optimum of 0 is followed into rounding


def test_least_squares_within_bounds_as_scipy_solves_them():
    for seed in range(6):
        X, y = data(40, 15, seed=seed, spread=1.0)
        rng = np.random.default_rng(seed)
        low = np.where(rng.random(15) < 0.3, -INF, rng.uniform(-1, 0, 15))
        high = np.where(rng.random(15) < 0.3, INF, rng.uniform(0, 1, 15))
        high[3] = low[3] = 0.25  # one coordinate has no choice
        problem = replace(ow.problems.least_squares(X, y), constraint=Box(torch.tensor(low), torch.tensor(high)))
        run = solved(problem)
        # scipy wants room between its bounds
        theirs = lsq_linear(X, y, (low - 1e-13 * (low == high), high + 1e-13 * (low == high)), method="bvls", tol=1e-14)
        assert squares(X, y, run.w.numpy()) <= theirs.cost / 40 * (1 + 1e-9)
        assert np.allclose(run.w.numpy(), theirs.x, atol=1e-6 * np.abs(theirs.x).max())
        assert run.w[3] == 0.25


def test_an_elastic_net_as_scikit_learn_solves_it():
    X, y = data(60, 30)
    run = solved(ow.problems.elastic_net(X, y, 0.3, 0.1))
    theirs = ElasticNet(alpha=0.4, l1_ratio=0.75, fit_intercept=False, tol=1e-14, max_iter=100_000).fit(X, y).coef_
    assert np.allclose(run.w.numpy(), theirs, atol=1e-8)
    assert ((run.w == 0).numpy() == (theirs == 0)).all()


@pytest.mark.parametrize("spread", [0.0, 2.0])
def test_sparse_softmax_regression_is_certified_whatever_the_scales(spread):
    X, _ = data(60, 20, spread=spread)
    y = np.random.default_rng(1).integers(0, 3, 60)
    run = solved(ow.problems.softmax(X, y, l1=0.02), tol=1e-8)
    assert run.status is Status.OPTIMAL
    assert 0 < int((run.w == 0).sum()) < run.w.numel()
    assert run.counts["iterations"] <= 40


def test_any_convex_function_within_bounds_as_scipy_solves_it():
    a = torch.linspace(-2, 2, 8, dtype=torch.float64)

    def f(w):
        return torch.logsumexp(w * a, 0) + 0.1 * (w - 1).pow(4).sum()

    run = solved(ow.problems.smooth(f, [0.5] * 8, (0.0, 0.8), convex=True))
    theirs = minimize(
        lambda w: float(f(torch.from_numpy(w))), np.full(8, 0.5), bounds=[(0, 0.8)] * 8, options={"ftol": 1e-15}
    )
    assert run.value <= theirs.fun * (1 + 1e-12)
    assert np.allclose(run.w.numpy(), theirs.x, atol=1e-5)
    w = run.w.clone().requires_grad_()
    f(w).backward()
    inside = (run.w > 0) & (run.w < 0.8)
    assert inside.any()
    assert not inside.all()
    assert float(w.grad[inside].abs().max()) < 1e-8
    assert bool((w.grad[run.w == 0] >= 0).all())
    assert bool((w.grad[run.w == 0.8] <= 0).all())


def test_newtons_rate_near_the_answer():
    """Each violation is at most a multiple of the square of the one before, but for the share that models leave."""
    X, _ = data(80, 10)
    y = np.sign(np.random.default_rng(2).standard_normal(80))
    problem = ow.problems.logistic(X, y, l1=0.02)
    trace = ow.solve(problem, SemismoothNewton(), tol=1e-13).trace
    assert len(trace) <= 10


def test_saturated_losses_are_given_curvature_until_a_step_helps():
    """Far from zero the Hessian of a softmax all but vanishes, and undamped steps lead anywhere."""
    X, _ = data(30, 10, spread=1.0)
    y = np.random.default_rng(3).integers(0, 3, 30)
    problem = ow.problems.softmax(X, y, l1=0.01)
    far = 50.0 * torch.randn(30, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    run = ow.solve(problem, SemismoothNewton(), tol=1e-8, w0=far)
    assert run.status is Status.OPTIMAL
    assert run.value == pytest.approx(solved(problem, tol=1e-8).value, rel=1e-7)


def test_a_model_without_curvature_to_speak_of_is_no_crash():
    """Losses so saturated that the inverse of their curvature overflows: the proximal step remains finite."""
    X, classes = np.array([[1.0], [-1.0]]), np.array([0, 1])
    start = torch.tensor([360.0, -360.0], dtype=torch.float64)  # margins of 720: a curvature of exp(-720), or 1e-313
    run = ow.solve(ow.problems.softmax(X, classes, l1=100.0), SemismoothNewton(), w0=start)
    assert run.status is Status.OPTIMAL
    assert run.w.count_nonzero() == 0  # a penalty above every slope at zero


def test_in_single_precision_it_gets_as_far_as_that_goes():
    X, y = data(40, 12)
    run = ow.solve(ow.problems.nnls(X.astype(np.float32), y.astype(np.float32)), SemismoothNewton(), tol=1e-5)
    assert run.status is Status.OPTIMAL
    assert run.w.dtype == torch.float32


def test_the_objective_never_rises_and_points_stay_within_bounds():
    X, y = data(30, 40, spread=2.0)
    problem = ow.problems.nnls(X, y)
    composite, w = Composite.of(problem), start_row(problem)
    values = [composite.value(w)]
    for found in SemismoothNewton().solve(composite, w):
        assert bool((found.w >= 0).all())
        values.append(found.value)
    assert np.all(np.diff(values) <= 1e-15 * values[0])


def test_bounds_are_a_penalty_that_is_zero_within_them():
    bounds = _Bounds(torch.tensor([0.0, -INF, 1.0]), torch.tensor([INF, 2.0, 1.0]))
    inside, outside = torch.tensor([0.0, 2.0, 1.0]), torch.tensor([-1.0, 0.0, 1.0])
    assert bounds.value(torch.stack([inside, outside])).tolist() == [0.0, INF]
    assert bounds.prox(outside, 3.0).tolist() == [0.0, 0.0, 1.0]
    # at a lower bound only what would grow violates, at an upper one what would shrink, at both nothing
    g = torch.tensor([1.0, 1.0, 1.0])
    assert bounds.violation(inside, g).tolist() == [0.0, 1.0, 0.0]
    assert bounds.violation(inside, -g).tolist() == [1.0, 0.0, 0.0]
    assert bounds.prox_derivative(torch.tensor([0.5, 3.0, 1.0]), 1.0).tolist() == [1.0, 0.0, 0.0]
    assert bounds.restricted(torch.tensor([1])).high.tolist() == [2.0]


@pytest.mark.parametrize(
    ("problem", "said"),
    [
        (lambda X, y: ow.problems.ridge(X, y, 0.1), "has neither a penalty nor bounds"),
        (lambda X, y: ow.problems.group_lasso(X, y, 0.1, np.arange(6) // 2), "needs a subdifferential by coordinate"),
        (lambda X, y: replace(ow.problems.lasso(X, y, 0.1), constraint=Box(torch.zeros(6), torch.ones(6))), "alone"),
    ],
)
def test_what_it_cannot_look_after_it_refuses(problem, said):
    X, y = data(20, 6)
    with pytest.raises(ow.CallerError, match=said):
        ow.solve(problem(X, y), SemismoothNewton())
