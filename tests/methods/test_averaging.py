"""Averages of iterates: what torch.optim.swa_utils computes, measured in the iterates' place."""

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_avg_fn

import optwise as ow
from optwise.catalog import load_problem, method_of
from optwise.core.errors import BadMethod
from optwise.core.run import Phase
from optwise.core.space import IntUniform
from optwise.methods import EMA, SGD, AdamW, Momentum, Polyak, Preconditioned, ScheduleFreeSGD
from optwise.verbs.rerunning import rerun

H = torch.logspace(-1, 0, 6, dtype=torch.float64)
START = torch.linspace(-2, 3, 6, dtype=torch.float64)
STEPS = 30
# one average after another carries a rounding from step to step; 30 of them stay far below this
CLOSE = {"rtol": 1e-13, "atol": 1e-14}


class Point(nn.Module):
    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(START.clone())


def torch_run(average, update_at):
    """Iterates [S, 6] and torch's averages [S, 6] of torch's momentum on a quadratic; ``update_at`` says when."""
    net = Point()
    optimizer, averaged = torch.optim.SGD(net.parameters(), lr=0.3, momentum=0.5), average(net)
    iterates, averages = [], []
    for k in range(STEPS + 1):
        if k > 0:
            net.w.grad = H * net.w.detach()
            optimizer.step()
        if update_at(k):
            averaged.update_parameters(net)
        iterates.append(net.w.detach().clone())
        averages.append(averaged.module.w.detach().clone())
    return torch.stack(iterates[1:]), torch.stack(averages[1:])


def our_run(rule, steps=STEPS, w=START):
    """Iterates and measured points of a rule on the same quadratic."""
    state = rule.start(w, H)
    iterates, points = [], []
    for _ in range(steps):
        w, state = rule.step(w, H * w, state)
        iterates.append(w)
        points.append(rule.evaluation_weights(w, state))
    return torch.stack(iterates), torch.stack(points)


def ema_of_torch(net):
    return AveragedModel(net, avg_fn=get_ema_avg_fn(0.9))


def test_an_ema_is_torch_s_that_was_first_updated_at_the_start():
    expected, averages = torch_run(ema_of_torch, lambda k: True)
    iterates, points = our_run(EMA(Momentum(lr=0.3, momentum=0.5), decay=0.9))
    torch.testing.assert_close(iterates, expected, **CLOSE)
    torch.testing.assert_close(points, averages, **CLOSE)


def test_an_ema_of_torch_that_is_updated_after_steps_alone_starts_at_the_first_iterate():
    """The documented difference: theirs copies w_1, so that the two are decay^k (w_0 - w_1) apart."""
    _, averages = torch_run(ema_of_torch, lambda k: k > 0)
    iterates, points = our_run(EMA(Momentum(lr=0.3, momentum=0.5), decay=0.9))
    torch.testing.assert_close(averages[0], iterates[0], **CLOSE)
    k = torch.arange(1, STEPS + 1, dtype=torch.float64)
    torch.testing.assert_close(points - averages, 0.9 ** k[:, None] * (START - iterates[0]), **CLOSE)
    assert (points[0] - averages[0]).abs().max() > 0.1


@pytest.mark.parametrize("after", [0, 1, 7])
def test_a_mean_is_torch_s_that_is_updated_from_the_step_after(after):
    _, averages = torch_run(AveragedModel, lambda k: k > after)
    iterates, points = our_run(Polyak(Momentum(lr=0.3, momentum=0.5), after=after))
    torch.testing.assert_close(points[after:], averages[after:], **CLOSE)
    assert torch.equal(points[:after], iterates[:after])


@pytest.mark.parametrize("after", [0, 5])
def test_a_mean_is_the_mean_of_the_iterates_after_the_step(after):
    iterates, points = our_run(Polyak(AdamW(lr=0.1), after=after))
    counts = torch.arange(1, STEPS - after + 1, dtype=torch.float64)[:, None]
    torch.testing.assert_close(points[after:], iterates[after:].cumsum(0) / counts, **CLOSE)


