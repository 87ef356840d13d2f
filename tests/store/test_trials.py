"""Runs come back as they were, the test split stays sealed, and a failed write loses nothing."""

import math
import struct
from dataclasses import replace

import numpy as np
import pytest
import torch

from optwise.core.certificate import Certificate, CertificateKind
from optwise.core.errors import RunFailed
from optwise.core.finding import Finding, Grade, Interval, Risk
from optwise.core.metric import OBJECTIVE
from optwise.core.run import Measurement, Phase, TrialName
from optwise.core.status import Status
from optwise.store.folder import Folder

ODD = (1.0, math.nan, math.inf, -math.inf, -0.0, 5e-324, 0.1)


def test_a_trial_comes_back_as_it_was(folder, store):
    part = Finding("noise-floor", Grade.WARN, "0.3", "p/m", 0.3, Interval(0.1, None), advice="Do.", risk=Risk.TUNING)
    finding = replace(part, evidence="both", parts=(part, part))
    certificate = Certificate(CertificateKind.STATIONARITY, "gradient norm", math.inf)
    stored = store(
        "k",
        "digits/descent/2/c3",
        status=Status.NOT_FINITE,
        seconds=1.25,
        evaluation_seconds=0.5,
        infeasible=True,
        traceback="Traceback\n  é",
        findings=(finding,),
        certificate=certificate,
    )
    folder.commit_chunk("chunk 1", [stored])
    folder.close()
    with Folder.existing(folder.path) as again:
        trial = again.trial("k")
    run = stored.run
    assert (trial.key, trial.name, trial.chunk) == ("k", TrialName("digits", "descent", 2, 3, confirm=True), "chunk 1")
    assert (trial.seed, trial.status, trial.infeasible) == (2**63 - 1, Status.NOT_FINITE, True)
    assert (trial.seconds, trial.evaluation_seconds, trial.traceback) == (1.25, 0.5, "Traceback\n  é")
    assert (trial.point, trial.counts, trial.method) == ({"lr": 0.5}, run.counts, run.method.describe())
    assert trial.execution == vars(run.execution)
    assert (trial.findings, trial.certificate) == ((finding,), certificate)
    assert list(trial.curves) == ["train/loss", "valid/loss"]
    assert [c.tolist() for c in trial.curves["valid/loss"]] == [[0, 10], [2.75, 1.75]]


def test_curves_come_back_bit_for_bit_also_where_they_are_not_finite(folder, store):
    measurements = tuple(Measurement(k, "", OBJECTIVE, value) for k, value in enumerate(ODD))
    folder.commit_chunk("c", [store("k", measurements=measurements)])
    steps, values = folder.trial("k").curves[OBJECTIVE]
    assert steps.tolist() == list(range(len(ODD)))
    assert values.tobytes() == struct.pack(f"<{len(ODD)}d", *ODD)
    assert (steps.dtype, values.dtype) == (np.int64, np.float64)


def test_numbers_beside_the_curves_survive_too(folder, store):
    stored = store("k", counts={"steps": 3, "floats": math.inf})
    folder.commit_chunk("c", [stored])
    assert folder.trial("k").counts == {"steps": 3, "floats": math.inf}
    assert folder.trial("k").seconds is None


def test_trials_are_ordered_by_address_whatever_their_order_of_commit(folder, store):
    names = ["digits/b/0/10", "digits/b/0/9", "digits/b/0/c0", "digits/b/d/c0", "digits/a/1/0", "alps/z/0/0"]
    folder.commit_chunk("late", [store(f"k{i}", name) for i, name in enumerate(names)])
    listed = [str(trial.name) for trial in folder.trials()]
    assert listed == [
        *("alps/z/0/0", "digits/a/1/0", "digits/b/d/c0", "digits/b/0/9", "digits/b/0/10", "digits/b/0/c0")
    ]
    assert [str(t.name) for t in folder.trials(problem="digits", method="b", phase=Phase.CONFIRM)] == ["digits/b/0/c0"]
    assert {t.key for t in folder.trials(keys={"k0", "k5", "not here"})} == {"k0", "k5"}
    assert folder.trials(method="nobody") == []
    with pytest.raises(KeyError, match="no trial with key absent"):
        folder.trial("absent")


@pytest.mark.parametrize("status", list(Status), ids=lambda status: status.name)
def test_what_the_machine_failed_is_replaced_and_what_ended_stays(folder, store, status):
    folder.commit_chunk("first", [store("k", status=status, values=(9.0, 9.0), weights={"w": torch.zeros(1)})])
    assert folder.has("k")
    assert folder.keys() == {"k"}
    assert folder.done_keys() == (set() if status.retried else {"k"})
    folder.commit_chunk("second", [store("k", values=(1.0, 1.0))])
    trial = folder.trial("k")
    assert (trial.chunk, trial.curves["train/loss"][1][0]) == (("second", 1.0) if status.retried else ("first", 9.0))
    if status.retried:
        with pytest.raises(RunFailed, match="were not kept"):
            folder.weights("k")
    assert folder.done_keys() == {"k"}


