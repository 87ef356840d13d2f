"""L-BFGS-B against the reference implementation, the optimality conditions, and a dense model."""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from scipy.optimize import minimize, nnls
from torch import Tensor

from optwise.core.composite import Composite
from optwise.core.constraint import ConstraintSet
from optwise.core.loss import LinearModel
from optwise.core.oracles import Oracle
from optwise.core.smooth import Smooth
from optwise.methods.solvers.curvature_pairs import CompactHessian
from optwise.methods.solvers.lbfgsb import LBFGSB, _Box, _cauchy_point, _subspace_step
from optwise.methods.solvers.quasi_newton import LBFGS
from optwise.methods.solvers.rays import Point
from optwise.problems.terms.linear_models import LinearModelTerm
from optwise.problems.terms.operators import MatrixOperator
from optwise.problems.terms.predictions import LogisticLoss, SquaredError
from optwise.problems.terms.sets.boxes import Box

INF = math.inf


@dataclass(frozen=True, eq=False)
class Bounds(ConstraintSet):
    lower: Tensor
    upper: Tensor

    def project(self, v):
        return v.clamp(self.lower, self.upper)

    def bounds(self):
        return self.lower, self.upper


@dataclass(frozen=True, eq=False)
class Function(Smooth):
    """A function that remembers where it was asked."""

    function: Callable[[Tensor], Tensor]
    length: int
    asked: list[Tensor] = field(default_factory=list)

    @property
    def dimension(self) -> int:
        return self.length

    def value(self, w):
        self.asked.append(w.detach())
        return self.function(w)


def rosenbrock(w):
    return (100 * (w[1:] - w[:-1] ** 2) ** 2 + (1 - w[:-1]) ** 2).sum()


def valley_start(d: int) -> Tensor:
    start = torch.ones(d, dtype=torch.float64)
    start[::2] = -1.2
    return start


def convex(n: int, condition: float) -> Callable[[Tensor], Tensor]:
    generator = torch.Generator().manual_seed(4)
    Q, _ = torch.linalg.qr(torch.randn(n, n, dtype=torch.float64, generator=generator))
    H = (Q * torch.logspace(0, math.log10(condition), n, dtype=torch.float64)) @ Q.T
    answer = torch.randn(n, dtype=torch.float64, generator=generator)
    return lambda w: 0.5 * (w - answer.to(w)) @ (H.to(w) @ (w - answer.to(w))) + 2.0


def box(d: int, low: float, high: float) -> Bounds:
    return Bounds(torch.full((d,), low, dtype=torch.float64), torch.full((d,), high, dtype=torch.float64))


def mixed(d: int) -> Bounds:
    """Nothing, a lower bound, an upper one, and both, in turn."""
    found = box(d, -INF, INF)
    found.lower[1::4], found.upper[2::4] = 0.3, 0.2
    found.lower[3::4], found.upper[3::4] = -0.1, 0.4
    return found


CASES = {
    "valley in a box": (rosenbrock, 10, box(10, -2.0, 0.8), valley_start(10)),
    "valley with mixed bounds": (rosenbrock, 24, mixed(24), valley_start(24)),
    "valley from outside": (rosenbrock, 5, box(5, -0.5, 0.9), torch.full((5,), -4.0, dtype=torch.float64)),
    "quadratic on an orthant": (convex(30, 1e3), 30, box(30, 0.0, INF), torch.ones(30, dtype=torch.float64)),
    "quadratic in a box": (convex(30, 1e4), 30, box(30, 0.0, 0.5), torch.full((30,), 0.2, dtype=torch.float64)),
    "quadratic with mixed bounds": (convex(17, 1e2), 17, mixed(17), torch.zeros(17, dtype=torch.float64)),
}


def reference(function, bounds: Bounds, start: Tensor):
    calls = Function(function, len(start))

    def value_and_gradient(w):
        value, gradient = calls.value_and_gradient(torch.from_numpy(w))
        return float(value), gradient.numpy()

    limits = list(zip(bounds.lower.tolist(), bounds.upper.tolist(), strict=True))
    options = {"gtol": 1e-9, "ftol": 0.0, "maxiter": 10_000, "maxfun": 100_000}
    start = bounds.project(start).numpy()
    return minimize(value_and_gradient, start, jac=True, method="L-BFGS-B", bounds=limits, options=options)


def run(problem: Composite, start: Tensor, *, most: int = 2000, enough: float = -1.0, solver=None) -> list:
    found = []
    for iterate in itertools.islice((solver or LBFGSB()).solve(problem, start), most):
        found.append(iterate)
        if iterate.measure <= enough:
            break
    return found


@pytest.mark.parametrize("name", CASES)
def test_answers_are_those_of_the_reference_implementation(name):
    function, d, bounds, start = CASES[name]
    last = run(Composite(Function(function, d), constraint=bounds), start)[-1]
    found = reference(function, bounds, start)
    # a valley has several minima in a box; both must be minima, and ours not the higher one
    assert last.value <= found.fun + 1e-10 * abs(found.fun)
    if abs(last.value - found.fun) <= 1e-8 * abs(found.fun):
        assert last.w.numpy() == pytest.approx(found.x, abs=1e-5)


