"""Data drawn without replacement: what is known of a whole batch, and what is told where nothing is."""

import numpy as np
import pytest

from optwise.core.errors import BadProblem
from optwise.methods import SGD, Momentum
from optwise.problems import least_squares_sgd, mean_estimation, nqm, sampled_least_squares
from optwise.theory import critical_batch_size, floor, floors, forecast, rate, survey

ROWS = np.random.default_rng(0).standard_normal((6, 2))
LABELS = ROWS @ [1.0, 2.0] + np.random.default_rng(1).standard_normal(6)
SHUFFLED = sampled_least_squares(ROWS, LABELS, replacement=False)
NUMBERS = mean_estimation([1.0, 2.0, 6.0], replacement=False)


def loss(w):
    return 0.5 * np.mean((ROWS @ w - LABELS) ** 2)


def test_the_whole_data_set_as_a_batch_is_gradient_descent():
    """The oracle is plain gradient descent on the loss, step by step."""
    best, w, lr = loss(np.linalg.lstsq(ROWS, LABELS, rcond=None)[0]), np.zeros(2), 0.3
    found = forecast(SHUFFLED, SGD(lr=lr), 60, 6)
    for k in range(61):
        np.testing.assert_allclose(found.risk[k], loss(w) - best, rtol=1e-9, atol=1e-13)
        w = w - lr * ROWS.T @ (ROWS @ w - LABELS) / 6
    curvatures = np.linalg.eigvalsh(ROWS.T @ ROWS / 6)
    np.testing.assert_allclose(rate(SHUFFLED, SGD(lr=lr), 6), np.abs(1 - lr * curvatures).max(), rtol=1e-12)
    assert floor(SHUFFLED, SGD(lr=lr), 6) == found.floor == 0.0
    assert floors(SHUFFLED, [SGD(lr=lr), SGD(lr=9.0)], [6]).tolist() == [[0.0], [np.inf]]


def test_a_whole_batch_of_numbers_has_a_floor():
    assert floor(NUMBERS, SGD(lr=0.1), 3) == 0.0
    np.testing.assert_allclose(rate(NUMBERS, SGD(lr=0.1), 3), 0.9, rtol=1e-14)
    assert forecast(NUMBERS, SGD(lr=0.1), 9, 3).floor_words == "floor 0: nothing holds the risk up"
    assert floor(NUMBERS, SGD(lr=0.1), 1) is None


def test_constant_steps_on_shuffled_rows_are_not_said_to_change():
    with pytest.raises(BadProblem, match="draws its rows without replacement") as refused:
        rate(SHUFFLED, SGD(lr=0.1), 2)
    found = forecast(SHUFFLED, Momentum(lr=0.1, momentum=0.5), 20, 2)
    assert "changes its step" not in str(refused.value)
    assert "epochs" in found.floor_words
    assert "keeps changing" not in found.floor_words


@pytest.mark.parametrize("problem", [SHUFFLED, NUMBERS], ids=lambda problem: problem.name)
def test_surveys_without_replacement_count_what_forecasts_count(problem):
    found = survey(problem, SGD(), 0.5, [1, 2], points=4, max_steps=500)
    for i, point in enumerate(found.points):
        for j, size in enumerate((1, 2)):
            step = forecast(problem, SGD(lr=point["lr"]), 500, size).steps_to(0.5)
            assert found.steps[i, j] == (np.inf if step is None else step)
    assert critical_batch_size(problem, SGD(), 0.5, batch_sizes=[1, 2], points=4) >= 0


@pytest.mark.parametrize("problem", [nqm(h=[1.0, 0.5], w0=[1.0, 1.0]), least_squares_sgd(h=[1.0, 0.5]), NUMBERS])
@pytest.mark.parametrize("sizes", [None, [2, 3]])
def test_where_the_start_meets_the_target_the_smallest_batch_is_large_enough(problem, sizes):
    assert critical_batch_size(problem, SGD(lr=0.1), 50.0, batch_sizes=sizes) == 0.0
