"""A traced step made cheaper to replay: less dispatching, fewer passes over memory, kernels that suit narrow outputs.

Every pass keeps the numbers bit for bit, except :func:`turn_narrow`, which keeps them up to rounding and is therefore
left out in float64: there a batched step is held to 1e-12 of the solo step, and a softmax rounded in another order is
further away wherever a class is all but certain (the gradient is a probability minus one).
"""

# ruff: noqa: SLF001 - the names of ATen's operations begin with underscores
from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.fx import GraphModule, Interpreter, Node

aten = torch.ops.aten

NARROW = 16
"""Below this many columns, products and softmax along the rows waste most of a vector register."""

FOLDED_NUMBERS = 2**16
"""Constants larger than this are made anew in each step rather than kept."""

_SAME: frozenset[Any] = frozenset({aten.detach.default, aten.alias.default})
_RESHAPES: frozenset[Any] = frozenset({aten.view.default, aten._unsafe_view.default, aten.expand.default})
_SOFTMAX: Mapping[Any, int] = {  # which argument is the dimension
    aten._log_softmax.default: 1,
    aten._softmax.default: 1,
    aten._log_softmax_backward_data.default: 2,
    aten._softmax_backward_data.default: 2,
}
_IN_PLACE: Mapping[Any, Any] = {
    aten.add.Tensor: aten.add_.Tensor,
    aten.sub.Tensor: aten.sub_.Tensor,
    aten.mul.Tensor: aten.mul_.Tensor,
    aten.div.Tensor: aten.div_.Tensor,
    aten.neg.default: aten.neg_.default,
    aten.sqrt.default: aten.sqrt_.default,
    aten.relu.default: aten.relu_.default,
    aten.addcmul.default: aten.addcmul_.default,
    aten.addcdiv.default: aten.addcdiv_.default,
    aten.lerp.Tensor: aten.lerp_.Tensor,
    aten.scatter.value: aten.scatter_.value,
}
_COMMUTE: frozenset[Any] = frozenset({aten.add.Tensor, aten.mul.Tensor})
_FRESH: frozenset[Any] = frozenset(
    {
        *_IN_PLACE,
        *_IN_PLACE.values(),
        *_SOFTMAX,
        aten.bmm.default,
        aten.cat.default,
        aten.gather.default,
        aten.sum.dim_IntList,
        aten.threshold_backward.default,
        aten.where.self,
        aten.zeros_like.default,
    }
)
"""Operations known to write their result into memory that nothing else holds."""


def tidy(graph: GraphModule, inputs: Sequence[Tensor]) -> GraphModule:
    """The traced ``graph`` with every pass applied, in place; ``inputs`` are those of one call of it."""
    drop_same(graph)
    fold_constants(graph)
    merge_equal(graph)
    if inputs[0].dtype is not torch.float64:
        turn_narrow(graph)
    cancel_transposes(graph)
    graph.graph.eliminate_dead_code()
    _Reshaping(graph).run(*inputs)
    reuse_memory(graph)
    _Reshaping(graph).run(*inputs)
    graph.graph.lint()
    graph.recompile()
    vars(graph).update(dict(graph.named_buffers()))  # a plain attribute is found ten times faster than a buffer
    return graph


def drop_same(graph: GraphModule) -> None:
    """Without nodes that give what they take: views and expansions to the same shape, products with 1."""
    for node in list(graph.graph.nodes):
        if node.op != "call_function" or not node.args or not isinstance(node.args[0], Node):
            continue
        given, value, before = node.args[0], node.meta.get("val"), node.args[0].meta.get("val")
        same = node.target in _SAME
        if isinstance(value, Tensor) and isinstance(before, Tensor) and value.shape == before.shape:
            unit = node.target is aten.mul.Scalar and node.args[1] == 1 and value.dtype == before.dtype
            same = same or unit or node.target in _RESHAPES
        if same:
            node.replace_all_uses_with(given)
            graph.graph.erase_node(node)


def fold_constants(graph: GraphModule) -> None:
    """With everything that depends on constants alone computed once: coefficients of hyperparameters, zeros, masks."""
    known: dict[Node, Any] = {}
    for node in list(graph.graph.nodes):
        if node.op == "get_attr":
            known[node] = getattr(graph, str(node.target))
        if not _pure(node) or any(used not in known for used in node.all_input_nodes):
            continue
        value = node.meta.get("val")
        if not isinstance(value, Tensor) or value.numel() > FOLDED_NUMBERS:
            continue
        with torch.no_grad():
            args, kwargs = torch.fx.node.map_arg((node.args, node.kwargs), known.__getitem__)
            result = node.target(*args, **kwargs)
        name = f"_folded_{len(known)}"
        graph.register_buffer(name, result)
        with graph.graph.inserting_before(node):
            constant = graph.graph.get_attr(name)
        constant.meta = node.meta
        known[constant] = result
        node.replace_all_uses_with(constant)
        graph.graph.erase_node(node)


def merge_equal(graph: GraphModule) -> None:
    """With each operation on the same arguments done once."""
    seen: dict[Any, Node] = {}
    for node in list(graph.graph.nodes):
        if not _pure(node):
            continue
        key = (node.target, repr(node.args), repr(node.kwargs))  # nodes print as their unique names
        first = seen.setdefault(key, node)
        if first is not node:
            node.replace_all_uses_with(first)
            graph.graph.erase_node(node)


