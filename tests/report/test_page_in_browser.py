"""The page in a real browser: charts are drawn, nothing is fetched, nothing overflows."""

import csv

import pytest
from made_runs import LOG_LR, METHODS, made

from optwise.report import page
from optwise.report.figure_pages import figure_page
from optwise.verbs.lessons.gallery import LESSONS

pytestmark = pytest.mark.slow
OPEN_ALL = "document.querySelectorAll('details').forEach((fold) => { fold.open = true; })"
ALL_DRAWN = "[...document.querySelectorAll('.chart:not([hidden])')].every((host) => host.querySelector('svg.marks'))"
CASES = {
    "demo": {},
    "no target": {"target": None, "studies": 2, "trials": 4},
    "one method": {"methods": {"sgd": METHODS["sgd"]}, "studies": 1, "trials": 4, "seeds": 1},
    "misses": {"target": "valid/loss<=1e-9", "studies": 2, "trials": 4, "never": ("adam",)},
    "hostile": {
        "methods": {f"</script><script>alert({i})</script>": {"class": "SGD", "lr": LOG_LR} for i in range(12)},
        "problems": ("<i>one</i>", "two"),
        "studies": 2,
        "trials": 4,
    },
}


def sizes(tab):
    """Width and height of what each visible chart drew, everything opened; None where it drew nothing."""
    tab.evaluate(OPEN_ALL)
    tab.wait_for_function(ALL_DRAWN)
    return tab.evaluate(
        """() => [...document.querySelectorAll(".chart:not([hidden])")].map((host) => {
            const drawn = host.querySelector("svg.marks, canvas.marks");
            if (!drawn) return null;
            const box = drawn.getBoundingClientRect();
            const marks = drawn.querySelectorAll(".mark-symbol path, .mark-line path, .mark-rule line").length;
            const legends = [...drawn.querySelectorAll(".role-legend")].map((part) => part.getBoundingClientRect());
            const right = Math.max(box.right, ...legends.map((part) => part.right));
            return [box.width, box.height, right, host.getBoundingClientRect().right, marks];
        })"""
    )


@pytest.mark.parametrize("width", [1400, 400])
@pytest.mark.parametrize("asked", CASES.values(), ids=CASES.keys())
def test_every_chart_is_drawn_and_nothing_overflows(opened, asked, width):
    protocol, runs, document = made(**asked)
    tab = opened(page(document, protocol, runs), width)
    drawn = sizes(tab)
    assert drawn
    assert all(size is not None and size[0] > 200 and size[1] > 60 and size[4] > 0 for size in drawn), drawn
    assert all(size[2] <= size[3] + 1 for size in drawn), drawn
    assert tab.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("width", [1400, 400])
@pytest.mark.parametrize("slug", ["nqm-batch-size", "momentum-regimes", "sgd-equal-samples", "cross-entropy"])
def test_a_figure_by_itself_is_drawn_too(opened, slug, width):
    tab = opened(figure_page(LESSONS[slug]().figure), width)
    drawn = sizes(tab)
    assert drawn
    assert all(size is not None and size[0] > 200 and size[1] > 60 and size[4] > 0 for size in drawn), drawn
    assert tab.evaluate("document.documentElement.scrollWidth") <= width


CROWDED = """() => {
    const boxes = [...document.querySelectorAll("svg text, header p")].filter((text) => text.textContent.trim())
        .map((text) => [text.textContent.trim(), text.getBoundingClientRect()]).filter(([_, box]) => box.width > 0);
    const found = boxes.filter(([_, box]) => box.left < 0 || box.right > innerWidth).map(([text]) => "cut: " + text);
    boxes.forEach(([text, a], i) => boxes.slice(i + 1).forEach(([other, b]) => {
        const across = Math.min(a.right, b.right) - Math.max(a.left, b.left);
        const down = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
        if (across > 1 && down > 3) found.push(text + " | " + other);
    }));
    return found;
}"""


@pytest.mark.parametrize("slug", LESSONS)
def test_no_label_of_a_figure_is_cut_or_lies_over_another_on_a_narrow_page(opened, slug):
    """Also while the window changes its size: charts are laid out anew then, and for a moment by half."""
    tab = opened(figure_page(LESSONS[slug]().figure), 400)
    tab.wait_for_function(ALL_DRAWN)
    assert tab.evaluate(CROWDED) == []
    tab.set_viewport_size({"width": 400, "height": 1900})
    assert tab.evaluate(CROWDED) == []
    assert tab.evaluate("[...document.querySelectorAll('svg text')].some((t) => t.textContent.endsWith('…'))") is False


