"""How a run ended: a sentence held as a value."""

from __future__ import annotations

from enum import Enum


class Status(Enum):
    """The way a run ended. The value is the sentence a report prints.

    Example:
        >>> Status.NOT_FINITE.ok, Status.BUDGET_SPENT.ok, Status.INTERRUPTED.retried
        (False, True, True)
    """

    OPTIMAL = "optimal, certified"
    STATIONARY = "stationary, certified"
    TARGET_REACHED = "target reached"
    BUDGET_SPENT = "budget spent"
    STALLED = "stalled"
    NOT_FINITE = "not finite"
    DIVERGES = "diverges, predicted"
    INFEASIBLE = "infeasible, certified"
    UNBOUNDED = "unbounded, certified"
    CRASHED = "crashed"
    OUT_OF_MEMORY = "out of memory"
    INTERRUPTED = "interrupted"

    @property
    def ok(self) -> bool:
        """Whether the run did what it was asked to, whatever its quality."""
        return self in _OK

    @property
    def retried(self) -> bool:
        """Whether a resumed study runs this trial again: the machine failed, not the method."""
        return self in (Status.CRASHED, Status.OUT_OF_MEMORY, Status.INTERRUPTED)


_OK = frozenset({Status.OPTIMAL, Status.STATIONARY, Status.TARGET_REACHED, Status.BUDGET_SPENT})
