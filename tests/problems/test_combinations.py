"""Every penalty and every set with every constructor: they build, they are explained, and answers agree with scipy."""

import inspect

import numpy as np
import pytest
import torch
from scipy.optimize import linprog, minimize
from scipy.special import expit

import optwise as ow
from optwise.core.errors import BadProblem, UnmetNeed
from optwise.problems import formulations

RNG = np.random.default_rng(0)
N, P = 20, 6
X = RNG.standard_normal((N, P))
Y = X @ np.array([2.0, -1.0, 0.0, 0.0, 1.0, 0.0]) + 0.1 * RNG.standard_normal(N)
SIGNS = np.where(Y > 0, 1.0, -1.0)
GROUPS = [0, 0, 1, 1, 2, 2]
TX, TY = torch.from_numpy(X), torch.from_numpy(Y)
START = np.full(P, 0.1)


def squares(w):
    return (TX @ w - TY).square().mean() / 2


CONSTRUCTORS = {
    "least_squares": lambda **parts: ow.problems.least_squares(X, Y, **parts),
    "ridge": lambda **parts: ow.problems.ridge(X, Y, 0.1, **parts),
    "nnls": lambda **parts: ow.problems.nnls(X, Y, **parts),
    "huber": lambda **parts: ow.problems.huber(X, Y, 1.0, **parts),
    "lasso": lambda **parts: ow.problems.lasso(X, Y, 0.1, **parts),
    "elastic_net": lambda **parts: ow.problems.elastic_net(X, Y, 0.1, 0.1, **parts),
    "group_lasso": lambda **parts: ow.problems.group_lasso(X, Y, 0.1, GROUPS, **parts),
    "basis_pursuit_denoising": lambda **parts: ow.problems.basis_pursuit_denoising(X, Y, 0.1, **parts),
    "basis_pursuit": lambda **parts: ow.problems.basis_pursuit(X[:3], Y[:3], **parts),
    "logistic": lambda **parts: ow.problems.logistic(X, SIGNS, l2=0.1, **parts),
    "softmax": lambda **parts: ow.problems.softmax(X[:, :2], np.arange(N) % 3, l2=0.1, **parts),
    "svm": lambda **parts: ow.problems.svm(X, SIGNS, l2=0.1, **parts),
    "total_variation": lambda **parts: ow.problems.total_variation(Y[:P], 0.1, **parts),
    "smooth": lambda **parts: ow.problems.smooth(squares, START, convex=True, **parts),
    "nonlinear_least_squares": lambda **parts: ow.problems.nonlinear_least_squares(
        lambda w: TX @ w - TY, START, **parts
    ),
    "composite": lambda **parts: ow.problems.composite(squares, w0=START, convex=True, **parts),
    "quadratic": lambda **parts: ow.problems.quadratic(X.T @ X / N, -X.T @ Y / N, **parts),
}
PENALTIES = {
    "L0": ow.penalties.L0(0.1),
    "L1": ow.penalties.L1(0.1),
    "MCP": ow.penalties.MCP(0.1),
    "SCAD": ow.penalties.SCAD(0.1),
    "ElasticNetPenalty": ow.penalties.ElasticNetPenalty(0.1, 0.1),
    "GroupL2": ow.penalties.GroupL2(0.1, GROUPS),
    "HingeSum": ow.penalties.HingeSum(0.1),
    "HuberNorm": ow.penalties.HuberNorm(0.1, 0.5),
    "L2Norm": ow.penalties.L2Norm(0.1),
    "LInf": ow.penalties.LInf(0.1),
    "NonnegativeL1": ow.penalties.NonnegativeL1(0.1),
    "NuclearNorm": ow.penalties.NuclearNorm(0.1, (2, 3)),
    "SortedL1": ow.penalties.SortedL1([0.3, 0.2, 0.1, 0.1, 0.05, 0.0]),
    "SquaredL2": ow.penalties.SquaredL2(0.1),
    "TotalVariation1D": ow.penalties.TotalVariation1D(0.1),
    "WeightedL1": ow.penalties.WeightedL1([0.1, 0.2, 0.0, 0.1, 0.1, 0.3]),
}
SETS = {
    "Affine": ow.sets.Affine([[1.0] * P], [1.0]),
    "Box": ow.sets.Box([-0.5] * P, 0.5),
    "Budget": ow.sets.Budget([1.0] * P, 1.0, 0.0, 0.4),
    "CappedSimplex": ow.sets.CappedSimplex(P, 1.0, 0.25),
    "Halfspace": ow.sets.Halfspace([1.0] * P, 0.5),
    "L1Ball": ow.sets.L1Ball(1.0),
    "L2Ball": ow.sets.L2Ball(1.0),
    "LInfBall": ow.sets.LInfBall(0.3),
    "Nonnegative": ow.sets.Nonnegative(P),
    "NuclearBall": ow.sets.NuclearBall((2, 3), 1.0),
    "PSDCone": None,  # its points are square matrices, and six numbers are none
    "SecondOrderCone": ow.sets.SecondOrderCone(),
    "Simplex": ow.sets.Simplex(),
}
NOT_IN_COMMON = {
    "nnls": {"Affine", "Halfspace", "L1Ball", "L2Ball", "NuclearBall", "SecondOrderCone"},
    "basis_pursuit": set(SETS),
}
"""Constructors with a set of their own, and sets whose common part with it has no projection that is known."""


