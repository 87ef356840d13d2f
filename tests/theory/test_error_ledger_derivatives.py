"""What lectures 4 and 5 get wrong about derivatives, the corrected form, and by how much they differ."""

import math

import pytest
import torch
import torch.nn.functional as F

import optwise as ow
from optwise.analyses.autograd_graph import read_graph
from optwise.core.errors import BadProblem
from optwise.numerics.derivatives import jacobian_by_rows, jvp

GENERATOR = torch.Generator().manual_seed(0)


def normal(*shape):
    return torch.randn(shape, generator=GENERATOR, dtype=torch.float64)


def test_the_least_squares_chain_needs_the_transpose_that_the_figure_leaves_out():
    n, p = 5, 3
    X, y, w = normal(n, p), normal(n), normal(p).requires_grad_(True)
    z1 = X @ w - y
    f = z1.square().sum() / 2
    (gradient,) = torch.autograd.grad(f, w, retain_graph=True)
    column = z1.detach()[:, None]
    with pytest.raises(RuntimeError, match="cannot be multiplied"):  # as the figure has it: n x 1 times n x p
        0.5 * (2 * column) @ X
    product = 0.5 * (2 * column.T) @ X  # a row
    assert product.shape == (1, p)
    assert float((product.T[:, 0] - gradient).abs().max()) <= 1e-12
    graph = read_graph(f, {"w": w, "z1": z1}).condensed(["w", "z1"])
    assert [edge.size for edge in graph.edges] == [(n, p), (1, n)]


def test_the_chain_starts_in_the_space_of_w_and_its_last_step_is_half_of_its_argument():
    n, p = 5, 3
    X, y, w = normal(n, p), normal(n), normal(p)
    assert jacobian_by_rows(lambda w: X @ w - y, w).shape == (n, p)  # from R^p, not from R^n
    half = torch.tensor(7.0).double()
    assert float(jacobian_by_rows(lambda a: a / 2, half)) == 0.5
    # the lecture's h(a) = 1/2 is a constant: its derivative would be 0, and the gradient with it
    with pytest.raises(ValueError, match="does not depend"):
        jacobian_by_rows(lambda a: torch.tensor(0.5), half)


@pytest.mark.parametrize(("n", "m"), [(3, 2), (2, 4), (1, 5)])
def test_the_gram_map_goes_to_m_by_m_and_its_derivative_is_not_square(n, m):
    W, V = normal(n, m), normal(n, m)
    gram = lambda W: W.T @ W  # noqa: E731
    assert gram(W).shape == (m, m)
    jacobian = jacobian_by_rows(gram, W)
    assert jacobian.numel() == (m * m) * (n * m)
    assert jacobian.numel() != (n * m) ** 2  # what R^{n x m} -> R^{n x m} would have
    torch.testing.assert_close(jvp(gram, W, V), W.T @ V + V.T @ W, rtol=0, atol=1e-14)


def test_the_derivative_of_a_product_of_two_matrices_moves_one_at_a_time():
    U, V, H, K = normal(4, 2), normal(3, 2), normal(4, 2), normal(3, 2)

    def product(both):
        return both[:4] @ both[4:].T

    found = jvp(product, torch.cat([U, V]), torch.cat([H, K]))
    torch.testing.assert_close(found, H @ V.T + U @ K.T, rtol=0, atol=1e-14)


def test_the_chain_rule_multiplies_the_outer_jacobian_from_the_left():
    A, B, w = normal(4, 3), normal(2, 4), normal(3)
    inner, outer = (lambda w: (A @ w).sin()), (lambda z: (B @ z).exp())
    both = jacobian_by_rows(lambda w: outer(inner(w)), w)
    JG, JF = jacobian_by_rows(inner, w), jacobian_by_rows(outer, inner(w))
    torch.testing.assert_close(both, JF @ JG, rtol=1e-13, atol=1e-13)
    with pytest.raises(RuntimeError, match="cannot be multiplied"):  # the lecture's order
        JG @ JF


def test_where_all_sizes_agree_the_reversed_order_is_a_wrong_number():
    A, B, w = normal(3, 3), normal(3, 3), normal(3)
    both = jacobian_by_rows(lambda w: B @ (A @ w), w)
    torch.testing.assert_close(both, B @ A, rtol=1e-13, atol=1e-13)
    assert float((both - A @ B).norm() / both.norm()) > 0.5


