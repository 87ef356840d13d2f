"""The forecast lies in the middle of what runs do: the engine's own, torch.optim's, and schedulefree's."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from linear_methods import LINEAR, SCHEDULES

from optwise.core.run import TrialName
from optwise.engine.chunks import Chunk, Trial
from optwise.engine.loop import run_chunk
from optwise.methods import Momentum
from optwise.problems import nqm
from optwise.theory import forecast

i = np.arange(1, 9)
H, C, SECOND, BATCH = 1.0 / i, 1.0 / np.sqrt(i), 2.0, 4
MARKS = (1, 7, 60)


def small():
    return nqm(h=H, c=C, second_moment=SECOND, batch_size=BATCH)


def engine_means(method, replicas, seed, steps=MARKS[-1]):
    """Mean objective over replicas at the marks: one run of the engine on the spectrum repeated."""
    many = nqm(h=np.tile(H, replicas), c=np.tile(C, replicas), second_moment=SECOND, batch_size=BATCH)
    trial = Trial(TrialName("nqm", method.label, 0, 0), "", method, seed)
    run = run_chunk(many, Chunk("mc", "vmap", 1, steps, (0, *MARKS), "float64", "cpu", (trial,))).runs[0]
    return [value / replicas for step, value in run.curve("objective") if step > 0]


def scores(means, found, replicas):
    """How many standard errors the means lie off; the standard deviation is the forecast's own."""
    return [
        (mean - found.risk[k]) / (found.deviation[k] / np.sqrt(replicas)) for mean, k in zip(means, MARKS, strict=True)
    ]


@pytest.mark.parametrize("name", LINEAR)
def test_the_engines_own_runs_scatter_about_the_forecast(name):
    method, replicas = LINEAR[name], 2000
    found = forecast(small(), method, MARKS[-1])
    assert np.max(np.abs(scores(engine_means(method, replicas, 1), found, replicas))) < 4


def test_a_forecast_of_another_step_is_told_apart():
    """The check can fail: momentum 0.9 against 0.88, a hundredth of the step against 1.03 hundredths."""
    found = forecast(small(), Momentum(lr=0.1, momentum=0.88), MARKS[-1])
    means = engine_means(Momentum(lr=0.1, momentum=0.9), 2000, 1)
    assert np.max(np.abs(scores(means, found, 2000))) > 8


@pytest.mark.slow
@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("name", LINEAR)
def test_twenty_thousand_replicas_of_every_method_under_every_schedule(name, schedule):
    method, replicas = replace(LINEAR[name], schedule=SCHEDULES[schedule]), 20_000
    found = forecast(small(), method, MARKS[-1])
    z = scores(engine_means(method, replicas, 2), found, replicas)
    assert np.max(np.abs(z)) < 4


TORCH = {
    "sgd": {},
    "sgd-decay": {"weight_decay": 0.05},
    "momentum": {"momentum": 0.9},
    "dampened": {"momentum": 0.8, "dampening": 0.6, "weight_decay": 0.01},
    "nesterov": {"momentum": 0.9, "nesterov": True},
}


def torch_means(make, replicas, schedule, measured=lambda optimizer, w: w):
    """Mean objective of another implementation, its gradients made as the model says."""
    generator = torch.Generator().manual_seed(5)
    h, c = (torch.from_numpy(part) for part in (H, C))
    start = SECOND**0.5 * torch.randn(replicas, len(H), generator=generator, dtype=torch.float64)
    w = torch.nn.Parameter(start)
    optimizer = make(w)
    factors = schedule.factors(MARKS[-1])
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda k: float(factors[min(k, MARKS[-1] - 1)]))
    means = []
    for k in range(MARKS[-1]):
        noise = torch.randn(w.shape, generator=generator, dtype=torch.float64) * (c / BATCH).sqrt()
        w.grad = h * w.detach() + noise
        optimizer.step()
        scheduler.step()
        if k + 1 in MARKS:
            means.append(float((0.5 * h * measured(optimizer, w).detach() ** 2).sum(1).mean()))
    return means


@pytest.mark.slow
@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("name", TORCH)
def test_twenty_thousand_replicas_of_torch_optim(name, schedule):
    method, replicas = replace(LINEAR[name], schedule=SCHEDULES[schedule]), 20_000
    found = forecast(small(), method, MARKS[-1])
    lr = method.values()["lr"]
    means = torch_means(lambda w: torch.optim.SGD([w], lr=lr, **TORCH[name]), replicas, SCHEDULES[schedule])
    assert np.max(np.abs(scores(means, found, replicas))) < 4


@pytest.mark.slow
def test_twenty_thousand_replicas_of_schedulefree():
    import schedulefree

    method, replicas = LINEAR["schedule-free"], 20_000
    found = forecast(small(), method, MARKS[-1])

    def make(w):
        optimizer = schedulefree.SGDScheduleFree([w], lr=method.lr, momentum=method.momentum)
        optimizer.train()
        return optimizer

    def averaged(optimizer, w):
        optimizer.eval()
        x = w.detach().clone()
        optimizer.train()
        return x

    means = torch_means(make, replicas, SCHEDULES["constant"], averaged)
    assert np.max(np.abs(scores(means, found, replicas))) < 4
