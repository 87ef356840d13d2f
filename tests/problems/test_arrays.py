"""What is read as data: dense numbers, copied; everything else is refused by name, with what makes it dense."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import torch
import torch.nn.functional as F
from torch import nn

from optwise.core.errors import BadProblem
from optwise.problems import from_module
from optwise.problems.arrays import own_tensor

X = torch.randn(12, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
Y = torch.arange(12) % 3


def masked(x):
    # the module warns that it is a prototype
    from torch.masked import masked_tensor

    return masked_tensor(x, x > 0)


def quantised(x):
    return torch.quantize_per_tensor(x.float(), 0.1, 0, torch.qint8)


UNUSUAL = {
    "coo": (lambda x: x.to_sparse(), "a sparse tensor (sparse_coo); give a dense tensor, as with `.to_dense()`"),
    "csr": (lambda x: x.to_sparse_csr(), "a sparse tensor (sparse_csr); give a dense tensor"),
    "bsr": (lambda x: x.to_sparse_bsr((2, 2)), "a sparse tensor (sparse_bsr); give a dense tensor"),
    "nested": (lambda x: torch.nested.nested_tensor(list(x)), "a nested tensor; give a dense tensor"),
    "jagged": (lambda x: torch.nested.nested_tensor(list(x), layout=torch.jagged), "a nested tensor; give a dense"),
    "quantised": (quantised, "a quantised tensor (qint8); give a dense tensor, as with `.dequantize()`"),
    "complex": (lambda x: x + 0j, "complex numbers (complex128); give a dense tensor of real numbers"),
    "meta": (lambda x: x.to("meta"), "on the meta device, which holds no numbers; give a dense tensor on the CPU"),
    "masked": (masked, "a masked tensor; give a dense tensor"),
    "scipy": (lambda x: scipy.sparse.csr_matrix(x.numpy()), "a sparse csr_matrix; give a dense array"),
    "masked array": (lambda x: np.ma.masked_less(x.numpy(), 0.0), "a masked array with"),
    "complex array": (lambda x: x.numpy() + 0j, "complex numbers (complex128); give an array of real numbers"),
    "words": (lambda x: np.array([["a"] * 4] * 12), "cannot be read as numbers"),
    "dates": (lambda x: np.full((12, 4), "2020-01-01", dtype="datetime64[D]"), "cannot be read as numbers"),
    "objects": (lambda x: pd.DataFrame({"a": range(12), "b": ["u"] * 12}), "cannot be read as numbers"),
    "ragged": (lambda x: [[1.0, 2.0]] * 11 + [[1.0]], "cannot be read as numbers"),
    "ragged tensors": (lambda x: [*x[:11], x[0, :2]], "12 tensors that cannot be stacked"),
    "too large": (lambda x: x * 1e300, "numbers too large for float32, the type of the network's parameters"),
}


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")  # of torch, about prototypes
@pytest.mark.parametrize("kind", UNUSUAL)
def test_inputs_that_are_not_dense_numbers_are_refused_by_name(kind):
    make, sentence = UNUSUAL[kind]
    with pytest.raises(BadProblem) as refusal:
        from_module(lambda: nn.Linear(4, 3), F.cross_entropy, (make(X), Y))
    assert str(refusal.value).startswith("The train inputs ")
    assert sentence in str(refusal.value)


def test_labels_are_held_to_the_same():
    with pytest.raises(BadProblem, match="The valid labels are a sparse tensor"):
        from_module(lambda: nn.Linear(4, 3), F.cross_entropy, (X, Y), valid=(X, Y.to_sparse()))
    with pytest.raises(BadProblem, match=r"The train labels hold whole numbers above 2\^63 - 1"):
        from_module(lambda: nn.Linear(4, 3), F.cross_entropy, (X, np.full(12, 2**63, dtype=np.uint64)))


USUAL = {
    "reversed": X.numpy()[::-1][::-1],
    "transposed": X.t().contiguous().t(),
    "every other column": torch.stack([X, X], dim=2).reshape(12, 8)[:, ::2],
    "big-endian": X.numpy().astype(">f8"),
    "long double": X.numpy().astype(np.longdouble),
    "read-only": np.broadcast_to(X.numpy(), (12, 4)),
    "with a gradient": X.clone().requires_grad_(),
    "a parameter": nn.Parameter(X.clone()),
    "rows": list(X.clone().requires_grad_()),
    "a frame": pd.DataFrame(X.numpy()),
    "unmasked": np.ma.array(X.numpy()),
    "conjugated back": torch.view_as_complex(torch.stack([X, X], -1)).conj().real,
}


@pytest.mark.parametrize("kind", USUAL)
def test_the_same_numbers_are_read_from_every_way_to_hold_them(kind):
    read = own_tensor(USUAL[kind], split="train", part="inputs")
    assert torch.equal(read, X)
    assert read.is_contiguous()
    assert not read.requires_grad


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.uint32, np.uint64, np.int64, bool])
def test_whole_labels_of_every_type_are_classes(dtype):
    y = (Y.numpy() % 2).astype(dtype)
    problem = from_module(lambda: nn.Linear(4, 3), F.cross_entropy, (X, y))
    assert problem.data.train.y.dtype == torch.int64
    assert torch.equal(problem.data.train.y, Y % 2)


@pytest.mark.parametrize(
    ("loss", "width", "y", "advice"),
    [
        (F.binary_cross_entropy_with_logits, 1, (Y[:, None] > 0), "give the labels as floating-point numbers"),
        (F.cross_entropy, 3, Y.double(), "give the labels as whole numbers"),
    ],
)
def test_labels_of_the_wrong_type_are_told_the_right_one(loss, width, y, advice):
    with pytest.raises(BadProblem, match=advice):
        from_module(lambda: nn.Linear(4, width), loss, (X, y))
