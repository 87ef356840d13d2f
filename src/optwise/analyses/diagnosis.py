"""What is wrong with a method's training, from the runs there are: one answer at most, with its evidence.

The first that holds is the diagnosis: unstable, too small a learning rate, overfitting, a noise floor, not finished.
What follows would only repeat it in other words, or contradict it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from optwise.analyses.courses import Course, course, relative_fall, typical
from optwise.analyses.intervals import median_interval
from optwise.analyses.subject import OWN, PLAYBOOK_RULE, anchor
from optwise.analyses.training import Training, numbers
from optwise.core.check import Check
from optwise.core.finding import Finding, Interval, Risk
from optwise.core.run import Run
from optwise.core.status import Status

TOO_LARGE = Check(
    "learning-rate-too-large",
    "Does training diverge, end above its start, or lose again most of what it had gained?",
    Risk.TUNING,
    OWN,
)
TOO_SMALL = Check(
    "learning-rate-too-small",
    "Has the loss hardly moved, and at the same pace from the first step to the last?",
    Risk.TUNING,
    OWN,
)
OVERFITTING = Check(
    "overfitting",
    "Does the metric end worse than its best while the training loss goes on falling?",
    Risk.USE,
    PLAYBOOK_RULE,
)
NOISE_FLOOR = Check(
    "noise-floor",
    "Does the training loss jump around a level without a trend, at a learning rate that stays?",
    Risk.TUNING,
    PLAYBOOK_RULE,
)
STILL_IMPROVING = Check(
    "still-improving",
    "Does the metric still get better at the end of the budget?",
    Risk.TUNING,
    PLAYBOOK_RULE,
)
COURSE = Check("course", "Is none of these the matter with its training?", Risk.TUNING, OWN)

UNSTABLE = 0.1
"""Share of unstable runs that is acceptable: one run in ten may be unlucky. Source: optwise, own choice."""
LOST = 0.5
"""Share of its gain that a stable run does not lose again. Source: optwise, own choice."""
MOST = 0.5
"""Share of runs above which something is said of the method. Source: optwise, own choice."""
PACE = (0.5, 2.0)
"""Last pace over first that counts as the same; in a quadratic bowl it is 0.76 when a third of the loss is gone and 0.5
when two thirds are. Source: optwise, own choice."""
LITTLE = 1 / 3
"""Share of the loss that was there to be gained, below which little was. Source: optwise, own choice."""
SLOWING = (0.25, 2.0)
"""Pace of steps that shrink as 1/sqrt(k) on a constant gradient, as Adagrad's do, 0.32, with room."""
HARDLY = 0.1
"""Share below which hardly anything was gained, so that such a pace will do. Source: optwise, own choice."""
NOTHING = 1e-4
"""Share below which nothing was gained, whatever the pace: rounding decides it. Source: optwise, own choice."""
ABOVE = 0.01
"""Share of what others gained that a loss may rise above its start. Source: optwise, own choice."""
ROUNDING = 1e-5
"""Change relative to the start that may be rounding in float32. Source: optwise, own choice."""
NOISES = 3.0
"""Late standard deviations by which the end must be worse than the best: by luck alone the best of 20 noisy
evaluations lies two below their mean. Source: optwise, own choice."""


def diagnosis(training: Training) -> Finding | None:
    """The one thing that is wrong with a method's training, else a pass; ``None`` without runs."""
    if not training.runs:
        return None
    for look in (too_large, too_small, overfitting, noise_floor, still_improving):
        found = look(training)
        if found is not None:
            return found
    return _fine(training)


