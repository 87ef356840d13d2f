"""The figures by name; nothing is imported before it is drawn."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING

from optwise.core.errors import UnknownName
from optwise.verbs.lessons.declared import DECLARED
from optwise.verbs.lessons.parameters import Parameters

if TYPE_CHECKING:
    from optwise.verbs.lessons.lesson import Lesson

_HOMES: Mapping[str, str] = {
    "best-linear-approximation": "derivatives:tangent",
    "least-squares-graph": "derivatives:squares_graph",
    "cross-entropy": "derivatives:cross_entropy",
    "qr-against-normal-equations": "qr_against_normal_equations:qr_against_normal_equations",
    "scaling-direct-vs-gd": "scaling_direct_vs_gd:scaling_direct_vs_gd",
    "convergence-factors": "convergence_factors:convergence_factors",
    "zigzag": "zigzag:zigzag",
    "sgd-noise-floor": "sgd_noise_floor:sgd_noise_floor",
    "sgd-variance": "sgd_variance:sgd_variance",
    "sgd-equal-samples": "sgd_equal_samples:sgd_equal_samples",
    "momentum-regimes": "momentum_regimes:momentum_regimes",
    "nqm-risk": "nqm_risk:nqm_risk",
    "nqm-batch-size": "nqm_batch_size:nqm_batch_size",
}
NUMBERS: Mapping[str, str] = {
    "2.1": "best-linear-approximation",
    "2.2": "least-squares-graph",
    "2.3": "cross-entropy",
    "2.4": "scaling-direct-vs-gd",
    "2.5": "sgd-noise-floor",
    "2.6": "zigzag",
}
"""Number of a figure in the course recap to its name here; 2.7 to 2.11 show networks and diagrams and are not drawn."""


def _made_by(slug: str) -> Callable[..., Lesson]:
    """The function that makes a figure, in its own module."""

    def make(parameters: Parameters | None = None) -> Lesson:
        made: Lesson = _function(slug)(parameters or DECLARED[slug]())
        return made

    return make


def _function(slug: str) -> Callable[[Parameters], Lesson]:
    module, name = _HOMES[slug].split(":")
    function: Callable[[Parameters], Lesson] = getattr(import_module(f"optwise.verbs.lessons.{module}"), name)
    return function


LESSONS: Mapping[str, Callable[..., Lesson]] = {slug: _made_by(slug) for slug in _HOMES}
"""Figures in the order of the lectures: slug to the function that computes and draws it, from its parameters."""


def known(slugs: Sequence[str]) -> list[str]:
    """The slugs asked for, by name or by the course's number, each once; all of them where none was.

    Args:
        slugs: Names or numbers of figures.

    Raises:
        UnknownName: One of them names no figure.

    Example:
        >>> known(["zigzag", "2.6", "2.5"]), len(known([])) == len(LESSONS)
        (['zigzag', 'sgd-noise-floor'], True)
    """
    found = []
    for slug in slugs:
        if re.fullmatch(r"\d+(\.\d+)*", slug) and slug not in NUMBERS:
            raise UnknownName("number of a figure", slug, (f"{n} ({named})" for n, named in NUMBERS.items()))
        name = NUMBERS.get(slug, slug)
        if name not in LESSONS:
            raise UnknownName("figure", slug, LESSONS)
        found.append(name)
    return list(dict.fromkeys(found)) or list(LESSONS)


def asked(slugs: Sequence[str], given: Mapping[str, object]) -> dict[str, Parameters]:
    """Each figure with its parameters; what is given must be a parameter of every one of them.

    Args:
        slugs: Names or numbers; all of them where none is given.
        given: Values, as text or as numbers, by the name of their parameter.

    Raises:
        UnknownName: A name of no figure, or of no parameter of a figure that was asked for.
        BadProtocol: A value that a figure cannot be drawn with.

    Example:
        >>> asked(["2.6"], {"kappa": "20"})["zigzag"].changed()
        {'kappa': '20'}
    """
    return {slug: DECLARED[slug].asked(given) for slug in known(slugs)}


def summary(slug: str) -> str:
    """One line on a figure: the first of its function's documentation.

    Example:
        >>> summary("sgd-variance")
        'Why the variance of SGD is not its mean squared error, until the start is forgotten (lecture 6).'
    """
    return (inspect.getdoc(_function(slug)) or "").partition("\n")[0]


def number_of(slug: str) -> str | None:
    """The number of a figure in the course recap, where it has one."""
    return next((number for number, named in NUMBERS.items() if named == slug), None)
