"""Moments of every coordinate and quantiles of the risk: full matrices, scipy's laws, many runs."""

from dataclasses import replace

import numpy as np
import pytest
from dense_oracle import momentum, sgd
from linear_methods import LINEAR
from scipy import stats

from optwise.core.errors import BadProblem, BadProtocol
from optwise.methods import SGD, Momentum, StepDecay, WarmupCosine
from optwise.problems import least_squares_sgd, mean_estimation, nqm
from optwise.theory import distribution, forecast

H = np.array([1.0, 0.5, 0.2, 0.0])
W0, STAR = np.array([2.0, -1.0, 3.0, 1.0]), np.array([1.0, 0.0, -2.0, 0.5])


def covariance(seed=0, d=4):
    root = np.random.default_rng(seed).standard_normal((d, d))
    return root @ root.T / 2


def runs(method, steps, batch, C, *, h, decay=0.0, replicas=40_000):
    """Plain numpy: heavy ball with noise of any covariance; the points at the end [R, d]."""
    rng, lr, mu = np.random.default_rng(3), method.lr, getattr(method, "momentum", 0.0)
    w, b, root = np.tile(W0, (replicas, 1)), np.zeros((replicas, 4)), np.linalg.cholesky(C)
    for _ in range(steps):
        g = (w - STAR) @ h + decay * w + rng.standard_normal((replicas, 4)) @ root.T / batch**0.5
        b = mu * b + g
        w = w - lr * b
    return w


@pytest.mark.parametrize("method", [SGD(lr=0.4, weight_decay=0.05), Momentum(lr=0.2, momentum=0.7)])
def test_forty_thousand_runs_with_correlated_noise(method):
    C = covariance()
    problem = nqm(h=H, c=C, w0=W0, w_star=STAR)
    found = distribution(problem, method, [0, 5, 40], 3)
    decay = method.weight_decay
    for i, steps in enumerate((0, 5, 40)):
        w = runs(method, steps, 3, C, h=np.diag(H), decay=decay)
        excess = 0.5 * ((w - STAR) ** 2) @ H
        scale = np.sqrt(found.variance[i] / len(w)) + 1e-12
        assert np.all(np.abs(w.mean(0) - found.mean[i]) < 4.5 * scale)
        np.testing.assert_allclose(np.cov(w.T), found.covariance[i], atol=0.03 * found.variance[i].max() + 1e-12)
        assert excess.mean() == pytest.approx(found.risk[i], rel=0.02)
        assert excess.std() == pytest.approx(found.deviation[i], rel=0.03, abs=1e-12)
        if steps:
            for q in (0.05, 0.5, 0.9, 0.99):
                share = np.mean(excess <= found.quantile(q)[i])
                assert abs(share - q) < 5 * np.sqrt(q * (1 - q) / len(w))


def test_correlation_moves_the_spread_and_not_the_mean():
    d, correlated = 4, 0.9 * np.ones((4, 4)) + 0.1 * np.eye(4)
    alone, together = (nqm(h=np.ones(d), c=c, w0=np.zeros(d)) for c in (np.ones(d), correlated))
    one, other = (forecast(problem, SGD(lr=0.3), 30, 2) for problem in (alone, together))
    np.testing.assert_allclose(one.risk, other.risk, rtol=1e-13)
    ratio = np.sqrt((correlated**2).sum() / d)
    np.testing.assert_allclose(other.deviation[1:], ratio * one.deviation[1:], rtol=1e-10)


@pytest.mark.parametrize("name", LINEAR)
def test_a_diagonal_matrix_of_noise_is_its_diagonal(name):
    c = np.array([1.0, 0.3, 2.0, 0.5])
    plain, matrix = nqm(h=H, c=c, w_star=STAR), nqm(h=H, c=np.diag(c), w_star=STAR)
    one, other = (forecast(problem, LINEAR[name], 25, 4) for problem in (plain, matrix))
    np.testing.assert_allclose(other.risk, one.risk, rtol=1e-13)
    np.testing.assert_allclose(other.deviation, one.deviation, rtol=1e-7, atol=1e-12)
    seen, again = (distribution(problem, LINEAR[name], [0, 3, 25], 4) for problem in (plain, matrix))
    np.testing.assert_allclose(seen.risk, one.risk[[0, 3, 25]], rtol=1e-10)
    np.testing.assert_allclose(seen.deviation, one.deviation[[0, 3, 25]], rtol=1e-7, atol=1e-12)
    np.testing.assert_allclose(again.variance, seen.variance, rtol=1e-10, atol=1e-13)
    np.testing.assert_allclose(again.quantile(0.9), seen.quantile(0.9), rtol=1e-9)


@pytest.mark.parametrize("schedule", [None, StepDecay(10, 0.3)])
@pytest.mark.parametrize("make", [lambda **own: least_squares_sgd(noise=0.5, **own), nqm])
def test_means_and_variances_add_up_to_the_forecast(make, schedule):
    problem = make(h=H, w0=W0, w_star=STAR)
    for rule in (SGD(lr=0.3, weight_decay=0.05), Momentum(lr=0.1, momentum=0.8)):
        method = replace(rule, schedule=schedule)
        found = distribution(problem, method, range(31), {0: 4, 12: 9})
        np.testing.assert_allclose(found.risk, forecast(problem, method, 30, {0: 4, 12: 9}).risk, rtol=1e-10)


