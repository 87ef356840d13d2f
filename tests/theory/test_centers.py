"""Weight decay pulls to 0 while the optimum is elsewhere: replicas of runs, sums over orders, closed forms."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from linear_methods import SCHEDULES

from optwise.core.errors import BadProblem
from optwise.core.run import TrialName
from optwise.core.space import LogUniform
from optwise.engine.chunks import Chunk, Trial
from optwise.engine.loop import run_chunk
from optwise.methods import EMA, SGD, Momentum, Nesterov, Polyak, Preconditioned, ScheduleFreeSGD
from optwise.problems import least_squares_sgd, mean_estimation, nqm
from optwise.theory import critical_batch_size, floor, forecast, max_lr, rate, steps_to, survey

DECAYING = {
    "sgd": SGD(lr=0.3, weight_decay=0.2),
    "momentum": Momentum(lr=0.1, momentum=0.8, weight_decay=0.2),
    "nesterov": Nesterov(lr=0.1, momentum=0.8, weight_decay=0.2),
    "ema": EMA(SGD(lr=0.3, weight_decay=0.2), decay=0.9),
    "polyak": Polyak(SGD(lr=0.3, weight_decay=0.2)),
    "preconditioned": Preconditioned(SGD(lr=0.2, weight_decay=0.2), power=0.5),
    "schedule-free": ScheduleFreeSGD(lr=0.5, momentum=0.9, weight_decay=0.2),
}
H, C, FAR = np.array([1.0, 0.4, 0.1]), np.array([1.0, 2.0, 0.5]), np.array([2.0, -3.0, 1.0])


def test_the_risk_of_a_mean_under_weight_decay_is_what_200_000_runs_have():
    """0.1094 on record; the mean comes to rest at 5 / 1.1, and the bias there is 0.1033."""
    problem = mean_estimation(mu=5.0, sigma=1.0, w0=0.0)
    found = forecast(problem, SGD(lr=0.1, weight_decay=0.1), 200, 4)
    assert found.risk[-1] == pytest.approx(0.1094, abs=1e-4)
    rest = 0.5 * (5 * 0.1 / 1.1) ** 2
    a = (1 - 0.11) ** 2
    assert found.floor == pytest.approx(rest + 0.5 * 0.1**2 / 4 / (1 - a), rel=1e-12)
    assert found.elsewhere == pytest.approx(rest, rel=1e-12)
    rng, w = np.random.default_rng(0), np.zeros(200_000)
    for _ in range(200):
        w -= 0.1 * (w - 5.0 + 0.5 * rng.standard_normal(w.size) + 0.1 * w)
    f = 0.5 * (w - 5.0) ** 2
    assert abs(f.mean() - found.risk[-1]) < 4 * f.std() / np.sqrt(w.size)
    assert f.std() == pytest.approx(found.deviation[-1], rel=0.02)


@pytest.mark.parametrize("replacement", [True, False])
def test_over_a_data_set_the_mean_rests_beside_its_own(replacement):
    problem = mean_estimation([1.0, 2.0, 6.0], replacement=replacement)
    found = forecast(problem, SGD(lr=0.1, weight_decay=0.5), 300, 1)
    rng, w = np.random.default_rng(1), np.zeros(40_000)
    x = np.array([1.0, 2.0, 6.0])
    for k in range(300):
        if replacement:
            drawn = rng.choice(x, w.size)
        else:
            if k % 3 == 0:
                order = rng.permuted(np.tile(x, (w.size, 1)), axis=1)
            drawn = order[:, k % 3]
        w -= 0.1 * (w - drawn + 0.5 * w)
    f = 0.5 * (w - 3.0) ** 2
    assert found.risk[-1] >= 0.5
    assert abs(f.mean() - found.risk[-1]) < 4 * f.std() / np.sqrt(w.size)


def engine_mean(method, replicas, steps, design):
    """Mean excess of the engine's own runs: one run on the spectrum repeated, or one a replica where rows couple."""
    if design:
        rng = np.random.default_rng(5)
        h, far = torch.from_numpy(H), torch.from_numpy(FAR)
        w = torch.zeros(replicas, 3, dtype=torch.float64)
        state = method.start(w, h.expand_as(w))
        factors = np.ones(steps) if method.schedule is None else method.schedule.factors(steps)
        for k in range(steps):
            rows = torch.from_numpy(rng.standard_normal((replicas, 4, 3)) * np.sqrt(H))
            error = (rows * (w - far)[:, None]).sum(-1) - 0.5 * torch.from_numpy(rng.standard_normal((replicas, 4)))
            g = (rows * error[..., None]).mean(1)
            w, state = replace(method, schedule=None).at_lr(method.values()["lr"] * float(factors[k])).step(w, g, state)
        f = (0.5 * h * (method.evaluation_weights(w, state) - far) ** 2).sum(1)
        return float(f.mean()), float(f.std()) / replicas**0.5
    many = nqm(h=np.tile(H, replicas), c=np.tile(C, replicas), w_star=np.tile(FAR, replicas), batch_size=4)
    trial = Trial(TrialName("nqm", method.label, 0, 0), "", method, 1)
    run = run_chunk(many, Chunk("mc", "vmap", 1, steps, (0, steps), "float64", "cpu", (trial,))).runs[0]
    return dict(run.curve("objective"))[steps] / replicas, None


