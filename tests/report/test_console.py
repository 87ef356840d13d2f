"""The report in the terminal: short, the path beside the verdict, what a user named never markup."""

import io
from pathlib import Path

import pytest
from made_runs import LOG_LR, METHODS, made
from rich.console import Console

from optwise.report import terminal

PAGE = Path("runs/demo/report.html")


def printed(document, width=80):
    out = io.StringIO()
    Console(file=out, width=width, markup=False, highlight=False).print(terminal(document, PAGE))
    return out.getvalue().splitlines()


def test_the_terminal_says_the_verdict_and_where_the_page_is_first(comparison):
    _, _, document = comparison
    lines = printed({**document, "headline": "adamw is faster than sgd."})
    assert lines[:2] == ["adamw is faster than sgd.", str(PAGE)]
    said = " ".join(" ".join(lines).split())
    time = document["problems"]["digits-mlp"]["methods"]["adamw"]["confirm"]["time_to_target"]
    assert f"{round(time['median'], -2):,.0f}" in said
    assert "fail good settings crowd an edge of what was searched: sgd" in said


@pytest.mark.parametrize("width", [40, 80, 200])
@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"target": None},
        {"methods": {"sgd": METHODS["sgd"]}},
        {"problems": ("one", "two")},
        {"problems": tuple(f"p{i}" for i in range(9)), "methods": {"sgd": METHODS["sgd"], "adam": METHODS["adam"]}},
        {"problems": tuple(f"p{i}" for i in range(40)), "methods": {"sgd": METHODS["sgd"], "adam": METHODS["adam"]}},
        {"methods": {f"{'long name ' * 8}{i}": {"class": "SGD", "lr": LOG_LR} for i in range(30)}},
    ],
    ids=["demo", "values", "one", "two problems", "nine problems", "forty problems", "thirty methods"],
)
def test_it_takes_at_most_24_lines_and_no_more_than_the_width(asked, width):
    _, _, document = made(**{"studies": 1, "trials": 1, "seeds": 1} | asked)
    lines = printed(document, width)
    assert len(lines) <= 24
    assert max(map(len, lines)) <= width


def test_methods_that_find_no_room_are_counted():
    _, _, document = made({f"m{i}": {"class": "SGD", "lr": LOG_LR} for i in range(30)}, studies=1, trials=1, seeds=1)
    lines = printed(document)
    shown = sum(line.split()[0] in document["problems"]["digits-mlp"]["methods"] for line in lines[6:] if line)
    assert f"and {30 - shown} more methods on the page" in lines


def test_the_terminal_takes_brackets_in_names_for_text():
    _, _, document = made({"[red]sgd[/red]": METHODS["sgd"], "adam": METHODS["adam"]}, studies=2, trials=2)
    out = io.StringIO()
    Console(file=out, width=80).print(terminal(document))
    assert "[red]sgd[/red]" in out.getvalue()
