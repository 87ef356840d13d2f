"""Least squares by products with X and its transpose: LSQR and LSMR on Golub and Kahan's bidiagonalisation."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

Operator = Callable[[Tensor], Tensor]


class Iterate(NamedTuple):
    r"""LSQR or LSMR after some iterations, with norms that the recursion estimates for free.

    With ``damp`` they are those of the stacked system :math:`\bar A = [A; \delta I]`, :math:`\bar b = [b; 0]`.

    Attributes:
        x: The iterate [n], a tensor of its own.
        residual_norm: |b - A x|.
        normal_residual_norm: |A^T (b - A x)|, zero at the solution.
        operator_norm: Frobenius norm of A as seen so far, which grows towards that of A.
        condition: Condition number of A as seen so far, which grows: in the Frobenius norm from LSQR, roughly that in
            the spectral norm from LSMR. This one and the last pass the values of A once the vectors of the
            bidiagonalisation have lost their orthogonality.
        iterations: Products with A, and with its transpose, so far.
        ended: Why no further iterate comes, "" while one does: "solved" (the bidiagonalisation is complete, up to
            rounding) or "not finite" (a product held NaN or overflowed: x is the iterate before).
    """

    x: Tensor
    residual_norm: float
    normal_residual_norm: float
    operator_norm: float
    condition: float
    iterations: int
    ended: str


def lsqr(forward: Operator, adjoint: Operator, b: Tensor, *, damp: float = 0.0) -> Iterator[Iterate]:
    r"""Solve a least-squares problem, one iterate after each pair of products.

    .. math:: \min_x \; |A x - b|^2 + \delta^2 |x|^2

    In exact arithmetic the iterates are those of conjugate gradients on the normal equations, from zero: |b - A x|
    falls from each to the next. They are found without squaring the condition number, and where the solution is not
    unique they tend to the one of least norm. The caller stops, for example at
    ``normal_residual_norm <= tol * operator_norm * residual_norm``.

    Args:
        forward: v -> A v, from [n] to [m].
        adjoint: u -> A^T u, from [m] to [n].
        b: Right-hand side [m]; its dtype and device are those of the computation.
        damp: delta, at least 0.

    Returns:
        The iterates; a single one with 0 iterations where zero is the solution.

    Raises:
        ValueError: ``b`` is no floating vector, or ``damp`` is negative.

    Example:
        >>> X, y = torch.tensor([[1.0, 0.0], [0.0, 2.0], [0.0, 0.0]]), torch.tensor([1.0, 2.0, 5.0])
        >>> *_, last = (found for found, _ in zip(lsqr(lambda w: X @ w, lambda u: X.T @ u, y), range(2)))
        >>> last.x.round(decimals=4), round(last.residual_norm, 4)
        (tensor([1., 1.]), 5.0)

    References:
        Paige and Saunders (1982), LSQR: an algorithm for sparse linear equations and sparse least squares.
    """
    _refuse_bad_system(b, damp)
    return _lsqr(_bidiagonalisation(forward, adjoint, b), damp)


def lsmr(forward: Operator, adjoint: Operator, b: Tensor, *, damp: float = 0.0) -> Iterator[Iterate]:
    r"""Solve a least-squares problem, one iterate after each pair of products, with a falling normal residual.

    .. math:: \min_x \; |A x - b|^2 + \delta^2 |x|^2

    In exact arithmetic the iterates are those of MINRES on the normal equations, from zero: |A^T (b - A x)| falls from
    each to the next, and so does |b - A x|, to slightly larger values than in :func:`lsqr`. A rule that stops at a
    small normal residual is therefore met no later, often much earlier.

    Args:
        forward: v -> A v, from [n] to [m].
        adjoint: u -> A^T u, from [m] to [n].
        b: Right-hand side [m]; its dtype and device are those of the computation.
        damp: delta, at least 0.

    Returns:
        The iterates; a single one with 0 iterations where zero is the solution.

    Raises:
        ValueError: ``b`` is no floating vector, or ``damp`` is negative.

    Example:
        >>> X, y = torch.tensor([[1.0, 0.0], [0.0, 2.0], [0.0, 0.0]]), torch.tensor([1.0, 2.0, 5.0])
        >>> *_, last = (found for found, _ in zip(lsmr(lambda w: X @ w, lambda u: X.T @ u, y), range(2)))
        >>> last.x.round(decimals=4), round(last.residual_norm, 4)
        (tensor([1., 1.]), 5.0)

    References:
        Fong and Saunders (2011), LSMR: an iterative algorithm for sparse least-squares problems.
    """
    _refuse_bad_system(b, damp)
    return _lsmr(_bidiagonalisation(forward, adjoint, b), damp)


class _Bidiagonal(NamedTuple):
    """One step of ``A V = U B`` with a lower bidiagonal B: its entries alpha and beta, and the next v [n]."""

    beta: float
    alpha: float
    v: Tensor


def _bidiagonalisation(forward: Operator, adjoint: Operator, b: Tensor) -> Iterator[_Bidiagonal]:
    """Golub and Kahan (1965), Calculating the singular values and pseudo-inverse of a matrix."""
    u, beta = _normalised(b)
    v, alpha = _normalised(adjoint(u))
    while True:
        yield _Bidiagonal(beta, alpha, v)
        u, beta = _normalised(forward(v) - alpha * u)
        v, alpha = _normalised(adjoint(u) - beta * v)


def _normalised(vector: Tensor) -> tuple[Tensor, float]:
    length = float(torch.linalg.vector_norm(vector))
    return (vector / length if length > 0.0 else torch.zeros_like(vector)), length


def _rotation(a: float, b: float) -> tuple[float, float, float]:
    """Cosine, sine and length with which a plane rotation turns (a, b) into (length, 0); b is at least 0."""
    length = math.hypot(a, b)
    return (a / length, b / length, length) if length > 0.0 else (1.0, 0.0, 0.0)


def _lsqr(steps: Iterator[_Bidiagonal], damp: float) -> Iterator[Iterate]:
    beta, alpha, v = next(steps)
    x, w = torch.zeros_like(v), v
    phi_bar, rho_bar = beta, alpha
    norms = _Norms(beta, alpha * beta, 0.0, 1.0)
    entries, inverse, damped = 0.0, 0.0, 0.0  # |B|_F^2, |R^-1|_F^2 and the squared part of the residual that is damp x
    ended = _end(beta, alpha, 0.0)
    if ended:
        yield norms.iterate(x, 0, ended)
        return
    for iterations, (beta, alpha_next, v_next) in enumerate(steps, 1):
        entries += alpha * alpha + beta * beta + damp * damp
        ended = _end(beta, alpha_next, torch.finfo(v.dtype).eps * math.sqrt(entries))
        if ended == "not finite":
            yield norms.iterate(x, iterations, ended)
            return
        # one rotation takes the damping out of the new column, the next its subdiagonal
        c_damp, s_damp, rho_bar = _rotation(rho_bar, damp)
        damped += (s_damp * phi_bar) ** 2
        c, s, rho = _rotation(rho_bar, beta)
        phi, phi_bar = c * c_damp * phi_bar, s * c_damp * phi_bar
        theta, rho_bar = s * alpha_next, -c * alpha_next
        direction = w / rho
        x = x + phi * direction
        w = v_next - theta * direction
        inverse += float(direction @ direction)
        norms = _Norms(
            residual=math.sqrt(phi_bar * phi_bar + damped),
            normal_residual=alpha_next * abs(s * phi),
            operator=math.sqrt(entries),
            condition=math.sqrt(entries * inverse),
        )
        yield norms.iterate(x, iterations, ended)
        if ended:
            return
        alpha = alpha_next


def _lsmr(steps: Iterator[_Bidiagonal], damp: float) -> Iterator[Iterate]:
    beta, alpha, v = next(steps)
    x, h, h_bar = torch.zeros_like(v), v, torch.zeros_like(v)
    alpha_bar, zeta_bar = alpha, alpha * beta
    rho = rho_bar = c_bar = 1.0
    s_bar = 0.0
    norms, residual = _Norms(beta, alpha * beta, 0.0, 1.0), _Residual(beta)
    entries, largest, smallest = 0.0, 0.0, math.inf  # |B|_F^2 and the extreme diagonal entries of the second factor
    ended = _end(beta, alpha, 0.0)
    if ended:
        yield norms.iterate(x, 0, ended)
        return
    for iterations, (beta, alpha_next, v_next) in enumerate(steps, 1):
        entries += alpha * alpha + beta * beta + damp * damp
        ended = _end(beta, alpha_next, torch.finfo(v.dtype).eps * math.sqrt(entries))
        if ended == "not finite":
            yield norms.iterate(x, iterations, ended)
            return
        # the QR factor R of the damped bidiagonal matrix, and the QR factor of R transposed
        c_damp, s_damp, alpha_hat = _rotation(alpha_bar, damp)
        rho_before, (c, s, rho) = rho, _rotation(alpha_hat, beta)
        theta, alpha_bar = s * alpha_next, c * alpha_next
        theta_bar, unrotated = s_bar * rho, c_bar * rho
        rho_bar_before, (c_bar, s_bar, rho_bar) = rho_bar, _rotation(unrotated, theta)
        zeta, zeta_bar = c_bar * zeta_bar, -s_bar * zeta_bar
        h_bar = h - (theta_bar * rho / (rho_before * rho_bar_before)) * h_bar
        x = x + (zeta / (rho * rho_bar)) * h_bar
        h = v_next - (theta / rho) * h
        norms = _Norms(
            residual=residual.after(
                c_damp=c_damp, s_damp=s_damp, c=c, s=s, theta_bar=theta_bar, rho_bar=rho_bar, zeta=zeta
            ),
            normal_residual=abs(zeta_bar),
            operator=math.sqrt(entries),
            condition=max(largest, unrotated) / min(smallest, unrotated),
        )
        yield norms.iterate(x, iterations, ended)
        if ended:
            return
        alpha, largest, smallest = alpha_next, max(largest, rho_bar), min(smallest, rho_bar)


class _Residual:
    """The residual norm of LSMR from its rotations alone: section 5.1 of Fong and Saunders, letters as there."""

    def __init__(self, beta: float) -> None:
        self.beta_dd, self.beta_d, self.rho_d = beta, 0.0, 1.0
        self.tau_tilde, self.theta_tilde, self.zeta, self.damped = 0.0, 0.0, 0.0, 0.0

    def after(
        self, *, c_damp: float, s_damp: float, c: float, s: float, theta_bar: float, rho_bar: float, zeta: float
    ) -> float:
        self.damped += (s_damp * self.beta_dd) ** 2
        beta_hat = c * c_damp * self.beta_dd
        self.beta_dd = -s * c_damp * self.beta_dd
        theta_before = self.theta_tilde
        c_tilde, s_tilde, rho_tilde = _rotation(self.rho_d, theta_bar)
        self.theta_tilde, self.rho_d = s_tilde * rho_bar, c_tilde * rho_bar
        self.beta_d = -s_tilde * self.beta_d + c_tilde * beta_hat
        self.tau_tilde = (self.zeta - theta_before * self.tau_tilde) / rho_tilde
        tau_d = (zeta - self.theta_tilde * self.tau_tilde) / self.rho_d
        self.zeta = zeta
        return math.hypot(math.sqrt(self.damped), self.beta_d - tau_d, self.beta_dd)


class _Norms(NamedTuple):
    residual: float
    normal_residual: float
    operator: float
    condition: float

    def iterate(self, x: Tensor, iterations: int, ended: str) -> Iterate:
        return Iterate(x, *self, iterations, ended)


def _end(beta: float, alpha: float, rounding: float) -> str:
    if not math.isfinite(beta + alpha):
        return "not finite"
    # beyond an entry that is rounding, the vectors would be made of rounding
    return "solved" if min(beta, alpha) <= rounding else ""


def _refuse_bad_system(b: Tensor, damp: float) -> None:
    if b.ndim != 1 or not b.dtype.is_floating_point:
        raise ValueError(f"b has shape {tuple(b.shape)} and {b.dtype}; it must be a vector of floating numbers.")
    if not 0.0 <= damp < math.inf:
        raise ValueError(f"damp is {damp}; it must be at least 0 and finite.")
