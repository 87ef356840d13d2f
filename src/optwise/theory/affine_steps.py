r"""The steps of a linear rule as affine functions of each step's own learning rate.

.. math:: A_k(\eta) = A_{k,0} + \eta A_{k,1}, \qquad v_k(\eta) = v_{k,0} + \eta v_{k,1}

So they are for gradient descent with momentum of any kind, weight decay and averages. The risk is then a quadratic
function of any single learning rate.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from optwise.core.errors import NotLinear
from optwise.core.method import Method
from optwise.theory.linear_rules import LinearRule
from optwise.theory.matrices import Floats
from optwise.theory.moments import pulls, with_center
from optwise.theory.steps import Step
from optwise.theory.walks import constant_from, steps_of

LIKE = 1e-9
"""How far a step may lie from its affine form, relative to its own size."""


@dataclass(frozen=True, eq=False)
class AffineStep:
    """One step at N curvatures.

    Args:
        A: What the state becomes with the mean gradient, at learning rate 0 [m, m, N].
        slope: What one unit of learning rate adds to it [m, m, N].
        v: What a unit of noise adds, at learning rate 0 [m, N].
        v_slope: What one unit of learning rate adds to that [m, N].
        u: Where the rule is measured afterwards [m, N].
    """

    A: Floats
    slope: Floats
    v: Floats
    v_slope: Floats
    u: Floats

    def at(self, lr: float) -> tuple[Floats, Floats]:
        """The transition and what noise adds."""
        return self.A + lr * self.slope, self.v + lr * self.v_slope


@dataclass(frozen=True, eq=False)
class AffineRun:
    """All steps of a run, many of which may be one object.

    Args:
        start: What a unit start makes of the state, with the optimum as its last part where that matters [m, N].
        far: What a unit optimum adds to it [m, N]; zeros where nothing pulls elsewhere.
        first: Where the rule is measured before its first step [m, N].
        steps: One after the other.
    """

    start: Floats
    far: Floats
    first: Floats
    steps: list[AffineStep]


def affine_run(method: Method, h: Floats, count: int, *, far: bool) -> AffineRun:
    """The steps of a rule at any learning rates.

    Args:
        method: A linear rule; its ``lr`` and schedule are not looked at.
        h: Curvatures [N].
        count: Steps.
        far: Whether the optimum is not 0 somewhere.

    Raises:
        NotLinear: A rule that is not linear, or whose step is no affine function of its own learning rate.
    """
    unit = unit_of(h)
    own = replace(method.close({"lr": unit}), schedule=None)
    rule = LinearRule([own], h)
    constant = constant_from(rule, count)
    if constant is None:
        pairs = zip(_steps(own, h, count, np.ones(count)), _steps(own, h, count, np.full(count, 2.0)), strict=True)
    else:
        few, last = constant
        twice = _steps(own, h, len(few) + 1, np.full(len(few) + 1, 2.0))
        pairs = zip([*few, last], twice, strict=True)
    both = list(pairs)
    checked = 1.0 + np.random.default_rng(0).random(len(both)) if constant is None else np.full(len(both), 1.5)
    for (one, two), third, factor in zip(both, _steps(own, h, len(both), checked), checked, strict=True):
        _hold(own, one, two, third, float(factor))
    start = rule.start
    elsewhere = far and any(pulls(step, start) for pair in both for step in pair)
    made = [_affine(one, two, start, h, unit, elsewhere=elsewhere) for one, two in both]
    if constant is not None:
        made = [*made[:-1], *[made[-1]] * (count - len(made) + 1)]
    return _run(start, rule.measured_at(), made[:count], h, elsewhere=elsewhere)


def unit_of(h: Floats) -> float:
    """A learning rate of the problem's own size: one over the largest curvature, 1 where there is none."""
    return 1.0 / float(h.max()) if h.size else 1.0


def _steps(method: Method, h: Floats, count: int, factors: Floats) -> Iterator[Step]:
    return steps_of(LinearRule([method], h), count, [factors])


def _hold(method: Method, one: Step, two: Step, third: Step, factor: float) -> None:
    """A step at another learning rate, others having gone before it, against its affine form."""
    for name in ("M", "v", "u"):
        a, b, c = (getattr(step, name) for step in (one, two, third))
        expected, size = a + (factor - 1) * (b - a), np.abs(a) + np.abs(b)
        moved = name == "u" and not np.allclose(a, b, rtol=LIKE, atol=0.0)
        if moved or not np.all(np.abs(c - expected) <= LIKE * size.max(initial=0.0)):
            raise NotLinear(
                method.label,
                "takes a step that is no affine function of its own learning rate (its weights depend on earlier "
                "rates), so that no best schedule can be computed",
            )


def _affine(one: Step, two: Step, start: Floats, h: Floats, unit: float, *, elsewhere: bool) -> AffineStep:
    if elsewhere:
        one, two = with_center(one, start), with_center(two, start)
    m, N = len(one.v), h.size
    (A, v), (A2, v2) = ((step.transition(h)[:, :, 0], np.broadcast_to(step.v[:, 0], (m, N))) for step in (one, two))
    u = np.broadcast_to(one.u[:, 0], (m, N))
    return AffineStep(2 * A - A2, (A2 - A) / unit, 2 * v - v2, (v2 - v) / unit, u)


def _run(start: Floats, first: Floats, steps: list[AffineStep], h: Floats, *, elsewhere: bool) -> AffineRun:
    m, N = len(start), h.size
    own, seen = np.broadcast_to(start[:, 0], (m, N)), np.broadcast_to(first[:, 0], (m, N))
    if not elsewhere:
        return AffineRun(own, np.zeros((m, N)), seen, steps)
    begin = with_center(Step(np.zeros((m, *first.shape)), first, first), start)
    nothing, far = np.zeros((1, N)), np.zeros((m + 1, N))
    far[m] = 1.0
    return AffineRun(np.concatenate([own, nothing]), far, np.broadcast_to(begin.u[:, 0], (m + 1, N)), steps)
