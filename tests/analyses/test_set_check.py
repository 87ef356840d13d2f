"""The check of a set: right ones pass, and each slip is found by the law that it breaks."""

import math

import pytest
import torch

from optwise.analyses.set_check import check_set
from optwise.core.constraint import ConstraintSet
from optwise.core.errors import BadProblem
from optwise.core.finding import Grade
from optwise.problems.terms.sets import (
    Affine,
    Box,
    Budget,
    Halfspace,
    L1Ball,
    L2Ball,
    LInfBall,
    Nonnegative,
    SecondOrderCone,
    Simplex,
)

ONES = torch.ones(5).double()


class Ball(ConstraintSet):
    """What a user would write: the unit ball."""

    def project(self, v):
        return v / v.norm(dim=-1, keepdim=True).clamp(min=1.0)

    def support(self, u):
        return u.norm(dim=-1)

    def vertex(self, g):
        return -g / g.norm(dim=-1, keepdim=True)


class Sphere(Ball):
    def project(self, v):
        return v / v.norm(dim=-1, keepdim=True)


class Shrinking(Ball):
    def project(self, v):
        return 0.9 * super().project(v)


class NotNearest(Ball):
    """A point of the ball, but by shrinking each entry alone."""

    def project(self, v):
        clipped = v.clamp(-1, 1)
        return torch.where(v.norm(dim=-1, keepdim=True) <= 1, v, clipped / clipped.norm(dim=-1, keepdim=True))


class SmallSupport(Ball):
    def support(self, u):
        return 0.99 * u.norm(dim=-1)


class LargeSupport(Ball):
    def support(self, u):
        return 1.01 * u.norm(dim=-1)


class InfiniteSupport(Ball):
    def support(self, u):
        return torch.full_like(u[..., 0], math.inf)


class WrongWay(Ball):
    def vertex(self, g):
        return -super().vertex(g)


class OutsideVertex(Ball):
    def vertex(self, g):
        return 1.5 * super().vertex(g)


class NoBox(Ball):
    def bounds(self):
        return -ONES, ONES


class CornersOnly(ConstraintSet):
    """The two points -1 and 1 in every entry: a projection, onto no convex set."""

    def project(self, v):
        return torch.where(v >= 0, 1.0, -1.0).to(v)


class OppositeCorners(CornersOnly):
    convex = False

    def project(self, v):
        return -super().project(v)


class SinglePrecision(Ball):
    def project(self, v):
        return super().project(v).float()


EVERYTHING = {
    "idempotence",
    "nearest",
    "variational-inequality",
    "firm-nonexpansiveness",
    "support",
    "normals",
    "dual-scale",
    "vertex",
}
WRONG = [
    (Sphere(), {"variational-inequality", "firm-nonexpansiveness", "normals"}),
    (Shrinking(), {"idempotence"}),
    (NotNearest(), {"nearest", "variational-inequality"}),
    (SmallSupport(), {"support", "normals", "vertex"}),
    (LargeSupport(), {"normals", "vertex"}),
    (InfiniteSupport(), {"normals", "dual-scale", "vertex"}),
    (WrongWay(), {"vertex"}),
    (OutsideVertex(), {"vertex"}),
    (NoBox(), {"bounds"}),
    (CornersOnly(), {"variational-inequality", "firm-nonexpansiveness"}),
    (OppositeCorners(), {"idempotence", "nearest"}),
]
RIGHT = [
    Ball(),
    Affine(torch.stack([ONES, torch.arange(5).double()]), torch.tensor([1.0, 2.0]).double()),
    Box(-ONES, 2 * ONES),
    Box(-math.inf * ONES, 2 * ONES),
    Budget(ONES, 1.0, 0 * ONES, 0.5 * ONES),
    Halfspace(ONES, 1.0),
    L1Ball(2.0),
    L2Ball(2.0),
    LInfBall(2.0),
    Nonnegative(5),
    SecondOrderCone(),
    Simplex(),
]


def failed(findings):
    return {finding.check for finding in findings if finding.grade is Grade.FAIL}


@pytest.mark.parametrize("constraint", RIGHT, ids=lambda constraint: type(constraint).__name__)
def test_a_right_set_passes_every_law_that_it_can_be_held_to(constraint):
    findings = check_set(constraint, 5, points=20)
    assert not failed(findings), [finding.evidence for finding in findings if finding.grade is Grade.FAIL]
    assert {"idempotence", "nearest", "variational-inequality"} <= {finding.check for finding in findings}
    assert not any(finding.advice for finding in findings)


def test_what_a_set_says_of_itself_decides_which_laws_are_tried():
    class Silent(ConstraintSet):
        def project(self, v):
            return v.clamp(min=0)

    assert {finding.check for finding in check_set(Ball(), 5, points=10)} == EVERYTHING
    assert {finding.check for finding in check_set(Silent(), 5, points=10)} == {
        "idempotence",
        "nearest",
        "variational-inequality",
        "firm-nonexpansiveness",
    }


@pytest.mark.parametrize(("constraint", "broken"), WRONG, ids=lambda case: getattr(type(case), "__name__", ""))
def test_a_slip_is_found_by_the_laws_that_it_breaks(constraint, broken):
    findings = check_set(constraint, 5, points=20)
    assert failed(findings) >= broken
    for finding in findings:
        if finding.grade is Grade.FAIL:
            assert finding.advice
            assert finding.interval.low > 0
            assert "The worst, by" in finding.evidence


def test_a_set_that_is_known_not_to_be_convex_is_held_to_its_projection_alone():
    class Circle(Sphere):
        convex = False

    findings = check_set(Circle(), 3)
    assert not failed(findings)
    assert {finding.check for finding in findings} == {"idempotence", "nearest", "vertex"}


def test_what_cannot_be_checked_is_refused():
    with pytest.raises(BadProblem, match="9 points"):
        check_set(Ball(), 3, points=9)
    with pytest.raises(BadProblem, match="gives float32 of shape"):
        check_set(SinglePrecision(), 3)
