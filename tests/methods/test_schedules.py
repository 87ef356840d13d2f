"""Schedules are closed forms of what torch's schedulers do step by step."""

import math

import numpy as np
import pytest
import torch
from torch.optim import lr_scheduler

from optwise.core.errors import BadMethod
from optwise.core.plain import plain
from optwise.core.space import LogUniform
from optwise.methods import (
    DEFAULT_SCHEDULE,
    SCHEDULES,
    SGD,
    Constant,
    Exponential,
    InverseSqrt,
    InverseTime,
    StepDecay,
    WarmupCosine,
    WarmupLinear,
    WarmupStableDecay,
)


def torch_factors(make_scheduler, steps):
    """Factors that a scheduler of torch gives an lr of 1, read before each step."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = make_scheduler(optimizer)
    factors = []
    for _ in range(steps):
        factors.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return np.array(factors)


def after_warmup(optimizer, W, decay):
    """Torch's warm-up over W steps, then ``decay``."""
    ramp = lr_scheduler.LinearLR(optimizer, 1 / W, total_iters=W - 1)
    return lr_scheduler.SequentialLR(optimizer, [ramp, decay(optimizer)], milestones=[W])


SAME_AS_TORCH = {
    "constant": (Constant(), lambda o: lr_scheduler.ConstantLR(o, 1.0)),
    "cosine": (
        WarmupCosine(warmup=0.0, final=0.1),
        lambda o: lr_scheduler.CosineAnnealingLR(o, T_max=40, eta_min=0.1),
    ),
    "warmup-cosine": (
        WarmupCosine(warmup=0.1),
        lambda o: after_warmup(o, 4, lambda o: lr_scheduler.CosineAnnealingLR(o, T_max=36)),
    ),
    "linear": (
        WarmupLinear(warmup=0.0, final=0.2),
        lambda o: lr_scheduler.LinearLR(o, 1.0, 0.2, total_iters=40),
    ),
    "warmup-linear": (
        WarmupLinear(warmup=0.25),
        lambda o: after_warmup(o, 10, lambda o: lr_scheduler.LinearLR(o, 1.0, 0.0, total_iters=30)),
    ),
    "step": (StepDecay(7, 0.3), lambda o: lr_scheduler.StepLR(o, 7, 0.3)),
    "exponential": (Exponential(0.9), lambda o: lr_scheduler.ExponentialLR(o, 0.9)),
}


@pytest.mark.parametrize("case", SAME_AS_TORCH)
def test_factors_are_those_of_torch_s_scheduler(case):
    """Torch multiplies from step to step, hence the tolerance."""
    schedule, make_scheduler = SAME_AS_TORCH[case]
    np.testing.assert_allclose(schedule.factors(40), torch_factors(make_scheduler, 40), rtol=1e-12, atol=1e-14)


WARMING = [WarmupCosine, WarmupLinear, WarmupStableDecay, InverseSqrt]


@pytest.mark.parametrize("cls", WARMING)
@pytest.mark.parametrize("steps", [1, 2, 19, 100, 1000])
@pytest.mark.parametrize("warmup", [0.0, 0.05, 0.29, 0.99])
def test_a_warmup_rises_evenly_to_one_at_its_last_step(cls, steps, warmup):
    factors = cls(warmup=warmup, **({"decay": 0.0} if cls is WarmupStableDecay else {})).factors(steps)
    W = min(round(warmup * steps), steps - 1)
    np.testing.assert_allclose(factors[:W], np.arange(1, W + 1) / max(W, 1))
    assert factors.max() == pytest.approx(1)
    assert (factors > 0).all()
    assert (factors <= 1).all()


@pytest.mark.parametrize("cls", [WarmupCosine, WarmupLinear, WarmupStableDecay])
@pytest.mark.parametrize("final", [0.0, 0.25])
def test_a_decay_ends_one_step_after_the_run(cls, final):
    """The last step still moves: it is one step short of ``final``."""
    schedule = cls(warmup=0.05, final=final)
    last = schedule.factors(1000)[-1]
    assert final < last < final + 0.006
    assert schedule.factor(np.array([1000.0]), 1000) == pytest.approx(final, abs=1e-12)


def test_the_plateau_is_flat_between_warmup_and_decay():
    factors = WarmupStableDecay(warmup=0.1, decay=0.2).factors(100)
    assert (factors[9:81] == 1).all()
    assert (np.diff(factors[80:]) < 0).all()


def test_past_its_horizon_a_schedule_stays_where_it_is():
    short, long = WarmupCosine(horizon=10).factors(10), WarmupCosine(horizon=10).factors(15)
    np.testing.assert_array_equal(long, np.append(short, [short[-1]] * 5))


def test_only_a_schedule_that_looks_at_the_end_needs_a_horizon():
    free = [Constant(), StepDecay(10), Exponential(0.9), InverseSqrt(warmup=0.0), InverseTime(0.1)]
    bound = [WarmupCosine(), WarmupLinear(), WarmupStableDecay(), InverseSqrt(), InverseSqrt(LogUniform(0.01, 0.1))]
    assert not any(schedule.needs_horizon for schedule in free)
    assert all(schedule.needs_horizon for schedule in bound)
    for schedule in free:
        np.testing.assert_array_equal(schedule.factors(10), schedule.factors(100)[:10])


def test_inverse_time_makes_gradient_descent_the_running_mean():
    """On the mean of 1/2 (w - x_i)^2: w + (x - w) / (k + 1), whatever the start."""
    x = torch.randn(50, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    w, state = torch.tensor(7.0, dtype=torch.float64), {}
    seen = []
    for example, factor in zip(x, InverseTime(decay=1.0).factors(50), strict=True):
        w, state = SGD(lr=1.0).at_lr(1.0 * factor).step(w, w - example, state)
        seen.append(w)
    # 50 steps, each with a few roundings of a number of order 1
    torch.testing.assert_close(torch.stack(seen), x.cumsum(0) / torch.arange(1, 51), rtol=0, atol=1e-14)


def test_inverse_time_is_torch_s_lambda():
    theirs = torch_factors(lambda o: lr_scheduler.LambdaLR(o, lambda k: 1 / (1 + 0.3 * k)), 40)
    np.testing.assert_allclose(InverseTime(0.3).factors(40), theirs, rtol=1e-15)


@pytest.mark.parametrize(
    ("build", "sentence"),
    [
        (lambda: WarmupCosine(warmup=1.0), r"WarmupCosine.warmup is 1.0; it must lie in \[0, 1\)"),
        (lambda: WarmupLinear(final=-0.1), "WarmupLinear.final is -0.1"),
        (lambda: WarmupStableDecay(decay=1.5), r"WarmupStableDecay.decay is 1.5; it must lie in \[0, 1\]"),
        (lambda: StepDecay(0), "StepDecay.every is 0"),
        (lambda: Exponential(math.nan), "Exponential.gamma is nan"),
        (lambda: InverseTime(-1.0), "InverseTime.decay is -1.0"),
    ],
)
def test_a_number_outside_its_limits_is_refused(build, sentence):
    with pytest.raises(BadMethod, match=sentence):
        build()


def test_schedules_have_names_and_the_default_one_a_description():
    assert all(cls.__name__.lower() == name.replace("-", "") for name, cls in SCHEDULES.items())
    assert plain(DEFAULT_SCHEDULE) == {"class": "WarmupCosine", "horizon": None, "warmup": 0.05, "final": 0.0}
