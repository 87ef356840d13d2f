"""The same samples in few large batches or in many single steps."""

from __future__ import annotations

import numpy as np
import pandas as pd

from optwise.methods import SGD
from optwise.problems import mean_estimation
from optwise.report.lessons.equal_samples import equal_samples_figure
from optwise.theory import floor, forecast
from optwise.verbs.lessons.lesson import Lesson

LR, BATCH_SIZE, STEPS = 0.05, 1000, 300
DISTANCE, SIGMA = 10.0, 1.0


def sgd_equal_samples() -> Lesson:
    """Whether a batch of B with step B times as large is as good as B single steps (lecture 6)."""
    rows = equal_samples_data()
    figure = equal_samples_figure(rows, lr=LR, batch_size=BATCH_SIZE, distance=DISTANCE, sigma=SIGMA)
    return Lesson("sgd-equal-samples", figure, rows)


def equal_samples_data() -> pd.DataFrame:
    """Mean estimation by (B, lr, k) and by (1, lr / B, k B).

    Columns: ``large_steps`` k, ``samples`` k B, as many as single steps, mean squared error ``large`` and ``small``,
    their ``ratio`` small to large, and the limits ``large_floor`` and ``small_floor``.
    """
    problem = mean_estimation(mu=DISTANCE, sigma=SIGMA)
    steps = np.arange(STEPS + 1)
    large = 2 * forecast(problem, SGD(lr=LR), STEPS, BATCH_SIZE).risk
    small = 2 * forecast(problem, SGD(lr=LR / BATCH_SIZE), STEPS * BATCH_SIZE, 1).risk[::BATCH_SIZE]
    floors = {
        "large_floor": 2 * (floor(problem, SGD(lr=LR), BATCH_SIZE) or 0.0),
        "small_floor": 2 * (floor(problem, SGD(lr=LR / BATCH_SIZE), 1) or 0.0),
    }
    errors = {"large": large, "small": small, "ratio": small / large}
    return pd.DataFrame({"large_steps": steps, "samples": steps * BATCH_SIZE, **errors, **floors})
