"""Steps to a target, and the size where larger batches stop paying, where noise multiplies."""

from functools import partial

import numpy as np
import pytest

from optwise.core.errors import BadProtocol
from optwise.core.space import LogUniform
from optwise.methods import EMA, SGD, Momentum, Nesterov
from optwise.problems import least_squares_sgd, mean_estimation, nqm, sampled_least_squares
from optwise.theory import critical_batch_size, forecast, rate, steps_to, survey
from optwise.theory.side_by_side import Side


def of_rows(n, d, *, noise=1.0, seed=0, **settings):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d)) * np.arange(1, d + 1) ** -0.5
    return sampled_least_squares(X, X @ rng.standard_normal(d) + noise * rng.standard_normal(n), **settings)


PROBLEMS = {
    "one dimension": of_rows(3, 1),
    "rows": of_rows(40, 6),
    "fewer rows than columns": of_rows(4, 6),
    "labels without noise": of_rows(9, 3, noise=0.0),
    "far start": of_rows(9, 3, w0=[1e6, 0.0, 0.0]),
    "fresh rows": least_squares_sgd(d=12),
}
RULES = {
    "sgd": lambda lr: SGD(lr=lr),
    "heavy ball": lambda lr: Momentum(lr=lr, momentum=0.9),
    "nesterov": lambda lr: Nesterov(lr=lr, momentum=0.8),
    "decay": lambda lr: SGD(lr=lr, weight_decay=0.2),
    "average": lambda lr: EMA(SGD(lr=lr), decay=0.7),
}


def looked_up(problem, method, size, target, most):
    hit = forecast(problem, method, most, size).steps_to(target)
    return np.inf if hit is None else float(hit)


@pytest.mark.parametrize("name", PROBLEMS)
@pytest.mark.parametrize("rule", RULES)
def test_steps_of_many_settings_at_once_are_those_of_each_forecast(name, rule):
    """Side by side is an optimisation: it may not change a number."""
    problem, methods, sizes = PROBLEMS[name], [RULES[rule](lr) for lr in (0.02, 0.2, 1.0, 3.0)], [1, 2.5, 40]
    start = forecast(problem, methods[0], 1, 1).risk[0]
    for share in (0.5, 0.05):
        found = steps_to(problem, methods, share * start, sizes, max_steps=80)
        expected = [[looked_up(problem, method, size, share * start, 80) for size in sizes] for method in methods]
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("rule", RULES)
def test_the_cheap_bound_is_below_the_risk_at_every_step(rule):
    problem, methods = PROBLEMS["rows"], [RULES[rule](lr) for lr in (0.05, 0.3)]
    side = Side.of(problem, methods, 60)
    rows, sizes = np.array([0, 1, 0, 1]), np.array([1.0, 1.0, 8.0, 8.0])
    whole, bound = (side._entries(rows, sizes, whole=whole) for whole in (True, False))
    assert bound.risk(0) == pytest.approx(whole.risk(0), rel=1e-12)
    gained = 0.0
    for k in range(1, 61):
        place = min(k, len(side.settings.A))
        whole.after(place - 1)
        bound.after(place - 1)
        assert np.all(bound.risk(place) <= whole.risk(place) * (1 + 1e-12))
        gained = max(gained, float(np.max(bound.risk(place) / whole.risk(place))))
    assert gained > 0.5  # and it says something