def test_all_constructors_penalties_and_sets_are_here():
    assert set(CONSTRUCTORS) == set(formulations.__all__) - {"FORMULATIONS"}
    assert set(PENALTIES) == set(ow.penalties.__all__)
    assert set(SETS) == set(ow.sets.__all__)
    for constructor in CONSTRUCTORS:
        assert {"penalty", "constraint"} <= set(inspect.signature(getattr(ow.problems, constructor)).parameters)


def explained(problem):
    """Some method fits, or one sentence names the nearest and what it lacks."""
    found = ow.explain(problem)
    if found.eligible:
        assert found.nearest == ""
        return True
    assert found.nearest.startswith(f"No method can solve {problem.name}, which has ")
    assert "\n" not in found.nearest
    with pytest.raises(UnmetNeed) as refusal:
        ow.solve(problem)
    assert str(refusal.value) == f"{found.nearest}."
    return False


@pytest.mark.parametrize("constructor", CONSTRUCTORS)
def test_every_penalty_stands_with_every_constructor(constructor):
    for name, penalty in PENALTIES.items():
        if (constructor, name) == ("basis_pursuit", "NonnegativeL1"):
            with pytest.raises(BadProblem, match="has the set Affine already, and the projection onto what it has in"):
                CONSTRUCTORS[constructor](penalty=penalty)
            continue
        problem = CONSTRUCTORS[constructor](penalty=penalty)
        point = torch.linspace(0.5, 1.5, P, dtype=torch.float64)
        bare = CONSTRUCTORS[constructor]()

        def value(problem, point=point):
            at = point if problem.operator is None else problem.operator.forward(point)
            return problem.function().value(point) + (0 if problem.penalty is None else problem.penalty.value(at))

        torch.testing.assert_close(value(problem), value(bare) + penalty.value(point), msg=name)
        # two penalties of which one is not convex are the only ones that no method takes
        convex = penalty.convex or (bare.penalty is None and bare.constraint is None)
        assert explained(problem) == convex, name


@pytest.mark.parametrize("constructor", CONSTRUCTORS)
def test_every_set_stands_with_every_constructor(constructor):
    for name, within in SETS.items():
        if within is None:
            continue
        if name in NOT_IN_COMMON.get(constructor, ()):
            own = type(CONSTRUCTORS[constructor]().constraint).__name__
            with pytest.raises(BadProblem, match=f"has the set {own} already, and the projection onto what it has in"):
                CONSTRUCTORS[constructor](constraint=within)
            continue
        problem = CONSTRUCTORS[constructor](constraint=within)
        assert explained(problem), name
        start = problem.start(0)[0]["w"].reshape(-1)
        assert within.contains(start, 1e-9), "a start lies in the set"


