"""Timings of solvers and their peers in one process: lasso, logistic, L-BFGS, basis pursuit, total variation, auto.

Process time, one thread, medians of interleaved repeats; ratios below 1 are in our favour. A peer's own tolerance is
turned down until the accuracy named in the row is reached, measured by formulas of this file; ours is `ow.solve` as
anybody calls it, choice of method and certificate included. Last, what `auto` costs against our own best method on
problems that the cost model has not seen. Run it through benchmarks/solvers.py.
"""

import platform
import statistics
import sys
import time
import warnings
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from scipy.optimize import linprog, minimize

import optwise as ow
from optwise.core.composite import Composite, start_row
from optwise.methods.solvers import LBFGS

sys.path.insert(0, str(Path(__file__).parents[1]))
from solver_problems import LASSOS, LOGISTICS, lasso_data, logistic_data, pursuit_data, variation_data

torch.set_num_threads(1)
warnings.simplefilter("ignore")  # peers asked for more digits than they promise say so
REPEATS = 7
PATIENCE = 20.0
"""Seconds after which a peer is not asked for more digits."""
console = Console(width=150)


def seconds_of(work):
    begin = time.process_time()
    found = work()
    return time.process_time() - begin, found


def interleaved(works, repeats=REPEATS):
    """Median process seconds of each piece of work, the pieces in turns, each done once uncounted before it is timed.

    Peers of one package warm each other's code up; without that first time the one package alone would run cold.
    """
    taken = {name: [] for name in works}
    for _ in range(repeats):
        for name, work in works.items():
            work()
            taken[name].append(seconds_of(work)[0])
    return {name: statistics.median(times) for name, times in taken.items()}


def calibrated(solve, accuracy, wanted, tolerances):
    """The loosest tolerance at which a peer reaches the accuracy wanted; None where it never does or is too slow."""
    reached = float("inf")
    for tol in tolerances:
        try:
            seconds, found = seconds_of(lambda tol=tol: solve(tol))
        except Exception as error:  # noqa: BLE001 - a peer may refuse a tolerance
            console.print(f"  [dim]{type(error).__name__}: {error}[/dim]")
            continue
        reached = accuracy(found)
        if reached <= wanted:
            return tol
        if seconds > PATIENCE:
            break
    console.print(f"  [dim]a peer left out: it reached {reached:.1e} instead of {wanted:g}[/dim]")
    return None


def table(title, columns):
    made = Table(title=title, title_justify="left", box=None, header_style="bold", pad_edge=False)
    for i, column in enumerate(columns):
        made.add_column(column, justify="left" if i == 0 else "right")
    return made


def row(name, ours, peers, said, bars):
    best = min(peers, key=peers.get)
    cells = [name, f"{1e3 * ours:.2f}", ", ".join(f"{n} {1e3 * s:.2f}" for n, s in peers.items())]
    return [*cells, f"{ours / peers[best]:.2f} ({best})", said, bars]


HEADS = ("problem", "ours, ms", "peers, ms", "ratio to the best", "accuracy, ours", "bar")


# -- lasso


def lasso_gap(X, y, weight, w):
    """Relative duality gap of 1/(2n)|Xw - y|^2 + weight |w|_1."""
    n = len(y)
    r = y - X @ w
    primal = r @ r / (2 * n) + weight * np.abs(w).sum()
    theta = r / max(n * weight, np.abs(X.T @ r).max())
    dual = (y @ y - ((y - n * weight * theta) ** 2).sum()) / (2 * n)
    return (primal - dual) / primal


def lasso():
    from celer import Lasso as Celer
    from skglm import Lasso as Skglm
    from sklearn.linear_model import Lasso

    shown = table("lasso, certified relative duality gap <= 1e-10", HEADS)
    for n, p, ratio in LASSOS:
        X, y, weight = lasso_data(n, p, ratio)
        problem = ow.problems.lasso(X, y, weight)

        def theirs(kind, tol, X=X, y=y, weight=weight):
            more = {"precompute": False} if kind is Lasso else {}
            return kind(alpha=weight, fit_intercept=False, tol=tol, max_iter=20_000, **more).fit(X, y).coef_

        works, peers = {"ours": lambda problem=problem: ow.solve(problem, tol=1e-10)}, []
        for name, kind in (("sklearn", Lasso), ("celer", Celer), ("skglm", Skglm)):
            found = calibrated(
                lambda tol, kind=kind: theirs(kind, tol),
                lambda w, X=X, y=y, weight=weight: lasso_gap(X, y, weight, w),
                1e-10,
                [10.0**-k for k in range(6, 16)],
            )
            if found is not None:
                peers.append(name)
                works[name] = lambda kind=kind, tol=found, theirs=theirs: theirs(kind, tol)
        taken = interleaved(works)
        run = works["ours"]()
        said = f"{lasso_gap(X, y, weight, run.w.numpy()):.0e} ({run.method.label})"
        bars = "<= 1.75, <= 1.0 of sklearn" if p >= 5000 and ratio != 0.02 else ""
        shown.add_row(
            *row(f"{n} x {p}, {ratio:g} lambda_max", taken["ours"], {n_: taken[n_] for n_ in peers}, said, bars)
        )
    console.print(shown)


