"""Verdicts that a reviewer would try to break: nobody arrives, budgets differ, evaluations are coarse, looks add up."""

import math
from itertools import combinations, pairwise

import pytest
import torch
import torch.nn.functional as F
from small_comparisons import compare, flowers
from torch import nn

import optwise as ow
from optwise.analyses.sweeping import SENSITIVITY
from optwise.analyses.verdict import BETTER, FASTER
from optwise.core.errors import BadProtocol, UnknownName
from optwise.verbs.rescoring import rescore

CLAIMS = (FASTER, BETTER)


class TwoGradients(torch.optim.Optimizer):
    """Sharpness-aware steps: a second gradient a distance ``rho`` uphill, by closure."""

    def __init__(self, params, lr=0.3, rho=0.05):
        super().__init__(params, {"lr": lr, "rho": rho})

    def step(self, closure):
        loss = closure()
        for group in self.param_groups:
            norm = torch.sqrt(sum(p.grad.square().sum() for p in group["params"])) + 1e-12
            climbs = [group["rho"] * p.grad / norm for p in group["params"]]
            with torch.no_grad():
                for p, climb in zip(group["params"], climbs, strict=True):
                    p.add_(climb)
            closure()
            with torch.no_grad():
                for p, climb in zip(group["params"], climbs, strict=True):
                    p.sub_(climb)
                    p.sub_(group["lr"] * p.grad)
        return loss


def separable():
    """A linear classifier of points that a linear map labelled."""
    g = torch.Generator().manual_seed(0)
    w = torch.randn(6, 3, generator=g)
    x, xv = torch.randn(96, 6, generator=g), torch.randn(60, 6, generator=g)
    return ow.problems.from_module(
        lambda: nn.Linear(6, 3),
        F.cross_entropy,
        (x, (x @ w).argmax(1)),
        valid=(xv, (xv @ w).argmax(1)),
        name="p",
        batch_size=32,
    )


def pair_of(comparison, a, b):
    (problem,) = comparison.document["problems"].values()
    return next(v for v in problem["verdicts"] if {v["a"], v["b"]} == {a, b})


SAM = ow.Torch(TwoGradients, lr=0.3, rho=0.05, name="sam")


@pytest.mark.parametrize("axis", ["example-gradients", "steps", "seconds"])
def test_where_nobody_arrives_nobody_is_faster_whatever_a_step_costs(axis, tmp_path):
    comparison, _ = compare(
        tmp_path / "runs",
        separable(),
        [ow.SGD(lr=0.3), SAM],
        studies=6,
        seeds=1,
        budget=40,
        target="valid/loss<=0.001",
        axis=axis,
    )
    pair = pair_of(comparison, "sgd", "sam")
    assert (pair["words"], pair["because"]) == ("not separated", "no run reached it")
    assert (pair["ratio"], pair["ratio_low"], pair["ratio_high"], pair["p"]) == (None, None, None, 1.0)
    assert "no run reached valid/loss<=0.001" in comparison.verdict
    (problem,) = comparison.document["problems"].values()
    assert problem["leader"] is None
    reached = comparison.verdict.rpartition("Half of the runs reach and hold ")[2].partition(":")[0]
    easier = ow.Target.parse(reached)
    held = [run.steps_to(easier) is not None for run in comparison.runs if run.name.phase.value == "confirm"]
    assert sum(held) >= len(held) / 2, "the target that is proposed is one that half of the runs reach"


def test_a_hit_that_only_the_larger_budget_allowed_is_a_miss(tmp_path):
    """In forty steps sam takes twice the gradients of sgd; what it reaches in its second half sgd had no chance to."""
    comparison, _ = compare(
        tmp_path / "runs", separable(), [ow.SGD(lr=0.3), SAM], studies=6, seeds=1, budget=40, evaluations=41
    )
    own = [r for r in comparison.runs if r.name.method == "sam" and r.name.phase.value == "confirm"]
    late = sorted(run.curve("valid/loss")[32][1] for run in own)[2]  # three of six get there in step 32 of 40
    document = rescore(comparison.folder, target=ow.AtMost("valid/loss", late))
    (problem,) = document["problems"].values()
    assert problem["limit"] == {"axis": "example-gradients", "amount": 40 * 32.0}
    assert problem["methods"]["sam"]["confirm"]["missed_per_study"] == [1] * 6
    assert sum(run.steps_to(ow.AtMost("valid/loss", late)) is not None for run in own) >= 3
    assert [v["a"] for v in problem["verdicts"] if v["words"] in CLAIMS] in ([], ["sgd"])


