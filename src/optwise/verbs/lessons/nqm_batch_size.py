"""Steps to a target against the batch size, every method tuned at every batch size."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np
import pandas as pd

from optwise.core.method import Rule
from optwise.methods import EMA, SGD, Momentum, Preconditioned
from optwise.problems import nqm
from optwise.report.lessons.batch_size import batch_size_figure
from optwise.theory import max_lr, steps_to
from optwise.theory.surveys import NO_NOISE, Survey
from optwise.verbs.lessons.declared import BatchSizes
from optwise.verbs.lessons.lesson import Lesson

SIZES = tuple(2.0**i for i in range(17))
LEAST = 3e-4
"""Least step size of the grid, as a share of the largest stable one; with momentum of that times 1 - beta."""
NEAR = (0.8, 0.87, 0.92, 0.95, 0.97, 0.985, 0.995)
"""Shares close to 1: without noise the best step nearly reaches the limit."""
BETAS = tuple(1 - float(left) for left in np.geomspace(1.0, 2e-3, 18))
DECAYS = tuple(1 - float(left) for left in np.geomspace(1.0, 3e-4, 18))
"""What momentum and averaging are tuned over; beyond, settings swing for longer than the most steps."""
PUBLISHED = BatchSizes()


@dataclass(frozen=True)
class Family:
    """A method with its step size left open, and its averaging where that is tuned too.

    Args:
        make: From a step size and one of the values to the closed rule.
        values: Of beta or decay; one where it is not tuned.
        tuned: What the values are of, empty where there is one.
        summed: Whether the method adds up its gradients, so that its pace is lr / (1 - value).
    """

    make: Callable[[float, float], Rule]
    values: Sequence[float]
    tuned: str = ""
    summed: bool = False


class Setting(NamedTuple):
    """A step size, the value of beta or decay, the share of the largest stable step size, the end of the grid it is."""

    lr: float
    value: float
    share: float
    edge: str


def families(power: float) -> Mapping[str, Family]:
    """The methods of the figure; momentum and averaging once tuned, as in the paper, and once at the usual values."""
    return {
        "sgd": Family(lambda lr, _: SGD(lr=lr), (0.0,)),
        "momentum 0.9": Family(lambda lr, beta: Momentum(lr=lr, momentum=beta), (0.9,), summed=True),
        "momentum 0.99": Family(lambda lr, beta: Momentum(lr=lr, momentum=beta), (0.99,), summed=True),
        "momentum tuned": Family(lambda lr, beta: Momentum(lr=lr, momentum=beta), BETAS, "β", summed=True),
        "ema 0.9": Family(lambda lr, decay: EMA(SGD(lr=lr), decay=decay), (0.9,)),
        "ema tuned": Family(lambda lr, decay: EMA(SGD(lr=lr), decay=decay), DECAYS, "decay"),
        f"preconditioned {power:g}": Family(lambda lr, _: Preconditioned(SGD(lr=lr), power=power), (power,)),
    }


def nqm_batch_size(asked: BatchSizes = PUBLISHED) -> Lesson:
    """Which methods gain from large batches and up to which size, on the noisy quadratic (lecture 7)."""
    rows = batch_size_data(asked)
    figure = batch_size_figure(
        rows,
        dimension=asked.dimension,
        target=asked.target,
        max_steps=asked.max_steps,
        points=asked.points,
        tuned={"β": (BETAS[-1], len(BETAS)), "decay": (DECAYS[-1], len(DECAYS))},
    )
    return Lesson("nqm-batch-size", figure, rows, asked)


def batch_size_data(asked: BatchSizes = PUBLISHED) -> pd.DataFrame:
    """Fewest steps to an expected loss on the noisy quadratic with h = c = 1/i.

    Columns: method, batch_size, ``steps`` (infinite for a miss), the best ``lr``, the ``share`` that it is of the
    largest stable one, whether it is an ``edge`` of the grid (``low``, ``high`` or empty), of what is ``tuned`` beside
    it (``β``, ``decay`` or nothing) the best ``value`` and whether that is the ``last`` one tried, the steps
    ``noiseless`` gradients need, and the ``critical`` batch size.
    """
    blocks = [surveyed(asked, name, family) for name, family in families(asked.power).items()]
    return pd.concat(blocks, ignore_index=True)


def shares(points: int, *, least: float = LEAST) -> list[float]:
    """Step sizes as shares of the largest stable one: evenly on a log scale, then closer and closer to 1.

    Args:
        points: How many.
        least: The first.

    Example:
        >>> [round(share, 5) for share in shares(9)]
        [0.0003, 0.7, 0.8, 0.87, 0.92, 0.95, 0.97, 0.985, 0.995]
    """
    return [*np.geomspace(least, 0.7, points - len(NEAR)).tolist(), *NEAR]


def limit_of(family: Family, value: float) -> float:
    """The largest stable step size: that of the steepest direction, whose curvature is 1.

    An average of the points is no part of the steps, and moves no limit.
    """
    rule = family.make(1.0, value)
    return _largest(rule.inner if isinstance(rule, EMA) else rule)


@cache
def _largest(rule: Rule) -> float:
    return max_lr(nqm(h=[1.0]), rule)


def surveyed(asked: BatchSizes, name: str, family: Family) -> pd.DataFrame:
    """One method's rows.

    Args:
        asked: Dimension, target, limit of steps and number of step sizes.
        name: Of the method.
        family: What is tried.
    """
    problem = nqm(d=asked.dimension)
    tried = [
        Setting(share * limit, value, share, {0: "low", asked.points - 1: "high"}.get(i, ""))
        for value in family.values
        for limit in [limit_of(family, value)]
        for i, share in enumerate(shares(asked.points, least=LEAST * (1 - value * family.summed)))
    ]
    rules = [family.make(setting.lr, setting.value) for setting in tried]
    steps = steps_to(problem, rules, asked.target, [*SIZES, NO_NOISE], max_steps=asked.max_steps)
    noiseless = steps[:, -1]
    found = Survey(
        problem=problem.name,
        method=name,
        space=family.make(1.0, family.values[0]).space,
        points=tuple(setting._asdict() for setting in tried),
        batch_sizes=np.array(SIZES),
        steps=steps[:, :-1],
        target=asked.target,
        max_steps=asked.max_steps,
        noiseless=noiseless,
    )
    least = found.least()
    best = [tried[int(steps[:, i].argmin())] if np.isfinite(least[i]) else None for i in range(len(SIZES))]
    return pd.DataFrame(
        {
            "method": name,
            "batch_size": SIZES,
            "steps": least,
            "lr": [setting.lr if setting else np.nan for setting in best],
            "share": [setting.share if setting else np.nan for setting in best],
            "edge": [setting.edge if setting else "" for setting in best],
            "last": [bool(setting and family.tuned and setting.value == family.values[-1]) for setting in best],
            "tuned": family.tuned,
            "value": [setting.value if setting and family.tuned else np.nan for setting in best],
            "noiseless": float(noiseless.min()),
            "critical": found.critical_batch_size,
        }
    )
