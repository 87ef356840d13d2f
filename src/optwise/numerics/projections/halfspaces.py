"""Sets cut out by one linear function: halfspaces and hyperplanes."""

from __future__ import annotations

import torch
from torch import Tensor

from optwise.numerics.projections.instances import Numbers, each_point, first, lifted, rounding


def project_halfspace(v: Tensor, a: Tensor, *, b: Numbers) -> Tensor:
    r"""Nearest point of a halfspace.

    .. math:: \operatorname*{argmin}_{\langle a, x \rangle \le b} \tfrac12 |x - v|^2
        = v - \frac{\max(\langle a, v \rangle - b, 0)}{|a|^2} a

    Args:
        v: Points [..., p].
        a: Normal, for all points [p] or each [..., p].
        b: Offset, for all points or each [...].

    Raises:
        ValueError: The set is empty, since a is 0 and b negative, or a or b is not finite.

    Example:
        >>> project_halfspace(torch.tensor([[2.0, 2.0], [0.0, -5.0]]), torch.tensor([1.0, 1.0]), b=2.0)
        tensor([[ 1.,  1.],
                [ 0., -5.]])

    References:
        Parikh and Boyd (2014), Proximal Algorithms, section 6.2.
    """
    normal, offset = plane(a, b, like=v)
    _refuse_empty(normal, offset < 0, offset, "at most")
    point = lifted(v)
    outside = (normal * point).sum(-1, keepdim=True) > offset
    return torch.where(outside, _onto_plane(point, normal, offset), point).to(v.dtype)


def support_halfspace(u: Tensor, a: Tensor, *, b: Numbers) -> Tensor:
    r"""Support function of a halfspace: finite only along its normal.

    .. math:: \sup_{\langle a, x \rangle \le b} \langle u, x \rangle = t b \text{ where } u = t a, t \ge 0, \quad
        \infty \text{ elsewhere}

    Args:
        u: Directions [..., p]; parallel to a means up to the rounding of u.
        a: Normal, for all directions [p] or each [..., p].
        b: Offset, for all directions or each [...].

    Returns:
        One number for each direction [...].

    Raises:
        ValueError: The set is empty, since a is 0 and b negative, or a or b is not finite.

    Example:
        >>> support_halfspace(torch.tensor([[3.0, 3.0], [-3.0, -3.0], [3.0, 0.0]]), torch.tensor([1.0, 1.0]), b=2.0)
        tensor([6., inf, inf])

    References:
        Rockafellar (1970), Convex Analysis, section 13.
    """
    normal, offset = plane(a, b, like=u)
    _refuse_empty(normal, offset < 0, offset, "at most")
    multiple, parallel = _along(u, normal)
    return torch.where(parallel & (multiple >= 0), multiple * offset, torch.inf).squeeze(-1).to(u.dtype)


def project_hyperplane(v: Tensor, a: Tensor, *, b: Numbers) -> Tensor:
    r"""Nearest point of a hyperplane.

    .. math:: \operatorname*{argmin}_{\langle a, x \rangle = b} \tfrac12 |x - v|^2
        = v - \frac{\langle a, v \rangle - b}{|a|^2} a

    Args:
        v: Points [..., p].
        a: Normal, for all points [p] or each [..., p].
        b: Offset, for all points or each [...].

    Raises:
        ValueError: The set is empty, since a is 0 and b is not, or a or b is not finite.

    Example:
        >>> project_hyperplane(torch.tensor([2.0, 2.0]), torch.tensor([1.0, 1.0]), b=2.0)
        tensor([1., 1.])

    References:
        Parikh and Boyd (2014), Proximal Algorithms, section 6.2.
    """
    normal, offset = plane(a, b, like=v)
    _refuse_empty(normal, offset != 0, offset, "equal to")
    return _onto_plane(lifted(v), normal, offset).to(v.dtype)


def support_hyperplane(u: Tensor, a: Tensor, *, b: Numbers) -> Tensor:
    r"""Support function of a hyperplane: finite only along its normal.

    .. math:: \sup_{\langle a, x \rangle = b} \langle u, x \rangle = t b \text{ where } u = t a, \quad
        \infty \text{ elsewhere}

    Args:
        u: Directions [..., p]; parallel to a means up to the rounding of u.
        a: Normal, for all directions [p] or each [..., p].
        b: Offset, for all directions or each [...].

    Returns:
        One number for each direction [...].

    Raises:
        ValueError: The set is empty, since a is 0 and b is not, or a or b is not finite.

    Example:
        >>> support_hyperplane(torch.tensor([[-3.0, -3.0], [3.0, 0.0]]), torch.tensor([1.0, 1.0]), b=2.0)
        tensor([-6., inf])

    References:
        Rockafellar (1970), Convex Analysis, section 13.
    """
    normal, offset = plane(a, b, like=u)
    _refuse_empty(normal, offset != 0, offset, "equal to")
    multiple, parallel = _along(u, normal)
    return torch.where(parallel, multiple * offset, torch.inf).squeeze(-1).to(u.dtype)


def plane(a: Tensor, b: Numbers, *, like: Tensor) -> tuple[Tensor, Tensor]:
    """The same plane with a normal whose largest entry is 1, so that its squared length stays within range.

    Raises:
        ValueError: An entry of ``a`` or ``b`` is not finite.

    Example:
        >>> plane(torch.tensor([4.0, 2.0]), 6.0, like=torch.zeros(2, dtype=torch.float64))
        (tensor([1.0000, 0.5000], dtype=torch.float64), tensor([1.5000], dtype=torch.float64))
    """
    normal, offset = lifted(a).to(like.device), each_point(b, like)
    for name, entries in (("a", normal), ("b", offset)):
        wrong = ~torch.isfinite(entries)
        if bool(wrong.any()):
            raise ValueError(f"{name} of <a, x> and b holds {first(entries, wrong)}; give finite numbers.")
    largest = normal.abs().amax(-1, keepdim=True)
    scale = torch.where(largest > 0, largest, 1.0)
    return normal / scale, offset / scale


def _refuse_empty(normal: Tensor, unmet: Tensor, offset: Tensor, relation: str) -> None:
    empty = (normal == 0).all(-1, keepdim=True) & unmet
    if bool(empty.any()):
        raise ValueError(
            f"The set is empty: a is 0, and <0, x> is never {relation} {first(offset, empty)}; give another a or b."
        )


def _onto_plane(point: Tensor, normal: Tensor, offset: Tensor) -> Tensor:
    for _ in range(2):  # the second pass takes back what rounding left of a far point
        point = point - _multiple(point, normal, offset) * normal
    return point


def _multiple(point: Tensor, normal: Tensor, offset: Tensor | float) -> Tensor:
    square = normal.square().sum(-1, keepdim=True)
    return ((normal * point).sum(-1, keepdim=True) - offset) / torch.where(square > 0, square, 1.0)  # [..., 1]


def _along(u: Tensor, normal: Tensor) -> tuple[Tensor, Tensor]:
    """The t with the smallest ``|u - t a|`` [..., 1], and whether nothing but rounding is left."""
    direction = lifted(u)
    multiple = _multiple(direction, normal, 0.0)
    left = torch.linalg.vector_norm(direction - multiple * normal, dim=-1, keepdim=True)
    whole = torch.linalg.vector_norm(direction, dim=-1, keepdim=True)
    return multiple, left <= rounding(u) * whole
