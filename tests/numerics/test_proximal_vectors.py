"""Maps of whole vectors and matrices: against dense programs, sklearn and the definition of a minimum; refusals."""

import itertools

import numpy as np
import pytest
import torch
from scipy.optimize import LinearConstraint, brentq, linprog, lsq_linear, minimize
from sklearn.isotonic import IsotonicRegression

from optwise.numerics.proximal.chains import (
    conjugate_fused_lasso,
    conjugate_total_variation,
    prox_fused_lasso,
    prox_total_variation,
)
from optwise.numerics.proximal.groups import conjugate_group_l2, prox_group_l2
from optwise.numerics.proximal.l1 import prox_l1
from optwise.numerics.proximal.matrices import (
    conjugate_negative_log_determinant,
    conjugate_nuclear_norm,
    prox_negative_log_determinant,
    prox_nuclear_norm,
    prox_psd_trace,
    prox_spectral_norm,
    psd_trace,
)
from optwise.numerics.proximal.norms import prox_huber_norm, prox_l2_norm, prox_linf_norm
from optwise.numerics.proximal.sorted_l1 import conjugate_sorted_l1, non_increasing, prox_sorted_l1

FALLING = np.array([2.0, 1.2, 1.2, 0.3])
JUMPS = np.array([1.0, 0.3, 0.7])
LABELS = np.array([1, 0, 1, 3])
OMEGA = np.array([0.8, 1.5, 9.0, 0.0])  # nobody is in group 2, and group 3 is free


def tensor(array):
    return torch.from_numpy(np.asarray(array, dtype=np.float64))


def huber_norm(x, delta):
    norm = np.linalg.norm(x)
    return norm**2 / (2 * delta) if norm <= delta else norm - delta / 2


# g of one instance, as a textbook writes it; its map; the shape of an instance
FUNCTIONS = {
    "l2 norm": (np.linalg.norm, prox_l2_norm, 4),
    "huber norm": (lambda x: huber_norm(x, 1.5), lambda v, s: prox_huber_norm(v, s, delta=1.5), 4),
    "l-infinity norm": (lambda x: np.abs(x).max(), prox_linf_norm, 4),
    "group norm": (
        lambda x: sum(w * np.linalg.norm(x[label == LABELS]) for label, w in enumerate(OMEGA)),
        lambda v, s: prox_group_l2(v, s, groups=torch.from_numpy(LABELS), weights=tensor(OMEGA)),
        4,
    ),
    "sorted l1": (
        lambda x: FALLING @ np.sort(np.abs(x))[::-1],
        lambda v, s: prox_sorted_l1(v, s, weights=tensor(FALLING)),
        4,
    ),
    "total variation": (
        lambda x: JUMPS @ np.abs(np.diff(x)),
        lambda v, s: prox_total_variation(v, s, weight=tensor(JUMPS)),
        4,
    ),
    "fused lasso": (
        lambda x: 0.4 * np.abs(x).sum() + JUMPS @ np.abs(np.diff(x)),
        lambda v, s: prox_fused_lasso(v, s, l1=0.4, tv=tensor(JUMPS)),
        4,
    ),
    "nuclear norm": (lambda X: np.linalg.norm(X, "nuc"), prox_nuclear_norm, (3, 2)),
    "spectral norm": (lambda X: np.linalg.norm(X, 2), prox_spectral_norm, (3, 2)),
    "trace of the semidefinite": (np.trace, prox_psd_trace, (3, 3)),
    "log det": (lambda X: -np.linalg.slogdet(X)[1], prox_negative_log_determinant, (3, 3)),
}


