"""Targets from reference seeds of their own, and what a comparison would cost."""

import pytest
from small_comparisons import METHODS, compare, flowers

import optwise as ow
from optwise.core.errors import BadProtocol, RunFailed
from optwise.core.metric import Direction, Target
from optwise.engine.calibration import RungChoice
from optwise.engine.executors import Local

REFERENCE = {"budget": "20steps", "trials": 4, "evaluations": 5, "workers": 1, "executor": "local"}


@pytest.fixture(scope="module")
def chunks():
    """Every chunk that the reference runs."""
    return []


@pytest.fixture(scope="module")
def report(chunks):
    with pytest.MonkeyPatch.context() as patch:
        inner = Local.run

        def noted(self, tasks):
            chunks.extend(chunk for _, chunk in tasks)
            return inner(self, tasks)

        patch.setattr(Local, "run", noted)
        return ow.set_target(flowers(), METHODS, reruns=10, **REFERENCE)


def test_the_target_is_a_value_that_nine_reruns_in_ten_reach(report):
    target, values = report.target, report.document["values"]
    assert isinstance(target, Target)
    assert (target.metric, target.direction) == ("valid/loss", Direction.MIN)
    assert len(values) == 10
    reached = sum(target.reached_by(v) for v in values)
    assert 9 <= reached <= 10
    stricter = sum(v <= target.value - 0.01 * abs(target.value) for v in values)
    assert stricter <= 9, "rounded to three digits towards the easier side, and no further"
    assert str(target) in report.sentence
    assert report.document["method"] in ("sgd", "adam")


def test_reference_seeds_are_used_by_no_comparison(report, chunks, done):
    reference = {trial.seed for chunk in chunks for trial in chunk.trials}
    assert len(reference) == 2 * 4 + 10
    assert not reference & {run.seed for run in done.runs}


def test_a_target_can_be_compared_to(report, tmp_path):
    comparison, _ = compare(tmp_path / "runs", studies=1, target=report.target)
    _, told = compare(tmp_path / "runs", studies=1, target=str(report.target))
    assert told.trials == 0, "a target is what its text says"
    assert comparison.document["protocol"]["target"] == {"flowers": str(report.target)}


def test_a_target_needs_a_rerun_and_a_feasible_reference():
    with pytest.raises(BadProtocol, match="reruns is 0"):
        ow.set_target(flowers(), METHODS, reruns=0, **REFERENCE)
    with pytest.raises(RunFailed, match="feasible"):
        ow.set_target(flowers(), [ow.SGD(lr=1e30)], reruns=2, **REFERENCE)


def test_a_check_counts_the_trials_and_writes_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    solo = RungChoice("solo", 1, "as the test says", {"solo": 100.0})
    monkeypatch.setattr("optwise.verbs.checking.choose_rung", lambda *_, **__: solo)
    report = ow.check(flowers(), [ow.SGD(), ow.Adam(lr=0.1)], studies=3, trials=5, seeds=2, budget="40steps", workers=1)
    document = report.document
    assert document["trials"] == 3 * 5 + 3 * 2 + 2 + 3 * 2 + 2
    (problem,) = document["problems"].values()
    assert problem["start"] == pytest.approx(1.1, abs=0.5)
    assert {name: m["dimensions"] for name, m in problem["methods"].items()} == {"sgd": 1, "adam": 0}
    assert document["predicted_seconds"] > 0
    assert "60 training examples, batch 16" in report.text
    assert list(tmp_path.iterdir()) == []


def test_a_check_refuses_what_a_comparison_refuses():
    with pytest.raises(BadProtocol, match="trials is 0"):
        ow.check(flowers(), METHODS, trials=0)
    with pytest.raises(BadProtocol, match="before the first step"):
        ow.check(flowers(), METHODS, target=ow.AtMost("valid/loss", 50.0))
