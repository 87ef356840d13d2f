"""Values as they are typed on a command line or written in TOML: numbers, flags, tuples and ranges."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from optwise.core.errors import BadSpace, UnknownName
from optwise.core.space import Choice, Distribution, IntUniform, LogUniform, OneMinus, Uniform

_FIXED: Mapping[str, Any] = {"true": True, "false": False, "none": None}


def literal(text: str) -> Any:
    """A typed value: a whole number, a number, ``true``, ``false``, ``none``, or else the text itself.

    Example:
        >>> literal("12"), literal("1e-3"), literal("true"), literal("strong_wolfe")
        (12, 0.001, True, 'strong_wolfe')
    """
    if text.lower() in _FIXED:
        return _FIXED[text.lower()]
    number = _number(text)
    if number is None:
        return text
    return int(text) if text.lstrip("+-").isdigit() else number


def hyperparameter(text: str) -> Any:
    """A typed hyperparameter: a :func:`literal`, a range, or a tuple.

    ``1e-4..1e-1`` is searched on a log scale, ``1-0.005..0.3`` as one minus such a draw (momentum and betas), and a
    slash parts the entries of a tuple.

    Example:
        >>> hyperparameter("1e-4..1e-1")
        LogUniform(low=0.0001, high=0.1)
        >>> hyperparameter("1-0.004..0.3/0.999")
        (OneMinus(of=LogUniform(low=0.004, high=0.3)), 0.999)
    """
    pieces = text.split("/")
    if len(pieces) > 1 and all(_number(piece) is not None or _range(piece) is not None for piece in pieces):
        return tuple(hyperparameter(piece) for piece in pieces)
    return _range(text) or literal(text)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _range(text: str) -> Distribution | None:
    low, dots, high = text.partition("..")
    if not dots or _number(high) is None:
        return None
    if low.startswith("1-") and _number(low.removeprefix("1-")) is not None:
        return OneMinus(LogUniform(float(low.removeprefix("1-")), float(high)))
    return LogUniform(float(low), float(high)) if _number(low) is not None else None


_DISTRIBUTIONS: Mapping[str, Callable[..., Distribution]] = {
    "log": LogUniform,
    "uniform": Uniform,
    "int": IntUniform,
    "choice": Choice,
}


def written(path: str, value: Any) -> Any:
    """A hyperparameter as TOML has it: a plain value, a list for a tuple, or ``{log = [a, b]}`` and its like.

    Args:
        path: Of the field, for sentences.
        value: As tomllib read it.

    Example:
        >>> written("adam.betas", [{"one_minus": {"log": [0.004, 0.3]}}, 0.999])
        (OneMinus(of=LogUniform(low=0.004, high=0.3)), 0.999)
    """
    if isinstance(value, list):
        return tuple(written(f"{path}[{i}]", item) for i, item in enumerate(value))
    if not isinstance(value, dict):
        return value
    known = [*_DISTRIBUTIONS, "one_minus"]
    if len(value) != 1:
        raise BadSpace(f"{path} = {value} is no range; write one of {', '.join(known)}, as in {{log = [1e-4, 1e-1]}}.")
    ((kind, inside),) = value.items()
    if kind == "one_minus":
        of = written(path, inside)
        if not isinstance(of, Distribution):
            raise BadSpace(f"{path} = {value} is no range; write {{one_minus = {{log = [0.005, 0.3]}}}}.")
        return OneMinus(of)
    if kind not in known:
        raise UnknownName(f"range of {path}", kind, known)
    numbers = isinstance(inside, list) and all(type(end) in (int, float) for end in inside)
    if not isinstance(inside, list) or (kind != "choice" and not (numbers and len(inside) == 2)):
        raise BadSpace(f"{path} = {value} cannot be read; write two numbers, as in {{{kind} = [1, 10]}}.")
    return _DISTRIBUTIONS[kind](*inside)
