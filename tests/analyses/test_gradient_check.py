"""The gradient check: right gradients pass on every scale, wrong ones are named, and kinks are told from errors."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

import optwise as ow
from optwise.core.errors import BadProblem, BadProtocol
from optwise.core.finding import Grade

GENERATOR = torch.Generator().manual_seed(0)


def normal(*shape: int) -> Tensor:
    return torch.randn(shape, generator=GENERATOR, dtype=torch.float64)


X, Y = normal(20, 4), normal(20)
LABELS = (Y > 0).double()


def graded(check, name):
    return next(one for one in check.findings if one.check == name)


SMOOTH = {
    "least squares": lambda w: 0.5 * (X @ w - Y).square().sum(),
    "logistic": lambda w: F.binary_cross_entropy_with_logits(X @ w, LABELS),
    "log-sum-exp": lambda w: torch.logsumexp(X @ w, 0),
    "relu network": lambda w: (torch.relu(X @ w) - Y).square().mean(),
    "quartic behind an offset": lambda w: 1e8 + (X @ w).pow(4).sum(),
    "rosenbrock": lambda w: (100 * (w[1:] - w[:-1] ** 2) ** 2 + (1 - w[:-1]) ** 2).sum(),
    "log-determinant": lambda w: (
        torch.linalg.cholesky(torch.outer(w, w) + torch.eye(4).double()).diagonal().log().sum()
    ),
}


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
@pytest.mark.parametrize("name", SMOOTH)
def test_a_right_gradient_passes_at_every_scale_of_values_and_parameters(name, scale):
    for seed, w in enumerate((normal(4), 0.01 * normal(4), 10 * normal(4))):
        check = ow.check_gradient(lambda v: scale * SMOOTH[name](v), w, directions=9, seed=seed)
        assert check.ok, str(check)
        assert check.slope >= 1.9


def test_a_check_reports_what_it_measured():
    w = normal(4)
    check = ow.check_gradient(SMOOTH["least squares"], w, lambda w: X.T @ (X @ w - Y))
    exact = X.T @ (X @ w - Y)
    assert check.value == pytest.approx(float(0.5 * (X @ w - Y).square().sum()), rel=1e-14)
    torch.testing.assert_close(check.autograd, exact, rtol=1e-13, atol=1e-13)
    torch.testing.assert_close(check.numeric, exact, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(check.analytic, exact, rtol=0, atol=0)
    assert check.slope == pytest.approx(2.0, abs=0.02)  # a quadratic has no other term; rounding scatters the fit
    assert check.error < 1e-10
    assert (check.entries, check.size, check.directions) == (4, 4, 33)
    assert [one.check for one in check.findings] == ["differentiable", "autograd", "analytic", "remainder", "precision"]
    assert all(one.grade is Grade.PASS for one in check.findings)
    assert not any(one.advice for one in check.findings)
    assert check.verdict == (
        "The gradient is right: autograd, finite differences and formula agree, and the remainder falls as h^2.00."
    )
    assert str(check).startswith(check.verdict)
    assert str(check).count("\n") == len(check.findings)


def test_the_same_seed_gives_the_same_check_and_w_is_left_alone():
    w = normal(4).requires_grad_(True)
    before = w.detach().clone()
    one, other = (ow.check_gradient(SMOOTH["rosenbrock"], w, seed=3) for _ in range(2))
    assert str(one) == str(other)
    assert torch.equal(w.detach(), before)
    assert w.grad is None


@pytest.mark.parametrize("wrong", range(6))
def test_a_backward_that_is_wrong_in_one_entry_is_named_with_both_numbers(wrong):
    class Cube(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x**3

        @staticmethod
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            slopes = (3 * x**2).flatten()
            slopes[wrong] *= 1.0001
            return g * slopes.reshape(x.shape)

    w = 1 + torch.arange(6).double().reshape(2, 3) / 10
    check = ow.check_gradient(lambda w: Cube.apply(w).sum(), w)
    exact = 3 * float(w.flatten()[wrong]) ** 2
    assert not check.ok
    assert check.differentiable
    assert check.worst.entry == f"w[{wrong // 3}, {wrong % 3}]"
    assert check.worst.first == pytest.approx(1.0001 * exact, rel=1e-12)
    assert check.worst.second == pytest.approx(exact, rel=1e-9)
    assert f"Autograd is wrong at {check.worst.entry}: it gives {check.worst.first:.9g}" in check.verdict
    assert check.slope < 1.9


def test_one_wrong_entry_among_thousands_is_found_by_halving():
    class Square(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x**2

        @staticmethod
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            return g * torch.where(torch.arange(len(x)) == 1234, 2.02 * x, 2 * x)

    w = 1 + normal(3000).abs()
    check = ow.check_gradient(lambda w: Square.apply(w).sum(), w, directions=6)
    assert check.entries == 32 < check.size
    assert not check.ok
    assert check.worst.entry == "w[1234]"
    assert check.worst.first == pytest.approx(2.02 * float(w[1234]))
    assert ow.check_gradient(lambda w: w.square().sum(), w, directions=6).ok


def test_a_cut_in_the_graph_of_one_term_is_a_wrong_gradient():
    w = torch.tensor([2.0, 3.0]).double()
    check = ow.check_gradient(lambda w: (w.detach() * w).sum(), w)
    assert not check.ok
    assert (check.worst.first, check.worst.second) == (pytest.approx(3.0), pytest.approx(6.0))
    named = ow.check_gradient(lambda p: p["a"].sum() + p["b"].detach().sum(), {"a": normal(2), "b": normal(1)})
    assert named.verdict == "Autograd is wrong at b[0]: it gives 0, finite differences give 1."


def test_a_wrong_formula_is_named_and_the_other_two_are_quoted():
    # the lecture's slip: the loss is a mean, the formula that of a sum
    check = ow.check_gradient(lambda w: 0.5 * (X @ w - Y).square().mean(), normal(4), lambda w: X.T @ (X @ w - Y))
    assert not check.ok
    assert check.differentiable
    assert graded(check, "autograd").grade is Grade.PASS
    assert graded(check, "analytic").grade is Grade.FAIL
    ratio = check.analytic / check.autograd
    torch.testing.assert_close(ratio, torch.full_like(ratio, 20.0))
    assert "autograd gives" in check.verdict
    assert "finite differences give" in check.verdict


KINKS = {
    "the absolute value at 0": (torch.abs, 0.0, (-1.0, 1.0), 0.0),
    "relu at exactly 0": (torch.relu, 0.0, (0.0, 1.0), 0.0),
    "a shifted relu at its kink": (lambda w: F.relu(w - 0.5) + w, 0.5, (1.0, 2.0), 1.0),
    "the larger of two": (lambda w: torch.maximum(w, -2 * w), 0.0, (-2.0, 1.0), -0.5),
}


@pytest.mark.parametrize("name", KINKS)
def test_a_kink_is_not_differentiable_here_with_the_slopes_of_both_sides(name):
    f, w, (left, right), given = KINKS[name]
    check = ow.check_gradient(f, torch.tensor(w).double())
    assert not check.ok
    assert not check.differentiable
    assert check.verdict == (
        f"Not differentiable here: along w the slope is {left:g} on the left and {right:g} on the right; "
        f"autograd gives {given:g}."
    )
    assert graded(check, "autograd").grade is Grade.WARN  # neither right nor wrong: there is nothing to be right about
    assert check.slope == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize("w", [1.0, -1.0, 1e-3])
def test_the_absolute_value_beside_its_kink_is_fine(w):
    check = ow.check_gradient(torch.abs, torch.tensor(w).double())
    assert check.ok
    assert math.isinf(check.slope)
    assert "affine" in check.verdict


def test_a_kink_in_one_of_many_coordinates_is_found_and_named():
    w = torch.tensor([1.0, -2.0, 0.0, 3.0]).double()
    check = ow.check_gradient(lambda w: F.softplus(X @ w).sum() + w.abs().sum(), w)
    assert "along w[2] the slope" in check.verdict
    wide = torch.ones(500).double()
    wide[77] = 0.0
    assert not ow.check_gradient(lambda w: w.abs().sum() + w.square().sum(), wide, directions=6).differentiable


def test_partial_derivatives_alone_are_not_a_derivative():
    """The function xy / (x^2 + y^2) has both partials at 0, and is 1/2 all along x = y."""

    def f(w):
        x, y = w
        square = x * x + y * y
        return torch.where(square > 0, x * y / torch.where(square > 0, square, 1.0), 0.0)

    check = ow.check_gradient(f, torch.zeros(2).double())
    assert torch.equal(check.autograd, torch.zeros(2).double())
    torch.testing.assert_close(check.numeric, torch.zeros(2).double())
    assert not check.differentiable
    assert "not even continuous" in check.verdict


def test_slopes_that_agree_to_both_sides_must_also_add_up():
    def f(w):
        x, y = w
        square = x * x + y * y
        return torch.where(square > 0, x**3 / torch.where(square > 0, square, 1.0), 0.0)

    check = ow.check_gradient(f, torch.zeros(2).double())
    torch.testing.assert_close(check.numeric, torch.tensor([1.0, 0.0]).double())
    assert not check.differentiable
    assert "not linear in the direction" in check.verdict


@pytest.mark.parametrize(
    ("f", "words"),
    [
        (lambda w: w.abs().sqrt().sum(), "does not settle"),
        (lambda w: torch.xlogy(w.abs(), w.abs()).sum(), "does not settle"),
        (lambda w: torch.where(w == 0, 0.0, w * torch.sin(1 / torch.where(w == 0, 1.0, w))).sum(), "does not settle"),
        (lambda w: w.sqrt().sum(), "not finite"),
        (lambda w: (w > 0).double().sum() + 0 * w.sum(), "not even continuous"),
    ],
)
def test_quotients_without_a_limit_are_told_apart(f, words):
    check = ow.check_gradient(f, torch.zeros(2).double())
    assert not check.differentiable
    assert check.verdict.startswith("Not differentiable here: ")
    assert words in check.verdict


def test_a_function_without_second_derivative_is_differentiable_and_its_remainder_says_so():
    check = ow.check_gradient(lambda w: (w.abs() ** 1.5).sum(), torch.zeros(2).double())
    assert check.ok
    assert check.slope == pytest.approx(1.5, abs=0.01)
    assert graded(check, "remainder").grade is Grade.WARN


def test_a_nan_of_autograd_where_f_is_smooth_is_its_fault():
    # the branch that is not taken divides 0 by 0, and its gradient is 0 times nan
    f = lambda w: torch.where(w.abs() > 1, w.sin() / w, w * w).sum()  # noqa: E731
    check = ow.check_gradient(f, torch.tensor([0.0, 0.5]).double())
    assert check.differentiable
    assert check.worst.entry == "w[0]"
    assert "it gives nan, finite differences give 0" in check.verdict
    assert math.isnan(check.slope)


def test_the_parameters_of_a_module_are_checked_by_name():
    net = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3)).double()
    labels = torch.arange(20) % 3
    check = ow.check_gradient(
        lambda p: F.cross_entropy(functional_call(net, p, (X,)), labels), dict(net.named_parameters()), directions=9
    )
    F.cross_entropy(net(X), labels).backward()
    assert check.ok, str(check)
    assert list(check.autograd) == [name for name, _ in net.named_parameters()]
    for name, p in net.named_parameters():
        torch.testing.assert_close(check.autograd[name], p.grad, rtol=1e-12, atol=1e-14)
        assert check.numeric[name].shape == p.shape


def test_float32_is_checked_in_float64_and_says_so():
    check = ow.check_gradient(lambda w: w.square().sum(), torch.ones(3))
    assert check.autograd.dtype is torch.float64
    assert "Checked in float64, while w is float32." in graded(check, "precision").evidence
    assert "float32" not in str(ow.check_gradient(lambda w: w.square().sum(), torch.ones(3).double()))


def test_rounding_inside_f_is_no_wrong_gradient_but_a_wider_bar():
    check = ow.check_gradient(lambda w: w.float().square().sum().double(), normal(5))
    assert check.ok, str(check)
    # float32 carries 6e-8 of the value, over a step of 0.03
    assert graded(check, "precision").value > 1e-6


REFUSED = [
    (lambda w: 2 * w, torch.ones(3), None, "must give a tensor that holds one real number"),
    (lambda w: float(w.sum()), torch.ones(3), None, "f gives float (not a tensor)"),
    (lambda w: w.long().sum(), torch.ones(3), None, "f gives a int64 tensor"),
    (lambda w: w.log().sum(), -torch.ones(3), None, "f is nan at w"),
    (lambda w: w.sum(), torch.tensor([1.0, math.inf]), None, "w holds inf; give a finite point"),
    (lambda w: w.sum(), torch.ones(2, dtype=torch.int64), None, "w is int64; a derivative needs real numbers"),
    (lambda w: w.sum(), torch.ones(0), None, "w holds no number"),
    (lambda w: w.sum(), [1.0], None, "w is list (not a tensor)"),
    (lambda w: w.sum(), torch.ones(2), lambda w: torch.ones(3), "for w, which has shape (2,)"),
    (lambda w: w.sum(), torch.ones(2), torch.ones(2), "give a function of w"),
    (lambda w: w.sum(), torch.ones(2), lambda w: w @ torch.ones(3, 3).double(), "gradient fails at w"),
    (lambda p: p["a"].sum(), {"a": torch.ones(2)}, lambda p: {"b": p["a"]}, "must give a tensor for each of a"),
    (lambda w: w.detach().sum(), torch.ones(2), None, "its result has no graph"),
    (lambda w: F.dropout(w, 0.5).sum(), torch.ones(50), None, "draws random numbers or keeps a state"),
    (lambda w: (torch.ones(3, 2) @ w).sum(), torch.ones(2), None, "so make the data that f uses float64 too"),
    (lambda w: w.missing, torch.ones(2), None, "f fails at w: AttributeError"),
    (lambda w: w.add_(1).sum(), torch.ones(2), None, "as soon as w has a graph"),
]


@pytest.mark.parametrize(("f", "w", "gradient", "words"), REFUSED)
def test_what_cannot_be_checked_is_refused_in_one_sentence(f, w, gradient, words):
    with pytest.raises(BadProblem) as raised:
        ow.check_gradient(f, w, gradient)
    assert words in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_graph_that_leads_elsewhere_is_no_graph_of_w():
    other = torch.ones(2, requires_grad=True)
    with pytest.raises(BadProblem, match="its graph does not lead to w"):
        ow.check_gradient(lambda w: other.sum() + w.detach().sum(), torch.ones(2))


def test_a_function_that_fixes_its_own_seed_is_deterministic():
    def f(w):
        mask = torch.rand(w.shape, generator=torch.Generator().manual_seed(1)) < 0.5
        torch.manual_seed(2)
        return (mask * w).sum() + torch.randn(()) * w.square().sum()

    with torch.random.fork_rng(devices=[]):
        assert ow.check_gradient(f, normal(5)).ok


@pytest.mark.parametrize("arguments", [{"directions": 2}, {"tol": 0.0}, {"tol": 1.0}])
def test_counts_and_tolerances_out_of_range_are_refused(arguments):
    with pytest.raises(BadProtocol):
        ow.check_gradient(lambda w: w.sum(), torch.ones(2), **arguments)
