"""One statement about runs or a problem, with its number, its interval, its source and its advice."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from optwise.core.showing import Card, Shown, one_line


class Grade(Enum):
    """How a check ended."""

    PASS = "pass"  # noqa: S105 - a grade, not a password
    WARN = "warn"
    FAIL = "fail"


class Risk(Enum):
    """What an open check puts at risk, the gravest first."""

    CLAIM = "whether the verdict is right"
    TUNING = "whether a method was tuned as well as it can be"
    SIZE = "how large the difference is"
    USE = "how a setting does in use"

    @property
    def rank(self) -> int:
        """Its place in that order, from 1."""
        return list(Risk).index(self) + 1


@dataclass(frozen=True)
class Interval:
    """Ends of an interval; ``None`` is an end that the data leave open."""

    low: float | None
    high: float | None


@dataclass(frozen=True)
class Wider:
    """Another range for a field, on the scale that it is searched on.

    Args:
        field: Path of the field.
        low, high: Ends that the range should have; of one minus the field where that is what is searched.
    """

    field: str
    low: float
    high: float


@dataclass(frozen=True)
class Finding(Shown):
    """One checked statement.

    Args:
        check: Name of the rule, a slug: ``boundary``, ``density``, ``noise-floor``.
        grade: Pass, warn or fail.
        evidence: The statement with its number, one sentence.
        subject: What it is about: ``problem/method`` or the problem.
        value: The number the rule looked at; None where the rule is not about a number.
        interval: Where that number may lie. No interval, no advice: ``advice`` is then empty.
        source: Where rule and threshold come from.
        advice: What to do next, one sentence that names no method; empty on a pass.
        link: Anchor of the chart that shows the evidence.
        risk: What it puts at risk where it is open; ``None`` where it is no part of a comparison.
        head: What was found, without method or number, where the evidence is ``head: detail``.
        detail: The method and its numbers, a clause. Findings of one check and one head merge into one.
        parts: The findings that were merged into this one.
        wider: The range that the advice asks for, where it asks for one.
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
    risk: Risk | None = None
    head: str = ""
    detail: str = ""
    parts: tuple[Finding, ...] = ()
    wider: Wider | None = None

    def __post_init__(self) -> None:
        if self.advice and self.interval is None:
            raise ValueError(f"Finding {self.check!r} gives advice without an interval; give one or drop the advice.")

    @property
    def methods(self) -> tuple[str, ...]:
        """The methods it is about, each once; none where it is about the problem."""
        if self.parts:
            return tuple(dict.fromkeys(name for part in self.parts for name in part.methods))
        method = self.subject.partition("/")[2]
        return (method,) if method else ()

    def card(self) -> Card:
        said = f"{self.grade.value} {one_line(self.check)}: {one_line(self.evidence, 160)}"
        notes = (self.evidence, *([self.advice] if self.advice else []), f"source: {self.source}")
        title, answer = f"Finding on {self.subject}", f"{self.grade.value}: {self.check}"
        return Card((f"<Finding {said}>",), title, answer, notes=notes)


MOST = 9
"""Findings that are told at a prompt."""


class Findings(Shown, tuple[Finding, ...]):
    """Several findings, those that failed first to be told."""

    def card(self) -> Card:
        grades = [one.grade for one in self]
        failed, warned = grades.count(Grade.FAIL), grades.count(Grade.WARN)
        said = f"{len(self)} findings: {failed} fail, {warned} warn, {len(self) - failed - warned} pass"
        order = sorted(self, key=lambda one: _URGENT[one.grade])
        shown = [(one.grade.value, one_line(one.check, 30), one_line(one.evidence, 160)) for one in order[:MOST]]
        lines = [f"  {grade:4}  {check}: {evidence}" for grade, check, evidence in shown]
        rows = tuple((one.grade.value, one.check, one.evidence) for one in order)
        return Card((said, *lines), "", said, ("", "check", "evidence"), rows)


_URGENT = {Grade.FAIL: 0, Grade.WARN: 1, Grade.PASS: 2}
