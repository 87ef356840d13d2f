"""The boundary rule: when good settings sit on an edge, which side to widen, and when widening would not help."""

import math

import pytest

from optwise.analyses.boundary_check import boundary
from optwise.analyses.subject import Subject
from optwise.core.finding import Grade
from optwise.core.method import Recorded
from optwise.core.metric import AtMost, Direction
from optwise.core.run import Measurement, Run, TrialName
from optwise.core.space import Choice, IntUniform, LogUniform, OneMinus, Space, Uniform, When
from optwise.core.status import Status

LOSS = Subject("p", "m", "valid/loss", Direction.MIN)
TIMED = Subject("p", "m", "valid/loss", Direction.MIN, AtMost("valid/loss", 0.5))
LR = Space({"lr": LogUniform(1e-4, 1e-1)})


def trial(values, index=0, *, point, study=0, confirm=False, infeasible=False):
    """One run: a number is a flat curve, a list one value per evaluation after the start."""
    values = [values] if isinstance(values, float) else values
    return Run(
        problem="p",
        method=Recorded(name="m", description={}),
        seed=0,
        status=Status.BUDGET_SPENT,
        counts={},
        measurements=tuple(Measurement(50 * i, "valid", "loss", v) for i, v in enumerate([9.0, *values])),
        infeasible=infeasible,
        name=TrialName("p", "m", study, index, confirm),
        point=point,
    )


def search_over(path, values, costs):
    return [trial(c, i, point={path: v}) for i, (v, c) in enumerate(zip(values, costs, strict=True))]


def test_good_settings_inside_the_space_pass_the_boundary_rule():
    search = search_over("lr", [1e-4, 2e-3, 3e-3, 4e-3, 1e-1], [5.0, 1.0, 1.1, 1.2, 5.0])
    (finding,) = boundary(LOSS, LR, search, [])
    assert (finding.grade, finding.advice, finding.link) == (Grade.PASS, "", "axis-m-lr")
    assert finding.value == pytest.approx(math.log10(2e-3 / 1e-4) / 3)
    assert (finding.interval.low, finding.interval.high) == pytest.approx(
        (math.log10(20) / 3, math.log10(40) / 3)  # 2e-3 and 4e-3 on a scale of three decades
    )


def test_a_best_trial_at_the_upper_edge_proposes_one_more_decade():
    (finding,) = boundary(LOSS, LR, search_over("lr", [1e-3, 5e-3, 9e-2], [3.0, 2.0, 1.0]), [])
    assert finding.grade is Grade.WARN
    assert "Raise the upper end of lr from 0.1 to 1." in finding.advice


def test_two_of_the_best_three_at_the_lower_edge_are_enough():
    (finding,) = boundary(LOSS, LR, search_over("lr", [1e-2, 1.1e-4, 1.2e-4], [1.0, 2.0, 3.0]), [])
    assert finding.grade is Grade.WARN
    assert "Lower the lower end of lr from 0.0001 to 1e-05." in finding.advice


def test_most_selected_points_on_an_edge_warn_although_the_best_trial_does_not():
    search = search_over("lr", [2e-3, 3e-3, 4e-3, 9e-2], [1.0, 1.0, 1.0, 2.0])
    confirm = [trial(1.0, study=s, point={"lr": lr}, confirm=True) for s, lr in enumerate([9e-2, 8e-2, 2e-3])]
    (finding,) = boundary(LOSS, LR, search, confirm)
    assert finding.grade is Grade.WARN
    assert "2 of 3 selected points are on the upper edge" in finding.evidence


def test_an_edge_beyond_which_all_trials_fail_is_one_of_stability():
    search = search_over("lr", [1e-3, 6e-2], [3.0, 1.0])
    search.append(trial(5.0, 2, point={"lr": 9e-2}, infeasible=True))
    (finding,) = boundary(LOSS, LR, search, [])
    assert finding.grade is Grade.WARN
    assert "stability edge" in finding.evidence
    assert "warm-up" in finding.advice
    assert "Raise" not in finding.advice


def test_one_feasible_trial_further_out_makes_it_a_plain_boundary():
    search = search_over("lr", [1e-3, 6e-2, 8e-2], [3.0, 1.0, 2.0])
    search.append(trial(5.0, 3, point={"lr": 9e-2}, infeasible=True))
    (finding,) = boundary(LOSS, LR, search, [])
    assert "Raise the upper end" in finding.advice


def test_with_a_target_the_earliest_trial_is_the_best_one():
    early, late = [0.4] * 20, [9.0] * 10 + [0.1] * 10
    search = search_over("lr", [9e-2, 3e-3, 3e-3], [early, late, late])
    assert [f.grade for s in (TIMED, LOSS) for f in boundary(s, LR, search, [])] == [Grade.WARN, Grade.PASS]


@pytest.mark.parametrize(
    ("distribution", "value", "advice"),
    [
        (Uniform(1.0, 3.0), 2.9, "Raise the upper end of x from 3 to 5."),
        (Uniform(1.0, 3.0), 1.1, "Lower the lower end of x from 1 to 0."),
        (IntUniform(10, 29), 29, "Raise the upper end of x from 29 to 48."),
        (OneMinus(LogUniform(1e-3, 1e-1)), 0.901, "Raise the upper end of 1 - x from 0.1 to 1."),
        (OneMinus(LogUniform(4e-3, 0.3)), 0.702, "Raise the upper end of 1 - x from 0.3 to 1."),
        (OneMinus(LogUniform(4e-3, 0.3)), 0.9959, "Lower the lower end of 1 - x from 0.004 to 0.0004."),
    ],
)
def test_a_proposal_is_one_decade_or_one_width_in_the_field_s_own_words(distribution, value, advice):
    (finding,) = boundary(LOSS, Space({"x": distribution}), search_over("x", [value], [1.0]), [])
    assert finding.advice == advice


@pytest.mark.parametrize(
    ("distribution", "value"), [(Uniform(0.0, 1.0), 0.01), (OneMinus(LogUniform(1e-2, 1.0)), 0.001)]
)
def test_a_natural_end_is_no_boundary(distribution, value):
    (finding,) = boundary(LOSS, Space({"x": distribution}), search_over("x", [value], [1.0]), [])
    assert (finding.grade, finding.advice) == (Grade.PASS, "")
    assert "by nature" in finding.evidence


def test_a_choice_has_no_boundary_and_a_conditional_field_counts_where_it_exists():
    space = Space({"nesterov": Choice(False, True), "tau": When("nesterov", True, LogUniform(0.1, 1.0), 0.99)})
    search = [
        trial(1.0, 0, point={"nesterov": False, "tau": 0.99}),
        trial(2.0, 1, point={"nesterov": True, "tau": 0.3}),
    ]
    (finding,) = boundary(LOSS, space, search, [])
    assert finding.grade is Grade.PASS
    assert finding.value == pytest.approx(math.log10(3))
