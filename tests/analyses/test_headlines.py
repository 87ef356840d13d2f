"""The first screen in words: at most fifteen of them, true, and never without an answer."""

import math
from itertools import combinations, cycle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optwise.analyses.headlines import MOST_WORDS, headline, line, overall_headline
from optwise.analyses.observations import Observations
from optwise.analyses.ranking import leader, order, verdicts
from optwise.analyses.sentences import Told
from optwise.analyses.verdict import BETTER, EQUIVALENT, FASTER, NOBODY, NOT_COMPARABLE, NOT_SEPARATED, Asked, Verdict
from optwise.core.finding import Finding, Grade
from optwise.core.metric import AtLeast, AtMost

FAST, SLOW = (10.0, 11.0, 12.0, 13.0, 14.0, 15.0), (20.0, 22.0, 24.0, 26.0, 28.0, 30.0)
IDLE, MISSES = (), (math.inf,) * 6
ALIKE = (100.0, 100.01, 100.02, 100.03, 100.04, 100.05)
TARGET = AtMost("valid/loss", 0.25)
EFFORT = "Tuned with 16 trials in each of 6 studies, on this split."


def told(values, *, target=TARGET, problem="digits", against=None, apart=None):
    named = {name: Observations(tuple((t,) for t in v), limit=1e6, feasible=bool(v)) for name, v in values.items()}
    asked = Asked(level=0.95, margin=0.02, timed=target is not None, against=against, apart=apart)
    found = verdicts(named, asked)
    return Told(
        problem=problem,
        order=order(named, found),
        leader=leader(named, found),
        idle=[name for name, o in named.items() if not o.usable],
        found=found,
        target=target,
        metric="valid/loss",
        axis="example-gradients",
    )


# --- one problem ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"sgd": SLOW, "adam": FAST}, "adam reaches valid/loss<=0.25 faster than sgd on digits."),
        (
            {"sgd": SLOW, "adam": FAST, "lion": [9 * x for x in SLOW]},
            "adam reaches valid/loss<=0.25 faster than sgd and lion on digits.",
        ),
        ({"sgd": FAST, "adam": FAST[::-1], "lion": MISSES}, "sgd reaches valid/loss<=0.25 faster than lion on digits."),
        ({"sgd": SLOW, "adam": (19.0, *SLOW[1:])}, "adam and sgd are not separated on digits."),
        ({"a": SLOW, "b": (19.0, *SLOW[1:]), "c": SLOW}, "No two of 3 methods are separated on digits."),
        ({"sgd": SLOW[:3], "adam": FAST[:3]}, "Too few studies to separate anything on digits; 4 could."),
        ({"sgd": MISSES, "adam": MISSES}, "Not separated: no run reached valid/loss<=0.25 on digits."),
        ({"sgd": ALIKE, "adam": ALIKE, "lion": ALIKE}, "All 3 methods are equivalent within the margin on digits."),
        ({"sgd": IDLE, "adam": FAST}, "Only adam found a feasible trial on digits."),
        ({"sgd": IDLE, "adam": IDLE}, "No feasible trial on digits."),
        ({"sgd": IDLE}, "No feasible trial on digits."),
        ({"adam": FAST}, "Only adam was run on digits: nothing to compare."),
    ],
)
def test_the_headline_reads(values, said):
    assert headline(told(values)) in {said, said.replace("adam and sgd", "sgd and adam")}


def test_without_a_target_the_better_value_is_told():
    assert headline(told({"sgd": SLOW, "adam": FAST}, target=None)) == (
        "adam reaches a better valid/loss than sgd on digits."
    )


def test_pairs_timed_apart_are_not_comparable():
    assert headline(told({"a": FAST, "b": SLOW}, apart={("a", "b"): "timed apart"})) == "Not comparable on digits."


def test_where_every_value_diverged_no_target_is_made_up():
    said = headline(told({"a": MISSES, "b": MISSES}, target=None))
    assert "None" not in said
    assert said.startswith("Not separated")


