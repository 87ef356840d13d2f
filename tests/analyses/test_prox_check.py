"""The check of a penalty: right ones pass, and each slip is found by the law that it breaks."""

import math

import pytest
import torch

from optwise.analyses.prox_check import check_prox
from optwise.core.errors import BadProblem
from optwise.core.finding import Grade
from optwise.core.penalty import Penalty
from optwise.problems.terms.penalties import (
    L0,
    L1,
    MCP,
    SCAD,
    ElasticNetPenalty,
    GroupL2,
    HingeSum,
    HuberNorm,
    L2Norm,
    LInf,
    NonnegativeL1,
    SortedL1,
    SquaredL2,
    TotalVariation1D,
)


class Absolute(Penalty):
    """What a user would write: 0.7 times the l1 norm, with all it can say."""

    lower_bound = 0.0

    def value(self, w):
        return 0.7 * w.abs().sum(-1)

    def prox(self, v, step):
        return v.sign() * (v.abs() - 0.7 * step).clamp(min=0)

    def conjugate(self, u):
        return torch.where((u.abs() <= 0.7).all(-1), 0.0, math.inf)

    def dual_scale(self, u):
        return min(1.0, 0.7 / max(float(u.abs().max()), 1e-300) * (1 - 1e-15))

    def violation(self, w, g):
        return torch.where(w == 0, (g.abs() - 0.7).clamp(min=0), (g + 0.7 * w.sign()).abs())

    def prox_derivative(self, v, step):
        return (v.abs() > 0.7 * step).to(v.dtype)

    def restricted(self, index):
        return self


class WithoutStep(Absolute):
    def prox(self, v, step):
        return v.sign() * (v.abs() - 0.7).clamp(min=0)


class TwiceTheWeight(Absolute):
    """As where a colleague's square has no factor 1/2."""

    def prox(self, v, step):
        return v.sign() * (v.abs() - 1.4 * step).clamp(min=0)


class OfAnotherNorm(Absolute):
    def prox(self, v, step):
        length = v.norm(dim=-1, keepdim=True)
        return v * (1 - 0.7 * step / length.clamp(min=1e-300)).clamp(min=0)


class AlmostRight(Absolute):
    def prox(self, v, step):
        return super().prox(v, step) * (1 + 1e-4)


class NeverOutside(Absolute):
    """A conjugate without its domain: every gap would be too small."""

    def conjugate(self, u):
        return torch.zeros_like(u[..., 0])

    def dual_scale(self, u):
        return 1.0


class TooNarrow(Absolute):
    def conjugate(self, u):
        return torch.where((u.abs() <= 0.6).all(-1), 0.0, math.inf)

    def dual_scale(self, u):
        return min(1.0, 0.6 / max(float(u.abs().max()), 1e-300) * (1 - 1e-15))


class WithoutScale(Absolute):
    def dual_scale(self, u):
        return 1.0


class BoundTooHigh(Absolute):
    lower_bound = 0.1


class WrongSign(Absolute):
    def violation(self, w, g):
        return super().violation(w, -g)


class WrongSlope(Absolute):
    def prox_derivative(self, v, step):
        return torch.ones_like(v)


class Elsewhere(Absolute):
    def restricted(self, index):
        return SquaredL2(1.0)


class NotANumber(Absolute):
    def prox(self, v, step):
        return super().prox(v, step) / (v != 0)


class Outside(NonnegativeL1):
    """The map forgets the constraint that the value has."""

    def prox(self, v, step):
        return L1(self.weight).prox(v, step)


class CountCalledConvex(L0):
    convex = True


