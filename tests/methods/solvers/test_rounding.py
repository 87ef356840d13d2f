"""Verdicts of solvers do not hang on how a processor rounds: the same problem, its sums in many other orders."""

import math

import numpy as np
import pytest
import torch

import optwise as ow
from optwise.core.composite import Composite
from optwise.methods.solvers import SOLVERS
from optwise.methods.solvers.semismooth_augmented_lagrangian import SemismoothAugmentedLagrangian
from optwise.problems.terms.functions import SquaredDistance
from optwise.problems.terms.operators import MatrixOperator
from optwise.problems.terms.penalties import HingeSum
from optwise.verbs.solutions import certified

KINDS = {
    "softmax": lambda X, y: ow.problems.softmax(X, y, l1=0.01),
    "logistic": lambda X, y: ow.problems.logistic(X, np.where(y == 0, 1.0, -1.0), l1=0.01),
    "ridge logistic": lambda X, y: ow.problems.logistic(X, np.where(y == 0, 1.0, -1.0), l2=0.01),
    "hinge": lambda X, y: ow.problems.svm(X, np.where(y == 0, 1.0, -1.0), l2=0.1, loss="hinge"),
    "huber": lambda X, y: ow.problems.huber(X, X.sum(1) + y, 0.5, l2=0.01),
    "lasso": lambda X, y: ow.problems.lasso(X, X.sum(1) + y, 0.1),
    "nonnegative": lambda X, y: ow.problems.nnls(X, X.sum(1) + y),
}
SECOND_ORDER = {
    "softmax": ["semismooth-newton", "semismooth-augmented-lagrangian"],
    "logistic": ["semismooth-newton", "semismooth-augmented-lagrangian", "proximal-newton"],
    "ridge logistic": ["newton", "newton-cg", "trust-region", "lbfgs", "bfgs"],
    "hinge": ["semismooth-augmented-lagrangian", "dual-interior-point"],
    "huber": ["newton", "newton-cg", "trust-region", "lbfgs"],
    "lasso": ["semismooth-newton", "semismooth-augmented-lagrangian", "proximal-newton", "dual-interior-point"],
    "nonnegative": ["semismooth-newton", "lbfgsb"],
}
TABLE = [(kind, name) for kind, names in SECOND_ORDER.items() for name in names]


def made(n, p, *, seed):
    """A design whose columns differ in length, three classes, and a direction to start in [p, 3]."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, p)) * 10.0 ** rng.uniform(-1, 1, p)
    return X, rng.permutation(np.arange(n) % 3), rng.standard_normal((p, 3))


def as_rounded_elsewhere(X, y, start, *, seed):
    """The same problem with its examples and columns in another order and data off by units in the last place.

    Other sums, in another order: what other kernels of another processor make of one and the same problem.
    """
    rng = np.random.default_rng(seed)
    rows, columns = rng.permutation(X.shape[0]), rng.permutation(X.shape[1])
    X = X * (1 + 1e-15 * rng.standard_normal(X.shape))
    return X[rows][:, columns], y[rows], start[columns]


def ends(kind, name, length, *, seed, roundings):
    """Whether solutions from far away are proved, and their values, for each way to round."""
    X, y, direction = made(20, 4, seed=seed)
    found = []
    for rounding in roundings:
        moved, labels, start = as_rounded_elsewhere(X, y, length * direction, seed=rounding)
        start = start if kind == "softmax" else abs(start[:, 0]) if kind == "nonnegative" else start[:, 0]
        run = ow.solve(KINDS[kind](moved, labels), SOLVERS[name](), tol=1e-8, w0=start.reshape(-1))
        found.append((certified(run), run.value))
    return found


def assert_one_verdict(found):
    assert all(proved for proved, _ in found)
    # each lies within the tolerance of the best value, relative to it
    assert np.ptp([value for _, value in found]) <= 2e-8 * abs(found[0][1])


@pytest.mark.parametrize(("kind", "name"), TABLE)
def test_no_verdict_hangs_on_how_a_processor_rounds(kind, name):
    """From afar saturated losses have no curvature, and no bound tells how far: only the objective falls."""
    assert_one_verdict(ends(kind, name, 300.0, seed=7, roundings=range(3)))


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "name"), TABLE)
def test_no_verdict_hangs_on_rounding_in_two_hundred_ways_to_round(kind, name):
    for seed, length in enumerate((1.0, 10.0, 100.0, 1000.0)):
        assert_one_verdict(ends(kind, name, length, seed=seed, roundings=range(50)))


@pytest.mark.parametrize(("n", "p"), [(150, 10), (15, 40)], ids=["more examples", "more features"])
def test_no_way_to_round_lets_single_precision_go_on_for_ever(n, p):
    """Near the answer steps between neighbours that rounding cannot tell apart are no progress."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, p))
    y = np.sign(X @ rng.standard_normal(p) + 1.5 * rng.standard_normal(n))
    values = []
    for seed in range(10):
        K, _, _ = as_rounded_elsewhere(y[:, None] * X, y, np.zeros(p), seed=seed)
        operator = MatrixOperator(torch.tensor(K, dtype=torch.float32))
        machine = Composite(SquaredDistance(torch.zeros(p)), HingeSum(1.0), operator)
        found = [iterate.value for iterate in SemismoothAugmentedLagrangian().solve(machine, torch.zeros(p))]
        assert len(found) <= 60
        values.append(min(found))
    assert max(values) - min(values) <= math.sqrt(n) * torch.finfo(torch.float32).eps * max(values)
