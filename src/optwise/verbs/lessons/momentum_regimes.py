"""Heavy-ball momentum, direction by direction: how fast, how noisy, how far from the edge of stability."""

from __future__ import annotations

import numpy as np
import pandas as pd

from optwise.methods import SGD, Momentum
from optwise.problems import nqm
from optwise.report.lessons.momentum import momentum_figure
from optwise.theory import floor, max_lr, rates
from optwise.verbs.lessons.declared import MomentumRegimes
from optwise.verbs.lessons.lesson import Lesson

FLOOR_BETAS = (0.0, 0.25, 0.5, 0.75, 0.9, 0.95, 0.98, 0.99)
STABLE_BETAS = (0.0, 0.2, 0.4, 0.6, 0.8, 0.98)
PUBLISHED = MomentumRegimes()


def momentum_regimes(asked: MomentumRegimes = PUBLISHED) -> Lesson:
    """What momentum does to each direction: its rate, its noise floor, its largest stable step (lectures 7 and 8)."""
    speed, noise, limit = rate_data(asked), floor_data(asked), limit_data()
    rows = pd.concat([speed, noise, limit], ignore_index=True)
    figure = momentum_figure(speed, noise, limit, lr=asked.lr, beta=asked.beta)
    return Lesson("momentum-regimes", figure, rows, asked)


def rate_data(asked: MomentumRegimes = PUBLISHED) -> pd.DataFrame:
    """The factor per step on the error, at step size 1, by curvature: columns panel, beta, lr_h, rate."""
    blocks = []
    for beta in asked.betas:
        ends = [(1 - np.sqrt(beta)) ** 2, (1 + np.sqrt(beta)) ** 2, 2 * (1 + beta)]  # where the rate has corners
        near = ends[2] - np.geomspace(1e-6, ends[2] / 2, 90)  # where it falls to nothing
        lr_h = np.unique([*np.geomspace(1e-5, 4.0, 400), *near, *ends])
        lr_h = lr_h[lr_h >= 1e-5]
        found = rates(nqm(h=lr_h), Momentum(lr=1.0, momentum=beta))
        blocks.append(pd.DataFrame({"panel": "rate", "beta": beta, "lr_h": lr_h, "rate": found}))
    return pd.concat(blocks, ignore_index=True)


def floor_data(asked: MomentumRegimes = PUBLISHED) -> pd.DataFrame:
    """Noise floors on one direction with h = c = B = 1: columns panel, beta, floor, same_pace.

    ``floor`` keeps lr, ``same_pace`` keeps lr / (1 - beta).
    """
    problem = nqm(h=[1.0], c=[1.0], batch_size=1)

    def floor_of(beta: float, lr: float) -> float:
        found = floor(problem, Momentum(lr=lr, momentum=beta) if beta else SGD(lr=lr))
        assert found is not None
        return found

    betas = sorted({*FLOOR_BETAS, asked.beta})
    rows = [(beta, floor_of(beta, asked.lr), floor_of(beta, asked.lr * (1 - beta))) for beta in betas]
    return pd.DataFrame(rows, columns=["beta", "floor", "same_pace"]).assign(panel="floor")


def limit_data() -> pd.DataFrame:
    """Largest stable step size times curvature, searched for: columns panel, beta, max_lr_h."""
    one = nqm(h=[1.0], c=[1.0])
    limits = [max_lr(one, Momentum(lr=1.0, momentum=beta)) for beta in STABLE_BETAS]
    return pd.DataFrame({"panel": "stability", "beta": STABLE_BETAS, "max_lr_h": limits})
