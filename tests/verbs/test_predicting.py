"""A predicted run: the same noun as a measured one, with every step of its expected risk."""

import json

import numpy as np
import pytest

import optwise as ow
from optwise.cli import main
from optwise.core.errors import BadProtocol, RunFailed
from optwise.core.run import Run
from optwise.report.figures.curves import run_rows
from optwise.verbs.predicting import prediction_document, prediction_text

H, C = np.array([1.0, 0.25]), np.array([0.5, 0.5])


def predicted(method=None, budget="100steps", batch_size=4):
    return ow.predict(ow.problems.nqm(h=H, c=C, w0=[2.0, 1.0]), method or ow.SGD(lr=0.5), budget, batch_size)


def test_prediction_is_a_run_that_was_not_measured():
    run = predicted()
    assert isinstance(run, Run)
    assert not run.measured
    assert run.status is ow.Status.BUDGET_SPENT
    assert run.execution is None
    assert run.counts == {"steps": 100.0, "examples": 400.0, "example-gradients": 400.0, "evaluations": 100.0}
    assert len(run.risk) == len(run.bias) == len(run.noise) == 101
    np.testing.assert_array_equal(run.risk, run.bias + run.noise / 4)
    assert run.curve("objective")[-1] == (100, run.risk[100])


def test_a_figure_of_measured_runs_draws_a_predicted_one_too():
    rows = run_rows([predicted()], "objective")
    assert rows["method"].unique().tolist() == ["sgd"]
    assert len(rows) == 101


def test_a_budget_in_examples_is_a_number_of_steps_at_the_asked_batch_size():
    assert len(predicted(budget="400examples", batch_size=8).risk) == 51
    assert len(predicted(budget=ow.Steps(7)).risk) == 8


def test_the_target_may_be_an_excess_or_a_value_of_the_metric():
    problem = ow.problems.mean_estimation([1.0, 2.0, 6.0], w0=20.0)
    run = ow.predict(problem, ow.SGD(lr=0.2), "60steps", batch_size=2)
    k = run.steps_to(1.0)
    assert run.risk[k] <= 1.0 < run.risk[k - 1]
    optimum = problem.optimum.value
    assert run.steps_to(ow.AtMost("train/loss", optimum + 1.0)) == k
    assert dict(run.curve("train/loss"))[0] == pytest.approx(optimum + 0.5 * 17**2)
    with pytest.raises(BadProtocol, match="Predicted is train/loss"):
        run.steps_to(ow.AtMost("objective", 1.0))


def test_a_measured_run_has_no_predicted_risk_and_wants_a_named_target():
    measured = Run("p", ow.SGD(lr=0.1), 0, ow.Status.BUDGET_SPENT, {}, ())
    with pytest.raises(RunFailed, match="measured, not predicted"):
        _ = measured.risk
    with pytest.raises(BadProtocol, match="names no metric"):
        measured.steps_to(0.1)


def test_divergence_is_a_status_with_its_rate():
    run = predicted(ow.SGD(lr=2.5), "3000steps")
    assert run.status is ow.Status.DIVERGES
    assert not run.status.ok
    assert run.findings[0].check == "stability"
    assert run.findings[0].value == pytest.approx(1.5)
    assert "1.5-fold" in run.findings[0].evidence
    document = prediction_document(run)
    assert document["risk"][-1] is None
    assert document["floor"] is None
    json.dumps(document, allow_nan=False)


def test_a_growing_risk_is_divergence_where_the_step_keeps_changing_too():
    run = predicted(ow.SGD(lr=3.0, schedule=ow.WarmupStableDecay()), "200steps")
    assert run.status is ow.Status.DIVERGES
    assert run.forecast.rate is None


def test_a_compressed_spectrum_is_a_finding_with_its_bound():
    run = ow.predict(ow.problems.nqm(d=5000), ow.SGD(lr=0.5), "50steps")
    (finding,) = run.findings
    assert finding.check == "compression"
    assert 0 < finding.interval.high < 1e-9
    assert finding.grade.value == "pass"


def test_the_text_shows_a_few_steps_and_says_when_the_target_is_met():
    run = predicted()
    text = prediction_text(run, ow.AtMost("objective", 0.1))
    assert f"objective<=0.1 after {run.steps_to(0.1)} steps" in text
    assert "floor" in text
    assert prediction_text(run, ow.AtMost("objective", 1e-9)).endswith("not within 100 steps")


WORDS = "predict nqm:d=100 momentum:lr=0.1,momentum=0.9 --budget 500steps --batch-size 64 --json"


def test_the_command_prints_one_document_with_bias_noise_floor_and_rate(capfd):
    assert main(WORDS.split()) == 0
    document = json.loads(capfd.readouterr().out)
    assert document["status"] == "budget spent"
    risk, bias, noise = (np.array(document[name]) for name in ("risk", "bias", "noise"))
    assert risk.shape == (501,)
    np.testing.assert_allclose(risk, bias + noise / 64, rtol=1e-15)
    assert risk[-1] == pytest.approx(document["floor"], rel=1e-4)
    assert document["rate"] == pytest.approx(0.98887, abs=1e-5)


def test_the_command_answers_divergence_with_exit_code_0(capfd):
    assert main(["predict", "nqm:d=5", "sgd:lr=3", "--budget", "2000steps", "--target", "objective<=0.1"]) == 0
    out = capfd.readouterr().out
    assert "diverges, predicted" in out
    assert "not within 2000 steps" in out
