"""Networks built from a user's factory or instance: one start for each seed, the same whenever it is asked for."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, cast

import torch
from torch import nn

from optwise.core.errors import BadProblem
from optwise.core.layout import Leaves
from optwise.numerics.rng import Streams

Build = Callable[[], nn.Module]


def builder(make_net: Build | nn.Module) -> Build:
    """A function that builds the network anew: the factory itself, or a copy of an instance drawn anew.

    Raises:
        BadProblem: An instance that cannot be copied, or whose parameters cannot be drawn again.
    """
    if not isinstance(make_net, nn.Module):
        if not callable(make_net):
            raise BadProblem(
                f"make_net is of type {type(make_net).__name__}; give a function that builds the network, or a network."
            )
        return make_net
    for path, module in make_net.named_modules():
        if any(True for _ in module.parameters(recurse=False)) and not hasattr(module, "reset_parameters"):
            raise BadProblem(
                f"Module {path or 'at the top'!r} ({type(module).__name__}) has parameters but no reset_parameters, so "
                "every seed would start from the same point; give a function that builds the network, "
                "`from_module(make_net, ...)`."
            )
    net = _copied(make_net)  # what the caller does with the instance later is no concern of ours

    def rebuild() -> nn.Module:
        fresh = _copied(net)
        _reset(fresh)
        return fresh

    _refuse_kept_parameters(net)
    return rebuild


def seeded(build: Build, seed: int) -> nn.Module:
    """The network of a seed; the global random numbers stay as they were.

    Raises:
        BadProblem: A factory that fails, or gives something else.
    """
    with Streams(seed):
        try:
            net = build()
        except BadProblem:
            raise
        except Exception as error:
            raise BadProblem(f"Building the network fails: {type(error).__name__}: {error}") from error
    if not isinstance(net, nn.Module):
        raise BadProblem(f"make_net() gives {type(net).__name__}, not a torch.nn.Module; let it return the network.")
    _refuse_compiled(net)
    return net


def leaves_of(net: nn.Module) -> tuple[Leaves, Leaves]:
    """Trainable parameters, and what travels with them: frozen parameters and buffers.

    Raises:
        BadProblem: Parameters without a shape, without numbers, complex ones, or none at all.
    """
    for name, parameter in net.named_parameters():
        if nn.parameter.is_lazy(parameter):
            raise BadProblem(
                f"Parameter {name!r} has no shape yet; replace the lazy module by one with its sizes given."
            )
        if parameter.is_meta:
            raise BadProblem(f"Parameter {name!r} is on the meta device and holds no numbers; build it on the CPU.")
        if parameter.is_complex():
            raise BadProblem(
                f"Parameter {name!r} is complex, and a step here is one of real numbers; keep its real and imaginary "
                "parts as two parameters, torch.view_as_complex joins them."
            )
    w = {name: p.detach().clone() for name, p in net.named_parameters() if p.requires_grad}
    if not w:
        raise BadProblem(
            f"{type(net).__name__} is a module without parameters to train; there is nothing to minimise over."
        )
    frozen = {name: p.detach().clone() for name, p in net.named_parameters() if not p.requires_grad}
    return w, frozen | {name: buffer.detach().clone() for name, buffer in net.named_buffers()}


def refuse_other_start(net: nn.Module, again: nn.Module) -> None:
    """Refuse two networks of one seed that are one object, or start from two points.

    Raises:
        BadProblem: Either.
    """
    if net is again:
        raise BadProblem(
            "make_net() gives the same network each time, so every seed would start from the same point; let it build "
            "a new one."
        )
    (one, _), (other, _) = leaves_of(net), leaves_of(again)
    if one.keys() != other.keys() or any(not torch.equal(leaf, other[name]) for name, leaf in one.items()):
        raise BadProblem(
            "make_net() gives two different starts for one seed; let it draw from torch's random state only "
            "(torch.manual_seed is called before it)."
        )


def _copied(net: nn.Module) -> nn.Module:
    try:
        return copy.deepcopy(net)
    except Exception as error:
        raise BadProblem(
            f"The network cannot be copied ({type(error).__name__}: {str(error).partition('. ')[0]}); give a function "
            "that builds it, `from_module(make_net, ...)`."
        ) from error


def _reset(net: nn.Module) -> None:
    for module in net.modules():
        if hasattr(module, "reset_parameters"):
            cast(Any, module).reset_parameters()


def _refuse_kept_parameters(net: nn.Module) -> None:
    """Refuse an instance with a parameter whose value after ``reset_parameters`` depends on the one before."""
    drawn = []
    for shift in (0.0, 1.0):
        other = _copied(net)
        with torch.no_grad():
            for parameter in other.parameters():
                parameter.add_(shift)
        with Streams(0):
            _reset(other)
        drawn.append(dict(other.named_parameters()))
    for name, parameter in drawn[0].items():
        if parameter.requires_grad and not torch.equal(parameter, drawn[1][name]):
            raise BadProblem(
                f"Parameter {name!r} is not drawn again by reset_parameters (a weight norm or another "
                "parametrisation?), so every seed would start from the same point; give a function that builds the "
                "network, `from_module(make_net, ...)`."
            )


def _refuse_compiled(net: nn.Module) -> None:
    for path, module in net.named_modules():
        where = f"Module {path!r}" if path else "The network"
        if isinstance(module, torch.jit.ScriptModule):
            raise BadProblem(
                f"{where} is a TorchScript module, which takes no parameters from outside; give the module it was "
                "made from."
            )
        # torch sets the second by module.compile()
        if type(module).__name__ == "OptimizedModule" or vars(module).get("_compiled_call_impl") is not None:
            raise BadProblem(
                f"{where} is compiled by torch.compile; give the module itself: trials share a pass of plain "
                "operations, and every method takes its steps on the same ones."
            )
