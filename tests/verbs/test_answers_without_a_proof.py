"""What an answer is and says where nothing can be proved of it."""

import numpy as np
import pytest
import torch

import optwise as ow

RNG = np.random.default_rng(0)
X = RNG.standard_normal((40, 5))
Y = X @ [1.0, -2.0, 0.0, 0.5, 0.0] + 0.1 * RNG.standard_normal(40)


def test_twins_under_next_to_no_ridge_are_answered_with_what_least_squares_finds():
    best = 0.5 * np.mean((X @ np.linalg.lstsq(X, Y)[0] - Y) ** 2)
    run = ow.solve(ow.problems.ridge(np.c_[X, X], Y, l2=1e-100))
    assert run.value == pytest.approx(best, rel=1e-9)


def test_a_gradient_whose_square_overflows_is_told():
    problem = ow.problems.smooth(
        lambda w: 1e160 * (torch.from_numpy(X) @ w - torch.from_numpy(Y)).square().sum(),
        np.zeros(5),
        constraint=ow.sets.L2Ball(0.5),
    )
    run = ow.solve(problem)
    assert not run.status.ok
    assert "multiply the objective by a small number" in run.why


def test_classes_that_a_count_does_not_keep_apart_are_told():
    run = ow.solve(ow.problems.logistic(X, X[:, 0] > 0, penalty=ow.penalties.L0(0.05)))
    assert "separated by these weights" in run.why