# -- logistic regression


def logistic():
    from sklearn.linear_model import LogisticRegression

    shown = table("logistic L2, relative suboptimality <= 1e-6", HEADS)
    for n, p in LOGISTICS:
        X, y = logistic_data(n, p)
        l2 = 1 / n
        problem = ow.problems.logistic(X, y, l2=l2)

        def value(w, X=X, y=y, l2=l2):
            return np.logaddexp(0, -y * (X @ w)).mean() + l2 / 2 * w @ w

        best = value(ow.solve(problem, tol=1e-13).w.numpy())

        def theirs(solver, tol, *, X=X, y=y, l2=l2, n=n):
            model = LogisticRegression(C=1 / (n * l2), fit_intercept=False, solver=solver, tol=tol, max_iter=10_000)
            return model.fit(X, y).coef_[0]

        works, peers = {"ours": lambda problem=problem: ow.solve(problem, tol=1e-6)}, []
        for solver in ("lbfgs", "newton-cg", "newton-cholesky", "liblinear"):
            found = calibrated(
                lambda tol, solver=solver: theirs(solver, tol),
                lambda w, value=value, best=best: value(w) / best - 1,
                1e-6,
                [10.0**-k for k in range(1, 15)],
            )
            if found is not None:
                peers.append(solver)
                works[solver] = lambda solver=solver, tol=found, theirs=theirs: theirs(solver, tol)
        taken = interleaved(works)
        run = works["ours"]()
        said = f"{value(run.w.numpy()) / best - 1:.0e} ({run.method.label})"
        shown.add_row(*row(f"{n} x {p}", taken["ours"], {n_: taken[n_] for n_ in peers}, said, "<= 1.5"))
    console.print(shown)


# -- L-BFGS on one and the same torch function


def lbfgs(d=1000, wanted=1e-5):
    problem = ow.problems.rosenbrock(d)
    f, start = problem.function(), start_row(problem)

    def numbers(w):
        value, gradient = f.value_and_gradient(torch.from_numpy(w))
        return float(value), gradient.numpy()

    def ours():
        composite, w = Composite(f), start.clone()  # its gradient scale is 1: the measure is the gradient's length
        for found in LBFGS().solve(composite, w):
            if found.measure <= wanted:
                return found.w
        return found.w

    def scipys():
        options = {"maxiter": 100_000, "maxfun": 1_000_000, "ftol": 0.0, "gtol": wanted, "maxcor": 10}
        return torch.from_numpy(minimize(numbers, start.numpy(), jac=True, method="L-BFGS-B", options=options).x)

    def torchs():
        w = start.clone().requires_grad_()
        optimizer = torch.optim.LBFGS(
            [w],
            max_iter=100_000,
            max_eval=1_000_000,
            tolerance_grad=wanted,
            tolerance_change=0.0,
            history_size=10,
            line_search_fn="strong_wolfe",
        )

        def closure():
            optimizer.zero_grad()
            value = f.value(w)
            value.backward()
            return value

        optimizer.step(closure)
        return w.detach()

    works = {"ours": ours, "scipy L-BFGS-B": scipys, "torch.optim.LBFGS": torchs}
    reached = {name: float(f.value_and_gradient(work())[1].abs().max()) for name, work in works.items()}
    values = {name: float(f.value(work())) for name, work in works.items()}
    taken = interleaved(works)
    shown = table(f"L-BFGS, Rosenbrock d = {d}, the same torch function, largest gradient entry <= {wanted:g}", HEADS)
    peers = {name: taken[name] for name in works if name != "ours"}
    shown.add_row(
        *row("Rosenbrock", taken["ours"], peers, f"{reached['ours']:.0e}", "<= 0.8 of torch, <= 1.15 of scipy")
    )
    console.print(shown)
    ratios = ", ".join(f"{taken['ours'] / s:.2f} of {n}" for n, s in peers.items())
    console.print(f"  {ratios}; gradients reached {reached}, values {values}")


