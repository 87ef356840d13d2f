"""The noisy quadratic model: a diagonal quadratic whose gradients carry noise of a known covariance."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from optwise.core.errors import BadProblem
from optwise.core.layout import Leaves
from optwise.core.metric import OBJECTIVE, AtMost
from optwise.core.problem import Optimum, Problem
from optwise.core.sampler import Stream
from optwise.problems.objectives import FunctionObjective
from optwise.problems.targets import spell, with_target


@dataclass(frozen=True, eq=False)
class DiagonalQuadratic:
    r"""The function :math:`\tfrac12 \sum_i h_i w_i^2` of the leaf ``w`` [d]; ``h`` [d] is the diagonal Hessian."""

    h: Tensor

    def __call__(self, leaves: Leaves) -> Tensor:
        w = leaves["w"]
        return 0.5 * (self.h.to(dtype=w.dtype, device=w.device) * w.square()).sum()


@dataclass(frozen=True, eq=False)
class GradientNoise:
    """Draws the mean of a batch of noise vectors: independent normals of variance ``c`` / batch size, c [d]."""

    c: Tensor = field(repr=False)

    def __call__(self, generator: torch.Generator, steps: int, batch_size: int, w: Tensor | None) -> Tensor:
        deviation = (self.c / batch_size).sqrt()
        # one call a step: the numbers of one large call depend on its size, and so on how a run is cut into segments
        drawn = [torch.randn(1, deviation.numel(), generator=generator, dtype=torch.float64) for _ in range(steps)]
        return torch.stack(drawn) * deviation  # [S, 1, d]


def nqm(
    h: ArrayLike | None = None,
    c: ArrayLike | None = None,
    w0: ArrayLike | None = None,
    second_moment: float = 1.0,
    *,
    d: int | None = None,
    batch_size: int = 64,
) -> Problem:
    r"""The noisy quadratic model.

    .. math:: f(w) = \tfrac12 \sum_i h_i w_i^2, \qquad g_i = h_i w_i + \xi_i, \qquad \operatorname{Var} \xi_i = c_i / B

    What is measured, ``objective``, is f without noise; its best value is 0. With ``d`` alone the model is that of
    Zhang et al.: :math:`h_i = 1/i`, :math:`c_i = h_i`, starts with :math:`\mathbb E w_i^2 = 1`.

    Args:
        h: Diagonal of the Hessian [d], at least 0.
        c: Gradient noise of one example [d], at least 0; ``None`` takes ``h``.
        w0: The start of every seed [d]; ``None`` draws normal ones of second moment ``second_moment``.
        second_moment: Of each coordinate of a drawn start.
        d: Dimension, instead of ``h``.
        batch_size: B, the examples that a step pays for; their mean noise is drawn directly.

    Raises:
        BadProblem: Both or neither of ``h`` and ``d``, unequal lengths, numbers that are negative or not finite.

    Example:
        >>> problem = nqm(h=[1.0, 0.5], c=[0.0, 0.0], w0=[1.0, 2.0])
        >>> w, buffers = problem.start(0)
        >>> problem.objective.measure(w, buffers, None, None)["objective"]
        tensor([1.5000], dtype=torch.float64)

    References:
        Zhang, Li, Nado, Martens, Sachdeva, Dahl, Shallue, Grosse (2019), Which Algorithmic Choices Matter at Which
        Batch Sizes? Insights From a Noisy Quadratic Model, section 3.
    """
    if (h is None) == (d is None):
        raise BadProblem("nqm needs either the Hessian's diagonal `h` or the dimension `d`, as in nqm:d=100; give one.")
    if d is not None and d < 1:
        raise BadProblem(f"nqm with d={d} has no parameters; give at least 1.")
    if not 0 <= second_moment < np.inf:
        raise BadProblem(f"nqm with second_moment={second_moment:g} has no start; give a finite number, at least 0.")
    diagonal = 1.0 / torch.arange(1, d + 1, dtype=torch.float64) if d is not None else _vector(h, "h")
    variance = diagonal if c is None else _vector(c, "c")
    fixed = None if w0 is None else _vector(w0, "w0")
    for name, vector in (("c", variance), ("w0", fixed)):
        if vector is not None and vector.shape != diagonal.shape:
            raise BadProblem(
                f"nqm has {diagonal.numel()} entries in h but {vector.numel()} in {name}; make them equal."
            )
    if bool((diagonal < 0).any()) or bool((variance < 0).any()):
        raise BadProblem("nqm has a negative entry in h or c: curvatures and variances must be at least 0.")

    def start(seed: int) -> tuple[Leaves, Leaves]:
        if fixed is not None:
            return {"w": fixed.clone()}, {}
        generator = torch.Generator().manual_seed(seed)
        return {"w": second_moment**0.5 * torch.randn(diagonal.numel(), generator=generator, dtype=torch.float64)}, {}

    standard = d is not None and c is None and w0 is None and second_moment == 1.0
    written = {"d": d or 0} | ({"batch_size": batch_size} if batch_size != 64 else {})
    reference = spell("nqm", written) if standard else ""
    return with_target(
        Problem(
            name=reference or "nqm",
            objective=FunctionObjective(DiagonalQuadratic(diagonal)),
            start=start,
            sampler=Stream(GradientNoise(variance), batch_size=batch_size, rows=1),
            optimum=Optimum(0.0, "closed form", {"w": torch.zeros_like(diagonal)}),
            reference=reference,
        )
    )


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


def _vector(values: ArrayLike | None, name: str) -> Tensor:
    vector = torch.tensor(np.asarray(values, dtype=np.float64))
    if vector.ndim != 1 or vector.numel() == 0 or not bool(torch.isfinite(vector).all()):
        raise BadProblem(f"nqm needs {name} as one finite number per coordinate; got shape {tuple(vector.shape)}.")
    return vector
