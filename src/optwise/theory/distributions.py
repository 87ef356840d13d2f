"""What runs look like at given steps: mean and variance of every coordinate, and the distribution of the risk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from optwise.core.counts import real_number, whole_number
from optwise.core.errors import BadProblem, BadProtocol
from optwise.core.method import Method
from optwise.core.problem import Problem
from optwise.core.quadratic import Noise
from optwise.core.showing import Terse
from optwise.numerics.quadratic_forms import SumOfSquares
from optwise.theory.batches_in_time import Batches, batch_table
from optwise.theory.joint_moments import joint_moments
from optwise.theory.matrices import Floats
from optwise.theory.models import closed, quadratic_of
from optwise.theory.searches import MOST_STEPS
from optwise.theory.whole_runs import hold_in_a_run

NOT_NORMAL = (
    "{name} has noise of kind {noise}, which is not normal, so that no quantile of its risk is known; mean and "
    "variance are. Model it as ow.problems.nqm(h, c), whose noise is normal."
)


@dataclass(frozen=True, eq=False)
class Distribution(Terse):
    """The measured point and its risk after A given numbers of steps.

    Args:
        steps: Which [A].
        mean: Of each coordinate of the point [A, d].
        variance: Of each coordinate [A, d], over runs.
        covariance: Of the coordinates [A, d, d]; ``None`` where all are independent, given the noise.
        risk: Expected excess over the optimum [A].
        deviation: Standard deviation of the excess [A], for normal noise; ``None`` for any other.
        laws: The law of the excess at each step, for normal noise.
        why_none: Why there are no laws, where there are none.
    """

    steps: Floats
    mean: Floats
    variance: Floats
    covariance: Floats | None
    risk: Floats
    deviation: Floats | None
    laws: tuple[SumOfSquares, ...] = ()
    why_none: str = ""

    def quantile(self, probability: float) -> Floats:
        """The excess that a run stays below with this probability [A]; exact, far tails included.

        Raises:
            BadProblem: Noise that is not normal.
            BadProtocol: A probability outside of (0, 1).
        """
        probability = real_number(probability, "A probability", "give one between 0 and 1, as 0.9")
        if not 0 < probability < 1:
            raise BadProtocol(f"A quantile belongs to a probability between 0 and 1, not {probability:g}.")
        return np.array([law.quantile(probability) for law in self._laws()])

    def probability(self, excess: float) -> Floats:
        """The probability [A] that a run's excess over the optimum is at most ``excess``.

        Raises:
            BadProblem: Noise that is not normal.
            BadProtocol: An excess that is no number.
        """
        excess = real_number(excess, "An excess", "give a number, as 0.01")
        if np.isnan(excess):
            raise BadProtocol("An excess of nan is below or above no other; give a number, as 0.01.")
        return np.array([law.below(excess) for law in self._laws()])

    def _laws(self) -> tuple[SumOfSquares, ...]:
        if self.why_none:
            raise BadProblem(self.why_none)
        return self.laws


def distribution(
    problem: Problem,
    method: Method,
    steps: int | Sequence[int],
    batch_size: Batches = None,
    *,
    horizon: int | None = None,
) -> Distribution:
    r"""The moments of every coordinate, and the distribution of the risk, at given steps.

    For normal noise and a fixed or normal start the point is normal, and its risk
    :math:`\tfrac12 \sum_i h_i (w_i - w_i^\star)^2` a sum of squares of normals, whose probabilities and quantiles are
    computed to rounding. For other noise, of fresh rows or of a data set, means and variances are exact and quantiles
    are refused.

    Args:
        problem: One that declares its quadratic.
        method: A closed linear rule.
        steps: After how many, one or several.
        batch_size: B, or ``{0: 64, 500: 256}``; ``None`` takes the problem's own.
        horizon: Steps of the whole run, which a schedule looks at; ``None`` takes the largest of ``steps``.

    Raises:
        CallerError: A problem that is no quadratic, a method that is not linear or still open, no step.

    Example:
        >>> from optwise.methods import SGD
        >>> from optwise.problems import nqm
        >>> found = distribution(nqm(h=[1.0], w0=[0.0]), SGD(lr=1.0), 1, 1)
        >>> found.variance[0], found.quantile(0.95).round(4)  # half of a chi square
        (array([1.]), array([1.9207]))

    References:
        Imhof (1961), Computing the distribution of quadratic forms in normal variables.
    """
    quadratic, method = quadratic_of(problem), closed(method)
    asked = np.atleast_1d(np.asarray(steps))
    if asked.ndim != 1 or not asked.size or asked.dtype.kind not in "iu" or (asked < 0).any():
        raise BadProtocol(f"Steps {steps!r} are none to look at; give whole numbers, at least 0.")
    whole = max(int(asked.max()), 1) if horizon is None else whole_number(horizon, "horizon", least=1)
    if whole < asked.max():
        raise BadProtocol(f"A run of {whole} steps has no step {asked.max()}; give a horizon of at least that.")
    if whole > MOST_STEPS:
        raise BadProtocol(f"A run of {whole} steps is too long to go through; give at most {MOST_STEPS} of them.")
    hold_in_a_run([method], quadratic)
    sizes = batch_table(problem, batch_size, whole)
    found = {}
    for k, joint in enumerate(joint_moments(problem, method, whole, sizes)):
        if k in asked:
            found[k] = joint
        if k >= asked.max():
            break
    own = [found[int(k)] for k in asked]
    normal = quadratic.noise is Noise.ADDITIVE
    full = quadratic.covariance is not None or quadratic.noise is Noise.ROWS
    mean, cov = np.stack([joint.mean for joint in own]), np.stack([joint.covariance for joint in own])
    variance = np.diagonal(cov, axis1=1, axis2=2).copy() if full else cov
    laws = tuple(SumOfSquares.of_normal(joint.mean, joint.covariance, quadratic.h) for joint in own) if normal else ()
    return Distribution(
        steps=asked,
        mean=mean + quadratic.center,
        variance=variance,
        covariance=cov if full else None,
        risk=_risk(mean, variance, quadratic.h),
        deviation=np.array([law.deviation for law in laws]) if normal else None,
        laws=laws,
        why_none="" if normal else NOT_NORMAL.format(name=problem.name, noise=quadratic.noise.value),
    )


def _risk(mean: Floats, variance: Floats, h: Floats) -> Floats:
    """Expected excess [A]; infinite where moments have left the numbers there are."""
    with np.errstate(over="ignore", invalid="ignore"):
        found = 0.5 * (mean**2 + variance) @ h
    return np.where(np.isnan(found), np.inf, found)
