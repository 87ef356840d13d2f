"""A part that is wrong in one coordinate among many is named as well, and no right one at any scale."""

import math

import pytest
import torch

import optwise as ow
from optwise.analyses.certificates.doubted_parts import loss_faults
from optwise.analyses.certificates.doubted_smooth import smooth_faults
from optwise.analyses.certificates.refuting import refutation
from optwise.core.composite import Composite
from optwise.core.constraint import ConstraintSet
from optwise.core.loss import LinearModel
from optwise.core.penalty import Penalty
from optwise.core.smooth import Smooth
from optwise.problems.terms.functions import FunctionTerm, QuadraticTerm, SquaredDistance
from optwise.problems.terms.linear_models import LinearModelTerm, SoftmaxTerm
from optwise.problems.terms.operators import MatrixOperator
from optwise.problems.terms.predictions import HuberLoss, LogisticLoss, SquaredError, SquaredHinge
from optwise.problems.terms.residuals import FunctionResiduals, ResidualTerm

P, ODD = 12, 5
TARGET = torch.linspace(-2, 3, P, dtype=torch.float64)
INSIDE = TARGET.clamp(-0.9, 0.9)
F = FunctionTerm(lambda w: (w - TARGET).square().sum(), P)
SCALES = [1e-12, 1e-6, 1.0, 1e6, 1e12]


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


class Set(ConstraintSet):
    """A convex set by its projection, as a caller writes one."""

    def __init__(self, nearest):
        self.nearest = nearest

    def project(self, v):
        return self.nearest(v)


class Round(Set):
    """The unit ball with its vertices."""

    def __init__(self, vertex):
        super().__init__(unit_ball)
        self.least = vertex

    def vertex(self, g):
        return self.least(g)


def unit_ball(v):
    return v / v.norm().clamp(min=1.0)


def odd(v, other):
    """A point with another number at one place."""
    found = v.clone()
    found[ODD] = other
    return found


def short_of_one_side(v):
    return odd(v.clamp(-1, 1), v[ODD].clamp(-0.99, 1) if v[ODD] < -1 else v[ODD].clamp(-1, 1))


def short_of_both_sides(v):
    return odd(v.clamp(-1, 1), v[ODD] if abs(v[ODD]) <= 1 else 0.99 * v[ODD].sign())


def largest_alone(v):
    return torch.where(v.abs() == v.abs().max(), v, 0.0)


def soft(v, level):
    return v.sign() * (v.abs() - level).clamp(min=0)


class Half(Penalty):
    """Half the l1 norm, of which one part may be another."""

    lower_bound = 0.0

    def __init__(self, *, prox=None, places=None):
        self.map, self.places = prox, list(range(P)) if places is None else places

    def value(self, w):
        return 0.5 * w.abs().sum(-1)

    def prox(self, v, step):
        return soft(v, 0.5 * step) if self.map is None else self.map(v, step)

    def conjugate(self, u):
        return torch.where(u[..., self.places].abs().amax(-1) <= 0.5 * (1 + 1e-12), 0.0, torch.inf)

    def dual_scale(self, u):
        return min(1.0, 0.5 / max(float(u.abs().max()), 1e-300))


class Low(Half):
    def value(self, w):
        return super().value(w) - 1e-3


class Claims(Smooth):
    """A weighted squared distance that says things of itself."""

    dimension, convex, lower_bound = P, True, 0.0

    def __init__(self, weight=1.0, lipschitz=None):
        self.weights, self.constant = odd(torch.ones(P, dtype=torch.float64), weight), lipschitz

    def value(self, w):
        return (self.weights * (w - TARGET).square()).sum()

    @property
    def lipschitz(self):
        return self.constant


class Depth(Claims):
    lower_bound = 0.5


