"""Separable maps and conjugates against scipy's minima of written-out functions, roots in 60 digits, differences."""

import inspect
import itertools
import math

import mpmath
import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar

from optwise.numerics.proximal import (
    l1,
    logarithmic,
    margin_losses,
    nonconvex,
    quadratic_penalties,
    regression_losses,
)

MODULES = (l1, quadratic_penalties, regression_losses, margin_losses, logarithmic, nonconvex)


def huber(r, d):
    return r * r / 2 if abs(r) <= d else d * (abs(r) - d / 2)


def scad(x, lam, a):
    """The integral of Fan and Li's derivative: lam up to lam, then falling to 0 at a lam."""
    inner, middle = min(abs(x), lam), min(max(abs(x), lam), a * lam)
    return lam * inner + (a * lam * (middle - lam) - (middle**2 - lam**2) / 2) / (a - 1)


LINE = (-60.0, 60.0)
# name, parameters, g of one number as a textbook writes it, and its domain as far as a minimum may be looked for
CONVEX = [
    ("l1", {"weight": 1.5}, lambda x: 1.5 * abs(x), LINE),
    ("nonnegative_l1", {"weight": 0.5}, lambda x: 0.5 * x, (0.0, 60.0)),
    ("box_l1", {"low": -0.75, "high": 1.25, "weight": 0.5}, lambda x: 0.5 * abs(x), (-0.75, 1.25)),
    ("box_l1", {"low": 0.5, "high": 2.0}, abs, (0.5, 2.0)),
    ("squared_l2", {"weight": 3.0}, lambda x: 1.5 * x * x, LINE),
    ("elastic_net", {"l1": 0.75, "l2": 2.0}, lambda x: 0.75 * abs(x) + x * x, LINE),
    ("berhu", {"delta": 0.6, "weight": 1.5}, lambda x: 1.5 * (abs(x) if abs(x) <= 0.6 else (x * x + 0.36) / 1.2), LINE),
    ("squared_error", {"target": 1.0, "weight": 3.0}, lambda z: 1.5 * (z - 1) ** 2, LINE),
    ("absolute_error", {"target": 1.0, "weight": 0.5}, lambda z: 0.5 * abs(z - 1), LINE),
    (
        "quantile_loss",
        {"target": 0.5, "quantile": 0.75, "weight": 2.0},
        lambda z: 1.5 * (0.5 - z) if z < 0.5 else 0.5 * (z - 0.5),
        LINE,
    ),
    ("huber", {"target": 0.5, "delta": 0.75, "weight": 2.0}, lambda z: 2 * huber(z - 0.5, 0.75), LINE),
    ("hinge", {"label": -1.0, "weight": 0.75}, lambda z: 0.75 * max(0, 1 + z), LINE),
    ("squared_hinge", {"label": 1.0, "weight": 2.0}, lambda z: max(0, 1 - z) ** 2, LINE),
    ("logistic", {"label": -1.0, "weight": 2.0}, lambda z: 2 * math.log1p(math.exp(z)), LINE),
    ("poisson", {"target": 2.0, "weight": 0.5}, lambda z: 0.5 * math.exp(z) - z, LINE),
    ("negative_log", {"weight": 2.0}, lambda x: -2 * math.log(x) if x > 0 else math.inf, (0.0, 60.0)),
    ("entropy", {"weight": 1.5}, lambda x: 1.5 * x * math.log(x) if x > 0 else 0.0, (0.0, 60.0)),
]
NONCONVEX = [
    ("l0", {"weight": 1.5}, lambda x: 1.5 * (x != 0), LINE),
    ("scad", {"level": 0.8, "a": 3.0}, lambda x: scad(x, 0.8, 3.0), LINE),
    ("mcp", {"level": 0.8, "gamma": 2.0}, lambda x: 0.8 * abs(x) - x * x / 4 if abs(x) <= 1.6 else 0.64, LINE),
]


def each(cases):
    return pytest.mark.parametrize(("name", "parameters", "g", "domain"), cases, ids=[case[0] for case in cases])


# eighths are exact, and hit the kinks of the maps at these steps and of conjugates at weights in quarters
POINTS = torch.linspace(-5, 5, 81, dtype=torch.float64)
STEPS = (0.25, 1.0, 4.0)


