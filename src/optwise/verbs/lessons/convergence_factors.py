"""Gradient descent on least squares: how its pace follows from step size and curvatures."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from optwise.problems.formulations.regressions import least_squares
from optwise.report.lessons.convergence import convergence_figure
from optwise.verbs.lessons.declared import Convergence
from optwise.verbs.lessons.descent import descent
from optwise.verbs.lessons.lesson import Lesson

WIDE_STEPS = 80
ROWS, COLUMNS, WIDE_COLUMNS = 100, 10, 5000
NOISE = 0.1
PUBLISHED = Convergence()


def convergence_factors(asked: Convergence = PUBLISHED) -> Lesson:
    """How fast gradient descent goes on least squares, by step size and condition number (lecture 3)."""
    rows = pd.concat([wide_data(asked), factor_data(asked)], ignore_index=True)
    return Lesson("convergence-factors", convergence_figure(rows), rows, asked)


def factor_data(asked: Convergence = PUBLISHED) -> pd.DataFrame:
    """Ten columns with logarithmically spaced singular values, from w = 1.

    Columns: panel (``step size`` or ``condition``), ``kappa_x`` of X and ``kappa_h`` of the Hessian, ``lr`` times
    lambda_max, step, the relative ``gap`` (f - f*) / (f0 - f*), its closed form ``exact``, its slowest part ``slowest``
    and the factor of that a step, ``factor``.
    """
    cases = [("step size", asked.kappa, lr) for lr in asked.lrs]
    cases += [("condition", kappa, asked.lr) for kappa in asked.kappas]
    blocks = [_block(panel, *designed(kappa, asked.seed), lr, steps=asked.steps) for panel, kappa, lr in cases]
    return pd.concat(blocks, ignore_index=True)


def wide_data(asked: Convergence = PUBLISHED) -> pd.DataFrame:
    """A normal design of 100 rows and 5,000 columns, from w = 0: a step of 1.8/L against 2/(L + m); columns as above.

    Only the 100 curvatures that are not zero count, since the start lies in the row space. Four fifths of the steps.
    """
    generator = torch.Generator().manual_seed(asked.seed)
    X = torch.randn(ROWS, WIDE_COLUMNS, generator=generator, dtype=torch.float64)
    y = torch.randn(ROWS, generator=generator, dtype=torch.float64)
    w = torch.zeros(WIDE_COLUMNS, dtype=torch.float64)
    smallest, largest = torch.linalg.eigvalsh(X @ X.T)[[0, -1]].tolist()
    steps = (asked.wide_lr, 2 * largest / (largest + smallest))
    # beyond, nothing is left that float64 can hold
    taken = min(4 * asked.steps // 5, WIDE_STEPS)
    return pd.concat([_block("best step", X, y, w, lr, steps=taken) for lr in steps], ignore_index=True)


def designed(kappa: float, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """X = U diag(s) V^T with kappa(X) as asked, its labels with noise 0.1, and the start w = 1."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    U, V = torch.linalg.qr(normal(ROWS, COLUMNS))[0], torch.linalg.qr(normal(COLUMNS, COLUMNS))[0]
    s = torch.logspace(0, -math.log10(kappa), COLUMNS, dtype=torch.float64)
    X = U * s @ V.T  # [n, p]
    y = X @ normal(COLUMNS) + NOISE * normal(ROWS)
    return X, y, torch.ones(COLUMNS, dtype=torch.float64)


def _block(panel: str, X: Tensor, y: Tensor, start: Tensor, lr: float, *, steps: int) -> pd.DataFrame:
    U, s, Vh = torch.linalg.svd(X, full_matrices=False)
    best = start - Vh.T @ (Vh @ start - (U.T @ y) / s)  # the nearest minimiser to the start
    curvatures, part = s.square(), s * (Vh @ (start - best))
    term = least_squares(X, y, reduction="sum").smooth
    assert term is not None  # of every formulation
    path = descent(term, start, lr=lr / float(curvatures[0]), steps=steps)
    # f - f* is exactly this: the residual of the minimiser is orthogonal to the columns
    gaps = ((path - best) @ X.T).square().sum(1)
    shares = (part.square() / part.square().sum()).numpy()
    factors = (1 - lr * curvatures / curvatures[0]).square().numpy()
    k = np.arange(steps + 1)
    slowest = int(factors.argmax())
    return pd.DataFrame(
        {
            "panel": panel,
            "kappa_x": float(s[0] / s[-1]),
            "kappa_h": float(curvatures[0] / curvatures[-1]),
            "lr": lr,
            "step": k,
            "gap": (gaps / gaps[0]).numpy(),
            "exact": (shares * factors ** k[:, None]).sum(1),
            "slowest": shares[slowest] * factors[slowest] ** k,
            "factor": factors[slowest],
        }
    )
