"""Formulations: formulas, the same problems elsewhere, dtypes, examples, names."""

import inspect
import math
from dataclasses import dataclass

import numpy as np
import pytest
import scipy.sparse
import torch
from scipy.optimize import nnls as scipy_nnls
from scipy.special import expit, log_softmax
from sklearn.linear_model import ElasticNet, Lasso, LogisticRegression, Ridge
from sklearn.svm import LinearSVC
from torch.func import grad, vmap

from optwise.core.layout import Layout
from optwise.core.operator import LinearOperator
from optwise.core.oracles import Oracle
from optwise.core.sampler import Full
from optwise.problems import formulations as ow
from optwise.problems.formulations import FORMULATIONS
from optwise.problems.terms.functions import QuadraticTerm
from optwise.problems.terms.operators import FunctionOperator
from optwise.problems.terms.penalties import L1, GroupL2, HingeSum
from optwise.problems.terms.sets import Affine, Simplex

RNG = np.random.Generator(np.random.PCG64(0))
N, P = 30, 6
X = RNG.standard_normal((N, P)) * (RNG.random((N, P)) < 0.7)
Y = X @ np.array([2.0, -1.0, 0.0, 0.0, 1.0, 0.0]) + 0.5 * RNG.standard_normal(N)
SIGNS = np.where(RNG.random(N) < expit(2 * X[:, 0] - X[:, 1]), 1.0, -1.0)
CLASSES = np.arange(N) % 3
GROUPS = np.array([1, 1, 0, 0, 2, 2])
W = RNG.standard_normal(P)
W3 = RNG.standard_normal((P, 3))


def huber_loss(r, delta):
    return np.where(np.abs(r) <= delta, 0.5 * r**2, delta * (np.abs(r) - 0.5 * delta))


def softmax_losses(w):
    return -log_softmax(X @ w, axis=1)[np.arange(N), CLASSES]


@dataclass
class Case:
    """A constructor as a function of the design, and what it must be: losses, the rest, where the rest is held."""

    make: object
    losses: object
    smooth_rest: object = lambda w: 0.0
    penalty: object = lambda w: 0.0
    w: np.ndarray = None


