"""Every sampler gives a batched pass the batches that a plain loop sees: short, empty, full, streamed."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.func import functional_call

from optwise.core.sampler import Full, Poisson, Shuffled, WithReplacement
from optwise.core.status import Status
from optwise.engine.loop import run_chunk
from optwise.methods import SGD, AdamW
from optwise.problems import nqm

STEPS = 12
RUNGS = pytest.mark.parametrize("rung", ["solo", "vmap", "traced"])
SAMPLERS = {
    "short last batches": Shuffled(16),
    "wider than the data": Shuffled(200),
    "full": Full(),
    "with replacement": WithReplacement(7),
    "empty batches": Poisson(0.02),
    "one example": Shuffled(1),
}


def make_net():
    return nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3))


def plain_gradient_descent(problem, seed, lr):
    """Straight from the definition: sum of the losses of what was drawn over the normaliser; and the examples drawn."""
    net = make_net().double()
    w = {n: leaf.clone().requires_grad_() for n, leaf in problem.start(seed)[0].items()}
    train = problem.data.train
    draws, _ = problem.sampler.take(problem.sampler.init(seed), problem.examples, STEPS)
    for s in range(STEPS):
        drawn = draws.indices[s][draws.weights[s] > 0]
        losses = F.cross_entropy(functional_call(net, w, (train.x[drawn],)), train.y[drawn], reduction="none")
        loss = losses.sum() / draws.normaliser[s]
        gradients = torch.autograd.grad(loss, list(w.values()))
        w = {n: (leaf - lr * g).detach().requires_grad_() for (n, leaf), g in zip(w.items(), gradients, strict=True)}
    return w, draws


@RUNGS
@pytest.mark.parametrize("name", SAMPLERS)
def test_a_run_is_gradient_descent_on_what_its_sampler_drew(make_problem, chunk_of, rung, name):
    problem = make_problem(make_net).with_sampler(SAMPLERS[name])
    rates = (0.05, 0.2, 0.5)
    runs = run_chunk(problem, chunk_of([SGD(lr=lr) for lr in rates], rung)).runs
    for seed, (lr, run) in enumerate(zip(rates, runs, strict=True)):
        expected, draws = plain_gradient_descent(problem.to(dtype=torch.float64), seed, lr)
        assert run.status is Status.BUDGET_SPENT
        assert run.counts["examples"] == float(draws.examples.sum())
        for leaf_name, leaf in run.state_dict().items():
            torch.testing.assert_close(leaf, expected[leaf_name].detach(), rtol=1e-11, atol=1e-13)


def test_poisson_batches_are_sometimes_empty_and_divided_by_their_expected_size(make_problem):
    """The case above would show nothing if no batch were empty, or if an empty one were divided by its own size."""
    problem = make_problem(make_net).with_sampler(SAMPLERS["empty batches"])
    for seed in range(3):
        draws, _ = problem.sampler.take(problem.sampler.init(seed), problem.examples, STEPS)
        assert (draws.examples == 0).any()
        assert (draws.normaliser == 0.02 * problem.examples).all()


@RUNGS
def test_an_empty_batch_moves_nothing_but_what_the_method_moves_by_itself(make_problem, chunk_of, rung):
    problem = make_problem(make_net).with_sampler(Poisson(1e-9))
    runs = run_chunk(problem, chunk_of([SGD(lr=0.5), AdamW(lr=0.5, weight_decay=0.1)][:1], rung)).runs
    decayed = run_chunk(problem, chunk_of([AdamW(lr=0.5, weight_decay=0.1)], rung)).runs[0].state_dict()
    start = problem.to(dtype=torch.float64).start(0)[0]
    for name, leaf in runs[0].state_dict().items():
        assert torch.equal(leaf, start[name])
        torch.testing.assert_close(decayed[name], start[name] * (1 - 0.5 * 0.1) ** STEPS, rtol=1e-12, atol=0)
    assert runs[0].counts == {"steps": 12, "examples": 0, "example-gradients": 0, "evaluations": 12}


@RUNGS
def test_a_stream_of_noise_is_the_gradient_that_the_model_defines(chunk_of, rung):
    h, c = torch.tensor([1.0, 0.5, 0.1]), torch.tensor([1.0, 2.0, 3.0])
    problem = nqm(h=h, c=c, batch_size=4)
    rates = (0.1, 0.5)
    runs = run_chunk(problem, chunk_of([SGD(lr=lr) for lr in rates], rung)).runs
    for seed, (lr, run) in enumerate(zip(rates, runs, strict=True)):
        w = problem.start(seed)[0]["w"]
        draws, _ = problem.sampler.take(problem.sampler.init(seed), 1, STEPS)
        for s in range(STEPS):
            w = w - lr * (h * w + draws.fresh[s, 0])
        torch.testing.assert_close(run.state_dict()["w"], w, rtol=1e-12, atol=0)
        assert run.counts["examples"] == 4 * STEPS
        (_, last) = run.curve("objective")[-1]
        assert last == pytest.approx(float(0.5 * (h * w.square()).sum()), rel=1e-12)