def test_times_are_no_finer_than_the_evaluations(tmp_path):
    """One step against three or more: both were first measured at step 50."""
    methods = [ow.SGD(lr=5.0, name="fast"), ow.SGD(lr=0.3, name="slow")]
    asked = {"studies": 6, "seeds": 1, "budget": 1000, "target": "valid/loss<=0.9", "schedule": ow.Constant()}
    coarse, _ = compare(tmp_path / "coarse", separable(), methods, evaluations=21, **asked)
    pair = pair_of(coarse, "fast", "slow")
    assert pair["words"] == "not separated"
    assert pair["ratio_low"] <= 1 / 5 < 5 <= pair["ratio_high"]
    assert pair["evaluations_needed"] > 21
    fine, _ = compare(tmp_path / "fine", separable(), methods, evaluations=41, **{**asked, "budget": 40})
    pair = pair_of(fine, "fast", "slow")
    assert (pair["a"], pair["words"]) == ("fast", "faster")
    for run in fine.runs:
        if run.name.phase.value == "confirm":
            assert run.steps_to(ow.AtMost("valid/loss", 0.9)) >= 1


@pytest.fixture(scope="module")
def five(tmp_path_factory):
    """Five closed methods with a wide range of times, and one that never arrives."""
    rates = {"quick": 0.5, "twin": 0.5, "middling": 0.1, "slow": 0.03, "never": 1e-5}
    methods = [ow.SGD(lr=lr, name=name, schedule=ow.Constant()) for name, lr in rates.items()]
    comparison, _ = compare(
        tmp_path_factory.mktemp("runs") / "five",
        flowers(),
        methods,
        studies=7,
        seeds=2,
        budget="60steps",
        evaluations=31,
        target="valid/loss<=0.8",
        axis="steps",
    )
    return comparison


def test_one_order_rules_everything(five):
    (problem,) = five.document["problems"].values()
    order, claims = problem["order"], [v for v in problem["verdicts"] if v["words"] in CLAIMS]
    assert sorted(order) == sorted(problem["methods"])
    assert order[-1] == "never"
    assert claims
    assert all(order.index(v["a"]) < order.index(v["b"]) for v in claims)
    assert problem["leader"] == order[0] == five.best.name.method
    assert five.verdict.startswith(f"On flowers, {order[0]} reaches")
    assert five.document["headline"].startswith(f"{order[0]} reaches")
    assert len(five.document["headline"].split()) <= 15
    assert max(problem["winner_stability"], key=problem["winner_stability"].get) in order[:2]


@pytest.mark.parametrize("target", [0.95, 0.8, 0.65, 0.5, 1e-3])
def test_intervals_agree_with_words_at_every_target(five, target):
    document = rescore(five.folder, target=ow.AtMost("valid/loss", target))
    (problem,) = document["problems"].values()
    for v in problem["verdicts"]:
        low, high = v["ratio_low"] or 0.0, v["ratio_high"] if v["ratio_high"] is not None else math.inf
        if v["words"] in CLAIMS:
            assert high <= 1
        elif v["words"] == "equivalent within margin":
            assert 1 / 1.02 <= low <= high <= 1.02
        else:
            assert low <= 1 <= high
        if v["misses_a"] == v["misses_b"] == 14:
            assert (v["words"], v["because"], v["p"]) == ("not separated", "no run reached it", 1.0)
    if not any(v["words"] in CLAIMS for v in problem["verdicts"]):
        assert problem["leader"] is None
        assert not any(document["headline"].startswith(name) for name in problem["methods"])


