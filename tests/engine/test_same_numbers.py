"""The same trial gives the same numbers, whatever ran before it, beside it, in which process and in what order."""

import copy
import random

import cloudpickle
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.func import functional_call

from optwise.engine.calibration import choose_rung
from optwise.engine.loop import run_chunk
from optwise.methods import SGD, Constant, Torch
from optwise.problems import from_module
from optwise.problems.traits import RANDOM

STEPS, BATCH = 6, 16


class Counting(nn.Module):
    """Warms up over its first calls, as a schedule within a network does."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(6, 3)
        self.calls = 0

    def forward(self, x):
        self.calls += self.training
        return self.linear(x) * min(1.0, self.calls / 5)


class CountingInEachMode(Counting):
    def forward(self, x):
        self.calls += 1
        return self.linear(x) * min(1.0, self.calls / 5)


class Keeping(nn.Module):
    """Keeps what ``step`` makes of ``start`` and multiplies its outputs with what ``factor`` reads in it."""

    def __init__(self, start, step, factor):
        super().__init__()
        self.linear = nn.Linear(6, 3)
        self.kept = start()
        self.step, self.factor = step, factor

    def forward(self, x):
        if self.training:
            self.kept = self.step(self.kept, x)
        return self.linear(x) * (1 + 0.1 * self.factor(self.kept))


class Box:
    def __init__(self):
        self.inner = {"calls": [0]}


def in_box(box, x):
    box.inner["calls"][0] += 1
    return box


def appended(values, x):
    values.append(float(x.mean()))
    return values


def added(array, x):
    array += 1
    return array


def averaged(tensor, x):
    return 0.5 * tensor + x.detach().mean()


def averaged_in_place(tensor, x):
    return tensor.mul_(0.5).add_(x.detach().mean())


CALLS = 0


def counting_in_a_global_name(outputs, y):
    global CALLS  # noqa: PLW0603 - that is what is looked for
    CALLS += 1
    return F.cross_entropy(outputs, y, reduction="none") * min(1.0, CALLS / 20)


class CountingInItsClass(nn.Module):
    calls = 0

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(6, 3)

    def forward(self, x):
        type(self).calls += self.training
        return self.linear(x) * min(1.0, type(self).calls / 5)


class AnnealedLoss(nn.Module):
    """Its sharpness is a buffer, which no engine hands in and out."""

    def __init__(self):
        super().__init__()
        self.register_buffer("sharpness", torch.tensor(0.2))
        self.reduction = "mean"

    def forward(self, outputs, y):
        self.sharpness.add_(0.1)
        return F.cross_entropy(outputs * self.sharpness, y, reduction=self.reduction)


def closing_over_a_list():
    seen = [0.0]

    def loss(outputs, y):
        seen[0] += 1
        return F.cross_entropy(outputs, y, reduction="none") * min(1.0, seen[0] / 20)

    return loss


def closing_over_a_name():
    calls = 0

    def loss(outputs, y):
        nonlocal calls
        calls += 1
        return F.cross_entropy(outputs, y, reduction="none") * min(1.0, calls / 20)

    return loss


def with_a_mutable_default(outputs, y, seen=[0]):  # noqa: B006 - that is what is looked for
    seen[0] += 1
    return F.cross_entropy(outputs, y, reduction="none") * min(1.0, seen[0] / 20)


def sharing_one_list():
    shared = []

    class Sharing(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(6, 3)
            self.shared = shared

        def forward(self, x):
            if self.training:
                self.shared.append(1)
            return self.linear(x) * min(1.0, len(self.shared) / 5)

    return Sharing


def hooked():
    net, seen = nn.Linear(6, 3), []

    def warm_up(module, given, outputs):
        seen.append(1)
        return outputs * min(1.0, len(seen) / 5)

    net.register_forward_hook(warm_up)
    return net


class Drawing(nn.Module):
    """Noise from a stream that is not torch's."""

    def __init__(self, draw):
        super().__init__()
        self.linear = nn.Linear(6, 3)
        self.draw = draw

    def forward(self, x):
        return self.linear(x + torch.as_tensor(self.draw(x.shape), dtype=x.dtype))


