"""Distributions: positions, ends, descriptions that read back, and the points of a space."""

import json
import math

import pytest

from optwise.core.errors import BadSpace
from optwise.core.plain import plain
from optwise.core.space import (
    Choice,
    IntUniform,
    LogUniform,
    OneMinus,
    Space,
    Uniform,
    When,
    distribution_of,
    space_of,
)

NUMERIC = [LogUniform(1e-4, 10.0), Uniform(-2.0, 3.0), OneMinus(LogUniform(4e-3, 0.3)), OneMinus(Uniform(0.0, 0.5))]
DISTRIBUTIONS = [
    *NUMERIC,
    IntUniform(1, 8),
    Choice("a", "b", "c"),
    Choice(True, False),
    Choice(0.1, None),
    When("nesterov", True, LogUniform(0.5, 0.99), 0.0),
    When("kind", "warm", OneMinus(LogUniform(1e-3, 0.1)), None),
    When("kind", "warm", Choice(1, 2), 3),
]


@pytest.mark.parametrize("distribution", DISTRIBUTIONS, ids=repr)
def test_a_description_reads_back_through_json(distribution):
    assert distribution_of(json.loads(json.dumps(plain(distribution)))) == distribution


@pytest.mark.parametrize("distribution", DISTRIBUTIONS, ids=repr)
def test_the_value_at_a_position_lies_at_that_position(distribution):
    for u in (0.0, 0.13, 0.5, 0.87, 1.0):
        value = distribution.at(u)
        assert distribution.at(distribution.position(value)) == pytest.approx(value)
        if distribution in NUMERIC:
            assert distribution.position(value) == pytest.approx(u, abs=1e-9)


def test_the_ends_of_a_range_are_returned_exactly():
    for low, high in ((1e-4, 0.1), (1e-3, 5.0), (3e-7, 0.9)):
        assert (LogUniform(low, high).at(0.0), LogUniform(low, high).at(1.0)) == (low, high)
    assert [IntUniform(1, 3).at(u) for u in (0.0, 0.34, 0.67, 1.0)] == [1, 2, 3, 3]
    assert [Choice("a", "b").at(u) for u in (0.0, 0.49, 0.5, 1.0)] == ["a", "a", "b", "b"]


def test_one_minus_searches_the_distance_to_one_on_its_own_scale():
    beta = OneMinus(LogUniform(1e-3, 1e-1))
    assert beta.at(0.5) == pytest.approx(0.99)
    assert beta.log_volume == LogUniform(1e-3, 1e-1).log_volume


@pytest.mark.parametrize(
    "make",
    [
        lambda: LogUniform(0.0, 1.0),
        lambda: LogUniform(1.0, 1.0),
        lambda: Uniform(2.0, 1.0),
        lambda: Uniform(0.0, math.inf),
        lambda: IntUniform(3, 3),
        lambda: Choice("only"),
        Choice,
    ],
)
def test_a_distribution_without_room_is_refused(make):
    with pytest.raises(BadSpace):
        make()


def test_volumes_add_up_and_choices_count_their_options():
    space = Space({"lr": LogUniform(1e-3, 1e-1), "flag": Choice(True, False), "k": IntUniform(1, 4)})
    assert space.dimensions == 3
    assert space.log_volume == pytest.approx(math.log(100) + math.log(2) + math.log(4))
    assert [d.numeric for d in space.fields.values()] == [True, False, True]


def test_a_conditional_field_takes_its_closed_value_where_it_does_not_exist():
    space = Space({"nesterov": Choice(True, False), "momentum": When("nesterov", True, Uniform(0.5, 0.9), 0.0)})
    here, elsewhere = space.point((0.1, 0.5)), space.point((0.9, 0.5))
    assert here == {"nesterov": True, "momentum": pytest.approx(0.7)}
    assert elsewhere == {"nesterov": False, "momentum": 0.0}
    assert [space.active("momentum", point) for point in (here, elsewhere)] == [True, False]


def test_what_describes_no_distribution_is_none():
    described = [None, 0.1, "LogUniform", [1, 2], {"class": "WarmupCosine", "warmup": 0.1}, {"low": 0.1, "high": 1.0}]
    assert [distribution_of(value) for value in described] == [None] * len(described)
    assert space_of({"class": "SGD", "lr": 0.1, "name": None}).fields == {}
