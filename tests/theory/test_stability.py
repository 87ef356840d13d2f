"""Rates, floors and step-size limits against eigenvalues of dense matrices, closed forms and simulation."""

import numpy as np
import pytest
import torch
from linear_methods import LINEAR

from optwise.core.errors import BadMethod
from optwise.methods import EMA, SGD, Momentum, Nesterov, WarmupCosine
from optwise.problems import least_squares_sgd, mean_estimation, nqm
from optwise.theory import floor, floors, forecast, max_lr, rate, rates, rates_of_each
from optwise.theory.matrices import spectral_radius


def test_the_radius_of_small_matrices_is_that_of_numpy():
    for m in (1, 2, 3):
        A = np.random.default_rng(m).standard_normal((m, m, 50))
        expected = np.abs(np.linalg.eigvals(np.moveaxis(A, -1, 0))).max(1)
        np.testing.assert_allclose(spectral_radius(A), expected, rtol=1e-12)
    assert spectral_radius(np.full((2, 2, 1), np.nan))[0] == np.inf


@pytest.mark.parametrize("beta", [0.1, 0.5, 0.9, 0.99])
def test_heavy_ball_is_critical_where_beta_is_the_square_of_one_minus_the_root_of_lr_h(beta):
    """Above beta* = (1 - sqrt(lr h))^2 the rate is sqrt(beta) whatever h, below it the larger real root."""
    lr, h = 0.2, np.geomspace(1e-4, 1.0, 40)
    found = rates(nqm(h=h), Momentum(lr=lr, momentum=beta))
    over = beta >= (1 - np.sqrt(lr * h)) ** 2
    half = (1 - lr * h + beta) / 2
    exact = np.where(over, np.sqrt(beta), half + np.sqrt(np.maximum(half**2 - beta, 0)))
    np.testing.assert_allclose(found, exact, rtol=1e-7)  # roots that nearly meet are known to half the digits


def test_rates_stand_in_the_order_of_the_coordinates():
    assert rates(nqm(h=[0.5, 1.0, 0.5]), SGD(lr=0.5)).tolist() == [0.75, 0.5, 0.75]
    assert rate(nqm(h=[0.5, 1.0, 0.5]), SGD(lr=0.5)) == 0.75


@pytest.mark.parametrize("name", ["polyak", "schedule-free"])
def test_a_step_that_keeps_changing_has_no_rate_and_no_floor(name):
    problem = nqm(d=5)
    assert rates(problem, LINEAR[name]) is None
    assert floor(problem, LINEAR[name], 1) is None
    with pytest.raises(BadMethod, match="changes its step"):
        rate(problem, LINEAR[name])
    with pytest.raises(BadMethod, match="changes its step"):
        max_lr(problem, LINEAR[name])
    assert floor(problem, SGD(lr=0.1, schedule=WarmupCosine()), 1) is None


LIMITS = [
    (SGD(lr=1.0), 2.0),
    (SGD(lr=1.0, weight_decay=0.5), 2.0 / 1.5),
    (Momentum(lr=1.0, momentum=0.9), 3.8),
    (Momentum(lr=1.0, momentum=0.5), 3.0),
    (Nesterov(lr=1.0, momentum=0.9), 2 * 1.9 / 2.8),
    (EMA(SGD(lr=1.0), decay=0.9), 2.0),
]


@pytest.mark.parametrize(("method", "limit"), LIMITS)
def test_the_largest_stable_step_is_the_closed_form_over_the_largest_curvature(method, limit):
    scale = 4.0 if method.values().get("weight_decay", 0.0) == 0.0 else 1.0
    problem = nqm(h=[scale, 0.3])
    assert max_lr(problem, method) == pytest.approx(limit / scale, rel=1e-9)
    # a step below is bounded, a step above grows
    below, above = (forecast(problem, method.close({"lr": f * limit / scale}), 4000, 1) for f in (0.99, 1.01))
    assert not below.diverges
    assert above.diverges


def test_the_limit_of_least_squares_on_fresh_rows_depends_on_the_batch_size():
    """D = 100, h = 1/i: the record has .337, 1.05, 1.74, 1.94 for batches of 1, 4, 16, 64, and 2 without noise."""
    problem = least_squares_sgd(d=100)
    found = [max_lr(problem, SGD(lr=1.0), batch) for batch in (1, 4, 16, 64)]
    np.testing.assert_allclose(found, [0.337, 1.05, 1.74, 1.94], rtol=3e-3)
    h = problem.quadratic.h
    for lr, batch in zip(found, (1, 4, 16, 64), strict=True):  # where the coupling's gain is 1, in closed form
        assert (lr * h / (2 * batch - lr * h * (batch + 1))).sum() == pytest.approx(1.0, rel=1e-9)
    assert max_lr(problem, SGD(lr=1.0), 1e9) == pytest.approx(2.0, rel=1e-6)
    assert max_lr(nqm(d=100), SGD(lr=1.0), 1) == pytest.approx(2.0, rel=1e-12)


