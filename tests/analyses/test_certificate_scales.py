"""No scale of a certificate knows the start or a unit: the same point in other units gets the same word."""

import itertools
from fractions import Fraction

import numpy as np
import pytest
import scipy.optimize
import torch

import optwise as ow
from optwise.analyses.certificates import certify
from optwise.core.certificate import CertificateKind
from optwise.core.composite import Composite
from optwise.core.loss import LinearModel
from optwise.core.status import Status
from optwise.problems.terms.functions import FunctionTerm
from optwise.problems.terms.linear_models import LinearModelTerm
from optwise.problems.terms.operators import MatrixOperator
from optwise.problems.terms.predictions import HuberLoss, LogisticLoss, SquaredError
from optwise.problems.terms.residuals import FunctionResiduals, ResidualTerm
from optwise.problems.terms.sets import Box

T = torch.linspace(0, 2, 15).double()
RNG = np.random.default_rng(4)
X, NOISE = torch.from_numpy(RNG.standard_normal((30, 3))), torch.from_numpy(RNG.standard_normal(30))


def valley(w):
    return 1 + 100 * (w[1] - w[0] ** 2) ** 2 + (1 - w[0]) ** 2


def exponential(w):
    return w[0] * torch.exp(-w[1] * T) + w[2] - 2 * torch.exp(-1.5 * T) - 0.3 * torch.cos(9 * T)


def saddle(w):
    return 3 + w[0] ** 2 - w[1] ** 2 + w[1] ** 4 + 0.5 * w[2] ** 2


def crossed(w):
    return 1 + w[0] * w[1] + w[0] ** 4 + w[1] ** 4


def logistic(w):
    return torch.nn.functional.softplus(X @ w * torch.where(NOISE > 0, 1.0, -1.0)).mean()


def fitted(f, start):
    """A minimum by scipy, polished by Newton's method with dense Hessians."""
    found = scipy.optimize.minimize(lambda v: float(f(torch.from_numpy(v))), start, method="Nelder-Mead", tol=1e-10)
    w = torch.from_numpy(found.x)
    for _ in range(6):
        slope = torch.autograd.functional.jacobian(f, w)
        w = w - torch.linalg.solve(torch.autograd.functional.hessian(f, w), slope)
    return w


def squared(w):
    return 0.5 * exponential(w).square().sum()


MINIMUM = {
    "valley": torch.ones(2).double(),
    "exponential": fitted(squared, [2.0, 1.5, 0.0]),
    "logistic": fitted(logistic, [0.0, 0.0, 0.0]),
}
FUNCTIONS = {"valley": valley, "exponential": squared, "logistic": logistic, "saddle": saddle, "crossed": crossed}
POINTS = {
    **{(name, "minimum"): (w, (True, False)) for name, w in MINIMUM.items()},
    **{(name, "beside"): (w * (1 + 1e-3), (False, False)) for name, w in MINIMUM.items()},
    ("saddle", "saddle"): (torch.zeros(3).double(), (True, True)),
    ("crossed", "saddle"): (torch.zeros(2).double(), (True, True)),
    ("saddle", "minimum"): (torch.tensor([0.0, 0.5**0.5, 0.0], dtype=torch.float64), (True, False)),
}
UNITS = (1e-12, 1.0, 1e12)


@pytest.mark.parametrize(("name", "place"), POINTS)
def test_no_unit_of_the_objective_or_of_a_coordinate_changes_the_word(name, place):
    f, (w, expected) = FUNCTIONS[name], POINTS[name, place]
    for factor, *units in itertools.product(UNITS, repeat=1 + len(w)):
        if name == "crossed" and len(set(units)) > 1:
            continue  # where no coordinate curves by itself, curvature does not tell their units apart
        d = torch.tensor(units, dtype=torch.float64)
        term = FunctionTerm(lambda z, d=d, factor=factor: factor * f(d * z), len(w))
        proof = certify(Composite(term, start=torch.ones_like(w) / d), w / d)
        assert proof.kind is CertificateKind.STATIONARITY
        assert (proof.meets(1e-6), proof.saddle) == expected, (factor, units, proof)


