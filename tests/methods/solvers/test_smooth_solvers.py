"""Every solver for smooth problems against answers found otherwise, and the laws that all of them keep."""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from optwise.core.composite import Composite
from optwise.core.loss import LinearModel
from optwise.core.operator import LinearOperator
from optwise.core.smooth import Smooth
from optwise.methods.solvers.accelerated import AcceleratedGradient
from optwise.methods.solvers.gradient_descent import ArmijoDescent, BarzilaiBorwein, GradientDescent, WolfeDescent
from optwise.methods.solvers.nelder_mead import NelderMead
from optwise.methods.solvers.newton import Newton, NewtonCG
from optwise.methods.solvers.nonlinear_conjugate_gradient import NonlinearCG
from optwise.methods.solvers.quasi_newton import BFGS, LBFGS
from optwise.methods.solvers.trust_region import TrustRegion
from optwise.problems.terms.linear_models import LinearModelTerm
from optwise.problems.terms.operators import MatrixOperator
from optwise.problems.terms.predictions import HuberLoss, LogisticLoss, SquaredError

FIRST_ORDER = [GradientDescent(), ArmijoDescent(), WolfeDescent()]
FAST = [
    BarzilaiBorwein(),
    AcceleratedGradient(),
    NonlinearCG(),
    BFGS(),
    LBFGS(),
    Newton(),
    NewtonCG(),
    TrustRegion(),
]
ALL = [*FIRST_ORDER, *FAST, NelderMead()]


@dataclass(frozen=True, eq=False)
class Function(Smooth):
    """A function of a vector whose derivatives come from autograd."""

    function: Callable[[Tensor], Tensor]
    length: int
    lipschitz: float | None = None
    strong_convexity: float = 0.0
    asked: dict[str, int] = field(default_factory=lambda: dict.fromkeys(("value", "gradient", "hvp"), 0))

    @property
    def dimension(self) -> int:
        return self.length

    def value(self, w):
        self.asked["value"] += 1
        return self.function(w)


@dataclass(frozen=True, eq=False)
class Counting(Function):
    """The same, counting what it is asked."""

    def value_and_gradient(self, w):
        self.asked["gradient"] += 1
        self.asked["value"] -= 1  # the inherited method asks for a value of its own
        return super().value_and_gradient(w)

    def hvp(self, w, v):
        self.asked["hvp"] += 1
        self.asked["value"] -= 1
        return super().hvp(w, v)


@dataclass(frozen=True, eq=False)
class CountingOperator(LinearOperator):
    of: MatrixOperator
    products: list[int] = field(default_factory=lambda: [0])

    @property
    def shape(self):
        return self.of.shape

    def forward(self, w):
        self.products[0] += w.numel() // w.shape[-1]
        return self.of.forward(w)

    def adjoint(self, v):
        self.products[0] += v.numel() // v.shape[-1]
        return self.of.adjoint(v)


@dataclass(frozen=True)
class Case:
    """A function, where to start, and the value of its minimum found without us."""

    smooth: Smooth
    start: Tensor
    optimum: float
    room: float = 0.0  # how far above the optimum a gradient of 1e-11 of the first one may still be

    def problem(self) -> Composite:
        return Composite(self.smooth)


def vector(*entries: float) -> Tensor:
    return torch.tensor(entries, dtype=torch.float64)


def quadratic(condition: float, n: int = 10) -> Case:
    """Curvatures from 1 to the condition number in rotated coordinates, the minimum 3 in closed form."""
    generator = torch.Generator().manual_seed(5)
    Q, _ = torch.linalg.qr(torch.randn(n, n, dtype=torch.float64, generator=generator))
    curvatures = torch.logspace(0, math.log10(condition), n, dtype=torch.float64)
    H, answer = (Q * curvatures) @ Q.T, torch.randn(n, dtype=torch.float64, generator=generator)

    def value(w):
        z = w - answer.to(w)
        return 0.5 * z @ (H.to(w) @ z) + 3.0

    # the bounds hold in spite of rounding
    return Case(Function(value, n, (1 + 1e-9) * condition, 1 - 1e-9), torch.zeros(n, dtype=torch.float64), 3.0)


def rosenbrock(d: int) -> Case:
    start = torch.ones(d, dtype=torch.float64)
    start[::2] = -1.2

    def value(w):
        return (100 * (w[1:] - w[:-1] ** 2) ** 2 + (1 - w[:-1]) ** 2).sum()

    return Case(Function(value, d), start, 0.0)


