"""The best learning rates: derivatives against differences, closed forms, and never worse than a constant."""

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from linear_methods import LINEAR

from optwise.core.errors import BadMethod, BadProtocol, NotLinear
from optwise.methods import EMA, SGD, Momentum, Nesterov, Preconditioned, ScheduleFreeSGD, Table
from optwise.problems import least_squares_sgd, mean_estimation, nqm
from optwise.theory import adjoints, best_schedule, forecast
from optwise.theory.best_schedules import _cost

PULLED = nqm(h=[1.0, 0.3, 0.3, 0.1], c=[1.0, 0.5, 1.0, 2.0], w0=[0.0, 1.0, 2.0, 3.0], w_star=[1.0, -2.0, 3.0, 0.5])
PROBLEMS = {
    "additive": nqm(d=6, batch_size=4),
    "pulled": PULLED,
    "design": least_squares_sgd(h=[1.0, 0.5, 0.5, 0.1], noise=0.5, batch_size=3),
    "data": mean_estimation([1.0, 2.0, 6.0, 3.0], batch_size=2),
}
RULES = {
    "sgd": SGD(weight_decay=0.05, lr=1.0),
    "momentum": Momentum(lr=1.0, momentum=0.8, dampening=0.2, weight_decay=0.02),
    "nesterov": Nesterov(lr=1.0, momentum=0.7),
    "ema": EMA(SGD(lr=1.0), decay=0.7),
    "preconditioned": Preconditioned(SGD(lr=1.0), power=0.5),
}


@pytest.mark.parametrize("goal", ["end", "mean"])
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("problem", PROBLEMS)
def test_one_backward_pass_gives_the_difference_quotient_of_every_rate(problem, rule, goal):
    cost = _cost(PROBLEMS[problem], RULES[rule], 12, {0: 2, 5: 7} if problem != "data" else 2, goal)
    lrs = np.random.default_rng(1).uniform(0.1, 0.6, 12)
    value, slopes = cost.gradient(lrs)
    assert value == pytest.approx(cost.value(lrs), rel=1e-14)
    for k in range(12):
        moved = np.eye(12)[k] * 1e-5
        quotient = (cost.value(lrs + moved) - cost.value(lrs - moved)) / 2e-5
        assert slopes[k] == pytest.approx(quotient, rel=1e-6, abs=1e-9 * value)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("problem", PROBLEMS)
def test_the_cost_is_the_forecast_of_a_table(problem, rule):
    """At rates that have nothing to do with an optimum."""
    lrs = np.random.default_rng(2).uniform(0.1, 0.6, 30)
    own = _cost(PROBLEMS[problem], RULES[rule], 30, None, "end")
    method = RULES[rule].close({"lr": 0.6})
    found = forecast(PROBLEMS[problem], replace(method, schedule=Table(tuple(lrs / 0.6))), 30)
    np.testing.assert_allclose(own.risks(lrs), found.risk, rtol=1e-11)
    assert own.value(lrs) == pytest.approx(found.risk[-1], rel=1e-11)


def test_a_run_that_is_kept_in_part_has_the_same_derivatives(monkeypatch):
    cost = _cost(nqm(d=6), RULES["momentum"], 50, None, "mean")
    lrs = np.random.default_rng(3).uniform(0.1, 0.6, 50)
    value, slopes = cost.gradient(lrs)
    swept = cost.swept_forward(lrs, lambda k, lr, slope, half: lr - 0.1 * slope)
    monkeypatch.setattr(adjoints, "KEPT_NUMBERS", 10)
    assert cost.stretch() == 8
    again, theirs = cost.gradient(lrs)
    assert again == value
    np.testing.assert_array_equal(theirs, slopes)
    np.testing.assert_array_equal(cost.swept_forward(lrs, lambda k, lr, slope, half: lr - 0.1 * slope), swept)


def test_without_noise_one_coordinate_is_done_in_one_step():
    found = best_schedule(nqm(h=[4.0], c=[0.0], w0=[3.0]), SGD(), 1)
    assert found.lrs[0] == pytest.approx(0.25, rel=1e-6)
    assert found.risk == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize(
    ("h", "sigma", "batch", "distance"), [(1.0, 1.0, 1, 1.0), (1.0, 3.0, 4, 10.0), (0.2, 1.0, 2, 5.0)]
)
def test_one_coordinate_is_filtered_as_kalman_does(h, sigma, batch, distance):
    """With second moment s the best rate is s h / (h^2 s + c / B), step by step, whatever comes later."""
    problem = nqm(h=[h], c=[sigma**2], w0=[distance])
    found, s, gains = best_schedule(problem, SGD(), 40, batch), distance**2, []
    for _ in range(40):
        gains.append(s * h / (h**2 * s + sigma**2 / batch))
        s = (1 - gains[-1] * h) ** 2 * s + gains[-1] ** 2 * sigma**2 / batch
    np.testing.assert_allclose(found.lrs, gains, rtol=1e-7)
    assert found.risk == pytest.approx(0.5 * h * s, rel=1e-12)


