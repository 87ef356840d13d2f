"""Losses, smooth terms and operators: derivatives, constants and conjugates against independent numbers."""

import math
import pickle
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
import scipy.sparse
import torch
import torch.nn.functional as F
from scipy.optimize import minimize
from sklearn.metrics import log_loss
from torch.func import grad, vmap

from optwise.core.errors import BadProblem
from optwise.core.loss import LinearModel
from optwise.core.operator import LinearOperator
from optwise.core.oracles import Oracle
from optwise.numerics.derivatives import jvp
from optwise.problems.terms.functions import FunctionTerm, QuadraticTerm, SquaredDistance, Zero
from optwise.problems.terms.linear_models import LinearModelTerm, SoftmaxTerm
from optwise.problems.terms.operators import (
    FirstDifference,
    FunctionOperator,
    MatrixOperator,
    RowScaled,
    SparseOperator,
    norm_bound,
)
from optwise.problems.terms.predictions import HuberLoss, LogisticLoss, SquaredError, SquaredHinge
from optwise.problems.terms.residuals import FunctionResiduals, ResidualTerm

LOSSES = {
    "squared": SquaredError(),
    "huber": HuberLoss(0.7),
    "logistic": LogisticLoss(),
    "squared-hinge": SquaredHinge(),
}
LABELS = {"squared": (-1.3, 0.4), "huber": (-1.3, 0.4), "logistic": (-1.0, 1.0), "squared-hinge": (-1.0, 1.0)}
Z = torch.linspace(-4, 4, 83, dtype=torch.float64)  # no point of it is a kink of a loss


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def case(name):
    loss = LOSSES[name]
    return loss, [(Z, torch.full_like(Z, label)) for label in LABELS[name]]


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_has_the_derivatives_of_its_values(name):
    loss, cases = case(name)
    step = 1e-5
    for z, y in cases:
        slope = (loss.values(z + step, y) - loss.values(z - step, y)) / (2 * step)
        # third derivatives are below 1, so that the error is below step^2 and rounding / step
        torch.testing.assert_close(loss.derivative(z, y), slope, rtol=0, atol=1e-9)
        bend = (loss.derivative(z + step, y) - loss.derivative(z - step, y)) / (2 * step)
        torch.testing.assert_close(loss.curvature(z, y), bend, rtol=0, atol=1e-9)
        point = z.clone().requires_grad_()
        loss.values(point, y).sum().backward()
        torch.testing.assert_close(loss.derivative(z, y), point.grad)
        assert float(loss.curvature(z, y).max()) <= loss.smoothness
        assert float(loss.values(z, y).min()) >= loss.lower_bound


@pytest.mark.parametrize("name", LOSSES)
def test_a_conjugate_of_a_loss_is_the_largest_difference_to_a_line(name):
    """Fenchel and Young: never below the difference at any z, and equal where the line touches."""
    loss, cases = case(name)
    for z, y in cases:
        u = loss.derivative(z, y)
        torch.testing.assert_close(loss.values(z, y) + loss.conjugate(u, y), u * z, rtol=1e-12, atol=1e-12)
        grid = torch.linspace(-30, 30, 60001, dtype=torch.float64)
        for slope, label in zip(u[::9], y[::9], strict=True):
            best = (slope * grid - loss.values(grid, label)).max()
            # the grid is 1e-3 apart and curvatures are at most 1; an end of the domain is met in the limit only
            torch.testing.assert_close(loss.conjugate(slope, label), best, rtol=0, atol=2e-6)