@pytest.mark.parametrize("constructor", CONSTRUCTORS)
def test_a_part_of_another_size_is_refused_with_both_sizes(constructor):
    for part in (
        {"penalty": ow.penalties.NuclearNorm(0.5, (12, 10))},
        {"penalty": ow.penalties.WeightedL1([0.1] * 120)},
        {"constraint": ow.sets.CappedSimplex(120, 1.0, 0.25)},
        {"constraint": ow.sets.Budget([1.0] * 120, 1.0, 0.0, 1.0)},
    ):
        with pytest.raises(BadProblem, match=r"takes 120 numbers and .* has 6 parameters.*; make them equal"):
            CONSTRUCTORS[constructor](**part)
    with pytest.raises(BadProblem, match="PSDCone takes 4 numbers and"):
        CONSTRUCTORS[constructor](constraint=ow.sets.PSDCone(2))


@pytest.mark.parametrize(
    ("parts", "says"),
    [
        ({"penalty": 0.1}, "penalty is of type float; give a Penalty, such as ow.penalties.L1(0.1)."),
        ({"penalty": ow.penalties.L1}, "penalty is the class L1; make one"),
        ({"penalty": ow.sets.Simplex()}, "penalty is the set Simplex; give it as constraint=Simplex(...)."),
        ({"constraint": ow.penalties.L1(0.1)}, "constraint is the penalty L1; give it as penalty=L1(...)."),
        ({"constraint": ow.sets.Simplex}, "constraint is the class Simplex; make one"),
        ({"constraint": "simplex"}, "constraint is 'simplex'; give a set such as ow.sets.Simplex(), or bounds"),
        ({"constraint": (1, 0)}, "The bounds cross at coordinate 0: low is 1 and high is 0"),
        ({"constraint": (0, 1, 2)}, "constraint cannot be read for 6 coordinates"),
    ],
)
@pytest.mark.parametrize("constructor", ["least_squares", "softmax", "smooth", "composite", "total_variation"])
def test_what_is_no_penalty_and_no_set_is_told_what_it_is(constructor, parts, says):
    with pytest.raises(BadProblem) as refusal:
        CONSTRUCTORS[constructor](**parts)
    assert says in str(refusal.value)


def test_where_no_method_fits_the_reason_that_matters_is_told():
    simplex, l1 = ow.sets.Simplex(), ow.penalties.L1(0.1)
    reasons = {
        "admm comes nearest and lacks convexity of the objective; of a convex f say so": ow.problems.smooth(
            squares, START, penalty=l1, constraint=simplex
        ),
        "L0 and the set Simplex at once: admm comes nearest and lacks convexity of the penalty": ow.problems.ridge(
            X, Y, 0.1, penalty=ow.penalties.L0(0.1), constraint=simplex
        ),
        "L1 and L0 at once: admm comes nearest and lacks convexity of the penalty": ow.problems.lasso(
            X, Y, 0.1, penalty=ow.penalties.L0(0.1)
        ),
        "L0 and the set Simplex at once: proximal-gradient needs one proximal map": ow.problems.smooth(
            squares, START, penalty=ow.penalties.L0(0.1), constraint=simplex
        ),
    }
    for says, problem in reasons.items():
        with pytest.raises(UnmetNeed) as refusal:
            ow.solve(problem)
        assert says in str(refusal.value)


def test_parts_take_the_dtype_of_the_problem():
    problem = ow.problems.least_squares(
        X.astype(np.float32), Y, penalty=ow.penalties.WeightedL1([0.1] * P), constraint=(np.zeros(P), 1)
    )
    assert problem.penalty.weights.dtype == problem.constraint.bounds()[0].dtype == torch.float32
    assert ow.solve(problem, tol=1e-5).w.dtype == torch.float32


def test_parts_behind_one_operator_follow_to_another_dtype():
    single = ow.problems.svm(X.astype(np.float32), SIGNS, l2=0.1, loss="hinge", penalty=PENALTIES["SortedL1"])
    double = ow.problems.svm(X, SIGNS, l2=0.1, loss="hinge", penalty=PENALTIES["SortedL1"])
    run = ow.solve(single, tol=1e-4)
    assert run.status.ok
    assert run.w.dtype == torch.float32
    assert run.value == pytest.approx(ow.solve(double, tol=1e-8).value, rel=1e-3)