def of_python(shape):
    return [[0.1 * random.gauss() for _ in range(shape[1])] for _ in range(shape[0])]


class DrawingAlways(nn.Linear):
    def forward(self, x):
        return super().forward(F.dropout(x))  # the functional form does so in evaluation mode too


class OwnStream(Drawing):
    def __init__(self):
        super().__init__(None)
        self.stream = np.random.default_rng(4)
        self.draw = lambda shape: 0.1 * self.stream.normal(size=shape)


class Features(nn.Module):
    """Random features in a plain attribute: constants of the trial, drawn with its start."""

    def __init__(self):
        super().__init__()
        self.features = torch.randn(6, 8)
        self.linear = nn.Linear(8, 3)

    def forward(self, x):
        return self.linear(torch.sin(x @ self.features.to(x.dtype)))


def plain():
    return nn.Linear(6, 3)


CASES = {
    "a count": (Counting, F.cross_entropy, "keeps a state of its own (calls)"),
    "a count in both modes": (CountingInEachMode, F.cross_entropy, "(calls)"),
    "a count within a part": (lambda: nn.Sequential(nn.Tanh(), Counting()), F.cross_entropy, "(1.calls)"),
    "a list": (lambda: Keeping(list, appended, len), F.cross_entropy, "(kept)"),
    "an object": (lambda: Keeping(Box, in_box, lambda b: b.inner["calls"][0]), F.cross_entropy, "(kept.inner['calls']"),
    "an array": (lambda: Keeping(lambda: np.zeros(2), added, np.sum), F.cross_entropy, "(kept)"),
    "a tensor": (lambda: Keeping(lambda: torch.zeros(()), averaged, float), F.cross_entropy, "(kept)"),
    "a tensor in place": (lambda: Keeping(lambda: torch.ones(()), averaged_in_place, float), F.cross_entropy, "(kept)"),
    "a hook": (hooked, F.cross_entropy, "_forward_hooks[0].seen"),
    "a class": (CountingInItsClass, F.cross_entropy, "CountingInItsClass.calls"),
    "one list of all networks": (sharing_one_list(), F.cross_entropy, "shared"),
    "a loss with a list": (plain, closing_over_a_list(), "(loss.seen[0])"),
    "a loss with a name": (plain, closing_over_a_name(), "(loss.calls)"),
    "a loss with a default": (plain, with_a_mutable_default, "loss"),
    "a loss with a global name": (plain, counting_in_a_global_name, "(CALLS)"),
    "a loss with a buffer": (plain, AnnealedLoss(), "sharpness"),
    "a stream of its own": (OwnStream, F.cross_entropy, "(stream)"),
    "dropout": (lambda: nn.Sequential(nn.Dropout(), nn.Linear(6, 3)), F.cross_entropy, RANDOM),
    "dropout while measuring": (lambda: DrawingAlways(6, 3), F.cross_entropy, RANDOM),
    "numpy": (lambda: Drawing(lambda shape: 0.1 * np.random.randn(*shape)), F.cross_entropy, RANDOM),  # noqa: NPY002
    "python": (lambda: Drawing(of_python), F.cross_entropy, RANDOM),
    "features": (Features, F.cross_entropy, "draws constants beside its parameters (features)"),
}


@pytest.fixture(params=CASES, ids=lambda name: name.replace(" ", "-"))
def case(request, examples):
    make_net, loss, reason = CASES[request.param]
    problem = from_module(make_net, loss, examples, valid=examples, batch_size=BATCH, name="small")
    return problem, reason


METHODS = {"rule": lambda: SGD(lr=0.2, schedule=Constant()), "torch": lambda: Torch(torch.optim.SGD, lr=0.2)}


@pytest.fixture(params=METHODS)
def method(request):
    return METHODS[request.param]()


def runs(problem, chunk_of, method, seeds, **changed):
    chunk = chunk_of([method] * len(seeds), "solo", seeds=seeds, **({"steps": STEPS, "every": 3} | changed))
    return run_chunk(problem, chunk).runs


def same(one, other):
    assert one.measurements == other.measurements
    assert all(torch.equal(leaf, other.state_dict()[name]) for name, leaf in one.state_dict().items())