def function(name):
    (found,) = [getattr(module, name) for module in MODULES if name in vars(module)][:1]
    return found


def least(objective, domain, kinks):
    """Least value and where, by scipy: the best of bounded searches between the kinks."""
    low, high = domain
    ends = sorted({low, high, *(kink for kink in kinks if low < kink < high)})
    found = [(objective(x), x) for x in ends]
    for left, right in itertools.pairwise(ends):
        best = minimize_scalar(objective, bounds=(left, right), method="bounded", options={"xatol": 1e-12})
        found.append((best.fun, best.x))
    return min(found)


@each(CONVEX + NONCONVEX)
def test_a_function_is_what_textbooks_write(name, parameters, g, domain):
    found = function(name)(POINTS, **parameters)
    expected = [g(x) if domain[0] <= x <= domain[1] else math.inf for x in POINTS.tolist()]
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-12, atol=1e-14)


@each(CONVEX)
@pytest.mark.parametrize("step", STEPS)
def test_a_map_is_where_scipy_finds_the_minimum(name, parameters, g, domain, step):
    mapped = function(f"prox_{name}")(POINTS, step, **parameters)
    for v, x in zip(POINTS[::4].tolist(), mapped[::4].tolist(), strict=True):
        _, expected = least(lambda x, v=v: step * g(x) + (x - v) ** 2 / 2, domain, (-1.0, 0.0, 0.5, 1.0, v))
        # a minimum of a smooth function is flat: values that agree to 1e-15 are attained 1e-7 apart
        assert x == pytest.approx(expected, abs=1e-6)


@each(CONVEX)
def test_a_conjugate_is_the_largest_gap_between_a_line_and_the_function(name, parameters, g, domain):
    slopes = torch.linspace(-4, 4, 33, dtype=torch.float64)
    finite = 0
    for u, found in zip(slopes.tolist(), function(f"conjugate_{name}")(slopes, **parameters).tolist(), strict=True):
        gap = -least(lambda x, u=u: g(x) - u * x, domain, (-1.0, 0.0, 0.5, 1.0))[0]
        if math.isfinite(found):
            finite += 1
            # the search is exact to the square of 1e-7, and has rounding of values of up to 100
            assert found == pytest.approx(gap, abs=1e-10)
        else:
            assert gap > 5, "it grows without bound towards the ends of the search at 60"
    assert finite > 0


DERIVATIVES = [case for case in CONVEX if any(f"prox_{case[0]}_derivative" in vars(module) for module in MODULES)]


@each(DERIVATIVES)
@pytest.mark.parametrize("step", STEPS)
def test_a_derivative_lies_between_the_difference_quotients_to_both_sides(name, parameters, g, domain, step):
    """Away from kinks they agree; at a kink every number between them is in Clarke's Jacobian."""
    h = 1e-6
    at, up, down = (function(f"prox_{name}")(POINTS + shift, step, **parameters) for shift in (0, h, -h))
    right, left = (up - at) / h, (at - down) / h
    found = function(f"prox_{name}_derivative")(POINTS, step, **parameters)
    # rounding 1e-15 / h, and half h times a second derivative of at most 10
    assert (found >= torch.minimum(left, right) - 1e-5).all()
    assert (found <= torch.maximum(left, right) + 1e-5).all()
    smooth = (left - right).abs() < 1e-5
    assert smooth.sum() > 70


def test_there_is_a_derivative_for_every_separable_convex_map_that_is_not_linear():
    assert {case[0] for case in CONVEX} - {case[0] for case in DERIVATIVES} == {"squared_l2", "squared_error"}


