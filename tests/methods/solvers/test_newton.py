"""Newton's method: Hessians in all the ways they are had, small systems, saddles, and truncated solves."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from scipy.optimize import minimize, rosen, rosen_der, rosen_hess
from torch import Tensor

from optwise.core.composite import Composite
from optwise.core.loss import LinearModel
from optwise.core.operator import LinearOperator
from optwise.core.smooth import Smooth
from optwise.methods.solvers.hessians import gram, hessian_at
from optwise.methods.solvers.newton import Newton, NewtonCG
from optwise.methods.solvers.rays import point_at
from optwise.problems.terms.linear_models import LinearModelTerm
from optwise.problems.terms.operators import MatrixOperator
from optwise.problems.terms.predictions import LogisticLoss, SquaredError


@dataclass(frozen=True, eq=False)
class Function(Smooth):
    function: Callable[[Tensor], Tensor]
    length: int

    @property
    def dimension(self) -> int:
        return self.length

    def value(self, w):
        return self.function(w)


class Asked(Function):
    """A term with a Hessian-vector product of its own."""

    def hvp(self, w, v):
        return super().hvp(w, v)


@dataclass(frozen=True, eq=False)
class Products(LinearOperator):
    """A design known by its products."""

    of: MatrixOperator

    @property
    def shape(self):
        return self.of.shape

    def forward(self, w):
        return self.of.forward(w)

    def adjoint(self, v):
        return self.of.adjoint(v)


class Cube(torch.autograd.Function):
    """An operation of a user's that autograd cannot batch."""

    @staticmethod
    def forward(ctx, w):
        ctx.save_for_backward(w)
        return w**3

    @staticmethod
    def backward(ctx, g):
        (w,) = ctx.saved_tensors
        # the value on the host is what a batch does not have
        return g * 3 * w**2 * (1.0 if float(g.detach().sum()) >= -1e300 else 0.0)


def vector(*entries: float) -> Tensor:
    return torch.tensor(entries, dtype=torch.float64)


def rosenbrock(w):
    return (100 * (w[1:] - w[:-1] ** 2) ** 2 + (1 - w[:-1]) ** 2).sum()


def coupled(w):
    return (w[:-1] * w[1:]).sin().sum() + (w**4).sum()


def with_cubes(w):
    return Cube.apply(w).sum() + w.prod()


def model(n, p, *, l2=0.1, loss=None, kind=MatrixOperator) -> LinearModelTerm:
    rng = np.random.default_rng(0)
    X = torch.from_numpy(rng.standard_normal((n, p)))
    y = torch.from_numpy(np.sign(rng.standard_normal(n)))
    design = MatrixOperator(X) if kind is MatrixOperator else kind(MatrixOperator(X))
    return LinearModelTerm(LinearModel(design, y, loss or LogisticLoss(), 1 / n, l2))


def run(solver, smooth, start, most=200) -> list:
    return list(itertools.islice(solver.solve(Composite(smooth), start), most))


@pytest.mark.parametrize(
    ("smooth", "start"),
    [
        (Function(coupled, 40), torch.linspace(-1, 1, 40, dtype=torch.float64)),
        (Asked(coupled, 5), torch.linspace(-1, 1, 5, dtype=torch.float64)),
        (Function(with_cubes, 4), vector(1, 2, -1, 0.5)),
        (Function(lambda w: 3 * w.sum(), 3), vector(1, 2, 3)),
        (model(30, 6), torch.linspace(-1, 1, 6, dtype=torch.float64)),
        (model(30, 6, kind=Products), torch.linspace(-1, 1, 6, dtype=torch.float64)),
        (model(10, 300, loss=SquaredError()), torch.linspace(-1, 1, 300, dtype=torch.float64)),
    ],
    ids=["graph", "asked", "not batched", "affine", "model", "products", "wide"],
)
def test_hessians_are_those_of_autograd(smooth, start):
    problem = Composite(smooth)
    found = hessian_at(problem, point_at(problem, start))
    expected = torch.autograd.functional.hessian(smooth.value, start)
    assert torch.allclose(found.matrix(), expected, atol=1e-10)
    v = torch.cos(torch.arange(len(start), dtype=torch.float64))
    assert torch.allclose(found.product(v), expected @ v, atol=1e-10)
    assert problem.counts["hvps"] == len(start) + 1


