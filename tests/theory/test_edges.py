"""At the edge of stability, without noise, without mass: the sentence is true and nothing breaks."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest
import torch

from optwise.core.method import UNSET, Hyper, Rule
from optwise.core.space import LogUniform
from optwise.core.status import Status
from optwise.methods import EMA, SGD, Momentum, Nesterov
from optwise.problems import least_squares_sgd, mean_estimation, nqm
from optwise.theory import critical_batch_size, floor, forecast, max_lr, rate, rates, steps_to, survey
from optwise.verbs.predicting import predict, prediction_text


@dataclass(frozen=True)
class Undamped(Rule):
    """Heavy ball with momentum 1: nothing is ever lost, and at lr h = 4 its roots meet at -1."""

    lr: Hyper = UNSET
    defaults: ClassVar[Mapping[str, Any]] = {"lr": 0.1}

    def init(self, w):
        return {"m": torch.zeros_like(w)}

    def step(self, w, g, state):
        m = state["m"] + g
        return w - self.lr * m, {"m": m}


AT_EDGE = [
    (SGD(lr=2.0), [1.0]),
    (SGD(lr=6.0), [1.0 / 3.0]),
    (SGD(lr=1.0, weight_decay=1.0), [1.0]),
    (Momentum(lr=3.8, momentum=0.9), [1.0]),
    (Momentum(lr=2 * 1.99 / 0.7, momentum=0.99), [0.7, 0.1]),
    (Nesterov(lr=2 * 1.9 / 2.8, momentum=0.9), [1.0]),
    (EMA(SGD(lr=2.0), decay=0.5), [1.0, 0.25]),
]


@pytest.mark.parametrize(("method", "h"), AT_EDGE)
def test_on_the_edge_without_noise_the_risk_neither_settles_at_0_nor_grows(method, h):
    problem = nqm(h=h, c=np.zeros(len(h)), w0=np.ones(len(h)))
    run = predict(problem, method, "4000steps")
    found = run.forecast
    assert rate(problem, method) == 1.0
    assert not found.diverges
    assert run.status is not Status.DIVERGES
    assert "stands on the edge of stability" in run.findings[0].evidence
    assert "diverges" not in prediction_text(run).replace("the slightest larger step diverges", "")
    # after 2^18 steps, by which rounding of a root has moved it by as much
    assert found.floor == pytest.approx(found.risk[-1], rel=1e-5)
    assert found.risk[-1] == pytest.approx(found.risk[2000], rel=1e-7)


@pytest.mark.parametrize(("method", "h"), AT_EDGE)
def test_on_the_edge_with_noise_the_risk_grows_linearly(method, h):
    found = forecast(nqm(h=h, c=np.ones(len(h))), method, 4000, 1)
    assert found.rate == 1.0
    assert found.edge
    assert found.diverges
    assert found.floor == np.inf
    slopes = [found.risk[k] - found.risk[k - 1000] for k in (3000, 4000)]
    assert slopes[1] == pytest.approx(slopes[0], rel=1e-6)
    said = predict(nqm(h=h, c=np.ones(len(h))), method, "10steps").findings[0].evidence
    assert "noise adds to the risk in every step" in said


@pytest.mark.parametrize("factor", [1 - 1e-9, 1 + 1e-9])
@pytest.mark.parametrize(("method", "h"), AT_EDGE[:2] + AT_EDGE[3:])
def test_a_billionth_beside_the_edge_is_no_edge(method, h, factor):
    own = method.close({"lr": method.values()["lr"] * factor})
    found = forecast(nqm(h=h, c=np.zeros(len(h)), w0=np.ones(len(h))), own, 10, 1)
    assert not found.edge
    assert found.diverges == (factor > 1)
    assert found.floor == (np.inf if factor > 1 else 0.0)


def test_roots_that_meet_on_the_circle_let_the_error_grow_as_a_power():
    found = forecast(nqm(h=[1.0], c=[0.0], w0=[1.0]), Undamped(lr=4.0), 2000, 1)
    assert found.rate == 1.0
    assert found.diverges
    assert found.floor == np.inf
    assert found.risk[2000] == pytest.approx(4 * found.risk[1000], rel=1e-2)
    run = predict(nqm(h=[1.0], c=[0.0], w0=[1.0]), Undamped(lr=4.0), "10steps")
    assert "grows as a power of the step" in run.findings[0].evidence


def test_roots_that_turn_on_the_circle_leave_a_risk_without_a_limit():
    found = forecast(nqm(h=[1.0], c=[0.0], w0=[1.0]), Undamped(lr=1.0), 500, 1)
    assert not found.diverges
    assert found.floor is None
    assert "at the edge of stability" in found.floor_words


def test_on_the_edge_of_noise_that_multiplies_the_risk_stays():
    """In one dimension (1 - a)^2 + 2 a^2 / B = 1 at a = 2 / (1 + 2 / B)."""
    for batch in (1, 4):
        method = SGD(lr=2 / (1 + 2 / batch))
        still, fed = least_squares_sgd(h=[1.0], noise=0.0, w0=[1.0]), least_squares_sgd(h=[1.0], noise=1.0, w0=[1.0])
        found = forecast(still, method, 300, batch)
        assert found.rate == pytest.approx(1.0, abs=1e-12)
        assert found.edge
        assert not found.diverges
        np.testing.assert_allclose(found.risk, 0.5, rtol=1e-9)
        assert forecast(fed, method, 300, batch).diverges
        assert max_lr(still, SGD(lr=1.0), batch) == pytest.approx(method.lr, rel=1e-9)


@pytest.mark.parametrize("noise", [0.0, 1.0])
@pytest.mark.parametrize("method", [SGD(lr=0.3), Momentum(lr=0.05, momentum=0.8), EMA(SGD(lr=0.2), decay=0.9)])
def test_where_noise_multiplies_the_rate_is_that_of_the_risk(method, noise):
    """0.99667 on record for d = 100 and lr 0.3 at B = 1, where the mean's own rate is 0.997 and its square 0.994."""
    problem = least_squares_sgd(h=[1.0, 0.2], noise=noise)
    found = forecast(problem, method, 6000, 1)
    excess = found.risk - found.floor
    assert found.rate == pytest.approx((excess[150] / excess[50]) ** 0.01, rel=1e-3)
    assert rate(problem, method, 1) == found.rate
    assert "second moments" in found.rate_words
    hundred = least_squares_sgd(d=100, noise=0.0)
    assert rate(hundred, SGD(lr=0.3), 1) == pytest.approx(0.99667, abs=5e-6)
    assert rates(hundred, SGD(lr=0.3)).max() == pytest.approx(0.997, abs=1e-9)


