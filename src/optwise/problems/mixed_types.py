"""Constants of one floating type met by numbers of another: brought together, where torch by itself raises."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree as pytree

_WRITING = frozenset({"batch_norm", "instance_norm"})
"""Functions whose names do not say that they write into an argument."""


class Promoting(TorchFunctionMode):
    """Inside, a function of torch that fails for floating arguments of several types takes all in the widest of them.

    A network's constant in float32 that is no buffer, or class weights that a loss closes over, meet float64 numbers
    when a step is probed. ``a + b`` promotes by itself; a matrix product and a loss function raise, and are asked once
    more with what promotion would have made of their arguments. What writes into an argument is left alone.

    Example:
        >>> with Promoting():
        ...     torch.ones(1, 2, dtype=torch.float64) @ torch.ones(2, 1)
        tensor([[2.]], dtype=torch.float64)
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        given = dict(kwargs or {})
        try:
            return func(*args, **given)
        except RuntimeError:
            kinds = {leaf.dtype for leaf in pytree.tree_leaves((args, given)) if _floating(leaf)}
            name = getattr(func, "__name__", "")
            if len(kinds) < 2 or name in _WRITING or "out" in given or (name.endswith("_") and name[:2] != "__"):
                raise
        widest = max(kinds, key=lambda kind: torch.finfo(kind).bits)
        args, given = pytree.tree_map(lambda leaf: leaf.to(widest) if _floating(leaf) else leaf, (tuple(args), given))
        return func(*args, **given)


def _floating(leaf: Any) -> bool:
    return isinstance(leaf, Tensor) and leaf.is_floating_point()
