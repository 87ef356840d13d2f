"""Certificates: never below the true distance to the optimum, and tight at it.

Most problems are planted: a solution, a subgradient and residuals are drawn, and then the data are made so that the
optimality condition holds at them. Their optimal value is therefore known without any solver.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
import scipy.optimize
import torch
from torch import Tensor

from optwise.analyses.certificates import certify
from optwise.analyses.certificates.choosing import smallest_bound
from optwise.analyses.certificates.evaluation import Evaluation
from optwise.core.certificate import CertificateKind
from optwise.core.composite import Composite
from optwise.core.loss import LinearModel
from optwise.problems.terms.functions import QuadraticTerm, SquaredDistance, Zero
from optwise.problems.terms.linear_models import LinearModelTerm, SoftmaxTerm
from optwise.problems.terms.operators import FirstDifference, MatrixOperator
from optwise.problems.terms.penalties import (
    L1,
    ElasticNetPenalty,
    GroupL2,
    HingeSum,
    NonnegativeL1,
    SortedL1,
    SquaredL2,
    TotalVariation1D,
    WeightedL1,
)
from optwise.problems.terms.predictions import HuberLoss, LogisticLoss, SquaredError, SquaredHinge
from optwise.problems.terms.sets import Affine, Box, Budget, Nonnegative, Simplex

GENERATOR = torch.Generator()
DISTANCES = (0.0, 1e-7, 1e-3, 0.1, 10.0)
"""Of the points that are certified from the optimum, relative to its length."""


def normal(*shape: int) -> Tensor:
    return torch.randn(shape, generator=GENERATOR, dtype=torch.float64)


def uniform(*shape: int) -> Tensor:
    return torch.rand(shape, generator=GENERATOR, dtype=torch.float64)


@dataclass
class Case:
    problem: Composite
    w: Tensor
    dual: Tensor | None = None
    feasible: Callable[[Tensor], Tensor] = torch.clone


def composite(smooth, **parts) -> Composite:
    start = torch.zeros(smooth.dimension, dtype=torch.float64)
    start = parts["constraint"].project(start) if "constraint" in parts else start
    return Composite(smooth, tol=1e-13, start=start, **parts)


def sparse(p: int, share: float = 0.15) -> Tensor:
    w = normal(p) * (uniform(p) < share)
    w[0] = 1.0
    return w


def l1_subgradient(w: Tensor) -> Tensor:
    return torch.where(w != 0, w.sign(), 1.8 * uniform(len(w)) - 0.9)


def design(theta: Tensor, pull: Tensor, *, w: Tensor | None = None, z: Tensor | None = None) -> Tensor:
    """A matrix with ``X^T theta = pull``, and ``X w = z`` where these are given."""
    X = normal(len(theta), len(pull))
    if w is not None:
        X = X + torch.outer(z - X @ w, w) / (w @ w)
    return X + torch.outer(theta, pull - X.T @ theta) / (theta @ theta)


def regression(n, w, pull, *, scale=1.0, l2=0.0, theta=None, loss=None) -> LinearModelTerm:
    """Least squares, or another loss with ``theta = loss'(z - y)``, whose gradient at ``w`` is ``pull``."""
    theta = normal(n) if theta is None else theta
    X = design(scale * theta, pull - l2 * w)
    return LinearModelTerm(LinearModel(MatrixOperator(X), X @ w - theta, loss or SquaredError(), scale, l2))


def classification(n, w, subgradient, *, loss, scale=1.0, l2=0.0) -> tuple[LinearModelTerm, float]:
    """A loss of margins that, with ``factor`` times a penalty of this subgradient at ``w``, has its optimum there."""
    y = torch.where(uniform(n) < 0.5, -1.0, 1.0).double()
    a = 0.05 + 0.4 * uniform(n)  # minus the derivative of the loss in the margin
    margins = torch.log((1 - a) / a) if isinstance(loss, LogisticLoss) else 1 - a
    theta, z = -scale * y * a, y * margins
    factor = float((-(theta @ z) - l2 * (w @ w)) / (subgradient @ w))  # the only one that X w = z allows
    assert factor > 0
    X = design(theta, -factor * subgradient - l2 * w, w=w, z=z)
    return LinearModelTerm(LinearModel(MatrixOperator(X), y, loss, scale, l2)), factor


