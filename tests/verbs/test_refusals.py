"""What a comparison refuses, with one sentence, before anything is run or written."""

from dataclasses import dataclass, replace

import pytest
import torch
from small_comparisons import compare, flowers

import optwise as ow
from optwise.core.errors import BadMethod, BadProblem, BadProtocol, UnknownName, UnmetNeed
from optwise.core.method import Procedure, Rule
from optwise.core.oracles import Oracle
from optwise.core.penalty import Penalty


@dataclass(frozen=True)
class Lasso(Penalty):
    def value(self, w):
        return w.abs().sum()

    def prox(self, v, step):
        return v


@dataclass(frozen=True, kw_only=True)
class Proximal(Rule):
    lr: float = 0.1
    needs = frozenset({Oracle.GRADIENT, Oracle.PROX})
    defaults = {"lr": 0.1}  # noqa: RUF012 - as a user writes it

    def init(self, w):
        return {}

    def step(self, w, g, state):
        return w - self.lr * g, state


class Guessing(Procedure):
    """Asks for no gradient."""

    def iterate(self, oracles, w):
        while True:
            yield w, {"loss": float(oracles.value(w))}


class Broken(torch.optim.SGD):
    def step(self, closure=None):
        raise RuntimeError("shapes do not fit")


def test_the_list_below_starts_from_a_comparison_that_runs(tmp_path):
    _, told = compare(tmp_path / "runs", methods=[ow.SGD(lr=0.1)], studies=1, seeds=1)
    assert told.trials == 2


REFUSED = [
    ("no problem", {"problems": []}, BadProtocol, "No problem was given"),
    ("no problem but something else", {"problems": [3]}, BadProblem, "3 is no Problem"),
    (
        "a function that makes one",
        {"problems": ow.problems.nqm},
        BadProblem,
        "nqm is no Problem but a function; call it",
    ),
    ("two problems of one name", {"problems": [flowers(), flowers()]}, BadProtocol, "'flowers'"),
    ("no method", {"methods": []}, BadProtocol, "No method was given"),
    ("no method but something else", {"methods": [3]}, BadMethod, "3 is no method"),
    ("two methods of one name", {"methods": [ow.SGD(), ow.SGD(lr=0.1)]}, BadProtocol, "'sgd'; give one of them"),
    (
        "a budget that a method never spends",
        {"methods": [Guessing()], "budget": "64example-gradients"},
        BadProtocol,
        "guessing spends no example-gradients in its first 3 steps on flowers",
    ),
    ("a slash in a name", {"methods": [ow.SGD(name="a/b")]}, BadMethod, "slash"),
    ("a misspelt setting", {"trails": 4}, UnknownName, "Did you mean 'trials'"),
    ("a target that cannot be read", {"target": "loss < 1"}, BadProtocol, "cannot be read"),
    ("an unknown metric", {"metric": "valid/acuracy"}, UnknownName, "Did you mean 'valid/accuracy'"),
    ("the test split as a selector", {"metric": "test/loss"}, BadProtocol, "looked at once"),
    ("the test split as a target", {"target": ow.AtMost("test/loss", 0.1)}, BadProtocol, "looked at once"),
    ("a target the wrong way round", {"target": ow.AtLeast("valid/loss", 0.5)}, BadProtocol, "valid/loss<=0.5"),
    ("an unknown metric in a target", {"target": ow.AtMost("valid/los", 0.5)}, UnknownName, "'valid/loss'"),
    ("a target met at the start", {"target": ow.AtMost("valid/loss", 50.0)}, BadProtocol, "before the first step"),
    ("one of another metric too", {"target": ow.AtLeast("valid/accuracy", 0.0)}, BadProtocol, "before the first"),
    ("an unknown axis", {"axis": "step"}, UnknownName, "Did you mean 'steps'"),
    ("an unknown dtype", {"dtype": "float16"}, UnknownName, "'float32' or 'float64'|'float64' or 'float32'"),
    ("an unknown device", {"device": "gpu"}, BadProtocol, "Device 'gpu' cannot be used"),
    ("an unknown executor", {"executor": "slurm"}, UnknownName, "executor 'slurm'"),
    ("no worker", {"workers": 0}, BadProtocol, "workers is 0"),
    ("a level that is none", {"level": 1.0}, BadProtocol, "level is 1"),
    ("a level in percent", {"level": 95}, BadProtocol, "level is 95"),
    ("a margin that is none", {"margin": -0.1}, BadProtocol, "margin is -0.1"),
    ("no trial", {"trials": 0}, BadProtocol, "trials is 0"),
    ("no study", {"studies": 0}, BadProtocol, "studies is 0"),
    ("no seed", {"seeds": 0}, BadProtocol, "seeds is 0"),
    ("one evaluation", {"evaluations": 1}, BadProtocol, "evaluations is 1"),
    ("no batch", {"batch_size": 0}, BadProtocol, "batch size is 0"),
    ("a batch of no data", {"problems": ow.problems.rosenbrock(), "batch_size": 4}, BadProtocol, "no data to draw"),
    ("a budget that cannot be read", {"budget": "a while"}, BadProtocol, "cannot be read"),
    ("a budget without room", {"budget": "0steps"}, BadProtocol, "buys nothing"),
    ("a need that is not met", {"methods": [Proximal()]}, UnmetNeed, "proximal needs prox"),
    (
        "a part that would be ignored",
        {"problems": replace(flowers(), penalty=Lasso())},
        UnmetNeed,
        "has the part Lasso, and sgd would ignore it",
    ),
    ("a method that raises at once", {"methods": [Broken]}, BadMethod, "RuntimeError: shapes do not fit"),
    (
        "a start that is not finite",
        {"problems": replace(flowers(), start=lambda seed: ({"weight": torch.full((3, 4), torch.nan)}, {}))},
        BadProblem,
        "starts with|not finite",
    ),
]


@pytest.mark.parametrize(("what", "changed", "error", "words"), REFUSED, ids=[case[0] for case in REFUSED])
def test_a_comparison_refuses(what, changed, error, words, tmp_path):
    with pytest.raises(error, match=words) as caught:
        compare(tmp_path / "runs", **changed)
    assert caught.value.exit_code == 2
    assert str(caught.value).endswith("."), "a sentence"
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "runs").exists(), "nothing was started"
