"""What a caller asks theory with and is no number, no list or no setting, is refused in one sentence."""

import numpy as np
import pytest
import torch

from optwise.cli import main
from optwise.core.budget import Budget
from optwise.core.counts import listed, real_number, real_numbers, whole_number
from optwise.core.errors import BadProblem, BadProtocol, CallerError
from optwise.methods import SGD
from optwise.problems import least_squares_sgd, mean_estimation, nqm, sampled_least_squares
from optwise.theory import (
    adagrad_bound,
    adam_bound,
    best_schedule,
    critical_batch_size,
    distribution,
    floor,
    floors,
    forecast,
    max_lr,
    rate,
    rates,
    rates_of_each,
    steps_to,
    survey,
)
from optwise.theory.batches_in_time import steps_within
from optwise.verbs.predicting import predict

P, S = nqm(d=5), SGD(lr=0.1)
ALL = {"dimension": 1, "gradient_bound": 1.0, "smoothness": 1.0, "gap": 1.0}

QUESTIONS = {
    "forecast's steps": lambda x: forecast(P, S, x),
    "forecast's batch": lambda x: forecast(P, S, 5, {0: x}),
    "forecast's method": lambda x: forecast(P, x, 5),
    "forecast's problem": lambda x: forecast(x, S, 5),
    "a forecast's target": lambda x: forecast(P, S, 5).steps_to(x),
    "predict's points": lambda x: predict(P, S, 5, evaluations=x),
    "distribution's steps": lambda x: distribution(P, S, x),
    "distribution's horizon": lambda x: distribution(P, S, 2, horizon=x or "a"),
    "quantile": lambda x: distribution(P, S, 2).quantile(x),
    "probability": lambda x: distribution(P, S, 2).probability(x),
    "max_lr's batch": lambda x: max_lr(P, S, x or "a"),
    "max_lr's method": lambda x: max_lr(P, x),
    "floor's batch": lambda x: floor(P, S, x or "a"),
    "rate's batch": lambda x: rate(P, S, x or "a"),
    "rates's method": lambda x: rates(P, x),
    "rates_of_each's methods": lambda x: rates_of_each(P, x),
    "floors's methods": lambda x: floors(P, x, [1]),
    "floors's sizes": lambda x: floors(P, [S], x),
    "steps_to's target": lambda x: steps_to(P, [S], x, [1]),
    "steps_to's sizes": lambda x: steps_to(P, [S], 0.5, [x]),
    "steps_to's methods": lambda x: steps_to(P, x, 0.5, [1]),
    "steps_to's horizon": lambda x: steps_to(P, [S], 0.5, [1], max_steps=x),
    "survey's target": lambda x: survey(P, SGD(), x, [1], points=2),
    "survey's sizes": lambda x: survey(P, SGD(), 0.5, x, points=2),
    "survey's points": lambda x: survey(P, SGD(), 0.5, [1], points=x),
    "survey's method": lambda x: survey(P, x, 0.5, [1], points=2),
    "critical_batch_size's target": lambda x: critical_batch_size(P, S, x),
    "critical_batch_size's sizes": lambda x: critical_batch_size(P, S, 0.5, batch_sizes=x or "a"),
    "critical_batch_size's points": lambda x: critical_batch_size(P, S, 0.5, points=x),
    "best_schedule's steps": lambda x: best_schedule(P, SGD, x),
    "best_schedule's milestones": lambda x: best_schedule(P, SGD, 5, milestones=x),
    "best_schedule's bounds": lambda x: best_schedule(P, SGD, 5, bounds=x),
    "adagrad_bound's steps": lambda x: adagrad_bound(x or "a", lr=1.0, **ALL),
    "adagrad_bound's gap": lambda x: adagrad_bound(9, lr=1.0, **ALL | {"gap": x}),
    "adagrad_bound's dimension": lambda x: adagrad_bound(9, lr=1.0, **ALL | {"dimension": x}),
    "adam_bound's beta2": lambda x: adam_bound(9, lr=1.0, beta2=x or "a", **ALL),
    "nqm's h": lambda x: nqm(h=x or "a"),
    "nqm's d": lambda x: nqm(d=x or "a"),
    "nqm's c": lambda x: nqm(h=[1.0], c=x or "a"),
    "nqm's c beside a matrix": lambda x: nqm(h=[[1.0]], c=[[x or "a"]]),
    "nqm's w0": lambda x: nqm(h=[1.0], w0=x or "a"),
    "nqm's w_star": lambda x: nqm(h=[1.0], w_star=x or "a"),
    "nqm's second_moment": lambda x: nqm(h=[1.0], second_moment=x),
    "least_squares_sgd's d": lambda x: least_squares_sgd(d=x or "a"),
    "least_squares_sgd's noise": lambda x: least_squares_sgd(d=1, noise=x),
    "mean_estimation's x": lambda x: mean_estimation(x or "a"),
    "mean_estimation's mu": lambda x: mean_estimation(mu=x, sigma=1.0),
    "mean_estimation's w0": lambda x: mean_estimation([1.0], w0=x),
    "sampled_least_squares's x": lambda x: sampled_least_squares(x or "a", [1.0]),
}


