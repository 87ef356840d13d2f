"""In Python a name stands where an object does, and means what it means on the command line."""

import inspect
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import torch
from torch import nn

import optwise as ow
from optwise.catalog import load_method, load_problem
from optwise.cli import main
from optwise.core.errors import BadMethod, BadProblem, BadProtocol, NotLoadable, UnknownName

MINE = """
import torch
import optwise as ow

problem = ow.problems.nqm(d=3)

def make(width: int = 2):
    return ow.problems.nqm(d=width)

class Sign(torch.optim.SGD):
    pass

method = ow.SGD(lr=0.5, name="half")
"""


@pytest.fixture
def mine(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(MINE)


@pytest.fixture
def called(monkeypatch):
    """Verbs that only note what they were called with, whether from Python or from the command line."""
    calls = []

    def stand_in(*positional, **named):
        calls.append((positional, named))
        return SimpleNamespace(document={}, text="", folder=Path(), sentence="", target="")

    assert ow.compare.__doc__  # the public face takes the verbs' words, so it is loaded before they are replaced
    for name in ("comparing.compare", "checking.check", "targeting.set_target"):
        monkeypatch.setattr(f"optwise.verbs.{name}", stand_in)
    return calls


def described(call):
    """A call of a verb as plain values: what each problem and method is, and what else was said."""
    (problems, methods), named = call
    told = {name: value for name, value in named.items() if name not in ("progress", "reruns")}
    problems = problems if isinstance(problems, list) else [problems]
    return [p.reference for p in problems], methods and [(m.label, m.describe()) for m in methods], told


SAID = [  # problems, methods in Python, methods on the command line, settings of both
    (["nqm:d=3"], None, None, {}),
    (["nqm:d=3", "digits-softmax"], ["adamw", "sgd:lr=0.1"], "adamw,sgd:lr=0.1", {}),
    (["nqm:d=3"], "adamw:lr=1e-3,eps=1e-6,sgd", "adamw:lr=1e-3,eps=1e-6,sgd", {}),
    (["mine.py:problem"], "mine.py:Sign", "mine.py:Sign", {}),
    (["mine.py:make:width=4"], ["mine.py:method"], "mine.py:method", {}),
    (
        ["nqm:d=3"],
        "ema:of=momentum,lr=0.1,decay=0.9",
        "ema:of=momentum,lr=0.1,decay=0.9",
        {"studies": 4, "budget": "20steps", "target": "objective<=0.1", "schedule": "warmup-cosine:warmup=0.2"},
    ),
    (["nqm:d=3"], "sgd", "sgd", {"target": "none"}),
]


@pytest.mark.parametrize("verb", ["check", "compare", "target"])
@pytest.mark.parametrize("said", SAID, ids=[f"{problems} {words}" for problems, _, words, _ in SAID])
def test_names_mean_in_python_what_they_mean_on_the_command_line(called, mine, verb, said):
    problems, methods, typed_methods, settings = said
    if verb == "target":  # it belongs to one problem, and is what the others are told
        problems, settings = problems[:1], {n: v for n, v in settings.items() if n not in ("target", "studies")}
    words = [part for name, value in settings.items() for part in (f"--{name}", str(value))]
    words += [] if typed_methods is None else ["--methods", typed_methods]
    assert main([verb, *problems, *words, "--json"]) == 0
    python = {"check": ow.check, "compare": ow.compare, "target": ow.set_target}[verb]
    python(problems if len(problems) > 1 else problems[0], methods, **settings)
    typed, spoken = called
    assert described(spoken) == described(typed)


def test_objects_go_through_beside_names_and_one_alone_needs_no_list(called):
    problem, method = ow.problems.nqm(d=2), ow.SGD(lr=0.1)
    ow.compare([problem, "nqm:d=3"], [method, "adamw", torch.optim.RAdam, ow.Adam])
    ow.compare(problem, method)
    ow.compare(problem, ow.Adam)
    ow.compare(problem, torch.optim.RAdam)
    ow.compare(problem, (m for m in [method, "sgd"]))
    ((problems, methods), _), *singles = called
    assert problems[0] is problem
    assert problems[1].reference == "nqm:d=3"
    assert methods[0] is method
    assert methods[1:] == [load_method("adamw"), torch.optim.RAdam, ow.Adam]
    asked = [[method], [ow.Adam], [torch.optim.RAdam], [method, load_method("sgd")]]
    assert [positional for positional, _ in singles] == [([problem], each) for each in asked]


def test_a_study_file_stands_where_problems_do_and_what_is_said_beside_it_wins(called, tmp_path):
    file = tmp_path / "study.toml"
    file.write_text('problems = ["nqm:d=3"]\nmethods = ["sgd", "adamw"]\nstudies = 3\ntrials = 5\nreveal-test = true\n')
    ow.compare(file, studies=7)
    ow.compare(str(file), "adam")
    ow.check(file)
    (first, named), (second, _), (_, checked) = called
    assert [p.reference for p in first[0]] == ["nqm:d=3"]
    assert [m.label for m in first[1]] == ["sgd", "adamw"]
    assert (named["studies"], named["trials"], named["reveal_test"]) == (7, 5, True)
    assert [m.label for m in second[1]] == ["adam"]
    assert "reveal_test" not in checked
    with pytest.raises(BadProtocol, match="A study file stands alone"):
        ow.compare([str(file), "nqm"])


def test_solving_explaining_and_predicting_take_names():
    named = ow.solve("lasso:n=50,p=20")
    built = ow.solve(load_problem("lasso:n=50,p=20"))
    assert named.status is built.status
    assert torch.equal(named.w, built.w)
    fista = ow.methods.solvers.FISTA
    runs = [ow.solve("lasso:n=50,p=20", method) for method in ("fista", "fista:restart=true", fista, fista())]
    assert len({run.value for run in runs}) == 1
    assert [c.method for c in ow.explain("lasso:n=50,p=20").choices] == [
        c.method for c in ow.explain(load_problem("lasso:n=50,p=20")).choices
    ]
    run = ow.predict("nqm:d=100", "momentum:lr=0.1,momentum=0.9", 20)
    assert run.risk.tolist() == ow.predict(ow.problems.nqm(d=100), ow.Momentum(lr=0.1, momentum=0.9), 20).risk.tolist()


def bowl(w):
    return w.square().sum()


def cvxpy_like():
    """An object of a class that cvxpy could have; the package itself need not be there."""
    return type("Minimize", (), {"__module__": "cvxpy.problems.objective"})()


REFUSED = [
    ("a misspelt problem", lambda: ow.compare("digits-mpl", "sgd"), UnknownName, "Did you mean 'digits-mlp'"),
    ("a misspelt method", lambda: ow.compare("nqm", ["adamv"]), UnknownName, "Did you mean 'adam"),
    ("a misspelt hyperparameter", lambda: ow.check("nqm", "sgd:rate=0.1"), UnknownName, "parameter of sgd"),
    ("a misspelt parameter", lambda: ow.solve("lasso:m=3"), UnknownName, "parameter of lasso"),
    ("a misspelt solver", lambda: ow.solve("lasso", "fist"), UnknownName, "Did you mean 'fista'"),
    ("a rule as a solver", lambda: ow.solve("lasso", "adamw"), BadMethod, "adamw is no solver"),
    ("no file", lambda: ow.explain("nowhere.py:problem"), NotLoadable, "There is no file nowhere.py"),
    ("no study file", lambda: ow.compare("nowhere.toml"), NotLoadable, "There is no file nowhere.toml"),
    ("a target of a study", lambda: ow.set_target("mine.toml"), BadProtocol, "belongs to one problem"),
    ("a target of two", lambda: ow.set_target(["nqm", "lasso"]), BadProblem, "is no Problem"),
    ("a number", lambda: ow.explain(3), BadProblem, "3 is no Problem"),
    ("a number to predict on", lambda: ow.predict(3, "sgd:lr=0.1"), BadProblem, "3 is no Problem"),
    ("a number to predict with", lambda: ow.predict("nqm", 3), BadMethod, "3 is no method"),
    ("an open question", lambda: ow.predict("nqm", ow.SGD), BadMethod, "still open"),
    ("a function", lambda: ow.check(ow.problems.digits_mlp), BadProblem, r"call it, `digits_mlp\(\)`"),
    ("a constructor", lambda: ow.solve(ow.problems.lasso), BadProblem, r"call it, `lasso\(X, y, weight\)`"),
    ("what is minimised", lambda: ow.solve(bowl), BadProblem, r"bowl is no Problem but a function; .*smooth\(f, w0\)"),
    ("a lambda", lambda: ow.compare(lambda w: w.sum()), BadProblem, r"<lambda> is no Problem but a .*smooth\(f, w0\)"),
    ("a callable", lambda: ow.explain(partial(bowl)), BadProblem, r"but a function; .*ow.problems.smooth\(f, w0\)"),
    (
        "a network",
        lambda: ow.solve(nn.Linear(2, 1)),
        BadProblem,
        r"a network; .*ow.problems.from_module\(make_net, loss",
    ),
    (
        "layers",
        lambda: ow.compare(nn.Sequential(nn.ReLU())),
        BadProblem,
        r"Sequential\(...\) is no Problem but a network",
    ),
    ("a class of networks", lambda: ow.explain(nn.Linear), BadProblem, r"ow.problems.from_module\(Linear, loss"),
    ("the class", lambda: ow.solve(ow.Problem), BadProblem, "Problem is no Problem but the class of them; make one"),
    (
        "data",
        lambda: ow.solve(np.eye(3)),
        BadProblem,
        r"ndarray\[3, 3\] is no Problem but data; .*least_squares\(X, y\)",
    ),
    ("data for many", lambda: ow.compare(np.eye(3)), BadProblem, r"ndarray\[3, 3\] is no Problem but data"),
    (
        "a pair",
        lambda: ow.solve((np.eye(3), np.ones(3))),
        BadProblem,
        r"is no Problem but data; .*least_squares\(X, y\)",
    ),
    ("a table of pandas", lambda: ow.explain(pd.DataFrame({"a": [1]})), BadProblem, "is no Problem but data"),
    ("a sparse matrix", lambda: ow.compare(scipy.sparse.eye_array(3)), BadProblem, "is no Problem but data"),
    (
        "a problem of cvxpy",
        lambda: ow.solve(cvxpy_like()),
        BadProblem,
        r"a cvxpy object; .*composite\(f, g, A, w0=w0\)",
    ),
    ("a penalty", lambda: ow.solve(ow.penalties.L1(0.1)), BadProblem, r"a penalty; .*least_squares\(X, y, penalty=g\)"),
    ("a set", lambda: ow.solve(ow.sets.Simplex()), BadProblem, r"a set; .*least_squares\(X, y, constraint=C\)"),
    ("a class of sets", lambda: ow.solve(ow.sets.Simplex), BadProblem, r"a class: a set when called, Simplex\(...\)"),
    ("the method first", lambda: ow.solve(ow.SGD(lr=0.1), "lasso"), BadProblem, "give the problem first"),
    (
        "an optimizer first",
        lambda: ow.solve(torch.optim.Adam),
        BadProblem,
        "a class of methods; give the problem first",
    ),
    ("nothing", lambda: ow.compare(None), BadProblem, "None is no Problem"),
    ("a table", lambda: ow.check([torch.zeros(3)]), BadProblem, r"Tensor\[3\] is no Problem"),
    ("a misspelt schedule", lambda: ow.check("nqm", schedule="cosin"), UnknownName, "schedule 'cosin'"),
    ("a misspelt setting", lambda: ow.check("nqm", "sgd", trails=3), UnknownName, "Did you mean 'trials'"),
]


@pytest.mark.parametrize(("case", "call", "error", "said"), REFUSED, ids=[case for case, *_ in REFUSED])
def test_a_mistake_in_a_name_gets_its_sentence(case, call, error, said):
    with pytest.raises(error, match=said) as caught:
        call()
    assert len(str(caught.value)) < 900
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["check", "compare", "explain", "predict", "set_target", "solve"])
def test_the_public_verbs_say_all_that_the_verbs_themselves_say(name):
    homes = {"check": "checking", "compare": "comparing", "explain": "explaining", "predict": "predicting"}
    homes |= {"set_target": "targeting", "solve": "solving"}
    verb = getattr(__import__(f"optwise.verbs.{homes[name]}", fromlist=[name]), name)
    public = getattr(ow, name)
    assert list(inspect.signature(public).parameters) == list(inspect.signature(verb).parameters)
    defaults = [{n: p.default for n, p in inspect.signature(f).parameters.items()} for f in (public, verb)]
    assert defaults[0] == defaults[1]
    text = inspect.getdoc(public)
    assert "mine.py:problem" in text
    assert all(line in text for line in inspect.getdoc(verb).splitlines()[1:])
