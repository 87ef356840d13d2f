"""Predicted risk of linear rules on a noisy quadratic, held against many runs of the engine's own methods."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from optwise.core.method import Rule
from optwise.methods import EMA, SGD, Momentum, Nesterov, Polyak, Preconditioned, ScheduleFreeSGD
from optwise.problems import nqm
from optwise.report.lessons.risk import risk_figure
from optwise.theory import forecast
from optwise.verbs.lessons.declared import Risk
from optwise.verbs.lessons.lesson import Lesson
from optwise.verbs.lessons.measuring import points

METHODS: Mapping[str, Rule] = {
    "sgd": SGD(lr=0.1),
    "momentum": Momentum(lr=0.02, momentum=0.9),
    "nesterov": Nesterov(lr=0.02, momentum=0.9),
    "ema-sgd": EMA(SGD(lr=0.1), decay=0.99),
    "polyak-sgd": Polyak(SGD(lr=0.1)),
    "preconditioned-sgd": Preconditioned(SGD(lr=0.05)),
    "schedule-free-sgd": ScheduleFreeSGD(lr=0.2),
}
PUBLISHED = ("momentum", "ema-sgd")
"""Methods whose published risk takes the noise of k to infinity for that of every step."""

AT = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
PUBLISHED_RISK = Risk()


def nqm_risk(asked: Risk = PUBLISHED_RISK) -> Lesson:
    """Whether the predicted risk is what happens, and how far the published bound is off (lecture 7)."""
    rows = risk_data(asked)
    about = {"replicas": asked.replicas, "dimension": asked.dimension, "batch_size": asked.batch_size}
    return Lesson("nqm-risk", risk_figure(rows, settings=settings(), **about), rows, asked)


def settings() -> dict[str, str]:
    """The hyperparameters of each method that are not at their defaults, as text."""
    said = {}
    for name, method in METHODS.items():
        kept = {"lr", "momentum", "decay", "power"}
        said[name] = ", ".join(f"{path} {value:g}" for path, value in method.values().items() if path in kept)
    return said


def risk_data(asked: Risk = PUBLISHED_RISK, methods: Mapping[str, Rule] = METHODS) -> pd.DataFrame:
    """Risk of each method at every step to 1000.

    Columns: method, step, ``predicted`` risk, its ``noise`` part, what the published formula has ``published`` in its
    place (NaN where that is exact or there is none), and where replicas were looked at their mean ``measured``, its
    standard error ``se`` and its ``correlation`` with the mean at the look before, which the same runs made.

    Args:
        asked: Dimension, batch size, replicas and seed.
        methods: Closed rules by label.
    """
    h = 1.0 / np.arange(1, asked.dimension + 1)
    problem = nqm(h=h, batch_size=asked.batch_size)
    many = nqm(h=np.tile(h, asked.replicas), batch_size=asked.batch_size)  # as many independent runs in one
    steps = np.arange(AT[-1] + 1)
    blocks = []
    for seed, (name, method) in enumerate(methods.items(), start=asked.seed):
        found = forecast(problem, method, AT[-1])
        seen = points(many, [method], [seed], AT)[:, 0].numpy().reshape(len(AT), asked.replicas, asked.dimension)
        losses = 0.5 * (h * seen**2).sum(-1)  # [K, R]
        block = pd.DataFrame({"method": name, "step": steps, "predicted": found.risk})
        block["noise"] = found.noise / found.batch_size
        block["published"] = found.floor if name in PUBLISHED else np.nan
        block["measured"] = block["se"] = block["correlation"] = np.nan
        block.loc[list(AT), "measured"] = losses.mean(1)
        block.loc[list(AT), "se"] = losses.std(1, ddof=1) / np.sqrt(asked.replicas)
        block.loc[list(AT[1:]), "correlation"] = np.diag(np.corrcoef(losses), 1)
        blocks.append(block)
    return pd.concat(blocks, ignore_index=True)
