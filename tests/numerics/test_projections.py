"""Nearest points, extreme points and support functions against exact arithmetic, scipy and closed forms."""

import itertools
import math
from fractions import Fraction
from functools import partial

import numpy as np
import pytest
import torch
from scipy import optimize

from optwise.numerics.projections.affine import AffineProjection
from optwise.numerics.projections.balls import (
    project_l1_ball,
    project_l2_ball,
    project_weighted_l1_ball,
    support_l1_ball,
    support_l2_ball,
    support_weighted_l1_ball,
    vertex_l2_ball,
    vertex_weighted_l1_ball,
)
from optwise.numerics.projections.box_hyperplane import (
    project_box_hyperplane,
    support_box_hyperplane,
    vertex_box_hyperplane,
)
from optwise.numerics.projections.boxes import (
    project_box,
    project_linf_ball,
    project_nonnegative,
    support_box,
    support_nonnegative,
    vertex_box,
)
from optwise.numerics.projections.cones import (
    project_monotone_cone,
    project_positive_semidefinite,
    project_second_order_cone,
    support_monotone_cone,
    support_positive_semidefinite,
    support_second_order_cone,
)
from optwise.numerics.projections.ellipsoids import project_ellipsoid
from optwise.numerics.projections.exponential_cone import project_exponential_cone, support_exponential_cone
from optwise.numerics.projections.halfspaces import (
    project_halfspace,
    project_hyperplane,
    support_halfspace,
    support_hyperplane,
)
from optwise.numerics.projections.matrix_balls import project_nuclear_ball, project_spectral_ball, vertex_spectral_ball
from optwise.numerics.projections.simplices import (
    project_capped_simplex,
    project_simplex,
    support_capped_simplex,
    vertex_capped_simplex,
    vertex_simplex,
)

EPS = np.finfo(np.float64).eps
INF = math.inf


def tensor(values):
    return torch.tensor(values, dtype=torch.float64)


def exactly_on_budget(v, a, b, low, high):
    """The nearest x with low <= x <= high and <a, x> = b in exact arithmetic: every choice of bounds that are met.

    Each choice leaves an equality-constrained problem with a closed form; of those within the bounds the closest wins.
    """
    v, a, b = [Fraction(x) for x in v], [Fraction(x) for x in a], Fraction(b)
    choices = [[None] + [Fraction(x) for x in {lo, hi} if math.isfinite(x)] for lo, hi in zip(low, high, strict=True)]
    best, least = None, None
    for fixed in itertools.product(*choices):
        free = [i for i, f in enumerate(fixed) if f is None]
        square = sum(a[i] ** 2 for i in free)
        over = sum(a[i] * (v[i] if f is None else f) for i, f in enumerate(fixed)) - b
        if square == 0 and over != 0:
            continue
        multiplier = over / square if square else Fraction(0)
        x = [v[i] - multiplier * a[i] if f is None else f for i, f in enumerate(fixed)]
        if all(lo <= y <= hi for lo, y, hi in zip(low, x, high, strict=True)):
            distance = sum((y - z) ** 2 for y, z in zip(x, v, strict=True))
            if least is None or distance < least:
                best, least = x, distance
    return np.array([float(y) for y in best])


def eighths(rng, size, most=24):
    """Random multiples of 1/8, with ties: exact in floating point."""
    return rng.integers(-most, most + 1, size=size) / 8


@pytest.mark.parametrize("p", [1, 2, 3, 4])
def test_the_nearest_point_of_a_simplex_is_that_of_exact_arithmetic(p):
    rng = np.random.default_rng(p)
    for _ in range(30):
        v, total = eighths(rng, p), rng.integers(0, 17) / 8
        expected = exactly_on_budget(v, [1] * p, total, [0] * p, [INF] * p)
        # a handful of operations on numbers of about 1
        np.testing.assert_allclose(project_simplex(tensor(v), total), expected, atol=4 * EPS * (1 + total), rtol=0)


@pytest.mark.parametrize("p", [1, 2, 3, 4])
def test_the_nearest_point_of_a_weighted_l1_ball_is_that_of_exact_arithmetic(p):
    rng = np.random.default_rng(p)
    for _ in range(30):
        v, w, radius = eighths(rng, p), rng.integers(0, 9, size=p) / 4, rng.integers(0, 17) / 8
        outside = np.sign(v) * exactly_on_budget(abs(v), w, radius, [0] * p, [INF] * p) if w @ abs(v) > radius else v
        # smallest weights of 1/4 magnify rounding
        np.testing.assert_allclose(
            project_weighted_l1_ball(tensor(v), tensor(w), radius=radius), outside, atol=60 * EPS, rtol=0
        )


@pytest.mark.parametrize("p", [1, 2, 3, 4])
def test_the_nearest_point_of_a_box_and_a_hyperplane_is_that_of_exact_arithmetic(p):
    rng = np.random.default_rng(p)
    for _ in range(25):
        v, a, low = eighths(rng, p), eighths(rng, p, most=12), eighths(rng, p, most=8)
        high = low + rng.integers(0, 9, size=p) / 8
        middle = low + (high - low) * rng.integers(0, 3, size=p) / 2  # corners of the box among them
        low, high = np.where(rng.random(p) < 0.3, -INF, low), np.where(rng.random(p) < 0.3, INF, high)
        b = float(a @ middle)
        found = project_box_hyperplane(tensor(v), tensor(a), b=b, low=tensor(low), high=tensor(high))
        # entries of a from 1/8 to 3/2
        np.testing.assert_allclose(found, exactly_on_budget(v, a, b, low, high), atol=200 * EPS, rtol=0)


