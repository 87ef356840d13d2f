"""Stationary points that are no minimum are told: saddles of any order, and plateaus from which nothing is seen."""

import numpy as np
import pytest
import torch

import optwise as ow
from optwise.core.status import Status

T = torch.linspace(0, 2, 20, dtype=torch.float64)


def solved(f, *start):
    return ow.solve(ow.problems.smooth(f, np.array(start)))


SADDLES = {
    "sixth order": (lambda w: (-(w**6) + w**8).sum(), 1),
    "sixth order on a hill": (lambda w: (-(w**6) + w**8).sum() + 1, 1),
    "fifth order": (lambda w: (w**5 + w**8).sum(), 1),
    "two together": (lambda w: -((w[0] * w[1]) ** 2) + (w**6).sum(), 3),
    "three together": (lambda w: -w[0] * w[1] * w[2] + (w**4).sum(), 4),
    "three together on a hill": (lambda w: 7 - w[0] * w[1] * w[2] + (w**4).sum(), 4),
    "monkey": (lambda w: w[0] ** 3 - 3 * w[0] * w[1] ** 2 + (w**4).sum(), 2),
    "linear net of depth 4": (lambda w: ((w.prod() * T - T) ** 2).sum(), 4),
}


@pytest.mark.parametrize("unit", [1.0, 1e-9, 1e9])
@pytest.mark.parametrize("name", SADDLES)
def test_a_saddle_of_higher_order_is_told_with_a_step_that_leaves_it(name, unit):
    f, size = SADDLES[name]
    run = solved(lambda w: unit * f(w), *[0.0] * size)
    assert run.certificate.saddle
    assert "saddle" in run.why
    assert f(run.w + run.certificate.leaving) < f(run.w)


MINIMA = {
    "fourth order": (lambda w: (w**4).sum(), (0.0, 0.0)),
    "twentieth order": (lambda w: (w**20).sum() + 3, (0.0,)),
    "a sum that cancels": (lambda w: (w**2 - 2 * w + 1).sum(), (0.3,)),
    "a sum of fourth order that cancels": (lambda w: (w**4 - 4 * w**3 + 6 * w**2 - 4 * w + 1).sum(), (1.0,)),
    "a ring": (lambda w: ((w**2).sum() - 1) ** 2 + 1, (0.3, 0.1)),
    "a valley without a floor in one coordinate": (lambda w: (w[0] - 1) ** 2 + 1, (0.0, 3.0)),
}


@pytest.mark.parametrize("name", MINIMA)
def test_a_minimum_is_no_saddle(name):
    run = solved(*(MINIMA[name][0], *MINIMA[name][1]))
    assert not run.certificate.saddle, run.why


PLATEAUS = {
    "far from a well": (lambda w: 1 - torch.exp(-((w - 30) ** 2)).sum(), (0.0,), "w[0]"),
    "in one coordinate": (lambda w: 2 - torch.exp(-((w[0] - 30) ** 2)) + (w[1] - 1) ** 2, (0.0, 0.0), "w[0]"),
    "a saturated sigmoid": (lambda w: torch.sigmoid(w - 800).sum() + 1, (0.0,), "w[0]"),
    "a clipped value": (lambda w: ((w[0].clamp(-1, 1) - 0.5) ** 2) + w[1] ** 2 + 1, (50.0, 1.0), "w[0]"),
}


@pytest.mark.parametrize("name", PLATEAUS)
def test_a_plateau_is_told(name):
    f, start, where = PLATEAUS[name]
    run = solved(f, *start)
    assert where in run.why
    assert "derivatives are 0" in run.why


def test_so_is_a_unit_of_a_net_that_no_example_reaches():
    def net(w):
        return ((torch.relu(w[0] * T + w[1]) * w[2] + w[3] - torch.sin(T)) ** 2).mean()

    run = solved(net, -1.0, -1.0, 0.5, 0.0)
    assert run.certificate.saddle or "derivatives are 0" in run.why


