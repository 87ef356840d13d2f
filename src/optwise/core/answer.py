"""What a solver answered: the value, why this method, and its course."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from optwise.core.cards import answer_card
from optwise.core.showing import Card, Shown

if TYPE_CHECKING:
    import pandas as pd
    from torch import Tensor


class TraceRow(NamedTuple):
    """One iteration.

    Args:
        iteration: From 0, the start.
        seconds: Since the start, on the solver's clock.
        value: F.
        certificate: The recomputed one where it was looked at, else the solver's own idea; NaN where it has none.
        step: Step size, trust radius or whatever the method calls its step.
        counts: Questions asked so far, by name.
    """

    iteration: int
    seconds: float
    value: float
    certificate: float
    step: float
    counts: Mapping[str, float]


@dataclass(frozen=True, eq=False)
class Answer(Shown):
    """The answer of ``solve``.

    Args:
        value: F at the answer, in float64.
        why: Why this method was taken, and what else there is to say, one sentence each.
        rows: The course, iteration by iteration.
        dual: The dual point that the certificate was computed with, where there was one.
        classes: Of a classifier, the caller's labels in the order of its own: of -1 and 1, or of the columns of w.
    """

    value: float
    why: str
    rows: tuple[TraceRow, ...]
    dual: Tensor | None = field(default=None, repr=False)
    classes: tuple[Any, ...] = ()

    def frame(self) -> pd.DataFrame:
        """One row an iteration: iteration, seconds, value, certificate, step, and a column for each count."""
        import pandas as pd

        return pd.DataFrame([{**row._asdict(), **row.counts} for row in self.rows]).drop(columns="counts")

    def card(self) -> Card:
        return answer_card(self)
