"""From words and flags to what a verb is called with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from optwise.catalog.resolving import Resolved


def read_question(words: Sequence[str], methods: Sequence[str] | None, flags: Mapping[str, Any]) -> Resolved:
    """Put a study file and flags together; flags win.

    Args:
        words: PROBLEM..., or one study file.
        methods: As typed; ``None`` where they were not.
        flags: By the names of ``compare``; ``None`` where a flag was not given.

    Raises:
        CallerError: Anything the caller can mend.
    """
    from optwise.catalog import resolve

    return resolve(list(words), methods or None, {name: value for name, value in flags.items() if value is not None})
