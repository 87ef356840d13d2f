"""What an answer is and says where nothing can be proved of it."""

import numpy as np
import pytest
import torch

import optwise as ow

RNG = np.random.default_rng(0)
X = RNG.standard_normal((40, 5))
Y = X @ [1.0, -2.0, 0.0, 0.5, 0.0] + 0.1 * RNG.standard_normal(40)
W0 = np.zeros(5)


def test_twins_under_next_to_no_ridge_are_answered_with_what_least_squares_finds():
    best = 0.5 * np.mean((X @ np.linalg.lstsq(X, Y)[0] - Y) ** 2)
    run = ow.solve(ow.problems.ridge(np.c_[X, X], Y, l2=1e-100))
    assert run.value == pytest.approx(best, rel=1e-9)


def test_a_gradient_whose_square_overflows_is_told():
    problem = ow.problems.smooth(
        lambda w: 1e160 * (torch.from_numpy(X) @ w - torch.from_numpy(Y)).square().sum(),
        W0,
        constraint=ow.sets.L2Ball(0.5),
    )
    run = ow.solve(problem)
    assert not run.status.ok
    assert "multiply the objective by a small number" in run.why


def test_classes_that_a_count_does_not_keep_apart_are_told():
    run = ow.solve(ow.problems.logistic(X, X[:, 0] > 0, penalty=ow.penalties.L0(0.05)))
    assert "separated by these weights" in run.why


@pytest.mark.parametrize("factor", [1e-160, 1e-200, 1e-290, 1e-310])
@pytest.mark.parametrize("constraint", [None, ow.sets.L2Ball(0.5)])
def test_nothing_false_is_proved_of_an_objective_whose_squares_underflow(factor, constraint):
    H, b = factor * X.T @ X, -factor * X.T @ Y
    best = ow.solve(ow.problems.quadratic(X.T @ X, -X.T @ Y, constraint=constraint)).value
    run = ow.solve(ow.problems.quadratic(H, b, constraint=constraint))
    assert not run.status.ok or abs(run.value / factor - best) <= 2e-6 * abs(best), run.why


@pytest.mark.parametrize("factor", [1e-80, 1e-160])
@pytest.mark.parametrize("kind", ["smooth", "nonlinear_least_squares", "least_squares"])
@pytest.mark.parametrize("constraint", [None, ow.sets.L2Ball(0.5)])
def test_nothing_false_is_claimed_of_residuals_whose_squares_underflow(factor, kind, constraint):
    A, b = torch.tensor(X), torch.tensor(Y)
    scaled = {
        "smooth": lambda k: ow.problems.smooth(lambda w: ((k * (A @ w - b)) ** 2).sum(), W0, constraint=constraint),
        "nonlinear_least_squares": lambda k: ow.problems.nonlinear_least_squares(
            lambda w: k * (A @ w - b), W0, constraint=constraint
        ),
        "least_squares": lambda k: ow.problems.least_squares(k * X, k * Y, constraint=constraint),
    }[kind]
    best = ow.solve(scaled(1.0)).value
    run = ow.solve(scaled(factor))
    assert not run.status.ok or abs(run.value / factor / factor - best) <= 2e-6 * abs(best), run.why


APART = X @ np.array([1.0, -1.0, 0.5, 0.0, 0.0]) > 0


def far_apart():
    """Separated classes in a wide ball: F falls by thousands of powers of ten on the way to its surface."""
    return ow.problems.logistic(X, APART, constraint=ow.sets.L2Ball(1e4))


def test_an_answer_that_nothing_proves_is_the_lowest_within_the_set():
    """Bounds relative to an F that is nearly 0 say nothing, least of all that the start is better."""
    run = ow.solve(far_apart(), max_seconds=3)
    assert run.status is ow.Status.BUDGET_SPENT
    assert run.value < 1e-3
    assert float(run.w.norm()) <= 1e4 * (1 + 1e-9)


def test_what_is_never_proved_ends_after_counted_work(monkeypatch):
    monkeypatch.setattr("optwise.verbs.turns.MOST", 1.0)
    monkeypatch.setattr("optwise.verbs.turns.DEAR", 10.0)
    first, second = ow.solve(far_apart()), ow.solve(far_apart())
    assert first.status is ow.Status.BUDGET_SPENT
    assert "give max_seconds to go on" in first.why
    assert torch.equal(first.w, second.w)


def test_an_infinite_slope_at_the_start_is_told():
    t = torch.linspace(0, 1, 10, dtype=torch.float64)
    run = ow.solve(ow.problems.nonlinear_least_squares(lambda w: torch.sqrt(w[0]) * t - t - w[1], [0.0, 0.0]))
    assert not run.status.ok
    assert "F is finite at this point and its gradient is not" in run.why
