"""The frozen plan of a comparison of solvers: nothing is open, nothing is random, only seconds are repeated."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from optwise.core.errors import BadProtocol
from optwise.core.method import Method, Recorded
from optwise.core.plain import digest, plain
from optwise.core.run import TrialName

KIND = "solvers"
"""How a record of such a comparison tells itself from one of tuned methods."""


@dataclass(frozen=True)
class Race:
    """What is compared, and how: each method solves each problem to the same certificate.

    Args:
        problems: Name to description (reference, fingerprint, sizes).
        methods: Name to closed solver.
        tol: What each certificate must reach.
        max_seconds: After which a run is ended.
        repeats: Of each run, for its seconds; everything else is the same each time.
    """

    problems: Mapping[str, Mapping[str, Any]]
    methods: Mapping[str, Method]
    tol: float = 1e-6
    max_seconds: float = 60.0
    repeats: int = 5

    def __post_init__(self) -> None:
        if not 0 < self.tol < 1:
            raise BadProtocol(f"tol is {self.tol:g}; give a number between 0 and 1, as in 1e-6.")
        if not 0 < self.max_seconds < math.inf:
            raise BadProtocol(f"max_seconds is {self.max_seconds:g}; give a finite number above 0.")
        if not isinstance(self.repeats, int) or self.repeats < 1:
            raise BadProtocol(f"repeats is {self.repeats}; give a whole number of at least 1.")

    @property
    def folder_hash(self) -> str:
        """What a folder is about: problems, tolerance and time limit."""
        return digest(self.folder_part)

    @property
    def folder_part(self) -> dict[str, Any]:
        """The same as plain JSON: two comparisons that agree here may share a folder."""
        part: dict[str, Any] = plain(
            {"kind": KIND, "problems": self.problems, "tol": self.tol, "max_seconds": self.max_seconds}
        )
        return part

    @property
    def question_part(self) -> dict[str, Any]:
        """What is asked of the folder, as plain JSON."""
        part: dict[str, Any] = plain(
            {
                "methods": {name: method.describe() for name, method in self.methods.items()},
                "repeats": self.repeats,
            }
        )
        return part

    @property
    def hash(self) -> str:
        """The whole plan."""
        return digest({"folder": self.folder_hash, "question": self.question_part})

    @classmethod
    def read(cls, folder_part: Mapping[str, Any], question_part: Mapping[str, Any]) -> Race:
        """The plan of a record; its methods can be drawn, not run."""
        methods = {
            name: Recorded(name=name, description=description) for name, description in question_part["methods"].items()
        }
        parts = {name: value for name, value in folder_part.items() if name != "kind"}
        return cls(methods=methods, repeats=question_part["repeats"], **parts)

    def names(self, problem: str, method: str) -> list[TrialName]:
        """Addresses of the runs of a method on a problem."""
        return [TrialName(problem, method, 0, repeat, confirm=True) for repeat in range(self.repeats)]


def suboptimality(value: float, best: float | None, scale: float) -> float:
    """How far a value is from the best one, relative to it; iterates outside the set may lie below it.

    Args:
        value: Of the objective.
        best: The best value; NaN comes back where it is not known.
        scale: Floor of the denominator.

    Example:
        >>> suboptimality(1.5, 1.0, 1e-8)
        0.5
    """
    return math.nan if best is None else abs(value - best) / max(abs(best), scale)
