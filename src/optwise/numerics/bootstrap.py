"""Percentile bootstrap: bands around curves, and how often a second set of studies would name the same winner."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from optwise.numerics.arrays import FloatArray, check_level, refuse_all_but_misses, vector_with_misses

Average = Callable[..., Any]  # np.median, np.mean: called as average(values, axis=...)
_CHUNK = 4_000_000  # numbers held at once while resampling


@dataclass(frozen=True)
class Band:
    """An average and the ends of its bootstrap interval, each in the shape of one curve."""

    center: FloatArray
    low: FloatArray
    high: FloatArray


def bootstrap_band(
    curves: ArrayLike,
    *,
    rng: np.random.Generator,
    level: float = 0.95,
    resamples: int = 10_000,
    average: Average = np.median,
) -> Band:
    r"""Pointwise percentile band of the median (or mean) of curves, which are resampled whole.

    The ends are resampled averages themselves, taken outwards and never interpolated, so +inf (a diverged trial) is
    an ordinary value. For drawing only: with few curves the band is too narrow, and claims come from
    ``compare_studies``.

    Args:
        curves: One curve a row, ``[n, k]``, or plain numbers ``[n]``. NaN is refused.
        rng: Source of the resamples.
        level: Share of the resampled averages between the ends.
        resamples: Number of resamples.
        average: ``np.median`` or ``np.mean``.

    Example:
        >>> band = bootstrap_band([[1.0, 9.0], [2.0, 8.0], [4.0, 7.0]], rng=np.random.default_rng(0))
        >>> band.center, band.low, band.high
        (array([2., 8.]), array([1., 7.]), array([4., 9.]))

    References:
        Efron and Tibshirani (1993), An Introduction to the Bootstrap, chapter 13.
    """
    values = _checked(curves, "curves", axes=1)
    rows = max(1, _CHUNK // values.size)
    averages = [
        average(values[rng.integers(len(values), size=(count, len(values)))], axis=1)  # [count, k]
        for count in _chunks(resamples, rows)
    ]
    return _band(average(values, axis=0), averages, level=level)


def two_level_bootstrap(
    groups: Sequence[ArrayLike],
    *,
    rng: np.random.Generator,
    level: float = 0.95,
    resamples: int = 10_000,
    average: Average = np.median,
) -> Band:
    r"""Percentile band of the average over studies and seeds: resample studies, then the seeds within each.

    For bands and medians only. At 6 studies of 4 seeds an interval of the mean named 95 % covers about 88 % where
    studies differ more than seeds do, because six studies resampled vary less than six drawn afresh; claims come from
    ``compare_studies``.

    Args:
        groups: One array per study, ``[seeds]`` or ``[seeds, k]``, with equally many seeds in all. NaN is refused.
        rng: Source of the resamples.
        level: Share of the resampled averages between the ends.
        resamples: Number of resamples.
        average: ``np.median`` or ``np.mean``, over all studies and seeds of a resample.

    Example:
        >>> band = two_level_bootstrap([[1.0, 1.2], [2.0, 2.2], [3.0, 3.2]], rng=np.random.default_rng(0))
        >>> float(band.center), float(band.low), float(band.high)
        (2.1, 1.0, 3.1)
    """
    sizes = sorted({np.shape(group) for group in groups})
    if len(sizes) != 1:
        raise ValueError(f"The studies have shapes {sizes}; two_level_bootstrap needs equally many seeds in each.")
    values = _checked(np.stack([np.asarray(group, dtype=np.float64) for group in groups]), "groups", axes=2)
    studies, seeds, *rest = values.shape
    averages = []
    for count in _chunks(resamples, max(1, _CHUNK // values.size)):
        study = rng.integers(studies, size=(count, studies, 1))
        seed = rng.integers(seeds, size=(count, studies, seeds))
        averages.append(average(values[study, seed].reshape(count, studies * seeds, *rest), axis=1))  # [count, k]
    return _band(average(values.reshape(studies * seeds, *rest), axis=0), averages, level=level)


def winner_stability(
    studies_by_method: Mapping[str, ArrayLike],
    *,
    rng: np.random.Generator,
    resamples: int = 10_000,
    average: Average = np.median,
) -> dict[str, float]:
    """The share of resampled sets of studies in which each method comes first; lower values are better.

    Whole studies are resampled, each method on its own; the lowest average over studies wins, and methods that tie
    share the win.

    Args:
        studies_by_method: One number per study for each method; +inf is a miss, NaN is refused.
        rng: Source of the resamples.
        resamples: Number of resamples.
        average: What a method's studies are summed up by, ``np.median`` or ``np.mean``.

    Example:
        >>> winner_stability({"adam": [1, 2, 3], "sgd": [7, 8, 9]}, rng=np.random.default_rng(0))
        {'adam': 1.0, 'sgd': 0.0}
    """
    if not studies_by_method:
        raise ValueError("studies_by_method is empty; name at least one method.")
    averages = []
    for name, values in studies_by_method.items():
        studies = vector_with_misses(values, f"studies of {name}")
        averages.append(average(studies[rng.integers(studies.size, size=(resamples, studies.size))], axis=1))
    table = np.stack(averages)  # [methods, resamples]
    wins = table == table.min(axis=0)
    shares = (wins / wins.sum(axis=0)).mean(axis=1)
    return dict(zip(studies_by_method, shares.tolist(), strict=True))


def _checked(values: ArrayLike, name: str, *, axes: int) -> FloatArray:
    array = np.asarray(values, dtype=np.float64)
    if not axes <= array.ndim <= axes + 1 or array.size == 0:
        raise ValueError(f"{name} has shape {array.shape}; it needs {axes} or {axes + 1} axes, none of them empty.")
    refuse_all_but_misses(array, name)
    return array


def _chunks(total: int, rows: int) -> list[int]:
    if total < 1:
        raise ValueError(f"resamples is {total}; a bootstrap needs at least 1.")
    return [min(rows, total - begin) for begin in range(0, total, rows)]


def _band(center: FloatArray, averages: list[FloatArray], *, level: float) -> Band:
    check_level(level)
    ordered = np.sort(np.concatenate(averages), axis=0)  # [resamples, k]
    last = len(ordered) - 1
    low, high = np.floor(last * (1 - level) / 2), np.ceil(last * (1 + level) / 2)
    return Band(center=np.asarray(center), low=np.asarray(ordered[int(low)]), high=np.asarray(ordered[int(high)]))
