"""What theory says of a run before it is run."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from optwise.core.cards import forecast_card
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
        floor: Limit of the risk, infinite beyond stability; ``None`` where the step keeps changing.
        rates: Asymptotic factor per step on the error of each coordinate with curvature [d]; ``None`` where the step
            keeps changing.
        nodes: Curvatures that were computed with.
        bound: Bound on the error that compressing the spectrum made in any entry of ``bias`` plus ``noise``.
        metric: What is predicted, by full name.
        optimum: Its best value; ``risk`` is the excess over it.
    """

    bias: Floats
    noise: Floats
    batch_size: float
    deviation: Floats | None = None
    floor: float | None = None
    rates: Floats | None = None
    nodes: int = 0
    bound: float = 0.0
    metric: str = OBJECTIVE
    optimum: float = 0.0

    @property
    def risk(self) -> Floats:
        """Expected excess over the optimum [k + 1]."""
        return self.bias + self.noise / self.batch_size

    @property
    def rate(self) -> float | None:
        """Factor per step on the error in the slowest direction; above 1 the method diverges."""
        return None if self.rates is None or self.rates.size == 0 else float(self.rates.max())

    @property
    def diverges(self) -> bool:
        """Whether the risk grows without end: beyond stability, or, where the step keeps changing, by a millionfold."""
        if self.rate is not None:
            return self.rate > 1 or self.floor == np.inf
        return not self.risk[-1] <= BLOW_UP * max(float(self.risk[0]), float(self.risk[1]))

    def steps_to(self, target: float | Target) -> int | None:
        """First step whose risk is at most ``target``; ``None`` for a miss within these steps.

        Args:
            target: An excess over the optimum, or a target on the predicted metric itself.

        Raises:
            BadProtocol: A target on another metric, or one that asks for more.
        """
        if isinstance(target, Target):
            if target.metric != self.metric or target.direction is not Direction.MIN:
                raise BadProtocol(f"Predicted is {self.metric}, not {target}; give a target {self.metric}<=VALUE.")
            target = target.value - self.optimum
        hits = np.flatnonzero(self.risk <= target)
        return int(hits[0]) if hits.size else None

    def card(self) -> Card:
        return forecast_card(self)
