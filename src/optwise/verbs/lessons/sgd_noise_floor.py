"""Constant steps and their floors: one run of each step size next to what theory says of all runs."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from optwise.methods import SGD
from optwise.problems import mean_estimation
from optwise.report.lessons.noise_floor import noise_floor_figure
from optwise.theory import forecast, rate
from optwise.verbs.lessons.declared import NoiseFloor
from optwise.verbs.lessons.lesson import Lesson
from optwise.verbs.lessons.measuring import points

PUBLISHED = NoiseFloor()


def sgd_noise_floor(asked: NoiseFloor = PUBLISHED) -> Lesson:
    """How close to the mean SGD gets with constant steps, and how soon (recap figure 2.5)."""
    rows = noise_floor_data(asked)
    figure = noise_floor_figure(rows, distance=asked.distance, sigma=asked.sigma)
    return Lesson("sgd-noise-floor", figure, rows, asked)


def noise_floor_data(asked: NoiseFloor = PUBLISHED) -> pd.DataFrame:
    """Mean estimation at several step sizes.

    Columns: lr, step, ``measured`` distance to the mean of one run, ``predicted`` root mean square over runs, its part
    ``bias`` that is left of the start, its limit ``floor``, and the step ``settled`` at which the two are equal: not
    above 0 where the start is no further away than the limit.
    """
    problem = mean_estimation(mu=asked.distance, sigma=asked.sigma)
    rules = [SGD(lr=lr) for lr in asked.lrs]
    steps = np.arange(asked.steps + 1)
    seeds = range(asked.seed, asked.seed + len(rules))
    measured = (points(problem, rules, seeds, steps.tolist())[:, :, 0] - asked.distance).abs().numpy()
    blocks = []
    for i, rule in enumerate(rules):
        found = forecast(problem, rule, asked.steps, batch_size=1)
        assert found.floor is not None
        floor = math.sqrt(2 * found.floor)  # the risk is half the squared distance
        pace = rate(problem, rule)
        away = math.log(asked.distance / floor)
        blocks.append(
            pd.DataFrame(
                {
                    "lr": asked.lrs[i],
                    "step": steps,
                    "measured": measured[:, i],
                    "predicted": np.sqrt(2 * found.risk),
                    "bias": np.sqrt(2 * found.bias),
                    "floor": floor,
                    # a step of 1 forgets the start at once
                    "settled": away / -math.log(pace) if pace > 1e-300 else float(away > 0),
                }
            )
        )
    return pd.concat(blocks, ignore_index=True)
