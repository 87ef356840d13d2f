"""The taut string against bounded least squares on its dual, optimality conditions, and signals one can do by hand."""

import numpy as np
import pytest
import scipy.optimize
import torch

from optwise.core.composite import Composite
from optwise.core.operator import LinearOperator
from optwise.core.penalty import Penalty
from optwise.methods.solvers.taut_string import TautString
from optwise.problems.terms.functions import QuadraticTerm, SquaredDistance
from optwise.problems.terms.operators import FirstDifference
from optwise.problems.terms.penalties import L1, HingeSum, LInf, WeightedL1


class JumpCosts(Penalty):
    """Jumps that cost l downwards and h upwards: the sum of max(l z, h z)."""

    def __init__(self, low, high):
        self.low, self.high = low, high

    def value(self, z):
        return torch.maximum(self.low * z, self.high * z).sum(-1)

    def prox(self, v, step):
        return v - torch.minimum(torch.maximum(v, step * self.low), step * self.high)


class Weighted(LinearOperator):
    """Differences times 1, 2, 1, 2, ...: neighbours, but no plain differences."""

    def __init__(self, size):
        self.size, self.weights = size, 1.0 + torch.arange(size - 1) % 2

    @property
    def shape(self):
        return self.size - 1, self.size

    def forward(self, w):
        return self.weights * (w[..., 1:] - w[..., :-1])

    def adjoint(self, v):
        return FirstDifference(self.size).adjoint(self.weights * v)

    @property
    def gram_bands(self):
        return 2 * self.weights**2, -self.weights[1:] * self.weights[:-1]


def solved(problem, n, dtype=torch.float64):
    (found,) = TautString().solve(problem, torch.zeros(n, dtype=dtype))
    return found


def noise(n, seed):
    return np.random.default_rng(seed).normal(size=n)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("weight", [0.01, 0.3, 1.0, 20.0])
