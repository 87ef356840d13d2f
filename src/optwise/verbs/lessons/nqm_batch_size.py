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
from optwise.theory import max_lr
from optwise.theory.models import nodes_of, offset_of, quadratic_of
from optwise.theory.searches import Asked, searched
from optwise.theory.surveys import NO_NOISE, Survey
from optwise.verbs.lessons.declared import BatchSizes
from optwise.verbs.lessons.fewest_steps import Floats, Looked, Range, fewest_steps
from optwise.verbs.lessons.lesson import Lesson

SIZES = tuple(2.0**i for i in range(17))
LEAST = 3e-4
"""Least step size of the grid, as a share of the largest stable one; with momentum of that times 1 - beta."""
LOW, HIGH = 1e-8, 0.9999
"""Shares between which step sizes are refined: those of more steps than may be asked for lie beyond."""
NEAR = (0.8, 0.87, 0.92, 0.95, 0.97, 0.985, 0.995)
"""Shares close to 1: without noise the best step nearly reaches the limit."""
BETAS = tuple(1 - float(left) for left in np.geomspace(1.0, 2e-3, 18))
DECAYS = tuple(1 - float(left) for left in np.geomspace(1.0, 3e-4, 18))
"""What momentum and averaging are tuned over; beyond, settings swing for longer than the most steps."""
SCANNED, LEAST_SCAN, MOST_SCAN = 40_000, 200, 2000
"""Settings times curvatures of the scan that goes before refining, and how many settings it has at least and most."""
PUBLISHED = BatchSizes()


