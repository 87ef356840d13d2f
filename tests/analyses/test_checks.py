"""Each check rule passes on runs that are fine and warns on runs that are not; all runs are made by hand."""

import math
import random
from dataclasses import replace

import pytest
from scipy.stats import binom

from optwise.analyses.boundary_check import BOUNDARY
from optwise.analyses.checks import CHECKS, elsewhere, method_checks, problem_checks
from optwise.analyses.fairness_checks import INCLUSION, equal_budget, inclusion, winner_stability
from optwise.analyses.merging import merged
from optwise.analyses.search_checks import density, feasible, infeasible_share, space_borrowed
from optwise.analyses.subject import Subject
from optwise.analyses.target_checks import MISSES, misses, target_hair
from optwise.core.finding import Grade, Interval
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


def test_more_than_half_infeasible_warns_where_chance_does_not_explain_it():
    good, bad = trial(1.0), trial(math.nan, status=Status.NOT_FINITE)
    assert infeasible_share(LOSS, [good, bad, bad]).grade is Grade.PASS
    finding = infeasible_share(LOSS, [good] * 5 + [bad] * 15)
    assert (finding.grade, finding.value) == (Grade.WARN, pytest.approx(0.75))


def confirmed(*values, study=0, **kwargs):
    return [trial(v, k, study=study, confirm=True, **kwargs) for k, v in enumerate(values)]


def test_a_search_is_thin_where_a_study_can_expect_less_than_one_setting_as_good_as_the_best():
    """The oracle is the binomial distribution: would two good trials of 128 be this few if a study expected one?"""
    search = [trial(1.0 if i < 2 else 2.0, i, study=i % 8) for i in range(128)]
    confirm = [*confirmed(1.0, 1.0, 1.0), *confirmed(2.0, 2.0, 2.0, study=1)]
    finding = density(LOSS, search, confirm)
    assert finding.value == 2 * 16 / 128
    assert binom.cdf(2, 128, 1 / 16) < 0.025
    assert finding.grade is Grade.WARN
    four = [trial(1.0 if i < 4 else 2.0, i, study=i % 8) for i in range(128)]
    assert binom.cdf(4, 128, 1 / 16) > 0.025
    assert density(LOSS, four, confirm).grade is Grade.PASS
    assert density(LOSS, [trial(float(i), i) for i in range(16)], confirm).grade is Grade.PASS, "sixteen show nothing"
    assert density(LOSS, search, []) is None


def test_a_lucky_trial_is_no_measure_and_the_best_confirmed_setting_is():
    """Every trial is as good as every other; the best of 128 is two and a half standard deviations of luck."""
    rng = random.Random(0)
    lucky = [trial(math.exp(rng.gauss(0, 0.1)), i, study=i % 8) for i in range(128)]
    confirm = [run for s in range(8) for run in confirmed(*(math.exp(rng.gauss(0, 0.1)) for _ in range(4)), study=s)]
    finding = density(LOSS, lucky, confirm)
    assert finding.grade is Grade.PASS
    assert finding.value > 3


def test_density_allows_one_standard_deviation_of_seeds_within_studies():
    search = [trial(v) for v in (1.0, 1.19, 1.21, 2.0)]
    # seeds differ by sd 0.1 within each study; the distance of 5 between studies is not theirs
    confirm = [*confirmed(1.0, 1.1, 1.2), *confirmed(6.0, 6.1, 6.2, study=1)]
    assert LOSS.seed_sd(confirm) == pytest.approx(0.1)
    assert density(LOSS, search, confirm).value == 2.0


def test_with_a_target_as_good_means_as_early_whatever_the_value():
    def arriving(evaluations, end, i):
        return trial([1.0] * (evaluations - 1) + [0.5] * (20 - evaluations) + [end], i)

    def at(*evaluations):
        runs = [arriving(k, 0.4, k) for k in evaluations]
        return [replace(run, name=TrialName("p", "m", 0, k, confirm=True)) for k, run in enumerate(runs)]

    search = [arriving(4, 0.4, 0), arriving(5, 0.4, 1), arriving(7, 0.1, 2), trial(0.9, 3)]
    finding = density(TIMED, search, at(4, 4, 4))
    assert finding.value == 2.0, "the first at step 200, one a single evaluation later; the lowest value came at 350"
    assert "within 250 steps, the best confirmed setting within 200" in finding.evidence
    assert density(TIMED, search, at(2, 4, 12)).value == 3.0, "seeds of one setting differ by factors of two"
    assert "of 0.9, the best confirmed setting" in density(TIMED, [trial(0.9, 3)], confirmed(0.9)).evidence


