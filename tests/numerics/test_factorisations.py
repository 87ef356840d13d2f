"""Dense least squares against numpy and exact systems, condition estimates against LAPACK, costs against counts."""

import math
import os
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.linalg import lapack

from optwise.numerics.factorisation_costs import (
    digits_lost,
    flops_cholesky,
    flops_gram,
    flops_lu,
    flops_qr,
    flops_svd,
    flops_triangular_solve,
    peak_bytes_cholesky,
    peak_bytes_qr,
    peak_bytes_svd,
)
from optwise.numerics.factorisations import (
    cholesky_solve_normal,
    qr_least_squares,
    svd_least_squares,
    triangular_condition,
)
from optwise.numerics.memory import total_bytes
from optwise.numerics.tridiagonal import solve_tridiagonal

RNG = np.random.default_rng(0)
SOLVERS = {"cholesky": cholesky_solve_normal, "qr": qr_least_squares, "svd": svd_least_squares}
EPS = float(np.finfo(float).eps)


def design(n, p, condition=1e2):
    """A matrix [n, p] with singular values from 1 down to 1 / condition."""
    U, V = (np.linalg.qr(RNG.normal(size=(size, min(n, p))))[0] for size in (n, p))
    return U @ np.diag(np.logspace(0, -math.log10(condition), min(n, p))) @ V.T


def solved(name, X, y, **options):
    return SOLVERS[name](torch.from_numpy(X), torch.from_numpy(y), **options)


