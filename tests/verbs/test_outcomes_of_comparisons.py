"""Comparisons in which something is special: a crash, a certain number, several problems, another budget."""

import json
import math
from itertools import pairwise

import pytest
import torch
from small_comparisons import compare, flowers, stored

import optwise as ow
from optwise.core.errors import RunFailed
from optwise.core.run import Phase
from optwise.core.status import Status


class Fragile(torch.optim.SGD):
    """Raises at step 37."""

    def step(self, closure=None):
        self.taken = getattr(self, "taken", 0) + 1
        if self.taken == 37:
            raise RuntimeError("the preconditioner is singular")
        return super().step(closure)


class Exploding(torch.optim.SGD):
    """Leaves every finite number behind at its fifth step."""

    def step(self, closure=None):
        self.taken = getattr(self, "taken", 0) + 1
        super().step(closure)
        if self.taken == 5:
            for group in self.param_groups:
                for p in group["params"]:
                    p.data.mul_(float("inf"))


@pytest.mark.parametrize("method", [Fragile, ow.Torch(Fragile, lr=0.1)], ids=["open", "closed"])
def test_an_optimizer_that_raises_midway_is_not_comparable_and_the_comparison_ends(method, tmp_path):
    asked = {"budget": "40steps", "studies": 2, "trials": 2, "seeds": 2}
    comparison, _ = compare(tmp_path / "runs", methods=[ow.SGD(), method], **asked)
    mine = [run for run in comparison.runs if run.name.method == "fragile"]
    assert {run.status for run in mine} == {Status.CRASHED}
    assert all("the preconditioner is singular" in run.traceback for run in mine)
    assert all(run.counts["steps"] == 36 for run in mine)
    (problem,) = comparison.document["problems"].values()
    (pair,) = problem["verdicts"]
    assert (pair["words"], pair["because"]) == ("not comparable", "fragile found no feasible trial")
    assert (
        comparison.verdict
        == "On flowers, only sgd found a feasible trial. Tuned with 2 trials in each of 2 studies"
        + (" (fragile run as given), on this split." if isinstance(method, ow.Torch) else ", on this split.")
    )
    assert problem["leader"] is None, "nobody is ahead of anybody"
    assert problem["order"] == [comparison.best.name.method, "fragile"] == ["sgd", "fragile"]
    failed = [c for c in problem["checks"] if c["method"] == "fragile" and c["check"] == "feasible"]
    assert [c["status"] for c in failed] == ["fail"]
    assert json.dumps(comparison.document, allow_nan=False)


def test_what_crashed_is_tried_again_and_nothing_else_is(tmp_path):
    asked = {"budget": "40steps", "studies": 1, "trials": 2, "seeds": 1, "methods": [ow.SGD(), Fragile]}
    compare(tmp_path / "runs", **asked)
    before = stored(tmp_path / "runs")
    _, told = compare(tmp_path / "runs", **asked)
    assert told.ran == {("fragile", "explore"): 2, ("fragile", "default"): 1}
    assert stored(tmp_path / "runs") == before


def test_without_a_feasible_trial_there_is_no_best_run(tmp_path):
    comparison, _ = compare(tmp_path / "runs", methods=[Exploding], studies=2, trials=2, seeds=1)
    assert {run.status for run in comparison.runs} == {Status.NOT_FINITE}
    assert comparison.verdict.startswith("On flowers, exploding found no feasible trial.")
    (problem,) = comparison.document["problems"].values()
    assert problem["leader"] is None
    assert problem["methods"]["exploding"]["selected"] == [None, None]
    assert problem["methods"]["exploding"]["search"]["statuses"] == {"not finite": 4}
    with pytest.raises(RunFailed, match="no best run"):
        comparison.best.state_dict()


def test_a_study_without_a_feasible_trial_is_a_miss_and_not_left_out(tmp_path):
    wild = ow.SGD(lr=ow.Choice(0.5, 1e30), name="wild")
    comparison, _ = compare(
        tmp_path / "runs", methods=[wild], studies=6, trials=1, target=ow.AtMost("valid/loss", 0.9), axis="steps"
    )
    method = comparison.document["problems"]["flowers"]["methods"]["wild"]
    lost = [i for i, chosen in enumerate(method["selected"]) if chosen is None]
    assert 0 < len(lost) < 6, "half of the points are wild"
    assert len(method["confirm"]["per_study"]) == 6
    assert all(method["confirm"]["per_study"][i] == pytest.approx(20.0) for i in lost)
    assert all(method["confirm"]["missed_per_study"][i] == 2 for i in lost)
    assert method["confirm"]["n"] == 2 * (6 - len(lost))


def test_closed_methods_on_a_deterministic_problem_are_compared_without_a_test(tmp_path):
    closed = [ow.SGD(lr=1e-3), ow.Momentum(lr=1e-3, momentum=0.9), ow.SGD(lr=1e-3, name="twin")]
    comparison, told = compare(
        tmp_path / "runs",
        ow.problems.rosenbrock(),
        closed,
        budget="200steps",
        target=ow.AtMost("objective", 3.9),
        axis="steps",
        schedule=ow.Constant(),
        evaluations=201,
    )
    assert ("sgd", "explore") not in told.ran, "there is nothing to search"
    (problem,) = comparison.document["problems"].values()
    for method in problem["methods"].values():
        assert (method["search"]["trials"], method["search"]["studies"], method["selected"]) == (0, 0, [])
        assert (method["confirm"]["studies"], method["confirm"]["n"]) == (1, 8)
        assert len(method["confirm"]["per_study"]) == 1
    pairs = {(v["a"], v["b"]): v for v in problem["verdicts"]}
    assert all((v["p"], v["p_adjusted"], v["studies_needed"], v["n"]) == (None, None, None, 1) for v in pairs.values())
    assert pairs["momentum", "sgd"]["words"] == pairs["momentum", "twin"]["words"] == "faster"
    assert pairs["sgd", "twin"]["words"] == "equivalent within margin"
    times = {name: m["confirm"]["per_study"][0] for name, m in problem["methods"].items()}
    assert pairs["momentum", "sgd"]["ratio"] == pytest.approx(times["momentum"] / times["sgd"])
    assert pairs["momentum", "sgd"]["ratio"] < 1
    assert comparison.verdict.endswith("Run as given, in 4 studies of 2 seeds, on this problem.")