def test_beyond_that_limit_the_second_moments_grow_although_the_mean_settles():
    problem = least_squares_sgd(d=20)
    limit = max_lr(problem, Momentum(lr=1.0, momentum=0.5), 2)
    below, above = (forecast(problem, Momentum(lr=f * limit, momentum=0.5), 6000, 2) for f in (0.98, 1.02))
    assert below.risk[-1] == pytest.approx(below.floor, rel=1e-3)
    assert above.floor == np.inf
    assert above.diverges
    assert above.rates.max() < 1 < above.rate
    assert above.risk[-1] > 10 * above.risk[3000]


def test_the_floor_of_least_squares_is_the_limit_of_its_recursion():
    problem = least_squares_sgd(h=[1.0, 0.5, 0.25], noise=0.7)
    for method in (SGD(lr=0.3), Momentum(lr=0.1, momentum=0.8), EMA(SGD(lr=0.3), decay=0.9)):
        found = forecast(problem, method, 5000, 3)
        assert found.risk[-1] == pytest.approx(found.floor, rel=1e-10)


def test_one_step_of_least_squares_is_the_formula_of_its_second_moments():
    """S' = (1 - a h)^2 s + (a^2 / B)(h^2 s + h <h, s> + sigma^2 h), for gradient descent."""
    h, s, a, sigma, B = np.array([1.0, 0.4, 0.4]), np.array([2.0, 1.0, 3.0]), 0.3, 0.5, 4
    problem = least_squares_sgd(h=h, noise=sigma, w0=np.sqrt(s))
    found = forecast(problem, SGD(lr=a), 25, B)
    risks = [0.5 * h @ s]
    for _ in range(25):
        s = (1 - a * h) ** 2 * s + a**2 / B * (h**2 * s + h * (h @ s) + sigma**2 * h)
        risks.append(0.5 * h @ s)
    np.testing.assert_allclose(found.risk, risks, rtol=1e-13)


def test_gaussian_rows_have_the_fourth_moments_that_the_recursion_assumes():
    """Against 4e5 replicas of heavy ball on rows drawn by the problem's own sampler."""
    problem = least_squares_sgd(h=[1.0, 0.3], noise=0.5, w0=[1.0, -2.0], batch_size=2)
    R, K, rule = 100_000, 6, Momentum(lr=0.2, momentum=0.5)
    draw = problem.sampler.draw
    generator = torch.Generator().manual_seed(3)
    w = torch.tensor([1.0, -2.0], dtype=torch.float64).repeat(R, 1)
    state = rule.init(w)
    for _ in range(K):
        rows = draw(generator, 1, 2 * R, None)[0].reshape(R, 2, 3)
        error = (rows[..., :2] * w[:, None]).sum(-1) - rows[..., 2]
        w, state = rule.step(w, (rows[..., :2] * error[..., None]).mean(1), state)
    f = 0.5 * (torch.tensor([1.0, 0.3], dtype=torch.float64) * w**2).sum(1)
    found = forecast(problem, rule, K, 2)
    z = (float(f.mean()) - found.risk[-1]) / (float(f.std()) / np.sqrt(R))
    assert abs(z) < 4


def test_drawn_without_replacement_there_is_no_floor_to_speak_of():
    assert floor(mean_estimation([1.0, 2.0, 4.0], replacement=False), SGD(lr=0.1)) is None


@pytest.mark.parametrize("problem", [nqm(d=30), least_squares_sgd(d=30)], ids=["additive", "design"])
def test_thousands_of_settings_have_the_floors_and_rates_of_each_alone(problem):
    methods = [Momentum(lr=float(lr), momentum=b) for lr in np.geomspace(1e-3, 5.0, 60) for b in (0.0, 0.5, 0.99)]
    sizes = [1, 7, 4096]
    together, fast = floors(problem, methods, sizes), rates_of_each(problem, methods)
    assert together.shape == (180, 3)
    assert fast.shape == (180, 30)
    assert 0 < np.isinf(together[:, 2]).mean() < 1
    for i in range(0, 180, 13):
        alone = [floor(problem, methods[i], size) for size in sizes]
        np.testing.assert_allclose(together[i], alone, rtol=1e-12)
        np.testing.assert_allclose(fast[i], rates(problem, methods[i]), rtol=1e-12)


def test_directions_that_hardly_move_do_not_count_as_unstable():
    problem = nqm(h=np.geomspace(1e-14, 1.0, 200))
    assert max_lr(problem, SGD(lr=1.0)) == pytest.approx(2.0, rel=1e-9)
    assert max_lr(problem, Momentum(lr=1.0, momentum=0.9)) == pytest.approx(3.8, rel=1e-9)
