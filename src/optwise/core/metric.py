"""What is measured, which way is better, and the value that counts as reached."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from enum import Enum

from optwise.core.errors import BadProtocol
from optwise.core.showing import Terse

OBJECTIVE = "objective"
SPLITS = ("train", "valid", "test")


class Direction(Enum):
    """Which way is better; always explicit, never guessed from a name."""

    MIN = "min"
    MAX = "max"

    def better(self, a: float, b: float) -> bool:
        """Whether ``a`` is strictly better than ``b``; a NaN is never better."""
        return a < b if self is Direction.MIN else a > b

    @property
    def sign(self) -> float:
        """Factor that turns the metric into one to minimise."""
        return 1.0 if self is Direction.MIN else -1.0


@dataclass(frozen=True)
class Metric(Terse):
    """A mean over the examples of a split: ``loss``, ``accuracy``; ``objective`` where there is no data."""

    name: str
    direction: Direction = Direction.MIN


@dataclass(frozen=True)
class Target(Terse):
    """A metric value that counts as reached.

    Args:
        metric: Full name, ``valid/loss`` or ``objective``.
        value: Finite threshold, inclusive.
        direction: ``MIN`` for at most, ``MAX`` for at least.

    Example:
        >>> Target.parse("valid/loss<=0.25").reached_by(0.25), AtLeast("valid/accuracy", 0.9).reached_by(float("nan"))
        (True, False)
    """

    metric: str
    value: float
    direction: Direction

    def __post_init__(self) -> None:
        if not math.isfinite(self.value):
            raise BadProtocol(f"Target value {self.value} for {self.metric!r} is not finite; give a number.")

    def __str__(self) -> str:
        return f"{self.metric}{'<=' if self.direction is Direction.MIN else '>='}{self.value:.12g}"

    @classmethod
    def parse(cls, text: str) -> Target:
        """Read ``valid/loss<=0.25`` or ``valid/accuracy>=0.97``."""
        match = re.fullmatch(r"\s*([\w./-]+)\s*(<=|>=)\s*([-+]?\d*\.?\d+(?:[eE][-+]?\d+)?)\s*", text)
        if match is None:
            raise BadProtocol(
                f"Target {text!r} cannot be read; write metric<=value or metric>=value, as in valid/loss<=0.25."
            )
        return cls(match[1], float(match[3]), Direction.MIN if match[2] == "<=" else Direction.MAX)

    def reached_by(self, value: float) -> bool:
        """Whether ``value`` is at or past the target; a NaN never is."""
        return value <= self.value if self.direction is Direction.MIN else value >= self.value


def AtMost(metric: str, value: float) -> Target:  # noqa: N802 - reads as a noun
    """Target for a metric where lower is better."""
    return Target(metric, value, Direction.MIN)


def AtLeast(metric: str, value: float) -> Target:  # noqa: N802
    """Target for a metric where higher is better."""
    return Target(metric, value, Direction.MAX)
