"""What Python keeps between two passes beside parameters and buffers: found, told apart, put back.

A network may count its calls in an attribute, a loss may average in a list that it closes over, both may write to a
global name. All that can be reached from them in Python is looked at: attributes, lists, dictionaries, arrays, tensors,
generators of random numbers, cells of closures, and the names and class attributes that their functions use.
"""

# ruff: noqa: SLF001 - what torch keeps in a module and counts of a tensor has names that begin with underscores
from __future__ import annotations

import functools
import hashlib
import random
import types
from collections import deque
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm

HASHED_BYTES = 2**22
"""Of larger arrays a sample of the numbers is looked at, and torch's count of the writes to them."""

DEPTH = 40
"""Objects within objects that are followed."""

_SCALARS = (bool, int, float, complex, str, bytes, type(None), torch.dtype, torch.device, torch.Size)
_GENERATORS = (torch.Generator, np.random.Generator, np.random.RandomState, random.Random)
_OPAQUE = (types.ModuleType, types.BuiltinFunctionType, type)
_OWN = frozenset(vars(nn.Module()))
"""What torch keeps in every module."""
_LIBRARIES = tuple(f"{name}." for name in ("torch", "numpy", "scipy", "sklearn", "pandas", "logging", "threading"))


class PlainState:
    """The plain state of a network, its loss and its metrics at one moment.

    Args:
        network: Its parameters and buffers are no part of it: the engine keeps them. ``None`` where there is none.
        beside: Losses and metrics by name; of a loss that is a module, buffers are a part.
    """

    def __init__(self, network: nn.Module | None, beside: Mapping[str, Any]) -> None:
        self._found: dict[str, Any] = {}
        self._put_back: list[Callable[[], object]] = []
        self._known: dict[int, Any] = {}  # by identity, and kept alive while identities count
        self._depth = 0
        self._buffers = False
        if network is not None:
            for tensor in (*network.parameters(), *network.buffers()):
                self._known[id(tensor)] = tensor
            self._look(network, "")
        self._buffers = True
        for name, owner in beside.items():
            self._look(owner, name)
        self._known.clear()

    def changes(self, later: PlainState) -> tuple[str, ...]:
        """Where the state of the same owners is another one later, sorted."""
        absent = object()
        names = self._found.keys() | later._found.keys()
        return tuple(sorted(n for n in names if self._found.get(n, absent) != later._found.get(n, absent)))

    @property
    def names(self) -> frozenset[str]:
        """Where something was found."""
        return frozenset(self._found)

    def restore(self) -> None:
        """Put everything back as it was: into the same objects, so that whoever shares them sees it."""
        with torch.no_grad():
            for put_back in self._put_back:
                put_back()

    def _look(self, value: Any, path: str) -> None:
        if isinstance(value, _SCALARS):
            self._found[path] = (type(value).__name__, repr(value))
            return
        if id(value) in self._known or isinstance(value, _OPAQUE) or self._depth > DEPTH:
            return
        self._known[id(value)] = value
        self._depth += 1
        kinds: tuple[tuple[Any, Callable[[Any, str], None]], ...] = (
            (Tensor, self._tensor),
            (np.ndarray, self._array),
            (_GENERATORS, self._generator),
            ((list, tuple, deque, set, frozenset), self._collection),
            (MutableMapping, self._mapping),
            (types.FunctionType, self._function),
            (types.MethodType, self._method),
            (functools.partial, self._partial),
            (nn.Module, self._module),
            (object, self._object),
        )
        next(look for kind, look in kinds if isinstance(value, kind))(value, path)
        self._depth -= 1

    def _tensor(self, tensor: Tensor, path: str) -> None:
        wrapped = torch._C._functorch.is_functorch_wrapped_tensor(tensor)  # left over from a batched pass
        if wrapped or tensor.layout is not torch.strided or tensor.is_meta:
            self._found[path] = type(tensor).__name__
            return
        kept = tensor.detach().clone()
        writes = tensor._version if kept.numel() * kept.element_size() > HASHED_BYTES else 0
        numbers = kept.cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
        self._found[path] = (tensor.dtype, tuple(tensor.shape), _digest(numbers), writes)
        # a write would spoil a gradient that is still to be taken, so there is none where nothing changed
        self._put_back.append(lambda: None if torch.equal(tensor, kept) else tensor.copy_(kept))

    def _array(self, array: np.ndarray[Any, Any], path: str) -> None:
        kept = array.copy()
        if array.dtype == object:
            self._found[path] = (array.shape, repr(kept))
        else:
            self._found[path] = (str(array.dtype), array.shape, _digest(kept.reshape(-1).view(np.uint8)))
        if array.flags.writeable:
            self._put_back.append(lambda: np.copyto(array, kept))

    def _generator(self, generator: Any, path: str) -> None:
        if isinstance(generator, np.random.Generator):
            state: Any = generator.bit_generator.state
            self._put_back.append(lambda: setattr(generator.bit_generator, "state", state))
        elif isinstance(generator, random.Random):
            state = generator.getstate()
            self._put_back.append(lambda: generator.setstate(state))
        else:
            state = generator.get_state()
            self._put_back.append(lambda: generator.set_state(state))
        self._found[path] = repr(state.tolist() if isinstance(state, Tensor) else state)

    def _collection(self, values: Any, path: str) -> None:
        kept = list(values)
        if isinstance(values, set | frozenset):
            self._found[path] = sorted(repr(item) for item in kept)
        else:
            self._found[path] = (type(values).__name__, len(kept))
            for i, item in enumerate(kept):
                self._look(item, f"{path}[{i}]")
        if isinstance(values, list):
            self._put_back.append(lambda: values.__setitem__(slice(None), kept))
        elif isinstance(values, set | deque):
            self._put_back.append(lambda: _refill(values, kept))

    def _mapping(self, values: MutableMapping[Any, Any], path: str) -> None:
        kept = dict(values)
        self._found[path] = (len(kept), [repr(key) for key in kept if isinstance(key, _SCALARS)])
        for key, item in kept.items():
            self._look(item, f"{path}[{key!r}]" if isinstance(key, _SCALARS) else f"{path}[{type(key).__name__}]")
        self._put_back.append(lambda: _refill(values, kept))

    def _attributes(self, owner: Any, path: str, without: frozenset[str] = frozenset()) -> None:
        """The attributes of an object, those named in ``without`` left alone."""
        attributes = vars(owner)
        kept = {name: item for name, item in attributes.items() if name not in without}
        for name, item in kept.items():
            self._look(item, _within(path, name))

        def put_back() -> None:
            for name in [name for name in attributes if name not in kept and name not in without]:
                del attributes[name]
            attributes.update(kept)

        self._put_back.append(put_back)

    def _method(self, method: types.MethodType, path: str) -> None:
        self._look(method.__func__, path)
        self._look(method.__self__, path)

    def _partial(self, function: functools.partial[Any], path: str) -> None:
        for part in (function.func, function.args, function.keywords):
            self._look(part, path)

    def _module(self, module: nn.Module, path: str) -> None:
        hooks = [hook for hook in module._forward_pre_hooks.values() if isinstance(hook, WeightNorm | SpectralNorm)]
        # the old wrappings and recurrent layers compute these anew from their parameters
        computed = {hook.name for hook in hooks} | {"_flat_weights", "_flat_weight_refs"}
        self._attributes(module, path, frozenset(_OWN | computed))
        for name in sorted(_OWN):
            if name.endswith("_hooks"):
                # their keys count all hooks of the process, so they are called by their place
                for i, hook in enumerate((vars(module).get(name) or {}).values()):
                    self._look(hook, f"{_within(path, name)}[{i}]")
        if self._buffers:
            self._look(module._buffers, path)
        for name, child in module._modules.items():
            self._look(child, _within(path, name))
        self._classes(module, path)

    def _object(self, value: Any, path: str) -> None:
        shown = "" if hasattr(value, "__dict__") else repr(value)
        self._found[path] = (type(value).__qualname__, "" if " at 0x" in shown else shown)
        if hasattr(value, "__dict__") and not _of_library(value):
            self._attributes(value, path)
            self._classes(value, path)
        for name in (name for kind in type(value).__mro__ for name in vars(kind).get("__slots__", ())):
            if hasattr(value, name) and not name.startswith("__"):
                item = getattr(value, name)
                self._look(item, _within(path, name))
                self._put_back.append(functools.partial(_put, value, name, item))

    def _classes(self, value: Any, path: str) -> None:
        """What the classes of an object share between all their objects, and what their functions look up."""
        for kind in type(value).__mro__:
            if id(kind) in self._known or _of_library(kind) or kind.__module__ == "builtins":
                continue
            self._known[id(kind)] = kind
            for name, item in list(vars(kind).items()):
                if isinstance(item, types.FunctionType):
                    self._look(item, f"{kind.__name__}.{name}()")
                elif not name.startswith("__") and not callable(item) and not hasattr(item, "__get__"):
                    self._look(item, f"{kind.__name__}.{name}")
                    self._put_back.append(functools.partial(_put_in_class, kind, name, item))

    def _function(self, function: types.FunctionType, path: str) -> None:
        ours = f"{function.__module__}.".startswith("optwise.")
        for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
            self._cell(cell, path if ours else _within(path, name))  # ours stand around what the caller gave
        if ours or _of_library(function):
            return
        self._look(function.__defaults__, path)
        self._look(function.__kwdefaults__, path)
        self._attributes(function, path)
        for name in _looked_up(function.__code__):
            if name in function.__globals__:
                self._global(function.__globals__, name)

    def _cell(self, cell: types.CellType, path: str) -> None:
        try:
            item = cell.cell_contents
        except ValueError:  # nothing was put into it so far
            return
        self._look(item, path)
        self._put_back.append(lambda: setattr(cell, "cell_contents", item))

    def _global(self, names: dict[str, Any], name: str) -> None:
        item = names[name]
        mine = isinstance(item, types.FunctionType) and item.__globals__ is names
        # other objects and other files' functions are theirs to change: loggers, caches, progress bars
        kinds = (*_SCALARS, *_GENERATORS, list, dict, set, deque, Tensor, np.ndarray)
        if mine or isinstance(item, kinds):
            self._look(item, name)
            self._put_back.append(lambda: names.__setitem__(name, item))


