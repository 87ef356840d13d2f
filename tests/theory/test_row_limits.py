"""Rates, floors and largest steps on the rows of a data set, against the whole covariance written out as a matrix."""

from dataclasses import replace

import numpy as np
import pytest

from optwise.core.errors import BadProblem, BadProtocol
from optwise.methods import EMA, SGD, Momentum, Nesterov
from optwise.problems import sampled_least_squares
from optwise.theory import floor, floors, forecast, max_lr, rate
from optwise.theory.row_maps import RowMap
from optwise.theory.settled_steps import settled


def written_out(problem, method, batch):
    """A step of the covariance of state and coordinates as a matrix, by Kronecker products of every row's step."""
    quadratic = problem.quadratic
    kept = quadratic.h > 0
    x, h = quadratic.rows[:, kept], quadratic.h[kept]
    step, _ = settled([method], h)
    m, d = len(step.v), h.size
    v = np.broadcast_to(step.v[:, 0], (m, d))

    def of(hessian):
        whole = np.zeros((m, d, m, d))
        for i, j in np.ndindex(m, m):
            whole[i, :, j, :] += np.diag(np.broadcast_to(step.M[i, j, 0], d))
        for i in range(m):
            whole[i, :, 0, :] += v[i][:, None] * hessian
        return whole.reshape(m * d, m * d)

    mean = of(np.diag(h))
    spread = sum(np.kron(of(np.outer(row, row)) - mean, of(np.outer(row, row)) - mean) for row in x) / len(x)
    return np.kron(mean, mean) + spread / batch


ROUTES = {
    "sgd": SGD(lr=0.3),
    "momentum": Momentum(lr=0.1, momentum=0.8),
    "nesterov": Nesterov(lr=0.1, momentum=0.8),
    "tiny": SGD(lr=1e-9),
    "unstable": SGD(lr=3.0),
    "average": EMA(Momentum(lr=0.1, momentum=0.5), decay=0.6),
}


SHAPES = [(1, 1), (5, 1), (6, 3), (2, 4), (12, 9)]
SMALL = [(name, shape) for name in ROUTES for shape in SHAPES if name != "average" or shape[1] <= 4]


@pytest.mark.parametrize(("name", "shape"), SMALL)
def test_the_rate_is_the_largest_root_of_the_covariance_written_out(name, shape):
    x = np.random.default_rng(8).standard_normal(shape)
    problem = sampled_least_squares(x, x.sum(1))  # labels that weights fit: second moments do not hang on the mean
    for batch in (1.0, 7.5):
        roots = np.linalg.eigvals(written_out(problem, ROUTES[name], batch))
        found = rate(problem, ROUTES[name], batch)
        assert found == pytest.approx(np.abs(roots).max(), rel=1e-7)  # roots of a defective matrix have half the digits


@pytest.mark.parametrize("rule", [SGD(), Momentum(momentum=0.9), Nesterov(momentum=0.9), SGD(weight_decay=0.3)])
@pytest.mark.parametrize("shape", [(4, 1), (9, 3), (3, 5), (30, 7)])
def test_at_the_largest_step_the_covariance_written_out_has_the_root_one(rule, shape):
    rng = np.random.default_rng(9)
    problem = sampled_least_squares(rng.standard_normal(shape), rng.standard_normal(shape[0]))
    for batch in (1, 16):
        largest = max_lr(problem, rule, batch)
        for factor, stable in ((1 - 1e-6, True), (1 + 1e-6, False)):
            roots = np.linalg.eigvals(written_out(problem, replace(rule, lr=factor * largest), batch))
            assert (np.abs(roots).max() < 1) == stable


def test_the_largest_step_is_that_of_the_mean_where_rows_make_no_noise():
    """One row, or rows that are all one: each batch is the whole data set."""
    for x in ([[2.0]], [[1.0, 2.0]], [[1.0, 2.0]] * 5):
        problem = sampled_least_squares(x, np.ones(len(x)))
        assert max_lr(problem, SGD(), 1) == pytest.approx(2 / problem.quadratic.h.max(), rel=1e-9)
        lr = 0.5 / problem.quadratic.h.max()
        assert rate(problem, SGD(lr=lr), 1) == pytest.approx(0.25, rel=1e-9)


def test_groups_of_rows_that_share_nothing_have_the_largest_step_of_the_worst():
    """Two blocks with equal roots, where no root stands out."""
    block = np.random.default_rng(10).standard_normal((8, 4))
    one = sampled_least_squares(np.vstack([block, np.zeros((8, 4))]), np.ones(16))
    both = sampled_least_squares(np.block([[block, np.zeros((8, 4))], [np.zeros((8, 4)), block]]), np.ones(16))
    for rule in (SGD(), Nesterov(momentum=0.5)):
        found = max_lr(both, rule, 2)
        assert np.abs(np.linalg.eigvals(written_out(both, replace(rule, lr=(1 - 1e-6) * found), 2))).max() < 1
        assert np.abs(np.linalg.eigvals(written_out(both, replace(rule, lr=(1 + 1e-6) * found), 2))).max() > 1
        assert found <= max_lr(one, rule, 2)


