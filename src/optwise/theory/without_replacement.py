r"""Batches of a finite data set in shuffled epochs: noise that is dependent within an epoch and cancels at its end.

Batches of sizes B and B' out of n examples of population variance c have

.. math:: \operatorname{Var} = \frac{c}{n-1} \Bigl( \frac nB - 1 \Bigr), \qquad
    \operatorname{Cov} = -\frac{c}{n-1},

so that the noise of an epoch is an independent part minus the square of its summed response.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from optwise.theory.matrices import Floats, applied, congruence, form, inner, outer
from optwise.theory.moments import Nodes, part
from optwise.theory.steps import Step


def epoch_sizes(examples: int, batch: int, *, drop_last: bool = False) -> list[int]:
    """Sizes of the batches of an epoch, the last one perhaps short.

    Example:
        >>> epoch_sizes(10, 4), epoch_sizes(10, 4, drop_last=True)
        ([4, 4, 2], [4, 4])
    """
    return [min(batch, examples - first) for first in range(0, examples - (batch - 1 if drop_last else 0), batch)]


def batches_of_epochs(examples: int, asked: Iterable[int], *, drop_last: bool = False) -> Iterator[tuple[int, bool]]:
    """The size of each batch, and whether an epoch begins with it, where sizes change from step to step.

    Args:
        examples: n.
        asked: Size of each batch, where as many examples are left.
        drop_last: Whether what is left is thrown away where it does not make a batch.

    Example:
        >>> list(batches_of_epochs(10, [4, 4, 4, 6, 4]))
        [(4, True), (4, False), (2, False), (6, True), (4, False)]
    """
    left = 0
    for size in asked:
        begins = left < size if drop_last else left == 0
        left = examples if begins else left
        drawn = min(size, left)
        left -= drawn
        yield drawn, begins


def epoch_noise(
    steps: Iterable[Step],
    nodes: Nodes,
    start: Floats,
    examples: int,
    batches: Iterable[int],
    *,
    drop_last: bool = False,
) -> Iterator[Floats]:
    """After every step, the variance that batches add [T, Nn] for a population of variance 1.

    Args:
        steps: The rule's steps.
        nodes: Curvatures.
        start: What a unit start makes of the state [m, T, N].
        examples: n.
        batches: B of each step.
        drop_last: Whether a short last batch is left out.
    """
    P: Floats | None = None
    for step, (size, begins) in zip(steps, batches_of_epochs(examples, batches, drop_last=drop_last), strict=False):
        _, noisy = part(step, nodes, start)
        A = noisy.transition(nodes.noise.h)
        v = np.broadcast_to(noisy.v, A.shape[1:])
        if P is None:
            P, summed = np.zeros_like(A), np.zeros(A.shape[1:])
        elif begins:
            P, summed = P - outer(summed, summed), np.zeros_like(summed)
        if examples > 1:
            P = congruence(A, P) + outer(v, v) * (examples / ((examples - 1) * size))
            summed = applied(A, summed) + v / np.sqrt(examples - 1)
        # what cancels exactly may be left below 0 by rounding
        yield np.maximum(form(P, noisy.u) - inner(np.broadcast_to(noisy.u, summed.shape), summed) ** 2, 0.0)
