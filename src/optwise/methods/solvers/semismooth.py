"""A quadratic with a separable penalty, on few coordinates: Newton steps on the residual of its proximal map."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from optwise.core.penalty import Penalty
from optwise.methods.solvers.active_systems import ActiveSystem

SUFFICIENT = 1e-2
"""Share of the decrease that the slope promises which a step must achieve."""
SETTLED = 0.1
"""Violation off zero, relative to the largest at zero, from which other coordinates may leave zero."""
SHORTEST = 1e-12
"""Share of its usual length below which the step of the proximal map is not shortened."""
FEWER, MORE = 0.2, 2.0
"""Factors of how many may leave zero at once: after a step that was refused, and after one that was not."""
POINTS = 32
"""Crossings of zero at which the function is evaluated together."""
PROXIMAL_STEPS, LOOKS = 100, 10
"""Accelerated proximal gradient steps where no Newton step gets on, and after how many of them signs are compared."""
EASED = 0.9
"""Share of the violation that those may leave, or else later Newton steps are cautious."""
POWER_STEPS = 10
"""Of the power method for the largest eigenvalue that those need."""


@dataclass(frozen=True, eq=False)
class Place:
    """A point of the small problem.

    Args:
        x: The point [k].
        gradient: Of the quadratic [k].
        penalty: Value of the penalty.
        violations: Distances of minus the gradient to the subdifferential [k].
        violation: The largest of them.
    """

    x: Tensor
    gradient: Tensor
    penalty: float
    violations: Tensor
    violation: float


@final
class SmallProblem:
    r"""A quadratic around a point, with a separable convex penalty.

    .. math:: \min_x \; \langle g_0, x - x_0 \rangle + \tfrac12 \langle x - x_0, H (x - x_0) \rangle + g(x)

    A point is optimal where it is a fixed point of the proximal gradient map, and a Newton step on that equation,

    .. math:: x = \operatorname{prox}_{t g}(x - t \nabla q(x)), \qquad
        \Big(H_{AA} + \tfrac1t (D_A^{-1} - 1)\Big) d_A = -\frac{F_A}{t D_A} - H_{AI} d_I, \quad d_I = -F_I,

    with F the difference of both sides and D the derivative of the map, 0 on I: a system on the active coordinates
    alone. Where the step leads across zero, coordinates that the map had on the other side are first tried at zero. A
    step counts if the function falls sufficiently, or if rounding hides how it changes and the violation is halved.

    Where no step counts, signs are wrong: accelerated proximal gradient steps are taken until signs stand still. If the
    violation is hardly less then, all later steps are cautious. No coordinate leaves zero before those off zero are
    settled, and only the largest violations do; a step that does not count ends at the lowest of its crossings of zero.
    With one coordinate at a time every step is a descent direction. That is slow where all would go well, and the only
    way where active columns depend on each other, as with more of them than examples.

    Args:
        system: H.
        penalty: g, restricted to the k coordinates.

    Attributes:
        steps: Newton steps taken.

    References:
        Hintermüller, Ito and Kunisch (2002), The primal-dual active set strategy as a semismooth Newton method; Griesse
        and Lorenz (2008), A semismooth Newton method for Tikhonov functionals with sparsity constraints; Lee, Battle,
        Raina and Ng (2006), Efficient sparse coding algorithms, for crossings and cautious steps.
    """

    def __init__(self, system: ActiveSystem, penalty: Penalty) -> None:
        self._system, self._penalty = system, penalty
        curvature = float(system.diagonal.mean())
        self._flattest = math.sqrt(torch.finfo(system.diagonal.dtype).tiny)  # the inverse of less may overflow
        self._step = 1.0 / max(curvature, self._flattest) if 0.0 < curvature < math.inf else 1.0
        self._largest = 0.0
        self._admitted = math.inf  # coordinates that may leave zero in one step
        self.steps = 0

    def minimise(self, x: Tensor, gradient: Tensor, *, tol: float, most: int) -> Tensor:
        """The point reached from ``x`` [k] when no violation exceeds ``tol``, ``most`` steps were taken or none helps.

        Args:
            x: The start :math:`x_0` [k].
            gradient: :math:`g_0` [k].
            tol: In the units of the gradient.
            most: Steps allowed.
        """
        at = self._place(x, gradient)
        while at.violation > tol and self.steps < most:
            self.steps += 1
            reached = self._newton(at) or self._proximal(at)
            if reached is None:
                break
            at = reached
        return at.x

    def _place(self, x: Tensor, gradient: Tensor) -> Place:
        violations = self._penalty.violation(x, gradient)
        return Place(x, gradient, float(self._penalty.value(x)), violations, float(violations.max()))

    def _newton(self, at: Place) -> Place | None:
        t, frozen = (self._step, None) if self._admitted == math.inf else self._cautious(at)
        v = torch.add(at.x, at.gradient, alpha=-t)
        target, slope = self._penalty.prox(v, t), self._penalty.prox_derivative(v, t)
        if frozen is not None:
            target, slope = torch.where(frozen, at.x, target), slope.masked_fill(frozen, 0.0)
        active = slope.nonzero()[:, 0]
        d = target - at.x  # [k]; what is not active goes to its proximal point
        moving = d.index_select(0, active)
        d.index_fill_(0, active, 0.0)
        turn = self._system.times(d) if bool(d.any()) else None
        if active.numel() > 0:
            factor = slope.index_select(0, active)
            plain = bool((factor == 1.0).all())
            rhs = moving / t if plain else moving / (t * factor)
            if turn is not None:
                rhs = rhs - turn.index_select(0, active)
            extra = None if plain else (1.0 / factor - 1.0) / t
            d.index_copy_(0, active, self._system.solve(active, rhs, extra=extra))
        x = at.x + d
        strays = x * target < 0.0
        reached = self._trial(at, torch.where(strays, 0.0, x)) if bool(strays.any()) else None
        reached = reached or self._trial(at, x)
        if reached is not None:
            self._admitted *= MORE
            return reached
        waiting = int(((at.x == 0.0) & (at.violations > 0.0)).sum())
        allowed = max(1.0, FEWER * min(self._admitted, waiting))
        if self._admitted == math.inf:
            reached = self._proximal(at)
            if reached is not None:
                self._admitted = math.inf if reached.violation <= EASED * at.violation else allowed
                return reached
        self._admitted = allowed
        return self._crossing(at, d)

    def _cautious(self, at: Place) -> tuple[float, Tensor]:
        """A step so short that no coordinate leaves its side of zero, and which of those at zero stay there.

        While those off zero violate optimality themselves, all others stay; then only the largest violations enter.
        """
        off = at.x != 0.0
        violations = at.violations.masked_fill(~off, 0.0)
        waiting = at.violations.masked_fill(off, 0.0)
        t = min(self._step, 0.5 * float((at.x.abs() / violations)[off].min())) if bool(off.any()) else self._step
        t = max(t, SHORTEST * self._step)
        if float(violations.max()) > SETTLED * float(waiting.max()):
            return t, ~off
        count = min(int(self._admitted), waiting.numel())
        frozen = ~off
        frozen[waiting.topk(count).indices] = False
        return t, frozen

    def _trial(self, at: Place, x: Tensor) -> Place | None:
        """The place ``x``, moved into the domain of g; ``None`` where it does not count."""
        if not math.isfinite(float(self._penalty.value(x))):
            x = self._penalty.prox(x, torch.finfo(x.dtype).tiny)
        d = x - at.x
        turn = self._system.times(d)
        reached = self._place(x, at.gradient + turn)
        change = reached.penalty - at.penalty
        decrease = float(at.gradient @ d) + change  # of the slope; at most the change of the function
        total = decrease + 0.5 * float(d @ turn)
        if decrease < 0.0 and total <= SUFFICIENT * decrease:
            return reached
        noise = 8.0 * torch.finfo(x.dtype).eps * (abs(at.penalty) + abs(reached.penalty))
        return reached if total <= noise and reached.violation <= 0.5 * at.violation else None

    def _crossing(self, at: Place, d: Tensor) -> Place | None:
        """The lowest place along ``d`` among those where a coordinate is zero, where the function falls there."""
        ratios = -at.x / d
        shares = ratios[(ratios > 0.0) & (ratios < 1.0)].sort().values  # [m]
        if shares.numel() == 0:
            return None
        turn = self._system.times(d)
        line = (float(at.gradient @ d), 0.5 * float(d @ turn))
        best, low, high = 0, 0, shares.numel() - 1
        while True:
            stride = max((high - low) // (POINTS - 1), 1)
            picked = torch.arange(low, high + 1, stride, device=d.device)
            some = shares.index_select(0, picked)
            points = torch.where(ratios == some[:, None], 0.0, at.x + some[:, None] * d)  # [m, k]
            values = line[0] * some + line[1] * some.square() + self._penalty.value(points)
            lowest = int(values.argmin())
            best = low + lowest * stride
            if stride == 1:
                break
            low, high = max(best - stride, 0), min(best + stride, shares.numel() - 1)
        if not float(values[lowest]) < at.penalty:
            return None
        share = shares[best]
        x = torch.where(ratios == share, 0.0, at.x + share * d)
        return self._place(x, at.gradient + share * turn)

    def _proximal(self, at: Place) -> Place | None:
        """Where accelerated proximal gradient steps lead; ``None`` if the function is no lower there."""
        if self._largest == 0.0:
            self._largest = self._eigenvalue(at.gradient)
        x, slope, y, y_slope, momentum = at.x, at.gradient, at.x, at.gradient, 1.0
        signs = x.sign()
        for step in range(1, PROXIMAL_STEPS + 1):
            if step % LOOKS == 0:
                before, signs = signs, x.sign()
                if torch.equal(before, signs):
                    break
            following = self._penalty.prox(y - y_slope / self._largest, 1.0 / self._largest)
            d = following - y
            turn = self._system.times(d)
            if float(d @ turn) > self._largest * float(d @ d):
                self._largest *= 2.0
                continue
            uphill = float(d @ (following - x)) < 0.0
            longer = 0.5 * (1.0 + math.sqrt(1.0 + 4.0 * momentum * momentum))
            ahead = 0.0 if uphill else (momentum - 1.0) / longer
            reached_slope = y_slope + turn
            y, y_slope = following + ahead * (following - x), reached_slope + ahead * (reached_slope - slope)
            x, slope, momentum = following, reached_slope, 1.0 if uphill else longer
        d = x - at.x
        turn = self._system.times(d)
        reached = self._place(x, at.gradient + turn)
        total = float(at.gradient @ d) + 0.5 * float(d @ turn) + reached.penalty - at.penalty
        return reached if total < 0.0 else None

    def _eigenvalue(self, start: Tensor) -> float:
        """The largest eigenvalue of H, nearly; at least the largest entry of its diagonal."""
        largest, v, length = 0.0, start, float(torch.linalg.vector_norm(start))
        for _ in range(POWER_STEPS):
            if not 0.0 < length < math.inf:
                break
            v = self._system.times(v / length)
            length = float(torch.linalg.vector_norm(v))
            largest = max(largest, length)
        return max(1.1 * largest, float(self._system.diagonal.max()), self._flattest)
