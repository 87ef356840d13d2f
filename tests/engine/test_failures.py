"""What goes wrong with one trial is that trial's status, and takes nobody else along."""

import pytest
import torch

from optwise.core.status import Status
from optwise.engine import loop
from optwise.engine.loop import run_chunk
from optwise.engine.rungs import TracedReplay
from optwise.methods import SGD, Torch, WarmupCosine

RULES = [SGD(lr=0.02 * (t + 1)) for t in range(8)]


class RaisesAtStep37(torch.optim.SGD):
    """A user's mistake."""

    count = 0

    def step(self, closure=None):
        self.count += 1
        if self.count == 37:
            raise ZeroDivisionError("of the user's own making")
        return super().step(closure)


def test_an_optimizer_that_raises_at_step_37_is_a_crash_with_everything_until_then(problem, chunk_of):
    methods = [Torch(RaisesAtStep37, lr=0.1), Torch(torch.optim.SGD, lr=0.1)]
    crashed, whole = run_chunk(problem, chunk_of(methods, "solo", steps=50, every=10, seeds=[3, 3])).runs
    assert crashed.status is Status.CRASHED
    assert "ZeroDivisionError: of the user's own making" in crashed.traceback
    assert "in step" in crashed.traceback
    assert crashed.counts["steps"] == 36
    assert {m.step for m in crashed.measurements} == {0, 10, 20, 30}
    assert crashed.infeasible
    assert whole.status is Status.BUDGET_SPENT
    # until then both are the same method
    assert [m for m in whole.measurements if m.step <= 30] == list(crashed.measurements)


def test_our_rule_and_torch_s_class_take_the_same_steps_in_the_engine(problem, chunk_of):
    ours, theirs = (
        run_chunk(problem, chunk_of([method], "solo", steps=20)).runs[0]
        for method in (SGD(lr=0.3, schedule=WarmupCosine()), Torch(torch.optim.SGD, lr=0.3, schedule=WarmupCosine()))
    )
    assert ours.counts == theirs.counts
    for name, leaf in ours.state_dict().items():
        torch.testing.assert_close(leaf, theirs.state_dict()[name], rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("no"), MemoryError(), RuntimeError("can't allocate memory")])
def test_a_pass_without_memory_is_halved_until_it_fits(problem, chunk_of, monkeypatch, error):
    whole = loop._run_rules

    def scarce(problem, chunk):
        if len(chunk.trials) > 2:
            raise error
        return whole(problem, chunk)

    expected = run_chunk(problem, chunk_of(RULES)).runs
    monkeypatch.setattr(loop, "_run_rules", scarce)
    runs = run_chunk(problem, chunk_of(RULES)).runs
    assert [run.execution.rows for run in runs] == [2] * 8
    assert {run.execution.rung for run in runs} == {"traced"}
    for run, other in zip(runs, expected, strict=True):
        assert run.status is Status.BUDGET_SPENT
        assert run.counts == other.counts


def test_a_single_row_without_memory_is_out_of_memory(problem, chunk_of, monkeypatch):
    def never(problem, chunk):
        raise MemoryError

    monkeypatch.setattr(loop, "_run_rules", never)
    runs = run_chunk(problem, chunk_of(RULES[:3])).runs
    assert {run.status for run in runs} == {Status.OUT_OF_MEMORY}
    assert [run.name.index for run in runs] == [0, 1, 2]


def test_a_pass_that_raises_is_run_again_row_by_row_and_marked(problem, chunk_of, monkeypatch):
    expected = run_chunk(problem, chunk_of(RULES[:3], "solo")).runs

    def broken(self, *_):
        raise RuntimeError("no such kernel")

    monkeypatch.setattr(TracedReplay, "_step", broken)
    runs = run_chunk(problem, chunk_of(RULES[:3])).runs
    for run, solo in zip(runs, expected, strict=True):
        assert run.execution.retried_solo
        assert run.execution.rung == "solo"
        assert run.measurements == solo.measurements


def test_a_row_that_raises_alone_keeps_its_traceback_and_leaves_the_others(problem, chunk_of, monkeypatch):
    whole = loop._run_rules

    def picky(problem, chunk):
        if any(trial.method.lr == 0.04 for trial in chunk.trials):
            raise ValueError("this one not")
        return whole(problem, chunk)

    monkeypatch.setattr(loop, "_run_rules", picky)
    runs = run_chunk(problem, chunk_of(RULES[:3])).runs
    assert [run.status for run in runs] == [Status.BUDGET_SPENT, Status.CRASHED, Status.BUDGET_SPENT]
    assert "this one not" in runs[1].traceback
