"""Why no method can solve a problem: the one that comes nearest, and the one part that it lacks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from optwise.core.cards import kind
from optwise.core.composite import Composite
from optwise.core.matching import lacking, parts_of
from optwise.core.oracles import Oracle
from optwise.core.problem import Problem
from optwise.core.solver import Solver
from optwise.problems.terms.stacking import Identity, PenaltySum, Stacked

ADVICE: Mapping[Oracle, str] = {
    Oracle.CONVEX: "of a convex f say so, smooth(f, w0, convex=True), else leave one part out",
    Oracle.CONVEX_PENALTY: "take a convex penalty, such as L1, or leave one part out",
    Oracle.CONVEX_SET: "take a convex set, or leave one part out",
    Oracle.PROX: "add `prox(v, step)` to the penalty",
    Oracle.PROJECTION: "leave the set out",
    Oracle.OPERATOR: "leave the operator out",
}
"""What to do about the one thing that is lacking, the nearest at hand first."""
ORDER = tuple(ADVICE)


def nearest_refusal(problem: Problem, composite: Composite, solvers: Iterable[Solver]) -> str:
    """The reason that matters, as a sentence without its full stop.

    A method that takes the problem's parts and lacks one thing comes nearest; one that has all it needs and refuses
    this very problem is next.

    Args:
        problem: What no method can solve.
        composite: The same as solvers see it.
        solvers: All of them, as they ship.
    """
    parts = parts_of(problem)
    ranked: list[tuple[int, int, int, str]] = []
    for n, solver in enumerate(solvers):
        missing = lacking(problem, solver)
        takes_all = parts <= solver.needs | solver.accepts
        # only who takes every part has something to say of this very problem
        refusal = solver.refusal(composite) if takes_all and len(missing) <= 1 else ""
        advised = min((ORDER.index(oracle) for oracle in missing if oracle in ADVICE), default=len(ORDER))
        distance = len(missing) + bool(refusal) + (0 if takes_all else len(ORDER))
        ranked.append((distance, advised, n, _sentence(solver, missing, refusal)))
    return f"No method can solve {_parts(problem)}: {min(ranked)[-1]}"


def _sentence(solver: Solver, missing: frozenset[Oracle], refusal: str) -> str:
    if not missing:
        return f"{solver.label} {refusal}"
    names = " and ".join(sorted(oracle.value for oracle in missing))
    advice = next((f"; {ADVICE[oracle]}" for oracle in ORDER if oracle in missing), "")
    return f"{solver.label} comes nearest and lacks {names}{advice}"


def _parts(problem: Problem) -> str:
    """The problem with the parts that make it hard."""
    penalty, operator = problem.penalty, problem.operator
    summed = penalty.parts if isinstance(penalty, PenaltySum) else (penalty,)
    if isinstance(operator, Stacked):  # made here for the sum, but for what the problem had before
        operator = next((part for part in operator.parts if not isinstance(part, Identity)), None)
    named = [
        "" if problem.smooth is None or problem.smooth.convex else "a function not known to be convex",
        *(kind(part) for part in summed),
        "" if operator is None else f"the operator {kind(operator)}",
        "" if problem.constraint is None else f"the set {kind(problem.constraint)}",
    ]
    said = [name for name in named if name]
    if not said:
        return problem.name
    listed = " and ".join([*([", ".join(said[:-1])] if len(said) > 1 else []), said[-1]])
    return f"{problem.name}, which has {listed}{' at once' if len(said) > 1 else ''}"