def test_from_a_far_start_the_best_schedule_of_a_mean_is_the_running_mean():
    found = best_schedule(mean_estimation(mu=0.0, sigma=1.0, w0=1e6), SGD(), 20)
    np.testing.assert_allclose(found.lrs, 1 / np.arange(1, 21), rtol=1e-6)


def test_without_noise_the_rates_are_inverse_roots_of_the_best_polynomial():
    """Two curvatures and two steps: both roots are met."""
    found = best_schedule(nqm(h=[1.0, 0.25], c=[0.0, 0.0], w0=[1.0, 1.0]), SGD(), 2)
    np.testing.assert_allclose(np.sort(1 / found.lrs), [0.25, 1.0], rtol=1e-3)


@pytest.mark.parametrize(("goal", "batch"), [("end", {0: 2, 10: 16}), ("mean", None)])
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("problem", ["additive", "pulled", "design"])
def test_it_is_never_worse_than_the_best_constant_and_is_what_the_forecast_says(problem, rule, goal, batch):
    own = PROBLEMS[problem]
    found = best_schedule(own, RULES[rule], 15, batch, goal=goal, bounds=(0.0, 2.0))
    assert found.risk <= found.constant_risk
    assert np.all((found.lrs >= 0) & (found.lrs <= 2.0))
    for lr in np.geomspace(1e-3, 2.0, 7):
        other = forecast(own, RULES[rule].close({"lr": lr}), 15, batch).risk
        assert found.constant_risk <= (other[-1] if goal == "end" else other[1:].mean()) * (1 + 1e-9)
    said = forecast(own, found.method, 15, batch).risk
    assert (said[-1] if goal == "end" else said[1:].mean()) == pytest.approx(found.risk, rel=1e-10)
    assert said.max() == pytest.approx(found.largest_risk, rel=1e-10)


def test_no_rate_can_be_moved_alone_for_the_better():
    found = best_schedule(nqm(d=8), SGD(), 30, bounds=(0.0, 1.5))
    cost = _cost(nqm(d=8), SGD(), 30, None, "end")
    for k in range(30):
        for factor in (0.999, 1.001):
            lrs = found.lrs.copy()
            lrs[k] = min(lrs[k] * factor, 1.5)
            assert cost.value(lrs) >= found.risk * (1 - 1e-9)


def test_milestones_hold_rates_constant_between_them_and_more_of_them_are_no_worse():
    risks = []
    for milestones in ([20], [10, 20], [5, 10, 20], []):
        found = best_schedule(nqm(d=8), SGD(), 40, milestones=milestones, bounds=(0.0, 2.0))
        if milestones:
            assert np.unique(found.lrs).size <= len(milestones) + 1
            assert set(np.flatnonzero(np.diff(found.lrs)) + 1) <= set(milestones)
        risks.append(found.risk)
    assert all(b <= a * (1 + 1e-6) for a, b in pairwise(risks))


def test_what_cannot_be_scheduled_is_refused():
    with pytest.raises(NotLinear, match="no affine function of its own learning rate"):
        best_schedule(nqm(d=4), ScheduleFreeSGD(lr=0.1, momentum=0.9), 30)
    with pytest.raises(BadProtocol, match="without replacement"):
        best_schedule(mean_estimation([1.0, 2.0, 4.0], replacement=False), SGD(), 5)
    with pytest.raises(BadProtocol, match="goal is 'best'"):
        best_schedule(nqm(d=4), SGD(), 5, goal="best")
    with pytest.raises(BadProtocol, match="Milestone 5 is no step"):
        best_schedule(nqm(d=4), SGD(), 5, milestones=[5])
    with pytest.raises(BadProtocol, match="hold no learning rate"):
        best_schedule(nqm(d=4), SGD(), 5, bounds=(2.0, 1.0))
    for steps in (0, True, 1.5):
        with pytest.raises(BadProtocol, match="whole number"):
            best_schedule(nqm(d=4), SGD(), steps)


@pytest.mark.parametrize("values", [(), (1.0, -0.5), (1.0, math.nan), (math.inf,), 1.0])
def test_a_table_of_what_is_no_factor_is_refused(values):
    with pytest.raises(BadMethod, match=r"Table\.values"):
        Table(values)


@pytest.mark.parametrize("name", ["sgd", "momentum", "polyak", "ema-momentum"])
def test_a_table_of_ones_changes_no_forecast(name):
    plain = forecast(nqm(d=5), LINEAR[name], 20)
    tabled = forecast(nqm(d=5), replace(LINEAR[name], schedule=Table((1.0,) * 7)), 20)
    np.testing.assert_array_equal(plain.risk, tabled.risk)
