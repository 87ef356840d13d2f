"""How much a run may cost, in a named unit."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from optwise.core.errors import BadProtocol

STEPS = "steps"
EXAMPLES = "examples"
EXAMPLE_GRADIENTS = "example-gradients"
EVALUATIONS = "evaluations"
SECONDS = "seconds"

ROUNDING = 1e-12
"""Relative error of a price that divides the amount: 0.3 seconds are three steps of 0.1, not four."""

_COUNTED = (STEPS, EXAMPLES, EXAMPLE_GRADIENTS, EVALUATIONS)
UNITS = (*_COUNTED, SECONDS)
_SPELLINGS = {
    "step": STEPS,
    "example": EXAMPLES,
    "example-gradient": EXAMPLE_GRADIENTS,
    "evaluation": EVALUATIONS,
    "second": SECONDS,
    "s": SECONDS,
}


@dataclass(frozen=True)
class Budget:
    """An amount of one unit.

    Args:
        amount: How many, at least 1 for counted units, above 0 for seconds.
        unit: One of ``steps``, ``examples``, ``example-gradients``, ``evaluations``, ``seconds``.

    Raises:
        BadProtocol: Unknown unit, or an amount that buys nothing.

    Example:
        >>> str(Steps(1000)), Budget.parse("20s")
        ('1000steps', Budget(amount=20, unit='seconds'))
    """

    amount: float
    unit: str

    def __post_init__(self) -> None:
        if self.unit not in UNITS:
            raise BadProtocol(f"Budget unit {self.unit!r} is unknown; choose one of {', '.join(UNITS)}.")
        if not math.isfinite(self.amount) or self.amount <= 0 or (self.unit in _COUNTED and self.amount < 1):
            raise BadProtocol(
                f"A budget of {self.amount:g} {self.unit} buys nothing; give at least 1, as in 1000steps."
            )
        if self.unit in _COUNTED and self.amount != int(self.amount):
            raise BadProtocol(f"A budget of {self.amount:g} {self.unit} is no whole number; round it.")

    def __str__(self) -> str:
        return f"{self.amount:g}{self.unit}" if self.amount != int(self.amount) else f"{int(self.amount)}{self.unit}"

    @classmethod
    def parse(cls, text: str) -> Budget:
        """Read ``1000steps``, ``2e5 examples``, ``30s``; a bare number means steps."""
        match = re.fullmatch(r"\s*([-+]?\d*\.?\d+(?:[eE][-+]?\d+)?)\s*([a-z-]*)\s*", text)
        if match is None:
            raise BadProtocol(
                f"Budget {text!r} cannot be read; write a number and a unit, as in 1000steps or 30seconds."
            )
        unit = match[2] or STEPS
        number = float(match[1])
        return cls(int(number) if number == int(number) else number, _SPELLINGS.get(unit, unit))

    def steps(self, *, batch: int, gradients_per_step: float = 1.0, step_seconds: float | None = None) -> int:
        """How many steps spend this: the step in which it is reached is finished, and none is begun after it.

        Args:
            batch: Examples a step looks at, where all look at as many.
            gradients_per_step: Gradients of that batch a step pays for.
            step_seconds: Seconds of one solo step; needed where the unit is seconds.

        Raises:
            BadProtocol: Seconds without a measured step.
        """
        if self.unit == STEPS:
            return int(self.amount)
        if self.unit == SECONDS and step_seconds is None:
            raise BadProtocol("A budget in seconds needs a measured step; run `optwise check` on the problem first.")
        price = {
            EXAMPLES: batch,
            EXAMPLE_GRADIENTS: batch * gradients_per_step,
            EVALUATIONS: gradients_per_step,
            SECONDS: step_seconds or 1.0,
        }[self.unit]
        return max(1, math.ceil(self.amount / price * (1 - ROUNDING)))


def Steps(amount: int) -> Budget:  # noqa: N802 - reads as a noun: Steps(1000)
    """A budget of optimizer steps."""
    return Budget(amount, STEPS)


def Examples(amount: int) -> Budget:  # noqa: N802
    """A budget of training examples looked at."""
    return Budget(amount, EXAMPLES)


def ExampleGradients(amount: int) -> Budget:  # noqa: N802
    """A budget of example-gradients: batch size times gradients, summed over steps."""
    return Budget(amount, EXAMPLE_GRADIENTS)


def Evaluations(amount: int) -> Budget:  # noqa: N802
    """A budget of function evaluations."""
    return Budget(amount, EVALUATIONS)


def Seconds(amount: float) -> Budget:  # noqa: N802
    """A budget of seconds, turned into steps once, at check."""
    return Budget(amount, SECONDS)
