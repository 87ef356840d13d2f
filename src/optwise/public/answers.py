"""``solve`` and ``explain`` as everybody calls them; apart, since a first answer waits for nothing that draws."""

from __future__ import annotations

from typing import Any

from optwise.catalog.resolving import MethodAsked, ProblemAsked, resolve_problem, resolve_solver
from optwise.core.run import Run
from optwise.public.documents import documented_as
from optwise.verbs import explaining, solving
from optwise.verbs.explaining import Explanation
from optwise.verbs.formulating import TOL


@documented_as(explaining.explain)
def explain(problem: ProblemAsked, tol: float = TOL) -> Explanation:
    """Which solvers are eligible for a problem, with predicted cost, and why the others are not."""
    return explaining.explain(resolve_problem(problem), tol)


@documented_as(solving.solve)
def solve(
    problem: ProblemAsked,
    method: MethodAsked = solving.AUTO,
    tol: float = TOL,
    max_seconds: float | None = None,
    w0: Any = None,
) -> Run:
    r"""Solve a problem and prove what is claimed."""
    return solving.solve(resolve_problem(problem), resolve_solver(method), tol, max_seconds, w0)
