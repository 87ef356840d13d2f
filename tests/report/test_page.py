"""The page as text: nothing escapes, nothing is lost, the same input gives the same bytes."""

import io
import json
import re

import pytest
from made_runs import LOG_LR, METHODS, made
from rich.console import Console

from optwise.core.errors import BadFolder
from optwise.report import figures, images, page, terminal
from optwise.report.check_list import check_anchor
from optwise.report.drawing import PALETTE, colours, script_json, spec_of
from optwise.report.hints import Hints, Setting, Step
from optwise.report.tables import results_rows
from optwise.report.themes import swatch

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>&\u2028\"'"


def specs(text):
    """Every chart of a page, as its text."""
    return re.findall(r'<script type="application/json"[^>]*>(.*?)</script>', text, flags=re.DOTALL)


def without_programs(text):
    """The page without its two programs, one of which is not ours."""
    return re.sub(r"<script>.*?</script>", "", text, flags=re.DOTALL)


def refuse(word):
    raise AssertionError(f"{word} is no JSON")


CASES = {
    "without a target": {"target": None},
    "one method": {"methods": {"sgd": METHODS["sgd"]}},
    "one study": {"studies": 1, "seeds": 1},
    "nothing but misses": {"target": "valid/loss<=1e-9"},
    "a method that diverges": {"never": ("adam",)},
    "an accuracy as target": {"target": "valid/accuracy>=0.9"},
    "no data": {"problems": ("nqm:d=100",), "target": None},
    "two problems": {"problems": ("first", "second")},
    "a closed method": {"methods": {"sgd": METHODS["sgd"], "fixed": {"class": "Adam", "lr": 0.1}}},
    "twelve methods": {"methods": {f"m{i}": {"class": "SGD", "lr": LOG_LR} for i in range(12)}},
}


@pytest.mark.parametrize("asked", CASES.values(), ids=CASES.keys())
def test_every_shape_of_comparison_has_a_page_of_valid_charts(asked):
    asked = {
        "methods": {name: METHODS[name] for name in ("sgd", "adam")},
        "studies": 2,
        "trials": 4,
        "seeds": 2,
    } | asked
    protocol, runs, document = made(**asked)
    text = page(document, protocol, runs)
    charts = [json.loads(spec, parse_constant=refuse) for spec in specs(text)]
    assert charts
    assert "nan" not in re.sub(r"<script.*?</script>", "", text, flags=re.DOTALL).lower().split()
    for problem in document["problems"]:
        assert problem in text
    Console(file=io.StringIO(), width=80).print(terminal(document))


def test_text_of_the_user_never_becomes_markup():
    methods = {HOSTILE: {"class": "SGD", "lr": LOG_LR}, "sgd": METHODS["sgd"]}
    protocol, runs, document = made(methods, problems=("<b>p</b>",), studies=2, trials=4)
    document["verdict"] = document["environment"]["processor"] = HOSTILE
    problem = document["problems"]["<b>p</b>"]
    problem["checks"][0] |= {"evidence": HOSTILE, "advice": HOSTILE, "link": '"><script>', "source": HOSTILE}
    problem["verdicts"][0] |= {"because": HOSTILE, "warnings": [HOSTILE]}
    problem |= {"headline": HOSTILE, "line": HOSTILE, "hangs_on_target": {"answer": True, "sentence": HOSTILE}}
    hints = Hints([Setting("<b>p</b>", HOSTILE, HOSTILE, HOSTILE)] * 2, [Step(HOSTILE, HOSTILE)], HOSTILE, HOSTILE)
    whole = page(document, protocol, runs, hints)
    text = without_programs(whole)
    assert "<script>" not in text
    assert "<img" not in text
    assert "<b>p</b>" not in text
    # the data of the charts and two programs, nothing more
    assert text.count("<script") == len(specs(text)) == text.count("</script>")
    assert whole.count("<script>") == 2
    assert any(HOSTILE in json.dumps(json.loads(spec), ensure_ascii=False).replace('\\"', '"') for spec in specs(text))


def test_json_in_a_script_reads_back_and_holds_no_sign_that_could_end_it():
    text = script_json({"name": HOSTILE})
    assert not set(text) & set("<>&\u2028\u2029")
    assert json.loads(text) == {"name": HOSTILE}


def test_the_same_comparison_gives_the_same_bytes(small):
    protocol, runs, document = small
    assert page(document, protocol, runs) == page(document, protocol, list(reversed(runs)))


def test_the_page_stays_light_and_loads_nothing(shown):
    text = shown
    assert len(text.encode()) < 1_800_000
    head = text.split("<body>")[0]
    assert "default-src 'none'" in head
    assert "unsafe-eval" not in head
    markup = re.sub(r"<(script|style).*?</\1>", "", text, flags=re.DOTALL)
    assert not re.search(r"(src|href)=\"(?!#)", markup)
    assert "@import" not in head
    assert "url(" not in head


