"""Krylov methods against scipy's iterates, dense factorisations and the problems that define their iterates."""

import math
from fractions import Fraction
from itertools import islice, pairwise

import numpy as np
import pytest
import scipy.sparse.linalg as scipy_krylov
import torch
from scipy.optimize import brentq

from optwise.numerics.krylov import conjugate_gradient, steihaug
from optwise.numerics.least_squares_krylov import lsmr, lsqr

RNG = np.random.default_rng(0)
EPS = torch.finfo(torch.float64).eps


def normal(*shape):
    return torch.from_numpy(RNG.normal(size=shape))


def rotated(eigenvalues):
    """A symmetric matrix with these eigenvalues and random eigenvectors."""
    Q = torch.linalg.qr(normal(len(eigenvalues), len(eigenvalues)))[0]
    A = Q @ torch.diag(torch.as_tensor(eigenvalues, dtype=torch.float64)) @ Q.T
    return (A + A.T) / 2


A = rotated(np.logspace(0, 3, 20))
B, START = normal(20), normal(20)
JACOBI = A.diagonal().clone()


def apply(v):
    return A @ v


@pytest.mark.parametrize("start", [None, START])
@pytest.mark.parametrize("preconditioner", [None, lambda r: r / JACOBI])
def test_iterates_of_conjugate_gradients_are_those_of_scipy(start, preconditioner):
    theirs = []
    M = None if preconditioner is None else scipy_krylov.LinearOperator(A.shape, lambda r: r / JACOBI.numpy())
    scipy_krylov.cg(
        A.numpy(),
        B.numpy(),
        x0=None if start is None else start.numpy(),
        M=M,
        rtol=0.0,
        maxiter=8,
        callback=lambda x: theirs.append(x.copy()),
    )
    ours = list(islice(conjugate_gradient(apply, B, start, preconditioner=preconditioner), 8))
    assert [found.iterations for found in ours] == list(range(1, 9))
    for found, x in zip(ours, theirs, strict=True):
        # two orders of the same sums; from about ten iterations on, their difference grows
        np.testing.assert_allclose(found.x, x, rtol=1e-8, atol=1e-10)
        assert found.residual_norm == pytest.approx(float((B - A @ found.x).norm()), rel=1e-8)
        assert found.ended == ""
    assert ours[-1].residual_norm < ours[0].residual_norm


def test_each_iterate_is_the_minimiser_over_its_krylov_space():
    columns = [B]
    for found in islice(conjugate_gradient(apply, B), 6):
        K = torch.linalg.qr(torch.stack(columns, dim=1))[0]
        best = K @ torch.linalg.solve(K.T @ A @ K, K.T @ B)
        torch.testing.assert_close(found.x, best, rtol=1e-8, atol=1e-10)
        columns.append(A @ columns[-1] / columns[-1].norm())


def test_the_curvature_is_the_rayleigh_quotient_of_the_direction():
    for found in islice(conjugate_gradient(apply, B), 10):
        d = found.direction
        assert found.curvature == pytest.approx(float(d @ A @ d / (d @ d)), rel=1e-10)
        assert 1.0 <= found.curvature <= 1e3


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_as_many_iterations_as_distinct_eigenvalues_solve_the_system(dtype):
    D = rotated([1.0, 1.0, 3.0, 3.0, 3.0, 10.0]).to(dtype)
    b = torch.ones(6, dtype=dtype)
    third = list(islice(conjugate_gradient(lambda v: D @ v, b), 3))[-1]
    assert third.x.dtype == dtype
    torch.testing.assert_close(third.x, torch.linalg.solve(D, b), rtol=100 * torch.finfo(dtype).eps, atol=0.0)