@pytest.mark.parametrize("place", ["minimum", "beside"])
def test_nor_the_word_of_a_sum_of_squares(place):
    w, expected = POINTS["exponential", place]
    for factor, *units in itertools.product(UNITS, repeat=4):
        d = torch.tensor(units, dtype=torch.float64)
        residuals = FunctionResiduals(lambda z, d=d, factor=factor: factor * exponential(d * z))
        proof = certify(Composite(ResidualTerm(residuals, 3), start=torch.ones_like(w) / d), w / d)
        assert proof.kind is CertificateKind.STATIONARITY
        assert (proof.meets(1e-6), proof.saddle) == expected, (factor, units, proof)


@pytest.mark.parametrize("where", [None, "low", "high"])
def test_nor_the_word_within_bounds(where):
    """At the optimum of a box in which each bound holds or not, by scipy's own bounded solver."""
    low, high = {None: (-5.0, 5.0), "low": (1.2, 5.0), "high": (-5.0, 0.4)}[where]
    found = scipy.optimize.minimize(
        lambda v: float(valley(torch.from_numpy(v))),
        np.full(2, 0.5 * (low + high)),
        bounds=[(low, high)] * 2,
        tol=1e-15,
    )
    w = torch.from_numpy(found.x) if where else MINIMUM["valley"]
    for factor, *units in itertools.product(UNITS, repeat=3):
        d = torch.tensor(units, dtype=torch.float64)
        term = FunctionTerm(lambda z, d=d, factor=factor: factor * valley(d * z), 2)
        problem = Composite(term, constraint=Box(low / d, high / d))
        assert certify(problem, w / d).meets(1e-6), (factor, units)
        inner = 0.9 * w + 0.1 * (low + high) / 2
        assert not certify(problem, inner / d).meets(1e-6), (factor, units)


@pytest.mark.parametrize("loss", [SquaredError(), HuberLoss(0.5), LogisticLoss()])
def test_nor_the_word_of_a_linear_model_whose_columns_have_other_units(loss):
    """Twelve decades on either side, and an objective twelve decades smaller or larger."""
    y = torch.where(NOISE > 0, 1.0, -1.0).double() if isinstance(loss, LogisticLoss) else X.sum(1) + NOISE

    def term(factor, d):
        return LinearModelTerm(LinearModel(MatrixOperator(X * d), y, loss, factor))

    plain = term(1.0, torch.ones(3).double())
    w = fitted(plain.value, [0.5, 0.5, 0.5])
    for factor, *units in itertools.product(UNITS, repeat=4):
        d = torch.tensor(units, dtype=torch.float64)
        at = certify(Composite(term(factor, d), tol=1e-9), w / d)
        assert at.kind is CertificateKind.OPTIMALITY
        assert at.meets(1e-9), (factor, units, at)
        assert not certify(Composite(term(factor, d)), 1.01 * w / d).meets(1e-6), (factor, units)


@pytest.mark.parametrize("noise", [1.0, 1e-2, 1e-4, 1e-6, 1e-8])
@pytest.mark.parametrize("seed", range(4))
def test_an_optimal_fit_is_within_tol_of_the_best_whatever_the_noise(noise, seed):
    """Fits that are off by a known relative amount: told apart at ``tol``, whatever the value at the start is."""
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((40, 5)) * 10.0 ** rng.uniform(-2, 2, 5)
    b = A @ rng.standard_normal(5)
    b = b + noise * np.linalg.norm(b) / 40**0.5 * rng.standard_normal(40)
    Q, _ = np.linalg.qr(A)
    best, least = np.linalg.lstsq(A, b, rcond=None)[0], np.linalg.norm(b - Q @ (Q.T @ b))
    problem = Composite(
        LinearModelTerm(LinearModel(MatrixOperator(torch.from_numpy(A)), torch.from_numpy(b), SquaredError(), 1.0))
    )
    for off, optimal in ((1e-8, True), (1e-5, False), (1e-2, False)):
        move = np.linalg.lstsq(A, Q[:, seed] * least * off**0.5, rcond=None)[0]
        assert certify(problem, torch.from_numpy(best + move)).meets(1e-6) is optimal, off


def test_a_fit_without_residuals_is_proved_at_rounding_and_nowhere_above():
    rng = np.random.default_rng(0)
    A = rng.standard_normal((40, 5)) * 10.0 ** rng.uniform(-3, 3, 5)
    w = rng.standard_normal(5)
    problem = Composite(
        LinearModelTerm(LinearModel(MatrixOperator(torch.from_numpy(A)), torch.from_numpy(A @ w), SquaredError(), 1.0))
    )
    assert certify(problem, torch.from_numpy(w)).meets(1e-6)
    for off in (1e-14, 1e-12, 1e-8, 1e-4):
        assert not certify(problem, torch.from_numpy(w * (1 + off * np.sign(w)))).meets(1e-6), off


