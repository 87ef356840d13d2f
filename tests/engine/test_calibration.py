"""Which rung: only one whose numbers are right, and of these the cheapest that fits into memory."""

import random
import re
from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch
from torch.fx.experimental.proxy_tensor import make_fx

from optwise.core.method import UNSET, Hyper, Rule
from optwise.engine import calibration
from optwise.engine.admission import admission_error
from optwise.engine.calibration import RungChoice, calibrate, choose_rung, even_split, peak_bytes
from optwise.engine.rungs import STEPPERS
from optwise.engine.timing import ATTEMPTS, ROUNDS, Sample, time_steps
from optwise.methods import METHODS, SGD, Adam, Torch
from optwise.methods.one_pass import plus
from optwise.problems import nqm

RULES = [SGD(lr=lr) for lr in (0.01, 0.1, 1.0)]


def choose(problem, rules=RULES, **changed):
    return choose_rung(problem, rules, **{"most_rows": 64, "dtype": "float32", **changed})


def test_a_choice_names_a_measured_candidate_and_says_why(problem):
    choice = choose(problem)
    assert choice.rung in STEPPERS
    assert 1 <= choice.rows <= 64
    assert choice.microseconds.keys() == {"solo", "traced 64", "vmap 64"}
    assert choice.reason.startswith(f"{choice.rung}")
    assert choice.row_bytes > 83 * 4  # at the least the parameters themselves


QUIET = {"solo": 300.0, "traced": 40.0, "vmap": 90.0}
# CPU microseconds a trial-step on an EPYC: solo, traced and vmap in as many rows as their size predicts; the last is a
# step that gains nothing although its rows are small, as of a large network of convolutions
MEASURED = {
    "softmax, sgd": ({"solo": 308.8, "traced": 12.4, "vmap": 32.2}, 41_321, ("traced", 64)),
    "mlp, sgd": ({"solo": 482.5, "traced": 56.7, "vmap": 95.0}, 158_313, ("traced", 64)),
    "mlp, adamw": ({"solo": 685.7, "traced": 82.7, "vmap": 126.9}, 235_225, ("traced", 64)),
    "cnn, sgd": ({"solo": 1476.0, "traced": 469.7, "vmap": 547.6}, 637_705, ("traced", 64)),
    "512 wide, adamw": ({"solo": 3340.9, "traced": 2295.4, "vmap": 3028.3}, 7_225_633, ("traced", 16)),
    "1024 wide, sgd": ({"solo": 8448.6, "traced": 11048.7, "vmap": 13088.3}, 13_516_945, ("solo", 1)),
    "1024 wide, adamw": ({"solo": 12937.3, "traced": 22085.7, "vmap": 27650.9}, 27_033_889, ("solo", 1)),
    "arithmetic": ({"solo": 3000.0, "traced": 4100.0, "vmap": 5000.0}, 600_000, ("solo", 1)),
}


def refusal_of(rules):
    return "it is wrong in a batch" if isinstance(rules[0], ForgetsInBatches) else ""


class Machine:
    """A machine that is not there: what a step takes by rung, and what others leave of it."""

    def __init__(self, monkeypatch, price=QUIET, row_bytes=50_000):
        self.price, self.rest = dict(price), lambda: Sample(1.0, 1.0)
        self.asked = {}
        self.before = {"solo": 4, "traced": 2, "vmap": 2}  # a look at the length of a step, and what warms up
        monkeypatch.setattr(calibration, "solo_timer", lambda problem, method, dtype: self.timer("solo"))
        monkeypatch.setattr(calibration, "rung_timer", lambda problem, rung, rules: self.timer(rung))
        monkeypatch.setattr(calibration, "_row_bytes", lambda *_: row_bytes)
        monkeypatch.setattr(calibration, "admission_error", lambda problem, rules, rung: refusal_of(rules))

    def timer(self, rung):
        def turn():
            self.asked[rung] = self.asked.get(rung, 0) + 1
            disturbed = self.rest()
            price = self.price[rung] * 1e-6
            return Sample(price * disturbed.cpu, price * disturbed.wall)

        return turn


def idle(rng):
    return lambda: Sample(*[1 + 0.05 * rng.random()] * 2)


def beside_two_others(rng):
    """Half the caches and now and then a whole slice are taken; a step in three is left alone."""

    def rest():
        cpu = 1 + (0.05 if rng.random() < 1 / 3 else 0.8) * rng.random()
        return Sample(cpu, cpu * (3 if rng.random() < 0.5 else 1))

    return rest