CASES = {
    "least-squares": Case(
        lambda X, reduction: ow.least_squares(X, Y, reduction=reduction), lambda w: 0.5 * (X @ w - Y) ** 2
    ),
    "ridge": Case(
        lambda X, reduction: ow.ridge(X, Y, 0.3, reduction=reduction),
        lambda w: 0.5 * (X @ w - Y) ** 2,
        lambda w: 0.15 * (w**2).sum(),
    ),
    "nnls": Case(lambda X, reduction: ow.nnls(X, Y, reduction=reduction), lambda w: 0.5 * (X @ w - Y) ** 2),
    "huber": Case(
        lambda X, reduction: ow.huber(X, Y, 0.4, l2=0.2, reduction=reduction),
        lambda w: huber_loss(X @ w - Y, 0.4),
        lambda w: 0.1 * (w**2).sum(),
    ),
    "lasso": Case(
        lambda X, reduction: ow.lasso(X, Y, 0.3, reduction=reduction),
        lambda w: 0.5 * (X @ w - Y) ** 2,
        penalty=lambda w: 0.3 * np.abs(w).sum(),
    ),
    "elastic-net": Case(
        lambda X, reduction: ow.elastic_net(X, Y, 0.3, 0.2, reduction=reduction),
        lambda w: 0.5 * (X @ w - Y) ** 2,
        lambda w: 0.1 * (w**2).sum(),
        lambda w: 0.3 * np.abs(w).sum(),
    ),
    "group-lasso": Case(
        lambda X, reduction: ow.group_lasso(X, Y, 0.3, GROUPS, factors=[1.0, 2.0, 3.0], reduction=reduction),
        lambda w: 0.5 * (X @ w - Y) ** 2,
        penalty=lambda w: 0.3 * sum((j + 1) * np.linalg.norm(w[np.equal(GROUPS, j)]) for j in range(3)),
    ),
    "basis-pursuit-denoising": Case(
        lambda X, reduction: ow.basis_pursuit_denoising(X, Y, 0.3, reduction=reduction),
        lambda w: 0.5 * (X @ w - Y) ** 2,
        penalty=lambda w: 0.3 * np.abs(w).sum(),
    ),
    "logistic": Case(
        lambda X, reduction: ow.logistic(X, SIGNS, l1=0.1, l2=0.2, reduction=reduction),
        lambda w: np.logaddexp(0, -SIGNS * (X @ w)),
        lambda w: 0.1 * (w**2).sum(),
        lambda w: 0.1 * np.abs(w).sum(),
    ),
    "softmax": Case(
        lambda X, reduction: ow.softmax(X, CLASSES, l1=0.1, l2=0.2, reduction=reduction),
        softmax_losses,
        lambda w: 0.1 * (w**2).sum(),
        lambda w: 0.1 * np.abs(w).sum(),
        W3,
    ),
    "svm": Case(
        lambda X, reduction: ow.svm(X, SIGNS, l2=0.2, reduction=reduction),
        lambda w: 0.5 * np.maximum(0, 1 - SIGNS * (X @ w)) ** 2,
        lambda w: 0.1 * (w**2).sum(),
    ),
}
DESIGNS = {
    "array": lambda X: X,
    "tensor": torch.from_numpy,
    "lists": lambda X: X.tolist(),
    "by columns": np.asfortranarray,
    "read-only": lambda X: np.broadcast_to(X[None], (1, *X.shape))[0],
    "reversed twice": lambda X: X[::-1].copy()[::-1],
    "big-endian": lambda X: X.astype(">f8"),
    "sparse": scipy.sparse.csc_matrix,
    "sparse tensor": lambda X: torch.from_numpy(X).to_sparse_coo(),
    "functions": lambda X: FunctionOperator(
        X.shape, lambda w: torch.from_numpy(X) @ w, lambda v: torch.from_numpy(X.T) @ v, bound=float(np.linalg.norm(X))
    ),
}


def value_and_gradient(problem, w):
    """Of the whole objective at ``w``, the gradient of the smooth part packed."""
    row = torch.as_tensor(w).reshape(-1)
    value, gradient = problem.smooth.value_and_gradient(row)
    rest = 0.0 if problem.penalty is None else float(problem.penalty.value(row))
    return float(value) + rest, gradient


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("name", CASES)
def test_a_formulation_is_its_formula_and_averages_nothing_but_the_losses(name, reduction):
    case = CASES[name]
    problem, w = case.make(X, reduction), W if case.w is None else case.w
    losses = case.losses(w)
    expected = (losses.mean() if reduction == "mean" else losses.sum()) + case.smooth_rest(w) + case.penalty(w)
    value, gradient = value_and_gradient(problem, w)
    assert value == pytest.approx(expected, rel=1e-12)
    assert problem.name == name
    start, buffers = problem.start(3)
    assert list(start) == ["w"]
    assert start["w"].shape == w.shape
    assert not start["w"].any()
    assert not buffers
    assert isinstance(problem.sampler, Full)
    assert problem.optimum is None
    assert problem.smooth.dimension == w.size
    leaf = torch.from_numpy(w)
    measured = problem.objective.measure({"w": leaf}, {}, problem.data.train.x, problem.data.train.y)
    assert list(measured) == ["loss"]
    assert problem.metric_names == ("train/loss",)

    def mean_loss(w):
        return problem.objective.losses({"w": w}, {}, problem.data.train.x, problem.data.train.y)[0].mean()

    torch.testing.assert_close(mean_loss(leaf), problem.smooth.value(leaf.reshape(-1)))
    torch.testing.assert_close(measured["loss"].mean(), mean_loss(leaf))
    torch.testing.assert_close(grad(mean_loss)(leaf).reshape(-1), gradient)
    many = vmap(grad(mean_loss))(torch.stack([leaf, 2 * leaf]))
    torch.testing.assert_close(many[0].reshape(-1), gradient)
    assert problem.examples == N