def test_a_far_point_costs_no_digit_where_its_differences_are_exact():
    """The set and the differences of the point are of size 1: so is the last digit, and not that of 1e8."""
    rng = np.random.default_rng(0)
    for far in (1e8, -1e8, 2.0**40):
        near = eighths(rng, 4)
        v = far + near
        expected = exactly_on_budget(v, [1] * 4, 1.5, [0] * 4, [INF] * 4)
        np.testing.assert_allclose(project_simplex(tensor(v), 1.5), expected, atol=4 * EPS, rtol=0)
        expected = exactly_on_budget(v, [1] * 4, 1.5, [0] * 4, [0.75] * 4)
        np.testing.assert_allclose(project_capped_simplex(tensor(v), 1.5, cap=0.75), expected, atol=4 * EPS, rtol=0)
        expected = np.sign(far) * exactly_on_budget(abs(v), [1] * 4, 1.5, [0] * 4, [INF] * 4)
        np.testing.assert_allclose(project_l1_ball(tensor(v), 1.5), expected, atol=4 * EPS, rtol=0)


def test_a_far_point_lands_on_a_plane_up_to_the_digits_of_the_plane():
    a = tensor([1.0, -2.0, 0.3])
    foot = 0.7 * a / a.square().sum()
    for far in (1e8, 1e12):
        for x in (project_hyperplane(far * a, a, b=0.7), project_halfspace(far * a, a, b=0.7)):
            # the digits of far * a are lost in where on the plane, not in whether
            assert float(a @ x) == pytest.approx(0.7, abs=10 * EPS)
            np.testing.assert_allclose(x, foot, atol=10 * EPS * far)


def test_one_huge_entry_does_not_blur_the_others():
    v, ones = [1e16, 0.375, 0.75], torch.ones(3, dtype=torch.float64)
    expected = exactly_on_budget(v, [1] * 3, 1.5, [0] * 3, [1] * 3)  # (1, 1/16, 7/16)
    np.testing.assert_allclose(project_capped_simplex(tensor(v), 1.5), expected, atol=4 * EPS, rtol=0)
    found = project_box_hyperplane(tensor(v), ones, b=1.5, low=0.0, high=1.0)
    np.testing.assert_allclose(found, expected, atol=4 * EPS, rtol=0)