def lasso(n, p, **options):
    def made() -> Case:
        w = sparse(p)
        f = regression(n, w, -0.7 * l1_subgradient(w), **options)
        return Case(composite(f, penalty=L1(0.7)), w)

    return made


def lasso_offering_a_dual():
    case = lasso(30, 60)()
    model = case.problem.smooth.model
    return Case(case.problem, case.w, model.scale * model.loss.derivative(model.X.forward(case.w), model.y))


def lasso_with_intercept():
    w, weights = sparse(60), torch.ones(60).double()
    w[-1], weights[-1] = 3.0, 0.0
    f = regression(30, w, -0.7 * weights * l1_subgradient(w))
    return Case(composite(f, penalty=WeightedL1(0.7 * weights)), w)


def nonnegative_lasso():
    w = sparse(60).clamp(min=0)
    f = regression(30, w, -0.7 * torch.where(w > 0, 1.0, 0.9 - 2 * uniform(60)))
    return Case(composite(f, penalty=NonnegativeL1(0.7)), w, feasible=lambda v: v.clamp(min=0))


def lasso_and_orthant():
    case, orthant = nonnegative_lasso(), Nonnegative(60)
    problem = composite(case.problem.smooth, penalty=L1(0.7), constraint=orthant)
    return Case(problem, case.w, feasible=orthant.project)


def ridge_lasso_and_orthant():
    w, orthant = sparse(60).clamp(min=0), Nonnegative(60)
    f = regression(30, w, -0.7 * torch.where(w > 0, 1.0, 0.9 - 2 * uniform(60)), l2=0.2)
    return Case(composite(f, penalty=L1(0.7), constraint=orthant), w, feasible=orthant.project)


def elastic_net_penalty():
    w = sparse(60)
    f = regression(30, w, -0.7 * l1_subgradient(w) - 0.3 * w)
    return Case(composite(f, penalty=ElasticNetPenalty(0.7, 0.3)), w)


def ridge_penalty():
    w = normal(20)
    return Case(composite(regression(10, w, -0.3 * w), penalty=SquaredL2(0.3)), w)


def group_lasso():
    blocks = normal(12, 5) * (uniform(12, 1) < 0.3)
    lengths = blocks.norm(dim=1, keepdim=True)
    inside = normal(12, 5)
    v = torch.where(lengths > 0, blocks / lengths.clamp(min=1e-300), 0.8 * inside / inside.norm(dim=1, keepdim=True))
    f = regression(30, blocks.reshape(-1), -0.7 * v.reshape(-1))
    return Case(composite(f, penalty=GroupL2(0.7, torch.arange(12).repeat_interleave(5))), blocks.reshape(-1))


def sorted_l1():
    w = torch.tensor([3.0, -2.0, 1.0, *[0.0] * 37]).double()
    weights = torch.linspace(2.0, 1.0, 40).double()
    v = torch.cat([weights[:3] * w[:3].sign(), weights[-1] * (1.8 * uniform(37) - 0.9)])
    return Case(composite(regression(20, w, -v), penalty=SortedL1(weights)), w)


def huber_lasso():
    w = sparse(60)
    f = regression(30, w, -0.3 * l1_subgradient(w), theta=(2 * normal(30)).clamp(-1, 1), loss=HuberLoss(1.0))
    return Case(composite(f, penalty=L1(0.3)), w)


def huber_regression():
    w = normal(5)
    theta = (2 * normal(50)).clamp(-1, 1)
    return Case(composite(regression(50, w, 0 * w, theta=theta, loss=HuberLoss(1.0))), w)


def sparse_classification(loss, **options):
    def made() -> Case:
        w = sparse(60)
        f, factor = classification(30, w, l1_subgradient(w), loss=loss, **options)
        return Case(composite(f, penalty=L1(factor)), w)

    return made


def newton(f, p: int) -> Tensor:
    """The minimiser of a smooth strictly convex function by scipy's trust-region Newton method."""
    found = scipy.optimize.minimize(
        lambda w: float(f.value(torch.from_numpy(w))),
        np.zeros(p),
        jac=lambda w: f.value_and_gradient(torch.from_numpy(w))[1].numpy(),
        hess=lambda w: torch.autograd.functional.hessian(f.value, torch.from_numpy(w)).numpy(),
        method="trust-exact",
        options={"gtol": 1e-12},
    )
    return torch.from_numpy(found.x)