@pytest.mark.parametrize("design", DESIGNS)
@pytest.mark.parametrize("name", CASES)
def test_a_design_is_the_same_however_it_is_given(name, design):
    case = CASES[name]
    problem, w = case.make(DESIGNS[design](X), "mean"), W if case.w is None else case.w
    expected, slope = value_and_gradient(case.make(X, "mean"), w)
    value, gradient = value_and_gradient(problem, w)
    assert value == pytest.approx(expected, rel=1e-12)
    torch.testing.assert_close(gradient, slope)
    assert gradient.dtype == torch.float64
    sparse = design in ("sparse", "sparse tensor", "functions")
    assert (problem.data is None) == sparse
    assert (Oracle.MATRIX in problem.oracles) == (not sparse and name != "softmax")
    if sparse:  # the same function, for methods that sample nothing
        leaf = {"w": torch.from_numpy(w)}
        losses, _ = problem.objective.losses(leaf, {}, None, None)
        torch.testing.assert_close(losses.mean(), problem.smooth.value(leaf["w"].reshape(-1)))
        assert problem.objective.measure(leaf, {}, None, None).keys() == {"objective"}
        if design != "functions":
            many = vmap(grad(lambda w: problem.objective.losses({"w": w}, {}, None, None)[0].mean()))
            torch.testing.assert_close(many(torch.from_numpy(w)[None])[0].reshape(-1), gradient)
    assert len(problem.fingerprint()) == 64


def test_a_hinge_machine_is_the_hinge_behind_its_margins():
    for design in ("array", "sparse", "functions"):
        problem = ow.svm(DESIGNS[design](X), SIGNS, l2=0.2, loss="hinge")
        w = torch.from_numpy(W)
        margins = problem.operator.forward(w)
        torch.testing.assert_close(margins, torch.from_numpy(SIGNS * (X @ W)))
        assert problem.penalty == HingeSum(1 / N)
        value = float(problem.smooth.value(w) + problem.penalty.value(margins))
        assert value == pytest.approx(np.maximum(0, 1 - SIGNS * (X @ W)).mean() + 0.1 * W @ W, rel=1e-12)
        assert (problem.operator.matrix is None) == (design != "array")
        torch.testing.assert_close(problem.operator.adjoint(margins), torch.from_numpy(X.T @ (X @ W)))
    assert ow.svm(X, SIGNS, l2=0.2, loss="hinge", reduction="sum").penalty == HingeSum(1.0)
    assert ow.svm(X, SIGNS, l2=0.0, loss="hinge").smooth.lipschitz == 0.0


def test_total_variation_is_its_formula():
    w = torch.from_numpy(Y + 0.3)
    for reduction, scale in (("sum", 1.0), ("mean", 1 / N)):
        problem = ow.total_variation(Y, 0.7, reduction=reduction)
        value = float(problem.smooth.value(w) + problem.penalty.value(problem.operator.forward(w)))
        assert value == pytest.approx(scale * 0.5 * N * 0.09 + 0.7 * np.abs(np.diff(Y + 0.3)).sum(), rel=1e-12)
    assert problem.operator.gram_bands is not None
    assert {Oracle.BANDS, Oracle.QUADRATIC, Oracle.CONVEX, Oracle.OPERATOR} <= problem.oracles


def test_basis_pursuit_has_the_norm_the_equations_and_nothing_else():
    wide = X[:4]
    for design in ("array", "sparse", "functions"):
        problem = ow.basis_pursuit(DESIGNS[design](wide), Y[:4])
        x = problem.constraint.project(torch.from_numpy(W))
        np.testing.assert_allclose(wide @ x.numpy(), Y[:4], atol=1e-12)
        assert problem.penalty == L1(1.0)
        assert isinstance(problem.constraint, Affine)
        assert float(problem.smooth.value(x)) == 0.0


