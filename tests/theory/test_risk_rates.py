"""The factor on the risk where noise multiplies, against the way that forecasts go to their floor."""

import numpy as np
import pytest

from optwise.core.errors import BadProblem
from optwise.methods import SGD, Momentum
from optwise.problems import least_squares_sgd, mean_estimation, sampled_least_squares
from optwise.theory import floor, forecast, rate, rates

RNG = np.random.default_rng(0)
X = RNG.standard_normal((30, 2))
NOISY = X @ [1.0, 2.0] + RNG.standard_normal(30)


def fresh(pulled):
    return least_squares_sgd(h=[1.0], noise=0.5, w0=[0.0], w_star=[3.0 if pulled else 0.0])


def rows(labels):
    return sampled_least_squares(X, labels, w0=[0.0, 0.0])


CASES = {
    "fresh rows, a pull elsewhere": (fresh(pulled=True), SGD(lr=0.1, weight_decay=1.0), 64, 60),
    "rows with labels that nothing fits": (rows(NOISY), SGD(lr=0.1), 16, 300),
    "single rows": (rows(NOISY), SGD(lr=0.1), 1, 300),
    "rows, heavy ball": (rows(NOISY), Momentum(lr=0.1, momentum=0.5), 4, 140),
    "rows, a pull elsewhere": (rows(NOISY), SGD(lr=0.1, weight_decay=1.0), 16, 90),
    "rows that weights fit": (rows(X @ [1.0, 2.0]), SGD(lr=0.1), 16, 700),
}


@pytest.mark.parametrize("name", CASES)
def test_the_risk_nears_its_floor_by_the_rate_that_is_told(name):
    """The mean's own factor decides where second moments hang on the mean, as they do but for fitted labels."""
    problem, method, batch, late = CASES[name]
    away = np.abs(np.array(forecast(problem, method, late, batch).risk) - floor(problem, method, batch))
    early = int(0.8 * late)
    seen = (away[late] / away[early]) ** (1 / (late - early))
    assert rate(problem, method, batch) == pytest.approx(seen, rel=2e-3)


def test_means_have_no_skew_that_would_slow_them():
    """Rows of ones: what the mean is off by moves no variance, since residuals add up to nothing."""
    problem = sampled_least_squares([[1.0]] * 3, [1.0, 2.0, 6.0], w0=[0.0])
    risk = np.array(forecast(problem, SGD(lr=0.1), 60, 1).risk) - floor(problem, SGD(lr=0.1), 1)
    assert rate(problem, SGD(lr=0.1), 1) == pytest.approx(risk[60] / risk[59], rel=1e-6)
    assert rate(problem, SGD(lr=0.1), 1) == pytest.approx(0.81, rel=1e-9)


def test_products_of_rows_without_replacement_have_no_factor_per_step():
    problem = sampled_least_squares([[0.0], [2.0]], [0.0, 0.0], w0=[1.0], replacement=False, batch_size=1)
    with pytest.raises(BadProblem, match="no factor per step is known"):
        rates(problem, SGD(lr=0.4))
    assert rates(mean_estimation([1.0, 2.0, 6.0], replacement=False), SGD(lr=0.4)) == pytest.approx(0.6)
