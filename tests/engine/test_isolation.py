"""A row that ends keeps its last finite point, is counted no further, and moves no neighbour by a bit."""

import math
from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch
from torch import nn

from optwise.core.method import UNSET, Hyper, Rule
from optwise.core.status import Status
from optwise.engine.loop import run_chunk
from optwise.methods import SGD, AdamW, Momentum
from optwise.methods.one_pass import blend, plus
from optwise.problems import half_squared_error

BATCHED = pytest.mark.parametrize("rung", ["vmap", "traced"])
DTYPES = pytest.mark.parametrize("dtype", ["float32", "float64"])


@pytest.fixture
def regression(make_problem, examples):
    """Squared errors: a large step makes a larger gradient, so that a run really blows up."""
    x, _ = examples
    return make_problem(
        lambda: nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 2)),
        loss=half_squared_error,
        given=(x, x[:, :2].sin()),
    )


def same_run(one, other):
    assert one.status is other.status
    assert one.counts == other.counts
    assert one.measurements == other.measurements
    assert all(torch.equal(leaf, other.state_dict()[name]) for name, leaf in one.state_dict().items())


@BATCHED
@DTYPES
@pytest.mark.parametrize("family", [SGD, Momentum, AdamW])
def test_neighbours_of_a_row_that_blows_up_do_not_change_by_a_bit(regression, chunk_of, rung, dtype, family):
    # AdamW steps by lr whatever the gradient: only the largest numbers leave its range
    bad = 1e30 if family is not AdamW else 1e307
    rates = [0.01, 0.02, bad, 0.03, 0.05]
    sane = [0.01 if rate == bad else rate for rate in rates]
    blown, calm = (
        run_chunk(regression, chunk_of([family(lr=lr) for lr in r], rung, dtype=dtype)).runs for r in (rates, sane)
    )
    assert blown[2].status is Status.NOT_FINITE
    assert blown[2].infeasible
    for t in (0, 1, 3, 4):
        same_run(blown[t], calm[t])


@BATCHED
@DTYPES
def test_a_row_that_ends_keeps_its_last_finite_point_and_count(regression, chunk_of, rung, dtype):
    methods = [SGD(lr=1e-2), SGD(lr=1e30)]
    together = run_chunk(regression, chunk_of(methods, rung, dtype=dtype)).runs
    alone = run_chunk(regression, chunk_of(methods, "solo", dtype=dtype)).runs
    for run, solo in zip(together, alone, strict=True):
        assert run.status is solo.status
        assert run.counts == solo.counts
        for name, leaf in run.state_dict().items():
            assert torch.isfinite(leaf).all()
            torch.testing.assert_close(leaf, solo.state_dict()[name], rtol=1e-5 if dtype == "float32" else 1e-9, atol=0)
    ended = together[1]
    assert 1 <= ended.counts["steps"] < 12
    widths = [16, 16, 16, 2] * 3
    seen = sum(widths[: int(ended.counts["steps"])])
    assert ended.counts["example-gradients"] == ended.counts["examples"] == seen
    assert together[0].counts["steps"] == 12
    assert together[0].counts["examples"] == sum(widths) == 3 * 50
    assert {m.step for m in ended.measurements} == {k for k in (0, 4, 8) if k < ended.counts["steps"]}
    assert {m.step for m in together[0].measurements} == {0, 4, 8, 12}


@dataclass(frozen=True)
class Averaged(Rule):
    """Gradient descent measured at an average kept in its state."""

    lr: Hyper = UNSET
    memory: Hyper = UNSET

    defaults: ClassVar = {"lr": 0.1, "memory": 0.5}

    def init(self, w):
        return {"average": w.clone()}

    def step(self, w, g, state):
        w = plus(w, -self.lr, g)
        return w, {"average": blend(w, self.memory, state["average"])}

    def evaluation_weights(self, w, state):
        return state["average"]


@BATCHED
def test_the_measured_point_of_an_ended_row_is_finite_too(regression, chunk_of, rung):
    runs = run_chunk(regression, chunk_of([Averaged(lr=0.01), Averaged(lr=1e30)], rung)).runs
    assert [run.status for run in runs] == [Status.BUDGET_SPENT, Status.NOT_FINITE]
    assert all(torch.isfinite(leaf).all() for run in runs for leaf in run.state_dict().values())


@BATCHED
def test_when_every_row_has_ended_the_chunk_ends(regression, chunk_of, rung):
    runs = run_chunk(regression, chunk_of([SGD(lr=1e30)] * 3, rung, steps=200, every=100)).runs
    assert {run.status for run in runs} == {Status.NOT_FINITE}
    assert all(math.isfinite(m.value) for run in runs for m in run.measurements)


class Blind(nn.Module):
    """Fits in training mode and divides by zero in evaluation mode once its weights have moved."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(6, 3)
        with torch.no_grad():
            self.linear.bias.zero_()

    def forward(self, x):
        scores = self.linear(x)
        return scores if self.training else scores + 0 * torch.log(1 - self.linear.bias.abs().sum().clamp(max=1.0))


@BATCHED
def test_a_row_whose_measure_is_not_finite_ends_with_that_measurement(make_problem, chunk_of, rung):
    runs = run_chunk(make_problem(Blind), chunk_of([SGD(lr=1e-3), SGD(lr=50.0)], rung)).runs
    assert [run.status for run in runs] == [Status.BUDGET_SPENT, Status.NOT_FINITE]
    assert [math.isfinite(value) for _, value in runs[1].curve("valid/loss")] == [True, False]
