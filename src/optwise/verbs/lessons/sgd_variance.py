"""Variance and mean squared error of SGD with constant steps, each next to many runs of the engine."""

from __future__ import annotations

import numpy as np
import pandas as pd

from optwise.methods import SGD
from optwise.problems import mean_estimation, nqm
from optwise.report.lessons.variance import variance_figure
from optwise.theory import forecast
from optwise.verbs.lessons.declared import Variance
from optwise.verbs.lessons.lesson import Lesson
from optwise.verbs.lessons.measuring import points

AT = (5, 10, 20, 50, 100, 200, 500, 1000, 10_000)
PUBLISHED = Variance()


def sgd_variance(asked: Variance = PUBLISHED) -> Lesson:
    """Why the variance of SGD is not its mean squared error, until the start is forgotten (lecture 6)."""
    rows = variance_data(asked)
    about = {"mu": asked.mu, "start": asked.start, "sigma": asked.sigma}
    return Lesson("sgd-variance", variance_figure(rows, replicas=asked.replicas, **about), rows, asked)


def variance_data(asked: Variance = PUBLISHED) -> pd.DataFrame:
    """Mean estimation at several step sizes.

    Columns: lr, step, ``variance`` and ``error`` (mean squared) as computed, the same ``measured`` over replicas with
    their standard errors, and the ``floor`` both end at. What was not measured at a step is NaN.
    """
    steps = np.unique(np.rint(np.geomspace(1, AT[-1], 121)).astype(int))
    steps = np.union1d(steps, AT)
    # R coordinates of one quadratic are R independent runs of mean estimation, shifted so that the mean is 0
    ones, rules = np.ones(asked.replicas), [SGD(lr=lr) for lr in asked.lrs]
    many = nqm(h=ones, c=asked.sigma**2 * ones, w0=(asked.start - asked.mu) * ones, batch_size=1)
    seen = points(many, rules, range(asked.seed, asked.seed + len(rules)), AT).numpy()  # [K, T, R]
    problem = mean_estimation(mu=asked.mu, sigma=asked.sigma, w0=asked.start)
    blocks = []
    for i, rule in enumerate(rules):
        found = forecast(problem, rule, AT[-1], batch_size=1)
        assert found.floor is not None
        squares = seen[:, i] ** 2
        variance = seen[:, i].var(-1, ddof=1)
        measured = pd.DataFrame(
            {
                "step": AT,
                "measured_variance": variance,
                "variance_se": variance * np.sqrt(2 / (asked.replicas - 1)),  # of normals
                "measured_error": squares.mean(-1),
                "error_se": squares.std(-1, ddof=1) / np.sqrt(asked.replicas),
            }
        )
        # the risk is half the squared distance, and the start is one point: noise is the variance, bias the rest
        computed = {"variance": 2 * found.noise[steps], "error": 2 * found.risk[steps]}
        own = pd.DataFrame({"lr": asked.lrs[i], "step": steps, **computed, "floor": 2 * found.floor})
        blocks.append(own.merge(measured, how="left", on="step"))
    return pd.concat(blocks, ignore_index=True)
