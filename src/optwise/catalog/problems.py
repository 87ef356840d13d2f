"""From what a user types to a Problem."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from optwise.catalog.mistaken import what_and_next
from optwise.catalog.references import Reference, attribute
from optwise.catalog.values import literal
from optwise.core.errors import BadProblem, CallerError, NotLoadable, UnknownName
from optwise.core.problem import Problem
from optwise.problems import PROBLEMS


def load_problem(text: str) -> Problem:
    """The problem a user typed.

    Args:
        text: A name of the catalogue with or without parameters (``digits-mlp``, ``nqm:d=100``), or an attribute of a
            file or module that is a Problem or a function returning one (``mine.py:problem``,
            ``package.module:make:width=64``).

    Raises:
        CallerError: Nothing answers to it, or what does is no problem.

    Example:
        >>> load_problem("nqm:d=3").name
        'nqm:d=3'
    """
    reference = Reference.parse(text, kind="problem", known=PROBLEMS, error=BadProblem)
    if not reference.home:
        return _call(reference, PROBLEMS[reference.name])
    found = attribute(reference.home, reference.name)
    if inspect.isroutine(found):
        found = _call(reference, found)
    elif isinstance(found, Problem) and reference.values:
        raise BadProblem(f"{reference.text} is a problem already and takes no {', '.join(reference.values)}.")
    if not isinstance(found, Problem):
        what, step = what_and_next(found)
        raise NotLoadable(
            f"{reference.text} is no Problem but {what or _kind(found)}; {step}, or name a function that returns one."
        )
    return replace(found, reference=text)


def _kind(found: object) -> str:
    return f"the class {found.__name__}" if isinstance(found, type) else f"of type {type(found).__name__}"


def _call(reference: Reference, factory: Callable[..., Problem]) -> Problem:
    arguments = _arguments(reference, inspect.signature(factory).parameters)
    try:
        return factory(**arguments)
    except CallerError:
        raise
    except Exception as error:
        raise BadProblem(f"{reference.text} fails: {type(error).__name__}: {error}") from error


def _arguments(reference: Reference, parameters: Mapping[str, inspect.Parameter]) -> dict[str, Any]:
    arguments = {}
    for name, text in reference.values.items():
        if name not in parameters:
            raise UnknownName(f"parameter of {reference.text}", name, parameters)
        annotation = parameters[name].annotation
        kind = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", "")
        arguments[name] = _read(f"{reference.text}:{name}", kind, text)
    missing = [n for n, p in parameters.items() if p.default is p.empty and n not in arguments and p.kind in _NAMED]
    if missing:
        minimised = (
            "" if reference.home == "" else ", or name what ow.problems.smooth(f, w0) makes of what is minimised"
        )
        raise BadProblem(f"{reference.text} needs {missing[0]}; write {reference.text}:{missing[0]}=VALUE{minimised}.")
    return arguments


_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
_WORDS = {"int": "a whole number", "float": "a number", "bool": "true or false"}


def _read(path: str, kind: str, text: str) -> Any:
    if kind not in _WORDS:
        return text if kind == "str" else literal(text)
    value = literal(text)
    if kind == "int" and isinstance(value, float) and value.is_integer():
        return int(value)
    right = {"int": type(value) is int, "float": type(value) in (int, float), "bool": type(value) is bool}
    if not right[kind]:
        raise BadProblem(f"{path} is {text!r}; it must be {_WORDS[kind]}.")
    return float(value) if kind == "float" else value
