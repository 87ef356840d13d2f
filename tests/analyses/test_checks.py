"""Each check rule passes on runs that are fine and warns on runs that are not; all runs are made by hand."""

import math

import pytest

from optwise.analyses.checks import method_checks, problem_checks
from optwise.analyses.curve_checks import late_variance, misses, overfitting, still_improving, target_hair, too_long
from optwise.analyses.fairness_checks import equal_budget, inclusion, winner_stability
from optwise.analyses.search_checks import density, feasible, infeasible_share, space_borrowed
from optwise.analyses.subject import Subject
from optwise.core.finding import Grade
from optwise.core.method import Recorded
from optwise.core.metric import AtLeast, AtMost, Direction
from optwise.core.run import Measurement, Run, TrialName
from optwise.core.space import LogUniform, Space
from optwise.core.status import Status

STEPS = tuple(range(0, 1001, 50))
LOSS = Subject("p", "m", "valid/loss", Direction.MIN)
TIMED = Subject("p", "m", "valid/loss", Direction.MIN, AtMost("valid/loss", 0.5))
LR = Space({"lr": LogUniform(1e-4, 1e-1)})


def trial(values, index=0, *, study=0, point=None, confirm=False, train=None, metric="loss", method="m", **kwargs):
    """One run: a number is a flat curve, a list one value per evaluation after the start, short where it ended."""
    values = [values] * 20 if isinstance(values, (int, float)) else values
    start = 9.0 if metric == "loss" else 0.1
    rows = [Measurement(k, "valid", metric, v) for k, v in zip(STEPS, [start, *values], strict=False)]
    rows += [Measurement(k, "train", metric, v) for k, v in zip(STEPS[1:], train or [], strict=bool(train))]
    return Run(
        problem="p",
        method=Recorded(name=method, description={}),
        seed=0,
        status=kwargs.pop("status", Status.BUDGET_SPENT),
        counts={"steps": 1000.0},
        measurements=tuple(rows),
        name=TrialName("p", method, study, index, confirm),
        point=point or {},
        **kwargs,
    )


def confirmations(*curves, **kwargs):
    return [trial(curve, i, confirm=True, **kwargs) for i, curve in enumerate(curves)]


def search_over(path, values, costs):
    return [trial(c, i, point={path: v}) for i, (v, c) in enumerate(zip(values, costs, strict=True))]


# the search


def test_one_feasible_trial_passes_and_none_fails():
    bad = [trial(math.nan, 0, status=Status.NOT_FINITE), trial(5.0, 1, infeasible=True)]
    assert feasible(LOSS, [*bad, trial(1.0, 2)]).grade is Grade.PASS
    assert feasible(LOSS, bad).grade is Grade.FAIL
    assert feasible(LOSS, []).grade is Grade.FAIL


def test_more_than_half_infeasible_warns_and_half_does_not():
    good, bad = trial(1.0), trial(math.nan, status=Status.NOT_FINITE)
    assert infeasible_share(LOSS, [good, bad]).grade is Grade.PASS
    finding = infeasible_share(LOSS, [good, bad, bad])
    assert (finding.grade, finding.value) == (Grade.WARN, pytest.approx(2 / 3))


def test_three_trials_within_a_percent_of_the_best_are_dense_and_two_are_thin():
    assert density(LOSS, LR, [trial(v) for v in (1.0, 1.005, 1.01, 2.0)], []).grade is Grade.PASS
    finding = density(LOSS, LR, [trial(v) for v in (1.0, 1.005, 1.02, 2.0)], [])
    assert (finding.grade, finding.value) == (Grade.WARN, 2.0)


def test_density_allows_one_standard_deviation_of_seeds_within_studies():
    search = [trial(v) for v in (1.0, 1.09, 1.1, 2.0)]
    # seeds differ by sd 0.1 within each study; the distance of 5 between studies is not theirs
    confirm = [trial(v, study=s, confirm=True) for s, v in [(0, 1.0), (0, 1.1), (0, 1.2), (1, 6.0), (1, 6.1), (1, 6.2)]]
    assert LOSS.seed_sd(confirm) == pytest.approx(0.1)
    assert density(LOSS, LR, search, confirm).value == 3.0


def test_a_metric_to_maximise_has_its_best_at_the_top():
    accuracy = Subject("p", "m", "valid/accuracy", Direction.MAX)
    search = [trial(v, metric="accuracy") for v in (0.5, 0.7, 0.899, 0.9)]
    assert density(accuracy, LR, search, []).value == 2.0


def test_a_borrowed_space_warns_and_an_own_one_passes():
    assert [space_borrowed(LOSS, borrowed=b).grade for b in (False, True)] == [Grade.PASS, Grade.WARN]


# the curves