def test_the_soft_threshold_is_the_l1_map_with_the_step_inside():
    level = torch.rand(81, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert torch.equal(l1.soft_threshold(POINTS, 2 * level), l1.prox_l1(POINTS, 2.0, weight=level))
    assert torch.equal(l1.soft_threshold_derivative(POINTS, level), (POINTS.abs() > level).double())


@each(NONCONVEX)
@pytest.mark.parametrize("step", [1e-3, 0.25, 1.0, 1.9, 2.0, 2.2, 3.0, 3.9, 4.0, 10.0, 1e3])
def test_a_map_that_is_not_convex_reaches_the_least_value_of_a_fine_grid(name, parameters, g, domain, step):
    """Steps on both sides of where the objective stops being convex, 2 for SCAD and MCP, and of SCAD's last rule, 4."""
    points = torch.linspace(-7.5, 7.5, 301, dtype=torch.float64)
    mapped = function(f"prox_{name}")(points, step, **parameters).tolist()
    grid = np.linspace(-8, 8, 12801)  # every point, 0 and the ends of the pieces are on it
    values = step * function(name)(torch.from_numpy(grid), **parameters).numpy()
    for v, x in zip(points.tolist(), mapped, strict=True):
        reached = step * g(x) + (x - v) ** 2 / 2
        assert reached <= (values + (grid - v) ** 2 / 2).min() + 1e-12
        assert x == 0 or math.copysign(1, x) == math.copysign(1, v)


@each(NONCONVEX)
def test_maps_that_are_not_convex_stay_finite_and_keep_large_entries(name, parameters, g, domain):
    for dtype in (torch.float32, torch.float64):
        v = torch.tensor([0.0, 1e8, -1e8, 1e-8, 30.0], dtype=dtype)
        for step in (1e-12, 1e12):
            x = function(f"prox_{name}")(v, torch.full((), step, dtype=torch.float64), **parameters)
            assert x.dtype == dtype
            assert x.isfinite().all()
            assert torch.equal(x[1:3], v[1:3]), "larger than the root of the step by far"
        assert torch.equal(function(f"prox_{name}")(v, 1e12, **parameters)[3:], torch.zeros(2, dtype=dtype))


def test_no_map_that_is_not_convex_offers_a_conjugate():
    names = [name for name, _ in inspect.getmembers(nonconvex, inspect.isfunction)]
    assert [name for name in names if name.startswith("conjugate")] == []


@pytest.mark.parametrize(("a", "gamma"), [(2.0, 1.0), (1.5, 0.5)])
def test_penalties_too_steep_to_be_used_are_refused(a, gamma):
    with pytest.raises(ValueError, match="must be above 2"):
        nonconvex.prox_scad(POINTS, 1.0, level=1.0, a=a)
    with pytest.raises(ValueError, match="must be above 1"):
        nonconvex.prox_mcp(POINTS, 1.0, level=1.0, gamma=gamma)


def root(rising, low, high):
    """The root of a rising function in 60 digits, by bisection: slow, but without a starting point to get wrong."""
    low, high = mpmath.mpf(low), mpmath.mpf(high)
    for _ in range(220):
        middle = (low + high) / 2
        low, high = (low, middle) if rising(middle) > 0 else (middle, high)
    return high


ROOTS = {
    "logistic": ({"label": 1.0}, lambda v, t: root(lambda m: m - v - t / (1 + mpmath.exp(m)), v, v + t)),
    "poisson": (
        {"target": 2.0},
        lambda v, t: root(lambda x: x + t * mpmath.exp(x) - v - 2 * t, -abs(v) - 50, v + 2 * t),
    ),
    "entropy": (
        {},
        lambda v, t: mpmath.exp(root(lambda s: mpmath.exp(s) + t * (1 + s) - v, -(abs(v) + 1) / t - 1, 25)),
    ),
}


@pytest.mark.parametrize("name", ROOTS)
def test_newton_ends_at_the_root_from_the_shortest_to_the_longest_step(name):
    parameters, expected = ROOTS[name]
    points = (0.0, 0.3, -0.3, 1.0, -2.5, 10.0, -37.0, 1e3, -1e3, 1e8, -1e8)
    with mpmath.workdps(60):
        for v, step in itertools.product(points, (1e-12, 1e-2, 1.0, 20.0, 2e8, 1e12)):
            found = float(function(f"prox_{name}")(torch.tensor([v], dtype=torch.float64), step, **parameters))
            exact = expected(mpmath.mpf(v), mpmath.mpf(step))
            # one rounding of the step times the target, another of its logarithm (27), against v or 1
            assert abs(found - exact) <= 2e-14 * max(abs(exact), min(abs(v), 1.0)), (v, step)