def logistic_regression(l2):
    def made() -> Case:
        y = torch.where(uniform(60) < 0.5, -1.0, 1.0).double()
        f = LinearModelTerm(LinearModel(MatrixOperator(normal(60, 5)), y, LogisticLoss(), 1 / 60, l2))
        return Case(composite(f), newton(f, 5))

    return made


def softmax_regression():
    f = SoftmaxTerm(
        MatrixOperator(normal(40, 3)), torch.randint(4, (40,), generator=GENERATOR), classes=4, scale=1 / 40, l2=0.05
    )
    return Case(composite(f), newton(f, 12))


def softmax_lasso():
    """The optimum is 0, by a weight just above the largest entry of the gradient there."""
    labels = torch.randint(3, (40,), generator=GENERATOR)
    f = SoftmaxTerm(MatrixOperator(normal(40, 6)), labels, classes=3, scale=1 / 40)
    zero = torch.zeros(18).double()
    return Case(composite(f, penalty=L1(1.01 * float(f.value_and_gradient(zero)[1].abs().max()))), zero)


def least_squares():
    w = normal(5)
    return Case(composite(regression(30, w, 0 * w)), w)


def deficient_least_squares():
    X = normal(30, 3) @ normal(3, 8)
    y = normal(30)
    w = torch.from_numpy(np.linalg.lstsq(X.numpy(), y.numpy(), rcond=1e-12)[0])
    return Case(composite(LinearModelTerm(LinearModel(MatrixOperator(X), y, SquaredError(), 1 / 30))), w)


def ill_conditioned_least_squares():
    X = normal(30, 6) * 10.0 ** -torch.arange(0, 9, 1.5).double()[:6]
    y = normal(30)
    w = torch.from_numpy(np.linalg.lstsq(X.numpy(), y.numpy(), rcond=None)[0])
    return Case(composite(LinearModelTerm(LinearModel(MatrixOperator(X), y, SquaredError(), 1.0))), w)


def ridge():
    w = normal(50)
    return Case(composite(regression(20, w, 0 * w, l2=0.1)), w)


def quadratic():
    B, w = normal(12, 8), normal(8)
    return Case(composite(QuadraticTerm(B.T @ B, -(B.T @ B) @ w)), w)


def nonnegative_least_squares(n, p):
    def made() -> Case:
        w, orthant = normal(p).clamp(min=0), Nonnegative(p)
        f = regression(n, w, torch.where(w > 0, 0.0, 0.1 + uniform(p)))
        return Case(composite(f, constraint=orthant), w, feasible=orthant.project)

    return made


def box_least_squares(n):
    def made() -> Case:
        box = Box(-torch.ones(12).double(), torch.ones(12).double())
        w = (1.5 * normal(12)).clamp(-1, 1)
        f = regression(n, w, torch.where(w.abs() < 1, 0.0, -w * (0.1 + uniform(12))))
        return Case(composite(f, constraint=box), w, feasible=box.project)

    return made


def simplex_quadratic():
    simplex, B = Simplex(1.0), normal(12, 8)
    w = simplex.project(normal(12))
    c = 0.3 - torch.where(w > 0, 0.0, 0.1 + uniform(12))
    f = QuadraticTerm(B @ B.T, -(B @ B.T) @ w - c)
    return Case(composite(f, constraint=simplex), w, feasible=simplex.project)


def support_vector_dual():
    y = torch.where(uniform(20) < 0.5, -1.0, 1.0).double()
    alpha = torch.where(uniform(20) < 0.3, 0.0, uniform(20).clamp(max=0.5))
    box = Budget(y, float(y @ alpha), torch.zeros(20).double(), 0.5 * torch.ones(20).double())
    normals = torch.where(alpha == 0, -uniform(20), torch.where(alpha == 0.5, uniform(20), 0.0)) + 0.4 * y
    B = normal(20, 6)
    f = QuadraticTerm(B @ B.T, -(B @ B.T) @ alpha - normals)
    return Case(composite(f, constraint=box), alpha, feasible=box.project)


