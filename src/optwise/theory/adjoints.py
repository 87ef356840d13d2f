r"""The expected risk of a run as a function of all its learning rates: forward once, and backward once for them all.

With second moments :math:`S_{k+1} = A_k S_k A_k^\top + \sigma_k v_k v_k^\top` and a risk
:math:`J = \sum_k \omega_k \langle \tfrac12 h\, u u^\top, S_k \rangle`, what a change of :math:`S_k` is worth obeys

.. math:: \Lambda_k = A_k^\top \Lambda_{k+1} A_k + \omega_k \tfrac12 h\, u u^\top, \qquad
    \frac{\partial J}{\partial \eta_k} = 2 \langle \Lambda_{k+1}, A_{k,1} S_k A_k^\top + \sigma_k v_{k,1} v_k^\top
    \rangle .

In a single :math:`\eta_k`, J is a parabola that opens upward, so that each can be set to its best while the others
stand: the sweeps.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from optwise.theory.affine_steps import AffineRun, AffineStep
from optwise.theory.coordinates import Coordinates
from optwise.theory.matrices import Floats, applied, congruence, inner, outer, product

KEPT_NUMBERS = 2**25
"""Numbers of second moments that are kept from the way forward; of a longer run only every so many steps are kept, and
those in between are computed twice."""


@dataclass(frozen=True, eq=False)
class Cost:
    """The expected risk, at the end or weighed over the run.

    Args:
        run: Steps of the rule at any learning rates.
        at: Curvatures.
        batches: Batch size of each step [K].
        weights: What the risk after 0 to K steps counts [K + 1].
        design: Whether noise multiplies, as on fresh Gaussian rows.
    """

    run: AffineRun
    at: Coordinates
    batches: Floats
    weights: Floats
    design: bool

    @property
    def steps(self) -> int:
        """K."""
        return len(self.batches)

    def begin(self) -> Floats:
        """Second moments at the start [m, m, N]."""
        own, far, at = self.run.start, self.run.far, self.at
        mixed = outer(own, far) + outer(far, own)
        return outer(own, own) * at.start + mixed * at.cross + outer(far, far) * at.square

    def noise(self, S: Floats, k: int) -> Floats:
        """Variance of the gradient [N] at second moments ``S``."""
        h, c, B = self.at.h, self.at.c, self.batches[k]
        if not self.design:
            return np.asarray(c / B)
        return np.asarray((h**2 * S[0, 0] + h * float(S[0, 0] @ (h * self.at.count)) + c) / B)

    def after(self, S: Floats, k: int, lr: float) -> Floats:
        """Second moments one step on."""
        A, v = self.run.steps[k].at(lr)
        return _congruent(A, S) + _square(v) * self.noise(S, k)

    def before(self, worth: Floats, k: int, lr: float) -> Floats:
        """What second moments are worth before step ``k`` [m, m, N], from what they are worth after it."""
        A, v = self.run.steps[k].at(lr)
        found = _congruent(_transposed(A), worth)
        if self.design:
            h, count, B = self.at.h, self.at.count, self.batches[k]
            q = _form(worth, v)
            found = found.copy()
            found[0, 0] += (h**2 * q + h * count * float(h @ q)) / B
        return found + self.counted(k)

    def counted(self, k: int) -> Floats:
        """What the risk after ``k`` steps makes second moments worth [m, m, N]."""
        weight = float(self.weights[k])
        u = self.run.first if k == 0 else self.run.steps[k - 1].u
        half = 0.5 * self.at.h * self.at.count
        return _square(u) * (weight * half) if weight else np.zeros((1, 1, 1))

    def parabola(self, worth: Floats, S: Floats, k: int, lr: float) -> tuple[float, float]:
        """How the cost moves with the learning rate of step ``k``: its slope at ``lr``, and half its curvature."""
        step: AffineStep = self.run.steps[k]
        (A, v), noise = step.at(lr), self.noise(S, k)
        if len(v) == 1:
            value, a, b = worth[0, 0], step.slope[0, 0], step.v_slope[0]
            moved, added = value * a * S[0, 0], value * b * noise
            return 2 * float(np.sum(moved * A[0, 0] + added * v[0])), float(np.sum(moved * a + added * b))
        moved = product(worth, product(step.slope, S))
        pushed = applied(worth, step.v_slope) * noise
        slope = 2 * float(np.sum(moved * A) + np.sum(pushed * v))
        return slope, float(np.sum(moved * step.slope) + np.sum(pushed * step.v_slope))

    def value(self, lrs: Floats) -> float:
        """The cost."""
        total, S = 0.0, self.begin()
        with np.errstate(over="ignore", invalid="ignore"):
            for k, lr in enumerate(lrs):
                total += self.counted_risk(S, k)
                S = self.after(S, k, lr)
            return _or_inf(total + self.counted_risk(S, self.steps))

    def risks(self, lrs: Floats) -> Floats:
        """The expected risk after every step from 0, whatever counts [K + 1]."""
        found, S, half = np.empty(self.steps + 1), self.begin(), 0.5 * self.at.h * self.at.count
        with np.errstate(over="ignore", invalid="ignore"):
            for k in range(self.steps + 1):
                u = self.run.first if k == 0 else self.run.steps[k - 1].u
                found[k] = _form(S, u) @ half
                S = self.after(S, k, lrs[k]) if k < self.steps else S
        return found

    def values_of_constants(self, lrs: Floats) -> Floats:
        """The cost of every constant learning rate."""
        return np.array([self.value(np.full(self.steps, lr)) for lr in lrs])

    def gradient(self, lrs: Floats) -> tuple[float, Floats]:
        """The cost and its derivative by the learning rate of every step [K]: one pass forward, one backward."""
        found = np.zeros(self.steps)
        worth = self.counted(self.steps)
        with np.errstate(over="ignore", invalid="ignore"):
            path = Path(self, lrs)
            for k, S in path.backward():
                found[k] = self.parabola(worth, S, k, lrs[k])[0]
                worth = self.before(worth, k, lrs[k])
        return path.value, found

    def swept_backward(self, lrs: Floats, best: Callable[[int, float, float, float], float]) -> Floats:
        """Every learning rate set to its best, the last one first, those after it having been set before."""
        found, worth = lrs.copy(), self.counted(self.steps)
        for k, S in Path(self, lrs).backward():
            found[k] = best(k, lrs[k], *self.parabola(worth, S, k, lrs[k]))
            worth = self.before(worth, k, found[k])
        return found

    def swept_forward(self, lrs: Floats, best: Callable[[int, float, float, float], float]) -> Floats:
        """Every learning rate set to its best, the first one first."""
        found, S = lrs.copy(), self.begin()
        for k, worth in self._worths(lrs):
            found[k] = best(k, lrs[k], *self.parabola(worth, S, k, lrs[k]))
            S = self.after(S, k, found[k])
        return found

    def _worths(self, lrs: Floats) -> Iterator[tuple[int, Floats]]:
        """What second moments are worth after each step, the first step first."""
        length, K = self.stretch(), self.steps
        kept = {K: self.counted(K)}
        worth = kept[K]
        for k in range(K - 1, 0, -1):
            worth = self.before(worth, k, lrs[k])
            if k % length == 0:
                kept[k] = worth
        for begin in range(0, K, length):
            end = min(begin + length, K)
            stretch = [kept[end]]
            for k in range(end - 1, begin, -1):
                stretch.append(self.before(stretch[-1], k, lrs[k]))
            yield from ((k, stretch.pop()) for k in range(begin, end))

    def stretch(self) -> int:
        """Steps between two that are kept: all of them where they fit, else about as many as are kept."""
        numbers = self.begin().size
        if self.steps * numbers <= KEPT_NUMBERS:
            return max(self.steps, 1)
        return math.ceil(math.sqrt(self.steps))

    def counted_risk(self, S: Floats, k: int) -> float:
        """What second moments after ``k`` steps add to the cost."""
        return float(np.sum(self.counted(k) * S)) if self.weights[k] else 0.0


class Path:
    """Second moments on the way, kept now and then."""

    def __init__(self, cost: Cost, lrs: Floats) -> None:
        self.cost, self.lrs, self.length = cost, lrs, cost.stretch()
        self._kept, S, total = [], cost.begin(), 0.0
        whole: list[Floats] = []
        for k, lr in enumerate(lrs):
            if k % self.length == 0:
                self._kept.append(S)
            if self.length >= len(lrs):
                whole.append(S)
            total += cost.counted_risk(S, k)
            S = cost.after(S, k, lr)
        self._whole = whole
        self.value = _or_inf(total + cost.counted_risk(S, len(lrs)))

    def backward(self) -> Iterator[tuple[int, Floats]]:
        """Every step and the second moments before it, the last step first."""
        if self._whole:
            yield from ((k, self._whole[k]) for k in range(len(self._whole) - 1, -1, -1))
            return
        for place in range(len(self._kept) - 1, -1, -1):
            begin = place * self.length
            states = [self._kept[place]]
            for k in range(begin, min(begin + self.length, len(self.lrs)) - 1):
                states.append(self.cost.after(states[-1], k, self.lrs[k]))
            yield from ((begin + i, states[i]) for i in range(len(states) - 1, -1, -1))


def _congruent(A: Floats, S: Floats) -> Floats:
    return A * A * S if len(A) == 1 else congruence(A, S)


def _transposed(A: Floats) -> Floats:
    return A if len(A) == 1 else np.swapaxes(A, 0, 1)


def _square(v: Floats) -> Floats:
    return (v * v)[None] if len(v) == 1 else outer(v, v)


def _form(worth: Floats, v: Floats) -> Floats:
    if len(v) == 1:
        return np.asarray(np.broadcast_to(worth[0, 0] * v[0] * v[0], v[0].shape))
    return np.asarray(np.broadcast_to(inner(applied(worth, v), v), v[0].shape))


def _or_inf(value: float) -> float:
    return math.inf if math.isnan(value) else value
