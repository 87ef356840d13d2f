"""Check rules that look at a method's search: is anything feasible, is enough feasible, are good points many."""

from __future__ import annotations

import math
from collections.abc import Sequence

from optwise.analyses.intervals import share_interval
from optwise.analyses.subject import PLAYBOOK_RULE, Subject, anchor, studies
from optwise.core.check import Check
from optwise.core.finding import Finding, Grade, Interval, Risk
from optwise.core.run import Run
from optwise.core.standing import rank_unit

FEASIBLE = Check("feasible", "Did any trial end better than it started?", Risk.CLAIM)
INFEASIBLE = Check(
    "infeasible-share", "Do more than half of the trials diverge or get nowhere?", Risk.TUNING, PLAYBOOK_RULE
)
DENSITY = Check("density", "Does a study find a setting about as good as the best of all?", Risk.TUNING, PLAYBOOK_RULE)
BORROWED = Check("borrowed-space", "Was the space made for this method?", Risk.TUNING)

INFEASIBLE_SHARE = 0.5
"""Share of infeasible trials above which the space or the code is suspect. Source: optwise, own choice."""
GOOD_RELATIVE = 0.01
"""Relative distance to the best that is good, where seeds differ by less. Source: optwise, own choice."""


def feasible(subject: Subject, runs: Sequence[Run], *, explained: str = "") -> Finding:
    """The precondition of every comparison: a method without a single feasible trial fails.

    Args:
        subject: The method and its metric.
        runs: Its search, or its confirmations where it is closed.
        explained: Why, where another check is open that says so and what to do.
    """
    good = sum(map(subject.feasible, runs))
    counted, span = f"{good} of {len(runs)}", _counts(good, len(runs))
    if good:
        return FEASIBLE.passes(
            subject,
            f"{counted} trials of {subject.method} are feasible.",
            value=float(good),
            interval=span,
            link=anchor("curves"),
        )
    return FEASIBLE.opens(
        subject,
        "No trial ended better than it started",
        f"{subject.method} {counted}{f' ({explained})' if explained else ''}",
        value=float(good),
        interval=span,
        advice="" if explained else "Run one trial alone and look at its curve; then move the space or mend the code.",
        link=anchor("curves"),
        grade=Grade.FAIL,
    )


def infeasible_share(subject: Subject, search: Sequence[Run]) -> Finding | None:
    """More than half infeasible, by more than chance, means a misplaced space or a bug; they are never dropped."""
    if not search:
        return None
    share = subject.share(search, lambda run: not subject.feasible(run))
    counted = f"{share.count} of {share.n}"
    if not share.exceeds(INFEASIBLE_SHARE):
        return INFEASIBLE.passes(
            subject,
            f"{counted} trials of {subject.method} ({share.value:.0%}) are infeasible.",
            value=share.value,
            interval=share.interval,
            link=anchor("curves"),
        )
    return INFEASIBLE.opens(
        subject,
        "More than half of the trials diverge or get nowhere",
        f"{subject.method} {counted}",
        value=share.value,
        interval=share.interval,
        advice="Move the space away from where trials fail, or look for a bug.",
        link=anchor("curves"),
    )


def density(subject: Subject, search: Sequence[Run], confirm: Sequence[Run]) -> Finding | None:
    """How many trials are about as good as the best selected setting when it was confirmed: a study needs to find one.

    Not the best trial is the measure, which is lucky, the more so the more trials there are, but the study whose
    confirmations have the best median. As good means in what ranks trials. Times: later than that median by a standard
    deviation of log time over seeds at most, or by one evaluation where that is more. Values, where there is no target
    or that median misses it: within a standard deviation over seeds, or 1 % where that is more. It is thin where even
    the upper end of the interval of their share promises less than one in the trials of a study.
    """
    ranked, studied = subject.ranked(search), [subject.ranked(study) for study in studies(confirm)]
    middles = [study[(len(study) - 1) // 2] for study in studied if study]
    if not ranked or not middles:
        return None
    best = min(map(subject.standing, middles))
    if math.isfinite(best.spent):
        spread = subject.seed_sd(confirm, lambda run: math.log(max(subject.standing(run).spent, 1.0)))
        amounts = [subject.spent(ranked[0], step) for step, _ in ranked[0].curve(subject.metric)]
        last = max(
            best.spent * math.exp(spread or 0.0), min((x for x in amounts if x > best.spent), default=best.spent)
        )
        count = sum(subject.standing(run).spent <= last for run in ranked)
        unit = rank_unit(ranked[0], subject.axis)
        near = f"reach the target within {last:.0f} {unit}, the best confirmed setting within {best.spent:.0f}"
    else:
        room = max(subject.seed_sd(confirm) or 0.0, GOOD_RELATIVE * abs(best.cost))
        count = sum(subject.cost(run) <= best.cost + room for run in ranked)
        near = f"come within {room:.3g} of {best.cost * subject.direction.sign:.4g}, the best confirmed setting"
    trials = max(map(len, studies(search)))
    share = share_interval(count, len(search))
    value, span = count * trials / len(search), _times(share, trials)
    counted = f"{count} of {len(search)} trials"
    if span.high is None or span.high >= 1:
        return DENSITY.passes(
            subject,
            f"{counted} of {subject.method} {near}.",
            value=value,
            interval=span,
            link=anchor("budget-curves"),
        )
    return DENSITY.opens(
        subject,
        f"A search of {trials} trials cannot count on finding a setting as good as the best",
        f"{subject.method}, {counted} {near}",
        value=value,
        interval=span,
        advice="Give each search more trials, or narrow the space around the best ones.",
        link=anchor("budget-curves"),
    )


def space_borrowed(subject: Subject, *, borrowed: bool) -> Finding:
    """A space that nobody made for this method says little about how well it can be tuned."""
    if not borrowed:
        return BORROWED.passes(subject, f"The space of {subject.method} is its own.")
    return BORROWED.opens(
        subject,
        "A space was derived from the default learning rate of a class; declare one before you conclude that it loses",
        subject.method,
    )


def _counts(count: int, n: int) -> Interval:
    """The interval of a share, as counts of ``n``; open without trials."""
    return Interval(None, None) if n == 0 else _times(share_interval(count, n), n)


def _times(share: Interval, n: int) -> Interval:
    return Interval(n * (share.low or 0.0), n * (share.high or 0.0))
