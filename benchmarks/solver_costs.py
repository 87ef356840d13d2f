"""Fit the factors of the cost model of solvers, and write them into src/optwise/analyses/fitted_costs.py.

    python benchmarks/solver_costs.py           # print what would be written
    python benchmarks/solver_costs.py --write

Each eligible solver solves each problem of a training set to 1e-6; the factor is the geometric mean of seconds taken
over seconds computed, where it was certified. `held_out` holds the problems on which the regret of `auto` is measured;
the two sets share no problem.
"""

import math
import os
import statistics
import sys
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import optwise as ow
from optwise.analyses import solver_costs
from optwise.catalog import load_problem
from optwise.methods.solvers import SOLVERS

HOME = Path(solver_costs.__file__).with_name("fitted_costs.py")
LIMIT = 4.0
"""Seconds after which a run is given up while fitting."""

TRAINING = (
    "ridge:n=300,p=20",
    "ridge:n=1000,p=200",
    "ridge:n=100,p=400",
    "least-squares:n=300,p=40,kappa=100",
    "least-squares:n=2000,p=300,kappa=1e4",
    "lasso:n=100,p=200",
    "lasso:n=400,p=2000,ratio=0.05",
    "lasso:n=1000,p=100",
    "elastic-net:n=200,p=600",
    "group-lasso",
    "logistic:n=300,p=10",
    "logistic:n=2000,p=100",
    "logistic:n=200,p=600",
    "breast-cancer-l1",
    "nnls",
    "huber",
    "svm",
    "hinge-svm",
    "softmax-digits",
    "basis-pursuit",
    "bpdn",
    "total-variation",
    "rosenbrock:d=2",
    "rosenbrock:d=20",
    "more-garbow-hillstrom:name=bard",
    "more-garbow-hillstrom:name=wood",
    "more-garbow-hillstrom:name=osborne-1",
)
HELD_OUT = (
    "ridge:n=500,p=60,seed=3",
    "ridge:n=150,p=900,seed=3",
    "least-squares:n=800,p=120,kappa=1e3,seed=3",
    "least-squares:n=150,p=30,kappa=1e6,seed=3",
    "lasso:n=150,p=700,seed=3",
    "lasso:n=600,p=3000,ratio=0.2,seed=3",
    "lasso:n=2000,p=50,ratio=0.01,seed=3",
    "elastic-net:n=300,p=200,seed=3",
    "logistic:n=500,p=30,seed=3",
    "logistic:n=5000,p=60,seed=3",
    "logistic:n=150,p=300,seed=3",
    "diabetes-lasso",
    "diabetes-least-squares",
    "nnls:n=150,p=60,seed=3",
    "huber:n=400,p=15,seed=3",
    "svm:n=400,p=30,seed=3",
    "hinge-svm:n=250,p=25,seed=3",
    "basis-pursuit:n=60,p=180,seed=3",
    "total-variation:p=700,seed=3",
    "rosenbrock:d=8",
    "rosenbrock:d=60",
    "more-garbow-hillstrom:name=beale",
    "more-garbow-hillstrom:name=kowalik-osborne",
    "more-garbow-hillstrom:name=osborne-2",
)


def held_out():
    """The problems of the regret, by name."""
    return {name: load_problem(name) for name in HELD_OUT}


def timed_solvers(problem, *, limit, repeats=3):
    """Median process seconds of each solver that certifies its answer within the limit, by name."""
    found = {}
    for choice in ow.explain(problem).eligible:
        taken = []
        for _ in range(repeats):
            begin = time.process_time()
            run = ow.solve(problem, method=choice.method, max_seconds=limit)
            taken.append(time.process_time() - begin)
            if not run.certificate.meets(1e-6) or taken[-1] > limit:
                taken = []
                break
        if taken:
            found[choice.method] = statistics.median(taken)
    return found


def main():
    logs = {}
    for name in TRAINING:
        problem = load_problem(name)
        explanation = ow.explain(problem)
        plain = {m: solver_costs.predicted_seconds(m, explanation.of) for m in SOLVERS}
        for method, seconds in timed_solvers(problem, limit=LIMIT).items():
            unscaled = plain[method] / solver_costs.FACTORS.get(method, 1.0)
            if math.isfinite(unscaled) and unscaled > 0:
                logs.setdefault(method, []).append(math.log(seconds / unscaled))
                print(f"{name:45} {method:34} {1e3 * seconds:9.2f} ms, computed {1e3 * unscaled:9.2f}", flush=True)
    factors = {method: math.exp(statistics.mean(logs[method])) for method in SOLVERS if method in logs}
    spread = {method: math.exp(statistics.pstdev(logs[method])) for method in factors}
    for method, factor in factors.items():
        print(f"{method:34} {factor:8.3g}  times or over {spread[method]:.2f}, {len(logs[method])} problems")
    lines = "".join(f'    "{method}": {factor:.3g},\n' for method, factor in factors.items())
    text = HOME.read_text()
    start = text.index("FACTORS: Mapping[str, float] = {")
    text = text[:start] + "FACTORS: Mapping[str, float] = {\n" + lines + text[text.index("}", start) :]
    if "--write" in sys.argv:
        HOME.write_text(text)
        print(f"written: {HOME.name}")


if __name__ == "__main__":
    main()
