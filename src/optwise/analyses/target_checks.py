"""Check rules about the target: whether most runs reach it, and whether those that do stay there."""

from __future__ import annotations

from collections.abc import Sequence

from optwise.analyses.subject import Subject, anchor
from optwise.core.check import Check
from optwise.core.finding import Finding, Risk
from optwise.core.outcomes import steps_to_target
from optwise.core.run import Run

MISSES = Check("misses", "Do more than half of the runs miss the target, so that there is no median time?", Risk.SIZE)
HAIR = Check("target-hair", "Do runs that reached the target leave it again?", Risk.SIZE)

MOST = 0.5
"""Share of misses above which there is no median time."""
LEFT = 0.25
"""Share of arrivals that may leave the target again. Source: optwise, own choice."""


def misses(subject: Subject, confirm: Sequence[Run], *, explained: str = "") -> Finding | None:
    """When more than half of the runs miss the target, by more than chance, its median time does not exist.

    Args:
        subject: The method and its target.
        confirm: Its confirmation runs.
        explained: Why they do, where another check is open that says so: this one then only counts.
    """
    target = subject.target
    if target is None or not confirm:
        return None
    share = subject.share(confirm, subject.missed)
    counted = f"{share.count} of {share.n}"
    if explained or not share.exceeds(MOST):
        why = f" ({explained})" if explained and share.count else ""
        return MISSES.passes(
            subject,
            f"{counted} confirmation runs of {subject.method} missed {target}{why}.",
            value=share.value,
            interval=share.interval,
            link=anchor("curves"),
        )
    return MISSES.opens(
        subject,
        f"Most runs miss {target}, and would in other studies",
        f"{subject.method} {counted}",
        value=share.value,
        interval=share.interval,
        advice="Give a larger budget or an easier target.",
        link=anchor("curves"),
    )


def target_hair(subject: Subject, confirm: Sequence[Run], *, explained: str = "") -> Finding | None:
    """How many runs that reached the target spend most of their evaluations after that above it again, or diverge.

    Args:
        subject: The method, its metric and its target.
        confirm: Its confirmation runs.
        explained: Why they do, where another check is open that says so.
    """
    target = subject.target
    if target is None:
        return None
    arrived = [run for run in confirm if not subject.missed(run)]
    if not arrived:
        return None

    def left(run: Run) -> bool:
        hit = steps_to_target(run, target) or 0
        later = [target.reached_by(value) for step, value in run.curve(target.metric) if step > hit]
        return not run.status.ok or 2 * sum(later) < len(later)

    share = subject.share(arrived, left)
    counted = f"{share.count} of {share.n}"
    if explained or not share.exceeds(LEFT):
        return HAIR.passes(
            subject,
            f"{counted} runs of {subject.method} that reached {target} left it again.",
            value=share.value,
            interval=share.interval,
            link=anchor("curves"),
        )
    return HAIR.opens(
        subject,
        f"Runs that reach {target} leave it again",
        f"{subject.method} {counted}",
        value=share.value,
        interval=share.interval,
        advice="Read the verdicts at nearby targets before you trust this one.",
        link=anchor("curves"),
    )