def test_late_noise_warns_above_the_margin_and_not_below():
    quiet = confirmations(*[[2.0] * 16 + [1.0, 1.001, 1.0, 1.001]] * 6)
    loud = confirmations(*[[2.0] * 16 + [1.0, 1.1, 1.0, 1.1]] * 6)
    assert late_variance(LOSS, quiet, 1000, margin=0.02).grade is Grade.PASS
    finding = late_variance(LOSS, loud, 1000, margin=0.02)
    assert finding.grade is Grade.WARN
    assert finding.value == pytest.approx(0.1 / math.sqrt(3))  # sd of 1, 1.1, 1, 1.1
    assert finding.interval.low == finding.interval.high == finding.value


def test_late_noise_is_held_against_the_gap_where_it_is_known():
    loud = confirmations(*[[2.0] * 16 + [1.0, 1.1, 1.0, 1.1]] * 6)
    assert late_variance(LOSS, loud, 1000, margin=0.02, gap=-0.5).grade is Grade.PASS


def test_a_tail_that_only_improves_is_no_noise_and_one_that_diverges_is():
    falling = confirmations([10.0**-k for k in range(20)])
    assert late_variance(LOSS, falling, 1000, margin=0.02).value == 0.0
    for dead in (confirmations([1.0] * 19 + [math.nan]), confirmations([1.0, math.nan], status=Status.NOT_FINITE)):
        finding = late_variance(LOSS, dead, 1000, margin=0.02)
        assert (finding.grade, finding.value) == (Grade.WARN, None)
        assert "does not settle" in finding.evidence


def test_runs_that_are_best_at_their_end_were_still_improving_unless_the_schedule_decays():
    falling = [20.0 - k for k in range(20)]
    turning = [1.0] * 10 + [0.5] + [1.0] * 9
    assert still_improving(LOSS, confirmations(falling, turning), 1000, needs_horizon=False).grade is Grade.PASS
    most = confirmations(falling, falling, turning)
    assert still_improving(LOSS, most, 1000, needs_horizon=False).grade is Grade.WARN
    expected = still_improving(LOSS, most, 1000, needs_horizon=True)
    assert (expected.grade, expected.advice) == (Grade.PASS, "")
    assert "as it should" in expected.evidence


def test_runs_that_are_best_in_their_first_tenth_were_too_long():
    rising = [1.0 + k for k in range(20)]
    falling = rising[::-1]
    assert too_long(LOSS, confirmations(rising, falling), 1000).grade is Grade.PASS
    assert too_long(LOSS, confirmations(rising, rising, falling), 1000).grade is Grade.WARN


def test_validation_that_rises_while_train_falls_is_overfitting():
    falling, rising = [20.0 - k for k in range(20)], [2.0] * 4 + [1.0 + 0.1 * k for k in range(16)]
    noisy = [1.0 + 0.1 * (k % 2) for k in range(20)]
    slight = [2.0] * 4 + [1.0] + [1.01] * 15

    def judge(curve, train):
        return overfitting(LOSS, confirmations(curve, train=train), 1000, margin=0.02)

    assert judge(rising, falling).grade is Grade.WARN
    assert [judge(curve, falling).grade for curve in (noisy, slight, falling)] == [Grade.PASS] * 3
    assert judge(rising, falling[::-1]).grade is Grade.PASS
    assert judge(rising, None) is None


def test_more_than_half_misses_leave_no_median():
    assert misses(TIMED, confirmations(0.4, 0.6)).grade is Grade.PASS
    finding = misses(TIMED, confirmations(0.4, 0.6, math.nan))
    assert (finding.grade, finding.value) == (Grade.WARN, pytest.approx(2 / 3))
    assert misses(LOSS, confirmations(0.4)) is None


def test_falling_back_past_the_target_at_once_means_it_was_reached_by_a_hair():
    kept = [1.0] * 10 + [0.5, 0.4] + [0.4] * 8
    back = [1.0] * 10 + [0.5, 0.6] + [0.4] * 8
    last = [1.0] * 19 + [0.5]
    later = [1.0] * 10 + [0.5, 0.4, 0.6] + [0.4] * 7
    assert target_hair(TIMED, confirmations(kept, kept, kept, back)).grade is Grade.PASS
    finding = target_hair(TIMED, confirmations(kept, kept, back, last, 9.0))
    assert (finding.grade, finding.value) == (Grade.WARN, pytest.approx(1 / 3))
    assert [target_hair(TIMED, confirmations(later), in_a_row=k).value for k in (1, 2)] == [0.0, 1.0]
    diverged = confirmations([1.0, 0.5], status=Status.NOT_FINITE)
    assert target_hair(TIMED, diverged).value == 1.0


def test_a_target_to_exceed_is_kept_from_above():
    subject = Subject("p", "m", "valid/accuracy", Direction.MAX, AtLeast("valid/accuracy", 0.9))
    assert target_hair(subject, confirmations([0.5, 0.9] + [0.95] * 18, metric="accuracy")).value == 0.0


# across methods


def verdict(a, b, words="faster"):
    return {"a": a, "b": b, "words": words, "ratio": 0.5, "p_adjusted": 0.01, "ratio_low": 0.4, "ratio_high": None}


