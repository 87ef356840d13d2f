"""Schedule-free gradient descent is schedulefree.SGDScheduleFree step by step, the gradient point and the average."""

import inspect

import pytest
import torch
from schedulefree import SGDScheduleFree
from torch.func import grad

from optwise.core.run import TrialName
from optwise.engine.chunks import Chunk, Trial
from optwise.engine.loop import run_chunk
from optwise.methods import EMA, METHODS, SGD, Constant, Polyak, ScheduleFreeSGD, Torch, WarmupCosine, WarmupLinear
from optwise.problems import from_module
from optwise.verbs.asking import ask

STEPS = 100
SETTINGS = {
    "as shipped": {},
    "small": {"lr": 0.1},
    "weight decay": {"lr": 0.3, "weight_decay": 0.05},
    "momentum": {"lr": 0.5, "momentum": 0.98},
    "little momentum": {"lr": 0.5, "momentum": 0.1},
    "weighted": {"lr": 0.3, "r": 1.5, "weight_lr_power": 1.0},
    "unweighted": {"lr": 0.3, "weight_lr_power": 0.0},
}


def quadratic():
    h = torch.logspace(-2, 0, 6, dtype=torch.float64)
    return lambda w: h * w, torch.linspace(-2, 3, 6, dtype=torch.float64)


def mlp():
    """Gradient of the squared error of a 3-4-1 tanh network on 8 examples, and a start."""
    generator = torch.Generator().manual_seed(0)
    x, y = (torch.randn(*shape, generator=generator, dtype=torch.float64) for shape in ((8, 3), (8,)))

    def loss(w):
        hidden = torch.tanh(x @ w[:12].reshape(3, 4) + w[12:16])
        return (hidden @ w[16:20] + w[20] - y).square().mean()

    return grad(loss), torch.randn(21, generator=generator, dtype=torch.float64) / 2


def their_run(gradient, start, factors, **settings):
    """Gradient points and averages of the package, ``factors`` rescaling its lr step by step."""
    p = torch.nn.Parameter(start.clone())
    optimizer = SGDScheduleFree([p], **settings)
    lr = optimizer.param_groups[0]["lr"]
    points, averages = [], []
    for factor in factors:
        optimizer.train()
        optimizer.param_groups[0]["lr"] = lr * factor
        p.grad = gradient(p.detach())
        optimizer.step()
        points.append(p.detach().clone())
        optimizer.eval()
        averages.append(p.detach().clone())
    return torch.stack(points), torch.stack(averages)


def our_run(rule, gradient, w, factors):
    state, lr = rule.init(w), rule.values()["lr"]
    points, averages = [], []
    for factor in factors:
        w, state = rule.at_lr(lr * factor).step(w, gradient(w), state)
        points.append(w)
        averages.append(rule.evaluation_weights(w, state))
    return torch.stack(points), torch.stack(averages)


def relative(a, b):
    return float(((a - b).norm(dim=1) / b.norm(dim=1)).max())


FACTORS = {
    "constant": [1.0] * STEPS,
    "warm-up": [min((k + 1) / 20, 1.0) for k in range(STEPS)],
    "warm-up from 0": [min(k / 20, 1.0) for k in range(STEPS)],
    "decay": WarmupCosine(warmup=0.1).factors(STEPS).tolist(),
}


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("schedule", FACTORS)
@pytest.mark.parametrize("problem", [quadratic, mlp])
def test_it_is_the_package_step_by_step(problem, schedule, setting):
    """Theirs goes back and forth between y and x by extrapolation, which costs digits at momentum 0.1: up to 7e-14."""
    gradient, start = problem()
    points, averages = their_run(gradient, start, FACTORS[schedule], **SETTINGS[setting])
    ours, averaged = our_run(ScheduleFreeSGD(**{"lr": 1.0, **SETTINGS[setting]}), gradient, start, FACTORS[schedule])
    assert relative(ours, points) <= 1e-12
    assert relative(averaged, averages) <= 1e-12
    assert relative(ours, averaged) > 1e-3


