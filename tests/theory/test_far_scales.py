"""Divergence is an answer at every scale: what theory says does not depend on the units of a problem."""

import warnings
from dataclasses import dataclass

import numpy as np
import pytest

from optwise.cli import main
from optwise.core.errors import BadMethod, BadProblem
from optwise.core.schedule import Schedule
from optwise.core.status import Status
from optwise.methods import EMA, SGD, Momentum, Nesterov, Polyak, WarmupCosine
from optwise.problems import least_squares_sgd, mean_estimation, nqm, sampled_least_squares
from optwise.theory import best_schedule, distribution, floor, forecast, max_lr, rate, steps_to, survey
from optwise.verbs.predicting import predict

ROWS = np.array([[1.0, 0.0], [0.0, 2.0], [1.0, 1.0], [2.0, -1.0]])
LABELS = np.array([1.0, 0.0, 2.0, -1.0])


@pytest.fixture(autouse=True)
def numpy_says_nothing():
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        yield


@pytest.mark.parametrize("lr", [1e17, 1e20, 1e100, 1e200, 1e300])
@pytest.mark.parametrize("make", [SGD, Momentum, Nesterov, lambda lr: EMA(SGD(lr=lr)), lambda lr: Polyak(SGD(lr=lr))])
def test_a_run_diverges_however_large_its_steps_are(make, lr):
    run = predict(nqm(d=5), make(lr=lr), "10steps")
    assert run.status is Status.DIVERGES
    assert np.isinf(run.risk[-1])


@pytest.mark.parametrize(
    "problem",
    [
        nqm(h=[1e150]),
        nqm(h=[1e200, 1.0], c=[1.0, 1.0]),
        nqm(h=[1.0, 0.5], c=[[1.0, 0.5], [0.5, 1.0]]),
        least_squares_sgd(h=[1.0, 0.5]),
        mean_estimation([1.0, 2.0, 6.0]),
        mean_estimation([1.0, 2.0, 6.0], replacement=False),
        sampled_least_squares(ROWS, LABELS),
        sampled_least_squares(ROWS, LABELS, replacement=False),
    ],
    ids=lambda problem: problem.name,
)
@pytest.mark.parametrize("lr", [1e20, 1e200])
def test_every_kind_of_noise_diverges(problem, lr):
    assert predict(problem, SGD(lr=lr), "10steps").status is Status.DIVERGES


def test_the_first_step_of_a_run_that_diverges_is_the_formula():
    lr, h = 1e20, 1.0 / np.arange(1, 6)
    found = forecast(nqm(d=5), SGD(lr=lr), 3, 2)
    by_hand = 0.5 * h @ ((1 - lr * h) ** 2 + lr**2 * h / 2)
    np.testing.assert_allclose(found.risk[1], by_hand, rtol=1e-13)


@pytest.mark.parametrize("power", [-300, -100, 300])
def test_a_problem_in_other_units_has_the_same_risks_rates_and_floors(power):
    """With h, c and 1 / lr times s, s^2 and s the parameters move the same, and the risk is s times as large."""
    s, h, c = 2.0**power, np.array([1.0, 0.25]), np.array([1.0, 0.5])
    plain, scaled = nqm(h=h, c=c), nqm(h=s * h, c=s * s * c)
    for make in (SGD, Momentum, Nesterov):
        one, other = forecast(plain, make(lr=0.5), 40, 4), forecast(scaled, make(lr=0.5 / s), 40, 4)
        np.testing.assert_allclose(other.risk / s, one.risk, rtol=1e-12)
        np.testing.assert_allclose(other.rates, one.rates, rtol=1e-12)
        np.testing.assert_allclose(floor(scaled, make(lr=0.5 / s), 4) / s, floor(plain, make(lr=0.5), 4), rtol=1e-12)


