"""Douglas-Rachford: basis pursuit with a proof against linear programs, quadratics against other solvers."""

from itertools import pairwise

import numpy as np
import pytest
import scipy.optimize
import torch
from sklearn.linear_model import Lasso

from optwise.core.composite import Composite
from optwise.core.constraint import ConstraintSet
from optwise.core.loss import LinearModel
from optwise.methods.solvers.splitting import DouglasRachford
from optwise.methods.solvers.support_polish import SupportPolish
from optwise.problems.terms.functions import FunctionTerm, QuadraticTerm, SquaredDistance, Zero
from optwise.problems.terms.linear_models import LinearModelTerm
from optwise.problems.terms.operators import MatrixOperator
from optwise.problems.terms.penalties import L1, GroupL2, L2Norm
from optwise.problems.terms.predictions import SquaredError
from optwise.problems.terms.sets import Affine, Box, L1Ball, L2Ball, Nonnegative

MOST = 20_000


def measurements(m, p, nonzeros, *, seed=0):
    rng = np.random.default_rng(seed)
    A, x = rng.normal(size=(m, p)) / np.sqrt(m), np.zeros(p)
    x[rng.choice(p, nonzeros, replace=False)] = rng.normal(size=nonzeros)
    return A, x


def pursuit(A, b, *, f=None, penalty=None, dtype=torch.float64):
    p = A.shape[1]
    constraint = Affine(torch.tensor(A, dtype=dtype), torch.tensor(b, dtype=dtype))
    return Composite(f or Zero(p), penalty or L1(1.0), None, constraint), torch.zeros(p, dtype=dtype)


def regression(n, p, *, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, p))
    y = X[:, :3] @ np.array([2.0, -1.0, 0.5]) + 0.1 * rng.normal(size=n)
    return (
        LinearModelTerm(LinearModel(MatrixOperator(torch.tensor(X)), torch.tensor(y), SquaredError(), scale=1 / n)),
        X,
        y,
    )


def run(problem, w, solver=None, most=MOST):
    found = []
    for iterate in (solver or DouglasRachford()).solve(problem, w):
        found.append(iterate)
        if len(found) == most:
            break
    return found


def least_l1(A, b):
    p = A.shape[1]
    return scipy.optimize.linprog(np.ones(2 * p), A_eq=np.hstack([A, -A]), b_eq=b, method="highs").fun


@pytest.mark.parametrize(("m", "p", "nonzeros"), [(32, 128, 5), (20, 60, 4), (64, 256, 8)])
def test_a_sparse_vector_is_recovered_to_rounding_within_few_iterations(m, p, nonzeros):
    A, x = measurements(m, p, nonzeros)
    found = run(*pursuit(A, A @ x), most=60)
    assert np.allclose(found[-1].w, x, atol=1e-13)
    assert ((found[-1].w != 0).numpy() == (x != 0)).all()


@pytest.mark.parametrize("seed", range(3))
def test_where_no_sparse_vector_lies_it_ends_at_the_value_of_a_linear_program(seed):
    rng = np.random.default_rng(seed)
    A, b = rng.normal(size=(12, 30)), rng.normal(size=12)
    found = run(*pursuit(A, b))
    assert found[-1].value == pytest.approx(least_l1(A, b), rel=1e-9)
    assert np.allclose(A @ found[-1].w.numpy(), b, atol=1e-12)


def test_its_dual_point_proves_the_answer():
    """Weak duality, by hand: u = A^T nu with |u| <= 1 says that no feasible x has an l1 norm below <b, nu>."""
    A, x = measurements(32, 128, 5)
    found = run(*pursuit(A, A @ x))[-1]
    u = found.dual.numpy()
    nu, left, *_ = np.linalg.lstsq(A.T, u, rcond=None)
    assert left.sum() < 1e-24
    assert np.abs(u).max() <= 1 + 1e-12
    assert (A @ x) @ nu == pytest.approx(np.abs(x).sum(), rel=1e-12)
    assert found.measure < 1e-13


