"""Constant steps and their floors: one run of each step size next to what theory says of all runs."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from optwise.methods import SGD
from optwise.problems import mean_estimation
from optwise.report.lessons.noise_floor import noise_floor_figure
from optwise.theory import forecast, rate
from optwise.verbs.lessons.lesson import Lesson
from optwise.verbs.lessons.measuring import points

LRS = (0.5, 0.05, 0.005, 5e-4, 5e-5)
STEPS = 1000
DISTANCE, SIGMA = 10.0, 1.0


def sgd_noise_floor() -> Lesson:
    """How close to the mean SGD gets with constant steps, and how soon (recap figure 2.5)."""
    rows = noise_floor_data()
    return Lesson("sgd-noise-floor", noise_floor_figure(rows, distance=DISTANCE, sigma=SIGMA), rows)


def noise_floor_data() -> pd.DataFrame:
    """Mean estimation at five step sizes.

    Columns: lr, step, ``measured`` distance to the mean of one run, ``predicted`` root mean square over runs, its part
    ``bias`` that is left of the start, its limit ``floor``, and the step ``settled`` at which the two are equal.
    """
    problem = mean_estimation(mu=DISTANCE, sigma=SIGMA)
    rules = [SGD(lr=lr) for lr in LRS]
    steps = np.arange(STEPS + 1)
    measured = (points(problem, rules, range(len(rules)), steps.tolist())[:, :, 0] - DISTANCE).abs().numpy()
    blocks = []
    for i, rule in enumerate(rules):
        found = forecast(problem, rule, STEPS, batch_size=1)
        assert found.floor is not None
        floor = math.sqrt(2 * found.floor)  # the risk is half the squared distance
        blocks.append(
            pd.DataFrame(
                {
                    "lr": LRS[i],
                    "step": steps,
                    "measured": measured[:, i],
                    "predicted": np.sqrt(2 * found.risk),
                    "bias": np.sqrt(2 * found.bias),
                    "floor": floor,
                    "settled": math.log(DISTANCE / floor) / -math.log(rate(problem, rule)),
                }
            )
        )
    return pd.concat(blocks, ignore_index=True)