def test_a_special_case_that_beats_its_generalisation_leaves_it_under_tuned():
    classes = {"plain": "SGD", "heavy": "Momentum"}
    (passed,) = inclusion("p", classes, [verdict("heavy", "plain")])
    assert passed.grade is Grade.PASS
    assert inclusion("p", classes, [verdict("plain", "heavy", "not separated")])[0].grade is Grade.PASS
    (finding,) = inclusion("p", classes, [verdict("plain", "heavy")])
    assert (finding.grade, finding.subject, finding.interval.low) == (Grade.WARN, "p/heavy", 0.4)
    assert "heavy was under-tuned" in finding.evidence
    assert inclusion("p", {"a": "Adam", "s": "SGD"}, [verdict("s", "a")]) == []


def searches(costs_by_method):
    """Two studies with the same costs for each method."""
    return {
        name: [trial(c, i, study=s, method=name) for s in range(2) for i, c in enumerate(costs)]
        for name, costs in costs_by_method.items()
    }


def test_a_margin_that_needs_more_trials_does_not_survive_an_equal_search():
    a, b = (Subject("p", name, "valid/loss", Direction.MIN) for name in "ab")
    # one trial in eight of a is excellent, the others are worse than all of b, whose studies have a single trial
    lucky = searches({"a": [1.0] + [9.0] * 7, "b": [2.0]})
    finding = equal_budget(a, b, lucky)
    assert (finding.grade, finding.value) == (Grade.WARN, pytest.approx(1 / 8))
    assert finding.interval.low == pytest.approx(1 / 8)
    even = equal_budget(a, b, searches({"a": [1.0] * 8, "b": [2.0]}))
    assert (even.grade, even.value) == (Grade.PASS, 1.0)


def test_an_equal_search_compares_times_where_there_is_a_target():
    a, b = (Subject("p", name, "valid/loss", Direction.MIN, TIMED.target) for name in "ab")
    search = searches({"a": [[1.0] * 9 + [0.5] * 11], "b": [[1.0] * 6 + [0.5] * 14]})
    assert equal_budget(a, b, search).grade is Grade.WARN
    assert equal_budget(a, b, search, per_step={"a": 1.0, "b": 2.0}).grade is Grade.PASS
    assert equal_budget(a, b, {**search, "b": []}) is None


def test_a_leader_named_by_most_sets_of_studies_is_stable():
    assert winner_stability("p", {"a": 0.1, "b": 0.9}).grade is Grade.PASS
    finding = winner_stability("p", {"a": 0.6, "b": 0.4})
    assert (finding.grade, finding.subject, finding.value) == (Grade.WARN, "p/a", 0.6)


# all of them


def judged(space, search, confirm):
    return method_checks(TIMED, space=space, search=search, confirm=confirm, evaluation_steps=STEPS)


def test_every_rule_of_an_open_method_speaks_once_and_a_closed_method_skips_the_search():
    search = search_over("lr", [2e-3, 3e-3, 4e-3], [1.0, 1.0, 1.0])
    confirm = confirmations(0.4, 0.4, point={"lr": 2e-3}, train=[20.0 - k for k in range(20)])
    found = judged(LR, search, confirm)
    names = [finding.check for finding in found]
    curves = ["late-variance", "still-improving", "too-long", "overfitting", "misses", "target-hair"]
    assert names == ["feasible", "borrowed-space", "infeasible-share", "boundary", "density", *curves]
    closed = judged(Space({}), [], confirm)
    assert [finding.check for finding in closed] == ["feasible", *curves]


def test_a_method_that_always_diverges_is_judged_without_an_error():
    dead = [trial(math.nan, i, point={"lr": 1e-2}, status=Status.NOT_FINITE, infeasible=True) for i in range(3)]
    found = judged(LR, dead, [])
    grades = {finding.check: finding.grade for finding in found}
    assert (grades["feasible"], grades["infeasible-share"]) == (Grade.FAIL, Grade.WARN)
    numbers = [x for f in found for x in (f.value, f.interval and f.interval.low) if x is not None]
    assert all(map(math.isfinite, numbers))


def test_the_rules_across_methods_speak_of_claims_alone():
    search = searches({"sgd": [1.0, 2.0], "momentum": [3.0, 4.0]})
    claims = [verdict("sgd", "momentum"), verdict("sgd", "elsewhere")]
    found = problem_checks(
        "p",
        metric="valid/loss",
        direction=Direction.MIN,
        target=None,
        classes={"sgd": "SGD", "momentum": "Momentum"},
        search=search,
        verdicts=claims,
        winner_shares={"sgd": 1.0, "momentum": 0.0},
    )
    grades = [(finding.check, finding.grade) for finding in found]
    assert grades == [("inclusion", Grade.WARN), ("equal-budget", Grade.PASS), ("winner-stability", Grade.PASS)]
