"""Sums of squares of normals: chi squares of scipy's, Imhof's integral, sums of exponentials, and draws."""

import math

import numpy as np
import pytest
from scipy import integrate, stats

from optwise.numerics.quadratic_forms import SumOfSquares

PROBABILITIES = (1e-8, 1e-3, 0.1, 0.4999, 0.5, 0.6, 0.9, 0.999)


@pytest.mark.parametrize(
    ("scale", "mass"), [(1.0, 0.0), (0.3, 5.0), (1.0, 1e4), (1e-3, 10.0), (1e8, 1e8), (1e-12, 1.0)]
)
def test_one_normal_is_a_chi_square_of_scipys(scale, mass):
    law = SumOfSquares(np.array([scale]), np.array([mass]))
    other = stats.ncx2(1, mass / scale) if mass / scale < 1e6 else None
    if mass == 0:
        other = stats.chi2(1)
    if other is None:  # so narrow that it is a normal squared: the root is normal
        root, deviation = math.sqrt(mass), math.sqrt(scale)
        for q in PROBABILITIES:
            expected = (root + deviation * stats.norm.ppf(q)) ** 2
            assert law.quantile(q) == pytest.approx(expected, rel=1e-12)
        return
    for q in PROBABILITIES:
        x = other.ppf(q) * scale
        assert law.quantile(q) == pytest.approx(x, rel=1e-11)
        assert law.below(x) == pytest.approx(other.cdf(x / scale), rel=1e-11)
        assert law.above(x) == pytest.approx(other.sf(x / scale), rel=1e-11)


@pytest.mark.parametrize("n", [2, 5, 50, 1000])
def test_equal_scales_are_a_chi_square_far_into_its_tails(n):
    law, other = SumOfSquares(np.full(n, 0.5), np.zeros(n)), stats.chi2(n, scale=0.5)
    for q in PROBABILITIES:
        assert law.quantile(q) == pytest.approx(other.ppf(q), rel=1e-12)
    for tail in (1e-20, 1e-200):
        assert law.above(other.isf(tail)) == pytest.approx(tail, rel=1e-10)
        assert law.below(other.ppf(tail)) == pytest.approx(tail, rel=1e-8)


def test_scales_in_pairs_are_a_sum_of_exponentials():
    """Of two normals each: a hypoexponential law, in closed form."""
    rates = np.array([1.0, 0.4, 0.05])
    law = SumOfSquares(np.repeat(0.5 / rates, 2), np.zeros(6))
    weights = [np.prod([other / (other - own) for other in rates if other != own]) for own in rates]
    for x in (0.1, 1.0, 10.0, 100.0, 400.0):
        above = sum(w * math.exp(-own * x) for w, own in zip(weights, rates, strict=True))
        assert law.above(x) == pytest.approx(above, rel=1e-11, abs=1e-15)


def imhof(scales, masses, x):
    def integrand(u):
        angle = 0.5 * np.sum(np.arctan(scales * u) + masses * u / (1 + (scales * u) ** 2)) - 0.5 * x * u
        size = np.sum(0.25 * np.log1p((scales * u) ** 2) + 0.5 * masses * scales * u**2 / (1 + (scales * u) ** 2))
        return np.sin(angle) / u * np.exp(-size)

    return 0.5 - integrate.quad(integrand, 0, np.inf, limit=2000, epsabs=1e-12)[0] / np.pi


@pytest.mark.parametrize("seed", range(4))
def test_imhofs_integral_is_the_same(seed):
    rng = np.random.default_rng(seed)
    scales, masses = 10.0 ** rng.uniform(-1.5, 0.0, 14), rng.uniform(0.0, 2.0, 14)
    law = SumOfSquares(scales, masses)
    for share in (0.4, 0.9, 1.0, 1.5, 2.5):
        assert law.below(share * law.mean) == pytest.approx(imhof(scales, masses, share * law.mean), abs=1e-8)


@pytest.mark.parametrize("seed", range(20))
def test_a_hundred_thousand_draws_fall_below_a_quantile_as_often_as_it_says(seed):
    """Scales and masses over many decades."""
    rng = np.random.default_rng(seed)
    scales, masses = 10.0 ** rng.uniform(-8, 2, 20), 10.0 ** rng.uniform(-8, 2, 20)
    scales[rng.random(20) < 0.2] = 0.0
    law, shifts = SumOfSquares(scales, masses), np.sqrt(masses)
    drawn = ((np.sqrt(scales) * rng.standard_normal((100_000, 20)) + shifts) ** 2).sum(1)
    assert drawn.mean() == pytest.approx(law.mean, abs=5 * law.deviation / 300)
    for q in (0.01, 0.25, 0.5, 0.75, 0.99):
        share = np.mean(drawn <= law.quantile(q))
        assert abs(share - q) < 5 * math.sqrt(q * (1 - q) / 100_000)


@pytest.mark.parametrize("seed", range(3))
def test_quantiles_are_inverses_and_densities_add_up(seed):
    rng = np.random.default_rng(seed)
    law = SumOfSquares(10.0 ** rng.uniform(-12, 0, 9), 10.0 ** rng.uniform(-12, 0, 9), constant=3.0)
    found = [law.quantile(q) for q in PROBABILITIES]
    assert found == sorted(found)
    for q, x in zip(PROBABILITIES, found, strict=True):
        assert law.below(x) == pytest.approx(q, rel=1e-9)
        assert law.below(x) + law.above(x) == pytest.approx(1.0, abs=1e-15)