@pytest.mark.parametrize(
    ("loss", "y", "inside", "outside"),
    [
        (HuberLoss(0.5), 2.0, (-0.5, 0.0, 0.5), (-0.5000001, 0.5000001)),
        (LogisticLoss(), 1.0, (-1.0, -0.3, 0.0), (-1.0000001, 1e-7)),
        (LogisticLoss(), -1.0, (0.0, 0.3, 1.0), (-1e-7, 1.0000001)),
        (SquaredHinge(), 1.0, (-9.0, 0.0), (1e-7,)),
        (SquaredHinge(), -1.0, (9.0, 0.0), (-1e-7,)),
        (SquaredError(), 1.0, (-1e6, 0.0, 1e6), ()),
    ],
)
def test_a_conjugate_of_a_loss_is_finite_exactly_on_its_domain(loss, y, inside, outside):
    def values(u):
        return loss.conjugate(torch.tensor(u, dtype=torch.float64), torch.tensor(y, dtype=torch.float64))

    assert all(math.isfinite(values(u)) for u in inside)
    assert all(values(u) == math.inf for u in outside)
    assert float(values(0.0)) <= -loss.lower_bound


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_far_out_is_as_good_as_its_asymptote(name, dtype):
    loss = LOSSES[name]
    z = torch.tensor([-1e4, -90.0, 90.0, 1e4], dtype=dtype)
    for label in LABELS[name]:
        y = torch.full_like(z, label)
        exact = loss.values(z.double(), torch.full_like(z.double(), float(y[0])))
        torch.testing.assert_close(loss.values(z, y).double(), exact, rtol=1e-6, atol=0)
        assert bool(torch.isfinite(loss.derivative(z, y)).all())
        assert bool((loss.curvature(z, y) >= 0).all())


def test_the_logistic_loss_of_a_large_margin_keeps_all_its_digits():
    """log(1 + e^-m) is e^-m for large m; a formula through sums of exponentials would give 0."""
    loss, one = LogisticLoss(), torch.tensor(1.0, dtype=torch.float64)
    for margin in (40.0, 300.0, 700.0):
        z = torch.tensor(margin, dtype=torch.float64)
        assert float(loss.values(z, one)) == pytest.approx(math.exp(-margin), rel=1e-12)
        assert float(loss.derivative(z, one)) == pytest.approx(-math.exp(-margin), rel=1e-12)
        assert float(loss.curvature(z, one)) == pytest.approx(math.exp(-margin), rel=1e-12)


def test_losses_are_those_of_torch_up_to_the_factors_that_their_docstrings_tell():
    y, signs = normal(83, seed=1), normal(83, seed=1).sign()
    torch.testing.assert_close(2 * SquaredError().values(Z, y), F.mse_loss(Z, y, reduction="none"))
    torch.testing.assert_close(HuberLoss(0.7).values(Z, y), F.huber_loss(Z, y, reduction="none", delta=0.7))
    bce = F.binary_cross_entropy_with_logits(Z, (signs + 1) / 2, reduction="none")
    torch.testing.assert_close(LogisticLoss().values(Z, signs), bce)


@dataclass(frozen=True, eq=False)
class Counted(LinearOperator):
    """Counts its products."""

    entries: torch.Tensor
    products: list = field(default_factory=list)

    @property
    def shape(self):
        return tuple(self.entries.shape)

    def forward(self, w):
        self.products.append("forward")
        return w @ self.entries.T

    def adjoint(self, v):
        self.products.append("adjoint")
        return v @ self.entries


def operators_of(X):
    return {
        "dense by rows": MatrixOperator(X),
        "dense by columns": MatrixOperator(X.T.contiguous().T),
        "sparse": SparseOperator.of(scipy.sparse.csr_array(X.numpy())),
        "functions": FunctionOperator(tuple(X.shape), lambda w: X @ w, lambda v: X.T @ v),
    }


X, W, V = normal(9, 5, seed=2), normal(5, seed=3), normal(5, seed=4)
X[X.abs() < 0.3] = 0.0
Y = {"squared": normal(9, seed=5), "huber": normal(9, seed=5)} | dict.fromkeys(
    ("logistic", "squared-hinge"), normal(9, seed=5).sign()
)


def term(name, operator, *, scale=0.25, l2=0.3, dtype=torch.float64):
    return LinearModelTerm(LinearModel(operator, Y[name].to(dtype), LOSSES[name], scale=scale, l2=l2))