def test_a_coordinate_that_is_0_up_to_rounding_at_a_minimum_is_not_flat():
    x = torch.linspace(-3.5, 3.5, 15, dtype=torch.float64)

    def bell(w):
        return w[0] * torch.exp(-w[1] * (x - w[2]) ** 2 / 2) - 0.4 * torch.exp(-(x**2) / 2) - 1e-3 * torch.cos(x)

    run = ow.solve(ow.problems.nonlinear_least_squares(bell, [0.4, 1.0, 0.0]))
    assert run.status.ok
    assert abs(float(run.w[2])) < 1e-8
    assert "flat" not in run.why


def turned(size, seed=0):
    """An orthogonal matrix: no coordinate of what it turns lies along one of w."""
    found, _ = np.linalg.qr(np.random.default_rng(seed).standard_normal((size, size)))
    return torch.from_numpy(found)


DEGENERATE = {
    "third order": lambda z: (z[1:] ** 2).sum() + z[0] ** 3 + z[0] ** 4,
    "fourth order": lambda z: (z[1:] ** 2).sum() - z[0] ** 4 + z[0] ** 6,
    "sixth order": lambda z: (z[1:] ** 2).sum() - z[0] ** 6 + z[0] ** 8,
    "two together": lambda z: (z[2:] ** 2).sum() - (z[0] * z[1]) ** 2 + z[0] ** 6 + z[1] ** 6,
}


@pytest.mark.parametrize("size", [2, 5, 80, 300])
@pytest.mark.parametrize("level", [0.0, 1.0])
@pytest.mark.parametrize("name", DEGENERATE)
def test_a_saddle_of_higher_order_is_told_however_it_is_turned(name, level, size):
    """Every coordinate curves, and one direction among them does not; among 300 a few Hessian products find it."""
    Q = turned(size)
    if (name, size) == ("two together", 2):
        Q = torch.eye(2, dtype=torch.float64)
    run = solved(lambda w: level + DEGENERATE[name](Q @ w), *[0.0] * size)
    assert run.certificate.saddle
    assert level + DEGENERATE[name](Q @ (run.w + run.certificate.leaving)) < run.value


