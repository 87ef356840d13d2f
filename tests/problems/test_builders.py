"""Networks are built, never copied: what deepcopy cannot do, and what an instance cannot promise."""

import threading

import cloudpickle
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import parametrizations

from optwise.core.errors import BadProblem
from optwise.core.run import TrialName
from optwise.engine.chunks import Chunk, Trial
from optwise.engine.loop import run_chunk
from optwise.methods import SGD, Constant
from optwise.problems import from_module

X = torch.randn(32, 6, generator=torch.Generator().manual_seed(0))
Y = torch.arange(32) % 3


def old_weight_norm():
    return nn.Sequential(nn.utils.weight_norm(nn.Linear(6, 8)), nn.Tanh(), nn.Linear(8, 3))


def old_spectral_norm():
    return nn.Sequential(nn.utils.spectral_norm(nn.Linear(6, 8)), nn.Tanh(), nn.Linear(8, 3))


def weight_norm():
    return nn.Sequential(parametrizations.weight_norm(nn.Linear(6, 8)), nn.Tanh(), nn.Linear(8, 3))


def spectral_norm():
    return nn.Sequential(parametrizations.spectral_norm(nn.Linear(6, 8)), nn.Tanh(), nn.Linear(8, 3))


def orthogonal():
    return nn.Sequential(parametrizations.orthogonal(nn.Linear(6, 6)), nn.Linear(6, 3))


class Locked(nn.Module):
    """Members that nothing can copy."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(6, 3)
        self.lock = threading.Lock()
        self.squash = lambda x: torch.tanh(2 * x)
        self.sizes = (size for size in (1, 2))

    def forward(self, x):
        with self.lock:
            return self.linear(self.squash(x))


class Listed(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(6, 6), nn.Linear(6, 6), nn.Linear(6, 3)])
        self.layers[1].weight = self.layers[0].weight  # tied

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return x


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(3, 4, batch_first=True)
        self.linear = nn.Linear(4, 3)

    def forward(self, x):
        return self.linear(self.lstm(x.reshape(-1, 2, 3))[0][:, -1])


NETS = [old_weight_norm, old_spectral_norm, weight_norm, spectral_norm, orthogonal, Locked, Listed, Recurrent]


def chunk(rung, method, seeds=(3, 5)):
    trials = tuple(Trial(TrialName("small", "m", 0, i), str(i), method, seed) for i, seed in enumerate(seeds))
    return Chunk("c", rung, 8, 5, (0, 2, 5), "float64", "cpu", trials, keep_weights=True)


def ordinary_loop(make_net, seed, problem):
    """torch.optim on the module itself, in float64, over the same batches."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        net = make_net().train()
    net = net.double()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.2)
    draws, _ = problem.sampler.take(problem.sampler.init(seed), len(X), 5)
    for k in range(5):
        optimizer.zero_grad()
        F.cross_entropy(net(X[draws.indices[k]].double()), Y[draws.indices[k]]).backward()
        optimizer.step()
    return {**dict(net.named_parameters()), **dict(net.named_buffers())}


@pytest.mark.filterwarnings("ignore:.*weight_norm.*:FutureWarning", "ignore:There is a performance drop:UserWarning")
@pytest.mark.parametrize("rung", ["solo", "traced"])
@pytest.mark.parametrize("make_net", NETS, ids=lambda make: make.__name__)
def test_a_network_from_a_factory_is_trained_as_an_ordinary_loop_trains_it(make_net, rung):
    problem = from_module(make_net, F.cross_entropy, (X, Y), batch_size=8, name="small")
    runs = run_chunk(problem, chunk(rung, SGD(lr=0.2, schedule=Constant()))).runs
    # a batched pass leaves nothing behind that would not travel to another process
    elsewhere = cloudpickle.loads(cloudpickle.dumps(problem))
    again = run_chunk(elsewhere, chunk("solo", SGD(lr=0.2, schedule=Constant()))).runs
    for run, other in zip(runs, again, strict=True):
        expected = ordinary_loop(make_net, run.seed, problem)
        for name, leaf in run.state_dict().items():
            torch.testing.assert_close(leaf, expected[name].detach(), rtol=1e-9, atol=1e-12)
            torch.testing.assert_close(other.state_dict()[name], leaf, rtol=1e-9, atol=1e-12)


