"""Anything in the place of any argument of any constructor, penalty or set: it works, or it is one sentence."""

import inspect
from dataclasses import fields

import numpy as np
import pytest
import torch

import optwise as ow
from optwise.core.errors import BadProblem
from optwise.problems import formulations

RNG = np.random.default_rng(0)
X = RNG.standard_normal((20, 6))
Y = X[:, 0] + 0.1 * RNG.standard_normal(20)
GROUPS = [0, 0, 1, 1, 2, 2]
DATA = {"X": X, "y": Y}

CONSTRUCTORS = {
    "least_squares": DATA,
    "ridge": DATA | {"l2": 0.1},
    "nnls": DATA,
    "huber": DATA | {"delta": 1.0},
    "lasso": DATA | {"weight": 0.1},
    "elastic_net": DATA | {"l1": 0.1, "l2": 0.1},
    "group_lasso": DATA | {"weight": 0.1, "groups": GROUPS},
    "basis_pursuit_denoising": {"A": X, "b": Y, "weight": 0.1},
    "basis_pursuit": {"A": X[:3], "b": Y[:3]},
    "logistic": {"X": X, "y": Y > 0},
    "softmax": {"X": X, "y": np.arange(20) % 3},
    "svm": {"X": X, "y": Y > 0, "l2": 0.1},
    "total_variation": {"y": Y, "weight": 0.1},
    "smooth": {"f": lambda w: w.square().sum(), "w0": [1.0, 2.0]},
    "nonlinear_least_squares": {"residual": lambda w: w, "w0": [1.0, 2.0]},
    "composite": {"f": lambda w: w.square().sum(), "w0": [1.0, 2.0]},
    "quadratic": {"H": np.eye(2)},
}
PARTS = {
    "L0": (0.1,),
    "L1": (0.1,),
    "MCP": (0.1, 3.0),
    "SCAD": (0.1, 3.7),
    "ElasticNetPenalty": (0.1, 0.1),
    "GroupL2": (0.1, GROUPS, [1.0, 2.0, 3.0]),
    "HingeSum": (0.1,),
    "HuberNorm": (0.1, 1.0),
    "L2Norm": (0.1,),
    "LInf": (0.1,),
    "NonnegativeL1": (0.1,),
    "NuclearNorm": (0.1, (2, 3)),
    "SortedL1": ([3.0, 2.0, 1.0],),
    "SquaredL2": (0.1,),
    "TotalVariation1D": (0.1,),
    "WeightedL1": ([3.0, 2.0],),
    "Affine": ([[1.0, 1.0]], [1.0]),
    "Box": ([0.0, 0.0], [1.0, 1.0]),
    "Budget": ([1.0, 1.0], 1.0, [0.0, 0.0], [1.0, 1.0]),
    "CappedSimplex": (6, 1.0, 0.25),
    "Halfspace": ([1.0, 1.0], 1.0),
    "L1Ball": (1.0,),
    "L2Ball": (1.0,),
    "LInfBall": (1.0,),
    "Nonnegative": (2,),
    "NuclearBall": ((2, 3), 1.0),
    "PSDCone": (2,),
    "SecondOrderCone": (),
    "Simplex": (1.0,),
}


def anything():
    """Values of many kinds, made anew: an iterator is used up by whoever looks at it."""
    return [
        *("a", "0.5", b"x", None, True, 2.5, -1.0, float("nan"), float("inf"), 10**400, np.float32(3)),
        *([], {}, {1: 2}, (1, 2, 3), [[1.0]], [1, None], [[1.0], [1.0, 2.0]], range(3), iter([1]), object(), type),
        *(np.ones((2, 2)), np.array(["a"]), np.datetime64("2020"), np.ma.masked_array([1.0, 2.0], [0, 1])),
        *(torch.ones(0), torch.tensor(1 + 2j), torch.ones(3).to_sparse(), torch.ones(3, dtype=torch.float16)),
        *(
            lambda: 1,
            ow.penalties.L1(0.1),
            ow.penalties.L1,
            ow.sets.Simplex(),
            ow.sets.Simplex,
            [np.ones(2), np.ones(3)],
        ),
    ]


def works_or_is_one_sentence(make):
    try:
        make()
    except BadProblem as refusal:
        return str(refusal)
    return ""


def test_all_constructors_and_parts_are_here():
    assert set(CONSTRUCTORS) == set(formulations.__all__) - {"FORMULATIONS"}
    assert set(PARTS) == {*ow.penalties.__all__, *ow.sets.__all__}


@pytest.mark.filterwarnings("ignore::optwise.core.errors.DataNote")
@pytest.mark.parametrize("name", CONSTRUCTORS)
def test_anything_in_the_place_of_an_argument_works_or_is_one_sentence(name):
    make, good = getattr(ow.problems, name), CONSTRUCTORS[name]
    refused = 0
    for argument in inspect.signature(make).parameters:
        if argument == "name":
            continue
        for wrong in anything():
            said = works_or_is_one_sentence(lambda argument=argument, wrong=wrong: make(**{**good, argument: wrong}))
            assert "\n" not in said
            assert len(said) < 600
            refused += bool(said)
    assert refused > 100


@pytest.mark.parametrize("name", PARTS)
def test_anything_in_the_place_of_a_field_works_or_is_one_sentence(name):
    kind = getattr(ow.penalties, name, None) or getattr(ow.sets, name)
    own = [f.name for f in fields(kind) if f.init and f.name not in ("dtype", "device")]
    good = dict(zip(own, PARTS[name], strict=True))
    kind(**good)
    for field in own:
        for wrong in anything():
            said = works_or_is_one_sentence(lambda field=field, wrong=wrong: kind(**{**good, field: wrong}))
            assert "\n" not in said
            assert len(said) < 600
