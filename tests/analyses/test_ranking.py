"""Verdicts about pairs: the words in their order, what they need, and who is spoken of first."""

import math

import pytest

from optwise.analyses.ranking import (
    BETTER,
    EQUIVALENT,
    FASTER,
    NOT_COMPARABLE,
    NOT_SEPARATED,
    Observations,
    leader,
    verdicts,
)

FAST, SLOW = (10.0, 11.0, 12.0, 13.0, 14.0, 15.0), (20.0, 22.0, 24.0, 26.0, 28.0, 30.0)
MIXED = (9.0, 13.0, 17.0, 21.0, 25.0, 29.0)


def studies(*values, censored=(), **marks):
    return Observations(tuple(values), tuple(i in censored for i in range(len(values))), **marks)


def judge(observations, *, level=0.95, margin=0.02, timed=True, log=True):
    return verdicts(observations, level=level, margin=margin, timed=timed, log=log)


def one(a, b, **asked):
    (verdict,) = judge({"a": a, "b": b}, **asked)
    return verdict


@pytest.mark.parametrize(("timed", "word"), [(True, FASTER), (False, BETTER)])
def test_a_clean_sweep_is_faster_in_time_and_better_in_value(timed, word):
    v = one(studies(*FAST), studies(*SLOW), timed=timed)
    assert (v.a, v.b, v.words) == ("a", "b", word)
    assert v.ratio == pytest.approx(0.5)
    assert v.low < v.ratio < v.high < 1
    assert v.p == v.p_adjusted == pytest.approx(2 / math.comb(12, 6))
    assert (v.p_a_better, v.n, v.studies_needed) == (1.0, 6, None)


def test_the_better_one_is_always_a_and_its_numbers_turn_with_it():
    straight, turned = one(studies(*FAST), studies(*SLOW)), one(studies(*SLOW), studies(*FAST))
    assert (turned.a, turned.b) == ("b", "a")
    for number in ("ratio", "low", "high", "p_a_better", "p"):
        assert getattr(turned, number) == pytest.approx(getattr(straight, number))
    differences = [one(studies(*x), studies(*y), log=False) for x, y in ((FAST, SLOW), (SLOW, FAST))]
    assert [v.difference for v in differences] == [pytest.approx(-12.5)] * 2
    assert differences[0].ratio is None
    assert (differences[1].low, differences[1].high) == (differences[0].low, differences[0].high)


def test_what_the_test_does_not_tell_apart_is_not_separated():
    v = one(studies(*FAST), studies(*MIXED))
    assert v.words == NOT_SEPARATED
    assert v.p_adjusted > 0.05
    assert v.studies_needed is None


def test_equivalent_comes_before_faster():
    near = tuple(x * 1.001 for x in (100.0, 100.1, 100.2, 100.3, 100.4, 100.5))
    below = tuple(x * 0.994 for x in (100.0, 100.1, 100.2, 100.3, 100.4, 100.5))
    v = one(studies(*below), studies(*near))
    assert v.p_adjusted < 0.05
    assert v.words == EQUIVALENT
    assert one(studies(*below), studies(*near), margin=0.001).words == FASTER


def test_a_difference_has_no_margin_of_equivalence():
    same = (0.5, 0.5, 0.5, 0.5, 0.5, 0.5)
    assert one(studies(*same), studies(*same)).words == EQUIVALENT
    assert one(studies(*same), studies(*same), log=False).words == NOT_SEPARATED


def test_a_method_without_a_feasible_trial_is_not_comparable_and_the_reason_names_it():
    for idle in (Observations((), (), feasible=False), studies(*FAST, feasible=False)):
        v = one(studies(*FAST), idle)
        assert (v.words, v.because) == (NOT_COMPARABLE, "b found no feasible trial")
        assert (v.ratio, v.p, v.p_adjusted) == (None, None, None)
    both = one(Observations((), (), feasible=False), Observations((), (), feasible=False))
    assert both.because == "a and b found no feasible trial"


@pytest.mark.parametrize(("n", "needed"), [(1, 4), (2, 4), (3, 4), (4, None)])
def test_too_few_studies_can_only_say_not_separated_and_how_many_could(n, needed):
    v = one(studies(*FAST[:n]), studies(*(100 * x for x in SLOW[:n])))
    assert v.words == (NOT_SEPARATED if needed else FASTER)
    assert v.studies_needed == needed
    assert one(studies(*FAST[:n]), studies(*FAST[:n])).words != FASTER


