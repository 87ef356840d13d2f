"""Modules that share a pass, and modules that cannot: found by looking, never assumed."""

import pytest
import torch
from torch import nn

from optwise.core.sampler import Full
from optwise.core.status import Status
from optwise.engine.admission import admission_error, unbatchable
from optwise.engine.calibration import choose_rung
from optwise.engine.loop import run_chunk
from optwise.methods import SGD, AdamW

RULES = [SGD(lr=lr) for lr in (0.05, 0.1, 0.2)]


def normalised():
    return nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))


def dropping():
    return nn.Sequential(nn.Linear(6, 8), nn.Dropout(0.5), nn.Linear(8, 3))


class Peeking(nn.Module):
    """Looks at a number on the host, which no batched pass allows."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(6, 3)

    def forward(self, x):
        return self.linear(x) * (1.0 if self.linear.weight.sum().item() > 1e9 else 0.5)


@pytest.mark.parametrize("rung", ["vmap", "traced"])
def test_batch_statistics_of_full_batches_are_those_of_solo_runs(make_problem, chunk_of, rung):
    problem = make_problem(normalised).with_sampler(Full())
    assert unbatchable(problem) == ""
    assert admission_error(problem, RULES, rung) == ""
    together, alone = (run_chunk(problem, chunk_of(RULES, r)).runs for r in (rung, "solo"))
    for run, solo in zip(together, alone, strict=True):
        assert not run.execution.retried_solo
        for name, leaf in solo.state_dict().items():
            assert run.state_dict()[name].dtype == leaf.dtype
            torch.testing.assert_close(run.state_dict()[name], leaf, rtol=1e-9, atol=1e-12)
    assert together[0].state_dict()["1.num_batches_tracked"] == 12


def test_batch_statistics_forbid_padding(make_problem):
    choice = choose_rung(make_problem(normalised), RULES, most_rows=8, dtype="float32")
    assert (choice.rung, choice.rows) == ("solo", 1)
    assert "examples of a batch see each other" in choice.reason


def test_a_module_that_draws_runs_solo_and_each_row_repeats_by_its_seed(make_problem, chunk_of):
    problem = make_problem(dropping)
    choice = choose_rung(problem, RULES, most_rows=8, dtype="float32")
    assert choice.rung == "solo"
    assert "draws random numbers in its passes" in choice.reason
    torch.manual_seed(1)
    before = torch.get_rng_state()
    together = run_chunk(problem, chunk_of(RULES, "solo", seeds=[5, 6, 7])).runs
    assert torch.equal(before, torch.get_rng_state())
    torch.manual_seed(2)
    alone = run_chunk(problem, chunk_of(RULES[1:2], "solo", seeds=[6])).runs[0]
    assert alone.measurements == together[1].measurements
    other = run_chunk(problem, chunk_of(RULES[1:2], "solo", seeds=[7])).runs[0]
    assert other.measurements != alone.measurements


def test_a_module_that_looks_at_numbers_runs_solo_with_the_reason(make_problem):
    choice = choose_rung(make_problem(Peeking), RULES, most_rows=8, dtype="float32")
    assert (choice.rung, choice.rows) == ("solo", 1)
    assert "batching raised" in choice.reason
    assert ".item()" in choice.reason


def test_a_batched_chunk_of_such_a_module_is_run_again_row_by_row_and_says_so(make_problem, chunk_of):
    problem = make_problem(Peeking)
    retried, alone = (run_chunk(problem, chunk_of(RULES, rung)).runs for rung in ("traced", "solo"))
    for run, solo in zip(retried, alone, strict=True):
        assert run.status is Status.BUDGET_SPENT
        assert (run.execution.rung, run.execution.rows, run.execution.retried_solo) == ("solo", 1, True)
        assert not solo.execution.retried_solo
        assert run.measurements == solo.measurements


def test_rows_that_differ_in_a_flag_do_not_share_a_pass(problem, chunk_of):
    mixed = [SGD(lr=0.1), AdamW(lr=0.01), SGD(lr=0.2)]
    runs = run_chunk(problem, chunk_of(mixed)).runs
    assert [run.execution.rows for run in runs] == [2, 1, 2]
    assert [run.method for run in runs] == mixed


def test_no_more_rows_share_a_pass_than_the_chunk_allows(problem, chunk_of):
    runs = run_chunk(problem, chunk_of([SGD(lr=0.1)] * 5, rows=2)).runs
    assert [run.execution.rows for run in runs] == [2, 2, 2, 2, 1]