@pytest.mark.parametrize("design", operators_of(X))
@pytest.mark.parametrize("name", LOSSES)
def test_a_linear_model_has_the_value_gradient_and_hessian_of_its_formula(name, design):
    f, loss, y = term(name, operators_of(X)[design]), LOSSES[name], Y[name]

    def formula(w):
        return 0.25 * loss.values(X @ w, y).sum() + 0.15 * w.square().sum()

    value, gradient = f.value_and_gradient(W)
    torch.testing.assert_close(value, formula(W))
    torch.testing.assert_close(f.value(W), formula(W))
    torch.testing.assert_close(gradient, grad(formula)(W))
    hessian = 0.25 * X.T @ (loss.curvature(X @ W, y)[:, None] * X) + 0.3 * torch.eye(5, dtype=torch.float64)
    torch.testing.assert_close(f.hvp(W, V), hessian @ V)
    step = 1e-6
    difference = (f.value_and_gradient(W + step * V)[1] - f.value_and_gradient(W - step * V)[1]) / (2 * step)
    torch.testing.assert_close(f.hvp(W, V), difference, rtol=1e-6, atol=1e-8)
    assert f.dimension == 5
    assert f.oracles >= {Oracle.LINEAR_MODEL, Oracle.CONVEX, Oracle.HVP}
    assert (Oracle.QUADRATIC in f.oracles) == (name == "squared")
    assert (Oracle.MATRIX in f.oracles) == design.startswith("dense")
    assert float(value) >= f.lower_bound == 0.0


def test_a_gradient_takes_two_products_and_a_hessian_vector_product_there_two_more():
    A = Counted(X)
    f = term("logistic", A)
    f.value_and_gradient(W)
    assert A.products == ["forward", "adjoint"]
    f.hvp(W, V)
    f.hvp(W, W)
    assert A.products == ["forward", "adjoint"] * 3
    f.value(W)
    assert len(A.products) == 6


def test_a_point_that_was_written_to_is_another_point():
    """Predictions are kept for the last point; they must not survive a change of its numbers."""
    f, w = term("logistic", MatrixOperator(X)), W.clone()
    f.value_and_gradient(w)
    w += 1.0
    torch.testing.assert_close(f.value(w), term("logistic", MatrixOperator(X)).value(W + 1.0))
    torch.testing.assert_close(f.hvp(w, V), term("logistic", MatrixOperator(X)).hvp(W + 1.0, V))
    with torch.inference_mode():
        there = w.clone()
        before = f.value(there)
        there += 1.0
        assert not torch.equal(f.value(there), before)


def test_another_dtype_does_not_share_the_predictions_of_the_first():
    f = term("squared", MatrixOperator(X))
    f.value_and_gradient(W)
    half = f.to(dtype=torch.float32)
    assert half.value(W.float()).dtype == torch.float32
    assert f.to(dtype=torch.float64) is f
    torch.testing.assert_close(half.to(dtype=torch.float64).value(W), f.value(W), rtol=1e-6, atol=0)


@pytest.mark.parametrize("name", LOSSES)
def test_constants_of_a_linear_model_are_bounds_and_not_far_from_the_truth(name):
    f = term(name, MatrixOperator(X))
    largest = np.linalg.norm(X.numpy(), 2) ** 2
    exact = 0.25 * LOSSES[name].smoothness * largest + 0.3
    assert exact <= f.lipschitz <= 1.03 * exact
    refuse_wrong_constants(f)


def refuse_wrong_constants(f, scale=2.0):
    """Lipschitz gradients and strong convexity on random pairs of points."""
    for seed in range(40):
        a, b = scale * normal(f.dimension, seed=2 * seed), scale * normal(f.dimension, seed=2 * seed + 1)
        change, step = f.value_and_gradient(a)[1] - f.value_and_gradient(b)[1], a - b
        assert float(change.norm()) <= f.lipschitz * float(step.norm()) * (1 + 1e-12)
        if f.convex:
            assert float(change @ step) >= f.strong_convexity * float(step @ step) * (1 - 1e-12)


