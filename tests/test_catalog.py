"""What a user may type, and the one sentence for what nobody can build."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import cloudpickle
import pytest
import torch

from optwise.catalog import load_method, load_methods, load_problem, load_schedule, load_study, method_of
from optwise.core.errors import BadMethod, BadProblem, BadProtocol, BadSpace, CallerError, NotLoadable, UnknownName
from optwise.core.space import Choice, IntUniform, LogUniform, OneMinus, Uniform
from optwise.methods import (
    EMA,
    METHODS,
    SCHEDULES,
    SGD,
    Adam,
    AdamW,
    Constant,
    InverseTime,
    Momentum,
    Polyak,
    Preconditioned,
    ScheduleFreeSGD,
    StepDecay,
    Torch,
    WarmupCosine,
)

OPTIMIZER = """
import torch
from sibling import RATE

class Signs(torch.optim.Optimizer):
    def __init__(self, params, lr=RATE):
        super().__init__(params, {"lr": lr})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                p.add_(p.grad.sign(), alpha=-group["lr"])
"""
RULES = """
from dataclasses import dataclass
from optwise.core.method import UNSET, Hyper, Rule
from optwise.core.wrapper import Wrapper

RATE = 0.5

@dataclass(frozen=True)
class Still(Rule):
    lr: Hyper = UNSET
    defaults = {"lr": 0.1}

    def init(self, w):
        return {}

    def step(self, w, g, state):
        return w, state

@dataclass(frozen=True)
class Around(Wrapper):
    def start(self, w, curvature):
        return {"inner": self.inner.start(w, curvature)}

    def step(self, w, g, state):
        w, inner = self.inner.step(w, g, state["inner"])
        return w, {"inner": inner}

slow = Still(lr=1e-5)
"""
PROBLEM = """
import torch
import torch.nn.functional as F
from optwise.problems import from_module
from sibling import WIDTH

x = torch.randn(12, 3, generator=torch.Generator().manual_seed(0))
problem = from_module(lambda: torch.nn.Linear(WIDTH, 2), F.cross_entropy, (x, (x[:, 0] > 0).long()), name="own")

def make(rows: int = 12):
    return from_module(lambda: torch.nn.Linear(WIDTH, 2), F.cross_entropy, (x[:rows], (x[:rows, 0] > 0).long()))

def needs(rows):
    return make(rows)

def breaks():
    return {}["width"]

seven = 7
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A user's folder, the command being run in it."""
    files = {"sibling.py": "RATE, WIDTH = 0.01, 3", "mine.py": OPTIMIZER, "own.py": PROBLEM}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if Path(getattr(sys.modules[name], "__file__", None) or "").is_relative_to(tmp_path):
            del sys.modules[name]


@pytest.mark.parametrize("text", ["nqm:d=3", "least-squares:n=20,p=3,kappa=4", "rosenbrock:d=4", "digits-softmax"])
def test_a_problem_of_the_catalogue_names_itself_as_it_is_typed(text):
    assert load_problem(text).reference == text


def test_numbers_may_be_written_as_python_writes_them():
    problem = load_problem("least-squares: n=2e1, p=3, kappa=1e1")
    assert problem.reference == "least-squares:n=20,p=3,kappa=10"


def test_a_problem_in_a_file_is_loaded_once_and_remembers_how(folder):
    problem = load_problem("own.py:problem")
    assert (problem.name, problem.reference) == ("own", "own.py:problem")
    assert load_problem(str(folder / "own.py") + ":problem").objective is problem.objective
    assert str(folder) not in sys.path


def test_a_function_in_a_file_may_build_the_problem_from_typed_parameters(folder):
    assert load_problem("own.py:make").examples == 12
    assert load_problem("own.py:make:rows=8").examples == 8
    assert load_problem("own.py:needs:rows=8").reference == "own.py:needs:rows=8"


def test_a_module_in_the_current_folder_needs_no_installation(folder):
    assert load_problem("own:problem").name == "own"


