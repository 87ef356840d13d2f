"""A rule that judges runs: what it is called, what it looks at, what it puts at risk; and the findings it makes."""

from __future__ import annotations

from dataclasses import dataclass

from optwise.core.finding import Finding, Grade, Interval, Risk


@dataclass(frozen=True)
class Check:
    """A rule that judges the runs of a comparison: what it is called, what it looks at, what it puts at risk.

    Args:
        name: A slug.
        asks: What it looks at, a question.
        risk: What is at risk where it is open.
        source: Where rule and threshold come from.
    """

    name: str
    asks: str
    risk: Risk
    source: str = "optwise, own choice"

    def passes(
        self,
        subject: object,
        evidence: str,
        *,
        value: float | None = None,
        interval: Interval | None = None,
        link: str = "",
    ) -> Finding:
        """Nothing to do.

        Args:
            subject: What it is about.
            evidence: A sentence.
            value: Its number.
            interval: Where that may lie.
            link: Anchor of a chart.
        """
        return Finding(
            check=self.name,
            grade=Grade.PASS,
            evidence=evidence,
            subject=str(subject),
            value=value,
            interval=interval,
            source=self.source,
            link=link,
            risk=self.risk,
        )

    def opens(
        self,
        subject: object,
        head: str,
        detail: str,
        *,
        value: float | None = None,
        interval: Interval | None = None,
        advice: str = "",
        link: str = "",
        grade: Grade = Grade.WARN,
    ) -> Finding:
        """Something to look at; the evidence reads ``head: detail``.

        Args:
            subject: What it is about.
            head: What was found, without method or number.
            detail: The method and its numbers.
            value: The number.
            interval: Where that may lie.
            advice: What to do, one sentence without the method.
            link: Anchor of a chart.
            grade: Warn, or fail.
        """
        return Finding(
            check=self.name,
            grade=grade,
            evidence=f"{head}: {detail}.",
            subject=str(subject),
            value=value,
            interval=interval,
            source=self.source,
            advice=advice,
            link=link,
            risk=self.risk,
            head=head,
            detail=detail,
        )
