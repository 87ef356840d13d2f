"""The weights of a run's best evaluation are kept beside the final ones."""

from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.func import functional_call

from optwise.core.metric import Direction
from optwise.core.outcomes import best_value
from optwise.engine import chunks
from optwise.engine.loop import run_chunk
from optwise.methods import EMA, SGD, Torch

NET = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3)).double()
# rates at which a run gets worse again, and one at which it does not
METHODS = [SGD(lr=40.0), SGD(lr=8.0), SGD(lr=0.05), SGD(lr=15.0)]


def kept(chunk, metric="valid/loss"):
    return replace(chunk, keep_best=metric)


def measured(problem, leaves, metric):
    """Oracle: the module itself with the kept leaves."""
    split = problem.to(dtype=torch.float64).data.valid
    out = functional_call(NET, leaves, (split.x,))
    if metric == "valid/accuracy":
        return float((out.argmax(1) == split.y).double().mean())
    return float(nn.functional.cross_entropy(out, split.y))


@pytest.mark.parametrize("rung", ["solo", "vmap", "traced"])
@pytest.mark.parametrize(("metric", "direction"), [("valid/loss", Direction.MIN), ("valid/accuracy", Direction.MAX)])
def test_the_kept_weights_have_the_best_value_of_the_curve(problem, chunk_of, rung, metric, direction):
    runs = run_chunk(problem, kept(chunk_of(METHODS, rung, steps=20, every=2), metric)).runs
    for run in runs:
        curve = dict(run.curve(metric))
        best = best_value(run, metric, direction)
        assert curve[run.best_step] == best
        assert run.best_step == min(k for k, v in curve.items() if v == best and k > 0), "of equal ones the first"
        assert measured(problem, run.best_weights.load(), metric) == pytest.approx(best, rel=1e-12)
    assert len({run.best_step for run in runs}) > 1
    assert any(run.best_step < 20 for run in runs)


def test_sharing_a_pass_changes_nothing(problem, chunk_of):
    chunk = kept(chunk_of(METHODS, steps=20, every=2))
    solo, traced = (run_chunk(problem, replace(chunk, rung=rung)).runs for rung in ("solo", "traced"))
    for alone, together in zip(solo[1:3], traced[1:3], strict=True):  # the others are chaotic
        assert alone.best_step == together.best_step
        for name, leaf in alone.best_weights.load().items():
            torch.testing.assert_close(together.best_weights.load()[name], leaf, rtol=1e-9, atol=1e-12)


def test_a_procedure_keeps_them_too_and_the_final_ones_are_its_own(problem, chunk_of):
    chunk = kept(chunk_of([Torch(torch.optim.SGD, lr=40.0)], "solo", steps=20, every=2))
    (run,) = run_chunk(problem, chunk).runs
    assert run.best_step < 20
    assert measured(problem, run.best_weights.load(), "valid/loss") == pytest.approx(
        min(v for k, v in run.curve("valid/loss") if k)
    )
    assert measured(problem, run.state_dict(), "valid/loss") == pytest.approx(run.curve("valid/loss")[-1][1])
    assert not torch.equal(run.state_dict()["0.weight"], run.best_weights.load()["0.weight"])


def test_what_is_kept_of_an_average_is_the_average(problem, chunk_of):
    (run,) = run_chunk(problem, kept(chunk_of([EMA(SGD(lr=8.0), decay=0.5)], steps=20, every=2))).runs
    assert measured(problem, run.best_weights.load(), "valid/loss") == pytest.approx(
        dict(run.curve("valid/loss"))[run.best_step]
    )


def test_nothing_is_kept_where_nobody_asks_and_where_it_is_too_large(problem, chunk_of, monkeypatch):
    (run,) = run_chunk(problem, chunk_of([SGD(lr=0.1)])).runs
    assert (run.best_step, run.best_weights) == (None, None)
    monkeypatch.setattr(chunks, "KEPT_BYTES", 8)
    (run,) = run_chunk(problem, kept(chunk_of([SGD(lr=0.1)]))).runs
    assert run.best_step == 12
    assert (run.best_weights, run.weights) == (None, None)
