"""Proximal gradient steps, plain and with momentum: answers of others, rates of theory, walls and rounding."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.optimize import lsq_linear, nnls
from sklearn.linear_model import Lasso

import optwise as ow
from optwise.core.composite import Composite, start_row
from optwise.methods.solvers.proximal import FISTA, ProximalGradient
from optwise.problems.terms.penalties import L0, L1
from optwise.problems.terms.sets import Simplex

SOLVERS = [ProximalGradient(), FISTA()]
EITHER = pytest.mark.parametrize("solver", SOLVERS, ids=lambda solver: solver.label)


def data(n=60, p=15, kappa=10.0, seed=0):
    rng = np.random.default_rng(seed)
    left, right = (np.linalg.qr(rng.standard_normal((size, p)))[0] for size in (n, p))
    X = np.sqrt(n) * left * np.geomspace(1, 1 / kappa, p) @ right.T
    return X, X @ rng.standard_normal(p) + 0.3 * rng.standard_normal(n)


def run(solver, problem, *, most=4000, measure=1e-13):
    composite, found = Composite.of(problem), []
    for iterate in solver.solve(composite, start_row(problem)):
        found.append(iterate)
        if iterate.measure <= measure or len(found) == most:
            break
    return found, composite


@EITHER
def test_a_lasso_ends_where_scikit_learn_ends(solver):
    X, y = data()
    found, _ = run(solver, ow.problems.lasso(X, y, 0.05))
    theirs = Lasso(alpha=0.05, fit_intercept=False, tol=1e-15, max_iter=1_000_000).fit(X, y).coef_
    assert np.allclose(found[-1].w.numpy(), theirs, atol=1e-6)
    assert ((found[-1].w.numpy() == 0) == (theirs == 0)).all()


@EITHER
def test_sets_are_projected_onto(solver):
    X, y = data()
    found, _ = run(solver, ow.problems.nnls(X, y))
    assert np.allclose(found[-1].w.numpy(), nnls(X, y)[0], atol=1e-6)
    assert all(bool((iterate.w >= 0).all()) for iterate in found)
    Xt, yt = torch.from_numpy(X), torch.from_numpy(y)
    boxed = ow.problems.smooth(lambda w: 0.5 * (Xt @ w - yt).square().mean(), np.zeros(15), (-0.3, 0.4), convex=True)
    found, _ = run(solver, boxed, measure=1e-10)
    assert np.allclose(found[-1].w.numpy(), lsq_linear(X, y, (-0.3, 0.4), tol=1e-14).x, atol=1e-6)


@EITHER
def test_without_a_penalty_they_are_gradient_methods(solver):
    X, y = data()
    found, _ = run(solver, ow.problems.least_squares(X, y), measure=1e-17)
    assert np.allclose(found[-1].w.numpy(), np.linalg.lstsq(X, y, rcond=None)[0], atol=1e-8)


def test_fista_keeps_to_its_bound():
    X, y = data(kappa=100.0)
    problem = ow.problems.lasso(X, y, 0.01)
    best = ow.solve(problem, method="proximal-newton", tol=1e-13)
    L, distance = problem.smooth.lipschitz, float((best.w**2).sum())
    found, _ = run(FISTA(), problem)
    for k, iterate in enumerate(found, 1):
        assert iterate.value - best.value <= 2 * L * distance / (k + 1) ** 2 + 1e-12


def test_momentum_pays_where_the_condition_is_bad():
    X, y = data(kappa=100.0)
    plain, fast = (run(solver, ow.problems.ridge(X, y, 1e-4), measure=1e-8)[0] for solver in SOLVERS)
    assert len(fast) < len(plain) / 3


def test_plain_steps_never_rise():
    X, y = data()
    values = [iterate.value for iterate in run(ProximalGradient(), ow.problems.lasso(X, y, 0.05))[0]]
    assert all(later <= earlier * (1 + 1e-15) for earlier, later in pairwise(values))


def test_a_penalty_that_is_not_convex_is_for_plain_steps_alone():
    X, y = data()
    problem = ow.problems.composite(ow.problems.least_squares(X, y).smooth, L0(0.05), w0=np.ones(15))
    found, _ = run(ProximalGradient(), problem, most=500)
    zeros = int((found[-1].w == 0).sum())
    assert 0 < zeros < 15
    with pytest.raises(ow.CallerError, match="convexity of the penalty"):
        ow.solve(problem, method="fista")


@EITHER
def test_a_wall_of_nan_shortens_the_step(solver):
    problem = ow.problems.composite(lambda w: (w - w.log()).sum(), L1(0.5), w0=[0.01, 3.0], convex=True)
    found, _ = run(solver, problem, measure=1e-9)
    assert all(math.isfinite(iterate.value) for iterate in found)
    assert torch.allclose(found[-1].w, torch.full((2,), 2 / 3, dtype=torch.float64), atol=1e-6)


@EITHER
def test_the_measure_is_an_estimate_of_the_certificate(solver):
    X, y = data()
    problem = ow.problems.lasso(X, y, 0.05)
    run_ = ow.solve(problem, method=solver, tol=1e-6)
    assert run_.certificate.value <= 1e-6
    assert run_.counts["iterations"] < 500


@EITHER
def test_they_give_up_at_rounding(solver):
    X, y = data(n=20, p=3)
    found, _ = run(solver, ow.problems.lasso(X, y, 0.1), most=20_000, measure=-1.0)
    assert len(found) < 20_000


@EITHER
def test_both_parts_at_once_are_refused_by_name(solver):
    X, y = data()
    problem = ow.problems.composite(
        ow.problems.least_squares(X, y).smooth, L1(0.1), w0=np.zeros(15), constraint=Simplex()
    )
    with pytest.raises(ow.CallerError, match="one proximal map for the penalty and the set together"):
        ow.solve(problem, method=solver)


@EITHER
def test_float32_stays_float32(solver):
    X, y = data()
    found, _ = run(solver, ow.problems.lasso(X.astype(np.float32), y.astype(np.float32), 0.05), measure=1e-5)
    assert found[-1].w.dtype == torch.float32
    assert found[-1].measure <= 1e-5
