"""A comparison written down: ``study.toml``, whose keys are the flags of ``compare``."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from optwise.catalog.methods import load_methods, written_method
from optwise.core.errors import BadMethod, BadProtocol, NotLoadable, UnknownName
from optwise.core.method import Method

_WORDS: Mapping[type, str] = {
    int: "a whole number",
    float: "a number",
    str: "a text",
    bool: "true or false",
    list: "a list",
    dict: "a table",
}
_KEYS: Mapping[str, type] = {
    "problems": list,
    "methods": list,
    "studies": int,
    "trials": int,
    "seeds": int,
    "budget": str,
    "evaluations": int,
    "target": str,
    "metric": str,
    "axis": str,
    "level": float,
    "margin": float,
    "resamples": int,
    "batch_size": int,
    "dtype": str,
    "device": str,
    "workers": int,
    "executor": str,
    "seed": int,
    "schedule": str,
    "tol": float,
    "max_seconds": float,
    "repeats": int,
    "scientific": dict,
    "against": str,
    "until": str,
    "out": str,
    "reveal_test": bool,
}


def load_study(path: Path | str) -> dict[str, Any]:
    """What a study file says, by the names of ``compare``; what it does not say is left out.

    ``methods`` are built; ``problems``, ``budget``, ``target`` and ``schedule`` stay texts, as typed on the command
    line. Paths start at the folder the command is run in.

    Raises:
        CallerError: No such file, no TOML, an unknown key (with the nearest), or a value of another type.
    """
    try:
        document = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise NotLoadable(f"There is no file {path}; paths start at the folder the command is run in.") from error
    except (OSError, UnicodeDecodeError) as error:
        raise NotLoadable(f"{path} cannot be read: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise NotLoadable(f"{path} is no TOML: {error}.") from error
    study: dict[str, Any] = {}
    for written, value in document.items():
        key = written.replace("-", "_")
        if key not in _KEYS:
            raise UnknownName(f"key of {path}", written, [name.replace("_", "-") for name in _KEYS])
        if key in study:
            raise BadProtocol(f"{path} gives {written} twice, with a dash and with an underscore; keep one.")
        study[key] = _typed(f"{path}: {written}", _KEYS[key], value)
    if not all(isinstance(problem, str) for problem in study.get("problems", [])):
        raise BadProtocol(f'{path}: problems must be texts, as in problems = ["digits-mlp"].')
    if "methods" in study:
        study["methods"] = [method for entry in study["methods"] for method in _methods(path, entry)]
    if "scientific" in study:
        study["scientific"] = {name: tuple(paths) for name, paths in study["scientific"].items()}
    return study


def _typed(place: str, kind: type, value: Any) -> Any:
    if kind is float and type(value) is int:
        return float(value)
    if kind is str and type(value) in (int, float):
        return str(value)  # budget = 500 means what --budget 500 does
    if type(value) is not kind:
        raise BadProtocol(f"{place} is {value!r}; it must be {_WORDS[kind]}.")
    return value


def _methods(path: Path | str, entry: Any) -> list[Method]:
    if isinstance(entry, str):
        return load_methods([entry])
    if not isinstance(entry, dict):
        raise BadMethod(f'{path}: {entry!r} is no method; write "adamw", or [[methods]] with name = "adamw".')
    return [written_method(entry)]
