"""Solvers compared: one observation each, by certificate and counts; what was run is kept, and failures are drawn."""

import json
import math
import re
from dataclasses import dataclass, replace

import numpy as np
import pytest

import optwise as ow
from optwise.core.errors import BadFolder, BadProtocol, UnmetNeed
from optwise.core.oracles import Oracle
from optwise.core.solver import SMOOTH, Iterate, Solver
from optwise.methods.solvers import LSQR, QR, Cholesky, ConjugateGradient, LevenbergMarquardt
from optwise.verbs.reporting import export, write_report
from optwise.verbs.rescoring import rescore


@dataclass(frozen=True, kw_only=True)
class Short(Solver):
    """Half a gradient step, and then it gives up."""

    needs = SMOOTH | {Oracle.QUADRATIC}

    def solve(self, problem, w):
        _, g = problem.f_and_gradient(w)
        w = w - 0.5 * g / max(problem.smooth.lipschitz, 1e-300)
        yield Iterate(w, problem.value(w))


@dataclass(frozen=True, kw_only=True)
class Raising(Solver):
    """Raises at its first step."""

    def solve(self, problem, w):
        raise RuntimeError("no step today")
        yield


class Interrupted:
    """A progress that stops the work after so many runs, as a kill would."""

    def __init__(self, runs=math.inf):
        self.left, self.cached, self.total = runs, 0, 0

    def plan(self, total, cached):
        self.total, self.cached = total, cached

    def note(self, text): ...

    def advance(self, *_):
        self.left -= 1
        if self.left <= 0:
            raise KeyboardInterrupt

    def done(self): ...


def regression(seed=0, name=None):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((40, 5))
    problem = ow.problems.ridge(X, X @ rng.standard_normal(5) + rng.standard_normal(40), 0.01)
    return replace(problem, name=name) if name else problem


BOTH = (Cholesky(), LSQR())


def compare(path, methods=BOTH, problems=None, **more):
    return ow.compare(problems or regression(), list(methods), out=path, **{"repeats": 2, **more})


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """A comparison of four solvers on two problems, two of which fail or do not fit."""
    problems = [regression(), regression(1, "other")]
    path = tmp_path_factory.mktemp("runs") / "race"
    return compare(path, [Cholesky(), LSQR(), Short(), Raising()], problems)


def test_each_method_is_held_to_the_same_certificate(both):
    told = both.document["problems"]["ridge"]["methods"]
    assert told["cholesky"]["status"] == told["lsqr"]["status"] == "optimal, certified"
    assert max(told[m]["certificate"]["value"] for m in ("cholesky", "lsqr")) <= 1e-6


def test_what_failed_is_counted_and_stays_in_the_table(both):
    for problem in both.document["problems"].values():
        assert problem["methods"]["short"]["status"] == "stalled"
        assert problem["methods"]["raising"]["status"] == "crashed"
        assert "no step today" in problem["methods"]["raising"]["failure"]
    assert both.document["profiles"]["seconds"]["solved"]["short"] == 0.0
    assert "short" in (both.folder / "report.html").read_text()


def test_its_page_has_a_short_heading_named_tables_and_charts_that_say_what_they_show(both):
    text = re.sub(r"<script.*?</script>", "", (both.folder / "report.html").read_text(), flags=re.DOTALL)
    (heading,) = re.findall(r"<h1>(.*?)</h1>", text)
    assert 0 < len(heading.split()) <= 15
    assert text.count("<caption>") == text.count("<table>") > 0
    ids = re.findall(r' id="([^"]+)"', text)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'href="#([^"]+)"', text)) <= set(ids)
    charts = re.findall(r'<div[^>]*class="chart"[^>]*>', text)
    assert charts
    assert all('role="img"' in chart and 'aria-label="' in chart for chart in charts)
    assert {place for chart in charts for place in re.findall(r'aria-describedby="([^"]+)"', chart)} <= set(ids)
    assert 'aria-pressed="false"' in text
    assert not re.search(r'(src|href)="(?!#)', text)


def test_suboptimality_is_against_the_best_certified_value(both):
    told = both.document["problems"]["ridge"]
    assert told["best"]["value"] == pytest.approx(min(m["value"] for m in told["methods"].values() if m["certified"]))
    assert all(m["suboptimality"] >= 0 for m in told["methods"].values() if m.get("suboptimality") is not None)
    assert told["methods"]["short"]["suboptimality"] > 1e-3


def test_the_verdict_names_the_problem_the_tolerance_and_who_failed(tmp_path):
    found = compare(tmp_path / "r", [Cholesky(), Short()])
    assert "ridge" in found.verdict
    assert "cholesky" in found.verdict
    assert "short: stalled" in found.verdict


def test_results_are_json_without_nan_and_read_back(both):
    text = (both.folder / "results.json").read_text()
    document = json.loads(text, parse_constant=lambda word: pytest.fail(f"{word} in results.json"))
    assert document == both.document
    assert document["kind"] == "solvers"


def test_only_seconds_differ_between_repeats(both):
    for runs in _by_pair(both.runs).values():
        first, *rest = runs
        for run in rest:
            assert run.counts == first.counts
            assert run.curve("objective") == first.curve("objective")


def _by_pair(runs):
    pairs = {}
    for run in runs:
        pairs.setdefault((run.name.problem, run.name.method), []).append(run)
    return pairs