def test_rates_of_many_coordinates_are_found_whatever_the_step():
    """Nesterov's on 500 rows in 30 dimensions, where the whole covariance has 3600 numbers."""
    rng = np.random.default_rng(11)
    problem = sampled_least_squares(rng.standard_normal((500, 30)), rng.standard_normal(500))
    largest = max_lr(problem, Nesterov(momentum=0.9), 16)
    for share in (1e-9, 1e-4, 0.1, 0.9, 1.0, 1.1):
        found = forecast(problem, Nesterov(lr=share * largest, momentum=0.9), 1, 16)
        assert found.diverges == (share > 1)
        assert found.edge == (share == 1.0)


@pytest.mark.parametrize(
    "method",
    [
        SGD(lr=0.1, weight_decay=0.2),
        Momentum(lr=0.02, momentum=0.8, weight_decay=0.1),
        Nesterov(lr=0.02, momentum=0.8),
        EMA(SGD(lr=0.1), decay=0.7),
    ],
)
def test_the_floor_of_many_coordinates_is_what_a_long_forecast_comes_to(method):
    rng = np.random.default_rng(12)
    problem = sampled_least_squares(rng.standard_normal((40, 9)), rng.standard_normal(40))
    late = forecast(problem, method, 3000, 4)
    assert floor(problem, method, 4) == pytest.approx(late.risk[-1], rel=1e-9)
    assert late.risk[-2] == pytest.approx(late.risk[-1], rel=1e-12)  # it has come to rest


@pytest.mark.parametrize("unit", [1e-80, 1e-9, 1e9, 1e80])
@pytest.mark.parametrize("rule", [SGD(), Momentum(momentum=0.9), Nesterov(momentum=0.9)])
def test_no_unit_of_the_columns_changes_what_is_said(unit, rule):
    rng = np.random.default_rng(13)
    x, y = rng.standard_normal((30, 9)), rng.standard_normal(30)
    own, other = sampled_least_squares(x, y), sampled_least_squares(unit * x, y)
    largest = max_lr(own, rule, 4)
    assert max_lr(other, rule, 4) * unit * unit == pytest.approx(largest, rel=1e-9)
    for share in (0.01, 0.5, 1.5):
        here, there = (replace(rule, lr=share * each) for each in (largest, largest / unit / unit))
        assert rate(other, there, 4) == pytest.approx(rate(own, here, 4), rel=1e-9)
        assert floor(other, there, 4) == pytest.approx(floor(own, here, 4), rel=1e-9)


def test_columns_of_many_sizes_have_a_largest_step():
    """Eight decades of columns, sixteen of curvatures: at the step the rate is 1, and no rounding of it counts."""
    rng = np.random.default_rng(14)
    problem = sampled_least_squares(rng.standard_normal((40, 8)) * np.geomspace(1e-4, 1e4, 8), rng.standard_normal(40))
    largest = max_lr(problem, SGD(), 4)
    assert 0.1 < largest * problem.quadratic.h.max() < 2
    assert rate(problem, SGD(lr=largest), 4) == pytest.approx(1.0, rel=1e-9)
    assert rate(problem, SGD(lr=1.01 * largest), 4) > 1.001


def test_rows_that_share_no_coordinate_have_the_roots_of_their_own():
    """The map of their noise keeps every coordinate to itself, so that each is a problem of one dimension."""
    own = np.linspace(0.5, 1.0, 12)
    problem = sampled_least_squares(np.diag(own), np.ones(12))
    h = own**2 / 12
    for lr in (0.1, 3.0, 20.0):
        # one row in twelve is drawn: E (1 - lr x^2)^2 over batches of two
        expected = (1 - lr * h) ** 2 + lr**2 * (own**4 / 12 - h**2) / 2
        assert rate(problem, SGD(lr=lr), 2) == pytest.approx(expected.max(), rel=1e-12)


def test_what_takes_long_is_refused_before_it_is_begun(monkeypatch):
    from optwise.theory import row_limits, row_noise

    problem = sampled_least_squares(np.random.default_rng(15).standard_normal((60, 9)), np.ones(60))
    monkeypatch.setattr(row_limits, "MOST_OPERATIONS", 1e5)
    monkeypatch.setattr(RowMap, "spread", None)
    method = SGD(lr=0.1)
    questions = [
        lambda: rate(problem, method, 2),
        lambda: floor(problem, method, 2),
        lambda: max_lr(problem, SGD(), 2),
        lambda: forecast(problem, method, 3, 2),
        lambda: floors(problem, [method, SGD(lr=0.2)], [1, 2]),
    ]
    for question in questions:
        with pytest.raises(BadProblem, match=r"60 rows in 9 dimensions, takes about [\d.]+ minutes"):
            question()
    monkeypatch.setattr(row_noise, "MOST_OPERATIONS", 1e4)
    with pytest.raises(BadProtocol, match="3 steps of 60 rows in 9 dimensions would take minutes to predict"):
        forecast(problem, method, 3, 2)