def elsewhere(name, x, v, rng):
    """Points of the domain to go towards: random ones, some of the same zeros as the result, 0, v."""
    if name in ("trace of the semidefinite", "log det"):
        roots = rng.normal(size=(60, 3, 3)) * rng.exponential(size=(60, 1, 1)) * (rng.random((60, 1, 3)) < 0.7)
        return roots @ roots.swapaxes(-1, -2) + 1e-9 * np.eye(3)
    random = rng.normal(size=(40, *x.shape)) * rng.exponential(size=(40,) + (1,) * x.ndim)
    supported = random[:20] * (np.abs(x) > 1e-9)  # where entries are 0, directions that leave them so
    return np.concatenate([random, supported, x + supported, np.stack([0 * x, 0.5 * x, 2 * x, v])])


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("step", [0.2, 1.0, 5.0])
def test_the_objective_grows_from_the_mapped_point_as_from_the_minimum_of_a_strongly_convex_function(name, step):
    r"""The definition: :math:`F(y) \ge F(x) + \tfrac12 \|y - x\|^2` for all y if and only if x is the minimum."""
    rng = np.random.default_rng(0)
    g, prox, shape = FUNCTIONS[name]
    for _ in range(5):
        v = 1.5 * rng.normal(size=shape)
        x = prox(tensor(v), step).numpy()

        def objective(y, v=v):
            return step * g(y) + ((y - v) ** 2).sum() / 2

        for z, share in itertools.product(elsewhere(name, x, v, rng), (1.0, 0.1, 1e-3)):
            y = x + share * (z - x)
            # rounding of objectives of up to a few hundred
            assert objective(y) >= objective(x) + ((y - x) ** 2).sum() / 2 - 1e-12 * max(1.0, objective(y)), share


# each norm as the largest of linear functions a . x: its map is a quadratic program in (x, bound)
SIGNS = np.array(list(itertools.product((1, -1), repeat=4)))
FACES = {
    "l-infinity norm": np.concatenate([np.eye(4), -np.eye(4)]),
    "sorted l1": np.array([s * FALLING[list(p)] for s in SIGNS for p in itertools.permutations(range(4))]),
    "total variation": np.array([(s[:3] * JUMPS) @ np.diff(np.eye(4), axis=0) for s in SIGNS]),
    "fused lasso": np.array([0.4 * s + (r[:3] * JUMPS) @ np.diff(np.eye(4), axis=0) for s in SIGNS for r in SIGNS]),
}


@pytest.mark.parametrize("name", FACES)
def test_a_polyhedral_map_solves_its_quadratic_program(name):
    rng = np.random.default_rng(0)
    faces = np.unique(FACES[name], axis=0)
    below_bound = LinearConstraint(np.column_stack([-faces, np.ones(len(faces))]), lb=0)
    for step in (0.3, 1.0):
        v = 1.5 * rng.normal(size=4)
        found = minimize(
            lambda z, v=v, step=step: step * z[4] + ((z[:4] - v) ** 2).sum() / 2,
            np.zeros(5),
            jac=lambda z, v=v, step=step: np.append(z[:4] - v, step),
            constraints=[below_bound],
            method="SLSQP",
            options={"ftol": 1e-14, "maxiter": 500},
        )
        # SLSQP stops where the objective changes by 1e-14, so 1e-7 from the minimum
        np.testing.assert_allclose(FUNCTIONS[name][1](tensor(v), step).numpy(), found.x[:4], atol=1e-6)


@pytest.mark.parametrize("p", [1, 2, 3, 7, 30])
def test_total_variation_is_the_dual_of_bounded_least_squares(p):
    rng = np.random.default_rng(0)
    for _ in range(10):
        v = np.round(2 * rng.normal(size=p), rng.integers(0, 4))  # often with ties
        w = np.round(rng.exponential(size=max(p - 1, 0)), rng.integers(0, 4)) + 1e-3
        x = prox_total_variation(tensor(v), 1.5, weight=tensor(w)).numpy()
        if p == 1:
            assert np.array_equal(x, v)
            continue
        D = np.diff(np.eye(p), axis=0)
        dual = lsq_linear(D.T, v, bounds=(-1.5 * w, 1.5 * w), method="bvls", tol=1e-15)
        np.testing.assert_allclose(x, v - D.T @ dual.x, atol=1e-11)  # an active-set solution: rounding


