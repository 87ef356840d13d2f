"""Which certificate a problem gets: what may be called optimal, what only stationary, and what is no proof at all."""

import math
from dataclasses import replace

import numpy as np
import pytest
import scipy.optimize
import torch

from optwise.analyses.certificates import certify
from optwise.analyses.certificates.choosing import smallest_bound
from optwise.analyses.certificates.evaluation import Evaluation
from optwise.analyses.certificates.precision import reachable
from optwise.analyses.certificates.unboundedness import ray_certificate
from optwise.core.certificate import CertificateKind
from optwise.core.composite import Composite
from optwise.core.constraint import ConstraintSet
from optwise.core.errors import BadProblem
from optwise.core.loss import LinearModel
from optwise.core.penalty import Penalty
from optwise.core.smooth import Smooth
from optwise.problems.terms.functions import FunctionTerm, QuadraticTerm, SquaredDistance, Zero
from optwise.problems.terms.linear_models import LinearModelTerm, SoftmaxTerm
from optwise.problems.terms.operators import FirstDifference, FunctionOperator, MatrixOperator
from optwise.problems.terms.penalties import L0, L1, MCP
from optwise.problems.terms.predictions import LogisticLoss, SquaredError
from optwise.problems.terms.residuals import FunctionResiduals, ResidualTerm
from optwise.problems.terms.sets import Box, Nonnegative, Simplex

GENERATOR = torch.Generator().manual_seed(0)


def normal(*shape):
    return torch.randn(shape, generator=GENERATOR, dtype=torch.float64)


def zeros(p):
    return torch.zeros(p, dtype=torch.float64)


X, Y = normal(30, 5), normal(30)


def model(loss=None, y=Y, l2=0.0, operator=None):
    return LinearModelTerm(LinearModel(operator or MatrixOperator(X), y, loss or SquaredError(), 1 / 30, l2))


def rosenbrock(w):
    return (100 * (w[1:] - w[:-1] ** 2) ** 2 + (1 - w[:-1]) ** 2).sum()


VALLEY = FunctionTerm(rosenbrock, 4)


def test_a_function_of_which_nothing_is_known_gets_what_a_newton_step_promises():
    problem = Composite(VALLEY, tol=0.9999)
    w = 1 + 1e-3 * normal(4)
    proof = certify(problem, w)
    assert (proof.kind, proof.name) == (CertificateKind.STATIONARITY, "Newton decrement")
    gradient = torch.autograd.functional.jacobian(rosenbrock, w)
    H = torch.autograd.functional.hessian(rosenbrock, w)
    assert torch.linalg.eigvalsh(H).min() > 0
    promised = 0.5 * gradient @ torch.linalg.solve(H, gradient)
    assert proof.value == pytest.approx(float(promised / rosenbrock(w)) ** 0.5, rel=1e-9)


def test_a_known_optimum_proves_a_function_that_is_not_convex_once_it_is_met():
    problem = Composite(VALLEY, tol=1e-6)
    assert certify(problem, torch.ones(4).double(), optimum=0.0).kind is CertificateKind.OPTIMALITY
    far = certify(problem, zeros(4), optimum=0.0)
    assert (far.kind, far.name) == (CertificateKind.STATIONARITY, "Newton decrement")


def test_a_value_below_the_known_optimum_counts_as_much_as_one_above():
    problem = Composite(SquaredDistance(zeros(2)))
    above, below = (certify(problem, zeros(2), optimum=optimum) for optimum in (-3.0, 3.0))
    # the other bounds of this problem are sharper, and do not depend on what is claimed of the optimum
    assert above.value == below.value < 1e-15
    hidden = Composite(FunctionTerm(lambda w: w.square().sum(), 2, is_convex=True))
    assert certify(hidden, zeros(2), optimum=3.0).value == pytest.approx(3.0 / 3.0)
    assert certify(hidden, zeros(2), optimum=0.0).name == "known optimum"


