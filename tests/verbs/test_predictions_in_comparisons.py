"""Theory beside the runs of a comparison: what is stored, what is checked, and that scores only read it."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from small_comparisons import compare, flowers, results

import optwise as ow
from optwise.analyses.predictions import FORECASTS
from optwise.core.errors import BadProblem
from optwise.store.folder import Folder
from optwise.theory import forecast
from optwise.verbs.recalling import latest_protocol, recall
from optwise.verbs.rescoring import rescore
from optwise.verbs.scoring import score

H = np.array([1.0, 0.5, 0.2, 0.1])


def quadratic(**declared):
    """A noisy quadratic of four coordinates whose declaration can be made false."""
    problem = ow.problems.nqm(h=H, c=H, batch_size=16)
    return replace(problem, quadratic=replace(problem.quadratic, **declared))


def moments(method, steps, batch_size):
    """Expected risk of gradient descent by its textbook recursion, coordinate by coordinate."""
    factors = np.ones(steps) if method["schedule"] is None else ow.WarmupCosine().factors(steps)
    second, risk = np.ones(4), []
    for factor in (*factors, 0.0):
        risk.append(0.5 * float(H @ second))
        rate = method["lr"] * factor
        second = (1 - rate * H) ** 2 * second + rate**2 * H / batch_size
    return np.array(risk)


@pytest.fixture(scope="module")
def theory(tmp_path_factory):
    """Two methods that can be predicted and one that cannot, on a constant schedule and by default."""
    folder = tmp_path_factory.mktemp("runs") / "theory"
    comparison, _ = compare(folder, quadratic(), [ow.SGD(), ow.Momentum(lr=0.1, momentum=0.9), ow.Adam()], seeds=4)
    return comparison


def test_every_selected_setting_and_the_defaults_are_predicted_at_the_evaluation_steps(theory):
    method = theory.document["problems"]["nqm"]["methods"]["sgd"]
    forecast = method["forecast"]
    assert (forecast["metric"], forecast["reason"]) == ("objective", "")
    assert [each["study"] for each in forecast["studies"]] == [0, 1, 2, 3]
    for each, chosen in zip(forecast["studies"], method["selected"], strict=True):
        assert each["steps"] == [0, 5, 10, 15, 20]
        expected = moments({"lr": chosen["point"]["lr"], "schedule": "warmup-cosine"}, 20, 16)
        # the same sums in another order
        np.testing.assert_allclose(each["risk"], expected[each["steps"]], rtol=1e-12)
        assert each["deviation"][0] == pytest.approx(math.sqrt(0.5 * float(H @ H)), rel=1e-12)
    expected = moments({"lr": 1e-3, "schedule": None}, 20, 16)
    np.testing.assert_allclose(forecast["default"]["risk"], expected[forecast["default"]["steps"]], rtol=1e-12)


def test_a_method_that_is_not_linear_gets_the_reason_instead(theory):
    problem = theory.document["problems"]["nqm"]
    forecast = problem["methods"]["adam"]["forecast"]
    assert forecast["studies"] == []
    assert forecast["default"] is None
    assert forecast["reason"].startswith("adam is not linear: ")
    assert "compare" not in forecast["reason"], "the advice to compare it is of no use here"
    assert [c["method"] for c in problem["checks"] if c["check"] == "prediction"] == ["sgd", "momentum"]


def test_the_runs_agree(theory):
    checks = [c for c in theory.document["problems"]["nqm"]["checks"] if c["check"] == "prediction"]
    for check in checks:
        assert check["status"] == "pass"
        assert check["evidence"].startswith(f"16 runs of {check['method']} at 5 steps agree with the prediction")
        assert check["low"] < check["value"] < check["high"]


def test_what_is_written_is_finite_or_null_and_is_the_file(tmp_path):
    """A rate of 1e12 goes beyond double precision within 40 steps, which is no number in JSON."""
    problem = ow.problems.nqm(h=[1.0], w0=[1e3])
    comparison, _ = compare(tmp_path / "runs", problem, [ow.SGD(lr=1e12)], studies=2, budget="40steps")
    (forecast,) = (m["forecast"] for m in comparison.document["problems"]["nqm"]["methods"].values())
    assert forecast["studies"][0]["risk"][0] == 5e5
    assert forecast["studies"][0]["risk"][-1] is None
    assert forecast["studies"][0]["diverges"]
    assert results(comparison.folder) == json.loads(json.dumps(comparison.document, allow_nan=False))
    (check,) = (c for c in comparison.document["problems"]["nqm"]["checks"] if c["check"] == "prediction")
    assert check["evidence"].endswith("and so did 4 of them.")


def test_a_problem_without_a_quadratic_has_no_forecast_and_no_check(done):
    (problem,) = done.document["problems"].values()
    assert [m["forecast"] for m in problem["methods"].values()] == [None, None]
    assert "prediction" not in {c["check"] for c in problem["checks"]}


def test_equal_settings_are_predicted_once_and_the_batch_size_is_that_of_the_protocol(tmp_path, monkeypatch):
    from optwise.verbs import forecasting

    asked = []

    def noting(problem, method, steps):
        asked.append((method.lr, problem.batch_size, steps))
        return forecast(problem, method, steps)

    monkeypatch.setattr(forecasting, "forecast", noting)
    comparison, _ = compare(tmp_path / "runs", [quadratic(), flowers()], [ow.SGD(lr=0.2)], batch_size=4)
    assert asked == [(1e-3, 4, 20), (0.2, 4, 20)], "the defaults, then the four studies of a closed method at once"
    studies = comparison.document["problems"]["nqm"]["methods"]["sgd"]["forecast"]["studies"]
    expected = moments({"lr": 0.2, "schedule": "warmup-cosine"}, 20, 4)
    for each in studies:
        np.testing.assert_allclose(each["risk"], expected[each["steps"]], rtol=1e-12)
    assert comparison.document["problems"]["flowers"]["methods"]["sgd"]["forecast"] is None


def test_another_question_probes_nothing_and_reads_the_same_prediction(theory, monkeypatch):
    def refuse(*_):
        raise AssertionError("a score predicts nothing anew")

    monkeypatch.setattr("optwise.verbs.forecasting.forecast", refuse)
    monkeypatch.setattr("optwise.theory.linear_rules.LinearRule.__init__", refuse)
    document = rescore(theory.folder, target=ow.AtMost("objective", 0.5), axis="steps")
    before, after = (d["problems"]["nqm"] for d in (theory.document, document))
    for name, method in after["methods"].items():
        assert method["forecast"] == before["methods"][name]["forecast"]
    checks = [[c for c in part["checks"] if c["check"] == "prediction"] for part in (before, after)]
    assert checks[0] == checks[1]


def test_a_shorter_budget_is_compared_as_far_as_it_goes(tmp_path):
    comparison, _ = compare(tmp_path / "runs", quadratic(), [ow.SGD(), ow.Adam()], seeds=4, schedule=ow.Constant())
    document = rescore(comparison.folder, budget=ow.Steps(10))
    problem = document["problems"]["nqm"]
    whole = comparison.document["problems"]["nqm"]["methods"]["sgd"]["forecast"]["studies"]
    for each, before in zip(problem["methods"]["sgd"]["forecast"]["studies"], whole, strict=True):
        assert each["steps"] == [0, 5, 10]
        assert each["risk"] == before["risk"][:3]
        assert each["deviation"] == before["deviation"][:3]
    (check,) = (c for c in problem["checks"] if c["check"] == "prediction")
    assert check["evidence"].startswith("16 runs of sgd at 3 steps agree")


def test_a_folder_from_before_predictions_is_scored_without_them(theory):
    with Folder.existing(theory.folder) as folder:
        protocol, notes = latest_protocol(folder)
        runs = recall(folder, set(notes["keys"]))
    assert set(notes[FORECASTS]) == {"nqm"}
    older = {name: note for name, note in notes.items() if name != FORECASTS}
    problem = score(protocol, older, runs)["problems"]["nqm"]
    assert {m["forecast"] for m in problem["methods"].values()} == {None}
    assert problem["verdicts"] == theory.document["problems"]["nqm"]["verdicts"]


def test_a_false_declaration_is_a_warning_of_its_pairs_and_leaves_the_words(tmp_path):
    """The runs are the same: only what the problem says of itself differs."""
    methods = [ow.SGD(), ow.Adam()]
    said = {}
    for name, declared in {"right": {}, "wrong": {"start": np.full(4, 25.0)}}.items():
        comparison, _ = compare(tmp_path / name, quadratic(**declared), methods, seeds=4)
        said[name] = comparison.document["problems"]["nqm"]
    (right,), (wrong,) = (said[name]["verdicts"] for name in ("right", "wrong"))
    assert "prediction" not in right["warnings"]
    assert wrong["warnings"] == sorted([*right["warnings"], "prediction"])
    assert {**wrong, "warnings": []} == {**right, "warnings": []}
    (check,) = (c for c in said["wrong"]["checks"] if c["check"] == "prediction")
    assert (check["status"], check["method"]) == ("fail", "sgd")
    assert check["link"] == "predictions"


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ValueError("array is empty\nand more"), "sgd could not be predicted: ValueError: array is empty."),
        (BadProblem("No noise is known."), "No noise is known."),
    ],
)
def test_a_forecast_that_fails_loses_no_comparison(tmp_path, monkeypatch, error, reason):
    def fail(*_):
        raise error

    monkeypatch.setattr("optwise.verbs.forecasting.forecast", fail)
    comparison, _ = compare(tmp_path / "runs", quadratic(), [ow.SGD()], studies=2, trials=2)
    (forecast,) = (m["forecast"] for m in comparison.document["problems"]["nqm"]["methods"].values())
    assert (forecast["studies"], forecast["reason"]) == ([], reason)


def test_rows_that_multiply_are_compared_only_where_the_mean_is_no_matter_of_rare_runs(tmp_path):
    """In one dimension with batches of one: noise adds 2 lr^2 to the factor (1 - lr)^2 of the second moment."""
    problem = ow.problems.least_squares_sgd(h=[1.0], noise=1.0)
    methods = [ow.SGD(lr=0.05, name="small"), ow.SGD(lr=0.6, name="large")]
    comparison, _ = compare(tmp_path / "runs", problem, methods, seeds=4, schedule=ow.Constant())
    found = comparison.document["problems"]["least-squares-sgd"]["methods"]
    small, large = (found[name]["forecast"]["studies"][0] for name in ("small", "large"))
    assert small["deviation"] is None
    assert (small["heavy"], large["heavy"]) == ([], [5, 10, 15, 20])
    checks = [c for c in comparison.document["problems"]["least-squares-sgd"]["checks"] if c["check"] == "prediction"]
    assert ["at 5 steps" in checks[0]["evidence"], "at 1 step " in checks[1]["evidence"]] == [True, True]
