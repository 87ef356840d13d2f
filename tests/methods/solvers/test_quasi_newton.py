"""Quasi-Newton matrices against dense recursions, and the iterations they make."""

import itertools

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from optwise.core.composite import Composite
from optwise.core.errors import BadMethod
from optwise.core.smooth import Smooth
from optwise.methods.solvers.curvature_pairs import CompactHessian, TwoLoopInverse
from optwise.methods.solvers.quasi_newton import BFGS, LBFGS
from optwise.methods.solvers.rays import Point


class Quadratic(Smooth):
    def __init__(self, H, answer):
        self.H, self.answer = H, answer

    @property
    def dimension(self):
        return len(self.answer)

    def value(self, w):
        z = w - self.answer
        return 0.5 * z @ (self.H @ z)


class Rosenbrock(Smooth):
    def __init__(self, d):
        self.d = d

    @property
    def dimension(self):
        return self.d

    def value(self, w):
        return (100 * (w[1:] - w[:-1] ** 2) ** 2 + (1 - w[:-1]) ** 2).sum()


def positive_matrix(n, condition, seed=0):
    generator = torch.Generator().manual_seed(seed)
    Q, _ = torch.linalg.qr(torch.randn(n, n, dtype=torch.float64, generator=generator))
    return (Q * torch.logspace(0, np.log10(condition), n, dtype=torch.float64)) @ Q.T


def walk(n, steps, dtype=torch.float64):
    """Points of a quadratic along random steps."""
    H = positive_matrix(n, 20.0)
    generator = torch.Generator().manual_seed(7)
    w = torch.randn(steps + 1, n, dtype=torch.float64, generator=generator)
    return [Point(row.to(dtype), 0.0, (H @ row).to(dtype), 1.0) for row in w]


def dense_inverse(points):
    """The inverse update, pair by pair, from the identity scaled by the newest pair."""
    pairs = [(new.w - old.w, new.gradient - old.gradient) for old, new in itertools.pairwise(points)]
    s, y = pairs[-1]
    n = len(s)
    H = torch.eye(n, dtype=torch.float64) * (s @ y) / (y @ y)
    for s, y in pairs:
        V = torch.eye(n, dtype=torch.float64) - torch.outer(y, s) / (s @ y)
        H = V.T @ H @ V + torch.outer(s, s) / (s @ y)
    return H


