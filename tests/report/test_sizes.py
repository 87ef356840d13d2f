"""How far apart two methods are, in print: the same number, the same way round and the same ends wherever it stands."""

import io
import json
import math
import re

import pytest
from made_runs import METHODS, made
from parsed import Page
from rich.console import Console

from optwise.report import figures, page, terminal
from optwise.report.drawing import spec_of
from optwise.report.sizes import by_order, size_of, turned, word_of
from optwise.report.words import number

METHODS_HERE = {name: METHODS[name] for name in ("sgd", "adam", "adamw")}
MINUS = "\N{MINUS SIGN}"


def pair(words="not separated", **numbers):
    return {"a": "a", "b": "b", "words": words, "ratio": None, "ratio_low": None, "ratio_high": None, **numbers}


def ends(text):
    """The ends of a printed interval as numbers, and whether each belongs to it."""
    opens, low, high, closes = re.search(r"([\[(])(\S+), (\S+)([\])])", text).groups()
    return *(float(end.replace(MINUS, "-").replace(",", "")) for end in (low, high)), opens == "[", closes == "]"


def holds(text, even):
    low, high, with_low, with_high = ends(text)
    return (low <= even if with_low else low < even) and (even <= high if with_high else even < high)


NEAR = [1.0, *(1 + sign * 10.0**-k for k in range(1, 12) for sign in (1, -1)), 0.99968, 0.9949, 1.0051]


@pytest.mark.parametrize("end", NEAR)
@pytest.mark.parametrize("first", ["a", "b"])
def test_a_printed_ratio_shows_whether_its_interval_holds_one(end, first):
    """Beside a claim it never does, beside none it always does, however near to one an end lies."""
    none = size_of(pair(ratio=0.9, ratio_low=min(end, 0.8), ratio_high=max(end, 1.0)), first)
    other = size_of(pair(ratio=1.1, ratio_low=min(end, 1.0), ratio_high=max(end, 1.2)), first)
    assert holds(none.words, 1.0)
    assert holds(other.words, 1.0)
    if end <= 1:
        claim = size_of(pair("faster", ratio=0.5, ratio_low=0.4, ratio_high=end), first)
        assert not holds(claim.words, 1.0)


@pytest.mark.parametrize("end", [0.0, 1e-12, 3e-4, 0.2])
@pytest.mark.parametrize("first", ["a", "b"])
def test_a_printed_difference_shows_whether_its_interval_holds_zero(end, first):
    claim = size_of(pair("better", difference=0.5, ratio_low=end, ratio_high=0.7), first)
    none = size_of(pair(difference=0.5, ratio_low=-end, ratio_high=0.7), first)
    assert not holds(claim.words, 0.0)
    assert holds(none.words, 0.0)


def test_a_pair_read_from_the_other_side_is_the_inverse_or_the_negative():
    ratio = pair("faster", ratio=0.5, ratio_low=0.4, ratio_high=0.8)
    away = size_of(ratio, "b")
    assert (away.value, away.low, away.high) == (2.0, 1.25, 2.5)
    difference = size_of(pair(difference=-0.1, ratio_low=-0.2, ratio_high=0.05), "b")
    assert (difference.value, difference.low, difference.high) == (0.1, -0.05, 0.2)
    assert [word_of(ratio, name) for name in "ab"] == ["faster", "slower"]
    assert turned(ratio, by_order(["b", "a"])).first == "b"
    assert size_of(pair(difference=0.0, ratio_low=0.0, ratio_high=0.0), "b").words == "0 [0, 0]"


def test_numbers_have_the_minus_sign_of_the_axes():
    assert [number(v) for v in (-0.00271, -1234.0, -3.2e-7, 0.0)] == [
        f"{MINUS}0.00271",
        f"{MINUS}1,230",
        f"{MINUS}3.2e-7",
        "0",
    ]