def test_it_is_the_answer_of_bounded_least_squares_on_the_dual(weight, seed):
    y = noise(40, seed)
    D = np.diff(np.eye(40), axis=0)
    u = scipy.optimize.lsq_linear(D.T, y, (-weight, weight), method="bvls", tol=1e-15, max_iter=10_000).x
    found = solved(Composite(SquaredDistance(torch.tensor(y)), L1(weight), FirstDifference(40)), 40)
    assert np.allclose(found.w, y - D.T @ u, atol=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_it_meets_the_optimality_conditions_with_weights_and_costs_of_all_kinds(seed):
    rng, n = np.random.default_rng(seed), 300
    y, e = rng.normal(size=n), rng.uniform(0.2, 3.0, n)
    low, high = -rng.uniform(0.0, 2.0, n - 1), rng.uniform(0.0, 2.0, n - 1)
    f = QuadraticTerm(torch.diag(torch.tensor(e)), -torch.tensor(e * y))
    found = solved(Composite(f, JumpCosts(torch.tensor(low), torch.tensor(high)), FirstDifference(n)), n)
    w = found.w.numpy()
    u = np.cumsum(e * (w - y))  # what the gradient of the quadratic asks for
    assert abs(u[-1]) < 1e-12 * n
    assert np.allclose(u[:-1], found.dual, atol=1e-12)
    jumps = np.diff(w)
    assert np.all(u[:-1] >= low - 1e-12)
    assert np.all(u[:-1] <= high + 1e-12)
    assert np.allclose(u[:-1][jumps > 1e-10], high[jumps > 1e-10], atol=1e-12)
    assert np.allclose(u[:-1][jumps < -1e-10], low[jumps < -1e-10], atol=1e-12)


def test_a_step_is_drawn_in_by_the_weight_over_its_length():
    y = torch.tensor([0.0] * 3 + [9.0] * 6, dtype=torch.float64)
    found = solved(Composite(SquaredDistance(y), L1(1.5), FirstDifference(9)), 9)
    assert torch.allclose(found.w, torch.tensor([0.5] * 3 + [8.75] * 6, dtype=torch.float64), atol=1e-14)


def test_with_jumps_downwards_forbidden_it_is_the_isotonic_regression():
    """A cost that no gain can pay for leaves the pool of adjacent violators."""
    y = noise(50, 3) + np.linspace(0, 2, 50)
    expensive = 1e6
    penalty = JumpCosts(torch.full((49,), -expensive).double(), torch.zeros(49).double())
    found = solved(Composite(SquaredDistance(torch.tensor(y)), penalty, FirstDifference(50)), 50)
    exact = scipy.optimize.isotonic_regression(y).x
    assert np.allclose(found.w, exact, atol=1e-8)  # 1e-16 times the cost of a jump, over what a sum of y is


def test_pieces_are_constant_exactly():
    y = noise(200, 0)
    found = solved(Composite(SquaredDistance(torch.tensor(y)), L1(1.0), FirstDifference(200)), 200)
    assert 2 <= torch.unique(found.w).numel() <= 80


@pytest.mark.parametrize("weight", [1e3, 1e9])
def test_a_heavy_weight_leaves_the_mean(weight):
    y = noise(30, 1)
    found = solved(Composite(SquaredDistance(torch.tensor(y)), L1(weight), FirstDifference(30)), 30)
    assert np.allclose(found.w, y.mean(), atol=1e-14)


def test_a_level_far_from_zero_costs_no_digits():
    y = noise(100, 2)
    near, far = (
        solved(Composite(SquaredDistance(torch.tensor(y + shift)), L1(0.5), FirstDifference(100)), 100).w.numpy()
        - shift
        for shift in (0.0, 1e6)
    )
    assert np.allclose(near, far, atol=1e-8)  # 1e6 has an ulp of 1e-10, and sums of a hundred of them are taken


def test_the_measure_is_the_gap_and_next_to_nothing():
    y = noise(1000, 4)
    found = solved(Composite(SquaredDistance(torch.tensor(y)), L1(2.0), FirstDifference(1000)), 1000)
    D = np.diff(np.eye(1000), axis=0)
    dual = 0.5 * y @ y - 0.5 * np.sum((y - D.T @ found.dual.numpy()) ** 2)
    assert found.value - dual <= 1e-11 * found.value
    assert found.measure <= 1e-11


def test_two_numbers_are_enough():
    found = solved(Composite(SquaredDistance(torch.tensor([0.0, 4.0]).double()), L1(1.0), FirstDifference(2)), 2)
    assert found.w.tolist() == [1.0, 3.0]


def test_float32_stays_float32():
    y = torch.tensor(noise(60, 0), dtype=torch.float32)
    problem = Composite(SquaredDistance(y), L1(0.5), FirstDifference(60, dtype=torch.float32))
    exact = solved(Composite(SquaredDistance(y.double()), L1(0.5), FirstDifference(60)), 60)
    found = solved(problem, 60, torch.float32)
    assert found.w.dtype == torch.float32
    assert torch.allclose(found.w.double(), exact.w, atol=1e-6)


@pytest.mark.parametrize(
    ("problem", "reason"),
    [
        (Composite(SquaredDistance(torch.zeros(5)), L1(1.0), Weighted(5)), "does not take the differences"),
        (
            Composite(QuadraticTerm(torch.eye(3) + 1.0, torch.zeros(3)), L1(1.0), FirstDifference(3)),
            "no positive diagonal",
        ),
        (Composite(SquaredDistance(torch.zeros(3)), LInf(1.0), FirstDifference(3)), "LInf, which is not linear"),
        (
            Composite(SquaredDistance(torch.zeros(3)), HingeSum(1.0), FirstDifference(3)),
            "HingeSum, which is not linear",
        ),
    ],
)
def test_what_it_cannot_solve_is_refused_with_the_reason(problem, reason):
    assert reason in TautString().refusal(problem)


def test_weights_of_each_jump_are_accepted():
    problem = Composite(SquaredDistance(torch.zeros(3)), WeightedL1(torch.tensor([1.0, 0.0])), FirstDifference(3))
    assert TautString().refusal(problem) == ""
