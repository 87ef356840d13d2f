"""The page as a document: one heading, few words, names for links and tables, nothing said twice."""

import json
import re
from dataclasses import replace
from itertools import pairwise

import pytest
from made_runs import LOG_LR, METHODS, made
from parsed import Page

from optwise.report import page
from optwise.report.glossary import TERMS
from optwise.report.hints import Hints, Setting, Step

LONG = "<script>alert('a name that is far too long to be read at one glance')</script>"
SHAPES = {
    "the demo": {},
    "one method": {"methods": {"sgd": METHODS["sgd"]}, "studies": 1, "trials": 4, "seeds": 1},
    "no target": {"target": None, "studies": 2, "trials": 4},
    "an accuracy": {"target": "valid/accuracy>=0.9", "studies": 2, "trials": 4},
    "nothing but misses": {"target": "valid/loss<=1e-9", "studies": 2, "trials": 4},
    "no feasible trial": {"never": ("adam",), "studies": 2, "trials": 4},
    "two problems": {"problems": ("first", "second"), "studies": 2, "trials": 4},
    "closed methods": {"methods": {f"m{i}": {"class": "Adam", "lr": 0.1 * (i + 1)} for i in range(2)}, "studies": 2},
    "twelve hostile names": {
        "methods": {f"{LONG}{i}": {"class": "SGD", "lr": LOG_LR} for i in range(12)},
        "studies": 2,
        "trials": 4,
        "seeds": 1,
    },
}


@pytest.fixture(scope="module", params=SHAPES.values(), ids=SHAPES.keys())
def shaped(request):
    protocol, runs, document = made(**request.param)
    problem = next(iter(document["problems"]))
    method = next(iter(protocol.methods))
    hints = Hints([Setting(problem, method, "The rule.", "code")], [Step("Why.", "optwise report x")], folder="x")
    return document, Page(page(document, protocol, runs, hints))