def test_the_verdicts_along_the_target_are_those_that_each_target_would_give(five):
    (problem,) = five.document["problems"].values()
    targets = [row["target"] for row in problem["sensitivity"]]
    starts = [run.curve("valid/loss")[0][1] for run in five.runs if run.name.phase.value == "confirm"]
    asked = [0.8 * factor for factor in SENSITIVITY]
    assert targets == pytest.approx([t for t in asked if 2 * sum(s <= t for s in starts) <= len(starts)])
    assert 0.8 in targets
    assert len(targets) < len(SENSITIVITY), "most starts meet the easiest of them, where nothing is to be learnt"
    assert all(a < b for a, b in pairwise(targets))
    for row in problem["sensitivity"]:
        document = rescore(five.folder, target=ow.AtMost("valid/loss", row["target"]))
        (other,) = document["problems"].values()
        told = [{k: v[k] for k in ("a", "b", "words", "ratio")} for v in other["verdicts"]]
        assert row["verdicts"] == told
        assert row["leader"] == other["leader"]
    base = {(v["a"], v["b"]) for v in problem["verdicts"] if v["words"] in CLAIMS}
    claims = [{(v["a"], v["b"]) for v in row["verdicts"] if v["words"] in CLAIMS} for row in problem["sensitivity"]]
    assert problem["hangs_on_target"]["answer"] == any(found != base for found in claims)
    assert (problem["hangs_on_target"]["sentence"] in problem["line"]) == problem["hangs_on_target"]["answer"]


def test_the_whole_target_curve_is_tested_beside_the_one_target(five):
    (problem,) = five.document["problems"].values()
    curve = problem["target_curve"]
    assert len(curve["targets"]) == 25
    assert all(a > b for a, b in pairwise(curve["targets"]))
    pairs = {(v["a"], v["b"]): v for v in curve["pairs"]}
    assert len(pairs) == 10
    found = next(v for (a, b), v in pairs.items() if {a, b} == {"quick", "never"})
    assert (found["a"], found["words"]) == ("quick", "faster")
    twins = next(v for (a, b), v in pairs.items() if {a, b} == {"quick", "twin"})
    assert twins["words"] == "not separated"
    hardest = ow.AtMost("valid/loss", curve["targets"][-1])
    reach = [run.steps_to(hardest) is not None for run in five.runs if run.name.phase.value == "confirm"]
    assert sum(reach) >= len(reach) / 2


def test_pairs_that_nobody_asks_about_cost_nothing_and_are_not_told(tmp_path):
    methods = [ow.SGD(lr=lr, name=name) for name, lr in (("a", 0.5), ("b", 0.05), ("c", 0.01))]
    asked = {"studies": 5, "seeds": 1, "target": "valid/loss<=1.0", "axis": "steps", "evaluations": 21}
    every, _ = compare(tmp_path / "every", flowers(), methods, **asked)
    one, _ = compare(tmp_path / "one", flowers(), methods, against="a", **asked)
    (all_pairs,), (own,) = every.document["problems"].values(), one.document["problems"].values()
    assert {frozenset((v["a"], v["b"])) for v in own["verdicts"]} == {frozenset("ab"), frozenset("ac")}
    assert one.document["protocol"]["against"] == "a"
    for v in own["verdicts"]:
        same = next(x for x in all_pairs["verdicts"] if {x["a"], x["b"]} == {v["a"], v["b"]})
        assert v["p"] == same["p"]
        assert v["p_adjusted"] <= same["p_adjusted"]


def test_a_method_that_is_named_after_the_trials_shares_with_all_pairs(tmp_path):
    methods = [ow.SGD(lr=lr, name=name) for name, lr in (("a", 0.5), ("b", 0.05), ("c", 0.01))]
    asked = {"studies": 4, "seeds": 1, "target": "valid/loss<=1.0", "axis": "steps"}
    compare(tmp_path / "runs", flowers(), methods, **asked)
    late, told = compare(tmp_path / "runs", flowers(), methods, against="a", **asked)
    assert told.trials == 0
    (problem,) = late.document["problems"].values()
    assert len(problem["verdicts"]) == 3
    named = [c for c in problem["checks"] if c["check"] == "named-late"]
    assert [c["status"] for c in named] == ["warn"]
    with pytest.raises(UnknownName, match="'d'"):
        compare(tmp_path / "other", flowers(), methods, against="d", **asked)


