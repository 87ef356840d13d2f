"""Data are the caller's: what writes into its input gets copies, and computes what it would on fresh batches."""

import cloudpickle
import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from optwise.core.metric import Direction, Metric
from optwise.engine.calibration import choose_rung
from optwise.engine.loop import run_chunk
from optwise.methods import SGD, Constant, Torch
from optwise.problems import from_module
from optwise.problems.traits import WRITES

HITS, SCALE = Metric("hits", Direction.MAX), Metric("scale")


class Halving(nn.Linear):
    def forward(self, x):
        x /= 2
        return super().forward(x)


class Halved(nn.Linear):
    def forward(self, x):
        return super().forward(x / 2)


class CenteringToMeasure(nn.Linear):
    def forward(self, x):
        if not self.training:
            x -= 1.0
        return super().forward(x)


class CenteredToMeasure(nn.Linear):
    def forward(self, x):
        return super().forward(x if self.training else x - 1.0)


def loss(outputs, y):
    return F.cross_entropy(outputs, y, reduction="none")


def loss_that_smooths_labels(outputs, y):
    y.clamp_(0, 1)
    return F.cross_entropy(outputs, y, reduction="none")


def loss_of_smoothed_labels(outputs, y):
    return F.cross_entropy(outputs, y.clamp(0, 1), reduction="none")


def scale_in_place(outputs, y):
    return outputs.abs_().mean(1)


def scale(outputs, y):
    return outputs.abs().mean(1)


def hits(outputs, y):
    return (outputs.argmax(1) == y).to(outputs.dtype)


# what writes, and the same without writing
PAIRS = {
    "network": ((lambda: Halving(6, 3), loss, {}), (lambda: Halved(6, 3), loss, {})),
    "first layer": (
        (lambda: nn.Sequential(nn.ReLU(inplace=True), nn.Linear(6, 3)), loss, {}),
        (lambda: nn.Sequential(nn.ReLU(), nn.Linear(6, 3)), loss, {}),
    ),
    "network while measuring": (
        (lambda: CenteringToMeasure(6, 3), loss, {}),
        (lambda: CenteredToMeasure(6, 3), loss, {}),
    ),
    "loss": (
        (lambda: nn.Linear(6, 3), loss_that_smooths_labels, {HITS: hits}),
        (lambda: nn.Linear(6, 3), loss_of_smoothed_labels, {HITS: hits}),
    ),
    "metric": (
        (lambda: nn.Linear(6, 3), loss, {SCALE: scale_in_place, HITS: hits}),
        (lambda: nn.Linear(6, 3), loss, {SCALE: scale, HITS: hits}),
    ),
}
METHODS = [SGD(lr=0.2, schedule=Constant()), Torch(torch.optim.SGD, lr=0.2), Torch(torch.optim.LBFGS, lr=0.1)]


@pytest.fixture(params=PAIRS)
def pair(request, examples):
    def problem(parts):
        make_net, loss, metrics = parts
        return from_module(make_net, loss, examples, valid=examples, batch_size=16, metrics=metrics, name="small")

    return tuple(map(problem, PAIRS[request.param]))


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.label)
def test_what_writes_computes_what_it_would_without_writing(pair, method, chunk_of):
    writing, calm = pair
    chunk = chunk_of([method, method], "solo", every=3, steps=6)
    elsewhere = cloudpickle.loads(cloudpickle.dumps(writing))
    for run, again, other in zip(*(run_chunk(p, chunk).runs for p in (writing, elsewhere, calm)), strict=True):
        assert run.measurements == again.measurements == other.measurements
        for name, leaf in other.state_dict().items():
            torch.testing.assert_close(run.state_dict()[name], leaf, rtol=1e-13, atol=0)


def test_what_writes_runs_alone_for_that_reason_and_no_other(pair):
    writing, calm = pair
    assert writing.objective.unbatchable == WRITES
    assert calm.objective.unbatchable == ""
    assert choose_rung(writing, [SGD(lr=0.1)], most_rows=8, dtype="float32").reason == f"solo: the module {WRITES}"


def sources(x, y):
    return {
        "tensors": (x.clone(), y.clone()),
        "arrays that share memory": (x.clone().numpy(), y.clone().numpy()),
        "tensors over arrays": (torch.from_numpy(x.numpy().copy()), torch.from_numpy(y.numpy().copy())),
        "frames": (pd.DataFrame(x.numpy().copy()), pd.Series(y.numpy().copy())),
        "data set": torch.utils.data.TensorDataset(x.clone(), y.clone()),
        "transposed": (x.clone().t().contiguous().t(), y.clone()),
        "with a gradient": (x.clone().requires_grad_(), y.clone()),
    }


def parts_of(source):
    parts = source.tensors if isinstance(source, torch.utils.data.TensorDataset) else source
    return [torch.tensor(np.asarray(part.detach() if isinstance(part, torch.Tensor) else part)) for part in parts]


@pytest.mark.parametrize("kind", sources(torch.ones(2, 6), torch.zeros(2)))
def test_nothing_that_runs_reaches_the_caller_s_memory(kind, examples, chunk_of):
    source = sources(*examples)[kind]
    before = parts_of(source)
    # train and valid are one object here, and neither sees what happens to the other
    problem = from_module(lambda: Halving(6, 3), loss_that_smooths_labels, source, valid=source, batch_size=16)
    run = run_chunk(problem, chunk_of([SGD(lr=0.2)], "solo")).runs[0]
    assert run.status.ok
    assert all(torch.equal(a, b) for a, b in zip(parts_of(source), before, strict=True))
    assert torch.equal(problem.data.train.x.float(), before[0])
    assert problem.data.train.x.data_ptr() != problem.data.valid.x.data_ptr()
    assert not problem.data.train.x.requires_grad


def test_what_the_caller_does_to_the_data_later_does_not_reach_the_problem(examples):
    x, y = (part.clone() for part in examples)
    problem = from_module(lambda: nn.Linear(6, 3), loss, (x, y), batch_size=16)
    fingerprint = problem.fingerprint()
    x.zero_()
    assert problem.fingerprint() == fingerprint


class WritingLater(nn.Linear):
    """Behaves as long as it is looked at."""

    def forward(self, x):
        if self.training and float(self.weight.detach().abs().sum()) > 6.0:
            x.mul_(2.0)
        return super().forward(x)


def test_a_network_that_begins_to_write_later_ends_its_trial_with_a_sentence(examples, chunk_of):
    problem = from_module(lambda: WritingLater(6, 3), loss, examples, batch_size=16, name="small")
    run = run_chunk(problem, chunk_of([SGD(lr=5.0)], "solo")).runs[0]
    assert not run.status.ok
    assert "let it work on a copy, x = x.clone()" in run.traceback