def test_one_study_of_a_drawn_method_claims_nothing(tmp_path):
    comparison, _ = compare(tmp_path / "runs", methods=[ow.SGD(lr=0.5), ow.SGD(lr=1e-5, name="slow")], studies=1)
    (pair,) = comparison.document["problems"]["flowers"]["verdicts"]
    assert (pair["words"], pair["studies_needed"]) == ("not separated", 4)
    assert "1 study cannot separate them, 4 could." in comparison.verdict


def test_four_studies_of_a_clear_winner_are_enough(tmp_path):
    slow_first = [ow.SGD(lr=1e-5, name="slow"), ow.SGD(lr=0.5)]
    comparison, _ = compare(tmp_path / "runs", methods=slow_first)
    (pair,) = comparison.document["problems"]["flowers"]["verdicts"]
    assert (pair["a"], pair["b"], pair["words"], pair["n"]) == ("sgd", "slow", "better", 4)
    assert pair["ratio"] < pair["ratio_high"] < 1
    assert pair["p"] == pytest.approx(2 / 70)
    assert comparison.verdict.startswith("On flowers, sgd reaches a better valid/loss than slow (")


def test_several_problems_have_a_verdict_each_and_a_profile_together(tmp_path):
    target = ow.AtMost("valid/loss", 0.95)
    comparison, _ = compare(
        tmp_path / "runs", [flowers(target=target), flowers("herbs", target=target)], studies=2, trials=2
    )
    document = comparison.document
    assert list(document["problems"]) == ["flowers", "herbs"]
    assert document["protocol"]["target"] == dict.fromkeys(document["problems"], "valid/loss<=0.95")
    assert [comparison.verdict.count(f"On {name},") for name in document["problems"]] == [1, 1]
    profile = document["profile"]
    assert profile["problems"] == ["flowers", "herbs"]
    assert all(0 <= score <= 1 for score in profile["score"].values())
    assert all(len(rho) == len(profile["tau"]) for rho in profile["rho"].values())
    assert all(a <= b for rho in profile["rho"].values() for a, b in pairwise(rho))
    addresses = {run.name.problem for run in comparison.runs}
    assert addresses == {"flowers", "herbs"}
    assert comparison.best.name.problem == "flowers"


@pytest.mark.parametrize(
    ("budget", "steps"),
    [("10steps", 10), (10, 10), ("152examples", 10), ("150example-gradients", 10), (ow.Examples(153), 11)],
)
def test_a_budget_in_any_unit_becomes_the_steps_that_spend_it(budget, steps, tmp_path):
    """Epochs of 60 in batches of 16, 16, 16 and 12: 10 steps look at 152 examples."""
    comparison, _ = compare(tmp_path / "runs", methods=[ow.SGD(lr=0.1)], studies=1, seeds=1, budget=budget)
    (method,) = comparison.document["problems"]["flowers"]["methods"].values()
    assert method["search"]["budget"]["steps"] == steps
    assert {run.counts["steps"] for run in comparison.runs} == {float(steps)}
    assert comparison.document["protocol"]["budget"] == str(ow.Budget.parse(str(budget)))


def test_a_budget_in_seconds_becomes_steps_once(tmp_path):
    asked = {"methods": [ow.SGD(lr=0.1)], "studies": 1, "seeds": 1, "budget": ow.Seconds(0.01), "axis": "seconds"}
    comparison, _ = compare(tmp_path / "runs", **asked)
    (method,) = comparison.document["problems"]["flowers"]["methods"].values()
    steps = method["search"]["budget"]["steps"]
    assert steps == math.ceil(0.01 / method["execution"]["step_seconds"])
    assert {run.counts["steps"] for run in comparison.runs} == {float(steps)}
    _, told = compare(tmp_path / "runs", **asked)
    assert told.trials == 0, "the steps are frozen with the plan"


def test_a_single_batch_size_replaces_that_of_the_problem(tmp_path):
    comparison, _ = compare(tmp_path / "runs", methods=[ow.SGD(lr=0.1)], studies=1, seeds=1, batch_size=30)
    assert comparison.document["protocol"]["problems"]["flowers"]["batch_size"] == 30
    assert {run.counts["examples"] for run in comparison.runs} == {20 * 30.0}


def test_any_optimizer_class_is_a_method_with_a_borrowed_space(tmp_path):
    comparison, _ = compare(tmp_path / "runs", methods=[torch.optim.RAdam], studies=1, seeds=1)
    (method,) = comparison.document["problems"]["flowers"]["methods"].values()
    assert method["search"]["borrowed_space"] is True
    assert method["execution"]["rung"] == "solo"
    assert "ships" in method["execution"]["step_timed"]
    assert {run.name.phase for run in comparison.runs} == set(Phase) - {Phase.REFERENCE}