def test_a_method_without_a_trial_is_not_called_equivalent():
    """All means all: three were run, and of one nothing is known."""
    said = headline(told({"a": ALIKE, "b": ALIKE, "idle": IDLE}))
    assert "equivalent" in said
    assert "3 methods" not in said


def test_pairs_that_nobody_asked_about_are_not_spoken_of():
    """Of four methods three pairs with the baseline were tested; the other three pairs may well differ."""
    alike = headline(told({"base": ALIKE, "a": ALIKE, "b": ALIKE, "c": ALIKE}, against="base"))
    assert "base" in alike
    assert "All 4" not in alike
    apart = headline(told({"base": (9.0, 13.0, 17.0, 21.0, 25.0, 29.0), "a": FAST, "b": SLOW}, against="base"))
    assert "base" in apart
    assert "No two" not in apart


def test_a_pair_that_is_equivalent_is_not_called_separated_or_not():
    """One pair is not separated and two are equivalent: the headline may not deny what the sentence says."""
    wide = (60.0, 80.0, 100.0, 110.0, 130.0, 150.0)
    found = told({"a": ALIKE, "b": ALIKE, "c": wide}).found
    assert {v.words for v in found} == {EQUIVALENT, NOT_SEPARATED}
    assert headline(told({"a": ALIKE, "b": ALIKE, "c": wide})) == "No two of 3 methods are separated on digits."


# --- never too long ------------------------------------------------------------------------------------------------

LONG = [f"a-very_long.name/of(a=method,number={i})" + "x" * 60 for i in range(20)]
TARGETS = [None, AtMost("valid/" + "l" * 80, 1.23456789012e-300), AtLeast("objective", -1e300)]


@st.composite
def anything_told(draw):
    names = LONG[: draw(st.integers(1, 20))]
    idle = draw(st.sets(st.sampled_from(names)))
    nobody, few = draw(st.booleans()), draw(st.booleans())
    common = draw(st.lists(st.sampled_from([FASTER, BETTER, EQUIVALENT, NOT_SEPARATED, NOT_COMPARABLE]), min_size=1))
    found = []
    for pair, word in zip(combinations(names, 2), cycle(common), strict=False):
        said = NOT_COMPARABLE if idle & set(pair) else NOT_SEPARATED if nobody or few else word
        because = "no feasible trial" if said == NOT_COMPARABLE else NOBODY if nobody else ""
        found.append(Verdict(*pair, said, because, studies_needed=7 if few else None, p_adjusted=0.2))
    ahead = [v.a for v in found if v.claims]
    first = max(dict.fromkeys(ahead), key=ahead.count) if ahead else None
    target = draw(st.sampled_from(TARGETS))
    return Told("a-problem" + "y" * 80, names, first, sorted(idle), found, target, "valid/" + "l" * 80, "seconds")


@given(anything_told())
@settings(max_examples=60, deadline=None)
def test_a_headline_has_at_most_fifteen_words_whatever_is_told(whatever):
    said = headline(whatever)
    assert 0 < len(said.split()) <= MOST_WORDS == 15
    assert said.endswith(".")
    assert said == said.strip()
    assert "None" not in said


def test_the_other_one_of_two_with_long_names_is_told_without_its_name():
    long = " ".join(f"word{k}" for k in range(11))
    said = headline(told({"adam": FAST, long: SLOW}, problem="a"))
    assert said == "adam reaches valid/loss<=0.25 faster than the other."


@pytest.mark.parametrize("methods", range(2, 21))
def test_those_who_are_beaten_are_named_where_fifteen_words_allow_and_counted_elsewhere(methods):
    found = [Verdict(a, b, FASTER, p_adjusted=0.01) for a, b in combinations(LONG[:methods], 2)]
    said = headline(Told("digits", LONG[:methods], LONG[0], (), found, TARGET, "valid/loss", "steps"))
    named = all(name in said for name in LONG[:methods])
    assert named or said.endswith(f"faster than all {methods - 1} others.")
    assert named == (methods <= 8), "leader reaches target faster than b, c, d, e, f, g and h on p."
    assert len(said.split()) <= MOST_WORDS


