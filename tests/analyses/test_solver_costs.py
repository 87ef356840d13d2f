"""What solvers are predicted to cost, and what the direct ones say before they run."""

import math
import re

import numpy as np
import pytest
import torch

import optwise as ow
from optwise.analyses.preflight import design_condition, preflight
from optwise.analyses.solver_costs import TIE, Features, features, predicted_seconds, rank
from optwise.analyses.solver_reasons import reason_for
from optwise.core.composite import Composite
from optwise.methods.solvers import SOLVERS


def design(n, p, kappa, seed=0):
    rng = np.random.default_rng(seed)
    left, right = (np.linalg.qr(rng.standard_normal((size, min(n, p))))[0] for size in (n, p))
    X = left * np.geomspace(1, 1 / kappa, min(n, p)) @ right.T
    return X, rng.standard_normal(n)


def of_(problem, seconds=1e-4):
    return features(problem, torch.zeros(problem.dimension, dtype=torch.float64), seconds)


def composite(n=100, p=20, kappa=10.0, **more):
    X, y = design(n, p, kappa)
    return Composite.of(ow.problems.ridge(X, y, more["l2"]) if more else ow.problems.least_squares(X, y))


def test_every_solver_has_a_cost_and_a_reason():
    of = of_(composite())
    for name in SOLVERS:
        assert 0 < predicted_seconds(name, of) < math.inf, name
        assert not reason_for(name, of).startswith("it fits"), name


def test_a_solver_nobody_has_timed_comes_last():
    assert predicted_seconds("mine", of_(composite())) == math.inf


@pytest.mark.parametrize("name", SOLVERS)
def test_larger_problems_cost_no_less(name):
    small, large = (of_(composite(n, p), s) for n, p, s in ((100, 20, 1e-4), (1000, 200, 1e-3)))
    assert predicted_seconds(name, small) <= predicted_seconds(name, large)


SMOOTH_ONES = ("bfgs", "lbfgs", "newton", "newton-cg", "trust-region", "nonlinear-cg", "barzilai-borwein")


@pytest.mark.parametrize(("m", "p"), [(33, 5), (100, 8), (65, 11)])
def test_a_sum_of_squares_goes_to_a_method_that_knows_it_is_one(m, p):
    of = Features(m, p, 1e4, gradient_seconds=1e-4, dense=False, convex=False)
    best = min(predicted_seconds(name, of) for name in ("gauss-newton", "levenberg-marquardt"))
    assert best < min(predicted_seconds(name, of) for name in SMOOTH_ONES)


def test_without_a_bowl_more_iterations_are_expected():
    bowl, rough = (Features(0, 20, 1e4, 1e-4, dense=False, convex=convex) for convex in (True, False))
    for name in SMOOTH_ONES:
        assert predicted_seconds(name, rough) > predicted_seconds(name, bowl), name


def test_a_near_tie_goes_to_an_exact_answer():
    of = Features(300, 30, 1e2, 1e-5, quadratic=True)
    assert rank("cholesky", of) == TIE * predicted_seconds("cholesky", of)
    assert rank("newton", of) == predicted_seconds("newton", of)
    assert rank("cholesky", of) < rank("newton", of)


def test_a_dear_projection_counts_against_methods_of_many_iterations():
    cheap, dear = (Features(256, 1024, 1e4, 1e-5, simple_seconds=seconds) for seconds in (1e-5, 1e-3))
    assert predicted_seconds("douglas-rachford", dear) < predicted_seconds("pdhg", dear)
    for name in ("pdhg", "fista", "projected-gradient", "douglas-rachford"):
        assert predicted_seconds(name, dear) > predicted_seconds(name, cheap), name


def test_the_condition_is_guessed_from_rows_and_ridge_and_not_from_the_spectrum():
    known = of_(composite(l2=1e-3)).condition
    X, _ = design(100, 20, 10.0)
    true = (np.linalg.norm(X, 2) ** 2 / 100 + 1e-3) / 1e-3
    assert true / 20 <= known <= 20 * true


@pytest.mark.parametrize(("n", "p", "kappa"), [(100, 20, 10.0), (100, 20, 1e3), (40, 40, 1e2)])
def test_the_condition_of_the_design_is_bounded_from_below(n, p, kappa):
    """Lanczos' process sees the whole spectrum of a matrix of 40 columns; squares of singular values round at 1e-16."""
    found = design_condition(composite(n, p, kappa).smooth.model)
    assert found <= kappa * (1 + 1e-6)
    assert found >= 0.5 * kappa


def test_more_columns_than_rows_have_no_condition_without_a_ridge():
    assert design_condition(composite(20, 50).smooth.model) == math.inf
    assert design_condition(composite(20, 50, l2=0.1).smooth.model) < math.inf


def test_the_direct_methods_say_what_they_will_take():
    said = preflight(composite(1000, 30, 1e3))
    assert set(said) == {"cholesky", "qr", "svd"}
    assert said["cholesky"].startswith("9.7e+05 operations")  # 1000 x 30^2, a third of 30^3, X^T y and two solves
    assert "kappa(X)^2 is at least" in said["cholesky"]
    digits = {method: float(re.search(r"so (\S+) of 15.7 digits", text)[1]) for method, text in said.items()}
    assert 5 <= digits["cholesky"] <= 6  # log10 of 1e6, seen from below
    assert digits["qr"] == digits["svd"] == pytest.approx(digits["cholesky"] / 2, abs=0.06)


def test_they_say_nothing_of_problems_that_they_do_not_solve():
    assert preflight(Composite.of(ow.problems.rosenbrock())) == {}


def test_a_design_whose_factorisation_fits_into_no_memory_is_refused_before_anything_runs(monkeypatch):
    monkeypatch.setattr("optwise.methods.solvers.direct.total_bytes", lambda: 1000)
    monkeypatch.setattr("optwise.methods.solvers.direct.LOOKED_AT", 0)
    X, y = design(100, 20, 10.0)
    with pytest.raises(ow.CallerError, match="to factorise a design of 100 x 20"):
        ow.solve(ow.problems.least_squares(X, y), method="cholesky")
    assert ow.solve(ow.problems.least_squares(X, y)).method.label not in ("cholesky", "qr", "svd")