def test_a_small_residual_is_no_rounding_because_another_is_computed_from_large_numbers():
    """Each residual is held against its own sizes: 1e-6 is rounding beside 1e10, and nothing like it beside 1."""

    def residuals(w):
        return torch.stack([1e10 * (w[0] - 1), w[1] - 1e-3])

    squares, function = (
        ResidualTerm(FunctionResiduals(residuals), 2),
        FunctionTerm(lambda w: residuals(w).square().sum(), 2),
    )
    for term, name in ((squares, "lower bound"), (function, "Newton decrement")):
        settled = certify(Composite(term), torch.tensor([1 + 2.0**-52, 1e-3], dtype=torch.float64))
        assert (settled.name, settled.meets(1e-6)) == (name, True)
        off = torch.tensor([1 + 2.0**-52, 1e-3 + 1e-6], dtype=torch.float64)
        assert not certify(Composite(term), off).meets(1e-6)


def exact_least_squares(A, b):
    """The least half square of a float64 least squares problem, in rational arithmetic."""
    rows = [[Fraction(float(x)) for x in row] for row in A]
    right = [Fraction(float(x)) for x in b]
    p = len(rows[0])
    both = [[*row, y] for row, y in zip(rows, right, strict=True)]
    system = [[sum(r[i] * r[j] for r in both) for j in range(p + 1)] for i in range(p)]
    for i in range(p):
        pivot = next(k for k in range(i, p) if system[k][i] != 0)
        system[i], system[pivot] = system[pivot], system[i]
        for k in range(p):
            if k != i:
                factor = system[k][i] / system[i][i]
                system[k] = [x - factor * y for x, y in zip(system[k], system[i], strict=True)]
    w = [system[i][p] / system[i][i] for i in range(p)]
    left = [sum(x * v for x, v in zip(row, w, strict=True)) - y for row, y in zip(rows, right, strict=True)]
    return float(sum(r * r for r in left) / 2)


@pytest.mark.parametrize("apart", [1e-6, 1e-10, 1e-12, 1e-13, 1e-14, 3e-15])
@pytest.mark.parametrize("seed", range(3))
def test_columns_that_nearly_depend_on_each_other_are_no_excuse_for_a_false_optimum(apart, seed):
    """What one column adds to its near twin can explain part of the data: held against rational arithmetic."""
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((30, 4))
    A = np.c_[A, A[:, 0] * (1 + apart * rng.standard_normal(30))]
    b = A.sum(1) + rng.standard_normal(30)
    run = ow.solve(ow.problems.least_squares(A, b, reduction="sum"))
    if run.status in (Status.OPTIMAL, Status.STATIONARY):
        w = [Fraction(float(v)) for v in run.w]
        z = [sum(Fraction(float(x)) * v for x, v in zip(row, w, strict=True)) for row in A]
        value = float(sum((a - Fraction(float(y))) ** 2 for a, y in zip(z, b, strict=True)) / 2)
        assert value <= exact_least_squares(A, b) * (1 + 1.01e-6)
    else:
        assert apart < 1e-11
        assert "depend on each other" in run.why or run.certificate.value < 1e-2


@pytest.mark.parametrize("n", [30, 1000])
@pytest.mark.parametrize("kind", ["twin", "classes and an intercept", "sum", "low rank", "zero"])
def test_columns_that_do_depend_on_each_other_are_proved_all_the_same(kind, n):
    rng = np.random.default_rng(1)
    A = rng.standard_normal((n, 5))
    classes = np.eye(4)[rng.integers(0, 4, n)]
    A = {
        "twin": np.c_[A, 3.7 * A[:, 0]],
        "classes and an intercept": np.c_[np.ones(n), classes, A],
        "sum": np.c_[A, A[:, 0] + A[:, 1]],
        "low rank": A @ rng.standard_normal((5, 8)),
        "zero": np.c_[A, np.zeros(n)],
    }[kind]
    assert ow.solve(ow.problems.least_squares(A, A.sum(1) + rng.standard_normal(n))).status is Status.OPTIMAL