EVERYTHING = {
    "prox",
    "lower-bound",
    "chords",
    "firm-nonexpansiveness",
    "step",
    "fenchel-young",
    "moreau",
    "dual-scale",
    "subdifferential",
}
WRONG = [
    (WithoutStep(), {"prox", "step", "moreau", "subdifferential"}),
    (TwiceTheWeight(), {"prox", "moreau", "subdifferential"}),
    (OfAnotherNorm(), {"prox", "moreau", "subdifferential"}),
    (AlmostRight(), {"prox", "step", "moreau", "subdifferential"}),
    (NeverOutside(), {"fenchel-young"}),
    (TooNarrow(), {"moreau"}),
    (WithoutScale(), {"dual-scale"}),
    (BoundTooHigh(), {"lower-bound"}),
    (WrongSign(), {"subdifferential"}),
    (WrongSlope(), {"subdifferential"}),
    (Elsewhere(), {"subdifferential"}),
    (NotANumber(), {"prox", "lower-bound", "firm-nonexpansiveness", "step", "moreau", "subdifferential"}),
    (Outside(0.7), {"prox", "moreau", "subdifferential"}),
    (CountCalledConvex(1.0), {"chords", "firm-nonexpansiveness", "step"}),
]
RIGHT = [
    Absolute(),
    L0(1.0),
    L1(0.5),
    MCP(0.5),
    SCAD(0.5),
    ElasticNetPenalty(0.5, 0.2),
    GroupL2(0.7, torch.tensor([0, 0, 1, 1, 2])),
    HingeSum(0.5),
    HuberNorm(2.0, 0.5),
    L2Norm(2.0),
    LInf(1.0),
    NonnegativeL1(0.5),
    SortedL1(torch.tensor([2.0, 1.5, 1.0, 0.5, 0.0])),
    SquaredL2(0.3),
    TotalVariation1D(0.8),
]


def failed(findings):
    return {finding.check for finding in findings if finding.grade is Grade.FAIL}


@pytest.mark.parametrize("penalty", RIGHT, ids=lambda penalty: type(penalty).__name__)
def test_a_right_penalty_passes_every_law_that_it_can_be_held_to(penalty):
    findings = check_prox(penalty, 5, points=10)
    assert not failed(findings), [finding.evidence for finding in findings if finding.grade is Grade.FAIL]
    assert {"prox", "lower-bound"} <= {finding.check for finding in findings} <= EVERYTHING
    for finding in findings:
        assert finding.evidence.startswith("No counterexample in ")
        assert finding.subject == type(penalty).__name__
        assert (finding.value, finding.interval.low, finding.advice) == (0.0, 0.0, "")
        assert 0 < finding.interval.high < 0.5


def test_what_a_penalty_says_of_itself_decides_which_laws_are_tried():
    assert {finding.check for finding in check_prox(Absolute(), 3, points=10)} == EVERYTHING
    assert {finding.check for finding in check_prox(L2Norm(1.0), 3, points=10)} == EVERYTHING - {"subdifferential"}
    assert {finding.check for finding in check_prox(MCP(1.0), 3, points=10)} == {
        "prox",
        "lower-bound",
        "subdifferential",
    }


@pytest.mark.parametrize(("penalty", "broken"), WRONG, ids=lambda case: getattr(type(case), "__name__", ""))
def test_a_slip_is_found_by_the_laws_that_it_breaks(penalty, broken):
    findings = check_prox(penalty, 4, points=10)
    assert failed(findings) >= broken
    assert not failed(findings) & {"lower-bound", "chords"} - broken
    for finding in findings:
        if finding.grade is Grade.FAIL:
            assert finding.advice
            assert finding.interval.low > 0
            assert 0 < finding.value <= 1
            assert "The worst, by" in finding.evidence


def test_the_worst_counterexample_is_named_with_its_numbers():
    (finding,) = (found for found in check_prox(TwiceTheWeight(), 1, points=10) if found.check == "prox")
    assert "step " in finding.evidence
    assert "v = (" in finding.evidence


def test_a_check_repeats_and_another_seed_draws_other_points():
    assert check_prox(WithoutStep(), 3, points=10) == check_prox(WithoutStep(), 3, points=10)
    assert check_prox(WithoutStep(), 3, points=10) != check_prox(WithoutStep(), 3, points=10, seed=1)


def test_a_penalty_with_float32_numbers_is_checked_in_float64():
    assert not failed(check_prox(SortedL1(torch.tensor([1.5, 1.0, 0.25])), 3, points=10))


class Silent(Penalty):
    def value(self, w):
        return w.abs().sum(-1)


@pytest.mark.parametrize(
    ("penalty", "dimension", "points", "said"),
    [(Silent(), 3, 10, "Silent has no prox"), (Absolute(), 3, 9, "9 points"), (Absolute(), 0, 10, "length 0")],
)
def test_what_cannot_be_checked_is_refused(penalty, dimension, points, said):
    with pytest.raises(BadProblem, match=said):
        check_prox(penalty, dimension, points=points)
