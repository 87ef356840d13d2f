"""The figures by name; nothing is imported before it is drawn."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING

from optwise.core.errors import UnknownName

if TYPE_CHECKING:
    from optwise.verbs.lessons.lesson import Lesson

_HOMES: Mapping[str, str] = {
    "best-linear-approximation": "derivatives",
    "least-squares-graph": "derivatives",
    "cross-entropy": "derivatives",
    "qr-against-normal-equations": "qr_against_normal_equations",
    "scaling-direct-vs-gd": "scaling_direct_vs_gd",
    "convergence-factors": "convergence_factors",
    "zigzag": "zigzag",
    "sgd-noise-floor": "sgd_noise_floor",
    "sgd-variance": "sgd_variance",
    "sgd-equal-samples": "sgd_equal_samples",
    "momentum-regimes": "momentum_regimes",
    "nqm-risk": "nqm_risk",
    "nqm-batch-size": "nqm_batch_size",
}


def _made_by(slug: str) -> Callable[[], Lesson]:
    """The function that makes a figure, in its own module: its name is the slug's."""

    def make() -> Lesson:
        made: Lesson = _function(slug)()
        return made

    return make


def _function(slug: str) -> Callable[[], Lesson]:
    module = import_module(f"optwise.verbs.lessons.{_HOMES[slug]}")
    function: Callable[[], Lesson] = getattr(module, slug.replace("-", "_"))
    return function


LESSONS: Mapping[str, Callable[[], Lesson]] = {slug: _made_by(slug) for slug in _HOMES}
"""Figures in the order of the lectures: slug to the function that computes and draws it."""


def known(slugs: tuple[str, ...] | list[str]) -> list[str]:
    """The slugs asked for, each once; all of them where none was.

    Args:
        slugs: Names of figures.

    Raises:
        UnknownName: One of them names no figure.

    Example:
        >>> known(["sgd-variance", "sgd-variance"]), len(known([])) == len(LESSONS)
        (['sgd-variance'], True)
    """
    for slug in slugs:
        if slug not in LESSONS:
            raise UnknownName("figure", slug, LESSONS)
    return list(dict.fromkeys(slugs)) or list(LESSONS)


def summary(slug: str) -> str:
    """One line on a figure: the first of its function's documentation.

    Example:
        >>> summary("sgd-variance")
        'Why the variance of SGD is not its mean squared error, until the start is forgotten (lecture 6).'
    """
    return (inspect.getdoc(_function(slug)) or "").partition("\n")[0]