def test_what_lies_in_a_users_folder_reaches_a_process_that_cannot_import_it(folder):
    method = load_method("mine.py:Signs")
    (folder / "sent").write_bytes(cloudpickle.dumps((load_problem("own.py:problem"), method.optimizer)))
    script = f"""
        import pickle
        problem, optimizer = pickle.load(open({str(folder / "sent")!r}, "rb"))
        print(len(problem.start(0)[0]), optimizer.__name__)
    """
    elsewhere = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        cwd=Path(__file__).parent,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert elsewhere.stdout.split() == ["2", "Signs"]


@pytest.mark.parametrize(
    ("text", "error", "words"),
    [
        ("digits-mpl", UnknownName, "Did you mean 'digits-mlp'"),
        ("", UnknownName, "Unknown problem ''"),
        ("nqm:dd=3", UnknownName, "Unknown parameter of nqm 'dd'. Did you mean 'd'"),
        ("nqm:d=many", BadProblem, "nqm:d is 'many'; it must be a whole number"),
        ("nqm:d=2.5", BadProblem, "it must be a whole number"),
        ("least-squares:kappa=big", BadProblem, "it must be a number"),
        ("nqm:d", BadProblem, "'d' in 'nqm:d' cannot be read; write name=value"),
        ("nqm:d=1,d=2", BadProblem, "d is given twice"),
        ("none.py:problem", NotLoadable, "There is no file none.py"),
        ("own.py", NotLoadable, "write own.py:NAME"),
        ("own.py:problm", NotLoadable, "own.py has no attribute 'problm'. Did you mean 'problem'"),
        ("own.py:seven", NotLoadable, "own.py:seven is no Problem but of type int"),
        ("own.py:F", NotLoadable, "is no Problem but of type module"),
        ("own.py:needs", BadProblem, "own.py:needs needs rows"),
        ("own.py:breaks", BadProblem, "own.py:breaks fails: KeyError: 'width'"),
        ("own.py:problem:rows=3", BadProblem, "is a problem already and takes no rows"),
        ("own.py:make:row=3", UnknownName, "Did you mean 'rows'"),
        ("no_such_package.module:problem", NotLoadable, "There is no module 'no_such_package'"),
        ("collections.nothing:problem", NotLoadable, "There is no module 'collections.nothing'"),
    ],
)
def test_a_problem_that_cannot_be_built_is_refused_in_a_sentence(folder, text, error, words):
    with pytest.raises(error) as refused:
        load_problem(text)
    assert words in str(refused.value)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("x = 1\nproblem = (", "bad.py does not parse: line 2: "),
        ("import no_such_package", "bad.py does not import: ModuleNotFoundError: No module named 'no_such_package'"),
        ("1 / 0", "bad.py does not import: ZeroDivisionError: division by zero"),
        ("raise SystemExit", "bad.py does not import: it ends the program"),
        ("import also_bad", "also_bad.py does not parse: line 1: "),
    ],
)
def test_a_file_that_does_not_import_says_where_and_why(folder, source, words):
    (folder / "also_bad.py").write_text("def")
    (folder / "bad.py").write_text(source)
    with pytest.raises(NotLoadable) as refused:
        load_problem("bad.py:problem")
    assert words in str(refused.value)
    assert "bad.py" not in sys.modules


def test_a_file_that_builds_a_bad_problem_keeps_that_problems_own_sentence(folder):
    (folder / "bad.py").write_text(PROBLEM.replace("x = torch.randn", "x = torch.nan * torch.randn"))
    with pytest.raises(BadProblem, match="not finite"):
        load_problem("bad.py:problem")


@pytest.mark.parametrize("name", METHODS)
def test_a_bare_method_is_its_default_space(name):
    assert load_method(name) == METHODS[name]()


