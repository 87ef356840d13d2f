"""Targets from reference seeds of their own, and what a comparison would cost."""

import itertools
import math
from dataclasses import replace

import pytest
from small_comparisons import METHODS, calibrated, compare, flowers

import optwise as ow
from optwise.core.errors import BadProtocol, RunFailed
from optwise.core.metric import Direction
from optwise.engine.calibration import RungChoice
from optwise.engine.executors import Local

STUDIES, TRIALS, RERUNS = 3, 4, 5
REFERENCE = {
    "budget": "20steps",
    "studies": STUDIES,
    "trials": TRIALS,
    "evaluations": 5,
    "workers": 1,
    "executor": "local",
}


@pytest.fixture(scope="module")
def ran():
    """Every trial that the references run, with its run."""
    return []


@pytest.fixture(scope="module")
def report(ran):
    with pytest.MonkeyPatch.context() as patch:
        inner = Local.run

        def noted(self, tasks):
            for task in inner(self, tasks):
                ran.extend(zip(task[1].trials, task[2].runs, strict=True))
                yield task

        patch.setattr(Local, "run", noted)
        return ow.set_target(flowers(), METHODS, reruns=RERUNS, **REFERENCE)


def reruns_of(ran, label):
    return [run for trial, run in ran if trial.name.confirm and trial.name.method == label]


def test_the_target_is_what_nine_reruns_in_ten_of_the_weaker_reference_reach_and_hold(report, ran):
    """The oracle is the rule that times a run: whether it ever reaches the target."""
    target, document = report.target, report.document
    assert (target.metric, target.direction) == ("valid/loss", Direction.MIN)
    assert set(document["deciding"]) == {"sgd", "adam"}
    stricter = replace(target, value=target.value * 0.989)  # three digits towards the easier side, and no further
    arriving = {}
    for label in ("sgd", "adam"):
        runs = reruns_of(ran, label)
        assert len(runs) == STUDIES * RERUNS
        arriving[label] = [sum(run.steps_to(t) is not None for run in runs) for t in (target, stricter)]
    least = math.ceil(0.9 * STUDIES * RERUNS)
    assert all(at_target >= least for at_target, _ in arriving.values())
    assert arriving[document["method"]][1] <= least
    assert document["references"][document["method"]]["reached"] <= target.value
    assert str(target) in report.sentence


def test_a_reference_reruns_what_each_of_its_studies_selects(report, ran):
    """The best of each study's own trials, by the best value that holds for two evaluations or stands at the end."""
    for label in ("sgd", "adam"):
        for study in range(STUDIES):
            own = [(t, run) for t, run in ran if (t.name.method, t.name.study) == (label, study)]
            searched = []
            for trial, run in own:
                values = [value for step, value in run.curve("valid/loss") if step > 0]
                held = [max(pair) for pair in itertools.pairwise([*values, values[-1]])]
                searched += [] if trial.name.confirm else [(min(held), trial)]
            assert len(searched) == TRIALS
            _, best = min(searched, key=lambda found: found[0])
            again = [t.method for t, _ in own if t.name.confirm]
            assert again == [best.method] * RERUNS


def test_reference_seeds_are_used_by_no_comparison(report, ran, done):
    seeds = [trial.seed for trial, _ in ran]
    assert len(set(seeds)) == len(seeds) == 2 * STUDIES * (TRIALS + RERUNS)
    assert not set(seeds) & {run.seed for run in done.runs}


def test_of_three_references_the_second_best_decides():
    """On this convex problem a larger step is the better one up to 1."""
    three = [ow.SGD(lr=lr, name=name) for name, lr in (("slow", 0.1), ("fast", 1.0), ("middle", 0.3))]
    found = ow.set_target(flowers(), three, reruns=2, **REFERENCE).document
    assert found["deciding"] == ["fast", "middle"]
    assert found["method"] == "middle"
    assert found["references"]["fast"]["reached"] < found["references"]["middle"]["reached"]
    assert found["references"]["slow"]["points"] == [{}] * STUDIES


def test_one_reference_alone_decides_alone():
    report = ow.set_target(flowers(), [ow.SGD(lr=0.3)], reruns=2, **REFERENCE)
    assert report.document["deciding"] == ["sgd"]
    assert "weaker" not in report.sentence


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
    monkeypatch.setattr("optwise.verbs.checking.calibrate", calibrated(solo))
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
