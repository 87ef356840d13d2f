"""What cannot come out is said by ``check``, and by ``compare`` before its first trial."""

import pytest
from small_comparisons import ASKED, Counting, calibrated, flowers

import optwise as ow
from optwise.engine.calibration import RungChoice
from optwise.problems import digits_mlp
from optwise.problems.targets import target_budget

TARGET = ow.AtMost("valid/loss", 0.9)
METHODS = [ow.SGD(), ow.Adam(), ow.Momentum()]


class Listening(Counting):
    """Notes that came before any trial."""

    before: list[str] | None = None

    def advance(self, *told):
        if self.before is None:
            self.before = list(self.notes)
        super().advance(*told)


@pytest.fixture
def _rung(monkeypatch):
    solo = RungChoice("solo", 1, "as the test says", {"solo": 100.0})
    monkeypatch.setattr("optwise.verbs.checking.calibrate", calibrated(solo))


@pytest.mark.usefixtures("_rung")
def test_check_and_compare_say_the_same_and_compare_says_it_before_the_first_trial(tmp_path):
    asked = {**ASKED, "studies": 4, "trials": 2, "seeds": 1, "target": TARGET}
    report = ow.check(flowers(), METHODS, **{k: v for k, v in asked.items() if k != "out"})
    told = Listening()
    ow.compare(flowers(), METHODS, out=tmp_path / "runs", progress=told, **asked)
    prospects = report.document["problems"]["flowers"]["prospects"]
    assert [p["check"] for p in prospects] == ["too-few-studies", "coarse-evaluations"]
    assert "4 studies cannot separate 3 methods" in prospects[0]["evidence"]
    for p in prospects:
        said = f"{p['evidence']} {p['advice']}"
        assert f"note: {said}" in report.text
        assert f"flowers: {said}" in told.before


@pytest.mark.usefixtures("_rung")
def test_check_says_which_ratio_these_studies_find():
    report = ow.check(flowers(), METHODS[:2], **{**ASKED, "studies": 8}, target=TARGET)
    described = report.document["problems"]["flowers"]
    assert described["smallest_ratio"] == pytest.approx(1.57, abs=0.005)  # by the power formula's own example
    assert "8 studies find a true ratio of times of 1.57 four times in five" in report.text


@pytest.mark.usefixtures("_rung")
def test_closed_methods_without_chance_are_told_apart():
    report = ow.check(ow.problems.rosenbrock(), [ow.SGD(lr=1e-4), ow.Momentum(lr=1e-4)], budget="20steps", workers=1)
    checks = {p["check"] for p in next(iter(report.document["problems"].values()))["prospects"]}
    assert "no-chance" in checks
    assert "too-few-studies" not in checks


@pytest.mark.parametrize(
    ("command", "steps"),
    [
        ("optwise target digits-mlp", 750),
        ("optwise target digits-mlp --budget 300steps", 300),
        ("optwise target x --budget=1e3 --seed 1", 1000),
        ("optwise target x --budget nonsense", None),
        ("by definition: a hundredth", None),
    ],
)
def test_the_budget_of_the_references_is_read_from_the_command_that_set_the_target(command, steps):
    from dataclasses import replace

    budget = target_budget(replace(digits_mlp(), target_command=command))
    assert (None if budget is None else budget.steps(batch=64)) == steps
