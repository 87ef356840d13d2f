"""Which methods can solve a problem, at what predicted cost, and why the others cannot."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from optwise.analyses.preflight import preflight
from optwise.analyses.solver_costs import Features, features, predicted_seconds
from optwise.analyses.solver_reasons import reason_for
from optwise.core.composite import Composite, start_row
from optwise.core.matching import mismatch
from optwise.core.problem import Problem
from optwise.core.sampler import Full
from optwise.core.solver import Solver
from optwise.methods.solvers import SOLVERS


@dataclass(frozen=True)
class Choice:
    """One method for one problem.

    Args:
        method: Its label.
        seconds: Predicted; infinite where the method cannot be used.
        reason: Why it can be used and what it exploits, or why it cannot.
        eligible: Whether it can be used.
    """

    method: str
    seconds: float
    reason: str
    eligible: bool


@dataclass(frozen=True, eq=False)
class Explanation:
    """All methods for one problem, those that can solve it first, by predicted cost.

    Args:
        problem: Its name.
        choices: One for each solver.
        of: What the predictions were made from.
    """

    problem: str
    choices: tuple[Choice, ...]
    of: Features

    @property
    def eligible(self) -> tuple[Choice, ...]:
        """The methods that can solve it, the cheapest first."""
        return tuple(choice for choice in self.choices if choice.eligible)

    @property
    def refusals(self) -> tuple[str, ...]:
        """Why the others cannot, one sentence each."""
        return tuple(choice.reason for choice in self.choices if not choice.eligible)

    @property
    def document(self) -> dict[str, Any]:
        """The same as plain JSON."""
        return {
            "problem": self.problem,
            "parameters": self.of.parameters,
            "examples": self.of.examples,
            "condition": self.of.condition if math.isfinite(self.of.condition) else None,
            "methods": [
                {
                    "method": choice.method,
                    "eligible": choice.eligible,
                    "predicted_seconds": choice.seconds if choice.eligible else None,
                    "reason": choice.reason,
                }
                for choice in self.choices
            ],
        }

    @property
    def text(self) -> str:
        """The same in lines."""
        width = max(len(choice.method) for choice in self.choices)
        lines = [f"{self.problem}: {self.of.parameters} parameters, condition about {self.of.condition:.1e}"]
        lines += [f"{c.method:{width}}  {c.seconds:9.2e} s  {c.reason}" for c in self.choices if c.eligible]
        lines += [f"{c.method:{width}}  {'-':>11}  {c.reason}" for c in self.choices if not c.eligible]
        return "\n".join(lines)


def explain(problem: Problem, tol: float = 1e-6) -> Explanation:
    """Which solvers are eligible for a problem, with predicted cost, and why the others are not.

    Args:
        problem: Any.
        tol: What a certificate would have to reach.

    Example:
        >>> import optwise as ow
        >>> found = explain(ow.problems.ridge([[1.0], [2.0]], [1.0, 2.0], l2=0.5))
        >>> next(choice.reason for choice in found.choices if choice.method == "lbfgsb")
        'lbfgsb needs bounds, which ridge does not offer'
    """
    whole = problem if isinstance(problem.sampler, Full) else problem.with_sampler(Full())
    composite = Composite.of(whole, tol=tol)
    found, said = explain_composite(whole, composite), preflight(composite)
    choices = tuple(
        replace(choice, reason=f"{choice.reason}; {said[choice.method]}")
        if choice.eligible and choice.method in said
        else choice
        for choice in found.choices
    )
    return replace(found, choices=choices)


def explain_composite(problem: Problem, composite: Composite) -> Explanation:
    """The same for a problem that was made ready already."""
    of = features(composite, start_row(problem), _gradient_seconds(problem, composite))
    fits, misfits = _matched(problem, of)
    checked = [_checked(choice, composite) for choice in fits]
    choices = [*(c for c in checked if c.eligible), *(c for c in checked if not c.eligible), *misfits]
    return Explanation(problem.name, tuple(choices), of)


def eligible_choices(problem: Problem, composite: Composite) -> Iterator[Choice]:
    """The methods that can solve a problem, the cheapest first, each looked at closely only when it is its turn."""
    of = features(composite, start_row(problem), _gradient_seconds(problem, composite))
    return (choice for fit in _matched(problem, of)[0] if (choice := _checked(fit, composite)).eligible)


def _matched(problem: Problem, of: Features) -> tuple[list[Choice], list[Choice]]:
    """The methods whose needs the problem meets, by predicted cost, and the others."""
    fits, misfits, oracles = [], [], problem.oracles
    for name, solver in _defaults().items():
        refusal = mismatch(problem, solver, oracles)
        if refusal:
            misfits.append(Choice(name, math.inf, refusal, eligible=False))
        else:
            fits.append(Choice(name, predicted_seconds(name, of), reason_for(name, of), eligible=True))
    return sorted(fits, key=lambda choice: choice.seconds), misfits


@cache
def _defaults() -> dict[str, Solver]:
    """Every solver as it ships."""
    return {name: cls() for name, cls in SOLVERS.items()}


def _checked(choice: Choice, composite: Composite) -> Choice:
    """The choice, refused where the method says so of this very problem."""
    reason = _defaults()[choice.method].refusal(composite)
    return Choice(choice.method, math.inf, f"{choice.method} {reason}", eligible=False) if reason else choice


def _gradient_seconds(problem: Problem, composite: Composite) -> float:
    """Of one gradient, measured where it cannot be computed from sizes."""
    model = composite.smooth.model
    if model is not None and model.X.matrix is not None:
        return 0.0
    w, taken = start_row(problem), math.inf
    for _ in range(2):  # a first call may load or compile what later ones find
        started = time.perf_counter()
        composite.smooth.value_and_gradient(w)
        taken = min(taken, time.perf_counter() - started)
    return taken
