"""Points of a search: numbered, frozen, inside the space and even."""

import math

import numpy as np
import pytest

from optwise.core.errors import BadProtocol
from optwise.core.space import Choice, IntUniform, LogUniform, OneMinus, Space, Uniform, When
from optwise.design.grids import grid_points
from optwise.design.seeds import scramble_seed
from optwise.design.sobol import sobol_points

SPACE = Space({"lr": LogUniform(1e-4, 1e-1), "betas[0]": OneMinus(LogUniform(4e-3, 0.3)), "n": IntUniform(1, 4)})
CONDITIONAL = Space({"nesterov": Choice(True, False), "momentum": When("nesterov", True, Uniform(0.5, 0.9), 0.0)})


def test_more_trials_keep_the_first_ones():
    assert sobol_points(SPACE, 64, seed=3)[:16] == sobol_points(SPACE, 16, seed=3)


def test_points_carry_plain_values_of_every_open_field_in_order():
    for point in sobol_points(SPACE, 16, seed=0):
        assert list(point) == ["lr", "betas[0]", "n"]
        assert [type(value) for value in point.values()] == [float, float, int]
        assert 1e-4 <= point["lr"] <= 1e-1
        assert 0.7 <= point["betas[0]"] <= 0.996
        assert 1 <= point["n"] <= 4


def test_every_sixteenth_of_every_axis_holds_one_of_sixteen_points():
    """The law of a (0, m, 1)-net, which scrambling keeps; a random design breaks it."""
    points = sobol_points(SPACE, 16, seed=5)
    for path in ("lr", "betas[0]"):
        positions = [SPACE.fields[path].position(point[path]) for point in points]
        assert sorted(math.floor(16 * u) for u in positions) == list(range(16))


def test_the_designs_of_two_studies_share_no_point():
    first, second = (sobol_points(SPACE, 32, scramble_seed(0, "p", "m", study)) for study in (0, 1))
    assert not {p["lr"] for p in first} & {p["lr"] for p in second}


def test_a_design_never_changes():
    """The literal points: a stored study names its points by their number alone."""
    space = Space({"lr": LogUniform(1e-3, 1.0), "m": Uniform(0.0, 1.0)})
    points = sobol_points(space, 3, scramble_seed(0, "digits-mlp", "adamw", 2))
    expected = [(0.15544144501983292, 0.8451586961746216), (0.028263298624956665, 0.32781764678657055)]
    expected += [(0.004367720277144368, 0.7261522961780429)]
    np.testing.assert_allclose([tuple(p.values()) for p in points], expected, rtol=1e-14)


def test_a_conditional_field_takes_its_closed_value_where_it_does_not_exist():
    points = sobol_points(CONDITIONAL, 16, seed=1)
    assert {point["nesterov"] for point in points} == {True, False}
    for point in points:
        assert (point["momentum"] == 0.0) is (point["nesterov"] is False)


def test_a_space_without_open_fields_has_empty_points():
    assert sobol_points(Space({}), 3, seed=0) == ({}, {}, {})
    assert grid_points(Space({}), 5) == ({},)


def test_a_grid_holds_both_ends_and_every_option_and_no_point_twice():
    space = Space({"lr": LogUniform(1e-4, 1e-2), "kind": Choice("a", "b", "c"), "n": IntUniform(1, 2)})
    points = grid_points(space, 5)
    assert len(points) == 5 * 3 * 2
    np.testing.assert_allclose(sorted({p["lr"] for p in points}), np.logspace(-4, -2, 5), rtol=1e-12)
    assert points[0] == {"lr": 1e-4, "kind": "a", "n": 1}
    assert points[1] == {"lr": 1e-4, "kind": "a", "n": 2}


def test_a_grid_lists_a_point_once_where_its_conditional_field_does_not_exist():
    assert grid_points(CONDITIONAL, 3) == (
        {"nesterov": True, "momentum": 0.5},
        {"nesterov": True, "momentum": 0.7},
        {"nesterov": True, "momentum": 0.9},
        {"nesterov": False, "momentum": 0.0},
    )


def test_a_grid_of_one_lies_in_the_middle_and_of_none_is_refused():
    assert grid_points(Space({"m": Uniform(0.0, 1.0)}), 1) == ({"m": 0.5},)
    with pytest.raises(BadProtocol, match="per_dimension is 0"):
        grid_points(SPACE, 0)
