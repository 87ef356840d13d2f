"""The constants of Defossez et al.'s theorems on Adagrad and Adam, and the algorithms these are about, in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from optwise.core.errors import BadMethod, BadProblem, BadProtocol, CallerError
from optwise.core.showing import brief
from optwise.numerics.arrays import FloatArray

Polynomial: TypeAlias = tuple[FloatArray, FloatArray, FloatArray]


@dataclass(frozen=True)
class Constants:
    r"""What the theorems know of a function and an algorithm, beside the step size.

    All four bounds have one shape in the step size :math:`a`:

    .. math::
        \frac{\mathrm{start}}a + \mathrm{growth} \cdot E(a), \qquad E(a) = e_0 + e_1 a + e_2 a^2, \qquad
        \tilde N = N - \frac{\beta_1}{1 - \beta_1}.

    The :math:`e_i` come from three sums. With :math:`u = m/\sqrt{\epsilon + v}` and :math:`q = 1 - \beta_1/\beta_2`, in
    each coordinate,

    .. math::
        \sum_n u_n^2 \le \frac{\ln(1 + v_N/\epsilon) - N \ln \beta_2}{(1 - \beta_1) q}, \qquad
        \sum_k (\beta_1/\beta_2)^k \sqrt{k + 1} \le \frac2{q^{3/2}}, \qquad
        \sum_k \beta_1^k k^{3/2} \le \frac{4 \beta_1}{(1 - \beta_1)^{5/2}}.

    Args:
        dimension: d, at least 1.
        gradient_bound: R, above 0.
        smoothness: L, above 0.
        gap: Distance to the optimum in F at the start, above 0.
        beta1: Memory of the momentum, in [0, 1).
        eps: Inside the root, in (0, R^2).

    Raises:
        BadProblem: A dimension, a constant or a gap that no such function has.
        BadMethod: ``beta1`` or ``eps`` outside its range.

    Example:
        >>> one = Constants(dimension=1, gradient_bound=1.0, smoothness=1.0, gap=1.0, beta1=0.0, eps=1e-8)
        >>> [float(e) for e in one.adagrad()]
        [4.0, 1.0, 0.0]
    """

    dimension: int
    gradient_bound: float
    smoothness: float
    gap: float
    beta1: float
    eps: float

    def __post_init__(self) -> None:
        for name in ("dimension", "beta1", "eps"):
            if as_numbers(getattr(self, name), name, BadProblem if name == "dimension" else BadMethod).ndim:
                raise BadMethod(f"{name} is {brief(getattr(self, name))}; give one number.")
        if self.dimension < 1 or self.dimension != int(self.dimension):
            raise BadProblem(f"dimension is {self.dimension}; it counts parameters: give a whole number, at least 1.")
        for name in ("gradient_bound", "smoothness", "gap"):
            positive(getattr(self, name), name, BadProblem)
        if not 0 <= self.beta1 < 1:
            raise BadMethod(f"beta1 is {self.beta1:g}; it must lie in [0, 1).")
        if not 0 < self.eps < self.gradient_bound**2:
            raise BadMethod(
                f"eps is {self.eps:g}; it must lie between 0 and gradient_bound^2 = {self.gradient_bound**2:g}, "
                f"since gradients may only reach gradient_bound - sqrt(eps)."
            )

    @property
    def largest_gradient(self) -> float:
        """What no coordinate of any stochastic gradient may exceed."""
        return float(self.gradient_bound - np.sqrt(self.eps))

    def check(self, steps: ArrayLike) -> FloatArray:
        """The numbers of steps, if the theorems hold for them."""
        N = whole(steps)
        least = self.beta1 / (1 - self.beta1)
        if N.size and N.min() <= least:
            raise BadProtocol(
                f"steps is {N.min():g}; with beta1 = {self.beta1:g} the bound needs more than "
                f"beta1 / (1 - beta1) = {least:g} of them."
            )
        return N

    def adagrad_start(self, N: FloatArray) -> FloatArray:
        """The part of the start, times the step size."""
        return 2 * self.gradient_bound * self.gap * np.sqrt(N) / self._counted(N)

    def adagrad_growth(self, N: FloatArray) -> FloatArray:
        """What E is multiplied by."""
        return np.sqrt(N) / self._counted(N) * np.log1p(N * self.gradient_bound**2 / self.eps)

    def adagrad(self) -> Polynomial:
        """E for Adagrad, whose step is ``lr (1 - beta1)``."""
        return _polynomial(
            self._squares / (1 - self.beta1),
            self._smooth,
            2 * self._curved / (1 - self.beta1),
        )

    def adam_start(self, N: FloatArray) -> FloatArray:
        """The part of the start, times the step size."""
        return 2 * self.gradient_bound * self.gap / self._counted(N)

    def adam_growth(self, N: FloatArray, beta2: FloatArray) -> FloatArray:
        """What E is multiplied by; it tends to ``-ln beta2``."""
        reached = np.log1p(self.gradient_bound**2 / ((1 - beta2) * self.eps))
        return (reached - N * np.log(beta2)) / self._counted(N)

    def adam(self, beta2: FloatArray) -> Polynomial:
        """E for Adam."""
        kept, q = (1 - self.beta1) / (1 - beta2), 1 - self.beta1 / beta2
        return _polynomial(
            self._squares * np.sqrt(kept / q**3),
            self._smooth * kept / q,
            2 * self._curved / (q * (1 - beta2) ** 1.5),
        )

    @property
    def _squares(self) -> float:
        # with momentum, gradients of several steps meet, which costs the proof a factor of 3
        return (4 if self.beta1 == 0 else 12) * self.dimension * self.gradient_bound**2

    @property
    def _smooth(self) -> float:
        return self.dimension * self.gradient_bound * self.smoothness

    @property
    def _curved(self) -> float:
        return self.dimension * self.smoothness**2 * self.beta1

    def _counted(self, N: FloatArray) -> FloatArray:
        return N - self.beta1 / (1 - self.beta1)


def evaluate(E: Polynomial, lr: FloatArray) -> FloatArray:
    """E at a step size.

    Example:
        >>> float(evaluate((np.array(4.0), np.array(1.0), np.array(0.5)), np.array(2.0)))
        8.0
    """
    return E[0] + E[1] * lr + E[2] * lr**2


def best_lr(start: FloatArray, growth: FloatArray, E: Polynomial) -> FloatArray:
    """The step size at which the bound is smallest: the positive root of ``2 e_2 a^3 + e_1 a^2 = start / growth``.

    Example:
        >>> float(best_lr(np.array(8.0), np.array(1.0), (np.array(4.0), np.array(1.0), np.array(0.5))).round(4))
        1.7162
    """
    pull = start / growth
    lr = np.sqrt(pull / E[1])
    if np.any(E[2] > 0):
        lr = np.minimum(lr, np.cbrt(pull / (2 * E[2])))  # neither term alone exceeds their sum: an upper end
        for _ in range(30):  # Newton from above on a convex rising function: it falls to the root
            lr = lr - (2 * E[2] * lr**3 + E[1] * lr**2 - pull) / (6 * E[2] * lr**2 + 2 * E[1] * lr)
    return lr


def whole(steps: ArrayLike) -> FloatArray:
    """``steps`` as numbers, if they count something.

    Example:
        >>> whole([10, 1e3])
        array([  10., 1000.])
    """
    N = as_numbers(steps, "steps", BadProtocol)
    wrong = ~(np.isfinite(N) & (N >= 1) & (np.floor(N) == N))
    if wrong.any():
        raise BadProtocol(f"steps is {N[wrong][0]:g}; give whole numbers of at least 1.")
    return N


def positive(numbers: ArrayLike, name: str, error: type[CallerError]) -> FloatArray:
    """``numbers``, if they are finite and above 0; otherwise ``error``, which calls them ``name``.

    Example:
        >>> positive(0.1, "lr", BadMethod)
        array(0.1)
    """
    array = as_numbers(numbers, name, error)
    wrong = ~(np.isfinite(array) & (array > 0))
    if wrong.any():
        raise error(f"{name} is {array[wrong][0]:g}; it must be finite and above 0.")
    return array


def as_numbers(values: ArrayLike, name: str, error: type[CallerError]) -> FloatArray:
    """One number or an array of them as an array."""
    try:
        if values is None:
            raise TypeError
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as cause:
        raise error(f"{name} is {brief(values)}, which is no number; give one, or an array of them.") from cause


def _polynomial(*coefficients: FloatArray | float) -> Polynomial:
    e0, e1, e2 = (np.asarray(e, dtype=np.float64) for e in coefficients)
    return e0, e1, e2


UNIFORM = "one of the points w_0 to w_(N-1), each as likely as the others"
FADING = "one of the points w_0 to w_(N-1), w_j in proportion to 1 - beta1^(N - j): the last ones count less"

ADAGRAD = "Adagrad of Defossez et al.: v <- v + g^2, w <- w - lr g / sqrt(eps + v), from v = 0"
ADAGRAD_WITH_MOMENTUM = (
    "Adagrad of Defossez et al. with heavy-ball momentum: m <- beta1 m + g, v <- v + g^2, "
    "w <- w - lr (1 - beta1) m / sqrt(eps + v), from m = v = 0"
)
ADAM = (
    "Adam of Defossez et al. without momentum: v <- beta2 v + g^2, "
    "w <- w - lr sqrt((1 - beta2^n) / (1 - beta2)) g / sqrt(eps + v) in step n, from v = 0"
)
ADAM_WITH_MOMENTUM = (
    "Adam of Defossez et al.: m <- beta1 m + g, v <- beta2 v + g^2, "
    "w <- w - lr (1 - beta1) sqrt((1 - beta2^n) / (1 - beta2)) m / sqrt(eps + v) in step n, from m = v = 0"
)

EPS_OF_ADAGRAD = (
    "eps: inside the root, sqrt(eps + v), where torch.optim.Adagrad has sqrt(v) + eps; the steps differ unless "
    "gradients are far above sqrt(eps)."
)
MOMENTUM_OF_ADAGRAD = "momentum: torch.optim.Adagrad has none; here it also multiplies the step by 1 - beta1."
EPS_OF_ADAM = (
    "eps: inside the root of the sum v, where torch.optim.Adam adds it to the root of the corrected average; in terms "
    "of that average the root is sqrt(v_hat + eps (1 - beta2) / (1 - beta2^n))."
)
SUM_OF_ADAM = (
    "second moment: v is a sum, torch's average divided by 1 - beta2; the step makes up for that, and only eps notices."
)
MOMENTUM_OF_ADAM = "first moment: not divided by 1 - beta1^n, so the first steps are shorter than torch's."
NOTHING_ELSE = "options: no weight_decay, lr_decay, initial accumulator or amsgrad."
