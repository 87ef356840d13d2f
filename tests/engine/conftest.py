"""A small problem with short last batches, and chunks of trials on it."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from optwise.core.run import TrialName
from optwise.engine.chunks import Chunk, Trial
from optwise.problems import from_module

EXAMPLES, INPUTS, CLASSES, BATCH = 50, 6, 3, 16  # 50 = 3 * 16 + 2


@pytest.fixture
def examples():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(EXAMPLES, INPUTS, generator=generator)
    return x, (x[:, :CLASSES] + 0.5 * torch.randn(EXAMPLES, CLASSES, generator=generator)).argmax(1)


@pytest.fixture
def problem(examples):
    return problem_of(lambda: nn.Sequential(nn.Linear(INPUTS, 8), nn.Tanh(), nn.Linear(8, CLASSES)), examples)


def problem_of(make_net, examples, loss=F.cross_entropy):
    return from_module(make_net, loss, examples, valid=examples, batch_size=BATCH, name="small")


@pytest.fixture
def make_problem(examples):
    return lambda make_net, loss=F.cross_entropy, given=None: problem_of(make_net, given or examples, loss)


def chunk_of(methods, rung="traced", *, steps=12, every=4, rows=64, dtype="float64", seeds=None, chunk_id="chunk"):
    trials = tuple(
        Trial(TrialName("small", "m", 0, i), f"key-{i}", method, i if seeds is None else seeds[i])
        for i, method in enumerate(methods)
    )
    return Chunk(
        id=chunk_id,
        rung=rung,
        rows=rows,
        steps=steps,
        evaluation_steps=tuple(range(0, steps + 1, every)),
        dtype=dtype,
        device="cpu",
        trials=trials,
        keep_weights=True,
        reason="a test",
    )


@pytest.fixture(name="chunk_of")
def chunk_of_fixture():
    return chunk_of
