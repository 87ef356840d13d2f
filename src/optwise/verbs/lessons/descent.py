"""Gradient descent iterate by iterate: the points its figures are drawn from."""

from __future__ import annotations

from itertools import islice

import torch
from torch import Tensor

from optwise.core.composite import Composite
from optwise.core.smooth import Smooth
from optwise.engine.loop import OneThread
from optwise.methods.solvers.gradient_descent import GradientDescent


def descent(smooth: Smooth, w: Tensor, *, lr: float, steps: int) -> Tensor:
    """The points of gradient descent with a fixed step on a function that falls at every step.

    Where a step no longer changes the point, it is repeated to the end.

    Args:
        smooth: What is minimised.
        w: Where it starts [p].
        lr: Step, below 2/L: the solver hands out its best point, which is then its last one.
        steps: K.

    Returns:
        The points, the start included [K + 1, p].

    Example:
        >>> from optwise.problems.terms.functions import QuadraticTerm
        >>> bowl = QuadraticTerm(torch.eye(1), torch.zeros(1))
        >>> descent(bowl, torch.tensor([4.0]), lr=0.5, steps=3)[:, 0]
        tensor([4.0000, 2.0000, 1.0000, 0.5000])
    """
    with OneThread():
        found = [w, *(each.w for each in islice(GradientDescent(lr=lr).solve(Composite(smooth), w), steps))]
    return torch.stack(found + found[-1:] * (steps + 1 - len(found)))