# -- basis pursuit, total variation


def pursuit():
    import cvxpy as cp

    A, b, truth = pursuit_data()
    n, p = A.shape
    problem = ow.problems.basis_pursuit(A, b)

    def clarabel():
        x = cp.Variable(p)
        cp.Problem(cp.Minimize(cp.norm1(x)), [A @ x == b]).solve(solver="CLARABEL")
        return x.value

    def highs():
        found = linprog(np.ones(2 * p), A_eq=np.hstack([A, -A]), b_eq=b, method="highs")
        return found.x[:p] - found.x[p:]

    def ours():
        return ow.solve(problem, tol=1e-6).w.numpy()

    works = {"ours": ours, "Clarabel": clarabel, "HiGHS": highs}
    taken = interleaved(works, 3)
    errors = {name: float(np.abs(work() - truth).max()) for name, work in works.items()}
    run = ow.solve(problem, tol=1e-6)
    shown = table("basis pursuit, certified relative gap <= 1e-6", HEADS)
    said = f"{run.certificate.value:.0e} ({run.method.label})"
    shown.add_row(*row(f"{n} x {p}", taken["ours"], {m: taken[m] for m in ("Clarabel", "HiGHS")}, said, "<= 0.1"))
    console.print(shown)
    console.print(f"  largest error of an entry: {errors}")


def variation(weight=1.0):
    import cvxpy as cp

    y = variation_data()
    n = len(y)
    problem = ow.problems.total_variation(y, weight, reduction="sum")

    def value(w):
        return 0.5 * ((w - y) ** 2).sum() + weight * np.abs(np.diff(w)).sum()

    def clarabel():
        w = cp.Variable(n)
        cp.Problem(cp.Minimize(0.5 * cp.sum_squares(w - y) + weight * cp.tv(w))).solve(solver="CLARABEL")
        return w.value

    def ours():
        return ow.solve(problem, tol=1e-8).w.numpy()

    works = {"ours": ours, "CVXPY and Clarabel": clarabel}
    taken = interleaved(works, 5)
    run = ow.solve(problem, tol=1e-8)
    shown = table("total variation in one dimension, certified relative gap <= 1e-8", HEADS)
    said = f"{run.certificate.value:.0e} ({run.method.label})"
    shown.add_row(*row(f"n = {n}", taken["ours"], {"CVXPY and Clarabel": taken["CVXPY and Clarabel"]}, said, "<= 0.3"))
    console.print(shown)
    console.print(f"  value of Clarabel over ours, less 1: {value(clarabel()) / value(run.w.numpy()) - 1:.1e}")


# -- what choosing costs


def regret():
    from solver_costs import held_out, timed_solvers

    shown = table(
        "regret of auto on problems that the cost model has not seen", ("problem", "auto", "ms", "best", "ms", "ratio")
    )
    ratios = []
    for name, problem in held_out().items():
        ow.solve(problem)  # whatever is loaded or cached on a first call
        auto = statistics.median(seconds_of(lambda problem=problem: ow.solve(problem))[0] for _ in range(5))
        chosen = ow.solve(problem)
        others = timed_solvers(problem, limit=max(5 * auto, 0.05))
        best = min(others, key=others.get)
        ratios.append(auto / others[best])
        cells = [name, chosen.method.label, f"{1e3 * auto:.2f}", best, f"{1e3 * others[best]:.2f}", f"{ratios[-1]:.2f}"]
        shown.add_row(*cells)
    console.print(shown)
    console.print(f"  median {statistics.median(ratios):.2f} (bar 1.3), largest {max(ratios):.2f} (bar 5)")


PARTS = {f.__name__: f for f in (lasso, logistic, lbfgs, pursuit, variation, regret)}


def main():
    names = ("torch", "numpy", "scipy", "scikit-learn", "celer", "skglm", "cvxpy", "clarabel")
    console.print(", ".join(f"{name} {version(name)}" for name in names), platform.processor() or platform.machine())
    for name in sys.argv[1:] or PARTS:
        PARTS[name]()


if __name__ == "__main__":
    main()
