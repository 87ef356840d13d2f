"""The truth table judges by facts: published figures, two writings of each formula, best values known by others."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.optimize import lsq_linear, minimize, nnls
from sklearn.linear_model import ElasticNet

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from truth.collection import COLLECTION, Published
from truth.convex import KINDS, drawn
from truth.convex_rows import convex_rows
from truth.exact import Exact, huber, logistic, squared, squared_hinge
from truth.judging import best_value, judged, marquardt, newton, rounding, zero
from truth.published_rows import published_rows
from truth.tables import report

ONE_AND_ALL = pytest.mark.parametrize("published", COLLECTION, ids=lambda published: published.name)


def test_all_35_problems_are_there():
    assert [published.number for published in COLLECTION] == list(range(1, 36))


@ONE_AND_ALL
def test_solvers_and_judge_see_the_same_residuals(published):
    """Written twice, in torch and in numpy; float64 leaves 1e-12 of the largest term."""
    rng = np.random.default_rng(published.number)
    for _ in range(5):
        w = published.from_start(1) * (1 + 0.3 * rng.standard_normal(len(published.start)))
        w += 0.05 * rng.standard_normal(len(w))
        seen, judge = published.residual(torch.from_numpy(w)).numpy(), published.oracle(w)
        np.testing.assert_allclose(seen, judge, rtol=0, atol=1e-12 * np.abs(judge).max())


@pytest.mark.parametrize("published", [p for p in COLLECTION if p.at_start], ids=lambda published: published.name)
def test_values_at_standard_starts_are_those_of_others(published):
    """By hand, or by the drivers of MINPACK, which print seven digits of the norm."""
    assert published.value(published.start) == pytest.approx(published.at_start, rel=1e-6)


@ONE_AND_ALL
def test_the_published_minimum_is_there(published):
    value, w = marquardt(published, (published.near or (published.start,))[0])
    if published.minima[0] == 0:
        assert value <= max(zero(published), rounding(published, w))
    else:
        assert value == pytest.approx(published.minima[0], rel=1e-5)  # six digits were published
    assert best_value(published.number) == pytest.approx(value, rel=1e-9, abs=zero(published))


def test_the_judge_refutes_what_is_false_and_nothing_else():
    rosenbrock, jennrich = COLLECTION[0], COLLECTION[5]

    def facts(published, w):
        return judged(published, np.array(w), tol=1e-6, optimal=True, stationary=True)

    there = facts(rosenbrock, [1.0, 1.0])
    assert not there["false_optimal"]
    assert not there["false_stationary"]
    assert there["reached"]
    near = facts(rosenbrock, [1 + 1e-8, 1.0])
    assert near["false_optimal"]
    assert near["false_stationary"]
    rounded = facts(rosenbrock, [1 + 2e-16, 1.0])
    assert rounded["value"] > 0
    assert not rounded["false_optimal"]
    _, best = marquardt(jennrich, jennrich.near[0])
    assert not facts(jennrich, best)["false_optimal"]
    assert facts(jennrich, best * (1 + 1e-3))["false_optimal"]


def test_newton_leaves_a_saddle_that_levenberg_marquardt_cannot_see():
    """(x^2 - 1)^2 + y^2 has its saddle at 0, where the Jacobian times the residual is 0, and minima of 0."""

    def residual(w):
        return torch.stack([w[0] ** 2 - 1, w[1]])

    saddle = Published(0, "saddle", residual, lambda x: np.array([x[0] ** 2 - 1, x[1]]), (0.0, 0.0), (0.0,))
    assert marquardt(saddle, np.zeros(2))[0] == 1
    assert newton(saddle, np.zeros(2))[0] < 1e-20


@pytest.mark.parametrize("seed", range(20), ids=lambda seed: f"{KINDS[seed % 10]} {'f32' if seed > 9 else 'f64'}")
def test_the_judge_of_a_convex_problem_has_the_objective_that_is_solved(seed):
    convex = drawn(seed)
    problem = convex.build()
    assert next(iter(problem.start(0)[0].values())).dtype == convex.dtype
    exact = problem.to(dtype=torch.float64)
    rng = np.random.default_rng(0)
    for _ in range(3):
        w = np.abs(rng.standard_normal(convex.oracle.X.shape[1])) * 1e-3 / np.abs(convex.oracle.X).max(0)
        if convex.bounds is not None:
            w = w.clip(*convex.bounds)
        point = torch.from_numpy(w)
        value = float(exact.function().value(point))
        value += 0.0 if exact.penalty is None else float(exact.penalty.value(point))
        # weights were cast to the problem's dtype
        rel = 1e-12 if convex.dtype == torch.float64 else 1e-6
        assert float(convex.oracle.value(w)) == pytest.approx(value, rel=rel)
        if convex.value is not None:
            assert float(convex.value(point)) == pytest.approx(value, rel=rel)


def _regression(noise=0.3):
    rng = np.random.default_rng(5)
    X = rng.standard_normal((40, 6))
    return X, X @ np.array([1.0, -2.0, 0.0, 0.5, 0.0, -0.1]) + noise * rng.standard_normal(40)


def test_best_quadratic_values_are_those_of_scipy_and_scikit_learn():
    X, y = _regression()
    free = np.linalg.lstsq(X, y)[0]
    assert float(Exact(X, y, squared(), 1.0).best()) == pytest.approx(((X @ free - y) ** 2).sum() / 2, rel=1e-13)
    nonnegative = Exact(X, y, squared(), 1.0, low=np.zeros(6))
    assert float(nonnegative.best()) == pytest.approx(nnls(X, y)[1] ** 2 / 2, rel=1e-13)
    low, high = np.full(6, -0.5), np.full(6, 0.7)
    boxed = lsq_linear(X, y, (low, high), method="bvls", tol=1e-15).cost
    assert float(Exact(X, y, squared(), 1.0, low=low, high=high).best()) == pytest.approx(boxed, rel=1e-13)
    theirs = ElasticNet(alpha=0.3, l1_ratio=0.5, fit_intercept=False, tol=1e-14, max_iter=100_000).fit(X, y).coef_
    net = Exact(X, y, squared(), 1 / 40, 0.15, 0.15)
    assert float(net.best()) == pytest.approx(float(net.value(theirs)), rel=1e-12)
    assert net.best() <= net.value(theirs)


@pytest.mark.parametrize(("loss", "l2"), [(huber(0.2), 0.0), (logistic(), 1e-2), (squared_hinge(), 1e-2)])
def test_best_values_of_other_losses_are_those_of_scipy(loss, l2):
    X, y = _regression()
    if l2:
        X, y = X * np.sign(y)[:, None], np.zeros(40)
    ours = Exact(X, y, loss, 1 / 40, l2=l2)
    theirs = minimize(lambda w: float(ours.value(w)), np.zeros(6), method="BFGS", options={"gtol": 1e-8}).fun
    assert float(ours.best()) == pytest.approx(theirs, rel=1e-9)
    assert ours.best() <= theirs * (1 + 1e-15)


def test_columns_of_twelve_decades_change_no_best_value():
    X, y = _regression(1e-6)
    units = 10.0 ** np.array([-6, 6, 0, 3, -3, 1.0])
    plain = Exact(X, y, squared(), 1.0).best()
    scaled = Exact(X * units, y, squared(), 1.0)
    assert abs(scaled.best() / plain - 1) < 1e-9  # X * units is rounded, and the residual small


def test_a_peer_that_stands_where_it_should_is_told_so_and_the_report_counts():
    rows = list(published_rows(["minpack"], tol=1e-6, max_seconds=5.0, quick=True))
    rows += list(convex_rows(["scipy-bfgs"], tol=1e-6, max_seconds=5.0, count=2))
    assert len(rows) == 24 + 2
    assert sum(row["reached"] for row in rows) >= 22
    assert not any(row["false_optimal"] for row in rows)
    text = report(rows)
    assert "minpack" in text
    assert "optimal, but it is not so: 0 of 0 claims" in text


SLOW = {"tol": 1e-6, "max_seconds": 20.0}


@pytest.fixture(scope="module")
def convex():
    return list(convex_rows(["auto"], count=200, **SLOW))


@pytest.fixture(scope="module")
def published():
    """A slice: every sixth problem, from 1 and 10 times the standard start."""
    return list(published_rows(["auto", "minpack"], quick=True, **SLOW))


def _named(rows):
    return [(row["problem"], row["form"], row.get("factor"), row["word"]) for row in rows]


@pytest.mark.slow
def test_no_answer_to_a_convex_problem_is_called_optimal_where_it_is_not(convex):
    assert _named(row for row in convex if row["false_optimal"]) == []
    # as many as were certified, and rightly, when the table was first made
    assert sum(row["optimal"] or (row["stationary"] and not row["false_stationary"]) for row in convex) >= 186


@pytest.mark.slow
def test_no_answer_to_a_convex_problem_is_called_stationary_where_newton_lowers_it(convex):
    assert _named(row for row in convex if row["false_stationary"]) == []


@pytest.mark.slow
def test_no_answer_to_a_published_problem_claims_what_is_not_so(published):
    ours = [row for row in published if row["method"] == "auto"]
    assert _named(row for row in ours if row["false_optimal"] or row["false_stationary"]) == []


@pytest.mark.slow
@pytest.mark.parametrize("form", ["residual", "smooth", "scaled"])
def test_as_many_published_minima_are_reached_as_by_minpack(published, form):
    """MINPACK knows no functions but sums of squares, whose counts stand beside the smooth form."""
    counts = {
        (row["method"], row["form"]): sum(each["reached"] for each in published if _key(each) == _key(row))
        for row in published
    }
    assert counts["auto", form] >= counts["minpack", "residual" if form == "smooth" else form]


def _key(row):
    return row["method"], row["form"]