def test_labels_of_two_classes_may_be_written_in_many_ways():
    expected, _ = value_and_gradient(ow.logistic(X, SIGNS), W)
    zero_one = (SIGNS > 0).astype(int)
    for y in (zero_one, zero_one.tolist(), zero_one.astype(bool), SIGNS.astype(int), torch.from_numpy(SIGNS).float()):
        problem = ow.logistic(X, y)
        assert value_and_gradient(problem, W)[0] == pytest.approx(expected, rel=1e-15)
        assert problem.smooth.model.y.dtype == torch.float64
    assert ow.softmax(X, torch.from_numpy(CLASSES).to(torch.int32)).data.train.y.dtype == torch.int64
    assert ow.softmax(X, CLASSES.astype(float)).smooth.classes == 3


def test_groups_may_be_words_and_count_in_sorted_order():
    words = np.array(["b", "b", "a", "a", "c", "c"])
    penalty = ow.group_lasso(X, Y, 0.3, words, factors=[1.0, 2.0, 3.0]).penalty
    assert isinstance(penalty, GroupL2)
    assert penalty.groups.tolist() == GROUPS.tolist()
    assert ow.group_lasso(X, Y, 0.3, torch.from_numpy(GROUPS)).penalty.groups.tolist() == GROUPS.tolist()


def test_a_weight_of_zero_leaves_a_smooth_problem():
    for problem in (ow.lasso(X, Y, 0.0), ow.elastic_net(X, Y, 0.0, 1.0), ow.logistic(X, SIGNS), ow.softmax(X, CLASSES)):
        assert problem.penalty is None


FLOAT32 = {name: (lambda X, case=case: case.make(X, "mean")) for name, case in CASES.items()} | {
    "hinge-svm": lambda X: ow.svm(X, SIGNS, l2=0.1, loss="hinge"),
    "basis-pursuit": lambda X: ow.basis_pursuit(X[:4], Y[:4]),
    "total-variation": lambda X: ow.total_variation(Y.astype(X.dtype), 0.5),
}


@pytest.mark.parametrize("name", FLOAT32)
def test_float32_stays_and_can_be_recomputed_in_float64(name):
    """The certificate recomputes in float64 what was solved in float32: every part must follow."""
    problem, exact = FLOAT32[name](X.astype(np.float32)), FLOAT32[name](X)
    leaf = problem.start(0)[0]["w"]
    assert leaf.dtype == torch.float32
    w = torch.from_numpy(np.resize(W, leaf.numel()))
    for moved, dtype in ((problem, torch.float32), (problem.to(dtype=torch.float64), torch.float64)):
        row = w.to(dtype)
        value, gradient = moved.smooth.value_and_gradient(row)
        image = row if moved.operator is None else moved.operator.forward(row)
        parts = [value, gradient, moved.smooth.hvp(row, row), image, moved.start(0)[0]["w"]]
        if moved.penalty is not None:
            parts += [moved.penalty.value(image), moved.penalty.prox(image, 0.5)]
        if moved.constraint is not None:
            parts.append(moved.constraint.project(row))
        assert {part.dtype for part in parts} == {dtype}
        torch.testing.assert_close(value.double(), exact.smooth.value(w), rtol=1e-5, atol=1e-6)
        if moved.data is not None:
            losses, _ = moved.objective.losses(
                {"w": row.reshape(leaf.shape)}, {}, moved.data.train.x, moved.data.train.y
            )
        else:
            losses, _ = moved.objective.losses({"w": row.reshape(leaf.shape)}, {}, None, None)
        torch.testing.assert_close(losses.mean().double(), exact.smooth.value(w), rtol=1e-5, atol=1e-6)
    assert problem.to(dtype=torch.float64).to(dtype=torch.float32).smooth.value(w.float()).dtype == torch.float32