def support_vector_primal():
    """The hinge behind an operator, with the multipliers as dual point."""
    u = -torch.where(uniform(30) < 0.4, 1.0, 0.0).double()
    u[:3] = -0.5  # on the margin
    margins = torch.where(u == 0, 1 + uniform(30), 1 - uniform(30))
    margins[:3] = 1.0
    w = normal(5)
    l2 = -float(margins @ u) / float(w @ w)
    A = design(u, -l2 * w, w=w, z=margins)
    f = SquaredDistance(torch.zeros(5).double(), l2)
    return Case(composite(f, penalty=HingeSum(1.0), operator=MatrixOperator(A)), w, u)


def steps_and_slopes():
    D = FirstDifference(40)
    w = normal(5).repeat_interleave(8)
    return D, w, 0.5 * l1_subgradient(D.forward(w))


def denoising(*, offers):
    def made() -> Case:
        D, w, v = steps_and_slopes()
        problem = composite(SquaredDistance(w + D.adjoint(v)), penalty=L1(0.5), operator=D)
        return Case(problem, w, v if offers else None)

    return made


def denoising_by_penalty():
    D, w, v = steps_and_slopes()
    return Case(composite(SquaredDistance(w + D.adjoint(v)), penalty=TotalVariation1D(0.5)), w)


def generalised_lasso(n):
    def made() -> Case:
        D, w, v = steps_and_slopes()
        return Case(composite(regression(n, w, -D.adjoint(v)), penalty=L1(0.5), operator=D), w, v)

    return made


def total_variation_regression(n):
    def made() -> Case:
        D, w, v = steps_and_slopes()
        return Case(composite(regression(n, w, -D.adjoint(v)), penalty=TotalVariation1D(0.5)), w)

    return made


def basis_pursuit():
    x, nu = sparse(60), normal(20)
    v = l1_subgradient(x)
    A = design(nu, v)
    affine = Affine(A, A @ x)
    return Case(composite(Zero(60), penalty=L1(1.0), constraint=affine), x, v, affine.project)


def least_absolute_deviations():
    """The optimum and its multipliers are those of a linear program."""
    X, y = normal(25, 3).numpy(), normal(25).numpy()
    n, p = X.shape
    found = scipy.optimize.linprog(
        np.concatenate([np.zeros(p), np.ones(n)]),
        A_ub=np.block([[X, -np.eye(n)], [-X, -np.eye(n)]]),
        b_ub=np.concatenate([y, -y]),
        bounds=[(None, None)] * p + [(0, None)] * n,
    )
    v = torch.from_numpy(found.ineqlin.marginals[n:] - found.ineqlin.marginals[:n])
    penalty = L1Distance(torch.from_numpy(y))
    problem = composite(Zero(p), penalty=penalty, operator=MatrixOperator(torch.from_numpy(X)))
    return Case(problem, torch.from_numpy(found.x[:p]), v)


class L1Distance(L1):
    """The sum of the absolute differences to y; a stand-in for a penalty that a user writes."""

    def __init__(self, y: Tensor) -> None:
        object.__setattr__(self, "weight", 1.0)
        object.__setattr__(self, "y", y)

    def value(self, w):
        return super().value(w - self.y)

    def prox(self, v, step):
        return self.y + super().prox(v - self.y, step)

    def conjugate(self, u):
        return super().conjugate(u) + (u * self.y).sum(-1)


