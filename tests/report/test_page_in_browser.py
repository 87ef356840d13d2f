"""The page in a real browser: charts are drawn, nothing is fetched, nothing overflows."""

import shutil

import pytest
from made_runs import LOG_LR, METHODS, made
from playwright.sync_api import sync_playwright

from optwise.report import page
from optwise.report.figure_pages import figure_page
from optwise.verbs.lessons.gallery import LESSONS

pytestmark = pytest.mark.slow
PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
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


@pytest.fixture(scope="module")
def browser():
    program = next((found for found in map(shutil.which, PROGRAMS) if found), None)
    if program is None:
        pytest.skip(f"no browser here: none of {', '.join(PROGRAMS)} is on the path")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        yield started
        started.close()


@pytest.fixture
def opened(browser, tmp_path):
    """Open a page at a width; afterwards nothing may have been said, thrown or asked for."""
    heard, tabs = [], []

    def open_page(text, width):
        path = tmp_path / "report.html"
        path.write_text(text, encoding="utf-8")
        tab = browser.new_page(viewport={"width": width, "height": 900})
        tabs.append(tab)
        tab.on("console", lambda message: heard.append(f"console {message.type}: {message.text}"))
        tab.on("pageerror", lambda error: heard.append(f"error: {error}"))
        tab.on("dialog", lambda dialog: heard.append(f"dialog: {dialog.message}"))
        tab.on("request", lambda request: request.url == path.as_uri() or heard.append(f"request: {request.url}"))
        tab.goto(path.as_uri())
        tab.wait_for_selector("html[data-charts=drawn]", state="attached", timeout=60_000)
        return tab

    yield open_page
    for tab in tabs:
        tab.close()
    assert heard == []


def sizes(tab):
    """Width and height of what each visible chart drew; None where it drew nothing."""
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


def test_a_diagram_by_itself_fits_the_page(opened):
    tab = opened(figure_page(LESSONS["least-squares-graph"]().figure), 400)
    assert tab.locator(".diagram svg").bounding_box()["width"] <= 400
    assert tab.evaluate("document.documentElement.scrollWidth") <= 400


def test_the_reader_changes_axis_and_metric_and_sees_names_of_trials(opened, comparison):
    protocol, runs, document = comparison
    tab = opened(page(document, protocol, runs), 1400)
    figure = tab.locator("#p0-curves")
    axis = figure.locator(".chart:not([hidden]) .vega-bindings select")
    assert axis.locator("option").all_text_contents() == ["example-gradients", "steps", "seconds"]
    axis.select_option("steps")
    assert figure.locator(".chart:not([hidden]) svg .role-axis-label text", has_text="1k").count() > 0
    figure.locator(".choose select").select_option(label="valid/accuracy")
    tab.wait_for_selector("#p0-curves .chart:not([hidden]) svg.marks")
    assert [chart.is_visible() for chart in figure.locator(".chart").all()] == [False, False, True]
    figure.locator(".chart:not([hidden]) svg .runs_marks path").nth(60).hover(force=True)
    tip = tab.locator("#vg-tooltip-element.visible")
    tip.wait_for()
    assert "digits-mlp/" in tip.text_content()


def test_a_narrower_window_draws_the_charts_again(opened, small):
    protocol, runs, document = small
    tab = opened(page(document, protocol, runs), 1400)
    tab.set_viewport_size({"width": 400, "height": 900})
    tab.wait_for_function("document.querySelector('#p0-curves svg').getBoundingClientRect().width < 400")
    assert tab.evaluate("document.documentElement.scrollWidth") <= 400
