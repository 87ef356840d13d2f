"""Quadratics by products: conjugate gradients, LSQR and LSMR against dense algebra."""

import math

import numpy as np
import pytest
import torch

import optwise as ow
from optwise.core.composite import Composite, start_row
from optwise.methods.solvers.krylov import LSMR, LSQR, ConjugateGradient

SOLVERS = [ConjugateGradient(), LSQR(), LSMR()]


def design(n, p, kappa, seed=0):
    """A design [n, p] with singular values from 1 down to 1 / kappa, and labels [n]."""
    rng = np.random.default_rng(seed)
    k = min(n, p)
    left, right = (np.linalg.qr(rng.standard_normal((size, k)))[0] for size in (n, p))
    X = left * np.geomspace(1.0, 1.0 / kappa, k) @ right.T
    return X, X @ rng.standard_normal(p) + 0.1 * rng.standard_normal(n)


def run(solver, problem, *, w=None, most=3000):
    """All iterates until the solver gives up."""
    composite = Composite.of(problem)
    found = []
    for iterate in solver.solve(composite, start_row(problem) if w is None else w):
        found.append(iterate)
        if len(found) == most:
            break
    return found, composite


@pytest.mark.parametrize("solver", SOLVERS, ids=lambda s: s.label)
@pytest.mark.parametrize(("n", "p", "kappa"), [(60, 20, 10.0), (60, 20, 1e3), (20, 20, 1e2), (40, 1, 1.0)])
def test_they_end_at_the_least_squares_answer(solver, n, p, kappa):
    X, y = design(n, p, kappa)
    found, _ = run(solver, ow.problems.least_squares(X, y))
    best, *_ = np.linalg.lstsq(X, y, rcond=None)
    # rounding reaches w times the condition number, of X for the recursions on X and of H for conjugate gradients
    condition = kappa**2 if isinstance(solver, ConjugateGradient) else kappa
    assert np.allclose(found[-1].w.numpy(), best, rtol=0, atol=1e-13 * condition**1.5 * np.linalg.norm(best))


@pytest.mark.parametrize("solver", SOLVERS, ids=lambda s: s.label)
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_a_ridge_is_part_of_the_system(solver, reduction):
    X, y = design(30, 50, 100.0)
    found, _ = run(solver, ow.problems.ridge(X, y, 0.01, reduction=reduction))
    scale = 1 / 30 if reduction == "mean" else 1.0
    answer = np.linalg.solve(scale * X.T @ X + 0.01 * np.eye(50), scale * X.T @ y)
    assert np.allclose(found[-1].w.numpy(), answer, atol=1e-10)


@pytest.mark.parametrize("solver", SOLVERS, ids=lambda s: s.label)
def test_of_many_answers_they_find_the_nearest_one_to_the_start(solver):
    X, y = design(20, 50, 10.0)
    found, _ = run(solver, ow.problems.least_squares(X, y))
    assert np.allclose(found[-1].w.numpy(), np.linalg.pinv(X) @ y, atol=1e-9)


@pytest.mark.parametrize("solver", SOLVERS, ids=lambda s: s.label)
def test_values_they_say_are_values(solver):
    X, y = design(60, 20, 100.0)
    problem = ow.problems.ridge(X, y, 1e-3)
    found, _ = run(solver, problem)
    for iterate in found[:40]:
        assert iterate.value == pytest.approx(float(problem.function().value(iterate.w)), rel=1e-12)


@pytest.mark.parametrize("solver", SOLVERS, ids=lambda s: s.label)
def test_they_end_within_as_many_iterations_as_there_are_singular_values(solver):
    X, y = design(60, 12, 5.0)
    problem = ow.problems.least_squares(X, y)
    found, _ = run(solver, problem)
    best, *_ = np.linalg.lstsq(X, y, rcond=None)
    assert np.allclose(found[11].w.numpy(), best, atol=1e-8)


def test_conjugate_gradients_keep_to_their_bound():
    X, y = design(200, 50, 10.0)
    problem = ow.problems.least_squares(X, y, reduction="sum")
    found, _ = run(ConjugateGradient(), problem)
    best = np.linalg.lstsq(X, y, rcond=None)[0]
    start = float(np.square(X @ best).sum())  # twice the gap at zero
    rate = (10.0 - 1) / (10.0 + 1)  # kappa(H) is kappa(X) squared
    for k, iterate in enumerate(found[:60], 1):
        error = float(np.square(X @ (iterate.w.numpy() - best)).sum())
        assert error <= 4 * rate ** (2 * k) * start + 1e-24


@pytest.mark.parametrize("solver", SOLVERS, ids=lambda s: s.label)
def test_a_start_elsewhere_leads_to_the_same_answer(solver):
    X, y = design(60, 20, 10.0)
    problem = ow.problems.least_squares(X, y)
    found, _ = run(solver, problem, w=torch.full((20,), 100.0, dtype=torch.float64))
    assert np.allclose(found[-1].w.numpy(), np.linalg.lstsq(X, y, rcond=None)[0], atol=1e-10)


@pytest.mark.parametrize("solver", SOLVERS, ids=lambda s: s.label)
def test_a_start_at_the_answer_is_left_at_once(solver):
    problem = ow.problems.least_squares(np.eye(3), np.zeros(3))
    found, _ = run(solver, problem)
    assert len(found) <= 1
    assert all(iterate.value == 0 for iterate in found)


@pytest.mark.parametrize("solver", SOLVERS, ids=lambda s: s.label)
def test_they_need_no_entries_of_the_design(solver):
    from scipy.sparse import random as sparse

    X = sparse(80, 30, density=0.3, random_state=0, format="csr") + sparse(80, 30, density=0.05, random_state=1)
    y = np.random.default_rng(0).standard_normal(80)
    found, _ = run(solver, ow.problems.least_squares(X, y))
    assert np.allclose(found[-1].w.numpy(), np.linalg.lstsq(X.toarray(), y, rcond=None)[0], atol=1e-9)


@pytest.mark.parametrize("solver", SOLVERS, ids=lambda s: s.label)
def test_they_give_up_at_rounding_and_loop_no_longer(solver):
    X, y = design(60, 20, 1e7)
    found, _ = run(solver, ow.problems.least_squares(X, y), most=100_000)
    assert len(found) < 2_000
    assert math.isfinite(found[-1].value)


def test_products_are_counted():
    X, y = design(60, 20, 10.0)
    found, composite = run(LSQR(), ow.problems.least_squares(X, y), most=10)
    assert composite.counts["products"] == pytest.approx(2 * len(found), abs=2)
    found, composite = run(ConjugateGradient(), ow.problems.least_squares(X, y), most=10)
    assert composite.counts["hvps"] == len(found)
