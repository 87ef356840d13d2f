"""The answer to a formulated problem: what is claimed is proved, what fails is a status with the best point found."""

import json
import math
from dataclasses import dataclass

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.linear_model import Lasso
from torch import nn

import optwise as ow
from optwise.analyses.solver_costs import rank
from optwise.core.certificate import CertificateKind
from optwise.core.errors import BadMethod, BadProblem, BadProtocol, UnknownName, UnmetNeed
from optwise.core.solver import CONVEX, SMOOTH, Iterate, Solver
from optwise.core.status import Status
from optwise.methods.solvers import SOLVERS
from optwise.verbs.solutions import certified, solution_document, solution_text


def data(n=60, p=20, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, p))
    return X, X[:, :3].sum(1) + 0.1 * rng.standard_normal(n)


def lasso(weight=0.1, dtype=np.float64):
    X, y = data()
    return ow.problems.lasso(X.astype(dtype), y.astype(dtype), weight)


def test_a_lasso_is_solved_to_what_scikit_learn_finds():
    X, y = data()
    run = ow.solve(lasso(), tol=1e-10)
    theirs = Lasso(alpha=0.1, fit_intercept=False, tol=1e-14, max_iter=100_000).fit(X, y).coef_
    assert run.status is Status.OPTIMAL
    assert np.allclose(run.w.numpy(), theirs, atol=1e-8)
    assert (run.w == 0).sum() == (theirs == 0).sum()  # zeros are zeros


def test_the_run_says_everything_it_promises():
    run = ow.solve(lasso())
    assert run.certificate.kind is CertificateKind.OPTIMALITY
    assert 0 <= run.certificate.value <= 1e-6
    assert run.certificate.scale == 0  # no floor was needed
    assert run.method.label in SOLVERS
    assert run.why.startswith(f"{run.method.label}: ")
    assert run.counts["iterations"] >= 1
    assert run.seconds > 0
    frame = run.trace
    assert list(frame.columns[:5]) == ["iteration", "seconds", "value", "certificate", "step"]
    assert {"gradients", "evaluations", "products"} <= set(frame.columns)
    assert frame["iteration"].tolist() == list(range(len(frame)))
    assert run.value == pytest.approx(frame["value"].iloc[-1], rel=1e-12)


def test_the_certificate_bounds_the_true_error_at_every_tolerance():
    best = ow.solve(lasso(), tol=1e-13).value
    for tol in (1e-1, 1e-2, 1e-4, 1e-8):
        run = ow.solve(lasso(), method="fista", tol=tol)
        assert run.value - best <= run.certificate.value * max(run.value, best) * (1 + 1e-9)
        assert run.certificate.value <= tol


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_dtype_of_the_data_is_that_of_the_answer(dtype):
    run = ow.solve(lasso(dtype=dtype), tol=1e-5)
    assert run.w.numpy().dtype == dtype
    assert certified(run)


def test_float32_that_cannot_reach_the_tolerance_says_so():
    X, y = data(p=3)
    badly = (X * np.array([1.0, 1e-4, 1e4])).astype(np.float32)
    run = ow.solve(ow.problems.least_squares(badly, (y + 1e3).astype(np.float32)), method="lsqr", tol=6e-7)
    assert certified(run) or "float64" in run.why


def test_a_shape_of_its_own_comes_back():
    X, _ = data()
    labels = np.arange(60) % 3
    assert ow.solve(ow.problems.softmax(X, labels, l2=0.1)).w.shape == (20, 3)


def test_a_network_is_solved_over_all_its_examples():
    X, y = data(40, 5)
    problem = ow.problems.from_module(
        lambda: nn.Linear(5, 1).double(), F.mse_loss, (X, y[:, None]), batch_size=8, name="net"
    )
    run = ow.solve(problem, method="lbfgs", tol=1e-8)
    assert run.status is Status.STATIONARY  # nobody said that it is convex
    best = np.linalg.lstsq(np.c_[X, np.ones(40)], y, rcond=None)[0]
    assert torch.allclose(run.state_dict()["weight"][0], torch.from_numpy(best[:5]), atol=1e-6)
    assert run.w.shape == (6,)  # two leaves, packed


def test_a_start_may_be_given():
    exact = ow.solve(lasso(), tol=1e-12).w
    again = ow.solve(lasso(), method="fista", w0=exact)
    assert again.counts["iterations"] <= 2
    shaped = ow.solve(lasso(), method="fista", w0=exact.numpy().tolist())
    assert certified(shaped)


SMOOTH_SOLVERS = (
    "armijo-descent",
    "wolfe-descent",
    "barzilai-borwein",
    "accelerated-gradient",
    "nonlinear-cg",
    "bfgs",
    "lbfgs",
    "newton",
    "newton-cg",
    "trust-region",
    "nelder-mead",
)