@pytest.mark.parametrize("name", CASES)
def test_answers_meet_the_optimality_conditions(name):
    """No slope where an entry is free, and one that points outwards where it is at a bound."""
    function, d, bounds, start = CASES[name]
    smooth = Function(function, d)
    last = run(Composite(smooth, constraint=bounds), start)[-1]
    _, gradient = smooth.value_and_gradient(last.w)
    at_lower, at_upper = last.w == bounds.lower, last.w == bounds.upper
    small = 1e-6 * float(smooth.value_and_gradient(bounds.project(start))[1].norm())
    assert bool((gradient[~at_lower & ~at_upper].abs() <= small).all())
    assert bool((gradient[at_lower] >= -small).all())
    assert bool((gradient[at_upper] <= small).all())
    assert bool((at_lower | at_upper).any())


@pytest.mark.parametrize("name", CASES)
def test_every_point_that_is_asked_or_answered_is_feasible(name):
    function, d, bounds, start = CASES[name]
    smooth = Function(function, d)
    found = run(Composite(smooth, constraint=bounds), start)
    for w in (*smooth.asked, *(iterate.w for iterate in found)):
        assert torch.equal(bounds.project(w), w)


@pytest.mark.parametrize("name", CASES)
def test_no_more_evaluations_than_the_reference_implementation(name):
    """To the same value; a fifth more is chance."""
    function, d, bounds, start = CASES[name]
    found = reference(function, bounds, start)
    problem = Composite(Function(function, d), constraint=bounds)
    for iterate in LBFGSB().solve(problem, start):
        if iterate.value <= found.fun + 1e-9 * abs(found.fun):
            break
    assert problem.counts["evaluations"] <= 1.2 * found.nfev + 5


