"""What theory knows of a problem: a quadratic in the coordinates of its eigenvectors, and how its gradients vary."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from optwise.core.errors import BadProblem
from optwise.core.metric import OBJECTIVE
from optwise.core.showing import Terse

Floats = NDArray[np.float64]


class Noise(Enum):
    """Where the noise of a gradient comes from.

    ``ADDITIVE`` noise is independent of the parameters and between steps. ``POPULATION`` noise comes from batches of a
    finite data set, drawn as the problem's sampler draws them. ``DESIGN`` noise is that of least squares on fresh
    Gaussian rows, which grows with the distance to the optimum.
    """

    ADDITIVE = "additive"
    POPULATION = "population"
    DESIGN = "design"


@dataclass(frozen=True, eq=False)
class Quadratic(Terse):
    r"""The model of a problem whose mean loss is a quadratic, diagonal in the order of its flat parameters.

    .. math:: \mathbb E f(w) = f^\star + \tfrac12 \sum_i h_i (w_i - w^\star_i)^2, \qquad
        g_i = h_i (w_i - w^\star_i) + \xi_i, \qquad \operatorname{Var} \xi_i = c_i / B

    Args:
        h: Curvatures [d], at least 0.
        c: Noise variance of the gradient of one example [d], at least 0; for ``DESIGN`` noise that at the optimum.
        start: Second moment of the start's distance to the optimum [d].
        fixed_start: Whether every seed starts at the same point; otherwise starts are independent normals around the
            optimum.
        noise: Where the noise comes from.
        examples: Size of the data set under ``POPULATION`` noise; 0 elsewhere.
        optimum: Best value of ``metric``.
        center: The optimum's coordinates [d].
        metric: What is predicted, by full name.

    Raises:
        BadProblem: Vectors of unequal length, numbers that are not finite, a negative curvature or variance.

    Example:
        >>> Quadratic(h=[1.0, 0.5], c=[1.0, 1.0], start=[4.0, 4.0], center=[0.0, 0.0]).dimension
        2
    """

    h: Floats
    c: Floats
    start: Floats
    center: Floats
    fixed_start: bool = False
    noise: Noise = Noise.ADDITIVE
    examples: int = 0
    optimum: float = 0.0
    metric: str = OBJECTIVE

    def __post_init__(self) -> None:
        for name in ("h", "c", "start", "center"):
            vector = np.asarray(getattr(self, name), dtype=np.float64)
            object.__setattr__(self, name, vector)
            if vector.ndim != 1 or vector.shape != self.h.shape or not np.isfinite(vector).all():
                raise BadProblem(
                    f"A quadratic needs {name} as one finite number per coordinate, like its h of shape "
                    f"{np.shape(self.h)}; got shape {vector.shape}."
                )
            if name != "center" and (vector < 0).any():
                raise BadProblem(f"A quadratic has a negative entry {vector.min():g} in {name}; give at least 0.")

    @property
    def dimension(self) -> int:
        """d: how many coordinates."""
        return int(self.h.size)