def test_what_does_not_vary_is_itself():
    law = SumOfSquares(np.zeros(2), np.array([1.0, 0.5]), constant=0.5)
    assert law.quantile(0.3) == law.mean == 2.0
    assert (law.below(1.9), law.below(2.0), law.above(2.0)) == (0.0, 1.0, 0.0)
    law = SumOfSquares(np.array([1.0]), np.zeros(1))
    assert (law.below(0.0), law.above(-1.0), law.below(math.inf)) == (0.0, 1.0, 1.0)


def test_what_overflowed_is_larger_than_anything():
    for mean, covariance in (([math.inf], [1.0]), ([0.0], [math.inf]), ([0.0], [[math.nan]])):
        law = SumOfSquares.of_normal(np.array(mean), np.array(covariance), np.ones(1))
        assert (law.mean, law.deviation, law.quantile(0.1)) == (math.inf, math.inf, math.inf)
        assert (law.below(1e300), law.above(1e300)) == (0.0, 1.0)
    huge = SumOfSquares(np.array([1e250]), np.array([1e240]))
    assert huge.quantile(0.95) == pytest.approx(1e250 * stats.chi2(1).ppf(0.95), rel=1e-6)
    assert huge.deviation == pytest.approx(2**0.5 * 1e250, rel=1e-6)


def test_correlated_normals_are_rotated_into_independent_ones():
    rng = np.random.default_rng(0)
    root, mean, h = rng.standard_normal((4, 4)), rng.standard_normal(4), np.array([1.0, 0.5, 0.0, 2.0])
    law = SumOfSquares.of_normal(mean, root @ root.T, h)
    drawn = 0.5 * (h * (mean + rng.standard_normal((200_000, 4)) @ root.T) ** 2).sum(1)
    assert law.mean == pytest.approx(drawn.mean(), rel=0.02)
    assert law.deviation == pytest.approx(drawn.std(), rel=0.02)
    for q in (0.05, 0.5, 0.95):
        assert np.mean(drawn <= law.quantile(q)) == pytest.approx(q, abs=0.004)


@pytest.mark.parametrize("share", [1e-2, 1e-5])
@pytest.mark.parametrize("probability", [1e-6, 0.1, 0.9, 1 - 1e-9])
def test_a_thousand_small_scales_beside_a_large_one_are_an_integral_of_scipys(share, probability):
    """Two normals of scale 1 make an exponential of mean 2; a thousand of a small scale make a gamma."""
    law = SumOfSquares(np.array([1.0, 1.0, *[share] * 1000]), np.zeros(1002))
    many = stats.gamma(500, scale=2 * share)
    x = law.quantile(probability)
    low, high = (min(end, x) for end in many.ppf([1e-17, 1 - 1e-16]))
    above, _ = integrate.quad(lambda y: many.pdf(y) * math.exp(-(x - y) / 2), low, high, epsrel=1e-12)
    tail = above + many.sf(x)
    if probability < 0.5:
        below, _ = integrate.quad(
            lambda y: -many.pdf(y) * math.expm1(-(x - y) / 2), 0.0, x, epsrel=1e-12, points=[float(many.ppf(1e-12))]
        )
        assert below == pytest.approx(probability, rel=1e-7)
    else:
        assert tail == pytest.approx(1 - probability, rel=1e-7)


def test_small_scales_with_masses_are_summed_as_they_are():
    """Imhof's law of the same scales, the small ones split so finely that none is below an eighth."""
    rng = np.random.default_rng(3)
    scales, masses = 1.0 / np.arange(1, 301), rng.random(300) * 0.01
    law = SumOfSquares(scales, masses)

    def imhof(x):
        def angle(u):
            return 0.5 * (np.arctan(scales * u) + masses * u / (1 + (scales * u) ** 2)).sum() - 0.5 * x * u

        def size(u):
            away = 1 + (scales * u) ** 2
            return math.exp(0.25 * np.log(away).sum() + 0.5 * (masses * scales * u**2 / away).sum())

        found, _ = integrate.quad(lambda u: math.sin(angle(u)) / (u * size(u)), 0, 60, limit=400, epsrel=1e-12)
        return 0.5 - found / math.pi

    for x in (3.0, 6.0, 12.0):
        assert law.below(x) == pytest.approx(imhof(x), abs=1e-9)


def test_a_value_beyond_all_others_is_never_exceeded():
    for n in (1, 5, 300):
        law = SumOfSquares(1.0 / np.arange(1, n + 1), np.full(n, 0.1))
        assert (law.below(1e300), law.above(1e300)) == (1.0, 0.0)
    one = SumOfSquares(np.array([1.0]), np.zeros(1))
    for x in (1300.0, 1480.0, 1600.0):  # the last tails that are numbers, and beyond
        assert one.above(x) == pytest.approx(stats.chi2.sf(x, 1), rel=1e-6, abs=1e-315)
