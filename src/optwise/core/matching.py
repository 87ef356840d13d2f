"""Whether a method can work on a problem, by what the one needs and the other offers."""

from __future__ import annotations

from optwise.core.cards import kind
from optwise.core.method import Method
from optwise.core.oracles import Oracle
from optwise.core.problem import Problem


def parts_of(problem: Problem) -> frozenset[Oracle]:
    """What a method must make use of so as to ignore no part of a problem: an oracle for each part that it has."""
    parts = (
        (problem.penalty, Oracle.PROX),
        (problem.constraint, Oracle.PROJECTION),
        (problem.operator, Oracle.OPERATOR),
    )
    return frozenset(oracle for part, oracle in parts if part is not None)


def fits(method: Method, offered: frozenset[Oracle], parts: frozenset[Oracle]) -> bool:
    """Whether a method needs nothing that is not offered, and makes use of all parts.

    Args:
        method: Of any kind.
        offered: The problem's oracles.
        parts: Those of its parts, see :func:`parts_of`.
    """
    return method.needs | parts <= offered and parts <= method.needs | method.accepts


def lacking(problem: Problem, method: Method) -> frozenset[Oracle]:
    """What stands between a problem and a method: needs that are not met, and parts that it would ignore.

    Args:
        problem: What is solved.
        method: Of any kind.
    """
    parts = parts_of(problem)
    return frozenset((method.needs | parts) - problem.oracles | parts - (method.needs | method.accepts))


def mismatch(problem: Problem, method: Method) -> str:
    """Why ``method`` cannot work on ``problem``, naming both and what is missing; empty where it can.

    Args:
        problem: What is solved.
        method: Of any kind.
    """
    offered, parts = problem.oracles, parts_of(problem)
    if fits(method, offered, parts):
        return ""
    missing = method.needs - offered
    if missing:
        asked = ", ".join(sorted(oracle.value for oracle in missing))
        return f"{method.label} needs {asked}, which {problem.name} does not offer"
    kinds = {
        Oracle.PROX: kind(problem.penalty),
        Oracle.PROJECTION: kind(problem.constraint),
        Oracle.OPERATOR: kind(problem.operator),
    }
    for oracle, called in kinds.items():
        if oracle in parts - (method.needs | method.accepts):
            return (
                f"{problem.name} has the part {called}, and {method.label} would ignore it because it uses no "
                f"{oracle.value}"
            )
        if oracle in parts - offered:
            return f"{method.label} needs {oracle.value}, which the {called} of {problem.name} does not have"
    raise AssertionError("what does not fit lacks something")
