"""What a question costs is counted from operations and sizes; how long it takes is nobody's business."""

import math
import time

import numpy as np
import pytest
import scipy.sparse
import torch

import optwise as ow
from optwise.analyses.prices import Prices, apart, asked_again, counted, prices_of
from optwise.core.composite import Composite
from optwise.problems.terms.operators import SparseOperator


def composite(f, w0=(1.0, 2.0), **more):
    return Composite.of(ow.problems.smooth(f, list(w0), **more))


def test_a_question_that_takes_long_is_no_dearer_than_one_that_does_not():
    def idle(w):
        time.sleep(0.01)
        return w.square().sum()

    assert prices_of(composite(idle)) == prices_of(composite(lambda w: w.square().sum()))


def test_more_operations_larger_ones_and_products_of_matrices_are_dearer():
    small, large = torch.ones(30, 30), torch.ones(300, 300)
    prices = [
        counted(ask)[1]
        for ask in (
            small.sum,
            lambda: small.exp().sum(),
            large.sum,
            lambda: large @ large,
            lambda: torch.linalg.svd(large),
        )
    ]
    assert prices == sorted(prices)
    assert len(set(prices)) == len(prices)
    assert counted(lambda: large @ large)[1] > 500 * counted(lambda: small @ small)[1] / 10


def test_shapes_and_dtypes_cost_nothing():
    w = torch.ones(1000)
    assert counted(lambda: (w.shape, w.dtype, w.ndim, w.device))[1] == counted(lambda: None)[1]


def test_a_sparse_product_is_priced_by_what_it_holds():
    rng = np.random.default_rng(0)
    entries = scipy.sparse.random(2000, 1000, 0.01, random_state=rng, format="csr")
    w = torch.ones(1000, dtype=torch.float64)
    dense = torch.from_numpy(entries.toarray())
    sparse = SparseOperator.of(entries)
    assert counted(lambda: sparse.forward(w))[1] < 0.1 * counted(lambda: dense @ w)[1]


def test_what_was_kept_of_the_start_is_priced_as_if_it_were_not():
    """A model remembers its last predictions; the price of the second problem must be that of the first."""
    rng = np.random.default_rng(0)
    found = Composite.of(ow.problems.softmax(rng.standard_normal((40, 12)), rng.integers(0, 3, 40), l1=0.02))
    first = prices_of(found)
    assert found.start is not None
    found.f(found.start)
    assert prices_of(found) == first


def test_work_adds_up_by_what_was_asked():
    prices = Prices(value=1.0, gradient=3.0, simple=0.5)
    assert prices.asked({"evaluations": 1.0, "gradients": 1.0}) == 3.0  # a value and its gradient
    assert prices.asked({"hvps": 2.0}) == 12.0
    assert prices.asked({"proxes": 1.0, "projections": 3.0}) == 2.0


def test_a_gradient_of_a_linear_model_is_two_products_and_not_booked_twice():
    prices = Prices(value=1.0, gradient=2.0, simple=0.0, linear=True)
    assert prices.asked({"products": 2.0, "evaluations": 1.0, "gradients": 1.0}) == 2.0
    assert prices.asked({"gradients": 1.0}) == 2.0


@pytest.mark.parametrize("noise", [0.0, 1e-3])
def test_a_loss_that_differs_at_one_point_is_random(noise):
    generator = torch.Generator().manual_seed(0)
    found = composite(lambda w: (w - 1).square().sum() + noise * torch.rand((), generator=generator, dtype=w.dtype))
    assert (asked_again(found) is not None) == (noise > 0)
    assert (prices_of(found).again is not None) == (noise > 0)


def test_rounding_is_no_randomness():
    terms = torch.randn(10**5, generator=torch.Generator().manual_seed(0), dtype=torch.float32)
    assert not apart(float(terms.square().sum()), float(terms.square().flip(0).sum()), torch.float32)


def test_a_function_that_fails_when_asked_again_is_left_to_the_solver():
    asked, allowed = [], [math.inf]

    def once(w):
        asked.append(w)
        if len(asked) > allowed[0]:
            raise RuntimeError("not again")
        return w.square().sum()

    problem = ow.problems.smooth(once, [1.0, 2.0])
    allowed[0] = len(asked) + 1  # the start's
    run = ow.solve(problem)
    assert run.status.value == "crashed"
    assert "not again" in run.traceback
