"""Preconditioning by a power of the curvature: a formula by hand, a change of variables, and who may be asked."""

import pytest
import torch

import optwise as ow
from optwise.core.errors import BadMethod, UnmetNeed
from optwise.core.oracles import Oracle
from optwise.core.problem import Problem
from optwise.core.quadratic import Quadratic
from optwise.engine.program import program_of
from optwise.engine.rungs import stepper_of
from optwise.engine.timing import some_batches
from optwise.methods import EMA, SGD, AdamW, Momentum, Nesterov, Polyak, Preconditioned
from optwise.problems import digits_mlp
from optwise.problems.objectives import FunctionObjective

H = torch.tensor([4.0, 1.0, 0.25, 0.01], dtype=torch.float64)
START = torch.tensor([1.0, -2.0, 3.0, 0.5], dtype=torch.float64)
CLOSE = {"rtol": 1e-13, "atol": 1e-14}  # powers of h up to 100 and 30 steps that shrink: some last bits


def run(rule, steps=30, w=START, h=H, curvature=H):
    """Iterates on 1/2 sum h w^2."""
    state = rule.start(w, curvature)
    iterates = []
    for _ in range(steps):
        w, state = rule.step(w, h * w, state)
        iterates.append(w)
    return torch.stack(iterates)


@pytest.mark.parametrize("power", [0.0, 0.25, 0.5, 1.0])
@pytest.mark.parametrize("damping", [0.0, 0.3])
def test_gradient_descent_has_a_step_size_for_each_coordinate(power, damping):
    factor = 1 - 0.1 * H * (H + damping) ** -power
    expected = START * factor ** torch.arange(1, 31, dtype=torch.float64)[:, None]
    torch.testing.assert_close(run(Preconditioned(SGD(lr=0.1), power, damping)), expected, **CLOSE)


def test_power_one_is_newton_s_step():
    assert (run(Preconditioned(SGD(lr=1.0), power=1.0), steps=1)[0]).abs().max() <= 1e-15


@pytest.mark.parametrize("inner", [SGD(lr=0.1, weight_decay=0.2), Momentum(lr=0.05), AdamW(lr=0.1)])
def test_power_zero_is_the_rule_within_bit_for_bit(inner):
    assert torch.equal(run(Preconditioned(inner, power=0.0)), run(inner))


@pytest.mark.parametrize("inner", [SGD(lr=0.1), Momentum(lr=0.05), Nesterov(lr=0.05, momentum=0.8)])
@pytest.mark.parametrize("power", [0.5, 0.8])
def test_it_is_the_rule_within_on_stretched_coordinates(inner, power):
    """With v = h^(p/2) w the quadratic has curvatures h^(1-p), and what is linear steps v as it steps w."""
    stretch = H ** (power / 2)
    stretched = run(inner, w=stretch * START, h=H ** (1 - power))
    torch.testing.assert_close(run(Preconditioned(inner, power=power)), stretched / stretch, **CLOSE)


def test_a_coordinate_without_curvature_rests_unless_it_is_damped_or_the_power_is_zero():
    h, g = torch.tensor([0.0, 4.0]), torch.tensor([1.0, 1.0])

    def step(**settings):
        rule = Preconditioned(SGD(lr=1.0), **settings)
        return rule.step(torch.zeros(2), g, rule.start(torch.zeros(2), h))[0].tolist()

    assert step(power=0.5) == [0.0, -0.5]
    assert step(power=1.0) == [0.0, -0.25]
    assert step(power=0.0) == [-1.0, -1.0]
    assert step(power=1.0, damping=0.5) == pytest.approx([-2.0, -1 / 4.5])


def test_weight_decay_of_the_rule_within_is_not_scaled():
    rule = Preconditioned(SGD(lr=1.0, weight_decay=0.5), power=1.0)
    w, _ = rule.step(torch.tensor([2.0]), torch.tensor([0.0]), rule.start(torch.tensor([2.0]), torch.tensor([100.0])))
    assert w.item() == 1.0


@pytest.mark.parametrize("rule", [Preconditioned(SGD(lr=0.1)), EMA(Preconditioned(SGD(lr=0.1)))])
def test_without_a_curvature_it_does_not_start(rule):
    with pytest.raises(BadMethod, match=r"^preconditioned-sgd needs the diagonal of the Hessian, and none was handed"):
        rule.init(START)


@pytest.mark.parametrize("method", [Preconditioned(), EMA(Preconditioned(Momentum())), Preconditioned(Polyak())])
def test_a_problem_that_does_not_know_its_curvature_is_refused_before_anything_runs(method, tmp_path):
    sentence = f"{method.label} needs diagonal of the Hessian, which digits-mlp does not offer; choose another method."
    with pytest.raises(UnmetNeed) as refused:
        ow.compare(digits_mlp(), [method], out=tmp_path / "runs")
    assert str(refused.value) == sentence
    assert not (tmp_path / "runs").exists()


def test_what_it_needs_is_what_it_and_the_rule_within_need():
    assert Preconditioned().needs == {Oracle.GRADIENT, Oracle.CURVATURE}
    assert EMA(Preconditioned()).needs == Preconditioned(EMA()).needs == Preconditioned().needs
    assert EMA().needs == {Oracle.GRADIENT}


def two_leaves():
    """1/2 sum h w^2 over leaves of two shapes, h counting from 1 to 6 through the flat row."""
    h = torch.arange(1, 7, dtype=torch.float64)

    def value(leaves):
        return 0.5 * ((h[:2] * leaves["a"].square()).sum() + (h[2:].reshape(2, 2) * leaves["b"].square()).sum())

    def start(seed):
        generator = torch.Generator().manual_seed(seed)
        shapes = {"a": (2,), "b": (2, 2)}
        return {n: torch.randn(*s, generator=generator, dtype=torch.float64) for n, s in shapes.items()}, {}

    known = Quadratic(h=h.numpy(), c=torch.zeros(6).numpy(), start=torch.ones(6).numpy(), center=torch.zeros(6).numpy())
    return Problem(name="two-leaves", objective=FunctionObjective(value), start=start, quadratic=known)


@pytest.mark.parametrize("by_leaf", [False, True])
@pytest.mark.parametrize("rung", ["solo", "vmap", "traced"])
def test_every_leaf_is_handed_its_own_part_of_the_curvature(rung, by_leaf, monkeypatch):
    """Newton's step ends at the optimum, whatever the shapes, on the flat row and leaf by leaf."""
    monkeypatch.setattr(SGD, "elementwise", not by_leaf)
    problem = two_leaves()
    rules = [Preconditioned(SGD(lr=lr), power=1.0) for lr in (1.0, 0.5)]
    stepper = stepper_of(rung, program_of(problem, rules[0]), rules)
    rows = stepper.start([0, 1])
    assert ("b" in rows.state) == by_leaf
    assert not by_leaf or rows.state["b"]["curvature"][0].tolist() == [[3, 4], [5, 6]]
    stepped = stepper.step(rows, torch.ones(2, dtype=torch.float64), next(some_batches(problem, 2, 1)))
    torch.testing.assert_close(stepped.w[0], torch.zeros(6, dtype=torch.float64), rtol=0, atol=1e-15)
    torch.testing.assert_close(stepped.w[1], rows.w[1] / 2, rtol=1e-15, atol=0)