def test_labels_take_the_dtype_of_the_design():
    assert ow.lasso(X.astype(np.float32), Y, 0.1).smooth.model.y.dtype == torch.float32
    assert ow.lasso(X, Y.astype(np.float32), 0.1).smooth.model.y.dtype == torch.float64
    operator = DESIGNS["functions"](X)
    assert ow.least_squares(operator, Y).start(0)[0]["w"].dtype == torch.float64
    assert ow.logistic(operator, SIGNS.astype(int)).start(0)[0]["w"].dtype == torch.float64
    assert ow.least_squares(X.astype(np.longdouble), Y).start(0)[0]["w"].dtype == torch.float64


def test_a_design_is_held_as_it_is():
    tensor = torch.from_numpy(X.copy())
    assert ow.lasso(tensor, Y, 0.1).smooth.model.X.matrix.data_ptr() == tensor.data_ptr()
    columns = np.asfortranarray(X)
    held = ow.lasso(columns, Y, 0.1).smooth.model.X.matrix
    assert held.data_ptr() == columns.ctypes.data
    assert held.T.is_contiguous()


def off_optimum(problem, w):
    """Largest distance of minus the gradient to the subdifferential of the penalty."""
    row = torch.from_numpy(np.array(w, dtype=np.float64)).reshape(-1)
    _, gradient = problem.smooth.value_and_gradient(row)
    if problem.penalty is None:
        return float(gradient.abs().max())
    return float(problem.penalty.violation(row, gradient).max())


TIGHT = {"fit_intercept": False, "tol": 1e-12, "max_iter": 100000}


@pytest.mark.parametrize(
    ("problem", "model", "y"),
    [
        (ow.lasso(X, Y, 0.1), Lasso(alpha=0.1, **TIGHT), Y),
        (ow.lasso(X, Y, 0.1 * N, reduction="sum"), Lasso(alpha=0.1, **TIGHT), Y),
        (ow.elastic_net(X, Y, 0.06, 0.14), ElasticNet(alpha=0.2, l1_ratio=0.3, **TIGHT), Y),
        (ow.ridge(X, Y, 0.3), Ridge(alpha=0.3 * N, fit_intercept=False, solver="cholesky"), Y),
        (ow.ridge(X, Y, 0.3, reduction="sum"), Ridge(alpha=0.3, fit_intercept=False, solver="cholesky"), Y),
        (ow.logistic(X, SIGNS, l2=0.05), LogisticRegression(C=1 / (0.05 * N), **TIGHT), SIGNS),
        (ow.logistic(X, SIGNS, l2=0.5, reduction="sum"), LogisticRegression(C=2.0, **TIGHT), SIGNS),
        (
            ow.logistic(X, SIGNS, l1=0.05),
            LogisticRegression(C=1 / (0.05 * N), l1_ratio=1.0, solver="saga", random_state=0, **TIGHT),
            SIGNS,
        ),
        (ow.softmax(X, CLASSES, l2=0.05), LogisticRegression(C=1 / (0.05 * N), **TIGHT), CLASSES),
        (
            ow.svm(X, SIGNS, l2=0.1),
            LinearSVC(C=1 / (2 * 0.1 * N), dual=False, **TIGHT),
            SIGNS,
        ),
    ],
)
def test_answers_of_scikit_learn_are_optimal_here_under_the_translation_of_the_docstring(problem, model, y):
    w = model.fit(X, y).coef_.T
    # saga and L-BFGS stop at about 1e-6 whatever their tol; a point that is off by a percent shows a hundredfold
    assert off_optimum(problem, w) <= 1e-5
    assert off_optimum(problem, 1.01 * w + 1e-3) > 1e-4


def test_the_answer_of_scikit_learn_for_the_hinge_is_optimal_here():
    l2 = 0.1
    model = LinearSVC(
        C=1 / (l2 * N), loss="hinge", dual=True, fit_intercept=False, random_state=0, tol=1e-8, max_iter=10**6
    )
    w = model.fit(X, SIGNS).coef_[0]
    problem = ow.svm(X, SIGNS, l2=l2, loss="hinge")

    def value(w):
        row = torch.from_numpy(w)
        return float(problem.smooth.value(row) + problem.penalty.value(problem.operator.forward(row)))

    # strongly convex: a point 1e-3 away from the optimum has a value above it by at least l2 / 2 * 1e-6 = 5e-8
    rng = np.random.Generator(np.random.PCG64(1))
    for length in (1e-3, 1e-1):
        for _ in range(200):
            step = rng.standard_normal(P)
            assert value(w + length * step / np.linalg.norm(step)) >= value(w) + 0.4 * l2 * length**2


