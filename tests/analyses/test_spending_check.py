"""A check fails where the runs of one method spent another budget than those of another."""

import pytest

from optwise.analyses.spending_check import equal_spending
from optwise.core.budget import ExampleGradients, Seconds, Steps
from optwise.core.finding import Grade
from optwise.core.method import Recorded
from optwise.core.run import Run
from optwise.core.spending import Spending
from optwise.core.status import Status


def runs(*totals, steps=40, status=Status.BUDGET_SPENT, unit="example-gradients"):
    return [
        Run(
            *("p", Recorded(name="m", description={}), 0, status),
            {"steps": float(steps), unit: float(total)},
            (),
            spending=Spending((0, steps), {unit: (0.0, float(total))}),
        )
        for total in totals
    ]


def test_what_an_lbfgs_used_to_spend_beside_sgd_fails():
    """The numbers of the case: 1,280 against 18,752 to 24,896."""
    spent = {"sgd": runs(1280, 1280), "lbfgs": runs(18752, 24896)}
    (finding,) = equal_spending("p", spent, budget=ExampleGradients(1280), axis="example-gradients")
    assert (finding.grade, finding.value) == (Grade.FAIL, 24896 - 1280)
    assert "sgd 1,280, lbfgs 21,824 (18,752 to 24,896)" in finding.evidence
    assert finding.advice


def test_the_step_that_is_finished_is_allowed():
    spent = {"sgd": runs(1280), "lbfgs": runs(1792, 1280, steps=3)}
    (finding,) = equal_spending("p", spent, budget=ExampleGradients(1280))
    assert (finding.grade, finding.advice) == (Grade.PASS, "")
    twice = {"sgd": runs(1280), "lbfgs": runs(1280 + 2 * 60 + 13, steps=23)}
    (finding,) = equal_spending("p", twice, budget=ExampleGradients(1280))
    assert finding.grade is Grade.FAIL


def test_another_unit_than_the_axis_is_said_and_does_not_fail():
    spent = {"sgd": runs(1280, steps=40), "sam": runs(2560, steps=40)}
    in_steps, in_gradients = equal_spending("p", spent, budget=Steps(40), axis="example-gradients")
    assert (in_steps.grade, in_gradients.grade) == (Grade.PASS, Grade.WARN)
    assert "Give the budget in example-gradients" in in_gradients.advice


@pytest.mark.parametrize("status", [s for s in Status if s is not Status.BUDGET_SPENT], ids=lambda s: s.name)
def test_only_runs_that_ended_with_their_budget_are_compared(status):
    spent = {"sgd": runs(1280), "adam": [*runs(1280), *runs(100, status=status)]}
    (finding,) = equal_spending("p", spent, budget=ExampleGradients(1280))
    assert finding.grade is Grade.PASS


def test_one_method_alone_and_seconds_have_nothing_to_compare():
    assert equal_spending("p", {"sgd": runs(1280)}, budget=ExampleGradients(1280)) == []
    assert equal_spending("p", {"sgd": runs(1), "adam": runs(9)}, budget=Seconds(1.0), axis="seconds") == []