def test_a_state_is_seen_and_named_and_its_trials_run_alone(case):
    problem, reason = case
    choice = choose_rung(problem, [SGD(lr=0.1), SGD(lr=0.2)], most_rows=8, dtype="float32")
    assert (choice.rung, choice.rows) == ("solo", 1)
    assert reason in choice.reason


def test_a_trial_depends_on_none_that_ran_before_or_beside_it(case, method, chunk_of):
    problem, _ = case
    first = runs(problem, chunk_of, method, [3])[0]
    torch.manual_seed(11)
    before, between, after = runs(problem, chunk_of, method, [5, 3, 7])
    same(between, first)
    same(runs(problem, chunk_of, method, [7])[0], after)
    assert before.measurements != first.measurements
    elsewhere = cloudpickle.loads(cloudpickle.dumps(problem))  # as it goes to another process
    same(runs(elsewhere, chunk_of, method, [3])[0], first)


def test_measuring_more_often_leaves_no_trace(case, method, chunk_of):
    problem, _ = case
    rarely = runs(problem, chunk_of, method, [3], every=STEPS)[0]
    often = runs(problem, chunk_of, method, [3], every=1)[0]
    assert rarely.measurements == tuple(m for m in often.measurements if m.step in (0, STEPS))
    assert all(torch.equal(leaf, often.state_dict()[name]) for name, leaf in rarely.state_dict().items())


def test_a_rule_and_torch_s_own_class_train_the_same_network(case, chunk_of):
    problem, _ = case
    ours, torchs = (runs(problem, chunk_of, make(), [3])[0] for make in METHODS.values())
    for name, leaf in torchs.state_dict().items():
        torch.testing.assert_close(ours.state_dict()[name], leaf, rtol=1e-12, atol=1e-14)


def test_the_fingerprint_is_the_same_before_and_after_trials(case, chunk_of):
    problem, _ = case
    before = problem.fingerprint()
    runs(problem, chunk_of, SGD(lr=0.2), [3])
    assert problem.fingerprint() == before


@pytest.mark.parametrize("make_net", [Counting, hooked, Features], ids=lambda net: net.__name__)
def test_a_trial_alone_is_an_ordinary_loop(make_net, examples, chunk_of):
    problem = from_module(make_net, F.cross_entropy, examples, valid=examples, batch_size=BATCH, name="small")
    run = runs(problem, chunk_of, SGD(lr=0.2), [3])[0]
    x, y = examples[0].double(), examples[1]
    with torch.random.fork_rng():
        torch.manual_seed(3)
        net = make_net()
    # float32 numbers as double ones, plain attributes left as they were drawn
    w = {name: p.detach().double().requires_grad_() for name, p in net.named_parameters()}
    draws, _ = problem.sampler.take(problem.sampler.init(3), len(x), STEPS)
    for k in range(STEPS):
        batch = draws.indices[k][draws.weights[k] > 0]
        loss = F.cross_entropy(functional_call(net, w, (x[batch],)), y[batch])
        gradients = torch.autograd.grad(loss, list(w.values()))
        w = {n: (p - 0.2 * g).detach().requires_grad_() for (n, p), g in zip(w.items(), gradients, strict=True)}
    for name, leaf in w.items():
        torch.testing.assert_close(run.state_dict()[name], leaf.detach(), rtol=1e-11, atol=1e-13)


def test_looking_at_a_problem_leaves_the_caller_s_own_objects_as_they_were(examples):
    global CALLS  # noqa: PLW0603
    CALLS = 7
    seen = [3]

    def metric(outputs, y):
        seen.append(1)
        return (outputs.argmax(1) == y).double()

    loss, net = AnnealedLoss(), nn.Linear(6, 3)
    weights = copy.deepcopy(net.state_dict())
    from optwise.core.metric import Metric

    from_module(net, loss, examples, metrics={Metric("hits"): metric}, name="small")
    from_module(net, counting_in_a_global_name, examples, name="small")
    assert (CALLS, seen, float(loss.sharpness)) == (7, [3], pytest.approx(0.2))
    assert all(torch.equal(leaf, weights[name]) for name, leaf in net.state_dict().items())
    CALLS = 0
