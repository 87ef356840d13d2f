"""The published way to find steps to a target does what it says, with the weaknesses that it is said to have."""

import importlib.util
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

D = 10_000
FULL = 1.0 / np.arange(1, D + 1), np.ones(D)


@pytest.fixture(scope="module")
def published():
    """The script under benchmarks/peers, which is not a package."""
    path = Path(__file__).parents[2] / "benchmarks" / "peers" / "published_nqm.py"
    spec = importlib.util.spec_from_file_location("published_nqm", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def risks(lr, beta, batch_size, h, weights):
    """Yield the risk before each step, by the recursion of E w^2, E wm, E m^2 as the rule is written."""
    ww, wm, mm = np.ones_like(h), np.zeros_like(h), np.zeros_like(h)
    c = h / batch_size
    while True:
        yield 0.5 * float((weights * h) @ ww)
        new_mm = beta**2 * mm + 2 * beta * h * wm + h**2 * ww + c  # m' = beta m + h w + noise
        w_new_m = beta * wm + h * ww  # w m'
        ww, wm, mm = ww - 2 * lr * w_new_m + lr**2 * new_mm, w_new_m - lr * new_mm, new_mm  # w' = w - lr m'


def first_hit(lr, beta, batch_size, spectrum, target):
    return next(k for k, risk in enumerate(risks(lr, beta, batch_size, *spectrum)) if risk <= target)


@pytest.mark.parametrize(
    ("lr", "beta", "batch_size"), [(1.7, 0.0, 16), (0.3, 0.5, 64), (0.1, 0.9, 4), (0.02, 0.99, 256)]
)
def test_the_closed_form_is_the_recursion(published, lr, beta, batch_size):
    """Away from coinciding roots V has a condition of at most 1e4, so 1e-10 is left of float64."""
    spectrum = np.array([1.0, 0.37, 0.08, 0.001]), np.array([1.0, 2.0, 5.0, 100.0])
    form = published.closed_form(lr, beta, batch_size, *spectrum)
    for k, risk in enumerate(islice(risks(lr, beta, batch_size, *spectrum), 300)):
        assert published.risk(k, *form) == pytest.approx(risk, rel=1e-10)


def test_rounding_keeps_every_curvature_and_raises_none(published):
    values, counts = published.rounded_spectrum(D)
    assert counts.sum() == D
    assert len(values) == len(counts) <= 100
    width = np.log(D) / 100
    rounded = np.repeat(values[::-1], counts[::-1].astype(int))  # from the largest down, as 1/i comes
    assert (rounded <= FULL[0] * (1 + 1e-12)).all()
    assert (np.log(FULL[0] / rounded) <= width + 1e-12).all()


# lr, beta, batch size, target, and by how many percent the rounding moves the answer
POINTS = [
    (1.8, 0.9, 2**16, 0.01, 3.1),
    (1.8, 0.9, 2**20, 0.01, 3.3),
    (1.0, 0.9, 2**10, 0.05, 0.9),
    (0.65, 0.95, 2**12, 0.01, -0.3),
    (0.25, 0.9, 2**6, 0.2, -0.8),
]


@pytest.mark.parametrize("point", POINTS)
def test_rounding_to_100_values_moves_the_answer_and_the_last_miss_is_one_step_before_the_hit(published, point):
    """From -0.8 to +3.3 % here; a step more or less is up to 0.14 %."""
    lr, beta, batch_size, target, percent = point
    exact = first_hit(lr, beta, batch_size, FULL, target)
    rounded = first_hit(lr, beta, batch_size, published.rounded_spectrum(D), target)
    answer = published.steps_to_target(lr, beta, batch_size, d=D, target=target, max_steps=20_000)
    assert answer == rounded - 1
    assert 100 * (rounded - exact) / exact == pytest.approx(percent, abs=0.15)


def test_close_to_the_floor_rounding_moves_the_answer_by_a_tenth(published):
    """The target lies 3 % above where the noise lets the risk go: 3130 steps become 2684."""
    point = 0.4, 0.95, 2**10
    exact = first_hit(*point, FULL, 0.02)
    rounded = first_hit(*point, published.rounded_spectrum(D), 0.02)
    assert -0.16 < (rounded - exact) / exact < -0.12


def test_where_the_risk_rises_again_bisection_answers_with_a_later_crossing(published):
    lr, beta, batch_size, target = 1.0, 0.99, 2**16, 0.5
    hit = first_hit(lr, beta, batch_size, published.rounded_spectrum(D), target)
    answer = published.steps_to_target(lr, beta, batch_size, d=D, target=target, max_steps=20_000)
    path = list(islice(risks(lr, beta, batch_size, *published.rounded_spectrum(D)), answer + 1))
    assert path[hit] <= target < path[answer]
    assert answer > hit


def test_where_roots_coincide_half_of_the_digits_are_lost(published):
    """At lr h = (1 - sqrt(beta))^2 all three roots are beta; the recursion itself is as good as elsewhere."""
    beta, h = 0.25, (np.array([1.0]), np.ones(1))
    worst = {}
    for lr in (0.25, 0.2):
        form = published.closed_form(lr, beta, 64, *h)
        path = list(islice(risks(lr, beta, 64, *h), 50))
        worst[lr] = max(abs(published.risk(k, *form) / risk - 1) for k, risk in enumerate(path))
    assert worst[0.2] < 1e-12
    assert worst[0.25] > 1e-10


def test_a_target_that_is_not_reached_has_no_answer(published):
    assert published.steps_to_target(0.1, 0.9, 1, d=D, target=1e-6, max_steps=20_000) is None
    assert published.steps_to_target(5.0, 0.9, 64, d=D, target=0.01, max_steps=20_000) is None  # diverges
