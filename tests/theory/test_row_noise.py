"""Least squares on a finite data set: every sequence of batches, the engine's own runs, and the limit of many rows."""

from dataclasses import replace
from itertools import permutations, product

import numpy as np
import pytest
import torch

from optwise.core.errors import BadProblem, BadProtocol
from optwise.core.run import TrialName
from optwise.core.sampler import Full
from optwise.engine.chunks import Chunk, Trial
from optwise.engine.loop import run_chunk
from optwise.methods import EMA, SGD, Milestones, Momentum, Nesterov
from optwise.problems import least_squares_sgd, mean_estimation, sampled_least_squares
from optwise.theory import best_schedule, distribution, floor, forecast, max_lr, rate, steps_to
from optwise.verbs.predicting import predict

RNG = np.random.default_rng(5)
X, Y, W0 = RNG.standard_normal((4, 2)), RNG.standard_normal(4), np.array([2.0, -1.0])
RULES = {
    "sgd": SGD(lr=0.3, weight_decay=0.1),
    "momentum": Momentum(lr=0.1, momentum=0.8, schedule=Milestones((2,), (0.5,))),
    "nesterov": Nesterov(lr=0.1, momentum=0.5, weight_decay=0.05),
    "ema": EMA(SGD(lr=0.3), decay=0.6),
}


def risks_of(problem, method, sequences):
    """The excess after every step of runs in plain torch, one for each sequence, in the given coordinates."""
    x, y = (torch.from_numpy(part) for part in (X, Y))
    gram = X.T @ X / len(X)
    best = np.linalg.lstsq(X, Y, rcond=None)[0]
    factors = np.ones(99) if method.schedule is None else method.schedule.factors(99)
    found = []
    for batches in sequences:
        w, own = torch.from_numpy(W0.copy()), []
        state = method.start(w, None)
        lr = method.values()["lr"]
        for k, batch in enumerate([None, *batches]):
            if batch is not None:
                rows = list(batch)
                g = x[rows].T @ (x[rows] @ w - y[rows]) / len(rows)
                w, state = method.at_lr(lr * factors[k - 1]).step(w, g, state)
            away = method.evaluation_weights(w, state).numpy() - best
            own.append(0.5 * away @ gram @ away)
        found.append(own)
    return np.mean(found, axis=0), np.std(found, axis=0)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("batch", [1, 2])
def test_batches_with_replacement_are_the_mean_over_every_sequence(rule, batch):
    problem = sampled_least_squares(X, Y, w0=W0, batch_size=batch)
    draws = list(product(range(4), repeat=batch))
    steps = 4 if batch == 1 else 3
    expected, _ = risks_of(problem, RULES[rule], product(draws, repeat=steps))
    found = forecast(problem, RULES[rule], steps)
    np.testing.assert_allclose(found.risk, expected, rtol=1e-11)
    assert found.optimum == pytest.approx(0.5 * np.mean((Y - X @ np.linalg.lstsq(X, Y, rcond=None)[0]) ** 2), rel=1e-12)
    # and distributions have the same mean
    np.testing.assert_allclose(distribution(problem, RULES[rule], range(steps + 1)).risk, expected, rtol=1e-9)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("batch", [1, 2, 3, 4])
def test_shuffled_epochs_are_the_mean_over_every_order(rule, batch):
    """Two epochs at most, short last batches included."""
    problem = sampled_least_squares(X, Y, w0=W0, batch_size=batch, replacement=False)

    def batches(order):
        return [order[first : first + batch] for first in range(0, 4, batch)]

    orders = list(permutations(range(4)))
    sequences = [[*batches(one), *batches(two)] for one in orders for two in orders]
    expected, _ = risks_of(problem, RULES[rule], sequences)
    found = forecast(problem, RULES[rule], len(expected) - 1)
    np.testing.assert_allclose(found.risk, expected, rtol=1e-10)
    nowhere = batch < 4 or RULES[rule].schedule is not None  # all rows at once have no order
    assert (found.floor is None, found.rate is None) == (nowhere, nowhere)
    assert ("epochs" in found.floor_words) == (batch < 4)
    if not nowhere:  # nothing is random, and the floor is where long runs end
        late = forecast(problem, RULES[rule], 2000).risk[-1]
        assert found.floor == pytest.approx(late, rel=1e-9, abs=1e-15)


@pytest.mark.parametrize("replacement", [True, False])
def test_the_engines_own_runs_scatter_about_the_forecast(replacement):
    rng = np.random.default_rng(1)
    problem = sampled_least_squares(
        rng.standard_normal((9, 3)), rng.standard_normal(9), batch_size=2, replacement=replacement
    )
    method, marks = Momentum(lr=0.1, momentum=0.6), (3, 10, 40)
    trials = tuple(Trial(TrialName("x", "m", 0, i), "", method, i) for i in range(1500))
    chunk = Chunk("x", "vmap", len(trials), 40, marks, "float64", "cpu", trials)
    values = np.array([[v for _, v in run.curve("train/loss")][-3:] for run in run_chunk(problem, chunk).runs])
    found = forecast(problem, method, 40)
    said = found.optimum + found.risk[list(marks)]
    assert np.all(np.abs(values.mean(0) - said) < 4 * values.std(0) / len(trials) ** 0.5)