@pytest.mark.parametrize("step", [1e-3, 1.0, 30.0, 1e3, 1e12])
def test_a_long_chain_meets_the_conditions_of_its_optimum(step):
    """Running sums of v - x are at most the step, and at every jump just that, against the jump."""
    v = torch.randn(3000, generator=torch.Generator().manual_seed(1), dtype=torch.float64).cumsum(0)
    x = prox_total_variation(v, step)
    owed, jumps = (v - x).cumsum(0), x.diff()
    # 3000 roundings of numbers of size 100, summed
    assert owed[-1].abs() < 1e-8
    assert (owed[:-1].abs() <= step + 1e-8).all()
    at = jumps != 0
    torch.testing.assert_close(owed[:-1][at], -step * jumps[at].sign(), rtol=0, atol=1e-8)
    if step == 1e12:
        torch.testing.assert_close(x, v.mean().expand_as(x), rtol=0, atol=1e-11)


def test_a_constant_chain_is_left_as_it_is_and_free_jumps_separate():
    rng = np.random.default_rng(0)
    constant = torch.full((50,), 0.1, dtype=torch.float64)
    assert torch.equal(prox_total_variation(constant, 3.0), constant)
    v = tensor(rng.normal(size=8))
    weight = torch.ones(7, dtype=torch.float64).index_fill(0, torch.tensor([3]), 0.0)
    halves = torch.cat([prox_total_variation(v[:4], 0.5), prox_total_variation(v[4:], 0.5)])
    torch.testing.assert_close(prox_total_variation(v, 0.5, weight=weight), halves, rtol=0, atol=1e-14)


def test_the_domain_of_the_fused_lasso_s_conjugate_is_that_of_a_linear_program():
    """A dual point is in it if and only if it is s + D^T z with entries of s and z within their weights."""
    rng = np.random.default_rng(0)
    D, inside = np.diff(np.eye(4), axis=0), 0
    for _ in range(60):
        u = 0.8 * rng.normal(size=4)
        bounds = [(-0.4, 0.4)] * 4 + [(-w, w) for w in JUMPS]
        feasible = linprog(np.zeros(7), A_eq=np.hstack([np.eye(4), D.T]), b_eq=u, bounds=bounds).status == 0
        assert float(conjugate_fused_lasso(tensor(u), l1=0.4, tv=tensor(JUMPS))) == (0.0 if feasible else np.inf)
        inside += feasible
    assert 5 < inside < 55


def test_balls_include_their_boundary_exactly_and_nothing_beyond_unless_told():
    half = tensor([[0.5, -0.5], [0.5, -0.5 - 1e-15]])
    exact = torch.tensor([0.0, torch.inf], dtype=torch.float64)
    assert torch.equal(conjugate_sorted_l1(half, weights=tensor([0.5, 0.5])), exact)
    assert torch.equal(conjugate_sorted_l1(half, weights=tensor([0.5, 0.5]), slack=1e-14), torch.zeros(2).double())
    assert torch.equal(conjugate_nuclear_norm(torch.diag_embed(half), weight=0.5), exact)
    assert torch.equal(conjugate_group_l2(half, groups=torch.tensor([0, 1]), weight=0.5), exact)
    assert torch.equal(conjugate_total_variation(tensor([[0.5, -0.5], [0.5, -0.4]])), exact)
    assert torch.equal(conjugate_total_variation(tensor([[0.5, -0.5], [0.6, -0.6]]), weight=0.5), exact)


