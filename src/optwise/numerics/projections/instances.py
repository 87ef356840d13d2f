"""How numbers meet many points at once: float64 inside, one number per point or per coordinate, refusals in words."""

from __future__ import annotations

import torch
from torch import Tensor

Numbers = Tensor | float
"""A plain number, or a tensor with a number for each of many points or coordinates.

It is checked on the host, so ``vmap`` cannot map over it: give it the leading dimensions of the points instead.
"""


def lifted(v: Tensor) -> Tensor:
    """``v`` in float64, in which every set here computes: a float32 answer is then right to its last digit or so.

    Raises:
        ValueError: ``v`` is not of a floating dtype, in which a nearest point could not be returned.

    Example:
        >>> lifted(torch.tensor([0.5], dtype=torch.float16))
        tensor([0.5000], dtype=torch.float64)
    """
    _refuse_whole_numbers(v)
    return v.double()


def finite_matrices(v: Tensor) -> tuple[Tensor, Tensor]:
    """Matrices in float64 with zeros for those that hold NaN or infinity, and which ones are whole [..., 1].

    A decomposition raises over a single bad entry, and one diverged trial must not stop the trials beside it.

    Example:
        >>> matrices, whole = finite_matrices(torch.tensor([[[torch.nan, 1.0]], [[2.0, 3.0]]]))
        >>> matrices.tolist(), whole.tolist()
        ([[[0.0, 0.0]], [[2.0, 3.0]]], [[False], [True]])
    """
    matrices = lifted(v)
    whole = torch.isfinite(matrices).all(-1).all(-1, keepdim=True)
    return torch.where(whole.unsqueeze(-1), matrices, 0.0), whole


def numbers(value: Numbers, like: Tensor) -> Tensor:
    """``value`` in float64 on the device of ``like``.

    Example:
        >>> numbers(2, like=torch.zeros(3))
        tensor(2., dtype=torch.float64)
    """
    return torch.as_tensor(value, dtype=torch.float64, device=like.device)


def each_point(value: Numbers, like: Tensor) -> Tensor:
    """One number for each point, with a last dimension that stretches over coordinates: ``[..., 1]``.

    Example:
        >>> each_point(torch.tensor([1.0, 2.0]), like=torch.zeros(2, 3)).shape
        torch.Size([2, 1])
    """
    number = numbers(value, like)
    return number.unsqueeze(-1) if number.dim() else number


def size(value: Numbers, name: str, *, like: Tensor) -> Tensor:
    """A radius or a total for each point ``[..., 1]``.

    Raises:
        ValueError: It is negative, so that the set is empty, or it is not finite.

    Example:
        >>> size(-1, "radius", like=torch.zeros(3))
        Traceback (most recent call last):
        ValueError: radius is -1, which leaves no set to project onto; give a finite number of at least 0.
    """
    number = each_point(value, like)
    wrong = ~((number >= 0) & torch.isfinite(number))
    if bool(wrong.any()):
        raise ValueError(
            f"{name} is {first(number, wrong)}, which leaves no set to project onto; "
            f"give a finite number of at least 0."
        )
    return number


def first(values: Tensor, where: Tensor) -> str:
    """The first of ``values`` that ``where`` marks, in words of an error.

    Example:
        >>> first(torch.tensor([0.5, 0.25]), torch.tensor([False, True]))
        '0.25'
    """
    values, where = torch.broadcast_tensors(values, where)
    return repr(float(values[where][0])).removesuffix(".0")


def rounding(u: Tensor) -> float:
    """Relative error below which two computed numbers count as equal: ten units in the last place of ``u``.

    A support function is finite on a domain that is often thin, a line or a cone's surface, and no rounded ``u`` would
    lie on it.

    Example:
        >>> rounding(torch.zeros(1, dtype=torch.float64))
        2.220446049250313e-15
    """
    _refuse_whole_numbers(u)
    return 10 * torch.finfo(u.dtype).eps


def extreme(index: Tensor, value: Tensor, like: Tensor) -> Tensor:
    """``value`` at one coordinate of each point, zeros elsewhere.

    Args:
        index: The coordinates [..., 1].
        value: What stands there [..., 1].
        like: Any tensor with the last dimension, dtype and device of the answer.

    Example:
        >>> extreme(torch.tensor([1]), torch.tensor([5.0]), torch.zeros(3))
        tensor([0., 5., 0.])
    """
    index, value = torch.broadcast_tensors(index, value)
    return like.new_zeros((*index.shape[:-1], like.shape[-1])).scatter(-1, index, value)


def _refuse_whole_numbers(v: Tensor) -> None:
    if not v.is_floating_point():
        raise ValueError(
            f"The point is of dtype {v.dtype}, which cannot hold the answer; pass a floating dtype, as with .double()."
        )
