"""The same samples in few large batches or in many single steps."""

from __future__ import annotations

import numpy as np
import pandas as pd

from optwise.methods import SGD
from optwise.problems import mean_estimation
from optwise.report.lessons.equal_samples import equal_samples_figure
from optwise.theory import floor, forecast
from optwise.verbs.lessons.declared import EqualSamples
from optwise.verbs.lessons.lesson import Lesson

PUBLISHED = EqualSamples()


def sgd_equal_samples(asked: EqualSamples = PUBLISHED) -> Lesson:
    """Whether a batch of B with step B times as large is as good as B single steps (lecture 6)."""
    rows = equal_samples_data(asked)
    about = {"lr": asked.lr, "distance": asked.distance, "sigma": asked.sigma}
    figure = equal_samples_figure(rows, batch_size=asked.batch_size, **about)
    return Lesson("sgd-equal-samples", figure, rows, asked)


def equal_samples_data(asked: EqualSamples = PUBLISHED) -> pd.DataFrame:
    """Mean estimation by (B, lr, k) and by (1, lr / B, k B).

    Columns: ``large_steps`` k, ``samples`` k B, as many as single steps, mean squared error ``large`` and ``small``,
    their ``ratio`` small to large, and the limits ``large_floor`` and ``small_floor``.
    """
    problem = mean_estimation(mu=asked.distance, sigma=asked.sigma)
    B, lr = asked.batch_size, asked.lr
    steps = np.arange(asked.steps + 1)
    large = 2 * forecast(problem, SGD(lr=lr), asked.steps, B).risk
    small = 2 * forecast(problem, SGD(lr=lr / B), asked.steps * B, 1).risk[::B]
    floors = {
        "large_floor": 2 * (floor(problem, SGD(lr=lr), B) or 0.0),
        "small_floor": 2 * (floor(problem, SGD(lr=lr / B), 1) or 0.0),
    }
    errors = {"large": large, "small": small, "ratio": small / large}
    return pd.DataFrame({"large_steps": steps, "samples": steps * B, **errors, **floors})