@pytest.mark.parametrize("inner", [SGD(lr=0.3), Momentum(lr=0.1), AdamW(lr=0.1)], ids=lambda rule: rule.label)
@pytest.mark.parametrize("wrapper", [EMA, Polyak])
def test_the_steps_are_those_of_the_rule_within_bit_for_bit(wrapper, inner):
    assert torch.equal(our_run(wrapper(inner))[0], our_run(inner)[0])


@pytest.mark.parametrize("wrapper", [EMA, Polyak])
def test_before_the_first_step_the_start_is_measured(wrapper):
    rule = wrapper(SGD(lr=0.1))
    assert torch.equal(rule.evaluation_weights(START, rule.init(START)), START)


def test_without_memory_an_ema_is_the_iterate_and_with_all_of_it_the_start():
    iterates, points = our_run(EMA(SGD(lr=0.3), decay=0.0))
    assert torch.equal(points, iterates)
    _, points = our_run(EMA(SGD(lr=0.3), decay=1.0))
    assert torch.equal(points, START.expand(STEPS, 6))


def test_an_average_of_a_rule_that_averages_is_of_its_measured_points():
    inner = ScheduleFreeSGD(lr=0.5)
    iterates, measured = our_run(inner)
    counts = torch.arange(1, STEPS + 1, dtype=torch.float64)[:, None]
    _, points = our_run(Polyak(inner))
    torch.testing.assert_close(points, measured.cumsum(0) / counts, **CLOSE)
    assert (measured - iterates).abs().max() > 1e-3


@pytest.mark.parametrize("after", [1.5, -1, float("inf")])
def test_a_mean_begins_after_a_whole_number_of_steps(after):
    with pytest.raises(BadMethod, match=r"^Polyak.after is .*; it must"):
        Polyak(SGD(lr=0.1), after=after)
    assert Polyak(SGD(lr=0.1), after=IntUniform(0, 10)).close({"after": 3.0}).after == 3


@pytest.fixture(scope="module")
def comparison(tmp_path_factory):
    """Averages on the noisy quadratic model; the second one never leaves the start."""
    methods = [EMA(SGD()), EMA(SGD(lr=0.1), decay=1.0, name="frozen"), EMA(Preconditioned()), Polyak(SGD(lr=0.5))]
    return ow.compare(
        load_problem("nqm:d=10"),
        methods,
        out=tmp_path_factory.mktemp("runs") / "averages",
        studies=2,
        trials=3,
        seeds=2,
        budget="20steps",
        evaluations=5,
        workers=1,
        executor="local",
        resamples=100,
        target=None,
        dtype="float64",
    )


def test_a_comparison_measures_averages(comparison):
    runs = {name: [] for name in ("ema-sgd", "frozen", "ema-preconditioned-sgd", "polyak-sgd")}
    for run in comparison.runs:
        if run.name.phase is Phase.CONFIRM:
            runs[run.name.method].append([value for _, value in run.curve("objective")])
    assert {len(curve) for curves in runs.values() for curve in curves} == {5}
    assert {len(set(curve)) for curve in runs["frozen"]} == {1}
    moved = [curve for name in runs if name != "frozen" for curve in runs[name]]
    assert {len(set(curve)) for curve in moved} == {5}


@pytest.mark.parametrize("trial", ["ema-sgd/0/1", "ema-sgd/1/c0", "ema-preconditioned-sgd/0/2", "polyak-sgd/0/c1"])
def test_a_trial_of_an_average_runs_again_bit_for_bit(comparison, trial):
    report = rerun(comparison.folder, f"nqm:d=10/{trial}", load_problem=load_problem, load_method=method_of)
    assert report.same
    assert report.document["largest_difference"] == 0.0
    assert len(report.document["curves"]["objective"]["stored"]) == 5
