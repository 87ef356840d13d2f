"""Low-discrepancy points in the unit cube, and a measure of how evenly points fill it."""

import numpy as np
import torch
from numpy.typing import ArrayLike

from optwise.numerics.arrays import FloatArray

_HALF_STEP = 2.0**-31  # torch's Sobol points are multiples of 2^-30; half of that keeps them off the faces


def sobol(points: int, dimensions: int, seed: int) -> FloatArray:
    """The first points of a scrambled Sobol sequence, strictly inside the unit cube.

    The sequence depends on the seed alone, never on a global generator, and more points extend fewer points. It is
    most even when their number is a power of two.

    Args:
        points: Number of points, at least 0.
        dimensions: Number of coordinates, 0 to 21,201; with 0 there is nothing to choose, and each row is empty.
        seed: Scramble seed: another seed is another, independent sequence.

    Returns:
        Float64 array ``[points, dimensions]``, every entry above 0 and below 1.

    Example:
        >>> sobol(4, 2, seed=0).shape, bool((sobol(8, 2, seed=0)[:4] == sobol(4, 2, seed=0)).all())
        ((4, 2), True)

    References:
        Joe and Kuo (2008), Constructing Sobol Sequences with Better Two-Dimensional Projections; Owen (1998).
    """
    most = torch.quasirandom.SobolEngine.MAXDIM
    if points < 0 or not 0 <= dimensions <= most:
        raise ValueError(f"sobol({points}, {dimensions}) needs at least 0 points and 0 to {most} dimensions.")
    if points == 0 or dimensions == 0:
        return np.zeros((points, dimensions))
    engine = torch.quasirandom.SobolEngine(dimensions, scramble=True, seed=seed)
    drawn = engine.draw(points, dtype=torch.float64).numpy()
    return np.asarray(np.clip(drawn, _HALF_STEP, 1.0 - _HALF_STEP), dtype=np.float64)


def centered_discrepancy(points: ArrayLike) -> float:
    r"""Centered L2 discrepancy, squared: 0 for perfectly even points, large for clumps.

    .. math:: \Big(\tfrac{13}{12}\Big)^d
              - \frac2N \sum_i \prod_j \Big(1 + \tfrac12 |z_{ij}| - \tfrac12 z_{ij}^2\Big)
              + \frac1{N^2} \sum_{i,k} \prod_j
                \Big(1 + \tfrac12 |z_{ij}| + \tfrac12 |z_{kj}| - \tfrac12 |z_{ij} - z_{kj}|\Big),
              \qquad z = x - \tfrac12.

    The same quantity as ``scipy.stats.qmc.discrepancy(x, method="CD")``; some texts take its root.

    Args:
        points: Points in the unit cube, ``[N, d]``.

    Example:
        >>> round(centered_discrepancy([[0.5]]), 4), round(centered_discrepancy([[0.25], [0.75]]), 4)
        (0.0833, 0.0208)

    References:
        Hickernell (1998), A Generalized Discrepancy and Quadrature Error Bound.
    """
    x = np.asarray(points, dtype=np.float64)
    if x.ndim != 2 or x.size == 0:
        raise ValueError(f"points has shape {x.shape}; it must be [points, dimensions], none of them empty.")
    z = x - 0.5
    away = np.abs(z)
    single = (1 + away / 2 - z**2 / 2).prod(axis=1).mean()
    pairs = np.ones((len(z), len(z)))
    for j in range(z.shape[1]):
        pairs *= 1 + (away[:, None, j] + away[None, :, j] - np.abs(z[:, None, j] - z[None, :, j])) / 2
    return float((13 / 12) ** z.shape[1] - 2 * single + pairs.mean())