CLASSES = torch.tensor([0, 1, 2, 0, 1, 2, 3, 3, 0])


@pytest.mark.parametrize("design", operators_of(X))
def test_softmax_regression_has_the_value_gradient_and_hessian_of_its_formula(design):
    f = SoftmaxTerm(operators_of(X)[design], CLASSES, classes=4, scale=0.5, l2=0.3)
    w, v = normal(20, seed=6), normal(20, seed=7)

    def formula(w):
        scores = X @ w.reshape(5, 4)
        return 0.5 * F.cross_entropy(scores, CLASSES, reduction="sum") + 0.15 * w.square().sum()

    value, gradient = f.value_and_gradient(w)
    torch.testing.assert_close(value, formula(w))
    torch.testing.assert_close(f.value(w), formula(w))
    torch.testing.assert_close(gradient, grad(formula)(w))
    torch.testing.assert_close(f.hvp(w, v), torch.autograd.functional.hvp(formula, w, v)[1])
    probabilities = (X @ w.reshape(5, 4)).softmax(1).numpy()
    loss = 0.5 * log_loss(CLASSES.numpy(), probabilities, normalize=False)
    assert float(value) == pytest.approx(loss + 0.15 * float(w @ w), rel=1e-12)
    refuse_wrong_constants(f)
    assert f.lipschitz <= 1.03 * (0.25 * np.linalg.norm(X.numpy(), 2) ** 2 + 0.3)
    assert float(value) >= f.lower_bound == 0.0


def test_softmax_regression_far_out_is_finite_in_float32():
    f = SoftmaxTerm(MatrixOperator(1e4 * X.float()), CLASSES, classes=4, scale=1.0)
    value, gradient = f.value_and_gradient(torch.ones(20).index_fill(0, torch.arange(0, 20, 3), -1.0))
    assert math.isfinite(value)
    assert bool(torch.isfinite(gradient).all())
    assert f.to(dtype=torch.float64).value(torch.zeros(20).double()).dtype == torch.float64


def positive_definite(p=6, seed=8):
    B = normal(p, p, seed=seed)
    return B.T @ B + 0.1 * torch.eye(p, dtype=torch.float64)


def test_a_quadratic_has_the_constants_and_the_conjugate_of_its_matrix():
    H, b = positive_definite(), normal(6, seed=9)
    f, w, u = QuadraticTerm(H, b), normal(6, seed=10), normal(6, seed=11)
    value, gradient = f.value_and_gradient(w)
    torch.testing.assert_close(value, 0.5 * w @ H @ w + b @ w)
    torch.testing.assert_close(gradient, H @ w + b)
    torch.testing.assert_close(f.hvp(w, u), H @ u)
    low, *_, high = np.linalg.eigvalsh(H.numpy())
    assert f.convex
    assert high <= f.lipschitz <= 1.02 * high
    assert (1 - 1e-9) * low <= f.strong_convexity <= low
    refuse_wrong_constants(f)
    found = minimize(lambda x: float(f.value(torch.from_numpy(x)) - u @ torch.from_numpy(x)), np.zeros(6), tol=1e-12)
    assert float(f.conjugate(u)) == pytest.approx(-found.fun, rel=1e-6)
    torch.testing.assert_close(f.conjugate(torch.stack([u, gradient]))[1], gradient @ w - value)
    assert Oracle.QUADRATIC in f.oracles


def test_a_singular_quadratic_has_a_conjugate_on_its_range_alone():
    B = normal(2, 4, seed=12)
    f = QuadraticTerm(B.T @ B, torch.zeros(4, dtype=torch.float64))
    w = normal(4, seed=13)
    value, gradient = f.value_and_gradient(w)
    assert f.convex
    assert f.strong_convexity == 0.0
    torch.testing.assert_close(f.conjugate(gradient), gradient @ w - value)
    assert float(f.conjugate(gradient + 1e-3 * torch.linalg.svd(B)[2][3])) == math.inf


