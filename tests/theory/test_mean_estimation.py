"""Estimating a mean: the numbers on record, and every order of a small data set enumerated."""

import itertools

import numpy as np
import pytest

from optwise.core.errors import BadProblem, BadProtocol
from optwise.core.sampler import Full, Poisson, Shuffled
from optwise.methods import SGD, InverseTime, Momentum
from optwise.problems import mean_estimation
from optwise.theory import forecast


def mse(eta, k, *, batch=1, sigma=1.0, distance=10.0):
    """Lecture 6: bias and variance of the distance to the mean; the risk is half of their sum."""
    shrunk = (1 - eta) ** (2 * k)
    return shrunk * distance**2 + eta / (2 - eta) * sigma**2 / batch * (1 - shrunk)


@pytest.mark.parametrize(
    ("eta", "k", "batch", "value"),
    [
        (0.5, 1000, 1, 1 / 3),
        (0.1, 1000, 1, 0.052632),
        (0.05, 400, 1, 0.025641),
        (0.1, 10, 1, 12.2039),
        (0.1, 1000, 10, 0.0052632),
        (0.1, 1000, 100, 0.00052632),
    ],
)
def test_the_mean_squared_error_is_the_number_on_record(eta, k, batch, value):
    found = forecast(mean_estimation(mu=0.0, sigma=1.0, w0=10.0), SGD(lr=eta), k, batch)
    assert 2 * found.risk[k] == pytest.approx(value, rel=2e-5)  # five digits are on record
    np.testing.assert_allclose(2 * found.risk, mse(eta, np.arange(k + 1), batch=batch), rtol=1e-12)


def test_a_step_of_one_has_the_floor_sigma_squared_and_not_half_of_it():
    found = forecast(mean_estimation(mu=0.0, sigma=1.5, w0=3.0), SGD(lr=1.0), 10, 1)
    np.testing.assert_allclose(2 * found.risk[1:], 1.5**2, rtol=1e-14)
    assert 2 * found.floor == pytest.approx(1.5**2, rel=1e-14)


@pytest.mark.parametrize("batch", [1, 4])
def test_a_step_of_one_over_k_is_the_running_mean(batch):
    """Its error is sigma^2 / (k B) exactly, with no logarithm, and the start is forgotten at once."""
    found = forecast(mean_estimation(mu=0.0, sigma=2.0, w0=7.0), SGD(lr=1.0, schedule=InverseTime()), 200, batch)
    k = np.arange(1, 201)
    np.testing.assert_allclose(2 * found.risk[1:], 4.0 / (k * batch), rtol=1e-12)
    assert found.bias[1] == 0


def orders(x, batch, epochs):
    """Every equally likely sequence of batch means over some epochs."""
    single = [[np.mean(order[i : i + batch]) for i in range(0, len(x), batch)] for order in itertools.permutations(x)]
    return [list(itertools.chain(*chosen)) for chosen in itertools.product(single, repeat=epochs)]