def test_the_measure_bounds_the_error_at_every_iterate():
    rng = np.random.default_rng(1)
    A, b = rng.normal(size=(12, 30)), rng.normal(size=12)
    problem, w = pursuit(A, b)
    best = least_l1(A, b)
    for iterate in run(problem, w, most=200):
        assert iterate.value - best <= iterate.measure * abs(iterate.value) + 1e-12
        assert bool(problem.constraint.contains(iterate.w, 1e-12))


def test_values_handed_out_have_ever_smaller_gaps():
    A, x = measurements(20, 60, 4)
    measures = [iterate.measure for iterate in run(*pursuit(A, A @ x))]
    assert all(later <= earlier for earlier, later in pairwise(measures))


@pytest.mark.parametrize("center", [0.0, 0.3])
def test_a_multiple_of_the_square_may_stand_beside_set_and_penalty(center):
    """Optimality: u + grad f is a combination of the rows of A for a subgradient u of the l1 norm."""
    A, x = measurements(20, 60, 4)
    f = SquaredDistance(torch.full((60,), center).double(), scale=0.7)
    found = run(*pursuit(A, A @ x, f=f))[-1]
    w, u = found.w.numpy(), found.dual.numpy()
    rest = u + 0.7 * (w - center)
    nu = np.linalg.lstsq(A.T, rest, rcond=None)[0]
    assert np.allclose(A.T @ nu, rest, atol=1e-7)
    assert np.abs(u).max() <= 1 + 1e-7
    assert np.allclose(u[np.abs(w) > 1e-6], np.sign(w[np.abs(w) > 1e-6]), atol=1e-6)
    assert np.allclose(A @ w, A @ x, atol=1e-12)


def test_a_penalty_of_groups_needs_no_polish():
    """Among the solutions of equations the one of least length is known in closed form."""
    rng = np.random.default_rng(0)
    A, b = rng.normal(size=(5, 12)), rng.normal(size=5)
    for penalty in (L2Norm(1.0), GroupL2(1.0, torch.zeros(12, dtype=torch.int64))):
        found = run(*pursuit(A, b, penalty=penalty))[-1]
        assert np.allclose(found.w, np.linalg.pinv(A) @ b, atol=1e-7)


def test_a_set_that_is_not_affine_is_no_trap_for_the_polish():
    y = torch.tensor([3.0, -0.2, 0.9, -2.0], dtype=torch.float64)
    box = Box(torch.full((4,), -1.0).double(), torch.full((4,), 1.0).double())
    found = run(Composite(SquaredDistance(y), L1(0.5), None, box), torch.zeros(4).double())
    # coordinate by coordinate: soft threshold, then the box
    assert torch.allclose(found[-1].w, (y.sign() * (y.abs() - 0.5).clamp(min=0)).clamp(-1, 1), atol=1e-9)


def test_a_ball_is_no_trap_for_the_polish_either():
    """Its equations lead to 0, which is feasible, with a dual point that looks right and is no normal there."""
    y = torch.tensor([3.0, -2.0, 0.1], dtype=torch.float64)
    found = run(Composite(SquaredDistance(y), L1(0.5), None, L2Ball(0.5)), torch.zeros(3).double())
    shrunk = y.sign() * (y.abs() - 0.5).clamp(min=0)  # the joint proximal map: soft threshold, then onto the ball
    assert torch.allclose(found[-1].w, 0.5 * shrunk / shrunk.norm(), atol=1e-9)


@pytest.mark.parametrize(("n", "p"), [(60, 15), (25, 60)])
def test_beside_a_quadratic_it_solves_the_lasso(n, p):
    f, X, y = regression(n, p)
    found = run(Composite(f, L1(0.05)), torch.zeros(p).double())
    other = Lasso(alpha=0.05, fit_intercept=False, tol=1e-14, max_iter=100_000).fit(X, y).coef_
    assert np.allclose(found[-1].w, other, atol=1e-9)
    assert ((found[-1].w != 0).numpy() == (other != 0)).all()
    assert len(found) < MOST


def test_beside_a_quadratic_it_solves_nonnegative_least_squares():
    f, X, y = regression(60, 15)
    found = run(Composite(f, None, None, Nonnegative(15)), torch.zeros(15).double())
    assert np.allclose(found[-1].w, scipy.optimize.nnls(X, y)[0], atol=1e-10)
    assert bool((found[-1].w >= 0).all())


