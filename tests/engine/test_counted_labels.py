"""Labels that do not all count the same: the mean is torch's own, over a batch as over a split, on every rung."""

import functools
import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from optwise.core.errors import BadProblem
from optwise.core.sampler import Full, Poisson, Shuffled
from optwise.engine.calibration import admission_error, unbatchable
from optwise.engine.loop import run_chunk
from optwise.methods import SGD, Constant, Torch
from optwise.problems import from_module

N, LENGTH, STEPS, BATCH = 50, 5, 7, 16  # 50 = 3 * 16 + 2: the last batch of an epoch is short
WEIGHT = torch.tensor([0.5, 1.0, 4.0])


@pytest.fixture
def inputs():
    return torch.randn(N, 6, generator=torch.Generator().manual_seed(0))


def classes(share):
    generator = torch.Generator().manual_seed(1)
    y = torch.randint(3, (N,), generator=generator)
    return torch.where(torch.rand(N, generator=generator) < share, -100, y)


def sequences(share):
    generator = torch.Generator().manual_seed(2)
    y = torch.randint(3, (N, LENGTH), generator=generator)
    y = torch.where(torch.rand(N, LENGTH, generator=generator) < share, -100, y)
    y[7] = -100  # an example none of whose labels is kept
    return y


class Tagger(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(6, 3 * LENGTH)

    def forward(self, x):
        return self.linear(x).reshape(-1, 3, LENGTH)


class NormalisedTagger(Tagger):
    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(6)

    def forward(self, x):
        return super().forward(self.norm(x))


def classifier():
    return nn.Linear(6, 3)


def opaque(outputs, y):
    return F.cross_entropy(outputs, y)


CASES = {
    "ignored classes": (classifier, nn.CrossEntropyLoss(), classes(0.3)),
    "ignored classes, a function": (classifier, F.cross_entropy, classes(0.3)),
    "another class ignored": (classifier, nn.CrossEntropyLoss(ignore_index=2), classes(0.0)),
    "weighted classes": (classifier, nn.CrossEntropyLoss(weight=WEIGHT), classes(0.0)),
    "weighted and ignored": (classifier, functools.partial(F.cross_entropy, weight=WEIGHT), classes(0.3)),
    "smoothed": (classifier, nn.CrossEntropyLoss(weight=WEIGHT, label_smoothing=0.2), classes(0.3)),
    "a class of weight 0": (classifier, nn.CrossEntropyLoss(weight=torch.tensor([1.0, 0.0, 2.0])), classes(0.0)),
    "sequences": (Tagger, nn.CrossEntropyLoss(), sequences(0.4)),
    "weighted sequences": (Tagger, nn.CrossEntropyLoss(weight=WEIGHT), sequences(0.4)),
    "sequences, log-probabilities": (
        lambda: nn.Sequential(Tagger(), nn.LogSoftmax(1)),
        nn.NLLLoss(weight=WEIGHT),
        sequences(0.4),
    ),
    "batch statistics": (NormalisedTagger, nn.CrossEntropyLoss(), sequences(0.4)),
}


@pytest.fixture(params=CASES, ids=lambda name: name.replace(" ", "-"))
def case(request, inputs):
    make_net, loss, y = CASES[request.param]
    problem = from_module(make_net, loss, (inputs, y), valid=(inputs[:20], y[:20]), batch_size=BATCH, name="small")
    return problem, make_net, loss, y


def in_float64(loss):
    if isinstance(loss, nn.Module):
        return type(loss)(**{
            name: value.double() if isinstance(value := getattr(loss, name), torch.Tensor) else value
            for name in ("weight", "ignore_index", "label_smoothing")
            if hasattr(loss, name)
        })  # fmt: skip
    return functools.partial(F.cross_entropy, weight=WEIGHT.double()) if isinstance(loss, functools.partial) else loss


def ordinary_loop(problem, make_net, loss, inputs, y):
    """The user's own loop: the loss of a batch is what the loss function says of it."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        net = make_net()
    net, loss = net.double(), in_float64(loss)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.3)
    draws, _ = problem.sampler.take(problem.sampler.init(3), N, STEPS)
    for k in range(STEPS):
        batch = draws.indices[k][draws.weights[k] > 0]
        optimizer.zero_grad()
        loss(net.train()(inputs[batch].double()), y[batch]).backward()
        optimizer.step()
    return net.eval(), loss


def test_training_and_measuring_are_those_of_an_ordinary_loop(case, inputs, chunk_of):
    problem, make_net, loss, y = case
    net, loss = ordinary_loop(problem, make_net, loss, inputs, y)
    rule = SGD(lr=0.3, schedule=Constant())
    rungs = ["solo"] if unbatchable(problem) else ["solo", "vmap", "traced"]
    for rung, method in [*((rung, rule) for rung in rungs), ("solo", Torch(torch.optim.SGD, lr=0.3))]:
        run = run_chunk(problem, chunk_of([method], rung, steps=STEPS, every=STEPS, seeds=[3])).runs[0]
        assert not run.execution.retried_solo
        for name, parameter in net.named_parameters():
            torch.testing.assert_close(run.state_dict()[name], parameter.detach(), rtol=1e-10, atol=1e-12)
        with torch.no_grad():
            for split, part in (("train", slice(None)), ("valid", slice(20))):
                expected = float(loss(net(inputs[part].double()), y[part]))
                assert run.curve(f"{split}/loss")[-1][1] == pytest.approx(expected, rel=1e-10)


def test_a_batched_step_is_the_solo_step(case):
    problem, *_ = case
    if not unbatchable(problem):
        assert admission_error(problem, [SGD(lr=0.1), SGD(lr=0.3)]) == ""


def test_the_whole_objective_of_solvers_is_the_loss_of_all_examples(case, inputs):
    problem, make_net, loss, y = case
    whole = problem.with_sampler(Full()).function()
    w, buffers = problem.start(0)
    net = make_net().train()
    net.load_state_dict({**w, **buffers})
    row = torch.cat([leaf.reshape(-1) for leaf in w.values()])
    torch.testing.assert_close(whole.value(row), loss(net(inputs), y).detach(), rtol=1e-5, atol=1e-6)


def test_accuracy_is_that_of_the_labels_that_are_kept(inputs, chunk_of):
    y = classes(0.3)
    problem = from_module(classifier, nn.CrossEntropyLoss(weight=WEIGHT), (inputs, y), batch_size=BATCH, name="small")
    run = run_chunk(problem, chunk_of([SGD(lr=0.3)], steps=STEPS, every=STEPS)).runs[0]
    right = (inputs.double() @ run.state_dict()["weight"].T + run.state_dict()["bias"]).argmax(1) == y
    assert run.curve("train/accuracy")[-1][1] == pytest.approx(float(right[y >= 0].double().mean()), abs=1e-12)


def test_the_trivial_predictor_weighs_what_counts(inputs):
    y = classes(0.3)
    problem = from_module(classifier, nn.CrossEntropyLoss(weight=WEIGHT), (inputs, y), batch_size=BATCH)
    logits = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([logits], max_iter=200, tolerance_grad=1e-12)

    def closure():
        optimizer.zero_grad()
        value = F.cross_entropy(logits.expand(N, 3), y, weight=WEIGHT.double())
        value.backward()
        return value

    optimizer.step(closure)
    assert problem.predictor == pytest.approx(float(closure().detach()), abs=1e-5)


def test_a_batch_without_a_label_that_counts_takes_no_step_and_is_no_nan(inputs, chunk_of):
    y = classes(0.0)
    y[1:] = -100
    problem = from_module(classifier, nn.CrossEntropyLoss(), (inputs, y), batch_size=BATCH, name="small")
    for rung in ("solo", "traced"):
        run = run_chunk(problem, chunk_of([SGD(lr=0.3)], rung, steps=STEPS, every=STEPS)).runs[0]
        assert run.status.ok
        assert math.isfinite(run.curve("train/loss")[-1][1])


def test_a_sampler_that_divides_by_what_it_expects_is_refused(inputs):
    problem = from_module(classifier, nn.CrossEntropyLoss(), (inputs, classes(0.3)), batch_size=BATCH)
    with pytest.raises(BadProblem, match="use Shuffled or WithReplacement"):
        problem.with_sampler(Poisson(0.3))


def test_a_mean_over_examples_is_left_as_it_was(inputs):
    y = classes(0.0)
    problem = from_module(classifier, nn.CrossEntropyLoss(), (inputs, y), batch_size=BATCH)
    assert problem.objective.masses(y) == {}
    assert problem.sampler == Shuffled(BATCH)


@pytest.mark.parametrize(
    ("make_net", "loss", "y", "sentence"),
    [
        (Tagger, opaque, sequences(0.4), "nn.CrossEntropyLoss(ignore_index=-100)` itself"),
        (classifier, opaque, classes(0.3), "A mean over the kept labels is possible"),
        (classifier, lambda o, y: F.cross_entropy(o, y, WEIGHT), classes(0.0), "`nn.CrossEntropyLoss(weight=w)`"),
        (classifier, nn.CrossEntropyLoss(ignore_index=-1), classes(0.3), "or say which label is to be ignored"),
        (classifier, nn.CrossEntropyLoss(), torch.full((N,), -100), "None of the train labels counts"),
        (classifier, nn.CrossEntropyLoss(weight=torch.eye(3)[1]), torch.zeros(N).long(), "None of the train labels"),
        (classifier, nn.CrossEntropyLoss(reduction="sum"), classes(0.3), "is the sum over the 50 examples"),
    ],
    ids=lambda value: value[:30] if isinstance(value, str) else "",
)
def test_what_cannot_be_read_as_a_mean_says_what_can(inputs, make_net, loss, y, sentence):
    with pytest.raises(BadProblem) as refusal:
        from_module(make_net, loss, (inputs, y))
    assert sentence in str(refusal.value)


def test_labels_of_which_only_later_ones_are_ignored_are_looked_at_too():
    """The first examples alone would not tell: of every kind of label one is looked at."""
    x = torch.randn(300, 6, generator=torch.Generator().manual_seed(0))
    y = torch.arange(300) % 3
    y[290] = -100
    with pytest.raises(BadProblem, match="a cross-entropy ignores"):
        from_module(classifier, opaque, (x, y))
