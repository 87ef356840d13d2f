"""The figures of the page as charts: the same rows, chosen by name, shown without a network."""

import json
import re

import altair as alt
import pytest
import torch
from small_comparisons import compare, flowers

import optwise as ow
from optwise.core.errors import BadProtocol, UnknownName
from optwise.report import figures
from optwise.report.drawing import spec_of
from optwise.report.notebook import ALIASES, MIME, NAMES, place


@pytest.fixture(scope="module")
def timed(tmp_path_factory):
    """Two problems, a target, an open and a closed method."""
    asked = {"studies": 4, "trials": 2, "seeds": 1, "target": "valid/loss<=0.9"}
    folder = tmp_path_factory.mktemp("plots") / "runs"
    return compare(folder, [flowers(), flowers("others", shift=0.2)], [ow.SGD(), ow.Adam(lr=0.1)], **asked)[0]


@pytest.fixture(scope="module")
def raced(tmp_path_factory):
    X, y = torch.eye(3, dtype=torch.float64), torch.ones(3, dtype=torch.float64)
    problems = [ow.problems.lasso(X, y, weight=0.1), ow.problems.least_squares(X, y)]
    return ow.compare(problems, ["fista", "gradient-descent"], out=tmp_path_factory.mktemp("race"), repeats=1)


def shown(chart):
    """What a notebook gets, without and with what goes beside it."""
    bundle = chart._repr_mimebundle_()
    return bundle[0] if isinstance(bundle, tuple) else bundle


def numbers(part):
    """Every row of data in a specification."""
    found = []
    if isinstance(part, dict):
        found += part["values"] if isinstance(part.get("values"), list) else []
        found += [row for rows in part.get("datasets", {}).values() for row in rows]
        found += [row for key, value in part.items() if key not in ("values", "datasets") for row in numbers(value)]
    elif isinstance(part, list):
        found += [row for item in part for row in numbers(item)]
    return [row for row in found if isinstance(row, dict)]


def as_text(rows):
    return sorted({json.dumps(row, sort_keys=True) for row in rows})


def test_every_figure_of_the_page_can_be_had_by_name_with_the_same_rows(timed):
    drawn = figures(timed.document, timed.protocol, timed.runs)
    problems, names = list(timed.document["problems"]), {place(figure).name for figure in drawn}
    drawn = [figure for figure in drawn if place(figure).problem in (None, 1)]
    for figure in drawn:
        at = place(figure)
        problem = None if at.problem is None else problems[at.problem]
        method = None if at.method is None else list(timed.document["problems"][problem]["methods"])[at.method]
        for label, panel in figure.panels.items():
            if sum(place(other)[:3] == at[:3] for other in drawn) == 1:
                chart = timed.plot(at.name, problem=problem, method=method, panel=label)
                assert as_text(numbers(shown(chart)[MIME])) == as_text(numbers(spec_of(panel)))
    assert names >= {"curves", "budget-curves", "axes", "sensitivity", "profile"}
    assert names <= {*NAMES, "axes", "sensitivity", "profile", "ranks"}


def test_a_chart_is_altairs_own_and_can_be_changed_and_saved(timed, tmp_path):
    chart = timed.plot()
    assert isinstance(chart, alt.LayerChart)
    wider = chart.properties(width=900)
    assert isinstance(wider, alt.LayerChart)
    assert shown(wider)[MIME]["width"] == 900
    wider.save(tmp_path / "curves.svg")
    assert (tmp_path / "curves.svg").read_text().startswith("<svg")
    assert isinstance(timed.plot("axes"), alt.ConcatChart)


@pytest.mark.parametrize("name", ["curves", "axes", "sensitivity", "profile"])
def test_a_notebook_shows_a_chart_without_a_network(timed, name):
    bundle = shown(timed.plot(name))
    assert MIME in bundle
    assert {"image/svg+xml", "image/png"} & bundle.keys()
    assert "text/html" not in bundle
    assert len(bundle["text/plain"]) < 100
    parts = [part if isinstance(part, str) else json.dumps(part) for part in bundle.values()]
    text = re.sub(r'xmlns(:\w+)?="[^"]*"', "", "".join(parts))
    assert "http:" not in text
    assert "https:" not in text


def test_a_large_chart_comes_as_pixels_with_their_size_on_the_screen(timed, monkeypatch):
    monkeypatch.setattr("optwise.report.notebook.LARGEST", 10)
    bundle, beside = timed.plot()._repr_mimebundle_()
    assert bundle["image/png"].startswith("iVBOR")  # a PNG in base64
    assert 560 <= beside["image/png"]["width"] <= 700


def test_a_renderer_that_the_reader_chose_is_used(timed):
    with alt.renderers.enable("mimetype"):
        assert "image/png" not in shown(timed.plot())
        assert any("vega" in kind for kind in shown(timed.plot()))


def test_other_names_of_a_figure_mean_the_same(timed):
    for alias, name in ALIASES.items():
        assert shown(timed.plot(alias))[MIME] == shown(timed.plot(name))[MIME]


def test_a_problem_a_method_and_a_panel_are_chosen_by_name(timed):
    one, other = (shown(timed.plot(problem=name))[MIME] for name in ("flowers", "others"))
    assert as_text(numbers(one)) != as_text(numbers(other))
    assert shown(timed.plot())[MIME] == one
    accuracy = json.dumps(shown(timed.plot(panel="valid/accuracy"))[MIME])
    assert "valid/accuracy" in accuracy
    assert "valid/loss" not in accuracy
    assert "flowers/sgd" in json.dumps(shown(timed.plot("axes", method="sgd"))[MIME])


REFUSED = [
    ({"name": "curvs"}, UnknownName, "Did you mean 'curves'"),
    ({"name": "curvs"}, UnknownName, "Known: .*axes.*budget-curves.*curves"),
    ({"problem": "flower"}, UnknownName, "Did you mean 'flowers'"),
    ({"name": "axes", "method": "agd"}, UnknownName, "Did you mean 'sgd'"),
    ({"name": "axes", "method": "adam"}, BadProtocol, "leave the problem or the method out"),
    ({"panel": "valid/accurcy"}, UnknownName, "Did you mean 'valid/accuracy'"),
    ({"name": "predictions"}, BadProtocol, "takes a problem that declares its quadratic; there are .*curves"),
]


@pytest.mark.parametrize(("asked", "error", "said"), REFUSED)
def test_a_figure_that_is_not_there_is_refused_with_those_that_are(timed, asked, error, said):
    with pytest.raises(error, match=said):
        timed.plot(**asked)


def test_a_comparison_without_a_target_says_what_its_sensitivity_would_take(done):
    with pytest.raises(BadProtocol, match="There is no figure sensitivity here, which takes a target"):
        done.plot("sensitivity")


def test_solvers_have_their_courses_and_profiles(raced):
    for name, panel in (("curves", None), ("curves", "certificate"), ("courses", None), ("profile", "seconds")):
        chart = raced.plot(name, panel=panel, problem="lasso")
        assert isinstance(chart, alt.LayerChart)
        assert numbers(shown(chart)[MIME])
    with pytest.raises(UnknownName, match="Known: curves, profile"):
        raced.plot("axis plots")
    with pytest.raises(BadProtocol, match="takes a target"):
        raced.plot("sensitivity")
