"""How nouns show themselves: short whatever they hold, and harmless in a notebook."""

import html.parser

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import optwise as ow
from optwise.core.method import Recorded
from optwise.core.showing import LONGEST, ROWS, Card, Shown, Terse, brief, one_line
from optwise.methods import METHODS, SCHEDULES
from optwise.methods.solvers import SOLVERS

WORDS = st.text(max_size=300)


@settings(deadline=None)
@given(WORDS, st.integers(3, 100))
def test_one_line_is_one_printable_line_and_never_longer_than_asked(text, most):
    line = one_line(text, most)
    assert len(line) <= most
    assert line == "" or line.isprintable()
    assert one_line(line, most) == line


@settings(deadline=None, max_examples=50)
@given(st.lists(WORDS, max_size=40), st.lists(st.tuples(WORDS, WORDS), max_size=40))
def test_a_card_stays_small_and_is_only_text_whatever_stands_on_it(lines, rows):
    card = Card(tuple(lines), whole(lines), whole(lines), ("a", "b"), tuple(rows), tuple(lines), tuple(lines))
    assert len(card.text) <= LONGEST
    assert len(card.text.splitlines()) <= max(len(lines), 1)
    assert set(tags(card.html)) <= {"div", "b", "table", "thead", "tbody", "tr", "th", "td", "small", "code"}
    assert tags(card.html).count("tr") <= ROWS + 2


def whole(lines):
    return " ".join(lines)


def tags(text):
    """Names of the elements of an HTML text that is well-formed, in order; it must fetch nothing and run nothing."""
    opened, seen = [], []

    class Reader(html.parser.HTMLParser):
        def handle_starttag(self, tag, attributes):
            assert {name for name, _ in attributes} <= {"style", "colspan"}
            assert all("url" not in value for _, value in attributes)
            opened.append(tag)
            seen.append(tag)

        def handle_endtag(self, tag):
            assert opened.pop() == tag

    Reader().feed(text)
    assert opened == []
    return seen


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (torch.zeros(200, 50), "Tensor[200, 50]"),
        (np.zeros(3), "ndarray[3]"),
        (torch.tensor(0.5, dtype=torch.float64), "0.5"),
        (torch.zeros(3, device="meta"), "Tensor[3]"),
        (torch.zeros(1, device="meta"), "Tensor[1]"),
        (torch.nn.functional.relu, "relu"),
        (torch.optim.SGD, "SGD"),
        (tuple(range(1000)), "(0, 1, 2, 3, 4, 5, ...)"),
        ((1,), "(1,)"),
        ({"lr": 0.1, "betas": (0.9, 0.999)}, "{'lr': 0.1, 'betas': (0.9, 0.999)}"),
        (np.float64(0.25), "0.25"),
        (True, "True"),
        (None, "None"),
        (1e-8, "1e-08"),
    ],
)
def test_a_value_is_told_in_brief(value, said):
    assert brief(value) == said


def test_an_object_whose_own_repr_fails_or_floods_is_told_all_the_same():
    class Broken:
        def __repr__(self):
            raise RuntimeError("no")

    class Flood:
        def __repr__(self):
            return "x\n" * 10**6

    assert "Broken" in brief(Broken())
    assert len(brief(Flood())) <= 80
    deep = []
    deep += [deep, deep]
    assert len(brief(deep)) <= 80


def test_a_dataclass_made_from_a_terse_noun_keeps_the_short_repr_unless_it_writes_its_own():
    from dataclasses import dataclass

    @dataclass(frozen=True, eq=False)
    class Mine(ow.Penalty):
        table: torch.Tensor

    @dataclass(frozen=True, eq=False)
    class Own(ow.Penalty):
        table: torch.Tensor

        def __repr__(self):
            return "my own"

    Mine.__abstractmethods__ = Own.__abstractmethods__ = frozenset()
    assert repr(Mine(torch.zeros(40, 40))) == "Mine(table=Tensor[40, 40])"
    assert repr(Own(torch.zeros(40, 40))) == "my own"


@pytest.mark.parametrize("name", [*METHODS, *SOLVERS])
def test_the_repr_of_a_method_is_the_call_that_makes_it(name):
    method = {**METHODS, **SOLVERS}[name]()
    known = {cls.__name__: cls for cls in [*METHODS.values(), *SOLVERS.values()]}
    known |= {cls.__name__: cls for cls in SCHEDULES.values()}
    known |= {cls.__name__: cls for cls in (ow.LogUniform, ow.OneMinus, ow.IntUniform, ow.Uniform, ow.Choice)}
    assert eval(repr(method), known) == method
    assert set(tags(method._repr_html_())) >= {"table", "td"} or not {**method.space.fields, **method.values()}


@pytest.mark.parametrize("name", METHODS)
def test_a_recorded_method_tells_the_values_the_method_itself_had(name):
    method = METHODS[name](schedule=ow.WarmupCosine(warmup=0.1))
    closed = method.close(method.space.point((0.5,) * method.space.dimensions))
    record = Recorded(name=name, description=closed.describe())
    assert record.values() == closed.values()
    assert all(f"{path}" in record._repr_html_() for path in closed.values())
    assert repr(record).startswith(f"<{type(closed).__name__} as recorded: ")


LIGHT = {"Certificate", "Status", "Direction", "Budget", "Iterate"}
"""Names of the public face whose own repr is short by what they hold: a few numbers and words."""


def test_every_public_class_shows_itself_briefly():
    for name in ow.__all__:
        public = getattr(ow, name)
        if isinstance(public, type) and not issubclass(public, BaseException) and name not in LIGHT:
            assert issubclass(public, Terse), name
    for results in (ow.Problem, ow.Run, ow.Data, ow.Split, ow.Forecast, ow.Method, ow.Finding):
        assert issubclass(results, Shown)
