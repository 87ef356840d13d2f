"""A folder as it lies there: what was found, the best run, and tables; nothing is run and nothing is written."""

import json
import math
import shutil
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from small_comparisons import compare, flowers, results
from torch import nn

import optwise as ow
from optwise.core.errors import BadFolder, RunFailed, UnknownName
from optwise.core.protocol import Protocol
from optwise.core.run import Phase
from optwise.store.folder import Folder


@pytest.fixture
def copied(done, tmp_path):
    """The folder of a finished comparison, to be spoilt."""
    return Path(shutil.copytree(done.folder, tmp_path / "copied"))


def state_of(folder):
    """Every file of a folder with its bytes and its time."""
    return {file.name: (file.read_bytes(), file.stat().st_mtime_ns) for file in folder.iterdir()}


def told(runs):
    return [(str(run.name), run.seed, run.status, run.measurements, run.counts) for run in runs]


def test_a_loaded_comparison_is_what_the_call_returned(done):
    loaded = ow.load(done.folder)
    assert loaded.document == json.loads(json.dumps(done.document)) == results(done.folder)
    assert loaded.verdict == done.verdict
    assert loaded.protocol.hash == done.protocol.hash
    assert told(loaded.runs) == told(done.runs)
    assert repr(loaded) == repr(done)
    assert loaded.trials().equals(done.trials())
    assert loaded.frame().equals(done.frame())
    assert loaded.best.name == done.best.name
    assert (
        ow.load(done.folder / "report.html").folder == ow.load(str(done.folder / "results.json")).folder == done.folder
    )


def test_loading_and_looking_write_nothing_and_ask_for_no_lock(copied):
    (copied / "study.lock").unlink()
    before = state_of(copied)
    loaded = ow.load(copied)
    assert len(loaded.frame()) > len(loaded.trials()) == len(loaded.runs)
    assert loaded.best.state_dict()
    assert state_of(copied) == before
    with Folder.existing(copied):  # as while another process works there
        assert ow.load(copied).verdict == loaded.verdict


def test_what_was_revealed_is_part_of_the_runs_and_what_was_not_is_not(done, tmp_path):
    assert not any("test" in m.split for run in done.runs for m in run.measurements)
    shown, _ = compare(tmp_path / "shown", reveal_test=True, studies=1)
    before = state_of(shown.folder)
    loaded = ow.load(shown.folder)
    assert told(loaded.runs) == told(shown.runs)
    assert "test" in set(loaded.frame()["split"])
    assert state_of(shown.folder) == before, "looking at a loaded comparison reveals nothing anew"


def test_a_killed_commit_is_put_right_before_the_folder_is_read(copied):
    database = copied / "study.db"
    connection = sqlite3.connect(database, isolation_level=None)
    connection.execute("PRAGMA cache_size=1")
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("UPDATE trials SET traceback = hex(randomblob(60000))")
    journal = copied / "study.db-journal"
    torn = (
        database.read_bytes(),
        journal.read_bytes(),
    )  # what a power cut leaves: the new pages, and the old ones beside
    connection.execute("ROLLBACK")
    connection.close()
    database.write_bytes(torn[0])
    journal.write_bytes(torn[1])
    loaded = ow.load(copied)
    assert all(run.traceback == "" for run in loaded.runs)
    assert not journal.exists()


def test_a_folder_from_before_counters_and_best_weights_were_kept_is_read_with_the_final_ones(copied):
    with sqlite3.connect(copied / "study.db") as connection:
        for table in ("spending", "best_weights"):
            connection.execute(f"DROP TABLE {table}")
    before = state_of(copied)
    loaded = ow.load(copied)
    best = loaded.best
    assert best.weights_step == 20 == best.counts["steps"]
    assert best.state_dict().keys() == {"weight", "bias"}
    assert (loaded.trials()["time_to_target"].isna() == loaded.trials()["steps_to_target"].isna()).all()
    assert state_of(copied) == before


def spoil_json(folder):
    (folder / "results.json").write_text("{")


def spoil_results(folder):
    (folder / "results.json").write_text('{"loss": 1}')


def spoil_hash(folder):
    document = results(folder)
    document["protocol"]["hash"] = "0" * 64
    (folder / "results.json").write_text(json.dumps(document))


