"""The small real data sets that ship with scikit-learn, split once and standardised by their training part."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from numpy.typing import NDArray

Examples = tuple[NDArray[Any], NDArray[Any]]


@functools.lru_cache(maxsize=1)
def digits() -> tuple[Examples, Examples, Examples]:
    """1797 images of hand-written digits as rows of 64 grey values in [0, 1], and their classes 0 to 9.

    Train, validation and test hold 60, 20 and 20 %, stratified, by seed 0.
    """
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    return _split((x / 16.0).astype(np.float32), y, strata=y)


@functools.lru_cache(maxsize=1)
def breast_cancer() -> tuple[Examples, Examples, Examples]:
    """569 tumours with 30 measurements each, standardised, and [N, 1] whether they are benign (1) or malignant (0).

    Train, validation and test hold 60, 20 and 20 %, stratified, by seed 0.
    """
    from sklearn.datasets import load_breast_cancer

    x, y = load_breast_cancer(return_X_y=True)
    splits = _split(x, y.astype(np.float64)[:, None], strata=y)
    train, valid, test = ((_standardised(inputs, splits[0][0]), labels) for inputs, labels in splits)
    return train, valid, test


@functools.lru_cache(maxsize=1)
def diabetes() -> tuple[Examples, Examples, Examples]:
    """442 patients with 10 measurements each, and [N, 1] the progression of their disease a year later.

    Both standardised; train, validation and test hold 60, 20 and 20 % by seed 0.
    """
    from sklearn.datasets import load_diabetes

    x, y = load_diabetes(return_X_y=True)
    splits = _split(x, y[:, None], strata=None)
    columns, target = splits[0]
    train, valid, test = ((_standardised(i, columns), _standardised(o, target)) for i, o in splits)
    return train, valid, test


def _split(x: NDArray[Any], y: NDArray[Any], *, strata: NDArray[Any] | None) -> tuple[Examples, Examples, Examples]:
    from sklearn.model_selection import train_test_split

    everyone = np.arange(len(x))
    train, rest = train_test_split(everyone, test_size=0.4, random_state=0, stratify=strata)
    valid, test = train_test_split(
        rest, test_size=0.5, random_state=0, stratify=None if strata is None else strata[rest]
    )
    return (x[train], y[train]), (x[valid], y[valid]), (x[test], y[test])


def _standardised(part: NDArray[Any], train: NDArray[Any]) -> NDArray[Any]:
    """Columns of ``part`` moved and scaled so that those of ``train`` have mean 0 and standard deviation 1."""
    scaled: NDArray[Any] = (part - train.mean(0)) / train.std(0)
    return scaled
