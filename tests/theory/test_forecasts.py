"""The expected risk is what closed forms, dense matrices and other exact routes say it is."""

from dataclasses import replace

import numpy as np
import pytest
from linear_methods import LINEAR, SCHEDULES

from optwise.core.errors import BadMethod, BadProblem, BadProtocol
from optwise.methods import EMA, SGD, Momentum, Preconditioned
from optwise.problems import nqm, rosenbrock
from optwise.theory import forecast
from optwise.theory.doubling import responses_at
from optwise.theory.forecasting import course
from optwise.theory.models import nodes_of
from optwise.theory.moments import moments
from optwise.theory.settled_steps import constant_step
from optwise.theory.walks import steps_of

METHODS = pytest.mark.parametrize("name", LINEAR)


def sgd_risk(quadratic, lr, k, batch):
    """Lecture 7 and Zhang et al.: exact for gradient descent at every step."""
    h, shrunk = quadratic.h, (1 - lr * quadratic.h) ** (2 * k)
    return 0.5 * h * (shrunk * quadratic.start + (1 - shrunk) * lr * quadratic.c / (batch * h * (2 - lr * h)))


def test_gradient_descent_has_the_closed_form_of_the_noisy_quadratic_model(harmonic):
    quadratic, found = harmonic.quadratic, forecast(harmonic, SGD(lr=0.7), 300, 8)
    k = np.arange(301)[:, None]
    exact = sgd_risk(quadratic, 0.7, k, 8).sum(1)
    # sums of ten terms and powers up to 600: rounding stays below 1e-13
    np.testing.assert_allclose(found.risk, exact, rtol=1e-13)


def momentum_bias(a, beta, h, k):
    """The bias factor of lecture 7, from the roots of z^2 - (1 - a h + beta) z + beta."""
    r1, r2 = np.roots([1, -(1 - a * h + beta), beta]).astype(complex)
    return (((r1 ** (k + 1) - r2 ** (k + 1)) - beta * (r1**k - r2**k)) / (r1 - r2)).real ** 2


@pytest.mark.parametrize(("a", "beta", "h"), [(0.1, 0.9, 1.0), (0.1, 0.5, 0.02), (0.5, 0.3, 0.7)])
def test_the_bias_of_heavy_ball_is_the_published_one_at_every_step(a, beta, h):
    found = forecast(nqm(h=[h], c=[0.0], w0=[1.0]), Momentum(lr=a, momentum=beta), 200, 1)
    exact = [0.5 * h * momentum_bias(a, beta, h, k) for k in range(201)]
    # where roots nearly meet the published form divides by their distance, 0.3 at least here
    np.testing.assert_allclose(found.bias, exact, rtol=1e-9, atol=1e-18)


FLOORS = [
    (SGD(lr=0.1), 1.0, 0.0263158),
    (Momentum(lr=0.1, momentum=0.9), 1.0, 0.2567568),
    (Momentum(lr=0.5, momentum=0.5), 1.0, 0.3),
    (EMA(SGD(lr=0.1), decay=0.5), 1.0, 0.0231260),
    (EMA(SGD(lr=0.1), decay=0.95), 1.0, 0.0086323),
    (Preconditioned(SGD(lr=0.1), power=1.0), 0.01, 0.0263158),
    (Preconditioned(SGD(lr=0.1), power=0.5), 0.01, 0.00251256),
]


@pytest.mark.parametrize(("method", "h", "value"), FLOORS)
def test_the_floor_is_the_limit_of_the_risk_and_the_number_on_record(method, h, value):
    """The preconditioned floors on record are for c = h: there the noise of a flat direction is small too."""
    problem = nqm(h=[h], c=[h if h < 1 else 1.0], w0=[1.0])
    found = forecast(problem, method, 20_000, 1)
    assert found.floor == pytest.approx(value, rel=2e-5)  # the record has six digits
    assert found.risk[-1] == pytest.approx(found.floor, rel=1e-12)


@pytest.mark.parametrize("beta", [0.3, 0.9, 0.99])
def test_the_floor_of_heavy_ball_is_the_published_steady_state(beta):
    a, h, c, batch = 0.1, 0.7, 1.3, 4
    found = forecast(nqm(h=[h], c=[c]), Momentum(lr=a, momentum=beta), 1, batch)
    exact = (1 + beta) * a * c / (2 * batch * (2 * beta + 2 - a * h) * (1 - beta))
    assert found.floor == pytest.approx(exact, rel=1e-12)


