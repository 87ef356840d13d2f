"""Everything that a public call returns, as the last line of a cell: short, whatever its names are."""

import json
import pickle
from dataclasses import replace
from pathlib import Path

import torch
from small_comparisons import ASKED, flowers
from torch import nn

import optwise as ow
from optwise.core.run import Runs
from optwise.core.showing import Shown, Terse

HOSTILE = "evil\n\t<img src=x onerror=alert(1)>\x1b[31m\N{RIGHT-TO-LEFT OVERRIDE}" + "x" * 10_000


def answers():
    """Name and value of what each verb and each maker of nouns hands out, the names of problems and methods hostile."""
    flower = flowers(HOSTILE)
    yield "problem", flower
    yield "data", flower.data
    yield "split", flower.data.train
    open_one, closed = ow.Adam(name=HOSTILE), ow.SGD(lr=0.1, name="\n".join(["sgd"] * 1000))
    for method in (open_one, closed, ow.EMA(open_one), ow.Torch(torch.optim.RAdam, name=HOSTILE)):
        yield "method", method
    yield "check", ow.check(flower, [open_one, closed], **{**ASKED, "studies": 1})
    yield "target", ow.set_target(flower, [closed], reruns=2, trials=1, budget=40, workers=1, executor="local")
    for name in ("SGD", "LogUniform"):
        yield name, getattr(ow, name)
    generator = torch.Generator().manual_seed(0)
    X, y = torch.randn(30, 5, generator=generator).double(), torch.randn(30, generator=generator).double()
    lasso = replace(ow.problems.lasso(X, y, weight=0.1), name=HOSTILE)
    yield "lasso", lasso
    yield from parts_of(lasso)
    yield "explanation", ow.explain(lasso)
    for run in (ow.solve(lasso), ow.solve(lasso, "fista", max_seconds=1e-9)):
        yield "solved", run
        yield from parts_of(run)
    nqm = ow.problems.nqm(d=50)
    for lr in (0.1, 100.0):
        run = ow.predict(nqm, ow.SGD(lr=lr, name=HOSTILE), 20)
        yield "predicted", run
        yield from parts_of(run)
    yield "quadratic", nqm.quadratic
    yield "prox", ow.check_prox(lasso.penalty, 5)
    yield "set", ow.check_set(ow.problems.nnls(X, y).constraint, 5)
    yield "gradient", ow.check_gradient(lambda w: w[HOSTILE].abs().sum(), {HOSTILE: torch.zeros(200)})
    yield "convexity", ow.check_convexity(lambda w: w.sin().sum(), torch.zeros(200))
    yield (
        "bound",
        ow.theory.adagrad_bound(range(1, 1000), lr=1e-3, dimension=1, gradient_bound=1.0, smoothness=1.0, gap=1.0),
    )
    yield "stream", ow.Stream(lambda *_: torch.zeros(1))


def parts_of(noun):
    """The fields of a noun that are nouns of ours, as ``problem.penalty`` is what a cell may end in."""
    for name, value in vars(noun).items():
        if isinstance(value, Terse):
            yield name, value
            yield from parts_of(value)


def look_at(name, noun):
    text = repr(noun)
    assert len(text) <= 2000, (name, len(text))
    assert len(text.splitlines()) < 30, name
    assert "\x1b" not in text, name
    assert "\N{RIGHT-TO-LEFT OVERRIDE}" not in text, name
    assert "tensor(" not in text, name
    assert "array(" not in text, name
    if isinstance(noun, Shown):
        page = noun._repr_html_()
        assert len(page) <= 12_000, (name, len(page))
        assert page.count("<tr>") + page.count("<div>") < 30, name
        assert "<img" not in page, name
        assert "\n" not in page, name


def test_everything_a_public_call_returns_is_short_whatever_its_names_are():
    seen = set()
    for name, noun in answers():
        look_at(name, noun)
        seen.add(type(noun).__name__)
    assert seen >= {"Problem", "Data", "Split", "Run", "Answer", "Forecast", "Explanation", "CheckReport"}
    assert seen >= {"TargetReport", "GradientCheck", "ConvexityCheck", "Findings", "HeldWeights", "Quadratic", "L1"}