def test_a_convex_function_without_any_bound_is_called_stationary():
    problem = Composite(FunctionTerm(lambda w: w.square().square().sum(), 3, is_convex=True))
    proof = certify(problem, zeros(3))
    assert (proof.kind, proof.value) == (CertificateKind.STATIONARITY, 0.0)


def test_a_lower_bound_counts_only_once_it_is_met():
    """Least squares too large to factorise: F >= 0 proves a fit that is exact, and says nothing of any other."""
    huge = FunctionOperator((30, 10**6), lambda w: X @ w[:5], lambda v: torch.cat([X.T @ v, zeros(10**6 - 5)]))
    w = zeros(10**6)
    w[:5] = 1.0
    fitted = Composite(model(y=X.sum(1), operator=huge))
    assert certify(fitted, w).name == "lower bound"
    assert certify(fitted, w).kind is CertificateKind.OPTIMALITY
    noisy = Composite(model(operator=huge))
    assert certify(noisy, w).kind is CertificateKind.STATIONARITY


@pytest.mark.parametrize("length", [1e-3, 1.0, 1e2, 1e5])
def test_separable_classes_have_no_optimum_and_the_certificate_says_so(length):
    y = torch.where(X[:, 0] > 0, 1.0, -1.0).double()
    w = zeros(5)
    w[0] = length
    for term in (model(LogisticLoss(), y), SoftmaxTerm(MatrixOperator(X), (y > 0).long(), 2, 1 / 30)):
        proof = certify(Composite(term), w if term.dimension == 5 else torch.stack([-w, w], dim=1).reshape(-1))
        assert proof.hopeless
        assert not proof.meets(0.9)
        assert "infimum is not attained" in proof.remark
    kept = certify(Composite(model(LogisticLoss(), y, l2=1e-3)), w)
    assert not kept.hopeless
    w[0] = -length  # these weights separate nothing
    assert not certify(Composite(model(LogisticLoss(), y)), w).hopeless


@pytest.mark.parametrize("penalty", [L0(0.1), MCP(0.1)])
def test_a_penalty_that_is_not_convex_gets_what_proximal_steps_promise(penalty):
    """A step of 1/L falls by at least what the map says, and the promise is no less than that."""
    problem = Composite(model(l2=0.5), penalty=penalty)
    w, t = normal(5), 1 / problem.smooth.lipschitz
    proof = certify(problem, w)
    assert (proof.kind, proof.name) == (CertificateKind.STATIONARITY, "Newton decrement")
    mapped = penalty.prox(w - t * problem.smooth.value_and_gradient(w)[1], t)
    fallen = problem.value(w) - problem.value(mapped)
    assert fallen > 0
    assert proof.value > problem.tol  # told at once, not in full
    for _ in range(3000):
        w = penalty.prox(w - t * problem.smooth.value_and_gradient(w)[1], t)
    assert certify(problem, w).value < 1e-12


def test_no_unit_of_residuals_or_parameters_changes_the_promise_of_nonlinear_least_squares():
    t = torch.linspace(0, 1, 8).double()

    def residuals(scales, unit):
        return FunctionResiduals(lambda w: unit * (w[0] * scales[0] * torch.exp(w[1] * scales[1] * t) - 1 - t))

    w, scales = torch.tensor([1.04, 0.64]).double(), torch.tensor([1e3, 1e-3]).double()
    proofs = [
        certify(Composite(ResidualTerm(residuals(s, unit), 2), tol=0.9999), w / s)
        for s, unit in ((torch.ones(2).double(), 1.0), (scales, 1e4))
    ]
    assert {proof.name for proof in proofs} == {"Newton decrement"}
    assert proofs[0].value == pytest.approx(proofs[1].value, rel=1e-9)
    found = scipy.optimize.least_squares(
        lambda v: residuals(torch.ones(2).double(), 1.0).value(torch.from_numpy(v)).numpy(), w.numpy(), xtol=1e-15
    )
    solved = certify(Composite(ResidualTerm(residuals(torch.ones(2).double(), 1.0), 2)), torch.from_numpy(found.x))
    assert (solved.kind, solved.value < 1e-6) == (CertificateKind.STATIONARITY, True)


