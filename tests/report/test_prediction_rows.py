"""What the figures of predictions show, against numbers worked out by hand."""

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from made_runs import made, trial

from optwise.core.method import Recorded
from optwise.core.run import Measurement, Run
from optwise.core.status import Status
from optwise.report import page
from optwise.report.drawing import images, spec_of
from optwise.report.figures.prediction_ratios import ratio_chart, ratio_rows
from optwise.report.figures.predictions import (
    max_ratio,
    prediction_chart,
    prediction_domain,
    prediction_figures,
    prediction_rows,
)

NAN = math.nan


def run(name, values):
    """A run measured every ten steps."""
    return Run(
        problem="p",
        method=Recorded(name="m", description={}),
        seed=0,
        status=Status.BUDGET_SPENT,
        counts={},
        measurements=tuple(Measurement(10 * i, "", "objective", value) for i, value in enumerate(values)),
        name=trial(name),
    )


def said(*studies, reason="", heavy=None):
    """A forecast as the results document has it: one list of risks and one of deviations per study."""
    return {
        "metric": "objective",
        "optimum": 0.0,
        "studies": [
            {
                "study": i,
                "steps": [10 * k for k in range(len(risk))],
                "risk": risk,
                "deviation": deviation,
                "diverges": False,
                "heavy": (heavy or {}).get(i, []),
            }
            for i, (risk, deviation) in enumerate(studies)
        ],
        "default": None,
        "reason": reason,
    }


TWO = said(([4.0, 2.0], [1.0, 0.4]), ([4.0, 6.0], [1.0, 0.8]))
RUNS = [
    run("p/m/0/c0", [3.0, 1.0]),
    run("p/m/0/c1", [5.0, 2.0]),
    run("p/m/1/c0", [4.0, 5.0]),
    run("p/m/1/c1", [6.0, 8.0]),
]


def test_each_study_and_all_of_them_have_a_row_a_step():
    rows = prediction_rows(RUNS, TWO, "m")
    assert rows["study"].tolist() == ["0", "0", "1", "1", "all", "all"]
    assert rows["step"].tolist() == [0, 10] * 3
    assert rows["predicted"].tolist() == [4.0, 2.0, 4.0, 6.0, 4.0, 4.0]
    assert rows["mean"].tolist() == [4.0, 1.5, 5.0, 6.5, 4.5, 4.0]
    assert rows["n"].tolist() == [2, 2, 2, 2, 4, 4]
    # two standard errors: 2 * 1 / sqrt(2) in a study, 2 * 1 / sqrt(4) over all; at step 10, of 0.4 and 0.8 together
    assert (rows["high"] - rows["mean"]).tolist() == pytest.approx(
        [2**0.5, 0.4 * 2**0.5, 2**0.5, 0.8 * 2**0.5, 1.0, 2 * math.sqrt((2 * 0.4**2 + 2 * 0.8**2) / 16)]
    )
    assert (rows["mean"] - rows["low"]).tolist() == pytest.approx((rows["high"] - rows["mean"]).tolist())


def test_studies_of_more_runs_weigh_more():
    rows = prediction_rows([*RUNS, run("p/m/1/c2", [2.0, 2.0]), run("p/m/1/c3", [4.0, 1.0])], TWO, "m")
    whole = rows[rows["study"] == "all"]
    assert whole["mean"].tolist() == pytest.approx([4.0, 19 / 6])
    assert whole["predicted"].tolist() == pytest.approx([4.0, (2 * 2.0 + 4 * 6.0) / 6])


def test_without_a_known_deviation_the_runs_within_studies_give_the_bars():
    rows = prediction_rows(RUNS, said(([4.0, 2.0], None), ([4.0, 6.0], None)), "m")
    # variances of 3, 5 and of 4, 6: both 2, so 1 for the mean of two and 1/2 for that of four
    assert (rows["high"] - rows["mean"]).tolist()[::2] == pytest.approx([2.0, 2.0, 2 * 0.5**0.5])
    alone = prediction_rows(RUNS[:1], said(([4.0, 2.0], None)), "m")
    assert alone["mean"].tolist() == [3.0, 1.0] * 2
    assert alone["low"].isna().all(), "one run has no spread"