def spoil_record(folder):
    with sqlite3.connect(folder / "study.db") as connection:
        ((text,),) = connection.execute("SELECT json FROM protocols")
        document = json.loads(text)
        document["question"]["moon"] = "full"
        connection.execute("UPDATE protocols SET json = ?", (json.dumps(document),))


SPOILT = [
    ("nothing there", shutil.rmtree, "There is no folder"),
    ("no results", lambda f: (f / "results.json").unlink(), "holds no results.json; run `optwise compare`"),
    ("half of a results.json", spoil_json, "holds no JSON"),
    ("another results.json", spoil_results, "is no result of a comparison"),
    ("an answer to another question", spoil_hash, "its study.db does not know; run its `optwise compare` again"),
    ("no database", lambda f: (f / "study.db").unlink(), "holds no study.db"),
    ("an empty database", lambda f: (f / "study.db").write_bytes(b""), "belongs to another program"),
    ("no database at all", lambda f: (f / "study.db").write_text("x" * 5000), "is not a study of optwise"),
    ("a record of another version", spoil_record, r"was written by another optwise \(0.1.0\)"),
]


@pytest.mark.parametrize(("case", "spoil", "said"), SPOILT, ids=[case for case, *_ in SPOILT])
def test_a_folder_that_cannot_be_read_is_refused_in_a_sentence(copied, case, spoil, said):
    spoil(copied)
    with pytest.raises(BadFolder, match=said) as caught:
        ow.load(copied)
    assert "\n" not in str(caught.value)
    assert str(caught.value).endswith((".", "again."))


def best_by_hand(comparison, method):
    """The smallest validation loss of any evaluation after the start of a method's confirmations, and where it was."""
    candidates = [
        (value, str(run.name), step)
        for run in comparison.runs
        if run.name.method == method and run.name.phase is Phase.CONFIRM and not run.infeasible
        for step, value in run.curve("valid/loss")
        if step > 0
    ]
    return min(candidates)


def test_the_best_run_is_the_best_evaluation_of_the_first_method_and_has_the_weights_of_it(done):
    found = done.document["problems"]["flowers"]
    first = (found.get("order") or [found["leader"]])[0]
    for best, method in ((done.best, first), (done.best_run(method="adam"), "adam"), (done.best_run("flowers"), first)):
        value, name, step = best_by_hand(done, method)
        assert (str(best.name), best.weights_step) == (name, step)
        module = nn.Linear(4, 3)
        module.load_state_dict(best.state_dict())
        valid = flowers().data.valid
        assert nn.functional.cross_entropy(module(valid.x), valid.y).item() == pytest.approx(value, rel=1e-6)
        assert f"weights of step {step}" in repr(best)


def test_a_module_with_running_statistics_takes_the_best_weights_as_they_are(tmp_path):
    generator = torch.Generator().manual_seed(1)
    x, y = torch.randn(48, 4, generator=generator), torch.arange(48) % 3
    net = lambda: nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.Linear(5, 3))  # noqa: E731
    problem = ow.problems.from_module(net, nn.functional.cross_entropy, (x, y), valid=(x, y), batch_size=16, name="p")
    comparison, _ = compare(tmp_path / "runs", [problem], [ow.SGD(lr=0.1)], studies=1, seeds=1)
    module = net()
    module.load_state_dict(comparison.best.state_dict())
    value = min(v for step, v in comparison.best.curve("valid/loss") if step > 0)
    assert nn.functional.cross_entropy(module.eval()(x), y).item() == pytest.approx(value, rel=1e-5)


def test_where_no_method_has_a_feasible_run_the_best_run_is_a_sentence(tmp_path):
    comparison, _ = compare(tmp_path / "runs", methods=[ow.SGD(lr=1e4)], studies=1, seeds=2)
    with pytest.raises(RunFailed, match=r"On flowers no method has a feasible confirmation.*trials\(\)"):
        _ = comparison.best
    with pytest.raises(UnknownName, match="Did you mean 'flowers'"):
        comparison.best_run("flower")
    with pytest.raises(UnknownName, match="Known: sgd"):
        comparison.best_run(method="adam")


