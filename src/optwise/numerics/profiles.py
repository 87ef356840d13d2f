"""Performance profiles over several problems, their exact integral, and the discrete one AlgoPerf publishes."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from optwise.numerics.arrays import FloatArray, refuse_all_but_misses


@dataclass(frozen=True)
class Profile:
    """Share of the problems each method solves within a factor of the fastest.

    Attributes:
        tau: Factors at which a share changes, rising, with 1 and ``tau_max`` as ends, ``[G]``.
        rho: Shares, ``[methods, G]``; each holds from its tau up to the next one.
        score: Exact integral of rho over tau, divided by its length, ``[methods]``, from 0 to 1.
    """

    tau: FloatArray
    rho: FloatArray
    score: FloatArray


def performance_profile(times: ArrayLike, *, tau_max: float = 4.0) -> Profile:
    r"""Performance profile of methods over problems, and its exact integral.

    With :math:`r_{mw} = t_{mw} / \min_{m'} t_{m'w}` over W problems

    .. math:: \rho_m(\tau) = \frac{\#\{w : r_{mw} \le \tau\}}{W}, \qquad
              B_m = \frac{1}{\tau_{\max} - 1} \int_1^{\tau_{\max}} \rho_m\, d\tau
                  = \frac1W \sum_w \frac{\max(0, \tau_{\max} - r_{mw})}{\tau_{\max} - 1}.

    A problem that nobody solved stays in W. The score depends on the set of methods, because the fastest does.

    Args:
        times: Positive times to the target, ``[methods, problems]``; +inf is a miss, NaN is refused.
        tau_max: Largest factor that still earns something, above 1.

    Example:
        >>> profile = performance_profile([[10.0, 20.0], [20.0, float("inf")]])
        >>> profile.tau, profile.rho[1], profile.score.round(3)
        (array([1., 2., 4.]), array([0. , 0.5, 0.5]), array([1.   , 0.333]))

    References:
        Dolan and More (2002), Benchmarking Optimization Software with Performance Profiles; Dahl et al. (2023),
        Benchmarking Neural Network Training Algorithms.
    """
    ratios = _ratios(times, tau_max=tau_max)
    tau = np.unique(np.concatenate([[1.0, tau_max], ratios[ratios <= tau_max]]))
    score = (np.maximum(tau_max - ratios, 0.0) / (tau_max - 1.0)).mean(axis=1)
    return Profile(tau=tau, rho=_shares(ratios, tau), score=score)


def trapezoid_score(times: ArrayLike, *, points: int = 100, tau_max: float = 4.0) -> FloatArray:
    r"""The discrete score of AlgoPerf: trapezoids under rho on equally spaced factors from 1 to ``tau_max``.

    Kept to reproduce published numbers; at 100 points it is up to 1.5e-3 away from the exact integral of
    ``performance_profile``.

    Args:
        times: Positive times to the target, ``[methods, problems]``; +inf is a miss, NaN is refused.
        points: Number of factors, both ends included.
        tau_max: Largest factor, above 1.

    Example:
        >>> trapezoid_score([[10.0, 20.0], [20.0, float("inf")]]).round(4)
        array([1.    , 0.3359])
    """
    if points < 2:
        raise ValueError(f"points is {points}; a trapezoid needs at least 2.")
    ratios = _ratios(times, tau_max=tau_max)
    tau = np.linspace(1.0, tau_max, points)
    return np.asarray(np.trapezoid(_shares(ratios, tau), tau, axis=1) / (tau_max - 1.0), dtype=np.float64)


def _ratios(times: ArrayLike, *, tau_max: float) -> FloatArray:
    table = np.asarray(times, dtype=np.float64)
    if table.ndim != 2 or table.size == 0:
        raise ValueError(f"times has shape {table.shape}; it must be [methods, problems], none of them empty.")
    refuse_all_but_misses(table, "times")
    if table.min() <= 0.0:
        raise ValueError(f"times holds {table.min()}; a ratio to the fastest needs times above 0.")
    if not 1.0 < tau_max < np.inf:
        raise ValueError(f"tau_max is {tau_max}; it must be finite and above 1.")
    fastest = table.min(axis=0)
    ratios = np.full(table.shape, np.inf)  # also where nobody solved the problem: inf / inf is not a ratio
    np.divide(table, fastest, out=ratios, where=np.isfinite(table))
    return ratios


def _shares(ratios: FloatArray, tau: FloatArray) -> FloatArray:
    return np.asarray((ratios[:, None, :] <= tau[None, :, None]).mean(axis=2), dtype=np.float64)  # [methods, G]
