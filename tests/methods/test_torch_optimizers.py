"""A class of torch.optim's or the user's runs unmodified, one step a time, and its mistakes stay its own."""

import importlib.util
import itertools
from pathlib import Path

import cloudpickle
import pytest
import torch

from optwise.core.errors import BadMethod
from optwise.core.method import Oracles
from optwise.core.space import IntUniform, LogUniform, OneMinus
from optwise.methods import AdamW, Torch, WarmupCosine

EXAMPLE = Path(__file__).parents[2] / "examples" / "own_optimizer.py"


def own_class():
    spec = importlib.util.spec_from_file_location("own_optimizer", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.SignMomentum


class Bowl(Oracles):
    """Half the squared distance to 1 over two leaves, stretched; every question is counted."""

    def __init__(self):
        self.asked = 0

    def value(self, w):
        return 0.5 * sum((h * (leaf - 1).square()).sum() for h, leaf in zip((1.0, 0.1), w.values(), strict=True))

    def value_and_gradient(self, w):
        self.asked += 1
        return self.value(w), {name: h * (leaf - 1) for h, (name, leaf) in zip((1.0, 0.1), w.items(), strict=True)}


def start():
    return {"a": torch.zeros(3, dtype=torch.float64), "b": torch.full((2, 2), 3.0, dtype=torch.float64)}


def run(method, steps, oracles=None, factors=None):
    """Weights and losses after each of ``steps`` steps."""
    oracles = oracles or Bowl()
    iterates = method.iterate(oracles, start())
    taken = []
    for k in range(steps):
        oracles.factor = 1.0 if factors is None else factors[k]
        taken.append(next(iterates))
    return taken


def plain_loop(cls, steps, scheduler=None, **arguments):
    """The loop that everybody writes."""
    parameters = [torch.nn.Parameter(leaf) for leaf in start().values()]
    optimizer = cls(parameters, **arguments)
    schedule = scheduler and scheduler(optimizer)
    for _ in range(steps):
        optimizer.zero_grad()
        loss = Bowl().value(dict(zip("ab", parameters, strict=True)))
        loss.backward()
        optimizer.step()
        if schedule:
            schedule.step()
    return [p.detach() for p in parameters]


class Signs(torch.optim.SGD):
    """Takes signs, then leaves the step to its base."""

    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                p.grad = p.grad.sign()
        return super().step(closure)


class SignsInPlace(torch.optim.SGD):
    """The same without a closure, in place."""

    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                p.grad.sign_()
        return super().step()


class Clears(torch.optim.SGD):
    """Asks for its gradient from nothing, as a class with a closure may."""

    def step(self, closure=None):
        if closure is not None:
            self.zero_grad()
        return super().step(closure)


@pytest.mark.parametrize(
    ("cls", "arguments"),
    [
        (Signs, {"lr": 0.02}),
        (SignsInPlace, {"lr": 0.02}),
        (Clears, {"lr": 0.1}),
        (torch.optim.SGD, {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
        (torch.optim.Adam, {"lr": 0.05, "betas": (0.8, 0.99)}),
        (torch.optim.Adafactor, {"lr": 0.05}),
        (own_class(), {"lr": 0.01}),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_it_is_the_loop_that_everybody_writes(cls, arguments):
    oracles = Bowl()
    leaves, _ = run(Torch(cls, **arguments), 50, oracles)[-1]
    for ours, theirs in zip(leaves.values(), plain_loop(cls, 50, **arguments), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)
    assert oracles.asked == 50


def test_lbfgs_gets_its_closure_and_pays_for_every_evaluation():
    oracles = Bowl()
    leaves, info = run(Torch(torch.optim.LBFGS, lr=1.0, max_iter=5), 6, oracles)[-1]
    assert all(torch.allclose(leaf, torch.ones_like(leaf), atol=1e-6) for leaf in leaves.values())
    assert info["loss"] < 1e-11
    assert 6 < oracles.asked <= 6 * 6


class Sharpness(torch.optim.Optimizer):
    """SAM's shape: it moves first and asks afterwards."""

    def __init__(self, params, lr=0.1, rho=0.05):
        super().__init__(params, {"lr": lr, "rho": rho})

    @torch.no_grad()
    def step(self, closure=None):
        (group,) = self.param_groups
        lifts = [group["rho"] * p.grad.sign() for p in group["params"]]
        for p, lift in zip(group["params"], lifts, strict=True):
            p.data.add_(lift)
        closure()
        for p, lift in zip(group["params"], lifts, strict=True):
            p.data.sub_(lift).sub_(group["lr"] * p.grad)


def test_an_optimizer_that_moves_before_it_asks_sees_the_gradient_there():
    oracles = Bowl()
    leaves, _ = run(Torch(Sharpness, lr=0.1), 1, oracles)[-1]
    torch.testing.assert_close(leaves["a"], torch.full((3,), 0.105, dtype=torch.float64))  # -0.1 (0 - 0.05 - 1)
    assert oracles.asked == 2


def test_the_schedule_s_factor_reaches_every_group():
    factors = WarmupCosine(warmup=0.1).factors(40)
    leaves, _ = run(Torch(torch.optim.SGD, lr=0.5), 40, factors=factors)[-1]
    expected = plain_loop(
        torch.optim.SGD,
        40,
        lambda optimizer: torch.optim.lr_scheduler.LambdaLR(optimizer, lambda k: factors[min(k, 39)]),
        lr=0.5,
    )
    for ours, theirs in zip(leaves.values(), expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


class TwoFaced(torch.optim.SGD):
    """Schedule-free's shape: it steps at one point and is read at another, here one to the right."""

    read_at = 0.0

    def train(self):
        self.move_to(0.0)

    def eval(self):
        self.move_to(1.0)

    @torch.no_grad()
    def move_to(self, place):
        for p in self.param_groups[0]["params"]:
            p.add_(place - self.read_at)
        self.read_at = place


def test_modes_are_switched_before_a_step_and_before_reading():
    two_faced, plain = (run(Torch(cls, lr=0.1), 5) for cls in (TwoFaced, torch.optim.SGD))
    for (there, loss), (here, same_loss) in zip(two_faced, plain, strict=True):
        torch.testing.assert_close(there["a"], here["a"] + 1)
        assert loss == pytest.approx(same_loss)


def test_yielded_weights_are_the_reader_s_own():
    (first, _), (second, _) = run(Torch(torch.optim.SGD, lr=0.1), 2)
    assert not torch.equal(first["a"], second["a"])
    assert not any(leaf.requires_grad for leaf in first.values())


class RaisesAtStep37(torch.optim.SGD):
    """A user's mistake."""

    count = 0

    def step(self, closure=None):
        self.count += 1
        if self.count == 37:
            raise ZeroDivisionError("of the user's own making")
        return super().step(closure)


def test_an_exception_of_the_user_s_comes_through_at_its_step():
    iterates = Torch(RaisesAtStep37, lr=0.01).iterate(Bowl(), start())
    assert len(list(itertools.islice(iterates, 36))) == 36
    with pytest.raises(ZeroDivisionError, match="of the user's own making"):
        next(iterates)


def test_a_bare_class_is_open_in_lr_alone_over_a_borrowed_space():
    method = Torch(torch.optim.SGD)
    assert method.space.fields == {"lr": LogUniform(1e-5, 1e-1)}
    assert method.borrowed_space
    assert method.label == "sgd"
    chosen = Torch(torch.optim.SGD, lr=LogUniform(1e-3, 1.0), momentum=OneMinus(LogUniform(0.01, 0.3)), name="mine")
    assert list(chosen.space.fields) == ["lr", "momentum"]
    assert not chosen.borrowed_space
    assert chosen.label == "mine"


def test_a_given_hyperparameter_closes_lr_at_its_default():
    method = Torch(torch.optim.AdamW, weight_decay=0.1)
    assert not method.is_open
    assert method.values() == {"optimizer": torch.optim.AdamW, "lr": 1e-3, "weight_decay": 0.1}


def test_fields_close_by_their_path_also_inside_a_tuple():
    method = Torch(torch.optim.Adam, betas=(OneMinus(LogUniform(4e-3, 0.3)), 0.999))
    closed = method.close({"betas[0]": 0.95})
    assert closed == Torch(torch.optim.Adam, betas=(0.95, 0.999))
    run(closed, 2)


class NoDefault(torch.optim.SGD):
    def __init__(self, params, lr, period=3):
        super().__init__(params, lr=lr)


class NoLr(torch.optim.SGD):
    def __init__(self, params):
        super().__init__(params, lr=0.1)


def test_at_defaults_only_what_has_none_keeps_its_place():
    adam = Torch(torch.optim.Adam, lr=LogUniform(1e-2, 1.0), betas=(0.5, 0.5), schedule=WarmupCosine())
    assert adam.at_defaults() == Torch(torch.optim.Adam, lr=1e-3, betas=(0.9, 0.999))
    own = Torch(NoDefault, lr=LogUniform(1e-2, 1.0), period=IntUniform(5, 9)).at_defaults()
    assert own.hyperparameters == {"lr": pytest.approx(0.1), "period": 3}


@pytest.mark.parametrize(
    ("build", "sentence"),
    [
        (lambda: Torch(torch.nn.Linear), "no class of optimizers"),
        (lambda: Torch(torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))])), "not an instance"),
        (lambda: Torch(AdamW), "no class of optimizers"),
        (lambda: Torch(torch.optim.Adam, beta=0.9), "Adam takes no hyperparameter 'beta'; it takes lr, betas"),
        (lambda: Torch(NoDefault), "NoDefault has no default for lr"),
        (lambda: Torch(NoLr), "NoLr takes no lr"),
        (lambda: Torch(torch.optim.SGD, lr=-0.1), "Torch.lr is -0.1"),
    ],
)
def test_what_cannot_be_built_is_refused_in_a_sentence(build, sentence):
    with pytest.raises(BadMethod, match=sentence):
        build()


def test_an_open_method_takes_no_step():
    with pytest.raises(BadMethod, match=r"Torch\.lr is still open"):
        next(Torch(torch.optim.SGD).iterate(Bowl(), start()))


def test_it_is_described_by_names_and_travels_to_other_processes():
    method = Torch(own_class(), lr=0.01)
    assert method.describe() == {
        "class": "Torch",
        "schedule": None,
        "optimizer": "own_optimizer:SignMomentum",
        "hyperparameters": {"lr": 0.01},
    }
    copy = cloudpickle.loads(cloudpickle.dumps(Torch(torch.optim.Adam, lr=0.01, name="mine")))
    assert copy == Torch(torch.optim.Adam, lr=0.01, name="mine")
