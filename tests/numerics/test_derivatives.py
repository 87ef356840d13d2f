"""Derivatives as linear maps, difference quotients with error bars, and remainders, against closed forms and torch."""

import math

import pytest
import torch
from torch import Tensor

from optwise.numerics.derivatives import jacobian_by_columns, jacobian_by_rows, jvp, vjp
from optwise.numerics.difference_quotients import differences, finite_difference_gradient, one_sided_derivatives
from optwise.numerics.remainders import fitted_slope, remainders

GENERATOR = torch.Generator().manual_seed(0)


def normal(*shape: int) -> Tensor:
    return torch.randn(shape, generator=GENERATOR, dtype=torch.float64)


X, Y, Z = normal(5, 3), normal(4, 3), normal(5)


class Cube(torch.autograd.Function):
    """A user's operation with a backward and no forward-mode rule."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x**3

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return 3 * x**2 * g


MAPS = {
    "matrix to matrix": (lambda W: W.T @ W, normal(3, 2)),
    "matrix to number": (lambda W: (W @ W.T).logdet(), torch.eye(3, dtype=torch.float64) + 0.1 * normal(3, 3)),
    "vector to matrix": (lambda w: torch.outer(w, w.sin()), normal(3)),
    "number to vector": (lambda w: torch.stack([w.sin(), w**2, torch.ones_like(w)]), torch.tensor(0.7).double()),
    "number to number": (lambda w: w.exp(), torch.tensor(0.3).double()),
    "constant entries": (lambda w: torch.cat([w[:1] * 2, torch.ones(2).double()]), normal(2)),
    "a user's operation": (lambda w: Cube.apply(w).cumsum(0), normal(4)),
}


@pytest.mark.parametrize("name", MAPS)
def test_the_jacobian_by_columns_and_by_rows_is_that_of_torch_with_result_indices_first(name):
    f, w = MAPS[name]
    expected = torch.autograd.functional.jacobian(f, w)
    assert expected.shape == f(w).shape + w.shape
    # two orders of the same few products and sums
    torch.testing.assert_close(jacobian_by_columns(f, w), expected, rtol=1e-12, atol=1e-13)
    torch.testing.assert_close(jacobian_by_rows(f, w), expected, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("name", MAPS)
def test_the_matrix_of_the_jacobian_acts_on_entries_listed_row_by_row(name):
    f, w = MAPS[name]
    v, u = normal(*w.shape), normal(*f(w).shape)
    matrix = jacobian_by_rows(f, w).reshape(u.numel(), v.numel())
    torch.testing.assert_close(jvp(f, w, v).flatten(), matrix @ v.flatten(), rtol=1e-11, atol=1e-12)
    torch.testing.assert_close(vjp(f, w, u).flatten(), matrix.T @ u.flatten(), rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("name", MAPS)
def test_the_reverse_product_is_the_transpose_of_the_forward_one(name):
    f, w = MAPS[name]
    v, u = normal(*w.shape), normal(*f(w).shape)
    torch.testing.assert_close((u * jvp(f, w, v)).sum(), (vjp(f, w, u) * v).sum(), rtol=1e-11, atol=1e-12)


def test_an_operation_without_forward_mode_goes_through_two_reverse_passes():
    w, v = normal(4), normal(4)
    with pytest.raises(RuntimeError):
        torch.func.jvp(Cube.apply, (w,), (v,))
    torch.testing.assert_close(jvp(Cube.apply, w, v), 3 * w**2 * v, rtol=1e-14, atol=0)


def test_a_direction_or_covector_of_another_shape_and_a_missing_graph_are_named():
    with pytest.raises(ValueError, match=r"v has shape \(3,\); it must have that of w, \(2,\)"):
        jvp(torch.sin, normal(2), normal(3))
    with pytest.raises(ValueError, match=r"u has shape \(2,\); it must have that of f\(w\), \(\)"):
        vjp(lambda w: w.sum(), normal(2), normal(2))
    with pytest.raises(ValueError, match="does not depend on w through autograd"):
        vjp(lambda w: w.detach() * 2, normal(2), normal(2))


GRADIENTS = {
    "cubic": (lambda w: (w**3 - 3 * w).sum(), lambda w: 3 * w**2 - 3, normal(4)),
    "quadratic form": (lambda w: 0.5 * (X @ w - Z).square().sum(), lambda w: X.T @ (X @ w - Z), normal(3)),
    "far from zero": (lambda w: w.log().sum(), lambda w: 1 / w, torch.tensor([1e6, 1e3, 1.0, 1e-3]).double()),
    "fast": (lambda w: (1000 * w).sin().sum(), lambda w: 1000 * (1000 * w).cos(), normal(3)),
    "slow": (lambda w: (w / 1000).sin().sum(), lambda w: (w / 1000).cos() / 1000, normal(3)),
    "steep": (lambda w: (300 * w).exp().sum(), lambda w: 300 * (300 * w).exp(), torch.tensor([0.09, 0.1]).double()),
    "matrix": (lambda W: (W.T @ W).trace(), lambda W: 2 * W, normal(3, 2)),
    "large offset": (lambda w: 1e6 + w.square().sum(), lambda w: 2 * w, normal(3)),
    "beside a kink": (lambda w: w.abs().sum(), torch.sign, torch.tensor([-1e-3, 1e-6, 1e-2]).double()),
}


@pytest.mark.parametrize("name", GRADIENTS)
def test_finite_differences_reach_eight_digits_where_one_step_for_all_would_not(name):
    f, gradient, w = GRADIENTS[name]
    # the worst case is rounding of 1e6 over a step of 0.03: eps * 1e6 / 0.03 = 7e-9
    torch.testing.assert_close(finite_difference_gradient(f, w), gradient(w), rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("name", GRADIENTS)
def test_the_error_of_a_difference_stays_within_four_of_its_error_bars(name):
    f, gradient, w = GRADIENTS[name]
    directions = [normal(*w.shape) for _ in range(10)]
    exact = torch.stack([(gradient(w) * d).sum() for d in directions])
    found = differences(f, w, directions)
    for limit, sign in ((found.central(), 1), (found.forward(), 1), (found.backward(), -1)):
        # eps of the exact value: the formula is rounded too
        assert bool(((limit.value - sign * exact).abs() <= 4 * limit.error + 4e-16 * exact.abs()).all())


def test_each_coordinate_has_its_own_step():
    found = differences(lambda w: (1000 * w[0]).sin() + (w[1] / 10).sin(), torch.ones(2), [*torch.eye(2)]).central()
    fast, slow = found.step.tolist()
    assert fast < slow / 100


def test_a_float32_inside_widens_the_error_bar_to_what_float32_can_tell():
    f = lambda w: w.float().square().sum().double()  # noqa: E731
    w = normal(5)
    found = differences(f, w, [*torch.eye(5, dtype=torch.float64)]).central()
    assert bool(((found.value - 2 * w).abs() <= found.error).all())
    # float32 carries 6e-8 of the value; over a step of 0.03 that is 2e-6
    assert bool((found.error > 1e-6).all())


def test_where_the_function_is_not_finite_there_is_no_difference():
    assert math.isnan(float(finite_difference_gradient(lambda w: w.sqrt(), torch.tensor(0.0))))


def test_a_factorisation_that_fails_at_a_long_step_leaves_the_short_ones():
    # a step of 0.125 back from 0.01 leaves no positive eigenvalue; the trace of the factor is 2 sqrt(t)
    root = lambda t: torch.linalg.cholesky(t * torch.eye(2, dtype=torch.float64)).trace()  # noqa: E731
    found = finite_difference_gradient(root, torch.tensor(0.01))
    assert float(found) == pytest.approx(0.01**-0.5, rel=1e-6)


@pytest.mark.parametrize(
    ("f", "w", "d", "expected"),
    [
        (torch.abs, [0.0], [2.0], 2.0),
        (torch.abs, [0.0], [-2.0], 2.0),
        (torch.abs, [1.0], [-2.0], -2.0),
        (torch.relu, [0.0], [1.0], 1.0),
        (torch.relu, [0.0], [-1.0], 0.0),
        (torch.amax, [1.0, 1.0], [3.0, -1.0], 3.0),
        (torch.amax, [1.0, 1.0], [-3.0, -1.0], -1.0),
        (torch.linalg.vector_norm, [0.0, 0.0], [3.0, 4.0], 5.0),
    ],
)
def test_one_sided_derivatives_at_kinks_are_those_of_the_piece_ahead(f, w, d, expected):
    found = one_sided_derivatives(lambda v: f(v).sum(), torch.tensor(w), [torch.tensor(d)])
    # a kink hides rounding below 1e-9 of a step, so the bar is about 1e-8
    assert float(found.value[0]) == pytest.approx(expected, abs=1e-8)


@pytest.mark.parametrize(
    ("name", "f", "w", "expected"),
    [
        ("exponential", lambda w: w.exp().sum(), normal(4), 2.0),
        ("rosenbrock", lambda w: (100 * (w[1:] - w[:-1] ** 2) ** 2 + (1 - w[:-1]) ** 2).sum(), normal(4), 2.0),
        ("many results", lambda w: torch.stack([w.sin(), w.square()]), normal(4), 2.0),
        ("inflection", lambda w: (w**3).sum(), torch.zeros(4), 3.0),
        ("half a power", lambda w: (w.abs() ** 1.5).sum(), torch.zeros(4), 1.5),
        ("kink", lambda w: w.abs().sum(), torch.zeros(4), 1.0),
        ("behind an offset", lambda w: 1e8 + w.square().sum(), normal(4), 2.0),
    ],
)
def test_the_remainder_falls_with_the_order_that_taylor_gives(name, f, w, expected):
    direction = normal(4)
    found = remainders(f, w, direction / direction.norm())
    assert found.steps[0] == pytest.approx(0.1)
    assert found.steps[-1] == pytest.approx(1e-4)
    # least squares over three decades: the next order still adds h = 0.1 at the long end
    assert found.slope == pytest.approx(expected, abs=0.08)
    if expected == 2.0:
        assert found.slope >= 1.9


def test_a_wrong_derivative_leaves_a_term_of_first_order():
    f, w, d = (lambda w: w.exp().sum()), normal(3), torch.tensor([1.0, 0.0, 0.0]).double()
    right = w.exp()[0]
    assert remainders(f, w, d, derivative=right).slope >= 1.9
    assert remainders(f, w, d, derivative=1.01 * right).finest_slope() == pytest.approx(1.0, abs=0.05)


def test_an_affine_function_leaves_nothing_and_a_piecewise_one_nothing_close_by():
    d = torch.ones(1).double()
    assert math.isinf(remainders(lambda w: (3 * w + 1).sum(), normal(1), d).slope)
    beside = remainders(lambda w: (w - 1e-2).abs().sum(), torch.zeros(1), d)
    assert beside.vanishes
    assert math.isinf(beside.finest_slope())
    assert not remainders(lambda w: w.exp().sum(), torch.zeros(1), d).vanishes


def test_a_slope_needs_two_points():
    assert math.isinf(fitted_slope(torch.tensor([]), torch.tensor([])))
    assert math.isnan(fitted_slope(torch.tensor([0.1]), torch.tensor([0.01])))
    assert fitted_slope(torch.tensor([0.1, 0.01]), torch.tensor([1e-3, 1e-6])) == pytest.approx(3.0, abs=1e-6)