@pytest.mark.parametrize("name", MEASURED)
def test_an_idle_and_a_busy_machine_choose_the_same(problem, monkeypatch, name):
    price, row_bytes, expected = MEASURED[name]
    machine = Machine(monkeypatch, price, row_bytes)
    for load in (idle, beside_two_others):
        for seed in range(10):
            machine.rest = load(random.Random(seed))
            choice = choose(problem)
            assert (choice.rung, choice.rows) == expected
            assert not choice.noisy


def test_eager_where_it_is_clearly_cheaper(problem, monkeypatch):
    Machine(monkeypatch, {"solo": 300.0, "traced": 90.0, "vmap": 40.0})
    assert choose(problem).rung == "vmap"
    Machine(monkeypatch, {"solo": 300.0, "traced": 41.0, "vmap": 40.0})
    assert choose(problem).rung == "traced", "what is as cheap is not taken instead"


@pytest.mark.parametrize(
    ("row_bytes", "expected"), [(50_000, ("traced", 64)), (2**22, ("traced", 16)), (2**25, ("solo", 1))]
)
def test_times_that_disagree_are_repeated_and_then_the_size_of_a_row_decides(problem, monkeypatch, row_bytes, expected):
    """V5: nothing noisy is frozen as if it had been measured."""
    other = "solo" if expected[0] == "traced" else "traced"
    machine = Machine(monkeypatch, {"solo": 100.0, "traced": 100.0, "vmap": 300.0}, row_bytes)

    def once_cheaper():
        # the one that size does not predict, in the last turn of the first round of repeats
        machine.price[other] = 20.0 if machine.asked.get(other, 0) == machine.before[other] + ROUNDS else 100.0
        return Sample(1.0, 1.0)

    machine.rest = once_cheaper
    choice = choose(problem)
    assert (choice.rung, choice.rows, choice.noisy) == (*expected, True)
    assert "times disagreed when repeated" in choice.reason
    assert machine.asked["traced"] >= ROUNDS * ATTEMPTS


def test_a_step_that_is_all_arithmetic_runs_solo_without_being_timed_on_other_rungs(problem, monkeypatch):
    machine = Machine(monkeypatch, {"solo": 45_000.0})
    choice = choose(problem)
    assert (choice.rung, choice.reason) == (
        "solo",
        "solo: a step takes 45 ms alone, of which sharing passes would save next to nothing",
    )
    assert machine.asked.keys() == {"solo"}


def test_rows_stop_where_memory_would(problem, monkeypatch):
    Machine(monkeypatch, row_bytes=1000)
    share = calibration.MEMORY_SHARE
    monkeypatch.setattr(calibration, "free_bytes", lambda: 40 * 1000 / share)
    assert choose(problem).rows == 32
    assert choose(problem, workers=2).rows == 16


@pytest.mark.parametrize("most_rows", [1, 5])
def test_no_more_rows_than_are_wanted(problem, monkeypatch, most_rows):
    Machine(monkeypatch)
    assert choose(problem, most_rows=most_rows).rows == most_rows


def test_one_method_is_timed_on_every_rung_and_the_others_take_its_own(problem, monkeypatch):
    machine = Machine(monkeypatch)
    probes = {
        "torch": [Torch(torch.optim.SGD, lr=0.1)],
        "sgd": RULES,
        "adam": [Adam(lr=0.1)],
        "wrong": [ForgetsInBatches(lr=0.1)],
    }
    done = calibrate(problem, probes, choose=tuple(probes), most_rows=64, dtype="float32")
    assert {name: choice.rung for name, choice in done.choices.items()} == {
        "torch": "solo",
        "sgd": "traced",
        "adam": "traced",
        "wrong": "solo",
    }
    assert machine.asked["vmap"] == ROUNDS + machine.before["vmap"]
    assert done.choices["adam"].reason == f"{done.choices['sgd'].reason}, timed with sgd"
    assert done.steps.keys() == probes.keys()
    # one number for one thing
    assert f"{done.steps['sgd'].seconds * 1e6:.0f} us solo" in done.choices["sgd"].reason
    later = calibrate(problem, probes, choose=["adam"], known=done.choices["sgd"], most_rows=64, dtype="float32")
    assert later.choices == {"adam": done.choices["sgd"]}
    assert later.steps.keys() == probes.keys(), "all are timed again, together"
    assert later.timings.session != done.timings.session


_COUNTED: list[int] = []


@dataclass(frozen=True)
class CountsOutside(Rule):
    """Wrong in a batch: it keeps its step count in a global, which a batched step moves once and not once a row."""

    lr: Hyper = UNSET
    defaults: ClassVar = {"lr": 0.1}

    def init(self, w):
        return {}

    def step(self, w, g, state):
        _COUNTED.append(1)
        return plus(w, -self.lr / len(_COUNTED), g), state


