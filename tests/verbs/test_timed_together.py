"""Seconds are compared only where methods were timed together; adding one times all again and runs nothing again."""

import sqlite3
from dataclasses import replace

import numpy as np
import pytest
import torch
from small_comparisons import METHODS, calibrated, compare, results, stored

import optwise as ow
from optwise.core.method import Rule
from optwise.core.spending import StepTime
from optwise.engine.calibration import Calibration, RungChoice
from optwise.engine.timing import CLOCK, Sample, TimedStep, Timings
from optwise.store.folder import Folder
from optwise.verbs.recalling import latest_protocol, recall
from optwise.verbs.scoring import score

CHOICE = RungChoice("vmap", 16, "as the test says", {"solo": 1.0})
SHORT = {"studies": 1, "trials": 2, "seeds": 1}


class Machine:
    """Calibrations that are given: seconds of a step times ``load``, in turns that may disagree."""

    def __init__(self, monkeypatch):
        self.load, self.disagreement, self.waiting = 1.0, 0.0, 1.0
        self.price = {"sgd": 1e-4, "adam": 3e-4, "lbfgs": 2e-3}
        self.evaluations = {"lbfgs": 20.0}
        self.timed = []
        monkeypatch.setattr("optwise.verbs.planning.calibrate", self.calibrate)

    def calibrate(self, problem, probes, **asked):
        self.timed.append(set(probes))
        whole = calibrated(CHOICE)(problem, probes, **asked)
        steps = {}
        samples = {}
        for name, own in probes.items():
            seconds = self.price[name] * self.load
            count = 1.0 if isinstance(own[0], Rule) else self.evaluations[name]
            steps[name] = TimedStep(seconds, f"{name} as the test says", count)
            turns = (seconds, seconds * (1 + self.disagreement))
            samples[name] = [Sample(cpu, cpu * self.waiting, count) for cpu in turns]
        return Calibration(whole.choices, steps, Timings(samples))


@pytest.fixture
def machine(monkeypatch):
    return Machine(monkeypatch)


def plans(folder):
    with Folder.existing(folder) as opened:
        _, notes = latest_protocol(opened)
    return {pair.partition("/")[2]: plan for pair, plan in notes["plans"].items()}


def test_an_added_method_times_all_again_in_one_session_and_runs_only_its_own(tmp_path, machine):
    """V4: the first was timed at rest, the second beside other work."""
    compare(tmp_path / "runs", methods=METHODS[:1], **SHORT)
    before, trials = plans(tmp_path / "runs"), stored(tmp_path / "runs")
    machine.load = 20.0
    _, told = compare(tmp_path / "runs", **SHORT)
    after = plans(tmp_path / "runs")
    assert machine.timed == [{"sgd"}, {"sgd", "adam"}]
    assert {method for method, _ in told.ran} == {"adam"}
    assert {key: stored(tmp_path / "runs")[key] for key in trials} == trials
    assert len({plan["timing"] for plan in after.values()}) == 1
    assert after["sgd"]["timing"] != before["sgd"]["timing"]
    assert after["adam"]["step_seconds"] / after["sgd"]["step_seconds"] == pytest.approx(3.0)
    assert {
        name: m["execution"]["timing"]
        for name, m in results(tmp_path / "runs")["problems"]["flowers"]["methods"].items()
    } == {name: plan["timing"] for name, plan in after.items()}


def test_what_was_timed_together_is_not_timed_again(tmp_path, machine):
    compare(tmp_path / "runs", **SHORT)
    before = plans(tmp_path / "runs")
    compare(tmp_path / "runs", **SHORT)
    compare(tmp_path / "runs", methods=METHODS[1:], **SHORT)
    assert len(machine.timed) == 1
    assert plans(tmp_path / "runs")["adam"] == before["adam"]


def test_methods_that_came_one_after_the_other_are_timed_together_when_they_are_compared(tmp_path, machine):
    for methods in (METHODS[:1], METHODS[1:], METHODS):
        compare(tmp_path / "runs", methods=methods, **SHORT)
    assert machine.timed == [{"sgd"}, {"adam"}, {"sgd", "adam"}]
    assert len({plan["timing"] for plan in plans(tmp_path / "runs").values()}) == 1