@pytest.mark.parametrize(
    ("text", "method"),
    [
        ("adamw:lr=1e-3", AdamW(lr=1e-3)),
        ("adamw:lr=1e-4..1e-1", AdamW(lr=LogUniform(1e-4, 1e-1))),
        ("adamw:betas=0.9/0.99", AdamW(betas=(0.9, 0.99))),
        ("adamw:betas=1-0.1..0.3/0.99", AdamW(betas=(OneMinus(LogUniform(0.1, 0.3)), 0.99))),
        ("adamw:name=mine,schedule=constant", AdamW(name="mine", schedule=Constant())),
        ("adamw:schedule.warmup=0.2", AdamW(schedule=WarmupCosine(warmup=0.2))),
        ("adamw:schedule=step-decay,schedule.every=10", AdamW(schedule=StepDecay(10))),
        ("torch.optim:RAdam", Torch(torch.optim.RAdam)),
        ("torch.optim:RAdam:lr=0.1,name=r", Torch(torch.optim.RAdam, name="r", lr=0.1)),
        ("optwise.methods:AdamW:lr=0.1", AdamW(lr=0.1)),
        ("ema:of=momentum,lr=0.1,momentum=0.9,decay=0.99", EMA(Momentum(lr=0.1, momentum=0.9), decay=0.99)),
        ("ema:lr=0.1", EMA(SGD(lr=0.1))),
        ("ema:decay=0.9", EMA(SGD(), decay=0.9)),
        ("ema:of=momentum", EMA(Momentum())),
        ("polyak:of=adam,betas=0.9/0.99,after=10", Polyak(Adam(betas=(0.9, 0.99)), after=10)),
        ("ema:of=preconditioned/momentum", EMA(Preconditioned(Momentum()))),
        ("ema:power=1,of=preconditioned/momentum,lr=0.1", EMA(Preconditioned(Momentum(lr=0.1), power=1))),
        ("ema:of=preconditioned,decay=1-0.1..0.5", EMA(Preconditioned(), decay=OneMinus(LogUniform(0.1, 0.5)))),
        ("preconditioned:schedule=constant,name=p", Preconditioned(schedule=Constant(), name="p")),
        ("ema:of=optwise.methods:SGD,lr=0.1", EMA(SGD(lr=0.1))),
        ("schedule-free-sgd:lr=0.1", ScheduleFreeSGD(lr=0.1)),
        ("sgd:lr=0.1,schedule=inverse-time,schedule.decay=0.5", SGD(lr=0.1, schedule=InverseTime(decay=0.5))),
    ],
)
def test_a_typed_method_equals_the_one_built_in_python(text, method):
    assert load_method(text) == method


def test_a_users_rule_can_be_wrapped_and_can_wrap(folder):
    (folder / "rules.py").write_text(RULES)
    assert type(load_method("ema:of=rules.py:Still,lr=0.1").inner).__name__ == "Still"
    assert load_method("ema:of=rules.py:slow,decay=0.5").values() == {"lr": 1e-5, "decay": 0.5}
    own = load_method("rules.py:Around:of=momentum,lr=0.1")
    assert (type(own).__name__, own.inner, own.label) == ("Around", Momentum(lr=0.1), "around-momentum")
    with pytest.raises(BadMethod, match=r"rules\.py:Around wraps a rule; name it, as in rules\.py:Around:of=sgd"):
        load_method("rules.py:Around")
    with pytest.raises(NotLoadable, match=r"ema of rules\.py:RATE is no method but of type float"):
        load_method("ema:of=rules.py:RATE")
    (folder / "sub").mkdir()
    (folder / "sub" / "rules.py").write_text(RULES)
    assert load_method("polyak:of=sub/rules.py:Still,lr=0.1").values()["lr"] == 0.1


def test_a_users_optimizer_is_wrapped_and_a_users_method_taken_as_it_is(folder):
    (folder / "methods.py").write_text("from optwise.methods import AdamW\nslow = AdamW(lr=1e-5)")
    own = load_method("mine.py:Signs:lr=1e-3..1e-1,name=signs")
    assert (own.optimizer.__name__, own.label, own.hyperparameters) == ("Signs", "signs", {"lr": LogUniform(1e-3, 0.1)})
    assert load_method("methods.py:slow") == AdamW(lr=1e-5)
    assert load_method("methods.py:slow:name=s,schedule=constant") == AdamW(lr=1e-5, name="s", schedule=Constant())


def test_commas_part_methods_and_values_alike():
    listed = load_methods(["adamw:lr=1e-3,eps=1e-6,sgd", "momentum:lr=0.1,momentum=0.5"])
    assert [m.label for m in listed] == ["adamw", "sgd", "momentum"]
    assert (listed[0].eps, listed[2].momentum) == (1e-6, 0.5)


