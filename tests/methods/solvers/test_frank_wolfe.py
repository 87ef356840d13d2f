"""Frank-Wolfe: a gap that bounds the error, linear rates with steps away from corners, exact zeros."""

import math

import numpy as np
import pytest
import torch

from optwise.core.composite import Composite
from optwise.core.errors import BadMethod
from optwise.core.loss import LinearModel
from optwise.core.smooth import Smooth
from optwise.methods.solvers.frank_wolfe import FrankWolfe
from optwise.problems.terms.functions import QuadraticTerm, SquaredDistance
from optwise.problems.terms.linear_models import LinearModelTerm
from optwise.problems.terms.operators import MatrixOperator
from optwise.problems.terms.predictions import LogisticLoss
from optwise.problems.terms.sets import Box, L1Ball, L2Ball, Simplex

MOST = 3000
DIRECTIONS = ["pairwise", "away", "plain"]


def run(problem, w, direction="pairwise", most=MOST):
    found = []
    for iterate in FrankWolfe(direction=direction).solve(problem, w):
        found.append(iterate)
        if len(found) == most:
            break
    return found


def portfolio(n, *, seed=0, tilt=0.1, dtype=torch.float64):
    """A quadratic on the simplex; the smaller the tilt, the larger the face that its answer lies on."""
    rng = np.random.default_rng(seed)
    factors = rng.normal(size=(n, 4)) * 0.3
    H = factors @ factors.T + np.diag(rng.uniform(0.05, 0.2, n))
    b = -tilt * rng.normal(size=n)
    f = QuadraticTerm(torch.tensor(H, dtype=dtype), torch.tensor(b, dtype=dtype))
    return Composite(f, None, None, Simplex()), torch.full((n,), 1 / n, dtype=dtype), H, b


def logistic(n, p, constraint, *, dtype=torch.float64):
    rng = np.random.default_rng(1)
    X = rng.normal(size=(n, p))
    y = np.sign(X @ rng.normal(size=p) + rng.normal(size=n))
    linear = LinearModel(
        MatrixOperator(torch.tensor(X, dtype=dtype)), torch.tensor(y, dtype=dtype), LogisticLoss(), scale=1 / n
    )
    return Composite(LinearModelTerm(linear), None, None, constraint), torch.zeros(p, dtype=dtype)


def minimum_on_simplex(H, b):
    """The answer by trying all faces, each a linear system."""
    n, best = len(b), (math.inf, None)
    for mask in range(1, 2**n):
        face = [i for i in range(n) if mask >> i & 1]
        k = len(face)
        system = np.block([[H[np.ix_(face, face)], np.ones((k, 1))], [np.ones((1, k)), np.zeros((1, 1))]])
        x = np.linalg.solve(system, np.concatenate([-b[face], [1.0]]))[:k]
        w = np.zeros(n)
        w[face] = x
        value = 0.5 * w @ H @ w + b @ w
        if x.min() >= 0 and value < best[0]:
            best = (value, w)
    return best


@pytest.mark.parametrize("direction", ["pairwise", "away"])
def test_a_quadratic_on_the_simplex_ends_at_the_best_of_all_faces(direction):
    problem, w, H, b = portfolio(8)
    value, answer = minimum_on_simplex(H, b)
    found = run(problem, w, direction)
    assert found[-1].value == pytest.approx(value, rel=1e-13)
    assert np.allclose(found[-1].w, answer, atol=1e-12)
    assert ((found[-1].w != 0).numpy() == (answer != 0)).all()  # corners that were dropped leave exact zeros
    assert len(found) < MOST


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_the_gap_bounds_the_error_at_every_iterate(direction):
    problem, w, H, b = portfolio(8, seed=2)
    best, _ = minimum_on_simplex(H, b)
    for iterate in run(problem, w, direction, most=200):
        gap = iterate.measure * abs(iterate.value)
        assert iterate.value - best <= gap + 1e-15


