"""What is given in the place of a problem and is none: what it is, and the constructor that makes a problem of it."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from optwise.core.constraint import ConstraintSet
from optwise.core.data import Data, Split
from optwise.core.method import Method
from optwise.core.penalty import Penalty
from optwise.core.problem import Problem
from optwise.core.showing import brief, one_line
from optwise.core.smooth import Smooth
from optwise.problems.numbers import is_sparse

FROM_MODULE = "ow.problems.from_module({}, loss, train=(x, y))"
NAMED = "make one, as in ow.problems.lasso(X, y, weight=0.1), or name one, as in 'digits-mlp'"


def sentence_about(asked: Any) -> str:
    """Why it is no problem and what to do next.

    Example:
        >>> sentence_about(lambda w: w.square().sum())
        '<lambda> is no Problem but a function; give what is minimised with its start, ow.problems.smooth(f, w0).'
    """
    what, step = what_and_next(asked)
    return f"{_shown(asked)} is no Problem{f' but {what}' if what else ''}; {step}."


def is_one_thing(asked: Any) -> bool:
    """Whether something that can be looped over is one thing all the same: data, or a network of layers."""
    return isinstance(asked, np.ndarray | Tensor | nn.Module | str | type | dict) or _is_data(asked)


def what_and_next(asked: Any) -> tuple[str, str]:
    """What it is and the next step; the former empty where nothing is known of it."""
    if isinstance(asked, nn.Module):
        return "a network", f"compose it with its data, {FROM_MODULE.format('make_net')}"
    if isinstance(asked, type):
        return _about_class(asked)
    if isinstance(asked, Method):
        return "a method", "give the problem first, as in ow.solve(problem, method)"
    for kind, what, step in _PARTS:
        if isinstance(asked, kind):
            return what, step
    if _is_data(asked) or (isinstance(asked, tuple | list) and any(map(_is_data, asked))):
        return "data", "say what is minimised over them, as in ow.problems.least_squares(X, y)"
    if type(asked).__module__.partition(".")[0] == "cvxpy":
        return "a cvxpy object", (
            "say its terms to a constructor, as in ow.problems.least_squares(X, y, penalty=ow.penalties.L1(0.1)), or "
            "in general ow.problems.composite(f, g, A, w0=w0)"
        )
    if callable(asked):
        return _about_function(asked)
    return "", NAMED


_PARTS = (
    (Penalty, "a penalty", "give it to a constructor, as in ow.problems.least_squares(X, y, penalty=g)"),
    (ConstraintSet, "a set", "give it to a constructor, as in ow.problems.least_squares(X, y, constraint=C)"),
    (Smooth, "a smooth term", "give it its start, ow.problems.composite(f, w0=w0)"),
)


def _about_class(asked: type) -> tuple[str, str]:
    name = asked.__name__
    if issubclass(asked, nn.Module):
        return "a class of networks", f"compose it with its data, {FROM_MODULE.format(name)}"
    if issubclass(asked, Problem):
        return "the class of them", NAMED
    for kind, what, step in _PARTS:
        if issubclass(asked, kind):
            return f"a class: {what} when called, {name}(...)", step
    if issubclass(asked, Method | torch.optim.Optimizer):
        return "a class of methods", "give the problem first, as in ow.solve(problem, method)"
    return "a class", f"give an object, {name}(...), and what is minimised, ow.problems.smooth(f, w0)"


def _about_function(asked: Any) -> tuple[str, str]:
    """A maker of problems is to be called; any other function may be what is minimised."""
    name = getattr(asked, "__name__", "f")
    try:
        signature = inspect.signature(asked)
    except (TypeError, ValueError):
        return "a function", "give what is minimised with its start, ow.problems.smooth(f, w0)"
    needed = [p.name for p in signature.parameters.values() if p.default is p.empty and p.kind in _GIVEN]
    makes = str(signature.return_annotation).rpartition(".")[2].strip("'>\"") == "Problem"
    if makes or not needed:
        return "a function", f"call it, `{name}({', '.join(needed)})`"
    return "a function", "give what is minimised with its start, ow.problems.smooth(f, w0)"


_GIVEN = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


def _is_data(asked: Any) -> bool:
    return isinstance(asked, np.ndarray | Tensor | Data | Split) or is_sparse(asked) or _is_table(asked)


def _is_table(asked: Any) -> bool:
    return type(asked).__module__.partition(".")[0] in ("pandas", "polars", "pyarrow", "xarray")


def _shown(asked: Any) -> str:
    bare = f" at 0x{id(asked):x}" in brief(asked)  # nothing but an address
    if bare or isinstance(asked, nn.Module) or is_sparse(asked) or _is_table(asked):
        return f"{type(asked).__name__}(...)"
    return one_line(getattr(asked, "__name__", "")) or brief(asked)