def test_an_indefinite_quadratic_is_not_convex_and_bounded_along_no_direction():
    f = QuadraticTerm(torch.diag(torch.tensor([1.0, -0.5, 0.0]).double()), torch.zeros(3, dtype=torch.float64))
    assert not f.convex
    assert f.strong_convexity == 0.0
    assert 1.0 <= f.lipschitz <= 1.02
    assert float(f.conjugate(torch.zeros(3).double())) == math.inf
    assert Oracle.CONVEX not in f.oracles


def test_a_gram_matrix_in_float32_still_counts_as_convex():
    """Its computed eigenvalues are a few units of rounding below 0 where it is singular."""
    B = normal(40, 60, seed=14).float()
    f = QuadraticTerm(B.T @ B, torch.zeros(60))
    assert float(np.linalg.eigvalsh((B.T @ B).double().numpy())[0]) < 0
    assert f.convex
    exact = f.to(dtype=torch.float64)
    assert exact.H.dtype == exact.conjugate(torch.zeros(60).double()).dtype == torch.float64


@pytest.mark.parametrize(
    ("H", "b", "says"),
    [
        (torch.ones(2, 3), torch.ones(2), "H of shape (2, 3)"),
        (torch.ones(2, 2), torch.ones(3), "b of shape (3,)"),
        (torch.tensor([[1.0, 0.5], [0.0, 1.0]]), torch.ones(2), "differ by 0.5"),
    ],
)
def test_a_matrix_that_is_no_hessian_is_refused(H, b, says):
    with pytest.raises(BadProblem) as refusal:
        QuadraticTerm(H, b)
    assert says in str(refusal.value)


@pytest.mark.parametrize("scale", [0.0, -1.0, math.inf, math.nan])
def test_a_squared_distance_needs_a_positive_scale(scale):
    with pytest.raises(BadProblem, match="finite number above 0"):
        SquaredDistance(torch.zeros(2), scale)


def test_a_squared_distance_touches_its_conjugate():
    y, w = normal(6, seed=15), normal(6, seed=16)
    f = SquaredDistance(y, scale=2.5)
    value, gradient = f.value_and_gradient(w)
    torch.testing.assert_close(value, 1.25 * (w - y).square().sum())
    torch.testing.assert_close(gradient, grad(f.value)(w))
    torch.testing.assert_close(f.hvp(w, y), 2.5 * y)
    torch.testing.assert_close(value + f.conjugate(gradient), gradient @ w)
    refuse_wrong_constants(f)


def test_nothing_is_a_function_too():
    f, w = Zero(3), normal(3, seed=17).requires_grad_()
    f.value(w).backward()
    assert torch.equal(w.grad, torch.zeros(3, dtype=torch.float64))
    assert torch.equal(f.value_and_gradient(w)[1], f.hvp(w, w))
    assert f.conjugate(torch.tensor([[0.0, 0.0, 0.0], [0.0, 1e-30, 0.0]]).double()).tolist() == [0.0, math.inf]
    refuse_wrong_constants(f)


def rosenbrock(w):
    return 100 * (w[1] - w[0] ** 2) ** 2 + (1 - w[0]) ** 2


def test_a_function_has_the_derivatives_it_is_given_and_autograds_otherwise():
    w, v = torch.tensor([-1.2, 1.0], dtype=torch.float64), torch.tensor([0.5, 2.0], dtype=torch.float64)
    gradient = torch.tensor([-215.6, -88.0], dtype=torch.float64)
    hessian = torch.tensor([[1330.0, 480.0], [480.0, 200.0]], dtype=torch.float64)
    bare = FunctionTerm(rosenbrock, 2)
    torch.testing.assert_close(bare.value_and_gradient(w), (torch.tensor(24.2).double(), gradient))
    torch.testing.assert_close(bare.hvp(w, v), hessian @ v)
    assert (bare.convex, bare.lipschitz, bare.lower_bound, bare.strong_convexity) == (False, None, -math.inf, 0.0)
    told = FunctionTerm(
        rosenbrock,
        2,
        gradient=lambda w: 2 * w,
        product=lambda w, v: 3 * v,
        is_convex=True,
        gradient_lipschitz=7.0,
    )
    assert torch.equal(told.value_and_gradient(w)[1], 2 * w)
    assert torch.equal(told.hvp(w, v), 3 * v)
    assert (told.convex, told.lipschitz) == (True, 7.0)