@pytest.mark.parametrize("falls", [lambda w: -w.sum(), lambda w: -w.square().sum()], ids=["linearly", "faster"])
@pytest.mark.parametrize("method", SMOOTH_SOLVERS)
def test_a_function_that_falls_for_ever_ends_every_solver_soon(method, falls):
    """Some go a bounded way a step: a slope then takes them for ever unless the way is followed on."""
    run = ow.solve(ow.problems.smooth(falls, [1.0, 2.0]), method=method)
    assert run.status is Status.UNBOUNDED
    assert run.counts["iterations"] <= 64


def test_an_unbounded_problem_is_certified_along_a_ray():
    run = ow.solve(
        ow.problems.smooth(lambda w: w[0] - w[1] + 0 * w.square().sum(), [0.0, 0.0]), method="armijo-descent"
    )
    assert run.status is Status.UNBOUNDED
    assert run.certificate.kind is CertificateKind.UNBOUNDEDNESS
    assert not certified(run)


def test_a_wall_of_nan_is_no_obstacle():
    run = ow.solve(ow.problems.smooth(lambda w: w.sum() - w.log().sum(), [0.1, 5.0]))
    assert certified(run)
    assert torch.allclose(run.w, torch.ones(2, dtype=torch.float64), atol=1e-4)


def test_rosenbrock_is_optimal_by_its_known_optimum():
    run = ow.solve(ow.problems.rosenbrock(2), method="newton", tol=1e-9)
    assert run.status is Status.OPTIMAL
    assert run.certificate.name == "known optimum"


def test_a_local_minimum_is_called_stationary_and_never_optimal():
    """From four dimensions on Rosenbrock's function has one near (-1, 1, ..., 1), of value 3.7 to 4."""
    start = torch.ones(4, dtype=torch.float64)
    start[0] = -1.0
    run = ow.solve(ow.problems.rosenbrock(4), method="newton", w0=start)
    assert run.value > 3
    assert run.status is Status.STATIONARY


@dataclass(frozen=True, kw_only=True)
class Scripted(Solver):
    """Yields points that it was told."""

    points: tuple = ()
    error: str = ""

    def solve(self, problem, w):
        for point in self.points:
            yield Iterate(torch.full_like(w, point), problem.value(torch.full_like(w, point)))
        if self.error:
            raise RuntimeError(self.error)


@dataclass(frozen=True, kw_only=True)
class Picky(Solver):
    """Right on convex problems only."""

    needs = SMOOTH | CONVEX

    def solve(self, problem, w):
        yield Iterate(w, problem.value(w))


def bowl():
    return ow.problems.smooth(lambda w: 1 + (w - 1).square().sum(), [5.0, 5.0])


def test_what_stalls_keeps_the_best_point_and_says_what_it_proves():
    run = ow.solve(bowl(), method=Scripted(points=(3.0, 2.0, 4.0)))
    assert run.status is Status.STALLED
    assert run.w.tolist() == [2.0, 2.0]
    assert run.certificate.value > 1e-6


def test_what_crashes_keeps_the_best_point_and_the_traceback():
    run = ow.solve(bowl(), method=Scripted(points=(2.0,), error="no step today"))
    assert run.status is Status.CRASHED
    assert run.w.tolist() == [2.0, 2.0]
    assert "no step today" in run.traceback


def test_time_may_be_limited():
    run = ow.solve(ow.problems.rosenbrock(50), method="armijo-descent", max_seconds=1e-6)
    assert run.status is Status.BUDGET_SPENT
    assert math.isfinite(run.value)


def test_where_one_method_stalls_auto_goes_on_with_the_next(monkeypatch):
    from optwise.verbs import automatic

    problem = ow.problems.ridge(*data(), 0.1)
    first = ow.explain(problem).eligible[0].method
    broken = {**SOLVERS, first: lambda: Scripted(points=(0.5,), name=first)}
    monkeypatch.setattr(automatic, "SOLVERS", broken)
    run = ow.solve(problem)
    assert certified(run)
    assert run.method.label != first
    assert f"{first} ended 'stalled' first" in run.why


def test_where_one_method_takes_too_long_auto_goes_on_with_the_next_from_where_it_came(monkeypatch):
    from optwise.verbs import automatic, turns

    monkeypatch.setattr(turns, "LEAST", 1e-3)
    monkeypatch.setattr(turns, "PATIENCE", 0.0)
    problem = ow.problems.ridge(*data(), 0.1)
    first, second = (choice.method for choice in ow.explain(problem).eligible[:2])
    endless = Scripted(points=tuple(1.0 + 2.0**-k for k in range(100_000)), name=first)
    monkeypatch.setattr(automatic, "SOLVERS", {**SOLVERS, first: lambda: endless})
    run = ow.solve(problem)
    assert certified(run)
    assert run.method.label == second
    assert f"{first} had not proved it after" in run.why


def test_a_method_that_is_left_alone_is_given_all_the_time_there_is(monkeypatch):
    """The others stall; the one that only needed longer is asked again, and its rows follow those of all before."""
    from optwise.verbs import automatic, turns

    monkeypatch.setattr(turns, "LEAST", 1e-3)
    monkeypatch.setattr(turns, "PATIENCE", 0.0)
    problem = ow.problems.rosenbrock(30)
    first = ow.explain(problem).eligible[0].method
    others = {name: lambda: Scripted(points=(0.5,)) for name in SOLVERS if name != first}
    monkeypatch.setattr(automatic, "SOLVERS", {**others, first: SOLVERS[first]})
    run = ow.solve(problem)
    assert certified(run)
    assert run.method.label == first
    assert list(run.trace["iteration"]) == list(range(len(run.trace)))
    assert run.trace["seconds"].is_monotonic_increasing


