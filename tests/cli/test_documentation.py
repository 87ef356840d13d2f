"""Every command has help, an example that can be typed, and a line in the docs."""

import re
import shlex
from pathlib import Path

import pytest

from optwise.catalog import load_study
from optwise.catalog.studies import _KEYS
from optwise.cli import main
from optwise.cli.application import app
from optwise.verbs.asking import Settings

PAGE = (Path(__file__).parents[2] / "docs" / "command-line.md").read_text(encoding="utf-8")
COMMANDS = [command.name for command in app.registered_commands]


def help_of(command, capsys):
    assert main([command, "--help"]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_an_example_and_a_line_in_the_docs(command, capsys):
    text = help_of(command, capsys)
    (example,) = re.findall(r"Example: (optwise .*)", text)
    (row,) = [line for line in PAGE.splitlines() if line.startswith(f"| `optwise {command}` |")]
    documented = row.split("|")[3].strip().strip("`")
    for typed in (example, documented):
        words = shlex.split(typed)
        assert words[:2] == ["optwise", command]
        assert all(word in text for word in words if word.startswith("--"))


def test_the_docs_name_no_command_that_is_not_there():
    assert set(re.findall(r"^\| `optwise (\w+)` \|", PAGE, re.MULTILINE)) == set(COMMANDS)


def test_the_study_file_of_the_docs_can_be_read(tmp_path):
    (block,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    path = tmp_path / "study.toml"
    path.write_text(block, encoding="utf-8")
    assert [method.label for method in load_study(path)["methods"]] == ["sgd", "adamw-flat", "ema-momentum", "radam"]


def test_the_keys_of_a_study_file_are_what_compare_takes_and_its_flags(capsys):
    assert set(_KEYS) == set(Settings.__annotations__) | {"problems", "methods", "out", "reveal_test"}
    text = help_of("compare", capsys)
    for key in set(_KEYS) - {"problems", "scientific"}:
        assert f"--{key.replace('_', '-')} " in text


def test_every_way_to_name_a_method_in_the_docs_can_be_read():
    from optwise.catalog import load_method

    table = PAGE.partition("| You type |")[2].partition("\n\n")[0]
    typed = re.findall(r"^\| `([^`]+)` \|", table, re.MULTILINE)
    assert len(typed) == 13
    assert all(load_method(text) is not None for text in typed)
