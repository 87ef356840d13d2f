"""What a factorisation will take, said before it runs: operations, bytes, and the digits that rounding will cost."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch

from optwise.core.composite import Composite
from optwise.core.loss import LinearModel
from optwise.numerics.factorisation_costs import (
    digits_lost,
    flops_cholesky,
    flops_qr,
    flops_svd,
    peak_bytes_cholesky,
    peak_bytes_qr,
    peak_bytes_svd,
)
from optwise.numerics.spectra import extreme_eigenvalues

PRODUCTS = 40
"""Products with the Gram matrix that the look at the condition number may take."""


def preflight(problem: Composite) -> Mapping[str, str]:
    r"""For each direct method its operations, its bytes, and the digits its first answer will lose; empty elsewhere.

    The condition number is :math:`\kappa(X) = \sigma_{\max} / \sigma_{\min}`, with a ridge that of X over
    :math:`\sqrt{\lambda} I`. Lanczos' process on the Gram matrix bounds it from below. Cholesky works with the Gram
    matrix and loses :math:`\log_{10} \kappa(X)^2` digits, QR and singular values :math:`\log_{10} \kappa(X)`.

    Args:
        problem: As solvers see it; a quadratic loss of a linear model with a dense design.
    """
    model = problem.smooth.model
    if model is None or not model.loss.quadratic or model.X.matrix is None:
        return {}
    n, p = model.X.shape
    itemsize, short = model.y.element_size(), (max(n, p), min(n, p))
    condition = design_condition(model)
    digits = -math.log10(torch.finfo(model.y.dtype).eps)
    costs = {
        "cholesky": (flops_cholesky(*short), peak_bytes_cholesky(*short, itemsize), condition**2, "kappa(X)^2"),
        "qr": (flops_qr(n, p), peak_bytes_qr(n, p, itemsize), condition, "kappa(X)"),
        "svd": (flops_svd(n, p), peak_bytes_svd(n, p, itemsize), condition, "kappa(X)"),
    }
    return {
        method: f"{flops:.2g} operations, {size / 1e6:.3g} MB; {name} is at least {number:.1e}, so "
        f"{min(digits_lost(number), digits):.1f} of {digits:.1f} digits go"
        for method, (flops, size, number, name) in costs.items()
    }


def design_condition(model: LinearModel) -> float:
    r"""A lower bound of :math:`\kappa(X)`, the ridge included, from some products; infinite where rows are too few.

    Args:
        model: With a dense design.
    """
    matrix = model.X.matrix
    assert matrix is not None
    n, p = matrix.shape
    ridge = model.l2 / (model.scale * model.loss.smoothness)
    gram = (lambda v: matrix.mT @ (matrix @ v)) if p <= n else (lambda v: matrix @ (matrix.mT @ v))
    found = extreme_eigenvalues(gram, min(n, p), dtype=matrix.dtype, most=PRODUCTS)
    low = ridge if p > n else max(found.smallest, 0.0) + ridge
    return math.sqrt((found.largest + ridge) / low) if low > 0 else math.inf