def test_residuals_that_vanish_are_proved_by_their_lower_bound():
    term = ResidualTerm(FunctionResiduals(lambda w: torch.stack([10 * (w[1] - w[0] ** 2), 1 - w[0]])), 2)
    proof = certify(Composite(term), torch.ones(2).double())
    assert (proof.kind, proof.name) == (CertificateKind.OPTIMALITY, "lower bound")


@pytest.mark.parametrize("factor", [1e-6, 1e6])
@pytest.mark.parametrize("unit", [1e-4, 1e4])
def test_no_choice_of_units_changes_the_promise_within_bounds(factor, unit):
    """Nor does the unit of each coordinate."""
    f = FunctionTerm(rosenbrock, 4)
    units = unit ** torch.linspace(-1, 1, 4).double()
    scaled = FunctionTerm(lambda w: factor * rosenbrock(w / units), 4)
    low, high = torch.full((4,), -0.5).double(), torch.full((4,), 0.5).double()
    found = scipy.optimize.minimize(
        lambda v: float(rosenbrock(torch.from_numpy(v))), np.zeros(4), bounds=[(-0.5, 0.5)] * 4, tol=1e-14
    )
    for w, meets in ((torch.from_numpy(found.x), True), (0.3 * torch.ones(4).double(), False)):
        proofs = [
            certify(Composite(term, constraint=Box(low * length, high * length)), w * length)
            for term, length in ((f, torch.ones(4).double()), (scaled, units))
        ]
        assert proofs[0].name == proofs[1].name == "Newton decrement"
        assert [proof.meets(1e-6) for proof in proofs] == [meets, meets]
        if meets:
            assert abs(proofs[0].value - proofs[1].value) < 1e-12


def test_a_function_without_curvature_still_has_a_gradient_map():
    class Slab(ConstraintSet):
        """The entries lie between 0 and 1; it says neither support nor bounds."""

        def project(self, v):
            return v.clamp(0, 1)

    slope = torch.tensor([1.0, -2.0]).double()
    problem = Composite(FunctionTerm(lambda w: slope @ w, 2, is_convex=True), constraint=Slab())
    assert certify(problem, torch.tensor([0.0, 1.0]).double()).value == 0.0
    assert certify(problem, torch.tensor([0.0, 0.5]).double()).value > 0.1


def test_behind_an_operator_stationarity_is_the_kkt_residual():
    D, w = FirstDifference(4), normal(4)
    problem = Composite(FunctionTerm(rosenbrock, 4), penalty=L1(0.3), operator=D)
    assert certify(problem, w).name == "KKT residual"
    # planted: the linear term makes w stationary
    v = 0.3 * D.forward(w).sign()
    slope = torch.autograd.functional.jacobian(rosenbrock, w) + D.adjoint(v)
    planted = replace(problem, smooth=FunctionTerm(lambda u: rosenbrock(u) - slope @ u, 4))
    assert certify(planted, w, v).value < 1e-12
    assert certify(planted, w + 0.1, v).value > 1e-2


def test_both_a_penalty_and_a_set_have_a_joint_map():
    w = torch.tensor([1.0, 0.0, 0.0, 2.0]).double()
    slope = torch.autograd.functional.jacobian(rosenbrock, w) + torch.tensor([0.3, -0.2, 0.25, 0.3]).double()
    f = FunctionTerm(lambda u: rosenbrock(u) - slope @ u, 4)  # v = (0.3, 0.3, 0.3, 0.3), c = (0, -0.5, -0.05, 0)
    problem = Composite(f, penalty=L1(0.3), constraint=Nonnegative(4))
    proof = certify(problem, w)
    assert (proof.kind, proof.name) == (CertificateKind.STATIONARITY, "Newton decrement")
    assert proof.value < 1e-9  # Dykstra's algorithm ends after some sweeps
    assert certify(problem, w + 1e-2).value > 1e-6


