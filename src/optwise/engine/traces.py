"""Functions of tensors traced to graphs of plain ATen operations, and the graphs that this process has traced."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any

import torch
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils import _pytree as pytree

from optwise.core.objective import Objective
from optwise.engine.graph_passes import tidy

KEPT = 64
"""Graphs a process keeps; the one used longest ago goes first."""


class Traced:
    """A graph and the shape of what goes in and comes out.

    Args:
        function: A pure function of trees of tensors; ``None`` leaves are allowed.
        arguments: What it is traced with.
    """

    def __init__(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        flat, spec = pytree.tree_flatten(arguments)
        holes = [leaf is None for leaf in flat]
        self._out: pytree.TreeSpec | None = None

        def whole(*tensors: Tensor) -> list[Tensor]:
            given = iter(tensors)
            leaves = [None if hole else next(given) for hole in holes]
            out, self._out = pytree.tree_flatten(function(*pytree.tree_unflatten(leaves, spec)))
            return out

        tensors = [leaf for leaf in flat if leaf is not None]
        self.graph = tidy(make_fx(whole, tracing_mode="real")(*tensors), tensors)
        self._replay = self.graph.forward

    def __call__(self, arguments: tuple[Any, ...]) -> Any:
        """The function's value, computed by replaying the graph."""
        assert self._out is not None
        with torch.no_grad():
            out = self._replay(*(leaf for leaf in pytree.tree_leaves(arguments) if leaf is not None))
        return pytree.tree_unflatten(out, self._out)


_TRACES: OrderedDict[Hashable, tuple[Objective, Traced]] = OrderedDict()


def traced(objective: Objective, key: Hashable, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Traced:
    """The graph of ``function`` for an objective and a key that names all that is not an input; traced when missing.

    Args:
        objective: The graph is of this very object, which is kept alive with it.
        key: Rule, flags, layout, shapes and types.
        function: As in :class:`Traced`.
        arguments: As in :class:`Traced`.
    """
    whole = (id(objective), key)
    if whole not in _TRACES:
        _TRACES[whole] = (objective, Traced(function, arguments))
        if len(_TRACES) > KEPT:
            _TRACES.popitem(last=False)
    _TRACES.move_to_end(whole)
    return _TRACES[whole][1]
