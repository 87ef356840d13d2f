"""Nouns as plain JSON values, and stable digests of them: what hashes, stores and files are made from."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any


def plain(value: Any) -> Any:
    """``value`` as JSON: dataclasses become ``{"class": name, field: ...}``, classes their reference.

    Raises:
        TypeError: For an object that has no stable description.

    Example:
        >>> from optwise.core.space import LogUniform
        >>> plain((LogUniform(0.1, 1.0), 2))
        [{'class': 'LogUniform', 'low': 0.1, 'high': 1.0}, 2]
    """
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {"class": "float", "value": repr(value)}
    if isinstance(value, Enum):
        return value.value
    if is_dataclass(value) and not isinstance(value, type):
        return {"class": type(value).__name__, **{f.name: plain(getattr(value, f.name)) for f in fields(value)}}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, type):
        return f"{value.__module__}:{value.__qualname__}"
    raise TypeError(f"{type(value).__name__} {value!r} has no plain description")


def dumps(value: Any) -> str:
    """Canonical JSON text: sorted keys, no spaces, no NaN."""
    return json.dumps(plain(value), sort_keys=True, separators=(",", ":"), allow_nan=False)


def digest(value: Any) -> str:
    """SHA-256 of the canonical JSON text, in hex."""
    return hashlib.sha256(dumps(value).encode()).hexdigest()