def test_the_normal_of_a_tangent_plane_has_one_entry_more_than_the_gradient():
    f, w = (lambda w: (w[0] * w[1]).exp() + w[1] ** 2), normal(2)
    gradient = ow.check_gradient(f, w).autograd
    normal_vector = torch.cat([gradient, -torch.ones(1)])
    for v in normal(5, 2):
        tangent = torch.cat([v, (gradient @ v)[None]])  # along the graph of f, to first order
        assert abs(float(normal_vector @ tangent)) <= 1e-14
        assert abs(float(torch.cat([gradient, torch.zeros(1)]) @ tangent)) == pytest.approx(abs(float(gradient @ v)))
    # for x^2 at 1 the gradient alone is off by the angle of (2, 0) and (2, -1)
    assert math.degrees(math.atan2(1, 2)) == pytest.approx(26.565, abs=1e-3)


def test_a_result_changed_in_place_after_it_was_used_breaks_the_way_back():
    x = torch.tensor(4.0, requires_grad=True)
    y = x.sqrt()
    z = 3 * y
    y.add_(1)
    with pytest.raises(BadProblem, match="output 0 of Sqrt"):
        read_graph(z)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        z.backward()
    assert y.grad_fn.name() == "AddBackward0"  # the lecture says that it is None now
    x.grad = None
    y = x.sqrt()
    z = 3 * y
    y = y + 1
    z.backward()
    assert float(x.grad) == 0.75


def test_gradients_add_up_until_they_are_zeroed():
    x = torch.tensor(1.0, requires_grad=True)
    seen = []
    x.square().backward()
    seen.append(float(x.grad))
    with torch.no_grad():
        x -= 0.1 * x.grad
    seen.append(float(x.grad))  # a step leaves it
    x.square().backward()
    seen.append(float(x.grad))  # 2 and 2 * 0.8 together
    x.grad = None
    x.square().backward()
    seen.append(float(x.grad))
    assert seen == pytest.approx([2.0, 2.0, 3.6, 1.6], rel=1e-6)


def test_a_backward_pass_has_a_graph_of_its_own_only_where_one_is_asked_for():
    x = torch.tensor(2.0, requires_grad=True)
    (plain,) = torch.autograd.grad(x**3, x)
    (kept,) = torch.autograd.grad(x**3, x, create_graph=True)
    assert plain.grad_fn is None
    assert float(torch.autograd.grad(kept, x)[0]) == 12.0


def test_the_gradient_of_half_a_mean_is_that_of_half_a_sum_over_n():
    X, y, w = normal(8, 3), normal(8), normal(3)
    mixed = ow.check_gradient(lambda w: 0.5 * (X @ w - y).square().mean(), w, lambda w: X.T @ (X @ w - y))
    assert not mixed.ok
    torch.testing.assert_close(mixed.analytic, 8 * mixed.autograd)
    assert ow.check_gradient(lambda w: 0.5 * (X @ w - y).square().mean(), w, lambda w: X.T @ (X @ w - y) / 8).ok


def test_the_cubic_of_the_lecture_has_a_stationary_point_at_1():
    check = ow.check_gradient(lambda x: x**3 - 3 * x, torch.tensor(1.0), lambda x: 3 * x**2 - 3)
    assert check.ok
    assert float(check.autograd) == 0.0


def test_a_loss_of_rounded_probabilities_is_wrong_and_has_no_gradient_where_that_of_logits_has_one():
    logit, label = torch.tensor(17.0, requires_grad=True), torch.tensor(0.0)
    rounded = F.binary_cross_entropy(torch.sigmoid(logit), label)
    exact = F.binary_cross_entropy_with_logits(logit, label)
    # float32 rounds 1 - exp(-17) to 1; torch then clamps the logarithm at -100
    assert float(rounded.detach()) == 100.0
    assert float(exact.detach()) == 17.0
    assert float(torch.autograd.grad(rounded, logit)[0]) == 0.0
    assert float(torch.autograd.grad(exact, logit)[0]) == 1.0
