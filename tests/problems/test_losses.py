"""What a loss function is taken to mean for one example, and which ones are refused."""

import functools
import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.func import vmap

from optwise.core.errors import BadProblem
from optwise.problems.best_constants import trivial_predictor
from optwise.problems.losses import half_squared_error, per_example

B = 12
GENERATOR = torch.Generator().manual_seed(0)
LOGITS = torch.randn(B, 3, generator=GENERATOR, dtype=torch.float64)
CLASSES = torch.randint(3, (B,), generator=GENERATOR)
REALS = torch.randn(B, 3, generator=GENERATOR, dtype=torch.float64)
BINARY = torch.randint(2, (B, 1), generator=GENERATOR).double()

CROSS_ENTROPIES = -LOGITS.log_softmax(1)[torch.arange(B), CLASSES]
SQUARES = ((LOGITS - REALS) ** 2).mean(1)
LOGISTIC = (torch.log1p(LOGITS[:, :1].exp()) - BINARY * LOGITS[:, :1])[:, 0]


@pytest.mark.parametrize(
    ("loss", "outputs", "y", "expected"),
    [
        (F.cross_entropy, LOGITS, CLASSES, CROSS_ENTROPIES),
        (nn.CrossEntropyLoss(), LOGITS, CLASSES, CROSS_ENTROPIES),
        (nn.CrossEntropyLoss(reduction="none"), LOGITS, CLASSES, CROSS_ENTROPIES),
        (functools.partial(F.cross_entropy, reduction="none"), LOGITS, CLASSES, CROSS_ENTROPIES),
        (lambda o, y: 1.0 * F.cross_entropy(o, y), LOGITS, CLASSES, CROSS_ENTROPIES),
        (lambda o, y: -o.log_softmax(1)[torch.arange(len(y)), y], LOGITS, CLASSES, CROSS_ENTROPIES),
        (lambda o, y, reduction="mean": F.cross_entropy(o, y), LOGITS, CLASSES, CROSS_ENTROPIES),
        (F.mse_loss, LOGITS, REALS, SQUARES),
        (nn.MSELoss(), LOGITS, REALS, SQUARES),
        (functools.partial(F.mse_loss, reduction="none"), LOGITS, REALS, SQUARES),
        (lambda o, y: (o - y).square().sum(1).mean(), LOGITS, REALS, 3 * SQUARES),
        (half_squared_error, LOGITS, REALS, SQUARES / 2),
        (F.binary_cross_entropy_with_logits, LOGITS[:, :1], BINARY, LOGISTIC),
        (nn.BCEWithLogitsLoss(), LOGITS[:, 0], BINARY[:, 0], LOGISTIC),
    ],
)
def test_every_usual_spelling_of_a_loss_gives_the_same_number_per_example(loss, outputs, y, expected):
    each = per_example(loss, outputs, y)
    torch.testing.assert_close(each(outputs, y), expected)
    some = torch.tensor([3, 1])
    torch.testing.assert_close(each(outputs[some], y[some]), expected[some])
    stacked = vmap(each)(torch.stack([outputs, outputs.flip(0)]), torch.stack([y, y.flip(0)]))
    torch.testing.assert_close(stacked, torch.stack([expected, expected.flip(0)]))


@pytest.mark.parametrize(
    ("loss", "outputs", "y", "sentence"),
    [
        (functools.partial(F.cross_entropy, reduction="sum"), LOGITS, CLASSES, "is the sum over the 12 examples"),
        (nn.MSELoss(reduction="sum"), LOGITS[:, :1], REALS[:, :1], "is the sum over the 12 examples"),
        (lambda o, y: (o - y).square().sum(), LOGITS, REALS, "is the sum over the 12 examples"),
        (nn.CrossEntropyLoss(weight=torch.tensor([1.0, 2.0, 9.0]).double()), LOGITS, CLASSES, "neither the mean"),
        (lambda o, y: F.cross_entropy(o, y) ** 2, LOGITS, CLASSES, "neither the mean"),
        (lambda o, y: o[0], LOGITS, CLASSES, "a loss whose shape is neither scalar nor per example"),
        (lambda o, y: o.sum().reshape(1, 1), LOGITS, CLASSES, "a loss whose shape is neither scalar nor per example"),
        (lambda o, y: 1.0, LOGITS, CLASSES, "gives float, not a tensor"),
        (lambda o, y: (o - o.mean(0)).square().mean(1), LOGITS, CLASSES, "changes with the others in its batch"),
        (lambda o, y: o.mean() if o.mean() > 9 else o.square().mean(), LOGITS, CLASSES, "one example at a time"),
        (F.mse_loss, LOGITS[:, :1], REALS[:, 0], "changes with the others in its batch"),
        (F.cross_entropy, LOGITS, REALS[:, :2], "The loss fails on outputs of shape (12, 3) and type float64"),
        (F.mse_loss, LOGITS / 0, REALS, "not finite at the start"),
    ],
)
def test_a_loss_that_is_no_mean_over_examples_is_refused_in_one_sentence(loss, outputs, y, sentence):
    with pytest.raises(BadProblem) as refusal:
        per_example(loss, outputs, y)
    assert sentence in str(refusal.value)


def best_constant(loss, outputs, y):
    """Oracle: minimise the training loss over constants by L-BFGS, which knows no closed form."""
    constant = torch.zeros(outputs.shape[1:], dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([constant], max_iter=200, tolerance_grad=1e-12, line_search_fn="strong_wolfe")

    def closure():
        optimizer.zero_grad()
        value = loss(constant.expand(len(y), *outputs.shape[1:]), y)
        value.backward()
        return value

    optimizer.step(closure)
    return constant.detach()


@pytest.mark.parametrize(
    ("loss", "outputs", "y"),
    [
        (F.cross_entropy, LOGITS, CLASSES),
        (nn.CrossEntropyLoss(), LOGITS, CLASSES),
        (F.cross_entropy, LOGITS, REALS.softmax(1)),
        (F.mse_loss, LOGITS, REALS),
        (nn.BCEWithLogitsLoss(), LOGITS[:, :1], BINARY),
    ],
)
def test_the_trivial_predictor_is_the_best_constant_found_by_minimising(loss, outputs, y):
    train, scored = y[:8], y[8:]
    constant = best_constant(loss, outputs, train)
    expected = float(loss(constant.expand(4, *constant.shape), scored))
    found = trivial_predictor(loss, per_example(loss, outputs, y), outputs, train, scored)
    assert found == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    "loss", [F.l1_loss, functools.partial(F.mse_loss), nn.HuberLoss(), lambda o, y: (o - y).square().mean()]
)
def test_an_unknown_loss_has_no_trivial_predictor(loss):
    assert trivial_predictor(loss, per_example(loss, LOGITS, REALS), LOGITS, REALS, REALS) is None


def test_a_class_never_seen_in_training_leaves_no_finite_predictor():
    y = torch.zeros(B, dtype=torch.int64)
    each = per_example(F.cross_entropy, LOGITS, y)
    assert trivial_predictor(F.cross_entropy, each, LOGITS, y, y) == pytest.approx(0.0)
    assert trivial_predictor(F.cross_entropy, each, LOGITS, y, y + 1) is None


def test_smoothed_labels_have_no_predictor_by_frequencies():
    """The class frequencies are not the best constant under label smoothing."""
    loss = nn.CrossEntropyLoss(label_smoothing=0.1)
    assert trivial_predictor(loss, per_example(loss, LOGITS, CLASSES), LOGITS, CLASSES, CLASSES) is None
    assert math.isfinite(float(per_example(loss, LOGITS, CLASSES)(LOGITS, CLASSES).mean()))
