"""What a loss is worth in accuracy, ranks over problems, short names, and headlines: against numbers by hand."""

import math

import pytest
from made_runs import METHODS, made, trial

from optwise.core.method import Recorded
from optwise.core.metric import Direction
from optwise.core.run import Measurement, Run
from optwise.core.status import Status
from optwise.report import page
from optwise.report.answers import ranks_answer
from optwise.report.figures.critical_difference import group_rows, rank_rows, ranked
from optwise.report.figures.heights import heights
from optwise.report.first_screen import first_screen
from optwise.report.headlines import headline
from optwise.report.hints import Hints
from optwise.report.race_words import race_headline
from optwise.report.words import brief
from optwise.report.worth import at_checkpoint, at_checkpoints, beside, worth_sentence


def run(name, losses, accuracies):
    measured = [
        Measurement(10 * i, "valid", metric, value)
        for metric, values in (("loss", losses), ("accuracy", accuracies))
        for i, value in enumerate(values)
    ]
    return Run(
        problem="p",
        method=Recorded(name="m", description={}),
        seed=0,
        status=Status.BUDGET_SPENT,
        counts={},
        measurements=tuple(measured),
        name=trial(name),
    )


def test_an_accuracy_is_read_where_the_loss_was_best_and_not_where_it_was_best_itself():
    lucky = run("p/m/0/c0", [0.1, 0.5, 0.2, 0.4, math.nan], [0.0, 0.99, 0.9, 0.95, 0.97])
    assert at_checkpoint(lucky, "valid/loss", Direction.MIN, "valid/accuracy") == 0.9  # the start does not count
    assert at_checkpoint(lucky, "valid/accuracy", Direction.MAX, "valid/loss") == 0.5
    assert at_checkpoint(run("p/m/0/c0", [0.1], [0.2]), "valid/loss", Direction.MIN, "valid/accuracy") is None


def test_a_difference_in_loss_is_told_in_examples():
    protocol, runs, document = made({name: METHODS[name] for name in ("sgd", "adam")}, studies=2, trials=2)
    assert beside(protocol, "digits-mlp", "valid/loss") == "valid/accuracy"
    assert beside(protocol, "digits-mlp", "objective") is None
    found = at_checkpoints(runs, protocol, "digits-mlp", metric="valid/loss", other="valid/accuracy")
    assert set(found) == {"sgd", "adam"}
    assert all(0.5 < value < 1 for value in found.values())
    said = worth_sentence(document, "digits-mlp", "valid/accuracy", {"sgd": 0.95, "adam": 0.97})
    assert said.endswith("from 95.0 % (sgd) to 97.0 % (adam): 2.0 points, or 7 examples of 359.")
    assert worth_sentence(document, "digits-mlp", "valid/accuracy", {"sgd": 0.95, "adam": None}) == ""
    for alike in (1.0, 0.9999999):
        said = worth_sentence(document, "digits-mlp", "valid/accuracy", {"sgd": alike, "adam": 1.0})
        assert said == "In valid/accuracy at these checkpoints all methods end alike, at 100.0 %."


def confirmed(time, value):
    told = None if time is None else {"median": time if math.isfinite(time) else None}
    return {"confirm": {"time_to_target": told, "value": {"median": value}}}


