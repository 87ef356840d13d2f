"""Quadratics that are given by their Hessian, over a set or beside a penalty."""

from __future__ import annotations

from optwise.core.errors import BadProblem
from optwise.core.penalty import Penalty
from optwise.core.problem import Problem
from optwise.problems.formulations.assembling import of_term
from optwise.problems.formulations.parts import Within, with_parts
from optwise.problems.formulations.reading import Numbers, read_numbers, read_vector
from optwise.problems.gradients import without_gradients
from optwise.problems.terms.functions import QuadraticTerm


@without_gradients
def quadratic(
    H: Numbers,
    b: Numbers | None = None,
    *,
    w0: Numbers | None = None,
    penalty: Penalty | None = None,
    constraint: Within = None,
    name: str = "quadratic",
) -> Problem:
    r"""A quadratic with a dense Hessian, over a set or beside a penalty: quadratic programs, portfolios.

    .. math:: \min_{w \in C} \tfrac12 w^\top H w + b^\top w + g(w)

    Quadratic programming writes P and q for H and b. A portfolio has the covariance of the returns times the aversion
    to risk for H, and minus their means for b.

    Args:
        H: The Hessian [p, p], symmetric; its float32 or float64 is the problem's dtype, anything else becomes float64.
        b: The gradient at 0 [p]; ``None`` is 0.
        w0: Where to start [p]; ``None`` is 0. It is moved into the set.
        penalty: g, such as ``ow.penalties.L1(0.1)``, its weight inside.
        constraint: C, such as ``ow.sets.CappedSimplex(total=1.0, cap=0.25)``, or bounds ``(low, high)``.
        name: Printed everywhere.

    Raises:
        BadProblem: H that is not square or not symmetric, shapes that disagree, numbers that are not finite.

    Example:
        >>> import optwise as ow
        >>> problem = quadratic([[1, 0], [0, 3]], constraint=ow.sets.CappedSimplex(2, 1.0, 0.6))
        >>> problem.smooth.convex, problem.start(0)[0]["w"]
        (True, tensor([0.5000, 0.5000], dtype=torch.float64))

    References:
        Markowitz (1952), Portfolio selection.
    """
    matrix = read_numbers(H, "H")
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise BadProblem(f"H has shape {tuple(matrix.shape)}; give the Hessian, a symmetric matrix [p, p].")
    p = matrix.shape[0]
    slope = matrix.new_zeros(p) if b is None else read_vector(b, "b", like=matrix)
    start = matrix.new_zeros(p) if w0 is None else read_vector(w0, "w0", like=matrix)
    for vector, called in ((slope, "b"), (start, "w0")):
        if vector.numel() != p:
            raise BadProblem(f"{called} has {vector.numel()} numbers and H is {p} x {p}; make them equal.")
    return with_parts(of_term(name, QuadraticTerm(matrix, slope), start), penalty=penalty, constraint=constraint)
