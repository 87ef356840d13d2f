"""What a comparison says of itself at a prompt: of several problems, every line says which one it is about."""

from pathlib import Path

import pytest
from made_runs import METHODS, made

from optwise.report.result_cards import comparison_card

TWO = {name: METHODS[name] for name in ("sgd", "adam")}


def card(problems, **changes):
    _, _, document = made(TWO, problems=problems, studies=1, trials=1, seeds=1)
    for result in document["problems"].values():
        result.update(changes)
    return comparison_card({**document, "headline": "Nobody leads."}, Path("runs/x"))


@pytest.mark.parametrize("line", ["Adjusted p >= 0.5. Open checks: density.", None], ids=["told", "older"])
@pytest.mark.parametrize("count", [2, 3, 6, 9])
def test_of_several_problems_every_line_names_its_own_and_none_is_said_twice(count, line):
    names = tuple(f"problem-{i}" for i in range(count))
    *told, page = card(names, line=line).notes
    assert page == "page: runs/x/report.html"
    expected = line or "1 failed check and 1 warning: boundary, still-improving"
    assert told[:6] == [f"{name}: {expected}" for name in names[:6]]
    assert told[6:] == ([f"{count - 6} more problems on the page"] if count > 6 else [])


def test_of_one_problem_the_line_and_the_open_checks_are_told_without_its_name():
    told = card(("only",), line="Adjusted p = 0.5.").notes
    assert told[:2] == ("Adjusted p = 0.5.", "1 failed check and 1 warning: boundary, still-improving")