def test_the_answer_of_scipy_for_nonnegative_least_squares_is_optimal_here():
    w, residual = scipy_nnls(X, Y)
    problem = ow.nnls(X, Y, reduction="sum")
    value, gradient = problem.smooth.value_and_gradient(torch.from_numpy(w))
    assert float(value) == pytest.approx(0.5 * residual**2)
    assert 0 < np.count_nonzero(w) < P, "some bounds are active"
    moved = problem.constraint.project(torch.from_numpy(w) - gradient)
    torch.testing.assert_close(moved, torch.from_numpy(w), rtol=0, atol=1e-10)


def quartic(w):
    return ((w - 1) ** 4).sum() + w.square().sum()


@pytest.mark.parametrize(
    ("bounds", "low", "high"),
    [
        ((None, 1.0), [-math.inf] * 2, [1.0] * 2),
        ((-0.1, None), [-0.1] * 2, [math.inf] * 2),
        ((0.1, 0.7), [0.1] * 2, [0.7] * 2),
        ([0.1, 0.7], [0.1] * 2, [0.7] * 2),
        ((torch.tensor([0.0, -1.0]), 1.0), [0.0, -1.0], [1.0, 1.0]),
        ((np.array([0, -1]), np.array([1.0, 2.0])), [0.0, -1.0], [1.0, 2.0]),
        ([(0, 1), (-1, 2)], [0.0, -1.0], [1.0, 2.0]),
        ([(0.1, None), (None, 2)], [0.1, -math.inf], [math.inf, 2.0]),
        (((0, 1), (-1, 2)), [0.0, -1.0], [1.0, 2.0]),
        (np.array([[0.0, 1.0], [-1.0, 2.0]]), [0.0, -1.0], [1.0, 2.0]),
    ],
)
def test_bounds_are_read_as_two_ends_or_as_pairs(bounds, low, high):
    problem = ow.smooth(quartic, [0.3, 0.4], bounds)
    found = problem.constraint.bounds()
    assert found[0].dtype == torch.float64
    assert (found[0].tolist(), found[1].tolist()) == (low, high)


def test_a_function_is_a_problem_with_autograds_derivatives_or_the_given_ones():
    w0 = torch.tensor([3.0, -4.0])
    problem = ow.smooth(quartic, w0, (-1.0, 1.0), convex=True, lipschitz=50.0, name="quartic")
    assert problem.name == "quartic"
    assert problem.start(0)[0]["w"].tolist() == [1.0, -1.0], "a start outside is moved within the bounds"
    assert (problem.smooth.convex, problem.smooth.lipschitz) == (True, 50.0)
    point = torch.tensor([0.5, 0.2])
    value, gradient = problem.smooth.value_and_gradient(point)
    torch.testing.assert_close(gradient, 4 * (point - 1) ** 3 + 2 * point)
    torch.testing.assert_close(problem.objective.measure({"w": point}, {}, None, None)["objective"], value.reshape(1))
    assert problem.smooth.value(point).dtype == torch.float32
    told = ow.smooth(quartic, w0, gradient=lambda w: 7 * w, hvp=lambda w, v: 5 * v)
    assert torch.equal(told.smooth.value_and_gradient(point)[1], 7 * point)
    assert torch.equal(told.smooth.hvp(point, point), 5 * point)
    assert told.constraint is None