@pytest.mark.parametrize("replacement", [True, False])
def test_a_data_set_has_means_and_variances_and_no_quantiles(replacement):
    problem = mean_estimation([[1.0, 5.0], [2.0, -1.0], [6.0, 0.0], [0.0, 2.0]], replacement=replacement, w0=3.0)
    found = distribution(problem, SGD(lr=0.3), range(9), 1)
    np.testing.assert_allclose(found.risk, forecast(problem, SGD(lr=0.3), 8, 1).risk, rtol=1e-12)
    x, rng, replicas = problem.data.train.x.numpy(), np.random.default_rng(0), 40_000
    w = np.full((replicas, 2), 3.0)
    for k in range(6):
        if k % 4 == 0:
            orders = rng.permuted(np.tile(np.arange(4), (replicas, 1)), axis=1)
        drawn = rng.integers(4, size=replicas) if replacement else orders[:, k % 4]
        w -= 0.3 * (w - x[drawn])
    np.testing.assert_allclose(w.mean(0), found.mean[6], atol=5 * np.sqrt(found.variance[6].max() / replicas))
    np.testing.assert_allclose(w.var(0), found.variance[6], rtol=0.04)
    with pytest.raises(BadProblem, match="not normal"):
        found.quantile(0.9)


def test_one_coordinate_is_a_chi_square_of_scipys():
    problem = nqm(h=[2.0], c=[3.0], w0=[0.7], w_star=[0.2])
    found = distribution(problem, SGD(lr=0.2), [1, 3, 50], 5)
    for i in range(3):
        mean, variance = found.mean[i, 0] - 0.2, found.variance[i, 0]
        other = stats.ncx2(1, mean**2 / variance, scale=variance)
        for q in (1e-6, 0.05, 0.5, 0.95, 0.9999):
            assert found.quantile(q)[i] == pytest.approx(other.ppf(q), rel=1e-10)
        assert found.probability(0.3)[i] == pytest.approx(other.cdf(0.3), rel=1e-10)


BESIDE = [(SGD(lr=0.4), sgd(4, 0.4)), (Momentum(lr=0.2, momentum=0.7), momentum(4, 0.2, 0.7))]


@pytest.mark.parametrize(("method", "dense"), BESIDE)
def test_a_hessian_matrix_is_its_eigenvectors(method, dense):
    """The run in the coordinates that were given, by hand, has the same law."""
    hessian, C = covariance(1), covariance(2)
    problem = nqm(h=hessian, c=C, w0=W0, w_star=STAR)
    _, Q = np.linalg.eigh(hessian)
    found = distribution(problem, method, [30], 4)
    w = runs(method, 30, 4, C, h=hessian)
    np.testing.assert_allclose(w.mean(0), Q @ found.mean[0], atol=0.02)
    np.testing.assert_allclose(np.cov(w.T), Q @ found.covariance[0] @ Q.T, atol=0.03 * found.variance.max())
    excess = 0.5 * np.einsum("ri,ij,rj->r", w - STAR, hessian, w - STAR)
    assert excess.mean() == pytest.approx(found.risk[0], rel=0.02)
    assert np.mean(excess <= found.quantile(0.9)[0]) == pytest.approx(0.9, abs=0.008)
    np.testing.assert_allclose(forecast(problem, method, 30, 4).risk, dense.risks(problem, 30, 4)[0], rtol=1e-11)
    # vectors of variances are rotated, too
    variances = nqm(h=hessian, c=np.array([1.0, 2.0, 0.5, 0.1]), w0=W0)
    np.testing.assert_allclose(variances.quadratic.covariance, Q.T @ np.diag([1.0, 2.0, 0.5, 0.1]) @ Q, atol=1e-12)
    np.testing.assert_allclose(nqm(h=hessian, w0=W0).quadratic.c, np.linalg.eigvalsh(hessian), rtol=1e-12)


def test_the_engine_draws_the_noise_that_is_forecast():
    """One step from the optimum with lr = 1: the points are the noise itself."""
    C = covariance(4)
    problem = nqm(h=H, c=C, w0=np.zeros(4), batch_size=2)
    generator = problem.sampler.init(0).generator
    drawn = problem.sampler.draw(generator, 20_000, 2, None)[:, 0].numpy()
    np.testing.assert_allclose(np.cov(drawn.T), C / 2, atol=0.05 * C.max())


def test_the_steps_asked_for_may_be_part_of_a_longer_run():
    method = SGD(lr=0.3, schedule=WarmupCosine())
    problem = nqm(d=5)
    found = distribution(problem, method, [10, 3], horizon=40)
    np.testing.assert_allclose(found.risk, forecast(problem, method, 40).risk[[10, 3]], rtol=1e-12)


def test_what_is_no_covariance_is_refused():
    for c, words in (
        ([[1.0, 2.0], [0.0, 1.0]], "not symmetric"),
        ([[1.0, 2.0], [2.0, 1.0]], "negative eigenvalue -1"),
        ([[1.0]], r"of shape \(2, 2\)"),
        ([[1.0, np.nan], [np.nan, 1.0]], "finite"),
    ):
        with pytest.raises(BadProblem, match=words):
            nqm(h=[1.0, 0.5], c=c)
    with pytest.raises(BadProblem, match="negative eigenvalue"):
        nqm(h=[[1.0, 2.0], [2.0, 1.0]])
    with pytest.raises(BadProblem, match="make them agree"):
        nqm(h=[[1.0, 0.0], [0.0, 1.0]], w0=[1.0, 2.0, 3.0])
    with pytest.raises(BadProtocol, match="between 0 and 1"):
        distribution(nqm(d=2), SGD(lr=0.1), 3).quantile(1.0)
    for steps in (-1, 1.5, []):
        with pytest.raises(BadProtocol, match="whole numbers"):
            distribution(nqm(d=2), SGD(lr=0.1), steps)
    with pytest.raises(BadProtocol, match="has no step 5"):
        distribution(nqm(d=2), SGD(lr=0.1), 5, horizon=4)
