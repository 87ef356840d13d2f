"""Products in twice the precision, against rational arithmetic."""

from fractions import Fraction

import numpy as np
import pytest
import torch

from optwise.numerics.twice_precise import dot, product_less


def exact(row, w, less=0.0):
    return sum((Fraction(float(a)) * Fraction(float(b)) for a, b in zip(row, w, strict=True)), -Fraction(float(less)))


@pytest.mark.parametrize("p", [1, 2, 3, 7, 64, 301])
@pytest.mark.parametrize("decades", [0, 5, 12])
def test_a_product_that_cancels_keeps_its_digits(p, decades):
    """Rows are made orthogonal to w up to rounding: the plain product has no digit left."""
    rng = np.random.default_rng(p)
    A, w = rng.standard_normal((6, p)) * 10.0 ** rng.uniform(-decades, decades, (6, p)), rng.standard_normal(p)
    A[:, 0] -= (A @ w) / w[0]
    less = rng.standard_normal(6) * 1e-8
    found, lost = product_less(torch.from_numpy(A), torch.from_numpy(w), torch.from_numpy(less))
    for row, b, high, low in zip(A, less, found.tolist(), lost.tolist(), strict=True):
        truth, size = exact(row, w, b), float(abs(row) @ abs(w)) + abs(b)
        assert abs(Fraction(high) - truth) <= 2.0**-53 * abs(truth) + Fraction(1e-30 * p * size)
        assert abs(Fraction(high) + Fraction(low) - truth) <= Fraction(1e-30 * p * size)


def test_blocks_of_rows_change_nothing(monkeypatch):
    rng = np.random.default_rng(0)
    A, w = torch.from_numpy(rng.standard_normal((50, 9))), torch.from_numpy(rng.standard_normal(9))
    whole = product_less(A, w)
    monkeypatch.setattr("optwise.numerics.twice_precise.ENTRIES", 20)
    assert all(torch.equal(a, b) for a, b in zip(product_less(A, w), whole, strict=True))


@pytest.mark.parametrize("shape", [(0, 3), (3, 0)])
def test_nothing_sums_to_zero(shape):
    assert product_less(torch.ones(shape).double(), torch.ones(shape[1]).double())[0].tolist() == [0.0] * shape[0]


def test_a_product_of_vectors_in_single_precision_has_its_digits_too():
    u = torch.tensor([1e8, 1.0, -1e8])
    assert dot(u, torch.ones(3)) == 1.0
