"""Rows of the truth table for the published problems: three forms, three starts, optwise and its peers."""

from functools import partial

import numpy as np
import torch

import optwise as ow

from .answering import answer
from .collection import COLLECTION
from .judging import both, judged
from .peers import PEERS, minpack, scipy_method, torch_lbfgs, value_and_gradient

FORMS = ("residual", "smooth", "scaled")
FACTORS = (1, 10, 100)


def units(published, form):
    """Units of the coordinates, w = units * z: 1, or ten to a power drawn from [-6, 6]."""
    n = len(published.start)
    return 10.0 ** np.random.default_rng(published.number).uniform(-6, 6, n) if form == "scaled" else np.ones(n)


def published_rows(methods, *, tol, max_seconds, quick):
    """Every row, one at a time."""
    chosen = COLLECTION[::6] if quick else COLLECTION
    for published in chosen:
        for form in FORMS:
            for factor in FACTORS[:2] if quick else FACTORS:
                for method in methods:
                    row = _row(published, form, factor, method, tol=tol, max_seconds=max_seconds)
                    if row is not None:
                        yield row


def _row(published, form, factor, method, *, tol, max_seconds):
    d = units(published, form)
    z0 = published.from_start(factor) / d
    if method in PEERS:
        z, word, seconds = _peer(published, form, method, d, z0)
        if z is None:
            return None
        words = {"word": word, "seconds": seconds, "optimal": False, "stationary": word == "converged"}
    else:
        if form == "residual":
            build = partial(ow.problems.nonlinear_least_squares, published.residual, z0, reduction="sum")
        else:
            build = partial(ow.problems.smooth, _function(published, d), z0)
        z, words = answer(build, method, tol=tol, max_seconds=max_seconds)
    row = {
        "family": "mgh",
        "problem": f"{published.number} {published.name}",
        "form": form,
        "factor": factor,
        "method": method,
        "tol": tol,
        **words,
    }
    if z is None:
        return row | {"reached": False, "reached_loosely": False, "false_optimal": False, "false_stationary": False}
    claimed = words["stationary"] and not words.get("saddle", False)
    facts = judged(published, d * z, tol=tol, optimal=words["optimal"], stationary=claimed)
    return row | facts | {"w": [float(each) for each in d * z]}


def _peer(published, form, method, d, z0):
    if method == "minpack":
        if form == "smooth":  # it knows no functions but sums of squares
            return None, "", 0.0
        residual, jacobian = both(published)
        return minpack(lambda z: residual(d * z), lambda z: jacobian(d * z) * d, z0)
    if form == "residual":  # what they would do there is the smooth form
        return None, "", 0.0
    value = _function(published, d)
    if method == "torch-lbfgs":
        return torch_lbfgs(value, z0)
    return scipy_method({"scipy-bfgs": "BFGS", "scipy-lbfgsb": "L-BFGS-B"}[method], value_and_gradient(value), z0)


def _function(published, d):
    """The sum of squares of z, w = d * z, in torch."""
    D = torch.from_numpy(d)
    return lambda z: published.residual(D * z).square().sum()
