"""A tidied graph computes what the traced one computed, and writes to nothing that was handed in."""

from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch
import torch.nn.functional as F
from torch.func import grad, vmap
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils import _pytree as pytree

from optwise.core.method import UNSET, Hyper, Rule
from optwise.engine.graph_passes import cancel_transposes, drop_same, fold_constants, merge_equal, tidy, turn_narrow
from optwise.engine.program import program_of
from optwise.engine.rungs import stepper_of
from optwise.engine.timing import some_batches
from optwise.methods import EMA, METHODS, SGD, AdamW
from optwise.methods.one_pass import plus
from optwise.problems import PROBLEMS, digits_softmax

aten = torch.ops.aten


def targets(graph):
    return [str(node.target) for node in graph.graph.nodes if node.op == "call_function"]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", ["digits-softmax", "digits-cnn", "breast-cancer-logistic", "rosenbrock"])
def test_in_float64_a_replayed_step_is_the_batched_step_bit_for_bit(name, method):
    shipped = METHODS[method]().at_defaults()
    problem = PROBLEMS[name if shipped.needs <= PROBLEMS[name]().oracles else "nqm"]().to(dtype=torch.float64)
    rules = [shipped.at_lr(lr) for lr in (1e-4, 1e-2, 1.0)]
    eager, traced = (stepper_of(rung, program_of(problem, rules[0]), rules) for rung in ("vmap", "traced"))
    rows, factors = eager.start(range(3)), torch.tensor([1.0, 0.5, 0.0], dtype=torch.float64)
    for batch in some_batches(problem, 3, 4):
        one, other = eager.step(rows, factors, batch), traced.step(rows, factors, batch)
        assert torch.equal(one.w, other.w)
        assert torch.equal(one.alive, other.alive)
        pairs = zip(pytree.tree_leaves(one.state), pytree.tree_leaves(other.state), strict=True)
        assert all(torch.equal(a, b) for a, b in pairs)
        rows = one


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_replay_changes_nothing_that_was_handed_in(dtype):
    problem = digits_softmax().to(dtype=dtype)
    rules = [AdamW(lr=lr) for lr in (1e-3, 1e-2)]
    stepper = stepper_of("traced", program_of(problem, rules[0]), rules)
    rows, ones = stepper.start([0, 1]), torch.ones(2, dtype=torch.float64)
    first, second = some_batches(problem, 2, 2)
    later = stepper.step(rows, ones, first)
    kept = [rows.w, *rows.state.values(), later.w, *later.state.values(), *first]
    before = [part.clone() for part in kept]
    again, other = stepper.step(rows, ones, first), stepper.step(rows, ones, second)
    assert all(torch.equal(a, b) for a, b in zip(kept, before, strict=True))
    assert torch.equal(again.w, later.w)
    assert not torch.equal(other.w, later.w)


def test_in_float32_the_turned_kernels_are_as_near_to_float64_as_the_solo_step():
    """Sums of a narrow product and a softmax in another order: not the same bits, but no more error."""
    exact, single = (digits_softmax().to(dtype=dtype) for dtype in (torch.float64, torch.float32))
    rules = [SGD(lr=lr) for lr in (1e-2, 1.0, 10.0)]
    truth = stepper_of("solo", program_of(exact, rules[0]), rules)
    solo, traced = (stepper_of(rung, program_of(single, rules[0]), rules) for rung in ("solo", "traced"))
    rows, ones = truth.start(range(3)), torch.ones(3, dtype=torch.float64)
    for fine, coarse in zip(some_batches(exact, 3, 20), some_batches(single, 3, 20), strict=True):
        rounded = rows._replace(w=rows.w.float(), loss=rows.loss.float())
        rows = rows._replace(w=rounded.w.double())  # both start from the very same numbers
        after = truth.step(rows, ones, fine)
        errors = [(s.step(rounded, ones, coarse).w.double() - after.w).norm() / after.w.norm() for s in (solo, traced)]
        assert errors[1] <= 2 * errors[0] + 4 * torch.finfo(torch.float32).eps  # processors sum in other orders
        rows = after


def classifier(w, b, x, y):
    return vmap(grad(lambda w, b, x, y: F.cross_entropy(x @ w.t() + b, y), argnums=(0, 1)))(w, b, x, y)


def classifier_inputs(dtype=torch.float64, T=3, B=32, C=5, P=7):
    generator = torch.Generator().manual_seed(0)
    w, b, x = (torch.randn(*shape, generator=generator, dtype=dtype) for shape in ((T, C, P), (T, C), (T, B, P)))
    return w, b, x, torch.randint(C, (T, B), generator=generator)


