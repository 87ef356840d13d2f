"""Findings in the order of what they put at risk, those of one check together in one sentence."""

from __future__ import annotations

from collections.abc import Sequence

from optwise.core.finding import Finding, Grade, Interval, Risk

_GRADES = (Grade.FAIL, Grade.WARN, Grade.PASS)


def in_order(findings: Sequence[Finding]) -> list[Finding]:
    """Failed ones first, then those with a warning, then passes; within each the gravest risk first.

    Args:
        findings: Of one problem.
    """
    return sorted(findings, key=lambda f: (_GRADES.index(f.grade), len(Risk) + 1 if f.risk is None else f.risk.rank))


def merged(findings: Sequence[Finding], problem: str) -> list[Finding]:
    """One finding for each check that is open, whatever the number of methods; passes stay one by one.

    The evidence of several reads ``head: detail; detail.`` and their advice names the methods where it differs.

    Args:
        findings: Of one problem.
        problem: Its name.
    """
    kinds: dict[tuple[str, Grade], list[Finding]] = {}
    passed = []
    for finding in findings:
        if finding.grade is Grade.PASS:
            passed.append(finding)
        else:
            kinds.setdefault((finding.check, finding.grade), []).append(finding)
    return in_order([*(_one(kind, problem) for kind in kinds.values()), *passed])


def _one(kind: Sequence[Finding], problem: str) -> Finding:
    first = kind[0]
    if len(kind) == 1:
        return first
    names = dict.fromkeys(name for finding in kind for name in finding.methods)
    advice = _advice(kind)
    return Finding(
        check=first.check,
        grade=first.grade,
        evidence=_evidence(kind),
        subject=f"{problem}/{next(iter(names))}" if len(names) == 1 else problem,
        source=first.source,
        interval=Interval(None, None) if advice else None,
        advice=advice,
        link=first.link,
        risk=first.risk,
        head=first.head,
        parts=tuple(kind),
    )


def _evidence(kind: Sequence[Finding]) -> str:
    heads: dict[str, list[str]] = {}
    for finding in kind:
        heads.setdefault(finding.head or finding.evidence.rstrip("."), []).append(finding.detail)
    said = (f"{head}: {'; '.join(details)}." if any(details) else f"{head}." for head, details in heads.items())
    return " ".join(said)


def _advice(kind: Sequence[Finding]) -> str:
    """What to do once where it is the same for all, else for whom."""
    whom: dict[str, list[str]] = {}
    for finding in kind:
        if finding.advice:
            whom.setdefault(finding.advice, []).extend(finding.methods)
    if len(whom) < 2:
        return next(iter(whom), "")
    said = [f"{' and '.join(dict.fromkeys(names))}: {_lowered(advice)}" for advice, names in whom.items()]
    return f"{'; '.join(said)}."


def _lowered(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:].rstrip(".")
