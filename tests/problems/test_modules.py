"""From a user's network, loss and data to a problem: starts, sources, refusals."""

import itertools
import runpy
from pathlib import Path

import cloudpickle
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, Dataset, IterableDataset, Subset, SubsetRandomSampler, TensorDataset

from optwise.core.errors import BadProblem
from optwise.core.metric import AtMost, Direction, Metric
from optwise.problems import from_module

X = np.random.default_rng(0).normal(size=(30, 4))
Y = np.arange(30) % 3
TENSORS = TensorDataset(torch.tensor(X), torch.tensor(Y))


def make_net():
    return nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3))


def build(**changed):
    arguments = {"make_net": make_net, "loss": F.cross_entropy, "train": (X, Y)} | changed
    return from_module(arguments.pop("make_net"), arguments.pop("loss"), arguments.pop("train"), **arguments)


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(leaf, other[name]) for name, leaf in one.items())


@pytest.mark.parametrize("net", [make_net, make_net()], ids=["factory", "instance"])
def test_a_start_repeats_for_one_seed_and_differs_between_seeds(net):
    problem = build(make_net=net)
    assert same(problem.start(7)[0], problem.start(7)[0])
    assert not same(problem.start(7)[0], problem.start(8)[0])


def test_a_factory_starts_where_plain_torch_starts_after_manual_seed():
    with torch.random.fork_rng():
        torch.manual_seed(11)
        plain = {name: p.detach() for name, p in make_net().named_parameters()}
    assert same(build().start(11)[0], plain)


class Pairs(Dataset):
    def __len__(self):
        return len(X)

    def __getitem__(self, index):
        return X[index], int(Y[index])


@pytest.mark.parametrize(
    ("source", "batch_size"),
    [
        ((X, Y), 64),
        ((X.tolist(), Y.astype(np.int32)), 64),
        ((torch.tensor(X), torch.tensor(Y)), 64),
        (Pairs(), 64),
        (TENSORS, 64),
        (DataLoader(TENSORS, batch_size=7, shuffle=True), 7),
        (DataLoader(Pairs(), batch_size=7, shuffle=True), 7),
        (DataLoader(TENSORS, batch_size=None, shuffle=True), 64),
    ],
)
def test_every_source_of_the_same_examples_makes_the_same_problem(source, batch_size):
    problem = build(train=source)
    assert problem.data.train.x.dtype == torch.float32
    assert problem.data.train.y.dtype == torch.int64
    assert problem.fingerprint() == build().fingerprint()
    assert problem.sampler.batch_size == batch_size


def test_a_batch_size_that_was_asked_for_goes_before_that_of_the_loader():
    assert build(train=DataLoader(TENSORS, batch_size=7, shuffle=True), batch_size=5).sampler.batch_size == 5


def test_floating_data_take_the_type_of_the_network():
    problem = build(make_net=lambda: make_net().double(), train=(X.astype(np.float32), Y))
    assert problem.data.train.x.dtype == torch.float64


def test_a_subset_of_a_data_set_is_a_split_of_its_own():
    problem = build(train=Subset(TENSORS, range(20)), valid=Subset(TENSORS, range(20, 30)))
    assert (problem.data.train.examples, problem.data.valid.examples) == (20, 10)


def test_the_name_is_given_or_that_of_the_network():
    assert build().name == "sequential"
    assert (
        build(name="mine", target=AtMost("train/loss", 0.1), reference="mine.py:problem").reference == "mine.py:problem"
    )


def test_further_metrics_are_measured_with_their_own_direction():
    confidence = Metric("confidence", Direction.MAX)
    problem = build(metrics={confidence: lambda outputs, _: outputs.softmax(1).amax(1)}, valid=(X, Y))
    assert problem.metric_names[-3:] == ("valid/loss", "valid/accuracy", "valid/confidence")
    assert problem.direction("valid/confidence") is Direction.MAX
    w, buffers = problem.start(0)
    measured = problem.objective.measure(w, buffers, problem.data.train.x, problem.data.train.y)
    assert measured.keys() == {"loss", "accuracy", "confidence"}


@pytest.mark.parametrize(
    ("loss", "width", "y", "names"),
    [
        (F.cross_entropy, 3, Y, ("loss", "accuracy")),
        (F.binary_cross_entropy_with_logits, 1, (Y[:, None] > 0).astype(float), ("loss", "accuracy")),
        (F.mse_loss, 1, X[:, :1], ("loss",)),
        (F.mse_loss, 1, (Y[:, None] > 0).astype(float), ("loss",)),
        (F.binary_cross_entropy_with_logits, 1, (Y[:, None] > 0) * 0.5, ("loss",)),
    ],
)
def test_accuracy_is_measured_where_the_task_is_classification(loss, width, y, names):
    problem = build(make_net=lambda: nn.Linear(4, width), loss=loss, train=(X, y))
    assert tuple(metric.name for metric in problem.metrics) == names