def test_a_direction_of_negative_curvature_ends_the_iteration_before_it_spoils_x():
    H = rotated([-2.0, *np.linspace(1, 5, 11)])
    found = list(conjugate_gradient(lambda v: H @ v, B[:12]))
    last, before = found[-1], found[-2]
    assert last.ended == "negative curvature"
    assert float(last.direction @ H @ last.direction) < 0.0
    assert last.curvature == pytest.approx(float(last.direction @ H @ last.direction / last.direction.square().sum()))
    assert torch.equal(last.x, before.x)
    assert last.residual_norm == before.residual_norm
    assert all(one.curvature > 0.0 for one in found[:-1])


def test_a_direction_without_curvature_ends_it_too():
    flat = torch.diag(torch.tensor([1.0, 0.0])).double()
    (found,) = conjugate_gradient(lambda v: flat @ v, torch.tensor([0.0, 1.0]).double())
    assert found.ended == "negative curvature"
    assert found.curvature == 0.0
    assert not found.x.any()


@pytest.mark.parametrize(
    ("operator", "b", "preconditioner", "ended"),
    [
        (lambda v: v, torch.zeros(3), None, "solved"),
        (lambda v: v, torch.ones(3), None, "solved"),
        (lambda v: v * math.nan, torch.ones(3), None, "not finite"),
        (lambda v: v, torch.tensor([1.0, math.nan, 1.0]), None, "not finite"),
        (lambda v: v, torch.tensor([1.0, math.inf, 1.0]), None, "not finite"),
        (lambda v: v, torch.ones(3), lambda r: -r, "breakdown"),
        (lambda v: v, torch.ones(3), lambda r: r * math.nan, "not finite"),
    ],
)
def test_where_no_next_iterate_exists_one_says_why(operator, b, preconditioner, ended):
    (found,) = conjugate_gradient(operator, b, preconditioner=preconditioner)
    assert found.ended == ended
    assert bool(torch.isfinite(found.x).all())


def test_a_product_that_is_lost_midway_leaves_the_last_finite_iterate():
    calls = []

    def breaking(v):
        calls.append(v)
        return A @ v if len(calls) < 4 else A @ v * math.nan

    *_, before, last = conjugate_gradient(breaking, B)
    assert (before.iterations, last.iterations, last.ended) == (3, 4, "not finite")
    assert torch.equal(before.x, last.x)


def test_iterates_are_tensors_of_their_own():
    kept = [found.x for found in islice(conjugate_gradient(apply, B), 3)]
    again = [found.x.clone() for found in islice(conjugate_gradient(apply, B), 3)]
    assert all(torch.equal(one, other) for one, other in zip(kept, again, strict=True))


def optimum_in_ball(H, g, radius):
    """The least value of the model in the ball, from the eigenvalues and the secular equation."""
    values, vectors = torch.linalg.eigh(H)
    c = vectors.T @ g
    length = lambda shift: float((c / (values + shift)).norm())  # noqa: E731
    shift = 0.0
    if values[0] <= 0 or length(0.0) > radius:
        lowest = max(0.0, -float(values[0]))
        shift = brentq(lambda t: length(lowest + t) - radius, 1e-14, 1e8, xtol=1e-15)
        shift += lowest
    s = -vectors @ (c / (values + shift))
    return float(g @ s + 0.5 * s @ H @ s)


def exact_decrease(H, g, s):
    """-(<g, s> + <s, H s> / 2) in fractions, which round nothing."""
    s, g = ([Fraction(entry) for entry in vector.tolist()] for vector in (s, g))
    slopes = [sum(Fraction(a) * b for a, b in zip(row, s, strict=True)) for row in H.tolist()]
    return float(-sum((a + b / 2) * c for a, b, c in zip(g, slopes, s, strict=True)))


def cauchy_decrease(H, g, radius):
    """What the best step along -g gains."""
    norm, bend = float(g.norm()), float(g @ H @ g)
    share = radius / norm if bend <= 0 else min(radius / norm, norm**2 / bend)
    return share * norm**2 - 0.5 * share**2 * bend


