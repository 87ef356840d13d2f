"""The simplex method: the examples of the literature, and what it must not need."""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from torch import Tensor

from optwise.core.composite import Composite
from optwise.core.oracles import Oracle
from optwise.core.smooth import Smooth
from optwise.methods.solvers.nelder_mead import NelderMead


@dataclass(frozen=True, eq=False)
class Values(Smooth):
    """A function that refuses to be differentiated."""

    function: Callable[[Tensor], Tensor]
    length: int

    @property
    def dimension(self) -> int:
        return self.length

    def value(self, w):
        return self.function(w)

    def value_and_gradient(self, w):
        raise AssertionError("asked for a gradient")

    def hvp(self, w, v):
        raise AssertionError("asked for a Hessian")


def vector(*entries: float) -> Tensor:
    return torch.tensor(entries, dtype=torch.float64)


def run(function, start, *, most=20_000, solver=None) -> tuple[list, Composite]:
    problem = Composite(Values(function, len(start)))
    return list(itertools.islice((solver or NelderMead()).solve(problem, start), most)), problem


def rosenbrock(w):
    return (100 * (w[1:] - w[:-1] ** 2) ** 2 + (1 - w[:-1]) ** 2).sum()


def mckinnon(w):
    """Strictly convex; the classical simplex contracts to (0, 0), where the gradient is (0, 1)."""
    x, y = w
    return torch.where(x <= 0, 360 * x**2, 6 * x**2) + y + y**2


def powell(w):
    a, b, c, d = w
    return (a + 10 * b) ** 2 + 5 * (c - d) ** 2 + (b - 2 * c) ** 4 + 10 * (a - d) ** 4


CASES = {
    "rosenbrock": (rosenbrock, vector(-1.2, 1.0), 0.0),
    "rosenbrock 5": (rosenbrock, vector(-1.2, 1.0, -1.2, 1.0, -1.2), 0.0),
    "powell": (powell, vector(3.0, -1.0, 0.0, 1.0), 0.0),
    "mckinnon": (mckinnon, vector(1.0, 1.0), -0.25),
    "sum of absolute values": (lambda w: (w - torch.arange(4.0).to(w)).abs().sum(), torch.zeros(4).double() + 7, 0.0),
    "ten dimensions": (lambda w: ((w - 1) ** 2 * torch.arange(1, 11).to(w)).sum() + 5, torch.zeros(10).double(), 5.0),
    "one dimension": (lambda w: torch.cosh(w[0] - 3), vector(0.0), 1.0),
}


@pytest.mark.parametrize("name", CASES)
def test_minima_of_the_literature_are_found_from_values_alone(name):
    function, start, optimum = CASES[name]
    found, problem = run(function, start)
    assert len(found) < 20_000  # it ends by itself
    if (name, optimum) == ("rosenbrock 5", 0.0) and found[-1].value > 1.0:
        assert found[-1].value == pytest.approx(3.930839, abs=1e-5)  # the other minimum, from d = 4 on
    else:
        assert found[-1].value == pytest.approx(optimum, abs=1e-8)
    assert problem.counts["gradients"] == problem.counts["hvps"] == 0


def test_a_collapsed_simplex_is_set_up_anew():
    """From the simplex of McKinnon's article the classical method ends at 0; a reference shows that."""
    shape = np.array([[0.0, 0.0], [1.0, 1.0], [(1 + math.sqrt(33)) / 8, (1 - math.sqrt(33)) / 8]])

    def value(w):
        return float(mckinnon(torch.from_numpy(w)))

    options = {"initial_simplex": shape, "xatol": 1e-12, "fatol": 1e-15, "maxiter": 2000}
    classical = minimize(value, shape[0], method="Nelder-Mead", options=options)
    assert classical.fun > -1e-6
    found, _ = run(mckinnon, vector(0.0, 0.0))
    assert found[-1].value == pytest.approx(-0.25, abs=1e-9)


def test_about_as_many_values_as_the_reference_with_the_same_coefficients():
    """To the same value, in eight dimensions; simplices differ, so half more is chance."""
    H = torch.logspace(0, 2, 8, dtype=torch.float64)

    def function(w):
        return (H * (w - 1) ** 2).sum()

    start = torch.zeros(8, dtype=torch.float64)
    trace = []

    def value(w):
        trace.append(float(function(torch.from_numpy(w))))
        return trace[-1]

    options = {"adaptive": True, "maxfev": 20_000, "fatol": 1e-10, "xatol": 1e-10}
    minimize(value, start.numpy(), method="Nelder-Mead", options=options)
    reference = next(k for k, v in enumerate(trace, start=1) if v < 1e-6)
    problem = Composite(Values(function, 8))
    for iterate in NelderMead().solve(problem, start):
        if iterate.value < 1e-6:
            break
    assert problem.counts["evaluations"] <= 1.5 * reference


def test_values_that_are_not_finite_count_as_infinite():
    def function(w):
        return torch.where(w[0] > 0.5, torch.nan, torch.where(w[1] < -1, torch.inf, (w[0] - 0.4) ** 2 + w[1] ** 2))

    found, _ = run(function, vector(0.49, -0.99))
    assert all(math.isfinite(iterate.value) for iterate in found)
    assert found[-1].value == pytest.approx(0.0, abs=1e-12)


def test_a_start_without_a_value_is_left_for_a_vertex_that_has_one():
    found, _ = run(lambda w: torch.where(w[0] < 0.05, torch.nan, (w[0] - 2) ** 2), vector(0.0))
    assert float(found[-1].w[0]) == pytest.approx(2.0, abs=1e-6)


def test_it_says_nothing_about_how_far_away_the_answer_is():
    found, _ = run(rosenbrock, vector(-1.2, 1.0), most=50)
    assert all(math.isnan(iterate.measure) for iterate in found)
    assert NelderMead.needs == {Oracle.VALUE, Oracle.WHOLE}


def test_the_first_simplex_is_as_large_as_it_is_told():
    asked = []

    def function(w):
        asked.append(w.clone())
        return w.square().sum()

    run(function, vector(10.0, 0.5), most=1, solver=NelderMead(size=0.2))
    assert torch.equal(torch.stack(asked[:3]), torch.stack([vector(10, 0.5), vector(12, 0.5), vector(10, 0.7)]))


def test_single_precision_ends_too():
    found, _ = run(rosenbrock, torch.tensor([-1.2, 1.0]), most=5000)
    assert len(found) < 5000
    assert found[-1].w.dtype == torch.float32
    assert torch.allclose(found[-1].w, torch.ones(2), atol=1e-2)
