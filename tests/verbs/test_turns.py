"""Whose turn it is among the methods for a problem."""

import numpy as np
import pytest

import optwise as ow
from optwise.core.composite import Composite
from optwise.verbs import turns
from optwise.verbs.turns import Turns


@pytest.fixture
def problem():
    rng = np.random.default_rng(0)
    return ow.problems.softmax(rng.standard_normal((40, 12)), rng.integers(0, 3, 40), l1=0.02)


def turns_of(problem, *, timed=True):
    return Turns(problem, Composite.of(problem), timed=timed)


def order(found):
    """The methods in the order in which they come if each is asked once and stalls."""
    names = []
    while (choice := found.next()) is not None:
        names.append(choice.method)
        found.stalled(choice)
    return names


def test_the_cheapest_comes_first_and_only_so_many_are_tried(problem):
    expected = [choice.method for choice in ow.explain(problem).eligible]
    assert order(turns_of(problem)) == expected[: turns.ATTEMPTS]
    assert len(order(turns_of(problem))) == min(len(expected), turns.ATTEMPTS)


def test_a_method_is_given_some_times_what_was_predicted(problem, monkeypatch):
    monkeypatch.setattr(turns, "LEAST", 0.0)
    found = turns_of(problem)
    first = found.next()
    assert found.given(first) == pytest.approx(turns.PATIENCE * first.seconds)


def test_who_was_not_done_waits_until_the_others_are_expected_to_take_longer(problem):
    found = turns_of(problem)
    first = found.next()
    found.unfinished(first, 1e3)
    others = []
    while (choice := found.next()).method != first.method:
        others.append(choice.method)
        found.unfinished(choice, 2e3)
    assert len(others) == len(set(others)) >= 2
    assert found.given(choice) >= turns.LONGER * 1e3  # and then for longer


def test_one_gradient_method_that_takes_too_long_makes_the_others_expect_the_same(problem):
    """They all assumed the same condition number; the Hessian of semismooth Newton does not depend on it."""
    found = turns_of(problem)
    first = found.next()
    assert first.method == "fista"
    before = {name: found._expected(name) for name in ("proximal-gradient", "pdhg", "semismooth-newton")}
    found.unfinished(first, 100 * first.seconds)
    after = {name: found._expected(name) for name in before}
    assert after["proximal-gradient"] > 50 * before["proximal-gradient"]
    assert after["pdhg"] > 50 * before["pdhg"]
    assert after["semismooth-newton"] == before["semismooth-newton"]


def test_who_is_left_alone_is_known(problem):
    found = turns_of(problem)
    assert not found.alone
    last = None
    while (choice := found.next()) is not None and not found.alone:
        last = choice
        found.stalled(choice)
    assert last is not None
    assert choice is not None
    found.unfinished(choice, 1.0)
    assert found.next().method == choice.method
    found.stalled(choice)
    assert found.next() is None


@pytest.mark.parametrize("timed", [True, False])
def test_all_together_are_given_so_much_unless_the_caller_gave_a_time(problem, timed):
    found = turns_of(problem, timed=timed)
    first = found.next()
    found.unfinished(first, turns.MOST - 1.0)
    second = found.next()
    assert timed or found.given(second) <= 1.0 + 1e-9
    found.unfinished(second, 1.0 + turns.DEAR)
    assert (found.next() is not None) == timed
