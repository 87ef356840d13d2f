"""Spectral projected gradients against active sets, closed forms and other minimisers of bounded functions."""

from itertools import pairwise

import numpy as np
import pytest
import scipy.optimize
import torch

from optwise.core.composite import Composite
from optwise.core.loss import LinearModel
from optwise.core.smooth import Smooth
from optwise.methods.solvers.projected import ProjectedGradient
from optwise.problems.terms.functions import FunctionTerm, SquaredDistance
from optwise.problems.terms.linear_models import LinearModelTerm
from optwise.problems.terms.operators import MatrixOperator
from optwise.problems.terms.predictions import LogisticLoss, SquaredError
from optwise.problems.terms.sets import Box, L1Ball, L2Ball, Nonnegative, Simplex

MOST = 3000


def model(n, p, loss, *, seed=0, scales=1.0, dtype=torch.float64):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, p)) * scales
    y = X @ rng.normal(size=p) + rng.normal(size=n)
    y = np.sign(y) if isinstance(loss, LogisticLoss) else y
    X, y = torch.tensor(X, dtype=dtype), torch.tensor(y, dtype=dtype)
    return LinearModelTerm(LinearModel(MatrixOperator(X), y, loss, scale=1 / n)), X.double().numpy(), y.double().numpy()


def run(problem, w, solver=None, most=MOST):
    found = []
    for iterate in (solver or ProjectedGradient()).solve(problem, w):
        found.append(iterate)
        if len(found) == most:
            break
    return found


class Walled(Smooth):
    """sum of w - log w, which is not a number left of 0; its minimum is at 1."""

    dimension = 3

    def value(self, w):
        return (w - w.log()).sum()


def test_nonnegative_least_squares_end_at_the_answer_of_an_active_set_method():
    f, X, y = model(60, 20, SquaredError(), seed=1)
    found = run(Composite(f, None, None, Nonnegative(20)), torch.zeros(20, dtype=torch.float64))
    best, _ = scipy.optimize.nnls(X, y)
    assert np.allclose(found[-1].w, best, atol=1e-10)
    assert ((found[-1].w == 0).numpy() == (best == 0)).all()  # the bound is met exactly, not nearly


@pytest.mark.parametrize("scales", [1.0, np.geomspace(1, 30, 12)], ids=["even", "ill-conditioned"])
def test_bounded_least_squares_end_at_the_answer_of_another_method(scales):
    f, X, y = model(40, 12, SquaredError(), scales=scales)
    low, high = np.full(12, -0.3), np.full(12, 0.5)
    box = Box(torch.tensor(low), torch.tensor(high))
    found = run(Composite(f, None, None, box), torch.zeros(12, dtype=torch.float64))
    best = scipy.optimize.lsq_linear(X, y, (low, high), method="bvls", tol=1e-15)
    assert np.allclose(found[-1].w, best.x, atol=1e-9)


def test_logistic_regression_in_a_box_ends_at_the_answer_of_another_method():
    f, _, _ = model(80, 8, LogisticLoss())
    box = Box(torch.full((8,), -0.2).double(), torch.full((8,), 0.4).double())
    found = run(Composite(f, None, None, box), torch.zeros(8, dtype=torch.float64))
    other = scipy.optimize.minimize(
        lambda w: tuple(np.asarray(v) for v in f.value_and_gradient(torch.tensor(w))),
        np.zeros(8),
        jac=True,
        method="L-BFGS-B",
        bounds=[(-0.2, 0.4)] * 8,
        options={"ftol": 1e-16, "gtol": 1e-12},
    )
    assert np.allclose(found[-1].w, other.x, atol=1e-6)
    assert found[-1].value <= other.fun + 1e-14


@pytest.mark.parametrize("constraint", [Simplex(), L1Ball(1.0), L2Ball(0.5)], ids=lambda c: type(c).__name__)
def test_the_nearest_point_of_a_set_is_its_projection(constraint):
    y = torch.tensor([0.9, -0.4, 0.35, 0.1], dtype=torch.float64)
    found = run(Composite(SquaredDistance(y), None, None, constraint), torch.zeros_like(y))
    assert torch.allclose(found[-1].w, constraint.project(y), atol=1e-14)


