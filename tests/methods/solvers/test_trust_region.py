"""The trust region: how the radius moves, where steps lead, and what rounding does to the ratio."""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from scipy.optimize import minimize, rosen, rosen_der, rosen_hess
from torch import Tensor

from optwise.core.composite import Composite
from optwise.core.smooth import Smooth
from optwise.methods.solvers.trust_region import TrustRegion


@dataclass(frozen=True, eq=False)
class Function(Smooth):
    function: Callable[[Tensor], Tensor]
    length: int

    @property
    def dimension(self) -> int:
        return self.length

    def value(self, w):
        return self.function(w)


def run(function, start, *, most=500, solver=None) -> list:
    problem = Composite(Function(function, len(start)))
    return list(itertools.islice((solver or TrustRegion()).solve(problem, start), most))


def vector(*entries: float) -> Tensor:
    return torch.tensor(entries, dtype=torch.float64)


def rosenbrock(w):
    return (100 * (w[1:] - w[:-1] ** 2) ** 2 + (1 - w[:-1]) ** 2).sum()


def test_the_first_radius_is_the_length_of_the_best_step_along_the_gradient():
    """On a quadratic that step is g (g, g) / (g, H g); the first step leads to the boundary or ends inside."""
    H, start = torch.linspace(1.0, 10.0, 70, dtype=torch.float64), torch.ones(70, dtype=torch.float64)
    g = H * start
    expected = float(g.norm() * (g @ g) / (g @ (H * g)))
    first = run(lambda w: 0.5 * (H * w * w).sum(), start, most=1)[0]
    assert first.step == pytest.approx(2 * expected)  # the model is exact, the step on the boundary: it doubles
    assert float((first.w - start).norm()) == pytest.approx(expected)


def test_a_small_problem_measures_each_coordinate_by_its_own_curvature():
    """Then a quadratic along the axes is round, and the first step ends at its minimum, whatever the units."""
    for unit in (1e-8, 1.0, 1e8):
        H = vector(1.0, 10.0 * unit**2)
        first = run(lambda w, H=H: 0.5 * (H * w * w).sum(), vector(1.0, 1.0 / unit), most=1)[0]
        assert float(first.value) == pytest.approx(0.0, abs=1e-15)


def test_a_good_step_on_the_boundary_doubles_the_radius_until_newton_steps_fit():
    H = vector(1.0, 4.0)
    found = run(lambda w: 0.5 * (H * (w - 100) ** 2).sum(), vector(0.0, 0.0), solver=TrustRegion(radius=1.0))
    radii = [iterate.step for iterate in found]
    assert radii[:6] == [2.0, 4.0, 8.0, 16.0, 32.0, 64.0]
    assert torch.allclose(found[-1].w, vector(100.0, 100.0))
    assert len(found) <= 12


def test_a_step_that_does_not_deliver_shrinks_the_radius_to_a_quarter_and_is_not_taken():
    """The model at 0 of sqrt(1 + w^2) - w / 2 is a parabola that misses the function far away."""
    found = run(lambda w: (w[0] ** 2) ** 2 - w[0] - 4 * w[0] ** 2, vector(0.1), solver=TrustRegion(radius=100.0))
    assert found[0].step == pytest.approx(25.0)
    assert torch.equal(found[0].w, vector(0.1))
    assert found[1].step == pytest.approx(6.25)
    assert found[-1].value < -4.0


def test_beyond_a_wall_the_step_is_refused():
    """Log of a negative number: no value, no step, a quarter of the radius."""
    found = run(lambda w: w[0] - torch.log(w[0]), vector(3.0), solver=TrustRegion(radius=50.0))
    assert all(math.isfinite(iterate.value) and float(iterate.w[0]) > 0 for iterate in found)
    assert float(found[-1].w[0]) == pytest.approx(1.0, abs=1e-9)


@pytest.mark.parametrize("d", [2, 6, 20])
def test_valleys_take_about_as_many_gradients_as_a_reference_with_the_same_method(d):
    start = np.ones(d)
    start[::2] = -1.2
    reference = minimize(
        rosen, start, jac=rosen_der, hess=rosen_hess, method="trust-ncg", options={"gtol": 1e-8, "maxiter": 1000}
    )
    problem = Composite(Function(rosenbrock, d))
    for iterate in TrustRegion().solve(problem, torch.from_numpy(start)):
        if np.linalg.norm(rosen_der(iterate.w.numpy())) <= 1e-8:
            break
    assert np.linalg.norm(rosen_der(iterate.w.numpy())) <= 1e-8
    assert np.linalg.eigvalsh(rosen_hess(iterate.w.numpy())).min() > 0
    assert problem.counts["evaluations"] <= 1.5 * reference.nfev + 10


def test_convergence_is_superlinear():
    """Digits double in the end: a step that starts from a small gradient takes more than four digits off it."""
    norms = [float(Function(rosenbrock, 2).value_and_gradient(i.w)[1].norm()) for i in run(rosenbrock, vector(-1.2, 1))]
    assert min(later / earlier for earlier, later in itertools.pairwise(norms) if earlier > 1e-7) < 1e-4


def test_negative_curvature_leads_away_from_a_saddle():
    found = run(lambda w: w[0] ** 2 - w[1] ** 2 + w[1] ** 4, vector(1.0, 1e-8))
    assert found[-1].value == pytest.approx(-0.25, abs=1e-12)
    assert len(found) < 40


def test_at_a_stationary_start_there_is_nothing_to_say():
    assert run(lambda w: w[0] ** 2 - w[1] ** 2, vector(0.0, 0.0)) == []


@pytest.mark.parametrize("offset", [0.0, 1.0, 1e6])
def test_rounding_of_values_does_not_keep_the_gradient_from_vanishing(offset):
    """With an offset of 1e6 a decrease below 1e-10 is invisible; the plain ratio would refuse the last steps."""

    def function(w):
        return offset + (w[0] - 1) ** 2 + torch.cosh(0.5 * w[1]) + 3 * (w[0] - w[1]) ** 2

    last = run(function, vector(3.0, -2.0))[-1]
    _, gradient = Function(function, 2).value_and_gradient(last.w)
    assert float(gradient.norm()) < 1e-12


def test_an_ill_conditioned_quadratic_is_solved_and_left():
    H = torch.logspace(0, 6, 12, dtype=torch.float64)
    found = run(lambda w: 0.5 * (H * (w - 1) ** 2).sum() + 7.0, torch.zeros(12, dtype=torch.float64), most=300)
    assert len(found) < 300
    assert torch.allclose(found[-1].w, torch.ones(12, dtype=torch.float64), atol=1e-10)


def test_single_precision_ends_where_single_precision_ends():
    found = run(rosenbrock, torch.tensor([-1.2, 1.0]), most=300)
    assert len(found) < 300
    assert found[-1].w.dtype == torch.float32
    assert torch.allclose(found[-1].w, torch.ones(2), atol=1e-3)
