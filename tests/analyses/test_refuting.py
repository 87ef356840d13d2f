"""A part that is not what it says is named, and a right one never is."""

from dataclasses import replace

import pytest
import torch

import optwise as ow
from optwise.analyses.certificates.refuting import refutation
from optwise.core.composite import Composite
from optwise.core.constraint import ConstraintSet
from optwise.core.loss import LinearModel
from optwise.core.operator import LinearOperator
from optwise.core.oracles import Oracle
from optwise.core.penalty import Penalty
from optwise.core.smooth import Smooth
from optwise.core.status import Status
from optwise.problems.terms.functions import FunctionTerm, SquaredDistance
from optwise.problems.terms.linear_models import LinearModelTerm
from optwise.problems.terms.predictions import LogisticLoss
from optwise.problems.terms.sets import Box

GENERATOR = torch.Generator().manual_seed(3)
TARGET = torch.tensor([3.0, 0.25, -1.0], dtype=torch.float64)


def normal(*shape):
    return torch.randn(shape, generator=GENERATOR, dtype=torch.float64)


def squared(w):
    return (w - TARGET).square().sum()


class Half(Penalty):
    """Half the l1 norm; its parts are right."""

    lower_bound = 0.0
    wrong = ""

    def value(self, w):
        return 0.5 * w.abs().sum(-1)

    def prox(self, v, step):
        level = {"prox": 1.0, "small prox": 0.4}.get(self.wrong, 0.5) * step
        return v.sign() * (v.abs() - level).clamp(min=0)

    def conjugate(self, u):
        radius = {"conjugate": 1.0, "wide conjugate": 0.502, "no conjugate": torch.inf}.get(self.wrong, 0.5)
        inside = u.abs().amax(-1) <= radius * (1 + 1e-12)
        return torch.where(inside, 0.0, torch.inf) - (1.0 if self.wrong == "small conjugate" else 0.0)

    def dual_scale(self, u):
        return min(1.0, {"conjugate": 1.0}.get(self.wrong, 0.5) / max(float(u.abs().max()), 1e-300))


def half(wrong):
    found = Half()
    found.wrong = wrong
    return found


class Count(Half):
    """No norm at all, whatever it says of itself."""

    kind = "count"

    def value(self, w):
        found = {"count": (w != 0).double(), "hill": -w.square(), "capped": w.abs().clamp(max=0.3)}[self.kind]
        return 0.5 * found.sum(-1)

    @property
    def oracles(self):
        return super().oracles - {Oracle.CONJUGATE, Oracle.PROX}


def count(kind):
    found = Count()
    found.kind, found.lower_bound = kind, -torch.inf
    return found


class Inner(ConstraintSet):
    """A box that what lies outside is not quite taken to the edge of."""

    share = 0.999

    def project(self, v):
        inside = v.clamp(-1, 1)
        return torch.where(inside == v, v, self.share * inside)


class Bounds(Inner):
    """One whose bounds are those of another."""

    share = 1.0

    def bounds(self):
        return torch.full((3,), -2.0).double(), torch.full((3,), 2.0).double()


class Ball(ConstraintSet):
    """The unit ball; its parts are right."""

    wrong = ""

    def project(self, v):
        if self.wrong == "projection":
            return v / v.abs().sum().clamp(min=1.0)  # lies within, and is not the nearest
        if self.wrong == "moves":
            return 0.9 * v / v.norm().clamp(min=1.0)
        return v / v.norm().clamp(min=1.0)

    def support(self, u):
        return (0.5 if self.wrong == "support" else 1.0) * u.norm(dim=-1)


def ball(wrong):
    found = Ball()
    found.wrong = wrong
    return found


class Tilted(LinearOperator):
    """A matrix whose adjoint is right or is not."""

    def __init__(self, A, *, right=True):
        self.A, self.right = A, right

    @property
    def shape(self):
        return tuple(self.A.shape)

    def forward(self, w):
        return w @ self.A.mT

    def adjoint(self, v):
        return v @ self.A * (1.0 if self.right else 1.01)


class Claims(Smooth):
    """A squared distance that says things of itself."""

    def __init__(self, **claims):
        self.claims = claims

    dimension = 3

    def value(self, w):
        return squared(w) if not self.claims.get("bent") else -squared(w) + 0.1 * squared(w) ** 2

    @property
    def convex(self):
        return True

    @property
    def strong_convexity(self):
        return self.claims.get("modulus", 0.0)

    @property
    def lipschitz(self):
        return self.claims.get("lipschitz")

    @property
    def lower_bound(self):
        return self.claims.get("lower", 0.0)


class Tall(Claims):
    """A squared distance with a conjugate that is right, or too small."""

    def conjugate(self, u):
        return (u * TARGET).sum() + 0.25 * u.square().sum() - self.claims.get("less", 0.0)