def tall(w):
    return torch.stack([w[0] ** 2, w[0] * w[1], w.sin().sum(), w[1], torch.ones_like(w[0])])


def branching(w):
    """A function that torch.func cannot map over a batch: it looks at a number."""
    return torch.stack([w[0] if bool(w[0] > 0) else -w[0], w[1] ** 3])


@pytest.mark.parametrize(
    ("residual", "p"),
    [(tall, 2), (branching, 2), (lambda w: w[:1] * w.sum(), 5), (lambda w: torch.ones(3).double(), 2)],
)
def test_a_jacobian_is_that_of_central_differences(residual, p):
    r, w, step = FunctionResiduals(residual, weight=0.5), normal(p, seed=18), 1e-6
    columns = [(residual(w + step * e) - residual(w - step * e)) / (2 * step) for e in torch.eye(p).double()]
    torch.testing.assert_close(r.jacobian(w), torch.stack(columns, 1), rtol=1e-7, atol=1e-9)
    assert not r.jacobian(w).requires_grad
    f = ResidualTerm(r, p)
    torch.testing.assert_close(f.value(w), 0.25 * residual(w).square().sum())
    if residual(w.clone().requires_grad_()).requires_grad:
        torch.testing.assert_close(f.value_and_gradient(w)[1], 0.5 * r.jacobian(w).T @ residual(w))
    assert f.residuals is r
    assert f.lower_bound == 0.0
    assert Oracle.RESIDUALS in f.oracles
    given = FunctionResiduals(residual, derivative=lambda w: torch.full((2, 2), 7.0))
    assert torch.equal(given.jacobian(w), torch.full((2, 2), 7.0))


OPERATORS = {
    **operators_of(X),
    "rows scaled": RowScaled(MatrixOperator(X), normal(9, seed=19).sign()),
    "rows of a sparse one scaled": RowScaled(operators_of(X)["sparse"], normal(9, seed=19)),
    "differences": FirstDifference(6),
    "two differences": FirstDifference(2),
}


@pytest.mark.parametrize("name", OPERATORS)
def test_an_operator_and_its_adjoint_are_one_matrix(name):
    A = OPERATORS[name]
    m, p = A.shape
    dense = A.forward(torch.eye(p, dtype=torch.float64)).T  # leading dimensions are points of their own
    torch.testing.assert_close(A.adjoint(torch.eye(m, dtype=torch.float64)), dense)
    w, v = normal(2, 3, p, seed=20), normal(2, 3, m, seed=21)
    torch.testing.assert_close(A.forward(w), w @ dense.T)
    torch.testing.assert_close(A.adjoint(v), v @ dense)
    torch.testing.assert_close(A.forward(w[0, 0]), dense @ w[0, 0])
    if A.matrix is not None:
        torch.testing.assert_close(A.matrix, dense)
    exact = np.linalg.norm(dense.numpy(), 2)
    assert exact <= norm_bound(A, like=w) * (1 + 1e-12)
    if A.norm_bound is None:
        assert norm_bound(A, like=w) <= 1.02 * exact
    if A.gram_bands is not None:
        diagonal, off = A.gram_bands
        gram = torch.diag(diagonal) + torch.diag(off, 1) + torch.diag(off, -1)
        torch.testing.assert_close(dense @ dense.T, gram)
    moved = A.to(dtype=torch.float32)
    if name != "functions":
        torch.testing.assert_close(moved.forward(w.float()), (w @ dense.T).float(), rtol=1e-4, atol=1e-5)


