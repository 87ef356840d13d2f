"""Check rules about the question itself: when it was asked, and how often."""

from __future__ import annotations

from collections.abc import Sequence

from optwise.core.check import Check
from optwise.core.finding import Finding, Grade, Interval, Risk

NAMED_LATE = Check("named-late", "Was the method to compare against named before the first trial?", Risk.CLAIM)
LEFT_OUT = Check("left-out", "Were methods left out after their numbers had been seen?", Risk.CLAIM)
LOOKS = Check("looks", "Was the same question answered before, with fewer studies and no plan?", Risk.CLAIM)


def named_late(problem: str, against: str | None, pledged: str | None) -> Finding | None:
    """Was the method that the others are compared with named before the first trial?

    Args:
        problem: Name.
        against: The method of the protocol; ``None`` where all pairs are asked about.
        pledged: The one on record from before the first trial.
    """
    if against is None:
        return None
    late = against != pledged
    return Finding(
        check=NAMED_LATE.name,
        grade=Grade.WARN if late else Grade.PASS,
        evidence=f"{against} was named to compare against after trials had run, so that all pairs share the correction."
        if late
        else f"{against} was named to compare against before the first trial.",
        subject=problem,
        interval=Interval(None, None),
        source=NAMED_LATE.source,
        advice=f"To ask about the pairs of {against} alone, name it with another --out, before any trial."
        if late
        else "",
        risk=NAMED_LATE.risk,
    )


def left_out(problem: str, gone: Sequence[str]) -> Finding | None:
    """Was the same question answered before about methods that are left out now?

    Args:
        problem: Name.
        gone: Their names.
    """
    if not gone:
        return None
    names = ", ".join(gone)
    return Finding(
        check=LEFT_OUT.name,
        grade=Grade.WARN,
        evidence=f"This question was answered before about {names} as well: the pairs that were looked at then "
        "share the correction.",
        subject=problem,
        value=float(len(gone)),
        interval=Interval(None, None),
        source=LEFT_OUT.source,
        advice="To ask about these methods alone, run them in a folder of their own, with another --seed.",
        risk=LEFT_OUT.risk,
    )


def looks(problem: str, studies: int, earlier: Sequence[int]) -> Finding | None:
    """Was the same question answered before with fewer studies, outside a sequential design?

    Args:
        problem: Name.
        studies: Of each method now.
        earlier: Numbers of studies at which it was answered.
    """
    if not earlier:
        return None
    before = ", ".join(map(str, earlier))
    return Finding(
        check=LOOKS.name,
        grade=Grade.WARN,
        evidence=f"This question was answered after {before} studies already, and now after {studies}: p-values are "
        f"corrected for {len(earlier) + 1} looks, but whether there would be another was never planned.",
        subject=problem,
        value=float(len(earlier) + 1),
        interval=Interval(None, None),
        source=LOOKS.source,
        advice="Plan the looks beforehand with --until separated, in a folder of its own.",
        risk=LOOKS.risk,
    )