def test_a_chunk_is_stored_whole_or_not_at_all(folder, store):
    nameless = store("k1")
    with pytest.raises(ValueError, match="has no name"):
        folder.commit_chunk("c", [store("k0"), replace(nameless, run=replace(nameless.run, name=None))])
    assert folder.keys() == set()
    folder.commit_chunk("c", [store("k0")])
    assert folder.keys() == {"k0"}


def test_the_test_split_shows_nowhere_until_it_is_revealed(folder, store):
    folder.commit_chunk("c", [store("k")])
    assert "test/loss" not in folder.trial("k").curves
    assert "test/loss" not in folder.trials()[0].curves
    assert set(folder.frame()["split"]) == {"train", "valid"}
    assert folder.reveals() == []
    revealed = folder.reveal("p" * 64)
    assert [c.tolist() for c in revealed["k"]["test/loss"]] == [[0, 10], [102.5, 101.5]]
    frame = folder.frame(revealed=revealed)
    assert frame[frame["split"] == "test"]["value"].tolist() == [102.5, 101.5]
    assert set(folder.frame()["split"]) == {"train", "valid"}
    folder.close()
    with Folder.existing(folder.path) as again:
        ((moment, protocol),) = again.reveals()
    assert protocol == "p" * 64
    assert moment.endswith("+00:00")


def test_a_frame_has_one_row_a_measurement_with_its_axes(folder, store):
    folder.commit_chunk(
        "c", [store("a", "digits/descent/1/c2", values=(3.0, 2.0, math.nan)), store("b", values=(5.0,))]
    )
    frame = folder.frame()
    assert list(frame.columns) == [
        *("problem", "method", "study", "index", "phase", "seed", "status", "step", "split", "metric", "value"),
        *("examples", "example-gradients", "evaluations", "lr"),
    ]
    confirmed = frame[(frame["phase"] == "confirm") & (frame["split"] == "train")]
    assert confirmed["step"].tolist() == [0, 10, 20]
    assert confirmed["examples"].tolist() == [0, 600, 1200]
    assert confirmed["example-gradients"].tolist() == [0, 1200, 2400]
    np.testing.assert_array_equal(confirmed["value"], [3.0, 2.0, math.nan])
    assert confirmed.iloc[0][["problem", "method", "study", "index", "metric", "status"]].tolist() == [
        *("digits", "descent", 1, 2, "loss", "budget spent")
    ]
    alone = frame[frame["phase"] == "explore"]
    assert alone["examples"].tolist() == [0, 0], "a run that took no step has paid for nothing"
    assert frame["seed"].unique().tolist() == [2**63 - 1]
    assert len(folder.frame(keys={"b"})) == 2


def test_a_frame_of_nothing_has_the_same_columns_and_types(folder, store):
    empty = folder.frame()
    folder.commit_chunk("c", [store("k")])
    assert len(empty) == 0
    shared = folder.frame().drop(columns="lr")  # of no trial, no hyperparameter is known
    assert list(empty.dtypes.items()) == list(shared.dtypes.items())


def test_weights_come_back_bit_for_bit(folder, store, leaves):
    folder.commit_chunk("c", [store("k", weights=leaves)])
    loaded = folder.weights("k")
    assert list(loaded) == list(leaves)
    for name, leaf in leaves.items():
        assert (loaded[name].dtype, loaded[name].shape) == (leaf.dtype, leaf.shape)
        bits, expected = (t.reshape(-1).view(torch.uint8).tolist() for t in (loaded[name], leaf))
        assert bits == expected
    loaded["w"].zero_()
    assert folder.weights("k")["w"][0, 0] == 1.5


def test_on_a_full_disk_the_write_fails_in_a_sentence_and_the_rest_stays_readable(folder, store):
    folder.commit_chunk("first", [store("k1")])
    (pages,) = folder._connection.execute("PRAGMA page_count").fetchone()
    folder._connection.execute(f"PRAGMA max_page_count={pages + 2}")
    big = {"w": torch.zeros(10_000)}
    with pytest.raises(RunFailed, match=r"could not take the last results .*full.*free some space"):
        folder.commit_chunk("second", [store("k2"), store("k3", weights=big)])
    assert folder.keys() == {"k1"}
    assert folder.trial("k1").curves["train/loss"][1].tolist() == [2.5, 1.5]
    folder._connection.execute(f"PRAGMA max_page_count={pages + 1000}")
    folder.commit_chunk("second", [store("k2"), store("k3", weights=big)])
    assert folder.done_keys() == {"k1", "k2", "k3"}


def test_what_is_said_before_the_first_trial_stays_as_it_was_said(folder, store):
    assert folder.pledge("against", "adamw") == "adamw"
    assert folder.pledge("against", "sgd") == "adamw", "said twice, the first counts"
    folder.commit_chunk("chunk 1", [store("k", "digits/descent/2/c3")])
    assert folder.pledge("against", None) == "adamw"
    assert folder.pledge("other", "sgd") is None, "after a trial it is too late"
