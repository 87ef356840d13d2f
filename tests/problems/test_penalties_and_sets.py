"""Penalties and sets as problems hold them: proximal points, conjugates, subdifferentials, supports, refusals."""

import math

import numpy as np
import pytest
import torch
from scipy.optimize import linprog

from optwise.analyses.certificates.doubted_penalties import penalty_faults
from optwise.analyses.certificates.doubted_sets import set_faults
from optwise.core.composite import Composite
from optwise.core.constraint import ConstraintSet
from optwise.core.errors import BadProblem
from optwise.core.oracles import Oracle
from optwise.core.penalty import Penalty
from optwise.problems.terms.functions import SquaredDistance
from optwise.problems.terms.penalties import (
    L0,
    L1,
    MCP,
    SCAD,
    ElasticNetPenalty,
    GroupL2,
    HingeSum,
    HuberNorm,
    L2Norm,
    LInf,
    NonnegativeL1,
    NuclearNorm,
    SortedL1,
    SquaredL2,
    TotalVariation1D,
    WeightedL1,
)
from optwise.problems.terms.sets import (
    Affine,
    Box,
    Budget,
    CappedSimplex,
    Halfspace,
    L1Ball,
    L2Ball,
    LInfBall,
    Nonnegative,
    NuclearBall,
    PSDCone,
    SecondOrderCone,
    Simplex,
)
from optwise.problems.terms.stacking import PenaltySum


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


GROUPS = torch.tensor([0, 0, 1, 1, 2, 0])
WEIGHTS = torch.tensor([0.5, 1.0, 0.0, 2.0, 0.3, 0.7], dtype=torch.float64)
PENALTIES = {
    "l1": L1(0.7),
    "l1 of weight 0": L1(0.0),
    "weighted l1": WeightedL1(WEIGHTS),
    "nonnegative l1": NonnegativeL1(0.7),
    "elastic net": ElasticNetPenalty(0.5, 0.8),
    "elastic net without squares": ElasticNetPenalty(0.5, 0.0),
    "squared l2": SquaredL2(0.6),
    "hinge": HingeSum(0.4),
    "l2": L2Norm(0.7),
    "huber norm": HuberNorm(0.7, 0.5),
    "linf": LInf(0.7),
    "groups": GroupL2(0.7, GROUPS),
    "groups with factors": GroupL2(0.7, GROUPS, torch.tensor([1.0, 0.5, 2.0]).double()),
    "sorted l1": SortedL1(torch.tensor([1.0, 0.8, 0.8, 0.4, 0.1, 0.0]).double()),
    "total variation": TotalVariation1D(0.7),
    "nuclear": NuclearNorm(0.7, (2, 3)),
    "l0": L0(0.3),
    "mcp": MCP(0.5, 3.0),
    "scad": SCAD(0.5),
    "sum over pieces": PenaltySum((L1(0.7), L2Norm(0.4)), (2, 4)),
}
CONVEX = [name for name, g in PENALTIES.items() if g.convex]
SEPARABLE = [name for name, g in PENALTIES.items() if Oracle.SUBDIFFERENTIAL in g.oracles]

VALUES = {
    "l1": lambda w: 0.7 * np.abs(w).sum(),
    "l1 of weight 0": lambda w: 0.0,
    "weighted l1": lambda w: WEIGHTS.numpy() @ np.abs(w),
    "nonnegative l1": lambda w: 0.7 * w.sum() if (w >= 0).all() else math.inf,
    "elastic net": lambda w: 0.5 * np.abs(w).sum() + 0.4 * w @ w,
    "elastic net without squares": lambda w: 0.5 * np.abs(w).sum(),
    "squared l2": lambda w: 0.3 * w @ w,
    "hinge": lambda w: 0.4 * np.maximum(0, 1 - w).sum(),
    "l2": lambda w: 0.7 * np.linalg.norm(w),
    "huber norm": lambda w: 0.7 * (np.linalg.norm(w) - 0.25 if np.linalg.norm(w) > 0.5 else w @ w),
    "linf": lambda w: 0.7 * np.abs(w).max(),
    "sum over pieces": lambda w: 0.7 * np.abs(w[:2]).sum() + 0.4 * np.linalg.norm(w[2:]),
    "groups": lambda w: 0.7 * sum(np.linalg.norm(w[GROUPS.numpy() == j]) for j in range(3)),
    "groups with factors": lambda w: (
        0.7 * sum(factor * np.linalg.norm(w[GROUPS.numpy() == j]) for j, factor in enumerate((1.0, 0.5, 2.0)))
    ),
    "sorted l1": lambda w: np.array([1.0, 0.8, 0.8, 0.4, 0.1, 0.0]) @ np.sort(np.abs(w))[::-1],
    "total variation": lambda w: 0.7 * np.abs(np.diff(w)).sum(),
    "nuclear": lambda w: 0.7 * np.linalg.svd(w.reshape(2, 3), compute_uv=False).sum(),
    "l0": lambda w: 0.3 * np.count_nonzero(w),
    # the integrals of the slopes max(0, 0.5 - t / 3) and SCAD's, from 0 to |w|
    "mcp": lambda w: sum(0.5 * t - t**2 / 6 if t <= 1.5 else 0.375 for t in np.abs(w)),
    "scad": lambda w: sum(
        0.5 * t if t <= 0.5 else (3.7 * t - t**2 - 0.25) / 5.4 if t <= 1.85 else 0.5875 for t in np.abs(w)
    ),
}


