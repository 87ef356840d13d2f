"""A linear rule is found out by its own step, and one that is not linear is refused with what shows it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from linear_methods import LINEAR

from optwise.core.errors import BadMethod
from optwise.core.method import UNSET, Hyper, Rule
from optwise.methods import SGD, Adagrad, Adam, AdamW, Momentum, NAdamW, RMSProp, Torch
from optwise.problems import nqm
from optwise.theory import forecast
from optwise.theory.linear_rules import LinearRule
from optwise.theory.settled_steps import constant_step

ONE = np.ones(1)


@dataclass(frozen=True)
class UsersRule(Rule):
    """A rule of a user's: two buffers, nested state, written without our helpers."""

    lr: Hyper = UNSET
    defaults: ClassVar[Mapping[str, Any]] = {"lr": 0.1}

    def init(self, w):
        return {"fast": torch.zeros_like(w), "memory": {"slow": w.clone(), "age": torch.zeros((), dtype=w.dtype)}}

    def step(self, w, g, state):
        fast = 0.5 * state["fast"] + 0.5 * g
        slow = 0.9 * state["memory"]["slow"] + 0.1 * w
        w = w - self.lr * (fast + 0.01 * (w - slow))
        return w, {"fast": fast, "memory": {"slow": slow, "age": state["memory"]["age"] + 1}}


@dataclass(frozen=True)
class Strange(UsersRule):
    """What a rule may do that is not linear, by ``how``."""

    how: str = "sign"

    def init(self, w):
        return {"k": torch.zeros((), dtype=torch.float64)}

    def step(self, w, g, state):
        k = state["k"]
        moves = {
            "sign": g.sign,
            "clip": lambda: g.clamp(-50.0, 50.0),
            "tiny": lambda: torch.where(g.abs() < 1e-3, 0.0, g),
            "shift": lambda: g + 1e-3,
            "square": lambda: g * g,
            "branch": lambda: g if g.sum() > 0 else 2 * g,
        }
        return w - self.lr * moves[self.how](), {"k": k + 1}


@dataclass(frozen=True)
class Late(UsersRule):
    """Gradient descent that takes half steps from ``when`` on."""

    when: float = 500.0

    def init(self, w):
        return {"k": torch.zeros((), dtype=torch.float64)}

    def step(self, w, g, state):
        half = torch.where(state["k"] >= self.when, 0.5, 1.0)
        return w - self.lr * half * g, {"k": state["k"] + 1}


@dataclass(frozen=True)
class LooksAtShapes(UsersRule):
    elementwise: ClassVar[bool] = False


def test_probing_finds_the_matrices_of_heavy_ball():
    """M = beta m + g, w -= lr m: as torch has it."""
    step = LinearRule([Momentum(lr=0.1, momentum=0.9)], ONE).probe(np.ones(1))
    np.testing.assert_allclose(step.M[:, :, 0, 0], [[1.0, -0.09], [0.0, 0.9]], rtol=1e-15)
    np.testing.assert_allclose(step.v[:, 0, 0], [-0.1, 1.0], rtol=1e-15)
    np.testing.assert_array_equal(step.u[:, 0, 0], [1.0, 0.0])


@pytest.mark.parametrize("name", LINEAR)
def test_settings_probed_together_are_those_probed_alone(name):
    method = LINEAR[name]
    others = [method.close({"lr": lr}) for lr in (0.01, 0.2, 0.7)]
    h = np.array([0.1, 1.0])
    together = LinearRule(others, h)
    alone = [LinearRule([m], h) for m in others]
    for _ in range(5):
        many = together.probe(np.array([1.0, 0.5, 0.2]))
        for t, (one, factor) in enumerate(zip(alone, (1.0, 0.5, 0.2), strict=True)):
            single = one.probe(np.array([factor]))
            np.testing.assert_allclose(many.M[:, :, t], single.M[:, :, 0], rtol=1e-14)
            np.testing.assert_allclose(many.v[:, t], single.v[:, 0], rtol=1e-14)
            np.testing.assert_allclose(many.u[:, t], single.u[:, 0], rtol=1e-14)


