"""Rules around rules go through the engine as any rule does, the average being what is measured."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import pytest
import torch
from torch import nn

from optwise.core.method import UNSET, Hyper, Rule
from optwise.core.oracles import Oracle
from optwise.core.space import LogUniform
from optwise.core.status import Status
from optwise.core.wrapper import Wrapper
from optwise.engine.admission import admission_error
from optwise.engine.loop import run_chunk
from optwise.methods import EMA, SGD, AdamW, Constant, Momentum, Polyak, Preconditioned, ScheduleFreeSGD, WarmupCosine
from optwise.methods.one_pass import plus
from optwise.problems import half_squared_error, nqm


@dataclass(frozen=True)
class ByLeaf(Rule):
    """A step of length ``lr`` for each leaf, so that it may not run on the flat row."""

    lr: Hyper = UNSET
    defaults: ClassVar = {"lr": 0.1}
    elementwise: ClassVar[bool] = False

    def init(self, w):
        return {}

    def step(self, w, g, state):
        return plus(w, -self.lr, g / torch.linalg.vector_norm(g)), state


FAMILIES = {
    "ema": [EMA(Momentum(lr=lr), decay=decay) for lr, decay in ((0.01, 0.5), (0.1, 0.9), (0.3, 0.99))],
    "polyak": [Polyak(AdamW(lr=lr), after=after) for lr, after in ((0.01, 0), (0.1, 3), (0.3, 50))],
    "polyak with a schedule": [Polyak(SGD(lr=lr, schedule=WarmupCosine())) for lr in (0.01, 0.1, 0.3)],
    "ema of leaf by leaf": [EMA(ByLeaf(lr=lr), decay=0.8) for lr in (0.01, 0.1, 0.3)],
    "ema of a mean": [EMA(Polyak(SGD(lr=lr), after=2), decay=decay) for lr, decay in ((0.1, 0.5), (0.3, 0.9))],
    "schedule-free": [ScheduleFreeSGD(lr=lr, momentum=b) for lr, b in ((0.1, 0.9), (1.0, 0.5), (0.3, 0.0))],
    "ema of schedule-free": [EMA(ScheduleFreeSGD(lr=lr)) for lr in (0.1, 1.0)],
    "preconditioned": [Preconditioned(SGD(lr=lr), power=p) for lr, p in ((0.1, 0.0), (0.3, 0.5), (1.0, 1.0))],
    "ema of preconditioned": [EMA(Preconditioned(Momentum(lr=lr), damping=d)) for lr, d in ((0.05, 0.0), (0.1, 0.1))],
    "preconditioned leaf by leaf": [Preconditioned(ByLeaf(lr=lr), power=0.3) for lr in (0.01, 0.1)],
}
NEEDS_CURVATURE = {name for name, rules in FAMILIES.items() if Oracle.CURVATURE in rules[0].needs}
CASES = pytest.mark.parametrize(
    ("on", "family"),
    [(on, name) for on in ("module", "nqm") for name in FAMILIES if on == "nqm" or name not in NEEDS_CURVATURE],
)
BATCHED = pytest.mark.parametrize("rung", ["vmap", "traced"])


@pytest.fixture
def asked(problem, on):
    """Three leaves of a network, or one leaf with a curvature."""
    return problem if on == "module" else nqm(d=7)


@CASES
@BATCHED
def test_rows_that_share_a_pass_are_the_rows_alone(asked, chunk_of, family, rung):
    """12 steps of these settings are not chaotic: rounding in another order stays below 1e-11."""
    together, alone = (run_chunk(asked, chunk_of(FAMILIES[family], r)).runs for r in (rung, "solo"))
    for run, solo in zip(together, alone, strict=True):
        assert run.execution.rung == rung
        assert not run.execution.retried_solo
        assert run.counts == solo.counts
        for name, leaf in solo.state_dict().items():
            torch.testing.assert_close(run.state_dict()[name], leaf, rtol=1e-11, atol=1e-12)
        for ours, expected in zip(run.measurements, solo.measurements, strict=True):
            assert (ours.step, ours.metric) == (expected.step, expected.metric)
            assert ours.value == pytest.approx(expected.value, rel=1e-10)


@CASES
@BATCHED
def test_every_wrapper_is_admitted(asked, family, rung):
    assert admission_error(asked, FAMILIES[family], rung) == ""


def test_the_wrapper_of_the_docs_is_admitted(problem):
    page = Path(__file__).parents[2] / "docs" / "add-a-method.md"
    names = {"dataclass": dataclass, "field": field, "Wrapper": Wrapper, "Rule": Rule, "Hyper": Hyper, "UNSET": UNSET}
    written = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)[-1]
    exec(written, names | {"__name__": "written", "SGD": SGD, "LogUniform": LogUniform}, made := {})
    assert made["Clipped"]().space.fields.keys() == {"lr", "clip"}
    assert admission_error(problem, [made["Clipped"](SGD(lr=lr), clip=1e-3) for lr in (0.1, 0.2)]) == ""


def test_a_rule_within_that_looks_at_shapes_in_secret_is_refused_by_its_own_name(problem):
    @dataclass(frozen=True)
    class Secret(Rule):
        lr: Hyper = UNSET
        defaults: ClassVar = {"lr": 0.1}
        init, step = ByLeaf.init, ByLeaf.step

    refusal = admission_error(problem, [EMA(Secret(lr=0.1)), EMA(Secret(lr=0.2))])
    assert refusal.startswith("Secret on all parameters at once differs from leaf by leaf")
    assert refusal.endswith("set Secret.elementwise = False")


@pytest.mark.parametrize("rung", ["solo", "vmap", "traced"])
def test_what_is_measured_and_kept_is_the_average(chunk_of, rung):
    """The weights of runs of 1, 2, ... steps of the rule within, averaged by hand."""
    decay, steps = 0.8, 12
    by_hand = [nqm(d=7).start(0)[0]["w"]]
    for k in range(1, steps + 1):
        (run,) = run_chunk(nqm(d=7), chunk_of([SGD(lr=0.3)], "solo", steps=k, every=1)).runs
        by_hand.append(decay * by_hand[-1] + (1 - decay) * run.state_dict()["w"])
    (averaged,) = run_chunk(nqm(d=7), chunk_of([EMA(SGD(lr=0.3), decay=decay)], rung)).runs
    torch.testing.assert_close(averaged.state_dict()["w"], by_hand[steps], rtol=1e-12, atol=1e-14)
    h = 1 / torch.arange(1, 8, dtype=torch.float64)
    for step, value in averaged.curve("objective"):
        assert value == pytest.approx(float(0.5 * (h * by_hand[step].square()).sum()), rel=1e-12)


@BATCHED
@pytest.mark.parametrize("wrapper", [EMA, Polyak])
def test_a_row_that_ends_keeps_its_last_finite_average_and_moves_no_neighbour(
    make_problem, chunk_of, examples, wrapper, rung
):
    x, _ = examples
    regression = make_problem(lambda: nn.Linear(6, 2), loss=half_squared_error, given=(x, x[:, :2].sin()))
    blown, calm = (
        run_chunk(regression, chunk_of([wrapper(Momentum(lr=lr)) for lr in rates], rung)).runs
        for rates in ((0.01, 1e200, 0.03), (0.01, 0.01, 0.03))
    )
    assert [run.status for run in blown] == [Status.BUDGET_SPENT, Status.NOT_FINITE, Status.BUDGET_SPENT]
    assert all(torch.isfinite(leaf).all() for run in blown for leaf in run.state_dict().values())
    for t in (0, 2):
        assert blown[t].measurements == calm[t].measurements
        assert all(torch.equal(leaf, calm[t].state_dict()[name]) for name, leaf in blown[t].state_dict().items())


@BATCHED
def test_wrappers_of_different_rules_never_share_a_pass(problem, chunk_of, rung):
    """Mixed in one chunk, each is what it is without the other: the classes within are part of what rows share."""
    mixed = [EMA(SGD(lr=0.1)), EMA(Momentum(lr=0.1)), EMA(SGD(lr=0.2)), Polyak(SGD(lr=0.1))]
    together = run_chunk(problem, chunk_of(mixed, rung)).runs
    assert [run.execution.rows for run in together] == [2, 1, 2, 1]
    for run, solo in zip(together, run_chunk(problem, chunk_of(mixed, "solo")).runs, strict=True):
        for name, leaf in solo.state_dict().items():
            torch.testing.assert_close(run.state_dict()[name], leaf, rtol=1e-11, atol=1e-12)


def test_a_schedule_given_within_is_the_one_that_acts(chunk_of):
    inside, outside, constant = (
        run_chunk(nqm(d=5), chunk_of([method], "traced")).runs[0]
        for method in (
            EMA(SGD(lr=0.5, schedule=WarmupCosine())),
            EMA(SGD(lr=0.5), schedule=WarmupCosine()),
            EMA(SGD(lr=0.5), schedule=Constant()),
        )
    )
    assert inside.measurements == outside.measurements
    assert inside.measurements != constant.measurements
