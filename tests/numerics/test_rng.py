"""Laws of derived seeds and of the generators made from them."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from optwise.numerics.rng import derive_seed, numpy_generator, torch_generator

PARTS = st.lists(st.integers(-3, 30) | st.text(max_size=3), max_size=4)


@pytest.mark.parametrize(
    ("base", "parts", "seed"),
    [
        (0, (), 7520536977032167579),
        (7, ("a", "bc"), 2387309300215170508),
        (-1, ("größe", 3), 4584606109183775047),
    ],
)
def test_a_derived_seed_is_the_same_number_for_ever(base, parts, seed):
    """A stored study is resumed by another process, machine or version; the numbers here may never be edited."""
    assert derive_seed(base, *parts) == seed


@given(PARTS, PARTS)
def test_different_parts_never_share_a_seed(one, other):
    assert (derive_seed(0, *one) == derive_seed(0, *other)) == (one == other)


def test_neither_where_a_part_ends_nor_its_type_is_lost():
    spellings = [("a", "bc"), ("ab", "c"), ("abc",), ("a,bc",), ('a","bc',), (1,), ("1",), (), ("",), (1, 2), (12,)]
    assert len({derive_seed(0, *parts) for parts in spellings}) == len(spellings)


@given(st.integers(-(2**70), 2**70), PARTS)
def test_every_derived_seed_suits_numpy_and_torch(base, parts):
    seed = derive_seed(base, *parts)
    assert 0 <= seed < 2**63
    numpy_generator(seed)
    torch_generator(seed)


def test_a_generator_repeats_its_draws_and_leaves_the_global_ones_alone():
    before_numpy, before_torch = np.random.get_state()[1].copy(), torch.get_rng_state()  # noqa: NPY002  the global one is the point
    assert numpy_generator(3).random(4).tolist() == numpy_generator(3).random(4).tolist()
    assert torch.equal(torch.rand(4, generator=torch_generator(3)), torch.rand(4, generator=torch_generator(3)))
    assert (np.random.get_state()[1] == before_numpy).all()  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), before_torch)
