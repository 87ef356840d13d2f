"""The data of each figure against numbers worked out by hand."""

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from made_runs import LOG_LR, ONE_MINUS, trial

from optwise.core.method import Recorded
from optwise.core.metric import AtMost, Direction, Target
from optwise.core.run import Measurement, Run
from optwise.core.space import Choice, IntUniform, LogUniform, OneMinus, Uniform, When
from optwise.core.status import Status
from optwise.report.answers import small_budgets
from optwise.report.figures.axes import axis_name, axis_rows, edges, is_log
from optwise.report.figures.budget_curves import Goal, budget_rows, drawn_points
from optwise.report.figures.curves import band_rows, end_rows, packed, run_rows, value_domain
from optwise.report.figures.profile import profile_rows
from optwise.report.figures.ratios import ratio_rows, size_domain
from optwise.report.figures.sensitivity import fastest, sensitivity_chart, sensitivity_rows, ties
from optwise.report.readings import Meter, feasible_value, quantiles, spans_decades

NAN = math.nan


def run(name, values, *, status=Status.BUDGET_SPENT, point=None, infeasible=False, metric=("valid", "loss")):
    """A run measured every ten steps."""
    return Run(
        problem="p",
        method=Recorded(name="m", description={}),
        seed=0,
        status=status,
        counts={"steps": 10 * (len(values) - 1), "example-gradients": 640 * (len(values) - 1)},
        measurements=tuple(Measurement(10 * i, *metric, value) for i, value in enumerate(values)),
        name=trial(name),
        point=point or {},
        infeasible=infeasible,
    )


def test_a_run_that_ended_counts_as_the_worst_in_every_quantile():
    runs = [
        run("p/m/0/c0", [2.0, 1.0, 0.5]),
        run("p/m/0/c1", [2.0, 3.0, NAN], status=Status.NOT_FINITE),
        run("p/m/1/c0", [2.0, 1.5, 0.7]),
        run("p/m/1/c1", [2.0, 9.0], status=Status.NOT_FINITE),
    ]
    rows = band_rows(runs, "valid/loss", Direction.MIN)
    assert rows["step"].tolist() == [0, 10, 20]
    assert rows["median"].tolist()[:2] == [2.0, 2.25]
    assert math.isnan(rows["median"].tolist()[2]), "half of the runs have ended"
    assert rows["low"].tolist() == pytest.approx([2.0, 1.375, 0.65])
    assert rows["high"].tolist()[:2] == [2.0, 4.5]
    assert math.isnan(rows["high"].tolist()[2])


@pytest.mark.parametrize("n", range(1, 12))
def test_quantiles_are_those_of_numpy_where_all_runs_go_on(n):
    values = np.random.default_rng(n).normal(size=(n, 5))
    shares = (0.5, 0.25, 0.75, 0.9)
    np.testing.assert_allclose(quantiles(values, Direction.MIN, shares), np.quantile(values, shares, axis=0))
    np.testing.assert_allclose(
        quantiles(values, Direction.MAX, shares), np.quantile(values, 1 - np.array(shares), axis=0)
    )


def test_quantiles_of_a_metric_to_maximise_mirror_those_to_minimise():
    values = np.array([[0.1], [0.5], [0.9], [NAN]])
    up = quantiles(values, Direction.MAX, (0.25, 0.5, 0.75))
    assert up[:2, 0].tolist() == pytest.approx([0.6, 0.3])
    assert math.isnan(up[2, 0]), "the worst third ended"
    np.testing.assert_array_equal(up, -quantiles(-values, Direction.MIN, (0.25, 0.5, 0.75)))


def test_curves_hold_finite_numbers_only_and_crosses_stand_at_the_last_of_them():
    runs = [run("p/m/0/c0", [2.0, 5.0, NAN], status=Status.NOT_FINITE), run("p/m/0/c1", [2.0, 1.0, math.inf])]
    assert run_rows(runs, "valid/loss")["value"].tolist() == [2.0, 5.0, 2.0, 1.0]
    ends = end_rows(runs, "valid/loss")
    assert ends[["trial", "step", "value", "status"]].to_numpy().tolist() == [["p/m/0/c0", 10, 5.0, "not finite"]]