def test_steps_away_from_corners_are_linear_where_plain_ones_fall_as_one_over_k():
    problem, w, _, _ = portfolio(20, tilt=0.03)
    gaps = {d: [i.measure for i in run(problem, w, d, most=400)] for d in DIRECTIONS}
    assert min(gaps["pairwise"]) < 1e-14
    assert min(gaps["away"]) < 1e-14
    # O(1/k) and no faster: from 50 to 400 iterations, k times the smallest gap so far stays where it is
    scaled = [k * min(gaps["plain"][:k]) for k in (50, 100, 200, 400)]
    assert max(scaled) < 1.2 * min(scaled)


@pytest.mark.parametrize("constraint", [L1Ball(0.5), Simplex(1.0), L2Ball(0.5)], ids=lambda c: type(c).__name__)
def test_a_function_that_is_no_quadratic_ends_where_no_corner_is_better(constraint):
    problem, w = logistic(80, 10, constraint)
    found = run(problem, w)
    _, gradient = problem.smooth.value_and_gradient(found[-1].w)
    # optimality: the support function of the set is attained along minus the gradient
    assert float(gradient @ found[-1].w + constraint.support(-gradient)) <= 1e-9
    assert constraint.contains(found[-1].w, 1e-12)


def test_a_box_has_corners_too():
    y = torch.tensor([2.0, 0.3, -4.0, 0.0], dtype=torch.float64)
    box = Box(torch.full((4,), -1.0).double(), torch.full((4,), 1.0).double())
    found = run(Composite(SquaredDistance(y), None, None, box), torch.zeros(4).double())
    assert torch.allclose(found[-1].w, y.clamp(-1, 1), atol=1e-12)


def test_steps_into_a_region_without_values_are_cut_short():
    class Entropic(Smooth):
        dimension, convex = 3, True

        def value(self, w):
            return (w - torch.tensor([0.2, 0.3, 0.5]).double() * (w - 0.05).log()).sum()  # not finite up to 0.05

    start = torch.tensor([0.1, 0.8, 0.1], dtype=torch.float64)
    found = run(Composite(Entropic(), None, None, Simplex()), start)
    assert all(math.isfinite(iterate.value) for iterate in found)
    # the ratios (w - 0.05) : (0.2, 0.3, 0.5), which are equal at the answer
    expected = 0.05 + 0.85 * torch.tensor([0.2, 0.3, 0.5], dtype=torch.float64)
    assert torch.allclose(found[-1].w, expected, atol=1e-5)


def test_it_returns_at_once_from_the_answer():
    y = torch.tensor([0.25, 0.75], dtype=torch.float64)
    assert run(Composite(SquaredDistance(y), None, None, Simplex()), y) == []


def test_one_dimension_is_enough():
    box = Box(torch.tensor([-1.0]).double(), torch.tensor([2.0]).double())
    found = run(Composite(SquaredDistance(torch.tensor([5.0]).double()), None, None, box), torch.zeros(1).double())
    assert found[-1].w.item() == 2.0


def test_float32_stays_float32_and_gets_as_far_as_its_digits():
    problem, w, H, b = portfolio(8, dtype=torch.float32)
    found = run(problem, w)
    assert found[-1].w.dtype == torch.float32
    assert np.allclose(found[-1].w, minimum_on_simplex(H, b)[1], atol=1e-5)
    assert len(found) < MOST


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_it_does_the_same_twice(direction):
    problem, w = logistic(40, 6, L1Ball(0.5))
    first, second = (run(problem, w, direction, most=50) for _ in range(2))
    assert all(torch.equal(a.w, b.w) for a, b in zip(first, second, strict=True))


def test_a_quadratic_pays_one_product_with_the_hessian_an_iteration_and_no_gradient():
    problem, w, _, _ = portfolio(20, tilt=0.03)
    found = run(problem, w, most=30)
    assert problem.counts["hvps"] == len(found) == 30
    assert problem.counts["gradients"] == 1
    assert problem.counts["projections"] == 1


def test_another_direction_is_refused():
    with pytest.raises(BadMethod, match=r"is 'sideways'; choose one of 'pairwise', 'away', 'plain'"):
        FrankWolfe(direction="sideways")
