"""What is said before a comparison is what the comparison then says: the verdicts themselves are the oracle."""

import math
from dataclasses import replace

import pytest

from optwise.analyses.observations import Observations
from optwise.analyses.prospects import Plan, in_words, prospects, smallest_to_find
from optwise.analyses.ranking import verdicts
from optwise.analyses.verdict import EQUIVALENT, Asked
from optwise.core.budget import Steps
from optwise.core.method import Recorded
from optwise.core.metric import AtLeast, AtMost
from optwise.core.protocol import Protocol
from optwise.numerics.power import smallest_ratio

LR = {"class": "LogUniform", "low": 1e-4, "high": 1.0}
TARGET = AtMost("valid/loss", 0.5)


def protocol(methods=2, *, closed=0, studies=8, deterministic=False, target=TARGET, **asked):
    described = [{"class": "M", "lr": 0.1 if i < closed else LR} for i in range(methods)]
    return Protocol(
        problems={"p": {"deterministic": deterministic}},
        methods={f"m{i}": Recorded(name=f"m{i}", description=d) for i, d in enumerate(described)},
        budget=Steps(1000),
        studies=studies,
        targets={"p": target},
        metrics={"p": "valid/loss"},
        **asked,
    )


def said(asked, *, steps=1000, **plan):
    """By check: the finding on a problem whose runs all have so many steps."""
    return {f.check: f for f in prospects(asked, Plan("p", dict.fromkeys(asked.methods, steps), **plan))}


def asked_of(p):
    return Asked(level=p.level, margin=p.margin, timed=True, against=p.against, looks=p.looks)


def sweep(names, studies, *, certain=()):
    """Each method ahead of the next in every study; a certain one is one number."""
    return {
        name: Observations(((10.0 ** (i + 1),),), certain=True)
        if name in certain
        else Observations(tuple((10.0 ** (i + 1) * (1 + k / 100),) for k in range(studies)))
        for i, name in enumerate(names)
    }


@pytest.mark.parametrize("against", [None, "m0"])
@pytest.mark.parametrize("methods", [2, 3, 5])
@pytest.mark.parametrize("studies", range(2, 9))
def test_too_few_studies_are_named_before_where_a_clean_sweep_is_not_separated_after(studies, methods, against):
    asked = protocol(methods, studies=studies, against=against)
    found = verdicts(sweep(asked.methods, studies), asked_of(asked))
    needed = {v.studies_needed for v in found}
    told = said(asked).get("too-few-studies")
    assert needed == {None if told is None else int(told.value)}
    if told is not None:
        assert f"{int(told.value)} could" in told.evidence
        worst = max(v.p_adjusted for v in found)
        assert f"adjusted p of {worst:.2g}" in told.evidence


def test_three_methods_and_four_studies_are_five_too_few_before_anything_is_run():
    told = said(protocol(3, studies=4))["too-few-studies"]
    assert told.evidence == (
        "4 studies cannot separate 3 methods at level 0.95: a method that is ahead in all of them has an adjusted p of "
        "0.086, 5 could."
    )
    assert told.advice == "Give at least 5 studies."


def test_several_looks_need_more_studies_than_one():
    one, many = protocol(studies=4), protocol(studies=4, looks=(1, 2, 3, 4))
    assert "too-few-studies" not in said(one)
    assert said(many)["too-few-studies"].value == 5.0


@pytest.mark.parametrize("studies", [4, 38, 39])
def test_against_a_number_without_chance_as_many_studies_are_needed_as_the_verdict_says(studies):
    asked = protocol(2, closed=1, deterministic=True, studies=studies)
    (v,) = verdicts(sweep(asked.methods, studies, certain={"m0"}), asked_of(asked))
    told = said(asked).get("no-chance")
    assert v.studies_needed == (None if told is None else int(told.value))
    if told is not None:
        assert "m0 is closed" in told.evidence
        assert "39 studies" in told.evidence


def test_methods_without_chance_give_one_number_each_and_nothing_is_tested():
    told = said(protocol(2, closed=2, deterministic=True))
    assert "one number each comes out, and nothing is tested" in told["no-chance"].evidence
    assert told["no-chance"].advice == "Give one study of one seed."
    assert "too-few-studies" not in told
    assert "no-chance" not in said(protocol(2, closed=2)), "batches are drawn"


@pytest.mark.parametrize("evaluations", [11, 41, 50, 51, 52, 53, 102, 203])
@pytest.mark.parametrize("margin", [0.02, 0.1])
def test_evaluations_too_coarse_for_the_margin_are_those_with_which_equal_times_are_not_equivalent(evaluations, margin):
    """The oracle is the verdict on two equal numbers at the end of the budget, the easiest case there is."""
    asked = protocol(evaluations=evaluations, margin=margin)
    gap = 1000.0 / (evaluations - 1)
    same = Observations(((1000.0,),), (((1000.0 - gap),),), limit=1000.0, certain=True)
    (v,) = verdicts({"a": same, "b": same}, asked_of(asked))
    told = said(asked, steps=1000 * (evaluations - 1)).get("coarse-evaluations")
    assert (v.words == EQUIVALENT) == (told is None)
    if told is not None:
        better = replace(asked, evaluations=int(told.advice.split()[3]))
        assert "coarse-evaluations" not in said(better, steps=10_000)


def test_a_budget_of_few_steps_cannot_be_measured_finely_enough():
    told = said(protocol(), steps=60)["coarse-evaluations"]
    assert "larger budget, of 101 steps at least" in told.advice
    assert "coarse-evaluations" not in said(protocol(target=None), steps=60), "values are not times"


def test_a_shorter_budget_than_that_of_the_references_is_said():
    own = {"own_target": TARGET, "reference_steps": 750}
    assert "short-budget" not in said(protocol(), steps=750, **own)
    told = said(protocol(), steps=200, **own)["short-budget"]
    assert "it was set with 750 steps, and m0 and m1 have 200" in told.evidence
    assert "short-budget" not in said(protocol(target=AtMost("valid/loss", 0.9)), steps=200, **own), "another target"
    assert "short-budget" not in said(protocol(), steps=200, own_target=TARGET), "set by definition"


@pytest.mark.parametrize(
    ("harder", "easier", "own"), [(0.4, 0.6, TARGET), (0.99, 0.9, AtLeast("valid/accuracy", 0.95))]
)
def test_a_target_beyond_what_the_references_reach_is_said(harder, easier, own):
    known = {"own_target": own, "reference_steps": 750}
    asked = replace(own, value=harder)
    assert f"{asked} is harder than {own}" in said(protocol(target=asked), **known)["hard-target"].evidence
    for other in (replace(own, value=easier), own, AtMost("train/loss", 0.01)):
        assert "hard-target" not in said(protocol(target=other), **known)


def test_what_can_be_found_is_said_in_the_words_of_the_power_formula():
    asked = protocol(3, studies=8)
    expected = smallest_ratio(8, pairs=3)
    assert smallest_to_find(asked, "p") == pytest.approx(expected)
    assert f"8 studies find a true ratio of times of {expected:.2f}" in in_words(asked, "p")
    assert smallest_to_find(replace(asked, against="m0"), "p") < expected
    assert smallest_to_find(protocol(target=None), "p") is None
    assert smallest_to_find(protocol(3, studies=4), "p") == math.inf
    assert in_words(protocol(3, studies=4), "p") == ""
    assert smallest_to_find(protocol(2, closed=2, deterministic=True), "p") is None