def test_a_metric_to_maximise_has_its_best_at_the_top():
    accuracy = Subject("p", "m", "valid/accuracy", Direction.MAX)
    search = [trial(v, metric="accuracy") for v in (0.5, 0.7, 0.899, 0.9)]
    assert density(accuracy, search, confirmed(0.9, metric="accuracy")).value == 2.0


def test_a_borrowed_space_warns_and_an_own_one_passes():
    assert [space_borrowed(LOSS, borrowed=b).grade for b in (False, True)] == [Grade.PASS, Grade.WARN]


# the target


def of_studies(shares):
    """Confirmations of studies of four seeds, of which so many miss."""
    return [
        trial(0.6 if k < missed else 0.4, k, study=s, confirm=True) for s, missed in enumerate(shares) for k in range(4)
    ]


def test_more_than_half_misses_warn_where_chance_does_not_explain_them():
    for shares, grade in (
        ([4] * 8, Grade.WARN),
        ([3, 3, 4, 3, 4, 3, 4, 3], Grade.WARN),
        ([3, 2, 3, 2, 3, 2, 3, 2], Grade.PASS),
    ):
        finding = misses(TIMED, of_studies(shares))
        assert (finding.grade, finding.value) == (grade, sum(shares) / 32)
    assert misses(TIMED, of_studies([4, 4, 4, 4, 4, 0, 0, 0])).grade is Grade.PASS, "five of eight settings"
    assert misses(LOSS, confirmations(0.4)) is None


def test_misses_that_another_check_explains_are_counted_and_not_said_twice():
    finding = misses(TIMED, of_studies([4] * 8), explained="runs were still getting better")
    assert (finding.grade, finding.advice) == (Grade.PASS, "")
    assert "32 of 32 confirmation runs of m missed valid/loss<=0.5 (runs were still getting better)" in finding.evidence


def test_runs_that_leave_the_target_for_most_of_what_follows_reached_it_by_a_hair():
    kept = [1.0] * 10 + [0.5, 0.4] + [0.4] * 8
    dips = [1.0] * 10 + [0.5, 0.4, 0.6, 0.4, 0.6] + [0.4] * 5
    left = [1.0] * 10 + [0.5, 0.4] + [0.6] * 8
    last = [1.0] * 19 + [0.5]
    assert target_hair(TIMED, confirmations(*[kept, dips, last] * 3, left)).grade is Grade.PASS
    finding = target_hair(TIMED, confirmations(*[left] * 9, kept, 9.0))
    assert (finding.grade, finding.value) == (Grade.WARN, 0.9)
    assert target_hair(TIMED, confirmations(*[left] * 9, kept), explained="noise").grade is Grade.PASS
    assert target_hair(TIMED, confirmations(9.0)) is None


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
    assert "under-tuned: plain is heavy at momentum = 0, and came out faster" in finding.evidence
    assert inclusion("p", {"a": "Adam", "s": "SGD"}, [verdict("s", "a")]) == []


def searches(costs_by_method, studies=8):
    """Studies with the same costs for each method."""
    return {
        name: [trial(c, i, study=s, method=name) for s in range(studies) for i, c in enumerate(costs)]
        for name, costs in costs_by_method.items()
    }


