"""Splits that can be used, their fingerprint, and leaves packed into rows and back."""

import pytest
import torch

from optwise.core.data import Data, Split
from optwise.core.errors import BadProblem
from optwise.core.layout import Layout

X, Y = torch.arange(12.0).reshape(4, 3), torch.tensor([0, 1, 1, 0])


@pytest.mark.parametrize(
    ("train", "words"),
    [
        (Split(torch.empty(0, 3)), "train split is empty"),
        (Split(torch.tensor(1.0)), "train split is empty"),
        (Split(X, Y[:3]), "one label per input"),
        (Split(X.log(), Y), "train inputs hold 1 values that are not finite"),
        (Split(X, torch.tensor([0.0, float("nan"), float("inf"), 1.0])), "train labels hold 2 values"),
    ],
)
def test_data_that_cannot_be_used_are_refused_with_the_split_and_the_number(train, words):
    with pytest.raises(BadProblem, match=words):
        Data(train)


def test_every_split_is_looked_at():
    with pytest.raises(BadProblem, match="valid split"):
        Data(Split(X, Y), valid=Split(X, Y[:1]))
    with pytest.raises(BadProblem, match="test inputs"):
        Data(Split(X, Y), test=Split(X / 0, Y))


def test_the_fingerprint_sees_every_byte_and_in_which_split_it_lies():
    data = Data(Split(X, Y), valid=Split(X, Y))
    nudged = X.clone()
    nudged[0, 1] = torch.nextafter(nudged[0, 1], torch.tensor(2.0))
    others = [
        Data(Split(nudged, Y), valid=Split(X, Y)),
        Data(Split(X, 1 - Y), valid=Split(X, Y)),
        Data(Split(X, Y), test=Split(X, Y)),
        Data(Split(X.reshape(4, 1, 3), Y), valid=Split(X, Y)),
        Data(Split(X.double(), Y), valid=Split(X, Y)),
        Data(Split(X, Y)),
    ]
    assert Data(Split(X.clone(), Y.clone()), valid=Split(X, Y)).fingerprint == data.fingerprint
    assert len({data.fingerprint, *(other.fingerprint for other in others)}) == 1 + len(others)


def test_floating_numbers_follow_the_dtype_and_whole_ones_keep_theirs():
    moved = Data(Split(X, Y), valid=Split(X)).to(dtype=torch.float64, device="cpu")
    assert (moved.train.x.dtype, moved.train.y.dtype) == (torch.float64, torch.int64)
    assert list(moved.splits) == ["train", "valid"]


def test_leaves_come_back_from_a_row_as_they_went_in():
    leaves = {"weight": torch.randn(2, 3), "bias": torch.randn(2), "scale": torch.randn(())}
    layout = Layout.of(leaves)
    row = layout.pack(leaves)
    assert row.shape == (layout.size,) == (9,)
    for name, leaf in layout.unpack(row).items():
        assert torch.equal(leaf, leaves[name])


def test_rows_of_many_trials_keep_their_leading_dimensions():
    leaves = {"weight": torch.randn(5, 2, 3), "bias": torch.randn(5, 2)}
    layout = Layout(("weight", "bias"), ((2, 3), (2,)))
    rows = layout.pack(leaves)
    assert rows.shape == (5, 8)
    assert torch.equal(rows[3], layout.pack({name: leaf[3] for name, leaf in leaves.items()}))
    assert all(torch.equal(leaf, leaves[name]) for name, leaf in layout.unpack(rows).items())


def test_unpacked_leaves_are_views_of_the_row():
    row = torch.zeros(3)
    Layout(("a", "b"), ((2,), ())).unpack(row)["b"].fill_(7.0)
    assert row.tolist() == [0.0, 0.0, 7.0]


def test_a_layout_without_leaves_has_no_row():
    with pytest.raises(ValueError, match="without leaves"):
        Layout((), ()).pack({})