@contextmanager
def without_trace(*owners: Any) -> Iterator[None]:
    """What is done inside leaves no trace in what the owners keep: networks, losses, metrics that are the caller's."""
    before = PlainState(None, {f"owner {i}": owner for i, owner in enumerate(owners)})
    try:
        yield
    finally:
        before.restore()


def _looked_up(code: types.CodeType) -> Iterator[str]:
    """The names that a function, or a function within it, looks up."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _looked_up(constant)


def _within(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _of_library(thing: Any) -> bool:
    return f"{getattr(thing, '__module__', None) or 'builtins'}.".startswith(_LIBRARIES)


def _put(owner: Any, name: str, item: Any) -> None:
    if getattr(owner, name, None) is not item:
        object.__setattr__(owner, name, item)


def _put_in_class(kind: type, name: str, item: Any) -> None:
    if vars(kind).get(name) is not item:
        setattr(kind, name, item)


def _refill(values: Any, kept: Any) -> None:
    values.clear()
    if isinstance(values, deque):
        values.extend(kept)
    else:
        values.update(kept)


def _digest(numbers: np.ndarray[Any, Any]) -> str:
    return hashlib.sha256(np.ascontiguousarray(numbers[:: max(1, numbers.size // HASHED_BYTES)]).tobytes()).hexdigest()
