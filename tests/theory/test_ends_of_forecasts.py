"""Forecasts at the ends of the numbers there are, and questions that are none."""

import warnings
from dataclasses import dataclass

import numpy as np
import pytest

from optwise.core.errors import CallerError
from optwise.core.schedule import Schedule
from optwise.methods import SGD
from optwise.problems import mean_estimation, nqm, sampled_least_squares
from optwise.theory import critical_batch_size, distribution, floor, forecast, max_lr, rate, steps_to, survey
from optwise.theory.batches_in_time import parsed_batches

PROBLEM, METHOD = nqm(h=[1.0, 0.3], w0=[1.0, 1.0]), SGD(lr=0.1)
ROWS = np.random.default_rng(0).standard_normal((6, 2))


@pytest.mark.parametrize("lr", [1e20, 1e150, 1e300])
@pytest.mark.parametrize("h", [1e-20, 1.0, 1e20, 1e150])
def test_a_step_of_any_size_is_followed_until_the_numbers_end(lr, h):
    """Divergence is an answer: of one coordinate the risk is half h (1 - lr h)^(2k), while there are numbers."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = forecast(nqm(h=[h], c=[0.0], w0=[1.0]), SGD(lr=lr), 6, 1)
    with np.errstate(over="ignore"):
        exact = 0.5 * np.float64(h) * (np.float64(lr * h) - 1) ** (2 * np.arange(7))
    kept = np.isfinite(exact) & (exact < 1e290)
    assert found.risk[kept] == pytest.approx(exact[kept], rel=1e-9)
    assert found.diverges == (lr * h > 2)


def test_the_largest_step_of_a_curvature_of_any_size_is_two_over_it():
    for h in (1e-300, 1e-150, 1e150):
        assert max_lr(nqm(h=[h]), SGD(lr=0.1)) * h == pytest.approx(2.0)


def test_a_target_that_the_start_meets_makes_no_batch_too_large():
    assert critical_batch_size(nqm(h=[1.0, 0.5], w0=[1.0, 1.0]), METHOD, 50.0) == 0.0


def test_all_rows_at_once_have_a_rate_and_a_floor_and_shares_of_them_have_none():
    problem = sampled_least_squares(ROWS, np.arange(6.0), replacement=False)
    least = np.linalg.eigvalsh(ROWS.T @ ROWS / 6)[0]
    assert rate(problem, METHOD, 6) == pytest.approx(1 - 0.1 * least)
    assert forecast(problem, METHOD, 30, 6).floor == pytest.approx(0.0, abs=1e-15)
    with pytest.raises(CallerError, match="without replacement, and no factor per step"):
        rate(problem, METHOD, 2)
    assert "with the epochs" in forecast(problem, METHOD, 30, 2).floor_words


def test_surveys_without_replacement_count_steps():
    found = survey(mean_estimation([1.0, 2.0, 6.0], replacement=False), SGD(), 0.5, [1, 2], points=5)
    one = steps_to(mean_estimation([1.0, 2.0, 6.0], replacement=False), [SGD(lr=found.points[1]["lr"])], 0.5, [1, 2])
    assert found.steps[1].tolist() == one[0].tolist()


def test_probabilities_end_at_0_and_1():
    found = distribution(nqm(h=[1.0], w0=[0.0]), SGD(lr=1.0), 1, 1)
    assert [float(found.probability(x)[0]) for x in (-1.0, 0.0, 1e300, np.inf)] == [0.0, 0.0, 1.0, 1.0]
    assert distribution(PROBLEM, SGD(lr=100.0), 400, 1).risk[0] == np.inf


@dataclass(frozen=True, kw_only=True)
class Ending(Schedule):
    """Constant, and something else from step 4 on."""

    last: float

    def factor(self, k, horizon):
        return np.where(k < 4, 1.0, self.last)


QUESTIONS = {
    "half a step": lambda: forecast(PROBLEM, METHOD, 1.5),
    "a word of steps": lambda: forecast(PROBLEM, METHOD, "a"),
    "no steps": lambda: forecast(PROBLEM, METHOD, None),
    "a word of a batch": lambda: forecast(PROBLEM, METHOD, 10, "a"),
    "no milestone": lambda: forecast(PROBLEM, METHOD, 10, {}),
    "a word of a target": lambda: steps_to(PROBLEM, [METHOD], "a", [1.0]),
    "milestones of a limit": lambda: max_lr(PROBLEM, METHOD, {0: 1, 3: 2}),
    "milestones of a rate": lambda: rate(PROBLEM, METHOD, {0: 1}),
    "a word of a floor": lambda: floor(PROBLEM, METHOD, "a"),
    "a word of a survey": lambda: survey(PROBLEM, SGD(), 0.5, ["a"]),
    "a word of a quantile": lambda: distribution(PROBLEM, METHOD, 1, 1).quantile("a"),
    "no excess": lambda: distribution(PROBLEM, METHOD, 1, 1).probability(float("nan")),
    "a word of curvatures": lambda: nqm(h="a"),
    "curvatures that are none": lambda: nqm(h=[float("nan")]),
    "half a dimension": lambda: nqm(d=1.5),
    "a schedule that ends in nothing": lambda: forecast(PROBLEM, SGD(lr=0.1, schedule=Ending(last=float("nan"))), 10),
    "a schedule that turns back": lambda: forecast(PROBLEM, SGD(lr=0.1, schedule=Ending(last=-0.5)), 10),
    "a step named twice": lambda: parsed_batches("64,0:3"),
}


@pytest.mark.parametrize("name", QUESTIONS)
def test_a_question_that_is_none_is_refused_in_one_sentence(name):
    with pytest.raises(CallerError) as told:
        QUESTIONS[name]()
    assert str(told.value).endswith(".")
