"""Rows of the truth table for the random convex problems, judged by best values in 60 digits."""

from functools import lru_cache

import numpy as np
import torch
from scipy.optimize import Bounds

from .answering import answer
from .convex import drawn
from .judging import LOWERED
from .peers import PEERS, minpack, scipy_method, torch_lbfgs, value_and_gradient


def convex_rows(methods, *, tol, max_seconds, count):
    """Every row, one at a time."""
    for seed in range(count):
        for method in methods:
            row = _row(seed, method, tol=tol, max_seconds=max_seconds)
            if row is not None:
                yield row


@lru_cache(maxsize=1)
def _known(seed):
    problem = drawn(seed)
    return problem, problem.oracle.best()


def _row(seed, method, *, tol, max_seconds):
    problem, best = _known(seed)
    start = np.zeros(problem.oracle.X.shape[1])
    if method in PEERS:
        found = _peer(problem, method, start)
        if found is None:
            return None
        w, word, seconds = found
        words = {"word": word, "seconds": seconds, "optimal": False, "stationary": word == "converged"}
    else:
        w, words = answer(problem.build, method, tol=tol, max_seconds=max_seconds)
    row = {
        "family": "convex",
        "problem": problem.name,
        "form": problem.kind,
        "dtype": str(problem.dtype).removeprefix("torch."),
        "method": method,
        "tol": tol,
        **words,
        "best": float(best),
    }
    if w is None:
        return row | {"reached": False, "false_optimal": False, "false_stationary": False}
    return row | _facts(problem, best, w, words, tol) | {"w": [float(each) for each in w]}


def _facts(problem, best, w, words, tol):
    value = problem.oracle.value(w)
    eps = torch.finfo(problem.dtype).eps
    floor = problem.oracle.rounding(w, eps)
    off = value - best
    if off < -abs(best) * 1e-30:
        raise ArithmeticError(f"{problem.name}: {value} lies below the best value {best}; the oracle is wrong.")
    claimed = words["stationary"] and not words.get("saddle", False)
    return {
        "value": float(value),
        "floor": float(floor),
        "relative_error": float(off / max(abs(best), floor)) if off else 0.0,
        "lowered_to": float(best),
        "reached": bool(off <= max(tol * abs(best), floor)),
        "false_optimal": bool(words["optimal"] and not off <= max(tol * abs(best), floor)),
        "false_stationary": bool(claimed and off > max(LOWERED * abs(value), floor)),
    }


def _peer(problem, method, start):
    """None where the peer does not know such a problem. scipy steps in float64; values have the dtype of the data."""
    if problem.value is None:
        return None
    if method == "minpack":
        if problem.kind != "least-squares":
            return None
        X, y = problem.oracle.X.astype(float), problem.oracle.y.astype(float)
        return minpack(lambda w: X @ w - y, lambda _: X, start)
    if problem.bounds is not None and method != "scipy-lbfgsb":
        return None
    if method == "torch-lbfgs":
        return torch_lbfgs(problem.value, start.astype(problem.oracle.X.dtype))
    bounds = None if problem.bounds is None else Bounds(*(each.astype(float) for each in problem.bounds))
    own = value_and_gradient(problem.value)
    dtype = problem.oracle.X.dtype

    def both(w):
        value, gradient = own(w.astype(dtype))
        return value, gradient.astype(float)

    return scipy_method({"scipy-bfgs": "BFGS", "scipy-lbfgsb": "L-BFGS-B"}[method], both, start, bounds)