@pytest.mark.parametrize("radius", [1e-3, 0.3, 1.0, 10.0, 1e4])
@pytest.mark.parametrize("least", [-5.0, -0.01, 0.01, 1.0])
def test_a_truncated_step_stays_inside_and_gains_what_it_says(least, radius):
    for _ in range(5):
        H, g = rotated([least, *np.linspace(0.5, 20, 14)]), normal(15)
        found = steihaug(lambda v, H=H: H @ v, g, radius, tol=1e-10, most=60)
        s = found.step
        assert float(s.norm()) <= radius * (1 + 1e-12)
        assert found.boundary == (float(s.norm()) > radius * (1 - 1e-12))
        # sums of n products are off by n eps of what the lengths allow, however much of it cancels: a curvature of
        # -0.01 is what is left of entries as large as |H| = 20 (in 8000 random systems at most a fifth of this)
        rounding = len(g) * EPS * (20.0 * float(s @ s) + float(g.norm() * s.norm()))
        assert found.decrease == pytest.approx(exact_decrease(H, g, s), abs=rounding)
        assert found.decrease >= cauchy_decrease(H, g, radius) * (1 - 1e-12)
        if least > 0:
            # Yuan (2000): on a convex model truncated conjugate gradients gain at least half of what is to gain
            assert found.decrease >= -0.5 * optimum_in_ball(H, g, radius)
            assert not found.negative_curvature
        if not found.boundary:
            assert least > 0
            torch.testing.assert_close(s, -torch.linalg.solve(H, g), rtol=1e-7, atol=1e-9)
            assert found.residual_norm == pytest.approx(float((g + H @ s).norm()), abs=1e-12)


def test_negative_curvature_leads_to_the_boundary_however_far_it_is():
    H = rotated([-1.0, *np.linspace(1, 3, 9)])
    found = steihaug(lambda v: H @ v, B[:10], 1e6, tol=1e-12, most=50)
    assert found.boundary
    assert found.negative_curvature
    assert float(found.step.norm()) == pytest.approx(1e6, rel=1e-12)
    assert found.decrease > 1e10  # about |s|^2 / 2 along the eigenvector of -1, less where the direction is another


def test_the_tolerance_and_the_number_of_products_end_the_truncated_iteration():
    loose = steihaug(apply, B, 1e6, tol=0.5, most=100)
    tight = steihaug(apply, B, 1e6, tol=1e-6, most=100)
    assert loose.residual_norm <= 0.5 * float(B.norm())
    assert tight.residual_norm <= 1e-6 * float(B.norm())
    assert loose.iterations < tight.iterations
    calls = []
    few = steihaug(lambda v: calls.append(v) or A @ v, B, 1e6, tol=0.0, most=4)
    assert few.iterations == len(calls) == 4


@pytest.mark.parametrize(("operator", "g"), [(apply, torch.zeros(20).double()), (lambda v: v * math.nan, B)])
def test_no_gradient_or_no_product_is_no_step(operator, g):
    found = steihaug(operator, g, 1.0, tol=1e-3, most=5)
    assert not found.step.any()
    assert (found.decrease, found.boundary) == (0.0, False)


SHAPES = {"tall": (30, 12), "wide": (12, 30), "square": (15, 15)}


def system(name):
    rng = np.random.default_rng(1)
    return rng.normal(size=SHAPES[name]), rng.normal(size=SHAPES[name][0])


def products(X):
    X = torch.from_numpy(X)
    return (lambda v: X @ v), (lambda u: X.T @ u)


def theirs_after(method, X, y, damp, k):
    """X and the norms scipy reports after k iterations: residual, normal residual, |A|, cond(A)."""
    if method is lsqr:
        x, _, _, _, r, a, c, ar, *_ = scipy_krylov.lsqr(X, y, damp=damp, atol=0, btol=0, conlim=0, iter_lim=k)
    else:
        x, _, _, r, ar, a, c, _ = scipy_krylov.lsmr(X, y, damp=damp, atol=0, btol=0, conlim=0, maxiter=k)
    return x, r, ar, a, c


