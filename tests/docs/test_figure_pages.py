"""Pages on figures and on theory: every figure has one, and what they print is what comes out."""

import doctest
import re
from pathlib import Path

import pytest

from optwise.verbs.lessons.gallery import LESSONS
from optwise.verbs.lessons.sgd_noise_floor import noise_floor_data

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("slug", LESSONS)
def test_every_figure_has_a_page_that_shows_it_and_a_place_in_the_gallery(slug):
    page = (DOCS / "figures" / f"{slug}.md").read_text(encoding="utf-8")
    assert f"](../_figures/{slug}.svg)" in page
    assert page.startswith("# ")
    index = (DOCS / "figures" / "index.md").read_text(encoding="utf-8")
    assert f"../_figures/{slug}.svg" in index
    assert f"({slug}.md)" in index
    assert re.search(rf"^{slug}$", index.rpartition("{toctree}")[2], re.MULTILINE)


def test_the_gallery_shows_no_figure_that_is_not_there():
    shown = re.findall(r"_figures/([\w-]+)\.svg", (DOCS / "figures" / "index.md").read_text(encoding="utf-8"))
    assert sorted(shown) == sorted(LESSONS)
    pages = {path.stem for path in (DOCS / "figures").glob("*.md")}
    assert pages == {*LESSONS, "index"}


@pytest.mark.parametrize("page", ["theory.md", "derivatives.md"])
def test_the_examples_of_a_page_print_what_they_say(page):
    blocks = re.findall(r"```pycon\n(.*?)```", (DOCS / page).read_text(encoding="utf-8"), flags=re.DOTALL)
    assert len(blocks) >= 3
    options = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS | doctest.IGNORE_EXCEPTION_DETAIL
    names = {}
    for block in blocks:
        test = doctest.DocTestParser().get_doctest(block, names, page, page, 0)
        runner = doctest.DocTestRunner(optionflags=options)
        runner.run(test, clear_globs=False)
        names = test.globs
        assert runner.summarize(verbose=False).failed == 0


def test_the_table_of_noise_floors_is_what_is_computed():
    page = (DOCS / "figures" / "sgd-noise-floor.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \| ([\d.,]+) \|$", page, re.MULTILINE)
    data = noise_floor_data()
    ends = data[data["step"] == data["step"].max()].set_index("lr")
    assert [float(row[0]) for row in rows] == ends.index.tolist()
    for lr, left, floor, settled in rows:
        end = ends.loc[float(lr)]
        assert float(left) == pytest.approx(end["bias"], abs=5e-4)  # three digits after the point
        assert float(floor) == pytest.approx(end["floor"], rel=5e-3)
        assert float(settled.replace(",", "")) == pytest.approx(end["settled"], abs=0.5)
