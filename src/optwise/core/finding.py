"""One statement about runs or a problem, with its number, its interval, its source and its advice."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Grade(Enum):
    """How a check ended."""

    PASS = "pass"  # noqa: S105 - a grade, not a password
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True)
class Interval:
    """Ends of an interval; ``None`` is an end that the data leave open."""

    low: float | None
    high: float | None


@dataclass(frozen=True)
class Finding:
    """One checked statement.

    Args:
        check: Name of the rule, a slug: ``boundary``, ``density``, ``late-variance``.
        grade: Pass, warn or fail.
        evidence: The statement with its number, one sentence.
        subject: What it is about: ``problem/method`` or the problem.
        value: The number the rule looked at; None where the rule is not about a number.
        interval: Where that number may lie. No interval, no advice: ``advice`` is then empty.
        source: Where rule and threshold come from.
        advice: What to do next, one sentence; empty on a pass.
        link: Anchor of the chart that shows the evidence.
    """

    check: str
    grade: Grade
    evidence: str
    subject: str
    value: float | None = None
    interval: Interval | None = None
    source: str = "optwise, own choice"
    advice: str = ""
    link: str = ""

    def __post_init__(self) -> None:
        if self.advice and self.interval is None:
            raise ValueError(f"Finding {self.check!r} gives advice without an interval; give one or drop the advice.")