def turn_narrow(graph: GraphModule) -> None:
    r"""With narrow products as :math:`(B^\top A^\top)^\top` and softmax along a narrow last dimension done column-wise.

    The result is the same matrix, held by columns: ten classes of sixty-four examples fill registers that ten numbers
    of one example do not. For 64 trials of that size, log-softmax takes 27 instead of 640 microseconds.
    """
    for node in list(graph.graph.nodes):
        value = node.meta.get("val")
        if node.op != "call_function" or not isinstance(value, Tensor) or not _narrow(value):
            continue
        last = value.ndim - 1
        if node.target is aten.bmm.default:
            a, b = node.args
            _replace(graph, node, (_transposed(graph, b, node), _transposed(graph, a, node)))
        elif node.target in _SOFTMAX and node.args[_SOFTMAX[node.target]] % value.ndim == last:
            at = _SOFTMAX[node.target]
            turned = [_transposed(graph, given, node) for given in node.args[:at]]
            _replace(graph, node, (*turned, last - 1, *node.args[at + 1 :]))


def cancel_transposes(graph: GraphModule) -> None:
    """Without transposes of transposes."""
    for node in list(graph.graph.nodes):
        if node.target is not aten.transpose.int or node.args[0].target is not aten.transpose.int:
            continue
        inner = node.args[0]
        ndim = node.meta["val"].ndim
        if {d % ndim for d in node.args[1:]} == {d % ndim for d in inner.args[1:]}:
            node.replace_all_uses_with(inner.args[0])
            graph.graph.erase_node(node)


def reuse_memory(graph: GraphModule) -> None:
    """With results written over an operand that nobody looks at again.

    Only memory that an operation of this graph made is ever written to, and only at the last use of all its views.
    """
    nodes = list(graph.graph.nodes)
    place = {node: i for i, node in enumerate(nodes)}
    owner: dict[Node, Node] = {}
    for node in nodes:  # which node's memory this one shows; for a copy that might be a view, the careful answer
        given = node.args[0] if node.args and isinstance(node.args[0], Node) else None
        owner[node] = owner[given] if given is not None and node.target not in _FRESH and _may_alias(node) else node
    last: dict[Node, int] = {}
    for node in nodes:
        for used in node.all_input_nodes:
            last[owner[used]] = max(last.get(owner[used], 0), place[node])

    for node in nodes:
        if node.target not in _IN_PLACE:
            continue
        swapped = (node.args[1], node.args[0], *node.args[2:]) if _may_swap(node) else None
        for args in (node.args, swapped):
            if args is None or not isinstance(args[0], Node):
                continue
            target = args[0]
            root = owner[target]
            others = [used for used in node.all_input_nodes if owner[used] is root and used is not target]
            if root.target in _FRESH and last[root] == place[node] and not others and _fits(target, node):
                node.args, node.target = tuple(args), _IN_PLACE[node.target]
                for shown in nodes:  # this node now lives in the operand's memory
                    if owner[shown] is node:
                        owner[shown] = root
                last[root] = max(last[root], last.get(node, 0))
                break


class _Reshaping(Interpreter):
    """Runs the graph once to note shapes and strides as they are now; a view that no longer fits is reshaped."""

    def run_node(self, n: Node) -> Any:
        with torch.no_grad():
            try:
                result = super().run_node(n)
            except RuntimeError:
                if n.target is not aten.view.default:
                    raise
                n.target = aten.reshape.default
                result = super().run_node(n)
        if isinstance(result, Tensor):
            n.meta["val"] = torch.empty_strided(result.shape, result.stride(), dtype=result.dtype, device="meta")
        return result


def _pure(node: Node) -> bool:
    if node.target is operator.getitem:
        return True
    if node.op != "call_function" or not isinstance(node.target, torch._ops.OpOverload):
        return False
    return not node.target._schema.is_mutable and torch.Tag.nondeterministic_seeded not in node.target.tags


def _may_alias(node: Node) -> bool:
    if node.op != "call_function":
        return False
    target: Any = node.target
    if target is operator.getitem or target is aten._unsafe_view.default:
        return True
    schema = getattr(target, "_schema", None)
    return schema is None or any(returned.alias_info is not None for returned in schema.returns)


def _may_swap(node: Node) -> bool:
    return node.target in _COMMUTE and not node.kwargs and isinstance(node.args[1], Node)


def _fits(target: Node, node: Node) -> bool:
    before, after = target.meta.get("val"), node.meta.get("val")
    return (
        isinstance(before, Tensor)
        and isinstance(after, Tensor)
        and before.shape == after.shape
        and before.dtype == after.dtype
        # an expanded view shows one number at several places; what an operation itself made never does
        and (before.stride() == after.stride() or target.target in _FRESH)
    )


def _narrow(value: Tensor) -> bool:
    return value.ndim >= 2 and value.shape[-1] < NARROW <= value.shape[-2]


def _transposed(graph: GraphModule, node: Any, before: Node) -> Node:
    ndim = node.meta["val"].ndim
    with graph.graph.inserting_before(before):
        turned = graph.graph.call_function(aten.transpose.int, (node, ndim - 2, ndim - 1))
    turned.meta["val"] = node.meta["val"].transpose(-2, -1)
    return turned


def _replace(graph: GraphModule, node: Node, args: tuple[Any, ...]) -> None:
    """``node`` with other arguments, followed by a transpose that every user takes instead."""
    value = node.meta["val"]
    with graph.graph.inserting_before(node):
        turned = graph.graph.call_function(node.target, args)  # type: ignore[arg-type]
    turned.meta["val"] = value.transpose(-2, -1)
    back = _transposed(graph, turned, node)
    node.replace_all_uses_with(back)
    graph.graph.erase_node(node)