@pytest.mark.parametrize("name", PENALTIES)
def test_a_penalty_has_the_value_of_its_formula(name):
    g, points = PENALTIES[name], 1.5 * normal(8, 6, seed=1)
    points[:2] = points[:2].abs()
    points[0, ::2] = 0.0
    expected = torch.tensor([float(VALUES[name](w)) for w in points.numpy()], dtype=torch.float64)
    torch.testing.assert_close(g.value(points), expected)
    assert float(g.value(points[3])) == pytest.approx(float(expected[3]))
    assert float(expected.min()) >= g.lower_bound == 0.0


@pytest.mark.parametrize("step", [0.3, 1.0, 5.0])
@pytest.mark.parametrize("name", PENALTIES)
def test_no_point_is_better_than_the_proximal_one(name, step):
    """By the definition: points near and far, on the axes and on the segment to the point that was mapped."""
    g = PENALTIES[name]
    for seed in range(5):
        v = 2 * normal(6, seed=seed)
        x = g.prox(v, step)

        def objective(points, v=v):
            return step * g.value(points) + 0.5 * (points - v).square().sum(-1)

        others = torch.cat(
            [
                x + torch.logspace(-4, 1, 30, dtype=torch.float64)[:, None] * normal(30, 6, seed=seed + 50),
                x * (normal(30, 6, seed=seed + 90) > -0.5),
                v * torch.linspace(0, 1, 20, dtype=torch.float64)[:, None],
            ]
        )
        assert float(objective(x)) <= float(objective(others).min()) + 1e-12
        torch.testing.assert_close(g.prox(torch.stack([v, -v]), step)[0], x)


@pytest.mark.parametrize("name", CONVEX)
def test_a_conjugate_of_a_penalty_meets_it_at_a_subgradient_and_exceeds_it_elsewhere(name):
    g = PENALTIES[name]
    for seed in range(5):
        v, step = 2 * normal(6, seed=seed), 0.8
        x = g.prox(v, step)
        u = (v - x) / step
        # rounding may leave the subgradient just outside a domain; drawn in it loses its share of the product
        u = (1 - 1e-12) * u
        tolerance = 1e-9
        torch.testing.assert_close(g.value(x) + g.conjugate(u), u @ x, rtol=0, atol=tolerance)
        points = 3 * normal(200, 6, seed=seed + 20)
        finite = torch.isfinite(g.value(points))
        below = torch.where(finite, points @ u - g.value(points), -math.inf)
        assert float(below.max()) <= float(g.conjugate(u)) + tolerance


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", CONVEX)
def test_a_dual_point_is_scaled_as_far_as_its_conjugate_is_finite_and_no_further(name, dtype):
    g = PENALTIES[name].to(dtype=dtype)
    for seed in range(40):
        u = (10.0 ** ((seed % 5) - 2) * normal(6, seed=seed)).to(dtype)
        if name == "hinge":
            u = -u.abs()
        if name == "total variation":
            u -= u.mean()
        t = g.dual_scale(u)
        assert 0 <= t <= 1
        assert math.isfinite(g.conjugate(t * u))
        if math.isfinite(g.conjugate(u)):
            assert t == 1
        elif t > 0:
            assert not math.isfinite(g.conjugate((1 + 1e-4) * t * u))
        else:
            assert not math.isfinite(g.conjugate(1e-20 * u)), "0 says that no multiple will do"
    assert g.dual_scale(torch.zeros(6, dtype=dtype)) == 1