def dense(seed: int, n: int = 9):
    """A random model: its dense matrix, its compact one, a box with open sides, a point in it and a gradient."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(*shape, dtype=torch.float64, generator=generator)

    A = normal(n, n)
    H = A @ A.T + 0.1 * torch.eye(n, dtype=torch.float64)
    compact, w, pairs = CompactHessian(4, torch.zeros(n, dtype=torch.float64)), normal(n), []
    for _ in range(seed % 6 + 1):
        s = normal(n)
        assert compact.learn(Point(w, 0.0, H @ w, 1.0), Point(w + s, 0.0, H @ (w + s), 1.0))
        w = w + s
        pairs.append((s, H @ s))
    s, y = pairs[-1]
    B = torch.eye(n, dtype=torch.float64) * (y @ y) / (s @ y)
    for s, y in pairs[-4:]:
        B = B - torch.outer(B @ s, B @ s) / (s @ B @ s) + torch.outer(y, y) / (s @ y)
    share = torch.rand(2, n, dtype=torch.float64, generator=generator)
    lower = torch.where(share[0] < 0.7, -share[0], -INF)
    upper = torch.where(share[1] < 0.7, share[1], INF)
    limits = _Box(lower, upper)
    return B, compact, limits, Point(limits.clamp(0.5 * normal(n)), 0.0, 3 * normal(n), 1.0)


@pytest.mark.parametrize("seed", range(40))
def test_the_cauchy_point_is_the_first_minimiser_along_the_path_of_a_dense_model(seed):
    """Found there by walking from breakpoint to breakpoint."""
    B, compact, limits, point = dense(seed)
    w, g = point.w, point.gradient
    breaks = torch.where(g < 0, (w - limits.upper) / g, (w - limits.lower) / g)
    times = [0.0, *sorted({float(t) for t in breaks if 0 < t < INF}), INF]
    for begin, end in itertools.pairwise(times):
        x = limits.clamp(w - begin * g)
        d = torch.where(breaks > begin, -g, 0.0)
        slope, bend = float(g @ d + (x - w) @ B @ d), float(d @ B @ d)
        if slope >= 0.0:
            break
        if begin - slope / bend < end:
            x = x - slope / bend * d
            break
    found = _cauchy_point(point, limits, compact)
    assert torch.allclose(found.w, x, atol=1e-9)
    assert torch.allclose(found.shift, compact.columns @ (x - w), atol=1e-8)


@pytest.mark.parametrize("seed", range(20))
def test_the_subspace_step_is_the_dense_newton_step_over_free_entries(seed):
    B, compact, limits, point = dense(seed)
    cauchy = _cauchy_point(point, limits, compact)
    free = ((cauchy.w > limits.lower) & (cauchy.w < limits.upper)).nonzero()[:, 0]
    if len(free) == 0:
        free = torch.tensor([0])
    slope = (point.gradient + B @ (cauchy.w - point.w))[free]
    expected = -torch.linalg.solve(B[free][:, free], slope)
    assert torch.allclose(_subspace_step(point, cauchy, compact, free), expected, atol=1e-7)


def test_without_bounds_it_goes_where_the_unbounded_method_goes():
    """The Cauchy point and the step from it add up to the quasi-Newton step."""
    start = valley_start(6)
    bounded = run(Composite(Function(rosenbrock, 6), constraint=box(6, -INF, INF)), start, most=12)
    free = run(Composite(Function(rosenbrock, 6)), start, most=12, solver=LBFGS())
    for one, other in zip(bounded, free, strict=True):
        assert torch.allclose(one.w, other.w, atol=1e-6)  # rounding grows along the valley


def test_a_box_whose_corner_is_the_answer_is_solved_in_a_step():
    smooth = Function(lambda w: (w - 5).square().sum(), 4)
    found = run(Composite(smooth, constraint=box(4, 0.0, 1.0)), torch.zeros(4, dtype=torch.float64))
    assert torch.equal(found[-1].w, torch.ones(4, dtype=torch.float64))
    assert len(found) <= 3


def test_equal_bounds_fix_an_entry():
    bounds = box(3, -1.0, 1.0)
    bounds.lower[1] = bounds.upper[1] = 0.25
    target = torch.tensor([0.5, 9.0, 9.0], dtype=torch.float64)
    smooth = Function(lambda w: (w - target).square().sum(), 3)
    last = run(Composite(smooth, constraint=bounds), torch.zeros(3, dtype=torch.float64))[-1]
    assert last.w.numpy() == pytest.approx([0.5, 0.25, 1.0], abs=1e-9)


def test_a_start_that_the_bounds_alone_move_to_the_answer_is_answered():
    smooth = Function(lambda w: w.sum(), 2)
    found = run(Composite(smooth, constraint=box(2, 0.0, 1.0)), torch.full((2,), -3.0, dtype=torch.float64))
    assert len(found) == 1
    assert torch.equal(found[0].w, torch.zeros(2, dtype=torch.float64))


def test_a_function_that_ends_at_its_bounds_is_never_asked_beyond_them():
    """The power 3/2 is NaN below 0, and its slope there is 0: the answer has entries at the edge of its domain."""
    costs = torch.tensor([1.0, -1.0, 0.3, -2.0], dtype=torch.float64)
    smooth = Function(lambda w: (w**1.5 - costs.to(w) * w).sum(), 4)
    last = run(Composite(smooth, constraint=box(4, 0.0, INF)), torch.full((4,), 2.0, dtype=torch.float64))[-1]
    expected = (costs.clamp(min=0) / 1.5) ** 2
    assert last.w.numpy() == pytest.approx(expected.numpy(), abs=1e-7)
    assert bool((last.w[costs < 0] == 0).all())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_nonnegative_least_squares_is_the_answer_of_an_active_set_method(dtype):
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((40, 12)), rng.standard_normal(40)
    design = MatrixOperator(torch.from_numpy(X).to(dtype))
    smooth = LinearModelTerm(LinearModel(design, torch.from_numpy(y).to(dtype), SquaredError(), 1.0))
    bounds = Bounds(torch.zeros(12, dtype=dtype), torch.full((12,), INF, dtype=dtype))
    last = run(Composite(smooth, constraint=bounds), torch.ones(12, dtype=dtype))[-1]
    assert last.w.dtype == dtype
    assert last.w.numpy() == pytest.approx(nnls(X, y)[0], abs=1e-4 if dtype == torch.float32 else 1e-8)


def test_a_linear_model_pays_two_products_an_iteration():
    rng = np.random.default_rng(1)
    design, y = MatrixOperator(torch.from_numpy(rng.standard_normal((50, 8)))), torch.ones(50, dtype=torch.float64)
    smooth = LinearModelTerm(LinearModel(design, y, LogisticLoss(), 1 / 50))
    problem = Composite(smooth, constraint=box(8, -0.2, 0.2))
    found = run(problem, torch.zeros(8, dtype=torch.float64), most=5)
    assert problem.counts["products"] == 2 + 2 * len(found)


def test_the_measure_bounds_the_distance_to_the_optimum_of_a_convex_function_in_a_box():
    rng = np.random.default_rng(1)
    design, y = MatrixOperator(torch.from_numpy(rng.standard_normal((50, 8)))), torch.ones(50, dtype=torch.float64)
    smooth = LinearModelTerm(LinearModel(design, y, LogisticLoss(), 1 / 50))
    limits = Box(*(torch.full((8,), bound, dtype=torch.float64) for bound in (-0.2, 0.3)))
    found = run(Composite(smooth, constraint=limits), torch.zeros(8, dtype=torch.float64))
    for iterate in found:
        assert iterate.measure * iterate.value >= iterate.value - found[-1].value - 1e-15
    assert found[-1].measure <= 1e-14


def test_it_ends_when_nothing_is_left_and_stays_deterministic():
    function, d, bounds, start = CASES["quadratic in a box"]
    first, second = (run(Composite(Function(function, d), constraint=bounds), start) for _ in range(2))
    assert len(first) == len(second) < 2000
    assert all(torch.equal(one.w, other.w) for one, other in zip(first, second, strict=True))
    values = [iterate.value for iterate in first]
    assert all(later <= earlier + 1e-14 * abs(earlier) for earlier, later in itertools.pairwise(values))


def test_it_needs_bounds():
    assert Oracle.BOUNDS in LBFGSB.needs
    assert Oracle.PROJECTION in LBFGSB.accepts