def too_large(training: Training) -> Finding | None:
    """Unstable runs: not finite, above their start in the end, thrown far above it, half of their gain lost, rising."""
    subject = training.subject
    share = subject.share(training.runs, lambda run: _unstable(training, run))
    rises = _rises(training)
    if not rises and not (share.count == share.n or share.exceeds(UNSTABLE)):
        return None
    ended = sum(run.status is Status.NOT_FINITE for run in training.runs)
    levels = [one.level for study in training.losses for one in study]
    starts = [run.curve(subject.loss)[0][1] for run in training.runs if run.curve(subject.loss)]
    detail = f"{training.name()} in {share.count} of {share.n} runs"
    detail += f", {ended} not finite" if ended else ""
    detail += ", rising at the end" if rises else ""
    if levels and starts:
        detail += f", {subject.loss} {np.median(levels):.3g} late and {np.median(starts):.3g} at the start"
    detail += _missing(training)
    if training.rate is not None:
        head, advice = "The learning rate is too large, training is unstable", "Lower the learning rate, tenfold first."
    elif training.rate_is_open:
        head = "Training is unstable at the selected settings"
        advice = "Let the learning rate warm up for longer, clip gradients, or give the search more trials."
    else:
        head, advice = "Training is unstable", "Run it alone once and look at its curve."
    return TOO_LARGE.opens(
        subject, head, detail, value=share.value, interval=share.interval, advice=advice, link=anchor("curves")
    )


def too_small(training: Training) -> Finding | None:
    """A given learning rate at which the loss stood still, or fell little and at one pace.

    While the gradient stays what it was, each unit of learning rate buys the same fall. A run whose pace is the same at
    its end has met no curvature yet, so that larger steps would have gone as far in less time.
    """
    subject, runs = training.subject, [one for study in training.losses for one in study]
    mean = typical(runs)
    if training.rate is None or mean is None:
        return None
    start, moved = mean.start, float(np.median([one.spread for one in runs]))
    others = training.elsewhere
    to_gain = start - others.loss if others is not None else 0.0
    fell = start - float(mean.values[-1])
    all_there_is = max(to_gain, start if mean.values.min() >= 0 else 0.0)
    if moved <= max(ROUNDING * abs(start), NOTHING * to_gain):
        pace = "it stood still"
    else:
        falls = mean.falls()
        if falls is None or falls[0] <= 0 or fell <= 0 or (all_there_is > 0 and fell > LITTLE * all_there_is):
            return None
        low, high = SLOWING if fell <= HARDLY * to_gain else PACE
        if not low <= falls[1] / falls[0] <= high:
            return None
        pace = f"in the end at {falls[1] / falls[0]:.0%} of its first pace"
    reached = f" ({others.who} came down to {others.loss:.3g})" if others is not None and to_gain > fell else ""
    steps = int(mean.steps[-1])
    share = subject.share(training.runs, lambda run: run.status.ok)
    return TOO_SMALL.opens(
        subject,
        "The learning rate is too small for this budget",
        f"{training.name()}, {subject.loss} fell by {fell:.2g} from {start:.4g} in {steps} steps{reached}, {pace}"
        f"{_missing(training)}",
        value=fell,
        interval=Interval(min(one.start - float(one.values[-1]) for one in runs), _most_fallen(runs)),
        advice="Raise the learning rate, tenfold first, for as long as training stays stable." if share.count else "",
        link=anchor("curves"),
    )


def overfitting(training: Training) -> Finding | None:
    """Most runs end worse in the metric than their best, by more than noise and margin, while training goes on."""
    subject = training.subject
    split, _, metric = subject.metric.partition("/")
    trained = [run for run in training.runs if run.curve(f"train/{metric}")]
    if split != "valid" or not trained:
        return None
    share = subject.share(trained, lambda run: _overfits(training, run, f"train/{metric}"))
    if not share.exceeds(MOST):
        return None
    return OVERFITTING.opens(
        subject,
        f"{subject.metric} gets worse again while training goes on improving",
        f"{subject.method} in {share.count} of {share.n} runs, by more than {training.margin:.0%} and "
        f"{NOISES:g} times its noise",
        value=share.value,
        interval=share.interval,
        advice="Regularise, with weight decay for one, or stop at the best checkpoint.",
        link=anchor("curves"),
    )