def test_nonlinear_least_squares_is_half_the_sum_or_the_mean_of_squares():
    t = torch.linspace(0, 1, 7, dtype=torch.float64)

    def residual(w):
        return w[0] * torch.exp(-w[1] * t) - 1 / (1 + t)

    def jacobian(w):
        decay = torch.exp(-w[1] * t)
        return torch.stack([decay, -w[0] * t * decay], 1)

    w = torch.tensor([0.9, 0.6], dtype=torch.float64)
    for reduction, scale in (("sum", 1.0), ("mean", 1 / 7)):
        problem = ow.nonlinear_least_squares(residual, [1.0, 1.0], reduction=reduction)
        told = ow.nonlinear_least_squares(residual, [1.0, 1.0], reduction=reduction, jacobian=jacobian)
        torch.testing.assert_close(problem.smooth.value(w), 0.5 * scale * residual(w).square().sum())
        assert problem.smooth.residuals.scale == scale
        torch.testing.assert_close(problem.smooth.residuals.jacobian(w), jacobian(w))
        torch.testing.assert_close(told.smooth.residuals.jacobian(w), jacobian(w))
        for each in (problem, told):
            torch.testing.assert_close(each.smooth.value_and_gradient(w)[1], scale * jacobian(w).T @ residual(w))


def test_a_composite_is_the_sum_of_its_parts_over_its_set():
    H, b = np.diag([1.0, 2.0, 3.0]), np.array([1.0, 0.0, -1.0])
    D, w = np.array([[1.0, -1.0, 0.0], [0.0, 1.0, -1.0]]), np.array([0.2, 0.5, 0.3])
    expected = 0.5 * w @ H @ w + b @ w + 0.1 * np.abs(D @ w).sum()
    as_term = QuadraticTerm(torch.from_numpy(H), torch.from_numpy(b))

    def as_function(w):
        return 0.5 * w @ torch.from_numpy(H) @ w + torch.from_numpy(b) @ w

    for f in (as_term, as_function):
        problem = ow.composite(f, L1(0.1), D, w0=np.zeros(3), convex=True, constraint=Simplex(), name="mine")
        row = torch.from_numpy(w)
        value = problem.smooth.value(row) + problem.penalty.value(problem.operator.forward(row))
        assert float(value) == pytest.approx(expected, rel=1e-14)
        assert problem.smooth.convex
        assert problem.constraint == Simplex()
        assert problem.name == "mine"
    assert isinstance(ow.composite(as_term, L1(0.1), scipy.sparse.csr_array(D), w0=w).operator, LinearOperator)
    assert ow.composite(as_function, L1(0.1), w0=w).operator is None
    assert not ow.composite(as_function, L1(0.1), w0=w).smooth.convex


SMALL = {
    "ridge": {"n": 40, "p": 5, "l2": 0.5, "rho": 0.25, "seed": 3},
    "nnls": {"n": 40, "p": 5, "seed": 3},
    "huber": {"n": 40, "p": 5, "outliers": 0.3, "delta": 0.5},
    "lasso": {"n": 40, "p": 60, "nonzeros": 4, "ratio": 0.02, "rho": 0.25, "seed": 3},
    "elastic-net": {"n": 40, "p": 60, "l2": 0.02},
    "group-lasso": {"n": 40, "groups": 10, "size": 3, "nonzeros": 2},
    "bpdn": {"m": 20, "p": 40, "nonzeros": 3},
    "basis-pursuit": {"m": 20, "p": 40, "nonzeros": 2, "seed": 1},
    "logistic": {"n": 40, "p": 5, "l1": 0.01, "l2": 0.02},
    "svm": {"n": 40, "p": 5, "l2": 0.02},
    "hinge-svm": {"n": 40, "p": 5},
    "total-variation": {"p": 50, "jumps": 3, "noise": 0.1, "weight": 0.5},
    "diabetes-lasso": {"ratio": 0.5},
    "breast-cancer-l1": {"ratio": 0.5},
    "softmax-digits": {"l2": 0.5},
}


