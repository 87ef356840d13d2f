"""Budgets in their units, metric targets, and what cannot be read as either."""

import math

import pytest

from optwise.core.budget import Budget, Evaluations, ExampleGradients, Examples, Seconds, Steps
from optwise.core.errors import BadProtocol
from optwise.core.metric import AtLeast, AtMost, Direction, Target


@pytest.mark.parametrize(
    ("text", "budget"),
    [
        ("1000steps", Steps(1000)),
        ("1000", Steps(1000)),
        (" 1 step ", Steps(1)),
        ("2e5 examples", Examples(200_000)),
        ("64000example-gradients", ExampleGradients(64_000)),
        ("500 evaluations", Evaluations(500)),
        ("0.5s", Seconds(0.5)),
        ("30seconds", Seconds(30)),
    ],
)
def test_a_budget_is_a_number_and_a_unit_and_reads_back_what_it_prints(text, budget):
    assert Budget.parse(text) == budget
    assert Budget.parse(str(budget)) == budget


@pytest.mark.parametrize("text", ["", "many steps", "0steps", "-3steps", "1.5steps", "10 epochs", "nansteps", "0s"])
def test_a_budget_that_makes_no_experiment_is_refused(text):
    with pytest.raises(BadProtocol):
        Budget.parse(text)


@pytest.mark.parametrize("amount", [math.inf, math.nan])
def test_a_budget_is_finite(amount):
    with pytest.raises(BadProtocol):
        Seconds(amount)


def test_every_unit_buys_the_steps_that_cost_it():
    paid = {"batch": 64, "gradients_per_step": 2.0, "step_seconds": 1e-3}
    bought = [Steps(100), Examples(6400), ExampleGradients(12_800), Evaluations(200), Seconds(0.1)]
    assert [budget.steps(**paid) for budget in bought] == [100] * 5


def test_the_step_in_which_a_budget_is_spent_is_finished_and_none_begun_after_it():
    assert [Examples(n).steps(batch=64) for n in (1, 63, 64, 65, 127, 128, 129)] == [1, 1, 1, 2, 2, 2, 3]
    assert ExampleGradients(100).steps(batch=64, gradients_per_step=2.0) == 1
    assert ExampleGradients(129).steps(batch=64, gradients_per_step=2.0) == 2
    assert Seconds(0.3).steps(batch=64, step_seconds=0.1) == 3, "rounding buys no step"


def test_seconds_need_a_measured_step():
    with pytest.raises(BadProtocol, match="measured step"):
        Seconds(10).steps(batch=1)


@pytest.mark.parametrize("target", [AtMost("valid/loss", 0.25), AtLeast("valid/accuracy", 0.97), AtMost("f", -1e-6)])
def test_a_target_reads_back_what_it_prints(target):
    assert Target.parse(str(target)) == target


@pytest.mark.parametrize("text", ["valid/loss", "valid/loss<0.25", "<=0.2", "valid/loss<=", "valid/loss<=low"])
def test_a_target_that_cannot_be_read_is_refused(text):
    with pytest.raises(BadProtocol):
        Target.parse(text)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_target_is_finite(value):
    with pytest.raises(BadProtocol, match="not finite"):
        AtMost("valid/loss", value)


def test_a_target_includes_its_value_and_no_nan_reaches_it():
    for target, past, short in ((AtMost("m", 1.0), 0.5, 1.5), (AtLeast("m", 1.0), 1.5, 0.5)):
        assert target.reached_by(1.0)
        assert target.reached_by(past)
        assert not target.reached_by(short)
        assert not target.reached_by(math.nan)


def test_better_is_strict_and_never_a_nan():
    for direction in Direction:
        assert not direction.better(1.0, 1.0)
        assert not direction.better(math.nan, 1.0)
        assert direction.better(1.0 - direction.sign, 1.0)
