"""What a loader or a data set says beside its examples: honoured, refused, or told."""

import random

import cloudpickle
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, Dataset, TensorDataset, default_collate

from optwise.core.errors import BadProblem, DataNote
from optwise.core.sampler import Shuffled, describe
from optwise.problems import from_module

N = 30
X = torch.randn(N, 4, generator=torch.Generator().manual_seed(0))
Y = torch.arange(N) % 3
TENSORS = TensorDataset(X, Y)


def build(train, **more):
    return from_module(lambda: nn.Linear(4, 3), F.cross_entropy, train, name="small", **more)


@pytest.mark.parametrize(
    ("train", "given", "dropped"),
    [
        (DataLoader(TENSORS, batch_size=7, shuffle=True, drop_last=True), {}, True),
        (DataLoader(TENSORS, batch_size=7, shuffle=True), {}, False),
        (DataLoader(TENSORS, batch_size=7, shuffle=True, drop_last=True), {"drop_last": False}, False),
        (DataLoader(TENSORS, batch_size=7, shuffle=True), {"drop_last": True}, True),
        ((X, Y), {"batch_size": 7, "drop_last": True}, True),
        (TENSORS, {"batch_size": 7}, False),
    ],
)
def test_a_short_last_batch_is_left_out_where_that_is_asked_for(train, given, dropped):
    problem = build(train, **given)
    assert problem.sampler == Shuffled(7, drop_last=dropped)
    draws, _ = problem.sampler.take(problem.sampler.init(0), N, 9)
    expected = [7] * 9 if dropped else [7, 7, 7, 7, 2] * 2
    assert draws.examples.tolist() == expected[:9]
    assert problem.with_sampler(Shuffled(5)).fingerprint() == problem.fingerprint()


def test_each_epoch_leaves_other_examples_out_and_sees_none_twice():
    draws, _ = Shuffled(7, drop_last=True).take(Shuffled(7).init(4), N, 8)
    epochs = [draws.indices[first : first + 4].flatten().tolist() for first in (0, 4)]
    assert all(len(set(epoch)) == 28 for epoch in epochs)
    assert set(epochs[0]) != set(epochs[1])


def test_a_record_of_before_still_describes_the_sampler_and_a_new_one_reads_back():
    assert describe(Shuffled(7)) == {"class": "Shuffled", "batch_size": 7}
    described = describe(Shuffled(7, drop_last=True))
    assert described == {"class": "Shuffled", "batch_size": 7, "drop_last": True}
    assert Shuffled(**{name: value for name, value in described.items() if name != "class"}) == Shuffled(
        7, drop_last=True
    )


def test_dropping_the_only_batch_is_refused():
    with pytest.raises(BadProblem, match="drops the only batch, since its 30 examples are fewer than batch_size"):
        build((X, Y), drop_last=True)


def normalised():
    return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Linear(8, 3))


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"batch_size": 29}, "30 examples in batches of 29 leave a last batch of 1, on which its network fails"),
        ({"batch_size": 1}, "batches hold 1 example, on which its network fails in training mode"),
    ],
)
def test_a_batch_of_one_under_batch_normalisation_is_refused_before_any_work(given, sentence):
    with pytest.raises(BadProblem) as refusal:
        from_module(normalised, F.cross_entropy, (X, Y), name="small", **given)
    assert sentence in str(refusal.value)
    # and where the batch size is given later, as `--batch-size` does
    problem = from_module(normalised, F.cross_entropy, (X, Y), name="small", batch_size=10)
    with pytest.raises(BadProblem) as refusal:
        problem.with_sampler(Shuffled(given["batch_size"]))
    assert sentence in str(refusal.value)


@pytest.mark.parametrize("given", [{"batch_size": 29, "drop_last": True}, {"batch_size": 28}, {"batch_size": 30}])
def test_other_batches_under_batch_normalisation_are_taken(given):
    assert from_module(normalised, F.cross_entropy, (X, Y), **given).objective.coupled