@pytest.mark.parametrize(
    ("text", "error", "words"),
    [
        ("adamv", UnknownName, "Unknown method 'adamv'. Did you mean 'adam' or 'adamw'"),
        ("adamw:lrr=0.1", UnknownName, "Unknown parameter of adamw 'lrr'. Did you mean 'lr'"),
        ("adamw:lr=fast", BadMethod, "AdamW.lr is 'fast'"),
        ("adamw:lr", BadMethod, "cannot be read; write name=value"),
        ("adamw:lr=1e-1..1e-3", BadSpace, "low must lie below high"),
        ("adamw:betas=0.9", BadMethod, "AdamW.betas is 0.9; give two numbers"),
        ("adamw:schedule=cosine", UnknownName, "Did you mean 'warmup-cosine'"),
        ("adamw:schedule.warmpu=0.1", UnknownName, "Did you mean 'warmup'"),
        ("adamw:schedule=step-decay", BadMethod, "Schedule step-decay needs every"),
        ("adamw:of=sgd", UnknownName, "Unknown parameter of adamw 'of'"),
        ("ema:of=momentm", UnknownName, "Unknown method 'momentm'. Did you mean 'momentum'"),
        ("ema:deacy=0.9", UnknownName, "Unknown parameter of ema 'deacy'. Did you mean 'decay'"),
        (
            "ema:of=momentum,deacy=0.9",
            UnknownName,
            "Unknown parameter of ema of momentum 'deacy'. Did you mean 'decay'",
        ),
        ("ema:of=preconditioned/momentum,pwr=1", UnknownName, "Did you mean 'power'"),
        ("ema:of=sgd/momentum", UnknownName, "Unknown parameter of ema of sgd 'of'"),
        ("ema:of=ema", BadMethod, "EMA of EMA of SGD has two fields called decay"),
        ("ema:of=mine.py:Signs", BadMethod, "EMA wraps a rule, whose steps are pure functions, and signs is none"),
        ("mine.py:Sings", NotLoadable, "Did you mean 'Signs'"),
        ("mine.py:RATE", NotLoadable, "mine.py:RATE is no method but of type float"),
        ("mine.py:Signs:rate=0.1", BadMethod, "Signs takes no hyperparameter 'rate'"),
        ("none.py:Signs", NotLoadable, "There is no file none.py"),
    ],
)
def test_a_method_that_cannot_be_built_is_refused_in_a_sentence(folder, text, error, words):
    with pytest.raises(error) as refused:
        load_method(text)
    assert words in str(refused.value)


@pytest.mark.parametrize("name", [n for n in SCHEDULES if n not in ("step-decay", "exponential")])
def test_a_schedule_is_built_by_its_name(name):
    assert load_schedule(name) == SCHEDULES[name]()


@pytest.mark.parametrize(
    "text",
    [
        *METHODS,
        "adamw:lr=1e-3,schedule=warmup-stable-decay",
        "adamw:betas=1-0.1..0.3/0.99",
        "ema:of=preconditioned/adamw,betas=1-0.1..0.3/0.99,schedule=inverse-time",
        "polyak:of=schedule-free-sgd,lr=0.1,after=3",
        "torch.optim:RAdam",
        "torch.optim:RAdam:lr=0.1,schedule=constant",
        "mine.py:Signs",
    ],
)
def test_a_method_comes_back_from_its_own_record(folder, text):
    method = load_method(text)
    assert method_of(method.describe()) == method


def test_a_class_whose_file_was_edited_is_not_run_again_silently(folder):
    record = load_method("mine.py:Signs").describe()
    (folder / "mine.py").write_text(OPTIMIZER + "\n# edited")
    with pytest.raises(NotLoadable, match="was edited since"):
        method_of(record)


def test_a_method_of_nobodys_is_not_run_again():
    with pytest.raises(NotLoadable, match="Lookahead is not one of optwise's own"):
        method_of({"class": "Lookahead", "schedule": None})