def test_turning_keeps_the_numbers_up_to_rounding():
    inputs = classifier_inputs()
    graph = make_fx(classifier)(*inputs)
    expected = graph(*inputs)
    for simplify in (drop_same, fold_constants, merge_equal):
        simplify(graph)
        graph.recompile()
        assert all(torch.equal(a, b) for a, b in zip(graph(*inputs), expected, strict=True))
    turn_narrow(graph)
    cancel_transposes(graph)
    graph.graph.eliminate_dead_code()
    graph.recompile()
    assert str(aten._log_softmax.default) in targets(graph)
    softmax = next(node for node in graph.graph.nodes if node.target is aten._log_softmax.default)
    assert softmax.args[1] == 1
    for a, b in zip(graph(*inputs), expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-14, atol=1e-15)


def test_only_in_precisions_that_are_not_there_to_be_compared_are_products_turned():
    for dtype, dimension in ((torch.float64, 2), (torch.float32, 1)):
        inputs = classifier_inputs(dtype)
        graph = tidy(make_fx(classifier)(*inputs), inputs)
        softmax = next(node for node in graph.graph.nodes if node.target is aten._log_softmax.default)
        assert softmax.args[1] == dimension


def test_constants_are_computed_once_and_equal_operations_done_once():
    beta = torch.tensor([0.9, 0.99])

    def update(m, g):
        return m * (1 - beta) + g * (1 - beta), (g * g) + (g * g)

    inputs = (torch.ones(2), torch.full((2,), 3.0))
    graph = make_fx(update)(*inputs)
    before, expected = targets(graph), graph(*inputs)
    tidy(graph, inputs)
    assert len(targets(graph)) < len(before)
    assert "aten.rsub.Scalar" in before
    assert "aten.rsub.Scalar" not in targets(graph)
    assert sum("mul" in target for target in targets(graph)) == 3
    assert all(torch.equal(a, b) for a, b in zip(graph(*inputs), expected, strict=True))


def test_memory_is_reused_only_where_nobody_looks_any_more():
    """What is returned, handed in, looked at again through a view, or shown at several places must stay."""

    def tangled(x, y):
        made = x * y
        view = made.t()
        early = made + y  # `made` is looked at again below, through its view
        late = view + 1.0
        spread = (x.sum(0) * 2.0).expand(3, 3)
        return made, early, late, spread + y, (x + y).t() + early, x

    generator = torch.Generator().manual_seed(0)
    inputs = (torch.randn(3, 3, generator=generator), torch.randn(3, 3, generator=generator))
    kept = [part.clone() for part in inputs]
    graph = make_fx(tangled)(*inputs)
    expected = graph(*inputs)
    tidy(graph, inputs)
    for _ in range(2):  # a second call would see what the first one spoiled
        assert all(torch.equal(a, b) for a, b in zip(graph(*inputs), expected, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(inputs, kept, strict=True))


def test_random_numbers_are_neither_merged_nor_kept():
    def noisy(x):
        return x + torch.rand(3), x + torch.rand(3)

    graph = tidy(make_fx(noisy)(torch.zeros(3)), (torch.zeros(3),))
    (a, b), (c, d) = graph(torch.zeros(3)), graph(torch.zeros(3))
    assert len({tuple(part.tolist()) for part in (a, b, c, d)}) == 4


@pytest.mark.parametrize("wrapped", [lambda rule: rule, EMA], ids=["itself", "within a wrapper"])
def test_an_edited_rule_of_the_same_name_is_traced_anew(wrapped):
    """A class that a notebook defines twice has one name and two meanings."""

    def made(sign):
        @dataclass(frozen=True)
        class Edited(Rule):
            lr: Hyper = UNSET
            defaults: ClassVar = {"lr": 0.1}

            def init(self, w):
                return {}

            def step(self, w, g, state):
                return plus(w, sign * self.lr, g), state

        return Edited

    problem = digits_softmax()
    moved = []
    for sign in (-1.0, 1.0):
        rules = [wrapped(made(sign)(lr=0.1))] * 2
        stepper = stepper_of("traced", program_of(problem, rules[0]), rules)
        rows = stepper.start([0, 0])
        moved.append(
            stepper.step(rows, torch.ones(2, dtype=torch.float64), next(some_batches(problem, 2, 1))).w - rows.w
        )
    torch.testing.assert_close(moved[0], -moved[1], rtol=1e-3, atol=1e-6)
    assert moved[0].abs().max() > 1e-3
