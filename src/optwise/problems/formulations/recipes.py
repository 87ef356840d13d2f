"""How generated problems are made: rows whose neighbouring columns correlate, sparse truths, and names."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from optwise.core.errors import BadProblem
from optwise.core.problem import Problem
from optwise.problems.targets import spell

Floats = NDArray[np.float64]


def correlated_rows(rng: np.random.Generator, n: int, p: int, rho: float) -> Floats:
    r"""Normal rows with :math:`\operatorname{corr}(x_i, x_j) = \rho^{|i - j|}`, in column-major order [n, p].

    .. math:: x_1 = z_1, \qquad x_j = \rho \, x_{j-1} + \sqrt{1 - \rho^2} \, z_j

    Example:
        >>> X = correlated_rows(np.random.default_rng(0), 5000, 2, 0.5)
        >>> X.flags.f_contiguous, round(float(np.corrcoef(X.T)[0, 1]), 1)
        (True, 0.5)
    """
    columns = rng.standard_normal((p, n))
    for j in range(1, p):
        columns[j] = rho * columns[j - 1] + math.sqrt(1 - rho**2) * columns[j]
    return columns.T


def sparse_truth(rng: np.random.Generator, p: int, nonzeros: int) -> Floats:
    """A vector of zeros with ``nonzeros`` entries -1 or 1 at random places [p].

    Example:
        >>> float(np.abs(sparse_truth(np.random.default_rng(0), 10, 3)).sum())
        3.0
    """
    truth = np.zeros(p)
    truth[rng.choice(p, size=nonzeros, replace=False)] = rng.choice([-1.0, 1.0], size=nonzeros)
    return truth


def noisy(rng: np.random.Generator, signal: Floats, ratio: float) -> Floats:
    """The signal plus normal noise whose length is that of the signal over ``ratio``.

    Example:
        >>> y = noisy(np.random.default_rng(0), np.array([3.0, 4.0]), 5.0)
        >>> round(float(np.linalg.norm(y - [3.0, 4.0])), 9)
        1.0
    """
    noise = rng.standard_normal(signal.shape)
    disturbed: Floats = signal + noise * (np.linalg.norm(signal) / (ratio * np.linalg.norm(noise)))
    return disturbed


def named(problem: Problem, name: str, build: Callable[..., Problem], given: Mapping[str, float]) -> Problem:
    """The problem under its catalogue name, followed by the parameters that are not the defaults of ``build``.

    Example:
        >>> from optwise.problems.formulations.signals import total_variation
        >>> def build(p: int = 3, seed: int = 0):
        ...     return named(total_variation([0.0] * p, 1.0), "steps", build, {"p": p, "seed": seed})
        >>> build().reference, build(p=4).name
        ('steps', 'steps:p=4')
    """
    defaults = {key: parameter.default for key, parameter in inspect.signature(build).parameters.items()}
    reference = spell(name, {key: value for key, value in given.items() if value != defaults[key]})
    return replace(problem, name=reference, reference=reference)


def refuse_bad_sizes(name: str, sizes: Mapping[str, float]) -> None:
    """Raise unless every size is a whole number of at least 1."""
    for key, size in sizes.items():
        if size < 1 or size != int(size):
            raise BadProblem(f"{name} with {key}={size:g} cannot be generated; give a whole number of at least 1.")


def refuse_outside(name: str, key: str, value: float, *, low: float, high: float) -> None:
    """Raise unless ``low <= value <= high``."""
    if not low <= value <= high:
        raise BadProblem(f"{name} with {key}={value:g} cannot be generated; give a number from {low:g} to {high:g}.")
