"""Rules that look linear to small probes are refused: norms, sums, sizes, places, dice; or else carried as they are."""

import random
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import pytest
import torch

from optwise.core.errors import BadMethod, BadProblem, NotLinear
from optwise.core.method import UNSET, Hyper, Rule
from optwise.core.oracles import Oracle
from optwise.core.space import LogUniform
from optwise.methods import EMA, SGD, Momentum, Preconditioned
from optwise.problems import least_squares_sgd, nqm
from optwise.problems.terms.penalties.separable import SquaredL2
from optwise.theory import critical_batch_size, floor, floors, forecast, max_lr, rate, rates, steps_to, survey

MOVES = {
    "clipped norm": lambda w, g: g * (1 / g.norm()).clamp(max=1.0),
    "clipped at a huge norm": lambda w, g: g * (1e9 / (g.norm() + 1e-300)).clamp(max=1.0),
    "clipped at a tiny norm": lambda w, g: g * (1e-9 / (g.norm() + 1e-300)).clamp(max=1.0),
    "normalised": lambda w, g: g / (g.norm() + 1e-12),
    "trust ratio": lambda w, g: g * torch.where(g.norm() > 0, w.norm() / g.norm(), 1.0),
    "largest entry only": lambda w, g: torch.where(g.abs() == g.abs().max(), g, 0.0),
    "scaled by the largest": lambda w, g: g * torch.where(g.abs().max() > 1e3, 0.5, 1.0),
    "sign of the sum": lambda w, g: g * torch.where(g.sum() < 0, 0.5, 1.0),
    "parity of signs": lambda w, g: torch.where(torch.prod(torch.where(g < 0, -1.0, 1.0)) < 0, 2 * g, g),
    "one sign": lambda w, g: torch.where(g < 0, 0.9 * g, g),
    "centred": lambda w, g: g - g.mean(),
    "the mean": lambda w, g: g.mean().expand_as(g),
    "neighbours": lambda w, g: g + 0.1 * g.roll(1),
    "running sum": lambda w, g: g.cumsum(0),
    "projected": lambda w, g: g - w * (w @ g) / (w @ w + 1e-300),
    "entries clipped at 1e12": lambda w, g: g.clamp(-1e12, 1e12),
    "a dead zone of 1e-12": lambda w, g: torch.where(g.abs() < 1e-12, 0.0, g),
    "a band": lambda w, g: torch.where((g.norm() > 20.0) & (g.norm() < 200.0), 0.5 * g, g),
    "as many as there are": lambda w, g: g / w.numel() ** 0.5,
    "by place": lambda w, g: g * torch.linspace(1.0, 2.0, w.numel(), dtype=g.dtype),
    "all but the tenth": lambda w, g: g * (torch.arange(w.numel()) != 9),
    "dice": lambda w, g: g * random.choice((0.5, 1.5)),
    "torch's dice": lambda w, g: g * torch.rand(()),
    "dice for each": lambda w, g: g * torch.rand_like(g),
    "pushed": lambda w, g: g + 1e-6,
    "pushed where anything is": lambda w, g: g + 1e-3 * (g != 0).any(),
    "nearly linear": lambda w, g: g + 1e-7 * g * g / (1 + g.abs()),
}


@dataclass(frozen=True)
class Moving(Rule):
    """w - lr move(w, g), by the name of the move."""

    lr: Hyper = UNSET
    move: str = "plain"
    defaults: ClassVar[Mapping[str, Any]] = {"lr": 0.1}

    def init(self, w):
        return {}

    def step(self, w, g, state):
        return w - self.lr * MOVES[self.move](w, g), state


@dataclass(frozen=True)
class LaterMoving(Moving):
    """The plain step before step ``when``, or but for every ``every``-th one; then the move."""

    when: int = 40
    every: int = 1

    def init(self, w):
        return {"k": torch.zeros((), dtype=w.dtype)}

    def step(self, w, g, state):
        k = state["k"]
        now = (k >= self.when) & (k % self.every == self.every - 1)
        return w - self.lr * torch.where(now, MOVES[self.move](w, g), g), {"k": k + 1}


@dataclass(frozen=True)
class Anchored(Rule):
    """Gradient descent that half of its distance to the start draws back."""

    lr: Hyper = UNSET
    defaults: ClassVar[Mapping[str, Any]] = {"lr": 0.1}

    def init(self, w):
        return {"a": w.clone()}

    def step(self, w, g, state):
        return w - self.lr * (g + 0.5 * (w - state["a"])), state


PROBLEM = nqm(h=1 / np.arange(1.0, 11), w0=np.full(10, 3.0))


@pytest.mark.parametrize("move", MOVES)
def test_a_step_that_is_not_linear_in_each_coordinate_by_itself_is_refused(move):
    with pytest.raises(BadMethod):
        forecast(PROBLEM, Moving(lr=0.1, move=move), 20)


@pytest.mark.parametrize("every", [1, 50])
@pytest.mark.parametrize("move", MOVES)
def test_so_is_one_that_becomes_so_later_on_or_now_and_then(move, every):
    method = LaterMoving(lr=0.1, move=move, every=every)
    for ask in (lambda: forecast(PROBLEM, method, 300), lambda: rate(PROBLEM, method), lambda: max_lr(PROBLEM, method)):
        with pytest.raises(BadMethod):
            ask()


def test_a_rule_that_is_drawn_back_to_its_start_has_a_floor():
    problem = nqm(h=[1.0, 0.3], c=[1.0, 1.0], w0=[1.0, -2.0])
    assert floor(problem, Anchored(lr=0.1), 1) == pytest.approx(forecast(problem, Anchored(lr=0.1), 800, 1).risk[-1])