def test_a_point_off_the_set_is_as_bad_as_it_is_far():
    box = Box(zeros(2), torch.ones(2).double())
    problem = Composite(SquaredDistance(torch.tensor([3.0, 0.5]).double()), constraint=box)
    inside = certify(problem, torch.tensor([1.0, 0.5]).double())
    assert inside.value < 1e-14
    outside = certify(problem, torch.tensor([1.0 + 1e-3, 0.5]).double())
    assert outside.kind is CertificateKind.OPTIMALITY
    assert outside.value >= 1e-3 / math.hypot(1.001, 0.5)
    # better than the best feasible value, and no better for it
    assert certify(problem, torch.tensor([3.0, 0.5]).double()).value > 0.5


class Silent(Penalty):
    """A penalty that says nothing but its value."""

    def value(self, w):
        return w.abs().sum(-1)


def test_a_penalty_that_says_nothing_is_proved_by_nothing():
    proof = certify(Composite(FunctionTerm(rosenbrock, 4), penalty=Silent()), torch.ones(4).double())
    assert (proof.kind, proof.value) == (CertificateKind.STATIONARITY, math.inf)
    assert not proof.meets(1e300)


@pytest.mark.parametrize("wrong", [math.nan, math.inf])
def test_what_is_not_finite_proves_nothing(wrong):
    point = torch.tensor([1.0, wrong]).double()
    problem = Composite(SquaredDistance(zeros(2)))
    assert certify(problem, point).value == math.inf
    assert certify(problem, zeros(2), optimum=math.nan).value < 1e-15
    walled = FunctionTerm(lambda w: w.sum().log(), 2)
    assert certify(Composite(walled), zeros(2)).value == math.inf
    hidden = Composite(FunctionTerm(lambda w: w.square().sum(), 2, is_convex=True))
    assert certify(hidden, torch.ones(2).double(), optimum=math.nan).kind is CertificateKind.STATIONARITY


def test_a_dual_point_that_is_not_finite_is_as_none():
    problem = Composite(model(), penalty=L1(0.1))
    assert certify(problem, zeros(5), math.nan * Y) == certify(problem, zeros(5))


@pytest.mark.parametrize(
    ("w", "dual", "said"),
    [
        (torch.zeros(5), None, "float32 point of shape"),
        (zeros(4), None, "of shape (4,)"),
        (zeros(5), zeros(7), "length 5 or 30"),
        (zeros(5), torch.zeros(30), "float32"),
    ],
)
def test_points_that_fit_nothing_are_refused(w, dual, said):
    problem = Composite(model(), penalty=L1(0.1))
    with pytest.raises(BadProblem) as caught:
        certify(problem, w, dual)
    assert said in str(caught.value)


def test_certificates_leave_the_points_alone_and_repeat():
    problem = Composite(model(), penalty=L1(0.1))
    w, dual = normal(5), normal(30)
    kept = w.clone(), dual.clone()
    assert certify(problem, w, dual) == certify(problem, w, dual)
    assert torch.equal(w, kept[0])
    assert torch.equal(dual, kept[1])


def test_the_duality_gap_of_a_lasso_is_that_of_the_textbook():
    """With theta = (y - Xw)/n scaled to |X^T theta| <= lambda; the certificate may only be smaller."""
    level, w = 0.05, 0.1 * normal(5)
    problem = Composite(model(), penalty=L1(level), tol=0.9999)
    r = Y - X @ w
    theta = r / 30 * min(1.0, level / float((X.T @ r / 30).abs().max()))
    primal = float(r @ r) / 60 + level * float(w.abs().sum())
    dual = float(theta @ Y) - 15 * float(theta @ theta)
    proof = certify(problem, w)
    assert proof.name == "duality gap"
    assert 0 < proof.value <= (primal - dual) / max(primal, abs(dual)) * (1 + 1e-12)


