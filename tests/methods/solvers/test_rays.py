"""Rays: what they say along a line is what the function says, whichever way they find it."""

import math

import pytest
import torch

from optwise.core.composite import Composite
from optwise.core.loss import LinearModel
from optwise.methods.solvers.incumbent import Incumbent
from optwise.methods.solvers.rays import Point, first_reach, point_at, ray_from, same, searched
from optwise.problems.terms.functions import FunctionTerm
from optwise.problems.terms.linear_models import LinearModelTerm
from optwise.problems.terms.operators import MatrixOperator
from optwise.problems.terms.predictions import LogisticLoss


def model(l2: float = 0.3) -> LinearModelTerm:
    generator = torch.Generator().manual_seed(0)
    X = torch.randn(20, 4, dtype=torch.float64, generator=generator)
    y = torch.randn(20, dtype=torch.float64, generator=generator).sign()
    return LinearModelTerm(LinearModel(MatrixOperator(X), y, LogisticLoss(), 0.5, l2))


def vector(*entries: float) -> torch.Tensor:
    return torch.tensor(entries, dtype=torch.float64)


@pytest.mark.parametrize("l2", [0.0, 0.3])
def test_along_a_linear_model_values_slopes_and_points_are_those_of_the_function(l2):
    smooth = model(l2)
    problem = Composite(smooth)
    w, d = vector(1, -1, 0.5, 2), vector(0.3, 1, -2, 0.1)
    ray = ray_from(problem, point_at(problem, w), d)
    for t in (0.0, 0.1, 1.0, 7.0):
        value, gradient = smooth.value_and_gradient(w + t * d)
        assert ray.value(t) == pytest.approx(float(value), rel=1e-13)
        assert ray(t) == pytest.approx((float(value), float(gradient @ d)), rel=1e-12)
        point = ray.point(t)
        assert point.value == pytest.approx(float(value), rel=1e-13)
        assert torch.allclose(point.gradient, gradient, rtol=1e-12)
        assert point.norm == pytest.approx(float(gradient.norm()), rel=1e-12)
        assert torch.equal(point.w, w + t * d)
    assert ray.slope == pytest.approx(float(smooth.value_and_gradient(w)[1] @ d), rel=1e-13)


def test_trials_of_a_linear_model_cost_no_products():
    problem = Composite(model())
    start = point_at(problem, torch.zeros(4, dtype=torch.float64))
    assert problem.counts["products"] == 2
    ray = ray_from(problem, start, -start.gradient)
    for t in (1.0, 2.0, 3.0):
        ray(t)
    assert problem.counts["products"] == 3
    ray.point(3.0)
    assert problem.counts["products"] == 4
    assert problem.counts["evaluations"] == 4


def test_predictions_are_renewed_before_rounding_gathers():
    problem = Composite(model())
    point = point_at(problem, vector(1e8, -1e8, 1e8, 0))
    for k in range(200):
        point = ray_from(problem, point, -0.05 * point.w if k < 199 else -point.gradient).point(1.0)
    assert point.predictions is not None
    exact = problem.smooth.model.X.forward(point.w)
    # predictions were 1e8 at first, of which rounding would have left 1e-8
    assert torch.allclose(point.predictions, exact, atol=1e-9)


def test_a_point_that_was_the_last_trial_is_not_computed_again():
    problem = Composite(FunctionTerm(lambda w: (w**4).sum(), 3))
    start = point_at(problem, vector(1, 2, 3))
    ray = ray_from(problem, start, -start.gradient)
    ray(0.01)
    before = dict(problem.counts)
    ray.point(0.01)
    assert problem.counts == before
    ray.point(0.02)
    assert problem.counts["gradients"] == before["gradients"] + 1
    assert ray.point(0.0) is start


def test_the_exact_place_on_a_line_may_be_given():
    problem = Composite(FunctionTerm(lambda w: (w**2).sum(), 1))
    start, target = point_at(problem, vector(0.7)), vector(0.1)
    ray = ray_from(problem, start, target - start.w, at=lambda t: target if t == 1.0 else start.w)
    assert float(start.w + (target - start.w)) != 0.1  # rounding would miss it
    assert torch.equal(ray.point(1.0).w, target)


def test_a_search_that_brings_nothing_says_so():
    problem = Composite(FunctionTerm(lambda w: (w**2).sum() + 1.0, 2))
    start = point_at(problem, vector(1, 1))
    uphill = ray_from(problem, start, start.gradient)
    assert searched(uphill, start, step=1.0) == (None, 0.0)
    new, step = searched(ray_from(problem, start, -start.gradient), start, step=1e-3)
    assert new is not None
    assert new.value < start.value
    assert step > 0.0
    huge = searched(ray_from(problem, start, -1e-200 * start.gradient), start, step=math.inf)
    assert huge[0] is None or huge[0].value < start.value


def test_a_first_step_is_as_long_as_the_gradient_but_never_longer_than_one():
    assert first_reach(Point(vector(0), 0.0, vector(0.01), 0.01)) == 0.01
    assert first_reach(Point(vector(0), 0.0, vector(500), 500.0)) == 1.0


def test_the_incumbent_is_the_flattest_of_those_that_rounding_cannot_tell_apart():
    problem = Composite(FunctionTerm(lambda w: w.sum(), 1))

    def point(value, norm):
        return Point(vector(value), value, vector(norm), norm)

    best = Incumbent(problem, point(1.0, 1.0), patience=2)
    assert best.offer(point(0.5, 2.0))  # lower, though steeper
    assert best.offer(point(0.5 + 1e-16, 1e-3))  # as low as before, and flatter
    assert not best.offer(point(0.5 - 1e-16, 1e-2))  # as low as before, and steeper
    assert best.point.norm == 1e-3
    assert not best.stalled
    assert not best.offer(point(0.6, 1e-9))  # flat, but higher
    assert best.stalled
    assert best.offer(point(0.4, 5.0))
    assert not best.stalled
    # half the slope of the last step, from 0.6 to 0.4 where the gradient was 1e-9
    assert best.iterate(0.1)[1:4] == pytest.approx((0.4, 0.1, (0.5 * 1e-9 * 0.2 / 0.4) ** 0.5))


def test_a_value_at_a_known_bound_proves_itself():
    problem = Composite(model(0.0))
    w = vector(0, 0, 0, 0)
    assert Incumbent(problem, Point(w, 1e-12, w, 1e3), patience=1).measure() == 1.0  # all of F may be gained
    assert Incumbent(problem, Point(w, 0.0, w, 0.0), patience=1).measure() == 0.0
    ridge = Composite(model(0.5))
    assert Incumbent(ridge, Point(w, 2.0, w, 1e-3), patience=1).measure() == pytest.approx(1e-6 / 2.0)


def test_a_step_that_rounding_undoes_leads_to_the_same_point():
    one = Point(vector(1, 2), 3.0, vector(1, 0), 1.0)
    assert same(one, one._replace(w=one.w.clone()))
    assert not same(one, one._replace(w=vector(1, 2.5)))
    assert not same(one, one._replace(value=2.0))
