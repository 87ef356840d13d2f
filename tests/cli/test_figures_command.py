"""`optwise figures`: what it prints, what it writes, what it refuses."""

import json

import pytest

from optwise.cli import main
from optwise.cli.figuring import FOLDER
from optwise.verbs import figuring
from optwise.verbs.lessons.declared import Zigzag
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
    assert set(files) == {"html", "png", "svg", "csv", "parameters", "command"}
    assert files["parameters"]["batch-size"] == "1000"
    assert files["command"] == f"optwise figures {CHEAP}"


@pytest.mark.parametrize("words", [["sgd-nose-floor"], [CHEAP, "sgd-nose-floor"], ["--list", "sgd-nose-floor"]])
def test_an_unknown_name_is_the_callers_mistake(words, capsys, tmp_path):
    assert main(["figures", *words, "--out", str(tmp_path / "out")]) == 2
    assert "Unknown figure 'sgd-nose-floor'. Did you mean 'sgd-noise-floor'" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_help_beside_a_figure_names_its_parameters_with_defaults(capsys):
    assert main(["figures", "zigzag", "--help"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "Parameters of zigzag:" in text
    for option, (_, default) in Zigzag.domains().items():
        assert f"--{option} " in text
        assert f"[default: {default}]" in text
    assert main(["figures", "2.3", "--help"]) == 0
    assert "--marks" in capsys.readouterr().out
    assert main(["figures", "--help"]) == 0
    assert "Parameters of" not in capsys.readouterr().out


def test_figures_have_a_list_with_their_parameters_and_numbers(capsys):
    assert main(["list", "figures", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)["figures"]
    assert list(said) == list(LESSONS)
    assert said["zigzag"]["parameters"] == Zigzag().texts()
    assert said["zigzag"]["number"] == "2.6"
    assert "number" not in said["nqm-risk"]


@pytest.mark.parametrize(
    "words",
    [
        ["zigzag", "--kappa", "20", "--steps", "4"],
        ["--steps=4", "2.6", "--kappa=20"],
        ["2.6", "--kappa", "20", "--steps=4"],
    ],
)
def test_parameters_are_options_wherever_they_stand(words, capsys, tmp_path):
    assert main(["figures", *words, "--out", str(tmp_path), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)["figures"]["zigzag"]
    assert said["parameters"] == {"kappa": "20", "lr": "0.1,1.8", "steps": "4", "start": "0,2"}
    assert said["command"] == "optwise figures zigzag --kappa 20 --steps 4"
    assert said["svg"] == str(tmp_path / "zigzag--kappa-20--steps-4.svg")


def test_negative_values_are_values(capsys, tmp_path):
    words = ["figures", "zigzag", "--start", "-1,2", "--steps", "2", "--out", str(tmp_path), "--json"]
    assert main(words) == 0
    assert json.loads(capsys.readouterr().out)["figures"]["zigzag"]["parameters"]["start"] == "-1,2"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["zigzag", "--kappa", "0.5"],
            "zigzag: --kappa is 0.5; give 1 to 3 rising numbers from 1 to 1e+06, as in 2,50.",
        ),
        (["zigzag", "--kappa"], "--kappa has no value; give one"),
        (["zigzag", "--kappa", "2", "--kappa", "3"], "--kappa is given twice"),
        (["zigzag", "--frob", "2"], "Unknown parameter of zigzag 'frob'"),
        (["--kappa", "2"], "Unknown parameter of best-linear-approximation 'kappa'"),
        (["2.9"], "Unknown number of a figure '2.9'. Known: 2.1 (best-linear-approximation)"),
        (["best-linear-approximation", "--f", "abs"], "|x| is not differentiable at 0"),
    ],
)
def test_what_no_figure_can_be_drawn_with_is_the_callers_mistake(words, said, capsys, tmp_path):
    assert main(["figures", *words, "--out", str(tmp_path / "out")]) == 2
    assert said in capsys.readouterr().err
    assert not list(tmp_path.rglob("*.svg"))


def test_a_folder_that_is_a_file_is_the_callers_mistake(capsys, tmp_path):
    (tmp_path / "taken").write_text("")
    assert main(["figures", CHEAP, "--out", str(tmp_path / "taken")]) == 2
    assert "choose another one" in capsys.readouterr().err


def test_the_default_folder_that_help_prints_is_the_verbs_own():
    assert str(figuring.FOLDER) == FOLDER
