"""A computation as a graph of values: what was computed from what, and the derivative of each by each of its inputs."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

LEAF = "leaf"
"""The operation of a value that nothing was computed for: a parameter."""


@dataclass(frozen=True, eq=False)
class Node:
    """A value in a computation.

    Args:
        name: The caller's name for it, else that of its operation, numbered where it occurs more than once.
        operation: What computed it: ``mv``, ``pow``; ``leaf`` for a parameter.
        shape: Of the value.
        gradient: Derivative of the graph's output by this value, of its shape.
    """

    name: str
    operation: str
    shape: tuple[int, ...]
    gradient: Tensor | None = None

    @property
    def size(self) -> int:
        """How many numbers it holds."""
        return math.prod(self.shape)


@dataclass(frozen=True, eq=False)
class Edge:
    r"""One value used in computing another.

    Args:
        source: Name of the value that is used.
        target: Name of the value that is computed.
        size: Numbers in the target and in the source: rows and columns of the local Jacobian.
        jacobian: The local Jacobian :math:`\partial\,\text{target} / \partial\,\text{source}`, entries of both listed
            row by row, all other inputs of the target held fixed; None where it was too large to be measured.
        gradient: What flows back along the edge, of the shape of the source: the transposed local Jacobian times the
            gradient of the target. The gradient of a value is the sum over the edges that leave it.
    """

    source: str
    target: str
    size: tuple[int, int]
    jacobian: Tensor | None = None
    gradient: Tensor | None = None


@dataclass(frozen=True, eq=False)
class Graph:
    """Values and the edges between them, from the leaves to one output.

    Args:
        nodes: Every value after the values it was computed from; the output is the last.
        edges: Two values are joined by as many edges as one is used in computing the other: w * w has two.

    Example:
        >>> edges = (Edge("w", "z", (2, 1), torch.tensor([[3.0], [4.0]])), Edge("z", "f", (1, 2), torch.ones(1, 2)))
        >>> graph = Graph((Node("w", "leaf", (1,)), Node("z", "mv", (2,)), Node("f", "sum", ())), edges)
        >>> graph.derivative("w")
        tensor([[7.]])
        >>> [(edge.source, edge.target) for edge in graph.condensed(["w", "f"]).edges]
        [('w', 'f')]

    References:
        Griewank and Walther (2008), Evaluating Derivatives, chapters 2 and 9.
    """

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    _by_name: dict[str, Node] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_by_name", {node.name: node for node in self.nodes})
        if len(self._by_name) < len(self.nodes):
            raise ValueError("two values of a graph share a name; names tell them apart, so give each its own")

    @property
    def output(self) -> Node:
        """The value that everything leads to."""
        return self.nodes[-1]

    @property
    def leaves(self) -> tuple[Node, ...]:
        """Values that nothing was computed for."""
        computed = {edge.target for edge in self.edges}
        return tuple(node for node in self.nodes if node.name not in computed)

    def node(self, name: str) -> Node:
        """The value called ``name``."""
        return self._by_name[name]

    def into(self, name: str) -> list[Edge]:
        """Edges from the inputs of a value."""
        return [edge for edge in self.edges if edge.target == name]

    def out_of(self, name: str) -> list[Edge]:
        """Edges to what a value is used for."""
        return [edge for edge in self.edges if edge.source == name]

    def paths(self, name: str) -> Iterator[tuple[Edge, ...]]:
        """All ways from a value to the output, one after the other; there can be exponentially many."""
        if name == self.output.name:
            yield ()
        for edge in self.out_of(name):
            for rest in self.paths(edge.target):
                yield (edge, *rest)

    def product(self, path: tuple[Edge, ...]) -> Tensor:
        r"""Product of the local Jacobians along a path, the last operation first: :math:`J_k \cdots J_2 J_1`.

        Raises:
            ValueError: The path is empty, or one of its Jacobians was too large to be measured.
        """
        if not path:
            raise ValueError("an empty path has no Jacobian; give at least one edge")
        total = _known(path[0])
        for edge in path[1:]:
            total = _known(edge) @ total
        return total

    def derivative(self, name: str) -> Tensor:
        r"""Derivative of the output by a value [size of the output, size of the value]: the sum over all paths.

        A row for an output of one number: its transpose, in the shape of the value, is the gradient.

        Raises:
            ValueError: A Jacobian on the way was too large to be measured.
        """
        size = self.output.size
        like = next((edge.jacobian for edge in self.edges if edge.jacobian is not None), torch.ones(()))
        totals = {self.output.name: torch.eye(size, dtype=like.dtype, device=like.device)}
        for node in reversed(self.nodes[:-1]):
            parts = [totals[edge.target] @ _known(edge) for edge in self.out_of(node.name) if edge.target in totals]
            if parts:
                totals[node.name] = torch.stack(parts).sum(0)
            if node.name == name:
                break
        return totals.get(name, torch.zeros(size, self.node(name).size, dtype=like.dtype, device=like.device))

    def condensed(self, keep: Collection[str]) -> Graph:
        """The same computation with only the values in ``keep`` and the output left.

        A value that goes is replaced by edges from each of its inputs to each of its uses, with the products of the
        Jacobians; edges that join the same two values are added up.

        Args:
            keep: Names of values.
        """
        edges = list(self.edges)
        kept = {*keep, self.output.name}
        for node in self.nodes:
            if node.name in kept:
                continue
            above = [edge for edge in edges if edge.target == node.name]
            below = [edge for edge in edges if edge.source == node.name]
            edges = [edge for edge in edges if node.name not in (edge.source, edge.target)]
            edges += [self._through(first, second) for first in above for second in below]
        joined: dict[tuple[str, str], Edge] = {}
        for edge in edges:
            ends = (edge.source, edge.target)
            joined[ends] = _together(joined[ends], edge) if ends in joined else edge
        nodes = tuple(node for node in self.nodes if node.name in kept)
        place = {node.name: i for i, node in enumerate(nodes)}
        ordered = sorted(joined.values(), key=lambda edge: (place[edge.target], place[edge.source]))
        return Graph(nodes, tuple(ordered))

    def _through(self, first: Edge, second: Edge) -> Edge:
        rows, columns = second.size[0], first.size[1]
        if first.jacobian is None or second.jacobian is None:
            return Edge(first.source, second.target, (rows, columns))
        jacobian = second.jacobian @ first.jacobian
        back = self.node(second.target).gradient
        flow = None if back is None else (back.flatten() @ jacobian).reshape(self.node(first.source).shape)
        return Edge(first.source, second.target, (rows, columns), jacobian, flow)


def _together(one: Edge, other: Edge) -> Edge:
    jacobian = None if one.jacobian is None or other.jacobian is None else one.jacobian + other.jacobian
    gradient = None if one.gradient is None or other.gradient is None else one.gradient + other.gradient
    return Edge(one.source, one.target, one.size, jacobian, gradient)


def _known(edge: Edge) -> Tensor:
    if edge.jacobian is None:
        raise ValueError(
            f"The {edge.size[0]} x {edge.size[1]} Jacobian of {edge.target} by {edge.source} was not measured; "
            "allow larger ones when the graph is read."
        )
    return edge.jacobian
