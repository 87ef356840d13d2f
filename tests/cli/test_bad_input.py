"""What the caller can mend: one line on stderr, exit code 2, nothing started, nothing written."""

import pytest

from optwise.cli import main

MINE = """
import torch
from torch import nn
import torch.nn.functional as F
from optwise.problems import from_module

x, y = torch.randn(20, 3, generator=torch.Generator().manual_seed(0)), torch.arange(20) % 2
fine = lambda: nn.Linear(3, 2)

def nan_in_data():
    return from_module(fine, F.cross_entropy, (x * torch.nan, y))

def empty():
    return from_module(fine, F.cross_entropy, (x, y), valid=(x[:0], y[:0]))

def no_parameters():
    return from_module(lambda: nn.ReLU(), F.cross_entropy, (x, y))

def loss_not_finite():
    return from_module(fine, lambda out, y: F.cross_entropy(out, y) / 0, (x, y))

def loss_of_no_shape():
    return from_module(fine, lambda out, y: out[:7], (x, y))

class Raises(torch.optim.Optimizer):
    def __init__(self, params, lr=0.1):
        super().__init__(params, {"lr": lr})

    def step(self):
        raise RuntimeError("no step today")
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text(MINE)
    (tmp_path / "broken.py").write_text("problem = (")
    (tmp_path / "study.toml").write_text("trials = 3")
    (tmp_path / "odd.toml").write_text("trials 3")
    monkeypatch.chdir(tmp_path)
    before = sorted(path.name for path in tmp_path.iterdir())
    yield tmp_path
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "__pycache__") == before


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("compare digits-mpl", "Unknown problem 'digits-mpl'. Did you mean 'digits-mlp'"),
        ("compare nqm:dd=2", "Unknown parameter of nqm 'dd'. Did you mean 'd'"),
        ("compare nqm:d=0", "nqm with d=0 has no parameters"),
        ("compare nqm --methods adamv", "Unknown method 'adamv'. Did you mean 'adam' or 'adamw'"),
        ("compare nqm --methods adamw:lrr=1", "Did you mean 'lr'"),
        ("compare nqm --methods adamw:lr=1..0.1", "low must lie below high"),
        ("compare nqm --methods sgd,sgd", "Two methods are called 'sgd'"),
        ("compare nqm --schedule cosine", "Unknown schedule 'cosine'. Did you mean 'warmup-cosine'"),
        ("compare none.py:problem", "There is no file none.py"),
        ("compare broken.py:problem", "broken.py does not parse: line 1"),
        ("compare mine.py:problem", "mine.py has no attribute 'problem'"),
        ("compare mine.py:x", "mine.py:x is no Problem but data; say what is minimised over them"),
        ("compare mine.py:nan_in_data", "not finite"),
        ("compare mine.py:empty", "The valid split is empty"),
        ("compare mine.py:no_parameters", "without parameters"),
        ("compare mine.py:loss_not_finite", "not finite"),
        ("compare mine.py:loss_of_no_shape", "shape"),
        ("compare nqm:d=2 --methods mine.py:Raises", "raises fails in its first 3 steps"),
        ("compare nqm --budget lots", "Budget 'lots' cannot be read"),
        ("compare nqm --budget 10parsecs", "Budget unit 'parsecs' is unknown"),
        ("compare nqm --budget 0", "buys nothing"),
        ("compare nqm --trials 0", "trials is 0; a comparison needs a whole number of at least 1"),
        ("compare nqm --studies 0", "studies is 0"),
        ("compare nqm --seeds -1", "seeds is -1"),
        ("compare nqm --trials many", "Invalid value for '--trials'"),
        ("compare nqm --level 95", "level is 95"),
        ("compare nqm --workers 0", "workers is 0"),
        ("compare nqm --executor cloud", "Unknown executor 'cloud'"),
        ("compare nqm --axis parsecs", "Unknown axis 'parsecs'"),
        ("compare nqm --dtype float8", "Unknown dtype 'float8'. Did you mean 'float64' or 'float32'"),
        ("compare nqm --device abacus", "Device 'abacus' cannot be used here"),
        ("compare nqm --target fast", "Target 'fast' cannot be read"),
        ("compare nqm --target valid/loss<=1", "Unknown metric of nqm"),
        ("compare nqm --target objective>=1", "points the wrong way"),
        ("compare nqm --metric accuracy", "Unknown metric of nqm"),
        ("compare nqm --out mine.py/x", "mine.py/x"),
        ("compare study.toml", "The study file names no problem"),
        ("compare odd.toml", "odd.toml is no TOML: Expected '=' after a key in a key/value pair (at line 1"),
        ("compare none.toml", "There is no file none.toml"),
        ("compare nqm study.toml", "A study file stands alone"),
        ("compare", "Missing argument"),
        ("compare nqm --frobnicate", "No such option: --frobnicate"),
        ("frobnicate", "No such command 'frobnicate'"),
        ("check digits-mpl", "Unknown problem 'digits-mpl'"),
        ("target study.toml", "A target belongs to one problem"),
        ("target nqm:d=2 --reruns 0", "reruns is 0"),
        ("predict nqm:d=3 adam:lr=0.1", "adam is not linear"),
        ("predict nqm:d=3 sgd", "SGD.lr is still open"),
        ("predict nqm:d=3 torch.optim:SGD:lr=0.1", "no rule that can be probed"),
        ("predict nqm:d=3 sgd:lr=0.1 --batch-size 0", "Batch size 0 draws nothing"),
        ("predict nqm:d=3 sgd:lr=0.1 --batch-size inf", "Batch size inf draws nothing"),
        ("predict nqm:d=3 sgd:lr=0.1 --batch-size nan", "Batch size nan draws nothing"),
        ("predict nqm:d=3 sgd:lr=0.1 --budget 0steps", "buys nothing"),
        ("predict nqm:d=3 sgd:lr=0.1 --budget 3seconds", "needs a measured step"),
        ("predict nqm:d=3 sgd:lr=0.1 --target valid/loss<=1", "Predicted is objective"),
        ("predict digits-mlp sgd:lr=0.1", "digits-mlp is no quadratic"),
        ("predict digits-mlp preconditioned:lr=0.1", "digits-mlp is no quadratic"),
        ("predict mean-estimation:sigma=-1 sgd:lr=0.1", "at least 0"),
        ("predict nqm:d=3", "Missing argument 'METHOD'"),
        ("list everything", "Unknown kind 'everything'"),
        ("report nowhere", "nowhere"),
        ("score nowhere", "nowhere"),
        ("score nowhere --target fast", "Target 'fast' cannot be read"),
        ("rerun nowhere p/m/0/1", "nowhere"),
        ("rerun nowhere p", "Trial 'p' cannot be read"),
        ("export nowhere --to csv", "nowhere"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(capsys, words, said):
    assert main(words.split()) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("optwise: ")
    assert err.count("\n") == 1
    assert said in err