def test_a_problem_whose_name_holds_spaces_is_told_in_fifteen_words_too():
    for values in (
        {"sgd": SLOW, "adam": FAST},
        {"sgd": SLOW, "adam": (19.0, *SLOW[1:])},
        {"sgd": MISSES, "adam": MISSES},
        {"sgd": SLOW[:2], "adam": FAST[:2]},
        {"adam": FAST},
    ):
        said = headline(told(values, problem="least squares of a polynomial on points that somebody measured twice"))
        assert len(said.split()) <= MOST_WORDS


# --- several problems ----------------------------------------------------------------------------------------------


def test_several_problems_are_told_by_who_leads_on_how_many():
    each = ["One.", "Two.", "Three."]
    assert overall_headline(["Alone."], [None]) == "Alone."
    assert overall_headline(each, [None, None, None]) == "No method is ahead on any of 3 problems."
    assert overall_headline(each, ["adam", None, "adam"]) == "adam leads on 2 of 3 problems."
    assert overall_headline(each, ["adam", "sgd", "adam"]) == "adam leads on 2 of 3 problems."
    assert overall_headline(each, ["adam", None, "sgd"]) == "Leaders differ: 2 methods lead on 2 of 3 problems."


@given(st.lists(st.sampled_from([None, *LONG]), min_size=2, max_size=40))
@settings(deadline=None)
def test_the_verdict_over_all_problems_has_at_most_fifteen_words(leaders):
    said = overall_headline(["A headline."] * len(leaders), leaders)
    assert 0 < len(said.split()) <= MOST_WORDS
    assert "None" not in said


# --- the line under it ---------------------------------------------------------------------------------------------


def finding(check, grade):
    return Finding(check, grade, "It is so.", "digits/adam")


def test_the_line_says_how_certain_it_is_and_what_is_open():
    checks = [finding("spent", Grade.FAIL), finding("boundary", Grade.WARN), finding("density", Grade.PASS)]
    checks += [finding("spent", Grade.WARN), finding("boundary", Grade.WARN)]
    shown = told({"sgd": SLOW, "adam": FAST})
    text = line(leader="adam", found=shown.found, effort=EFFORT, checks=checks, hangs="At 0.3 nothing is separated.")
    assert text == (
        "Adjusted p = 0.0022. Tuned with 16 trials in each of 6 studies, on this split. Failed checks: spent. "
        "Open checks: boundary. At 0.3 nothing is separated."
    )


def test_the_line_under_no_leader_says_what_could_have_been_found():
    shown = told({"sgd": SLOW, "adam": (19.0, *SLOW[1:]), "lion": SLOW})
    smallest = max(v.smallest for v in shown.found)
    text = line(leader=None, found=shown.found, effort=EFFORT, checks=(), hangs="")
    assert text.startswith(f"Adjusted p >= 1; these studies find true ratios above {smallest:.2g}. Tuned with")


def test_where_nobody_arrived_there_is_no_p_value_and_no_ratio_to_tell():
    shown = told({"sgd": MISSES, "adam": MISSES, "lion": MISSES})
    assert line(leader=None, found=shown.found, effort=EFFORT, checks=(), hangs="") == EFFORT


def test_the_line_of_a_leader_tells_the_largest_p_value_of_its_claims():
    shown = told({"a": FAST, "b": SLOW, "c": [9 * x for x in SLOW]})
    p = max(v.p_adjusted for v in shown.found if v.a == "a")
    assert line(leader="a", found=shown.found, effort="E.", checks=(), hangs="") == f"Adjusted p <= {p:.2g}. E."


@given(anything_told(), st.sampled_from(["", "One thing", "One thing."]), st.sampled_from(["", EFFORT]))
@settings(max_examples=40, deadline=None)
def test_there_is_always_a_line_and_it_ends_with_one_full_stop(whatever, hangs, effort):
    text = line(leader=whatever.leader, found=whatever.found, effort=effort or "Run as given.", checks=(), hangs=hangs)
    assert text.endswith(".")
    assert ".." not in text
    assert text.rstrip(".").strip()
