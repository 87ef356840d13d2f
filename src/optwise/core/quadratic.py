"""What theory knows of a problem: a quadratic in the coordinates of its eigenvectors, and how its gradients vary."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import ArrayLike, NDArray

from optwise.core.errors import BadProblem
from optwise.core.metric import OBJECTIVE
from optwise.core.showing import Terse

Floats = NDArray[np.float64]


class Noise(Enum):
    """Where the noise of a gradient comes from.

    ``ADDITIVE`` noise is independent of the parameters and between steps. ``POPULATION`` noise comes from batches of a
    finite data set, drawn as the problem's sampler draws them. ``DESIGN`` noise is that of least squares on fresh
    Gaussian rows, which grows with the distance to the optimum. ``ROWS`` noise is that of least squares on the rows
    of a finite data set, drawn as the problem's sampler draws them.
    """

    ADDITIVE = "additive"
    POPULATION = "population"
    DESIGN = "design"
    ROWS = "rows"

    @property
    def multiplies(self) -> bool:
        """Whether it grows with the distance to the optimum."""
        return self in (Noise.DESIGN, Noise.ROWS)


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
        examples: Size of the data set under ``POPULATION`` and ``ROWS`` noise; 0 elsewhere.
        optimum: Best value of ``metric``.
        center: The optimum's coordinates [d].
        metric: What is predicted, by full name.
        covariance: Noise covariance of the gradient of one example [d, d], with ``c`` as its diagonal, for ``ADDITIVE``
            noise; ``None`` where coordinates are independent.
        rows: Rows of the data under ``ROWS`` noise [n, d], whose second moments are ``diag(h)``.
        residuals: What the optimum leaves of their labels [n].

    Raises:
        BadProblem: Vectors of unequal length, numbers that are not finite, a negative curvature or variance; a
            covariance that is not symmetric and positive semidefinite, or has another diagonal than ``c``.

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
    covariance: Floats | None = None
    rows: Floats | None = None
    residuals: Floats | None = None

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

        if self.covariance is not None:
            if self.noise is not Noise.ADDITIVE:
                raise BadProblem(
                    f"A covariance belongs to additive noise, not to {self.noise.value} noise; leave it out."
                )
            matrix = semidefinite("A quadratic", "covariance", self.covariance, self.h.size)
            object.__setattr__(self, "covariance", matrix)
            if not np.allclose(np.diag(matrix), self.c, rtol=1e-9, atol=1e-12 * float(self.c.max(initial=0.0))):
                raise BadProblem("A quadratic has a covariance whose diagonal is not its c; make the two agree.")

        if self.noise is Noise.ROWS and (self.rows is None or self.residuals is None):
            raise BadProblem("A quadratic with the noise of rows has none; give its rows and residuals.")

    @property
    def dimension(self) -> int:
        """d: how many coordinates."""
        return int(self.h.size)


def semidefinite(owner: str, name: str, given: ArrayLike, size: int | None = None) -> Floats:
    """A matrix, if it is square, symmetric and positive semidefinite, up to rounding.

    Args:
        owner: Whose matrix it is, for sentences.
        name: What it is called there.
        given: The matrix.
        size: How many rows it must have; ``None`` for any number.

    Raises:
        BadProblem: With what was found.

    Example:
        >>> semidefinite("nqm", "c", [[2.0, 1.0], [1.0, 2.0]]).tolist()
        [[2.0, 1.0], [1.0, 2.0]]
    """
    matrix = np.asarray(given, dtype=np.float64)
    rows = matrix.shape[0] if matrix.ndim == 2 and size is None else size
    if matrix.ndim != 2 or matrix.shape != (rows, rows) or matrix.size == 0 or not np.isfinite(matrix).all():
        needed = "square" if size is None else f"of shape ({size}, {size})"
        raise BadProblem(f"{owner} needs {name} as a matrix of finite numbers, {needed}; got shape {matrix.shape}.")
    largest = float(np.abs(matrix).max())
    asymmetry = float(np.abs(matrix - matrix.T).max())
    if asymmetry > 1e-9 * largest:
        raise BadProblem(
            f"{owner} has a {name} that is not symmetric: entries and their mirrors differ by {asymmetry:.3g}; give "
            f"({name} + {name}.T) / 2."
        )
    matrix = (matrix + matrix.T) / 2
    least = float(np.linalg.eigvalsh(matrix)[0])
    if least < -1e-9 * largest * len(matrix):
        raise BadProblem(
            f"{owner} has a {name} with the negative eigenvalue {least:.3g}; it must be positive semidefinite, as "
            "every covariance and every Hessian of a convex function is."
        )
    return matrix