def test_the_measure_bounds_the_error_at_every_iterate():
    """The Frank-Wolfe gap is a bound whatever the method that reached the point."""
    f, _, _ = model(60, 10, LogisticLoss(), seed=3)
    problem = Composite(f, None, None, L1Ball(0.7))
    found = run(problem, torch.zeros(10, dtype=torch.float64))
    best = min(iterate.value for iterate in found)
    for iterate in found:
        assert iterate.value - best <= iterate.measure * abs(iterate.value) + 1e-15


def test_values_handed_out_never_rise_beyond_rounding_although_spectral_steps_may():
    f, _, _ = model(40, 12, SquaredError(), scales=np.geomspace(1, 30, 12))
    found = run(Composite(f, None, None, Nonnegative(12)), torch.zeros(12, dtype=torch.float64))
    values = [iterate.value for iterate in found]
    assert all(later <= earlier + 1e-14 * abs(earlier) for earlier, later in pairwise(values))


def test_with_a_memory_of_one_it_still_ends_at_the_answer():
    f, X, y = model(60, 20, SquaredError(), seed=1)
    problem = Composite(f, None, None, Nonnegative(20))
    found = run(problem, torch.zeros(20, dtype=torch.float64), ProjectedGradient(memory=1))
    assert np.allclose(found[-1].w, scipy.optimize.nnls(X, y)[0], atol=1e-8)


def test_steps_into_a_region_without_values_are_cut_short():
    box = Box(torch.full((3,), -5.0).double(), torch.full((3,), 9.0).double())
    found = run(Composite(Walled(), None, None, box), torch.tensor([0.01, 3.0, 8.0], dtype=torch.float64))
    assert all(np.isfinite(iterate.value) and bool((iterate.w > 0).all()) for iterate in found)
    assert torch.allclose(found[-1].w, torch.ones(3, dtype=torch.float64), atol=1e-7)


def test_it_returns_at_once_from_the_answer():
    y = torch.tensor([0.5, 0.5], dtype=torch.float64)
    assert len(run(Composite(SquaredDistance(y), None, None, Simplex()), y)) <= 1


def test_one_dimension_is_enough():
    f = FunctionTerm(lambda w: ((w - 3) ** 4).sum(), 1, is_convex=True)
    box = Box(torch.tensor([0.0]).double(), torch.tensor([2.0]).double())
    assert run(Composite(f, None, None, box), torch.zeros(1).double())[-1].w.item() == 2.0


def test_float32_stays_float32_and_gets_as_far_as_its_digits():
    f, X, y = model(60, 20, SquaredError(), seed=1, dtype=torch.float32)
    found = run(Composite(f, None, None, Nonnegative(20)), torch.zeros(20))
    assert found[-1].w.dtype == torch.float32
    assert np.allclose(found[-1].w, scipy.optimize.nnls(X, y)[0], atol=1e-4)  # 1e-7 times the condition number


def test_it_ends_by_itself_and_does_the_same_twice():
    f, _, _ = model(60, 20, LogisticLoss())
    first, second = (run(Composite(f, None, None, L1Ball(1.0)), torch.zeros(20).double()) for _ in range(2))
    assert len(first) < MOST
    assert all(torch.equal(a.w, b.w) and a.value == b.value for a, b in zip(first, second, strict=True))


def test_projections_and_products_are_booked():
    class Counting(Nonnegative):
        calls = 0

        def project(self, v):
            Counting.calls += 1
            return super().project(v)

    f, _, _ = model(30, 5, LogisticLoss())
    problem = Composite(f, None, None, Counting(5))
    found = run(problem, torch.zeros(5).double(), most=7)
    assert problem.counts["projections"] == Counting.calls
    # one product for the direction, one for the gradient; two at the start
    assert problem.counts["products"] == 2 * (len(found) + 1)
    assert problem.counts["gradients"] == len(found) + 1
