"""What lectures 6 to 8 say of momentum, averaging and preconditioning, held against exact forecasts of our methods."""

import numpy as np
import pytest

from optwise.methods import EMA, SGD, Momentum, Preconditioned
from optwise.problems import nqm
from optwise.theory import floor, forecast, max_lr, steps_to

ONE = nqm(h=[1.0], c=[1.0], w0=[1.0])


@pytest.mark.parametrize(("lr", "ratio"), [(0.1, 9.757), (1.0, 6.786)])
def test_momentum_multiplies_the_floor_by_about_1_over_1_minus_beta_and_not_by_19(lr, ratio):
    found = floor(ONE, Momentum(lr=lr, momentum=0.9), 1) / floor(ONE, SGD(lr=lr), 1)
    assert found == pytest.approx(ratio, abs=5e-4)
    assert found == pytest.approx(1.9 * (2 - lr) / ((1.8 + 2 - lr) * 0.1), rel=1e-12)


def test_at_equal_pace_momentum_lowers_the_floor_slightly():
    """At lr / (1 - beta) = 0.1 the floor is .02542, .02507, .02501 for beta .5, .9, .99, against .02632 without."""
    found = [floor(ONE, Momentum(lr=0.1 * (1 - beta), momentum=beta), 1) for beta in (0.0, 0.5, 0.9, 0.99)]
    assert found == pytest.approx([0.02632, 0.02542, 0.02507, 0.02501], abs=5e-6)


def test_the_bias_of_an_average_contracts_as_a_constant_above_1_times_the_iterates():
    """C = (1 - gamma) r / (r - gamma), 1.125 at lr 0.1 and gamma 0.5, and so 1.266 in the risk."""
    k, r, gamma = 50, 0.9, 0.5
    plain, averaged = (2 * forecast(ONE, m, k, 1).bias[k] for m in (SGD(lr=0.1), EMA(SGD(lr=0.1), decay=gamma)))
    assert [plain, averaged] == pytest.approx([2.66e-5, 3.36e-5], abs=5e-8)
    assert averaged / plain == pytest.approx(((1 - gamma) * r / (r - gamma)) ** 2, rel=1e-9)


def test_an_average_whose_memory_outlasts_the_slowest_direction_destroys_its_rate():
    """What counts is the direction: gamma < 1 - lr h must hold for each, not only for the flattest."""
    slow = nqm(h=[0.1], c=[0.0], w0=[1.0])
    plain, averaged = (forecast(slow, m, 50, 1).bias[50] / 0.05 for m in (SGD(lr=0.5), EMA(SGD(lr=0.5), decay=0.99)))
    assert [plain, averaged] == pytest.approx([0.0059, 0.534], rel=5e-3)
    steep = nqm(h=[1.0, 0.01], c=[0.0, 0.0], w0=[1.0, 1.0])  # gamma = .9 lies below 1 - lr h of the flat one only
    assert max_lr(steep, EMA(SGD(lr=1.0), decay=0.9)) == pytest.approx(2.0, rel=1e-9)
    both = forecast(steep, EMA(SGD(lr=0.5), decay=0.9), 40, 1).bias[40]
    alone = forecast(nqm(h=[1.0], c=[0.0], w0=[1.0]), EMA(SGD(lr=0.5), decay=0.9), 40, 1).bias[40]
    exact = 0.9**40 * (1 + 0.1 * 0.5 / 0.4) - 0.5**40 * 0.1 * 0.5 / 0.4
    assert alone == pytest.approx(0.5 * exact**2, rel=1e-12)
    assert both > alone > 1e3 * 0.5 * 0.5**80  # the steep direction decays with gamma, no longer with 1 - lr h


LRS = 10 ** np.linspace(-3.5, 0.3, 60)


@pytest.mark.parametrize("power", [0.25, 0.5, 0.75])
def test_preconditioning_helps_at_small_batches_too_once_its_step_size_is_tuned(power):
    """At an equal step size it may hurt, which is what the lecture says; tuned it needs less than half of the steps."""
    problem, batch = nqm(d=100), 4
    plain = steps_to(problem, [SGD(lr=float(lr)) for lr in LRS], 0.01, [batch], max_steps=50_000).min()
    own = [Preconditioned(SGD(lr=float(lr)), power=power) for lr in LRS]
    assert plain / steps_to(problem, own, 0.01, [batch], max_steps=50_000).min() > (1.5 if power == 0.25 else 2.0)
    equal = floor(problem, Preconditioned(SGD(lr=0.1), power=power), batch) / floor(problem, SGD(lr=0.1), batch)
    assert equal > 1.2


def test_the_best_step_size_of_gradient_descent_grows_in_proportion_to_the_batch():
    steps = steps_to(nqm(d=100), [SGD(lr=float(lr)) for lr in LRS], 0.01, [4, 16, 64], max_steps=50_000)
    best = LRS[np.argmin(steps, axis=0)]
    np.testing.assert_allclose(best[1:] / best[:-1], 4.0, rtol=0.35)  # neighbours of the grid are 1.16 apart
