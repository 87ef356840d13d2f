"""How far a dual point may go before a conjugate becomes infinite, and the weights that say so."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from optwise.core.errors import BadProblem
from optwise.numerics.finiteness import all_finite
from optwise.problems.terms.arguments import keep_vector


def largest_scale(conjugate: Callable[[Tensor], Tensor], u: Tensor, bounds: Tensor, sizes: Tensor) -> float:
    """The largest t in [0, 1] with ``t sizes <= bounds``, made smaller by rounding until ``conjugate(t u)`` is finite.

    Args:
        conjugate: Finite at 0.
        u: Dual point.
        bounds: At least 0.
        sizes: Of ``u``, in whatever sense the bounds are meant; they grow in proportion to it.

    Example:
        >>> u = torch.tensor([4.0, -1.0])
        >>> largest_scale(lambda u: torch.where(u.abs().max() <= 1, 0.0, torch.inf), u, torch.tensor(1.0), u.abs())
        0.25
    """
    if bool(torch.isnan(sizes).any()):
        return 0.0  # nothing but the origin is known to be inside
    ratios = torch.where(sizes <= bounds, 1.0, bounds / sizes)
    largest = float(ratios.min())
    t, margin = largest, torch.finfo(u.dtype).eps
    # what a sum, a root or a singular value rounds is seldom more than a few units, and never found out beforehand
    while not all_finite(conjugate(t * u)):
        t, margin = largest * max(0.0, 1 - margin), 4 * margin
    return t


def keep_weights(part: Any, field: str, name: str) -> None:
    """Put a field in place as one finite number of at least 0 for each entry."""
    weights = keep_vector(part, field, name)
    wrong = ~((weights >= 0) & (weights < torch.inf))
    if bool(wrong.any()):
        at = int(wrong.nonzero()[0])
        raise BadProblem(
            f"{name} holds {float(weights[at]):g} at entry {at}; a penalty needs finite numbers of at least 0."
        )