@pytest.mark.parametrize("method", [lsqr, lsmr])
@pytest.mark.parametrize("damp", [0.0, 0.7])
@pytest.mark.parametrize("name", SHAPES)
def test_iterates_and_estimates_are_those_of_scipy_and_the_norms_are_true(name, damp, method):
    X, y = system(name)
    for found in islice(method(*products(X), torch.from_numpy(y), damp=damp), 8):
        x, r, ar, a, c = theirs_after(method, X, y, damp, found.iterations)
        np.testing.assert_allclose(found.x, x, rtol=1e-9, atol=1e-11)  # two orders of the same sums
        assert found.residual_norm == pytest.approx(r, rel=1e-9)
        assert found.normal_residual_norm == pytest.approx(ar, rel=1e-7)
        stacked = np.concatenate([y - X @ x, -damp * x])
        assert found.residual_norm == pytest.approx(np.linalg.norm(stacked), rel=1e-9)
        normal_residual = X.T @ (y - X @ x) - damp**2 * x
        assert found.normal_residual_norm == pytest.approx(np.linalg.norm(normal_residual), rel=1e-7)
        if found.iterations > 1 or method is lsqr:  # scipy's lsmr starts its extremes from a 1 that is no entry
            assert found.condition == pytest.approx(c, rel=1e-7)
        if damp == 0.0 or method is lsqr:  # scipy's lsmr leaves the damping out of |A|
            assert found.operator_norm == pytest.approx(a, rel=1e-9)


@pytest.mark.parametrize("method", [lsqr, lsmr])
@pytest.mark.parametrize("damp", [0.0, 0.3])
@pytest.mark.parametrize("name", SHAPES)
def test_the_limit_is_the_damped_or_shortest_least_squares_solution(name, damp, method):
    X, y = system(name)
    stacked = np.concatenate([X, damp * np.eye(X.shape[1])])
    expected = np.linalg.lstsq(stacked, np.concatenate([y, np.zeros(X.shape[1])]), rcond=None)[0]
    *_, found = islice(method(*products(X), torch.from_numpy(y), damp=damp), 40)
    np.testing.assert_allclose(found.x, expected, rtol=1e-8, atol=1e-9)  # a condition number of up to 100


def test_estimates_grow_to_the_norm_and_the_condition_of_the_matrix():
    X, y = system("tall")
    for method in (lsqr, lsmr):
        found = list(islice(method(*products(X), torch.from_numpy(y)), 12))
        norms, conditions = [one.operator_norm for one in found], [one.condition for one in found]
        assert norms == sorted(norms)
        assert norms[-1] == pytest.approx(np.linalg.norm(X), rel=1e-9)
        frobenius = np.linalg.norm(X) * np.linalg.norm(np.linalg.pinv(X))
        if method is lsqr:
            assert conditions == sorted(conditions)
            assert conditions[-1] == pytest.approx(frobenius, rel=1e-6)
        else:
            # diagonal entries of a triangular factor: within a small factor of singular values, never beyond them
            assert 0.5 * np.linalg.cond(X) <= conditions[-1] <= np.linalg.cond(X) * (1 + 1e-9)


def test_what_each_method_minimises_falls_from_iterate_to_iterate():
    X, y = system("tall")
    by_lsqr = list(islice(lsqr(*products(X), torch.from_numpy(y)), 12))
    by_lsmr = list(islice(lsmr(*products(X), torch.from_numpy(y)), 12))
    for falling in (
        [one.residual_norm for one in by_lsqr],
        [one.residual_norm for one in by_lsmr],
        [one.normal_residual_norm for one in by_lsmr],
    ):
        assert all(later <= earlier * (1 + 1e-12) for earlier, later in pairwise(falling))
    for one, other in zip(by_lsqr[:-1], by_lsmr[:-1], strict=True):
        assert one.residual_norm <= other.residual_norm * (1 + 1e-12)
        assert other.normal_residual_norm <= one.normal_residual_norm * (1 + 1e-9)