@pytest.mark.parametrize("rule", [SGD(lr=0.2), Momentum(lr=0.05, momentum=0.7), SGD(lr=0.2, weight_decay=0.1)])
def test_the_floor_is_the_limit_and_the_rate_is_how_it_is_neared(rule):
    rng = np.random.default_rng(2)
    for d in (3, 40):  # written out as a matrix, and solved by iteration
        problem = sampled_least_squares(rng.standard_normal((200, d)) / 2, rng.standard_normal(200), batch_size=32)
        found = forecast(problem, rule, 6000)
        assert found.floor == pytest.approx(found.risk[-1], rel=1e-8)
        assert floor(problem, rule) == found.floor
        assert rate(problem, rule) == found.rate < 1
    exact = sampled_least_squares(rng.standard_normal((9, 3)), np.zeros(9), w0=np.ones(3), batch_size=2)
    plain = forecast(exact, SGD(lr=0.2), 300)
    assert plain.risk[300] / plain.risk[299] == pytest.approx(plain.rate, rel=1e-6)
    assert plain.floor == 0.0


@pytest.mark.parametrize("batch", [1, 4])
def test_beyond_the_largest_rate_the_risk_grows_and_below_it_falls(batch):
    rng = np.random.default_rng(3)
    problem = sampled_least_squares(rng.standard_normal((12, 3)), np.zeros(12), w0=np.ones(3), batch_size=batch)
    largest = max_lr(problem, SGD())
    for factor, falls in ((0.98, True), (1.02, False)):
        found = forecast(problem, SGD(lr=factor * largest), 4000)
        assert (found.risk[-1] < 1e-3 * found.risk[0]) == falls
        assert found.diverges != falls


def test_many_rows_are_fresh_rows():
    """A hundred thousand Gaussian rows: the risk is that of rows that never repeat, up to one over the root of n."""
    rng, h, w = np.random.default_rng(4), np.array([1.0, 0.5, 0.2]), np.array([1.0, -1.0, 2.0])
    x = rng.standard_normal((100_000, 3)) * h**0.5
    finite = sampled_least_squares(x, x @ w + 0.5 * rng.standard_normal(len(x)), batch_size=2)
    fresh = least_squares_sgd(h=h, noise=0.5, w0=np.zeros(3), w_star=w, batch_size=2)
    for method in (SGD(lr=0.3), Momentum(lr=0.1, momentum=0.8)):
        one, other = forecast(finite, method, 200), forecast(fresh, method, 200)
        np.testing.assert_allclose(one.risk, other.risk, rtol=0.03)
        assert one.floor == pytest.approx(other.floor, rel=0.03)
    assert max_lr(finite, SGD()) == pytest.approx(max_lr(fresh, SGD()), rel=0.03)


def test_a_column_of_ones_is_the_estimation_of_a_mean():
    numbers = np.array([1.0, 2.0, 6.0, -3.0, 0.5])
    for replacement in (True, False):
        one = sampled_least_squares(np.ones((5, 1)), numbers, w0=[0.5], batch_size=2, replacement=replacement)
        other = mean_estimation(numbers, w0=0.5, batch_size=2, replacement=replacement)
        for method in (SGD(lr=0.3), Momentum(lr=0.1, momentum=0.5)):
            np.testing.assert_allclose(forecast(one, method, 12).risk, forecast(other, method, 12).risk, rtol=1e-10)


def test_fewer_rows_than_columns_settle_at_the_least_norm_without_a_floor():
    rng = np.random.default_rng(6)
    problem = sampled_least_squares(rng.standard_normal((3, 6)), rng.standard_normal(3), batch_size=1)
    found = forecast(problem, SGD(lr=0.05), 3000)
    assert problem.optimum.value == pytest.approx(0.0, abs=1e-28)
    assert found.floor == pytest.approx(0.0, abs=1e-20)
    assert found.risk[-1] < 1e-10
    assert found.risk[150] / found.risk[149] == pytest.approx(found.rate, rel=1e-3)


def test_all_rows_in_every_step_are_gradient_descent():
    problem = replace(sampled_least_squares(X, Y, w0=W0), sampler=Full())
    expected, _ = risks_of(problem, RULES["sgd"], [[range(4)] * 5])
    np.testing.assert_allclose(forecast(problem, RULES["sgd"], 5).risk, expected, rtol=1e-11)


def test_batches_that_grow_and_first_hits_are_known_too():
    problem = sampled_least_squares(X, Y, w0=W0)
    found = forecast(problem, SGD(lr=0.1), 60, {0: 1, 30: 8})
    late = forecast(problem, SGD(lr=0.1), 60, 1)
    np.testing.assert_array_equal(found.risk[:31], late.risk[:31])
    assert found.risk[-1] < 0.8 * late.risk[-1]
    target = float(late.risk[7])
    hits = steps_to(problem, [SGD(lr=0.1)], target, [1, 8], max_steps=60)
    assert hits[0, 0] == np.flatnonzero(late.risk <= target)[0]
    assert predict(problem, SGD(lr=0.1), "12examples", 4).counts["steps"] == 3


def test_what_cannot_be_followed_is_refused_with_the_reason():
    rng = np.random.default_rng(7)
    many = sampled_least_squares(rng.standard_normal((100, 2)), rng.standard_normal(100), replacement=False)
    with pytest.raises(BadProtocol, match="depends on their order"):
        forecast(many, SGD(lr=0.1), 200)
    with pytest.raises(BadProblem, match="without replacement"):
        max_lr(many, SGD())
    with pytest.raises(BadProblem, match="not normal"):
        distribution(sampled_least_squares(X, Y), SGD(lr=0.1), 3).quantile(0.5)
    with pytest.raises(BadProtocol, match="looks at every row"):
        best_schedule(sampled_least_squares(X, Y), SGD(), 5)
    for x, y in (([[1.0]], [1.0, 2.0]), ([1.0], [1.0]), ([[np.nan]], [1.0])):
        with pytest.raises(BadProblem):
            sampled_least_squares(x, y)
    with pytest.raises(BadProblem, match="make them agree"):
        sampled_least_squares(X, Y, w0=[1.0])
