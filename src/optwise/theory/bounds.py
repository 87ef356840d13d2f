"""Worst-case bounds for Adagrad and Adam on smooth functions with bounded gradients, after Defossez et al."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import minimize_scalar

from optwise.core.errors import BadMethod, BadProtocol
from optwise.core.showing import Terse
from optwise.numerics.arrays import FloatArray
from optwise.theory import bound_constants as words
from optwise.theory.bound_constants import Constants, as_numbers, best_lr, evaluate, positive, whole


@dataclass(frozen=True, eq=False)
class Bound(Terse):
    r"""A guarantee on the mean squared gradient norm along a run, and the algorithm that it is about.

    .. math:: \mathbb E \, | \nabla F(w_\tau) |^2 \le \mathrm{value}

    where :math:`\tau` is a random one of the N points at which a gradient was taken, :math:`w_0` included.

    Args:
        value: The bound, in the common shape of what was asked.
        floor: Its limit as N grows and all else stays; 0 for Adagrad.
        start: The part of ``value`` that is due to the distance to the optimum at the start.
        steps: N.
        lr: Step size.
        beta1: Memory of the momentum; 0 is none.
        beta2: Memory of the squares; 1 is Adagrad.
        largest_gradient: No coordinate of any stochastic gradient may exceed this: :math:`R - \sqrt\epsilon`.
        sampling: How :math:`\tau` is drawn.
        algorithm: The algorithm, in words and formulas. It is not torch's.
        differences: Each difference to the class of that name in torch.optim, a sentence each.

    Example:
        >>> bound = adam_bound(1000, lr=1e-3, beta2=0.999, dimension=1, gradient_bound=1.0, smoothness=1.0, gap=1.0)
        >>> [sentence.split(":")[0] for sentence in bound.differences]
        ['eps', 'second moment', 'options']
    """

    value: FloatArray
    floor: FloatArray
    start: FloatArray
    steps: FloatArray
    lr: FloatArray
    beta1: float
    beta2: FloatArray
    largest_gradient: float
    sampling: str
    algorithm: str
    differences: tuple[str, ...]


def adagrad_bound(
    steps: ArrayLike,
    *,
    lr: ArrayLike,
    dimension: int,
    gradient_bound: float,
    smoothness: float,
    gap: float,
    beta1: float = 0.0,
    eps: float = 1e-8,
) -> Bound:
    r"""Bound on the mean squared gradient norm of N steps of Adagrad with :math:`\epsilon` inside the root.

    .. math::
        \frac{2R \, \Delta}{a \sqrt N} + (4dR^2 + adRL) \frac{\ln(1 + NR^2/\epsilon)}{\sqrt N},
        \qquad v \leftarrow v + g^2, \quad w \leftarrow w - \frac{a \, g}{\sqrt{\epsilon + v}}

    With momentum, :math:`m \leftarrow \beta_1 m + g` takes the place of :math:`g` and :math:`a(1 - \beta_1)` that of
    :math:`a`; with :math:`\tilde N = N - \beta_1/(1 - \beta_1)` the bound is

    .. math::
        \frac{\sqrt N}{\tilde N} \Big( \frac{2R \, \Delta}{a} + \Big( \frac{12dR^2}{1 - \beta_1} + adRL
        + \frac{2a^2dL^2\beta_1}{1 - \beta_1} \Big) \ln(1 + NR^2/\epsilon) \Big).

    Its proof loses a factor 3 in :math:`dR^2`, so it does not tend to the first one as :math:`\beta_1` goes to 0.

    Args:
        steps: N, at least 1; with momentum above :math:`\beta_1/(1 - \beta_1)`.
        lr: :math:`a`, above 0.
        dimension: :math:`d`.
        gradient_bound: :math:`R`: every coordinate of every stochastic gradient is at most :math:`R - \sqrt\epsilon`.
        smoothness: :math:`L`, Lipschitz constant of the gradient of F in the Euclidean norm.
        gap: :math:`\Delta = F(w_0) - \inf F`.
        beta1: Memory of the momentum, in [0, 1).
        eps: :math:`\epsilon`, between 0 and :math:`R^2`.

    Raises:
        BadProtocol: Steps that are not whole, or too few.
        BadMethod: Hyperparameters outside their range.
        BadProblem: A dimension, a constant or a gap that no such function has.

    Example:
        >>> one = {"dimension": 1, "gradient_bound": 1.0, "smoothness": 1.0, "gap": 1.0}
        >>> adagrad_bound([1e3, 1e5, 1e7], lr=0.01, **one).value.round(3)
        array([9.536, 1.012, 0.107])

    References:
        Defossez, Bottou, Bach, Usunier (2022), A Simple Convergence Proof of Adam and Adagrad, theorems 1 and 3; with
        momentum, the constants were derived again for the step :math:`a(1 - \beta_1)`.
    """
    constants = Constants(dimension, gradient_bound, smoothness, gap, beta1, eps)
    N, a = np.broadcast_arrays(constants.check(steps), positive(lr, "lr", BadMethod))
    start = constants.adagrad_start(N) / a
    return Bound(
        value=start + constants.adagrad_growth(N) * evaluate(constants.adagrad(), a),
        floor=np.zeros(N.shape),
        start=start,
        steps=N,
        lr=a,
        beta1=beta1,
        beta2=np.ones(N.shape),
        largest_gradient=constants.largest_gradient,
        sampling=words.FADING if beta1 else words.UNIFORM,
        algorithm=words.ADAGRAD_WITH_MOMENTUM if beta1 else words.ADAGRAD,
        differences=(
            words.EPS_OF_ADAGRAD,
            *([words.MOMENTUM_OF_ADAGRAD] if beta1 else []),
            words.NOTHING_ELSE,
        ),
    )


def adam_bound(
    steps: ArrayLike,
    *,
    lr: ArrayLike,
    beta2: ArrayLike,
    dimension: int,
    gradient_bound: float,
    smoothness: float,
    gap: float,
    beta1: float = 0.0,
    eps: float = 1e-8,
) -> Bound:
    r"""Bound on the mean squared gradient norm of N steps of Adam as the paper has it, which is not torch's Adam.

    .. math::
        \frac{2R \, \Delta}{aN} + E \Big( \frac1N \ln\Big( 1 + \frac{R^2}{(1 - \beta_2) \epsilon} \Big)
        - \ln \beta_2 \Big), \qquad E = \frac{4dR^2}{\sqrt{1 - \beta_2}} + \frac{adRL}{1 - \beta_2},

    for :math:`v \leftarrow \beta_2 v + g^2`,
    :math:`w \leftarrow w - a \sqrt{(1 - \beta_2^n)/(1 - \beta_2)} \, g / \sqrt{\epsilon + v}` in step n. The last part
    does not fall with N: it is the ``floor`` of the answer.

    With momentum, :math:`m \leftarrow \beta_1 m + g` takes the place of :math:`g`, the step carries a further factor
    :math:`1 - \beta_1`, and with :math:`\tilde N = N - \beta_1/(1 - \beta_1)` and :math:`q = 1 - \beta_1/\beta_2`

    .. math::
        \frac{2R \, \Delta}{a \tilde N} + E \Big( \frac1{\tilde N} \ln\Big( 1 + \frac{R^2}{(1 - \beta_2) \epsilon} \Big)
        - \frac N{\tilde N} \ln \beta_2 \Big), \quad
        E = \frac{12dR^2\sqrt{1 - \beta_1}}{q^{3/2} \sqrt{1 - \beta_2}} + \frac{adRL(1 - \beta_1)}{q(1 - \beta_2)}
        + \frac{2a^2dL^2\beta_1}{q(1 - \beta_2)^{3/2}}.

    Args:
        steps: N, at least 1; with momentum above :math:`\beta_1/(1 - \beta_1)`.
        lr: :math:`a`, above 0.
        beta2: Memory of the squares, in (beta1, 1).
        dimension: As for :func:`adagrad_bound`, and so are the following.
        gradient_bound: :math:`R`.
        smoothness: :math:`L`.
        gap: :math:`\Delta`.
        beta1: Memory of the momentum, in [0, beta2).
        eps: :math:`\epsilon`.

    Raises:
        BadProtocol: Steps that are not whole, or too few.
        BadMethod: Hyperparameters outside their range.
        BadProblem: A dimension, a constant or a gap that no such function has.

    Example:
        >>> one = {"dimension": 1, "gradient_bound": 1.0, "smoothness": 1.0, "gap": 1.0}
        >>> bound = adam_bound([1e3, 1e5, 1e7], lr=1e-3, beta2=0.999, **one)
        >>> bound.value.round(4), bound.floor.round(4)
        (array([5.3567, 0.1798, 0.1281]), array([0.1276, 0.1276, 0.1276]))

    References:
        Defossez, Bottou, Bach, Usunier (2022), A Simple Convergence Proof of Adam and Adagrad, theorems 2 and 4; with
        momentum, the constants were derived again.
    """
    constants = Constants(dimension, gradient_bound, smoothness, gap, beta1, eps)
    b2 = as_numbers(beta2, "beta2", BadMethod)
    wrong = ~((b2 > beta1) & (b2 < 1))
    if wrong.any():
        raise BadMethod(
            f"beta2 is {b2[wrong][0]:g}; the bound needs it above beta1 = {beta1:g} and below 1 "
            f"(with beta2 = 1 the algorithm is Adagrad: `adagrad_bound`)."
        )
    N, a, b2 = np.broadcast_arrays(constants.check(steps), positive(lr, "lr", BadMethod), b2)
    E = evaluate(constants.adam(b2), a)
    start = constants.adam_start(N) / a
    return Bound(
        value=start + constants.adam_growth(N, b2) * E,
        floor=-np.log(b2) * E,
        start=start,
        steps=N,
        lr=a,
        beta1=beta1,
        beta2=b2,
        largest_gradient=constants.largest_gradient,
        sampling=words.FADING if beta1 else words.UNIFORM,
        algorithm=words.ADAM_WITH_MOMENTUM if beta1 else words.ADAM,
        differences=(
            words.EPS_OF_ADAM,
            words.SUM_OF_ADAM,
            *([words.MOMENTUM_OF_ADAM] if beta1 else []),
            words.NOTHING_ELSE,
        ),
    )


def adam_bound_by_horizon(
    steps: ArrayLike,
    *,
    scale: ArrayLike = 1.0,
    dimension: int,
    gradient_bound: float,
    smoothness: float,
    gap: float,
    beta1: float = 0.0,
    eps: float = 1e-8,
) -> Bound:
    r""":func:`adam_bound` for hyperparameters that know the number of steps.

    .. math:: a = \mathrm{scale} / \sqrt N, \qquad \beta_2 = 1 - 1/N

    Now the bound falls like :math:`\ln(N) / \sqrt N`, as Adagrad's does. Each N is another algorithm: ``floor`` is what
    its own hyperparameters would tend to if they stayed. The other arguments are those of :func:`adagrad_bound`.

    Raises:
        BadProtocol: A horizon of one step, for which beta2 would be 0.

    Example:
        >>> one = {"dimension": 1, "gradient_bound": 1.0, "smoothness": 1.0, "gap": 1.0}
        >>> adam_bound_by_horizon([1e3, 1e5, 1e7], **one).value.round(4)
        array([4.2262, 0.4954, 0.0568])

    References:
        Defossez et al. (2022), section 4, on Adam with a finite horizon.
    """
    N = whole(steps)
    if (N < 2).any():
        raise BadProtocol("steps is 1, for which beta2 = 1 - 1/N would be 0; give a horizon of at least 2 steps.")
    return adam_bound(
        N,
        lr=positive(scale, "scale", BadMethod) / np.sqrt(N),
        beta2=1 - 1 / N,
        dimension=dimension,
        gradient_bound=gradient_bound,
        smoothness=smoothness,
        gap=gap,
        beta1=beta1,
        eps=eps,
    )


def best_adagrad_bound(
    steps: ArrayLike,
    *,
    dimension: int,
    gradient_bound: float,
    smoothness: float,
    gap: float,
    beta1: float = 0.0,
    eps: float = 1e-8,
) -> Bound:
    """:func:`adagrad_bound` at the ``lr`` that makes it smallest, for each number of steps.

    That is the best the theorem promises, not the best learning rate: its constants are worst cases. The arguments are
    those of :func:`adagrad_bound`.

    Example:
        >>> one = {"dimension": 1, "gradient_bound": 1.0, "smoothness": 1.0, "gap": 1.0}
        >>> best = best_adagrad_bound([1e3, 1e5], **one)
        >>> best.lr.round(3), best.value.round(3)
        (array([0.281, 0.258]), array([3.654, 0.428]))
    """
    constants = Constants(dimension, gradient_bound, smoothness, gap, beta1, eps)
    N = constants.check(steps)
    return adagrad_bound(
        N,
        lr=best_lr(constants.adagrad_start(N), constants.adagrad_growth(N), constants.adagrad()),
        dimension=dimension,
        gradient_bound=gradient_bound,
        smoothness=smoothness,
        gap=gap,
        beta1=beta1,
        eps=eps,
    )


def best_adam_bound(
    steps: ArrayLike,
    *,
    dimension: int,
    gradient_bound: float,
    smoothness: float,
    gap: float,
    beta1: float = 0.0,
    eps: float = 1e-8,
) -> Bound:
    r""":func:`adam_bound` at the ``lr`` and ``beta2`` that make it smallest, for each number of steps.

    For each ``beta2`` the best ``lr`` is the root of a polynomial. The best :math:`1 - \beta_2`, of the order of
    :math:`\ln(N/\epsilon)/N`, is found by a scan on a log scale and refined. The arguments are those of
    :func:`adagrad_bound`.

    Example:
        >>> one = {"dimension": 1, "gradient_bound": 1.0, "smoothness": 1.0, "gap": 1.0}
        >>> best = best_adam_bound([1e3, 1e5], **one)
        >>> best.lr.round(4), (1 - best.beta2).round(5), best.value.round(4)
        (array([0.0326, 0.0033]), array([0.02542, 0.00031]), array([1.323 , 0.1428]))
    """
    constants = Constants(dimension, gradient_bound, smoothness, gap, beta1, eps)
    N = constants.check(steps)

    def lr_at(n: FloatArray, beta2: FloatArray) -> FloatArray:
        return best_lr(constants.adam_start(n), constants.adam_growth(n, beta2), constants.adam(beta2))

    def value(log_forgotten: FloatArray, n: FloatArray) -> FloatArray:
        beta2 = 1 - np.exp(log_forgotten)
        lr = lr_at(n, beta2)
        return constants.adam_start(n) / lr + constants.adam_growth(n, beta2) * evaluate(constants.adam(beta2), lr)

    def best_beta2(n: FloatArray) -> float:
        scanned = np.linspace(np.log(1e-3 / n), np.log((1 - beta1) * (1 - 1e-9)), 400)
        k = int(np.clip(np.argmin(value(scanned, n)), 1, len(scanned) - 2))
        between = (scanned[k - 1], scanned[k + 1])
        refined = minimize_scalar(value, args=(n,), bounds=between, method="bounded", options={"xatol": 1e-10})
        return float(1 - np.exp(refined.x))

    beta2 = np.array([best_beta2(n) for n in map(np.asarray, N.ravel())]).reshape(N.shape)
    return adam_bound(
        N,
        lr=lr_at(N, beta2),
        beta2=beta2,
        dimension=dimension,
        gradient_bound=gradient_bound,
        smoothness=smoothness,
        gap=gap,
        beta1=beta1,
        eps=eps,
    )