@pytest.mark.parametrize("name", DECAYING)
@pytest.mark.parametrize("schedule", ["constant", "warmup-cosine"])
def test_runs_of_the_engine_scatter_about_the_forecast(name, schedule):
    method = replace(DECAYING[name], schedule=SCHEDULES[schedule])
    found = forecast(nqm(h=H, c=C, w_star=FAR, batch_size=4), method, 60)
    mean, _ = engine_mean(method, 4000, 60, design=False)
    assert abs(mean - found.risk[-1]) < 4 * found.deviation[-1] / np.sqrt(4000)
    without = forecast(nqm(h=H, c=C, batch_size=4), method, 60)
    assert abs(mean - without.risk[-1]) > 20 * found.deviation[-1] / np.sqrt(4000)  # the check can fail


@pytest.mark.slow
@pytest.mark.parametrize("design", [False, True])
@pytest.mark.parametrize("name", DECAYING)
def test_twenty_thousand_replicas_scatter_about_the_forecast(name, design):
    method = DECAYING[name]
    make = (lambda **k: least_squares_sgd(noise=0.5, **k)) if design else (lambda **k: nqm(c=C, **k))
    start = {"w0": np.zeros(3)} if design else {}
    found = forecast(make(h=H, w_star=FAR, batch_size=4, **start), method, 60)
    mean, error = engine_mean(method, 20_000, 60, design)
    assert abs(mean - found.risk[-1]) < 4 * (error or found.deviation[-1] / np.sqrt(20_000))


@pytest.mark.parametrize("make", [nqm, least_squares_sgd])
def test_without_decay_the_place_of_the_optimum_changes_nothing(make):
    for method in (SGD(lr=0.3), EMA(Momentum(lr=0.1, momentum=0.9), decay=0.9), Polyak(SGD(lr=0.2))):
        here, there = make(h=H), make(h=H, w_star=1e3 * FAR)
        np.testing.assert_allclose(forecast(here, method, 50, 4).risk, forecast(there, method, 50, 4).risk, rtol=1e-12)
        limits = [floor(problem, method, 4) for problem in (here, there)]
        assert limits == [None, None] or limits[0] == pytest.approx(limits[1], rel=1e-12)


def test_surveys_know_the_floor_that_decay_leaves():
    """Below the squared distance at which the mean rests no batch size and no number of steps meets a target."""
    problem, open_lr = nqm(h=H, c=C, w0=np.zeros(3), w_star=FAR), SGD(lr=LogUniform(0.01, 1.0), weight_decay=0.2)
    rest = 0.5 * (H * (FAR * 0.2 / (H + 0.2)) ** 2).sum()
    assert floor(problem, SGD(lr=0.3, weight_decay=0.2), 1e12) == pytest.approx(rest, rel=1e-9)
    assert np.isinf(steps_to(problem, [SGD(lr=0.3, weight_decay=0.2)], 0.99 * rest, [1, 1e12], max_steps=3000)).all()
    found = survey(problem, open_lr, 1.05 * rest, [64, 4096], points=9, max_steps=3000)
    for i, point in enumerate(found.points):
        for j, batch in enumerate((64, 4096)):
            k = forecast(problem, open_lr.close(point), 3000, batch).steps_to(1.05 * rest)
            assert found.steps[i, j] == (np.inf if k is None else k)
    assert np.isfinite(critical_batch_size(problem, open_lr, 1.05 * rest, points=9, max_steps=3000))


def test_what_decay_does_to_rates_and_limits_is_that_of_a_shifted_curvature():
    problem, method = nqm(h=H, c=C, w_star=FAR), SGD(lr=0.3, weight_decay=0.2)
    assert rate(problem, method) == pytest.approx(1 - 0.3 * (0.1 + 0.2), rel=1e-14)
    assert max_lr(problem, method) == pytest.approx(2 / 1.2, rel=1e-12)
    assert "nears its floor with it" in forecast(problem, method, 5, 4).rate_words


def test_many_curvatures_are_compressed_in_both_directions(monkeypatch):
    from optwise.theory import forecasting

    h = 1.0 / np.arange(1, 6001)
    rng = np.random.default_rng(0)
    for start in ({"w0": rng.normal(size=6000)}, {"w0": np.zeros(6000)}, {}):
        problem = nqm(h=h, w_star=rng.normal(size=6000), **start)
        for method in (SGD(lr=0.5, weight_decay=0.01), Momentum(lr=0.3, momentum=0.9, weight_decay=0.01)):
            small = forecast(problem, method, 300, 16)
            assert 0 < small.bound < 1e-6 * small.risk[0]
            with monkeypatch.context() as patch:
                patch.setattr(forecasting, "FULL_CURVATURES", 6000)
                full = forecast(problem, method, 300, 16)
            error = np.abs(small.bias - full.bias) + np.abs(small.noise - full.noise)
            assert error.max() <= small.bound + 1e-12 * full.risk[0]
            assert np.all(np.abs(small.risk - full.risk) <= 1e-9 * full.risk)
            target = float(full.risk[250])
            hits = np.flatnonzero(full.risk <= target * (1 + 1e-9))
            assert steps_to(problem, [method], target * (1 + 1e-9), [16], max_steps=300)[0, 0] == hits[0]


def test_a_quadratic_that_starts_elsewhere_than_its_problem_is_refused():
    problem = nqm(h=H, w0=FAR)
    with pytest.raises(BadProblem, match="does not start where its quadratic says"):
        forecast(replace(problem, start=nqm(h=H, w0=2 * FAR).start), SGD(lr=0.1), 5)


def test_an_optimum_of_unequal_length_is_refused():
    with pytest.raises(BadProblem, match="3 entries in h but 2 in w_star"):
        nqm(h=H, w_star=[1.0, 2.0])