def beale() -> Case:
    def value(w):
        x, y = w
        return (1.5 - x + x * y) ** 2 + (2.25 - x + x * y**2) ** 2 + (2.625 - x + x * y**3) ** 2

    return Case(Function(value, 2), vector(1, 1), 0.0)


def singular_quartic() -> Case:
    """The Hessian is singular at the answer: no method is faster than linear there."""
    return Case(
        Function(lambda w: (w[0] - 1) ** 2 + (w[1] + 2) ** 4 + w[2] ** 4 * (1 + w[0] ** 2), 3),
        vector(3, 1, 1),
        0.0,
        room=1e-11,  # values fall as the gradient to the power 4/3, and the first gradient is 100
    )


def log_sum_exp() -> Case:
    generator = torch.Generator().manual_seed(1)
    A = torch.randn(30, 5, dtype=torch.float64, generator=generator)
    b = torch.randn(30, dtype=torch.float64, generator=generator)
    smooth = Function(
        lambda w: torch.logsumexp(A.to(w) @ w + b.to(w), 0), 5, float(torch.linalg.matrix_norm(A, 2)) ** 2
    )

    def value_and_gradient(w):
        z = A.numpy() @ w + b.numpy()
        p = np.exp(z - z.max())
        return z.max() + math.log(p.sum()), A.numpy().T @ (p / p.sum())

    found = minimize(value_and_gradient, np.zeros(5), jac=True, method="BFGS", options={"gtol": 1e-12})
    return Case(smooth, torch.zeros(5, dtype=torch.float64), found.fun)


def walled() -> Case:
    """``c w - sum log(1 - w^2)`` is NaN beyond walls at -1 and 1; it starts close to one."""
    c = vector(1, -5, 30)
    answer = (1 - (1 + c**2).sqrt()) / c
    smooth = Function(lambda w: c.to(w) @ w - torch.log(1 - w**2).sum(), 3)
    return Case(smooth, vector(0.99, -0.99, 0.9), float(smooth.function(answer)))


def near_a_saddle() -> Case:
    """A start a thousandth away from the line that leads into the saddle at 0."""
    return Case(
        Function(lambda w: w[0] ** 2 - w[1] ** 2 + w[1] ** 4 + 0.5 * (w[2] - w[1]) ** 2, 3), vector(1, 1e-3, 0), -0.25
    )