def test_a_run_that_ended_and_a_risk_beyond_all_numbers_leave_gaps():
    forecast = said(([4.0, 2.0, None], [1.0, 0.4, None]))
    rows = prediction_rows([run("p/m/0/c0", [3.0, 1.0, 2.0]), run("p/m/0/c1", [5.0, NAN])], forecast, "m")
    whole = rows[rows["study"] == "all"]
    np.testing.assert_array_equal(whole["mean"], [4.0, NAN, NAN])
    np.testing.assert_array_equal(whole["predicted"], [4.0, 2.0, NAN])


def test_runs_of_other_methods_and_studies_nobody_predicted_are_left_out():
    others = [run("p/other/0/c0", [99.0, 99.0]), run("p/m/7/c0", [99.0, 99.0])]
    assert prediction_rows([*RUNS, *others], TWO, "m").equals(prediction_rows(RUNS, TWO, "m"))
    assert prediction_rows(others[:1], TWO, "m").empty


def test_a_study_whose_mean_rare_runs_make_is_no_part_of_the_whole():
    rows = prediction_rows(RUNS, said(([4.0, 2.0], None), ([4.0, 6.0], None), heavy={1: [10]}), "m")
    assert rows["study"].tolist() == ["0", "0", "1", "1", "all", "all"]
    assert rows[rows["study"] == "all"]["mean"].tolist() == [4.0, 1.5]
    rows = prediction_rows(RUNS, said(([4.0, 2.0], None), heavy={0: [10]}), "m")
    assert rows["study"].tolist() == ["0", "0"]


def test_the_largest_factor_between_studies_is_over_the_steps():
    own = prediction_rows(RUNS, TWO, "m").query("study != 'all'")
    assert max_ratio(own) == 3.0
    assert max_ratio(own[own["study"] == "0"]) == 1.0
    assert max_ratio(own.assign(predicted=0.0)) == 1.0


def test_the_scale_holds_means_predictions_and_the_bars_that_fit():
    rows = prediction_rows(RUNS, TWO, "m")
    high = 6.5 + 0.8 * 2**0.5
    # from 1.5 to 6.5 is a factor of 4.3, too little for a log scale: every bar fits
    assert prediction_domain(rows) == pytest.approx((1.5 - 0.4 * 2**0.5, high))
    wide = rows.assign(low=rows["low"].where(rows["study"] != "0", -1.0), predicted=[4.0, 0.5, 4.0, 6.0, 4.0, 4.0])
    assert prediction_domain(wide) == pytest.approx((0.5, high)), "a bar below 0 has no place on a log scale"
    exploding = rows.assign(predicted=[4.0, 1e30, 4.0, 1e-30, 4.0, 1e30])
    assert prediction_domain(exploding) == pytest.approx((5e-12, 5e6)), "in starts, of which the largest is 5"
    flat = prediction_rows([run("p/m/0/c0", [2.0, 2.0])], said(([2.0, 2.0], [0.0, 0.0])), "m")
    assert prediction_domain(flat) == (1.5, 2.5)


def test_a_ratio_is_of_all_runs_over_what_is_expected_of_them():
    rows = ratio_rows(prediction_rows(RUNS, TWO, "m"))
    assert rows["step"].tolist() == [0, 10]
    assert rows["ratio"].tolist() == [4.5 / 4, 4.0 / 4]
    assert rows["low"].tolist()[0] == pytest.approx(3.5 / 4)
    assert rows["n"].tolist() == [4, 4]
    nothing = ratio_rows(prediction_rows(RUNS, said(([0.0, 0.0], [0.0, 0.0])), "m"))
    assert nothing.empty
    assert ratio_chart(nothing, methods=["m"]) is None


def test_ratios_of_methods_stand_side_by_side_within_their_step():
    rows = ratio_rows(prediction_rows(RUNS, TWO, "m"))
    both = pd.concat([rows, rows.assign(method="b")], ignore_index=True)
    spec = spec_of(ratio_chart(both, methods=["m", "b"]))
    values = spec["datasets"][spec["layer"][1]["data"]["name"]]
    places = {(row["method"], row["step"]): row["place"] for row in values}
    assert places["m", 0] < 0 < places["b", 0] < places["m", 10] < 10 < places["b", 10]


CHECKS = [
    {"check": "prediction", "method": "m", "status": "pass", "evidence": "4 runs of m agree."},
    {"check": "prediction", "method": "b", "status": "fail", "evidence": "At step 10 b is 3 times too large."},
]


def drawn(checks, forecasts=None):
    return list(prediction_figures("p0-predictions", forecasts or {"m": TWO}, RUNS, checks=checks, methods=["m", "b"]))