def test_where_noise_is_additive_the_risk_falls_with_the_square():
    found = forecast(nqm(h=[1.0, 0.5], c=[0.0, 0.0], w0=[1.0, 1.0]), SGD(lr=0.1), 400, 1)
    assert found.risk[400] / found.risk[399] == pytest.approx(found.rate**2, rel=1e-9)
    assert "falls with its square" in found.rate_words


def everything(problem, methods, target, batch):
    """Every question that theory answers, asked once."""
    first = methods[0]
    found = forecast(problem, first, 500, batch)
    floor(problem, first, batch), rates(problem, first), rate(problem, first, batch), max_lr(problem, first, batch)
    grid = survey(problem, SGD(lr=LogUniform(0.01, 1.0)), target, [batch], points=5, max_steps=500)
    critical_batch_size(problem, first, target, max_steps=500)
    hits = np.flatnonzero(found.risk <= target)
    assert steps_to(problem, methods, target, [batch], max_steps=500)[0, 0] == (hits[0] if hits.size else np.inf)
    assert grid.steps.shape == (5, 1)
    return found


D = 300
H = 1.0 / np.arange(1, D + 1)
WITHOUT = {
    "no noise": {"c": 0 * H, "w0": np.ones(D)},
    "no noise on the flat half": {"c": H * (np.arange(D) < 150), "w0": np.ones(D)},
    "no start": {"c": H, "w0": np.zeros(D)},
    "start in one direction": {"c": H * (np.arange(D) > 200), "w0": (np.arange(D) == 7).astype(float)},
    "neither": {"c": 0 * H, "w0": np.zeros(D)},
    "masses of 1e-300": {"c": np.where(np.arange(D) % 2, H, 1e-300), "w0": np.where(np.arange(D) % 3, 1.0, 1e-150)},
}


