"""Frozen default targets of the catalogue's problems, by the reference that a user types."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from optwise.core.metric import AtMost, Target
from optwise.core.problem import Problem

TARGETS: Mapping[str, tuple[Target, str]] = {
    name: (AtMost("valid/loss", value), f"optwise target {name}")
    for name, value in {
        "digits-softmax": 0.118,
        "digits-units": 0.248,
        "digits-mlp": 0.075,
        "digits-cnn": 0.175,
        "breast-cancer-logistic": 0.11,
        "diabetes-least-squares": 0.268,
    }.items()
}
"""Reference to target and the command that set it; a problem without an entry has none."""


def with_target(problem: Problem) -> Problem:
    """The problem with the target that its reference has in :data:`TARGETS`, if any."""
    if problem.reference not in TARGETS:
        return problem
    target, command = TARGETS[problem.reference]
    return replace(problem, target=target, target_command=command)


def spell(name: str, parameters: Mapping[str, float]) -> str:
    """The reference of a catalogue problem with parameters.

    Example:
        >>> spell("least-squares", {"n": 200, "kappa": 100.0})
        'least-squares:n=200,kappa=100'
    """
    written = (f"{key}={int(value) if value == int(value) else value!r}" for key, value in parameters.items())
    return f"{name}:{','.join(written)}" if parameters else name