def least(f, gradient, *, absolute=None, constraints=(), bounds=None):
    """``min f(w) + sum |B w|`` by SLSQP, the absolute values as variables above both signs."""
    rows = np.zeros((0, P)) if absolute is None else np.asarray(absolute)
    m = len(rows)
    above = np.block([[-rows, np.eye(m)], [rows, np.eye(m)]]) if m else None
    moved = [
        {
            "type": c["type"],
            "fun": lambda z, c=c: c["fun"](z[:P]),
            "jac": lambda z, c=c: np.pad(c["jac"](z[:P]), ((0, m))),
        }
        for c in constraints
    ]
    moved += [] if above is None else [{"type": "ineq", "fun": lambda z: above @ z, "jac": lambda z: above}]
    start = np.concatenate([np.full(P, 1 / P), np.abs(rows @ np.full(P, 1 / P)) + 0.1])
    found = minimize(
        lambda z: f(z[:P]) + z[P:].sum(),
        start,
        jac=lambda z: np.concatenate([gradient(z[:P]), np.ones(m)]),
        constraints=moved,
        bounds=None if bounds is None else [*bounds, *[(0, None)] * m],
        method="SLSQP",
        options={"maxiter": 2000, "ftol": 1e-14},
    )
    assert found.success, found.message
    return found.fun


def fit(w):
    return 0.5 * np.mean((X @ w - Y) ** 2)


def fit_slope(w):
    return X.T @ (X @ w - Y) / N


def logistic_loss(w):
    return np.logaddexp(0, -SIGNS * (X @ w)).mean() + 0.05 * w @ w


def logistic_slope(w):
    return -X.T @ (SIGNS * expit(-SIGNS * (X @ w))) / N + 0.1 * w


def huber_loss(w):
    r = np.abs(X @ w - Y)
    return np.where(r <= 1, 0.5 * r**2, r - 0.5).mean()


def huber_slope(w):
    return X.T @ np.clip(X @ w - Y, -1, 1) / N


