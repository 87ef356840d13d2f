"""What a comparison writes down: the document, the seeds, the sealed test split."""

import json
import math
import sqlite3

import numpy as np
import pytest
import torch
from small_comparisons import METHODS, compare, flowers, results
from torch import nn

import optwise as ow
from optwise.core.run import Phase
from optwise.store.folder import Folder

METHOD_KEYS = {"search", "selected", "confirm", "default", "test", "forecast", "execution"}
VERDICT_KEYS = {
    *("a", "b", "words", "because", "ratio", "ratio_low", "ratio_high", "difference", "p", "p_adjusted", "p_a_better"),
    *("n", "metric", "axis", "studies_needed", "warnings", "sentence", "asked", "bound", "share_of_pairs"),
    *("misses_a", "misses_b", "evaluations_needed", "separated_at", "smallest_ratio"),
}
PROBLEM_KEYS = {
    *("methods", "verdicts", "leader", "winner_stability", "sensitivity", "checks", "headline", "line", "order"),
    *("limit", "resolution", "target_curve", "hangs_on_target", "power", "mean_ranks"),
}
PROTOCOL_KEYS = {
    *("hash", "folder_hash", "methods", "studies", "trials", "seeds", "budget", "evaluations", "target", "metric"),
    *("axis", "against", "looks", "level", "margin", "resamples", "dtype", "device", "seed", "problems"),
}


def test_the_document_has_its_parts_and_is_the_file(done):
    document = done.document
    assert set(document) == {"schema", "headline", "verdict", "protocol", "environment", "problems", "profile"}
    assert set(document["protocol"]) == PROTOCOL_KEYS
    assert results(done.folder) == json.loads(json.dumps(document, allow_nan=False))
    (problem,) = document["problems"].values()
    assert set(problem) == PROBLEM_KEYS
    assert list(problem["methods"]) == ["sgd", "adam"]
    (pair,) = problem["verdicts"]
    assert set(pair) == VERDICT_KEYS
    for method in problem["methods"].values():
        assert set(method) == METHOD_KEYS
        assert method["search"]["trials"] == 16
        assert [s["study"] for s in method["selected"]] == [0, 1, 2, 3]
        assert method["confirm"]["n"] == 8
        assert len(method["confirm"]["per_study"]) == method["confirm"]["studies"] == 4
        assert method["default"]["n"] == 2
    assert done.verdict == document["verdict"]
    assert (done.folder / "report.html").read_text() == f"<p>{done.verdict}</p>"


def test_without_a_target_there_are_no_times(done):
    (problem,) = done.document["problems"].values()
    assert problem["sensitivity"] == []
    assert problem["verdicts"][0]["axis"] is None
    assert done.document["profile"] is None
    assert [m["confirm"]["time_to_target"] for m in problem["methods"].values()] == [None, None]


def test_what_is_reported_comes_from_the_confirmations(done):
    (problem,) = done.document["problems"].values()
    for name, method in problem["methods"].items():
        best = {}
        for run in done.runs:
            if run.name.method == name and run.name.phase is Phase.CONFIRM:
                value = min(v for k, v in run.curve("valid/loss") if k > 0)
                best.setdefault(run.name.study, []).append(value)
        assert method["confirm"]["per_study"] == pytest.approx([sum(v) / 2 for v in best.values()])
        pooled = sorted(v for of_one in best.values() for v in of_one)
        assert method["confirm"]["value"]["median"] == pytest.approx((pooled[3] + pooled[4]) / 2)
        low, high = (method["confirm"]["value"][end] for end in ("low", "high"))
        assert low <= method["confirm"]["value"]["median"] <= high


def test_search_and_confirmation_share_no_seed(done):
    seeds = {}
    for run in done.runs:
        seeds.setdefault(run.name.phase, []).append(run.seed)
    assert {phase: len(s) for phase, s in seeds.items()} == {Phase.EXPLORE: 32, Phase.CONFIRM: 16, Phase.DEFAULT: 4}
    together = [seed for own in seeds.values() for seed in own]
    assert len(set(together)) == len(together)


def test_the_selected_point_is_what_the_confirmations_ran(done):
    (problem,) = done.document["problems"].values()
    for run in done.runs:
        if run.name.phase is Phase.CONFIRM:
            chosen = problem["methods"][run.name.method]["selected"][run.name.study]
            assert dict(run.point) == chosen["point"]
            assert run.method.describe()["lr"] == chosen["point"]["lr"]


def test_library_defaults_are_confirmed_and_never_selected(done):
    for run in done.runs:
        if run.name.phase is Phase.DEFAULT:
            assert run.method.describe()["lr"] == 1e-3
            assert run.method.describe()["schedule"] is None


def test_another_method_changes_no_seed_of_the_others(done, tmp_path):
    alone, _ = compare(tmp_path / "alone", methods=[ow.Adam()])
    mine = {(str(r.name), r.seed, tuple(r.point.items())) for r in alone.runs}
    there = {(str(r.name), r.seed, tuple(r.point.items())) for r in done.runs if r.name.method == "adam"}
    assert mine == there


