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
    assert "fail boundary: sgd (good settings crowd an edge of what was searched)" in said


@pytest.mark.parametrize("width", [40, 80, 200])
@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"target": None},
        {"methods": {"sgd": METHODS["sgd"]}},
        {"problems": ("one", "two")},
        {"problems": ("one", "two", "three")},
        {"problems": tuple(f"p{i}" for i in range(4))},
        {"problems": tuple(f"p{i}" for i in range(6))},
        {"problems": tuple(f"p{i}" for i in range(9)), "methods": {"sgd": METHODS["sgd"], "adam": METHODS["adam"]}},
        {"problems": tuple(f"p{i}" for i in range(40)), "methods": {"sgd": METHODS["sgd"], "adam": METHODS["adam"]}},
        {"methods": {f"{'long name ' * 8}{i}": {"class": "SGD", "lr": LOG_LR} for i in range(30)}},
    ],
    ids=["demo", "values", "one", *(f"{n} problems" for n in (2, 3, 4, 6, 9, 40)), "thirty methods"],
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


@pytest.mark.parametrize("problems", range(2, 8))
def test_what_is_open_is_told_of_each_of_several_problems_with_its_methods(problems):
    names = [f"problem-{i}" for i in range(problems)]
    _, _, document = made({n: METHODS[n] for n in ("sgd", "adam")}, problems=tuple(names), studies=1, trials=1, seeds=1)
    lines = printed(document)
    for name in names:
        at = next(i for i, line in enumerate(lines) if line.startswith(f"{name}: "))
        assert "adjusted p at " in lines[at + 1]
        assert "0.022; open: boundary (sgd), still improving (sgd, adam)" in lines[at + 1]


def test_problems_that_find_no_room_are_counted():
    two = {n: METHODS[n] for n in ("sgd", "adam")}
    _, _, document = made(two, problems=tuple(f"p{i}" for i in range(40)), studies=1, trials=1, seeds=1)
    lines = printed(document)
    shown = sum(line.startswith("p") for line in lines)
    assert lines[-1] == f"and {40 - shown} more problems on the page"


@pytest.mark.parametrize("width", [60, 80])
def test_a_check_is_told_with_all_its_methods_before_what_was_found(width):
    _, _, document = made(studies=1, trials=1, seeds=1)
    found = document["problems"]["digits-mlp"]["checks"]
    found.append({**found[-1], "check": "density", "methods": list(METHODS), "head": "A search of few trials " * 3})
    assert f"warn  density: {', '.join(METHODS)}" in printed(document, width)


def test_a_pair_that_cannot_be_compared_takes_no_room_from_the_others(comparison):
    _, _, document = comparison
    result = document["problems"]["digits-mlp"]
    leader = result["leader"]
    apart = [
        {**v, "words": "not comparable", "ratio": None, "ratio_low": None, "ratio_high": None}
        if {v["a"], v["b"]} == {leader, "sgd"}
        else v
        for v in result["verdicts"]
    ]
    lines = printed({**document, "problems": {"digits-mlp": {**result, "verdicts": apart}}})
    assert any(line.endswith("not comparable") for line in lines)
    assert not any("…" in line[30:] for line in lines)


def test_the_terminal_takes_brackets_in_names_for_text():
    _, _, document = made({"[red]sgd[/red]": METHODS["sgd"], "adam": METHODS["adam"]}, studies=2, trials=2)
    out = io.StringIO()
    Console(file=out, width=80).print(terminal(document))
    assert "[red]sgd[/red]" in out.getvalue()