def test_over_a_simplex_the_frank_wolfe_gap_is_that_of_its_vertices():
    simplex, H = Simplex(1.0), X.T @ X
    f = FunctionTerm(lambda w: 0.5 * w @ (H @ w) - w.sum(), 5, is_convex=True)
    problem = Composite(f, constraint=simplex)
    w = simplex.project(normal(5))
    proof, gradient = certify(problem, w), H @ w - 1
    gap = float(gradient @ w - gradient.min())
    value = float(f.value(w))
    assert proof.name == "Frank-Wolfe gap"
    assert proof.value == pytest.approx(gap / max(abs(value), abs(value - gap)), rel=1e-12)


class Ramp(Smooth):
    """Falls with slope 1 from any x to 0 at x = 1, rounded off within 0.01 of it."""

    dimension, convex, lower_bound, lipschitz = 1, True, 0.0, 100.0

    def value(self, w):
        return torch.nn.functional.huber_loss(w.clamp(max=1.0), torch.ones_like(w), delta=0.01) / 0.01


def test_a_function_that_is_only_bounded_below_gets_the_gap_of_its_level_set():
    """At 0 the gradient is -1 and the domain of the dual ends at 0.8, so that the gap is (1 / 0.8 - 1) f(0)."""
    problem = Composite(Ramp(), penalty=L1(0.8))
    proof = certify(problem, zeros(1))
    f = float(Ramp().value(zeros(1)))
    assert proof.name == "duality gap"
    assert proof.value == pytest.approx(0.25 * f / max(f, 0.75 * f), rel=1e-12)
    best = min(problem.value(x) for x in torch.linspace(0, 2, 2001).double()[:, None])
    assert 0.25 * f > f - best > 0.19  # a factor of 0.8 between the bound and the truth, and no more


def test_iterations_that_have_not_ended_make_no_dual_point():
    """Low frequencies come last to least squares with differences, so its v is much too small after 200 iterations."""
    p, level = 1000, 0.01
    D = FirstDifference(p)
    hidden = FunctionOperator(D.shape, D.forward, D.adjoint)  # so that nobody sees the bands
    wave = torch.sin(torch.linspace(0, math.tau, p).double())
    X = MatrixOperator(torch.eye(p).double()[: p - 1])  # the Hessian is singular
    f = LinearModelTerm(LinearModel(X, wave[:-1], SquaredError(), 1.0))
    for operator in (hidden, D):
        problem = Composite(f, penalty=L1(level), operator=operator, tol=1e-13)
        bound = smallest_bound(Evaluation.of(problem, zeros(p)), None)
        assert bound.gap >= problem.value(zeros(p)) - problem.value(wave)


@pytest.mark.parametrize("condition", [1e3, 1e9])
def test_signs_that_are_not_mended_make_no_dual_point(condition):
    """More columns than rows, and more iterations wanted than are made; the best value is scipy's."""
    values = condition ** -torch.linspace(0, 1, 60).double()
    U, V = torch.linalg.qr(normal(60, 60))[0], torch.linalg.qr(normal(120, 120))[0][:60]
    skewed, w = U @ (values[:, None] * V), normal(120).abs()
    y = skewed @ w + 0.1 * normal(60)
    f = LinearModelTerm(LinearModel(MatrixOperator(skewed), y, SquaredError(), 1.0))
    problem = Composite(f, constraint=Nonnegative(120), tol=1e-13)
    best = 0.5 * scipy.optimize.nnls(skewed.numpy(), y.numpy(), maxiter=10**5)[1] ** 2
    for scale in (0.0, 1e-3, 0.1, 1.0):
        value = problem.value(scale * w)
        assert smallest_bound(Evaluation.of(problem, scale * w), None).total(value) >= value - best - 1e-12


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_no_tolerance_is_reachable_below_four_rounding_units(dtype):
    assert reachable(dtype) == 4 * torch.finfo(dtype).eps


