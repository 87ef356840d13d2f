"""Solves of this checkout against those of another commit, in turns: CPU seconds of the same problems, fresh each time.

    python benchmarks/against.py COMMIT [--repeats 15] [--only lasso,nnls] [--solvers]

Each repeat starts a process for either commit, this one first in every other repeat; a process does each problem once
uncounted and then times a few solves of problems that are built anew, building included. What is printed is the ratio
of medians (above 1: this checkout is slower) with a 95 % bootstrap interval over the repeats. With --solvers the
problems are those of benchmarks/solvers.py, at the tolerances asked there.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from solver_problems import LASSOS, LOGISTICS, lasso_data, logistic_data, pursuit_data, variation_data

HERE = Path(__file__).resolve()
ROOT = HERE.parent.parent
INNER = 5
"""Solves of one problem in one process."""


def problems():
    """What is solved: a name and a function that builds the problem anew and names the method."""
    import torch

    import optwise as ow

    rng = np.random.default_rng(0)

    def regression(n, p, noise=0.1):
        X = rng.standard_normal((n, p))
        return X, X[:, : max(p // 10, 1)].sum(1) + noise * rng.standard_normal(n)

    small, wide, tall, square = regression(60, 30), regression(200, 1000), regression(1000, 50), regression(300, 100)
    labels = np.where(tall[1] > 0, 1.0, 0.0)
    steps = np.repeat(rng.standard_normal(10), 50) + 0.1 * rng.standard_normal(500)
    t = torch.linspace(0, 4, 50, dtype=torch.float64)

    def fit(w):
        return w[0] * torch.exp(-w[1] * t) + w[2] - 2 * torch.exp(-0.7 * t) - 0.1 * torch.sin(9 * t)

    def valley(w):
        return (100 * (w[1:] - w[:-1] ** 2) ** 2 + (1 - w[:-1]) ** 2).sum() + 1

    P = ow.problems
    return {
        "lasso 60x30": lambda: (P.lasso(*small, weight=0.1), "auto"),
        "lasso 200x1000": lambda: (P.lasso(*wide, weight=0.05), "auto"),
        "lasso by fista": lambda: (P.lasso(*square, weight=0.05), "fista"),
        "ridge": lambda: (P.ridge(*tall, l2=0.1), "auto"),
        "least squares": lambda: (P.least_squares(*tall), "auto"),
        "nnls": lambda: (P.nnls(*square), "auto"),
        "huber": lambda: (P.huber(*square, delta=0.1), "auto"),
        "logistic l1": lambda: (P.logistic(tall[0], labels, l1=0.01), "auto"),
        "logistic l2 by lbfgs": lambda: (P.logistic(tall[0], labels, l2=0.01), "lbfgs"),
        "svm": lambda: (P.svm(tall[0], labels, l2=0.1), "auto"),
        "total variation": lambda: (P.total_variation(steps, weight=0.01), "auto"),
        "basis pursuit denoising": lambda: (P.basis_pursuit_denoising(*wide, weight=0.05), "auto"),
        "exponential fit": lambda: (P.nonlinear_least_squares(fit, [1.0, 1.0, 0.0]), "levenberg-marquardt"),
        "valley by lbfgs": lambda: (P.smooth(valley, [-1.2] * 20), "lbfgs"),
        "valley by newton": lambda: (P.smooth(valley, [-1.2] * 20), "newton"),
        "bounds by lbfgsb": lambda: (P.smooth(valley, [-1.2] * 20, (-2.0, 0.5)), "lbfgsb"),
    }


def problems_of_solvers():
    """Those of benchmarks/solvers.py, each with its tolerance."""
    import optwise as ow

    P, tight = ow.problems, 1e-10
    lassos = {f"lasso {n}x{p}, {ratio:g}": lasso_data(n, p, ratio) for n, p, ratio in LASSOS}
    logistics = {f"logistic {n}x{p}": (*logistic_data(n, p), 1 / n) for n, p in LOGISTICS}
    A, b, _ = pursuit_data()
    y = variation_data()
    return {
        **{name: lambda data=data: (P.lasso(*data), "auto", tight) for name, data in lassos.items()},
        **{name: lambda X=X, y=y, l2=l2: (P.logistic(X, y, l2=l2), "auto") for name, (X, y, l2) in logistics.items()},
        "rosenbrock 1000 by lbfgs": lambda: (P.rosenbrock(1000), "lbfgs"),
        "basis pursuit 256x1024": lambda: (P.basis_pursuit(A, b), "auto"),
        "total variation 2000": lambda: (P.total_variation(y, 1.0, reduction="sum"), "auto", 1e-8),
    }


def timed(only, solvers):
    import optwise as ow

    found = {}
    for name, build in (problems_of_solvers() if solvers else problems()).items():
        if only and not any(word in name for word in only):
            continue
        taken = []
        for k in range(INNER + 1):
            started = time.process_time()
            problem, method, *tol = build()
            run = ow.solve(problem, method, *tol, max_seconds=30)
            taken += [time.process_time() - started] if k else []
        found[name] = [float(np.median(taken)), run.status.value]
    return found


def asked(source, only, solvers):
    env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(source)}
    words = [sys.executable, str(HERE), "--child", *(["--only", ",".join(only)] if only else [])]
    words += ["--solvers"] if solvers else []
    return json.loads(subprocess.run(words, env=env, capture_output=True, text=True, check=True).stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("commit", nargs="?", default="HEAD~1")
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--only", default="")
    parser.add_argument("--solvers", action="store_true")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    only = [word for word in given.only.split(",") if word]
    if given.child:
        print(json.dumps(timed(only, given.solvers)))
        return
    with tempfile.TemporaryDirectory() as folder:
        other = Path(folder) / "other"
        subprocess.run(["git", "worktree", "add", "--quiet", "--detach", other, given.commit], cwd=ROOT, check=True)
        try:
            pairs = []
            for k in range(given.repeats):
                both = {}
                for source in (ROOT, other) if k % 2 else (other, ROOT):
                    both[source] = asked(source / "src", only, given.solvers)
                pairs.append((both[ROOT], both[other]))
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", other], cwd=ROOT, check=True)
    report(pairs)


def report(pairs):
    rng = np.random.default_rng(0)
    print(f"{'':26} {'now ms':>9} {'then ms':>9} {'ratio':>7}   95 % interval")
    for name in pairs[0][0]:
        times = np.array([[now[name][0], then[name][0]] for now, then in pairs])
        drawn = np.median(times[rng.integers(0, len(times), (2000, len(times)))], axis=1)
        low, high = np.quantile(drawn[:, 0] / drawn[:, 1], [0.025, 0.975])
        now, then = np.median(times, axis=0)
        words = {pairs[0][0][name][1], pairs[0][1][name][1]}
        told = "" if len(words) == 1 else f"   now {pairs[0][0][name][1]!r}, then {pairs[0][1][name][1]!r}"
        print(f"{name:26} {1e3 * now:9.2f} {1e3 * then:9.2f} {now / then:7.2f}   [{low:.2f}, {high:.2f}]{told}")
    import torch

    print(f"python {sys.version.split()[0]}, torch {torch.__version__}, numpy {np.__version__}, {len(pairs)} repeats")


if __name__ == "__main__":
    main()
