"""The tables of penalties, sets and constructors in the docs are the public ones, with their arguments in order."""

import inspect
import re
from dataclasses import MISSING, fields
from pathlib import Path

import pytest

import optwise as ow
from optwise.problems import formulations

PAGE = (Path(__file__).parents[2] / "docs" / "solve.md").read_text(encoding="utf-8")


def table(head):
    """``{name: arguments}`` of the calls in the first column of the table that starts with ``head``."""
    rows = PAGE.partition(f"| {head} |")[2].partition("\n\n")[0].splitlines()[2:]
    calls = [re.match(r"\| `(\w+)\(([^`]*)\)` \| (.+) \|$", row) for row in rows]
    assert all(calls), [row for row, call in zip(rows, calls, strict=True) if not call]
    assert all(call[3].strip() for call in calls), "each has a line that says what it is"
    return {call[1]: [word.strip() for word in call[2].split(",") if word.strip()] for call in calls}


@pytest.mark.parametrize(("room", "head"), [(ow.penalties, "Penalty of `ow.penalties`"), (ow.sets, "Set of `ow.sets`")])
def test_every_penalty_and_set_has_its_line_with_its_arguments_in_order(room, head):
    found = table(head)
    assert set(found) == set(room.__all__)
    for name, arguments in found.items():
        own = [f for f in fields(getattr(room, name)) if f.init and f.name not in ("dtype", "device")]
        assert [word.partition("=")[0] for word in arguments] == [f.name for f in own], name
        for word, field in zip(arguments, own, strict=True):
            given = word.partition("=")[2]
            if given:
                assert field.default is not MISSING
                assert str(field.default).removesuffix(".0") == given, name


def test_every_constructor_has_its_line():
    assert set(table("Constructor")) == set(formulations.__all__) - {"FORMULATIONS"}
    for name, arguments in table("Constructor").items():
        parameters = inspect.signature(getattr(ow.problems, name)).parameters
        assert {word.partition("=")[0] for word in arguments} <= set(parameters)


def test_penalties_take_their_weight_first():
    for name in ow.penalties.__all__:
        first = fields(getattr(ow.penalties, name))[0].name
        assert first in ("weight", "weights", "scale", "level", "l1"), name