def test_a_long_vector_meets_its_total_to_the_last_digits():
    v = torch.randn(20_000, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for x in (project_simplex(v, 7.0), project_capped_simplex(v, 7.0, cap=0.5), project_l1_ball(v, 7.0).abs()):
        # fsum is exact, and each of the few hundred entries above 0 is rounded once
        assert math.fsum(x.tolist()) == pytest.approx(7.0, rel=20 * EPS)
    wide = project_box_hyperplane(v, torch.ones_like(v), b=100.0, low=-2.0, high=2.0)
    # relative to what was summed, as any sum in floating point
    assert math.fsum(wide.tolist()) == pytest.approx(100.0, abs=EPS * float(wide.abs().sum()))


def minimised(v, constraints, start, bounds=None):
    """The nearest point by a general solver."""
    found = optimize.minimize(
        lambda x: 0.5 * ((x - v) ** 2).sum(),
        start,
        jac=lambda x: x - v,
        bounds=bounds,
        constraints=constraints,
        method="SLSQP",
        options={"ftol": 1e-14, "maxiter": 500},
    )
    return found.x


A4, AXES4, EQUATIONS = (
    np.array([1.0, -2.0, 0.5, 0.0]),
    np.array([2.0, 0.3, 1.0, 0.7]),
    np.array([[1.0, 2.0, 0.0, -1.0]]),
)
BY_A_SOLVER = {
    "box": (
        partial(project_box, low=tensor([-INF, 0.0, -0.5, 2.0]), high=1.0 + tensor([0.0, INF, 0.0, 2.0])),
        [],
        np.array([0.0, 0.5, 0.0, 2.5]),
        [(None, 1.0), (0.0, None), (-0.5, 1.0), (2.0, 3.0)],
    ),
    "linf ball": (partial(project_linf_ball, radius=0.7), [], np.zeros(4), [(-0.7, 0.7)] * 4),
    "nonnegative": (project_nonnegative, [], np.ones(4), [(0.0, None)] * 4),
    "halfspace": (
        partial(project_halfspace, a=tensor(A4), b=-0.75),
        [{"type": "ineq", "fun": lambda x: -0.75 - A4 @ x}],
        -A4,
        None,
    ),
    "hyperplane": (
        partial(project_hyperplane, a=tensor(A4), b=-0.75),
        [{"type": "eq", "fun": lambda x: -0.75 - A4 @ x}],
        -A4,
        None,
    ),
    "box and hyperplane": (
        partial(project_box_hyperplane, a=tensor(A4), b=-0.75, low=-1.0, high=0.5),
        [{"type": "eq", "fun": lambda x: -0.75 - A4 @ x}],
        np.zeros(4),
        [(-1.0, 0.5)] * 4,
    ),
    "l2 ball": (
        partial(project_l2_ball, radius=0.7, center=tensor(A4)),
        [{"type": "ineq", "fun": lambda x: 0.49 - (x - A4) @ (x - A4), "jac": lambda x: -2 * (x - A4)}],
        A4,
        None,
    ),
    "ellipsoid": (
        partial(project_ellipsoid, axes=tensor(AXES4), center=tensor(A4)),
        [
            {
                "type": "ineq",
                "fun": lambda x: 1 - (((x - A4) / AXES4) ** 2).sum(),
                "jac": lambda x: -2 * (x - A4) / AXES4**2,
            }
        ],
        A4,
        None,
    ),
    "simplex": (
        partial(project_simplex, total=2.0),
        [{"type": "eq", "fun": lambda x: x.sum() - 2}],
        np.full(4, 0.5),
        [(0.0, None)] * 4,
    ),
    "capped simplex": (
        partial(project_capped_simplex, total=2.0, cap=0.8),
        [{"type": "eq", "fun": lambda x: x.sum() - 2}],
        np.full(4, 0.5),
        [(0.0, 0.8)] * 4,
    ),
    "second-order cone": (
        project_second_order_cone,
        [{"type": "ineq", "fun": lambda x: x[3] ** 2 - x[:3] @ x[:3]}],
        np.array([0.1, 0.1, 0.1, 5.0]),
        [(None, None)] * 3 + [(0.0, None)],
    ),
    "monotone cone": (
        project_monotone_cone,
        [{"type": "ineq", "fun": np.diff}],
        np.arange(4.0),
        None,
    ),
    "affine set": (
        AffineProjection(tensor(EQUATIONS), tensor([1.5])).project,
        [{"type": "eq", "fun": lambda x: EQUATIONS @ x - 1.5}],
        np.zeros(4),
        None,
    ),
}


@pytest.mark.parametrize("name", BY_A_SOLVER)
def test_a_general_solver_finds_the_same_nearest_point(name):
    project, constraints, start, bounds = BY_A_SOLVER[name]
    rng = np.random.default_rng(0)
    for _ in range(5):
        v = 2 * rng.normal(size=4)
        # the solver stops when the distance no longer falls, at the root of its 1e-14
        np.testing.assert_allclose(project(tensor(v)), minimised(v, constraints, start, bounds), atol=2e-6)


@pytest.mark.parametrize("weights", [[1.0, 1.0, 1.0, 1.0], [1.0, 0.5, 2.0, 1.0]])
def test_a_general_solver_finds_the_same_nearest_point_of_an_l1_ball(weights):
    """As the difference of two nonnegative parts, with one linear constraint on 8 variables."""
    v = 2 * np.random.default_rng(0).normal(size=4)
    found = optimize.minimize(
        lambda z: 0.5 * ((z[:4] - z[4:] - v) ** 2).sum(),
        np.full(8, 0.01),
        jac=lambda z: np.concatenate([z[:4] - z[4:] - v, v + z[4:] - z[:4]]),
        bounds=[(0.0, None)] * 8,
        constraints=[{"type": "ineq", "fun": lambda z: 1.5 - np.tile(weights, 2) @ z}],
        method="SLSQP",
        options={"ftol": 1e-14, "maxiter": 500},
    ).x
    ours = project_weighted_l1_ball(tensor(v), tensor(weights), radius=1.5)
    np.testing.assert_allclose(ours, found[:4] - found[4:], atol=2e-6)


def test_a_general_solver_finds_the_same_nearest_semidefinite_matrix():
    """As X = L L^T with a free square L, where no minimum is a local one."""
    rng = np.random.default_rng(0)
    for _ in range(3):
        v = rng.normal(size=(3, 3))

        def distance(flat, v=v):
            root = flat.reshape(3, 3)
            gap = root @ root.T - v
            return 0.5 * (gap**2).sum(), ((gap + gap.T) @ root).ravel()

        found = optimize.minimize(distance, rng.normal(size=9), jac=True, method="BFGS", options={"gtol": 1e-10}).x
        root = found.reshape(3, 3)
        # a rank that falls short makes the minimum flat: the gradient 1e-10 leaves 1e-5 of the root, squared here
        np.testing.assert_allclose(project_positive_semidefinite(tensor(v)), root @ root.T, atol=1e-6)


@pytest.mark.parametrize("wide", [1.0, 1e3, 1e8])
def test_the_nearest_point_of_an_ellipsoid_solves_the_secular_equation(wide):
    """Bisection for the multiplier in extended precision, over axes and points of all sizes."""
    rng = np.random.default_rng(0)
    for _ in range(20):
        p = rng.integers(1, 30)
        s, v = wide ** rng.uniform(-1, 1, p), wide ** rng.uniform(-1, 1, p) * rng.normal(size=p)
        if np.linalg.norm(v / s) <= 1:
            v = v * 2 / np.linalg.norm(v / s)
        square, reach = np.longdouble(s) ** 2, np.longdouble(s) * abs(np.longdouble(v))
        low, high = np.longdouble(0), np.sqrt((reach**2).sum())
        for _ in range(300):
            middle = (low + high) / 2
            low, high = (middle, high) if ((reach / (square + middle)) ** 2).sum() >= 1 else (low, middle)
        expected = np.longdouble(v) * square / (square + high)
        found = project_ellipsoid(tensor(v), tensor(s))
        # relative to each entry, however small beside the others
        np.testing.assert_allclose(found, expected.astype(float), rtol=30 * EPS, atol=0)


def test_matrix_norm_balls_meet_the_optimality_condition():
    """V - X is normal at X: the dual norm of the difference times the radius is its product with X."""
    rng = np.random.default_rng(0)
    for shape in ((4, 3), (3, 4), (1, 3), (3, 1)):
        v = 2 * rng.normal(size=shape)
        x = project_nuclear_ball(tensor(v), 1.25).numpy()
        assert np.linalg.norm(x, "nuc") == pytest.approx(1.25, rel=10 * EPS)
        assert ((v - x) * x).sum() == pytest.approx(1.25 * np.linalg.norm(v - x, 2), rel=30 * EPS)
        x = project_spectral_ball(tensor(v), 0.75).numpy()
        assert np.linalg.norm(x, 2) == pytest.approx(0.75, rel=10 * EPS)
        assert ((v - x) * x).sum() == pytest.approx(0.75 * np.linalg.norm(v - x, "nuc"), rel=30 * EPS)


def test_a_diagonal_matrix_has_the_nearest_points_of_its_diagonal():
    v = tensor([3.0, 1.0, 0.25])
    np.testing.assert_allclose(project_nuclear_ball(torch.diag(v), 2.5), np.diag([2.25, 0.25, 0.0]), atol=10 * EPS)
    np.testing.assert_allclose(project_spectral_ball(torch.diag(v), 0.5), np.diag([0.5, 0.5, 0.25]), atol=10 * EPS)


def test_a_vertex_of_the_spectral_ball_is_orthogonal_whatever_the_rank_of_the_direction():
    for g in (torch.zeros(3, 3), torch.ones(3, 3), torch.eye(3)):
        x = vertex_spectral_ball(g.double(), 2.0)
        np.testing.assert_allclose(x @ x.T, 4 * np.eye(3), atol=30 * EPS)


def minimax(v):
    """The isotonic regression in closed form and exact arithmetic, by means of all stretches."""
    v, p = [Fraction(x) for x in v], len(v)

    def mean(j, k):
        return sum(v[j : k + 1]) / (k - j + 1)

    return [float(max(min(mean(j, k) for k in range(i, p)) for j in range(i + 1))) for i in range(p)]


def test_the_nearest_monotone_vector_is_that_of_exact_arithmetic_and_of_scipy():
    rng = np.random.default_rng(0)
    for p in (1, 2, 3, 5, 8):
        for v in (*eighths(rng, (5, p)), np.full(p, 0.1), -np.arange(p) / 4, 1e8 + eighths(rng, p)):
            found = project_monotone_cone(tensor(v)).numpy()
            np.testing.assert_allclose(found, minimax(v), rtol=4 * EPS, atol=4 * EPS)
            assert (np.diff(found) >= 0).all(), "in order to the last digit"
    flat = np.repeat(np.sort(rng.normal(size=40)), 7)
    np.testing.assert_array_equal(project_monotone_cone(tensor(flat)), flat)  # equal neighbours are in order
    v = rng.normal(size=500) + np.linspace(0, 1, 500)
    np.testing.assert_allclose(project_monotone_cone(tensor(v)), optimize.isotonic_regression(v).x, atol=100 * EPS)


def test_the_second_order_cone_has_its_textbook_cases():
    for v, expected in (
        ([3.0, 4.0, 5.0], [3.0, 4.0, 5.0]),
        ([3.0, 4.0, -5.0], [0.0, 0.0, 0.0]),
        ([3.0, 4.0, -1.0], [1.2, 1.6, 2.0]),
        ([0.0, 0.0, -2.0], [0.0, 0.0, 0.0]),
        ([-2.0], [0.0]),
        ([2.0], [2.0]),
    ):
        np.testing.assert_allclose(project_second_order_cone(tensor(v)), expected, atol=4 * EPS)


def test_no_ray_of_the_exponential_cone_comes_closer_than_the_nearest_point():
    """The cone is the hull of its rays (r, 1, e^r) and a face; membership is one of the laws of all sets."""
    r = np.linspace(-40, 40, 8001)
    rays = np.stack([r, np.ones_like(r), np.exp(r)])
    rays /= np.linalg.norm(rays, axis=0)
    rng = np.random.default_rng(0)
    v = rng.normal(size=(300, 3)) * 10.0 ** rng.uniform(-4, 4, size=(300, 3))
    square = (v**2).sum(axis=1)
    on_rays = square - (v @ rays).clip(min=0).max(axis=1) ** 2
    face = np.stack([v[:, 0].clip(max=0), np.zeros(300), v[:, 2].clip(min=0)], axis=1)
    closest = np.minimum(on_rays, ((v - face) ** 2).sum(axis=1))
    outside = (v[:, 1] <= 0) | (v[:, 1] * np.exp((v[:, 0] / v[:, 1]).clip(max=700)) > v[:, 2])
    found = ((v - project_exponential_cone(tensor(v)).numpy()) ** 2).sum(axis=1)
    assert (found <= closest + 30 * EPS * square).all()
    # the rays are 0.01 apart, and near the best of them the distance is quadratic
    assert (found[outside] >= closest[outside] - 1e-4 * square[outside]).all()
    assert outside.sum() > 100
    assert (found[~outside] == 0).all()


def test_the_exponential_cone_has_its_known_points():
    for v, expected in (
        ([0.0, 1.0, 1.0], [0.0, 1.0, 1.0]),  # on the surface
        ([1.0, 0.0, -1.0], [0.0, 0.0, 0.0]),  # 1 e^0 <= e: in the polar
        ([-1.0, -2.0, -3.0], [-1.0, 0.0, 0.0]),  # the face
        # alpha (rho, 1, e^rho) + beta (1, 1 - rho, -e^-rho) with rho = 1, alpha = 2, beta = 3
        ([5.0, 2.0, 2 * math.e - 3 / math.e], [2.0, 2.0, 2 * math.e]),
        # with rho = -30, alpha = 1, beta = 1e-10: the surface is almost flat
        ([-30.0 + 1e-10, 1.0 + 31e-10, math.exp(-30) - 1e-10 * math.exp(30)], [-30.0, 1.0, math.exp(-30)]),
    ):
        np.testing.assert_allclose(
            project_exponential_cone(tensor(v)), expected, atol=10 * EPS * max(1.0, abs(v[2])), rtol=0
        )


def linear_program(u, low, high, a=None, b=None):
    """The most that <u, x> can be, by HiGHS; infinite where it says so."""
    found = optimize.linprog(
        -np.asarray(u),
        A_eq=None if a is None else [a],
        b_eq=None if a is None else [b],
        bounds=[
            (lo if math.isfinite(lo) else None, hi if math.isfinite(hi) else None)
            for lo, hi in zip(low, high, strict=True)
        ],
    )
    assert found.status in (0, 3, 4), found.message
    return -found.fun if found.status == 0 else INF


@pytest.mark.parametrize("openness", [0.0, 0.3, 1.0])
def test_support_functions_of_boxes_and_budgets_are_linear_programs(openness):
    rng = np.random.default_rng(0)
    infinite = 0
    for _ in range(40):
        p = rng.integers(1, 6)
        u, a, low = eighths(rng, p), eighths(rng, p, most=12), eighths(rng, p, most=8)
        high = low + rng.integers(0, 9, size=p) / 8
        middle = low + (high - low) * rng.integers(0, 3, size=p) / 2
        low, high = np.where(rng.random(p) < openness, -INF, low), np.where(rng.random(p) < openness, INF, high)
        b = float(a @ middle)
        bounds = {"low": tensor(low), "high": tensor(high)}
        assert float(support_box(tensor(u), **bounds)) == pytest.approx(linear_program(u, low, high), abs=1e-12)
        if openness == 1.0 and rng.random() < 0.5:
            u = a * 0.375  # along the normal, or every answer would be infinite
        expected = linear_program(u, low, high, a, b)
        infinite += math.isinf(expected)
        found = float(support_box_hyperplane(tensor(u), tensor(a), b=b, **bounds))
        assert found == pytest.approx(expected, abs=1e-12), (u, a, b, low, high)
        if openness == 0.0:
            vertex = vertex_box_hyperplane(tensor(-u), tensor(a), b=b, **bounds).numpy()
            assert u @ vertex == pytest.approx(expected, abs=1e-12)
            assert a @ vertex == pytest.approx(b, abs=1e-12)
            fractional = (vertex > low + 1e-9) & (vertex < high - 1e-9)
            assert fractional.sum() <= 1, "an extreme point has at most one entry between its bounds"
    assert infinite == 0 if openness == 0.0 else infinite > 5


def test_support_along_a_normal_with_rounded_digits_is_finite():
    rng = np.random.default_rng(0)
    for t in (0.1, 1 / 3, 7.0, 1e-8, 1e8):
        a = rng.normal(size=7)
        u, off = tensor(t * a), tensor(t * a + t * 1e-12 * rng.normal(size=7))
        free = {"low": -INF, "high": INF}
        for support in (support_halfspace, support_hyperplane, partial(support_box_hyperplane, **free)):
            # the digits of u, and of the quotient with a
            assert float(support(u, tensor(a), b=0.7)) == pytest.approx(0.7 * t, rel=1e-14)
            assert float(support(off, tensor(a), b=0.7)) == INF, "two thousand units in the last place off"
        assert float(support_hyperplane(-u, tensor(a), b=0.7)) == pytest.approx(-0.7 * t, rel=1e-14)
        assert float(support_halfspace(-u, tensor(a), b=0.7)) == INF


@pytest.mark.parametrize(
    ("support", "inside", "beyond"),
    [
        (support_nonnegative, [0.0, -1.0], [5e-324, -1.0]),
        (partial(support_box, low=0.0, high=INF), [0.0, -1.0], [5e-324, -1.0]),
        (support_second_order_cone, [3.0, 4.0, -5.0], [3.0, 4.0, -5.0 + 1e-12]),
        (support_positive_semidefinite, [[0.0, 0.0], [0.0, -1.0]], [[1e-12, 0.0], [0.0, -1.0]]),
        (support_monotone_cone, [1.0, 0.0, -1.0], [1.0, 0.0, -1.0 + 1e-12]),
        (support_monotone_cone, [0.0, 1.0, -1.0], [-1e-12, 1.0, -1.0 + 1e-12]),
        (support_exponential_cone, [1.0, 1.0, -1.0], [1.0, 1.0, -1.0 + 1e-12]),
        (support_exponential_cone, [0.0, -1.0, 0.0], [0.0, -1.0, 1e-12]),
    ],
)
def test_the_domain_of_a_support_function_ends_at_its_boundary(support, inside, beyond):
    """Exactly where numbers are compared; within ten units in the last place where they have to be computed."""
    assert float(support(tensor(inside))) == 0.0
    assert float(support(tensor(beyond))) == INF


def test_the_support_function_of_an_l1_ball_with_free_entries_is_infinite_along_them():
    weights = tensor([0.0, 2.0])
    assert float(support_weighted_l1_ball(tensor([0.0, 3.0]), weights, radius=4.0)) == 6.0
    assert float(support_weighted_l1_ball(tensor([1e-300, 3.0]), weights, radius=4.0)) == INF
    assert float(support_weighted_l1_ball(tensor([1.0, 3.0]), weights, radius=0.0)) == INF
    x = project_weighted_l1_ball(tensor([[5.0, 3.0], [-7.0, 0.5]]), weights, radius=4.0)
    np.testing.assert_array_equal(x, [[5.0, 2.0], [-7.0, 0.5]])


def test_the_nearest_solution_of_equations_is_the_one_of_least_squares():
    rng = np.random.default_rng(0)
    for m, p, rank in ((2, 5, 2), (4, 6, 2), (5, 5, 5), (7, 4, 3), (1, 1, 1)):
        a = rng.normal(size=(m, rank)) @ rng.normal(size=(rank, p))
        b = a @ rng.normal(size=p)
        lines = AffineProjection(tensor(a), tensor(b))
        assert lines.rank == rank
        v = rng.normal(size=(3, p))
        shift = np.linalg.lstsq(a, (b - v @ a.T).T, rcond=1e-10)[0].T  # of least length among those that mend v
        # two other ways to the same pseudoinverse, of a condition of about 10
        np.testing.assert_allclose(lines.project(tensor(v)), v + shift, atol=1e-12)
        combination = rng.normal(size=m)
        assert float(lines.support(tensor(combination @ a))) == pytest.approx(combination @ b, abs=1e-12)
        if rank < p:
            assert float(lines.support(tensor(rng.normal(size=p)))) == INF


def test_rows_of_very_different_lengths_are_all_met():
    rng = np.random.default_rng(0)
    lengths = np.array([1e8, 1.0, 1e-8])
    a, x = rng.normal(size=(3, 6)) * lengths[:, None], rng.normal(size=6)
    lines = AffineProjection(tensor(a), tensor(a @ x))
    assert lines.rank == 3
    for far in (1.0, 1e8):
        for v in (far * rng.normal(size=6), far * (rng.normal(size=3) / lengths) @ a):  # the second one falls near 0
            found = lines.project(tensor(v)).numpy()
            # each equation to its own last digits
            assert (abs(a @ found - a @ x) <= 30 * EPS * lengths * (1 + np.linalg.norm(found))).all()


def test_equations_of_float32_depend_on_each_other_up_to_their_own_digits():
    rng = np.random.default_rng(0)
    a = rng.normal(size=(2, 5)).astype(np.float32)
    a = np.vstack([a, a[0] / np.float32(3) + a[1] / np.float32(7)])
    b = (a.astype(float) @ rng.normal(size=5)).astype(np.float32)
    assert AffineProjection(torch.tensor(a), torch.tensor(b)).rank == 2
    assert AffineProjection(tensor(a.astype(float)), tensor(b.astype(float))).rank == 3, (
        "in float64 they are independent"
    )


def test_no_equations_and_empty_equations_leave_every_point_where_it_is():
    v = tensor([1.0, 2.0])
    for lines in (
        AffineProjection(torch.zeros(0, 2), torch.zeros(0)),
        AffineProjection(torch.zeros(3, 2), torch.zeros(3)),
    ):
        assert lines.rank == 0
        np.testing.assert_array_equal(lines.project(v), v)
        assert (float(lines.support(v)), float(lines.support(0 * v))) == (INF, 0.0)
    zero = torch.zeros(2, dtype=torch.float64)
    np.testing.assert_array_equal(project_hyperplane(v, zero, b=0.0), v)
    np.testing.assert_array_equal(project_halfspace(v, zero, b=1.0), v)
    np.testing.assert_array_equal(project_box_hyperplane(v, zero, b=0.0, low=0.0, high=1.5), [1.0, 1.5])


def test_normals_and_planes_keep_their_digits_at_the_ends_of_float64():
    v = tensor([3.0, 4.0])
    for scale in (1e-200, 1e200):
        a = scale * tensor([1.0, 1.0])
        np.testing.assert_allclose(project_hyperplane(v, a, b=3 * scale), [1.0, 2.0], rtol=4 * EPS)
        np.testing.assert_allclose(
            project_box_hyperplane(v, a, b=3 * scale, low=0.0, high=1.5), [1.5, 1.5], rtol=4 * EPS
        )


RNG = np.random.default_rng(0)
POINTS, NORMALS, CENTERS = (
    tensor(3 * RNG.normal(size=(4, 5))),
    tensor(RNG.normal(size=(4, 5))),
    tensor(RNG.random((4, 5))),
)
SIZES, BUDGETS = tensor([0.0, 0.5, 1.0, 2.0]), (NORMALS * CENTERS).sum(-1)


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        (lambda v, r, c: project_l2_ball(v, r, center=c), (POINTS, SIZES, CENTERS)),
        (support_l2_ball, (POINTS, SIZES)),
        (vertex_l2_ball, (POINTS, SIZES)),
        (project_l1_ball, (POINTS, SIZES)),
        (support_l1_ball, (POINTS, SIZES)),
        (project_linf_ball, (POINTS, SIZES)),
        (lambda v, s, c: project_ellipsoid(v, s, center=c), (POINTS, CENTERS, NORMALS)),
        (lambda v, low: project_box(v, low=low, high=low + 1), (POINTS, NORMALS)),
        (project_nuclear_ball, (POINTS.reshape(4, 1, 5) * NORMALS.reshape(4, 5, 1), SIZES)),
        (project_spectral_ball, (POINTS.reshape(4, 1, 5) * NORMALS.reshape(4, 5, 1), SIZES)),
        (project_simplex, (POINTS, SIZES)),
        (lambda v, c: project_capped_simplex(v, c.sum(-1) / 2, cap=c), (POINTS, CENTERS)),
        (lambda v, c: vertex_capped_simplex(v, c.sum(-1) / 2, cap=c), (POINTS, CENTERS)),
        (lambda v, a, b: project_halfspace(v, a, b=b), (POINTS, NORMALS, BUDGETS)),
        (lambda v, a, b: project_hyperplane(v, a, b=b), (POINTS, NORMALS, BUDGETS)),
        (lambda a, b: support_hyperplane(2 * a, a, b=b), (NORMALS, BUDGETS)),
        (lambda v, a, b: project_box_hyperplane(v, a, b=b, low=0.0, high=1.0), (POINTS, NORMALS, BUDGETS)),
        (lambda v, a, b: vertex_box_hyperplane(v, a, b=b, low=0.0, high=1.0), (POINTS, NORMALS, BUDGETS)),
        (lambda v, a, b: support_box_hyperplane(v, a, b=b, low=0.0, high=1.0), (POINTS, NORMALS, BUDGETS)),
        # one point, many sets
        (lambda c: project_box(POINTS[0], low=-c, high=c), (CENTERS,)),
        (lambda r: project_l1_ball(POINTS[0], r), (SIZES,)),
        (lambda s: project_simplex(POINTS[0], s), (SIZES,)),
        (lambda r: project_spectral_ball(POINTS, r), (SIZES,)),
        (lambda s: vertex_simplex(POINTS[0], s), (SIZES,)),
        (lambda b: project_box_hyperplane(POINTS[0], NORMALS[0], b=b, low=-4.0, high=4.0), (SIZES,)),
        (lambda b: vertex_box_hyperplane(POINTS[0], NORMALS[0], b=b, low=-4.0, high=4.0), (SIZES,)),
        (lambda b: support_box_hyperplane(POINTS[0], NORMALS[0], b=b, low=-4.0, high=4.0), (SIZES,)),
    ],
)
def test_each_point_may_have_a_set_of_its_own(function, arguments):
    alone = torch.stack([function(*one) for one in zip(*arguments, strict=True)])
    # sums may be taken in another order
    torch.testing.assert_close(function(*arguments), alone, rtol=1e-13, atol=1e-13)


