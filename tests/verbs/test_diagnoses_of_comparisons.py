"""What a finished comparison says of learning rates that are far too small or too large, on real wine."""

import pytest
import torch
from small_comparisons import ASKED, Counting
from torch import nn

import optwise as ow
from optwise.methods.schedules import Constant
from optwise.verbs.rescoring import rescore

SMALL, LARGE = "learning-rate-too-small", "learning-rate-too-large"
DIAGNOSES = {SMALL, LARGE, "noise-floor", "still-improving", "overfitting"}


def wine():
    """Thirteen measurements of 178 wines, as they come: columns of very different size."""
    from sklearn.datasets import load_wine

    x, y = load_wine(return_X_y=True)
    order = torch.randperm(178, generator=torch.Generator().manual_seed(0))
    x, y = torch.tensor(x, dtype=torch.float32)[order], torch.tensor(y)[order]
    return ow.problems.from_module(
        lambda: nn.Linear(13, 3), nn.functional.cross_entropy, (x[:120], y[:120]), valid=(x[120:], y[120:]), name="wine"
    )


def compared(folder, methods, problem=None, **changed):
    asked = {**ASKED, "studies": 2, "seeds": 2, "trials": 2, "budget": "40steps", "evaluations": 21, "target": None}
    problem = wine() if problem is None else problem
    return ow.compare(problem, methods, out=folder, progress=Counting(), **{**asked, **changed})


def diagnoses(document):
    """Method to the one open diagnosis of its training, from the checks of the only problem."""
    (problem,) = document["problems"].values()
    found = {}
    for check in problem["checks"]:
        for part in check["parts"] or [check]:
            if part["status"] != "pass" and part["check"] in DIAGNOSES:
                assert part["method"] not in found, "one diagnosis at most"
                found[part["method"]] = part
    return found


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    methods = [
        ow.SGD(lr=1e-9, name="crawls"),
        ow.SGD(lr=50.0, name="leaps"),
        ow.SGD(lr=1e-5, name="walks"),
        ow.EMA(ow.SGD(lr=1e-9), name="averaged"),
        ow.SGD(lr=1e-9, schedule=Constant(), name="steady"),
    ]
    return compared(tmp_path_factory.mktemp("wine") / "done", methods)


def test_a_rate_of_nothing_is_too_small_and_a_rate_of_fifty_too_large(done):
    said = diagnoses(done.document)
    assert {name: part["check"] for name, part in said.items() if name != "walks"} == {
        "crawls": SMALL,
        "averaged": SMALL,
        "steady": SMALL,
        "leaps": LARGE,
    }
    assert said.get("walks", {}).get("check") not in (SMALL, LARGE)
    assert said["crawls"]["advice"].startswith("Raise the learning rate")
    assert said["leaps"]["advice"].startswith("Lower the learning rate")
    assert "(lr 1e-09)" in said["crawls"]["evidence"]
    assert "came down to" in said["crawls"]["evidence"], "what another method reached is the measure"
    advice = " ".join(check["advice"] for check in done.document["problems"]["wine"]["checks"])
    assert "budget" not in advice


def test_checks_of_one_kind_are_one_entry_with_every_method_and_stand_in_order(done):
    checks = done.document["problems"]["wine"]["checks"]
    opened = [c for c in checks if c["status"] != "pass"]
    assert len({c["check"] for c in opened}) == len(opened)
    assert opened == checks[: len(opened)]
    small = next(c for c in opened if c["check"] == SMALL)
    assert small["method"] == ""
    assert set(small["methods"]) == {"crawls", "averaged", "steady"}
    assert [part["method"] for part in small["parts"]] == small["methods"]
    assert all(part["evidence"].startswith(f"{small['head']}: ") for part in small["parts"])
    grades = [{"fail": 0, "warn": 1, "pass": 2}[c["status"]] for c in checks]
    assert grades == sorted(grades)
    warned = [c["risk"] for c in opened if c["status"] == "warn"]
    assert warned == sorted(warned)
    pair = next(v for v in done.document["problems"]["wine"]["verdicts"] if {v["a"], v["b"]} == {"crawls", "leaps"})
    assert {SMALL, LARGE} <= set(pair["warnings"])


def test_another_question_to_the_same_runs_gets_the_same_diagnosis(done):
    again = rescore(done.folder, metric="valid/accuracy")
    assert {n: p["check"] for n, p in diagnoses(again).items() if n in ("crawls", "leaps")} == {
        "crawls": SMALL,
        "leaps": LARGE,
    }


def test_a_quadratic_with_an_objective_below_zero_is_diagnosed_by_its_curvature(tmp_path):
    """Stable below 2 / 10; 40 steps at 1e-6 lose 0.1 % of what there is to lose."""
    h = torch.tensor([1.0, 10.0], dtype=torch.float64)
    problem = ow.problems.nqm(h, torch.zeros(2, dtype=torch.float64), torch.ones(2, dtype=torch.float64))
    methods = [ow.SGD(lr=1e-6, name="crawls"), ow.SGD(lr=0.1, name="walks"), ow.SGD(lr=0.25, name="leaps")]
    found = diagnoses(compared(tmp_path / "runs", methods, problem, studies=1, seeds=1, schedule=Constant()).document)
    assert (found["crawls"]["check"], found["leaps"]["check"]) == (SMALL, LARGE)
    assert found.get("walks", {}).get("check") in (None, "still-improving")