def test_the_test_split_is_sealed_until_it_is_revealed_and_the_record_keeps_when(tmp_path):
    hidden, _ = compare(tmp_path / "runs", studies=2)
    (problem,) = hidden.document["problems"].values()
    assert [m["test"] for m in problem["methods"].values()] == [None, None]
    assert hidden.document["environment"]["revealed"] is None
    assert "test" not in set(hidden.frame()["split"])
    assert not any(m.split == "test" for run in hidden.runs for m in run.measurements)
    with Folder.existing(tmp_path / "runs") as folder:
        assert folder.reveals() == []

    shown, told = compare(tmp_path / "runs", studies=2, reveal_test=True)
    assert told.trials == 0, "the test split was measured with the confirmations, and is only opened"
    (problem,) = shown.document["problems"].values()
    assert {name: band["n"] for name, band in problem["methods"]["adam"]["test"].items()} == {
        "test/loss": 4,
        "test/accuracy": 4,
    }
    with Folder.existing(tmp_path / "runs") as folder:
        ((moment, protocol),) = folder.reveals()
    assert shown.document["environment"]["revealed"] == moment
    assert protocol == shown.protocol.hash
    assert shown.document["problems"]["flowers"]["verdicts"] == hidden.document["problems"]["flowers"]["verdicts"]


def test_no_search_measures_the_test_split(done):
    connection = sqlite3.connect(done.folder / "study.db")
    phases = connection.execute("SELECT DISTINCT phase FROM sealed JOIN trials USING (key) ORDER BY phase").fetchall()
    curves = connection.execute("SELECT count(*) FROM curves WHERE metric LIKE 'test/%'").fetchone()
    connection.close()
    assert phases == [("confirm",), ("default",)]
    assert curves == (0,)


def test_the_best_run_loads_into_the_module_and_repeats_its_stored_loss(done):
    best = done.best
    assert best.name.phase is Phase.CONFIRM
    assert best.name.method == done.document["problems"]["flowers"]["order"][0]
    net = nn.Linear(4, 3)
    net.load_state_dict(best.state_dict(), strict=True)
    valid = flowers().data.valid
    with torch.no_grad():
        loss = float(nn.functional.cross_entropy(net(valid.x), valid.y))
    assert loss == pytest.approx(dict(best.curve("valid/loss"))[best.weights_step], rel=1e-5)


def test_a_frame_has_a_row_for_every_measurement(done):
    frame = done.frame()
    assert len(frame) == sum(len(run.measurements) for run in done.runs)
    assert set(frame["phase"]) == {"explore", "confirm", "default"}
    assert frame["example-gradients"].max() == 20 * 60 / 4  # four steps pass over sixty examples


def test_with_a_target_a_miss_counts_the_whole_budget(tmp_path):
    comparison, _ = compare(tmp_path / "runs", target=ow.AtMost("valid/loss", 1e-3), axis="steps")
    (problem,) = comparison.document["problems"].values()
    for method in problem["methods"].values():
        time = method["confirm"]["time_to_target"]
        assert (time["median"], time["misses"], time["n"], time["restricted_mean"]) == (None, 8, 8, 20.0)
        assert time["resolution"] == 5.0
        assert method["confirm"]["per_study"] == pytest.approx([20.0] * 4)
        assert method["confirm"]["missed_per_study"] == [2] * 4
    (pair,) = problem["verdicts"]
    assert (pair["words"], pair["ratio_low"], pair["ratio_high"]) == ("not separated", None, None)
    assert pair["because"] == "no run reached it"
    assert "no run reached valid/loss<=0.001" in comparison.verdict
    assert json.dumps(comparison.document, allow_nan=False)


def test_a_metric_that_is_better_higher_is_reported_the_right_way_up(tmp_path):
    comparison, _ = compare(tmp_path / "runs", metric="valid/accuracy")
    (problem,) = comparison.document["problems"].values()
    for method in problem["methods"].values():
        value = method["confirm"]["value"]
        assert value["metric"] == "valid/accuracy"
        assert 0 <= value["low"] <= value["median"] <= value["high"] <= 1
        assert all(0 <= v <= 1 for v in method["confirm"]["per_study"])
    (pair,) = problem["verdicts"]
    medians = {name: sorted(m["confirm"]["per_study"]) for name, m in problem["methods"].items()}
    assert pair["ratio"] is None
    assert pair["difference"] == pytest.approx(np.mean(medians[pair["a"]]) - np.mean(medians[pair["b"]]))


def test_every_number_is_finite_or_null(done):
    def numbers(item):
        if isinstance(item, dict):
            item = list(item.values())
        if isinstance(item, list):
            return [n for part in item for n in numbers(part)]
        return [item] if isinstance(item, float) else []

    assert all(map(math.isfinite, numbers(results(done.folder))))


def test_methods_keep_the_order_in_which_they_were_given(tmp_path):
    comparison, _ = compare(tmp_path / "runs", methods=METHODS[::-1], studies=1, trials=2, seeds=1)
    assert list(comparison.document["problems"]["flowers"]["methods"]) == ["adam", "sgd"]
