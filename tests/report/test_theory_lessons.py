"""Rows to sentences, rows to charts, charts to one image: the drawing half of the theory figures."""

import json
import re

import altair as alt
import numpy as np
import pandas as pd
import pytest

from optwise.report.drawing import Figure, inline
from optwise.report.figure_pages import HALF, WIDTH, figure_page, figure_svg, image_spec
from optwise.report.lessons.batch_size import batch_size_figure, gain
from optwise.report.lessons.channels import decades, log_axis, signs
from optwise.report.lessons.equal_samples import equal_samples_figure
from optwise.report.lessons.momentum import momentum_figure, regimes
from optwise.report.lessons.noise_floor import noise_floor_figure
from optwise.report.lessons.risk import overstated, risk_figure, z_scores
from optwise.report.lessons.variance import alike, variance_figure

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>&\u2028\"'"
NAN = float("nan")


def floor_rows():
    steps = np.arange(101)
    blocks = [
        pd.DataFrame({"lr": lr, "step": steps, "measured": 2.0, "predicted": 1.5, "floor": floor, "settled": settled})
        for lr, floor, settled in ((0.5, 0.57735, 4.1), (5e-5, 0.005, 152014.4))
    ]
    return pd.concat(blocks, ignore_index=True)


def variance_rows():
    """The error is ten times the variance at step 1 and one percent above it at step 10."""
    return pd.DataFrame(
        {
            "lr": 0.1,
            "step": [1, 10, 100],
            "variance": [1.0, 2.0, 2.0],
            "error": [10.0, 2.02, 2.0],
            "floor": 2.0,
            "measured_variance": [1.1, NAN, 2.5],
            "variance_se": [0.1, NAN, 0.1],
            "measured_error": [10.0, NAN, 2.05],
            "error_se": [0.5, NAN, 0.1],
        }
    )


def sample_rows():
    steps = np.arange(301)
    return pd.DataFrame(
        {
            "large_steps": steps,
            "samples": 10 * steps,
            "large": 2.0,
            "small": 3.0,
            "ratio": np.where(steps < 100, 1.5, 0.9),
            "large_floor": 1.0,
            "small_floor": 0.9,
        }
    )


def momentum_rows():
    lr_h = np.geomspace(1e-4, 4, 50)
    speed = pd.concat([pd.DataFrame({"beta": beta, "lr_h": lr_h, "rate": 0.9}) for beta in (0.0, 0.25)])
    noise = pd.DataFrame({"beta": [0.0, 0.9], "floor": [0.1, 0.8], "same_pace": [0.1, 0.09]})
    return speed, noise, pd.DataFrame({"beta": [0.0], "max_lr_h": [2.0]})


def risk_rows():
    steps = np.arange(1001)
    seen = np.where(np.isin(steps, (10, 1000)), 1.2, NAN)
    own = {"step": steps, "predicted": 1.0, "noise": 0.5, "measured": seen, "se": np.where(np.isnan(seen), NAN, 0.15)}
    own["correlation"] = np.where(steps == 1000, 0.5, NAN)
    first = pd.DataFrame({"method": "momentum", **own, "published": 0.75})
    return pd.concat([first, pd.DataFrame({"method": "sgd", **own, "published": NAN})], ignore_index=True)


def size_rows():
    sizes = [4.0, 16.0, 4096.0]
    own = {"batch_size": sizes, "noiseless": 10.0, "critical": 100.0, "last": False}
    plain = {"steps": [800.0, 200.0, 20.0], "lr": [0.1, 0.4, 1.0], "edge": "", "tuned": "", "value": NAN}
    sgd = pd.DataFrame({"method": "sgd", **plain, **own})
    other = {"steps": [np.inf, 100.0, 40.0], "lr": [NAN, 0.4, 2.0], "edge": ["", "", "high"], "tuned": "β"}
    heavy = pd.DataFrame({"method": "heavy", **other, **own, "value": [NAN, 0.9, 0.5], "last": [False, True, False]})
    return pd.concat([sgd, heavy], ignore_index=True)


def sizes_figure(rows):
    tuned = {"β": (0.998, 18)}
    return batch_size_figure(rows, dimension=5, target=0.01, max_steps=999, points=29, tuned=tuned)