ASKED = [
    rates,
    rate,
    lambda p, m: floor(p, m, 1),
    lambda p, m: floors(p, [m, m.close({"lr": 0.2})], [1, 4]),
    lambda p, m: max_lr(p, m, 4),
    lambda p, m: steps_to(p, [m.close({"lr": float(lr)}) for lr in np.geomspace(0.01, 1.0, 50)], 0.01, [4.0]),
    lambda p, m: survey(p, Moving(lr=LogUniform(0.01, 1.0), move=m.move), 0.01, [4.0], points=9),
    lambda p, m: critical_batch_size(p, m, 0.01),
]


@pytest.mark.parametrize("ask", ASKED)
@pytest.mark.parametrize("move", ["clipped at a huge norm", "as many as there are", "all but the tenth"])
@pytest.mark.parametrize("problem", [PROBLEM, least_squares_sgd(d=10)], ids=["additive", "design"])
def test_every_question_refuses_it(problem, move, ask):
    with pytest.raises(NotLinear):
        ask(problem, Moving(lr=0.1, move=move))


@dataclass(frozen=True)
class Stateful(Moving):
    """What a state may hide, by ``how``."""

    how: str = "norm"

    def init(self, w):
        return {
            "norm": {"size": torch.zeros((), dtype=w.dtype)},
            "born": {"size": w.norm()},
            "shape": {"pair": torch.zeros(2, dtype=w.dtype)},
            "centred": {"m": w - w.mean()},
            "whole": {"m": torch.zeros_like(w, dtype=torch.int64)},
            "random": {"m": torch.randn(w.shape, dtype=w.dtype)},
        }[self.how]

    def step(self, w, g, state):
        own = dict(state)
        if "size" in own:
            own["size"] = g.norm() if self.how == "norm" else own["size"]
            return w - self.lr * g * (1 + own["size"]), own
        return w - self.lr * g, own


@pytest.mark.parametrize("how", ["norm", "born", "centred", "whole", "random"])
def test_a_state_that_depends_on_all_coordinates_or_on_chance_is_refused(how):
    with pytest.raises(NotLinear):
        forecast(PROBLEM, Stateful(lr=0.1, how=how), 20)


def test_a_state_of_another_shape_that_stays_what_it_is_changes_nothing():
    found = forecast(PROBLEM, Stateful(lr=0.1, how="shape"), 20, 1)
    np.testing.assert_array_equal(found.risk, forecast(PROBLEM, SGD(lr=0.1), 20, 1).risk)


@dataclass(frozen=True)
class LooksAround(Moving):
    """Newton's step on the mean of all curvatures, or on one that stands at the other end."""

    how: str = "mean"
    needs: ClassVar[frozenset[Oracle]] = frozenset({Oracle.GRADIENT, Oracle.CURVATURE})

    def init(self, w):
        raise AssertionError("who is given the curvatures is started with them")

    def start(self, w, curvature):
        return {"h": curvature.clone()}

    def step(self, w, g, state):
        h = state["h"]
        other = {"mean": h.mean(), "largest": h.max(), "mirrored": h.flip(0), "own": h}[self.how]
        return w - self.lr * g / other, state


@pytest.mark.parametrize("how", ["mean", "largest", "mirrored"])
def test_a_rule_may_look_at_its_own_curvature_only(how):
    with pytest.raises(NotLinear):
        forecast(PROBLEM, LooksAround(lr=0.1, how=how), 20)
    forecast(PROBLEM, LooksAround(lr=0.1, how="own"), 20)


def test_two_kinds_of_rules_are_not_taken_for_one():
    methods = [Moving(lr=0.1, move="one sign"), SGD(lr=0.1)]
    with pytest.raises(BadMethod):
        steps_to(PROBLEM, methods, 0.1, [1.0])
    with pytest.raises(BadMethod, match="one kind at a time"):
        floors(PROBLEM, [SGD(lr=0.1), Momentum(lr=0.1)], [1.0])


def test_a_penalty_that_the_quadratic_knows_nothing_of_is_refused():
    problem = replace(nqm(d=3), penalty=SquaredL2(0.1))
    with pytest.raises(BadProblem, match="has a penalty besides its quadratic"):
        forecast(problem, SGD(lr=0.1), 5)


@pytest.mark.parametrize("move", ["clipped norm", "one sign", "centred", "entries clipped at 1e12"])
def test_a_small_step_is_not_hidden_behind_the_parameters(move):
    with pytest.raises(NotLinear):
        forecast(PROBLEM, Moving(lr=1e-12, move=move), 20)


@pytest.mark.parametrize("lr", [1e-12, 0.5, 2.0, 1e6])
@pytest.mark.parametrize("decay", [0.0, 1e-12, 0.5, 2.0])
def test_no_linear_rule_is_refused_for_the_rounding_of_its_numbers(lr, decay):
    """At lr times decay = 1 the parameters cancel, and leave the rounding of what they were."""
    for problem in (nqm(h=[1.0, 1e-12, 0.0], c=[1e12, 0.0, 1.0], w_star=[1e6, 0.0, -1e-6]), nqm(h=[0.0, 0.0])):
        for method in (SGD(lr=lr, weight_decay=decay), Momentum(lr=lr, momentum=0.5, weight_decay=decay)):
            forecast(problem, method, 3, 1)
            forecast(problem, EMA(method, decay=0.9), 3, 1)
            forecast(problem, Preconditioned(method, power=0.5), 3, 1)
