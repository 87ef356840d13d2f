"""Frozen default targets of the catalogue's problems, by the reference that a user types."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from optwise.core.budget import Budget
from optwise.core.errors import BadProtocol
from optwise.core.metric import AtMost, Target
from optwise.core.problem import Problem

REFERENCE_BUDGET = "750steps"
"""Three quarters of the default budget: a comparison has 4/3 of what its target was set with, as in AlgoPerf."""

TARGETS: Mapping[str, tuple[Target, str]] = {
    name: (AtMost("valid/loss", value), f"optwise target {name}")
    for name, value in {
        "digits-softmax": 0.118,
        "digits-units": 0.248,
        "digits-mlp": 0.075,
        "digits-cnn": 0.175,
        "breast-cancer-logistic": 0.0941,
        "diabetes-least-squares": 0.273,
    }.items()
}
"""Reference to target and the command that set it; a problem without an entry has none."""


def with_target(problem: Problem) -> Problem:
    """The problem with the target that its reference has in :data:`TARGETS`, if any."""
    if problem.reference not in TARGETS:
        return problem
    target, command = TARGETS[problem.reference]
    return replace(problem, target=target, target_command=command)


def target_budget(problem: Problem) -> Budget | None:
    """What the references had that set the problem's target; ``None`` where no references did.

    Example:
        >>> from optwise.problems import digits_mlp
        >>> str(target_budget(digits_mlp()))
        '750steps'
    """
    command = problem.target_command
    if problem.target is None or not command.startswith("optwise target "):
        return None
    said = re.search(r"--budget[= ]+(\S+)", command)
    try:
        return Budget.parse(REFERENCE_BUDGET if said is None else said[1].strip("'\""))
    except BadProtocol:  # a command that somebody typed into a problem, and mistyped
        return None


def spell(name: str, parameters: Mapping[str, float]) -> str:
    """The reference of a catalogue problem with parameters.

    Example:
        >>> spell("least-squares", {"n": 200, "kappa": 100.0})
        'least-squares:n=200,kappa=100'
    """
    written = (f"{key}={int(value) if value == int(value) else value!r}" for key, value in parameters.items())
    return f"{name}:{','.join(written)}" if parameters else name
