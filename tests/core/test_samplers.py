"""Laws of the samplers: what an epoch is, what a step is divided by, and that cutting a run changes no draw."""

import pytest
import torch

from optwise.core.errors import BadProtocol
from optwise.core.sampler import Full, Poisson, Shuffled, Stream, WithReplacement, batch_size, describe


def noise(generator, steps, batch, w):
    return torch.stack([torch.randn(1, 20, generator=generator, dtype=torch.float64) for _ in range(steps)])


SAMPLERS = [Full(), Shuffled(4), Shuffled(7), WithReplacement(5), Poisson(0.3), Stream(noise, batch_size=8)]
N = 23


def take(sampler, steps, seed=0, examples=N):
    return sampler.take(sampler.init(seed), examples, steps)[0]


@pytest.mark.parametrize("sampler", SAMPLERS, ids=repr)
def test_segments_do_not_depend_on_how_a_run_is_cut(sampler):
    whole, state = take(sampler, 10), sampler.init(0)
    parts = []
    for steps in (5, 1, 4):
        draws, state = sampler.take(state, N, steps)
        parts.append(draws)
    for part in ("indices", "weights", "normaliser", "examples", "fresh"):
        together = getattr(whole, part)
        if together is not None:
            assert torch.equal(together, torch.cat([getattr(p, part) for p in parts])), part


@pytest.mark.parametrize("sampler", SAMPLERS, ids=repr)
def test_a_seed_repeats_its_draws_and_another_draws_others(sampler):
    one, again, other = take(sampler, 6), take(sampler, 6), take(sampler, 6, seed=1)
    drawn = "indices" if one.indices is not None else "fresh"
    assert torch.equal(getattr(one, drawn), getattr(again, drawn))
    assert torch.equal(getattr(one, drawn), getattr(other, drawn)) == isinstance(sampler, Full)


@pytest.mark.parametrize("sampler", SAMPLERS, ids=repr)
def test_a_table_is_as_wide_as_its_cap_and_its_weights_are_zero_or_one(sampler):
    draws = take(sampler, 12)
    assert draws.weights.shape == (12, sampler.cap(N))
    assert set(draws.weights.unique().tolist()) <= {0.0, 1.0}
    if draws.indices is not None:
        assert draws.indices.shape == draws.weights.shape
        assert int(draws.indices.min()) >= 0
        assert int(draws.indices.max()) < N
        assert torch.equal(draws.weights.sum(1).long(), draws.examples)


@pytest.mark.parametrize("size", [1, 4, 7, N, 100])
def test_every_epoch_of_shuffled_visits_every_example_once_in_a_new_order(size):
    sampler = Shuffled(size)
    batches = -(-N // min(size, N))
    draws = take(sampler, 3 * batches)
    epochs = []
    for epoch in range(3):
        rows = slice(epoch * batches, (epoch + 1) * batches)
        epochs.append(draws.indices[rows][draws.weights[rows] > 0].tolist())
    assert all(sorted(visited) == list(range(N)) for visited in epochs)
    assert epochs[0] != epochs[1] != epochs[2]


def test_a_short_last_batch_is_divided_by_its_own_size():
    draws = take(Shuffled(10), 3)
    assert draws.normaliser.tolist() == draws.weights.sum(1).tolist() == [10.0, 10.0, 3.0]
    assert draws.examples.tolist() == [10, 10, 3]


def test_every_example_once_a_step_without_a_sampler():
    assert take(Full(), 2).indices.tolist() == [list(range(N))] * 2


def test_poisson_is_divided_by_the_expected_size_even_when_it_is_empty():
    draws = take(Poisson(0.05), 4000)
    counts = draws.weights.sum(1)
    assert draws.normaliser.unique().tolist() == [pytest.approx(0.05 * N)]
    assert int((counts == 0).sum()) > 0
    deviation = (N * 0.05 * 0.95 / 4000) ** 0.5
    assert abs(float(counts.mean()) - 0.05 * N) < 4 * deviation
    for row, weights in zip(draws.indices[:50], draws.weights[:50], strict=True):
        joined = row[weights > 0].tolist()
        assert len(set(joined)) == len(joined), "an example joins a step once"


def test_with_replacement_is_uniform():
    counts = torch.bincount(take(WithReplacement(50), 400).indices.reshape(-1), minlength=N).double()
    expected = 50 * 400 / N
    assert float(((counts - expected) ** 2 / expected).sum()) < 48.3  # the 0.999 quantile of chi2 with 22 degrees


@pytest.mark.parametrize(
    "make", [lambda: Shuffled(0), lambda: WithReplacement(-1), lambda: Poisson(0.0), lambda: Poisson(1.1)]
)
def test_a_sampler_that_draws_nothing_is_refused(make):
    with pytest.raises(BadProtocol):
        make()


def test_a_description_names_the_sampler_and_its_numbers_and_no_function():
    assert describe(Shuffled(32)) == {"class": "Shuffled", "batch_size": 32}
    assert describe(Stream(noise, batch_size=8)) == {"class": "Stream", "batch_size": 8, "rows": 1}


def test_a_step_pays_for_its_expected_number_of_examples():
    sizes = [batch_size(sampler, N) for sampler in (Full(), Shuffled(64), Shuffled(4), Poisson(0.3), SAMPLERS[-1])]
    assert sizes == [N, N, 4, 7, 8]
