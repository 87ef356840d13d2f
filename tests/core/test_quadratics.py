"""What a problem declares to theory is checked when it is declared."""

import numpy as np
import pytest

from optwise.core.errors import BadProblem
from optwise.core.quadratic import Quadratic
from optwise.problems import least_squares_sgd, nqm

GOOD = {"h": [1.0, 0.5], "c": [1.0, 0.0], "start": [4.0, 4.0], "center": [0.0, -1.0]}


def test_lists_become_vectors_of_float64():
    found = Quadratic(**GOOD)
    assert found.h.dtype == np.float64
    assert found.dimension == 2


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("c", [1.0], "needs c as one finite number per coordinate"),
        ("start", [[4.0, 4.0]], "needs start"),
        ("h", [1.0, np.inf], "needs h"),
        ("center", [0.0, np.nan], "needs center"),
        ("h", [1.0, -0.5], "negative entry -0.5 in h"),
        ("c", [-1.0, 0.0], "negative entry -1 in c"),
    ],
)
def test_what_is_no_quadratic_is_refused(name, value, said):
    with pytest.raises(BadProblem, match=said):
        Quadratic(**{**GOOD, name: value})


@pytest.mark.parametrize("make", [nqm, least_squares_sgd])
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({}, "either the Hessian's diagonal"),
        ({"h": [1.0], "d": 1}, "give one"),
        ({"h": [1.0, -1.0]}, "negative entry -1 in h"),
        ({"h": [1.0], "w0": [1.0, 2.0]}, "1 entries in h but 2 in w0"),
        ({"h": [np.nan]}, "needs h"),
        ({"h": []}, "needs h"),
        ({"d": 0}, "no parameters"),
        ({"d": 2, "second_moment": -1.0}, "second_moment=-1"),
    ],
)
def test_numbers_that_make_no_stochastic_quadratic_are_refused(make, arguments, said):
    with pytest.raises(BadProblem, match=said):
        make(**arguments)


def test_noise_of_unequal_length_or_sign_is_refused():
    with pytest.raises(BadProblem, match="1 entries in h but 2 in c"):
        nqm(h=[1.0], c=[1.0, 2.0])
    with pytest.raises(BadProblem, match="negative entry -1 in c"):
        nqm(h=[1.0], c=[-1.0])
    with pytest.raises(BadProblem, match="noise=-1"):
        least_squares_sgd(h=[1.0], noise=-1.0)
