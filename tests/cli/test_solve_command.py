"""`optwise solve` and `optwise explain`: what they print, what they save, and how they end."""

import json

import numpy as np
import pytest

from optwise.cli import main

MINE = """
import optwise as ow
import torch

sparse = ow.problems.lasso([[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 0]], [3, 0, 1, 0], 0.1)
words = ow.problems.logistic([[1.0], [2.0], [-1.0], [0.5]], ["spam", "spam", "ham", "ham"], l2=0.1)
classes = ow.problems.softmax([[1.0], [2.0], [-1.0], [0.5]], [7, 8, 9, 7], l2=0.1)
both = ow.problems.lasso([[1.0], [2.0]], [1.0, 2.0], 0.1, penalty=ow.penalties.L0(0.1))

def bowl(w):
    return w.square().sum()

flat = ow.problems.smooth(lambda w: torch.exp(-w).sum(), [0.0])
down = ow.problems.smooth(lambda w: w.sum(), [0.0, 0.0])

def raises():
    def f(w):
        if float(w.detach().norm()) > 2:
            raise RuntimeError("no further")
        return (w - 3).square().sum()
    return ow.problems.smooth(f, [0.0, 0.0])
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text(MINE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_certified_answer_ends_with_0_and_one_json_document(capsys, folder):
    assert main(["solve", "ridge:n=50,p=5", "--json", "--save", "w.npz"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["certified"] is True
    assert document["status"] == "optimal, certified"
    assert set(document["certificate"]) == {"kind", "name", "value", "scale"}
    assert document["trace"]["iteration"][0] == 0
    with np.load(folder / "w.npz", allow_pickle=False) as saved:
        assert saved["w"].shape == (5,)


def test_the_document_has_the_weights_what_is_not_0_and_which_label_is_which(capsys):
    def solved(name):
        assert main(["solve", f"mine.py:{name}", "--json"]) == 0
        return json.loads(capsys.readouterr().out)

    document = solved("sparse")
    assert len(document["w"]) == 3
    assert document["nonzeros"] == sum(each != 0 for each in document["w"]) == 2
    assert document["message"].startswith(document["status"])
    assert document["evaluations"] == document["counts"]["evaluations"]
    assert document["why"].startswith(document["method"])
    assert solved("words")["classes"] == ["ham", "spam"]
    document = solved("classes")
    assert document["classes"] == [7, 8, 9]
    assert np.shape(document["w"]) == (1, 3)


def test_the_terminal_shows_the_weights_within_80_columns(capsys):
    assert main(["solve", "mine.py:sparse"]) == 0
    said = capsys.readouterr().out
    assert "\nnot 0: 2 of 3: w[0] = " in said
    assert "evaluation" in said
    assert main(["solve", "mine.py:words"]) == 0
    assert "labels: 'ham' is -1, 'spam' is 1" in capsys.readouterr().out
    assert main(["solve", "lasso:n=40,p=60"]) == 0
    said = capsys.readouterr().out
    assert "... (60" in said, "of many numbers the first few, their number and their extent"
    assert max(map(len, said.splitlines())) <= 80


def test_explain_begins_with_the_reason_that_matters_where_no_method_fits(capsys):
    assert main(["explain", "mine.py:both"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[1].startswith("No method can solve lasso, which has L1 and L0 at once: admm comes nearest and lacks")
    assert main(["explain", "mine.py:both", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["nearest"] == said[1]
    assert main(["solve", "mine.py:both"]) == 2
    assert said[1] in capsys.readouterr().err


def test_the_terminal_says_status_value_certificate_and_why(capsys):
    assert main(["solve", "lasso:n=40,p=60", "--tol", "1e-8", "--method", "fista"]) == 0
    said = capsys.readouterr().out
    assert "optimal, certified" in said
    assert "duality gap" in said
    assert "fista was asked for" in said


def test_what_was_not_proved_ends_with_3_and_still_prints_the_answer(capsys):
    words = [
        "solve",
        "lasso:n=200,p=400,ratio=0.01",
        "--method",
        "proximal-gradient",
        "--max-seconds",
        "1e-6",
        "--json",
    ]
    assert main(words) == 3
    document = json.loads(capsys.readouterr().out)
    assert document["certified"] is False
    assert document["status"] == "budget spent"
    assert document["value"] is not None


def test_an_unbounded_problem_ends_with_3_and_its_certificate(capsys):
    assert main(["solve", "mine.py:down", "--json", "--method", "armijo-descent"]) == 3
    document = json.loads(capsys.readouterr().out)
    assert document["certificate"]["kind"] == "unboundedness"


def test_a_function_that_raises_on_the_way_is_a_status(capsys):
    assert main(["solve", "mine.py:raises", "--json", "--method", "armijo-descent"]) == 3
    captured = capsys.readouterr()
    assert json.loads(captured.out)["status"] == "crashed"
    assert "no further" in captured.err


def test_explain_lists_costs_and_reasons(capsys):
    assert main(["explain", "lasso:n=40,p=60", "--json"]) == 0
    methods = {entry["method"]: entry for entry in json.loads(capsys.readouterr().out)["methods"]}
    assert methods["proximal-newton"]["predicted_seconds"] > 0
    assert methods["cholesky"]["predicted_seconds"] is None
    assert "L1" in methods["cholesky"]["reason"]
    assert main(["explain", "ridge:n=40,p=6"]) == 0
    said = capsys.readouterr().out
    assert "operations" in said
    assert "kappa(X)^2 is at least" in said


def test_solvers_are_listed_with_what_they_need(capsys):
    assert main(["list", "solvers", "--json"]) == 0
    solvers = json.loads(capsys.readouterr().out)["solvers"]
    assert solvers["lbfgs"]["parameters"]["history_size"] == 10
    assert "bounds" in solvers["lbfgsb"]["needs"]
    assert main(["list", "solvers"]) == 0
    assert "fista" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("solve lassso", "Unknown problem 'lassso'. Did you mean 'lasso'"),
        ("solve mine.py:bowl", "or name what ow.problems.smooth(f, w0) makes of what is minimised"),
        ("solve lasso --method fsita", "Unknown method 'fsita'. Did you mean 'fista'"),
        ("solve lasso --method sgd:lr=0.1", "sgd is no solver"),
        ("solve lasso --method lbfgs", "would ignore it"),
        ("solve lasso --method lbfgs:history=3", "Did you mean 'history_size'"),
        ("solve lasso --tol 0", "tol is 0"),
        ("solve lasso --tol 1e-20", "cannot be certified below"),
        ("solve lasso --max-seconds 0", "max_seconds is 0"),
        ("solve lasso --save nowhere/w.npz", "There is no folder"),
        ("explain nqm:d=0", "has no parameters"),
        ("compare lasso --methods fista --trials 3", "trials does not belong here"),
        ("compare lasso --methods lbfgs", "would ignore it"),
        ("compare rosenbrock --methods sgd:lr=0.1 --tol 1e-3", "tol belongs to comparisons of solvers"),
    ],
)
def test_a_mistake_gets_one_sentence_and_exit_code_2(words, said, capsys, folder):
    assert main(words.split()) == 2
    captured = capsys.readouterr()
    assert said in captured.err
    assert captured.err.count("\n") == 1
    assert captured.out == ""
    assert not (folder / "runs").exists()


def test_solvers_are_compared_from_the_command_line(capsys, folder):
    words = "compare ridge:n=50,p=5 --methods cholesky,lsqr --repeats 2 --out race --json"
    assert main(words.split()) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["kind"] == "solvers"
    assert (folder / "race" / "report.html").exists()
    assert main(["report", "race", "--out", "again.html"]) == 0
    assert main(["rerun", "race", "ridge:n=50,p=5/lsqr/0/c1"]) == 0
    assert main(["score", "race"]) == 2
    assert main(["compare", "ridge:n=50,p=5", "--methods", "cholesky,lsqr", "--dry-run"]) == 0