def test_a_problem_survives_the_way_to_another_process():
    problem = build(valid=(X, Y))
    copied = cloudpickle.loads(cloudpickle.dumps(problem))
    assert copied.fingerprint() == problem.fingerprint()
    assert same(copied.start(3)[0], problem.start(3)[0])


class Endless(IterableDataset):
    def __iter__(self):
        return iter(zip(X, Y, strict=True))


class Bare(nn.Module):
    """Owns a parameter, but cannot draw it again."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(3))
        self.layer = nn.Linear(4, 3)

    def forward(self, x):
        return self.scale * self.layer(x)


class Twice(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 3)

    def forward(self, x):
        return self.layer(x), x


def scaled_by(factor):
    net = nn.Linear(4, 3)
    nn.init.constant_(net.weight, factor)
    return net


WITH_NAN = np.where(np.eye(30, 4) > 0, np.nan, X)
COUNTER = itertools.count()
ONE_NET = make_net()


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"make_net": Bare()}, "no reset_parameters"),
        ({"make_net": nn.MultiheadAttention(4, 1)}, "no reset_parameters"),
        ({"make_net": lambda: ONE_NET}, "the same network each time"),
        ({"make_net": lambda: scaled_by(float(next(COUNTER)))}, "two different starts for one seed"),
        ({"make_net": lambda: 3}, "gives int, not a torch.nn.Module"),
        ({"make_net": lambda: 1 / 0}, "Building the network fails: ZeroDivisionError"),
        ({"make_net": nn.ReLU()}, "a module without parameters"),
        ({"make_net": lambda: nn.Linear(4, 3).requires_grad_(False)}, "a module without parameters"),
        ({"make_net": lambda: nn.LazyLinear(3)}, "has no shape yet"),
        ({"make_net": lambda: nn.Linear(5, 3)}, "fails on 30 training inputs, of shape (30, 4)"),
        ({"make_net": Twice}, "gives tuple for 30 examples"),
        ({"make_net": lambda: nn.Sequential(nn.Linear(4, 3), nn.Flatten(0))}, "gives shape (90,) for 30 examples"),
        ({"make_net": lambda: scaled_by(float("inf"))}, "not finite at the start"),
        ({"loss": lambda outputs, y: F.cross_entropy(outputs, y, reduction="sum")}, "is the sum over the 30 examples"),
        ({"loss": lambda outputs, y: outputs[0]}, "a loss whose shape is neither scalar nor per example"),
        ({"train": (WITH_NAN, Y)}, "train inputs hold 4 values that are not finite"),
        ({"valid": (X, np.where(Y > 0, np.nan, 0.0))}, "valid labels hold 20 values that are not finite"),
        ({"train": (X[:0], Y[:0])}, "The train split is empty"),
        ({"test": (X[:0], Y[:0])}, "The test split is empty"),
        ({"train": Subset(TENSORS, [])}, "The train split is empty"),
        ({"train": (X, Y[:9])}, "labels of shape (9,)"),
        ({"valid": (X, Y + 1)}, "The valid labels run from 1 to 3"),
        ({"train": (X, np.array(["a"] * 30))}, "cannot be read as numbers"),
        ({"train": X}, "are of type ndarray; give (x, y)"),
        ({"train": TensorDataset(torch.tensor(X))}, "give (x, y)"),
        ({"train": Endless()}, "an iterable data set"),
        ({"train": DataLoader(Endless(), batch_size=4)}, "an iterable data set"),
        ({"train": DataLoader(TENSORS, sampler=SubsetRandomSampler(range(9)))}, "may leave some out"),
        ({"metrics": {Metric("mean"): lambda outputs, y: outputs.mean()}}, "Metric 'mean' gives shape ()"),
        ({"name": "a/b"}, "holds a slash"),
    ],
)
def test_what_cannot_be_run_is_refused_in_one_sentence(changed, sentence):
    with pytest.raises(BadProblem) as refusal:
        build(**changed)
    assert sentence in str(refusal.value)


def test_a_loss_that_is_infinite_only_in_training_mode_is_refused():
    class Explodes(nn.Linear):
        def forward(self, x):
            return super().forward(x) / (0.0 if self.training else 1.0)

    with pytest.raises(BadProblem, match="in training mode"):
        build(make_net=lambda: Explodes(4, 3))


def test_the_example_of_an_own_problem_is_one():
    path = Path(__file__).parents[2] / "examples" / "own_problem.py"
    problem = runpy.run_path(str(path))["problem"]
    assert problem.name == "wine"
    assert problem.predictor == pytest.approx(np.log(3), abs=0.05)
    assert problem.data.valid.examples == 54