def test_a_margin_that_needs_more_trials_does_not_survive_an_equal_search():
    a, b = (Subject("p", name, "valid/loss", Direction.MIN) for name in "ab")
    # one trial in eight of a is excellent, the others are worse than all of b, whose studies have a single trial
    finding = equal_budget(a, b, searches({"a": [1.0] + [9.0] * 7, "b": [2.0]}))
    assert (finding.grade, finding.value) == (Grade.WARN, pytest.approx(1 / 8))
    assert "a wins 12% of searches of 1 random trials each against b" in finding.evidence
    even = equal_budget(a, b, searches({"a": [1.0] * 8, "b": [2.0]}))
    assert (even.grade, even.value) == (Grade.PASS, 1.0)
    assert equal_budget(a, b, searches({"a": [9.0], "b": [2.0]}, studies=1)).grade is Grade.PASS, (
        "one study shows nothing"
    )


def test_equal_searches_between_equals_are_called_lost_in_one_comparison_of_forty_at_most():
    """Both draw from one distribution, so that each wins half of them; the interval is the jackknife's."""
    a, b = (Subject("p", name, "valid/loss", Direction.MIN) for name in "ab")
    rng, alarms = random.Random(0), 0
    for _ in range(150):
        runs = {
            name: [
                trial([math.exp(level + rng.gauss(0, 1))] * 20, i, study=s, method=name)
                for s in range(6)
                for level in [rng.gauss(0, 0.5)]
                for i in range(4)
            ]
            for name in "ab"
        }
        alarms += equal_budget(a, b, runs).grade is Grade.WARN
    assert alarms <= 150 * 0.025 + 3 * math.sqrt(150 * 0.025 * 0.975)


def test_an_equal_search_compares_times_where_there_is_a_target():
    a, b = (Subject("p", name, "valid/loss", Direction.MIN, TIMED.target) for name in "ab")
    search = searches({"a": [[1.0] * 9 + [0.5] * 11], "b": [[1.0] * 6 + [0.5] * 14]})
    assert equal_budget(a, b, search).value == 0.0
    assert equal_budget(a, b, search, spent=lambda run, k: k * {"a": 1.0, "b": 2.0}[run.name.method]).value == 1.0
    assert equal_budget(a, b, {**search, "b": []}) is None


def test_only_a_winner_that_was_found_better_can_be_an_unstable_one():
    claim, tie = [verdict("a", "b")], [verdict("a", "b", "not separated")]
    assert winner_stability("p", {"a": 0.1, "b": 0.9}, claim).grade is Grade.PASS
    assert winner_stability("p", {"a": 0.6, "b": 0.4}, tie).grade is Grade.PASS, "nobody was named"
    finding = winner_stability("p", {"a": 0.6, "b": 0.4}, claim)
    assert (finding.grade, finding.subject, finding.value) == (Grade.WARN, "p", 0.6)
    assert "a in 60% of resampled sets of studies" in finding.evidence
    assert "probability" not in finding.evidence


# all of them


def judged(space, search, confirm, **known):
    return method_checks(TIMED, space=space, search=search, confirm=confirm, **known)


def test_every_rule_of_an_open_method_speaks_once_and_a_closed_method_skips_the_search():
    search = search_over("lr", [2e-3, 3e-3, 4e-3], [1.0, 1.0, 1.0])
    confirm = confirmations(0.4, 0.4, point={"lr": 2e-3}, train=[20.0 - k for k in range(20)])
    names = [finding.check for finding in judged(LR, search, confirm)]
    curves = ["course", "misses", "target-hair"]
    assert names == ["feasible", "borrowed-space", "infeasible-share", "boundary", "density", *curves]
    assert [finding.check for finding in judged(Space({}), [], confirm)] == ["feasible", *curves]
    assert {finding.check for finding in judged(LR, search, confirm)} <= {check.name for check in CHECKS}
    assert all(finding.risk is not None for finding in judged(LR, search, confirm))


def test_a_range_to_widen_is_not_also_called_a_budget_to_enlarge():
    falling = [20.0 - k for k in range(20)]
    search = [trial(falling, i, study=s, point={"lr": 9e-2}) for s in range(4) for i in range(2)]
    confirm = [trial(falling, k, study=s, confirm=True, point={"lr": 9e-2}) for s in range(4) for k in range(2)]
    inside = [replace(run, point={"lr": 3e-3}) for run in search]
    open_checks = [
        [f.check for f in method_checks(LOSS, space=LR, search=tried, confirm=confirm) if f.grade is not Grade.PASS]
        for tried in (search, inside)
    ]
    assert open_checks == [["boundary"], ["still-improving"]]