@pytest.mark.parametrize("gamma", [0.3, 0.9, 0.99])
def test_the_floor_of_an_average_is_the_published_steady_state(gamma):
    a, h, c = 0.1, 0.7, 1.3
    found = forecast(nqm(h=[h], c=[c]), EMA(SGD(lr=a), decay=gamma), 1, 1)
    r = 1 - a * h
    exact = a * c / (2 * (2 - a * h)) * (1 - gamma) * (1 + r * gamma) / ((1 + gamma) * (1 - r * gamma))
    assert found.floor == pytest.approx(exact, rel=1e-12)


@METHODS
def test_recursion_responses_and_doubling_agree_to_a_part_in_a_trillion(name, harmonic):
    """Three routes: second moments step by step, squared impulse responses, powers and Gramians by doubling."""
    method, nodes, steps = LINEAR[name], nodes_of(harmonic.quadratic), 700
    found = forecast(harmonic, method, steps, 8)
    rule = course(method, nodes, steps).rule
    walked = [
        (F @ nodes.bias.weights, G @ nodes.noise.weights)
        for F, G, _, _ in moments(rule.start, rule.measured_at(), steps_of(rule, steps, [None]), nodes)
    ]
    bias, noise = (np.concatenate(part) for part in zip(*walked, strict=True))
    np.testing.assert_allclose(found.bias, bias, rtol=1e-12, atol=1e-13 * bias[0])
    np.testing.assert_allclose(found.noise, noise, rtol=1e-12)
    step = constant_step([method], nodes.h)
    if step is None or name == "dampened":  # which changes its step after the first
        return
    for k in (1, 2, 63, 64, 137, 700):
        F, G = responses_at(rule.start, step, nodes, k)
        assert (F @ nodes.bias.weights)[0] == pytest.approx(bias[k], rel=1e-12, abs=1e-13 * bias[0])
        assert (G @ nodes.noise.weights)[0] == pytest.approx(noise[k], rel=1e-12)


def loop(method, schedule, steps, quadratic):
    """A second exact route: the responses to the start and to each step's noise, by the method's own steps."""
    import torch

    factors = np.ones(steps) if schedule is None else schedule.factors(steps)
    d = quadratic.h.size
    h = torch.from_numpy(quadratic.h)[:, None].repeat(1, steps + 1)  # column 0: a unit start; column j: noise at step j
    w = torch.zeros(d, steps + 1, dtype=torch.float64)
    w[:, 0] = 1.0
    state = method.start(w, h)
    for k in range(steps):
        g = h * w
        g[:, k + 1] += 1.0
        w, state = replace(method, schedule=None).at_lr(_lr(method) * float(factors[k])).step(w, g, state)
    y = method.evaluation_weights(w, state).numpy()
    bias = 0.5 * (quadratic.h * quadratic.start) @ y[:, 0] ** 2
    noise = 0.5 * (quadratic.h * quadratic.c) @ (y[:, 1:] ** 2).sum(1)
    return bias, noise


def _lr(method):
    return method.values()["lr"]


@METHODS
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_every_method_under_every_schedule_is_the_sum_of_its_responses(name, schedule, harmonic):
    """As an oracle the method's own step is run on unit starts and unit noises, one column each."""
    steps, method = 120, replace(LINEAR[name], schedule=SCHEDULES[schedule])
    found = forecast(harmonic, method, steps, 8)
    bias, noise = loop(method, method.schedule, steps, harmonic.quadratic)
    assert found.bias[-1] == pytest.approx(bias, rel=1e-12, abs=1e-13 * found.bias[0])
    assert found.noise[-1] == pytest.approx(noise, rel=1e-12)


def test_risk_is_bias_plus_noise_over_the_batch_size_so_that_one_pass_serves_every_batch_size(harmonic):
    small, large = (forecast(harmonic, Momentum(lr=0.1, momentum=0.9), 50, b) for b in (2, 512.5))
    np.testing.assert_array_equal(small.bias, large.bias)
    np.testing.assert_array_equal(small.noise, large.noise)
    np.testing.assert_array_equal(large.risk, large.bias + large.noise / 512.5)


