"""Steps to a target against the batch size, every method tuned at every batch size."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from optwise.core.method import Rule
from optwise.core.space import LogUniform
from optwise.methods import EMA, SGD, Momentum, Preconditioned
from optwise.problems import nqm
from optwise.report.lessons.batch_size import batch_size_figure
from optwise.theory import max_lr, survey
from optwise.verbs.lessons.lesson import Lesson

DIMENSION, TARGET, MAX_STEPS = 100, 0.01, 20_000
BATCH_SIZES = tuple(2.0**i for i in range(17))
LRS, POINTS = LogUniform(10**-3.2, 10**0.3), 29

METHODS: Mapping[str, Rule] = {
    "sgd": SGD(lr=LRS),
    "momentum 0.9": Momentum(lr=LRS, momentum=0.9),
    "momentum 0.99": Momentum(lr=LRS, momentum=0.99),
    "ema 0.9": EMA(SGD(lr=LRS), decay=0.9),
    "preconditioned 0.5": Preconditioned(SGD(lr=LRS), power=0.5),
}


def nqm_batch_size() -> Lesson:
    """Which methods gain from large batches and up to which size, on the noisy quadratic (lecture 7)."""
    rows = batch_size_data()
    figure = batch_size_figure(
        rows, dimension=DIMENSION, target=TARGET, max_steps=MAX_STEPS, points=POINTS, lrs=(LRS.low, LRS.high)
    )
    return Lesson("nqm-batch-size", figure, rows)


def batch_size_data() -> pd.DataFrame:
    """Fewest steps to an expected loss of 0.01 on the noisy quadratic with h = c = 1/i, d = 100.

    Columns: method, batch_size, ``steps`` (infinite for a miss), the best ``lr`` and whether it is an ``edge`` of the
    grid (``low``, ``high`` or empty), the largest stable ``max_lr``, the steps ``noiseless`` gradients need, and the
    ``critical`` batch size.
    """
    problem = nqm(d=DIMENSION)
    blocks = []
    for name, method in METHODS.items():
        found = survey(problem, method, TARGET, BATCH_SIZES, points=POINTS, max_steps=MAX_STEPS)
        steps = found.least()
        hit = [size for size, k in zip(BATCH_SIZES, steps, strict=True) if np.isfinite(k)]
        best = {size: (float(found.best(size)["lr"]), found.at_edge(size).get("lr", "")) for size in hit}
        blocks.append(
            pd.DataFrame(
                {
                    "method": name,
                    "batch_size": BATCH_SIZES,
                    "steps": steps,
                    "lr": [best.get(size, (np.nan, ""))[0] for size in BATCH_SIZES],
                    "edge": [best.get(size, (np.nan, ""))[1] for size in BATCH_SIZES],
                    "max_lr": max_lr(problem, method.close({"lr": LRS.high})),
                    "noiseless": float(found.noiseless.min()),
                    "critical": found.critical_batch_size,
                }
            )
        )
    return pd.concat(blocks, ignore_index=True)