def test_there_is_one_first_heading_and_no_level_is_skipped(shaped):
    _, read = shaped
    levels = [int(element.tag[1]) for element in read.elements if re.fullmatch(r"h[1-6]", element.tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_the_verdict_has_at_most_fifteen_words(shaped):
    document, read = shaped
    words = " ".join(read.all("h1")[0].said.replace(LONG, "name").split())
    assert 0 < len(words.split()) <= 15 or document.get("headline")


def test_no_id_stands_twice_and_every_reference_leads_to_one(shaped):
    _, read = shaped
    ids = [element.attributes["id"] for element in read.elements if "id" in element.attributes]
    assert len(ids) == len(set(ids))
    named = ("data-spec", "data-panels", "data-figure", "data-csv", "data-copies")
    for element in read.elements:
        for name in named:
            assert element.attributes.get(name, ids[0]) in ids
        if element.tag == "option" and element.inside[-1].attributes.get("data-parameter") is None:
            assert element.attributes["value"] in ids
    assert {element.attributes["href"][1:] for element in read.all("a")} <= set(ids)


def test_every_table_has_a_caption_and_every_row_a_name(shaped):
    _, read = shaped
    assert read.all("table")
    assert len(read.all("caption")) == len(read.all("table"))
    assert all(caption.said for caption in read.all("caption"))
    assert all("scope" in head.attributes for head in read.all("th"))


def test_links_and_buttons_say_where_they_lead(shaped):
    _, read = shaped
    vague = {"see", "here", "link", "more", ""}
    for element in (*read.all("a"), *read.all("button")):
        assert (element.attributes.get("aria-label") or element.said).lower() not in vague
    for select in read.all("select"):
        assert select.within("label")


def test_every_chart_is_one_image_named_by_its_question_and_described_by_its_answer(shaped):
    document, read = shaped
    charts = [e for e in read.elements if "data-spec" in e.attributes]
    assert charts or len(document["problems"]) == 1
    said = {e.attributes["id"]: e.said for e in read.elements if "id" in e.attributes}
    panels = {}
    for chart in charts:
        assert chart.attributes["role"] == "img"
        question, _, panel = chart.attributes["aria-label"].partition("?")
        assert panel.strip() in (chart.attributes["data-panel"], "")
        answer = chart.attributes["aria-describedby"]
        assert said[answer].endswith((".", "…"))
        panels.setdefault(answer, set()).add((question, panel))
    shown = [chart.attributes["aria-describedby"] for chart in charts]
    assert all(len(names) == shown.count(answer) for answer, names in panels.items())  # every panel has its own name


def test_nothing_leads_out_of_the_page_and_nothing_is_fetched(shaped):
    _, read = shaped
    for element in read.elements:
        assert "src" not in element.attributes
        assert element.attributes.get("href", "#").startswith("#")
    assert not read.all("link")


def test_the_page_says_what_it_has_to_say_in_few_words(shown):
    assert len(Page(shown).words) < 1000  # the charts have words of their own


@pytest.mark.parametrize("problems", [2, 3, 5])
def test_of_several_problems_each_shows_its_verdict_and_one_picture_and_folds_the_rest(problems):
    names = tuple(f"problem-{i}" for i in range(problems))
    protocol, runs, document = made(problems=names, studies=2, trials=4)
    read = Page(page(document, protocol, runs))
    open_figures = [e.attributes["id"] for e in read.all("figure") if not e.within("details")]
    assert [name for name in open_figures if name.startswith("p")][-problems:] == [
        f"p{i}-pairs" for i in range(problems)
    ]
    heads = [e.said for e in read.all("h2") if not e.within("details")]
    assert [head for head in heads if head in names] == list(names)
    tables = [e for e in read.all("table") if not e.within("details")]
    assert tables == []


COMPARISONS = re.compile("[<>]=")


def test_a_comparison_has_one_sign_on_the_page_and_commands_keep_theirs(comparison):
    protocol, runs, document = comparison
    result = document["problems"]["digits-mlp"]
    told = "adam reaches valid/loss<=0.12 faster: p >= 0.2"
    checks = [{**result["checks"][0], "evidence": told, "advice": told, "head": ""}, *result["checks"][1:]]
    sentences = {"headline": told, "line": told, "hangs_on_target": {"answer": True, "sentence": told}}
    changed = {**result, **sentences, "checks": checks, "target_curve": {"sentence": told}}
    whole = {**document, "problems": {"digits-mlp": changed}}
    command = "optwise score x --target 'valid/loss<=0.2'"
    hints = Hints([Setting("digits-mlp", "sgd", told, "code")], [Step(told, command)], again=command, folder="x")
    read = Page(page(whole, protocol, runs, hints))
    coded = {"code", "pre", "script", "style"}
    for element in read.elements:
        assert not any(COMPARISONS.search(text) for name, text in element.attributes.items() if text)
        if not coded & {element.tag} and not any(map(element.within, coded)) and element.tag in ("p", "h1", "b", "td"):
            assert not COMPARISONS.search(element.said), element.said
    assert read.all("h1")[0].said == "adam reaches valid/loss ≤ 0.12 faster: p ≥ 0.2"
    assert next(e for e in read.all("code") if e.attributes.get("id") == "step0").said == command


def test_no_line_of_a_command_ends_inside_an_option(comparison):
    protocol, runs, document = comparison
    command = "optwise compare digits-mlp --methods adam:betas=1-0.004..0.3/0.999,sgd --studies 8 --out 'a b'"
    text = page(document, protocol, runs, Hints((), [Step("Why.", command)]))
    read = Page(text)
    bits = [e.said for e in read.all("span") if e.attributes.get("class") == "bit"]
    assert {"--methods", "--studies", "adam:betas=1-0.004..0.3/0.999,", "sgd"} <= set(bits)
    assert "".join(bits).startswith(command.replace(" ", ""))
    assert {"report", "--target", "'METRIC<=VALUE'"} <= set(bits), "the commands of the provenance as well"
    assert ".bit { display: inline-block;" in text


def test_the_line_under_the_verdict_leads_from_each_check_to_its_entry_and_says_what_it_asks(comparison):
    protocol, runs, document = comparison
    result = document["problems"]["digits-mlp"]
    asked = [{**check, "asks": f"Is it {check['check']}?"} for check in result["checks"]]
    line = "Adjusted p <= 0.02. Failed checks: boundary. Open checks: novel, still-improving. At boundary: nothing."
    whole = {**document, "problems": {"digits-mlp": {**result, "checks": asked, "line": line}}}
    read = Page(page(whole, protocol, runs))
    told = next(e for e in read.all("p") if e.attributes.get("class") == "line")
    assert told.said == line.replace("<=", "≤")
    links = {e.said: e.attributes for e in read.all("a") if told in e.inside}
    table = next(e for e in read.all("table") if e.said.startswith("All pairs in numbers."))
    beside = {e.said: e.attributes for e in read.all("a") if table in e.inside}
    assert beside == {"boundary": links["boundary"]}
    assert set(links) == {"boundary", "still-improving"}
    entries = {e.attributes["id"]: e.said for e in read.all("li") if "id" in e.attributes}
    assert "crowd an edge" in entries[links["boundary"]["href"][1:]]
    assert "stop improving" in entries[links["still-improving"]["href"][1:]]
    assert links["still-improving"]["title"] == "Is it still-improving?"


def test_terms_are_explained_where_they_stand_and_in_the_glossary(shown):
    read = Page(shown)
    explained = {element.said: element.attributes for element in read.all("abbr")}
    assert {"separated", "not separated", "ratio", "misses", "example-gradients"} <= set(explained)
    assert all(attributes["title"] in TERMS.values() for attributes in explained.values())
    assert all(attributes["tabindex"] == "0" for attributes in explained.values())
    assert [element.said for element in read.all("dfn")] == list(TERMS)


def test_an_accuracy_is_drawn_on_a_linear_axis_near_its_values(shown):
    spec = next(
        json.loads(found)
        for found in re.findall(
            r'<script type="application/json" id="p0-curves[^"]*">(.*?)</script>', shown, flags=re.DOTALL
        )
        if '"median and quartiles, valid/accuracy"' in found
    )
    scales = [
        layer["encoding"]["y"]["scale"] for layer in spec["layer"] if "scale" in layer.get("encoding", {}).get("y", {})
    ]
    assert {scale["type"] for scale in scales} == {"linear"}
    low, high = scales[0]["domain"]
    drawn = [v for row in spec["datasets"]["median and quartiles, valid/accuracy"] for v in row["median"][5:]]
    assert low <= min(drawn)
    assert max(drawn) <= high
    assert high - low < 3 * (max(drawn) - min(drawn))


def test_the_page_says_how_well_times_are_known_and_what_was_asked(comparison):
    protocol, runs, document = comparison
    asked = replace(protocol, against="adamw", looks=(8, 16))
    said = " ".join(Page(page(document, asked, runs)).words)
    assert "Times are known to within 3,200 example-gradients (5 % of all); a hit after 64,000 is a miss." in said
    assert "asked against adamw alone; looks after 8 and 16 studies, corrected for." in said


def test_a_pair_says_what_could_still_tell_it_apart_and_one_that_was_not_asked_says_so(comparison):
    protocol, runs, document = comparison
    result = document["problems"]["digits-mlp"]
    more = {"evaluations_needed": 1234, "separated_at": 16, "ratio_low": None, "ratio_high": None}
    verdicts = [{**result["verdicts"][0], **more}, {**result["verdicts"][1], "asked": False}, *result["verdicts"][2:]]
    changed = {**document, "problems": {"digits-mlp": {**result, "verdicts": verdicts}}}
    text = page(changed, protocol, runs)
    assert "1,234 evaluations could show whether they are equivalent" in text
    assert "as seen after 16 studies" in text
    matrix = text[text.index('<div class="scroll matrix"') : text.index("All pairs in numbers")]
    assert matrix.count("not asked") == 1
    assert matrix.count("size not known") == 1  # the interval has no end, so no number is printed beside it
