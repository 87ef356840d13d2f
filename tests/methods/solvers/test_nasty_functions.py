"""Whatever a function does, a solver ends with a status: it never raises, and nothing is written to the terminal."""

import math
import warnings

import numpy as np
import pytest
import torch

import optwise as ow
from optwise.core.errors import CallerError
from optwise.core.matching import mismatch
from optwise.core.status import Status
from optwise.engine import solving as engine
from optwise.engine.solving import run_solver
from optwise.methods.solvers import SOLVERS
from optwise.verbs.formulating import formulate

DTYPES = (torch.float64, torch.float32)
ITERATIONS = 250
"""Enough for weights that halve in each of them to leave the range of float32, and to begin to in float64."""


def scale(w):
    """A number whose square is just within the range of the dtype."""
    return 1e150 if w.dtype == torch.float64 else 1e18


FUNCTIONS = {
    "nan beyond a wall": (lambda w: torch.where(w[0] > 2.0, torch.nan, (w - 1.99).square().sum()), [0.0, 0.0]),
    "a logarithm's wall": (lambda w: (w - 3).square().sum() + torch.log(2.5 - w[0]), [0.0, 0.0]),
    "infinite gradient at the start": (lambda w: w.abs().sqrt().sum(), [0.0, 0.0]),
    "infinite gradient at the answer": (lambda w: w.abs().sqrt().sum(), [5.0, -3.3]),
    "exponentials": (lambda w: torch.exp(w.square()).sum(), [5.0, -3.0]),
    "underflow": (lambda w: -torch.exp(-w.square().sum()), [20.0, 3.0]),
    "flat": (lambda w: -torch.exp(-w.square().sum()), [6.0, 3.0]),
    "constant": (lambda w: 0 * w.sum() + 3.0, [1.0, 2.0]),
    "without a graph": (lambda w: w.detach().sum() * 0 + 3.0, [1.0, 2.0]),
    "linear": (lambda w: w.sum(), [1.0, 2.0]),
    "cubic": (lambda w: w[0] ** 3 + w[1] ** 2, [1.0, 1.0]),
    "largest entry": (lambda w: w.abs().max(), [5.0, -3.3]),
    "sum of entries": (lambda w: w.abs().sum(), [5.0, -3.3]),
    "length": (lambda w: w.square().sum().sqrt(), [5.0, -3.3]),
    "steps": (lambda w: torch.floor(w).abs().sum(), [5.0, -3.3]),
    "a jump": (lambda w: w.square().sum() + (w[0] > 1).to(w.dtype), [5.0, -3.3]),
    "huge values": (lambda w: scale(w) * (w - 1).square().sum(), [5.0, -3.3]),
    "tiny values": (lambda w: (w - 1).square().sum() / scale(w), [5.0, -3.3]),
    "huge weights": (lambda w: (w / scale(w) - 1).square().sum(), [0.0, 0.0]),
    "tiny weights": (lambda w: (w * scale(w) - 1).square().sum(), [0.0, 0.0]),
    "units": (lambda w: (w[0] * 1e8 - 1).square() + (w[1] * 1e-8 - 1).square(), [0.0, 0.0]),
    "a saddle": (lambda w: w[0] ** 2 - w[1] ** 2 + w[1] ** 4, [0.0, 0.0]),
    "poles": (lambda w: torch.tan(w).sum(), [1.0, 1.0]),
    "one variable": (lambda w: (w - 1).square().sum(), [5.0]),
    "solved": (lambda w: 1 + (w - 1).square().sum(), [1.0]),
    "ripples": (lambda w: (w.square() * torch.sin(1 / w)).sum(), [0.3, 0.1]),
}

RESIDUALS = {
    "nan beyond a wall": (lambda w: torch.where(w[0] > 2, torch.nan, w - 1.99), [0.0, 0.0]),
    "a root's wall": (lambda w: torch.stack([torch.sqrt(w[0]), w[1] - 2, w[0] - w[1]]), [0.1, 0.1]),
    "infinite Jacobian at the answer": (lambda w: torch.stack([w[0].abs().sqrt(), w[1]]), [1.0, 1.0]),
    "infinite Jacobian at the start": (lambda w: torch.stack([w[0].abs().sqrt() + 1, w[1]]), [0.0, 1.0]),
    "no Jacobian": (lambda w: torch.exp(-w.square()) * torch.ones(2).to(w) + 1, [30.0, 30.0]),
    "constant": (lambda w: 0 * w + 2, [1.0, 1.0]),
    "zero": (lambda w: 0 * w, [1.0, 1.0]),
    "tenth power": (lambda w: torch.stack([w[0] ** 10 - 1, w[1] - 3]), [30.0, 0.0]),
    "huge": (lambda w: (scale(w) ** 0.5) * (w - 1), [5.0, 5.0]),
    "tiny": (lambda w: (w - 1) / scale(w), [5.0, 5.0]),
    "more weights than residuals": (lambda w: w.sum()[None] - 1, [5.0, 5.0, 2.0]),
}


def nasty():
    """Every problem, by name."""
    for dtype in DTYPES:
        for name, (f, start) in FUNCTIONS.items():
            w0 = torch.tensor(start, dtype=dtype)
            yield f"{name}, {dtype}", lambda f=f, w0=w0: ow.problems.smooth(f, w0)
            more = {"bounds": (-10.0, 10.0), "convex": dtype == torch.float64}
            yield f"{name}, bounded, {dtype}", lambda f=f, w0=w0, more=more: ow.problems.smooth(f, w0, **more)
        for name, (f, start) in RESIDUALS.items():
            w0 = torch.tensor(start, dtype=dtype)
            yield f"{name}, {dtype}", lambda f=f, w0=w0: ow.problems.nonlinear_least_squares(f, w0)


