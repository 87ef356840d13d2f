"""Another question to a finished folder: nothing runs, and results.json stays as it is."""

import json
import math

import pytest
from small_comparisons import compare, stored

import optwise as ow
from optwise.core.errors import BadFolder, BadProtocol, UnknownName
from optwise.core.run import Measurement, Run
from optwise.core.spending import StepTime
from optwise.core.status import Status
from optwise.verbs.rescoring import _cut, rescore


@pytest.fixture(scope="module")
def constant(tmp_path_factory):
    """Methods whose schedule needs no horizon."""
    comparison, _ = compare(tmp_path_factory.mktemp("runs") / "constant", schedule=ow.Constant())
    return comparison


@pytest.fixture(autouse=True)
def _left_alone(done, constant):
    """Whatever a test asks, results and trials are afterwards what they were."""
    folders = (done.folder, constant.folder)
    before = [((f / "results.json").read_bytes(), stored(f)) for f in folders]
    yield
    assert [((f / "results.json").read_bytes(), stored(f)) for f in folders] == before


def test_the_same_question_has_the_same_answer(done):
    document = rescore(done.folder)
    for part in ("problems", "protocol", "verdict", "profile"):
        assert document[part] == done.document[part]


@pytest.mark.parametrize(
    ("changed", "where", "value"),
    [
        ({"target": ow.AtMost("valid/loss", 0.9)}, "target", {"flowers": "valid/loss<=0.9"}),
        ({"metric": "valid/accuracy"}, "metric", {"flowers": "valid/accuracy"}),
        ({"axis": "steps"}, "axis", "steps"),
        ({"level": 0.9}, "level", 0.9),
        ({"margin": 0.5}, "margin", 0.5),
    ],
)
def test_every_other_question_is_a_file_of_its_own(done, changed, where, value):
    document = rescore(done.folder, **changed)
    file = done.folder / document["file"]
    assert file.name.startswith("score-")
    assert json.loads(file.read_text()) == document
    assert document["protocol"][where] == value
    assert document["protocol"]["hash"] != done.document["protocol"]["hash"]
    again = rescore(done.folder, **changed)
    assert again["file"] == document["file"], "one question, one file"


def test_a_target_set_later_times_what_was_confirmed(done):
    document = rescore(done.folder, target=ow.AtMost("valid/loss", 0.9), axis="steps")
    (problem,) = document["problems"].values()
    for name, method in problem["methods"].items():
        own = [r for r in done.runs if (r.name.method, r.name.phase.value) == (name, "confirm")]
        times = [math.inf if (k := run.steps_to(ow.AtMost("valid/loss", 0.9))) is None else k for run in own]
        assert method["confirm"]["time_to_target"]["misses"] == sum(map(math.isinf, times))
        assert method["confirm"]["time_to_target"]["restricted_mean"] == sum(min(t, 20) for t in times) / len(times)
    assert document["selection"].startswith("as confirmed under the protocol that ran")


def test_a_shorter_budget_reads_the_curves_up_to_there(constant):
    document = rescore(constant.folder, budget=ow.Steps(10))
    (problem,) = document["problems"].values()
    for name, method in problem["methods"].items():
        best = {}
        for run in constant.runs:
            if run.name.method == name and run.name.phase.value == "confirm":
                best.setdefault(run.name.study, []).append(min(v for k, v in run.curve("valid/loss") if 0 < k <= 10))
        assert method["confirm"]["per_study"] == pytest.approx([sum(v) / len(v) for v in best.values()])
        assert method["search"]["budget"]["steps"] == 10
    timed = rescore(constant.folder, budget=ow.Steps(10), target=ow.AtMost("valid/loss", 0.9), axis="steps")
    (problem,) = timed["problems"].values()
    assert problem["methods"]["sgd"]["confirm"]["time_to_target"]["resolution"] == 5.0, "as it was measured"


def test_a_shorter_budget_of_a_decaying_schedule_is_another_method(done):
    with pytest.raises(BadProtocol, match="sgd, adam decay towards the end"):
        rescore(done.folder, budget=ow.Steps(10))


@pytest.mark.parametrize(
    ("changed", "error", "words"),
    [
        ({"budget": ow.Steps(30)}, BadProtocol, "longer than the 20 steps"),
        ({"budget": ow.Steps(4)}, BadProtocol, "before flowers/sgd was first measured, at step 5"),
        ({"metric": "valid/acuracy"}, UnknownName, "Did you mean 'valid/accuracy'"),
        ({"metric": "test/loss"}, UnknownName, "test/loss"),
        ({"target": ow.AtLeast("valid/loss", 0.5)}, BadProtocol, "wrong way"),
        ({"target": ow.AtMost("test/loss", 0.5)}, UnknownName, "test/loss"),
        ({"axis": "step"}, UnknownName, "axis"),
        ({"magrin": 0.1}, UnknownName, "Did you mean 'margin'"),
        ({"level": 2.0}, BadProtocol, "level is 2"),
        ({"margin": -1.0}, BadProtocol, "margin is -1"),
    ],
)
def test_a_question_nobody_can_answer_is_refused(constant, changed, error, words):
    with pytest.raises(error, match=words):
        rescore(constant.folder, **changed)


def test_a_metric_of_a_timed_folder_compares_its_best_values(done, tmp_path):
    timed, _ = compare(tmp_path / "timed", target=ow.AtMost("valid/loss", 0.9))
    for asked in ({"metric": "valid/accuracy"}, {"target": None}):
        document = rescore(timed.folder, **asked)
        assert document["protocol"]["target"] == {"flowers": None}
        metric = asked.get("metric", "valid/loss")
        (pair,) = document["problems"]["flowers"]["verdicts"]
        assert (pair["metric"], pair["axis"]) == (metric, None)
        assert metric in document["verdict"]
    assert rescore(timed.folder, axis="steps")["protocol"]["target"] == {"flowers": "valid/loss<=0.9"}


def test_what_ended_a_run_after_the_shorter_budget_had_not_happened():
    measured = tuple(Measurement(k, "valid", "loss", v) for k, v in ((0, 2.0), (10, 0.5), (20, 9.0)))
    run = Run("p", ow.SGD(lr=0.1), 0, Status.NOT_FINITE, {"steps": 25.0, "examples": 250.0}, measured)
    assert run.steps_to(ow.AtMost("valid/loss", 0.6)) is None
    for budget in (ow.Steps(10), ow.Steps(19), ow.Examples(100)):
        short = _cut(run, budget, StepTime(1.0))
        assert (short.status, short.steps_to(ow.AtMost("valid/loss", 0.6))) == (Status.BUDGET_SPENT, 10)
    assert _cut(run, ow.Steps(20), StepTime(1.0)).status is Status.NOT_FINITE


def test_there_must_be_a_comparison(tmp_path):
    with pytest.raises(BadFolder, match=r"holds no study\.db"):
        rescore(tmp_path)
