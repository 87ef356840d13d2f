"""A hundred nodes stand for ten thousand curvatures, and the bound on what they miss holds."""

import numpy as np
import pytest

from optwise.methods import SGD, Momentum
from optwise.problems import nqm
from optwise.theory import compression, forecast, forecasting
from optwise.theory.compression import ORDERS, compression_bounds
from optwise.theory.courses import course
from optwise.theory.models import nodes_of
from optwise.theory.spectrum import blocks, chebyshev_points, compressed, measure, tails

HARMONIC = measure(1.0 / np.arange(1, 10_001), 1.0 / np.arange(1, 10_001))


@pytest.mark.parametrize("order", [1, 4, 8])
def test_gauss_nodes_integrate_polynomials_of_degree_2n_minus_1_exactly_on_a_block(order):
    block = measure(np.linspace(0.51, 0.99, 200), np.linspace(1.0, 3.0, 200))
    small = compressed(block, order)
    assert small.size == order
    for degree in range(2 * order):
        exact = block.weights @ block.h**degree
        assert small.weights @ small.h**degree == pytest.approx(exact, rel=1e-13)
    beyond = block.weights @ block.h ** (2 * order)
    if order < 8:  # at order 8 what is missed is below rounding
        assert abs(small.weights @ small.h ** (2 * order) / beyond - 1) > 1e-13


def test_blocks_span_a_factor_of_two_and_cover_everything_once():
    cut = list(blocks(HARMONIC))
    assert sum(part.stop - part.start for part in cut) == HARMONIC.size
    assert all(HARMONIC.h[part][-1] <= 2 * HARMONIC.h[part][0] * (1 + 1e-9) for part in cut)


@pytest.mark.parametrize("order", [4, 6, 8])
@pytest.mark.parametrize(("lr", "k"), [(0.1, 100), (1.5, 20), (1.9, 500), (1.9, 10_000)])
def test_what_is_missed_stays_below_the_bound(order, lr, k):
    def power(h):
        return (1 - lr * h) ** (2 * k)

    small = compressed(HARMONIC, order)
    missed = abs(HARMONIC.weights @ power(HARMONIC.h) - small.weights @ power(small.h))
    compacted = [part for part in blocks(HARMONIC) if part.stop - part.start > order]
    bound = sum(
        float(tails(power(chebyshev_points(HARMONIC.h[part])), (order,))[0]) * HARMONIC.weights[part].sum()
        for part in compacted
    )
    assert missed <= bound
    assert bound <= 1e4 * missed + 1e-9 * HARMONIC.weights.sum()  # and says something


@pytest.mark.parametrize("method", [SGD(lr=1.0), Momentum(lr=0.5, momentum=0.9), Momentum(lr=0.1, momentum=0.99)])
def test_a_large_spectrum_is_compressed_within_its_bound(method, monkeypatch):
    problem = nqm(d=6000)
    small = forecast(problem, method, 400, 16)
    assert small.nodes < 600
    assert 0 < small.bound < 1e-9
    monkeypatch.setattr(forecasting, "FULL_CURVATURES", 6000)
    full = forecast(problem, method, 400, 16)
    assert full.nodes == 6000
    assert full.bound == 0
    error = np.abs(small.bias - full.bias) + np.abs(small.noise - full.noise)
    assert error.max() <= small.bound + 1e-13 * full.risk[0]  # rounding of sums over 6000 terms


def test_where_few_nodes_do_not_do_the_bound_says_so():
    """Heavy ball close to 1 turns thousands of times: eight nodes a block cannot follow, and the bound sees it."""
    nodes, method = nodes_of(nqm(d=6000).quadratic), Momentum(lr=0.1, momentum=0.999)
    _, bias, noise = compression_bounds(course(method, nodes, 3000), method, 3000)
    eight = ORDERS.index(8)
    assert (bias[eight] + noise[eight]).max() > 1e-8


def test_what_memory_cannot_hold_is_compressed_whatever_the_bound(monkeypatch):
    monkeypatch.setattr(compression, "FULL_NUMBERS", 1000)
    monkeypatch.setattr(compression, "ORDERS", (2,))
    found = forecast(nqm(d=6000), Momentum(lr=0.1, momentum=0.99), 300, 16)
    assert found.nodes < 100
    assert found.bound > 1e-6
