"""What `auto` does depends on the problem alone: no clock, no load, nobody's basin, nobody's crash."""

import re
import time
from dataclasses import dataclass

import numpy as np
import pytest
import torch

import optwise as ow
from optwise.core.oracles import Oracle
from optwise.core.solver import SMOOTH, Iterate, Solver
from optwise.core.status import Status
from optwise.methods.solvers import SOLVERS
from optwise.verbs import automatic, turns
from optwise.verbs.solutions import certified

FIRST_ORDER = ("lbfgs", "nonlinear-cg", "bfgs")


@dataclass(frozen=True, kw_only=True)
class Scripted(Solver):
    """Notes where it is started, yields the given multiples of the vector of ones, and raises if it is told to."""

    points: tuple = ()
    error: str = ""
    asks: frozenset = SMOOTH
    starts: list | None = None

    @property
    def needs(self):
        return self.asks

    def solve(self, problem, w):
        if self.starts is not None:
            self.starts.append((self.label, w.clone()))
        for at in self.points:
            point = torch.full_like(w, at)
            yield Iterate(point, problem.value(point))
        if self.error:
            raise ArithmeticError(self.error)


def scripted(monkeypatch, **scripts):
    """Only these methods are left, by name with dashes for underscores, and every other one gives up at once."""
    starts = []
    table = {name: lambda name=name: Scripted(name=name, starts=starts) for name in SOLVERS}
    for name, script in scripts.items():
        label = name.replace("_", "-")
        table[label] = lambda label=label, script=script: Scripted(
            name=label, starts=starts, asks=SOLVERS[label]().needs, **script
        )
    for name in table:
        if name.replace("-", "_") not in scripts:
            table[name] = lambda name=name: Scripted(name=name, starts=starts, asks=SOLVERS[name]().needs)
    monkeypatch.setattr(automatic, "SOLVERS", table)
    return starts


def wavy():
    """Not known to be convex; its lowest values lie near 1."""
    return ow.problems.smooth(lambda w: 1 + (w - 1).square().sum() + 0.1 * (3 * w).sin().square().sum(), [5.0, 5.0])


def bowl():
    return ow.problems.smooth(lambda w: 1 + (w - 1).square().sum(), [5.0, 5.0], convex=True)


def test_another_family_starts_from_the_callers_point_and_the_same_one_goes_on(monkeypatch):
    everybody = {name.replace("-", "_"): {"points": (2.0,)} for name in SOLVERS}
    starts = scripted(monkeypatch, **everybody)
    run = ow.solve(wavy())
    assert run.status is Status.STALLED
    families = set()
    assert len(starts) == turns.ATTEMPTS
    for name, w in starts:
        needs = SOLVERS[name]().needs
        assert w.tolist() == ([2.0, 2.0] if needs in families else [5.0, 5.0]), name
        families.add(needs)
    assert 1 < len(families) < turns.ATTEMPTS


def test_on_a_convex_problem_everybody_goes_on_from_the_best_point(monkeypatch):
    starts = scripted(monkeypatch, **{name.replace("-", "_"): {"points": (2.0,)} for name in SOLVERS})
    ow.solve(bowl())
    assert [w.tolist() for _, w in starts] == [[5.0, 5.0]] + [[2.0, 2.0]] * (turns.ATTEMPTS - 1)


def test_a_crash_is_one_methods_own(monkeypatch):
    first = ow.explain(wavy()).eligible[0].method
    broken = {**SOLVERS, first: lambda: Scripted(points=(2.0,), error="no step today", name=first)}
    monkeypatch.setattr(automatic, "SOLVERS", broken)
    run = ow.solve(wavy())
    assert certified(run)
    assert run.method.label != first
    assert f"{first} ended 'crashed' first (ArithmeticError: no step today)" in run.why
    assert not run.traceback


def test_where_all_crash_the_answer_is_crashed_with_a_traceback_and_the_best_point(monkeypatch):
    scripted(monkeypatch, **{name.replace("-", "_"): {"points": (2.0,), "error": "none"} for name in SOLVERS})
    run = ow.solve(wavy())
    assert run.status is Status.CRASHED
    assert "ArithmeticError: none" in run.traceback
    assert run.w.tolist() == [2.0, 2.0]


def test_one_that_stalled_and_five_that_crashed_are_stalled(monkeypatch):
    scripts = {name.replace("-", "_"): {"points": (3.0,), "error": "none"} for name in SOLVERS}
    second = ow.explain(wavy()).eligible[1].method.replace("-", "_")
    scripts[second] = {"points": (2.0,)}
    scripted(monkeypatch, **scripts)
    run = ow.solve(wavy())
    assert run.status is Status.STALLED
    assert run.w.tolist() == [2.0, 2.0]


def double_well():
    """Stationary at -1 with the value 2 and, lower, at 1 with about 1; the hump between them is near 0."""
    return ow.problems.smooth(lambda w: 1 + ((w.square() - 1).square() + 0.5 * (1 - w).square() * 0.25).sum(), [-1.2])


def test_a_stationary_point_above_a_value_that_was_seen_is_not_the_last_word(monkeypatch):
    """Whoever found the lower value could not prove it; the next method goes on from there and does."""
    first, second = (choice.method for choice in ow.explain(double_well()).eligible[:2])
    assert SOLVERS[first]().needs == SOLVERS[second]().needs
    low = lambda: Scripted(points=(0.9,), name=first, asks=frozenset({Oracle.VALUE}))  # noqa: E731
    monkeypatch.setattr(automatic, "SOLVERS", {**SOLVERS, first: low})
    run = ow.solve(double_well())
    assert run.status is Status.STATIONARY
    assert float(run.w) == pytest.approx(1.0, abs=1e-3)
    assert run.value == pytest.approx(1.0, abs=1e-6)


