"""The check of convexity: counterexamples are real, right claims pass, and no pass says more than it may."""

import math
from dataclasses import dataclass

import numpy as np
import pytest
import torch

from optwise.analyses.convexity_check import check_convexity
from optwise.core.errors import BadProblem
from optwise.core.finding import Grade
from optwise.core.loss import LinearModel
from optwise.core.smooth import Smooth
from optwise.problems.terms.functions import QuadraticTerm, SquaredDistance
from optwise.problems.terms.linear_models import LinearModelTerm, SoftmaxTerm
from optwise.problems.terms.operators import MatrixOperator
from optwise.problems.terms.predictions import HuberLoss, LogisticLoss, SquaredHinge

GENERATOR = torch.Generator().manual_seed(0)
X = torch.randn(20, 5, generator=GENERATOR, dtype=torch.float64)
SIGNS = torch.where(X[:, 0] > 0, 1.0, -1.0).double()

CONVEX = {
    "square": lambda w: w.square().sum(),
    "square far above 0": lambda w: 1e6 + w.square().sum(),
    "quartic": lambda w: (X @ w).pow(4).sum(),
    "log-sum-exp": lambda w: torch.logsumexp(X @ w, 0),
    "norm": lambda w: (X @ w).norm(),
    "absolute values": lambda w: (X @ w).abs().sum(),
    "largest entry": lambda w: (X @ w).max(),
    "linear": lambda w: X[0] @ w,
    "constant": lambda w: 0 * w.sum(),
    "barrier": lambda w: -(1 - w.square().sum()).log() if w.square().sum() < 1 else w.sum() * math.inf,
}
BENT = {
    "valley": lambda w: (100 * (w[1:] - w[:-1] ** 2) ** 2 + (1 - w[:-1]) ** 2).sum(),
    "sine": lambda w: w.sin().sum(),
    "product": lambda w: w[0] * w[1],
    "concave": lambda w: -w.square().sum(),
    "root": lambda w: w.abs().sqrt().sum(),
    "smaller of two": lambda w: torch.minimum(w.square().sum(), (w - 3).square().sum()),
    "one direction of five": lambda w: w.square().sum() - 1.001 * w[-1].square(),
    "far away": lambda w: torch.where(w.norm() < 20, w.square().sum(), 40 * w.norm() - 400 - (w.norm() - 20) ** 2 / 9),
}


def graded(check, name):
    return next(one for one in check.findings if one.check == name)


@pytest.mark.parametrize("name", CONVEX)
def test_a_convex_function_has_no_counterexample_and_is_not_called_convex_for_it(name):
    check = check_convexity(CONVEX[name], 5)
    assert check.ok, str(check)
    assert check.counterexample is None
    assert check.verdict.startswith("No counterexample in 256 chords")
    assert "convex" not in str(check).lower()
    chords = graded(check, "chords")
    assert chords.value == 0.0
    assert chords.interval.high < 0.06  # of all drawn chords, at 95 %
    assert str(check).count("\n") == len(check.findings)


@pytest.mark.parametrize("name", BENT)
def test_a_counterexample_is_one(name):
    f = BENT[name]
    check = check_convexity(f, 5)
    assert not check.ok
    found = check.counterexample
    between = f(found.x + found.weight * (found.y - found.x))
    chord = (1 - found.weight) * f(found.x) + found.weight * f(found.y)
    assert float(between - chord) == pytest.approx(found.violation, rel=1e-6)
    assert found.violation > 0
    assert check.verdict.startswith("Not convex: between (")
    assert any(finding.advice for finding in check.findings)


def test_a_single_direction_that_curves_down_is_found_among_hundreds():
    check = check_convexity(lambda w: w.square().sum() - 1.001 * w[-1].square(), 300, chords=10)
    assert graded(check, "chords").grade is Grade.PASS
    assert graded(check, "curvature").grade is Grade.FAIL
    step = check.counterexample.y - check.counterexample.x
    assert float(step[-1].abs() / step.norm()) > 0.999