@pytest.mark.parametrize(
    ("checks", "answer"),
    [
        (CHECKS[:1], "Yes. m agrees with the prediction."),
        (CHECKS[1:], "No. At step 10 b is 3 times too large."),
        (CHECKS, "Not all of them. At step 10 b is 3 times too large. m agrees with the prediction."),
        ([], "The runs cannot tell."),
    ],
)
def test_the_answer_is_that_of_the_checks(checks, answer):
    figure, ratios = drawn(checks)
    assert (figure.anchor, figure.question) == ("p0-predictions", "Do the runs do what theory predicts?")
    assert figure.answer == answer
    assert ratios.answer == "Measured means are 1 to 1.12 times what is predicted."


def test_a_method_that_is_not_predicted_is_named_with_its_reason():
    figure, _ = drawn([], {"m": TWO, "b": said(reason="b is not linear: twice is not twice.")})
    assert list(figure.panels) == ["m"]
    assert figure.key.endswith("Not predicted: b is not linear: twice is not twice.")
    assert "rare runs" not in figure.key
    figure, _ = drawn([], {"m": said(([4.0, 2.0], None), ([4.0, 6.0], None), heavy={1: [10]})})
    assert "Studies whose expectation is made by rare runs are no part of the mean." in figure.key
    assert drawn([], {"b": said(reason="b is not linear.")}) == []


def test_close_predictions_are_told_in_percent():
    exact = said(([3.0, 1.0], [0.0, 0.0]))
    _, ratios = list(prediction_figures("a", {"m": exact}, [run("p/m/0/c0", [3.0, 1.001])], checks=[], methods=["m"]))
    assert ratios.answer == "Measured means are what is predicted to within 0.1 %."


def dashes(chart):
    """How often each layer of a chart is a line, a dashed line or points."""
    marks = [layer["mark"] for layer in spec_of(chart)["layer"]]
    return [("dashed " if "strokeDash" in mark else "") + mark["type"] for mark in marks]


def test_studies_are_drawn_apart_only_where_they_differ():
    def chart(forecast):
        rows = prediction_rows(RUNS, forecast, "m")
        return dashes(prediction_chart(rows, method="m", methods=["m"], metric="objective", domain=(1.0, 9.0)))

    whole = ["dashed line", "rule", "point"]
    assert chart(said(([4.0, 2.0], [1.0, 0.4]), ([4.0, 2.01], [1.0, 0.4]))) == whole
    assert chart(TWO) == ["line", *whole]
    assert chart(said(([4.0, 0.02], [1.0, 0.4]), ([4.0, 6.0], [1.0, 0.8]))) == ["line", "point", *whole]
    only_heavy = said(([4.0, 2.0], None), heavy={0: [10]})
    assert chart(only_heavy)[:2] == ["line", "point"], "there is no whole to look at"


def test_the_charts_can_be_drawn(tmp_path):
    for i, figure in enumerate(drawn(CHECKS)):
        for chart in figure.panels.values():
            file = images(chart, tmp_path / f"{i}.png")
            assert file.read_bytes().startswith(b"\x89PNG")


def test_the_page_shows_predictions_after_the_curves_and_the_check_leads_there():
    protocol, runs, document = made(
        {"sgd": {"class": "SGD", "lr": 0.1}}, problems=("nqm:d=100",), target=None, studies=2, seeds=2
    )
    runs = [replace(one, point={}) for one in runs]
    (method,) = document["problems"]["nqm:d=100"]["methods"].values()
    plain = page(document, protocol, runs)
    assert "theory predicts" not in plain
    steps = [k for k, _ in runs[0].curve("objective")]
    flat = {"steps": steps, "risk": [1.0] * len(steps), "deviation": [0.1] * len(steps), "diverges": False, "heavy": []}
    method["forecast"] = {**said(reason=""), "studies": [{"study": 0, **flat}, {"study": 1, **flat}]}
    document["problems"]["nqm:d=100"]["checks"].append(
        {**CHECKS[1], "method": "sgd", "advice": "Look.", "source": "theory", "link": "predictions"}
    )
    text = page(document, protocol, runs)
    places = [text.index(f'<figure id="p0-{kind}">') for kind in ("curves", "predictions", "predictions-ratios")]
    assert places == sorted(places)
    assert '<a href="#p0-predictions">See the predictions</a>' in text
    assert '<a href="#p0-predictions">predictions</a>' in text