@pytest.mark.parametrize(
    ("g", "u", "t"),
    [
        (L1(0.5), [2.0, -1.0], 0.25),
        (L1(0.0), [2.0, -1.0], 0.0),
        (NonnegativeL1(0.5), [-9.0, 2.0], 0.25),
        (HingeSum(0.5), [-2.0, 1e-9], 0.0),
        (HingeSum(0.5), [-2.0, 0.0], 0.25),
        (SquaredL2(0.5), [9.0, 9.0], 1.0),
        (L2Norm(1.0), [3.0, 4.0], 0.2),
        (LInf(1.0), [3.0, 1.0], 0.25),
        (SortedL1(torch.tensor([2.0, 1.0]).double()), [4.0, 4.0], 0.375),
        (TotalVariation1D(1.0), [2.0, -2.0], 0.5),
        (TotalVariation1D(1.0), [2.0, -1.0], 0.0),
        (NuclearNorm(1.0, (1, 2)), [3.0, 4.0], 0.2),
    ],
)
def test_the_scale_of_a_dual_point_is_what_a_calculation_by_hand_gives(g, u, t):
    assert g.dual_scale(torch.tensor(u, dtype=torch.float64)) == pytest.approx(t, rel=1e-12)


@pytest.mark.parametrize("name", SEPARABLE)
def test_the_violation_is_the_distance_to_the_one_sided_slopes(name):
    """The subdifferential of a function of one number is the interval between its slopes to both sides."""
    g, h = PENALTIES[name], 1e-7
    w = torch.tensor([0.0, 0.0, 0.9, 1.0, -0.4, 2.5], dtype=torch.float64)
    if name == "nonnegative l1":
        w = w.abs()
    for seed in range(10):
        gradient = normal(6, seed=seed)
        for i in range(6):
            e = torch.eye(6, dtype=torch.float64)[i]
            here, left, right = (float(g.value(w + shift * e)) for shift in (0.0, -h, h))
            low, high = sorted(((here - left) / h, (right - here) / h))
            if name == "l0" and float(w[i]) == 0:
                low, high = -math.inf, math.inf
            expected = max(low + float(gradient[i]), -float(gradient[i]) - high, 0.0)
            # a slope over 1e-7 is off by as much times the curvature, and by rounding over it
            assert float(g.violation(w, gradient)[i]) == pytest.approx(expected, abs=1e-6)


def test_no_gradient_makes_a_point_outside_of_the_orthant_stationary():
    found = NonnegativeL1(0.5).violation(torch.tensor([-1.0, 0.0]), torch.tensor([-0.5, -1.0]))
    assert found.tolist() == [math.inf, 0.5]


