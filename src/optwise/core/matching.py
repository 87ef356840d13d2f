"""Whether a method can work on a problem, by what the one needs and the other offers."""

from __future__ import annotations

from optwise.core.method import Method
from optwise.core.oracles import Oracle
from optwise.core.problem import Problem


def mismatch(problem: Problem, method: Method, oracles: frozenset[Oracle] | None = None) -> str:
    """Why ``method`` cannot work on ``problem``, naming both and what is missing; empty where it can.

    Args:
        problem: What is solved.
        method: Of any kind.
        oracles: The problem's, for whoever asks about many methods; ``None`` asks the problem.
    """
    offered = problem.oracles if oracles is None else oracles
    missing = method.needs - offered
    if missing:
        asked = ", ".join(sorted(oracle.value for oracle in missing))
        return f"{method.label} needs {asked}, which {problem.name} does not offer"
    parts = (
        (problem.penalty, Oracle.PROX),
        (problem.constraint, Oracle.PROJECTION),
        (problem.operator, Oracle.OPERATOR),
    )
    for part, oracle in parts:
        kind = type(part).__name__
        if part is not None and oracle not in method.needs | method.accepts:
            return (
                f"{problem.name} has the part {kind}, and {method.label} would ignore it because it uses no "
                f"{oracle.value}"
            )
        if part is not None and oracle not in offered:
            return f"{method.label} needs {oracle.value}, which the {kind} of {problem.name} does not have"
    return ""
