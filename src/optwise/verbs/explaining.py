"""Which methods can solve a problem, at what predicted cost, and why the others cannot."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from optwise.analyses.preflight import preflight
from optwise.analyses.prices import Prices, prices_of
from optwise.analyses.solver_costs import TIE, Features, features, predicted_seconds, rank
from optwise.analyses.solver_reasons import reason_for
from optwise.core.composite import Composite, TimeIsUp, start_row
from optwise.core.matching import fits, mismatch, parts_of
from optwise.core.oracles import Oracle
from optwise.core.problem import Problem
from optwise.core.sampler import Full
from optwise.core.showing import Card, Shown, Terse, one_line
from optwise.core.solver import Solver
from optwise.methods.solvers import SOLVERS
from optwise.verbs.refusing import nearest_refusal

FEW = 6
"""Methods that an explanation shows of itself; all are in its text."""


@dataclass(frozen=True)
class Choice(Terse):
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
class Explanation(Shown):
    """All methods for one problem, those that can solve it first, by predicted cost.

    Args:
        problem: Its name.
        choices: One for each solver.
        of: What the predictions were made from.
        nearest: Where none can solve it, the reason that matters: the nearest method and what it lacks.
    """

    problem: str
    choices: tuple[Choice, ...]
    of: Features
    nearest: str = ""

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
            "nearest": self.nearest,
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
        lines += [self.nearest] if self.nearest else []
        lines += [f"{c.method:{width}}  {c.seconds:9.2e} s  {c.reason}" for c in self.choices if c.eligible]
        lines += [f"{c.method:{width}}  {'-':>11}  {c.reason}" for c in self.choices if not c.eligible]
        return "\n".join(lines)

    def card(self) -> Card:
        usable = self.eligible
        size = f"{self.of.parameters:,} parameters, condition about {self.of.condition:.1e}"
        said = f"{len(usable)} of {len(self.choices)} solvers fit" + (f", {usable[0].method} first" if usable else "")
        shown, width = usable[:FEW], max((len(choice.method) for choice in usable[:FEW]), default=0)
        lines = [f"  {c.method:{width}}  {c.seconds:9.2e} s  {one_line(c.reason, 120)}" for c in shown]
        rows = tuple((c.method, f"{c.seconds:.2e}", c.reason) for c in shown)
        order = f"by predicted seconds, an exact answer counting {1 / TIE:.3g} times as fast"
        said = f"{said}, {order}" if len(usable) > 1 else said
        notes = (
            size,
            *((self.nearest,) if self.nearest else ()),
            *((f"{len(usable) - FEW} more that fit; all in .text",) if len(usable) > FEW else ()),
        )
        first = usable[0].method if usable else "auto"
        why = (f"  {one_line(self.nearest, 240)}",) if self.nearest else ()
        return Card(
            (f"{one_line(self.problem)}: {said}; {size}", *why, *lines, "next: .text .eligible .refusals"),
            f"Explanation of {self.problem}",
            said,
            ("method", "predicted seconds", "why"),
            rows,
            notes,
            (f'ow.solve(problem, "{first}")', ".text", ".eligible", ".refusals"),
        )


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
    matched = matching_features(problem, composite)
    of, names = matched.of, matched.methods
    ranked = sorted(names, key=lambda name: rank(name, of))
    checked = [look_closely(name, predicted_seconds(name, of), of, composite) for name in ranked]
    refused = [
        Choice(name, math.inf, mismatch(problem, solver), eligible=False)
        for name, solver in _defaults().items()
        if name not in names
    ]
    choices = [*(c for c in checked if c.eligible), *(c for c in checked if not c.eligible), *refused]
    usable = any(choice.eligible for choice in choices)
    nearest = "" if usable else nearest_refusal(problem, composite, _defaults().values())
    return Explanation(problem.name, tuple(choices), of, nearest)


@dataclass(frozen=True)
class Matched:
    """What predictions for a problem are made from, and the methods whose needs it meets."""

    of: Features
    prices: Prices
    methods: tuple[str, ...]


def matching_features(problem: Problem, composite: Composite) -> Matched:
    """What predictions are made from, and the methods whose needs the problem meets."""
    w = start_row(problem)
    prices = prices_of(composite)
    of = features(composite, w, prices.gradient, prices.simple)
    return Matched(of, prices, _fitting(problem.oracles, parts_of(problem)))


@cache
def _fitting(offered: frozenset[Oracle], parts: frozenset[Oracle]) -> tuple[str, ...]:
    return tuple(name for name, solver in _defaults().items() if fits(solver, offered, parts))


@cache
def _defaults() -> dict[str, Solver]:
    """Every solver as it ships."""
    return {name: cls() for name, cls in SOLVERS.items()}


def look_closely(method: str, seconds: float, of: Features, composite: Composite) -> Choice:
    """The choice of a method that fits, refused where it says so of this very problem."""
    try:
        refusal = _defaults()[method].refusal(composite)
    except TimeIsUp:
        raise
    except Exception as error:  # noqa: BLE001 - a user's part may raise anything when it is asked
        refusal = f"cannot be tried: {type(error).__name__}: {str(error).partition(chr(10))[0]}"
    if refusal:
        return Choice(method, math.inf, f"{method} {refusal}", eligible=False)
    return Choice(method, seconds, reason_for(method, of), eligible=True)