def design(X):
    return LinearModelTerm(LinearModel(X, torch.ones(20, dtype=torch.float64), LogisticLoss(), 1 / 20))


A = normal(20, 3)
W = torch.tensor([0.5, 0.2, -0.4], dtype=torch.float64)
START = torch.tensor([0.1, -0.3, 2.0], dtype=torch.float64)
F = FunctionTerm(squared, 3)
WRONG = {
    "gradient": (FunctionTerm(squared, 3, gradient=lambda w: 2 * w), {}),
    "gradient without a term": (FunctionTerm(squared, 3, gradient=lambda w: 2 * (w - TARGET) - 1e-4 * w), {}),
    "hvp": (FunctionTerm(squared, 3, product=lambda w, v: 3 * v), {}),
    "prox": (F, {"penalty": half("prox")}),
    "small prox": (F, {"penalty": half("small prox")}),
    "small conjugate": (F, {"penalty": half("small conjugate")}),
    "conjugate": (F, {"penalty": half("conjugate")}),
    "wide conjugate": (F, {"penalty": half("wide conjugate")}),
    "no conjugate": (F, {"penalty": half("no conjugate")}),
    "conjugate of f": (Tall(less=10.0), {}),
    "convex count": (F, {"penalty": count("count")}),
    "convex hill": (F, {"penalty": count("hill")}),
    "convex cap": (F, {"penalty": count("capped")}),
    "projection on the edge": (F, {"constraint": Inner()}),
    "bounds": (F, {"constraint": Bounds()}),
    "projection": (F, {"constraint": ball("projection")}),
    "moves": (F, {"constraint": ball("moves")}),
    "support": (F, {"constraint": ball("support")}),
    "adjoint": (design(Tilted(A, right=False)), {}),
    "adjoint of A": (F, {"penalty": half(""), "operator": Tilted(A, right=False)}),
    "convex": (Claims(bent=True, lower=-torch.inf), {}),
    "modulus": (Claims(modulus=3.0), {}),
    "Lipschitz": (Claims(lipschitz=1.0), {}),
    "lower_bound": (Claims(lower=100.0), {}),
}
SAID = {
    "gradient without a term": "gradient",
    "small prox": "prox",
    "small conjugate": "conjugate",
    "moves": "projection",
    "wide conjugate": "conjugate",
    "no conjugate": "conjugate",
}
RIGHT = {
    "function": (F, {}),
    "its own derivatives": (
        FunctionTerm(squared, 3, gradient=lambda w: 2 * (w - TARGET), product=lambda w, v: 2 * v),
        {},
    ),
    "prox": (F, {"penalty": half("")}),
    "set": (F, {"constraint": ball("")}),
    "conjugate of f": (Tall(), {}),
    "adjoint": (design(Tilted(A)), {}),
    "adjoint of A": (F, {"penalty": half(""), "operator": Tilted(A)}),
    "claims": (Claims(modulus=2.0, lipschitz=2.0), {}),
    "kink": (FunctionTerm(lambda w: (w - W).abs().sum() + squared(w), 3), {}),
    "kink with its derivative": (
        FunctionTerm(
            lambda w: w.abs().max(),
            3,
            gradient=lambda w: torch.autograd.functional.jacobian(lambda v: v.abs().max(), w),
        ),
        {},
    ),
    "large constant": (FunctionTerm(lambda w: 1e12 + squared(w), 3), {}),
    "float32 inside": (FunctionTerm(lambda w: (w.float() - TARGET.float()).square().sum().double(), 3), {}),
    "wall": (FunctionTerm(lambda w: squared(w) - torch.log(w[0]), 3), {}),
    "huber": (FunctionTerm(lambda w: torch.nn.functional.huber_loss(w, TARGET), 3), {}),
}


def problem(term, parts):
    return Composite(term, start=START if "constraint" not in parts else START / 3, **parts)


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_part_is_named(name):
    made = problem(*WRONG[name])
    near = name == "convex"  # seen between two points where it bends down
    said = refutation(replace(made, start=TARGET - 0.1) if near else made, TARGET + 0.1 if near else W)
    assert SAID.get(name, name).split()[0] in said, said


@pytest.mark.parametrize("scale", [1e-12, 1e-6, 1.0, 1e6, 1e12])
@pytest.mark.parametrize("name", RIGHT)
def test_a_right_part_is_never_refuted(name, scale):
    term, parts = RIGHT[name]
    for w in (W, scale * normal(3).abs(), START.abs()):
        inside = parts["constraint"].project(w) if "constraint" in parts else w
        assert refutation(problem(term, parts), inside) == ""