def test_a_users_linear_rule_is_forecast_as_a_dense_matrix_power_says():
    lr, h, c = 0.3, 0.8, 0.5
    found = forecast(nqm(h=[h], c=[c], w0=[2.0]), UsersRule(lr=lr), 40, 1)
    A = np.array(
        [  # (w, fast, slow)
            [1 - 0.01 * lr - 0.5 * lr * h + 0.001 * lr, -0.5 * lr, 0.009 * lr],
            [0.5 * h, 0.5, 0.0],
            [0.1, 0.0, 0.9],
        ]
    )
    b, z = np.array([-0.5 * lr, 0.5, 0.0]), np.array([1.0, 0.0, 1.0])
    powers = [np.linalg.matrix_power(A, k) for k in range(41)]
    bias = [0.5 * h * 4.0 * (P @ z)[0] ** 2 for P in powers]
    noise = np.cumsum([0.0, *(0.5 * h * c * (P @ b)[0] ** 2 for P in powers[:-1])])
    np.testing.assert_allclose(found.bias, bias, rtol=1e-12)
    np.testing.assert_allclose(found.noise, noise, rtol=1e-12, atol=1e-18)


NONLINEAR = [Adam(lr=0.1), AdamW(lr=0.1), NAdamW(lr=0.1), Adagrad(lr=0.1), RMSProp(lr=0.1)]
NONLINEAR += [Strange(lr=0.1, how=how) for how in ("sign", "clip", "tiny", "square")]


@pytest.mark.parametrize("method", NONLINEAR, ids=lambda m: f"{m.label}-{getattr(m, 'how', '')}")
def test_a_rule_that_is_not_linear_is_refused_with_a_sentence(method):
    with pytest.raises(BadMethod, match=r"is not linear|starts with a state|moves by itself"):
        forecast(nqm(d=3), method, 10)


REASONS = [
    (Strange(lr=0.1, how="shift"), "moves by itself where parameters and gradients are 0"),
    (LooksAtShapes(lr=0.1), "looks at shapes"),
    (Torch(torch.optim.SGD, lr=0.1), "no rule that can be probed"),
    (SGD(), "still open"),
    (Late(lr=0.1, when=float("inf")), "late has when = inf"),
]


@pytest.mark.parametrize(("method", "said"), REASONS)
def test_the_reason_of_a_refusal_names_what_was_found(method, said):
    with pytest.raises(BadMethod, match=said):
        forecast(nqm(d=3), method, 10)


def test_what_a_users_step_raises_is_told_in_one_sentence():
    with pytest.raises(BadMethod, match="strange cannot be probed: RuntimeError"):
        forecast(nqm(d=3), Strange(lr=0.1, how="branch"), 10)


@pytest.mark.parametrize("when", [3.0, 40.0, 500.0, 5000.0])
def test_a_rule_that_changes_its_step_later_is_not_taken_for_a_constant_one(when):
    settled = constant_step([Late(lr=0.5, when=when)], ONE)
    assert (settled is None) == (when > 16)  # an early change leaves a constant rule, from then on
    found = forecast(nqm(h=[0.001], c=[0.0], w0=[1.0]), Late(lr=0.5, when=when), 6000, 1)
    exact = 0.5 * 0.001 * (1 - 0.0005) ** (2 * when) * (1 - 0.00025) ** (2 * (6000 - when))
    assert found.bias[-1] == pytest.approx(exact, rel=1e-10)


def test_a_count_of_steps_that_changes_nothing_leaves_a_rule_constant():
    h = np.array([0.3])
    assert constant_step([Momentum(lr=0.1, momentum=0.9)], h) is not None
    assert constant_step([Momentum(lr=0.1, momentum=0.9, dampening=0.5)], h) is not None  # from its second step on
    assert constant_step([LINEAR["polyak"]], h) is None
    assert constant_step([LINEAR["schedule-free"]], h) is None
