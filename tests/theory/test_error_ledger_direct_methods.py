"""What lectures 1 to 3 get wrong on matrices, direct solves and gradient descent; the rest is in the error ledger."""

import math

import numpy as np
import pytest
import torch

from optwise.methods import SGD
from optwise.numerics.factorisations import cholesky_solve_normal


def double(*numbers):
    return torch.tensor(numbers, dtype=torch.float64)


def normal(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


# ---------------------------------------------------------------------- lecture 1: linear algebra


def test_the_two_printed_spectra_of_the_spam_matrix_belong_to_two_matrices():
    """11.31, 1.42, ... has the text length normalised, 431.75, 9.25, ... does not.

    No factor leads from one to the other, and the share of the first direction differs.
    """
    normalised = np.array([11.3077, 1.4219, 0.5334, 0.2697, 0.0496])
    raw = np.array([431.75, 9.2474, 1.7934, 1.3037, 0.1264])
    ratios = raw / normalised
    assert ratios.max() / ratios.min() > 10
    energy = [s[0] ** 2 / (s**2).sum() for s in (normalised, raw)]
    assert [f"{100 * share:.2f}" for share in energy] == ["98.17", "99.95"]


def test_torch_hands_out_v_transposed():
    """The page calls the third factor V and multiplies by its transpose."""
    A = normal(5, 3)
    U, s, third = torch.linalg.svd(A, full_matrices=False)
    torch.testing.assert_close(U * s @ third, A, rtol=0, atol=1e-13)
    assert float((U * s @ third.T - A).abs().max()) > 0.1
    # row i of it, and not column i, is the eigenvector of A^T A
    torch.testing.assert_close(A.T @ (A @ third[0]), s[0] ** 2 * third[0], rtol=1e-12, atol=1e-12)
    assert float((A.T @ (A @ third[:, 0]) - s[0] ** 2 * third[:, 0]).norm()) > 0.1


def test_the_norm_over_n_is_no_average_deviation():
    """Temperatures of day 1: the page divides the norm by 3. The mean of |x - mean| and the deviation are larger."""
    day = double(22.5, 23.1, 21.8)
    off = day - day.mean()
    printed = float(torch.linalg.vector_norm(off)) / 3
    assert printed == pytest.approx(0.3067, abs=5e-5)
    assert float(off.abs().mean()) == pytest.approx(0.4444, abs=5e-5)
    assert float(day.std(correction=0)) == pytest.approx(0.531, abs=5e-4)
    assert float(day.std(correction=0)) == pytest.approx(printed * math.sqrt(3), rel=1e-12)


def test_whole_numbers_times_floats_is_refused_for_matrices():
    """The summary multiplies an integer tensor by a float matrix with @."""
    counts, weights = torch.tensor([[1, 2], [3, 4]]), torch.tensor([[0.5], [0.25]])
    with pytest.raises(RuntimeError, match="dtype"):
        counts @ weights
    assert (counts.to(weights.dtype) @ weights)[:, 0].tolist() == [1.0, 2.5]
    assert (counts * weights).tolist() == [[0.5, 1.0], [0.75, 1.0]]  # entry by entry, torch promotes


# ------------------------------------------------------- lecture 2: linear regression, direct methods


def test_torch_solve_is_gone_and_linalg_has_its_place():
    A, b = normal(4, 4) + 4 * torch.eye(4, dtype=torch.float64), normal(4, 1, seed=1)
    removed = getattr(torch, "solve", None)
    if removed is not None:
        with pytest.raises(RuntimeError, match="removed"):
            removed(b, A)
    torch.testing.assert_close(A @ torch.linalg.solve(A, b), b, rtol=0, atol=1e-13)


def test_lu_factor_hands_out_both_factors_in_one_matrix_and_the_pivots():
    """The page unpacks L and U from it. Without pivoting the printed factors are right."""
    A = double(1, 2, 3, 4).reshape(2, 2)
    packed, pivots = torch.linalg.lu_factor(A)
    assert pivots.dtype == torch.int32
    L, U = packed.tril(-1) + torch.eye(2, dtype=torch.float64), packed.triu()
    torch.testing.assert_close(L @ U, A.flip(0), rtol=0, atol=1e-15)  # rows have been exchanged
    with pytest.raises(RuntimeError, match="dtype"):
        packed @ pivots
    P, L_, U_ = torch.linalg.lu(A)
    torch.testing.assert_close(P @ L_ @ U_, A, rtol=0, atol=1e-15)


def test_the_diagonal_of_the_text_and_that_of_the_code_have_other_condition_numbers():
    """100 and 0.1 in the text, 1 and 1e-4 in the code."""
    text, code = (float(torch.linalg.cond(torch.diag(double(*d)))) for d in ((100, 0.1), (1, 1e-4)))
    assert (text, code) == (pytest.approx(1e3), pytest.approx(1e4))


def substitution_operations(p, *, unit):
    """Multiplications, subtractions and, unless the diagonal is 1, divisions of a triangular solve."""
    done = 0
    for i in range(p):
        done += 2 * i + (not unit)
    return done


def test_a_factorisation_that_is_kept_saves_a_year_of_refits_31_fold():
    """The page counts p^2 / 2 for each triangle and has 247.1 million against 4.3 million, 57-fold."""
    p, days = 100, 365
    factor = 2 * p**3 / 3
    triangles = substitution_operations(p, unit=True) + substitution_operations(p, unit=False)
    assert triangles == 2 * p**2 - p
    fresh, kept = days * (factor + triangles), factor + days * triangles
    assert fresh == pytest.approx(250.6e6, rel=1e-3)
    assert kept == pytest.approx(7.93e6, rel=1e-3)
    assert fresh / kept == pytest.approx(31.6, abs=0.1)
    as_printed = days * (factor + p**2), factor + days * p**2
    assert as_printed == (pytest.approx(247.1e6, rel=1e-3), pytest.approx(4.3e6, rel=5e-3))


def test_our_kept_factor_solves_for_other_labels():
    X, y, other = normal(30, 5), normal(30, seed=1), normal(30, seed=2)
    factor = cholesky_solve_normal(X, y).factor
    again = torch.cholesky_solve((X.T @ other)[:, None], factor, upper=True)[:, 0]
    torch.testing.assert_close(again, torch.linalg.lstsq(X, other[:, None]).solution[:, 0], rtol=1e-10, atol=1e-12)


# --------------------------------------------------------- lecture 3: gradient descent on least squares


def test_the_normal_equations_of_the_scaling_figure_have_no_unique_answer():
    """It has 100 rows and 1,000 columns or more: X^T X has rank 100, and a direct solve of it needs a ridge."""
    n, p = 10, 100  # the same ratio
    X, y = normal(n, p), normal(n, seed=1)
    gram = X.T @ X
    assert int(torch.linalg.matrix_rank(gram)) == n
    assert cholesky_solve_normal(X, y).breakdown > n
    # with one the matrix of the rows gives the same weights from a system p / n times smaller
    w = cholesky_solve_normal(X, y, l2=1.0).w
    rows = X.T @ torch.linalg.solve(X @ X.T + torch.eye(n, dtype=torch.float64), y)
    torch.testing.assert_close(w, rows, rtol=1e-10, atol=1e-12)


def test_a_kappa_that_is_that_of_x_hides_the_square_in_the_rate():
    """The zigzag figure means kappa(H), the one on convergence factors kappa(X): far apart in pace."""
    steps = 100
    of_hessian, of_x = ((1 - 0.5 / kappa) ** (2 * steps) for kappa in (100.0, 100.0**2))
    assert of_hessian == pytest.approx(0.367, abs=5e-4)
    assert of_x == pytest.approx(0.990, abs=5e-4)  # the plateau
    rule, w = SGD(lr=0.5), torch.ones(1, dtype=torch.float64)
    for _ in range(steps):
        w, _ = rule.step(w, w / 100.0**2, {})
    assert float(w.square()) == pytest.approx(of_x, rel=1e-12)


def test_the_best_constant_step_is_2_over_the_sum_of_the_extreme_curvatures():
    """1.8/L is the page's default; on 100 rows and 5,000 columns 2/(L + m) gains four times as many digits a step."""
    L, m = 1.0, 1 / 1.72
    factor = lambda lr: max(abs(1 - lr * L), abs(1 - lr * m))  # noqa: E731
    best = min(np.linspace(0.01, 1.99, 1981), key=factor)
    assert best == pytest.approx(2 / (L + m), abs=1e-3)
    kappa = L / m
    assert factor(2 / (L + m)) == pytest.approx((kappa - 1) / (kappa + 1), rel=1e-12)
    after = {lr: factor(lr) ** 40 for lr in (1.8 / L, 2 / (L + m))}  # 20 iterations, squared in the loss
    assert after[1.8 / L] == pytest.approx(1.3e-4, rel=0.03)
    assert after[2 / (L + m)] < 1e-22
    assert math.log(after[2 / (L + m)]) / math.log(after[1.8 / L]) > 4


def test_a_dense_matrix_on_all_voxels_of_a_256_cube_takes_2_25_petabytes():
    """Right as printed, at 8 bytes."""
    voxels = 256**3
    assert torch.empty(voxels, voxels, dtype=torch.float64, device="meta").nbytes == pytest.approx(2.25e15, rel=1e-3)
