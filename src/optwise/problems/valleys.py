"""Curved valleys: smooth nonconvex functions with a known minimum."""

from __future__ import annotations

import torch
from torch import Tensor

from optwise.core.errors import BadProblem
from optwise.core.layout import Leaves
from optwise.core.metric import AtMost
from optwise.core.problem import Optimum, Problem
from optwise.problems.objectives import FunctionObjective
from optwise.problems.targets import spell


def rosenbrock(d: int = 2) -> Problem:
    r"""Rosenbrock's function, deterministic, from (-1.2, 1, -1.2, 1, ...).

    .. math:: f(w) = \sum_{i=1}^{d-1} 100 (w_{i+1} - w_i^2)^2 + (1 - w_i)^2

    Its minimum is 0 at (1, ..., 1). From d = 4 on there is another strict local minimum near f = 4, so that a method
    may rightly end at a stationary point without the optimum.

    Args:
        d: Dimension, at least 2.

    Raises:
        BadProblem: ``d`` below 2.

    Example:
        >>> problem = rosenbrock()
        >>> w, buffers = problem.start(0)
        >>> round(float(problem.objective.measure(w, buffers, None, None)["objective"]), 6)
        24.2

    References:
        Rosenbrock (1960), An automatic method for finding the greatest or least value of a function.
    """
    if d < 2:
        raise BadProblem(f"rosenbrock with d={d} has no valley; give at least 2 dimensions.")
    reference = spell("rosenbrock", {"d": d})

    def start(_seed: int) -> tuple[Leaves, Leaves]:
        w = torch.ones(d, dtype=torch.float64)
        w[::2] = -1.2
        return {"w": w}, {}

    return Problem(
        name=reference,
        objective=FunctionObjective(_rosenbrock),
        start=start,
        optimum=Optimum(0.0, "closed form", {"w": torch.ones(d, dtype=torch.float64)}),
        target=AtMost("objective", 1e-6),
        target_command="by definition: the optimum 0 up to 1e-6",
        reference=reference,
    )


def _rosenbrock(leaves: Leaves) -> Tensor:
    w = leaves["w"]
    return (100 * (w[1:] - w[:-1].square()).square() + (1 - w[:-1]).square()).sum()