def test_noisy_times_are_said_marked_and_measured_again_at_the_next_call(tmp_path, machine):
    machine.disagreement, machine.waiting = 0.5, 3.0
    _, told = compare(tmp_path / "runs", **SHORT)
    (said,) = [note for note in told.notes if "busy" in note]
    assert said == (
        "flowers: machine busy: steps took 3.0 times their CPU time, and times differ by 50% between two halves, so "
        "they were measured 2 times; times are marked as noisy"
    )
    assert all(plan["timing_noisy"] for plan in plans(tmp_path / "runs").values())
    machine.disagreement, machine.waiting = 0.0, 1.0
    _, told = compare(tmp_path / "runs", **SHORT)
    assert told.trials == 0
    assert not any("busy" in note for note in told.notes)
    assert not any(plan["timing_noisy"] for plan in plans(tmp_path / "runs").values())
    assert len(machine.timed) == 2


def test_seconds_are_frozen_once_and_an_added_method_is_given_its_share_of_them(tmp_path, machine):
    """Three times the time of a step buys a third of the steps, also where the machine is slower by then."""
    seconds = {**SHORT, "budget": "0.003s"}
    compare(tmp_path / "runs", methods=METHODS[:1], **seconds)
    trials = stored(tmp_path / "runs")
    machine.load = 2.0
    comparison, told = compare(tmp_path / "runs", **seconds)
    assert {method for method, _ in told.ran} == {"adam"}
    assert {key: stored(tmp_path / "runs")[key] for key in trials} == trials
    taken = {run.name.method: run.counts["steps"] for run in comparison.runs}
    assert taken == {"sgd": 30.0, "adam": 10.0}


def test_seconds_buy_evaluations_of_a_procedure(tmp_path, machine):
    lbfgs = ow.Torch(torch.optim.LBFGS, lr=0.5, name="lbfgs")
    comparison, _ = compare(tmp_path / "runs", methods=[ow.SGD(lr=0.1), lbfgs], **SHORT, budget="0.004s")
    (own,) = {plan["allowance"] for name, plan in plans(tmp_path / "runs").items() if name == "lbfgs"}
    assert own == "40evaluations", "a timed step took 20 evaluations in 2 ms"
    for run in comparison.runs:
        timing = StepTime.read(plans(tmp_path / "runs")[run.name.method])
        spent = run.spent("seconds", run.counts["steps"], timing=timing)
        assert spent + 1e-12 >= 0.004
        dearest = run.spending.dearest_step("evaluations") * timing.seconds / timing.evaluations
        assert spent <= 0.004 + dearest + 1e-12


def test_a_folder_of_before_sessions_were_noted_is_timed_again(tmp_path, machine):
    compare(tmp_path / "runs", **SHORT)
    with sqlite3.connect(tmp_path / "runs" / "study.db") as connection:
        connection.execute("DROP TABLE timings")
    connection.close()
    _, told = compare(tmp_path / "runs", **SHORT)
    assert told.trials == 0
    assert len(machine.timed) == 2
    assert StepTime.read({"step_seconds": 1e-3}).session == "", "old notes name no session"


@pytest.mark.parametrize("session", ["another", ""])
def test_seconds_that_were_timed_apart_are_not_compared_and_gradients_are(tmp_path, machine, session):
    """V4: the same arithmetic, timed once at rest and once beside other work."""
    compare(tmp_path / "runs", **SHORT, target=ow.AtMost("valid/loss", 1.0))
    with Folder.existing(tmp_path / "runs") as opened:
        protocol, notes = latest_protocol(opened)
        runs = recall(opened, set(notes["keys"]))
    notes["plans"]["flowers/adam"]["timing"] = session
    by_axis = {}
    for axis in ("seconds", "example-gradients"):
        document = score(replace(protocol, axis=axis), notes, runs)
        (by_axis[axis],) = document["problems"]["flowers"]["verdicts"]
    assert by_axis["seconds"]["words"] == "not comparable"
    assert "timed apart" in by_axis["seconds"]["because"]
    assert by_axis["example-gradients"]["words"] != "not comparable"


