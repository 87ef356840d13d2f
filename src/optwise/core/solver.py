"""Methods for a problem without noise: each answer comes with its value, and what it claims is checked elsewhere."""

from __future__ import annotations

import math
import re
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import ClassVar, NamedTuple

from torch import Tensor

from optwise.core.composite import Composite
from optwise.core.layout import Layout, Leaves
from optwise.core.method import Oracles, Procedure
from optwise.core.oracles import Oracle

SMOOTH = frozenset({Oracle.GRADIENT, Oracle.WHOLE})
"""Needs of a solver that looks at the gradient of the whole objective."""

CONVEX = frozenset({Oracle.CONVEX, Oracle.CONVEX_PENALTY, Oracle.CONVEX_SET})
"""Needs of a solver that is right on convex problems only."""


class Iterate(NamedTuple):
    """What a solver hands out after an iteration.

    Args:
        w: The best point it would answer now [p]; the solver never changes this tensor afterwards.
        value: F there.
        step: Step size, trust radius or whatever the method calls its step.
        measure: The solver's own idea of the certificate: it says when a look is worth while and is never believed.
        dual: A dual point, where the method has one: of g's argument for g(A w), of the predictions for a linear model.
    """

    w: Tensor
    value: float
    step: float = math.nan
    measure: float = math.nan
    dual: Tensor | None = None


@dataclass(frozen=True, kw_only=True)
class Solver(Procedure):
    """A procedure on the whole problem at once: :meth:`solve` yields better and better points.

    It never judges itself: whoever runs it stops it when the recomputed certificate is met. It returns, and thereby
    says *stalled*, when it can do no better.
    """

    needs: ClassVar[frozenset[Oracle]] = SMOOTH

    @property
    def label(self) -> str:
        """The name a comparison prints and a user types: ``NewtonCG`` is ``newton-cg``."""
        return self.name or kind_label(type(self))

    def refusal(self, problem: Composite) -> str:
        """Why it cannot solve this problem although its needs are met, as the rest of a sentence; empty if it can."""
        return ""

    @abstractmethod
    def solve(self, problem: Composite, w: Tensor) -> Iterator[Iterate]:
        """Yield an iterate after each iteration from ``w`` [p], for as long as it is asked and gets better."""

    def iterate(self, oracles: Oracles, w: Leaves) -> Iterator[tuple[Leaves, Mapping[str, float]]]:
        layout = Layout.of(w)
        for found in self.solve(oracles.whole(), layout.pack(w)):
            yield layout.unpack(found.w), {"loss": found.value}


@cache
def kind_label(kind: type[Solver]) -> str:
    """The name of a class of solvers as users type it.

    Example:
        >>> kind_label(type("NewtonCG", (), {}))
        'newton-cg'
    """
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "-", kind.__name__).lower()