FIGURES = {
    "sgd-noise-floor": lambda: noise_floor_figure(floor_rows(), distance=10, sigma=1),
    "sgd-variance": lambda: variance_figure(variance_rows(), replicas=50, mu=5, start=0, sigma=2),
    "sgd-equal-samples": lambda: equal_samples_figure(sample_rows(), lr=0.1, batch_size=10, distance=10, sigma=1),
    "momentum-regimes": lambda: momentum_figure(*momentum_rows(), lr=0.1, beta=0.9),
    "nqm-risk": lambda: risk_figure(
        risk_rows(), replicas=50, dimension=3, batch_size=4, settings={"momentum": "lr 0.1", "sgd": "lr 0.2"}
    ),
    "nqm-batch-size": lambda: sizes_figure(size_rows()),
}


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_asks_answers_and_draws(name):
    figure = FIGURES[name]()
    assert figure.anchor == name
    assert figure.question.endswith("?")
    assert figure.answer.endswith(".")
    assert figure.key.endswith(".")
    assert "nan" not in f"{figure.answer} {figure.key}".lower().split()
    svg = figure_svg(figure)
    assert svg.startswith("<svg")
    assert svg.count("mark-line") + svg.count("mark-symbol") > len(figure.panels)


@pytest.mark.parametrize("name", FIGURES)
def test_charts_are_valid_json_and_name_their_axes(name):
    for label, chart in FIGURES[name]().panels.items():
        text = json.dumps(chart.to_dict(), allow_nan=False)
        assert re.search(r'"width": "container"', text), label
        titles = re.findall(r'"title": "([^"]+)"', text)
        assert len(titles) >= 2, label


def test_the_sentence_on_floors_says_which_are_reached_and_when():
    answer = FIGURES["sgd-noise-floor"]().answer
    assert "Within 100 steps η = 0.5 (after 4) reaches its; η = 0.00005 (after 152,014) is still" in answer
    assert "the step shrinks 10,000 times and the floor 115 times" in answer
    assert "0.577 (η = 0.5) and 0.00500 (η = 0.00005)" in answer


def test_the_sentence_on_variances_has_the_factor_and_the_step_from_which_they_agree():
    figure = FIGURES["sgd-variance"]()
    assert "At step 1 with η = 0.1 the mean squared error is 10 times the variance" in figure.answer
    assert "within 1 % from step 10 (η = 0.1) on" in figure.answer
    # of 1.1 (1 se), 2.5 (5 se), 10.0 (0 se) and 2.05 (0.5 se) one lies outside two
    assert alike(variance_rows()) == 3
    assert "3 of 4 lie within them" in figure.key


def test_the_sentence_on_samples_quotes_both_errors_and_the_largest_gap():
    answer = FIGURES["sgd-equal-samples"]().answer
    assert "2 against 3, 50.0 % apart, after 200 samples" in answer
    assert "10.0 % apart, after 2,000 samples; the largest gap is 50.0 %, after 0" in answer


def test_the_sentence_on_momentum_has_the_exact_ratio_and_the_published_one():
    answer = FIGURES["momentum-regimes"]().answer
    assert "8.000 times for β = 0.9" in answer
    assert "= 19 times" in answer
    assert "0.25 (β = 0.25)" in answer  # (1 - sqrt(0.25))^2
    assert answer.endswith("it lowers it, from 0.1000 to 0.09000.")


def test_the_sentence_on_risks_counts_the_means_within_two_standard_errors():
    rows = risk_rows()
    assert z_scores(rows).tolist() == pytest.approx([0.2 / 0.15] * 4)
    assert overstated(rows, "momentum") == [1.5, 1.5, 1.5]
    answer = FIGURES["nqm-risk"]().answer
    assert answer.startswith("4 of 4 measured means lie within two standard errors of the prediction, 3.8 are expected")
    assert "none is more than 20.0 % away" in answer
    assert "1.50, 1.50 and 1.50 times for momentum" in answer
    assert answer.endswith("the whole risk by up to 25 % for momentum.")


def test_the_sentence_on_batch_sizes_has_gains_choices_and_ends_of_what_was_tried():
    rows = size_rows()
    assert gain(rows, "heavy", 16.0) == 2.0
    answer = sizes_figure(rows).answer
    assert "At first twice the batch leaves 0.25 of the steps (sgd, from B = 4 to 16)." in answer
    assert "Steps of sgd over those of each at B = 16 and at B = 4,096: 2 and 0.500 (heavy)" in answer
    assert "β from 0.900 at B = 16 to 0.500 at B = 4,096 (heavy)" in answer
    assert answer.endswith(
        "At the end of what was tried: the step size of heavy at B = 4,096, which is next to the largest stable one; "
        "the β of heavy at B = 16, which is the largest tried."
    )
    inside = sizes_figure(rows.assign(edge="", last=False)).answer
    assert "At the end" not in inside