def test_too_few_studies_do_not_even_say_equivalent():
    assert one(studies(5.0, 5.0), studies(5.0, 5.0)).words == NOT_SEPARATED


def test_holm_corrects_over_the_pairs_of_a_problem():
    names = {"a": studies(*FAST), "b": studies(*SLOW), "c": studies(*(4 * x for x in FAST))}
    found = judge(names)
    smallest = 2 / math.comb(12, 6)
    assert [(v.a, v.b, v.words) for v in found] == [("a", "b", FASTER), ("a", "c", FASTER), ("b", "c", FASTER)]
    assert sorted(v.p_adjusted for v in found) == pytest.approx([3 * smallest] * 3)
    strict = judge(names, level=1 - 2.5 * smallest)
    assert [v.words for v in strict] == [NOT_SEPARATED] * 3, "one pair alone would have been told apart"
    assert {v.studies_needed for v in strict} == {7}
    assert one(names["a"], names["b"], level=1 - 2.5 * smallest).words == FASTER


def test_a_pair_that_cannot_be_compared_costs_the_others_nothing():
    four = {"a": studies(*FAST[:4]), "b": studies(*SLOW[:4])}
    idle = {name: Observations((), (), feasible=False) for name in ("c", "d", "e")}
    found = {(v.a, v.b): v for v in judge({**four, **idle})}
    assert found["a", "b"].words == FASTER
    assert found["a", "b"].p_adjusted == found["a", "b"].p


def test_studies_without_a_hit_tie_at_the_budget_and_leave_the_interval_open():
    hits, misses = studies(*FAST), studies(*(100.0,) * 6, censored=range(6))
    v = one(hits, misses)
    assert v.words == FASTER
    assert v.low is None, "how much faster is unknown"
    assert v.high < 1
    v = one(misses, misses)
    assert (v.words, v.low, v.high) == (NOT_SEPARATED, None, None)


def test_certain_numbers_are_compared_without_a_test():
    a, b = studies(40.0, certain=True), studies(80.0, certain=True)
    v = one(b, a)
    assert (v.a, v.b, v.words, v.p, v.p_adjusted, v.studies_needed) == ("b", "a", FASTER, None, None, None)
    assert (v.ratio, v.low, v.high) == (0.5, 0.5, 0.5)
    assert one(a, a).words == EQUIVALENT
    assert one(studies(-1.0, certain=True), studies(0.0, certain=True), log=False).difference == -1.0


def test_certain_misses_are_bounds_and_not_equal():
    miss, hit = studies(100.0, censored=[0], certain=True), studies(40.0, certain=True)
    v = one(miss, miss)
    assert (v.words, v.low, v.high) == (NOT_SEPARATED, None, None)
    v = one(miss, hit)
    assert (v.a, v.words, v.low, v.high) == ("b", FASTER, None, pytest.approx(0.4))


def test_one_study_is_a_draw_and_not_a_certain_number():
    v = one(studies(40.0), studies(80.0))
    assert (v.words, v.p, v.studies_needed) == (NOT_SEPARATED, 1.0, 4)


def test_against_a_certain_number_every_study_counts_once():
    constant, drawn = studies(5.0, certain=True), studies(*FAST)
    assert one(drawn, constant).studies_needed == 39  # 2 / (39 + 1) = 0.05
    many = studies(*(10.0 + i for i in range(39)))
    v = one(many, constant)
    assert (v.a, v.words, v.studies_needed) == ("b", FASTER, None)


def test_the_leader_has_the_most_claims_then_the_fewest_losses_then_the_best_median():
    def leading(**observations):
        return leader(observations, judge(observations))

    assert leading(a=studies(*SLOW), b=studies(*FAST), c=studies(*SLOW)) == "b"
    assert leading(a=studies(*MIXED), b=studies(*FAST)) == "b", "nothing claimed, the better median"
    idle = Observations((), (), feasible=False)
    assert leading(a=idle, b=studies(*SLOW)) == "b"
    assert leading(a=studies(*FAST, feasible=False), b=studies(*SLOW)) == "b"
    assert leading(a=idle, b=idle) is None
    assert leading(a=studies(*SLOW)) == "a"