@pytest.mark.parametrize("unit", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize("level", [0.0, 5.0])
def test_a_descent_along_a_curve_alone_is_found(unit, level):
    """Peano's surface rises along every straight line through 0, and falls between two parabolas."""

    def f(w):
        x, y = w[0] / unit, w[1]
        return level + (y - x**2) * (y - 3 * x**2) + x**6

    run = solved(f, 0.0, 0.0)
    assert run.certificate.saddle
    assert f(run.w + run.certificate.leaving) < level


@pytest.mark.parametrize("constraint", [(-1.0, 1.0), (0.0, 5.0), ow.sets.L2Ball(1.0), ow.sets.Simplex(1.0)], ids=str)
@pytest.mark.parametrize("size", [3, 300])
def test_a_hilltop_of_fourth_order_is_told_within_a_set(constraint, size):
    centre = 1 / size if isinstance(constraint, ow.sets.Simplex) else 0.0
    problem = ow.problems.smooth(
        lambda w: 1 - (size * (w - centre) / 3).pow(4).sum(), [centre] * size, constraint=constraint
    )
    run = ow.solve(problem)
    assert run.certificate.saddle
    assert constraint_holds(problem, run.w + run.certificate.leaving)


def constraint_holds(problem, w):
    return bool(problem.constraint.contains(w, 1e-9))


BEHIND_A_HUMP = {
    "fourth order": lambda z: z**4 - 0.1 * z**6,
    "eighth order": lambda z: z**8 - z**10,
    "one side": lambda z: z**4 + 3 * z**5,
    "a well far away": lambda z: z**4 * (1 - 3 * torch.exp(-((z - 5) ** 2))),
}


@pytest.mark.parametrize("unit", [1e-6, 1e-3, 1.0, 1e3, 1e6])
@pytest.mark.parametrize("level", [0.0, 1.0, -1.0])
@pytest.mark.parametrize("name", BEHIND_A_HUMP)
def test_what_lies_lower_behind_a_hump_makes_no_saddle(name, level, unit):
    """0 is a strict minimum, and F is lower further on: nobody falls there."""
    for Q in (torch.eye(1, dtype=torch.float64), turned(3, seed=1)):

        def f(w, Q=Q):
            z = Q @ w / unit
            return level + z[1:].square().sum() + BEHIND_A_HUMP[name](z[0])

        run = solved(f, *[0.0] * len(Q))
        assert run.status is Status.STATIONARY
        assert not run.certificate.saddle, run.why


@pytest.mark.parametrize("power", [4, 6, 20])
@pytest.mark.parametrize("level", [0.0, 1.0, -1.0, 1e6])
def test_a_minimum_of_higher_order_is_none_from_anywhere(power, level):
    rng = np.random.default_rng(power)
    for start in rng.standard_normal((4, 3)) * [[0.1], [1.0], [1.0], [10.0]]:
        run = solved(lambda w: level + ((w[0] + w[1]) ** power + (w[1] - 2 * w[2]) ** 2), *start)
        assert not run.certificate.saddle, run.why


def test_a_bowl_around_coordinates_that_are_0_up_to_rounding_is_no_plateau():
    tiny = 1e-15 * np.arange(1, 5)

    def powell(w):
        return 1 + (w[0] + 10 * w[1]) ** 2 + 5 * (w[2] - w[3]) ** 2 + (w[1] - 2 * w[2]) ** 4 + 10 * (w[0] - w[3]) ** 4

    run = solved(powell, *tiny)
    assert run.status is Status.STATIONARY
    assert "derivatives are 0" not in run.why
    assert not run.certificate.saddle


FLAT_ELSEWHERE = {
    "a ball": ([0.0, 0.0], {"constraint": ow.sets.L2Ball(100.0)}),
    "a simplex": ([0.5, 0.5], {"constraint": ow.sets.Simplex(1.0)}),
    "differences": ([0.5, 0.5], {"penalty": ow.penalties.TotalVariation1D(0.1)}),
    "100 coordinates": ([0.5] * 100, {}),
}


@pytest.mark.parametrize("name", FLAT_ELSEWHERE)
def test_a_plateau_is_told_within_sets_under_penalties_and_among_many(name):
    start, parts = FLAT_ELSEWHERE[name]
    run = ow.solve(ow.problems.smooth(lambda w: 1 - torch.exp(-((w - 90) ** 2)).sum(), start, **parts))
    assert "F is flat in w[0]" in run.why


def test_a_plateau_that_a_penalty_makes_a_minimum_is_none():
    penalty = ow.penalties.L1(0.1)
    run = ow.solve(ow.problems.smooth(lambda w: 1 - torch.exp(-((w - 90) ** 2)).sum(), [0.5, 0.0], penalty=penalty))
    assert run.status is Status.STATIONARY
    assert "derivatives are 0" not in run.why


@pytest.mark.parametrize("units", [4, 32])
def test_a_net_of_which_no_unit_is_reached_is_told(units):
    rng = np.random.default_rng(0)
    X, y = torch.from_numpy(rng.standard_normal((50, 8))), torch.from_numpy(rng.standard_normal(50))

    def net(w):
        weights, biases, out = w[: 8 * units].reshape(8, units), w[8 * units : 9 * units], w[9 * units : 10 * units]
        return (torch.relu(X @ weights + biases) @ out + w[-1] - y).square().mean()

    start = 0.3 * rng.standard_normal(10 * units + 1)
    start[8 * units : 9 * units] = -100.0
    run = solved(net, *start)
    assert "F is flat in w[0], w[1], w[2], ..." in run.why or run.certificate.saddle
