"""The page for those who read it dark, printed, small, by keyboard or by ear; and how much there is to read."""

import json
from importlib.resources import files

import pytest
from made_runs import METHODS, made

from optwise.report import page
from optwise.report.hints import Hints, Setting, Step

pytestmark = pytest.mark.slow
WORDS = "document.querySelector('main').innerText.split(/\\s+/).filter(Boolean).length"
CODE = "import torch\n\noptimizer = torch.optim.SGD(model.parameters(), lr=0.1)"
STEPS = [Step("Why it would help.", f"optwise compare digits-mlp --methods {','.join(METHODS)} --out runs/x")] * 3


def hints(document):
    """A setting of every method on every problem, and three commands."""
    found = [
        Setting(problem, method, "The rule.", CODE)
        for problem, result in document["problems"].items()
        for method in result["methods"]
    ]
    return Hints(found, STEPS, folder="runs/x")


SHAPES = {
    "demo": {},
    "no target": {"target": None, "studies": 2, "trials": 4},
    "one method": {"methods": {"sgd": METHODS["sgd"]}, "studies": 1, "trials": 4, "seeds": 1},
    "two problems": {"problems": ("one", "two"), "studies": 2, "trials": 4},
}


@pytest.fixture(scope="module")
def offered(comparison):
    protocol, runs, document = comparison
    return page(document, protocol, runs, hints(document))


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("asked", SHAPES.values(), ids=SHAPES.keys())
def test_axe_finds_nothing(opened, asked, dark):
    """axe-core's rules for WCAG 2.2 A and AA and its best practices, with everything opened."""
    pytest.importorskip("axe_playwright_python", reason="axe-core is not installed: it comes with the extra dev")
    protocol, runs, document = made(**asked)
    tab = opened(page(document, protocol, runs, hints(document)), dark=dark)
    tab.evaluate("document.querySelectorAll('details').forEach((fold) => { fold.open = true; })")
    tab.wait_for_timeout(500)
    # the page's own policy forbids scripts in the document, so axe comes by the debugging protocol
    tab.evaluate(files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8"))
    found = tab.evaluate("axe.run().then((result) => result.violations)")
    assert [(v["id"], v["impact"], [node["html"][:200] for node in v["nodes"]][:3]) for v in found] == []


def test_everything_to_decide_is_seen_without_scrolling(opened, offered):
    tab = opened(offered, 1400)
    for place in ("h1", ".line", "#p0-pairs svg", "#setting", ".first pre:visible", "#next", "#step2"):
        box = tab.locator(place).first.bounding_box()
        assert box is not None, place
        assert box["y"] + box["height"] <= 900, place


def test_the_page_is_read_in_a_few_minutes(opened, offered):
    assert opened(offered).evaluate(WORDS) < 1200


def test_a_page_of_three_problems_is_read_as_quickly(opened):
    protocol, runs, document = made(problems=("one", "two", "three"), studies=2, trials=4)
    tab = opened(page(document, protocol, runs, hints(document)))
    assert tab.evaluate(WORDS) < 1200
    tab.locator("summary", has_text="search of two").click()
    tab.wait_for_selector("#p1-curves svg.marks")
    assert tab.locator("#p1-table").is_visible()


def test_a_drawn_chart_is_still_one_image_with_its_question_as_the_name(opened, offered):
    tab = opened(offered)
    for host in tab.locator(".chart[data-drawn]").all():
        assert host.get_attribute("role") == "img"
        assert host.get_attribute("aria-roledescription") is None
        described = tab.locator(f"#{host.get_attribute('aria-describedby')}")
        assert described.text_content() not in host.get_attribute("aria-label")


@pytest.mark.parametrize("width", [400, 1400])
def test_every_size_is_whole_or_left_to_the_pointer_and_the_lines_have_room(opened, width):
    protocol, runs, document = made(studies=2, trials=4)
    for v in document["problems"]["digits-mlp"]["verdicts"]:
        v |= {"ratio": None, "difference": -0.00271, "ratio_low": -0.00799, "ratio_high": 0.00257, "axis": None}
    tab = opened(page(document, protocol, runs), width)
    texts = tab.locator("#p0-pairs svg .role-axis-label text").all_text_contents()
    both = ["\N{MINUS SIGN}0.00271 [\N{MINUS SIGN}0.00799, 0.00257]", "0.00271 [\N{MINUS SIGN}0.00257, 0.00799]"]
    assert sum(texts.count(text) for text in both) == (10 if width > 1000 else 0)
    assert not any("…" in text for text in texts)
    assert not any("-" in text for text in texts)
    plot = tab.locator("#p0-pairs svg .role-axis-grid").first.bounding_box()
    assert plot["width"] > 150


def test_a_label_keeps_its_word_whole_beside_a_long_choice(opened, offered):
    tab = opened(offered.replace(">adagrad</option>", f">{'adagrad ' * 20}</option>"), 400)
    label = tab.locator(".headed label")
    assert label.evaluate("(one) => one.getClientRects()[0].height") < 40
    assert tab.evaluate("document.documentElement.scrollWidth") <= 400


@pytest.mark.parametrize("width", [400, 900, 1400])
def test_the_page_fits_any_width_with_everything_opened(opened, offered, width):
    tab = opened(offered, width)
    tab.evaluate("document.querySelectorAll('details').forEach((fold) => { fold.open = true; })")
    tab.wait_for_timeout(500)
    assert tab.evaluate("document.documentElement.scrollWidth") <= width


def test_in_the_dark_text_and_charts_are_light(opened, offered):
    tab = opened(offered, dark=True)
    light = """(place) => {
        const paint = getComputedStyle(document.querySelector(place));
        const numbers = (text) => (text.match(/\\d+/g) || []).map(Number);
        return [paint.color, paint.fill, paint.backgroundColor].map(numbers);
    }"""
    body = tab.evaluate(light, "body")
    assert min(body[0][:3]) > 200
    assert max(body[2][:3]) < 40
    assert min(tab.evaluate(light, "#p0-pairs .role-axis-label text")[1]) > 200
    assert min(tab.evaluate(light, "#p0-curves .role-axis-title text, #p0-curves .role-axis-label text")[1]) > 200


def test_print_is_light_opens_what_is_folded_and_leaves_out_what_cannot_be_pressed(opened, offered):
    tab = opened(offered, dark=True)
    tab.wait_for_selector("html[data-folded=drawn]", state="attached")
    tab.emulate_media(media="print", color_scheme="light")
    tab.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    assert tab.locator("#p0-ledger table").is_visible()
    assert tab.locator("#p0-axes-m0 svg").first.is_visible()
    for gone in ("nav", "select", "button.copy", "button.data"):
        assert not any(element.is_visible() for element in tab.locator(gone).all()), gone
    assert tab.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    for told in (".next p", "h2", "summary"):  # no page ends between a sentence and its command
        assert tab.evaluate("(place) => getComputedStyle(document.querySelector(place)).breakAfter", told) == "avoid"
    assert tab.evaluate("getComputedStyle(document.querySelector('.next li')).breakInside") == "avoid"
    tab.evaluate("window.dispatchEvent(new Event('afterprint'))")
    assert tab.evaluate("document.querySelectorAll('details[open]').length") == 0


def test_a_term_is_explained_to_whoever_reaches_it_by_keyboard(opened, offered):
    tab = opened(offered)
    term = tab.locator("#p0-table ~ .scroll abbr").first
    term.focus()
    tab.keyboard.press("Shift+Tab")
    tab.keyboard.press("Tab")
    told = tab.evaluate("getComputedStyle(document.activeElement, '::after').content")
    assert json.loads(told) == tab.evaluate("document.activeElement.title")


def test_code_is_copied_at_a_press_and_another_method_can_be_chosen(opened, offered):
    tab = opened(offered)
    tab.context.grant_permissions(["clipboard-read", "clipboard-write"])
    tab.locator(".next button.copy").first.click()
    tab.locator("#status", has_text="Copied.").wait_for(state="attached")
    assert tab.evaluate("navigator.clipboard.readText()") == STEPS[0].command
    tab.locator("select[data-shows=settings]").select_option(label="adagrad")
    assert tab.locator("#setting2").is_visible()
    assert tab.locator("[data-of=settings]:visible").count() == 1