CASES = {
    "lasso, more columns": lasso(30, 60),
    "lasso, more rows": lasso(90, 60, scale=1 / 90),
    "lasso with a ridge": lasso(30, 60, l2=0.1),
    "lasso offering a dual": lasso_offering_a_dual,
    "lasso with an intercept": lasso_with_intercept,
    "nonnegative lasso": nonnegative_lasso,
    "lasso and orthant": lasso_and_orthant,
    "lasso with a ridge and orthant": ridge_lasso_and_orthant,
    "elastic net as penalty": elastic_net_penalty,
    "ridge as penalty": ridge_penalty,
    "group lasso": group_lasso,
    "sorted l1": sorted_l1,
    "huber lasso": huber_lasso,
    "huber": huber_regression,
    "logistic l1": sparse_classification(LogisticLoss()),
    "logistic l1 and l2": sparse_classification(LogisticLoss(), l2=0.01),
    "squared hinge l1": sparse_classification(SquaredHinge(), scale=1 / 30),
    "logistic": logistic_regression(0.0),
    "logistic l2": logistic_regression(0.1),
    "softmax l2": softmax_regression,
    "softmax l1": softmax_lasso,
    "least squares": least_squares,
    "rank-deficient least squares": deficient_least_squares,
    "ill-conditioned least squares": ill_conditioned_least_squares,
    "ridge": ridge,
    "quadratic": quadratic,
    "nnls, more rows": nonnegative_least_squares(40, 12),
    "nnls, more columns": nonnegative_least_squares(12, 20),
    "box, more rows": box_least_squares(30),
    "box, more columns": box_least_squares(8),
    "simplex, singular quadratic": simplex_quadratic,
    "support vector dual": support_vector_dual,
    "support vector primal": support_vector_primal,
    "denoising, dual offered": denoising(offers=True),
    "denoising": denoising(offers=False),
    "denoising by penalty": denoising_by_penalty,
    "generalised lasso, more rows": generalised_lasso(60),
    "generalised lasso, more columns": generalised_lasso(25),
    "total variation regression, more rows": total_variation_regression(60),
    "total variation regression, more columns": total_variation_regression(25),
    "basis pursuit": basis_pursuit,
    "least absolute deviations": least_absolute_deviations,
}
SEEDS = (0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 6)))


def made(name: str, seed: int) -> Case:
    GENERATOR.manual_seed(seed)
    return CASES[name]()


def around(case: Case):
    """Points near and far, with their distances: off the optimum in all entries, and in those that are not 0; and 0."""
    yield 1.0, case.feasible(0 * case.w)
    for distance in DISTANCES:
        for support in (torch.ones_like(case.w), (case.w != 0).double()):
            step = normal(len(case.w)) * support
            length = float(step.norm()) or 1.0
            yield distance, case.feasible(case.w + distance * max(float(case.w.norm()), 1.0) * step / length)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", CASES)
def test_a_bound_is_never_below_the_distance_to_the_optimum(name, seed):
    case = made(name, seed)
    best = case.problem.value(case.w)
    for distance, w in around(case):
        at = Evaluation.of(case.problem, w)
        # the optimum itself is known up to the rounding of its sums and of the solver that found it
        slack = 1e-14 * (abs(at.value) + abs(best)) + 1e-12 * abs(at.value - best)
        assert at.value >= best - slack - 1e-12 * abs(best)
        bound = smallest_bound(at, case.dual)
        assert bound is not None
        assert bound.total(at.value) >= at.value - best - slack
        proof = certify(case.problem, w, case.dual)
        if distance < 1e-2:  # dual points of predictions far from the optimum may not be mended
            assert bound.closes
            assert proof.kind is CertificateKind.OPTIMALITY
        if proof.kind is CertificateKind.OPTIMALITY:
            dual_value = at.value - bound.total(at.value)
            denominator = max(abs(at.value), abs(dual_value))
            assert proof.value * denominator >= at.value - best - slack


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", CASES)
def test_a_certificate_is_tight_at_the_optimum(name, seed):
    case = made(name, seed)
    proof = certify(case.problem, case.w, case.dual)
    assert proof.kind is CertificateKind.OPTIMALITY
    assert proof.value <= 1e-10, proof
    assert proof.scale == 0  # no floor was needed


@pytest.mark.parametrize("name", CASES)
def test_rounding_the_weights_to_float32_leaves_a_small_certificate(name):
    case = made(name, 0)
    w = case.feasible(case.w.float().double())
    proof = certify(case.problem, w, None if case.dual is None else case.dual.float().double())
    # eps of float32 is 1.2e-7; the condition of the problem multiplies it
    assert proof.value <= 1e-4, proof


@pytest.mark.parametrize("name", CASES)
def test_a_wrong_dual_point_never_makes_a_bound_wrong(name):
    case = made(name, 0)
    model, operator = case.problem.smooth.model, case.problem.operator
    lengths = {case.problem.dimension if operator is None else operator.shape[0]}
    lengths |= set() if model is None else {model.examples}
    best = case.problem.value(case.w)
    for _, w in list(around(case))[::3]:
        at = Evaluation.of(case.problem, w)
        for length in lengths:
            for size in (0.0, 1.0, 1e6):
                bound = smallest_bound(at, size * normal(length))
                if bound is not None:
                    assert bound.total(at.value) >= at.value - best - 1e-12 * (abs(at.value) + abs(best))
