"""Each command reads its words, calls one verb with them, and prints what comes back."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from optwise import Steps
from optwise.catalog import load_schedule
from optwise.cli import main
from optwise.core.errors import BadProtocol, RunFailed
from optwise.core.metric import AtMost
from optwise.methods import SGD, AdamW, Constant

DOCUMENT = {"verdict": "a is faster", "file": "score-12345678.json"}


@pytest.fixture
def called(monkeypatch):
    """Verbs that only note what they were called with."""
    calls = SimpleNamespace()

    def stand_in(name, answer):
        def verb(*positional, **named):
            setattr(calls, name, (positional, named))
            return answer

        return verb

    comparison = SimpleNamespace(folder=Path("runs/x"), document=DOCUMENT)
    checked = SimpleNamespace(document={"trials": 3}, text="3 trials")
    target = SimpleNamespace(document={"target": "t"}, sentence="A target.", target=AtMost("valid/loss", 0.25))
    rerun = SimpleNamespace(document={"same": False}, sentence="It differs.", same=False)
    verbs = {
        "comparing.compare": comparison,
        "checking.check": checked,
        "targeting.set_target": target,
        "rescoring.rescore": DOCUMENT,
        "rerunning.rerun": rerun,
        "reporting.write_report": Path("runs/x/report.html"),
        "reporting.export": Path("runs/x/measurements.csv"),
    }
    for name, answer in verbs.items():
        monkeypatch.setattr(f"optwise.verbs.{name}", stand_in(name.partition(".")[2], answer))
    monkeypatch.setattr("optwise.report.terminal", lambda document, page: f"[b]{document['verdict']}[/b]\n{page}")
    return calls


def test_a_flag_that_is_not_given_leaves_the_verb_its_default(called):
    assert main(["compare", "nqm:d=2"]) == 0
    ((problem,), methods), named = called.compare
    assert (problem.reference, methods, sorted(named)) == ("nqm:d=2", None, ["progress"])


def test_flags_reach_the_verb_by_their_own_names(called):
    words = (
        "compare nqm:d=2 rosenbrock:d=2 --methods sgd,adamw:lr=0.1 --studies 2 --trials 3 --seeds 1 --budget 50steps"
    )
    words += " --evaluations 5 --target objective<=0.1 --metric objective --axis steps --level 0.9 --margin 0.1"
    words += " --resamples 10 --batch-size 8 --dtype float64 --device cpu --workers 1 --executor local --seed 7"
    words += " --schedule constant --out here --reveal-test"
    assert main(words.split()) == 0
    (problems, methods), named = called.compare
    assert named.pop("progress") is not None
    assert [p.reference for p in problems] == ["nqm:d=2", "rosenbrock:d=2"]
    assert methods == [SGD(), AdamW(lr=0.1)]
    assert named == {
        "studies": 2,
        "trials": 3,
        "seeds": 1,
        "budget": "50steps",
        "evaluations": 5,
        "target": AtMost("objective", 0.1),
        "metric": "objective",
        "axis": "steps",
        "level": 0.9,
        "margin": 0.1,
        "resamples": 10,
        "batch_size": 8,
        "dtype": "float64",
        "device": "cpu",
        "workers": 1,
        "executor": "local",
        "seed": 7,
        "schedule": Constant(),
        "out": Path("here"),
        "reveal_test": True,
    }


@pytest.mark.parametrize(("typed", "target"), [("none", None), ("default", "default")])
def test_a_target_may_be_left_to_the_problem_or_left_out(called, typed, target):
    main(["compare", "nqm:d=2", "--target", typed])
    assert called.compare[1]["target"] == target


def test_flags_win_over_the_study_file(called, tmp_path):
    path = tmp_path / "study.toml"
    path.write_text(
        'problems = ["nqm:d=2"]\nmethods = ["sgd"]\ntrials = 3\nseeds = 2\nschedule = "constant"\nout = "a"'
    )
    assert main(["compare", str(path), "--trials", "5", "--methods", "adamw"]) == 0
    (problems, methods), named = called.compare
    assert [p.reference for p in problems] == ["nqm:d=2"]
    assert methods == [AdamW()]
    assert (named["trials"], named["seeds"], named["schedule"], named["out"]) == (5, 2, Constant(), "a")


def test_compare_ends_with_the_verdict_its_time_and_the_path_of_the_page(called, capsys):
    assert main(["compare", "nqm:d=2"]) == 0
    verdict, page, took = capsys.readouterr().out.splitlines()
    assert verdict == "[b]a is faster[/b]"  # what a user named is never markup
    assert took.startswith("Took ")
    assert page == str(Path("runs/x/report.html"))


def test_json_leaves_one_document_on_stdout_whatever_a_users_file_prints(called, capfd, tmp_path):
    own = tmp_path / "noisy.py"
    own.write_text(
        "import os\nfrom optwise.problems import nqm\nprint('hello')\nos.write(1, b'low')\nproblem = nqm(d=2)"
    )
    assert main(["compare", f"{own}:problem", "--json"]) == 0
    out, err = capfd.readouterr()
    assert json.loads(out) == DOCUMENT
    assert "hello" in err
    assert "low" in err
    assert "report.html" in err


@pytest.mark.parametrize("words", [["check", "nqm:d=2"], ["compare", "nqm:d=2", "--dry-run", "--out", "x"]])
def test_check_and_a_dry_run_print_what_would_be_done_and_compare_nothing(called, capsys, words):
    assert main([*words, "--seeds", "2"]) == 0
    assert capsys.readouterr().out == "3 trials\n"
    assert called.check[1] == {"seeds": 2}
    assert not hasattr(called, "compare")
    assert main([*words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"trials": 3}


def test_target_prints_its_sentence_and_the_target_itself_last(called, capsys):
    assert main(["target", "nqm:d=2", "--methods", "sgd", "--reruns", "3", "--budget", "20steps"]) == 0
    assert capsys.readouterr().out == "A target.\nvalid/loss<=0.25\n"
    (problem, methods), named = called.set_target
    assert (problem.reference, methods, named["reruns"], named["budget"]) == ("nqm:d=2", [SGD()], 3, "20steps")


def test_score_hands_on_only_what_is_asked_differently(called, capsys):
    assert main(["score", "runs/x", "--target", "valid/loss<=0.2", "--budget", "10"]) == 0
    assert called.rescore == ((Path("runs/x"),), {"target": AtMost("valid/loss", 0.2), "budget": Steps(10)})
    assert capsys.readouterr().out.splitlines()[-1] == str(Path("runs/x/score-12345678.json"))
    assert main(["score", "runs/x", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == DOCUMENT


def test_a_rerun_that_does_not_repeat_its_record_is_exit_code_3(called, capsys):
    assert main(["rerun", "runs/x", "p/m/0/1"]) == 3
    assert called.rerun[0] == (Path("runs/x"), "p/m/0/1")
    assert called.rerun[1]["load_method"](AdamW(lr=0.1).describe()) == AdamW(lr=0.1)
    assert capsys.readouterr().out == "It differs.\n"


def test_report_and_export_print_where_they_wrote(called, capsys):
    assert main(["report", "runs/x", "--out", "a.html"]) == 0
    assert main(["export", "runs/x", "--to", "csv"]) == 0
    assert capsys.readouterr().out.split() == [str(Path("runs/x/report.html")), str(Path("runs/x/measurements.csv"))]
    assert called.write_report[0] == (Path("runs/x"), Path("a.html"))
    assert called.export[0] == (Path("runs/x"), "csv", None)


@pytest.mark.parametrize("kind", ["problems", "methods"])
def test_list_names_what_may_be_typed(capsys, kind):
    from optwise.methods import METHODS
    from optwise.problems import PROBLEMS

    names = {"problems": PROBLEMS, "methods": METHODS}[kind]
    assert main(["list", kind]) == 0
    assert {line.split()[0] for line in capsys.readouterr().out.splitlines() if line.strip()} >= set(names)
    assert main(["list", kind, "--json"]) == 0
    assert set(json.loads(capsys.readouterr().out)[kind]) == set(names)


@pytest.mark.parametrize(("error", "code"), [(BadProtocol("It\n  cannot be."), 2), (RunFailed("It failed."), 3)])
def test_an_error_of_ours_is_one_line_and_its_own_exit_code(monkeypatch, capsys, error, code):
    def raises(*_, **__):
        raise error

    monkeypatch.setattr("optwise.verbs.comparing.compare", raises)
    assert main(["compare", "nqm:d=2"]) == code
    assert capsys.readouterr().err == f"optwise: {' '.join(str(error).split())}\n"


def test_an_interruption_is_exit_code_130_and_says_how_to_resume(monkeypatch, capsys):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("optwise.verbs.comparing.compare", interrupted)
    assert main(["compare", "nqm:d=2"]) == 130
    assert capsys.readouterr().err == (
        "optwise: interrupted; everything committed is kept, and the same command resumes.\n"
    )


@pytest.mark.parametrize("words", [["--help"], ["list", "problems"]])
def test_a_reader_that_leaves_a_pipe_is_no_failure(words):
    read, write = os.pipe()
    os.close(read)  # nobody will ever read
    ended = subprocess.run(
        [sys.executable, "-m", "optwise", *words], stdout=write, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(write)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_the_defaults_that_help_prints_are_those_of_the_verbs():
    from optwise.catalog import load_problem
    from optwise.cli import options, targeting
    from optwise.verbs import targeting as verb
    from optwise.verbs.asking import ask

    protocol = ask(load_problem("nqm:d=2")).protocol
    for name in (
        "studies",
        "trials",
        "seeds",
        "evaluations",
        "resamples",
        "axis",
        "dtype",
        "device",
        "level",
        "margin",
    ):
        assert getattr(options, name.upper()) == getattr(protocol, name)
    assert (
        protocol.seed,
        str(protocol.budget),
        ",".join(protocol.methods),
    ) == (options.SEED, options.BUDGET, options.METHODS)
    assert {m.schedule for m in protocol.methods.values()} == {load_schedule(options.SCHEDULE)}
    assert (
        ",".join(verb.REFERENCES),
        verb.REFERENCE_STUDIES,
        verb.REFERENCE_TRIALS,
        verb.REFERENCE_RERUNS,
        verb.REFERENCE_BUDGET,
    ) == (targeting.METHODS, targeting.STUDIES, targeting.TRIALS, targeting.RERUNS, targeting.BUDGET)
