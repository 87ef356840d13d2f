"""Laws of every nearest point, extreme point and support function, over one table of sets described independently."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import pytest
import torch

from optwise.numerics.projections.affine import AffineProjection
from optwise.numerics.projections.balls import (
    project_l1_ball,
    project_l2_ball,
    project_weighted_l1_ball,
    support_l1_ball,
    support_l2_ball,
    support_weighted_l1_ball,
    vertex_l1_ball,
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
    support_linf_ball,
    support_nonnegative,
    vertex_box,
    vertex_linf_ball,
)
from optwise.numerics.projections.cones import (
    project_monotone_cone,
    project_positive_semidefinite,
    project_second_order_cone,
    support_monotone_cone,
    support_positive_semidefinite,
    support_second_order_cone,
)
from optwise.numerics.projections.ellipsoids import project_ellipsoid, support_ellipsoid, vertex_ellipsoid
from optwise.numerics.projections.exponential_cone import project_exponential_cone, support_exponential_cone
from optwise.numerics.projections.halfspaces import (
    project_halfspace,
    project_hyperplane,
    support_halfspace,
    support_hyperplane,
)
from optwise.numerics.projections.matrix_balls import (
    project_nuclear_ball,
    project_spectral_ball,
    support_nuclear_ball,
    support_spectral_ball,
    vertex_nuclear_ball,
    vertex_spectral_ball,
)
from optwise.numerics.projections.simplices import (
    project_capped_simplex,
    project_simplex,
    support_capped_simplex,
    support_simplex,
    vertex_capped_simplex,
    vertex_simplex,
)

EPS = np.finfo(np.float64).eps
P = 6
A = np.array([1.0, -2.0, 0.5, 0.0, 3.0, 1.0])
LOW, HIGH = np.array([-1.0, 0.0, -0.5, 2.0, 0.0, -3.0]), np.array([1.0, 2.0, 0.0, 3.0, 4.0, -3.0])
OPEN_LOW = np.array([-np.inf, 0.0, -np.inf, 2.0, -np.inf, -1.0])
OPEN_HIGH = np.array([1.0, np.inf, np.inf, 3.0, 0.5, np.inf])
WEIGHTS = np.array([1.0, 0.25, 3.0, 1.0, 0.5, 2.0])
AXES = np.array([2.0, 0.01, 1.0, 0.3, 50.0, 1.0])
CENTER = np.array([0.5, -1.0, 0.0, 2.0, 0.1, -0.2])
EQUATIONS = np.array(
    [[1.0, 2.0, 0.0, -1.0, 0.5, 1.0], [0.0, 1.0, 1.0, 1.0, -2.0, 0.0], [1.0, 3.0, 1.0, 0.0, -1.5, 1.0]]
)
TARGETS = np.array([1.0, -0.5, 0.5])  # the third row is the sum of the others


@dataclass(frozen=True)
class Case:
    """A set: what is tested, and by how much a point misses it, a random member and a polar cone, written here."""

    name: str
    project: Callable
    support: Callable
    misses: Callable  # how far x is from meeting the definition, in the units of x
    member: Callable  # a random member, from a generator
    vertex: Callable | None = None
    polar_misses: Callable | None = None
    shape: tuple[int, ...] = (P,)
    vmappable: bool = True

    def __str__(self):
        return self.name


def outside(low, high):
    return lambda x: max(np.max(low - x), np.max(x - high), 0.0)


def along_the_plane(start, low, high, rng):
    """From one point of a box and a hyperplane to another one, along a random line in the plane."""
    d = rng.normal(size=P) * ~((start <= low) & (start >= high))
    d -= A * (A @ d) / (A @ A)
    for _ in range(P):  # entries that cannot move stand still, and the rest stays in the plane
        stuck = ((start <= low) & (d < 0)) | ((start >= high) & (d > 0)) | (d == 0)
        a = np.where(stuck, 0.0, A)
        d = np.where(stuck, 0.0, d)
        d -= a * (a @ d) / max(a @ a, 1e-300)
    with np.errstate(divide="ignore", invalid="ignore"):
        reach = np.where(d > 0, (high - start) / d, np.where(d < 0, (low - start) / d, np.inf))
    return start + d * max(min(reach.min(), 10.0), 0.0) * rng.uniform()


def with_norm(norm, radius):
    def member(rng, shape=(P,)):
        x = rng.normal(size=shape) * rng.integers(0, 2, size=shape)
        return x * (radius * rng.uniform() ** 0.2 / max(norm(x), 1e-300))

    return member


def below_the_plane(x):
    return x - A * max(A @ x + 0.75, 0.0) / (A @ A)


def second_order_member(rng):
    y = rng.normal(size=P - 1)
    return np.append(y, np.linalg.norm(y) + rng.exponential() * rng.integers(0, 2))


def nuclear(x):
    return np.linalg.norm(x, "nuc")


def spectral(x):
    return np.linalg.norm(x, 2)


def semidefinite_member(rng):
    root = rng.normal(size=(4, 4)) * rng.integers(0, 2, size=4)
    return root @ root.T


def eigenvalue_misses(x):
    return max(-np.linalg.eigvalsh((x + x.T) / 2)[0], np.abs(x - x.T).max(), 0.0)


def exponential_misses(x):
    """Distance in x where the exponential is steep, in z where it is flat."""
    u, y, z = x
    if y <= 0:
        return max(-y, u, -z, 0.0)
    return max(u - y * np.log(z / y), 0.0) if u > 0 and z > 0 else max(y * np.exp(u / y) - z, 0.0)


def exponential_polar_misses(x):
    u, v, w = x
    if u <= 0:
        return max(-u, v, w, 0.0)
    return max(v - u * (1 + np.log(-w / u)), 0.0) if v > u and w < 0 else max(u * np.exp(v / u - 1) + w, 0.0)


def exponential_member(rng):
    y = rng.exponential() + 1e-3
    x = y * rng.uniform(-5, 5)
    return np.array([x, y, y * np.exp(x / y) + rng.exponential() * rng.integers(0, 2)])


def capped_member(rng):
    chosen = np.zeros(P)
    for weight in rng.dirichlet(np.ones(3)):  # a mean of corners: three entries at 0.5, one at 0.25
        corner = np.zeros(P)
        corner[rng.permutation(P)[:4]] = [0.5, 0.5, 0.5, 0.25]
        chosen += weight * corner
    return chosen


TOWARDS = np.linalg.pinv(EQUATIONS)
MEETS = np.array([0.0, 1.0, -0.2, 2.5, 1.5, -3.0])  # within LOW and HIGH
OPEN_MEETS = np.array([0.0, 1.0, -0.2, 2.5, -1.0, 1.0])  # within OPEN_LOW and OPEN_HIGH
DOWN = np.array([1.0, 1.0, 1.0, -1.0, 2.0, 0.0])
lines = AffineProjection(torch.tensor(EQUATIONS), torch.tensor(TARGETS))
normal = torch.tensor(A)
budget = {"b": float(A @ MEETS), "low": torch.tensor(LOW), "high": torch.tensor(HIGH)}
open_budget = {"b": float(A @ OPEN_MEETS), "low": torch.tensor(OPEN_LOW), "high": torch.tensor(OPEN_HIGH)}


def with_arguments(*functions, **arguments):
    return [partial(f, **arguments) for f in functions]


CASES = [
    Case(
        "nonnegative",
        project_nonnegative,
        support_nonnegative,
        misses=lambda x: max(-x.min(), 0.0),
        member=lambda rng: rng.exponential(size=P) * rng.integers(0, 2, size=P),
        polar_misses=lambda u: max(u.max(), 0.0),
    ),
    Case(
        "open box",
        *with_arguments(project_box, support_box, low=torch.tensor(OPEN_LOW), high=torch.tensor(OPEN_HIGH)),
        misses=outside(OPEN_LOW, OPEN_HIGH),
        member=lambda rng: np.clip(3 * rng.normal(size=P), OPEN_LOW, OPEN_HIGH),
    ),
    Case(
        "box",
        *with_arguments(project_box, support_box, low=torch.tensor(LOW), high=torch.tensor(HIGH)),
        misses=outside(LOW, HIGH),
        member=lambda rng: np.clip(3 * rng.normal(size=P), LOW, HIGH),
        vertex=partial(vertex_box, low=torch.tensor(LOW), high=torch.tensor(HIGH)),
    ),
    Case(
        "linf ball",
        *with_arguments(project_linf_ball, support_linf_ball, radius=1.5),
        misses=outside(-1.5, 1.5),
        member=lambda rng: np.clip(2 * rng.normal(size=P), -1.5, 1.5),
        vertex=partial(vertex_linf_ball, radius=1.5),
    ),
    Case(
        "halfspace",
        *with_arguments(project_halfspace, support_halfspace, a=normal, b=-0.75),
        misses=lambda x: max(A @ x + 0.75, 0.0),
        member=lambda rng: below_the_plane(3 * rng.normal(size=P)),
    ),
    Case(
        "hyperplane",
        *with_arguments(project_hyperplane, support_hyperplane, a=normal, b=-0.75),
        misses=lambda x: abs(A @ x + 0.75),
        member=lambda rng: (np.eye(P) - np.outer(A, A) / (A @ A)) @ rng.normal(size=P) - 0.75 * A / (A @ A),
    ),
    Case(
        "box and hyperplane",
        *with_arguments(project_box_hyperplane, support_box_hyperplane, a=normal, **budget),
        misses=lambda x: max(outside(LOW, HIGH)(x), abs(A @ (x - MEETS))),
        member=lambda rng: along_the_plane(along_the_plane(MEETS, LOW, HIGH, rng), LOW, HIGH, rng),
        vertex=partial(vertex_box_hyperplane, a=normal, **budget),
    ),
    Case(
        "open box and hyperplane",
        *with_arguments(project_box_hyperplane, support_box_hyperplane, a=normal, **open_budget),
        misses=lambda x: max(outside(OPEN_LOW, OPEN_HIGH)(x), abs(A @ (x - OPEN_MEETS))),
        member=lambda rng: along_the_plane(
            along_the_plane(OPEN_MEETS, OPEN_LOW, OPEN_HIGH, rng), OPEN_LOW, OPEN_HIGH, rng
        ),
    ),
    Case(
        "l2 ball",
        *with_arguments(project_l2_ball, support_l2_ball, radius=1.5, center=torch.tensor(CENTER)),
        misses=lambda x: max(np.linalg.norm(x - CENTER) - 1.5, 0.0),
        member=lambda rng: CENTER + with_norm(np.linalg.norm, 1.5)(rng),
        vertex=partial(vertex_l2_ball, radius=1.5, center=torch.tensor(CENTER)),
    ),
    Case(
        "l1 ball",
        *with_arguments(project_l1_ball, support_l1_ball, radius=1.5),
        misses=lambda x: max(np.abs(x).sum() - 1.5, 0.0),
        member=with_norm(lambda x: np.abs(x).sum(), 1.5),
        vertex=partial(vertex_l1_ball, radius=1.5),
    ),
    Case(
        "weighted l1 ball",
        *with_arguments(project_weighted_l1_ball, support_weighted_l1_ball, weights=torch.tensor(WEIGHTS), radius=1.5),
        misses=lambda x: max((WEIGHTS * np.abs(x)).sum() - 1.5, 0.0),
        member=with_norm(lambda x: (WEIGHTS * np.abs(x)).sum(), 1.5),
        vertex=partial(vertex_weighted_l1_ball, weights=torch.tensor(WEIGHTS), radius=1.5),
    ),
    Case(
        "ellipsoid",
        *with_arguments(project_ellipsoid, support_ellipsoid, axes=torch.tensor(AXES), center=torch.tensor(CENTER)),
        misses=lambda x: max(np.linalg.norm((x - CENTER) / AXES) - 1, 0.0) * AXES.min(),
        member=lambda rng: CENTER + AXES * with_norm(np.linalg.norm, 1.0)(rng),
        vertex=partial(vertex_ellipsoid, axes=torch.tensor(AXES), center=torch.tensor(CENTER)),
    ),
    Case(
        "nuclear ball",
        *with_arguments(project_nuclear_ball, support_nuclear_ball, radius=1.5),
        misses=lambda x: max(nuclear(x) - 1.5, 0.0),
        member=partial(with_norm(nuclear, 1.5), shape=(4, 3)),
        vertex=partial(vertex_nuclear_ball, radius=1.5),
        shape=(4, 3),
    ),
    Case(
        "spectral ball",
        *with_arguments(project_spectral_ball, support_spectral_ball, radius=1.5),
        misses=lambda x: max(spectral(x) - 1.5, 0.0),
        member=partial(with_norm(spectral, 1.5), shape=(3, 4)),
        vertex=partial(vertex_spectral_ball, radius=1.5),
        shape=(3, 4),
    ),
    Case(
        "simplex",
        *with_arguments(project_simplex, support_simplex, total=2.0),
        misses=lambda x: max(-x.min(), abs(x.sum() - 2.0), 0.0),
        member=lambda rng: 2 * rng.dirichlet(np.full(P, 0.3)),
        vertex=partial(vertex_simplex, total=2.0),
    ),
    Case(
        "capped simplex",
        *with_arguments(project_capped_simplex, support_capped_simplex, total=1.75, cap=0.5),
        misses=lambda x: max(outside(0.0, 0.5)(x), abs(x.sum() - 1.75)),
        member=capped_member,
        vertex=partial(vertex_capped_simplex, total=1.75, cap=0.5),
    ),
    Case(
        "second-order cone",
        project_second_order_cone,
        support_second_order_cone,
        misses=lambda x: max(np.linalg.norm(x[:-1]) - x[-1], 0.0),
        member=second_order_member,
        polar_misses=lambda u: max(np.linalg.norm(u[:-1]) + u[-1], 0.0),
    ),
    Case(
        "semidefinite cone",
        project_positive_semidefinite,
        support_positive_semidefinite,
        misses=eigenvalue_misses,
        member=semidefinite_member,
        polar_misses=lambda u: max(np.linalg.eigvalsh((u + u.T) / 2)[-1], 0.0),
        shape=(4, 4),
    ),
    Case(
        "monotone cone",
        project_monotone_cone,
        support_monotone_cone,
        misses=lambda x: max(-np.diff(x).min(), 0.0),
        member=lambda rng: np.cumsum(np.append(3 * rng.normal(), rng.exponential(size=P - 1))),
        polar_misses=lambda u: max(-np.cumsum(u).min(), abs(u.sum()), 0.0),
        vmappable=False,
    ),
    Case(
        "exponential cone",
        project_exponential_cone,
        support_exponential_cone,
        misses=exponential_misses,
        member=exponential_member,
        polar_misses=exponential_polar_misses,
        shape=(3,),
    ),
    Case(
        "affine set",
        lines.project,
        lines.support,
        misses=lambda x: np.abs(EQUATIONS @ x - TARGETS).max(),
        member=lambda rng: TOWARDS @ TARGETS + (np.eye(P) - TOWARDS @ EQUATIONS) @ rng.normal(size=P),
    ),
]
CONES = [case for case in CASES if case.polar_misses]
BOUNDED = [case for case in CASES if case.vertex]
SCALES = (0.1, 1.0, 10.0, 1e4, 1e8)


def cases(table):
    return pytest.mark.parametrize("case", table, ids=str)


def points(case, scales=SCALES, seed=0):
    """Points of several lengths [N, *shape]: random ones, equal entries, ties, a single large entry, 0."""
    rng = np.random.default_rng(seed)
    found = [np.zeros(case.shape)]
    for scale in scales:
        alone = rng.normal(size=case.shape)
        alone.flat[-1] = scale
        found += [
            *(scale * rng.normal(size=(6, *case.shape))),
            np.full(case.shape, scale),
            np.full(case.shape, -scale),
            *(scale * rng.integers(-1, 2, size=(2, *case.shape)).astype(float)),
            alone,
        ]
    return np.stack(found)


def members(case, count=30, seed=1):
    rng = np.random.default_rng(seed)
    return np.stack([case.member(rng) for _ in range(count)])


def applied(function, array):
    return function(torch.tensor(array)).numpy()


def length(x, case):
    """Of each point [N]."""
    return np.sqrt((x**2).sum(axis=tuple(range(-len(case.shape), 0))))


def inner(a, b, case):
    """Of each pair of points [N]."""
    return (a * b).sum(axis=tuple(range(-len(case.shape), 0)))


def rounding(v, x, case):
    """What rounding may cost: a cone has no size of its own; the other sets of the table are about 50 wide."""
    return 30 * EPS * (length(v, case) if case.polar_misses else 10 + length(x, case))


@cases(CASES)
def test_the_members_of_the_table_are_members(case):
    """Or the laws below would test nothing."""
    for x in members(case):
        assert case.misses(x) <= 30 * EPS * (1 + np.abs(x).max())


@cases(CASES)
def test_a_nearest_point_lies_in_its_set_however_far_its_origin(case):
    v = points(case)
    x = applied(case.project, v)
    missed = np.array([case.misses(one) for one in x])
    assert (missed <= rounding(v, x, case)).all(), v[np.argmax(missed)]


@cases(CASES)
def test_no_member_lies_beyond_the_nearest_point(case):
    """<v - P(v), x - P(v)> <= 0 for all x of the set: with membership, this alone defines the projection."""
    v = points(case)[:, None]
    nearest = applied(case.project, v)
    towards = members(case)[None] - nearest
    away = v - nearest
    # the nearest point inherits the rounding of v, here up to 1e8
    slack = 30 * EPS * (length(v, case) + 10) * (length(away, case) + length(towards, case))
    assert (inner(away, towards, case) <= slack).all()


@cases(CASES)
def test_the_nearest_point_reaches_as_far_as_the_set_does(case):
    """<v - P(v), P(v)> is the support function along v - P(v): the same law, against every member at once.

    All points of the ray from P(v) through v share their nearest point; one that is far from it gives the direction
    with all its digits.
    """
    v = points(case, scales=(0.1, 1.0, 10.0))
    x = applied(case.project, v)
    away = v - x
    moved = length(away, case) > 1e-6 * length(v, case)
    if not moved.any():
        pytest.fail("every point lies in the set")
    x, away = x[moved], away[moved]
    factor = 10 * (1 + length(x, case)) / length(away, case)
    far = x + away * factor.reshape(-1, *[1] * len(case.shape))
    # the direction from v to x has lost up to six digits, and the factor carries them on
    np.testing.assert_allclose(applied(case.project, far), x, atol=1e-8)
    x = applied(case.project, far)
    away = far - x
    reach = applied(case.support, away)
    np.testing.assert_allclose(reach, inner(away, x, case), rtol=0, atol=1e-12 * length(far, case).max() ** 2)


@cases(CASES)
def test_a_member_is_its_own_nearest_point(case):
    x = members(case)
    # members are themselves rounded
    assert (length(applied(case.project, x) - x, case) <= 30 * EPS * (10 + length(x, case))).all()


@cases(CASES)
def test_projecting_twice_is_projecting_once(case):
    v = points(case)
    once = applied(case.project, v)
    twice = applied(case.project, once)
    assert (length(twice - once, case) <= 3 * rounding(v, once, case)).all()


@cases(CASES)
def test_no_two_points_move_apart(case):
    v = points(case)
    w = np.roll(v, 3, axis=0)
    after = length(applied(case.project, v) - applied(case.project, w), case)
    assert (after <= length(v - w, case) + 30 * EPS * (length(v, case) + length(w, case) + 10)).all()


@cases(BOUNDED)
def test_a_vertex_is_a_member_that_no_member_beats(case):
    g = points(case)[:, None]
    x = applied(case.vertex, g)
    for one in x[:, 0]:
        assert case.misses(one) <= 30 * EPS * (10 + np.abs(one).max())
    worse = inner(g, members(case)[None], case) - inner(g, x, case)
    assert (worse >= -1e-13 * length(g, case) * 50).all()  # 50: the widest set of the table


@cases(BOUNDED)
def test_the_support_function_of_a_bounded_set_is_reached_at_a_vertex(case):
    u = points(case)
    expected = inner(u, applied(case.vertex, -u), case)
    # sums of up to 12 products, of an ellipsoid 50 wide
    assert (abs(applied(case.support, u) - expected) <= 1e-14 * length(u, case) * 50).all()


@cases(CASES)
def test_no_member_reaches_beyond_the_support_function(case):
    u, x = points(case, scales=(1.0,))[:, None], members(case)[None]
    slack = 30 * EPS * length(u, case) * (10 + length(x, case))
    assert (applied(case.support, u) >= inner(u, x, case) - slack).all()


@cases(CONES)
def test_a_point_splits_into_orthogonal_parts_of_a_cone_and_its_polar(case):
    """Moreau: with both memberships and orthogonality the splitting is unique."""
    v = points(case)
    x = applied(case.project, v)
    size = length(v, case)
    missed = np.array([case.polar_misses(rest) for rest in v - x])
    assert (missed <= 30 * EPS * size).all(), v[np.argmax(missed)]
    assert (abs(inner(x, v - x, case)) <= 30 * EPS * size**2).all()


@cases(CONES)
def test_the_support_function_of_a_cone_is_finite_on_its_polar_alone(case):
    v = points(case)
    x = applied(case.project, v)
    size = length(v, case)
    outside_the_polar = length(x, case) > 1e-6 * size  # along the ray through x, <v, x> = |x|^2 grows
    assert outside_the_polar.any()
    assert (applied(case.support, v)[outside_the_polar] == np.inf).all()
    far_from_the_cone = length(v - x, case) > 0.3 * size  # the difference has not lost its digits
    assert far_from_the_cone.any()
    assert (applied(case.support, v - x)[far_from_the_cone] == 0.0).all()
    assert applied(case.support, np.zeros(case.shape)) == 0.0


def answers(case):
    return [f for f in (case.project, case.vertex, case.support) if f is not None]


@cases(CASES)
def test_many_points_at_once_are_the_same_as_one_by_one(case):
    """Batching is an optimisation: it may not change a number."""
    v = points(case)[::5][:10]
    some = torch.tensor(v).reshape(2, 5, *case.shape)
    for f in answers(case):
        together = f(some)
        alone = torch.stack([torch.stack([f(point) for point in row]) for row in some])
        # sums may be taken in another order, over points of a length of up to 1e8
        sizes = torch.tensor(length(v, case)).reshape(2, 5, *[1] * (together.dim() - 2))
        assert bool(((together == alone) | ((together - alone).abs() <= 30 * EPS * (50 + sizes))).all())


@cases([case for case in CASES if case.vmappable])
def test_vmap_over_points_is_the_same_as_a_batch(case):
    some = torch.tensor(points(case, scales=(1.0, 10.0)))
    for f in answers(case):
        # sums may be taken in another order
        torch.testing.assert_close(torch.func.vmap(f)(some), f(some), rtol=1e-13, atol=1e-13)


@cases(CASES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)
def test_a_point_of_few_digits_stays_so_and_its_answer_is_right_to_its_last_digit(case, dtype):
    eps = torch.finfo(dtype).eps
    coarse = torch.tensor(points(case, scales=(1.0, 10.0))).to(dtype)
    assert case.support(coarse).dtype == dtype
    for f in answers(case)[:-1]:
        found, exact = f(coarse), f(coarse.double())
        assert found.dtype == dtype
        # relative to each entry; near 0 a half-precision number has fewer digits
        torch.testing.assert_close(found.double(), exact, rtol=eps, atol=eps * 1e-3)


@cases(CASES)
def test_a_point_that_diverged_leaves_its_neighbours_alone(case):
    some = torch.tensor(points(case, scales=(1.0,))[1:4])
    expected = [f(some)[[0, 2]] for f in answers(case)]
    for bad in (torch.nan, torch.inf):
        some[1].view(-1)[0] = bad
        for f, alone in zip(answers(case), expected, strict=True):
            torch.testing.assert_close(f(some)[[0, 2]], alone, rtol=1e-13, atol=1e-13)
        assert not bool(torch.isfinite(case.support(some)[1]))
    some[1] = torch.nan
    assert bool(torch.isnan(case.project(some)[1]).all())


@cases(CASES)
def test_a_point_of_whole_numbers_is_refused(case):
    whole = torch.ones(case.shape, dtype=torch.int64)
    for f in answers(case):
        with pytest.raises(ValueError, match=r"dtype torch\.int64"):
            f(whole)