def test_first_differences_know_the_bound_of_their_norm_and_keep_their_dtype():
    assert FirstDifference(1000).norm_bound == 2.0
    assert FirstDifference(4).to(dtype=torch.float32).gram_bands[0].dtype == torch.float32
    with pytest.raises(BadProblem, match="at least 2"):
        FirstDifference(1)


def test_a_matrix_keeps_the_order_of_memory_it_came_in():
    columns = X.T.contiguous().T
    assert MatrixOperator(columns).matrix is columns
    assert MatrixOperator(columns).to(dtype=torch.float32).matrix.T.is_contiguous()


@pytest.mark.parametrize("make", [scipy.sparse.csr_array, scipy.sparse.csc_matrix, scipy.sparse.coo_array])
def test_sparse_matrices_of_any_kind_become_the_same_operator(make):
    A = SparseOperator.of(make(X.numpy()))
    torch.testing.assert_close(A.rows.to_dense(), X)
    torch.testing.assert_close(A.columns.to_dense(), X.T)
    assert A.rows.values().numel() == int((X != 0).sum())
    torch.testing.assert_close(SparseOperator.of(X.to_sparse_coo()).rows.to_dense(), X)
    torch.testing.assert_close(SparseOperator.of(A.rows).columns.to_dense(), X.T)


def test_a_sparse_operator_travels_to_another_process():
    A = SparseOperator.of(scipy.sparse.csr_array(X.numpy()))
    again = pickle.loads(pickle.dumps(A))
    torch.testing.assert_close(again.forward(W), A.forward(W), rtol=0, atol=0)
    torch.testing.assert_close(again.adjoint(again.forward(W)), X.T @ (X @ W))


def test_entries_of_a_sparse_matrix_that_come_twice_are_added():
    twice = scipy.sparse.coo_array(([1.0, 2.0, 5.0], ([0, 0, 1], [1, 1, 0])), shape=(2, 2))
    assert SparseOperator.of(twice).forward(torch.ones(2).double()).tolist() == [3.0, 5.0]
    rows = scipy.sparse.csr_array(([1.0, 2.0, 5.0], [1, 1, 0], [0, 2, 3]), shape=(2, 2))
    assert SparseOperator.of(rows).adjoint(torch.ones(2).double()).tolist() == [5.0, 3.0]
    assert rows.data.tolist() == [1.0, 2.0, 5.0], "the caller's matrix stays as it was"
    with pytest.raises(BadProblem, match="no matrix"):
        SparseOperator.of(torch.ones(2, 2, 2).to_sparse())


def test_a_sparse_product_can_be_differentiated_and_mapped_as_a_dense_one():
    sparse, dense = operators_of(X)["sparse"], MatrixOperator(X)
    w, v = normal(4, 5, seed=22), normal(4, 5, seed=23)

    def f(A, w):
        return (A.forward(w).sin() * A.forward(w)).sum()

    for transformed in (
        lambda A: vmap(lambda w: f(A, w))(w),
        lambda A: vmap(grad(lambda w: f(A, w)))(w),
        lambda A: jvp(lambda w: f(A, w), w[0], v[0]),
        lambda A: vmap(lambda w, v: torch.func.vjp(grad(lambda w: f(A, w)), w)[1](v)[0])(w, v),
        lambda A: vmap(lambda w: f(A, w), in_dims=1)(w.T),
        lambda A: grad(lambda w: f(A, w))(w),
    ):
        torch.testing.assert_close(transformed(sparse), transformed(dense))
    leaf = w[0].clone().requires_grad_()
    f(sparse, leaf).backward()
    torch.testing.assert_close(leaf.grad, grad(lambda w: f(dense, w))(w[0]))


def test_a_huber_loss_needs_a_positive_delta():
    for delta in (0.0, -1.0, math.inf, math.nan):
        with pytest.raises(BadProblem, match="has no quadratic part"):
            HuberLoss(delta)
    assert replace(HuberLoss(1.0), delta=2.0).smoothness == 1.0