def test_a_finished_comparison_stays_small_with_many_hostile_names(done):
    found = done.document["problems"]["flowers"]
    names = [f"{i}{HOSTILE}" for i in range(60)]
    methods = {name: found["methods"][("sgd", "adam")[i % 2]] for i, name in enumerate(names)}
    checks = [{**check, "check": f"{i}{HOSTILE}", "status": "warn"} for i, check in enumerate(found["checks"] * 9)]
    problem = {**found, "methods": methods, "checks": checks, "order": names[::-1], "line": HOSTILE}
    about = {**done.document["protocol"]}
    for problems in (1, 7):
        several = [f"{HOSTILE}{i}" for i in range(problems)]
        about |= {"target": dict.fromkeys(several, "valid/loss<=0.1"), "metric": dict.fromkeys(several, HOSTILE)}
        told = {"verdict": HOSTILE * 3, "protocol": about, "problems": dict.fromkeys(several, problem)}
        look_at("comparison", replace(done, document=told, folder=Path("x" * 10_000)))
    look_at("runs", Runs(replace(run, problem=f"{i}{HOSTILE}") for i, run in enumerate(done.runs)))


def test_the_results_document_shows_its_keys_and_is_still_plain_json(done):
    look_at("document", done.document)
    assert all(f"  {key}: " in repr(done.document) for key in done.document)
    assert json.loads(json.dumps(done.document)) == dict(done.document)
    assert pickle.loads(pickle.dumps(done.document)) == done.document


def test_the_last_line_of_a_cell_is_the_verdict_before_anything_else(done):
    lines = repr(done).splitlines()
    assert lines[1] == (done.document.get("headline") or done.verdict)
    page = done._repr_html_()
    for said in ("sgd", "adam", "best valid/loss", ".plot(", "report.html"):
        assert said in page
    assert page.index("verdict" if "verdict" in page else lines[1][:20]) < page.index("<table>")
    assert len(repr(done.runs).splitlines()) == 1 + 2 * 3  # each method searches, confirms, and runs at its defaults
    assert repr(done.runs[0]) == f"<Run {done.runs[0].name}: budget spent, {last_of(done.runs[0])} after 20 steps>"


def last_of(run):
    return f"valid/loss {run.curve('valid/loss')[-1][1]:.6g}"


def test_a_problem_says_what_to_ask_it_and_computes_nothing_for_it():
    def make():
        asked.append(1)
        return nn.Linear(4, 3)

    asked = []
    x, y = torch.zeros(9, 4), torch.tensor([0, 1, 2] * 3)
    problem = ow.problems.from_module(make, nn.functional.cross_entropy, (x, y), batch_size=3, name="p")
    made = len(asked)
    assert "ow.compare(problem)" in problem._repr_html_()
    assert repr(problem) == "<Problem p: train 9, train/loss>"
    assert len(asked) == made
    assert "ow.predict(problem" in ow.problems.nqm(d=3)._repr_html_()
    assert "ow.solve(problem)" in ow.problems.ridge([[1.0], [2.0]], [1.0, 2.0], l2=1.0)._repr_html_()


def test_solvers_compared_show_how_each_ended(tmp_path):
    X, y = torch.eye(3, dtype=torch.float64), torch.ones(3, dtype=torch.float64)
    solvers = [ow.methods.solvers.FISTA(), ow.methods.solvers.ProximalGradient(), ow.methods.solvers.SVD()]
    problems = [ow.problems.lasso(X, y, weight=0.1), ow.problems.least_squares(X, y)]
    comparison = ow.compare(problems, solvers, out=tmp_path / "race", repeats=1)
    look_at("race", comparison)
    look_at("runs", comparison.runs)
    page = comparison._repr_html_()
    assert page.count("<tr>") == 1 + 2 * 3
    assert "optimal, certified" in page
    assert "not eligible" in page
