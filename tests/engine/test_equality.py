"""Batching is an optimisation: it may not change a number."""

import importlib.util
import sys
from pathlib import Path

import pytest
import torch

from optwise.core.oracles import Oracle
from optwise.engine.loop import OneThread
from optwise.engine.program import program_of
from optwise.engine.rungs import stepper_of
from optwise.engine.timing import some_batches
from optwise.methods import METHODS
from optwise.problems import digits_cnn, nqm, rosenbrock, synthetic_least_squares

ONE_STEP = 1e-12
TRAJECTORY = 1e-11
QUICK = 10
ASKING_ONLY_GRADIENTS = [name for name, cls in METHODS.items() if cls().needs == {Oracle.GRADIENT}]


@pytest.fixture(scope="module")
def equality():
    """The measurement that also prints the table of the docs."""
    path = Path(__file__).parents[2] / "benchmarks" / "equality.py"
    spec = importlib.util.spec_from_file_location("equality", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["equality"] = module  # dataclasses look themselves up there
    spec.loader.exec_module(module)
    yield module
    del sys.modules["equality"]


def check(equality, method, states):
    with OneThread():
        for found in equality.differences(method, states=states):
            assert found.one_step <= ONE_STEP, found
            assert found.trajectory <= TRAJECTORY, found
            if found.rows == equality.ROWS:  # with no calm row the trajectories would show nothing
                assert found.calm >= 0.6 * found.rows, found
        if method not in equality.TORCH:
            return
        against_torch, calm = equality.torch_difference(method, states=states)
    assert against_torch <= TRAJECTORY
    assert calm >= 0.5 * equality.TORCH_ROWS


@pytest.mark.parametrize("method", ASKING_ONLY_GRADIENTS)
def test_many_trials_at_once_are_the_same_as_one_by_one_and_as_torch(equality, method):
    check(equality, method, QUICK)


@pytest.mark.slow
@pytest.mark.parametrize("method", ASKING_ONLY_GRADIENTS)
def test_many_trials_at_once_are_the_same_as_one_by_one_along_200_states(equality, method):
    check(equality, method, equality.STATES)


@pytest.mark.parametrize(
    "make",
    [digits_cnn, lambda: nqm(d=7), lambda: rosenbrock(3), lambda: synthetic_least_squares(40, 5)],
    ids=["cnn", "stream of noise", "no data", "least squares"],
)
@pytest.mark.parametrize("method", ["sgd", "adamw"])
def test_other_problems_step_at_once_as_one_by_one(make, method):
    problem = make().to(dtype=torch.float64)
    rules = [METHODS[method](lr=lr) for lr in (1e-4, 1e-3, 1e-2)]
    steppers = [stepper_of(rung, program_of(problem, rules[0]), rules) for rung in ("solo", "vmap", "traced")]
    rows, ones = steppers[0].start([3, 4, 5]), torch.ones(3, dtype=torch.float64)
    for batch in some_batches(problem, 3, 6):
        solo, vmap, traced = (stepper.step(rows, ones, batch) for stepper in steppers)
        for w in (vmap.w, traced.w):
            torch.testing.assert_close(w, solo.w, rtol=1e-12, atol=1e-14)
        rows = solo