def test_studies_are_added_until_every_pair_is_separated(tmp_path):
    methods = [ow.SGD(lr=0.5, name="quick"), ow.SGD(lr=0.02, name="slow")]
    asked = {"seeds": 1, "target": "valid/loss<=1.0", "axis": "steps", "evaluations": 21, "until": "separated"}
    few, told = compare(tmp_path / "few", flowers(), methods, studies=3, **asked)
    assert few.document["protocol"]["looks"] == [3, 6, 9, 12]
    pair = pair_of(few, "quick", "slow")
    assert (pair["a"], pair["words"]) == ("quick", "faster")
    assert few.document["protocol"]["studies"] == pair["separated_at"] == 6, "three studies cannot reach the level"
    assert told.ran["quick", "confirm"] == 6
    _, again = compare(tmp_path / "few", flowers(), methods, studies=3, **asked)
    assert again.trials == 0, "the same command resumes, and stops at the same look"


def test_methods_that_cannot_be_told_apart_are_looked_at_to_the_end(tmp_path):
    twins = [ow.SGD(lr=0.5, name="one"), ow.SGD(lr=0.5, name="other")]
    asked = {"seeds": 1, "target": "valid/loss<=0.8", "axis": "steps", "evaluations": 21, "studies": 4}
    comparison, _ = compare(tmp_path / "runs", flowers(), twins, until="separated", **asked)
    pair = pair_of(comparison, "one", "other")
    assert (pair["words"], pair["n"], pair["separated_at"]) == ("not separated", 16, None)
    assert pair["p_adjusted"] > pair["p"], "four looks are paid for"
    with pytest.raises(UnknownName, match="'seperated'"):
        compare(tmp_path / "other", flowers(), twins, until="seperated", **asked)
    with pytest.raises(BadProtocol, match="studies is 0"):
        compare(tmp_path / "other", flowers(), twins, until="separated", **{**asked, "studies": 0})


def test_looking_again_with_more_studies_is_remembered_and_paid_for(tmp_path):
    twins = [ow.SGD(lr=0.5, name="one"), ow.SGD(lr=0.4, name="other")]
    asked = {"seeds": 1, "target": "valid/loss<=0.8", "axis": "steps", "evaluations": 21}
    for studies in (3, 5):
        compare(tmp_path / "runs", flowers(), twins, studies=studies, **asked)
    again, _ = compare(tmp_path / "runs", flowers(), twins, studies=7, **asked)
    once, _ = compare(tmp_path / "once", flowers(), twins, studies=7, **asked)
    (problem,) = again.document["problems"].values()
    looked = [c for c in problem["checks"] if c["check"] == "looks"]
    assert [c["status"] for c in looked] == ["warn"]
    assert "after 5 studies" in looked[0]["evidence"], "after 3 no claim was possible"
    assert pair_of(again, "one", "other")["p_adjusted"] >= pair_of(once, "one", "other")["p_adjusted"]
    (clean,) = once.document["problems"].values()
    assert not [c for c in clean["checks"] if c["check"] == "looks"]


def test_the_smallest_ratio_that_can_be_found_is_told(five):
    (problem,) = five.document["problems"].values()
    power = problem["power"]
    assert (power["studies"], power["pairs"], power["assumed"]) == (7, 10, False)
    known = [v["smallest_ratio"] for v in problem["verdicts"] if v["smallest_ratio"] is not None]
    assert power["smallest_ratio"] == max(known) > 1


def test_every_pair_of_a_document_is_told_once(five):
    (problem,) = five.document["problems"].values()
    told = [frozenset((v["a"], v["b"])) for v in problem["verdicts"]]
    assert sorted(map(sorted, told)) == sorted(map(sorted, map(frozenset, combinations(problem["methods"], 2))))


def test_a_target_that_most_starts_meet_is_refused_of_stored_trials_too(five):
    with pytest.raises(BadProtocol, match=r"meets its target valid/loss<=9 before the first step; give a harder one"):
        rescore(five.folder, target=ow.AtMost("valid/loss", 9.0))


def test_a_size_that_misses_leave_open_is_told_as_a_bound_of_all_pairs(five):
    document = rescore(five.folder, target=ow.AtMost("valid/loss", 0.75))
    (problem,) = document["problems"].values()
    won = [v for v in problem["verdicts"] if v["words"] in CLAIMS and v["a"] == problem["leader"]]
    assert any(v["ratio"] is None for v in won)
    highs = [v["ratio_high"] for v in won]
    assert f"at most {max(highs):.2g} times the " in document["verdict"]