def test_a_step_beyond_stability_is_a_forecast_with_its_rate():
    found = forecast(nqm(h=[1.0, 0.1]), SGD(lr=2.5), 2000, 1)
    assert found.diverges
    assert found.rate == pytest.approx(1.5, rel=1e-14)
    assert found.floor == np.inf
    assert found.risk[-1] == np.inf  # 1.5^4000 is beyond what a number can hold
    growth = found.risk[200] / found.risk[100]
    assert growth == pytest.approx(1.5**200, rel=1e-9)


def test_steps_to_is_the_first_step_at_the_target(harmonic):
    found = forecast(harmonic, SGD(lr=0.5), 500, 8)
    k = found.steps_to(0.5)
    assert found.risk[k] <= 0.5 < found.risk[k - 1]
    assert found.steps_to(float(found.risk[0])) == 0
    assert found.steps_to(1e-9) is None


@pytest.mark.parametrize("fixed", [False, True])
def test_the_deviation_is_that_of_a_sum_of_squared_normals(fixed):
    """Against sampling the final normals, whose moments the closed form of gradient descent gives."""
    h, c, s = np.array([1.0, 0.3]), np.array([0.5, 2.0]), np.array([4.0, 1.0])
    problem = nqm(h=h, c=c, w0=np.sqrt(s)) if fixed else nqm(h=h, c=c, second_moment=4.0)
    s = s if fixed else np.full(2, 4.0)
    found, k = forecast(problem, SGD(lr=0.4), 9, 2), 9
    mean, variance = (1 - 0.4 * h) ** k * np.sqrt(s), 0.4 * c * (1 - (1 - 0.4 * h) ** (2 * k)) / (2 * h * (2 - 0.4 * h))
    rng = np.random.default_rng(0)
    w = rng.standard_normal((400_000, 2)) * np.sqrt(variance + (0 if fixed else mean**2)) + (mean if fixed else 0)
    f = 0.5 * (h * w**2).sum(1)
    # the standard error of a standard deviation of 4e5 such values is below 0.5 %
    assert found.deviation[k] == pytest.approx(f.std(), rel=0.02)
    assert found.risk[k] == pytest.approx(f.mean(), rel=0.01)


def test_flat_directions_take_no_part_and_equal_ones_are_merged():
    plain = forecast(nqm(h=[1.0, 0.5], c=[2.0, 1.0]), SGD(lr=0.1), 20, 1)
    flat = forecast(nqm(h=[1.0, 0.5, 0.0], c=[2.0, 1.0, 7.0]), SGD(lr=0.1), 20, 1)
    np.testing.assert_array_equal(plain.risk, flat.risk)
    assert flat.rates.tolist() == [0.9, 0.95]
    twice = forecast(nqm(h=[1.0, 0.5, 1.0, 0.5], c=[2.0, 1.0, 2.0, 1.0]), SGD(lr=0.1), 20, 1)
    assert twice.nodes == 2
    np.testing.assert_allclose(twice.risk, 2 * plain.risk, rtol=1e-14)


def test_a_learning_rate_of_zero_leaves_everything_where_it_was():
    found = forecast(nqm(h=[1.0], w0=[3.0]), SGD(lr=0.0), 5, 1)
    assert found.risk.tolist() == [4.5] * 6
    assert found.floor == 4.5


REFUSED = [
    ((rosenbrock(), SGD(lr=0.1), 5), BadProblem, "rosenbrock:d=2 is no quadratic"),
    ((nqm(d=3), SGD(), 5), BadMethod, "SGD.lr is still open"),
    ((nqm(d=3), SGD, 5), BadMethod, "SGD is a class"),
    ((nqm(d=3), SGD(lr=0.1), 0), BadProtocol, "over 0 steps"),
    ((nqm(d=3), SGD(lr=0.1), 10**9), BadProtocol, "over 1000000000 steps"),
    ((nqm(d=3), SGD(lr=0.1), 5, 0.5), BadProtocol, "Batch size 0.5"),
    ((nqm(d=3), SGD(lr=0.1), 5, float("nan")), BadProtocol, "Batch size nan"),
]


@pytest.mark.parametrize(("asked", "error", "said"), REFUSED)
def test_what_cannot_be_forecast_is_refused_with_one_sentence(asked, error, said):
    with pytest.raises(error, match=said) as caught:
        forecast(*asked)
    assert str(caught.value).count(". ") <= 1
