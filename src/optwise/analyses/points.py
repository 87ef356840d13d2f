"""A function of a tensor, or of named tensors, as a function of one float64 row; a point of it, its entries named."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from optwise.core.errors import BadProblem
from optwise.core.layout import Layout
from optwise.numerics.finiteness import all_finite

SINGLE = "w"
"""What the only tensor is called where the caller gave no names."""


@dataclass(frozen=True, eq=False)
class Point:
    """A point in the parameters of a function.

    Args:
        function: The caller's, of a tensor or of named tensors.
        layout: Names and shapes of the tensors; one named ``w`` for a plain tensor.
        row: All numbers as one float64 row [P].
        single: Whether the caller gave a plain tensor.
        cast: Names and types of the tensors that were not float64: ``w is float32``.
    """

    function: Callable[[Any], Tensor]
    layout: Layout
    row: Tensor
    single: bool
    cast: tuple[str, ...] = ()

    @classmethod
    def of(cls, function: Callable[[Any], Tensor], w: Tensor | Mapping[str, Tensor]) -> Point:
        """The point ``w``, checked: floating point, finite, not empty, and ``function`` gives one finite number there.

        Raises:
            BadProblem: One of these does not hold.
        """
        single = not isinstance(w, Mapping)
        leaves = dict(w) if isinstance(w, Mapping) else {SINGLE: w}
        for name, leaf in leaves.items():
            _refuse_unfit(name, leaf)
        layout = Layout.of(leaves)
        if layout.size == 0:
            raise BadProblem("w holds no number; give at least one parameter.")
        cast = tuple(f"{n} is {_type(leaf)}" for n, leaf in leaves.items() if leaf.dtype != torch.float64)
        row = layout.pack({name: leaf.detach().double() for name, leaf in leaves.items()}).clone()
        point = cls(function, layout, row, single, cast)
        first, drawn = point._value(), torch.get_rng_state()
        second = point._value()
        # two draws can agree by chance; a function that fixes its seed leaves torch's state where it left it before
        if first != second or not torch.equal(drawn, torch.get_rng_state()):
            raise BadProblem(
                f"f gives {first:g} and then {second:g} at the same w: it draws random numbers or keeps a state; "
                "fix its seed inside, or switch dropout off with net.eval()."
            )
        return point

    @property
    def size(self) -> int:
        """P: how many numbers w holds."""
        return self.layout.size

    def f(self, row: Tensor) -> Tensor:
        """The function of a row [P]."""
        return self.function(self.shaped(row))

    def shaped(self, row: Tensor) -> Any:
        """A row [P] as the caller's own: a tensor, or tensors by name."""
        leaves = self.layout.unpack(row)
        return leaves[SINGLE] if self.single else leaves

    def entry(self, i: int) -> str:
        """Name of the number at place ``i`` of the row.

        Example:
            >>> point = Point.of(lambda w: w["a"].sum() + w["b"], {"a": torch.ones(2, 2), "b": torch.tensor(1.0)})
            >>> point.entry(1), point.entry(4)
            ('a[0, 1]', 'b')
        """
        for name, shape, size in zip(self.layout.names, self.layout.shapes, self.layout.sizes, strict=True):
            if i < size:
                places = ", ".join(str(k) for k in np.unravel_index(i, shape)) if shape else ""
                return f"{name}[{places}]" if places else name
            i -= size
        raise IndexError(i)

    def value_and_gradient(self) -> tuple[float, Tensor]:
        """f(w), and autograd's gradient as a row [P]; entries that the graph does not reach are zero.

        Raises:
            BadProblem: The result has no graph that leads to w, or the backward pass fails.
        """
        row = self.row.clone().requires_grad_(True)
        try:
            result = self.f(row)
        except Exception as error:
            raise BadProblem(f"f fails at w as soon as w has a graph: {_first_line(error)}") from error
        cut = "look for detach(), item(), numpy(), torch.tensor() or no_grad() in f."
        if not result.requires_grad:
            raise BadProblem(f"f does not depend on w through autograd: its result has no graph; {cut}")
        try:
            (found,) = torch.autograd.grad(result, row, torch.ones_like(result), allow_unused=True)
        except RuntimeError as error:
            raise BadProblem(f"The backward pass of f fails at w: {_first_line(error)}") from error
        if found is None:
            raise BadProblem(f"f does not depend on w through autograd: its graph does not lead to w; {cut}")
        return float(result.detach()), found.detach().cpu()

    def formula(self, gradient: Callable[[Any], Any]) -> Tensor:
        """The caller's formula at w as a row [P].

        Raises:
            BadProblem: It is no function, fails, or gives another shape than that of w.
        """
        if not callable(gradient):
            raise BadProblem(
                f"gradient is {_described(gradient)}; give a function of w, such as lambda w: X.T @ (X @ w - y)."
            )
        try:
            found = gradient(self.shaped(self.row.clone()))
        except Exception as error:
            raise BadProblem(f"gradient fails at w: {type(error).__name__}: {_first_line(error)}") from error
        leaves = {SINGLE: found} if self.single else found
        if not isinstance(leaves, Mapping) or set(leaves) != set(self.layout.names):
            names = ", ".join(self.layout.names)
            raise BadProblem(f"gradient gives {_described(found)}; it must give a tensor for each of {names}.")
        for name, shape in zip(self.layout.names, self.layout.shapes, strict=True):
            leaf = leaves[name]
            if not isinstance(leaf, Tensor) or tuple(leaf.shape) != shape:
                raise BadProblem(
                    f"gradient gives {_described(leaf)} for {name}, which has shape {shape}; give that shape."
                )
        return self.layout.pack({name: leaves[name].detach().double() for name in self.layout.names}).cpu()

    def _value(self) -> float:
        try:
            result = self.f(self.row.clone())
        except Exception as error:
            hint = ""
            if "dtype" in str(error) or "same data type" in str(error):
                hint = "; the check is made in float64, so make the data that f uses float64 too, x.double()."
            raise BadProblem(f"f fails at w: {type(error).__name__}: {_first_line(error)}{hint}") from error
        if not isinstance(result, Tensor) or result.numel() != 1 or not result.dtype.is_floating_point:
            raise BadProblem(f"f gives {_described(result)}; it must give a tensor that holds one real number.")
        value = float(result.detach())
        if not math.isfinite(value):
            raise BadProblem(f"f is {value} at w; a gradient is checked where f is finite, so choose another w.")
        return value


def _refuse_unfit(name: str, leaf: Any) -> None:
    if not isinstance(leaf, Tensor):
        raise BadProblem(f"{name} is {_described(leaf)}; give a tensor, or a dictionary of named tensors.")
    if not leaf.dtype.is_floating_point:
        raise BadProblem(
            f"{name} is {_type(leaf)}; a derivative needs real numbers, so give a floating point tensor such as "
            f"{name}.double()."
        )
    if not all_finite(leaf):
        raise BadProblem(f"{name} holds {float(leaf[~torch.isfinite(leaf)][0])}; give a finite point.")


def _described(thing: Any) -> str:
    if isinstance(thing, Tensor):
        return f"a {_type(thing)} tensor of shape {tuple(thing.shape)}"
    return f"{type(thing).__name__} (not a tensor)"


def _type(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
