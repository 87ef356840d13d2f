r"""The risk where every step has a batch size of its own: the noise of step k counts :math:`B_k^{-1}` times."""

from __future__ import annotations

import numpy as np

from optwise.theory.courses import Course
from optwise.theory.matrices import Floats
from optwise.theory.moments import moments
from optwise.theory.responses import Totals
from optwise.theory.spreads import Spread


def changing_totals(course: Course, spread: Spread | None, sizes: Floats) -> Totals:
    """Bias, noise and variance [steps + 1]; the noise is scaled as if all batches had the mean size.

    Args:
        course: A rule before its first step.
        spread: How responses make the variance of a run; ``None`` where that is not asked for.
        sizes: Batch size of each step [steps].
    """
    mean, bias, noise, variance = float(sizes.mean()), [], [], []
    weights, noisy = course.nodes.bias.weights, course.nodes.noise.weights
    with np.errstate(over="ignore", invalid="ignore"):
        for F, G, _, _ in moments(course.rule.start, course.first, course.walk(), course.nodes, (1 / sizes).tolist()):
            bias.append(F @ weights)
            noise.append(mean * (G @ noisy))
            if spread is not None:
                variance.append(spread.of(F, G))
    both = np.concatenate(bias), np.concatenate(noise)
    return Totals(*both, np.concatenate(variance) if variance else None)
