"""Sums of squares: the published minima of Moré, Garbow and Hillstrom, and what happens where Jacobians fail."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.optimize import least_squares

import optwise as ow
from optwise.core.composite import Composite, start_row
from optwise.methods.solvers.nonlinear_least_squares import GaussNewton, LevenbergMarquardt
from optwise.problems.classics import CLASSICS, more_garbow_hillstrom


def iterates(solver, problem, *, measure=1e-9, most=2000):
    """The iterates of a solver until its own measure is met, or it gives up."""
    found = []
    composite = Composite.of(problem)
    for iterate in solver.solve(composite, start_row(problem)):
        found.append(iterate)
        if iterate.measure <= measure or len(found) == most:
            break
    return found, composite


@pytest.mark.parametrize("name", CLASSICS)
def test_levenberg_marquardt_finds_a_published_minimum_of_each_classic(name):
    found, _ = iterates(LevenbergMarquardt(), more_garbow_hillstrom(name))
    square, start = 2 * found[-1].value, 2 * Composite.of(more_garbow_hillstrom(name)).start_value
    # minima are published to six digits, half a unit of which is 5e-6 at most; 0 is reached to 1e-10 of the start
    assert any(square == pytest.approx(minimum, rel=5e-6, abs=1e-10 * start) for minimum in CLASSICS[name].minima)


@pytest.mark.parametrize("name", CLASSICS)
def test_residuals_of_the_classics_have_their_standard_sizes(name):
    classic = CLASSICS[name]
    residuals = {"rosenbrock": 2, "bard": 15, "meyer": 16, "osborne-1": 33, "osborne-2": 65, "watson": 31}
    r = classic.residual(torch.tensor(classic.start, dtype=torch.float64))
    assert r.numel() == residuals.get(name, r.numel())
    assert bool(torch.isfinite(r).all())


@pytest.mark.parametrize("name", ["rosenbrock", "beale", "helical-valley", "bard", "kowalik-osborne", "osborne-2"])
@pytest.mark.parametrize("solver", [LevenbergMarquardt(), GaussNewton()])
def test_both_end_where_scipy_ends(name, solver):
    problem, classic = more_garbow_hillstrom(name), CLASSICS[name]
    found, _ = iterates(solver, problem)
    theirs = least_squares(
        lambda w: classic.residual(torch.tensor(w)).numpy(), classic.start, method="lm", xtol=1e-15, ftol=1e-15
    )
    # squared residuals agree to the square root of the stopping rule's relative accuracy at least
    assert found[-1].value == pytest.approx(theirs.cost, rel=1e-7, abs=1e-14)


def test_values_never_rise():
    for solver in (LevenbergMarquardt(), GaussNewton()):
        found, _ = iterates(solver, more_garbow_hillstrom("wood"))
        values = [iterate.value for iterate in found]
        assert values == sorted(values, reverse=True)


def test_residuals_of_zero_are_approached_quadratically():
    found, _ = iterates(LevenbergMarquardt(), more_garbow_hillstrom("beale"), measure=1e-28)
    errors = [float((iterate.w - torch.tensor([3.0, 0.5])).norm()) for iterate in found]
    small = [(a, b) for a, b in pairwise(errors) if 1e-6 < a < 0.1]
    assert small
    assert all(b <= 10 * a**2 for a, b in small)


def test_units_of_the_parameters_do_not_matter_to_levenberg_marquardt():
    """D scales columns, so stretching a coordinate changes no step but by that factor."""
    units = torch.tensor([1.0, 2.0**20], dtype=torch.float64)
    plain = ow.problems.nonlinear_least_squares(CLASSICS["beale"].residual, [1.0, 1.0])
    stretched = ow.problems.nonlinear_least_squares(
        lambda w: CLASSICS["beale"].residual(w / units), (torch.ones(2, dtype=torch.float64) * units)
    )
    first, _ = iterates(LevenbergMarquardt(), plain)
    second, _ = iterates(LevenbergMarquardt(), stretched)
    assert len(first) == len(second)
    assert torch.allclose(first[-1].w, second[-1].w / units, rtol=1e-12, atol=0)


def test_a_wall_of_nan_shortens_the_step_and_never_enters_the_state():
    problem = ow.problems.nonlinear_least_squares(lambda w: torch.log(w) - 3.0, np.array([1.0]))
    for solver in (LevenbergMarquardt(), GaussNewton()):
        found, _ = iterates(solver, problem, measure=1e-20)
        assert all(torch.isfinite(iterate.w).all() for iterate in found)
        assert float(found[-1].w) == pytest.approx(np.exp(3.0), rel=1e-10)


def test_columns_that_depend_on_each_other_are_no_obstacle():
    problem = ow.problems.nonlinear_least_squares(
        lambda w: torch.stack([w[0] + w[1] - 1, (w[0] + w[1]) ** 2 - 1]), np.zeros(2)
    )
    found, _ = iterates(LevenbergMarquardt(), problem)
    assert found[-1].value <= 1e-16
    assert float(found[-1].w[0]) == pytest.approx(float(found[-1].w[1]))  # the shortest way there


def test_a_start_at_the_answer_ends_at_once():
    problem = ow.problems.nonlinear_least_squares(CLASSICS["beale"].residual, [3.0, 0.5])
    for solver in (LevenbergMarquardt(), GaussNewton()):
        found, _ = iterates(solver, problem)
        assert len(found) <= 1


def test_float32_stays_float32():
    problem = ow.problems.nonlinear_least_squares(CLASSICS["beale"].residual, np.ones(2, dtype=np.float32))
    found, _ = iterates(LevenbergMarquardt(), problem, measure=1e-7)
    assert found[-1].w.dtype == torch.float32
    assert found[-1].value <= 1e-10


def test_a_jacobian_is_paid_for_by_the_passes_it_takes():
    found, composite = iterates(LevenbergMarquardt(), more_garbow_hillstrom("bard"))
    assert composite.counts["gradients"] == 3 * (len(found) + 1)  # 15 residuals of 3 parameters
    assert composite.counts["evaluations"] >= len(found) + 1
