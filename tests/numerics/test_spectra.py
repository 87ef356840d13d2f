"""Lanczos and its bounds against dense eigenvalues, and the failure rate that the bounds promise."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch

from optwise.numerics import spectra
from optwise.numerics.spectra import extreme_eigenvalues, lanczos, largest_eigenvalue, operator_norm

RNG = np.random.default_rng(0)
N = 120
SPECTRA = {
    "even": np.linspace(0.0, 1.0, N),
    "indefinite": np.linspace(-3.0, 1.0, N),
    "geometric": np.logspace(0.0, -6.0, N),
    "negative": -np.logspace(0.0, -6.0, N),
    "random Gram matrix": np.linalg.svd(RNG.normal(size=(150, N)))[1] ** 2,
    "rank five": np.r_[np.zeros(N - 5), 1.0, 2.0, 3.0, 4.0, 5.0],
    "identity": np.ones(N),
    "zero": np.zeros(N),
    "crowded top": 1.0 - np.linspace(0.0, 1.0, N) ** 3,
    "two on top, almost equal": np.r_[np.linspace(0.0, 1.0, N - 2), 5.0, 5.0 + 1e-7],
    "far outlier": np.r_[np.linspace(0.0, 1.0, N - 1), 1e6],
    "huge": 1e30 * np.linspace(0.0, 1.0, N),
    "minute": 1e-30 * np.linspace(0.0, 1.0, N),
}


def diagonal(h, dtype=torch.float64):
    h = torch.as_tensor(h, dtype=dtype)
    return lambda v: h * v


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("name", SPECTRA)
def test_both_ends_lie_between_their_estimates_and_bounds(name, dtype):
    h = SPECTRA[name]
    low, high, size = h.min(), h.max(), np.abs(h).max()
    rounding = 4 * N * torch.finfo(dtype).eps * size  # a Ritz value is rounded like a sum of n terms
    for seed in range(3):
        found = extreme_eigenvalues(diagonal(h, dtype), N, dtype=dtype, seed=seed)
        assert found.lower <= low
        assert high <= found.upper
        assert low - rounding <= found.smallest <= found.largest <= high + rounding
        widest = max(found.upper - found.largest, found.smallest - found.lower)
        assert widest <= 1e-3 * size + rounding
        top = largest_eigenvalue(diagonal(h, dtype), N, dtype=dtype, seed=seed, tol=0.01)
        assert top.estimate - rounding <= high <= top.upper <= top.estimate + 0.011 * size + rounding
        assert top.iterations <= found.iterations


@pytest.mark.parametrize("most", [1, 7])
@pytest.mark.parametrize("name", ["even", "random Gram matrix", "far outlier", "geometric"])
def test_bounds_fail_no_more_often_than_they_say(monkeypatch, name, most):
    """No test sees one failure in 1e9; at a promise of 0.3 a sound bound shows at most that share."""
    monkeypatch.setattr(spectra, "FAILURE", 0.3)
    h, runs = SPECTRA[name], 120
    found = [
        extreme_eigenvalues(diagonal(h), N, dtype=torch.float64, seed=seed, tol=0.0, most=most) for seed in range(runs)
    ]
    spread = 3 * math.sqrt(0.3 * 0.7 / runs)
    above, below = np.mean([one.upper < h.max() for one in found]), np.mean([one.lower > h.min() for one in found])
    assert max(above, below) <= 0.3 + spread
    if name == "far outlier" and most == 1:
        assert above >= 0.3 - spread  # no other eigenvalue helps: the bound is sharp


def test_the_bound_is_no_wider_than_the_bound_a_priori():
    """Kuczynski and Wozniakowski (1992), theorem 4.2, for positive semidefinite A, at the same chance of failure."""
    for name in ("even", "crowded top", "random Gram matrix", "geometric"):
        for k in (10, 20, 40):
            h = SPECTRA[name]
            found = largest_eigenvalue(diagonal(h), N, dtype=torch.float64, tol=0.0, most=k)
            share = (math.log(1.648 * math.sqrt(N) / spectra.FAILURE) / (2 * k - 1)) ** 2
            a_priori = found.estimate / (1 - share) if share < 1 else math.inf
            assert found.upper <= a_priori


def test_bounds_tighten_with_products_and_hold_at_every_number_of_them():
    h = SPECTRA["even"]
    uppers = [
        largest_eigenvalue(diagonal(h), N, dtype=torch.float64, tol=0.0, most=k).upper for k in range(1, N + 1, 7)
    ]
    assert all(upper >= 1.0 for upper in uppers)
    assert all(later <= earlier * 1.001 for earlier, later in pairwise(uppers))
    assert uppers[-1] <= 1.0 + 1e-12  # after n products everything is known


def test_an_eigenvalue_known_beyond_all_digits_is_bounded_by_rounding():
    """After 60 products the bound of exact arithmetic is 1e-400 above the outlier, less than the least float64."""
    found = largest_eigenvalue(diagonal(SPECTRA["far outlier"]), N, dtype=torch.float64, tol=0.0, most=60)
    assert 1e6 <= found.upper <= 1e6 * (1 + 1e-12)


def test_an_eigenvalue_that_many_share_is_found_in_one_product_and_bounded_in_float32_by_a_few_starts():
    double = largest_eigenvalue(diagonal(SPECTRA["identity"]), N, dtype=torch.float64)
    single = largest_eigenvalue(diagonal(SPECTRA["identity"], torch.float32), N, dtype=torch.float32)
    assert (double.estimate, double.iterations) == (1.0, 1)
    assert single.estimate == pytest.approx(1.0, abs=1e-6)
    assert single.upper <= 1.001 + 1e-5
    assert 1 < single.iterations <= 10


@pytest.mark.parametrize(("n", "value"), [(1, -3.0), (2, 7.0)])
def test_the_smallest_dimensions_are_exact(n, value):
    found = extreme_eigenvalues(lambda v: value * v, n, dtype=torch.float64)
    assert found.smallest == pytest.approx(value, rel=1e-14)
    assert found.largest == pytest.approx(value, rel=1e-14)
    assert found.lower <= value <= found.upper


def test_the_seed_alone_decides_the_start_and_leaves_the_global_generator_alone():
    before = torch.get_rng_state()
    one, other = (extreme_eigenvalues(diagonal(SPECTRA["even"]), N, dtype=torch.float64, most=5) for _ in range(2))
    assert one == other
    assert torch.equal(torch.get_rng_state(), before)
    assert one != extreme_eigenvalues(diagonal(SPECTRA["even"]), N, dtype=torch.float64, most=5, seed=1)


def test_the_number_of_products_is_counted_and_kept():
    calls = []
    found = largest_eigenvalue(
        lambda v: calls.append(v) or 2.0 * torch.arange(N).double() * v, N, dtype=torch.float64, most=7
    )
    assert found.iterations == len(calls) == 7


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_product_that_is_not_finite_leaves_no_estimate_and_a_bound_that_says_nothing(value):
    found = largest_eigenvalue(lambda v: v * value, 5, dtype=torch.float64)
    assert math.isnan(found.estimate)
    assert found.upper == math.inf
    both = extreme_eigenvalues(lambda v: v * value, 5, dtype=torch.float64)
    assert (both.lower, both.upper, both.iterations) == (-math.inf, math.inf, 1)
    norm = operator_norm(lambda v: v * value, lambda u: u, (5, 5), dtype=torch.float64)
    assert math.isnan(norm.estimate)
    assert norm.upper == math.inf


@pytest.mark.parametrize("shape", [(40, 15), (15, 40), (1, 6), (6, 1)])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_the_operator_norm_is_the_largest_singular_value(shape, dtype):
    X = torch.from_numpy(RNG.normal(size=shape)).to(dtype)
    expected = float(np.linalg.svd(X.double().numpy())[1][0])
    found = operator_norm(lambda v: X @ v, lambda u: X.T @ u, shape, dtype=dtype)
    assert found.estimate == pytest.approx(expected, rel=1e-3)
    assert expected <= found.upper <= 1.0011 * found.estimate
    assert found.iterations <= min(shape)


def test_the_norm_of_nothing_is_zero():
    found = operator_norm(lambda v: 0.0 * v, lambda u: 0.0 * u, (4, 4), dtype=torch.float64)
    assert found.estimate == found.upper == 0.0


def symmetric(n):
    A = torch.from_numpy(RNG.normal(size=(n, n)))
    return A + A.T


@pytest.mark.parametrize("steps", [1, 2, 7, 25, 40])
def test_lanczos_projects_the_matrix_onto_its_krylov_space(steps):
    A, start = symmetric(25), torch.from_numpy(RNG.normal(size=25))
    diagonal, offdiagonal, basis = lanczos(lambda v: A @ v, start, steps)
    k = min(steps, 25)
    assert (diagonal.shape, offdiagonal.shape, basis.shape) == ((k,), (k - 1,), (k, 25))
    T = torch.diag(diagonal) + torch.diag(offdiagonal, 1) + torch.diag(offdiagonal, -1)
    # two reorthogonalisations leave rounding
    torch.testing.assert_close(basis @ basis.T, torch.eye(k).double(), rtol=0, atol=1e-14)
    torch.testing.assert_close(basis @ A @ basis.T, T, rtol=0, atol=1e-12)
    torch.testing.assert_close(basis[0], start / start.norm(), rtol=1e-14, atol=1e-15)
    if k > 1:
        # all columns but the last of A V^T = V^T T, which is what makes the space a Krylov space
        torch.testing.assert_close((A @ basis.T)[:, :-1], (basis.T @ T)[:, :-1], rtol=0, atol=1e-12)
    if k == 25:
        torch.testing.assert_close(torch.linalg.eigvalsh(T), torch.linalg.eigvalsh(A), rtol=1e-12, atol=1e-12)


def test_lanczos_ends_where_its_krylov_space_does():
    h = torch.tensor([1.0, 1.0, 2.0, 2.0, 5.0]).double()
    found = lanczos(lambda v: h * v, torch.ones(5).double(), 5)
    assert len(found.diagonal) == 3
    T = torch.diag(found.diagonal) + torch.diag(found.offdiagonal, 1) + torch.diag(found.offdiagonal, -1)
    torch.testing.assert_close(torch.linalg.eigvalsh(T), torch.tensor([1.0, 2.0, 5.0]).double())
    lost = lanczos(lambda v: v * math.nan, torch.ones(5), 3)
    assert (lost.diagonal.shape, lost.offdiagonal.shape, lost.basis.shape) == ((0,), (0,), (0, 5))


def test_ritz_values_stay_single_long_after_the_largest_has_converged():
    """Without reorthogonalisation copies of the outlier would appear after some thirty steps."""
    h = torch.cat([torch.linspace(0.0, 1.0, 199), torch.tensor([100.0])]).double()
    diagonal, offdiagonal, _ = lanczos(lambda v: h * v, torch.ones(200).double(), 90)
    T = torch.diag(diagonal) + torch.diag(offdiagonal, 1) + torch.diag(offdiagonal, -1)
    assert int((torch.linalg.eigvalsh(T) > 1.5).sum()) == 1


def test_an_operator_that_is_not_symmetric_is_named():
    lopsided = torch.from_numpy(RNG.normal(size=(10, 10)))
    with pytest.raises(ValueError, match=r"<u, A v> and <A u, v> differ by .* Lanczos needs a symmetric operator"):
        largest_eigenvalue(lambda v: lopsided @ v, 10, dtype=torch.float64)
    with pytest.raises(ValueError, match="symmetric operator"):
        operator_norm(lambda v: lopsided @ v, lambda u: lopsided @ u, (10, 10), dtype=torch.float64)


def test_an_operator_that_is_symmetric_up_to_float32_passes():
    A = symmetric(60)
    found = largest_eigenvalue(lambda v: (A.float() @ v.float()).double(), 60, dtype=torch.float64)
    assert found.estimate == pytest.approx(float(torch.linalg.eigvalsh(A)[-1]), rel=1e-5)


def test_sizes_and_starts_without_a_process_are_refused():
    with pytest.raises(ValueError, match=r"dimension is 0; it must be at least 1"):
        largest_eigenvalue(lambda v: v, 0, dtype=torch.float64)
    with pytest.raises(ValueError, match=r"most is 0; it must be at least 1"):
        extreme_eigenvalues(lambda v: v, 3, dtype=torch.float64, most=0)
    with pytest.raises(ValueError, match=r"start has shape \(3,\) and norm 0.0; it must be a vector that is not 0"):
        lanczos(lambda v: v, torch.zeros(3), 2)
    with pytest.raises(ValueError, match=r"start has shape \(2, 2\) and norm nan"):
        lanczos(lambda v: v, torch.ones(2, 2), 2)
    with pytest.raises(ValueError, match=r"steps is 0; it must be at least 1"):
        lanczos(lambda v: v, torch.ones(2), 0)