@pytest.mark.parametrize("p", [3, 64, 65, 200, 301])
def test_a_gram_matrix_by_blocks_is_the_whole_product(p):
    A = torch.randn(50, p, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(gram(A), A.T @ A, rtol=1e-12, atol=1e-12)


def test_with_fewer_examples_than_parameters_the_steps_are_those_of_the_large_system():
    """By a system of order n, against numpy's solution of the one of order p."""
    smooth = model(12, 40)
    found = run(Newton(), smooth, torch.zeros(40, dtype=torch.float64), most=4)
    linear, w = smooth.model, torch.zeros(40, dtype=torch.float64)
    X = linear.X.matrix
    for iterate in found:
        z = X @ w
        D = linear.scale * linear.loss.curvature(z, linear.y)
        H = X.T @ (D[:, None] * X) + linear.l2 * torch.eye(40, dtype=torch.float64)
        w = w - iterate.step * torch.from_numpy(np.linalg.solve(H.numpy(), smooth.value_and_gradient(w)[1].numpy()))
        assert torch.allclose(iterate.w, w, atol=1e-10)


def test_convergence_is_quadratic():
    """From ten digits on there are all: each gradient is at most a multiple of the square of the one before."""
    smooth = Function(rosenbrock, 2)
    norms = [np.linalg.norm(rosen_der(i.w.numpy())) for i in run(Newton(), smooth, vector(-1.2, 1))]
    tail = [(a, b) for a, b in itertools.pairwise(norms) if 1e-7 < a < 1.0]
    assert tail
    assert all(b <= 1e3 * a * a for a, b in tail)


@pytest.mark.parametrize("start", [vector(0, 0, 0), vector(1, 0, 0)], ids=["on the saddle", "on the way into it"])
def test_a_saddle_is_left_along_negative_curvature(start):
    found = run(Newton(), Function(lambda w: w[0] ** 2 - w[1] ** 2 + w[1] ** 4 + 0.5 * (w[2] - w[1]) ** 2, 3), start)
    assert found[-1].value == pytest.approx(-0.25, abs=1e-12)


def test_a_flat_minimum_is_no_saddle():
    """A zero eigenvalue is not a negative one: nothing lower is looked for."""
    problem = Composite(Function(lambda w: (w[0] - w[1]) ** 2, 2))
    assert list(Newton().solve(problem, vector(1, 1))) == []
    assert problem.counts["evaluations"] < 5


def test_dependent_columns_are_no_obstacle():
    """Rank 3 of 6 and no ridge: the value is that of numpy's least squares."""
    rng = np.random.default_rng(1)
    X, y = rng.standard_normal((20, 3)) @ rng.standard_normal((3, 6)), rng.standard_normal(20)
    smooth = LinearModelTerm(LinearModel(MatrixOperator(torch.from_numpy(X)), torch.from_numpy(y), SquaredError(), 1.0))
    last = run(Newton(), smooth, torch.zeros(6, dtype=torch.float64))[-1]
    best = np.linalg.lstsq(X, y, rcond=None)[0]
    assert last.value == pytest.approx(0.5 * np.sum((X @ best - y) ** 2), rel=1e-12)
    assert float(last.w.norm()) < 10 * np.linalg.norm(best)  # and rounding has not been amplified where X is blind


def test_one_iteration_of_a_linear_model_costs_two_products_and_a_factorisation():
    problem = Composite(model(30, 6))
    found = list(itertools.islice(Newton().solve(problem, torch.zeros(6, dtype=torch.float64)), 4))
    assert problem.counts["products"] == 2 + 2 * len(found)
    assert problem.counts["factorizations"] == len(found)


@pytest.mark.parametrize("d", [2, 20])
def test_truncated_steps_take_about_as_many_products_as_a_reference(d):
    start = np.ones(d)
    start[::2] = -1.2
    reference = minimize(rosen, start, jac=rosen_der, hess=rosen_hess, method="Newton-CG", options={"xtol": 1e-10})
    problem = Composite(Function(rosenbrock, d))
    for iterate in NewtonCG().solve(problem, torch.from_numpy(start)):
        if np.linalg.norm(rosen_der(iterate.w.numpy())) <= 1e-8:
            break
    assert np.linalg.norm(rosen_der(iterate.w.numpy())) <= 1e-8
    assert problem.counts["evaluations"] <= 1.5 * reference.nfev
    assert problem.counts["hvps"] <= 1.5 * d * reference.nhev


def test_truncated_systems_are_solved_no_better_than_their_step_deserves():
    """Far from the answer half the gradient may be left; then the systems get as exact as the gradient is small."""
    H = torch.logspace(0, 3, 60, dtype=torch.float64)
    problem = Composite(Function(lambda w: 0.5 * (H * (w - 1) ** 2).sum(), 60))
    products, solver = [], NewtonCG().solve(problem, torch.zeros(60, dtype=torch.float64))
    for _ in itertools.islice(solver, 5):
        products.append(problem.counts["hvps"] - sum(products))
    assert products[0] <= 5
    assert products[-1] > 3 * products[0]


def test_truncated_steps_leave_a_saddle_they_do_not_start_on():
    smooth = Function(lambda w: w[0] ** 2 - w[1] ** 2 + w[1] ** 4, 2)
    last = run(NewtonCG(), smooth, vector(1.0, 1e-10))[-1]
    assert last.value == pytest.approx(-0.25, abs=1e-12)


def test_a_concave_start_goes_down():
    """Where the first direction curves downwards, its length comes from the curvature and the search."""
    last = run(NewtonCG(), Function(lambda w: torch.cos(w[0]) + 1e-3 * w[0] ** 2, 1), vector(0.1))[-1]
    oracle = minimize(lambda w: np.cos(w[0]) + 1e-3 * w[0] ** 2, [3.0], tol=1e-12)
    assert last.value == pytest.approx(oracle.fun, abs=1e-10)