@dataclass(frozen=True)
class ForgetsInBatches(Rule):
    """Wrong in a batch: right parameters, but a state that moves once and not once a row."""

    lr: Hyper = UNSET
    defaults: ClassVar = {"lr": 0.1}

    def init(self, w):
        return {"count": torch.zeros((), dtype=torch.float64)}

    def step(self, w, g, state):
        _COUNTED.append(1)
        return plus(w, -self.lr, g), {"count": state["count"] + len(_COUNTED)}


@dataclass(frozen=True)
class Normalised(Rule):
    """A step of length ``lr`` for each leaf; on the flat row there is one leaf only."""

    lr: Hyper = UNSET
    defaults: ClassVar = {"lr": 0.1}

    def init(self, w):
        return {}

    def step(self, w, g, state):
        return plus(w, -self.lr, g / torch.linalg.vector_norm(g)), state


@dataclass(frozen=True)
class NormalisedByLeaf(Normalised):
    elementwise: ClassVar[bool] = False


@dataclass(frozen=True)
class Branches(Rule):
    """A branch on the state, which neither a batch nor a trace can follow."""

    lr: Hyper = UNSET
    defaults: ClassVar = {"lr": 0.1}

    def init(self, w):
        return {"step": torch.zeros((), dtype=torch.float64)}

    def step(self, w, g, state):
        rate = self.lr if state["step"] > 5 else 0.0 * self.lr
        return plus(w, -rate, g), {"step": state["step"] + 1}


@pytest.mark.parametrize("rung", ["vmap", "traced"])
@pytest.mark.parametrize("method", METHODS)
def test_every_built_in_method_is_admitted(problem, rung, method):
    shipped = METHODS[method]().at_defaults()
    met = shipped.needs <= problem.oracles
    assert admission_error(problem if met else nqm(d=7), [shipped.at_lr(lr) for lr in (1e-3, 1e-2, 1.0)], rung) == ""


@pytest.mark.parametrize("rung", ["vmap", "traced"])
@pytest.mark.parametrize(
    ("rule", "sentence"),
    [
        (CountsOutside, "the parameters after batched step 1 differ from the solo step's by"),
        (ForgetsInBatches, "the state after batched step 1 differ from the solo step's by"),
        (Normalised, "differs from leaf by leaf by .*; set Normalised.elementwise = False"),
    ],
)
def test_a_rule_that_is_wrong_in_a_batch_is_refused(problem, rung, rule, sentence):
    _COUNTED.clear()
    assert re.search(sentence, admission_error(problem, [rule(lr=0.1), rule(lr=0.2)], rung))


def test_the_same_rule_declared_leaf_by_leaf_is_admitted(problem):
    assert admission_error(problem, [NormalisedByLeaf(lr=0.1), NormalisedByLeaf(lr=0.2)]) == ""


def test_a_branch_on_the_state_runs_solo_with_the_reason(problem):
    choice = choose(problem, [Branches(lr=0.1)])
    assert (choice.rung, choice.rows) == ("solo", 1)
    assert "batching raised" in choice.reason


def test_a_refused_rule_runs_solo(problem):
    assert choose(problem, [Normalised(lr=0.1)]) == RungChoice(
        "solo", 1, f"solo: {admission_error(problem, [Normalised(lr=0.1)])}", {}
    )


def test_peak_bytes_of_a_small_graph_by_hand():
    """x, then 2x beside x, then 2x + 1 beside 2x: two tensors of 100 numbers at a time, and a sum at the end."""
    graph = make_fx(lambda x: (2 * x + 1).sum())(torch.zeros(100))
    assert peak_bytes(graph) == 2 * 100 * 4


def test_peak_bytes_holds_what_is_used_late():
    """Used on the last line, x stays: x, 2x and 2x + 1 at once."""
    graph = make_fx(lambda x: (2 * x + 1) * x)(torch.zeros(100))
    assert peak_bytes(graph) == 3 * 100 * 4


def test_step_times_say_what_was_timed(problem):
    methods = {"ours": Adam(lr=0.01), "theirs": Torch(torch.optim.Adam, lr=0.01)}
    timed, _ = time_steps(problem, methods, dtype="float32")
    assert timed["ours"].timed == "our rule in a plain loop"
    assert timed["theirs"].timed == "adam as its class ships"
    assert all(step.seconds > 0 for step in timed.values())


@pytest.mark.parametrize(("count", "rows"), [(0, 16), (1, 16), (16, 16), (17, 16), (96, 64), (100, 7)])
def test_trials_are_split_evenly_and_in_order(count, rows):
    parts = even_split(count, rows)
    assert [t for part in parts for t in part] == list(range(count))
    assert all(len(part) <= rows for part in parts)
    assert len(parts) == -(-count // rows)
    assert max(map(len, parts), default=0) - min(map(len, parts), default=0) <= 1
