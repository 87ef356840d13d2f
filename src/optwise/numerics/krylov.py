"""Conjugate gradients for symmetric systems given as products, and their truncation to a trust region."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

Operator = Callable[[Tensor], Tensor]


class Iterate(NamedTuple):
    """Conjugate gradients after some iterations.

    Attributes:
        x: The iterate [n], a tensor of its own.
        residual_norm: |b - A x| as the recursion carries it; it leaves the true one by about eps |A| |x|.
        iterations: Products with A so far, less the one that a start ``x`` costs.
        curvature: <d, A d> / <d, d> along ``direction``, between the extreme eigenvalues of A; NaN before there is one.
        direction: d, the latest search direction [n].
        ended: Why no further iterate comes, "" while one does: "solved" (the residual is zero), "negative curvature"
            (<d, A d> is not above rounding: x is the iterate before, A is not positive definite), "breakdown" (the
            preconditioner is not positive definite), "not finite" (a product held NaN, or a square of a norm over-
            or underflowed: x is the iterate before).
    """

    x: Tensor
    residual_norm: float
    iterations: int
    curvature: float
    direction: Tensor
    ended: str


class TrustRegionStep(NamedTuple):
    """A step inside a trust region.

    Attributes:
        step: s [n], with |s| at most the radius.
        decrease: What the quadratic model predicts, -(<g, s> + <s, A s> / 2), never negative; 0 only for a zero step.
        iterations: Products with A.
        residual_norm: |g + A s| where the step ended inside; NaN on the boundary.
        boundary: Whether |s| is the radius.
        negative_curvature: Whether a direction of curvature at most zero led to the boundary.
    """

    step: Tensor
    decrease: float
    iterations: int
    residual_norm: float
    boundary: bool
    negative_curvature: bool


def conjugate_gradient(
    apply: Operator, b: Tensor, x: Tensor | None = None, *, preconditioner: Operator | None = None
) -> Iterator[Iterate]:
    r"""Solve A x = b for a symmetric positive definite A, one iterate after each product with A.

    .. math:: x_k = \operatorname*{argmin}_{x \in x_0 + \mathcal K_k} \tfrac12 x^T A x - b^T x, \qquad
              \mathcal K_k = \operatorname{span}\{M r_0, (M A) M r_0, \dots, (M A)^{k-1} M r_0\}

    The caller stops when an iterate is good enough; the generator itself stops only where no next one exists, and says
    so in :attr:`Iterate.ended`. Where nothing can be done at all, a single iterate with 0 iterations comes.

    Args:
        apply: v -> A v, for vectors [n].
        b: Right-hand side [n]; its dtype and device are those of the computation.
        x: Start [n], zero where omitted; it costs one product.
        preconditioner: r -> M r with a symmetric positive definite M close to the inverse of A.

    Returns:
        The iterates.

    Raises:
        ValueError: ``b`` is no floating vector, or ``x`` has another shape.

    Example:
        >>> A, b = torch.tensor([[2.0, 1.0], [1.0, 3.0]]), torch.tensor([3.0, 4.0])
        >>> first, second = list(conjugate_gradient(lambda v: A @ v, b))[:2]
        >>> second.x.round(decimals=4), second.iterations
        (tensor([1., 1.]), 2)
        >>> next(conjugate_gradient(lambda v: -v, b)).ended
        'negative curvature'

    References:
        Hestenes and Stiefel (1952), Methods of conjugate gradients for solving linear systems; Golub and Van Loan
        (2013), Matrix Computations, section 11.5.
    """
    _refuse_all_but_vectors("b", b)
    if x is not None and x.shape != b.shape:
        raise ValueError(f"x has shape {tuple(x.shape)}; it must have that of b, {tuple(b.shape)}.")
    start, residual = (torch.zeros_like(b), b) if x is None else (x.to(b), b - apply(x.to(b)))
    return _conjugate_gradient(apply, start, residual, preconditioner or _unchanged)


def steihaug(apply: Operator, g: Tensor, radius: float, *, tol: float, most: int) -> TrustRegionStep:
    r"""Minimise a quadratic model in a ball by conjugate gradients, cut off where they leave it.

    .. math:: \min_{|s| \le \Delta} \; g^T s + \tfrac12 s^T A s

    Iterates lengthen and the model falls from each to the next, so that the first one outside, or the first direction
    of negative curvature, is followed to the boundary and no further. The step does at least as well as the best step
    along -g.

    Args:
        apply: v -> A v, symmetric, not necessarily positive definite, for vectors [n].
        g: Gradient of the model at 0 [n].
        radius: Of the ball, above 0.
        tol: Inside, stop at |g + A s| <= tol |g|.
        most: Products with A allowed.

    Returns:
        The step. It is zero where g is zero, or where the first product is not finite.

    Raises:
        ValueError: ``g`` is no floating vector, the radius is not positive and finite, or ``most`` is below 1.

    Example:
        >>> A, g = torch.tensor([1.0, -1.0]), torch.tensor([1.0, 1.0])
        >>> found = steihaug(lambda v: A * v, g, 2.0, tol=1e-6, most=10)
        >>> found.step, found.boundary, found.negative_curvature, round(found.decrease, 4)
        (tensor([-1.4142, -1.4142]), True, True, 2.8284)

    References:
        Steihaug (1983), The conjugate gradient method and trust regions in large scale optimization; Toint (1981),
        Towards an efficient sparsity exploiting Newton method for minimization.
    """
    _refuse_all_but_vectors("g", g)
    if not 0.0 < radius < math.inf:
        raise ValueError(f"radius is {radius}; it must be above 0 and finite.")
    if most < 1:
        raise ValueError(f"most is {most}; it must be at least 1.")
    step, decrease, residual = torch.zeros_like(g), 0.0, float(torch.linalg.vector_norm(g))
    target, iterations = tol * residual, 0
    for iterate in conjugate_gradient(apply, -g):
        if iterate.iterations == 0 or iterate.ended == "not finite":
            break
        iterations, d = iterate.iterations, iterate.direction
        length, squared = torch.stack([torch.linalg.vector_norm(iterate.x), d @ d]).tolist()
        # along d the model starts with slope -|r|^2: d is the residual plus directions that no longer matter to it
        fall, bend = residual * residual, iterate.curvature * squared
        flat = iterate.ended == "negative curvature"
        if flat or not length < radius:
            share = _share_to_boundary(step, d, radius)
            step = step + share * d
            decrease += share * (fall - 0.5 * share * bend)
            return TrustRegionStep(step, decrease, iterations, math.nan, boundary=True, negative_curvature=flat)
        decrease += 0.5 * fall * (fall / bend)
        step, residual = iterate.x, iterate.residual_norm
        if residual <= target or iterations >= most:
            break
    return TrustRegionStep(step, decrease, iterations, residual, boundary=False, negative_curvature=False)


def _conjugate_gradient(apply: Operator, x: Tensor, r: Tensor, preconditioner: Operator) -> Iterator[Iterate]:
    z = d = preconditioner(r)
    rho = r @ z
    squared, fit = torch.stack([r @ r, rho]).tolist()
    ended, iterations = _end_of_residual(squared, fit), 0
    if ended:
        yield Iterate(x, math.sqrt(squared), 0, math.nan, d, ended)
    while not ended:
        iterations += 1
        image = apply(d)
        bend = d @ image
        form, length, image_length = torch.stack([bend, d @ d, image @ image]).tolist()
        curvature = form / length if length > 0.0 else math.nan
        ended = _end_of_curvature(curvature, form, rounding=_eps(d) * math.sqrt(length * image_length))
        if not ended:
            share = rho / bend
            next_r = r - share * image
            z = preconditioner(next_r)
            next_rho = next_r @ z
            next_squared, fit = torch.stack([next_r @ next_r, next_rho]).tolist()
            ended = _end_of_residual(next_squared, fit)
            if ended != "not finite":
                x, r, squared = x + share * d, next_r, next_squared
        yield Iterate(x, math.sqrt(squared), iterations, curvature, d, ended)
        if not ended:
            d, rho = z + (next_rho / rho) * d, next_rho


def _end_of_curvature(curvature: float, form: float, *, rounding: float) -> str:
    if not math.isfinite(curvature + rounding):
        return "not finite"
    return "negative curvature" if form <= rounding else ""


def _end_of_residual(squared: float, fit: float) -> str:
    if not math.isfinite(squared + fit):
        return "not finite"
    if squared == 0.0:
        return "solved"
    return "" if fit > 0.0 else "breakdown"


def _share_to_boundary(step: Tensor, d: Tensor, radius: float) -> float:
    """The positive t with |step + t d| = radius, for a step inside the ball."""
    within, along, squared = (float(v) for v in torch.stack([step @ step, step @ d, d @ d]).double())
    room = max(radius * radius - within, 0.0)
    root = math.sqrt(along * along + squared * room)
    # the form of the root that subtracts nothing: directions of conjugate gradients lead outwards, along >= 0
    above, below = (room, along + root) if along >= 0.0 else (root - along, squared)
    return above / below if below > 0.0 else 0.0  # a direction or a ball whose square is no number goes nowhere


def _eps(like: Tensor) -> float:
    return torch.finfo(like.dtype).eps


def _unchanged(r: Tensor) -> Tensor:
    return r


def _refuse_all_but_vectors(name: str, vector: Tensor) -> None:
    if vector.ndim != 1 or not vector.dtype.is_floating_point:
        raise ValueError(
            f"{name} has shape {tuple(vector.shape)} and {vector.dtype}; it must be a vector of floating numbers."
        )