@pytest.mark.parametrize("batch", [1, 2, 3, 4])
@pytest.mark.parametrize("method", [SGD(lr=0.3), Momentum(lr=0.2, momentum=0.6), SGD(lr=1.0, schedule=InverseTime())])
def test_without_replacement_is_the_mean_over_all_orders(batch, method):
    """Four numbers, two epochs: all 576 pairs of orders, last batches short where the batch does not divide."""
    x, w0 = np.array([1.0, 2.0, 5.0, -3.0]), 4.0
    steps = 2 * -(-4 // batch)
    found = forecast(mean_estimation(x, w0=w0, replacement=False), method, steps, batch)
    factors = np.ones(steps) if method.schedule is None else method.schedule.factors(steps)
    lr, beta = method.lr, getattr(method, "momentum", 0.0)
    risks = np.zeros(steps + 1)
    sequences = orders(x, batch, 2)
    for means in sequences:
        w, m = w0, 0.0
        path = [w]
        for k, mean in enumerate(means):
            m = beta * m + (w - mean)
            w -= lr * factors[k] * m
            path.append(w)
        risks += 0.5 * (np.array(path) - x.mean()) ** 2 / len(sequences)
    np.testing.assert_allclose(found.risk, risks, rtol=1e-12, atol=1e-13)
    assert found.optimum == pytest.approx(0.5 * x.var(), rel=1e-14)
    assert found.metric == "train/loss"


@pytest.mark.parametrize("batch", [3, 2])
def test_a_dropped_last_batch_is_left_out_of_the_mean_over_all_orders(batch):
    x, w0, method = np.array([1.0, 2.0, 5.0, -3.0]), 4.0, Momentum(lr=0.2, momentum=0.6)
    each = 4 // batch
    problem = mean_estimation(x, w0=w0, replacement=False).with_sampler(Shuffled(batch, drop_last=True))
    found = forecast(problem, method, 2 * each, batch)
    sequences = list(itertools.product(itertools.permutations(x), repeat=2))
    risks = np.zeros(2 * each + 1)
    for epochs in sequences:
        w, m, path = w0, 0.0, [w0]
        for order in epochs:
            for first in range(0, each * batch, batch):
                m = 0.6 * m + (w - np.mean(order[first : first + batch]))
                w -= 0.2 * m
                path.append(w)
        risks += 0.5 * (np.array(path) - x.mean()) ** 2 / len(sequences)
    np.testing.assert_allclose(found.risk, risks, rtol=1e-12, atol=1e-13)


def test_with_replacement_is_the_mean_over_all_sequences():
    x, w0, lr = np.array([1.0, 2.0, 6.0]), 0.5, 0.4
    found = forecast(mean_estimation(x, w0=w0), SGD(lr=lr), 4, 1)
    risks = np.zeros(5)
    for drawn in itertools.product(x, repeat=4):
        w, path = w0, [w0]
        for number in drawn:
            w = (1 - lr) * w + lr * number
            path.append(w)
        risks += 0.5 * (np.array(path) - x.mean()) ** 2 / 3**4
    np.testing.assert_allclose(found.risk, risks, rtol=1e-13)


def test_one_over_k_without_replacement_ends_an_epoch_at_the_mean_itself():
    found = forecast(mean_estimation(np.arange(20.0), replacement=False), SGD(lr=1.0, schedule=InverseTime()), 20, 1)
    assert found.risk[20] <= 1e-13 * found.risk[1]
    assert found.risk[19] > 1e-3 * found.risk[1]


def test_full_batches_have_no_noise():
    found = forecast(mean_estimation([1.0, 2.0, 6.0], w0=0.0).with_sampler(Full()), SGD(lr=0.5), 5)
    np.testing.assert_allclose(found.risk, 0.5 * 9.0 * 0.25 ** np.arange(6), rtol=1e-13)
    assert found.noise.max() <= 1e-15


def test_equal_samples_are_equal_to_first_order_in_the_step_only():
    """(B, eta, k) against (1, eta / B, k B): 5.3 % apart at k = 20, 2.2 % at k = 200 where both are on their floor."""
    problem = mean_estimation(mu=0.0, sigma=1.0, w0=10.0)
    large, small = forecast(problem, SGD(lr=0.05), 200, 1000), forecast(problem, SGD(lr=5e-5), 200_000, 1)
    assert [2 * large.risk[20], 2 * small.risk[20_000]] == pytest.approx([12.85, 13.53], abs=0.005)
    early = small.risk[20_000] / large.risk[20]
    assert early == pytest.approx(1.053, abs=5e-4)
    late = large.risk[200] / small.risk[200_000]
    assert late == pytest.approx(1.022, abs=5e-4)


@pytest.mark.parametrize(
    ("make", "error", "said"),
    [
        (mean_estimation, BadProblem, "either the numbers"),
        (lambda: mean_estimation([1.0], mu=0.0, sigma=1.0), BadProblem, "give one"),
        (lambda: mean_estimation([1.0, np.nan]), BadProblem, "finite numbers"),
        (lambda: mean_estimation([]), BadProblem, "finite numbers"),
        (lambda: mean_estimation(mu=0.0), BadProblem, "draws nothing"),
        (lambda: mean_estimation(mu=0.0, sigma=-1.0), BadProblem, "at least 0"),
        (lambda: mean_estimation(mu=0.0, sigma=1.0, n=0), BadProblem, "n=0"),
        (lambda: mean_estimation(mu=0.0, sigma=1.0, w0=np.inf), BadProblem, "w0=inf"),
        (lambda: mean_estimation([1.0], n=3), BadProblem, "takes no n=3"),
    ],
)
def test_numbers_that_make_no_problem_are_refused(make, error, said):
    with pytest.raises(error, match=said):
        make()


def test_a_sampler_whose_noise_is_not_modelled_is_refused():
    problem = mean_estimation([1.0, 2.0, 6.0]).with_sampler(Poisson(0.5))
    with pytest.raises(BadProblem, match="sampled by Poisson"):
        forecast(problem, SGD(lr=0.1), 5)
    for batch in (4, 1.5):
        with pytest.raises(BadProtocol, match="no share of the 3 examples"):
            forecast(mean_estimation([1.0, 2.0, 6.0], replacement=False), SGD(lr=0.1), 5, batch)