STUDY = """
problems = ["nqm:d=3"]
batch-size = 8
level = 1
budget = 50
reveal-test = true
scientific = { mine = ["lr"] }

[[methods]]
name = "adamw"
label = "mine"
lr = { log = [1e-4, 1e-1] }
betas = [{ one_minus = { uniform = [0.1, 0.3] } }, 0.999]
weight_decay = { choice = [0.0, 0.1] }
schedule = "constant"

[[methods]]
name = "ema"
of = "preconditioned/momentum"
label = "averaged"
lr = { log = [1e-2, 1.0] }
decay = 0.9

[[methods]]
name = "torch.optim:SGD"
lr = 0.1
schedule = { name = "step-decay", every = { int = [5, 10] } }
"""


def test_a_study_file_says_what_the_flags_would(tmp_path):
    path = tmp_path / "study.toml"
    path.write_text(STUDY)
    study = load_study(path)
    adamw, averaged, sgd = study.pop("methods")
    assert study == {
        "problems": ["nqm:d=3"],
        "batch_size": 8,
        "level": 1.0,
        "budget": "50",
        "reveal_test": True,
        "scientific": {"mine": ("lr",)},
    }
    assert adamw == AdamW(
        lr=LogUniform(1e-4, 1e-1),
        betas=(OneMinus(Uniform(0.1, 0.3)), 0.999),
        weight_decay=Choice(0.0, 0.1),
        schedule=Constant(),
        name="mine",
    )
    assert averaged == EMA(Preconditioned(Momentum(lr=LogUniform(1e-2, 1.0))), decay=0.9, name="averaged")
    assert (sgd.hyperparameters, sgd.schedule) == ({"lr": 0.1}, StepDecay(IntUniform(5, 10)))


@pytest.mark.parametrize(
    ("text", "error", "words"),
    [
        ("trails = 3", UnknownName, "'trails'. Did you mean 'trials'"),
        ("trials = \nseeds = 2", NotLoadable, "study.toml is no TOML: Invalid value (at line 1, column 10)."),
        ("trials = 'many'", BadProtocol, "trials is 'many'; it must be a whole number"),
        ("trials = true", BadProtocol, "trials is True; it must be a whole number"),
        ("problems = 'nqm'", BadProtocol, "problems is 'nqm'; it must be a list"),
        ("problems = [3]", BadProtocol, "problems must be texts"),
        ("batch-size = 3\nbatch_size = 3", BadProtocol, "gives batch_size twice"),
        ("methods = [3]", BadMethod, "3 is no method"),
        ("methods = ['adamv']", UnknownName, "Did you mean 'adam' or 'adamw'"),
        ("[[methods]]\nlr = 0.1", BadMethod, "has no name"),
        ("[[methods]]\nname = 'adamw:lr=0.1'", BadMethod, "write them as keys of their own"),
        ("[[methods]]\nname = 'adamw'\nlrr = 0.1", UnknownName, "Did you mean 'lr'"),
        ("[[methods]]\nname = 'adamw'\nlr = {logs = [0.1, 1]}", UnknownName, "Did you mean 'log'"),
        ("[[methods]]\nname = 'adamw'\nlr = {log = [1, 0.1]}", BadSpace, "low must lie below high"),
        ("[[methods]]\nname = 'adamw'\nlr = {log = 0.1}", BadSpace, "write two numbers, as in {log = [1, 10]}"),
        ("[[methods]]\nname = 'adamw'\nlr = {one_minus = 0.1}", BadSpace, "one_minus"),
        ("[[methods]]\nname = 'adamw'\nlr = {log = [1, 2], int = [1, 2]}", BadSpace, "is no range; write one of"),
    ],
)
def test_a_study_file_that_cannot_be_read_is_refused_in_a_sentence(tmp_path, text, error, words):
    path = tmp_path / "study.toml"
    path.write_text(text)
    with pytest.raises(error) as refused:
        load_study(path)
    assert isinstance(refused.value, CallerError)
    assert words in str(refused.value)


def test_a_study_file_that_is_not_there_is_named():
    with pytest.raises(NotLoadable, match=r"There is no file none\.toml"):
        load_study("none.toml")
