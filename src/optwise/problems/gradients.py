"""Tensors that require a gradient where an answer carries none: their values are taken, and one warning says so."""

from __future__ import annotations

import copy
import functools
import inspect
import sys
import warnings
from collections.abc import Callable, Iterable
from typing import Any, ParamSpec, TypeVar

import torch
from torch import Tensor

from optwise.core.casting import Part
from optwise.core.errors import DataNote

P = ParamSpec("P")
Made = TypeVar("Made")
AnyPart = TypeVar("AnyPart", bound=Part)
Function = Callable[[Tensor], Tensor]


def without_gradients(make: Callable[P, Made]) -> Callable[P, Made]:
    """Let a constructor take tensors that require a gradient: it gets their values, and one warning names them all."""
    parameters = list(inspect.signature(make).parameters)

    @functools.wraps(make)
    def made(*args: P.args, **kwargs: P.kwargs) -> Made:
        given = {**dict(zip(parameters, args, strict=False)), **kwargs}
        asked = [name for name, value in given.items() if wants_gradient(value)]
        if not asked:
            return make(*args, **kwargs)
        warn_of_gradients(asked)
        return make(*map(detached, args), **{name: detached(value) for name, value in kwargs.items()})

    return made


def warn_of_gradients(names: Iterable[str]) -> None:
    """Say once of what was given with ``requires_grad`` that the answer has no gradient."""
    listed = list(names)
    warnings.warn(
        f"{' and '.join(listed)} {'requires' if len(listed) == 1 else 'require'} a gradient, and an answer carries "
        "none yet: the values are used, and nothing is differentiated through the solution.",
        DataNote,
        stacklevel=_levels_to_the_caller(),
    )


def _levels_to_the_caller() -> int:
    """How far up the stack, for a warning, the first line is that is none of this package."""
    level, frame = 1, sys._getframe(1)  # noqa: SLF001 - as warnings itself does
    own = __name__.partition(".")[0]
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == own:
        level, frame = level + 1, frame.f_back
    return level


def wants_gradient(value: Any) -> bool:
    """Whether a value is a tensor that requires a gradient, or a list with such a tensor in it.

    Example:
        >>> wants_gradient([torch.ones(2, requires_grad=True)]), wants_gradient(1.0)
        (True, False)
    """
    if isinstance(value, list | tuple):
        # a list of plain numbers is not gone through: the first entry tells
        return bool(value) and isinstance(value[0], list | tuple | Tensor) and any(map(wants_gradient, value))
    return isinstance(value, Tensor) and value.requires_grad


def detached(value: Any) -> Any:
    """The same without history: tensors, and those in lists."""
    if isinstance(value, Tensor):
        return value.detach() if value.requires_grad else value
    if isinstance(value, list | tuple) and wants_gradient(value):
        return [detached(each) for each in value]
    return value


def part_without_gradients(part: AnyPart, name: str) -> AnyPart:
    """A part of a problem with the values of the tensors that it holds; itself where none requires a gradient."""
    held = [field for field, value in vars(part).items() if wants_gradient(value)]
    if not held:
        return part
    warn_of_gradients([f"{name} ({type(part).__name__}.{field})" for field in held])
    other = copy.copy(part)
    for field in held:
        object.__setattr__(other, field, detached(getattr(part, field)))
    return other


def function_without_gradients(function: Function, value: Tensor, point: Tensor, name: str) -> Function:
    """A function of w alone, whatever it holds besides; itself where that requires no gradient.

    Args:
        function: The caller's.
        value: What it gave at ``point``, with its graph.
        point: A leaf that requires a gradient.
        name: What the caller calls it.
    """
    if not _reaches_others(value, point):
        return function
    warn_of_gradients([f"what {name} holds"])

    @functools.wraps(function, assigned=())
    def of_w_alone(w: Tensor) -> Tensor:
        if w.requires_grad:
            return function(w)
        with torch.no_grad():
            return function(w)

    return of_w_alone


def _reaches_others(value: Tensor, point: Tensor) -> bool:
    """Whether the graph of a value leads to other leaves than the point."""
    left, seen = [value.grad_fn], set()
    while left:
        node = left.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        leaf = getattr(node, "variable", None)
        if leaf is not None and leaf is not point:
            return True
        left += [before for before, _ in node.next_functions]
    return False