@pytest.mark.parametrize("columns", [(), (3,)])
@pytest.mark.parametrize(("n", "p"), [(30, 8), (8, 8), (20, 1), (1, 1)])
@pytest.mark.parametrize("name", SOLVERS)
def test_every_solver_finds_the_least_squares_solution_of_numpy(name, n, p, columns):
    X, y = design(n, p), RNG.normal(size=(n, *columns))
    found = solved(name, X, y)
    assert found.w.shape == (p, *columns)
    # the normal equations lose the square of the condition number 100, and a large residual does the same elsewhere
    np.testing.assert_allclose(found.w, np.linalg.lstsq(X, y, rcond=None)[0], rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize(("n", "p"), [(30, 8), (8, 30)])
@pytest.mark.parametrize("name", SOLVERS)
def test_a_ridge_makes_every_shape_solvable_and_is_that_of_the_stacked_system(name, n, p):
    X, y, l2 = design(n, p), RNG.normal(size=n), 0.37
    stacked = np.concatenate([X, math.sqrt(l2) * np.eye(p)])
    found = solved(name, X, y, l2=l2)
    expected = np.linalg.lstsq(stacked, np.concatenate([y, np.zeros(p)]), rcond=None)[0]
    np.testing.assert_allclose(found.w, expected, rtol=1e-11, atol=1e-12)
    if name == "svd":
        np.testing.assert_allclose(found.singular_values, np.linalg.svd(X)[1], rtol=1e-12)
    else:
        R = found.factor.numpy()
        np.testing.assert_allclose(R.T @ R, X.T @ X + l2 * np.eye(p), atol=1e-12)
        assert np.array_equal(R, np.triu(R))
        assert found.condition <= np.linalg.cond(R, 1) * (1 + 1e-10)


@pytest.mark.parametrize("condition", [1e1, 1e3, 1e5, 1e7])
def test_qr_loses_the_digits_of_the_condition_number_and_the_normal_equations_twice_as_many(condition):
    X = design(60, 12, condition)
    w = RNG.normal(size=12)
    y = X @ w
    errors = {name: np.linalg.norm(solved(name, X, y).w.numpy() - w) / np.linalg.norm(w) for name in SOLVERS}
    assert errors["qr"] <= 50 * condition * EPS  # a modest multiple for the 12 columns
    assert errors["svd"] <= 50 * condition * EPS
    assert errors["cholesky"] <= 50 * condition**2 * EPS
    if condition >= 1e5:
        assert errors["cholesky"] > 100 * errors["qr"]


def test_the_lecture_matrix_has_the_condition_number_4002():
    X = np.array([[1.0, 1.0], [1.0, 1.001]])
    exact = svd_least_squares(torch.from_numpy(X), torch.ones(2).double())
    np.testing.assert_allclose(exact.singular_values, [2.0005, 4.9988e-4], rtol=1e-4)
    assert exact.condition == pytest.approx(4002.0, abs=0.1)
    assert digits_lost(exact.condition) == pytest.approx(3.602, abs=1e-3)
    # labels (1, 1), moved by 0.1 % along the second left singular vector, move the weights (1, 0) by 283 %
    second = np.linalg.svd(X)[0][:, 1]
    moved = np.ones(2) + 1e-3 * math.sqrt(2) * second * np.sign(second[1])
    for name in SOLVERS:
        w = solved(name, X, moved).w.numpy()
        np.testing.assert_allclose(w, [-1.0010, 2.0000], atol=1e-4)
        assert np.linalg.norm(w - [1.0, 0.0]) == pytest.approx(2.8291, abs=1e-4)


@pytest.mark.parametrize("p", [1, 2, 3, 10, 40])
@pytest.mark.parametrize("kind", ["random", "graded", "ones", "almost singular"])
def test_the_condition_estimate_is_that_of_lapack_and_never_above_the_truth(kind, p):
    R = np.triu(RNG.normal(size=(p, p)))
    if kind == "graded":
        R *= np.logspace(0, -6, p)[:, None]
    if kind == "ones":
        R = np.triu(-np.ones((p, p))) + 2 * np.eye(p)
    if kind == "almost singular":
        R[p // 2, p // 2] = 1e-13
    true = np.linalg.norm(R, 1) * np.linalg.norm(np.linalg.inv(R), 1)
    found = triangular_condition(torch.from_numpy(R))
    reciprocal, info = lapack.dtrcon(R, norm="1", uplo="U")
    assert info == 0
    assert true / 3 <= found <= true * (1 + 1e-10)
    # both climb; where two vertices are equally steep they may go to different ones
    assert found >= 0.5 / reciprocal


def test_a_singular_triangle_has_no_condition_number():
    assert triangular_condition(torch.tensor([[1.0, 2.0], [0.0, 0.0]])) == math.inf
    assert triangular_condition(torch.tensor([[1.0, 2.0], [0.0, math.nan]])) == math.inf


def test_dependent_columns_are_seen_by_each_solver_in_its_way():
    X = np.c_[np.ones(10), np.arange(10.0), np.ones(10) + np.arange(10.0)]
    y = RNG.normal(size=10)
    by_qr, by_svd = solved("qr", X, y), solved("svd", X, y)
    assert by_qr.condition > 1e14
    assert by_svd.rank == 2
    assert by_svd.condition > 1e14
    np.testing.assert_allclose(by_svd.w, np.linalg.lstsq(X, y, rcond=None)[0], rtol=1e-10)
    zero = solved("cholesky", np.c_[X[:, :2], np.zeros(10)], y)
    assert zero.breakdown == 3
    assert zero.condition == math.inf
    assert bool(zero.w.isnan().all())


@pytest.mark.parametrize("shape", [(6, 15), (15, 6), (9, 9)])
def test_the_solution_of_least_norm_is_that_of_the_pseudoinverse(shape):
    X = design(*shape) @ np.diag(np.r_[np.ones(shape[1] - 2), 0.0, 0.0])
    y = RNG.normal(size=shape[0])
    found = solved("svd", X, y)
    assert found.rank == np.linalg.matrix_rank(X)
    np.testing.assert_allclose(found.w, np.linalg.pinv(X) @ y, rtol=1e-9, atol=1e-10)


def test_the_cutoff_decides_which_singular_values_count():
    X = np.diag([1.0, 1e-3, 1e-6])
    y = np.array([1.0, 1e-3, 1e-6])
    assert solved("svd", X, y).w.tolist() == pytest.approx([1.0, 1.0, 1.0])
    cut = solved("svd", X, y, cutoff=1e-4)
    assert cut.rank == 2
    assert cut.condition == pytest.approx(1e6)
    assert cut.w.tolist() == pytest.approx([1.0, 1.0, 0.0])


def test_zeros_have_the_solution_zero():
    found = solved("svd", np.zeros((4, 3)), np.ones(4))
    assert (found.rank, found.condition) == (0, math.inf)
    assert not found.w.any()


@pytest.mark.parametrize("name", SOLVERS)
def test_float32_in_float32_out(name):
    X, y = design(30, 5, 10.0).astype(np.float32), RNG.normal(size=30).astype(np.float32)
    found = solved(name, X, y)
    assert found.w.dtype == torch.float32
    # 1e-7 times the square of the condition number 10
    np.testing.assert_allclose(found.w, np.linalg.lstsq(X.astype(float), y, rcond=None)[0], rtol=1e-4, atol=1e-4)


def test_a_factor_serves_further_right_hand_sides():
    X, y, other = design(30, 5), RNG.normal(size=30), RNG.normal(size=30)
    R = solved("cholesky", X, y).factor
    again = torch.cholesky_solve(torch.from_numpy(X.T @ other)[:, None], R, upper=True)[:, 0]
    np.testing.assert_allclose(again, np.linalg.lstsq(X, other, rcond=None)[0], rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("name", SOLVERS)
@pytest.mark.parametrize(
    ("X", "y", "options", "sentence"),
    [
        (torch.ones(3), torch.ones(3), {}, r"X and y have shapes \(3,\) and \(3,\)"),
        (torch.ones(3, 2), torch.ones(2), {}, r"shapes \(3, 2\) and \(2,\); they must be \[n, p\]"),
        (torch.ones(0, 2), torch.ones(0), {}, r"shapes \(0, 2\)"),
        (torch.ones(3, 2), torch.ones(3).double(), {}, "X and y are of torch.float32 and torch.float64"),
        (torch.ones(3, 2).int(), torch.ones(3).int(), {}, "both must be float32 or both float64"),
        (torch.ones(3, 2), torch.ones(3), {"l2": -1.0}, "l2 is -1.0; it must be at least 0"),
        (torch.tensor([[1.0], [math.nan]]), torch.ones(2), {}, "X holds NaN or infinity; drop those rows"),
        (torch.ones(2, 1), torch.tensor([1.0, math.inf]), {}, "y holds NaN or infinity"),
    ],
)
def test_what_is_no_system_is_refused_in_a_sentence(name, X, y, options, sentence):
    with pytest.raises(ValueError, match=sentence):
        SOLVERS[name](X, y, **options)


def test_what_one_solver_alone_cannot_do_is_refused_too():
    with pytest.raises(ValueError, match=r"X has 2 rows and 3 columns; QR needs n >= p or l2 above 0"):
        qr_least_squares(torch.ones(2, 3), torch.ones(2))
    with pytest.raises(ValueError, match=r"cutoff is 1.0; it must be a share"):
        svd_least_squares(torch.ones(2, 2), torch.ones(2), cutoff=1.0)


def counted_cholesky(p):
    """Operations of the textbook loop over a p x p matrix: squares and products, subtractions, quotients, roots."""
    return sum(2 * k + 1 + (p - 1 - k) * (2 * k + 1) for k in range(p))


def counted_lu(p):
    return sum((p - 1 - k) + 2 * (p - 1 - k) ** 2 for k in range(p))


def counted_qr(n, p):
    """Householder's reflectors: the k-th takes four operations for each of its n - k entries in every later column."""
    return sum(4 * (n - k) * (p - 1 - k) for k in range(p))


@pytest.mark.parametrize("p", [200, 1000])
def test_formulas_of_operations_are_the_leading_terms_of_the_loops(p):
    n = 3 * p
    rest = 3.0 / p  # loops and formulas differ by a term of one order less
    products = flops_gram(n, p) + 2 * n * p + 2 * flops_triangular_solve(p)
    assert flops_cholesky(n, p) - products == pytest.approx(counted_cholesky(p), rel=rest)
    assert flops_lu(n, p) - products == pytest.approx(counted_lu(p), rel=rest)
    assert flops_qr(n, p) - (4 * n * p - 2 * p * p) - flops_triangular_solve(p) == pytest.approx(
        counted_qr(n, p), rel=rest
    )
    assert flops_gram(n, p) == pytest.approx(n * p * (p + 1), rel=rest)  # p (p + 1) / 2 inner products of 2 n
    assert flops_triangular_solve(p) == pytest.approx(sum(2 * k + 1 for k in range(p)), rel=rest)


def test_operations_of_a_small_system_by_hand():
    n, p = 10, 3
    assert flops_cholesky(n, p) == pytest.approx(90 + 9 + 60 + 18)
    assert flops_lu(n, p) == pytest.approx(90 + 18 + 60 + 18)
    assert flops_qr(n, p) == pytest.approx(180 - 18 + 120 - 18 + 9)
    assert flops_svd(n, p) == pytest.approx(540 + 540 + 60 + 18)
    assert flops_svd(p, n) == pytest.approx(540 + 540 + 18 + 60)
    # the 80 GB of a 100,000 x 100,000 matrix in float64
    assert peak_bytes_cholesky(1, 100_000, 8) == pytest.approx(2 * 80e9, rel=1e-4)


def peak_of_process(run):
    """Bytes by which the resident memory of this process rises above where it stands, at most, while ``run`` runs."""
    reset, status = Path("/proc/self/clear_refs"), Path("/proc/self/status")
    try:
        reset.write_text("5")
    except OSError:
        pytest.skip("this system does not let a process reset its own peak")

    def read(name):
        (line,) = [line for line in status.read_text().splitlines() if line.startswith(name)]
        return int(line.split()[1]) * 1024

    before = read("VmRSS")
    kept = run()
    del kept
    return read("VmHWM") - before


@pytest.mark.parametrize(
    ("name", "peak"), [("cholesky", peak_bytes_cholesky), ("qr", peak_bytes_qr), ("svd", peak_bytes_svd)]
)
def test_the_peak_of_memory_is_the_one_foretold(name, peak):
    n, p = 20_000, 220  # one X is 35 MB, which malloc always takes from and gives back to the system
    generator = torch.Generator().manual_seed(0)
    X, y = (torch.randn(*shape, generator=generator, dtype=torch.float64) for shape in ((n, p), (n,)))
    SOLVERS[name](X[:300], y[:300])  # libraries take their own buffers the first time
    rise = peak_of_process(lambda: SOLVERS[name](X, y))
    expected = peak(n, p, 8) - X.numel() * 8 - y.numel() * 8
    # pages, packing buffers of BLAS and small vectors: a few MB
    assert expected - 8e6 <= rise <= expected + 8e6


@pytest.mark.parametrize("n", [1, 2, 50])
@pytest.mark.parametrize("columns", [(), (3,)])
def test_tridiagonal_systems_are_solved_like_dense_ones(n, columns):
    b = RNG.normal(size=n - 1)
    a = np.abs(np.r_[b, 0.0]) + np.abs(np.r_[0.0, b]) + RNG.uniform(0.1, 1.0, size=n)
    rhs = RNG.normal(size=(n, *columns))
    dense = np.diag(a) + np.diag(b, 1) + np.diag(b, -1)
    found = solve_tridiagonal(torch.from_numpy(a), torch.from_numpy(b), torch.from_numpy(rhs))
    assert found.shape == rhs.shape
    np.testing.assert_allclose(found, np.linalg.solve(dense, rhs), rtol=1e-10, atol=1e-12)


def test_a_tridiagonal_answer_has_the_dtype_of_its_right_hand_side_and_leaves_the_arguments_alone():
    a, b, rhs = torch.full((4,), 3.0), torch.ones(3), torch.arange(4.0)
    found = solve_tridiagonal(a, b, rhs)
    assert found.dtype == torch.float32
    assert (a.tolist(), b.tolist(), rhs.tolist()) == ([3.0] * 4, [1.0] * 3, [0.0, 1.0, 2.0, 3.0])
    dense = torch.diag(a) + torch.diag(b, 1) + torch.diag(b, -1)
    torch.testing.assert_close(dense @ found, rhs, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("a", "b", "rhs", "sentence"),
    [
        ([1.0, -1.0], [0.0], [1.0, 1.0], r"not positive definite .* the least entry of which is -1"),
        ([1.0, 1.0], [2.0], [1.0, 1.0], r"not positive definite"),
        ([1.0, math.nan], [0.0], [1.0, 1.0], r"holds NaN or infinity"),
        ([1.0, 1.0], [0.0, 0.0], [1.0, 1.0], r"have shapes \(2,\), \(2,\) and \(2,\); they must be \[n\], \[n - 1\]"),
        ([1.0, 1.0], [0.0], [1.0], r"shapes \(2,\), \(1,\) and \(1,\)"),
    ],
)
def test_tridiagonal_systems_without_an_answer_are_refused(a, b, rhs, sentence):
    with pytest.raises(ValueError, match=sentence):
        solve_tridiagonal(torch.tensor(a), torch.tensor(b), torch.tensor(rhs))


GROUPS = {
    "no control group": ({}, None),
    "version 2": ({"proc/self/cgroup": "0::/job/step\n", "sys/fs/cgroup/job/step/memory.max": "1000\n"}, 1000),
    "version 2, outer limit": (
        {
            "proc/self/cgroup": "0::/job/step\n",
            "sys/fs/cgroup/job/step/memory.max": "max\n",
            "sys/fs/cgroup/job/memory.max": "2000\n",
        },
        2000,
    ),
    "version 2 seen from inside": ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "3000\n"}, 3000),
    "version 1": (
        {
            "proc/self/cgroup": "3:cpu:/x\n4:memory:/x\n",
            "sys/fs/cgroup/memory/x/memory.limit_in_bytes": "4000\n",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
        },
        4000,
    ),
    "version 1 of a container whose path is that of the host": (
        {
            "proc/self/cgroup": "5:cpuset,memory:/host/path\n0::/\n",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": "5000\n",
        },
        5000,
    ),
    "no limit": ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "max\n"}, None),
}


@pytest.mark.parametrize("name", GROUPS)
def test_available_memory_is_that_of_the_machine_or_of_its_control_group(tmp_path, name):
    files, limit = GROUPS[name]
    for path, text in files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert total_bytes(tmp_path) == (physical if limit is None else limit)


def test_a_system_that_does_not_tell_refuses_nothing(monkeypatch, tmp_path):
    monkeypatch.delattr(os, "sysconf")
    assert total_bytes(tmp_path) == sys.maxsize
