"""Hand-written digits by three networks: a linear one, also in uneven units, one hidden layer, convolutions."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch.nn.functional as F
from torch import nn

from optwise.core.errors import BadProblem
from optwise.core.problem import Problem
from optwise.numerics.rng import numpy_generator
from optwise.problems.datasets import Examples, digits
from optwise.problems.modules import from_module
from optwise.problems.targets import spell, with_target


def digits_softmax() -> Problem:
    r"""Softmax regression on 8x8 digits: 64 inputs, 10 classes, a bias, 650 parameters.

    .. math:: \frac1N \sum_i -\log \mathrm{softmax}(W x_i + b)_{y_i}

    Convex. The mean is over examples, and there is no penalty.

    Example:
        >>> round(digits_softmax().predictor, 2)  # about ln 10
        2.3
    """
    return _on_digits(lambda: nn.Linear(64, 10), "digits-softmax", digits())


def digits_units(spread: float = 100.0) -> Problem:
    r"""Softmax regression on digits whose 64 columns are measured in different units: a problem that nobody scaled.

    .. math:: x'_{ij} = u_j \, (x_{ij} - \bar x_j), \qquad u_j \text{ from } 3 \sqrt{\text{spread}}
        \text{ down to } 3 / \sqrt{\text{spread}}

    with units in geometric steps, dealt to the columns by seed 0. A linear model undoes them, so that it can do all it
    can on ``digits-softmax``; but the Hessian's condition number grows with the square of ``spread``. Gradient descent
    takes the one step that the largest column allows. A method that divides each coordinate by the size of its own
    gradients does not see the units, up to its ``eps``, once it has left the start.

    Args:
        spread: Largest unit over smallest, at least 1.

    Raises:
        BadProblem: A spread that is no ratio of a larger number to a smaller one.

    Example:
        >>> digits_units().name, digits_units(spread=1000).name
        ('digits-units', 'digits-units:spread=1000')
    """
    if not 1 <= spread < np.inf:
        raise BadProblem(f"digits-units with spread={spread:g} has no units; choose a finite ratio of at least 1.")
    splits = digits()
    center = splits[0][0].mean(0, dtype=np.float64)
    units = numpy_generator(0).permutation(np.geomspace(3 * spread**0.5, 3 / spread**0.5, 64))
    train, valid, test = ((((x - center) * units).astype(np.float32), y) for x, y in splits)
    name = spell("digits-units", {} if spread == 100.0 else {"spread": spread})
    return _on_digits(lambda: nn.Linear(64, 10), name, (train, valid, test))


def digits_mlp() -> Problem:
    """Cross-entropy of a network 64-128-10 with ReLU on 8x8 digits, 9610 parameters, torch's default start.

    Example:
        >>> problem = digits_mlp()
        >>> problem.examples, problem.batch_size, problem.main_metric
        (1078, 64, 'valid/loss')
    """
    return _on_digits(lambda: nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10)), "digits-mlp", digits())


def digits_cnn() -> Problem:
    """Cross-entropy of a small convolutional network on 8x8 digits, 1898 parameters, torch's default start.

    Two 3x3 convolutions with 8 and 16 channels and padding 1, each followed by ReLU and 2x2 max-pooling, then a linear
    layer to 10 classes.

    Example:
        >>> digits_cnn().data.train.x.shape
        torch.Size([1078, 1, 8, 8])
    """
    train, valid, test = digits()
    return _on_digits(_convolutions, "digits-cnn", (_images(train), _images(valid), _images(test)))


def _on_digits(make_net: Callable[[], nn.Module], name: str, splits: tuple[Examples, Examples, Examples]) -> Problem:
    train, valid, test = splits
    return with_target(from_module(make_net, F.cross_entropy, train, valid=valid, test=test, name=name, reference=name))


def _convolutions() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(16 * 2 * 2, 10),
    )


def _images(examples: Examples) -> Examples:
    x, y = examples
    return np.reshape(x, (-1, 1, 8, 8)), y