SUM = {"type": "eq", "fun": lambda w: w.sum() - 1, "jac": lambda w: np.ones(P)}
BALL = {"type": "ineq", "fun": lambda w: 1 - w @ w, "jac": lambda w: -2 * w}
HALF = {"type": "ineq", "fun": lambda w: 0.5 - w.sum(), "jac": lambda w: -np.ones(P)}
EYE, JUMPS = np.eye(P), np.diff(np.eye(P), axis=0)
ANSWERS = {  # constructor, its further parts, the same for SLSQP
    "portfolio": (
        "least_squares",
        {"constraint": SETS["CappedSimplex"]},
        fit,
        fit_slope,
        {"constraints": [SUM], "bounds": [(0, 0.25)] * P},
    ),
    "portfolio as a quadratic": (
        "quadratic",
        {"constraint": SETS["CappedSimplex"]},
        lambda w: fit(w) - fit(0 * w),
        fit_slope,
        {"constraints": [SUM], "bounds": [(0, 0.25)] * P},
    ),
    "portfolio as a function": (
        "smooth",
        {"constraint": SETS["CappedSimplex"]},
        fit,
        fit_slope,
        {"constraints": [SUM], "bounds": [(0, 0.25)] * P},
    ),
    "budget": (
        "composite",
        {"constraint": SETS["Budget"]},
        fit,
        fit_slope,
        {"constraints": [SUM], "bounds": [(0, 0.4)] * P},
    ),
    "simplex of a robust fit": (
        "huber",
        {"constraint": SETS["Simplex"]},
        huber_loss,
        huber_slope,
        {"constraints": [SUM], "bounds": [(0, None)] * P},
    ),
    "ball of residuals": (
        "nonlinear_least_squares",
        {"constraint": SETS["L2Ball"]},
        fit,
        fit_slope,
        {"constraints": [BALL]},
    ),
    "halfspace": ("least_squares", {"constraint": SETS["Halfspace"]}, fit, fit_slope, {"constraints": [HALF]}),
    "nonnegative logistic": (
        "logistic",
        {"constraint": SETS["Nonnegative"]},
        logistic_loss,
        logistic_slope,
        {"bounds": [(0, None)] * P},
    ),
    "logistic in a ball, sparse": (
        "logistic",
        {"penalty": PENALTIES["L1"], "constraint": SETS["L2Ball"]},
        logistic_loss,
        logistic_slope,
        {"absolute": 0.1 * EYE, "constraints": [BALL]},
    ),
    "lasso on a simplex": (
        "lasso",
        {"constraint": SETS["Simplex"]},
        fit,
        fit_slope,
        {"absolute": 0.1 * EYE, "constraints": [SUM], "bounds": [(0, None)] * P},
    ),
    "nonnegative lasso": (
        "lasso",
        {"constraint": (0, None)},
        fit,
        fit_slope,
        {"absolute": 0.1 * EYE, "bounds": [(0, None)] * P},
    ),
    "lasso within bounds": (
        "lasso",
        {"constraint": (-0.5, 0.5)},
        fit,
        fit_slope,
        {"absolute": 0.1 * EYE, "bounds": [(-0.5, 0.5)] * P},
    ),
    "fused lasso": (
        "lasso",
        {"penalty": PENALTIES["TotalVariation1D"]},
        fit,
        fit_slope,
        {"absolute": np.vstack([0.1 * EYE, 0.1 * JUMPS])},
    ),
    "adaptive lasso": (
        "lasso",
        {"penalty": PENALTIES["WeightedL1"]},
        fit,
        fit_slope,
        {"absolute": np.diag([0.2, 0.3, 0.1, 0.2, 0.2, 0.4])},
    ),
    "lasso and orthant in one": (
        "nnls",
        {"penalty": PENALTIES["L1"]},
        fit,
        fit_slope,
        {"absolute": 0.1 * EYE, "bounds": [(0, None)] * P},
    ),
    "fused, nonnegative": (
        "smooth",
        {"penalty": PENALTIES["TotalVariation1D"], "constraint": (0, None)},
        fit,
        fit_slope,
        {"absolute": 0.1 * JUMPS, "bounds": [(0, None)] * P},
    ),
    "jumps and orthant": (
        "total_variation",
        {"constraint": SETS["Nonnegative"]},
        lambda w: 0.5 * np.mean((w - Y[:P]) ** 2),
        lambda w: (w - Y[:P]) / P,
        {"absolute": 0.1 * JUMPS, "bounds": [(0, None)] * P},
    ),
    "sparse within jumps": (
        "total_variation",
        {"penalty": PENALTIES["L1"]},
        lambda w: 0.5 * np.mean((w - Y[:P]) ** 2),
        lambda w: (w - Y[:P]) / P,
        {"absolute": np.vstack([0.1 * EYE, 0.1 * JUMPS])},
    ),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_is_that_of_scipy(name):
    constructor, parts, f, gradient, asked = ANSWERS[name]
    run = ow.solve(CONSTRUCTORS[constructor](**parts), tol=1e-8)
    assert run.status.ok, run.why
    # SLSQP ends within some 1e-9 of the optimum of these, a certificate within 1e-8 of it
    assert run.value == pytest.approx(least(f, gradient, **asked), rel=1e-6, abs=1e-8)


def test_a_sparse_machine_is_a_linear_program():
    """Hinges and an l1 norm: slacks above the hinges, w in two parts."""
    run = ow.solve(ow.problems.svm(X, SIGNS, l2=0.0, loss="hinge", penalty=ow.penalties.L1(0.05)), tol=1e-8)
    margins = SIGNS[:, None] * X
    cost = np.concatenate([np.full(2 * P, 0.05), np.full(N, 1 / N)])
    rows = np.hstack([-margins, margins, -np.eye(N)])
    assert run.value == pytest.approx(linprog(cost, A_ub=rows, b_ub=-np.ones(N)).fun, rel=1e-6)


def test_a_nonnegative_basis_pursuit_is_a_linear_program():
    truth = np.array([0.0, 2.0, 0.0, 0.0, 1.0, 0.0])
    run = ow.solve(
        ow.problems.basis_pursuit(X[:3], X[:3] @ truth, penalty=ow.penalties.WeightedL1([0.5] * P)), tol=1e-8
    )
    rows = np.hstack([X[:3], -X[:3]])
    assert run.value == pytest.approx(linprog(np.full(2 * P, 1.5), A_eq=rows, b_eq=X[:3] @ truth).fun, rel=1e-6)


def test_a_sparse_group_lasso_of_orthogonal_columns_is_shrunk_twice():
    """Soft thresholding of entries, then of the groups' lengths: Friedman, Hastie and Tibshirani (2010)."""
    y = np.array([3.0, -0.5, 1.2, 1.0, 0.3, 0.2])
    run = ow.solve(
        ow.problems.lasso(np.eye(P), y, 0.4, penalty=ow.penalties.GroupL2(0.7, GROUPS), reduction="sum"), tol=1e-10
    )
    soft = (np.sign(y) * np.maximum(np.abs(y) - 0.4, 0)).reshape(3, 2)
    lengths = np.maximum(np.linalg.norm(soft, axis=1, keepdims=True), 1e-300)
    expected = soft * np.maximum(1 - 0.7 / lengths, 0)
    np.testing.assert_allclose(run.w.numpy(), expected.ravel(), atol=1e-5)


def test_a_nuclear_norm_of_orthogonal_columns_shrinks_singular_values():
    """Cai, Candès and Shen (2010): the answer has the singular vectors of y, and its values less the weight."""
    y = np.array([3.0, -0.5, 1.2, 1.0, 0.3, 0.2])
    nuclear = ow.penalties.NuclearNorm(0.8, (2, 3))
    run = ow.solve(ow.problems.least_squares(np.eye(P), y, penalty=nuclear, reduction="sum"), tol=1e-10)
    u, values, vt = np.linalg.svd(y.reshape(2, 3), full_matrices=False)
    np.testing.assert_allclose(run.w.numpy().reshape(2, 3), u * np.maximum(values - 0.8, 0) @ vt, atol=1e-5)


def test_a_matrix_of_classes_is_penalised_row_by_row():
    """The columns of W in the order of the labels, whose nuclear norm is that of W."""
    y = np.array(["low", "mid", "top"])[np.arange(N) % 3]
    nuclear = ow.penalties.NuclearNorm(0.02, (P, 3))
    problem = ow.problems.softmax(X, y, penalty=nuclear)
    run = ow.solve(problem, tol=1e-8)
    W = run.w.numpy()
    assert W.shape == (P, 3)
    scores = X @ W
    losses = np.log(np.exp(scores).sum(1)) - scores[np.arange(N), np.arange(N) % 3]
    assert run.value == pytest.approx(losses.mean() + 0.02 * np.linalg.svd(W, compute_uv=False).sum(), rel=1e-12)
    # at the optimum minus the gradient is a subgradient: its largest singular value is the weight, met along W
    p = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    G = X.T @ (np.eye(3)[np.arange(N) % 3] - p) / N
    assert np.linalg.norm(G, 2) == pytest.approx(0.02, rel=1e-3)
    assert (G * W).sum() == pytest.approx(0.02 * np.linalg.svd(W, compute_uv=False).sum(), rel=1e-4)


def test_penalties_that_add_up_are_one():
    penalties, problems = ow.penalties, ow.problems
    merged = problems.lasso(X, Y, 0.1, penalty=penalties.SquaredL2(0.2))
    assert merged.penalty == penalties.ElasticNetPenalty(0.1, 0.2)
    run, elastic = ow.solve(merged, tol=1e-9), ow.solve(problems.elastic_net(X, Y, 0.1, 0.2), tol=1e-9)
    torch.testing.assert_close(run.w, elastic.w, rtol=0, atol=1e-4)
    assert problems.lasso(X, Y, 0.1, penalty=penalties.L1(0.2)).penalty.weight == pytest.approx(0.3)
    assert problems.lasso(X, Y, 0.1, constraint=ow.sets.Nonnegative(P)).penalty == penalties.NonnegativeL1(0.1)
    assert problems.nnls(X, Y, penalty=penalties.L1(0.1)).constraint is None
    assert problems.nnls(X, Y, constraint=ow.sets.Simplex()).constraint == ow.sets.Simplex()
    low, high = problems.nnls(X, Y, constraint=(-1, 2)).constraint.bounds()
    assert (low.tolist(), high.tolist()) == ([0.0] * P, [2.0] * P)
    mixed = problems.least_squares(X, Y, penalty=penalties.NonnegativeL1(0.1), constraint=ow.sets.LInfBall(0.3))
    assert mixed.penalty == penalties.L1(0.1)
    assert mixed.constraint.bounds()[1].tolist() == [0.3] * P


def test_a_nonnegative_norm_beside_a_set_without_a_common_projection_says_whose_orthant_it_is():
    with pytest.raises(BadProblem, match="Nonnegative already, that of its NonnegativeL1, and the projection"):
        ow.problems.least_squares(X, Y, penalty=PENALTIES["NonnegativeL1"], constraint=SETS["L2Ball"])


def test_a_problem_with_two_penalties_tells_both():
    problem = ow.problems.lasso(X, Y, 0.1, penalty=PENALTIES["GroupL2"])
    assert "L1 + GroupL2" in repr(problem)
    with pytest.raises(UnmetNeed, match=r"lasso has the part L1 \+ GroupL2, and lbfgs would ignore it"):
        ow.solve(problem, "lbfgs")


@pytest.mark.parametrize(
    ("open_size", "whole"),
    [
        (ow.sets.CappedSimplex(total=1.0, cap=0.25), ow.sets.CappedSimplex(P, 1.0, 0.25)),
        (ow.sets.Nonnegative(), ow.sets.Nonnegative(P)),
        (ow.sets.Box(-0.5, 0.5), ow.sets.Box([-0.5] * P, [0.5] * P)),
        (ow.sets.Box(0, np.inf), ow.sets.Nonnegative(P)),
    ],
)
def test_a_set_that_does_not_say_its_size_takes_that_of_the_problem(open_size, whole):
    for constructor in ("least_squares", "softmax", "smooth", "nonlinear_least_squares"):
        found = CONSTRUCTORS[constructor](constraint=open_size)
        expected = CONSTRUCTORS[constructor](constraint=whole)
        assert found.constraint.dimension == P
        runs = [ow.solve(problem, "projected-gradient", tol=1e-7) for problem in (found, expected)]
        assert torch.equal(runs[0].w, runs[1].w)
    with pytest.raises(BadProblem, match="The set is empty: total is 1, and the 6 caps"):
        CONSTRUCTORS["ridge"](constraint=ow.sets.CappedSimplex(total=1.0, cap=0.1))


def test_a_quadratic_program_has_the_answer_of_its_equations():
    H, b = np.array([[2.0, 0.5], [0.5, 1.0]]), np.array([-1.0, 2.0])
    run = ow.solve(ow.problems.quadratic(H, b), tol=1e-10)
    np.testing.assert_allclose(run.w.numpy(), -np.linalg.solve(H, b), rtol=1e-6)
    ones = ow.problems.quadratic(H, b, constraint=ow.sets.Affine([[1, 1]], [1]))
    kkt = np.linalg.solve(np.block([[H, np.ones((2, 1))], [np.ones((1, 2)), np.zeros((1, 1))]]), [*-b, 1.0])
    np.testing.assert_allclose(ow.solve(ones, tol=1e-10).w.numpy(), kkt[:2], atol=1e-5)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: ow.problems.quadratic([1.0, 2.0]), "H has shape (2,); give the Hessian, a symmetric matrix [p, p]."),
        (lambda: ow.problems.quadratic([[1, 2], [0, 1]]), "entries that differ by 2 from those of its transpose"),
        (lambda: ow.problems.quadratic(np.eye(2), [1.0]), "b has 1 numbers and H is 2 x 2; make them equal."),
        (lambda: ow.problems.quadratic(np.eye(2), w0=[1.0]), "w0 has 1 numbers and H is 2 x 2; make them equal."),
        (lambda: ow.problems.composite(squares, A=np.eye(P), w0=START), "an operator A and no penalty g behind it"),
        (lambda: ow.problems.composite(3.0, w0=START), "f is of type float; give a function of one vector"),
        (lambda: ow.problems.smooth(squares, START, (0, 1), constraint=(0, 1)), "both bounds and a constraint"),
        (
            lambda: ow.problems.smooth(squares, START, ow.sets.Simplex()),
            "bounds is the set Simplex; give it as constraint=",
        ),
        (lambda: ow.problems.nnls(X, Y, constraint=(-2, -1)), "The box is empty: low is 0 where high is -1"),
    ],
)
def test_terms_that_do_not_fit_get_a_sentence(make, says):
    with pytest.raises(BadProblem) as refusal:
        make()
    assert says in str(refusal.value)