def test_packing_keeps_every_number_of_a_line_and_adds_what_a_step_costs():
    rows = run_rows([run("p/m/0/c0", [2.0, 1.0]), run("p/m/0/c1", [3.0, 2.0])], "valid/loss")
    rows = rows.assign(steps=rows["step"], seconds=rows["step"] * 1e-4)
    lines, listed = packed(rows, ("value",), ["steps", "seconds"])
    assert lines["step"].tolist() == [[0, 10], [0, 10]]
    assert lines["value"].tolist() == [[2.0, 1.0], [3.0, 2.0]]
    assert lines["seconds"].tolist() == pytest.approx([1e-4, 1e-4])
    assert listed == []


def test_runs_that_pay_differently_for_their_steps_are_drawn_by_their_own_counters():
    """The first run takes dear steps and is measured earlier; both have spent the same at each evaluation."""
    dear, cheap = run("p/m/0/c0", [3.0, 2.0, 1.0]), run("p/m/0/c1", [3.0, 1.0, 0.5])
    dear = replace(dear, measurements=tuple(m._replace(step=m.step // 5) for m in dear.measurements))
    prices = {str(dear.name): 50.0, str(cheap.name): 10.0}

    def spent(one, axis, step):
        return step * prices[str(one.name)] + (5.0 if axis == "bent" and step == 10 else 0.0)

    bands = band_rows([dear, cheap], "valid/loss", Direction.MIN, spent, ["paid"])
    assert bands["paid"].tolist() == [0.0, 100.0, 200.0]
    assert bands["median"].tolist() == [3.0, 1.5, 0.75]
    assert bands["step"].tolist() == [0, 6, 12]
    rows = run_rows([dear, cheap], "valid/loss", spent, ["paid", "bent"])
    lines, listed = packed(rows, ("value",), ["paid", "bent"])
    assert lines["paid"].tolist() == [50.0, 10.0]
    assert (listed, lines["bent"].tolist()) == (["bent"], [[0.0, 100.0, 200.0], [0.0, 105.0, 200.0]])


def bands(median, low=None, high=None, *, steps=(0, 10, 20), method="m"):
    low, high = low or median, high or median
    return pd.DataFrame({"method": method, "step": steps, "median": median, "low": low, "high": high})


def test_the_range_is_that_of_the_curves_after_their_first_steps():
    falling = bands([2.3, 0.6, 0.5, 0.4], steps=(0, 10, 20, 100))
    low, high = value_domain(falling, None, Direction.MIN)
    assert low < 0.4
    assert 0.5 < high < 0.6  # the value at a tenth of the run is still part of the fall
    few = bands([2.3, 0.9, 0.8, 0.8], steps=(0, 1, 2, 10), method="of few and dear steps")
    assert value_domain(pd.concat([falling, few]), None, Direction.MIN)[1] > 0.8
    rising = bands([0.1, 0.9, 0.95, 0.98], steps=(0, 10, 20, 100))
    low, high = value_domain(rising, None, Direction.MAX)
    assert 0.9 < low < 0.95
    assert 0.98 < high < 1.0


def test_an_explosion_does_not_set_the_range_and_a_far_target_neither():
    exploding = bands([2.0, 1e12, 0.5])
    near = value_domain(exploding, 0.4, Direction.MIN)
    assert near[0] < 0.4 < near[1] < 2.2
    assert value_domain(exploding, 1e-9, Direction.MIN)[0] > 1e-9
    assert value_domain(exploding.assign(median=NAN, low=NAN, high=NAN), None, Direction.MIN) is None
    low, high = value_domain(bands([1.0, 3.0, 4.0]), None, Direction.MIN)  # nothing got better: all there is
    assert low <= 3.0
    assert high >= 4.0


def test_the_best_of_k_pooled_trials_counts_infeasible_ones_as_the_worst():
    runs = [
        run("p/m/0/0", [9.0, 1.0]),
        run("p/m/0/1", [9.0, 2.0]),
        run("p/m/1/0", [9.0, 3.0]),
        run("p/m/1/1", [9.0, 0.1], infeasible=True),
    ]
    rows = budget_rows(runs, Goal("valid/loss", Direction.MIN))
    assert rows["k"].tolist() == [1, 2, 3, 4]
    # k = 2: of the 6 pairs of {1, 2, 3, inf} the best is 1 in three, 2 in two, 3 in one
    assert rows["median"].tolist() == [2.0, 1.0, 1.0, 1.0]
    assert rows["high"].tolist() == [3.0, 2.0, 1.0, 1.0]


def test_the_best_of_k_of_a_metric_to_maximise_rises():
    runs = [run(f"p/m/0/{i}", [0.0, value], metric=("valid", "accuracy")) for i, value in enumerate((0.2, 0.9, 0.5))]
    rows = budget_rows(runs, Goal("valid/accuracy", Direction.MAX))
    assert rows["median"].tolist() == [0.5, 0.9, 0.9]


def test_few_trials_are_all_drawn_and_many_are_thinned():
    assert drawn_points(16) == list(range(1, 17))
    assert len(drawn_points(5000)) <= 60
    assert {1, 5000} <= set(drawn_points(5000))


def test_an_axis_shows_what_was_drawn():
    space = Recorded(name="m", description={"class": "M", "lr": LOG_LR, "betas": [ONE_MINUS, 0.999]}).space
    runs = [
        run("p/m/0/0", [2.0, 0.5], point={"lr": 0.1, "betas[0]": 0.99}),
        run("p/m/0/1", [2.0, NAN], point={"lr": 1.0, "betas[0]": 0.9}, status=Status.NOT_FINITE),
    ]
    asked = {"metric": "valid/loss", "direction": Direction.MIN, "target": None}
    rows = axis_rows(runs, space, path="betas[0]", axis="steps", selected={0: 0}, **asked)
    assert rows["setting"].tolist() == pytest.approx([0.01, 0.1])
    assert rows["selected"].tolist() == [True, False]
    assert rows["value"].tolist()[0] == 0.5
    assert math.isnan(rows["value"].tolist()[1])
    assert axis_name("betas[0]", space.fields["betas[0]"]) == "1 - betas[0]"


def test_a_conditional_field_shows_only_the_trials_in_which_it_exists():
    field = {"class": "When", "field": "nesterov", "equals": True, "then": LOG_LR, "otherwise": 0.0}
    description = {"class": "M", "nesterov": {"class": "Choice", "options": [True, False]}, "momentum": field}
    space = Recorded(name="m", description=description).space
    runs = [
        run("p/m/0/0", [2.0, 0.5], point={"nesterov": True, "momentum": 0.1}),
        run("p/m/0/1", [2.0, 0.6], point={"nesterov": False, "momentum": 0.0}),
    ]
    asked = {"metric": "valid/loss", "direction": Direction.MIN, "target": None}
    rows = axis_rows(runs, space, path="momentum", axis="steps", selected={}, **asked)
    assert rows["trial"].tolist() == ["p/m/0/0"]


@pytest.mark.parametrize(
    ("distribution", "expected", "log"),
    [
        (LogUniform(1e-4, 1.0), [(1e-4, 10**-3.6), (10**-0.4, 1.0)], True),
        (Uniform(0.0, 10.0), [(0.0, 1.0), (9.0, 10.0)], False),
        (OneMinus(LogUniform(1e-3, 1e-1)), [(1e-3, 10**-2.8), (10**-1.2, 1e-1)], True),
        (When("a", 1, Uniform(0.0, 10.0), 0.0), [(0.0, 1.0), (9.0, 10.0)], False),
        (IntUniform(1, 10), [(1.0, 2.0), (10.0, 10.0)], False),
        (Choice("a", "b"), [], False),
    ],
)
def test_the_outer_tenths_are_shaded_on_the_scale_that_was_drawn(distribution, expected, log):
    found = edges(distribution)
    assert [x for pair in found for x in pair] == pytest.approx([x for pair in expected for x in pair])
    assert is_log(distribution) is log


def pair(a, b, words="not separated", *, ratio=None, low=None, high=None, **more):
    return {"a": a, "b": b, "words": words, "ratio": ratio, "ratio_low": low, "ratio_high": high, **more}


def test_every_row_of_the_ratios_reads_the_same_way_and_the_leaders_come_first():
    verdicts = [
        pair("sgd", "adam", ratio=1.25, low=1.0, high=None),
        pair("slow", "sgd", ratio=2.0, low=1.6, high=2.5),
        pair("adam", "slow", "faster", ratio=0.5, low=0.4, high=0.8),
    ]
    rows = ratio_rows(verdicts, order=["adam", "sgd", "slow"], leader="adam", direction=Direction.MIN)
    assert rows["pair"].tolist() == ["adam / slow", "adam / sgd", "sgd / slow"]
    assert rows["size"].tolist() == [0.5, 0.8, 0.5]
    assert rows["high"].tolist() == [0.8, 1.0, pytest.approx(1 / 1.6)]
    assert math.isnan(rows["low"].tolist()[1])  # an end that misses leave open stays open, on the other side
    assert rows["leads"].tolist() == [True, True, False]
    low, high = size_domain(rows, 0.02)
    assert low < 0.4
    assert high > 1.02


def test_no_size_is_printed_or_drawn_where_both_ends_are_open():
    verdicts = [pair("adagrad", "adam", ratio=1.64), pair("adam", "sgd")]
    rows = ratio_rows(verdicts, order=["adam", "sgd", "adagrad"], leader=None, direction=Direction.MIN)
    assert rows["size"].isna().all()
    assert rows["text"].tolist() == ["size not known", "size not known"]
    known = ratio_rows([pair("a", "b", ratio=0.5, low=0.4)], order=["b", "a"], leader=None, direction=Direction.MIN)
    assert known["text"].tolist() == ["≤ 2 [\N{EN DASH}, 2.50]"]


@pytest.mark.parametrize("direction", list(Direction))
def test_a_difference_is_first_minus_second_as_the_record_has_it_whatever_is_better(direction):
    """The unit and the sign are the metric's own; only which rows come first asks what is better."""
    verdicts = [
        pair("b", "a", "better", low=-0.2, high=-0.05, difference=-0.1),
        pair("a", "c", low=-0.3, high=0.4, difference=0.2),
    ]
    rows = ratio_rows(verdicts, order=["a", "b", "c"], leader="a", direction=direction).set_index("second")
    assert rows.loc["b", ["size", "low", "high"]].tolist() == [0.1, 0.05, 0.2]
    assert rows.loc["c", ["size", "low", "high"]].tolist() == [0.2, -0.3, 0.4]
    assert rows["pair"].to_dict() == {"b": "a \N{MINUS SIGN} b", "c": "a \N{MINUS SIGN} c"}
    assert rows.index.tolist() == (["b", "c"] if direction is Direction.MIN else ["c", "b"])


def test_two_pairs_never_share_a_row_of_the_ratios():
    long = [pair("x" * 40 + end, "sgd", "better", ratio=0.5, low=0.4, high=0.6) for end in "ab"]
    rows = ratio_rows(long, order=["x" * 40 + "a", "x" * 40 + "b", "sgd"], leader=None, direction=Direction.MIN)
    assert rows["pair"].nunique() == 2


def test_the_sweep_names_the_fastest_from_the_easiest_target_on():
    sweep = [
        {"target": 0.1, "a": None, "b": 9.0},
        {"target": 0.2, "a": 3.0, "b": 5.0},
        {"target": 0.3, "a": 2.0, "b": 2.0},
    ]
    rows = sensitivity_rows(sweep, ["a", "b"])
    assert len(rows) == 6
    assert fastest(rows, Direction.MIN) == [(0.3, None), (0.2, "a"), (0.1, "b")]
    assert fastest(rows, Direction.MAX) == [(0.1, "b"), (0.2, "a"), (0.3, None)]


def test_lines_that_meet_are_drawn_so_that_each_is_seen():
    """Of lines on one another every later one has gaps, each more of them than the one below; a crossing hides none."""
    times = {
        "a": (9.0, 2.0, 1.0),
        "b": (9.0, 2.0, 3.0),
        "c": (5.0, 2.0, 3.0),
        "d": (None, 2.0, 4.0),
        "e": (9.0, None, None),
    }
    sweep = [{"target": 0.1 * (i + 1), **{name: line[i] for name, line in times.items()}} for i in range(3)]
    rows = sensitivity_rows(sweep, list(times))
    assert ties(rows) == {"a": 0, "b": 1, "c": 2, "d": 0, "e": 0}
    assert ties(sensitivity_rows([{"target": 0.1, "a": 2.0, "b": 2.0, "c": None}], ["a", "b", "c"])) == {"a": 0, "b": 1}
    chart = sensitivity_chart(rows, target=Target.parse("valid/loss<=0.1"), methods=list(times), axis="steps")
    lines = next(layer for layer in chart.to_dict()["layer"] if layer["mark"]["type"] == "line")
    dashes = lines["encoding"]["strokeDash"]["scale"]["range"]
    filled = [on / (on + off) for on, off in dashes]
    assert filled == sorted(filled, reverse=True)
    assert filled[0] == 1
    assert max(filled[1:]) < 1


def test_a_profile_is_listed_by_method():
    profile = {"score": {"a": 1.0}, "tau": [1.0, 2.0], "rho": {"a": [0.5, 1.0]}}
    rows = profile_rows(profile, ["b", "a"])
    assert rows.to_numpy().tolist() == [["a", 1.0, 0.5], ["a", 2.0, 1.0]]


def test_a_step_costs_what_the_runs_counted_and_what_was_timed():
    document = {"problems": {"p": {"methods": {"m": {"execution": {"step_seconds": 2e-5}}}}}}
    one = run("p/m/0/c0", [1.0, 0.5, 0.2])
    meter = Meter(document, "p", [one])
    assert {axis: meter.at(one, axis, 10) for axis in meter.axes} == {
        "example-gradients": 640.0,
        "steps": 10.0,
        "seconds": pytest.approx(2e-4),
    }
    untimed = {"problems": {"p": {"methods": {"m": {"execution": None}}}}}
    assert Meter(untimed, "p", [one]).axes == ("example-gradients", "steps")
    assert Meter(untimed, "p", [replace(one, counts={"steps": 20})]).axes == ("steps",)


def test_with_a_target_budget_curves_rank_by_what_was_spent_as_a_study_does():
    """Lowest in the end is late; what ranks is the time, and misses are the worst."""
    early, late = run("p/m/0/0", [2.0, 0.5, 0.5, 0.5]), run("p/m/0/1", [2.0, 1.5, 0.1, 0.1])
    missed = run("p/m/0/2", [2.0, 0.9, 0.8, 0.8])
    asked = {"metric": "valid/loss", "direction": Direction.MIN, "axis": "example-gradients"}
    goal = Goal.of([early, late, missed], target=AtMost("valid/loss", 0.6), **asked)
    assert goal.words == "example-gradients to valid/loss ≤ 0.6"
    assert [goal.of_run(r) for r in (early, late, missed)] == [640.0, 1280.0, math.inf]
    rows = budget_rows([early, late, missed], goal)
    assert rows[rows["k"] == 3]["median"].tolist() == [640.0]
    assert "640" in small_budgets(rows, goal, trials=3)
    nobody = Goal.of([missed], target=AtMost("valid/loss", 0.6), **asked)
    assert (nobody.words, nobody.of_run(missed)) == ("valid/loss", 0.8)


def test_the_best_value_is_read_after_the_start():
    assert feasible_value(run("p/m/0/0", [0.1, 3.0, 2.0, NAN]), "valid/loss", Direction.MIN) == 2.0
    assert feasible_value(run("p/m/0/0", [0.1, NAN]), "valid/loss", Direction.MIN) == math.inf
    assert feasible_value(run("p/m/0/0", [0.1]), "valid/loss", Direction.MAX) == -math.inf


def test_a_log_scale_needs_positive_values_that_span_enough():
    assert spans_decades([0.1, 1.0])
    assert not spans_decades([0.11, 1.0])
    assert not spans_decades([0.0, 1.0])
    assert not spans_decades([-1.0, 1.0])
    assert not spans_decades([0.9, 1.0])
    assert not spans_decades([])