def test_explain_names_every_solver_with_a_cost_or_a_reason():
    found = ow.explain(lasso())
    assert {choice.method for choice in found.choices} == set(SOLVERS)
    assert all(math.isfinite(choice.seconds) and choice.reason for choice in found.eligible)
    assert all(choice.method in choice.reason for choice in found.choices if not choice.eligible)
    ranks = [rank(choice.method, found.of) for choice in found.eligible]
    assert ranks == sorted(ranks)
    assert "would ignore" in next(c.reason for c in found.choices if c.method == "cholesky")


def test_every_eligible_solver_solves_a_small_lasso_and_a_small_ridge():
    for problem in (lasso(), ow.problems.ridge(*data(), 0.1)):
        best = ow.solve(problem, tol=1e-12).value
        for choice in ow.explain(problem).eligible:
            run = ow.solve(problem, method=choice.method, tol=1e-5, max_seconds=20)
            assert run.status is Status.OPTIMAL or choice.method == "nelder-mead", choice.method
            if run.status is Status.OPTIMAL:
                assert run.value <= best * (1 + 1.1e-5)


def test_the_document_is_json_and_holds_the_weights_and_how_they_were_found():
    run = ow.solve(lasso())
    document = solution_document(run)
    text = json.dumps(document, allow_nan=False)
    assert json.loads(text)["certificate"]["kind"] == "optimality"
    assert document["certified"] is True
    assert len(document["trace"]["value"]) == run.counts["iterations"] + 1
    assert document["w"] == run.w.tolist()
    assert document["nonzeros"] == int(run.w.count_nonzero())
    assert document["message"].startswith(run.status.value)
    assert document["evaluations"] == run.counts["evaluations"] > 0
    assert document["trace"]["value"] == run.trace["value"].tolist()
    assert set(document["trace"]) == set(run.trace.columns)
    assert "duality gap" in solution_text(run)


X, Y = data()
REFUSED = [
    ("no problem", lambda: ow.solve(3), BadProblem, "3 is no Problem"),
    ("no tolerance", lambda: ow.solve(lasso(), tol=0.0), BadProtocol, "tol is 0"),
    ("a tolerance in percent", lambda: ow.solve(lasso(), tol=5), BadProtocol, "tol is 5"),
    ("below float64", lambda: ow.solve(lasso(), tol=1e-16), BadProtocol, "float64 cannot be certified below"),
    ("below float32", lambda: ow.solve(lasso(dtype=np.float32), tol=1e-8), BadProtocol, "give float64 data"),
    ("no time", lambda: ow.solve(lasso(), max_seconds=0), BadProtocol, "max_seconds is 0"),
    ("an unknown solver", lambda: ow.solve(lasso(), method="fsita"), UnknownName, "Did you mean 'fista'"),
    ("a rule", lambda: ow.solve(lasso(), method=ow.SGD(lr=0.1)), BadMethod, "sgd is no solver"),
    ("a class", lambda: ow.solve(lasso(), method=ow.SGD), BadMethod, "is no solver"),
    ("a penalty ignored", lambda: ow.solve(lasso(), method="lbfgs"), UnmetNeed, "would ignore it"),
    ("no bounds", lambda: ow.solve(bowl(), method="lbfgsb"), UnmetNeed, "needs bounds"),
    ("not convex", lambda: ow.solve(bowl(), method=Picky()), UnmetNeed, "picky needs convexity of the objective"),
    ("another start", lambda: ow.solve(lasso(), w0=[1.0]), BadProblem, r"w0 has shape \(1,\)"),
    ("a start that is none", lambda: ow.solve(lasso(), w0="zero"), BadProblem, "w0 is of type str"),
    ("a start not finite", lambda: ow.solve(lasso(), w0=np.full(20, np.nan)), BadProblem, "not finite"),
]


@pytest.mark.parametrize(("call", "error", "said"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_what_the_caller_can_mend_is_one_sentence(call, error, said):
    with pytest.raises(error, match=said) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_a_penalty_without_a_prox_is_refused_by_what_is_missing():
    class Peak(ow.Penalty):
        def value(self, w):
            return w.abs().max()

    problem = ow.problems.composite(lambda w: w.square().sum(), Peak(), w0=[1.0, 1.0], convex=True)
    with pytest.raises(UnmetNeed, match="fista needs prox, which the Peak of composite does not have"):
        ow.solve(problem, method="fista")
    nearest = "No method can solve composite, which has Peak: proximal-gradient comes nearest and lacks prox"
    with pytest.raises(UnmetNeed, match=nearest):
        ow.solve(problem)
    assert nearest in ow.explain(problem).text