def accurate():
    """A comparison by accuracy, whose differences are large: adamw leads, sgd is far behind."""
    protocol, runs, document = made(METHODS_HERE, target="valid/accuracy>=0.9", studies=2, trials=4)
    protocol.targets["digits-mlp"] = None
    result = document["problems"]["digits-mlp"]
    result |= {"order": ["adamw", "adam", "sgd"], "leader": "adamw"}
    document["protocol"]["target"]["digits-mlp"] = None
    numbers = {("sgd", "adamw"): (0.762, 0.738, 0.781), ("adam", "adamw"): (0.00334, -0.0111, 0.0125)}
    for v in result["verdicts"]:
        size, low, high = numbers.get((v["b"], v["a"]), numbers.get((v["a"], v["b"]), (0.7, 0.6, 0.8)))
        claim = size > 0.1
        ahead = "adamw" if "adamw" in (v["a"], v["b"]) else "adam"
        v |= {"a": ahead, "b": v["a"] if v["b"] == ahead else v["b"], "words": "better" if claim else "not separated"}
        v |= {"ratio": None, "difference": size, "ratio_low": low, "ratio_high": high, "axis": None}
    return protocol, runs, document


def test_a_difference_reads_the_same_in_picture_matrix_table_and_terminal():
    protocol, runs, document = accurate()
    figure = next(f for f in figures(document, protocol, runs) if f.anchor == "p0-pairs")
    rows = spec_of(figure.panels["ratios"])["datasets"]["pairs"]
    drawn = {row["pair"]: row["text"] for row in rows}
    assert drawn[f"adamw {MINUS} sgd"] == "0.762 [0.738, 0.781]"
    assert drawn[f"adamw {MINUS} adam"] == f"0.00334 [{MINUS}0.0111, 0.0125]"
    assert "Right: the first method is ahead, since more is better." in figure.key
    assert "first better \N{RIGHTWARDS ARROW}" in json.dumps(spec_of(figure.panels["ratios"]), ensure_ascii=False)
    text = page(document, protocol, runs)
    table = next(e for e in Page(text).all("table") if e.said.startswith("All pairs in numbers."))
    assert f"adamw {MINUS} sgd: better0.762 [0.738, 0.781]" in table.said
    assert "ratio" not in table.said
    matrix = next(e for e in Page(text).all("table") if e.said.startswith("Each row's method"))
    assert "row minus column (more is better)" in matrix.said
    assert "better0.76" in matrix.said
    out = io.StringIO()
    Console(file=out, width=80).print(terminal(document))
    assert f"adamw {MINUS} method" in out.getvalue()
    assert re.search(r"sgd .* 0\.762 \[0\.738, 0\.781\]\n", out.getvalue())


def test_every_pair_of_the_table_reads_in_the_order_of_the_page(comparison, shown):
    _, _, document = comparison
    order = document["problems"]["digits-mlp"]["order"]
    table = next(e for e in Page(shown).all("table") if e.said.startswith("All pairs in numbers."))
    pairs = [tuple(found) for found in re.findall(r"(\w+) / (\w+):", table.said)]
    assert pairs == [(a, b) for i, a in enumerate(order) for b in order[i + 1 :]]


def test_legends_axis_plots_and_passed_checks_follow_the_order_of_the_page(comparison, shown):
    protocol, runs, document = comparison
    order = document["problems"]["digits-mlp"]["order"]
    drawn = figures(document, protocol, runs)
    for figure in drawn:
        if figure.legend:
            assert list(figure.legend) == [name for name in order if name in figure.legend]
    assert [f.question.partition(":")[0] for f in drawn if "-axes-" in f.anchor] == order
    passed = next(e for e in Page(shown).all("table") if e.said.startswith("Checks that passed."))
    names = [name for name in re.findall(r"\w+", passed.said) if name in order]
    assert list(dict.fromkeys(names)) == order


def test_nothing_is_printed_of_what_is_not_known():
    assert size_of(pair(ratio=1.64)).words == "size not known"
    assert size_of(pair(ratio=0.5, ratio_low=0.4)).brief == "\N{GREATER-THAN OR EQUAL TO} 0.50\N{MULTIPLICATION SIGN}"
    assert math.isnan(size_of(pair()).value)