def test_lsqr_keeps_the_digits_that_conjugate_gradients_on_the_normal_equations_lose():
    rng = np.random.default_rng(2)
    U, V = (np.linalg.qr(rng.normal(size=shape))[0] for shape in ((40, 10), (10, 10)))
    X = U @ np.diag(np.logspace(0, -7, 10)) @ V.T
    w = torch.from_numpy(V.sum(1))
    forward, adjoint = products(X)
    b = forward(w)
    runs = {
        "lsqr": lsqr(forward, adjoint, b),
        "normal": conjugate_gradient(lambda v: adjoint(forward(v)), adjoint(b)),
    }
    best = {name: min(float((one.x - w).norm()) for one in islice(run, 200)) for name, run in runs.items()}
    assert best["lsqr"] < 1e-6  # eps times the condition number 1e7 is 2e-9
    assert best["normal"] > 100 * best["lsqr"]


@pytest.mark.parametrize("method", [lsqr, lsmr])
def test_a_system_that_asks_for_zero_or_ends_early_says_solved(method):
    X = np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
    forward, adjoint = products(X)
    for b in ([0.0, 0.0, 0.0], [0.0, 0.0, 2.0]):
        (found,) = method(forward, adjoint, torch.tensor(b).double())
        assert (found.iterations, found.ended, found.normal_residual_norm) == (0, "solved", 0.0)
        assert found.residual_norm == np.linalg.norm(b)
        assert not found.x.any()
    (found,) = method(forward, adjoint, torch.tensor([3.0, 0.0, 4.0]).double())
    assert (found.iterations, found.ended) == (1, "solved")
    assert found.x.tolist() == [3.0, 0.0]
    assert found.residual_norm == pytest.approx(4.0)


@pytest.mark.parametrize("method", [lsqr, lsmr])
def test_a_lost_product_leaves_the_last_finite_least_squares_iterate(method):
    X, y = system("tall")
    forward, adjoint = products(X)
    calls = []
    *_, before, last = method(
        lambda v: forward(v) if calls.append(v) or len(calls) < 4 else forward(v) * math.nan,
        adjoint,
        torch.from_numpy(y),
    )
    assert (before.iterations, last.iterations, last.ended) == (3, 4, "not finite")
    assert torch.equal(before.x, last.x)
    (nothing,) = method(forward, adjoint, torch.from_numpy(y) * math.nan)
    assert nothing.ended == "not finite"


@pytest.mark.parametrize("method", [lsqr, lsmr])
def test_the_dtype_of_the_right_hand_side_is_that_of_the_answer(method):
    X, y = system("tall")
    forward, adjoint = products(X.astype(np.float32))
    *_, found = islice(method(forward, adjoint, torch.from_numpy(y).float()), 12)
    assert found.x.dtype == torch.float32
    np.testing.assert_allclose(found.x, np.linalg.lstsq(X, y, rcond=None)[0], rtol=1e-3, atol=1e-4)


def test_what_is_no_system_is_refused_before_any_product():
    never = pytest.fail
    with pytest.raises(ValueError, match=r"b has shape \(2, 2\) and torch.float32; it must be a vector"):
        conjugate_gradient(never, torch.ones(2, 2))
    with pytest.raises(ValueError, match=r"x has shape \(3,\); it must have that of b, \(2,\)"):
        conjugate_gradient(never, torch.ones(2), torch.ones(3))
    with pytest.raises(ValueError, match=r"b has shape \(2,\) and torch.int64; it must be a vector of floating"):
        lsqr(never, never, torch.tensor([1, 2]))
    with pytest.raises(ValueError, match=r"damp is -1.0; it must be at least 0"):
        lsmr(never, never, torch.ones(2), damp=-1.0)
    with pytest.raises(ValueError, match=r"radius is 0.0; it must be above 0"):
        steihaug(never, torch.ones(2), 0.0, tol=0.1, most=3)
    with pytest.raises(ValueError, match=r"most is 0; it must be at least 1"):
        steihaug(never, torch.ones(2), 1.0, tol=0.1, most=0)