@pytest.mark.parametrize("step", [1e-3, 1.0, 1e3])
def test_a_bad_first_step_is_balanced(step):
    f, X, y = regression(60, 15)
    found = run(Composite(f, L1(0.05)), torch.zeros(15).double(), DouglasRachford(step=step), most=1000)
    other = Lasso(alpha=0.05, fit_intercept=False, tol=1e-14, max_iter=100_000).fit(X, y).coef_
    assert np.allclose(found[-1].w, other, atol=1e-6)


def test_a_start_at_the_answer_ends_there_too():
    A, x = measurements(20, 60, 4)
    problem, _ = pursuit(A, A @ x)
    found = run(problem, torch.tensor(x))
    assert np.allclose(found[-1].w, x, atol=1e-13)


def test_one_dimension_is_enough():
    found = run(Composite(SquaredDistance(torch.tensor([3.0]).double()), L1(1.0)), torch.zeros(1).double())
    assert found[-1].w.item() == pytest.approx(2.0, abs=1e-14)


def test_float32_stays_float32_and_gets_as_far_as_its_digits():
    A, x = measurements(32, 128, 5)
    found = run(*pursuit(A, A @ x, dtype=torch.float32))
    assert found[-1].w.dtype == torch.float32
    assert np.allclose(found[-1].w, x, atol=1e-5)
    assert len(found) < MOST


def test_it_does_the_same_twice():
    A, x = measurements(32, 128, 5)
    first, second = (run(*pursuit(A, A @ x)) for _ in range(2))
    assert all(torch.equal(a.w, b.w) for a, b in zip(first, second, strict=True))


def test_projections_of_iterations_and_polishes_are_booked():
    class Counting(ConstraintSet):
        calls = 0

        def __init__(self, inner):
            self.inner = inner

        def project(self, v):
            Counting.calls += v.numel() // v.shape[-1]
            return self.inner.project(v)

    A, x = measurements(32, 128, 5)
    problem, w = pursuit(A, A @ x)
    counted = Composite(problem.smooth, problem.penalty, None, Counting(problem.constraint))
    run(counted, w, most=40)
    assert counted.counts["projections"] == Counting.calls
    assert counted.counts["factorizations"] >= 1


@pytest.mark.parametrize(
    ("problem", "reason"),
    [
        (Composite(SquaredDistance(torch.zeros(3))), "a smooth part alone"),
        (Composite(FunctionTerm(lambda w: w.exp().sum(), 3, is_convex=True), L1(1.0)), "no quadratic"),
        (
            Composite(QuadraticTerm(torch.diag(torch.tensor([1.0, 2.0])), torch.zeros(2)), L1(1.0), None, L1Ball(1.0)),
            "no multiple of",
        ),
    ],
)
def test_what_it_cannot_split_is_refused_with_the_reason(problem, reason):
    assert reason in DouglasRachford().refusal(problem)


def test_a_wrong_guess_leads_nowhere():
    A, x = measurements(32, 128, 5)
    problem, w = pursuit(A, A @ x)
    polish, wrong = SupportPolish(problem, w), torch.zeros(128, dtype=torch.bool)
    wrong[:5] = True
    assert polish.attempt(wrong, w, torch.ones_like(w), w) is None
    everything = torch.ones(128, dtype=torch.bool)
    assert polish.attempt(everything, w, torch.ones_like(w), w) is None


def test_a_right_guess_leads_to_the_answer_at_once():
    A, x = measurements(32, 128, 5)
    problem, w = pursuit(A, A @ x)
    signs = torch.tensor(np.sign(x))
    found = SupportPolish(problem, w).attempt(torch.tensor(x != 0), w, signs, w)
    assert np.allclose(found.w, x, atol=1e-14)
    assert torch.allclose(found.dual[signs != 0], signs[signs != 0], atol=1e-12)
    nu = np.linalg.lstsq(A.T, found.dual.numpy(), rcond=None)[0]
    assert np.allclose(A.T @ nu, found.dual, atol=1e-12)
