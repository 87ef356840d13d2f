"""Least squares in float32 and float64 by four routes, against the exact answer: digits lost to conditioning."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from optwise.engine.loop import OneThread
from optwise.numerics.factorisations import cholesky_solve_normal, qr_least_squares, svd_least_squares
from optwise.report.lessons.stability import CHOLESKY, LU, QR, SVD, stability_figure
from optwise.verbs.lessons.declared import Digits
from optwise.verbs.lessons.exact_least_squares import exact_least_squares
from optwise.verbs.lessons.lesson import Lesson

KAPPAS: Mapping[torch.dtype, Sequence[float]] = {
    torch.float32: tuple(np.logspace(1, 7, 13)),
    torch.float64: tuple(np.logspace(1, 14, 14)),
}
HOUSES = 10_000
PUBLISHED = Digits()

Route = Callable[[Tensor, Tensor], tuple[Tensor, bool]]


def qr_against_normal_equations(asked: Digits = PUBLISHED) -> Lesson:
    """What the normal equations cost in digits, in float32 and in float64 (lecture 2)."""
    rows = pd.concat([sweep_data(asked), house_data()], ignore_index=True)
    about = {"rows": asked.rows, "columns": asked.columns, "seeds": asked.seeds}
    figure = stability_figure(rows, design=about, quoted=asked.kappa)
    return Lesson("qr-against-normal-equations", figure, rows, asked)


def sweep_data(asked: Digits = PUBLISHED) -> pd.DataFrame:
    """Designs of 200 rows and 10 columns whose singular values are logarithmically spaced; y = X w, rounded.

    Columns: data (``sweep``), dtype, ``asked`` and true ``kappa`` of X after rounding, seed, method, ``error``, the
    relative error |w - w*| / |w*| against the exact solution, missing where the method ``broke`` down, and ``eps``.
    """
    blocks, p = [], asked.columns
    for dtype, kappas in KAPPAS.items():
        for seed in range(asked.seed, asked.seed + asked.seeds):
            generator = torch.Generator().manual_seed(seed)
            U, V = (torch.linalg.qr(_normal(n, p, generator=generator))[0] for n in (asked.rows, p))
            w = _normal(p, generator=generator)
            for kappa in kappas:
                s = torch.logspace(0, -float(np.log10(kappa)), p, dtype=torch.float64)
                X = (U * s @ V.T).to(dtype)  # [n, p]
                y = (X.double() @ w).to(dtype)
                blocks.append(errors(X, y).assign(data="sweep", asked=kappa, seed=seed))
    return pd.concat(blocks, ignore_index=True)


def house_data() -> pd.DataFrame:
    """The 10,000 houses of lecture 2, whose fourth column nearly repeats the area; columns as above, and ``area``.

    ``area`` is the weight of the first column, the price of a square foot.
    """
    X, y = houses()
    blocks = [errors(X.to(dtype), y.to(dtype)).assign(data="houses") for dtype in KAPPAS]
    return pd.concat(blocks, ignore_index=True)


def houses() -> tuple[Tensor, Tensor]:
    """Area, age, bedrooms and the area again with noise, and prices, as the lecture draws them: in float32, seed 42."""
    generator = torch.Generator().manual_seed(42)

    def uniform(width: float) -> Tensor:
        return width * torch.rand(HOUSES, generator=generator)

    def normal(width: float) -> Tensor:
        return width * torch.randn(HOUSES, generator=generator)

    area, age = uniform(2000.0) + 1000.0, uniform(30.0)
    bedrooms = (area / 1000.0 + normal(0.5)).clamp(1.0, 5.0)
    X = torch.stack([area, age, bedrooms], dim=1)
    y = X @ torch.tensor([200.0, -1000.0, 50_000.0]) + normal(100.0)
    return torch.cat([X, (area + normal(10.0))[:, None]], dim=1), y


def errors(X: Tensor, y: Tensor) -> pd.DataFrame:
    """Each route on one system: columns dtype, kappa, method, error, broke, area, eps."""
    exact = exact_least_squares(X, y)
    kappa = float(torch.linalg.cond(X.double()))
    rows = []
    for method, route in ROUTES.items():
        with OneThread():
            w, broke = route(X, y)
        error = float((w.double() - exact).norm() / exact.norm())
        rows.append({"method": method, "error": np.nan if broke else error, "broke": broke, "area": float(w[0])})
    name = str(X.dtype).removeprefix("torch.")
    return pd.DataFrame(rows).assign(dtype=name, kappa=kappa, eps=torch.finfo(X.dtype).eps)


def _by_lu(X: Tensor, y: Tensor) -> tuple[Tensor, bool]:
    found = torch.linalg.solve_ex(X.T @ X, X.T @ y)
    return found.result, bool(found.info != 0)


def _by_cholesky(X: Tensor, y: Tensor) -> tuple[Tensor, bool]:
    found = cholesky_solve_normal(X, y)
    return found.w, found.breakdown > 0


def _by_qr(X: Tensor, y: Tensor) -> tuple[Tensor, bool]:
    w = qr_least_squares(X, y).w
    return w, not bool(torch.isfinite(w).all())


def _by_svd(X: Tensor, y: Tensor) -> tuple[Tensor, bool]:
    # its usual cutoff would drop directions of this X, which are weak and known to be there
    w = svd_least_squares(X, y, cutoff=0.0).w
    return w, not bool(torch.isfinite(w).all())


ROUTES: Mapping[str, Route] = {LU: _by_lu, CHOLESKY: _by_cholesky, QR: _by_qr, SVD: _by_svd}


def _normal(*shape: int, generator: torch.Generator) -> Tensor:
    return torch.randn(shape, generator=generator, dtype=torch.float64)