def labelled(n: int, p: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    X = rng.standard_normal((n, p)) * np.linspace(0.3, 2, p)
    return X, np.where(rng.random(n) < 1 / (1 + np.exp(-X @ rng.standard_normal(p))), 1.0, -1.0)


def logistic(n: int, p: int, operator: type[LinearOperator] = MatrixOperator) -> Case:
    """Ridge-penalised logistic regression; the oracle is scikit-learn."""
    X, y = labelled(n, p)
    with np.errstate(all="ignore"):
        found = LogisticRegression(C=1.0, fit_intercept=False, solver="newton-cholesky", tol=1e-12).fit(X, y).coef_[0]
    optimum = np.logaddexp(0, -y * (X @ found)).sum() + 0.5 * found @ found
    design = MatrixOperator(torch.from_numpy(X))
    model = LinearModel(
        design if operator is MatrixOperator else operator(design), torch.from_numpy(y), LogisticLoss(), 1.0, 1.0
    )
    return Case(LinearModelTerm(model), torch.zeros(p, dtype=torch.float64), float(optimum))


CASES: dict[str, Callable[[], Case]] = {
    "quadratic 1": lambda: quadratic(1.0),
    "quadratic 1e2": lambda: quadratic(1e2),
    "quadratic 1e4": lambda: quadratic(1e4),
    "quadratic 1e6": lambda: quadratic(1e6),
    "rosenbrock 2": lambda: rosenbrock(2),
    "rosenbrock 10": lambda: rosenbrock(10),
    "logistic 80 x 6": lambda: logistic(80, 6),
    "logistic 20 x 40": lambda: logistic(20, 40),
    "singular quartic": singular_quartic,
    "log-sum-exp": log_sum_exp,
    "beale": beale,
    "wall": walled,
    "saddle": near_a_saddle,
}
SLOW = [
    ("barzilai-borwein", "quadratic 1e6"),
    ("accelerated-gradient", "quadratic 1e6"),
    ("accelerated-gradient", "quadratic 1e4"),
    ("accelerated-gradient", "singular quartic"),
    ("barzilai-borwein", "rosenbrock 10"),
    ("nonlinear-cg", "rosenbrock 10"),
    ("nonlinear-cg", "singular quartic"),
]
EASY = ("quadratic 1", "logistic 80 x 6", "log-sum-exp", "saddle")
LOCAL_MINIMUM = 3.9865791
"""The value at the other minimum of Rosenbrock's function, from d = 4 on."""


def label(solver) -> str:
    return solver.label


def named(label: str):
    return next(solver for solver in FAST if solver.label == label)


def run(solver, problem: Composite, start: Tensor, *, most: int, enough: float = 0.0) -> list:
    """Iterates until the measure is ``enough``, at most ``most`` of them."""
    found = []
    for iterate in itertools.islice(solver.solve(problem, start), most):
        found.append(iterate)
        if iterate.measure <= enough:
            break
    return found


def solved(case: Case, solver, most: int) -> None:
    found = run(solver, case.problem(), case.start, most=most, enough=1e-17)
    last = found[-1]
    value, gradient = case.smooth.value_and_gradient(last.w)
    start_value, start_gradient = case.smooth.value_and_gradient(case.start)
    assert last.value == pytest.approx(float(value), rel=1e-12, abs=1e-25)  # the value belongs to the point
    scale = max(abs(case.optimum), 1e-8 * float(start_value - case.optimum))
    if case.smooth.dimension == 10 and abs(last.value - LOCAL_MINIMUM) < 1e-6:
        # it may rightly end there: stationary, and the Hessian definite
        H = torch.autograd.functional.hessian(case.smooth.value, last.w)
        assert torch.linalg.eigvalsh(H).min() > 0
    else:
        # far below what a step short of the answer leaves, above what rounding of values allows
        assert last.value - case.optimum <= 1e-9 * scale + case.room
        assert last.value - case.optimum >= -1e-11 * scale - 1e-20
    assert float(gradient.norm()) <= 1e-5 * float(start_gradient.norm())


@pytest.mark.parametrize(
    ("solver", "name"), [(s.label, name) for s in FAST for name in CASES if (s.label, name) not in SLOW]
)
def test_fast_methods_reach_answers_found_otherwise(solver, name):
    solved(CASES[name](), named(solver), most=4_000)


@pytest.mark.slow
@pytest.mark.parametrize(("solver", "name"), SLOW)
def test_first_order_methods_get_through_hard_problems_in_the_end(solver, name):
    solved(CASES[name](), named(solver), most=20_000)


@pytest.mark.parametrize("name", EASY)
@pytest.mark.parametrize("solver", FIRST_ORDER[1:], ids=label)
def test_searched_gradient_steps_reach_answers_found_otherwise(solver, name):
    solved(CASES[name](), solver, most=4_000)


@pytest.mark.parametrize("name", ["quadratic 1", "logistic 80 x 6"])
def test_a_step_of_one_over_the_lipschitz_constant_reaches_answers_found_otherwise(name):
    solved(CASES[name](), GradientDescent(), most=4_000)


@pytest.mark.parametrize("condition", [3.0, 100.0])
def test_gradient_descent_contracts_by_the_textbook_factor(condition):
    """At the step 2 / (L + m) the extreme directions shrink by (kappa - 1) / (kappa + 1) exactly, and none by less."""
    case = Case(Function(lambda w: 0.5 * (condition * w[0] ** 2 + w[1] ** 2), 2), vector(1.0, -1.0), 0.0)
    factor = (condition - 1) / (condition + 1)
    lengths = [
        float(iterate.w.norm())
        for iterate in run(GradientDescent(lr=2 / (condition + 1)), case.problem(), case.start, most=20)
    ]
    expected = [math.sqrt(2) * factor**k for k in range(1, 21)]
    assert lengths == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("name", ["quadratic 1e2", "quadratic 1e6", "log-sum-exp"])
def test_accelerated_gradients_stay_below_their_bound(name):
    """The gap is at most 2 L |w0 - w*|^2 / (k + 1)^2 for every k with a known L and no strong convexity told."""
    case = CASES[name]()
    answer = run(BFGS(), case.problem(), case.start, most=1000, enough=1e-13)[-1].w
    smooth = Function(case.smooth.function, case.smooth.dimension, case.smooth.lipschitz)
    problem = Case(smooth, case.start, case.optimum).problem()
    bound = 2 * smooth.lipschitz * float((case.start - answer).square().sum())
    for k, iterate in enumerate(run(AcceleratedGradient(), problem, case.start, most=300), start=1):
        assert iterate.value - case.optimum <= bound / (k + 1) ** 2 + 1e-12 * abs(case.optimum)


def test_accelerated_gradients_use_strong_convexity():
    """With the modulus known, each iteration takes off about the root of the inverse condition."""
    case = quadratic(1e4)
    found = run(AcceleratedGradient(), case.problem(), case.start, most=1500)
    start = float(case.smooth.value(case.start)) - case.optimum
    # the bound of the method with constant momentum: (1 - 1/100)^k, here at k = 1500 with a factor 2 to spare
    assert found[-1].value - case.optimum <= 2 * start * 0.99 ** len(found) + 1e-13


def test_spectral_steps_beat_searched_ones_by_far():
    """That is what they are for: on a quadratic of condition 300, a fifth of the gradients."""
    counts = {}
    for solver in (BarzilaiBorwein(), ArmijoDescent()):
        case = quadratic(300.0)
        problem = case.problem()
        run(solver, problem, case.start, most=20_000, enough=1e-6)
        counts[solver.label] = problem.counts["gradients"]
    assert counts["barzilai-borwein"] < 0.2 * counts["armijo-descent"]


@pytest.mark.parametrize("solver", ALL, ids=label)
def test_answers_never_get_worse(solver):
    """Also where the method itself is not monotone, it hands out its best point."""
    case = rosenbrock(2)
    solver = GradientDescent(lr=2e-3) if solver.label == "gradient-descent" else solver
    values = [iterate.value for iterate in run(solver, case.problem(), case.start, most=300)]
    assert all(later <= earlier * (1 + 1e-14) for earlier, later in itertools.pairwise(values))
    assert values[0] <= float(case.smooth.value(case.start))


@pytest.mark.parametrize("solver", ALL, ids=label)
def test_a_solver_returns_when_rounding_hides_the_rest(solver):
    """Asked for ever, it ends, at a gradient that rounding explains; a simplex knows no gradient."""
    case = quadratic(10.0, n=4)
    found = run(solver, case.problem(), case.start, most=20_000, enough=-1.0)
    assert len(found) < 20_000
    _, gradient = case.smooth.value_and_gradient(found[-1].w)
    # values are around 3, curvatures around 10: differences of values tell a gradient of 1e-7 from none
    assert float(gradient.norm()) <= (1e-6 if solver.label == "nelder-mead" else 1e-12)


@pytest.mark.parametrize("solver", ALL, ids=label)
def test_at_the_optimum_nothing_is_left_to_do(solver):
    smooth = Function(lambda w: (w**2).sum(), 3, 2.0, 2.0)
    found = run(solver, Composite(smooth), torch.zeros(3, dtype=torch.float64), most=2000, enough=-1.0)
    assert len(found) < 2000
    assert all(iterate.value <= 0.0 for iterate in found)


@pytest.mark.parametrize("solver", ALL, ids=label)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_one_dimension_and_both_precisions_do(solver, dtype):
    smooth = Function(lambda w: torch.log(torch.cosh(w[0] - 1)) + 0.05 * w[0] ** 2, 1, 1.1, 0.1)
    start = torch.zeros(1, dtype=dtype)
    found = run(solver, Composite(smooth), start, most=3000, enough=-1.0)[-1]
    oracle = minimize(lambda w: np.log(np.cosh(w[0] - 1)) + 0.05 * w[0] ** 2, [0.0], tol=1e-12).x[0]
    assert found.w.dtype == dtype
    # values to eps give points to its root
    assert float(found.w[0]) == pytest.approx(oracle, abs=3e-3 if dtype == torch.float32 else 1e-6)


@pytest.mark.parametrize("solver", FAST, ids=label)
def test_a_single_precision_run_gets_as_far_as_single_precision_goes(solver):
    case = logistic(80, 6)
    model = case.smooth.model.to(dtype=torch.float32)
    problem = Composite(LinearModelTerm(model))
    found = run(solver, problem, case.start.float(), most=2000, enough=-1.0)[-1]
    assert found.w.dtype == torch.float32
    assert float(case.smooth.value(found.w.double())) - case.optimum <= 1e-6 * case.optimum


@pytest.mark.parametrize("solver", ALL, ids=label)
def test_points_that_are_not_finite_never_enter(solver):
    """Beyond the wall f is NaN; one step of 1 from the start would jump it."""
    case = walled()
    solver = GradientDescent(lr=0.5) if solver.label == "gradient-descent" else solver
    for iterate in run(solver, case.problem(), case.start, most=300):
        assert bool(iterate.w.isfinite().all())
        assert math.isfinite(iterate.value)
        assert bool((iterate.w.abs() < 1).all())


@pytest.mark.parametrize("solver", ALL, ids=label)
def test_a_start_without_a_value_yields_no_answer(solver):
    case = walled()
    solver = GradientDescent(lr=0.1) if solver.label == "gradient-descent" else solver
    outside = torch.full((3,), 5.0, dtype=torch.float64)
    assert run(solver, Composite(case.smooth), outside, most=50) == []


@pytest.mark.parametrize("solver", ALL, ids=label)
def test_a_function_without_a_minimum_is_followed_down_without_a_crash(solver):
    smooth = Function(lambda w: -w[0] + 0.5 * w[1] ** 2, 2, 1.0)
    values = [i.value for i in run(solver, Composite(smooth), vector(0, 1), most=40, enough=-1.0)]
    assert values[-1] < -10.0
    assert all(math.isfinite(value) for value in values)


@pytest.mark.parametrize("solver", ALL, ids=label)
def test_two_runs_are_the_same_bit_for_bit_and_answers_stay_as_they_were(solver):
    case = logistic(80, 6)
    first = run(solver, case.problem(), case.start, most=40)
    copies = [iterate.w.clone() for iterate in first[:20]]
    second = run(solver, case.problem(), case.start, most=40)
    assert len(first) == len(second)
    for one, other in zip(first, second, strict=True):
        assert torch.equal(one.w, other.w)
        assert one[1:3] == other[1:3]
    assert all(torch.equal(copy, iterate.w) for copy, iterate in zip(copies, first, strict=False))


@pytest.mark.parametrize("solver", ALL, ids=label)
def test_what_is_booked_is_what_was_asked(solver):
    case = beale()
    smooth = Counting(case.smooth.function, 2)
    solver = GradientDescent(lr=1e-3) if solver.label == "gradient-descent" else solver
    problem = Composite(smooth)
    run(solver, problem, case.start, most=15)
    asked = smooth.asked
    assert problem.counts["evaluations"] == asked["value"] + asked["gradient"]
    assert problem.counts["gradients"] == asked["gradient"]
    assert problem.counts["hvps"] == asked["hvp"]


@pytest.mark.parametrize("solver", [s for s in ALL if s.label != "nelder-mead"], ids=label)
@pytest.mark.parametrize("shape", [(80, 6), (20, 40)])
def test_every_product_with_the_design_is_booked(solver, shape):
    case = logistic(*shape, operator=CountingOperator)
    solver = GradientDescent(lr=1e-3) if solver.label == "gradient-descent" else solver
    smooth = Unasked(case.smooth.model)
    assert smooth.lipschitz > 0  # the term finds it by products of its own
    case.smooth.model.X.products[0] = 0
    problem = Composite(smooth)
    run(solver, problem, case.start, most=15)
    # what a term computes when it is asked for a value is its own: accelerated gradients ask once an iteration
    own = problem.counts["evaluations"] - problem.counts["gradients"] if solver.label == "accelerated-gradient" else 0
    assert problem.counts["products"] + own == case.smooth.model.X.products[0]


@dataclass(frozen=True, eq=False)
class Unasked(LinearModelTerm):
    """A linear model that keeps no predictions, so that each question is one product."""

    def value(self, w):
        return self.linear.value(w, self.linear.X.forward(w))


def test_a_line_search_costs_a_linear_model_two_products_an_iteration():
    case = logistic(80, 6)
    problem = case.problem()
    found = run(LBFGS(), problem, case.start, most=10)
    assert problem.counts["products"] == 2 + 2 * len(found)  # at the start, then X d and X^T r


def test_gradient_descent_without_a_step_says_what_it_needs():
    reason = GradientDescent().refusal(Composite(beale().smooth))
    assert "Lipschitz constant" in reason
    assert "GradientDescent(lr=...)" in reason
    assert GradientDescent(lr=0.1).refusal(Composite(beale().smooth)) == ""
    assert GradientDescent().refusal(Composite(quadratic(10.0).smooth)) == ""


@pytest.mark.parametrize("solver", [Newton(), BFGS()], ids=label)
def test_a_matrix_that_would_not_fit_is_refused_with_its_size(solver):
    reason = solver.refusal(Composite(Function(lambda w: (w**2).sum(), 10**7)))
    assert "10000000 x 10000000" in reason
    assert "choose" in reason
    assert solver.refusal(Composite(beale().smooth)) == ""


def test_the_measure_is_the_duality_gap_of_a_ridge_penalised_model():
    """Both by Fenchel's inequality at u = loss'(z), and by the gradient."""
    case = logistic(80, 6)
    problem = case.problem()
    found = run(LBFGS(), problem, case.start, most=5)[-1]
    model = case.smooth.model
    u = model.loss.derivative(model.X.forward(found.w), model.y)
    dual = -float(model.loss.conjugate(u, model.y).sum() + 0.5 * model.X.adjoint(u).square().sum())
    assert found.measure == pytest.approx((found.value - dual) / found.value, rel=1e-9)


@pytest.mark.parametrize("solver", [s for s in ALL if s.label != "nelder-mead"], ids=label)
@pytest.mark.parametrize("loss", [SquaredError(), LogisticLoss()])
def test_rounding_moves_nothing_where_the_design_is_blind(solver, loss):
    """Three of six columns depend on the others; from 0 the answer is that of least norm, also after the last step."""
    rng = np.random.default_rng(1)
    X = rng.standard_normal((30, 3)) @ rng.standard_normal((3, 6))
    y = np.where(rng.random(30) < 0.5, 1.0, -1.0)
    smooth = LinearModelTerm(LinearModel(MatrixOperator(torch.from_numpy(X)), torch.from_numpy(y), loss, 1.0))
    case = Case(smooth, torch.zeros(6, dtype=torch.float64), 0.0)
    last = run(solver, case.problem(), case.start, most=3000, enough=-1.0)[-1]
    value, gradient = smooth.value_and_gradient(last.w)
    assert last.value == pytest.approx(float(value), rel=1e-13)
    assert float(gradient.norm()) < 1e-7
    _, _, rows = np.linalg.svd(X)
    assert np.abs(rows[3:] @ last.w.numpy()).max() < 0.1 * float(last.w.norm())


def test_least_squares_in_one_newton_step():
    X, y = labelled(30, 5)
    smooth = LinearModelTerm(LinearModel(MatrixOperator(torch.from_numpy(X)), torch.from_numpy(y), SquaredError(), 1.0))
    first = next(Newton().solve(Composite(smooth), torch.zeros(5, dtype=torch.float64)))
    oracle, *_ = np.linalg.lstsq(X, y, rcond=None)
    assert first.w.numpy() == pytest.approx(oracle, rel=1e-10)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_losses_that_do_not_curve_are_left_along_their_slope_whatever_the_units(dtype):
    """Huber's loss far from the data: no residual curves at the start, and each column has a unit of its own."""
    rng = np.random.default_rng(3)
    X = rng.standard_normal((40, 5)) * 10.0 ** np.array([-4.0, 4.0, 0.0, 2.0, -2.0])
    y = X @ (10 / np.abs(X).max(0)) + 0.01 * rng.standard_normal(40)
    design = MatrixOperator(torch.tensor(X, dtype=dtype))
    smooth = LinearModelTerm(LinearModel(design, torch.tensor(y, dtype=dtype), HuberLoss(0.02), 1 / 40))
    last = run(Newton(), Composite(smooth), torch.zeros(5, dtype=dtype), most=500)[-1]
    best = minimize(
        lambda v: float(
            HuberLoss(0.02).values(torch.from_numpy(X @ (v / np.abs(X).max(0))), torch.from_numpy(y)).mean()
        ),
        np.full(5, 10.0),
        method="BFGS",
        options={"gtol": 1e-12},
    )
    assert last.value <= best.fun * (1 + (1e-6 if dtype is torch.float64 else 1e-2))
