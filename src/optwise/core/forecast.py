"""What theory says of a run before it is run."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from optwise.core.cards import forecast_card
from optwise.core.counts import real_number
from optwise.core.errors import BadProtocol
from optwise.core.metric import OBJECTIVE, Direction, Target
from optwise.core.showing import Card, Shown

BLOW_UP = 1e6
"""A risk this many times that of the start is called divergence."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Forecast(Shown):
    r"""The expected risk of a method on a noisy quadratic, step by step.

    .. math:: \text{risk}_k = \mathbb E f(w_k) - f^\star = \text{bias}_k + \text{noise}_k / B

    Args:
        bias: What the start leaves behind [k + 1], at steps 0 to k: the risk of noiseless gradients.
        noise: What the noise of batches of one adds [k + 1]. Where noise does not scale with 1/B (a data set drawn
            without replacement, rows that multiply), it is B times what batches of B add.
        batch_size: B.
        deviation: Standard deviation of :math:`f(w_k)` over runs [k + 1], for normal noise; ``None`` where unknown.
        floor: Limit of the risk, infinite beyond stability; ``None`` where the step keeps changing, or there is none.
        rates: Asymptotic factor per step on the error of each coordinate with curvature [d], the distance of its mean
            to where it settles; ``None`` where the step keeps changing.
        risk_rate: Asymptotic factor per step on the risk's distance to its floor, where noise multiplies; ``None``
            where the risk falls with the square of ``rates``.
        grows: Whether the risk grows without end; ``None`` where that is not known, as the step keeps changing.
        edge: Whether the method stands on the edge of stability, where the slightest larger step diverges.
        elsewhere: The part of the floor that noise has no part in, as where weight decay pulls away from the optimum.
        nodes: Curvatures that were computed with.
        bound: Bound on the error that compressing the spectrum made in any entry of ``bias`` plus ``noise`` / B.
        share: The same in any entry relative to the risk there.
        metric: What is predicted, by full name.
        optimum: Its best value; ``risk`` is the excess over it.
        batch_sizes: Of each step [k], where they change; ``batch_size`` is then their mean, ``floor`` and ``rates`` are
            those of the last.
        epochs: Whether batches of rows without replacement have each epoch an order of its own, and so no floor.
    """

    bias: Floats
    noise: Floats
    batch_size: float
    deviation: Floats | None = None
    floor: float | None = None
    rates: Floats | None = None
    risk_rate: float | None = None
    grows: bool | None = None
    edge: bool = False
    elsewhere: float = 0.0
    nodes: int = 0
    bound: float = 0.0
    share: float = 0.0
    metric: str = OBJECTIVE
    optimum: float = 0.0
    batch_sizes: Floats | None = None
    epochs: bool = False

    @property
    def batch_words(self) -> str:
        """How large the batches are, for a sentence."""
        if self.batch_sizes is None:
            return f"{self.batch_size:g}"
        return f"{self.batch_sizes.min():g} to {self.batch_sizes.max():g}, {self.batch_size:.6g} on average"

    @property
    def risk(self) -> Floats:
        """Expected excess over the optimum [k + 1]."""
        with np.errstate(over="ignore"):
            return self.bias + self.noise / self.batch_size

    @property
    def rate(self) -> float | None:
        """Factor per step in the slowest direction: on the risk where noise multiplies, else on the error.

        Above 1 the method diverges; at 1 it is at the edge.
        """
        if self.risk_rate is not None:
            return self.risk_rate
        return None if self.rates is None or self.rates.size == 0 else float(self.rates.max())

    @property
    def diverges(self) -> bool:
        """Whether the risk grows without end: beyond stability, or, where the step keeps changing, by a millionfold."""
        if self.grows is not None:
            return self.grows
        if self.rate is not None:
            return self.rate > 1 or self.floor == np.inf
        last, first = float(self.risk[-1]), max(float(self.risk[0]), float(self.risk[1]))
        return not (np.isfinite(last) and last <= BLOW_UP * first)

    @property
    def rate_words(self) -> str:
        """What the rate is a factor of, as a line; empty where there is none."""
        rate = self.rate
        if rate is None:
            return ""
        line = f"rate {rate:.6g}: factor per step on the "
        if self.risk_rate is not None:
            away = "risk's distance to its floor" if self.floor else "risk"
            return f"{line}{away}, by its second moments, since noise multiplies"
        line += "error in the slowest direction"
        if rate >= 1:
            return f"{line}{', which neither falls nor grows' if rate == 1 else ''}"
        nears = self.elsewhere > 0
        return f"{line}; the risk {'nears its floor with it' if nears else 'falls with its square'}"

    @property
    def floor_words(self) -> str:
        """What the floor is, or why there is none, as a line."""
        if self.floor is None:
            if self.rates is None and not self.epochs:
                return "no floor: the step keeps changing"
            edge = "at the edge of stability the risk keeps what it has"
            return f"no floor: {edge if self.edge else 'the risk goes up and down with the epochs'}"
        line = f"floor {self.floor:.4g}: "
        if self.edge and np.isfinite(self.floor):
            return f"{line}what is left of the start at the edge of stability"
        if self.floor == 0:
            return f"{line}nothing holds the risk up"
        if not 0 < self.elsewhere < np.inf:
            return f"{line}what noise holds the risk up at, for ever"
        return f"{line}{self.elsewhere:.4g} where the mean comes to rest beside the optimum, the rest is noise"

    def steps_to(self, target: float | Target) -> int | None:
        """First step whose risk is at most ``target``; ``None`` for a miss within these steps.

        Args:
            target: An excess over the optimum, or a target on the predicted metric itself.

        Raises:
            BadProtocol: A target on another metric, or one that asks for more; no number.
        """
        if isinstance(target, Target):
            if target.metric != self.metric or target.direction is not Direction.MIN:
                raise BadProtocol(f"Predicted is {self.metric}, not {target}; give a target {self.metric}<=VALUE.")
            target = target.value - self.optimum
        target = real_number(target, "A target", "give the excess over the optimum that is to be met, as 0.01")
        if np.isnan(target):
            raise BadProtocol("A target of nan is met by no risk; give the excess over the optimum to be met, as 0.01.")
        hits = np.flatnonzero(self.risk <= target)
        return int(hits[0]) if hits.size else None

    def card(self) -> Card:
        return forecast_card(self)
