"""Lower bounds of a convex problem, from values and gradients that a solver has asked for anyway."""

from __future__ import annotations

import math
from typing import final

import torch
from torch import Tensor

from optwise.core.composite import Composite
from optwise.core.oracles import Oracle


@final
class LowerBound:
    r"""The largest number found so far that F is nowhere below; h is the penalty, or what keeps points in the set.

    A convex f lies above its tangents, by a parabola where it is strongly convex, so that any point y gives

    .. math:: F^\star \ge \min_x \; f(y) + \langle \nabla f(y), x - y \rangle + \tfrac\mu2 \|x - y\|^2 + h(x)

    which a proximal map solves. Without strong convexity the minimum is
    :math:`f(y) - \langle \nabla f(y), y \rangle - h^*(-\nabla f(y))`, which may be minus infinity. Then the gradient is
    shrunk by the largest t with a finite conjugate: of a linear model, with :math:`u = s \ell'(X y)`, that leaves

    .. math:: F^\star \ge -\sum_i s \, \ell^*(t u_i / s) - h^*(-t X^\top u)

    and of another f a mixture with its own lower bound. No product is needed for any of this.

    Args:
        problem: Of which F is the objective; without an operator.

    Attributes:
        value: The bound, minus infinity while there is none.
        dual: The dual point ``t u`` [n] of the predictions that it belongs to; ``None`` where it has none.

    Example:
        >>> from optwise.core.smooth import Smooth
        >>> class Bowl(Smooth):
        ...     dimension, convex, strong_convexity = 1, True, 2.0
        ...
        ...     def value(self, w):
        ...         return (w - 1).square().sum()
        >>> bound = LowerBound(Composite(Bowl()))
        >>> bound.offer(torch.tensor([3.0]), 4.0, torch.tensor([4.0])), bound.value
        (True, 0.0)

    References:
        Rockafellar (1970), Convex Analysis, section 31; Ndiaye, Fercoq, Gramfort and Salmon (2017), Gap safe screening
        rules for sparsity enforcing penalties, for the shrunk dual point.
    """

    def __init__(self, problem: Composite) -> None:
        self._problem, self._part = problem, _Simple(problem)
        penalty, constraint = problem.penalty, problem.constraint
        convex = (penalty is None or penalty.convex) and (constraint is None or constraint.convex)
        self._convex = problem.smooth.convex and convex and (penalty is None or constraint is None)
        self.value = -math.inf
        self.dual: Tensor | None = None

    def offer(self, y: Tensor, f: float, gradient: Tensor, *, slopes: Tensor | None = None) -> bool:
        """Look for a larger bound from the tangent at a point; say whether there was one.

        Args:
            y: The point [p].
            f: The value of f there.
            gradient: Its gradient [p].
            slopes: The derivatives u of f in the predictions [n], of a linear model.
        """
        if not self._convex:
            return False
        before = self.value
        modulus = self._problem.smooth.strong_convexity
        if modulus > 0.0 and self._part.has_map:
            d = self._part.map(torch.add(y, gradient, alpha=-1.0 / modulus), 1.0 / modulus) - y
            bound = f + float((gradient + 0.5 * modulus * d) @ d) + self._problem.g(y + d)
            self._take(bound, slopes)
        t = self._part.share(-gradient) if slopes is None else 0.0
        model = self._problem.smooth.model
        if slopes is not None and model is not None and model.has_conjugate:
            pull = -gradient if model.l2 == 0 else torch.add(-gradient, y, alpha=model.l2)  # -X^T u [p]
            t = self._part.share(pull)
            if t > 0.0:  # at 0 nothing is left but the lower bound of the losses
                losses = float(model.loss.conjugate(t * slopes / model.scale, model.y).sum())
                self._take(-model.scale * losses - self._part.conjugate(t * pull), t * slopes)
        elif t == 1.0 or (t > 0.0 and math.isfinite(self._problem.smooth.lower_bound)):
            rest = 0.0 if t == 1.0 else (1.0 - t) * self._problem.smooth.lower_bound
            self._take(t * (f - float(gradient @ y)) + rest - self._part.conjugate(-t * gradient), None)
        return self.value > before

    def measure(self, value: float, promise: float) -> float:
        """The certificate that a point is likely to get.

        Args:
            value: F there.
            promise: What a step is expected to gain, for where no bound is known.
        """
        penalty = self._problem.penalty
        lowest = self._problem.smooth.lower_bound + (0.0 if penalty is None else penalty.lower_bound)
        if math.isfinite(lowest) and self._problem.gap_measure(value - lowest, value) <= self._problem.tol:
            return self._problem.gap_measure(value - max(lowest, self.value), value)
        if self.value == -math.inf:
            return self._problem.decrement_measure(promise, value)
        return self._problem.gap_measure(max(value - self.value, 0.0), value)

    def _take(self, bound: float, dual: Tensor | None) -> None:
        if bound > self.value:
            self.value, self.dual = bound, dual


@final
class _Simple:
    """What is simple in a problem: its penalty, its set, or nothing."""

    def __init__(self, problem: Composite) -> None:
        self._problem = problem
        penalty, constraint = problem.penalty, problem.constraint
        oracles = frozenset() if penalty is None else penalty.oracles
        self.has_map = penalty is None or Oracle.PROX in oracles
        self._has_conjugate = Oracle.CONJUGATE in oracles
        if penalty is None and constraint is not None:
            self._has_conjugate = Oracle.SUPPORT in constraint.oracles

    def map(self, v: Tensor, step: float) -> Tensor:
        """The proximal map, not booked: no step is taken there."""
        if self._problem.penalty is not None:
            return self._problem.penalty.prox(v, step)
        return v if self._problem.constraint is None else self._problem.constraint.project(v)

    def share(self, u: Tensor) -> float:
        """The largest t in [0, 1] with a finite conjugate at ``t u``; 0 where there is no conjugate."""
        if not self._has_conjugate:
            return 0.0
        part = self._problem.penalty or self._problem.constraint
        assert part is not None
        return part.dual_scale(u)

    def conjugate(self, u: Tensor) -> float:
        """The conjugate at ``u``."""
        if self._problem.penalty is not None:
            return float(self._problem.penalty.conjugate(u))
        assert self._problem.constraint is not None
        return float(self._problem.constraint.support(u))