def test_a_diagram_by_itself_fits_the_page(opened):
    tab = opened(figure_page(LESSONS["least-squares-graph"]().figure), 400)
    drawn = tab.locator(".diagram svg:visible")
    assert drawn.count() == 1
    assert 300 < drawn.bounding_box()["width"] <= 400
    sizes = "[...document.querySelectorAll('.narrow svg text')].map((t) => t.getBoundingClientRect().height)"
    assert min(tab.evaluate(sizes)) > 10
    assert tab.evaluate("document.documentElement.scrollWidth") <= 400


def test_the_reader_changes_axis_and_metric_and_sees_names_of_trials(opened, comparison):
    protocol, runs, document = comparison
    tab = opened(page(document, protocol, runs), 1400)
    figure = tab.locator("#p0-curves")
    axis = figure.get_by_label("horizontal axis")
    assert axis.locator("option").all_text_contents() == ["example-gradients", "steps", "seconds"]
    axis.select_option("steps")
    assert figure.locator(".chart:not([hidden]) svg .role-axis-label text", has_text="1k").count() > 0
    figure.get_by_label("metric").select_option(label="valid/accuracy")
    tab.wait_for_selector("#p0-curves .chart:not([hidden]) svg.marks")
    assert [chart.is_visible() for chart in figure.locator(".chart").all()] == [False, False, True]
    figure.locator(".chart:not([hidden]) svg .runs_marks path").nth(60).hover(force=True)
    tip = tab.locator("#vg-tooltip-element.visible")
    tip.wait_for()
    assert "digits-mlp/" in tip.text_content()


def test_a_legend_sets_methods_apart_by_keyboard(opened, comparison):
    protocol, runs, document = comparison
    tab = opened(page(document, protocol, runs))
    name = tab.locator("#p0-curves button", has_text="adamw")
    lines = "[...document.querySelectorAll('#p0-curves .chart:not([hidden]) .mark-line path')]"
    faded = f"{lines}.filter((line) => +line.getAttribute('opacity') < 0.2).length"
    assert tab.evaluate(faded) == 0
    name.focus()
    tab.keyboard.press("Enter")
    assert name.get_attribute("aria-pressed") == "true"
    tab.wait_for_function(f"{faded} === 8")  # four others, tuned and at library defaults
    tab.keyboard.press("Space")
    tab.wait_for_function(f"{faded} === 0")


def test_the_rows_of_a_figure_come_as_csv(opened, comparison):
    protocol, runs, document = comparison
    tab = opened(page(document, protocol, runs))
    with tab.expect_download() as download:
        tab.locator("#p0-curves button.data").click()
    assert download.value.suggested_filename == "p0-curves.csv"
    rows = list(csv.DictReader(download.value.path().read_text(encoding="utf-8").splitlines()))
    median = [row for row in rows if row["rows"] == "median and quartiles, valid/loss" and row["method"] == "adamw"]
    assert [int(row["step"]) for row in median] == list(range(0, 1001, 50))
    assert float(median[-1]["low"]) <= float(median[-1]["median"]) <= float(median[-1]["high"])
    assert float(median[1]["example-gradients"]) == 64
    trials = {row["trial"] for row in rows if row["rows"] == "runs, valid/loss"}
    assert len(trials) == len(protocol.methods) * protocol.studies * protocol.seeds


def test_a_link_into_a_fold_opens_it(opened, comparison):
    protocol, runs, document = comparison
    tab = opened(page(document, protocol, runs))
    ledger = tab.locator("#p0-ledger table")
    assert not ledger.is_visible()
    tab.evaluate("location.hash = 'p0-ledger'")
    ledger.wait_for(state="visible")


def test_a_narrower_window_draws_the_charts_again(opened, small):
    protocol, runs, document = small
    tab = opened(page(document, protocol, runs), 1400)
    tab.set_viewport_size({"width": 400, "height": 900})
    tab.wait_for_function("document.querySelector('#p0-curves svg').getBoundingClientRect().width < 400")
    assert tab.evaluate("document.documentElement.scrollWidth") <= 400