def test_rows_follow_one_map_however_it_is_kept(monkeypatch):
    """Written out, as products of every row, or row by row: one covariance."""
    from optwise.theory import row_maps

    problem, found = of_rows(30, 5, seed=3), []
    for kept, cached in ((2**25, 2**19), (300, 2**19), (1, 1)):
        monkeypatch.setattr(row_maps, "KEPT_NUMBERS", kept)
        monkeypatch.setattr(row_maps, "IN_CACHE", cached)
        made = row_maps.RowMap(problem.quadratic)
        root = np.random.default_rng(1).standard_normal((4, 5, 5))
        found.append(made.covariance(root @ np.swapaxes(root, 1, 2), root[:, 0]))
    for other in found[1:]:
        np.testing.assert_allclose(other, found[0], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", ["rows", "fewer rows than columns", "labels without noise", "fresh rows"])
@pytest.mark.parametrize("rule", ["sgd", "heavy ball"])
def test_the_critical_size_is_where_the_best_setting_needs_twice_the_steps_it_needs_without_noise(name, rule):
    """Looked up forecast by forecast on both sides of it."""
    problem = PROBLEMS[name]
    low, high = (0.02, 3.0) if rule == "sgd" else (0.005, 1.0)
    method = (SGD if rule == "sgd" else partial(Momentum, momentum=0.8))(lr=LogUniform(low, high))
    target = 0.1 * forecast(problem, SGD(lr=0.1), 1, 1).risk[0]
    critical = critical_batch_size(problem, method, target, points=8, max_steps=200)
    settings = [method.close({"lr": lr}) for lr in np.geomspace(low, high, 8)]

    def least(size):
        return min(looked_up(problem, own, size, target, 200) for own in settings)

    limit = 2 * least(1e12)
    assert 1 < critical < 1e4
    assert least(1.011 * critical) <= limit < least(critical / 1.011)


def test_the_critical_size_does_not_depend_on_whether_bounds_are_looked_at(monkeypatch):
    from optwise.theory import side_by_side

    problem, found = of_rows(50, 12, seed=5), []
    for worth in (0.0, 1e9):
        monkeypatch.setattr(side_by_side, "WORTH_A_BOUND", worth)
        found.append(critical_batch_size(problem, Momentum(), 0.03, points=64, max_steps=500))
    assert found[0] == found[1]
    assert 1 < found[0] < 1e4


def test_the_critical_size_of_a_large_data_set_is_found_among_a_thousand_settings():
    problem = of_rows(500, 20)
    target = 0.01 * forecast(problem, SGD(lr=0.1), 1, 1).risk[0]
    assert 100 < critical_batch_size(problem, SGD(), target) < 1000


def test_what_takes_long_is_refused_before_it_is_begun():
    problem = of_rows(1200, 80)
    start = forecast(problem, SGD(lr=1e-3), 1, 1).risk[0]
    with pytest.raises(BadProtocol, match=r"about \d+ minutes, beyond 1, with second moments of 1200 rows in 80 dim"):
        critical_batch_size(problem, SGD(lr=1e-3), 0.2 * start)
    methods = [SGD(lr=lr) for lr in np.linspace(0.002, 0.004, 50)]
    with pytest.raises(BadProtocol, match="Steps to the target of 50 settings at 25 batch sizes"):
        steps_to(problem, methods, 0.1 * start, [2.0**i for i in range(25)])


def test_the_map_of_a_data_set_is_made_when_it_is_asked_for_and_counted_before():
    """1200 rows in 10 dimensions, where it is written out."""
    problem = of_rows(1200, 10)
    side = Side.of(problem, [SGD(lr=0.1)], 100)
    assert side.spent == side.map.making > 0
    assert not {"written", "products"} & set(vars(side.map))
    side.first_hits(np.zeros(8, dtype=np.intp), np.full(8, 4.0), 1e-9, 3)
    assert "written" in vars(side.map)


def test_more_curvatures_than_are_kept_have_a_critical_size():
    """300 coordinates, of which the noiseless steps are found on a compressed spectrum."""
    problem = of_rows(500, 300)
    target = 0.5 * forecast(problem, SGD(lr=1e-2), 1, 1).risk[0]
    critical = critical_batch_size(problem, SGD(lr=LogUniform(0.05, 1.0)), target, points=3, max_steps=30)
    settings = [SGD(lr=lr) for lr in np.geomspace(0.05, 1.0, 3)]
    least = [min(looked_up(problem, own, size, target, 30) for own in settings) for size in (critical / 1.02, 1e12)]
    assert 1 < critical < 1e4
    assert least[0] > 2 * least[1]


def test_settings_that_never_meet_the_target_without_noise_are_not_followed_with_it():
    problem = of_rows(300, 40)
    methods = [SGD(lr=1e-9 * (1 + i)) for i in range(200)]
    assert np.all(np.isinf(steps_to(problem, methods, 1e-3, [1.0, 64.0])))


def test_moments_that_have_come_to_rest_above_the_target_are_given_up():
    problem = of_rows(60, 4)
    methods = [SGD(lr=lr) for lr in np.linspace(0.1, 0.25, 40)]
    assert max(rate(problem, own, 1) for own in methods) < 0.99
    assert np.isinf(steps_to(problem, methods, 1e-9, [1.0], max_steps=5_000_000)).all()


@pytest.mark.parametrize("sizes", [[8, 4, 1], [1, 1, 2], []])
def test_batch_sizes_that_do_not_increase_are_refused(sizes):
    with pytest.raises(BadProtocol, match="not in increasing order"):
        survey(nqm(d=3), SGD(), 0.1, sizes)
    with pytest.raises(BadProtocol, match="not in increasing order"):
        critical_batch_size(nqm(d=3), SGD(lr=0.5), 0.1, batch_sizes=sizes)


def test_batches_of_shuffled_numbers_have_a_critical_size_among_the_whole_ones():
    numbers = np.random.default_rng(0).standard_normal(32) + 3.0
    problem = mean_estimation(numbers, replacement=False)
    target = 0.01 * forecast(problem, SGD(lr=0.5), 1, 1).risk[0]
    critical = critical_batch_size(problem, SGD(lr=0.5), target, max_steps=60)
    limit = 2 * min(k for k in range(60) if 0.5 ** (2 * k) * forecast(problem, SGD(lr=0.5), 1, 1).risk[0] <= target)
    enough = [looked_up(problem, SGD(lr=0.5), size, target, 60) <= limit for size in range(1, 33)]
    first = enough.index(True) + 1
    assert first - 1 <= critical <= first


def test_noise_counts_for_nothing_in_the_noiseless_steps_in_any_units():
    """Units of 1e-20 for the parameters: noise of batches of 1e30 would still outweigh the target."""
    one = critical_batch_size(nqm(h=[1.0, 0.5], w0=[1.0, 1.0], c=[1.0, 1.0]), SGD(lr=0.5), 0.02)
    for unit in (1e-20, 1e-3, 1.0):
        problem = nqm(h=[1.0, 0.5], c=[1.0, 1.0], w0=[unit, unit])
        sizes = [2.0**i / unit**2 for i in range(25)]
        found = critical_batch_size(problem, SGD(lr=0.5), 0.02 * unit**2, batch_sizes=sizes)
        assert found == pytest.approx(one / unit**2, rel=0.01)