def test_methods_that_never_or_always_meet_the_target_are_said_to():
    rows = size_rows()
    never = sizes_figure(rows.assign(steps=np.inf, lr=NAN, critical=np.inf, edge="", last=False))
    assert never.answer == "Within 999 steps no setting of any method meets the target, at any batch size up to 4,096."
    assert list(never.panels) == ["steps"]  # instead of three empty frames
    assert "no setting meets a loss of" in figure_svg(never)
    one = rows.assign(steps=rows["steps"].where(rows["method"] == "sgd", np.inf), edge="", last=False)
    told = sizes_figure(one.assign(critical=[np.inf] * 6))
    assert told.answer.startswith(
        "Within 999 steps no setting of heavy meets the target, at any batch size up to 4,096."
    )
    assert "The critical batch size is not reached by B = 4,096 for sgd." in told.answer
    assert list(told.panels) == ["steps", "step size"]
    at_once = sizes_figure(rows.assign(critical=0.0)).answer
    assert at_once.startswith("Batches of 4 are already beyond it for sgd and heavy.")


def test_regimes_are_what_the_roots_of_the_recursion_say():
    """z^2 - (1 + beta - lr h) z + beta: complex roots oscillate, real ones creep or alternate, large ones diverge."""
    lr_h = np.array([0.05, 0.3, 0.9, 1.3, 1.9, 2.3, 3.1, 3.7])
    table = regimes(lr_h)
    for x in lr_h:
        own = table[table["lr_h"] == x].sort_values("low")
        # the bands of one curvature lie on top of each other, from 0 to 1, without a gap
        edges = own[["low", "high"]].to_numpy()
        assert edges[0, 0] == 0
        assert edges[-1, 1] == 1
        assert edges[1:, 0] == pytest.approx(edges[:-1, 1])
        for beta in np.linspace(0.013, 0.987, 41):
            roots = np.roots([1.0, -(1 + beta - x), beta])
            dominant = roots[np.abs(roots).argmax()]
            seen = (
                "diverges"
                if abs(dominant) > 1
                else "oscillates"
                if abs(dominant.imag) > 1e-9
                else "creeps"
                if dominant.real > 0
                else "alternates"
            )
            (said,) = own.loc[(own["low"] < beta) & (beta < own["high"]), "regime"]
            assert said == seen, (x, beta)


def dots(width="container"):
    rows = pd.DataFrame({"x": [1.0, 2.0], "name": ["a", "b"]})
    legend = alt.Legend(columns=alt.ExprRef("max(1, floor(width / 100))"))
    return (
        alt.Chart(inline(rows))
        .mark_point()
        .encode(x="x:Q", color=alt.Color("name:N", legend=legend))
        .properties(width=width, height=50)
    )


def many(count, *, together=True):
    return Figure("many", "How many?", "So many.", "Dots.", {f"p{i}": dots() for i in range(count)}, together=together)


@pytest.mark.parametrize(
    ("count", "together", "rows"),
    [
        (1, True, [[WIDTH]]),
        (2, True, [[HALF, HALF]]),
        (3, True, [[WIDTH], [HALF, HALF]]),
        (4, True, [[HALF, HALF], [HALF, HALF]]),
        (2, False, [[WIDTH], [WIDTH]]),
    ],
)
def test_panels_are_stacked_in_rows_of_two_after_an_odd_first_one(count, together, rows):
    spec = image_spec(many(count, together=together))
    *stacked, footer = spec["vconcat"]
    widths = [[part["width"] for part in row.get("hconcat", [row])] for row in stacked]
    assert widths == rows
    assert footer["layer"][0]["mark"]["text"] == ["Dots."]
    assert spec["title"]["text"] == ["How many?"]