FALLING = {
    "linear": (lambda w: w[0] + w[1].square(), True),
    "quadratic downwards": (lambda w: -w[0].square() + w[1].square(), True),
    "linear behind a hill": (lambda w: w[0] + 50 * torch.exp(-((w[0] + 3) ** 2)), True),
    "logarithm": (lambda w: -(1 + w[0].square()).log(), False),
    "square root": (lambda w: -(1 + w[0].square()).pow(0.25), False),
    "exponential": (lambda w: w[0].exp(), False),
    "bounded after 1e6": (lambda w: w[0].clamp(min=-1e6), False),
    "rising": (lambda w: w.square().sum(), False),
    "flat": (lambda w: 0 * w.sum(), False),
    "not a number": (lambda w: w[0].log(), False),
}


@pytest.mark.parametrize("name", FALLING)
def test_a_ray_is_unbounded_only_where_the_fall_never_slows(name):
    function, falls = FALLING[name]
    proof = ray_certificate(Composite(FunctionTerm(function, 2)), normal(2), torch.tensor([-2.0, 0.0]).double())
    assert (proof is not None) == falls
    if proof is not None:
        assert proof.kind is CertificateKind.UNBOUNDEDNESS
        assert proof.value < 1e-9


def test_a_ray_that_leaves_the_set_proves_nothing():
    f, down = QuadraticTerm(torch.zeros(2, 2).double(), -torch.ones(2).double()), torch.ones(2).double()
    orthant, box = Nonnegative(2), Box(zeros(2), torch.ones(2).double())
    assert ray_certificate(Composite(f, constraint=orthant), zeros(2), down) is not None
    assert ray_certificate(Composite(f, constraint=box), zeros(2), down) is None
    assert ray_certificate(Composite(f), zeros(2), zeros(2)) is None
    assert ray_certificate(Composite(Zero(2)), zeros(2), math.nan * down) is None


class Once(torch.autograd.Function):
    """A sum of fourth powers whose backward has no derivative of its own."""

    @staticmethod
    def forward(ctx, w):
        ctx.save_for_backward(w)
        return (w**4).sum()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, g):
        return 4 * g * ctx.saved_tensors[0] ** 3


def test_a_function_that_can_be_differentiated_only_once_is_certified_by_differences_of_gradients():
    def smooth(w):
        return 1 + Once.apply(w) + ((w - 1) ** 2).sum()

    plain = FunctionTerm(lambda w: 1 + (w**4).sum() + ((w - 1) ** 2).sum(), 3)
    w = torch.full((3,), 0.5, dtype=torch.float64)
    for _ in range(30):
        w = w - (4 * w**3 + 2 * (w - 1)) / (12 * w**2 + 2)
    for point, meets in ((w, True), (w * 1.01, False)):
        found, exact = (certify(Composite(f), point) for f in (FunctionTerm(smooth, 3), plain))
        assert (found.name, found.meets(1e-6), exact.meets(1e-6)) == ("Newton decrement", meets, meets)


def test_a_saddle_among_many_coordinates_is_found_where_the_slope_is_blind_to_it():
    """Eighty coordinates, more than are formed at once; the slope at the saddle is exactly 0 along the way down."""

    def f(w):
        return 2 + (w[1:] ** 2 * torch.linspace(1, 3, 79, dtype=torch.float64)).sum() - w[0] ** 2 + w[0] ** 4

    w = zeros(80)
    w[1:] = 1e-9
    proof = certify(Composite(FunctionTerm(f, 80)), w)
    assert proof.meets(1e-6)
    assert proof.saddle
    assert int(proof.leaving.abs().argmax()) == 0
    w[0] = 0.5**0.5
    assert not certify(Composite(FunctionTerm(f, 80)), w).saddle
