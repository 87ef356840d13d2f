"""Verdicts as sentences a reader understands without the table."""

import math

import pytest

from optwise.analyses.observations import Observations
from optwise.analyses.ranking import leader, order, verdicts
from optwise.analyses.sentences import Told, effort_sentence, listed, pair_sentence, verdict_sentence
from optwise.analyses.verdict import EQUIVALENT, NOBODY, NOT_COMPARABLE, NOT_SEPARATED, Asked, Verdict
from optwise.core.metric import AtMost

FAST, SLOW = (10.0, 11.0, 12.0, 13.0, 14.0, 15.0), (20.0, 22.0, 24.0, 26.0, 28.0, 30.0)
IDLE, MISSES = (), (math.inf,) * 6
TARGET = AtMost("valid/loss", 0.25)
EFFORT = "Tuned with 16 trials in each of 6 studies, on this split."


def say(*, target=TARGET, log=True, against=None, apart=None, **values):
    named = {name: Observations(tuple((t,) for t in v), limit=1e6, feasible=bool(v)) for name, v in values.items()}
    asked = Asked(level=0.95, margin=0.02, timed=target is not None, log=log, against=against, apart=apart)
    found = verdicts(named, asked)
    idle = [name for name, o in named.items() if not o.usable]
    told = Told(
        "digits", order(named, found), leader(named, found), idle, found, target, "valid/loss", "example-gradients"
    )
    return verdict_sentence(told, EFFORT)


def between(low, high, factor=1.0):
    return tuple(factor * (low + (high - low) * i / 5) for i in range(6))


SENTENCES = [
    (
        "one clear winner",
        {"sgd": SLOW, "adam": FAST, "adamw": between(50, 60)},
        (
            "On digits, adam reaches valid/loss<=0.25 faster than sgd and adamw (0.23 to 0.5 times the "
            "example-gradients, adjusted p <= 0.0065)."
        ),
    ),
    (
        "a winner of two",
        {"sgd": SLOW, "adam": FAST},
        (
            "On digits, adam reaches valid/loss<=0.25 faster than sgd (0.5 times the example-gradients, adjusted "
            "p = 0.0022)."
        ),
    ),
    (
        "a group that is not separated",
        {"sgd": between(50, 60), "adam": FAST, "adamw": between(9, 16), "nadamw": between(9.5, 16.5)},
        (
            "On digits, adamw reaches valid/loss<=0.25 faster than sgd (0.22 times the example-gradients, adjusted "
            "p = 0.013); it is not separated from adam and nadamw."
        ),
    ),
    (
        "nothing is separated",
        {"sgd": between(9, 17), "adam": FAST, "adamw": between(9, 16)},
        "On digits, no two methods are separated in example-gradients to valid/loss<=0.25 (adjusted p >= 1).",
    ),
    (
        "equivalent methods",
        {"adam": between(100, 100.1), "adamw": between(100, 100.2)},
        "On digits, adam and adamw are equivalent within the margin in example-gradients to valid/loss<=0.25.",
    ),
    (
        "a method without a feasible trial",
        {"sgd": SLOW, "adam": FAST, "mine": IDLE},
        (
            "On digits, adam reaches valid/loss<=0.25 faster than sgd (0.5 times the example-gradients, adjusted "
            "p = 0.0022); mine found no feasible trial."
        ),
    ),
    (
        "nobody arrives",
        {"sgd": MISSES, "adam": MISSES, "lion": MISSES},
        "On digits, not separated: no run reached valid/loss<=0.25.",
    ),
    (
        "two of three never arrive",
        {"sgd": MISSES, "adam": FAST, "lion": MISSES},
        (
            "On digits, adam reaches valid/loss<=0.25 faster than sgd and lion (at most 1.4e-05 times the "
            "example-gradients, adjusted p <= 0.0065)."
        ),
    ),
    (
        "some are equivalent and some not separated",
        {"adam": between(100, 100.1), "adamw": between(100, 100.2), "lion": between(60, 150)},
        (
            "On digits, adam and adamw are equivalent within the margin in example-gradients to valid/loss<=0.25; the "
            "other pairs are not separated."
        ),
    ),
    (
        "a leader and its equal",
        {"sgd": SLOW, "adam": between(10, 10.001), "adamw": between(10, 10.002)},
        (
            "On digits, adam reaches valid/loss<=0.25 faster than sgd (0.4 times the example-gradients, adjusted "
            "p = 0.0065); it is equivalent to adamw within the margin in example-gradients to valid/loss<=0.25."
        ),
    ),
    ("only one is feasible", {"sgd": IDLE, "adam": FAST}, "On digits, only adam found a feasible trial."),
    ("none is feasible", {"sgd": IDLE, "adam": IDLE}, "On digits, none of the methods found a feasible trial."),
    ("one method", {"adam": FAST}, "On digits, only adam was run, so there is nothing to compare."),
    ("one method without a feasible trial", {"adam": IDLE}, "On digits, adam found no feasible trial."),
    (
        "too few studies",
        {"sgd": SLOW[:2], "adam": FAST[:2]},
        (
            "On digits, sgd and adam are not separated in example-gradients to valid/loss<=0.25 (adjusted p = 0.33); "
            "2 studies cannot separate them, 4 could."
        ),
    ),
    (
        "one study",
        {"sgd": SLOW[:1], "adam": FAST[:1]},
        (
            "On digits, sgd and adam are not separated in example-gradients to valid/loss<=0.25 (adjusted p = 1); "
            "1 study cannot separate them, 4 could."
        ),
    ),
]


