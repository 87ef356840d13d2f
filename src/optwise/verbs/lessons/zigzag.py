"""Paths of gradient descent on two quadratics at two step sizes: why it zigzags, and why that is not the slow part."""

from __future__ import annotations

import math

import pandas as pd
import torch
from torch import Tensor

from optwise.problems.terms.functions import QuadraticTerm
from optwise.report.lessons.zigzag import zigzag_figure
from optwise.verbs.lessons.declared import Zigzag
from optwise.verbs.lessons.descent import descent
from optwise.verbs.lessons.lesson import Lesson

PUBLISHED = Zigzag()


def zigzag(asked: Zigzag = PUBLISHED) -> Lesson:
    """When gradient descent zigzags, and what makes it slow (recap figure 2.6)."""
    rows = zigzag_data(asked)
    return Lesson("zigzag", zigzag_figure(rows), rows, asked)


def zigzag_data(asked: Zigzag = PUBLISHED) -> pd.DataFrame:
    """Gradient descent on 1/2 w^T H w, from (0, 2) unless asked otherwise; the largest curvature is 1.

    Columns: kappa of the Hessian, lr, step, the point ``w1``, ``w2``, its coordinates ``steep`` and ``flat`` along the
    two eigenvectors, and its value over that of the start, ``gap``.
    """
    axes = eigenvectors()
    blocks = []
    for kappa in asked.kappa:
        curvatures = torch.tensor([1.0, 1.0 / kappa], dtype=torch.float64)
        H = axes * curvatures @ axes.T  # [2, 2]
        for lr in asked.lr:
            start = torch.tensor(asked.start, dtype=torch.float64)
            path = descent(QuadraticTerm(H, torch.zeros_like(start)), start, lr=lr, steps=asked.steps)  # [K + 1, 2]
            along = path @ axes  # [K + 1, 2]
            values = along.square() @ curvatures
            block = {
                "kappa": kappa,
                "lr": lr,
                "step": range(asked.steps + 1),
                "w1": path[:, 0].numpy(),
                "w2": path[:, 1].numpy(),
                "steep": along[:, 0].numpy(),
                "flat": along[:, 1].numpy(),
                "gap": (values / values[0]).numpy(),
            }
            blocks.append(pd.DataFrame(block))
    return pd.concat(blocks, ignore_index=True)


def eigenvectors() -> Tensor:
    """The steep and the flat direction, as columns [2, 2]."""
    return torch.tensor([[1.0, -1.0], [1.0, 1.0]], dtype=torch.float64) / math.sqrt(2)
