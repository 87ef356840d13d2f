"""The boundary rule: when good settings sit on an edge, which side to widen, and when widening would not help."""

import pytest
from scipy.stats import binom

from optwise.analyses.boundary_check import boundary, chance
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


def studies_over(path, values, costs=None):
    """One study a value, which it selects over a second trial in the middle that does far worse."""
    return [
        run
        for s, v in enumerate(values)
        for run in (
            trial(1.0 if costs is None else costs[s], 0, point={path: v}, study=s),
            trial(50.0, 1, point={path: 3e-3}, study=s),
        )
    ]


def test_good_settings_inside_the_space_pass_the_boundary_rule():
    search = search_over("lr", [1e-4, 2e-3, 3e-3, 4e-3, 5e-3, 1e-1], [5.0, 1.0, 1.1, 1.2, 1.3, 5.0])
    (finding,) = boundary(LOSS, LR, search)
    assert (finding.grade, finding.advice, finding.link) == (Grade.PASS, "", "axis-m-lr")
    assert "best trial at 0.002 of 0.0001 to 0.1; 0 of 4 best trials lie" in finding.evidence


@pytest.mark.parametrize("studies", range(1, 41))
@pytest.mark.parametrize("fields", [1, 3])
def test_a_field_that_does_not_matter_is_called_crowded_at_most_once_in_twenty_methods(studies, fields):
    """Each setting lies on a given edge with probability 0.1; the oracle is the binomial distribution."""
    warned = [k for k in range(studies + 1) if chance(k, studies) * 2 * fields <= 0.05]
    if warned:
        assert binom.sf(min(warned) - 1, studies, 0.1) * 2 * fields <= 0.05
        assert binom.sf(min(warned) - 2, studies, 0.1) * 2 * fields > 0.05, "one less would be chance"


def test_four_of_eight_studies_that_select_an_edge_propose_one_more_decade_and_three_are_chance():
    inside, edge = [2e-3, 3e-3, 4e-3, 5e-3], [9e-2] * 4
    for values, grade in ((inside + edge, Grade.WARN), ([1e-3, *inside, *edge[1:]], Grade.PASS)):
        (finding,) = boundary(
            LOSS, Space({"lr": LogUniform(1e-4, 1e-1), "b": Uniform(0.0, 1.0)}), studies_over("lr", values)
        )
        assert finding.grade is grade
    (finding,) = boundary(LOSS, LR, studies_over("lr", inside + edge))
    assert finding.value == 0.5
    assert "Raise the upper end of lr from 0.1 to 1." in finding.advice
    assert "m, lr: 4 of 8 selected settings on the upper edge, best trial at" in finding.evidence
    (finding,) = boundary(LOSS, LR, studies_over("lr", inside + [1.1e-4] * 4))
    assert "Lower the lower end of lr from 0.0001 to 1e-05." in finding.advice


def test_a_best_trial_on_an_edge_is_one_in_five_by_chance_and_no_warning():
    search = studies_over("lr", [9e-2, 2e-3, 3e-3, 4e-3, 5e-3, 6e-3, 7e-3, 8e-3], [0.1] + [1.0] * 7)
    (finding,) = boundary(LOSS, LR, search)
    assert finding.grade is Grade.PASS
    assert "best trial at 0.09" in finding.evidence


def test_of_few_studies_the_best_four_trials_are_judged():
    search = search_over("lr", [9e-2, 8.5e-2, 8e-2, 9.5e-2, 2e-3], [1.0, 1.1, 1.2, 1.3, 2.0])
    (finding,) = boundary(LOSS, LR, search)
    assert finding.grade is Grade.WARN
    assert "4 of 4 best trials on the upper edge" in finding.evidence


def test_an_edge_beyond_which_all_trials_fail_is_one_of_stability_where_a_wider_range_would_not_help():
    search = studies_over("lr", [6e-2] * 4) + [
        trial(5.0, 9, point={"lr": 9e-2}, infeasible=True, study=s) for s in range(3)
    ]
    (finding,) = boundary(LOSS, LR, search)
    assert (finding.grade, finding.advice) == (Grade.PASS, "")
    assert "stability: all 3 trials further out fail" in finding.evidence
    for more in ([], [trial(2.0, 8, point={"lr": 8e-2})]):  # one that failed is no pattern, and one did not fail
        (finding,) = boundary(LOSS, LR, search[:-2] + more)
        assert "Raise the upper end" in finding.advice


def test_with_a_target_the_earliest_trial_is_the_best_one():
    early, late = [0.4] * 20, [9.0] * 10 + [0.1] * 10
    search = search_over("lr", [9e-2, 3e-3, 3e-3], [early, late, late])
    said = [boundary(s, LR, search)[0].evidence for s in (TIMED, LOSS)]
    assert ["best trial at 0.09" in evidence for evidence in said] == [True, False]


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
    (finding,) = boundary(LOSS, Space({"x": distribution}), search_over("x", [value] * 4, [1.0] * 4))
    assert finding.advice == advice


@pytest.mark.parametrize(
    ("distribution", "value"), [(Uniform(0.0, 1.0), 0.01), (OneMinus(LogUniform(1e-2, 1.0)), 0.001)]
)
def test_a_natural_end_is_no_boundary(distribution, value):
    (finding,) = boundary(LOSS, Space({"x": distribution}), search_over("x", [value] * 4, [1.0] * 4))
    assert (finding.grade, finding.advice) == (Grade.PASS, "")
    assert "by nature" in finding.evidence


def test_a_choice_has_no_boundary_and_a_conditional_field_counts_where_it_exists():
    space = Space({"nesterov": Choice(False, True), "tau": When("nesterov", True, LogUniform(0.1, 1.0), 0.99)})
    search = [
        trial(1.0, 0, point={"nesterov": False, "tau": 0.99}),
        trial(2.0, 1, point={"nesterov": True, "tau": 0.3}),
    ]
    (finding,) = boundary(LOSS, space, search)
    assert finding.grade is Grade.PASS
    assert "best trial at 0.3 of 0.1 to 1; 0 of 1 best trials" in finding.evidence