def test_what_the_library_defines_is_held_against_its_laws_elsewhere_and_costs_nothing_here():
    counted = Composite(SquaredDistance(TARGET), constraint=Box(-TARGET.abs(), TARGET.abs()), start=START)
    before = dict(counted.counts)
    assert refutation(counted, W) == ""
    assert counted.counts == before


def test_a_wrong_gradient_ends_a_solve_with_the_culprit_named():
    wrong = ow.problems.smooth(lambda w: (w - 1).square().sum(), [0.0, 0.0], gradient=lambda w: 2 * w)
    for method in ("auto", "lbfgs", "newton"):
        run = ow.solve(wrong, method)
        assert run.status is Status.STALLED
        assert "The gradient is not that of f" in run.why


def test_a_wrong_prox_ends_a_solve_with_the_culprit_named():
    for wrong, status in (("prox", Status.STALLED), ("", Status.OPTIMAL)):
        built = ow.problems.composite(SquaredDistance(TARGET), half(wrong), w0=[0.0, 0.0, 0.0])
        run = ow.solve(built, "fista")
        assert run.status is status
        assert ("The prox of Half is not that of its value" in run.why) is bool(wrong)


def test_a_backward_that_does_not_belong_to_its_forward_is_found_by_differences():
    class Square(torch.autograd.Function):
        @staticmethod
        def forward(ctx, w):
            ctx.save_for_backward(w)
            return w.square().sum()

        @staticmethod
        def backward(ctx, g):
            return g * ctx.saved_tensors[0]  # half of what it is

    term = FunctionTerm(lambda w: Square.apply(w - TARGET), 3)
    assert "The gradient is not that of f" in refutation(Composite(term, start=START), W)


CHANGES = {
    "noise": lambda n: 1e-3 * torch.rand(()).double(),
    "drift": lambda n: 1e-6 * n,
    "jump": lambda n: 0.5,
}


@pytest.mark.parametrize(("change", "after"), [(c, k) for c in CHANGES for k in (0, 1, 5, 8) if c != "jump" or k > 3])
def test_a_function_that_is_another_one_when_asked_again_is_named_whenever_it_becomes_so(change, after):
    """`jump` is the same function for ever once it has jumped: it must have been asked at the start before."""
    asked = []

    def f(w):
        asked.append(1)
        return squared(w) + (CHANGES[change](len(asked)) if len(asked) > after else 0.0)

    run = ow.solve(ow.problems.smooth(f, START.numpy()))
    assert not run.status.ok, run.why
    assert run.why.count("not the same twice") + run.why.count("is random") == 1, run.why


KINKS = {
    "a roof": lambda w: 5 - w.abs().sum() + (w**4).sum(),
    "a ramp": lambda w: 5 + (w**2 - w.relu()).sum(),
    "two planes": lambda w: 5 + w[0] ** 2 - torch.maximum(w[1], -w[1]),
    "one of many": lambda w: 5 + (w**2).sum() - 1e-3 * w[2].abs(),
}


@pytest.mark.parametrize("name", KINKS)
def test_a_kink_from_which_f_falls_is_no_stationary_point_whatever_autograd_says(name):
    """Autograd takes 0 for the derivative of |w| at 0, from where each of these falls on one side or both."""
    run = ow.solve(ow.problems.smooth(KINKS[name], [0.0, 0.0, 0.0]))
    assert run.status is Status.STALLED
    assert "f has a kink at w = [0, 0, 0]" in run.why


def test_a_kink_at_the_bottom_is_none_to_fall_from():
    run = ow.solve(ow.problems.smooth(lambda w: 5 + w.abs().sum() + (w**2).sum(), [0.0, 0.0]))
    assert run.status is Status.STATIONARY


@pytest.mark.parametrize("name", ["cubic", "monkey", "quartic hill"])
def test_a_point_that_only_third_or_fourth_derivatives_leave_is_told_as_a_saddle(name):
    f = {
        "cubic": lambda w: 1 + (w**3).sum(),
        "monkey": lambda w: 1 + w[0] ** 3 - 3 * w[0] * w[1] ** 2,
        "quartic hill": lambda w: 1 - w[0] ** 4 + w[0] ** 6 + w[1] ** 4,
    }[name]
    run = ow.solve(ow.problems.smooth(f, [0.0, 0.0]))
    assert run.status is Status.STATIONARY
    assert run.certificate.saddle
    assert float(f(run.w + run.certificate.leaving)) < float(f(run.w))


@pytest.mark.parametrize("power", [4, 6, 8])
def test_a_flat_minimum_is_no_saddle(power):
    run = ow.solve(ow.problems.smooth(lambda w: 1 + (w**power).sum(), [1.0, 2.0]))
    assert run.status is Status.STATIONARY
    assert not run.certificate.saddle
