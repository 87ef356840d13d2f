"""Check rules that look at confirmation curves: late noise, the step of the best, overfitting, and the target."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence

import numpy as np

from optwise.analyses.intervals import median_interval, share_interval
from optwise.analyses.subject import OWN, PLAYBOOK, PLAYBOOK_RULE, Subject, anchor
from optwise.core.finding import Finding, Grade
from optwise.core.outcomes import steps_to_target
from optwise.core.run import Run

LATE = 0.2
"""The last share of a run that counts as late. Source: optwise, own choice."""
LAST = 0.25
"""A best step in the last quarter means that a run was still improving. Source: Deep Learning Tuning Playbook."""
FIRST = 0.1
"""A best step in the first tenth means that a run was too long. Source: Deep Learning Tuning Playbook."""
MOST = 0.5
"""Share of runs above which something is said of the method. Source: optwise, own choice."""
OVERFITTING_NOISES = 3.0
"""Late standard deviations by which the end must be worse than the best: by luck alone the best of 20 noisy
evaluations lies two below their mean. Source: optwise, own choice."""
HAIR = 0.25
"""Share of runs that fall back past the target, above which it was reached by a hair. Source: optwise, own choice."""

Curve = Sequence[tuple[int, float]]


def late_variance(
    subject: Subject,
    confirm: Sequence[Run],
    steps: int,
    *,
    margin: float,
    gap: float | None = None,
) -> Finding | None:
    """Does the metric still jump, late in a run, by more than the difference that is to be told?

    The number is the standard deviation over the last 20 % of evaluations, median over runs. A tail that only improves
    counts as 0: it is progress, not noise.

    Args:
        subject: The method and its metric.
        confirm: Its confirmation runs.
        steps: Length of a whole run.
        margin: Relative margin of equivalence, of the typical late level.
        gap: Distance to the next method in the metric; it takes the margin's place where it is known.
    """
    # a run that ended early is counted, never dropped: it did not settle
    tails = [_tail(subject.curve(run), steps) if run.status.ok else [math.inf] for run in confirm]
    tails = [tail for tail in tails if tail]
    if not tails:
        return None
    noises = [_noise(tail) for tail in tails]
    noise = float(np.median(noises))
    levels = [abs(float(np.mean(tail))) for tail, one in zip(tails, noises, strict=True) if math.isfinite(one)]
    allowed = abs(gap) if gap is not None else margin * float(np.median(levels or [0.0]))
    warn = noise > allowed
    varies = f"varies by {noise:.3g}" if math.isfinite(noise) else "does not settle"
    against = "the gap to the next method" if gap is not None else f"{margin:.0%} of its level"
    return Finding(
        check="late-variance",
        grade=Grade.WARN if warn else Grade.PASS,
        evidence=f"Late in its runs {subject.metric} of {subject.method} {varies} (median standard "
        f"deviation over {len(tails)} runs), {'more' if warn else 'not more'} than {against}, {allowed:.3g}.",
        subject=str(subject),
        value=noise if math.isfinite(noise) else None,
        interval=median_interval(noises),
        source=PLAYBOOK_RULE,
        advice=f"Let the learning rate of {subject.method} decay, average its weights, or use larger batches."
        if warn
        else "",
        link=anchor("curves"),
    )


def still_improving(subject: Subject, confirm: Sequence[Run], steps: int, *, needs_horizon: bool) -> Finding | None:
    """Do most runs have their best evaluation in the last quarter?

    Under a schedule that decays towards its horizon they should, so this is then a pass that says so.
    """
    return _best_step_share(
        subject,
        confirm,
        steps,
        check="still-improving",
        counts=lambda best, total: best > (1 - LAST) * total,
        where=f"in the last {LAST:.0%} of the budget",
        expected="as it should be under a schedule that decays until the horizon" if needs_horizon else "",
        advice=f"Give a larger budget: {subject.method} had not finished.",
    )


def too_long(subject: Subject, confirm: Sequence[Run], steps: int) -> Finding | None:
    """Do most runs have their best evaluation in the first tenth?"""
    return _best_step_share(
        subject,
        confirm,
        steps,
        check="too-long",
        counts=lambda best, total: best <= FIRST * total,
        where=f"in the first {FIRST:.0%} of the budget",
        expected="",
        advice=f"Give a smaller budget with denser evaluations, or regularise: {subject.method} only gets worse later.",
    )


def overfitting(subject: Subject, confirm: Sequence[Run], steps: int, *, margin: float) -> Finding | None:
    """Does validation end worse than its best by more than late noise, while train improves, in most runs?

    Asked only of a metric on the validation split that is measured on train too. A decayed learning rate leaves hardly
    any late noise, so the loss must also exceed ``margin``, relative to the best: less is equivalent.
    """
    split, _, metric = subject.metric.partition("/")
    trained = [run for run in confirm if run.curve(f"train/{metric}")]
    if split != "valid" or not trained:
        return None
    bad = sum(_overfits(subject, run, f"train/{metric}", steps, margin=margin) for run in trained)
    warn = bad > MOST * len(trained)
    return Finding(
        check="overfitting",
        grade=Grade.WARN if warn else Grade.PASS,
        evidence=f"In {bad} of {len(trained)} runs of {subject.method} {subject.metric} ends worse than its best by "
        f"more than {margin:.0%} and {OVERFITTING_NOISES:g} times its late noise while train/{metric} improves.",
        subject=str(subject),
        value=bad / len(trained),
        interval=share_interval(bad, len(trained)),
        source=PLAYBOOK_RULE,
        advice=f"Regularise {subject.method} (weight decay, a smaller budget) or stop at the best checkpoint."
        if warn
        else "",
        link=anchor("curves"),
    )


def misses(subject: Subject, confirm: Sequence[Run]) -> Finding | None:
    """When more than half of the runs miss the target, its median time does not exist."""
    if subject.target is None or not confirm:
        return None
    missed = sum(steps_to_target(run, subject.target) is None for run in confirm)
    warn = missed > MOST * len(confirm)
    return Finding(
        check="misses",
        grade=Grade.WARN if warn else Grade.PASS,
        evidence=f"{missed} of {len(confirm)} confirmation runs of {subject.method} missed {subject.target}"
        f"{': it has no median time.' if warn else '.'}",
        subject=str(subject),
        value=missed / len(confirm),
        interval=share_interval(missed, len(confirm)),
        source=OWN,
        advice=f"Read the restricted mean of {subject.method}, or give a larger budget or an easier target."
        if warn
        else "",
        link=anchor("curves"),
    )


def target_hair(subject: Subject, confirm: Sequence[Run], *, in_a_row: int = 1) -> Finding | None:
    """How many runs fall back past the target right after they first reached it.

    Args:
        subject: The method, its metric and its target.
        confirm: Its confirmation runs; those that reached the target at their last evaluation tell nothing.
        in_a_row: How many evaluations after the first hit must hold.
    """
    if subject.target is None:
        return None
    target = subject.target
    fell = []
    for run in confirm:
        reached = [target.reached_by(value) for _, value in run.curve(target.metric)]
        since = list(itertools.dropwhile(lambda hit: not hit, reached))[: 1 + in_a_row]
        if len(since) > 1 or (since and not run.status.ok):  # to diverge right after the hit is to fall back
            fell.append(len(since) == 1 or not all(since))
    if not fell:
        return None
    warn = sum(fell) > HAIR * len(fell)
    return Finding(
        check="target-hair",
        grade=Grade.WARN if warn else Grade.PASS,
        evidence=f"{sum(fell)} of {len(fell)} runs of {subject.method} that reached {target} fell back past it within "
        f"the next {'evaluation' if in_a_row == 1 else f'{in_a_row} evaluations'}.",
        subject=str(subject),
        value=sum(fell) / len(fell),
        interval=share_interval(sum(fell), len(fell)),
        source=OWN,
        advice="Score again with nearby targets before you trust the order of times." if warn else "",
        link=anchor("curves"),
    )


def _best_step_share(
    subject: Subject,
    confirm: Sequence[Run],
    steps: int,
    *,
    check: str,
    counts: Callable[[int, int], bool],
    where: str,
    expected: str,
    advice: str,
) -> Finding | None:
    if not confirm:
        return None
    bests = [_best(subject.curve(run)) for run in confirm]
    hits = sum(best is not None and counts(best[0], steps) for best in bests)
    most = hits > MOST * len(confirm)
    warn = most and not expected
    return Finding(
        check=check,
        grade=Grade.WARN if warn else Grade.PASS,
        evidence=f"{hits} of {len(confirm)} confirmation runs of {subject.method} have their best {subject.metric} "
        f"{where}{f', {expected}' if most and expected else ''}.",
        subject=str(subject),
        value=hits / len(confirm),
        interval=share_interval(hits, len(confirm)),
        source=PLAYBOOK,
        advice=advice if warn else "",
        link=anchor("curves"),
    )


def _best(curve: Curve) -> tuple[int, float] | None:
    """Step and cost of the first lowest finite point."""
    return min(((k, v) for k, v in curve if math.isfinite(v)), key=lambda point: point[1], default=None)


def _tail(curve: Curve, steps: int) -> list[float]:
    return [value for step, value in curve if step > (1 - LATE) * steps]


def _noise(tail: Sequence[float]) -> float:
    if not all(map(math.isfinite, tail)):
        return math.inf
    if all(after <= before for before, after in itertools.pairwise(tail)):
        return 0.0
    return float(np.std(tail, ddof=1))


def _overfits(subject: Subject, run: Run, train: str, steps: int, *, margin: float) -> bool:
    curve = subject.curve(run)
    best, tail = _best(curve), _tail(curve, steps)
    if best is None or len(tail) < 2 or not all(map(math.isfinite, tail)):
        return False
    fitted = [value * subject.direction.sign for step, value in run.curve(train) if step >= best[0]]
    allowed = max(OVERFITTING_NOISES * _noise(tail), margin * abs(best[1]))
    return float(np.mean(tail)) - best[1] > allowed and fitted[-1] < fitted[0]
