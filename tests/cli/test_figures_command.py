"""`optwise figures`: what it prints, what it writes, what it refuses."""

import json

import pytest

from optwise.cli import main
from optwise.cli.figuring import FOLDER
from optwise.verbs import figuring
from optwise.verbs.lessons.gallery import LESSONS

CHEAP = "sgd-equal-samples"


def test_the_list_names_every_figure_and_draws_none(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["figures", "--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(LESSONS)
    assert main(["figures", "--list", "--json", CHEAP]) == 0
    assert list(json.loads(capsys.readouterr().out)["figures"]) == [CHEAP]
    assert list(tmp_path.iterdir()) == []


def test_a_figure_is_written_and_its_paths_are_printed(capsys, tmp_path):
    assert main(["figures", CHEAP, "--out", str(tmp_path)]) == 0
    said = capsys.readouterr()
    assert said.out.splitlines() == [str(tmp_path / f"{CHEAP}.{suffix}") for suffix in ("html", "png", "svg", "csv")]
    assert CHEAP in said.err


def test_json_is_one_document_of_paths(capsys, tmp_path):
    assert main(["figures", CHEAP, "--out", str(tmp_path), "--json"]) == 0
    files = json.loads(capsys.readouterr().out)["figures"][CHEAP]
    assert files["svg"] == str(tmp_path / f"{CHEAP}.svg")
    assert set(files) == {"html", "png", "svg", "csv"}


@pytest.mark.parametrize("words", [["sgd-nose-floor"], [CHEAP, "sgd-nose-floor"], ["--list", "sgd-nose-floor"]])
def test_an_unknown_name_is_the_callers_mistake(words, capsys, tmp_path):
    assert main(["figures", *words, "--out", str(tmp_path / "out")]) == 2
    assert "Unknown figure 'sgd-nose-floor'. Did you mean 'sgd-noise-floor'" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_folder_that_is_a_file_is_the_callers_mistake(capsys, tmp_path):
    (tmp_path / "taken").write_text("")
    assert main(["figures", CHEAP, "--out", str(tmp_path / "taken")]) == 2
    assert "choose another one" in capsys.readouterr().err


def test_the_default_folder_that_help_prints_is_the_verbs_own():
    assert str(figuring.FOLDER) == FOLDER