def data(kind, dtype):
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((12, 5)), rng.standard_normal(12)
    if kind == "huge":
        X = X * (1e140 if dtype == np.float64 else 1e15)
    elif kind == "tiny":
        X = X * (1e-150 if dtype == np.float64 else 1e-18)
    elif kind == "units":
        X = X * 10.0 ** rng.uniform(4, 9, 5)
    elif kind == "dependent":
        X[:, 1], X[:, 2] = X[:, 0], 0.0
    else:
        X = X * 0.0
    return X.astype(dtype), y.astype(dtype)


def linear():
    """The same for linear models."""
    for dtype in (np.float64, np.float32):
        for kind in ("huge", "tiny", "units", "dependent", "zero"):
            X, y = data(kind, dtype)
            makers = {
                "least squares": lambda X=X, y=y: ow.problems.least_squares(X, y),
                "ridge": lambda X=X, y=y: ow.problems.ridge(X, y, 0.1),
                "nnls": lambda X=X, y=y: ow.problems.nnls(abs(X), y),
                "lasso": lambda X=X, y=y: ow.problems.lasso(X, y, 0.01),
                "sparse logistic": lambda X=X, y=y: ow.problems.logistic(X, y > 0, l1=0.01),
                "logistic": lambda X=X, y=y: ow.problems.logistic(X, y > 0, l2=0.01),
                "huber": lambda X=X, y=y: ow.problems.huber(X, y, 0.1),
            }
            for name, make in makers.items():
                yield f"{name}, {kind}, {np.dtype(dtype)}", make


def ends(make, solver):
    """How a solver ends on a problem after at most so many iterations; ``None`` where it does not fit."""
    try:
        formulated = formulate(make())
        problem = formulated.problem
        if mismatch(problem, solver) or solver.refusal(formulated.composite):
            return None
    except CallerError:
        return None
    composite = formulated.composite
    return run_solver(
        composite,
        solver,
        composite.start,
        certify=formulated.certify,
        find_ray=formulated.find_ray,
        tol=1e-6,
        turn_over=lambda iterations, counts: iterations >= ITERATIONS or sum(counts.values()) > 5 * ITERATIONS,
        look_first=True,
    )


@pytest.mark.slow
@pytest.mark.parametrize("method", SOLVERS)
def test_no_solver_crashes_or_speaks(method, monkeypatch, capfd):
    """Also not with the help of the caller, who takes the end of the numbers for no crash."""
    monkeypatch.setattr(engine, "_failed", pytest.fail)
    seen = 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name, make in (*nasty(), *linear()):
            course = ends(make, SOLVERS[method]())
            if course is None:
                continue
            seen += 1
            assert course.status is not Status.CRASHED, name
            assert bool(course.best.w.isfinite().all()), name
            assert not math.isnan(course.best.value), name
            start = course.rows[0].value
            assert course.best.value <= start + 1e-9 * abs(start) or course.certificate.meets(1e-6), name
    assert seen or method in ("dual-interior-point", "taut-string", "semismooth-augmented-lagrangian", "pdhg", "admm")
    assert capfd.readouterr() == ("", "")


SPOKE = {
    "trust-region": ("largest entry", "sum of entries", "huge weights"),
    "proximal-gradient": ("ripples", "a logarithm's wall"),
    "bfgs": ("sum of entries",),
}


@pytest.mark.parametrize("method", SPOKE)
@pytest.mark.parametrize("dtype", DTYPES)
def test_what_once_crashed_ends_with_a_status(method, dtype, capfd):
    for name in SPOKE[method]:
        f, start = FUNCTIONS[name]
        course = ends(
            lambda f=f, start=start: ow.problems.smooth(f, torch.tensor(start, dtype=dtype)), SOLVERS[method]()
        )
        assert course.status is not Status.CRASHED, course.traceback
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("method", ["gauss-newton", "levenberg-marquardt"])
@pytest.mark.parametrize("name", RESIDUALS)
def test_a_jacobian_that_is_not_finite_shortens_the_step(method, name, capfd):
    f, start = RESIDUALS[name]
    course = ends(lambda: ow.problems.nonlinear_least_squares(f, start), SOLVERS[method]())
    assert course.status is not Status.CRASHED, course.traceback
    assert bool(course.best.w.isfinite().all())
    if not any(word in name for word in ("wall", "infinite", "no Jacobian")):
        assert course.certificate.meets(1e-6)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("seed", range(1, 4))
def test_bounds_in_single_precision_with_entries_of_many_sizes_are_no_crash(seed):
    rng = np.random.default_rng(seed)
    X = np.abs(rng.standard_normal((30, 8))) * 10.0 ** rng.uniform(4, 9, 8)
    y = X @ np.abs(rng.standard_normal(8)) + rng.standard_normal(30)
    run = ow.solve(ow.problems.nnls(X.astype(np.float32), y.astype(np.float32)), "lbfgsb")
    assert run.status in (Status.OPTIMAL, Status.STALLED, Status.STATIONARY)
    assert run.status is Status.OPTIMAL or "give float64 data" in run.why


def test_a_division_by_zero_in_the_users_function_is_a_crash_and_ours_is_not():
    def divided(w):
        return w.square().sum() * (1.0 / float(w.detach()[0] == 5.0))

    run = ow.solve(ow.problems.smooth(divided, [5.0]), "lbfgs")
    assert run.status is Status.CRASHED
    assert "ZeroDivisionError" in run.traceback