@pytest.mark.parametrize("h", [1e-300, 1e-200, 1e-14, 1.0, 1e14, 1e200, 1e300])
def test_the_largest_stable_step_is_that_of_the_textbook_at_every_curvature(h):
    problem = nqm(h=[h], c=[1.0])
    for method, stable in ((SGD(), 2.0), (Momentum(lr=0.1, momentum=0.9), 3.8), (Nesterov(lr=0.1, momentum=0.5), 1.5)):
        expected = stable if not isinstance(method, Nesterov) else 2 * 1.5 / (1 + 2 * 0.5)
        np.testing.assert_allclose(max_lr(problem, method) * h, expected, rtol=1e-11)


def test_the_largest_stable_step_beyond_all_numbers_is_infinite():
    assert max_lr(nqm(h=[1e-310]), SGD) == np.inf


@pytest.mark.parametrize("h", [1e150, 1e200])
def test_rates_and_floors_beyond_stability_are_told_where_their_squares_are_no_numbers(h):
    problem = nqm(h=[h], c=[1.0])
    np.testing.assert_allclose(rate(problem, SGD(lr=0.1)), 0.1 * h, rtol=1e-12)
    # the larger root of z^2 - (1.9 - 0.1 h) z + 0.9
    np.testing.assert_allclose(rate(problem, Momentum(lr=0.1, momentum=0.9)), 0.1 * h, rtol=1e-12)
    assert floor(problem, Momentum(lr=0.1, momentum=0.9)) == np.inf


@pytest.mark.parametrize("h", [1e20, 1e150])
def test_a_survey_counts_settings_that_diverge_as_misses(h):
    found = survey(nqm(h=[h, 1.0]), SGD(), 0.5, [1, 2], points=5)
    assert np.isinf(found.steps).all()
    assert np.isinf(steps_to(nqm(h=[h, 1.0]), [SGD(lr=0.1)], 0.5, [1, 2])).all()


def test_what_has_no_number_is_refused_in_a_sentence():
    with pytest.raises(BadProblem, match="Half of h times c is beyond the largest number"):
        forecast(nqm(h=[1e200]), SGD(lr=0.1), 5)
    with pytest.raises(BadProblem, match="measure the parameters in other units"):
        max_lr(least_squares_sgd(h=[1e-200]), SGD())
    with pytest.raises(BadProblem, match="measure the parameters in other units"):
        best_schedule(nqm(h=[1e-200]), SGD(), 4)


def test_the_deviation_is_unknown_where_squares_of_the_objective_are_no_numbers():
    found = forecast(nqm(h=[1e160], c=[1.0]), SGD(lr=1e-160), 5)
    assert found.deviation is None
    assert np.isfinite(found.risk).all()


def test_the_distribution_of_a_run_that_diverged_has_an_infinite_risk():
    for problem in (nqm(d=3), nqm(h=[1.0, 0.0]), sampled_least_squares(ROWS, LABELS)):
        for method in (SGD(lr=100.0), Momentum(lr=1e20, momentum=0.9)):
            assert np.isinf(distribution(problem, method, 400).risk).all()


def test_the_command_line_says_diverges_and_nothing_on_stderr(capsys):
    assert main(["predict", "nqm:d=5", "sgd:lr=1e20", "--budget", "10steps"]) == 0
    said = capsys.readouterr()
    assert "diverges" in said.out
    assert said.err == ""


@dataclass(frozen=True, kw_only=True)
class Late(Schedule):
    """A factor that is no good from step 4 on."""

    factor_then: float = 0.0

    def factor(self, k, horizon):
        return np.where(k >= 4, self.factor_then, 1.0)


@pytest.mark.parametrize(("then", "shown"), [(np.nan, "nan"), (-1.0, "-1"), (np.inf, "inf")])
def test_a_schedule_whose_factor_is_none_is_named_with_its_step(then, shown):
    method = SGD(lr=0.1, schedule=Late(factor_then=then))
    problem = nqm(d=3)
    for ask in (lambda: forecast(problem, method, 10), lambda: floor(problem, method)):
        with pytest.raises(BadMethod, match=f"The schedule Late of sgd gives {shown} at step 4"):
            ask()


def test_schedules_that_are_none_to_speak_of_stay():
    assert forecast(nqm(d=3), SGD(lr=0.1, schedule=WarmupCosine(warmup=0.1)), 10).floor is None