def test_without_autograd_chords_alone_are_tried():
    check = check_convexity(lambda w: torch.from_numpy(np.square(w.detach().numpy())).sum(), 3)
    assert [finding.check for finding in check.findings] == ["chords"]
    assert check.verdict == "No counterexample in 256 chords."


TERMS = [
    QuadraticTerm(X.T @ X, X[0]),
    SquaredDistance(X[0], 3.0),
    LinearModelTerm(LinearModel(MatrixOperator(X), SIGNS, LogisticLoss(), 0.05, 0.1)),
    LinearModelTerm(LinearModel(MatrixOperator(X), SIGNS, SquaredHinge(), 0.05)),
    LinearModelTerm(LinearModel(MatrixOperator(X), X[:, 1], HuberLoss(0.5), 1.0)),
    SoftmaxTerm(MatrixOperator(X), torch.arange(20) % 3, classes=3, scale=0.05, l2=0.1),
]


@pytest.mark.parametrize("term", TERMS, ids=lambda term: type(term).__name__)
def test_the_constants_of_right_terms_hold(term):
    check = check_convexity(term, term.dimension, radius=2.0)
    assert check.ok, str(check)
    assert {"chords", "curvature", "lipschitz"} <= {finding.check for finding in check.findings}


@dataclass(frozen=True, eq=False)
class Claims(Smooth):
    """Half the squared norm, with constants that may be wrong."""

    lipschitz: float | None = None
    strong_convexity: float = 0.0
    lower_bound: float = -math.inf
    factor: float = 1.0

    @property
    def dimension(self):
        return 3

    @property
    def convex(self):
        return True

    def value(self, w):
        return 0.5 * w.square().sum()

    def hvp(self, w, v):
        return self.factor * v


@pytest.mark.parametrize(
    ("claims", "broken"),
    [
        (Claims(1.0, 1.0, 0.0), set()),
        (Claims(lipschitz=0.9), {"lipschitz"}),
        (Claims(strong_convexity=1.1), {"strong-convexity"}),
        (Claims(lower_bound=0.1), {"lower-bound"}),
        (Claims(factor=-1.0), {"curvature"}),
    ],
)
def test_a_constant_that_does_not_hold_is_found(claims, broken):
    check = check_convexity(claims, 3)
    assert {finding.check for finding in check.findings if finding.grade is Grade.FAIL} == broken
    assert check.ok == (not broken)
    assert check.counterexample is None  # the function itself is convex


def test_the_region_that_is_asked_for_is_the_one_that_is_checked():
    hill = lambda w: -torch.exp(-w.square().sum())  # noqa: E731 - one formula, convex within 0.7 of 0 only
    assert check_convexity(hill, torch.zeros(2), radius=2e-3, chords=100).counterexample is None
    assert check_convexity(hill, torch.tensor([2.0, 0.0]), radius=0.1).counterexample is not None


def test_a_check_repeats():
    assert str(check_convexity(BENT["valley"], 4)) == str(check_convexity(BENT["valley"], 4))
    assert str(check_convexity(BENT["valley"], 4)) != str(check_convexity(BENT["valley"], 4, seed=1))


@pytest.mark.parametrize(
    ("f", "around", "options", "said"),
    [
        (CONVEX["square"], torch.zeros(2, 2), {}, "shape"),
        (CONVEX["square"], 2, {"radius": 0.0}, "radius 0"),
        (CONVEX["square"], 2, {"chords": 0}, "0 chords"),
        (lambda w: w.log().sum(), 2, {}, "is -inf at"),
        (lambda w: torch.ones(2, 3) @ w, 3, {}, "float64"),
        (lambda w: w, 3, {}, "one number"),
    ],
)
def test_what_cannot_be_checked_is_refused(f, around, options, said):
    with pytest.raises(BadProblem, match=said):
        check_convexity(f, around, **options)
