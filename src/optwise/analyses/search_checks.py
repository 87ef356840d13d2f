"""Check rules that look at a method's search: is anything feasible, is enough feasible, are good points many."""

from __future__ import annotations

from collections.abc import Sequence

from optwise.analyses.intervals import share_interval
from optwise.analyses.subject import OWN, PLAYBOOK_RULE, Subject, anchor
from optwise.core.finding import Finding, Grade, Interval
from optwise.core.run import Run
from optwise.core.space import Space

INFEASIBLE_SHARE = 0.5
"""Share of infeasible trials above which the space or the code is suspect. Source: optwise, own choice."""
THIN = 3
"""Fewer good trials than this are luck. Source: optwise, own choice."""
GOOD_RELATIVE = 0.01
"""Relative distance to the best that is good, where seeds differ by less. Source: optwise, own choice."""


def feasible(subject: Subject, runs: Sequence[Run]) -> Finding:
    """The precondition of every comparison: a method without a single feasible trial fails.

    Args:
        subject: The method and its metric.
        runs: Its search, or its confirmations where it is closed.
    """
    good = sum(map(subject.feasible, runs))
    return Finding(
        check="feasible",
        grade=Grade.PASS if good else Grade.FAIL,
        evidence=f"{good} of {len(runs)} trials of {subject.method} are feasible.",
        subject=str(subject),
        value=float(good),
        interval=_counts(good, len(runs)),
        source=OWN,
        advice=""
        if good
        else f"Run one trial of {subject.method} alone and look at its curve; then move its space or mend its code.",
        link=anchor("curves"),
    )


def infeasible_share(subject: Subject, search: Sequence[Run]) -> Finding | None:
    """More than half infeasible means a misplaced space or a bug; infeasible trials are counted, never dropped."""
    if not search:
        return None
    bad = sum(not subject.feasible(run) for run in search)
    warn = bad > INFEASIBLE_SHARE * len(search)
    return Finding(
        check="infeasible-share",
        grade=Grade.WARN if warn else Grade.PASS,
        evidence=f"{bad} of {len(search)} trials of {subject.method} ({bad / len(search):.0%}) are infeasible.",
        subject=str(subject),
        value=bad / len(search),
        interval=share_interval(bad, len(search)),
        source=PLAYBOOK_RULE,
        advice=f"Move the space of {subject.method} away from where trials fail, or look for a bug." if warn else "",
        link=anchor("curves"),
    )


def density(subject: Subject, space: Space, search: Sequence[Run], confirm: Sequence[Run]) -> Finding | None:
    """How many trials, over all studies, come as close to the best as seeds come to each other: fewer than 3 is thin.

    Close means within one standard deviation over confirmation seeds, or 1 % of the best where that is more. The
    interval says how many such trials another search of this size might find.
    """
    costs = [subject.cost(run) for run in search if subject.feasible(run)]
    if not costs:
        return None
    best = min(costs)
    near = max(subject.seed_sd(confirm) or 0.0, GOOD_RELATIVE * abs(best))
    count = sum(cost <= best + near for cost in costs)
    thin = count < THIN
    return Finding(
        check="density",
        grade=Grade.WARN if thin else Grade.PASS,
        evidence=f"{count} of {len(search)} trials of {subject.method} come within {near:.3g} of the best "
        f"{subject.metric} {best * subject.direction.sign:.4g}.",
        subject=str(subject),
        value=float(count),
        interval=_counts(count, len(search)),
        source=PLAYBOOK_RULE,
        advice=f"Narrow the {space.dimensions} open fields of {subject.method} around its best trials, "
        f"or give it more trials."
        if thin
        else "",
        link=anchor("budget-curves"),
    )


def space_borrowed(subject: Subject, *, borrowed: bool) -> Finding:
    """A space that nobody made for this method says little about how well it can be tuned."""
    words = "borrowed from its class's default learning rate" if borrowed else "its own"
    return Finding(
        check="borrowed-space",
        grade=Grade.WARN if borrowed else Grade.PASS,
        evidence=f"The space of {subject.method} is {words}"
        f"{': declare one before you conclude that it loses.' if borrowed else '.'}",
        subject=str(subject),
        source=OWN,
    )


def _counts(count: int, n: int) -> Interval:
    """The interval of a share, as counts of ``n``; open without trials."""
    if n == 0:
        return Interval(None, None)
    share = share_interval(count, n)
    return Interval(n * (share.low or 0.0), n * (share.high or 0.0))
