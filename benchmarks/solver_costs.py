"""Fit the cost model of solvers, and write them into src/optwise/analyses/fitted_costs.py.

    python benchmarks/solver_costs.py           # print what would be written
    python benchmarks/solver_costs.py --write

Each eligible solver solves each problem of a training set to 1e-6; where it was certified, its seconds are fitted as an
overhead and a multiple of the seconds by theory and counting. `held_out` holds the problems on which the regret of
`auto` is measured; the two sets share no problem.
"""

import math
import os
import statistics
import sys
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from scipy.optimize import least_squares

import optwise as ow
from optwise.analyses import solver_costs
from optwise.catalog import load_problem
from optwise.methods.solvers import SOLVERS

HOME = Path(solver_costs.__file__).with_name("fitted_costs.py")
LIMIT = 2.0
"""Seconds after which a run is given up while fitting."""

TRAINING = (
    "ridge:n=300,p=20",
    "ridge:n=1000,p=200",
    "ridge:n=100,p=400",
    "ridge:n=200,p=1200",
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
    "nnls:n=300,p=120",
    "huber",
    "svm",
    "hinge-svm",
    "softmax-digits",
    "basis-pursuit",
    "basis-pursuit:m=128,p=512",
    "bpdn",
    "total-variation",
    "total-variation:p=200",
    "rosenbrock:d=2",
    "rosenbrock:d=20",
    "more-garbow-hillstrom:name=bard",
    "more-garbow-hillstrom:name=wood",
    "more-garbow-hillstrom:name=osborne-1",
    "more-garbow-hillstrom:name=powell-singular",
    "more-garbow-hillstrom:name=helical-valley",
    "more-garbow-hillstrom:name=brown-dennis",
    "more-garbow-hillstrom:name=box-three",
)
HELD_OUT = (
    "ridge:n=600,p=80,seed=7",
    "ridge:n=180,p=1100,seed=7",
    "least-squares:n=900,p=150,kappa=1e3,seed=7",
    "least-squares:n=160,p=40,kappa=1e6,seed=7",
    "lasso:n=180,p=800,seed=7",
    "lasso:n=700,p=3500,ratio=0.2,seed=7",
    "lasso:n=2500,p=60,ratio=0.01,seed=7",
    "elastic-net:n=350,p=250,seed=7",
    "logistic:n=600,p=40,seed=7",
    "logistic:n=6000,p=50,seed=7",
    "logistic:n=180,p=350,seed=7",
    "diabetes-lasso",
    "diabetes-least-squares",
    "nnls:n=180,p=70,seed=7",
    "huber:n=500,p=25,seed=7",
    "svm:n=500,p=40,seed=7",
    "hinge-svm:n=300,p=30,seed=7",
    "bpdn:m=100,p=400,seed=7",
    "basis-pursuit:m=100,p=350,seed=7",
    "total-variation:p=900,seed=7",
    "rosenbrock:d=12",
    "rosenbrock:d=100",
    "more-garbow-hillstrom:name=gaussian",
    "more-garbow-hillstrom:name=jennrich-sampson",
    "more-garbow-hillstrom:name=watson",
    "more-garbow-hillstrom:name=kowalik-osborne",
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


def fit(pairs):
    """Overhead and factor that fit seconds to computed ones, on logs; a few problems alone move them little."""

    def residuals(parameters):
        overhead, factor = np.exp(parameters)
        misses = [math.log(overhead + factor * computed) - math.log(seconds) for computed, seconds in pairs]
        return np.array([*misses, 0.5 * (parameters[0] - math.log(4e-3)), 0.2 * parameters[1]])

    overhead, factor = np.exp(least_squares(residuals, [math.log(4e-3), 0.0], loss="soft_l1").x)
    return float(overhead), float(factor)


def main():
    pairs = {}
    timed_solvers(load_problem(TRAINING[0]), limit=LIMIT, repeats=1)  # what a first call loads is nobody's cost
    for name in TRAINING:
        problem = load_problem(name)
        explanation = ow.explain(problem)
        for method, seconds in timed_solvers(problem, limit=LIMIT, repeats=2).items():
            computed = solver_costs.computed_seconds(method, explanation.of)
            if math.isfinite(computed):
                pairs.setdefault(method, []).append((computed, seconds))
                print(f"{name:45} {method:34} {1e3 * seconds:9.2f} ms, computed {1e3 * computed:9.2f}", flush=True)
    found = {method: fit(pairs[method]) for method in SOLVERS if method in pairs}
    for method, (overhead, factor) in found.items():
        logs = [math.log(t / (overhead + factor * c)) for c, t in pairs[method]]
        spread = math.exp(math.sqrt(statistics.mean(x * x for x in logs)))
        print(
            f"{method:34} {1e3 * overhead:7.2f} ms + {factor:8.3g} x  times or over {spread:.2f}, {len(logs)} problems"
        )
    lines = "".join(f'    "{method}": ({a:.3g}, {b:.3g}),\n' for method, (a, b) in found.items())
    text = HOME.read_text()
    start = text.index("FITTED: Mapping[str, tuple[float, float]] = {")
    text = text[:start] + "FITTED: Mapping[str, tuple[float, float]] = {\n" + lines + text[text.index("}", start) :]
    if "--write" in sys.argv:
        HOME.write_text(text)
        print(f"written: {HOME.name}")


if __name__ == "__main__":
    main()