def test_the_sorted_norm_is_mapped_by_sklearn_s_isotonic_regression():
    rng = np.random.default_rng(0)
    weights = np.sort(rng.exponential(size=25))[::-1].copy()
    for spread in (0.5, 2.0, 10.0):
        v = np.round(spread * rng.normal(size=25), 1)  # with ties
        order = np.argsort(-np.abs(v), kind="stable")
        fitted = IsotonicRegression(increasing=False, y_min=0.0).fit_transform(
            np.arange(25), np.abs(v)[order] - 0.7 * weights
        )
        expected = np.empty(25)
        expected[order] = fitted
        found = prox_sorted_l1(tensor(v), 0.7, weights=tensor(weights)).numpy()
        np.testing.assert_allclose(found, np.sign(v) * expected, atol=1e-13)
        flat = prox_sorted_l1(tensor(v), 0.7, weights=torch.ones(25, dtype=torch.float64))
        torch.testing.assert_close(flat, prox_l1(tensor(v), 0.7), rtol=0, atol=1e-14)
    assert non_increasing(torch.tensor([[1.0, 2.0], [2.0, 1.0]])).tolist() == [[1.5, 1.5], [2.0, 1.0]]


def test_the_largest_entries_are_clipped_at_the_level_of_their_equation():
    rng = np.random.default_rng(0)
    for step in (1e-6, 0.5, 3.0, 40.0):
        v = np.round(2 * rng.normal(size=9), 1)  # with ties
        level = brentq(lambda t, v=v, s=step: np.maximum(np.abs(v) - t, 0).sum() - s, -100, 100, xtol=1e-14)
        expected = np.clip(v, -max(level, 0), max(level, 0))
        np.testing.assert_allclose(prox_linf_norm(tensor(v), step).numpy(), expected, atol=1e-13)
        free = tensor(v) - prox_linf_norm(tensor(v), 1.0, weight=0.0)
        assert free.abs().max() == 0, "a weight of 0 leaves every entry alone"


def test_matrices_that_are_not_symmetric_are_mapped_as_their_symmetric_part_is():
    rng = np.random.default_rng(0)
    V = tensor(rng.normal(size=(3, 3)))
    symmetric = 0.5 * (V + V.mT)
    for prox in (prox_psd_trace, prox_negative_log_determinant):
        assert torch.equal(prox(V, 0.7), prox(symmetric, 0.7))
        assert torch.equal(prox(V, 0.7), prox(V, 0.7).mT)
    torch.testing.assert_close(
        prox_negative_log_determinant(V, 2.0).inverse() * 2, prox_negative_log_determinant(V, 2.0) - symmetric
    )
    assert psd_trace(V) == psd_trace(-torch.eye(3)) == torch.inf
    assert conjugate_negative_log_determinant(torch.eye(3)) == torch.inf


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda v: prox_l1(v, 0.0), "step of a proximal map is 0.0; it must be above 0"),
        (lambda v: prox_l1(v, float("nan")), "step of a proximal map is nan"),
        (lambda v: prox_l2_norm(v, torch.ones(4)), r"step has shape \(4,\), and the point of shape \(2, 4\)"),
        (lambda v: prox_l2_norm(v, 1.0, weight=torch.ones(3)), r"weight has shape \(3,\)"),
        (lambda v: prox_nuclear_norm(v, torch.ones(2)), r"instances of shape \(2, 4\): pass a number"),
        (lambda v: prox_group_l2(v, 1.0, groups=torch.zeros(3).long()), "one int64 label for each of the 4 entries"),
        (lambda v: prox_group_l2(v, 1.0, groups=torch.zeros(4)), "torch.float32"),
        (lambda v: prox_group_l2(v, 1.0, groups=torch.arange(4) - 1), "holds the label -1; number the groups from 0"),
        (lambda v: prox_group_l2(v, 1.0, groups=torch.arange(4), weights=torch.ones(3)), "the largest label is 3"),
        (lambda v: prox_sorted_l1(v, 1.0, weights=torch.tensor([3.0, 1, 2, 0])), "rise from 1 to 2 at entry 2"),
        (lambda v: prox_sorted_l1(v, 1.0, weights=torch.tensor([3.0, 1, 1, -1])), "end at -1"),
        (lambda v: prox_sorted_l1(v, 1.0, weights=torch.ones(3)), "one for each of 4 entries"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_numbers(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call(torch.ones(2, 4))
