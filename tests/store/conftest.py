"""A tiny method, runs made by hand, and a folder of a small protocol."""

from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch

from optwise.core.method import UNSET, Rule
from optwise.core.run import Execution, HeldWeights, Measurement, Run, TrialName
from optwise.core.space import LogUniform
from optwise.core.status import Status
from optwise.store.folder import Folder
from optwise.store.records import StoredRun

PROTOCOL = {
    "problems": {"digits": {"sampler": {"class": "Shuffled", "batch_size": 64}, "fingerprint": "ab" * 32}},
    "budget": "1000steps",
    "evaluations": 21,
    "trials": 16,
    "seeds": 4,
    "dtype": "float32",
    "seed": 0,
    "level": 0.95,
}


@dataclass(frozen=True, kw_only=True)
class Descent(Rule):
    lr: float = UNSET

    defaults: ClassVar = {"lr": 0.1}
    default_space: ClassVar = {"lr": LogUniform(1e-3, 1.0)}

    def init(self, w):
        return {}

    def step(self, w, g, state):
        return w - self.lr * g, state


def make_run(name="digits/descent/0/0", *, status=Status.BUDGET_SPENT, values=(2.5, 1.5), weights=None, **fields):
    steps = range(0, 10 * len(values), 10)
    measurements = [
        Measurement(k, split, "loss", value + shift)
        for k, value in zip(steps, values, strict=True)
        for split, shift in (("train", 0.0), ("valid", 0.25), ("test", 100.0))
    ]
    last = 10 * (len(values) - 1)
    settings = {
        "problem": "digits",
        "method": Descent(lr=0.5),
        "seed": 2**63 - 1,
        "status": status,
        "counts": {"steps": last, "examples": 60 * last, "example-gradients": 120 * last},
        "measurements": tuple(measurements),
        "execution": Execution("vmap", 16, "float32", "cpu", chunk="a", reason="small"),
        "name": TrialName.parse(name),
        "weights": None if weights is None else HeldWeights(weights),
    }
    return Run(**{**settings, **fields})


@pytest.fixture
def store():
    """Make a stored run: ``store(key, name, status=...)``."""

    def make(key, name="digits/descent/0/0", **fields):
        return StoredRun(key, make_run(name, **fields), {"lr": 0.5})

    return make


@pytest.fixture
def protocol():
    return {**PROTOCOL}


@pytest.fixture
def folder(tmp_path, protocol):
    with Folder.open(tmp_path / "runs", folder_hash="f" * 64, protocol=protocol) as opened:
        yield opened


@pytest.fixture
def leaves():
    return {
        "w": torch.tensor([[1.5, float("nan")], [-0.0, float("inf")]]),
        "scalar": torch.tensor(3.0, dtype=torch.float64),
        "count": torch.tensor([7], dtype=torch.int64),
        "empty": torch.zeros(0, 3),
        "half": torch.tensor([1.0, -2.0], dtype=torch.bfloat16),
    }