TWINS = [ow.SGD(lr=0.1, schedule=ow.Constant(), name=name) for name in ("sgd", "adam")]
IN_SECONDS = {"studies": 6, "seeds": 2, "budget": "60steps", "evaluations": 61, "target": "valid/loss<=0.8"}


def pair_of(comparison):
    (problem,) = comparison.document["problems"].values()
    (pair,) = problem["verdicts"]
    return pair


def stored_runs(folder):
    """Notes and runs of the last question."""
    with Folder.existing(folder) as opened:
        _, notes = latest_protocol(opened)
        return notes, recall(opened, set(notes["keys"]))


@pytest.mark.parametrize("apart", [1.0, 1.03, 1.1])
def test_seconds_that_the_repeats_cannot_tell_apart_claim_nothing(tmp_path, machine, apart):
    """One measured step stands behind all seconds of a method, so that its error is the same in every study."""
    machine.price = {"sgd": 1e-4, "adam": 1e-4 * apart}
    machine.disagreement = 0.12
    done, _ = compare(tmp_path / "runs", methods=TWINS, axis="seconds", **IN_SECONDS)
    pair = pair_of(done)
    assert pair["words"] == "not separated"
    low, high = pair["ratio_low"], pair["ratio_high"]
    assert low <= (1 / apart if pair["a"] == "sgd" else apart) <= high
    assert low <= 1 <= high
    alike = score(replace(done.protocol, axis="steps"), *stored_runs(tmp_path / "runs"))
    (counted,) = alike["problems"]["flowers"]["verdicts"]
    assert counted["p"] <= pair["p"], "what is counted is known, what is timed is not"


def test_seconds_that_differ_by_more_than_the_repeats_do_are_compared(tmp_path, machine):
    machine.price = {"sgd": 1e-4, "adam": 3e-4}
    machine.disagreement = 0.12
    longer = {**IN_SECONDS, "budget": "200steps", "evaluations": 201}
    done, _ = compare(tmp_path / "runs", methods=TWINS, axis="seconds", **longer)
    pair = pair_of(done)
    assert (pair["a"], pair["words"]) == ("sgd", "faster")
    assert pair["ratio_low"] <= 1 / 3 <= pair["ratio_high"] < 1


def test_the_same_seconds_buy_methods_that_cannot_be_told_apart_the_same_steps(tmp_path, machine):
    machine.price = {"sgd": 1e-4, "adam": 1.08e-4, "slow": 3e-4, "late": 1.05e-4}
    machine.disagreement = 0.1
    methods = [*TWINS, ow.SGD(lr=0.1, schedule=ow.Constant(), name="slow")]
    asked = {"studies": 2, "seeds": 1, "budget": "0.006s"}
    compare(tmp_path / "runs", methods=methods, **asked)
    steps = {name: plan["steps"] for name, plan in plans(tmp_path / "runs").items()}
    assert steps["sgd"] == steps["adam"] == 58  # at the mean of the logs of their times
    assert steps["slow"] == 20
    machine.load = 2.0  # one that is added at another load is bought what its like was bought
    compare(tmp_path / "runs", methods=[*methods, ow.SGD(lr=0.2, schedule=ow.Constant(), name="late")], **asked)
    assert {name: plan["steps"] for name, plan in plans(tmp_path / "runs").items()} == {**steps, "late": 58}


def test_bounds_of_a_time_hold_the_minima_of_all_groups_of_turns():
    rng = np.random.default_rng(0)
    for turns in (1, 2, 3, 8, 13, 24):
        cpu = rng.uniform(1.0, 2.0, size=turns)
        low, high = Timings({"a": [Sample(c, c) for c in cpu]}).bounds("a")
        assert low == pytest.approx(cpu.min() / (1 + CLOCK))
        assert high >= cpu[: max(1, turns // 4)].min() * (1 + CLOCK) * (1 - 1e-12)
        assert high <= cpu.max() * (1 + CLOCK) * (1 + 1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_twins_on_the_real_clock_are_not_separated(tmp_path, seed):
    done, _ = compare(tmp_path / "runs", methods=TWINS, axis="seconds", seed=seed, **IN_SECONDS)
    assert pair_of(done)["words"] == "not separated"