@pytest.mark.parametrize(("case", "values", "sentence"), SENTENCES, ids=[case for case, *_ in SENTENCES])
def test_the_verdict_on_a_problem_reads(case, values, sentence):
    assert say(**values) == f"{sentence} {EFFORT}"


def test_without_a_target_values_are_compared():
    assert say(target=None, sgd=SLOW, adam=FAST).startswith(
        "On digits, adam reaches a better valid/loss than sgd (0.5 times the valid/loss, adjusted p = 0.0022). Tuned"
    )
    assert "better valid/loss than sgd (adjusted p = 0.0022)" in say(target=None, log=False, sgd=SLOW, adam=FAST)
    assert "sgd and adam are not separated in valid/loss (adjusted p = 1)." in say(
        target=None, sgd=FAST, adam=FAST[::-1], log=False
    )


def test_a_method_that_beats_the_leader_is_not_passed_over():
    found = [
        Verdict("a", "b", "faster", ratio=0.5, p_adjusted=0.01, n=6),
        Verdict("a", "d", "faster", ratio=0.5, p_adjusted=0.01, n=6),
        Verdict("c", "a", "faster", ratio=0.9, p_adjusted=0.04, n=6),
    ]
    told = Told("p", ("a", "c", "b", "d"), "a", (), found, TARGET, "valid/loss", "steps")
    text = verdict_sentence(told, EFFORT)
    assert "a reaches valid/loss<=0.25 faster than b and d (0.5 times the steps, adjusted p <= 0.01); c is" in text


def test_one_method_to_compare_against_is_named_and_no_other_pair_is_spoken_of():
    led = say(against="base", base=SLOW, a=FAST, b=between(19, 31))
    assert led.startswith("On digits, a reaches valid/loss<=0.25 faster than base (0.5 times the example-gradients, ")
    assert " b " not in led.partition(". Tuned")[0]
    undecided = say(against="base", base=between(9, 29), a=FAST, b=SLOW)  # a and b differ, but nobody asked
    assert "base" in undecided
    assert "no two methods" not in undecided


def test_pairs_timed_apart_are_said_to_be_with_the_reason():
    apart = {("sgd", "adam"): "they were timed apart"}
    assert say(apart=apart, sgd=SLOW, adam=FAST).startswith(
        "On digits, not comparable, because they were timed apart. Tuned"
    )
    text = say(apart=apart, sgd=SLOW, adam=FAST, lion=between(90, 99))
    assert "faster than lion" in text
    assert "; not comparable, because they were timed apart." in text


def test_where_every_value_diverged_no_target_is_made_up():
    text = say(target=None, sgd=MISSES, adam=MISSES)
    assert "None" not in text
    assert text.startswith("On digits, not separated: no run")


def pair(words, **numbers):
    return Verdict("adam", "sgd", words, **{"ratio": 0.5, "low": 0.4, "high": 0.625, "p": 0.002, "n": 6, **numbers})


