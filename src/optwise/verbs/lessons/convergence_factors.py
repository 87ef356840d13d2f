"""Gradient descent on least squares: how its pace follows from step size and curvatures."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from optwise.problems.formulations.regressions import least_squares
from optwise.report.lessons.convergence import convergence_figure
from optwise.verbs.lessons.descent import descent
from optwise.verbs.lessons.lesson import Lesson

STEPS = 100
WIDE_STEPS = 80
ROWS, COLUMNS, WIDE_COLUMNS = 100, 10, 5000
NOISE = 0.1
KAPPA, LRS = 10.0, (0.1, 0.5, 1.8)
"""Of the panel on step sizes: kappa(X), and steps times lambda_max."""
KAPPAS, LR = (2.0, 10.0, 100.0), 0.5
"""Of the panel on condition numbers: kappa(X), and the step times lambda_max."""
WIDE_LR = 1.8


def convergence_factors() -> Lesson:
    """How fast gradient descent goes on least squares, by step size and condition number (lecture 3)."""
    rows = pd.concat([wide_data(), factor_data()], ignore_index=True)
    return Lesson("convergence-factors", convergence_figure(rows), rows)


def factor_data() -> pd.DataFrame:
    """Ten columns with logarithmically spaced singular values, from w = 1.

    Columns: panel (``step size`` or ``condition``), ``kappa_x`` of X and ``kappa_h`` of the Hessian, ``lr`` times
    lambda_max, step, the relative ``gap`` (f - f*) / (f0 - f*), its closed form ``exact``, its slowest part ``slowest``
    and the factor of that a step, ``factor``.
    """
    cases = [("step size", KAPPA, lr) for lr in LRS] + [("condition", kappa, LR) for kappa in KAPPAS]
    return pd.concat([_block(panel, *designed(kappa), lr) for panel, kappa, lr in cases], ignore_index=True)


def wide_data() -> pd.DataFrame:
    """A normal design of 100 rows and 5,000 columns, from w = 0: 1.8/L against 2/(L + m); columns as above.

    Only the 100 curvatures that are not zero count, since the start lies in the row space.
    """
    generator = torch.Generator().manual_seed(0)
    X = torch.randn(ROWS, WIDE_COLUMNS, generator=generator, dtype=torch.float64)
    y = torch.randn(ROWS, generator=generator, dtype=torch.float64)
    w = torch.zeros(WIDE_COLUMNS, dtype=torch.float64)
    smallest, largest = torch.linalg.eigvalsh(X @ X.T)[[0, -1]].tolist()
    steps = (WIDE_LR, 2 * largest / (largest + smallest))
    return pd.concat([_block("best step", X, y, w, lr, steps=WIDE_STEPS) for lr in steps], ignore_index=True)


def designed(kappa: float) -> tuple[Tensor, Tensor, Tensor]:
    """X = U diag(s) V^T with kappa(X) as asked, its labels with noise 0.1, and the start w = 1."""
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    U, V = torch.linalg.qr(normal(ROWS, COLUMNS))[0], torch.linalg.qr(normal(COLUMNS, COLUMNS))[0]
    s = torch.logspace(0, -math.log10(kappa), COLUMNS, dtype=torch.float64)
    X = U * s @ V.T  # [n, p]
    y = X @ normal(COLUMNS) + NOISE * normal(ROWS)
    return X, y, torch.ones(COLUMNS, dtype=torch.float64)


def _block(panel: str, X: Tensor, y: Tensor, start: Tensor, lr: float, *, steps: int = STEPS) -> pd.DataFrame:
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
