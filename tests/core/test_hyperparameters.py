"""What a field of a method accepts: refused where it is given, in a sentence that says what to write."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import scipy.stats
import torch

from optwise.core.errors import BadMethod, BadSpace
from optwise.core.method import UNSET, Rule
from optwise.core.schedule import Schedule
from optwise.core.space import Choice, IntUniform, LogUniform, OneMinus, Uniform, When
from optwise.methods import SGD, AdamW, Constant, Exponential, Momentum, StepDecay, Torch, WarmupCosine

PAIR = "a pair is no range; write lr=LogUniform(0.0001, 0.1)"
SEVERAL = "where one number belongs; write lr=Choice(0.1, 0.2, 0.3)"
NO_NUMBERS = [
    ((1e-4, 1e-1), PAIR),
    ([1e-4, 1e-1], PAIR),
    ({1e-4, 1e-1}, PAIR),
    (np.array([1e-4, 1e-1]), PAIR),
    (torch.tensor([1e-4, 1e-1], dtype=torch.float64), PAIR),
    ((0.0, 0.5), "write lr=Uniform(0, 0.5)"),
    ([0.1, 0.2, 0.3], SEVERAL),
    (np.array([[0.1, 0.2, 0.3]]), SEVERAL),
    ([0.25], "where one number belongs; write lr=0.25"),
    (torch.tensor([0.25]), "write lr=0.25"),
    (range(1, 9), "write lr=IntUniform(1, 8)"),
    ("1e-3", "a string; write the number, lr=0.001"),
    ("1/4", "write the number, lr=0.25"),
    ("fast", "must be a number or a distribution"),
    (None, "leave it out for its default"),
    (True, "a flag; it must be a number"),
    (np.bool_(False), "a flag; it must be a number"),
    ({"low": 1e-4, "high": 1e-1}, "must be a number or a distribution"),
    (1e-3 + 0j, "must be a number or a distribution"),
    (lambda k: 0.1, "must be a number or a distribution"),
    (LogUniform, "a class; give its ends, as in lr=LogUniform(1e-4, 1e-1)"),
    (scipy.stats.loguniform(1e-4, 1e-1), "of scipy, which the search does not know"),
    (torch.distributions.Uniform(1e-4, 1e-1), "of torch, which the search does not know"),
    (Choice(0.1, "0.2"), "a string; write the number, lr=0.2"),
]


def adamw(**values):
    return AdamW(**values)


def torch_adamw(**values):
    return Torch(torch.optim.AdamW, **values)


@pytest.mark.parametrize("build", [adamw, torch_adamw], ids=["own", "torch"])
@pytest.mark.parametrize(("value", "sentence"), NO_NUMBERS, ids=lambda v: str(v).partition(" at 0x")[0][:30])
def test_a_learning_rate_that_is_no_number_is_refused_where_it_is_given(build, value, sentence):
    with pytest.raises(BadMethod) as refusal:
        build(lr=value)
    assert str(refusal.value).startswith("AdamW.lr is ")
    assert sentence in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("build", [adamw, torch_adamw], ids=["own", "torch"])
@pytest.mark.parametrize(
    "betas", [0.9, (0.9,), (0.9, 0.99, 0.999), {0.9, 0.99}, "0.9,0.99", LogUniform(0.1, 0.9), {"a": 1}, True]
)
def test_betas_are_two_numbers(build, betas):
    with pytest.raises(BadMethod, match=r"AdamW\.betas is .*; give two numbers, as in betas=\(0\.9, 0\.999\)"):
        build(betas=betas)


@pytest.mark.parametrize("build", [adamw, torch_adamw], ids=["own", "torch"])
@pytest.mark.parametrize(
    "betas",
    [(0.5, 0.75), [0.5, 0.75], np.array([0.5, 0.75]), torch.tensor([0.5, 0.75]), (np.float64(0.5), np.float32(0.75))],
    ids=lambda v: type(v).__name__,
)
def test_pairs_where_pairs_belong_are_taken_however_they_are_written(build, betas):
    assert build(lr=1e-3, betas=betas) == build(lr=1e-3, betas=(0.5, 0.75))
    assert build(lr=1e-3, betas=betas).describe() == build(lr=1e-3, betas=(0.5, 0.75)).describe()


@pytest.mark.parametrize("number", [np.float32(0.5), np.float64(0.5), np.array(0.5), np.array(0.5, dtype=np.float16)])
def test_numbers_of_numpy_are_put_on_record_as_plain_ones(number):
    assert type(SGD(lr=number).lr) is float
    assert SGD(lr=number).describe() == SGD(lr=0.5).describe()
    assert type(SGD(lr=np.int64(2)).lr) is int


def test_what_a_torch_class_reads_as_off_and_flags_are_left_to_it():
    method = Torch(torch.optim.SGD, lr=0.1, foreach=None, nesterov=Choice(True, False), momentum=0)
    assert method.hyperparameters["foreach"] is None
    assert set(method.space.fields) == {"nesterov"}
    with pytest.raises(BadMethod, match=r"SGD\.nesterov is 1; it must be True or False"):
        Torch(torch.optim.SGD, lr=0.1, nesterov=1)
    # the first of Adafactor's two is None by default: nobody knows its kind
    assert Torch(torch.optim.Adafactor, lr=0.1, eps=(1e-30, 1e-3)).hyperparameters["eps"] == (1e-30, 1e-3)


def test_a_whole_tuple_may_be_chosen_among_tuples():
    chosen = AdamW(betas=Choice([0.9, 0.99], (0.95, 0.999)))
    assert chosen.close({"betas": (0.95, 0.999)}).betas == (0.95, 0.999)
    with pytest.raises(BadMethod, match="give two numbers"):
        AdamW(betas=Choice((0.9, 0.99), 0.9))


@pytest.mark.parametrize(
    ("build", "sentence"),
    [
        (lambda: Momentum(momentum=Uniform(0.5, 2.0)), "which leads to 2; it must lie in [0, 1)"),
        (lambda: Momentum(momentum=OneMinus(LogUniform(0.5, 1.5))), "which leads to -0.5; it must lie in [0, 1)"),
        (lambda: SGD(lr=Choice(-1.0, 0.1)), "which leads to -1; it must lie in [0, inf)"),
        (lambda: AdamW(betas=(0.9, When("lr", 0.1, Uniform(0.1, 0.2), 1.5))), "which leads to 1.5"),
        (lambda: SGD(lr=float("inf")), "SGD.lr is inf; it must lie in [0, inf)"),
        (lambda: Torch(torch.optim.SGD, lr=-0.1), "lr is -0.1; it must lie in [0, inf)"),
    ],
)
def test_a_range_that_leaves_the_limits_is_refused_before_a_trial_meets_its_end(build, sentence):
    with pytest.raises(BadMethod) as refusal:
        build()
    assert sentence in str(refusal.value)


@pytest.mark.parametrize(
    "build",
    [
        lambda: LogUniform("1e-4", 0.1),
        lambda: Uniform(None, 0.1),
        lambda: Uniform(False, True),
        lambda: IntUniform(1.5, 2),
        lambda: OneMinus(0.1),
        lambda: OneMinus(Choice(0.1, 0.2)),
        lambda: When("lr", 0.1, 0.5, 0.0),
    ],
)
def test_a_distribution_without_numbers_at_its_ends_is_refused(build):
    with pytest.raises(BadSpace):
        build()


def test_a_tensor_that_no_record_can_hold_is_refused_when_it_is_described():
    with pytest.raises(BadMethod, match="sgd cannot be put on record"):
        SGD(lr=torch.tensor(0.1)).describe()


@dataclass(frozen=True)
class Undecided(Rule):
    lr: Any = UNSET

    def init(self, w):
        return {}

    def step(self, w, g, state):
        return w - self.lr * g, state


def test_a_rule_without_defaults_says_which_number_is_missing():
    with pytest.raises(BadMethod, match=r"Undecided\.lr has no default; give it"):
        Undecided()


@dataclass(frozen=True)
class Sawtooth(Schedule):
    period: int = 3

    def factor(self, k, horizon):
        return 1.0 - (k % self.period) / self.period


@dataclass(frozen=True)
class Scalar(Schedule):
    def factor(self, k, horizon):
        return 1.0


@dataclass(frozen=True)
class Branching(Schedule):
    def factor(self, k, horizon):
        return 1.0 if k < 3 else 0.5


def optimizer():
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)


AVAILABLE = (
    "Constant, Exponential, InverseSqrt, InverseTime, Milestones, StepDecay, Table, WarmupCosine, WarmupLinear, "
    "WarmupStableDecay"
)


@pytest.mark.parametrize("build", [SGD, lambda **v: Torch(torch.optim.SGD, **v)], ids=["own", "torch"])
@pytest.mark.parametrize(
    ("schedule", "sentence"),
    [
        (lambda k: 1.0, "a schedule of your own is a dataclass"),
        (torch.optim.lr_scheduler.OneCycleLR, "is torch.optim.lr_scheduler.OneCycleLR, which steps an optimizer"),
        (torch.optim.lr_scheduler.ExponentialLR(optimizer(), 0.9), "which steps an optimizer that it holds"),
        (Constant, "a class; write Constant()"),
        ("warmup-cosine", "which is no schedule"),
        (0.5, "which is no schedule"),
        ([1.0, 0.5, 0.1], "which is no schedule"),
        (Choice(Constant(), "cosine"), "'cosine', which is no schedule"),
    ],
)
def test_a_schedule_that_is_none_is_refused_where_it_is_given(build, schedule, sentence):
    with pytest.raises(BadMethod) as refusal:
        build(lr=0.1, schedule=schedule)
    assert sentence in str(refusal.value)
    assert AVAILABLE in str(refusal.value)


@pytest.mark.parametrize(
    ("build", "sentence"),
    [
        (lambda: SGD(lr=0.1, schedule=WarmupCosine(horizon=0)), "horizon is 0; give a whole number of steps"),
        (lambda: SGD(lr=0.1, schedule=WarmupCosine(horizon=10.5)), "horizon is 10.5"),
        (lambda: WarmupCosine(warmup="abc"), "WarmupCosine.warmup is 'abc'"),
        (lambda: WarmupCosine(warmup=(0.0, 0.2)), "a pair is no range; write warmup=Uniform(0, 0.2)"),
        (lambda: Exponential(None), "Exponential.gamma is None"),
        (lambda: StepDecay(True), "StepDecay.every is True"),
        (lambda: WarmupCosine(warmup=Uniform(0.0, 1.5)), "which leads to 1.5; it must lie in [0, 1)"),
        (lambda: SGD(lr=0.1, schedule=Scalar()), "SGD.schedule gives 1.0 for the steps 0 to 3"),
        (lambda: SGD(lr=0.1, schedule=Branching()), "SGD.schedule fails: ValueError"),
        (lambda: SGD(lr=0.1, schedule=Sawtooth(period=0)), "SGD.schedule"),
    ],
)
@pytest.mark.filterwarnings("ignore:(divide by zero|invalid value):RuntimeWarning")
def test_what_a_schedule_cannot_compute_with_is_refused_before_a_run(build, sentence):
    with pytest.raises(BadMethod) as refusal:
        build()
    assert sentence in str(refusal.value)


def test_schedules_of_one_s_own_and_choices_of_schedules_are_taken():
    assert SGD(lr=0.1, schedule=Sawtooth()).schedule.factors(4).tolist() == pytest.approx([1, 2 / 3, 1 / 3, 1])
    chosen = SGD(lr=0.1, schedule=Choice(Constant(), WarmupCosine()))
    assert chosen.close({"schedule": Constant()}) == SGD(lr=0.1, schedule=Constant())
