"""What cannot come out of a question, known from its protocol and its problems before anything is run."""

from __future__ import annotations

from optwise.analyses.prospects import Plan, prospects
from optwise.core.budget import SECONDS
from optwise.core.finding import Finding
from optwise.core.method import Method
from optwise.core.problem import Problem
from optwise.engine.allowance import planned_steps
from optwise.problems.targets import target_budget
from optwise.verbs.asking import Question

FAR = 10**9
"""Steps of a budget in seconds, which nobody has timed yet: never too short."""


def foreseen(question: Question) -> dict[str, list[Finding]]:
    """What cannot come out on each problem, before anything is run.

    Args:
        question: With problems.
    """
    found = {}
    for name, problem in question.problems.items():
        reference = target_budget(problem)
        counted = reference is not None and reference.unit != SECONDS
        by_name = question.protocol.methods.items()
        plan = Plan(
            problem=name,
            steps={m: _steps(question, problem, method) for m, method in by_name},
            own_target=problem.target,
            reference_steps=reference.steps(batch=problem.batch_size) if reference is not None and counted else None,
        )
        found[name] = prospects(question.protocol, plan)
    return found


def _steps(question: Question, problem: Problem, method: Method) -> int:
    """Steps that the budget buys; of seconds, which nobody has timed yet, as many as measurements need."""
    budget = question.protocol.budget
    if budget.unit == SECONDS:
        return FAR
    return planned_steps(budget, problem, gradients_per_step=method.gradients_per_step)
