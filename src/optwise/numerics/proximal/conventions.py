r"""What every map of this folder agrees on: the scale, how a step broadcasts, what lies outside a domain.

.. math:: \operatorname{prox}_{s g}(v) = \operatorname*{argmin}_x \; s \, g(x) + \tfrac12 \|x - v\|^2,
          \qquad g^*(u) = \sup_x \; \langle u, x \rangle - g(x)

``NAME(x)`` is g, ``prox_NAME(v, step)`` its proximal map with the step s, ``conjugate_NAME(u)`` the conjugate of g
itself, without the step. At ``x = prox_NAME(v, s)`` the point ``u = (v - x) / s`` is a subgradient, so that
``NAME(x) + conjugate_NAME(u)`` is ``<x, u>``: that is how a duality gap is read off.

Separable functions act on entries. Their values and conjugates are one number per entry, to be summed by the caller;
their weights and targets broadcast against the point. ``prox_NAME_derivative(v, step)`` is the diagonal of an element
of Clarke's Jacobian of the map, between 0 and 1. Other functions act on the last dimension (matrices: on the last
two); the dimensions before it are independent instances, and values have their shape.

Outside its domain a conjugate is infinite, and the test is exact: ``<=`` on the numbers as they are. A dual point that
was scaled onto the boundary may be left just outside by rounding: scale it a little further, or pass ``slack``, which
makes the bounds of the domain larger, relative to themselves.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def positive_step(step: Tensor | float, v: Tensor, *, dimensions: int = 1) -> Tensor:
    """``step`` as it multiplies ``v``: in its dtype, one number for all instances or one for each.

    Entries with steps of their own are instances of one entry: ``prox_l1(v[..., None], steps)[..., 0]``.

    Args:
        step: A number above 0, or a tensor of them that broadcasts against the leading dimensions of ``v``. The values
            of a tensor are not looked at: that would halt a device, and fail under ``torch.func.vmap``.
        v: Point.
        dimensions: How many of the last dimensions of ``v`` make one instance.

    Raises:
        ValueError: The step is not above 0, or has a shape that does not fit the instances.

    Example:
        >>> positive_step(torch.tensor([0.5, 2.0]), torch.ones(2, 3)) * torch.ones(2, 3)
        tensor([[0.5000, 0.5000, 0.5000],
                [2.0000, 2.0000, 2.0000]])
    """
    if not isinstance(step, Tensor) and not 0 < step < math.inf:
        raise ValueError(
            f"The step of a proximal map is {step}; it must be above 0 and finite. Pass a smaller lr, not 0."
        )
    return per_instance(step, v, dimensions=dimensions, name="step")


def per_instance(value: Tensor | float, v: Tensor, *, dimensions: int = 1, name: str = "weight") -> Tensor:
    """``value``, one number for all instances or one for each, as it multiplies the instances in ``v``.

    Args:
        value: A number, or a tensor that broadcasts against the leading dimensions of ``v``.
        v: Point.
        dimensions: How many of the last dimensions of ``v`` make one instance.
        name: What the caller calls the value.

    Raises:
        ValueError: The value has a shape that does not fit the instances.

    Example:
        >>> per_instance(torch.tensor([1.0, 2.0]), torch.ones(2, 3)).shape
        torch.Size([2, 1])
    """
    tensor = entrywise(value, v)
    if tensor.ndim == 0:
        return tensor
    leading = v.shape[: max(v.ndim - dimensions, 0)]
    fits = tensor.ndim <= len(leading) and all(
        own in (1, there) for own, there in zip(reversed(tensor.shape), reversed(leading), strict=False)
    )
    if not fits:
        raise ValueError(
            f"{name} has shape {tuple(tensor.shape)}, and the point of shape {tuple(v.shape)} holds instances of shape "
            f"{tuple(v.shape[len(leading) :])}: pass a number, or a tensor that broadcasts against {tuple(leading)}."
        )
    return tensor.reshape(*tensor.shape, *([1] * dimensions))


def entrywise(value: Tensor | float, v: Tensor) -> Tensor:
    """``value`` as a tensor of the dtype and on the device of ``v``, so that float32 points stay float32.

    Example:
        >>> entrywise(0.5, torch.ones(2, dtype=torch.float32)).dtype
        torch.float32
    """
    return torch.as_tensor(value, dtype=v.dtype, device=v.device)


def indicator(inside: Tensor, like: Tensor) -> Tensor:
    """0 inside a set and infinity outside, in the dtype of ``like``.

    Example:
        >>> indicator(torch.tensor([True, False]), torch.ones(2))
        tensor([0., inf])
    """
    return torch.where(inside, 0.0, math.inf).to(like.dtype)


def quotient(u: Tensor, weight: Tensor) -> Tensor:
    """``u / weight`` with 0 / 0 = 0: a term of weight 0 has a conjugate that is 0 at 0 and infinite elsewhere.

    Example:
        >>> quotient(torch.tensor([0.0, 1.0, 1.0]), torch.tensor([0.0, 0.0, 2.0]))
        tensor([0.0000,    inf, 0.5000])
    """
    return torch.where(u == 0, torch.zeros_like(u), u / weight)
