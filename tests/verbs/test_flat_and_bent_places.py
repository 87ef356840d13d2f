"""Stationary points that are no minimum are told: saddles of any order, and plateaus from which nothing is seen."""

import numpy as np
import pytest
import torch

import optwise as ow

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