@pytest.mark.parametrize("steps", [1, 3, 4, 5, 11])
def test_the_two_loops_are_the_dense_recursion_over_the_pairs_that_are_kept(steps):
    points, inverse = walk(7, steps), TwoLoopInverse(4, torch.zeros(7, dtype=torch.float64))
    for old, new in itertools.pairwise(points):
        assert inverse.learn(old, new)
    assert len(inverse) == min(steps, 4)
    H = dense_inverse(points[-min(steps, 4) - 1 :])
    for g in torch.eye(7, dtype=torch.float64):
        assert torch.allclose(inverse.direction(g), -H @ g, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("steps", [1, 3, 4, 5, 11])
def test_the_compact_matrix_is_the_inverse_of_the_dense_one(steps):
    points, hessian = walk(7, steps), CompactHessian(4, torch.zeros(7, dtype=torch.float64))
    for old, new in itertools.pairwise(points):
        assert hessian.learn(old, new)
    H = dense_inverse(points[-min(steps, 4) - 1 :])
    W = hessian.columns.T
    B = hessian.theta * torch.eye(7, dtype=torch.float64) - W @ torch.from_numpy(hessian.middle) @ W.T
    # the condition of B is below 1e3
    assert torch.allclose(B @ H, torch.eye(7, dtype=torch.float64), atol=1e-9)
    assert hessian.gram == pytest.approx((W.T @ W).numpy(), rel=1e-12)


def test_both_satisfy_the_secant_equation_of_the_newest_pair():
    points = walk(6, 9)
    inverse, hessian = (kind(5, torch.zeros(6, dtype=torch.float64)) for kind in (TwoLoopInverse, CompactHessian))
    for old, new in itertools.pairwise(points):
        inverse.learn(old, new)
        hessian.learn(old, new)
    s, y = points[-1].w - points[-2].w, points[-1].gradient - points[-2].gradient
    assert torch.allclose(inverse.direction(y), -s, rtol=1e-10)
    Wt = hessian.columns
    image = hessian.theta * s - Wt.T @ (torch.from_numpy(hessian.middle) @ (Wt @ s))
    assert torch.allclose(image, y, rtol=1e-10)


@pytest.mark.parametrize("kind", [TwoLoopInverse, CompactHessian])
def test_a_pair_along_which_f_curves_downwards_is_not_taken_and_costs_no_other(kind):
    points, matrix = walk(5, 3), kind(3, torch.zeros(5, dtype=torch.float64))
    for old, new in itertools.pairwise(points):
        matrix.learn(old, new)
    end = points[-1]
    downwards = Point(end.w + 1.0, 0.0, end.gradient - 1.0, 1.0)
    same = Point(end.w, 0.0, end.gradient, 1.0)
    assert not matrix.learn(end, downwards)
    assert not matrix.learn(end, same)
    assert len(matrix) == 3
    if kind is TwoLoopInverse:
        g = torch.arange(5, dtype=torch.float64)
        assert torch.allclose(matrix.direction(g), -dense_inverse(points) @ g, rtol=1e-10)


def test_what_is_forgotten_is_gone():
    inverse = TwoLoopInverse(3, torch.zeros(5, dtype=torch.float64))
    for old, new in itertools.pairwise(walk(5, 6)):
        inverse.learn(old, new)
    inverse.forget()
    g = torch.arange(5, dtype=torch.float64)
    assert torch.equal(inverse.direction(g), -g)
    points = walk(5, 2)
    for old, new in itertools.pairwise(points):
        inverse.learn(old, new)
    assert torch.allclose(inverse.direction(g), -dense_inverse(points) @ g, rtol=1e-10)


def test_single_precision_pairs_lose_no_more_than_single_precision():
    points, inverse = walk(7, 6, torch.float32), TwoLoopInverse(6, torch.zeros(7))
    for old, new in itertools.pairwise(points):
        inverse.learn(old, new)
    g = torch.arange(7.0)
    expected = -dense_inverse(walk(7, 6)) @ g.double()
    assert inverse.direction(g).dtype == torch.float32
    assert torch.allclose(inverse.direction(g).double(), expected, rtol=1e-4, atol=1e-4 * float(expected.norm()))


@pytest.mark.parametrize("solver", [BFGS(curvature=1e-3), LBFGS(history_size=20, curvature=1e-3)])
def test_with_exact_steps_a_quadratic_of_dimension_n_takes_n_iterations(solver):
    n = 6
    smooth = Quadratic(positive_matrix(n, 10.0), torch.arange(n, dtype=torch.float64))
    start = torch.ones(n, dtype=torch.float64)
    found = list(itertools.islice(solver.solve(Composite(smooth), start), n))
    gradients = [float(smooth.value_and_gradient(iterate.w)[1].norm()) for iterate in found]
    # the second trial of a search is the minimiser of a parabola, so that steps are exact up to rounding
    assert gradients[-1] < 1e-11 * gradients[0]
    assert gradients[-2] > 1e-3 * gradients[0]  # and not sooner


def test_with_exact_steps_full_memory_and_the_dense_matrix_make_the_same_iterates():
    """Their scalings of the identity differ, which changes lengths of directions only."""
    n = 8
    smooth = Quadratic(positive_matrix(n, 50.0), torch.arange(n, dtype=torch.float64))
    runs = [
        list(itertools.islice(solver.solve(Composite(smooth), torch.ones(n, dtype=torch.float64)), n - 1))
        for solver in (BFGS(curvature=1e-3), LBFGS(history_size=n, curvature=1e-3))
    ]
    for dense, limited in zip(*runs, strict=True):
        assert torch.allclose(dense.w, limited.w, atol=1e-8)  # rounding grows tenfold with each direction


@pytest.mark.parametrize("d", [10, 100])
def test_as_few_evaluations_as_the_reference_implementation_on_a_valley(d):
    """To the same largest entry of the gradient, with the same ten pairs."""
    smooth = Rosenbrock(d)
    start = torch.ones(d, dtype=torch.float64)
    start[::2] = -1.2

    def value_and_gradient(w):
        value, gradient = smooth.value_and_gradient(torch.from_numpy(w))
        return float(value), gradient.numpy()

    options = {"maxcor": 10, "gtol": 1e-5, "ftol": 0.0, "maxiter": 10_000, "maxfun": 100_000}
    reference = minimize(value_and_gradient, start.numpy(), jac=True, method="L-BFGS-B", options=options)
    problem = Composite(smooth)
    for iterate in LBFGS().solve(problem, start):
        if float(smooth.value_and_gradient(iterate.w)[1].abs().max()) <= 1e-5:
            break
    assert iterate.value < 1e-9
    assert problem.counts["evaluations"] <= 1.1 * reference.nfev


def test_a_spoilt_direction_is_replaced_by_the_gradient_and_the_run_goes_on():
    """A kink makes pairs useless; the method still ends where the reference does."""

    class Kinked(Smooth):
        dimension = 3

        def value(self, w):
            return (w - torch.arange(3, dtype=w.dtype)).abs().pow(1.2).sum() + 0.01 * (w**2).sum()

    for solver in (LBFGS(), BFGS()):
        *_, last = itertools.islice(solver.solve(Composite(Kinked()), torch.full((3,), 5.0)), 500)
        assert last.value < 0.06  # 0.05 at (0, 1, 2)


@pytest.mark.parametrize("fields", [{"history_size": 0}, {"curvature": 1.0}, {"curvature": 0.0}])
def test_hyperparameters_have_limits(fields):
    with pytest.raises(BadMethod, match="must lie in"):
        LBFGS(**fields)
