"""What a user sees while a comparison runs."""

import io

import pytest

from optwise.catalog import load_problem
from optwise.cli.progress import Lines, Live, progress_on


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def test_trials_on_record_count_as_done_but_not_as_speed(clock):
    tally = Lines({"p": 1.0}, clock)
    tally.plan(100, 40)
    clock.now = 10.0
    tally.advance("p", "adamw", "explore", 20, 0.5)
    assert tally.counts == "trials 60/100, 40 of them on record, 2.0/s, 20 s left"
    clock.now = 30.0
    tally.advance("p", "adamw", "explore", 40, 0.5)
    assert tally.counts == "trials 100/100, 40 of them on record, 2.0/s"


def test_the_best_so_far_goes_the_way_of_the_metric(clock):
    tally = Lines({"loss": 1.0, "accuracy": -1.0}, clock)
    for value in (None, 0.5, 0.7, 0.3, None):
        tally.advance("loss", "sgd", "explore", 1, value)
        tally.advance("accuracy", "sgd", "explore", 1, value)
    assert tally.rows() == [("loss sgd", "0.3"), ("accuracy sgd", "0.7")]


def test_a_log_gets_a_line_every_few_seconds_and_a_last_one(clock, capsys):
    tally = Lines({"p": 1.0}, clock)
    tally.note("measuring")
    tally.plan(100, 0)
    for _ in range(100):
        clock.now += 0.1
        tally.advance("p", "sgd", "explore", 1, 0.25)
    tally.done()
    tally.done()
    lines = capsys.readouterr().err.splitlines()
    assert lines[:2] == ["measuring", "trials 0/100"]
    assert len(lines) == 4
    assert lines[-1] == "trials 100/100, 10.0/s; best so far: sgd 0.25"


def test_a_terminal_shows_a_bar_the_counts_and_the_best_of_each_method():
    from rich.console import Console

    live = Live({"p": 1.0})
    live.note("measuring [b]step[/b] times")
    live.plan(50, 0)
    live.advance("p", "adamw", "explore", 10, 0.125)
    console = Console(file=io.StringIO(), width=80, markup=False)
    console.print(live.picture())
    text = console.file.getvalue()
    assert "measuring [b]step[/b] times" in text
    assert "trials 10/50" in text
    assert "0.125" in text


def test_which_way_is_better_is_asked_of_the_problem(capsys):
    problem = load_problem("digits-softmax")
    for metric, sign in ((None, 1.0), ("valid/accuracy", -1.0), ("no such metric", 1.0)):
        with progress_on([problem], metric) as tally:
            assert tally.signs == {"digits-softmax": sign}
    assert capsys.readouterr().err == ""