@pytest.mark.parametrize("flat", [False, True])
@pytest.mark.parametrize("case", WITHOUT)
def test_directions_without_mass_break_nothing(case, flat):
    h = np.where(np.arange(D) % 5 == 0, 0.0, H) if flat else H
    found = everything(nqm(h=h, **WITHOUT[case]), [SGD(lr=0.5), SGD(lr=0.1)], 0.01, 4.0)
    assert np.isfinite(found.risk).all()
    assert np.isfinite(found.deviation).all()
    if case == "neither":
        assert found.risk.max() == found.floor == 0


def test_a_large_spectrum_without_mass_in_places_is_compressed():
    h = 1.0 / np.arange(1, 6001)
    for c in (0 * h, h * (h > 0.01), h * (h < 1e-3)):
        found = forecast(nqm(h=h, c=c, w0=(h > 3e-3).astype(float)), Momentum(lr=0.5, momentum=0.9), 200, 4)
        assert np.isfinite(found.risk).all()


def test_a_direction_that_nothing_excites_does_not_diverge():
    """Beyond stability, and exactly at the optimum without noise: the gradient there is 0 for ever."""
    found = forecast(nqm(h=[1.0, 5.0], c=[1.0, 0.0], w0=[1.0, 0.0]), SGD(lr=0.5), 3000, 1)
    assert found.rate == 1.5
    assert not found.diverges
    assert found.floor == pytest.approx(found.risk[-1], rel=1e-12)
    assert np.isfinite(found.deviation).all()


def test_the_floor_of_flat_directions_keeps_its_digits():
    """It is lr c / (2 (2 - lr h)) whatever the curvature, down to 1e-12."""
    h = np.array([1.0, 1e-3, 1e-6, 1e-9, 1e-12])
    for i in range(5):
        c = np.where(np.arange(5) == i, 1.0, 0.0)
        assert floor(nqm(h=h, c=c), SGD(lr=0.1), 1) == pytest.approx(0.1 / (2 * (2 - 0.1 * h[i])), rel=1e-12)
        heavy = 1.9 * 0.1 / (2 * (3.8 - 0.1 * h[i]) * 0.1)
        assert floor(nqm(h=h, c=c), Momentum(lr=0.1, momentum=0.9), 1) == pytest.approx(heavy, rel=1e-9)


def test_no_steps_leave_the_risk_where_it_is():
    for method in (SGD(lr=0.0), Momentum(lr=0.0, momentum=0.9), EMA(SGD(lr=0.0), decay=0.5)):
        for problem in (nqm(h=[1.0, 0.5], w0=[3.0, 1.0]), least_squares_sgd(h=[1.0, 0.5], w0=[3.0, 1.0])):
            found = forecast(problem, method, 5, 1)
            np.testing.assert_array_equal(found.risk, 4.75)
            assert found.floor == 4.75
            assert not found.diverges


def test_epochs_are_said_to_have_no_floor_for_what_they_are():
    found = forecast(mean_estimation([1.0, 2.0, 6.0], replacement=False), SGD(lr=0.1), 20, 1)
    assert found.floor is None
    assert "with the epochs" in found.floor_words