def mixed():
    """Problems of several structures, by name."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((40, 12))
    t = torch.linspace(0, 4, 30, dtype=torch.float64)
    return {
        "lasso": ow.problems.lasso(X, X[:, 0], 0.1),
        "softmax": ow.problems.softmax(X, np.arange(40) % 3, l1=0.02),
        "decay": ow.problems.nonlinear_least_squares(lambda w: w[0] * torch.exp(-w[1] * t) - torch.exp(-t), [2.0, 0.1]),
        "corner": ow.problems.smooth(lambda w: w.abs().max(), [5.0, -3.3]),
        "rosenbrock": ow.problems.rosenbrock(6),
    }


def facts(run):
    return run.w.numpy().tobytes(), run.status, run.why, dict(run.counts), run.value


def test_the_same_call_gives_the_same_bits_reason_and_counts_whatever_was_solved_before():
    first = {name: facts(ow.solve(problem)) for name, problem in mixed().items()}
    for name, problem in reversed(mixed().items()):
        assert facts(ow.solve(problem)) == first[name], name
        assert facts(ow.solve(problem)) == first[name], name  # the very same object


@pytest.mark.parametrize("name", ["decay", "corner", "rosenbrock"])
def test_a_machine_on_which_everything_takes_longer_gives_the_same_answer(name, monkeypatch):
    """Every look at the clock is an hour after the last one: nobody who has no deadline may care."""
    expected = facts(ow.solve(mixed()[name]))
    hours = iter(range(10**9))
    monkeypatch.setattr(time, "perf_counter", lambda: 3600.0 * next(hours))
    assert facts(ow.solve(mixed()[name])) == expected


def test_the_reason_tells_work_and_no_seconds():
    run = ow.solve(ow.problems.smooth(lambda w: w.abs().max(), [5.0, -3.3]))
    assert not re.search(r"\d s\b|second", run.why)


def test_a_sum_of_squares_goes_to_the_damped_method_first():
    """Gulf research and development from its standard start, where others wander for seconds."""
    t = torch.arange(1, 100, dtype=torch.float64) / 100
    y = 25 + (-50 * torch.log(t)) ** (2 / 3)
    gulf = ow.problems.nonlinear_least_squares(
        lambda w: torch.exp(-((y - w[1]).abs() ** w[2]) / w[0]) - t, [5.0, 2.5, 0.15], reduction="sum"
    )
    run = ow.solve(gulf)
    assert run.method.label == "levenberg-marquardt"
    assert run.value < 1e-12  # the published minimum is 0
    assert torch.allclose(run.w, torch.tensor([50.0, 25.0, 1.5], dtype=torch.float64), rtol=1e-3)


class Clock:
    """A clock that moves only where somebody says so."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


@pytest.mark.parametrize("method", ["auto", "lbfgs", "newton", "trust-region", "nelder-mead", "accelerated-gradient"])
def test_a_time_limit_holds_within_one_evaluation_and_one_certificate(method, monkeypatch):
    """A function that takes half a second on a clock of its own, two seconds allowed."""
    clock, asked = Clock(), []

    def slow(w):
        clock.now += 0.5
        asked.append(clock.now)
        return (w - 1).square().square().sum() + w.square().sum()

    problem = ow.problems.smooth(slow, [5.0, 3.0])
    clock.now = 0.0
    asked.clear()
    monkeypatch.setattr(time, "perf_counter", clock)
    run = ow.solve(problem, method, max_seconds=2)
    assert run.status is Status.BUDGET_SPENT
    assert clock.now <= 2.0 + 0.5 + 0.5  # the question in which it passed, and one more for a certificate
    assert run.value <= 306.0  # the start's


def test_a_time_limit_holds_for_residuals(monkeypatch):
    clock = Clock()

    def slow(w):
        clock.now += 0.5
        return torch.stack([w[0] ** 3 - 1, w[1] - 3, w[0] * w[1]])

    problem = ow.problems.nonlinear_least_squares(slow, [5.0, 3.0])
    clock.now = 0.0
    monkeypatch.setattr(time, "perf_counter", clock)
    run = ow.solve(problem, max_seconds=4)
    assert run.status is Status.BUDGET_SPENT
    assert clock.now <= 4.0 + 0.5 + 0.5


def test_a_random_loss_is_called_random():
    generator = torch.Generator().manual_seed(0)

    def dropped(w):
        kept = torch.rand(w.shape, generator=generator) < 0.7
        return (w * kept - 1).square().sum()

    for method in ("auto", "lbfgs"):
        run = ow.solve(ow.problems.smooth(dropped, np.linspace(1.0, 3.0, 30)), method)
        assert not certified(run)
        assert "The loss is random" in run.why


def test_a_loss_that_is_not_random_is_not_called_so():
    assert "random" not in ow.solve(mixed()["corner"]).why


def test_an_answer_handed_back_is_solved_at_once():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((60, 20))
    problem = ow.problems.lasso(X, X[:, 0], 0.1)
    answer = ow.solve(problem, tol=1e-10)
    for method in ("auto", "fista", "proximal-newton", "admm", "pdhg", "semismooth-newton"):
        again = ow.solve(problem, method, w0=answer.w)
        assert (again.status, again.counts["iterations"]) == (Status.OPTIMAL, 0.0), method
        assert torch.equal(again.w, answer.w)
