"""Verdicts as sentences a reader understands without the table."""

import math

import pytest

from optwise.analyses.ranking import Observations, Verdict, leader, verdicts
from optwise.analyses.sentences import effort_sentence, pair_sentence, verdict_sentence
from optwise.core.metric import AtMost

FAST, SLOW = (10.0, 11.0, 12.0, 13.0, 14.0, 15.0), (20.0, 22.0, 24.0, 26.0, 28.0, 30.0)
IDLE = None
TARGET = AtMost("valid/loss", 0.25)
EFFORT = "Tuned with 16 trials in each of 6 studies, on this split."


def say(*, target=TARGET, log=True, **values):
    observations = {
        name: Observations((), (), feasible=False) if v is IDLE else Observations(v, (False,) * len(v))
        for name, v in values.items()
    }
    found = verdicts(observations, level=0.95, margin=0.02, timed=target is not None, log=log)
    return verdict_sentence(
        "digits",
        methods=tuple(observations),
        leader=leader(observations, found),
        found=found,
        target=target,
        metric="valid/loss",
        axis="example-gradients",
        effort=EFFORT,
    )


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
            "On digits, adam reaches valid/loss<=0.25 faster than sgd (0.23 times the example-gradients, adjusted "
            "p = 0.013); it is not separated from adamw and nadamw."
        ),
    ),
    (
        "nothing is separated",
        {"sgd": between(9, 17), "adam": FAST, "adamw": between(9, 16)},
        "On digits, adam is not separated from sgd and adamw in example-gradients to valid/loss<=0.25.",
    ),
    (
        "equivalent methods",
        {"adam": between(100, 100.1), "adamw": between(100, 100.2)},
        "On digits, adam is equivalent to adamw within the margin in example-gradients to valid/loss<=0.25.",
    ),
    (
        "a method without a feasible trial",
        {"sgd": SLOW, "adam": FAST, "mine": IDLE},
        (
            "On digits, adam reaches valid/loss<=0.25 faster than sgd (0.5 times the example-gradients, adjusted "
            "p = 0.0022); mine found no feasible trial."
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
            "On digits, adam is not separated from sgd in example-gradients to valid/loss<=0.25; 2 studies cannot "
            "separate them, 4 could."
        ),
    ),
    (
        "one study",
        {"sgd": SLOW[:1], "adam": FAST[:1]},
        (
            "On digits, adam is not separated from sgd in example-gradients to valid/loss<=0.25; 1 study cannot "
            "separate them, 4 could."
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
    assert "is not separated from adam in valid/loss." in say(target=None, sgd=FAST, adam=FAST[::-1], log=False)


def test_a_method_that_beats_the_leader_is_not_passed_over():
    found = [
        Verdict("a", "b", "faster", ratio=0.5, p_adjusted=0.01, n=6),
        Verdict("a", "d", "faster", ratio=0.5, p_adjusted=0.01, n=6),
        Verdict("c", "a", "faster", ratio=0.9, p_adjusted=0.04, n=6),
    ]
    text = verdict_sentence(
        "p",
        methods=("a", "b", "c", "d"),
        leader="a",
        found=found,
        target=TARGET,
        metric="valid/loss",
        axis="steps",
        effort=EFFORT,
    )
    assert "a reaches valid/loss<=0.25 faster than b and d (0.5 times the steps, adjusted p <= 0.01); c is" in text


def pair(words, **numbers):
    return Verdict("adam", "sgd", words, **{"ratio": 0.5, "low": 0.4, "high": 0.625, "p": 0.002, "n": 6, **numbers})


PAIRS = [
    (
        pair("faster", p_adjusted=0.0022),
        "adam is faster than sgd: 0.5 times the steps (interval 0.4 to 0.625), adjusted p = 0.0022.",
    ),
    (
        pair("equivalent within margin", ratio=1.0, low=0.99, high=1.01, p_adjusted=0.7),
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
        Verdict("adam", "sgd", "not comparable", because="sgd found no feasible trial"),
        "adam and sgd are not comparable, because sgd found no feasible trial.",
    ),
]


@pytest.mark.parametrize(("verdict", "sentence"), PAIRS, ids=[v.words for v, _ in PAIRS])
def test_the_verdict_on_a_pair_reads(verdict, sentence):
    assert pair_sentence(verdict, axis="steps", metric="valid/loss") == sentence


def test_differences_are_told_as_differences():
    v = Verdict("adam", "sgd", "better", difference=0.031, low=0.02, high=0.04, p=0.002, p_adjusted=0.002)
    assert (
        pair_sentence(v, axis=None, metric="valid/accuracy")
        == "adam is better than sgd: valid/accuracy differs by 0.031 (interval 0.02 to 0.04), adjusted p = 0.002."
    )


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
