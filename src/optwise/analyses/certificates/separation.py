"""Whether classes are separated in part: then weights can grow for ever, and what they reach is an infimum."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from optwise.analyses.certificates.evaluation import Evaluation
from optwise.core.loss import Loss

LARGE = 10.0
"""Margin from which on an example may be separated: its loss is below 5e-5."""
ENTRIES = 2e5
"""Entries of the largest program that is solved."""
SEPARATED = 1e-6
"""Part of an example by which the sum of margins must be above 0."""


def separated(at: Evaluation) -> bool:
    r"""Whether a direction d lowers some losses for ever and raises none: quasi-complete separation.

    .. math:: y_i \langle x_i, d \rangle \ge 0 \text{ for all i, and above 0 for some}

    by a linear program; looked for only where some margin is large already, without penalty and set.

    Args:
        at: The point.

    References:
        Albert and Anderson (1984), On the existence of maximum likelihood estimates in logistic regression models.
    """
    margins = _margins(at)
    if margins is None or margins.shape[0] * margins.shape[1] > ENTRIES:
        return False
    here = margins @ at.w
    if not float(here.max()) >= LARGE:
        return False
    from scipy.optimize import linprog  # it takes longer to load than most solves

    M = margins.numpy()
    n, p = M.shape
    rows = np.hstack([-M, np.eye(n)])  # M d >= t
    cost = np.concatenate([np.zeros(p), -np.ones(n)])
    found = linprog(cost, A_ub=rows, b_ub=np.zeros(n), bounds=[(None, None)] * p + [(0.0, 1.0)] * n)
    return bool(found.status == 0 and -found.fun > SEPARATED)


def _margins(at: Evaluation) -> Tensor | None:
    """The rows that margins are products of w with [k, p]; ``None`` where losses do not fall for ever."""
    model, classes = at.problem.smooth.model, at.problem.smooth.classes_of
    if not at.smooth_only:
        return None
    if model is not None and model.l2 == 0 and type(model.loss).recedes is not Loss.recedes:
        matrix = model.X.matrix
        return None if matrix is None else model.y[:, None] * matrix
    if classes is not None and classes.l2 == 0 and classes.X.matrix is not None:
        X, C = classes.X.matrix, classes.classes
        own = torch.nn.functional.one_hot(classes.y, C).to(X)
        apart = own[:, None, :] - torch.eye(C, dtype=X.dtype)[None]  # [n, C, C]
        rows = torch.einsum("np,ncd->ncpd", X, apart)
        kept = own == 0
        return rows[kept].reshape(-1, X.shape[1] * C)
    return None
