"""The check that holds the runs of a method against theory: do they do what was predicted?"""

from __future__ import annotations

import math
from collections.abc import Sequence

from optwise.analyses.intervals import share_interval
from optwise.analyses.prediction_comparison import Compared, Held, hold, over_the_course, step_by_step
from optwise.analyses.predictions import Predictions
from optwise.analyses.subject import OWN, Subject, anchor
from optwise.core.check import Check
from optwise.core.finding import Finding, Grade, Risk
from optwise.core.run import Run

LEVEL = 1e-3
"""Chance that runs which do what theory says are called wrong, per method; the steps share one half of it, the course
as a whole has the other. Source: optwise, own choice."""
CAUTION = 0.1
"""What of its share is used up where the spread is that of the runs: the tails of t are too light there by a factor of
2 to 4, measured on mean estimation and streamed least squares."""
PREDICTION = Check(
    "prediction",
    "Do the runs of a linear method do what theory says of them?",
    Risk.CLAIM,
    f"optwise.theory, exact moments; rule: {OWN}",
)


def prediction(subject: Subject, confirm: Sequence[Run], predictions: Predictions | None) -> Finding | None:
    """Do the confirmation runs do what theory predicts of them?

    Compared are the sums over runs at every evaluation step, and the mean over the steps of each run, both over all
    studies. A run that ends not finite although its prediction does not grow beyond all numbers is a disagreement, and
    so is one that stays small where it does.

    Args:
        subject: The method.
        confirm: Its confirmation runs.
        predictions: What theory says of them; ``None`` for a problem that it knows nothing of.

    Returns:
        ``None`` where nothing is predicted, or nothing can be compared.
    """
    if predictions is None:
        return None
    studies = [held for each in predictions.studies if (held := hold(each, confirm, predictions)) is not None]
    runs = sum(len(held.excess) for held in studies)
    lost, calm = sum(held.lost for held in studies), sum(held.calm for held in studies)
    if lost:
        return _surprise(subject, lost, runs, "ended not finite where the prediction is a number")
    if calm:
        return _surprise(subject, calm, runs, "stayed small where the prediction grows beyond all numbers")
    found, course = step_by_step(studies, predictions.optimum), over_the_course(studies)
    if not found:
        return None
    worst = min(found, key=lambda one: (one.p, -abs(one.errors)))
    if used(studies, found) <= 1:
        return _difference(
            subject, worst, f"At step {worst.step}", f"have {predictions.metric}", _advice(subject, worst)
        )
    if course is not None and used(studies, [], course) <= 1:
        return _difference(subject, course, f"Over {len(found)} steps", "have measured / predicted", _advice(subject))
    return _agreement(subject, found, studies, predictions.metric)


def used(studies: Sequence[Held], found: Sequence[Compared], course: Compared | None = None) -> float:
    """The smallest chance of what was found, over the one that is allowed: at most 1 where the check complains.

    Args:
        studies: Their runs and predictions.
        found: Steps.
        course: The mean over the course.
    """
    estimated = any(held.predicted.deviation is None for held in studies)
    steps = (CAUTION if estimated else 1.0) * LEVEL / 2
    shares = [one.p * len(found) / steps for one in found]
    return min([*shares, *([] if course is None else [course.p / (CAUTION * LEVEL / 2)])], default=math.inf)


def _difference(subject: Subject, worst: Compared, where: str, have: str, advice: str) -> Finding:
    spread = f" ± {worst.error:.2g}" if worst.error > 0 else ""
    far = f", {abs(worst.errors):.1f} standard errors" if math.isfinite(worst.errors) else ""
    return Finding(
        check=PREDICTION.name,
        grade=Grade.FAIL,
        evidence=f"{where}, {worst.runs} runs of {subject.method} {have} {worst.measured:.4g}{spread} on average where "
        f"theory predicts {worst.predicted:.4g}: {worst.difference:+.2g}{far}.",
        subject=str(subject),
        value=worst.difference,
        interval=worst.interval,
        source=PREDICTION.source,
        advice=advice,
        link=anchor("predictions"),
        risk=PREDICTION.risk,
    )


def _surprise(subject: Subject, count: int, runs: int, what: str) -> Finding:
    return Finding(
        check=PREDICTION.name,
        grade=Grade.FAIL,
        evidence=f"{count} of {runs} runs of {subject.method} {what}.",
        subject=str(subject),
        value=count / runs,
        interval=share_interval(count, runs),
        source=PREDICTION.source,
        advice=_advice(subject),
        link=anchor("predictions"),
        risk=PREDICTION.risk,
    )


def _advice(subject: Subject, worst: Compared | None = None) -> str:
    if worst is not None and worst.step == 0:
        return (
            f"Look at the start and the curvatures h that {subject.problem} declares: before the first step nothing "
            "else matters."
        )
    return (
        f"Look at the h, c and start that {subject.problem} declares, at the method's step, and at runs "
        "that diverged; `optwise rerun` repeats one."
    )


def _agreement(subject: Subject, found: Sequence[Compared], studies: Sequence[Held], metric: str) -> Finding:
    farthest = max(found, key=lambda one: (abs(one.errors), abs(one.difference)))
    steps = f"{len(found)} step{'s' if len(found) > 1 else ''}"
    if any(one.error > 0 for one in found):
        how = f"largest deviation {abs(farthest.errors):.1f} standard errors"
    else:
        shares = [abs(one.difference) / abs(one.predicted) for one in found if one.predicted]
        how = f"largest deviation {max(shares, default=0.0):.1g} of the value"
    counts = sorted({one.runs for one in found})
    runs = str(counts[-1]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    estimated = any(held.predicted.deviation is None for held in studies)
    ended = sum(held.ended for held in studies)
    return PREDICTION.passes(
        subject,
        f"{runs} runs of {subject.method} at {steps} agree with the prediction of {metric} "
        f"({how}{', of the spread of the runs' if estimated else ''})"
        f"{f'; it diverges, and so did {ended} of them' if ended else ''}.",
        value=farthest.difference,
        interval=farthest.interval,
        link=anchor("predictions"),
    )
