"""A comparison of a network that keeps a state: each trial's numbers are its own, and what is said of data is kept."""

import json

import pytest
import torch
from small_comparisons import calibrated, compare, results
from torch import nn
from torch.utils.data import DataLoader, Dataset

import optwise as ow
from optwise.core.errors import DataNote
from optwise.engine.calibration import RungChoice
from optwise.report.provenance import problem_line

ASKED = {"studies": 2, "trials": 2, "seeds": 1, "budget": "6steps", "evaluations": 3}


class Counting(nn.Module):
    """Warms up over its first calls."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 3)
        self.calls = 0

    def forward(self, x):
        self.calls += 1
        x /= 2.0
        return self.linear(x) * min(1.0, self.calls / 5)


def problem(train=None, **more):
    generator = torch.Generator().manual_seed(7)
    x = torch.randn(60, 4, generator=generator)
    y = (x @ torch.randn(4, 3, generator=generator)).argmax(1)
    return ow.problems.from_module(
        Counting, nn.functional.cross_entropy, train or (x, y), valid=(x, y), batch_size=16, name="counting", **more
    )


@pytest.fixture(autouse=True)
def _alone(monkeypatch):
    choice = RungChoice("solo", 1, f"solo: the module {problem().objective.unbatchable}", {"solo": 1.0})
    monkeypatch.setattr("optwise.verbs.planning.calibrate", calibrated(choice))


def measured(comparison):
    return {str(run.name): run.measurements for run in comparison.runs}


METHODS = (ow.SGD(), ow.Torch(torch.optim.SGD, lr=ow.LogUniform(0.01, 1.0), name="theirs"))


def test_the_order_of_methods_changes_no_number(tmp_path):
    one, _ = compare(tmp_path / "one", problem(), METHODS, **ASKED)
    turned, _ = compare(tmp_path / "turned", problem(), METHODS[::-1], **ASKED)
    assert measured(one) == measured(turned)
    reasons = {run.execution.reason for run in one.runs if run.name.method == "sgd"}
    assert all("keeps a state of its own (calls)" in reason for reason in reasons)
    assert all("writes into its input" in reason for reason in reasons)


@pytest.mark.slow
def test_other_processes_change_no_number(tmp_path):
    one, _ = compare(tmp_path / "one", problem(), METHODS, **ASKED)
    apart, _ = compare(tmp_path / "apart", problem(), METHODS, **ASKED, workers=2, executor="processes")
    assert measured(one) == measured(apart)


class Noisy(Dataset):
    def __len__(self):
        return 40

    def __getitem__(self, index):
        return torch.randn(4), index % 3


def test_what_is_said_of_the_data_stands_in_the_record_and_on_the_page(tmp_path):
    loader = DataLoader(Noisy(), batch_size=16, shuffle=True, drop_last=True)
    with pytest.warns(DataNote, match="gives another example each time"):
        asked = problem(loader)
    comparison, _ = compare(tmp_path / "noisy", asked, (ow.SGD(lr=0.1), ow.SGD(lr=0.2, name="faster")), **ASKED)
    described = comparison.protocol.problems["counting"]
    assert described["notes"] == list(asked.notes)
    assert described["sampler"] == {"class": "Shuffled", "batch_size": 16, "drop_last": True}
    line = problem_line(results(tmp_path / "noisy"), comparison.protocol, "counting")
    assert "batch 16, the short last one of an epoch left out" in line
    assert line.endswith(asked.notes[0])
    assert json.loads(json.dumps(described["notes"])) == list(asked.notes)
    # a batch size that is asked for keeps what the loader says of the last one
    other, _ = compare(tmp_path / "other", asked, (ow.SGD(lr=0.1), ow.SGD(lr=0.2, name="b")), **ASKED, batch_size=8)
    assert other.protocol.problems["counting"]["sampler"]["drop_last"]
