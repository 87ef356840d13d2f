"""One order of trials: what a study selects is what every other room calls the best."""

import math
import random
from dataclasses import replace

import pytest

from optwise.analyses.selecting import select
from optwise.analyses.subject import Subject
from optwise.core.method import Recorded
from optwise.core.metric import AtLeast, AtMost, Direction
from optwise.core.run import Measurement, Run, TrialName
from optwise.core.standing import ranked, standing
from optwise.core.status import Status


def trial(values, index, *, infeasible=False, status=Status.BUDGET_SPENT):
    return Run(
        problem="p",
        method=Recorded(name="m", description={}),
        seed=0,
        status=status,
        counts={},
        measurements=tuple(Measurement(10 * k, "valid", "m", v) for k, v in enumerate([1.0, *values])),
        infeasible=infeasible,
        name=TrialName("p", "m", 0, index),
    )


@pytest.mark.parametrize("seed", range(30))
@pytest.mark.parametrize("target", [None, AtMost("valid/m", 0.5), AtLeast("valid/m", 0.5)])
def test_the_first_of_the_ranked_trials_is_the_one_that_a_study_selects(seed, target):
    rng = random.Random(seed)
    search = [
        trial([rng.choice((0.1, 0.4, 0.6, 0.9, math.nan)) for _ in range(4)], i, infeasible=rng.random() < 0.2)
        for i in range(8)
    ]
    direction = Direction.MIN if target is None else target.direction
    asked = {"metric": "valid/m", "direction": direction, "target": target, "axis": "steps"}
    order = ranked(search, **asked)
    assert select(search, **asked) == (order[0].name.index if order else None)
    assert [run.name for run in Subject("p", "m", **asked).ranked(search)] == [run.name for run in order]
    worth = [standing(run, **asked) for run in order]
    assert worth == sorted(worth)
    assert all(not run.infeasible for run in order)


def test_the_earliest_is_the_one_that_spent_least_by_its_own_counters():
    """Two evaluations of cheap steps cost less than one of dear steps; a run that counted nothing is charged steps."""
    asked = {"metric": "valid/m", "direction": Direction.MIN, "target": AtMost("valid/m", 0.5)}

    def paying(values, index, price):
        counts = {"steps": 10.0 * len(values), "evaluations": 10.0 * len(values) * price}
        return replace(trial(values, index), counts=counts)

    dear, cheap = paying([0.5, 0.4, 0.3], 0, 5.0), paying([0.6, 0.5, 0.4], 1, 1.0)
    assert [select([dear, cheap], axis=axis, **asked) for axis in ("steps", "evaluations", "seconds")] == [0, 1, 1]
    assert standing(cheap, axis="seconds", **asked).spent == 20.0
    uncounted = [trial([0.5, 0.4], 0), trial([0.6, 0.5], 1)]
    assert [standing(run, axis="seconds", **asked).spent for run in uncounted] == [10.0, 20.0]


def test_the_earliest_is_best_however_low_another_one_gets():
    asked = {"metric": "valid/m", "direction": Direction.MIN, "target": AtMost("valid/m", 0.5), "axis": "steps"}
    early, low, missed = trial([0.5, 0.45, 0.45], 0), trial([0.6, 0.1, 0.1], 1), trial([0.6, 0.6, 0.51], 2)
    assert ranked([missed, low, early], **asked) == [early, low, missed]
    assert ranked([missed, low, early], **{**asked, "target": None}) == [low, early, missed]
