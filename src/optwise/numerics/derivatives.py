"""Derivatives by autograd, probed as linear maps: along a direction, against a covector, and whole Jacobians."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator
from functools import cache

import torch
from torch import Tensor

Function = Callable[[Tensor], Tensor]


def jvp(f: Function, w: Tensor, v: Tensor) -> Tensor:
    r"""Derivative of ``f`` at ``w`` along ``v``: the Jacobian times a vector, without the Jacobian.

    .. math:: f'(w)[v] = \lim_{t \to 0} \frac{f(w + t v) - f(w)}{t}

    Forward mode where every operation has one. Elsewhere (an ``autograd.Function`` without ``jvp``) two reverse
    passes: :math:`u \mapsto J^T u` is linear, and its own transpose is :math:`v \mapsto J v`.

    Args:
        f: From tensors of the shape of ``w`` to tensors of any one shape.
        w: Where, any shape, floating point.
        v: Direction, of the shape of ``w``.

    Returns:
        Of the shape of ``f(w)``.

    Raises:
        ValueError: ``v`` has another shape than ``w``, or ``f`` does not depend on ``w`` through autograd.

    Example:
        >>> W, V = torch.tensor([[1.0, 2.0]]), torch.tensor([[0.0, 1.0]])
        >>> jvp(lambda W: W.T @ W, W, V)
        tensor([[0., 1.],
                [1., 4.]])

    References:
        Pearlmutter (1994), Fast exact multiplication by the Hessian; Griewank and Walther (2008), Evaluating
        Derivatives, chapter 3.
    """
    _same_shape("v", v, "w", w)
    w = w.detach()
    _load_forward_mode()
    try:
        along: Tensor = torch.func.jvp(f, (w,), (v.to(w.dtype),))[1]
    except (RuntimeError, NotImplementedError):
        return _by_two_reverse_passes(f, w, v)
    return along


def vjp(f: Function, w: Tensor, u: Tensor) -> Tensor:
    r"""Transpose of the derivative of ``f`` at ``w``, applied to ``u``: :math:`J^T u`, one reverse pass.

    .. math:: \langle f'(w)^T u, v \rangle = \langle u, f'(w)[v] \rangle \quad \text{for every } v

    For a ``f`` with one number as its result and ``u`` = 1 this is the gradient.

    Args:
        f: From tensors of the shape of ``w`` to tensors of any one shape.
        w: Where, any shape, floating point.
        u: Of the shape of ``f(w)``.

    Returns:
        Of the shape of ``w``; zeros where the result does not depend on ``w`` but on other tensors with a graph.

    Raises:
        ValueError: ``u`` has another shape than ``f(w)``, or ``f`` does not depend on ``w`` through autograd.

    Example:
        >>> X = torch.tensor([[1.0, 2.0], [0.0, 1.0], [1.0, -1.0]])
        >>> vjp(lambda w: X @ w, torch.zeros(2), torch.tensor([1.0, 1.0, 1.0]))
        tensor([2., 2.])

    References:
        Griewank and Walther (2008), Evaluating Derivatives, chapter 3.
    """
    w, result = _with_graph(f, w)
    _same_shape("u", u, "f(w)", result)
    return _transposed(result, w, u.to(result.dtype))


def jacobian_by_columns(f: Function, w: Tensor) -> Tensor:
    r"""The whole Jacobian, one column per entry of ``w``: the derivative along each basis vector.

    .. math:: J_{i, j} = \frac{\partial f_i}{\partial w_j}

    where ``i`` runs over the indices of ``f(w)`` and ``j`` over those of ``w``: the shape is that of the result
    followed by that of the input. ``J.reshape(result.numel(), w.numel())`` is the matrix that acts on entries listed
    row by row, as ``torch.flatten`` lists them; textbooks that stack columns have its rows and columns permuted.

    Args:
        f: From tensors of the shape of ``w`` to tensors of any one shape.
        w: Where, any shape, floating point.

    Returns:
        ``[*f(w).shape, *w.shape]``: for :math:`W \mapsto W^T W` with ``W`` n x m that is [m, m, n, m].

    Example:
        >>> jacobian_by_columns(lambda w: torch.stack([w[0] * w[1], w[0]]), torch.tensor([2.0, 5.0]))
        tensor([[5., 2.],
                [1., 0.]])
    """
    columns = torch.stack([jvp(f, w, basis) for basis in _basis(w)], dim=-1)
    return columns.reshape(columns.shape[:-1] + w.shape)


def jacobian_by_rows(f: Function, w: Tensor) -> Tensor:
    """The whole Jacobian, one row per entry of the result: :func:`vjp` of each basis covector.

    Indices as in :func:`jacobian_by_columns`. Rows are the cheaper way where the result is smaller than the input.

    Example:
        >>> jacobian_by_rows(lambda w: torch.stack([w[0] * w[1], w[0]]), torch.tensor([2.0, 5.0]))
        tensor([[5., 2.],
                [1., 0.]])
    """
    w, result = _with_graph(f, w)
    rows = torch.stack([_transposed(result, w, basis) for basis in _basis(result)])
    return rows.reshape(result.shape + w.shape)


@cache
def _load_forward_mode() -> None:
    """Torch's first use of forward mode compiles rules with a function it has deprecated itself: not f's warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.func.jvp(torch.square, (torch.zeros(()),), (torch.zeros(()),))


def _by_two_reverse_passes(f: Function, w: Tensor, v: Tensor) -> Tensor:
    w, result = _with_graph(f, w)
    u = torch.zeros_like(result).requires_grad_(True)
    (transposed,) = torch.autograd.grad(result, w, u, create_graph=True, materialize_grads=True)
    if not transposed.requires_grad:  # f is constant in w: its derivative is zero
        return torch.zeros_like(result)
    (along,) = torch.autograd.grad(transposed, u, v.to(w.dtype), materialize_grads=True)
    return along.detach()


def _with_graph(f: Function, w: Tensor) -> tuple[Tensor, Tensor]:
    w = w.detach().clone().requires_grad_(True)
    result = f(w)
    if not result.requires_grad:
        raise ValueError(
            "f(w) does not depend on w through autograd; look for detach(), item(), no_grad() or torch.tensor() in f."
        )
    return w, result


def _transposed(result: Tensor, w: Tensor, u: Tensor) -> Tensor:
    (found,) = torch.autograd.grad(result, w, u, retain_graph=True, materialize_grads=True)
    return found


def _basis(like: Tensor) -> Iterator[Tensor]:
    for i in range(math.prod(like.shape)):
        vector = torch.zeros_like(like, requires_grad=False).flatten()
        vector[i] = 1.0
        yield vector.reshape(like.shape)


def _same_shape(name: str, tensor: Tensor, other_name: str, other: Tensor) -> None:
    if tensor.shape != other.shape:
        raise ValueError(
            f"{name} has shape {tuple(tensor.shape)}; it must have that of {other_name}, {tuple(other.shape)}."
        )