@pytest.mark.parametrize("name", FORMULATIONS)
def test_a_reference_builds_the_same_problem_again(name):
    problem = FORMULATIONS[name](**SMALL[name])
    family, _, written = problem.reference.partition(":")
    typed = dict(pair.split("=") for pair in written.split(",") if pair)
    kinds = {key: type(p.default) for key, p in inspect.signature(FORMULATIONS[name]).parameters.items()}
    again = FORMULATIONS[name](**{key: kinds[key](value) for key, value in typed.items()})
    assert family == name
    assert again.reference == again.name == problem.name == problem.reference
    assert again.fingerprint() == problem.fingerprint()
    row = torch.cat([leaf.reshape(-1) for leaf in problem.start(0)[0].values()]) + 0.1
    assert torch.equal(again.smooth.value_and_gradient(row)[1], problem.smooth.value_and_gradient(row)[1])
    assert type(again.penalty) is type(problem.penalty)
    if problem.penalty is not None:
        image = row if problem.operator is None else problem.operator.forward(row)
        assert torch.equal(again.penalty.value(image), problem.penalty.value(image))
    if "seed" in kinds:
        other = FORMULATIONS[name](**{**SMALL[name], "seed": 99})
        parts = other.smooth, other.constraint, other.operator
        if name == "basis-pursuit":
            assert not torch.equal(parts[1].A, problem.constraint.A)
        elif name == "hinge-svm":
            assert not torch.equal(parts[2].matrix, problem.operator.matrix)
        else:
            assert not torch.equal(parts[0].value_and_gradient(row)[1], problem.smooth.value_and_gradient(row)[1])


@pytest.mark.parametrize("name", FORMULATIONS)
def test_a_generated_problem_has_defaults_that_its_bare_name_stands_for(name):
    problem = FORMULATIONS[name]()
    w = problem.start(0)[0]["w"]
    assert problem.name == problem.reference == name
    assert w.dtype == torch.float64
    assert math.isfinite(problem.smooth.value(w.reshape(-1)))
    row = Layout.of({"w": w}).pack({"w": w}) + 0.01
    value, gradient = problem.smooth.value_and_gradient(row)
    direction = torch.ones_like(row)
    slope = (problem.smooth.value(row + 1e-6 * direction) - problem.smooth.value(row - 1e-6 * direction)) / 2e-6
    assert float(gradient.sum()) == pytest.approx(float(slope), rel=1e-5, abs=1e-6)
    assert float(value) >= problem.smooth.lower_bound
    assert problem.smooth.convex


@pytest.mark.parametrize("name", ["lasso", "group-lasso", "bpdn", "elastic-net", "diabetes-lasso", "breast-cancer-l1"])
def test_a_ratio_of_one_is_the_smallest_weight_at_which_the_answer_is_zero(name):
    given = {**SMALL[name], "ratio": 1.0}
    problem = FORMULATIONS[name](**given)
    zero = torch.zeros(problem.smooth.dimension, dtype=torch.float64)
    _, gradient = problem.smooth.value_and_gradient(zero)
    assert problem.penalty.dual_scale(gradient) == pytest.approx(1.0, rel=1e-12)
    assert problem.penalty.dual_scale(1.001 * gradient) == pytest.approx(1 / 1.001, rel=1e-12)


def test_the_truth_of_a_generated_basis_pursuit_is_recovered_by_a_linear_program():
    from scipy.optimize import linprog

    C = FORMULATIONS["basis-pursuit"](m=20, p=40, nonzeros=2).constraint
    A = C.A.numpy()
    found = linprog(np.ones(80), A_eq=np.c_[A, -A], b_eq=C.b.numpy())
    x = found.x[:40] - found.x[40:]
    np.testing.assert_allclose(np.sort(np.abs(x))[-3:], [0.0, 1.0, 1.0], atol=1e-8)


def test_every_constructor_says_its_formula_and_where_it_comes_from():
    constructors = [getattr(ow, name) for name in ow.__all__ if name != "FORMULATIONS"]
    assert len(constructors) == 17
    for constructor in [*constructors, *FORMULATIONS.values()]:
        assert ".. math::" in constructor.__doc__
        assert "Args:" in constructor.__doc__
        assert "Raises:" in constructor.__doc__
        assert ">>>" in constructor.__doc__
