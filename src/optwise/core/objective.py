"""The smooth part of a problem, one loss per example."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor

from optwise.core.layout import Leaves
from optwise.core.oracles import Oracle
from optwise.core.showing import Terse


class Objective(Terse, ABC):
    """The smooth part: one loss per example.

    ``losses`` is what gradients are made of (modules in training mode); ``measure`` is what is reported (evaluation
    mode). ``buffers`` are a module's own running statistics: they go in and come out.

    What is minimised, and reported, is the mean over examples: the sum of their values over the sum of their
    :meth:`masses`, which are 1 unless the labels say otherwise.
    """

    oracles: ClassVar[frozenset[Oracle]] = frozenset({Oracle.VALUE, Oracle.GRADIENT, Oracle.PER_EXAMPLE})

    @abstractmethod
    def losses(self, w: Leaves, buffers: Leaves, x: Tensor | None, y: Tensor | None) -> tuple[Tensor, Leaves]:
        """Loss of each example [B], and the buffers afterwards."""

    @abstractmethod
    def measure(self, w: Leaves, buffers: Leaves, x: Tensor | None, y: Tensor | None) -> dict[str, Tensor]:
        """Every metric for each example [N], by name."""

    def masses(self, y: Tensor | None) -> Mapping[str, Tensor]:
        """How much each example [..., B] with labels ``y`` [..., B, ...] counts in the mean of a metric, by name.

        A metric that is not named counts every example once. Where examples have several labels of which some are to
        be ignored, an example's value is a sum over its labels, and its mass their number.
        """
        return {}

    def fresh(self, seed: int) -> Objective:
        """The objective for one trial that is run alone: whatever it keeps between two passes starts anew.

        Itself where it keeps nothing.
        """
        return self

    @property
    def smallest_batch(self) -> int:
        """Fewest examples of a training batch that it can take: 2 under batch normalisation."""
        return 1

    @property
    def coupled(self) -> bool:
        """Whether the examples of a training batch see each other (BatchNorm), so that none may be padding."""
        return False

    @property
    def unbatchable(self) -> str:
        """Why trials cannot share a pass, as far as the objective knows; empty where it knows of no reason."""
        return ""