def test_without_momentum_it_is_gradient_descent_measured_at_its_mean():
    """At equal weights x is the mean of z_1 .. z_k, and the gradient is taken at z."""
    gradient, start = quadratic()
    points, averages = our_run(ScheduleFreeSGD(lr=0.5, momentum=0.0), gradient, start, [1.0] * STEPS)
    iterates, means = our_run(Polyak(SGD(lr=0.5)), gradient, start, [1.0] * STEPS)
    torch.testing.assert_close(points, iterates, rtol=1e-13, atol=1e-14)
    torch.testing.assert_close(averages, means, rtol=1e-13, atol=1e-14)


def test_with_full_momentum_gradients_are_taken_at_the_average():
    gradient, start = quadratic()
    points, averages = our_run(ScheduleFreeSGD(lr=0.5, momentum=1.0), gradient, start, [1.0] * STEPS)
    assert torch.equal(points, averages)


def test_while_the_step_size_is_zero_nothing_moves_and_nothing_is_weighed():
    gradient, start = quadratic()
    points, averages = our_run(ScheduleFreeSGD(lr=0.5), gradient, start, [0.0, 0.0, 1.0])
    assert torch.equal(points[1], start)
    assert torch.equal(averages[1], start)
    torch.testing.assert_close(averages[2], start - 0.5 * gradient(start), rtol=1e-14, atol=1e-15)


def test_defaults_and_the_order_of_hyperparameters_are_those_of_the_package():
    shipped = inspect.signature(SGDScheduleFree).parameters
    names = ScheduleFreeSGD.hyperparameter_names()
    assert [name for name in shipped if name in names] == list(names)
    assert {name: shipped[name].default for name in names} == ScheduleFreeSGD.defaults


@pytest.mark.parametrize("schedule", [None, WarmupLinear(final=1.0)])
@pytest.mark.parametrize("rung", ["solo", "traced"])
def test_in_the_engine_it_is_the_package_run_as_it_ships(rung, schedule):
    """Measured at the average, with short last batches; the class runs unmodified."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(50, 4, generator=generator)
    problem = from_module(
        lambda: torch.nn.Linear(4, 3), torch.nn.functional.cross_entropy, (x, x[:, :3].argmax(1)), batch_size=16
    )

    def run(method, rung):
        trial = Trial(TrialName("p", "m", 0, 0), "key", method, 3)
        steps = tuple(range(0, 21, 5))
        chunk = Chunk("c", rung, 1, 20, steps, "float64", "cpu", (trial,), splits=("train",), keep_weights=True)
        return run_chunk(problem, chunk).runs[0]

    ours = run(ScheduleFreeSGD(lr=0.5, weight_decay=0.01, schedule=schedule), rung)
    theirs = run(Torch(SGDScheduleFree, lr=0.5, weight_decay=0.01, schedule=schedule), "solo")
    assert ours.counts == theirs.counts
    for name, leaf in theirs.state_dict().items():
        torch.testing.assert_close(ours.state_dict()[name], leaf, rtol=1e-12, atol=1e-13)
    for one, other in zip(ours.measurements, theirs.measurements, strict=True):
        assert (one.step, one.metric) == (other.step, other.metric)
        assert one.value == pytest.approx(other.value, rel=1e-11)


def test_a_comparison_hands_its_schedule_to_others_only():
    own = WarmupLinear(final=1.0)
    methods = [
        SGD(),
        ScheduleFreeSGD(),
        EMA(ScheduleFreeSGD()),
        ScheduleFreeSGD(schedule=own, name="warmed-up"),
        METHODS["schedule-free-sgd"](lr=0.1, name="closed"),
    ]
    problem = from_module(
        lambda: torch.nn.Linear(2, 1), torch.nn.functional.mse_loss, (torch.ones(4, 2), torch.ones(4, 1)), name="p"
    )
    asked = ask(problem, methods, schedule=WarmupCosine()).protocol.methods
    assert {name: method.schedule for name, method in asked.items()} == {
        "sgd": WarmupCosine(),
        "schedule-free-sgd": Constant(),
        "ema-schedule-free-sgd": Constant(),
        "warmed-up": own,
        "closed": Constant(),
    }
    assert all(method.at_defaults().schedule is None for method in asked.values())