def test_pairs_that_were_looked_at_share_the_correction_after_their_methods_are_left_out(tmp_path):
    """Five rates that hardly differ; the pair that lies farthest apart is then asked about alone."""
    methods = [ow.SGD(lr=0.1 * (1 + 0.03 * k), name=f"m{k}", schedule=ow.Constant()) for k in range(5)]
    asked = {"studies": 8, "seeds": 2, "budget": "60steps", "evaluations": 61, "target": "valid/loss<=0.7"}
    every, _ = compare(tmp_path / "runs", flowers(), methods, **asked)
    ends, _ = compare(tmp_path / "runs", flowers(), [methods[0], methods[-1]], **asked)
    alone, _ = compare(tmp_path / "alone", flowers(), [methods[0], methods[-1]], **asked)
    first, later, own = (pair_of(done, "m0", "m4") for done in (every, ends, alone))
    assert first["p"] == later["p"] == own["p"]
    assert own["p_adjusted"] == own["p"]
    assert later["p_adjusted"] == pytest.approx(min(1.0, 10 * later["p"])), "as the smallest of ten"
    (problem,) = ends.document["problems"].values()
    (check,) = [c for c in problem["checks"] if c["check"] == "left-out"]
    assert check["status"] == "warn"
    assert "m1, m2, m3" in check["evidence"]
    (problem,) = alone.document["problems"].values()
    assert "left-out" not in {c["check"] for c in problem["checks"]}


def constant(value):
    """A linear map that starts alike for every seed."""
    net = nn.Linear(20, 1)
    with torch.no_grad():
        net.weight.fill_(value)
        net.bias.zero_()
    return net


@pytest.mark.parametrize("offset", [5.0, 0.0])
@pytest.mark.parametrize("start", [0.5, -0.3])
def test_rounding_makes_no_deterministic_method_the_better_one(offset, start, tmp_path):
    """All three come to the one optimum; with an offset the loss is negative there, and differences are compared."""
    g = torch.Generator().manual_seed(0)
    x = torch.randn(97, 20, generator=g)
    y = x @ torch.linspace(1, 4, 20)[:, None] + 0.3 * torch.randn(97, 1, generator=g)
    problem = ow.problems.from_module(
        lambda: constant(start),
        lambda out, target: ((out - target) ** 2).mean(1) - offset,
        (x, y),
        valid=(x, y),
        batch_size=97,
        name="neg",
    ).with_sampler(ow.Full())
    methods = [
        ow.SGD(lr=0.2, schedule=ow.Constant()),
        ow.SGD(lr=0.3, schedule=ow.Constant(), name="sgd3"),
        ow.Momentum(lr=0.1, momentum=0.5, schedule=ow.Constant()),
    ]
    done, _ = compare(tmp_path / "runs", problem, methods, studies=3, seeds=2, budget="600steps", target=None)
    (found,) = done.document["problems"].values()
    assert found["leader"] is None
    assert not any(v["words"] in CLAIMS for v in found["verdicts"])
    slow, _ = compare(
        tmp_path / "slow", problem, [methods[0], ow.SGD(lr=1e-3, schedule=ow.Constant(), name="slow")],
        studies=3, seeds=2, budget="100steps", target=None,
    )  # fmt: skip
    assert pair_of(slow, "sgd", "slow")["words"] == "better", "what differs by more is told, without a test"


def test_the_target_that_half_of_the_runs_reach_is_one_that_half_of_them_reach(tmp_path):
    """Methods that spend different amounts are observed up to what the least of them spent."""
    methods = [
        ow.SGD(lr=0.02, name="slow", schedule=ow.Constant()),
        ow.Torch(torch.optim.LBFGS, lr=0.05, max_iter=4, schedule=ow.Constant(), name="lbfgs"),
    ]
    done, _ = compare(
        tmp_path / "runs", separable(), methods, studies=4, seeds=2, budget="40steps", target="valid/loss<=1e-9"
    )
    said = done.document["verdict"].rpartition("reach and hold ")[2].partition(":")[0]
    again = rescore(done.folder, target=ow.Target.parse(said))
    (scored,) = again["problems"].values()
    missed = sum(sum(m["confirm"]["missed_per_study"]) for m in scored["methods"].values())
    assert missed <= 8, "of 16 confirmations"