def test_a_method_that_always_diverges_is_judged_without_an_error():
    dead = [trial(math.nan, i, point={"lr": 1e-2}, status=Status.NOT_FINITE, infeasible=True) for i in range(3)]
    found = judged(LR, dead, [])
    grades = {finding.check: finding.grade for finding in found}
    assert grades["feasible"] is Grade.FAIL
    numbers = [x for f in found for x in (f.value, f.interval and f.interval.low) if x is not None]
    assert all(map(math.isfinite, numbers))
    nine = [trial(math.nan, i, point={"lr": 1e-2}, status=Status.NOT_FINITE) for i in range(9)]
    assert infeasible_share(LOSS, nine).grade is Grade.WARN


def test_a_closed_method_that_diverges_fails_once_and_says_why():
    dead = confirmations(*[[5.0, math.nan]] * 4, status=Status.NOT_FINITE, infeasible=True)
    said = {f.check: f for f in judged(Space({}), [], dead) if f.grade is not Grade.PASS}
    assert set(said) == {"feasible", "learning-rate-too-large"}
    assert said["feasible"].advice == ""
    assert "training is unstable" in said["feasible"].evidence


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


def test_elsewhere_is_the_lowest_training_loss_of_another_method_or_of_the_library_defaults():
    def trained(method, value, study=0):
        run = trial(1.0, method=method, train=[value] * 20, study=max(study, 0), confirm=True)
        return replace(run, name=replace(run.name, study=study))

    runs = [trained("a", 0.5), trained("a", 0.1, study=-1), trained("b", 0.3), trained("b", math.nan)]
    found = elsewhere("p", runs, "train/loss")
    assert {name: (one.loss, one.who) for name, one in found.items()} == {
        "a": (0.1, "a at its library defaults"),
        "b": (0.1, "a at its library defaults"),
    }
    assert elsewhere("p", [trained("a", 0.5)], "train/loss") == {}


# told together


def opened(check, head, detail, method, advice="Do this."):
    return check.opens(f"p/{method}", head, detail, value=0.5, interval=Interval(0.1, 0.9), advice=advice)


def test_findings_of_one_check_become_one_with_every_method_and_passes_stay_apart():
    found = [
        opened(MISSES, "Most runs miss", "a 9 of 10", "a"),
        MISSES.passes("p/b", "1 of 10 missed."),
        opened(MISSES, "Most runs miss", "c 8 of 10", "c"),
        opened(BOUNDARY, "On an edge", "a, lr: 5 of 8", "a", "Raise it."),
        opened(BOUNDARY, "On an edge", "c, lr: 6 of 8", "c", "Lower it."),
    ]
    edge, missed, passed = merged(found, "p")
    assert missed.evidence == "Most runs miss: a 9 of 10; c 8 of 10."
    assert (missed.methods, missed.advice, missed.grade) == (("a", "c"), "Do this.", Grade.WARN)
    assert [part.evidence for part in missed.parts] == ["Most runs miss: a 9 of 10.", "Most runs miss: c 8 of 10."]
    assert edge.advice == "a: raise it; c: lower it."
    assert passed.methods == ("b",)
    assert merged(found[:2], "p")[0] == found[0], "one alone stays as it is"


def test_what_failed_comes_first_and_then_what_puts_the_claim_at_risk():
    found = [
        opened(MISSES, "Late", "a", "a"),
        opened(BOUNDARY, "Edge", "a", "a"),
        opened(INCLUSION, "Special", "a", "a"),
        replace(opened(BOUNDARY, "Edge", "b", "b"), grade=Grade.FAIL),
        INCLUSION.passes("p/a", "Fine."),
    ]
    assert [(f.check, f.grade.value) for f in merged(found, "p")] == [
        ("boundary", "fail"),
        ("inclusion", "warn"),
        ("boundary", "warn"),
        ("misses", "warn"),
        ("inclusion", "pass"),
    ]