def test_ranks_are_of_times_where_there_are_targets_and_misses_share_the_last():
    problems = {
        "timed": {"methods": {"a": confirmed(10.0, 9.0), "b": confirmed(math.inf, 1.0), "c": confirmed(math.inf, 2.0)}},
        "valued": {"methods": {"a": confirmed(None, 0.7), "b": confirmed(None, 0.9), "c": confirmed(None, 0.8)}},
    }
    ways = {"timed": Direction.MIN, "valued": Direction.MAX}
    found = ranked(problems, ["a", "b", "c"], ways, level=0.95)
    assert found.ranks == (2.0, 1.75, 2.25)
    assert rank_rows(found, ["a", "b", "c"])["method"].tolist() == ["b", "a", "c"]
    assert group_rows(found, ["a", "b", "c"]).to_numpy().tolist() == [[0, "b", "c"]]
    assert ranks_answer(found, ["a", "b", "c"]) == "b at 1.75; 2 problems cannot tell it from a and c."


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["sgd", "adamw"], ["sgd", "adamw"]),
        (["run number 1 of ten", "run number 2 of ten"], ["…1…", "…2…"]),
        (["</script>0</script>", "</script>1</script>"], ["…0…", "…1…"]),
        (["a" * 30, "b" * 30], ["a" * 10 + "…", "b" * 10 + "…"]),
        (["x" * 30], ["x" * 10 + "…"]),
        (["optimizer one", "optimizer one and a half"], ["optimizer …", "…and a half"]),
    ],
)
def test_short_names_leave_out_what_all_share(names, expected):
    found = list(brief(names).values())
    assert found == expected
    assert max(map(len, found)) <= 11


def test_an_accuracy_is_linear_in_axis_plots_too():
    import pandas as pd

    rows = pd.DataFrame({"trial": ["a", "b"], "value": [0.05, 0.98], "spent": [math.nan] * 2})
    asked = {"metric": "valid/accuracy", "target": None, "last": 100.0, "unit": "steps"}
    assert not heights([rows], direction=Direction.MAX, **asked).log
    assert heights([rows], direction=Direction.MIN, **asked).log


def test_where_no_pair_has_a_size_the_first_screen_shows_the_curves():
    protocol, runs, document = made({"sgd": METHODS["sgd"]}, studies=1, trials=2)
    text = page(document, protocol, runs)
    first = text[text.index('<div class="first">') : text.index('<h2 id="p0-top">')]
    assert '<figure id="p0-curves">' in first
    assert text.count('id="p0-curves"') == 1
    assert '<div class="first"><div></div></div>' in first_screen(
        document, protocol, picture=None, hints=Hints(), nav=""
    )


def solved(seconds, low, high, *, certified=True):
    return {"certified": certified, "seconds": {"median": seconds, "low": low, "high": high}, "status": "stalled"}


@pytest.mark.parametrize(
    ("methods", "expected"),
    [
        ({"a": solved(1.0, 0.9, 1.1), "b": solved(2.0, 1.9, 2.1)}, "a proves its answer on p first, after 1 s."),
        (
            {"a": solved(1.0, 0.9, 1.1), "b": solved(1.05, 1, 2)},
            "a and b prove their answers on p first, equally fast.",
        ),
        (
            {"a": solved(1.0, 0.9, 1.1), "b": solved(2, 2, 2, certified=False)},
            "Only a proves its answer on p, after 1 s.",
        ),
        ({"a": solved(1.0, 0.9, 1.1, certified=False)}, "No solver proves its answer on p."),
        ({f"m{i}": solved(1.0, 0.9, 1.1) for i in range(9)}, "9 solvers prove their answers on p first, equally fast."),
    ],
)
def test_the_headline_of_a_race_has_at_most_fifteen_words(methods, expected):
    assert race_headline({"problems": {"p": {"methods": methods}}}) == expected
    assert len(expected.split()) <= 15


@pytest.mark.parametrize("count", [1, 2, 5, 12])
def test_a_headline_that_is_read_off_the_verdicts_has_at_most_fifteen_words(count):
    names = [f"m{i}" for i in range(count)]
    for leads in (None, "m0"):
        verdicts = [
            {"a": "m0", "b": name, "words": "faster" if leads and i % 2 == 0 else "not separated"}
            for i, name in enumerate(names[1:])
        ]
        problem = {"leader": leads, "methods": dict.fromkeys(names), "verdicts": verdicts}
        for problems in ({"p": problem}, {"p": problem, "q": problem}):
            assert 0 < len(headline({"problems": problems}).split()) <= 15
