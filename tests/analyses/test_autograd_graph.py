"""The graph that autograd recorded, and the local Jacobians probed on it, against closed forms and autograd itself."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from optwise.analyses.autograd_graph import read_graph
from optwise.core.errors import BadProblem

GENERATOR = torch.Generator().manual_seed(0)


def normal(*shape: int) -> Tensor:
    return torch.randn(shape, generator=GENERATOR, dtype=torch.float64)


def leaf(*shape: int) -> Tensor:
    return normal(*shape).requires_grad_(True)


def least_squares():
    X, y, w = normal(5, 3), normal(5), leaf(3)
    z1 = X @ w - y
    z2 = z1 @ z1
    f = z2 / 2
    return X, {"w": w, "z1": z1, "z2": z2, "f": f}


def branching():
    w = leaf(3)
    return (w * torch.sin(w) + w.exp()).sum(), {"w": w}


def broadcast():
    w, b = leaf(4, 3), leaf(3)
    return ((w + b) * b.sum()).pow(2).mean(), {"w": w, "b": b}


def network():
    net = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)).double()
    return F.cross_entropy(net(normal(6, 3)), torch.arange(6) % 2), dict(net.named_parameters())


def several_outputs():
    w = leaf(5)
    a, b = w.split([2, 3])
    u, s, _ = torch.linalg.svd(torch.outer(b, b) + torch.diag(w[:3]), full_matrices=False)
    return a.prod() * s.sum() + u[0, 0] ** 2, {"w": w}


def own_operation():
    class Cube(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x**3

        @staticmethod
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            return 3 * x**2 * g

    w = leaf(3)
    return (Cube.apply(w) * w).sum(), {"w": w}


GRAPHS = [branching, broadcast, network, several_outputs, own_operation]


@pytest.mark.parametrize("made", GRAPHS)
def test_the_products_along_all_paths_add_up_to_the_gradient_transposed(made):
    result, leaves = made()
    gradients = torch.autograd.grad(result, list(leaves.values()), retain_graph=True)
    graph = read_graph(result, leaves)
    assert {node.name for node in graph.leaves} == set(leaves)
    for name, gradient in zip(leaves, gradients, strict=True):
        products = [graph.product(path) for path in graph.paths(name)]
        scale = max(1.0, float(gradient.abs().max()))  # of the few sums of products that are compared
        assert float((sum(products)[0] - gradient.flatten()).abs().max()) <= 1e-12 * scale
        assert float((graph.derivative(name)[0] - gradient.flatten()).abs().max()) <= 1e-12 * scale
        torch.testing.assert_close(graph.node(name).gradient, gradient, rtol=0, atol=1e-14 * scale)


@pytest.mark.parametrize("made", GRAPHS)
def test_what_flows_back_along_an_edge_is_the_transposed_jacobian_times_what_arrives(made):
    result, leaves = made()
    graph = read_graph(result, leaves)
    assert float(graph.output.gradient) == 1.0
    for edge in graph.edges:
        arriving = graph.node(edge.target).gradient.flatten()
        torch.testing.assert_close(edge.gradient.flatten(), edge.jacobian.T @ arriving, rtol=1e-12, atol=1e-13)
    for node in graph.nodes[:-1]:
        total = sum(edge.gradient for edge in graph.out_of(node.name))
        torch.testing.assert_close(total, node.gradient, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("made", GRAPHS)
def test_leaving_values_out_keeps_the_derivative(made):
    result, leaves = made()
    graph = read_graph(result, leaves)
    kept = graph.condensed(list(leaves))
    assert [node.name for node in kept.nodes] == [n.name for n in graph.nodes if n.name in leaves] + [graph.output.name]
    for name in leaves:
        torch.testing.assert_close(kept.derivative(name), graph.derivative(name), rtol=1e-12, atol=1e-13)
        (edge,) = kept.out_of(name)
        torch.testing.assert_close(edge.gradient, graph.node(name).gradient, rtol=1e-12, atol=1e-13)


def test_the_graph_of_least_squares_has_the_jacobians_of_the_lecture_with_the_transpose():
    X, values = least_squares()
    graph = read_graph(values["f"], values)
    assert [(node.name, node.operation, node.shape) for node in graph.nodes] == [
        ("w", "leaf", (3,)),
        ("mv", "mv", (5,)),
        ("z1", "sub", (5,)),
        ("z2", "dot", ()),
        ("f", "div", ()),
    ]
    chain = graph.condensed(list(values))
    by_ends = {(edge.source, edge.target): edge.jacobian for edge in chain.edges}
    assert list(by_ends) == [("w", "z1"), ("z1", "z2"), ("z2", "f")]
    assert torch.equal(by_ends["w", "z1"], X)
    assert torch.equal(by_ends["z1", "z2"], 2 * values["z1"].detach()[None, :])
    assert by_ends["z2", "f"].tolist() == [[0.5]]
    product = by_ends["z2", "f"] @ by_ends["z1", "z2"] @ by_ends["w", "z1"]
    gradient = X.T @ values["z1"].detach()
    assert float((product.T[:, 0] - gradient).abs().max()) <= 1e-12
    assert float((graph.derivative("w")[0] - gradient).abs().max()) <= 1e-12


def test_a_value_used_twice_has_two_edges_and_two_paths():
    w = leaf(2)
    graph = read_graph((w * w).sum(), {"w": w})
    one, other = graph.out_of("w")
    assert torch.equal(one.jacobian, torch.diag(w.detach()))
    assert torch.equal(other.jacobian, torch.diag(w.detach()))
    assert len(list(graph.paths("w"))) == 2
    torch.testing.assert_close(graph.derivative("w"), 2 * w.detach()[None, :], rtol=0, atol=0)


def test_local_jacobians_hold_the_other_inputs_fixed():
    a, b = leaf(), leaf()
    p = a * b
    q = a + p
    graph = read_graph(p * q, {"a": a, "b": b, "p": p, "q": q})
    by_ends = {(edge.source, edge.target): float(edge.jacobian) for edge in graph.edges}
    # q is computed from a and p: by a alone it has slope 1, although p also moves with a
    assert by_ends["a", "q"] == 1.0
    x, y = float(a.detach()), float(b.detach())
    assert by_ends["a", "p"] == y
    assert float(graph.derivative("a")) == pytest.approx(2 * x * y * (1 + y), rel=1e-14)


def test_reading_leaves_the_graph_and_the_gradients_alone():
    w = leaf(3)
    f = (w.exp() * w).sum()
    read_graph(f)
    assert w.grad is None
    f.backward()
    torch.testing.assert_close(w.grad, (w.exp() * (1 + w)).detach())


def test_values_without_names_are_called_after_their_operations():
    w, v = leaf(2), leaf(2)
    graph = read_graph((w * v * w).sum())
    assert [node.name for node in graph.nodes] == ["leaf 1", "leaf 2", "mul 1", "mul 2", "sum"]


def test_jacobians_beyond_the_limit_are_left_out_and_their_shapes_kept():
    w, W = leaf(3), leaf(3, 4)
    graph = read_graph((w[:, None] * W).sum(), {"w": w, "W": W}, largest=40)
    sizes = {(edge.source, edge.target): (edge.size, edge.jacobian is not None) for edge in graph.edges}
    assert sizes["W", "mul"] == ((12, 12), False)
    assert sizes["mul", "sum"] == ((1, 12), True)
    torch.testing.assert_close(graph.node("W").gradient, w.detach()[:, None].expand(3, 4))
    with pytest.raises(ValueError, match="12 x 12 Jacobian of mul by W was not measured"):
        graph.derivative("W")
    (edge,) = graph.condensed(["W", "w"]).out_of("W")
    assert (edge.size, edge.jacobian) == ((1, 12), None)


def test_what_has_no_graph_of_one_number_is_refused_in_one_sentence():
    w = leaf(3)
    freed = (w * w).sum()
    freed.backward()
    root = w.detach().abs().requires_grad_(True).sqrt()
    changed = (3 * root).sum()
    root.add_(1)
    cases = [
        (w * 2, {}, "has shape (3,)"),
        (w.sum().detach(), {}, "no graph"),
        (leaf(), {}, "no graph"),
        (w.sum(), {"v": leaf(2)}, "v is not part of the graph"),
        (freed, {}, "freed by backward()"),
        (changed, {}, "modified by an inplace operation"),
    ]
    for result, names, words in cases:
        with pytest.raises(BadProblem) as raised:
            read_graph(result, names)
        assert words in str(raised.value)
        assert "\n" not in str(raised.value)