@pytest.mark.parametrize("step", [0.4, 1.0, 3.5, 6.0])
@pytest.mark.parametrize("name", SEPARABLE)
def test_the_derivative_of_a_proximal_map_is_that_of_central_differences(name, step):
    g, h = PENALTIES[name], 1e-7
    for seed in range(10):
        v = 2 * normal(6, seed=seed)  # at no kink, up to chance: the seeds are fixed
        difference = (g.prox(v + h, step) - g.prox(v - h, step)) / (2 * h)
        torch.testing.assert_close(g.prox_derivative(v, step), difference, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", SEPARABLE)
def test_a_penalty_on_some_coordinates_is_its_part_of_the_whole(name):
    g, index, w = PENALTIES[name], torch.tensor([4, 1]), normal(6, seed=3).abs()
    part, rest = g.restricted(index), g.restricted(torch.tensor([0, 2, 3, 5]))
    torch.testing.assert_close(part.value(w[index]) + rest.value(w[[0, 2, 3, 5]]), g.value(w))
    assert torch.equal(part.prox(w[index], 0.5), g.prox(w, 0.5)[index])


def test_penalties_say_what_they_can_answer():
    answers = {name: g.oracles for name, g in PENALTIES.items()}
    assert all(Oracle.PROX in found for found in answers.values())
    assert {name for name, found in answers.items() if Oracle.CONVEX_PENALTY not in found} == {"l0", "mcp", "scad"}
    assert {name for name, found in answers.items() if Oracle.CONJUGATE not in found} == {"l0", "mcp", "scad"}
    whole = {
        "l2",
        "huber norm",
        "linf",
        "groups",
        "groups with factors",
        "sorted l1",
        "total variation",
        "nuclear",
        "sum over pieces",
    }
    assert {name for name, found in answers.items() if Oracle.SUBDIFFERENTIAL not in found} == whole
    assert PenaltySum((L0(1.0), L1(1.0)), (2, 4)).oracles == {Oracle.PROX}, "a sum answers what all its parts do"


@pytest.mark.parametrize("name", PENALTIES)
def test_a_penalty_follows_to_another_dtype(name):
    g, w = PENALTIES[name], normal(6, seed=4).abs()
    half = g.to(dtype=torch.float32)
    assert half.value(w.float()).dtype == half.prox(w.float(), 0.5).dtype == torch.float32
    torch.testing.assert_close(half.prox(w.float(), 0.5).double(), g.prox(w, 0.5), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(half.to(dtype=torch.float64).value(w), g.value(w), rtol=1e-6, atol=1e-6)


BAD_PENALTIES = [
    (lambda: L1(-1.0), "weight of an l1 norm is -1"),
    (lambda: L1(math.nan), "weight of an l1 norm is nan"),
    (lambda: WeightedL1(torch.tensor([1.0, -2.0])), "holds -2 at entry 1"),
    (lambda: WeightedL1(torch.tensor([[1.0]])), "shape (1, 1)"),
    (lambda: NonnegativeL1(math.inf), "is inf"),
    (lambda: ElasticNetPenalty(-1.0, 0.0), "weight l1 of an elastic net is -1"),
    (lambda: ElasticNetPenalty(0.0, -1.0), "weight l2 of an elastic net is -1"),
    (lambda: SquaredL2(-1.0), "squared l2 norm is -1"),
    (lambda: HingeSum(-1.0), "hinge loss is -1"),
    (lambda: L2Norm(-1.0), "l2 norm is -1"),
    (lambda: LInf(-1.0), "maximum norm is -1"),
    (lambda: HuberNorm(1.0, 0.0), "delta of a Huber norm is 0; give a finite number above 0"),
    (lambda: HuberNorm(-1.0, 1.0), "weight of a Huber norm is -1"),
    (lambda: GroupL2(1.0, torch.tensor([0, 2])), "do not number the groups"),
    (lambda: GroupL2(1.0, torch.tensor([0.0, 1.0])), "do not number the groups"),
    (lambda: GroupL2(1.0, torch.tensor([-1, 0])), "do not number the groups"),
    (lambda: GroupL2(-1.0, torch.tensor([0, 1])), "group norm is -1"),
    (lambda: GroupL2(1.0, torch.tensor([0, 1]), torch.ones(3)), "2 groups have 3 factors"),
    (lambda: GroupL2(1.0, torch.tensor([0, 1]), -torch.ones(2)), "factors of the groups holds -1"),
    (lambda: SortedL1(torch.tensor([1.0, 2.0])), "rise"),
    (lambda: SortedL1(torch.tensor([-1.0, -2.0])), "holds -1"),
    (lambda: TotalVariation1D(-1.0), "total variation is -1"),
    (lambda: NuclearNorm(1.0, (2, 0)), "shape of a nuclear norm is (2, 0)"),
    (lambda: NuclearNorm(-1.0, (2, 2)), "nuclear norm is -1"),
    (lambda: L0(-1.0), "count of nonzeros is -1"),
    (lambda: MCP(-1.0), "level of MCP is -1"),
    (lambda: MCP(1.0, 1.0), "gamma of MCP is 1; give a finite number above 1"),
    (
        lambda: NuclearNorm((12, 10), 0.5),
        "is (12, 10), of type tuple; give a finite number of at least 0, in the order",
    ),
    (lambda: NuclearNorm(0.5, 12), "shape of a nuclear norm is 12; give the rows and columns of a matrix"),
    (lambda: NuclearNorm(0.5, (2.5, 2)), "shape of a nuclear norm is (2.5, 2)"),
    (
        lambda: GroupL2([0, 1], 0.5),
        "is [0, 1], of type list; give a finite number of at least 0, in the order GroupL2(",
    ),
    (lambda: GroupL2(0.5, ["a", "b"]), "do not number the groups"),
    (lambda: L1([0.1, 0.2]), "weight of an l1 norm is [0.1, 0.2], of type list"),
    (lambda: L1(np.ones(2)), "weight of an l1 norm is of type ndarray and has shape (2,)"),
    (lambda: L1("0.1"), "weight of an l1 norm is '0.1', of type str"),
    (lambda: WeightedL1(0.5), "has shape (); give one number for each entry, a vector."),
    (lambda: WeightedL1(["a"]), "The weights of an l1 norm is of type list and holds <U1 such as 'a'; give numbers."),
    (lambda: SCAD(-1.0), "level of SCAD is -1"),
    (lambda: SCAD(1.0, 2.0), "a of SCAD is 2; give a finite number above 2"),
]


@pytest.mark.parametrize(("make", "says"), BAD_PENALTIES)
def test_numbers_that_make_no_penalty_are_refused(make, says):
    with pytest.raises(BadProblem) as refusal:
        make()
    assert says in str(refusal.value)


A, B = normal(2, 6, seed=5), normal(2, seed=6)
LOW, HIGH = -normal(6, seed=7).abs(), normal(6, seed=8).abs()
OPEN = torch.where(torch.arange(6) < 3, math.inf, HIGH)
PRICES = torch.tensor([1.0, 2.0, -1.0, 0.5, 0.0, 1.0], dtype=torch.float64)


def simplex_points(seed, count=200, p=6):
    raw = -torch.rand(count, p, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).log()
    return raw / raw.sum(-1, keepdim=True)


def signs(seed):
    return normal(200, 6, seed=seed).sign()


def in_ball(points, radius, order):
    lengths = torch.linalg.vector_norm(points, order, dim=-1, keepdim=True)
    return points / lengths.clamp(min=1e-9) * radius * torch.linspace(0, 1, len(points)).double()[:, None]


def uniform(seed):
    return torch.rand(200, 6, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def affine_points(seed):
    basis = torch.linalg.svd(A, full_matrices=True)[2][2:]
    return torch.linalg.lstsq(A, B[:, None]).solution[:, 0] + 3 * normal(200, 4, seed=seed) @ basis


def matrices(seed, rows, columns):
    return normal(200, rows, columns, seed=seed)


def nuclear_points(seed):
    X = matrices(seed, 2, 3)
    X = X / torch.linalg.svdvals(X).sum(-1)[:, None, None] * 1.5 * torch.linspace(0, 1, 200).double()[:, None, None]
    return X.reshape(200, 6)


def psd_points(seed):
    X = matrices(seed, 3, 2)
    return (X @ X.mT).reshape(200, 9)


def cone_points(seed):
    x = normal(200, 5, seed=seed)
    return torch.cat([x, x.norm(dim=-1, keepdim=True) + uniform(seed)[:, :1]], dim=-1)


def budget_points(seed):
    """The last coordinate pays for the others; only those within its bounds count."""
    x = LOW + uniform(seed) * (HIGH - LOW)
    x[:, 5] = 0.3 - x[:, :5] @ PRICES[:5]
    kept = x[(x[:, 5] >= LOW[5]) & (x[:, 5] <= HIGH[5])]
    assert len(kept) > 20
    return kept


def capped_points(seed):
    x = simplex_points(seed) * 2.5
    kept = x[(x <= 1).all(-1)]
    assert len(kept) > 20
    return kept


def halfspace_points(seed):
    x = 2 * normal(200, 6, seed=seed)
    return x[x @ PRICES <= 0.3]


SETS = {
    "box": (Box(LOW, HIGH), lambda seed: LOW + uniform(seed) * (HIGH - LOW)),
    "open box": (Box(LOW, OPEN), lambda seed: LOW + uniform(seed) * torch.where(torch.isinf(OPEN), 5.0, HIGH - LOW)),
    "orthant": (Nonnegative(6), lambda seed: 3 * uniform(seed)),
    "budget": (Budget(PRICES, 0.3, LOW, HIGH), budget_points),
    "open budget": (Budget(PRICES, 0.3, LOW, OPEN), budget_points),
    "l1 ball": (L1Ball(1.5), lambda seed: 1.5 * signs(seed) * simplex_points(seed)),
    "l2 ball": (L2Ball(1.5), lambda seed: in_ball(normal(200, 6, seed=seed), 1.5, 2)),
    "linf ball": (LInfBall(1.5), lambda seed: 3 * uniform(seed) - 1.5),
    "simplex": (Simplex(1.5), lambda seed: 1.5 * simplex_points(seed)),
    "capped simplex": (CappedSimplex(6, 2.5), capped_points),
    "nuclear ball": (NuclearBall((2, 3), 1.5), nuclear_points),
    "second-order cone": (SecondOrderCone(), cone_points),
    "psd cone": (PSDCone(3), psd_points),
    "affine": (Affine(A, B), affine_points),
    "halfspace": (Halfspace(PRICES, 0.3), halfspace_points),
}
BOUNDED = ["box", "budget", "l1 ball", "l2 ball", "linf ball", "simplex", "capped simplex", "nuclear ball"]


@pytest.mark.parametrize("name", SETS)
def test_a_projection_lies_in_the_set_and_no_point_of_it_is_nearer(name):
    """The variational inequality: from the projection, every point of the set lies on the other side."""
    C, feasible = SETS[name]
    points = feasible(1)
    assert C.contains(points, 1e-9), "the sampled points are in the set, says the set"
    scale = 3.0
    for seed in range(5):
        v = scale * normal(points.shape[-1], seed=seed)
        x = C.project(v)
        assert C.contains(x, 1e-10)
        assert float(((points - x) @ (v - x)).max()) <= 1e-9 * float(v.norm() * points.norm(dim=-1).max())
        torch.testing.assert_close(C.violation(v), (v - x).norm())
        torch.testing.assert_close(C.project(torch.stack([v, x]))[0], x)


@pytest.mark.parametrize("name", SETS)
def test_a_support_function_is_the_most_a_linear_function_reaches(name):
    C, feasible = SETS[name]
    points = feasible(2)
    for seed in range(20):
        u = normal(points.shape[-1], seed=seed)
        if name in BOUNDED:
            corner = C.vertex(-u)
            assert C.contains(corner, 1e-10)
            torch.testing.assert_close(C.support(u), u @ corner)
            assert C.dual_scale(u) == 1
            assert float(u @ C.vertex(u)) <= float((points @ u).min()) + 1e-12
        assert float(C.support(u)) >= float((points @ u).max()) - 1e-9
        assert C.dual_scale(u) == (1 if math.isfinite(C.support(u)) else 0)


@pytest.mark.parametrize(
    ("C", "u", "support"),
    [
        (SETS["orthant"][0], [-1.0, 0.0, -2.0, 0.0, 0.0, -1.0], 0.0),
        (SETS["second-order cone"][0], [0.0, 3.0, 0.0, -4.0, 0.0, -5.0], 0.0),
        (SETS["second-order cone"][0], [0.0, 3.0, 0.0, -4.0, 0.0, -4.9], math.inf),
        (SETS["psd cone"][0], [-2.0, 1.0, 0.0, 1.0, -2.0, 0.0, 0.0, 0.0, -1.0], 0.0),
        (SETS["psd cone"][0], [-2.0, 3.0, 0.0, 3.0, -2.0, 0.0, 0.0, 0.0, -1.0], math.inf),
        (SETS["halfspace"][0], (2 * PRICES).tolist(), 0.6),
        (SETS["halfspace"][0], (-2 * PRICES).tolist(), math.inf),
        (SETS["affine"][0], (A[0] - 3 * A[1]).tolist(), float(B[0] - 3 * B[1])),
        (SETS["affine"][0], [1.0, 0.0, 0.0, 0.0, 0.0, 0.0], math.inf),
        (SETS["open box"][0], [-1.0, 0.0, 0.0, 0.0, 1.0, 0.0], float(HIGH[4] - LOW[0])),
        (SETS["open box"][0], [1e-9, 0.0, 0.0, 0.0, 1.0, 0.0], math.inf),
    ],
)
def test_the_support_of_an_unbounded_set_is_what_a_calculation_by_hand_gives(C, u, support):
    u = torch.tensor(u, dtype=torch.float64)
    assert float(C.support(u)) == pytest.approx(support, abs=1e-12)
    assert C.dual_scale(u) == (1 if math.isfinite(support) else 0)


@pytest.mark.parametrize("name", ["box", "budget", "open budget", "simplex", "capped simplex", "l1 ball", "linf ball"])
def test_support_functions_of_polyhedra_are_linear_programs(name):
    C, _ = SETS[name]
    equations = {
        "budget": (PRICES.numpy()[None], [0.3]),
        "open budget": (PRICES.numpy()[None], [0.3]),
        "simplex": (np.ones((1, 6)), [1.5]),
        "capped simplex": (np.ones((1, 6)), [2.5]),
    }
    bounds = {
        "box": list(zip(LOW.tolist(), HIGH.tolist(), strict=True)),
        "budget": list(zip(LOW.tolist(), HIGH.tolist(), strict=True)),
        "open budget": list(zip(LOW.tolist(), OPEN.tolist(), strict=True)),
        "simplex": [(0, None)] * 6,
        "capped simplex": [(0, 1)] * 6,
        "linf ball": [(-1.5, 1.5)] * 6,
        "l1 ball": [(0, None)] * 12,
    }
    for seed in range(5):
        u = normal(6, seed=seed).numpy()
        if name == "open budget" and seed % 2:  # no open coordinate pays more than its price
            u = 0.7 * PRICES.numpy() - np.abs(u)
        if name == "l1 ball":  # both signs of every coordinate, of sum 1.5 at most
            program = linprog(np.r_[-u, u], A_ub=np.ones((1, 12)), b_ub=[1.5], bounds=bounds[name])
        else:
            rows, sides = equations.get(name, (None, None))
            program = linprog(-u, A_eq=rows, b_eq=sides, bounds=bounds[name])
        most = math.inf if program.status == 3 else -program.fun  # 3 says unbounded
        assert float(C.support(torch.from_numpy(u))) == pytest.approx(most, rel=1e-9)


def test_sets_say_what_they_can_answer():
    corners = {name for name, (C, _) in SETS.items() if Oracle.VERTEX in C.oracles}
    assert corners == set(BOUNDED)
    assert {name for name, (C, _) in SETS.items() if Oracle.BOUNDS in C.oracles} == {"box", "open box", "orthant"}
    assert all(C.oracles >= {Oracle.PROJECTION, Oracle.SUPPORT, Oracle.CONVEX_SET} for C, _ in SETS.values())


def test_bounds_have_the_dtype_of_the_problem():
    low, high = Nonnegative(2).to(dtype=torch.float32).bounds()
    assert low.dtype == torch.float32
    assert (low.tolist(), high.tolist()) == ([0.0, 0.0], [math.inf, math.inf])
    assert SETS["open box"][0].to(dtype=torch.float32).bounds()[1].dtype == torch.float32


@pytest.mark.parametrize("name", SETS)
def test_a_set_follows_to_another_dtype_and_back(name):
    C, feasible = SETS[name]
    v = 2 * normal(feasible(1).shape[-1], seed=9)
    half = C.to(dtype=torch.float32)
    assert half.project(v.float()).dtype == torch.float32
    torch.testing.assert_close(half.project(v.float()).double(), C.project(v), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(half.to(dtype=torch.float64).project(v), C.project(v), rtol=1e-5, atol=1e-5)


def test_equations_that_agree_up_to_float32_still_do_when_a_certificate_recomputes_them_in_float64():
    rows = normal(2, 6, seed=10).float()
    rows = torch.cat([rows, rows.sum(0, keepdim=True) / 3])
    C = Affine(rows, rows @ torch.ones(6))
    assert C.to(dtype=torch.float64).project(torch.zeros(6).double()).dtype == torch.float64


BAD_SETS = [
    (lambda: Box(torch.tensor([2.0]), torch.tensor([1.0])), "low is 2 where high is 1"),
    (lambda: Box(torch.tensor([math.nan]), torch.tensor([1.0])), "low, holds nan"),
    (lambda: Box(torch.zeros(2), torch.zeros(3)), "shapes (2,) and (3,)"),
    (lambda: Budget(torch.ones(2), 9.0, torch.zeros(2), torch.ones(2)), "leaves out b = 9"),
    (
        lambda: Budget(torch.ones(3), 1.0, torch.zeros(2), torch.ones(2)),
        "have shapes (2,) and (2,) for 3; give one number for all coordinates",
    ),
    (lambda: L1Ball(-1.0), "radius of an l1 ball is -1"),
    (lambda: L2Ball(math.inf), "radius of a Euclidean ball is inf"),
    (lambda: LInfBall(math.nan), "radius of a ball of the maximum norm is nan"),
    (lambda: Simplex(-1.0), "total of a simplex is -1"),
    (lambda: CappedSimplex(3, 4.0), "total is 4"),
    (lambda: CappedSimplex(3, 1.0, cap=-1.0), "cap of a capped simplex is -1"),
    (lambda: NuclearBall((2, 2), -1.0), "radius of a nuclear ball is -1"),
    (lambda: NuclearBall((0, 2)), "shape of a nuclear ball is (0, 2)"),
    (lambda: NuclearBall(1.5, (2, 2)), "shape of a nuclear ball is 1.5; give the rows and columns of a matrix"),
    (lambda: CappedSimplex(0.25, 1.0, 20), "size of a capped simplex is 0.25; give a whole number of at least 1, in"),
    (lambda: CappedSimplex(20, 1.0, [0.25]), "cap of a capped simplex is [0.25], of type list"),
    (lambda: Nonnegative(2.5), "size of an orthant is 2.5"),
    (lambda: Box(2.0, 1.0), "low is 2 where high is 1"),
    (lambda: Box([[0.0]], 1.0), "shapes (1, 1) and (); give one number for all coordinates, or one for each, in both"),
    (lambda: Nonnegative().bounds(), "An orthant without a size has no bounds yet"),
    (lambda: Box([math.inf], [math.inf]), "low < inf"),
    (lambda: L2Ball("1"), "radius of a Euclidean ball is '1', of type str"),
    (lambda: Halfspace(1.0, [1.0, 2.0]), "in the order Halfspace(a, b)"),
    (lambda: Affine([1.0, 1.0], 1.0), "has shape (2,); give a row for each equation, in the order Affine(A, b)"),
    (lambda: PSDCone((2, 2)), "side of a cone of matrices is (2, 2), of type tuple"),
    (lambda: PSDCone(0), "side of a cone of matrices is 0; give a whole number of at least 1"),
    (lambda: Affine(torch.ones(2, 2), torch.tensor([1.0, 2.0])), "rank 1"),
    (lambda: Affine(torch.ones(2, 2), torch.ones(3)), "target [3]"),
    (
        lambda: Affine(torch.ones(1, 2), torch.tensor([math.nan])),
        "right-hand side b of an affine set holds nan at entry 0",
    ),
    (lambda: Halfspace(torch.zeros(2), -1.0), "a is 0"),
    (lambda: Halfspace(torch.zeros(2, 2), 1.0), "normal of a halfspace has shape (2, 2)"),
]


@pytest.mark.parametrize(("make", "says"), BAD_SETS)
def test_numbers_that_make_no_set_are_refused(make, says):
    with pytest.raises(BadProblem) as refusal:
        make()
    assert says in str(refusal.value)


def test_every_atom_is_tried_here():
    def atoms(kind):
        found = {sub for sub in kind.__subclasses__() if sub.__module__.startswith("optwise.problems.terms")}
        return {sub.__name__ for sub in found}

    assert atoms(Penalty) == {type(g).__name__ for g in PENALTIES.values()}
    assert atoms(ConstraintSet) == {type(C).__name__ for C, _ in SETS.values()}


@pytest.mark.parametrize("scale", [1e-12, 1e-6, 1.0, 1e6, 1e12])
def test_none_of_them_is_accused_of_not_being_what_it_says(scale):
    """What is asked of a part that somebody else wrote holds for each of these, near and far."""
    for seed in range(6):
        for g in PENALTIES.values():
            w, target = scale * normal(6, seed=seed) * (normal(6, seed=seed + 7) > -0.5), scale * normal(6, seed=3)
            posed = Composite(SquaredDistance(target), penalty=g, start=torch.zeros_like(target))
            assert not any(penalty_faults(posed, g, g.prox(w, scale)))
        for C, feasible in SETS.values():
            size = feasible(1).shape[-1]
            w, target = scale * normal(size, seed=seed), scale * normal(size, seed=3)
            posed = Composite(SquaredDistance(target), constraint=C, start=C.project(torch.zeros_like(target)))
            assert not any(set_faults(posed, C, C.project(w)))