@pytest.mark.parametrize("given", ["a", None, 1 + 2j], ids=repr)
@pytest.mark.parametrize("question", QUESTIONS)
def test_a_question_with_no_number_is_refused_in_one_sentence(question, given):
    with pytest.raises(CallerError) as refused:
        QUESTIONS[question](given)
    assert "\n" not in str(refused.value)
    assert str(refused.value).endswith(".")


@pytest.mark.parametrize("steps", [1.5, True, np.inf, np.nan, [5]])
def test_a_number_of_steps_is_whole(steps):
    with pytest.raises(BadProtocol, match=r"steps is .*give a whole number"):
        forecast(P, S, steps)
    assert len(forecast(P, S, np.float64(3.0)).risk) == 4


def test_one_limit_belongs_to_one_batch_size():
    for ask in (max_lr, floor, rate):
        with pytest.raises(BadProtocol, match=r"Batch size is \{0: 1, 3: 2\}, which is not one number"):
            ask(P, S, {0: 1, 3: 2})


def test_batch_sizes_say_what_every_step_has():
    for sizes, found in (([1, 2], "2 batch sizes were given for 5"), ([1] * 8, "8 batch sizes"), ({}, "say nothing")):
        with pytest.raises(BadProtocol, match=found):
            forecast(P, S, 5, sizes)
    with pytest.raises(BadProtocol, match="0 batch sizes were given for 5 steps"):
        forecast(P, S, 5, [])
    one_by_one = forecast(P, S, 5, [1, 1, 2, 2, 2]).risk
    np.testing.assert_array_equal(one_by_one, forecast(P, S, 5, {0: 1, 2: 2}).risk)


def test_a_budget_of_examples_is_spent_by_the_sizes_that_are_given():
    budget = Budget.parse("7examples")
    assert steps_within(budget, P, [1, 2, 4], 1.0) == 3  # 1 + 2 + 4
    with pytest.raises(BadProtocol, match="The 2 batch sizes have 3 examples, and the budget is 7"):
        steps_within(budget, P, [1, 2], 1.0)


@pytest.mark.parametrize("text", ["64,0:3", "64,5:3,5:2"])
def test_the_command_line_takes_no_size_twice(text, capsys):
    assert main(["predict", "nqm:d=5", "sgd:lr=0.1", "--budget", "9steps", "--batch-size", text]) == 2
    assert f"Batch size '{text}' names two for step" in capsys.readouterr().err


@pytest.mark.parametrize("d", [1.5, -1, 0, np.nan, np.inf])
def test_a_dimension_counts_parameters(d):
    with pytest.raises(BadProblem):
        nqm(d=d)
    assert nqm(d=2.0).quadratic.dimension == 2


def test_an_entry_that_is_no_number_is_named():
    with pytest.raises(BadProblem, match=r"h\[1\] is nan"):
        nqm(h=[1.0, np.nan])
    with pytest.raises(BadProblem, match=r"w0\[0\] is inf"):
        nqm(h=[1.0], w0=[np.inf])


def test_numbers_of_numpy_and_torch_are_numbers():
    assert real_number(torch.tensor(0.5), "x", "give one") == 0.5
    assert whole_number(np.int64(3), "x", least=1) == 3
    assert real_numbers(torch.tensor([1.0, 2.0]), "Sizes", "give some").tolist() == [1.0, 2.0]
    assert listed((k for k in range(2)), "Things", "give some") == [0, 1]
