"""Constants in the network's own type, met by another: steps are probed in float64, studies are run in either."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.func import functional_call

from optwise.core.errors import BadProblem
from optwise.core.metric import Metric
from optwise.engine.calibration import admission_error, choose_rung, unbatchable
from optwise.engine.loop import run_chunk
from optwise.methods import SGD, Constant
from optwise.problems import from_module

WEIGHT, MIXING = torch.tensor([1.0, 2.0, 0.5]), torch.eye(3) + 0.1
RULES = [SGD(lr=lr, schedule=Constant()) for lr in (0.1, 0.3)]


def closing_over_weights(dtype=torch.float32):
    weight = torch.tensor([1.0, 2.0, 0.5], dtype=dtype)
    return lambda outputs, y: F.cross_entropy(outputs, y, weight=weight, reduction="none")


def with_global_weights(outputs, y):
    return F.cross_entropy(outputs, y, weight=WEIGHT, reduction="none")


class Encoded(nn.Module):
    """Positional numbers and a mixing matrix that are no buffers."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(6, 3)
        self.positions = torch.linspace(0.0, 1.0, 6)
        self.mixing = torch.eye(3) + 0.1

    def forward(self, x):
        return self.linear(x + self.positions) @ self.mixing


def encoded_in_float64():
    net = Encoded().double()
    net.positions, net.mixing = net.positions.double(), net.mixing.double()
    return net


CASES = {
    "closure": (lambda: nn.Linear(6, 3), closing_over_weights(), {}),
    "global name": (lambda: nn.Linear(6, 3), with_global_weights, {}),
    "loss module": (lambda: nn.Linear(6, 3), nn.CrossEntropyLoss(weight=WEIGHT), {}),
    "plain attributes": (Encoded, nn.CrossEntropyLoss(), {}),
    "metric": (
        lambda: nn.Linear(6, 3),
        nn.CrossEntropyLoss(),
        {Metric("mixed"): lambda outputs, y: (outputs @ MIXING).square().mean(1)},
    ),
    "positive weights": (
        lambda: nn.Linear(6, 3),
        lambda outputs, y: F.binary_cross_entropy_with_logits(
            outputs, torch.eye(3)[y].to(outputs), pos_weight=WEIGHT, reduction="none"
        ).mean(1),
        {},
    ),
}


@pytest.fixture(params=CASES, ids=lambda name: name.replace(" ", "-"))
def problem(request, examples):
    make_net, loss, metrics = CASES[request.param]
    return from_module(make_net, loss, examples, valid=examples, batch_size=16, metrics=metrics, name="small")


def test_a_step_is_probed_in_float64_whatever_type_the_constants_have(problem):
    assert unbatchable(problem) == ""
    assert admission_error(problem, RULES) == ""
    choice = choose_rung(problem, RULES, most_rows=16, dtype="float32")
    assert "Double" not in choice.reason
    assert "Float" not in choice.reason


@pytest.mark.parametrize("rung", ["solo", "vmap", "traced"])
def test_a_study_in_float64_computes_with_the_constants_as_they_are(problem, rung, chunk_of):
    runs = run_chunk(problem, chunk_of(RULES, rung)).runs
    again = run_chunk(problem, chunk_of(RULES, "solo")).runs
    for run, solo in zip(runs, again, strict=True):
        assert run.status.ok
        assert not run.execution.retried_solo
        for name, leaf in run.state_dict().items():
            assert leaf.dtype is torch.float64
            torch.testing.assert_close(leaf, solo.state_dict()[name], rtol=1e-11, atol=1e-13)


def test_in_float64_it_is_the_ordinary_loop_with_constants_cast_by_hand(examples, chunk_of):
    problem = from_module(Encoded, closing_over_weights(), examples, batch_size=16, name="small")
    run = run_chunk(problem, chunk_of(RULES[:1], "traced", steps=6, every=6, seeds=[3])).runs[0]
    x, y = examples[0].double(), examples[1]
    with torch.random.fork_rng():
        torch.manual_seed(3)
        net = Encoded()
    net.positions, net.mixing = net.positions.double(), net.mixing.double()
    w = {name: p.detach().double().requires_grad_() for name, p in net.named_parameters()}
    draws, _ = problem.sampler.take(problem.sampler.init(3), len(x), 6)
    for k in range(6):
        batch = draws.indices[k][draws.weights[k] > 0]
        losses = F.cross_entropy(functional_call(net, w, (x[batch],)), y[batch], WEIGHT.double(), reduction="none")
        gradients = torch.autograd.grad(losses.mean(), list(w.values()))
        w = {n: (p - 0.1 * g).detach().requires_grad_() for (n, p), g in zip(w.items(), gradients, strict=True)}
    for name, leaf in w.items():
        torch.testing.assert_close(run.state_dict()[name], leaf.detach(), rtol=1e-11, atol=1e-13)


def test_a_network_in_float64_may_be_studied_in_float32(examples, chunk_of):
    problem = from_module(
        encoded_in_float64, closing_over_weights(torch.float64), examples, batch_size=16, name="small"
    )
    assert problem.data.train.x.dtype is torch.float64
    run = run_chunk(problem, chunk_of(RULES[:1], "solo", dtype="float32")).runs[0]
    assert run.status.ok
    assert {leaf.dtype for leaf in run.state_dict().values()} == {torch.float32}


class Averaging(nn.Module):
    """Writes into a constant of its own, which no promotion may copy."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(6, 3)
        self.mean, self.var = torch.zeros(3), torch.ones(3)

    def forward(self, x):
        return F.batch_norm(self.linear(x), self.mean, self.var, training=self.training)


def test_a_network_that_computes_in_one_type_only_says_so_and_is_refused_in_another(examples, chunk_of):
    problem = from_module(Averaging, F.cross_entropy, examples, batch_size=16, name="small")
    assert "computes in float32 only (RuntimeError:" in problem.objective.unbatchable
    assert run_chunk(problem, chunk_of(RULES[:1], "solo", dtype="float32")).runs[0].status.ok
    with pytest.raises(BadProblem, match="computes in float32 only, and float64 was asked for") as refusal:
        run_chunk(problem, chunk_of(RULES[:1], "solo"))
    assert "cast its constants, as in weight.to(outputs.dtype)" in str(refusal.value)
