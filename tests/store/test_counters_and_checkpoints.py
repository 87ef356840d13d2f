"""What a run had spent at each evaluation, and the weights of its best one, come back as they were."""

import sqlite3

import pytest
import torch

from optwise.core.errors import RunFailed
from optwise.core.run import HeldWeights
from optwise.core.spending import Spending
from optwise.store.folder import Folder

PAID = Spending((0, 10, 13), {"examples": (0.0, 600.0, 777.0), "rounds": (0.0, 0.1, 1e300)})
FINAL, BEST = {"w": torch.tensor([1.0, -0.0])}, {"w": torch.tensor([2.0, 3.0])}


def test_counters_come_back_bit_for_bit(folder, store):
    folder.commit_chunk("c", [store("k", spending=PAID), store("none", "digits/descent/0/1", spending=Spending((0,)))])
    assert folder.trial("k").spending == PAID
    assert {t.key: t.spending for t in folder.trials()} == {"k": PAID, "none": Spending((0,))}


def test_a_table_shows_the_run_s_own_counters_at_every_measurement(folder, store):
    paid = Spending((0, 10, 20), {"examples": (0.0, 600.0, 1000.0), "example-gradients": (0.0, 700.0, 9000.0)})
    folder.commit_chunk("c", [store("k", values=(3.0, 2.0, 1.0), spending=paid)])
    frame = folder.frame()
    for _, rows in frame.groupby(["split", "metric"]):
        assert rows["examples"].tolist() == [0, 600, 1000]
        assert rows["example-gradients"].tolist() == [0, 700, 9000]
        assert rows["evaluations"].isna().all(), "nobody counted them"


def test_a_folder_of_before_counters_is_read_and_says_that_they_are_spread(folder, store):
    folder.commit_chunk("c", [store("k", values=(3.0, 2.0, 1.0), spending=PAID)])
    folder.close()
    with sqlite3.connect(folder.path / "study.db") as connection:
        connection.execute("DROP TABLE spending")
        connection.execute("DROP TABLE best_weights")
    connection.close()
    with Folder.existing(folder.path) as again:
        spending = again.trial("k").spending
        assert not spending.exact
        assert spending.steps == (0, 10, 20)
        assert spending.amounts["example-gradients"] == (0.0, 1200.0, 2400.0)
        again.commit_chunk("d", [store("new", "digits/descent/0/1", spending=PAID)])
        assert again.trial("new").spending == PAID


@pytest.mark.parametrize("best", [BEST, {"w": FINAL["w"].clone()}], ids=["another", "the final one"])
def test_the_weights_of_the_best_evaluation_are_kept_beside_the_final_ones(folder, store, best):
    run = store("k", weights=FINAL, best_weights=HeldWeights(best), best_step=10)
    folder.commit_chunk("c", [run, store("plain", "digits/descent/0/1", weights=FINAL)])
    assert (folder.trial("k").best_step, folder.trial("plain").best_step) == (10, None)
    assert torch.equal(folder.best_weights("k")["w"], best["w"])
    assert torch.equal(folder.weights("k")["w"], FINAL["w"])
    with pytest.raises(RunFailed, match="best evaluation were not kept"):
        folder.best_weights("plain")


def test_weights_too_large_to_keep_leave_the_step_of_the_best_evaluation(folder, store):
    folder.commit_chunk("c", [store("k", best_step=10)])
    assert folder.trial("k").best_step == 10
    with pytest.raises(RunFailed, match="were not kept"):
        folder.best_weights("k")
