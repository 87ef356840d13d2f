"""In which parts two protocols differ, in words."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

FOLDER_PARTS = ("problems", "budget", "evaluations", "trials", "seeds", "dtype", "seed")
"""The parts of a protocol that its folder hash covers."""
_SHOWN = 3
_WIDTH = 24


def folder_part(protocol: Mapping[str, Any]) -> dict[str, Any]:
    """What of a plain protocol a folder is about."""
    return {name: protocol[name] for name in FOLDER_PARTS if name in protocol}


def differences(there: Mapping[str, Any], here: Mapping[str, Any]) -> str:
    """The first parts that differ, with both values; empty where none does.

    Example:
        >>> differences({"budget": "1000steps", "seed": 0}, {"budget": "500steps", "seed": 0})
        'budget (1000steps there, 500steps here)'
    """
    found = list(_differences(there, here, ""))
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return ", ".join(found[:_SHOWN]) + more


def _differences(there: Mapping[str, Any], here: Mapping[str, Any], path: str) -> Iterator[str]:
    for name in {**there, **here}:
        place = f"{path}{name}"
        if name not in here or name not in there:
            yield f"{place} (only {'here' if name in here else 'there'})"
        elif isinstance(there[name], Mapping) and isinstance(here[name], Mapping):
            yield from _differences(there[name], here[name], f"{place}.")
        elif there[name] != here[name]:
            yield f"{place} ({_short(there[name])} there, {_short(here[name])} here)"


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= _WIDTH else f"{text[: _WIDTH // 2]}..."
