"""The noisy quadratic model: a diagonal quadratic whose gradients carry noise of a known covariance."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from optwise.core.errors import BadProblem
from optwise.core.layout import Leaves
from optwise.core.metric import OBJECTIVE, AtMost
from optwise.core.problem import Optimum, Problem
from optwise.core.quadratic import Quadratic, semidefinite
from optwise.core.sampler import Stream
from optwise.numerics.finiteness import all_finite
from optwise.numerics.rng import derive_seed, torch_generator
from optwise.problems.numbers import one_number, real_tensor
from optwise.problems.objectives import FunctionObjective
from optwise.problems.targets import spell, with_target


@dataclass(frozen=True, eq=False)
class DiagonalQuadratic:
    r"""The function :math:`\tfrac12 \sum_i h_i (w_i - w^\star_i)^2` of the leaf ``w`` [d].

    Args:
        h: The diagonal of the Hessian [d].
        center: :math:`w^\star` [d]; ``None`` for 0.
    """

    h: Tensor
    center: Tensor | None = None

    def __call__(self, leaves: Leaves) -> Tensor:
        w = leaves["w"]
        away = w if self.center is None else w - self.center.to(dtype=w.dtype, device=w.device)
        return 0.5 * (self.h.to(dtype=w.dtype, device=w.device) * away.square()).sum()


@dataclass(frozen=True, eq=False)
class GradientNoise:
    """Draws the mean of a batch of noise vectors: independent normals of variance ``c`` / batch size, c [d]."""

    c: Tensor = field(repr=False)

    def __call__(self, generator: torch.Generator, steps: int, batch_size: int, w: Tensor | None) -> Tensor:
        deviation = (self.c / batch_size).sqrt()
        # one call a step: the numbers of one large call depend on its size, and so on how a run is cut into segments
        drawn = [torch.randn(1, deviation.numel(), generator=generator, dtype=torch.float64) for _ in range(steps)]
        return torch.stack(drawn) * deviation  # [S, 1, d]


@dataclass(frozen=True, eq=False)
class CorrelatedNoise:
    """Draws the mean of a batch of noise vectors that are correlated between coordinates.

    Args:
        root: A matrix whose product with its transpose is the covariance of one vector [d, d].
    """

    root: Tensor = field(repr=False)

    def __call__(self, generator: torch.Generator, steps: int, batch_size: int, w: Tensor | None) -> Tensor:
        d = len(self.root)
        drawn = [torch.randn(1, d, generator=generator, dtype=torch.float64) for _ in range(steps)]
        correlated: Tensor = torch.stack(drawn) @ self.root.T / batch_size**0.5  # [S, 1, d]
        return correlated


def nqm(
    h: ArrayLike | None = None,
    c: ArrayLike | None = None,
    w0: ArrayLike | None = None,
    second_moment: float = 1.0,
    *,
    d: int | None = None,
    batch_size: int = 64,
    w_star: ArrayLike | None = None,
) -> Problem:
    r"""The noisy quadratic model.

    .. math:: f(w) = \tfrac12 \sum_i h_i (w_i - w^\star_i)^2, \qquad g_i = h_i (w_i - w^\star_i) + \xi_i, \qquad
        \operatorname{Var} \xi_i = c_i / B

    What is measured, ``objective``, is f without noise; its best value is 0. With ``d`` alone the model is that of
    Zhang et al.: :math:`h_i = 1/i`, :math:`c_i = h_i`, starts with :math:`\mathbb E w_i^2 = 1`.

    Args:
        h: Diagonal of the Hessian [d], at least 0; or the Hessian itself [d, d], symmetric and positive semidefinite.
            Parameters are then coordinates along its eigenvectors, eigenvalues increasing, and ``c``, ``w0`` and
            ``w_star``, which are given in the coordinates of ``h``, are rotated with it.
        c: Gradient noise of one example: its variances [d], at least 0, or its covariance [d, d], symmetric and
            positive semidefinite; ``None`` takes ``h``. The expected loss depends on its diagonal along the Hessian's
            eigenvectors only, the spread of the loss on all of it.
        w0: The start of every seed [d]; ``None`` draws normal ones around ``w_star``, of ``second_moment``.
        second_moment: Of each coordinate of a drawn start, as a distance to ``w_star``.
        d: Dimension, instead of ``h``.
        batch_size: B, the examples that a step pays for; their mean noise is drawn directly.
        w_star: The optimum [d], which only a rule that knows another point notices, as weight decay knows 0; ``None``
            for 0.

    Raises:
        BadProblem: Both or neither of ``h`` and ``d``, unequal lengths, numbers that are negative or not finite; a
            matrix that is not symmetric or has a negative eigenvalue.

    Example:
        >>> problem = nqm(h=[1.0, 0.5], c=[0.0, 0.0], w0=[1.0, 2.0])
        >>> w, buffers = problem.start(0)
        >>> problem.objective.measure(w, buffers, None, None)["objective"]
        tensor([1.5000], dtype=torch.float64)

    References:
        Zhang, Li, Nado, Martens, Sachdeva, Dahl, Shallue, Grosse (2019), Which Algorithmic Choices Matter at Which
        Batch Sizes? Insights From a Noisy Quadratic Model, section 3.
    """
    h, c, w0, w_star = rotated("nqm", h, c, w0, w_star)
    diagonal = diagonal_of("nqm", h, d)
    covariance = None if c is None or np.ndim(c) != 2 else semidefinite("nqm", "c", _matrix(c, "nqm"), diagonal.numel())
    own = c if covariance is None else np.maximum(np.diag(covariance), 0.0)
    variance = diagonal if own is None else _vector("nqm", own, "c", like=diagonal)
    if bool((variance < 0).any()):
        raise BadProblem(f"nqm has a negative entry {float(variance.min()):g} in c; variances must be at least 0.")
    center = center_of("nqm", diagonal, w_star)
    start, second = start_of("nqm", diagonal, w0, second_moment, center)
    standard = d is not None and c is None and w0 is None and second_moment == 1.0 and w_star is None
    written = {"d": d or 0} | ({"batch_size": batch_size} if batch_size != 64 else {})
    reference = spell("nqm", written) if standard else ""
    return with_target(
        Problem(
            name=reference or "nqm",
            objective=FunctionObjective(DiagonalQuadratic(diagonal, None if w_star is None else center)),
            start=start,
            sampler=Stream(noise_of(variance, covariance), batch_size=batch_size, rows=1),
            optimum=Optimum(0.0, "closed form", {"w": center.clone()}),
            reference=reference,
            quadratic=Quadratic(
                h=diagonal.numpy(),
                c=variance.numpy(),
                start=second,
                center=center.numpy(),
                fixed_start=w0 is not None,
                covariance=covariance,
            ),
        )
    )


def noise_of(variance: Tensor, covariance: NDArray[np.float64] | None) -> GradientNoise | CorrelatedNoise:
    """What draws noise of these variances [d], or of this covariance [d, d]."""
    if covariance is None:
        return GradientNoise(variance)
    values, vectors = np.linalg.eigh(covariance)
    return CorrelatedNoise(torch.from_numpy(vectors * np.sqrt(np.maximum(values, 0.0))))


def rotated(
    name: str, h: ArrayLike | None, c: ArrayLike | None, w0: ArrayLike | None, w_star: ArrayLike | None
) -> tuple[ArrayLike | None, ArrayLike | None, ArrayLike | None, ArrayLike | None]:
    """The same along the eigenvectors of ``h``, where that is a matrix.

    Args:
        name: Of the problem, for sentences.
        h: Hessian.
        c: Noise, as its variances or its covariance; ``None`` for ``h``.
        w0: The start.
        w_star: The optimum.

    Raises:
        BadProblem: A matrix that is not symmetric, or has a negative eigenvalue; other lengths than its own.
    """
    if h is None or np.ndim(h) != 2:
        return h, c, w0, w_star
    matrix = semidefinite(name, "h", real_tensor(h, f"h of {name}").detach().cpu().numpy())
    values, Q = np.linalg.eigh(matrix)
    values = np.maximum(values, 0.0)

    def turned(vector: ArrayLike | None, part: str) -> ArrayLike | None:
        if vector is None:
            return None
        own = real_tensor(vector, f"{part} of {name}").detach().cpu().numpy().astype(np.float64)
        if own.shape != values.shape:
            raise BadProblem(
                f"{name} has an h of shape {matrix.shape} but {part} of shape {own.shape}; make them agree."
            )
        return np.asarray(Q.T @ own)

    if c is None:
        return values, values, turned(w0, "w0"), turned(w_star, "w_star")
    if np.ndim(c) == 1:
        turned(c, "c")
        c = np.diag(np.asarray(c, dtype=np.float64))
    noise = Q.T @ semidefinite(name, "c", _matrix(c, name), values.size) @ Q
    return values, (noise + noise.T) / 2, turned(w0, "w0"), turned(w_star, "w_star")


def harmonic_nqm(d: int = 100, batch_size: int = 64) -> Problem:
    """The noisy quadratic model with h_i = c_i = 1/i that the catalogue calls ``nqm``.

    Its target is a hundredth of the expected objective at the start, 1/2 sum_i 1/i.

    Example:
        >>> harmonic_nqm(d=10).reference, str(harmonic_nqm(d=10).target)
        ('nqm:d=10', 'objective<=0.0146')
    """
    start = 0.5 * sum(1.0 / i for i in range(1, d + 1))
    return replace(
        nqm(d=d, batch_size=batch_size),
        target=AtMost(OBJECTIVE, float(f"{0.01 * start:.3g}")) if d > 0 else None,
        target_command="by definition: a hundredth of the expected objective at the start",
    )


def diagonal_of(name: str, h: ArrayLike | None, d: int | None) -> Tensor:
    """The curvatures that were given, or 1/i in ``d`` dimensions [d].

    Args:
        name: Of the problem, for sentences.
        h: Curvatures.
        d: Dimension, instead.

    Raises:
        BadProblem: Both or neither, none at all, negative or not finite ones.
    """
    if (h is None) == (d is None):
        raise BadProblem(
            f"{name} needs either the Hessian's diagonal `h` or the dimension `d`, as in nqm:d=100; give one."
        )
    if d is not None:
        count = one_number(d, f"d of {name}", "give a whole number of at least 1")
        if not count >= 1:
            raise BadProblem(f"{name} with d={d} has no parameters; give at least 1.")
        if not float(count).is_integer():
            raise BadProblem(f"{name} with d={d} has no whole number of parameters; round it.")
        d = int(count)
        return 1.0 / torch.arange(1, d + 1, dtype=torch.float64)
    diagonal = _vector(name, h, "h")
    if bool((diagonal < 0).any()):
        raise BadProblem(f"{name} has a negative entry {float(diagonal.min()):g} in h; curvatures must be at least 0.")
    return diagonal


def center_of(name: str, diagonal: Tensor, w_star: ArrayLike | None) -> Tensor:
    """The optimum that was given, or 0 [d].

    Raises:
        BadProblem: A length other than that of ``diagonal``, numbers that are not finite.
    """
    return torch.zeros_like(diagonal) if w_star is None else _vector(name, w_star, "w_star", like=diagonal)


def start_of(
    name: str, diagonal: Tensor, w0: ArrayLike | None, second_moment: float, center: Tensor
) -> tuple[Callable[[int], tuple[Leaves, Leaves]], NDArray[np.float64]]:
    """A problem's start, ``w0`` or normal draws around ``center``, and each coordinate's second moment about that [d].

    Raises:
        BadProblem: A length other than that of ``diagonal``, numbers that are not finite, a negative second moment.
    """
    second_moment = one_number(second_moment, f"second_moment of {name}")
    if not 0 <= second_moment < np.inf:
        raise BadProblem(f"{name} with second_moment={second_moment:g} has no start; give a finite number, at least 0.")
    fixed = None if w0 is None else _vector(name, w0, "w0", like=diagonal)

    def start(seed: int) -> tuple[Leaves, Leaves]:
        if fixed is not None:
            return {"w": fixed.clone()}, {}
        # of its own: from the trial's seed itself the sampler draws the noise, which would be the start once more
        generator = torch_generator(derive_seed(seed, "start"))
        drawn = torch.randn(diagonal.numel(), generator=generator, dtype=torch.float64)
        return {"w": center + second_moment**0.5 * drawn}, {}

    second = np.full(diagonal.numel(), float(second_moment)) if fixed is None else (fixed - center).square().numpy()
    return start, second


def _matrix(c: ArrayLike, name: str) -> NDArray[np.float64]:
    """A covariance as an array."""
    return real_tensor(c, f"c of {name}").detach().cpu().numpy().astype(np.float64)


def _vector(name: str, values: ArrayLike | None, part: str, *, like: Tensor | None = None) -> Tensor:
    vector = real_tensor(values, f"{part} of {name}").detach().cpu().double().clone()
    if vector.ndim != 1 or vector.numel() == 0:
        raise BadProblem(f"{name} needs {part} as one finite number per coordinate; got shape {tuple(vector.shape)}.")
    if not all_finite(vector):
        i = int(torch.nonzero(~torch.isfinite(vector))[0, 0])
        raise BadProblem(f"{name} needs {part} as one finite number per coordinate; {part}[{i}] is {vector[i].item()}.")
    if like is not None and vector.shape != like.shape:
        raise BadProblem(f"{name} has {like.numel()} entries in h but {vector.numel()} in {part}; make them equal.")
    return vector