def test_images_are_normalised_over_their_places_too():
    def convolved():
        return nn.Sequential(nn.Conv2d(1, 2, 2), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(2, 3))

    assert from_module(convolved, F.cross_entropy, (X.reshape(N, 1, 2, 2), Y), batch_size=7).objective.coupled
    with pytest.raises(BadProblem, match="a last batch of 1"):
        from_module(convolved, F.cross_entropy, (X.reshape(N, 1, 2, 2), Y), batch_size=29)


class Augmented(Dataset):
    """Adds noise from a global stream each time it is asked."""

    def __init__(self, draw):
        self.draw = draw

    def __len__(self):
        return N

    def __getitem__(self, index):
        return X[index] + torch.as_tensor(self.draw(), dtype=torch.float32), int(Y[index])


class OwnStream(Augmented):
    def __init__(self):
        self.stream = np.random.default_rng(1)
        super().__init__(lambda: self.stream.normal(size=4))


DRAWS = {
    "torch": lambda: Augmented(lambda: torch.randn(4)),
    "numpy": lambda: Augmented(lambda: np.random.randn(4)),  # noqa: NPY002 - what transforms use
    "python": lambda: Augmented(lambda: [random.gauss() for _ in range(4)]),
    "its own": OwnStream,
}


@pytest.mark.parametrize("draw", DRAWS)
def test_a_random_augmentation_is_drawn_once_and_that_is_said(draw):
    torch.manual_seed(5)
    states = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()  # noqa: NPY002
    with pytest.warns(DataNote, match="gives another example each time it is asked") as caught:
        problem = build(DRAWS[draw]())
    assert len(caught) == 1
    assert problem.notes == (str(caught[0].message),)
    assert "augment within the network" in problem.notes[0]
    # reading draws from a seed of its own: another process reads the same data, and the caller's streams stay
    after = torch.get_rng_state(), np.random.get_state()[1], random.getstate()  # noqa: NPY002
    assert torch.equal(states[0], after[0])
    assert np.array_equal(states[1], after[1])
    assert states[2] == after[2]
    torch.manual_seed(6)
    with pytest.warns(DataNote):
        assert build(DRAWS[draw]()).fingerprint() == problem.fingerprint()
    assert cloudpickle.loads(cloudpickle.dumps(problem)).notes == problem.notes


def mixed_up(examples):
    x, y = default_collate(examples)
    share = torch.rand(len(x), 1)
    return share * x + (1 - share) * x.flip(0), y


def padded(examples):
    longest = max(int(y) + 2 for _, y in examples)
    return torch.stack([F.pad(x[:1], (0, longest - 1)) for x, _ in examples]), torch.tensor([y for _, y in examples])


@pytest.mark.parametrize(
    ("loader", "sentence"),
    [
        (lambda: DataLoader(TENSORS, batch_size=7, shuffle=True, collate_fn=mixed_up), "collate_fn of the train"),
        (lambda: DataLoader(TENSORS, batch_size=7), "The train loader keeps its order"),
        (
            lambda: DataLoader(TENSORS, batch_size=7, shuffle=True, worker_init_fn=print),
            "worker_init_fn was not called",
        ),
    ],
)
def test_what_a_loader_asks_for_and_has_no_part_here_is_said(loader, sentence):
    with pytest.warns(DataNote, match=sentence):
        problem = build(loader())
    assert len(problem.notes) == 1


def test_padding_to_the_longest_of_a_batch_becomes_padding_to_the_longest_of_all():
    lengths = TensorDataset(X, torch.cat([torch.zeros(28), torch.full((2,), 2)]).long())
    loader = DataLoader(lengths, batch_size=7, shuffle=True, collate_fn=padded)
    with pytest.warns(DataNote, match="padded to the longest"):
        assert build(loader).data.train.x.shape == (N, 4)


def test_a_measured_split_keeps_its_last_batch_and_says_so():
    valid = DataLoader(TENSORS, batch_size=7, drop_last=True)
    with pytest.warns(DataNote, match="here every example of the valid split is measured"):
        problem = build((X, Y), valid=valid)
    assert problem.data.valid.examples == N


def test_what_only_makes_loading_faster_says_nothing():
    loader = DataLoader(TENSORS, batch_size=7, shuffle=True, generator=torch.Generator().manual_seed(3), timeout=0)
    assert build(loader, valid=DataLoader(TENSORS, batch_size=100)).notes == ()
