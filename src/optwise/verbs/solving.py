"""The answer to a formulated problem: the method chosen and why, and a certificate that was recomputed."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from typing import Any

from optwise.analyses.prices import asked_again
from optwise.analyses.solver_costs import features
from optwise.analyses.solver_reasons import reason_for
from optwise.core.composite import Composite
from optwise.core.errors import BadMethod, UnknownName, UnmetNeed
from optwise.core.matching import mismatch
from optwise.core.method import Method
from optwise.core.problem import Problem
from optwise.core.run import Run
from optwise.core.solver import Solver, kind_label
from optwise.methods.solvers import SOLVERS
from optwise.verbs.answering import answer_of, random_loss, run_of
from optwise.verbs.automatic import automatic
from optwise.verbs.formulating import TOL, prepared

AUTO = "auto"
LAST_CALL = 0.05
"""Share of a time limit after it within which the certificate of the best point may still ask for something."""


def solve(
    problem: Problem,
    method: Method | str = AUTO,
    tol: float = TOL,
    max_seconds: float | None = None,
    w0: Any = None,
) -> Run:
    r"""Solve a problem and prove what is claimed.

    .. math:: \min_{w \in C} f(w) + g(A w)

    All examples are looked at in every step, whatever the problem's sampler. ``tol`` always means the certificate,
    which is recomputed in float64 by code of its own: *optimal* says that the value is proved to lie within
    ``tol * max(|primal|, |dual|, scale)`` of the best one, *stationary* that the relative residual of the first-order
    conditions is at most ``tol``.

    Args:
        problem: Any, such as ``ow.problems.lasso(X, y, weight=0.1)``.
        method: A solver, its name, or ``"auto"``, which chooses by structure, size and conditioning, says why, and goes
            on with the next method where one stalls.
        tol: What the certificate must reach, in the problem's dtype at least 4 of its rounding units.
        max_seconds: Wall-clock limit.
        w0: Where to start, an array or tensor of the shape of the answer; by default the problem's own start.

    Returns:
        A Run with ``.w .value .status .certificate .method .why .counts .seconds .trace``. A failure is a status, with
        the best point found.

    Raises:
        CallerError: Before any work: a method that does not fit, a tolerance that the dtype cannot reach.

    Example:
        >>> import optwise as ow
        >>> run = solve(ow.problems.ridge([[1.0], [2.0]], [1.0, 2.0], l2=2.5))
        >>> run.status.value, round(float(run.w), 9), run.certificate.kind.value
        ('optimal, certified', 0.5, 'optimality')
    """
    deadline = math.inf if max_seconds is None else time.perf_counter() + max_seconds
    formulated, w = prepared(problem, tol, max_seconds, w0)
    if max_seconds is not None:
        exact = replace(formulated.exact, deadline=deadline + LAST_CALL * max_seconds)
        formulated = replace(formulated, deadline=deadline, exact=exact)
    if method == AUTO:
        return automatic(formulated, w, tol)
    chosen = _solver(method)
    refusal = mismatch(formulated.problem, chosen) or _refused(chosen, formulated.composite)
    if refusal:
        raise UnmetNeed(f"{refusal}; choose another method, or `auto`.")
    reason = reason_for(kind_label(type(chosen)), features(formulated.composite, w, 0.0))
    again = asked_again(formulated.composite)
    course = run_of(formulated, chosen, w, tol, look_first=True, random=again is not None)
    said = [f"{chosen.label} was asked for: {reason}.", *random_loss(formulated.composite, again)]
    return answer_of(formulated, [(chosen, course)], (chosen, course), said, tol, random=again is not None)


def _solver(method: Method | str) -> Solver:
    if isinstance(method, str):
        if method not in SOLVERS:
            raise UnknownName("solver", method, [AUTO, *SOLVERS])
        return SOLVERS[method]()
    if not isinstance(method, Solver):
        label = method.label if isinstance(method, Method) else repr(method)
        raise BadMethod(f"{label} is no solver; choose one of {', '.join(SOLVERS)}, or run it with `compare`.")
    method.require_closed()
    return method


def _refused(solver: Solver, composite: Composite) -> str:
    reason = solver.refusal(composite)
    return f"{solver.label} {reason}" if reason else ""