def test_the_table_of_trials_says_what_each_trial_was_and_reached(done):
    table = done.trials().set_index("trial")
    assert len(table) == len(done.runs)
    assert list(table.columns)[:9] == [
        *("problem", "method", "phase", "study", "index", "seed", "status", "infeasible", "selected")
    ]
    for run in done.runs:
        row, curve = table.loc[str(run.name)], run.curve("valid/loss")
        assert row["lr"] == run.method.values()["lr"]
        assert (row["start"], row["end"]) == (curve[0][1], curve[-1][1])
        assert row["best"] == min(value for _, value in curve[1:])
        assert dict(curve)[int(row["best_step"])] == row["best"]
        assert row["steps"] == run.counts["steps"]
    assert table.loc[table["method"] == "sgd", "betas[0]"].isna().all()
    assert (table.loc[table["method"] == "adam", "betas[0]"] > 0).all()
    for method, result in done.document["problems"]["flowers"]["methods"].items():
        for chosen in result["selected"]:
            own = table[(table["method"] == method) & (table["study"] == chosen["study"]) & table["selected"]]
            assert own["lr"].unique().tolist() == [chosen["point"]["lr"]]
            assert own["phase"].tolist().count("explore") == 1
            assert own["phase"].tolist().count("confirm") == 2


def test_the_times_in_the_table_are_those_of_the_runs_own_counters(tmp_path):
    comparison, _ = compare(tmp_path / "runs", target="valid/loss<=0.9", studies=1)
    for row, run in zip(comparison.trials().to_dict("records"), comparison.runs, strict=True):
        step = run.steps_to(ow.AtMost("valid/loss", 0.9))
        if step is None:
            assert math.isnan(row["time_to_target"])
        else:
            assert row["steps_to_target"] == step
            assert row["time_to_target"] == step // 4 * 60 + step % 4 * 16  # 60 examples are three batches of 16 and 12
    question = {**comparison.protocol.question_part, "axis": "seconds"}
    in_seconds = replace(comparison, protocol=Protocol.read(comparison.protocol.folder_part, question)).trials()
    a_step = {
        n: m["execution"]["step_seconds"] for n, m in comparison.document["problems"]["flowers"]["methods"].items()
    }
    reached = in_seconds[in_seconds["time_to_target"].notna()]
    assert len(reached) > 0
    assert reached["time_to_target"].tolist() == (reached["steps_to_target"] * reached["method"].map(a_step)).tolist()


def test_the_frame_has_a_column_for_each_hyperparameter(done):
    frame = done.frame()
    assert {"lr", "betas[0]", "betas[1]", "schedule.warmup"} <= set(frame.columns)
    row = frame[(frame["method"] == "adam") & (frame["phase"] == "explore")].iloc[0]
    run = next(
        r for r in done.runs if (r.name.method, r.name.study, r.name.index) == ("adam", row["study"], row["index"])
    )
    assert row["lr"] == run.point["lr"]
    assert len(frame) == sum(len(run.measurements) for run in done.runs)


def test_a_race_is_loaded_with_its_table(tmp_path):
    X, y = torch.eye(3, dtype=torch.float64), torch.ones(3, dtype=torch.float64)
    raced = ow.compare(ow.problems.lasso(X, y, weight=0.1), ["fista", "proximal-gradient"], out=tmp_path, repeats=2)
    loaded = ow.load(tmp_path)
    assert repr(loaded) == repr(raced)
    assert told(loaded.runs) == told(raced.runs)
    table = loaded.trials()
    assert table["trial"].tolist() == [str(run.name) for run in raced.runs]
    assert table["status"].unique().tolist() == ["optimal, certified"]
    assert (table["proved"] <= 1e-6).all()
    assert table["value"].tolist() == pytest.approx([raced.best.curve("answer")[-1][1]] * 4)
    assert torch.equal(loaded.best.w, raced.best.w)


def test_tables_keep_apart_what_shares_a_name_with_a_column(tmp_path):
    class Twin(torch.optim.SGD):
        def __init__(self, params, lr=0.1, *, seed=3, best="last", metric=True):
            super().__init__(params, lr=lr)

    comparison, _ = compare(tmp_path / "runs", methods=[ow.Torch(Twin, seed=5)], studies=1, seeds=1)
    table, frame = comparison.trials(), comparison.frame()
    assert table["method.seed"].tolist() == [3.0, 5.0]  # at library defaults, and the confirmation
    assert frame["method.seed"].unique().tolist() == [3.0, 5.0]
    assert set(table["seed"]) == {run.seed for run in comparison.runs}