def test_a_run_that_proves_nothing_is_not_repeated(both):
    counted = {pair[1]: len(runs) for pair, runs in _by_pair(both.runs).items()}
    assert counted == {"cholesky": 2, "lsqr": 2, "short": 1, "raising": 1}


def test_the_same_call_again_runs_nothing(tmp_path):
    compare(tmp_path / "r")
    told = Interrupted(1)
    again = compare(tmp_path / "r", progress=told)
    assert (told.total, told.cached) == (4, 4)
    assert len(again.runs) == 4


def test_another_method_adds_only_its_own_runs(tmp_path):
    compare(tmp_path / "r")
    told = Interrupted()
    wider = compare(tmp_path / "r", [Cholesky(), LSQR(), QR()], progress=told)
    assert (told.total, told.cached) == (6, 4)
    assert set(wider.document["problems"]["ridge"]["methods"]) == {"cholesky", "lsqr", "qr"}


def test_a_kill_loses_no_finished_run_and_the_same_call_resumes(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        compare(tmp_path / "r", progress=Interrupted(3))
    told = Interrupted()
    compare(tmp_path / "r", progress=told)
    assert told.cached == 3


def test_another_weight_is_another_problem():
    """No data and no loss tell the weight of a penalty."""
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((30, 4)), rng.standard_normal(30)
    fingerprints = {ow.problems.lasso(X, y, weight).fingerprint() for weight in (0.1, 0.2)}
    assert len(fingerprints) == 2


def test_another_tolerance_is_another_folder(tmp_path):
    compare(tmp_path / "r")
    with pytest.raises(BadFolder, match="tol"):
        compare(tmp_path / "r", tol=1e-8)


def test_the_best_run_has_its_weights(both):
    best = both.best
    assert best.state_dict()["w"].shape == (5,)
    assert best.name.method in ("cholesky", "lsqr")


def test_a_page_and_a_table_can_be_made_again_from_the_folder(both, tmp_path):
    page = write_report(both.folder, tmp_path / "again.html")
    assert page.read_text() == (both.folder / "report.html").read_text()
    table = export(both.folder, "csv", tmp_path / "table.csv")
    assert {"objective", "gradient equivalents"} <= set(table.read_text().replace(",", "\n").split("\n"))


def test_there_is_nothing_to_score(both):
    with pytest.raises(BadProtocol, match="nothing to score"):
        rescore(both.folder, axis="steps")


def test_a_method_that_fits_one_problem_is_named_as_not_eligible_on_the_other(tmp_path):
    problems = [regression(), ow.problems.more_garbow_hillstrom("beale")]
    found = compare(tmp_path / "r", [Cholesky(), LevenbergMarquardt()], problems)
    told = found.document["problems"]
    assert told["ridge"]["methods"]["levenberg-marquardt"]["status"] == "not eligible"
    assert "residual map" in told["ridge"]["methods"]["levenberg-marquardt"]["refusal"]
    assert told["more-garbow-hillstrom:name=beale"]["methods"]["levenberg-marquardt"]["certified"]


REFUSED = [
    ("a method that fits nowhere", {"methods": [LevenbergMarquardt()]}, UnmetNeed, "residual map"),
    ("a setting of tuned methods", {"trials": 4}, BadProtocol, "trials does not belong here"),
    ("no tolerance", {"tol": 0.0}, BadProtocol, "tol is 0"),
    ("no time", {"max_seconds": -1.0}, BadProtocol, "max_seconds is -1"),
    ("no repeat", {"repeats": 0}, BadProtocol, "repeats is 0"),
    ("a tolerance below rounding", {"tol": 1e-17}, BadProtocol, "nothing below"),
    ("two of one name", {"methods": [Cholesky(), Cholesky()]}, BadProtocol, "'cholesky'"),
]


@pytest.mark.parametrize(("changed", "error", "said"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_what_the_caller_can_mend_is_refused_before_any_work(tmp_path, changed, error, said):
    with pytest.raises(error, match=said):
        compare(tmp_path / "r", **changed)
    assert not (tmp_path / "r").exists()


def test_a_setting_of_solvers_is_refused_where_methods_are_tuned(tmp_path):
    with pytest.raises(BadProtocol, match="tol belongs to comparisons of solvers"):
        ow.compare(ow.problems.rosenbrock(), [ow.SGD(lr=1e-3)], out=tmp_path / "r", tol=1e-3)


def test_solvers_and_rules_together_go_the_road_of_rules(tmp_path):
    """On a problem without sampling a solver is a closed procedure, paid for by its gradients."""
    found = ow.compare(
        ow.problems.rosenbrock(),
        [ow.SGD(lr=1e-3), Downhill()],
        out=tmp_path / "r",
        budget=20,
        studies=1,
        seeds=1,
        target=None,
        workers=1,
    )
    runs = [run for run in found.runs if run.name.method == "downhill"]
    assert runs
    assert all(run.counts["example-gradients"] >= run.counts["steps"] for run in runs)


@dataclass(frozen=True, kw_only=True)
class Downhill(Solver):
    """Plain descent by halving steps, enough to be run step by step."""

    def solve(self, problem, w):
        step = 1e-3
        while True:
            f, g = problem.f_and_gradient(w)
            while problem.value(w - step * g) > f:
                step /= 2
            w = w - step * g
            yield Iterate(w, problem.value(w), step)


def test_check_says_what_it_would_cost(tmp_path):
    report = ow.check(regression(), [Cholesky(), ConjugateGradient()], repeats=3)
    assert report.document["predicted_seconds"] > 0
    assert "cholesky" in report.text
