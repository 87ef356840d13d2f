"""A cross-entropy's mean over the labels that are kept, each with the weight of its class."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True, eq=False)
class KeptLabels:
    r"""How much each label counts in the mean of a cross-entropy.

    .. math:: L = \frac{\sum_i s_i}{\sum_i m_i}, \qquad m_i = \sum_{l:\, y_{il} \ne \mathrm{ignored}} c_{y_{il}}

    with the sum :math:`s_i` of the weighted losses of example i, as torch has it for ``reduction="mean"``.

    Args:
        weight: :math:`c` [C], or ``None`` for ones.
        ignore_index: The label that does not count.
        positions: Dimensions of one example's labels: 0 for a class, 1 for a sequence, 2 for an image.

    Example:
        >>> KeptLabels(None, -100, 1).mass(torch.tensor([[0, 1, -100], [1, -100, -100]]))
        tensor([2., 1.])
    """

    weight: Tensor | None
    ignore_index: int
    positions: int

    def mass(self, y: Tensor) -> Tensor:
        """What the labels [..., B, *positions] of each example count together [..., B]."""
        return self._summed(self._counts(y))

    def kept(self, y: Tensor) -> Tensor:
        """How many labels of each example count at all [..., B]."""
        return self._summed((y != self.ignore_index).to(torch.get_default_dtype()))

    def frequencies(self, y: Tensor, classes: int) -> Tensor:
        """Share of each class [C] in the labels that count."""
        counts = torch.zeros(classes, dtype=torch.float64)
        mine = y != self.ignore_index
        return counts.index_add(0, y[mine], self._counts(y)[mine].double()) / float(self._counts(y).sum())

    def _counts(self, y: Tensor) -> Tensor:
        mine = y != self.ignore_index
        if self.weight is None:
            return mine.to(torch.get_default_dtype())
        weight = self.weight.to(y.device)
        return torch.where(mine, weight[y.clamp(0, weight.numel() - 1)], torch.zeros((), dtype=weight.dtype))

    def _summed(self, counts: Tensor) -> Tensor:
        return counts.flatten(counts.ndim - self.positions).sum(-1) if self.positions else counts


def kept_labels(loss: Any, labels: Iterable[Tensor]) -> KeptLabels | None:
    """How labels count under ``loss``, where that is a cross-entropy in which not all count the same; else ``None``.

    Args:
        loss: ``nn.CrossEntropyLoss``, ``nn.NLLLoss``, their functions, or ``functools.partial`` of these.
        labels: Of every split.
    """
    settings = cross_entropy_settings(loss)
    given = list(labels)
    if settings is None or settings.get("reduction", "mean") != "mean" or any(y.is_floating_point() for y in given):
        return None
    weight, ignored = settings.get("weight"), settings.get("ignore_index", -100)
    if weight is None and not any(bool((y == ignored).any()) for y in given):
        return None
    return KeptLabels(None if weight is None else weight.detach().cpu().clone(), ignored, given[0].ndim - 1)


def cross_entropy_settings(loss: Any) -> Mapping[str, Any] | None:
    """``weight``, ``ignore_index``, ``reduction`` and ``label_smoothing`` of a cross-entropy; ``None`` of others."""
    if isinstance(loss, nn.CrossEntropyLoss | nn.NLLLoss):
        names = ("weight", "ignore_index", "reduction", "label_smoothing")
        return {name: getattr(loss, name) for name in names if hasattr(loss, name)}
    function: Callable[..., Any] = loss
    settings: dict[str, Any] = {}
    if isinstance(loss, functools.partial) and not loss.args:
        function, settings = loss.func, dict(loss.keywords)
    return settings if function in (F.cross_entropy, F.nll_loss) else None
