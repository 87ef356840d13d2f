"""Extreme eigenvalues of symmetric operators given as products, with bounds that hold for all but rare starts."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from optwise.numerics.lanczos_process import Floats, Operator, Process
from optwise.numerics.rng import torch_generator

FAILURE = 1e-9
"""How rarely a bound may be wrong, over the random starts."""
STARTS = 16
"""Beyond this many starts, one more hardly raises the component that the best of them must have."""
LARGEST_EXPONENT = 700.0
"""Its exponential is about the largest float64."""


class Lanczos(NamedTuple):
    """A tridiagonal matrix T that A looks like from a start: ``A V^T = V^T T`` but for the last column.

    Attributes:
        diagonal: Of T [k].
        offdiagonal: Of T [k - 1], positive.
        basis: V, orthonormal rows [k, n]; the first is the start's direction.
    """

    diagonal: Tensor
    offdiagonal: Tensor
    basis: Tensor


class EigenvalueBound(NamedTuple):
    """The largest eigenvalue of an operator, or its norm, from both sides.

    Attributes:
        estimate: A Ritz value: up to rounding never above the truth. NaN where a product was not finite.
        upper: Above the truth except for one start in about 1e9. Infinite where a product was not finite.
        iterations: Products with the operator.
    """

    estimate: float
    upper: float
    iterations: int


class ExtremeEigenvalues(NamedTuple):
    """Both ends of a spectrum, each from both sides.

    Attributes:
        smallest: The smallest Ritz value: up to rounding never below the smallest eigenvalue.
        lower: Below the smallest eigenvalue except for one start in about 1e9.
        largest: The largest Ritz value: up to rounding never above the largest eigenvalue.
        upper: Above the largest eigenvalue except for one start in about 1e9.
        iterations: Products with the operator.
    """

    smallest: float
    lower: float
    largest: float
    upper: float
    iterations: int


def lanczos(apply: Operator, start: Tensor, steps: int) -> Lanczos:
    r"""Tridiagonalise a symmetric A on the Krylov space of ``start``, with full reorthogonalisation.

    .. math:: \beta_j v_{j+1} = A v_j - \alpha_j v_j - \beta_{j-1} v_{j-1}

    Each new vector is made orthogonal to all earlier ones twice, which keeps the basis orthonormal to rounding and
    every Ritz value single. It takes k n numbers of memory and 8 k n operations in step k.

    Args:
        apply: v -> A v, symmetric, for vectors [n].
        start: Any non-zero vector [n]; its dtype and device are those of the computation.
        steps: Products with A allowed, at least 1.

    Returns:
        T and V, of fewer than ``steps`` rows where the Krylov space is exhausted or a product is not finite.

    Raises:
        ValueError: ``start`` is no finite non-zero vector, ``steps`` is below 1, or A turns out not to be symmetric.

    Example:
        >>> found = lanczos(lambda v: torch.tensor([1.0, 2.0, 4.0]) * v, torch.ones(3), 2)
        >>> found.diagonal, found.offdiagonal
        (tensor([2.3333, 2.8095]), tensor([1.2472]))

    References:
        Lanczos (1950), An iteration method for the solution of the eigenvalue problem; Giraud, Langou, Rozloznik and
        van den Eshof (2005), Rounding error analysis of the classical Gram-Schmidt orthogonalization process.
    """
    length = float(torch.linalg.vector_norm(start)) if start.ndim == 1 else math.nan
    if not 0.0 < length < math.inf:
        raise ValueError(f"start has shape {tuple(start.shape)} and norm {length}; it must be a vector that is not 0.")
    if steps < 1:
        raise ValueError(f"steps is {steps}; it must be at least 1.")
    process = Process(apply, start.numel(), dtype=start.dtype, device=start.device)
    process.begin(start)
    while process.count < min(steps, start.numel()) and process.advance() and not process.exhausted:
        pass
    block, k = process.blocks[0], process.count
    return Lanczos(
        diagonal=torch.tensor(block.alphas, dtype=start.dtype, device=start.device),
        offdiagonal=torch.tensor(block.betas[: max(k - 1, 0)], dtype=start.dtype, device=start.device),
        basis=process.basis[:k].clone(),
    )


def largest_eigenvalue(
    apply: Operator,
    dimension: int,
    *,
    dtype: torch.dtype,
    device: torch.device | str = "cpu",
    seed: int = 0,
    tol: float = 1e-3,
    most: int = 200,
) -> EigenvalueBound:
    r"""The largest eigenvalue of a symmetric A, by Lanczos from a random start, and a bound that it does not pass.

    The Lanczos polynomial :math:`p_k(t) = \prod_i (t - \theta_i) / \prod_i \beta_i` over the Ritz values
    :math:`\theta_i` gives :math:`v_{k+1} = p_k(A) v_1`, a unit vector, so that the component :math:`\gamma` of the
    start along the eigenvector of :math:`\lambda_{\max}` satisfies

    .. math:: |\gamma| \, |p_k(\lambda_{\max})| \le 1 .

    A start uniform on the sphere has :math:`|\gamma| < \delta = \varepsilon \sqrt{\pi / (2n)}` with probability below
    :math:`\varepsilon = 10^{-9}`; otherwise :math:`\lambda_{\max}` lies below the root of
    :math:`p_k(t) = 1 / \delta` above :math:`\theta_{\max}`. Unlike the residual norm, which only says that *some*
    eigenvalue is near, this bounds the largest one. Unlike bounds a priori (Kuczynski and Wozniakowski 1992), it gains
    from gaps in the spectrum and asks for no sign. The bound is that of exact arithmetic plus
    :math:`(\sqrt n + k) \, \mathrm{eps} \, |A|` for rounding. It does not hold for an A that was chosen knowing the
    seed.

    Where the Krylov space is exhausted early, another random start in its complement follows.

    Args:
        apply: v -> A v, symmetric, for vectors [n].
        dimension: n.
        dtype: Of the vectors.
        device: Of the vectors.
        seed: Of the random start, drawn on the CPU in float64 whatever dtype and device.
        tol: Stop at ``upper - estimate <= tol * |A|``, with |A| as seen so far. Where eigenvalues crowd evenly at the
            end, 0.01 takes some 150 products and 0.001 three times as many; where they thin out or leave gaps, a few
            dozen. The estimate is closer than that, and ``upper`` holds wherever the search stops.
        most: Products allowed; the basis keeps that many vectors.

    Returns:
        Estimate, bound and products spent.

    Raises:
        ValueError: ``dimension`` or ``most`` is below 1, or A turns out not to be symmetric.

    Example:
        >>> h = torch.arange(1.0, 1001.0, dtype=torch.float64)
        >>> found = largest_eigenvalue(lambda v: h * v, 1000, dtype=torch.float64, tol=0.01)
        >>> found.estimate <= 1000.0 <= found.upper <= 1010.0
        True

    References:
        van Dorsselaer, Hochstenbach and van der Vorst (2000), Computing probabilistic bounds for extreme eigenvalues of
        symmetric matrices with the Lanczos method.
    """

    def enough(found: ExtremeEigenvalues) -> bool:
        return found.upper - found.largest <= tol * max(abs(found.largest), abs(found.smallest))

    found = _extremes(Process(apply, dimension, dtype=dtype, device=device), seed=seed, most=most, enough=enough)
    return EigenvalueBound(found.largest, found.upper, found.iterations)


def extreme_eigenvalues(
    apply: Operator,
    dimension: int,
    *,
    dtype: torch.dtype,
    device: torch.device | str = "cpu",
    seed: int = 0,
    tol: float = 1e-3,
    most: int = 200,
) -> ExtremeEigenvalues:
    r"""Both extreme eigenvalues of a symmetric A from one run of Lanczos, each with its bound.

    As :func:`largest_eigenvalue`, for A and for -A on the same Krylov space. ``tol`` is a share of |A| at both ends: an
    end close to zero is found to ``tol * |A|``, not to ``tol`` of itself, so that a condition number above 1 / tol
    wants a smaller ``tol``, more products, or a shift.

    Args:
        apply: v -> A v, symmetric, for vectors [n].
        dimension: n.
        dtype: Of the vectors.
        device: Of the vectors.
        seed: Of the random start.
        tol: Stop once both bounds are this close, relative to |A| as seen so far.
        most: Products allowed.

    Returns:
        Estimates, bounds and products spent.

    Raises:
        ValueError: ``dimension`` or ``most`` is below 1, or A turns out not to be symmetric.

    Example:
        >>> h = torch.linspace(-1.0, 3.0, 50, dtype=torch.float64)
        >>> found = extreme_eigenvalues(lambda v: h * v, 50, dtype=torch.float64)
        >>> round(found.smallest, 6), round(found.largest, 6)
        (-1.0, 3.0)

    References:
        van Dorsselaer, Hochstenbach and van der Vorst (2000), Computing probabilistic bounds for extreme eigenvalues of
        symmetric matrices with the Lanczos method.
    """

    def enough(found: ExtremeEigenvalues) -> bool:
        widest = max(found.upper - found.largest, found.smallest - found.lower)
        return widest <= tol * max(abs(found.largest), abs(found.smallest))

    return _extremes(Process(apply, dimension, dtype=dtype, device=device), seed=seed, most=most, enough=enough)


def operator_norm(
    forward: Operator,
    adjoint: Operator,
    shape: tuple[int, int],
    *,
    dtype: torch.dtype,
    device: torch.device | str = "cpu",
    seed: int = 0,
    tol: float = 1e-3,
    most: int = 200,
) -> EigenvalueBound:
    r"""The spectral norm of a linear map, its largest singular value, with a bound that it does not pass.

    .. math:: |A| = \max_{|v| = 1} |A v| = \sqrt{\lambda_{\max}(A^T A)}

    by :func:`largest_eigenvalue` of :math:`A^T A` or :math:`A A^T`, whichever is smaller.

    Args:
        forward: v -> A v, from [n] to [m].
        adjoint: u -> A^T u, from [m] to [n].
        shape: (m, n), as of a matrix.
        dtype: Of the vectors.
        device: Of the vectors.
        seed: Of the random start.
        tol: Stop at ``upper <= (1 + tol) * estimate``.
        most: Pairs of products allowed.

    Returns:
        Estimate, bound and pairs of products spent.

    Raises:
        ValueError: A dimension or ``most`` is below 1, or ``adjoint`` turns out not to be the transpose of ``forward``.

    Example:
        >>> X = torch.tensor([[3.0, 0.0, 0.0], [0.0, 0.0, 4.0]])
        >>> round(operator_norm(lambda v: X @ v, lambda u: X.T @ u, (2, 3), dtype=torch.float32).estimate, 5)
        4.0

    References:
        Hochstenbach (2013), Probabilistic upper bounds for the matrix two-norm.
    """
    rows, columns = shape
    tall = rows >= columns
    square = (lambda v: adjoint(forward(v))) if tall else (lambda u: forward(adjoint(u)))
    found = largest_eigenvalue(
        square, min(rows, columns), dtype=dtype, device=device, seed=seed, tol=2.0 * tol, most=most
    )
    return EigenvalueBound(_root(found.estimate), _root(found.upper), found.iterations)


def _extremes(
    process: Process, *, seed: int, most: int, enough: Callable[[ExtremeEigenvalues], bool]
) -> ExtremeEigenvalues:
    if most < 1:
        raise ValueError(f"most is {most}; it must be at least 1.")
    starts = _random_starts(process, seed)
    process.begin(next(starts))
    found = ExtremeEigenvalues(math.nan, -math.inf, math.nan, math.inf, 0)
    most, look = min(most, process.dimension), 1
    while process.count < most:
        if not process.advance():
            return ExtremeEigenvalues(math.nan, -math.inf, math.nan, math.inf, process.count + 1)
        if process.count >= min(look, most) or process.exhausted:
            look = 1 + process.count * 11 // 10  # looking takes time too, about as many operations as a small product
            found = _bounds(process)
            if enough(found):
                break
        if process.exhausted and process.count < most:
            process.begin(next(starts))
    return found


def _random_starts(process: Process, seed: int) -> Iterator[Tensor]:
    generator = torch_generator(seed)
    while True:
        drawn = torch.randn(process.dimension, generator=generator, dtype=torch.float64)
        yield drawn.to(dtype=process.basis.dtype, device=process.basis.device)


def _bounds(process: Process) -> ExtremeEigenvalues:
    ritz = process.ritz_values()
    smallest, largest = float(min(values[0] for values in ritz)), float(max(values[-1] for values in ritz))
    lower, upper = smallest, largest
    if process.count < process.dimension:
        lower, upper = -_bound_above(process, [-values[::-1] for values in ritz]), _bound_above(process, ritz)
    margin = process.rounding
    return ExtremeEigenvalues(smallest, lower - margin, largest, upper + margin, process.count)


def _bound_above(process: Process, ritz: list[Floats]) -> float:
    """A bound on the largest eigenvalue from the increasing Ritz values of each block."""
    if process.norm == 0.0:
        return 0.0
    # a beta below rounding is rounding
    growth = [sum(math.log(max(beta, process.rounding)) for beta in block.betas) for block in process.blocks]
    bounds: list[float] = []
    for starts in range(1, min(len(ritz), STARTS) + 1):
        # where each start has a small component with the root of a chance, all of them have with that chance
        share = FAILURE ** (1 / starts) * math.sqrt(math.pi / (2 * process.dimension))
        first = zip(ritz[:starts], growth[:starts], strict=True)
        bounds.append(max(float(v[-1]) + _distance(v[-1] - v, log - math.log(share)) for v, log in first))
    return min(bounds)


def _distance(gaps: Floats, level: float) -> float:
    """The s at which the sum of log(s + gaps) is ``level``, to a thousandth from above; one of the gaps is 0."""
    # in u = log(s) the sum is convex and increasing, so that Newton's method from above stays above
    u = min(level / gaps.size, LARGEST_EXPONENT)  # every term is at least u
    step = math.inf
    while step > 1e-3 and u > -LARGEST_EXPONENT:
        s = math.exp(u)
        step = float((np.log(s + gaps).sum() - level) / (s / (s + gaps)).sum())
        u -= step
    return math.exp(u) if not u > LARGEST_EXPONENT else math.inf


def _root(value: float) -> float:
    return math.nan if math.isnan(value) else math.sqrt(max(value, 0.0))
