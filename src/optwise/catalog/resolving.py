"""From what a caller says, names and objects mixed, to what a verb is called with."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from optwise.catalog.methods import NAMED, load_method, load_methods, load_schedule
from optwise.catalog.mistaken import is_one_thing, sentence_about
from optwise.catalog.problems import load_problem
from optwise.catalog.studies import load_study
from optwise.core.errors import BadMethod, BadProblem, BadProtocol
from optwise.core.method import Method
from optwise.core.metric import Target
from optwise.core.problem import Problem
from optwise.core.showing import brief
from optwise.methods import Torch

ProblemAsked = Problem | str
"""A problem, or the name of one: ``"nqm:d=100"``, ``"mine.py:problem"``."""
MethodAsked = Method | type | str
"""A method, a class of methods or of ``torch.optim``, or the name of one: ``"adamw:lr=1e-3"``, ``"mine.py:Mine"``."""

STUDY = ".toml"
"""How a study file ends, which stands where problems are named."""


@dataclass(frozen=True)
class Resolved:
    """What ``compare``, ``check`` and ``target`` are called with.

    Args:
        problems: Built.
        methods: Built, or classes; ``None`` takes the defaults.
        settings: Everything else that was said, by the names of ``compare``.
    """

    problems: list[Problem]
    methods: list[Method | type] | None
    settings: dict[str, Any]


def resolve(problems: Any, methods: Any, settings: Mapping[str, Any]) -> Resolved:
    """Build what is named; a method that is no name goes through, to be looked at by the verb.

    A study file in the place of the problems says what is not said beside it.

    Args:
        problems: One or several, each a problem or a name; or one study file.
        methods: One or several, each a method, a class or a name; ``None`` takes those of the file, or the defaults.
        settings: By the names of ``compare``; a target or a schedule may be a text, as on the command line.

    Raises:
        CallerError: Anything the caller can mend.
    """
    asked, said = _several(problems), dict(settings)
    if any(isinstance(word, str) and word.endswith(STUDY) for word in asked):
        if len(asked) > 1:
            raise BadProtocol(
                f"A study file stands alone, but {len(asked)} names were given; add problems to the file."
            )
        written = load_study(asked[0])
        asked = written.pop("problems", [])
        if not asked:
            raise BadProtocol('The study file names no problem; add problems = ["digits-mlp"].')
        methods = written.pop("methods", None) if methods is None else methods
        said = {**written, **said}
    if isinstance(said.get("target"), str):
        said["target"] = read_target(said["target"])
    if isinstance(said.get("schedule"), str):
        said["schedule"] = load_schedule(said["schedule"])
    return Resolved([resolve_problem(each) for each in asked], resolve_methods(methods), said)


def resolve_one(problem: Any, methods: Any, settings: Mapping[str, Any]) -> Resolved:
    """As :func:`resolve`, for a verb that is about one problem.

    Raises:
        CallerError: A study file, which may name several, and as :func:`resolve`.
    """
    word = _word(problem)
    if isinstance(word, str) and word.endswith(STUDY):
        raise BadProtocol(f"A target belongs to one problem, and {word} is a study file; name the problem.")
    return resolve([word], methods, settings)


def resolve_problem(asked: Any) -> Problem:
    """The problem, built where it is named.

    Raises:
        CallerError: Nothing answers to the name, or it is neither a name nor a problem.
    """
    word = _word(asked)
    if isinstance(word, str):
        return load_problem(word)
    if not isinstance(word, Problem):
        raise BadProblem(sentence_about(word))
    return word


def resolve_methods(asked: Any) -> list[Any] | None:
    """The methods of one or several names, where a name may hold several parted by commas; ``None`` stays."""
    if asked is None:
        return None
    found: list[Any] = []
    for each in _several(asked):
        found += load_methods([each]) if isinstance(each, str) else [each]
    return found


def resolve_method(asked: Any) -> Any:
    """The one method that is named, or the class as it ships; what is neither goes through."""
    if isinstance(asked, str):
        return load_method(asked)
    if isinstance(asked, type) and issubclass(asked, Method):
        return asked()
    if isinstance(asked, type) and issubclass(asked, torch.optim.Optimizer):
        return Torch(asked)
    if not isinstance(asked, Method):
        raise BadMethod(f"{brief(asked)} is no method; give a Method such as ow.SGD(lr=0.1), or its name.")
    return asked


def resolve_solver(asked: Any) -> Any:
    """As :func:`resolve_method`; a word that names no method is left to ``solve``, which knows its solvers."""
    named = isinstance(asked, str) and asked.partition(":")[0] not in NAMED and ":" not in asked
    return asked if named else resolve_method(asked)


def read_target(text: str) -> Target | str | None:
    """``default``, ``none``, or ``valid/loss<=0.25``."""
    return {"default": "default", "none": None}[text] if text in ("default", "none") else Target.parse(text)


def _several(asked: Any) -> list[Any]:
    """One or several as a list: a text and a noun are one."""
    word = _word(asked)
    return list(word) if isinstance(word, Iterable) and not is_one_thing(word) else [word]


def _word(asked: Any) -> Any:
    """A path as its text."""
    return os.fspath(asked) if isinstance(asked, os.PathLike) else asked
