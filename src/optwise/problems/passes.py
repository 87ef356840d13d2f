"""One pass of a network with parameters and buffers from outside: in training mode, and in evaluation mode."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext

from torch import Tensor, nn
from torch.func import functional_call

from optwise.core.errors import BadProblem
from optwise.core.layout import Leaves
from optwise.problems.mixed_types import Promoting
from optwise.problems.traits import Traits

PerExample = Callable[[Tensor, Tensor], Tensor]
"""A function of outputs [B, ...] and labels [B, ...] that gives one number per example [B]."""


def trained(network: nn.Module, w: Leaves, buffers: Leaves, x: Tensor) -> tuple[Tensor, Leaves]:
    """Outputs of a network in training mode [B, ...], and the buffers afterwards; those handed in are not touched."""
    state = {**w, **{name: buffer.clone() for name, buffer in buffers.items()}}
    outputs: Tensor = functional_call(network, state, (x,))
    # layers update running statistics in place, or put a new tensor in their place: functional_call writes it back
    return outputs, {name: state[name].detach() for name in buffers}


def evaluated(network: nn.Module, w: Leaves, buffers: Leaves, x: Tensor, *, copies: bool = False) -> Tensor:
    """Outputs of a network in evaluation mode [N, ...]; with ``copies`` of the buffers, where it writes into them."""
    kept = {name: buffer.clone() for name, buffer in buffers.items()} if copies else buffers
    outputs: Tensor = functional_call(network, {**w, **kept}, (x,))
    return outputs


def measured(
    outputs: Tensor, y: Tensor, loss: PerExample, metrics: Mapping[str, PerExample], *, copies: bool
) -> dict[str, Tensor]:
    """Loss and metrics of each example [N], by name; with ``copies`` each function works on copies of its own."""
    functions = {"loss": loss, **metrics}
    if not copies:
        return {name: function(outputs, y) for name, function in functions.items()}
    return {name: function(outputs.clone(), y.clone()) for name, function in functions.items()}


def together(traits: Traits, w: Leaves) -> AbstractContextManager[object]:
    """What a pass with parameters ``w`` runs inside of, so that constants of the network's own type fit them.

    Raises:
        BadProblem: A network or loss that computes in one type only, and not in that of ``w``.
    """
    dtype = next((leaf.dtype for leaf in w.values() if leaf.is_floating_point()), traits.dtype)
    if dtype is traits.dtype:
        return nullcontext()
    if traits.fixed:
        mine, asked = (str(kind).removeprefix("torch.") for kind in (traits.dtype, dtype))
        raise BadProblem(
            f"The network or its loss computes in {mine} only, and {asked} was asked for: {traits.fixed}. Use the "
            f"dtype {mine}, or cast its constants, as in weight.to(outputs.dtype)."
        )
    return Promoting() if traits.mixes else nullcontext()
