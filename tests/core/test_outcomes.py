"""What one run achieved, and which point a study selects."""

import math
import random

import pytest

from optwise.analyses.selecting import select, selection_rule
from optwise.core.metric import AtLeast, AtMost, Direction
from optwise.core.outcomes import best_value, held_value, steps_to_target
from optwise.core.run import Measurement, Run, TrialName
from optwise.core.status import Status
from optwise.methods import SGD

TARGET = AtMost("valid/loss", 1.0)


def run(*values, index=0, metric="loss", status=Status.BUDGET_SPENT, infeasible=False):
    """A run measured every ten steps."""
    table = tuple(Measurement(10 * k, "valid", metric, v) for k, v in enumerate(values))
    counts = {"steps": 10.0 * (len(values) - 1), "example-gradients": 640.0 * (len(values) - 1)}
    name = TrialName("p", "sgd", 0, index)
    return Run("p", SGD(lr=0.1), 0, status, counts, table, name=name, infeasible=infeasible)


def test_the_best_value_is_retrospective_and_leaves_out_the_start_and_what_is_not_finite():
    assert best_value(run(0.1, 3.0, 2.0, 2.5, math.nan), "valid/loss", Direction.MIN) == 2.0
    assert best_value(run(0.9, 0.5, 0.7, 0.6, metric="accuracy"), "valid/accuracy", Direction.MAX) == 0.7


def test_a_run_without_a_finite_value_is_the_worst_possible_and_not_dropped():
    for values in ((), (2.0,), (2.0, math.nan, math.inf)):
        assert best_value(run(*values), "valid/loss", Direction.MIN) == math.inf
        assert best_value(run(*values), "valid/loss", Direction.MAX) == -math.inf


def test_a_target_is_reached_at_the_first_evaluation_at_or_past_it():
    assert steps_to_target(run(3.0, 1.5, 1.0, 0.7, 0.5), TARGET) == 20
    assert steps_to_target(run(3.0, 1.5, math.nan), TARGET) is None
    assert steps_to_target(run(0.2, 0.5, 0.9, metric="accuracy"), AtLeast("valid/accuracy", 0.6)) == 20


def test_a_hit_must_hold_for_two_evaluations_unless_it_is_the_last_of_a_whole_run():
    assert steps_to_target(run(3.0, 1.5, 1.0, 2.0, 0.5, 0.6), TARGET) == 40
    assert steps_to_target(run(3.0, 1.5, 1.0, 2.0, 0.5), TARGET) == 40, "nothing came after the last"
    assert steps_to_target(run(3.0, 1.5, 0.5, math.nan), TARGET) is None
    for status in (Status.NOT_FINITE, Status.CRASHED, Status.INTERRUPTED):
        assert steps_to_target(run(3.0, 1.5, 0.5, status=status), TARGET) is None, "nobody knows what came next"
    assert steps_to_target(run(3.0, 1.5, 0.5, status=Status.STALLED), TARGET) == 20, "its end stays where it is"


@pytest.mark.parametrize("seed", range(20))
def test_the_held_value_is_the_hardest_target_that_is_reached(seed):
    values = [3.0, *random.Random(seed).choices((0.5, 0.7, 0.9, 1.1, 1.3, math.nan), k=6)]
    for status in (Status.BUDGET_SPENT, Status.NOT_FINITE):
        one = run(*values, status=status)
        best = held_value(one, "valid/loss", Direction.MIN)
        asked = [v for v in values[1:] if math.isfinite(v)]
        hardest = min((v for v in asked if steps_to_target(one, AtMost("valid/loss", v))), default=math.inf)
        assert best == hardest
        turned = run(*(-v for v in values), metric="accuracy", status=status)
        assert held_value(turned, "valid/accuracy", Direction.MAX) == -best


SELECTIONS = [
    ("the earliest to reach it", [(3, 2, 1, 1), (3, 1, 1, 1), (3, 2, 2, 0.1)], 1),
    ("of several at once the best value", [(3, 1, 0.9), (3, 0.8, 0.7), (3, 0.9, 0.8)], 1),
    ("what remains tied goes to the lower index", [(3, 2, 1), (3, 2, 1), (3, 2, 1)], 0),
    ("before a better one that never reaches it", [(3, 2, 0.99), (3, 1.01, 1.01)], 0),
    ("misses by their best value", [(3, 2.5, 2.9), (3, 2.4, 2.4), (3, 2.6, 2.6)], 1),
]


@pytest.mark.parametrize(("rule", "curves", "chosen"), SELECTIONS, ids=[rule for rule, *_ in SELECTIONS])
def test_with_a_target_a_study_selects(rule, curves, chosen):
    runs = [run(*values, index=i) for i, values in enumerate(curves)]
    asked = {"metric": "valid/loss", "direction": Direction.MIN, "target": TARGET, "axis": "steps"}
    assert select(runs, **asked) == chosen
    reordered = [runs[i] for i in (2, 0, 1) if i < len(runs)]
    assert select(reordered, **asked) == chosen, "the order of the runs decides nothing"


def test_without_a_target_a_study_selects_the_best_value():
    losses = [run(3, 2.0, 2.2, index=4), run(3, 1.9, 9.0, index=7), run(3, 2.1, 2.0, index=1)]
    assert select(losses, metric="valid/loss", direction=Direction.MIN, target=None, axis="steps") == 7
    accuracies = [run(0.1, a, index=i, metric="accuracy") for i, a in enumerate((0.5, 0.8, 0.8))]
    assert select(accuracies, metric="valid/accuracy", direction=Direction.MAX, target=None, axis="steps") == 1


def test_an_infeasible_trial_is_never_selected_whatever_it_reached():
    good = run(3, 2.9, 2.9, index=2)
    bad = [
        run(3, 0.1, 0.1, index=0, infeasible=True),
        run(3, 0.1, 0.1, index=1, status=Status.NOT_FINITE),
        run(3, 0.1, 0.1, index=3, status=Status.CRASHED),
        run(3, index=4),
        run(3, math.nan, index=5),
    ]
    for target in (TARGET, None):
        assert select([*bad, good], metric="valid/loss", direction=Direction.MIN, target=target, axis="steps") == 2
        assert select(bad, metric="valid/loss", direction=Direction.MIN, target=target, axis="steps") is None


def test_the_rule_is_told_in_words():
    assert selection_rule("valid/loss", None, "steps") == "best valid/loss over the evaluations of a trial"
    assert selection_rule("valid/loss", TARGET, "example-gradients") == (
        "fewest example-gradients to an evaluation with valid/loss<=1 that holds at the next, misses by best valid/loss"
    )