def test_numbers_of_the_page_have_six_digits_at_most(small):
    protocol, runs, document = small
    charts = "".join(
        re.sub(r'"(domain|filter)":("[^"]*"|\[[^\]]*\])', "", spec) for spec in specs(page(document, protocol, runs))
    )
    assert not re.search(r"\d\.\d{7,}", re.sub(r'"config":.*', "", charts))


def test_all_links_of_the_page_lead_somewhere(shown):
    text = without_programs(shown)
    anchors = set(re.findall(r'id="([^"]+)"', text))
    links = re.findall(r'href="#([^"]+)"', text)
    assert len(links) > 8
    assert set(links) <= anchors
    assert len(anchors) == text.count(' id="')


def test_a_check_leads_to_the_chart_of_its_method(comparison):
    _, _, document = comparison
    known = {"p0-axes-m0", "p0-curves", "p0-ledger"}
    boundary = {"check": "boundary", "method": "sgd", "link": ""}
    assert check_anchor(boundary, document, "digits-mlp", known) == "p0-axes-m0"
    assert check_anchor({**boundary, "link": "#curves"}, document, "digits-mlp", known) == "p0-curves"
    assert check_anchor({**boundary, "method": "adam"}, document, "digits-mlp", known) is None
    assert check_anchor({"check": "novel", "method": None, "link": "nowhere"}, document, "digits-mlp", known) is None


def test_results_stand_in_the_order_of_the_document_or_else_by_median_time(comparison):
    _, _, document = comparison
    result = document["problems"]["digits-mlp"]
    assert [row["method"] for row in results_rows(document, "digits-mlp")] == result["order"]
    older = {**document, "problems": {"digits-mlp": {**result, "order": None, "leader": None}}}
    medians = [row["time"]["median"] for row in results_rows(older, "digits-mlp")]
    assert medians == sorted(medians)


OF_TODAY = ("order", "headline", "line", "hangs_on_target", "target_curve", "limit", "resolution", "power")


@pytest.mark.parametrize(
    "asked", [{}, {"problems": ("first", "second")}, {"target": None}], ids=["one", "two", "values"]
)
def test_a_folder_made_before_has_a_page_too(asked):
    protocol, runs, document = made(**{"studies": 2, "trials": 4} | asked)
    for result in document["problems"].values():
        for name in OF_TODAY:
            result.pop(name, None)
    text = page(document, protocol, runs)
    heading = re.search(r"<h1>(.*?)</h1>", text)[1]
    assert 0 < len(heading.split()) <= 15
    assert "open checks: " in text


def test_every_figure_answers_its_question_with_seeds_and_budget(comparison, shown):
    protocol, runs, document = comparison
    found, text = figures(document, protocol, runs), shown
    assert [f.anchor.split("-")[1] for f in found] == ["pairs", "curves", "budget", *["axes"] * 5, "sensitivity"]
    captions = dict(re.findall(r'<figure id="([^"]+)">.*?<figcaption>(.*?)</figcaption>', text, flags=re.DOTALL))
    assert set(captions) == {figure.anchor for figure in found}
    for figure in found:
        assert figure.question.endswith("?")
        assert figure.answer.endswith(".")
        assert "4 confirmation seeds" in captions[figure.anchor]
        assert "1,000 steps" in captions[figure.anchor]


def test_a_method_keeps_its_colour_everywhere(comparison, shown):
    for method, colour in colours(list(comparison[0].methods)).items():
        assert f"{swatch(colour)}{method}" in shown
    assert len(set(PALETTE)) == 12


@pytest.mark.parametrize(("suffix", "start"), [("png", b"\x89PNG"), ("svg", b"<svg"), ("pdf", b"%PDF")])
def test_figures_become_image_files_without_a_browser(small, tmp_path, suffix, start):
    protocol, runs, document = small
    chart = next(iter(figures(document, protocol, runs)[1].panels.values()))
    written = images(chart, tmp_path / f"curves.{suffix}")
    assert written.read_bytes().startswith(start)


def test_an_image_of_no_known_kind_is_refused(small, tmp_path):
    protocol, runs, document = small
    chart = next(iter(figures(document, protocol, runs)[0].panels.values()))
    with pytest.raises(BadFolder, match=r"end it in \.png, \.svg or \.pdf"):
        images(chart, tmp_path / "curves.bmp")


@pytest.mark.parametrize("asked", [{}, {"problems": ("first", "second")}], ids=["one", "two"])
def test_a_chart_is_valid_and_names_no_address(asked):
    protocol, runs, document = made({n: METHODS[n] for n in ("sgd", "adamw")}, studies=2, trials=4, **asked)
    for figure in figures(document, protocol, runs):
        for chart in figure.panels.values():
            chart.to_dict()  # checks every part against the schema
            assert "http" not in json.dumps(spec_of(chart))