@dataclass(frozen=True)
class Family:
    """A method with its step size left open, and its averaging where that is tuned too.

    Args:
        make: From a step size and one of the values to the closed rule.
        values: Of beta or decay; one where it is not tuned.
        tuned: What the values are of, empty where there is one.
        summed: Whether the method adds up its gradients, so that its pace is lr / (1 - value).
        cases: Methods whose settings are among those of this one.
    """

    make: Callable[[float, float], Rule]
    values: Sequence[float]
    tuned: str = ""
    summed: bool = False
    cases: tuple[str, ...] = ()


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
        "momentum tuned": Family(
            lambda lr, beta: Momentum(lr=lr, momentum=beta),
            BETAS,
            "β",
            summed=True,
            cases=("sgd", "momentum 0.9", "momentum 0.99"),
        ),
        "ema 0.9": Family(lambda lr, decay: EMA(SGD(lr=lr), decay=decay), (0.9,)),
        "ema tuned": Family(lambda lr, decay: EMA(SGD(lr=lr), decay=decay), DECAYS, "decay", cases=("sgd", "ema 0.9")),
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
    largest stable one, whether it is an ``edge`` of what is tried (``low``, ``high`` or empty), of what is ``tuned``
    beside it (``β``, ``decay`` or nothing) the best ``value`` and whether that is the ``last`` one tried, the steps
    ``noiseless`` gradients need, and the ``critical`` batch size.
    """
    found: dict[str, Tuned] = {}
    for name, family in families(asked.power).items():
        found[name] = tuned(asked, family, [own for case in family.cases for own in found[case].settings])
    return pd.concat([each.rows(name) for name, each in found.items()], ignore_index=True)


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


class Counting:
    """The steps of a family's settings by their places.

    A place is the log odds of the share of the largest stable step size and, where one is tuned, log(1 - value).

    Args:
        asked: Dimension, target, limit of steps and number of step sizes.
        family: What is tried.
    """

    def __init__(self, asked: BatchSizes, family: Family) -> None:
        self.asked, self.family = asked, family
        self.problem = nqm(d=asked.dimension)
        self.nodes = nodes_of(quadratic_of(self.problem), offset_of(self.problem))
        # that of momentum is linear in it, that of averages does not depend on it
        ends = family.values[0], family.values[-1]
        self.limits = np.interp(family.values, ends, [limit_of(family, value) for value in ends])

    def ends(self) -> Floats:
        """The least and the largest places."""
        ends = np.array([[_odds(LOW), np.log(1 - self.family.values[-1])], [_odds(HIGH), 0.0]])
        return ends if self.family.tuned else ends[:, :1]

    def setting(self, place: Floats) -> Setting:
        """What is at a place."""
        share = 1 / (1 + np.exp(-place[0]))
        value = float(1 - np.exp(place[1])) if self.family.tuned else self.family.values[0]
        limit = float(np.interp(value, self.family.values, self.limits))
        edge = "low" if share <= 1.001 * LOW else "high" if 1 - share <= 1.001 * (1 - HIGH) else ""
        return Setting(float(share) * limit, value, float(share), edge)

    def place(self, lr: float, value: float) -> list[float]:
        """Where a setting is."""
        share = lr / float(np.interp(value, self.family.values, self.limits))
        return [_odds(share), float(np.log(1 - value))] if self.family.tuned else [_odds(share)]

    def __call__(self, places: Floats, sizes: Floats, most: int) -> Floats:
        """First steps [T, B]."""
        settings = [self.setting(place) for place in places]
        rules = [self.family.make(setting.lr, setting.value) for setting in settings]
        return searched(rules, self.nodes, Asked(self.asked.target, sizes, most)).steps

    def grid(self) -> tuple[Floats, Floats]:
        """The places to begin with and how far they lie from their neighbours."""
        places, gaps = [], []
        v = np.log(1 - np.array(self.family.values))
        between = float(np.abs(np.diff(v)).max(initial=0.0))
        for value, limit in zip(self.family.values, self.limits, strict=True):
            own = [self.place(share * limit, value) for share in self.shares(value)]
            u = np.array(own)[:, 0]
            steps = np.diff(u)
            wide = np.maximum(np.append(steps, steps[-1]), np.append(steps[0], steps))
            places += own
            gaps += [[float(w), between][: len(own[0])] for w in wide]
        return np.array(places), np.array(gaps)

    def shares(self, value: float) -> list[float]:
        """The step sizes to begin with."""
        return shares(self.asked.points, least=LEAST * (1 - value * self.family.summed))


def _odds(share: float) -> float:
    return float(np.log(share) - np.log1p(-share))


@dataclass(frozen=True, eq=False)
class Tuned:
    """The settings of a family that are best at a batch size or without noise, and the steps that each of them needs.

    Args:
        asked: What was asked.
        family: What was tried.
        settings: T of them.
        steps: At each batch size and, last, without noise [T, B + 1]; one row of misses where there are none.
    """

    asked: BatchSizes
    family: Family
    settings: Sequence[Setting]
    steps: Floats

    def rows(self, method: str) -> pd.DataFrame:
        """One row a batch size, as :func:`batch_size_data` describes them."""
        family, steps, noiseless = self.family, self.steps[:, :-1], self.steps[:, -1]
        survey = Survey(
            problem=nqm(d=self.asked.dimension).name,
            method=method,
            space=family.make(1.0, family.values[0]).space,
            points=tuple(setting._asdict() for setting in self.settings),
            batch_sizes=np.array(SIZES),
            steps=steps,
            target=self.asked.target,
            max_steps=self.asked.max_steps,
            noiseless=noiseless,
        )
        least = survey.least()
        best = [self._best(steps[:, i]) if np.isfinite(least[i]) else None for i in range(len(SIZES))]
        beyond = 1.001 * (1 - family.values[-1])  # what is left of 1 there
        return pd.DataFrame(
            {
                "method": method,
                "batch_size": SIZES,
                "steps": least,
                "lr": [setting.lr if setting else np.nan for setting in best],
                "share": [setting.share if setting else np.nan for setting in best],
                "edge": [setting.edge if setting else "" for setting in best],
                "last": [bool(setting and family.tuned and 1 - setting.value <= beyond) for setting in best],
                "tuned": family.tuned,
                "value": [setting.value if setting and family.tuned else np.nan for setting in best],
                "noiseless": float(noiseless.min()),
                "critical": survey.critical_batch_size,
            }
        )

    def _best(self, steps: Floats) -> Setting:
        """Of equals the one that averages least, and of those the one in the middle."""
        equal = [self.settings[int(i)] for i in np.flatnonzero(steps == steps.min())]
        least = min(setting.value for setting in equal)
        equal = sorted((each for each in equal if each.value <= least + 1e-9), key=lambda each: each.lr)
        return equal[len(equal) // 2]


def tuned(asked: BatchSizes, family: Family, besides: Sequence[Setting] = ()) -> Tuned:
    """The best settings of a method: those of a grid, refined until steps no longer fall.

    Args:
        asked: Dimension, target, limit of steps and number of step sizes.
        family: What is tried.
        besides: Settings that are tried, too: the best of the method's special cases.
    """
    counting = Counting(asked, family)
    places, gaps = counting.grid()
    if besides:
        more = np.array([counting.place(each.lr, each.value) for each in besides])
        places, gaps = np.concatenate([places, more]), np.concatenate([gaps, np.tile(gaps.min(0), (len(more), 1))])
    sizes = np.array([*SIZES, NO_NOISE])
    grid = Looked(places, counting(places, sizes, asked.max_steps), gaps)
    scan = min(max(SCANNED // asked.dimension, LEAST_SCAN), MOST_SCAN)
    found = fewest_steps(counting, grid, Range(sizes, asked.max_steps, counting.ends(), scan))
    steps = found.steps if len(found.steps) else np.full((1, len(sizes)), np.inf)
    return Tuned(asked, family, [counting.setting(place) for place in found.places], steps)