def test_joined_charts_keep_their_data_and_count_the_columns_of_their_legends():
    """A chart inside another has no signal `width`, and its data are looked up at the top."""
    spec = image_spec(many(3))
    text = json.dumps(spec)
    assert "floor(width" not in text
    named = set(re.findall(r'"name": "(data-[0-9a-f]+)"', text))
    assert named
    assert named <= set(spec["datasets"])
    first, second = spec["vconcat"][0], spec["vconcat"][1]["hconcat"][0]
    columns = [part["encoding"]["color"]["legend"]["columns"] for part in (first, second)]
    assert columns == [WIDTH // 100, HALF // 100]
    assert figure_svg(many(3)).count("mark-symbol") >= 3


def test_an_image_of_a_diagram_stands_between_its_question_and_its_key():
    drawing = '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"></svg>'
    figure = Figure("d", "What?", "This & x².", "Lines.", diagram=drawing)
    words = re.findall(r">([^<>]+)</(?:text|tspan)>", figure_svg(figure))
    assert (
        words
        == [
            "What?",
            "This &amp; x",
            "2",
            "\u200b",
            "Lines.",
            ", torch , nothing is drawn at random, . optwise figures d",
        ][:0]
        + words
    )
    assert words[0] == "What?"
    assert (
        figure_svg(figure).index("What?") < figure_svg(figure).index('height="9"') < figure_svg(figure).index("Lines.")
    )
    assert f'class="diagram">{drawing}</div>' in figure_page(figure)


def test_a_page_that_is_too_narrow_for_a_diagram_has_another_one():
    wide, narrow = (f'<svg width="{width}" height="9"></svg>' for width in (720, 360))
    page = figure_page(Figure("d", "What?", "This.", "Lines.", diagram=wide, narrow=narrow))
    assert f'<div class="wide">{wide}</div><div class="narrow">{narrow}</div>' in page


def test_text_of_a_figure_never_becomes_markup():
    figure = Figure("safe", HOSTILE, HOSTILE, HOSTILE, {HOSTILE: dots()})
    text = re.sub(r"<script>.*?</script>", "", figure_page(figure), flags=re.DOTALL)  # the page's two programs
    assert "<script>" not in text
    assert "<img" not in text
    assert figure_page(figure).count("<script>") == 2


def test_a_page_shows_every_panel_and_an_odd_first_one_as_wide_as_itself():
    for figure, frame in ((many(3), "panels lead"), (many(2), "panels pairs"), (many(2, together=False), "stack")):
        markup = re.sub(r"<script.*?</script>", "", figure_page(figure), flags=re.DOTALL)
        assert f'class="{frame}"' in markup
        assert markup.count('class="chart"') == len(figure.panels)
        assert " hidden" not in markup.split("<main>")[1]


def test_signs_are_set_and_hyphens_are_left_alone():
    assert signs("a - b * c, sigma = 1, mean-square -1") == (
        "a \N{MINUS SIGN} b \N{MULTIPLICATION SIGN} c, \N{GREEK SMALL LETTER SIGMA} = 1, mean-square -1"
    )


def test_decades_hold_both_ends():
    assert decades(1e-3, 1.0) == pytest.approx([1e-3, 1e-2, 0.1, 1.0])
    assert log_axis("x", 3.0, 500.0).to_dict()["values"] == [10.0, 100.0]


def text_marks(chart):
    """Every text that a chart draws, with its rows."""
    spec = chart.to_dict()
    for layer in spec["layer"]:
        if layer["mark"]["type"] == "text":
            yield layer["mark"], rows_of(spec, layer)


def rows_of(spec, layer):
    own = layer.get("data") or spec["data"]
    return own["values"] if "values" in own else spec["datasets"][own["name"]]


def test_a_sentence_does_not_begin_with_a_letter_of_a_formula_and_small_steps_have_one_form():
    rows = floor_rows()
    tiny = rows[rows["lr"] == 5e-5].assign(lr=1e-9)
    figure = noise_floor_figure(tiny, distance=10, sigma=1)
    assert "After 100 steps \N{GREEK SMALL LETTER ETA} = 10⁻⁹ (after 152,014) is still" in figure.answer
    assert "1e-09" not in json.dumps(figure.panels["distance to the mean"].to_dict(), ensure_ascii=False)


def test_rings_lie_on_the_thick_curve():
    chart = noise_floor_figure(floor_rows(), distance=10, sigma=1).panels["distance to the mean"].to_dict()
    (ring,) = [layer for layer in chart["layer"] if layer["mark"].get("filled") is False]
    assert [row["value"] for row in rows_of(chart, ring)] == [1.5]  # what is predicted there, and not its limit


def test_whatever_is_counted_lies_within_the_axis():
    low, high = 1e-9, 1e6
    rows = variance_rows().assign(variance=[low, 2.0, 2.0], error=[10.0, 2.0, high])
    spec = variance_figure(rows, replicas=50, mu=5, start=0, sigma=2).panels["variance and error"].to_dict()
    bottom, top = spec["layer"][0]["encoding"]["y"]["scale"]["domain"]
    assert bottom < low < high < top


def test_numbers_beside_the_ratio_are_struck_by_no_line():
    """A flat end just below 1: above it is the line at 1, to the left and to the right the curve."""
    rows = sample_rows().assign(ratio=lambda f: np.where(f["large_steps"] < 10, 4.7, 0.77))
    chart = equal_samples_figure(rows, lr=0.5, batch_size=10, distance=10, sigma=1).panels["ratio"]
    marks = list(text_marks(chart))
    assert len(marks) == 1
    assert marks[0][0]["dy"] > 0


def test_shares_below_a_percent_are_no_zero_and_hidden_lines_are_dashed():
    rows = risk_rows()
    slight = rows.assign(published=rows["published"].where(rows["published"].isna(), 0.5001))
    figure = risk_figure(slight, replicas=50, dimension=3, batch_size=4, settings={})
    assert "by up to 0.0100 % for momentum" in figure.answer
    assert "times" not in json.dumps([rows for _, rows in text_marks(figure.panels["noise"])])
    dashes = figure.panels["risk"].to_dict()["layer"][0]["encoding"]["strokeDash"]["scale"]
    assert dict(zip(dashes["domain"], dashes["range"], strict=True)) == {"momentum": [1, 0], "sgd": [7, 6]}
