"""Read the graph that autograd recorded: its values, what flows back along its edges, and every local Jacobian."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge
from torch.autograd.graph import Node as Operation

from optwise.core.errors import BadProblem
from optwise.core.graph import LEAF, Edge, Graph, Node

LARGEST = 65_536
"""Entries of a local Jacobian up to which it is measured. Source: optwise, own choice."""

Value: TypeAlias = tuple[Operation, int]
"""An operation and which of its outputs."""


@dataclass(frozen=True)
class _Flows:
    """What one backward pass carried: into each value, and out of each operation towards each of its inputs."""

    into: dict[Value, Tensor]
    out_of: dict[Operation, tuple[Tensor | None, ...]]


def read_graph(result: Tensor, names: Mapping[str, Tensor] | None = None, *, largest: int = LARGEST) -> Graph:
    r"""The graph of values behind ``result``, with the local Jacobian of every edge.

    Autograd's backward operation for a value is a linear map, the transpose of the value's derivative by its inputs.
    Fed with basis covectors one after the other it gives that derivative row by row, whatever the operation is, a
    user's own ``autograd.Function`` included. The product of the local Jacobians along a path, summed over all paths,
    is the derivative of ``result``; ``Graph.derivative`` forms it.

    The graph is kept (``retain_graph``), no ``.grad`` is touched. Inputs that need no gradient (data) are no values of
    it. A value behind an output with m numbers costs m small backward passes.

    Args:
        result: One number with a graph.
        names: What to call parameters and intermediate tensors, ``{"w": w, "z1": z1}``; a parameter without a name is
            called ``leaf``, any other value after its operation.
        largest: Entries of a local Jacobian up to which it is measured; a larger one is left out, its shape is kept.

    Raises:
        BadProblem: ``result`` is not one number or has no graph, a named tensor is not part of it, or the graph can no
            longer be walked back (freed, or a value changed in place).

    Example:
        >>> X, y = torch.tensor([[1.0, 2.0], [0.0, 1.0], [1.0, -1.0]]), torch.zeros(3)
        >>> w = torch.tensor([1.0, 1.0], requires_grad=True)
        >>> z = X @ w - y
        >>> graph = read_graph(z.square().sum() / 2, {"w": w, "z": z})
        >>> [(node.name, node.operation) for node in graph.nodes]
        [('w', 'leaf'), ('mv', 'mv'), ('z', 'sub'), ('pow', 'pow'), ('sum', 'sum'), ('div', 'div')]
        >>> graph.derivative("w"), graph.node("w").gradient
        (tensor([[3., 7.]]), tensor([3., 7.]))

    References:
        Griewank and Walther (2008), Evaluating Derivatives, chapter 3.
    """
    if result.numel() != 1:
        raise BadProblem(
            f"The result has shape {tuple(result.shape)}; a graph is read from one number, such as its sum."
        )
    if result.grad_fn is None:
        raise BadProblem(
            "The result has no graph: it is a leaf, was detached, or was computed under no_grad(); compute it from a "
            "tensor with requires_grad=True."
        )
    operations = _operations(result.grad_fn)
    flows = _flow_back(result, operations)
    values = [value for operation in operations for value in _outputs(operation, flows)]
    called = _called(values, names or {})
    nodes, edges = [], []
    for value in values:
        gradient = flows.into[value]
        nodes.append(Node(called[value], _operation_name(value[0]), tuple(gradient.shape), gradient))
        edges += _edges_into(value, flows, called, largest=largest)
    return Graph(tuple(nodes), tuple(edges))


def _operations(root: Operation) -> list[Operation]:
    """Every operation after those it takes its inputs from."""
    found: dict[Operation, None] = {}
    waiting = [(root, False)]
    while waiting:
        operation, inputs_done = waiting.pop()
        if operation in found:
            continue
        if inputs_done:
            found[operation] = None
            continue
        waiting.append((operation, True))
        # last in, first out: the first input is then visited first
        waiting += [(source, False) for source, _ in reversed(operation.next_functions) if source is not None]
    return list(found)


def _flow_back(result: Tensor, operations: list[Operation]) -> _Flows:
    into: dict[Value, Tensor] = {}
    out_of: dict[Operation, tuple[Tensor | None, ...]] = {}

    def before(operation: Operation, incoming: tuple[Tensor | None, ...]) -> None:
        into.update({(operation, nr): g.detach() for nr, g in enumerate(incoming) if g is not None})

    def after(operation: Operation, outgoing: tuple[Tensor | None, ...]) -> None:
        out_of[operation] = tuple(None if g is None else g.detach() for g in outgoing)

    leaves = [operation for operation in operations if _is_leaf(operation)]
    handles = []
    for operation in operations:
        if not _is_leaf(operation):
            handles.append(operation.register_prehook(lambda g, operation=operation: before(operation, g)))
            handles.append(operation.register_hook(lambda g, _, operation=operation: after(operation, g)))
    try:
        edges = [GradientEdge(leaf, 0) for leaf in leaves]
        found = torch.autograd.grad(result, edges, retain_graph=True, allow_unused=True)
    except RuntimeError as error:
        raise BadProblem(_why_no_way_back(error)) from error
    finally:
        for handle in handles:
            handle.remove()
    into.update({(leaf, 0): g.detach() for leaf, g in zip(leaves, found, strict=True) if g is not None})
    return _Flows(into, out_of)


def _outputs(operation: Operation, flows: _Flows) -> list[Value]:
    """The outputs of an operation that a gradient reaches."""
    return sorted((value for value in flows.into if value[0] is operation), key=lambda value: value[1])


def _edges_into(value: Value, flows: _Flows, called: Mapping[Value, str], *, largest: int) -> list[Edge]:
    operation, nr = value
    rows = flows.into[value].numel()
    sources = {i: source for i, source in _inputs(operation).items() if source in called}
    columns = {i: flows.into[source].numel() for i, source in sources.items()}
    measured = {i: size for i, size in columns.items() if rows * size <= largest}
    jacobians = _probed(operation, nr, flows.into[value], measured)
    whole = len(_outputs(operation, flows)) == 1
    edges = []
    for i, source in sources.items():
        jacobian = jacobians.get(i)
        flow = flows.out_of[operation][i] if whole else None
        if not whole and jacobian is not None:  # of several outputs each has its own part of what flows back
            flow = (flows.into[value].flatten() @ jacobian).reshape(flows.into[source].shape)
        edges.append(Edge(called[source], called[value], (rows, columns[i]), jacobian, flow))
    return edges


def _probed(operation: Operation, nr: int, like: Tensor, columns: Mapping[int, int]) -> dict[int, Tensor]:
    """Jacobians of one output of an operation by its inputs ``columns``: row by row through autograd's own engine.

    The engine, and not a call of the operation, because it also sums over what was broadcast and runs the user's own.
    """
    if not columns:
        return {}
    seen: list[tuple[Tensor | None, ...]] = []
    handle = operation.register_hook(lambda outgoing, _: seen.append(outgoing))
    sources = [GradientEdge(*source) for source in _inputs(operation).values()]
    try:
        for k in range(like.numel()):
            covector = torch.zeros_like(like).flatten()
            covector[k] = 1.0
            edge = GradientEdge(operation, nr)
            torch.autograd.grad([edge], sources, [covector.reshape(like.shape)], retain_graph=True, allow_unused=True)
    finally:
        handle.remove()
    return {i: torch.stack([_row(found[i], like, size) for found in seen]) for i, size in columns.items()}


def _row(found: Tensor | None, like: Tensor, size: int) -> Tensor:
    return torch.zeros(size, dtype=like.dtype, device=like.device) if found is None else found.detach().flatten()


def _called(values: list[Value], names: Mapping[str, Tensor]) -> dict[Value, str]:
    """The caller's names, and operations' names for the rest, numbered where one occurs more than once."""
    given: dict[Value, str] = {}
    for name, tensor in names.items():
        value = next((value for value in values if _is_value(tensor, value)), None)
        if value is None:
            raise BadProblem(f"{name} is not part of the graph of the result; name only tensors it was computed from.")
        given[value] = name
    counts = Counter(_operation_name(value[0]) for value in values if value not in given)
    numbers: Counter[str] = Counter()
    called = {}
    for value in values:
        operation = _operation_name(value[0])
        if value in given:
            called[value] = given[value]
            continue
        numbers[operation] += 1
        alone = counts[operation] == 1 and operation not in names
        called[value] = operation if alone else f"{operation} {numbers[operation]}"
    return called


def _is_value(tensor: Tensor, value: Value) -> bool:
    operation, nr = value
    if _is_leaf(operation):
        leaf: Any = operation
        return leaf.variable is tensor
    return tensor.grad_fn is operation and tensor.output_nr == nr


def _inputs(operation: Operation) -> dict[int, Value]:
    """What an operation was given that needs a gradient, by its place among the operation's inputs."""
    return {i: (source, nr) for i, (source, nr) in enumerate(operation.next_functions) if source is not None}


def _is_leaf(operation: Operation) -> bool:
    return operation.name().endswith("AccumulateGrad")


def _operation_name(operation: Operation) -> str:
    """Autograd's name without its ending, as torch spells the operation: LogSoftmaxBackward0 is log_softmax."""
    if _is_leaf(operation):
        return LEAF
    name = re.sub(r"Backward\d*$", "", operation.name().rpartition(":")[2])
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def _why_no_way_back(error: RuntimeError) -> str:
    first = str(error).partition("\n")[0]
    if "second time" in first:
        return "The graph was freed by backward(); compute the result again, or call backward(retain_graph=True)."
    if "inplace" in first:
        changed = first.partition("Hint")[0].strip().rstrip(";. ")
        return f"The graph cannot be walked back: {changed}; write the operation that changes it out of place."
    return f"The graph cannot be walked back: {first}"