@pytest.mark.filterwarnings("ignore:.*weight_norm.*:FutureWarning")
@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (old_weight_norm, "cannot be copied (RuntimeError: Only Tensors created explicitly by the user"),
        (Locked, "cannot be copied (TypeError: cannot pickle"),
        (weight_norm, "'0.parametrizations.weight' (ParametrizationList) has parameters but no reset_parameters"),
        (old_spectral_norm, "Parameter '0.weight_orig' is not drawn again by reset_parameters"),
    ],
)
def test_an_instance_that_cannot_be_drawn_again_asks_for_a_factory(make, sentence):
    with pytest.raises(BadProblem) as refusal:
        from_module(make(), F.cross_entropy, (X, Y))
    assert sentence in str(refusal.value)
    assert "from_module(make_net, ...)" in str(refusal.value)


class Forgetful(nn.Linear):
    """Draws its bias anew and keeps its weight."""

    def reset_parameters(self):
        nn.init.uniform_(self.bias)


def test_an_instance_whose_reset_leaves_a_parameter_alone_is_refused_by_its_name():
    with pytest.raises(BadProblem, match="Parameter 'weight' is not drawn again by reset_parameters"):
        from_module(Forgetful(6, 3), F.cross_entropy, (X, Y))


def test_what_the_caller_does_to_an_instance_later_does_not_reach_the_problem():
    net = nn.Sequential(nn.Linear(6, 4), nn.Linear(4, 3))
    net[0].requires_grad_(False)
    problem = from_module(net, F.cross_entropy, (X, Y))
    before = problem.fingerprint()
    net[0] = nn.Identity()
    assert problem.fingerprint() == before


def compiled_in_place():
    net = nn.Linear(6, 3)
    net.compile()
    return net


class Halves(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(6, 6).double(), nn.Linear(6, 3)

    def forward(self, x):
        return self.second(self.first(x))


class Complex(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(6, 3)
        self.phase = nn.Parameter(torch.ones(3, dtype=torch.complex64))

    def forward(self, x):
        return self.linear(x) * self.phase.real


class Detached(nn.Linear):
    def forward(self, x):
        return super().forward(x).detach()


class Fixed(nn.Linear):
    """Trains on batches of eight only."""

    def forward(self, x):
        return super().forward(x.reshape(-1, 8, 6).reshape(-1, 6) if self.training else x)


class Squeezing(nn.Linear):
    def forward(self, x):
        return super().forward(x).squeeze()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch.jit
@pytest.mark.parametrize(
    ("make_net", "sentence"),
    [
        (lambda: torch.compile(nn.Linear(6, 3)), "The network is compiled by torch.compile; give the module itself"),
        (lambda: nn.Sequential(torch.compile(nn.Linear(6, 3))), "Module '0' is compiled"),
        (compiled_in_place, "The network is compiled"),
        (lambda: torch.jit.script(nn.Linear(6, 3)), "a TorchScript module, which takes no parameters from outside"),
        (lambda: nn.Linear(6, 3).to("meta"), "is on the meta device and holds no numbers"),
        (lambda: nn.LazyLinear(3), "has no shape yet"),
        (Halves, "must have the same dtype"),
        (Complex, "Parameter 'phase' is complex"),
        (lambda: Detached(6, 3), "cannot be differentiated by the network's parameters"),
        (lambda: Fixed(6, 3), "the network fails on a batch of 5 in training mode"),
        (lambda: Squeezing(6, 3), "fails on a single example while measuring"),
        (3, "make_net is of type int; give a function that builds the network"),
    ],
)
def test_networks_that_no_engine_could_run_are_refused(make_net, sentence):
    with pytest.raises(BadProblem) as refusal:
        from_module(make_net, F.cross_entropy, (X, Y), batch_size=9)
    assert sentence in str(refusal.value)
    assert "\n" not in str(refusal.value).strip()


def test_a_network_whose_numbers_depend_on_nothing_that_is_seeded_is_refused():
    class Unseeded(nn.Linear):
        def __init__(self):
            super().__init__(6, 3)
            self.stream = torch.Generator()
            self.stream.seed()

        def forward(self, x):
            return super().forward(x + torch.randn(x.shape, generator=self.stream, dtype=x.dtype))

    with pytest.raises(BadProblem, match="Two fresh copies of the network give other numbers"):
        from_module(Unseeded, F.cross_entropy, (X, Y))


def test_a_loss_with_parameters_to_train_is_refused():
    class Tempered(nn.Module):
        def __init__(self):
            super().__init__()
            self.temperature = nn.Parameter(torch.ones(()))

        def forward(self, outputs, y):
            return F.cross_entropy(outputs * self.temperature, y)

    with pytest.raises(BadProblem, match=r"The loss has parameters to train \(temperature\)"):
        from_module(lambda: nn.Linear(6, 3), Tempered(), (X, Y))