PAIRS = [
    (
        pair("faster", p_adjusted=0.0022),
        "adam is faster than sgd: 0.5 times the steps (interval 0.4 to 0.625), adjusted p = 0.0022.",
    ),
    (
        pair(EQUIVALENT, ratio=1.0, low=0.99, high=1.01, p_adjusted=0.7),
        "adam and sgd are equivalent within the margin: 1 times the steps (interval 0.99 to 1.01), adjusted p = 0.7.",
    ),
    (
        pair("not separated", low=None, p_adjusted=0.2),
        "adam and sgd are not separated: 0.5 times the steps (interval up to 0.625), adjusted p = 0.2.",
    ),
    (
        pair("not separated", high=None, p_adjusted=0.2),
        "adam and sgd are not separated: 0.5 times the steps (interval from 0.4), adjusted p = 0.2.",
    ),
    (
        pair("not separated", low=None, high=None, p_adjusted=0.33, studies_needed=4),
        (
            "adam and sgd are not separated: 0.5 times the steps (interval open), adjusted p = 0.33; at least 4 "
            "studies could separate them."
        ),
    ),
    (
        pair("faster", low=0.5, high=0.5, p=None),
        "adam is faster than sgd: 0.5 times the steps, without a test.",
    ),
    (
        pair("faster", ratio=None, low=None, high=0.14, p_adjusted=0.0022),
        "adam is faster than sgd: at most 0.14 times the steps, since runs of sgd missed, adjusted p = 0.0022.",
    ),
    (
        pair("not separated", ratio=None, low=None, high=None, p_adjusted=0.2),
        "adam and sgd are not separated: the size in steps is unknown, adjusted p = 0.2.",
    ),
    (
        pair("not separated", ratio=1.0, low=0.02, high=50.0, p=None, evaluations_needed=15801),
        (
            "adam and sgd are not separated: 1 times the steps (interval 0.02 to 50), without a test; evaluations are "
            "too coarse for the margin, 15801 could show equivalence."
        ),
    ),
    (
        Verdict("adam", "sgd", NOT_SEPARATED, NOBODY, p=1.0, p_adjusted=1.0, n=6),
        "adam and sgd are not separated: no run reached it.",
    ),
    (
        Verdict("adam", "sgd", NOT_COMPARABLE, because="sgd found no feasible trial"),
        "adam and sgd are not comparable, because sgd found no feasible trial.",
    ),
]


@pytest.mark.parametrize(("verdict", "sentence"), PAIRS, ids=[f"{i} {v.words}" for i, (v, _) in enumerate(PAIRS)])
def test_the_verdict_on_a_pair_reads(verdict, sentence):
    assert pair_sentence(verdict, axis="steps", metric="valid/loss") == sentence


def test_differences_are_told_as_differences():
    v = Verdict("adam", "sgd", "better", difference=0.031, low=0.02, high=0.04, p=0.002, p_adjusted=0.002)
    assert (
        pair_sentence(v, axis=None, metric="valid/accuracy")
        == "adam is better than sgd: valid/accuracy differs by 0.031 (interval 0.02 to 0.04), adjusted p = 0.002."
    )


def test_a_difference_that_misses_leave_open_is_not_told_as_a_factor():
    """All runs of sgd diverged, so that nothing but the sign of the difference is known."""
    for v in verdicts(
        {"adam": Observations(((-0.5,), (0.2,), (0.3,), (0.1,))), "sgd": Observations(((math.inf,),) * 4)},
        Asked(level=0.95, margin=0.02, timed=False, log=False),
    ):
        text = pair_sentence(v, axis=None, metric="valid/loss")
        assert text.startswith("adam is better than sgd: ")
        assert "times" not in text


@pytest.mark.parametrize("log", [True, False])
@pytest.mark.parametrize("limit", [1e6, math.inf])
def test_pairs_with_misses_are_told_without_a_nan_or_an_infinity(log, limit):
    late = [(1.0, 2.0, math.inf, 3.0), (math.inf, math.inf, math.inf, 5.0), MISSES[:4], (4.0, 5.0, 6.0, 7.0)]
    named = {f"m{i}": Observations(tuple((t,) for t in v), limit=limit) for i, v in enumerate(late)}
    for v in verdicts(named, Asked(level=0.8, margin=0.02, timed=log, log=log)):
        text = pair_sentence(v, axis="steps", metric="valid/loss")
        assert not {"nan", "inf", "None"} & set(text.replace(",", " ").replace(")", " ").split())


def test_the_effort_says_what_was_tuned_and_where_it_holds():
    told = {"studies": 6, "trials": 16, "seeds": 4}
    assert effort_sentence(**told, as_given=[], tuned=3, split=True) == EFFORT
    assert (
        effort_sentence(**told, as_given=["sgd", "adam"], tuned=1, split=True)
        == "Tuned with 16 trials in each of 6 studies (sgd and adam run as given), on this split."
    )
    assert (
        effort_sentence(studies=1, trials=1, seeds=1, as_given=["sgd"], tuned=0, split=False)
        == "Run as given, in 1 study of 1 seed, on this problem."
    )


def test_no_sentence_holds_a_nan_or_an_infinity():
    lonely = Verdict("adam", "sgd", "not separated", p=0.5, p_adjusted=0.5, n=6)
    for text in (pair_sentence(lonely, axis="steps", metric="m"), say(sgd=SLOW, adam=FAST)):
        assert str(math.nan) not in text
        assert str(math.inf) not in text


def test_names_are_listed_as_a_sentence_lists_them():
    assert [listed(list(names)) for names in ("a", "ab", "abc")] == ["a", "a and b", "a, b and c"]
