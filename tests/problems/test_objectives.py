"""Laws of the stateless objectives: buffers, modes, randomness, streamed noise."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.func import grad, vmap

from optwise.problems.modules import from_module
from optwise.problems.objectives import FunctionObjective, sign_accuracy
from optwise.problems.traits import RANDOM


def normalised_net():
    return nn.Sequential(nn.Linear(3, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Linear(5, 2))


class Counting(nn.Module):
    """Puts a new tensor in the place of its buffer, where BatchNorm works in place."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 2)
        self.register_buffer("level", torch.zeros(2))

    def forward(self, x):
        outputs = self.layer(x)
        if self.training:
            self.level = 0.5 * self.level + outputs.mean(0)
        return outputs


@pytest.fixture
def examples():
    generator = torch.Generator().manual_seed(3)
    return torch.randn(20, 3, generator=generator), torch.randint(2, (20,), generator=generator)


def plain_pass(make_net, w, buffers, x):
    """Buffers of an ordinary module after one ordinary pass in training mode."""
    net = make_net()
    net.load_state_dict({**w, **buffers})
    net.train()(x)
    return dict(net.named_buffers())


@pytest.mark.parametrize("make_net", [normalised_net, Counting])
def test_buffers_come_out_as_a_plain_pass_in_training_mode_leaves_them(make_net, examples):
    x, y = examples
    problem = from_module(make_net, F.cross_entropy, (x, y)).to(dtype=torch.float64)
    w, buffers = problem.start(5)
    before = copy.deepcopy(buffers)
    _, after = problem.objective.losses(w, buffers, x.double(), y)
    expected = plain_pass(lambda: make_net().double(), w, buffers, x.double())
    assert after.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(after[name], value)
        assert torch.equal(buffers[name], before[name]), "the buffers that went in may not change"
        assert not after[name].requires_grad


@pytest.mark.parametrize("make_net", [normalised_net, Counting])
def test_stacked_buffers_under_vmap_of_grad_are_those_of_each_trial_alone(make_net, examples):
    x, y = examples
    problem = from_module(make_net, nn.CrossEntropyLoss(), (x, y)).to(dtype=torch.float64)
    starts = [problem.start(seed) for seed in (0, 1, 2)]
    x, batches = x.double(), torch.stack([torch.randperm(20)[:8] for _ in starts])

    def mean_loss(w, buffers, x, y):
        losses, buffers = problem.objective.losses(w, buffers, x, y)
        return losses.mean(), buffers

    w, buffers = ({n: torch.stack([s[part][n] for s in starts]) for n in starts[0][part]} for part in (0, 1))
    gradients, after = vmap(grad(mean_loss, has_aux=True))(w, buffers, x[batches], y[batches])
    for t, (w_t, buffers_t) in enumerate(starts):
        net = make_net().double()
        net.load_state_dict({**w_t, **buffers_t})
        F.cross_entropy(net.train()(x[batches[t]]), y[batches[t]]).backward()
        for name, parameter in net.named_parameters():
            torch.testing.assert_close(gradients[name][t], parameter.grad)
        for name, buffer in net.named_buffers():
            torch.testing.assert_close(after[name][t], buffer)


def test_gradients_are_taken_in_training_mode_and_numbers_in_evaluation_mode(examples):
    x, y = examples
    problem = from_module(normalised_net, F.cross_entropy, (x, y))
    w, buffers = problem.start(0)
    net = normalised_net()
    net.load_state_dict({**w, **buffers})
    net.eval()
    with torch.no_grad():
        measured = problem.objective.measure(w, buffers, x, y)
        assert torch.equal(measured["loss"], F.cross_entropy(net(x), y, reduction="none"))
        assert torch.equal(measured["accuracy"], (net(x).argmax(1) == y).float())
        net.train()
        torch.testing.assert_close(
            problem.objective.losses(w, buffers, x, y)[0], F.cross_entropy(net(x), y, reduction="none")
        )


def test_frozen_parameters_travel_with_the_buffers_and_are_not_trained(examples):
    def make_net():
        net = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
        net[0].requires_grad_(False)
        return net

    w, buffers = from_module(make_net, F.cross_entropy, examples).start(0)
    assert sorted(w) == ["1.bias", "1.weight"]
    assert sorted(buffers) == ["0.bias", "0.weight"]


def test_shared_parameters_are_one_leaf(examples):
    def make_net():
        net = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3), nn.Linear(3, 2))
        net[1].weight = net[0].weight
        return net

    problem = from_module(make_net, F.cross_entropy, examples)
    w, buffers = problem.start(0)
    assert "1.weight" not in w
    torch.testing.assert_close(
        problem.objective.measure(w, buffers, *examples)["loss"].mean(),
        F.cross_entropy(F.linear((examples[0] @ w["0.weight"].T + w["0.bias"]) @ w["0.weight"].T + w["1.bias"],
                                 w["2.weight"], w["2.bias"]), examples[1]),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("layer", "reason"),
    [(nn.Dropout(0.5), RANDOM), (nn.RReLU(), RANDOM), (nn.Dropout(0.0), ""), (nn.Tanh(), "")],
)
def test_a_network_that_draws_random_numbers_says_that_trials_cannot_share_a_pass(layer, reason, examples):
    problem = from_module(lambda: nn.Sequential(nn.Linear(3, 2), copy.deepcopy(layer)), F.cross_entropy, examples)
    assert problem.objective.unbatchable == reason


def test_looking_at_a_problem_leaves_the_random_state_alone(examples):
    before = torch.get_rng_state()
    from_module(lambda: nn.Sequential(nn.Linear(3, 2), nn.Dropout()), F.cross_entropy, examples).start(1)
    assert torch.equal(torch.get_rng_state(), before)


def test_sign_accuracy_reads_logits_with_and_without_a_last_dimension():
    outputs, y = torch.tensor([2.0, -1.0, 0.0, 3.0]), torch.tensor([1.0, 0.0, 1.0, 0.0])
    assert sign_accuracy(outputs, y).tolist() == [1, 1, 0, 0]
    assert sign_accuracy(outputs[:, None], y[:, None]).tolist() == [1, 1, 0, 0]


def test_a_function_is_measured_without_its_noise_and_its_gradient_carries_it():
    objective = FunctionObjective(lambda w: w["a"].square().sum() + w["b"].sum())
    w = {"a": torch.tensor([1.0, -2.0], dtype=torch.float64), "b": torch.tensor([[3.0]], dtype=torch.float64)}
    noise = torch.tensor([[0.5, 0.25, -4.0]])
    gradient = grad(lambda w: objective.losses(w, {}, noise, None)[0].sum())(w)
    assert gradient["a"].tolist() == [2.5, -3.75]
    assert gradient["b"].tolist() == [[-3.0]]
    assert objective.measure(w, {}, None, None)["objective"].tolist() == [8.0]
    assert objective.losses(w, {}, None, None)[0].tolist() == [8.0]
