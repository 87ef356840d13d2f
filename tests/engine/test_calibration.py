"""Which rung: only one whose numbers are right, and of these the cheapest that fits into memory."""

import re
from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch
from torch.fx.experimental.proxy_tensor import make_fx

from optwise.core.method import UNSET, Hyper, Rule
from optwise.engine import calibration
from optwise.engine.calibration import RungChoice, admission_error, choose_rung, even_split, peak_bytes, step_seconds
from optwise.engine.rungs import STEPPERS
from optwise.methods import METHODS, SGD, Adam, Torch
from optwise.methods.one_pass import plus
from optwise.problems import digits_softmax, nqm

RULES = [SGD(lr=lr) for lr in (0.01, 0.1, 1.0)]


def choose(problem, rules=RULES, **changed):
    return choose_rung(problem, rules, **{"most_rows": 64, "dtype": "float32", **changed})


def test_a_choice_names_a_measured_candidate_and_says_why():
    choice = choose(digits_softmax())
    assert choice.rung in STEPPERS
    assert 1 <= choice.rows <= 64
    label = "solo" if choice.rung == "solo" else f"{choice.rung} {choice.rows}"
    assert label in choice.microseconds
    assert {"solo", "traced 16", "vmap 16"} <= choice.microseconds.keys()
    assert choice.reason.startswith(f"{choice.rung}")
    assert f"{choice.microseconds[label]:.0f} us" in choice.reason
    assert choice.row_bytes > 650 * 4  # at the least the parameters themselves


@pytest.fixture
def clock(monkeypatch):
    """Times by candidate, in place of a clock that depends on the machine."""
    times = {}

    def read(problem, rung, rules, rows):
        return times["solo" if rung == "solo" else f"{rung} {rows}"]

    monkeypatch.setattr(calibration, "_time_steps", read)
    return times


FAST = {"solo": 300.0, "traced 16": 40.0, "vmap 16": 90.0, "traced 32": 25.0, "vmap 32": 50.0}
TABLE = {
    "the fastest": ({**FAST, "traced 64": 20.0, "vmap 64": 40.0}, ("traced", 64)),
    "more rows that do not pay": ({**FAST, "traced 64": 24.9, "vmap 64": 30.0}, ("traced", 32)),
    "eager where it is faster": (
        {"solo": 300.0, "traced 16": 90.0, "vmap 16": 40.0, "traced 32": 80.0, "vmap 32": 39.0},
        ("vmap", 16),
    ),
    "nothing pays": (
        {"solo": 300.0, "traced 16": 299.0, "vmap 16": 400.0, "traced 32": 310.0, "vmap 32": 400.0},
        ("solo", 1),
    ),
}


@pytest.mark.parametrize("name", TABLE)
def test_the_cheapest_candidate_is_chosen_and_more_rows_only_where_they_pay(problem, clock, name):
    times, expected = TABLE[name]
    clock.update(times)
    choice = choose(problem)
    assert (choice.rung, choice.rows) == expected
    assert choice.microseconds == {label: times[label] for label in choice.microseconds}


def test_rows_stop_where_memory_would(problem, clock, monkeypatch):
    clock.update({**FAST, "traced 64": 20.0, "vmap 64": 40.0})
    row_bytes = choose(problem).row_bytes
    assert row_bytes > 0
    share = calibration.MEMORY_SHARE
    monkeypatch.setattr(calibration, "free_bytes", lambda: 40 * row_bytes / share)
    assert choose(problem).rows == 32
    assert choose(problem, workers=2).rows == 16


@pytest.mark.parametrize("most_rows", [1, 5])
def test_no_more_rows_than_are_wanted(problem, clock, most_rows):
    clock.update({"solo": 300.0, "traced 5": 40.0, "vmap 5": 90.0})
    assert choose(problem, most_rows=most_rows).rows == most_rows


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
    timed = step_seconds(problem, methods, dtype="float32", steps=2, repeats=1)
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