def noise_floor(training: Training) -> Finding | None:
    """The training loss varies by more than the margin around a level, at a learning rate that stays up."""
    runs = [one for study in training.losses for one in study]
    if not runs or not training.holds or training.arrived:
        return None
    _, ends = relative_fall(training.losses)
    if ends.low is not None and (ends.low > 0 or (ends.high or 0.0) < 0):
        return None  # it has a trend
    noises = [one.noise() / one.scale if one.scale else 0.0 for one in runs]
    noise, span = float(np.median(noises)), median_interval(noises)
    floor = min(noises) if span.low is None else span.low
    if floor <= training.margin or all(one.noise() <= ROUNDING * abs(one.start) for one in runs):
        return None
    subject, level = training.subject, float(np.median([one.level for one in runs]))
    return NOISE_FLOOR.opens(
        subject,
        "Training jumps around a level and gets no better",
        f"{training.name()}, {subject.loss} varies by {noise:.0%} around {level:.3g} in the last third, "
        f"which its learning rate does not leave{_missing(training)}",
        value=noise,
        interval=span,
        advice="Let the learning rate decay or lower it, average the weights, or use larger batches.",
        link=anchor("curves"),
    )


def still_improving(training: Training) -> Finding | None:
    """The metric still falls, in the last third, by more than the margin: a larger budget would change the number.

    Under a schedule that decays it falls until the end of every budget, and where the target was reached a larger one
    changes no time.
    """
    if not training.costs or not training.holds or training.arrived or training.raise_rate:
        return None
    fall, ends = relative_fall(training.costs)
    if ends.low is None or ends.low <= training.margin:
        return None
    subject = training.subject
    more = "" if training.rate is None else ", or a larger learning rate as long as training stays stable"
    return STILL_IMPROVING.opens(
        subject,
        "Runs were still getting better when their budget ended",
        f"{training.name()}, {subject.metric} by another {fall:.0%} (at least {ends.low:.0%}) in the last third"
        f"{_missing(training)}",
        value=fall,
        interval=ends,
        advice=f"Give a larger budget{more}.",
        link=anchor("curves"),
    )


def _fine(training: Training) -> Finding:
    subject, runs = training.subject, [one for study in training.losses for one in study]
    if not runs:
        return COURSE.passes(subject, f"{subject.method} has no whole curve to judge.", link=anchor("curves"))
    fall, ends = relative_fall(training.losses)
    late = "" if training.holds else " under a learning rate that decays"
    begin, end = (float(np.median([one.line()[k] for one in runs])) for k in (0, 1))
    return COURSE.passes(
        subject,
        f"{training.name()}: {subject.loss} goes from {begin:.3g} to {end:.3g} in the last third{late}.",
        value=fall,
        interval=ends,
        link=anchor("curves"),
    )


def _unstable(training: Training, run: Run) -> bool:
    if run.status is Status.NOT_FINITE:
        return True
    one = course(run.curve(training.subject.loss))
    if one is None:
        return False
    others = training.elsewhere
    to_gain = 0.0 if others is None else one.start - others.loss
    usual = abs(one.start) if one.values.min() > 0 else one.spread
    slack = max(ROUNDING * abs(one.start), ABOVE * to_gain, training.margin * usual)
    gained, kept = one.start - one.best, one.start - one.level
    if kept < -slack or (gained > slack and gained - kept > LOST * gained):
        return True
    # it was thrown far from its start, and the little it has won since is less than that
    thrown = float(one.values.max()) - one.start
    return to_gain > 0 and kept <= LITTLE * to_gain and thrown > max(slack, kept)


def _rises(training: Training) -> bool:
    """Whether the training loss climbs by more than the margin at a learning rate that stays, and no decay pulls it."""
    if not training.losses or not training.holds or any(any(numbers(run, "weight_decay")) for run in training.runs):
        return False
    _, ends = relative_fall(training.losses)
    return ends.high is not None and ends.high < -training.margin


def _overfits(training: Training, run: Run, train: str) -> bool:
    sign = training.subject.direction.sign
    one = course([(step, value * sign) for step, value in run.curve(training.subject.metric)])
    if one is None:
        return False
    best = int(one.steps[1:][one.values[1:].argmin()])
    fitted = [value * sign for step, value in run.curve(train) if step >= best]
    allowed = max(NOISES * one.noise(), training.margin * one.scale)
    return one.level - one.best > allowed and fitted[-1] < fitted[0]


def _most_fallen(runs: Sequence[Course]) -> float:
    return max(one.start - float(one.values[-1]) for one in runs)


def _missing(training: Training) -> str:
    missed = training.missed
    return "" if missed is None or not missed.count else f"; {missed.count} of {missed.n} runs miss the target"