WRONG = {
    "one side of a box": ({"constraint": Set(short_of_one_side)}, "projection"),
    "both sides of a box": ({"constraint": Set(short_of_both_sides)}, "projection"),
    "sphere": ({"constraint": Set(lambda v: v / v.norm())}, "convex"),
    "whole numbers": ({"constraint": Set(torch.round)}, "convex"),
    "axes": ({"constraint": Set(largest_alone)}, "convex"),
    "uphill vertex": ({"constraint": Round(lambda g: g / g.norm())}, "vertex"),
    "vertex outside": ({"constraint": Round(lambda g: -g.sign())}, "vertex"),
    "vertex inside": ({"constraint": Round(lambda g: -0.5 * g / g.norm())}, "vertex"),
    "prox of one": ({"penalty": Half(prox=lambda v, t: odd(soft(v, 0.5 * t), soft(v[ODD], 0.6 * t)))}, "prox"),
    "prox that is cut off": ({"penalty": Half(prox=lambda v, t: soft(v, 0.5 * t).clamp(-40, 40))}, "prox"),
    "domain of half": ({"penalty": Half(places=list(range(6)))}, "conjugate"),
    "domain but for one": ({"penalty": Half(places=[j for j in range(P) if j != ODD])}, "conjugate"),
    "bound of a penalty": ({"penalty": Low()}, "never below 0"),
}
CLAIMED = {
    "Lipschitz": (Claims(1.5, lipschitz=2.05), "Lipschitz"),
    "convex": (Claims(-0.01), "convex"),
    "bound of f": (Depth(), "never below 0.5"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_part_that_is_wrong_in_a_coordinate_is_named(name):
    parts, said = WRONG[name]
    w = parts["constraint"].project(INSIDE) if "constraint" in parts else soft(TARGET, 0.5)
    assert said in refutation(Composite(F, start=torch.full((P,), 0.1, dtype=torch.float64), **parts), w)


@pytest.mark.parametrize("name", CLAIMED)
def test_a_claim_that_one_direction_contradicts_is_named(name):
    f, said = CLAIMED[name]
    assert said in refutation(Composite(f, start=torch.full((P,), 0.1, dtype=torch.float64)), TARGET + 0.01)


@pytest.mark.parametrize("scale", SCALES)
def test_the_same_parts_without_the_mistake_are_never_refuted(scale):
    parts = [{"constraint": Set(lambda v: v.clamp(-1, 1))}, {"constraint": Round(lambda g: -g / g.norm())}]
    for part in [*parts, {"penalty": Half()}, {}]:
        for f in (F, Claims(), Claims(1.5, lipschitz=3.0), Claims(0.0, lipschitz=2.0)):
            for seed in range(4):
                w = scale * normal(P, seed=seed)
                w = part["constraint"].project(w) if "constraint" in part else w
                assert refutation(Composite(f, start=torch.zeros_like(w), **part), w) == ""


def test_a_gradient_whose_own_derivative_is_lost_is_no_curvature():
    """A norm is convex; what autograd sees of its Hessian, once the square keeps its slope only, is not."""

    class Square(torch.autograd.Function):
        @staticmethod
        def forward(ctx, w):
            ctx.save_for_backward(2 * w.detach())
            return w.square().sum()

        @staticmethod
        def backward(ctx, g):
            return g * ctx.saved_tensors[0].detach()

    class Length(Claims):
        def value(self, w):
            return (1e-3 + Square.apply(w - TARGET)).sqrt()

    f = Length()
    for far in (1e-3, 0.1, 1.0):
        assert refutation(Composite(f, start=torch.zeros(P, dtype=torch.float64)), TARGET + far) == ""


@pytest.mark.parametrize("scale", SCALES)
def test_no_smooth_term_of_the_library_is_accused_of_not_being_what_it_says(scale):
    X, y = scale * normal(20, 4), normal(20, seed=1)
    terms = [
        LinearModelTerm(LinearModel(MatrixOperator(X), y.sign() if signs else y, loss, 1 / 20))
        for loss, signs in ((SquaredError(), 0), (HuberLoss(0.7), 0), (LogisticLoss(), 1), (SquaredHinge(), 1))
    ]
    for term in terms:
        for seed in range(4):
            assert not any(loss_faults(term.model, normal(4, seed=seed) / scale ** (seed % 2)))
    terms += [
        QuadraticTerm(X.mT @ X, X.mT @ y),
        SquaredDistance(scale * normal(4)),
        SoftmaxTerm(MatrixOperator(X), torch.arange(20) % 3, classes=3, scale=1 / 20),
        ResidualTerm(FunctionResiduals(lambda w: torch.tanh(X @ w) - y), 4),
    ]
    for term in terms:
        for seed in range(4):
            w = normal(term.dimension, seed=seed) * (scale if isinstance(term, SquaredDistance) else 1 / scale)
            assert not any(smooth_faults(Composite(term, start=torch.zeros_like(w)), w))


def test_a_jacobian_that_is_not_that_of_its_residuals_is_named_and_a_right_one_is_not():
    t = torch.linspace(0.1, 2, 20, dtype=torch.float64)

    def residuals(w):
        return w[0] * torch.exp(-w[1] * t) - 3 * torch.exp(-0.5 * t) + 0.01 * torch.cos(9 * t)

    for factor, wrong in ((t, False), (1.0, True)):

        def jacobian(w, factor=factor):
            return torch.stack([torch.exp(-w[1] * t), -w[0] * factor * torch.exp(-w[1] * t)], 1)

        run = ow.solve(ow.problems.nonlinear_least_squares(residuals, [1.0, 1.0], jacobian=jacobian))
        assert ("The Jacobian is not that of the residuals" in run.why) is wrong
        assert run.status.ok is not wrong
        assert math.isfinite(run.value)


RUN_AWAY = {
    "a bell that falls for ever": lambda w: (1 / (1 + w**2)).sum(),
    "a logarithm that falls for ever": lambda w: -torch.log1p(w**2).sum(),
    "roots of sizes, steep at 0": lambda w: w.abs().sqrt().sum(),
    "sizes": lambda w: (w - 1).abs().sum(),
    "a bend and a bowl": lambda w: torch.relu(w - 1).sum() + 0.1 * w.square().sum(),
}


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize("name", RUN_AWAY)
def test_a_right_gradient_is_not_accused_where_answer_and_start_are_of_other_sizes(name, scale):
    """Weights of 1e154 or 1e-207: over a part of these f bends long before the end of the way."""
    run = ow.solve(ow.problems.smooth(lambda w: scale * RUN_AWAY[name](w), [0.5, 3.0]))
    assert "is not that of" not in run.why
    assert "no longer answers" not in run.why or "ever" in name
