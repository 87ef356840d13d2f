"""The one step that constant hyperparameters settle on, at many settings, and how many of them fit in memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from optwise.core.method import Method
from optwise.theory.linear_rules import LinearRule
from optwise.theory.matrices import Floats
from optwise.theory.models import factors_of
from optwise.theory.steps import Step
from optwise.theory.walks import constant_from

LOOKED_AT = 2**15
"""Steps over which a rule must stay constant to have a rate and a floor; the powers of 2 beyond are looked at, too."""

TOGETHER = 2**16
"""Settings times curvatures whose matrices are looked at together."""


def constant_step(methods: Sequence[Method], curvatures: Floats) -> Step | None:
    """The step that constant hyperparameters settle on, at T settings; ``None`` where it keeps changing.

    A schedule that is constant counts as none.
    """
    found = settled(methods, curvatures)
    return None if found is None else found[0]


def settled(methods: Sequence[Method], curvatures: Floats) -> tuple[Step, Floats] | None:
    """The step that T settings settle on, and the state that a unit parameter starts with [m, T, N]."""
    if any(factors_of(method, LOOKED_AT) is not None for method in methods):
        return None
    rule = LinearRule(methods, curvatures)
    constant = constant_from(rule, LOOKED_AT)
    return None if constant is None else (constant[1], rule.start)


def few_at_once(methods: Sequence[Method], curvatures: int) -> Iterator[list[Method]]:
    """Settings, as many at a time as memory takes easily."""
    length = max(1, TOGETHER // max(curvatures, 1))
    for first in range(0, len(methods), length):
        yield list(methods[first : first + length])