def test_a_vertex_of_a_capped_simplex_needs_no_finite_cap():
    g = tensor([2.0, -1.0, 0.0])
    np.testing.assert_array_equal(vertex_capped_simplex(g, 3.0, cap=INF), [0.0, 3.0, 0.0])
    assert float(support_capped_simplex(-g, 3.0, cap=INF)) == 3.0
    np.testing.assert_array_equal(vertex_capped_simplex(g, 3.0), [1.0, 1.0, 1.0])


V = torch.tensor([1.0, 2.0, 3.0])


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: project_box(V, low=1.0, high=torch.tensor([2.0, 0.5, 3.0])), r"low is 1 where high is 0\.5"),
        (lambda: project_box(V, low=INF, high=INF), "low is inf where high is inf"),
        (lambda: project_box(V, low=math.nan, high=1.0), "low is nan"),
        (lambda: vertex_box(V, low=0.0, high=INF), "a bound of inf, so a linear function may have no minimum"),
        (lambda: vertex_box_hyperplane(V, V, b=1.0, low=-INF, high=0.0), "a bound of -inf"),
        (lambda: project_l2_ball(V, -0.5), r"radius is -0\.5, which leaves no set"),
        (lambda: project_linf_ball(V, torch.tensor([1.0, -2.0])), "radius is -2"),
        (lambda: project_l1_ball(V, math.nan), "radius is nan"),
        (lambda: project_nuclear_ball(torch.eye(2), -1.0), "radius is -1"),
        (lambda: project_simplex(V, INF), "total is inf"),
        (lambda: project_simplex(V, -1.0), "total is -1"),
        (lambda: project_capped_simplex(V, 3.5), r"total is 3\.5, and the 3 caps sum to 3;"),
        (lambda: vertex_capped_simplex(V, 1.0, cap=0.25), r"total is 1, and the 3 caps sum to 0\.75;"),
        (lambda: support_capped_simplex(V, 1.0, cap=-1.0), "cap is -1"),
        (lambda: project_halfspace(V, torch.zeros(3), b=-1.0), "a is 0, and <0, x> is never at most -1"),
        (lambda: project_hyperplane(V, torch.zeros(3), b=2.0), "a is 0, and <0, x> is never equal to 2"),
        (lambda: support_hyperplane(V, torch.tensor([1.0, math.nan, 0.0]), b=2.0), "a of <a, x> and b holds nan"),
        (lambda: support_halfspace(V, V, b=INF), "b of <a, x> and b holds inf"),
        (
            lambda: project_box_hyperplane(V, torch.tensor([1.0, -2.0, 0.0]), b=7.5, low=-1.0, high=2.0),
            r"<a, x> runs from -5 to 4, which leaves out b = 7\.5",
        ),
        (
            lambda: project_box_hyperplane(V.double(), V, b=6 + 1e-12, low=0.0, high=1.0),
            r"<a, x> runs from 0 to 6, which leaves out b = 6\.000000000001",
        ),
        (
            lambda: support_box_hyperplane(V, torch.tensor([1.0, 2.0, 0.0]), b=-1.0, low=0.0, high=INF),
            "runs from 0 to inf, which leaves out b = -1",
        ),
        (lambda: project_weighted_l1_ball(V, torch.tensor([1.0, -3.0, 1.0])), "A weight is -3"),
        (lambda: vertex_weighted_l1_ball(V, torch.tensor([1.0, 0.0, 1.0])), "A weight is 0, so the ball is unbounded"),
        (lambda: project_ellipsoid(V, torch.tensor([1.0, 0.0, 1.0])), "Half an axis of the ellipsoid is 0 long"),
        (lambda: project_positive_semidefinite(torch.ones(2, 3)), r"shape is \[2, 3\]"),
        (lambda: project_exponential_cone(torch.ones(2)), r"shape is \[2\]"),
        (
            lambda: AffineProjection(torch.tensor([[1.0, 1.0], [2.0, 2.0]]), torch.tensor([1.0, 3.0])),
            "the 2 equations have rank 1, and the row",
        ),
        (lambda: AffineProjection(torch.zeros(1, 2), torch.ones(1)), "row 0 misses its target 1 by 1"),
        (lambda: AffineProjection(torch.ones(2, 3), torch.ones(3)), r"shape \[2, 3\] and the target \[3\]"),
        (lambda: AffineProjection(torch.tensor([[math.inf]]), torch.ones(1)), "The matrix holds inf"),
    ],
)
def test_empty_sets_are_refused_in_a_sentence_with_their_numbers(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def test_sets_of_a_single_point_are_not_empty():
    v = tensor([0.3, -7.0, 2.0])
    for found, expected in (
        (project_box(v, low=1.0, high=1.0), [1.0, 1.0, 1.0]),
        (project_l2_ball(v, 0.0, center=2.0), [2.0, 2.0, 2.0]),
        (project_l1_ball(v, 0.0), [0.0, 0.0, 0.0]),
        (project_simplex(v, 0.0), [0.0, 0.0, 0.0]),
        (project_capped_simplex(v, 0.3, cap=0.1), [0.1, 0.1, 0.1]),  # three times 0.1 is above 0.3
        (project_capped_simplex(v, 0.1 + 0.1 + 0.1, cap=0.1), [0.1, 0.1, 0.1]),
        (project_capped_simplex(v, 1.5 + 2 * EPS, cap=0.5), [0.5, 0.5, 0.5]),
        (vertex_capped_simplex(v, 1.5 + 2 * EPS, cap=0.5), [0.5, 0.5, 0.5]),
        (project_box_hyperplane(v, tensor([1.0, -1.0, 0.0]), b=2.0, low=-1.0, high=1.0), [1.0, -1.0, 1.0]),
        (project_box_hyperplane(v, tensor([1.0, -1.0, 0.0]), b=-2 - 4 * EPS, low=-1.0, high=1.0), [-1.0, 1.0, 1.0]),
        (vertex_box_hyperplane(v, tensor([1.0, -1.0, 0.0]), b=2 + 4 * EPS, low=-1.0, high=1.0), [1.0, -1.0, -1.0]),
    ):
        np.testing.assert_allclose(found, expected, atol=4 * EPS)
