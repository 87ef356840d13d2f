"""The package hands out its names lazily, and types, runs and lists the same ones."""

import ast
from pathlib import Path

import pytest

import optwise


@pytest.mark.parametrize("name", optwise.__all__)
def test_every_name_of_the_package_is_there(name):
    assert getattr(optwise, name) is not None
    assert name in dir(optwise)


def test_what_a_type_checker_sees_is_what_the_package_hands_out():
    tree = ast.parse(Path(optwise.__file__).read_text(encoding="utf-8"))
    (checked,) = [node for node in tree.body if isinstance(node, ast.If)]
    imported = {alias.name for node in checked.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert imported | {"__version__"} == set(optwise.__all__)


def test_a_name_that_is_not_there_is_an_attribute_error_as_anywhere():
    with pytest.raises(AttributeError, match="no attribute 'AdamV'"):
        _ = optwise.AdamV
